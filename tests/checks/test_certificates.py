"""Issuers in the chain and assertions on certificates, against live servers."""

from __future__ import annotations

import base64
import hashlib
import re
import ssl
from collections.abc import Sequence
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from check_pop3_plus.certificate import rfc5280_rules
from check_pop3_plus.certificate.der import parse
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.net import trust_store
from check_pop3_plus.options import validators
from tests.pki.certificates import INTERMEDIATE_DAYS, Pki
from tests.servers.scripted_server import PoliteServer, ScriptedServer, expect, say
from tests.support.command import Run, run
from tests.support.faults import CANARY, check, flags, kinds

MODES = ("tls", "stls")


def checked(name: str, pki: Pki, *options: str, mode: str = "tls", login: bool = False) -> Run:
    """Check a polite server that shows this certificate."""
    context = pki.server(name)
    server = (
        PoliteServer({"monitor": CANARY}, tls=context)
        if mode == "tls"
        else PoliteServer({"monitor": CANARY}, stls=context)
    )
    with server:
        return check(server, *flags(mode, pki, login), *options)


def said(done: Run, label: str) -> list[str]:
    return [line for line in done.long if line.startswith(f"{label}: ")]


def loaded(pki: Pki, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pki.files(name)[0].read_bytes())


# --- dates of issuers --------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("threshold", "state", "limits"),
    [
        pytest.param("60", 1, ";60:", marks=pytest.mark.fault(32, case="warning")),
        pytest.param("60,14", 2, ";60:;14:", marks=pytest.mark.fault(32, case="critical")),
        ("2", 0, ";2:"),
        ("10%", 1, ";36.6:"),
    ],
)
def test_intermediate_expiring_first_is_evaluated_by_thresholds(
    threshold: str, state: int, limits: str, mode: str, pki: Pki
) -> None:
    """Fault 32: the thresholds of the server certificate apply to it."""
    done = checked("intermediate_expiring", pki, "-D", threshold, mode=mode)

    assert done.code == state, done.out
    days, _, shown = done.perfdata["chain_days"].partition(";")
    assert float(days) == pytest.approx(INTERMEDIATE_DAYS, abs=0.02)
    assert f";{shown}" == limits
    assert float(done.perfdata["cert_days"].partition(";")[0]) == pytest.approx(365, abs=0.02)
    if state:
        assert kinds(done) == ["expiring"]
        assert re.search(
            r" - issuer CN=Odd CA of the certificate expires in 2 days, on 20",
            done.verdict,
        )


def test_certificate_expiring_first_is_shown(pki: Pki) -> None:
    """Line 1 names the issuer only where it expires before the server certificate."""
    pki.expiring(5, 90)

    assert " issuer CN=Odd CA of the " in checked("intermediate_expiring", pki, "-D", "60").verdict
    assert "issuer" not in checked("expiring-5-90", pki, "-D", "60").verdict


def test_issuer_without_thresholds_is_only_measured(pki: Pki) -> None:
    """As for the server certificate, there is no state without -D."""
    done = checked("intermediate_expiring", pki)

    assert done.code == 0, done.out
    assert float(done.perfdata["chain_days"]) == pytest.approx(INTERMEDIATE_DAYS, abs=0.02)


def test_issuer_expired_is_named(pki: Pki) -> None:
    """Fault 30: the message says that an issuer has expired, not the server certificate."""
    done = checked("intermediate_expired", pki, login=True)

    assert done.code == 2
    assert kinds(done) == ["expired"]
    assert re.search(
        r" - issuer CN=Odd CA of the certificate expired 2 days ago, on 20",
        done.verdict,
    )


@pytest.mark.parametrize(
    ("name", "options", "kind"),
    [
        ("intermediate_expiring", ("-D", "30"), "expiring"),
        ("intermediate_expired", ("-D", "30"), "expired"),
        ("intermediate_expired", (), None),
    ],
)
def test_issuers_unverified_follow_names(
    name: str, options: Sequence[str], kind: str | None, pki: Pki
) -> None:
    """Without verification the chain is linked by names; dates count only with -D."""
    done = checked(name, pki, "--verify", "none", *options)

    assert kinds(done) == ([kind] if kind else []), done.out
    assert "chain_days" in done.perfdata


@pytest.mark.parametrize("name", ["extra", "extra_expired"])
def test_unnecessary_certificate_is_only_reported(name: str, pki: Pki) -> None:
    """Its expiry affects no client, so it causes no alarm."""
    done = checked(name, pki, "-D", "60,30", "-v")

    assert done.code == 0, done.out
    assert float(done.perfdata["chain_days"].partition(";")[0]) == pytest.approx(365, abs=0.02)
    [line] = said(done, "chain")
    assert line.startswith("chain: certificate 2 (")
    assert (" is not needed, expired 2 days ago" in line) == (name == "extra_expired")


def test_chain_without_intermediate_has_no_chain_days(pki: Pki) -> None:
    """The root is not counted: the server's administrator cannot renew it."""
    assert "chain_days" not in checked("good", pki, "-D", "60").perfdata


# --- how the chain was sent --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("root_sent", r"chain: root certificate 2 \(.*\) is unnecessary"),
        ("wrong_order", r"chain: wrong order, expected 0, 2, 1"),
        ("sent_twice", r"chain: certificate 2 was sent before"),
    ],
)
@pytest.mark.parametrize("verify", ["full", "none"])
def test_chain_deviations_are_shown_with_v_only(
    name: str, line: str, verify: str, pki: Pki
) -> None:
    """Harmless deviations are shown only in the long output."""
    done = checked(name, pki, "-v", "--verify", verify)

    assert done.code == 0, done.out
    assert any(re.fullmatch(line, shown) for shown in said(done, "chain")), done.out
    assert checked(name, pki, "--verify", verify).long == []


def test_intermediate_missing_is_named(pki: Pki) -> None:
    """Fault 34: the issuer whose certificate is missing, and the trust store that has it not."""
    done = checked("nochain", pki)

    assert kinds(done) == ["untrusted"]
    assert " unknown, server sent 1 certificate (" in done.verdict
    issuer = sanitise(loaded(pki, "nochain").issuer.rfc4514_string())
    assert f"not trusted: issuer {issuer} unknown" in done.verdict
    assert said(done, "issuer") == []
    assert said(done, "trust store") == [f"trust store: {pki.ca_file}"]


def test_certificate_untrusted_by_the_system_names_its_store(pki: Pki) -> None:
    """The file or directory that was searched, as it differs between distributions and Pythons."""
    with PoliteServer({}, tls=pki.server("good")) as server:
        done = run("-H", "127.0.0.1", "-p", str(server.port), "-S")

    assert kinds(done) == ["untrusted"]
    [line] = said(done, "trust store")
    assert line == f"trust store: the system trust store ({trust_store.described()})"
    assert "(/" in line


def test_intermediate_from_trust_store_is_named(pki: Pki, tmp_path: Path) -> None:
    """Clients without this intermediate in their store cannot verify the chain."""
    own, intermediate = pki.files("chain")[0].read_text().split("-----END CERTIFICATE-----\n")[:2]
    end = "-----END CERTIFICATE-----\n"
    alone, store = tmp_path / "alone.pem", tmp_path / "store.pem"
    alone.write_text(own + end)
    store.write_text(pki.ca_file.read_text() + intermediate + end)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(alone, pki.files("chain")[1])
    with PoliteServer({}, tls=context) as server:
        done = check(server, "-S", "-v", "--ca-file", str(store))

    assert done.code == 0, done.out
    [line] = said(done, "chain")
    assert line.endswith(" was not sent, other clients may lack it")


# --- RFC 5280 ----------------------------------------------------------------------------------

NOT_STRICT = [
    ("no_authority_key", "certificate has no authority key identifier"),
    ("ca_not_critical", "issuer 1 has basic constraints that are not critical"),
    ("ca_no_key_usage", "issuer 1 has no key usage"),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("name", "defect"),
    [
        pytest.param(*NOT_STRICT[0], marks=pytest.mark.fault(37, case="no AKI")),
        pytest.param(*NOT_STRICT[1], marks=pytest.mark.fault(37, case="CA not critical")),
        NOT_STRICT[2],
    ],
)
def test_rfc5280_violation_is_a_note(name: str, defect: str, mode: str, pki: Pki) -> None:
    """Fault 37: the user may give the note a state."""
    done = checked(name, pki, "-v", mode=mode)
    warned = checked(name, pki, "--state", "not-strict=warning", mode=mode)

    assert done.code == 0, done.out
    assert said(done, "note") == [f"note: not-strict: certificate violates RFC 5280: {defect}"]
    assert checked(name, pki, mode=mode).long == []
    assert (warned.code, kinds(warned)) == (1, ["not-strict"])
    assert defect in warned.verdict


@pytest.mark.threat("T25")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "defect"), NOT_STRICT)
def test_x509_strict_rejects_before_first_byte(name: str, defect: str, mode: str, pki: Pki) -> None:
    """Fault 37: with `--x509-strict` OpenSSL rejects the chain; the state can be changed."""
    done = checked(name, pki, "--x509-strict", mode=mode, login=True)
    changed = checked(name, pki, "--x509-strict", "--state", "not-strict=warning", mode=mode)

    assert done.code == 2, done.out
    assert kinds(done) == ["not-strict"]
    assert "certificate violates RFC 5280: " in done.verdict
    assert (changed.code, kinds(changed)) == (1, ["not-strict"])


@pytest.mark.parametrize(
    "name", ["good", "chain", "many_names", "wildcard", "intermediate_expiring"]
)
def test_x509_strict_conforming_chain_passes(name: str, pki: Pki) -> None:
    """A conforming chain is OK with and without the option."""
    sni = ("--sni", "mail.example.test") if name == "wildcard" else ()

    assert checked(name, pki, "--x509-strict", *sni).code == 0
    assert not said(checked(name, pki, "-v", *sni), "note")


def test_x509_strict_trusted_self_signed_passes(pki: Pki) -> None:
    """OpenSSL applies hardly any rule to a trust anchor."""
    own = loaded(pki, "selfsigned").public_bytes(Encoding.DER)

    assert rfc5280_rules.defects([parse(own)]) == ()


# --- what the user says of the certificate -----------------------------------------------------


def pins(pki: Pki, name: str) -> dict[str, str]:
    """Return the ways to write the pins of a certificate, made by the standard library alone."""
    own = loaded(pki, name)
    whole = hashlib.sha256(own.public_bytes(Encoding.DER))
    public = own.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    key = hashlib.sha256(public)
    return {
        "certificate": f"sha256:{whole.hexdigest()}",
        "colons": f"sha256:{whole.digest().hex(':').upper()}",
        "base64": f"sha256:{base64.b64encode(whole.digest()).decode()}",
        "public key": f"sha256:{key.hexdigest()}",
        "curl": f"sha256//{base64.b64encode(key.digest()).decode()}",
    }


@pytest.mark.parametrize("how", ["certificate", "colons", "base64", "public key", "curl"])
def test_pin_matching_passes(how: str, pki: Pki) -> None:
    """The hash of certificate or key in hexadecimal or base64; one of several must match."""
    other = "sha256:" + 64 * "0"

    assert checked("good", pki, "--pin", pins(pki, "good")[how]).code == 0
    assert checked("good", pki, "--pin", other, "--pin", pins(pki, "good")[how]).code == 0


@pytest.mark.parametrize("mode", MODES)
def test_pin_mismatch_sends_nothing(mode: str, pki: Pki) -> None:
    """Nothing is sent to a verified server with another pin; both hashes are shown."""
    good = pki.server("good")
    server = (
        ScriptedServer([say(b"+OK\r\n"), expect()], tls=good)
        if mode == "tls"
        else PoliteServer({}, stls=good)
    )
    with server:
        done = check(server, *flags(mode, pki, login=True), "--pin", pins(pki, "rsa")["public key"])

    assert (done.code, kinds(done)) == (2, ["pin"])
    assert "certificate does not match --pin" in done.verdict
    assert set(pins(pki, "good").values()) & {line.split(" ")[-1] for line in done.long}
    assert server.received_in_tls == b""
    assert b"USER" not in server.received


def test_pin_base64_starting_with_slash_is_accepted() -> None:
    """`sha256:/...` is not curl's `sha256//...`."""
    digest = b"\xff" * 32
    encoded = base64.b64encode(digest).decode()

    assert encoded.startswith("/")
    assert (
        validators.pin(f"sha256:{encoded}") == validators.pin(f"sha256//{encoded}") == digest.hex()
    )


def test_pin_without_verification_is_compared(pki: Pki) -> None:
    """A private certificate can be identified by its hash alone."""
    options = ("--verify", "none", "--pin")

    assert checked("selfsigned", pki, *options, pins(pki, "selfsigned")["certificate"]).code == 0
    assert kinds(checked("selfsigned", pki, *options, pins(pki, "good")["certificate"])) == ["pin"]


@pytest.mark.parametrize("text", ["trustme", "TRUSTME", "Testing CA", "O=trustme"])
def test_issuer_matching_part_of_name_passes(text: str, pki: Pki) -> None:
    """The text may be any part of the name, in any letter case, with or without the attribute."""
    assert checked("good", pki, "--issuer", text).code == 0


def test_issuer_matching_root_passes(pki: Pki) -> None:
    """Any CA in the chain may match."""
    assert checked("root_sent", pki, "--issuer", "trustme").code == 0
    assert checked("root_sent", pki, "--issuer", "Odd CA").code == 0


def test_issuer_mismatch_is_named(pki: Pki) -> None:
    """The message has the expected and the actual issuer."""
    done = checked("good", pki, "--issuer", "Let's Encrypt")

    assert (done.code, kinds(done)) == (2, ["issuer"])
    assert re.search(r" is from OU=.*O=trustme.*, not from Let.s Encrypt ", done.verdict)


def test_expect_cert_file_matching_passes(pki: Pki) -> None:
    """The file may also contain the chain."""
    file = str(pki.files("chain")[0])

    assert checked("chain", pki, "--expect-cert-file", file).code == 0


def test_expect_cert_file_not_deployed_is_reported(pki: Pki) -> None:
    """The server still sends the old certificate, because it was not reloaded."""
    done = checked("intermediate_expiring", pki, "--expect-cert-file", str(pki.files("good")[0]))
    pki.expiring(5, 90)
    old = checked("expiring-5-90", pki, "--expect-cert-file", str(pki.files("good")[0]))

    assert (done.code, kinds(done)) == (2, ["not-deployed"])
    assert (old.code, kinds(old)) == (2, ["not-deployed"])
    assert ", which lasts longer (until 20" in old.verdict
    assert "): not reloaded? (" in old.verdict


@pytest.mark.parametrize(
    "content", [None, "", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n"]
)
def test_expect_cert_file_unusable_is_config(content: str | None, pki: Pki, tmp_path: Path) -> None:
    """The check is UNKNOWN before anything is connected."""
    file = tmp_path / "deployed.pem"
    if content is not None:
        file.write_text(content)
    done = checked("good", pki, "--expect-cert-file", str(file))

    assert (done.code, kinds(done)) == (3, ["config"])
    assert "certificate file" in done.verdict
    assert "time_connect" not in done.perfdata


@pytest.mark.parametrize(
    ("name", "bits", "is_enough"),
    [
        ("rsa", "2048", True),
        ("rsa", "3072", False),
        ("good", "3072", True),
        ("good", "4096", False),
    ],
)
def test_min_key_bits_counts_rsa_equivalent_bits(
    name: str, bits: str, is_enough: bool, pki: Pki
) -> None:
    """An elliptic curve of 256 bits is as strong as RSA 3072."""
    done = checked(name, pki, "--min-key-bits", bits)

    assert done.code == (0 if is_enough else 2), done.out
    if not is_enough:
        assert kinds(done) == ["weak"]
        key = "RSA 2048" if name == "rsa" else "EC 256"
        assert f" is too short: {key}, not RSA {bits} or as strong" in done.verdict


@pytest.mark.parametrize(("days", "is_fine"), [("90", True), ("90d", True), ("89.5", False)])
def test_max_validity_counts_whole_lifetime(days: str, is_fine: bool, pki: Pki) -> None:
    """The lifetime is counted from the first to the last instant."""
    pki.expiring(30, 90)
    done = checked("expiring-30-90", pki, "--max-validity", days)

    assert done.code == (0 if is_fine else 2), done.out
    if not is_fine:
        assert kinds(done) == ["long-lived"]
        assert " was issued for 90 days (limit 89.5 days)" in done.verdict


def test_several_findings_are_all_reported(pki: Pki) -> None:
    """All are reported after a login, because none of them is about trust."""
    done = checked("good", pki, "--issuer", "Nobody", "--min-key-bits", "9999", login=True)

    assert kinds(done) == ["issuer", "weak"]
    assert "messages" in done.perfdata


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--pin", "sha256:00"), "invalid --pin sha256:00: must be sha256:"),
        (("--pin", "md5:" + 64 * "0"), "invalid --pin"),
        (("--issuer", " "), "invalid --issuer: empty"),
        (("--min-key-bits", "0"), "invalid --min-key-bits 0"),
        (("--min-key-bits", "x"), "invalid --min-key-bits x"),
        (("--max-validity", "0"), "invalid --max-validity 0"),
        (("--max-validity", "1y"), "invalid --max-validity 1y"),
        (("--expect-cert-file", ""), "invalid --expect-cert-file"),
        (("--x509-strict", "--verify", "none"), "cannot be combined"),
        (("--reject-legacy-tls", "--tls-min", "1.1"), "cannot be combined"),
    ],
)
def test_certificate_options_invalid_is_usage_error(
    options: Sequence[str], words: str, pki: Pki
) -> None:
    """The message is one line."""
    done = checked("good", pki, *options)

    assert (done.code, done.long) == (3, [])
    assert words in done.line


@pytest.mark.parametrize(
    "option",
    [
        "--x509-strict",
        "--pin=sha256:" + 64 * "0",
        "--issuer=x",
        "--expect-cert-file=x",
        "--min-key-bits=1",
        "--max-validity=1",
        "--reject-legacy-tls",
    ],
)
def test_certificate_option_without_tls_is_usage_error(option: str) -> None:
    """An assertion that could never be tested must not be OK."""
    with PoliteServer({}) as server:
        done = check(server, option)

    assert done.code == 3
    assert f"{option.partition('=')[0]} needs -S or --starttls" in done.line


# --- old versions of TLS -----------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_reject_legacy_tls_modern_server_passes(mode: str, pki: Pki) -> None:
    """No POP3 byte follows either handshake."""
    assert checked("good", pki, "--reject-legacy-tls", mode=mode).code == 0


@pytest.mark.parametrize("mode", MODES)
def test_reject_legacy_tls_accepting_server_names_versions(mode: str, pki: Pki) -> None:
    """Each legacy version that the server accepts is named."""
    context = pki.speaking_everything()
    server = PoliteServer({}, tls=context) if mode == "tls" else PoliteServer({}, stls=context)
    with server:
        done = check(server, *flags(mode, pki), "--reject-legacy-tls")

    assert (done.code, kinds(done)) == (2, ["legacy-tls"])
    assert done.verdict.partition(" - ")[2].startswith("server still accepts TLS 1.0 and TLS 1.1 (")
