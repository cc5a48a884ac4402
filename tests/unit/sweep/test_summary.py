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
    assert "(d!pop, b!pop, c!pop and 1 more)" in found[0].status


def test_verdict_orders_lines_by_state_first() -> None:
    """The worst services come first."""
    states = (State.WARNING, State.UNKNOWN, State.CRITICAL)
    outcomes = [
        Outcome(service, Verdict(state, f"{state.name} x", lines=("kind: y", "see: z")))
        for service, state in zip(SERVICES, states, strict=False)
    ]

    lines = verdict(outcomes).lines

    assert lines == (
        "critical: c!pop: kind: y",
        "warning: d!pop: WARNING x; kind: y",
        "unknown: b!pop: UNKNOWN x; kind: y",
    )


def test_line_of_a_service_ends_its_status_as_a_check_does() -> None:
    """Attempts and an insecure login follow, and the place, unless the name has the host."""
    failed = "3 of 3 attempts failed, cleartext login"
    suffixes = (
        f", {failed} (mail.example.org:110)",
        " (mail.example.org:110)",
        f", {failed} (c:1)",
    )
    outcomes = [
        Outcome(
            service, Verdict(state, f"{state.name} x", suffix=suffix, lines=("try: x", "kind: y"))
        )
        for state in (State.CRITICAL, State.WARNING)
        for service, suffix in zip(SERVICES, suffixes, strict=False)
    ]

    assert verdict(outcomes).lines == (
        f"critical: d!pop: {failed} (mail.example.org:110); try: x; kind: y",
        "critical: b!pop (mail.example.org:110): try: x; kind: y",
        f"critical: c!pop: {failed}; try: x; kind: y",
        f"warning: d!pop: WARNING x, {failed} (mail.example.org:110); try: x; kind: y",
        "warning: b!pop: WARNING x (mail.example.org:110); try: x; kind: y",
        f"warning: c!pop: WARNING x, {failed}; try: x; kind: y",
    )


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
    wrong, _, total = head.partition(" | ")[0].rpartition("; ")
    assert wrong.startswith(
        "POP3 CRITICAL - not submitted: HTTP 404 (host0!pop3, host1!pop3, host2!pop3 and 897 more);"
    )
    counts = "2000 CRITICAL, 1000 not done, 1000 not submitted"
    assert total == f"3000 services in 1.0 s: {counts}"
    assert refused == f"critical: not submitted: HTTP 404 ({', '.join(names[:900])})"
    assert silent == f"critical: not submitted: no answer ({', '.join(names[900:1000])})"
    assert not_done == f"unknown: not done within 50 s ({', '.join(names[2000:])})"
    assert first == "critical: host0!pop3: down"
    lists = json.loads(summary_as_json(made, tally))
    assert lists["not_submitted"][899:901] == [
        {"host": "host899", "service": "pop3", "reason": "HTTP 404"},
        {"host": "host900", "service": "pop3", "reason": "no answer"},
    ]
    assert [each["host"] for each in lists["not_done"]] == [each.host for each in services[2000:]]
    assert {each["reason"] for each in lists["not_done"]} == {"not done within 50 s"}


def test_service_whose_submission_was_stopped_is_named_once() -> None:
    """It is not submitted, and not also not done; line 1 names all, so no other line does."""
    tally = Tally(SERVICES[:2], Sweep("x.ini", submit_target=CommandFile("/cmd")))
    tally.add_refused([(Outcome(SERVICES[0], Verdict(State.OK, "x")), "the sweep ended first")])
    made = tally.verdict(1.0, is_stopped=True)

    head, *others = as_text(made, tally).split("\n")
    assert head.partition(" | ")[0] == (
        "POP3 UNKNOWN - stopped from outside; not submitted: the sweep ended first (d!pop);"
        " not done (b!pop); 2 services in 1.0 s: 1 not done, 1 not submitted"
    )
    assert others == [""]


def test_reason_of_most_services_comes_first() -> None:
    """An outage of many servers has one reason, and the first characters name it."""
    messages = ("no greeting within 10 s", *["connection refused"] * 3)
    outcomes = [
        Outcome(service, Verdict(State.CRITICAL, text, suffix=" (mail.example.org:995)"))
        for service, text in zip(SERVICES, messages, strict=True)
    ]

    assert verdict(outcomes).line == (
        "POP3 CRITICAL - connection refused (b!pop, c!pop, a!pop); no greeting within 10 s (d!pop);"
        " 4 services in 1.0 s: 4 CRITICAL"
    )


def test_reason_that_is_long_leaves_space_for_names_and_counts() -> None:
    """The line of the service then has it in full."""
    long = "login of monitor rejected: [AUTH] " + "Authentication failed. " * 5
    made = verdict([Outcome(SERVICES[0], Verdict(State.CRITICAL, long, lines=("kind: x",)))])

    assert "... (d!pop); not done within 50 s (b!pop, c!pop, a!pop)" in made.line
    assert made.line.endswith("; 4 services in 1.0 s: 1 CRITICAL, 3 not done")
    assert made.lines == (f"critical: d!pop: {long}; kind: x",)


def test_long_output_without_space_for_hints_names_all_services() -> None:
    """A hint that is left out can be looked up by its kind; a service cannot."""
    services = [Service(f"host{number}!pop3") for number in range(200)]
    tally = Tally(services, Sweep("x.ini"))
    lines = ("try: " + "look here " * 20, "kind: refused")
    for each in services:
        tally.add(Outcome(each, Verdict(State.CRITICAL, "down", lines=lines)))

    assert tally.verdict(1.0).lines == tuple(
        f"critical: {each.name}: kind: refused" for each in services
    )


def test_perfdata_has_only_the_counts_that_are_not_zero() -> None:
    """And always the number of services."""
    figures = verdict([Outcome(each, Verdict(State.OK, "x")) for each in SERVICES]).figures

    assert {each.label: each.value for each in figures} == {"time": 1.0, "services": 4, "ok": 4}
