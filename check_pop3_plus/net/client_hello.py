"""Build the ClientHello of an old TLS client and read the answer; read a ClientHello (no I/O).

That of an old client is built by hand (RFC 2246 and 4346, section 7.4): a TLS library offers only
the versions and ciphers that it was built with and that the system's policy allows, and many
servers with TLS 1.0 have only ciphers that libraries dropped long ago. No key is generated, so no
handshake can be completed.
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


def legacy(version: str, name: str) -> bytes:
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


_CIPHERS, _GROUPS, _SIGNATURES, _SUPPORTED_VERSIONS = -1, 10, 13, 43
"""Types of the extensions with these lists (RFC 8446 section 4.2); the ciphers are in none."""

_RSA, _ECDSA = {0x0401, 0x0501, 0x0601, 0x0804, 0x0805, 0x0806}, {0x0403, 0x0503, 0x0603}

# What a client must offer (RFC 8446 section 9.1), and what servers have in its place: the name,
# with the directive of openssl.cnf.
_USUAL = (
    (_CIPHERS, {0x1301, 0x1302, 0x1303}, "common cipher of TLS 1.3 (Ciphersuites)"),
    (_GROUPS, {23, 24, 25, 29}, "common key exchange group (Groups)"),
    (_SIGNATURES, _RSA, "RSA signature (SignatureAlgorithms)"),
    (_SIGNATURES, _ECDSA, "ECDSA signature (SignatureAlgorithms)"),
)


def lacking(hello: bytes) -> str | None:
    """Return what servers need and a ClientHello of our own does not offer, or None."""
    begin = 5 + 4 + 2 + 32  # of the session, after both headers, version and random
    begin += 1 + hello[begin]
    size = int.from_bytes(hello[begin : begin + 2], "big")
    offered = {_CIPHERS: hello[begin + 2 : begin + 2 + size]}
    begin += 2 + size
    begin += 1 + hello[begin] + 2  # of the extensions, after the compression methods
    while begin < len(hello):
        kind, size = (int.from_bytes(hello[at : at + 2], "big") for at in (begin, begin + 2))
        begin += 4 + size
        # Each list has its own length: of one byte for versions, else of two.
        offered[kind] = hello[begin - size + (1 if kind == _SUPPORTED_VERSIONS else 2) : begin]
    for kind, usual, name in _USUAL:
        listed = offered.get(kind, b"")
        values = {int.from_bytes(listed[at : at + 2], "big") for at in range(0, len(listed), 2)}
        is_used = kind != _CIPHERS or b"\3\4" in offered.get(_SUPPORTED_VERSIONS, b"")
        if is_used and not usual & values:
            return name
    return None
