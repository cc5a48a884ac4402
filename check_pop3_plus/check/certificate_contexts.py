"""Evaluate certificates.

OpenSSL decides on trust, name, strength and validity; a rejection arrives as a failure. Evaluated
here are the remaining days, for the server certificate and for its issuers, validity too where
verification is off but the user gave `-D`, and the user's assertions.
"""

from collections.abc import Callable
from math import floor

from nagiosplugin import Metric

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.check.default_states import ABOUT_DATES, Finding, has_plausible_clock
from check_pop3_plus.check.verdict import Figure
from check_pop3_plus.messages import certificates
from check_pop3_plus.model.failures import Kind
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.report import CertificateFacts, Chain, Observation, Report
from check_pop3_plus.model.settings import Remaining, Settings, State
from check_pop3_plus.support.deadline import days

if TYPE_CHECKING:
    from typing import Any


def days_left(metric: Metric, report: Report, settings: Settings) -> Figure | None:
    """Return the remaining days of the server certificate, or of an intermediate, as a figure."""
    chain: Chain = metric.value.fact
    ending = chain.first_intermediate_to_end if metric.context == "chain_days" else chain.leaf
    left = ending.days_left(report.clock) if ending else None
    if chain.leaf is None or left is None:
        return None
    limits = settings.thresholds
    return Figure(
        metric.name,
        # Rounded down, as in the status line: 12.999 days are not 13.
        floor(left * 100) / 100,
        "",
        _at_least(limits.certificate_warning, chain.leaf),
        _at_least(limits.certificate_critical, chain.leaf),
    )


def about_leaf(seen: Observation, report: Report, settings: Settings) -> Finding | None:
    chain: Chain = seen.fact
    if not has_plausible_clock(report):
        return Kind.CONFIG, None
    if chain.leaf is None:
        return Kind.CERTIFICATE_UNREADABLE, None
    return _by_dates(chain.leaf, chain.leaf, seen, report, settings)


def about_issuers(seen: Observation, report: Report, settings: Settings) -> Finding | None:
    """Evaluate the dates of the issuers in the verified chain.

    Other certificates that a server sends may expire without any effect.
    """
    chain: Chain = seen.fact
    ending = chain.first_issuer_to_end
    if chain.leaf is None or ending is None or not has_plausible_clock(report):
        return None
    return _by_dates(ending, chain.leaf, seen, report, settings)


def _by_dates(
    ending: CertificateFacts,
    leaf: CertificateFacts,
    seen: Observation,
    report: Report,
    settings: Settings,
) -> Finding | None:
    """Evaluate the dates of a certificate in the leaf's chain, by the leaf's thresholds."""
    limits, left = settings.thresholds, ending.days_left(report.clock)
    failure = seen.session.failure if seen.session else None
    is_reported = failure is not None and failure.kind in ABOUT_DATES
    if limits.certificate_warning is None or is_reported:
        return None
    if left is None or (limits.certificate_warning.share and not leaf.not_before):
        return Kind.CERTIFICATE_UNREADABLE, None
    if left <= 0:
        return Kind.EXPIRED, None
    if ending.not_before and report.clock < ending.not_before.timestamp():
        return Kind.NOT_YET_VALID, None
    for remaining, state in (
        (limits.certificate_critical, State.CRITICAL),
        (limits.certificate_warning, State.WARNING),
    ):
        threshold = remaining.in_days(leaf.lifetime) if remaining else None
        if threshold is not None and left < threshold:
            return Kind.EXPIRING, state
    return None


class Assertion(Record):
    """What the user demands of a certificate, by an option of its own."""

    metric: str
    """Also the field of `Assertions` with the value of the option; None there: not given."""
    kind: Kind
    """The kind of failure where it does not hold."""
    holds: "Callable[[Chain, Any, Report], bool | None]"
    """Whether it holds for a chain with a leaf, by the value of the option; None if the fact that
    it is about is unreadable."""
    sentence: "Callable[[CertificateFacts, Any, Report], str]"
    """What is wrong with the leaf where it does not hold."""

    def value(self, settings: Settings) -> "Any":
        """Return the value of the option, or None if it is not given."""
        return getattr(settings.assertions, self.metric)

    def find(self, seen: Observation, report: Report, settings: Settings) -> Finding | None:
        wanted = self.value(settings)
        if wanted is None:
            return None
        holds = self.holds(seen.fact, wanted, report)
        if holds is None:
            return Kind.CERTIFICATE_UNREADABLE, None
        return None if holds else (self.kind, None)


def _has_issuer(chain: Chain, wanted: str, _: Report) -> bool | None:
    """Return whether a CA in the chain has the text in its name, in any letter case."""
    names = (name.casefold() for each in chain.path for name in each.issuer_names)
    if any(wanted.casefold() in name for name in names):
        return True
    return False if all(each.issuer_names for each in chain.path) else None


def _has_long_key(chain: Chain, bits: int, _: Report) -> bool | None:
    """Return whether the leaf's key is as long; one that cannot be compared is not."""
    leaf = chain.leaf
    return None if leaf is None or leaf.key is None else (leaf.key_bits or 0) >= bits


def _has_short_lifetime(chain: Chain, longest: float, _: Report) -> bool | None:
    """Return whether the lifetime of the leaf is at most `longest` days."""
    lifetime = chain.leaf.lifetime if chain.leaf else None
    return None if lifetime is None else days(lifetime) <= longest


def _is_deployed(chain: Chain, _: str, report: Report) -> bool:
    """Return whether the served certificate is one of those in the file."""
    served = chain.leaf.fingerprint if chain.leaf else None
    return any(served == each.fingerprint for each in report.deployed)


ASSERTIONS = (
    Assertion("issuer", Kind.ISSUER, _has_issuer, certificates.wrong_issuer),
    Assertion("min_key_bits", Kind.WEAK, _has_long_key, certificates.short_key),
    Assertion("max_validity", Kind.LONG_LIVED, _has_short_lifetime, certificates.long_lifetime),
    Assertion("deployed_file", Kind.NOT_DEPLOYED, _is_deployed, certificates.outdated),
)

ABOUT_CERTIFICATES = {
    *certificates.REJECTIONS,
    *(assertion.kind for assertion in ASSERTIONS),
    *(Kind.EXPIRING, Kind.CERTIFICATE_UNREADABLE),
}
"""The certificate is evidence of these kinds; the commands before the handshake are not."""


def _at_least(remaining: Remaining | None, leaf: CertificateFacts) -> str | None:
    """Return a certificate threshold as a range of days."""
    threshold = remaining.in_days(leaf.lifetime) if remaining else None
    return None if threshold is None else f"{threshold:.2f}".rstrip("0").rstrip(".") + ":"
