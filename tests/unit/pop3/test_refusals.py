"""The words of servers that refuse service or a login."""

from pathlib import Path

import pytest

from check_pop3_plus.model.failures import Kind
from check_pop3_plus.model.settings import Login, Secret, SecretSource
from check_pop3_plus.pop3 import refusals
from check_pop3_plus.pop3.grammar import Command, Reply, command, parse_status
from check_pop3_plus.pop3.login import names_said
from check_pop3_plus.pop3.refusals import blanked, service_kind

PASS = command(b"PASS", b"x")
USER = command(b"USER", b"x").replace(before_secret=True)
AUTH = command(b"AUTH", b"CRAM-MD5").replace(is_auth=True, before_secret=True)


def corpus() -> list[tuple[Kind, str]]:
    """Return the kind and the text of each line of the corpus."""
    lines = (Path(__file__).parent / "refused_logins.txt").read_text("utf-8").splitlines()
    rows = [line.split(" | ", 2) for line in lines if line and not line.startswith("#")]
    return [(Kind(kind), text) for kind, _, text in rows]


def parsed(text: str) -> Reply:
    reply = parse_status(f"-ERR {text}".encode())
    assert reply is not None
    return reply


def kind_of(text: str, may_demand_tls: bool = True, username: str = "monitor") -> Kind:
    wanted = Login(username, SecretSource(), "user")
    names = (b"pop.example.test", *names_said(wanted, Secret(b"hunter2")))
    return refusals.login_kind(parsed(text), PASS, may_demand_tls, names)


@pytest.mark.parametrize(("kind", "text"), corpus())
def test_login_kind_of_typical_reply_is_the_right_one(kind: Kind, text: str) -> None:
    """Each server's own words give their kind, whatever their case."""
    assert kind_of(text) is kind
    assert kind_of(text.upper()) is kind


@pytest.mark.parametrize(("kind", "text"), corpus())
def test_login_kind_inside_tls_demands_no_tls(kind: Kind, text: str) -> None:
    """Inside TLS no words demand TLS; all others mean the same."""
    inside = kind_of(text, may_demand_tls=False)

    assert inside is not Kind.CLEARTEXT_REFUSED
    assert inside is kind or kind is Kind.CLEARTEXT_REFUSED


def test_corpus_has_a_hundred_rejections() -> None:
    """Rejected passwords are most of what a server says."""
    kinds = [kind for kind, _ in corpus()]

    assert kinds.count(Kind.CREDENTIALS) >= 100
    assert set(kinds) >= {kind for kind, *_ in refusals.classes()}


@pytest.mark.parametrize(
    ("refused", "kind"),
    [(PASS, Kind.CREDENTIALS), (USER, Kind.LOGIN_REFUSED), (AUTH, Kind.NO_MECHANISM)],
)
@pytest.mark.parametrize("text", ["", "  ", ".", "- -"])
def test_login_kind_without_text_follows_command(text: str, refused: Command, kind: Kind) -> None:
    """A bare `-ERR`, or punctuation alone, is about what was sent."""
    assert refusals.login_kind(parsed(text), refused, may_demand_tls=True) is kind


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("[IN-USE] wrong password", Kind.IN_USE),
        ("[in-use/pop] x", Kind.IN_USE),
        ("[LOGIN-DELAY 300] x", Kind.LOGIN_DELAY),
        ("[SYS/TEMP/LDAP] x", Kind.TEMPORARY),
        ("[SYS/TEMPX] later", Kind.PERMANENT),
        ("[SYS] account locked", Kind.PERMANENT),
        ("[AUTH]", Kind.CREDENTIALS),
        ("[AUTH] internal error, try again later", Kind.CREDENTIALS),
        ("[AUTH] account locked", Kind.LOCKED_OUT),
        ("[AUTH] TLS required", Kind.CLEARTEXT_REFUSED),
        ("[AUTH] Unsupported authentication mechanism.", Kind.NO_MECHANISM),
        ("[SYSTEM] x", Kind.LOGIN_REFUSED),
        ("[IN-USED] x", Kind.LOGIN_REFUSED),
        ("[IN-USE x", Kind.LOGIN_REFUSED),
        ("[[IN-USE]] x", Kind.LOGIN_REFUSED),
    ],
)
def test_login_kind_code_wins_over_words(text: str, kind: Kind) -> None:
    """RFC 2449 section 8, RFC 3206; [AUTH] may speak of TLS, an account or the mechanism."""
    assert kind_of(text) is kind


@pytest.mark.parametrize(
    ("username", "text"),
    [
        ("account-locked", "account-locked: password incorrect"),
        ("later", "password of later is incorrect"),
        ("try.later@tls.example.test", "no password for later at try"),
        ("temporary_tls", "login of TEMPORARY denied"),
        ("x", "login at tls-required.pop.example.test denied"),
        ("x", "login denied, see https://example.test/account/locked"),
    ],
)
def test_login_kind_ignores_names(username: str, text: str) -> None:
    """A name of the user or of a host is no word of the server."""
    assert kind_of(text, username=username) is Kind.CREDENTIALS


@pytest.mark.parametrize("text", [b"account locked", b"TLS required", b"try later"])
def test_login_kind_ignores_text_past_512_bytes(text: bytes) -> None:
    """RFC 2449 section 4: no reply is longer than 512 bytes."""
    within, beyond = (
        Reply(False, b"x" * (length - len(text) - 1) + b" " + text) for length in (512, 520)
    )

    assert refusals.login_kind(within, PASS, may_demand_tls=True) is not Kind.LOGIN_REFUSED
    assert refusals.login_kind(beyond, PASS, may_demand_tls=True) is Kind.LOGIN_REFUSED


@pytest.mark.parametrize(
    ("text", "demands"),
    [
        *((text, True) for text in ("TLS required", "[AUTH] TLS required", "[IN-USE] use TLS")),
        *((text, False) for text in ("wrong password", "monitor required", "")),
    ],
)
def test_demands_tls_whatever_the_code_is(text: str, demands: bool) -> None:
    """The names that a server repeats are none of its words."""
    assert refusals.demands_tls(parsed(text), [b"monitor"]) is demands
    assert not refusals.demands_tls(parsed("tls-only is required"), [b"tls-only"])


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("[IN-USE] x", True),
        ("[SYS/TEMP] x", True),
        ("[SYS/PERM] x", False),
        ("[LOGIN-DELAY] x", False),
        ("mailbox locked", False),
        ("temporary problem, try again later", False),
        ("", False),
    ],
)
def test_promises_right_password_only_by_code(text: str, is_right: bool) -> None:
    """Words, which may be misunderstood, allow no other login in a run."""
    assert refusals.promises_right_password(parsed(text)) is is_right


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Exceeded the login limit for a 15 minute period.", Kind.LOGIN_DELAY),
        ("unable to lock maildrop", Kind.IN_USE),
        ("internal error", Kind.BACKEND),
        ("[SYS/PERM] x", Kind.PERMANENT),
        ("temporarily out of order", Kind.TEMPORARY),
        ("no", Kind.MAILBOX),
        ("", Kind.MAILBOX),
        ("access denied", Kind.MAILBOX),
        ("unknown command", Kind.MAILBOX),
        ("TLS required", Kind.MAILBOX),
    ],
)
def test_stat_kind_is_of_words_that_withdraw_the_login(text: str, kind: Kind) -> None:
    """What is not about the login is about the mailbox."""
    assert refusals.stat_kind(parsed(text), [b"monitor"]) is kind


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"-ERR No required SSL certificate", Kind.CLIENT_CERTIFICATE),
        (b"-ERR the SSL certificate error", Kind.CLIENT_CERTIFICATE),
        (b"-ERR A valid client certificate is required", Kind.CLIENT_CERTIFICATE),
        (b"-ERR [SYS/TEMP] No required SSL certificate", Kind.GREETING_TEMPORARY),
        (b"-ERR [SYS/PERM] certificate required", Kind.GREETING),
        (b"-ERR [SYS/TEMPLE] x", Kind.GREETING),
        (b"-ERR certificate-required.example.test is closed", Kind.GREETING),
        (b"-ERR certificates of merit", Kind.GREETING),
        (b"-ERR too many connections", Kind.GREETING_TEMPORARY),
        (b"-ERR try again later", Kind.GREETING_TEMPORARY),
        (b"-ERR internal error", Kind.GREETING),
        (b"-ERR go away", Kind.GREETING),
        (b"-ERR", Kind.GREETING),
    ],
)
def test_service_kind_follows_code_then_words(line: bytes, kind: Kind) -> None:
    """A response code of the family SYS wins over the words."""
    reply = parse_status(line)

    assert reply is not None
    assert service_kind(reply) is kind


@pytest.mark.parametrize(
    "text", [b"for cert", b"for CERT.", b"see https://cert/x", b"a@cert", b"at cert.example.test"]
)
def test_blanked_text_lacks_names(text: bytes) -> None:
    """Names of users and hosts, and URLs, are no words of the server."""
    assert b"cert" not in blanked(text, [b"cert"]).lower()


def test_blanked_text_keeps_longer_words() -> None:
    """A name is blanked only where it is a whole word."""
    assert blanked(b"a mail.example.test b cert c", [b"cert"]) == b"a   b   c"
    assert b"certificate" in blanked(b"certificate", [b"cert"])


@pytest.mark.parametrize(
    "text",
    [
        "sorry, no mailbox for monitor here",
        "never heard of mailbox monitor",
        "mailbox unknown",
        "Mailbox monitor does not exist",
        "no such mailbox",
    ],
)
def test_login_kind_of_unknown_mailbox_is_about_name_only_after_user(text: str) -> None:
    """RFC 1939 section 7: USER is refused by the name; after the password a mailbox is missing."""
    reply, names = parsed(text), [b"monitor"]

    assert refusals.login_kind(reply, USER, True, names) is Kind.CREDENTIALS
    assert refusals.login_kind(reply, PASS, True, names) is Kind.LOGIN_REFUSED
