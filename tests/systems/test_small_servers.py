"""The installed command against popa3d and GNU mailutils, which have no TLS and odd habits."""

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


def test_up_and_answering(check: Check, server: SmallServer) -> None:
    """Fault 70: a greeting need not say anything."""
    assert check(server.plain).code == 0


def test_login(check: Check, login: Login, server: SmallServer) -> None:
    """The mailbox is counted and left alone, once the first session has numbered it (mailutils)."""
    check(server.plain, *login(), INSECURE)
    before = server.mailbox()

    done = check(server.plain, *login(), INSECURE)

    assert done.code == 0, done.out
    assert f", user monitor logged in, {MESSAGES} messages (cleartext login)" in done.verdict
    assert server.mailbox() == before


def test_wrong_password(check: Check, login: Login, server: SmallServer) -> None:
    """Fault 46, after some seconds; popa3d hangs up at once, which is no other fault."""
    assert_failed(
        check(server.plain, *login("monitor", "wrong"), INSECURE), 2, "credentials", "login"
    )


def test_no_stls(check: Check, login: Login, server: SmallServer) -> None:
    """Fault 26, from a list without it or by a bare -ERR; and no login without TLS."""
    before = server.log()

    done = check(server.plain, "--starttls", *login())

    assert_failed(done, 2, "no-stls", "stls")
    assert "monitor" not in server.log()[len(before) :]


def test_cleartext_logins_are_seen(check: Check, server: SmallServer) -> None:
    """Offered by mailutils; popa3d has no list, and asks for the password."""
    assert_failed(check(server.plain, "--refuse-cleartext-login"), 2, "cleartext-accepted")


def test_nothing_but_states(check: Check, login: Login, popa3d: Popa3d) -> None:
    """Every reply of popa3d is a bare +OK or -ERR: neither a list nor APOP nor SASL."""
    apop = check(popa3d.plain, *login(), INSECURE, "--auth", "apop")
    listed = check(popa3d.plain, "--require-capa", "UIDL")

    assert_failed(apop, 2, "no-mechanism", "login")
    assert_failed(listed, 2, "no-capability")


def test_odd_capability(check: Check, login: Login, mailutils: Mailutils) -> None:
    """Mailutils leaves out a space: shown as it comes."""
    done = check(mailutils.plain, *login(), INSECURE, "-vv")

    assert done.code == 0, done.out
    assert "EXPIRENEVER" in done.out


def test_mailbox_is_in_use(check: Check, login: Login, mailutils: Mailutils) -> None:
    """Fault 48: mailutils locks it, and says so by a code. Temporary."""
    other = poplib.POP3("127.0.0.1", mailutils.plain, timeout=10)
    try:
        other.user("monitor")
        other.pass_(PASSWORD)
        done = check(mailutils.plain, *login(), INSECURE)
    finally:
        other.quit()

    assert_failed(done, 1, "in-use", "login")
    assert "[IN-USE] Mailbox in use" in done.verdict
