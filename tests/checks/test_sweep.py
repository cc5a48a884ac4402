"""A sweep: many services of one file, each with the verdict of a single check."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from check_pop3_plus.check import run as check_run
from check_pop3_plus.model.failures import ProbeError
from check_pop3_plus.model.settings import Sweep
from check_pop3_plus.options import ini
from check_pop3_plus.output.plugin_text import render
from check_pop3_plus.sweep import services
from tests.pki.certificates import Pki
from tests.servers.network import network
from tests.servers.scripted_server import (
    PoliteServer,
    ScriptedServer,
    dead_port,
    drip,
    expect,
    flood,
    reset,
    say,
    silence,
)
from tests.support.command import COMMAND, run
from tests.support.faults import CANARY, assert_no_canary
from tests.support.sweeps import File, dead_end, run_of

GREETING = b"+OK ready\r\n"


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)


# --- the file --------------------------------------------------------------------------------


def test_section_gives_the_output_of_a_single_check(file: File, pki: Pki) -> None:
    """A section gives the status, perfdata and long output of a single check."""
    with PoliteServer({}, tls=pki.server("good")) as server, dead_port() as dead:
        tls = ("--ssl", f"--ca-file={pki.ca_file}", "--certificate=33%")
        file.add(
            "a!tls", "ssl =", f"ca-file = {pki.ca_file}", "certificate = 33%", port=server.port
        )
        file.add("a!dead", port=dead)
        results = file.results()
        alone = run("-H", "127.0.0.1", "-p", str(server.port), *tls)
        dead_alone = run("-H", "127.0.0.1", "-p", str(dead))

    assert results.states == {"a!tls": "OK", "a!dead": "CRITICAL"}
    assert [each.partition("=")[0] for each in results["a!tls"]["perfdata"]] == list(alone.perfdata)
    assert results["a!dead"]["output"] == dead_alone.verdict
    kinds = [line for line in dead_alone.long if not line.startswith("time:")]
    shown = results["a!dead"]["long_output"].splitlines()
    assert [line for line in shown if not line.startswith("time:")] == kinds


WRONG = {
    "no!port": (["port = x"], "invalid --port x"),
    "no!option": (["prot = 995"], "unknown option --prot; did you mean --port?"),
    "no!abbreviation": (["host = x"], "unknown option --host; use -H"),
    "no!exclusion": (["ssl =", "starttls ="], "cannot be combined"),
    "no!nesting": (["sweep = x"], "--sweep is only allowed on the command line"),
    "no!jobs": (["jobs = 3"], "--jobs needs --sweep on the command line"),
    "no!submission": (["submit = jsonl:-"], "--submit needs --sweep on the command line"),
    "no!inclusion": (["extra-opts = x"], "extra-opts is only allowed on the command line"),
    "no!help": (["help ="], "--help and --version are only allowed on the command line"),
    "no!version": (["V ="], "--help and --version are only allowed on the command line"),
    "no!key": (["= value"], "neither [section] nor key = value"),
    "noservice": ([], "section name is not HOST!SERVICE"),
    "!nohost": ([], "section name is not HOST!SERVICE"),
    "noservice!": ([], "section name is not HOST!SERVICE"),
    "no!\x1b[31mcolour": ([], "section name is not HOST!SERVICE"),
    "not a host!x": (["connect-to = ?"], "invalid --connect-to"),
}


def test_section_with_an_error_is_unknown_and_others_continue(file: File) -> None:
    """The sweep reports an invalid section; no result is submitted for its service."""
    with PoliteServer({}) as server:
        for name, (keys, _) in WRONG.items():
            file.add(name, *keys)
        file.add("good!one", port=server.port)
        file.add("no!twin", port=server.port)
        file.add("no!twin", port=server.port)
        file.add("no!end", port=server.port)
        file.path.write_text("")
        done = file.run("-vv")

    assert done.code == 3
    assert done.verdict.startswith("POP3 UNKNOWN - config: invalid --port x: ")
    assert f" (kind config, {len(WRONG) + 1} services: no!port, no!option, " in done.verdict
    assert f"; {len(WRONG) + 4} services in " in done.verdict
    assert done.verdict.endswith(f": 3 OK, {len(WRONG) + 1} UNKNOWN")
    for name, (_, reason) in WRONG.items():
        shown = name.replace("\x1b[31m", "?")
        begin = re.compile(rf"unknown: {re.escape(shown)}( \(line [0-9]+\))?: config: ")
        [line] = filter(begin.match, done.long)
        assert reason in line
    assert any("section exists already, see line " in line for line in done.long)
    assert any(line.startswith("ok: good!one: 127.0.0.1:") for line in done.long)


def test_section_after_an_unclosed_header_is_the_only_invalid_one(file: File) -> None:
    """The lines after an unclosed header belong to that header, not to the section before."""
    with PoliteServer({}) as server:
        file.add("a!good", port=server.port)
        file.add("x", "[a!bad", "port = 1")
        results = file.results()

    assert results["a!good"]["state"] == "OK"
    assert "section header does not end" in results["a!bad"]["output"]


def test_sweep_of_an_unreadable_file_is_refused(tmp_path: Path) -> None:
    """A missing, special or too large file is refused in one line, without blocking."""
    fifo, large = tmp_path / "fifo", tmp_path / "large"
    os.mkfifo(fifo)
    with large.open("wb") as sparse:
        sparse.truncate(services.FILE_LIMIT + 1)

    for path, reason in ((fifo, "regular"), (large, "16 MiB"), (tmp_path / "none", "No such")):
        done = run("--sweep", str(path), timeout=5)
        assert done.code == 3
        assert reason in done.line


def test_ini_parts_keep_duplicate_sections_apart(tmp_path: Path) -> None:
    """--extra-opts joins sections of one name, a sweep refuses them."""
    text = "[a]\nx = 1\n[b]\n[a]\ny\n"
    file = tmp_path / "x.ini"
    file.write_text(text)

    assert [(part.name, part.options) for part in ini.parts(text, "file")] == [
        ("a", [("x", "1")]),
        ("b", []),
        ("a", [("y", "")]),
    ]
    assert ini.read_sections(str(file)) == {"a": [("x", "1"), ("y", "")], "b": []}
    with pytest.raises(ProbeError, match="line 1"):
        list(ini.parts("x = 1", "file"))


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--jobs", "3"], "--jobs needs --sweep"),
        (["--submit", "jsonl:-"], "--submit needs --sweep"),
        (["--sweep", "x", "-H", "y"], "--hostname and --sweep cannot be combined"),
        (["--sweep", "x", "--jobs", "0"], "invalid --jobs"),
        (["--sweep", ""], "invalid --sweep: empty, or not a path"),
        (["--sweep", "x", "--submit", "y"], "invalid --submit y"),
        (["--sweep", "x", "--submit", "jsonl:y"], "invalid --submit jsonl:y"),
        (["--sweep", "x", "--submit", "nagios:"], "invalid --submit nagios:"),
        (
            ["--sweep", "x", "--submit", "jsonl:-", "--submit", "nagios:y"],
            "--submit nagios:y is one too many",
        ),
        (["--sweep", "x", "--icinga-user", "y"], "need --submit icinga2:URL"),
        (["--sweep", "x", "--submit", "icinga2:http://y"], "must begin with https://"),
        (["--sweep", "x", "--submit", "icinga2:https://y"], "needs --icinga-user and"),
        (
            [
                *("--sweep", "x", "--submit", "icinga2:https://y"),
                *("--icinga-user", "a:b", "--icinga-password-file", "z"),
            ],
            "invalid --icinga-user",
        ),
    ],
)
def test_sweep_with_wrong_options_prints_one_line(arguments: list[str], reason: str) -> None:
    """A usage error is one line."""
    done = run(*arguments)

    assert (done.code, len(done.out.splitlines())) == (3, 1)
    assert reason in done.line


# --- verdicts --------------------------------------------------------------------------------


def test_sweep_status_counts_states_and_names_the_worst(file: File) -> None:
    """The exit code is the worst state, with CRITICAL above UNKNOWN."""
    with PoliteServer({}) as server, dead_port() as dead:
        file.add("good!pop3", port=server.port)
        file.add("odd!pop3", "expect = nothing like it", port=server.port)
        file.add("dead!pop3", port=dead)
        file.add("wrong!pop3", "port = x")
        done = file.run()

    assert done.code == 2
    worst, wrong, total = done.verdict.split("; ")
    assert worst == "POP3 CRITICAL - connection refused (dead!pop3)"
    assert wrong.startswith("config: invalid --port x")
    assert total.startswith("4 services in ")
    assert total.endswith(": 1 OK, 1 WARNING, 1 CRITICAL, 1 UNKNOWN")
    assert [line.partition("!")[0] for line in done.long] == [
        "critical: dead",
        "warning: odd",
        "unknown: wrong",
    ]
    assert done.perfdata["services"] == "4;;;0;4"
    assert done.perfdata["critical"] == "1;;;0;4"
    assert list(done.perfdata) == ["time", "services", "ok", "warning", "critical", "unknown"]
    assert done.perfdata["time"].endswith("s;;;0;50")


def test_sweep_of_healthy_services_prints_one_line(file: File) -> None:
    """Healthy services add no long output."""
    with PoliteServer({}) as server:
        file.add("good!pop3", port=server.port)
        done = file.run()

    assert done.code == 0
    assert done.out.count("\n") == 1
    assert "1 service in " in done.verdict
    assert done.verdict.endswith(": 1 OK")


def test_sweep_output_is_at_most_16_kib(file: File) -> None:
    """Long output is cut at 16 KiB, with a line that says so."""
    for number in range(500):
        file.add(f"{'long' * 10}{number}!pop3", "port = x")
    done = file.run()

    assert len(done.out) <= 16 * 1024
    assert done.out.endswith("more: left out\n")
    assert len(done.verdict) <= 200
    assert "500 UNKNOWN" in done.verdict


def test_sweep_as_json_prints_one_object_per_service(file: File) -> None:
    """Each service is an object on a line, the summary the last; the exit code is the sweep's."""
    with PoliteServer({}) as server, dead_port() as dead:
        file.add("good!pop3", port=server.port)
        file.add("dead!pop3", port=dead)
        results = file.results()

    assert results.run.code == 0
    dead_one = results["dead!pop3"]
    assert dead_one["exit_code"] == 2
    assert dead_one["output"].startswith("POP3 CRITICAL - connection refused")
    assert "\nkind: refused, in phase connect\n" in dead_one["long_output"]
    assert dead_one["began"] <= dead_one["ended"] <= time.time()
    assert results.summary["summary"] == {
        "services": 2,
        "done": 2,
        "OK": 1,
        "WARNING": 0,
        "CRITICAL": 1,
        "UNKNOWN": 0,
    }
    assert results.summary["state"] == "OK"
    assert "all submitted" in results.summary["output"]


def test_sweep_as_json_with_an_invalid_section_is_unknown(file: File) -> None:
    """The sweep is UNKNOWN and names the section."""
    file.add("wrong!pop3", "port = x")
    results = file.results()

    assert results.run.code == 3
    assert not results["wrong!pop3"]["readable"]
    assert "UNKNOWN - config: invalid --port x: " in results.summary["output"]
    assert " (line 5: wrong!pop3); 1 service in " in results.summary["output"]


def test_sweep_with_a_bug_in_one_section_makes_that_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The text of the exception is not printed: it may contain a secret."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError(CANARY)

    monkeypatch.setattr(check_run, "run_check", broken)
    path = tmp_path / "sweep.ini"
    path.write_text("[a!b]\n")
    wanted = Sweep(str(path))
    [outcome] = run_of(wanted).outcomes()

    assert render(outcome.verdict) == (
        "POP3 UNKNOWN - bug: internal error (ZeroDivisionError)\nkind: bug\n"
    )
    assert outcome.is_readable


# --- secrets ---------------------------------------------------------------------------------


def test_password_variable_serves_several_sections(file: File) -> None:
    """A sweep reads a password variable once for all sections."""
    with PoliteServer({"monitor": CANARY}) as server:
        for number in range(20):
            file.add(
                f"h{number}!login",
                *("username = monitor", "password-env = CANARY", "allow-insecure-login ="),
                port=server.port,
            )
        file.add("x!unset", "username = x", "password-env = NOWHERE", "allow-insecure-login =")
        results = file.results(env={"CANARY": CANARY})

    assert results.states == {f"h{number}!login": "OK" for number in range(20)} | {
        "x!unset": "UNKNOWN"
    }
    assert "NOWHERE is not set" in results["x!unset"]["output"]
    assert server.logins == ["monitor"] * 20


@pytest.mark.threat("T7")
def test_password_variable_is_not_inherited_by_children(file: File, tmp_path: Path) -> None:
    """Children inherit no password variable, also none of other sections."""
    script = tmp_path / "secret"
    script.write_text('#!/bin/sh\necho "${CANARY:-unset}"\n')
    script.chmod(0o755)
    with PoliteServer({"monitor": "unset"}) as server:
        login = ("username = monitor", "allow-insecure-login =")
        file.add("a!command", *login, f"password-command = {script}", port=server.port)
        file.add("b!variable", *login, "password-env = CANARY", port=server.port)
        results = file.results("--jobs", "1", env={"CANARY": CANARY})

    assert results["a!command"]["state"] == "OK"


@pytest.mark.threat("T8")
def test_sweep_masks_the_secret_of_every_section(file: File) -> None:
    """A password that a server echoes is masked."""
    script = [say(GREETING), expect(b"CAPA"), say(b"-ERR\r\n"), expect(b"USER"), say(b"+OK\r\n")]
    script += [expect(b"PASS"), say(f"-ERR no such {CANARY}\r\n".encode())]
    with ScriptedServer(script) as server:
        login = ("username = monitor", "allow-insecure-login =", "password-env = CANARY")
        file.add("a!b", *login, port=server.port)
        done = file.run("-vvv", env={"CANARY": CANARY})
        results = file.results("-vvv", env={"CANARY": CANARY})

    assert "login of monitor refused" in done.out
    assert_no_canary(done.out)
    assert_no_canary(results.run.out)


@pytest.mark.threat("T8")
def test_sweep_masks_what_another_section_has_learnt_since(file: File, tmp_path: Path) -> None:
    """The result of the first section is there before the second one's command prints."""
    command, secret = tmp_path / "command", tmp_path / "secret"
    secret.write_text(CANARY)
    command.write_text(f"#!/bin/sh\nsleep 1; cat {secret}\n")
    command.chmod(0o755)
    echo = [say(f"-ERR {CANARY}\r\n".encode())]
    with PoliteServer({"monitor": CANARY}) as server, ScriptedServer(echo) as other:
        login = ("username = monitor", "allow-insecure-login =")
        file.add("a!echo", port=other.port)
        file.add("b!command", *login, f"password-command = {command}", port=server.port)
        done = file.run("-v")

    assert "ok: b!command: " in done.out
    assert "CRITICAL - server refuses service: *** (a!echo); 2 services" in done.out
    assert_no_canary(done.out)


def test_sweep_that_ends_kills_its_password_commands(file: File, tmp_path: Path) -> None:
    """The whole process group."""
    command, pids = tmp_path / "secret", tmp_path / "pids"
    command.write_text(f"#!/bin/sh\nsleep 60 & echo $! $$ > {pids}; wait\n")
    command.chmod(0o755)
    login = ("username = monitor", "allow-insecure-login =", "timeout = 50")
    file.add("a!b", *login, f"password-command = {command}", port=1)
    done = file.run("--run-timeout", "1.5")

    assert "not done within 1.5 s (a!b); 1 service in 1.5 s: 1 not done" in done.verdict
    time.sleep(0.1)
    for pid in pids.read_text().split():
        stat = Path(f"/proc/{pid}/stat")
        assert not stat.exists() or " Z " in stat.read_text()


def test_sweep_never_prompts_for_a_password(file: File) -> None:
    """A section without a password source is an error, not a prompt."""
    file.add("a!b", "ssl =", "username = x")
    results = file.results()

    assert "no password given" in results["a!b"]["output"]


# --- time ------------------------------------------------------------------------------------


@contextmanager
def hostile() -> Iterator[list[int]]:
    """Return the ports of servers that are silent, flood, send slowly, and close the connection."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(ScriptedServer(steps)).port
            for steps in (
                [silence()],
                [flood(b"x" * 65536)],
                [flood(b"+OK\r\n" * 10_000)],
                [drip(b"+OK " + b"x" * 10_000, 0.1)],
                [reset()],
            )
        ]


def test_sweep_with_hostile_servers_delays_no_other_service(file: File, pki: Pki) -> None:
    """64 hostile servers cost their own time limits, and the other services finish early."""
    with hostile() as ports, PoliteServer({}, tls=pki.server("good")) as server:
        for number in range(64):
            file.add(f"bad{number}!pop3", "timeout = 2", port=ports[number % len(ports)])
        for number in range(64):
            file.add(f"good{number}!pop3", "ssl =", f"ca-file = {pki.ca_file}", port=server.port)
        began = time.time()
        results = file.results()

    states = results.states
    assert all(states[f"good{number}!pop3"] == "OK" for number in range(64))
    assert all(states[f"bad{number}!pop3"] in ("CRITICAL", "WARNING") for number in range(64))
    bad = [each for name, each in results.by_name.items() if name.startswith("bad")]
    assert max(each["ended"] - each["began"] for each in bad) < 2 + 1.5
    good = [each for name, each in results.by_name.items() if name.startswith("good")]
    assert max(each["ended"] for each in good) - began < 8
    assert results.run.seconds < 9


def test_sweep_of_a_thousand_silent_servers_ends_in_time(file: File) -> None:
    """1,000 services at 128 in parallel take 8 times the limit."""
    with dead_end() as port:
        for number in range(1000):
            file.add(f"h{number}!pop3", port=port)
        results = file.results("-t", "0.5")

    assert set(results.states.values()) == {"CRITICAL"}
    assert len(results.states) == 1000
    assert 3.9 < results.run.seconds < 9


def test_sweep_of_dead_addresses_delays_no_other_service(tmp_path: Path) -> None:
    """Addresses that drop packets do not delay servers that answer."""
    net = network(tmp_path)
    path = tmp_path / "sweep.ini"
    sections = [f"[dead{number}!x]\nhostname = 192.0.2.{number + 1}\n" for number in range(50)]
    path.write_text("".join(sections))
    done = net.run("--sweep", str(path), "-t", "1")

    assert "50 CRITICAL" in done.verdict
    assert done.seconds < 3


def test_sweep_runs_at_most_jobs_checks_in_parallel(file: File) -> None:
    """--jobs limits the parallel checks; the timeout of each counts from its own start."""
    with dead_end() as port:
        for number in range(6):
            file.add(f"h{number}!pop3", port=port)
        results = file.results("--jobs", "2", "-t", "0.5")

    assert 1.4 < results.run.seconds < 3.5
    assert all(
        0.4 < each["ended"] - each["began"] < 1.0 and "within 0.5 s" in each["output"]
        for each in results.by_name.values()
    )


def test_sweep_runs_no_more_checks_than_descriptors_allow(file: File) -> None:
    """The descriptor limit reduces --jobs, so that no check fails for lack of one."""
    with dead_end() as port:
        for number in range(64):
            file.add(f"h{number}!pop3", port=port)
        file.run("--run-timeout", "0.1")
        script = 'ulimit -n 96 && exec "$@"'
        many = ["--jobs", "99", "--jobs-per-address", "99"]
        done = subprocess.run(
            ["sh", "-c", script, "sh", COMMAND, "--sweep", file.path, "-t", "0.3", *many],
            capture_output=True,
            check=False,
        )

    assert b": 64 CRITICAL | " in done.stdout


def test_sweep_names_services_that_did_not_finish(file: File) -> None:
    """At the run timeout, running checks are abandoned and no other is started."""
    with dead_end() as port, PoliteServer({}) as server:
        file.add("quick!pop3", port=server.port)
        for number in range(3):
            file.add(f"slow{number}!pop3", port=port)
        done = file.run("--run-timeout", "1", "--jobs", "2")

    assert done.seconds < 2
    assert done.code == 3
    assert "not done within 1 s (slow0!pop3, slow1!pop3, slow2!pop3); 4 serv" in done.verdict
    assert done.verdict.endswith(": 1 OK, 3 not done")
    assert done.long == []
    assert done.perfdata["not_done"] == "3;;;0;4"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_sweep_stopped_by_a_signal_prints_its_results(file: File, number: signal.Signals) -> None:
    """After SIGINT or SIGTERM the sweep prints the results and names the missing services."""
    with dead_end() as port, PoliteServer({}) as server:
        file.add("quick!pop3", port=server.port)
        file.add("slow!pop3", port=port)
        file.run("--run-timeout", "0.1")
        process = subprocess.Popen(
            [COMMAND, "--sweep", file.path], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        time.sleep(1.5)
        process.send_signal(number)
        out, err = process.communicate(timeout=3)

    assert (process.returncode, err) == (3, b"")
    assert b"POP3 UNKNOWN - stopped from outside; not done (slow!pop3); 2 services in " in out
    assert b": 1 OK, 1 not done | " in out


def test_sweep_progress_is_shown_on_a_terminal_only(file: File) -> None:
    """The progress line is erased before the result."""
    with dead_end() as port, PoliteServer({}) as server:
        file.add("quick!pop3", port=server.port)
        file.add("slow!pop3", port=port)
        assert "\r" not in file.run("-t", "0.5").out
        ours, theirs = pty.openpty()
        subprocess.run(
            [COMMAND, "--sweep", file.path, "-t", "0.5"], stdout=theirs, check=False, timeout=10
        )
        os.close(theirs)
        shown = os.read(ours, 65536).decode()
        os.close(ours)

    assert "1 of 2 services done" in shown
    assert "\r\x1b[KPOP3 CRITICAL - no greeting within 0.5 s (slow!pop3); 2 services" in shown


_WRONG_VALUES = (
    ("username = u", "no password given: use --password-file"),
    ("username = u; password-env = UNSET", "environment variable UNSET is not set"),
    (
        "username = u; password-env = no variable",
        "--password-env needs the name of an environment variable, not its value",
    ),
    ("username = u; password-file = /missing/file", "cannot open password file /missing/file"),
    ("username = u; password-file = {0}/empty", "password file "),
    ("username = u; password-command = false", "password command failed with exit code 1"),
    ("ca-file = {0}/empty", "CA file "),
    ("ca-path = {0}", "no usable CA certificate in CA directory"),
    ("client-cert = {0}/empty", "cannot load client certificate"),
    ("expect-cert-file = {0}/empty", "no certificate in PEM in certificate file"),
    ("source-address = 192.0.2.77", "cannot use source address"),
    ("state = x=ok", "invalid --state: unknown kind of failure x"),
    ("starttls = maybe", "--starttls takes no value"),
    ("output = json", "--output is only allowed for a single check"),
)
"""Lines of a section, and what is wrong with the value in the last; `{0}` is a directory."""


def test_wrong_value_in_a_file_is_reported_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever finds it: the parser, the reader of a secret, or OpenSSL."""
    monkeypatch.chdir(tmp_path)
    Path("empty").touch(mode=0o600)
    path, lines, expected = Path("sweep.ini"), ["[DEFAULT]", "ssl"], {}
    sections = [(f"[127.0.0.1!{number}]", *row) for number, row in enumerate(_WRONG_VALUES)]
    sections += [
        ("[127.0.0.1:995!x]", "", "invalid --hostname 127.0.0.1:995: not a host name"),
        ("[none]", "", "section name is not HOST!SERVICE (or DEFAULT)"),
        ("[127.0.0.1!0]", "", "section exists already, see line "),
    ]
    for header, text, said in sections:
        lines += [header, *filter(None, text.format(".").split("; "))]
        expected[f" ({path}, line {len(lines)})"] = f"POP3 UNKNOWN - config: {said}"
    path.write_text("\n".join(lines))

    done = run("--sweep", str(path), "--submit", "jsonl:-")

    results = [json.loads(line).get("output", "") for line in done.out.splitlines()]
    for place, said in expected.items():
        found = [each for each in results if each.startswith(said)]
        assert any(each.endswith(place) for each in found), (place, found)


def test_cut_line_keeps_the_place_in_a_file(tmp_path: Path) -> None:
    """What does not fit into 200 characters is cut from the fault, not from the place."""
    path = tmp_path / "options.ini"
    path.write_text(f"[x]\nssl\nca-file = {tmp_path}/{'long' * 20}.pem\n")

    done = run("-H", "127.0.0.1", f"--extra-opts=x@{path}")

    line = done.out.splitlines()[0]
    assert line.startswith("POP3 UNKNOWN - config: cannot ")
    assert line.endswith(f"... ({path}, line 3)")
    assert len(line) <= 200


def test_wrong_value_in_an_options_file_is_reported_with_its_line(tmp_path: Path) -> None:
    """The file of `--extra-opts` is no different; a value of the command line has no place."""
    path = tmp_path / "options.ini"
    path.write_text("[login]\nusername = u\npassword-env = UNSET\n")
    check = ("-H", "127.0.0.1", "-S", f"--extra-opts=login@{path}")

    in_file = run(*check)
    on_command_line = run(*check, "--password-env", "UNSET")

    said = "POP3 UNKNOWN - config: environment variable UNSET is not set"
    assert in_file.out.startswith(f"{said} ({path}, line 3)\n")
    assert on_command_line.out.startswith(f"{said}\n")
