"""The timeline of phases."""

import pytest

from check_pop3_plus.model import report
from check_pop3_plus.model.failures import Kind, Phase, ProbeError
from check_pop3_plus.model.report import Lap, Timeline, seconds_by_phase
from check_pop3_plus.model.sanitised_text import Printable


def test_timeline_failed_phase_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timeline keeps the phase that failed, and its time."""
    instants = iter((100.0, 103.0))
    monkeypatch.setattr(report, "Clock", lambda: next(instants))
    timeline = Timeline()

    with pytest.raises(ProbeError), timeline.phase(Phase.TLS):
        raise ProbeError(Kind.TLS, Printable("no"))

    assert timeline.failed is Phase.TLS
    assert timeline.laps == [Lap(Phase.TLS, 3.0, ok=False)]


def test_phases_that_come_twice_are_added_up() -> None:
    """`time_capa` adds up every CAPA (contract, section 3)."""
    laps = [Lap(Phase.CAPA, 1, ok=True), Lap(Phase.TLS, 2, ok=True), Lap(Phase.CAPA, 3, ok=True)]

    assert seconds_by_phase(laps) == {Phase.CAPA: 4, Phase.TLS: 2}
