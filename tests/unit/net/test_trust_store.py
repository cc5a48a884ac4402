"""The choice of the system trust store."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from types import SimpleNamespace

import pytest

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.settings import TlsPolicy
from check_pop3_plus.net import trust_store

PEM = "-----BEGIN CERTIFICATE-----\n"


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder for the store that OpenSSL was built with; the other places are out of reach."""
    paths = SimpleNamespace(
        openssl_capath=str(tmp_path / "certs"), openssl_cafile=str(tmp_path / "bundle.pem")
    )
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)
    elsewhere = ("/etc/ssl", "/etc/pki")
    count, is_file = trust_store._usable, trust_store._holds_certificate
    monkeypatch.setattr(
        trust_store, "_usable", lambda path: 0 if path.startswith(elsewhere) else count(path)
    )
    monkeypatch.setattr(
        trust_store,
        "_holds_certificate",
        lambda path: not str(path).startswith(elsewhere) and is_file(path),
    )
    return tmp_path


def hash_some(folder: Path, number: int) -> str:
    (folder / "certs").mkdir()
    for each in range(number):
        (folder / "certs" / f"{each:08x}.0").write_text(PEM)
    return str(folder / "certs")


def test_system_trust_full_hashed_directory_is_used_alone(compiled: Path) -> None:
    """Loading the bundle would take 20 ms more."""
    directory = hash_some(compiled, 140)
    (compiled / "bundle.pem").write_text(PEM)

    assert trust_store.system() == (None, directory)


def test_system_trust_few_hashed_certificates_are_added_to_bundle(compiled: Path) -> None:
    """An administrator has added a private CA."""
    directory = hash_some(compiled, 1)
    (compiled / "bundle.pem").write_text(PEM)

    assert trust_store.system() == (str(compiled / "bundle.pem"), directory)


def test_system_trust_few_hashed_certificates_without_bundle_are_used(compiled: Path) -> None:
    """They are the whole store of this machine."""
    directory = hash_some(compiled, 1)

    assert trust_store.system() == (None, directory)


def test_system_trust_bundle_alone_is_used(compiled: Path) -> None:
    """Red Hat has a bundle only."""
    (compiled / "bundle.pem").write_text(PEM)

    assert trust_store.system() == (str(compiled / "bundle.pem"), None)


def test_system_trust_missing_is_config(compiled: Path) -> None:
    """The message names --ca-file."""
    with pytest.raises(ProbeError) as caught:
        trust_store.system()

    assert caught.value.kind is Kind.CONFIG
    assert caught.value.message == (
        "no usable CA certificate in the system trust store; use --ca-file"
    )


def test_system_trust_is_described_by_its_paths(compiled: Path) -> None:
    """The long output of an untrusted certificate names what was searched."""
    assert trust_store.described() == "none found"
    (compiled / "bundle.pem").write_text(PEM)
    directory = hash_some(compiled, 1)

    assert trust_store.described() == f"{compiled / 'bundle.pem'} and {directory}"


def test_system_trust_thirty_hashed_certificates_are_a_store(compiled: Path) -> None:
    """Distributions trust over a hundred."""
    (compiled / "bundle.pem").write_text(PEM)
    directory = hash_some(compiled, 29)
    assert trust_store.system() == (str(compiled / "bundle.pem"), directory)

    (compiled / "certs" / "ffffffff.0").write_text(PEM)
    assert trust_store.system() == (None, directory)


def test_count_hashed_counts_names_of_c_rehash(compiled: Path) -> None:
    """A name has eight digits and a number."""
    folder = compiled / "certs"
    folder.mkdir()
    for name in ("0123abcd.0", "0123abcd.1", "0123abcde.0", "ca-bundle.crt", "abc.0"):
        (folder / name).write_text(PEM)

    assert trust_store._usable(str(folder)) == 2
    assert trust_store._usable(str(compiled / "missing")) == 0


def test_system_trust_dangling_directory_falls_back_to_bundle(compiled: Path) -> None:
    """Fault 76: links of a container may point nowhere."""
    (compiled / "certs").mkdir()
    for each in range(140):
        (compiled / "certs" / f"{each:08x}.0").symlink_to(compiled / "gone")
    (compiled / "bundle.pem").write_text(PEM)

    assert trust_store.system() == (str(compiled / "bundle.pem"), None)


def test_load_ca_path_that_cannot_be_listed_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL opens files by name: a directory of mode 0711 is enough."""

    def deny(_: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", deny)
    monkeypatch.setattr(os, "listdir", deny)
    policy = TlsPolicy(ca_path=str(tmp_path))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    monkeypatch.setattr(os, "access", lambda _, mode: mode == os.X_OK)
    trust_store.load(made, policy)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(ProbeError) as caught:
        trust_store.load(made, policy)

    assert caught.value.message == f"cannot read CA directory {tmp_path}: Permission denied"


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
    monkeypatch.setattr(trust_store, "_usable", lambda path: 140 if path == directory else 0)

    assert trust_store.system() == (None, directory)


@pytest.mark.parametrize("bundle", BUNDLES)
def test_system_trust_finds_bundle_of_distribution(
    bundle: str, compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first existing bundle of Debian, Red Hat, SUSE and Alpine is used."""
    later = BUNDLES[BUNDLES.index(bundle) :]
    monkeypatch.setattr(trust_store, "_holds_certificate", lambda path: path in later)

    assert trust_store.system() == (bundle, None)


def test_system_trust_fullest_directory_is_used(
    compiled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several directories may have certificates."""
    found = dict(zip(DIRECTORIES, (40, 140), strict=True))
    monkeypatch.setattr(trust_store, "_usable", lambda path: found.get(path, 35))

    assert trust_store.system() == (None, DIRECTORIES[1])


def test_has_certificate_finds_it_in_any_form_of_pem(tmp_path: Path) -> None:
    """However its lines are wrapped; a file that is gone by then has none."""
    path = tmp_path / "ca.pem"
    path.write_text("# comment\n-----BEGIN CERTIFICATE-----\nAQI\r\nDBA==\n-----END\n")

    assert trust_store.has_certificate(str(path), b"\1\2\3\4")
    assert not trust_store.has_certificate(str(path), b"\1\2\3\5")
    assert not trust_store.has_certificate(str(tmp_path / "gone"), b"\1\2\3\4")
    assert not trust_store.has_certificate(None, b"\1\2\3\4")
