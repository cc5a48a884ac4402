"""The reader of DER, compared with the `cryptography` library over every certificate there is."""

import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa

from check_pop3_plus.certificate import reader, strength
from check_pop3_plus.certificate.der import first, parse, values
from check_pop3_plus.model.sanitised_text import sanitise
from tests.fuzz import targets
from tests.pki import corpus_wild  # noqa: F401 - its families
from tests.pki.corpus import FAMILIES

FUZZED = Path(targets.__file__).parent / "corpus" / "certificates"

# The library takes minutes to read a long key of Diffie-Hellman (X9.42, PKCS #3).
_SLOW_KEYS = (bytes.fromhex("2a8648ce3e0201"), bytes.fromhex("2a864886f70d010301"))

_UNREADABLE = object()


def every_certificate() -> set[bytes]:
    """Return the certificates of the corpora, and those that the fuzzer has found."""
    found = {der for family in FAMILIES.values() for case in family() for der in case.sent}
    for file in FUZZED.iterdir():
        found.update(targets.one_by_one(file.read_bytes()[1:]))
    return found


def attempted(read: Callable[[], object]) -> object:
    try:
        return read()
    except BaseException:  # the library may panic
        return _UNREADABLE


def key_size(certificate: x509.Certificate) -> str:
    match certificate.public_key():
        case rsa.RSAPublicKey() as key:
            return f"RSA {key.key_size}"
        case dsa.DSAPublicKey() as key:
            return f"DSA {key.key_size}"
        case ec.EllipticCurvePublicKey() as key:
            return f"EC {key.key_size}"
        case ed25519.Ed25519PublicKey():
            return "Ed25519"
        case ed448.Ed448PublicKey():
            return "Ed448"
    return "of another kind"


def weak_hash(certificate: x509.Certificate) -> str | None:
    used = certificate.signature_hash_algorithm
    return used.name.upper() if used and used.name in ("md5", "sha1") else None


def facts_of_library(certificate: x509.Certificate) -> dict[str, object]:
    return {
        "not_before": attempted(lambda: certificate.not_valid_before_utc),
        "not_after": attempted(lambda: certificate.not_valid_after_utc),
        "serial": attempted(lambda: sanitise(f"{certificate.serial_number:X}")),
        "key": attempted(lambda: key_size(certificate)),
        "weak hash": attempted(lambda: weak_hash(certificate)),
    }


@pytest.mark.skipif(
    not hasattr(x509.Certificate, "not_valid_after_utc"), reason="cryptography before version 42"
)
def test_every_fact_that_the_library_reads_is_the_same() -> None:
    """Where the library reads a fact, so does the reader of DER, and it finds the same."""
    compared, differing = Counter[str](), []
    warnings.simplefilter("ignore")
    for der in every_certificate():
        certificate = attempted(lambda der=der: x509.load_der_x509_certificate(der))  # type: ignore[misc]
        if not isinstance(certificate, x509.Certificate):
            continue
        fields, facts = parse(der), reader.read(der, sanitise)
        ours = {
            "not_before": facts.not_before,
            "not_after": facts.not_after,
            "serial": facts.serial,
            "key": facts.key,
            "weak hash": attempted(lambda fields=fields: strength.weak_hash(fields)),  # type: ignore[misc]
        }
        if any(kind in fields.key[:40] for kind in _SLOW_KEYS):
            continue
        for name, theirs in facts_of_library(certificate).items():
            if theirs is _UNREADABLE or (name == "key" and has_curve_without_name(fields.key)):
                continue
            compared[name] += 1
            # GOST: the library knows that it has no hash; OpenSSL does not verify it.
            if ours[name] != theirs and (name, ours[name]) != ("weak hash", _UNREADABLE):
                differing.append((name, theirs, ours[name], der.hex()))

    assert differing == []
    assert min(compared.values()) > 2300
    assert len(compared) == 5


def has_curve_without_name(key: bytes) -> bool:
    """Return whether a key spells out its curve, which RFC 5480 section 2.1.1 forbids."""
    _, *parameters = values(first(first(key).content).content)
    return bool(parameters) and parameters[0].tag == 0x30
