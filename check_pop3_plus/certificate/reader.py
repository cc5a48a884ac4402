"""Read certificate facts from DER with the `cryptography` library.

A certificate comes from the server and may be hostile. Parsing is lazy: after a certificate has
loaded, each attribute may still raise almost any exception (even `TypeError`, measured over 1,236
fuzzed certificates). So each is guarded separately, and nothing is read that a server
can make slow. OpenSSL alone decides whether a certificate is trusted, as it does for mail clients.
"""

import re
import sys
import warnings
from collections.abc import Callable
from datetime import datetime, timezone
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from check_pop3_plus.certificate import rejection_reasons, rfc5280_rules
from check_pop3_plus.certificate.der import (
    ALTERNATIVE_NAMES,
    Fields,
    first,
    parse,
    values,
    without_names,
)
from check_pop3_plus.certificate.rejection_reasons import Link
from check_pop3_plus.model.failures import ISSUER_NOT_FOUND
from check_pop3_plus.model.report import CertificateFacts, Chain
from check_pop3_plus.model.sanitised_text import Printable, Sanitiser, printable
from check_pop3_plus.model.stopped import Stopped

if TYPE_CHECKING:
    from cryptography import x509

NAMES_LIMIT = 5
"""Alternative names kept; a certificate may carry thousands."""

_NAMES_READ = 12_000
"""Alternative names read. There may be 50,000, but then they are too short for host names."""

CHAIN_LIMIT = 10
"""Certificates read of those sent: real servers send four at most. A verified chain is read as a
whole: OpenSSL has a limit of its own (100), and no weakness may be missed."""

_NAME_BYTES = 16 * 1024
"""Longest distinguished name that is read. One of 90 KiB takes 60 ms."""

# Public keys that are read, by object identifier: RSA, RSA-PSS, DSA, EC, Ed25519, Ed448. The
# library needs 0.4 s for a Diffie-Hellman key of 8,192 bits, and minutes for a longer one.
_KEY_KINDS = frozenset(
    bytes.fromhex(number)
    for number in (
        *("2a864886f70d010101", "2a864886f70d01010a", "2a8648ce380401", "2a8648ce3d0201"),
        *("2b6570", "2b6571"),
    )
)

# Neither the library nor OpenSSL knows older ones than MD5: their strength is unreadable.
_WEAK_SIGNATURES = frozenset(("md5", "sha1"))
# RSA bits, or equivalent: the minimum of OpenSSL's security level 2 (112 bits of security).
_STRONG_BITS = 2048

# The RSA key that is as strong as an elliptic curve's key of so many bits (NIST SP 800-57 part 1,
# table 2), strongest first.
_AS_STRONG_AS_RSA = ((512, 15360), (384, 7680), (250, 3072), (224, 2048), (160, 1024), (0, 512))

_PEM = re.compile(rb"-----BEGIN (?:X509 )?CERTIFICATE-----(.*?)-----END ", re.DOTALL)

_DNS_NAME, _IP_ADDRESS = 0x82, 0x87

_T = TypeVar("_T")


def prepare() -> None:
    """Import the library (about 50 ms) before the time of a session is measured.

    The library warns of unusual certificates. The warnings are ignored, so that PYTHONWARNINGS
    cannot turn them into errors, which would change the verdict. Never undone: threads share
    the filters.

    Raises ImportError when the library is missing, and MemoryError.
    """
    if "cryptography.x509" not in sys.modules:
        _require_memory()
    from cryptography import x509  # noqa: F401

    warnings.simplefilter("ignore", UserWarning)  # the library's own category is one


_LIBRARY_SIZE = 32 * 1024 * 1024
"""Bytes of memory that loading the library takes, generously."""


def _require_memory() -> None:
    """Raise MemoryError if there is too little for the library, which would end the process."""
    import resource

    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    import mmap

    try:
        mmap.mmap(-1, _LIBRARY_SIZE).close()
    except OSError as error:
        raise MemoryError from error


# X509_V_ERR_* of a path whose end is not in the trust store, or is no root.
_NOT_ANCHORED = ISSUER_NOT_FOUND | {2}


# In a sweep many services have one server, and most servers have one of a few issuers.
@lru_cache(maxsize=64)
def read_chain(
    sent: tuple[bytes, ...],
    built: tuple[bytes, ...],
    sanitise: Sanitiser,
    verify_code: int = 0,
    trusted: tuple[bytes, ...] = (),
) -> Chain:
    """Return the facts of the certificates as sent, at most `CHAIN_LIMIT`, and their path.

    `built` is the path that OpenSSL has found, also one that it then rejected with `verify_code`;
    empty where there is none: then the path is what the names in the certificates say. `trusted`
    are CAs of the trust store that may explain the rejection.
    """
    prepare()
    verified = () if verify_code else built
    anchor = verified[-1] if verified else None
    known = {der: _read(der, sanitise, anchor) for der in {*sent[:CHAIN_LIMIT], *built}}
    as_sent = [known[der] for der in sent[:CHAIN_LIMIT]]
    path = [known[der] for der in built] or _linked(as_sent)
    namesakes = [
        _read(der, sanitise)
        for der in trusted
        if path and path[-1].fields and path[-1].fields.issuer in der
    ]
    rejection = rejection_reasons.reason(verify_code, path, as_sent, namesakes)
    return Chain(
        sent=tuple(each.facts for each in as_sent),
        left_out=max(0, len(sent) - CHAIN_LIMIT),
        path=tuple(each.facts for each in path),
        is_verified=bool(verified),
        is_anchored=bool(built) and verify_code not in _NOT_ANCHORED,
        defects=rfc5280_rules.defects([known[der].fields for der in verified]),
        rejection=rejection.text if rejection else None,
        cure=rejection.cure if rejection else None,
    )


def read(der: bytes, sanitise: Sanitiser) -> CertificateFacts:
    """Return the facts of one certificate; unreadable ones are None and named."""
    prepare()
    return _read(der, sanitise).facts


def read_pem(pem: bytes, sanitise: Sanitiser) -> tuple[CertificateFacts, ...]:
    """Return the facts of each certificate in a PEM file.

    Raises ValueError if there is no certificate, or a broken one.
    """
    from base64 import b64decode

    found = [b64decode(each) for each in _PEM.findall(pem)]
    if not found:
        raise ValueError("no certificate")
    for der in found:
        parse(der)  # it may be broken
    return tuple(read(der, sanitise) for der in found)


def _linked(sent: list[Link]) -> list[Link]:
    """Return the chain from the first certificate as far as the issuers were sent."""
    path = sent[:1]
    while path and (last := path[-1].fields) and last.issuer != last.subject:
        issuers = (
            each
            for each in sent
            if each.fields and each.fields.subject == last.issuer and each not in path
        )
        issuer = next(issuers, None)
        if issuer is None:
            break
        path.append(issuer)
    return path


# Long because each attribute has its own guard, and all guards share the list of unreadable ones.
@lru_cache(maxsize=256)
def _read(der: bytes, sanitise: Sanitiser, anchor: bytes | None = None) -> Link:
    from cryptography import x509

    unreadable: list[Printable] = []

    def guarded(attribute: str, reader: Callable[[], _T]) -> _T | None:
        try:
            return reader()
        except Stopped:
            raise
        except BaseException:  # a panic of the library, which is written in Rust, is no Exception
            unreadable.append(printable(attribute))
            return None

    fields = guarded("certificate", lambda: parse(der))
    whole = guarded("subject and issuer", lambda: x509.load_der_x509_certificate(der))
    certificate = whole
    if whole is None and fields:
        # Some names have characters that their type does not allow, as `*` in a PrintableString.
        # The library then reads nothing; OpenSSL accepts it, and the dates are needed.
        nameless = without_names(der)
        certificate = guarded("certificate", lambda: x509.load_der_x509_certificate(nameless))
    if certificate is None or fields is None:
        nothing = (printable("certificate"),)
        facts = CertificateFacts(None, None, fingerprint=_sha256(der), unreadable=nothing)
        return Link(facts, fields)
    not_before = guarded("not before", lambda: _utc(certificate, "not_valid_before"))
    not_after = guarded("not after", lambda: _utc(certificate, "not_valid_after"))
    subject = issuer = None
    if whole is not None:
        subject = guarded("subject", lambda: _name(lambda: whole.subject, fields.subject))
        issuer = guarded("issuer", lambda: _name(lambda: whole.issuer, fields.issuer))
    names = guarded("names", lambda: _names(fields)) or []
    key = guarded("key", lambda: _key(certificate, fields.key_kind))
    is_self_issued = fields.subject == fields.issuer
    is_root = is_self_issued if anchor is None else der == anchor
    facts = CertificateFacts(
        not_before=not_before,
        not_after=not_after,
        subject=sanitise(subject[0]) if subject else None,
        issuer=sanitise(issuer[0]) if issuer else None,
        names=tuple(sanitise(name) for name in names[:NAMES_LIMIT]),
        names_left_out=max(0, len(names) - NAMES_LIMIT),
        serial=guarded("serial", lambda: sanitise(f"{certificate.serial_number:X}")),
        fingerprint=_sha256(der),
        public_key=_sha256(fields.key),
        key=key[0] if key else None,
        key_bits=key[1] if key else None,
        weakness=guarded("strength", lambda: _weakness(key, certificate, is_root)),
        is_self_issued=is_self_issued,
        issuer_names=issuer or (),
        unreadable=tuple(unreadable),
    )
    return Link(facts, fields)


def _utc(certificate: "x509.Certificate", date: str) -> datetime:
    """Return a date of the certificate; cryptography before 42 has only dates without a zone."""
    if hasattr(type(certificate), f"{date}_utc"):
        aware: datetime = getattr(certificate, f"{date}_utc")
        return aware
    naive: datetime = getattr(certificate, date)
    return naive.replace(tzinfo=timezone.utc)


def _names(fields: Fields) -> list[bytes | str]:
    """Return the host names, then the addresses, of the subject alternative name.

    Not by the library: it reads all or nothing, and one malformed name must not hide the others.
    """
    from ipaddress import ip_address

    extension = fields.extensions.get(ALTERNATIVE_NAMES)
    every = values(first(extension.content).content) if extension else iter(())
    listed = list(islice(every, _NAMES_READ))
    hosts = [each.content for each in listed if each.tag == _DNS_NAME]
    addresses = [each.content for each in listed if each.tag == _IP_ADDRESS]
    shown = [str(ip_address(each)) for each in addresses[:NAMES_LIMIT] if len(each) in (4, 16)]
    return [*hosts, *shown, *addresses[NAMES_LIMIT:]]


def _name(read: Callable[[], "x509.Name"], der: bytes) -> tuple[str, ...]:
    """Return a name as a whole, and its parts without the escapes that the whole needs.

    Raises ValueError for one that is too long, and any exception of the library.
    """
    if len(der) > _NAME_BYTES:
        raise ValueError("too long")
    name = read()
    return (name.rfc4514_string(), *(str(attribute.value) for attribute in name))


def _sha256(data: bytes) -> Printable:
    from hashlib import sha256

    return printable(sha256(data).hexdigest())


def _key(certificate: "x509.Certificate", kind: bytes) -> tuple[Printable, int | None]:
    """Return kind and size of the key, and the bits of an RSA key that is as strong."""
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

    match certificate.public_key() if kind in _KEY_KINDS else None:
        case rsa.RSAPublicKey() as key:
            return printable("RSA {}", key.key_size), key.key_size
        case dsa.DSAPublicKey() as key:
            return printable("DSA {}", key.key_size), key.key_size
        case ec.EllipticCurvePublicKey() as key:
            return printable("EC {}", key.key_size), _as_strong(key.key_size)
        case ed25519.Ed25519PublicKey():
            return printable("Ed25519"), _as_strong(256)
        case ed448.Ed448PublicKey():
            return printable("Ed448"), _as_strong(448)
        case _:
            return printable("of another kind"), None


def _as_strong(bits: int) -> int:
    return next(rsa for curve, rsa in _AS_STRONG_AS_RSA if bits >= curve)


def _weakness(
    key: tuple[Printable, int | None] | None, certificate: "x509.Certificate", is_root: bool
) -> Printable | None:
    """Name what makes the certificate weak, or None.

    The signature of a root does not count, because it is not verified: the root is the trust
    anchor if there is one, otherwise a self-issued certificate.
    """
    name, bits = key or (printable(""), None)
    if bits is not None and bits < _STRONG_BITS:
        return printable("{} key", name)
    algorithm = certificate.signature_hash_algorithm
    if algorithm and algorithm.name in _WEAK_SIGNATURES and not is_root:
        return printable("{} signature", algorithm.name.upper())
    return None
