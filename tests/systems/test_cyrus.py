"""The installed command against a real Cyrus: what it alone does."""

from __future__ import annotations

import pytest

from tests.servers.cyrus import Cyrus
from tests.support.command import assert_failed
from tests.systems.conftest import Check, Login

pytestmark = pytest.mark.real


def test_logins_too_often(check: Check, login: Login, cyrus: Cyrus) -> None:
    """Fault 48: `popminpoll` is one minute. Temporary, by the server's own word."""
    first = check(cyrus.delayed, "-S", *login("frequent"))
    second = check(cyrus.delayed, "-S", *login("frequent"))

    assert first.code == 0, first.out
    assert_failed(second, 1, "login-delay", "login")
    assert "says that user frequent logs in too often: [LOGIN-DELAY] " in second.verdict


def test_session_names_are_tolerated(check: Check, login: Login, cyrus: Cyrus) -> None:
    """In the reply to PASS, where RFC 1939 has nothing; and who it is, in the capabilities."""
    done = check(cyrus.tls, "-S", *login(), "-vvv")

    assert done.code == 0, done.out
    assert " SESSIONID=" in done.out
    assert "IMPLEMENTATION Cyrus POP3 " in done.out


def test_cleartext_logins_are_refused(check: Check, cyrus: Cyrus) -> None:
    """With `allowplaintext: no` neither USER nor a mechanism that shows the password is offered."""
    done = check(cyrus.strict, "--refuse-cleartext-login")

    assert done.code == 0, done.out


def test_commands_behind_stls(check: Check, cyrus: Cyrus) -> None:
    """They are thrown away."""
    done = check(cyrus.plain, "--starttls", "--check-starttls-injection")

    assert done.code == 0, done.out


def test_a_digest_without_tls(check: Check, login: Login, cyrus: Cyrus) -> None:
    """Where it refuses passwords in clear, it takes what does not show them."""
    done = check(cyrus.strict, *login(), "--allow-insecure-login", "--auth", "scram-sha-256")

    assert done.code == 0, done.out
