"""Mailboxes of a real Dovecot, Courier and Cyrus after checks that log in."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.pki.certificates import Pki
from tests.servers import mailboxes
from tests.servers.chroots import NAME
from tests.servers.mailboxes import MAILBOXES
from tests.support.command import run
from tests.support.faults import kinds

pytestmark = pytest.mark.real


FLAGS = {
    "dovecot": list(mailboxes.FLAGS),
    "courier": list(mailboxes.FLAGS),
    "cyrus": ["FLAG_SEEN", "", ""],
}


@pytest.mark.parametrize("name", MAILBOXES)
def test_logins_change_no_mailbox_file(name: str, pki: Pki, tmp_path: Path) -> None:
    """Threat T19: no byte of mail, flags and indexes, once the server has listed new mail."""
    with MAILBOXES[name](pki) as mailbox:
        arrived = mailbox.snapshot()
        assert mailbox.flags() == FLAGS[name]
        mailboxes.settle(mailbox, pki, tmp_path)
        before = mailbox.snapshot()
        worked, in_use = mailboxes.check(mailbox, pki, tmp_path, single=4, swept=16)
        after = mailbox.snapshot()
        assert mailbox.flags() == FLAGS[name]

    assert worked + in_use == 20
    assert worked >= 8
    assert mailbox.differences(before, after) == []
    # Since delivery, nothing has changed except the directory of new mail.
    messages = [text for text in contents(arrived) if b"three of these" in text]
    assert messages
    assert set(messages) <= set(contents(after))


@pytest.mark.parametrize("name", ["dovecot", "courier"])
def test_message_ages_are_read_without_a_trace(name: str, pki: Pki, tmp_path: Path) -> None:
    """Threat T19: the newest and the oldest message, read or not; no byte or flag changes."""
    with MAILBOXES[name](pki) as mailbox:
        mailboxes.settle(mailbox, pki, tmp_path)
        before = mailbox.snapshot()
        options = [f"--{word}" for word in mailboxes.login(mailbox, pki, tmp_path)]
        limits = ("--newest-critical", "20m", "--oldest-critical", "30m")
        done = run("-H", NAME, "-p", str(mailbox.plain), "--starttls", *options, *limits)
        now = time.time()
        assert mailbox.differences(before, mailbox.snapshot()) == []
        assert mailbox.flags() == FLAGS[name]

    assert kinds(done) == ["stale", "unfetched"], done.out
    for end, number in (("oldest", 0), ("newest", len(mailboxes.FLAGS) - 1)):
        age = int(done.perfdata[f"{end}_age"].partition("s")[0])
        assert abs(now - age - mailboxes.FIRST_ARRIVAL - 3600 * number) < 5


def contents(snapshot: mailboxes.Snapshot) -> list[bytes]:
    return [file.content for file in snapshot.values()]


def test_mailbox_comparison_detects_changes(pki: Pki, tmp_path: Path) -> None:
    """A changed name, flag, byte or time, an added or removed file."""
    folder = tmp_path / "Maildir"
    for part in ("cur", "new"):
        (folder / part).mkdir(parents=True)
    file = folder / "cur" / "1.host:2,"
    file.write_text("a")
    mailbox = mailboxes.Mailbox("none", "", 0, 0, "", (), [folder], [], 1, list)
    before = mailbox.snapshot()
    assert mailbox.differences(before, mailbox.snapshot()) == []

    file.write_text("b")
    assert mailbox.differences(before, mailbox.snapshot()) == ["Maildir/cur/1.host:2, has changed"]
    file.rename(folder / "cur" / "1.host:2,S")
    assert mailbox.differences(before, mailbox.snapshot()) == [
        "Maildir/cur/1.host:2, is gone",
        "Maildir/cur/1.host:2,S is new",
    ]
