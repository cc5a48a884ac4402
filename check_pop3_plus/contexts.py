"""Metrics to OK, WARNING, CRITICAL, UNKNOWN. Policy is in the two tables and nowhere else.

A Result's `hint` is the kind's stable name, or None where there is nothing to say; the words
are `summary`'s.
"""

from datetime import datetime, timezone
from math import floor

import nagiosplugin
from nagiosplugin import Metric, Performance, Range, Resource, Result

from check_pop3_plus import RELEASED
from check_pop3_plus.failures import MEASURED, Failure, Kind
from check_pop3_plus.report import CertificateFacts, Note, Report
from check_pop3_plus.settings import RangePair, Remaining, Settings, State
from check_pop3_plus.timing import days

FAILURE_STATES = {
    Kind.UNRESOLVED: State.CRITICAL,
    Kind.RESOLVER: State.CRITICAL,
    Kind.REFUSED: State.CRITICAL,
    Kind.UNREACHABLE: State.CRITICAL,
    Kind.TIMEOUT: State.CRITICAL,
    Kind.PARTIAL: State.OK,
    Kind.CLOSED: State.CRITICAL,
    Kind.GARBLED: State.CRITICAL,
    Kind.OVERSIZED: State.CRITICAL,
    Kind.GREETING: State.CRITICAL,
    Kind.GREETING_TEMPORARY: State.CRITICAL,
    Kind.EXPECT: State.WARNING,
    Kind.TLS: State.CRITICAL,
    Kind.OLD_TLS: State.CRITICAL,
    Kind.EXPIRED: State.CRITICAL,
    Kind.NOT_YET_VALID: State.CRITICAL,
    Kind.NAME: State.CRITICAL,
    Kind.UNTRUSTED: State.CRITICAL,
    Kind.WEAK: State.CRITICAL,
    Kind.NOT_STRICT: State.OK,
    Kind.CLIENT_CERTIFICATE: State.CRITICAL,
    Kind.NO_STLS: State.CRITICAL,
    Kind.INJECTED: State.CRITICAL,
    Kind.NO_CAPABILITY: State.CRITICAL,
    Kind.NO_MECHANISM: State.CRITICAL,
    Kind.CLEARTEXT_REFUSED: State.CRITICAL,
    Kind.CREDENTIALS: State.CRITICAL,
    Kind.IN_USE: State.WARNING,
    Kind.LOGIN_DELAY: State.WARNING,
    Kind.TEMPORARY: State.WARNING,
    Kind.PERMANENT: State.CRITICAL,
    Kind.MAILBOX: State.CRITICAL,
    Kind.GOODBYE: State.OK,
    Kind.CERTIFICATE_UNREADABLE: State.WARNING,
    Kind.CLEARTEXT_ACCEPTED: State.CRITICAL,
    Kind.INJECTABLE: State.CRITICAL,
    Kind.CONFIG: State.UNKNOWN,
    Kind.BUG: State.UNKNOWN,
    Kind.STOPPED: State.UNKNOWN,
}
"""What a kind counts as when it ended the look (contract, section 4)."""

NOTE_STATES = FAILURE_STATES | {Kind.GARBLED: State.WARNING}
"""What a kind counts as when the look went on: `+ok`, or lines nobody asked for."""

_SERVICE_STATES = {
    State.OK: nagiosplugin.Ok,
    State.WARNING: nagiosplugin.Warn,
    State.CRITICAL: nagiosplugin.Critical,
    State.UNKNOWN: nagiosplugin.Unknown,
}


def contexts(settings: Settings) -> list[nagiosplugin.Context]:
    """Return one context for each kind of metric that `resource` makes."""
    limits = settings.thresholds
    phases = [
        RangeContext(f"time_{phase.value}", limits.phases.get(phase.value), Kind.SLOW, settings)
        for phase in MEASURED
    ]
    return [
        FailureContext("failure", settings),
        RangeContext("time", limits.time, Kind.SLOW, settings),
        *phases,
        CertificateContext("certificate", settings),
        RangeContext("messages", limits.messages, Kind.MESSAGES, settings),
        RangeContext("mailbox_size", limits.size, Kind.SIZE, settings),
        GreetingContext("greeting", settings),
        CapabilitiesContext("capabilities", settings),
        NoteContext("note", settings),
    ]


class Judge(nagiosplugin.Context):
    """A context that knows what the user said kinds count as."""

    def __init__(self, name: str, settings: Settings) -> None:
        super().__init__(name)
        self.settings = settings

    def result(self, kind: Kind, default: State, metric: Metric) -> Result:
        state = self.settings.states.get(kind.value, default)
        return Result(_SERVICE_STATES[state], kind.value, metric)

    def fine(self, metric: Metric) -> Result:
        return Result(nagiosplugin.Ok, None, metric)


class FailureContext(Judge):
    """What ended the look, by the table."""

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        failure: Failure = metric.value
        kind = failure.kind
        if kind in (Kind.EXPIRED, Kind.NOT_YET_VALID) and not is_clock_plausible(_now(resource)):
            kind = Kind.CONFIG
        return self.result(kind, FAILURE_STATES[kind], metric)


class NoteContext(Judge):
    """What was noticed on the way, by the other table."""

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        note: Note = metric.value
        return self.result(note.kind, NOTE_STATES[note.kind], metric)


class GreetingContext(Judge):
    """Whether the greeting contains what the user expects."""

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        expected = self.settings.expect
        greeting: bytes = metric.value
        found = [text.encode("utf-8", "surrogateescape") in greeting for text in expected.texts]
        if not found or (all(found) if expected.all else any(found)):
            return self.fine(metric)
        return self.result(Kind.EXPECT, FAILURE_STATES[Kind.EXPECT], metric)


class CapabilitiesContext(Judge):
    """Whether the server offers all that it must, by its last list."""

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        if set(self.settings.assertions.capabilities) <= metric.value:
            return self.fine(metric)
        return self.result(Kind.NO_CAPABILITY, FAILURE_STATES[Kind.NO_CAPABILITY], metric)


class RangeContext(Judge):
    """A number and the plugin guidelines' ranges for it."""

    def __init__(self, name: str, ranges: RangePair | None, kind: Kind, settings: Settings) -> None:
        super().__init__(name, settings)
        self.ranges = ranges or RangePair()
        self.kind = kind

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        for spec, state in (
            (self.ranges.critical, State.CRITICAL),
            (self.ranges.warning, State.WARNING),
        ):
            if spec is not None and metric.value not in Range(spec):
                return self.result(self.kind, state, metric)
        return self.fine(metric)

    def performance(self, metric: Metric, resource: Resource) -> Performance:
        return Performance(
            metric.name,
            metric.value if isinstance(metric.value, int) else f"{metric.value:.4f}",
            metric.uom,
            self.ranges.warning,
            self.ranges.critical,
            metric.min,
            metric.max,
        )


class CertificateContext(Judge):
    """The dates of the server's own certificate.

    Trust, name, strength and validity are OpenSSL's verdict and come as a failure. Here is what
    is left: the days, and validity too where verification is off but the user asked by `-D`.
    """

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        facts: CertificateFacts = metric.value
        limits = self.settings.thresholds
        now = _now(resource)
        if not is_clock_plausible(now):
            return self.result(Kind.CONFIG, State.UNKNOWN, metric)
        if facts.not_after is None:
            kind = Kind.CERTIFICATE_UNREADABLE
            return self.result(kind, FAILURE_STATES[kind], metric)
        if limits.certificate_warning is None or _is_about_dates(resource):
            return self.fine(metric)
        if facts.not_after <= now:
            return self.result(Kind.EXPIRED, FAILURE_STATES[Kind.EXPIRED], metric)
        if facts.not_before and now < facts.not_before:
            return self.result(Kind.NOT_YET_VALID, FAILURE_STATES[Kind.NOT_YET_VALID], metric)
        left = days(facts.not_after - now)
        for remaining, state in (
            (limits.certificate_critical, State.CRITICAL),
            (limits.certificate_warning, State.WARNING),
        ):
            threshold = in_days(remaining, facts)
            if threshold is not None and left < threshold:
                return self.result(Kind.EXPIRING, state, metric)
        return self.fine(metric)

    def performance(self, metric: Metric, resource: Resource) -> Performance | None:
        facts: CertificateFacts = metric.value
        if facts.not_after is None:
            return None
        left = days(facts.not_after - _now(resource))
        limits = self.settings.thresholds
        return Performance(
            "cert_days",
            # Rounded down: 12.999 days are not the 13 that the status line does not say either.
            f"{floor(left * 100) / 100:.2f}",
            "",
            _at_least(in_days(limits.certificate_warning, facts)),
            _at_least(in_days(limits.certificate_critical, facts)),
        )


def in_days(remaining: Remaining | None, facts: CertificateFacts) -> float | None:
    """Return a certificate threshold in days: a share is one of the certificate's lifetime."""
    if remaining is None:
        return None
    limits = [] if remaining.days is None else [remaining.days]
    if remaining.share is not None and facts.not_before and facts.not_after:
        limits.append(remaining.share * days(facts.not_after - facts.not_before))
    return min(limits, default=None)


def is_clock_plausible(now: datetime) -> bool:
    """Return whether the local clock is not before the day this version was released."""
    return now >= datetime.fromisoformat(RELEASED).replace(tzinfo=timezone.utc)


def _at_least(threshold: float | None) -> str | None:
    return None if threshold is None else f"{threshold:.2f}".rstrip("0").rstrip(".") + ":"


def _report(resource: Resource) -> Report:
    """Return what the resource has seen; it is asked only after its probe."""
    report: Report = resource.report  # type: ignore[attr-defined]
    return report


def _now(resource: Resource) -> datetime:
    return _report(resource).now


def _is_about_dates(resource: Resource) -> bool:
    """Return whether the look failed because of dates, so that it need not be said twice."""
    failure = _report(resource).failure
    return failure is not None and failure.kind in (Kind.EXPIRED, Kind.NOT_YET_VALID)
