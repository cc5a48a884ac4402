"""Find the own probes in a mailbox, and delete all but the newest (RFC 1939 section 5).

Deleted is only what `probe_message` recognises. It is gone only after the reply to QUIT: if the
connection is lost before, the server keeps everything.
"""

import re
import time
from collections.abc import Callable, Iterator

from check_pop3_plus.delivery.probe_message import Probe
from check_pop3_plus.model.failures import Kind, Phase
from check_pop3_plus.model.report import MailboxFacts, ProbeFacts
from check_pop3_plus.pop3 import grammar, message
from check_pop3_plus.probe.connection import Connection, add_note
from check_pop3_plus.probe.message_headers import (
    AT_EACH_END,
    at_ends,
    dates_of,
    is_gone,
    read_header,
    require_top,
)
from check_pop3_plus.support.deadline import Deadline

SCAN_LIMIT = 100
"""Messages whose headers are read in one session, the newest first."""

SCAN_SHARE = 0.5
"""Part of the time left that reading them may take: QUIT must still fit."""

OWN_LIMIT = 50
"""With more own probes in the mailbox no other is sent."""

_BOUNCE = re.compile(rb"(?i)multipart/report\b.*\bdelivery-status\b")

Recogniser = Callable[[tuple[bytes, ...]], Probe | None]


class _Found:
    """What the headers of a mailbox show."""

    def __init__(self) -> None:
        self.read = 0
        self.bounces = 0
        self.probes: dict[int, tuple[Probe, float | None]] = {}
        """By the number of the message; with the time at which it arrived."""
        self.others: list[float | None] = []
        """When the other messages arrived."""

    def newest(self, now: float) -> int | None:
        """Return the number of the newest probe; one from the future does not count."""
        sent = {number: probe.sent for number, (probe, _) in self.probes.items()}
        credible = [each for each in sent if sent[each] <= now + message.FUTURE_SECONDS]
        return max(credible, key=sent.__getitem__, default=None)


def look_through(
    connection: Connection,
    mailbox: MailboxFacts,
    known: grammar.Capabilities | None,
    recognise: Recogniser,
    awaited: str | None,
    run_end: Deadline,
) -> None:
    """Record the probes and the dates of other messages, and delete all probes but the newest.

    With a probe `awaited` by its Message-ID, only look for it. Raises what `read_header` raises.
    """
    require_top(known)
    session, now = connection.session, time.time()
    with session.timeline.phase(Phase.TOP):
        found = _search(connection, mailbox.messages, recognise, awaited)
    newest = found.newest(now)
    if awaited is None:
        if len(found.probes) > OWN_LIMIT:
            text = f"{len(found.probes)} own probes in the mailbox (limit {OWN_LIMIT})"
            add_note(connection, Kind.NOT_DELETED, text + ": none is sent")
        _delete(connection, [number for number in found.probes if number != newest], run_end)
        if connection.settings.thresholds.need_headers:
            session.dates = dates_of(found.others)
        session.mailbox = mailbox.replace(messages=max(0, mailbox.messages - len(found.probes)))
    probe, accepted = found.probes[newest] if newest else (None, None)
    session.probes = ProbeFacts(
        found=len(found.probes),
        newest=probe.sent if probe else None,
        accepted=accepted,
        has_awaited=any(each.message_id == awaited for each, _ in found.probes.values()),
        bounces=found.bounces,
        left_out=mailbox.messages - found.read,
    )


def _search(
    connection: Connection, count: int, recognise: Recogniser, awaited: str | None
) -> _Found:
    """Return what the headers show, until the awaited probe is found."""
    found, now = _Found(), time.time()
    for number, lines in _headers(connection, count):
        found.read += 1
        probe, arrival = recognise(lines), message.arrival(lines, now)
        if probe:
            found.probes[number] = probe, arrival
            if probe.message_id == awaited:
                break
        else:
            found.others.append(arrival)
            found.bounces += any(
                name == b"content-type" and bool(_BOUNCE.search(value))
                for name, value in message.fields(lines)
            )
    return found


def _headers(connection: Connection, count: int) -> Iterator[tuple[int, tuple[bytes, ...]]]:
    """Yield number and header of messages, the newest first, at most `SCAN_LIMIT`.

    Some servers number the newest message 1: the dates at both ends tell.
    """
    deadline = connection.stream.deadline
    end = deadline.within(deadline.left() * SCAN_SHARE)
    ends = {number: read_header(connection, number) for number in at_ends(count)}
    headers = list(ends.values())
    is_descending = _latest(headers[:AT_EACH_END]) > _latest(headers[-AT_EACH_END:])
    between = range(AT_EACH_END + 1, count - AT_EACH_END + 1)
    order = 1 if is_descending else -1
    for number in [*list(ends)[::order], *between[::order][: SCAN_LIMIT - len(ends)]]:
        if number not in ends and not end.left():
            return
        lines = ends[number] if number in ends else read_header(connection, number)
        if lines is not None:
            yield number, lines


def _latest(headers: list[tuple[bytes, ...] | None]) -> float:
    now = time.time()
    return max((message.arrival(lines, now) or 0.0 for lines in headers if lines), default=0.0)


def _delete(connection: Connection, numbers: list[int], run_end: Deadline) -> None:
    """Mark messages as deleted; QUIT deletes them."""
    if numbers:
        connection.update_by = run_end
    refused = []
    for number in sorted(numbers):
        reply = connection.request(grammar.delete(number))
        if not reply.ok and not is_gone(reply):
            refused.append(connection.reason(reply))
    if refused:
        text = f"server refuses to delete own probes: {refused[0]}"
        add_note(connection, Kind.NOT_DELETED, text)
