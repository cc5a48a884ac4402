"""Send commands and read replies; greeting, capability list and QUIT of a session (RFC 1939, 2449).

Facts go into a `Session`; `ProbeError` is raised when the session ends early. The first line of
every reply is evaluated here, because the next step depends on it; states are decided in `check`.
"""

import re
from contextlib import suppress

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.model.failures import DeadlineExceeded, Kind, Phase, ProbeError
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.report import Note, Session, TlsFacts
from check_pop3_plus.model.sanitised_text import Printable, Sanitiser, printable, sanitise
from check_pop3_plus.model.settings import Security, Settings
from check_pop3_plus.net.tls_errors import CertificateRejected
from check_pop3_plus.net.transport import Stream
from check_pop3_plus.pop3 import grammar
from check_pop3_plus.support.deadline import Clock, Deadline
from check_pop3_plus.support.masking import also_masking

if TYPE_CHECKING:
    import ssl

QUIT_SECONDS = 1.0
"""Longest wait for the reply to QUIT (contract, section 4)."""

_TRANSCRIPT_LIMIT = 200
"""Lines kept for `-vvv`; the longest session has about 40."""


class Doubt(Record):
    """What an `-ERR` to CAPA was if it was not the reply to CAPA."""

    if_shifted: ProbeError
    """If data follows that nothing has asked for: the replies are one command late."""
    if_closed: ProbeError | None
    """If the server closes the connection instead of the next reply."""


class Connection:
    """A stream with commands and replies; every line is added to the transcript."""

    def __init__(
        self, stream: Stream, settings: Settings, session: Session, sanitise: Sanitiser
    ) -> None:
        self.stream = stream
        self.settings = settings
        self.session = session
        self.sanitise = sanitise
        self.is_usable = False
        """Whether QUIT can be sent: a greeting was read, and no reply is incomplete."""
        self.doubt: Doubt | None = None
        self.names: tuple[bytes, ...] = (settings.target.hostname.encode(),)
        """What the server may repeat in a reply, and what is then not one of its own words."""
        self.has_read_mail = False
        """Whether a message was requested: what is no reply may then be part of one."""
        self.update_by: Deadline | None = None
        """Until when the reply to QUIT is awaited, if messages were marked as deleted."""
        self._lines = grammar.LineBuffer()

    def request(self, command: grammar.Command, has_body: bool = False) -> grammar.Reply:
        """Send a command and return its reply.

        Raises ProbeError (garbled) if data has arrived before the command is sent, and what
        `read_reply` raises; what the server meant by `-ERR` to CAPA if only now it is certain.
        """
        if self.unsolicited():
            raise self.unexpected()
        try:
            self.send(command)
            return self.read_reply(has_body, command.is_auth)
        except ProbeError as error:
            if error.kind is Kind.CLOSED and self.doubt and self.doubt.if_closed:
                raise self.doubt.if_closed from error
            raise

    def send(self, command: grammar.Command) -> None:
        """Send a command without checking for unsolicited data.

        No error if the server has closed the connection and said why: that is read as the reply,
        as it is if it closes the connection a moment later.
        """
        self.is_usable = False
        self.session.timeline.commands += 1
        self._record("C: {}", command.shown)
        if command.shown.endswith("***") and not command.wire.startswith(b"PASS "):
            # A proof allows an offline attack on the password.
            self.sanitise = also_masking(self.sanitise, command.wire.split(b" ")[-1])
        try:
            self.stream.send(command.wire)
        except ProbeError as error:
            if error.kind is not Kind.CLOSED or not self.unsolicited():
                raise

    def read_reply(self, has_body: bool = False, is_auth: bool = False) -> grammar.Reply:
        """Return the next reply, with its body if the command has one.

        Raises ProbeError: closed, garbled, oversized; DeadlineExceeded.
        """
        self.is_usable = False
        line = self._read_auth_line() if is_auth else self.read_line()
        reply = (grammar.parse_challenge(line) if is_auth else None) or grammar.parse_status(line)
        if reply is None:
            if has_body:  # CAPA: as if it had arrived before
                raise self.unexpected(line)
            raise ProbeError(Kind.GARBLED, "sent no POP3 reply: {}", self.quote(line))
        if reply.ok and has_body:
            body = grammar.BodyReader()
            while not body.add(self.read_line(is_inside=True)):
                pass
            reply = reply.replace(body=tuple(body.lines))
        self.session.ended = Clock()
        # Inside a SASL exchange the server would take QUIT for a response.
        self.is_usable = reply.challenge is None
        return reply

    def read_line(
        self,
        limit: int = grammar.LINE_LIMIT,
        is_inside: bool = False,
        missing: str = " without a reply",
        is_shown: bool = True,
    ) -> bytes:
        """Return the next line without its end; `is_inside` if its reply has begun.

        One that is not `is_shown` is left out of the transcript. `missing` is added to the error
        when the server closes the connection instead.
        Raises ProbeError: closed, oversized past `limit` bytes; DeadlineExceeded.
        """
        while (line := self._lines.next_line(limit)) is None:
            has_begun = is_inside or bool(self._lines.pending)
            try:
                data = self.stream.receive()
            except DeadlineExceeded as error:
                if has_begun:
                    raise DeadlineExceeded(error.kind, "no complete answer") from error
                raise
            if not data:
                cut = " in the middle of a reply" if has_begun else missing
                raise ProbeError(Kind.CLOSED, "closed the connection" + cut)
            self._lines.feed(data)
        if self._lines.is_bare:
            self.warn("lines end in LF alone")
        if is_shown:
            self._record("S: {}", self._shown(line))
        return line

    def read_headers(self) -> tuple[bytes, ...]:
        """Return the first `MESSAGE_LIMIT` bytes of a message, after the status line of TOP.

        No line of it is shown anywhere. Anyone can send long lines and many of them by mail, so
        that only a message without end is an error. Raises what `read_line` raises.
        """
        self.is_usable, self.has_read_mail = False, True
        self._lines.begin_message()
        lines, size = [], 0
        while (line := self.read_line(grammar.TOTAL_LIMIT, True, is_shown=False)) != b".":
            size += len(line) + 2
            if size <= grammar.MESSAGE_LIMIT:
                lines.append(line.removeprefix(b"."))
        self._record("S: (headers, not shown)")
        self.session.ended = Clock()
        self.is_usable = True
        return tuple(lines)

    def _shown(self, line: bytes) -> Printable:
        """Return a line for the transcript; a challenge whose base64 hides a secret is replaced."""
        if line.startswith(b"+ "):
            from base64 import b64decode

            with suppress(ValueError):
                challenge = b64decode(line[2:] + b"==")
                if self.sanitise(challenge) != sanitise(challenge):
                    return printable("+ ***")
        return self.quote(line)

    def _read_auth_line(self) -> bytes:
        try:
            return self.read_line(grammar.AUTH_LINE_LIMIT)
        except ProbeError as error:
            if error.kind is Kind.OVERSIZED and self._lines.pending.startswith(b"+ "):
                raise ProbeError(
                    Kind.GARBLED,
                    "sent a malformed challenge: more than {} bytes; given up",
                    grammar.AUTH_LINE_LIMIT,
                ) from error
            raise

    def unsolicited(self) -> bool:
        """Return whether data has arrived that is not the reply to a command."""
        self._lines.feed(self.stream.arrived())
        return bool(self._lines.pending)

    def unexpected(self, line: bytes | None = None) -> ProbeError:
        """Return the error for data that nothing had asked for: a line read, or what is pending."""
        if line is None and self.doubt:
            return self.doubt.if_shifted
        line = self.pending_line() if line is None else line
        # The server may answer a header that a proxy has sent in our name.
        proxy = " (PROXY protocol?)" if re.match(_ABOUT_COMMAND, line) else ""
        template = "sent unexpected data after the greeting: {}" + proxy
        return ProbeError(Kind.GARBLED, template, self.quote(line))

    def has_pending_list(self) -> bool:
        """Return whether the rest of a list was not read: the reply to CAPA, one command late."""
        return b"\n.\r\n" in b"\n" + self._lines.pending

    def pending_line(self) -> bytes:
        """Return the first line that was not read yet, complete or not."""
        return self._lines.pending.partition(b"\n")[0].removesuffix(b"\r")

    def start_tls(self, context: "ssl.SSLContext") -> TlsFacts:
        """Do the TLS handshake, drop what was received before it, and return its facts.

        No QUIT is sent until the server has answered inside TLS, even if the handshake fails.
        Raises what `Stream.start_tls` raises.
        """
        self.is_usable = False
        session = self.session
        try:
            session.tls = self.stream.start_tls(context, self.settings.tls.name)
        except CertificateRejected as error:
            from check_pop3_plus.net import trust_store

            session.tls, own = error.tls, error.tls.sent[:1]
            if own and trust_store.has_certificate(self.settings.tls.ca_file, own[0]):
                session.tls = error.tls.replace(trusted=(*error.tls.trusted, *own))
            raise
        self._lines = grammar.LineBuffer()
        self.doubt = None
        session.ended = Clock()
        self._record("TLS: {} {}", session.tls.version, session.tls.cipher)
        return session.tls

    def quote(self, line: bytes) -> Printable:
        """Return a line for a message, with a placeholder for an empty one."""
        if self.has_read_mail and not grammar.parse_status(line):
            return printable("(not shown, may be of a message)")
        return self.sanitise(line) or printable("(an empty line)")

    def reason(self, reply: grammar.Reply) -> Printable:
        return self.sanitise(reply.text) or printable("(no reason given)")

    def warn(self, deviation: str) -> None:
        """Record a tolerated deviation from the protocol once; the text is our own."""
        if deviation not in self.session.protocol_warnings:
            self.session.protocol_warnings.append(printable(deviation))

    def _record(self, template: str, *foreign: object) -> None:
        if len(self.session.transcript) < _TRANSCRIPT_LIMIT:
            self.session.transcript.append(printable(template, *foreign))


def read_greeting(connection: Connection) -> None:
    """Read the greeting: one status line (RFC 1939 section 4).

    Raises ProbeError: greeting, greeting-temporary, garbled, closed, oversized; DeadlineExceeded.
    """
    try:
        line = connection.read_line(missing="")
    except ProbeError as error:
        if error.kind is Kind.CLOSED:
            begun = connection.pending_line()
            quoted = printable(": {}", connection.quote(begun)) if begun else ""
            template = "{} before the greeting{}"
            raise ProbeError(Kind.CLOSED, template, error.message, quoted) from error
        raise
    connection.session.greeting = line
    connection.session.greeting_shown = connection.sanitise(line)
    connection.session.ended = Clock()
    reply = grammar.parse_status(line)
    if reply is None and line[:3] == b"+ok":
        # Some servers send it; clients that compare without case accept it.
        reply = grammar.parse_status(b"+OK" + line[3:])
        if reply:
            add_note(connection, Kind.GARBLED, "server sent its greeting in lower case")
    if reply is None:
        quoted, guess = connection.quote(line), grammar.guess_protocol(line)
        if guess == "TLS":  # its bytes are not printable
            raise ProbeError(Kind.GARBLED, "is not POP3, looks like TLS")
        if guess:
            raise ProbeError(Kind.GARBLED, "is not POP3, looks like {}: {}", guess, quoted)
        raise ProbeError(Kind.GARBLED, "sent a malformed greeting: {}", quoted)
    connection.is_usable = True
    if not reply.ok:
        raise service_refused(connection, reply, "refuses service: {}")
    if needs_replies(connection.settings) and connection.unsolicited():
        raise connection.unexpected()


def needs_replies(settings: Settings) -> bool:
    """Return whether unexpected data may be taken for a reply that decides about a secret."""
    return settings.login is not None or settings.tls.security is Security.STLS


def service_refused(connection: Connection, reply: grammar.Reply, template: str) -> ProbeError:
    """Return the error for a server that refuses service; the template quotes its words."""
    from check_pop3_plus.pop3 import refusals

    kind = refusals.service_kind(reply, connection.names)
    return ProbeError(kind, template, connection.reason(reply))


def read_capabilities_in_tls(
    connection: Connection, had_worked: bool
) -> grammar.Capabilities | None:
    """Return the reply to CAPA after STLS; `had_worked`: it was answered before STLS.

    nginx's mail proxy refuses a session without a client certificate only now, as the reply to
    CAPA; other servers do it unasked, so that it may arrive before CAPA is sent.

    Raises ProbeError: client-certificate, greeting, greeting-temporary; garbled; what
    `Connection.read_reply` raises.
    """
    from check_pop3_plus.pop3 import refusals

    with connection.session.timeline.phase(Phase.CAPA):
        is_unasked = connection.unsolicited()
        if not is_unasked:
            connection.send(grammar.command(b"CAPA"))
        reply = connection.read_reply(has_body=not is_unasked)
        if reply.ok and is_unasked:
            raise connection.unexpected(_status_line(reply))
        if not reply.ok:
            refused = service_refused(connection, reply, "refuses service inside TLS: {}")
            if is_unasked or had_worked or refusals.is_of_system(reply):
                raise refused
            connection.doubt = Doubt(refused, refused)
        return _capabilities(connection, reply)


# It is about a command, so that it may well be the reply to one.
_ABOUT_COMMAND = (
    rb"(?is)-ERR\b.*\b(?:PROXY|CAPA|commands?|unknown|unrecogni[sz]ed|syntax"
    rb"|(?:not |un)(?:implemented|supported))\b"
)


def read_capabilities(connection: Connection) -> grammar.Capabilities | None:
    """Return the reply to CAPA, or None if the server does not know it (RFC 2449 section 5).

    Raises what `Connection.request` raises.
    """
    with connection.session.timeline.phase(Phase.CAPA):
        reply = connection.request(grammar.command(b"CAPA"), has_body=True)
        if not reply.ok:
            line = _status_line(reply)
            unexpected = connection.unexpected(line)
            is_about_command = not reply.text or re.match(_ABOUT_COMMAND, line)
            connection.doubt = Doubt(unexpected, None if is_about_command else unexpected)
        return _capabilities(connection, reply)


def _status_line(reply: grammar.Reply) -> bytes:
    return (b"+OK " if reply.ok else b"-ERR ") + reply.text


def _capabilities(connection: Connection, reply: grammar.Reply) -> grammar.Capabilities | None:
    """Record and return the capability list in a reply to CAPA, or None if it was refused."""
    if not reply.ok:
        return None
    if reply.body and grammar.parse_status(reply.body[0]):
        raise connection.unexpected(_status_line(reply))  # the list has its own status line
    connection.session.capabilities = tuple(connection.sanitise(line) for line in reply.body)
    for deviation in grammar.protocol_warnings(reply.body):
        connection.warn(f"the capability list {deviation}")
    known = grammar.parse_capabilities(reply.body)
    # A server does not offer STLS inside TLS; one that accepted it counts as offering it.
    used = {("STLS", None)} if connection.settings.tls.security is Security.STLS else set()
    connection.session.offered = known.offered() | (used if connection.stream.encrypted else set())
    return known


def request_stls(connection: Connection) -> None:
    """Send STLS (RFC 2595 section 4). Raises ProbeError (no-stls) if it is refused."""
    reply = connection.request(grammar.command(b"STLS"))
    if not reply.ok:
        raise ProbeError(Kind.NO_STLS, "refuses STLS: {}", connection.reason(reply))


def quit_session(connection: Connection) -> ProbeError | None:
    """Send QUIT, and return the error for data other than its reply, if there is any.

    It waits at most `QUIT_SECONDS` for the reply. Without one, and if QUIT is refused after a
    login, there is only a note (nothing was deleted); own probes that QUIT should delete are waited
    for until `update_by`. Not part of the response time.
    """
    update_by = connection.update_by
    kind, of = (
        (Kind.NOT_DELETED, " (own probes may still be there)")
        if update_by
        else (Kind.GOODBYE, " (nothing was deleted)")
    )
    connection.stream.deadline = update_by or connection.stream.deadline.within(QUIT_SECONDS)
    session, command = connection.session, grammar.command(b"QUIT")
    has_login = session.logged_in_as is not None
    with session.timeline.phase(Phase.QUIT), suppress(ProbeError):
        if connection.unsolicited():
            with suppress(ProbeError):
                connection.send(command)  # releases the mailbox
            return connection.unexpected()
        connection.send(command)
        line = connection.read_line()
        reply = grammar.parse_status(line)
        if reply is None or not (reply.ok or has_login):
            return connection.unexpected(line)
        if connection.unsolicited():
            return connection.unexpected()
        if not reply.ok:
            why = f": {connection.reason(reply)}" if update_by else ""
            add_note(connection, kind, f"QUIT was refused{why}{of}")
        return None
    begun = connection.pending_line()
    statuses = (b"+OK", b"-ERR") if has_login else (b"+OK",)
    if not any(status[: len(begun)] == begun[: len(status)] for status in statuses):
        return connection.unexpected(begun)
    if connection.doubt and connection.doubt.if_closed:
        return connection.doubt.if_closed
    if update_by or not session.timeline.failed:  # after a failure it says nothing more
        add_note(connection, kind, f"QUIT was not acknowledged{of}")
    return None


def add_note(connection: Connection, kind: Kind, text: str) -> None:
    """Add a note to the session; the text is our own."""
    connection.session.notes.append(Note(kind, printable(text)))
