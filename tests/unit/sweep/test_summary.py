"""The result of a sweep."""

from itertools import permutations

import pytest

from check_pop3_plus.check.verdict import Verdict
from check_pop3_plus.model.settings import CommandFile, State, Sweep
from check_pop3_plus.sweep.run import Outcome
from check_pop3_plus.sweep.services import Service
from check_pop3_plus.sweep.summary import Tally

NAMES = ("d!pop", "b!pop", "c!pop", "a!pop")
SERVICES = [Service(name) for name in NAMES]


def verdict(outcomes: list[Outcome], refusal: str | None = None) -> Verdict:
    """Return the verdict on these outcomes; with a submit target if `refusal` is given."""
    target = CommandFile("/run/nagios.cmd") if refusal else None
    tally = Tally(SERVICES, Sweep("sweep.ini", submit_target=target))
    for outcome in outcomes:
        tally.add(outcome, refusal)
    return tally.verdict(1.0)


@pytest.mark.parametrize("refusal", [None, "HTTP 500"])
@pytest.mark.parametrize("is_readable", [True, False])
def test_verdict_does_not_depend_on_the_order_of_completion(
    is_readable: bool, refusal: str | None
) -> None:
    """Two runs with the same results print the same, in the order of the file."""
    outcomes = [
        Outcome(service, Verdict(State.CRITICAL, "down"), is_readable) for service in SERVICES
    ]

    found = [verdict(list(each), refusal) for each in permutations(outcomes)]

    assert all(each == found[0] for each in found)
    assert [line.split(": ")[1] for line in found[0].lines] == list(NAMES)
    assert "d!pop, b!pop, c!pop and 1 more" in found[0].status


def test_verdict_orders_lines_by_state_first() -> None:
    """The worst services come first, missing ones among those that are UNKNOWN."""
    states = (State.WARNING, State.UNKNOWN, State.CRITICAL)
    outcomes = [
        Outcome(service, Verdict(state, "x"))
        for service, state in zip(SERVICES, states, strict=False)
    ]

    lines = verdict(outcomes).lines

    assert [line.rpartition(":")[0] for line in lines] == [
        "critical: c!pop",
        "warning: d!pop",
        "unknown: b!pop",
        "unknown: a!pop",
    ]
