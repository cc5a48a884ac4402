"""Submit results to a target from a queue, and retry while its receiver restarts.

A target is a row in `SUBMIT_FORMS` of `options/table`, and the module of its name here with a
subclass `Target` of the class below. It is loaded only when it is used: only Icinga needs HTTP.
"""

import threading
import time
from importlib import import_module
from queue import SimpleQueue

from check_pop3_plus.model.settings import SubmitTarget
from check_pop3_plus.support.deadline import Clock, Deadline, end_helper, wait_until
from check_pop3_plus.sweep.outcome import Outcome

PATIENCE_SECONDS = 10.0
"""How long a receiver may fail: a reload of a large Icinga configuration and a restart of Nagios
take a few seconds."""

_FIRST_PAUSE_SECONDS = 0.1

_ROUND_SECONDS = 0.02
"""How often `wait` checks whether all results are sent."""


class NotDelivered(Exception):
    """A result did not reach the receiver."""

    def __init__(self, reason: str, is_final: bool = False) -> None:
        super().__init__(reason)
        self.is_final = is_final
        """Whether no retry can help, also not for other results."""


class Target:
    """A receiver that results are submitted to; a subclass implements `send`."""

    senders = 0
    """Threads that call `send`; without any, `submit` calls it."""

    takes_invalid = False
    """Whether invalid sections are submitted, too. Otherwise the sweep alone reports them, so that
    two people are not notified."""

    longest_pause = 2.0
    """Seconds; the pause between two tries doubles up to it."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._queue: SimpleQueue[Outcome | None] = SimpleQueue()
        self._running = 0
        """Threads that were started."""
        self._deciding = threading.Lock()
        self._undecided: dict[int, Outcome] = {}
        """The results that are neither accepted nor refused so far."""
        self._refused: list[tuple[Outcome, str]] = []
        self._failing_since: float | None = None
        self._given_up: str | None = None

    def send(self, outcome: Outcome, resends: int) -> str | None:
        """Try once. Return why the receiver refused the result, or None.

        `resends` counts the earlier tries, of which each may have arrived.

        Raises NotDelivered when there is no answer of the receiver.
        """
        raise NotImplementedError

    def submit(self, outcome: Outcome) -> None:
        """Queue a result; where no thread can be started, send it."""
        is_behind = not self._queue.empty()
        self._undecided[id(outcome)] = outcome
        self._queue.put(outcome)
        if self._running < self.senders and (is_behind or not self._running):
            self._running += 1  # before the thread reads it
            try:
                threading.Thread(target=self._work, daemon=True).start()
            except RuntimeError:  # the limit of the system; tried again for the next result
                self._running -= 1
        if not self._running:
            self._work()

    def wait(self, deadline: Deadline) -> None:
        """Wait until all queued results are sent, or the deadline passes."""
        wait_until(lambda: not self._undecided, deadline, _ROUND_SECONDS)

    def complete(self, missing: int) -> None:
        """Write what depends on all results; `missing` services have none. Not after a signal."""

    def finish(self) -> list[tuple[Outcome, str]]:
        """Send no more. Return the results that were not accepted, and why."""
        with self._deciding:
            self._given_up = self._given_up or "the sweep ended first"
            late = [(outcome, self._given_up) for outcome in self._undecided.values()]
        for _ in range(self._running):
            self._queue.put(None)
        self.close()
        return self._refused + late

    def close(self) -> None:
        """Release connections or a file."""

    def _work(self) -> None:
        """Send results: a thread until `finish`, the caller of `submit` until none is queued."""
        while self._running or not self._queue.empty():
            outcome = self._queue.get()
            if outcome is None:
                break
            refusal = self._sent(outcome)
            with self._deciding:
                del self._undecided[id(outcome)]
                if refusal is not None:
                    self._refused.append((outcome, refusal))
        end_helper()

    def _sent(self, outcome: Outcome) -> str | None:
        """Send a result until it is answered. Return why it was not accepted, or None.

        All results wait together for a receiver that does not answer: after that every result is
        refused at once, for the same reason.
        """
        pause = min(_FIRST_PAUSE_SECONDS, self.longest_pause)
        resends = 0
        while self._given_up is None:
            try:
                refusal = self.send(outcome, resends)
            except NotDelivered as error:
                self._failing_since = self._failing_since or Clock()
                is_late = Clock() - self._failing_since >= PATIENCE_SECONDS
                if error.is_final or is_late or self._deadline.left() <= pause:
                    self._given_up = str(error)
                else:
                    time.sleep(pause)
                    pause = min(2 * pause, self.longest_pause)
                    resends += 1
            except Exception as error:  # a bug; without its text, which may contain a secret
                return f"internal error ({type(error).__name__})"
            else:
                self._failing_since = None
                return refusal
        return self._given_up


def open_target(wanted: SubmitTarget, deadline: Deadline) -> Target:
    """Return the wanted target. Raises ProbeError (config) when it cannot be used."""
    module = import_module(f"check_pop3_plus.sweep.targets.{wanted.name}_target")
    target: Target = module.Target(wanted.location, deadline)
    return target
