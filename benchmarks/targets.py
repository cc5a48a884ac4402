"""A thousand POP3 servers on loopback, each with a certificate of its own below an intermediate.

Every address 127.1.x.y answers on one port; the certificate is chosen by the address, so that every
client verifies it without SNI. Two processes serve them; what they cost is not measured.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.pki import certificate_parts as parts
from tests.pki.der import integer

HOST = "127.0.0.1"
PROCESSES = 2

_FIRST = int(ipaddress.ip_address("127.1.0.1"))


def address(number: int) -> str:
    """Return the address of a target; 127/8 is this machine."""
    return str(ipaddress.ip_address(_FIRST + number))


class Targets:
    """Certificates and keys of one kind (`rsa` or `ec`), and the server that shows them."""

    def __init__(self, folder: Path, kind: str, number: int) -> None:
        self.kind, self.number = kind, number
        self._folder = folder / kind
        self._folder.mkdir()
        self.ca_file = str(self._folder / "ca.pem")
        self.port = 0
        own, sub, top = (
            (parts.rsa_key(2048), parts.rsa_key(2049), parts.rsa_key(2050))
            if kind == "rsa"
            else map(parts.ec_key, (91, 92, 93))
        )
        root = parts.root(f"Bench {kind} root", top)
        issuer = root.below(f"Bench {kind} intermediate", sub)
        Path(self.ca_file).write_text(ssl.DER_cert_to_PEM_cert(root.certificate))
        key = own.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        for each in range(number):
            host = address(each)
            listed = parts.names(parts.address(ipaddress.ip_address(host).packed))
            leaf = issuer.leaf(
                own,
                subject=parts.name(host),
                serial=integer(each + 1),
                extensions=issuer.extensions(own, names=listed),
            )
            chain = "".join(map(ssl.DER_cert_to_PEM_cert, (leaf, issuer.certificate)))
            (self._folder / f"{host}.pem").write_text(chain + key)

    @contextmanager
    def served(self) -> Iterator[None]:
        """Answer in TLS on `port` of every address, and in plain text on the port after it."""
        with _two_ports() as (tls, plain):
            self.port = tls.getsockname()[1]
            children = [self._start(tls, plain) for _ in range(PROCESSES)]
            try:
                yield
            finally:
                for child in children:
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)

    def _start(self, *ports: socket.socket) -> int:
        child = os.fork()
        if child:
            return child
        threads = [
            threading.Thread(target=self._accept, args=(port, port is ports[0]))
            for port in ports
            for _ in range(_THREADS)
        ]
        for each in threads:
            each.start()
        signal.pause()
        os._exit(0)

    def _accept(self, port: socket.socket, is_tls: bool) -> None:
        while True:
            link, _ = port.accept()
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with suppress(OSError), link:
                stream = link
                if is_tls:
                    stream = self._context(link.getsockname()[0]).wrap_socket(link, True)
                stream.sendall(b"+OK ready\r\n")
                stream.recv(512)
                stream.sendall(b"+OK bye\r\n")
                stream.close()

    @cache  # noqa: B019 - one for each process
    def _context(self, host: str) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._folder / f"{host}.pem")
        context.num_tickets = 0  # nobody resumes
        return context


_THREADS = 16


@contextmanager
def _two_ports() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield two listening sockets with consecutive ports, on all addresses of this machine."""
    while True:
        first = socket.create_server(("", 0), backlog=1024)
        try:
            second = socket.create_server(("", first.getsockname()[1] + 1), backlog=1024)
        except OSError:  # in use
            first.close()
            continue
        with first, second:
            yield first, second
        return
