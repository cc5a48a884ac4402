"""The deadline and the timeline."""

import pytest

from check_pop3_plus import timing
from check_pop3_plus.failures import DeadlineExceeded, Kind, Phase, ProbeError
from check_pop3_plus.text import Printable
from check_pop3_plus.timing import Deadline, Lap, Timeline, seconds_by_phase


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timing, "Clock", clock)
    return clock


def test_a_deadline_counts_down_and_then_raises(clock: Clock) -> None:
    """What is left is never 0 or less: to a socket 0 would mean "do not block"."""
    deadline = Deadline(110)

    assert deadline.remaining() == 10
    clock.now = 110
    assert deadline.left() == 0
    with pytest.raises(DeadlineExceeded):
        deadline.remaining()


def test_shares_roll_over(clock: Clock) -> None:
    """Time that one address does not use goes to the others."""
    deadline = Deadline(110)

    assert deadline.share(5).at == 102
    clock.now = 101
    assert deadline.share(3).at == 104
    assert deadline.share(1) is deadline


def test_within_never_outlives_the_whole(clock: Clock) -> None:
    """A slice ends with the whole at the latest."""
    assert Deadline(110).within(1).at == 101
    assert Deadline(100.5).within(1).at == 100.5


def test_a_phase_is_recorded_on_failure_and_named(clock: Clock) -> None:
    """A failure knows the phase it passed, and its time is not lost."""
    timeline = Timeline()

    with pytest.raises(ProbeError) as caught, timeline.phase(Phase.TLS):
        clock.now = 103
        raise ProbeError(Kind.TLS, Printable("no"))

    assert caught.value.phase is Phase.TLS
    assert timeline.laps == [Lap(Phase.TLS, 3.0, ok=False)]


def test_phases_that_come_twice_are_added_up() -> None:
    """`time_capa` adds up every CAPA (contract, section 3)."""
    laps = [Lap(Phase.CAPA, 1, ok=True), Lap(Phase.TLS, 2, ok=True), Lap(Phase.CAPA, 3, ok=True)]

    assert seconds_by_phase(laps) == {Phase.CAPA: 4, Phase.TLS: 2}
