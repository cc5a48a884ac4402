"""The installed command against popa3d and GNU mailutils, which have no TLS and unusual replies."""

from __future__ import annotations

import poplib
from collections.abc import Iterator

import pytest

from tests.pki.certificates import Pki
from tests.servers.chroots import MESSAGES, PASSWORD
from tests.servers.small_servers import Mailutils, Popa3d, SmallServer
from tests.support.command import assert_failed
from tests.systems.conftest import Check, Login

pytestmark = pytest.mark.real

INSECURE = "--allow-insecure-login"


@pytest.fixture(scope="session")
def popa3d(pki: Pki) -> Iterator[Popa3d]:
    with Popa3d.running(pki) as server:
        yield server


@pytest.fixture(scope="session")
def mailutils(pki: Pki) -> Iterator[Mailutils]:
    with Mailutils.running(pki) as server:
        yield server


@pytest.fixture(params=["popa3d", "mailutils"])
def server(request: pytest.FixtureRequest) -> SmallServer:
    found: SmallServer = request.getfixturevalue(request.param)
    return found


def test_plain_server_is_ok(check: Check, server: SmallServer) -> None:
    """Fault 70: a greeting may have no text."""
    assert check(server.plain).code == 0


def test_login_counts_the_mailbox(check: Check, login: Login, server: SmallServer) -> None:
    """The mailbox is counted and not changed, once the first session has numbered it."""
    check(server.plain, *login(), INSECURE)
    before = server.mailbox()

    done = check(server.plain, *login(), INSECURE)

    assert done.code == 0, done.out
    assert f", user monitor logged in, {MESSAGES} messages, cleartext login" in done.verdict
    assert server.mailbox() == before


def test_wrong_password_is_tried_once(check: Check, login: Login, server: SmallServer) -> None:
    """Fault 46, after some seconds; popa3d then closes the connection, which is no other fault."""
    assert_failed(
        check(server.plain, *login("monitor", "wrong"), INSECURE), 2, "credentials", "login"
    )


def test_stls_not_offered_is_critical(check: Check, login: Login, server: SmallServer) -> None:
    """Fault 26, by capabilities without STLS or by a bare -ERR; no login without TLS."""
    before = server.log()

    done = check(server.plain, "--starttls", *login())

    assert_failed(done, 2, "no-stls", "stls")
    assert "monitor" not in server.log()[len(before) :]


def test_cleartext_login_accepted_fails_the_assertion(check: Check, server: SmallServer) -> None:
    """Mailutils offers them; popa3d has no capabilities, and asks for the password."""
    assert_failed(check(server.plain, "--refuse-cleartext-login=try"), 2, "cleartext-accepted")


def test_replies_without_text_are_accepted(check: Check, login: Login, popa3d: Popa3d) -> None:
    """Every reply of popa3d is a bare +OK or -ERR: no capabilities, APOP or SASL."""
    apop = check(popa3d.plain, *login(), INSECURE, "--auth", "apop")
    listed = check(popa3d.plain, "--require-capa", "UIDL")

    assert_failed(apop, 2, "no-mechanism", "login")
    assert_failed(listed, 2, "no-capability")


def test_capability_without_space_is_shown_as_received(
    check: Check, login: Login, mailutils: Mailutils
) -> None:
    """Mailutils omits a space; the tag is shown as received."""
    done = check(mailutils.plain, *login(), INSECURE, "-vv")

    assert done.code == 0, done.out
    assert "EXPIRENEVER" in done.out


def test_mailbox_locked_is_kind_in_use(check: Check, login: Login, mailutils: Mailutils) -> None:
    """Fault 48: mailutils locks it and sends a response code; temporary."""
    other = poplib.POP3("127.0.0.1", mailutils.plain, timeout=10)
    try:
        other.user("monitor")
        other.pass_(PASSWORD)
        done = check(mailutils.plain, *login(), INSECURE)
    finally:
        other.quit()

    assert_failed(done, 1, "in-use", "login")
    assert "[IN-USE] Mailbox in use" in done.verdict
