"""Read HTTP replies without a network."""

from __future__ import annotations

import io
from http.client import HTTPConnection

from check_pop3_plus.net import https


class _Socket(io.RawIOBase):
    """A socket that receives these pieces, and then the end."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]

    def sendall(self, data: bytes) -> None:
        """Drop the request."""

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def close(self) -> None:
        """Stay readable, as a socket whose file is still open."""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        piece = self._pieces.pop(0) if self._pieces else b""
        data = piece[: len(buffer)]
        if rest := piece[len(buffer) :]:
            self._pieces.insert(0, rest)
        buffer[: len(data)] = data
        return len(data)


def read(*pieces: bytes) -> tuple[int, bytes]:
    """Return status and body of a reply that arrives in these pieces."""
    connection = HTTPConnection("localhost")
    connection.sock = _Socket(list(pieces))
    connection.request("POST", "/")
    return https.read_reply(connection)
