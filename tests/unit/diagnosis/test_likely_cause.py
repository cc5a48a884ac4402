"""The likely cause, from records made by hand: no network, no clock."""

from datetime import timedelta

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
from check_pop3_plus.model.report import Address, CertificateFacts, Chain, Lap, Report, Session
from check_pop3_plus.model.sanitised_text import Printable
from check_pop3_plus.options import parser
from tests.pki.certificate_facts import NOW, dates

HERE = Address("192.0.2.1", 110)
THERE = HERE.replace(port=995)
SIX = Address("2001:db8::1", 110, is_ipv6=True)


def failure(kind: Kind, message: str = "no answer in time") -> Failure:
    return Failure(kind, None, Printable(message))


LATE, REFUSED = failure(Kind.TIMEOUT), failure(Kind.REFUSED, "connection refused")
SILENT = Greeting(HERE, failure=LATE)
DEAF = Handshake(HERE, failure=LATE)
FOUND = Lookup("IPv4", 0.1, (HERE,))
PLAIN = Greeting(HERE, Printable("+OK"), (Printable("UIDL"),))
TLS_HERE, TLS_THERE = (Handshake(where, Printable("TLSv1.3")) for where in (HERE, THERE))


def name_server(number: int, code: str | None = None, records: int = 0) -> NameServer:
    why = None if code else LATE
    return NameServer(Printable(f"192.0.2.{number}"), 0.1, code, records, why)


def cause(
    phase: Phase | None,
    kind: Kind,
    *facts: Fact,
    argv: str = "",
    message: str = "no answer in time",
    chain: Chain | None = None,
    others: tuple[Session, ...] = (),
) -> str:
    settings = parser.parse(f"-H pop.example.test {argv}".split())
    session = Session(HERE)
    session.failure = Failure(kind, phase, Printable(message)) if phase else None
    session.chain = chain or Chain()
    session.timeline.laps.append(Lap(Phase.GREETING, 1.5, ok=True))
    sessions = () if phase is Phase.RESOLVE else (*others, session)
    ended = session.failure if phase is Phase.RESOLVE else None
    report = Report(
        sessions, sessions[-1:], Lap(Phase.RESOLVE, 0.5, True), ended, None, NOW.timestamp()
    )
    about = Problem(phase, kind, sessions[-1] if sessions else None)
    return likely_cause.cause(settings, report, Findings(about, facts))


@pytest.mark.parametrize(
    ("kind", "facts", "said"),
    [
        (Kind.RESOLVER, [FOUND], "the name is found now (IPv4): the name servers were slow"),
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
            "the name pop.example.test does not exist, says name server 192.0.2.54",
        ),
        (Kind.UNRESOLVED, [name_server(53, "NOERROR")], "the name pop.example.test exists, but"),
        (Kind.RESOLVER, [name_server(53, "NOERROR", 1)], "name server 192.0.2.53 knows the name"),
        (Kind.RESOLVER, [name_server(53, "code 11")], "name server 192.0.2.53 answers code 11"),
        (Kind.RESOLVER, [], likely_cause.NOTHING),
    ],
)
def test_names(kind: Kind, facts: list[Fact], said: str) -> None:
    """Which name server fails, or that none does."""
    assert cause(Phase.RESOLVE, kind, *facts).startswith(said)


PING, NO_PING = (ToolOutput("ping", Printable("192.0.2.1"), code) for code in (0, 1))


@pytest.mark.parametrize(
    ("kind", "facts", "said"),
    [
        (Kind.TIMEOUT, [TcpConnection(HERE, 0.1)], "connections work now: the failure has passed"),
        (
            Kind.TIMEOUT,
            [TcpConnection(SIX, 0.1), TcpConnection(HERE, 4, LATE)],
            "only 1 of 2 addresses cannot be connected to: 192.0.2.1:110",
        ),
        (
            Kind.TIMEOUT,
            [TcpConnection(HERE, 4, LATE), TcpConnection(THERE, 0.1)],
            "port 110 is filtered, or the service accepts nobody any more: port 995 of the host"
            " answers",
        ),
        (
            Kind.TIMEOUT,
            [TcpConnection(HERE, 4, LATE), TcpConnection(THERE, 0.1, REFUSED)],
            "port 110 is filtered, or the service accepts nobody any more: the host answers on port"
            " 995, if only to refuse",
        ),
        (
            Kind.TIMEOUT,
            [TcpConnection(THERE, 4, LATE), PING],
            "port 110 is filtered, or the service accepts nobody any more: the host answers ping",
        ),
        (
            Kind.TIMEOUT,
            [TcpConnection(THERE, 4, LATE), NO_PING],
            "the host is down, or the way to it is cut: port 995 does not answer either, nor does"
            " ping",
        ),
        (Kind.TIMEOUT, [], likely_cause.NOTHING),
        (Kind.REFUSED, [], "nothing listens on port 110: the service is not running, or a packet"),
        (
            Kind.REFUSED,
            [TcpConnection(THERE, 0.1)],
            "nothing listens on port 110: the service is not running, or a packet filter rejects"
            " the connection; port 995 of the host answers",
        ),
        (Kind.UNREACHABLE, [], "this machine has no way to the address: "),
    ],
)
def test_connections(kind: Kind, facts: list[Fact], said: str) -> None:
    """The port, the host, or the way."""
    assert cause(Phase.CONNECT, kind, *facts).startswith(said)


STLS = Greeting(HERE, Printable("+OK"), (Printable("STLS"),))
OLD, NEW, NONE = (
    [
        Version(number, Printable("AES") if number in accepted else None, LATE)
        for number in ("1.0", "1.1", "1.2", "1.3")
    ]
    for accepted in (("1.0", "1.1"), ("1.2", "1.3"), ())
)


@pytest.mark.parametrize(
    ("kind", "facts", "said"),
    [
        (Kind.TLS, [STLS], "the server speaks plain text on port 110 and offers STLS: use"),
        (Kind.TLS, [PLAIN, TLS_THERE], "the server speaks plain text on port 110; TLS is on port"),
        (Kind.TLS, [PLAIN], "the server speaks plain text on port 110 and offers no STLS"),
        (
            Kind.TLS,
            [Greeting(HERE, failure=failure(Kind.GARBLED, "is not POP3, looks like SSH"))],
            "another service on port 110: it is not POP3, looks like SSH",
        ),
        (Kind.OLD_TLS, OLD, "the server speaks nothing newer than TLS 1.1, and 1.2 is the least"),
        (Kind.OLD_TLS, NEW, "TLS 1.3 is spoken, but only with ciphers that are too weak"),
        (Kind.TLS, NONE, "every handshake fails, whatever version of TLS"),
        (Kind.TIMEOUT, [SILENT], "the service on port 110 hangs: it accepts connections and says"),
        (Kind.CLOSED, [], "the server accepts the connection and hangs up"),
        (Kind.CLIENT_CERTIFICATE, [], "the server wants to see a client certificate, and none"),
        (Kind.TLS, [], likely_cause.NOTHING),
    ],
)
def test_tls(kind: Kind, facts: list[Fact], said: str) -> None:
    """What is spoken instead, or by which terms."""
    assert cause(Phase.TLS, kind, *facts, argv="-S -p 110").startswith(said)


def certificate(subject: str, issuer: str, after: float = 90, **more: object) -> CertificateFacts:
    named = dates(-30, after).replace(subject=Printable(subject), issuer=Printable(issuer))
    return named.replace(**more)


LEAF = certificate("CN=pop", "CN=middle", names=(Printable("other.example.test"),))
MIDDLE = certificate("CN=middle", "CN=root")
ROOT = certificate("CN=root", "CN=root", is_self_issued=True)
SELF = certificate("CN=pop", "CN=pop", is_self_issued=True)
ENDED = certificate("CN=pop", "CN=root", after=-2)


@pytest.mark.parametrize(
    ("kind", "path", "message", "said"),
    [
        (
            Kind.EXPIRED,
            [ENDED],
            "certificate has expired",
            "the certificate expired 2 days ago (2027-01-13 12:00 UTC), by the clock here"
            " (2027-01-15 12:00 UTC)",
        ),
        (
            Kind.NAME,
            [LEAF],
            "certificate is for another name",
            "the certificate is not for pop.example.test but for other.example.test",
        ),
        (
            Kind.UNTRUSTED,
            [LEAF],
            "issuer is not trusted",
            "the issuer (CN=middle) was not sent and is not known here: the server leaves out its"
            " intermediate certificate, or the issuer is to be trusted by --ca-file",
        ),
        (
            Kind.UNTRUSTED,
            [LEAF, MIDDLE, ROOT],
            "root certificate in the chain is not trusted",
            "the chain ends in a root that is not trusted here (CN=root)",
        ),
        (
            Kind.UNTRUSTED,
            [SELF],
            "certificate is self-signed",
            "the certificate is self-signed: no authority vouches for it",
        ),
        (Kind.PIN, [LEAF], "certificate is not one that is pinned", "the certificate is not one"),
    ],
)
def test_certificates(kind: Kind, path: list[CertificateFacts], message: str, said: str) -> None:
    """The reason in plain words, whatever else was found."""
    chain = Chain(tuple(path), 0, tuple(path))

    found = cause(Phase.TLS, kind, *NEW, argv="-S", message=message, chain=chain)

    assert found.startswith(said)


@pytest.mark.parametrize(
    ("kind", "facts", "argv", "said"),
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
            "the service on port 110 hangs: it accepts connections and says nothing, neither in"
            " plain text nor in TLS; port 995 works",
        ),
        (Kind.TIMEOUT, [], "", "the service on port 110 hangs: it accepts connections and says"),
        (Kind.CLOSED, [PLAIN], "", "the server greets now: the failure has passed"),
        (Kind.CLOSED, [], "", "the server accepts the connection and hangs up: an access list"),
        (Kind.GARBLED, [], "", "another service, or a broken one, on port 110: it no answer"),
        (Kind.GREETING, [], "", "the server is up and turns clients away: it "),
    ],
)
def test_greetings(kind: Kind, facts: list[Fact], argv: str, said: str) -> None:
    """Silence is TLS that waits for us, or a service that hangs."""
    assert cause(Phase.GREETING, kind, *facts, argv=argv).startswith(said)


@pytest.mark.parametrize(
    ("phase", "kind", "facts", "said"),
    [
        (Phase.STLS, Kind.NO_STLS, [], "TLS is switched off on port 110: the server refuses"),
        (
            Phase.STLS,
            Kind.NO_STLS,
            [TLS_THERE],
            "TLS is switched off on port 110: the server refuses; port 995 speaks TLS: use -S",
        ),
        (Phase.LOGIN, Kind.CREDENTIALS, [], "the service works, but does not take the credentials"),
        (Phase.LOGIN, Kind.TIMEOUT, [], "the service works up to the login: its authentication"),
        (Phase.LOGIN, Kind.IN_USE, [], "the credentials are right; another session"),
        (Phase.LOGIN, Kind.LOGIN_DELAY, [], "the credentials are right; this check logs in more"),
        (Phase.LOGIN, Kind.TEMPORARY, [], "not the credentials, says the server: it refuses"),
        (Phase.LOGIN, Kind.NO_MECHANISM, [], "the service works up to the login: the server refus"),
        (Phase.STAT, Kind.MAILBOX, [], "the credentials are right, but the mailbox cannot be read"),
        (None, Kind.SLOW, [], "1.500 of 2.000 s went into phase greeting"),
        (None, Kind.MESSAGES, [], likely_cause.NOTHING),
    ],
)
def test_the_rest(phase: Phase | None, kind: Kind, facts: list[Fact], said: str) -> None:
    """As far as it can be known without another connection."""
    argv = "-S -p 110 -U monitor --password-file f"

    assert cause(phase, kind, *facts, argv=argv, message="refuses").startswith(said)


@pytest.mark.parametrize(("ends", "issuer_ends"), [(5, 90), (90, 5)])
def test_a_certificate_that_ends_soon(ends: float, issuer_ends: float) -> None:
    """Which one of the chain."""
    leaf, issuer = certificate("CN=pop", "CN=x", ends), certificate("CN=x", "CN=r", issuer_ends)
    said = cause(None, Kind.EXPIRING, chain=Chain((leaf, issuer), 0, (leaf, issuer)))
    which = "the certificate" if ends == 5 else "an issuer of the certificate"

    assert (
        said
        == f"{which} was not renewed: valid for 5 days, by the clock here ({NOW:%Y-%m-%d}"
        + (" 12:00 UTC)")
    )


def test_some_addresses_fail() -> None:
    """Which ones, whatever the phase; a family that is affected alone is named."""
    good = Session(SIX)

    said = cause(Phase.GREETING, Kind.CLOSED, PLAIN, others=(good,))

    assert said == (
        "only 1 of 2 addresses of the name fails: 192.0.2.1:110 (closed in phase greeting);"
        " IPv4 alone is affected"
    )


def test_many_addresses_fail() -> None:
    """Three are named."""
    bad = [Session(HERE) for _ in range(4)]
    for each in bad:
        each.failure = failure(Kind.REFUSED)

    said = cause(Phase.CONNECT, Kind.REFUSED, others=(Session(HERE), *bad))

    assert said.startswith("only 5 of 6 addresses of the name fail: 192.0.2.1:110 (refused), ")
    assert said.endswith(" and 2 more")


def test_every_phase_has_its_rules() -> None:
    """But QUIT, which is never judged."""
    assert set(likely_cause.RULES) == {None, *Phase} - {Phase.QUIT}


def test_the_time_of_these_tests_stands_still() -> None:
    """The dates above are counted from it."""
    assert ENDED.not_after == NOW - timedelta(days=2)
