"""The TLS policy, flag by flag, and the translation of OpenSSL's errors."""

from __future__ import annotations

import os
import ssl
import warnings
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.settings import Security, TlsPolicy, Verify
from check_pop3_plus.net import tls, tls_errors, transport
from tests.pki.certificates import Pki

V = ssl.TLSVersion


@pytest.fixture(autouse=True)
def no_contexts_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal policies share a context; here each test builds its own."""
    monkeypatch.setattr(tls, "_contexts", {})


def policy(pki: Pki, **changes: Any) -> TlsPolicy:
    ordinary = TlsPolicy(Security.IMPLICIT, name="localhost", ca_file=str(pki.ca_file))
    return ordinary.replace(**changes)


def authorities(pki: Pki) -> int:
    return pki.ca_file.read_text().count("BEGIN CERTIFICATE")


def ciphers(context: ssl.SSLContext) -> set[str]:
    return {each["name"] for each in context.get_ciphers()}


def ssl_error(reason: str | None, text: str = "x") -> ssl.SSLError:
    error = ssl.SSLError(1, text)
    error.reason = reason  # type: ignore[assignment]
    return error


NO_MEMORY = ssl_error(None, "[EVP] malloc failure (_ssl.c:3098)")
NO_MEMORY.library = "EVP"


def test_lack_of_memory_is_not_blamed_on_policy_file_or_server(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL reports it as any other error."""

    def fail(*_: object, **__: object) -> None:
        raise NO_MEMORY

    for owner, name in ((tls, "_ordinary_context"), (ssl.SSLContext, "load_verify_locations")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fail)
            with pytest.raises(ProbeError) as caught:
                tls.context(policy(pki))
        assert (caught.value.kind, caught.value.message) == (Kind.CONFIG, TOO_LITTLE)
    assert tls._unusable("/c", None, NO_MEMORY).message == TOO_LITTLE
    assert tls_errors.translated(NO_MEMORY, None, b"").message == TOO_LITTLE
    assert transport.network_error(NO_MEMORY).message == TOO_LITTLE


TOO_LITTLE = "not enough memory here for TLS"


# --- the policy --------------------------------------------------------------------------------


def test_context_sets_every_flag(pki: Pki) -> None:
    """The flags do not depend on the Python version."""
    made = tls.context(policy(pki))

    assert made.check_hostname
    assert made.verify_mode is ssl.CERT_REQUIRED
    assert made.verify_flags == ssl.VERIFY_X509_TRUSTED_FIRST
    assert not made.hostname_checks_common_name
    assert (made.minimum_version, made.maximum_version) == (V.TLSv1_2, V.MAXIMUM_SUPPORTED)
    assert made.security_level == 2
    assert {each["subject"][0][0][1] for each in made.get_ca_certs()}
    assert made.cert_store_stats()["x509_ca"] == authorities(pki)


@pytest.mark.parametrize(
    ("verify", "checks_name", "mode", "trusts"),
    [
        (Verify.FULL, True, ssl.CERT_REQUIRED, True),
        (Verify.CHAIN, False, ssl.CERT_REQUIRED, True),
        (Verify.NONE, False, ssl.CERT_NONE, False),
    ],
)
def test_context_verify_sets_name_and_chain_checks(
    verify: Verify, checks_name: bool, mode: ssl.VerifyMode, trusts: bool, pki: Pki
) -> None:
    """`chain` ignores the name, `none` everything; then no trust store is loaded."""
    made = tls.context(policy(pki, verify=verify))

    assert (made.check_hostname, made.verify_mode) == (checks_name, mode)
    assert made.cert_store_stats()["x509_ca"] == (authorities(pki) if trusts else 0)


@pytest.mark.parametrize(
    ("minimum", "version", "level"),
    [("1.1", V.TLSv1_1, 0), ("1.2", V.TLSv1_2, 2), ("1.3", V.TLSv1_3, 2)],
)
def test_context_minimum_sets_version_and_security_level(
    minimum: str, version: ssl.TLSVersion, level: int, pki: Pki
) -> None:
    """Only TLS 1.1 uses security level 0."""
    made = tls.context(policy(pki, minimum=minimum))

    assert (made.minimum_version, made.security_level) == (version, level)
    assert made.maximum_version is V.MAXIMUM_SUPPORTED


def test_context_strict_adds_one_flag(pki: Pki) -> None:
    """The other flags stay set."""
    made = tls.context(policy(pki, strict=True))

    assert made.verify_flags == ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_STRICT


def test_context_equal_policies_share_one(pki: Pki) -> None:
    """Loading the trusted certificates takes longer than a handshake."""
    shared = tls.context(policy(pki))

    assert tls.context(policy(pki, name="other", security=Security.STLS, pins=("a",))) is shared
    assert tls.context(policy(pki, strict=True)) is not shared


def test_context_number_kept_is_limited(pki: Pki, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep may have a thousand policies, and a context of the system trust store 1 MB."""
    monkeypatch.setattr(tls, "_CONTEXTS_LIMIT", 2)
    one, two, three = (policy(pki, minimum=each) for each in ("1.1", "1.2", "1.3"))
    made = [tls.context(each) for each in (one, two)]

    assert [tls.known_context(each) for each in (one, two, three)] == [*made, None]
    tls.context(three)
    assert [tls.known_context(each) is None for each in (one, two, three)] == [True, True, False]


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_context_cert_type_offers_only_ciphers_of_this_certificate(kind: str, pki: Pki) -> None:
    """Up to TLS 1.2 the cipher decides which certificate a server sends."""
    made = tls.context(policy(pki, cert_type=kind))
    offered = [each for each in made.get_ciphers() if each["protocol"] != "TLSv1.3"]

    assert (made.minimum_version, made.maximum_version) == (V.TLSv1_2, V.TLSv1_2)
    assert {each["auth"] for each in offered} == {f"auth-{kind}"}
    assert made.security_level == 2
    assert ciphers(made) < ciphers(tls.context(policy(pki)))


def test_context_version_disabled_by_system_is_config(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is not to blame for the policy of this machine."""

    def refuse(_: str) -> ssl.TLSVersion:
        raise ValueError("Unsupported protocol version")

    monkeypatch.setattr(tls, "_version", refuse)

    assert refusal(policy(pki, minimum="1.3")) == (
        "the local OpenSSL policy (openssl.cnf) allows no TLS 1.3 or newer"
    )


def test_context_loads_client_certificate(pki: Pki) -> None:
    """The key may be in a file of its own."""
    made = policy(pki, client_cert=str(pki.client_cert), client_key=str(pki.client_key))

    assert tls.context(made)


@pytest.mark.parametrize(
    ("only", "oldest", "newest"),
    [
        (None, V.TLSv1, V.MAXIMUM_SUPPORTED),
        ("1.0", V.TLSv1, V.TLSv1),
        ("1.1", V.TLSv1_1, V.TLSv1_1),
    ],
)
def test_legacy_context_accepts_everything(
    only: str | None, oldest: ssl.TLSVersion, newest: ssl.TLSVersion
) -> None:
    """It is used for handshakes only."""
    made = tls.legacy_context(only)

    assert (made.check_hostname, made.verify_mode) == (False, ssl.CERT_NONE)
    assert (made.minimum_version, made.maximum_version) == (oldest, newest)
    assert made.security_level == 0
    assert made.options == ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).options | 0x4
    assert ciphers(made) > ciphers(tls.context(TlsPolicy(verify=Verify.NONE)))


@pytest.mark.parametrize("version", [V.TLSv1_2, V.TLSv1_3])
@pytest.mark.parametrize(
    ("mode", "asked"), [(ssl.CERT_OPTIONAL, [True]), (ssl.CERT_NONE, [])], ids=["asked", "not"]
)
def test_asking_context_notices_a_request_for_a_client_certificate(
    mode: ssl.VerifyMode, asked: list[bool], version: ssl.TLSVersion, pki: Pki
) -> None:
    """It is in the handshake alone, which no other function shows."""
    server = pki.server("good", maximum_version=version, verify_mode=mode)
    seen: list[bool] = []
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        tls.asking_context(seen).wrap_bio(to_client, to_server),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for end in (*ends, *ends):
        with suppress(ssl.SSLWantReadError):
            end.do_handshake()

    assert seen == asked


@pytest.mark.parametrize("is_legacy", [True, False])
def test_context_old_versions_cause_no_warning(is_legacy: bool, pki: Pki) -> None:
    """PYTHONWARNINGS would turn a warning into an error."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("error")
        if is_legacy:
            tls.legacy_context("1.0")
        else:
            tls.context(policy(pki, minimum="1.1"))

    assert heard == []


@pytest.mark.parametrize("version", ["1.0", "1.1", "1.2"])
def test_can_offer_reads_the_client_hello(version: str) -> None:
    """The version in the ClientHello decides."""
    assert tls.can_offer(version)


@pytest.mark.parametrize("error", [ValueError("no"), ssl.SSLError(1, "no")])
def test_can_offer_unsupported_version_is_false(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenSSL may have been built without an old version."""

    def refuse(only: str | None = None) -> ssl.SSLContext:
        raise error

    monkeypatch.setattr(tls, "legacy_context", refuse)

    assert not tls.can_offer("1.0")


def test_can_offer_version_disabled_by_system_is_false(monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenSSL then sends a newer version than configured."""
    newer = tls.legacy_context("1.2")
    monkeypatch.setattr(tls, "legacy_context", lambda _: newer)

    assert not tls.can_offer("1.1")
    assert tls.can_offer("1.2")


# --- files -------------------------------------------------------------------------------------


def refusal(made: TlsPolicy) -> str:
    with pytest.raises(ProbeError) as caught:
        tls.context(made)
    assert caught.value.kind is Kind.CONFIG
    return caught.value.message


def test_context_unusable_file_is_config(pki: Pki, tmp_path: Path) -> None:
    """The message has the file and the reason; a FIFO is not opened."""
    empty, fifo, gone = tmp_path / "empty", tmp_path / "fifo", tmp_path / "gone"
    empty.touch()
    os.mkfifo(fifo)
    whole = str(pki.client_cert), str(pki.client_key)

    def trust(**changes: Any) -> str:
        return refusal(policy(pki, ca_file=None).replace(**changes))

    def client(cert: str, key: str | None = None) -> str:
        return refusal(policy(pki, client_cert=cert, client_key=key))

    wrong = "not of the right file type"
    none = "No such file or directory"
    assert trust(ca_file=str(gone)) == f"cannot load CA file {gone}: {none}"
    assert trust(ca_file=str(fifo)) == f"cannot load CA file {fifo}: {wrong}"
    assert trust(ca_file=str(tmp_path)) == f"cannot load CA file {tmp_path}: {wrong}; use --ca-path"
    invalid = "holds no certificate in PEM, or an invalid one"
    assert trust(ca_file=str(empty)) == f"CA file {empty} {invalid}"
    der, bundle = tmp_path / "ca.der", tmp_path / "ca.p7b"
    der.write_bytes(pki.der("good"))
    bundle.write_text("# of a CA\n-----BEGIN PKCS7-----\n")
    cure = "convert it from DER: openssl x509 -inform DER"
    assert trust(ca_file=str(der)) == f"CA file {der} {invalid}; {cure}"
    key = tmp_path / "key.pem"
    key.write_text("-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\n")
    assert trust(ca_file=str(key)) == f"CA file {key} {invalid}; it holds: RSA PRIVATE KEY"
    cure = "convert it: openssl pkcs7 -print_certs"
    assert trust(ca_file=str(bundle)) == f"CA file {bundle} {invalid}; {cure}"
    assert trust(ca_path=str(empty)) == f"cannot load CA directory {empty}: {wrong}; use --ca-file"
    assert trust(ca_path=str(fifo)) == f"cannot load CA directory {fifo}: {wrong}"
    assert client(str(tmp_path)) == f"cannot load client certificate {tmp_path}: {wrong}"
    assert trust(ca_path="a\0b") == "cannot load CA directory a?b: ValueError"
    assert client(str(gone)) == f"cannot load client certificate {gone}: {none}"
    assert client(str(fifo)) == f"cannot load client certificate {fifo}: {wrong}"
    assert client(whole[0], str(fifo)) == f"cannot load client key {fifo}: {wrong}"
    unfit = f"cannot load client certificate {whole[0]}: "
    other = str(pki.files("good")[1])
    assert client(whole[0], other) == f"{unfit}the key does not belong to it"
    missing = "no certificate in it, or no private key in {} (--client-key)"
    assert client(whole[0]) == unfit + missing.format(whole[0])
    assert client(whole[0], str(empty)) == unfit + missing.format(empty)


WEAK = "it is too weak for TLS (key or signature)"


@pytest.mark.parametrize(
    ("number", "code", "reason"),
    [
        (13, None, "Permission denied"),
        (1, "EE_KEY_TOO_SMALL", WEAK),
        (1, "CA_KEY_TOO_SMALL", WEAK),
        (1, "CA_MD_TOO_WEAK", WEAK),
    ],
)
def test_context_refused_client_certificate_names_reason(
    number: int, code: str | None, reason: str, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is that of the operating system, or of OpenSSL in our words."""

    def refuse(*_: object, **__: object) -> None:
        raise ssl_error(code) if code else OSError(number, reason)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", refuse)

    file = str(pki.client_cert)
    assert refusal(policy(pki, client_cert=file)) == (
        f"cannot load client certificate {file}: {reason}"
    )


@pytest.mark.parametrize("is_separate", [True, False])
def test_context_client_key_that_others_can_read_is_config(
    is_separate: bool, pki: Pki, tmp_path: Path
) -> None:
    """The key is secret, in a file of its own or together with the certificate."""
    key = tmp_path / "client.pem"
    both = pki.client_cert.read_text() + pki.client_key.read_text()
    key.write_text(pki.client_key.read_text() if is_separate else both)
    key.chmod(0o644)
    cert = str(pki.client_cert) if is_separate else str(key)
    message = refusal(policy(pki, client_cert=cert, client_key=str(key) if is_separate else None))

    assert message.startswith(f"client key {key} must be mode 0600, or 0640 for a group")


def test_context_ca_path_is_used(pki: Pki, tmp_path: Path) -> None:
    """OpenSSL reads single certificates from it; a directory without hashed names is config."""
    message = refusal(policy(pki, ca_file=None, ca_path=str(tmp_path)))
    assert message.endswith(": it is empty")
    (tmp_path / "ca.pem").touch()
    message = refusal(policy(pki, ca_file=None, ca_path=str(tmp_path)))
    assert message.endswith("it has no hashed names (run: openssl rehash)")
    (tmp_path / "0123abcd.0").symlink_to(tmp_path / "gone")
    message = refusal(policy(pki, ca_file=None, ca_path=str(tmp_path)))
    assert message.endswith("its hashed names (1) are broken links or unreadable")
    (tmp_path / "0123abcd.1").symlink_to(pki.ca_file)

    assert tls.context(policy(pki, ca_file=None, ca_path=str(tmp_path)))


# --- chains ------------------------------------------------------------------------------------


class Sent:
    """A certificate of the private object in Python before 3.13."""

    def __init__(self, der: bytes) -> None:
        self.der = der

    def public_bytes(self, form: int) -> bytes:
        import _ssl

        assert form == _ssl.ENCODING_DER
        return self.der


def socket_with(is_public: bool, mode: int = 1, **chains: list[bytes] | None) -> ssl.SSLSocket:
    """A socket of Python 3.13, or of one before."""

    def method(found: list[bytes] | None) -> Any:
        if is_public or found is None:
            return lambda: found
        return lambda: [Sent(each) for each in found]

    methods = {name: method(found) for name, found in chains.items()}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.VerifyMode(mode)
    context.minimum_version = V.TLSv1_2
    if is_public:
        made = SimpleNamespace(context=context, **methods)
    else:
        made = SimpleNamespace(context=context, _sslobj=SimpleNamespace(**methods))
    return cast(ssl.SSLSocket, made)


@pytest.mark.parametrize("is_public", [True, False])
def test_chain_is_read_on_every_python_version(is_public: bool) -> None:
    """The methods are public from Python 3.13 on."""
    chains: dict[str, Any] = {
        "get_unverified_chain": [b"leaf"],
        "get_verified_chain": [b"leaf", b"root"],
    }

    assert tls_errors.sent_chain(socket_with(is_public, **chains)) == (b"leaf",)
    assert tls_errors.verified_path(socket_with(is_public, **chains)) == (b"leaf", b"root")
    assert tls_errors.verified_path(socket_with(is_public, 0, **chains)) == ()
    assert tls_errors.sent_chain(socket_with(is_public, get_unverified_chain=None)) == ()


# --- errors ------------------------------------------------------------------------------------

NO_CHAIN = socket_with(True, get_unverified_chain=[], get_verified_chain=[])
WITH_CHAIN = socket_with(True, get_unverified_chain=[b"leaf"], get_verified_chain=[b"leaf"])


def verification_error(code: int, words: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "x")
    error.verify_code, error.verify_message = code, words
    return error


REISSUE = "reissue the certificate, or have the certificate of its issuer corrected"
ADD_ROOT = "add the root certificate of the CA to the trust store (--ca-file)"
TRUST_IT = "install a certificate of a CA, or trust this one with --ca-file"
REFUSED = "certificate refused: as (it) says"
NOT_STRICT = "certificate violates RFC 5280: as (it) says"


@pytest.mark.parametrize(
    ("code", "kind", "message", "cure"),
    [
        (1, Kind.UNTRUSTED, REFUSED, REISSUE),
        (2, Kind.UNTRUSTED, "root of the trusted intermediate is missing", ADD_ROOT),
        (7, Kind.UNTRUSTED, "bad signature", REISSUE),
        (9, Kind.NOT_YET_VALID, "certificate is not yet valid", None),
        (10, Kind.EXPIRED, "certificate has expired", None),
        (18, Kind.UNTRUSTED, "certificate is self-signed", TRUST_IT),
        (19, Kind.UNTRUSTED, "root certificate in the chain is not trusted", None),
        (20, Kind.UNTRUSTED, "issuer is not trusted", None),
        (21, Kind.UNTRUSTED, "issuer is not trusted", None),
        (62, Kind.NAME, "certificate is for another name", None),
        (64, Kind.NAME, "certificate is for another address", None),
        (66, Kind.WEAK, "key of the certificate is too weak", None),
        (67, Kind.WEAK, "key of an issuer is too weak", None),
        (68, Kind.WEAK, "signature algorithm is too weak", None),
        (78, Kind.NOT_STRICT, NOT_STRICT, None),
        (79, Kind.UNTRUSTED, REFUSED, REISSUE),
        (80, Kind.NOT_STRICT, NOT_STRICT, None),
        (93, Kind.NOT_STRICT, NOT_STRICT, None),
        (94, Kind.UNTRUSTED, REFUSED, REISSUE),
    ],
)
def test_rejected_translates_verify_code(
    code: int, kind: Kind, message: str, cure: str | None
) -> None:
    """Faults 30 to 37: any other code is untrusted; a cure where the kind has none that fits."""
    error = tls_errors.rejected(verification_error(code, "as <it> says"), WITH_CHAIN)

    assert isinstance(error, tls_errors.CertificateRejected)
    assert (error.kind, error.message, error.tls.sent) == (kind, message, (b"leaf",))
    assert not error.tls.verified
    assert (error.verify_code, error.cure) == (code, cure)


def test_rejected_without_memory_is_config() -> None:
    """The certificate is not at fault."""
    error = tls_errors.rejected(verification_error(17, "out of memory"), WITH_CHAIN)

    assert (error.kind, error.message) == (Kind.CONFIG, "no memory to verify the certificate")


@pytest.mark.parametrize(("code", "is_needed"), [(20, True), (10, False)])
def test_rejected_has_trusted_certificates_where_no_issuer_was_found(
    code: int, is_needed: bool, pki: Pki
) -> None:
    """One of them may have the name of the issuer, but another key."""
    tls_socket = socket_with(True, get_unverified_chain=[], get_verified_chain=[])
    tls_socket.context.load_verify_locations(pki.ca_file)
    error = tls_errors.rejected(verification_error(code, "x"), tls_socket)

    assert isinstance(error, tls_errors.CertificateRejected)
    assert len(error.tls.trusted) == (authorities(pki) if is_needed else 0)
    assert all(each.startswith(b"\x30") for each in error.tls.trusted)


def translated(error: OSError, tls_socket: ssl.SSLSocket | None = None) -> ProbeError:
    return tls_errors.translated(error, tls_socket, b"localhost")


CLIENT = "demands a client certificate that it accepts"
OLD = "speaks only TLS 1.1 or older; --tls-min is 1.2"
IN_CLEAR = "answers in plain text, TLS expected"
BROKEN = "sent a certificate that cannot be decoded"


@pytest.mark.parametrize(
    ("reason", "kind", "message"),
    [
        *(
            (reason, Kind.OLD_TLS, OLD)
            for reason in (
                "UNSUPPORTED_PROTOCOL",
                "TLSV1_ALERT_PROTOCOL_VERSION",
                "VERSION_TOO_LOW",
                "WRONG_SSL_VERSION",
            )
        ),
        (
            "TLSV1_ALERT_INSUFFICIENT_SECURITY",
            Kind.OLD_TLS,
            "shares no cipher that is strong enough",
        ),
        ("DH_KEY_TOO_SMALL", Kind.OLD_TLS, "uses a Diffie-Hellman key that is too small"),
        (
            "LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED",
            Kind.OLD_TLS,
            "offers only old signature algorithms",
        ),
        (
            "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
            Kind.OLD_TLS,
            "has no secure renegotiation (RFC 5746)",
        ),
        ("WRONG_VERSION_NUMBER", Kind.TLS, IN_CLEAR),
        ("HTTP_REQUEST", Kind.TLS, IN_CLEAR),
        ("PACKET_LENGTH_TOO_LONG", Kind.TLS, IN_CLEAR),
        ("CERT_LENGTH_MISMATCH", Kind.TLS, BROKEN),
        ("UNEXPECTED_EOF_WHILE_READING", Kind.CLOSED, "closed the connection"),
        (
            "SSLV3_ALERT_HANDSHAKE_FAILURE",
            Kind.TLS,
            "failed the TLS handshake: handshake failure (alert 40)",
        ),
        (
            "TLSV1_ALERT_INTERNAL_ERROR",
            Kind.TLS,
            "failed the TLS handshake: internal error of the server (alert 80)",
        ),
        (None, Kind.TLS, "failed the TLS handshake: unknown reason"),
    ],
)
def test_translated_returns_kind_of_openssl_reason(
    reason: str | None, kind: Kind, message: str
) -> None:
    """Faults 10, 29, 33, 40 and 91."""
    error = translated(ssl_error(reason), NO_CHAIN)

    assert (error.kind, error.message) == (kind, message)


@pytest.mark.parametrize(
    ("tls", "said"), [(NO_CHAIN, "failed the TLS handshake"), (None, "ended the TLS session")]
)
def test_translated_alert_without_a_name_proves_tls(tls: ssl.SSLSocket | None, said: str) -> None:
    """OpenSSL names all errors of its own, but not all alerts (ech_required, 121)."""
    error = translated(ssl.SSLError(1, "[SSL] unknown error (_ssl.c:1006)"), tls)

    assert (error.kind, error.message) == (Kind.TLS, f"{said}: unknown alert")
    assert "speaks TLS" in str(error.cure)


@pytest.mark.parametrize(
    "alert",
    [
        *("SSLV3_ALERT_BAD_CERTIFICATE", "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE"),
        *("SSLV3_ALERT_CERTIFICATE_REVOKED", "SSLV3_ALERT_CERTIFICATE_EXPIRED"),
        *("SSLV3_ALERT_CERTIFICATE_UNKNOWN", "TLSV1_ALERT_UNKNOWN_CA"),
        *("TLSV1_ALERT_ACCESS_DENIED", "SSLV3_ALERT_HANDSHAKE_FAILURE"),
    ],
)
def test_translated_alert_about_a_certificate_has_a_reason_after_that_of_the_server(
    alert: str,
) -> None:
    """Fault 92: before, it cannot be about ours; after, a second handshake may tell."""
    before = translated(ssl_error(alert), NO_CHAIN)
    during, after = (translated(ssl_error(alert), tls) for tls in (WITH_CHAIN, None))

    assert {each.kind for each in (before, during, after)} == {Kind.TLS}
    assert before.reason is None
    assert before.message == during.message
    assert {during.reason, after.reason} < tls_errors.ABOUT_CLIENT_CERTIFICATE
    assert after.message.startswith(f"ended the TLS session: {after.reason} (alert 4")


@pytest.mark.parametrize(
    ("alert", "number", "cure"),
    [
        (
            "UNEXPECTED_MESSAGE",
            10,
            "the server speaks TLS but refuses this handshake: check its log",
        ),
        ("BAD_RECORD_MAC", 20, "the server speaks TLS"),
        ("DECRYPTION_FAILED", 21, "the server speaks TLS"),
        ("NO_CERTIFICATE", 41, "the server speaks TLS"),
        ("EXPORT_RESTRICTION", 60, "the server speaks TLS"),
        ("INAPPROPRIATE_FALLBACK", 86, "the server speaks TLS"),
        ("MISSING_EXTENSION", 109, "the server speaks TLS"),
        ("CERTIFICATE_REQUIRED", 116, "the server speaks TLS"),
        (
            *("HANDSHAKE_FAILURE", 40),
            "no common TLS version or cipher, or the server is misconfigured",
        ),
        (
            *("INTERNAL_ERROR", 80),
            "an internal error of the server: check its log; behind a proxy, whether only one side"
            " uses the PROXY protocol",
        ),
        (
            *("UNRECOGNIZED_NAME", 112),
            "the server has no certificate for this name: check -H and --sni",
        ),
        (
            *("UNKNOWN_PSK_IDENTITY", 115),
            "the server wants pre-shared keys: check its TLS settings",
        ),
        (
            *("NO_APPLICATION_PROTOCOL", 120),
            "the server wants ALPN: another service behind this port?",
        ),
    ],
)
def test_translated_alert_has_number_and_cure(alert: str, number: int, cure: str) -> None:
    """RFC 8446 section 6; Python has no names for newer alerts, only their text."""
    text = f"[SSL] tlsv13 alert {alert.replace('_', ' ').lower()} (_ssl.c:1000)"
    named, unnamed = ssl_error(f"TLSV1_ALERT_{alert}"), ssl_error(None, text)

    for error in (translated(named, NO_CHAIN), translated(unnamed, NO_CHAIN)):
        assert error.kind is Kind.TLS
        assert error.message.endswith(f" (alert {number})")
        assert (error.cure or "").startswith(cure)


@pytest.mark.parametrize(
    ("alert", "shown"),
    [
        ("UNRECOGNIZED_NAME", "unrecognized name: check --sni"),
        ("INTERNAL_ERROR", "internal error of the server"),
    ],
)
def test_translated_alert_says_what_is_meant(alert: str, shown: str) -> None:
    """The name of the alert alone would be taken for an error of ours."""
    message = translated(ssl_error(f"TLSV1_{alert}"), NO_CHAIN).message

    assert message.startswith(f"failed the TLS handshake: {shown} (alert ")


@pytest.mark.parametrize(
    ("minimum", "message", "cure"),
    [
        (V.TLSv1, "speaks only old TLS; --tls-min is 1.0", None),
        (V.TLSv1_1, "speaks only TLS 1.0 or older; --tls-min is 1.1", None),
        (V.TLSv1_2, OLD, None),
        (
            *(V.TLSv1_3, "speaks no TLS 1.3; --tls-min is 1.3"),
            "enable TLS 1.3 on the server, or lower --tls-min",
        ),
    ],
)
def test_translated_old_version_names_the_minimum(
    minimum: ssl.TLSVersion, message: str, cure: str | None
) -> None:
    """Fault 33: what the server speaks follows from what was refused."""
    tls_socket = socket_with(True, get_unverified_chain=[])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tls_socket.context.minimum_version = minimum
    error = translated(ssl_error("UNSUPPORTED_PROTOCOL"), tls_socket)

    assert (error.kind, error.message, error.cure) == (Kind.OLD_TLS, message, cure)
    assert error.reason == "wrong version"


@pytest.mark.parametrize("alert", ["PROTOCOL_VERSION", "INSUFFICIENT_SECURITY"])
def test_translated_alert_after_handshake_does_not_blame_the_version(alert: str) -> None:
    """A version and a cipher were found."""
    assert translated(ssl_error(f"TLSV1_ALERT_{alert}"), None).kind is Kind.TLS


@pytest.mark.parametrize(
    ("reason", "cure"),
    [
        (
            *("UNSAFE_LEGACY_RENEGOTIATION_DISABLED",),
            "update the TLS library of the server: it lacks RFC 5746",
        ),
        (
            *("DH_KEY_TOO_SMALL",),
            "give the server a Diffie-Hellman group of 2048 bits, or enable ECDHE",
        ),
        (
            *("INSUFFICIENT_SECURITY",),
            "compare the ciphers of the server with those that this machine allows"
            " (openssl ciphers)",
        ),
        (
            "LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED",
            "update the TLS library of the server: it signs handshakes with SHA-1 or MD5",
        ),
    ],
)
def test_translated_old_tls_has_its_cure(reason: str, cure: str) -> None:
    """A newer version of TLS would not help."""
    assert translated(ssl_error(reason), NO_CHAIN).cure == cure


@pytest.mark.parametrize(
    ("reason", "is_local"),
    [
        ("SSLV3_ALERT_HANDSHAKE_FAILURE", True),
        ("TLSV1_ALERT_INSUFFICIENT_SECURITY", True),
        ("WRONG_SIGNATURE_TYPE", True),
        ("BAD_RECORD_TYPE", False),
    ],
)
def test_translated_refusal_of_what_the_local_policy_leaves_is_config(
    reason: str, is_local: bool
) -> None:
    """Fault 77: no server takes this ClientHello; but not every error is a refusal of it."""
    tls_socket = socket_with(True, get_unverified_chain=[])
    tls_socket.context.check_hostname = True
    try:
        tls_socket.context.set_ecdh_curve("X448")
    except ssl.SSLError:
        pytest.skip("this Python knows no X448, as 3.11.2 of Debian 12")
    error = translated(ssl_error(reason), tls_socket)

    assert (error.kind is Kind.CONFIG) is is_local
    if is_local:
        assert error.message == (
            "the local OpenSSL policy (openssl.cnf) allows no common key exchange group (Groups)"
        )


@pytest.mark.parametrize(
    ("reason", "shown"),
    [("NO_PROTOCOLS_AVAILABLE", "no protocols available"), (None, "unknown reason")],
)
def test_translated_local_policy_without_any_handshake_is_config(
    reason: str | None, shown: str
) -> None:
    """Fault 77: no ClientHello is sent, whatever the server is."""

    def refuse(*_: object, server_hostname: bytes) -> None:
        assert server_hostname == b"localhost"
        raise ssl_error(reason)

    made = SimpleNamespace(
        context=SimpleNamespace(wrap_bio=refuse), get_unverified_chain=lambda: None
    )
    error = translated(ssl_error("X"), cast(ssl.SSLSocket, made))

    assert error.kind is Kind.CONFIG
    assert error.message == (f"the local OpenSSL policy (openssl.cnf) allows no handshake: {shown}")


def test_translated_certificate_required_is_client_certificate() -> None:
    """The alert itself says that a certificate was requested (RFC 8446 section 6.2)."""
    error = ssl_error("TLSV13_ALERT_CERTIFICATE_REQUIRED")

    assert translated(error).message == CLIENT
    assert translated(error, WITH_CHAIN).kind is Kind.CLIENT_CERTIFICATE
    assert translated(error, NO_CHAIN).kind is Kind.TLS


def test_translated_unnamed_reason_is_read_from_text() -> None:
    """Fault 38: OpenSSL has no name for it."""
    undecodable = ssl_error(None, "[ASN1: X] ASN1 lib (_ssl.c:1)")

    assert translated(undecodable, NO_CHAIN).message == BROKEN


def test_translated_after_handshake_is_broken_tls() -> None:
    """The message does not mention the handshake."""
    assert translated(ssl_error("BAD_RECORD_TYPE")).message == ("sent broken TLS: bad record type")


@pytest.mark.parametrize(
    ("error", "is_eof", "is_want_read"),
    [
        (ssl.SSLEOFError(8, "x"), True, False),
        (ssl.SSLZeroReturnError(6, "x"), True, False),
        (ssl_error("UNEXPECTED_EOF_WHILE_READING"), True, False),
        (ssl.SSLWantReadError(2, "x"), False, True),
        (ssl.SSLWantWriteError(3, "x"), False, True),
        (ssl_error("X"), False, False),
        (OSError(1, "x"), False, False),
    ],
)
def test_is_eof_and_is_want_read(error: OSError, is_eof: bool, is_want_read: bool) -> None:
    """They are the end of a connection, and no data yet."""
    assert (tls_errors.is_eof(error), tls_errors.is_want_read(error)) == (is_eof, is_want_read)
