"""Rules of RFC 5280 that OpenSSL checks only in its strict mode.

Most mail clients ignore them; Python 3.13 and some others do not, so a violation is reported. With
`--x509-strict` OpenSSL decides; this module reports the same without it. The rules are those of
OpenSSL 3.0 to 3.5, not all of RFC 5280: a verified chain has defects here exactly when strict mode
rejects it. They need no library that has to understand the rest of the certificate.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import islice

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
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.sanitised_text import Printable, printable

# The first byte of a key usage, and of Netscape's certificate type.
_SIGNS_CERTIFICATES, _SIGNS_REVOCATIONS, _ANY_AUTHORITY = 0x04, 0x02, 0x07


class _Certificate(Record):
    """The facts that the rules use."""

    fields: Fields
    is_version_3: bool
    """Or later."""
    is_ca: bool
    has_depth: bool
    usage: int | None
    """The first byte of the key usage; None without one."""

    def has(self, extension: bytes) -> bool:
        return extension in self.fields.extensions

    def is_critical(self, extension: bytes) -> bool:
        return self.has(extension) and self.fields.extensions[extension].critical

    def may(self, usage: int) -> bool:
        return self.usage is not None and bool(self.usage & usage)

    def is_issuing(self) -> bool:
        if self.has(KEY_USAGE):
            return self.may(_SIGNS_CERTIFICATES)
        is_root = self.fields.version == 0 and self.fields.subject == self.fields.issuer
        netscape = self.fields.bits(NETSCAPE_TYPE) or 0
        return is_root or bool(netscape & _ANY_AUTHORITY)

    def has_empty_names(self) -> bool:
        names = self.fields.extensions.get(ALTERNATIVE_NAMES)
        return names is not None and not first(names.content).content

    def needs_subject(self) -> bool:
        return not self.has(ALTERNATIVE_NAMES) or self.is_ca or self.may(_SIGNS_REVOCATIONS)


# Each group: conditions with the defect that each means. Only the first of a group is reported.
_Group = tuple[tuple[Callable[[_Certificate], bool], str], ...]

# RFC 5280 sections 4.2.1.3 and 4.2.1.9.
_RULES_ALONE: tuple[_Group, ...] = (
    (
        (
            lambda c: not c.has(BASIC_CONSTRAINTS) and c.is_issuing(),
            "may sign certificates but has no basic constraints",
        ),
    ),
)
_RULES: tuple[_Group, ...] = (
    *_RULES_ALONE,
    (  # sections 4.2.1.1 and 4.2.1.2
        (lambda c: c.is_critical(AUTHORITY_KEY), "has a critical authority key identifier"),
        (lambda c: c.is_critical(SUBJECT_KEY), "has a critical subject key identifier"),
    ),
    (  # section 4.2.1.2
        (
            lambda c: c.is_ca and c.is_version_3 and not c.has(SUBJECT_KEY),
            "has no subject key identifier",
        ),
    ),
    (  # section 4.2.1.9
        (lambda c: c.has_depth and not c.is_ca, "has a path length but is no CA"),
        (
            lambda c: c.has_depth and c.has(KEY_USAGE) and not c.may(_SIGNS_CERTIFICATES),
            "has a path length but may not sign certificates",
        ),
        (
            lambda c: c.is_ca and not c.is_critical(BASIC_CONSTRAINTS),
            "has basic constraints that are not critical",
        ),
    ),
    (  # section 4.2.1.3
        (lambda c: c.is_ca and not c.has(KEY_USAGE), "has no key usage"),
        (
            lambda c: not c.is_ca and c.may(_SIGNS_CERTIFICATES),
            "may sign certificates but is no CA",
        ),
    ),
    (  # sections 4.1.2.4, 4.1.2.6 and 4.2.1.6
        (lambda c: _is_empty(c.fields.issuer), "has an issuer without a name"),
        (_Certificate.has_empty_names, "has an empty subject alternative name"),
        (lambda c: _is_empty(c.fields.subject) and c.needs_subject(), "has no name"),
        (
            lambda c: _is_empty(c.fields.subject) and not c.is_critical(ALTERNATIVE_NAMES),
            "has no subject, and alternative names that are not critical",
        ),
    ),
    (  # section 4.1.1.2
        (
            lambda c: c.fields.algorithm != c.fields.outer_algorithm,
            "names two signature algorithms",
        ),
    ),
    (  # section 4.1.2.1
        (
            lambda c: c.fields.has_extensions and not c.is_version_3,
            "has extensions but is not of version 3",
        ),
    ),
)
# Section 4.2.1.1.
_RULES_BELOW: tuple[_Group, ...] = (
    (
        (
            lambda c: c.is_version_3 and c.fields.authority_key is None,
            "has no authority key identifier",
        ),
    ),
    *_RULES,
)


def defects(path: Sequence[Fields | None]) -> tuple[Printable, ...]:
    """Return what strict mode rejects in a verified chain, the server certificate first.

    For a certificate that is its own trust anchor hardly any rule applies, as in OpenSSL. Those
    that could not be read (None) are skipped.
    """
    found = []
    for position, fields in enumerate(path):
        whose = "certificate" if position == 0 else f"issuer {position}"
        # The anchor has no issuer in the chain, so that it needs no authority key.
        is_anchor = position == len(path) - 1
        rules = _RULES_ALONE if len(path) == 1 else _RULES if is_anchor else _RULES_BELOW
        found += [f"{whose} {defect}" for defect in _broken(fields, rules)] if fields else []
    return tuple(map(printable, found))


# In a sweep most servers have one of a few issuers.
@lru_cache(maxsize=256)
def _broken(fields: Fields, rules: tuple[_Group, ...]) -> tuple[str, ...]:
    found: list[str] = []
    with suppress(ValueError):  # not DER, so OpenSSL does not verify it either
        certificate = _examine(fields)
        for group in rules:
            broken = (text for is_broken, text in group if is_broken(certificate))
            found += islice(broken, 1)
    return tuple(found)


def _examine(fields: Fields) -> _Certificate:
    return _Certificate(
        fields,
        is_version_3=2 <= fields.version < 1 << 63,  # OpenSSL ignores larger numbers
        is_ca=fields.is_ca,
        has_depth=fields.depth is not None,
        usage=fields.bits(KEY_USAGE),
    )


def _is_empty(name: bytes) -> bool:
    return not any(each.content for each in values(first(name).content))
