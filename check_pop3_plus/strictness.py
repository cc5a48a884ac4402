"""What RFC 5280 demands of a certificate and OpenSSL checks only in its strict mode.

Most mail clients do not mind, Python 3.13 and some others do; so it is worth a note. With
`--x509-strict` the verdict is OpenSSL's own; here is what a check without it can tell.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from check_pop3_plus.text import Printable

if TYPE_CHECKING:
    from cryptography import x509

    _Extension = TypeVar("_Extension", bound=x509.ExtensionType)

_Rule = Callable[["x509.Certificate"], str | None]
"""Takes a certificate and returns what is wrong with it, or None."""


def defects(path: "Sequence[x509.Certificate | None]") -> tuple[Printable, ...]:
    """Return what of a verified path, the server's own certificate first, is not strict.

    A certificate that is its own trust anchor is held to nothing, as OpenSSL does it. Rules that
    cannot be tried, because the certificate cannot be read that far, are left out.
    """
    if len(path) < 2:
        return ()
    found = []
    for position, certificate in enumerate(path):
        if certificate is not None:
            whose = "certificate" if position == 0 else f"issuer {position}"
            # Nobody has issued the anchor: whose key it was signed with is no question.
            rules = _RULES if position == len(path) - 1 else (_authority_key, *_RULES)
            found += [f"{whose} {wrong}" for wrong in _broken(certificate, rules)]
    return tuple(Printable(each) for each in found)


def _broken(certificate: "x509.Certificate", rules: tuple[_Rule, ...]) -> Iterator[str]:
    for rule in rules:
        try:
            wrong = rule(certificate)
        except Exception:  # noqa: S112 - told as unreadable by `certificate`
            continue
        if wrong:
            yield wrong


def _extension(
    certificate: "x509.Certificate", kind: "type[_Extension]"
) -> "x509.Extension[_Extension] | None":
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(kind)
    except x509.ExtensionNotFound:
        return None


def _is_ca(certificate: "x509.Certificate") -> bool:
    from cryptography import x509

    constraints = _extension(certificate, x509.BasicConstraints)
    return constraints is not None and constraints.value.ca


def _authority_key(certificate: "x509.Certificate") -> str | None:
    """RFC 5280 section 4.2.1.1."""
    from cryptography import x509

    identifier = _extension(certificate, x509.AuthorityKeyIdentifier)
    if identifier is None or identifier.value.key_identifier is None:
        return "has no authority key identifier"
    return "has a critical authority key identifier" if identifier.critical else None


def _subject_key(certificate: "x509.Certificate") -> str | None:
    """RFC 5280 section 4.2.1.2."""
    from cryptography import x509

    identifier = _extension(certificate, x509.SubjectKeyIdentifier)
    if identifier is None:
        return "has no subject key identifier" if _is_ca(certificate) else None
    return "has a critical subject key identifier" if identifier.critical else None


def _basic_constraints(certificate: "x509.Certificate") -> str | None:
    """RFC 5280 section 4.2.1.9."""
    from cryptography import x509

    constraints = _extension(certificate, x509.BasicConstraints)
    if constraints is None:
        return None
    if constraints.value.ca:
        return None if constraints.critical else "has basic constraints that are not critical"
    return None if constraints.value.path_length is None else "has a path length but is no CA"


def _key_usage(certificate: "x509.Certificate") -> str | None:
    """RFC 5280 section 4.2.1.3."""
    from cryptography import x509

    usage = _extension(certificate, x509.KeyUsage)
    if _is_ca(certificate):
        return "has no key usage" if usage is None else None
    return "may sign certificates but is no CA" if usage and usage.value.key_cert_sign else None


def _subject(certificate: "x509.Certificate") -> str | None:
    """RFC 5280 sections 4.1.2.4, 4.1.2.6 and 4.2.1.6."""
    from cryptography import x509

    if not list(certificate.issuer):
        return "has an issuer without a name"
    names = _extension(certificate, x509.SubjectAlternativeName)
    if names is not None and not list(names.value):
        return "has an empty subject alternative name"
    if list(certificate.subject):
        return None
    if names is None or _is_ca(certificate):
        return "has no name"
    return None if names.critical else "has no subject, and alternative names that are not critical"


def _version(certificate: "x509.Certificate") -> str | None:
    """RFC 5280 section 4.1.2.1."""
    from cryptography import x509

    if certificate.version is x509.Version.v3:
        return None
    return "has extensions but is not of version 3" if len(certificate.extensions) else None


_RULES: tuple[_Rule, ...] = (
    _subject_key,
    _basic_constraints,
    _key_usage,
    _subject,
    _version,
)
