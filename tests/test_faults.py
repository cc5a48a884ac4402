"""The fault catalogue, row by row, with the installed command.

Numbers are those of the catalogue. Rows about a name server, dead addresses and time stand in
`test_deadline.py`, rows about our own machine in `test_cli.py` and the tests of the rooms.
"""

import pytest

from tests.certificates import Pki
from tests.faults import (
    CANARY,
    GREETING,
    IN_TLS,
    Fault,
    check,
    flags,
    kinds,
    served,
    upgraded,
)
from tests.pop3_server import (
    ScriptedServer,
    Step,
    drip,
    drop,
    expect,
    flood,
    pause,
    reset,
    say,
    silence,
    start_tls,
)

MODES = ("plain", "tls", "stls")

BYE = [expect(b"QUIT"), say(b"+OK bye\r\n")]


def ids(fault: Fault) -> str:
    return fault.name


# --- greeting --------------------------------------------------------------------------------

GREETINGS = [
    Fault("7 closed", [drop()], "CRITICAL", "closed", "closed the connection before the greeting"),
    Fault(
        "7 reset",
        [pause(0.05), reset()],
        "CRITICAL",
        "closed",
        "the connection before the greeting",
    ),
    Fault("8 IMAP", [say(b"* OK IMAP4rev1 ready\r\n"), silence()], "CRITICAL", "garbled", "IMAP"),
    Fault("8 SMTP", [say(b"220 mx ESMTP\r\n"), silence()], "CRITICAL", "garbled", "SMTP"),
    Fault("8 SSH", [say(b"SSH-2.0-x\r\n"), silence()], "CRITICAL", "garbled", "SSH"),
    Fault("8 HTTP", [say(b"HTTP/1.1 400 Bad\r\n\r\n")], "CRITICAL", "garbled", "HTTP"),
    Fault(
        "9 TLS alert",
        [say(b"\x15\x03\x01\x00\x02\x02\x0a\r\n")],
        "CRITICAL",
        "garbled",
        "looks like TLS",
    ),
    Fault("11", [say(b"-ERR go away\r\n"), *BYE], "CRITICAL", "greeting", "refuses service: go"),
    Fault(
        "12", [say(b"-ERR [SYS/TEMP] busy\r\n"), *BYE], "CRITICAL", "greeting-temporary", "SYS/TEMP"
    ),
    Fault("13", [say(b"-ERR [SYS/PERM] never\r\n"), *BYE], "CRITICAL", "greeting", "SYS/PERM"),
    *(
        Fault(f"14 {line!r}", [say(line + b"\r\n"), silence()], "CRITICAL", "garbled")
        for line in (
            b"+",
            b"+NO",
            b"+okay",
            b"+OKAY",
            b"OK",
            b"-ERROR",
            b"",
            b" +OK",
            b"+O",
            b"+Ok",
        )
    ),
    Fault("16 long", [say(b"+OK " + b"x" * 2100 + b"\r\n")], "CRITICAL", "oversized", "too long"),
    Fault("16 endless", [flood(b"x" * 4096)], "CRITICAL", "oversized", "too long"),
    Fault(
        "20", [say(b"  _   _ ____\r\n+OK curl\r\n"), silence()], "CRITICAL", "garbled", "malformed"
    ),
    Fault("59", [say(b"+OK rea"), drop()], "CRITICAL", "closed", "in the middle of a reply"),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", GREETINGS, ids=ids)
def test_greetings(fault: Fault, mode: str, pki: Pki) -> None:
    """A service that does not greet well is down, whatever it is."""
    tls = pki.server("good") if mode == "tls" else None
    with ScriptedServer(fault.steps, tls=tls) as server:
        done = check(server, *flags(mode, pki, login=True))

    assert done.line.startswith(f"POP3 {fault.state} - greeting: ")
    assert kinds(done) == [fault.kind]
    assert fault.text in done.line
    assert b"USER" not in server.received


TOLERATED = [
    Fault("15 LF only", [say(b"+OK ready\n")], "OK", None),
    Fault("17 NUL, ESC", [say(b"+OK \0\x1b[31m\xff|x=1 <script>`id`\r\n")], "OK", None),
    Fault("70 bare", [say(b"+OK\r\n")], "OK", None),
    Fault("70 dripped", [drip(b"+OK hi\r\n", 0.02)], "OK", None),
]


@pytest.mark.parametrize("mode", ["plain", "tls"])
@pytest.mark.parametrize("fault", TOLERATED, ids=ids)
def test_greetings_that_are_tolerated(fault: Fault, mode: str, pki: Pki) -> None:
    """Odd is not wrong; only what is shown is made harmless."""
    with ScriptedServer(
        [*fault.steps, *BYE], tls=pki.server("good") if mode == "tls" else None
    ) as server:
        done = check(server, *flags(mode, pki), "-vvv")

    assert done.code == 0, done.out
    assert server.commands == [b"QUIT"]


def test_a_greeting_in_lower_case_is_a_warning(pki: Pki) -> None:
    """Fault 14: clients that compare without case accept it."""
    with ScriptedServer([say(b"+ok ready\r\n"), *BYE]) as server:
        done = check(server)

    assert done.line.startswith("POP3 WARNING - ")
    assert "greeting in lower case" in done.line
    assert kinds(done) == ["garbled"]


@pytest.mark.parametrize(
    ("mode", "login", "state"),
    [("plain", False, 1), ("tls", False, 1), ("plain", True, 2), ("stls", False, 2)],
)
def test_lines_that_nobody_asked_for(mode: str, login: bool, state: int, pki: Pki) -> None:
    """Fault 19: a warning; with STLS or a login the conversation is worth nothing."""
    steps = [say(b"+OK ready\r\n+OK again\r\n"), silence()]
    tls = pki.server("good") if mode == "tls" else None
    with ScriptedServer(steps, tls=tls) as server:
        done = check(server, *flags(mode, pki, login=login))

    assert done.code == state, done.out
    assert kinds(done) == ["garbled"]
    assert "unasked" in done.line
    assert CANARY.encode() not in server.received


# --- capabilities and STLS -------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        b"-ERR what\r\n",
        b"+OK\r\n.\r\n",
        b"+OK\r\n\r\nstls\r\nSTLS\r\n\xff\r\nsasl\r\n.\r\n",
        b"+OK\nSTLS\nEXPIRENEVER\n.\n",
    ],
)
def test_odd_capability_lists_are_tolerated_before_stls(reply: bytes, pki: Pki) -> None:
    """Faults 21, 22: where CAPA says nothing, STLS is tried once and judged by its reply."""
    stls_is_offered = reply.startswith(b"-ERR") or b"STLS" in reply.upper()
    steps = upgraded(pki, *BYE)
    steps[2] = say(reply)
    with ScriptedServer(steps) as server:
        done = check(server, *flags("stls", pki))

    if stls_is_offered:
        assert done.code == 0, done.out
        assert server.commands == [b"CAPA", b"STLS", b"CAPA", b"QUIT"]
    else:
        assert kinds(done) == ["no-stls"]


LISTING = [expect(b"CAPA"), say(b"+OK\r\n")]

CAPABILITIES = [
    Fault(
        "24 endless lines",
        [expect(), say(b"+OK\r\n"), flood(b"XYZZY\r\n" * 100)],
        "CRITICAL",
        "oversized",
    ),
    Fault(
        "24 endless line", [expect(), say(b"+OK\r\n"), flood(b"x" * 9999)], "CRITICAL", "oversized"
    ),
    Fault("25", [expect(), drop()], "CRITICAL", "closed", "closed the connection"),
    Fault("25 half", [expect(), say(b"+OK\r\nUSER\r\n"), drop()], "CRITICAL", "closed"),
    Fault("59 cut", [expect(), say(b"+O"), drop()], "CRITICAL", "closed", "middle of a reply"),
    Fault("garbled", [expect(), say(b"hello\r\n"), silence()], "CRITICAL", "garbled"),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", CAPABILITIES, ids=ids)
def test_capabilities(fault: Fault, mode: str, pki: Pki) -> None:
    """Faults 24 and 25, and no password to a server that fails at this."""
    tls = pki.server("good") if mode == "tls" else None
    with ScriptedServer([GREETING, *fault.steps], tls=tls) as server:
        done = check(server, *flags(mode, pki, login=True))

    assert done.line.startswith(f"POP3 {fault.state} - capa: ")
    assert kinds(done) == [fault.kind]
    assert fault.text in done.line
    assert server.commands == [b"CAPA"]


LIST = [GREETING, expect(b"CAPA"), say(b"+OK\r\nUSER\r\nSTLS\r\n.\r\n"), expect(b"STLS")]

STLS = [
    Fault(
        "26",
        [GREETING, expect(b"CAPA"), say(b"+OK\r\nUSER\r\n.\r\n"), *BYE],
        "CRITICAL",
        "no-stls",
        "stls: localhost",
    ),
    Fault("27", [*LIST, say(b"-ERR no\r\n"), *BYE], "CRITICAL", "no-stls", "refuses STLS: no"),
    Fault("27 bare", [*LIST, say(b"-ERR\r\n"), *BYE], "CRITICAL", "no-stls", "(no reason given)"),
    Fault("27 PERM", [*LIST, say(b"-ERR [SYS/PERM] no\r\n"), *BYE], "CRITICAL", "no-stls"),
    Fault("28 EOF", [*LIST, say(b"+OK\r\n"), drop()], "CRITICAL", "tls", "accepted STLS and then"),
    Fault("28 reset", [*LIST, say(b"+OK\r\n"), reset()], "CRITICAL", "tls"),
    Fault(
        "28 plain",
        [*LIST, say(b"+OK\r\n"), pause(0.2), say(b"+OK what?\r\n")],
        "CRITICAL",
        "tls",
        "plain text",
    ),
    *(
        Fault(f"29 {len(tail)}", [*LIST, say(b"+OK\r\n" + tail), silence()], "CRITICAL", "injected")
        for tail in (b"+OK injected\r\n", b"+O", b"x", b"\x16\x03\x01", b"x" * 65536)
    ),
]


@pytest.mark.parametrize("fault", STLS, ids=ids)
def test_stls(fault: Fault, pki: Pki) -> None:
    """Threats T1 and T2: required means required, and no password leaves in clear."""
    with ScriptedServer(fault.steps) as server:
        done = check(server, *flags("stls", pki, login=True))

    assert done.line.startswith(f"POP3 {fault.state} - ")
    assert kinds(done) == [fault.kind]
    assert fault.text in done.line
    assert b"USER" not in server.received
    assert CANARY.encode() not in server.received


def test_data_in_the_next_segment_is_an_injection_too(pki: Pki) -> None:
    """Threat T2: what arrives before the handshake is not read as if it came in it."""
    steps = [*LIST, say(b"+OK\r\n"), say(b"+OK\r\n+OK\r\n"), start_tls(pki.server("good")), *BYE]
    with ScriptedServer(steps) as server:
        done = check(server, *flags("stls", pki, login=True))

    assert done.code == 2
    assert kinds(done)[0] in ("injected", "tls")
    assert CANARY.encode() not in server.received


def test_capabilities_from_before_tls_are_forgotten(pki: Pki) -> None:
    """Threat T3: the login is chosen from the list inside TLS."""
    steps = [*upgraded(pki)[:-1], say(b"+OK\r\nSASL XOAUTH2\r\n.\r\n"), *BYE]
    with ScriptedServer(steps) as server:
        done = check(server, *flags("stls", pki, login=True))

    assert kinds(done) == ["no-mechanism"]
    assert "XOAUTH2" in done.line
    assert server.commands == [b"CAPA", b"STLS", b"CAPA", b"QUIT"]


# --- certificates ----------------------------------------------------------------------------

CERTIFICATES = [
    ("expired", "expired", "expired 2 days ago (20"),
    ("future", "not-yet-valid", "is not valid before 20"),
    ("wrongname", "name", "is not for localhost but for other.example.test"),
    ("cnonly", "name", "has no subject alternative name"),
    ("untrusted", "untrusted", "is not trusted: unknown issuer; server sent"),
    ("nochain", "untrusted", "server sent 1 certificate (intermediate missing?)"),
    ("selfsigned", "untrusted", "is not trusted: self-signed"),
    ("weak", "weak", "is too weak: RSA 1024 key"),
    ("sha1", "weak", "is too weak: SHA1 signature"),
]


def with_certificate(mode: str, pki: Pki, name: str) -> ScriptedServer:
    if mode == "tls":
        return ScriptedServer([GREETING, *BYE], tls=pki.server(name))
    steps = [*LIST, say(b"+OK\r\n"), start_tls(pki.server(name)), expect(b"CAPA"), say(IN_TLS)]
    return ScriptedServer([*steps, *BYE])


def name_for(persona: str) -> list[str]:
    """cnonly carries another name than the others."""
    return ["--sni", "pop.example.test"] if persona == "cnonly" else []


@pytest.mark.parametrize("mode", ["tls", "stls"])
@pytest.mark.parametrize(("persona", "kind", "text"), CERTIFICATES)
def test_rejected_certificates(persona: str, kind: str, text: str, mode: str, pki: Pki) -> None:
    """Faults 30 to 36, threat T4: the plain reason, the days left, and no POP3 byte."""
    with with_certificate(mode, pki, persona) as server:
        done = check(server, *flags(mode, pki, login=True), *name_for(persona))

    assert done.line.startswith("POP3 CRITICAL - tls: certificate of localhost:")
    assert text in done.line
    assert kinds(done) == [kind]
    assert "cert_days" in done.perfdata
    assert any("valid from" in line for line in done.long)
    assert server.received_in_tls == b""


@pytest.mark.parametrize("mode", ["tls", "stls"])
@pytest.mark.parametrize("persona", ["good", "chain", "many_names", "negative_serial"])
def test_certificates_that_are_fine(persona: str, mode: str, pki: Pki) -> None:
    """Fault 39: an odd detail is no failure, and nothing of it reaches stderr."""
    with with_certificate(mode, pki, persona) as server:
        done = check(server, *flags(mode, pki), "-vv")

    assert done.code == 0, done.out
    assert ", certificate valid for " in done.line


@pytest.mark.parametrize(("persona", "kind", "text"), CERTIFICATES)
def test_without_verification_anything_goes(persona: str, kind: str, text: str, pki: Pki) -> None:
    """`--verify none`: the old behaviour, and the status line says so."""
    with with_certificate("tls", pki, persona) as server:
        done = check(server, "-S", "--verify", "none")

    assert done.code == 0, done.out
    assert "not verified" in done.line


@pytest.mark.parametrize(
    ("persona", "state", "kind"),
    [("expired", 2, "expired"), ("future", 2, "not-yet-valid"), ("wrongname", 0, None)],
)
def test_dates_are_judged_without_verification_too(
    persona: str, state: int, kind: str | None, pki: Pki
) -> None:
    """With -D, as the contract says."""
    with with_certificate("tls", pki, persona) as server:
        done = check(server, "--verify", "none", "-D", "30")

    assert done.code == state, done.out
    assert kinds(done) == ([kind] if kind else [])


def test_chain_leaves_the_name_out(pki: Pki) -> None:
    """`--verify chain`."""
    with with_certificate("tls", pki, "wrongname") as server:
        done = check(server, *flags("tls", pki), "--verify", "chain")
    with with_certificate("tls", pki, "untrusted") as server:
        untrusted = check(server, *flags("tls", pki), "--verify", "chain")

    assert done.code == 0, done.out
    assert "name not verified" in done.line
    assert kinds(untrusted) == ["untrusted"]


def test_wildcards_and_the_name_in_place_of_the_host(pki: Pki) -> None:
    """`--sni` is sent and verified."""
    with with_certificate("tls", pki, "wildcard") as server:
        good = check(server, *flags("tls", pki), "--sni", "mail.example.test")
        deep = check(server, *flags("tls", pki), "--sni", "a.mail.example.test")

    assert good.code == 0
    assert kinds(deep) == ["name"]


@pytest.mark.parametrize(
    ("days", "threshold", "state", "perfdata"),
    [
        (13.5, "60", 1, ";60:"),
        (13.5, "60,14", 2, ";60:;14:"),
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
def test_days_left(days: float, threshold: str, state: int, perfdata: str, pki: Pki) -> None:
    """Fault 31: days, hours, a share of the 90 days' lifetime, the smaller of two."""
    with ScriptedServer([GREETING, *BYE], tls=pki.expiring(days)) as server:
        done = check(server, *flags("tls", pki), "-D", threshold)

    assert done.code == state, done.out
    left, *limits = done.perfdata["cert_days"].split(";")
    assert float(left) == pytest.approx(days, abs=0.02)
    assert ";" + ";".join(limits) == perfdata
    if state:
        assert done.verdict.split(" - ")[1].startswith("certificate of localhost:")
        assert kinds(done) == ["expiring"]


# --- handshakes ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["tls", "stls"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_old_tls_only(version: str, mode: str, pki: Pki) -> None:
    """Fault 40: refused, and named."""
    context = pki.old_tls(version)
    if mode == "tls":
        server = ScriptedServer([GREETING, *BYE], tls=context)
    else:
        server = ScriptedServer([*LIST, say(b"+OK\r\n"), start_tls(context), *BYE])
    with server:
        done = check(server, *flags(mode, pki, login=True))

    assert done.code == 2
    assert kinds(done) == ["old-tls"]
    assert server.received_in_tls == b""


def test_tls_1_1_on_demand(pki: Pki) -> None:
    """`--tls-min 1.1` talks to it, and still refuses a weak certificate."""
    with ScriptedServer([GREETING, *BYE], tls=pki.old_tls("1.1")) as server:
        done = check(server, *flags("tls", pki), "--tls-min", "1.1")
    with ScriptedServer([GREETING, *BYE], tls=pki.server("weak")) as server:
        weak = check(server, *flags("tls", pki, login=True), "--tls-min", "1.1")

    assert done.code == 0, done.out
    assert "TLSv1.1" in done.line
    assert kinds(weak) == ["weak"]
    assert server.received_in_tls == b""


def test_newer_than_the_server_can(pki: Pki) -> None:
    """`--tls-min 1.3` against a server that stops at 1.2."""
    with ScriptedServer([GREETING, *BYE], tls=pki.only("1.2")) as server:
        done = check(server, *flags("tls", pki), "--tls-min", "1.3")

    assert kinds(done) == ["old-tls"]


@pytest.mark.parametrize("mode", ["tls", "stls"])
@pytest.mark.parametrize("tls12_only", [True, False])
def test_a_client_certificate_is_demanded(tls12_only: bool, mode: str, pki: Pki) -> None:
    """Fault 41: by an alert in TLS 1.2, at the first read in TLS 1.3."""
    context = pki.demanding_client_certificate(tls12_only=tls12_only)

    def server() -> ScriptedServer:
        if mode == "tls":
            return ScriptedServer([GREETING, *BYE], tls=context)
        steps = [*LIST, say(b"+OK\r\n"), start_tls(context), expect(b"CAPA"), say(IN_TLS)]
        return ScriptedServer([*steps, *BYE])

    with server() as without:
        refused = check(without, *flags(mode, pki))
    with server() as shown:
        accepted = check(
            shown,
            *flags(mode, pki),
            *("--client-cert", str(pki.client_cert), "--client-key", str(pki.client_key)),
        )

    assert refused.code == 2
    assert kinds(refused) == ["client-certificate"]
    assert accepted.code == 0, accepted.out


def alert(description: int) -> Step:
    return say(bytes([0x15, 3, 3, 0, 2, 2, description]))


HANDSHAKES = [
    Fault("10 plain POP3", [GREETING, silence()], "CRITICAL", "tls", "speaks plain text"),
    Fault("10 HTTP", [expect(), say(b"HTTP/1.1 400 Bad\r\n\r\n")], "CRITICAL", "tls"),
    Fault("42 alert 40", [pause(0.05), alert(40), pause(0.1)], "CRITICAL", "tls", "handshake"),
    Fault("42 alert 80", [pause(0.05), alert(80), pause(0.1)], "CRITICAL", "tls", "internal error"),
    Fault("42 alert 112", [pause(0.05), alert(112), pause(0.1)], "CRITICAL", "tls", "unrecognized"),
    Fault("42 garbage", [pause(0.05), say(b"\x16\x03\x03\xff\xff" + b"x" * 99)], "CRITICAL", "tls"),
    Fault("42 EOF", [pause(0.05), drop()], "CRITICAL", "closed", "closed the connection"),
    Fault("42 reset", [pause(0.05), reset()], "CRITICAL", "closed", "reset the connection"),
]


@pytest.mark.parametrize("fault", HANDSHAKES, ids=ids)
def test_handshakes_that_fail(fault: Fault, pki: Pki) -> None:
    """Faults 10 and 42: the phase and the reason."""
    with ScriptedServer(fault.steps) as server:
        done = check(server, *flags("tls", pki, login=True))

    assert done.line.startswith("POP3 CRITICAL - tls: ")
    assert kinds(done) == [fault.kind]
    assert fault.text in done.line


def test_closed_after_the_handshake(pki: Pki) -> None:
    """Fault 44."""
    with ScriptedServer([drop()], tls=pki.server("good")) as server:
        done = check(server, *flags("tls", pki))

    assert done.line.startswith("POP3 CRITICAL - greeting: ")
    assert kinds(done) == ["closed"]


# --- login and mailbox -----------------------------------------------------------------------

LOGGED_IN = [expect(b"USER"), say(b"+OK\r\n"), expect(b"PASS"), say(b"+OK Logged in.\r\n")]


def refusing(reply: bytes) -> list[Step]:
    return [expect(b"USER"), say(b"+OK\r\n"), expect(b"PASS"), say(reply + b"\r\n"), *BYE]


LOGINS = [
    Fault("45", [expect(b"USER"), say(b"-ERR who\r\n"), *BYE], "CRITICAL", "credentials", "who"),
    Fault("46", refusing(b"-ERR"), "CRITICAL", "credentials", "rejected user monitor"),
    Fault("46 AUTH", refusing(b"-ERR [AUTH] no"), "CRITICAL", "credentials", "monitor: [AUTH] no"),
    Fault("48", refusing(b"-ERR [IN-USE] locked"), "WARNING", "in-use", "[IN-USE] locked"),
    Fault("49", refusing(b"-ERR [LOGIN-DELAY] 300 s"), "WARNING", "login-delay"),
    Fault("50 TEMP", refusing(b"-ERR [SYS/TEMP] later"), "WARNING", "temporary"),
    Fault("50 PERM", refusing(b"-ERR [SYS/PERM] never"), "CRITICAL", "permanent"),
    Fault("50 SYS", refusing(b"-ERR [sys/disk] full"), "CRITICAL", "permanent", "[sys/disk] full"),
    Fault(
        "50 USER",
        [expect(b"USER"), say(b"-ERR [SYS/TEMP] later\r\n"), *BYE],
        "WARNING",
        "temporary",
        "cannot log in user monitor for now",
    ),
    Fault("46 in the text", refusing(b"-ERR no [IN-USE]"), "CRITICAL", "credentials"),
    Fault(
        "a question to USER",
        [expect(b"USER"), say(b"+ dXNlcg==\r\n"), silence()],
        "CRITICAL",
        "garbled",
        "no POP3 reply",
    ),
    Fault("a question to PASS", [*LOGGED_IN[:3], say(b"+\r\n"), silence()], "CRITICAL", "garbled"),
    Fault("51 USER", [expect(b"USER"), drop()], "CRITICAL", "closed", "closed the connection"),
    Fault("51 dropped", [*LOGGED_IN[:3], drop()], "CRITICAL", "closed", "closed the connection"),
    Fault("51 reset", [*LOGGED_IN[:3], reset()], "CRITICAL", "closed"),
    Fault("59", [*LOGGED_IN[:3], say(b"+OK"), drop()], "CRITICAL", "closed", "middle of a reply"),
    Fault("garbled", [*LOGGED_IN[:3], say(b"+OKAY\r\n"), silence()], "CRITICAL", "garbled"),
    Fault("oversized", [*LOGGED_IN[:3], flood(b"x" * 4096)], "CRITICAL", "oversized"),
    Fault(
        "echo",
        refusing(b"-ERR PASS " + CANARY.encode() + b" is wrong"),
        "CRITICAL",
        "credentials",
        "PASS *** is wrong",
    ),
    Fault(
        "echo in upper case",
        refusing(b"-ERR " + CANARY.upper().encode()),
        "CRITICAL",
        "credentials",
        "***",
    ),
    Fault("two replies", [expect(), say(b"+OK\r\n+OK\r\n"), silence()], "CRITICAL", "garbled"),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", LOGINS, ids=ids)
def test_logins(fault: Fault, mode: str, pki: Pki) -> None:
    """Faults 45 to 51; one attempt a run, whatever the answer (threat T21)."""
    with served(mode, pki, fault.steps, with_capa=True) as server:
        done = check(server, *flags(mode, pki, login=True), "-vvv")

    assert done.line.startswith(f"POP3 {fault.state} - login: ")
    assert kinds(done) == [fault.kind]
    assert fault.text in done.line
    assert server.connections == 1
    assert sum(line.startswith(b"PASS") for line in server.commands) <= 1
    if mode == "plain":
        assert "(cleartext login)" in done.line
    else:
        assert CANARY.encode() not in server.received_in_clear


@pytest.mark.parametrize(
    "said",
    [
        b"-ERR [AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.",
        b"-ERR [AUTH] Cleartext authentication disallowed on non-secure (SSL/TLS) connections.",
    ],
)
def test_a_server_that_wants_tls_first(said: bytes, pki: Pki) -> None:
    """Fault 47."""
    with ScriptedServer([GREETING, expect(b"USER"), say(said + b"\r\n"), *BYE]) as server:
        done = check(server, *flags("plain", pki, login=True), "--auth", "user")

    assert kinds(done) == ["cleartext-refused"]
    assert "try: use -S or --starttls" in done.out


def auth(name: bytes, *steps: Step) -> list[Step]:
    return [expect(b"AUTH " + name), *steps, *BYE]


QUESTION = say(b"+ \r\n")
CANCEL = [expect(b"*"), say(b"-ERR cancelled\r\n")]
TOKEN_ERROR = say(b"+ eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=\r\n")  # {"status":"invalid_token"}

EXCHANGES = [
    ("plain", Fault("fine", auth(b"PLAIN ", say(b"+OK\r\n")), "OK", None)),
    ("plain", Fault("no", auth(b"PLAIN ", say(b"-ERR [AUTH] no\r\n")), "CRITICAL", "credentials")),
    (
        "plain",
        Fault("asks twice", auth(b"PLAIN ", QUESTION, *CANCEL), "CRITICAL", "garbled", "cancelled"),
    ),
    (
        "cram-md5",
        Fault(
            "53", auth(b"CRAM-MD5", say(b"+ not!\r\n"), *CANCEL), "CRITICAL", "garbled", "base64"
        ),
    ),
    (
        "cram-md5",
        Fault(
            "53 hangs up",
            auth(b"CRAM-MD5", say(b"+ !\r\n"), expect(b"*"), drop()),
            "CRITICAL",
            "garbled",
            "base64",
        ),
    ),
    (
        "cram-md5",
        Fault(
            "53 long",
            auth(b"CRAM-MD5", flood(b"+ " + b"x" * 9998)),
            "CRITICAL",
            "garbled",
            "more than 12288 octets",
        ),
    ),
    (
        "cram-md5",
        Fault(
            "an endless refusal",
            auth(b"CRAM-MD5", flood(b"-ERR " + b"x" * 9998)),
            "CRITICAL",
            "oversized",
        ),
    ),
    (
        "cram-md5",
        Fault("53 empty", auth(b"CRAM-MD5", say(b"+\n"), *CANCEL), "CRITICAL", "garbled", "empty"),
    ),
    (
        "cram-md5",
        Fault(
            "only pretended",
            auth(b"CRAM-MD5", say(b"-ERR I just pretended to implement CRAM-MD5\r\n")),
            "CRITICAL",
            "credentials",
            "just pretended",
        ),
    ),
    ("cram-md5", Fault("dropped", [expect(b"AUTH"), drop()], "CRITICAL", "closed")),
    (
        "login",
        Fault(
            "53 endless",
            auth(b"LOGIN", QUESTION, expect(), QUESTION, expect(), QUESTION, *CANCEL),
            "CRITICAL",
            "garbled",
            "one more than this mechanism has",
        ),
    ),
    (
        "login",
        Fault(
            "53 words",
            auth(b"LOGIN", say(b"+ Username:\r\n"), *CANCEL),
            "CRITICAL",
            "garbled",
            "base64",
        ),
    ),
    ("login", Fault("55", auth(b"LOGIN", say(b"+OK\r\n")), "CRITICAL", "garbled", "complete")),
    (
        "login",
        Fault(
            "50",
            auth(b"LOGIN", QUESTION, expect(), QUESTION, expect(), say(b"-ERR [SYS/TEMP] x\r\n")),
            "WARNING",
            "temporary",
        ),
    ),
    (
        "login",
        Fault("51", [*auth(b"LOGIN", QUESTION, expect(), drop())[:-2]], "CRITICAL", "closed"),
    ),
    (
        "xoauth2",
        Fault(
            "fine", auth(b"XOAUTH2", QUESTION, expect(b"dXNlcj1tb"), say(b"+OK\r\n")), "OK", None
        ),
    ),
    (
        "xoauth2",
        Fault(
            "54",
            auth(b"XOAUTH2", QUESTION, expect(), TOKEN_ERROR, expect(b""), say(b"-ERR no\r\n")),
            "CRITICAL",
            "credentials",
            "token refused: invalid_token",
        ),
    ),
    (
        "xoauth2",
        Fault(
            "54 for now",
            auth(
                b"XOAUTH2", QUESTION, expect(), TOKEN_ERROR, expect(), say(b"-ERR [SYS/TEMP]\r\n")
            ),
            "WARNING",
            "temporary",
            "token refused: invalid_token - [SYS/TEMP]",
        ),
    ),
    (
        "xoauth2",
        Fault(
            "54 hangs up",
            [expect(b"AUTH"), QUESTION, expect(), TOKEN_ERROR, expect(), drop()],
            "CRITICAL",
            "credentials",
            "token refused: invalid_token",
        ),
    ),
    (
        "xoauth2",
        Fault(
            "54 and a success",
            auth(b"XOAUTH2", QUESTION, expect(), TOKEN_ERROR, expect(), say(b"+OK\r\n")),
            "CRITICAL",
            "garbled",
            "complete",
        ),
    ),
    (
        "oauthbearer",
        Fault(
            "54",
            auth(b"OAUTHBEARER", TOKEN_ERROR, expect(b"AQ=="), say(b"-ERR no\r\n")),
            "CRITICAL",
            "credentials",
            "token refused: invalid_token",
        ),
    ),
    (
        "oauthbearer",
        Fault(
            "54 unpadded",
            auth(
                b"OAUTHBEARER",
                say(b"+ eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0\r\n"),
                expect(b"AQ=="),
                say(b"-ERR Authentication failed\r\n"),
            ),
            "CRITICAL",
            "credentials",
            "token refused: invalid_token - Authentication failed",
        ),
    ),
    (
        "scram-sha-256",
        Fault(
            "no proof", auth(b"SCRAM-SHA-256 ", say(b"+OK\r\n")), "CRITICAL", "garbled", "complete"
        ),
    ),
    (
        "scram-sha-1",
        Fault(
            "an error",
            auth(b"SCRAM-SHA-1 ", say(b"+ ZT11bmtub3duLXVzZXI=\r\n"), expect(), say(b"-ERR\r\n")),
            "CRITICAL",
            "credentials",
            "rejected user monitor: unknown-user",
        ),
    ),
    (
        "plain",
        Fault("dropped", [expect(b"AUTH"), drop()], "CRITICAL", "closed", "closed the connection"),
    ),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("how", "fault"), EXCHANGES, ids=[f"{how} {fault.name}" for how, fault in EXCHANGES]
)
def test_exchanges(how: str, fault: Fault, mode: str, pki: Pki) -> None:
    """Faults 53 to 55, in SASL; the secret is in no line that is shown."""
    stat = [expect(b"STAT"), say(b"+OK 2 320\r\n"), *BYE]
    steps = [*fault.steps[:-2], *stat] if fault.state == "OK" else fault.steps
    offered = say(f"+OK\r\nSASL {how.upper()}\r\n.\r\n".encode())
    if mode == "stls":
        server = ScriptedServer([*upgraded(pki)[:-1], offered, *steps])
    else:
        tls = pki.server("good") if mode == "tls" else None
        server = ScriptedServer([GREETING, expect(b"CAPA"), offered, *steps], tls=tls)
    with server:
        done = check(server, *flags(mode, pki, login=True), "--auth", how, "-vvv")

    assert done.line.startswith(f"POP3 {fault.state} - ")
    assert kinds(done) == ([fault.kind] if fault.kind else [])
    assert fault.text in done.line
    assert server.connections == 1
    assert server.surprises == []
    assert sum(line.startswith(b"AUTH") for line in server.commands) == 1
    if mode != "plain":
        assert b"AUTH" not in server.received_in_clear


MAILBOXES = [
    *(
        Fault(f"56 {said[:12]!r}", [say(said + b"\r\n"), *BYE], "CRITICAL", "mailbox", "malformed")
        for said in (b"+OK", b"+OK 7", b"+OK seven 1", b"+OK -1 5", b"+OK " + b"9" * 500 + b" 1")
    ),
    Fault("57", [say(b"-ERR cannot\r\n"), *BYE], "CRITICAL", "mailbox", "cannot read the mailbox"),
    Fault("57 TEMP", [say(b"-ERR [SYS/TEMP] x\r\n"), *BYE], "WARNING", "temporary"),
    Fault("dropped", [drop()], "CRITICAL", "closed"),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", MAILBOXES, ids=ids)
def test_mailboxes(fault: Fault, mode: str, pki: Pki) -> None:
    """Faults 56 and 57."""
    steps = [*LOGGED_IN, expect(b"STAT"), *fault.steps]
    with served(mode, pki, steps, with_capa=True) as server:
        done = check(server, *flags(mode, pki, login=True))

    assert done.line.startswith(f"POP3 {fault.state} - stat: ")
    assert kinds(done) == [fault.kind]
    assert fault.text in done.line


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("in_one_segment", [True, False])
def test_a_login_that_is_taken_back(mode: str, in_one_segment: bool, pki: Pki) -> None:
    """Fault 69: real Dovecot, when the mailbox cannot be opened."""
    withdrawn = b"-ERR [SYS/TEMP] Internal error occurred.\r\n"
    said = (
        [say(b"+OK Logged in.\r\n" + withdrawn)]
        if in_one_segment
        else [say(b"+OK Logged in.\r\n"), say(withdrawn)]
    )
    with served(mode, pki, [*LOGGED_IN[:3], *said, drop()], with_capa=True) as server:
        done = check(server, *flags(mode, pki, login=True))

    assert done.line.startswith("POP3 WARNING - stat: ")
    assert "withdrew the login: [SYS/TEMP]" in done.line
    assert kinds(done) == ["temporary"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("goodbye", "is_noted"),
    [
        ([say(b"+OK bye\r\n")], False),
        ([say(b"-ERR no\r\n")], True),
        ([drop()], True),
        ([reset()], True),
        ([silence()], True),
    ],
)
def test_good_byes(mode: str, goodbye: list[Step], is_noted: bool, pki: Pki) -> None:
    """Fault 58: nothing was deleted, so it is a note only, and costs a second at most."""
    stat = [expect(b"STAT"), say(b"+OK 2 320 octets\r\n")]
    steps = [*LOGGED_IN, *stat, expect(b"QUIT"), *goodbye]
    with served(mode, pki, steps, with_capa=True) as server:
        done = check(server, *flags(mode, pki, login=True), "-v")

    assert done.code == 0, done.out
    assert any(line.startswith("note: goodbye") for line in done.long) == is_noted
    assert server.commands[-1] == b"QUIT"
    assert float(done.perfdata["time"].split("s")[0]) < 0.9
    assert done.seconds < 2
    assert done.perfdata["messages"] == "2;;;0"
    assert done.perfdata["mailbox_size"] == "320B;;;0"


# --- other judgements ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "state"),
    [
        (["-e", "ready"], 0),
        (["-e", "Dovecot"], 1),
        (["-e", "Dovecot", "-e", "ready"], 0),
        (["-e", "Dovecot", "-e", "ready", "-A"], 1),
        (["-e", "+OK", "-e", "ready", "--all"], 0),
        (["-e", "Dovecot", "-M", "crit"], 2),
        (["-e", "Dovecot", "--state", "expect=ok"], 0),
    ],
)
def test_expected_greetings(options: list[str], state: int) -> None:
    """A miss is WARNING, as in check_pop."""
    with ScriptedServer([GREETING, *BYE]) as server:
        done = check(server, *options)

    assert done.code == state, done.out
    assert kinds(done) == (["expect"] if state else [])


@pytest.mark.parametrize(
    ("options", "state", "perfdata"),
    [
        (["-w", "5", "-c", "9"], 0, ";5;9;0;10"),
        (["-w", "0.05", "-c", "9"], 1, ";0.05;9;0;10"),
        (["-w", "0.01", "-c", "0.05"], 2, ";0.01;0.05;0;10"),
        (["-c", "@0:9"], 2, ";;@0:9;0;10"),
        (["-w", "-5:9", "-t", "7"], 0, ";-5:9;;0;7"),
    ],
)
def test_response_time(options: list[str], state: int, perfdata: str) -> None:
    """The guidelines' ranges; thresholds stand in perfdata whether crossed or not."""
    with ScriptedServer([pause(0.1), GREETING, *BYE]) as server:
        done = check(server, *options)

    assert done.code == state, done.out
    assert done.perfdata["time"].partition("s")[2] == perfdata
    assert kinds(done) == (["slow"] if state else [])


def test_a_phase_has_thresholds_of_its_own() -> None:
    """One slow phase is named."""
    with ScriptedServer([pause(0.1), GREETING, *BYE]) as server:
        done = check(server, "--phase-warning", "greeting=0.05", "--phase-critical=connect=5")

    assert done.line.startswith("POP3 WARNING - greeting: localhost:")
    assert "(limit 0.05)" in done.line
    assert done.perfdata["time_greeting"].endswith("s;0.05;;0")
    assert done.perfdata["time_connect"].endswith("s;;5;0")


@pytest.mark.parametrize(
    ("options", "state", "kind"),
    [
        (["--messages-warning", "1"], 1, "messages"),
        (["--messages-critical", "@2"], 2, "messages"),
        (["--messages-warning", "5"], 0, None),
        (["--size-warning", "1K"], 0, None),
        (["--size-critical", "0.25K"], 2, "size"),
    ],
)
def test_mailbox_thresholds(options: list[str], state: int, kind: str | None, pki: Pki) -> None:
    """From STAT after the login."""
    steps = [*LOGGED_IN, expect(b"STAT"), say(b"+OK 2 320\r\n"), *BYE]
    with served("tls", pki, steps, with_capa=True) as server:
        done = check(server, *flags("tls", pki, login=True), *options)

    assert done.code == state, done.out
    assert kinds(done) == ([kind] if kind else [])


def test_a_kind_counts_as_the_user_says() -> None:
    """`--state`, on a failure."""
    with ScriptedServer([say(b"-ERR no\r\n"), *BYE]) as server:
        as_warning = check(server, "--state", "greeting=warning")
        as_ok = check(server, "--state", "greeting=ok")

    assert as_warning.line.startswith("POP3 WARNING - greeting: ")
    assert as_ok.code == 0


def test_critical_beats_warning() -> None:
    """The worst finding is the verdict, the others follow it."""
    with ScriptedServer([pause(0.1), GREETING, *BYE]) as server:
        done = check(server, "-e", "Dovecot", "-c", "0.01")

    assert done.line.startswith("POP3 CRITICAL - localhost:")
    assert kinds(done) == ["slow", "expect"]
    assert "does not say Dovecot but +OK ready" in done.line


# --- resources -------------------------------------------------------------------------------


def test_a_flood_is_bounded(pki: Pki) -> None:
    """Threat T13: bytes read from a flooding server stay under about 1 MiB."""
    with ScriptedServer([GREETING, expect(), flood(b"+OK\r\nX\r\n" * 1000)]) as server:
        done = check(server, *flags("stls", pki))

    assert done.code == 2
    assert done.seconds < 3


def test_a_silent_server_is_left_at_the_deadline(pki: Pki) -> None:
    """Fault 6."""
    with ScriptedServer([silence()]) as server:
        done = check(server, "-t", "0.5")

    assert done.line.startswith("POP3 CRITICAL - greeting: no answer from localhost:")
    assert " within 0.5 s" in done.line
    assert kinds(done) == ["timeout"]
