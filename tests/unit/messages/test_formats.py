"""Dates, time spans, counts and names as text."""

import datetime as dt

import pytest

from check_pop3_plus.messages import formats
from check_pop3_plus.model.failures import Failure, Kind
from check_pop3_plus.model.sanitised_text import printable


@pytest.mark.parametrize(
    ("hours", "text"),
    [
        (0, "0 minutes"),
        (0.99, "59 minutes"),
        (1, "1 hour"),
        (36, "36 hours"),
        (47.9, "47 hours"),
        (48, "2 days"),
    ],
)
def test_span_below_two_days_is_in_hours(hours: float, text: str) -> None:
    """One day could be 1 hour or 47."""
    assert formats.span(dt.timedelta(hours=hours)) == text


def test_date_is_printed_in_utc() -> None:
    """A date has minutes and names its time zone."""
    assert (
        formats.date(dt.datetime(2027, 1, 29, 6, 5, 59, tzinfo=dt.timezone.utc))
        == "2027-01-29 06:05 UTC"
    )


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59, "59 s"), (3600, "1 h"), (3661, "1 h 1 min"), (93784, "1 d 2 h")],
)
def test_age_has_its_two_largest_units(seconds: int, text: str) -> None:
    """Seconds do not matter after a day."""
    assert formats.age(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 messages"), (1, "1 message"), (2, "2 messages")]
)
def test_count_of_one_is_singular(number: int, text: str) -> None:
    """Only one has the singular."""
    assert formats.count(number, "message") == text


@pytest.mark.parametrize(("is_late", "text"), [(True, "no answer in time"), (False, "no answer")])
def test_reason_of_a_late_failure_says_so(is_late: bool, text: str) -> None:
    """The message of a failure leaves that to the output."""
    failure = Failure(Kind.TIMEOUT, None, printable("no answer"), is_late)

    assert formats.reason(failure) == text
