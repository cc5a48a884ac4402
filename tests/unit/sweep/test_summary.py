"""The result of a sweep."""

import json
from itertools import permutations

import pytest

from check_pop3_plus.check.verdict import Verdict
from check_pop3_plus.model.settings import CommandFile, State, Sweep
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.services import Service
from check_pop3_plus.sweep.summary import Tally, as_text, summary_as_json

NAMES = ("d!pop", "b!pop", "c!pop", "a!pop")
SERVICES = [Service(name) for name in NAMES]


def verdict(outcomes: list[Outcome], refusal: str | None = None) -> Verdict:
    """Return the verdict on these outcomes; with a submit target if `refusal` is given."""
    target = CommandFile("/run/nagios.cmd") if refusal else None
    tally = Tally(SERVICES, Sweep("sweep.ini", submit_target=target))
    for outcome in outcomes:
        tally.add(outcome)
    tally.add_refused([(outcome, refusal) for outcome in outcomes if refusal])
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
    of_services = [line.split(": ")[1] for line in found[0].lines]
    assert of_services == ([] if refusal and is_readable else list(NAMES))
    assert "d!pop, b!pop, c!pop and 1 more" in found[0].status


def test_verdict_orders_lines_by_state_first() -> None:
    """The worst services come first."""
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
    ]


def test_text_names_every_service_without_a_submitted_result() -> None:
    """However many there are, one line per reason, in the order of the file; so does JSON."""
    services = [Service(f"host{number}!pop3") for number in range(3000)]
    tally = Tally(services, Sweep("x.ini", submit_target=CommandFile("/cmd"), verbosity=1))
    outcomes = [Outcome(each, Verdict(State.CRITICAL, "down")) for each in services[:2000]]
    for outcome in outcomes:
        tally.add(outcome)
    tally.add_refused([(each, "HTTP 404") for each in reversed(outcomes[:900])])
    tally.add_refused([(each, "no answer") for each in outcomes[900:1000]])
    made = tally.verdict(1.0)

    head, refused, silent, not_done, first, *_ = as_text(made, tally).split("\n")
    names = [each.name for each in services]
    assert head.startswith("POP3 CRITICAL - 3000 services in 1.0 s: 2000 CRITICAL; 1000 not done: ")
    assert "; 1000 not submitted: host0!pop3, host1!pop3, host2!pop3 and 997 more" in head
    assert refused == f"critical: not submitted: HTTP 404: {', '.join(names[:900])}"
    assert silent == f"critical: not submitted: no answer: {', '.join(names[900:1000])}"
    assert not_done == f"unknown: not done within 50 s: {', '.join(names[2000:])}"
    assert first == "critical: host0!pop3: down"
    lists = json.loads(summary_as_json(made, tally))
    assert lists["not_submitted"][899:901] == [
        {"host": "host899", "service": "pop3", "reason": "HTTP 404"},
        {"host": "host900", "service": "pop3", "reason": "no answer"},
    ]
    assert [each["host"] for each in lists["not_done"]] == [each.host for each in services[2000:]]
    assert {each["reason"] for each in lists["not_done"]} == {"not done within 50 s"}


def test_service_whose_submission_was_stopped_is_named_once() -> None:
    """It is not submitted, and not also not done."""
    tally = Tally(SERVICES[:2], Sweep("x.ini", submit_target=CommandFile("/cmd")))
    tally.add_refused([(Outcome(SERVICES[0], Verdict(State.OK, "x")), "the sweep ended first")])
    made = tally.verdict(1.0, is_stopped=True)

    assert as_text(made, tally).split("\n")[1:] == [
        "unknown: not submitted: the sweep ended first: d!pop",
        "unknown: not done, stopped from outside: b!pop",
        "",
    ]
