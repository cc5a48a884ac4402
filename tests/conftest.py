"""Fixtures."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import pytest
from hypothesis import settings

from tests.pki.certificates import Pki
from tests.servers.dovecot import dovecot as dovecot  # a fixture
from tests.servers.scripted_server import Server
from tests.support import allowed_commands, claims, command, recorded

# The time of an example depends on the load of the machine.
settings.register_profile("project", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=10)
settings.load_profile("project")


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Certificates, good and bad, created once per session."""
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(autouse=True)
def _allowed_commands_only(request: pytest.FixtureRequest) -> Iterator[None]:
    """Threat T19: assert after every test that only allowed commands were sent."""
    Server.made.clear()
    yield
    # That file has its own clients.
    if request.module.__name__.endswith(".test_scripted_server"):
        return
    for server in Server.made:
        for commands in server.dialogues if server.speaks_pop3 else ():
            assert not allowed_commands.forbidden(commands, server.may_delete), commands


@pytest.fixture
def run() -> Callable[..., command.Run]:
    """The installed command."""
    return command.run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Check the faults that a test claims, and compare its runs with the recorded output."""
    claims.seen.clear()
    yield
    claims.check(item)
    recorded.check(item)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart() -> None:
    """Prepare the recording before worker processes start."""
    recorded.begin()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the records if RECORD is set."""
    recorded.finish(session)
