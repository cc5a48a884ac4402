"""Say why OpenSSL rejected a chain, with the name of the certificate that it is about.

OpenSSL's error has a code, but `ssl` does not tell at which certificate it occurred.
"""

from collections.abc import Sequence
from itertools import pairwise

from check_pop3_plus.certificate.der import (
    KEY_USAGE,
    NAME_CONSTRAINTS,
    PURPOSES,
    SUBJECT_KEY,
    Fields,
    first,
)
from check_pop3_plus.model.failures import ISSUER_NOT_FOUND
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.report import CertificateFacts, named
from check_pop3_plus.model.sanitised_text import Printable, printable


class Link(Record):
    """A certificate of a chain."""

    facts: CertificateFacts
    fields: Fields | None = None


# RFC 5280 section 4.2.1.12: TLS servers; and Netscape's and Microsoft's step-up. For OpenSSL any
# purpose is not enough.
_FOR_SERVERS = {
    bytes.fromhex(number)
    for number in ("2b06010505070301", "2b0601040182370a0303", "6086480186f8420401")
}
# The first byte of a key usage: signatures, key encipherment, key agreement; signs certificates.
_USED_BY_SERVERS, _SIGNS_CERTIFICATES = 0x80 | 0x20 | 0x08, 0x04


_REPLACE = "put the certificate that the CA uses now into the trust store (--ca-file)"
_SEND = "configure the server to send the intermediate certificate that has issued its own"
_IS_OWN = "--ca-file holds the certificate of the server, not that of its issuer {}"
_TRUST_ISSUER = (
    "put the certificates of the CA into the CA file, up to its root; to accept this certificate"
    " alone use --verify none with --pin"
)


def reason(
    code: int, path: Sequence[Link], sent: Sequence[Link] = (), trusted: Sequence[Link] = ()
) -> tuple[Printable | None, Printable | None]:
    """Return why a chain was rejected by X509_V_ERR_* `code`, and what to try.

    None where the code says it all. `path` is what OpenSSL has built, the server certificate
    first; `trusted` are CAs of the local trust store, or the certificate of the server if the CA
    file has it.
    """
    try:
        found = (_another_key(code, path, sent, trusted) or _reason(code, path)) if path else None
    except ValueError:  # an extension is not DER
        found = None
    if found is None:
        return None, None
    text, name, *cure = found
    return printable(text, named(name)), printable(cure[0]) if cure else None


def _another_key(
    code: int, path: Sequence[Link], sent: Sequence[Link], trusted: Sequence[Link]
) -> tuple[str, Printable | None, str] | None:
    """Return which certificate has the name of an issuer, but did not issue the one below it."""
    if code == _BAD_SIGNATURE:
        for below, issuer in pairwise(path):
            # Where both name the same key the signature itself is broken.
            if issuer not in sent and not _name_the_same_key(below, issuer):
                return _TRUSTED_HAS + _ANOTHER_KEY, issuer.facts.subject, _REPLACE
    last = path[-1]
    if code not in ISSUER_NOT_FOUND or last.fields is None:
        return None
    if path[0].facts in (each.facts for each in trusted):
        return _IS_OWN, path[0].facts.issuer, _TRUST_ISSUER
    for each in (*trusted, *(each for each in sent if each not in path)):
        if each.fields is None or each.fields.subject != last.fields.issuer:
            continue
        other = "another serial number" if _name_the_same_key(last, each) else _ANOTHER_KEY
        if each in trusted:
            return _TRUSTED_HAS + other, each.facts.subject, _REPLACE
        return "issuer {} was sent with " + other, each.facts.subject, _SEND
    return None


_BAD_SIGNATURE = 7
_TRUSTED_HAS, _ANOTHER_KEY = "the trusted CA {} has ", "another key"


def _name_the_same_key(below: Link, issuer: Link) -> bool:
    wanted = below.fields.authority_key if below.fields else None
    own = issuer.fields.extensions.get(SUBJECT_KEY) if issuer.fields else None
    return own is not None and first(own.content).content == wanted


def _reason(code: int, path: Sequence[Link]) -> tuple[str, Printable | None] | None:
    issuers = path[1:]
    match code:
        case 25:
            for below, each in enumerate(issuers):
                depth = each.fields.constraints[1] if each.fields else None
                if depth is not None and depth < below:
                    most = f"no more than {depth} CA" if depth else "no CA"
                    return f"issuer {{}} allows {most} below it (path length)", each.facts.subject
        case 26:
            return _unfit(path)
        case 34:
            for position, each in enumerate(path):
                if each.fields and each.fields.has_unknown_critical:
                    whose = "issuer {} has" if position else "it has"
                    return f"{whose} an unknown critical extension", each.facts.subject
        case 47 | 48:
            verb = "does not permit" if code == 47 else "excludes"
            for each in issuers:
                if each.fields and NAME_CONSTRAINTS in each.fields.extensions:
                    return f"issuer {{}} {verb} its name (name constraints)", each.facts.subject
        case 24 | 32 | 79:  # an invalid CA: up to OpenSSL 1.1.1, by its key usage, from 3.0 on
            for each in issuers:
                if not _is_ca(each):
                    return "issuer {} is no CA certificate", each.facts.subject
                if not _usage(each) & _SIGNS_CERTIFICATES:
                    return "issuer {} may not sign certificates (key usage)", each.facts.subject
    return None


def _unfit(path: Sequence[Link]) -> tuple[str, Printable | None] | None:
    """Return whose purpose is not that of a server, or of an issuer for servers."""
    leaf, *issuers = path
    if not _is_for_servers(leaf):
        return "not meant for servers (extended key usage)", None
    if not _usage(leaf) & _USED_BY_SERVERS:
        if _is_ca(leaf):
            return "a CA certificate is used as server certificate", None
        return "not meant for servers (key usage)", None
    for each in issuers:
        if not _is_for_servers(each):
            what = "issuer {} may not issue for servers (extended key usage)"
            return what, each.facts.subject
    return None


def _is_for_servers(link: Link) -> bool:
    if link.fields is None or PURPOSES not in link.fields.extensions:
        return True
    return any(each.content in _FOR_SERVERS for each in link.fields.inside(PURPOSES))


def _is_ca(link: Link) -> bool:
    return link.fields is not None and link.fields.constraints[0]


def _usage(link: Link) -> int:
    """Return the first byte of the key usage; every use is allowed without one."""
    usage = link.fields.bits(KEY_USAGE) if link.fields else None
    return 0xFF if usage is None else usage
