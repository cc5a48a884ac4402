"""Rules of the likely cause, on records made by hand: no network, no clock."""

from collections.abc import Sequence

import pytest

from check_pop3_plus.diagnosis import likely_cause
from check_pop3_plus.diagnosis.findings import (
    Fact,
    Findings,
    Greeting,
    Handshake,
    Lookup,
    NameServer,
    Problem,
    TcpConnection,
    ToolOutput,
    Version,
)
from check_pop3_plus.diagnosis.likely_cause import Evidence
from check_pop3_plus.model.failures import Failure, Kind, Phase
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.report import Address, Lap, Report, Session
from check_pop3_plus.model.sanitised_text import printable
from tests.pki.certificate_facts import NOW
from tests.support.settings_from import check_settings

NOTHING = ""
"""No rule applies."""

HERE = Address("192.0.2.1", 110)
THERE = HERE.replace(port=995)
SIX = Address("2001:db8::1", 110, is_ipv6=True)


def failure(kind: Kind, message: str = "no answer in time") -> Failure:
    return Failure(kind, None, printable(message))


LATE, REFUSED = failure(Kind.TIMEOUT), failure(Kind.REFUSED, "connection refused")
CUT, ALERT = failure(Kind.CLOSED, "closed"), failure(Kind.TLS, "sent an alert")
UNNAMED = failure(Kind.TLS, "failed the TLS handshake: unrecognized name: check --sni (alert 112)")
SILENT, DEAF = Greeting(HERE, failure=LATE), Handshake(HERE, failure=LATE)
FOUND = Lookup("IPv4", 0.1, (HERE,))
PLAIN, STLS = (Greeting(HERE, printable("+OK"), (printable(each),)) for each in ("UIDL", "STLS"))
TLS_HERE, TLS_THERE = (Handshake(where, printable("TLSv1.3")) for where in (HERE, THERE))
UP, DOWN = TcpConnection(HERE, 0.1), TcpConnection(HERE, 4, LATE)
PING, NO_PING = (ToolOutput("ping", printable("192.0.2.1"), code) for code in (0, 1))
HIGH = Greeting(HERE.replace(port=2110), printable("+OK"))


def name_server(number: int, code: str | None = None, records: int = 0) -> NameServer:
    why = None if code else LATE
    return NameServer(printable(f"192.0.2.{number}"), 0.1, code, records, why)


def versions(**results: Failure | None) -> list[Fact]:
    """Return the results of handshakes by version, the newest first: `v13=None` is accepted."""
    return [
        Version(f"{name[1]}.{name[2]}", None if why else printable("AES"), why)
        for name, why in sorted(results.items(), reverse=True)
    ]


class Case(Record):
    """A failure, what was found, and what that means."""

    phase: Phase | None
    kind: Kind
    facts: Sequence[Fact]
    expected: str
    argv: str = ""


def report_of(case: Case, others: tuple[Session, ...] = (), failed: float = 0.0) -> Report:
    phase = case.phase
    session = Session(HERE)
    session.failure = Failure(case.kind, phase, printable("no answer")) if phase else None
    session.timeline.laps.append(Lap(Phase.GREETING, 1.5, ok=True))
    session.began, session.ended = 10 + failed, 12 + failed
    sessions = () if phase is Phase.RESOLVE else (*others, session)
    ended = session.failure if phase is Phase.RESOLVE else None
    lap = Lap(Phase.RESOLVE, 0.5, True)
    return Report(sessions, sessions[-1:], lap, ended, None, NOW.timestamp())


def cause(case: Case, *others: Session, failed: float = 0.0) -> str:
    report = report_of(case, others, failed)
    settings = check_settings(f"-H pop.example.test {case.argv}".split())
    about = Problem(case.phase, case.kind, report.sessions[-1] if report.sessions else None)
    return likely_cause.cause(settings, report, Findings(about, tuple(case.facts)))


RESOLVER, UNRESOLVED = Kind.RESOLVER, Kind.UNRESOLVED
DROPPED = "a device drops a large ClientHello (post-quantum key share)"
FILTERED = "port 110 is filtered, or the service has stopped accepting connections: "
PLAIN_TEXT = "the server speaks plain text on port 110"
HANGS = "the server on port 110 hangs: it accepts connections and sends nothing"
IN_BOTH = f"{HANGS}, neither in plain text nor in TLS"
STOPPED = "is the authentication process stopped"
PROXY = "a PROXY protocol header (HAProxy accept-proxy, nginx proxy_protocol, Dovecot haproxy)"
FROM_FIRST = "the server speaks TLS from the first byte on port"
THE_NAME = "the name pop.example.test"
S110 = "-S -p 110"

RESOLVE: list[tuple[Kind, Sequence[Fact], str]] = [
    (
        RESOLVER,
        [FOUND],
        "the name resolves now (IPv4): the name servers were slow, or briefly down",
    ),
    (
        RESOLVER,
        [FOUND.replace(family="IPv6"), FOUND],
        "the name resolves now (IPv4 and IPv6): the name servers were slow, or briefly down",
    ),
    (RESOLVER, [Lookup("IPv4", 0.1)], NOTHING),  # it has not resolved the name
    (
        RESOLVER,
        [name_server(53)],
        "the only name server of this machine, 192.0.2.53, does not answer",
    ),
    *(
        (
            RESOLVER,
            [name_server(53).replace(failure=failure(kind))],
            f"the only name server of this machine, 192.0.2.53, {how}",
        )
        for kind, how in (
            (Kind.REFUSED, "does not listen"),
            (Kind.UNREACHABLE, "cannot be reached"),
            (Kind.GARBLED, "sends no valid DNS answer"),
        )
    ),
    (
        RESOLVER,
        [name_server(53), name_server(54)],
        "none of the 2 name servers of this machine answers (192.0.2.53, 192.0.2.54)",
    ),
    (
        RESOLVER,
        [name_server(53), name_server(54, "SERVFAIL")],
        "of the name servers of this machine 192.0.2.53 does not answer; others do:"
        " 192.0.2.54 (SERVFAIL)",
    ),
    (
        RESOLVER,
        [name_server(53), name_server(54, "SERVFAIL"), name_server(55, "REFUSED")],
        "of the name servers of this machine 192.0.2.53 does not answer; others do:"
        " 192.0.2.54 (SERVFAIL), 192.0.2.55 (REFUSED)",
    ),
    (
        UNRESOLVED,
        [name_server(53, "NXDOMAIN"), name_server(54, "NXDOMAIN")],
        f"{THE_NAME} does not exist, according to name server 192.0.2.53",
    ),
    (
        UNRESOLVED,
        [name_server(53), name_server(54, "NXDOMAIN")],
        f"{THE_NAME} does not exist, according to name server 192.0.2.54",
    ),
    (
        UNRESOLVED,
        [name_server(53, "NXDOMAIN"), name_server(54, "NOERROR", 1)],
        "the name servers of this machine disagree: 192.0.2.53 NXDOMAIN, 192.0.2.54 NOERROR",
    ),
    (
        UNRESOLVED,
        [name_server(53, "NOERROR")],
        f"{THE_NAME} exists, but has no such address, according to name server 192.0.2.53",
    ),
    (
        RESOLVER,
        [name_server(53, "SERVFAIL")],
        "name server 192.0.2.53 returned SERVFAIL: the name servers of the zone are down, or"
        " DNSSEC validation failed",
    ),
    (
        RESOLVER,
        [name_server(53, "REFUSED")],
        "name server 192.0.2.53 refuses to answer this machine",
    ),
    (
        RESOLVER,
        [name_server(53, "NOERROR", 1)],
        "name server 192.0.2.53 resolves the name: the resolver of this machine uses a different"
        " server (nsswitch, resolved?)",
    ),
    (
        RESOLVER,
        [name_server(53, "code 11"), name_server(54, "code 11")],
        "name server 192.0.2.53 answers code 11",
    ),
]

CONNECT: list[tuple[Kind, list[Fact], str]] = [
    (
        Kind.TIMEOUT,
        [UP, *(DOWN.replace(address=Address(f"192.0.2.{n}", 110)) for n in (5, 6, 7, 8))],
        "only 4 of 5 addresses cannot be connected to: 192.0.2.5:110, 192.0.2.6:110, 192.0.2.7:110"
        " and 1 more",
    ),
    (Kind.TIMEOUT, [UP], "connections work now: the failure was temporary"),
    (
        Kind.TIMEOUT,
        [UP.replace(address=SIX), DOWN],
        "only 1 of 2 addresses cannot be connected to: 192.0.2.1:110",
    ),
    (Kind.TIMEOUT, [DOWN, UP.replace(address=THERE)], f"{FILTERED}port 995 of the host answers"),
    (
        Kind.TIMEOUT,
        [DOWN, TcpConnection(THERE, 0.1, REFUSED)],
        f"{FILTERED}the host is up: port 995 refuses connections",
    ),
    (Kind.TIMEOUT, [DOWN.replace(address=THERE), PING], f"{FILTERED}the host answers ping"),
    (
        Kind.TIMEOUT,
        [DOWN, DOWN.replace(address=THERE)],
        "host down or unreachable: port 995 does not answer either",
    ),
    (
        Kind.TIMEOUT,
        [DOWN.replace(address=THERE), DOWN.replace(address=HIGH.address), NO_PING],
        "host down or unreachable: port 2110 and 995 does not answer either, nor does ping",
    ),
    (
        Kind.UNREACHABLE,
        [TcpConnection(HERE, 0.1, failure(Kind.UNREACHABLE)), PING],
        "a packet filter rejects connections to port 110: the host answers ping",
    ),
    (
        Kind.UNREACHABLE,
        [TcpConnection(HERE, 0.1, failure(Kind.UNREACHABLE)), NO_PING],
        NOTHING,
    ),
    (
        Kind.REFUSED,
        [
            TcpConnection(HERE, 0.1, REFUSED),
            *(UP.replace(address=each) for each in (THERE, HIGH.address)),
        ],
        "only port 110 is affected: port 995 of the host accepts connections",
    ),
    (
        Kind.REFUSED,
        [TcpConnection(each, 0.1, REFUSED) for each in (HERE, THERE, HIGH.address)],
        "the host is up, but its POP3 server is not running: port 995 refuses connections, too",
    ),
]

HANDSHAKES: list[tuple[Kind, list[Fact], str]] = [
    (
        Kind.TLS,
        [STLS],
        f"{PLAIN_TEXT} and offers STLS: use --starttls with -p 110 in place of -S",
    ),
    (Kind.TLS, [PLAIN, TLS_THERE], f"{PLAIN_TEXT}; TLS is on port 995"),
    (Kind.TLS, [PLAIN, TLS_HERE], f"{PLAIN_TEXT} and offers no STLS: TLS is not configured there"),
    (
        Kind.TLS,
        [Greeting(HERE, failure=failure(Kind.GARBLED, "is not POP3, looks like SSH"))],
        "another service on port 110: it is not POP3, looks like SSH",
    ),
    (
        Kind.OLD_TLS,
        versions(v10=None, v11=None, v12=ALERT),
        "the server speaks nothing newer than TLS 1.1, and the minimum accepted here is TLS 1.2",
    ),
    (
        Kind.OLD_TLS,
        versions(v11=ALERT, v12=None),
        "TLS 1.2 is accepted, but only with ciphers that are too weak",
    ),
    (
        Kind.TLS,
        versions(v12=LATE, v13=ALERT),
        "every TLS version fails: the TLS service is misconfigured",
    ),
    (
        Kind.TLS,
        versions(v12=UNNAMED, v13=UNNAMED),
        "the server knows no certificate for pop.example.test, in every TLS version: check -H and"
        " --sni",
    ),
    (
        Kind.TLS,
        versions(v12=UNNAMED, v13=ALERT),
        "every TLS version fails: the TLS service is misconfigured",
    ),
    (Kind.TLS, [Version("1.0")], NOTHING),  # it cannot be offered here
    (Kind.TIMEOUT, [SILENT], IN_BOTH),
    # After a certificate was seen not all versions are to blame.
    *(
        (kind, versions(v12=LATE), NOTHING)
        for kind in (Kind.CLIENT_CERTIFICATE, Kind.EXPIRED, Kind.PIN)
    ),
    # A server that sends alerts does not hang: what is large is lost.
    *(
        (
            kind,
            [SILENT, *versions(v11=ALERT, v13=why)],
            "handshakes of TLS 1.1 end with a small alert, those of TLS 1.3 fail without one:"
            f" large packets are lost (path MTU), or {DROPPED}",
        )
        for kind, why in ((Kind.TIMEOUT, LATE), (Kind.CLOSED, CUT))
    ),
    (
        Kind.TIMEOUT,
        versions(v10=ALERT, v11=ALERT, v12=LATE, v13=LATE),
        "handshakes of TLS 1.0 and 1.1 end with a small alert, those of TLS 1.2 and 1.3 fail"
        f" without one: large packets are lost (path MTU), or {DROPPED}",
    ),
    (Kind.TIMEOUT, [SILENT, *versions(v11=LATE, v13=LATE)], IN_BOTH),
    (
        Kind.CLOSED,
        [SILENT, *versions(v11=ALERT, v13=ALERT)],
        "every TLS version fails: the TLS service is misconfigured",
    ),
    # What carried a certificate is no path MTU black hole: the ClientHello is too large.
    *(
        (
            Kind.TIMEOUT,
            [SILENT, *versions(v12=None, v13=why)],
            f"handshakes of TLS 1.2 succeed, those of TLS 1.3 fail: {DROPPED}",
        )
        for why in (LATE, CUT)
    ),
    (
        Kind.TIMEOUT,
        [SILENT, *versions(v12=None, v13=None)],
        f"handshakes of TLS 1.2 and 1.3 succeed now: the failure was temporary, or {DROPPED}",
    ),
    (
        Kind.CLOSED,
        [SILENT, *versions(v12=None, v13=ALERT)],
        f"handshakes of TLS 1.2 succeed now: the failure was temporary, or {DROPPED}",
    ),
    (
        Kind.CLOSED,
        [SILENT, *versions(v12=CUT, v13=CUT)],
        "every TLS version fails without an alert, and plain text without an answer: the TLS"
        f" service is misconfigured, or the port expects {PROXY}",
    ),
]

GREETINGS: list[tuple[Kind, list[Fact], str, str]] = [
    (Kind.TIMEOUT, [TLS_HERE], f"{FROM_FIRST} 110: use -S with -p 110", ""),
    (
        Kind.TIMEOUT,
        [TLS_HERE.replace(address=THERE)],
        f"{FROM_FIRST} 995: use -S in place of --starttls",
        "--starttls -p 995",
    ),
    (
        Kind.TIMEOUT,
        [SILENT, DEAF, HIGH, HIGH.replace(address=THERE)],
        f"{IN_BOTH}; port 2110 works",
        "",
    ),
    (
        Kind.TIMEOUT,
        [DEAF, TLS_THERE],
        f"{IN_BOTH}; port 995 completes TLS handshakes: {STOPPED}?",
        "",
    ),
    (Kind.TIMEOUT, [SILENT], HANGS, ""),
    (Kind.CLOSED, [SILENT], NOTHING, ""),
    (Kind.CLOSED, [PLAIN], "the server greets now: the failure was temporary", ""),
    # A greeting that needs as long as the timeout would fail again.
    (
        Kind.TIMEOUT,
        [PLAIN.replace(seconds=9.9)],
        "the server greets now: the failure was temporary",
        "",
    ),
    (
        Kind.TIMEOUT,
        [PLAIN.replace(seconds=10.0)],
        "the server greets, but only after 10.0 s: it is overloaded",
        "",
    ),
    (
        Kind.TIMEOUT,
        [SILENT, Handshake(HERE, failure=CUT)],
        "port 110 sends nothing, and closes the connection when data arrives: does it expect"
        f" {PROXY}?",
        "",
    ),
    (
        Kind.TIMEOUT,
        [SILENT.replace(address=each) for each in (THERE, HIGH.address)],
        f"TLS works, and port 995 does not greet either: {STOPPED}, or the server overloaded?",
        S110,
    ),
    (
        Kind.TIMEOUT,
        [SILENT.replace(is_in_tls=True), PLAIN.replace(address=THERE)],
        f"TLS works, and no greeting follows: {STOPPED}, or the server overloaded?",
        S110,
    ),
    (Kind.TIMEOUT, [PLAIN.replace(address=THERE)], NOTHING, S110),
    (Kind.TIMEOUT, [SILENT.replace(address=THERE)], NOTHING, ""),
]

CASES = [
    *(Case(Phase.RESOLVE, *each) for each in RESOLVE),
    Case(Phase.RESOLVE, UNRESOLVED, [FOUND], "the name has no IPv6 address, only IPv4", "-6"),
    Case(
        Phase.RESOLVE,
        RESOLVER,
        [FOUND, FOUND.replace(family="IPv6")],
        "the name resolves now (IPv6): the name servers were slow, or briefly down",
        "-6",
    ),
    Case(
        Phase.RESOLVE,
        UNRESOLVED,
        [FOUND.replace(family="IPv6")],
        "the name has no IPv4 address, only IPv6",
        "-4",
    ),
    *(Case(Phase.CONNECT, *each) for each in CONNECT),
    *(Case(Phase.TLS, *each, argv=S110) for each in HANDSHAKES),
    *(Case(Phase.GREETING, *each) for each in GREETINGS),
    Case(
        Phase.STLS,
        Kind.NO_STLS,
        [TLS_THERE],
        "port 995 speaks TLS from the first byte: use -S in place of --starttls",
        "--starttls",
    ),
    Case(Phase.STLS, Kind.NO_STLS, [TLS_HERE], NOTHING, "--starttls"),  # it is not another port
    Case(Phase.CAPA, Kind.TIMEOUT, [SILENT], HANGS),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.expected[:60])
def test_cause_is_the_sentence_of_the_first_rule_that_applies(case: Case) -> None:
    """Each rule draws on findings; without one that fits, the hint of the kind stands."""
    assert cause(case) == case.expected


def test_every_rule_decides_a_case() -> None:
    """A rule that no case reaches is not tested, or an earlier one hides it."""
    about_addresses, lost_time = likely_cause.RULES[:1], likely_cause.RULES[-2:]
    decided = []
    for case in CASES:
        report = report_of(case)
        settings = check_settings(f"-H pop.example.test {case.argv}".split())
        seen = Evidence(
            settings, report, Findings(Problem(case.phase, case.kind, None), tuple(case.facts))
        )
        decided += [rule for rule in likely_cause.RULES if rule.applies(seen)][:1]

    assert {*likely_cause.RULES} - {*decided} == {*about_addresses, *lost_time}


@pytest.mark.parametrize("phase", [None, *Phase])
def test_cause_without_findings_repeats_nothing(phase: Phase | None) -> None:
    """Without findings the hint of the kind stands, whatever failed."""
    login = f"{S110} -U monitor --password-file f"
    cases = [Case(phase, kind, [], "", login) for kind in Kind if kind is not Kind.SLOW]

    assert {cause(each) for each in cases} == {NOTHING}


def failed_at(address: Address, kind: Kind = Kind.CLOSED, phase: Phase | None = None) -> Session:
    session = Session(address)
    session.failure = Failure(kind, phase, printable("no answer"))
    session.began = 9.0
    return session


def test_cause_with_good_and_bad_addresses_names_the_bad_ones() -> None:
    """The failing addresses are named in every phase, and the family if only one fails."""
    case = Case(Phase.GREETING, Kind.CLOSED, [PLAIN], "")

    assert cause(case, Session(SIX)) == (
        "only 1 of 2 addresses of the name fails: 192.0.2.1:110 (closed in phase greeting);"
        " only IPv4 is affected"
    )
    assert cause(case, Session(HERE.replace(host="192.0.2.2"))) == (
        "only 1 of 2 addresses of the name fails: 192.0.2.1:110 (closed in phase greeting)"
    )


@pytest.mark.parametrize("kind", [Kind.PARTIAL, Kind.TOO_FEW, Kind.EXPECT])
def test_cause_about_addresses_names_them_only_where_they_are_the_matter(kind: Kind) -> None:
    """A finding about a session that worked is not about the addresses that failed."""
    text = cause(Case(None, kind, [], ""), failed_at(SIX))

    is_named = text == (
        "only 1 of 2 addresses of the name fails: [2001:db8::1]:110 (closed); only IPv6 is affected"
    )
    assert is_named == (kind is not Kind.EXPECT)


def test_cause_with_many_bad_addresses_names_three() -> None:
    """More than three addresses are counted."""
    bad = [failed_at(HERE, Kind.REFUSED) for _ in range(3)]

    case = Case(Phase.CONNECT, Kind.REFUSED, [], "")
    text = cause(case, Session(HERE), *bad)
    assert text.startswith("only 4 of 5 addresses of the name fail: 192.0.2.1:110 (refused), ")
    assert text.endswith(" (refused) and 1 more")
    assert "more" not in cause(case, Session(HERE), *bad[:2])


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([DOWN], "192.0.2.1:110 still cannot be connected to"),
        ([UP], "connections work now: the failure was temporary"),
        ([], NOTHING),
    ],
)
def test_cause_of_time_lost_on_an_address_says_whether_it_still_fails(
    facts: list[Fact], expected: str
) -> None:
    """Line 1 names the address and the time."""
    slow = Case(None, Kind.SLOW, facts, "")

    assert cause(slow, failed_at(SIX, Kind.TIMEOUT, Phase.CONNECT), failed=5.0) == expected
