"""Deadlines."""

import threading
import time

import pytest

from check_pop3_plus.model.failures import DeadlineExceeded
from check_pop3_plus.support import deadline as support_deadline
from check_pop3_plus.support.deadline import Deadline, end_helper, run_with_deadline


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(support_deadline, "Clock", clock)
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


def test_end_helper_leaves_no_thread_behind() -> None:
    """A thread that ends must end its helper: a sweep would collect thousands of them."""
    before = threading.active_count()

    def work() -> None:
        run_with_deadline(int, Deadline(time.monotonic() + 9))
        end_helper()
        end_helper()

    owner = threading.Thread(target=work)
    owner.start()
    owner.join()

    end = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() <= before
