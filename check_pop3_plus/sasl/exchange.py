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


class Exchange:
    """Runs a mechanism; its responses are in base64."""

    def __init__(self, mechanism: Mechanism, identity: Identity) -> None:
        self._identity = identity
        self._responses = mechanism(identity)
        self._waiting = next(self._responses)
        """The initial response until it is sent."""
        self.is_before_secret = True
        """Whether the secret was not sent yet, nor a proof of it."""

    def initial(self, longest: int) -> bytes | None:
        """Return the initial response, to be sent with the command that names the mechanism.

        One of more than `longest` bytes waits for the first challenge.
        """
        if self._waiting is None or len(b64encode(self._waiting)) > longest:
            return None
        return self._first(self._waiting) or b"="  # RFC 4954, 4959, 5034

    def answer(self, challenge: bytes) -> bytes:
        """Return the response to a challenge. Raises Malformed and Refused.

        An OAuth error in JSON may lack its padding, as on some servers (test 889 of curl).
        """
        padding = b"=" * (-len(challenge) % 4)
        plain = decoded(challenge + padding)
        if padding and not plain.startswith(b"{"):
            raise Malformed("not base64")
        if self._waiting is not None:
            if challenge:
                raise Malformed("not empty, though it is the client that begins")
            return self._first(self._waiting)
        try:
            answer = self._responses.send(plain) or b""
        except StopIteration as end:
            raise Malformed("one more than this mechanism has") from end
        if padding:  # not an OAuth error
            raise Malformed("not base64")
        if answer == self._identity.username:  # the first one of LOGIN
            return self._first(answer)
        self.is_before_secret = False
        return b64encode(answer)

    def is_complete(self) -> bool:
        """Return whether everything was sent and checked, so that the server may accept it."""
        try:
            self._responses.send(b"")
        except StopIteration:
            return self._waiting is None
        except (Malformed, Refused):
            pass
        return False

    def _first(self, response: bytes) -> bytes:
        """Return the first response; most mechanisms send the secret with it."""
        self._waiting = None
        self.is_before_secret = self._identity.secret not in response
        return b64encode(response)


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
