"""Rules of RFC 5280 that OpenSSL checks only in its strict mode.

Most mail clients ignore them; Python 3.13 and some others do not, so a violation is reported. With
`--x509-strict` OpenSSL decides; this module reports the same without it. The rules are those of
OpenSSL 3.0 to 3.5, not all of RFC 5280: a verified chain has defects here exactly when strict mode
rejects it. They need no library that has to understand the rest of the certificate.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import lru_cache

from check_pop3_plus.certificate.der import (
    ALTERNATIVE_NAMES,
    AUTHORITY_KEY,
    BASIC_CONSTRAINTS,
    KEY_USAGE,
    NETSCAPE_TYPE,
    SUBJECT_KEY,
    Fields,
    first,
    values,
)
from check_pop3_plus.model.sanitised_text import Printable, printable

# The first byte of a key usage, and of Netscape's certificate type.
_SIGNS_CERTIFICATES, _SIGNS_REVOCATIONS, _ANY_AUTHORITY = 0x04, 0x02, 0x07


def defects(path: Sequence[Fields | None]) -> tuple[Printable, ...]:
    """Return what strict mode rejects in a verified chain, the server certificate first.

    Certificates that could not be read (None) are skipped.
    """
    found = []
    for position, fields in enumerate(path):
        whose = "certificate" if position == 0 else f"issuer {position}"
        is_anchor = position == len(path) - 1
        of_one = _broken(fields, is_anchor, len(path) == 1) if fields else ()
        found += [printable(f"{whose} {defect}") for defect in of_one]
    return tuple(found)


# In a sweep most servers have one of a few issuers.
@lru_cache(maxsize=256)
def _broken(fields: Fields, is_anchor: bool, is_alone: bool) -> tuple[str, ...]:
    found: list[str] = []
    # What is not DER OpenSSL does not verify either; the defects found before count.
    with suppress(ValueError):
        for defect in _violations(fields, is_anchor, is_alone):
            found.append(defect)
    return tuple(found)


def _violations(fields: Fields, is_anchor: bool, is_alone: bool) -> Iterator[str]:
    """Yield the defects of a certificate, as OpenSSL the first of alternatives.

    For one that is its own trust anchor hardly any rule applies. Raises ValueError for an extension
    that is not DER.
    """
    extensions = fields.extensions
    critical = {number for number, each in extensions.items() if each.critical}
    is_ca, depth = fields.constraints
    usage = fields.bits(KEY_USAGE)
    may_sign = usage is not None and bool(usage & _SIGNS_CERTIFICATES)
    is_version_3 = 2 <= fields.version < 1 << 63  # or later; OpenSSL ignores larger numbers
    # Section 4.2.1.1. The anchor has no issuer in the chain, so that it needs no authority key.
    if not is_anchor and is_version_3 and fields.authority_key is None:
        yield "has no authority key identifier"
    # Sections 4.2.1.3 and 4.2.1.9.
    if BASIC_CONSTRAINTS not in extensions and (
        may_sign if usage is not None else _is_issuing_without_usage(fields)
    ):
        yield "may sign certificates but has no basic constraints"
    if is_alone:
        return
    # Sections 4.2.1.1 and 4.2.1.2.
    if AUTHORITY_KEY in critical:
        yield "has a critical authority key identifier"
    elif SUBJECT_KEY in critical:
        yield "has a critical subject key identifier"
    if is_ca and is_version_3 and SUBJECT_KEY not in extensions:
        yield "has no subject key identifier"
    # Section 4.2.1.9.
    if depth is not None and not is_ca:
        yield "has a path length but is no CA"
    elif depth is not None and usage is not None and not may_sign:
        yield "has a path length but may not sign certificates"
    elif is_ca and BASIC_CONSTRAINTS not in critical:
        yield "has basic constraints that are not critical"
    # Section 4.2.1.3.
    if is_ca and usage is None:
        yield "has no key usage"
    elif may_sign and not is_ca:
        yield "may sign certificates but is no CA"
    yield from _of_names(fields, is_ca or bool(usage and usage & _SIGNS_REVOCATIONS))
    if fields.algorithm != fields.outer_algorithm:  # section 4.1.1.2
        yield "names two signature algorithms"
    if fields.has_extensions and not is_version_3:  # section 4.1.2.1
        yield "has extensions but is not of version 3"


def _is_issuing_without_usage(fields: Fields) -> bool:
    netscape = fields.bits(NETSCAPE_TYPE) or 0
    is_root = fields.version == 0 and fields.subject == fields.issuer
    return is_root or bool(netscape & _ANY_AUTHORITY)


def _of_names(fields: Fields, is_issuer: bool) -> Iterator[str]:
    """Yield what is wrong with the names (sections 4.1.2.4, 4.1.2.6 and 4.2.1.6)."""
    names = fields.extensions.get(ALTERNATIVE_NAMES)
    if _is_empty(fields.issuer):
        yield "has an issuer without a name"
    elif names is not None and not first(names.content).content:
        yield "has an empty subject alternative name"
    elif _is_empty(fields.subject):
        if names is None or is_issuer:
            yield "has no name"
        elif not names.critical:
            yield "has no subject, and alternative names that are not critical"


def _is_empty(name: bytes) -> bool:
    return not any(each.content for each in values(first(name).content))
