"""The deadline, and the timeline of which phase took how long.

All instants are `time.monotonic()`, which no step of the system clock disturbs.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import NamedTuple, TypeVar

from check_pop3_plus.failures import DeadlineExceeded, Kind, Phase, ProbeError, config_error
from check_pop3_plus.text import Printable

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


def in_time(work: Callable[[], _T], deadline: Deadline) -> _T:
    """Return what `work` returns, or raise what it raises, unless the deadline comes first.

    For what no socket timeout bounds: the resolver of the system, a long computation. In a
    daemon thread, never an executor: those are joined at exit (measured: process gone 5 s late).
    Work that is late is left behind.

    Raises DeadlineExceeded, and ProbeError (config) where no thread can be started.
    """
    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise config_error("cannot start a thread", error) from error
    thread.join(deadline.remaining())
    if errors:
        raise errors[0]
    if not results:
        raise DeadlineExceeded(Kind.TIMEOUT, Printable("no answer in time"))
    return results[0]


class Lap(NamedTuple):
    phase: Phase
    seconds: float
    ok: bool


def seconds_by_phase(laps: Iterable[Lap]) -> dict[Phase, float]:
    """Return the seconds of each phase that was reached; a phase that came twice is added up."""
    seconds: dict[Phase, float] = {}
    for lap in laps:
        seconds[lap.phase] = seconds.get(lap.phase, 0.0) + lap.seconds
    return seconds


def days(span: timedelta) -> float:
    return span / timedelta(days=1)


class Timeline:
    """Writes down each phase as it passes, and stamps its name on a failure."""

    def __init__(self) -> None:
        self.laps: list[Lap] = []
        self.current: Phase | None = None

    @contextmanager
    def phase(self, phase: Phase) -> Iterator[None]:
        """Time a phase. It is recorded on failure too; a passing ProbeError learns where it was."""
        began = Clock()
        self.current = phase
        ok = False
        try:
            yield
            ok = True
        except ProbeError as error:
            error.phase = error.phase or phase
            raise
        finally:
            self.laps.append(Lap(phase, Clock() - began, ok))
            # Kept when a signal passes: who reads it asks where the run was stopped.
            if ok:
                self.current = None
