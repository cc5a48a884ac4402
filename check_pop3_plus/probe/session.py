"""One session on one stream, top to bottom, no state machine (RFC 1939, 2449, 2595).

Facts go into a `Session`; `ProbeError` is raised when the session ends early. Thresholds
and states are not known here.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.model.failures import Kind, Phase, ProbeError, config_error
from check_pop3_plus.model.report import MailboxFacts, Note, Session
from check_pop3_plus.model.sanitised_text import printable, sanitise
from check_pop3_plus.model.settings import Security, Verify
from check_pop3_plus.net.tls_errors import CertificateRejected
from check_pop3_plus.net.transport import Stream
from check_pop3_plus.pop3 import grammar
from check_pop3_plus.probe.connection import (
    Connection,
    needs_replies,
    quit_session,
    read_capabilities,
    read_capabilities_in_tls,
    read_greeting,
    request_stls,
)
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
    """Run a whole session; `deadline` replaces the one of the stream after the greeting.

    `may_log_in` is called right before a login: only one session of an attempt may log in.

    Raises ProbeError; the facts up to then are in `session`.
    """
    settings, context = prerequisites.settings, prerequisites.context
    connection = Connection(stream, settings, session, prerequisites.sanitise)
    phase = session.timeline.phase
    try:
        if context and settings.tls.security is Security.IMPLICIT:
            with phase(Phase.TLS):
                connection.start_tls(context)
                require_certificate(connection)
        with phase(Phase.GREETING):
            read_greeting(connection)
        stream.deadline = deadline
        is_stls = context is not None and settings.tls.security is Security.STLS
        known = None
        # After STLS in any case: the list from before TLS must not be used (RFC 2595 section 4),
        # and with TLS 1.3 a server may refuse a client certificate only now.
        for_login = settings.login and settings.login.needs_capabilities
        if context and is_stls:
            had_worked = upgrade(connection, context)
            known = read_capabilities_in_tls(connection, had_worked)
        elif for_login or settings.assertions.capabilities:
            known = read_capabilities(connection)
        if settings.login and log_in(connection, prerequisites, known, may_log_in):
            _look_into_mailbox(connection, prerequisites, known)
    finally:
        unexpected = quit_session(connection) if connection.is_usable else None
    if unexpected and needs_replies(settings):
        session.timeline.failed = Phase.QUIT
        raise unexpected
    if unexpected:
        session.notes.append(Note(unexpected.kind, printable("server {}", unexpected.message)))


def _look_into_mailbox(
    connection: Connection, prerequisites: Prerequisites, known: grammar.Capabilities | None
) -> None:
    """Read the size of the mailbox, and of messages what is wanted. Raises ProbeError."""
    session = connection.session
    with session.timeline.phase(Phase.STAT):
        mailbox = stat_mailbox(connection)
    if prerequisites.mailbox_work:
        prerequisites.mailbox_work.look_through(connection, mailbox, known)
    elif prerequisites.settings.thresholds.need_headers:
        from check_pop3_plus.probe import message_headers

        with session.timeline.phase(Phase.TOP):
            session.dates = message_headers.read_dates(connection, mailbox, known)


def upgrade(connection: Connection, context: "ssl.SSLContext") -> bool:
    """Change to TLS by STLS, or fail: there is no fallback to plain text (RFC 2595 section 4).

    Returns whether the server answered CAPA before.

    Raises ProbeError: no-stls, injected, and what a handshake raises.
    """
    offered = read_capabilities(connection)
    with connection.session.timeline.phase(Phase.STLS):
        if offered is not None and not offered.has("STLS"):
            raise ProbeError(Kind.NO_STLS, "does not offer STLS")
        request_stls(connection)
        # Data after the reply is not protected, and would be read as if received inside TLS.
        if connection.unsolicited():
            connection.is_usable = False
            if connection.doubt and connection.has_pending_list():
                raise connection.doubt.if_shifted
            raise ProbeError(Kind.INJECTED, "sent plain data after the STLS reply (injection?)")
    connection.session.capabilities = connection.session.offered = None
    with connection.session.timeline.phase(Phase.TLS):
        try:
            connection.start_tls(context)
            require_certificate(connection)
        except ProbeError as error:
            if error.kind is Kind.CLOSED:
                raise ProbeError(Kind.TLS, "accepted STLS and then {}", error.message) from error
            raise
    return offered is not None


def log_in(
    connection: Connection,
    prerequisites: Prerequisites,
    known: grammar.Capabilities | None,
    may_log_in: Callable[[], bool],
) -> bool:
    """Log in once; a second attempt after a rejection could lock the account.

    Returns False if another session of the attempt has logged in already.

    Raises ProbeError: no-mechanism, and every kind of `refusals.login_kind`.
    """
    from check_pop3_plus.pop3 import login, refusals

    wanted = connection.settings.login
    assert wanted is not None  # noqa: S101 - checked by the caller
    with connection.session.timeline.phase(Phase.LOGIN):
        _require_verified_link(connection)
        encrypted = connection.stream.encrypted
        try:
            method = login.choose_mechanism(wanted.mechanism, known, encrypted)
        except ProbeError as error:
            # It quotes the mechanisms offered, which may contain a secret.
            raise ProbeError(error.kind, "{}", connection.sanitise(error.message)) from error
        if not may_log_in():
            return False
        greeting = connection.session.greeting or b""
        steps = login.begin(
            method, wanted, prerequisites.secret, connection.settings.target, greeting
        )
        connection.names += login.names_said(wanted, prerequisites.secret)
        if not prerequisites.is_maskable:
            connection.sanitise = grammar.only_code
            connection.session.replies_hidden = True
        connection.session.login_began = True
        reply, command = _run_steps(connection, steps)
        if not reply.ok:
            connection.session.may_log_in_again = (
                command.before_secret or refusals.promises_right_password(reply)
            )
            kind = _refusal_kind(connection, known, reply, command)
            raise login.refused(reply, wanted.username, kind, encrypted, connection.sanitise)
    connection.doubt = None
    connection.session.logged_in_as = sanitise(wanted.username)
    return True


def _refusal_kind(
    connection: Connection,
    known: grammar.Capabilities | None,
    reply: grammar.Reply,
    command: grammar.Command,
) -> Kind:
    """Return the kind of a refused login.

    If its words demand TLS inside TLS, CAPA tells whether TLS ends in front of the server; it is
    asked now if it was not needed before.
    """
    from check_pop3_plus.pop3 import login, refusals

    names = connection.names
    kind = refusals.login_kind(reply, command, may_demand_tls=True, names=names)
    if kind is not Kind.CLEARTEXT_REFUSED or not connection.stream.encrypted:
        return kind
    if known is None:
        # The login was refused, whatever becomes of this question.
        with suppress(ProbeError):
            asked = connection.request(grammar.command(b"CAPA"), has_body=True)
            known = grammar.parse_capabilities(asked.body) if asked.ok else None
    if known is not None and login.demands_tls_itself(known):
        return kind
    return refusals.login_kind(reply, command, may_demand_tls=False, names=names)


def _run_steps(
    connection: Connection, steps: "login.Steps"
) -> tuple[grammar.Reply, grammar.Command]:
    """Send the commands of a login method; return the reply that ended it, and to what."""
    try:
        command = next(steps)
        while True:
            try:
                reply = connection.request(command)
            except ProbeError as error:
                # A method that has just cancelled its exchange raises its reason instead.
                command = steps.throw(error)
            else:
                # A hostile server can choose how long the computation of a proof takes.
                command = run_with_deadline(partial(steps.send, reply), connection.stream.deadline)
    except StopIteration as end:
        last: grammar.Reply = end.value
        return last, command


def _require_verified_link(connection: Connection) -> None:
    """Refuse to send a secret over a link that is not verified, unless the user allowed it.

    `options` refuses such settings; this is the last safeguard. Raises ProbeError (config).
    """
    tls = connection.session.tls
    login_wanted = connection.settings.login
    allowed = login_wanted is not None and login_wanted.allow_insecure
    if not allowed and not (connection.stream.encrypted and tls and tls.verified):
        raise config_error("no password is sent over a link that is not verified TLS")


def require_certificate(connection: Connection) -> None:
    """Check the pins, and the strength of the certificates if TLS 1.1 is allowed.

    No POP3 byte is sent before. TLS 1.1 needs security level 0, at which OpenSSL also accepts weak
    certificates.

    Raises CertificateRejected: pin, weak.
    """
    from check_pop3_plus.certificate import reader

    policy, session = connection.settings.tls, connection.session
    assert session.tls is not None  # noqa: S101 - set by start_tls
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
        session.ended = None  # no reply has been evaluated
        kind, message = refused
        raise CertificateRejected(kind, session.tls, message)


def stat_mailbox(connection: Connection) -> MailboxFacts:
    """Record and return the number and size of the messages (RFC 1939 section 5).

    Raises ProbeError: mailbox; another kind if the server withdraws the login.
    """
    from check_pop3_plus.pop3 import refusals

    # Dovecot sends `+OK Logged in.` and, if the mailbox cannot be opened, an `-ERR` right after it.
    withdrawn = connection.unsolicited()
    reply = connection.read_reply() if withdrawn else connection.request(grammar.command(b"STAT"))
    if not reply.ok:
        kind, reason = refusals.stat_kind(reply, connection.names), connection.reason(reply)
        if kind is not Kind.MAILBOX:
            raise ProbeError(kind, "withdrew the login: {}", reason)
        raise ProbeError(kind, "cannot read the mailbox: {}", reason)
    numbers = None if withdrawn else grammar.parse_stat(reply.text)
    if numbers is None:
        text = connection.sanitise(reply.text) or "(nothing)"
        raise ProbeError(Kind.MAILBOX, "sent a malformed STAT reply: {}", text)
    connection.session.mailbox = MailboxFacts(*numbers)
    return connection.session.mailbox
