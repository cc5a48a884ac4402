"""The likely cause of a failure, in one sentence: what the person on call reads first.

A table of rules; the first that applies wins. A rule draws on evidence that the status line and the
hint of the kind do not have: all findings of the diagnosis, the other addresses, or the time of
each phase. Where no rule applies, the hint stands.
"""

from collections.abc import Callable, Iterable

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
from check_pop3_plus.messages.formats import listed
from check_pop3_plus.model.failures import Kind, Phase
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.report import Report
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.settings import Family, Security, Settings

_Tried = TcpConnection | Greeting | Handshake


def _kinds(facts: Iterable[_Tried | Version]) -> set[Kind | None]:
    """Return the kinds of failure; None where something succeeded."""
    return {each.failure.kind if each.failure else None for each in facts}


def _ports(facts: Iterable[_Tried], kind: Kind | None = None) -> list[int]:
    """Return the ports where a failure was of this kind, or where nothing failed."""
    return [each.address.port for each in facts if _kinds([each]) == {kind}]


_FAMILIES = {Family.ANY: "IPv4 or IPv6", Family.IPV4: "IPv4", Family.IPV6: "IPv6"}


class Evidence:
    """What rules look at, and what their sentences name."""

    def __init__(self, settings: Settings, report: Report, findings: Findings) -> None:
        self.settings, self.sessions = settings, report.sessions
        self.phase, self.kind = findings.problem.phase, findings.problem.kind
        self.port = port = settings.target.port
        self.with_port = "" if port == 995 else f" with -p {port}"
        self.is_tls = settings.tls.security is Security.IMPLICIT
        is_stls = settings.tls.security is Security.STLS
        self.in_place = " in place of --starttls" if is_stls else ""
        self.name = sanitise(settings.target.connect_to or settings.target.hostname)
        self.wanted = _FAMILIES[settings.target.family]
        self.families = sorted({each.family for each in findings.of(Lookup) if each.addresses})
        self.name_servers = findings.of(NameServer)
        self.ping = [each.code for each in findings.of(ToolOutput) if each.name == "ping"]
        """Exit codes: 0 with an answer, 1 without."""
        seconds = report.seconds()
        self.slowest: Phase | None = max(seconds, key=seconds.__getitem__, default=None)
        self._read_versions(findings.of(Version))
        self._read_ports(findings)

    def _read_ports(self, findings: Findings) -> None:
        port = self.port
        tcp, plain, tls = findings.of(TcpConnection), findings.of(Greeting), findings.of(Handshake)
        self.again = [each for each in tcp if each.address.port == port]
        self.tried = len(self.again)
        self.failed = [str(each.address) for each in self.again if each.failure]
        self.some_failed = listed(self.failed, 3)
        greetings = [each for each in plain if each.address.port == port]
        self.greetings = [each for each in greetings if not each.is_in_tls]
        self.greetings_in_tls = [each for each in greetings if each.is_in_tls]
        self.greeting: Greeting | None = next((each for each in greetings if each.greeting), None)
        self.handshakes = [each for each in tls if each.address.port == port]
        self.other_ports = [each for each in tcp if each.address.port != port]
        self.other_greetings = [each for each in plain if each.address.port != port]
        self.tls_ports: list[int] = [port for port in _ports(tls) if port != self.port]
        """Other ports that speak TLS from the first byte."""

        spoken: list[_Tried] = [*self.greetings, *self.handshakes]
        self.is_silent: bool = _kinds(spoken) == {Kind.TIMEOUT} and not self.accepted
        is_both = (self.greetings or not self.is_tls) and (self.handshakes or self.is_tls)
        self.how = ", neither in plain text nor in TLS" if is_both else ""
        closed = _kinds([*self.handshakes, *self.versions]) == {Kind.CLOSED}
        self.closes_on_data: bool = closed and _kinds(self.greetings) == {Kind.TIMEOUT}
        self.plain_text: Greeting | None = self.greeting if self.is_tls else None
        """What greets in plain text where TLS is due."""

    def _read_versions(self, found: list[Version]) -> None:
        versions = sorted(found, key=lambda each: each.number)
        self.versions = [each for each in versions if each.failure or each.cipher]
        self.newest: str = max((each.number for each in versions if each.cipher), default="")
        self.accepted = " and ".join(each.number for each in versions if each.cipher)
        self.lost: list[str] = [each.number for each in versions if _kinds([each]) & {*_LOST}]
        self.alerted: str = " and ".join(
            each.number for each in versions if _kinds([each]) & {*_ALERTS}
        )

    @property
    def sign_of_life(self) -> str:
        """What shows that the host is up: another port, or ping."""
        for port in _ports(self.other_ports):
            return f"port {port} of the host answers"
        for port in _ports(self.other_ports, Kind.REFUSED):
            return f"the host is up: port {port} refuses connections"
        return "the host answers ping" if 0 in self.ping else ""


class Rule(Record):
    sentence: str
    """With the evidence, and as `{0}` what `finds` has found."""
    finds: Callable[[Evidence], object]
    """Returns nothing where the rule does not apply."""
    phases: tuple[Phase | None, ...] = ()
    """Phases that failed, or none for every phase."""
    kinds: tuple[Kind, ...] = ()
    """Kinds of the failure, or none for every kind."""

    def applies(self, seen: Evidence) -> object:
        """Return what the rule finds, or nothing."""
        fits_phase = not self.phases or seen.phase in self.phases
        fits_kind = not self.kinds or seen.kind in self.kinds
        return fits_phase and fits_kind and self.finds(seen)


def cause(settings: Settings, report: Report, findings: Findings) -> str:
    """Return the sentence of the first rule that applies, or nothing."""
    seen = Evidence(settings, report, findings)
    for rule in RULES:
        if found := rule.applies(seen):
            listed = " and ".join(map(str, found)) if isinstance(found, list) else found
            return rule.sentence.format(listed, seen=seen)
    return ""


# --- what needs more than a line ---------------------------------------------------------------


def _some_addresses(seen: Evidence) -> str:
    """Return which addresses of the name fail while others work."""
    bad = [(each.address, each.failure) for each in seen.sessions if each.failure]
    good = [each.address for each in seen.sessions if each.failure is None]
    # Of addresses that cost time line 1 says which.
    if not good or not bad or not (seen.phase or seen.kind in (Kind.PARTIAL, Kind.TOO_FEW)):
        return ""
    which = [
        f"{address} ({why.kind.value}" + (f" in phase {why.phase.value})" if why.phase else ")")
        for address, why in bad
    ]
    text = f"{len(bad)} of {len(bad) + len(good)} addresses of the name"
    text += f" {'fails' if len(bad) == 1 else 'fail'}: {listed(which, 3)}"
    families = {address.is_ipv6 for address, _ in bad}
    if len(families) == 1 and not families & {address.is_ipv6 for address in good}:
        text += f"; only {'IPv6' if families == {True} else 'IPv4'} is affected"
    return text


_NO_ANSWER = {
    Kind.REFUSED: "does not listen",
    Kind.UNREACHABLE: "cannot be reached",
    Kind.GARBLED: "sends no valid DNS answer",
}


def _silent_name_servers(seen: Evidence) -> str:
    """Return which name servers do not answer, unless another one says that there is no name."""
    asked = seen.name_servers
    silent = [each for each in asked if each.code is None]
    answering = ", ".join(f"{each.server} ({each.code})" for each in asked if each.code)
    if not silent or (seen.kind is Kind.UNRESOLVED and answering):
        return ""
    failure = silent[0].failure
    how = _NO_ANSWER.get(failure.kind if failure else Kind.TIMEOUT, "does not answer")
    names = ", ".join(each.server for each in silent)
    if len(asked) == 1:
        return f"the only name server of this machine, {names}, {how}"
    if not answering:
        return f"none of the {len(asked)} name servers of this machine answers ({names})"
    return f"of the name servers of this machine {names} {how}; others do: {answering}"


def _disagreement(seen: Evidence) -> str:
    answers = {f"{each.server} {each.code}": each.code for each in seen.name_servers if each.code}
    return ", ".join(answers) if len(set(answers.values())) > 1 else ""


def _answer(code: str, records: bool | None = None) -> Callable[[Evidence], object]:
    """Return the condition that a name server gives this answer, with or without records."""

    def finds(seen: Evidence) -> object:
        answers = [each for each in seen.name_servers if each.code == code]
        fits = [each.server for each in answers if records in (None, bool(each.records))]
        return fits[:1]

    return finds


def _silent_ports(seen: Evidence) -> str:
    ports = sorted({str(each.address.port) for each in seen.other_ports})
    ping = ", nor does ping" if 1 in seen.ping else ""
    return f"{' and '.join(ports)} does not answer either{ping}" if ports else ""


# --- the table ---------------------------------------------------------------------------------

_CONNECTS = "connections work now: the failure was temporary"
_PLAIN = "the server speaks plain text on port {seen.port}"
_HANGS = "the server on port {seen.port} hangs: it accepts connections and sends nothing{seen.how}"
_DROPPED = "a device drops a large ClientHello (post-quantum key share)"
_PROXY = "a PROXY protocol header (HAProxy accept-proxy, nginx proxy_protocol, Dovecot haproxy)"
_RESOLVE, _CONNECT, _TLS, _GREETING = (
    (phase,) for phase in (Phase.RESOLVE, Phase.CONNECT, Phase.TLS, Phase.GREETING)
)
_REFUSED, _LATE, _SLOW, _NO_STLS = (
    (kind,) for kind in (Kind.REFUSED, Kind.TIMEOUT, Kind.SLOW, Kind.NO_STLS)
)
_LOST, _ALERTS = (Kind.TIMEOUT, Kind.CLOSED), (Kind.TLS, Kind.OLD_TLS)

# With other kinds the server has sent its certificate, or asked for the client's.
_WITHOUT_HANDSHAKE = (Kind.TLS, Kind.OLD_TLS, Kind.CLOSED, Kind.TIMEOUT, Kind.GARBLED)

# fmt: off
RULES = (
    Rule("only {0}", _some_addresses),

    Rule("the name has no {seen.wanted} address, only {0}", lambda seen: not any(each in seen.wanted for each in seen.families) and seen.families, _RESOLVE),
    Rule("the name resolves now ({0}): the name servers were slow, or briefly down", lambda seen: [each for each in seen.families if each in seen.wanted], _RESOLVE),
    Rule("{0}", _silent_name_servers, _RESOLVE),
    Rule("the name servers of this machine disagree: {0}", _disagreement, _RESOLVE),
    Rule("the name {seen.name} does not exist, according to name server {0}", _answer("NXDOMAIN"), _RESOLVE),
    Rule("name server {0} returned SERVFAIL: the name servers of the zone are down, or DNSSEC validation failed", _answer("SERVFAIL"), _RESOLVE),
    Rule("name server {0} refuses to answer this machine", _answer("REFUSED"), _RESOLVE),
    Rule("the name {seen.name} exists, but has no such address, according to name server {0}", _answer("NOERROR", records=False), _RESOLVE),
    Rule("name server {0} resolves the name: the resolver of this machine uses a different server (nsswitch, resolved?)", _answer("NOERROR", records=True), _RESOLVE),
    Rule("name server {0}", lambda seen: [f"{each.server} answers {each.code}" for each in seen.name_servers if each.code][:1], _RESOLVE),

    Rule(_CONNECTS, lambda seen: seen.again and not seen.failed, _CONNECT),
    Rule("only {0} of {seen.tried} addresses cannot be connected to: {seen.some_failed}", lambda seen: len(seen.failed) < seen.tried and len(seen.failed), _CONNECT),
    Rule("only port {seen.port} is affected: port {0} of the host accepts connections", lambda seen: _ports(seen.other_ports)[:1], _CONNECT, _REFUSED),
    Rule("the host is up, but its POP3 server is not running: port {0} refuses connections, too", lambda seen: _ports(seen.other_ports, Kind.REFUSED)[:1], _CONNECT, _REFUSED),
    Rule("a packet filter rejects connections to port {seen.port}: {0}", lambda seen: seen.sign_of_life, _CONNECT, (Kind.UNREACHABLE,)),
    Rule("port {seen.port} is filtered, or the service has stopped accepting connections: {0}", lambda seen: seen.sign_of_life, _CONNECT, _LATE),
    Rule("host down or unreachable: port {0}", _silent_ports, _CONNECT, _LATE),

    Rule(_PLAIN + " and offers STLS: use --starttls with -p {seen.port} in place of -S", lambda seen: seen.plain_text and "STLS" in (seen.plain_text.capabilities or ()), _TLS),
    Rule(_PLAIN + "; TLS is on port {0}", lambda seen: seen.plain_text and seen.tls_ports, _TLS),
    Rule(_PLAIN + " and offers no STLS: TLS is not configured there", lambda seen: seen.plain_text, _TLS),
    Rule("another service on port {seen.port}: it {0}", lambda seen: [each.failure.message for each in seen.greetings if seen.is_tls and each.failure and each.failure.kind is Kind.GARBLED], _TLS),
    Rule("the server speaks nothing newer than TLS {seen.newest}, and the minimum accepted here is TLS {seen.settings.tls.minimum}", lambda seen: "" < seen.newest < seen.settings.tls.minimum, _TLS),
    Rule("TLS {0} is accepted, but only with ciphers that are too weak", lambda seen: seen.newest, _TLS, (Kind.OLD_TLS,)),
    Rule("handshakes of TLS {seen.accepted} succeed, those of TLS {0} fail: " + _DROPPED, lambda seen: seen.accepted and seen.lost, _TLS, _LOST),
    # An accepted version has carried the certificate, which is larger than any ClientHello.
    Rule("handshakes of TLS {0} succeed now: the failure was temporary, or " + _DROPPED, lambda seen: seen.accepted, _TLS, _LOST),
    Rule("handshakes of TLS {seen.alerted} end with a small alert, those of TLS {0} fail without one: large packets are lost (path MTU), or " + _DROPPED, lambda seen: seen.alerted and seen.lost, _TLS, _LOST),

    Rule("the server speaks TLS from the first byte on port {seen.port}: use -S{seen.with_port}{seen.in_place}", lambda seen: any(each.version for each in seen.handshakes), _GREETING),
    Rule("the server greets, but only after {0:.1f} s: it is overloaded", lambda seen: seen.greeting and seen.greeting.seconds >= seen.settings.limits.timeout and seen.greeting.seconds, _GREETING, _LATE),
    Rule("the server greets now: the failure was temporary", lambda seen: seen.greeting and not seen.greeting.failure, _GREETING),
    Rule("port {seen.port} sends nothing, and closes the connection when data arrives: does it expect " + _PROXY + "?", lambda seen: seen.closes_on_data, _GREETING),
    Rule("every TLS version fails without an alert, and plain text without an answer: the TLS service is misconfigured, or the port expects " + _PROXY, lambda seen: seen.closes_on_data, _TLS),
    Rule(_HANGS + "; port {0} works", lambda seen: seen.is_silent and _ports(seen.other_greetings)[:1], kinds=_LATE),
    # Dovecot completes handshakes without its authentication process, but greets only with it.
    Rule(_HANGS + "; port {0} completes TLS handshakes: is the authentication process stopped?", lambda seen: seen.is_silent and seen.tls_ports, kinds=_LATE),
    Rule(_HANGS, lambda seen: seen.is_silent, kinds=_LATE),
    Rule("TLS works, and port {0} does not greet either: is the authentication process stopped, or the server overloaded?", lambda seen: seen.is_tls and _ports(seen.other_greetings, Kind.TIMEOUT)[:1], _GREETING),
    Rule("TLS works, and no greeting follows: is the authentication process stopped, or the server overloaded?", lambda seen: _kinds(seen.greetings_in_tls) == {Kind.TIMEOUT}, _GREETING),
    Rule("the server knows no certificate for {0}, in every TLS version: check -H and --sni", lambda seen: seen.versions and all(each.failure and "unrecognized name" in each.failure.message for each in seen.versions) and sanitise(seen.settings.tls.name), _TLS, _WITHOUT_HANDSHAKE),
    Rule("every TLS version fails: the TLS service is misconfigured", lambda seen: seen.versions and not seen.accepted, _TLS, _WITHOUT_HANDSHAKE),
    Rule("port {0} speaks TLS from the first byte: use -S in place of --starttls", lambda seen: seen.tls_ports, kinds=_NO_STLS),

    Rule("{seen.some_failed} still cannot be connected to", lambda seen: seen.slowest is Phase.FAILED and seen.failed, kinds=_SLOW),
    Rule(_CONNECTS, lambda seen: seen.slowest is Phase.FAILED and seen.again, kinds=_SLOW),
)
# fmt: on
"""The first that applies wins. After a login has begun no connection is opened, so that there is
nothing to find."""
