"""The queue of a sweep: a service for which this machine lacks resources is tried again."""

import errno
import socket
import threading
from pathlib import Path

import pytest

from check_pop3_plus.check import run as check_run
from check_pop3_plus.check.verdict import Verdict
from check_pop3_plus.model.failures import Kind, ProbeError, config_error, is_shortage
from check_pop3_plus.model.settings import Settings, State, Sweep, Target
from check_pop3_plus.net import resolve
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.support.deadline import Clock, Deadline
from check_pop3_plus.sweep import run as sweep_run
from check_pop3_plus.sweep import services
from check_pop3_plus.sweep.run import Outcome, Run

LACKING = Verdict(State.UNKNOWN, "config: no descriptor", shortage="no descriptor")
FINE = Verdict(State.OK, "answered")


class Checks:
    """Checks with these verdicts, one after the other."""

    def __init__(self, *verdicts: Verdict | Exception) -> None:
        self._verdicts = list(verdicts)
        self.prerequisites: list[Prerequisites] = []

    def __call__(self, _: Settings, __: float, prerequisites: Prerequisites) -> Verdict:
        self.prerequisites.append(prerequisites)
        verdict = self._verdicts.pop(0)
        if isinstance(verdict, Exception):
            raise verdict
        return verdict


def swept(
    checks: Checks, folder: Path, patch: pytest.MonkeyPatch, text: str = "[a!b]\n"
) -> list[Outcome]:
    """Return the outcomes of a sweep with these checks."""
    patch.setattr(check_run, "run_check", checks)
    patch.setattr(sweep_run, "_HOLD_SECONDS", 0.01)
    file = folder / "sweep.ini"
    file.write_text(text)
    return list(Run(services.read(Sweep(str(file))), 1, Deadline(Clock() + 5)).outcomes())


def test_service_that_lacked_resources_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same prerequisites: a password command runs once."""
    checks = Checks(LACKING, OSError(errno.EMFILE, "Too many open files"), FINE)

    [outcome] = swept(checks, tmp_path, monkeypatch)

    assert outcome.verdict is FINE
    assert len({id(each) for each in checks.prerequisites}) == 1


def test_service_that_lacks_resources_alone_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be freed for it, and others wait."""
    checks = Checks(*[LACKING] * 5)

    [outcome] = swept(checks, tmp_path, monkeypatch)

    assert outcome.verdict.shortage == "no descriptor"
    assert len(checks.prerequisites) == 3


LOGIN = "[a!b]\nusername = u\npassword-command = x\nallow-insecure-login =\n"


@pytest.mark.parametrize("lack", [LACKING.replace(is_repeatable=False), MemoryError()])
def test_service_whose_login_may_have_begun_is_not_tried_again(
    lack: Verdict | Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second login could lock the account."""
    checks = Checks(lack, FINE)

    [outcome] = swept(checks, tmp_path, monkeypatch, LOGIN)

    assert outcome.verdict.shortage
    assert len(checks.prerequisites) == 1


def test_thread_that_cannot_start_is_started_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of the system may be reached for a moment only."""
    start, refused = threading.Thread.start, [None] * 3

    def limited(thread: threading.Thread) -> None:
        if refused:
            refused.pop()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)

    [outcome] = swept(Checks(FINE), tmp_path, monkeypatch)

    assert outcome.verdict is FINE
    assert refused == []


def caused(error: Exception) -> ProbeError:
    try:
        raise config_error("cannot read a file") from error
    except ProbeError as raised:
        return raised


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.EMFILE, "x"), True),
        (OSError(errno.ENFILE, "x"), True),
        (BlockingIOError(errno.EAGAIN, "x"), True),
        (MemoryError(), True),
        (RuntimeError("can't start new thread"), True),
        (RuntimeError("other"), False),
        (OSError(errno.ENOENT, "x"), False),
        (socket.gaierror(socket.EAI_AGAIN, "x"), False),
    ],
)
def test_shortage_is_known_by_its_cause(error: Exception, expected: bool) -> None:
    """Also where the error was translated."""
    assert is_shortage(error) is expected
    assert caused(error).failure().is_shortage is expected


def test_look_up_without_descriptors_is_config(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the fault of the resolver."""

    def broken(_: str, __: Target, flags: int) -> None:
        raise socket.gaierror if flags else OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(resolve, "_addresses", broken)
    with pytest.raises(ProbeError) as caught:
        resolve.look_up(Target("pop.example", 110), Deadline(Clock() + 1))
    assert caught.value.kind is Kind.CONFIG
    assert caught.value.message == "cannot resolve pop.example: Too many open files"
