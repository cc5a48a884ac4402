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
from check_pop3_plus.model.report import Address, Note, Report, Session, Timeline
from check_pop3_plus.model.sanitised_text import Printable
from check_pop3_plus.model.settings import Assertions
from check_pop3_plus.model.stopped import Stopped
from check_pop3_plus.net import resolve, transport
from check_pop3_plus.net.transport import Stream
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.probe.session import run_session
from check_pop3_plus.support.deadline import Clock, Deadline, run_with_deadline

TOGETHER_LIMIT = 128
"""Addresses probed side by side: each is a thread and a connection."""

_GRACE_SECONDS = 0.05
"""How long it may take, after the deadline, to write down what was late."""


def run(prerequisites: Prerequisites, deadline: Deadline) -> Report:
    """Take one look and return what was seen; never raises for what a server does.

    In a thread, which is left behind where it is late: a hostile server can keep OpenSSL busy
    inside one call, which neither a socket timeout nor a signal ends (a flood of HelloRequest
    or NewSessionTicket does so, and a Diffie-Hellman group of 9,999 bits for 2 s).
    """
    attempt = _Attempt(prerequisites, deadline)
    try:
        prerequisites.prepare(deadline)
        run_with_deadline(attempt.take, Deadline(deadline.at + _GRACE_SECONDS))
    except DeadlineExceeded as error:
        if attempt.sessions:
            attempt.abandon()
        else:
            attempt.failure = error.failure()
    except ProbeError as error:
        attempt.failure = error.failure()
    except Stopped:
        message = Printable(f"stopped from outside after {Clock() - attempt.created:.0f} s")
        attempt.failure = Failure(Kind.STOPPED, attempt.phase(), message)
    return attempt.report()


class _Attempt:
    """One look while it goes on."""

    def __init__(self, prerequisites: Prerequisites, deadline: Deadline) -> None:
        self.settings = prerequisites.settings
        self.prerequisites = prerequisites
        self.deadline = deadline
        self.created = Clock()
        self.timeline = Timeline()
        self.began: float | None = None
        self.addresses: tuple[Address, ...] = ()
        self.sessions: list[Session] = []
        self.failure: Failure | None = None
        self._login = threading.Semaphore()
        self._streams: list[Stream] = []

    def take(self) -> None:
        self.began = Clock()
        with self.timeline.phase(Phase.RESOLVE):
            self.addresses = resolve.look_up(self.settings.target, self.deadline)
        if self.settings.target.all_addresses:
            self._take_together(self.addresses)
        else:
            self._take_in_turn(self.addresses[: transport.ADDRESS_LIMIT])

    def _take_in_turn(self, addresses: tuple[Address, ...]) -> None:
        for position, address in enumerate(addresses):
            session = Session(address)
            self.sessions.append(session)
            self._try(session, self.deadline.share(len(addresses) - position))
            if session.failure is None:
                self._note_partial(session)
                return
            is_ours = session.failure.kind is Kind.CONFIG
            if session.login_began or is_ours or not self.deadline.left():
                break
        # The one that the verdict is about comes last, as the one that worked would.
        furthest = self._furthest()
        self.sessions.sort(key=lambda session: session is furthest)

    def _take_together(self, addresses: tuple[Address, ...]) -> None:
        """Try each address in a thread of its own, and wait for all of them."""
        if len(addresses) > TOGETHER_LIMIT:
            message = f"{len(addresses)} addresses are more than {TOGETHER_LIMIT} at a time"
            raise ProbeError(Kind.CONFIG, Printable(message))
        self.sessions = [Session(address) for address in addresses]
        bugs: list[BaseException] = []

        def work(session: Session) -> None:
            try:
                self._try(session, self.deadline)
            except BaseException as error:
                bugs.append(error)

        threads = [
            threading.Thread(target=work, args=(session,), daemon=True) for session in self.sessions
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

    def _try(self, session: Session, share: Deadline) -> None:
        """Make one attempt; a failure is written down in it."""
        session.began = Clock()
        try:
            with session.timeline.phase(Phase.CONNECT):
                source = self.settings.target.source_address
                stream = transport.connect(session.address, source, share)
            self._streams.append(stream)
            try:
                run_session(stream, session, self.prerequisites, self.deadline, self._may_log_in)
            finally:
                stream.close()
        except ProbeError as error:
            from check_pop3_plus.probe import assertions

            session.failure = assertions.explained(
                error, session, self.prerequisites, self.deadline
            )
        else:
            if self.settings.assertions != Assertions():
                from check_pop3_plus.probe import assertions

                session.notes += assertions.broken(
                    session.address, self.prerequisites, self.deadline
                )
        self._read_certificates(session)
        session.is_over = True

    def _read_certificates(self, session: Session) -> None:
        """Read what was sent, off every clock of the conversation but within the look's time."""
        if session.tls:
            from check_pop3_plus.certificate import reader

            sent, path = session.tls.sent, session.tls.path
            session.chain = reader.read_chain(sent, path, self.prerequisites.sanitise)
            if session.chain.defects:
                message = f"not clean by RFC 5280: {', '.join(session.chain.defects)}"
                session.notes.append(Note(Kind.NOT_STRICT, sanitised_text.sanitise(message)))

    def abandon(self) -> None:
        """Leave behind what is late, and note where each attempt was.

        What a thread still writes goes into an attempt that nobody reads any more.
        """
        for position, session in enumerate(self.sessions):
            if not session.is_over:
                phase = session.timeline.current
                late = self.sessions[position] = Session(session.address)
                late.timeline.laps += session.timeline.laps
                late.login_began = session.login_began
                late.failure = Failure(Kind.TIMEOUT, phase, Printable("no answer in time"))
        for stream in self._streams:
            stream.abort()

    def _note_partial(self, working: Session) -> None:
        failed = [
            f"{session.address} {session.failure.kind.value}"
            for session in self.sessions
            if session.failure
        ]
        if failed:
            which = ", ".join(failed)
            message = f"{len(failed)} of {len(self.sessions)} addresses tried failed ({which})"
            working.notes.append(Note(Kind.PARTIAL, Printable(message)))

    def _furthest(self) -> Session:
        """Return the attempt that came furthest: of several failures it tells most.

        The last of equals, so that the order tried stays as it is in what is told.
        """
        return max(reversed(self.sessions), key=lambda session: len(session.timeline.laps))

    def _may_log_in(self) -> bool:
        """Return whether nobody has logged in yet: one login attempt a look."""
        return self._login.acquire(blocking=False)

    def phase(self) -> Phase | None:
        """Return the phase that is going on."""
        timelines = [self.timeline, *(session.timeline for session in self.sessions)]
        return next((line.current for line in reversed(timelines) if line.current), None)

    def report(self) -> Report:
        together = self.settings.target.all_addresses
        evaluated = tuple(self.sessions if together else self.sessions[-1:])
        ended = max((session.ended for session in evaluated if session.ended), default=None)
        return Report(
            sessions=tuple(self.sessions),
            evaluated=evaluated,
            resolve=self.timeline.laps[0] if self.timeline.laps else None,
            failure=self.failure,
            elapsed=ended - self.began if ended and self.began is not None else None,
            clock=time.time(),
            deployed=self.prerequisites.deployed,
            addresses=self.addresses,
        )
