"""Submit one message by SMTP (RFC 5321, RFC 6409), within a deadline.

smtplib has the dialogue. Connection, TLS and their errors are those of this package, and the whole
of it runs in a thread that is abandoned when it is late: the time limits of smtplib are per call,
so that a server could drip. No message is sent twice: after the connection no other address is
tried. Loaded only where a message is sent.
"""

import smtplib
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from check_pop3_plus.model.failures import DeadlineExceeded, Kind, ProbeError
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.sanitised_text import Sanitiser, open_ended, printable
from check_pop3_plus.model.settings import Security, Smtp
from check_pop3_plus.net import transport
from check_pop3_plus.sasl.exchange import Exchange, Malformed, Refused
from check_pop3_plus.support.deadline import Deadline, run_with_deadline

if TYPE_CHECKING:
    import ssl

TOTAL_LIMIT = 256 * 1024
"""Bytes received from one server; real dialogues have about 2 KiB."""

QUIT_SECONDS = 1.0
"""Longest wait for the reply to QUIT, after the message was accepted."""

_LONGEST_RESPONSE = 400
"""Characters of an initial response in the AUTH command (RFC 5321 section 4.5.3.1.4: 512)."""


BeginLogin = Callable[[tuple[str, ...]], tuple[str, Exchange]]
"""From the mechanisms offered to the name of the one used, and its exchange."""


class Mail(Record):
    """One message and its envelope."""

    sender: str
    recipient: str
    content: bytes
    """With CRLF at the ends of lines."""


class Submission:
    def __init__(
        self,
        smtp: Smtp,
        context: "ssl.SSLContext | None",
        begin_login: BeginLogin | None,
        sanitise: Sanitiser,
    ) -> None:
        self._smtp = smtp
        self._context = context
        self._begin_login = begin_login
        self._sanitise = sanitise
        self._stream: transport.Stream | None = None
        self._client = smtplib.SMTP(local_hostname="")
        self._step = "the connection"

    def send(self, mail: Mail, deadline: Deadline) -> None:
        """Send a message. Raises ProbeError: submission, submission-temporary, config."""
        host, port = self._smtp.target.hostname, self._smtp.target.port
        place = printable("[{}]:{}" if ":" in host else "{}:{}", host, port)
        try:
            run_with_deadline(lambda: self._run(mail, deadline), deadline)
        except ProbeError as error:
            if error.kind is Kind.CONFIG:
                raise
            is_temporary = error.kind is Kind.SUBMISSION_TEMPORARY
            late = " in time" if isinstance(error, DeadlineExceeded) else ""
            is_named = self._step.removeprefix("the ") in error.message
            step = "" if is_named else f", at {self._step}"
            raise ProbeError(
                Kind.SUBMISSION_TEMPORARY if is_temporary else Kind.SUBMISSION,
                "{}: {}" + late + step + " on {}",
                "submission refused for now" if is_temporary else "submission failed",
                *(open_ended(error.message), place),
            ) from error
        finally:
            if self._stream:
                self._stream.abort()
                self._client.close()
                self._stream.close()

    def _run(self, mail: Mail, deadline: Deadline) -> None:
        try:
            self._connect(deadline)
            self._say_hello()
            if self._smtp.tls.security is Security.STLS:
                self._start_tls()
            if self._begin_login:
                self._log_in(self._begin_login)
            self._transfer(mail)
        except smtplib.SMTPResponseException as error:
            raise self._refused(error.smtp_code, error.smtp_error) from error
        except smtplib.SMTPServerDisconnected as error:
            if isinstance(error.__context__, TimeoutError):
                raise DeadlineExceeded(Kind.TIMEOUT, "no answer") from error
            raise ProbeError(Kind.CLOSED, "server closed the connection") from error
        except OSError as error:
            raise transport.network_error(error) from error
        with suppress(Exception):
            self._connected.arm(deadline.within(QUIT_SECONDS))
            self._client.quit()

    def _connect(self, deadline: Deadline) -> None:
        self._stream = transport.connect_to_first(self._smtp.target, deadline)
        if self._smtp.tls.security is Security.IMPLICIT:
            self._step = "the TLS handshake"
            self._encrypt()
        self._use_socket()
        own = self._stream.sock.getsockname()[0]
        literal = f"[IPv6:{own}]" if ":" in own else f"[{own}]"
        self._client.local_hostname = self._smtp.helo or literal
        self._step = "the greeting"
        self._require(220, *self._client.getreply())

    @property
    def _connected(self) -> transport.Stream:
        assert self._stream is not None  # noqa: S101 - `_connect` sets it
        return self._stream

    def _encrypt(self) -> None:
        assert self._context is not None  # noqa: S101 - with TLS
        self._connected.start_tls(self._context, self._smtp.tls.name)

    def _use_socket(self) -> None:
        """Let smtplib use the socket, with nothing that was received or learned before."""
        self._client.sock = self._connected.sock
        self._client.file = _Lines(self._client.sock.makefile("rb"))
        self._client.esmtp_features = {}

    def _say_hello(self) -> None:
        self._step = "EHLO"
        code, text = self._client.ehlo()
        if code == 502 or (code == 500 and self._begin_login is None):
            code, text = self._client.helo()
        self._require(250, code, text)

    def _start_tls(self) -> None:
        self._step = "STARTTLS"
        if not self._client.has_extn("starttls"):
            raise ProbeError(Kind.NO_STLS, "server does not offer STARTTLS")
        self._require(220, *self._client.docmd("STARTTLS"))
        self._encrypt()
        self._use_socket()
        self._say_hello()

    def _log_in(self, begin: BeginLogin) -> None:
        self._step = "AUTH"
        name, exchange = begin(tuple(self._client.esmtp_features.get("auth", "").upper().split()))
        initial = exchange.initial(_LONGEST_RESPONSE)
        first = f"{name} {initial.decode()}" if initial else name
        code, text = self._client.docmd("AUTH", first)
        while code == 334:
            try:
                # Servers also send words without base64.
                response = exchange.answer(b64encode(b64decode(text + b"===")))
            except Refused as refused:  # of a token; the server ends the exchange
                response = b64encode(refused.answer)
            except (Malformed, ValueError) as error:
                why = error if isinstance(error, Malformed) else "not base64"
                message = "server sent a malformed challenge: {}"
                raise ProbeError(Kind.GARBLED, message, why) from error
            code, text = self._client.docmd(response.decode())
        self._require(235, code, text)

    def _transfer(self, mail: Mail) -> None:
        self._step = "MAIL FROM"
        self._require(250, *self._client.mail(mail.sender))
        self._step = "RCPT TO"
        # A bounce would fill another mailbox (RFC 3461 section 4.1).
        options = ["NOTIFY=NEVER"] if self._client.has_extn("dsn") else []
        code, text = self._client.rcpt(mail.recipient, options)
        self._require(250, 250 if code == 251 else code, text)
        self._step = "DATA"
        self._require(250, *self._client.data(mail.content))

    def _require(self, wanted: int, code: int, text: bytes) -> None:
        if code != wanted:
            raise self._refused(code, text)

    def _refused(self, code: int, text: bytes | str) -> ProbeError:
        """Return the error for a reply; 4xx is temporary (RFC 5321 section 4.2.1)."""
        data = text if isinstance(text, bytes) else text.encode()  # words of smtplib
        number = b"%d " % code if code > 0 else b""
        reply = self._sanitise(number + data.replace(b"\n", b" ")) or printable("(nothing)")
        kind = Kind.SUBMISSION_TEMPORARY if 400 <= code < 500 else Kind.SUBMISSION
        return ProbeError(kind, "{}" if code > 0 else "no SMTP reply: {}", reply)


class _Lines:
    """The lines of a server, with a limit on their bytes."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._left = TOTAL_LIMIT

    def readline(self, limit: int) -> bytes:
        line = self._file.readline(limit)
        self._left -= len(line)
        if self._left < 0:
            raise ProbeError(Kind.OVERSIZED, "server sends without end")
        return line

    def close(self) -> None:
        self._file.close()
