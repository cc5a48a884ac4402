"""The search for own probes: which messages are read, in what order, and what they show."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate
from types import SimpleNamespace
from typing import Any

import pytest

from check_pop3_plus.delivery import mailbox
from check_pop3_plus.delivery.probe_message import Probe
from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.report import Address, MailboxFacts, Session
from check_pop3_plus.model.settings import RangePair, Settings, Target, Thresholds
from check_pop3_plus.pop3.grammar import Capabilities, Command, Reply
from check_pop3_plus.support.deadline import Clock, Deadline

Header = tuple[bytes, ...]

DAY = 86400.0


def header(age: float | None, *fields: str) -> Header:
    """Return the header of a message that arrived `age` seconds ago."""
    dates = [] if age is None else [f"Date: {formatdate(time.time() - age)}"]
    return tuple(each.encode() for each in (*dates, *fields))


def probe(age: float, name: str = "p") -> Header:
    return header(age, f"X-Probe: {name}", f"X-Sent: {time.time() - age}")


def recognise(lines: Header) -> Probe | None:
    fields = dict(line.decode().split(": ", 1) for line in lines)
    return Probe(fields["X-Probe"], float(fields["X-Sent"])) if "X-Probe" in fields else None


class FakeConnection:
    """A session with a mailbox; a message of None is gone."""

    def __init__(self, headers: list[Header | None], seconds: float = 60.0) -> None:
        self.headers = headers
        self.stream = SimpleNamespace(deadline=Deadline(Clock() + seconds))
        self.session = Session(Address("192.0.2.1", 110))
        thresholds = Thresholds(newest=RangePair("1"))
        self.settings = Settings(Target("pop.example.test", 110), thresholds=thresholds)
        self.read: list[int] = []
        self.deleted: list[str] = []

    def request(self, command: Command) -> Reply:
        self.deleted.append(command.shown)
        return Reply(True, b"")


@pytest.fixture
def open_mailbox(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    def read_header(connection: FakeConnection, number: int) -> Header | None:
        connection.read.append(number)
        return connection.headers[number - 1]

    monkeypatch.setattr(mailbox, "read_header", read_header)
    return FakeConnection


def look_through(
    connection: Any, awaited: str | None = None, known: Capabilities | None = None
) -> None:
    count = len(connection.headers)
    end = Deadline(Clock() + 60)
    mailbox.look_through(connection, MailboxFacts(count, 9), known, recognise, awaited, end)


OLD, NEW = header(9 * DAY), header(DAY)


@pytest.mark.parametrize(
    ("first", "last", "order"),
    [
        ([OLD] * 3, [NEW] * 3, [12, 11, 10, 3, 2, 1, 9, 8]),
        ([NEW] * 3, [OLD] * 3, [1, 2, 3, 10, 11, 12, 4, 5]),
        # One message of an end is enough; neighbours may swap.
        ([OLD, NEW, OLD], [OLD] * 3, [1, 2, 3, 10, 11, 12, 4, 5]),
        ([OLD] * 3, [OLD, NEW, OLD], [12, 11, 10, 3, 2, 1, 9, 8]),
        # Without a difference by arrival, as most servers number.
        ([OLD] * 3, [OLD] * 3, [12, 11, 10, 3, 2, 1, 9, 8]),
        ([header(None)] * 3, [None] * 3, [3, 2, 1, 9, 8]),
        ([None] * 3, [header(None)] * 3, [12, 11, 10, 9, 8]),
    ],
)
def test_search_begins_at_the_newest_end(
    first: list[Header | None],
    last: list[Header | None],
    order: list[int],
    open_mailbox: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The dates at both ends tell; the messages between count for nothing."""
    monkeypatch.setattr(mailbox, "SCAN_LIMIT", 8)
    connection = open_mailbox([*first, *[header(0)] * 6, *last])

    assert [number for number, _ in mailbox._headers(connection, 12)] == order
    assert connection.read == [1, 2, 3, 10, 11, 12, *order[-2:]]


@pytest.mark.parametrize(("is_over", "count"), [(False, 12), (True, 6)])
def test_search_takes_half_of_the_time(
    is_over: bool,
    count: int,
    open_mailbox: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After that no other header is read, so that QUIT still fits."""
    connection = open_mailbox([OLD] * 12, seconds=10.0)
    now = Clock()
    ages = [0.0, 0.0, *[5.5 if is_over else 4.5] * 99]
    monkeypatch.setattr("check_pop3_plus.support.deadline.Clock", lambda: now + ages.pop(0))

    assert len(list(mailbox._headers(connection, 12))) == count
    assert len(connection.read) == count


def test_search_counts_bounces_and_dates_of_other_messages(
    open_mailbox: Callable[..., Any],
) -> None:
    """A delivery report (RFC 3464) is no probe, and is never deleted."""
    bounce = "Content-Type: multipart/report; report-type=delivery-status"
    other = "Content-Type: multipart/report; report-type=disposition-notification"
    connection = open_mailbox(
        [
            header(3 * DAY, "Subject: x", bounce),
            header(2 * DAY, bounce.upper(), "Subject: x"),
            header(DAY, other),
            header(5 * DAY, f"X-{bounce}"),
            probe(60),
        ]
    )
    look_through(connection)
    session = connection.session

    assert (session.probes.found, session.probes.bounces, session.probes.left_out) == (1, 2, 0)
    assert (session.dates.read, session.mailbox.messages) == (4, 4)
    assert round(time.time() - session.dates.newest) // DAY == 1
    assert round(time.time() - session.dates.oldest) // DAY == 5
    assert connection.deleted == []


def test_mailbox_with_probes_alone_is_empty(open_mailbox: Callable[..., Any]) -> None:
    """All but the newest are deleted; one from the future is not the newest."""
    connection = open_mailbox([probe(90), probe(60), probe(-9999)])
    look_through(connection)

    assert connection.session.mailbox.messages == 0
    assert connection.session.probes.bounces == 0
    assert connection.deleted == ["DELE 1", "DELE 3"]


@pytest.mark.parametrize(("count", "is_noted"), [(50, False), (51, True)])
def test_more_than_50_probes_are_noted(
    count: int, is_noted: bool, open_mailbox: Callable[..., Any]
) -> None:
    """Something keeps them from being deleted."""
    connection = open_mailbox([probe(60 + number) for number in range(count)])
    look_through(connection)

    assert [note.kind for note in connection.session.notes] == [Kind.NOT_DELETED] * is_noted
    assert len(connection.deleted) == count - 1


def test_search_ends_at_the_awaited_probe(open_mailbox: Callable[..., Any]) -> None:
    """It is only looked for: nothing is deleted, and nothing else is recorded."""
    connection = open_mailbox([*[probe(900, "old")] * 8, probe(1, "awaited"), probe(0, "newer")])
    look_through(connection, awaited="awaited")

    assert connection.session.probes.found == 2
    assert connection.session.probes.has_awaited
    assert connection.session.mailbox is None
    assert connection.deleted == []


def test_mailbox_without_top_is_not_searched(open_mailbox: Callable[..., Any]) -> None:
    """Where the capabilities are known, and lack it."""
    with pytest.raises(ProbeError, match="does not offer TOP"):
        look_through(open_mailbox([probe(60)]), known=Capabilities({}))


@pytest.mark.parametrize(("ahead", "newest"), [(300, 1), (300.1, None)])
def test_probe_from_the_future_is_not_the_newest(ahead: float, newest: int | None) -> None:
    """By more than a clock may be wrong."""
    found = mailbox._Found()
    found.probes[1] = Probe("p", 1000.0 + ahead), None

    assert found.newest(1000.0) == newest
