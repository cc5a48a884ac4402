"""Write what is made from the tables of the code: `make generated`.

The basket of the Icinga Director, the list of options, the manual page and bash completion, the
generated parts of the page of kinds, and the outputs of the commands that the documents show.
"""

from __future__ import annotations

import pytest

from check_pop3_plus.options import help_text
from tests.support import director_basket, documents, kinds_page, manual
from tests.support.documents import PAGES

OPTIONS = documents.PROJECT / "docs" / "options.md"
_BEGIN = "<!-- options: begin; made by `make generated` -->\n```\n"
_END = "```\n<!-- options: end -->"


def options_page() -> str:
    """Return the page of the options with the current `--help`."""
    before, _, rest = OPTIONS.read_text().partition(_BEGIN)
    after = rest.partition(_END)[2]
    return f"{before}{_BEGIN}{help_text.render(help_text.WIDTH)}\n{_END}{after}"


if __name__ == "__main__":
    director_basket.BASKET.write_text(director_basket.text(director_basket.basket()))
    OPTIONS.write_text(options_page())
    kinds_page.PAGE.write_text(kinds_page.rewritten(kinds_page.PAGE.read_text()))
    manual.PAGE.write_text(manual.page())
    manual.COMPLETION.write_text(manual.completion())
    pages = tuple(path.read_text() for path in PAGES)
    try:
        outputs = iter(documents.outputs(pages))
    except pytest.skip.Exception as reason:  # no namespaces here
        print(f"The outputs in the documents stay as they are: {reason}")
    else:
        for path, page in zip(PAGES, pages, strict=True):
            path.write_text(documents.rewritten(page, outputs))
