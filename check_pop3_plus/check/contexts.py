"""Evaluate metrics by the table of default states and by the user's thresholds."""

from functools import cache, lru_cache

from nagiosplugin import Metric, Range, Resource, Result

from check_pop3_plus.check.certificate_contexts import (
    ASSERTIONS,
    AssertionContext,
    CertificateContext,
    ChainContext,
    DaysContext,
)
from check_pop3_plus.check.default_states import (
    ABOUT_DATES,
    POLICIES,
    KindContext,
    has_plausible_clock,
    report_of,
    settings_of,
)
from check_pop3_plus.check.verdict import Figure
from check_pop3_plus.model.failures import LOCAL, Failure, Kind
from check_pop3_plus.model.report import DeliveryFacts, MessageDates, Note, Report, Session
from check_pop3_plus.model.settings import RangePair, Settings, State


@cache
def context(name: str) -> KindContext:
    """Return the context with the name that a metric gives; all checks of a sweep share it."""
    return _CONTEXTS.get(name, RangeContext)(name)


class FailureContext(KindContext):
    """The failure of an attempt or of a session, by the table."""

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        failure: Failure = metric.value.fact
        kind = failure.kind
        if kind in ABOUT_DATES and not has_plausible_clock(resource):
            kind = Kind.CONFIG
        session = metric.value.session
        if _is_outvoted(failure, session, report_of(resource), settings_of(resource)):
            kind = Kind.PARTIAL
        return self.result(kind, metric)


def _is_outvoted(
    failure: Failure, session: Session | None, report: Report, settings: Settings
) -> bool:
    """Return whether enough other addresses work, so that one failure does not count.

    A failed login counts, because only one address has tried it, and so does a local failure.
    """
    enough = settings.target.min_addresses
    if enough is None or session is None or session.login_began or failure.kind in LOCAL:
        return False
    if session.cert_type:  # its address works
        return False
    return sum(each.failure is None for each in report.sessions) >= enough


class AddressesContext(KindContext):
    """Whether enough addresses work."""

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        if metric.value >= (settings_of(resource).target.min_addresses or 0):
            return self.fine(metric)
        return self.result(Kind.TOO_FEW, metric)


class NoteContext(KindContext):
    """A problem that did not end the attempt."""

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        note: Note = metric.value.fact
        default = None if note.is_failure else POLICIES[note.kind].note_state
        return self.result(note.kind, metric, default)


class GreetingContext(KindContext):
    """Whether the greeting contains what the user expects."""

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        expected = settings_of(resource).expect
        greeting: bytes = metric.value.fact
        found = [text.encode("utf-8", "surrogateescape") in greeting for text in expected.texts]
        if (all if expected.all else any)(found):
            return self.fine(metric)
        return self.result(Kind.EXPECT, metric)


class CapabilitiesContext(KindContext):
    """Whether the server's last capability list has all that the user requires."""

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        if set(settings_of(resource).assertions.capabilities) <= metric.value.fact:
            return self.fine(metric)
        return self.result(Kind.NO_CAPABILITY, metric)


class DatesContext(KindContext):
    """Whether there is a message that has an age; `RangeContext` evaluates the age."""

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        dates: MessageDates = metric.value.fact
        if dates.read and not has_plausible_clock(resource):
            return self.result(Kind.CONFIG, metric)
        # An empty mailbox has nothing that waits to be fetched.
        is_wanted = dates.read > 0 or settings_of(resource).thresholds.newest != _ANY
        if dates.newest is None and is_wanted:
            return self.result(Kind.NO_MESSAGE, metric)
        return self.fine(metric)


class DeliveryContext(KindContext):
    """Whether a probe has arrived: that of this run if it was awaited, else a recent one."""

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        delivery: DeliveryFacts = metric.value.fact
        trip = settings_of(resource).round_trip
        age = delivery.age
        if trip is None or delivery.seconds is not None:
            return self.fine(metric)
        if age is None:
            return self.result(Kind.UNDELIVERED, metric, State.WARNING)
        if age > trip.probe_age_critical:
            return self.result(Kind.UNDELIVERED, metric)
        if age > trip.probe_age_warning:
            return self.result(Kind.UNDELIVERED, metric, State.WARNING)
        return self.fine(metric)


class RangeContext(KindContext):
    """A number, by the ranges that the user gave for it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._field, self.kind = _NUMBERS.get(name, ("", Kind.SLOW))

    def ranges(self, settings: Settings) -> RangePair:
        limits, trip = settings.thresholds, settings.round_trip
        found: RangePair | None
        if self._field:
            found = getattr(trip if self.name == "delivery" else limits, self._field, None)
        else:
            found = limits.phases.get(self.name.removeprefix("time_"))
        return found or _ANY

    def evaluate(self, metric: Metric, resource: Resource) -> Result:
        ranges = self.ranges(settings_of(resource))
        for spec, state in (
            (ranges.critical, State.CRITICAL),
            (ranges.warning, State.WARNING),
        ):
            if spec is not None and metric.value not in _parsed(spec):
                return self.result(self.kind, metric, state)
        return self.fine(metric)

    def figure(self, metric: Metric) -> Figure:
        ranges = self.ranges(settings_of(metric.resource))
        limits = ranges.warning, ranges.critical, metric.min, metric.max
        return Figure(metric.name, metric.value, metric.uom or "", *limits)


_ANY = RangePair()

_NUMBERS = {
    "time": ("time", Kind.SLOW),
    "messages": ("messages", Kind.MESSAGES),
    "mailbox_size": ("size", Kind.SIZE),
    "newest_age": ("newest", Kind.STALE),
    "oldest_age": ("oldest", Kind.UNFETCHED),
    "delivery": ("delivery", Kind.DELAYED),
}
"""By the name of the metric: the field of its ranges, and the kind outside of them. All others
are the times of phases."""

_parsed = lru_cache(maxsize=64)(Range)


_CONTEXTS: dict[str, type[KindContext]] = {
    "failure": FailureContext,
    "addresses": AddressesContext,
    "cert_days": DaysContext,
    "chain_days": DaysContext,
    "certificate": CertificateContext,
    "chain": ChainContext,
    **dict.fromkeys((each.metric for each in ASSERTIONS), AssertionContext),
    "greeting": GreetingContext,
    "dates": DatesContext,
    "undelivered": DeliveryContext,
    "capabilities": CapabilitiesContext,
    "note": NoteContext,
}
"""By the name of the metric; all other metrics are numbers."""
