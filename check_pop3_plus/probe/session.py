"""One conversation on one stream, written as a straight story (RFC 1939, 2449, 2595).

It writes down facts into an `Attempt` and raises `ProbeError` where the story ends early. It
knows no thresholds and no states.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from check_pop3_plus.model.failures import CertificateRejected, Kind, Phase, ProbeError
from check_pop3_plus.model.report import Attempt, MailboxFacts
from check_pop3_plus.model.sanitised_text import Printable, clean
from check_pop3_plus.model.settings import Security, Verify
from check_pop3_plus.net.transport import Stream
from check_pop3_plus.pop3 import grammar
from check_pop3_plus.probe.connection import Conversation, capabilities, greet, say_goodbye
from check_pop3_plus.probe.prerequisites import Means
from check_pop3_plus.support.deadline import Deadline, in_time

if TYPE_CHECKING:
    import ssl

    from check_pop3_plus.pop3 import login


def converse(
    stream: Stream,
    attempt: Attempt,
    means: Means,
    deadline: Deadline,
    may_log_in: Callable[[], bool],
) -> None:
    """Hold the whole conversation. `deadline` takes over once the server has greeted.

    `may_log_in` is asked right before a login: of several conversations one may.

    Raises ProbeError; what was learnt before stands in `attempt`.
    """
    settings, context = means.settings, means.context
    talk = Conversation(stream, settings, attempt, means.clean)
    phase = attempt.timeline.phase
    try:
        if context and settings.tls.security is Security.IMPLICIT:
            with phase(Phase.TLS):
                talk.start_tls(context)
                _require_certificate(talk)
        with phase(Phase.GREETING):
            greet(talk)
        stream.deadline = deadline
        is_stls = context is not None and settings.tls.security is Security.STLS
        if context and is_stls:
            upgrade(talk, context)
        known = None
        # After STLS in any case: what was said before it is worth nothing (RFC 2595 section 4),
        # and a server may refuse us only now (TLS 1.3 and client certificates).
        for_login = settings.login and settings.login.needs_capabilities
        if is_stls or for_login or settings.assertions.capabilities:
            known = capabilities(talk)
        if settings.login and log_in(talk, means, known, may_log_in):
            with phase(Phase.STAT):
                take_stock(talk)
    finally:
        if talk.is_usable:
            say_goodbye(talk)


def upgrade(talk: Conversation, context: "ssl.SSLContext") -> None:
    """Go from plain text to TLS (RFC 2595 section 4); once asked for it must succeed.

    Raises ProbeError: no-stls, injected, and what a handshake raises.
    """
    offered = capabilities(talk)
    with talk.attempt.timeline.phase(Phase.STLS):
        if offered is not None and not offered.has("STLS"):
            raise ProbeError(Kind.NO_STLS, Printable("does not offer STLS"))
        reply = talk.ask(grammar.command(b"STLS"))
        if not reply.ok:
            raise ProbeError(Kind.NO_STLS, Printable(f"refuses STLS: {talk.reason(reply)}"))
        # Whatever follows the reply was not protected, and would be read as if it had been.
        if talk.unasked():
            talk.is_usable = False
            raise ProbeError(
                Kind.INJECTED, Printable("sent plain data after the STLS reply (injection?)")
            )
    talk.attempt.capabilities = talk.attempt.offered = None
    with talk.attempt.timeline.phase(Phase.TLS):
        try:
            talk.start_tls(context)
            _require_certificate(talk)
        except ProbeError as error:
            if error.kind is Kind.CLOSED:
                error.kind = Kind.TLS
                error.message = Printable(f"accepted STLS and then {error.message}")
            raise


def log_in(
    talk: Conversation,
    means: Means,
    known: grammar.Capabilities | None,
    may_log_in: Callable[[], bool],
) -> bool:
    """Log in, once: a second try after a rejection would be a step towards a lock-out.

    Returns False where another conversation of the look has tried already.

    Raises ProbeError: no-mechanism, cleartext-refused, credentials, in-use, login-delay,
    temporary, permanent, client-certificate.
    """
    from check_pop3_plus.pop3 import login

    wanted = talk.settings.login
    assert wanted is not None  # noqa: S101 - who calls this has asked for a login
    _require_verified_link(talk)
    with talk.attempt.timeline.phase(Phase.LOGIN):
        encrypted = talk.stream.encrypted
        try:
            way = login.choose(wanted.mechanism, known, encrypted)
        except ProbeError as error:
            error.message = talk.clean(error.message)  # it quotes what the server offers
            raise
        if not may_log_in():
            return False
        greeting = talk.attempt.greeting or b""
        steps = login.begin(way, wanted, means.secret, talk.settings.target, greeting)
        if not means.is_maskable:
            talk.clean = grammar.only_code
        talk.attempt.login_began = True
        reply = _carry(talk, steps)
        if not reply.ok:
            kind = login.rejection(reply, encrypted)
            raise ProbeError(kind, login.described(reply, wanted.username, kind, talk.clean))
    talk.attempt.logged_in_as = clean(wanted.username)
    return True


def _carry(talk: Conversation, steps: "login.Steps") -> grammar.Reply:
    try:
        command = next(steps)
        while True:
            try:
                reply = talk.ask(command)
            except ProbeError as error:
                # Who has just cancelled an exchange knows better why it ended.
                command = steps.throw(error)
            else:
                # A proof may take long to compute, and a hostile server chooses how long.
                command = in_time(partial(steps.send, reply), talk.stream.deadline)
    except StopIteration as end:
        ended: grammar.Reply = end.value
        return ended


def _require_verified_link(talk: Conversation) -> None:
    """Refuse to send a secret over a link that is not verified, unless the user said so.

    `options` refuses such settings; this is the lock on the door itself.
    """
    tls = talk.attempt.tls
    login_wanted = talk.settings.login
    allowed = login_wanted is not None and login_wanted.allow_insecure
    if not allowed and not (talk.stream.encrypted and tls and tls.verified):
        raise ProbeError(
            Kind.CONFIG, Printable("no password is sent over a link that is not verified TLS")
        )


def _require_certificate(talk: Conversation) -> None:
    """Look at what of the certificate OpenSSL was not asked about, before a byte is sent.

    That is the pins, and the strength where TLS 1.1 is allowed: it needs security level 0, at
    which OpenSSL also takes weak certificates.

    Raises CertificateRejected: pin, weak.
    """
    from check_pop3_plus.certificate import reader

    policy, attempt = talk.settings.tls, talk.attempt
    assert attempt.tls is not None  # noqa: S101 - it has just been written down
    sent = attempt.tls.sent
    refused = None
    if policy.pins:
        leaf = reader.read(sent[0], talk.clean)
        if not {leaf.fingerprint, leaf.public_key} & set(policy.pins):
            refused = (Kind.PIN, "certificate is not one that is pinned")
    if policy.minimum == "1.1" and policy.verify is not Verify.NONE:
        facts = reader.read_chain(sent, attempt.tls.path, talk.clean)
        if any(each.weakness for each in facts.path):
            refused = (Kind.WEAK, "certificate is too weak")
    if refused:
        attempt.tls = attempt.tls.replace(verified=False)
        attempt.ended = None  # nothing that was said has been judged
        kind, message = refused
        raise CertificateRejected(kind, sent, message)


def take_stock(talk: Conversation) -> None:
    """Ask for messages and size (RFC 1939 section 5).

    Raises ProbeError: mailbox; temporary or permanent where the server takes the login back.
    """
    from check_pop3_plus.pop3 import login

    # Dovecot says `+OK Logged in.` and, when the mailbox cannot be opened, at once an `-ERR`.
    withdrawn = talk.unasked()
    reply = talk.reply() if withdrawn else talk.ask(grammar.command(b"STAT"))
    if not reply.ok:
        kind, reason = login.kind_of_code(reply.code), talk.reason(reply)
        if kind is not None:
            raise ProbeError(kind, Printable(f"withdrew the login: {reason}"))
        raise ProbeError(Kind.MAILBOX, Printable(f"cannot read the mailbox: {reason}"))
    numbers = None if withdrawn else grammar.parse_stat(reply.text)
    if numbers is None:
        said = talk.clean(reply.text) or "(nothing)"
        raise ProbeError(Kind.MAILBOX, Printable(f"sent a malformed STAT reply: {said}"))
    talk.attempt.mailbox = MailboxFacts(*numbers)
