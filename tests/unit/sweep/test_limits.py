"""What a sweep does about the limits of the machine and of its own run."""

import gc
import resource
from pathlib import Path

import pytest

from check_pop3_plus.certificate import reader
from check_pop3_plus.model.failures import config_error
from check_pop3_plus.model.settings import Sweep
from check_pop3_plus.support.deadline import Clock, Deadline
from check_pop3_plus.sweep import limits, main
from check_pop3_plus.sweep.targets import submission


@pytest.mark.parametrize(("limit", "calls"), [(resource.RLIM_INFINITY, 0), (1 << 30, 1)])
def test_cryptography_is_loaded_first_where_memory_is_limited(
    limit: int, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It aborts the process when memory runs out while it is loaded."""
    loaded: list[None] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    monkeypatch.setattr(reader, "prepare", lambda: loaded.append(None))

    limits.load_while_there_is_memory()

    assert len(loaded) == calls


@pytest.mark.parametrize(("run_timeout", "reserved"), [(50.0, 5.0), (100.0, 5.0), (20.0, 2.0)])
def test_sweep_reserves_time_for_its_last_results_and_collects_garbage(
    run_timeout: float, reserved: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Checks end 5 s or a tenth before the run; thousands of checks leave garbage."""
    path = tmp_path / "sweep.ini"
    path.write_text("[a!b]\n")
    ends: list[Deadline] = []

    def known_secrets(_: object, end: Deadline) -> None:
        ends.append(end)
        raise config_error("far enough")

    monkeypatch.setattr(main, "KnownSecrets", known_secrets)
    monkeypatch.setattr(submission, "open_target", lambda *_: None)
    monkeypatch.setattr(gc, "freeze", lambda: None)
    wanted = Sweep(str(path), run_timeout=run_timeout, submit_target="nagios:x")  # type: ignore[arg-type]
    started = Clock()
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        with pytest.raises(Exception, match="far enough"):
            main.run_sweep(wanted, started)
        assert gc.isenabled()
    finally:
        (gc.enable if was_enabled else gc.disable)()

    [end] = ends
    assert started + run_timeout - end.at == pytest.approx(reserved)
