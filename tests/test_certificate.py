"""DER to facts, from certificates that nobody vouches for."""

import datetime as dt
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from check_pop3_plus import certificate
from check_pop3_plus.text import clean
from tests.certificates import Pki
from tests.faults import check, kinds
from tests.pop3_server import ScriptedServer, expect, say


def der(pki: Pki, name: str) -> bytes:
    loaded = x509.load_pem_x509_certificate(pki.files(name)[0].read_bytes())
    return loaded.public_bytes(serialization.Encoding.DER)


def test_a_good_certificate(pki: Pki) -> None:
    """Dates, names, identity; nothing weak, nothing unreadable."""
    facts = certificate.read(der(pki, "good"), clean)

    assert facts.not_before is not None
    assert facts.not_after is not None
    assert facts.not_after - facts.not_before == dt.timedelta(days=366)
    assert facts.names[:2] == ("localhost", "pop.example.test")
    assert facts.fingerprint is not None
    assert len(facts.fingerprint) == 64
    assert facts.weakness is None
    assert facts.unreadable == ()


@pytest.mark.parametrize(
    ("name", "weakness"), [("weak", "RSA 1024 key"), ("sha1", "SHA1 signature"), ("good", None)]
)
def test_weakness_is_named(name: str, weakness: str | None, pki: Pki) -> None:
    """Fault 36."""
    assert certificate.read(der(pki, name), clean).weakness == weakness


def test_thousands_of_names_are_cut_short(pki: Pki) -> None:
    """Threat T17."""
    facts = certificate.read(der(pki, "many_names"), clean)

    assert len(facts.names) == certificate.NAMES_LIMIT
    assert facts.names_left_out > 1900


@given(st.binary(max_size=200))
def test_garbage_is_unreadable(data: bytes) -> None:
    """Never an exception."""
    facts = certificate.read(data, clean)

    assert facts.not_after is None
    assert facts.unreadable == ("certificate",)


def test_a_flipped_byte_costs_one_attribute_at_most_the_whole(pki: Pki) -> None:
    """Threat T16: every attribute in a guard of its own, wherever the damage is."""
    whole = der(pki, "good")
    for position in range(len(whole)):
        for byte in (0x00, 0xFF, whole[position] ^ 0x01):
            damaged = whole[:position] + bytes([byte]) + whole[position + 1 :]
            facts = certificate.read(damaged, clean)
            assert facts.not_after is not None or facts.unreadable


def test_a_chain_is_read_to_a_limit(pki: Pki) -> None:
    """A hundred certificates are not read."""
    chain = (der(pki, "good"),) * 100

    assert len(certificate.read_chain(chain, (), clean).sent) == certificate.CHAIN_LIMIT


def test_unreadable_though_tls_is_fine(pki: Pki, tmp_path: Path) -> None:
    """Fault 38: a certificate of a version that does not exist, which OpenSSL does not mind."""
    import ssl

    key = pki.files("good")[1]
    version_3, version_9 = b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x08"
    odd = der(pki, "good").replace(version_3, version_9, 1)
    file = tmp_path / "odd.pem"
    file.write_text(ssl.DER_cert_to_PEM_cert(odd))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, key)
    with ScriptedServer([say(b"+OK\r\n"), expect(), say(b"+OK\r\n")], tls=context) as server:
        done = check(server, "-S", "--verify", "none")

    assert done.line.startswith("POP3 WARNING - details of the certificate of localhost:")
    assert kinds(done) == ["certificate-unreadable"]
