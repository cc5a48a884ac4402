"""Certificate facts from untrusted DER."""

import datetime as dt
import hashlib
import mmap
import pickle
import resource
import ssl
import sys
import warnings
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed448, ed25519
from hypothesis import given
from hypothesis import strategies as st

from check_pop3_plus.certificate import reader as certificate_reader
from check_pop3_plus.certificate import strength
from check_pop3_plus.certificate.der import parse
from check_pop3_plus.model.report import CertificateFacts
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.stopped import Stopped
from check_pop3_plus.support.masking import Masker
from tests.pki import certificate_parts
from tests.pki import der as tests_der
from tests.pki.certificates import Pki
from tests.pki.corpus import ROOT


def test_read_good_certificate(pki: Pki) -> None:
    """Dates, names and identity are read; nothing is weak or unreadable."""
    facts = certificate_reader.read(pki.der("good"), sanitise)

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
def test_read_names_weakness(name: str, weakness: str | None, pki: Pki) -> None:
    """Fault 36: a weak key or signature is named."""
    assert certificate_reader.read(pki.der(name), sanitise).weakness == weakness


@pytest.mark.threat("T17")
def test_read_thousands_of_names_keeps_five(pki: Pki) -> None:
    """Threat T17: the number of names is limited."""
    facts = certificate_reader.read(pki.der("many_names"), sanitise)

    assert len(facts.names) == certificate_reader.NAMES_LIMIT
    assert facts.names_left_out > 1900


@given(st.binary(max_size=200))
def test_read_garbage_is_unreadable(data: bytes) -> None:
    """No exception is raised."""
    facts = certificate_reader.read(data, sanitise)

    assert facts.not_after is None
    assert facts.unreadable == ("certificate",)


@pytest.mark.threat("T16")
def test_read_damaged_does_not_raise(pki: Pki) -> None:
    """Threat T16: each attribute is guarded separately."""
    whole = pki.der("good")
    for position in range(len(whole)):
        for byte in (0x00, 0xFF, whole[position] ^ 0x01):
            damaged = whole[:position] + bytes([byte]) + whole[position + 1 :]
            facts = certificate_reader.read(damaged, sanitise)
            assert facts.not_after is not None or facts.unreadable


@pytest.mark.threat("T17")
def test_read_chain_reads_ten_certificates(pki: Pki) -> None:
    """A server may send a hundred."""
    chain = (pki.der("good"),) * 100

    assert (
        len(certificate_reader.read_chain(chain, (), sanitise).sent)
        == certificate_reader.CHAIN_LIMIT
    )


def test_read_invalid_characters_in_name_hides_only_the_name() -> None:
    """Fault 39: old certificates have Latin-1 in an IA5String."""
    subject = certificate_parts.name(b"B\xfccher", tag=tests_der.IA5)
    facts = certificate_reader.read(ROOT.leaf(subject=subject), sanitise)

    assert facts.subject is None
    assert facts.not_after is not None
    assert facts.names == ("localhost", "127.0.0.1")
    assert facts.key == "EC 256"
    assert facts.unreadable == ("subject",)


def test_read_malformed_extension_keeps_names() -> None:
    """The library reads all extensions or none."""
    odd = certificate_parts.extension("2.5.29.32", b"garbage")
    facts = certificate_reader.read(ROOT.leaf(extensions=ROOT.extensions(odd=odd)), sanitise)

    assert facts.names == ("localhost", "127.0.0.1")
    assert facts.unreadable == ()


@pytest.mark.parametrize(
    ("odd", "unreadable"),
    [
        (ROOT.leaf(version=tests_der.tagged(0, tests_der.integer(8))), "subject and issuer"),
        (tests_der.sequence(), "certificate"),
    ],
)
def test_read_unreadable_has_fingerprint(odd: bytes, unreadable: str) -> None:
    """Pins and --expect-cert-file work for any certificate."""
    facts = certificate_reader.read(odd, sanitise)

    assert facts.fingerprint == hashlib.sha256(odd).hexdigest()
    assert facts.unreadable == (unreadable,)


def test_read_public_key_hash_is_of_original_bytes() -> None:
    """The library may encode the key differently."""
    usual = certificate_parts.public(certificate_parts.ec_key())
    x, y = usual[-64:-32], usual[-32:]
    compressed = certificate_parts.key_info(
        "1.2.840.10045.2.1",
        tests_der.oid("1.2.840.10045.3.1.7"),
        bytes((2 + y[-1] % 2,)) + x,
    )
    facts = certificate_reader.read(ROOT.leaf(key=compressed), sanitise)

    assert facts.key == "EC 256"
    assert facts.public_key == hashlib.sha256(compressed).hexdigest()


@pytest.mark.threat("T17")
def test_read_diffie_hellman_key_is_skipped() -> None:
    """Threat T17: checking a long Diffie-Hellman key takes minutes."""
    long_key = certificate_parts.key_info(
        "1.2.840.10046.2.1",
        tests_der.sequence(*(tests_der.integer((1 << 300000) - each) for each in (1, 2, 3))),
        tests_der.integer(5),
    )
    facts = certificate_reader.read(ROOT.leaf(key=long_key), sanitise)

    assert (facts.key, facts.key_bits) == ("of another kind", None)


@pytest.mark.threat("T17")
def test_read_long_name_is_skipped() -> None:
    """Threat T17: a long distinguished name takes too much time."""
    facts = certificate_reader.read(
        ROOT.leaf(subject=certificate_parts.name(*["x"] * 5000)), sanitise
    )

    assert facts.subject is None
    assert facts.issuer == "CN=Corpus Root"
    assert facts.unreadable == ("subject",)


def test_read_library_warnings_are_ignored() -> None:
    """Fault 39: a warning that becomes an error would change the verdict."""
    negative = ROOT.leaf(serial=tests_der.integer(-5))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("error")
        facts = certificate_reader.read(negative, sanitise)

    assert facts.serial == "-5"
    assert facts.unreadable == ()
    assert heard == []


@pytest.mark.parametrize(
    ("limit", "has_room", "asked"),
    [
        (resource.RLIM_INFINITY, False, []),
        (1 << 30, True, [(-1, 32 * 1024 * 1024)]),
        (1 << 20, False, [(-1, 32 * 1024 * 1024)]),
    ],
)
def test_prepare_with_memory_limit_reserves_memory(
    limit: int, has_room: bool, asked: list[tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With too little memory the library would end the process."""
    calls: list[tuple[int, int]] = []
    given_back: list[bool] = []

    def allocate(*arguments: int) -> Any:
        calls.append((arguments[0], arguments[1]))
        if not has_room:
            raise OSError(12, "Cannot allocate memory")
        return SimpleNamespace(close=lambda: given_back.append(True))

    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, resource.RLIM_INFINITY))
    monkeypatch.setattr(mmap, "mmap", allocate)

    if limit == resource.RLIM_INFINITY or has_room:
        certificate_reader._require_memory()
    else:
        with pytest.raises(MemoryError):
            certificate_reader._require_memory()
    assert calls == asked
    assert given_back == ([True] if has_room else [])


def test_prepare_reserves_memory_only_before_import(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not needed again."""

    def refuse() -> None:
        raise MemoryError

    monkeypatch.setattr(certificate_reader, "_require_memory", refuse)
    certificate_reader.prepare()
    monkeypatch.delitem(sys.modules, "cryptography.x509")

    with pytest.raises(MemoryError):
        certificate_reader.prepare()


def test_read_returns_every_fact() -> None:
    """The certificate is built by hand."""
    own = ROOT.leaf(serial=tests_der.integer(0xABC123))
    facts = certificate_reader.read(own, sanitise)

    assert CertificateFacts(*(getattr(facts, name) for name in CertificateFacts._fields)) == (
        CertificateFacts(
            not_before=facts.not_before,
            not_after=facts.not_after,
            subject=sanitise("CN=localhost"),
            issuer=sanitise("CN=Corpus Root"),
            names=(sanitise("localhost"), sanitise("127.0.0.1")),
            names_left_out=0,
            serial=sanitise("ABC123"),
            fingerprint=sanitise(hashlib.sha256(own).hexdigest()),
            public_key=sanitise(
                hashlib.sha256(certificate_parts.public(certificate_parts.ec_key())).hexdigest()
            ),
            key=sanitise("EC 256"),
            key_bits=3072,
            weakness=None,
            is_self_issued=False,
            issuer_names=("CN=Corpus Root", "Corpus Root"),
            unreadable=(),
        )
    )
    assert facts.not_before is not None
    assert facts.not_after is not None
    assert facts.not_after - facts.not_before == dt.timedelta(days=91)


def dsa_info(size: int) -> bytes:
    numbers = (tests_der.integer((1 << size - 1) + 1), tests_der.integer((1 << 159) + 1))
    parameters = tests_der.sequence(*numbers, tests_der.integer(5))
    return certificate_parts.key_info("1.2.840.10040.4.1", parameters, tests_der.integer(7))


@pytest.mark.parametrize(
    ("key", "words", "bits", "weakness"),
    [
        (certificate_parts.public(certificate_parts.rsa_key(2048)), "RSA 2048", 2048, None),
        (certificate_parts.rsa_info((1 << 2046) + 1), "RSA 2047", 2047, "RSA 2047 key"),
        (dsa_info(1024), "DSA 1024", 1024, "DSA 1024 key"),
        (dsa_info(2048), "DSA 2048", 2048, None),
        (
            certificate_parts.public(certificate_parts.ec_key(0, "SECP192R1")),
            "EC 192",
            1024,
            "EC 192 key",
        ),
        (certificate_parts.public(certificate_parts.ec_key(0, "SECP224R1")), "EC 224", 2048, None),
        (certificate_parts.public(certificate_parts.ec_key(0, "SECP256R1")), "EC 256", 3072, None),
        (certificate_parts.public(certificate_parts.ec_key(0, "SECP384R1")), "EC 384", 7680, None),
        (certificate_parts.public(certificate_parts.ec_key(0, "SECP521R1")), "EC 521", 15360, None),
        (certificate_parts.public(ed25519.Ed25519PrivateKey.generate()), "Ed25519", 3072, None),
        (certificate_parts.public(ed448.Ed448PrivateKey.generate()), "Ed448", 7680, None),
        (
            certificate_parts.key_info("1.2.840.113549.1.9.99", tests_der.sequence(), b"x"),
            "of another kind",
            None,
            None,
        ),
    ],
    # Each process makes its own keys, which must all have the same names for a test.
    ids=lambda value: "" if isinstance(value, bytes) else str(value),
)
def test_read_key_has_text_and_rsa_bits(
    key: bytes, words: str, bits: int | None, weakness: str | None
) -> None:
    """NIST SP 800-57 part 1: a curve has the strength of an RSA key."""
    facts = certificate_reader.read(ROOT.leaf(key=key), sanitise)

    assert (facts.key, facts.key_bits, facts.weakness) == (words, bits, weakness)
    assert facts.unreadable == ()


@pytest.mark.parametrize(
    ("curve", "rsa"),
    [
        *((571, 15360), (512, 15360), (511, 7680), (384, 7680), (383, 3072), (250, 3072)),
        *((249, 2048), (224, 2048), (223, 1024), (160, 1024), (159, 512), (0, 512)),
    ],
)
def test_as_strong_follows_nist_table(curve: int, rsa: int) -> None:
    """NIST SP 800-57 part 1, table 2; 250 bits for Curve25519."""
    assert strength.as_strong(curve) == rsa


def test_read_unreadable_key_keeps_weak_signature() -> None:
    """Each attribute is guarded separately."""
    unknown = certificate_parts.key_info(
        "1.2.840.10045.2.1", tests_der.oid("1.3.132.0.99"), b"\4" + bytes(64)
    )
    sha256 = certificate_reader.read(ROOT.leaf(key=unknown), sanitise)
    sha1 = certificate_reader.read(ROOT.leaf(key=unknown, digest="sha1"), sanitise)

    assert (sha256.key, sha256.weakness, sha256.unreadable) == (None, None, ("key",))
    assert (sha1.key, sha1.weakness) == (None, "SHA1 signature")


_RSA_ROOT = certificate_parts.root("RSA Root", certificate_parts.rsa_key(2048), digest="sha1")


@pytest.mark.parametrize(
    ("digest", "weakness"), [("md5", "MD5 signature"), ("sha1", "SHA1 signature"), ("sha256", None)]
)
def test_read_weak_signature_is_named(digest: str, weakness: str | None) -> None:
    """OpenSSL refuses the same at its security level 2."""
    assert certificate_reader.read(_RSA_ROOT.leaf(digest=digest), sanitise).weakness == weakness


def test_read_chain_root_signature_is_not_weak() -> None:
    """The root is the trust anchor, or a self-issued certificate."""
    weak, leaf = _RSA_ROOT.certificate, _RSA_ROOT.leaf()
    sent = certificate_reader.read_chain((leaf, weak), (), sanitise)
    anchored = certificate_reader.read_chain((leaf,), (leaf, weak), sanitise)
    below = certificate_reader.read_chain((leaf,), (leaf, weak, ROOT.certificate), sanitise)

    assert [each.weakness for each in sent.path] == [None, None]
    assert [each.weakness for each in anchored.path] == [None, None]
    assert [each.weakness for each in below.path] == [None, "SHA1 signature", None]


_SUB = ROOT.below("Sub", certificate_parts.ec_key(2))
_OTHER = certificate_parts.root("Other", certificate_parts.ec_key(3))


@pytest.mark.parametrize(
    ("sent", "length"),
    [
        ((_SUB.leaf(), _SUB.certificate, ROOT.certificate), 3),
        ((_SUB.leaf(), ROOT.certificate, _SUB.certificate), 3),
        ((_SUB.leaf(), _OTHER.certificate, _SUB.certificate), 2),
        ((_SUB.leaf(), ROOT.certificate), 1),
        ((_OTHER.certificate, ROOT.certificate), 1),
        ((b"garbage", ROOT.certificate), 1),
        ((_SUB.leaf(), b"garbage", _SUB.certificate), 2),
        ((), 0),
    ],
)
def test_read_chain_unverified_follows_issuer_names(sent: tuple[bytes, ...], length: int) -> None:
    """The certificates may be in any order; a missing issuer ends the chain."""
    chain = certificate_reader.read_chain(sent, (), sanitise)

    assert len(chain.sent) == len(sent)
    assert len(chain.path) == length
    assert not chain.is_verified
    assert chain.defects == ()
    for below, above in pairwise(chain.path):
        assert below.issuer == above.subject


def test_read_chain_circular_issuers_end() -> None:
    """Each certificate is followed once."""
    a = certificate_parts.root(
        "A", certificate_parts.ec_key(4), issuer=certificate_parts.name("B")
    ).certificate
    b = certificate_parts.root(
        "B", certificate_parts.ec_key(5), issuer=certificate_parts.name("A")
    ).certificate

    assert len(certificate_reader.read_chain((a, b), (), sanitise).path) == 2


def test_read_chain_verified_path_is_openssl_s() -> None:
    """Defects are reported only for a verified chain."""
    sub = _SUB._replace(certificate=_SUB.certificate)
    path = (sub.leaf(extensions=()), *[sub.certificate] * 12, ROOT.certificate)
    chain = certificate_reader.read_chain(path[:12], path, sanitise)

    assert (len(chain.sent), chain.left_out, len(chain.path)) == (10, 2, 14)
    assert chain.is_verified
    assert chain.defects == ("certificate has no authority key identifier",)
    assert certificate_reader.read_chain(path[:10], (), sanitise).left_out == 0


@pytest.mark.parametrize(
    ("code", "is_anchored"), [(0, True), (10, True), (2, False), (3, True), (20, False)]
)
def test_read_chain_rejected_is_anchored_unless_no_issuer_was_found(
    code: int, is_anchored: bool
) -> None:
    """X509_V_ERR_* of a path that does not end in the trust store; without a path nothing does."""
    sent = (_SUB.leaf(), _SUB.certificate)

    assert certificate_reader.read_chain(sent, sent, sanitise, code).is_anchored is is_anchored
    assert not certificate_reader.read_chain(sent, (), sanitise, code).is_anchored


def test_read_chain_names_trusted_ca_of_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the trust store, which may have 150 CAs, only those of the missing issuer are read."""
    namesake = certificate_parts.root("Corpus Root", certificate_parts.ec_key(9)).certificate
    sent = (_SUB.leaf(), _SUB.certificate)
    trusted = (_OTHER.certificate, namesake)
    parsed: list[bytes] = []

    def recorded(der: bytes) -> Any:
        parsed.append(der)
        return parse(der)

    monkeypatch.setattr(certificate_reader, "parse", recorded)
    certificate_reader._read.cache_clear()
    chain = certificate_reader.read_chain(sent, sent, sanitise, 20, trusted)

    assert chain.rejection == "the trusted CA CN=Corpus Root has another key"
    assert chain.cure == (
        "put the certificate that the CA uses now into the trust store (--ca-file)"
    )
    assert sorted(parsed) == sorted((*sent, namesake))
    alone = certificate_reader.read_chain((ROOT.leaf(),), (ROOT.leaf(),), sanitise, 20, (namesake,))
    assert alone.rejection == chain.rejection


@pytest.mark.parametrize("sent", [(), (b"garbage",)])
def test_read_chain_without_issuer_names_no_trusted_ca(sent: tuple[bytes, ...]) -> None:
    """Nothing is known of a certificate that is missing or unreadable."""
    chain = certificate_reader.read_chain(sent, sent, sanitise, 20, (ROOT.certificate,))

    assert (chain.rejection, chain.cure) == (None, None)


def test_read_chain_library_warnings_are_ignored() -> None:
    """They are ignored for both functions."""
    negative = ROOT.leaf(serial=tests_der.integer(-6))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("error")
        chain = certificate_reader.read_chain((negative,), (), sanitise)

    assert [each.serial for each in chain.sent] == ["-6"]
    assert heard == []


def test_read_stopped_by_signal_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal is not taken for an unreadable attribute."""

    def stop(_: bytes) -> None:
        raise Stopped

    monkeypatch.setattr(x509, "load_der_x509_certificate", stop)

    facts = certificate_reader.read(ROOT.leaf(serial=tests_der.integer(7)), sanitise)
    with pytest.raises(Stopped):
        _ = facts.subject


def test_read_chain_left_out_certificates_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred certificates cost no more time than ten."""
    read: list[bytes] = []
    reader = certificate_reader._read

    def counted(der: bytes, *others: Any) -> Any:
        read.append(der)
        return reader(der, *others)

    monkeypatch.setattr(certificate_reader, "_read", counted)
    certificate_reader.read_chain(tuple(bytes((number,)) for number in range(100)), (), sanitise)

    assert sorted(read) == [bytes((number,)) for number in range(10)]


MD2 = tests_der.sequence(tests_der.oid("1.2.840.113549.1.1.2"), tests_der.tlv(tests_der.NULL))
BOTH = "subject and issuer"
NO_DATE = tests_der.tlv(tests_der.UTC, b"no date")


@pytest.mark.parametrize(
    ("changes", "fact", "unreadable"),
    [
        ({"inner": MD2, "outer": MD2}, "weakness", ("strength",)),
        ({"issuer": certificate_parts.name(*["x"] * 5000)}, "issuer", ("issuer",)),
        ({"validity": certificate_parts.validity(NO_DATE)}, "not_before", (BOTH, "not before")),
        ({"validity": certificate_parts.validity(-1, NO_DATE)}, "not_after", (BOTH, "not after")),
    ],
)
def test_read_names_unreadable_attributes(
    changes: dict[str, bytes], fact: str, unreadable: tuple[str, ...]
) -> None:
    """The library reads no name beside a broken date; the other facts are read."""
    facts = certificate_reader.read(ROOT.leaf(**changes), sanitise)

    assert getattr(facts, fact) is None
    assert bool(facts.issuer_names) is (fact == "weakness")
    assert (facts.names, facts.key) == (("localhost", "127.0.0.1"), "EC 256")
    assert facts.unreadable == unreadable


def test_read_names_a_library_that_lacks_something(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the certificate that is at fault."""
    monkeypatch.delattr(x509, "load_der_x509_certificate")
    facts = certificate_reader.read(ROOT.leaf(serial=tests_der.integer(8)), sanitise)

    assert facts.unreadable == (
        "subject and issuer (Python module cryptography is too old or broken: update it)",
    )


def test_read_fact_is_read_once() -> None:
    """A sweep asks for it in each of a hundred services with the same certificate."""
    facts = certificate_reader.read(ROOT.leaf(), sanitise)

    assert facts.not_after is facts.not_after


def test_facts_are_equal_for_the_same_certificate() -> None:
    """Whichever of its facts were read, and whoever masks its names."""
    own = ROOT.leaf()
    facts, again = (
        certificate_reader.read(own, each) for each in (sanitise, Masker([b"s3cret"]).sanitise)
    )
    other = certificate_reader.read(ROOT.leaf(serial=tests_der.integer(9)), sanitise)

    assert facts.subject == "CN=localhost"
    assert facts is not again
    assert {facts, again, other} == {facts, other}
    assert facts != CertificateFacts(None, None)


def test_facts_sent_by_a_worker_are_all_there() -> None:
    """A worker of a sweep sends the certificate alone, and its facts are read again if wanted."""
    masker = Masker([b"localhost"])
    facts = certificate_reader.read(ROOT.leaf(), masker.sanitise)
    before = {name: getattr(facts, name) for name in CertificateFacts._fields}
    received = pickle.loads(pickle.dumps(facts))
    masked = received.masked(masker.sanitise)

    assert {name: getattr(masked, name) for name in CertificateFacts._fields} == before
    assert masked.subject == "CN=***"
    assert received.subject == "CN=localhost"


def test_facts_are_masked_before_they_are_cut() -> None:
    """A secret at the end of a long name must not be cut in half."""
    secret = "c4n4ry-secret"
    own = ROOT.leaf(subject=certificate_parts.name("x" * 40 + "y" * 50 + secret))
    facts = certificate_reader.read(own, sanitise).masked(Masker([secret.encode()]).sanitise)

    assert facts.subject is not None
    assert facts.subject.endswith("yyy***")


def test_reader_limits() -> None:
    """The limits on names and certificates are part of the interface."""
    assert (certificate_reader.NAMES_LIMIT, certificate_reader.CHAIN_LIMIT) == (5, 10)


def test_read_host_names_precede_addresses() -> None:
    """An address of an invalid length is not shown."""
    listed = certificate_parts.names(
        certificate_parts.address(b"\x7f\0\0\1"),
        certificate_parts.address(b"odd"),
        certificate_parts.address(bytes(15) + b"\1"),
        certificate_parts.dns("a"),
        tests_der.tagged(6, b"http://x", primitive=True),
        certificate_parts.dns("b<"),
    )
    facts = certificate_reader.read(ROOT.leaf(extensions=ROOT.extensions(names=listed)), sanitise)

    assert facts.names == ("a", "b(", "127.0.0.1", "::1")
    assert facts.names_left_out == 0


@pytest.mark.parametrize(
    ("hosts", "addresses", "shown", "left_out"),
    [(5, 0, 5, 0), (6, 0, 5, 1), (0, 6, 5, 1), (3, 4, 5, 2), (0, 9, 5, 4), (12_000, 9, 5, 11_995)],
)
def test_read_many_names_are_counted(hosts: int, addresses: int, shown: int, left_out: int) -> None:
    """Five are shown; counting ends at twelve thousand."""
    every = (
        *[certificate_parts.dns("a")] * hosts,
        *[certificate_parts.address(bytes(4))] * addresses,
    )
    extensions = ROOT.extensions(names=certificate_parts.names(*every))
    facts = certificate_reader.read(ROOT.leaf(extensions=extensions), sanitise)

    assert (len(facts.names), facts.names_left_out) == (shown, left_out)


def test_read_without_names_extension() -> None:
    """A missing extension is readable, a broken one is not."""
    without = certificate_reader.read(ROOT.leaf(extensions=()), sanitise)
    broken = certificate_parts.extension(
        certificate_parts.NAMES, tests_der.sequence(b"\x82\x09short")
    )
    unreadable = certificate_reader.read(
        ROOT.leaf(extensions=ROOT.extensions(names=broken)), sanitise
    )

    assert (without.names, without.other_names, without.unreadable) == ((), (), ())
    assert (unreadable.names, unreadable.other_names) == ((), None)
    assert unreadable.unreadable == ("names",)


def test_read_names_that_name_no_host_by_their_kinds() -> None:
    """A certificate for e-mail alone has alternative names, but none that a server may have."""
    listed = certificate_parts.names(
        *[tests_der.tagged(1, b"a@b.test", primitive=True)] * 2,
        tests_der.tagged(6, b"pop://localhost/", primitive=True),
        tests_der.tagged(4, certificate_parts.name("localhost")),
        tests_der.tagged(8, b"*", primitive=True),
        certificate_parts.address(b"odd"),
        certificate_parts.address(b"\x7f\0\0\1"),
        certificate_parts.dns("a"),
    )
    facts = certificate_reader.read(ROOT.leaf(extensions=ROOT.extensions(names=listed)), sanitise)

    kinds = ("e-mail", "URI", "directory name", "another kind of name", "malformed address")
    assert facts.other_names == kinds


def test_read_name_limit_is_16_kib() -> None:
    """One byte more is not read."""
    long = "x" * (16 * 1024 - len(certificate_parts.name("x" * 16_000)) + 16_000)
    at_the_limit, over_it = (
        certificate_reader.read(ROOT.leaf(subject=certificate_parts.name(text)), sanitise)
        for text in (long, long + "x")
    )

    assert len(certificate_parts.name(long)) == 16 * 1024
    assert at_the_limit.unreadable == ()
    assert over_it.unreadable == ("subject",)


def pem(der: bytes, title: str = "CERTIFICATE") -> bytes:
    return ssl.DER_cert_to_PEM_cert(der).replace("CERTIFICATE", title).encode()


def test_read_pem_returns_every_certificate() -> None:
    """The old PEM label is read, too; other text is ignored."""
    text = b"# a comment\n" + pem(ROOT.leaf()) + b"\n" + pem(ROOT.certificate, "X509 CERTIFICATE")
    found = certificate_reader.read_pem(text, sanitise)

    assert [each.subject for each in found] == ["CN=localhost", "CN=Corpus Root"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "no certificate"),
        (pem(ROOT.leaf(), "PRIVATE KEY"), "no certificate"),
        (pem(b"garbage"), "."),
        (pem(ROOT.leaf()) + pem(b"garbage"), "."),
    ],
)
def test_read_pem_without_valid_certificate_raises(text: bytes, reason: str) -> None:
    """One broken certificate is enough."""
    with pytest.raises(ValueError, match=rf"^{reason}"):
        certificate_reader.read_pem(text, sanitise)
