"""The timeline of phases."""

import pytest

from check_pop3_plus.model import report
from check_pop3_plus.model.failures import Kind, Phase, ProbeError
from check_pop3_plus.model.report import Lap, Timeline, seconds_by_phase
from check_pop3_plus.model.sanitised_text import Printable


def test_a_phase_is_recorded_on_failure_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure knows the phase it passed, and its time is not lost."""
    instants = iter((100.0, 103.0))
    monkeypatch.setattr(report, "Clock", lambda: next(instants))
    timeline = Timeline()

    with pytest.raises(ProbeError) as caught, timeline.phase(Phase.TLS):
        raise ProbeError(Kind.TLS, Printable("no"))

    assert caught.value.phase is Phase.TLS
    assert timeline.laps == [Lap(Phase.TLS, 3.0, ok=False)]


def test_phases_that_come_twice_are_added_up() -> None:
    """`time_capa` adds up every CAPA (contract, section 3)."""
    laps = [Lap(Phase.CAPA, 1, ok=True), Lap(Phase.TLS, 2, ok=True), Lap(Phase.CAPA, 3, ok=True)]

    assert seconds_by_phase(laps) == {Phase.CAPA: 4, Phase.TLS: 2}
