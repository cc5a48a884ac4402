"""What RFC 5280 demands of a certificate and OpenSSL checks only in its strict mode.

Most mail clients do not mind, Python 3.13 and some others do; so it is worth a note. With
`--x509-strict` the verdict is OpenSSL's own; here is what a check without it can tell. The rules
are those of OpenSSL 3.0 to 3.5, and not more of RFC 5280: of a path that is verified there is
something to say exactly where the strict mode refuses it. They need no library that would have
to understand the rest of the certificate.
"""

from collections.abc import Callable, Iterator, Sequence

from check_pop3_plus.certificate.der import (
    ALTERNATIVE_NAMES,
    AUTHORITY_KEY,
    BASIC_CONSTRAINTS,
    BOOLEAN,
    INTEGER,
    KEY_USAGE,
    NETSCAPE_TYPE,
    SUBJECT_KEY,
    Outline,
    first,
    values,
)
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.sanitised_text import Printable

# The first octet of a key usage, and of Netscape's certificate type.
_SIGNS_CERTIFICATES, _SIGNS_REVOCATIONS, _ANY_AUTHORITY = 0x04, 0x02, 0x07
_KEY_IDENTIFIER = 0x80


class _Certificate(Record):
    """What the rules ask for."""

    fields: Outline
    is_version_3: bool
    """Or later."""
    is_ca: bool
    has_depth: bool
    usage: int | None
    """The first octet; None where there is none."""

    def has(self, extension: bytes) -> bool:
        return extension in self.fields.extensions

    def is_critical(self, extension: bytes) -> bool:
        return self.has(extension) and self.fields.extensions[extension].critical

    def may(self, usage: int) -> bool:
        return self.usage is not None and bool(self.usage & usage)


_Rule = Callable[[_Certificate], str | None]
"""Takes a certificate and returns what is wrong with it, or None."""


def defects(path: Sequence[Outline | None]) -> tuple[Printable, ...]:
    """Return what of a verified path, the server's own certificate first, is not strict.

    A certificate that is its own trust anchor is held to next to nothing, as OpenSSL does it.
    Of one that could not be read there is nothing to say.
    """
    found = []
    for position, fields in enumerate(path):
        whose = "certificate" if position == 0 else f"issuer {position}"
        # Nobody has issued the anchor: whose key it was signed with is no question.
        is_anchor = position == len(path) - 1
        rules = _RULES_ALONE if len(path) == 1 else _RULES if is_anchor else _RULES_BELOW
        found += [f"{whose} {wrong}" for wrong in _broken(fields, rules)] if fields else []
    return tuple(Printable(each) for each in found)


def _broken(fields: Outline, rules: tuple[_Rule, ...]) -> Iterator[str]:
    try:
        certificate = _read(fields)
        yield from filter(None, (rule(certificate) for rule in rules))
    except ValueError:  # not DER after all, and so nothing that OpenSSL verifies
        return


def _read(fields: Outline) -> _Certificate:
    constraints = fields.extensions.get(BASIC_CONSTRAINTS)
    contents = list(values(first(constraints.content).content)) if constraints else []
    return _Certificate(
        fields,
        is_version_3=2 <= fields.version < 1 << 63,  # what does not fit is none to OpenSSL
        is_ca=any(each.tag == BOOLEAN and any(each.content) for each in contents),
        has_depth=any(each.tag == INTEGER for each in contents),
        usage=_first_octet(fields, KEY_USAGE),
    )


def _first_octet(fields: Outline, extension: bytes) -> int | None:
    """Return the first octet of a BIT STRING, behind the number of its unused bits."""
    found = fields.extensions.get(extension)
    return int.from_bytes(first(found.content).content[1:2], "big") if found else None


def _is_empty(name: bytes) -> bool:
    return not any(each.content for each in values(first(name).content))


def _authority(each: _Certificate) -> str | None:
    """RFC 5280 sections 4.2.1.3 and 4.2.1.9: whoever issues has basic constraints."""
    if each.has(BASIC_CONSTRAINTS):
        return None
    if each.has(KEY_USAGE):
        is_issuing = each.may(_SIGNS_CERTIFICATES)
    else:
        is_root = each.fields.version == 0 and each.fields.subject == each.fields.issuer
        netscape = _first_octet(each.fields, NETSCAPE_TYPE) or 0
        is_issuing = is_root or bool(netscape & _ANY_AUTHORITY)
    return "may sign certificates but has no basic constraints" if is_issuing else None


def _authority_key(each: _Certificate) -> str | None:
    """RFC 5280 section 4.2.1.1."""
    if not each.is_version_3:
        return None
    identifier = each.fields.extensions.get(AUTHORITY_KEY)
    parts = values(first(identifier.content).content) if identifier else ()
    has_key = any(part.tag == _KEY_IDENTIFIER for part in parts)
    return None if has_key else "has no authority key identifier"


def _critical_keys(each: _Certificate) -> str | None:
    """RFC 5280 sections 4.2.1.1 and 4.2.1.2."""
    if each.is_critical(AUTHORITY_KEY):
        return "has a critical authority key identifier"
    return "has a critical subject key identifier" if each.is_critical(SUBJECT_KEY) else None


def _subject_key(each: _Certificate) -> str | None:
    """RFC 5280 section 4.2.1.2."""
    is_due = each.is_ca and each.is_version_3
    return "has no subject key identifier" if is_due and not each.has(SUBJECT_KEY) else None


def _basic_constraints(each: _Certificate) -> str | None:
    """RFC 5280 section 4.2.1.9."""
    if each.has_depth and not each.is_ca:
        return "has a path length but is no CA"
    if each.has_depth and each.has(KEY_USAGE) and not each.may(_SIGNS_CERTIFICATES):
        return "has a path length but may not sign certificates"
    if each.is_ca and not each.is_critical(BASIC_CONSTRAINTS):
        return "has basic constraints that are not critical"
    return None


def _key_usage(each: _Certificate) -> str | None:
    """RFC 5280 section 4.2.1.3."""
    if each.is_ca:
        return None if each.has(KEY_USAGE) else "has no key usage"
    return "may sign certificates but is no CA" if each.may(_SIGNS_CERTIFICATES) else None


def _names(each: _Certificate) -> str | None:
    """RFC 5280 sections 4.1.2.4, 4.1.2.6 and 4.2.1.6."""
    if _is_empty(each.fields.issuer):
        return "has an issuer without a name"
    names = each.fields.extensions.get(ALTERNATIVE_NAMES)
    if names and not first(names.content).content:
        return "has an empty subject alternative name"
    if not _is_empty(each.fields.subject):
        return None
    if names is None or each.is_ca or each.may(_SIGNS_REVOCATIONS):
        return "has no name"
    return None if names.critical else "has no subject, and alternative names that are not critical"


def _algorithms(each: _Certificate) -> str | None:
    """RFC 5280 section 4.1.1.2."""
    is_one = each.fields.algorithm == each.fields.outer_algorithm
    return None if is_one else "names two signature algorithms"


def _version(each: _Certificate) -> str | None:
    """RFC 5280 section 4.1.2.1."""
    has_more = each.fields.has_extensions and not each.is_version_3
    return "has extensions but is not of version 3" if has_more else None


_RULES_ALONE: tuple[_Rule, ...] = (_authority,)
_RULES = (
    *_RULES_ALONE,
    _critical_keys,
    _subject_key,
    _basic_constraints,
    _key_usage,
    _names,
    _algorithms,
    _version,
)
_RULES_BELOW = (_authority_key, *_RULES)
