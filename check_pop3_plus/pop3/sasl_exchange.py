"""SASL exchanges in POP3 (RFC 5034): the interface of a mechanism, and the AUTH command. No I/O.

A mechanism is a generator: it first yields its initial response, or None if the server begins;
then it is sent the challenges and yields the responses, all without base64. It returns after its
last response. It does not depend on POP3, and `exchange` does not depend on any mechanism.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Generator
from contextlib import suppress

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.sanitised_text import printable
from check_pop3_plus.pop3.grammar import COMMAND_LIMIT, Command, Reply, command


class Identity(Record):
    """User, secret and server: the input of a mechanism."""

    username: bytes
    secret: bytes
    """Password or token; empty if a client certificate authenticates."""
    hostname: str
    port: int
    greeting: bytes
    """As received; it contains the challenge of APOP."""

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


_CANCEL = Command(b"*\r\n", printable("*"))


def exchange(
    name: str, mechanism: Mechanism, identity: Identity
) -> Generator[Command, Reply, Reply]:
    """Run a mechanism inside AUTH (RFC 5034 section 4) and return the reply that ended it.

    The initial response goes into the command if the line stays within `COMMAND_LIMIT`.
    Raises ProbeError (garbled), after `*` if the exchange must be cancelled.
    """
    responses = mechanism(identity)
    opening, waiting = _opening(name, next(responses), identity.secret)
    reply = yield opening
    while reply.challenge is not None:
        try:
            answer = _answer(responses, reply.challenge, waiting)
            is_first = waiting is not None or answer == identity.username  # or the one of LOGIN
            before_secret = is_first and identity.secret not in answer
        except Refused as refused:
            return (yield from _end_refused(name, refused))
        except Malformed as error:
            with suppress(ProbeError):
                yield _CANCEL
            message = "sent a malformed challenge: {}; exchange cancelled"
            raise ProbeError(Kind.GARBLED, message, error) from error
        waiting = None
        reply = yield _response(answer).replace(before_secret=before_secret)
    if reply.ok and (waiting is not None or not _is_complete(responses)):
        raise _too_early(name)
    return reply


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


def _opening(name: str, initial: bytes | None, secret: bytes) -> tuple[Command, bytes | None]:
    """Return the AUTH command, and the initial response if it must wait for `+`."""
    argument = name.encode()
    if initial is not None:
        with_response = argument + b" " + (b64encode(initial) or b"=")
        if len(with_response) + len("AUTH \r\n") <= COMMAND_LIMIT:
            shown = printable("{} ***", name)
            opening = command(b"AUTH", with_response, shown)
            return opening.replace(is_auth=True, before_secret=secret not in initial), None
    opening = command(b"AUTH", argument, printable("{}", name))
    return opening.replace(is_auth=True, before_secret=True), initial


def _answer(responses: Responses, challenge: bytes, waiting: bytes | None) -> bytes:
    """Return the response to a challenge in base64, or the initial response that waited for it.

    An OAuth error in JSON may lack its padding, as on some servers (test 889 of curl).
    Raises Malformed and Refused.
    """
    padding = b"=" * (-len(challenge) % 4)
    plain = decoded(challenge + padding)
    if padding and not plain.startswith(b"{"):
        raise Malformed("not base64")
    if waiting is not None:
        if challenge:
            raise Malformed("not empty, though it is the client that begins")
        return waiting
    try:
        answer = responses.send(plain) or b""
    except StopIteration as end:
        raise Malformed("one more than this mechanism has") from end
    if padding:  # not an OAuth error
        raise Malformed("not base64")
    return answer


def _end_refused(name: str, refused: Refused) -> Generator[Command, Reply, Reply]:
    """Let the server end an exchange that it refuses; return its reply with the reason.

    The reason is known even if the server then closes the connection or does not answer.
    """
    try:
        reply = yield _response(refused.answer)
    except ProbeError:
        return Reply(False, refused.reason)
    if reply.challenge is not None:
        with suppress(ProbeError):
            yield _CANCEL
    if reply.ok:
        raise _too_early(name)
    text = b" - " + reply.text if reply.text else b""
    return reply.replace(text=refused.reason + text, challenge=None)


def _response(answer: bytes) -> Command:
    return Command(b64encode(answer) + b"\r\n", printable("***"), is_auth=True)


def _too_early(name: str) -> ProbeError:
    return ProbeError(Kind.GARBLED, "accepted {} before the exchange was complete", name)


def _is_complete(responses: Responses) -> bool:
    """Return whether a mechanism has sent and checked everything."""
    try:
        responses.send(b"")
    except StopIteration:
        return True
    except (Malformed, Refused):
        return False
    return False
