"""The ways in, and the choice among them."""

import pytest

from check_pop3_plus import login
from check_pop3_plus.failures import Kind, ProbeError
from check_pop3_plus.pop3 import Capabilities, Reply, parse_capabilities, parse_status
from check_pop3_plus.settings import Login, Secret, SecretSource, Target
from check_pop3_plus.text import clean

OK = Reply(True, b"")
REFUSED = Reply(False, b"no")


GREETING = b"POP3 server ready <1896.697170952@dbc.mtview.ca.us>"


def begun(way: str, secret: bytes, username: str = "monitor") -> login.Steps:
    wanted = Login(username, SecretSource(), way)
    target = Target("pop.example.test", 995)
    return login.begin(way, wanted, Secret(secret), target, GREETING)


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
    sent, end = played(begun("user", b"a b"), OK, OK)

    assert sent == [b"USER monitor\r\n", b"PASS a b\r\n"]
    assert end == OK


def test_no_password_after_a_refused_user() -> None:
    """Fault 45: the exchange ends there."""
    sent, end = played(begun("user", b"secret"), REFUSED)

    assert sent == [b"USER monitor\r\n"]
    assert end == REFUSED


def test_apop() -> None:
    """RFC 1939 section 7."""
    sent, end = played(begun("apop", b"tanstaaf", "mrose"), OK)

    assert sent == [b"APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\n"]
    assert end == OK


@pytest.mark.parametrize("greeting", [b"", b"ready", b"<a b@c>", b"<\xffa@b>", b"<a@>", b"<>"])
def test_apop_wants_a_timestamp_that_is_one(greeting: bytes) -> None:
    """CVE-2007-1558: the text to digest is not for a machine in the middle to choose."""
    wanted = Login("mrose", SecretSource(), "apop")
    steps = login.begin("apop", wanted, Secret(b"x"), Target("a", 1), greeting)

    with pytest.raises(ProbeError) as caught:
        next(steps)
    assert caught.value.kind is Kind.NO_MECHANISM


def test_every_way_begins() -> None:
    """`--auth` takes no name that leads nowhere."""
    for way in login.WAYS:
        assert next(begun(way, b"secret")).wire.startswith((b"USER", b"APOP", b"AUTH"))


def listed(*lines: bytes) -> Capabilities:
    return parse_capabilities(lines)


@pytest.mark.parametrize(
    ("wanted", "capabilities", "way"),
    [
        ("auto", None, "user"),
        ("auto", listed(b"USER", b"SASL PLAIN"), "user"),
        ("auto", listed(b"SASL LOGIN PLAIN"), "plain"),
        ("auto", listed(b"SASL LOGIN CRAM-MD5"), "login"),
        ("user", listed(b"SASL PLAIN"), "user"),
        ("user", None, "user"),
        ("apop", listed(), "apop"),
        ("scram-sha-256", listed(b"SASL PLAIN SCRAM-SHA-256"), "scram-sha-256"),
        ("xoauth2", listed(b"sasl xoauth2"), "xoauth2"),
        ("xoauth2", None, "xoauth2"),
    ],
)
def test_the_one_way_that_is_tried(
    wanted: str, capabilities: Capabilities | None, way: str
) -> None:
    """`auto` is USER/PASS where offered or there is no list, else PLAIN, else LOGIN."""
    assert login.choose(wanted, capabilities, is_encrypted=True) == way


@pytest.mark.parametrize(
    ("wanted", "capabilities", "is_encrypted", "kind"),
    [
        ("auto", listed(b"SASL", b"STLS"), False, Kind.CLEARTEXT_REFUSED),
        ("plain", listed(b"SASL", b"STLS"), False, Kind.CLEARTEXT_REFUSED),
        ("auto", listed(b"SASL CRAM-MD5", b"STLS"), False, Kind.CLEARTEXT_REFUSED),
        ("plain", listed(b"SASL CRAM-MD5", b"STLS"), False, Kind.CLEARTEXT_REFUSED),
        ("xoauth2", listed(b"SASL CRAM-MD5", b"STLS"), False, Kind.NO_MECHANISM),
        ("auto", listed(b"SASL XOAUTH2"), False, Kind.NO_MECHANISM),
        # Servers offer these for users who have no such secret: only when named.
        ("auto", listed(b"SASL CRAM-MD5 SCRAM-SHA-256"), True, Kind.NO_MECHANISM),
        ("auto", listed(b"SASL XOAUTH2", b"STLS"), True, Kind.NO_MECHANISM),
        ("auto", listed(), True, Kind.NO_MECHANISM),
        ("xoauth2", listed(b"SASL PLAIN LOGIN"), True, Kind.NO_MECHANISM),
    ],
)
def test_nothing_fits(
    wanted: str, capabilities: Capabilities, is_encrypted: bool, kind: Kind
) -> None:
    """Fault 52, and Dovecot's list before TLS where it wants TLS first."""
    with pytest.raises(ProbeError) as caught:
        login.choose(wanted, capabilities, is_encrypted)
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
