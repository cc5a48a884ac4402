"""Retries of the whole command: when an attempt is repeated, and the output about it."""

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from check_pop3_plus.check import retries
from tests.pki.certificates import Pki
from tests.servers.scripted_server import (
    PoliteServer,
    ScriptedServer,
    drop,
    expect,
    pause,
    say,
    silence,
)
from tests.support.command import COMMAND, Run
from tests.support.faults import GREETING, check, flags, honest, kinds

PAUSE = retries.PAUSE_SECONDS
LATE = 1.0
"""Seconds of tolerance: other tests run in parallel."""


def test_retries_failure_persists_reports_last_attempt() -> None:
    """Three attempts with two pauses; the state is that of the last one."""
    with ScriptedServer([drop()]) as server:
        done = check(server, "--sensitivity", "high")

    assert done.code == 2
    assert done.verdict.partition(" (")[0].endswith(" before the greeting, 3 of 3 attempts failed")
    assert done.long[:2] == [
        "try: an access list, a connection limit, a failing back end of the server, or it expects a"
        " PROXY protocol header (as HAProxy with accept-proxy does)",
        "kind: closed (connection lost), in phase greeting",
    ]
    assert re.fullmatch(r"attempts: 3 in [4-9]\.\d s", done.long[2])
    assert server.connections == 3
    assert 2 * PAUSE <= done.seconds < 2 * PAUSE + LATE


def test_retries_end_with_the_first_successful_attempt() -> None:
    """The status says that an attempt failed; the figures are those of the last attempt."""
    with ScriptedServer(scripts=[[pause(0.5), drop()], [GREETING, silence()]]) as server:
        done = check(server, "--rechecks", "5")

    assert done.code == 0, done.out
    assert " s, 1 of 2 attempts failed" in done.verdict
    assert len(done.long) == 2
    assert done.long[0].startswith("attempt 1: CRITICAL: server closed the connection")
    assert server.connections == 2
    assert float(done.perfdata["time"].partition("s")[0]) < 0.5
    assert done.seconds >= PAUSE + 0.5


def test_retries_of_a_healthy_server_are_none() -> None:
    """Sensitivity costs nothing where nothing is wrong."""
    with ScriptedServer([GREETING, silence()]) as server:
        done = check(server, "--sensitivity", "very-low", "--diagnose")

    assert (done.code, done.long, server.connections) == (0, [], 1)
    assert "attempt" not in done.line


def test_retries_crossed_threshold_is_retried() -> None:
    """Slow once and fast after that is OK."""
    slow = [pause(0.6), GREETING, silence()]
    with ScriptedServer(scripts=[slow, [GREETING, silence()]]) as server:
        done = check(server, "--sensitivity", "high", "-w", "0.5")

    assert done.code == 0, done.out
    assert done.long[0].startswith("attempt 1: WARNING: answered in ")


def test_retries_that_do_not_fit_into_the_run_are_reported(pki: Pki) -> None:
    """A server that hangs: the run ends in time."""
    with ScriptedServer([silence()]) as server:
        done = check(server, "--sensitivity", "very-low", "-t", "2", "--run-timeout", "6")

    assert done.code == 2
    assert " within 2 s, 2 of 2 attempts failed" in done.verdict
    assert "attempts: 9 of 11 did not fit into --run-timeout (6 s)" in done.long
    assert 6 - LATE < done.seconds < 6 + LATE


def test_retries_are_never_cut_short() -> None:
    """Each attempt has its full timeout, or is left out."""
    with ScriptedServer([silence()]) as server:
        done = check(server, "--sensitivity", "very-low", "-t", "1", "--run-timeout", "4.5")

    assert " within 1 s, 2 of 2 attempts failed" in done.verdict
    assert "attempts: 9 of 11 did not fit into --run-timeout (4.5 s)" in done.long
    assert 4 <= done.seconds < 4.5 + LATE


@pytest.mark.threat("T21")
@pytest.mark.parametrize("mode", ["plain", "tls", "stls"])
def test_a_rejected_login_is_never_repeated(mode: str, pki: Pki) -> None:
    """Threat T21: one PASS per run, whatever the sensitivity."""
    good = pki.server("good")
    tls, stls = (good if mode == "tls" else None), (good if mode == "stls" else None)
    with PoliteServer({"monitor": "another"}, tls=tls, stls=stls) as server:
        arguments = flags(mode, pki, login=True)
        done = check(server, *arguments, "--sensitivity", "very-low", "--diagnose")

    assert kinds(done) == ["credentials"]
    assert "attempts: 1 of 11 made: a login that was not accepted is never repeated" in done.long
    assert ", 1 of 1 attempt failed" in done.verdict
    assert server.logins == ["monitor"]
    assert server.connections == 1


def login(*answer: bytes) -> list:  # type: ignore[type-arg]
    answers = [say(each) for each in answer] or [silence()]
    capa = [GREETING, expect(b"CAPA"), say(b"+OK\r\nUSER\r\n.\r\n")]
    return [*capa, expect(b"USER"), say(b"+OK\r\n"), expect(b"PASS"), *answers, silence()]


def test_a_login_without_an_answer_is_not_repeated(pki: Pki) -> None:
    """No answer may be a delayed rejection; some servers delay them by seconds."""
    with ScriptedServer(login()) as server:
        done = check(server, *flags("plain", pki, login=True), "-t", "1", "--rechecks", "3")

    assert kinds(done) == ["timeout"]
    assert server.received.count(b"PASS") == 1


@pytest.mark.parametrize("code", ["IN-USE", "SYS/TEMP"])
def test_retries_after_the_right_password_log_in_again(code: str, pki: Pki) -> None:
    """A locked mailbox may be free two seconds later; the password is read once."""
    refused = login(f"-ERR [{code}] later\r\n".encode())
    accepted = [*login()[:-2], say(b"+OK\r\n"), expect(b"STAT"), say(b"+OK 0 0\r\n"), silence()]
    with ScriptedServer(scripts=[refused, accepted]) as server:
        done = check(server, *flags("plain", pki, login=True), "--rechecks", "3")

    assert done.code == 0, done.out
    assert ", 1 of 2 attempts failed" in done.verdict
    assert server.received.count(b"PASS c4n4ry") == 2


def test_retries_run_the_password_command_once(pki: Pki, tmp_path: Path) -> None:
    """The command may query a vault that counts, or use up a token."""
    log = tmp_path / "log"
    script = tmp_path / "script.py"
    script.write_text(f"open({str(log)!r}, 'a').write('x'); print('secret')")
    with ScriptedServer([drop()]) as server:
        arguments = ("-S", "-U", "u", "--password-command", f"{sys.executable} {script}")
        done = check(server, *arguments, "--rechecks", "1")

    assert ", 2 of 2 attempts failed" in done.verdict
    assert log.read_text() == "x"


@pytest.mark.parametrize("certificate", ["expired", "wrongname"])
def test_retries_of_a_rejected_certificate_are_none(certificate: str, pki: Pki) -> None:
    """A good certificate of another back end must not hide it."""
    with PoliteServer({}, tls=pki.server(certificate)) as server:
        done = check(server, *flags("tls", pki), "--sensitivity", "very-low")

    assert done.code == 2
    assert ", 1 of 1 attempt failed" in done.verdict
    assert server.connections == 1
    assert done.seconds < PAUSE


def test_retries_of_a_local_failure_are_none() -> None:
    """A local failure is not one of the server."""
    with ScriptedServer([GREETING]) as server:
        done = check(server, "--rechecks", "3", "--source-address", "192.0.2.1")

    assert kinds(done) == ["config"]
    assert done.seconds < PAUSE


def test_retries_stopped_by_a_signal_in_a_pause_report_the_findings() -> None:
    """Fault 65: UNKNOWN, with the last failure."""
    with ScriptedServer([drop()]) as server:
        process = subprocess.Popen(
            [COMMAND, "-H", "127.0.0.1", "-p", str(server.port), "--sensitivity", "low"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        while not server.connections:
            time.sleep(0.01)
        time.sleep(0.5)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=5)

    done = honest(Run(process.returncode, out.decode(), err.decode(), 0))
    assert time.monotonic() - began < 0.5
    assert done.code == 3
    assert done.verdict.startswith(
        "POP3 UNKNOWN - stopped from outside after 1 s, before attempt 2: server "
    )
    assert ", 1 of 1 attempt failed" in done.verdict
    assert done.long == ["kind: stopped"]
    assert "time_connect" in done.perfdata
