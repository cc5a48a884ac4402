"""The sentences of the status line."""

import pytest

from check_pop3_plus.messages.status_line import StatusLine
from check_pop3_plus.model.failures import Failure, Kind, Phase
from check_pop3_plus.model.report import Address, Chain, Report, Session, TlsFacts
from check_pop3_plus.model.sanitised_text import printable
from tests.pki.certificate_facts import NOW, dates
from tests.support.settings_from import check_settings

IPV4, IPV6 = Address("192.0.2.1", 110), Address("2001:db8::1", 110, is_ipv6=True)


def status_line(*sessions: Session, argv: str = "", host: str = "pop.example.org") -> StatusLine:
    settings = check_settings(["-H", host, *argv.split()])
    return StatusLine(settings, Report(sessions, sessions, None, None, 0.0431, NOW.timestamp()))


def session(address: Address = IPV4, *, days: float | None = None) -> Session:
    """Return a session with an address, in TLS if it has a certificate valid for `days`."""
    made = Session(address)
    if days is not None:
        made.chain = Chain((dates(-30, days),))
        made.tls = TlsFacts("TLSv1.3", "AES", (b"",), (), verified=True)
    return made


@pytest.mark.parametrize(
    ("argv", "addition"),
    [("", ""), ("--verify chain", ", name not verified"), ("--verify none", ", not verified")],
)
def test_success_in_tls_has_version_and_lifetime(argv: str, addition: str) -> None:
    """Of several certificates the one that expires first is shown."""
    good = [session(days=90), session(IPV6, days=63.4)]

    assert status_line(*good, argv=f"-S {argv}").success(good) == (
        "pop.example.org:995 answered in 0.043 s (1 of 2 addresses failed), TLSv1.3, certificate"
        f" valid for 63 days{addition}"
    )


@pytest.mark.parametrize(
    ("argv", "warning"),
    [
        ("--auth plain --allow-insecure-login", " (cleartext login)"),
        ("-S --verify chain --allow-insecure-login", " (unverified TLS login)"),
        ("-S", ""),
    ],
)
def test_insecure_names_a_login_without_verified_tls(argv: str, warning: str) -> None:
    """The status line shows that the password was exposed."""
    logged_in = session()
    logged_in.login_began = True

    line = status_line(logged_in, argv=f"-U monitor --password-file f {argv}")

    assert line.insecure() == warning
    assert status_line(session(), argv=f"-U monitor --password-file f {argv}").insecure() == ""


@pytest.mark.parametrize(
    ("kind", "is_late", "sentence"),
    [
        (Kind.TIMEOUT, True, "connect: no answer from pop.example.org:110 within 10 s"),
        (Kind.REFUSED, False, "connect: connection refused by pop.example.org:110"),
        (Kind.UNREACHABLE, False, "connect: pop.example.org:110 is unreachable: no answer"),
        (Kind.RESOLVER, True, "connect: no answer within 10 s"),
        (Kind.CLOSED, False, "connect: pop.example.org:110 no answer"),
        (Kind.CONFIG, False, "config: no answer"),
    ],
)
def test_failure_has_phase_reason_and_place(kind: Kind, is_late: bool, sentence: str) -> None:
    """The phase comes first, the time limit last; local failures have no phase."""
    failure = Failure(kind, Phase.CONNECT, printable("no answer"), is_late)

    assert status_line().failure(failure, None, kind) == sentence


def test_failure_of_a_stopped_run_names_the_phase() -> None:
    """A signal may arrive in any phase, or between two."""
    stopped = Failure(Kind.STOPPED, Phase.TLS, printable("stopped from outside after 3 s"))

    assert status_line().failure(stopped, None, Kind.STOPPED) == (
        "stopped from outside after 3 s while in phase tls"
    )


def test_status_line_of_an_ipv6_host_has_brackets() -> None:
    """The port must not look like a part of the address."""
    assert (
        status_line(host="2001:db8::1").too_few(0).startswith("0 of 0 addresses of [2001:db8::1]:")
    )


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("time", 2.5, "pop.example.org:110 answered in 2.500 s (limit 2)"),
        ("time_tls", 2.5, "tls: pop.example.org:110 took 2.500 s (limit 2)"),
        ("messages", 3, "mailbox on pop.example.org:110 has 3 messages (limit 2)"),
        ("mailbox_size", 4096, "mailbox on pop.example.org:110 has 4096 bytes (limit 2)"),
    ],
)
def test_number_has_its_unit_and_limit(name: str, value: float, sentence: str) -> None:
    """The limit is the range as the user gave it."""
    assert status_line().number(name, value, "2") == sentence


@pytest.mark.parametrize(
    ("addresses", "host", "text"),
    [
        ((), "pop.example.org", ""),
        ((IPV4,), "192.0.2.1", ""),
        ((IPV6,), "2001:db8::1", ""),
        ((IPV4, IPV6), "pop.example.org", " (192.0.2.1, [2001:db8::1])"),
        ((IPV4,) * 5, "pop.example.org", " (192.0.2.1, 192.0.2.1, 192.0.2.1 and 2 more)"),
    ],
)
def test_at_names_at_most_three_addresses(
    addresses: tuple[Address, ...], host: str, text: str
) -> None:
    """Nothing where the user gave the address itself."""
    assert status_line(host=host).at([Session(each) for each in addresses]) == text
