"""The sentences of the status line."""

import re

import pytest

from check_pop3_plus.messages.status_line import StatusLine
from check_pop3_plus.model.failures import Failure, Kind, Phase
from check_pop3_plus.model.report import Address, Chain, Report, Session, TlsFacts
from check_pop3_plus.model.sanitised_text import printable, sanitise
from check_pop3_plus.pop3 import refusals
from check_pop3_plus.pop3.grammar import Reply
from check_pop3_plus.pop3.login import refused
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
        f" valid for 63 days (until 2027-03-19){addition}"
    )


@pytest.mark.parametrize(
    ("argv", "warnings"),
    [
        ("--auth plain --allow-insecure-login", ["cleartext login"]),
        ("-S --verify chain --allow-insecure-login", ["unverified TLS login"]),
        ("-S", []),
    ],
)
def test_remarks_name_a_login_without_verified_tls(argv: str, warnings: list[str]) -> None:
    """The status line shows that the password was exposed."""
    logged_in = session()
    logged_in.login_began = True

    line = status_line(logged_in, argv=f"-U monitor --password-file f {argv}")

    assert line.remarks() == tuple(warnings)
    assert status_line(session(), argv=f"-U monitor --password-file f {argv}").remarks() == ()


@pytest.mark.parametrize(
    ("kind", "is_late", "sentence"),
    [
        (Kind.TIMEOUT, True, "no connection within 10 s"),
        (Kind.REFUSED, False, "no answer"),
        (Kind.UNREACHABLE, False, "host unreachable: no answer"),
        (Kind.RESOLVER, True, "no answer within 10 s"),
        (Kind.CLOSED, False, "server no answer during the connection attempt"),
        (Kind.CONFIG, False, "config: no answer"),
    ],
)
def test_failure_has_reason_and_limit(kind: Kind, is_late: bool, sentence: str) -> None:
    """The place is added once, behind all findings."""
    failure = Failure(kind, Phase.CONNECT, printable("no answer"), is_late)

    assert status_line().failure(failure, None, kind) == sentence


def test_failure_of_a_stopped_run_names_the_phase() -> None:
    """A signal may arrive in any phase, or between two."""
    stopped = Failure(Kind.STOPPED, Phase.TLS, printable("stopped from outside after 3 s"))

    assert status_line().failure(stopped, None, Kind.STOPPED) == (
        "stopped from outside after 3 s during the TLS handshake"
    )


def test_status_line_of_an_ipv6_host_has_brackets() -> None:
    """The port must not look like a part of the address."""
    assert status_line(host="2001:db8::1").place([]) == "[2001:db8::1]:110"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("time", 2.5, "answered in 2.500 s (limit 2 s)"),
        ("time_tls", 2.5, "tls took 2.500 s (limit 2 s)"),
        ("time_capa", 0.00042, "capa took 0.000420 s (limit 2 s)"),
        ("time_capa", 0.001, "capa took 0.001 s (limit 2 s)"),
        ("messages", 3, "mailbox has 3 messages (limit 2)"),
        ("mailbox_size", 4096, "mailbox has 4096 bytes (limit 2)"),
        ("newest_age", 93784, "newest message is 1 d 2 h old (limit 2 s)"),
    ],
)
def test_number_has_its_unit_and_limit(name: str, value: float, sentence: str) -> None:
    """The limit is the range as the user gave it."""
    assert status_line().number(name, value, "2") == sentence


LONG = "x" * 63 + "." + "y" * 60


@pytest.mark.parametrize(
    ("addresses", "host", "text"),
    [
        ((), "pop.example.org", "pop.example.org:110"),
        ((IPV4,), "192.0.2.1", "192.0.2.1:110"),
        ((IPV6,), "2001:db8::1", "[2001:db8::1]:110"),
        ((IPV4, IPV6), "pop.example.org", "pop.example.org:110: 192.0.2.1, [2001:db8::1]"),
        ((IPV4, IPV4), "pop.example.org", "pop.example.org:110: 192.0.2.1"),
        ((IPV4, IPV6), LONG, f"{LONG[:97]}...:110"),
    ],
)
def test_place_names_host_port_and_addresses(
    addresses: tuple[Address, ...], host: str, text: str
) -> None:
    """An address is named once, also where the user gave it or several findings share it."""
    assert status_line(host=host).place([Session(each) for each in addresses]) == text


def test_place_names_at_most_three_addresses() -> None:
    """The others are counted."""
    many = [Session(Address(f"192.0.2.{number}", 110)) for number in range(1, 6)]

    assert status_line().place(many) == (
        "pop.example.org:110: 192.0.2.1, 192.0.2.2, 192.0.2.3 and 2 more"
    )


@pytest.mark.parametrize(
    ("kind", "phase", "message", "sentence"),
    [
        (Kind.TIMEOUT, Phase.GREETING, "no complete answer", "no complete greeting within 10 s"),
        (Kind.TIMEOUT, Phase.LOGIN, "no answer", "no answer within 10 s during the login"),
        (Kind.TIMEOUT, Phase.CAPA, "no answer", "no answer within 10 s during CAPA"),
        (
            Kind.GARBLED,
            Phase.STAT,
            "sent no POP3 reply: +OKAY",
            "server sent no POP3 reply during STAT: +OKAY",
        ),
        (
            Kind.CLOSED,
            Phase.GREETING,
            "closed the connection before the greeting",
            "server closed the connection before the greeting",
        ),
        (Kind.TEMPORARY, Phase.STAT, "withdrew the login: no", "server withdrew the login: no"),
        (Kind.TLS, Phase.STAT, "sent broken TLS: x", "server sent broken TLS during STAT: x"),
        (Kind.TLS, Phase.TLS, "sent broken TLS: x", "server sent broken TLS: x"),
    ],
)
def test_failure_names_the_phase_in_words_unless_implied(
    kind: Kind, phase: Phase, message: str, sentence: str
) -> None:
    """The words stand before the quoted text of the server."""
    failure = Failure(kind, phase, printable(message), is_late=kind is Kind.TIMEOUT)

    assert status_line().failure(failure, None, kind) == sentence


@pytest.mark.parametrize("kind", dict.fromkeys(kind for kind, *_ in refusals.classes()))
def test_failure_of_a_login_is_one_sentence(kind: Kind) -> None:
    """It begins with what was refused, or with the server that demands or does not know."""
    failure = refused(Reply(False, b"no"), "m", kind, False, sanitise).failure(Phase.LOGIN)
    sentence = status_line().failure(failure, None, kind)

    verb = re.match("(server (?:demands|does not know)|login of m|user m|mailbox of m)", sentence)
    assert verb or sentence == "server trouble during the login of m: no"


def test_failure_of_a_connection_that_the_kernel_gave_up_says_so() -> None:
    """ETIMEDOUT is not a deadline of ours."""
    failure = Failure(Kind.TIMEOUT, Phase.CONNECT, printable("no answer"))

    assert status_line().failure(failure, None, Kind.TIMEOUT) == (
        "no connection: connection timed out"
    )
