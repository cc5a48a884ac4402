"""The ways in, and the choice among them."""

import pytest

from check_pop3_plus import login
from check_pop3_plus.failures import Kind, ProbeError
from check_pop3_plus.pop3 import Capabilities, Reply, parse_capabilities, parse_status
from check_pop3_plus.settings import Secret
from check_pop3_plus.text import clean

OK = Reply(True, b"")
REFUSED = Reply(False, b"no")


def played(steps: login.Steps, *replies: Reply) -> tuple[list[bytes], Reply | None]:
    """Return what a mechanism sends, and how it ends."""
    sent = [next(steps).wire]
    for reply in replies:
        try:
            sent.append(steps.send(reply).wire)
        except StopIteration as end:
            return sent, end.value
    return sent, None


def test_user_and_pass() -> None:
    """RFC 1939 section 7."""
    sent, end = played(login.user_pass("monitor", Secret(b"a b")), OK, OK)

    assert sent == [b"USER monitor\r\n", b"PASS a b\r\n"]
    assert end == OK


def test_no_password_after_a_refused_user() -> None:
    """Fault 45: the exchange ends there."""
    sent, end = played(login.user_pass("monitor", Secret(b"secret")), REFUSED)

    assert sent == [b"USER monitor\r\n"]
    assert end == REFUSED


def listed(*lines: bytes) -> Capabilities:
    return parse_capabilities(lines)


@pytest.mark.parametrize(
    ("wanted", "capabilities"),
    [
        ("auto", None),
        ("auto", listed(b"USER", b"SASL PLAIN")),
        ("user", listed(b"SASL PLAIN")),
        ("user", None),
    ],
)
def test_user_and_pass_are_chosen(wanted: str, capabilities: Capabilities | None) -> None:
    """`auto` is USER/PASS where the list has USER or there is no list."""
    assert login.choose(wanted, capabilities, True) is login.user_pass


@pytest.mark.parametrize(
    ("capabilities", "is_encrypted", "kind"),
    [
        (listed(b"SASL", b"STLS"), False, Kind.CLEARTEXT_REFUSED),
        (listed(b"SASL XOAUTH2"), False, Kind.NO_MECHANISM),
        (listed(b"SASL XOAUTH2", b"STLS"), True, Kind.NO_MECHANISM),
        (listed(), True, Kind.NO_MECHANISM),
    ],
)
def test_nothing_fits(capabilities: Capabilities, is_encrypted: bool, kind: Kind) -> None:
    """Fault 52, and Dovecot's list before TLS where it wants TLS first."""
    with pytest.raises(ProbeError) as caught:
        login.choose("auto", capabilities, is_encrypted)
    assert caught.value.kind is kind


@pytest.mark.parametrize(
    ("line", "is_encrypted", "kind"),
    [
        (b"-ERR [AUTH] Authentication failed.", True, Kind.CREDENTIALS),
        (b"-ERR", True, Kind.CREDENTIALS),
        (b"-ERR [IN-USE] Mailbox is locked", True, Kind.IN_USE),
        (b"-ERR [LOGIN-DELAY] wait", True, Kind.LOGIN_DELAY),
        (b"-ERR [SYS/TEMP] later", True, Kind.TEMPORARY),
        (b"-ERR [SYS/TEMP/LDAP] later", True, Kind.TEMPORARY),
        (b"-ERR [SYS/TEMPX] later", True, Kind.CREDENTIALS),
        (b"-ERR [SYS/PERM] never", True, Kind.PERMANENT),
        (
            b"-ERR [AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.",
            False,
            Kind.CLEARTEXT_REFUSED,
        ),
        (
            b"-ERR [AUTH] Cleartext authentication disallowed on non-secure (SSL/TLS) connections.",
            False,
            Kind.CLEARTEXT_REFUSED,
        ),
        (b"-ERR USER command only available under a layer", False, Kind.CLEARTEXT_REFUSED),
        (b"-ERR TLS required", False, Kind.CLEARTEXT_REFUSED),
        (b"-ERR must use TLS", False, Kind.CLEARTEXT_REFUSED),
        (b"-ERR TLS required", True, Kind.CREDENTIALS),
        (b"-ERR invalid password", False, Kind.CREDENTIALS),
        (
            b"-ERR [AUTH] Client didn't present valid SSL certificate",
            True,
            Kind.CLIENT_CERTIFICATE,
        ),
    ],
)
def test_refusals_by_the_servers_own_words(line: bytes, is_encrypted: bool, kind: Kind) -> None:
    """Faults 45 to 50."""
    reply = parse_status(line)

    assert reply is not None
    assert login.rejection(reply, is_encrypted) is kind


def test_a_refusal_names_the_user_and_quotes_the_server() -> None:
    """Who is on call reads whose password it was."""
    reply = Reply(False, b"[AUTH] no <b>", "AUTH")

    said = login.described(reply, "monitor", Kind.CREDENTIALS, clean)

    assert said == "rejected user monitor: [AUTH] no (b)"
