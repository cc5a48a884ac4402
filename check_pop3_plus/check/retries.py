"""When to look again before a failure is believed, and what to say of several looks.

Whether a failure may pass is policy, in `judge`. Here it meets the time that is left.
"""

from collections.abc import Iterator, Sequence

from check_pop3_plus.check.default_states import LASTING, SAID_WITH_THE_RIGHT_PASSWORD
from check_pop3_plus.messages.certificates import count
from check_pop3_plus.model.failures import OURS, Kind
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.report import Report
from check_pop3_plus.model.settings import Limits, State

PAUSE_SECONDS = 2.0
"""Between two looks (contract, section 6): NodePing's."""


_NEARLY_ALL = 0.95
"""How much of its time a look must have to be worth taking: one that is cut short would prove
nothing, but a run that was sized for so many looks must not lose the last to milliseconds."""


class Look(Record):
    """One look, judged."""

    state: State
    status: str
    """What the status line says of it."""
    perfdata: tuple[str, ...]
    kinds: tuple[Kind, ...]
    """Of all findings that are not OK, worst first."""
    deciding: tuple[Kind, ...]
    """Those of them that make the state what it is."""
    report: Report | None


def believed(look: Look) -> str | None:
    """Return why a failure is believed without another look, or None where it may pass."""
    attempts = look.report.attempts if look.report else ()
    for attempt in attempts:
        kind = attempt.failure.kind if attempt.failure else None
        if attempt.has_open_login and kind not in SAID_WITH_THE_RIGHT_PASSWORD:
            return "a login that was not accepted is never repeated"
    lasting = [kind.value for kind in look.deciding if kind in LASTING]
    return f"{lasting[0]} does not pass within seconds" if lasting else None


def why_no_more(looks: Sequence[Look], limits: Limits, left: float) -> str | None:
    """Return why there is no further look, or None where one is due; `left` is for looks."""
    missing = limits.rechecks + 1 - len(looks)
    if looks[-1].state is State.OK or missing <= 0:
        return ""
    asked = limits.rechecks + 1
    reason = believed(looks[-1])
    if reason:
        return f"{len(looks)} of {asked} taken: {reason}"
    if left < PAUSE_SECONDS + limits.timeout * _NEARLY_ALL:
        return f"{missing} of {asked} did not fit into --run-timeout ({limits.run_timeout:g} s)"
    return None


def failed(looks: Sequence[Look], limits: Limits) -> str:
    """Return what the status line says of the looks: `failed 3 of 3 looks`.

    Nothing where nobody asked for more than one, or where the only one went well.
    """
    if looks[-1].kinds and looks[-1].kinds[0] in OURS:
        looks = looks[:-1]  # it says nothing of the server
    bad = sum(look.state is not State.OK for look in looks)
    return f", failed {bad} of {count(len(looks), 'look')}" if limits.rechecks and bad else ""


def lines(looks: Sequence[Look], why_no_more: str) -> Iterator[str]:
    """Yield what the earlier looks have seen, and why there were no more."""
    for number, look in enumerate(looks[:-1], 1):
        yield f"look {number}: {look.state.name}: {look.status}"
    if why_no_more:
        yield f"looks: {why_no_more}"
