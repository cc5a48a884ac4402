"""Headers of messages: their fields, and when the message arrived."""

from datetime import datetime, timezone

import pytest

from check_pop3_plus.pop3 import message

NOW = datetime(2026, 11, 27, 12, tzinfo=timezone.utc).timestamp()


def lines(*header: str) -> list[bytes]:
    return [line.encode("latin-1") for line in header]


DATES = {
    # RFC 5322, with comments, one-digit days and folding white space
    "Fri, 27 Nov 2026 09:55:06 -0600": "2026-11-27T15:55:06",
    "Tue,  3 Nov 2026 09:55:06 +0100 (CET)": "2026-11-03T08:55:06",
    "3 Nov 2026 09:55 +0530": "2026-11-03T04:25:00",
    "Fri, 27 Nov 2026 09:55:06 +0000 (UTC) (envelope-from (nested; here))": "2026-11-27T09:55:06",
    "Thu,26 Nov 2026 09:55:06+0100": "2026-11-26T08:55:06",
    # obsolete zones and years (RFC 5322 section 4.3)
    "Mon, 20 Nov 95 19:12:08 EST": "1995-11-21T00:12:08",
    "Mon, 20 Nov 01 19:12:08 GMT": "2001-11-20T19:12:08",
    "Fri, 27 Nov 126 09:55:06 -0000": "2026-11-27T09:55:06",
    "Fri, 27 Nov 2026 09:55:06 MSK": "2026-11-27T09:55:06",  # unknown: as UTC
    "Fri, 27 Nov 2026 09:55:06 Z": "2026-11-27T09:55:06",
    "Fri, 27 Nov 2026 09:55:06": "2026-11-27T09:55:06",
    # asctime, ctime with a zone, RFC 850
    "Fri Nov 27 09:55:06 2026": "2026-11-27T09:55:06",
    "Fri Nov 27 09:55:06 2026 -0100": "2026-11-27T10:55:06",
    "Friday, 27-Nov-26 09:55:06 GMT": "2026-11-27T09:55:06",
    # JavaScript, Java, Go, ISO 8601
    "Fri Nov 27 2026 09:55:06 GMT+0100 (Central European Standard Time)": "2026-11-27T08:55:06",
    "Fri, 27 Nov 2026 09:55:06 +01:00": "2026-11-27T08:55:06",
    "2026-11-27 09:55:06.123456789 +0100 CET m=+0.01": "2026-11-27T08:55:06",
    "2026-11-27T09:55:06Z": "2026-11-27T09:55:06",
    "Fri, 27 Nov 2026 09:55:06.123 +0000": "2026-11-27T09:55:06",
    # the first and the last of each part
    "1 Jan 2026 00:00:00 +2359": "2025-12-31T00:01:00",
    "31 Jan 2026 23:59:59 -2359": "2026-02-01T23:58:59",
    "27 Nov 100 09:55:06 +0000": "2000-11-27T09:55:06",
    "27 Nov 999 09:55:06 +0000": "2899-11-27T09:55:06",
    "Fri, 27 (twenty-seventh) Nov 2026 09:55:06 +0000": "2026-11-27T09:55:06",
    "by c; " + " " * 200 + "27 Nov 2026 09:55:06 -0000": "2026-11-27T09:55:06",
    **{f"2026-{month:02}-09T01:02:03Z": f"2026-{month:02}-09T01:02:03" for month in range(1, 13)},
    # dots for colons (old Windows), a leap second
    "Fri, 27 Nov 2026 09.55.06 +0000": "2026-11-27T09:55:06",
    "Sat, 31 Dec 2016 23:59:60 +0000": "2017-01-01T00:00:00",
    # the end of Received
    "from a (HELO b) (192.0.2.1) by c with SMTP; 27 Nov 2026 09:55:06 -0000": "2026-11-27T09:55:06",
    "(qmail 4711 invoked by uid 89); 27 Nov 2026 09:55:06 -0000": "2026-11-27T09:55:06",
    "by mx.example.org (Postfix, from userid 0)\tid 4F; Fri, 27 Nov 2026 09:55:06 +0000 (UTC)": (
        "2026-11-27T09:55:06"
    ),
}
"""As mail programs have written them."""


@pytest.mark.parametrize("text", DATES)
def test_parse_date_reads_what_mail_programs_write(text: str) -> None:
    """Whatever RFC 5322 says."""
    at = message.parse_date(text.encode())

    assert at is not None
    shown = datetime.fromtimestamp(at, timezone.utc).isoformat()
    assert shown.removesuffix("+00:00") == DATES[text]


@pytest.mark.parametrize(
    "text",
    [
        *("", ";", "today", "Fri, 27 Nov 2026", "27/11/2026 09:55:06", "$Date$", "\x80\xff"),
        *("Fri, 31 Foo 2026 09:55:06 +0000", "Fri, 45 Nov 2026 09:55:06 +0000"),
        *("Fri, 27 Nov 2026 25:55:06 +0000", "Fri, 27 Nov 2026 09:77:06 +0000"),
        *("Fri, 27 Nov 2026 09:55:06 +9999", "11/27/2026 9:55:06 PM", "2026-13-27T09:55:06Z"),
        *("Fri, 27 Nov 2026 09:55:06 PM +0100", "0 Nov 2026 09:55:06", "2026-00-00 00:00:00"),
        *("9" * 5000, "(" * 5000, "Fri, 27 Nov " + "2" * 400 + " 09:55:06"),
    ],
)
def test_parse_date_without_a_certain_time_is_none(text: str) -> None:
    """A wrong age would be worse than none."""
    at = message.parse_date(text.encode("latin-1"))

    assert at is None or not 0 < at < 2**33  # out of range: implausible


RECEIVED = "Received: from a by b; Thu, 26 Nov 2026 10:00:00 +0000"
DATE = "Date: Wed, 25 Nov 2026 10:00:00 +0000"


@pytest.mark.parametrize(
    ("header", "day"),
    [
        (("Return-Path: <a@b>", RECEIVED, DATE), 26),
        ((DATE, "received : from a by b;", "\tThu, 26 Nov 2026 10:00:00", " +0000"), 26),
        (("Received: by c; Fri, 27 Nov 2026 12:04:00 +0000", RECEIVED), 27),  # a clock ahead
        (("Received: by c; Fri, 27 Nov 2026 12:06:00 +0000", RECEIVED, DATE), 26),
        (("Received: by c; Thu, 1 Jan 1970 00:00:00 +0000", RECEIVED), 26),
        (("Received: by c with no date", "Received: by d; yesterday", DATE), 25),
        (("Date: Fri, 27 Nov 2099 09:55:06 +0000", DATE), 25),
        (("From joe@example.org Fri Nov 27 09:55:06 2026", "no field at all", DATE), 25),
        (("Date: Fri, 27 Nov 2099 09:55:06 +0000",), None),
        (("Subject: x", "", RECEIVED), None),  # that is the body
        ((), None),
    ],
)
def test_arrival_is_of_the_topmost_plausible_received_else_date(
    header: tuple[str, ...], day: int | None
) -> None:
    """A time more than 5 minutes ahead is wrong, and so is one before mail had such headers."""
    at = message.arrival(lines(*header), NOW)

    assert (None if at is None else datetime.fromtimestamp(at, timezone.utc).day) == day


@pytest.mark.timeout(5)
@pytest.mark.parametrize("line", [b"(" * 65000, b"Received: " + b"(" * 64000, b";" * 64000])
def test_arrival_of_a_hostile_header_takes_little_time(line: bytes) -> None:
    """Anyone can send it by mail."""
    folded = [b" " + bytes([40 + number % 2]) for number in range(20_000)]
    assert message.arrival([b"Received: x", *folded], NOW) is None


@pytest.mark.parametrize(
    "text",
    [
        *("32 Jan 2026 09:55:06 +0000", "31 Jan 2026 24:00:00 +0000"),
        *("31 Jan 2026 23:60:00 +0000", "31 Jan 2026 23:59:61 +0000"),
        *("31 Jan 2026 23:59:59 +2400", "31 Jan 2026 23:59:59 -2400"),
    ],
)
def test_parse_date_beyond_the_last_of_a_part_is_none(text: str) -> None:
    """It is no time, though a calendar could go on counting."""
    assert message.parse_date(text.encode()) is None


def test_parse_date_of_a_year_of_four_digits_is_not_since_1900() -> None:
    """The year 1000 is no arrival; it is not taken for 2900 either."""
    at = message.parse_date(b"27 Nov 1000 09:55:06 +0000")

    assert at is not None
    assert at < 0


def test_fields_are_unfolded_and_end_with_the_header() -> None:
    """What is no field is left out, with the lines that continue it."""
    header = lines(
        *(" continues nothing", "Subject : one", "\ttwo ", " three", "no field", " and more"),
        *("To:", "From: a", "", "Date: in the body"),
    )

    assert list(message.fields(header)) == [
        (b"subject", b"one\ttwo  three"),
        (b"to", b""),
        (b"from", b"a"),
    ]
    assert list(message.fields(header[:-2])) == list(message.fields(header))


def test_arrival_is_plausible_from_1990_until_five_minutes_ahead() -> None:
    """Both ends belong to it."""
    first = datetime(1990, 1, 1, tzinfo=timezone.utc).timestamp()

    def arrival(text: str, now: float) -> float | None:
        return message.arrival([f"Date: {text} +0000".encode()], now)

    assert arrival("1 Jan 1990 00:00:00", NOW) == first
    assert arrival("31 Dec 1989 23:59:59", NOW) is None
    assert arrival("27 Nov 2026 12:05:00", NOW) == NOW + 300
    assert arrival("27 Nov 2026 12:05:01", NOW) is None
