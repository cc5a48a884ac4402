"""OpenSSL's configuration: of the environment it is ignored, of the system honoured."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.pki.certificates import Pki
from tests.support.catalogue import WITH_TLS
from tests.support.faults import flags, serving_tls

POLICIES = {
    "Groups": "Groups = secp160r1",
    "Ciphersuites": "Ciphersuites = TLS_AES_128_CCM_8_SHA256",
    "MinProtocol": "MinProtocol = TLSv1.3\nMaxProtocol = TLSv1.2",
}

# The plugin has removed the variable when it is set again: as the file that OpenSSL was built with.
SYSTEM = """
import os, sys
path = os.environ.pop("SYSTEM_OPENSSL_CNF")
from check_pop3_plus import start
from check_pop3_plus.support import openssl_environment
remove = openssl_environment.remove
def removed_and_set():
    remove()
    os.environ["OPENSSL_CONF"] = path
openssl_environment.remove = removed_and_set
start.run()
"""


def configuration(folder: Path, policy: str) -> Path:
    file = folder / "openssl.cnf"
    file.write_text(
        "openssl_conf = a\n[a]\nssl_conf = b\n[b]\nsystem_default = c\n[c]\n" + policy + "\n"
    )
    return file


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("mode", WITH_TLS)
def test_configuration_in_environment_is_ignored(
    name: str, mode: str, pki: Pki, tmp_path: Path
) -> None:
    """Who sets the environment of a monitoring system must not change verdicts."""
    file = configuration(tmp_path, POLICIES[name])
    with serving_tls(mode, pki.server("good")) as server:
        target = ("-H", "localhost", "--connect-to", server.address, "-p", str(server.port))
        done = subprocess.run(
            [Path(sys.executable).with_name("check_pop3_plus"), *target, *flags(mode, pki)],
            env={"OPENSSL_CONF": str(file)},
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 0, done.stdout


def test_configuration_of_system_without_usable_group_is_config(pki: Pki, tmp_path: Path) -> None:
    """Fault 77: nothing was sent that the server could be blamed for."""
    file = configuration(tmp_path, POLICIES["Groups"])
    with serving_tls("tls", pki.server("good")) as server:
        target = ("-H", "localhost", "--connect-to", server.address, "-p", str(server.port))
        done = subprocess.run(
            [sys.executable, "-c", SYSTEM, *target, *flags("tls", pki)],
            env={"SYSTEM_OPENSSL_CNF": str(file)},
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 3, done.stdout
    assert "kind: config" in done.stdout
    assert "the local OpenSSL policy (openssl.cnf) allows no" in done.stdout
