"""Dates, time spans, counts and names for people."""

from collections.abc import Sequence

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.model.failures import Failure
from check_pop3_plus.support.deadline import days

if TYPE_CHECKING:
    from datetime import datetime, timedelta


def reason(failure: Failure) -> str:
    """Return the message of a failure, with `in time` where a deadline passed."""
    return failure.message + (" in time" if failure.is_late else "")


def seconds(value: float) -> str:
    """Return seconds with three decimals, or six below a millisecond."""
    return f"{value:.{3 if value >= 0.001 else 6}f} s"


def span(length: "timedelta") -> str:
    """Return a time span in whole days, in hours below two days, in minutes below an hour."""
    hours = days(length) * 24
    if hours < 1:
        return count(int(hours * 60), "minute")
    return count(int(hours), "hour") if hours < 48 else count(int(hours / 24), "day")


_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def age(seconds: int) -> str:
    """Return a number of seconds in its two largest units: `26 h` is `1 d 2 h`."""
    parts: list[str] = []
    for unit, size in _UNITS:
        number, seconds = divmod(seconds, size)
        if number or (unit == "s" and not parts):
            parts.append(f"{number} {unit}")
    return " ".join(parts[:2])


def date(instant: "datetime") -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def listed(items: Sequence[str], most: int, more: int = 0) -> str:
    """Return the first `most` items, and the number of the others, `more` included."""
    more += len(items[most:])
    return ", ".join(items[:most]) + (f" and {more} more" if more else "")


def count(number: int, noun: str) -> str:
    """Return a number with its noun: `1 message`, `2 messages`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
