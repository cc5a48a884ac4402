"""Rules of the likely cause, on records made by hand: no network, no clock."""

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
from check_pop3_plus.model.failures import Failure, Kind, Phase
from check_pop3_plus.model.report import Address, Lap, Report, Session
from check_pop3_plus.model.sanitised_text import printable
from tests.pki.certificate_facts import NOW
from tests.support.settings_from import check_settings

HERE = Address("192.0.2.1", 110)
THERE = HERE.replace(port=995)
SIX = Address("2001:db8::1", 110, is_ipv6=True)


def failure(kind: Kind, message: str = "no answer in time") -> Failure:
    return Failure(kind, None, printable(message))


LATE, REFUSED = failure(Kind.TIMEOUT), failure(Kind.REFUSED, "connection refused")
SILENT = Greeting(HERE, failure=LATE)
DEAF = Handshake(HERE, failure=LATE)
FOUND = Lookup("IPv4", 0.1, (HERE,))
PLAIN = Greeting(HERE, printable("+OK"), (printable("UIDL"),))
TLS_HERE, TLS_THERE = (Handshake(where, printable("TLSv1.3")) for where in (HERE, THERE))


def name_server(number: int, code: str | None = None, records: int = 0) -> NameServer:
    why = None if code else LATE
    return NameServer(printable(f"192.0.2.{number}"), 0.1, code, records, why)


def cause(
    phase: Phase | None,
    kind: Kind,
    *facts: Fact,
    argv: str = "",
    message: str = "no answer in time",
    others: tuple[Session, ...] = (),
) -> str:
    settings = check_settings(f"-H pop.example.test {argv}".split())
    session = Session(HERE)
    session.failure = Failure(kind, phase, printable(message)) if phase else None
    session.timeline.laps.append(Lap(Phase.GREETING, 1.5, ok=True))
    sessions = () if phase is Phase.RESOLVE else (*others, session)
    ended = session.failure if phase is Phase.RESOLVE else None
    report = Report(
        sessions, sessions[-1:], Lap(Phase.RESOLVE, 0.5, True), ended, None, NOW.timestamp()
    )
    about = Problem(phase, kind, sessions[-1] if sessions else None)
    return likely_cause.cause(settings, report, Findings(about, facts))


@pytest.mark.parametrize(
    ("kind", "facts", "expected"),
    [
        (Kind.RESOLVER, [FOUND], "the name resolves now (IPv4): the name servers were slow"),
        (Kind.RESOLVER, [name_server(53)], "the only name server of this machine, 192.0.2.53,"),
        (
            Kind.RESOLVER,
            [name_server(53), name_server(54)],
            "none of the 2 name servers of this machine answers (192.0.2.53, 192.0.2.54)",
        ),
        (
            Kind.RESOLVER,
            [name_server(53), name_server(54, "SERVFAIL")],
            "of the name servers of this machine 192.0.2.53 does not answer; others do: 192.0.2.54",
        ),
        (
            Kind.UNRESOLVED,
            [name_server(53), name_server(54, "NXDOMAIN")],
            "the name pop.example.test does not exist, according to name server 192.0.2.54",
        ),
        (Kind.UNRESOLVED, [name_server(53, "NOERROR")], "the name pop.example.test exists, but"),
        (
            Kind.RESOLVER,
            [name_server(53, "SERVFAIL")],
            "name server 192.0.2.53 returned SERVFAIL: the name servers of the zone are down",
        ),
        (Kind.RESOLVER, [name_server(53, "REFUSED")], "name server 192.0.2.53 refuses to answer"),
        (
            Kind.RESOLVER,
            [name_server(53, "NOERROR", 1)],
            "name server 192.0.2.53 resolves the name: the resolver of this machine uses",
        ),
        (Kind.RESOLVER, [name_server(53, "code 11")], "name server 192.0.2.53 answers code 11"),
    ],
)
def test_cause_in_phase_resolve_names_the_server_that_fails(
    kind: Kind, facts: list[Fact], expected: str
) -> None:
    """The cause names the name server that fails, or says that the name does not exist."""
    assert cause(Phase.RESOLVE, kind, *facts).startswith(expected)


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        (Kind.REFUSED, "does not listen"),
        (Kind.UNREACHABLE, "cannot be reached"),
        (Kind.GARBLED, "sends no valid DNS answer"),
        (Kind.TIMEOUT, "does not answer"),
    ],
)
def test_cause_of_a_failing_name_server_has_the_reason(kind: Kind, how: str) -> None:
    """A missing name server differs from a slow one."""
    silent = name_server(53).replace(failure=failure(kind))

    assert cause(Phase.RESOLVE, Kind.RESOLVER, silent) == (
        f"the only name server of this machine, 192.0.2.53, {how}"
    )


def test_cause_without_the_wanted_family_names_the_other() -> None:
    """A name with addresses of the other family only is not a failing name server."""
    assert cause(Phase.RESOLVE, Kind.UNRESOLVED, FOUND, argv="-6") == (
        "the name has no IPv6 address, only IPv4"
    )


PING, NO_PING = (ToolOutput("ping", printable("192.0.2.1"), code) for code in (0, 1))
HERE_LATE = TcpConnection(HERE, 4, LATE)
FILTERED = "port 110 is filtered, or the service has stopped accepting connections: "


@pytest.mark.parametrize(
    ("kind", "facts", "expected"),
    [
        (
            Kind.TIMEOUT,
            [TcpConnection(HERE, 0.1)],
            "connections work now: the failure was temporary",
        ),
        (
            Kind.TIMEOUT,
            [TcpConnection(SIX, 0.1), HERE_LATE],
            "only 1 of 2 addresses cannot be connected to: 192.0.2.1:110",
        ),
        (
            Kind.TIMEOUT,
            [HERE_LATE, TcpConnection(THERE, 0.1)],
            f"{FILTERED}port 995 of the host answers",
        ),
        (
            Kind.TIMEOUT,
            [HERE_LATE, TcpConnection(THERE, 0.1, REFUSED)],
            f"{FILTERED}the host is up: port 995 refuses connections",
        ),
        (
            Kind.TIMEOUT,
            [TcpConnection(THERE, 4, LATE), PING],
            f"{FILTERED}the host answers ping",
        ),
        (
            Kind.TIMEOUT,
            [TcpConnection(THERE, 4, LATE), NO_PING],
            "host down or unreachable: port 995 does not answer either, nor does ping",
        ),
        (
            Kind.UNREACHABLE,
            [TcpConnection(HERE, 0.1, failure(Kind.UNREACHABLE)), PING],
            "a packet filter rejects connections to port 110: the host answers ping",
        ),
        (
            Kind.REFUSED,
            [TcpConnection(HERE, 0.1, REFUSED), TcpConnection(THERE, 0.1)],
            "only port 110 is affected: port 995 of the host accepts connections",
        ),
    ],
)
def test_cause_in_phase_connect_separates_port_host_and_route(
    kind: Kind, facts: list[Fact], expected: str
) -> None:
    """Other ports and ping show whether the port, the host or the route fails."""
    assert cause(Phase.CONNECT, kind, *facts) == expected


STLS = Greeting(HERE, printable("+OK"), (printable("STLS"),))
OLD, NEW, NONE = (
    [
        Version(number, printable("AES") if number in accepted else None, LATE)
        for number in ("1.0", "1.1", "1.2", "1.3")
    ]
    for accepted in (("1.0", "1.1"), ("1.2", "1.3"), ())
)


@pytest.mark.parametrize(
    ("kind", "facts", "expected"),
    [
        (Kind.TLS, [STLS], "the server speaks plain text on port 110 and offers STLS: use"),
        (Kind.TLS, [PLAIN, TLS_THERE], "the server speaks plain text on port 110; TLS is on port"),
        (Kind.TLS, [PLAIN], "the server speaks plain text on port 110 and offers no STLS"),
        (
            Kind.TLS,
            [Greeting(HERE, failure=failure(Kind.GARBLED, "is not POP3, looks like SSH"))],
            "another service on port 110: it is not POP3, looks like SSH",
        ),
        (
            Kind.OLD_TLS,
            OLD,
            "the server speaks nothing newer than TLS 1.1, and the minimum accepted",
        ),
        (Kind.OLD_TLS, NEW, "TLS 1.3 is accepted, but only with ciphers that are too weak"),
        (Kind.TLS, NONE, "every TLS version fails: the TLS service is misconfigured"),
        (Kind.TIMEOUT, [SILENT], "the server on port 110 hangs: it accepts connections and sends"),
    ],
)
def test_cause_in_phase_tls_names_the_protocol_of_the_port(
    kind: Kind, facts: list[Fact], expected: str
) -> None:
    """The cause names the protocol or version that the port speaks instead."""
    assert cause(Phase.TLS, kind, *facts, argv="-S -p 110").startswith(expected)


@pytest.mark.parametrize(
    ("kind", "facts", "argv", "expected"),
    [
        (Kind.TIMEOUT, [TLS_HERE], "", "the server speaks TLS from the first byte on port 110:"),
        (
            Kind.TIMEOUT,
            [TLS_HERE],
            "--starttls",
            "the server speaks TLS from the first byte on port 110: use -S with -p 110 in place of"
            " --starttls",
        ),
        (
            Kind.TIMEOUT,
            [DEAF, TLS_THERE],
            "",
            "the server on port 110 hangs: it accepts connections and sends nothing, neither in"
            " plain text nor in TLS; port 995 completes TLS handshakes: is the authentication",
        ),
        (Kind.CLOSED, [PLAIN], "", "the server greets now: the failure was temporary"),
    ],
)
def test_cause_in_phase_greeting_names_the_state_of_the_port(
    kind: Kind, facts: list[Fact], argv: str, expected: str
) -> None:
    """A silent port may wait for TLS, hang, or have recovered."""
    assert cause(Phase.GREETING, kind, *facts, argv=argv).startswith(expected)


def test_cause_without_stls_names_the_tls_port() -> None:
    """Where STLS is off, another port may speak TLS."""
    assert cause(Phase.STLS, Kind.NO_STLS, TLS_THERE, argv="--starttls", message="refuses") == (
        "port 995 speaks TLS from the first byte: use -S in place of --starttls"
    )


def test_cause_of_an_unreachable_host_without_a_sign_of_life_is_unknown() -> None:
    """Nothing says that the host is up."""
    again = TcpConnection(HERE, 0.1, failure(Kind.UNREACHABLE))

    assert cause(Phase.CONNECT, Kind.UNREACHABLE, again, NO_PING) == ""


@pytest.mark.parametrize("phase", [None, *Phase])
def test_cause_without_findings_repeats_nothing(phase: Phase | None) -> None:
    """Without findings the hint of the kind stands, whatever failed."""
    login = "-S -p 110 -U monitor --password-file f"

    texts = {cause(phase, kind, argv=login) for kind in Kind if kind is not Kind.SLOW}

    assert texts == {""}


@pytest.mark.parametrize("kind", [Kind.CLIENT_CERTIFICATE, Kind.EXPIRED, Kind.PIN])
def test_cause_after_a_certificate_was_seen_does_not_blame_all_versions(kind: Kind) -> None:
    """The handshake of the session reached the certificate."""
    assert cause(Phase.TLS, kind, *NONE, argv="-S") == ""


def test_cause_with_good_and_bad_addresses_names_the_bad_ones() -> None:
    """The failing addresses are named in every phase, and the family if only one fails."""
    text = cause(Phase.GREETING, Kind.CLOSED, PLAIN, others=(Session(SIX),))

    assert text == (
        "only 1 of 2 addresses of the name fails: 192.0.2.1:110 (closed in phase greeting);"
        " only IPv4 is affected"
    )


def test_cause_with_many_bad_addresses_names_three() -> None:
    """More than three addresses are counted."""
    bad = [Session(HERE) for _ in range(4)]
    for each in bad:
        each.failure = failure(Kind.REFUSED)

    text = cause(Phase.CONNECT, Kind.REFUSED, others=(Session(HERE), *bad))

    assert text.startswith("only 5 of 6 addresses of the name fail: 192.0.2.1:110 (refused), ")
    assert text.endswith(" and 2 more")


ALERT = failure(Kind.TLS, "sent an alert")
CUT = failure(Kind.CLOSED, "closed the connection")


@pytest.mark.parametrize(
    ("kind", "answers", "words"),
    [
        (Kind.TIMEOUT, (ALERT, LATE), "large packets are lost (path MTU), or a device drops"),
        (Kind.CLOSED, (ALERT, CUT), "large packets are lost (path MTU), or a device drops"),
        (Kind.TIMEOUT, (LATE, LATE), "hangs: it accepts connections and sends nothing"),
        (Kind.CLOSED, (ALERT, ALERT), "every TLS version fails"),
    ],
)
def test_cause_with_small_alerts_and_lost_handshakes_is_the_packet_size(
    kind: Kind, answers: tuple[Failure, Failure], words: str
) -> None:
    """A server that sends alerts does not hang: what is large is lost."""
    versions = [Version(n, None, why) for n, why in zip(("1.1", "1.3"), answers, strict=True)]

    assert words in cause(Phase.TLS, kind, SILENT, *versions, argv="-S -p 110")


@pytest.mark.parametrize(
    ("newest", "words"),
    [
        (
            Version("1.3", failure=LATE),
            "handshakes of TLS 1.2 succeed, those of TLS 1.3 fail: a dev",
        ),
        (
            Version("1.3", failure=CUT),
            "handshakes of TLS 1.2 succeed, those of TLS 1.3 fail: a dev",
        ),
        (
            Version("1.3", printable("AES")),
            "TLS 1.2 and 1.3 succeed now: the failure was temporary",
        ),
        (Version("1.3", failure=ALERT), "TLS 1.2 succeed now: the failure was temporary, or a dev"),
    ],
)
def test_cause_with_an_accepted_version_is_the_client_hello(newest: Version, words: str) -> None:
    """What carried a certificate is no path MTU black hole: the ClientHello is too large."""
    accepted = Version("1.2", printable("AES"))

    text = cause(Phase.TLS, Kind.TIMEOUT, SILENT, newest, accepted, argv="-S -p 110")

    assert words in text
    assert "path MTU" not in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(9.9, "the server greets now"), (10.0, "the server greets, but only after 10.0 s")],
)
def test_cause_with_a_late_greeting_is_not_a_recovery(seconds: float, words: str) -> None:
    """A greeting that needs as long as the timeout would fail again."""
    late = PLAIN.replace(seconds=seconds)

    assert cause(Phase.GREETING, Kind.TIMEOUT, late, argv="-t 10").startswith(words)


@pytest.mark.parametrize(
    ("argv", "fact", "expected"),
    [
        ("-S", SILENT.replace(address=THERE), "TLS works, and port 995 does not greet either"),
        ("-S", PLAIN.replace(address=THERE), ""),
        ("", SILENT.replace(address=THERE), ""),
    ],
)
def test_cause_without_a_greeting_on_any_port_is_the_back_end(
    argv: str, fact: Fact, expected: str
) -> None:
    """TLS works on one port, and the other is silent in plain text."""
    text = cause(Phase.GREETING, Kind.TIMEOUT, fact, argv=f"{argv} -p 110")

    assert text.startswith(expected)


def test_cause_with_the_minimum_accepted_blames_the_ciphers() -> None:
    """A server whose newest version is the minimum is not too old."""
    accepted = Version("1.2", printable("AES"))

    assert cause(Phase.TLS, Kind.OLD_TLS, accepted, argv="-S").startswith("TLS 1.2 is accepted, ")


def test_cause_with_an_empty_lookup_is_not_a_recovered_name() -> None:
    """A lookup without an address has not resolved the name."""
    empty = Lookup("IPv4", 0.1)

    assert cause(Phase.RESOLVE, Kind.RESOLVER, empty) == ""


def test_cause_without_stls_does_not_name_the_same_port() -> None:
    """TLS on the port that failed is not another port to use."""
    assert cause(Phase.STLS, Kind.NO_STLS, TLS_HERE, argv="--starttls") == ""


_WITHOUT_STEPS = {Phase.FAILED, Phase.LOGIN, Phase.STAT, Phase.TOP, Phase.QUIT}


def test_rules_cover_the_phases_in_which_steps_connect() -> None:
    """A diagnosis opens no connection after a login, and QUIT is never evaluated."""
    assert set(likely_cause.RULES) == {None, *Phase} - _WITHOUT_STEPS
