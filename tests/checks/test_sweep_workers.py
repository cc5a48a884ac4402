"""A sweep whose checks several processes share."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from check_pop3_plus.model.settings import Sweep
from check_pop3_plus.sweep import limits, services
from check_pop3_plus.sweep.workers import Workers, shares_of
from tests.pki import certificate_parts
from tests.pki.certificates import HAND_KEY, Pki
from tests.pki.corpus import ROOT
from tests.servers.scripted_server import PoliteServer, ScriptedServer, dead_port, say
from tests.support.command import COMMAND
from tests.support.faults import CANARY, assert_no_canary
from tests.support.sweeps import File, dead_end, workload_of

NAMES = tuple(f"127.0.0.{number}" for number in range(1, 7))
"""Of one machine; every worker gets two of them where there are three."""


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path)


class Started:
    """A running sweep and its workers."""

    def __init__(self, file: File, *arguments: str, shell: str = 'exec "$@"') -> None:
        file.write()
        command = [str(COMMAND), "--sweep", str(file.path), "--jobs-per-address", "99", *arguments]
        self.process = subprocess.Popen(
            ["sh", "-c", shell, "sh", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def workers(self, number: int) -> list[int]:
        """Return the process numbers of this many workers, when they are there."""
        pid, end = self.process.pid, time.monotonic() + 10
        while time.monotonic() < end:
            found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            if len(found) == number:
                return [int(each) for each in found]
            time.sleep(0.01)
        raise AssertionError(f"not {number} workers")

    def output(self, seconds: float = 10) -> str:
        out, err = self.process.communicate(timeout=seconds)
        assert err == b""
        return out.decode()


def assert_reaped(pids: list[int]) -> None:
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]


def has_ended(pid: int) -> bool:
    """Return whether a process has ended, also if nobody has waited for it."""
    try:
        return " Z " in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def test_verdicts_do_not_depend_on_the_number_of_workers(file: File) -> None:
    """Every service has one result, and the same one; also those with an invalid section."""
    with PoliteServer({}) as server, dead_port() as dead:
        for number, name in enumerate(NAMES * 5):
            keys = [f"hostname = {name}", "port = x" if number % 10 == 7 else f"port = {dead}"]
            file.add(f"h{number}!dead", *keys)
        for number in range(6):
            file.add(f"h{number}!good", port=server.port)
        file.add("h!odd", "expect = nothing", "connect-to = LOCALHOST", port=server.port)
        found = [file.results("-v", "--workers", number) for number in ("1", "3")]

    def facts(result: dict[str, object]) -> dict[str, object]:
        lines = str(result["long_output"]).splitlines()
        lines = [line for line in lines if not line.startswith("time:")]
        output = str(result["output"]).partition(" in ")[0].partition(" after ")[0]
        return {
            "lines": [line for line in lines if " s" not in line],
            "output": output,
            **{key: result[key] for key in ("state", "exit_code", "kinds", "phase", "readable")},
        }

    one, three = ({name: facts(each) for name, each in of.by_name.items()} for of in found)
    assert one == three
    assert len(one) == 37
    assert found[0].summary["summary"] == found[1].summary["summary"]


@pytest.mark.parametrize("workers", ["1", "3"])
@pytest.mark.parametrize("is_learnt", [False, True])
@pytest.mark.threat("T8")
def test_login_with_tls_has_its_facts_and_no_password(
    file: File, pki: Pki, workers: str, is_learnt: bool
) -> None:
    """A hostile server names the password in its certificate; also one that a command printed."""
    secret = file.path.with_name("secret")
    secret.write_text(f"{CANARY}\n")
    secret.chmod(0o600)
    own = ROOT.leaf(HAND_KEY, subject=certificate_parts.name(CANARY))
    source = f"password-command = /bin/cat {secret}" if is_learnt else f"password-file = {secret}"
    keys = ("ssl =", "verify = none", "allow-insecure-login =", "username = monitor", source)
    with PoliteServer({"monitor": CANARY}, tls=pki.by_hand(own), address="0.0.0.0") as server:
        for name in NAMES:
            file.add(f"{name}!pop3s", f"hostname = {name}", *keys, port=server.port)
        found = file.results("--workers", workers)

    assert found.states == dict.fromkeys(found.states, "OK"), found.run.out
    assert len(found.by_name) == len(NAMES)
    assert {each["certificate"]["subject"] for each in found.by_name.values()} == {"CN=***"}
    assert_no_canary(found.run.out)


def test_services_of_a_killed_worker_are_named(file: File) -> None:
    """The others have their results, and no process is left."""
    with dead_end() as port, PoliteServer({}) as server:
        file.add("good!x", "hostname = localhost", port=server.port)
        for name in NAMES:
            file.add(f"{name}!x", f"hostname = {name}", "timeout = 3", port=port)
        sweep = Started(file, "--workers", "3")
        pids = sweep.workers(3)
        time.sleep(0.7)
        os.kill(pids[1], signal.SIGKILL)
        out = sweep.output()

    assert sweep.process.returncode == 2
    assert "7 services in 3." in out
    assert ": 1 OK, 4 CRITICAL, 2 not done | " in out
    reason = "not done: its worker process was killed by signal 9, see the kernel log"
    [line] = [each for each in out.splitlines() if each.startswith("unknown: not done")]
    assert line == f"unknown: {reason} (127.0.0.1!x, 127.0.0.4!x)"
    assert_reaped(pids)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("is_for_all", [True, False], ids=["group", "parent"])
def test_signal_ends_all_workers(file: File, number: signal.Signals, is_for_all: bool) -> None:
    """As without workers; a terminal sends Ctrl-C to all of them."""
    with dead_end() as port, PoliteServer({}) as server:
        file.add("quick!x", "hostname = localhost", port=server.port)
        for name in NAMES:
            file.add(f"{name}!x", f"hostname = {name}", port=port)
        sweep = Started(file, "--workers", "3")
        pids = sweep.workers(3)
        time.sleep(1)
        began = time.monotonic()
        (os.killpg if is_for_all else os.kill)(sweep.process.pid, number)
        out = sweep.output()

    assert time.monotonic() - began < 1
    assert sweep.process.returncode == 3
    assert out.startswith(
        "POP3 UNKNOWN - stopped from outside; not done (6 services: 127.0.0.1!x, "
    )
    assert ": 1 OK, 6 not done | " in out
    assert_reaped(pids)


def test_workers_end_with_their_parent(file: File) -> None:
    """Also where it is killed; their password commands end, too."""
    pid_file = file.path.with_name("pid")
    command = file.path.with_name("command")
    command.write_text(f"#!/bin/sh\necho $$ > {pid_file}\nexec sleep 60\n")
    command.chmod(0o755)
    login = ("username = u", "allow-insecure-login =", f"password-command = {command}")
    with dead_end() as port:
        file.add("a!x", *login, port=port)
        file.add("b!x", "hostname = localhost", port=port)
        sweep = Started(file, "--workers", "2")
        pids = sweep.workers(2)
        time.sleep(0.7)
        sweep.process.kill()
        sweep.output()
        end = time.monotonic() + 1
        pids.append(int(pid_file.read_text()))
        while not all(map(has_ended, pids)):
            assert time.monotonic() < end
            time.sleep(0.01)


def test_deadline_holds_for_all_workers(file: File) -> None:
    """One deadline; a worker that does not even run cannot delay it."""
    with dead_end() as port, PoliteServer({}) as server:
        file.add("quick!x", "hostname = localhost", port=server.port)
        for name in NAMES:
            file.add(f"{name}!x", f"hostname = {name}", port=port)
        sweep = Started(file, "--workers", "3", "--run-timeout", "1.5")
        pids = sweep.workers(3)
        time.sleep(0.7)
        os.kill(pids[2], signal.SIGSTOP)
        began = time.monotonic()
        out = sweep.output()

    assert time.monotonic() - began < 2.5
    assert ": 1 OK, 6 not done | " in out
    assert "unknown: not done within 1.5 s (127.0.0.1!x, " in out
    assert_reaped(pids)


@pytest.mark.threat("T8")
def test_secret_of_one_worker_is_masked_in_results_of_others(file: File, tmp_path: Path) -> None:
    """What a command prints goes to the parent at once; a file is read before."""
    command, secret = tmp_path / "command", tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text(CANARY)
    command.write_text(f"#!/bin/sh\nsleep 0.5; cat {secret}\n")
    command.chmod(0o755)
    echo = [say(f"-ERR {CANARY}\r\n".encode())]
    login = ("username = monitor", "allow-insecure-login =")
    for source in (f"password-command = {command}", f"password-file = {secret}"):
        with PoliteServer({"monitor": CANARY}) as server, ScriptedServer(echo) as other:
            sweep = File(tmp_path)
            sweep.add("a!echo", "hostname = localhost", port=other.port)
            sweep.add("b!login", *login, source, port=server.port)
            done = sweep.run("-vvv", "--workers", "2")

        assert "ok: b!login: " in done.out
        assert done.verdict.startswith("POP3 CRITICAL - server refuses service: *** (a!echo); ")
        assert_no_canary(done.out)


def test_workers_need_no_more_descriptors_than_allowed(file: File) -> None:
    """The limit is that of each process."""
    with dead_end() as port:
        for number in range(150):
            file.add(f"h{number}!x", f"hostname = {NAMES[number % 6]}", port=port)
        sweep = Started(file, "-t", "0.3", "--workers", "3", shell='ulimit -n 64 && exec "$@"')
        out = sweep.output()

    assert ": 150 CRITICAL | " in out


def test_sweep_without_processes_runs_in_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the system starts no process, the sweep is slower, but complete.

    What aborts without memory is loaded before.
    """
    order: list[str] = []

    def refused() -> int:
        order.append("fork")
        raise BlockingIOError("Resource temporarily unavailable")

    path = tmp_path / "sweep.ini"
    path.write_text("[a!x]\nport = x\n[b!x]\nport = x\n")
    load = workload_of(Sweep(str(path), workers=2))
    shares = shares_of(load.services, load.wanted)
    assert len(shares) == 2
    monkeypatch.setattr(os, "fork", refused)
    monkeypatch.setattr(limits, "load_while_there_is_memory", lambda: order.append("load"))

    outcomes = list(Workers(shares, load).outcomes())

    assert {each.service.name for each in outcomes} == {"a!x", "b!x"}
    assert order == ["load", "fork", "fork", "load"]


def swept(tmp_path: Path, text: str, **wanted: int) -> list[list[str]]:
    """Return the names in the shares of a file."""
    path = tmp_path / "sweep.ini"
    path.write_text(text)
    sweep = Sweep(str(path), **wanted)  # type: ignore[arg-type]
    return [[each.name for each in share] for share in shares_of(services.read(sweep), sweep)]


def test_services_of_one_name_have_one_worker(tmp_path: Path) -> None:
    """So that `--jobs-per-address` and the one login of each user hold."""
    text = (
        "[DEFAULT]\nhostname = one\n[a!1]\n[b!1]\nhostname=ONE\n[c!1]\nconnect-to = Two\n[d!1]\n"
        "hostname = two\n[e!1]\nH = three\n[f!1]\n= invalid\n[g!1]\nport = x\n"
    )

    shares = swept(tmp_path, text, workers=3)

    assert sorted(map(sorted, shares)) == [["a!1", "b!1", "g!1"], ["c!1", "d!1"], ["e!1", "f!1"]]


@pytest.mark.parametrize(
    ("number", "wanted", "expected"),
    [
        (499, {}, [499]),
        (600, {}, [300, 300]),
        (600, {"jobs": 1}, [600]),
        (600, {"workers": 1}, [600]),
        (7, {"workers": 3}, [3, 2, 2]),
        (2, {"workers": 9}, [1, 1]),
        (256, {"workers": 999, "jobs": 999}, [2] * 128),
    ],
)
def test_many_services_have_a_worker_for_each_processor(
    number: int,
    wanted: dict[str, int],
    expected: list[int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of those that this process may use; no more than jobs, and none without a service."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 3})
    text = "".join(f"[h{each}!x]\n" for each in range(number))

    assert [len(share) for share in swept(tmp_path, text, **wanted)] == expected
