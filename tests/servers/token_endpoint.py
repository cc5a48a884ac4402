"""A token endpoint on loopback: receives token requests over TLS, records them, and answers."""

from __future__ import annotations

import json
import ssl
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, quote_plus

from tests.servers.scripted_server import Connection, Server, Step, say


class Request(NamedTuple):
    """The request of one client."""

    line: str
    headers: dict[str, str]
    """By lower-case name."""
    form: dict[str, str]


def urlencoded(value: str) -> str:
    """Return a value in form encoding."""
    return quote_plus(value)


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Return an HTTP response with Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def granted(token: str, **members: object) -> Step:
    """Return this token (RFC 6749 section 5.1)."""
    said = {"access_token": token, "token_type": "Bearer", "expires_in": 3599, **members}
    return say(http(json.dumps(said).encode(), "200 OK", "Content-Type: application/json"))


def refused(error: str, description: str, status: str = "400 Bad Request") -> Step:
    """Refuse with an error (RFC 6749 section 5.2)."""
    said = {"error": error, "error_description": description}
    return say(http(json.dumps(said).encode(), status))


class TokenEndpoint(Server):
    """Reads one request from each connection, then plays these steps."""

    speaks_pop3 = False

    def __init__(self, *steps: Step, tls: ssl.SSLContext, address: str = "127.0.0.1") -> None:
        super().__init__(tls=tls, address=address)
        self.requests: list[Request] = []
        self._steps: Sequence[Step] = steps

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/tenant/oauth2/v2.0/token"

    def play(self, connection: Connection, number: int) -> None:
        line = connection.line().decode()
        headers = {}
        while field := connection.line().decode():
            name, _, value = field.partition(":")
            headers[name.lower()] = value.strip()
        body = connection.octets(int(headers["content-length"])).decode()
        form = dict(parse_qsl(body, keep_blank_values=True, strict_parsing=True))
        self.requests.append(Request(line, headers, form))
        for step in self._steps:
            step(connection)
