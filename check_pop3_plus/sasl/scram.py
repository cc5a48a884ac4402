"""SCRAM (RFC 5802, 7677): prove the password without sending it, and verify the server's proof.

Without channel binding: the `-PLUS` variants are not supported. No I/O.
"""

import os
import re
from base64 import b64encode

from check_pop3_plus.model.failures import config_error
from check_pop3_plus.sasl.exchange import Identity, Malformed, Refused, Responses, decoded

FEWEST_ITERATIONS = 4096
"""RFC 7677 section 4. With fewer, a hostile server can guess the password from the proof; Cyrus
SASL and the drivers of MongoDB refuse them, too."""

MOST_ITERATIONS = 600_000
"""The highest recommendation (OWASP, for SHA-256); 4,096 is usual, the client of Dovecot accepts
524,288. The computation takes 0.15 s (measured) and is limited by the deadline."""

# RFC 5802 section 7: unknown extensions are ignored, except `m=`, which is mandatory; a second
# `v=` or `e=` contradicts the first.
_EXTENSIONS = rb"(?:,(?![mve]=)[A-Za-z]=[^,\0]+)*"
_SERVER_FIRST = re.compile(
    rb"r=(?P<nonce>[!-+\--~]+),s=(?P<salt>[^,]+),i=(?P<iterations>[1-9][0-9]{0,9})" + _EXTENSIONS
)
_SERVER_FINAL = re.compile(rb"(?:v=(?P<proof>[^,\0]+)|e=(?P<error>[^,\0]+))" + _EXTENSIONS)


def sha_1(identity: Identity) -> Responses:
    """Log in by SCRAM-SHA-1 (RFC 5802)."""
    return exchange_messages("sha1", identity, b64encode(os.urandom(18)))


def sha_256(identity: Identity) -> Responses:
    """Log in by SCRAM-SHA-256 (RFC 7677)."""
    return exchange_messages("sha256", identity, b64encode(os.urandom(18)))


def exchange_messages(algorithm: str, identity: Identity, nonce: bytes) -> Responses:
    """Run the exchange of RFC 5802 section 3; `nonce` is the client's, fresh for every login.

    Raises ProbeError (config), before anything is sent, if the name or the password cannot be
    used.
    """
    name = escaped(prepared(identity.username, "user name"))
    password = prepared(identity.secret, "password")
    client_first = b"n=" + name + b",r=" + nonce
    server_first = yield b"n,," + client_first
    whole_nonce, salt, iterations = _read_first(server_first, nonce)
    client_final = b"c=biws,r=" + whole_nonce
    message = client_first + b"," + server_first + b"," + client_final
    proof, expected = _proofs(algorithm, password, salt, iterations, message)
    server_final = yield client_final + b",p=" + b64encode(proof)
    _check_final(server_final, expected)
    yield b""


def escaped(name: bytes) -> bytes:
    """Escape `,` and `=` (RFC 5802 section 5.1)."""
    return name.replace(b"=", b"=3D").replace(b",", b"=2C")


def prepared(text: bytes, what: str) -> bytes:
    """Apply SASLprep (RFC 4013), so that equivalent Unicode spellings give the same password.

    Code points that Unicode 3.2 does not assign are accepted, unlike in RFC 5802: Dovecot prepares
    nothing, and newer rules (RFC 8265) allow them. Raises ProbeError (config) when it fails
    (RFC 5802 section 5.1): a login that must fail could lock the account.
    """
    if re.fullmatch(rb"[ -~]+", text):
        return text
    try:
        return _saslprep(text.decode("utf-8")).encode("utf-8")
    except ValueError as error:
        reason = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)
    # Not raised from the error above, which holds the text.
    raise config_error("{} cannot be used with SCRAM: {}", what, reason)


_PROHIBITED = "c12 c21_c22 c3 c4 c5 c6 c7 c8 c9"
"""Tables of RFC 3454 (RFC 4013 section 2.3)."""


def _saslprep(typed: str) -> str:
    import stringprep
    from unicodedata import ucd_3_2_0 as unicode

    mapped = (
        " " if stringprep.in_table_c12(char) else char
        for char in typed
        if not stringprep.in_table_b1(char)
    )
    done = unicode.normalize("NFKC", "".join(mapped))
    if not done:
        raise ValueError("nothing is left of it")
    prohibited = [getattr(stringprep, f"in_table_{table}") for table in _PROHIBITED.split()]
    if any(is_in_table(char) for char in done for is_in_table in prohibited):
        raise ValueError("RFC 4013 prohibits one of its characters")
    from_right = [stringprep.in_table_d1(char) for char in done]
    from_left = any(stringprep.in_table_d2(char) for char in done)
    if any(from_right) and (from_left or not (from_right[0] and from_right[-1])):
        raise ValueError("it is written in two directions (RFC 3454 section 6)")
    return done


def _read_first(server_first: bytes, nonce: bytes) -> tuple[bytes, bytes, int]:
    if server_first.startswith(b"e="):  # too early by RFC 5802, but it contains the reason
        _check_final(server_first, b"")
    parts = _SERVER_FIRST.fullmatch(server_first)
    if not parts:
        raise Malformed("not the first message of a SCRAM server")
    if not parts["nonce"].startswith(nonce) or parts["nonce"] == nonce:
        raise Malformed("its nonce does not continue ours")
    iterations = int(parts["iterations"])
    if not FEWEST_ITERATIONS <= iterations <= MOST_ITERATIONS:
        bounds = f"{FEWEST_ITERATIONS} to {MOST_ITERATIONS}"
        raise Malformed(f"{iterations} iterations, where {bounds} are acceptable")
    return parts["nonce"], decoded(parts["salt"]), iterations


def _proofs(
    algorithm: str, password: bytes, salt: bytes, iterations: int, message: bytes
) -> tuple[bytes, bytes]:
    """Return the client's proof and the expected one of the server (RFC 5802 section 3)."""
    import hashlib
    import hmac

    salted = hashlib.pbkdf2_hmac(algorithm, password, salt, iterations)
    client_key = hmac.digest(salted, b"Client Key", algorithm)
    stored_key = hashlib.new(algorithm, client_key).digest()
    signature = hmac.digest(stored_key, message, algorithm)
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    server_key = hmac.digest(salted, b"Server Key", algorithm)
    return proof, hmac.digest(server_key, message, algorithm)


def _check_final(server_final: bytes, expected: bytes) -> None:
    import hmac

    parts = _SERVER_FINAL.fullmatch(server_final)
    if not parts:
        raise Malformed("not the final message of a SCRAM server")
    if parts["error"]:
        raise Refused(b"", parts["error"])
    if not hmac.compare_digest(parts["proof"], b64encode(expected)):
        raise Malformed("the server does not know the password, its signature is wrong")
