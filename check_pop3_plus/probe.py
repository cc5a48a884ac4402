"""All addresses, one after another, into one report of facts.

Each address gets an equal share of the time that is left until it has greeted; the first that
works ends the look. A `ProbeError` ends one attempt, never the run. No state is shared between
attempts, and nothing here relies on the main thread.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from check_pop3_plus import certificate, credentials, session, text, tls, transport
from check_pop3_plus.failures import Failure, Kind, Phase, ProbeError, Stopped
from check_pop3_plus.report import Address, Attempt, Note, Report
from check_pop3_plus.settings import Secret, Security, Settings
from check_pop3_plus.text import Cleaner, Printable
from check_pop3_plus.timing import Clock, Deadline, Timeline

if TYPE_CHECKING:
    import ssl

LEGACY_SECONDS = 2.0
"""Longest second handshake, which tells an old server from a broken one."""


def run(settings: Settings, deadline: Deadline, secret: Secret | None = None) -> Report:
    """Take one look and return what was seen; never raises for what a server does.

    `secret` is given where it was asked for on the terminal; else it is read from its source.
    """
    look = _Look(settings, deadline)
    try:
        look.prepare(secret)
        look.take()
    except ProbeError as error:
        look.failure = error.failure()
    except Stopped:
        seconds = Clock() - look.began if look.began is not None else 0
        message = Printable(f"stopped from outside after {seconds:.0f} s")
        look.failure = Failure(Kind.STOPPED, look.phase(), message)
    return look.report()


class _Look:
    """One look while it goes on."""

    def __init__(self, settings: Settings, deadline: Deadline) -> None:
        self.settings = settings
        self.deadline = deadline
        self.clean: Cleaner = text.clean
        self.secret: Secret | None = None
        self.context: ssl.SSLContext | None = None
        self.timeline = Timeline()
        self.began: float | None = None
        self.attempts: list[Attempt] = []
        self.failure: Failure | None = None

    def prepare(self, secret: Secret | None) -> None:
        """Do before any clock of the conversation what would otherwise spoil its numbers."""
        login = self.settings.login
        if login and login.needs_secret:
            if login.source.grant:
                from check_pop3_plus import oauth  # for HTTP, which no other check pays for

                secrets = oauth.fetch(login.source.grant, self.deadline)
            else:
                secrets = (secret or credentials.read(login.source, self.deadline),)
            self.secret = secrets[0]
            self.clean = text.cleaner(secret.reveal() for secret in secrets)
        if self.settings.tls.security is not Security.PLAIN:
            certificate.prepare()
            self.context = tls.context(self.settings.tls)

    def take(self) -> None:
        self.began = Clock()
        with self.timeline.phase(Phase.RESOLVE):
            addresses = transport.resolve(self.settings.target, self.deadline)
        tried = addresses[: transport.ADDRESS_LIMIT]
        for position, address in enumerate(tried):
            attempt = Attempt(address)
            self.attempts.append(attempt)
            share = self.deadline.share(len(tried) - position)
            try:
                self._attempt(attempt, share)
            except ProbeError as error:
                attempt.failure = self._explained(error, attempt)
                if attempt.login_began or error.kind is Kind.CONFIG or not self.deadline.left():
                    break
            else:
                self._try_assertions(attempt)
                self._note_partial(attempt)
                return
        self.failure = self._furthest().failure

    def _attempt(self, attempt: Attempt, share: Deadline) -> None:
        with attempt.timeline.phase(Phase.CONNECT):
            stream = transport.connect(attempt.address, self.settings.target.source_address, share)
        try:
            session.converse(
                stream,
                self.settings,
                attempt,
                self.context,
                self.secret,
                self.clean,
                self.deadline,
            )
        finally:
            stream.close()

    def _try_assertions(self, working: Attempt) -> None:
        """Find out, on connections of their own, what the server must not do.

        A conversation that breaks down proves nothing, and that is said: no false OK.
        """
        wanted = self.settings.assertions
        try:
            if wanted.refuses_cleartext:
                with self._aside(working) as talk:
                    how = session.try_cleartext(talk)
                if how:
                    working.notes.append(Note(Kind.CLEARTEXT_ACCEPTED, how))
            if wanted.resists_injection and self.context:
                with self._aside(working) as talk:
                    how = session.try_injection(talk, self.context)
                if how:
                    working.notes.append(Note(Kind.INJECTABLE, how))
        except ProbeError as error:
            message = f"an assertion could not be tried: {error.message}"
            working.notes.append(Note(error.kind, Printable(message)))

    @contextmanager
    def _aside(self, attempt: Attempt) -> Iterator[session.Conversation]:
        """Hold another conversation with the address of an attempt."""
        source = self.settings.target.source_address
        stream = transport.connect(attempt.address, source, self.deadline)
        talk = session.Conversation(stream, self.settings, Attempt(attempt.address), self.clean)
        try:
            yield talk
            if talk.is_usable:
                session.say_goodbye(talk)
        finally:
            stream.close()

    def _explained(self, error: ProbeError, attempt: Attempt) -> Failure:
        """Return the failure, told apart further where a second handshake can do it.

        A server with nothing but old TLS may answer a modern handshake with an alert that
        says nothing, or just hang up (Dovecot does). If it does shake hands on the old terms,
        that is the reason. No POP3 byte is sent over such a link.
        """
        unclear = error.kind in (Kind.TLS, Kind.CLOSED) and error.phase is Phase.TLS
        if unclear and attempt.tls is None and self.context and self.deadline.left():
            agreed = self._legacy_handshake(attempt.address, self.context)
            if agreed:
                return Failure(Kind.OLD_TLS, Phase.TLS, Printable(f"offers only {agreed}"))
        return error.failure()

    def _legacy_handshake(self, address: Address, modern: "ssl.SSLContext") -> Printable | None:
        limit = self.deadline.within(min(LEGACY_SECONDS, self.deadline.left() / 2))
        try:
            stream = transport.connect(address, self.settings.target.source_address, limit)
        except ProbeError:
            return None
        try:
            return session.agreed_on_legacy_terms(stream, self.settings, modern)
        except ProbeError:
            return None
        finally:
            stream.close()

    def _note_partial(self, working: Attempt) -> None:
        failed = [attempt for attempt in self.attempts if attempt.failure]
        if failed:
            which = ", ".join(
                f"{attempt.address} {attempt.failure.kind.value}"
                for attempt in failed
                if attempt.failure
            )
            message = f"{len(failed)} of {len(self.attempts)} addresses tried failed ({which})"
            working.notes.append(Note(Kind.PARTIAL, Printable(message)))

    def _furthest(self) -> Attempt:
        """Return the attempt that came furthest: of several failures it tells most.

        The last of equals, so that the order tried stays as it is in what is told.
        """
        return max(reversed(self.attempts), key=lambda attempt: len(attempt.timeline.laps))

    def phase(self) -> Phase | None:
        """Return the phase that is going on."""
        timelines = [self.timeline, *(attempt.timeline for attempt in self.attempts)]
        return next((line.current for line in reversed(timelines) if line.current), None)

    def report(self) -> Report:
        for attempt in self.attempts:
            if attempt.tls:
                attempt.certificates = certificate.read_chain(attempt.tls.chain, self.clean)
        if self.failure and self.attempts:
            # The one that the failure is about is told last, as the one that worked would be.
            furthest = self._furthest()
            self.attempts.sort(key=lambda attempt: attempt is furthest)
        ended = self.attempts[-1].ended if self.attempts else None
        return Report(
            attempts=tuple(self.attempts),
            resolve=self.timeline.laps[0] if self.timeline.laps else None,
            failure=self.failure,
            elapsed=ended - self.began if ended and self.began is not None else None,
            now=datetime.now(timezone.utc),
        )
