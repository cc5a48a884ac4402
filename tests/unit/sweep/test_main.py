"""One sweep from its file to its exit code, with checks and a submit target of the test."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from check_pop3_plus.check.verdict import Verdict
from check_pop3_plus.model.failures import config_error
from check_pop3_plus.model.settings import State, SubmitTarget, Sweep
from check_pop3_plus.model.stopped import Stopped
from check_pop3_plus.support.deadline import Clock, Deadline
from check_pop3_plus.sweep import main
from check_pop3_plus.sweep.known_secrets import KnownSecrets
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.run import Workload
from check_pop3_plus.sweep.summary import Tally
from check_pop3_plus.sweep.targets import jsonl_target, submission

VERDICTS = {
    "good": Verdict(State.OK, "fine"),
    "bad": Verdict(State.CRITICAL, "s3cret"),
    "invalid": Verdict(State.UNKNOWN, "config: invalid --port x"),
    "short": Verdict(State.UNKNOWN, "config: no descriptor", shortage="no descriptor"),
}
"""By the hosts of the services; `late` has none."""


class Checks:
    """Replaces `Run`, and its outcomes are there at once."""

    why_late = "others were busy"
    loads: list[Workload]

    def __init__(self, load: Workload) -> None:
        self.loads.append(load)
        self.is_closed = False

    def outcomes(self) -> Iterator[Outcome]:
        for each in self.loads[-1].services:
            if verdict := VERDICTS.get(each.host):
                yield Outcome(each, verdict, is_readable=each.host != "invalid")
        self.loads[-1].secrets.masker.add([b"s3cret"])  # the last check has learnt it


class Target(submission.Target):
    """Notes what is asked of it."""

    senders = 3

    def __init__(self) -> None:
        super().__init__(Deadline(0))
        self.notes: list[str] = []
        self.waited: list[float] = []
        self.results: list[Outcome] = []
        self.refused = ""
        self.stops = ""

    def submit(self, outcome: Outcome) -> None:
        self.notes.append(outcome.service.host)
        self.results.append(outcome)
        if self.stops == outcome.service.host:
            raise Stopped

    def wait(self, deadline: Deadline) -> None:
        self.waited.append(deadline.at)

    def complete(self, missing: int) -> None:
        self.notes.append(f"{missing} missing")

    def finish(self) -> list[tuple[Outcome, str]]:
        self.notes.append("finish")
        return [(each, "down") for each in self.results if each.service.host == self.refused]


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> Target:
    target = Target()
    monkeypatch.setattr(submission, "open_target", lambda *_: target)
    return target


@pytest.fixture(autouse=True)
def loads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Workload]]:
    Checks.loads = []
    monkeypatch.setattr(main, "Run", Checks)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    was_enabled = gc.isenabled()
    yield Checks.loads
    (gc.enable if was_enabled else gc.disable)()


def wanted(folder: Path, *hosts: str, **settings: object) -> Sweep:
    path = folder / "sweep.ini"
    path.write_text("".join(f"[{host}!x]\n" for host in hosts))
    return Sweep(str(path), **settings)  # type: ignore[arg-type]


ALL = ("good", "bad", "invalid", "short", "late")


@pytest.mark.parametrize("takes_invalid", [False, True])
def test_sweep_submits_every_result_that_its_target_takes(
    takes_invalid: bool, target: Target, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Not a shortage of this machine; and the target knows how many services have no result."""
    target.takes_invalid = takes_invalid
    started = Clock()
    sweep = wanted(tmp_path, *ALL, submit_target=SubmitTarget("nagios", "x"), run_timeout=50)

    assert main.run_sweep(sweep, started) == 3

    results = ["good", "bad", *(["invalid"] if takes_invalid else [])]
    assert target.notes == [*results, "2 missing", "finish"]
    assert target.waited == [started + 50]
    out = capfd.readouterr().out
    assert out.startswith("POP3 UNKNOWN - config: invalid --port x")
    assert ": 1 OK, 1 CRITICAL, 1 UNKNOWN, 2 not done; all submitted" in out
    assert "others were busy" in out
    assert "no descriptor" in out


def test_sweep_that_submits_nothing_shows_the_results_itself(
    loads: list[Workload], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """With all secrets masked that are known at the end."""
    sweep = wanted(tmp_path, "good", "bad", run_timeout=50)

    assert main.run_sweep(sweep, Clock() - 7) == 2

    out = capfd.readouterr().out
    assert out.startswith("POP3 CRITICAL - *** (bad!x); 2 services in 7.")
    assert " s: 1 OK, 1 CRITICAL | " in out
    assert loads[0].senders == 0


def test_sweep_collects_garbage_of_its_checks_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of checks leave garbage, and what is loaded stays."""
    calls = []
    monkeypatch.setattr(gc, "freeze", lambda: calls.append("freeze"))
    gc.disable()
    main.run_sweep(wanted(tmp_path, "good"), Clock())

    assert calls == ["freeze"]
    assert gc.isenabled()


def test_sweep_with_a_refused_result_is_critical(
    target: Target, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The reason is named."""
    target.refused = "good"
    sweep = wanted(tmp_path, "good", "bad", submit_target=SubmitTarget("nagios", "x"))

    assert main.run_sweep(sweep, Clock()) == 2
    assert "POP3 CRITICAL - not submitted: down (good!x)" in capfd.readouterr().out


def test_sweep_that_is_stopped_completes_nothing(
    target: Target, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The target still says what it has not submitted."""
    target.stops = target.refused = "bad"
    sweep = wanted(tmp_path, "good", "bad", "late", submit_target=SubmitTarget("nagios", "x"))

    assert main.run_sweep(sweep, Clock()) == 3
    assert target.notes == ["good", "bad", "finish"]
    assert target.waited == []
    out = capfd.readouterr().out
    assert "stopped from outside; not submitted: down (bad!x); not done" in out


@pytest.mark.parametrize(("run_timeout", "reserved"), [(50.0, 5.0), (100.0, 5.0), (20.0, 2.0)])
def test_sweep_reserves_time_for_its_last_results(
    run_timeout: float,
    reserved: float,
    target: Target,
    loads: list[Workload],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Checks end 5 s or a tenth before the run, for which the target has the whole time."""
    ends: list[float] = []

    def open_target(_: object, deadline: Deadline) -> Target:
        ends.append(deadline.at)
        return target

    monkeypatch.setattr(submission, "open_target", open_target)
    sweep = wanted(
        tmp_path, "good", run_timeout=run_timeout, submit_target=SubmitTarget("nagios", "x")
    )

    main.run_sweep(sweep, 1000)
    main.run_sweep(sweep.replace(submit_target=None), 1000)

    assert ends == [1000 + run_timeout]
    assert [load.deadline.at for load in loads] == [ends[0] - reserved, ends[0]]
    assert [load.senders for load in loads] == [3, 0]
    assert all(isinstance(load.secrets, KnownSecrets) for load in loads)


def test_sweep_whose_target_cannot_be_used_checks_nothing(
    loads: list[Workload], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error is that of the sweep."""

    def open_target(*_: object) -> None:
        raise config_error("no FIFO")

    monkeypatch.setattr(submission, "open_target", open_target)
    with pytest.raises(Exception, match="no FIFO"):
        main.run_sweep(wanted(tmp_path, "good", submit_target=SubmitTarget("nagios", "x")), Clock())
    assert loads == []


def test_sweep_of_several_workers_runs_in_processes(
    loads: list[Workload], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has its share of the services."""
    shares: list[list[str]] = []

    class Workers(Checks):
        def __init__(self, parts: list[list[object]], load: Workload) -> None:
            shares.extend([each.host for each in part] for part in parts)  # type: ignore[attr-defined]
            super().__init__(load)

    monkeypatch.setattr(main, "Workers", Workers)
    assert main.run_sweep(wanted(tmp_path, "good", "bad", workers=2), Clock()) == 2

    assert shares == [["good"], ["bad"]]
    assert len(loads) == 1


@pytest.mark.parametrize("is_json", [False, True])
def test_sweep_shows_its_progress_on_a_terminal(
    is_json: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """And removes it before the result; JSON is for a program."""
    monkeypatch.setattr(os, "isatty", lambda descriptor: descriptor == 1)
    sweep = wanted(
        tmp_path, "good", "bad", submit_target=SubmitTarget("jsonl", "-") if is_json else None
    )

    assert main.run_sweep(sweep, Clock()) == (0 if is_json else 2)

    out = capfd.readouterr().out
    progress = "\r1 of 2 services done\r\x1b[K"
    assert out.startswith('{"host": "good"' if is_json else f"{progress}POP3 CRITICAL - ***")
    assert is_json != ("done\r" in out)


def test_progress_is_shown_at_most_five_times_a_second(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A terminal is slow; where nothing was shown nothing is removed."""
    now = [100.0]
    monkeypatch.setattr(main, "Clock", lambda: now[0])
    tally = Tally([], Sweep("x"))
    for is_shown in (False, True):
        progress = main._Progress(tally, is_shown)
        progress.clear()
        assert capfd.readouterr().out == ""
        shown = []
        for now[0] in (100, 100.125, 100.1875, 100.25, 100.375, 100.5):
            progress.show()
            shown.append(bool(capfd.readouterr().out))
        assert shown == [is_shown and each for each in (1, 0, 0, 1, 0, 1)]
        progress.clear()
        assert capfd.readouterr().out == ("\r\x1b[K" if is_shown else "")


def test_sweep_as_json_ends_with_its_summary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Its exit code is that of the target, which may fail to print."""
    seen = []

    def print_summary(_: object, verdict: Verdict, tally: Tally) -> int:
        seen.append((verdict.state, tally.done()))
        return 3

    monkeypatch.setattr(jsonl_target.Target, "print_summary", print_summary)

    assert (
        main.run_sweep(wanted(tmp_path, "good", submit_target=SubmitTarget("jsonl", "-")), Clock())
        == 3
    )
    assert seen == [(State.OK, 1)]
    assert capfd.readouterr().out.count("\n") == 1
