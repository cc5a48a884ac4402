"""Fixtures."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests import command
from tests.certificates import Pki
from tests.dovecot import dovecot as dovecot  # a fixture


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """Certificates, good and bad, made once."""
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture
def run() -> Callable[..., command.Run]:
    """The installed command."""
    return command.run
