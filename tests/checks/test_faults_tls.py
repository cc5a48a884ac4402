"""Faults of certificates and handshakes, by the installed command."""

import re
import ssl

import pytest

from tests.pki.certificates import Pki
from tests.servers.scripted_server import (
    PoliteServer,
    ScriptedServer,
    Step,
    drop,
    expect,
    hears_hello,
    pause,
    reset,
    say,
    silence,
    start_tls,
)
from tests.servers.tls_records import alert_after_handshake
from tests.support.catalogue import WITH_TLS
from tests.support.faults import (
    BYE,
    GREETING,
    IN_TLS,
    OFFERED,
    Fault,
    check,
    flags,
    kinds,
    params,
    serving_tls,
)

# --- certificates ------------------------------------------------------------------------------


def rejected(
    number: int, case: str, persona: str, kind: str, text: str, *options: str
) -> pytest.ParameterSet:
    mark = pytest.mark.fault(number, case=case)
    return pytest.param(persona, kind, text, options, marks=mark, id=f"{number} {persona}")


REFUSED = ("expired", "future", "wrongname", "cnonly", "untrusted", "nochain", "weak", "sha1")

# cnonly carries another name than the others.
CERTIFICATES = [
    rejected(30, "expired", "expired", "expired", "expired 2 days ago, on 20"),
    rejected(30, "future", "future", "not-yet-valid", "is not valid before 20"),
    rejected(33, "name", "wrongname", "name", "is not for localhost but for other.example.test"),
    rejected(
        33, "address", "wrongname", "name", "is not for 127.0.0.1 but for", "--sni", "127.0.0.1"
    ),
    rejected(35, "", "cnonly", "name", "has no subject alternative", "--sni", "pop.example.test"),
    rejected(34, "unknown issuer", "untrusted", "untrusted", " unknown, server sent "),
    rejected(
        34, "missing intermediate", "nochain", "untrusted", " unknown, server sent 1 certificate ("
    ),
    rejected(34, "self-signed", "selfsigned", "untrusted", "certificate not trusted: self-signed"),
    rejected(36, "RSA-1024", "weak", "weak", "certificate too weak: RSA 1024 key"),
    rejected(36, "SHA-1", "sha1", "weak", "certificate too weak: SHA1 signature"),
    rejected(36, "MD5", "md5", "weak", "certificate too weak: MD5 signature"),
    rejected(
        36, "RSA-1024 intermediate", "weak_intermediate", "weak", "certificate too weak: RSA 1024"
    ),
    rejected(36, "SHA-1 intermediate", "sha1_intermediate", "weak", "certificate too weak: SHA1"),
]


def with_certificate(mode: str, pki: Pki, name: str) -> ScriptedServer:
    return serving_tls(mode, pki.server(name))


@pytest.mark.threat("T4")
@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.parametrize(("persona", "kind", "text", "options"), CERTIFICATES)
def test_certificate_rejected_sends_nothing(
    persona: str, kind: str, text: str, options: tuple[str, ...], mode: str, pki: Pki
) -> None:
    """The output has the reason and the days left; no POP3 byte follows the handshake."""
    with with_certificate(mode, pki, persona) as server:
        done = check(server, *flags(mode, pki, login=True), *options)

    assert re.match("POP3 CRITICAL - (certificate|issuer .* of the certificate) ", done.line)
    assert text in done.line
    assert kinds(done) == [kind]
    assert "cert_days" in done.perfdata
    assert any(line.startswith("valid: ") for line in done.long)
    assert server.received_in_tls == b""


@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.parametrize(
    "persona",
    [
        "good",
        "chain",
        "many_names",
        pytest.param("negative_serial", marks=pytest.mark.fault(39, case="negative serial")),
        pytest.param("bad_name", marks=pytest.mark.fault(39, case="bad DN")),
        pytest.param("sha1_root", marks=pytest.mark.fault(36, case="SHA-1 root")),
    ],
)
def test_certificate_unusual_but_valid_is_ok(persona: str, mode: str, pki: Pki) -> None:
    """An unusual detail is no failure, and nothing appears on standard error."""
    with with_certificate(mode, pki, persona) as server:
        done = check(server, *flags(mode, pki), "-vv")

    assert done.code == 0, done.out
    assert ", certificate valid for " in done.line


@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.fault(38, case="issuer")
@pytest.mark.threat("T16")
def test_certificate_unreadable_is_warning(mode: str, pki: Pki) -> None:
    """OpenSSL has verified it but the library cannot read it: all but the names is known."""
    with with_certificate(mode, pki, "unreadable") as server:
        fine = check(server, *flags(mode, pki), "-D", "1", "--min-key-bits", "2048", "-v")
        done = check(server, *flags(mode, pki), "--issuer", "Nobody")

    assert fine.code == 0, fine.out
    assert "certificate: unreadable: subject and issuer" in fine.long
    assert done.code == 1, done.out
    assert kinds(done) == ["certificate-unreadable"]
    assert "cert_days" in done.perfdata
    assert server.commands[-1] == b"QUIT"


@pytest.mark.parametrize("persona", REFUSED)
def test_verify_none_accepts_any_certificate(persona: str, pki: Pki) -> None:
    """The status line says that nothing was verified."""
    with with_certificate("tls", pki, persona) as server:
        done = check(server, "-S", "--verify", "none")

    assert done.code == 0, done.out
    assert "not verified" in done.line


@pytest.mark.parametrize(
    ("persona", "state", "kind"),
    [("expired", 2, "expired"), ("future", 2, "not-yet-valid"), ("wrongname", 0, None)],
)
def test_verify_none_with_days_evaluates_dates(
    persona: str, state: int, kind: str | None, pki: Pki
) -> None:
    """-D applies without verification, too."""
    with with_certificate("tls", pki, persona) as server:
        done = check(server, "--verify", "none", "-D", "30")

    assert done.code == state, done.out
    assert kinds(done) == ([kind] if kind else [])


def test_verify_chain_ignores_the_name(pki: Pki) -> None:
    """`--verify chain` accepts a certificate for another name."""
    with with_certificate("tls", pki, "wrongname") as server:
        done = check(server, *flags("tls", pki), "--verify", "chain")
    with with_certificate("tls", pki, "untrusted") as server:
        untrusted = check(server, *flags("tls", pki), "--verify", "chain")

    assert done.code == 0, done.out
    assert "name not verified" in done.line
    assert kinds(untrusted) == ["untrusted"]


def test_sni_name_is_sent_and_verified(pki: Pki) -> None:
    """The name of `--sni` is verified in place of the host name, wildcards included."""
    with with_certificate("tls", pki, "wildcard") as server:
        good = check(server, *flags("tls", pki), "--sni", "mail.example.test")
        deep = check(server, *flags("tls", pki), "--sni", "a.mail.example.test")

    assert good.code == 0
    assert kinds(deep) == ["name"]


@pytest.mark.parametrize(
    ("days", "threshold", "state", "perfdata"),
    [
        (13.5, "60d,13d", 1, ";60:;13:"),
        (13.5, "13", 0, ";13:"),
        (0.4, "12h", 1, ";0.5:"),
        (13.5, "33%", 1, ";29.7:"),
        (13.5, "10%", 0, ";9:"),
        (13.5, "30d/33%,7d/10%", 1, ";29.7:;7:"),
        (8.5, "30d/33%,7d/10%", 1, ";29.7:;7:"),
        (6.5, "30d/33%,7d/10%", 2, ";29.7:;7:"),
    ],
)
def test_certificate_thresholds_in_every_unit(
    days: float, threshold: str, state: int, perfdata: str, pki: Pki
) -> None:
    """Fault 31: days, hours, a share of the lifetime of 90 days, the smaller of two."""
    with ScriptedServer([GREETING, *BYE], tls=pki.expiring(days)) as server:
        done = check(server, *flags("tls", pki), "-D", threshold)

    assert done.code == state, done.out
    left, *limits = done.perfdata["cert_days"].split(";")
    assert float(left) == pytest.approx(days, abs=0.02)
    assert ";" + ";".join(limits) == perfdata
    if state:
        assert done.verdict.split(" - ")[1].startswith("certificate ")
        assert kinds(done) == ["expiring"]


@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.parametrize(
    ("threshold", "state", "limits"),
    [
        pytest.param("60", 1, ";60:", marks=pytest.mark.fault(31, case="warning")),
        pytest.param("60,14", 2, ";60:;14:", marks=pytest.mark.fault(31, case="critical")),
    ],
)
def test_certificate_expiring_soon_is_reported_with_date(
    threshold: str, state: int, limits: str, mode: str, pki: Pki
) -> None:
    """The message has the days left and the date."""
    context = pki.expiring(13.5)
    begin = [GREETING, *BYE]
    if mode == "stls":
        tls = [start_tls(context), expect(b"CAPA"), say(IN_TLS)]
        begin = [*OFFERED, say(b"+OK\r\n"), *tls, *BYE]
    with ScriptedServer(begin, tls=context if mode == "tls" else None) as server:
        done = check(server, *flags(mode, pki), "-D", threshold)

    assert done.code == state, done.out
    assert " expires in 13 days, on 20" in done.line
    assert done.perfdata["cert_days"].endswith(limits)


# --- handshakes --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.parametrize(
    "offer",
    [
        pytest.param("1.0", marks=pytest.mark.fault(40, case="TLS 1.0")),
        pytest.param("1.1", marks=pytest.mark.fault(40, case="TLS 1.1")),
        pytest.param("old ciphers", marks=pytest.mark.fault(40, case="old ciphers")),
    ],
)
def test_old_tls_only_is_refused(offer: str, mode: str, pki: Pki) -> None:
    """The failure is of kind old-tls."""
    context = pki.old_ciphers() if offer == "old ciphers" else pki.old_tls(offer)
    if mode == "tls":
        server = ScriptedServer([GREETING, *BYE], tls=context)
    else:
        server = ScriptedServer([*OFFERED, say(b"+OK\r\n"), start_tls(context), *BYE])
    with server:
        done = check(server, *flags(mode, pki, login=True))

    assert done.code == 2
    assert kinds(done) == ["old-tls"]
    assert server.received_in_tls == b""


def test_tls_min_1_1_still_refuses_weak_certificate(pki: Pki) -> None:
    """`--tls-min 1.1` accepts the old version but no weak certificate."""
    with ScriptedServer([GREETING, *BYE], tls=pki.old_tls("1.1")) as server:
        done = check(server, *flags("tls", pki), "--tls-min", "1.1")
    with ScriptedServer([GREETING, *BYE], tls=pki.server("weak")) as server:
        weak = check(server, *flags("tls", pki, login=True), "--tls-min", "1.1")

    assert done.code == 0, done.out
    assert "TLSv1.1" in done.line
    assert kinds(weak) == ["weak"]
    assert server.received_in_tls == b""


@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.fault(91, case="--tls-min")
def test_tls_min_1_3_refuses_tls_1_2_server(mode: str, pki: Pki) -> None:
    """A server that offers only TLS 1.2 is refused, and the option is named."""
    with serving_tls(mode, pki.only("1.2")) as server:
        done = check(server, *flags(mode, pki), "--tls-min", "1.3")

    assert kinds(done) == ["old-tls"]
    assert any("lower --tls-min" in line for line in done.long)


# RFC 5246 section 7.4.1.3: TLS 1.2, no session, ECDHE-RSA-AES128-GCM-SHA256, no extension.
HELLO_WITHOUT_EXTENSIONS = b"\x02\0\0\x26\x03\x03" + bytes(32) + b"\0\xc0\x2f\0"


@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.fault(91, case="RFC 5746")
def test_server_without_secure_renegotiation_is_old_tls(mode: str, pki: Pki) -> None:
    """OpenSSL 3 demands the extension, and the message names its RFC."""
    begin = [*OFFERED, say(b"+OK\r\n")] if mode == "stls" else []
    hello = say(b"\x16\x03\x03\0\x2a" + HELLO_WITHOUT_EXTENSIONS)
    with ScriptedServer([*begin, hears_hello, hello, pause(0.1)]) as server:
        done = check(server, *flags(mode, pki, login=True))

    assert kinds(done) == ["old-tls"]
    assert any("lacks RFC 5746" in line for line in done.long)


@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.fault(91, case="DH key")
def test_server_with_short_dh_key_is_old_tls(mode: str, pki: Pki) -> None:
    """The advice is about the Diffie-Hellman group, not about versions of TLS."""
    with serving_tls(mode, pki.old_ciphers()) as server:
        done = check(server, *flags(mode, pki))

    assert any("Diffie-Hellman group of 2048 bits" in line for line in done.long)


@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.fault(91, case="no common cipher")
def test_server_without_a_common_cipher_is_old_tls(mode: str, pki: Pki) -> None:
    """Alert 40 may have many reasons: a second handshake with all ciphers finds this one."""
    context = pki.only("1.2", "CAMELLIA256-SHA:ECDHE-ECDSA-CAMELLIA256-SHA384")
    with polite(mode, context) as server:
        done = check(server, *flags(mode, pki))

    assert kinds(done) == ["old-tls"]


def polite(mode: str, context: ssl.SSLContext) -> PoliteServer:
    tls, stls = (context, None) if mode == "tls" else (None, context)
    return PoliteServer({}, tls=tls, stls=stls)


@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.parametrize(
    "tls12_only",
    [
        pytest.param(True, marks=pytest.mark.fault(41, case="TLS 1.2")),
        pytest.param(False, marks=pytest.mark.fault(41, case="TLS 1.3")),
    ],
)
def test_client_certificate_missing_is_named(tls12_only: bool, mode: str, pki: Pki) -> None:
    """Fault 41: the alert comes in the handshake of TLS 1.2, at the first read of TLS 1.3."""
    context = pki.demanding_client_certificate(tls12_only=tls12_only)

    ours = ("--client-cert", str(pki.client_cert), "--client-key", str(pki.client_key))

    with polite(mode, context) as server:
        refused = check(server, *flags(mode, pki))
        accepted = check(server, *flags(mode, pki), *ours)

    assert refused.code == 2
    assert kinds(refused) == ["client-certificate"]
    assert accepted.code == 0, accepted.out


@pytest.mark.parametrize("number", [42, 46, 48, 49])
def test_alert_after_a_handshake_without_a_request_blames_no_client_certificate(
    number: int, pki: Pki
) -> None:
    """Nothing is claimed: the server has never asked for a client certificate."""
    with ScriptedServer([alert_after_handshake(number, pki), pause(0.1)]) as server:
        done = check(server, *flags("tls", pki))

    assert kinds(done) == ["tls"]
    assert re.search(
        rf" - server ended the TLS session during the greeting: [a-z ]+ .alert {number}.", done.line
    )
    assert "client" not in done.out


def alert(description: int) -> Step:
    return say(bytes([0x15, 3, 3, 0, 2, 2, description]))


PORT = [
    Fault("10 plain POP3", [GREETING, silence()], "CRITICAL", "tls", "answers in plain text"),
    Fault("10 HTTP", [expect(), say(b"HTTP/1.1 400 Bad\r\n\r\n")], "CRITICAL", "tls"),
    Fault("42 EOF", [pause(0.05), drop()], "CRITICAL", "closed", "closed the connection"),
    Fault("42 reset", [pause(0.05), reset()], "CRITICAL", "closed", "reset the connection"),
]
HANDSHAKES = [
    Fault("42 alert 40", [alert(40), pause(0.1)], "CRITICAL", "tls", "handshake failure"),
    Fault("42 alert 80", [alert(80), pause(0.1)], "CRITICAL", "tls", "internal error"),
    Fault("42 alert 112", [alert(112), pause(0.1)], "CRITICAL", "tls", "unrecognized name"),
    *(
        Fault(f"92 alert {number}", [alert(number), pause(0.1)], "CRITICAL", "tls")
        for number in (42, 46, 48, 49, 115, 120)
    ),
    Fault("91 alert 71", [alert(71), pause(0.1)], "CRITICAL", "old-tls", "no cipher"),
    Fault("42 garbage", [say(b"\x16\x03\x03\xff\xff" + b"x" * 99)], "CRITICAL", "tls"),
]


@pytest.mark.threat("T27")
@pytest.mark.parametrize("fault", params(PORT))
@pytest.mark.parametrize("mode", ["tls"])
def test_tls_port_without_tls_has_reason_and_hint(fault: Fault, mode: str, pki: Pki) -> None:
    """The output has the phase, the reason and a hint."""
    with ScriptedServer(fault.steps) as server:
        done = check(server, *flags(mode, pki, login=True))

    assert done.line.startswith("POP3 CRITICAL - ")
    assert kinds(done) == [fault.kind]
    assert fault.text in done.line


@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.parametrize("fault", params(HANDSHAKES))
def test_handshake_failed_has_phase_and_reason(fault: Fault, mode: str, pki: Pki) -> None:
    """It is the same on the TLS port and after STLS."""
    begin = [*OFFERED, say(b"+OK\r\n")] if mode == "stls" else []
    # What comes before the client's first record is another fault, 29.
    with ScriptedServer([*begin, hears_hello, *fault.steps]) as server:
        done = check(server, *flags(mode, pki, login=True))

    assert done.line.startswith("POP3 CRITICAL - ")
    assert kinds(done) == [fault.kind]
    assert fault.text in done.line


@pytest.mark.fault(44, modes=["tls"])
def test_connection_closed_after_handshake_is_greeting_failure(pki: Pki) -> None:
    """The phase is that of the missing greeting."""
    with ScriptedServer([drop()], tls=pki.server("good")) as server:
        done = check(server, *flags("tls", pki))

    assert done.line.startswith("POP3 CRITICAL - server ")
    assert kinds(done) == ["closed"]
