"""One settings in, one verdict out. Prints nothing, so that a run and a sweep can share it.

nagiosplugin judges; the text is composed here, because its own printing moves perfdata to the
last line, ranks UNKNOWN first and sorts the labels.
"""

from collections.abc import Sequence
from itertools import accumulate

import nagiosplugin

from check_pop3_plus.check import retries
from check_pop3_plus.check.contexts import contexts
from check_pop3_plus.check.resource import Pop3
from check_pop3_plus.check.retries import Attempt
from check_pop3_plus.check.summary import Summary
from check_pop3_plus.messages import long_output
from check_pop3_plus.model.failures import LOCAL, MEASURED, Kind
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.settings import Secret, Settings, State
from check_pop3_plus.model.stopped import Stopped
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.support.deadline import Clock, Deadline, pause
from check_pop3_plus.support.masking import Masker

STATUS_LIMIT = 200
"""Characters of line 1 before the perfdata (contract, section 3)."""

_OUTPUT_LIMIT = 4 * 1024
VERBOSE_OUTPUT_LIMIT = 16 * 1024
"""Also with a diagnosis."""

_MARGIN_SECONDS = 1.0
"""The diagnosis ends so long before the run has to."""

_DIAGNOSIS_SECONDS = 10.0
"""What further looks leave for it: enough for all but the last hops of a long way."""

SEVERITY = (State.OK, State.UNKNOWN, State.WARNING, State.CRITICAL)
"""Worst last (contract, section 4); the guidelines' numbers would put UNKNOWN last."""

_STATES = {state.value: state for state in State}
_SEVERITIES = {state.value: SEVERITY.index(state) for state in State}

_LABELS = (
    "time",
    *(f"time_{phase.value}" for phase in MEASURED),
    "cert_days",
    "chain_days",
    "messages",
    "mailbox_size",
)


class Verdict(Record):
    """The result of a check, ready to print."""

    state: State
    status: str
    """Without name and state."""
    perfdata: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    limit: int = _OUTPUT_LIMIT
    """Octets of the whole text."""
    suffix: str = ""
    """What ends the status, however much of it has to be cut."""

    def head(self) -> str:
        """Return the status line without its perfdata."""
        head = f"POP3 {self.state.name} - {self.status}"
        room = STATUS_LIMIT - len(self.suffix)
        if len(head) > room:
            head = head[: room - 3].rstrip() + "..."
        return head + self.suffix

    def text(self, with_perfdata: bool = True) -> str:
        """Return the plugin's output: perfdata on line 1, the long output behind it."""
        head = self.head()
        perfdata = self.perfdata if with_perfdata else ()
        # With a hundred addresses not all of their figures find room.
        shown = list(accumulate(perfdata, "{} {}".format, initial=" |"))
        fitting = [each for each in shown if len(head) + len(each) < self.limit // 2]
        if perfdata:
            head += fitting[-1]
        text = head + "\n"
        if len(fitting) < len(shown):
            text += f"more: {len(shown) - len(fitting)} figures left out\n"
        for line in self.lines:
            if len(text) + len(line) + 1 > self.limit - 20:
                return text + "more: left out\n"
            text += line + "\n"
        return text


def run(
    settings: Settings,
    started: float,
    secret: Secret | None = None,
    masker: Masker | None = None,
) -> Verdict:
    """Take one look and judge it; or more, until one is good or the failure is believed.

    `started` is the instant from which all limits count.
    """
    limits = settings.limits
    end = Deadline(started + limits.run_timeout)
    prerequisites = Prerequisites(settings, secret, masker)
    taken = [_look(prerequisites, Deadline(started + limits.timeout))]
    try:
        reserved = _reserved(settings)
        while (why_no_more := retries.why_no_more(taken, limits, end.left() - reserved)) is None:
            pause(retries.PAUSE_SECONDS)
            taken.append(_look(prerequisites, end.within(limits.timeout)))
    except Stopped:
        return _stopped(settings, taken, started)
    last = taken[-1]
    is_problem = last.state is not State.OK
    kinds = [kind.value for kind in last.kinds]
    likely, found = _diagnosis(prerequisites, last, end) if is_problem else ((), ())
    is_diagnosed = bool(likely)
    return Verdict(
        last.state,
        last.status,
        last.perfdata,
        (
            *long_output.cause(last.report, kinds),
            *likely,
            *retries.lines(taken, why_no_more),
            *long_output.lines(settings, last.report, kinds, is_problem, is_diagnosed),
            *found,
        ),
        VERBOSE_OUTPUT_LIMIT if is_diagnosed or settings.verbosity >= 2 else _OUTPUT_LIMIT,
        retries.failed(taken, limits),
    )


def _look(prerequisites: Prerequisites, deadline: Deadline) -> Attempt:
    """Take one look and judge it."""
    settings = prerequisites.settings
    resource = Pop3(prerequisites, deadline)
    summary = Summary(settings)
    check = nagiosplugin.Check(resource, *contexts(settings, resource.attempt()), summary)
    check()
    summary.report = resource.report
    results = nagiosplugin.Results(*sorted(check.results.results, key=_severity, reverse=True))
    state = _state(results[0]) if len(results) else State.UNKNOWN
    findings = [result for result in results.results if result.state != nagiosplugin.Ok]
    return Attempt(
        state,
        summary.ok(results) if state is State.OK else summary.problem(results),
        tuple(sorted(check.perfdata, key=_position)),
        tuple(Kind(result.hint) for result in findings),
        tuple(Kind(result.hint) for result in findings if _state(result) is state),
        resource.report,
    )


def _reserved(settings: Settings) -> float:
    """Return the seconds of the run that further looks leave for the diagnosis."""
    if settings.diagnosis is None:
        return 0.0
    return min(_DIAGNOSIS_SECONDS, settings.limits.run_timeout / 4)


def _diagnosis(
    prerequisites: Prerequisites, attempt: Attempt, end: Deadline
) -> tuple[Sequence[str], Sequence[str]]:
    """Return the likely cause, and what else was found out; nothing where nobody asked for it.

    The verdict is settled: whatever happens here, it stands.
    """
    settings, report = prerequisites.settings, attempt.report
    if settings.diagnosis is None or report is None or set(attempt.deciding) & LOCAL:
        return (), ()
    # Only now: a healthy server does not pay for it.
    from check_pop3_plus.diagnosis import likely_cause, run_steps, section

    margin = min(_MARGIN_SECONDS, settings.limits.run_timeout / 10)
    findings = run_steps.run(prerequisites, report, attempt.kinds, Deadline(end.at - margin))
    return (
        [f"diagnosis: likely cause: {likely_cause.cause(settings, report, findings)}"],
        [f"diagnosis: {line}" for line in section.lines(findings)],
    )


def _stopped(settings: Settings, taken: Sequence[Attempt], started: float) -> Verdict:
    """Return the verdict of a run that was stopped in the pause before a further look."""
    seconds = Clock() - started
    last = taken[-1]
    return Verdict(
        State.UNKNOWN,
        f"stopped from outside after {seconds:.0f} s, before look {len(taken) + 1}: {last.status}",
        last.perfdata,
        (f"kind: {Kind.STOPPED.value}", *retries.lines((*taken, last), "")),
        suffix=retries.failed(taken, settings.limits),
    )


def _state(result: nagiosplugin.Result) -> State:
    return _STATES[int(result.state)]


def _severity(result: nagiosplugin.Result) -> int:
    return _SEVERITIES[int(result.state)]


def _position(perfdata: str) -> int:
    """Return where a label stands; those of single addresses come last."""
    label = perfdata.partition("=")[0]
    return _LABELS.index(label) if label in _LABELS else len(_LABELS)
