"""The deadline, and the timeline of which phase took how long.

All instants are `time.monotonic()`, which no step of the system clock disturbs.
"""

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, cast

from check_pop3_plus.model.failures import DeadlineExceeded, Kind, config_error
from check_pop3_plus.model.sanitised_text import Printable

if TYPE_CHECKING:
    from datetime import timedelta

Clock = time.monotonic


class Deadline:
    """An absolute instant by which something must be over."""

    def __init__(self, at: float) -> None:
        self.at = at

    def left(self) -> float:
        """Return the seconds that are left, never less than 0."""
        return max(0.0, self.at - Clock())

    def remaining(self) -> float:
        """Return the seconds that are left, more than 0.

        Raises DeadlineExceeded when there are none: a socket timeout of 0 would not mean
        "now" but "do not block".
        """
        left = self.at - Clock()
        if left <= 0:
            raise DeadlineExceeded(Kind.TIMEOUT, Printable("no answer in time"))
        return left

    def share(self, parts: int) -> "Deadline":
        """Return the end of an equal part of what is left; unused time rolls over.

        With one part left it is this deadline itself.
        """
        return self if parts <= 1 else Deadline(Clock() + self.left() / parts)

    def within(self, seconds: float) -> "Deadline":
        """Return the earlier of this deadline and `seconds` from now."""
        return Deadline(min(self.at, Clock() + seconds))


def pause(seconds: float) -> None:
    """Let time pass. A signal that stops the run ends it at once."""
    time.sleep(seconds)


_T = TypeVar("_T")


def run_with_deadline(work: Callable[[], _T], deadline: Deadline) -> _T:
    """Return what `work` returns, or raise what it raises, unless the deadline comes first.

    For what no socket timeout bounds: the resolver of the system, a long computation. In a
    daemon thread, never an executor: those are joined at exit (measured: process gone 5 s late).
    Work that is late is left behind.

    Raises DeadlineExceeded, and ProbeError (config) where no thread can be started.
    """
    helper: _Helper = getattr(_own, "helper", None) or _Helper()
    _own.helper = None
    is_over = helper.do(work, deadline.remaining())
    if not is_over:
        raise DeadlineExceeded(Kind.TIMEOUT, Printable("no answer in time"))
    _own.helper = helper
    result: _T | None
    (result, error), helper.outcome = helper.outcome, (None, None)
    if error:
        raise error
    return cast(_T, result)


# To start a thread for each piece of work would be a sixth of what a check costs in a sweep. So a
# thread keeps its helper, until one is late.
_own = threading.local()


class _Helper:
    """A thread that does one piece of work after another, for one other thread."""

    def __init__(self) -> None:
        self.outcome: tuple[Any, BaseException | None] = (None, None)
        """What the work has returned, and what it has raised."""
        self._work: Callable[[], object] | None = None
        self._is_late = False
        # Locked until there is something to begin, and something done.
        self._begin, self._end = threading.Lock(), threading.Lock()
        self._begin.acquire()
        self._end.acquire()
        try:
            threading.Thread(target=self._run, daemon=True).start()
        except RuntimeError as error:
            raise config_error("cannot start a thread", cause=error) from error

    def do(self, work: Callable[[], object], seconds: float) -> bool:
        """Return whether the work was done in time; else this helper is of no more use."""
        self._work = work
        self._begin.release()
        is_over = self._end.acquire(timeout=seconds)
        self._is_late = not is_over
        return is_over

    def _run(self) -> None:
        while not self._is_late:
            self._begin.acquire()
            assert self._work is not None  # noqa: S101 - there is something to begin
            try:
                self.outcome = (self._work(), None)
            except BaseException as error:
                self.outcome = (None, error)
            self._work = None
            self._end.release()


def days(span: "timedelta") -> float:
    return span.total_seconds() / 86400
