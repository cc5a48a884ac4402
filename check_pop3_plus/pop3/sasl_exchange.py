"""SASL in POP3 (RFC 5034): what a mechanism is, and how one is carried. No I/O.

A mechanism is a generator: it first yields its initial response, or None where the server speaks
first; then it is sent the challenges and yields the responses, all without base64. It returns
after its last response. It knows nothing of POP3, and `exchange` nothing of any mechanism.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Generator
from contextlib import suppress

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.sanitised_text import Printable, sanitise
from check_pop3_plus.pop3.grammar import Command, Reply, command

COMMAND_LIMIT = 255
"""Octets of a command line (RFC 5034 section 4): a longer initial response waits for `+`."""


class Identity(Record):
    """Who logs in, and where: all that a mechanism may need."""

    username: bytes
    secret: bytes
    """Password or token; empty where a client certificate is the proof."""
    hostname: str
    port: int
    greeting: bytes
    """As received: APOP takes its challenge from it."""

    def __repr__(self) -> str:
        return "Identity(***)"


Responses = Generator[bytes | None, bytes, None]

Mechanism = Callable[[Identity], Responses]


class Malformed(Exception):
    """A challenge that is none of this mechanism."""


class Refused(Exception):
    """A challenge that says why the login will be refused; `answer` lets the server end it."""

    def __init__(self, answer: bytes, reason: bytes) -> None:
        self.answer = answer
        self.reason = reason


_CANCEL = Command(b"*\r\n", Printable("*"))


def exchange(
    name: str, mechanism: Mechanism, identity: Identity
) -> Generator[Command, Reply, Reply]:
    """Carry a mechanism in AUTH (RFC 5034 section 4) and return the reply that ended it.

    An initial response goes into the command where the line stays within `COMMAND_LIMIT`.
    Raises ProbeError (garbled), after `*` where the exchange must be cancelled.
    """
    responses = mechanism(identity)
    opening, waiting = _opening(name, next(responses))
    reply = yield opening
    while reply.challenge is not None:
        try:
            answer = _answer(responses, reply.challenge, waiting)
        except Refused as refused:
            return (yield from _told_why(name, refused))
        except Malformed as error:
            with suppress(ProbeError):
                yield _CANCEL
            what = sanitise(str(error))
            message = f"sent a malformed challenge: {what}; exchange cancelled"
            raise ProbeError(Kind.GARBLED, Printable(message)) from error
        waiting = None
        reply = yield _response(answer)
    if reply.ok and (waiting is not None or not _is_complete(responses)):
        raise _too_early(name)
    return reply


_BASE64 = re.compile(
    rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"  # RFC 4648 section 4
)


def decoded(challenge: bytes) -> bytes:
    """Undo base64, which is judged here because Python's versions differ about what it is.

    Raises Malformed.
    """
    if not _BASE64.fullmatch(challenge):
        raise Malformed("not base64")
    return b64decode(challenge)


def _opening(name: str, initial: bytes | None) -> tuple[Command, bytes | None]:
    """Return the AUTH command, and the initial response where it has to wait."""
    argument = name.encode()
    if initial is not None:
        with_response = argument + b" " + (b64encode(initial) or b"=")
        if len(with_response) + len("AUTH \r\n") <= COMMAND_LIMIT:
            shown = Printable(f"{name} ***")
            return command(b"AUTH", with_response, shown).replace(is_auth=True), None
    return command(b"AUTH", argument, Printable(name)).replace(is_auth=True), initial


def _answer(responses: Responses, challenge: bytes, waiting: bytes | None) -> bytes:
    """Return the response to a challenge in base64, or the one that has waited for it.

    An error in a JSON object may lack its padding: some servers' OAuth errors do (curl's test
    889). Raises Malformed, and Refused.
    """
    padding = b"=" * (-len(challenge) % 4)
    said = decoded(challenge + padding)
    if padding and not said.startswith(b"{"):
        raise Malformed("not base64")
    if waiting is not None:
        if challenge:
            raise Malformed("not empty, though it is the client that begins")
        return waiting
    try:
        answer = responses.send(said) or b""
    except StopIteration as end:
        raise Malformed("one more than this mechanism has") from end
    if padding:  # and it was no error
        raise Malformed("not base64")
    return answer


def _told_why(name: str, refused: Refused) -> Generator[Command, Reply, Reply]:
    """Let the server end an exchange that it refuses, and return its reply with the reason.

    A server that hangs up, or falls silent, instead has said why nevertheless.
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
    said = b" - " + reply.text if reply.text else b""
    return reply.replace(text=refused.reason + said, challenge=None)


def _response(answer: bytes) -> Command:
    return Command(b64encode(answer) + b"\r\n", Printable("***"), is_auth=True)


def _too_early(name: str) -> ProbeError:
    message = f"accepted {name} before the exchange was complete"
    return ProbeError(Kind.GARBLED, Printable(message))


def _is_complete(responses: Responses) -> bool:
    """Return whether a mechanism has said, and checked, all that it has to."""
    try:
        responses.send(b"")
    except StopIteration:
        return True
    except (Malformed, Refused):
        return False
    return False
