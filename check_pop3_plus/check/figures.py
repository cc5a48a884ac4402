"""The figures of a verdict, in the order of the performance data."""

from check_pop3_plus.check.contexts import context
from check_pop3_plus.check.resource import Pop3
from check_pop3_plus.check.verdict import Figure
from check_pop3_plus.model.failures import MEASURED

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


_POSITIONS = {label: position for position, label in enumerate(LABELS)}


def measured(resource: Pop3) -> tuple[Figure, ...]:
    """Return the figures of an attempt in a fixed order."""
    found = (context(each.context).figure(each, resource) for each in resource.probe())
    return tuple(sorted(filter(None, found), key=_position))


def _position(figure: Figure) -> tuple[int, str]:
    return _POSITIONS.get(figure.label, len(LABELS)), figure.label + "="
