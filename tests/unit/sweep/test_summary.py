"""The result of a sweep."""

import json
from itertools import permutations

import pytest

from check_pop3_plus.check.verdict import STATUS_LIMIT, Verdict
from check_pop3_plus.messages.hints import Advice
from check_pop3_plus.model.failures import Origin
from check_pop3_plus.model.sanitised_text import printable
from check_pop3_plus.model.settings import State, SubmitTarget, Sweep
from check_pop3_plus.output import plugin_text
from check_pop3_plus.support.masking import Masker
from check_pop3_plus.sweep import summary
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.services import Service
from check_pop3_plus.sweep.summary import Tally, as_text
from check_pop3_plus.sweep.targets import jsonl_target

NAMES = ("d!pop", "b!pop", "c!pop", "a!pop")
SERVICES = [Service(name) for name in NAMES]
Y = Advice("kind: y")


def verdict(outcomes: list[Outcome], refusal: str | None = None) -> Verdict:
    """Return the verdict on these outcomes; with a submit target if `refusal` is given."""
    target = SubmitTarget("nagios", "/run/nagios.cmd") if refusal else None
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
    assert "(4 services: d!pop, b!pop, c!pop, ...)" in found[0].status


def test_verdict_orders_lines_by_state_first() -> None:
    """The worst services come first."""
    states = (State.WARNING, State.UNKNOWN, State.CRITICAL)
    outcomes = [
        Outcome(service, Verdict(state, f"{state.name} x", lines=("see: z",), advice=(Y,)))
        for service, state in zip(SERVICES, states, strict=False)
    ]

    lines = verdict(outcomes).lines

    assert lines == (
        "critical: c!pop: kind: y",
        "warning: d!pop: WARNING x; kind: y",
        "unknown: b!pop: UNKNOWN x; kind: y",
    )


def test_line_of_a_service_has_what_line_1_has_not() -> None:
    """Attempts and an insecure login, and the place, unless the name has the host.

    The stop of a quote gives way to the punctuation behind it.
    """
    failed = ("3 of 3 attempts failed", "cleartext login")
    outcomes = [
        Outcome(
            service,
            Verdict(
                state, f"{state.name} x.", remarks=remarks, place=f"{host}:1", host=host
            ).replace(advice=(Advice("kind: y", (f"try: {state.name} {host}",)),)),
        )
        for state in (State.CRITICAL, State.WARNING)
        for service, remarks, host in zip(SERVICES, (failed, (), failed), "mmc", strict=False)
    ]

    assert verdict(outcomes).lines == (
        "critical: d!pop (m:1): 3 of 3 attempts failed, cleartext login; try: CRITICAL m; kind: y",
        "critical: b!pop (m:1): kind: y",
        "critical: c!pop: 3 of 3 attempts failed, cleartext login; try: CRITICAL c; kind: y",
        "warning: d!pop (m:1): WARNING x, 3 of 3 attempts failed, cleartext login; try: WARNING m;"
        " kind: y",
        "warning: b!pop (m:1): WARNING x; kind: y",
        "warning: c!pop: WARNING x, 3 of 3 attempts failed, cleartext login; try: WARNING c;"
        " kind: y",
    )


def test_text_names_every_service_without_a_submitted_result() -> None:
    """However many there are, one line per reason, in the order of the file; so does JSON."""
    services = [Service(f"host{number}!pop3") for number in range(3000)]
    tally = Tally(
        services, Sweep("x.ini", submit_target=SubmitTarget("nagios", "/cmd"), verbosity=1)
    )
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
        "POP3 CRITICAL - not submitted: HTTP 404 (900 services: host0!pop3, ...);"
    )
    counts = "2000 CRITICAL, 1000 not done, 1000 not submitted"
    assert total == f"3000 services in 1.0 s: {counts}"
    assert refused == f"critical: not submitted: HTTP 404 ({', '.join(names[:900])})"
    assert silent == f"critical: not submitted: no answer ({', '.join(names[900:1000])})"
    assert not_done == f"unknown: not done within 50 s ({', '.join(names[2000:])})"
    assert first == "critical: host0!pop3: down"
    lists = json.loads(jsonl_target.summary_line(made, tally))
    assert lists["not_submitted"][899:901] == [
        {"host": "host899", "service": "pop3", "reason": "HTTP 404"},
        {"host": "host900", "service": "pop3", "reason": "no answer"},
    ]
    assert [each["host"] for each in lists["not_done"]] == [each.host for each in services[2000:]]
    assert {each["reason"] for each in lists["not_done"]} == {"not done within 50 s"}


def test_service_whose_submission_was_stopped_is_named_once() -> None:
    """It is not submitted, and not also not done; line 1 names all, so no other line does."""
    tally = Tally(SERVICES[:2], Sweep("x.ini", submit_target=SubmitTarget("nagios", "/cmd")))
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
        Outcome(service, Verdict(State.CRITICAL, text, place="mail.example.org:995"))
        for service, text in zip(SERVICES, messages, strict=True)
    ]

    assert verdict(outcomes).line == (
        "POP3 CRITICAL - connection refused (b!pop, c!pop, a!pop); no greeting within 10 s (d!pop);"
        " 4 services in 1.0 s: 4 CRITICAL"
    )


def test_reason_that_is_long_leaves_space_for_names_and_counts() -> None:
    """The line of the service then has it in full."""
    long = "login of monitor rejected: [AUTH] " + "Authentication failed. " * 5
    made = verdict([Outcome(SERVICES[0], Verdict(State.CRITICAL, long, advice=(Y,)))])

    assert "... (d!pop); not done within 50 s (b!pop, c!pop, a!pop)" in made.line
    assert made.line.endswith("; 4 services in 1.0 s: 1 CRITICAL, 3 not done")
    assert made.lines == (f"critical: d!pop: {long}; kind: y",)


def test_long_output_without_space_for_hints_names_all_services() -> None:
    """A hint that is left out can be looked up by its kind; a service cannot."""
    services = [Service(f"host{number}!pop3") for number in range(200)]
    tally = Tally(services, Sweep("x.ini"))
    for number, each in enumerate(services):
        advice = Advice("kind: refused", (f"try: host {number}: {'look here ' * 20}",))
        outcome = Verdict(State.CRITICAL, "down", remarks=("x",), place="m:1", advice=(advice,))
        tally.add(Outcome(each, outcome))

    assert tally.verdict(1.0).lines == tuple(
        f"critical: {each.name}: kind: refused" for each in services
    )


def line_1_of(failed: list[Verdict], names: str = "mx{}.example.org!POP3") -> str:
    """Return line 1 of a sweep with these failures, and 5 services that are OK."""
    services = [Service(names.format(number)) for number in range(len(failed) + 5)]
    tally = Tally(services, Sweep("/etc/sweep.ini"))
    for service, made in zip(services, failed + [Verdict(State.OK, "fine")] * 5, strict=True):
        tally.add(Outcome(service, made))
    return tally.verdict(10.0).line


UNTRUSTED = "certificate not trusted: issuer CN=Example CA unknown, server sent 1 certificate"
UNLIKE = [
    Verdict(State.CRITICAL, text, kinds=(kind,))
    for text, kind in (
        ("connection refused", "refused"),
        (UNTRUSTED, "untrusted"),
        ("login of monitor rejected: [AUTH] Authentication failed.", "credentials"),
        ("no greeting within 10 s", "timeout"),
    )
]
SLOW = [
    Verdict(State.CRITICAL, f"answered in {each}.5 s (limit 5 s)", kinds=("slow", f"kind {each}"))
    for each in range(6, 36)
]
INVALID = [
    Verdict(State.UNKNOWN, "config: no x", place=Origin(printable(path), line), kinds=("config",))
    for path, line in (("/etc/sweep.ini", 7), ("/etc/other.ini", 7))
]


@pytest.mark.parametrize(
    ("failed", "line"),
    [
        (UNLIKE[:1], "connection refused (mx0.example.org!POP3)"),
        (UNLIKE[:1] * 2, "connection refused (mx0.example.org!POP3, mx1.example.org!POP3)"),
        (
            UNLIKE[:1] * 30,
            "connection refused (30 services: mx0.example.org!POP3, mx1.example.org!POP3,"
            " mx2.example.org!POP3, ...)",
        ),
        (
            SLOW[:2],
            "answered in 6.5 s (limit 5 s) (mx0.example.org!POP3); answered in 7.5 s (limit 5 s)"
            " (mx1.example.org!POP3)",
        ),
        ([Verdict(State.WARNING, "r" * 110)], f"{'r' * 110} (mx0.example.org!POP3)"),
        ([Verdict(State.WARNING, "r" * 161)], f"{'r' * 117}... (mx0.example.org!POP3)"),
        (
            UNLIKE[::3],
            "connection refused (mx0.example.org!POP3); no greeting within 10 s"
            " (mx1.example.org!POP3)",
        ),
        (
            UNLIKE[::3] * 3,
            "connection refused (3 services: mx0.example.org!POP3, ...); no greeting within 10 s"
            " (3 services: mx1.example.org!POP3, ...)",
        ),
        (
            UNLIKE,
            "connection refused (mx0.example.org!POP3); certificate not trusted: issuer CN=Example"
            " CA u... (mx1.example.org!POP3); and 2 more services",
        ),
        (
            UNLIKE[:3],
            "connection refused (mx0.example.org!POP3); certificate not trusted: issuer CN=Example"
            " CA u... (mx1.example.org!POP3); and 1 more service",
        ),
        (
            SLOW,
            "answered in 6.5 s (limit 5 s) (kind slow, 30 services: mx0.example.org!POP3,"
            " mx1.example.org!POP3, mx2.example.org!POP3, ...)",
        ),
        (
            [*SLOW[:3], UNLIKE[0]],
            "answered in 6.5 s (limit 5 s) (kind slow, 3 services: mx0.example.org!POP3, ...);"
            " connection refused (mx3.example.org!POP3)",
        ),
        (
            UNLIKE[1:3],
            "certificate not trusted: issuer CN=Ex... (mx0.example.org!POP3); login of monitor"
            " rejected: [AUTH] Aut... (mx1.example.org!POP3)",
        ),
        (INVALID[:1], "config: no x (line 7: mx0.example.org!POP3)"),
        (INVALID[1:], "config: no x (/etc/other.ini, line 7: mx0.example.org!POP3)"),
        (
            INVALID[:1] * 4,
            "config: no x (line 7, 4 services: mx0.example.org!POP3, mx1.example.org!POP3,"
            " mx2.example.org!POP3, ...)",
        ),
    ],
)
def test_line_1_names_a_service_behind_each_reason(failed: list[Verdict], line: str) -> None:
    """What does not fit is counted; those of a kind are one reason if that saves space."""
    made = line_1_of(failed)

    state, number = failed[0].state.name, len(failed)
    total = f"{number + 5} services in 10.0 s: 5 OK, {number} {state}"
    assert made == f"POP3 {state} - {line}; {total}"
    assert len(made) <= STATUS_LIMIT


@pytest.mark.parametrize("size", range(1, 90, 2))
def test_line_1_has_the_first_form_that_fits(size: int) -> None:
    """First less of the reason, to 80 characters, then two names, one, and again less, to 40."""
    name, total = "m" * 42 + "{}!POP3", "; 9 services in 10.0 s: 5 OK, 4 CRITICAL"
    names = [name.format(number) for number in range(4)]

    def line(number: int, limit: int) -> str:
        reason = "r" * size if size <= limit else "r" * (limit - 3) + "..."
        return f"POP3 CRITICAL - {reason} (4 services: {', '.join(names[:number])}, ...){total}"

    forms = [line(3, limit) for limit in range(160, 79, -10)]
    forms += [line(2, 80), *(line(1, limit) for limit in (80, 70, 60, 50, 40))]
    made = line_1_of([Verdict(State.CRITICAL, "r" * size)] * 4, name)

    assert made == next(form for form in forms if len(form) <= STATUS_LIMIT)


def test_line_1_with_long_names_keeps_a_reason_and_the_counts() -> None:
    """The reason is cut to 40 characters, not further."""
    made = line_1_of(UNLIKE[1:2] * 9 + UNLIKE[:1], "m" * 70 + "{}!POP3")

    assert made == (
        "POP3 CRITICAL - certificate not trusted: issuer CN=Ex... (9 services: "
        f"{'m' * 57}..., ...);"
        " and 1 more service; 15 services in 10.0 s: 5 OK, 10 CRITICAL"
    )


def groups(*reasons: str, services: int = 1) -> list[summary.Group]:
    return [((text, "", ""), SERVICES[:services]) for text in reasons]


A, B = "a" * 60, "b" * 60


@pytest.mark.parametrize(
    ("reasons", "space", "shown"),
    [
        ((A, B), 138, [f"{A} (d!pop)", f"{B} (d!pop)"]),
        ((A, B), 137, [f"{A[:47]}... (d!pop)", f"{B[:47]}... (d!pop)"]),
        ((A, B, B), 89, [f"{A} (d!pop)", "and 2 more services"]),
        ((A, B, B), 88, [f"{A[:47]}... (d!pop)", "and 2 more services"]),
        ((A, B), 5, [f"{A[:37]}... (d!pop)", "and 1 more service"]),
        ((A, B, "c"), 100, [f"{A} (d!pop)", "and 2 more services"]),
    ],
)
def test_reasons_use_the_space_that_there_is(
    reasons: tuple[str, ...], space: int, shown: list[str]
) -> None:
    """To the last character; a shorter reason does not overtake one that does not fit."""
    assert summary._fitting([groups(*reasons)], space) == shown


@pytest.mark.parametrize(
    ("number", "names"), [(20, "d!pop, b!pop"), (21, "2 services: d!pop, ...")]
)
def test_more_than_20_reasons_name_one_service_each(number: int, names: str) -> None:
    reasons = [str(each) for each in range(number)]
    shown = summary._fitting([groups(*reasons, services=2)], 9999)

    assert shown == [f"{each} ({names})" for each in reasons]


def test_reasons_of_the_last_choice_are_cut() -> None:
    """Those of a kind as one, where neither fits."""
    choices = [groups("x" * 90, "y" * 90), groups(A, B)]

    assert summary._fitting(choices, 5)[0] == f"{A[:37]}... (d!pop)"


def test_reasons_without_a_kind_are_not_one() -> None:
    """Of an error that no check expects."""
    failed = [Verdict(State.CRITICAL, f"{each}{'x' * 70}") for each in range(4)]

    assert "kind" not in line_1_of(failed)
    assert "; and 3 more services; 9 services in 10.0 s: 5 OK, 4 CRITICAL" in line_1_of(failed)


def test_service_without_a_printable_name_is_shown_as_empty() -> None:
    assert summary.named(Service("")) == "(empty)"


def test_json_and_text_name_a_service_that_is_not_submitted_or_not_done() -> None:
    """Host, service and reason; the text has a line where line 1 does not name all of them."""
    services = [*(Service(f"h{number}!p q") for number in range(4)), *SERVICES]
    tally = Tally(services, Sweep("x.ini", submit_target=SubmitTarget("nagios", "/cmd")))
    outcome = Outcome(services[0], Verdict(State.WARNING, "x"), True, 1.23456, 2.34567)
    tally.add(outcome)
    tally.add_refused(
        [
            (each, "gone")
            for each in (outcome, *(Outcome(s, outcome.verdict) for s in services[1:4]))
        ]
    )
    made = tally.verdict(1.0)

    one, whole = (
        json.loads(jsonl_target.result_line(outcome)),
        json.loads(jsonl_target.summary_line(made, tally)),
    )
    refused, late = as_text(made, tally).split("\n")[1:3]

    assert {
        "host": "h0",
        "service": "p q",
        "readable": True,
        "state": "WARNING",
    }.items() <= one.items()
    assert (one["began"], one["ended"]) == (1.235, 2.346)
    counts = {"services": 8, "done": 4, "OK": 0, "WARNING": 1, "CRITICAL": 0, "UNKNOWN": 0}
    assert whole["summary"] == counts
    assert whole["state"] == "CRITICAL"
    assert whole["not_submitted"][3] == {"host": "h3", "service": "p q", "reason": "gone"}
    assert whole["not_done"][0] == {"host": "d", "service": "pop", "reason": "not done within 50 s"}
    assert refused == "critical: not submitted: gone (h0!p q, h1!p q, h2!p q, h3!p q)"
    assert late == "unknown: not done within 50 s (d!pop, b!pop, c!pop, a!pop)"


def test_perfdata_has_only_the_counts_that_are_not_zero() -> None:
    """And always the time and the number of services."""
    good = [Outcome(each, Verdict(State.OK, "x")) for each in SERVICES]

    def shown(made: Verdict) -> list[str]:
        return [plugin_text.perfdata(each) for each in made.figures]

    always = ["time=1.0000s;;;0;50", "services=4;;;0;4"]
    assert shown(verdict(good)) == [*always, "ok=4;;;0;4"]
    assert shown(verdict(good[:1])) == [*always, "ok=1;;;0;4", "not_done=3;;;0;4"]
    assert shown(verdict(good, "x")) == [*always, "ok=4;;;0;4", "not_submitted=4;;;0;4"]


@pytest.mark.parametrize(
    ("is_readable", "number", "refusal", "state"),
    [
        (True, 4, "", State.OK),
        (True, 3, "", State.UNKNOWN),
        (False, 4, "", State.UNKNOWN),
        (True, 4, "HTTP 500", State.CRITICAL),
        (False, 3, "HTTP 500", State.CRITICAL),
    ],
)
def test_state_of_a_sweep_that_submits_is_about_the_sweep(
    is_readable: bool, number: int, refusal: str, state: State
) -> None:
    """What is CRITICAL in a result notifies there; here missing and refused results do."""
    tally = Tally(SERVICES, Sweep("x.ini", submit_target=SubmitTarget("nagios", "/cmd")))
    readable = [True, is_readable, True, True]
    for service, each in zip(SERVICES[:number], readable, strict=False):
        outcome = Outcome(service, Verdict(State.CRITICAL, "down", kinds=("x",)), each)
        tally.add(outcome)
        tally.add_refused([(outcome, refusal)] if refusal else [])

    made = tally.verdict(1.0)

    assert made.state is state
    assert made.line.endswith("; all submitted") == (not refusal)
    assert (f", {number} not submitted" in made.line) == bool(refusal)
    assert ("down (b!pop)" in made.line) == (not is_readable)
    assert tally.done() == number
    assert made.is_verbose


def test_missing_service_is_worse_than_an_ok_one() -> None:
    """And a WARNING is worse than that."""
    for state, worst in ((State.OK, State.UNKNOWN), (State.WARNING, State.WARNING)):
        assert verdict([Outcome(SERVICES[0], Verdict(state, "x"))]).state is worst


def test_service_without_a_result_says_why() -> None:
    """A shortage of its own, or what delayed all of them."""
    tally = Tally(SERVICES, Sweep("x.ini"))
    tally.add(Outcome(SERVICES[0], Verdict(State.UNKNOWN, "x", shortage="no descriptor")))

    made = tally.verdict(1.0, why_late="no thread")

    assert made.status == (
        "not done within 50 s: no thread (b!pop, c!pop, a!pop); not done: no descriptor (d!pop);"
        " 4 services in 1.0 s: 4 not done"
    )
    assert tally.done() == 0


def test_secret_learnt_after_a_result_is_masked_in_it() -> None:
    """Another section may learn it while the results are kept."""
    tally = Tally(SERVICES[:1], Sweep("x.ini"))
    tally.add(Outcome(SERVICES[0], Verdict(State.CRITICAL, "-ERR s3cret", advice=(Y,))))

    assert tally.verdict(1.0, masker=Masker([b"s3cret"])).line.startswith(
        "POP3 CRITICAL - -ERR *** (d!pop); "
    )


@pytest.mark.parametrize("spare", [1, 0])
def test_long_output_is_brief_where_no_kibibyte_is_left_for_line_1(spare: int) -> None:
    """The plugin cuts at 16 KiB; ends of lines count."""
    size = plugin_text.VERBOSE_OUTPUT_LIMIT - 1024 - len("critical: a!b: ; kind: y\n")
    tally = Tally([Service("a!b")], Sweep("x.ini"))
    advice = Advice("kind: y", ("x" * (size - spare),))
    tally.add(Outcome(tally.services[0], Verdict(State.CRITICAL, "down", advice=(advice,))))

    assert (tally.verdict(1.0).lines == ("critical: a!b: kind: y",)) == (not spare)
