"""The installed command against a real Courier: what it alone does."""

from __future__ import annotations

import pytest

from tests.servers.courier import Courier
from tests.support.command import assert_failed
from tests.systems.conftest import Check, Login

pytestmark = pytest.mark.real


def test_odd_capabilities_are_shown_as_they_come(
    check: Check, login: Login, courier: Courier
) -> None:
    """A delay that it does not keep, an argument of its own, mechanisms that nobody else has."""
    for _ in range(2):
        done = check(courier.tls, "-S", *login(), "-vv")

        assert done.code == 0, done.out
    [line] = (line for line in done.long if line.startswith("capabilities: "))
    assert {
        "LOGIN-DELAY 10",
        "UTF8 USER",
        "SASL PLAIN LOGIN CRAM-MD5 CRAM-SHA1 CRAM-SHA256",
    } <= set(line.removeprefix("capabilities: ").split(", "))


def test_no_apop(check: Check, login: Login, courier: Courier) -> None:
    """Its greeting has no timestamp."""
    done = check(courier.tls, "-S", *login(), "--auth", "apop")

    assert_failed(done, 2, "no-mechanism", "login")
    assert "offers no APOP" in done.verdict


def test_no_scram(check: Check, login: Login, courier: Courier) -> None:
    """CRAM-SHA256 is not it."""
    done = check(courier.tls, "-S", *login(), "--auth", "scram-sha-256")

    assert_failed(done, 2, "no-mechanism", "login")
    assert done.verdict.endswith(
        "does not offer SCRAM-SHA-256; its mechanisms: PLAIN LOGIN CRAM-MD5 CRAM-SHA1 CRAM-SHA256"
    )


def test_user_is_offered_where_it_is_refused(check: Check, courier: Courier) -> None:
    """Its list is the same with and without POP3_TLS_REQUIRED: clients are invited to try."""
    done = check(courier.strict, "--refuse-cleartext-login")

    assert_failed(done, 2, "cleartext-accepted")
    assert "offers USER before TLS" in done.verdict


def test_commands_behind_stls(check: Check, courier: Courier) -> None:
    """CVE-2021-38084: before 1.1.5 they are answered inside TLS. That is seen."""
    done = check(courier.plain, "--starttls", "--check-starttls-injection")

    if courier.version < (1, 1, 5):
        assert_failed(done, 2, "injectable")
        assert "answers a command from before TLS inside it: +OK Here" in done.verdict
    else:
        assert done.code == 0, done.out


def test_sessions_end_with_quit(check: Check, login: Login, courier: Courier) -> None:
    """Threat T20: the server saw a log-out, not a line that went dead."""
    before = courier.log()

    check(courier.plain)
    check(courier.tls, "-S", *login())
    check(courier.plain, "--starttls", *login())

    log = courier.log_since(before, "stls=1\n")
    assert log.count("LOGIN, user=monitor") == log.count("LOGOUT, user=monitor") == 2
    assert "DISCONNECTED" not in log
