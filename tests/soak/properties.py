"""The property tests, with hundreds of times as many examples as `make test` has time for."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.properties import test_grammar as grammar
from tests.properties import test_output as output
from tests.properties import test_ranges as ranges
from tests.properties import test_text as text
from tests.soak import Figure

_NAME = st.just("pop.example.org!pop3")
_LIMIT = st.integers(4, 300)
_VALUE = st.floats(-1e16, 1e16) | st.integers(-(10**16), 10**16)
_SECRETS = st.lists(text.secrets, min_size=1, max_size=3)
_HOW = (st.booleans(), st.booleans())

# What is claimed, the test, its strategies, and how many examples of each.
PROPERTIES: tuple[tuple[str, Any, tuple[Any, ...], int], ...] = (
    (
        "outputs read by both",
        output.test_output_is_parsed_alike_by_icinga_and_nagios,
        (output.verdicts(),),
        5_000,
    ),
    (
        "results for Nagios",
        output.test_nagios_command_has_one_line_with_the_output_of_the_check,
        (output.verdicts(), _NAME),
        1_000,
    ),
    (
        "results for Icinga 2",
        output.test_icinga_request_has_single_metrics_and_text_without_any,
        (output.verdicts(),),
        1_000,
    ),
    (
        "replies in pieces",
        grammar.test_reply_in_any_pieces_is_the_same,
        (grammar.replies, grammar.cut_lists, *_HOW),
        50_000,
    ),
    (
        "lines in pieces",
        grammar.test_line_buffer_any_pieces_give_same_lines,
        (grammar.replies, grammar.cut_lists),
        50_000,
    ),
    (
        "status lines",
        grammar.test_parse_status_agrees_with_second_implementation,
        (grammar.replies,),
        50_000,
    ),
    ("any octets", grammar.test_parsers_any_bytes_are_read_or_refused, (grammar.replies,), 50_000),
    ("cleaned texts", text.test_sanitise_limit_is_kept, (text.foreign, _LIMIT), 50_000),
    ("masked texts", text.test_masker_result_is_sanitised, (_SECRETS, text.foreign), 20_000),
    (
        "ranges",
        ranges.test_range_accepted_alerts_by_the_guidelines,
        (ranges.specs | ranges.anything, _VALUE),
        50_000,
    ),
)


def run(share: float) -> list[Figure]:
    """Try each property; examples are the same in every run of one share."""
    return [
        _tried(what, test.hypothesis.inner_test, strategies, max(1, int(examples * share)))
        for what, test, strategies, examples in PROPERTIES
    ]


def _tried(
    what: str, check: Callable[..., None], strategies: tuple[Any, ...], examples: int
) -> Figure:
    runs = 0

    def counted(drawn: tuple[Any, ...]) -> None:
        nonlocal runs
        runs += 1
        check(*drawn)

    property_of_all = settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )(given(st.tuples(*strategies))(counted))
    try:
        property_of_all()
    except BaseException:
        traceback.print_exc()
        return Figure(what, runs, "a counter-example, see above", 1)
    return Figure(what, runs, "0 counter-examples")
