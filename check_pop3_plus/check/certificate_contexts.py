"""Certificates to OK, WARNING, CRITICAL, UNKNOWN.

Trust, name, strength and validity are OpenSSL's verdict and come as a failure. Here is what is
left: the days, for the server's own certificate and for those it depends on, validity too where
verification is off but the user asked by `-D`, and what the user says of the certificate.
"""

from math import floor

from nagiosplugin import Metric, Performance, Resource, Result

from check_pop3_plus.check.default_states import (
    ABOUT_DATES,
    KindContext,
    is_clock_plausible,
    report_of,
)
from check_pop3_plus.model.failures import Kind
from check_pop3_plus.model.report import CertificateFacts, Chain
from check_pop3_plus.model.settings import Remaining, State
from check_pop3_plus.support.deadline import days


class DaysContext(KindContext):
    """The days that are left, for perfdata; whether they are enough is judged by others."""

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        return self.fine(metric)

    def performance(self, metric: Metric, resource: Resource) -> Performance | None:
        chain: Chain = metric.value.fact
        ending = chain.first_intermediate_to_end if self.name == "chain_days" else chain.leaf
        if chain.leaf is None or ending is None or ending.not_after is None:
            return None
        left = days(ending.not_after - report_of(resource).now)
        limits = self.settings.thresholds
        return Performance(
            metric.name,
            # Rounded down: 12.999 days are not the 13 that the status line does not say either.
            floor(left * 100) / 100,
            "",
            _at_least(in_days(limits.certificate_warning, chain.leaf)),
            _at_least(in_days(limits.certificate_critical, chain.leaf)),
        )


class CertificateContext(KindContext):
    """The dates of the server's own certificate."""

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        chain: Chain = metric.value.fact
        if not is_clock_plausible(report_of(resource).now):
            return self.result(Kind.CONFIG, metric)
        if chain.leaf is None or chain.leaf.not_after is None:
            return self.result(Kind.CERTIFICATE_UNREADABLE, metric)
        return self.by_dates(chain.leaf, chain.leaf, metric, resource)

    def by_dates(
        self, ending: CertificateFacts, leaf: CertificateFacts, metric: Metric, resource: Resource
    ) -> Result:
        """Judge when a certificate of the leaf's path ends, by the thresholds for the leaf."""
        limits, now = self.settings.thresholds, report_of(resource).now
        failure = metric.value.session.failure
        is_said = failure is not None and failure.kind in ABOUT_DATES
        if limits.certificate_warning is None or ending.not_after is None or is_said:
            return self.fine(metric)
        if ending.not_after <= now:
            return self.result(Kind.EXPIRED, metric)
        if ending.not_before and now < ending.not_before:
            return self.result(Kind.NOT_YET_VALID, metric)
        left = days(ending.not_after - now)
        for remaining, state in (
            (limits.certificate_critical, State.CRITICAL),
            (limits.certificate_warning, State.WARNING),
        ):
            threshold = in_days(remaining, leaf)
            if threshold is not None and left < threshold:
                return self.result(Kind.EXPIRING, metric, state)
        return self.fine(metric)


class ChainContext(CertificateContext):
    """The dates of those certificates that the server's own depends on.

    Of the path only: what else a server sends stops nobody when it ends.
    """

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        chain: Chain = metric.value.fact
        ending = chain.first_issuer_to_end
        if chain.leaf is None or ending is None or not is_clock_plausible(report_of(resource).now):
            return self.fine(metric)
        return self.by_dates(ending, chain.leaf, metric, resource)


class IssuerContext(KindContext):
    """Whether one of those who issued the certificate, directly or not, has the wanted name."""

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        chain: Chain = metric.value.fact
        wanted = (self.settings.assertions.issuer or "").casefold()
        names = (name.casefold() for each in chain.path for name in each.issuer_names)
        if any(wanted in name for name in names):
            return self.fine(metric)
        return self.result(Kind.ISSUER, metric)


class KeyContext(KindContext):
    """Whether the key of the server's own certificate is as long as the user asks for."""

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        leaf = metric.value.fact.leaf
        if (leaf.key_bits or 0) >= (self.settings.assertions.min_key_bits or 0):
            return self.fine(metric)
        return self.result(Kind.WEAK, metric)


class ValidityContext(KindContext):
    """Whether the server's own certificate was issued for no longer than the user asks for."""

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        leaf = metric.value.fact.leaf
        if leaf.not_before is None or leaf.not_after is None:
            return self.fine(metric)  # said as unreadable already
        longest = self.settings.assertions.max_validity
        if longest is None or days(leaf.not_after - leaf.not_before) <= longest:
            return self.fine(metric)
        return self.result(Kind.LONG_LIVED, metric)


class DeployedContext(KindContext):
    """Whether the certificate that is served is the one in the file."""

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        served = metric.value.fact.leaf.fingerprint
        if any(served == each.fingerprint for each in report_of(resource).deployed):
            return self.fine(metric)
        return self.result(Kind.NOT_DEPLOYED, metric)


def in_days(remaining: Remaining | None, leaf: CertificateFacts) -> float | None:
    """Return a certificate threshold in days: a share is one of the leaf's lifetime."""
    if remaining is None:
        return None
    limits = [] if remaining.days is None else [remaining.days]
    if remaining.share is not None and leaf.not_before and leaf.not_after:
        limits.append(remaining.share * days(leaf.not_after - leaf.not_before))
    return min(limits, default=None)


def _at_least(threshold: float | None) -> str | None:
    return None if threshold is None else f"{threshold:.2f}".rstrip("0").rstrip(".") + ":"
