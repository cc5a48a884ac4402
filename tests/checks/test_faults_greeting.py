"""Faults up to the greeting, by the installed command, in every mode."""

import pytest

from tests.pki.certificates import Pki
from tests.servers.scripted_server import (
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
from tests.support.catalogue import MODES
from tests.support.faults import BYE, CANARY, IN_TLS, OFFERED, Fault, check, flags, kinds, params

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
        "9 binary",
        [say(b"\x15\x03\x01\x00\x02\x02\x0a\r\n")],
        "CRITICAL",
        "garbled",
        "looks like TLS",
    ),
    Fault("11", [say(b"-ERR go away\r\n"), *BYE], "CRITICAL", "greeting", "refuses service: go"),
    Fault(
        "12", [say(b"-ERR [SYS/TEMP] busy\r\n"), *BYE], "CRITICAL", "greeting-temporary", "SYS/TEMP"
    ),
    Fault(
        "a finer temporary code",
        [say(b"-ERR [SYS/TEMP/LOAD] busy\r\n"), *BYE],
        "CRITICAL",
        "greeting-temporary",
    ),
    Fault("another code", [say(b"-ERR [SYS/TEMPLE] x\r\n"), *BYE], "CRITICAL", "greeting"),
    Fault(
        "73 a certificate demanded",
        [say(b"-ERR No required SSL certificate\r\n"), drop()],
        "CRITICAL",
        "client-certificate",
        "No required SSL certificate",
    ),
    Fault("a bare -ERR", [say(b"-ERR\r\n"), *BYE], "CRITICAL", "greeting", "(no reason given)"),
    Fault("13", [say(b"-ERR [SYS/PERM] never\r\n"), *BYE], "CRITICAL", "greeting", "SYS/PERM"),
    *(
        Fault(f"14 malformed {line!r}", [say(line + b"\r\n"), silence()], "CRITICAL", "garbled")
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
    Fault("59 greeting", [say(b"+OK rea"), drop()], "CRITICAL", "closed", "middle of a reply"),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", params(GREETINGS))
def test_greeting_fault_is_reported(fault: Fault, mode: str, pki: Pki) -> None:
    """A server without a valid greeting is a failure, and gets no password."""
    tls = pki.server("good") if mode == "tls" else None
    with ScriptedServer(fault.steps, tls=tls) as server:
        done = check(server, *flags(mode, pki, login=True))

    assert done.line.startswith(f"POP3 {fault.state} - ")
    assert kinds(done) == [fault.kind]
    assert fault.text in done.line
    assert b"USER" not in server.received


def greeting(mode: str, pki: Pki, *steps: Step) -> ScriptedServer:
    """Return a server whose greeting is `steps`, and whose other replies are good."""
    if mode != "stls":
        return ScriptedServer([*steps, *BYE], tls=pki.server("good") if mode == "tls" else None)
    in_tls = [start_tls(pki.server("good")), expect(b"CAPA"), say(IN_TLS)]
    return ScriptedServer([*steps, *OFFERED[1:], say(b"+OK\r\n"), *in_tls, *BYE])


TOLERATED = [
    Fault("15 LF only", [say(b"+OK ready\n")], "OK", None),
    Fault("17 all of them", [say(b"+OK \0\x1b[31m\xff|x=1 <script>`id`\r\n")], "OK", None),
    Fault("18 in time", [drip(b"+OK hi\r\n", 0.02)], "OK", None),
    Fault("70 bare greeting", [say(b"+OK\r\n")], "OK", None),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", params(TOLERATED))
def test_greeting_unusual_is_tolerated(fault: Fault, mode: str, pki: Pki) -> None:
    """A tolerated greeting is sanitised, and a warning is shown with -v."""
    with greeting(mode, pki, *fault.steps) as server:
        done = check(server, *flags(mode, pki), "-v")

    assert done.code == 0, done.out
    assert server.commands[-1] == b"QUIT"


@pytest.mark.threat("T11", "T12")
@pytest.mark.parametrize(
    "said",
    [
        b"<script>alert(1)</script>",
        b"\x1b]0;owned\x07\x1b[31m\x9b31m",
        b"x|time=0s;;;; cert_days=999",
        b"<1896.697170952@pop.example.test>",
        b"$(reboot) `id` $USER1$ %n",
        "x\u2028POP3 OK\u202e\u0085\ufeff".encode(),
        b"x\rPOP3 OK - fine | time=0s\r",
    ],
)
def test_greeting_with_markup_is_sanitised(said: bytes) -> None:
    """A greeting cannot add markup, commands, metrics or a status, at any verbosity."""
    with ScriptedServer([say(b"+OK " + said + b"\r\n"), *BYE]) as server:
        fine = check(server, "-vvv")
        missed = check(server, "-vvv", "-e", "nothing")
    with ScriptedServer([say(b"-ERR " + said + b"\r\n"), *BYE]) as server:
        refused = check(server, "-vvv")

    assert [done.code for done in (fine, missed, refused)] == [0, 1, 2]
    assert all(set(done.perfdata) <= LABELS for done in (fine, missed, refused))
    assert "transcript: S: +OK " in fine.out
    # `check` has asserted the rest: no such character, and both readers read what was meant.


LABELS = {"time", "time_resolve", "time_connect", "time_greeting"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(14, case="lower case")
def test_greeting_lower_case_is_a_warning(mode: str, pki: Pki) -> None:
    """Clients that compare without case accept it."""
    with greeting(mode, pki, say(b"+ok ready\r\n")) as server:
        done = check(server, *flags(mode, pki))

    assert done.line.startswith("POP3 WARNING - ")
    assert "greeting in lower case" in done.line
    assert kinds(done) == ["garbled"]


@pytest.mark.parametrize(
    ("mode", "login", "state"),
    [
        pytest.param("plain", False, 1, marks=pytest.mark.fault(19)),
        pytest.param("tls", False, 1, marks=pytest.mark.fault(19)),
        pytest.param("plain", True, 2, marks=pytest.mark.fault(19, case="login")),
        pytest.param("tls", True, 2, marks=pytest.mark.fault(19, case="login")),
        pytest.param("stls", True, 2, marks=pytest.mark.fault(19, case="login")),
        pytest.param("stls", False, 2, marks=pytest.mark.fault(19, case="required")),
    ],
)
def test_greeting_with_unsolicited_lines_is_garbled(
    mode: str, login: bool, state: int, pki: Pki
) -> None:
    """A warning; a failure with STLS or a login."""
    steps = [say(b"+OK ready\r\n+OK again\r\n"), silence()]
    tls = pki.server("good") if mode == "tls" else None
    with ScriptedServer(steps, tls=tls) as server:
        done = check(server, *flags(mode, pki, login=login))

    assert done.code == state, done.out
    assert kinds(done) == ["garbled"]
    assert "unexpected data after the greeting: +OK again" in done.line
    assert CANARY.encode() not in server.received


@pytest.mark.threat("T27")
@pytest.mark.parametrize("mode", ["plain", "stls"])
@pytest.mark.fault(9, case="silence")
def test_greeting_of_tls_port_times_out_with_hint(mode: str, pki: Pki) -> None:
    """Client and server wait for each other; the hint names the option to try."""
    with ScriptedServer([say(b"+OK ready\r\n")], tls=pki.server("good")) as server:
        done = check(server, *flags(mode, pki), "-t", "1")

    assert kinds(done) == ["timeout"]
    assert server.received == b""


def test_refused_service_has_no_note_about_quit() -> None:
    """A server that refuses service closes the connection; QUIT says nothing more about it."""
    with ScriptedServer([say(b"-ERR too many connections\r\n"), drop()]) as server:
        done = check(server)

    assert kinds(done) == ["greeting-temporary"]
    assert "QUIT" not in done.out
