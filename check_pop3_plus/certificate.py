"""DER bytes to certificate facts, by the `cryptography` library.

A certificate comes from the server and may be hostile. Parsing is lazy: a certificate may load,
and each single attribute may still raise, almost anything (`TypeError` among it, measured over
1,236 fuzzed certificates). So each is read in a guard of its own, dates first. Whether a
certificate is trusted is OpenSSL's verdict, not ours: that is what mail clients get.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from check_pop3_plus.report import CertificateFacts
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

_T = TypeVar("_T")


def prepare() -> None:
    """Import what reading needs (about 50 ms), before any clock of the conversation runs.

    Raises ImportError where the library is missing.
    """
    from cryptography import x509  # noqa: F401


def read_chain(chain: tuple[bytes, ...], clean: Cleaner) -> tuple[CertificateFacts, ...]:
    """Return the facts of each certificate as sent, at most `CHAIN_LIMIT`."""
    return tuple(read(der, clean) for der in chain[:CHAIN_LIMIT])


def read(der: bytes, clean: Cleaner) -> CertificateFacts:
    """Return what can be read of one certificate; what cannot be read is None and named."""
    from cryptography import x509

    unreadable: list[Printable] = []

    def guarded(attribute: str, reader: Callable[[], _T]) -> _T | None:
        try:
            return reader()
        except Exception:
            unreadable.append(Printable(attribute))
            return None

    certificate = guarded("certificate", lambda: x509.load_der_x509_certificate(der))
    if certificate is None:
        return CertificateFacts(None, None, unreadable=tuple(unreadable))
    not_before = guarded("not before", lambda: certificate.not_valid_before_utc)
    not_after = guarded("not after", lambda: certificate.not_valid_after_utc)
    names = guarded("names", lambda: _names(certificate)) or []
    return CertificateFacts(
        not_before=not_before,
        not_after=not_after,
        subject=guarded("subject", lambda: clean(certificate.subject.rfc4514_string())),
        issuer=guarded("issuer", lambda: clean(certificate.issuer.rfc4514_string())),
        names=tuple(clean(name) for name in names[:NAMES_LIMIT]),
        names_left_out=max(0, len(names) - NAMES_LIMIT),
        serial=guarded("serial", lambda: clean(f"{certificate.serial_number:X}")),
        fingerprint=guarded("fingerprint", lambda: _fingerprint(der)),
        weakness=guarded("strength", lambda: _weakness(certificate)),
        unreadable=tuple(unreadable),
    )


def _names(certificate: "x509.Certificate") -> list[str]:
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    dns = extension.value.get_values_for_type(x509.DNSName)
    addresses = extension.value.get_values_for_type(x509.IPAddress)
    return [*dns, *(str(address) for address in addresses)]


def _fingerprint(der: bytes) -> Printable:
    from hashlib import sha256

    return Printable(sha256(der).hexdigest())


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
