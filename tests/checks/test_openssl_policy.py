"""OpenSSL's configuration: of the environment it is ignored, of the system honoured."""

import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pki.certificates import Pki
from tests.support.catalogue import WITH_TLS
from tests.support.command import COMMAND, Run
from tests.support.faults import flags, honest, kinds, serving_tls

POLICIES = {
    "no group": "Groups = secp160r1",
    "rare group": "Groups = X448",
    "CCM": "Ciphersuites = TLS_AES_128_CCM_SHA256",
    "CCM_8": "Ciphersuites = TLS_AES_128_CCM_8_SHA256",
    "signatures": "SignatureAlgorithms = ed448",
}
VERSIONS = "MinProtocol = TLSv1.3\nMaxProtocol = TLSv1.2"

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


def configured(
    policy: str, program: tuple[str, ...], variable: str, mode: str, pki: Pki, folder: Path
) -> Run:
    """Run a check against a server of TLS 1.3 with ordinary settings."""
    env = {variable: str(configuration(folder, policy))}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pki.files("good"))
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_ecdh_curve("prime256v1")
    with serving_tls(mode, context) as server:
        target = ("-H", "localhost", "--connect-to", server.address, "-p", str(server.port))
        done = subprocess.run(
            [*program, *target, *flags(mode, pki)],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
    return honest(Run(done.returncode, done.stdout, done.stderr, 0))


@pytest.mark.parametrize("policy", [*POLICIES.values(), VERSIONS])
def test_configuration_in_environment_is_ignored(policy: str, pki: Pki, tmp_path: Path) -> None:
    """Who sets the environment of a monitoring system must not change verdicts."""
    done = configured(policy, (str(COMMAND),), "OPENSSL_CONF", "tls", pki, tmp_path)

    assert done.code == 0, done.out


@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.fault(77, case=name)) for name in POLICIES]
)
def test_configuration_of_system_that_prevents_handshakes_is_config(
    name: str, mode: str, pki: Pki, tmp_path: Path
) -> None:
    """The server is not to blame, whether no ClientHello is sent or one that no server takes."""
    program = (sys.executable, "-c", SYSTEM)
    done = configured(POLICIES[name], program, "SYSTEM_OPENSSL_CNF", mode, pki, tmp_path)

    assert kinds(done) == ["config"]
