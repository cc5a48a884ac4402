"""Check that tests show the catalogue rows that they claim.

Each claim of a fault is checked at the end of its test: a run was seen that has the state, the
kind and the text of the row. `python -m tests.support.claims` prints all claims, one per line.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.catalogue import FAULTS, MODES, THREATS
from tests.support.command import Run

seen: list[Run] = []
"""The runs of the current test that were passed to `faults.honest`."""


class Claim(NamedTuple):
    """One case of a fault, in one mode."""

    number: int
    case: str
    mode: str
    """Empty for rows that have no mode."""


def of_faults(item: pytest.Item) -> Iterator[Claim]:
    """Yield the faults that a test claims. Raises UsageError if the catalogue has no such row."""
    callspec = getattr(item, "callspec", None)
    default = callspec.params.get("mode") if callspec else None
    for mark in item.iter_markers("fault"):
        for number in mark.args:
            row = FAULTS.get(number)
            case = mark.kwargs.get("case", "")
            if row is None or case not in row.cases:
                raise pytest.UsageError(f"{item.nodeid}: no such fault: {number} {case!r}")
            modes = row.modes_of(case)
            claimed = mark.kwargs.get("modes") or ((default,) if default in MODES else ())
            if modes and not claimed:
                raise pytest.UsageError(f"{item.nodeid}: fault {number} needs a mode")
            # A test of all modes may claim a fault that exists only in some of them.
            applying = [mode for mode in claimed if mode in modes] if modes else [""]
            yield from (Claim(number, case, mode) for mode in applying)


def of_threats(item: pytest.Item) -> Iterator[str]:
    """Yield the threats that a test claims. Raises UsageError for an unknown one."""
    for mark in item.iter_markers("threat"):
        for name in mark.args:
            if name not in THREATS:
                raise pytest.UsageError(f"{item.nodeid}: no such threat: {name}")
            yield name


def check(item: pytest.Item) -> None:
    """Assert that the runs of a test show the rows that it claims."""
    from tests.support.faults import kinds

    for number, case in dict.fromkeys((claim.number, claim.case) for claim in of_faults(item)):
        outcome = FAULTS[number].cases[case]
        shown = [(run.code, run.out, kinds(run)) for run in seen]
        assert any(outcome.is_shown_by(*each) for each in shown), (
            f"no run shows fault {number} {case!r}, {outcome}; there were {shown}"
        )


class _Collected:
    """A pytest plugin that keeps the collected tests."""

    def __init__(self) -> None:
        self.items: list[pytest.Item] = []

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self.items = session.items


def files() -> list[Path]:
    """Return the files whose tests may claim something."""
    folder = Path(__file__).parent.parent
    return sorted(
        file
        for file in folder.rglob("test_*.py")
        if "pytest.mark." in file.read_text() and file.parent.name != "systems"
    )


def rows(items: Sequence[pytest.Item]) -> Iterator[tuple[str, ...]]:
    """Yield the claims of these tests: `fault`, number, mode and case, or `threat` and its name."""
    for item in items:
        for claim in of_faults(item):
            yield "fault", str(claim.number), claim.mode or "-", claim.case
        for name in of_threats(item):
            yield "threat", name


def main(arguments: Sequence[str]) -> int:
    """Print the claims of the tests in these files, or in all, one a line."""
    collected = _Collected()
    options = ["--collect-only", "-qq", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist"]
    chosen = arguments or map(str, files())
    code = pytest.main([*options, *chosen], plugins=[collected])
    for row in rows(collected.items):
        print(*row, sep="\t")
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
