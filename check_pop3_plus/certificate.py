"""DER bytes to certificate facts, by the `cryptography` library.

A certificate comes from the server and may be hostile. Parsing is lazy: a certificate may load,
and each single attribute may still raise, almost anything (`TypeError` among it, measured over
1,236 fuzzed certificates). So each is read in a guard of its own, dates first. Whether a
certificate is trusted is OpenSSL's verdict, not ours: that is what mail clients get.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from check_pop3_plus import strictness
from check_pop3_plus.report import CertificateFacts, Chain
from check_pop3_plus.text import Cleaner, Printable

if TYPE_CHECKING:
    from cryptography import x509

NAMES_LIMIT = 5
"""Alternative names kept; a certificate may carry thousands."""

CHAIN_LIMIT = 10
"""Certificates read of one chain: real ones have four at most."""

_WEAK_SIGNATURES = frozenset(("md2", "md4", "md5", "sha1"))
# Bits; what OpenSSL's security level 2 asks for (112 bits of security).
_RSA_BITS = 2048
_EC_BITS = 224

# The RSA key that is as strong as an elliptic curve's key of so many bits (NIST SP 800-57 part 1,
# table 2), strongest first.
_AS_STRONG_AS_RSA = ((512, 15360), (384, 7680), (250, 3072), (224, 2048), (160, 1024), (0, 512))

_T = TypeVar("_T")


def prepare() -> None:
    """Import what reading needs (about 50 ms), before any clock of the conversation runs.

    Raises ImportError where the library is missing.
    """
    from cryptography import x509  # noqa: F401


class _Read(NamedTuple):
    """A certificate, and what it says of itself and of its issuer, for linking the two."""

    facts: CertificateFacts
    certificate: "x509.Certificate | None" = None
    subject: bytes | None = None
    issuer: bytes | None = None


def read_chain(sent: tuple[bytes, ...], verified: tuple[bytes, ...], clean: Cleaner) -> Chain:
    """Return the facts of the certificates as sent, at most `CHAIN_LIMIT`, and their path.

    `verified` is the path that OpenSSL has found, empty where there is none: then the path is
    what the names in the certificates say.
    """
    known = {der: _read(der, clean) for der in (*sent[:CHAIN_LIMIT], *verified[:CHAIN_LIMIT])}
    as_sent = [known[der] for der in sent[:CHAIN_LIMIT]]
    path = [known[der] for der in verified[:CHAIN_LIMIT]] or _linked(as_sent)
    return Chain(
        sent=tuple(each.facts for each in as_sent),
        left_out=max(0, len(sent) - CHAIN_LIMIT),
        path=tuple(each.facts for each in path),
        is_verified=bool(verified),
        defects=strictness.defects([each.certificate for each in path]) if verified else (),
    )


def read(der: bytes, clean: Cleaner) -> CertificateFacts:
    """Return what can be read of one certificate; what cannot be read is None and named."""
    return _read(der, clean).facts


def read_pem(pem: bytes, clean: Cleaner) -> tuple[CertificateFacts, ...]:
    """Return the facts of each certificate in a PEM file.

    Raises ValueError where there is none, or one that is broken.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    loaded = x509.load_pem_x509_certificates(pem)
    return tuple(read(each.public_bytes(Encoding.DER), clean) for each in loaded)


def _linked(sent: list[_Read]) -> list[_Read]:
    """Follow the names from the first certificate to issuer after issuer."""
    path = sent[:1]
    while path and path[-1].issuer is not None and path[-1].issuer != path[-1].subject:
        issuers = (each for each in sent if each.subject == path[-1].issuer and each not in path)
        issuer = next(issuers, None)
        if issuer is None:
            break
        path.append(issuer)
    return path


def _read(der: bytes, clean: Cleaner) -> _Read:
    from cryptography import x509

    unreadable: list[Printable] = []

    def guarded(attribute: str, reader: Callable[[], _T]) -> _T | None:
        try:
            return reader()
        except Exception:
            if attribute not in unreadable:
                unreadable.append(Printable(attribute))
            return None

    certificate = guarded("certificate", lambda: x509.load_der_x509_certificate(der))
    if certificate is None:
        return _Read(CertificateFacts(None, None, unreadable=tuple(unreadable)))
    not_before = guarded("not before", lambda: certificate.not_valid_before_utc)
    not_after = guarded("not after", lambda: certificate.not_valid_after_utc)
    names = guarded("names", lambda: _names(certificate)) or []
    subject = guarded("subject", lambda: certificate.subject.public_bytes())
    issuer = guarded("issuer", lambda: certificate.issuer.public_bytes())
    key = guarded("key", lambda: _key(certificate))
    facts = CertificateFacts(
        not_before=not_before,
        not_after=not_after,
        subject=guarded("subject", lambda: clean(certificate.subject.rfc4514_string())),
        issuer=guarded("issuer", lambda: clean(certificate.issuer.rfc4514_string())),
        names=tuple(clean(name) for name in names[:NAMES_LIMIT]),
        names_left_out=max(0, len(names) - NAMES_LIMIT),
        serial=guarded("serial", lambda: clean(f"{certificate.serial_number:X}")),
        fingerprint=guarded("fingerprint", lambda: _sha256(der)),
        public_key=guarded("key", lambda: _public_key(certificate)),
        key=key[0] if key else None,
        key_bits=key[1] if key else None,
        weakness=guarded("strength", lambda: _weakness(certificate)),
        is_self_issued=subject is not None and subject == issuer,
        issuer_names=guarded("issuer", lambda: _all_of(certificate.issuer)) or (),
        unreadable=tuple(unreadable),
    )
    return _Read(facts, certificate, subject, issuer)


def _names(certificate: "x509.Certificate") -> list[str]:
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    dns = extension.value.get_values_for_type(x509.DNSName)
    addresses = extension.value.get_values_for_type(x509.IPAddress)
    return [*dns, *(str(address) for address in addresses)]


def _all_of(name: "x509.Name") -> tuple[str, ...]:
    """Return a name as a whole, and its parts without the escapes that the whole needs."""
    return (name.rfc4514_string(), *(str(attribute.value) for attribute in name))


def _sha256(data: bytes) -> Printable:
    from hashlib import sha256

    return Printable(sha256(data).hexdigest())


def _public_key(certificate: "x509.Certificate") -> Printable:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = certificate.public_key()
    return _sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _key(certificate: "x509.Certificate") -> tuple[Printable, int | None]:
    """Return the key in words, and the bits of an RSA key that is as strong."""
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

    match certificate.public_key():
        case rsa.RSAPublicKey() as key:
            return Printable(f"RSA {key.key_size}"), key.key_size
        case dsa.DSAPublicKey() as key:
            return Printable(f"DSA {key.key_size}"), key.key_size
        case ec.EllipticCurvePublicKey() as key:
            return Printable(f"EC {key.key_size}"), _as_strong(key.key_size)
        case ed25519.Ed25519PublicKey():
            return Printable("Ed25519"), _as_strong(256)
        case ed448.Ed448PublicKey():
            return Printable("Ed448"), _as_strong(448)
        case _:
            return Printable("of another kind"), None


def _as_strong(bits: int) -> int:
    return next(rsa for curve, rsa in _AS_STRONG_AS_RSA if bits >= curve)


def _weakness(certificate: "x509.Certificate") -> Printable | None:
    """Name what makes the certificate weak, or None.

    The signature of a root does not count (nobody checks it): a certificate that names itself
    as its issuer is taken for one.
    """
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _RSA_BITS:
        return Printable(f"RSA {key.key_size} key")
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < _EC_BITS:
        return Printable(f"EC {key.key_size} key")
    algorithm = certificate.signature_hash_algorithm
    is_root = certificate.subject == certificate.issuer
    if algorithm and algorithm.name in _WEAK_SIGNATURES and not is_root:
        return Printable(f"{algorithm.name.upper()} signature")
    return None
