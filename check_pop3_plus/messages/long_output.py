"""The long output: the details below the status line.

Every line begins with a label and a colon, so that untrusted text cannot pass for a status line.
The kind of failure and the hint come first, then the facts.
"""

from collections.abc import Iterator

from check_pop3_plus.messages import certificates, hints
from check_pop3_plus.messages.formats import age, count, date, reason
from check_pop3_plus.model.failures import MEASURED, Failure, Kind
from check_pop3_plus.model.report import CertificateFacts, Chain, Report, Session
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.settings import Security, Settings, Verify

TRANSCRIPT_TAIL = 4
"""Lines of the transcript shown with a failure: the last command, its reply, and what led there."""

_TRUST = {
    Verify.FULL: "chain and name verified",
    Verify.CHAIN: "chain verified, name not",
    Verify.NONE: "not verified",
}


CHART_WIDTH = 40
"""Characters of the longest bar."""


def lines(
    settings: Settings,
    report: Report,
    kinds: list[str],
    is_problem: bool,
    is_diagnosed: bool = False,
) -> Iterator[str]:
    """Yield the facts; `kinds` are those of the findings, worst first.

    With a diagnosis also the whole chain and transcript, and a chart of the times.
    """
    if not (is_problem or settings.verbosity):
        return
    yield from (f"note: {note}" for note in (*settings.notes, *report.notes))
    yield from _addresses(report)
    yield from chart(report) if is_diagnosed else _laps(report)
    yield from _delivery(report, settings)
    session = _most_telling(report, kinds)
    if session:
        yield from _of_session(session, report, settings, kinds, is_diagnosed)
    if settings.verbosity >= 2:
        yield from _settings(settings)
    if settings.verbosity >= 3:
        for each in report.sessions:
            yield from (f"transcript: {line}" for line in each.transcript)
    elif session and _failures(report):
        tail = len(session.transcript) if is_diagnosed else TRANSCRIPT_TAIL
        yield from (f"transcript: {line}" for line in session.transcript[-tail:])


def _delivery(report: Report, settings: Settings) -> Iterator[str]:
    """Yield the facts of a round trip."""
    probes = next((each.probes for each in report.evaluated if each.probes), None)
    if probes is None or settings.round_trip is None:
        return
    yield f"probes: {probes.found} found of {sanitise(settings.round_trip.id)}"
    if probes.newest is not None:
        accepted = ""
        if probes.accepted is not None:
            accepted = f", accepted {probes.accepted - probes.newest:+.0f} s later by its headers"
        yield f"probes: newest sent {age(max(0, int(report.clock - probes.newest)))} ago{accepted}"
    if probes.bounces:
        yield f"probes: {count(probes.bounces, 'bounce')} in the mailbox, never deleted"
    if probes.left_out:
        yield f"probes: {count(probes.left_out, 'message')} not looked at, the oldest"
    if report.delivery and report.delivery.note:
        yield f"probes: {report.delivery.note}"


def _failures(report: Report) -> list[Failure]:
    """Return the failures of the attempt and of the evaluated sessions."""
    failures = (report.failure, *(session.failure for session in report.evaluated))
    return [failure for failure in failures if failure]


def cause(settings: Settings, report: Report, kinds: list[str]) -> Iterator[str]:
    """Yield each kind of finding, worst first, and what to try."""
    submission = report.delivery.failure if report.delivery else None
    ended = [*_failures(report), *([submission] if submission else [])]
    failures = {failure.kind.value: failure for failure in reversed(ended)}
    for kind in dict.fromkeys(kinds):
        failure = failures.get(kind)
        phase = failure.phase if failure else None
        gloss = hints.HINTS[Kind(kind)].gloss
        shown = f"{kind} ({gloss})" if gloss else kind
        yield f"kind: {shown}" + (f", in phase {phase.value}" if phase else "")
        message = failure.message if failure else ""
        hint = hints.hint(Kind(kind), phase, settings, report, message)
        if failure:
            hint = _cure(report, failure, hint)
        if hint:
            yield f"try: {hint}"


def _cure(report: Report, failure: Failure, hint: str) -> str:
    """Return what to try about a failure; `hint` is that of its kind."""
    chain = next((each.chain for each in report.sessions if each.failure == failure), None)
    found = certificates.cure(failure, chain, report.now) if chain else None
    if found is None:
        found = failure.cure
    return hint if found is None else found


def _addresses(report: Report) -> Iterator[str]:
    for session in report.sessions:
        yield f"address: {session.address} {_outcome(session, report)}"


def chart(report: Report) -> Iterator[str]:
    """Yield a bar for the time of each phase."""
    seconds = report.seconds()
    measured = [phase for phase in MEASURED if phase in seconds]
    longest = max((seconds[phase] for phase in measured), default=0.0)
    wide = max((len(f"{seconds[phase]:.3f}") for phase in measured), default=0)
    for phase in measured:
        share = seconds[phase] / longest if longest else 0.0
        bar = "#" * max(1, round(share * CHART_WIDTH))
        yield f"time: {phase.value:<{_WIDEST_PHASE}} {seconds[phase]:{wide}.3f} s {bar}"


_WIDEST_PHASE = max(len(phase.value) for phase in MEASURED)


def _laps(report: Report) -> Iterator[str]:
    seconds = report.seconds()
    if seconds:
        laps = [f"{phase.value} {seconds[phase]:.3f} s" for phase in MEASURED if phase in seconds]
        yield f"time: {', '.join(laps)}"


def _outcome(session: Session, report: Report) -> str:
    if session.failure:
        phase = session.failure.phase
        in_phase = f", in phase {phase.value}" if phase else ""
        return f"{session.failure.kind.value}{in_phase}: {reason(session.failure)}"
    if report.failure:
        return report.failure.kind.value
    outcome = "OK"
    if session.ended and session.began:
        outcome += f" in {session.ended - session.began:.3f} s"
    leaf = session.chain.leaf
    if leaf and leaf.not_after and len(report.evaluated) > 1:
        outcome += f", certificate until {date(leaf.not_after)}"
    return outcome


def _most_telling(report: Report, kinds: list[str]) -> Session | None:
    """Return the session that a finding is about.

    Without one a successful session: the one whose certificate expires first.
    """
    good = [session for session in report.evaluated if session.failure is None]
    failed = [session for session in report.evaluated if session.failure]
    if failed and (kinds or not good):
        return failed[0]
    for session in good:
        if {note.kind.value for note in session.notes} & set(kinds):
            return session
    dated = [
        (leaf.not_after, session)
        for session in good
        if (leaf := session.chain.leaf) and leaf.not_after
    ]
    return min(dated, key=lambda pair: pair[0])[1] if dated else next(iter(good[-1:]), None)


def _of_session(
    session: Session, report: Report, settings: Settings, kinds: list[str], is_diagnosed: bool
) -> Iterator[str]:
    if len(report.evaluated) > 1:
        yield f"about: {session.address}"
    if session.tls and session.tls.version:
        trust = _TRUST[settings.tls.verify]
        yield f"tls: {session.tls.version}, {session.tls.cipher}, {trust}"
    leaf = session.chain.leaf
    if leaf:
        yield from certificates.description("certificate", leaf)
        if settings.verbosity or {Kind.PIN.value, Kind.NOT_DEPLOYED.value} & set(kinds):
            yield from certificates.identity("certificate", leaf)
        for number, facts in enumerate(session.chain.sent):
            if number and (is_diagnosed or settings.verbosity >= 2):
                yield from certificates.description(f"chain {number}", facts)
            if number and settings.verbosity >= 2:
                yield from certificates.identity(f"chain {number}", facts)
        if {Kind.EXPIRING.value, Kind.EXPIRED.value} & set(kinds):
            yield from _earlier_issuer(session.chain, leaf)
        yield from certificates.remarks(session.chain, report.now, session.failure)
    if session.greeting is not None and settings.verbosity:
        yield f"greeting: {session.greeting_shown}"
    is_about_capabilities = settings.verbosity or Kind.NO_CAPABILITY.value in kinds
    if session.capabilities is not None and is_about_capabilities:
        yield f"capabilities: {', '.join(session.capabilities)[:400]}"
    if session.dates and session.dates.undated:
        of = count(session.dates.read, "message")
        yield f"note: {session.dates.undated} of {of} read without a usable date in the headers"
    if settings.verbosity:
        yield from (f"protocol warning: {oddity}" for oddity in session.protocol_warnings)
    for each in report.evaluated:
        whose = f" ({each.address})" if len(report.evaluated) > 1 else ""
        yield from (f"note: {note.kind.value}: {note.text}{whose}" for note in each.notes)
    if any(each.replies_hidden for each in report.sessions):
        yield (
            "note: password shorter than 6 characters: of the server replies after the login only"
            " response codes are shown"
        )


def _earlier_issuer(chain: Chain, leaf: CertificateFacts) -> Iterator[str]:
    """Yield the certificate of an issuer that expires before the leaf."""
    issuer = chain.first_issuer_to_end
    ends = issuer.not_after if issuer else None
    if issuer and ends and (leaf.not_after is None or ends < leaf.not_after):
        yield from certificates.description("issuer", issuer)


def _settings(settings: Settings) -> Iterator[str]:
    tls = settings.tls
    if tls.security is not Security.PLAIN:
        trust = sanitise(tls.ca_file or tls.ca_path or "the system trust store")
        verify = f"{tls.verify.value} and strict" if tls.strict else tls.verify.value
        yield f"policy: TLS {tls.minimum} or newer, verify {verify}, trust {trust}"
    grant = settings.login.source.grant if settings.login else None
    if grant:
        how = "a refresh token" if grant.refresh_token_file else "client credentials"
        trust = sanitise(grant.ca_file or "the system trust store")
        yield f"token: from {grant.endpoint.authority} with {how}, trust {trust}"
    limits = settings.limits
    yield f"limits: timeout {limits.timeout:g} s per attempt, {limits.run_timeout:g} s in total"
