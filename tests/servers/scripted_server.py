"""POP3 servers on loopback: one plays a script, the other implements the protocol correctly.

Every connection has its own thread. Everything that the client sends is recorded; leaving the
context ends every connection immediately, at any step.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, ClassVar, TypeAlias, TypeVar

if TYPE_CHECKING:
    from typing_extensions import Self

LOOPBACK = "127.0.0.1"

_T = TypeVar("_T")


@contextmanager
def dead_port(address: str = LOOPBACK) -> Iterator[int]:
    """A reserved port that refuses connections."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as bound:
        bound.bind((address, 0))
        yield bound.getsockname()[1]  # not listening


class Over(Exception):
    """Ends the script of a connection."""


class Connection:
    """One accepted connection, in plain text or (after start_tls) in TLS.

    TLS uses memory buffers instead of the socket: SSLSocket cannot send close_notify without
    further reads, and loses data that the client has sent meanwhile.
    """

    def __init__(self, server: Server, sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server = server
        self.socket = sock
        self.commands: list[bytes] = []
        """The commands of this connection."""
        server.dialogues.append(self.commands)
        self._lines = bytearray()
        self._tls: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()

    @property
    def in_tls(self) -> bool:
        return self._tls is not None

    def send(self, data: bytes) -> None:
        if self._tls:
            self._tls.write(data)
            self._flush()
        else:
            self.socket.sendall(data)

    def sealed(self, data: bytes) -> bytes:
        """Return the TLS records for this data."""
        assert self._tls
        self._tls.write(data)
        return self._outgoing.read()

    def receive(self) -> bool:
        """Receive once. Return False at the end of the stream."""
        tls = self._tls
        if tls is None:
            return self._take(self.socket.recv(65536))
        try:
            return self._take(self._transfer(lambda: tls.read(65536)))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return False

    def line(self) -> bytes:
        """Return the next line without its line end, and record it as a command."""
        while b"\n" not in self._lines:
            if not self.receive():
                raise Over
        line, _, self._lines = self._lines.partition(b"\n")
        command = bytes(line).removesuffix(b"\r")
        self.server.commands.append(command)
        self.commands.append(command)
        return command

    def octets(self, count: int) -> bytes:
        """Return the next `count` bytes."""
        while len(self._lines) < count:
            if not self.receive():
                raise Over
        octets, self._lines = bytes(self._lines[:count]), self._lines[count:]
        return octets

    def drain(self) -> None:
        """Record lines until the client closes."""
        with suppress(Over):
            while True:
                self.line()

    def wait(self, seconds: float) -> None:
        if self.server.stopping.wait(seconds):
            raise Over

    def start_tls(self, context: ssl.SSLContext) -> None:
        if self._lines:
            self.server.surprises.append(f"before the handshake: {bytes(self._lines)!r}")
            self._lines.clear()
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        try:
            self._transfer(tls.do_handshake)
        except OSError as error:  # ssl.SSLError is one
            if not self.server.stopping.is_set():
                self.server.tls_errors.append(error)
            self._half_close()
            # Closing with unread bytes would send RST, which may overtake our alert.
            while self.socket.recv(65536):
                pass
            raise Over from error
        self._tls = tls

    def finish(self) -> None:
        """Close in order: close_notify, FIN, then read until the client closes."""
        if self._tls:
            with suppress(ssl.SSLWantReadError):
                while self._take(self._tls.read(65536)):  # unwrap() fails while data is unread
                    pass
            with suppress(ssl.SSLWantReadError):  # does not wait for the client's close_notify
                self._tls.unwrap()
            self._flush()
        self._half_close()
        self.drain()

    def drop(self) -> None:
        """Close with FIN, without close_notify."""
        self._half_close()
        raise Over

    def reset(self) -> None:
        """Close with RST, by a linger time of zero."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise Over

    def stop(self) -> None:
        """Interrupt a call of another thread that waits for this connection."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def _half_close(self) -> None:
        with suppress(OSError):  # the client has closed; its data can still be read
            self.socket.shutdown(socket.SHUT_WR)

    def _take(self, data: bytes) -> bool:
        self._lines += data
        self.server.record(data, in_tls=self.in_tls)
        return bool(data)

    def _flush(self) -> None:
        if data := self._outgoing.read():  # not even an empty write is possible after FIN
            self.socket.sendall(data)

    def _transfer(self, call: Callable[[], _T]) -> _T:
        """Transfer bytes between TLS and the socket until `call` succeeds."""
        while True:
            try:
                result = call()
            except ssl.SSLWantReadError:
                self._flush()
                if data := self.socket.recv(65536):
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            except ssl.SSLError:
                self._flush()  # the alert
                raise
            else:
                self._flush()
                return result


class Server:
    """Accepts connections and records them; subclasses answer."""

    made: ClassVar[list[Server]] = []
    """All servers that this process has created since the list was cleared."""

    speaks_pop3 = True

    may_delete = False
    """Whether it has own probes of the plugin, the only messages that may be deleted."""

    def __init__(
        self, *, tls: ssl.SSLContext | None = None, address: str = LOOPBACK, port: int = 0
    ) -> None:
        self.made.append(self)
        self.commands: list[bytes] = []
        self.dialogues: list[list[bytes]] = []
        """The commands of each connection."""
        self.surprises: list[str] = []
        self.tls_errors: list[OSError] = []
        self.connections = 0
        self.flooded = 0
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.address = address
        self._tls = tls
        self._received = {False: bytearray(), True: bytearray()}
        self._all_received = bytearray()
        self._open: set[Connection] = set()
        self._threads: list[threading.Thread] = []
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._listener = socket.create_server((address, port), family=family, backlog=128)
        self.port: int = self._listener.getsockname()[1]

    def play(self, connection: Connection, number: int) -> None:
        """Serve connection `number`, counted from 0."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.stopping.set()
            connections = list(self._open)
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # interrupts poll()
        for connection in connections:
            connection.stop()
        self._join(self._threads, 0.9)
        self._listener.close()

    def settle(self, seconds: float = 1.0) -> None:
        """Wait until every connection so far has ended and is recorded."""
        end = time.monotonic() + seconds
        waiting = True
        while waiting and time.monotonic() < end:
            with self.lock:
                waiting = self._is_waiting(0)
            time.sleep(0.001 if waiting else 0)
        self._join(self._threads[1:], end - time.monotonic())

    @property
    def received(self) -> bytes:
        """All application bytes, decrypted, in order."""
        with self.lock:
            return bytes(self._all_received)

    @property
    def received_in_clear(self) -> bytes:
        with self.lock:
            return bytes(self._received[False])

    @property
    def received_in_tls(self) -> bytes:
        with self.lock:
            return bytes(self._received[True])

    def record(self, data: bytes, *, in_tls: bool) -> None:
        with self.lock:
            self._all_received += data
            self._received[in_tls] += data

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _join(self, threads: list[threading.Thread], seconds: float) -> None:
        end = time.monotonic() + seconds
        for thread in list(threads):
            thread.join(max(0.0, end - time.monotonic()))

    def _is_waiting(self, milliseconds: int | None) -> bool:
        """Return whether a client waits to be accepted (or the listener was shut down)."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        return bool(poll.poll(milliseconds))

    def _accept(self) -> None:
        with suppress(OSError, ValueError):  # the listener was shut down, or even closed
            while self._is_waiting(None):
                # In one step, so that settle() finds each client either waiting or registered.
                with self.lock:
                    if self.stopping.is_set():
                        return
                    sock, _ = self._listener.accept()
                    connection = Connection(self, sock)
                    self._open.add(connection)
                    self._start(self._serve, connection, self.connections)
                    self.connections += 1

    def _serve(self, connection: Connection, number: int) -> None:
        # A client may disconnect at any time: an OSError only ends its connection.
        with suppress(Over, OSError):
            if self._tls:
                connection.start_tls(self._tls)
            self.play(connection, number)
            connection.finish()
        with self.lock:
            self._open.discard(connection)
        connection.socket.close()


Step: TypeAlias = Callable[[Connection], None]


def say(data: bytes) -> Step:
    """Send data in one piece."""
    return lambda connection: connection.send(data)


def expect(prefix: bytes = b"") -> Step:
    """Read one line; record a surprise unless it begins with `prefix` (case-insensitive)."""

    def step(connection: Connection) -> None:
        line = connection.line()
        if not line.upper().startswith(prefix.upper()):
            connection.server.surprises.append(f"{line!r} where {prefix!r} was expected")

    return step


def pause(seconds: float) -> Step:
    return lambda connection: connection.wait(seconds)


def drip(data: bytes, gap: float) -> Step:
    """Send byte by byte, `gap` seconds after each."""

    def step(connection: Connection) -> None:
        for byte in data:
            connection.send(bytes([byte]))
            connection.wait(gap)

    return step


def hears_hello(connection: Connection) -> None:
    """Wait for the first TLS record of the client, which is not recorded."""
    connection.socket.recv(65536)


def drip_records(data: bytes, gap: float) -> Step:
    """Send data as one TLS record, byte by byte."""

    def step(connection: Connection) -> None:
        for byte in connection.sealed(data):
            connection.socket.sendall(bytes([byte]))
            connection.wait(gap)

    return step


def start_tls(context: ssl.SSLContext) -> Step:
    return lambda connection: connection.start_tls(context)


def drop() -> Step:
    """Close: FIN, in TLS without close_notify."""
    return Connection.drop


def reset() -> Step:
    """Close with RST."""
    return Connection.reset


def silence() -> Step:
    """Send nothing, and record until the client closes."""

    def step(connection: Connection) -> None:
        connection.drain()
        raise Over

    return step


def flood(chunk: bytes) -> Step:
    """Send a chunk repeatedly until the client closes."""

    def step(connection: Connection) -> None:
        pieces = [chunk[start : start + 16384] for start in range(0, len(chunk), 16384)]
        while True:
            for piece in pieces:
                connection.send(piece)
                with connection.server.lock:
                    connection.server.flooded += len(piece)

    return step


def drain() -> Step:
    """Record until the client sends no more; then the script continues."""
    return Connection.drain


class ScriptedServer(Server):
    """Plays these steps on every connection, or one of `scripts` each, repeating the last."""

    def __init__(
        self,
        steps: Sequence[Step] = (),
        *,
        scripts: Sequence[Sequence[Step]] | None = None,
        tls: ssl.SSLContext | None = None,
        address: str = LOOPBACK,
        port: int = 0,
    ) -> None:
        super().__init__(tls=tls, address=address, port=port)
        self._scripts = scripts or [steps]

    def play(self, connection: Connection, number: int) -> None:
        for step in self._scripts[min(number, len(self._scripts) - 1)]:
            step(connection)


class PoliteServer(Server):
    """A small POP3 server without faults."""

    def __init__(
        self,
        users: dict[str, str],
        *,
        messages: int = 3,
        octets: int = 1234,
        tls: ssl.SSLContext | None = None,
        stls: ssl.SSLContext | None = None,
        address: str = LOOPBACK,
        port: int = 0,
    ) -> None:
        super().__init__(tls=tls, address=address, port=port)
        self.users = users
        self.messages = messages
        self.octets = octets
        self.logins: list[str] = []  # attempted, accepted or not: repeated attempts lock accounts
        self.sessions = 0  # greeted
        self._quits = 0
        self._stls = stls

    @property
    def sessions_without_quit(self) -> int:
        """The number of sessions without QUIT, ended or open."""
        with self.lock:
            return self.sessions - self._quits

    def play(self, connection: Connection, number: int) -> None:
        with self.lock:
            self.sessions += 1
        connection.send(b"+OK POP3 ready\r\n")
        user: str | None = None
        logged_in = False
        while True:
            word, _, argument = connection.line().decode("utf-8", "replace").partition(" ")
            match word.upper(), logged_in:
                case "CAPA", _:
                    connection.send(self._capabilities(connection))
                case "QUIT", _:
                    with self.lock:
                        self._quits += 1
                    connection.send(b"+OK Bye\r\n")
                    return
                case "STLS", False if self._stls and not connection.in_tls:
                    connection.send(b"+OK Begin TLS negotiation now\r\n")
                    connection.start_tls(self._stls)
                    user = None  # RFC 2595: discard everything from before TLS
                case "USER", False if argument:
                    user = argument  # known or not: the reply must not reveal it
                    connection.send(b"+OK\r\n")
                case "PASS", False if user is not None:
                    self.logins.append(user)
                    logged_in = self.users.get(user) == argument
                    if logged_in:
                        connection.send(b"+OK Logged in\r\n")
                    else:
                        connection.send(b"-ERR [AUTH] Authentication failed.\r\n")
                    user = None
                case "STAT", True:
                    connection.send(f"+OK {self.messages} {self.octets}\r\n".encode())
                case "UIDL", True if not argument:
                    uids = "".join(f"{n} uid{n}\r\n" for n in range(1, self.messages + 1))
                    connection.send(f"+OK\r\n{uids}.\r\n".encode())
                case "NOOP", True:
                    connection.send(b"+OK\r\n")
                case _:
                    connection.send(b"-ERR Unknown command or wrong state\r\n")

    def _capabilities(self, connection: Connection) -> bytes:
        lines = ["+OK", "USER", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING"]
        if self._stls and not connection.in_tls:
            lines.append("STLS")
        lines += ["IMPLEMENTATION PoliteServer", ".", ""]
        return "\r\n".join(lines).encode()
