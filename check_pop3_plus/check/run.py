"""Run one check: settings in, verdict out. Prints nothing, so that a sweep can share it.

nagiosplugin's Resource, Contexts and Summary are put together here; `output` renders the verdict.
"""

from collections.abc import Sequence

import nagiosplugin

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.check import retries
from check_pop3_plus.check.certificate_contexts import ABOUT_CERTIFICATES
from check_pop3_plus.check.contexts import context
from check_pop3_plus.check.default_states import SERVICE_STATES
from check_pop3_plus.check.figures import measured
from check_pop3_plus.check.resource import Pop3
from check_pop3_plus.check.retries import Attempt
from check_pop3_plus.check.summary import Summary
from check_pop3_plus.check.verdict import SEVERITY, AddressResult, Verdict
from check_pop3_plus.messages import long_output
from check_pop3_plus.messages.formats import reason
from check_pop3_plus.messages.hints import Advice
from check_pop3_plus.model.failures import LOCAL, MEASURED, Kind, Phase
from check_pop3_plus.model.report import Report, Session
from check_pop3_plus.model.settings import Limits, Security, Settings, State
from check_pop3_plus.model.stopped import Stopped
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.support.deadline import Clock, Deadline, pause

if TYPE_CHECKING:
    from typing import Any

_MARGIN_SECONDS = 1.0
"""A diagnosis or a round trip ends this long before the run."""

_DIAGNOSIS_SECONDS = 10.0
"""Retries leave this time to the diagnosis: enough for all but the last hops of a long route."""

_STATES = {result: state for state, result in SERVICE_STATES.items()}

_SEVERITIES = {SERVICE_STATES[state]: severity for severity, state in enumerate(SEVERITY)}


def run_check(
    settings: Settings,
    started: float,
    prerequisites: Prerequisites | None = None,
) -> Verdict:
    """Make an attempt, repeat it while it fails and a retry is due, and return the verdict.

    `started` is the instant (`time.monotonic()`) from which all limits count. `prerequisites` are
    those of the settings; with a secret entered on the terminal, or of a sweep.
    """
    limits = settings.limits
    end = Deadline(started + limits.run_timeout)
    prerequisites = prerequisites or Prerequisites(settings)
    if settings.round_trip:
        from check_pop3_plus.delivery.round_trip import RoundTripWork  # it loads SMTP

        work = RoundTripWork(settings.round_trip, prerequisites, Deadline(end.at - _margin(limits)))
        prerequisites.mailbox_work = work
    attempts = [_attempt(prerequisites, Deadline(started + limits.timeout))]
    try:
        reserved = _reserved(settings)
        while (why := retries.why_no_retry(attempts, limits, end.left() - reserved)) is None:
            pause(retries.PAUSE_SECONDS)
            attempts.append(_attempt(prerequisites, end.within(limits.timeout)))
        if settings.round_trip:  # once a run, whatever the retries
            report = work.complete(attempts[-1].report)
            attempts[-1] = _evaluated(Pop3(prerequisites, end), report)
    except Stopped:
        return _stopped(settings, attempts, started)
    return _verdict(prerequisites, attempts, why, started, end)


def _verdict(
    prerequisites: Prerequisites,
    attempts: Sequence[Attempt],
    why: str,
    started: float,
    end: Deadline,
) -> Verdict:
    """Return the verdict on attempts, after which `why` no other was made; diagnose a failure."""
    settings, last, seconds = prerequisites.settings, attempts[-1], Clock() - started
    verdict = Verdict(
        last.state,
        last.status,
        last.figures,
        shortage=last.report.shortage or "",
        is_repeatable=not any(
            session.login_began for each in attempts for session in each.report.sessions
        ),
        lines=tuple(retries.lines(attempts, why, seconds)),
        **_facts(settings, attempts),
    )
    is_problem = last.state is not State.OK
    if not (is_problem or settings.verbosity):
        return verdict
    likely, found = _diagnosis(prerequisites, last, end) if is_problem else ("", ())
    is_diagnosed = bool(likely or found)
    written = long_output.Evidence(
        settings,
        last.report,
        last.kinds,
        verdict.line,
        is_about_certificate=not ABOUT_CERTIFICATES.isdisjoint(last.kinds),
        is_diagnosed=is_diagnosed,
        slow=last.slow,
        system_store=_system_store,
    )
    return verdict.replace(
        advice=tuple(written.advice(likely)),
        lines=(*verdict.lines, *written.lines(), *found),
        is_verbose=is_diagnosed or settings.verbosity >= 2,
    )


def _system_store() -> str:
    """Return the paths of the system trust store."""
    from check_pop3_plus.net import trust_store  # a check without TLS does not need it

    return trust_store.described()


_SERVICES = {
    Security.PLAIN: "pop3",
    Security.IMPLICIT: "pop3s",
    Security.STLS: "pop3-starttls",
}


def _facts(settings: Settings, attempts: Sequence[Attempt]) -> "dict[str, Any]":
    """Return what every verdict on these attempts has."""
    report, kinds = attempts[-1].report, attempts[-1].kinds
    ended = (report.failure, *(session.failure for session in report.evaluated))
    phases = [each.phase.value for each in ended if each and each.phase and each.kind in kinds]
    first, second = report.first_to_end()
    return {
        "remarks": retries.remarks(attempts, settings.limits),
        "place": attempts[-1].place,
        "kinds": tuple(dict.fromkeys(kind.value for kind in kinds)),
        "phase": next(iter(phases), None),
        "host": settings.target.hostname,
        "port": settings.target.port,
        "service": _SERVICES[settings.tls.security],
        "addresses": tuple(map(_address_result, report.sessions)),
        "certificate": first.chain.leaf if first else None,
        "intermediate": second.chain.first_intermediate_to_end if second else None,
        "attempts": tuple((each.state, each.status) for each in attempts),
    }


def _address_result(session: Session) -> AddressResult:
    failure = session.failure
    taken = session.ended - session.began if session.ended and session.began else None
    return AddressResult(
        session.address.host,
        session.address.port,
        failure.kind.value if failure else None,
        failure.phase.value if failure and failure.phase else None,
        reason(failure) if failure else None,
        None if taken is None else round(taken, 4),
    )


def _attempt(prerequisites: Prerequisites, deadline: Deadline) -> Attempt:
    """Make one attempt and evaluate it."""
    resource = Pop3(prerequisites, deadline)
    return _evaluated(resource, resource.attempt())


def _evaluated(resource: Pop3, report: Report) -> Attempt:
    """Return an attempt with the evaluation of its report."""
    resource.take(report)
    settings = resource.settings
    summary = Summary(settings, report)
    # Not by nagiosplugin.Check, whose performance data, in its own format, nobody would read.
    found = [context(each.context).evaluate(each, resource) for each in resource.probe()]
    results = nagiosplugin.Results(*sorted(found, key=_severity, reverse=True))
    state = _state(results[0]) if len(results) else State.UNKNOWN
    findings = [result for result in results.results if result.state != nagiosplugin.Ok]
    return Attempt(
        state,
        summary.ok(results) if state is State.OK else summary.problem(results),
        summary.remarks(),
        summary.place(results),
        measured(resource),
        tuple(Kind(result.hint) for result in findings),
        tuple(Kind(result.hint) for result in findings if _state(result) is state),
        report,
        _slow_phase(findings, report) if findings else None,
    )


def _slow_phase(findings: Sequence[nagiosplugin.Result], report: Report) -> Phase | None:
    """Return the phase outside a limit of its own, of several the longest."""
    named = {str(result.metric.name) for result in findings if result.metric}
    slow = [phase for phase in MEASURED if f"time_{phase.value}" in named]
    return max(slow, key=report.seconds().__getitem__, default=None)


def _reserved(settings: Settings) -> float:
    """Return the seconds of the run that retries leave for the diagnosis."""
    if settings.diagnosis is None:
        return 0.0
    return min(_DIAGNOSIS_SECONDS, settings.limits.run_timeout / 4)


def _diagnosis(
    prerequisites: Prerequisites, attempt: Attempt, end: Deadline
) -> tuple[str, Sequence[str]]:
    """Return the likely cause, if one is found, and the lines of the diagnosis, if there was one.

    It cannot change the state.
    """
    settings, report = prerequisites.settings, attempt.report
    if settings.diagnosis is None or set(attempt.deciding) & LOCAL:
        return "", ()
    # Imported here, so that the check of a healthy server does not pay for it.
    from check_pop3_plus.diagnosis import likely_cause, run_steps, section

    limit = Deadline(end.at - _margin(settings.limits))
    findings = run_steps.run(prerequisites, report, attempt.kinds, limit)
    likely = likely_cause.cause(settings, report, findings)
    nothing = () if likely else ("diagnosis: no further cause found",)
    return likely, (*nothing, *(f"diagnosis: {line}" for line in section.lines(findings)))


def _margin(limits: Limits) -> float:
    """Return the seconds before the end of the run at which a diagnosis or a round trip ends."""
    return min(_MARGIN_SECONDS, limits.run_timeout / 10)


def _stopped(settings: Settings, attempts: Sequence[Attempt], started: float) -> Verdict:
    """Return the verdict of a run that was stopped by a signal in the pause before a retry."""
    seconds, last, number = Clock() - started, attempts[-1], len(attempts) + 1
    lines = retries.lines(attempts, "", seconds)
    facts = _facts(settings, attempts) | {"kinds": (Kind.STOPPED.value,)}
    return Verdict(
        State.UNKNOWN,
        f"stopped from outside after {seconds:.0f} s, before attempt {number}: {last.status}",
        last.figures,
        tuple(lines),
        (Advice(f"kind: {Kind.STOPPED.value}"),),
        **facts,
    )


def _state(result: nagiosplugin.Result) -> State:
    return _STATES[result.state]


def _severity(result: nagiosplugin.Result) -> int:
    return _SEVERITIES[result.state]
