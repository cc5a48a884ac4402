"""Submit results as external commands to a FIFO that may have no reader."""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from check_pop3_plus.check.verdict import Figure, Verdict
from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.settings import State
from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.services import Service
from check_pop3_plus.sweep.targets import nagios_target, submission
from tests.servers.scripted_server import PoliteServer, dead_port
from tests.support.command import run
from tests.support.submission import refusals


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    path = tmp_path / "nagios.cmd"
    os.mkfifo(path)
    return path


class Reader:
    """Reads a FIFO as Nagios does."""

    def __init__(self, fifo: Path) -> None:
        # Opened for both, so that reading never ends between two writers.
        self._descriptor = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        self._text = b""

    def commands(self) -> list[str]:
        while select.select([self._descriptor], [], [], 0)[0]:
            self._text += os.read(self._descriptor, 65536)
        return self._text.decode().splitlines()

    def close(self) -> None:
        os.close(self._descriptor)


@pytest.fixture
def reader(fifo: Path) -> Iterator[Reader]:
    reader = Reader(fifo)
    yield reader
    reader.close()


def outcome(verdict: Verdict | None = None, name: str = "host!pop3") -> Outcome:
    made = verdict or Verdict(State.OK, "fine", (Figure("time", 1),))
    return Outcome(Service(name, ()), made, ended=1700000000.4)


def pipe(fifo: Path, seconds: float = 5) -> nagios_target.Target:
    return nagios_target.Target(str(fifo), Deadline(time.monotonic() + seconds))


def test_submit_writes_one_external_command(fifo: Path, reader: Reader) -> None:
    """Time, host, service, exit code, and the output with `\\n` for the end of a line."""
    verdict = Verdict(
        State.CRITICAL,
        "gone",
        (Figure("time", 1), Figure("messages", 2)),
        ("kind: closed", "try: x"),
    )

    assert refusals(pipe(fifo), outcome(verdict)) == [None]
    assert reader.commands() == [
        "[1700000000] PROCESS_SERVICE_CHECK_RESULT;host;pop3;2;"
        "POP3 CRITICAL - gone | time=1 messages=2\\nkind: closed\\ntry: x"
    ]


def test_submit_of_long_output_is_cut_between_lines(fifo: Path, reader: Reader) -> None:
    """A command fits into one atomic write; longer output is cut between two lines."""
    lines = tuple(f"line {number}: {'x' * 90}" for number in range(99))
    verdict = Verdict(State.CRITICAL, "gone", (Figure("time", 1),), lines, is_verbose=True)

    assert refusals(pipe(fifo), outcome(verdict)) == [None]
    [command] = reader.commands()
    assert 3900 < len(command) < select.PIPE_BUF
    assert command.endswith("x" * 90)


@pytest.mark.parametrize("digits", range(1, 9))
def test_submit_of_many_figures_is_cut_between_figures(
    digits: int, fifo: Path, reader: Reader
) -> None:
    """Half a number is another number. The end of line fits, too."""
    figures = tuple(Figure(f"time_{'x' * digits}{number:03}", 1) for number in range(500))
    verdict = Verdict(State.OK, "fine", figures, is_verbose=True)

    assert refusals(pipe(fifo), outcome(verdict)) == [None]
    [command] = reader.commands()
    assert select.PIPE_BUF - 24 < len(command) < select.PIPE_BUF
    assert command.endswith("=1")


@pytest.mark.parametrize("size", range(3))
def test_submit_of_long_output_uses_all_the_space(size: int, fifo: Path, reader: Reader) -> None:
    """A line that fits together with the end of the command is not left out; no later one is in."""
    head = len("[1700000000] PROCESS_SERVICE_CHECK_RESULT;host;pop3;2;POP3 CRITICAL - gone\\n")
    space = select.PIPE_BUF - 1 - head
    verdict = Verdict(State.CRITICAL, "gone", (), ("x" * (space - 1 + size), "y"), is_verbose=True)

    assert refusals(pipe(fifo), outcome(verdict)) == [None]
    [command] = reader.commands()
    assert len(command) == (select.PIPE_BUF - 2 + size if size < 2 else head - 2)


@pytest.mark.parametrize(("spare", "end"), [(1, " | time=1"), (0, " | time=1"), (-1, " - fine |")])
def test_submit_of_a_command_that_just_fits_is_cut_behind_its_last_figure(
    spare: int, end: str, fifo: Path, reader: Reader
) -> None:
    """A pipe takes the limit at once, the end of the line included."""
    head = len("[1700000000] PROCESS_SERVICE_CHECK_RESULT;a;;0;POP3 OK - fine | time=1\n")
    name = "a!" + "b" * (select.PIPE_BUF - head - spare)
    verdict = Verdict(State.OK, "fine", (Figure("time", 1), Figure("x", 1)))

    assert refusals(pipe(fifo), outcome(verdict, name)) == [None]
    [command] = reader.commands()
    assert command.endswith(end)


@pytest.mark.parametrize("name", ["regular", "none"])
def test_target_without_a_fifo_is_a_config_error(name: str, tmp_path: Path) -> None:
    """The message names the file and the reason."""
    path = tmp_path / name
    (tmp_path / "regular").touch()
    reason = {"regular": ": not a FIFO", "none": ": No such file or directory"}[name]
    with pytest.raises(ProbeError) as raised:
        pipe(path)
    assert raised.value.kind is Kind.CONFIG
    assert raised.value.message == f"cannot use command file {path}{reason}"


def test_submit_of_a_name_with_a_semicolon_is_refused(fifo: Path, reader: Reader) -> None:
    """A semicolon in a name would start another field."""
    [refusal] = refusals(pipe(fifo), outcome(name="a!b;2;x"))
    assert refusal == "a command cannot have a ; in its names"
    assert reader.commands() == []


def test_submit_without_a_reader_waits_only_once(
    fifo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All results together wait once for a reader, and soon notice one."""
    monkeypatch.setattr(submission, "PATIENCE_SECONDS", 0.3)
    pauses: list[float] = []
    sleep = time.sleep

    def paused(seconds: float) -> None:
        pauses.append(seconds)
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", paused)
    commands = pipe(fifo)
    began = time.monotonic()

    reasons = set(refusals(commands, *(outcome() for _ in range(100))))

    assert reasons == {f"no process reads {fifo}"}
    assert set(pauses) == {0.1}
    assert time.monotonic() - began < 1


def test_submit_to_a_full_or_abandoned_pipe_fails(
    fifo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting for a full pipe, or one without a reader, has a limit."""
    monkeypatch.setattr(submission, "PATIENCE_SECONDS", 0.3)
    reader = Reader(fifo)
    commands = pipe(fifo)
    # Without a reader 64 KiB fill the pipe.
    taken = refusals(commands, *(outcome() for _ in range(3000)))
    assert taken[0] is None
    assert set(taken) == {None, f"{fifo} is full"}
    reader.close()
    assert refusals(pipe(fifo), outcome()) == [f"no process reads {fifo}"]


def test_submit_waits_for_a_reader_that_restarts(fifo: Path) -> None:
    """No result is lost while Nagios restarts, also where the pipe was open before."""
    readers = [Reader(fifo)]
    commands = pipe(fifo)
    commands.submit(outcome())
    readers[0].close()
    later = threading.Timer(0.5, lambda: readers.append(Reader(fifo)))
    later.start()

    assert refusals(commands, outcome()) == [None]
    later.join()
    assert len(readers[1].commands()) == 1
    readers[1].close()


def test_submit_to_an_exchanged_command_file_writes_nothing(
    fifo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The opened file is checked: it may have been exchanged since the sweep began."""
    monkeypatch.setattr(submission, "PATIENCE_SECONDS", 0.3)
    commands = pipe(fifo)
    fifo.unlink()
    fifo.write_text("untouched")
    before = os.listdir("/proc/self/fd")

    assert refusals(commands, outcome()) == [f"cannot write to {fifo}: not a FIFO"]
    assert fifo.read_text() == "untouched"
    assert os.listdir("/proc/self/fd") == before


def test_submit_opens_the_command_file_for_itself_alone(
    fifo: Path, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No child process inherits it, and a terminal in its place does not control the sweep."""
    opened: dict[int, int] = {}
    real_open = os.open

    def watched(path: str, flags: int) -> int:
        descriptor = real_open(path, flags)
        opened[descriptor] = flags
        return descriptor

    commands = pipe(fifo)
    monkeypatch.setattr(os, "open", watched)
    commands.submit(outcome())

    [(descriptor, flags)] = opened.items()
    assert not os.get_inheritable(descriptor)
    assert flags & os.O_NOCTTY
    assert flags & os.O_NONBLOCK
    commands.finish()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)
    assert len(reader.commands()) == 1


def test_sweep_writes_all_results_of_valid_sections(
    fifo: Path, reader: Reader, tmp_path: Path
) -> None:
    """All results arrive; the exit code is that of the sweep."""
    path = tmp_path / "sweep.ini"
    with PoliteServer({}) as server, dead_port() as dead:
        path.write_text(
            "[DEFAULT]\nhostname = 127.0.0.1\n"
            f"[a!good]\nport = {server.port}\n[b!dead]\nport = {dead}\n[c!wrong]\nport = x\n"
        )
        done = run("--sweep", str(path), "--submit", f"nagios:{fifo}")

    assert done.code == 3
    assert " (line 8: c!wrong); 3 services in " in done.verdict
    assert "; all submitted" in done.verdict
    assert [line.partition(";")[2].split(";")[:3] for line in sorted(reader.commands())] == [
        ["a", "good", "0"],
        ["b", "dead", "2"],
    ]


def test_sweep_without_a_reader_is_critical(fifo: Path, tmp_path: Path) -> None:
    """The sweep is CRITICAL within its timeout and names the service."""
    path = tmp_path / "sweep.ini"
    with PoliteServer({}) as server:
        path.write_text(f"[a!good]\nhostname = 127.0.0.1\nport = {server.port}\n")
        done = run("--sweep", str(path), "--submit", f"nagios:{fifo}", "--run-timeout", "1")

    assert done.code == 2
    assert done.seconds < 2
    assert ": 1 OK, 1 not submitted" in done.verdict
    # On line 1 if the path is short enough, else below it.
    assert f"not submitted: no process reads {fifo} (a!good)" in done.out
    assert done.perfdata["not_submitted"] == "1;;;0;1"


def test_sweep_with_a_regular_file_as_command_file_is_refused(tmp_path: Path) -> None:
    """The file is checked before the first service; a regular file stays untouched."""
    path, regular = tmp_path / "sweep.ini", tmp_path / "regular"
    path.write_text("[a!b]\n")
    regular.write_text("untouched")

    for file, reason in ((regular, "not a FIFO"), (tmp_path / "none", "No such file")):
        done = run("--sweep", str(path), "--submit", f"nagios:{file}")
        assert done.code == 3
        assert reason in done.line
    assert regular.read_text() == "untouched"
