"""Faults of capability lists and of STLS, by the installed command."""

import pytest

from tests.pki.certificates import Pki
from tests.servers.scripted_server import (
    ScriptedServer,
    Step,
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
from tests.support.command import Run
from tests.support.faults import (
    BYE,
    CANARY,
    GREETING,
    IN_TLS,
    LOGGED_IN,
    OFFERED,
    Fault,
    check,
    flags,
    kinds,
    params,
    upgraded,
)

LISTS = {
    "21 refused": b"-ERR what\r\n",
    "22 empty": b"+OK\r\n.\r\n",
    "22 blank line": b"+OK\r\n\r\nSTLS\r\nUSER\r\n.\r\n",
    "22 8-bit": b"+OK\r\nSTLS\r\nUSER\r\n\xff\xfe\r\nIMPLEMENTATION \xfc\r\n.\r\n",
    "22 twice": b"+OK\r\nSTLS\r\nUSER\r\nSTLS\r\n.\r\n",
    "22 lower case": b"+OK\r\nstls\r\nuser\r\n.\r\n",
    "22 LF": b"+OK\nSTLS\nUSER\n.\n",
    "70 odd capabilities": b"+OK\r\nSASL\r\nEXPIRENEVER\r\nPIPELINE\r\nSTLS\r\nUSER\r\n.\r\n",
}


def lists() -> list[Fault]:
    return [Fault(name, [say(reply)], "OK", None) for name, reply in LISTS.items()]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", params(lists()))
def test_capa_unusual_list_is_tolerated(fault: Fault, mode: str, pki: Pki) -> None:
    """With an empty list STLS is tried once, and the login as if there were no list."""
    stat = [expect(b"STAT"), say(b"+OK 2 320\r\n"), *BYE]
    login = [*LOGGED_IN, *stat]
    is_empty = "empty" in fault.name
    if is_empty:  # it offers neither USER nor a mechanism
        login = BYE
    listed = [expect(b"CAPA"), *fault.steps]
    if mode == "stls":
        begin = [start_tls(pki.server("good")), expect(b"CAPA"), say(IN_TLS)]
        upgrade = [expect(b"STLS"), say(b"+OK\r\n"), *begin]
        steps = [GREETING, *listed, *(BYE if is_empty else [*upgrade, *login])]
        server = ScriptedServer(steps)
    else:
        tls = pki.server("good") if mode == "tls" else None
        server = ScriptedServer([GREETING, *listed, *login], tls=tls)
    # An empty list is odd and no failure where nothing depends on what is in it.
    options = ["--require-capa", "USER", "--state", "no-capability=ok"] if is_empty else []
    with server:
        done = check(server, *flags(mode, pki, login=not is_empty), *options, "-v")

    if is_empty and mode == "stls":
        assert kinds(done) == ["no-stls"]
        assert "time_capa" in done.perfdata
        assert "time_stls" not in done.perfdata  # it was not sent
    else:
        assert done.code == 0, done.out
        assert server.surprises == []
        assert server.commands.count(b"STLS") == (mode == "stls")


CAPABILITIES = [
    Fault(
        "24 many lines",
        [expect(), say(b"+OK\r\n"), flood(b"XYZZY\r\n" * 100)],
        "CRITICAL",
        "oversized",
    ),
    Fault("24 one line", [expect(), say(b"+OK\r\n"), flood(b"x" * 9999)], "CRITICAL", "oversized"),
    Fault("25 at once", [expect(), drop()], "CRITICAL", "closed", "closed the connection"),
    Fault(
        "25 half",
        [expect(), say(b"+OK\r\nUSER\r\n"), drop()],
        "CRITICAL",
        "closed",
        "middle of a reply",
    ),
    Fault("59 capa", [expect(), say(b"+O"), drop()], "CRITICAL", "closed", "middle of a reply"),
    Fault("garbled", [expect(), say(b"hello\r\n"), silence()], "CRITICAL", "garbled"),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", params(CAPABILITIES))
def test_capa_fault_is_reported(fault: Fault, mode: str, pki: Pki) -> None:
    """Faults 24 and 25, and no password is sent."""
    tls = pki.server("good") if mode == "tls" else None
    with ScriptedServer([GREETING, *fault.steps], tls=tls) as server:
        done = check(server, *flags(mode, pki, login=True))

    assert done.line.startswith(f"POP3 {fault.state} - ")
    assert kinds(done) == [fault.kind]
    assert fault.text in done.line
    assert server.commands == [b"CAPA"]


STLS = [
    Fault(
        "26",
        [GREETING, expect(b"CAPA"), say(b"+OK\r\nUSER\r\n.\r\n"), *BYE],
        "CRITICAL",
        "no-stls",
        " - server does not offer STLS (localhost",
    ),
    Fault(
        "27 -ERR",
        [*OFFERED, say(b"-ERR no\r\n"), *BYE],
        "CRITICAL",
        "no-stls",
        "refuses STLS: no",
    ),
    Fault(
        "a bare -ERR to STLS",
        [*OFFERED, say(b"-ERR\r\n"), *BYE],
        "CRITICAL",
        "no-stls",
        "(no reason given)",
    ),
    Fault("27 PERM", [*OFFERED, say(b"-ERR [SYS/PERM] no\r\n"), *BYE], "CRITICAL", "no-stls"),
    Fault(
        "28 EOF",
        [*OFFERED, say(b"+OK\r\n"), drop()],
        "CRITICAL",
        "tls",
        "accepted STLS and then",
    ),
    Fault("28 reset", [*OFFERED, say(b"+OK\r\n"), reset()], "CRITICAL", "tls"),
    Fault(
        "28 plain text",
        [*OFFERED, say(b"+OK\r\n"), pause(0.2), say(b"+OK what?\r\n")],
        "CRITICAL",
        "tls",
        "plain text",
    ),
    *(
        Fault(
            f"29 {name}",
            [*OFFERED, say(b"+OK\r\n" + tail), silence()],
            "CRITICAL",
            "injected",
        )
        for name, tail in (
            ("full line", b"+OK injected\r\n"),
            ("half line", b"+O"),
            ("half line of one byte", b"x"),
            ("binary", b"\x16\x03\x01"),
            ("64 KiB", b"x" * 65536),
        )
    ),
]


@pytest.mark.threat("T1", "T2")
@pytest.mark.parametrize("mode", ["stls"])
@pytest.mark.parametrize("fault", params(STLS))
def test_stls_fault_is_reported(fault: Fault, mode: str, pki: Pki) -> None:
    """Threats T1 and T2: STLS is required, and no password is sent without it."""
    with ScriptedServer(fault.steps) as server:
        done = check(server, *flags(mode, pki, login=True))

    assert done.line.startswith(f"POP3 {fault.state} - ")
    assert kinds(done) == [fault.kind]
    assert fault.text in done.line
    assert b"USER" not in server.received
    assert CANARY.encode() not in server.received


@pytest.mark.threat("T2")
def test_stls_data_in_next_segment_is_injected(pki: Pki) -> None:
    """Threat T2: data from before the handshake is not read as if received inside TLS."""
    steps = [
        *OFFERED,
        say(b"+OK\r\n"),
        say(b"+OK\r\n+OK\r\n"),
        start_tls(pki.server("good")),
        *BYE,
    ]
    with ScriptedServer(steps) as server:
        done = check(server, *flags("stls", pki, login=True))

    assert done.code == 2
    assert kinds(done)[0] in ("injected", "tls")
    assert CANARY.encode() not in server.received


@pytest.mark.threat("T3")
def test_stls_capabilities_from_before_are_dropped(pki: Pki) -> None:
    """Threat T3: the login method is chosen from the list inside TLS."""
    steps = [*upgraded(pki)[:-1], say(b"+OK\r\nSASL XOAUTH2\r\n.\r\n"), *BYE]
    with ScriptedServer(steps) as server:
        done = check(server, *flags("stls", pki, login=True))

    assert kinds(done) == ["no-mechanism"]
    assert "XOAUTH2" in done.line
    assert server.commands == [b"CAPA", b"STLS", b"CAPA", b"QUIT"]


@pytest.mark.fault(28, case="silence", modes=["stls"])
def test_stls_accepted_without_handshake_times_out(pki: Pki) -> None:
    """The phase is that of the handshake."""
    with ScriptedServer([*OFFERED, say(b"+OK\r\n"), silence()]) as server:
        done = check(server, *flags("stls", pki, login=True), "-t", "1")

    assert kinds(done) == ["timeout"]
    assert CANARY.encode() not in server.received


@pytest.mark.threat("T13")
@pytest.mark.parametrize("mode", MODES)
def test_capa_flood_is_oversized(mode: str, pki: Pki) -> None:
    """Neither the time of the attempt nor more than 1 MiB plus the socket buffers is used."""
    tls = pki.server("good") if mode == "tls" else None
    steps = [GREETING, expect(), flood(b"+OK\r\nX\r\n" * 1000)]
    with ScriptedServer(steps, tls=tls) as server:
        done = check(server, *flags(mode, pki, login=True))

    assert kinds(done) == ["oversized"]
    assert done.seconds < 3
    assert server.flooded < 16 * 1024 * 1024


REFUSALS_IN_TLS = {
    "certificate": (b"-ERR No required SSL certificate", "client-certificate"),
    "temporary": (b"-ERR [SYS/TEMP] too many connections", "greeting-temporary"),
    "permanent": (b"-ERR [SYS/PERM] closed", "greeting"),
    "other": (b"-ERR go away", "greeting"),
}


def refusals_in_tls(number: int) -> list[pytest.ParameterSet]:
    """Return words and kinds of refusals, which claim the cases of a row."""
    return [
        pytest.param(*refusal, id=case, marks=pytest.mark.fault(number, case=case))
        for case, refusal in REFUSALS_IN_TLS.items()
    ]


@pytest.mark.parametrize("mode", ["stls"])
@pytest.mark.parametrize("login", [False, True])
@pytest.mark.parametrize("knows_capa", [True, False])
@pytest.mark.parametrize("end", [drop(), reset()], ids=["drop", "reset"])
@pytest.mark.parametrize(("said", "kind"), refusals_in_tls(71))
def test_capa_refused_inside_tls_is_a_refusal(
    said: bytes, kind: str, end: Step, knows_capa: bool, login: bool, mode: str, pki: Pki
) -> None:
    """If the connection ends, CAPA need not have worked before STLS."""
    session = upgraded(pki)
    if not knows_capa:
        session[2] = say(b"-ERR unknown command\r\n")
    steps = [*session[:-1], say(said + b"\r\n"), pause(0.05), end]
    with ScriptedServer(steps) as server:
        done = check(server, *flags(mode, pki, login=login))

    assert_refused(done, server, said, kind)


def assert_refused(done: Run, server: ScriptedServer, said: bytes, kind: str) -> None:
    """Assert that a run is CRITICAL with the words of the server, and sent it no password."""
    assert done.code == 2, done.out
    assert kinds(done) == [kind]
    assert said.decode().removeprefix("-ERR ") in done.line
    assert CANARY.encode() not in server.received


@pytest.mark.parametrize("mode", ["stls"])
@pytest.mark.parametrize("login", [False, True])
@pytest.mark.parametrize("wait", [0, 0.001, 0.005, 0.02])
@pytest.mark.parametrize(("said", "kind"), refusals_in_tls(72))
def test_refusal_unasked_inside_tls_is_the_same_refusal(
    said: bytes, kind: str, wait: float, login: bool, mode: str, pki: Pki
) -> None:
    """It does not matter whether it arrives before CAPA is sent."""
    steps = [*upgraded(pki)[:-2], pause(wait), say(said + b"\r\n"), drop()]
    with ScriptedServer(steps) as server:
        done = check(server, *flags(mode, pki, login=login))

    assert_refused(done, server, said, kind)


@pytest.mark.parametrize("is_known_before", [False, True])
def test_capa_unknown_inside_tls_is_tolerated_if_it_was_before(
    is_known_before: bool, pki: Pki
) -> None:
    """A server without CAPA refuses it before and inside TLS."""
    session = upgraded(pki)[:-1]
    if not is_known_before:
        session[2] = say(b"-ERR unknown command\r\n")
    with ScriptedServer([*session, say(b"-ERR unknown\r\n"), *BYE]) as server:
        done = check(server, *flags("stls", pki))

    assert done.code == (2 if is_known_before else 0), done.out
