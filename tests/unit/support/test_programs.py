"""The runner of other programs."""

import os
import shlex
import threading
import time
from pathlib import Path

import pytest

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.support import programs
from check_pop3_plus.support.deadline import Clock, Deadline
from check_pop3_plus.support.programs import Output, Programs, stop_all


def shell(script: str, seconds: float = 5, limit: int = 100, **options: bool) -> Output:
    return Programs().run(["sh", "-c", script], Deadline(Clock() + seconds), limit, **options)  # type: ignore[arg-type]


def is_gone(pid: Path) -> bool:
    """Return whether a process ends soon; a zombie has, and waits for its new parent."""
    status = Path(f"/proc/{pid.read_text().strip()}/status")
    for _ in range(100):
        try:
            if "State:\tZ" in status.read_text():
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.02)
    return False


def test_run_program_returns_output_and_exit_code() -> None:
    """Standard error is dropped, and standard input is empty."""
    assert shell("cat; echo no >&2; printf yes; exit 3") == Output(3, b"yes")
    assert shell("echo err >&2", merge_stderr=True) == Output(0, b"err\n")
    assert shell("printf a; sleep 0.05; printf b") == Output(0, b"ab")


def test_run_program_killed_by_signal_returns_negative_code() -> None:
    """As `subprocess` says it: the program ended by itself, not because of us."""
    assert shell("kill -9 $$") == Output(-9, b"")


def test_run_program_environment_is_only_what_is_given(tmp_path: Path) -> None:
    """Nor is the working directory inherited where another one is given."""
    output = Programs().run(
        ["/bin/sh", "-c", "echo $HOME-$A; pwd"],
        Deadline(Clock() + 5),
        1000,
        env={"A": "b"},
        cwd=str(tmp_path),
    )

    assert output.data.decode().splitlines() == ["-b", str(tmp_path)]


@pytest.mark.parametrize("size", [0, 1, 100])
def test_run_program_output_up_to_the_limit_is_complete(size: int) -> None:
    """The limit itself is allowed."""
    assert shell(f"printf %{size}s ''") == Output(0, b" " * size)


def test_run_program_output_beyond_the_limit_is_cut_and_program_killed() -> None:
    """One byte more is enough; `yes` prints without end."""
    assert shell("printf %101s ''") == Output(None, b" " * 100, is_oversized=True)
    began = time.monotonic()
    assert shell("yes") == Output(None, b"y\n" * 50, is_oversized=True)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("script", ["sleep 30", "exec >&-; sleep 30"])
def test_run_program_late_is_killed(script: str) -> None:
    """Also a program that has closed its output."""
    began = time.monotonic()

    assert shell(f"printf a; {script}", seconds=0.2) == Output(None, b"a")
    assert time.monotonic() - began < 2


def test_run_program_late_is_killed_with_its_children(tmp_path: Path) -> None:
    """The whole session ends."""
    pid = tmp_path / "pid"

    shell(f"sleep 30 & echo $! > {shlex.quote(str(pid))}; wait", seconds=0.3)
    assert is_gone(pid)


def test_run_program_child_that_keeps_the_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """The output is complete when the program itself has ended; its child is killed."""
    pid = tmp_path / "pid"
    began = time.monotonic()

    output = shell(f"sleep 60 & echo $! > {shlex.quote(str(pid))}; echo x; sleep 0.1")
    assert output == Output(0, b"x\n")
    assert time.monotonic() - began < 1
    assert is_gone(pid)


@pytest.mark.parametrize("command", ["/nonexistent", "a\0b"])
def test_run_program_that_cannot_be_started_raises_config(command: str) -> None:
    """It is a fault of our own machine or configuration."""
    with pytest.raises(ProbeError, match=r"^cannot start a program: ") as caught:
        Programs().run([command], Deadline(Clock() + 5), 100)
    assert caught.value.kind is Kind.CONFIG


def test_programs_stop_kills_running_and_starts_no_more() -> None:
    """A diagnosis ends all of its programs from the main thread."""
    runner = Programs()
    outputs: list[Output] = []
    deadline = Deadline(Clock() + 30)

    def work() -> None:
        outputs.append(runner.run(["sleep", "30"], deadline, 100))

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    while len(programs._running) < 2:
        time.sleep(0.01)
    runner.stop()
    for thread in threads:
        thread.join(5)

    assert outputs == [Output(-9, b"")] * 2
    with pytest.raises(ProbeError, match=r"^cannot start a program: TimeoutError$"):
        runner.run(["true"], deadline, 100)


def test_programs_stop_leaves_those_of_another_runner() -> None:
    """In a sweep one diagnosis ends while others run."""
    outputs: list[Output] = []
    deadline = Deadline(Clock() + 30)
    thread = threading.Thread(
        target=lambda: outputs.append(Programs().run(["sleep", "0.3"], deadline, 100))
    )
    thread.start()
    while not programs._running:
        time.sleep(0.01)
    Programs().stop()
    thread.join(5)

    assert outputs == [Output(0, b"")]


def test_run_program_leaves_nothing_behind() -> None:
    """A sweep runs thousands of them; a number of a process is used again."""
    before = os.listdir("/dev/fd")
    runner, deadline = Programs(), Deadline(Clock() + 5)

    assert runner.run(["sh", "-c", "echo no >&2"], deadline, 100) == Output(0, b"")
    shell("yes")

    assert len(os.listdir("/dev/fd")) == len(before)
    assert (programs._running, programs._starting) == ({}, [])


def test_stop_all_waits_for_a_program_that_is_being_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """But only for a moment: its thread may hang."""
    began = time.monotonic()
    stop_all()
    at_once = time.monotonic() - began
    monkeypatch.setattr(programs, "_starting", [None])
    stop_all()
    waited = time.monotonic() - began - at_once

    assert at_once < 0.2 <= waited < 1.2


def test_stop_all_kills_programs_of_other_threads_with_children(tmp_path: Path) -> None:
    """The process ends without waiting for its threads."""
    pids = tmp_path / "pid"
    command = f"sleep 60 & echo $! > {pids}; wait"
    threading.Thread(target=shell, args=(command, 60), daemon=True).start()
    while not (pids.exists() and pids.read_text().strip()):
        time.sleep(0.01)

    stop_all()

    assert is_gone(pids)
