"""The long output: what the person on call reads after the status line.

Every line begins with a word of ours and a colon, so that no foreign text can pass for a status
line. The cause comes first, then what to try, then what was seen.
"""

from collections.abc import Iterator

from check_pop3_plus.failures import MEASURED, Kind, Phase
from check_pop3_plus.report import Attempt, CertificateFacts, Report
from check_pop3_plus.settings import Security, Settings, Verify
from check_pop3_plus.text import clean
from check_pop3_plus.timing import seconds_by_phase

DIALOGUE_TAIL = 4
"""Lines of the dialogue shown with a failure: the last command, its reply, and what led there."""

HINTS: dict[tuple[Kind, Phase | None], str] = {
    (Kind.UNRESOLVED, None): "check the spelling of the name, and the zone it is in",
    (Kind.RESOLVER, None): "check the name servers of this machine (resolv.conf)",
    (Kind.REFUSED, None): "nothing listens on this port, or a packet filter rejects it",
    (Kind.UNREACHABLE, None): "check the route from this machine, and packet filters on the way",
    (Kind.TIMEOUT, Phase.CONNECT): "the host is down, or a packet filter drops the connection",
    (Kind.TIMEOUT, Phase.GREETING): "the service hangs, or this port expects TLS from the first"
    " byte (try -S)",
    (Kind.TIMEOUT, Phase.TLS): "the service hangs, or speaks plain text and waits (try --starttls)",
    (Kind.TIMEOUT, Phase.LOGIN): "the authentication back end of the server is slow or down",
    (Kind.CLOSED, Phase.GREETING): "too many connections, an access list, or a failing back end",
    (Kind.CLOSED, Phase.TLS): "a TLS service that is set up wrong, or an access list",
    (Kind.GARBLED, Phase.GREETING): "another service on this port, or TLS from the first byte"
    " (try -S)",
    (Kind.GREETING_TEMPORARY, None): "the server says that this passes; see its log if it lasts",
    (Kind.TLS, Phase.TLS): "check that this port expects TLS from the first byte (-S) or"
    " STLS (--starttls)",
    (Kind.OLD_TLS, None): "enable TLS 1.2 or 1.3 on the server; --tls-min 1.1 if it cannot",
    (Kind.EXPIRED, None): "renew the certificate; if it is renewed already, reload the server",
    (Kind.EXPIRING, None): "renew the certificate; if it is renewed already, reload the server",
    (Kind.NOT_YET_VALID, None): "check the clocks of this machine and of the one that issued it",
    (Kind.NAME, None): "name the service as its certificate does (-H or --sni); see --connect-to",
    (Kind.UNTRUSTED, None): "send the intermediate certificates, or trust the issuer by --ca-file",
    (Kind.WEAK, None): "issue a new certificate: RSA 2048 or EC, signed with SHA-256",
    (Kind.CLIENT_CERTIFICATE, None): "give one by --client-cert and --client-key",
    (Kind.NO_STLS, None): "enable TLS on the server, or use -S on port 995",
    (Kind.INJECTED, None): "somebody on the way may change the traffic, or the server is broken",
    (Kind.NO_CAPABILITY, None): "compare with the capabilities below; a setting was lost?",
    (Kind.CLEARTEXT_ACCEPTED, None): "forbid cleartext logins on the server",
    (Kind.INJECTABLE, None): "update the server: it keeps what was sent before TLS",
    (Kind.NO_MECHANISM, None): "choose another mechanism by --auth",
    (Kind.CLEARTEXT_REFUSED, None): "use -S or --starttls",
    (Kind.CREDENTIALS, None): "check user name and password; repeated tries may lock the account",
    (Kind.IN_USE, None): "another session holds the mailbox; use a mailbox for monitoring alone",
    (Kind.LOGIN_DELAY, None): "raise the check interval above the login delay of the server",
    (Kind.TEMPORARY, None): "not the credentials: see the log of the server for its back end",
    (Kind.PERMANENT, None): "not the credentials: see the log of the server for its back end",
}
"""What to try, by kind and phase; None stands for every phase."""


def lines(
    settings: Settings, report: Report | None, kinds: list[str], is_problem: bool
) -> Iterator[str]:
    """Yield the lines of the long output; `kinds` are those of the findings, worst first."""
    if is_problem:
        yield from _cause(report, kinds)
    if report is None or not (is_problem or settings.verbosity):
        return
    yield from _seen(report, settings, kinds)
    if settings.verbosity >= 1:
        yield from _more(report)
    if settings.verbosity >= 2:
        yield from _settings(settings)
        yield from _chain(report)
    if settings.verbosity >= 3:
        yield from _dialogue(report, None)
    elif report.failure:
        yield from _dialogue(report, DIALOGUE_TAIL)


def _cause(report: Report | None, kinds: list[str]) -> Iterator[str]:
    failure = report.failure if report else None
    phase = failure.phase if failure else None
    for kind in dict.fromkeys(kinds):
        ended = failure is not None and failure.kind.value == kind and phase
        yield f"kind: {kind}" + (f", in phase {phase.value}" if ended and phase else "")
        hint = HINTS.get((Kind(kind), phase)) or HINTS.get((Kind(kind), None))
        if hint:
            yield f"try: {hint}"


def _seen(report: Report, settings: Settings, kinds: list[str]) -> Iterator[str]:
    for attempt in report.attempts:
        outcome = "worked"
        if attempt.failure:
            in_phase = f", in phase {attempt.failure.phase.value}" if attempt.failure.phase else ""
            outcome = f"{attempt.failure.kind.value}{in_phase}: {attempt.failure.message}"
        elif report.failure:
            outcome = report.failure.kind.value
        yield f"address: {attempt.address} {outcome}"
    seconds = seconds_by_phase(report.laps())
    if seconds:
        laps = [f"{phase.value} {seconds[phase]:.3f} s" for phase in MEASURED if phase in seconds]
        yield f"time: {', '.join(laps)}"
    if not report.attempts:
        return
    attempt = report.attempts[-1]
    if attempt.tls and attempt.tls.version:
        trust = {
            Verify.FULL: "chain and name verified",
            Verify.CHAIN: "chain verified, name not",
            Verify.NONE: "not verified",
        }[settings.tls.verify]
        yield f"tls: {attempt.tls.version}, {attempt.tls.cipher}, {trust}"
    if attempt.certificates:
        yield from _certificate("certificate", attempt.certificates[0])
    if attempt.capabilities is not None and "no-capability" in kinds:
        yield _capabilities(attempt)
    for note in attempt.notes:
        yield f"note: {note.kind.value}: {note.text}"


def _more(report: Report) -> Iterator[str]:
    for attempt in report.attempts[-1:]:
        if attempt.greeting is not None:
            yield f"greeting: {attempt.greeting_shown}"
        if attempt.capabilities is not None:
            yield _capabilities(attempt)


def _capabilities(attempt: Attempt) -> str:
    return f"capabilities: {', '.join(attempt.capabilities or ())[:400]}"


def _settings(settings: Settings) -> Iterator[str]:
    tls = settings.tls
    if tls.security is not Security.PLAIN:
        trust = clean(tls.ca_file or tls.ca_path or "the store of the system")
        yield f"policy: TLS {tls.minimum} or newer, verify {tls.verify.value}, trust {trust}"
    grant = settings.login.source.grant if settings.login else None
    if grant:
        how = "a refresh token" if grant.refresh_token_file else "the credentials of the client"
        trust = clean(grant.ca_file or "the store of the system")
        yield f"token: from {grant.endpoint.authority} with {how}, trust {trust}"
    limits = settings.limits
    yield f"limits: {limits.timeout:g} s for a look, {limits.run_timeout:g} s for the run"


def _chain(report: Report) -> Iterator[str]:
    for attempt in report.attempts[-1:]:
        for position, facts in enumerate(attempt.certificates):
            if position:
                yield from _certificate(f"chain {position}", facts)
            yield f"fingerprint: {position}: sha256 {facts.fingerprint}, serial {facts.serial}"


def _certificate(label: str, facts: CertificateFacts) -> Iterator[str]:
    yield f"{label}: subject {facts.subject}, issuer {facts.issuer}"
    if facts.not_before and facts.not_after:
        yield (
            f"{label}: valid from {facts.not_before:%Y-%m-%d %H:%M} to"
            f" {facts.not_after:%Y-%m-%d %H:%M} UTC"
        )
    if facts.names:
        more = f" and {facts.names_left_out} more" if facts.names_left_out else ""
        yield f"{label}: names {', '.join(facts.names)}{more}"
    if facts.unreadable:
        yield f"{label}: unreadable: {', '.join(facts.unreadable)}"


def _dialogue(report: Report, last: int | None) -> Iterator[str]:
    for attempt in report.attempts[-1:] if last else report.attempts:
        for line in attempt.dialogue[-last:] if last else attempt.dialogue:
            yield f"dialogue: {line}"
