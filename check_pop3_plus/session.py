"""One conversation on one stream, written as a straight story (RFC 1939, 2449, 2595).

It writes down facts into an `Attempt` and raises `ProbeError` where the story ends early. It
knows no thresholds and no states. The first line of every reply is judged here, because the
next step depends on it; what it means for the service is judged in `contexts`.
"""

from typing import TYPE_CHECKING

from check_pop3_plus import certificate, login, pop3
from check_pop3_plus.failures import (
    CertificateRejected,
    DeadlineExceeded,
    Kind,
    Phase,
    ProbeError,
)
from check_pop3_plus.report import Address, Attempt, MailboxFacts, Note, TlsFacts
from check_pop3_plus.settings import Secret, Security, Settings, Verify
from check_pop3_plus.text import Cleaner, Printable, clean
from check_pop3_plus.timing import Clock, Deadline
from check_pop3_plus.tls import legacy_context
from check_pop3_plus.transport import Stream

if TYPE_CHECKING:
    import ssl

GOODBYE_SECONDS = 1.0
"""How long the answer to QUIT is waited for (contract, section 4)."""

_DIALOGUE_LIMIT = 200
"""Lines kept for `-vvv`; the longest story has about 40."""


class Conversation:
    """The wire in terms of commands and replies; every line also goes into the dialogue."""

    def __init__(
        self, stream: Stream, settings: Settings, attempt: Attempt, clean: Cleaner
    ) -> None:
        self.stream = stream
        self.settings = settings
        self.attempt = attempt
        self.clean = clean
        self.is_usable = True
        """Whether a QUIT would be understood: the peer is there, and no reply is half-read."""
        self._lines = pop3.LineBuffer()

    def ask(self, command: pop3.Command, has_body: bool = False) -> pop3.Reply:
        """Send a command and return its reply.

        Raises ProbeError (garbled) when something has arrived that nothing was asked for.
        """
        if self.unasked():
            raise ProbeError(Kind.GARBLED, Printable("sent data that nothing had asked for"))
        self.is_usable = False
        self._note("C: ", self.clean(command.shown))
        self.stream.send(command.wire)
        return self.reply(has_body, command.is_auth)

    def reply(self, has_body: bool = False, is_auth: bool = False) -> pop3.Reply:
        """Return the next reply, with its body where it has one.

        Raises ProbeError: closed, garbled, oversized; DeadlineExceeded.
        """
        self.is_usable = False
        line = self.line(pop3.AUTH_LINE_LIMIT if is_auth else pop3.LINE_LIMIT)
        reply = (pop3.parse_challenge(line) if is_auth else None) or pop3.parse_status(line)
        if reply is None:
            raise ProbeError(Kind.GARBLED, Printable(f"sent no POP3 reply: {self.clean(line)}"))
        if reply.ok and has_body:
            body = pop3.BodyReader()
            while not body.add(self.line()):
                pass
            reply = reply._replace(body=tuple(body.lines))
        self.attempt.ended = Clock()
        # Inside an exchange QUIT would be taken for a response.
        self.is_usable = reply.challenge is None
        return reply

    def line(self, limit: int = pop3.LINE_LIMIT) -> bytes:
        """Return the next line without its end."""
        while (line := self._lines.next_line(limit)) is None:
            try:
                data = self.stream.receive()
            except DeadlineExceeded as error:
                if self._lines.pending:
                    error.message = Printable("no complete answer in time")
                raise
            if not data:
                cut = "in the middle of a reply" if self._lines.pending else "without a reply"
                raise ProbeError(Kind.CLOSED, Printable(f"closed the connection {cut}"))
            self._lines.feed(data)
        self._note("S: ", self.clean(line))
        return line

    def unasked(self) -> bool:
        """Return whether something has arrived that no command asked for."""
        self._lines.feed(self.stream.arrived())
        return bool(self._lines.pending)

    def start_tls(self, context: "ssl.SSLContext") -> None:
        """Shake hands; all knowledge from before is dropped with the old buffer."""
        self.is_usable = False
        attempt = self.attempt
        try:
            attempt.tls = self.stream.start_tls(context, self.settings.tls.name)
        except CertificateRejected as error:
            attempt.tls = TlsFacts(None, None, error.chain, verified=False)
            raise
        self._lines = pop3.LineBuffer()
        attempt.ended = Clock()
        self.is_usable = True
        self._note("TLS: ", Printable(f"{attempt.tls.version} {attempt.tls.cipher}"))

    def _note(self, mark: str, text: Printable) -> None:
        if len(self.attempt.dialogue) < _DIALOGUE_LIMIT:
            self.attempt.dialogue.append(Printable(mark + text))


def converse(
    stream: Stream,
    settings: Settings,
    attempt: Attempt,
    context: "ssl.SSLContext | None",
    secret: Secret | None,
    clean: Cleaner,
    deadline: Deadline,
) -> None:
    """Hold the whole conversation. `deadline` takes over once the server has greeted.

    Raises ProbeError; what was learnt before stands in `attempt`.
    """
    talk = Conversation(stream, settings, attempt, clean)
    phase = attempt.timeline.phase
    try:
        if context and settings.tls.security is Security.IMPLICIT:
            with phase(Phase.TLS):
                talk.start_tls(context)
            _require_strength(talk)
        with phase(Phase.GREETING):
            greet(talk)
        stream.deadline = deadline
        is_stls = context is not None and settings.tls.security is Security.STLS
        if context and is_stls:
            upgrade(talk, context)
            _require_strength(talk)
        known = None
        # After STLS in any case: what was said before it is worth nothing (RFC 2595 section 4),
        # and a server may refuse us only now (TLS 1.3 and client certificates).
        for_login = settings.login and login.needs_capabilities(settings.login.mechanism)
        if is_stls or for_login or settings.assertions.capabilities:
            known = capabilities(talk)
        if settings.login:
            log_in(talk, secret, known)
            with phase(Phase.STAT):
                take_stock(talk)
    finally:
        if talk.is_usable:
            say_goodbye(talk)


def greet(talk: Conversation) -> None:
    """Read the greeting: one status line (RFC 1939 section 4).

    Raises ProbeError: greeting, greeting-temporary, garbled, closed, oversized.
    """
    talk.is_usable = False
    try:
        line = talk.line()
    except ProbeError as error:
        if error.kind is Kind.CLOSED:
            what = error.message.removesuffix(" without a reply")
            error.message = Printable(f"{what} before the greeting")
        raise
    talk.attempt.greeting = line
    talk.attempt.greeting_shown = talk.clean(line)
    talk.attempt.ended = Clock()
    reply = pop3.parse_status(line)
    if reply is None and line[:3] == b"+ok":
        # Seen in the wild; clients that compare without case accept it.
        note(talk, Kind.GARBLED, "greeting in lower case")
        reply = pop3.parse_status(b"+OK" + line[3:])
    if reply is None:
        guess = pop3.guess_protocol(line)
        looks = f"is not POP3, looks like {guess}" if guess else "sent a malformed greeting"
        raise ProbeError(Kind.GARBLED, Printable(f"{looks}: {talk.clean(line)}"))
    talk.is_usable = True
    if not reply.ok:
        kind = Kind.GREETING_TEMPORARY if reply.code == "SYS/TEMP" else Kind.GREETING
        raise ProbeError(kind, Printable(f"refuses service: {talk.clean(reply.text)}"))
    if talk.unasked():
        message = Printable("sent more than its greeting, unasked")
        if talk.settings.login or talk.settings.tls.security is Security.STLS:
            raise ProbeError(Kind.GARBLED, message)
        note(talk, Kind.GARBLED, message)


def capabilities(talk: Conversation) -> pop3.Capabilities | None:
    """Ask for the capabilities; None where the server does not know CAPA (RFC 2449 section 5)."""
    with talk.attempt.timeline.phase(Phase.CAPA):
        reply = talk.ask(pop3.command(b"CAPA"), has_body=True)
    if not reply.ok:
        return None
    talk.attempt.capabilities = tuple(talk.clean(line) for line in reply.body)
    known = pop3.parse_capabilities(reply.body)
    # Nobody offers STLS inside TLS; that it was used counts as offered.
    used = {("STLS", None)} if talk.settings.tls.security is Security.STLS else set()
    talk.attempt.offered = known.offered() | (used if talk.stream.encrypted else set())
    return known


def upgrade(talk: Conversation, context: "ssl.SSLContext") -> None:
    """Go from plain text to TLS (RFC 2595 section 4); once asked for it must succeed.

    Raises ProbeError: no-stls, injected, and what a handshake raises.
    """
    offered = capabilities(talk)
    with talk.attempt.timeline.phase(Phase.STLS):
        if offered is not None and not offered.has("STLS"):
            raise ProbeError(Kind.NO_STLS, Printable("does not offer STLS"))
        reply = talk.ask(pop3.command(b"STLS"))
        if not reply.ok:
            reason = talk.clean(reply.text) or "(no reason given)"
            raise ProbeError(Kind.NO_STLS, Printable(f"refuses STLS: {reason}"))
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
        except ProbeError as error:
            if error.kind is Kind.CLOSED:
                error.kind = Kind.TLS
                error.message = Printable(f"accepted STLS and then {error.message}")
            raise


def log_in(talk: Conversation, secret: Secret | None, known: pop3.Capabilities | None) -> None:
    """Log in, once: a second try after a rejection would be a step towards a lock-out.

    Raises ProbeError: no-mechanism, cleartext-refused, credentials, in-use, login-delay,
    temporary, permanent, client-certificate.
    """
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
        greeting = talk.attempt.greeting or b""
        steps = login.begin(way, wanted, secret, talk.settings.target, greeting)
        talk.attempt.login_began = True
        reply = _carry(talk, steps)
        if not reply.ok:
            kind = login.rejection(reply, encrypted)
            raise ProbeError(kind, login.described(reply, wanted.username, kind, talk.clean))
    talk.attempt.logged_in_as = talk.clean(wanted.username)


def _carry(talk: Conversation, steps: login.Steps) -> pop3.Reply:
    try:
        command = next(steps)
        while True:
            try:
                reply = talk.ask(command)
            except ProbeError as error:
                # Who has just cancelled an exchange knows better why it ended.
                command = steps.throw(error)
            else:
                command = steps.send(reply)
    except StopIteration as end:
        ended: pop3.Reply = end.value
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


def _require_strength(talk: Conversation) -> None:
    """Look at the certificate's strength where OpenSSL was told not to.

    TLS 1.1 needs security level 0, at which OpenSSL also takes weak certificates.
    """
    policy, attempt = talk.settings.tls, talk.attempt
    if policy.minimum != "1.1" or policy.verify is Verify.NONE or not attempt.tls:
        return
    chain = attempt.tls.chain
    if any(facts.weakness for facts in certificate.read_chain(chain, talk.clean)):
        attempt.tls = attempt.tls._replace(verified=False)
        talk.is_usable = False
        error = CertificateRejected(Kind.WEAK, Printable("certificate is too weak"), chain)
        error.phase = Phase.TLS
        raise error


def take_stock(talk: Conversation) -> None:
    """Ask for messages and size (RFC 1939 section 5).

    Raises ProbeError: mailbox; temporary or permanent where the server takes the login back.
    """
    # Dovecot says `+OK Logged in.` and, when the mailbox cannot be opened, at once an `-ERR`.
    withdrawn = talk.unasked()
    reply = talk.reply() if withdrawn else talk.ask(pop3.command(b"STAT"))
    said = talk.clean(reply.text)
    if not reply.ok:
        kind = login.kind_of_code(reply.code)
        if kind is not None:
            raise ProbeError(kind, Printable(f"withdrew the login: {said}"))
        raise ProbeError(Kind.MAILBOX, Printable(f"cannot read the mailbox: {said}"))
    numbers = None if withdrawn else pop3.parse_stat(reply.text)
    if numbers is None:
        raise ProbeError(Kind.MAILBOX, Printable(f"sent a malformed STAT reply: {said}"))
    talk.attempt.mailbox = MailboxFacts(*numbers)


def agreed_on_legacy_terms(
    stream: Stream, settings: Settings, modern: "ssl.SSLContext"
) -> Printable | None:
    """Shake hands on any terms and return what was agreed on, or None where it is modern.

    Raises ProbeError where the server does not shake hands at all.
    """
    attempt = Attempt(Address("", 0))
    talk = Conversation(stream, settings, attempt, clean)
    if settings.tls.security is Security.STLS:
        talk.line()
        talk.ask(pop3.command(b"STLS"))
    talk.start_tls(legacy_context())
    agreed = attempt.tls
    if agreed is None or agreed.version is None:
        return None
    acceptable = {cipher["name"] for cipher in modern.get_ciphers()}
    is_recent = agreed.version.removeprefix("TLSv") >= settings.tls.minimum
    if is_recent and agreed.cipher in acceptable:
        return None
    return Printable(f"{agreed.version} with {agreed.cipher}")


CLEARTEXT_USER = b"check_pop3_plus"
"""Nobody's name: no real credential is used to find out whether one would be taken."""


def try_cleartext(talk: Conversation) -> Printable | None:
    """Try to give a password before TLS, and return how it was offered or taken, or None.

    A server that takes the name may still refuse the password for want of TLS, so a password
    that nobody has is sent, too. Raises ProbeError where the conversation breaks down.
    """
    greet(talk)
    known = capabilities(talk)
    if known is not None and known.has("USER"):
        return Printable("offers USER before TLS")
    plain = [name for name in login.CLEARTEXT if known and name in login.sasl_mechanisms(known)]
    if plain:
        return Printable(f"offers {' '.join(plain)} before TLS")
    reply = talk.ask(pop3.command(b"USER", CLEARTEXT_USER))
    if not reply.ok:
        return None
    reply = talk.ask(pop3.command(b"PASS", CLEARTEXT_USER, Printable("***")))
    if not reply.ok and login.rejection(reply, is_encrypted=False) is Kind.CLEARTEXT_REFUSED:
        return None
    return Printable("takes a password before TLS")


def try_injection(talk: Conversation, context: "ssl.SSLContext") -> Printable | None:
    """Send a command behind STLS in one piece, and return what it led to inside TLS, or None.

    A server that answers it there takes what a machine in the middle sends for the client's own
    (CVE-2011-0411 and its like). One that hangs up, as Dovecot does, resists: the same upgrade
    without the command has just worked. Raises ProbeError where nothing can be concluded.
    """
    greet(talk)
    both = pop3.command(b"STLS").wire + pop3.command(b"CAPA").wire
    reply = talk.ask(pop3.Command(both, Printable("STLS, CAPA")))
    if not reply.ok:
        return None
    talk.is_usable = False
    try:
        if talk.unasked():
            return None  # answered in clear, as if it had come before STLS: odd, but harmless
        talk.start_tls(context)
        talk.is_usable = False
        talk.stream.send(pop3.command(b"QUIT").wire)
        first, second = talk.line(), talk.line()
    except ProbeError as error:
        # One answer to one command, or none, and then the end; or no handshake at all.
        if error.kind in (Kind.CLOSED, Kind.TLS):
            return None
        raise
    return talk.clean(b"answers a command from before TLS inside it: " + first + b" " + second)


def say_goodbye(talk: Conversation) -> None:
    """Send QUIT and wait a second at most; nothing was deleted, so its failure is a note only.

    The clock of `time` has stopped: `ended` stays as it was.
    """
    talk.stream.deadline = talk.stream.deadline.within(GOODBYE_SECONDS)
    ended = talk.attempt.ended
    try:
        with talk.attempt.timeline.phase(Phase.QUIT):
            reply = talk.ask(pop3.command(b"QUIT"))
        if not reply.ok:
            note(talk, Kind.GOODBYE, "QUIT was refused (nothing was deleted)")
    except ProbeError:
        note(talk, Kind.GOODBYE, "QUIT was not acknowledged (nothing was deleted)")
    finally:
        talk.attempt.ended = ended


def note(talk: Conversation, kind: Kind, text: str) -> None:
    talk.attempt.notes.append(Note(kind, Printable(text)))
