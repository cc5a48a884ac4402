"""The long output: what the person on call reads after the status line.

Every line begins with a word of ours and a colon, so that no foreign text can pass for a status
line. The cause comes first, then what to try, then what was seen.
"""

from collections.abc import Iterator

from check_pop3_plus.messages import certificates
from check_pop3_plus.model.failures import MEASURED, Failure, Kind, Phase
from check_pop3_plus.model.report import CertificateFacts, Chain, Report, Session
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.settings import Security, Settings, Verify

DIALOGUE_TAIL = 4
"""Lines of the dialogue shown with a failure: the last command, its reply, and what led there."""

_RENEW = (
    "renew the certificate (or fetch the new one of its issuer) and reload the server; if that is"
    " done already, the reload was missed"
)

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
    (Kind.EXPIRED, None): _RENEW,
    (Kind.EXPIRING, None): _RENEW,
    (Kind.NOT_YET_VALID, None): "check the clocks of this machine and of the one that issued it",
    (Kind.NAME, None): "install a certificate for this name, or name the service as it does"
    " (-H, --sni)",
    (Kind.UNTRUSTED, None): "send the intermediate certificates with it; a private issuer, or"
    " one that is its own, is trusted by --ca-file",
    (Kind.WEAK, None): "issue a new certificate, with a longer key and signed with SHA-256",
    (Kind.CLIENT_CERTIFICATE, None): "give one by --client-cert and --client-key",
    (Kind.NO_STLS, None): "enable TLS on the server, or use -S on port 995",
    (Kind.INJECTED, None): "somebody on the way may change the traffic, or the server is broken",
    (Kind.NO_CAPABILITY, None): "compare with the capabilities below; a setting was lost?",
    (Kind.CLEARTEXT_ACCEPTED, None): "forbid cleartext logins on the server",
    (Kind.LEGACY_TLS, None): "switch TLS 1.0 and 1.1 off on the server",
    (Kind.NOT_STRICT, None): "issue the certificates anew by RFC 5280, or leave out --x509-strict",
    (Kind.MAILBOX, None): "see the log of the server for the mailbox of this user",
    (Kind.GREETING, None): "see the log of the server for why it serves nobody",
    (Kind.EXPECT, None): "another server than you think, or a new version of it",
    (Kind.SLOW, None): "see below which phase is slow",
    (Kind.CERTIFICATE_UNREADABLE, None): "see the certificate by openssl s_client",
    (Kind.PIN, None): "if it was renewed, pin the sha256 below; if not, somebody is in between",
    (Kind.ISSUER, None): "find out who replaced the certificate; compare with the issuer below",
    (Kind.NOT_DEPLOYED, None): "reload the server, so that it reads the new certificate",
    (Kind.LONG_LIVED, None): "issue a certificate for a shorter time",
    (Kind.TOO_FEW, None): "see the addresses below for those that failed",
    (Kind.INJECTABLE, None): "update the server: it keeps what was sent before TLS",
    (Kind.NO_MECHANISM, None): "choose another mechanism by --auth",
    (Kind.CLEARTEXT_REFUSED, None): "use -S or --starttls",
    (Kind.CREDENTIALS, None): "check user name and password (or token, or client certificate);"
    " repeated tries may lock the account",
    (Kind.IN_USE, None): "another session holds the mailbox; use a mailbox for monitoring alone",
    (Kind.LOGIN_DELAY, None): "raise the check interval above the login delay of the server",
    (Kind.TEMPORARY, None): "not the credentials: see the log of the server for its back end",
    (Kind.PERMANENT, None): "not the credentials: see the log of the server for its back end",
}
"""What to try, by kind and phase; None stands for every phase."""

_TRUST = {
    Verify.FULL: "chain and name verified",
    Verify.CHAIN: "chain verified, name not",
    Verify.NONE: "not verified",
}


CHART_WIDTH = 40
"""Characters of the longest bar."""


def lines(
    settings: Settings,
    report: Report | None,
    kinds: list[str],
    is_problem: bool,
    is_diagnosed: bool = False,
) -> Iterator[str]:
    """Yield what was seen; `kinds` are those of the findings, worst first.

    With a diagnosis more of it: the whole chain and dialogue, and where the time went.
    """
    if report is None or not (is_problem or settings.verbosity):
        return
    yield from _addresses(report)
    yield from chart(report) if is_diagnosed else _laps(report)
    session = _most_telling(report, kinds)
    if session:
        yield from _of_attempt(session, report, settings, kinds, is_diagnosed)
    if settings.verbosity >= 2:
        yield from _settings(settings)
    if settings.verbosity >= 3:
        for each in report.sessions:
            yield from (f"dialogue: {line}" for line in each.transcript)
    elif session and _failures(report):
        tail = len(session.transcript) if is_diagnosed else DIALOGUE_TAIL
        yield from (f"dialogue: {line}" for line in session.transcript[-tail:])


def _failures(report: Report) -> list[Failure]:
    """Return what ended the look, or the attempts that the verdict is about."""
    failures = (report.failure, *(session.failure for session in report.evaluated))
    return [failure for failure in failures if failure]


def cause(report: Report | None, kinds: list[str]) -> Iterator[str]:
    """Yield each kind of finding, worst first, and what to try."""
    ended = _failures(report) if report else []
    phases = {failure.kind.value: failure.phase for failure in reversed(ended)}
    for kind in dict.fromkeys(kinds):
        phase = phases.get(kind)
        yield f"kind: {kind}" + (f", in phase {phase.value}" if phase else "")
        hint = HINTS.get((Kind(kind), phase)) or HINTS.get((Kind(kind), None))
        if hint:
            yield f"try: {hint}"


def _addresses(report: Report) -> Iterator[str]:
    for session in report.sessions:
        yield f"address: {session.address} {_outcome(session, report)}"


def chart(report: Report) -> Iterator[str]:
    """Yield a bar for each phase: where the time went."""
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
        return f"{session.failure.kind.value}{in_phase}: {session.failure.message}"
    if report.failure:
        return report.failure.kind.value
    outcome = "worked"
    if session.ended and session.began:
        outcome += f" in {session.ended - session.began:.3f} s"
    leaf = session.chain.leaf
    if leaf and leaf.not_after and len(report.evaluated) > 1:
        outcome += f", certificate until {certificates.date(leaf.not_after)}"
    return outcome


def _most_telling(report: Report, kinds: list[str]) -> Session | None:
    """Return, of several attempts, the one that a finding is about; else one that is good, and
    of those the one whose certificate ends first."""
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


def _of_attempt(
    session: Session, report: Report, settings: Settings, kinds: list[str], is_diagnosed: bool
) -> Iterator[str]:
    if len(report.evaluated) > 1:
        yield f"about: {session.address}"
    if session.tls and session.tls.version:
        trust = _TRUST[settings.tls.verify]
        yield f"tls: {session.tls.version}, {session.tls.cipher}, {trust}"
    leaf = session.chain.leaf
    if leaf:
        yield from certificates.lines("certificate", leaf)
        if settings.verbosity or {Kind.PIN.value, Kind.NOT_DEPLOYED.value} & set(kinds):
            yield from certificates.identity("certificate", leaf)
        for number, facts in enumerate(session.chain.sent):
            if number and (is_diagnosed or settings.verbosity >= 2):
                yield from certificates.lines(f"chain {number}", facts)
            if number and settings.verbosity >= 2:
                yield from certificates.identity(f"chain {number}", facts)
        if {Kind.EXPIRING.value, Kind.EXPIRED.value} & set(kinds):
            yield from _earlier_issuer(session.chain, leaf)
        is_untrusted = session.failure is not None and session.failure.kind is Kind.UNTRUSTED
        yield from certificates.remarks(session.chain, report.now, is_untrusted)
    if session.greeting is not None and settings.verbosity:
        yield f"greeting: {session.greeting_shown}"
    is_about_capabilities = settings.verbosity or Kind.NO_CAPABILITY.value in kinds
    if session.capabilities is not None and is_about_capabilities:
        yield f"capabilities: {', '.join(session.capabilities)[:400]}"
    if settings.verbosity:
        yield from (f"odd: {oddity}" for oddity in session.protocol_warnings)
    for each in report.evaluated:
        whose = f" ({each.address})" if len(report.evaluated) > 1 else ""
        yield from (f"note: {note.kind.value}: {note.text}{whose}" for note in each.notes)
    if any(each.replies_hidden for each in report.sessions):
        yield (
            "note: password shorter than 6 characters: of the server's replies after the login only"
            " response codes are shown"
        )


def _earlier_issuer(chain: Chain, leaf: CertificateFacts) -> Iterator[str]:
    """Yield whose certificate it is that ends before the server's own."""
    issuer = chain.first_issuer_to_end
    ends = issuer.not_after if issuer else None
    if issuer and ends and (leaf.not_after is None or ends < leaf.not_after):
        yield from certificates.lines("issuer", issuer)


def _settings(settings: Settings) -> Iterator[str]:
    tls = settings.tls
    if tls.security is not Security.PLAIN:
        trust = sanitise(tls.ca_file or tls.ca_path or "the store of the system")
        verify = f"{tls.verify.value} and strict" if tls.strict else tls.verify.value
        yield f"policy: TLS {tls.minimum} or newer, verify {verify}, trust {trust}"
    grant = settings.login.source.grant if settings.login else None
    if grant:
        how = "a refresh token" if grant.refresh_token_file else "the credentials of the client"
        trust = sanitise(grant.ca_file or "the store of the system")
        yield f"token: from {grant.endpoint.authority} with {how}, trust {trust}"
    limits = settings.limits
    yield f"limits: {limits.timeout:g} s for a look, {limits.run_timeout:g} s for the run"
