"""Deadlines, and work that is abandoned when its deadline passes.

All instants are `time.monotonic()`, which does not follow changes of the system clock.
"""

import threading
import time
from collections.abc import Callable

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.model.failures import DeadlineExceeded, Kind, config_error

if TYPE_CHECKING:
    from datetime import timedelta

Clock = time.monotonic


class Deadline:
    """An absolute instant by which something must be done."""

    def __init__(self, at: float) -> None:
        self.at = at

    def left(self) -> float:
        """Return the remaining seconds, at least 0."""
        return max(0.0, self.at - Clock())

    def remaining(self) -> float:
        """Return the remaining seconds, more than 0.

        Raises DeadlineExceeded when there are none: a socket timeout of 0 would mean "do not
        block".
        """
        left = self.at - Clock()
        if left <= 0:
            raise DeadlineExceeded(Kind.TIMEOUT, "no answer")
        return left

    def share(self, parts: int) -> "Deadline":
        """Return the end of the first of `parts` equal shares of the remaining time.

        Unused time rolls over. With one part it is this deadline itself.
        """
        return self if parts <= 1 else Deadline(Clock() + self.left() / parts)

    def within(self, seconds: float) -> "Deadline":
        """Return the earlier of this deadline and `seconds` from now."""
        return Deadline(min(self.at, Clock() + seconds))


def pause(seconds: float) -> None:
    """Sleep, interruptible by a signal that stops the run."""
    time.sleep(seconds)


POLL_SECONDS = 0.005


def wait_until(
    is_done: Callable[[], object], deadline: Deadline, every: float = POLL_SECONDS
) -> bool:
    """Ask `is_done` every few milliseconds; return whether it held before the deadline passed."""
    while not (done := is_done()) and deadline.left():
        pause(min(every, deadline.left()))
    return bool(done)


if TYPE_CHECKING:
    from typing import Any, TypeVar

    _T = TypeVar("_T")


def run_with_deadline(work: "Callable[[], _T]", deadline: Deadline) -> "_T":
    """Return what `work` returns, or raise what it raises, unless the deadline passes first.

    For what no socket timeout bounds: the system's resolver, a long computation. It runs in a
    daemon thread, never in an executor, whose threads are joined at exit (measured: the process
    ended 5 s late). Late work is abandoned; its thread goes on.

    Raises DeadlineExceeded, and ProbeError (config) when no thread can be started.
    """
    helper: _Helper = getattr(_own, "helper", None) or _Helper()
    _own.helper = None
    is_over = helper.do(work, deadline.remaining())
    if not is_over:
        raise DeadlineExceeded(Kind.TIMEOUT, "no answer")
    _own.helper = helper
    result: _T | None
    (result, error), helper.outcome = helper.outcome, (None, None)
    if error:
        raise error
    return result


def end_helper() -> None:
    """End the helper of this thread, which would otherwise outlive it."""
    helper: _Helper | None = getattr(_own, "helper", None)
    _own.helper = None
    if helper:
        helper.end()


# A new thread for each piece of work would be a sixth of what a check costs in a sweep (169 us
# against 24 us). So each thread keeps its helper until one is late.
_own = threading.local()


class _Helper:
    """A thread that does one piece of work after another for its owner thread."""

    def __init__(self) -> None:
        self.outcome: tuple[Any, BaseException | None] = (None, None)
        """The result of the work, and the exception that it raised."""
        self._work: Callable[[], object] | None = None
        self._is_late = False
        # Locked until there is work to begin, and until it is done.
        self._begin, self._end = threading.Lock(), threading.Lock()
        self._begin.acquire()
        self._end.acquire()
        try:
            threading.Thread(target=self._run, daemon=True).start()
        except RuntimeError as error:
            raise config_error("cannot start a thread", cause=error) from error

    def do(self, work: Callable[[], object], seconds: float) -> bool:
        """Return whether the work was done in time; a late helper cannot be used again."""
        self._work = work
        self._begin.release()
        is_over = self._end.acquire(timeout=seconds)
        self._is_late = not is_over
        return is_over

    def end(self) -> None:
        self._is_late, self._work = True, int
        self._begin.release()

    def _run(self) -> None:
        while not self._is_late:
            self._begin.acquire()
            assert self._work is not None  # noqa: S101 - there is work to begin
            try:
                self.outcome = (self._work(), None)
            except BaseException as error:
                self.outcome = (None, error)
            self._work = None
            self._end.release()


def days(span: "timedelta") -> float:
    return span.total_seconds() / 86400
