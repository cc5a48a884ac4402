"""Ranges of the plugin guidelines: their examples, and any number."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from nagiosplugin import Range

from check_pop3_plus.options import validators
from check_pop3_plus.options.validators import UsageError
from tests.support.settings_from import check_settings

# https://www.monitoring-plugins.org/doc/guidelines.html#THRESHOLDFORMAT: the range, values that
# alert, and values that do not.
GUIDELINES = [
    ("10", (-1, -0.1, 10.1, 11), (0, 5, 10)),
    ("10:", (-1, 0, 9.9), (10, 11, 1e9)),
    ("~:10", (10.1, 11, 1e9), (-1e9, -1, 0, 10)),
    ("10:20", (-1, 9.9, 20.1), (10, 15, 20)),
    ("@10:20", (10, 15, 20), (-1, 9.9, 20.1)),
    # Those of the table of examples for a plugin's command line.
    ("0:10", (-1, 10.1), (0, 10)),
    ("5:", (4.9, -1), (5, 6)),
    ("0", (-1, 1), (0,)),
    ("-10:10", (-10.1, 10.1), (-10, 0, 10)),
    ("@10", (0, 10), (-1, 10.1)),
    ("@~:10", (-5, 10), (10.1,)),
]


def alerts(spec: str, value: float) -> bool:
    """Return whether a value alerts: a second implementation of the guidelines."""
    start, _, end = spec.removeprefix("@").rpartition(":")
    low = float("-inf") if start == "~" else float(start or 0)
    high = float(end) if end else float("inf")
    return (low <= value <= high) == spec.startswith("@")


@pytest.mark.parametrize(("spec", "bad", "good"), GUIDELINES)
def test_range_examples_of_the_guidelines_are_accepted(
    spec: str, bad: tuple[float, ...], good: tuple[float, ...]
) -> None:
    """They mean what the guidelines say."""
    assert validators.range_spec(spec, "--warning") == spec
    assert all(value not in Range(spec) and alerts(spec, value) for value in bad)
    assert all(value in Range(spec) and not alerts(spec, value) for value in good)


plain = st.integers(-(10**15) + 1, 10**15 - 1).map(str)
fractional = st.tuples(st.integers(-999, 999), st.integers(0, 999999999)).map(
    lambda pair: f"{pair[0]}.{pair[1]:09}"
)
numbers = plain | fractional | st.sampled_from(["0", ".5", "-.5", "0.000000001"])
specs = st.tuples(
    st.sampled_from(["", "@"]),
    st.sampled_from(["", ":", "~:"]) | numbers.map("{}:".format),
    numbers,
).map("".join) | numbers.map("{}:".format)
anything = st.text("@~:-.0123456789 ,eEinfatKs_", max_size=12) | st.text(max_size=8)


@given(specs | anything, st.floats(-1e16, 1e16) | st.integers(-(10**16), 10**16))
def test_range_accepted_alerts_by_the_guidelines(spec: str, value: float) -> None:
    """We, nagiosplugin and the guidelines agree; other ranges are refused."""
    try:
        taken = validators.range_spec(spec, "--warning")
    except UsageError:
        return

    assert taken == spec
    assert (value not in Range(spec)) == alerts(spec, value)


@given(specs)
def test_range_with_start_above_end_is_refused(spec: str) -> None:
    """Every other range of the right form is accepted."""
    start, _, end = spec.removeprefix("@").rpartition(":")
    is_empty = start not in ("", "~") and end != "" and float(start) > float(end)
    is_empty = is_empty or (start == "" and end != "" and float(end) < 0)
    if is_empty:
        with pytest.raises(UsageError, match="start above end"):
            validators.range_spec(spec, "-w")
    else:
        assert validators.range_spec(spec, "-w") == spec


@given(specs)
def test_range_option_keeps_the_text(spec: str) -> None:
    """After a blank or an equals sign, whatever it begins with."""
    try:
        validators.range_spec(spec, "-w")
    except UsageError:
        return
    for argv in (["-w", spec], [f"-w={spec}"], [f"--warning={spec}"], ["--warning", spec]):
        settings = check_settings(["-H", "pop.example.test", *argv])
        assert settings.thresholds.time.warning == spec


@given(st.integers(0, 2**40), st.integers(0, 2**40), st.sampled_from("KMGkmg"))
def test_sizes_are_powers_of_1024(low: int, more: int, unit: str) -> None:
    """Each number of a range, with a unit or without."""
    factor = {"k": 1024, "m": 1024**2, "g": 1024**3}[unit.lower()]
    low, high = low // factor, (low + more) // factor

    assert (
        validators.size_range(f"{low}{unit}:{high}{unit}", "x") == f"{low * factor}:{high * factor}"
    )
