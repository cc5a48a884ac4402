"""The installed command against a real Courier: its special behaviour."""

from __future__ import annotations

import pytest

from tests.servers.courier import Courier
from tests.support.command import assert_failed
from tests.systems.conftest import Check, Login

pytestmark = pytest.mark.real


def test_capabilities_unknown_are_shown_as_received(
    check: Check, login: Login, courier: Courier
) -> None:
    """A login delay that it does not enforce, its own argument, mechanisms of its own."""
    for _ in range(2):
        done = check(courier.tls, "-S", *login(), "-vv")

        assert done.code == 0, done.out
    [line] = (line for line in done.long if line.startswith("capabilities: "))
    assert {
        "LOGIN-DELAY 10",
        "UTF8 USER",
        "SASL PLAIN LOGIN CRAM-MD5 CRAM-SHA1 CRAM-SHA256",
    } <= set(line.removeprefix("capabilities: ").split(", "))


def test_apop_without_timestamp_is_not_tried(check: Check, login: Login, courier: Courier) -> None:
    """The greeting has no timestamp."""
    done = check(courier.tls, "-S", *login(), "--auth", "apop")

    assert_failed(done, 2, "no-mechanism", "login")
    assert "offers no APOP" in done.verdict


def test_scram_not_offered_is_not_tried(check: Check, login: Login, courier: Courier) -> None:
    """CRAM-SHA256 is another mechanism."""
    done = check(courier.tls, "-S", *login(), "--auth", "scram-sha-256")

    assert_failed(done, 2, "no-mechanism", "login")
    mechanisms = "PLAIN LOGIN CRAM-MD5 CRAM-SHA1 CRAM-SHA256"
    assert f"server does not offer SCRAM-SHA-256; its mechanisms: {mechanisms} (" in done.verdict


def test_user_offered_but_refused_before_tls_is_critical(check: Check, courier: Courier) -> None:
    """The capabilities are the same with and without POP3_TLS_REQUIRED."""
    done = check(courier.strict, "--refuse-cleartext-login")

    assert_failed(done, 2, "cleartext-accepted")
    assert "offers USER before TLS" in done.verdict


def test_stls_pipelined_command_is_answered_before_1_1_5(check: Check, courier: Courier) -> None:
    """CVE-2021-38084: versions before 1.1.5 answer them inside TLS."""
    done = check(courier.plain, "--starttls", "--check-starttls-injection")

    if courier.version("courier-pop") < (1, 1, 5):
        assert_failed(done, 2, "injectable")
        assert "executes a command sent before TLS: +OK Here" in done.verdict
    else:
        assert done.code == 0, done.out


def test_session_ends_with_quit(check: Check, login: Login, courier: Courier) -> None:
    """Threat T20: the server logs a logout, not a lost connection."""
    before = courier.log()

    check(courier.plain)
    check(courier.tls, "-S", *login())
    check(courier.plain, "--starttls", *login())

    log = courier.log_since(before, "stls=1\n")
    assert log.count("LOGIN, user=monitor") == log.count("LOGOUT, user=monitor") == 2
    assert "DISCONNECTED" not in log
