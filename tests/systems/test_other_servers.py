"""The installed command against a real Courier and a real Cyrus: their common behaviour."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.servers.chroots import MESSAGES, NAME, TlsServer
from tests.support.command import Run, assert_failed
from tests.systems.conftest import Check, Login

pytestmark = pytest.mark.real

S = r"\d+\.\d{4}s"
"""A time in perfdata."""
PHASE = rf"{S};;;0"
CONNECTED = rf"time={S};;;0;10 time_resolve={PHASE} time_connect={PHASE}"

DELAY = (2, 8)
"""Both reject a wrong password only after some seconds."""


def assert_line(done: Run, code: int, pattern: str) -> None:
    """Assert the whole status line, perfdata included."""
    assert re.fullmatch(pattern, done.line), done.out
    assert done.code == code


def link(server: TlsServer, starttls: bool) -> tuple[int, str]:
    """Return the port, and the option for TLS on it."""
    return (server.plain, "--starttls") if starttls else (server.tls, "-S")


both_links = pytest.mark.parametrize("starttls", [False, True], ids=["tls", "stls"])


# The four common uses.


def test_plain_server_is_ok(check: Check, server: TlsServer) -> None:
    """Use 1, with the greeting of this server."""
    done = check(server.plain, "-e", server.greeting)

    assert_line(
        done,
        0,
        rf"POP3 OK - {NAME}:{server.plain} answered in \d\.\d{{3}} s"
        rf" \| {CONNECTED} time_greeting={PHASE}",
    )


@both_links
def test_user_can_log_in(check: Check, login: Login, server: TlsServer, starttls: bool) -> None:
    """Use 2, with the numbers of the mailbox."""
    messages = server.messages()
    assert len(messages) == MESSAGES
    stls = f" time_stls={PHASE}" if starttls else ""

    assert_line(
        check(*link(server, starttls), *login()),
        0,
        rf"POP3 OK - {NAME}:\d+ answered in \d\.\d{{3}} s, TLSv1\.3,"
        rf" certificate valid for 364 days \(until [\d-]+\),"
        rf" user monitor logged in, {MESSAGES} messages"
        rf" \| {CONNECTED} time_tls={PHASE} time_greeting={PHASE} time_capa={PHASE}{stls}"
        rf" time_login={PHASE} time_stat={PHASE} cert_days=364\.\d\d"
        rf" messages={MESSAGES};;;0 mailbox_size={sum(map(len, messages))}B;;;0",
    )


@both_links
def test_certificate_is_verified_and_dated(check: Check, server: TlsServer, starttls: bool) -> None:
    """Uses 3 and 4: verified, days left, the wrong name."""
    enough = check(*link(server, starttls), "-D", "60,14")
    soon = check(*link(server, starttls), "-D", "370")
    other = check(*link(server, starttls), "--sni", "other.example.test")

    assert enough.code == 0, enough.out
    assert ", certificate valid for 364 days (until 20" in enough.verdict
    assert re.fullmatch(r"364\.\d\d;60:;14:", enough.perfdata["cert_days"])
    assert_failed(soon, 1, "expiring")
    assert_failed(other, 2, "name", "tls")


# Logins.


@both_links
def test_mechanism_offered_logs_in(
    check: Check, login: Login, server: TlsServer, starttls: bool
) -> None:
    """Every mechanism that server and plugin support; `auto` uses USER."""
    for how in ("auto", *server.mechanisms):
        done = check(*link(server, starttls), *login(), "--auth", how, "-vvv")

        assert done.code == 0, done.out
        assert f", user monitor logged in, {MESSAGES} messages" in done.verdict
        command = {"auto": "USER", "user": "USER", "apop": "APOP"}.get(how, f"AUTH {how.upper()}")
        assert f"transcript: C: {command}" in done.out


def test_mechanism_not_offered_is_not_tried(check: Check, login: Login, server: TlsServer) -> None:
    """Fault 52: it is not tried, and the output names the offered ones."""
    before = server.log()

    done = check(server.tls, "-S", *login(), "--auth", "oauthbearer")

    assert_failed(done, 2, "no-mechanism", "login")
    assert "server does not offer OAUTHBEARER; its mechanisms: PLAIN" in done.verdict
    assert server.rejection not in server.log()[len(before) :]


def test_wrong_password_is_tried_once(check: Check, login: Login, server: TlsServer) -> None:
    """Fault 46: rejected after seconds but within the limit, and tried once, with each mechanism.

    Both servers treat an unknown user alike.
    """
    before = server.log()

    logins = [("nobody", "user"), *(("monitor", how) for how in server.mechanisms)]
    options = {user: login(user, "wrong") for user, _ in logins}

    def tried(user: str, how: str) -> None:
        done = check(server.tls, "-S", *options[user], "--auth", how, "-t", "10")

        assert_failed(done, 2, "credentials", "login")
        assert f"login of {user} rejected: " in done.verdict
        assert "messages" not in done.perfdata
        assert DELAY[0] < float(done.perfdata["time_login"].partition("s")[0]) < DELAY[1]

    with ThreadPoolExecutor(max_workers=5) as threads:
        for tries in [threads.submit(tried, *one) for one in logins]:
            tries.result()

    assert server.log()[len(before) :].count(server.rejection) == len(logins)


def test_timeout_below_login_delay_names_the_phase(
    check: Check, login: Login, server: TlsServer
) -> None:
    """The run ends at the limit and names the phase, while the server delays its rejection."""
    before = server.log()

    done = check(server.tls, "-S", *login("monitor", "wrong"), "-t", "2")

    assert_failed(done, 2, "timeout", "login")
    assert done.seconds < 2.5
    assert server.log_since(before, server.rejection).count(server.rejection) == 1


@pytest.mark.parametrize("how", ["auto", "user", "plain"])
def test_cleartext_login_refused_is_critical(
    check: Check, login: Login, server: TlsServer, how: str
) -> None:
    """Fault 47: the server requires TLS, by its capabilities or its reply."""
    done = check(server.strict, *login(), "--allow-insecure-login", "--auth", how)

    assert_failed(done, 2, "cleartext-refused", "login")
    assert "demands TLS before a login" in done.verdict


def test_login_after_stls_is_possible(check: Check, login: Login, server: TlsServer) -> None:
    """If cleartext is refused, a login after STLS works."""
    done = check(server.strict, "--starttls", *login())

    assert done.code == 0, done.out


# Assertions.


def test_require_capa_missing_is_critical(check: Check, server: TlsServer) -> None:
    """OK if all are offered, CRITICAL if one is missing."""
    met = check(server.plain, "--starttls", "--require-capa", server.capabilities)
    missing = check(server.plain, "--starttls", "--require-capa", "UIDL,XYZZY,SASL=GSSAPI")

    assert met.code == 0, met.out
    assert_failed(missing, 2, "no-capability")
    assert "capabilities lack XYZZY, SASL=GSSAPI" in missing.verdict


def test_cleartext_login_accepted_fails_the_assertion(check: Check, server: TlsServer) -> None:
    """Both accept them by default."""
    done = check(server.plain, "--refuse-cleartext-login=try")

    assert_failed(done, 2, "cleartext-accepted")


# The mailbox.


def test_login_does_not_change_the_mailbox(check: Check, login: Login, server: TlsServer) -> None:
    """Threat T19: byte for byte, after the files that the server creates at the first login."""
    check(server.tls, "-S", *login())
    before = server.mailbox()
    assert len(before) > MESSAGES

    for how in server.mechanisms:
        assert check(server.tls, "-S", *login(), "--auth", how).code == 0
        assert check(server.plain, "--starttls", *login(), "--auth", how).code == 0

    assert server.mailbox() == before
