"""The choice of the system trust store."""

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


def test_system_trust_full_hashed_directory_is_used_alone(compiled: Path) -> None:
    """Loading the bundle would take 20 ms more."""
    directory = hash_some(compiled, 140)
    (compiled / "bundle.pem").touch()

    assert tls._system_trust() == (None, directory)


def test_system_trust_few_hashed_certificates_are_added_to_bundle(compiled: Path) -> None:
    """An administrator has added a private CA."""
    directory = hash_some(compiled, 1)
    (compiled / "bundle.pem").touch()

    assert tls._system_trust() == (str(compiled / "bundle.pem"), directory)


def test_system_trust_few_hashed_certificates_without_bundle_are_used(compiled: Path) -> None:
    """They are the whole store of this machine."""
    directory = hash_some(compiled, 1)

    assert tls._system_trust() == (None, directory)


def test_system_trust_bundle_alone_is_used(compiled: Path) -> None:
    """Red Hat has a bundle only."""
    (compiled / "bundle.pem").touch()

    assert tls._system_trust() == (str(compiled / "bundle.pem"), None)


def test_system_trust_missing_is_config(compiled: Path) -> None:
    """The message names --ca-file."""
    with pytest.raises(ProbeError) as caught:
        tls._system_trust()

    assert caught.value.kind is Kind.CONFIG
    assert caught.value.message == "no system trust store found; name one by --ca-file"


def test_system_trust_thirty_hashed_certificates_are_a_store(compiled: Path) -> None:
    """Distributions trust over a hundred."""
    (compiled / "bundle.pem").touch()
    directory = hash_some(compiled, 29)
    assert tls._system_trust() == (str(compiled / "bundle.pem"), directory)

    (compiled / "certs" / "ffffffff.0").touch()
    assert tls._system_trust() == (None, directory)


def test_count_hashed_counts_names_of_c_rehash(compiled: Path) -> None:
    """A name has eight digits and the suffix `.0`."""
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
def test_system_trust_finds_directory_of_distribution(
    directory: str, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Python with an OpenSSL of its own has the paths of another system."""
    monkeypatch.setattr(tls, "_count_hashed", lambda path: 140 if path == directory else 0)

    assert tls._system_trust() == (None, directory)


@pytest.mark.parametrize("bundle", BUNDLES)
def test_system_trust_finds_bundle_of_distribution(
    bundle: str, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first existing bundle of Debian, Red Hat, SUSE and Alpine is used."""
    later = BUNDLES[BUNDLES.index(bundle) :]
    monkeypatch.setattr(os.path, "isfile", lambda path: path in later)

    assert tls._system_trust() == (bundle, None)


def test_system_trust_fullest_directory_is_used(
    compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several directories may have certificates."""
    found = dict(zip(DIRECTORIES, (40, 140), strict=True))
    monkeypatch.setattr(tls, "_count_hashed", lambda path: found.get(path, 35))

    assert tls._system_trust() == (None, DIRECTORIES[1])
