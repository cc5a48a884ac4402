"""The installed command against a real Cyrus: its special behaviour."""

from __future__ import annotations

import pytest

from tests.servers.cyrus import Cyrus
from tests.support.command import assert_failed
from tests.systems.conftest import Check, Login

pytestmark = pytest.mark.real


def test_login_too_soon_is_login_delay(check: Check, login: Login, cyrus: Cyrus) -> None:
    """Fault 48: `popminpoll` is one minute; temporary according to the server."""
    first = check(cyrus.delayed, "-S", *login("frequent"))
    second = check(cyrus.delayed, "-S", *login("frequent"))

    assert first.code == 0, first.out
    assert_failed(second, 1, "login-delay", "login")
    assert "user frequent logs in too often: [LOGIN-DELAY] " in second.verdict


def test_session_name_in_pass_reply_is_ignored(check: Check, login: Login, cyrus: Cyrus) -> None:
    """The reply to PASS has a name that RFC 1939 does not define."""
    done = check(cyrus.tls, "-S", *login(), "-vvv")

    assert done.code == 0, done.out
    assert " SESSIONID=" in done.out
    assert "IMPLEMENTATION Cyrus POP3 " in done.out


def test_cleartext_login_not_allowed_is_refused(check: Check, cyrus: Cyrus) -> None:
    """With `allowplaintext: no` the server offers neither USER nor cleartext mechanisms."""
    done = check(cyrus.strict, "--refuse-cleartext-login")

    assert done.code == 0, done.out


def test_stls_pipelined_command_is_discarded(check: Check, cyrus: Cyrus) -> None:
    """Cyrus discards them."""
    done = check(cyrus.plain, "--starttls", "--check-starttls-injection")

    assert done.code == 0, done.out


def test_cram_md5_without_tls_logs_in(check: Check, login: Login, cyrus: Cyrus) -> None:
    """A server that refuses cleartext passwords accepts CRAM-MD5 before TLS."""
    done = check(cyrus.strict, *login(), "--allow-insecure-login", "--auth", "scram-sha-256")

    assert done.code == 0, done.out
