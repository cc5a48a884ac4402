"""The SASL mechanisms: one generator each, secrets in, bytes out; and the table of them. No I/O.

What a mechanism is says `sasl`. A longer one has a file of its own, as `scram` has.
"""

from check_pop3_plus.pop3 import scram
from check_pop3_plus.pop3.sasl_exchange import Identity, Malformed, Mechanism, Refused, Responses


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
    if not challenge:
        raise Malformed("empty, so that the answer would be the same every time")
    digest = hmac.new(identity.secret, challenge, "md5").hexdigest()
    yield identity.username + b" " + digest.encode()


def external(identity: Identity) -> Responses:
    """RFC 4422 appendix A: the client certificate is the proof, the name only who to be."""
    yield identity.username


def xoauth2(identity: Identity) -> Responses:
    """Google's and Microsoft's form; an error is a challenge in JSON, answered by nothing.

    Always in two steps: Microsoft 365 closes the connection on a command with the token in it
    (getmail6 issue 256, mpop issue 11), and all others must take them.
    """
    if (yield None):
        raise Malformed("not empty, though it is the client that begins")
    error = yield (b"user=" + identity.username + b"\1auth=Bearer " + identity.secret + b"\1\1")
    if error:
        raise Refused(b"", _reason(error))


def oauthbearer(identity: Identity) -> Responses:
    """RFC 7628; an error is a challenge in JSON, answered by one control-A."""
    target = f"\1host={identity.hostname}\1port={identity.port}".encode()
    header = b"n,a=" + scram.escaped(identity.username) + b","
    error = yield header + target + b"\1auth=Bearer " + identity.secret + b"\1\1"
    if error:
        raise Refused(b"\1", _reason(error))


def _reason(error: bytes) -> bytes:
    """Return what an OAuth error in JSON says in words (RFC 7628 section 3.2.2)."""
    import json

    try:
        said = json.loads(error)
    except (ValueError, RecursionError):
        said = None
    words: list[str] = []
    if isinstance(said, dict):
        for key in ("status", "error", "error_description", "scope"):
            value = said.get(key)
            if isinstance(value, str | int) and value:
                words.append(f"scope {value}" if key == "scope" else str(value))
    # Not the object that it should be: shown as it is.
    return b"token refused: " + (", ".join(words).encode("utf-8", "replace") or error)


MECHANISMS: dict[str, Mechanism] = {
    "PLAIN": plain,
    "LOGIN": login,
    "CRAM-MD5": cram_md5,
    "SCRAM-SHA-1": scram.sha_1,
    "SCRAM-SHA-256": scram.sha_256,
    "EXTERNAL": external,
    "XOAUTH2": xoauth2,
    "OAUTHBEARER": oauthbearer,
}
"""By the name that the server offers; `--auth` takes it in lower case."""
