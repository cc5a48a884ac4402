"""The certificates behind the server's own, and what the user says of them, served live."""

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
from check_pop3_plus.options import validators
from tests.pki.certificates import INTERMEDIATE_DAYS, Pki
from tests.servers.scripted_server import PoliteServer, ScriptedServer, expect, say
from tests.support.command import Run
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
def test_an_intermediate_that_ends_first(
    threshold: str, state: int, limits: str, mode: str, pki: Pki
) -> None:
    """Fault 32: by the thresholds for the server's own certificate, in days of its own."""
    done = checked("intermediate_expiring", pki, "-D", threshold, mode=mode)

    assert done.code == state, done.out
    days, _, shown = done.perfdata["chain_days"].partition(";")
    assert float(days) == pytest.approx(INTERMEDIATE_DAYS, abs=0.02)
    assert f";{shown}" == limits
    assert float(done.perfdata["cert_days"].partition(";")[0]) == pytest.approx(365, abs=0.02)
    if state:
        assert kinds(done) == ["expiring"]
        assert re.search(
            r" - issuer CN=Odd CA of the certificate of localhost:\d+ expires in 2 days \(20",
            done.verdict,
        )


def test_the_certificate_that_ends_first_is_shown(pki: Pki) -> None:
    """The issuer's own lines where it is the issuer, and not where it is the server's."""
    pki.expiring(5, 90)

    assert said(checked("intermediate_expiring", pki, "-D", "60"), "issuer")
    assert not said(checked("expiring-5-90", pki, "-D", "60"), "issuer")


def test_without_days_an_issuer_is_not_judged(pki: Pki) -> None:
    """Like the server's own certificate: measured, not judged."""
    done = checked("intermediate_expiring", pki)

    assert done.code == 0, done.out
    assert float(done.perfdata["chain_days"]) == pytest.approx(INTERMEDIATE_DAYS, abs=0.02)


def test_an_issuer_that_has_expired_is_named(pki: Pki) -> None:
    """Fault 30, one level up: it is not the server's own certificate that must be renewed."""
    done = checked("intermediate_expired", pki, login=True)

    assert done.code == 2
    assert kinds(done) == ["expired"]
    assert re.search(
        r" - tls: issuer CN=Odd CA of the certificate of localhost:\d+ expired 2 days ago \(20",
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
def test_issuers_without_verification(
    name: str, options: Sequence[str], kind: str | None, pki: Pki
) -> None:
    """Dates only with -D; the path is then what the certificates name."""
    done = checked(name, pki, "--verify", "none", *options)

    assert kinds(done) == ([kind] if kind else []), done.out
    assert "chain_days" in done.perfdata


@pytest.mark.parametrize("name", ["extra", "extra_expired"])
def test_what_is_sent_needlessly_only_informs(name: str, pki: Pki) -> None:
    """It stops nobody when it ends; blackbox_exporter's first metric gave false alarms by it."""
    done = checked(name, pki, "-D", "60,30", "-v")

    assert done.code == 0, done.out
    assert float(done.perfdata["chain_days"].partition(";")[0]) == pytest.approx(365, abs=0.02)
    [line] = said(done, "chain")
    assert line.startswith("chain: certificate 2 (")
    assert (" is not needed, expired 2 days ago" in line) == (name == "extra_expired")


def test_no_intermediate_no_days(pki: Pki) -> None:
    """What is not there is absent; the root is not the server's to renew."""
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
def test_oddities_are_named(name: str, line: str, verify: str, pki: Pki) -> None:
    """With -v, and without a word otherwise: they harm nobody."""
    done = checked(name, pki, "-v", "--verify", verify)

    assert done.code == 0, done.out
    assert any(re.fullmatch(line, shown) for shown in said(done, "chain")), done.out
    assert checked(name, pki, "--verify", verify).long == []


def test_a_missing_intermediate_is_named(pki: Pki) -> None:
    """Fault 34: the long output says whose certificate is missing."""
    done = checked("nochain", pki)

    assert kinds(done) == ["untrusted"]
    assert "intermediate missing?" in done.verdict
    issuer = sanitise(loaded(pki, "nochain").issuer.rfc4514_string())
    assert said(done, "chain") == [f"chain: issuer {issuer} was not sent and is not trusted"]


def test_an_intermediate_from_the_store_is_named(pki: Pki, tmp_path: Path) -> None:
    """Here it verifies; a client without this store's intermediates cannot follow."""
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
def test_what_only_strict_clients_mind(name: str, defect: str, mode: str, pki: Pki) -> None:
    """Fault 37: a note that the user may take more seriously."""
    done = checked(name, pki, "-v", mode=mode)
    warned = checked(name, pki, "--state", "not-strict=warning", mode=mode)

    assert done.code == 0, done.out
    assert said(done, "note") == [f"note: not-strict: not clean by RFC 5280: {defect}"]
    assert checked(name, pki, mode=mode).long == []
    assert (warned.code, kinds(warned)) == (1, ["not-strict"])
    assert defect in warned.verdict


@pytest.mark.threat("T25")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("name", "defect"), NOT_STRICT)
def test_strictness_is_openssl_s_verdict(name: str, defect: str, mode: str, pki: Pki) -> None:
    """Fault 37 with `--x509-strict`: refused before a byte is sent; the state can be changed."""
    done = checked(name, pki, "--x509-strict", mode=mode, login=True)
    changed = checked(name, pki, "--x509-strict", "--state", "not-strict=warning", mode=mode)

    assert done.code == 2, done.out
    assert kinds(done) == ["not-strict"]
    assert " is against RFC 5280: " in done.verdict
    assert (changed.code, kinds(changed)) == (1, ["not-strict"])


@pytest.mark.parametrize(
    "name", ["good", "chain", "many_names", "wildcard", "intermediate_expiring"]
)
def test_strict_certificates_pass(name: str, pki: Pki) -> None:
    """What is clean is clean with and without the option."""
    sni = ("--sni", "mail.example.test") if name == "wildcard" else ()

    assert checked(name, pki, "--x509-strict", *sni).code == 0
    assert not said(checked(name, pki, "-v", *sni), "note")


def test_a_certificate_that_is_its_own_anchor_is_held_to_nothing(pki: Pki) -> None:
    """As OpenSSL does it."""
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
def test_a_pin_that_fits(how: str, pki: Pki) -> None:
    """The certificate's or the key's, in hexadecimal or base64; one of several is enough."""
    other = "sha256:" + 64 * "0"

    assert checked("good", pki, "--pin", pins(pki, "good")[how]).code == 0
    assert checked("good", pki, "--pin", other, "--pin", pins(pki, "good")[how]).code == 0


@pytest.mark.parametrize("mode", MODES)
def test_no_password_to_another_certificate_than_pinned(mode: str, pki: Pki) -> None:
    """Though it is verified: nothing is sent, and both fingerprints are shown for comparison."""
    good = pki.server("good")
    server = (
        ScriptedServer([say(b"+OK\r\n"), expect()], tls=good)
        if mode == "tls"
        else PoliteServer({}, stls=good)
    )
    with server:
        done = check(server, *flags(mode, pki, login=True), "--pin", pins(pki, "rsa")["public key"])

    assert (done.code, kinds(done)) == (2, ["pin"])
    assert " is not one that is pinned" in done.verdict
    assert set(pins(pki, "good").values()) & {line.split(" ")[-1] for line in done.long}
    assert server.received_in_tls == b""
    assert b"USER" not in server.received


def test_a_slash_in_base64_belongs_to_it() -> None:
    """`sha256:/...` is not curl's `sha256//...`."""
    digest = b"\xff" * 32
    encoded = base64.b64encode(digest).decode()

    assert encoded.startswith("/")
    assert (
        validators.pin(f"sha256:{encoded}") == validators.pin(f"sha256//{encoded}") == digest.hex()
    )


def test_a_pin_holds_without_verification(pki: Pki) -> None:
    """A private certificate, known by its hash."""
    options = ("--verify", "none", "--pin")

    assert checked("selfsigned", pki, *options, pins(pki, "selfsigned")["certificate"]).code == 0
    assert kinds(checked("selfsigned", pki, *options, pins(pki, "good")["certificate"])) == ["pin"]


@pytest.mark.parametrize("text", ["trustme", "TRUSTME", "Testing CA", "O=trustme"])
def test_an_issuer_by_part_of_its_name(text: str, pki: Pki) -> None:
    """Directly or not, whatever its case; with and without the attribute."""
    assert checked("good", pki, "--issuer", text).code == 0


def test_an_issuer_higher_up(pki: Pki) -> None:
    """Who trusts a company need not know its intermediates."""
    assert checked("root_sent", pki, "--issuer", "trustme").code == 0
    assert checked("root_sent", pki, "--issuer", "Odd CA").code == 0


def test_another_issuer(pki: Pki) -> None:
    """Somebody else has issued it: named, with both names."""
    done = checked("good", pki, "--issuer", "Let's Encrypt")

    assert (done.code, kinds(done)) == (2, ["issuer"])
    assert re.search(r" is from OU=.*O=trustme.*, not from Let.s Encrypt$", done.verdict)


def test_the_certificate_that_is_deployed(pki: Pki) -> None:
    """The file may hold the chain, too."""
    file = str(pki.files("chain")[0])

    assert checked("chain", pki, "--expect-cert-file", file).code == 0


def test_a_reload_that_was_forgotten(pki: Pki) -> None:
    """Fine for now, but the new certificate waits in its file."""
    done = checked("intermediate_expiring", pki, "--expect-cert-file", str(pki.files("good")[0]))
    pki.expiring(5, 90)
    old = checked("expiring-5-90", pki, "--expect-cert-file", str(pki.files("good")[0]))

    assert (done.code, kinds(done)) == (2, ["not-deployed"])
    assert (old.code, kinds(old)) == (2, ["not-deployed"])
    assert ", which lasts longer (until 20" in old.verdict
    assert old.verdict.endswith("): not reloaded?")


@pytest.mark.parametrize(
    "content", [None, "", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n"]
)
def test_a_deployed_file_that_is_none(content: str | None, pki: Pki, tmp_path: Path) -> None:
    """Our side: UNKNOWN, before anything is connected."""
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
def test_the_length_of_the_key(name: str, bits: str, is_enough: bool, pki: Pki) -> None:
    """An elliptic curve's 256 bits are as strong as RSA 3072."""
    done = checked(name, pki, "--min-key-bits", bits)

    assert done.code == (0 if is_enough else 2), done.out
    if not is_enough:
        assert kinds(done) == ["weak"]
        key = "RSA 2048" if name == "rsa" else "EC 256"
        assert f" is too short: {key}, not RSA {bits} or as strong" in done.verdict


@pytest.mark.parametrize(("days", "is_fine"), [("90", True), ("90d", True), ("89.5", False)])
def test_the_longest_validity(days: str, is_fine: bool, pki: Pki) -> None:
    """Counted from the first to the last instant."""
    pki.expiring(30, 90)
    done = checked("expiring-30-90", pki, "--max-validity", days)

    assert done.code == (0 if is_fine else 2), done.out
    if not is_fine:
        assert kinds(done) == ["long-lived"]
        assert " was issued for 90 days, longer than 89.5" in done.verdict


def test_several_findings_at_once(pki: Pki) -> None:
    """All are told, and the login takes place: none of them is about trust."""
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
def test_mistakes(options: Sequence[str], words: str, pki: Pki) -> None:
    """One clear line."""
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
def test_without_tls_there_is_no_certificate(option: str) -> None:
    """An assertion that could never be tried is a mistake, not an OK."""
    with PoliteServer({}) as server:
        done = check(server, option)

    assert done.code == 3
    assert f"{option.partition('=')[0]} needs -S or --starttls" in done.line


# --- old versions of TLS -----------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_a_modern_server_rejects_legacy_tls(mode: str, pki: Pki) -> None:
    """OK, and neither handshake is followed by a POP3 byte."""
    assert checked("good", pki, "--reject-legacy-tls", mode=mode).code == 0


@pytest.mark.parametrize("mode", MODES)
def test_a_server_that_still_accepts_legacy_tls(mode: str, pki: Pki) -> None:
    """TLS 1.3 for us, TLS 1.0 for whoever asks: each version is named."""
    context = pki.speaking_everything()
    server = PoliteServer({}, tls=context) if mode == "tls" else PoliteServer({}, stls=context)
    with server:
        done = check(server, *flags(mode, pki), "--reject-legacy-tls")

    assert (done.code, kinds(done)) == (2, ["legacy-tls"])
    assert done.verdict.endswith(": still accepts TLS 1.0 and TLS 1.1")
