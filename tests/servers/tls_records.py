"""TLS records built by hand, after a real handshake or in the middle of one.

No TLS library sends endless tickets, key updates, empty records or renegotiation requests. The keys
come from the key log of the server's own context (RFC 8446 sections 5 and 7, RFC 5246 sections 5
and 6.3).
"""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from tests.pki.certificates import Pki
from tests.servers.scripted_server import Connection, Over, Step

ALERT, HANDSHAKE, DATA = 21, 22, 23
HELLO_REQUEST = bytes(4)
TICKET = b"\x04\0\0\x16" + b"\0\0\x1c\x20" + b"age!" + b"\1n" + b"\0\x08" + b"a ticket" + b"\0\0"
"""NewSessionTicket (RFC 8446 section 4.6.1)."""
KEY_UPDATE = b"\x18\0\0\1\0"
"""Without a request for one in return (section 4.6.3)."""


def record(content: bytes, kind: int = HANDSHAKE) -> bytes:
    return bytes((kind, 3, 3)) + len(content).to_bytes(2, "big") + content


class Writer:
    """Encrypts server data with TLS 1.3 after the handshake."""

    def __init__(self, keys: _Keys) -> None:
        # AES-256 is used with SHA-384, AES-128 with SHA-256 (RFC 8446 section B.4).
        is_long = "256_GCM" in keys.cipher
        self._hash: hashes.HashAlgorithm = hashes.SHA384() if is_long else hashes.SHA256()
        self._key_size = 32 if is_long else 16
        self._secret = keys.of("SERVER_TRAFFIC_SECRET_0")
        self._number = 0
        self._rekey()

    def record(self, content: bytes, kind: int) -> bytes:
        inner = content + bytes((kind,))
        head = bytes((DATA, 3, 3)) + (len(inner) + 16).to_bytes(2, "big")
        mask = int.from_bytes(self._iv, "big") ^ self._number
        self._number += 1
        return head + self._key.encrypt(mask.to_bytes(12, "big"), inner, head)

    def update(self) -> None:
        """Switch to new keys, as after a KeyUpdate (section 7.2)."""
        self._secret = self._expanded(b"traffic upd", self._hash.digest_size)
        self._number = 0
        self._rekey()

    def _rekey(self) -> None:
        self._key = AESGCM(self._expanded(b"key", self._key_size))
        self._iv = self._expanded(b"iv", 12)

    def _expanded(self, label: bytes, length: int) -> bytes:
        """HKDF-Expand-Label (section 7.1)."""
        label = b"tls13 " + label
        info = length.to_bytes(2, "big") + bytes((len(label),)) + label + b"\0"
        return HKDFExpand(self._hash, length, info).derive(self._secret)


def tickets(writer: Writer) -> Iterator[bytes]:
    """Yield records full of tickets, endlessly."""
    while True:
        yield writer.record(TICKET * (16_000 // len(TICKET)), HANDSHAKE)


def key_updates(writer: Writer) -> Iterator[bytes]:
    while True:
        yield writer.record(KEY_UPDATE, HANDSHAKE)
        writer.update()


def empty_records(writer: Writer) -> Iterator[bytes]:
    while True:
        yield writer.record(b"", DATA)


FLOODS = {"tickets": tickets, "key updates": key_updates, "empty records": empty_records}


def flood_of(what: str, pki: Pki) -> Step:
    """Make a TLS 1.3 handshake, then send one of `FLOODS` until the client closes."""

    def step(connection: Connection) -> None:
        records = FLOODS[what](Writer(_shake_hands(connection, pki, "1.3")))
        while True:
            piece = b"".join(next(records) for _ in range(20))
            connection.socket.sendall(piece)
            with connection.server.lock:
                connection.server.flooded += len(piece)

    return step


def alert_after_handshake(number: int, pki: Pki) -> Step:
    """Make a TLS 1.3 handshake, then send a fatal alert (RFC 8446 section 6)."""

    def step(connection: Connection) -> None:
        writer = Writer(_shake_hands(connection, pki, "1.3"))
        connection.socket.sendall(writer.record(bytes((2, number)), ALERT))

    return step


def request_renegotiation(pki: Pki) -> Step:
    """Make a TLS 1.2 handshake, request a renegotiation, and then stall."""

    def step(connection: Connection) -> None:
        keys = _shake_hands(connection, pki, "1.2")
        seed = b"key expansion" + keys.server_random + keys.client_random
        block = _prf(keys.of("CLIENT_RANDOM"), seed, 40)
        # Two keys, then two nonce prefixes, those of the client first.
        key, salt, number = AESGCM(block[16:32]), block[36:40], (1).to_bytes(8, "big")
        head = number + bytes((HANDSHAKE, 3, 3)) + len(HELLO_REQUEST).to_bytes(2, "big")
        sealed = key.encrypt(salt + number, HELLO_REQUEST, head)
        connection.socket.sendall(record(number + sealed))
        while connection.socket.recv(65536):
            pass
        raise Over

    return step


class Flight:
    """The unsent answer of a real server to the received ClientHello."""

    def __init__(self, connection: Connection, pki: Pki, version: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = pki.only(version)
        tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                self.data = self._outgoing.read()
                if self.data:
                    return
            received = connection.socket.recv(65536)
            if not received:
                raise Over
            self._incoming.write(received)

    def records(self) -> list[bytes]:
        found, data = [], self.data
        while data:
            end = 5 + int.from_bytes(data[3:5], "big")
            found.append(data[:end])
            data = data[end:]
        return found


class _Keys:
    """The secrets of a handshake."""

    def __init__(self, log: str, cipher: str, hello: bytes, answer: bytes) -> None:
        self._log = log
        self.cipher = cipher
        self.client_random, self.server_random = hello[11:43], answer[11:43]

    def of(self, label: str) -> bytes:
        for line in self._log.splitlines():
            name, _, secret = line.partition(" ")
            if name == label:
                return bytes.fromhex(secret.partition(" ")[2])
        raise KeyError(label)


def _shake_hands(connection: Connection, pki: Pki, version: str) -> _Keys:
    """Make a handshake with a temporary context, and return the keys from its key log."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pki.files("good"))
    context.num_tickets = 0
    context.minimum_version = context.maximum_version = {
        "1.2": ssl.TLSVersion.TLSv1_2,
        "1.3": ssl.TLSVersion.TLSv1_3,
    }[version]
    context.options |= ssl.OP_NO_TICKET
    if version == "1.2":  # the ciphers of 1.3 cannot be set
        context.set_ciphers("AES128-GCM-SHA256:ECDHE+AESGCM+AES128")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = answer = b""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "keys"
        context.keylog_filename = str(log)
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        while True:
            try:
                tls.do_handshake()
                is_done = True
            except ssl.SSLWantReadError:
                is_done = False
            sent = outgoing.read()
            answer += sent
            connection.socket.sendall(sent)
            if is_done:
                agreed = tls.cipher()
                return _Keys(log.read_text(), agreed[0] if agreed else "", hello, answer)
            received = connection.socket.recv(65536)
            if not received:
                raise Over
            hello += received
            incoming.write(received)


def _prf(secret: bytes, seed: bytes, length: int) -> bytes:
    """The pseudo-random function of TLS 1.2 (RFC 5246 section 5)."""
    done, chained = b"", seed
    while len(done) < length:
        chained = _mac(secret, chained)
        done += _mac(secret, chained + seed)
    return done[:length]


def _mac(secret: bytes, data: bytes) -> bytes:
    made = hmac.HMAC(secret, hashes.SHA256())
    made.update(data)
    return made.finalize()
