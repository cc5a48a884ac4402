"""Write what is made from the table of options: `make generated`.

The basket of the Icinga Director, and the block of options in the README.
"""

from __future__ import annotations

from pathlib import Path

from check_pop3_plus.options import help_text
from tests.support import director_basket

README = Path(__file__).parent.parent.parent / "README.md"
_BEGIN = "<!-- options: begin; made by `make generated` -->\n```\n"
_END = "```\n<!-- options: end -->"


def readme() -> str:
    """Return the README with the current `--help`."""
    before, _, rest = README.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    return f"{before}{_BEGIN}{help_text.render(help_text.WIDTH)}\n{_END}{after}"


if __name__ == "__main__":
    director_basket.BASKET.write_text(director_basket.text(director_basket.basket()))
    README.write_text(readme())
