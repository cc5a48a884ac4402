"""Say how much of the rooms the tests run, by line and by branch; fail where it is too little.

`make coverage` has measured it in all processes, those of the installed command among them.
"""

import io
import sys

import coverage

from tests.strength import GROUPS, source

WANTED = 95
"""Per cent of lines and branches, in each room."""


def main() -> int:
    measured = coverage.Coverage()
    measured.load()
    shares = {}
    for room, modules in GROUPS.items():
        files = [str(source(module)) for module in modules]
        shares[room] = measured.report(include=files, file=io.StringIO())
    files = [str(source(module)) for modules in GROUPS.values() for module in modules]
    measured.report(include=files, show_missing=True)
    print()
    for room, share in shares.items():
        print(f"{share:5.1f} % {room}" + ("" if share >= WANTED else f": less than {WANTED} %"))
    return 0 if min(shares.values()) >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
