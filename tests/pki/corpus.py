"""A corpus of certificates, each unusual on purpose; `corpus_wild` has more of them.

Each case is what a server sends, and for which name. What is right about it is not said here:
that is OpenSSL's to say. The same in every run of a day, but for the RSA keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519

from tests.pki import der
from tests.pki.certificate_parts import (
    ANY_PURPOSE,
    AUTHORITY_KEY,
    BASIC,
    CLIENT,
    COUNTRY,
    NAME_LIMITS,
    NAMES,
    PURPOSES,
    SERVER,
    SUBJECT_KEY,
    UNKNOWN,
    USAGE,
    Authority,
    Key,
    address,
    algorithm,
    authority_key,
    basic,
    dns,
    ec_key,
    extension,
    key_info,
    longest_rsa_key,
    moment,
    name,
    names,
    of_authority,
    part,
    public,
    purposes,
    root,
    rsa_info,
    rsa_key,
    subject_key,
    usage,
    validity,
)
from tests.pki.der import bits, integer, oid, sequence, tagged, tlv

ROOT = root("Corpus Root", ec_key(1))


class Case(NamedTuple):
    """What one server sends, and what it is judged by."""

    name: str
    sent: tuple[bytes, ...]
    """DER or worse, the server's own certificate first."""
    key: Key | None = ec_key()
    """None if it is unknown: the handshake ends after the certificate."""
    trusted: tuple[bytes, ...] = (ROOT.certificate,)
    host: str = "localhost"
    verify: str = "full"
    """`chain` where the name is not the point."""


Family = Callable[[], Iterator[Case]]

FAMILIES: dict[str, Family] = {}


def family(made: Family) -> Family:
    FAMILIES[made.__name__] = made
    return made


def changed(changes: dict[str, dict[str, Any]]) -> Iterator[Case]:
    """Yield a leaf for each set of changed parts."""
    for title, change in changes.items():
        yield Case(title, (ROOT.leaf(**change),))


def extended(changes: dict[str, dict[str, bytes]]) -> Iterator[Case]:
    """Yield a leaf for each set of changed extensions."""
    for title, change in changes.items():
        yield Case(title, (ROOT.leaf(extensions=ROOT.extensions(**change)),))


# --- fields ------------------------------------------------------------------------------------


@family
def plain() -> Iterator[Case]:
    """Nothing wrong, with every kind of key of our own."""
    yield Case("ec", (ROOT.leaf(),))
    keys: dict[str, Key] = {
        "p224": ec_key(0, "SECP224R1"),
        "p384": ec_key(0, "SECP384R1"),
        "p521": ec_key(0, "SECP521R1"),
        "ed25519": ed25519.Ed25519PrivateKey.from_private_bytes(b"7" * 32),
        "ed448": ed448.Ed448PrivateKey.from_private_bytes(b"7" * 57),
        "rsa": rsa_key(2048),
        "rsa e=3": rsa_key(2048, 3),
        "rsa 16384": longest_rsa_key(),
    }
    for title, key in keys.items():
        yield Case(title, (ROOT.leaf(key),), key)


@family
def serials() -> Iterator[Case]:
    """RFC 5280 section 4.1.2.2: positive, at most 20 bytes."""
    numbers = {"0": 0, "1": 1, "-1": -1, "-2^63": -(2**63), "-2^159": -(2**159)}
    numbers |= {f"2^{power}": 2**power for power in (64, 158, 159, 160, 800, 8000, 700000)}
    yield from changed({title: {"serial": integer(number)} for title, number in numbers.items()})
    yield from changed(
        {
            "empty": {"serial": tlv(der.INTEGER)},
            "not minimal": {"serial": tlv(der.INTEGER, b"\0\0\0\1")},
            "minus, not minimal": {"serial": tlv(der.INTEGER, b"\xff\xff\x80")},
            "enumerated": {"serial": tlv(0x0A, b"\1")},
            "octets": {"serial": tlv(der.OCTETS, b"\1")},
            "missing": {"serial": b""},
            "twice": {"serial": integer(1) + integer(2)},
        }
    )


@family
def versions() -> Iterator[Case]:
    """Versions are counted from 0; extensions are of version 3 alone."""
    for extensions in (None, (), ROOT.extensions()):
        for number in (None, 0, 1, 2, 3, 8, -1, 2**40):
            version = b"" if number is None else tagged(0, integer(number))
            count = "without" if extensions is None else len(extensions)
            title = f"{number}, {count} extensions"
            yield Case(title, (ROOT.leaf(version=version, extensions=extensions),), verify="chain")
    yield from changed(
        {
            "empty": {"version": tagged(0)},
            "octets": {"version": tagged(0, tlv(der.OCTETS, b"\2"))},
            "unique identifiers": {
                "unique": tagged(1, b"\0\1\2", primitive=True) + tagged(2, b"\0\3", primitive=True)
            },
            "empty unique identifier": {"unique": tagged(1, primitive=True)},
        }
    )


def _times() -> dict[str, bytes]:
    texts = {
        der.UTC: (
            *("000101000000Z", "491231235959Z", "500101000000Z", "700101000000Z", "991231235959Z"),
            *("260101000000", "2601010000Z", "260101000000+0200", "2601010000-0500", "2601010000"),
            *("260230000000Z", "261301000000Z", "260100000000Z", "260101240000Z", "260101006000Z"),
            *("261231235960Z", "260101000000.5Z", "", "Z", "not a time at", "26010100000\0Z"),
            *(
                "2601010000 0Z",
                "26-01-01 00Z",
                "20260101000000Z",
                "-60101000000Z",
                "26\u0966101000000Z",
            ),
        ),
        der.GENERALIZED: (
            *("19000101000000Z", "19700101000000Z", "20260101000000Z", "20490101000000Z"),
            *("20500101000000Z", "20991231235959Z", "99991231235959Z", "00000101000000Z"),
            *("00010101000000Z", "10000101000000Z", "30000101000000Z", "100000101000000Z"),
            *("20260101000000", "20260101000000.5Z", "20260101000000.123456Z", "202601010000Z"),
            *("2026010100Z", "20260101000000+0200", "20260101000000-1200", "20260229000000Z"),
            *("20260101000060Z", "20260101250000Z", "", "Z", "29991231235959.Z", "260101000000Z"),
        ),
        der.OCTETS: ("20990101000000Z",),
        der.PRINTABLE: ("20990101000000Z",),
    }
    return {
        f"{tag:02X} {text!a}": tlv(tag, text.encode())
        for tag, all_of_them in texts.items()
        for text in all_of_them
    }


@family
def dates() -> Iterator[Case]:
    """Before, after, and what is hardly a date."""
    spans = {
        "expired": (-90, -1),
        "expired for long": (-20000, -10000),
        "future": (1, 90),
        "backwards": (30, -30),
        "backwards, future": (90, 60),
        "backwards, past": (-60, -90),
        "a second": (-1, -1 + 1 / 86400),
        "seven years": (-1, 2500),
    }
    yield from changed({title: {"validity": validity(*span)} for title, span in spans.items()})
    for title, time in _times().items():
        yield Case(f"not before {title}", (ROOT.leaf(validity=validity(time)),))
        yield Case(f"not after {title}", (ROOT.leaf(validity=validity(end=time)),))
    yield from changed(
        {
            "empty": {"validity": sequence()},
            "one": {"validity": sequence(moment(1))},
            "three": {"validity": sequence(moment(-1), moment(1), moment(2))},
            "no sequence": {"validity": tlv(der.OCTETS, b"xx")},
        }
    )


# --- names -------------------------------------------------------------------------------------

_ODD_TEXTS = {
    "escapes": b"\x1b[31m\x1b]0;owned\x07 red \x1b[0m",
    "pipe": b"OK | time=0s;;;; users=9",
    "markup": b"<script>alert(1)</script>&amp;\"'`$(reboot)\\x41",
    "line breaks": b"one\r\nPOP3 OK - all is well\ntwo",
    "nul": b"localhost\0.evil.test",
    "latin-1": b"M\xfcnchen",
    "half a character": b"M\xc3",
    "surrogates": b"\xed\xa0\x80\xed\xb0\x80",
    "backwards": "\u202elocalhost\u2028".encode(),
    "empty": b"",
    "blanks": b"   ",
    "separators": b"a,b+c=d;e#f\\,CN=localhost",
    "long": b"x" * 65,
    "very long": b"y" * 5000,
    "huge": b"z" * 90000,
    "odd length": b"\0a\0b\0",
    "utf-16": "loc\u00e4lhost".encode("utf-16-be"),
    "half of a pair": b"\xd8\x00",
    "utf-32": "lo\U0001f600".encode("utf-32-be"),
    "no character": b"\xff\xff\xff\xff",
}
_TEXT_TAGS = {
    "utf8": der.UTF8,
    "printable": der.PRINTABLE,
    "teletex": der.TELETEX,
    "ia5": der.IA5,
    "visible": der.VISIBLE,
    "universal": der.UNIVERSAL,
    "bmp": der.BMP,
}
_ODD_NAMES = {
    "no name": sequence(),
    "empty part": sequence(tlv(der.SET)),
    "attribute without value": sequence(tlv(der.SET, sequence(oid("2.5.4.3")))),
    "attribute without type": sequence(tlv(der.SET, sequence(tlv(der.UTF8, b"x")))),
    "three in an attribute": sequence(
        tlv(der.SET, sequence(oid("2.5.4.3"), tlv(der.UTF8, b"x"), tlv(der.UTF8, b"y")))
    ),
    "not a set": sequence(sequence(sequence(oid("2.5.4.3"), tlv(der.UTF8, b"x")))),
    "not a sequence": tlv(der.SET, part("x")),
    "an octet string": tlv(der.OCTETS, b"x"),
    "several in one": sequence(
        tlv(
            der.SET,
            sequence(oid("2.5.4.3"), tlv(der.UTF8, b"b")),
            sequence(oid("2.5.4.3"), tlv(der.UTF8, b"a")),
        )
    ),
    "country of three": name("DEU", attribute=COUNTRY, tag=der.PRINTABLE),
    "country of none": name("", attribute=COUNTRY, tag=der.PRINTABLE),
    "country in utf8": name("DE", attribute=COUNTRY),
    "unknown type": name("x", attribute=UNKNOWN),
    "long type": name("x", attribute="1.3.6.1.4.1." + ".".join(["4294967295"] * 100)),
    "type of no number": sequence(tlv(der.SET, sequence(tlv(der.OID), tlv(der.UTF8, b"x")))),
    "type not minimal": sequence(
        tlv(der.SET, sequence(tlv(der.OID, b"\x55\x80\x04\x03"), tlv(der.UTF8, b"x")))
    ),
    "type cut short": sequence(
        tlv(der.SET, sequence(tlv(der.OID, b"\x55\x84"), tlv(der.UTF8, b"x")))
    ),
    "200 attributes": name(*(f"part {number}" for number in range(200))),
    "200 in one": sequence(
        tlv(der.SET, *(sequence(oid("2.5.4.3"), tlv(der.UTF8, b"x")) for _ in range(200)))
    ),
    "6000 attributes": name(*("x" for _ in range(6000))),
    "10000 small attributes": sequence(
        *[tlv(der.SET, sequence(tlv(der.OID, b"*"), tlv(der.UTF8)))] * 10000
    ),
    "domain components": name("test", "example", attribute="0.9.2342.19200300.100.1.25"),
    "constructed text": sequence(
        tlv(der.SET, sequence(oid("2.5.4.3"), tlv(0x2C, tlv(der.UTF8, b"x"))))
    ),
    **{
        f"value of type {tag:02X}": name(value, tag=tag)
        for tag, value in (
            (der.BOOLEAN, b"\xff"),
            (der.INTEGER, b"\1"),
            (der.BITS, b"\0\1"),
            (der.BITS, b""),
            (der.OCTETS, b"x"),
            (der.NULL, b""),
            (der.OID, b"\x55\x04\x03"),
            (der.SEQUENCE, b""),
            (0x12, b"123"),
            (0x1B, b"general"),
            (0x80, b"x"),
            (0xA0, b""),
            (0x00, b""),
        )
    },
    **{
        f"{text} in {tag}": name(_ODD_TEXTS[text], tag=number)
        for tag, number in _TEXT_TAGS.items()
        for text in _ODD_TEXTS
        if text != "huge" or tag == "utf8"
    },
}


@family
def subjects() -> Iterator[Case]:
    """Distinguished names of the server's own certificate."""
    yield from changed({title: {"subject": subject} for title, subject in _ODD_NAMES.items()})
    critical = ROOT.extensions(names=names(dns("localhost"), critical=True))
    yield Case("no name, critical", (ROOT.leaf(subject=sequence(), extensions=critical),))


@family
def issuers() -> Iterator[Case]:
    """The same names, of an intermediate and so of an issuer."""
    for title, subject in _ODD_NAMES.items():
        if len(subject) < 40000:  # it is sent twice
            odd = ROOT.below(title, ec_key(2), subject=subject)
            yield Case(title, (odd.leaf(), odd.certificate))


@family
def alternatives() -> Iterator[Case]:
    """Alternative names of every kind, also where they are no names."""
    good = dns("localhost")
    lists: dict[str, tuple[bytes, ...]] = {
        "none": (),
        "nul": (dns(b"localhost\0.evil.test"),),
        "nul before": (dns(b"evil.test\0localhost"), good),
        "empty": (dns(""),),
        "empty and good": (dns(""), good),
        "blank": (dns(" localhost"),),
        "upper case": (dns("LOCALHOST"),),
        "dot behind": (dns("localhost."),),
        "dot before": (dns(".localhost"),),
        "port": (dns("localhost:995"),),
        "utf-8": (dns("b\u00fccher.test"), good),
        "bytes": (dns(bytes(range(256))), good),
        "long": (dns("a" * 300), good),
        "huge": (dns("a" * 60000), good),
        "e-mail": (tagged(1, b"postmaster@localhost", primitive=True),),
        "e-mail with nul": (tagged(1, b"a\0b@localhost", primitive=True), good),
        "e-mail in utf-8": (tagged(1, "\u00fc@localhost".encode(), primitive=True), good),
        "uri": (tagged(6, b"pop://localhost/", primitive=True),),
        "odd uri": (tagged(6, b"http://[::1:99999999/\xff", primitive=True), good),
        "registered": (tagged(8, b"\x2a\x03", primitive=True), good),
        "registered, empty": (tagged(8, primitive=True), good),
        "x400": (tagged(3, sequence()), good),
        "x400, empty": (tagged(3), good),
        "edi": (tagged(5, tagged(1, tlv(der.UTF8, b"x"))), good),
        "directory": (tagged(4, name("localhost")),),
        "odd directory": (tagged(4, name(b"\xd8\0\0", tag=der.BMP)), good),
        "empty directory": (tagged(4), good),
        "other": (tagged(0, oid(UNKNOWN), tagged(0, tlv(der.UTF8, b"localhost"))),),
        "other, empty": (tagged(0), good),
        "other e-mail": (
            tagged(0, oid("1.3.6.1.5.5.7.8.9"), tagged(0, tlv(der.UTF8, "ü@x".encode()))),
            good,
        ),
        "unknown kind": (tagged(9, b"x", primitive=True), good),
        "universal kind": (tlv(der.UTF8, b"localhost"), good),
        "constructed": (tagged(2, tlv(der.IA5, b"localhost")), good),
        "10000 names": (
            *(dns(f"{number:x}.t") for number in range(9999)),
            good,
        ),
        "10000 addresses": (
            *(address(number.to_bytes(4, "big")) for number in range(9999)),
            good,
        ),
        "45000 empty names": (*[dns("")] * 45000, good),
        "15000 empty directories": (*[tagged(4, sequence())] * 15000, good),
        "a directory of 9000 parts": (
            tagged(
                4,
                sequence(*[tlv(der.SET, sequence(tlv(der.OID, b"*"), tlv(der.UTF8)))] * 9000),
            ),
            good,
        ),
        "1000 directories": (*(tagged(4, name("x")) for _ in range(1000)), good),
        "5000 uris": (*(tagged(6, b"a:", primitive=True) for _ in range(5000)), good),
        "2000 others": (
            *(tagged(0, oid("1.2.3"), tagged(0, tlv(der.NULL))) for _ in range(2000)),
            good,
        ),
    } | {
        f"address of {size} octets": (address(bytes(size)), good)
        for size in (0, 1, 3, 5, 8, 15, 17, 32, 1000)
    }
    yield from extended({title: {"names": names(*each)} for title, each in lists.items()})
    yield from extended(
        {
            "no sequence": {"names": extension(NAMES, tlv(der.OCTETS, b"localhost"))},
            "a set": {"names": extension(NAMES, tlv(der.SET, good))},
            "nothing": {"names": extension(NAMES, b"")},
            "more behind": {"names": extension(NAMES, sequence(good) + b"\0\0")},
            "cut short": {"names": extension(NAMES, sequence(good)[:-1])},
            "critical": {"names": names(good, critical=True)},
            "twice": {"names": names(good), "more": names(good)},
            "two lists": {"names": names(dns("other.test")), "more": names(good)},
            "missing": {"names": b""},
        }
    )
    common = ROOT.leaf(subject=name("localhost"), extensions=ROOT.extensions(names=b""))
    yield Case("common name alone", (common,))
    mail = ROOT.extensions(names=names(tagged(1, b"a@b.test", primitive=True)))
    yield Case("common name and e-mail", (ROOT.leaf(subject=name("localhost"), extensions=mail),))


@family
def hosts() -> Iterator[Case]:
    """Which names of a certificate fit which host."""
    offered = (
        *("*", "*.", ".test", "*.test", "*.*.test", "*.*", "pop.*.test", "pop.example.*"),
        *("*.example.test", "p*.example.test", "*p.example.test", "p*p.example.test"),
        *("**.example.test", "pop*.example.test", "pop.*ample.test", "*.pop.example.test"),
        *("pop.example.test", "POP.Example.TEST", "pop.example.test.", "xn--*.test", "pop_1.test"),
        *("xn--bcher-kva.test", "*.xn--bcher-kva.test", "b\u00fccher.test", "127.0.0.1", "*.0.0.1"),
        *("*.localhost", "local*", "*host", "::1", "pop..test", "-pop.test", "*.pop-.test"),
    )
    wanted = (
        *("pop.example.test", "POP.EXAMPLE.TEST", "a.b.example.test", "xn--bcher-kva.test"),
        *("localhost", "127.0.0.1"),
    )
    for pattern in offered:
        leaf = ROOT.leaf(extensions=ROOT.extensions(names=names(dns(pattern))))
        for host in wanted:
            yield Case(f"{pattern!a} for {host}", (leaf,), host=host)
    addresses = {
        "ipv4": bytes((127, 0, 0, 1)),
        "ipv6": bytes(15) + b"\1",
        "mapped": bytes(10) + b"\xff\xff\x7f\0\0\1",
        "another": bytes((127, 0, 0, 2)),
    }
    for title, octets in addresses.items():
        leaf = ROOT.leaf(extensions=ROOT.extensions(names=names(address(octets))))
        for host in ("127.0.0.1", "::1", "localhost"):
            yield Case(f"address {title} for {host}", (leaf,), host=host)


# --- extensions --------------------------------------------------------------------------------

KNOWN = {
    "basic": BASIC,
    "usage": USAGE,
    "purposes": PURPOSES,
    "names": NAMES,
    "subject_key": SUBJECT_KEY,
    "authority_key": AUTHORITY_KEY,
    "name limits": NAME_LIMITS,
    "policies": "2.5.29.32",
    "policy mappings": "2.5.29.33",
    "policy constraints": "2.5.29.36",
    "any policy": "2.5.29.54",
    "revocation lists": "2.5.29.31",
    "newest revocations": "2.5.29.46",
    "issuer names": "2.5.29.18",
    "key period": "2.5.29.16",
    "about the authority": "1.3.6.1.5.5.7.1.1",
    "about the subject": "1.3.6.1.5.5.7.1.11",
    "features": "1.3.6.1.5.5.7.1.24",
    "no check": "1.3.6.1.5.5.7.48.1.5",
    "transparency": "1.3.6.1.4.1.11129.2.4.2",
    "poison": "1.3.6.1.4.1.11129.2.4.3",
    "netscape": "2.16.840.1.113730.1.1",
    "address blocks": "1.3.6.1.5.5.7.1.7",
    "systems": "1.3.6.1.5.5.7.1.8",
    "proxy": "1.3.6.1.5.5.7.1.14",
    "admissions": "1.3.36.8.3.3",
    "template": "1.3.6.1.4.1.311.21.7",
    "unknown": UNKNOWN,
}


@family
def extensions() -> Iterator[Case]:
    """Every known one with contents that it cannot have; then what is wrong with any."""
    values = {
        "nothing": b"",
        "null": tlv(der.NULL),
        "empty sequence": sequence(),
        "garbage": b"\xde\xad\xbe\xef",
        "text": tlv(der.UTF8, b"text"),
        "deep": _deep(60),
        "long form": b"\x30\x84\xff\xff\xff\xff",
    }
    for title, number in KNOWN.items():
        for value, data in values.items():
            for critical in (False, True):
                mark = " critical" if critical else ""
                put = {title: extension(number, data, critical)}
                yield from extended({f"{title}: {value}{mark}": put})
    one = extension(UNKNOWN, b"x")
    yield from extended(
        {
            "unknown twice": {"a": one, "b": one},
            "basic twice": {"a": basic()},
            "usage twice": {"a": usage(0)},
            "purposes twice": {"a": purposes(SERVER)},
            "key identifier twice": {"a": subject_key(ec_key())},
            "huge": {"a": extension(UNKNOWN, bytes(90000))},
            "200 more": {f"{n}": extension(f"{UNKNOWN}.{n}", b"x") for n in range(200)},
            "4000 more": {f"{n}": extension(f"1.2.{n}", b"") for n in range(4000)},
            "12000 small ones": {
                f"{n}": sequence(tlv(der.OID, b"*"), tlv(der.OCTETS)) for n in range(12000)
            },
            "long number": {"a": extension("1.2." + ".".join(["99999999999999999999"] * 50), b"x")},
            "no number": {"a": sequence(tlv(der.OID), tlv(der.OCTETS, b"x"))},
            "no value": {"a": sequence(oid(UNKNOWN))},
            "nothing at all": {"a": sequence()},
            "four fields": {"a": sequence(oid(UNKNOWN), *[tlv(der.OCTETS, b"x")] * 3)},
            "not a sequence": {"a": tlv(der.OCTETS, b"x")},
            "bits": {"a": sequence(oid(UNKNOWN), bits(b"x"))},
            **{
                f"critical is {mark.hex()}": {
                    "a": sequence(oid(UNKNOWN), tlv(der.BOOLEAN, mark), tlv(der.OCTETS, b"x"))
                }
                for mark in (b"\0", b"\1", b"\xff", b"", b"\0\0")
            },
        }
    )
    yield from changed(
        {
            "none": {"extensions": ()},
            "left out": {"extensions": None},
            "the first alone": {"extensions": ROOT.extensions()[:1]},
        }
    )


def _deep(levels: int) -> bytes:
    value = b""
    for _ in range(levels):
        value = sequence(value)
    return value


@family
def usages() -> Iterator[Case]:
    """What a key may be used for, and whether its certificate is of an authority."""
    yield from extended(
        {
            "no basic": {"basic": b""},
            "basic not critical": {"basic": basic(critical=False)},
            "an authority": {"basic": basic(ca=True)},
            "an authority that issues": {"basic": basic(ca=True), "usage": usage(0, 5)},
            "an authority, not critical": {"basic": basic(ca=True, critical=False)},
            "depth without authority": {"basic": basic(depth=0)},
            "authority of depth 0": {"basic": basic(ca=True, depth=0), "usage": usage(0, 5)},
            "negative depth": {"basic": basic(ca=True, depth=-1), "usage": usage(0, 5)},
            "huge depth": {"basic": basic(ca=True, depth=2**70), "usage": usage(0, 5)},
            "authority is false": {"basic": extension(BASIC, sequence(tlv(der.BOOLEAN, b"\0")))},
            "authority is 1": {"basic": extension(BASIC, sequence(tlv(der.BOOLEAN, b"\1")))},
            "no usage": {"usage": b""},
            "usage of nothing": {"usage": usage()},
            "usage not critical": {"usage": usage(0, critical=False)},
            "usage signs": {"usage": usage(0)},
            "usage enciphers": {"usage": usage(2)},
            "usage agrees": {"usage": usage(4)},
            "usage denies": {"usage": usage(1)},
            "usage issues": {"usage": usage(0, 5)},
            "usage issues, no basic": {"usage": usage(0, 5), "basic": b""},
            "usage revokes": {"usage": usage(0, 6)},
            "usage of all": {"usage": usage(*range(9))},
            "usage of nine bits": {"usage": usage(0, 8)},
            "usage of many bits": {"usage": extension(USAGE, bits(b"\xff" * 100))},
            "usage of no octet": {"usage": extension(USAGE, tlv(der.BITS))},
            "usage of zeros": {"usage": extension(USAGE, bits(b"\0\0"))},
            "usage with 9 unused": {"usage": extension(USAGE, bits(b"\x80", 9))},
            "no purposes": {"purposes": b""},
            "client": {"purposes": purposes(CLIENT)},
            "client and server": {"purposes": purposes(CLIENT, SERVER)},
            "any": {"purposes": purposes(ANY_PURPOSE)},
            "any, critical": {"purposes": purposes(ANY_PURPOSE, critical=True)},
            "unknown": {"purposes": purposes(UNKNOWN)},
            "server, critical": {"purposes": purposes(SERVER, critical=True)},
            "no purpose": {"purposes": purposes()},
            "step up": {"purposes": purposes("2.16.840.1.113730.4.1")},
            "3000 purposes": {"purposes": purposes(*(f"1.2.{n}" for n in range(3000)), SERVER)},
            "netscape client": {"a": extension(KNOWN["netscape"], bits(b"\x80", 7))},
            "netscape server": {"a": extension(KNOWN["netscape"], bits(b"\x40", 6))},
            "netscape authority": {"a": extension(KNOWN["netscape"], bits(b"\x44", 2))},
            "netscape authority, no basic": {
                "basic": b"",
                "usage": b"",
                "a": extension(KNOWN["netscape"], bits(b"\x44", 2)),
            },
        }
    )


@family
def key_identifiers() -> Iterator[Case]:
    """RFC 5280 sections 4.2.1.1 and 4.2.1.2, of the leaf."""
    right = tagged(0, authority_key(ROOT.key)[-20:], primitive=True)
    wrong = tagged(0, bytes(20), primitive=True)
    named = tagged(1, tagged(4, ROOT.name))
    serial, other = tagged(2, b"\x12\x34", primitive=True), tagged(2, b"\1", primitive=True)
    for title, contents in {
        "none": (),
        "wrong": (wrong,),
        "right and named": (right, named, serial),
        "named alone": (named, serial),
        "named, wrong serial": (named, other),
        "right, wrong serial": (right, named, other),
        "serial alone": (serial,),
        "name alone": (named,),
        "another name": (tagged(1, tagged(4, name("Other"))), serial),
        "empty name": (right, tagged(1)),
        "short": (tagged(0, b"x", primitive=True),),
        "empty": (tagged(0, primitive=True),),
        "huge": (tagged(0, bytes(50000), primitive=True),),
    }.items():
        value = extension(AUTHORITY_KEY, sequence(*contents))
        yield from extended({f"authority's: {title}": {"authority_key": value}})
    yield from extended(
        {
            "no authority's": {"authority_key": b""},
            "critical authority's": {"authority_key": authority_key(ROOT.key, critical=True)},
            "no subject's": {"subject_key": b""},
            "critical subject's": {"subject_key": subject_key(ec_key(), critical=True)},
            "wrong subject's": {"subject_key": subject_key(ec_key(7))},
            "empty subject's": {"subject_key": extension(SUBJECT_KEY, tlv(der.OCTETS))},
        }
    )


# --- keys and signatures -----------------------------------------------------------------------


def _explicit_curve() -> tuple[bytes, bytes]:
    """Return P-256 by its parameters, and a key on it."""
    p = 2**256 - 2**224 + 2**192 + 2**96 - 1
    b = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B
    x = 0x6B17D1F2E12C4247F8BCE6E563A440F277037D812DEB33A0F4A13945D898C296
    y = 0x4FE342E2FE1A7F9B8EE7EB4A7C0F9E162BCE33576B315ECECBB6406837BF51F5
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    curve = sequence(
        integer(1),
        sequence(oid("1.2.840.10045.1.1"), integer(p)),
        sequence(
            tlv(der.OCTETS, (p - 3).to_bytes(32, "big")), tlv(der.OCTETS, b.to_bytes(32, "big"))
        ),
        tlv(der.OCTETS, b"\4" + x.to_bytes(32, "big") + y.to_bytes(32, "big")),
        integer(order),
        integer(1),
    )
    return curve, public(ec_key())[-65:]


@family
def keys() -> Iterator[Case]:
    """Public keys that are unusual or unsafe."""
    EC, RSA, DSA = "1.2.840.10045.2.1", "1.2.840.113549.1.1.1", "1.2.840.10040.4.1"  # noqa: N806
    point = public(ec_key())[-65:]
    p256 = oid("1.2.840.10045.3.1.7")
    curve, same = _explicit_curve()
    primes = 2**512 - 569, 2**512 - 629
    infos = {
        **{f"rsa {size}": rsa_info((1 << size) - 159) for size in (8, 512, 1023, 1024, 2047)},
        **{f"rsa {size}": rsa_info((1 << size) - 159) for size in (2048, 4096, 16384, 16385)},
        "rsa 200000": rsa_info((1 << 200000) + 1),
        "rsa 1024": rsa_info(primes[0] * primes[1]),
        **{f"rsa e={e}": rsa_info((1 << 2048) - 159, e) for e in (-3, 0, 1, 2, 3, 2**32 + 1)},
        "rsa huge e": rsa_info((1 << 2048) - 159, (1 << 2047) + 1),
        "rsa 4096, huge e": rsa_info((1 << 4096) - 159, (1 << 4095) + 1),
        "rsa 0": rsa_info(0),
        "rsa minus": rsa_info(-(1 << 2047)),
        "rsa even": rsa_info(1 << 2047),
        "rsa without parameters": key_info(RSA, b"", sequence(integer(3), integer(3))),
        "rsa of one number": key_info(RSA, tlv(der.NULL), sequence(integer(3))),
        "rsa of nothing": key_info(RSA, tlv(der.NULL), b""),
        "rsa-pss": key_info("1.2.840.113549.1.1.10", b"", public(rsa_key(2048))[24:]),
        "rsa-pss, odd": key_info("1.2.840.113549.1.1.10", integer(1), public(rsa_key(2048))[24:]),
        "ec by parameters": key_info(EC, curve, same),
        "ec of no curve": key_info(EC, b"", point),
        "ec of null": key_info(EC, tlv(der.NULL), point),
        "ec of unknown curve": key_info(EC, oid("1.2.840.10045.3.1.99"), point),
        "ec off the curve": key_info(EC, p256, point[:-1] + bytes((point[-1] ^ 1,))),
        "ec of two powers": key_info(EC, oid("1.3.132.0.38"), b"\4" + bytes(144)),
        "ec at infinity": key_info(EC, p256, b"\0"),
        "ec compressed": key_info(EC, p256, bytes((2 + point[-1] % 2,)) + point[1:33]),
        "ec hybrid": key_info(EC, p256, bytes((6 + point[-1] % 2,)) + point[1:]),
        "ec of nothing": key_info(EC, p256, b""),
        "ec cut short": key_info(EC, p256, point[:-1]),
        "ec of zeros": key_info(EC, p256, b"\4" + bytes(64)),
        "dsa": key_info(DSA, sequence(*(integer(n) for n in (primes[0], 2**160, 3))), integer(5)),
        "dsa of nothing": key_info(DSA, b"", integer(5)),
        "dsa of zeros": key_info(DSA, sequence(*(integer(0) for _ in range(3))), integer(0)),
        "dsa, long": key_info(
            DSA, sequence(integer((1 << 30000) + 1), integer(2**255 + 1), integer(3)), integer(5)
        ),
        "dsa, longest": key_info(
            DSA, sequence(integer((1 << 360000) + 1), integer(2**255 + 1), integer(3)), integer(5)
        ),
        "dsa of a long q": key_info(
            DSA, sequence(*(integer((1 << 200000) + n) for n in (1, 3, 5))), integer(5)
        ),
        "rsa, longest": rsa_info((1 << 700000) + 1),
        "rsa of a long e": rsa_info((1 << 300000) + 1, (1 << 299999) + 1),
        "ec of a long point": key_info(EC, p256, b"\4" + bytes(90000)),
        "dh": key_info(
            "1.2.840.113549.1.3.1", sequence(integer(primes[0]), integer(2)), integer(5)
        ),
        "dh x9.42": key_info(
            "1.2.840.10046.2.1",
            sequence(*(integer(n) for n in ((1 << 8192) - 1, 2, (1 << 8191) - 1))),
            integer(5),
        ),
        "dh x9.42, longest": key_info(
            "1.2.840.10046.2.1",
            sequence(*(integer(n) for n in ((1 << 300000) - 1, 2, (1 << 299999) - 1))),
            integer(5),
        ),
        "x25519": key_info("1.3.101.110", b"", bytes(32)),
        "x448": key_info("1.3.101.111", b"", bytes(56)),
        "ed25519, odd": key_info("1.3.101.112", b"", b"\xff" * 32),
        "ed25519, short": key_info("1.3.101.112", b"", bytes(31)),
        "ed25519 with parameters": key_info("1.3.101.112", tlv(der.NULL), bytes(32)),
        "ml-dsa": key_info("2.16.840.1.101.3.4.3.17", b"", bytes(1312)),
        "gost": key_info("1.2.643.7.1.1.1.1", sequence(oid("1.2.643.2.2.35.1")), bytes(66)),
        "unknown": key_info(UNKNOWN, b"", b"x"),
        "huge": key_info(UNKNOWN, b"", bytes(90000)),
        "no algorithm": sequence(sequence(), bits(b"x")),
        "nothing": sequence(),
        "no sequence": tlv(der.OCTETS, b"x"),
        "unused bits": sequence(sequence(oid(RSA), tlv(der.NULL)), bits(b"\x80", 7)),
    }
    for title, info in infos.items():
        yield Case(title, (ROOT.leaf(key=info),), None)
    for curve_name in ("SECP192R1", "SECP256K1", "BrainpoolP256R1", "BrainpoolP512R1"):
        try:
            key = ec_key(0, curve_name)
        except (AttributeError, UnsupportedAlgorithm):  # no longer, or not in this OpenSSL
            continue
        yield Case(curve_name, (ROOT.leaf(key),), key)
    weak = rsa_key(1024)
    yield Case("rsa 1024, served", (ROOT.leaf(weak),), weak)


@family
def signatures() -> Iterator[Case]:
    """What stands beside a signature, and what is signed."""
    rsa_root = root("Corpus RSA Root", rsa_key(2048))
    ed_root = root("Corpus Ed25519 Root", ed25519.Ed25519PrivateKey.from_private_bytes(b"7" * 32))
    for digest in ("sha1", "sha224", "sha384", "sha512"):
        yield Case(f"ecdsa {digest}", (ROOT.leaf(digest=digest),))
    for digest in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512"):
        leaf = rsa_root.leaf(digest=digest)
        yield Case(f"rsa {digest}", (leaf,), trusted=(rsa_root.certificate,))
    yield Case("ed25519", (ed_root.leaf(),), trusted=(ed_root.certificate,))
    ecdsa, sha1 = algorithm(ROOT.key), algorithm(ROOT.key, "sha1")
    plain = algorithm(rsa_root.key)
    pss = sequence(oid("1.2.840.113549.1.1.10"), sequence())
    yield from changed(
        {
            "empty": {"signature": bits(b"")},
            "of zeros": {"signature": bits(bytes(70))},
            "of zero": {"signature": bits(sequence(integer(0), integer(0)))},
            "of one": {"signature": bits(sequence(integer(1), integer(1)))},
            "unused bits": {"signature": bits(b"\x80", 7)},
            "huge": {"signature": bits(bytes(80000))},
            "no bits": {"signature": tlv(der.OCTETS, b"x")},
            "missing": {"signature": tlv(der.NULL)},
            "sha-1 inside": {"inner": sha1, "outer": ecdsa},
            "sha-1 outside": {"inner": ecdsa, "outer": sha1},
            "rsa inside": {"inner": plain, "outer": ecdsa},
            "rsa outside": {"inner": ecdsa, "outer": plain},
            "rsa in both": {"inner": plain},
            "pss in both": {"inner": pss},
            "null behind": {"inner": sequence(oid("1.2.840.10045.4.3.2"), tlv(der.NULL))},
            "null behind, outside": {
                "inner": ecdsa,
                "outer": sequence(oid("1.2.840.10045.4.3.2"), tlv(der.NULL)),
            },
            "garbage behind": {"inner": sequence(oid("1.2.840.10045.4.3.2"), _deep(20))},
            "unknown": {"inner": sequence(oid(UNKNOWN))},
            "a key's": {"inner": sequence(oid("1.2.840.10045.2.1"))},
            "a digest's": {"inner": sequence(oid("2.16.840.1.101.3.4.2.1"))},
            "sha3": {"inner": sequence(oid("2.16.840.1.101.3.4.3.10"))},
            "ed25519 in both": {"inner": sequence(oid("1.3.101.112"))},
            "nothing inside": {"inner": sequence()},
            "no sequence": {"inner": tlv(der.NULL)},
        }
    )


# --- chains ------------------------------------------------------------------------------------


@family
def intermediates() -> Iterator[Case]:
    """What is wrong with the one between."""
    own = ec_key(20)
    base = of_authority(own, ROOT.key)

    def of(**changes: bytes) -> dict[str, Any]:
        return {"extensions": of_authority(own, ROOT.key, **changes)}

    good, fit = (
        tagged(2, b"localhost", primitive=True),
        address(bytes((127, 0, 0, 0, 255, 0, 0, 0))),
    )
    no = tagged(2, b"other.test", primitive=True)

    def limits(*allowed: bytes, refused: tuple[bytes, ...] = ()) -> dict[str, Any]:
        permitted = [tagged(0, *(sequence(each) for each in allowed))] if allowed else []
        excluded = [tagged(1, *(sequence(each) for each in refused))] if refused else []
        return of(limits=extension(NAME_LIMITS, sequence(*permitted, *excluded), critical=True))

    odd: dict[str, dict[str, Any]] = {
        "good": {},
        "no authority": of(basic=basic()),
        "no basic": of(basic=b""),
        "not critical": of(basic=basic(ca=True, critical=False)),
        "depth 0": of(basic=basic(ca=True, depth=0)),
        "depth 0, no usage": of(basic=basic(ca=True, depth=0), usage=b""),
        "negative depth": of(basic=basic(ca=True, depth=-1)),
        "no usage": of(usage=b""),
        "usage signs": of(usage=usage(0)),
        "usage revokes": of(usage=usage(6)),
        "usage not critical": of(usage=usage(5, critical=False)),
        "no extensions": {"extensions": None},
        "version 1": {"extensions": None, "version": b""},
        "version 1 with extensions": {"version": b""},
        "version 9": {"version": tagged(0, integer(8))},
        "client": of(purposes=purposes(CLIENT)),
        "server": of(purposes=purposes(SERVER)),
        "any purpose": of(purposes=purposes(ANY_PURPOSE)),
        "expired": {"validity": validity(-90, -2)},
        "future": {"validity": validity(2)},
        "backwards": {"validity": validity(30, -30)},
        "until 9999": {"validity": validity(end=tlv(der.GENERALIZED, b"99991231235959Z"))},
        "soon": {"validity": validity(end=3)},
        "negative serial": {"serial": integer(-5)},
        "sha-1": {"digest": "sha1"},
        "no authority's key": of(authority_key=b""),
        "critical authority's key": of(authority_key=authority_key(ROOT.key, critical=True)),
        "wrong authority's key": of(authority_key=authority_key(ec_key(9))),
        "no subject's key": of(subject_key=b""),
        "critical subject's key": of(subject_key=subject_key(own, critical=True)),
        "wrong subject's key": of(subject_key=subject_key(ec_key(9))),
        "unknown critical": of(a=extension(UNKNOWN, b"x", critical=True)),
        "basic twice": {"extensions": (*base, basic(ca=True))},
        "unknown twice": {"extensions": (*base, *[extension(UNKNOWN, b"x")] * 2)},
        "huge": of(a=extension(UNKNOWN, bytes(50000))),
        "netscape authority": {
            "extensions": (extension(KNOWN["netscape"], bits(b"\x04", 2)), subject_key(own))
        },
        "wrong signature": {"signature": bits(bytes(70))},
        "names allowed": limits(good, fit),
        "another name allowed": limits(no, fit),
        "name refused": limits(refused=(good,)),
        "address refused": limits(refused=(fit,)),
        "no name allowed": limits(tagged(4, name("x"))),
        "odd address allowed": limits(good, address(b"\x7f\0\0")),
        "1000 names allowed": limits(*(dns(f"{n}.test") for n in range(1000)), good, fit),
        "empty limits": of(limits=extension(NAME_LIMITS, sequence())),
        "policies needed": of(
            a=extension(KNOWN["policy constraints"], sequence(tagged(0, b"\0", primitive=True)))
        ),
    }
    for title, changes in odd.items():
        below = ROOT.below("Corpus CA", own, **changes)
        yield Case(title, (below.leaf(), below.certificate))
    for title, key in {"rsa 1024": rsa_key(1024), "rsa 2048": rsa_key(2048)}.items():
        below = ROOT.below("Corpus CA", key)
        yield Case(title, (below.leaf(), below.certificate))
    curve, same = _explicit_curve()
    info = key_info("1.2.840.10045.2.1", curve, same)
    below = ROOT.below("Corpus CA", ec_key(), key=info)
    yield Case("key by parameters", (below.leaf(), below.certificate))
    for title, offered in {"good": "localhost", "bad": "other.test"}.items():
        below = ROOT.below("Corpus CA", own, **limits(good))
        leaf = below.leaf(
            subject=name(offered), extensions=below.extensions(names=names(dns("localhost")))
        )
        yield Case(f"{title} common name", (leaf, below.certificate))


@family
def chains() -> Iterator[Case]:
    """How certificates stand to each other, and which are sent."""
    one = ROOT.below("One", ec_key(31))
    two = one.below("Two", ec_key(32))
    other = root("Other", ec_key(33))
    twin = root("Corpus Root", ec_key(34))
    leaf, top = one.leaf(), ROOT.certificate
    lists = {
        "right": (leaf, one.certificate),
        "with the root": (leaf, one.certificate, top),
        "missing": (leaf,),
        "root alone": (leaf, top),
        "wrong order": (two.leaf(), one.certificate, two.certificate),
        "wrong order with root": (two.leaf(), top, one.certificate, two.certificate),
        "sent twice": (leaf, one.certificate, one.certificate),
        "leaf twice": (leaf, leaf, one.certificate),
        "an unrelated CA": (leaf, one.certificate, other.certificate),
        "a namesake": (leaf, twin.below("One", ec_key(35)).certificate, one.certificate),
        "a namesake alone": (leaf, twin.below("One", ec_key(35)).certificate),
        "of an unrelated CA": (other.leaf(),),
        "of an unrelated CA, sent": (other.leaf(), other.certificate),
        "of a namesake": (twin.leaf(),),
        "of a namesake, sent": (twin.leaf(), twin.certificate),
        "too deep for depth 0": _too_deep(),
        "100 copies": (leaf, *[one.certificate] * 99),
        "200 copies": (leaf, *[one.certificate] * 199),
        "150 namesakes": (leaf, *_namesakes(150), one.certificate),
        "garbage behind": (leaf, one.certificate, b"garbage"),
        "nothing behind": (leaf, one.certificate, b""),
        "cut short behind": (leaf, one.certificate, top[:-1]),
        "more octets": (leaf + b"\0", one.certificate),
        "more octets behind": (leaf, one.certificate + b"\0"),
        "garbage alone": (b"garbage",),
        "nothing alone": (b"",),
        "none": (),
        "long form": (b"\x30\x84" + (2**31).to_bytes(4, "big"),),
        "no end": (b"\x30\x80" + leaf[4:] + b"\0\0",),
    }
    for title, sent in lists.items():
        yield Case(title, sent)
    for count in (20, 98, 99, 100, 101, 150):
        yield Case(f"{count} deep", _long(count))
    yield Case("in a circle", _circle())
    for title, crossed in {"first": other, "last": ROOT}.items():
        again = crossed.below("One", one.key)
        yield Case(f"crossed, {title}", (leaf, again.certificate), trusted=(top,))
    yield Case("intermediate trusted", (leaf,), trusted=(one.certificate,))
    yield Case("intermediate and root trusted", (leaf,), trusted=(one.certificate, top))
    yield Case("leaf trusted", (leaf,), trusted=(leaf,))
    yield Case("leaf and root trusted", (leaf, one.certificate), trusted=(leaf, top))
    yield Case("two roots of a name", (leaf, one.certificate), trusted=(twin.certificate, top))


def _too_deep() -> tuple[bytes, ...]:
    own = ec_key(40)
    shallow = of_authority(own, ROOT.key, basic=basic(ca=True, depth=0))
    one = ROOT.below("Shallow", own, extensions=shallow)
    two = one.below("Deeper", ec_key(41))
    return (two.leaf(), two.certificate, one.certificate)


def _namesakes(count: int) -> tuple[bytes, ...]:
    """Return different certificates of one name and key, none of them right."""
    unrelated = root("Corpus Root", ec_key(36))
    return tuple(
        unrelated.below("One", ec_key(31), serial=integer(number)).certificate
        for number in range(count)
    )


def _long(count: int) -> tuple[bytes, ...]:
    """Return a leaf and the authorities above it, as many as are wanted in all."""
    issuer, above = ROOT, []
    for number in range(count - 1):
        key = ec_key(50 + number % 2)
        issuer = issuer.below(f"{number}", key)
        above.append(issuer.certificate)
    return (issuer.leaf(), *reversed(above))


def _circle() -> tuple[bytes, ...]:
    ones, twos = ec_key(60), ec_key(61)
    one = Authority(b"", name("One"), ones).below("Two", twos)
    two = Authority(b"", name("Two"), twos).below("One", ones)
    return (one.leaf(), one.certificate, two.certificate)


@family
def roots() -> Iterator[Case]:
    """What is trusted may be odd, too; and a certificate may be its own root."""
    own = ec_key(70)

    def of(**changes: bytes) -> dict[str, Any]:
        return {"extensions": of_authority(own, own, **changes)}

    here = sequence(tagged(1, sequence(dns("localhost"))))
    odd: dict[str, dict[str, Any]] = {
        "no basic": of(basic=b""),
        "no authority": of(basic=basic()),
        "not critical": of(basic=basic(ca=True, critical=False)),
        "depth 0": of(basic=basic(ca=True, depth=0)),
        "no usage": of(usage=b""),
        "usage signs": of(usage=usage(0)),
        "no key identifiers": of(subject_key=b"", authority_key=b""),
        "no subject's key": of(subject_key=b""),
        "no authority's key": of(authority_key=b""),
        "critical authority's key": of(authority_key=authority_key(own, critical=True)),
        "no extensions": {"extensions": None},
        "version 1": {"extensions": None, "version": b""},
        "version 1 with extensions": {"version": b""},
        "expired": {"validity": validity(-90, -2)},
        "future": {"validity": validity(2)},
        "sha-1": {"digest": "sha1"},
        "wrong signature": {"signature": bits(bytes(70))},
        "client": of(purposes=purposes(CLIENT)),
        "names refused": of(limits=extension(NAME_LIMITS, here)),
        "unknown critical": of(a=extension(UNKNOWN, b"x", critical=True)),
        "negative serial": {"serial": integer(-1)},
    }
    for title, changes in odd.items():
        trusted = root("Odd Root", own, **changes)
        top = (trusted.certificate,)
        yield Case(title, (trusted.leaf(),), trusted=top)
        yield Case(f"{title}, itself", top, own, top, verify="chain")
    weak = root("Weak Root", rsa_key(1024))
    yield Case("rsa 1024", (weak.leaf(),), trusted=(weak.certificate,))
    self_made = Authority(b"", name("localhost"), ec_key())
    alone: dict[str, dict[str, Any]] = {
        "own": {},
        "own, no extensions but names": {"extensions": (names(dns("localhost")),)},
        "own, authority": {"extensions": self_made.extensions(basic=basic(ca=True))},
        "own, issuing authority": {
            "extensions": self_made.extensions(basic=basic(ca=True), usage=usage(0, 5))
        },
        "own, issuing": {"extensions": self_made.extensions(usage=usage(0, 5), basic=b"")},
        "own, version 1": {"extensions": None, "version": b""},
        "own, expired": {"validity": validity(-90, -2)},
        "own, wrong signature": {"signature": bits(bytes(70))},
        "own, sha-1": {"digest": "sha1"},
    }
    for title, changes in alone.items():
        own_leaf = self_made.leaf(**changes)
        yield Case(title, (own_leaf,), trusted=(own_leaf,), verify="chain")
        yield Case(f"{title}, not trusted", (own_leaf,), verify="chain")
    same_name = ROOT.leaf(subject=ROOT.name)
    yield Case("self-issued", (same_name,))
    for digest in ("sha1", "sha256"):
        rolled = root("Corpus Root", ec_key(71))
        crossed = ROOT.below("Corpus Root", rolled.key, digest=digest)
        yield Case(f"rolled over, {digest}", (rolled.leaf(), crossed.certificate))
