"""The likely cause of a failure, in one sentence: what the person on call reads first.

A table of rules for each phase, first match wins. A rule is a pure function. It draws on evidence
that the status line and the hint of the kind do not have: the findings of the diagnosis, the other
addresses, or the time of each phase. Where no rule applies, the hint stands.
"""

from collections.abc import Callable, Iterable, Sequence

from check_pop3_plus.diagnosis.findings import (
    Findings,
    Greeting,
    Handshake,
    Lookup,
    NameServer,
    TcpConnection,
    ToolOutput,
    Version,
)
from check_pop3_plus.model.failures import MEASURED, Kind, Phase
from check_pop3_plus.model.report import Report, Session
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.settings import Family, Security, Settings


class Case:
    """The evidence that rules use."""

    def __init__(self, settings: Settings, report: Report, findings: Findings) -> None:
        self.settings = settings
        self.report = report
        self.findings = findings
        self.phase, self.kind = findings.problem.phase, findings.problem.kind
        self.port = settings.target.port

    def connections(self) -> list[TcpConnection]:
        """Return the repeated connections to the port that failed."""
        found = self.findings.of(TcpConnection)
        return [each for each in found if each.address.port == self.port]

    def connections_to_other_ports(self) -> list[TcpConnection]:
        """Return the connections to other ports of the host."""
        found = self.findings.of(TcpConnection)
        return [each for each in found if each.address.port != self.port]

    def greeting(self) -> Greeting | None:
        """Return what the failed port answered in plain text."""
        found = self.findings.of(Greeting)
        return next((each for each in found if each.address.port == self.port), None)

    def tls_port(self) -> int | None:
        """Return another port of the host that speaks TLS from the first byte."""
        handshakes = [each for each in self.findings.of(Handshake) if each.version]
        return next(
            (each.address.port for each in handshakes if each.address.port != self.port), None
        )

    def sign_of_life(self) -> str | None:
        """Return a sign that the host is up, from another port or from ping."""
        others = self.connections_to_other_ports()
        for each in others:
            if each.failure is None:
                return f"port {each.address.port} of the host answers"
        for each in others:
            if each.failure and each.failure.kind is Kind.REFUSED:
                return f"the host is up: port {each.address.port} refuses connections"
        return "the host answers ping" if 0 in self.ping_codes() else None

    def ping_codes(self) -> list[int | None]:
        """Return the exit codes of ping: 0 with an answer, 1 without."""
        return [each.code for each in self.findings.of(ToolOutput) if each.name == "ping"]


Rule = Callable[[Case], str | None]


def cause(settings: Settings, report: Report, findings: Findings) -> str:
    """Return the likely cause of the failure, or nothing if no rule applies."""
    case = Case(settings, report, findings)
    rules: Sequence[Rule] = (some_addresses, *RULES.get(case.phase, ()))
    return next((text for rule in rules if (text := rule(case))), "")


# --- addresses -------------------------------------------------------------------------------


def some_addresses(case: Case) -> str | None:
    """Some addresses of the name fail, and others work."""
    good = [each for each in case.report.sessions if each.failure is None]
    bad = [each for each in case.report.sessions if each.failure]
    is_about_them = case.phase or case.kind in (Kind.PARTIAL, Kind.TOO_FEW)
    # Of addresses that cost time line 1 says which: see `slow`.
    if not good or not bad or not is_about_them:
        return None
    which = _some(f"{each.address} ({_outcome(each)})" for each in bad)
    verb = "fails" if len(bad) == 1 else "fail"
    text = f"only {len(bad)} of {len(bad) + len(good)} addresses of the name {verb}: {which}"
    families = {each.address.is_ipv6 for each in bad}
    if len(families) == 1 and not families & {each.address.is_ipv6 for each in good}:
        text += f"; only {'IPv6' if families == {True} else 'IPv4'} is affected"
    return text


def _some(texts: Iterable[str]) -> str:
    """Return the first three, and how many more there are."""
    shown = list(texts)
    more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
    return ", ".join(shown[:3]) + more


def _outcome(session: Session) -> str:
    failure = session.failure
    if failure is None:
        return "OK"
    return failure.kind.value + (f" in phase {failure.phase.value}" if failure.phase else "")


# --- resolve ---------------------------------------------------------------------------------

_FAMILIES = {
    Family.ANY: {"IPv4", "IPv6"},
    Family.IPV4: {"IPv4"},
    Family.IPV6: {"IPv6"},
}


def resolves_now(case: Case) -> str | None:
    """The repeated lookup finds addresses."""
    found = {each.family for each in case.findings.of(Lookup) if each.addresses}
    wanted = _FAMILIES[case.settings.target.family]
    if not found:
        return None
    if not found & wanted:
        return f"the name has no {' or '.join(wanted)} address, only {' and '.join(sorted(found))}"
    families = " and ".join(sorted(found & wanted))
    return f"the name resolves now ({families}): the name servers were slow, or briefly down"


_NO_ANSWER = {
    Kind.REFUSED: "does not listen",
    Kind.UNREACHABLE: "cannot be reached",
    Kind.GARBLED: "sends no valid DNS answer",
}


def silent_name_servers(case: Case) -> str | None:
    """Some name servers of this machine do not answer."""
    asked = case.findings.of(NameServer)
    if case.kind is Kind.UNRESOLVED and any(each.code for each in asked):
        return None  # a server answers that the name does not exist
    silent = [each for each in asked if each.code is None]
    if not silent:
        return None
    failure = silent[0].failure
    how = _NO_ANSWER.get(failure.kind, "does not answer") if failure else "does not answer"
    if len(asked) == 1:
        return f"the only name server of this machine, {asked[0].server}, {how}"
    names = ", ".join(each.server for each in silent)
    if len(silent) == len(asked):
        return f"none of the {len(asked)} name servers of this machine answers ({names})"
    others = ", ".join(f"{each.server} ({each.code})" for each in asked if each.code)
    return f"of the name servers of this machine {names} {how}; others do: {others}"


def answering_name_servers(case: Case) -> str | None:
    """A name server answers that it does not know the name, or cannot look it up."""
    answers = [each for each in case.findings.of(NameServer) if each.code]
    if not answers:
        return None
    name = sanitise(case.settings.target.connect_to or case.settings.target.hostname)
    server = f"name server {answers[0].server}"
    match answers[0].code:
        case "NXDOMAIN":
            return f"the name {name} does not exist, according to {server}"
        case "SERVFAIL":
            return (
                f"{server} returned SERVFAIL: the name servers of the zone are down, or DNSSEC"
                " validation failed"
            )
        case "REFUSED":
            return f"{server} refuses to answer this machine"
        case "NOERROR" if not answers[0].records:
            return f"the name {name} exists, but has no such address, according to {server}"
        case "NOERROR":
            return (
                f"{server} resolves the name: the resolver of this machine uses a different server"
                " (nsswitch, resolved?)"
            )
    return f"{server} answers {answers[0].code}"


# --- connect ---------------------------------------------------------------------------------


def connects_now(case: Case) -> str | None:
    """Connections to all addresses work now."""
    again = case.connections()
    if again and all(each.failure is None for each in again):
        return "connections work now: the failure was temporary"
    return None


def some_connections(case: Case) -> str | None:
    """Some addresses accept connections, though the check did not try them."""
    again = case.connections()
    bad = [str(each.address) for each in again if each.failure]
    if len(bad) == len(again):
        return None
    return f"only {len(bad)} of {len(again)} addresses cannot be connected to: {_some(bad)}"


def service_down(case: Case) -> str | None:
    """The port refuses connections, and another port of the host accepts them."""
    working = [each for each in case.connections_to_other_ports() if each.failure is None]
    if case.kind is not Kind.REFUSED or not working:
        return None
    return (
        f"only port {case.port} is affected: port {working[0].address.port} of the host accepts"
        " connections"
    )


def rejected(case: Case) -> str | None:
    """The network reports the host as unreachable, and the host is alive."""
    alive = case.sign_of_life()
    if case.kind is not Kind.UNREACHABLE or not alive:
        return None
    return f"a packet filter rejects connections to port {case.port}: {alive}"


def filtered(case: Case) -> str | None:
    """The port is silent, and the host is alive."""
    alive = case.sign_of_life()
    if case.kind is not Kind.TIMEOUT or not alive:
        return None
    return (
        f"port {case.port} is filtered, or the service has stopped accepting connections: {alive}"
    )


def host_down(case: Case) -> str | None:
    """No port of the host answers."""
    others = case.connections_to_other_ports()
    if case.kind is not Kind.TIMEOUT or not others:
        return None
    ports = " and ".join(str(port) for port in sorted({each.address.port for each in others}))
    ping = ", nor does ping" if 1 in case.ping_codes() else ""
    return f"host down or unreachable: port {ports} does not answer either{ping}"


# --- TLS -------------------------------------------------------------------------------------


def plain_text(case: Case) -> str | None:
    """The port speaks plain text, but the check wants TLS from the first byte."""
    answer = case.greeting()
    if case.settings.tls.security is not Security.IMPLICIT or answer is None:
        return None
    if answer.greeting is None:
        if answer.failure and answer.failure.kind is Kind.GARBLED:
            return f"another service on port {case.port}: it {answer.failure.message}"
        return None
    text = f"the server speaks plain text on port {case.port}"
    if "STLS" in (answer.capabilities or ()):
        return f"{text} and offers STLS: use --starttls with -p {case.port} in place of -S"
    tls_port = case.tls_port()
    if tls_port:
        return f"{text}; TLS is on port {tls_port}"
    return f"{text} and offers no STLS: TLS is not configured there"


def old_tls(case: Case) -> str | None:
    """The server accepts only versions or ciphers that are too old."""
    accepted = [each.number for each in case.findings.of(Version) if each.cipher]
    minimum = case.settings.tls.minimum
    if not accepted:
        return None
    newest = max(accepted)
    if newest < minimum:
        return (
            f"the server speaks nothing newer than TLS {newest}, and the minimum accepted here is"
            f" TLS {minimum}"
        )
    if case.kind is Kind.OLD_TLS:
        return f"TLS {newest} is accepted, but only with ciphers that are too weak"
    return None


def large_packets(case: Case) -> str | None:
    """The server answers some handshakes, and what is lost of the others is large."""
    if case.kind not in _LOST:
        return None
    offered = sorted(case.findings.of(Version), key=lambda each: each.number)
    accepted = [each.number for each in offered if each.cipher]
    alerts = [each.number for each in offered if each.failure and each.failure.kind in _ALERTS]
    lost = [each.number for each in offered if each.failure and each.failure.kind in _LOST]
    device = "a device drops a large ClientHello (post-quantum key share)"
    if accepted and not lost:
        versions = " and ".join(accepted)
        return f"handshakes of TLS {versions} succeed now: the failure was temporary, or {device}"
    if not lost or not (accepted or alerts):
        return None
    outcome = "succeed" if accepted else "end with a small alert"
    text = f"handshakes of TLS {' and '.join(accepted or alerts)} {outcome}, those of TLS"
    text += f" {' and '.join(lost)} {'fail' if accepted else 'fail without one'}: "
    # An accepted version has carried the certificate, which is larger than any ClientHello.
    return text + (device if accepted else f"large packets are lost (path MTU), or {device}")


_LOST = (Kind.TIMEOUT, Kind.CLOSED)
_ALERTS = (Kind.TLS, Kind.OLD_TLS)


def silent(case: Case) -> str | None:
    """The port accepts connections and then sends nothing, neither in plain text nor in TLS."""
    spoken: list[Greeting | Handshake] = [
        *case.findings.of(Greeting),
        *case.findings.of(Handshake),
    ]
    tried = [each for each in spoken if each.address.port == case.port]
    is_silent = all(each.failure and each.failure.kind is Kind.TIMEOUT for each in tried)
    has_spoken = any(each.cipher for each in case.findings.of(Version))
    if case.kind is not Kind.TIMEOUT or not tried or not is_silent or has_spoken:
        return None
    text = (
        f"the server on port {case.port} hangs: it accepts connections and sends nothing, neither"
        " in plain text nor in TLS"
    )
    working = [each for each in spoken if each.address.port != case.port and not each.failure]
    if not working:
        return text
    if isinstance(working[0], Greeting):
        return f"{text}; port {working[0].address.port} works"
    # Dovecot completes handshakes without its authentication process, but greets only with it.
    port = f"port {working[0].address.port} completes TLS handshakes"
    return f"{text}; {port}: is the authentication process stopped?"


def silent_after_tls(case: Case) -> str | None:
    """No port greets, though the handshake succeeds."""
    others = [each for each in case.findings.of(Greeting) if each.address.port != case.port]
    is_silent = any(each.failure and each.failure.kind is Kind.TIMEOUT for each in others)
    if case.settings.tls.security is not Security.IMPLICIT or not is_silent:
        return None
    return (
        f"TLS works, and port {others[0].address.port} does not greet either: is the"
        " authentication process stopped, or the server overloaded?"
    )


_WITHOUT_HANDSHAKE = (Kind.TLS, Kind.OLD_TLS, Kind.CLOSED, Kind.TIMEOUT, Kind.GARBLED)
"""With other kinds the server has sent its certificate, or asked for the client's."""


def no_version(case: Case) -> str | None:
    """No TLS version is accepted."""
    if case.kind not in _WITHOUT_HANDSHAKE:
        return None
    tried = [each for each in case.findings.of(Version) if each.failure or each.cipher]
    if not tried or any(each.cipher for each in tried):
        return None
    return "every TLS version fails: the TLS service is misconfigured"


# --- greeting and STLS -----------------------------------------------------------------------


def tls_from_the_first_byte(case: Case) -> str | None:
    """The port speaks TLS, but the check wants plain text first."""
    handshakes = [each for each in case.findings.of(Handshake) if each.address.port == case.port]
    if not handshakes or not handshakes[0].version:
        return None
    text = f"the server speaks TLS from the first byte on port {case.port}: use -S"
    text += f" with -p {case.port}" if case.port != 995 else ""
    is_stls = case.settings.tls.security is Security.STLS
    return f"{text} in place of --starttls" if is_stls else text


def greets_now(case: Case) -> str | None:
    """The server greets a new connection."""
    answer = case.greeting()
    if not answer or not answer.greeting or answer.failure:
        return None
    if case.kind is Kind.TIMEOUT and answer.seconds >= case.settings.limits.timeout:
        return f"the server greets, but only after {answer.seconds:.1f} s: it is overloaded"
    return "the server greets now: the failure was temporary"


def no_stls(case: Case) -> str | None:
    """STLS is off, and another port speaks TLS."""
    tls_port = case.tls_port()
    if case.kind is not Kind.NO_STLS or tls_port is None:
        return None
    return f"port {tls_port} speaks TLS from the first byte: use -S in place of --starttls"


# --- no phase --------------------------------------------------------------------------------


def slow(case: Case) -> str | None:
    """Addresses failed before the one that was slow."""
    seconds = case.report.seconds()
    if case.kind is not Kind.SLOW or not seconds:
        return None
    longest = max((phase for phase in MEASURED if phase in seconds), key=seconds.__getitem__)
    if longest is not Phase.FAILED:
        return None
    bad = [each for each in case.connections() if each.failure]
    still = _some(str(each.address) for each in bad)
    return f"{still} still cannot be connected to" if bad else connects_now(case)


RULES: dict[Phase | None, tuple[Rule, ...]] = {
    Phase.RESOLVE: (resolves_now, silent_name_servers, answering_name_servers),
    Phase.CONNECT: (connects_now, some_connections, service_down, rejected, filtered, host_down),
    Phase.TLS: (plain_text, old_tls, large_packets, silent, no_version),
    Phase.GREETING: (tls_from_the_first_byte, greets_now, silent, silent_after_tls),
    Phase.CAPA: (silent,),
    Phase.STLS: (no_stls, silent),
    None: (slow,),
}
"""By the phase that failed; None where nothing broke down. After a login has begun no connection
is opened, so that there is nothing to find."""
