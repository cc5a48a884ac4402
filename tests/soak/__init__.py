"""The long runs: thousands of hostile dialogues, processes and checks, counted.

Each part is a module of this package with one function, `run(share)`. `share` is the part of the
full number that is to be run, 1 for all; seeds are fixed, so a share is always the same one.
"""

from typing import NamedTuple


class Figure(NamedTuple):
    """One line of the table that the README quotes."""

    what: str
    """What was run: "mutated dialogues in process"."""
    runs: int
    result: str
    """In figures: "0 uncaught exceptions, 0 hangs, 0 false OK"."""
    defects: int = 0
    """How many runs broke the promise; the soak fails unless it is 0."""
