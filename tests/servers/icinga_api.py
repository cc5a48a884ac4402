"""A test server with the REST API of Icinga 2."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from typing import Any

from tests.servers.scripted_server import Connection, Server
from tests.servers.token_endpoint import http

Answer = Callable[[dict[str, Any]], bytes]
"""Returns the HTTP response to a result."""


class Cut(bytes):
    """A response after which the connection is closed."""


def taken(result: dict[str, Any]) -> bytes:
    """Return the response of Icinga 2 to a result that it accepts."""
    status = {"code": 200, "status": f"Successfully processed {result['service']}."}
    return http(json.dumps({"results": [status]}).encode())


def refused(line: str, **fields: object) -> bytes:
    """Return an error response with these JSON fields."""
    return http(json.dumps(fields).encode(), line)


class Api(Server):
    """Accepts results on persistent connections; the last answer is repeated."""

    speaks_pop3 = False

    def __init__(self, *answers: Answer, tls: ssl.SSLContext, port: int = 0) -> None:
        super().__init__(tls=tls, port=port)
        self.heads: list[list[str]] = []
        self.results: list[dict[str, Any]] = []
        self._answers = list(answers) or [taken]

    def play(self, connection: Connection, number: int) -> None:
        while True:
            head = [connection.line().decode()]
            while head[-1]:
                head.append(connection.line().decode())
            [length] = [int(each[16:]) for each in head if each.startswith("Content-Length: ")]
            result = json.loads(connection.octets(length))
            self.heads.append(head)
            self.results.append(result)
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            response = answer(result)
            connection.send(response)
            if isinstance(response, Cut):
                connection.drop()
