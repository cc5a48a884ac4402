"""Fixtures."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pki.certificates import Pki
from tests.servers.chroots import NAME, PASSWORD, TlsServer
from tests.servers.courier import Courier
from tests.servers.cyrus import Cyrus
from tests.servers.icinga2 import Icinga, private_icinga
from tests.support.command import Run, run

Check = Callable[..., Run]
Login = Callable[..., tuple[str, ...]]


@pytest.fixture(scope="session")
def courier(pki: Pki) -> Iterator[Courier]:
    with Courier.running(pki) as server:
        yield server


@pytest.fixture(scope="session")
def cyrus(pki: Pki) -> Iterator[Cyrus]:
    with Cyrus.running(pki) as server:
        yield server


@pytest.fixture(scope="session")
def icinga(tmp_path_factory: pytest.TempPathFactory) -> Icinga:
    """A certificate authority, and nodes on request."""
    return private_icinga(tmp_path_factory.mktemp("icinga2"))


@pytest.fixture(params=["courier", "cyrus"])
def server(request: pytest.FixtureRequest) -> TlsServer:
    """Courier and Cyrus, one after the other."""
    found: TlsServer = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def check(pki: Pki) -> Check:
    """Check a port of a server."""

    def check(port: int, *args: str) -> Run:
        done = run(
            *("-H", NAME, "--connect-to", "127.0.0.1", "-p", str(port)),
            *("--ca-file", str(pki.ca_file), *args),
        )
        assert done.err == ""
        return done

    return check


@pytest.fixture
def login(tmp_path: Path) -> Login:
    """Return the options of a login."""

    def options(user: str = "monitor", password: str = PASSWORD) -> tuple[str, ...]:
        secret = tmp_path / f"{user}-{password}"
        secret.touch(mode=0o600)
        secret.write_text(f"{password}\n")
        return ("-U", user, "--password-file", str(secret))

    return options
