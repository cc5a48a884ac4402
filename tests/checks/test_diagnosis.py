"""Diagnoses of failures on real servers and networks, as the long output shows them."""

import dataclasses
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from check_pop3_plus.check import run
from check_pop3_plus.diagnosis import steps, tools
from check_pop3_plus.model.report import Address
from check_pop3_plus.output.plugin_text import render
from tests.pki.certificates import Pki
from tests.servers.dovecot import Dovecot, check_at, running
from tests.servers.network import POLITE_SERVER, SILENT_NAME_SERVER, Network, network
from tests.servers.scripted_server import (
    PoliteServer,
    ScriptedServer,
    dead_port,
    drop,
    expect,
    pause,
    say,
    silence,
)
from tests.support.command import COMMAND, Run
from tests.support.faults import CANARY, GREETING, flags, honest, kinds
from tests.support.faults import check as run_check
from tests.support.settings_from import check_settings

LATE = 1.0
"""Seconds of tolerance: other tests run in parallel."""


def likely_cause(done: Run) -> str:
    """Return the likely cause, which comes first; empty if the diagnosis found none."""
    has_cause = "diagnosis: no further cause found" not in done.long
    assert has_cause == done.long[0].startswith("likely cause: "), done.out
    return done.long[0].removeprefix("likely cause: ") if has_cause else ""


def found(done: Run, what: str) -> list[str]:
    """Return the findings that begin with a text."""
    lines = [line.removeprefix("diagnosis: ") for line in done.long if "diagnosis: " in line]
    return [line for line in lines if line.startswith(what)]


# --- names and networks ----------------------------------------------------------------------


@pytest.fixture
def net(tmp_path: Path) -> Network:
    return network(tmp_path)


def test_diagnosis_of_a_silent_name_server_names_it(net: Network) -> None:
    """The silent name server is named, and each address family has its own line."""
    done = honest(
        net.run(
            *("-H", "slow.example.test", "-t", "1", "--run-timeout", "5", "--diagnose"),
            server=SILENT_NAME_SERVER,
        )
    )

    assert likely_cause(done) == "the only name server of this machine, 127.0.0.1, does not answer"
    assert found(done, "name server 127.0.0.1: no answer in time, after 2.0")
    assert found(done, "lookup IPv4: no answer")
    assert found(done, "lookup IPv6: no answer")
    assert done.seconds < 5


def test_diagnosis_of_a_missing_name_server_says_it_does_not_listen(net: Network) -> None:
    """A missing name server differs from a silent one."""
    done = honest(net.run("-H", "pop.example.test", "--diagnose"))

    assert likely_cause(done) == "the only name server of this machine, 127.0.0.1, does not listen"


NAME_SERVER = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
print("ready")
while True:
    query, client = server.recvfrom(512)
    flags = bytes([0x81, 0x80 + {code}])
    server.sendto(query[:2] + flags + query[4:6] + bytes(6) + query[12:], client)
"""


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        (3, "the name pop.example.test does not exist, according to name server 127.0.0.1"),
        (0, "the name pop.example.test exists, but has no such address, according to name s"),
        (2, "name server 127.0.0.1 returned SERVFAIL: the name servers of the zone are"),
        (5, "name server 127.0.0.1 refuses to answer this machine"),
    ],
)
def test_diagnosis_of_a_dns_error_names_the_answering_server(
    net: Network, code: int, cause: str
) -> None:
    """A name that does not exist is not a name server that fails."""
    server = NAME_SERVER.format(code=code)
    done = honest(net.run("-H", "pop.example.test", "--diagnose", server=server))

    assert likely_cause(done).startswith(cause)


def test_diagnosis_with_one_of_two_name_servers_down_names_it(net: Network) -> None:
    """The name server that is down is named."""
    configuration = "nameserver 127.0.0.2\nnameserver 127.0.0.1\noptions timeout:3\n"
    (net.folder / "resolv.conf").write_text(configuration)
    arguments = ("-H", "pop.example.test", "--state", "unresolved=critical", "--diagnose")
    done = honest(net.run(*arguments, server=NAME_SERVER.format(code=2)))

    assert likely_cause(done) == (
        "of the name servers of this machine 127.0.0.2 does not listen; others do:"
        " 127.0.0.1 (SERVFAIL)"
    )


def test_diagnosis_without_the_wanted_family_names_the_other(net: Network) -> None:
    """The cause names the address family that the name has."""
    net.add_host("pop.example.test", "127.0.0.1")
    done = honest(net.run("-H", "pop.example.test", "-6", "--diagnose"))

    assert likely_cause(done) == "the name has no IPv6 address, only IPv4"


FULL_SERVER = """
import socket, time
from tests.servers.scripted_server import PoliteServer
full = socket.create_server(("127.0.0.1", 110), backlog=0)
waiting = []
for _ in range(3):
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", 110))
    waiting.append(client)
with PoliteServer({}, port=995):
    print("ready")
    time.sleep(60)
"""


def test_diagnosis_of_a_full_backlog_reports_the_host_alive(net: Network) -> None:
    """A SYN is dropped although the host is up."""
    arguments = ("-H", "127.0.0.1", "-t", "1", "--run-timeout", "6", "--diagnose=tcp")
    done = honest(net.run(*arguments, server=FULL_SERVER))

    assert kinds(done) == ["timeout"]
    assert likely_cause(done) == (
        "port 110 is filtered, or the service has stopped accepting connections:"
        " port 995 of the host answers"
    )
    assert done.seconds < 6


FILTER = """
import subprocess
for rule in ("add table ip f", "add chain ip f i {{ type filter hook input priority 0; }}",
             "add rule ip f i tcp dport 110 {verdict}"):
    subprocess.run(["nft", rule], check=True)
"""


@pytest.mark.skipif(
    shutil.which("nft", path=f"{os.environ['PATH']}:/usr/sbin") is None
    and os.environ.get("CI") != "true",
    reason="no packet filter: nftables is not installed",
)
def test_diagnosis_of_a_filtered_port_reports_the_host_alive(net: Network) -> None:
    """A packet filter drops packets to one port and accepts those to the other."""
    server = FILTER.format(verdict="drop") + POLITE_SERVER.replace("110", "995")
    arguments = ("-H", "127.0.0.1", "-t", "1", "--run-timeout", "8", "--diagnose")
    done = honest(net.run(*arguments, server=server))

    assert kinds(done) == ["timeout"]
    assert likely_cause(done).startswith("port 110 is filtered, or ")
    assert likely_cause(done).endswith(": port 995 of the host answers")
    assert done.seconds < 8


def test_diagnosis_of_a_dead_address_reports_the_host_down(net: Network) -> None:
    """Neither port answers, nor does ping where it is installed."""
    arguments = ("-H", "192.0.2.1", "-t", "1", "--run-timeout", "7", "--diagnose")
    done = honest(net.run(*arguments))

    assert likely_cause(done).startswith(
        "host down or unreachable: port 995 does not answer either"
    )
    assert done.seconds < 7


def test_diagnosis_with_one_of_two_addresses_down_names_it(net: Network) -> None:
    """IPv6 is unreachable and IPv4 works."""
    net.add_host("half.example.test", "2001:db8::1", "127.0.0.1")
    arguments = ("-H", "half.example.test", "-t", "1", "--run-timeout", "8", "--all-addresses")
    done = honest(net.run(*arguments, "--diagnose", server=POLITE_SERVER))

    assert re.fullmatch(
        r"only 1 of 2 addresses of the name fails: \[2001:db8::1\]:110 \((timeout|unreachable) in"
        r" phase connect\); only IPv6 is affected",
        likely_cause(done),
    )
    assert found(done, "connect: 127.0.0.1:110 OK")
    assert found(done, "connect: [2001:db8::1]:110 no answer") or found(
        done, "connect: [2001:db8::1]:110 network is unreachable"
    )
    assert done.seconds < 8


def test_diagnosis_without_a_route_leaves_the_hint_alone(net: Network) -> None:
    """Status line and hint already name the missing route."""
    done = honest(net.run("-H", "198.51.100.1", "--diagnose"))

    assert likely_cause(done) == ""


def test_diagnosis_of_a_refused_port_lists_the_connections() -> None:
    """Status line and hint explain a refused connection; the findings list the retries."""
    with dead_port() as port, PoliteServer({}) as server:
        done = run_check(server, "--diagnose", "-p", str(port))

    assert likely_cause(done).startswith("the host is up, but its POP3 server is not running: ")
    assert found(done, "connect: 127.0.0.1:")


# --- protocols on a port ----------------------------------------------------------------------


def test_diagnosis_of_tls_on_the_plain_port_suggests_ssl(pki: Pki) -> None:
    """The server waits for a ClientHello, the check for a greeting."""
    with PoliteServer({}, tls=pki.server("good")) as server:
        done = run_check(server, "-t", "1", "--run-timeout", "8", "--diagnose")

    assert kinds(done) == ["timeout"]
    assert likely_cause(done) == (
        f"the server speaks TLS from the first byte on port {server.port}:"
        f" use -S with -p {server.port}"
    )
    assert done.seconds < 8


@pytest.mark.parametrize("offers_stls", [True, False])
def test_diagnosis_of_plain_text_on_the_tls_port_suggests_stls(pki: Pki, offers_stls: bool) -> None:
    """The cause says whether the server offers STLS instead."""
    stls = pki.server("good") if offers_stls else None
    with PoliteServer({}, stls=stls) as server:
        done = run_check(server, *flags("tls", pki), "--diagnose")

    assert kinds(done) == ["tls"]
    said = f"the server speaks plain text on port {server.port} and offers "
    instead = f"STLS: use --starttls with -p {server.port} in place of -S"
    assert likely_cause(done) == said + (
        instead if offers_stls else "no STLS: TLS is not configured there"
    )
    assert found(done, "capabilities: 127.0.0.1:")


def test_diagnosis_of_another_service_on_the_tls_port_names_it(pki: Pki) -> None:
    """The cause names another protocol where the greeting shows it."""
    with ScriptedServer([say(b"SSH-2.0-OpenSSH_9.2\r\n"), silence()]) as server:
        done = run_check(server, *flags("tls", pki), "--diagnose=dialog")

    assert likely_cause(done).startswith(f"another service on port {server.port}: it is not POP3")


@pytest.mark.parametrize("mode", ["plain", "tls"])
def test_diagnosis_of_a_silent_server_reports_that_it_hangs(mode: str, pki: Pki) -> None:
    """The server sends nothing, neither in plain text nor in TLS."""
    with ScriptedServer([silence()]) as server:
        arguments = ("-t", "1", "--run-timeout", "7", "--diagnose")
        done = run_check(server, *flags(mode, pki), *arguments)

    assert likely_cause(done) == (
        f"the server on port {server.port} hangs: it accepts connections and sends nothing,"
        " neither in plain text nor in TLS"
    )
    assert done.seconds < 7


def test_diagnosis_of_a_closing_server_repeats_nothing() -> None:
    """The hint already names a connection limit and an access list."""
    with ScriptedServer([drop()]) as server:
        done = run_check(server, "--diagnose")

    assert likely_cause(done) == ""


def test_diagnosis_after_recovery_reports_a_temporary_failure() -> None:
    """A server that greets a second connection has recovered."""
    with ScriptedServer(scripts=[[drop()], [GREETING, expect(), say(b"-ERR\r\n")]]) as server:
        done = run_check(server, "--diagnose=dialog")

    assert likely_cause(done) == "the server greets now: the failure was temporary"
    assert done.code == 2


def test_diagnosis_of_refused_service_repeats_nothing() -> None:
    """The status line already quotes the server."""
    with ScriptedServer([say(b"-ERR [SYS/TEMP] maintenance\r\n"), silence()]) as server:
        done = run_check(server, "--diagnose")

    assert likely_cause(done) == ""


@pytest.mark.threat("T8")
def test_diagnosis_of_a_server_that_echoes_the_secret_masks_it(pki: Pki) -> None:
    """Threat T8: the secret is masked in the findings, too."""
    for mode in ("plain", "tls"):  # on the TLS port its plain text is read, too
        script = [say(b"+OK " + CANARY.encode() + b"\r\n"), expect(), say(b"-ERR x\r\n"), drop()]
        steps = [say(b"-ERR " + CANARY.encode() + b"\r\n"), drop()]
        with ScriptedServer(scripts=[steps, script]) as server:
            arguments = flags(mode, pki, login=True)
            done = run_check(server, *arguments, "--diagnose=dialog,tls", "-vvv")

        assert any("+OK ***" in line for line in found(done, "plain text: ")), done.out


def test_diagnosis_of_a_slow_session_draws_a_bar_per_phase() -> None:
    """Each phase has a bar; the longest is 40 characters wide."""
    with ScriptedServer([pause(1.2), say(b"+OK\r\n"), silence()]) as server:
        done = run_check(server, "-w", "@0:9", "--diagnose=tcp")

    bars = [line for line in done.long if line.startswith("time: ")]
    assert [bar.split()[1] for bar in bars] == ["resolve", "connect", "greeting"]
    assert all(re.fullmatch(r"time: \w+ +\d+\.\d{3} s #{1,40}", bar) for bar in bars)
    assert max(bar.count("#") for bar in bars) == 40
    assert re.match(r"try: 1\.\d{3} of \d\.\d{3} s were spent in phase greeting: ", done.long[0])


# --- certificates and logins, on a real Dovecot ----------------------------------------------


@pytest.mark.real
@pytest.mark.parametrize("persona", ["expired", "future", "wrongname", "nochain", "selfsigned"])
def test_diagnosis_of_a_rejected_certificate_shows_it_and_tls_versions(
    dovecot: Dovecot, pki: Pki, persona: str
) -> None:
    """Status line and hint explain the certificate; the diagnosis adds chain and versions."""
    done = honest(check_at(dovecot, pki, persona, "--diagnose"))

    assert likely_cause(done) == ""
    is_on_line_1 = "not trusted: issuer " in done.verdict
    assert any(line.startswith("issuer: ") for line in done.long) != is_on_line_1
    assert found(done, "versions: TLS 1.0 refused, 1.1 refused, 1.2 accepted (")
    is_about_dates = persona in ("expired", "future")
    assert bool(found(done, "clock: the time of this machine is ")) == is_about_dates
    assert done.seconds < 3


@pytest.mark.real
def test_diagnosis_of_an_old_tls_server_lists_its_versions(pki: Pki) -> None:
    """The findings list the accepted TLS versions."""
    with running(pki, "tls-1.0") as server:
        done = honest(check_at(server, pki, "good", "--diagnose"))

    assert kinds(done) == ["old-tls"]
    assert likely_cause(done) == (
        "the server speaks nothing newer than TLS 1.0, and the minimum accepted here is TLS 1.2"
    )
    assert re.fullmatch(
        r"versions: TLS 1\.0 accepted \(.*\), 1\.1 refused, 1\.2 refused, 1\.3 refused",
        found(done, "versions: ")[0],
    )


@pytest.mark.real
def test_diagnosis_of_swapped_ports_suggests_the_right_option(dovecot: Dovecot, pki: Pki) -> None:
    """Plain text on the TLS port and TLS on the plain port are both recognised."""
    plain = dataclasses.replace(dovecot, tls=dovecot.plain)
    done = honest(check_at(plain, pki, "good", "--diagnose"))
    assert likely_cause(done).endswith(
        f" and offers STLS: use --starttls with -p {dovecot.plain} in place of -S"
    )

    tls = dataclasses.replace(dovecot, plain=dovecot.tls)
    done = honest(check_at(tls, pki, "good", "-t", "1", "--diagnose", tls=False))
    assert likely_cause(done).startswith("the server speaks TLS from the first byte on port ")


@pytest.mark.real
def test_diagnosis_without_stls_shows_the_capabilities(dovecot: Dovecot, pki: Pki) -> None:
    """The transcript shows the capabilities of the server."""
    done = honest(check_at(dovecot, pki, "no-tls", "--starttls", "--diagnose", tls=False))

    assert likely_cause(done) == ""
    assert "transcript: C: CAPA" in done.long


@pytest.mark.real
def test_diagnosis_after_a_rejected_login_opens_no_connection(pki: Pki, tmp_path: Path) -> None:
    """The log of the server has one connection and one login."""
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text(CANARY)
    everything = "--diagnose=tcp,tls,dialog,ping,trace"
    login = ("-U", "monitor", "--password-file", str(secret), "--sensitivity", "very-low")

    with running(pki) as server:  # a separate server: its log has no other connections
        before = server.log_since("", "pop3-login: ")  # starting it made a connection
        done = honest(check_at(server, pki, "good", *login, everything))
        log = server.log_since(before, "user=<monitor>")
        time.sleep(0.3)  # time for further connections
        assert server.log() == before + log

    assert kinds(done) == ["credentials"]
    assert likely_cause(done) == ""
    assert "transcript: C: PASS ***" in done.long
    assert "diagnosis: connections: none opened after the login began" in done.long
    assert log.count("pop3-login: ") == 1


# --- limits ----------------------------------------------------------------------------------


def test_diagnosis_without_time_left_skips_all_steps() -> None:
    """Steps without time are named as skipped, and the time chart is printed."""
    with ScriptedServer([silence()]) as server:
        done = run_check(server, "-t", "2", "--run-timeout", "2", "--diagnose")

    assert found(done, "skipped: TLS on this port: no time left")
    assert likely_cause(done) == ""
    assert [line for line in done.long if line.startswith("time: greeting ")]
    assert done.seconds < 2 + LATE


def test_diagnosis_with_a_late_step_ends_in_time() -> None:
    """The run ends a tenth before its limit, whatever still runs."""
    with ScriptedServer([silence()]) as server:
        done = run_check(server, "-t", "0.5", "--run-timeout", "2", "--diagnose=trace,tls")

    assert likely_cause(done)
    assert done.seconds < 2 + LATE


def test_diagnosis_leaves_status_and_perfdata_unchanged() -> None:
    """Status line and perfdata labels are the same with and without a diagnosis."""
    with dead_port() as port, PoliteServer({}) as server:
        arguments = ("-H", "127.0.0.1", "-p", str(port))
        plain, diagnosed = (
            run_check(server, *arguments, *more) for more in ((), ("--diagnose=tcp,tls,dialog",))
        )

    assert plain.verdict == diagnosed.verdict
    assert plain.code == diagnosed.code
    assert list(plain.perfdata) == list(diagnosed.perfdata)


def test_diagnosis_stopped_by_a_signal_keeps_the_verdict() -> None:
    """The verdict is known before the diagnosis; unfinished steps are named."""
    with ScriptedServer([silence()]) as server:
        process = subprocess.Popen(
            [COMMAND, "-H", "127.0.0.1", "-p", str(server.port), "-t", "1", "--diagnose"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        while server.connections < 2:  # the second is one of the diagnosis
            time.sleep(0.01)
        time.sleep(0.3)
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=5)

    done = honest(Run(process.returncode, out.decode(), err.decode(), 0))
    assert time.monotonic() - began < 0.5
    assert done.code == 2
    assert done.verdict.startswith("POP3 CRITICAL - no greeting within ")
    assert "diagnosis: skipped: TLS on this port: stopped from outside" in done.long


# --- other programs --------------------------------------------------------------------------


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty directory that programs are searched in, before the system directories."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setattr(tools, "DIRECTORIES", (str(folder), "/usr/bin", "/bin"))
    ours = folder.__truediv__
    monkeypatch.setattr(
        tools, "find", lambda name: str(ours(name)) if ours(name).exists() else None
    )
    return folder


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


def diagnosed(argv: str, seconds: float = 5) -> Run:
    """Return the verdict on a port without a listener, from a check in this process."""
    with dead_port() as port:
        words = f"-H 127.0.0.1 -p {port} -t {seconds} --run-timeout {seconds} {argv}"
        began = time.monotonic()
        verdict = run.run_check(check_settings(words.split()), began)
    return honest(Run(verdict.state.value, render(verdict), "", time.monotonic() - began))


def test_tools_not_installed_are_skipped(programs: Path) -> None:
    """The other steps run without the missing tools."""
    done = diagnosed("--diagnose=tcp,ping,trace")

    assert found(done, "skipped: ping: not installed")
    assert found(done, "skipped: mtr or traceroute: not installed")
    assert found(done, "connect: 127.0.0.1:")


def test_trace_without_mtr_runs_traceroute(programs: Path) -> None:
    """traceroute gets the address and numeric output options."""
    program(programs, "traceroute", 'echo "called with $*"')

    assert found(diagnosed("--diagnose=trace"), "traceroute: ") == [
        "traceroute: called with -n -q 1 -w 1 -m 20 127.0.0.1"
    ]


def test_tool_with_hostile_output_is_sanitised_and_killed(
    programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Escape sequences, markup and pipes are replaced, on stderr too; endless output is cut."""
    monkeypatch.setenv("CANARY", CANARY)
    program(
        programs,
        "ping",
        "printf '\\033]0;owned\\007\\033[31m<script>|time=0s;;;; `id` $(id)\\n' >&2; env\n"
        "while :; do echo 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'; done",
    )
    done = diagnosed("--diagnose=ping")

    shown = found(done, "ping: ")
    assert shown[0] == "ping: killed (too slow, or too much output), target 127.0.0.1"
    assert shown[1] == "ping: ??(script) time=0s;;;; ?id? ?(id)"
    assert len(shown) <= steps.LINES_LIMIT + 1
    assert not [line for line in shown if "HOME" in line or "CANARY" in line]
    assert done.seconds < 2


def test_tool_that_prints_the_secret_is_masked(
    programs: Path, monkeypatch: pytest.MonkeyPatch, pki: Pki
) -> None:
    """No tool gets the secret; tool output is masked like the text of a server."""
    monkeypatch.setenv("SECRET_OF_THIS_TEST", CANARY)
    program(programs, "ping", f"echo '{CANARY}'")
    login = "-S --ca-file {} -U monitor --password-env SECRET_OF_THIS_TEST"

    done = diagnosed(f"{login.format(pki.ca_file)} --diagnose=ping")

    assert found(done, "ping: ") == ["ping: ***"]


def test_tool_that_hangs_is_killed_with_its_children(programs: Path, tmp_path: Path) -> None:
    """Children that keep the output open are killed as well."""
    program(programs, "mtr", f"sleep 60 & echo $! > {tmp_path}/child; echo begun; wait")
    done = diagnosed("--diagnose=trace", seconds=1)

    assert found(done, "mtr: ") == [
        "mtr: killed (too slow, or too much output), target 127.0.0.1",
        "mtr: begun",
    ]
    assert done.seconds < 1 + LATE
    child = int((tmp_path / "child").read_text())
    time.sleep(0.1)
    assert not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text()


def test_tool_that_leaves_a_child_has_it_killed(programs: Path, tmp_path: Path) -> None:
    """A child of a finished tool is killed with it."""
    program(programs, "ping", f"sleep 60 >/dev/null 2>&1 & echo $! > {tmp_path}/child; exit 3")
    done = diagnosed("--diagnose=ping")

    assert found(done, "ping: ") == ["ping: exit code 3, target 127.0.0.1"]
    child = int((tmp_path / "child").read_text())
    time.sleep(0.1)
    assert not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text()


def test_tool_that_cannot_be_started_is_skipped(programs: Path) -> None:
    """A tool that cannot be started is a skipped step with the reason."""
    (programs / "ping").write_text("not a program")
    (programs / "ping").chmod(0o755)

    assert found(diagnosed("--diagnose=ping"), "skipped: ping: cannot start a program: ")


def test_tools_are_never_searched_in_path(tmp_path: Path) -> None:
    """PATH cannot choose a program that runs with the rights of the check."""
    for name in tools.TOOLS:
        program(tmp_path, name, f"touch {tmp_path}/called")
    with dead_port() as port:
        arguments = ["-H", "127.0.0.1", "-p", str(port), "--diagnose=ping,trace,dns"]
        subprocess.run(
            [COMMAND, *arguments], env={"PATH": str(tmp_path)}, capture_output=True, check=False
        )

    assert not (tmp_path / "called").exists()


def test_step_with_a_bug_is_skipped_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in a step leaves the verdict unchanged; the order is that of the steps, not of time."""

    def broken(address: Address, *_: object) -> None:
        time.sleep(0 if address.port in (110, 995) else 0.2)
        raise TypeError("secret")

    monkeypatch.setattr(steps, "TcpConnection", broken)
    done = diagnosed("--diagnose=tcp")

    assert done.code == 2
    assert found(done, "skipped: ") == [
        "skipped: connections to each address: internal error (TypeError)",
        "skipped: other POP3 ports: internal error (TypeError)",
    ]
