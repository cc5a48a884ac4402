"""Fixtures of the monitoring systems."""

from __future__ import annotations

import pytest

from tests.icinga2 import Icinga, private_icinga


@pytest.fixture(scope="session")
def icinga(tmp_path_factory: pytest.TempPathFactory) -> Icinga:
    """A certificate authority, and nodes on request."""
    return private_icinga(tmp_path_factory.mktemp("icinga2"))
