"""The rules of the strict mode, one by one, on certificates reduced to their fields.

`test_certificate_corpus` compares the whole verdict with OpenSSL's.
"""

from typing import Any

import pytest

from check_pop3_plus.certificate import rfc5280_rules
from check_pop3_plus.certificate.der import (
    ALTERNATIVE_NAMES,
    AUTHORITY_KEY,
    BASIC_CONSTRAINTS,
    KEY_USAGE,
    NETSCAPE_TYPE,
    SUBJECT_KEY,
    Extension,
    Fields,
)
from tests.pki.certificate_parts import name
from tests.pki.der import BOOLEAN, bits, integer, sequence, tagged, tlv

NOBODY = sequence()
TRUE, FALSE = tlv(BOOLEAN, b"\xff"), tlv(BOOLEAN, b"\x00")

CA_USAGE = Extension(True, bits(b"\x06"))
NO_CA_USAGE = Extension(True, bits(b"\xa0"))
KEY = Extension(False, sequence(tagged(0, b"key", primitive=True)))
OWN_KEY = Extension(False, b"\x04\x03key")
CONSTRAINTS = Extension(True, sequence(TRUE))
NAMES = Extension(False, sequence(tagged(2, b"localhost", primitive=True)))

LEAF = Fields(
    version=2,
    serial=b"\1",
    algorithm=b"sha256",
    issuer=name("Root"),
    validity=b"",
    subject=name("localhost"),
    key=b"",
    extensions={AUTHORITY_KEY: KEY, ALTERNATIVE_NAMES: NAMES},
    has_extensions=True,
    has_unknown_critical=False,
    outer_algorithm=b"sha256",
)
CA = LEAF.replace(
    subject=name("Root"),
    extensions={
        BASIC_CONSTRAINTS: CONSTRAINTS,
        KEY_USAGE: CA_USAGE,
        SUBJECT_KEY: OWN_KEY,
        AUTHORITY_KEY: KEY,
    },
)


def changed(fields: Fields, extensions: dict[bytes, Extension | None], **others: Any) -> Fields:
    kept = {
        number: extension
        for number, extension in {**fields.extensions, **extensions}.items()
        if extension is not None
    }
    return fields.replace(extensions=kept, **others)


def said(fields: Fields) -> tuple[str, ...]:
    """What is wrong with the server's own certificate, below a clean root."""
    return rfc5280_rules.defects([fields, CA])


def test_defects_conforming_chain_has_none() -> None:
    """The chain has a server certificate and its issuers."""
    assert rfc5280_rules.defects([LEAF, CA, CA]) == ()
    assert rfc5280_rules.defects([]) == ()


BAD_LEAVES = [
    ({AUTHORITY_KEY: None}, {}, "has no authority key identifier"),
    (
        {AUTHORITY_KEY: Extension(False, sequence(tagged(1, b"x", primitive=True)))},
        {},
        "has no authority key identifier",
    ),
    ({AUTHORITY_KEY: KEY.replace(critical=True)}, {}, "has a critical authority key identifier"),
    (
        {SUBJECT_KEY: OWN_KEY.replace(critical=True)},
        {},
        "has a critical subject key identifier",
    ),
    (
        {NETSCAPE_TYPE: Extension(False, bits(b"\x01"))},
        {},
        "may sign certificates but has no basic constraints",
    ),
    (
        {NETSCAPE_TYPE: Extension(False, bits(b"\x04"))},
        {},
        "may sign certificates but has no basic constraints",
    ),
    (
        {BASIC_CONSTRAINTS: Extension(True, sequence(integer(3)))},
        {},
        "has a path length but is no CA",
    ),
    (
        {BASIC_CONSTRAINTS: Extension(True, sequence(FALSE, integer(0)))},
        {},
        "has a path length but is no CA",
    ),
    *(
        (
            {BASIC_CONSTRAINTS: Extension(True, sequence(*mark)), KEY_USAGE: CA_USAGE},
            {},
            "may sign certificates but is no CA",
        )
        for mark in ((), (FALSE,), (tlv(BOOLEAN),))
    ),
    ({}, {"issuer": NOBODY}, "has an issuer without a name"),
    (
        {ALTERNATIVE_NAMES: Extension(False, sequence())},
        {},
        "has an empty subject alternative name",
    ),
    ({ALTERNATIVE_NAMES: None}, {"subject": NOBODY}, "has no name"),
    (
        {BASIC_CONSTRAINTS: Extension(True, sequence()), KEY_USAGE: Extension(True, bits(b"\x02"))},
        {"subject": NOBODY},
        "has no name",
    ),
    ({}, {"subject": NOBODY}, "has no subject, and alternative names that are not critical"),
    ({}, {"outer_algorithm": b"sha1"}, "names two signature algorithms"),
    ({}, {"version": 1}, "has extensions but is not of version 3"),
    ({}, {"version": 0}, "has extensions but is not of version 3"),
    ({}, {"version": -1}, "has extensions but is not of version 3"),
    ({}, {"version": 1 << 63}, "has extensions but is not of version 3"),
]


@pytest.mark.parametrize(("extensions", "others", "defect"), BAD_LEAVES)
def test_defects_names_violation_in_server_certificate(
    extensions: dict[bytes, Extension | None], others: dict[str, Any], defect: str
) -> None:
    """Each rule alone is reported with its own text."""
    assert said(changed(LEAF, extensions, **others)) == (f"certificate {defect}",)


@pytest.mark.parametrize(
    ("extensions", "others"),
    [
        ({BASIC_CONSTRAINTS: Extension(False, sequence())}, {}),
        ({KEY_USAGE: NO_CA_USAGE}, {}),
        (
            {
                KEY_USAGE: Extension(True, bits(b"\x01")),
                ALTERNATIVE_NAMES: NAMES.replace(critical=True),
            },
            {"subject": NOBODY},
        ),
        ({NETSCAPE_TYPE: Extension(False, bits(b"\x40"))}, {}),
        # Where there is a key usage, what Netscape says counts for nothing.
        ({KEY_USAGE: NO_CA_USAGE, NETSCAPE_TYPE: Extension(False, bits(b"\x04"))}, {}),
        ({ALTERNATIVE_NAMES: NAMES.replace(critical=True)}, {"subject": NOBODY}),
        ({}, {"version": (1 << 63) - 1}),
        # Before version 3 there is no identifier, and no extension, to miss.
        ({AUTHORITY_KEY: None, ALTERNATIVE_NAMES: None}, {"version": 1, "has_extensions": False}),
        ({AUTHORITY_KEY: None, ALTERNATIVE_NAMES: None}, {"version": 0, "has_extensions": False}),
    ],
)
def test_defects_ignores_what_openssl_accepts_in_server_certificate(
    extensions: dict[bytes, Extension | None], others: dict[str, Any]
) -> None:
    """The rules are not stricter than OpenSSL."""
    assert said(changed(LEAF, extensions, **others)) == ()


BAD_ISSUERS = [
    ({SUBJECT_KEY: None}, {}, "has no subject key identifier"),
    ({KEY_USAGE: None}, {}, "has no key usage"),
    (
        {BASIC_CONSTRAINTS: CONSTRAINTS.replace(critical=False)},
        {},
        "has basic constraints that are not critical",
    ),
    (
        {
            BASIC_CONSTRAINTS: Extension(True, sequence(TRUE, integer(0))),
            KEY_USAGE: NO_CA_USAGE,
        },
        {},
        "has a path length but may not sign certificates",
    ),
    ({}, {"subject": NOBODY}, "has no name"),
    (
        {ALTERNATIVE_NAMES: NAMES.replace(critical=True)},
        {"subject": NOBODY},
        "has no name",
    ),
]


@pytest.mark.parametrize(("extensions", "others", "defect"), BAD_ISSUERS)
def test_defects_names_violation_in_issuer(
    extensions: dict[bytes, Extension | None], others: dict[str, Any], defect: str
) -> None:
    """The text says which issuer it is."""
    bad = changed(CA, extensions, **others)

    assert rfc5280_rules.defects([LEAF, bad, CA]) == (f"issuer 1 {defect}",)
    assert rfc5280_rules.defects([LEAF, CA, bad]) == (f"issuer 2 {defect}",)


@pytest.mark.parametrize(
    "extensions",
    [
        {BASIC_CONSTRAINTS: Extension(True, sequence(TRUE, integer(0)))},
        {BASIC_CONSTRAINTS: Extension(True, sequence(TRUE, integer(0))), KEY_USAGE: CA_USAGE},
        {BASIC_CONSTRAINTS: Extension(True, sequence(tlv(BOOLEAN, b"\x00\x01")))},
        # A key usage may have a second octet.
        {
            BASIC_CONSTRAINTS: Extension(True, sequence(TRUE, integer(0))),
            KEY_USAGE: Extension(True, bits(b"\x06\x80", 7)),
        },
    ],
)
def test_defects_ignores_what_openssl_accepts_in_issuer(
    extensions: dict[bytes, Extension | None],
) -> None:
    """A path length is allowed, and any byte but zero is true."""
    assert rfc5280_rules.defects([LEAF, changed(CA, extensions), CA]) == ()


def test_defects_version_1_root_needs_no_constraints() -> None:
    """OpenSSL takes a self-issued certificate of version 1 for a CA."""
    old = CA.replace(version=0, issuer=CA.subject, extensions={}, has_extensions=False)
    not_self = old.replace(issuer=name("Other"))
    newer = old.replace(version=1)
    wrong = "issuer 1 may sign certificates but has no basic constraints"

    assert rfc5280_rules.defects([LEAF, old]) == (wrong,)
    assert rfc5280_rules.defects([LEAF, not_self]) == ()
    assert rfc5280_rules.defects([LEAF, newer]) == ()


def test_defects_anchor_needs_no_authority_key() -> None:
    """Every certificate below the anchor needs one."""
    unnamed = changed(CA, {AUTHORITY_KEY: None})

    assert rfc5280_rules.defects([LEAF, CA, unnamed]) == ()
    assert rfc5280_rules.defects([LEAF, unnamed, CA]) == (
        "issuer 1 has no authority key identifier",
    )


def test_defects_trusted_self_signed_checks_only_constraints() -> None:
    """OpenSSL does the same."""
    loose = changed(LEAF, {AUTHORITY_KEY: None}, outer_algorithm=b"sha1")

    assert rfc5280_rules.defects([loose]) == ()
    assert rfc5280_rules.defects([changed(LEAF, {KEY_USAGE: CA_USAGE})]) == (
        "certificate may sign certificates but has no basic constraints",
    )


def test_defects_are_in_order_of_chain_and_rules() -> None:
    """All defects are reported."""
    assert said(changed(LEAF, {KEY_USAGE: CA_USAGE})) == (
        "certificate may sign certificates but has no basic constraints",
        "certificate may sign certificates but is no CA",
    )

    bad = changed(LEAF, {AUTHORITY_KEY: None}, outer_algorithm=b"sha1")

    assert rfc5280_rules.defects([bad, changed(CA, {KEY_USAGE: None})]) == (
        "certificate has no authority key identifier",
        "certificate names two signature algorithms",
        "issuer 1 has no key usage",
    )


@pytest.mark.parametrize(
    "unreadable",
    [None, changed(LEAF, {KEY_USAGE: Extension(True, b"")}), LEAF.replace(issuer=b"")],
)
def test_defects_skips_unreadable_certificate(unreadable: Fields | None) -> None:
    """The other certificates are examined."""
    found = rfc5280_rules.defects([unreadable, changed(CA, {KEY_USAGE: None})])

    assert found == ("issuer 1 has no key usage",)
