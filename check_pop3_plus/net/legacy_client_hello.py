"""Build the ClientHello of an old TLS client, and read the server's answer (no I/O).

Built by hand (RFC 2246 and 4346, section 7.4): a TLS library offers only the versions and ciphers
that it was built with and that the system's policy allows, and many servers with TLS 1.0 have only
ciphers that libraries dropped long ago. No key is generated, so no handshake can be completed.
"""

import os
import re

from check_pop3_plus.model.failures import Kind, ProbeError

LEGACY_VERSIONS = ("1.0", "1.1")
"""What `--reject-legacy-tls` offers, one at a time."""

_ON_THE_WIRE = {"1.0": b"\x03\x01", "1.1": b"\x03\x02"}
_NAMES = {b"\x03\x00": "SSL 3.0", b"\x03\x01": "TLS 1.0", b"\x03\x02": "TLS 1.1"}

# Cipher suites of that time by their IANA numbers: AES, Camellia, SEED, IDEA, 3DES, RC4 and DES,
# with keys by ECDHE, DHE and RSA; last the signalling value of RFC 5746, which some require.
_SUITES = bytes.fromhex(
    "c00a c014 c009 c013 0039 0038 0033 0032 0035 002f 0088 0087 0045 0044 0084 0041 009a 0099 0096"
    "0007 c008 c012 0016 0013 000a c007 c011 0005 0004 0015 0012 0009 00ff"
)
_CURVES = bytes.fromhex("001d 0017 0018 0019")  # X25519, P-256, P-384, P-521

_ALERT, _HANDSHAKE, _FATAL, _SERVER_HELLO = 21, 22, 2, 2


def client_hello(version: str, name: str) -> bytes:
    """Return a ClientHello that offers one old version, with `name` as SNI unless an address."""
    host = b"" if re.fullmatch(r"[0-9.]+|.*:.*", name) else name.encode("ascii")
    server_name = b"\0" + _sized(host, 2)
    extensions = (
        (b"\0\0" + _sized(_sized(server_name, 2), 2) if host else b"")
        + (b"\0\x0a" + _sized(_sized(_CURVES, 2), 2))
        + (b"\0\x0b" + _sized(_sized(b"\0", 1), 2))  # uncompressed points
    )
    message = (
        _ON_THE_WIRE[version]
        + os.urandom(32)
        + _sized(b"", 1)  # no session
        + _sized(_SUITES, 2)
        + _sized(b"\0", 1)  # no compression
        + _sized(extensions, 2)
    )
    return b"\x16\x03\x01" + _sized(b"\x01" + _sized(message, 3), 2)


def answer(data: bytes) -> str | None:
    """Return the version that the server selects, or "" when it refuses.

    None means "need more". Raises ProbeError (tls) for anything but an answer to a
    ClientHello.
    """
    while len(data) >= 5:
        kind, length = data[0], int.from_bytes(data[3:5], "big")
        if kind not in (_ALERT, _HANDSHAKE) or data[1] != 3:
            break
        body = data[5 : 5 + length]
        if kind == _HANDSHAKE and len(body) >= 6:
            version = _NAMES.get(body[4:6])
            if body[0] != _SERVER_HELLO or version is None:
                break
            return version
        if kind == _ALERT and len(body) >= 2:
            if body[0] == _FATAL:
                return ""
            data = data[5 + length :]  # a warning, about the name for instance
            continue
        if len(body) == length:
            break
        return None
    if len(data) < 5 and data[:1] in (b"", b"\x15", b"\x16"):
        return None
    raise ProbeError(Kind.TLS, "answers no handshake with legacy TLS")


def _sized(data: bytes, size: int) -> bytes:
    """Return data with its length, of `size` bytes, before it."""
    return len(data).to_bytes(size, "big") + data
