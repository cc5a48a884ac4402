"""The text of the plugin: limits, performance data, and what is left out."""

import pytest

from check_pop3_plus.check.verdict import STATUS_LIMIT, Figure, Verdict
from check_pop3_plus.model.settings import State
from check_pop3_plus.output.plugin_text import (
    OUTPUT_LIMIT,
    VERBOSE_OUTPUT_LIMIT,
    perfdata,
    render,
)


def test_render_prints_perfdata_on_the_first_line() -> None:
    """The long output follows, one line each."""
    verdict = Verdict(State.WARNING, "slow", (Figure("time", 0.5, "s"),), ("kind: slow",))

    assert render(verdict) == "POP3 WARNING - slow | time=0.5000s\nkind: slow\n"
    assert render(verdict, with_perfdata=False) == "POP3 WARNING - slow\nkind: slow\n"


def test_status_line_is_cut_at_200_characters() -> None:
    """Contract, section 3."""
    line = Verdict(State.CRITICAL, "x" * 300).line

    assert len(line) == STATUS_LIMIT
    assert line.endswith("x...")


def test_status_line_is_cut_before_the_suffix() -> None:
    """The number of failed attempts and the place are never cut off."""
    verdict = Verdict(
        State.CRITICAL, "x" * 300, remarks=("3 of 3 attempts failed", "y"), place="z:110"
    )

    assert len(verdict.line) == STATUS_LIMIT
    assert verdict.line.endswith("x..., 3 of 3 attempts failed, y (z:110)")


@pytest.mark.parametrize(
    ("is_verbose", "limit"), [(False, OUTPUT_LIMIT), (True, VERBOSE_OUTPUT_LIMIT)]
)
def test_render_cuts_the_long_output_at_its_limit(is_verbose: bool, limit: int) -> None:
    """The last line says that something was left out; no line is cut."""
    lines = tuple(f"line: {'x' * 90}" for _ in range(999))

    text = render(Verdict(State.OK, "fine", lines=lines, is_verbose=is_verbose))

    assert limit - 200 < len(text) <= limit
    assert text.endswith("more: left out\n")
    assert set(text.splitlines()[1:-1]) == {lines[0]}


def test_render_leaves_out_figures_that_do_not_fit() -> None:
    """A check of many addresses has more figures than there is space for."""
    figures = tuple(Figure(f"time_192_0_2_{number}", 1.0, "s") for number in range(200))

    head, line, *rest = render(Verdict(State.OK, "fine", figures)).splitlines()

    shown = head.partition(" | ")[2].split()
    assert shown == [perfdata(each) for each in figures[: len(shown)]]
    assert line == f"more: {200 - len(shown)} figures left out"
    assert len(head) < OUTPUT_LIMIT // 2
    assert rest == []


@pytest.mark.parametrize(
    ("figure", "text"),
    [
        (Figure("time", 0.04312, "s", "2", "5", 0.0, 10.0), "time=0.0431s;2;5;0;10"),
        (Figure("cert_days", 63.416, "", "60:", "14:"), "cert_days=63.42;60:;14:"),
        (Figure("messages", 3, min=0), "messages=3;;;0"),
        (Figure("mailbox_size", 2048, "B"), "mailbox_size=2048B"),
        (Figure("time", 1.0, "s", max=2.5), "time=1.0000s;;;;2.5"),
    ],
)
def test_perfdata_is_as_short_as_possible(figure: Figure, text: str) -> None:
    """Whole numbers have no decimals; limits that are not set are left out."""
    assert perfdata(figure) == text
