"""Looking again before a failure is believed: when, how often, and what the verdict says."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from check_pop3_plus.check import retries
from check_pop3_plus.check.default_states import POLICIES
from check_pop3_plus.check.retries import Attempt
from check_pop3_plus.model.failures import Failure, Kind, Phase
from check_pop3_plus.model.report import Address, Report, Session
from check_pop3_plus.model.sanitised_text import Printable
from check_pop3_plus.model.settings import Limits, State
from tests.pki.certificate_facts import NOW
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
"""These tests run beside others."""


def attempt(
    *kinds: Kind,
    state: State = State.CRITICAL,
    deciding: tuple[Kind, ...] | None = None,
    login: Kind | None = None,
) -> Attempt:
    """Return a look that found this; with `login` one whose login ended so."""
    session = Session(Address("192.0.2.1", 110))
    if login:
        session.login_began = True
        session.failure = Failure(login, Phase.LOGIN, Printable("x"))
    report = Report((session,), (session,), None, None, None, NOW.timestamp())
    return Attempt(state, "words", (), kinds, kinds if deciding is None else deciding, report)


# --- the rules -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", Kind)
def test_what_may_pass_is_looked_at_again(kind: Kind) -> None:
    """By the table alone, where no login is involved."""
    assert (retries.believed(attempt(kind)) is None) == POLICIES[kind].is_transient


@pytest.mark.parametrize("kind", Kind)
def test_a_login_that_was_not_accepted_is_not_repeated(kind: Kind) -> None:
    """Silence may be a rejection on its way: only two words of the server exclude that."""
    again = retries.believed(attempt(kind, login=kind)) is None

    assert again == (kind in (Kind.IN_USE, Kind.TEMPORARY))


def test_a_login_that_was_accepted_may_be_repeated() -> None:
    """No lock-out comes from logins that succeed."""
    seen = attempt(Kind.MAILBOX, login=Kind.MAILBOX)
    assert seen.report is not None
    seen.report.sessions[0].logged_in_as = Printable("monitor")

    assert retries.believed(seen) is None


def test_the_worst_findings_decide() -> None:
    """A certificate that expires soon does not keep a refused connection from being looked at."""
    both = attempt(Kind.SLOW, Kind.EXPIRING, deciding=(Kind.SLOW,))

    assert retries.believed(both) is None
    assert retries.believed(attempt(Kind.SLOW, Kind.EXPIRING)) == (
        "expiring does not pass within seconds"
    )


GOOD = attempt(state=State.OK)
BAD = attempt(Kind.REFUSED)


@pytest.mark.parametrize(
    ("taken", "left", "why"),
    [
        ([BAD], 99, None),
        ([BAD, BAD], 99, None),
        ([BAD], 11.6, None),
        ([BAD, BAD, BAD], 99, ""),
        ([GOOD], 99, ""),
        ([BAD, GOOD], 99, ""),
        ([BAD], 11.4, "2 of 3 did not fit into --run-timeout (50 s)"),
        ([BAD, BAD], 0, "1 of 3 did not fit into --run-timeout (50 s)"),
        ([attempt(Kind.EXPIRED)], 99, "1 of 3 taken: expired does not pass within seconds"),
        (
            [BAD, attempt(Kind.CREDENTIALS, login=Kind.CREDENTIALS)],
            99,
            "2 of 3 taken: a login that was not accepted is never repeated",
        ),
    ],
)
def test_why_there_is_no_further_look(taken: list[Attempt], left: float, why: str | None) -> None:
    """None where there is one; nothing to say where all were taken."""
    assert retries.why_no_more(taken, Limits(10, 50, 2), left) == why


@pytest.mark.parametrize(
    ("taken", "rechecks", "said"),
    [
        ([BAD], 0, ""),
        ([GOOD], 2, ""),
        ([BAD], 2, ", failed 1 of 1 look"),
        ([BAD, GOOD], 2, ", failed 1 of 2 looks"),
        ([BAD, BAD, BAD], 2, ", failed 3 of 3 looks"),
        ([BAD, attempt(Kind.STOPPED, state=State.UNKNOWN)], 2, ", failed 1 of 1 look"),
        ([attempt(Kind.CONFIG, state=State.UNKNOWN)], 2, ""),
    ],
)
def test_what_the_verdict_says_of_the_looks(taken: list[Attempt], rechecks: int, said: str) -> None:
    """Nothing where it was not asked for; a failure of ours is none of the server's."""
    assert retries.failed(taken, Limits(10, 50, rechecks)) == said


# --- the command -----------------------------------------------------------------------------


def test_a_failure_that_stays() -> None:
    """Three looks, two pauses, and the verdict of the last one."""
    with ScriptedServer([drop()]) as server:
        done = check(server, "--sensitivity", "high")

    assert done.code == 2
    assert done.verdict.endswith(" before the greeting, failed 3 of 3 looks")
    assert done.long[:2] == [
        "kind: closed, in phase greeting",
        "try: too many connections, an access list, or a failing back end",
    ]
    assert [line.partition(":")[0] for line in done.long[2:4]] == ["look 1", "look 2"]
    assert server.connections == 3
    assert 2 * PAUSE <= done.seconds < 2 * PAUSE + LATE


def test_the_first_good_look_ends_the_run() -> None:
    """OK, which says that it was not the first; the numbers are those of the last look."""
    with ScriptedServer(scripts=[[pause(0.5), drop()], [GREETING, silence()]]) as server:
        done = check(server, "--rechecks", "5")

    assert done.code == 0, done.out
    assert done.verdict.endswith(" s, failed 1 of 2 looks")
    assert len(done.long) == 1
    assert done.long[0].startswith("look 1: CRITICAL: greeting: localhost:")
    assert server.connections == 2
    assert float(done.perfdata["time"].partition("s")[0]) < 0.5
    assert done.seconds >= PAUSE + 0.5


def test_a_healthy_server_is_looked_at_once() -> None:
    """Sensitivity costs nothing where nothing is wrong."""
    with ScriptedServer([GREETING, silence()]) as server:
        done = check(server, "--sensitivity", "very-low", "--diagnose")

    assert (done.code, done.long, server.connections) == (0, [], 1)
    assert "look" not in done.line
    assert done.seconds < PAUSE


def test_a_crossed_threshold_may_pass() -> None:
    """Slow once, and not again: OK, with its thresholds."""
    slow = [pause(0.6), GREETING, silence()]
    with ScriptedServer(scripts=[slow, [GREETING, silence()]]) as server:
        done = check(server, "--sensitivity", "high", "-w", "0.5")

    assert done.code == 0, done.out
    assert done.long[0].startswith("look 1: WARNING: localhost:")


def test_looks_stay_inside_the_run(pki: Pki) -> None:
    """A stuck server: those that do not fit are left out, and named."""
    with ScriptedServer([silence()]) as server:
        done = check(server, "--sensitivity", "very-low", "-t", "2", "--run-timeout", "6")

    assert done.code == 2
    assert done.verdict.endswith(" within 2 s, failed 2 of 2 looks")
    assert "looks: 9 of 11 did not fit into --run-timeout (6 s)" in done.long
    assert 6 - LATE < done.seconds < 6 + LATE


def test_as_many_looks_as_fit() -> None:
    """Each has its time: one that is cut short would prove nothing."""
    with ScriptedServer([silence()]) as server:
        done = check(server, "--sensitivity", "very-low", "-t", "1", "--run-timeout", "4.5")

    assert done.verdict.endswith(" within 1 s, failed 2 of 2 looks")
    assert "looks: 9 of 11 did not fit into --run-timeout (4.5 s)" in done.long
    assert 4 <= done.seconds < 4.5


@pytest.mark.threat("T21")
@pytest.mark.parametrize("mode", ["plain", "tls", "stls"])
def test_a_rejected_login_is_never_repeated(mode: str, pki: Pki) -> None:
    """Threat T21: one PASS a run, whatever the sensitivity."""
    good = pki.server("good")
    tls, stls = (good if mode == "tls" else None), (good if mode == "stls" else None)
    with PoliteServer({"monitor": "another"}, tls=tls, stls=stls) as server:
        arguments = flags(mode, pki, login=True)
        done = check(server, *arguments, "--sensitivity", "very-low", "--diagnose")

    assert kinds(done) == ["credentials"]
    assert "looks: 1 of 11 taken: a login that was not accepted is never repeated" in done.long
    assert ", failed 1 of 1 look" in done.verdict
    assert server.logins == ["monitor"]
    assert server.connections == 1


def login(*answer: bytes) -> list:  # type: ignore[type-arg]
    said = [say(each) for each in answer] or [silence()]
    capa = [GREETING, expect(b"CAPA"), say(b"+OK\r\nUSER\r\n.\r\n")]
    return [*capa, expect(b"USER"), say(b"+OK\r\n"), expect(b"PASS"), *said, silence()]


def test_a_login_without_an_answer_is_not_repeated(pki: Pki) -> None:
    """It may be a rejection that takes its time; some servers punish with seconds of delay."""
    with ScriptedServer(login()) as server:
        done = check(server, *flags("plain", pki, login=True), "-t", "1", "--rechecks", "3")

    assert kinds(done) == ["timeout"]
    assert server.received.count(b"PASS") == 1


@pytest.mark.parametrize("code", ["IN-USE", "SYS/TEMP"])
def test_what_was_said_with_the_right_password_may_pass(code: str, pki: Pki) -> None:
    """A locked mailbox may be free two seconds later; the variable is read once for both looks."""
    refused = login(f"-ERR [{code}] later\r\n".encode())
    accepted = [*login()[:-2], say(b"+OK\r\n"), expect(b"STAT"), say(b"+OK 0 0\r\n"), silence()]
    with ScriptedServer(scripts=[refused, accepted]) as server:
        done = check(server, *flags("plain", pki, login=True), "--rechecks", "3")

    assert done.code == 0, done.out
    assert ", failed 1 of 2 looks" in done.verdict
    assert server.received.count(b"PASS c4n4ry") == 2


def test_a_password_command_runs_once_for_all_looks(pki: Pki, tmp_path: Path) -> None:
    """It may ask a vault that counts, or cost a token."""
    log = tmp_path / "log"
    script = tmp_path / "script.py"
    script.write_text(f"open({str(log)!r}, 'a').write('x'); print('secret')")
    with ScriptedServer([drop()]) as server:
        arguments = ("-S", "-U", "u", "--password-command", f"{sys.executable} {script}")
        done = check(server, *arguments, "--rechecks", "1")

    assert ", failed 2 of 2 looks" in done.verdict
    assert log.read_text() == "x"


@pytest.mark.parametrize("certificate", ["expired", "wrongname"])
def test_a_bad_certificate_is_believed_at_once(certificate: str, pki: Pki) -> None:
    """It does not heal, and another back end's good one must not hide it."""
    with PoliteServer({}, tls=pki.server(certificate)) as server:
        done = check(server, *flags("tls", pki), "--sensitivity", "very-low")

    assert done.code == 2
    assert done.verdict.endswith(", failed 1 of 1 look")
    assert server.connections == 1
    assert done.seconds < PAUSE


def test_what_is_wrong_here_is_not_repeated() -> None:
    """UNKNOWN says nothing of the server."""
    with ScriptedServer([GREETING]) as server:
        done = check(server, "--rechecks", "3", "--source-address", "192.0.2.1")

    assert kinds(done) == ["config"]
    assert done.seconds < PAUSE


def test_a_signal_in_a_pause_ends_the_run_at_once() -> None:
    """Fault 65: UNKNOWN as ever, with what had been found until then."""
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
        "POP3 UNKNOWN - stopped from outside after 1 s, before look 2: greeting: 127.0.0.1:"
    )
    assert done.verdict.endswith(", failed 1 of 1 look")
    assert done.long[0] == "kind: stopped"
    assert done.long[1].startswith("look 1: CRITICAL: greeting: ")
    assert "time_connect" in done.perfdata
