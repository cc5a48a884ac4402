"""What there is to say about certificates, for the status line and for the long output.

The foreign text in it is clean already (`Printable`).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from check_pop3_plus.model.failures import Failure, Kind
from check_pop3_plus.model.report import CertificateFacts, Chain
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.support.deadline import days

if TYPE_CHECKING:
    from datetime import datetime, timedelta

REJECTIONS = (
    Kind.EXPIRED,
    Kind.NOT_YET_VALID,
    Kind.NAME,
    Kind.UNTRUSTED,
    Kind.WEAK,
    Kind.NOT_STRICT,
    Kind.PIN,
)
"""The kinds that `rejection` has words for."""

_WRONG_DATE = {Kind.EXPIRED: "expired", Kind.NOT_YET_VALID: "is not yet valid"}


def rejection(failure: Failure, chain: Chain, name: str, whose: str, now: "datetime") -> str:
    """Say why OpenSSL refused a certificate that was to be for `name`."""
    kind, leaf = failure.kind, chain.leaf
    if leaf is None:
        return f"{whose} was refused"
    if kind in _WRONG_DATE:
        return _wrong_date(kind, chain, whose, now)
    if kind is Kind.NAME:
        if not leaf.names:
            return f"{whose} has no subject alternative name (mail clients refuse it)"
        more = leaf.names_left_out + len(leaf.names[2:])
        names = ", ".join(leaf.names[:2]) + (f" and {more} more" if more else "")
        # A long list must not push out the name that was wanted.
        return f"{whose} is not for {sanitise(name, 60)} but for {sanitise(names, 80)}"
    if kind is Kind.WEAK:
        weakness = next((each.weakness for each in chain.sent if each.weakness), None)
        return f"{whose} is too weak: {weakness or failure.message}"
    if kind is not Kind.UNTRUSTED:
        return f"{whose} {failure.message.removeprefix('certificate ')}"
    if failure.message == "issuer is not trusted":
        missing = " (intermediate missing?)" if len(chain.sent) == 1 else ""
        served = count(len(chain.sent) + chain.left_out, "certificate")
        return f"{whose} is not trusted: unknown issuer; server sent {served}{missing}"
    reason = failure.message.removeprefix("certificate is ").removeprefix("certificate refused: ")
    return f"{whose} is not trusted: {reason}"


def _wrong_date(kind: Kind, chain: Chain, whose: str, now: "datetime") -> str:
    """Say which certificate of the path has ended, or has not begun."""
    for position, each in enumerate(chain.path or chain.sent[:1]):
        ended = each.not_after is not None and each.not_after <= now
        not_begun = each.not_before is not None and each.not_before > now
        if ended if kind is Kind.EXPIRED else not_begun:
            return dates(each, whose if position == 0 else issuer(each, whose), kind, now)
    return f"{whose} is fine, but one of an issuer in the chain {_WRONG_DATE[kind]}"


def issuer(facts: CertificateFacts, whose: str) -> str:
    return f"issuer {sanitise(named(facts.subject), 60)} of the {whose}"


def dates(facts: CertificateFacts, which: str, kind: Kind, now: "datetime") -> str:
    """Say how the dates of a certificate stand."""
    if facts.not_after is None:
        return f"details of the {which} are unreadable"
    if kind is Kind.NOT_YET_VALID and facts.not_before and facts.not_before > now:
        until = span(facts.not_before - now)
        return f"{which} is not valid before {date(facts.not_before)}, in {until}"
    if facts.not_after <= now:
        return f"{which} expired {span(now - facts.not_after)} ago ({date(facts.not_after)})"
    return f"{which} expires in {span(facts.not_after - now)} ({date(facts.not_after)})"


def outdated(leaf: CertificateFacts, deployed: tuple[CertificateFacts, ...], whose: str) -> str:
    """Say that the certificate is not the one in the file, and which of the two is newer."""
    wrong = f"{whose} is not the one that is deployed"
    newest = max((each.not_after for each in deployed if each.not_after), default=None)
    if newest is None or leaf.not_after is None:
        return wrong
    if newest > leaf.not_after:
        return f"{wrong}, which lasts longer (until {date(newest)}): not reloaded?"
    return f"{wrong} (until {date(newest)})"


def validity(facts: CertificateFacts, now: "datetime") -> str:
    """Say how long a certificate that is accepted lasts."""
    if facts.not_after is None:
        return "certificate unreadable"
    if facts.not_before and facts.not_before > now:
        return f"certificate not valid before {date(facts.not_before)}"
    if facts.not_after > now:
        return f"certificate valid for {span(facts.not_after - now)}"
    return f"certificate expired {span(now - facts.not_after)} ago"


# --- the long output -------------------------------------------------------------------------


def lines(label: str, facts: CertificateFacts) -> Iterator[str]:
    """Yield whose a certificate is, how long it lasts, and for which names."""
    yield f"{label}: subject {named(facts.subject)}, issuer {named(facts.issuer)}"
    if facts.not_before and facts.not_after:
        yield (
            f"{label}: valid from {facts.not_before:%Y-%m-%d %H:%M} to"
            f" {facts.not_after:%Y-%m-%d %H:%M} UTC"
        )
    if facts.names:
        more = f" and {facts.names_left_out} more" if facts.names_left_out else ""
        yield f"{label}: names {', '.join(facts.names)}{more}"
    if facts.unreadable:
        yield f"{label}: unreadable: {', '.join(facts.unreadable)}"


def identity(label: str, facts: CertificateFacts) -> Iterator[str]:
    """Yield what tells a certificate from all others; `--pin` takes both fingerprints."""
    yield f"{label}: key {named(facts.key)}, serial {named(facts.serial)}"
    yield f"{label}: sha256:{facts.fingerprint}"
    if facts.public_key:
        yield f"{label}: public key sha256:{facts.public_key}"


def remarks(chain: Chain, now: "datetime", is_untrusted: bool) -> Iterator[str]:
    """Yield what is odd about the chain as sent; certificates are counted from 0, the server's own.

    A missing intermediate breaks clients that have not seen it elsewhere. The rest does no harm:
    RFC 5246 section 7.4.2 wants the order, and leaves the root out; TLS 1.3 takes any order.
    """
    sent, path = chain.sent, chain.path
    top = path[-1] if path else None
    if top and is_untrusted and not top.is_self_issued:
        yield f"chain: issuer {named(top.issuer)} was not sent, nor is it trusted here"
    if chain.is_verified:
        for each in path[1:]:
            if each not in sent and not each.is_self_issued:
                subject = named(each.subject)
                yield f"chain: intermediate {subject} was not sent, other clients may lack it"
    order = [sent.index(each) for each in path if each in sent]
    if order != sorted(order):
        yield f"chain: wrong order, the path is {', '.join(str(number) for number in order)}"
    for number, each in enumerate(sent):
        if number != sent.index(each):
            yield f"chain: certificate {number} was sent before"
        elif number and each.is_self_issued:
            subject = named(each.subject)
            yield f"chain: root certificate {number} ({subject}) was sent needlessly"
        elif each not in path:
            ended = each.not_after is not None and each.not_after <= now
            state = (
                f", expired {span(now - each.not_after)} ago" if ended and each.not_after else ""
            )
            yield f"chain: certificate {number} ({named(each.subject)}) is not needed{state}"
    if chain.left_out:
        yield f"chain: {count(chain.left_out, 'more certificate')} sent, not read"


# --- words -----------------------------------------------------------------------------------


def named(name: str | None) -> str:
    """Return a name, or another text of a certificate, also where it could not be read."""
    return "(unreadable)" if name is None else name or "(without a name)"


def span(span: "timedelta") -> str:
    """Return a time span in whole days, or in hours where days would say too little."""
    if days(span) < 2:
        return count(int(days(span) * 24), "hour")
    return count(int(days(span)), "day")


def date(instant: "datetime") -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
