"""Build certificates field by field, valid or invalid."""

from __future__ import annotations

import datetime as dt
import hashlib
from functools import cache
from typing import Any, NamedTuple, TypeAlias
from unittest import mock

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.pki import der
from tests.pki.der import bits, integer, oid, sequence, tagged, tlv

Key: TypeAlias = (
    ec.EllipticCurvePrivateKey
    | rsa.RSAPrivateKey
    | ed25519.Ed25519PrivateKey
    | ed448.Ed448PrivateKey
)

BASIC, USAGE, PURPOSES, NAMES = "2.5.29.19", "2.5.29.15", "2.5.29.37", "2.5.29.17"
SUBJECT_KEY, AUTHORITY_KEY, NAME_LIMITS = "2.5.29.14", "2.5.29.35", "2.5.29.30"
SERVER, CLIENT, ANY_PURPOSE = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2", "2.5.29.37.0"
COMMON_NAME, COUNTRY = "2.5.4.3", "2.5.4.6"
UNKNOWN = "1.3.6.1.4.1.99999.1"

_RSA = {"md5": 4, "sha1": 5, "sha256": 11, "sha384": 12, "sha512": 13, "sha224": 14}
_ECDSA = {
    "sha1": "1.2.840.10045.4.1",
    "sha224": "1.2.840.10045.4.3.1",
    "sha256": "1.2.840.10045.4.3.2",
    "sha384": "1.2.840.10045.4.3.3",
    "sha512": "1.2.840.10045.4.3.4",
}
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "md5": hashes.MD5(),
    "sha1": hashes.SHA1(),
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
}
# Before cryptography 43 each ECDSA signature is a different one.
_REPRODUCIBLE = (
    {"deterministic_signing": True} if hasattr(ec.ECDSA, "deterministic_signing") else {}
)


# --- keys --------------------------------------------------------------------------------------


@cache
def ec_key(number: int = 0, curve: str = "SECP256R1") -> ec.EllipticCurvePrivateKey:
    """Return a key that is the same in every run."""
    digest = hashlib.sha256(f"{curve} {number}".encode()).digest()
    return ec.derive_private_key(int.from_bytes(digest[:20], "big"), getattr(ec, curve)())


@cache
def rsa_key(size: int, exponent: int = 65537) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(exponent, size)


@cache
def longest_rsa_key() -> rsa.RSAPrivateKey:
    """Return a key of 16384 bits, the most that OpenSSL takes, without the hour to find one.

    Two primes that are known: of RFC 3526 section 7 and of RFC 7919 appendix A.5, one made of
    the digits of pi, the other of those of e.
    """
    size, guard = 8062, 64
    one = 1 << size + guard

    def arctan(x: int) -> int:  # of 1/x
        power = total = one // x
        for odd in range(3, size + guard, 2):
            power = -(power // (x * x))
            total += power // odd
        return total

    pi = 4 * (4 * arctan(5) - arctan(239)) >> guard
    term = euler = one
    for divisor in range(1, size):
        term //= divisor
        euler += term
    p = 2**8192 - 2**8128 - 1 + 2**64 * (pi + 4743158)
    q = 2**8192 - 2**8128 - 1 + 2**64 * ((euler >> guard) + 10965728)
    d = pow(65537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65537, p * q)
    numbers = rsa.RSAPrivateNumbers(p, q, d, d % (p - 1), d % (q - 1), pow(q, -1, p), public)
    try:
        return numbers.private_key(unsafe_skip_rsa_key_validation=True)
    except TypeError:  # Before cryptography 39; the validation takes a minute.
        with mock.patch(
            "cryptography.hazmat.backends.openssl.backend.backend._rsa_skip_check_key", True
        ):
            return numbers.private_key()


def public(key: Key) -> bytes:
    """Return the SubjectPublicKeyInfo."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def in_pem(key: Key, passphrase: bytes = b"") -> bytes:
    """Return the private key as a file of its own has it."""
    how = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how)


def key_info(number: str, parameters: bytes, key: bytes) -> bytes:
    """Return a SubjectPublicKeyInfo of any algorithm."""
    return sequence(sequence(oid(number), parameters), bits(key))


def rsa_info(modulus: int, exponent: int = 65537) -> bytes:
    numbers = sequence(integer(modulus), integer(exponent))
    return key_info("1.2.840.113549.1.1.1", tlv(der.NULL), numbers)


def algorithm(key: Key, digest: str = "sha256") -> bytes:
    """Return the AlgorithmIdentifier of signatures by a key."""
    match key:
        case ec.EllipticCurvePrivateKey():
            return sequence(oid(_ECDSA[digest]))
        case rsa.RSAPrivateKey():
            return sequence(oid(f"1.2.840.113549.1.1.{_RSA[digest]}"), tlv(der.NULL))
        case ed25519.Ed25519PrivateKey():
            return sequence(oid("1.3.101.112"))
        case _:
            return sequence(oid("1.3.101.113"))


def sign(key: Key, body: bytes, digest: str = "sha256") -> bytes:
    match key:
        case ec.EllipticCurvePrivateKey():
            return key.sign(body, ec.ECDSA(_HASHES[digest], **_REPRODUCIBLE))
        case rsa.RSAPrivateKey():
            return key.sign(body, padding.PKCS1v15(), _HASHES[digest])
        case _:
            return key.sign(body)


def key_identifier(key: Key) -> bytes:
    return hashlib.sha1(public(key)).digest()


# --- fields ------------------------------------------------------------------------------------


def name(*values: str | bytes, attribute: str = COMMON_NAME, tag: int = der.UTF8) -> bytes:
    """Return a distinguished name, of common names where nothing else is said."""
    return sequence(*(part(value, attribute, tag) for value in values))


def part(value: str | bytes, attribute: str = COMMON_NAME, tag: int = der.UTF8) -> bytes:
    """Return a relative distinguished name of one attribute."""
    data = value.encode() if isinstance(value, str) else value
    return tlv(der.SET, sequence(oid(attribute), tlv(tag, data)))


_IMPORTED = dt.datetime.now(dt.timezone.utc)


def moment(days: float) -> bytes:
    """Return a time from that of the import: a session has the same whole days across midnight."""
    instant = _IMPORTED + dt.timedelta(days=days)
    return tlv(der.UTC, f"{instant:%y%m%d%H%M%SZ}".encode())


def validity(start: float | bytes = -1, end: float | bytes = 90) -> bytes:
    both = (start, end)
    return sequence(*(each if isinstance(each, bytes) else moment(each) for each in both))


def extension(number: str, value: bytes, critical: bool = False) -> bytes:
    mark = [tlv(der.BOOLEAN, b"\xff")] if critical else []
    return sequence(oid(number), *mark, tlv(der.OCTETS, value))


def dns(value: str | bytes) -> bytes:
    return tagged(2, value.encode() if isinstance(value, str) else value, primitive=True)


def address(data: bytes) -> bytes:
    return tagged(7, data, primitive=True)


def names(*values: bytes, critical: bool = False) -> bytes:
    return extension(NAMES, sequence(*values), critical)


def basic(ca: bool = False, depth: int | None = None, critical: bool = True) -> bytes:
    contents = [tlv(der.BOOLEAN, b"\xff")] if ca else []
    contents += [] if depth is None else [integer(depth)]
    return extension(BASIC, sequence(*contents), critical)


def usage(*positions: int, critical: bool = True) -> bytes:
    """Return a key usage of bits by their numbers: 0 signs, 2 enciphers, 5 issues, 6 revokes."""
    number = sum(0x8000 >> position for position in positions)
    data = number.to_bytes(2, "big").rstrip(b"\0")
    unused = (data[-1] & -data[-1]).bit_length() - 1 if data else 0
    return extension(USAGE, bits(data, unused), critical)


def purposes(*numbers: str, critical: bool = False) -> bytes:
    return extension(PURPOSES, sequence(*(oid(number) for number in numbers)), critical)


def subject_key(key: Key, critical: bool = False) -> bytes:
    return extension(SUBJECT_KEY, tlv(der.OCTETS, key_identifier(key)), critical)


def authority_key(key: Key, critical: bool = False) -> bytes:
    identifier = tagged(0, key_identifier(key), primitive=True)
    return extension(AUTHORITY_KEY, sequence(identifier), critical)


# --- certificates ------------------------------------------------------------------------------


class Parts(NamedTuple):
    """A certificate before it is signed; all of them are DER but for `digest`."""

    issuer: bytes
    subject: bytes
    key: bytes
    extensions: tuple[bytes, ...] | None
    version: bytes = tagged(0, integer(2))
    serial: bytes = integer(0x1234)
    validity: bytes = b""
    """From yesterday on for 90 days, where it is empty."""
    unique: bytes = b""
    """Unique identifiers, as version 2 has them."""
    digest: str = "sha256"
    inner: bytes = b""
    """The algorithm that is signed with the rest; the issuer's own where it is empty."""
    outer: bytes = b""
    """The algorithm that stands beside the signature; the same where it is empty."""
    signature: bytes = b""
    """Right where it is empty."""

    def signed(self, key: Key) -> bytes:
        inner = self.inner or algorithm(key, self.digest)
        extensions = b"" if self.extensions is None else tagged(3, sequence(*self.extensions))
        body = sequence(
            self.version,
            self.serial,
            inner,
            self.issuer,
            self.validity or validity(),
            self.subject,
            self.key,
            self.unique,
            extensions,
        )
        signature = self.signature or bits(sign(key, body, self.digest))
        return sequence(body, self.outer or inner, signature)


_LEAF_KEY = ec_key()


class Authority(NamedTuple):
    """One that issues; every certificate is right but for the changes."""

    certificate: bytes
    name: bytes
    key: Key

    def leaf(self, own: Key = _LEAF_KEY, /, **changes: Any) -> bytes:
        """Return a certificate of this machine."""
        parts = Parts(self.name, name("localhost"), public(own), self.extensions(own))
        return parts._replace(**changes).signed(self.key)

    def extensions(self, own: Key = _LEAF_KEY, /, **changes: bytes) -> tuple[bytes, ...]:
        """Return those of a leaf, in this order; an empty one is left out, a new one comes last."""
        ordinary = {
            "basic": basic(),
            "usage": usage(0, 2),
            "purposes": purposes(SERVER),
            "subject_key": subject_key(own),
            "authority_key": authority_key(self.key),
            "names": names(dns("localhost"), address(bytes((127, 0, 0, 1)))),
        }
        return tuple(each for each in (ordinary | changes).values() if each)

    def below(self, title: str, own: Key, **changes: Any) -> Authority:
        """Return an intermediate."""
        parts = Parts(self.name, name(title), public(own), of_authority(own, self.key))
        parts = parts._replace(**changes)
        return Authority(parts.signed(self.key), parts.subject, own)


def of_authority(own: Key, issuer: Key, **changes: bytes) -> tuple[bytes, ...]:
    """Return the extensions of an authority; an empty one is left out, a new one comes last."""
    ordinary = {
        "basic": basic(ca=True),
        "usage": usage(5, 6),
        "subject_key": subject_key(own),
        "authority_key": authority_key(issuer),
    }
    return tuple(each for each in (ordinary | changes).values() if each)


def root(title: str, own: Key, **changes: Any) -> Authority:
    """Return a self-signed certificate."""
    parts = Parts(name(title), name(title), public(own), of_authority(own, own))
    parts = parts._replace(**changes)
    return Authority(parts.signed(own), parts.subject, own)
