"""Report line and branch coverage of the parsers; fail if it is too low.

`make coverage` measures it in all processes, including those of the installed command.
"""

import io
import sys

import coverage

from tests.strength import GROUPS, source

WANTED = 95
"""Per cent of lines and branches, in each module."""


def main() -> int:
    measured = coverage.Coverage()
    measured.load()
    shares = {}
    for name, modules in GROUPS.items():
        files = [str(source(module)) for module in modules]
        shares[name] = measured.report(include=files, file=io.StringIO())
    files = [str(source(module)) for modules in GROUPS.values() for module in modules]
    measured.report(include=files, show_missing=True)
    print()
    for name, share in shares.items():
        print(f"{share:5.1f} % {name}" + ("" if share >= WANTED else f": less than {WANTED} %"))
    return 0 if min(shares.values()) >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
