"""Fixtures."""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest
from hypothesis import settings

from tests import claims, command
from tests.certificates import Pki
from tests.dovecot import dovecot as dovecot  # a fixture

# How long an example takes says more about the machine, and who else uses it, than about us.
settings.register_profile("project", deadline=None)
settings.load_profile("project")


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Certificates, good and bad, made once."""
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def run() -> Callable[..., command.Run]:
    """The installed command."""
    return command.run


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Hold a test to the faults that it claims."""
    claims.seen.clear()
    yield
    claims.check(item)
