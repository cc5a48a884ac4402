"""Submit results one by one, and retry while the receiver restarts."""

import time

from check_pop3_plus.support.deadline import Clock, Deadline
from check_pop3_plus.sweep.run import Outcome

PATIENCE_SECONDS = 10.0
"""How long a receiver may fail after the last accepted result: a reload of a large Icinga
configuration and a restart of Nagios take a few seconds."""

_FIRST_PAUSE_SECONDS = 0.1


class NotDelivered(Exception):
    """A result did not reach the receiver."""

    def __init__(self, reason: str, is_final: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_final = is_final
        """Whether no retry can help, also not for other results."""


class RetryingTarget:
    """A receiver that results are submitted to; a subclass implements `send`."""

    longest_pause = 2.0
    """Seconds; the pause between two tries doubles up to it."""

    def __init__(self, deadline: Deadline) -> None:
        self._deadline = deadline
        self._accepted_at: float | None = None
        self._given_up: str | None = None

    def send(self, outcome: Outcome) -> str | None:
        """Try once. Return why the receiver refused the result, or None.

        Raises NotDelivered when there is no answer of the receiver.
        """
        raise NotImplementedError

    def submit(self, outcome: Outcome) -> str | None:
        """Submit a result. Return why it was not accepted, or None.

        Waits for a receiver that does not answer once, not once per result: after that every
        result is refused at once, for the same reason.
        """
        pause = min(_FIRST_PAUSE_SECONDS, self.longest_pause)
        if self._accepted_at is None:
            self._accepted_at = Clock()
        while self._given_up is None:
            try:
                refusal = self.send(outcome)
            except NotDelivered as error:
                is_late = Clock() - self._accepted_at > PATIENCE_SECONDS
                if error.is_final or is_late or self._deadline.left() <= pause:
                    self._given_up = error.reason
                else:
                    time.sleep(pause)
                    pause = min(2 * pause, self.longest_pause)
            else:
                self._accepted_at = Clock()
                return refusal
        return self._given_up
