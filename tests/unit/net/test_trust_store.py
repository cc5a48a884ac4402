"""Which store of the system is trusted."""

from __future__ import annotations

import os.path
import ssl
from pathlib import Path
from types import SimpleNamespace

import pytest

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.net import tls


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder for the store that OpenSSL was built with; the other places are out of reach."""
    paths = SimpleNamespace(
        openssl_capath=str(tmp_path / "certs"), openssl_cafile=str(tmp_path / "bundle.pem")
    )
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    elsewhere = ("/etc/ssl", "/etc/pki")
    count, is_file = tls._count_hashed, os.path.isfile
    monkeypatch.setattr(
        tls, "_count_hashed", lambda path: 0 if path.startswith(elsewhere) else count(path)
    )
    monkeypatch.setattr(
        os.path, "isfile", lambda path: not str(path).startswith(elsewhere) and is_file(path)
    )
    return tmp_path


def hash_some(folder: Path, number: int) -> str:
    (folder / "certs").mkdir()
    for each in range(number):
        (folder / "certs" / f"{each:08x}.0").touch()
    return str(folder / "certs")


def test_a_hashed_directory_that_is_a_whole_store(compiled: Path) -> None:
    """OpenSSL reads from it what it needs; the bundle would cost 20 ms."""
    directory = hash_some(compiled, 140)
    (compiled / "bundle.pem").touch()

    assert tls._system_trust() == (None, directory)


def test_a_few_hashed_certificates_beside_a_bundle(compiled: Path) -> None:
    """Somebody has added a private one: the rest of the world is trusted all the same."""
    directory = hash_some(compiled, 1)
    (compiled / "bundle.pem").touch()

    assert tls._system_trust() == (str(compiled / "bundle.pem"), directory)


def test_a_few_hashed_certificates_alone(compiled: Path) -> None:
    """A machine that trusts nobody else."""
    directory = hash_some(compiled, 1)

    assert tls._system_trust() == (None, directory)


def test_a_bundle_alone(compiled: Path) -> None:
    """Red Hat's way."""
    (compiled / "bundle.pem").touch()

    assert tls._system_trust() == (str(compiled / "bundle.pem"), None)


def test_no_store_at_all(compiled: Path) -> None:
    """Our side, and it says what to do."""
    with pytest.raises(ProbeError) as caught:
        tls._system_trust()

    assert caught.value.kind is Kind.CONFIG
    assert caught.value.message == "no system trust store found; name one by --ca-file"


def test_how_many_make_a_store(compiled: Path) -> None:
    """Thirty: distributions trust over a hundred, and nobody adds so many by hand."""
    (compiled / "bundle.pem").touch()
    directory = hash_some(compiled, 29)
    assert tls._system_trust() == (str(compiled / "bundle.pem"), directory)

    (compiled / "certs" / "ffffffff.0").touch()
    assert tls._system_trust() == (None, directory)


def test_what_counts_as_hashed(compiled: Path) -> None:
    """Eight digits and a number, as `c_rehash` writes them."""
    folder = compiled / "certs"
    folder.mkdir()
    for name in ("0123abcd.0", "0123abcd.1", "0123abcde.0", "ca-bundle.crt", "abc.0"):
        (folder / name).touch()

    assert tls._count_hashed(str(folder)) == 1
    assert tls._count_hashed(str(compiled / "missing")) == 0


DIRECTORIES = ("/etc/ssl/certs", "/etc/pki/tls/certs")
BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)


@pytest.mark.parametrize("directory", DIRECTORIES)
def test_directories_of_distributions(
    directory: str, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For a Python that brings an OpenSSL of its own, which was built for another system."""
    monkeypatch.setattr(tls, "_count_hashed", lambda path: 140 if path == directory else 0)

    assert tls._system_trust() == (None, directory)


@pytest.mark.parametrize("bundle", BUNDLES)
def test_bundles_of_distributions(
    bundle: str, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian, Red Hat, SUSE, Alpine; the first one that is there."""
    later = BUNDLES[BUNDLES.index(bundle) :]
    monkeypatch.setattr(os.path, "isfile", lambda path: path in later)

    assert tls._system_trust() == (bundle, None)


def test_the_fullest_directory_is_taken(compiled: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where several have some."""
    found = dict(zip(DIRECTORIES, (40, 140), strict=True))
    monkeypatch.setattr(tls, "_count_hashed", lambda path: found.get(path, 35))

    assert tls._system_trust() == (None, DIRECTORIES[1])
