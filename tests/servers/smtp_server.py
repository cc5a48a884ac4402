"""An SMTP server on loopback that accepts mail, or answers a command as a test wants."""

from __future__ import annotations

import base64
import ssl
from collections.abc import Callable, Mapping

from tests.servers.scripted_server import LOOPBACK, Connection, Over, Server


class SmtpServer(Server):
    """Accepts mail and hands it over; `replies` replaces the reply to a verb."""

    speaks_pop3 = False

    def __init__(
        self,
        deliver: Callable[[bytes], object] = bytes,
        *,
        replies: Mapping[str, bytes | None] = {},
        extensions: tuple[str, ...] = ("DSN",),
        users: Mapping[str, str] = {},
        tls: ssl.SSLContext | None = None,
        starttls: ssl.SSLContext | None = None,
        address: str = LOOPBACK,
    ) -> None:
        super().__init__(tls=tls, address=address)
        self.mail: list[bytes] = []
        """The messages accepted, as received."""
        self.logins: list[bytes] = []
        self._deliver = deliver
        self._replies = replies
        self._extensions = extensions
        self._users = users
        self._starttls = starttls

    def play(self, connection: Connection, number: int) -> None:
        self._answer(connection, "greeting", b"220 mx.example.test ESMTP\r\n")
        while True:
            verb, _, argument = connection.line().decode("latin-1").partition(" ")
            match verb.upper():
                case "EHLO":
                    self._answer(connection, "EHLO", self._hello(connection))
                case "STARTTLS" if self._starttls:
                    self._answer(connection, "STARTTLS", b"220 go ahead\r\n")
                    connection.start_tls(self._starttls)
                case "AUTH":
                    self._answer(connection, "AUTH", self._log_in(connection, argument))
                case "DATA":
                    self._answer(connection, "DATA", b"354 go ahead\r\n")
                    lines = []
                    while (line := connection.line()) != b".":
                        lines.append(line.removeprefix(b"."))
                    if "message" not in self._replies:
                        self.mail.append(b"\n".join(lines) + b"\n")
                        self._deliver(self.mail[-1])
                    self._answer(connection, "message", b"250 2.0.0 queued\r\n")
                case "QUIT":
                    self._answer(connection, "QUIT", b"221 bye\r\n")
                    return
                case other:
                    self._answer(connection, other, b"250 2.0.0 OK\r\n")

    def _answer(self, connection: Connection, verb: str, reply: bytes) -> None:
        """Send the reply of the test or the given one; None of a test is silence."""
        wanted = self._replies.get(verb, reply)
        if wanted is None:
            connection.drain()
            raise Over
        connection.send(wanted)
        if not wanted:
            raise Over
        if wanted.startswith((b"421", b"554 5.7.0 ")):
            raise Over

    def _hello(self, connection: Connection) -> bytes:
        offered = list(self._extensions)
        if self._starttls and not connection.in_tls:
            offered.append("STARTTLS")
        elif self._users:
            offered.append("AUTH PLAIN LOGIN XOAUTH2")
        lines = [f"250-{each}\r\n" for each in ("mx", *offered)]
        return "".join([*lines, "250 HELP\r\n"]).encode()

    def _log_in(self, connection: Connection, argument: str) -> bytes:
        method, _, initial = argument.partition(" ")
        if method == "LOGIN":
            words = []
            for challenge in (b"Username:", b"Password:"):
                connection.send(b"334 " + base64.b64encode(challenge) + b"\r\n")
                words.append(base64.b64decode(connection.line()).decode())
            user, password = words
        elif method == "XOAUTH2":
            connection.send(b"334 \r\n")
            user, _, rest = base64.b64decode(connection.line()).decode().partition("\1")
            user = user.removeprefix("user=")
            password = rest.removeprefix("auth=Bearer ").rstrip("\1")
        else:
            _, user, password = base64.b64decode(initial).decode().split("\0")
        self.logins.append(user.encode())
        if self._users.get(user) == password:
            return b"235 2.7.0 welcome\r\n"
        return b"535 5.7.8 no such user: " + password.encode() + b"\r\n"
