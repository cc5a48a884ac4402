"""DER to facts, from certificates that nobody vouches for."""

import datetime as dt
import hashlib
import ssl
import warnings
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from check_pop3_plus import certificate
from check_pop3_plus.text import clean
from tests import der as tests_der
from tests import parts
from tests.certificates import Pki
from tests.corpus import ROOT
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


@pytest.mark.threat("T17")
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


@pytest.mark.threat("T16")
def test_a_flipped_byte_costs_one_attribute_at_most_the_whole(pki: Pki) -> None:
    """Threat T16: every attribute in a guard of its own, wherever the damage is."""
    whole = der(pki, "good")
    for position in range(len(whole)):
        for byte in (0x00, 0xFF, whole[position] ^ 0x01):
            damaged = whole[:position] + bytes([byte]) + whole[position + 1 :]
            facts = certificate.read(damaged, clean)
            assert facts.not_after is not None or facts.unreadable


@pytest.mark.threat("T17")
def test_a_chain_is_read_to_a_limit(pki: Pki) -> None:
    """A hundred certificates are not read."""
    chain = (der(pki, "good"),) * 100

    assert len(certificate.read_chain(chain, (), clean).sent) == certificate.CHAIN_LIMIT


def test_unreadable_though_tls_is_fine(pki: Pki, tmp_path: Path) -> None:
    """Fault 38: a certificate of a version that does not exist, which OpenSSL does not mind."""
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


def test_names_that_the_library_does_not_take_cost_the_names_alone() -> None:
    """Fault 39: `*` in a PrintableString, as old certificates for wildcards have it."""
    subject = parts.name("*.example.test", tag=tests_der.PRINTABLE)
    facts = certificate.read(ROOT.leaf(subject=subject), clean)

    assert facts.subject is None
    assert facts.not_after is not None
    assert facts.names == ("localhost", "127.0.0.1")
    assert facts.key == "EC 256"
    assert facts.unreadable == ("subject and issuer",)


def test_one_odd_extension_does_not_hide_the_names() -> None:
    """The library reads all extensions or none."""
    odd = parts.extension("2.5.29.32", b"garbage")
    facts = certificate.read(ROOT.leaf(extensions=ROOT.extensions(odd=odd)), clean)

    assert facts.names == ("localhost", "127.0.0.1")
    assert facts.unreadable == ()


def test_what_cannot_be_read_has_its_fingerprint_all_the_same() -> None:
    """So a pin and --expect-cert-file fit whatever the library makes of a certificate."""
    odd = ROOT.leaf(version=tests_der.tagged(0, tests_der.integer(8)))
    pem = ssl.DER_cert_to_PEM_cert(odd).encode()

    assert certificate.read(odd, clean).fingerprint == hashlib.sha256(odd).hexdigest()
    assert certificate.read_pem(pem, clean) == (certificate.read(odd, clean),)


def test_the_public_key_is_hashed_as_it_stands() -> None:
    """As every other tool does it, also where the library would write it otherwise."""
    usual = parts.public(parts.ec_key())
    x, y = usual[-64:-32], usual[-32:]
    compressed = parts.key_info(
        "1.2.840.10045.2.1",
        tests_der.oid("1.2.840.10045.3.1.7"),
        bytes((2 + y[-1] % 2,)) + x,
    )
    facts = certificate.read(ROOT.leaf(key=compressed), clean)

    assert facts.key == "EC 256"
    assert facts.public_key == hashlib.sha256(compressed).hexdigest()


@pytest.mark.threat("T17")
def test_a_key_of_a_kind_that_nobody_has_is_not_read() -> None:
    """Threat T17: checking a long Diffie-Hellman key takes minutes."""
    long_key = parts.key_info(
        "1.2.840.10046.2.1",
        tests_der.sequence(*(tests_der.integer((1 << 300000) - each) for each in (1, 2, 3))),
        tests_der.integer(5),
    )
    facts = certificate.read(ROOT.leaf(key=long_key), clean)

    assert (facts.key, facts.key_bits) == ("of another kind", None)


@pytest.mark.threat("T17")
def test_a_name_of_thousands_of_parts_is_not_read() -> None:
    """Threat T17."""
    facts = certificate.read(ROOT.leaf(subject=parts.name(*["x"] * 5000)), clean)

    assert facts.subject is None
    assert facts.issuer == "CN=Corpus Root"
    assert facts.unreadable == ("subject",)


def test_warnings_of_the_library_are_nobody_s_to_hear() -> None:
    """Fault 39: neither said nor made an error of, for that would change the verdict."""
    negative = ROOT.leaf(serial=tests_der.integer(-5))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("error")
        facts = certificate.read(negative, clean)

    assert facts.serial == "-5"
    assert facts.unreadable == ()
    assert heard == []
