"""The result of a check or of a sweep, before it is rendered."""

from check_pop3_plus.model.record import Record
from check_pop3_plus.model.settings import State

STATUS_LIMIT = 200
"""Characters of line 1 before the performance data (contract, section 3)."""

SEVERITY = (State.OK, State.UNKNOWN, State.WARNING, State.CRITICAL)
"""Worst last (contract, section 4); the guidelines' numbers would put UNKNOWN last."""


class Figure(Record):
    """One measured number, with its thresholds."""

    label: str
    value: float
    unit: str = ""
    """`s`, `B` or nothing, as in performance data."""
    warning: str | None = None
    """A range of the plugin guidelines."""
    critical: str | None = None
    min: float | None = None
    max: float | None = None


class Verdict(Record):
    """State, status line, figures and long output."""

    state: State
    status: str
    """Without service and state."""
    figures: tuple[Figure, ...] = ()
    lines: tuple[str, ...] = ()
    """The long output."""
    is_verbose: bool = False
    """Whether the long output may take more space, because the user asked for details."""
    suffix: str = ""
    """The end of the status, which is never cut off."""
    shortage: str = ""
    """What this machine lacked, so that the check tells nothing about the service; or empty."""
    is_repeatable: bool = True
    """Whether the check may be made again, because no login began."""

    @property
    def line(self) -> str:
        """Line 1 without performance data."""
        line = f"POP3 {self.state.name} - {self.status}"
        limit = STATUS_LIMIT - len(self.suffix)
        return (line if len(line) <= limit else line[: limit - 3].rstrip() + "...") + self.suffix
