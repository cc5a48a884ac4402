"""Compare the mailboxes of real servers before and after a thousand logins.

A missing server gives a line without runs; with `CI=true` it is a defect.
"""

import os
import tempfile
from pathlib import Path

import pytest

from tests.pki.certificates import Pki
from tests.servers import mailboxes
from tests.servers.mailboxes import MAILBOXES
from tests.soak import Figure

CHECKS = 1000
"""Logins on each server: a tenth of them in single runs, the rest in sweeps."""

_SWEEP = 300


def run(share: float) -> list[Figure]:
    return [_measure(name, max(10, round(CHECKS * share))) for name in MAILBOXES]


def _measure(name: str, wanted: int) -> Figure:
    what = f"logins on one mailbox of a real {name.capitalize()}, all mechanisms"
    try:
        with tempfile.TemporaryDirectory() as place:
            return _compared(name, what, wanted, Path(place))
    except (pytest.skip.Exception, pytest.fail.Exception) as missing:
        is_due = os.environ.get("CI") == "true"
        return Figure(what, 0, f"not run: {missing}", defects=int(is_due))


def _compared(name: str, what: str, wanted: int, folder: Path) -> Figure:
    pki = Pki(folder)
    with MAILBOXES[name](pki) as mailbox:
        flags = mailbox.flags()
        mailboxes.settle(mailbox, pki, folder)
        before = mailbox.snapshot()
        worked, in_use = mailboxes.check(mailbox, pki, folder, single=wanted // 10, swept=0)
        while worked < wanted:
            swept = min(_SWEEP, wanted - worked)
            more, busy = mailboxes.check(mailbox, pki, folder, single=0, swept=swept)
            worked, in_use = worked + more, in_use + busy
        after = mailbox.snapshot()
        changed = mailbox.differences(before, after)
        if mailbox.flags() != flags:
            changed.append("flags have changed")
    for each in changed:
        print(f"  {name}: {each}", flush=True)
    size = sum(len(file.content) for file in before.values())
    result = f"{len(changed)} changes in {len(before)} files ({size:,} bytes)"
    if in_use:
        result += f"; {in_use} more logins found the mailbox in use"
    return Figure(what, worked, result, defects=len(changed))
