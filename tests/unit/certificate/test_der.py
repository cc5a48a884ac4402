"""The position of each field in a certificate."""

import contextlib
import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_pop3_plus.certificate import der as certificate_der
from tests.pki.certificate_parts import UNKNOWN, ec_key, extension, name, public, validity
from tests.pki.certificates import Pki
from tests.pki.corpus import ROOT
from tests.pki.der import (
    BOOLEAN,
    GENERALIZED,
    OCTETS,
    SEQUENCE,
    UTC,
    integer,
    oid,
    sequence,
    tagged,
    tlv,
)


def test_parse_returns_every_field() -> None:
    """The certificate is built by hand."""
    fields = certificate_der.parse(ROOT.leaf())

    assert (fields.version, fields.issuer, fields.subject) == (2, ROOT.name, name("localhost"))
    assert fields.key == public(ec_key())
    assert certificate_der.integer(fields.serial) == 0x1234
    assert fields.validity == validity()
    assert fields.algorithm == fields.outer_algorithm
    assert fields.extensions[certificate_der.BASIC_CONSTRAINTS].critical
    assert not fields.extensions[certificate_der.SUBJECT_KEY].critical
    assert certificate_der.NETSCAPE_TYPE not in fields.extensions


@pytest.mark.parametrize(
    ("version", "number"), [(b"", 0), (tagged(0, integer(8)), 8), (tagged(0, integer(-1)), -1)]
)
def test_parse_version_is_the_encoded_number(version: bytes, number: int) -> None:
    """Version 1 is not encoded."""
    assert certificate_der.parse(ROOT.leaf(version=version)).version == number


@given(st.binary(max_size=200))
def test_parse_garbage_raises_value_error(data: bytes) -> None:
    """No other exception is raised."""
    with pytest.raises(ValueError, match=r"."):
        certificate_der.parse(data)


def test_parse_damaged_returns_or_raises_value_error(pki: Pki) -> None:
    """Any byte may be changed or missing."""
    whole = pki.der("good")
    for position in range(len(whole)):
        for byte in (b"\x00", b"\x30", b"\x80", b"\x84", b"\xff", b""):
            damaged = whole[:position] + byte + whole[position + 1 :]
            with contextlib.suppress(ValueError):
                assert certificate_der.parse(damaged).key is not None


@pytest.mark.parametrize(
    ("number", "dotted"),
    [
        (certificate_der.BASIC_CONSTRAINTS, "2.5.29.19"),
        (certificate_der.KEY_USAGE, "2.5.29.15"),
        (certificate_der.ALTERNATIVE_NAMES, "2.5.29.17"),
        (certificate_der.SUBJECT_KEY, "2.5.29.14"),
        (certificate_der.AUTHORITY_KEY, "2.5.29.35"),
        (certificate_der.NETSCAPE_TYPE, "2.16.840.1.113730.1.1"),
        (certificate_der.PURPOSES, "2.5.29.37"),
        (certificate_der.NAME_CONSTRAINTS, "2.5.29.30"),
    ],
)
def test_parse_keeps_known_extensions(number: bytes, dotted: str) -> None:
    """RFC 5280 section 4.2.1, and Netscape's type."""
    listed = (extension(dotted, b"\x04\x01x"), extension(UNKNOWN, b"y"))
    fields = certificate_der.parse(ROOT.leaf(extensions=listed))

    assert oid(dotted)[2:] == number
    assert fields.extensions == {number: certificate_der.Extension(False, b"\x04\x01x")}
    assert fields.has_extensions


@pytest.mark.parametrize(
    ("mark", "is_critical"),
    [
        (b"", False),
        (tlv(BOOLEAN, b"\xff"), True),
        (tlv(BOOLEAN, b"\x01"), True),
        (tlv(BOOLEAN, b"\x00"), False),
        (tlv(BOOLEAN, b"\x00\x01"), True),
        (tlv(BOOLEAN), False),
    ],
)
def test_parse_critical_is_any_true_value(mark: bytes, is_critical: bool) -> None:
    """Any byte but zero is true."""
    listed = sequence(oid("2.5.29.15"), mark, tlv(OCTETS, b"x"))
    fields = certificate_der.parse(ROOT.leaf(extensions=(listed,)))

    assert fields.extensions[certificate_der.KEY_USAGE] == certificate_der.Extension(
        is_critical, b"x"
    )


@pytest.mark.parametrize(
    ("numbers", "marks", "is_rejected"),
    [
        ((UNKNOWN,), (tlv(BOOLEAN, b"\xff"),), True),
        ((UNKNOWN,), (tlv(BOOLEAN, b"\x00\x01"),), True),
        ((UNKNOWN,), (tlv(BOOLEAN, b"\x00"),), False),
        ((UNKNOWN,), (), False),
        (("2.5.29.15", UNKNOWN), (tlv(BOOLEAN, b"\xff"),), True),
        (("2.5.29.15", "2.5.29.32", "1.3.6.1.5.5.7.48.1.5"), (tlv(BOOLEAN, b"\xff"),), False),
        (("1.3.6.1.5.5.7.1.7", "1.3.6.1.5.5.7.1.24"), (tlv(BOOLEAN, b"\xff"),), True),
    ],
)
def test_parse_unknown_critical_extension_is_noticed(
    numbers: tuple[str, ...], marks: tuple[bytes, ...], is_rejected: bool
) -> None:
    """OpenSSL rejects a certificate for one that it does not know, and for no other."""
    listed = tuple(sequence(oid(number), *marks, tlv(OCTETS, b"x")) for number in numbers)
    fields = certificate_der.parse(ROOT.leaf(extensions=listed))

    assert fields.has_unknown_critical is is_rejected


def test_parse_unknown_extension_after_a_critical_one_changes_nothing() -> None:
    """One that OpenSSL does not know and that is critical is enough."""
    critical = sequence(oid(UNKNOWN), tlv(BOOLEAN, b"\xff"), tlv(OCTETS, b"x"))
    other = sequence(oid("1.3.6.1.5.5.7.1.24"), tlv(OCTETS, b"x"))
    fields = certificate_der.parse(ROOT.leaf(extensions=(critical, other)))

    assert fields.has_unknown_critical


def test_parse_duplicate_extension_first_counts() -> None:
    """OpenSSL does the same."""
    listed = (extension("2.5.29.15", b"a", critical=True), extension("2.5.29.15", b"b"))
    fields = certificate_der.parse(ROOT.leaf(extensions=listed))

    assert fields.extensions[certificate_der.KEY_USAGE] == certificate_der.Extension(True, b"a")


def test_parse_reads_a_thousand_extensions() -> None:
    """A hostile certificate may have more."""
    padding = [extension(UNKNOWN, b"")] * 999
    usage = extension("2.5.29.15", b"x")
    within = certificate_der.parse(ROOT.leaf(extensions=(*padding, usage)))
    beyond = certificate_der.parse(ROOT.leaf(extensions=(*padding, padding[0], usage)))

    assert certificate_der.KEY_USAGE in within.extensions
    assert beyond.extensions == {}
    assert beyond.has_extensions


@pytest.mark.parametrize("extensions", [None, ()])
def test_parse_without_extensions_has_none(extensions: tuple[bytes, ...] | None) -> None:
    """The field may be missing or empty."""
    fields = certificate_der.parse(ROOT.leaf(extensions=extensions))

    assert fields.extensions == {}
    assert not fields.has_extensions


def test_parse_returns_both_algorithms() -> None:
    """One is in the signed part, one beside the signature."""
    inner, outer = sequence(oid("1.2.3")), sequence(oid("1.2.4"))
    fields = certificate_der.parse(ROOT.leaf(inner=inner, outer=outer))

    assert (fields.algorithm, fields.outer_algorithm) == (inner, outer)


def of_fields(*fields: bytes) -> bytes:
    return sequence(sequence(*fields), sequence(), sequence())


VERSION = tagged(0, integer(2))


def test_parse_minimum_number_of_fields() -> None:
    """Version 1 has six fields, an encoded version is one more."""
    six = [tlv(OCTETS, bytes((number,))) for number in range(6)]
    fields = certificate_der.parse(of_fields(*six))

    assert (fields.version, fields.algorithm, fields.issuer) == (0, six[1], six[2])
    assert (fields.subject, fields.key) == (six[4], six[5])
    of_version_3 = certificate_der.parse(of_fields(VERSION, *six))
    assert vars(of_version_3) == vars(fields.replace(version=2))
    for short in (six[:5], [VERSION, *six[:5]]):
        with pytest.raises(ValueError, match=r"^not a certificate$"):
            certificate_der.parse(of_fields(*short))


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 129, 255, 256, 65_535, 65_536])
def test_values_lengths_round_trip(size: int) -> None:
    """Lengths have one byte up to 127, as few as possible above (X.690 section 10.1)."""
    content = b"x" * size
    whole = sequence(content)

    found = certificate_der.values(whole + b"\x05\x00")
    assert [(each.tag, each.content, each.whole) for each in found] == [
        (SEQUENCE, content, whole),
        (5, b"", b"\x05\x00"),
    ]
    assert certificate_der.first(whole + b"\x05").content == content


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x30", "malformed DER"),
        (b"\x30\x80", "malformed DER"),
        (b"\x1f\x00", "malformed DER"),
        (b"\xbf\x01\x00", "malformed DER"),
        (b"\x04\x01", "cut off"),
        (b"\x04\x03ab", "cut off"),
        (b"\x04\x81\x03ab", "cut off"),
        (b"\x04\x82\x00", "cut off"),
        (b"\x04\x84\xff\xff\xff\xff", "cut off"),
    ],
)
def test_values_malformed_raises_value_error(data: bytes, reason: str) -> None:
    """No length, an indefinite length, a long tag, or too few bytes."""
    with pytest.raises(ValueError, match=rf"^{reason}$"):
        list(certificate_der.values(data))


def test_first_of_nothing_raises_value_error() -> None:
    """No caller takes it for an empty value."""
    assert list(certificate_der.values(b"")) == []
    with pytest.raises(ValueError, match=r"^no value$"):
        certificate_der.first(b"")


@pytest.mark.parametrize(
    ("tag", "text", "year"),
    [
        (UTC, "500101000000Z", 1950),
        (UTC, "491231235959Z", 2049),
        (GENERALIZED, "20500101000000Z", 2050),
        (GENERALIZED, "99991231235959Z", 9999),
    ],
)
def test_date_of_both_types_has_its_century(tag: int, text: str, year: int) -> None:
    """RFC 5280 section 4.1.2.5.1: two digits from 50 on are of the twentieth century."""
    end = tlv(tag, text.encode())

    assert certificate_der.date(sequence(tlv(UTC, b"260203040506Z"), end), 1).year == year
    assert certificate_der.date(sequence(end, tlv(UTC, b"260203040506Z")), 1) == dt.datetime(
        2026, 2, 3, 4, 5, 6, tzinfo=dt.timezone.utc
    )


@pytest.mark.parametrize(
    ("tag", "text", "reason"),
    [
        *(
            (UTC, text, "not a date")
            for text in ("260101000000", "2601010000Z", "", "26-01-01 00Z")
        ),
        *((UTC, text, "not a date") for text in ("260101000000+0200", "20260101000000Z")),
        *((GENERALIZED, text, "not a date") for text in ("260101000000Z", "20260101000000.5Z")),
        *((GENERALIZED, text, "not a date") for text in ("2026 101000000Z", "2026010100000 Z")),
        (OCTETS, "20990101000000Z", "not a date"),
        *((UTC, text, "'ascii' codec") for text in ("26\u0966101000000Z", "\u0662\u0666")),
        (UTC, "261301000000Z", "month"),
        (UTC, "260230000000Z", "day"),
        (GENERALIZED, "00000101000000Z", "year "),
    ],
)
def test_date_in_another_form_raises_value_error(tag: int, text: str, reason: str) -> None:
    """OpenSSL rejects a certificate with such a date, and year 0 is none."""
    with pytest.raises(ValueError, match=f"^{reason}"):
        certificate_der.date(sequence(tlv(tag, text.encode())), 0)
