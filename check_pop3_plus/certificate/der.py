"""Split the DER of a certificate into its fields, by position alone (RFC 5280 section 4.1).

`cryptography` does not read all that OpenSSL accepts, and costs a run more than everything else
together. So all but the distinguished names is read from these fields.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from itertools import islice

from check_pop3_plus.model.record import Record

BASIC_CONSTRAINTS = bytes.fromhex("551d13")
KEY_USAGE = bytes.fromhex("551d0f")
ALTERNATIVE_NAMES = bytes.fromhex("551d11")
SUBJECT_KEY = bytes.fromhex("551d0e")
AUTHORITY_KEY = bytes.fromhex("551d23")
NETSCAPE_TYPE = bytes.fromhex("6086480186f8420101")
PURPOSES = bytes.fromhex("551d25")
NAME_CONSTRAINTS = bytes.fromhex("551d1e")
_KNOWN = frozenset(
    (
        *(BASIC_CONSTRAINTS, KEY_USAGE, ALTERNATIVE_NAMES, SUBJECT_KEY, AUTHORITY_KEY),
        *(NETSCAPE_TYPE, PURPOSES, NAME_CONSTRAINTS),
    )
)
# The others that OpenSSL knows (X509_supported_extension): certificate policies and mappings,
# policy constraints, inhibit any policy, CRL distribution points, IP and AS resources, proxies,
# OCSP without check.
_SUPPORTED = _KNOWN | {
    bytes.fromhex(number)
    for number in (
        *("551d20", "551d21", "551d24", "551d36", "551d1f", "2b06010505070107"),
        *("2b06010505070108", "2b0601050507010e", "2b0601050507300105"),
    )
}

EXTENSIONS_LIMIT = 1000
"""Extensions read; real certificates have a dozen, a hostile one may have 12,000."""

BOOLEAN, INTEGER = 0x01, 0x02
_UTC_TIME, _GENERALIZED_TIME = 0x17, 0x18
_VERSION, _EXTENSIONS, _KEY_IDENTIFIER = 0xA0, 0xA3, 0x80


class Value:
    """One value of DER; `whole` is its content with tag and length.

    No record: a chain has hundreds of them, and a record takes six times the instructions.
    """

    __slots__ = ("content", "tag", "whole")

    def __init__(self, tag: int, content: bytes, whole: bytes) -> None:
        self.tag = tag
        self.content = content
        self.whole = whole


class Extension(Record):
    critical: bool
    content: bytes


class Fields(Record):
    """The fields of a certificate; bytes are DER."""

    version: int
    """As it is written: 2 is version 3."""
    serial: bytes
    """Its content alone; `integer` reads it."""
    algorithm: bytes
    """Of the signature, as it is in the signed part."""
    issuer: bytes
    validity: bytes
    """Both dates; `date` reads one."""
    subject: bytes
    key: bytes
    """The public key with its kind (SubjectPublicKeyInfo)."""
    extensions: Mapping[bytes, Extension]
    """Those named above, by object identifier; of several with the same one the first."""
    has_extensions: bool
    """Also where none of them is named above."""
    has_unknown_critical: bool
    """Whether OpenSSL rejects it for a critical extension (RFC 5280 section 4.2)."""
    outer_algorithm: bytes
    """Of the signature, as it is outside the signed part."""

    # By identity, which is quick: `reader` keeps one for each certificate.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    # These raise ValueError for an extension that is not DER.

    def inside(self, extension: bytes) -> list[Value]:
        """Return the values in an extension that is a SEQUENCE; none without it."""
        found = self.extensions.get(extension)
        return list(values(first(found.content).content)) if found else []

    def bits(self, extension: bytes) -> int | None:
        """Return the first eight bits of a BIT STRING; None without the extension."""
        found = self.extensions.get(extension)
        return int.from_bytes(first(found.content).content[1:2], "big") if found else None

    @property
    def constraints(self) -> tuple[bool, int | None]:
        """Whether it is a CA, and the longest path of CAs below it; None without a limit."""
        found = self.inside(BASIC_CONSTRAINTS)
        limits = [each.content for each in found if each.tag == INTEGER]
        is_ca = any(each.tag == BOOLEAN and any(each.content) for each in found)
        return is_ca, int.from_bytes(limits[0], "big") if limits else None

    @property
    def authority_key(self) -> bytes | None:
        """The identifier of the key of its issuer (RFC 5280 section 4.2.1.1)."""
        found = (each.content for each in self.inside(AUTHORITY_KEY) if each.tag == _KEY_IDENTIFIER)
        return next(found, None)


def parse(certificate: bytes) -> Fields:
    """Return the fields of a certificate. Raises ValueError if it is not a certificate."""
    body, outer_algorithm, _ = _split(certificate)
    start = 1 if body[0].tag == _VERSION else 0
    serial, algorithm, issuer, validity, subject, key, *rest = body[start:]
    version = first(body[0].content).content if start else b""
    wrapped = next((each.content for each in rest if each.tag == _EXTENSIONS), b"")
    extensions = values(first(wrapped).content) if wrapped else iter(())
    listed = list(islice(extensions, EXTENSIONS_LIMIT))
    known, has_unknown_critical = _known(listed)
    return Fields(
        version=integer(version),
        serial=serial.content,
        algorithm=algorithm.whole,
        issuer=issuer.whole,
        validity=validity.whole,
        subject=subject.whole,
        key=key.whole,
        extensions=known,
        has_extensions=bool(listed),
        has_unknown_critical=has_unknown_critical,
        outer_algorithm=outer_algorithm.whole,
    )


def date(validity: bytes, position: int) -> datetime:
    """Return the first or second date of a certificate, in the one form that OpenSSL accepts.

    RFC 5280 section 4.1.2.5: `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`. Raises ValueError for another.
    """
    value = list(values(first(validity).content))[position]
    text = value.content.decode("ascii")
    if value.tag == _UTC_TIME:
        text = ("20" if text < "50" else "19") + text
    if value.tag not in (_UTC_TIME, _GENERALIZED_TIME) or not re.fullmatch("[0-9]{14}Z", text):
        raise ValueError("not a date")
    month, day, hour, minute, second = (int(text[at : at + 2]) for at in range(4, 14, 2))
    return datetime(int(text[:4]), month, day, hour, minute, second, tzinfo=timezone.utc)


def _split(certificate: bytes) -> tuple[list[Value], Value, Value]:
    """Return the signed fields, the algorithm outside them, and the signature."""
    signed, algorithm, signature = values(first(certificate).content)
    body = list(values(signed.content))
    if len(body) < 6 or (body[0].tag == _VERSION and len(body) < 7):
        raise ValueError("not a certificate")
    return body, algorithm, signature


def values(data: bytes) -> Iterator[Value]:
    """Yield the values in `data`, one after another. Raises ValueError for malformed DER."""
    start, length = 0, len(data)
    while start < length:
        tag, size = data[start], data[start + 1] if start + 1 < length else 0x80
        if size == 0x80 or tag & 0x1F == 0x1F:
            raise ValueError("malformed DER")
        begin = start + 2
        if size > 0x80:
            begin += size & 0x7F
            size = int.from_bytes(data[start + 2 : begin], "big")
        end = begin + size
        if end > length:
            raise ValueError("cut off")
        yield Value(tag, data[begin:end], data[start:end])
        start = end


def first(data: bytes) -> Value:
    """Return the first value in `data`. Raises ValueError when there is none."""
    for value in values(data):
        return value
    raise ValueError("no value")


def integer(content: bytes) -> int:
    """Return the number that the content of an INTEGER stands for."""
    return int.from_bytes(content, "big", signed=True)


def _known(listed: list[Value]) -> tuple[dict[bytes, Extension], bool]:
    """Return the extensions named above, and whether another one is critical to OpenSSL."""
    found: dict[bytes, Extension] = {}
    has_unknown_critical = False
    for each in listed:
        number, *mark, content = values(each.content)
        is_critical = bool(mark) and any(mark[0].content)
        if number.content not in _SUPPORTED:
            has_unknown_critical |= is_critical
        elif number.content in _KNOWN and number.content not in found:
            found[number.content] = Extension(is_critical, content.content)
    return found, has_unknown_critical
