"""The wire in terms of commands and replies, and what every conversation has: a greeting, a
capability list, and QUIT (RFC 1939, 2449).

It writes down facts into an `Attempt` and raises `ProbeError` where the talk ends early. The first
line of every reply is judged here, because the next step depends on it; what it means for the
service is judged in `contexts`.
"""

from contextlib import suppress
from typing import TYPE_CHECKING

from check_pop3_plus.model.failures import (
    CertificateRejected,
    DeadlineExceeded,
    Kind,
    Phase,
    ProbeError,
)
from check_pop3_plus.model.report import Note, Session, TlsFacts
from check_pop3_plus.model.sanitised_text import Printable, Sanitiser, sanitise
from check_pop3_plus.model.settings import Security, Settings
from check_pop3_plus.net.transport import Stream
from check_pop3_plus.pop3 import grammar
from check_pop3_plus.support.deadline import Clock
from check_pop3_plus.support.masking import also_masking

if TYPE_CHECKING:
    import ssl

GOODBYE_SECONDS = 1.0
"""How long the answer to QUIT is waited for (contract, section 4)."""

_DIALOGUE_LIMIT = 200
"""Lines kept for `-vvv`; the longest story has about 40."""


class Connection:
    """One stream; every line that passes also goes into the dialogue."""

    def __init__(
        self, stream: Stream, settings: Settings, session: Session, sanitise: Sanitiser
    ) -> None:
        self.stream = stream
        self.settings = settings
        self.session = session
        self.sanitise = sanitise
        self.is_usable = False
        """Whether a QUIT would be understood: the peer has greeted, and no reply is half-read."""
        self._lines = grammar.LineBuffer()

    def ask(self, command: grammar.Command, has_body: bool = False) -> grammar.Reply:
        """Send a command and return its reply.

        Raises ProbeError (garbled) when something has arrived that nothing was asked for.
        """
        if self.unsolicited():
            raise ProbeError(Kind.GARBLED, Printable("sent data that nothing had asked for"))
        self.say(command)
        return self.reply(has_body, command.is_auth)

    def say(self, command: grammar.Command) -> None:
        """Send a command, whatever has arrived."""
        self.is_usable = False
        self._note("C: ", command.shown)
        if command.shown.endswith("***") and not command.wire.startswith(b"PASS "):
            # A proof, too, lets a password be guessed.
            self.sanitise = also_masking(self.sanitise, command.wire.split(b" ")[-1].strip())
        self.stream.send(command.wire)

    def reply(self, has_body: bool = False, is_auth: bool = False) -> grammar.Reply:
        """Return the next reply, with its body where it has one.

        Raises ProbeError: closed, garbled, oversized; DeadlineExceeded.
        """
        self.is_usable = False
        line = self._auth_line() if is_auth else self.line()
        reply = (grammar.parse_challenge(line) if is_auth else None) or grammar.parse_status(line)
        if reply is None:
            raise ProbeError(Kind.GARBLED, Printable(f"sent no POP3 reply: {self.quote(line)}"))
        if reply.ok and has_body:
            body = grammar.BodyReader()
            while not body.add(self.line(is_inside=True)):
                pass
            reply = reply.replace(body=tuple(body.lines))
        self.session.ended = Clock()
        # Inside an exchange QUIT would be taken for a response.
        self.is_usable = reply.challenge is None
        return reply

    def line(
        self,
        limit: int = grammar.LINE_LIMIT,
        is_inside: bool = False,
        missing: str = " without a reply",
    ) -> bytes:
        """Return the next line without its end; `is_inside` says that its reply has begun.

        `missing` is added to the error when the server closes the connection instead.
        """
        while (line := self._lines.next_line(limit)) is None:
            has_begun = is_inside or bool(self._lines.pending)
            try:
                data = self.stream.receive()
            except DeadlineExceeded as error:
                if has_begun:
                    raise DeadlineExceeded(error.kind, "no complete answer in time") from error
                raise
            if not data:
                cut = " in the middle of a reply" if has_begun else missing
                raise ProbeError(Kind.CLOSED, "closed the connection" + cut)
            self._lines.feed(data)
        if self._lines.is_bare:
            self.remark("lines end in LF alone")
        self._note("S: ", self._shown(line))
        return line

    def _shown(self, line: bytes) -> Printable:
        """Return what may be shown of a line; base64 hides from a search what is in it."""
        if line.startswith(b"+ "):
            from base64 import b64decode

            with suppress(ValueError):
                challenge = b64decode(line[2:] + b"==")
                if self.sanitise(challenge) != sanitise(challenge):
                    return Printable("+ ***")
        return self.sanitise(line)

    def _auth_line(self) -> bytes:
        try:
            return self.line(grammar.AUTH_LINE_LIMIT)
        except ProbeError as error:
            if error.kind is Kind.OVERSIZED and self._lines.pending.startswith(b"+ "):
                raise ProbeError(
                    Kind.GARBLED,
                    "sent a malformed challenge: more than {} octets; given up",
                    grammar.AUTH_LINE_LIMIT,
                ) from error
            raise

    def unsolicited(self) -> bool:
        """Return whether something has arrived that no command asked for."""
        self._lines.feed(self.stream.arrived())
        return bool(self._lines.pending)

    def start_tls(self, context: "ssl.SSLContext") -> None:
        """Shake hands; all knowledge from before is dropped with the old buffer.

        No QUIT follows, however it ends, until something was answered inside TLS.
        """
        self.is_usable = False
        session = self.session
        try:
            session.tls = self.stream.start_tls(context, self.settings.tls.name)
        except CertificateRejected as error:
            session.tls = TlsFacts(None, None, error.chain, (), verified=False)
            raise
        self._lines = grammar.LineBuffer()
        session.ended = Clock()
        self._note("TLS: ", Printable(f"{session.tls.version} {session.tls.cipher}"))

    def quote(self, line: bytes) -> Printable:
        """Return a line to be shown; where there is nothing in it, that is said."""
        return self.sanitise(line) or Printable("(an empty line)")

    def reason(self, reply: grammar.Reply) -> Printable:
        """Return what a refusal says for itself."""
        return self.sanitise(reply.text) or Printable("(no reason given)")

    def remark(self, oddity: str) -> None:
        """Write down, once, what is odd and tolerated."""
        if oddity not in self.session.protocol_warnings:
            self.session.protocol_warnings.append(Printable(oddity))

    def _note(self, mark: str, text: Printable) -> None:
        if len(self.session.transcript) < _DIALOGUE_LIMIT:
            self.session.transcript.append(Printable(mark + text))


def read_greeting(connection: Connection) -> None:
    """Read the greeting: one status line (RFC 1939 section 4).

    Raises ProbeError: greeting, greeting-temporary, garbled, closed, oversized.
    """
    try:
        line = connection.line(missing="")
    except ProbeError as error:
        if error.kind is Kind.CLOSED:
            raise ProbeError(Kind.CLOSED, "{} before the greeting", error.message) from error
        raise
    connection.session.greeting = line
    connection.session.greeting_shown = connection.sanitise(line)
    connection.session.ended = Clock()
    reply = grammar.parse_status(line)
    if reply is None and line[:3] == b"+ok":
        # Seen in the wild; clients that compare without case accept it.
        note(connection, Kind.GARBLED, "greeting in lower case")
        reply = grammar.parse_status(b"+OK" + line[3:])
    if reply is None:
        guess = grammar.guess_protocol(line)
        attempts = f"is not POP3, looks like {guess}" if guess else "sent a malformed greeting"
        raise ProbeError(Kind.GARBLED, Printable(f"{attempts}: {connection.quote(line)}"))
    connection.is_usable = True
    if not reply.ok:
        passes = f"{reply.code}/".startswith("SYS/TEMP/")  # codes are hierarchical
        kind = Kind.GREETING_TEMPORARY if passes else Kind.GREETING
        raise ProbeError(kind, Printable(f"refuses service: {connection.reason(reply)}"))
    if connection.unsolicited():
        message = Printable("sent more than its greeting, unasked")
        if connection.settings.login or connection.settings.tls.security is Security.STLS:
            raise ProbeError(Kind.GARBLED, message)
        note(connection, Kind.GARBLED, message)


def capabilities(connection: Connection) -> grammar.Capabilities | None:
    """Ask for the capabilities; None where the server does not know CAPA (RFC 2449 section 5)."""
    with connection.session.timeline.phase(Phase.CAPA):
        reply = connection.ask(grammar.command(b"CAPA"), has_body=True)
    if not reply.ok:
        return None
    connection.session.capabilities = tuple(connection.sanitise(line) for line in reply.body)
    for oddity in grammar.protocol_warnings(reply.body):
        connection.remark(f"the capability list {oddity}")
    known = grammar.parse_capabilities(reply.body)
    # Nobody offers STLS inside TLS; that it was used counts as offered.
    used = {("STLS", None)} if connection.settings.tls.security is Security.STLS else set()
    connection.session.offered = known.offered() | (used if connection.stream.encrypted else set())
    return known


def quit_session(connection: Connection) -> None:
    """Send QUIT and wait a second at most; nothing was deleted, so its failure is a note only.

    The clock of `time` has stopped: `ended` stays as it was.
    """
    connection.stream.deadline = connection.stream.deadline.within(GOODBYE_SECONDS)
    ended = connection.session.ended
    goodbye = grammar.command(b"QUIT")
    try:
        with connection.session.timeline.phase(Phase.QUIT):
            if connection.unsolicited():
                # What has arrived would be taken for the answer; the mailbox is to be left anyway.
                connection.say(goodbye)
                raise ProbeError(Kind.GARBLED, Printable("has said more than it was asked"))
            reply = connection.ask(goodbye)
        if not reply.ok:
            note(connection, Kind.GOODBYE, "QUIT was refused (nothing was deleted)")
    except ProbeError:
        note(connection, Kind.GOODBYE, "QUIT was not acknowledged (nothing was deleted)")
    finally:
        connection.session.ended = ended


def note(connection: Connection, kind: Kind, text: str) -> None:
    connection.session.notes.append(Note(kind, Printable(text)))
