"""A POP3 server on loopback with a mailbox, from which it deletes as RFC 1939 says."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator, Sequence
from email.utils import formatdate

from tests.servers.scripted_server import Connection, Over, Server


class MailboxServer(Server):
    """Any user may log in. Messages are as SMTP hands them over, with LF."""

    may_delete = True

    def __init__(
        self,
        messages: Sequence[bytes] = (),
        *,
        is_descending: bool = False,
        quit_reply: bytes | None = b"+OK bye\r\n",
        delete_reply: bytes = b"+OK\r\n",
        login_replies: Sequence[bytes] = (),
        capabilities: Sequence[str] = (),
        tls: ssl.SSLContext | None = None,
        stls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(tls=tls)
        self.messages = list(messages)
        self.deleted: list[bytes] = []
        self.logins: list[float] = []
        """The instant of each login."""
        self._is_descending = is_descending
        self._quit_reply = quit_reply
        self._delete_reply = delete_reply
        self._login_replies = list(login_replies)
        self._capabilities = capabilities
        self._stls = stls

    def deliver(self, message: bytes) -> None:
        """Take a message as a mail server does."""
        received = f"Received: from a by b; {formatdate()}\n"
        self.messages.append(received.encode() + message)

    def play(self, connection: Connection, number: int) -> None:
        connection.send(b"+OK ready\r\n")
        marked: set[int] = set()
        listed = self.messages[::-1] if self._is_descending else list(self.messages)
        while True:
            verb, _, argument = connection.line().decode("latin-1").partition(" ")
            match verb:
                case "CAPA":
                    connection.send("\r\n".join(self._listed(connection)).encode())
                case "STLS" if self._stls:
                    connection.send(b"+OK\r\n")
                    connection.start_tls(self._stls)
                case "PASS":
                    listed = self.messages[::-1] if self._is_descending else list(self.messages)
                    self.logins.append(time.monotonic())
                    replies = self._login_replies
                    connection.send(replies.pop(0) if replies else b"+OK\r\n")
                case "STAT":
                    connection.send(b"+OK %d %d\r\n" % (len(listed), sum(map(len, listed))))
                case "TOP":
                    header = listed[int(argument.partition(" ")[0]) - 1].partition(b"\n\n")[0]
                    connection.send(b"+OK\r\n" + header.replace(b"\n", b"\r\n") + b"\r\n\r\n.\r\n")
                case "DELE":
                    connection.send(self._delete_reply)
                    if self._delete_reply.startswith(b"+OK"):
                        marked.add(int(argument))
                case "QUIT":
                    self._quit(connection, [listed[each - 1] for each in marked])
                case _:
                    connection.send(b"+OK\r\n")

    def _quit(self, connection: Connection, marked: list[bytes]) -> None:
        if self._quit_reply is None:
            connection.drain()
        elif self._quit_reply:
            if self._quit_reply.startswith(b"+OK"):
                self.deleted += marked
                self.messages = [each for each in self.messages if each not in marked]
            connection.send(self._quit_reply)
        raise Over

    def _listed(self, connection: Connection) -> Iterator[str]:
        yield from ("+OK", "USER", "TOP", *self._capabilities)
        if self._stls and not connection.in_tls:
            yield "STLS"
        yield from (".", "")
