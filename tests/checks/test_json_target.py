"""Print the results of a sweep as JSON lines to an output that takes only a part of them."""

from __future__ import annotations

import fcntl
import json
import os
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from check_pop3_plus.check.verdict import Verdict
from check_pop3_plus.model.settings import State, SubmitTarget, Sweep
from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.services import Service
from check_pop3_plus.sweep.summary import Tally
from check_pop3_plus.sweep.targets import jsonl_target
from tests.servers.scripted_server import dead_port
from tests.support import claims
from tests.support.command import COMMAND, Run
from tests.support.submission import refusals


class StandardOutput:
    """Replaces standard output for the time of a test."""

    def __init__(self) -> None:
        self._saved = os.dup(1)

    def use(self, descriptor: int) -> None:
        os.dup2(descriptor, 1)

    def restore(self) -> None:
        os.dup2(self._saved, 1)


@pytest.fixture
def stdout() -> Iterator[StandardOutput]:
    replaced = StandardOutput()
    yield replaced
    replaced.restore()


def outcome(size: int, name: str = "a!b") -> Outcome:
    lines = ("x" * 90,) * (size // 90)
    return Outcome(Service(name), Verdict(State.CRITICAL, "gone", (), lines, is_verbose=True))


def target(seconds: float = 5) -> jsonl_target.Target:
    return jsonl_target.Target("-", Deadline(time.monotonic() + seconds))


def parsed(data: bytes) -> list[dict[str, Any]]:
    """Return the objects of whole lines."""
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data.splitlines()]


@pytest.mark.fault(102)
@pytest.mark.parametrize("mode", [os.O_TRUNC, os.O_APPEND], ids=["new", "appended"])
def test_sweep_removes_a_line_in_part_and_names_its_service(tmp_path: Path, mode: int) -> None:
    """A file that can grow no further keeps whole lines only, and the summary if it fits."""
    file, path = tmp_path / "sweep.ini", tmp_path / "out"
    before = b'{"of": "the run before"}\n' if mode == os.O_APPEND else b""
    path.write_bytes(before)
    limit = len(before) + 1400  # more than the summary, less than the line
    with dead_port() as port, open(os.open(path, os.O_WRONLY | mode), "wb") as out:
        keys = (
            f"hostname = 127.0.0.1\nport = {port}\ndiagnose = tcp,tls,dialog\n" + 3 * "verbose =\n"
        )
        file.write_text(f"[a!b]\n{keys}")
        done = subprocess.run(
            [COMMAND, "--sweep", file, "--submit", "jsonl:-"],
            stdout=out,
            stderr=subprocess.PIPE,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
            timeout=20,
            check=False,
        )
    content = path.read_bytes()

    claims.seen.append(Run(done.returncode, content[len(before) :].decode(), "", 0))
    assert content.startswith(before)
    [summary] = parsed(content[len(before) :])
    assert " (a!b); 1 service in " in summary["output"]


def test_submit_of_lines_longer_than_a_pipe_is_whole(stdout: StandardOutput) -> None:
    """A slow reader has every line, also where standard output does not block."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    received = bytearray()

    def read() -> None:
        while data := os.read(reading, 1000):
            received.extend(data)
            time.sleep(0.005)

    reader = threading.Thread(target=read)
    reader.start()
    stdout.use(writing)
    os.close(writing)
    reasons = refusals(target(), *(outcome(9000, f"a!{number}") for number in range(5)))
    stdout.restore()
    reader.join()

    assert reasons == [None] * 5
    assert [each["service"] for each in parsed(bytes(received))] == list("01234")


def test_submit_to_a_pipe_that_is_not_read_ends_in_time(stdout: StandardOutput) -> None:
    """After a line in part nothing is written, not even the summary; all are refused."""
    reading, writing = os.pipe()
    stdout.use(writing)
    os.close(writing)
    printer = target(0.3)
    results = [outcome(9000, f"a!{number}") for number in range(20)]
    began = time.monotonic()
    reasons = refusals(printer, *results)
    seconds = time.monotonic() - began
    taken = os.read(reading, 1 << 20)
    tally = Tally(
        [each.service for each in results], Sweep("x", submit_target=SubmitTarget("jsonl", "-"))
    )
    for each in results:
        tally.add(each)
    code = printer.print_summary(tally.verdict(1.0), tally)
    os.set_blocking(reading, False)
    with pytest.raises(BlockingIOError):
        os.read(reading, 1)
    stdout.restore()

    whole, _, part = taken.rpartition(b"\n")
    assert part
    count = len(whole.splitlines())
    assert reasons[:count] == [None] * count
    assert reasons[count] == "standard output is not read"
    assert set(reasons[count + 1 :]) == {"the line before it is incomplete"}
    assert seconds < 2
    assert code == 3


def test_submit_without_a_reader_fails_at_once(stdout: StandardOutput) -> None:
    """A broken pipe is an error with its reason, without a signal."""
    assert signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN
    reading, writing = os.pipe()
    os.close(reading)
    stdout.use(writing)
    os.close(writing)
    reasons = refusals(target(), outcome(100), outcome(100))
    stdout.restore()

    assert reasons == ["cannot write to standard output: Broken pipe"] * 2


@pytest.mark.parametrize("state", State)
def test_summary_that_cannot_be_written_is_unknown(stdout: StandardOutput, state: State) -> None:
    """The exit code says so, as for every output."""
    with open("/dev/full", "wb") as full:
        stdout.use(full.fileno())
    made = target().print_summary(Verdict(state, "x"), Tally([], Sweep("x")))
    stdout.restore()

    assert made == 3
