"""The likely cause of a failure, in one sentence: what the person on call reads first.

A table of rules for each phase, first match wins. A rule is a pure function of what the look and
the diagnosis have seen: it returns a sentence, or None where it does not apply.
"""

from collections.abc import Callable, Sequence

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
from check_pop3_plus.messages import certificates
from check_pop3_plus.messages.formats import date
from check_pop3_plus.model.failures import MEASURED, Kind, Phase
from check_pop3_plus.model.report import Report, Session
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.settings import Family, Security, Settings

NOTHING = "as the status line says; nothing was found that tells more"


class Case:
    """All that a rule may look at."""

    def __init__(self, settings: Settings, report: Report, findings: Findings) -> None:
        self.settings = settings
        self.report = report
        self.findings = findings
        problem = findings.problem
        self.phase, self.kind, self.session = problem.phase, problem.kind, problem.session
        self.address = self.session.address if self.session else None
        self.port = settings.target.port
        self.message = ""
        """Of the failure, without a subject: `closed the connection`."""
        failure = self.session.failure if self.session else report.failure
        if failure:
            self.message = failure.message

    def here(self) -> list[TcpConnection]:
        """Return the connections that were tried again, on the port that failed."""
        found = self.findings.of(TcpConnection)
        return [each for each in found if each.address.port == self.port]

    def elsewhere(self) -> list[TcpConnection]:
        """Return those to other ports of the host."""
        found = self.findings.of(TcpConnection)
        return [each for each in found if each.address.port != self.port]

    def sign_of_life(self) -> str | None:
        """Return how the host answers, whatever happens on the port."""
        for each in self.elsewhere():
            if each.failure is None:
                return f"port {each.address.port} of the host answers"
        for each in self.elsewhere():
            if each.failure and each.failure.kind is Kind.REFUSED:
                return f"the host answers on port {each.address.port}, if only to refuse"
        pings = [each for each in self.findings.of(ToolOutput) if each.name == "ping"]
        return "the host answers ping" if any(each.code == 0 for each in pings) else None

    def tls_port(self) -> int | None:
        """Return another port of the host that speaks TLS from the first byte."""
        shaken = [each for each in self.findings.of(Handshake) if each.version]
        return next((each.address.port for each in shaken if each.address.port != self.port), None)


Rule = Callable[[Case], str | None]


def cause(settings: Settings, report: Report, findings: Findings) -> str:
    """Return the likely cause of what failed."""
    case = Case(settings, report, findings)
    rules: Sequence[Rule] = (some_addresses, *RULES.get(case.phase, ()))
    return next((said for rule in rules if (said := rule(case))), NOTHING)


# --- addresses -------------------------------------------------------------------------------


def some_addresses(case: Case) -> str | None:
    """Some addresses of the name fail, and others work."""
    good = [each for each in case.report.sessions if each.failure is None]
    bad = [each for each in case.report.sessions if each.failure]
    is_about_them = case.phase or case.kind in (Kind.PARTIAL, Kind.TOO_FEW, Kind.SLOW)
    if not good or not bad or not is_about_them:
        return None
    which = ", ".join(f"{each.address} ({_how(each)})" for each in bad[:3])
    more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
    how_many = f"only {len(bad)} of {len(bad) + len(good)} addresses of the name"
    said = f"{how_many} {'fails' if len(bad) == 1 else 'fail'}: {which}{more}"
    families = {each.address.is_ipv6 for each in bad}
    if len(families) == 1 and not families & {each.address.is_ipv6 for each in good}:
        family = "IPv6" if families == {True} else "IPv4"
        said += f"; {family} alone is affected"
    return said


def _how(session: Session) -> str:
    failure = session.failure
    if failure is None:
        return "works"
    return failure.kind.value + (f" in phase {failure.phase.value}" if failure.phase else "")


# --- resolve ---------------------------------------------------------------------------------


def found_now(case: Case) -> str | None:
    found = {each.family for each in case.findings.of(Lookup) if each.addresses}
    wanted = _FAMILIES[case.settings.target.family]
    if not found:
        return None
    if not found & wanted:
        return f"the name has no {' or '.join(wanted)} address, only {' and '.join(sorted(found))}"
    families = " and ".join(sorted(found & wanted))
    return f"the name is found now ({families}): the name servers were slow, or down for a moment"


_FAMILIES = {
    Family.ANY: {"IPv4", "IPv6"},
    Family.IPV4: {"IPv4"},
    Family.IPV6: {"IPv6"},
}


def silent_name_servers(case: Case) -> str | None:
    asked = case.findings.of(NameServer)
    if case.kind is Kind.UNRESOLVED and any(each.code for each in asked):
        return None  # somebody answers that there is no such name
    silent = [each for each in asked if each.code is None]
    if not silent:
        return None
    reasons = {
        Kind.REFUSED: "does not listen",
        Kind.UNREACHABLE: "cannot be reached",
        Kind.GARBLED: "does not answer in DNS",
    }
    first = silent[0].failure
    how = reasons.get(first.kind, "does not answer") if first else "does not answer"
    if len(asked) == 1:
        return f"the only name server of this machine, {asked[0].server}, {how}"
    if len(silent) == len(asked):
        names = ", ".join(each.server for each in asked)
        return f"none of the {len(asked)} name servers of this machine answers ({names})"
    names = ", ".join(each.server for each in silent)
    others = ", ".join(f"{each.server} ({each.code})" for each in asked if each.code)
    return f"of the name servers of this machine {names} {how}; others do: {others}"


def answering_name_servers(case: Case) -> str | None:
    answers = [each for each in case.findings.of(NameServer) if each.code]
    if not answers:
        return None
    name = sanitise(case.settings.target.connect_to or case.settings.target.hostname)
    who = f"name server {answers[0].server}"
    match answers[0].code:
        case "NXDOMAIN":
            return f"the name {name} does not exist, says {who}"
        case "SERVFAIL":
            return f"{who} fails to find it out: the servers of the zone are down, or DNSSEC fails"
        case "REFUSED":
            return f"{who} refuses to answer this machine"
        case "NOERROR" if not answers[0].records:
            return f"the name {name} exists, but has no such address, says {who}"
        case "NOERROR":
            return f"{who} knows the name: the resolver of this machine asks somebody else"
    return f"{who} answers {answers[0].code}"


# --- connect ---------------------------------------------------------------------------------


def passed(case: Case) -> str | None:
    here = case.here()
    if here and all(each.failure is None for each in here):
        return "connections work now: the failure has passed"
    return None


def other_addresses(case: Case) -> str | None:
    """Some addresses work now, though the look did not come to them."""
    here = case.here()
    good = [each for each in here if each.failure is None]
    if not good:
        return None
    bad = [str(each.address) for each in here if each.failure]
    more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
    which = ", ".join(bad[:3]) + more
    return f"only {len(bad)} of {len(here)} addresses cannot be connected to: {which}"


def refused(case: Case) -> str | None:
    if case.kind is not Kind.REFUSED:
        return None
    working = [each.address.port for each in case.elsewhere() if each.failure is None]
    said = f"nothing listens on port {case.port}: the service is not running, or a packet filter"
    said += " rejects the connection"
    return f"{said}; port {working[0]} of the host answers" if working else said


def unreachable(case: Case) -> str | None:
    if case.kind is not Kind.UNREACHABLE:
        return None
    return f"this machine has no way to the address: {case.message}"


def filtered(case: Case) -> str | None:
    alive = case.sign_of_life()
    if case.kind is not Kind.TIMEOUT or not alive:
        return None
    return f"port {case.port} is filtered, or the service accepts nobody any more: {alive}"


def host_down(case: Case) -> str | None:
    elsewhere = case.elsewhere()
    if case.kind is not Kind.TIMEOUT or not elsewhere:
        return None
    ports = " and ".join(str(port) for port in sorted({each.address.port for each in elsewhere}))
    pings = [each for each in case.findings.of(ToolOutput) if each.name == "ping"]
    ping = ", nor does ping" if any(each.code == 1 for each in pings) else ""
    return f"the host is down, or the way to it is cut: port {ports} does not answer either{ping}"


# --- TLS -------------------------------------------------------------------------------------


def plain_text(case: Case) -> str | None:
    """POP3 in plain text where TLS was asked for from the first byte."""
    heard = [each for each in case.findings.of(Greeting) if each.address.port == case.port]
    if case.settings.tls.security is not Security.IMPLICIT or not heard:
        return None
    failure = heard[0].failure
    if heard[0].said is None:
        if failure and failure.kind is Kind.GARBLED:
            return f"another service on port {case.port}: it {failure.message}"
        return None
    said = f"the server speaks plain text on port {case.port}"
    if "STLS" in (heard[0].capabilities or ()):
        return f"{said} and offers STLS: use --starttls with -p {case.port} in place of -S"
    tls_port = case.tls_port()
    if tls_port:
        return f"{said}; TLS is on port {tls_port}"
    return f"{said} and offers no STLS: TLS is not set up there"


def rejected_certificate(case: Case) -> str | None:
    session = case.session
    if session is None or session.failure is None or session.chain.leaf is None:
        return None
    if case.kind not in certificates.REJECTIONS:
        return None
    name, now = case.settings.tls.name, case.report.now
    said = certificates.rejection(session.failure, session.chain, name, "the certificate", now)
    if case.kind in (Kind.EXPIRED, Kind.NOT_YET_VALID):
        return f"{said}, by the clock here ({date(now)})"
    if case.kind is Kind.UNTRUSTED:
        return _untrusted(session, said)
    return said


def _untrusted(session: Session, said: str) -> str:
    top = session.chain.path[-1] if session.chain.path else None
    if top is None or top.issuer is None:
        return said
    if not top.is_self_issued:
        return (
            f"the issuer ({sanitise(top.issuer, 60)}) was not sent and is not known here: the"
            " server leaves out its intermediate certificate, or the issuer is to be trusted by"
            " --ca-file"
        )
    if len(session.chain.path) > 1:
        return f"the chain ends in a root that is not trusted here ({sanitise(top.issuer, 60)})"
    return "the certificate is self-signed: no authority vouches for it"


def old_tls(case: Case) -> str | None:
    tried = case.findings.of(Version)
    accepted = sorted(each.number for each in tried if each.cipher)
    minimum = case.settings.tls.minimum
    if not accepted:
        return None
    if max(accepted) < minimum:
        return (
            f"the server speaks nothing newer than TLS {max(accepted)}, and {minimum} is the least"
            " that is accepted here"
        )
    if case.kind is Kind.OLD_TLS:
        return f"TLS {max(accepted)} is spoken, but only with ciphers that are too weak to be used"
    return None


def client_certificate(case: Case) -> str | None:
    if case.kind is not Kind.CLIENT_CERTIFICATE:
        return None
    given = case.settings.tls.client_cert
    return (
        "the server does not accept the client certificate"
        if given
        else "the server wants to see a client certificate, and none was given (--client-cert)"
    )


def silent(case: Case) -> str | None:
    """The connection is accepted, and then nothing comes, in plain text or in TLS."""
    if case.kind is not Kind.TIMEOUT:
        return None
    spoken: list[Greeting | Handshake] = [
        *case.findings.of(Greeting),
        *case.findings.of(Handshake),
    ]
    tried = [each for each in spoken if each.address.port == case.port]
    if not all(each.failure and each.failure.kind is Kind.TIMEOUT for each in tried):
        return None
    said = f"the service on port {case.port} hangs: it accepts connections and says nothing"
    said += ", neither in plain text nor in TLS" if tried else ""
    working = [each for each in spoken if each.address.port != case.port and not each.failure]
    return f"{said}; port {working[0].address.port} works" if working else said


def no_version(case: Case) -> str | None:
    tried = [each for each in case.findings.of(Version) if each.failure or each.cipher]
    if not tried or any(each.cipher for each in tried):
        return None
    return "every handshake fails, whatever version of TLS: the service is set up wrong"


# --- greeting --------------------------------------------------------------------------------


def tls_from_the_first_byte(case: Case) -> str | None:
    shaken = [each for each in case.findings.of(Handshake) if each.address.port == case.port]
    if not shaken or not shaken[0].version:
        return None
    said = f"the server speaks TLS from the first byte on port {case.port}: use -S"
    said += f" with -p {case.port}" if case.port != 995 else ""
    is_stls = case.settings.tls.security is Security.STLS
    return f"{said} in place of --starttls" if is_stls else said


def greets_now(case: Case) -> str | None:
    heard = [each for each in case.findings.of(Greeting) if each.address.port == case.port]
    if any(each.said and each.failure is None for each in heard):
        return "the server greets now: the failure has passed"
    return None


def closed(case: Case) -> str | None:
    if case.kind is not Kind.CLOSED:
        return None
    return (
        "the server accepts the connection and hangs up: an access list, too many connections,"
        " or a back end that is down"
    )


def other_service(case: Case) -> str | None:
    if case.kind is not Kind.GARBLED:
        return None
    return f"another service, or a broken one, on port {case.port}: it {case.message}"


def refuses_service(case: Case) -> str | None:
    if case.kind not in (Kind.GREETING, Kind.GREETING_TEMPORARY):
        return None
    return f"the server is up and turns clients away: it {case.message}"


# --- STLS, login and the rest ----------------------------------------------------------------


def no_stls(case: Case) -> str | None:
    if case.kind is not Kind.NO_STLS:
        return None
    said = f"TLS is switched off on port {case.port}: the server {case.message}"
    tls_port = case.tls_port()
    return f"{said}; port {tls_port} speaks TLS: use -S" if tls_port else said


def login(case: Case) -> str | None:
    wanted = case.settings.login
    if wanted is None:
        return None
    match case.kind:
        case Kind.CREDENTIALS:
            return (
                "the service works, but does not take the credentials of"
                f" {sanitise(wanted.username)}: wrong, changed, or locked"
            )
        case Kind.TIMEOUT | Kind.CLOSED:
            return "the service works up to the login: its authentication back end is slow or down"
        case Kind.IN_USE:
            return "the credentials are right; another session holds the mailbox"
        case Kind.LOGIN_DELAY:
            return "the credentials are right; this check logs in more often than the server allows"
        case Kind.TEMPORARY | Kind.PERMANENT:
            return f"not the credentials, says the server: it {case.message}"
    return f"the service works up to the login: the server {case.message}"


def mailbox(case: Case) -> str | None:
    return f"the credentials are right, but the mailbox cannot be read: the server {case.message}"


def slow(case: Case) -> str | None:
    seconds = case.report.seconds()
    if case.kind is not Kind.SLOW or not seconds:
        return None
    longest = max((phase for phase in MEASURED if phase in seconds), key=seconds.__getitem__)
    whole = sum(taken for phase, taken in seconds.items() if phase in MEASURED)
    return f"{seconds[longest]:.3f} of {whole:.3f} s went into phase {longest.value}"


def expiring(case: Case) -> str | None:
    leaf = case.session.chain.leaf if case.session else None
    if case.kind not in (Kind.EXPIRING, Kind.EXPIRED) or leaf is None:
        return None
    now = case.report.now
    chain = [leaf, *([case.session.chain.first_issuer_to_end] if case.session else [])]
    dated = [each for each in chain if each and each.not_after]
    first = min(dated, key=lambda each: each.not_after or now, default=leaf)
    which = "the certificate" if first is leaf else "an issuer of the certificate"
    state = certificates.validity(first, now).removeprefix("certificate ")
    return f"{which} was not renewed: {state}, by the clock here ({date(now)})"


RULES: dict[Phase | None, tuple[Rule, ...]] = {
    Phase.RESOLVE: (found_now, silent_name_servers, answering_name_servers),
    Phase.CONNECT: (passed, other_addresses, refused, unreachable, filtered, host_down),
    Phase.TLS: (
        plain_text,
        rejected_certificate,
        client_certificate,
        old_tls,
        silent,
        no_version,
        closed,
    ),
    Phase.GREETING: (
        tls_from_the_first_byte,
        greets_now,
        silent,
        closed,
        other_service,
        refuses_service,
    ),
    Phase.CAPA: (silent, closed, other_service),
    Phase.STLS: (no_stls, silent, closed),
    Phase.LOGIN: (login,),
    Phase.STAT: (mailbox,),
    None: (slow, expiring),
}
"""By the phase that failed; None where nothing broke down."""
