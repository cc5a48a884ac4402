"""When to look again before a failure is believed, and what to say of several looks.

Whether a failure may pass is policy, in `judge`. Here it meets the time that is left.
"""

from collections.abc import Iterator, Sequence

from check_pop3_plus.check.default_states import POLICIES
from check_pop3_plus.check.verdict import Figure
from check_pop3_plus.messages.formats import count
from check_pop3_plus.model.failures import LOCAL, Kind
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.report import Report
from check_pop3_plus.model.settings import Limits, State

PAUSE_SECONDS = 2.0
"""Between two looks (contract, section 6): NodePing's."""


_NEARLY_ALL = 0.95
"""How much of its time a look must have to be worth taking: one that is cut short would prove
nothing, but a run that was sized for so many looks must not lose the last to milliseconds."""


class Attempt(Record):
    """One look, judged."""

    state: State
    status: str
    """What the status line says of it."""
    figures: tuple[Figure, ...]
    kinds: tuple[Kind, ...]
    """Of all findings that are not OK, worst first."""
    deciding: tuple[Kind, ...]
    """Those of them that make the state what it is."""
    report: Report


def believed(attempt: Attempt) -> str | None:
    """Return why a failure is believed without another look, or None where it may pass."""
    for session in attempt.report.sessions:
        policy = POLICIES[session.failure.kind] if session.failure else None
        if session.has_open_login and not (policy and policy.is_password_right):
            return "a login that was not accepted is never repeated"
    lasting = [kind.value for kind in attempt.deciding if not POLICIES[kind].is_transient]
    return f"{lasting[0]} does not pass within seconds" if lasting else None


def why_no_more(attempts: Sequence[Attempt], limits: Limits, left: float) -> str | None:
    """Return why there is no further look, or None where one is due; `left` is for looks."""
    missing = limits.rechecks + 1 - len(attempts)
    if attempts[-1].state is State.OK or missing <= 0:
        return ""
    asked = limits.rechecks + 1
    reason = believed(attempts[-1])
    if reason:
        return f"{len(attempts)} of {asked} taken: {reason}"
    if left < PAUSE_SECONDS + limits.timeout * _NEARLY_ALL:
        return f"{missing} of {asked} did not fit into --run-timeout ({limits.run_timeout:g} s)"
    return None


def failed(attempts: Sequence[Attempt], limits: Limits) -> str:
    """Return what the status line says of the looks: `failed 3 of 3 looks`.

    Nothing where nobody asked for more than one, or where the only one went well.
    """
    if attempts[-1].kinds and attempts[-1].kinds[0] in LOCAL:
        attempts = attempts[:-1]  # it says nothing of the server
    bad = sum(attempt.state is not State.OK for attempt in attempts)
    return f", failed {bad} of {count(len(attempts), 'look')}" if limits.rechecks and bad else ""


def lines(attempts: Sequence[Attempt], why_no_more: str) -> Iterator[str]:
    """Yield what the earlier looks have seen, and why there were no more."""
    for number, attempt in enumerate(attempts[:-1], 1):
        yield f"look {number}: {attempt.state.name}: {attempt.status}"
    if why_no_more:
        yield f"looks: {why_no_more}"
