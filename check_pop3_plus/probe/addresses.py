"""Probe the addresses of a server, one after another or in parallel, into one report.

One after another, each address gets an equal share of the remaining time for its greeting, and the
first that works ends the attempt. In parallel, each gets all of the time, and one of them logs in.
A `ProbeError` ends one session, never the run. Nothing here relies on the main thread.
"""

import threading
import time

from check_pop3_plus.model.failures import (
    DeadlineExceeded,
    Failure,
    Kind,
    Phase,
    ProbeError,
    config_error,
)
from check_pop3_plus.model.report import Address, Note, Report, Session, Timeline
from check_pop3_plus.model.sanitised_text import Printable, printable, sanitise
from check_pop3_plus.model.settings import Assertions
from check_pop3_plus.model.stopped import Stopped
from check_pop3_plus.net import resolve, transport
from check_pop3_plus.net.transport import Stream
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.probe.session import run_session
from check_pop3_plus.support.deadline import Clock, Deadline, run_with_deadline

PARALLEL_LIMIT = 128
"""Most addresses probed in parallel: each needs a thread and a connection."""

_NO_ASSERTIONS = Assertions()

_GRACE_SECONDS = 0.05
"""Time after the deadline to record which session was late."""


def probe_addresses(prerequisites: Prerequisites, deadline: Deadline) -> Report:
    """Make one attempt and return its report; never raises because of a server.

    It runs in a thread, which is abandoned when it is late: a hostile server can keep OpenSSL busy
    inside one call, which neither a socket timeout nor a signal ends (a flood of HelloRequest
    or NewSessionTicket does so, and a Diffie-Hellman group of 9,999 bits for 2 s). A plain check of
    a sweep runs in the thread that it has already, which no signal reaches: its calls are bounded
    by the timeout of the socket, and another thread would be a tenth of its cost.
    """
    attempt = _Attempt(prerequisites, deadline)
    try:
        prerequisites.prepare(deadline)
        work = prerequisites.mailbox_work
        last = max(deadline.at, work.end.at) if work else deadline.at
        if prerequisites.is_limited and not prerequisites.context:
            attempt.probe()
        else:
            run_with_deadline(attempt.probe, Deadline(last + _GRACE_SECONDS))
    except DeadlineExceeded as error:
        if attempt.sessions:
            attempt.abandon()
        else:
            attempt.failure = error.failure(attempt.timeline.failed)
    except ProbeError as error:
        attempt.failure = error.failure(attempt.timeline.failed)
    except Stopped:
        seconds = f"{Clock() - attempt.created:.0f}"
        message = printable("stopped from outside after {} s", seconds)
        attempt.failure = Failure(Kind.STOPPED, attempt.phase(), message)
    return attempt.report()


class _Attempt:
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
        self._login = threading.Lock()
        self._streams: list[Stream] = []

    def probe(self) -> None:
        self.began = Clock()
        with self.timeline.phase(Phase.RESOLVE):
            self.addresses = resolve.look_up(self.settings.target, self.deadline)
        self.prerequisites.admit(self.addresses)
        if self.settings.target.all_addresses:
            self._probe_in_parallel(self.addresses)
        else:
            self._probe_in_turn(self.addresses[: transport.ADDRESS_LIMIT])

    def _probe_in_turn(self, addresses: tuple[Address, ...]) -> None:
        for position, address in enumerate(addresses):
            session = Session(address)
            self.sessions.append(session)
            self._probe(session, self.deadline.share(len(addresses) - position))
            if session.failure is None:
                self._note_partial(session)
                return
            is_local = session.failure.kind is Kind.CONFIG
            if session.login_began or is_local or not self.deadline.left():
                break
        # The last session is the evaluated one.
        furthest = self._furthest()
        self.sessions.sort(key=lambda session: session is furthest)

    def _probe_in_parallel(self, addresses: tuple[Address, ...]) -> None:
        """Probe each address in a separate thread, and wait for all of them."""
        if len(addresses) > PARALLEL_LIMIT:
            raise config_error(
                "{} addresses are more than {} at a time", len(addresses), PARALLEL_LIMIT
            )
        self.sessions = [Session(address) for address in addresses]
        bugs: list[BaseException] = []

        def work(session: Session) -> None:
            try:
                self._probe(session, self.deadline)
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

    def _probe(self, session: Session, share: Deadline) -> None:
        """Run one session; a failure is recorded in it."""
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
            from check_pop3_plus.probe import side_probes

            session.failure = side_probes.explain_failure(
                error, session, self.prerequisites, self.deadline
            )
        else:
            if self.settings.assertions != _NO_ASSERTIONS:
                from check_pop3_plus.probe import side_probes

                session.notes += side_probes.failed_assertions(
                    session.address, self.prerequisites, self.deadline
                )
                side_probes.add_certificates(session, self.prerequisites, self.deadline)
                for each in session.of_other_types:
                    self._read_certificates(each)
                    session.notes += (note for note in each.notes if note not in session.notes)
        self._read_certificates(session)
        session.is_over = True

    def _read_certificates(self, session: Session) -> None:
        """Read the certificates: outside of the phases, but within the deadline of the attempt."""
        if session.tls:
            from check_pop3_plus.certificate import reader

            made, mask = session.tls, self.prerequisites.sanitise
            session.chain = reader.read_chain(
                made.sent, made.path, mask, made.verify_code, made.trusted
            )
            if session.chain.defects:
                message = f"certificate violates RFC 5280: {', '.join(session.chain.defects)}"
                session.notes.append(Note(Kind.NOT_STRICT, sanitise(message)))

    def abandon(self) -> None:
        """Abandon the sessions that are late, and record the phase of each.

        Their threads continue with the old records, which are no longer read.
        """
        for position, session in enumerate(self.sessions):
            if not session.is_over:
                phase = session.timeline.current
                late = self.sessions[position] = Session(session.address)
                late.timeline.laps += session.timeline.laps
                late.login_began = session.login_began
                message = printable("no answer")
                late.failure = Failure(Kind.TIMEOUT, phase, message, is_late=True)
        for stream in self._streams:
            stream.abort()

    def _note_partial(self, working: Session) -> None:
        failed = [
            printable("{} {}", session.address, session.failure.kind.value)
            for session in self.sessions
            if session.failure
        ]
        if failed:
            counts = (len(failed), len(self.sessions))
            which = printable(", ".join(["{}"] * len(failed)), *failed)
            text = printable("{} of {} addresses tried failed ({})", *counts, which)
            working.notes.append(Note(Kind.PARTIAL, text))

    def _furthest(self) -> Session:
        """Return the session that reached the most phases: its failure is the most specific.

        Of equals, the last one: the sessions stay in the order tried.
        """
        return max(reversed(self.sessions), key=lambda session: len(session.timeline.laps))

    def _may_log_in(self) -> bool:
        """Return whether no session has logged in yet: one login per attempt."""
        return self._login.acquire(blocking=False)

    def phase(self) -> Phase | None:
        timelines = [self.timeline, *(session.timeline for session in self.sessions)]
        return next((line.current for line in reversed(timelines) if line.current), None)

    def report(self) -> Report:
        is_parallel = self.settings.target.all_addresses
        evaluated = tuple(self.sessions if is_parallel else self.sessions[-1:])
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
            notes=(*self.prerequisites.notes, *self._left_out()),
        )

    def _left_out(self) -> list[Printable]:
        """Return a note about addresses that are never tried."""
        resolved, tried = len(self.addresses), transport.ADDRESS_LIMIT
        if self.settings.target.all_addresses or resolved <= tried:
            return []
        return [printable("of {} addresses only the first {} are tried", resolved, tried)]
