"""The submit targets that write to a file, a pipe or standard output."""

from __future__ import annotations

import json
import os
import re
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Semaphore

import pytest

from check_pop3_plus.check.verdict import Verdict
from check_pop3_plus.model.failures import ProbeError
from check_pop3_plus.model.settings import (
    HttpsEndpoint,
    RestApi,
    State,
    SubmitTarget,
    Sweep,
)
from check_pop3_plus.options.table import SUBMIT_FORMS
from check_pop3_plus.support import deadline
from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.sweep import summary
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.services import Service
from check_pop3_plus.sweep.targets import (
    jsonl_target,
    nagios_target,
    submission,
)
from tests.pki.certificates import Pki
from tests.support.submission import refusals


def outcome(
    name: str = "a!b", state: State = State.OK, text: str = "fine", is_readable: bool = True
) -> Outcome:
    return Outcome(Service(name), Verdict(state, text), is_readable, ended=12.6)


def soon() -> Deadline:
    return Deadline(time.monotonic() + 5)


# --- prometheus ------------------------------------------------------------------------------


def metrics_of(path: Path) -> dict[str, str]:
    """Return the values of a file, by their names with labels."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return dict(line.rsplit(" ", 1) for line in lines)


def states_of(path: Path) -> list[str]:
    """Return the states of all services in a file, sorted."""
    held = [key for key, value in metrics_of(path).items() if value == "1"]
    found = [re.search('state="([^"]*)"', key, re.IGNORECASE) for key in held]
    return sorted(each[1].upper() for each in found if each)


def test_metrics_file_with_another_ending_is_refused() -> None:
    """node_exporter reads only files that end in .prom."""
    with pytest.raises(ProbeError) as caught:
        opened(Path("x.txt"))

    assert caught.value.message == (
        "invalid --submit prometheus:x.txt: must end in .prom: node_exporter reads no other file"
    )


def opened(path: Path) -> submission.Target:
    return submission.open_target(SubmitTarget("prometheus", str(path)), soon())


def test_metrics_of_a_complete_sweep_replace_the_file(tmp_path: Path) -> None:
    """With the time of the sweep and the number of services without a result."""
    path = tmp_path / "pop3.prom"
    path.write_text("old\n")
    target = opened(path)
    before = time.time()

    for each in (outcome(), outcome("c!d", State.CRITICAL)):
        target.submit(each)
    assert path.read_text() == "old\n"
    target.complete(3)

    assert target.finish() == []
    found = metrics_of(path)
    assert states_of(path) == ["CRITICAL", "OK"]
    own = f'{{sweep="{path}"}}'
    assert float(found[f"pop3_sweep_not_done_services{own}"]) == 3
    assert abs(float(found[f"pop3_sweep_last_run_timestamp_seconds{own}"]) - before) < 5
    assert os.listdir(tmp_path) == ["pop3.prom"]


def test_metrics_of_two_sections_with_one_name_are_of_the_valid_one(tmp_path: Path) -> None:
    """In any order: node_exporter refuses duplicate series."""
    valid, invalid = outcome(), outcome(state=State.UNKNOWN, is_readable=False)
    for order, state in (
        ((valid, invalid), "OK"),
        ((invalid, valid), "OK"),
        ((invalid,), "UNKNOWN"),
    ):
        target = opened(tmp_path / "pop3.prom")
        assert target.takes_invalid
        for each in order:
            target.submit(each)
        target.complete(0)
        assert states_of(tmp_path / "pop3.prom") == [state]


def test_metrics_of_an_interrupted_sweep_leave_the_old_file(tmp_path: Path) -> None:
    """Every service is named: without their metrics the alerts of the missing ones would end."""
    path = tmp_path / "pop3.prom"
    path.write_text("old\n")
    target = opened(path)
    one = outcome()

    target.submit(one)

    assert target.finish() == [(one, "the sweep ended first")]
    assert path.read_text() == "old\n"


def test_metrics_file_not_written_names_every_service(tmp_path: Path) -> None:
    """With the reason of the system."""
    path = tmp_path / "gone" / "pop3.prom"
    path.parent.mkdir()
    target, one = opened(path), outcome()
    path.parent.rmdir()

    target.submit(one)
    target.complete(0)

    assert target.finish() == [(one, f"cannot write {path}: No such file or directory")]


def test_metrics_directory_that_cannot_be_written_is_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the effective user; before any check. A bare file name is in the working directory."""
    missing = tmp_path / "missing"
    with pytest.raises(ProbeError, match=f"^cannot write to directory {missing} of --submit$"):
        opened(missing / "pop3.prom")
    asked = []

    def access(directory: str, mode: int, *, effective_ids: bool) -> bool:
        asked.append((directory, mode, effective_ids))
        return True

    monkeypatch.setattr(os, "access", access)
    opened(Path("pop3.prom"))

    assert asked == [(".", os.W_OK | os.X_OK, True)]


# --- JSON lines --------------------------------------------------------------------------------


@contextmanager
def as_standard_output(descriptor: int) -> Iterator[None]:
    """Let descriptor 1 be another one."""
    saved = os.dup(1)
    os.dup2(descriptor, 1)
    try:
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def standard_output() -> submission.Target:
    return submission.open_target(SubmitTarget("jsonl", "-"), soon())


def test_json_line_is_whole_and_of_invalid_sections_too(tmp_path: Path) -> None:
    """One object a line."""
    file = os.open(tmp_path / "out", os.O_RDWR | os.O_CREAT)
    target = standard_output()
    assert target.takes_invalid
    with as_standard_output(file):
        said = refusals(target, outcome(), outcome("c!d"))

    assert said == [None, None]
    lines = (tmp_path / "out").read_text().splitlines()
    assert [json.loads(line)["host"] for line in lines] == ["a", "c"]


class Disk:
    """A file system with `free` bytes, which is full once they are written, and then has space."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, free: int) -> None:
        self.free = free
        self._write = os.write
        monkeypatch.setattr(os, "write", self.write)

    def write(self, descriptor: int, data: bytes) -> int:
        if not self.free:
            self.free = 1 << 20
            raise OSError(28, "No space left on device")
        written = self._write(descriptor, data[: self.free])
        self.free -= written
        return written


@pytest.mark.parametrize("free", [0, 1, 20])
def test_json_line_written_in_part_is_removed_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int
) -> None:
    """What was there before stays, and the next line is readable."""
    path = tmp_path / "out"
    path.write_text("before\n")
    file = os.open(path, os.O_RDWR)
    os.lseek(file, 0, os.SEEK_END)
    Disk(monkeypatch, free)
    target = standard_output()
    with as_standard_output(file):
        refusal = target.send(outcome(), 0)
        assert path.read_text() == "before\n"
        assert target.send(outcome("c!d"), 0) is None

    assert refusal == "cannot write to standard output: No space left on device"
    first, second = path.read_text().splitlines()
    assert first == "before"
    assert json.loads(second)["host"] == "c"


def test_json_line_written_in_part_to_a_longer_file_is_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind it stands what is not ours: nothing is removed, and no line follows."""
    path = tmp_path / "out"
    path.write_text("x" * 500)
    file = os.open(path, os.O_RDWR)
    Disk(monkeypatch, 20)
    with as_standard_output(file):
        said = refusals(standard_output(), outcome(), outcome("c!d"))

    assert said[1] == "the line before it is incomplete"
    assert len(path.read_text()) == 500


def test_json_line_written_in_part_to_a_pipe_is_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe takes nothing back."""
    reader, writer = os.pipe()
    Disk(monkeypatch, 1)
    with as_standard_output(writer):
        said = refusals(standard_output(), outcome(), outcome("c!d"))
    os.close(writer)

    assert said[1] == "the line before it is incomplete"
    assert os.read(reader, 100) == b"{"
    os.close(reader)


def test_json_lines_that_nobody_reads_end_at_the_deadline() -> None:
    """The summary has a second of its own, after the deadline of the results."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    while select.select([], [writer], [], 0)[1]:
        os.write(writer, bytes(select.PIPE_BUF))
    target = jsonl_target.Target("-", Deadline(time.monotonic() + 0.3))
    tally = summary.Tally([], Sweep("f"))
    with as_standard_output(writer):
        began = time.monotonic()
        assert target.send(outcome(), 0) == "standard output is not read"
        assert 0.2 < time.monotonic() - began < 0.8
        assert target.print_summary(Verdict(State.OK, "done"), tally) == 3
        assert 1.2 < time.monotonic() - began < 1.9
        os.read(reader, 1 << 20)
        assert target.print_summary(Verdict(State.WARNING, "done"), tally) == 1
    os.close(writer)
    os.close(reader)


# --- patience ----------------------------------------------------------------------------------


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let the clock show the sum of all pauses, which take no time."""
    made: list[float] = []
    for module in (submission, deadline):
        monkeypatch.setattr(module, "Clock", lambda: 100 + sum(made))
    monkeypatch.setattr(time, "sleep", made.append)
    return made


class Flaky(submission.Target):
    """Accepts each result after as many failures as `failures` has for it."""

    def __init__(self, *failures: int, seconds: float = 100, is_final: bool = False) -> None:
        super().__init__(Deadline(100 + seconds))
        self._failures = [*failures]
        self._is_final = is_final
        self.tries = 0

    def send(self, outcome: Outcome, resends: int) -> str | None:
        self.tries += 1
        if resends < self._failures[0]:
            if self._is_final:
                raise submission.NotDelivered("down", is_final=True)
            raise submission.NotDelivered("down")
        self._failures.pop(0)
        return None


def test_pause_doubles_up_to_the_longest(pauses: list[float]) -> None:
    """Each result begins with a short one."""
    assert refusals(Flaky(7, 0, 1), *map(outcome, "abc")) == [None] * 3
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, 0.1]


@pytest.mark.parametrize(
    ("longest_pause", "seconds", "is_final", "count"),
    [(0.0625, 100, False, 160), (0.0625, 1, False, 15), (2, 100, True, 0)],
    ids=["patience", "end of the sweep", "final"],
)
def test_patience_ends_for_all_results(
    longest_pause: float, seconds: float, is_final: bool, count: int, pauses: list[float]
) -> None:
    """After 10 s, where no other try fits before the deadline, or where none can help."""
    target = Flaky(999, seconds=seconds, is_final=is_final)
    target.longest_pause = longest_pause

    assert refusals(target, outcome(), outcome()) == ["down", "down"]
    assert pauses == [longest_pause] * count
    assert target.tries == count + 1


def test_patience_after_a_success_starts_again(pauses: list[float]) -> None:
    """Several short failures of a receiver are not one long failure."""
    target = Flaky(70, 70, 70)
    target.longest_pause = 0.1

    assert refusals(target, *map(outcome, "abc")) == [None] * 3
    assert len(pauses) == 210


def test_wait_lasts_as_long_as_a_result_is_undecided(pauses: list[float]) -> None:
    """Or until the deadline."""
    target = Flaky(0)
    target.wait(Deadline(101))
    assert pauses == []
    target._undecided[0] = outcome()
    target.wait(Deadline(100.05))
    assert pauses == pytest.approx([0.02, 0.02, 0.01])


class Busy(submission.Target):
    """Takes its time for each result."""

    senders = 2

    def __init__(self) -> None:
        super().__init__(soon())
        self.begun = Semaphore(0)
        self.release = {name: Semaphore(0) for name in ("a", "no", "b", "c", "d")}

    def send(self, outcome: Outcome, resends: int) -> str | None:
        name = outcome.service.host
        self.begun.release()
        self.release[name].acquire(timeout=5)
        return "refused" if name == "no" else None


def test_thread_is_started_where_results_queue_up() -> None:
    """Up to `senders`; all end with the target. What is not sent then is named."""
    target = Busy()
    before = threading.active_count()
    running = []
    for name in target.release:
        target.submit(outcome(f"{name}!x"))
        running.append(threading.active_count() - before)
        if name in ("a", "b"):
            assert target.begun.acquire(timeout=5)
    assert running == [1, 1, 2, 2, 2]

    for name in ("a", "no"):
        target.release[name].release()
        assert target.begun.acquire(timeout=5)
    named = {each.service.host: reason for each, reason in target.finish()}
    for name in "bcd":
        target.release[name].release()

    assert named == {"no": "refused", **dict.fromkeys("bcd", "the sweep ended first")}
    limit = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < limit:
        time.sleep(0.01)
    assert threading.active_count() == before


def test_thread_that_cannot_start_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until then the caller sends."""
    start, refused = threading.Thread.start, [None]
    senders = []

    def limited(thread: threading.Thread) -> None:
        if refused:
            refused.pop()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    target = Busy()
    monkeypatch.setattr(
        target, "send", lambda *_: senders.append(threading.current_thread()), raising=True
    )
    here = threading.current_thread()

    target.submit(outcome())
    assert senders == [here]
    began = time.monotonic()
    assert refusals(target, outcome(), outcome()) == [None, None]
    assert time.monotonic() - began < 0.9
    assert here not in senders[1:]
    assert all(each.daemon for each in senders[1:])


@pytest.mark.parametrize("name", [form.partition(":")[0] for form in SUBMIT_FORMS])
def test_open_target_opens_the_one_of_the_settings(name: str, tmp_path: Path, pki: Pki) -> None:
    """A program that reads all results gets those of invalid sections, too; no person does."""
    secret = tmp_path / "secret"
    secret.touch(0o600)
    secret.write_text("s3cret-word")
    os.mkfifo(tmp_path / "fifo")
    endpoint = HttpsEndpoint("localhost", 5665, "/")
    locations: dict[str, str | RestApi] = {
        "icinga2": RestApi(endpoint, "sweep", str(secret), str(pki.ca_file)),
        "nagios": str(tmp_path / "fifo"),
        "jsonl": "-",
        "prometheus": str(tmp_path / "x.prom"),
    }

    target = submission.open_target(SubmitTarget(name, locations[name]), soon())

    assert target.takes_invalid == (name in ("jsonl", "prometheus"))
    assert (target.senders > 0) == (name == "icinga2")


@pytest.mark.parametrize("size", range(nagios_target.LINE_LIMIT - 80, nagios_target.LINE_LIMIT))
def test_command_for_nagios_is_no_longer_than_a_pipe_takes_at_once(size: int) -> None:
    """Other processes write to the command file, too."""
    long = Outcome(Service("h" * size + "!s"), Verdict(State.OK, "x", lines=("note: y",)))

    assert len(nagios_target._command(long)) <= nagios_target.LINE_LIMIT


def test_command_file_that_is_no_fifo_any_more_gets_no_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nagios makes it again when it starts; in between anything may be in its place."""
    monkeypatch.setattr(submission, "PATIENCE_SECONDS", 0.0)
    path = tmp_path / "nagios.cmd"
    os.mkfifo(path)
    target = submission.open_target(SubmitTarget("nagios", str(path)), soon())
    path.unlink()
    path.touch()

    assert refusals(target, outcome()) == [f"cannot write to {path}: not a FIFO"]
    assert path.read_bytes() == b""
