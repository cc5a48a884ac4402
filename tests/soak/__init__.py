"""Soak tests: thousands of hostile sessions, processes and checks, with counted results.

Each part is a module of this package with one function, `run(share)`. `share` is the fraction of
the full number of runs, 1 for all; seeds are fixed, so a share always selects the same runs.
"""

from typing import NamedTuple


class Figure(NamedTuple):
    """One line of the table in docs/robustness.md."""

    what: str
    """What was run: "mutated sessions in process"."""
    runs: int
    result: str
    """The counts: "0 uncaught exceptions, 0 hangs, 0 false OK"."""
    defects: int = 0
    """The number of failed runs; the soak fails unless it is 0."""
