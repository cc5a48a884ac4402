"""Login methods and their selection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.sanitised_text import Printable, sanitise
from check_pop3_plus.model.settings import (
    LOGIN_METHODS,
    Login,
    Secret,
    SecretSource,
    Target,
)
from check_pop3_plus.pop3 import login
from check_pop3_plus.pop3.grammar import Capabilities, Reply, parse_capabilities, parse_status

OK = Reply(True, b"")
REFUSED = Reply(False, b"no")


GREETING = b"POP3 server ready <1896.697170952@dbc.mtview.ca.us>"


def begun(method: str, secret: bytes, username: str = "monitor") -> login.Steps:
    wanted = Login(username, SecretSource(), method)
    target = Target("pop.example.test", 995)
    return login.begin(method, wanted, Secret(secret), target, GREETING)


def run_steps(steps: login.Steps, *replies: Reply) -> tuple[list[bytes], Reply | None]:
    """Return the lines sent by a method, and the final reply."""
    sent = [next(steps).wire]
    for reply in replies:
        try:
            sent.append(steps.send(reply).wire)
        except StopIteration as end:
            return sent, end.value
    return sent, None


def test_user_pass_sends_name_then_password() -> None:
    """RFC 1939 section 7."""
    sent, end = run_steps(begun("user", b"a b"), OK, OK)

    assert sent == [b"USER monitor\r\n", b"PASS a b\r\n"]
    assert end == OK


def test_user_pass_user_refused_sends_no_password() -> None:
    """Fault 45: the login ends there."""
    sent, end = run_steps(begun("user", b"secret"), REFUSED)

    assert sent == [b"USER monitor\r\n"]
    assert end == REFUSED


def test_user_pass_only_password_is_the_secret() -> None:
    """A refused USER has told the server nothing, so that a retry may log in again."""
    steps = begun("user", b"secret")

    assert [next(steps).before_secret, steps.send(OK).before_secret] == [True, False]


def test_apop_sends_rfc_1939_digest() -> None:
    """RFC 1939 section 7."""
    sent, end = run_steps(begun("apop", b"tanstaaf", "mrose"), OK)

    assert sent == [b"APOP mrose c4c9334bac560ecc979e58001b3e22fb\r\n"]
    assert end == OK


def apop(greeting: bytes, username: str = "mrose", secret: bytes = b"tanstaaf") -> login.Steps:
    wanted = Login(username, SecretSource(), "apop")
    return login.begin("apop", wanted, Secret(secret), Target("a", 1), greeting)


@pytest.mark.parametrize(
    ("greeting", "username", "secret", "digest"),
    [
        # curl test 864
        (
            b"+OK curl POP3 server ready to serve <1972.987654321@curl>",
            "user",
            b"secret",
            b"7501b4cdc224d469940e65e7b5e4d6eb",
        ),
        # Thunderbird test_pop3ApopTimestamp.js
        (
            b"+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>",
            "fred",
            b"wilma",
            b"4a25ddaca298245cfadd76aa64bb2407",
        ),
        *(
            (greeting, "fred", b"wilma", b"643842af5929c053d71b5abf11aab6f4")
            for greeting in (
                b"+OK hi <1@a.b> (see <http://x>)",
                b"+OK hi <\xfc@x> <1@a.b>",
                b"+OK hi <1@a.b> <2@a.b>",
                b"+OK hi <<1@a.b>>",
                b"+OK <1@a.b>",
                b"+OK hi<1@a.b>there",
            )
        ),
    ],
)
def test_apop_uses_first_valid_timestamp(
    greeting: bytes, username: str, secret: bytes, digest: bytes
) -> None:
    """RFC 1939 section 7: the timestamp with its brackets, then the secret."""
    sent, end = run_steps(apop(greeting, username, secret), OK)

    assert sent == [b"APOP " + username.encode() + b" " + digest + b"\r\n"]
    assert end == OK


@pytest.mark.parametrize(
    "greeting",
    [
        b"",
        b"ready",
        b"<a b@c>",
        b"<\xffa@b>",
        b"<a@>",
        b"<@b>",
        b"<>",
        b"<a.b>",
        b"<a@b@c>",
        b"<a\0@b>",
        b"<a\r@b>",
        b"<a\x7f@b>",
        b"a@b",
        b"a@b>",
        b"<a@b",
        b"<a@b<",
        b">a@b<",
        # Thunderbird: an endless timestamp takes no time
        b"+OK <" + b"@" * 2000,
        b"+OK <" + b"a@" * 1000,
        b"+OK " + b"<" * 2000 + b"a@b",
        b"+OK <" + b"a" * 2000,
    ],
)
def test_apop_invalid_timestamp_is_no_mechanism(greeting: bytes) -> None:
    """CVE-2007-1558: a man in the middle must not choose the text to digest."""
    with pytest.raises(ProbeError) as caught:
        next(apop(greeting))
    assert caught.value.kind is Kind.NO_MECHANISM
    assert caught.value.message == "offers no APOP (no timestamp in the greeting)"


def test_login_transcript_masks_proof() -> None:
    """The name is shown, the password or digest is not."""
    steps = begun("user", b"secret")

    assert [next(steps).shown, steps.send(OK).shown] == ["USER monitor", "PASS ***"]
    assert next(begun("apop", b"secret")).shown == "APOP ***"


def test_login_username_not_utf_8_is_sent_unchanged() -> None:
    """The bytes of the command line are sent."""
    assert next(begun("user", b"secret", "j\udcfc")).wire == b"USER j\xfc\r\n"


def test_login_external_sends_no_secret() -> None:
    """With EXTERNAL the client certificate authenticates."""
    wanted = Login("tim", SecretSource(), "plain")
    steps = login.begin("plain", wanted, None, Target("a", 1), GREETING)

    assert next(steps).wire == b"AUTH PLAIN AHRpbQA=\r\n"


def test_login_non_ascii_is_sent_as_utf_8() -> None:
    """Also without the capability UTF8 (RFC 6856): most servers accept UTF-8."""
    sent, _ = run_steps(begun("user", "p\xe4ss w\xf6rd".encode(), "j\xfcrgen"), OK, OK)

    assert sent == ["USER j\xfcrgen\r\n".encode(), "PASS p\xe4ss w\xf6rd\r\n".encode()]


@pytest.mark.parametrize("method", ["user", "apop"])
def test_login_lost_connection_raises_its_error(method: str) -> None:
    """Fault 51: at every step."""
    for made in range(2 if method == "user" else 1):
        steps = begun(method, b"secret")
        next(steps)
        for _ in range(made):
            steps.send(OK)
        lost = ProbeError(Kind.CLOSED, Printable("closed the connection"))
        with pytest.raises(ProbeError) as caught:
            steps.throw(lost)
        assert caught.value is lost


@given(
    st.sampled_from(["user", "apop"]),
    st.lists(st.binary(max_size=40).map(lambda text: parse_status(b"+OK " + text)), max_size=3),
)
def test_login_any_replies_send_password_once(method: str, replies: list[Reply | None]) -> None:
    """The password is sent at most once, and never shown."""
    steps = begun(method, b"canary-secret")
    shown, sent = [], 0
    for reply in [None, *replies]:
        try:
            command = next(steps) if reply is None else steps.send(reply)
        except StopIteration:
            break
        shown.append(command.shown)
        sent += b"canary" in command.wire
    assert sent <= 1
    assert "canary" not in "".join(shown)


def test_begin_every_method_yields_a_command() -> None:
    """Every value of `--auth` has a login method."""
    for method in LOGIN_METHODS:
        assert next(begun(method, b"secret")).wire.startswith((b"USER", b"APOP", b"AUTH"))


def listed(*lines: bytes) -> Capabilities:
    return parse_capabilities(lines)


@pytest.mark.parametrize(
    ("wanted", "capabilities", "method"),
    [
        ("auto", None, "user"),
        ("auto", listed(b"USER", b"SASL PLAIN"), "user"),
        ("auto", listed(b"SASL LOGIN PLAIN"), "plain"),
        ("auto", listed(b"SASL LOGIN CRAM-MD5"), "login"),
        ("auto", listed(b"sasl plain"), "plain"),
        ("auto", listed(b"SASL", b"SASL LOGIN", b"SASL PLAIN"), "plain"),
        ("auto", listed(b"SASL\tPLAIN\t "), "plain"),
        ("auto", listed(b"SASL PLAIN PLAIN-CLIENTTOKEN \xff"), "plain"),
        ("auto", listed(b"user"), "user"),
        ("auto", listed(b"USER PLAIN"), "user"),
        # MailKit's recordings: Gmail, Exchange, Comcast
        ("auto", listed(b"USER", b"SASL PLAIN XOAUTH2 OAUTHBEARER"), "user"),
        ("auto", listed(b"TOP", b"UIDL", b"SASL PLAIN", b"USER", b"STLS"), "user"),
        ("auto", listed(b"SASL CRAM-MD5 DIGEST-MD5 LOGIN PLAIN"), "plain"),
        ("user", listed(b"SASL PLAIN"), "user"),
        ("user", None, "user"),
        ("apop", listed(), "apop"),
        ("scram-sha-256", listed(b"SASL PLAIN SCRAM-SHA-256"), "scram-sha-256"),
        ("xoauth2", listed(b"sasl xoauth2"), "xoauth2"),
        ("xoauth2", None, "xoauth2"),
        ("external", listed(b"SASL EXTERNAL"), "external"),
        ("scram-sha-1", listed(b"SASL SCRAM-SHA-1-PLUS", b"SASL SCRAM-SHA-1"), "scram-sha-1"),
        *((method, None, method) for method in LOGIN_METHODS),
    ],
)
def test_choose_mechanism_takes_the_best_offered(
    wanted: str, capabilities: Capabilities | None, method: str
) -> None:
    """`auto` is USER/PASS if offered or there is no list, else PLAIN, else LOGIN."""
    assert login.choose_mechanism(wanted, capabilities, is_encrypted=True) == method


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
        # A proxy ends TLS: Dovecot and Cyrus behind HAProxy.
        ("auto", listed(b"SASL", b"STLS"), True, Kind.CLEARTEXT_REFUSED),
        ("plain", listed(b"SASL CRAM-MD5", b"STLS"), True, Kind.CLEARTEXT_REFUSED),
        ("scram-sha-1", listed(b"SASL", b"STLS"), True, Kind.NO_MECHANISM),
        ("auto", listed(), True, Kind.NO_MECHANISM),
        ("auto", listed(b"SASL"), True, Kind.NO_MECHANISM),
        ("auto", listed(b"SASL=PLAIN"), True, Kind.NO_MECHANISM),
        ("auto", listed(b"AUTH PLAIN LOGIN"), True, Kind.NO_MECHANISM),
        ("auto", listed(b"AUTH=PLAIN"), True, Kind.NO_MECHANISM),
        ("auto", listed(b"X-USER", b"USERS", b"USER=1"), True, Kind.NO_MECHANISM),
        ("auto", listed(b"SASL PLAIN-CLIENTTOKEN XPLAIN"), True, Kind.NO_MECHANISM),
        ("auto", listed(b"SASL KERBEROS_V4 GSSAPI NTLM"), True, Kind.NO_MECHANISM),
        ("auto", listed(b"SASL SCRAM-SHA-1 APOP EXTERNAL"), True, Kind.NO_MECHANISM),
        ("scram-sha-1", listed(b"SASL SCRAM-SHA-1-PLUS"), True, Kind.NO_MECHANISM),
        ("plain", listed(b"USER"), True, Kind.NO_MECHANISM),
        ("xoauth2", listed(b"SASL PLAIN LOGIN"), True, Kind.NO_MECHANISM),
    ],
)
def test_choose_mechanism_none_offered_is_refused(
    wanted: str, capabilities: Capabilities, is_encrypted: bool, kind: Kind
) -> None:
    """Fault 52, and Dovecot's list before TLS if it demands TLS."""
    with pytest.raises(ProbeError) as caught:
        login.choose_mechanism(wanted, capabilities, is_encrypted)
    assert caught.value.kind is kind


@pytest.mark.parametrize(
    ("wanted", "capabilities", "is_encrypted", "message"),
    [
        ("auto", listed(b"SASL", b"STLS"), False, "offers no login before TLS"),
        (
            "auto",
            listed(b"SASL CRAM-MD5 GSSAPI", b"STLS"),
            False,
            "demands TLS before a login (offers only CRAM-MD5 GSSAPI without)",
        ),
        (
            "auto",
            listed(b"SASL CRAM-MD5 GSSAPI"),
            True,
            "does not offer USER, PLAIN or LOGIN; its mechanisms: CRAM-MD5 GSSAPI",
        ),
        ("auto", listed(), True, "does not offer USER, PLAIN or LOGIN; its mechanisms: none"),
        (
            "xoauth2",
            listed(b"SASL PLAIN A<B " + b"X" * 21),
            True,
            "does not offer XOAUTH2; its mechanisms: PLAIN",
        ),
    ],
)
def test_choose_mechanism_message_names_wanted_and_offered(
    wanted: str, capabilities: Capabilities, is_encrypted: bool, message: str
) -> None:
    """The wanted mechanism comes first, then the offered ones."""
    with pytest.raises(ProbeError) as caught:
        login.choose_mechanism(wanted, capabilities, is_encrypted)
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Kind.CLEARTEXT_REFUSED, "demands TLS before a login: no"),
        (Kind.CLIENT_CERTIFICATE, "demands a client certificate: no"),
        (Kind.IN_USE, "mailbox of a?b is in use: no"),
        (Kind.LOGIN_DELAY, "user a?b logs in too often: no"),
        (Kind.TEMPORARY, "login of a?b failed for now: no"),
        (Kind.PERMANENT, "login of a?b failed: no"),
        (Kind.CREDENTIALS, "login of a?b rejected: no"),
        (Kind.NO_MECHANISM, "does not know this login method: no"),
        (Kind.LOCKED_OUT, "user a?b is locked out: no"),
        (Kind.BACKEND, "server trouble during the login of a?b: no"),
        (Kind.LOGIN_REFUSED, "login of a?b refused: no"),
    ],
)
def test_refused_fits_the_kind(kind: Kind, message: str) -> None:
    """There is one sentence for each kind."""
    assert login.refused(Reply(False, b"no"), "a|b", kind, False, sanitise).message == message


@pytest.mark.parametrize("text", [b"", b".", b" - "])
def test_refused_without_text_says_so(text: bytes) -> None:
    """A bare `-ERR`, or punctuation alone, has no reason."""
    error = login.refused(Reply(False, text), "a", Kind.CREDENTIALS, True, sanitise)

    assert error.message == "login of a rejected: (no reason given)"


def test_refused_names_user_and_quotes_server() -> None:
    """The message names the user whose password was rejected."""
    reply = Reply(False, b"[AUTH] no <b>", "AUTH")

    error = login.refused(reply, "monitor", Kind.CREDENTIALS, True, sanitise)

    assert error.message == "login of monitor rejected: [AUTH] no (b)"


@pytest.mark.parametrize(
    ("username", "secret", "names"),
    [
        ("monitor", Secret(b"pw"), (b"monitor", b"monitor", b"pw")),
        (
            *("mon.itor_1@a-b.test", Secret(b"pw")),
            (b"mon.itor_1@a-b.test", b"mon", b"itor", b"1", b"a-b", b"test", b"pw"),
        ),
        ("m\udcff", None, (b"m\xff", b"m", b"", b"")),
    ],
)
def test_names_said_are_user_name_its_parts_and_the_secret(
    username: str, secret: Secret | None, names: tuple[bytes, ...]
) -> None:
    """A server may repeat any of them, and none is a word of its own."""
    wanted = Login(username, SecretSource(), "user")

    assert login.names_said(wanted, secret) == names
