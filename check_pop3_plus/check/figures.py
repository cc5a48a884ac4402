"""The performance data of nagiosplugin as figures of a verdict."""

import nagiosplugin

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.check.verdict import Figure
from check_pop3_plus.model.failures import MEASURED

if TYPE_CHECKING:
    from typing import Any

LABELS = (
    "time",
    *(f"time_{phase.value}" for phase in MEASURED),
    "cert_days",
    "chain_days",
    "messages",
    "mailbox_size",
    "newest_age",
    "oldest_age",
    "delivery",
    "probes_pending",
    "probes_lost",
)
"""The order of the figures; those of single addresses come last."""


def measured(results: nagiosplugin.Results) -> tuple[Figure, ...]:
    """Return the figures of an attempt in a fixed order."""
    found = (result.metric.performance() for result in results.results if result.metric)
    return tuple(sorted((figure(each) for each in found if each), key=_position))


def figure(performance: nagiosplugin.Performance) -> Figure:
    """Return nagiosplugin's record as ours; it has an empty text in place of None."""
    values: list[Any] = [None if each == "" else each for each in performance]
    label, value, unit, *limits = values
    return Figure(label, value, unit or "", *limits)


def _position(figure: Figure) -> tuple[int, str]:
    label = figure.label
    return LABELS.index(label) if label in LABELS else len(LABELS), label + "="
