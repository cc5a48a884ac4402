"""Side probes: extra checks, each on a separate connection.

They explain a failed handshake, and test the assertions about the server. An assertion whose
session fails is reported as not tested: no false OK. They use no real credentials, and send no POP3
byte after a handshake with legacy TLS.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.model.failures import (
    DeadlineExceeded,
    Failure,
    Kind,
    Phase,
    ProbeError,
    is_shortage,
)
from check_pop3_plus.model.report import Address, Note, Session, TlsFacts
from check_pop3_plus.model.sanitised_text import Printable, printable
from check_pop3_plus.model.settings import Security
from check_pop3_plus.net import client_hello, tls, tls_errors, transport
from check_pop3_plus.pop3 import grammar
from check_pop3_plus.probe.connection import (
    Connection,
    quit_session,
    read_capabilities,
    read_greeting,
    request_stls,
)
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.probe.session import require_certificate
from check_pop3_plus.support.deadline import Deadline, run_with_deadline

if TYPE_CHECKING:
    import ssl
    from typing import TypeVar

    _T = TypeVar("_T")

LEGACY_SECONDS = 2.0
"""Longest second handshake, which tells an old server from a broken one."""


def on_separate_connection(
    address: Address,
    prerequisites: Prerequisites,
    limit: Deadline,
    work: "Callable[[Connection], _T]",
) -> "_T":
    """Return the result of `work` with a new connection to an address.

    It runs in a thread, because a server can keep OpenSSL busy inside one call. At the limit the
    connection is shut down; otherwise the thread would run as long as a sweep does. QUIT is sent
    if the session allows it.

    Raises what `work` and `transport.connect` raise; DeadlineExceeded at the limit.
    """
    stream = transport.connect(address, prerequisites.settings.target.source_address, limit)
    connection = Connection(
        stream, prerequisites.settings, Session(address), prerequisites.sanitise
    )

    def run() -> "_T":
        try:
            return work(connection)
        finally:
            if connection.is_usable:
                quit_session(connection)
            stream.close()

    try:
        return run_with_deadline(run, limit)
    except DeadlineExceeded:
        stream.abort()
        raise


# --- failed handshakes --------------------------------------------------------------------------


def explain_failure(
    error: ProbeError, session: Session, prerequisites: Prerequisites, deadline: Deadline
) -> Failure:
    """Return the failure of a session; of another kind if a second handshake finds the reason.

    A server that has only old TLS versions may answer a modern handshake with an alert that
    gives no reason, or close the connection (Dovecot does). If a handshake with legacy TLS
    succeeds, that is the reason. An alert about a certificate is about that of the client if the
    server requests one. No POP3 byte is sent over such a link.
    """
    is_tls = error.kind in (Kind.TLS, Kind.CLOSED) and session.timeline.failed is Phase.TLS
    explain: Callable[[Connection], ProbeError | None] | None = None
    if error.kind is Kind.TLS and error.reason in tls_errors.ABOUT_CLIENT_CERTIFICATE:
        explain = requested_certificate
    elif is_tls and session.tls is None and prerequisites.context:
        explain = partial(legacy_parameters, modern=prerequisites.context)
    if explain and deadline.left():
        limit = deadline.within(min(LEGACY_SECONDS, deadline.left() / 2))
        with suppress(ProbeError):
            error = on_separate_connection(session.address, prerequisites, limit, explain) or error
    return error.failure(session.timeline.failed)


def requested_certificate(connection: Connection) -> ProbeError | None:
    """Return the error for a missing or refused client certificate if one is requested."""
    seen: list[bool] = []
    _prepare_handshake(connection)
    with suppress(ProbeError):
        connection.start_tls(tls.asking_context(seen))
    return tls_errors.client_certificate_error() if seen else None


def legacy_parameters(connection: Connection, modern: "ssl.SSLContext") -> ProbeError | None:
    """Return the error for what a handshake with legacy TLS agrees on, unless `modern` allows it.

    Raises ProbeError when the handshake fails.
    """
    agreed = _shake_hands(connection, tls.legacy_context())
    if agreed.version is None:
        return None
    shown = printable("{} with {}", agreed.version, agreed.cipher)
    if agreed.version.removeprefix("TLSv") < connection.settings.tls.minimum:
        return ProbeError(Kind.OLD_TLS, "offers only {}", shown)
    if agreed.cipher in {cipher["name"] for cipher in modern.get_ciphers()}:
        return None
    cure = "enable ECDHE ciphers with AES-GCM or ChaCha20 on the server"
    return ProbeError(Kind.OLD_TLS, "shares no cipher with this check, only {}", shown, cure=cure)


def agreed_on(connection: Connection, version: str) -> Printable:
    """Return the cipher of a handshake that offers only one TLS version, with legacy ciphers.

    Raises ProbeError when the handshake fails.
    """
    agreed = _shake_hands(connection, tls.legacy_context(version))
    return printable("{}", agreed.cipher or "an unknown cipher")


def _prepare_handshake(connection: Connection) -> None:
    """Send STLS before the handshake if the settings demand it (RFC 2595 section 4)."""
    if connection.settings.tls.security is Security.STLS:
        read_greeting(connection)
        request_stls(connection)


def _shake_hands(connection: Connection, context: "ssl.SSLContext") -> TlsFacts:
    """Do a handshake and return what it agreed on. Raises ProbeError when it fails."""
    _prepare_handshake(connection)
    return connection.start_tls(context)


# --- assertions ---------------------------------------------------------------------------------


def failed_assertions(
    address: Address, prerequisites: Prerequisites, deadline: Deadline
) -> list[Note]:
    """Return a note for each assertion that does not hold, or could not be tested."""
    wanted, context = prerequisites.settings.assertions, prerequisites.context
    notes: list[Note] = []

    def result(kind: Kind, test: "Callable[[Connection], _T]") -> "_T | None":
        """Return the result of a side probe; None, and a note, if it fails."""
        try:
            return on_separate_connection(address, prerequisites, deadline, test)
        except ProbeError as error:
            reason = error.message_with_origin
            text = printable("an assertion ({}) could not be tried: {}", kind.value, reason)
            notes.append(Note(error.kind, text, True, is_shortage(error)))
            return None

    def add(kind: Kind, violation: Printable | None) -> None:
        if violation:
            notes.append(Note(kind, printable("server {}", violation)))

    if wanted.refuses_cleartext:
        kind = Kind.CLEARTEXT_ACCEPTED
        add(kind, result(kind, partial(find_cleartext, is_tried=wanted.tries_cleartext)))
    if wanted.resists_injection and context:
        add(Kind.INJECTABLE, result(Kind.INJECTABLE, partial(try_injection, context=context)))
    accepted = set()
    for version in client_hello.LEGACY_VERSIONS if wanted.rejects_legacy_tls else ():
        answer = result(Kind.LEGACY_TLS, partial(try_legacy_version, version=version))
        if answer == CLOSED and context:
            # If it was a limit on connections, not the version, this fails, too.
            result(Kind.LEGACY_TLS, partial(require_handshake, context=context))
        elif answer:
            accepted.add(answer)
    if accepted:
        add(Kind.LEGACY_TLS, printable("still accepts {}", " and ".join(sorted(accepted))))
    return notes


def add_certificates(session: Session, prerequisites: Prerequisites, deadline: Deadline) -> None:
    """Add to a session those of the key types that the settings want.

    Each is a handshake of TLS 1.2, verified; no POP3 command follows it.
    """
    wanted = prerequisites.settings.assertions.cert_types
    for each in wanted:
        other = _handshake_for(each, session.address, prerequisites, deadline)
        # The same certificate is evaluated once.
        is_same = session.tls and other.tls and session.tls.sent[:1] == other.tls.sent[:1]
        if other.failure and other.failure.kind is Kind.OLD_TLS and len(wanted) > 1:
            text = printable("{} key type: server {}", each.upper(), other.failure.message)
            session.notes.append(Note(Kind.OLD_TLS, text))
        elif other.failure or not is_same:
            session.of_other_types.append(other)


def _handshake_for(
    cert_type: str, address: Address, prerequisites: Prerequisites, deadline: Deadline
) -> Session:
    """Return the session of a handshake with certificates of one key type."""
    found = Session(address)

    def work(connection: Connection) -> None:
        nonlocal found
        found = connection.session
        _prepare_handshake(connection)
        with found.timeline.phase(Phase.TLS):
            policy = connection.settings.tls.replace(cert_type=cert_type)
            connection.start_tls(tls.context(policy))
            require_certificate(connection)

    try:
        on_separate_connection(address, prerequisites, deadline, work)
    except ProbeError as error:
        is_handshake = found.timeline.failed is Phase.TLS and found.tls is None
        if is_handshake and error.kind in (Kind.TLS, Kind.OLD_TLS, Kind.CLOSED):
            error = _missing(cert_type.upper(), error)
        found.failure = error.failure(found.timeline.failed)
    found.cert_type = cert_type
    return found


def _missing(cert_type: str, error: ProbeError) -> ProbeError:
    """Return the error for a server without TLS 1.2, or without a certificate of a type."""
    if error.reason == tls_errors.WRONG_VERSION:
        cure = "enable TLS 1.2 on the server, or leave out --cert-type"
        return ProbeError(Kind.OLD_TLS, "speaks no TLS 1.2, as --cert-type needs", cure=cure)
    cure = f"give the server an {cert_type} certificate, or use --cert-type both"
    text = "sends no {} certificate with TLS 1.2: {}"
    return ProbeError(Kind.OLD_TLS, text, cert_type, error.message, cure=cure)


CLOSED = "closed"


def try_legacy_version(connection: Connection, version: str) -> str:
    """Offer only one legacy TLS version, and return the version that the server accepts.

    "" if it refuses by an alert, `CLOSED` if it closes the connection, as Dovecot does: other
    reasons for that are excluded by `require_handshake`.

    Raises ProbeError when nothing can be concluded.
    """
    _prepare_handshake(connection)
    connection.is_usable = False  # no POP3 byte follows
    connection.stream.send(client_hello.legacy(version, connection.settings.tls.name))
    data = b""
    while (answer := client_hello.answer(data)) is None:
        try:
            received = connection.stream.receive()
        except ProbeError as error:
            if error.kind is Kind.CLOSED:
                return CLOSED
            raise
        if not received:
            return CLOSED
        data += received
    return answer


def require_handshake(connection: Connection, context: "ssl.SSLContext") -> None:
    """Do a modern handshake. Raises ProbeError when it fails."""
    _shake_hands(connection, context)
    if connection.settings.tls.security is Security.IMPLICIT:
        read_greeting(connection)


CLEARTEXT_USER = b"check_pop3_plus"
"""A user that does not exist: no real credentials are needed to test for cleartext logins."""


def find_cleartext(connection: Connection, is_tried: bool) -> Printable | None:
    """Return how a login without TLS is offered or, where it `is_tried`, accepted; or None.

    A server that accepts USER may still refuse PASS without TLS, so a password is sent, too; user
    and password do not exist. Raises ProbeError when the session fails.
    """
    from check_pop3_plus.pop3 import login, refusals
    from check_pop3_plus.sasl.mechanisms import CLEARTEXT

    read_greeting(connection)
    known = read_capabilities(connection)
    if known is not None and known.has("USER"):
        return printable("offers USER before TLS")
    plain = [name for name in CLEARTEXT if known and name in login.sasl_mechanisms(known)]
    if plain:
        return printable("offers {} before TLS", " ".join(plain))
    if not is_tried:
        if known is None:
            hint = "has no capability list; use --refuse-cleartext-login=try"
            raise ProbeError(Kind.NO_CAPABILITY, hint)
        return None
    reply = connection.request(grammar.command(b"USER", CLEARTEXT_USER))
    if not reply.ok:
        return None
    reply = connection.request(grammar.command(b"PASS", CLEARTEXT_USER, printable("***")))
    if not reply.ok and refusals.demands_tls(reply, (CLEARTEXT_USER, *connection.names)):
        return None
    return printable("takes a password before TLS")


def try_injection(connection: Connection, context: "ssl.SSLContext") -> Printable | None:
    """Send a command together with STLS; return its effect inside TLS, or None.

    A server that answers it inside TLS accepts commands injected by a man in the middle
    (CVE-2011-0411 and similar). One that closes the connection, as Dovecot does, is
    safe: the same upgrade without the command has just succeeded. Raises ProbeError when nothing
    can be concluded.
    """
    read_greeting(connection)
    both = grammar.command(b"STLS").wire + grammar.command(b"CAPA").wire
    reply = connection.request(grammar.Command(both, printable("STLS, CAPA")))
    if not reply.ok:
        return None
    connection.is_usable = False
    try:
        if connection.unsolicited():
            return None  # answered in plain text, as if sent before STLS: harmless
        connection.start_tls(context)
        connection.stream.send(grammar.command(b"QUIT").wire)
        first, second = connection.read_line(), connection.read_line()
    except ProbeError as error:
        # The server answered one command or none and closed, or the handshake failed.
        if error.kind in (Kind.CLOSED, Kind.TLS):
            return None
        raise
    return connection.sanitise(b"executes a command sent before TLS: " + first + b" " + second)
