"""Chains that are rejected for another reason than an unknown issuer."""

import subprocess
from pathlib import Path
from ssl import DER_cert_to_PEM_cert

import pytest

from tests.pki.bad_chains import CHAINS
from tests.pki.certificates import Pki
from tests.support.catalogue import WITH_TLS
from tests.support.command import Run
from tests.support.faults import check, kinds, serving_tls

TO_SERVERS = "not meant for servers (extended key usage)"
ISSUER = "certificate not trusted: issuer CN=Inter "
REKEYED = "certificate not trusted: the trusted CA CN=Root has another key"
ROOT_MISSING = "CN=Inter is trusted here, but its root is missing"
OWN = "--ca-file holds the certificate of the server, not that of its issuer "
IN_STORE = "replace it in the trust store of this machine"
REPLACE, REISSUE = "put the certificate that the CA uses now into", "reissue the certificate"

CASES = [
    (87, "purpose", "untrusted", TO_SERVERS, REISSUE),
    (87, "any purpose", "untrusted", TO_SERVERS, REISSUE),
    (87, "purpose of issuer", "untrusted", ISSUER + "may not issue for servers", REISSUE),
    (87, "key usage", "untrusted", "not meant for servers (key usage)", REISSUE),
    (87, "key usage of issuer", "untrusted", ISSUER + "may not sign certificates", REISSUE),
    (87, "CA certificate", "untrusted", "a CA certificate is used as server", REISSUE),
    (87, "self-signed CA certificate", "untrusted", "a CA certificate is used as", REISSUE),
    (87, "critical extension", "untrusted", "it has an unknown critical extension", REISSUE),
    (87, "critical extension of issuer", "untrusted", ISSUER + "has an unknown", REISSUE),
    (87, "names permitted", "untrusted", ISSUER + "does not permit its name", REISSUE),
    (87, "names excluded", "untrusted", ISSUER + "excludes its name", REISSUE),
    (87, "path length", "untrusted", ISSUER + "allows no CA below it", REISSUE),
    (87, "path length of two", "untrusted", ISSUER + "allows no more than 1 CA below", REISSUE),
    (87, "no CA", "untrusted", ISSUER + "is no CA certificate", REISSUE),
    (87, "no CA at all", "untrusted", ISSUER + "is no CA certificate", REISSUE),
    (88, "another key", "untrusted", REKEYED, REPLACE),
    (88, "another key without identifier", "untrusted", REKEYED, REPLACE),
    (88, "another key, root sent", "untrusted", REKEYED, REPLACE),
    (88, "another key of the root", "untrusted", REKEYED, REPLACE),
    (88, "another key, intermediate sent", "untrusted", "was sent with another key", "to send"),
    (89, "weak root", "weak", "issuer CN=Weak Root (in the local trust store)", "use a CA with"),
    (90, "old root", "expired", "issuer CN=Old Root (in the local trust store)", IN_STORE),
    (90, "old root sent", "expired", "issuer CN=Old Root (in the local trust store)", IN_STORE),
    (90, "old intermediate", "expired", "issuer CN=Inter (in the local trust store)", IN_STORE),
    (90, "own certificate", "untrusted", OWN + "CN=Root", "put the certificates of the CA into"),
    (90, "own certificate, intermediate sent", "untrusted", OWN + "CN=Inter", "put the certif"),
    (90, "root missing", "untrusted", ROOT_MISSING, "add the root"),
    (90, "root missing, intermediate sent", "untrusted", ROOT_MISSING, "add the root"),
]


def played(name: str, mode: str, pki: Pki, folder: Path, in_directory: bool = False) -> Run:
    sent, trusted = CHAINS[name]()
    file = folder / "ca.pem"
    file.write_text("".join(map(DER_cert_to_PEM_cert, trusted)))
    store = ["--ca-file", str(file)]
    if in_directory:
        store = ["--ca-path", str(hashed(folder, trusted))]
    with serving_tls(mode, pki.by_hand(*sent)) as server:
        return check(server, "-S" if mode == "tls" else "--starttls", *store)


def hashed(folder: Path, trusted: tuple[bytes, ...]) -> Path:
    directory = folder / "hashed"
    directory.mkdir()
    for number, each in enumerate(trusted):
        (directory / f"{number}.pem").write_text(DER_cert_to_PEM_cert(each))
    subprocess.run(["openssl", "rehash", directory], check=True)
    return directory


@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.parametrize(
    ("name", "kind", "text", "cure"),
    [
        pytest.param(*case, id=f"{number} {case[0]}", marks=pytest.mark.fault(number, case=case[0]))
        for number, *case in CASES
    ],
)
def test_chain_rejected_names_reason_certificate_and_cure(
    name: str, kind: str, text: str, cure: str, mode: str, pki: Pki, tmp_path: Path
) -> None:
    """The issuer is never called unknown, and an advice never concerns another certificate."""
    done = played(name, mode, pki, tmp_path)

    assert done.code == 2, done.out
    assert kinds(done) == [kind]
    assert text in done.line
    advice = [line for line in done.long if line.startswith("try: ")]
    assert [cure in line for line in advice] == [True], advice
    assert "unknown issuer" not in done.out


@pytest.mark.parametrize(
    "name", ["another key", "another key without identifier", "another key of the root"]
)
def test_chain_with_rekeyed_authority_in_directory_names_it(
    name: str, pki: Pki, tmp_path: Path
) -> None:
    """OpenSSL has loaded only the certificates of the names that it needed."""
    done = played(name, "tls", pki, tmp_path, in_directory=True)

    assert REKEYED in done.line
