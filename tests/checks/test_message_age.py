"""The age of the newest and the oldest message."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from email.utils import formatdate

import pytest

from tests.pki.certificates import Pki
from tests.servers.scripted_server import ScriptedServer, Step, expect, say
from tests.support.catalogue import MODES
from tests.support.command import Run
from tests.support.faults import (
    BYE,
    GREETING,
    LOGGED_IN,
    check,
    flags,
    kinds,
    upgraded,
)

HOUR = 3600
DAY = 24 * HOUR
CANARY = "Subject: c4n4ry of a header"

WITH_TOP = say(b"+OK\r\nUSER\r\nTOP\r\n.\r\n")


def header(age: float | None, *more: str) -> bytes:
    """Return the reply to TOP for a message that arrived `age` seconds ago."""
    at = "" if age is None else formatdate(time.time() - age)
    top = f"Received: from a by b; {at}"
    lines = [top, "Date: Fri, 27 Nov 2099 09:55:06 +0000", CANARY, *more, "", "."]
    return b"+OK\r\n" + "\r\n".join(lines).encode() + b"\r\n"


def mailbox(*replies: bytes, count: int | None = None, numbers: Sequence[int] = ()) -> list[Step]:
    """Return the steps of a session whose messages are read by TOP."""
    total = len(replies) if count is None else count
    steps = [*LOGGED_IN, expect(b"STAT"), say(b"+OK %d 1000\r\n" % total)]
    for number, reply in zip(numbers or range(1, len(replies) + 1), replies, strict=True):
        steps += [expect(b"TOP %d 0" % number), say(reply)]
    return [*steps, *BYE]


def run(mode: str, pki: Pki, steps: list[Step], *options: str, listed: Step = WITH_TOP) -> Run:
    """Check a server, and assert that nothing of a header is in the output."""
    asked = upgraded(pki)[:-1] if mode == "stls" else [GREETING, expect(b"CAPA")]
    tls = pki.server("good") if mode == "tls" else None
    with ScriptedServer([*asked, listed, *steps], tls=tls) as server:
        done = check(server, *flags(mode, pki, login=True), "-vvv", *options)
    assert "c4n4ry of" not in done.out
    assert server.commands[-1] == b"QUIT"
    return done


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(106, case="warning")
@pytest.mark.fault(106, case="critical")
@pytest.mark.threat("T19")
def test_newest_message_too_old_is_stale(mode: str, pki: Pki) -> None:
    """The newest is the latest of the first and last three, whatever the order of numbers."""
    ages = [2 * HOUR + 90, 3 * DAY, 5 * DAY, 4 * DAY, 6 * DAY, 7 * DAY]
    steps = mailbox(*map(header, ages), count=900, numbers=[1, 2, 3, 898, 899, 900])

    done = run(mode, pki, steps, "--newest-warning", "1h", "--newest-critical", "1d")
    assert kinds(done) == ["stale"]
    assert re.fullmatch(r"729\ds;3600;86400;0", done.perfdata["newest_age"])
    assert "time_top" in done.perfdata
    assert "transcript: S: (headers, not shown)" in done.long

    worse = run(mode, pki, steps, "--newest-warning", "1h", "--newest-critical", "90m")
    assert worse.code == 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(107)
@pytest.mark.threat("T19")
def test_oldest_message_too_old_is_unfetched(mode: str, pki: Pki) -> None:
    """The newest is not judged without a threshold of its own."""
    steps = mailbox(header(75), header(3 * DAY + HOUR + 90))

    done = run(mode, pki, steps, "--oldest-warning", "2d")

    assert kinds(done) == ["unfetched"]
    assert "newest_age" in done.perfdata


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(108, case="empty, newest")
@pytest.mark.fault(108, case="empty, oldest")
def test_empty_mailbox_is_no_message_only_for_the_newest(mode: str, pki: Pki) -> None:
    """Where all mail is fetched, nothing waits."""
    assert kinds(run(mode, pki, mailbox(), "--newest-critical", "1d")) == ["no-message"]

    done = run(mode, pki, mailbox(), "--oldest-critical", "1d")
    assert done.code == 0, done.out
    assert "oldest_age" not in done.perfdata


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(108, case="undated")
@pytest.mark.fault(108, case="some undated")
def test_message_without_a_date_is_said_to_be_undated(mode: str, pki: Pki) -> None:
    """Without any date there is no false OK."""
    undated = header(None)

    assert kinds(run(mode, pki, mailbox(*[undated] * 3), "--oldest-warning", "1d")) == [
        "no-message"
    ]
    some = run(mode, pki, mailbox(undated, header(-2 * DAY), header(75)), "--newest-warning", "1d")
    assert some.code == 0, some.out
    assert re.search(r", 3 messages, newest 1 min \d+ s old", some.line)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(109, case="CAPA")
@pytest.mark.fault(109, case="-ERR")
@pytest.mark.fault(109, case="system")
@pytest.mark.fault(109, case="message gone")
def test_server_without_top_is_no_capability(mode: str, pki: Pki) -> None:
    """A message that another session has deleted is no reason, and trouble is another."""
    options = ("--newest-warning", "1d")
    unlisted = say(b"+OK\r\nUSER\r\n.\r\n")
    assert kinds(run(mode, pki, mailbox(count=3), *options, listed=unlisted)) == ["no-capability"]

    for reply, kind in (
        (b"-ERR unknown command\r\n", ["no-capability"]),
        (b"-ERR [SYS/PERM] I/O error\r\n", ["mailbox"]),
    ):
        done = run(mode, pki, mailbox(reply, count=3, numbers=[1]), *options)
        assert kinds(done) == kind

    gone = b"-ERR There is no message 1.\r\n"
    assert run(mode, pki, mailbox(gone, header(5), gone), *options).code == 0


LONG = "X-Long: " + "x" * 70_000


@pytest.mark.threat("T13")
@pytest.mark.threat("T19")
@pytest.mark.parametrize(
    "reply",
    [
        header(75, LONG),
        header(75, *["X: y"] * 20_000),
        header(75, "..", ".+OK", "Subject: c4n4ry of more"),
    ],
    ids=["one long line", "many lines", "stuffed dots"],
)
def test_long_header_is_read_in_part(reply: bytes, pki: Pki) -> None:
    """Anyone can send such a mail: it must not make the check fail."""
    done = run("plain", pki, mailbox(reply, header(9)), "--newest-warning", "1d")

    assert done.code == 0, done.out
    assert "2 messages, newest" in done.line


@pytest.mark.threat("T13")
def test_header_without_end_is_oversized(pki: Pki) -> None:
    """A message of more than 1 MiB of headers."""
    steps = [*LOGGED_IN, expect(b"STAT"), say(b"+OK 1 9\r\n"), expect(b"TOP 1 0")]
    endless = [*steps, say(b"+OK\r\n" + (CANARY + "\r\n").encode() * 50_000)]
    with ScriptedServer([GREETING, expect(b"CAPA"), WITH_TOP, *endless]) as server:
        done = check(server, *flags("plain", pki, login=True), "--newest-warning", "1d", "-vvv")

    assert kinds(done) == ["oversized"]
    assert "c4n4ry" not in done.out


@pytest.mark.threat("T19")
@pytest.mark.parametrize(
    "after",
    [CANARY.encode() + b"\r\n", b"\r\n", (CANARY + " without an end").encode()],
    ids=["a line", "an empty line", "part of a line"],
)
def test_message_with_a_wrong_end_is_not_shown(after: bytes, pki: Pki) -> None:
    """A server that forgets to double a dot: what follows is part of a message."""
    steps = mailbox(header(75) + after, header(75))
    with ScriptedServer([GREETING, expect(b"CAPA"), WITH_TOP, *steps]) as server:
        done = check(server, *flags("plain", pki, login=True), "--newest-warning", "1d", "-vvv")

    assert kinds(done) == ["garbled"]
    assert "not shown, may be of a message" in done.line
    assert "c4n4ry" not in done.out
