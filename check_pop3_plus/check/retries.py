"""When a failed attempt is repeated, and the output about several attempts.

Which kinds are retried is in the table of `default_states`; the time that is left is considered
here.
"""

from collections.abc import Iterator, Sequence

from check_pop3_plus.check.default_states import POLICIES
from check_pop3_plus.check.verdict import Figure
from check_pop3_plus.messages.formats import count
from check_pop3_plus.model.failures import LOCAL, Kind, Origin, Phase
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.report import Report
from check_pop3_plus.model.settings import Limits, State

PAUSE_SECONDS = 2.0
"""Between two attempts (contract, section 6), as NodePing does."""

_NEARLY_ALL = 0.95
"""Part of its timeout that an attempt must have. One that is cut short would prove nothing, but a
run whose limit was chosen for a number of attempts must not lose the last one to milliseconds."""


class Attempt(Record):
    """One attempt, evaluated."""

    state: State
    status: str
    """The status line, without service, state, remarks and place."""
    remarks: tuple[str, ...]
    """What is said behind the status."""
    place: str | Origin
    """Where a failure is: at a server, or in a file of options; else empty."""
    figures: tuple[Figure, ...]
    kinds: tuple[Kind, ...]
    """Of all findings that are not OK, worst first."""
    deciding: tuple[Kind, ...]
    """Those of them that have the worst state."""
    report: Report
    slow: Phase | None = None
    """The phase that has exceeded a limit of its own."""


def why_final(attempt: Attempt) -> str | None:
    """Return why a failed attempt must not be repeated, or None where it may be."""
    for session in attempt.report.sessions:
        if session.has_open_login and not session.may_log_in_again:
            return "a login that was not accepted is never repeated"
    final = [kind.value for kind in attempt.deciding if not POLICIES[kind].is_transient]
    return f"{final[0]} does not pass within seconds" if final else None


def why_no_retry(attempts: Sequence[Attempt], limits: Limits, left: float) -> str | None:
    """Return why there is no retry, or None where one is due.

    Empty where all attempts were made, or one succeeded. `left` are the seconds for attempts.
    """
    asked = limits.rechecks + 1
    missing = asked - len(attempts)
    if attempts[-1].state is State.OK or missing <= 0:
        return ""
    reason = why_final(attempts[-1])
    if reason:
        return f"{len(attempts)} of {asked} made: {reason}"
    if left < PAUSE_SECONDS + limits.timeout * _NEARLY_ALL:
        return f"{missing} of {asked} did not fit into --run-timeout ({limits.run_timeout:g} s)"
    return None


def remarks(attempts: Sequence[Attempt], limits: Limits) -> tuple[str, ...]:
    """Return those of the last attempt, with --rechecks behind how many attempts failed."""
    last = attempts[-1]
    if last.kinds and last.kinds[0] in LOCAL:
        attempts = attempts[:-1]  # a local failure is not one of the server
    failed = sum(attempt.state is not State.OK for attempt in attempts)
    if not limits.rechecks or not failed:
        return last.remarks
    return (f"{failed} of {count(len(attempts), 'attempt')} failed", *last.remarks)


def lines(attempts: Sequence[Attempt], why_no_retry: str, seconds: float) -> Iterator[str]:
    """Yield other results of earlier attempts, the time of all, and why there were no more."""
    others: dict[str, list[str]] = {}
    for number, attempt in enumerate(attempts[:-1], 1):
        if attempt.status != attempts[-1].status:
            result = f"{attempt.state.name}: {attempt.status}"
            others.setdefault(result, []).append(str(number))
    yield from (f"attempt {', '.join(which)}: {result}" for result, which in others.items())
    if len(attempts) > 1:
        yield f"attempts: {len(attempts)} in {seconds:.1f} s"
    if why_no_retry:
        yield f"attempts: {why_no_retry}"
