"""The header of a message: its fields, and when it arrived (RFC 5322, RFC 5321). No I/O.

Anyone can write a header: nothing of it is shown, and the work on it is bounded.
"""

import re
from calendar import timegm
from collections.abc import Iterable, Iterator
from email.utils import parsedate_tz

FUTURE_SECONDS = 300
"""A time so far ahead of the local clock is wrong."""

_EARLIEST = 631152000
"""1990: before POP3 clocks that were not set wrote 1970 or 1980."""

_LONGEST_FIELD = 4096
"""Bytes of a field that are read; a date is at its end. Real ones have less than 1,000."""


def fields(lines: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield name, in lower case, and unfolded value of each field (RFC 5322 section 2.2)."""
    name, parts = b"", list[bytes]()
    for line in lines:
        if line[:1] in (b" ", b"\t"):
            parts.append(line)
            continue
        if name:
            yield name, b"".join(parts).strip()
        if not line:
            return
        name, colon, value = line.partition(b":")
        name, parts = name.strip().lower() if colon else b"", [value]
    if name:
        yield name, b"".join(parts).strip()


def arrival(lines: Iterable[bytes], now: float) -> float | None:
    """Return when a message arrived, in seconds since the epoch, or None.

    That is the time of the topmost plausible Received field, else of a plausible Date field.
    """
    found = list(fields(lines))
    for wanted in (b"received", b"date"):
        for name, value in found:
            if name == wanted:
                at = parse_date(value)
                if at is not None and _EARLIEST <= at <= now + FUTURE_SECONDS:
                    return at
    return None


_COMMENT = re.compile(r"\([^()]*\)")
_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d:\d\d(?::\d\d)?)")
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def parse_date(value: bytes) -> float | None:
    """Return the time in a Date field, or at the end of a Received field, or None.

    Accepted is what mail programs write, whatever RFC 5322 says: obsolete zones and years, the
    orders of asctime and RFC 850, ISO 8601. A zone that is not known is UTC (section 4.3).
    """
    text = value[-_LONGEST_FIELD:].decode("latin-1")
    for _ in range(3):  # nested
        text = _COMMENT.sub(" ", text)
    text = text.rpartition(";")[2].strip()[:100]
    if re.search(r"\d\s*[AP]M\b", text, re.I):
        return None
    text = _ISO.sub(_in_order, text)
    text = re.sub(r"(:\d\d)\.\d+", r"\1", text)  # parts of a second
    text = re.sub(r"(?:GMT|UTC?)?([+-]\d\d):?(\d\d)\b", r" \1\2", text)
    text = re.sub(r"(\d)Z\b", r"\1 +0000", text)
    try:
        parsed = parsedate_tz(text)
        if parsed is None:
            return None
        year, month, day, hour, minute, second = parsed[:6]
        zone = parsed[9] or 0
        if 100 <= year < 1000:  # years since 1900 (RFC 5322 section 4.3)
            year += 1900
        if not (1 <= day <= 31 and hour < 24 and minute < 60 and second <= 60):
            return None
        at = timegm((year, month, day, hour, minute, second)) - zone
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    return at if abs(zone) < 86400 else None


def _in_order(matched: re.Match[str]) -> str:
    year, month, day, time = matched.groups()
    name = _MONTHS[int(month) - 1] if 1 <= int(month) <= 12 else ""
    return f"{day} {name} {year} {time}"
