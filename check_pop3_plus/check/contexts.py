"""Evaluate metrics by the table of default states and by the user's thresholds."""

from functools import cache, lru_cache

import nagiosplugin
from nagiosplugin import Metric, Range, Result

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.check import certificate_contexts
from check_pop3_plus.check.default_states import (
    ABOUT_DATES,
    POLICIES,
    SERVICE_STATES,
    Finding,
    has_plausible_clock,
)
from check_pop3_plus.check.verdict import Figure
from check_pop3_plus.model.failures import LOCAL, Failure, Kind
from check_pop3_plus.model.report import Report, Session
from check_pop3_plus.model.settings import RangePair, Settings, State

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from check_pop3_plus.model.report import Observation

    _Rule = Callable[[Any, Report, Settings], Finding | None]


@cache
def context(name: str) -> "RuleContext":
    """Return the context with the name that a metric gives; all checks of a sweep share it."""
    return RuleContext(name, _RULES[name]) if name in _RULES else RangeContext(name)


class RuleContext(nagiosplugin.Context):
    """Evaluates a fact by a rule, the table of default states, and `--state`.

    It knows nothing of a check: settings and report come from the resource. The `hint` of a Result
    is the name of the kind, or None where there is nothing to report; `summary` and `run` read it
    there.
    """

    def __init__(self, name: str, rule: "_Rule") -> None:
        super().__init__(name)
        self._rule = rule

    def evaluate(self, metric: Metric, resource: "Any") -> Result:
        found = self._rule(metric.value, resource.report, resource.settings)
        if found is None:
            return Result(nagiosplugin.Ok, None, metric)
        kind, default = found
        state = resource.settings.states.get(kind.value) or default or POLICIES[kind].state
        assert state is not None  # noqa: S101 - the rules of thresholds give a default
        return Result(SERVICE_STATES[state], kind.value, metric)

    def figure(self, metric: Metric, resource: "Any") -> Figure | None:
        """Return the figure of a metric; None where it is no number."""
        if self.name not in ("cert_days", "chain_days"):
            return None
        return certificate_contexts.days_left(metric, resource.report, resource.settings)


def _failed(seen: "Observation", report: Report, settings: Settings) -> Finding:
    """Return the kind of a failure of an attempt or of a session."""
    failure = seen.fact
    if _is_outvoted(failure, seen.session, report, settings):
        return Kind.PARTIAL, None
    if failure.kind in ABOUT_DATES and not has_plausible_clock(report):
        return Kind.CONFIG, None
    return failure.kind, None


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


def _too_few(good: int, _: Report, settings: Settings) -> Finding | None:
    return None if good >= (settings.target.min_addresses or 0) else (Kind.TOO_FEW, None)


def _noted(seen: "Observation", _: Report, __: Settings) -> Finding:
    """Return the kind of a problem that did not end the attempt."""
    note = seen.fact
    return note.kind, None if note.is_failure else POLICIES[note.kind].note_state


def _lacks_text(seen: "Observation", _: Report, settings: Settings) -> Finding | None:
    expected = settings.expect
    missing = len(expected.missing_in(seen.fact))
    is_met = missing == 0 if expected.all else missing < len(expected.texts)
    return None if is_met else (Kind.EXPECT, None)


def _lacks_capability(seen: "Observation", _: Report, settings: Settings) -> Finding | None:
    has_all = set(settings.assertions.capabilities) <= seen.fact
    return None if has_all else (Kind.NO_CAPABILITY, None)


def _has_no_date(seen: "Observation", report: Report, settings: Settings) -> Finding | None:
    """Return whether no message has an age; `RangeContext` evaluates the age."""
    dates = seen.fact
    if dates.read and not has_plausible_clock(report):
        return Kind.CONFIG, None
    # An empty mailbox has nothing that waits to be fetched.
    is_wanted = dates.read > 0 or settings.thresholds.newest != _ANY
    return (Kind.NO_MESSAGE, None) if dates.newest is None and is_wanted else None


def _undelivered(seen: "Observation", _: Report, settings: Settings) -> Finding | None:
    """Return whether no probe has arrived: that of this run if awaited, else a recent one."""
    delivery = seen.fact
    age, trip = delivery.age, settings.round_trip
    if trip is None or delivery.seconds is not None:
        return None
    if age is not None and age > trip.probe_age_critical:
        return Kind.UNDELIVERED, None
    is_old = age is None or age > trip.probe_age_warning
    return (Kind.UNDELIVERED, State.WARNING) if is_old else None


_RULES: "dict[str, _Rule]" = {
    "failure": _failed,
    "addresses": _too_few,
    **dict.fromkeys(("cert_days", "chain_days"), lambda *_: None),
    "certificate": certificate_contexts.about_leaf,
    "chain": certificate_contexts.about_issuers,
    **{each.metric: each.find for each in certificate_contexts.ASSERTIONS},
    "greeting": _lacks_text,
    "dates": _has_no_date,
    "undelivered": _undelivered,
    "capabilities": _lacks_capability,
    "note": _noted,
}
"""By the name of the metric; all other metrics are numbers."""


class RangeContext(RuleContext):
    """A number, by the ranges that the user gave for it."""

    def __init__(self, name: str) -> None:
        super().__init__(name, self._outside)

    def _outside(self, value: float, _: Report, settings: Settings) -> Finding | None:
        limits = ranges(self.name, settings)
        for spec, state in ((limits.critical, State.CRITICAL), (limits.warning, State.WARNING)):
            if spec is not None and value not in _parsed(spec):
                return _NUMBERS.get(self.name, ("", Kind.SLOW))[1], state
        return None

    def figure(self, metric: Metric, resource: "Any") -> Figure:
        limits, unit = ranges(self.name, resource.settings), metric.uom or ""
        numbers = limits.warning, limits.critical, metric.min, metric.max
        return Figure(metric.name, metric.value, unit, *numbers)


def ranges(name: str, settings: Settings) -> RangePair:
    """Return the ranges that the user gave for the number with this name."""
    limits, trip = settings.thresholds, settings.round_trip
    if name == "delivery":
        return trip.delivery if trip else _ANY
    if name in _NUMBERS:
        found: RangePair = getattr(limits, _NUMBERS[name][0])
        return found
    return limits.phases.get(name.removeprefix("time_"), _ANY)


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
