"""Certificates changed at random, and those of other projects."""

from __future__ import annotations

import random
import re
import ssl
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cryptography_vectors

from tests.pki import der
from tests.pki.certificate_parts import (
    AUTHORITY_KEY,
    COUNTRY,
    SUBJECT_KEY,
    address,
    algorithm,
    dns,
    ec_key,
    extension,
    name,
    names,
    part,
    public,
    sign,
    validity,
)
from tests.pki.corpus import KNOWN, ROOT, Case, family
from tests.pki.der import Node, bits, integer, oid, sequence, tagged

SEED = 1939
VECTORS = Path(cryptography_vectors.__file__).parent / "x509"


# --- changed at random -------------------------------------------------------------------------


def _rich() -> bytes:
    """Return a leaf with something of everything."""
    more = {
        "policies": extension(KNOWN["policies"], sequence(sequence(oid("2.5.29.32.0")))),
        "revocations": extension(
            KNOWN["revocation lists"],
            sequence(sequence(tagged(0, tagged(0, tagged(6, b"http://x.test/", primitive=True))))),
        ),
        "authority": extension(
            KNOWN["about the authority"],
            sequence(sequence(oid("1.3.6.1.5.5.7.48.1"), tagged(6, b"http://x", primitive=True))),
        ),
        "features": extension(KNOWN["features"], sequence(integer(5))),
        "names": names(
            *(dns("localhost"), address(bytes((127, 0, 0, 1))), tagged(4, name("x"))),
            *(tagged(1, b"a@b.test", primitive=True), tagged(6, b"http://x/", primitive=True)),
        ),
    }
    subject = sequence(part("DE", COUNTRY, der.PRINTABLE), part("localhost"), part("x", "2.5.4.10"))
    return ROOT.leaf(subject=subject, extensions=ROOT.extensions(**more))


def _signed_again(body: bytes) -> bytes:
    return sequence(body, algorithm(ROOT.key), bits(sign(ROOT.key, body)))


@family
def changed_fields() -> Iterator[Case]:
    """One value of a good certificate changed, and signed again: the damage lies deep."""
    source = random.Random(SEED)
    body = der.parse(_rich()).children[0]
    places = list(body.places())
    for number in range(250):
        place = source.choice(places)
        node, other = body.at(place), body.at(source.choice(places))
        how, new = source.choice(_mutations(node, other, source))
        damaged = body.changed(place, *new).encoded()
        where = ".".join(str(position) for position in place)
        yield Case(f"{number}: {how} at {where}", (_signed_again(damaged),))


def _mutations(node: Node, other: Node, source: random.Random) -> list[tuple[str, list[Node]]]:
    content = (
        node.encoded()[2:]
        if not node.children
        else b"".join(child.encoded() for child in node.children)
    )
    at = source.randrange(len(content) or 1)
    flipped = content[:at] + bytes((source.randrange(256),)) + content[at + 1 :]
    return [
        ("removed", []),
        ("twice", [node, node]),
        ("another", [other]),
        ("empty", [Node(node.tag, b"")]),
        ("cut", [Node(node.tag, content[:-1])]),
        ("longer", [Node(node.tag, content + b"\0")]),
        ("flipped", [Node(node.tag, flipped)]),
        ("retagged", [Node(source.randrange(256), content)]),
        ("wrapped", [Node(der.SEQUENCE, node.encoded())]),
        ("zeros", [Node(node.tag, bytes(len(content)))]),
        ("ones", [Node(node.tag, b"\xff" * len(content))]),
        ("long", [Node(node.tag, content * 300 if len(content) < 250 else content)]),
    ]


@family
def changed_bytes() -> Iterator[Case]:
    """A good certificate with random bytes changed; every second one is signed again."""
    source = random.Random(SEED)
    whole, body = _rich(), der.parse(_rich()).children[0].encoded()
    # Up to the start of the signature, which may have another length in the next run.
    whole_end = len(body) + 24
    for number in range(250):
        is_signed = number % 2 == 0
        damaged = bytearray(body if is_signed else whole)
        for _ in range(source.choice((1, 1, 1, 2, 5))):
            damaged[source.randrange(len(body) if is_signed else whole_end)] = source.randrange(256)
        sent = _signed_again(bytes(damaged)) if is_signed else bytes(damaged)
        yield Case(f"{number}", (sent,))


# --- of other projects -------------------------------------------------------------------------

_PEM = re.compile(rb"-----BEGIN (?:X509 |TRUSTED )?CERTIFICATE-----.*?-----END [^\n]*", re.DOTALL)


@cache
def vectors() -> dict[str, bytes]:
    """Return the certificates that the `cryptography` library is tested with, by their names."""
    found = {}
    for path in sorted(VECTORS.rglob("*")):
        if path.suffix == ".der" and not path.name.startswith("crl_"):
            found[path.stem] = path.read_bytes()
        elif path.suffix == ".pem":
            for number, pem in enumerate(_PEM.findall(path.read_bytes())):
                text = re.sub(rb"(?m)^\S+: .*\n", b"", pem).decode("ascii", "replace")
                text = text.replace("X509 CERT", "CERT").replace("TRUSTED CERT", "CERT")
                found[f"{path.stem} {number}"] = ssl.PEM_cert_to_DER_cert(text + "\n")
    return found


def _is_loaded(certificate: bytes) -> bool:
    """Return whether OpenSSL takes it as something to trust."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=certificate)
    except (ssl.SSLError, ValueError):
        return False
    return True


@family
def vectors_as_they_are() -> Iterator[Case]:
    """The keys are unknown, so the handshake ends after the verdict."""
    for title, certificate in vectors().items():
        yield Case(title, (certificate,), None)
        if _is_loaded(certificate):
            trusted = (certificate,)
            yield Case(f"{title}, trusted", (certificate,), None, trusted, verify="chain")


@family
def vectors_behind() -> Iterator[Case]:
    """Sent after a good certificate, where they are unnecessary."""
    leaf = ROOT.leaf()
    for title, certificate in vectors().items():
        yield Case(title, (leaf, certificate))


@family
def vectors_reissued() -> Iterator[Case]:
    """With a key of ours, and signed by our root: so the rest of them counts."""
    for title, certificate in vectors().items():
        try:
            body = der.parse(certificate).children[0]
            start = 1 if body.children[0].tag == 0xA0 else 0
            key = der.parse(public(ec_key()))
            mine = body.changed((start + 5,), key).changed((start + 2,), der.parse(ROOT.name))
            mine = mine.changed((start + 1,), der.parse(algorithm(ROOT.key)))
            now = mine.changed((start + 3,), der.parse(validity()))
        except (ValueError, IndexError):
            continue
        yield Case(f"{title}, its own dates", (_signed_again(mine.encoded()),))
        yield Case(f"{title}, now", (_signed_again(now.encoded()),), verify="chain")


class _Known(NamedTuple):
    """A certificate of another hierarchy, before it is reissued."""

    body: Node
    own: bytes
    """Its subject key identifier."""
    issuer: bytes
    """Its authority key identifier; its own where it is a root."""

    @property
    def start(self) -> int:
        """Return where the serial number stands."""
        return 1 if self.body.children[0].tag == 0xA0 else 0


# What the originals of these have a wrong signature for.
_BADLY_SIGNED = ("BadSignedCACert", "InvalidEESignatureTest3EE", "InvalidDSASignatureTest6EE")


def _identifiers(body: Node) -> tuple[bytes, bytes]:
    found = {SUBJECT_KEY: b"", AUTHORITY_KEY: b""}
    listed = body.children[-1].children[0].children if body.children[-1].tag == 0xA3 else ()
    for each in listed:
        for number in found:
            if each.children[0].raw == oid(number):
                found[number] = each.children[-1].children[0].raw[-20:]
    own, issuer = found.values()
    return own, issuer or own


@cache
def _pkits() -> tuple[dict[str, _Known], dict[str, bytes]]:
    """Return NIST's path validation test suite, and the same reissued with our keys."""
    known, issued = {}, {}
    for path in sorted((VECTORS / "PKITS_data" / "certs").glob("*.crt")):
        body = der.parse(path.read_bytes()).children[0]
        known[path.stem] = each = _Known(body, *_identifiers(body))
        own, issuer = (ec_key(int.from_bytes(key, "big")) for key in (each.own, each.issuer))
        body = body.changed((each.start + 5,), der.parse(public(own)))
        body = body.changed((each.start + 1,), der.parse(algorithm(issuer)))
        data = body.encoded()
        right = sign(issuer, data if path.stem not in _BADLY_SIGNED else b"another")
        issued[path.stem] = sequence(data, algorithm(issuer), bits(right))
    return known, issued


@family
def pkits() -> Iterator[Case]:
    """Each path of the suite, with all that may lead to its root."""
    known, issued = _pkits()
    top = "TrustAnchorRootCertificate"
    for title, leaf in known.items():
        if not title.endswith("EE"):
            continue
        sent, wanted = [title], [leaf.issuer]
        for identifier in wanted:
            for other, each in known.items():
                if each.own == identifier and other not in (*sent, top):
                    sent.append(other)
                    wanted.append(each.issuer)
        key = ec_key(int.from_bytes(leaf.own, "big"))
        certificates = tuple(issued[each] for each in sent)
        yield Case(title, certificates, key, (issued[top],), verify="chain")
