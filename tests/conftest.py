"""Fixtures."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

import pytest
from hypothesis import settings

from tests.pki.certificates import Pki
from tests.servers.dovecot import dovecot as dovecot  # a fixture
from tests.servers.scripted_server import Server
from tests.support import allowed_commands, claims, command, recorded

# How long an example takes says more about the machine, and who else uses it, than about us.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Certificates, good and bad, made once."""
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(autouse=True)
def _only_what_is_allowed(request: pytest.FixtureRequest) -> Iterator[None]:
    """Threat T19: in no test at all was another command sent than a probe needs."""
    Server.made.clear()
    yield
    # There the clients are the test's own.
    if request.module.__name__.endswith(".test_scripted_server"):
        return
    for server in Server.made:
        for commands in server.dialogues if server.speaks_pop3 else ():
            assert not allowed_commands.forbidden(commands), commands


@pytest.fixture
def run() -> Callable[..., command.Run]:
    """The installed command."""
    return command.run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Hold a test to the faults that it claims, and to what its runs printed before."""
    claims.seen.clear()
    yield
    claims.check(item)
    recorded.check(item)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart() -> None:
    """Make ready for recording, before there are other processes."""
    recorded.begin()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Write the records, if that is asked for."""
    recorded.finish(session)
