"""All addresses into one report of facts.

One after another, or side by side. One after another, each address gets an equal share of the
time that is left until it has greeted, and the first that works ends the look. Side by side, each
gets all of it, and one of them logs in. A `ProbeError` ends one attempt, never the run. Nothing
here relies on the main thread.
"""

import threading
import time

from check_pop3_plus.model import sanitised_text
from check_pop3_plus.model.failures import (
    DeadlineExceeded,
    Failure,
    Kind,
    Phase,
    ProbeError,
    config_error,
)
from check_pop3_plus.model.report import Address, Attempt, Note, Report, Timeline
from check_pop3_plus.model.sanitised_text import Printable
from check_pop3_plus.model.settings import Assertions
from check_pop3_plus.model.stopped import Stopped
from check_pop3_plus.net import transport
from check_pop3_plus.net.transport import Stream
from check_pop3_plus.probe import session
from check_pop3_plus.probe.prerequisites import Means
from check_pop3_plus.support.deadline import Clock, Deadline, in_time

TOGETHER_LIMIT = 128
"""Addresses probed side by side: each is a thread and a connection."""

_GRACE_SECONDS = 0.05
"""How long it may take, after the deadline, to write down what was late."""


def run(means: Means, deadline: Deadline) -> Report:
    """Take one look and return what was seen; never raises for what a server does.

    In a thread, which is left behind where it is late: a hostile server can keep OpenSSL busy
    inside one call, which neither a socket timeout nor a signal ends (a flood of HelloRequest
    or NewSessionTicket does so, and a Diffie-Hellman group of 9,999 bits for 2 s).
    """
    look = _Look(means, deadline)
    try:
        means.prepare(deadline)
        in_time(look.take, Deadline(deadline.at + _GRACE_SECONDS))
    except DeadlineExceeded as error:
        if look.attempts:
            look.give_up()
        else:
            look.failure = error.failure()
    except ProbeError as error:
        look.failure = error.failure()
    except Stopped:
        message = Printable(f"stopped from outside after {Clock() - look.created:.0f} s")
        look.failure = Failure(Kind.STOPPED, look.phase(), message)
    return look.report()


class _Look:
    """One look while it goes on."""

    def __init__(self, means: Means, deadline: Deadline) -> None:
        self.settings = means.settings
        self.means = means
        self.deadline = deadline
        self.created = Clock()
        self.timeline = Timeline()
        self.began: float | None = None
        self.addresses: tuple[Address, ...] = ()
        self.attempts: list[Attempt] = []
        self.failure: Failure | None = None
        self._login = threading.Semaphore()
        self._streams: list[Stream] = []

    def take(self) -> None:
        self.began = Clock()
        with self.timeline.phase(Phase.RESOLVE):
            self.addresses = transport.resolve(self.settings.target, self.deadline)
        if self.settings.target.all_addresses:
            self._take_together(self.addresses)
        else:
            self._take_in_turn(self.addresses[: transport.ADDRESS_LIMIT])

    def _take_in_turn(self, addresses: tuple[Address, ...]) -> None:
        for position, address in enumerate(addresses):
            attempt = Attempt(address)
            self.attempts.append(attempt)
            self._try(attempt, self.deadline.share(len(addresses) - position))
            if attempt.failure is None:
                self._note_partial(attempt)
                return
            is_ours = attempt.failure.kind is Kind.CONFIG
            if attempt.login_began or is_ours or not self.deadline.left():
                break
        # The one that the verdict is about comes last, as the one that worked would.
        furthest = self._furthest()
        self.attempts.sort(key=lambda attempt: attempt is furthest)

    def _take_together(self, addresses: tuple[Address, ...]) -> None:
        """Try each address in a thread of its own, and wait for all of them."""
        if len(addresses) > TOGETHER_LIMIT:
            message = f"{len(addresses)} addresses are more than {TOGETHER_LIMIT} at a time"
            raise ProbeError(Kind.CONFIG, Printable(message))
        self.attempts = [Attempt(address) for address in addresses]
        bugs: list[BaseException] = []

        def work(attempt: Attempt) -> None:
            try:
                self._try(attempt, self.deadline)
            except BaseException as error:
                bugs.append(error)

        threads = [
            threading.Thread(target=work, args=(attempt,), daemon=True) for attempt in self.attempts
        ]
        try:
            for thread in threads:
                thread.start()
        except RuntimeError as error:
            raise config_error("cannot start a thread for each address", cause=error) from error
        for thread in threads:
            thread.join()
        if bugs:
            raise bugs[0]

    def _try(self, attempt: Attempt, share: Deadline) -> None:
        """Make one attempt; a failure is written down in it."""
        attempt.began = Clock()
        try:
            with attempt.timeline.phase(Phase.CONNECT):
                source = self.settings.target.source_address
                stream = transport.connect(attempt.address, source, share)
            self._streams.append(stream)
            try:
                session.converse(stream, attempt, self.means, self.deadline, self._may_log_in)
            finally:
                stream.close()
        except ProbeError as error:
            from check_pop3_plus.probe import assertions

            attempt.failure = assertions.explained(error, attempt, self.means, self.deadline)
        else:
            if self.settings.assertions != Assertions():
                from check_pop3_plus.probe import assertions

                attempt.notes += assertions.broken(attempt.address, self.means, self.deadline)
        self._read_certificates(attempt)
        attempt.is_over = True

    def _read_certificates(self, attempt: Attempt) -> None:
        """Read what was sent, off every clock of the conversation but within the look's time."""
        if attempt.tls:
            from check_pop3_plus.certificate import reader

            sent, path = attempt.tls.sent, attempt.tls.path
            attempt.chain = reader.read_chain(sent, path, self.means.clean)
            if attempt.chain.defects:
                message = f"not clean by RFC 5280: {', '.join(attempt.chain.defects)}"
                attempt.notes.append(Note(Kind.NOT_STRICT, sanitised_text.clean(message)))

    def give_up(self) -> None:
        """Leave behind what is late, and note where each attempt was.

        What a thread still writes goes into an attempt that nobody reads any more.
        """
        for position, attempt in enumerate(self.attempts):
            if not attempt.is_over:
                phase = attempt.timeline.current
                late = self.attempts[position] = Attempt(attempt.address)
                late.timeline.laps += attempt.timeline.laps
                late.login_began = attempt.login_began
                late.failure = Failure(Kind.TIMEOUT, phase, Printable("no answer in time"))
        for stream in self._streams:
            stream.abort()

    def _note_partial(self, working: Attempt) -> None:
        failed = [
            f"{attempt.address} {attempt.failure.kind.value}"
            for attempt in self.attempts
            if attempt.failure
        ]
        if failed:
            which = ", ".join(failed)
            message = f"{len(failed)} of {len(self.attempts)} addresses tried failed ({which})"
            working.notes.append(Note(Kind.PARTIAL, Printable(message)))

    def _furthest(self) -> Attempt:
        """Return the attempt that came furthest: of several failures it tells most.

        The last of equals, so that the order tried stays as it is in what is told.
        """
        return max(reversed(self.attempts), key=lambda attempt: len(attempt.timeline.laps))

    def _may_log_in(self) -> bool:
        """Return whether nobody has logged in yet: one login attempt a look."""
        return self._login.acquire(blocking=False)

    def phase(self) -> Phase | None:
        """Return the phase that is going on."""
        timelines = [self.timeline, *(attempt.timeline for attempt in self.attempts)]
        return next((line.current for line in reversed(timelines) if line.current), None)

    def report(self) -> Report:
        together = self.settings.target.all_addresses
        judged = tuple(self.attempts if together else self.attempts[-1:])
        ended = max((attempt.ended for attempt in judged if attempt.ended), default=None)
        return Report(
            attempts=tuple(self.attempts),
            judged=judged,
            resolve=self.timeline.laps[0] if self.timeline.laps else None,
            failure=self.failure,
            elapsed=ended - self.began if ended and self.began is not None else None,
            clock=time.time(),
            deployed=self.means.deployed,
            addresses=self.addresses,
        )
