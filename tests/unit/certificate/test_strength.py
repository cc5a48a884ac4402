"""Keys and signatures by their object identifiers."""

from __future__ import annotations

from typing import Any

import pytest

from check_pop3_plus.certificate import strength
from check_pop3_plus.certificate.der import Fields, parse
from tests.pki import der
from tests.pki.certificate_parts import key_info
from tests.pki.corpus import ROOT

WHOLE = parse(ROOT.leaf())


def fields(**changes: Any) -> Fields:
    """Return the fields of a certificate with other parts."""
    return WHOLE.replace(**changes)


@pytest.mark.parametrize(
    ("curves", "size"),
    [
        # ANSI X9.62, SEC 2, RFC 5639
        (("1.2.840.10045.3.1.1",), 192),
        (("1.2.840.10045.3.1.7", "1.3.132.0.10", "1.3.36.3.3.2.8.1.1.7"), 256),
        (("1.3.132.0.1", "1.3.132.0.15"), 163),
        (("1.3.132.0.33",), 224),
        (("1.3.132.0.26", "1.3.132.0.27"), 233),
        (("1.3.132.0.16", "1.3.132.0.17"), 283),
        (("1.3.132.0.34", "1.3.36.3.3.2.8.1.1.11"), 384),
        (("1.3.132.0.36", "1.3.132.0.37"), 409),
        (("1.3.36.3.3.2.8.1.1.13",), 512),
        (("1.3.132.0.35",), 521),
        (("1.3.132.0.38", "1.3.132.0.39"), 571),
    ],
)
def test_key_of_a_named_curve_has_its_size(curves: tuple[str, ...], size: int) -> None:
    """The object identifier of the curve tells the size of the key."""
    for curve in curves:
        key = key_info("1.2.840.10045.2.1", der.oid(curve), b"\4")

        assert strength.key(fields(key=key)) == (f"EC {size}", strength.as_strong(size))


@pytest.mark.parametrize("algorithm", ["1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10"])
def test_key_of_rsa_has_the_size_of_its_modulus(algorithm: str) -> None:
    """Also a key that is only for PSS (RFC 4055)."""
    numbers = der.sequence(der.integer(1 << 2047), der.integer(65537))

    assert strength.key(fields(key=key_info(algorithm, b"", numbers))) == ("RSA 2048", 2048)


def signature(algorithm: str, *parameters: bytes) -> Fields:
    return fields(outer_algorithm=der.sequence(der.oid(algorithm), *parameters))


MD5_RSA = ("1.2.840.113549.1.1.4",)
SHA1 = (
    "1.2.840.113549.1.1.5",
    *("1.3.14.3.2.29", "1.2.840.10040.4.3", "1.2.840.10045.4.1"),
)
STRONG = (
    *(f"1.2.840.113549.1.1.{number}" for number in (11, 12, 13, 14)),  # RSA
    *(f"1.2.840.10045.4.3.{number}" for number in (1, 2, 3, 4)),  # ECDSA
    *(f"2.16.840.1.101.3.4.3.{number}" for number in (2, 10, 14)),  # DSA, SHA-3
    *("1.3.101.112", "1.3.101.113"),  # Ed25519, Ed448
)


@pytest.mark.parametrize(("algorithms", "weak"), [(MD5_RSA, "MD5"), (SHA1, "SHA1"), (STRONG, None)])
def test_weak_hash_of_each_signature_is_that_of_its_identifier(
    algorithms: tuple[str, ...], weak: str | None
) -> None:
    """RFC 3279, 5758, 8410, and the older identifier of SHA-1 with RSA of OIW."""
    for algorithm in algorithms:
        assert strength.weak_hash(signature(algorithm)) == weak


@pytest.mark.parametrize(
    ("digest", "weak"),
    [("1.3.14.3.2.26", "SHA1"), ("2.16.840.1.101.3.4.2.1", None), (None, "SHA1")],
)
def test_weak_hash_of_pss_is_in_its_parameters(digest: str | None, weak: str | None) -> None:
    """RFC 4055 section 3.1: without a hash it is SHA-1; the other fields do not matter."""
    hashed = [der.tagged(0, der.sequence(der.oid(digest)))] if digest else []
    parameters = der.sequence(*hashed, der.tagged(2, der.integer(32)))

    assert strength.weak_hash(signature("1.2.840.113549.1.1.10", parameters)) == weak


def test_weak_hash_of_an_unknown_signature_raises() -> None:
    """Nothing is claimed about it."""
    with pytest.raises(ValueError, match=r"^unknown signature$"):
        strength.weak_hash(signature("1.2.840.113549.1.1.2"))


def test_weakness_without_a_readable_key_is_that_of_the_signature() -> None:
    """What cannot be read does not hide the rest."""
    assert strength.weakness(None, signature(SHA1[0]), is_root=False) == "SHA1 signature"
    assert strength.weakness(None, signature(SHA1[0]), is_root=True) is None
