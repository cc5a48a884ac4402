"""What is found out beside the check: why a handshake failed, and what a server must not do.

Each question has a connection of its own, within the deadline of the look. An assertion whose
conversation breaks down proves nothing, and that is said: no false OK.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from check_pop3_plus.model.failures import DeadlineExceeded, Failure, Kind, Phase, ProbeError
from check_pop3_plus.model.report import Address, Note, Session
from check_pop3_plus.model.sanitised_text import Printable
from check_pop3_plus.net import legacy_client_hello, transport
from check_pop3_plus.probe import side_probes
from check_pop3_plus.probe.connection import Connection, quit_session
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.support.deadline import Deadline, run_with_deadline

_T = TypeVar("_T")

LEGACY_SECONDS = 2.0
"""Longest second handshake, which tells an old server from a broken one."""


def explained(
    error: ProbeError, session: Session, prerequisites: Prerequisites, deadline: Deadline
) -> Failure:
    """Return the failure, told apart further where a second handshake can do it.

    A server with nothing but old TLS may answer a modern handshake with an alert that
    says nothing, or just hang up (Dovecot does). If it does shake hands on the old terms,
    that is the reason. No POP3 byte is sent over such a link.
    """
    unclear = error.kind in (Kind.TLS, Kind.CLOSED) and session.timeline.failed is Phase.TLS
    if unclear and session.tls is None and prerequisites.context and deadline.left():
        limit = deadline.within(min(LEGACY_SECONDS, deadline.left() / 2))
        ask = partial(side_probes.agreed_on_legacy_terms, modern=prerequisites.context)
        with suppress(ProbeError):
            agreed = _aside(session.address, prerequisites, limit, ask)
            if agreed:
                return Failure(Kind.OLD_TLS, Phase.TLS, Printable(f"offers only {agreed}"))
    return error.failure(session.timeline.failed)


def broken(address: Address, prerequisites: Prerequisites, deadline: Deadline) -> list[Note]:
    """Return a note for each assertion that does not hold, or could not be tried."""
    asked = _Questions(address, prerequisites, deadline)
    wanted, context = prerequisites.settings.assertions, prerequisites.context
    if wanted.refuses_cleartext:
        asked.whether(Kind.CLEARTEXT_ACCEPTED, side_probes.try_cleartext)
    if wanted.resists_injection and context:
        asked.whether(Kind.INJECTABLE, partial(side_probes.try_injection, context=context))
    if wanted.rejects_legacy_tls:
        asked.for_legacy_tls()
    return asked.notes


class _Questions:
    """The questions to one address, and what came of them."""

    def __init__(self, address: Address, prerequisites: Prerequisites, deadline: Deadline) -> None:
        self._address = address
        self._means = prerequisites
        self._deadline = deadline
        self.notes: list[Note] = []

    def whether(self, kind: Kind, ask: Callable[[Connection], Printable | None]) -> None:
        """Write down what is wrong, if anything is."""
        wrong = self._answer(kind, ask)
        if wrong:
            self.notes.append(Note(kind, wrong))

    def for_legacy_tls(self) -> None:
        kind, context = Kind.LEGACY_TLS, self._means.context
        accepted = set()
        for version in legacy_client_hello.LEGACY_VERSIONS:
            said = self._answer(kind, partial(side_probes.goes_along, version=version))
            if said == side_probes.HUNG_UP and context:
                # Is it the old version, or has it had enough of us? The latter breaks this, too.
                self._answer(kind, partial(side_probes.shakes_hands, context=context))
            elif said:
                accepted.add(said)
        if accepted:
            message = f"still accepts {' and '.join(sorted(accepted))}"
            self.notes.append(Note(kind, Printable(message)))

    def _answer(self, kind: Kind, ask: Callable[[Connection], _T]) -> _T | None:
        """Return what a talk aside comes to, or None where it breaks down."""
        try:
            return _aside(self._address, self._means, self._deadline, ask)
        except ProbeError as error:
            message = f"an assertion ({kind.value}) could not be tried: {error.message}"
            self.notes.append(Note(error.kind, Printable(message), is_failure=True))
            return None


def _aside(
    address: Address, prerequisites: Prerequisites, limit: Deadline, ask: Callable[[Connection], _T]
) -> _T:
    """Hold another conversation with an address, and return what it comes to.

    In a thread of its own: a server that keeps OpenSSL busy inside one call is left at the limit,
    and its connection ended, or the thread would go on for as long as a sweep.
    """
    stream = transport.connect(address, prerequisites.settings.target.source_address, limit)
    connection = Connection(
        stream, prerequisites.settings, Session(address), prerequisites.sanitise
    )

    def hold() -> _T:
        try:
            found = ask(connection)
            if connection.is_usable:
                quit_session(connection)
            return found
        finally:
            stream.close()

    try:
        return run_with_deadline(hold, limit)
    except DeadlineExceeded:
        stream.abort()
        raise
