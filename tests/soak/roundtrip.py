"""Send a thousand round trips through a real Postfix and Dovecot, with other mail in the mailbox.

Two monitors share the mailbox, and other mail arrives meanwhile. After every run the mailbox is
compared: each probe sent must arrive once, no other may be left, and other mail must be unchanged.
A missing server gives a line without runs; with `CI=true` it is a defect.
"""

import os
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

import pytest

from check_pop3_plus.delivery.probe_message import FIELD
from tests.pki.certificates import Pki
from tests.servers import mail_system
from tests.servers.chroots import NAME, PASSWORD
from tests.servers.mail_system import MailSystem
from tests.soak import Figure
from tests.support.command import run as check

RUNS = 1000
OTHERS = 110
"""Other messages at the beginning: more than the headers that are read in one session."""

_MONITORS = ("one", "two")
_PATIENCE = 20.0
"""Seconds after which a probe counts as lost."""


def run(share: float) -> list[Figure]:
    what = "round trips of two monitors through a real Postfix and Dovecot"
    try:
        with tempfile.TemporaryDirectory() as place:
            return [measure(what, max(10, round(RUNS * share)), Path(place))]
    except (pytest.skip.Exception, pytest.fail.Exception) as missing:
        is_due = os.environ.get("CI") == "true"
        return [Figure(what, 0, f"not run: {missing}", defects=int(is_due))]


def measure(what: str, runs: int, folder: Path) -> Figure:
    pki = Pki(folder)
    counts: Counter[str] = Counter()
    chance = random.Random(runs)
    with MailSystem.running(pki) as system:
        for number in range(OTHERS):
            system.put(_other(chance, number))
        options = _options(system, pki, folder)
        for monitor in _MONITORS:  # the first run of each waits for its own probe
            counts["wrong results"] += (
                check(*options, "--round-trip-id", monitor, timeout=60).code != 0
            )
        others, probes = _contents(system)
        for number in range(runs):
            if number % 20 == 7:
                system.send(_other(chance, OTHERS + number))
                arrived = _arrived(system, others)
                counts["other mail lost"] += not arrived
                others |= arrived
            monitor = _MONITORS[number % 2]
            done = check(*options, "--round-trip-id", monitor, timeout=60)
            is_good = done.code == 0 and done.perfdata.get("probes_pending") == "1;;;0"
            if not is_good:
                print(f"  {done.out}", flush=True)
            sent = _arrived(system, probes)
            now_others, probes = _contents(system)
            counts["wrong results"] += not is_good
            counts["lost"] += not sent
            counts["duplicate"] += max(0, len(sent) - 1)
            counts["leftover"] += max(0, len(probes) - 2 * len(_MONITORS))
            counts["changes"] += sum(now_others.get(name) != others[name] for name in others)
    names = ("wrong results", "lost", "duplicate", "leftover", "other mail lost")
    result = ", ".join(f"{counts[name]} {name}" for name in names)
    result += f"; {counts['changes']} changes in {len(others)} other messages, byte for byte"
    return Figure(what, runs, result, defects=counts.total())


def _options(system: MailSystem, pki: Pki, folder: Path) -> list[str]:
    for name, content in (("key", os.urandom(32).hex()), ("password", PASSWORD)):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(content)
    return [
        *("-H", NAME, "--connect-to", "127.0.0.1", "-S", "-p", str(system.tls)),
        *("--ca-file", str(pki.ca_file), "-U", "monitor"),
        *("--password-file", str(folder / "password")),
        *("--round-trip-to", mail_system.ADDRESS, "--smtp-from", mail_system.SENDER),
        *("--round-trip-key-file", str(folder / "key"), "--smtp-host", NAME),
        *("--smtp-connect-to", "127.0.0.1", "--smtp-port", str(system.smtp)),
    ]


def _other(chance: random.Random, number: int) -> bytes:
    """Return other mail; some of it looks like a probe."""
    forged = f"{FIELD}: v=1; id={chance.choice(_MONITORS)}; mac={chance.randbytes(32).hex()}\n"
    lines = [f".{chance.randbytes(chance.randrange(30)).hex()}\n" for _ in range(number % 40)]
    header = f"From: a@example.test\nTo: {mail_system.ADDRESS}\nX-Number: {number}\n"
    return f"{header}{forged * (number % 3 == 0)}\n{''.join(lines)}".encode()


Contents = dict[str, tuple[str, bytes]]
"""Flags and contents of messages, by the names of their files without flags."""


def _contents(system: MailSystem) -> tuple[Contents, Contents]:
    """Return the other messages, and the probes."""
    others: Contents = {}
    probes: Contents = {}
    for part in ("cur", "new"):
        for name, text in system.files(f"{mail_system.MAILDIR}/{part}").items():
            base, _, flags = name.partition(":2,")
            (others if b"X-Number: " in text else probes)[base] = flags, text
    return others, probes


def _arrived(system: MailSystem, known: Contents) -> Contents:
    """Wait for a message of the kind of those known, and return what has arrived."""
    is_other = any(b"X-Number: " in text for _, text in known.values())
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        found = _contents(system)[0 if is_other else 1]
        new = {name: each for name, each in found.items() if name not in known}
        if new:
            return new
        time.sleep(0.02)
    return {}
