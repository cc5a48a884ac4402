"""One SASL exchange from the side of the client (RFC 4422), and the interface of a mechanism.

A mechanism is a generator: it first yields its initial response, or None if the server begins;
then it is sent the challenges and yields the responses, all without base64. It returns after its
last response. `Exchange` adds base64; the lines around it are those of a protocol, as in
`pop3/auth`. No I/O.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Generator

from check_pop3_plus.model.record import Record


class Identity(Record):
    """User, secret and server: the input of a mechanism."""

    username: bytes
    secret: bytes
    """Password or token; empty if a client certificate authenticates."""
    hostname: str
    port: int

    def __repr__(self) -> str:
        return "Identity(***)"


Responses = Generator[bytes | None, bytes, None]

Mechanism = Callable[[Identity], Responses]


class Malformed(Exception):
    """A challenge that is not valid for this mechanism."""


class Refused(Exception):
    """A challenge with the reason for a refusal; the server ends the exchange after `answer`."""

    def __init__(self, answer: bytes, reason: bytes) -> None:
        self.answer = answer
        self.reason = reason


class Response(Record):
    """A response to be sent."""

    text: bytes
    """In base64."""
    is_before_secret: bool = False
    """Whether the secret was not sent yet, nor a proof of it."""


class Exchange:
    """Runs a mechanism."""

    def __init__(self, mechanism: Mechanism, identity: Identity) -> None:
        self._identity = identity
        self._responses = mechanism(identity)
        self._waiting = next(self._responses)
        """The initial response until it is sent."""

    def initial(self, longest: int) -> Response | None:
        """Return the initial response, to be sent with the command that names the mechanism.

        One of more than `longest` bytes waits for the first challenge.
        """
        if self._waiting is None:
            return None
        response = self._response(self._waiting)
        if len(response.text) > longest:
            return None
        self._waiting = None
        return response.replace(text=response.text or b"=")  # RFC 4954, 4959, 5034

    def answer(self, challenge: bytes) -> Response:
        """Return the response to a challenge in base64. Raises Malformed and Refused.

        An OAuth error in JSON may lack its padding, as on some servers (test 889 of curl).
        """
        padding = b"=" * (-len(challenge) % 4)
        plain = decoded(challenge + padding)
        if padding and not plain.startswith(b"{"):
            raise Malformed("not base64")
        if self._waiting is not None:
            if challenge:
                raise Malformed("not empty, though it is the client that begins")
            response, self._waiting = self._response(self._waiting), None
            return response
        try:
            answer = self._responses.send(plain) or b""
        except StopIteration as end:
            raise Malformed("one more than this mechanism has") from end
        if padding:  # not an OAuth error
            raise Malformed("not base64")
        if answer == self._identity.username:  # the first one of LOGIN
            return self._response(answer)
        return Response(b64encode(answer))

    def is_complete(self) -> bool:
        """Return whether everything was sent and checked, so that the server may accept it."""
        try:
            self._responses.send(b"")
        except StopIteration:
            return self._waiting is None
        except (Malformed, Refused):
            pass
        return False

    def _response(self, first: bytes) -> Response:
        return Response(b64encode(first), self._identity.secret not in first)


_BASE64 = re.compile(
    rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"  # RFC 4648 section 4
)


def decoded(challenge: bytes) -> bytes:
    """Decode base64. Raises Malformed.

    The pattern checks it, because the versions of Python differ in strictness.
    """
    if not _BASE64.fullmatch(challenge):
        raise Malformed("not base64")
    return b64decode(challenge)
