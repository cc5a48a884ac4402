"""Sentences about certificates, for the status line and for the long output."""

from collections.abc import Callable, Iterator

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.messages.formats import count, date, listed, span
from check_pop3_plus.model.failures import Failure, Kind
from check_pop3_plus.model.report import CertificateFacts, Chain, Report, named
from check_pop3_plus.model.sanitised_text import sanitise

if TYPE_CHECKING:
    from datetime import datetime

REJECTIONS = (
    Kind.EXPIRED,
    Kind.NOT_YET_VALID,
    Kind.NAME,
    Kind.UNTRUSTED,
    Kind.WEAK,
    Kind.NOT_STRICT,
    Kind.PIN,
)
"""The kinds that `rejection` explains."""

_ROOT_MISSING = 2
"""X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT: of an intermediate that is in the trust store."""

_UNKNOWN_ISSUER = (20, 21)
"""X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY and X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE."""

_ISSUER_KEY_TOO_WEAK = 67
"""X509_V_ERR_CA_KEY_TOO_SMALL."""

_UNTRUSTED_ROOT = 19
"""X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN."""

_WRONG_DATE = {Kind.EXPIRED: "expired", Kind.NOT_YET_VALID: "is not yet valid"}

_IS_WRONG: "dict[Kind, Callable[[CertificateFacts, datetime], bool]]" = {
    Kind.WEAK: lambda each, _: bool(each.weakness),
    Kind.EXPIRED: lambda each, now: each.not_after is not None and each.not_after <= now,
    Kind.NOT_YET_VALID: lambda each, now: each.not_before is not None and each.not_before > now,
}
"""What is wrong with one certificate of a rejected chain."""


def rejection(failure: Failure, chain: Chain, name: str, now: "datetime") -> str:
    """Return why a certificate for the host `name` was rejected."""
    kind, leaf = failure.kind, chain.leaf
    if leaf is None:
        return "certificate refused"
    if kind in _IS_WRONG:
        return _about_culprit(failure, chain, now)
    if kind is Kind.NAME:
        if not leaf.names:
            return f"certificate has {_no_name(leaf.other_names)} (mail clients refuse it)"
        # A long list must not displace the expected name.
        names = sanitise(listed(leaf.names, 2, leaf.names_left_out), 80)
        how = " (as a DNS name)" if name in leaf.names else ""  # an address among the DNS names
        return f"certificate is not for {sanitise(name, 60)} but for {names}{how}"
    if kind is Kind.PIN:
        return "certificate does not match --pin"
    if kind is Kind.NOT_STRICT:
        return f"certificate violates RFC 5280: {failure.reason or failure.message}"
    if chain.rejection:
        return f"certificate not trusted: {chain.rejection}"
    if failure.verify_code == _ROOT_MISSING and chain.path:
        trusted = named(chain.path[-1].subject)
        return f"certificate not trusted: {trusted} is trusted here, but its root is missing"
    if failure.verify_code in _UNKNOWN_ISSUER:
        top = (chain.path or chain.sent)[-1]
        served = count(len(chain.sent) + chain.left_out, "certificate")
        unknown = sanitise(named(top.issuer), 60)
        return f"certificate not trusted: issuer {unknown} unknown, server sent {served}"
    return f"certificate not trusted: {failure.reason or failure.message}"


def _no_name(others: tuple[str, ...] | None) -> str:
    """Return what a certificate without a readable host name has instead."""
    if others is None:
        return "a malformed subject alternative name"
    if not others:
        return "no subject alternative name"
    return f"no DNS name in its subject alternative name, only {', '.join(others)}"


def cure(failure: Failure, chain: Chain, now: "datetime") -> str | None:
    """Return what to try about a rejected chain, or None if the hint of the kind fits."""
    culprit = _culprit(failure, chain, now)
    if culprit and culprit != chain.leaf:
        if failure.kind is Kind.WEAK:
            return _REPLACE_WEAK if chain.is_in_store(culprit) else _SEND_STRONG
        if chain.is_in_store(culprit):
            return REPLACE
    return chain.cure


REPLACE = "replace it in the trust store of this machine (--ca-file, --ca-path, ca-certificates)"
_REPLACE_WEAK = "use a CA with a longer key, on the server and in the trust store (--ca-file)"
_SEND_STRONG = (
    "install the current intermediate certificate of the CA on the server (longer key, SHA-256"
    " signature), or a certificate of another CA"
)


def _culprit(failure: Failure, chain: Chain, now: "datetime") -> CertificateFacts | None:
    """Return which certificate of the chain is too weak, has expired or is not yet valid."""
    is_wrong = _IS_WRONG.get(failure.kind)
    suspects = chain.path or chain.sent[:1]
    if failure.verify_code == _ISSUER_KEY_TOO_WEAK:
        suspects = suspects[1:]
    return next((each for each in suspects if is_wrong and is_wrong(each, now)), None)


def _about_culprit(failure: Failure, chain: Chain, now: "datetime") -> str:
    """Return which certificate of the chain is wrong, and why."""
    kind, culprit = failure.kind, _culprit(failure, chain, now)
    if culprit is None and kind is Kind.WEAK:
        return failure.reason or failure.message
    if culprit is None:
        return f"certificate is valid, but an intermediate in the chain {_WRONG_DATE[kind]}"
    which = "certificate" if culprit == chain.leaf else issuer(culprit, chain)
    is_weak = kind is Kind.WEAK
    return f"{which} too weak: {culprit.weakness}" if is_weak else dates(culprit, which, kind, now)


def issuer(facts: CertificateFacts, chain: Chain) -> str:
    """Return the name of an issuer, and that it is in the trust store if it was not sent."""
    here = " (in the local trust store)" if chain.is_in_store(facts) else ""
    return f"issuer {sanitise(named(facts.subject), 60)}{here} of the certificate"


def dates(facts: CertificateFacts, which: str, kind: Kind, now: "datetime") -> str:
    """Return when a certificate expires or expired, or from when it is valid."""
    if facts.not_after is None:
        return f"dates of the {which} are unreadable"
    if kind is Kind.NOT_YET_VALID and facts.not_before and facts.not_before > now:
        until = span(facts.not_before - now)
        return f"{which} is not valid before {date(facts.not_before)}, in {until}"
    if facts.not_after <= now:
        return f"{which} expired {span(now - facts.not_after)} ago, on {date(facts.not_after)}"
    return f"{which} expires in {span(facts.not_after - now)}, on {date(facts.not_after)}"


def unreadable(chain: Chain) -> str:
    details = dict.fromkeys(each for facts in chain.path for each in facts.unreadable)
    return f"details of the certificate are unreadable: {', '.join(details)}"


def wrong_issuer(leaf: CertificateFacts, wanted: str, _: Report) -> str:
    return f"certificate is from {named(leaf.issuer)}, not from {sanitise(wanted)}"


def short_key(leaf: CertificateFacts, bits: int, _: Report) -> str:
    return f"key of the certificate is too short: {named(leaf.key)}, not RSA {bits} or as strong"


def long_lifetime(leaf: CertificateFacts, longest: float, _: Report) -> str:
    assert leaf.lifetime  # noqa: S101 - it was longer
    return f"certificate was issued for {span(leaf.lifetime)} (limit {longest:g} days)"


def outdated(leaf: CertificateFacts, _: str, report: Report) -> str:
    """Return that the certificate is not the one in the file, and until when that one is valid."""
    wrong = "certificate is not the deployed one"
    newest = max((each.not_after for each in report.deployed if each.not_after), default=None)
    if newest is None or leaf.not_after is None:
        return wrong
    if newest > leaf.not_after:
        return f"{wrong}, which lasts longer (until {date(newest)}): not reloaded?"
    return f"{wrong} (until {date(newest)})"


def validity(facts: CertificateFacts, now: "datetime") -> str:
    """Return how long an accepted certificate is valid."""
    if facts.not_after is None:
        return "certificate unreadable"
    if facts.not_before and facts.not_before > now:
        return f"certificate not valid before {date(facts.not_before)}"
    if facts.not_after > now:
        left = span(facts.not_after - now)
        return f"certificate valid for {left} (until {facts.not_after:%Y-%m-%d})"
    return f"certificate expired {span(now - facts.not_after)} ago ({facts.not_after:%Y-%m-%d})"


# --- the long output -------------------------------------------------------------------------


def description(facts: CertificateFacts, known: str) -> Iterator[str]:
    """Yield what the text `known` does not have of the server certificate."""
    if named(facts.subject) not in known:
        yield f"certificate: {named(facts.subject)}"
    if named(facts.issuer) not in known:
        yield f"issuer: {named(facts.issuer)}"
    if facts.not_before and facts.not_after:
        dates = (("from", facts.not_before), ("to", facts.not_after))
        shown = [f"{word} {each:%Y-%m-%d %H:%M}" for word, each in dates if date(each) not in known]
        if shown:
            yield f"valid: {' '.join(shown)} UTC"
    if facts.names and ", ".join(facts.names) not in known:
        yield f"names: {listed(facts.names, len(facts.names), facts.names_left_out)}"
    if facts.unreadable and ", ".join(facts.unreadable) not in known:
        yield f"certificate: unreadable: {', '.join(facts.unreadable)}"


def outline(label: str, facts: CertificateFacts) -> str:
    """Return the names and the dates of another certificate on one line."""
    text = f"{label}: {named(facts.subject)}, issuer {named(facts.issuer)}"
    if facts.not_before and facts.not_after:
        text += f", from {facts.not_before:%Y-%m-%d} to {facts.not_after:%Y-%m-%d %H:%M} UTC"
    if facts.unreadable:
        text += f", unreadable: {', '.join(facts.unreadable)}"
    return text


def identity(label: str, facts: CertificateFacts) -> Iterator[str]:
    """Yield the key, the serial number and the fingerprints; `--pin` takes both of them."""
    yield f"{label}: key {named(facts.key)}, serial {named(facts.serial)}"
    yield f"{label}: sha256:{facts.fingerprint}"
    if facts.public_key:
        yield f"{label}: public key sha256:{facts.public_key}"


def remarks(chain: Chain, now: "datetime", failure: Failure | None) -> Iterator[str]:
    """Yield what is wrong with the chain as sent; the server certificate has the number 0.

    A missing intermediate breaks clients that do not have it. The rest is harmless: RFC 5246
    section 7.4.2 demands the order and lets the root be left out; TLS 1.3 allows any order.
    """
    sent, path = chain.sent, chain.path
    top = path[-1] if path else None
    code = failure.verify_code if failure else None
    is_root_untrusted = code == _UNTRUSTED_ROOT
    if top and code == _ROOT_MISSING and not top.is_self_issued and not chain.rejection:
        yield f"chain: issuer {named(top.issuer)} was not sent and is not trusted"
    if chain.is_verified:
        for each in path:
            if each not in sent and not each.is_self_issued:
                subject = named(each.subject)
                yield f"chain: intermediate {subject} was not sent, other clients may lack it"
    order = [sent.index(each) for each in path if each in sent]
    if order != sorted(order):
        yield f"chain: wrong order, expected {', '.join(str(number) for number in order)}"
    for number, each in enumerate(sent):
        if number != sent.index(each):
            yield f"chain: certificate {number} was sent before"
        elif number and each.is_self_issued:
            state = "not trusted" if is_root_untrusted and each == top else "unnecessary"
            yield f"chain: root certificate {number} ({named(each.subject)}) is {state}"
        elif each not in path:
            ended = ""
            if each.not_after and each.not_after <= now:
                ended = f", expired {span(now - each.not_after)} ago"
            yield f"chain: certificate {number} ({named(each.subject)}) is not needed{ended}"
    if chain.left_out:
        yield f"chain: {count(chain.left_out, 'more certificate')} sent, not read"
