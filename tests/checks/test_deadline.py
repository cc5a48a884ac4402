"""One absolute deadline for the result and the end of the process, whatever stalls.

On an idle machine the result may be 100 ms late and the process 250 ms. These tests run in parallel
with others, so they allow a second; `make soak` measures all points.
"""

import subprocess
import time
from pathlib import Path

import pytest

from check_pop3_plus.check.run import run_check
from check_pop3_plus.output.plugin_text import render
from tests.pki.certificates import Pki
from tests.servers.network import POLITE_SERVER, SILENT_NAME_SERVER, Network, network, within
from tests.servers.scripted_server import (
    ScriptedServer,
    Step,
    drip,
    expect,
    hears_hello,
    reset,
    say,
    silence,
)
from tests.soak.stalls import HELLO_REQUESTS, POINTS, Stage
from tests.support.command import COMMAND
from tests.support.faults import GREETING, IN_TLS, check, flags, honest, kinds, upgraded
from tests.support.settings_from import check_settings

pytestmark = pytest.mark.cost

LATE = 1.0
LIMIT = 1.0


@pytest.fixture
def net(tmp_path: Path) -> Network:
    return network(tmp_path)


@pytest.mark.threat("T15")
def test_resolver_silent_ends_at_deadline(net: Network) -> None:
    """Fault 2: the run ends although no signal interrupts getaddrinfo."""
    done = honest(net.run("-H", "slow.example.test", "-t", "1", server=SILENT_NAME_SERVER))

    assert done.line.startswith(
        "POP3 CRITICAL - no answer to the name lookup within 1 s (slow.example.test:110) | "
    )
    assert kinds(done) == ["resolver"]
    assert within(done, 1, LATE)


def test_resolver_unreachable_is_kind_resolver(net: Network) -> None:
    """A failing name server is not reported as a name that does not exist."""
    done = honest(net.run("-H", "some.example.test", "-t", "5"))

    assert kinds(done) == ["resolver"]
    assert done.code == 2


@pytest.mark.threat("T15")
def test_addresses_all_dead_share_the_time(net: Network) -> None:
    """Threat T15: each address gets an equal share of the time."""
    net.add_host("dead.example.test", *(f"192.0.2.{number}" for number in range(1, 21)))

    done = honest(net.run("-H", "dead.example.test", "-t", "2"))

    assert done.line.startswith(
        "POP3 CRITICAL - no connection within 2 s (dead.example.test:110:"
        " 192.0.2.1, 192.0.2.2, 192.0.2.3 and 17 more) | "
    )
    assert kinds(done) == ["timeout"]
    assert within(done, 2, LATE)


def test_address_dead_falls_back_to_the_next(net: Network) -> None:
    """Fault 5: the next address is tried, as a client would, and a note names the dead one."""
    net.add_host("half.example.test", "2001:db8::1", "127.0.0.1")

    done = honest(net.run("-H", "half.example.test", "-t", "2", "-v", server=POLITE_SERVER))

    assert done.code == 0, done.out
    assert "1 of 2 addresses failed" in done.line
    assert any(line.startswith("note: partial: 1 of 2 addresses tried") for line in done.long)
    assert done.seconds < 2


def test_addresses_refused_leave_their_time_to_the_others(net: Network) -> None:
    """A refusal takes no time, and its state can be changed."""
    net.add_host("some.example.test", "2001:db8::99", "127.0.0.1")

    arguments = ("-H", "some.example.test", "--state", "partial=warning")
    done = honest(net.run(*arguments, server=POLITE_SERVER))

    assert done.code == 1, done.out
    assert kinds(done) == ["partial"]


def test_addresses_all_refused_is_kind_refused(net: Network) -> None:
    """Fault 3: the kind is `refused`."""
    net.add_host("refused.example.test", "127.0.0.2", "127.0.0.3")

    done = honest(net.run("-H", "refused.example.test"))

    assert done.verdict == (
        "POP3 CRITICAL - connection refused (refused.example.test:110: 127.0.0.2, 127.0.0.3)"
    )


def test_no_route_is_kind_unreachable(net: Network) -> None:
    """A missing route has its own kind."""
    done = honest(net.run("-H", "198.51.100.1"))

    assert kinds(done) == ["unreachable"]
    assert done.code == 2


LOGIN = [expect(b"USER"), say(b"+OK\r\n"), expect(b"PASS"), say(b"+OK\r\n")]
SLOWLY = drip(b"+OK " + b"x" * 500, 0.05)

STALLS: dict[str, list[Step]] = {
    "greeting": [silence()],
    "greeting drips": [SLOWLY],
    "capa": [GREETING, expect(), silence()],
    "capa drips": [GREETING, expect(), SLOWLY],
    "capa has no end": [GREETING, expect(), say(b"+OK\r\nUSER\r\n"), silence()],
    "user": [GREETING, expect(), say(IN_TLS), expect(), silence()],
    "pass": [GREETING, expect(), say(IN_TLS), *LOGIN[:3], silence()],
    "pass drips": [GREETING, expect(), say(IN_TLS), *LOGIN[:3], SLOWLY],
    "stat": [GREETING, expect(), say(IN_TLS), *LOGIN, expect(), silence()],
}

PROVED = {
    "greeting": pytest.mark.fault(6),
    "greeting drips": pytest.mark.fault(18, case="deadline"),
    "capa has no end": pytest.mark.fault(23),
    "pass": pytest.mark.fault(51, case="silence"),
}


@pytest.mark.parametrize("mode", ["plain", "tls", "stls"])
@pytest.mark.parametrize(
    "stall", [pytest.param(name, marks=PROVED.get(name, ())) for name in STALLS]
)
@pytest.mark.threat("T14")
def test_session_stalled_at_any_step_ends_at_deadline(stall: str, mode: str, pki: Pki) -> None:
    """Threat T14: silence and slow drips, at every step, in every mode."""
    steps = STALLS[stall]
    if mode == "stls" and not stall.startswith(("greeting", "capa")):
        steps = upgraded(pki, *steps[3:])
    tls = pki.server("good") if mode == "tls" else None
    with ScriptedServer(steps, tls=tls) as server:
        done = check(server, *flags(mode, pki, login=True), "-t", str(LIMIT), as_process=True)

    came = "complete answer" if "drips" in stall or "no end" in stall else "answer"
    awaited = came.replace("answer", "greeting") if stall.startswith("greeting") else came
    assert f" - no {awaited} within " in done.line
    assert kinds(done) == ["timeout"]
    assert within(done, LIMIT, LATE), done.seconds


@pytest.mark.parametrize("mode", ["tls", "stls"])
@pytest.mark.parametrize(
    "tail",
    [[silence()], [drip(b"\x16\x03\x03\x20\x00" + b"x" * 99, 0.05)]],
    ids=["silence", "drips"],
)
@pytest.mark.fault(43)
@pytest.mark.threat("T14")
def test_handshake_stalled_ends_at_deadline(mode: str, tail: list[Step], pki: Pki) -> None:
    """A dripped TLS record counts as none."""
    offered = [GREETING, expect(b"CAPA"), say(b"+OK\r\nSTLS\r\n.\r\n"), expect(b"STLS")]
    begin = [*offered, say(b"+OK\r\n")] if mode == "stls" else []
    # Data before the ClientHello would be an injection.
    with ScriptedServer([*begin, hears_hello, *tail]) as server:
        done = check(server, *flags(mode, pki), "-t", str(LIMIT), as_process=True)

    assert done.line.startswith("POP3 CRITICAL - no answer within 1 s during the TLS handshake")
    assert kinds(done) == ["timeout"]
    assert within(done, LIMIT, LATE), done.seconds


def test_slow_greeting_within_timeout_is_ok() -> None:
    """Fault 18: slow is not broken."""
    with ScriptedServer([drip(b"+OK hello\r\n", 0.03), expect(), say(b"+OK\r\n")]) as server:
        done = check(server, "-t", "5")

    assert done.code == 0


def test_timeout_option_sets_state() -> None:
    """`-t N:STATE` sets the state of a timeout."""
    with ScriptedServer([silence()]) as server:
        done = check(server, "-t", "1:unknown")

    assert done.line.startswith("POP3 UNKNOWN - no greeting")


def test_run_timeout_below_timeout_ends_the_run() -> None:
    """The shorter limit ends the run."""
    with ScriptedServer([silence()]) as server:
        done = check(server, "-t", "20", "--run-timeout", "0.3")

    assert done.code == 2
    assert done.seconds < 0.3 + LATE


@pytest.mark.threat("T13", "T14")
@pytest.mark.parametrize(
    ("point", "mode"),
    [
        ("never reads a token of 4,000 bytes", "stls"),
        ("within the certificate", "tls"),
        ("the handshake drips", "stls"),
        ("records drip", "stls"),
        ("another handshake after the first", "tls"),
        ("flood of tickets", "tls"),
        ("flood of KeyUpdate", "stls"),
        ("endless CertificateRequest", "tls"),
        ("the connection of an assertion floods", "tls"),
        ("the token endpoint floods the handshake", "tls"),
        ("the token endpoint floods with tickets", "tls"),
        ("the programs of the diagnosis hang", "plain"),
        ("in a sweep, the API floods the handshake", "plain"),
    ],
)
def test_stall_in_openssl_or_program_ends_at_deadline(
    point: str, mode: str, pki: Pki, tmp_path: Path
) -> None:
    """Threats T13 and T14: also if OpenSSL or another program does not return."""
    done = POINTS[point].play(Stage(pki, tmp_path, LIMIT), mode).done

    assert done.code in (2, 3)
    assert done.out.startswith("POP3 ")
    assert done.seconds < LIMIT + LATE, done.seconds


@pytest.mark.threat("T13")
def test_flood_inside_one_openssl_call_ends_at_deadline() -> None:
    """Threat T13: OpenSSL skips renegotiation requests without returning."""
    with ScriptedServer([hears_hello, HELLO_REQUESTS]) as server:
        done = check(server, "-S", "-t", str(LIMIT), as_process=True)

    assert kinds(done) == ["timeout"], done.out
    assert done.line.startswith("POP3 CRITICAL - no answer within 1 s during the TLS handshake")
    assert within(done, LIMIT, LATE), done.seconds


def stopped_in_flood(server: ScriptedServer, *options: str) -> str:
    """Return the output of a run that a signal ends while a server floods it."""
    command = [str(COMMAND), "-H", "127.0.0.1", "-t", "20", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while not server.flooded:
        time.sleep(0.02)
    process.terminate()
    printed, _ = process.communicate(timeout=5)
    assert process.returncode == 3
    assert printed.startswith("POP3 UNKNOWN - stopped from outside after ")
    return printed


def test_signal_during_openssl_flood_ends_the_run() -> None:
    """A flood does not delay a signal from Icinga."""
    with ScriptedServer([hears_hello, HELLO_REQUESTS]) as server:
        printed = stopped_in_flood(server, "-p", str(server.port), "-S")

    assert " during the TLS handshake" in printed


def test_signal_during_token_endpoint_flood_ends_the_run(pki: Pki, tmp_path: Path) -> None:
    """A hostile token endpoint does not delay a signal."""
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("x")
    with ScriptedServer([hears_hello, HELLO_REQUESTS]) as endpoint:
        stopped_in_flood(
            endpoint,
            *("-S", "-U", "monitor", "--auth", "xoauth2", "--oauth-client-id", "x"),
            *("--oauth-token-url", f"https://localhost:{endpoint.port}/"),
            *("--oauth-client-secret-file", str(secret)),
        )


def test_flood_after_failure_keeps_the_failure(pki: Pki) -> None:
    """The failure stays, and no thread of a sweep continues with a hostile server."""
    with ScriptedServer(scripts=[[hears_hello, reset()], FLOODING]) as server:
        verdict = checked_until_quiet(server, f"-S --ca-file {pki.ca_file}")

    assert verdict.startswith("POP3 CRITICAL - ")
    assert " reset the connection" in verdict


def test_flood_at_side_probe_is_abandoned(pki: Pki) -> None:
    """The output says that the test was inconclusive, and the thread ends."""
    goodbye = [expect(b"QUIT"), say(b"+OK\r\n")]
    smuggled = [GREETING, expect(b"STLS"), expect(b"CAPA"), say(b"+OK begin\r\n")]
    with ScriptedServer(scripts=[upgraded(pki, *goodbye), [*smuggled, *FLOODING]]) as server:
        words = f"--starttls --check-starttls-injection --ca-file {pki.ca_file}"
        verdict = checked_until_quiet(server, words)

    assert verdict.startswith("POP3 CRITICAL - ")
    assert " an assertion (injectable) could not be tried: no answer" in verdict


FLOODING = [hears_hello, HELLO_REQUESTS]


def checked_until_quiet(server: ScriptedServer, words: str) -> str:
    """Run a check in this process, wait until it sends no more, and return the output."""
    target = f"-H localhost --connect-to 127.0.0.1 -p {server.port} -t 1"
    verdict = run_check(check_settings(f"{target} {words}".split()), time.monotonic())
    server.settle(3)
    flooded = server.flooded
    time.sleep(0.1)
    assert server.flooded == flooded > 0
    return render(verdict)
