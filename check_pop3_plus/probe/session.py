"""One conversation on one stream, written as a straight story (RFC 1939, 2449, 2595).

It writes down facts into an `Attempt` and raises `ProbeError` where the story ends early. It
knows no thresholds and no states.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from check_pop3_plus.model.failures import CertificateRejected, Kind, Phase, ProbeError
from check_pop3_plus.model.report import MailboxFacts, Session
from check_pop3_plus.model.sanitised_text import Printable, sanitise
from check_pop3_plus.model.settings import Security, Verify
from check_pop3_plus.net.transport import Stream
from check_pop3_plus.pop3 import grammar
from check_pop3_plus.probe.connection import Connection, capabilities, quit_session, read_greeting
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.support.deadline import Deadline, run_with_deadline

if TYPE_CHECKING:
    import ssl

    from check_pop3_plus.pop3 import login


def run_session(
    stream: Stream,
    session: Session,
    prerequisites: Prerequisites,
    deadline: Deadline,
    may_log_in: Callable[[], bool],
) -> None:
    """Hold the whole conversation. `deadline` takes over once the server has greeted.

    `may_log_in` is asked right before a login: of several conversations one may.

    Raises ProbeError; what was learnt before stands in `attempt`.
    """
    settings, context = prerequisites.settings, prerequisites.context
    connection = Connection(stream, settings, session, prerequisites.sanitise)
    phase = session.timeline.phase
    try:
        if context and settings.tls.security is Security.IMPLICIT:
            with phase(Phase.TLS):
                connection.start_tls(context)
                _require_certificate(connection)
        with phase(Phase.GREETING):
            read_greeting(connection)
        stream.deadline = deadline
        is_stls = context is not None and settings.tls.security is Security.STLS
        if context and is_stls:
            upgrade(connection, context)
        known = None
        # After STLS in any case: what was said before it is worth nothing (RFC 2595 section 4),
        # and a server may refuse us only now (TLS 1.3 and client certificates).
        for_login = settings.login and settings.login.needs_capabilities
        if is_stls or for_login or settings.assertions.capabilities:
            known = capabilities(connection)
        if settings.login and log_in(connection, prerequisites, known, may_log_in):
            with phase(Phase.STAT):
                stat_mailbox(connection)
    finally:
        if connection.is_usable:
            quit_session(connection)


def upgrade(connection: Connection, context: "ssl.SSLContext") -> None:
    """Go from plain text to TLS (RFC 2595 section 4); once asked for it must succeed.

    Raises ProbeError: no-stls, injected, and what a handshake raises.
    """
    offered = capabilities(connection)
    with connection.session.timeline.phase(Phase.STLS):
        if offered is not None and not offered.has("STLS"):
            raise ProbeError(Kind.NO_STLS, Printable("does not offer STLS"))
        reply = connection.ask(grammar.command(b"STLS"))
        if not reply.ok:
            raise ProbeError(Kind.NO_STLS, Printable(f"refuses STLS: {connection.reason(reply)}"))
        # Whatever follows the reply was not protected, and would be read as if it had been.
        if connection.unsolicited():
            connection.is_usable = False
            raise ProbeError(
                Kind.INJECTED, Printable("sent plain data after the STLS reply (injection?)")
            )
    connection.session.capabilities = connection.session.offered = None
    with connection.session.timeline.phase(Phase.TLS):
        try:
            connection.start_tls(context)
            _require_certificate(connection)
        except ProbeError as error:
            if error.kind is Kind.CLOSED:
                raise ProbeError(Kind.TLS, "accepted STLS and then {}", error.message) from error
            raise


def log_in(
    connection: Connection,
    prerequisites: Prerequisites,
    known: grammar.Capabilities | None,
    may_log_in: Callable[[], bool],
) -> bool:
    """Log in, once: a second try after a rejection would be a step towards a lock-out.

    Returns False where another conversation of the look has tried already.

    Raises ProbeError: no-mechanism, cleartext-refused, credentials, in-use, login-delay,
    temporary, permanent, client-certificate.
    """
    from check_pop3_plus.pop3 import login

    wanted = connection.settings.login
    assert wanted is not None  # noqa: S101 - who calls this has asked for a login
    with connection.session.timeline.phase(Phase.LOGIN):
        _require_verified_link(connection)
        encrypted = connection.stream.encrypted
        try:
            method = login.choose_mechanism(wanted.mechanism, known, encrypted)
        except ProbeError as error:
            # It quotes what the server offers, which may have a secret in it.
            raise ProbeError(error.kind, "{}", connection.sanitise(error.message)) from error
        if not may_log_in():
            return False
        greeting = connection.session.greeting or b""
        steps = login.begin(
            method, wanted, prerequisites.secret, connection.settings.target, greeting
        )
        if not prerequisites.is_maskable:
            connection.sanitise = grammar.only_code
            connection.session.replies_hidden = True
        connection.session.login_began = True
        reply = _carry(connection, steps)
        if not reply.ok:
            kind = login.rejection(reply, encrypted)
            raise ProbeError(
                kind, login.described(reply, wanted.username, kind, connection.sanitise)
            )
    connection.session.logged_in_as = sanitise(wanted.username)
    return True


def _carry(connection: Connection, steps: "login.Steps") -> grammar.Reply:
    try:
        command = next(steps)
        while True:
            try:
                reply = connection.ask(command)
            except ProbeError as error:
                # Who has just cancelled an exchange knows better why it ended.
                command = steps.throw(error)
            else:
                # A proof may take long to compute, and a hostile server chooses how long.
                command = run_with_deadline(partial(steps.send, reply), connection.stream.deadline)
    except StopIteration as end:
        ended: grammar.Reply = end.value
        return ended


def _require_verified_link(connection: Connection) -> None:
    """Refuse to send a secret over a link that is not verified, unless the user said so.

    `options` refuses such settings; this is the lock on the door itself.
    """
    tls = connection.session.tls
    login_wanted = connection.settings.login
    allowed = login_wanted is not None and login_wanted.allow_insecure
    if not allowed and not (connection.stream.encrypted and tls and tls.verified):
        raise ProbeError(
            Kind.CONFIG, Printable("no password is sent over a link that is not verified TLS")
        )


def _require_certificate(connection: Connection) -> None:
    """Look at what of the certificate OpenSSL was not asked about, before a byte is sent.

    That is the pins, and the strength where TLS 1.1 is allowed: it needs security level 0, at
    which OpenSSL also takes weak certificates.

    Raises CertificateRejected: pin, weak.
    """
    from check_pop3_plus.certificate import reader

    policy, session = connection.settings.tls, connection.session
    assert session.tls is not None  # noqa: S101 - it has just been written down
    sent = session.tls.sent
    refused = None
    if policy.pins:
        leaf = reader.read(sent[0], connection.sanitise)
        if not {leaf.fingerprint, leaf.public_key} & set(policy.pins):
            refused = (Kind.PIN, "certificate is not one that is pinned")
    if policy.minimum == "1.1" and policy.verify is not Verify.NONE:
        facts = reader.read_chain(sent, session.tls.path, connection.sanitise)
        if any(each.weakness for each in facts.path):
            refused = (Kind.WEAK, "certificate is too weak")
    if refused:
        session.tls = session.tls.replace(verified=False)
        session.ended = None  # nothing that was said has been judged
        kind, message = refused
        raise CertificateRejected(kind, sent, message)


def stat_mailbox(connection: Connection) -> None:
    """Ask for messages and size (RFC 1939 section 5).

    Raises ProbeError: mailbox; temporary or permanent where the server takes the login back.
    """
    from check_pop3_plus.pop3 import login

    # Dovecot says `+OK Logged in.` and, when the mailbox cannot be opened, at once an `-ERR`.
    withdrawn = connection.unsolicited()
    reply = connection.reply() if withdrawn else connection.ask(grammar.command(b"STAT"))
    if not reply.ok:
        kind, reason = login.kind_of_code(reply.code), connection.reason(reply)
        if kind is not None:
            raise ProbeError(kind, Printable(f"withdrew the login: {reason}"))
        raise ProbeError(Kind.MAILBOX, Printable(f"cannot read the mailbox: {reason}"))
    numbers = None if withdrawn else grammar.parse_stat(reply.text)
    if numbers is None:
        said = connection.sanitise(reply.text) or "(nothing)"
        raise ProbeError(Kind.MAILBOX, Printable(f"sent a malformed STAT reply: {said}"))
    connection.session.mailbox = MailboxFacts(*numbers)
