"""Say why OpenSSL rejected a chain, with the name of the certificate that it is about.

OpenSSL's error has a code, but `ssl` does not tell at which certificate it occurred.
"""

from collections.abc import Sequence

from check_pop3_plus.certificate.der import (
    BASIC_CONSTRAINTS,
    BOOLEAN,
    INTEGER,
    KEY_USAGE,
    NAME_CONSTRAINTS,
    PURPOSES,
    Fields,
    Value,
    first,
    values,
)
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.report import CertificateFacts
from check_pop3_plus.model.sanitised_text import Printable, printable


class Link(Record):
    """A certificate of a chain."""

    facts: CertificateFacts
    fields: Fields | None = None


# RFC 5280 section 4.2.1.12: TLS servers, any purpose; and Netscape's and Microsoft's step-up.
_FOR_SERVERS = frozenset(
    map(
        bytes.fromhex,
        ("2b06010505070301", "551d2500", "2b0601040182370a0303", "6086480186f8420401"),
    )
)
# The first byte of a key usage: signatures, key encipherment, key agreement; signs certificates.
_USED_BY_SERVERS, _SIGNS_CERTIFICATES = 0x80 | 0x20 | 0x08, 0x04


def reason(code: int, path: Sequence[Link], trusted: Sequence[Link]) -> Printable | None:
    """Return why a chain was rejected by X509_V_ERR_* `code`, or None if the code says it all.

    `path` is what OpenSSL has built, the server certificate first; `trusted` are CAs of the local
    trust store.
    """
    try:
        found = _reason(code, path, trusted) if path else None
    except ValueError:  # an extension is not DER
        return None
    return None if found is None else printable(str(found[0]), *found[1:])


def _reason(code: int, path: Sequence[Link], trusted: Sequence[Link]) -> tuple[object, ...] | None:
    issuers = path[1:]
    match code:
        case 18 | 19 | 20 | 21:  # self-signed, unknown root, issuer not found
            return _namesake(path[-1], trusted)
        case 7 if issuers:
            return "bad signature: the CA {} here has another key", issuers[0].facts.subject
        case 25:
            for below, each in enumerate(issuers):
                if (depth := _depth(each)) is not None and depth < below:
                    return "issuer {} allows no CA below it (path length)", each.facts.subject
        case 26:
            return _unfit(path)
        case 32:
            for each in issuers:
                if not _usage(each) & _SIGNS_CERTIFICATES:
                    return "issuer {} may not sign certificates (key usage)", each.facts.subject
        case 34:
            for position, each in enumerate(path):
                if each.fields and each.fields.has_unknown_critical:
                    what = "an unknown critical extension"
                    if position == 0:
                        return (f"it has {what}",)
                    return f"issuer {{}} has {what}", each.facts.subject
        case 47 | 48:
            verb = "does not permit" if code == 47 else "excludes"
            for each in issuers:
                if _contents(each, NAME_CONSTRAINTS) is not None:
                    return f"issuer {{}} {verb} its name (name constraints)", each.facts.subject
        case 24 | 79:  # up to OpenSSL 1.1.1, and from 3.0 on
            for each in issuers:
                if not _is_ca(each):
                    return "issuer {} is no CA certificate", each.facts.subject
    return None


def _namesake(last: Link, trusted: Sequence[Link]) -> tuple[object, ...] | None:
    """Return that the trust store has a CA of the missing issuer's name with another key."""
    for each in trusted:
        if last.fields and each.fields and each.fields.subject == last.fields.issuer:
            return "the trusted CA {} has another key", each.facts.subject
    return None


def _unfit(path: Sequence[Link]) -> tuple[object, ...] | None:
    """Return whose purpose is not that of a server, or of an issuer for servers."""
    leaf, *issuers = path
    if not _is_for_servers(leaf):
        return ("not meant for servers (extended key usage)",)
    if _is_ca(leaf):
        return ("a CA certificate is used as server certificate",)
    if not _usage(leaf) & _USED_BY_SERVERS:
        return ("not meant for servers (key usage)",)
    for each in issuers:
        if not _is_for_servers(each):
            text = "issuer {} may not issue for servers (extended key usage)"
            return text, each.facts.subject
    return None


def _is_for_servers(link: Link) -> bool:
    purposes = _contents(link, PURPOSES)
    return purposes is None or any(each.content in _FOR_SERVERS for each in purposes)


def _is_ca(link: Link) -> bool:
    contents = _contents(link, BASIC_CONSTRAINTS) or []
    return any(each.tag == BOOLEAN and any(each.content) for each in contents)


def _depth(link: Link) -> int | None:
    contents = _contents(link, BASIC_CONSTRAINTS) or []
    depths = (int.from_bytes(each.content, "big") for each in contents if each.tag == INTEGER)
    return next(depths, None)


def _usage(link: Link) -> int:
    """Return the first byte of the key usage; every use is allowed without one."""
    found = link.fields.extensions.get(KEY_USAGE) if link.fields else None
    return int.from_bytes(first(found.content).content[1:2], "big") if found else 0xFF


def _contents(link: Link, extension: bytes) -> list[Value] | None:
    """Return the values inside an extension that is a SEQUENCE, or None without it."""
    found = link.fields.extensions.get(extension) if link.fields else None
    return list(values(first(found.content).content)) if found else None
