"""All addresses into one report of facts.

One after another, or side by side. One after another, each address gets an equal share of the
time that is left until it has greeted, and the first that works ends the look. Side by side, each
gets all of it, and one of them logs in. A `ProbeError` ends one attempt, never the run. Nothing
here relies on the main thread.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TypeVar

from check_pop3_plus import asides, certificate, session, text, tls, transport
from check_pop3_plus.conversation import Conversation, say_goodbye
from check_pop3_plus.failures import (
    Failure,
    Kind,
    Phase,
    ProbeError,
    Stopped,
    config_error,
)
from check_pop3_plus.means import Means
from check_pop3_plus.report import Address, Attempt, Note, Report
from check_pop3_plus.text import Printable
from check_pop3_plus.timing import Clock, Deadline, Timeline

_T = TypeVar("_T")

LEGACY_SECONDS = 2.0
"""Longest second handshake, which tells an old server from a broken one."""

TOGETHER_LIMIT = 128
"""Addresses probed side by side: each is a thread and a connection."""

_GRACE_SECONDS = 0.05
"""How long a thread may take, after its deadline, to write down that it was late."""


def run(means: Means, deadline: Deadline) -> Report:
    """Take one look and return what was seen; never raises for what a server does."""
    look = _Look(means, deadline)
    try:
        means.prepare(deadline)
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

    def __init__(self, means: Means, deadline: Deadline) -> None:
        self.settings = means.settings
        self.means = means
        self.deadline = deadline
        self.timeline = Timeline()
        self.began: float | None = None
        self.addresses: tuple[Address, ...] = ()
        self.attempts: list[Attempt] = []
        self.failure: Failure | None = None
        self._login = threading.Semaphore()

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
        """Try each address in a thread of its own, and wait for all of them.

        A daemon thread, because executors are joined at exit. One that is late all the same is
        left behind, and so is what it writes.
        """
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
            raise config_error("cannot start a thread for each address", error) from error
        end = Deadline(self.deadline.at + _GRACE_SECONDS)
        for position, thread in enumerate(threads):
            thread.join(end.left())
            if thread.is_alive():
                phase = self.attempts[position].timeline.current
                late = self.attempts[position] = Attempt(addresses[position])
                late.failure = Failure(Kind.TIMEOUT, phase, Printable("no answer in time"))
        if bugs:
            raise bugs[0]

    def _try(self, attempt: Attempt, share: Deadline) -> None:
        """Make one attempt; a failure is written down in it."""
        attempt.began = Clock()
        try:
            with attempt.timeline.phase(Phase.CONNECT):
                source = self.settings.target.source_address
                stream = transport.connect(attempt.address, source, share)
            try:
                session.converse(stream, attempt, self.means, self.deadline, self._may_log_in)
            finally:
                stream.close()
        except ProbeError as error:
            attempt.failure = self._explained(error, attempt)
        else:
            self._try_assertions(attempt)

    def _try_assertions(self, working: Attempt) -> None:
        """Find out, on connections of their own, what the server must not do.

        A conversation that breaks down proves nothing, and that is said: no false OK.
        """
        wanted, context = self.settings.assertions, self.means.context
        if wanted.refuses_cleartext:
            self._note(working, Kind.CLEARTEXT_ACCEPTED, asides.try_cleartext)
        if wanted.resists_injection and context:
            self._note(working, Kind.INJECTABLE, partial(asides.try_injection, context=context))
        if wanted.rejects_legacy_tls:
            self._try_legacy_tls(working)

    def _try_legacy_tls(self, working: Attempt) -> None:
        accepted = []
        for version in tls.LEGACY_VERSIONS:
            if not tls.can_offer(version):
                message = f"TLS {version} cannot be offered by the TLS library of this machine"
                working.notes.append(Note(Kind.CONFIG, Printable(f"{message}: not tried")))
            elif self._answer(
                working, Kind.LEGACY_TLS, partial(asides.goes_along, version=version)
            ):
                accepted.append(version)
        if accepted:
            message = f"still accepts TLS {' and '.join(accepted)}"
            working.notes.append(Note(Kind.LEGACY_TLS, Printable(message)))

    def _note(
        self, working: Attempt, kind: Kind, ask: Callable[[Conversation], Printable | None]
    ) -> None:
        """Ask aside for what is wrong, and write it down."""
        wrong = self._answer(working, kind, ask)
        if wrong:
            working.notes.append(Note(kind, wrong))

    def _answer(self, working: Attempt, kind: Kind, ask: Callable[[Conversation], _T]) -> _T | None:
        """Return what a talk aside comes to, or None where it breaks down."""
        try:
            with self._aside(working.address, self.deadline) as talk:
                return ask(talk)
        except ProbeError as error:
            message = f"an assertion ({kind.value}) could not be tried: {error.message}"
            working.notes.append(Note(error.kind, Printable(message), is_failure=True))
            return None

    @contextmanager
    def _aside(self, address: Address, limit: Deadline) -> Iterator[Conversation]:
        """Hold another conversation with an address."""
        stream = transport.connect(address, self.settings.target.source_address, limit)
        talk = Conversation(stream, self.settings, Attempt(address), self.means.clean)
        try:
            yield talk
            if talk.is_usable:
                say_goodbye(talk)
        finally:
            stream.close()

    def _explained(self, error: ProbeError, attempt: Attempt) -> Failure:
        """Return the failure, told apart further where a second handshake can do it.

        A server with nothing but old TLS may answer a modern handshake with an alert that
        says nothing, or just hang up (Dovecot does). If it does shake hands on the old terms,
        that is the reason. No POP3 byte is sent over such a link.
        """
        context = self.means.context
        unclear = error.kind in (Kind.TLS, Kind.CLOSED) and error.phase is Phase.TLS
        if unclear and attempt.tls is None and context and self.deadline.left():
            limit = self.deadline.within(min(LEGACY_SECONDS, self.deadline.left() / 2))
            with suppress(ProbeError), self._aside(attempt.address, limit) as talk:
                agreed = asides.agreed_on_legacy_terms(talk, context)
                talk.is_usable = False
                if agreed:
                    return Failure(Kind.OLD_TLS, Phase.TLS, Printable(f"offers only {agreed}"))
        return error.failure()

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
        for attempt in self.attempts:
            if attempt.tls:
                attempt.chain = certificate.read_chain(
                    attempt.tls.sent, attempt.tls.path, self.means.clean
                )
                if attempt.chain.defects:
                    message = f"not clean by RFC 5280: {', '.join(attempt.chain.defects)}"
                    attempt.notes.append(Note(Kind.NOT_STRICT, text.clean(message)))
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
