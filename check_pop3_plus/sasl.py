"""SASL mechanisms for POP3 (RFC 5034): one generator each, secrets in, bytes out, no I/O.

A mechanism first yields its initial response, or None where the server speaks first; then it is
sent the challenges and yields the responses, all without base64. It returns after its last
response. `exchange` does the framing for all of them.
"""

import os
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import NamedTuple

from check_pop3_plus.failures import Kind, ProbeError
from check_pop3_plus.pop3 import Command, Reply, command
from check_pop3_plus.text import Printable, clean

COMMAND_LIMIT = 255
"""Octets of a command line (RFC 5034 section 4): a longer initial response waits for `+`."""

SCRAM_ITERATIONS = 200_000
"""Most that is worked on. 4,096 is usual; a hostile server must not keep us busy for more than
about 0.1 s, which no deadline could interrupt."""


class Identity(NamedTuple):
    """Who logs in, and where: all that a mechanism may need."""

    username: bytes
    secret: bytes
    """Password or token; empty where a client certificate is the proof."""
    hostname: str
    port: int
    greeting: bytes
    """As received: APOP takes its challenge from it."""


Responses = Generator[bytes | None, bytes, None]

Mechanism = Callable[[Identity], Responses]


class Malformed(Exception):
    """A challenge that is none of this mechanism."""


class Refused(Exception):
    """A challenge that says why the login will be refused; `answer` lets the server end it."""

    def __init__(self, answer: bytes, reason: bytes) -> None:
        super().__init__(reason)
        self.answer = answer
        self.reason = reason


# --- the mechanisms --------------------------------------------------------------------------


def plain(identity: Identity) -> Responses:
    """RFC 4616: no authorisation identity, the user name, the password."""
    yield b"\0" + identity.username + b"\0" + identity.secret


def login(identity: Identity) -> Responses:
    """draft-murchison-sasl-login: two questions, whose text says nothing reliable."""
    yield None
    yield identity.username
    yield identity.secret


def cram_md5(identity: Identity) -> Responses:
    """RFC 2195: a keyed digest of the challenge."""
    import hmac

    challenge = yield None
    digest = hmac.new(identity.secret, challenge, "md5").hexdigest()
    yield identity.username + b" " + digest.encode()


def external(identity: Identity) -> Responses:
    """RFC 4422 appendix A: the client certificate is the proof, the name only who to be."""
    yield identity.username


def scram_sha_1(identity: Identity) -> Responses:
    """RFC 5802."""
    return _scram("sha1", identity)


def scram_sha_256(identity: Identity) -> Responses:
    """RFC 7677."""
    return _scram("sha256", identity)


def xoauth2(identity: Identity) -> Responses:
    """Google's and Microsoft's form; an error is a challenge in JSON, answered by nothing."""
    error = yield (b"user=" + identity.username + b"\1auth=Bearer " + identity.secret + b"\1\1")
    if error:
        raise Refused(b"", _reason(error))


def oauthbearer(identity: Identity) -> Responses:
    """RFC 7628; an error is a challenge in JSON, answered by one control-A."""
    target = f"\1host={identity.hostname}\1port={identity.port}".encode()
    header = b"n,a=" + _scram_name(identity.username) + b","
    error = yield header + target + b"\1auth=Bearer " + identity.secret + b"\1\1"
    if error:
        raise Refused(b"\1", _reason(error))


def _scram(algorithm: str, identity: Identity, nonce: bytes | None = None) -> Responses:
    """Prove the password without sending it, and check that the server knows it, too."""
    import hashlib
    import hmac

    nonce = nonce or b64encode(os.urandom(18))
    client_first = b"n=" + _scram_name(_prepared(identity.username)) + b",r=" + nonce
    server_first = yield b"n,," + client_first
    parts = re.fullmatch(rb"r=([!-+\--~]+),s=([A-Za-z0-9+/]+=*),i=([1-9][0-9]{0,9})", server_first)
    if not parts or not parts[1].startswith(nonce) or parts[1] == nonce:
        raise Malformed("not the first message of a SCRAM server")
    iterations = int(parts[3])
    if iterations > SCRAM_ITERATIONS:
        raise Malformed(f"{iterations} iterations, more than {SCRAM_ITERATIONS}")
    salted = hashlib.pbkdf2_hmac(
        algorithm, _prepared(identity.secret), decoded(parts[2]), iterations
    )
    client_final = b"c=biws,r=" + parts[1]
    message = client_first + b"," + server_first + b"," + client_final
    client_key = hmac.digest(salted, b"Client Key", algorithm)
    signature = hmac.digest(hashlib.new(algorithm, client_key).digest(), message, algorithm)
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    server_final = yield client_final + b",p=" + b64encode(proof)
    if server_final.startswith(b"e="):
        raise Refused(b"", server_final[2:])
    server_key = hmac.digest(salted, b"Server Key", algorithm)
    expected = b"v=" + b64encode(hmac.digest(server_key, message, algorithm))
    if not hmac.compare_digest(server_final.partition(b",")[0], expected):
        raise Malformed("the server does not know the password, its signature is wrong")
    yield b""


def _scram_name(name: bytes) -> bytes:
    """RFC 5802 section 5.1: `,` and `=` are written in numbers."""
    return name.replace(b"=", b"=3D").replace(b",", b"=2C")


def _prepared(text: bytes) -> bytes:
    """Apply SASLprep (RFC 4013): what is typed in two ways on two keyboards is one password.

    What it forbids is left as it is: the server then refuses it, and its words are better.
    """
    if text.isascii():
        return text
    import stringprep
    import unicodedata

    try:
        typed = text.decode("utf-8")
    except UnicodeDecodeError:
        return text
    mapped = (
        " " if stringprep.in_table_c12(char) else char
        for char in typed
        if not stringprep.in_table_b1(char)
    )
    return unicodedata.normalize("NFKC", "".join(mapped)).encode("utf-8")


def _reason(error: bytes) -> bytes:
    """Return what an OAuth error in JSON says in words (RFC 7628 section 3.2.2)."""
    import json

    words: list[str] = []
    try:
        said = json.loads(error)
        words = [str(said[key]) for key in ("status", "error", "scope") if said.get(key)]
    except (ValueError, AttributeError, RecursionError):
        pass  # not the JSON object that it should be: shown as it is
    return b"token refused: " + (", ".join(words).encode("utf-8", "replace") or error)


MECHANISMS: dict[str, Mechanism] = {
    "PLAIN": plain,
    "LOGIN": login,
    "CRAM-MD5": cram_md5,
    "SCRAM-SHA-1": scram_sha_1,
    "SCRAM-SHA-256": scram_sha_256,
    "EXTERNAL": external,
    "XOAUTH2": xoauth2,
    "OAUTHBEARER": oauthbearer,
}
"""By the name that the server offers; `--auth` takes it in lower case."""


# --- the framing -----------------------------------------------------------------------------


def exchange(
    name: str, mechanism: Mechanism, identity: Identity
) -> Generator[Command, Reply, Reply]:
    """Carry a mechanism in AUTH (RFC 5034 section 4) and return the reply that ended it.

    An initial response goes into the command where the line stays within `COMMAND_LIMIT`;
    Microsoft's XOAUTH2 is never short enough, and so gets the two steps that it wants.
    Raises ProbeError (garbled), after `*` where the exchange must be cancelled.
    """
    responses = mechanism(identity)
    response = next(responses)
    argument = name.encode()
    if response is not None:
        with_response = argument + b" " + (b64encode(response) or b"=")
        if len(with_response) + len("AUTH \r\n") <= COMMAND_LIMIT:
            argument, response = with_response, None
    reason: bytes | None = None
    shown = Printable(name if argument == name.encode() else f"{name} ***")
    reply = yield command(b"AUTH", argument, shown)._replace(is_auth=True)
    while reply.challenge is not None:
        try:
            challenge = decoded(reply.challenge)
            if response is None:
                response = _answer(responses, challenge)
        except Refused as refused:
            response, reason = refused.answer, refused.reason
        except Malformed as error:
            with suppress(ProbeError):
                yield Command(b"*\r\n", Printable("*"))
            what = clean(str(error))
            message = f"sent a malformed challenge: {what}; exchange cancelled"
            raise ProbeError(Kind.GARBLED, Printable(message)) from error
        reply = yield Command(b64encode(response) + b"\r\n", Printable("***"), is_auth=True)
        response = None
    if reply.ok and (reason or response is not None or not _is_complete(responses)):
        message = f"accepted {name} before the exchange was complete"
        raise ProbeError(Kind.GARBLED, Printable(message))
    return reply._replace(text=reply.text + b" - " + reason) if reason else reply


def decoded(challenge: bytes) -> bytes:
    try:
        return b64decode(challenge, validate=True)
    except ValueError as error:
        raise Malformed("not base64") from error


def _answer(responses: Responses, challenge: bytes) -> bytes:
    try:
        answer = responses.send(challenge)
    except StopIteration as end:
        raise Malformed("one more than this mechanism has") from end
    return answer or b""


def _is_complete(responses: Responses) -> bool:
    """Return whether a mechanism has said, and checked, all that it has to."""
    try:
        responses.send(b"")
    except StopIteration:
        return True
    except (Malformed, Refused):
        return False
    return False
