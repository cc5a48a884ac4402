"""The SASL mechanisms, one generator each, and their table. No I/O.

See `exchange` for their interface. A longer one has its own module, such as `scram`.
"""

from check_pop3_plus.model.foreign_json import json_object
from check_pop3_plus.sasl import scram
from check_pop3_plus.sasl.exchange import Identity, Malformed, Mechanism, Refused, Responses


def plain(identity: Identity) -> Responses:
    """Log in by PLAIN (RFC 4616): no authorisation identity, user name, password."""
    yield b"\0" + identity.username + b"\0" + identity.secret


def login(identity: Identity) -> Responses:
    """Log in by LOGIN (draft-murchison-sasl-login); the text of its two challenges varies."""
    yield None
    yield identity.username
    yield identity.secret


def cram_md5(identity: Identity) -> Responses:
    """Log in by CRAM-MD5 (RFC 2195): a keyed digest of the challenge."""
    import hmac

    challenge = yield None
    if not challenge:
        raise Malformed("empty, so that the answer would be the same every time")
    digest = hmac.new(identity.secret, challenge, "md5").hexdigest()
    yield identity.username + b" " + digest.encode()


def external(identity: Identity) -> Responses:
    """Log in by EXTERNAL (RFC 4422 appendix A): the client certificate authenticates."""
    yield identity.username


def xoauth2(identity: Identity) -> Responses:
    """Log in by XOAUTH2 (Google, Microsoft); an error is a challenge in JSON, its response empty.

    An initial response is never sent: Microsoft 365 closes the connection on one (getmail6 issue
    256, mpop issue 11), and all servers must accept its absence.
    """
    if (yield None):
        raise Malformed("not empty, though it is the client that begins")
    error = yield (b"user=" + identity.username + b"\1auth=Bearer " + identity.secret + b"\1\1")
    if error:
        raise Refused(b"", _reason(error))


def oauthbearer(identity: Identity) -> Responses:
    """Log in by OAUTHBEARER (RFC 7628); an error is a challenge in JSON, its response control-A."""
    target = f"\1host={identity.hostname}\1port={identity.port}".encode()
    header = b"n,a=" + scram.escaped(identity.username) + b","
    error = yield header + target + b"\1auth=Bearer " + identity.secret + b"\1\1"
    if error:
        raise Refused(b"\1", _reason(error))


def _reason(error: bytes) -> bytes:
    """Return the text of an OAuth error in JSON (RFC 7628 section 3.2.2)."""
    fields = json_object(error) or {}
    texts: list[str] = []
    for key in ("status", "error", "error_description", "scope"):
        value = fields.get(key)
        if isinstance(value, str | int) and value:
            texts.append(f"scope {value}" if key == "scope" else str(value))
    # If it is not the expected object, it is shown unchanged.
    return b"token refused: " + (", ".join(texts).encode("utf-8", "replace") or error)


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
"""By the name in the capability list, which `--auth` has in lower case."""

CLEARTEXT = ("PLAIN", "LOGIN")
"""Those that send the password itself."""


def acceptable(wanted: str) -> tuple[str, ...]:
    """Return the mechanisms that a value of `--auth` permits, the best first.

    `auto` permits no other ones, because servers also advertise those that need other secrets.
    """
    return CLEARTEXT if wanted == "auto" else (wanted.upper(),)
