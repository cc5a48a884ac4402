"""Mailboxes of real servers, with old and new mail, before and after checks that log in.

The comparison covers every file of the mailbox: name (which has the flags in a maildir), contents,
mode, owner and modification time, and the set of files. If a server itself writes at every login,
the exact bytes are listed here.
"""

from __future__ import annotations

import os
import poplib
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from email.utils import formatdate
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

from tests.pki.certificates import Pki
from tests.servers import dovecot
from tests.servers.chroots import MESSAGE, NAME, PASSWORD, TlsServer
from tests.servers.courier import Courier
from tests.servers.cyrus import Cyrus
from tests.support.command import run

USER = "monitor"


class File(NamedTuple):
    mode: int
    owner: int
    changed: int
    """Nanoseconds since the epoch."""
    content: bytes


Snapshot = dict[str, File]

Owns = Callable[[str, File, File], bool]
"""Whether a difference is one that the server itself writes at a login."""


class Mailbox(NamedTuple):
    """A mailbox of a running server, and how to log in to it."""

    server: str
    address: str
    plain: int
    tls: int
    password: str
    mechanisms: Sequence[str]
    folders: Sequence[Path]
    left_out: Sequence[str]
    """Names of files that do not belong to a mailbox."""
    jobs: int
    """Parallel sessions that it allows on one mailbox."""
    flags: Callable[[], list[str]]
    """Return the flags of each message, to show whether it was read."""
    by_server: Owns = lambda *_: False

    def snapshot(self) -> Snapshot:
        found = {}
        for folder in self.folders:
            for path in sorted(folder.rglob("*")):
                if path.is_file() and path.name not in self.left_out:
                    status = path.stat()
                    found[str(path.relative_to(folder.parent))] = File(
                        status.st_mode, status.st_uid, status.st_mtime_ns, path.read_bytes()
                    )
        return found

    def differences(self, before: Snapshot, after: Snapshot) -> list[str]:
        """Return the changes, except those that the server itself writes."""
        found = []
        for name in sorted({*before, *after}):
            was, is_now = before.get(name), after.get(name)
            if was is None or is_now is None:
                found.append(f"{name} {'is new' if was is None else 'is gone'}")
            elif was != is_now and not self.by_server(name, was, is_now):
                found.append(f"{name} has changed")
        return found


def settle(mailbox: Mailbox, pki: Pki, folder: Path) -> int:
    """Log in until the server no longer writes anything; return the number of logins.

    In the first sessions of any client a server lists new mail, and stores the time.
    """
    before = mailbox.snapshot()
    for number in range(1, 10):
        check(mailbox, pki, folder, single=1, swept=0)
        time.sleep(1.1)  # some servers compare directory times in seconds
        after = mailbox.snapshot()
        if not mailbox.differences(before, after):
            return number
        before = after
    raise AssertionError("the mailbox changes at every login")


def services(mailbox: Mailbox, count: int) -> Iterator[list[str]]:
    """Yield the options of logins: each mechanism, with implicit TLS and with STLS."""
    links = [["ssl", f"port={mailbox.tls}"], ["starttls", f"port={mailbox.plain}"]]
    methods = [[f"auth={how}", *link] for how in ("auto", *mailbox.mechanisms) for link in links]
    for method, _ in zip(cycle(methods), range(count), strict=False):
        yield method


def login(mailbox: Mailbox, pki: Pki, folder: Path) -> list[str]:
    """Return the options of a login, without their dashes."""
    secret = folder / f"password-{mailbox.server}"
    secret.touch(mode=0o600)
    secret.write_text(f"{mailbox.password}\n")
    return [
        *(f"connect-to={mailbox.address}", f"ca-file={pki.ca_file}"),
        *(f"username={USER}", f"password-file={secret}"),
    ]


def check(mailbox: Mailbox, pki: Pki, folder: Path, *, single: int, swept: int) -> tuple[int, int]:
    """Log in by single runs and by a sweep; return the numbers of successful logins and `in-use`.

    Raises AssertionError for any other outcome.
    """
    common = [*login(mailbox, pki, folder), "oldest-warning=99999d", "state=no-message=ok"]
    worked = in_use = 0
    for method in services(mailbox, single):
        done = run("-H", NAME, *(f"--{word}" for word in (*common, *method)))
        assert done.code == 0, done.out
        assert f", user {USER} logged in, " in done.line
        worked += 1
    if swept:
        sections = (
            f"[{NAME}!{number}]\n" + "\n".join(method) + "\n"
            for number, method in enumerate(services(mailbox, swept))
        )
        file = folder / f"sweep-{mailbox.server}.ini"
        file.write_text("[DEFAULT]\n" + "\n".join(common) + "\n" + "".join(sections))
        jobs = str(mailbox.jobs)
        arguments = ("--jobs", jobs, "--jobs-per-address", jobs, "--run-timeout", "500", "-v")
        done = run("--sweep", str(file), *arguments, timeout=600)
        # A count of 0 is left out.
        counts = Counter(
            {
                label: int(value.partition(";")[0])
                for label, value in done.perfdata.items()
                if label != "time"
            }
        )
        assert counts["critical"] == counts["unknown"] == counts["not_done"] == 0, done.out
        in_use = counts["warning"]
        assert done.out.count("[IN-USE]") >= min(in_use, 1), done.out
        worked += counts["ok"]
    return worked, in_use


# --- maildirs --------------------------------------------------------------------------------

FLAGS = ("", "S", "RS", "FS", "", "")
"""Seen, replied to, flagged; by number. The last two were never listed."""

FIRST_ARRIVAL = 1_700_000_000
"""Of the first message; the others arrived an hour apart."""


def _fill(folder: Path) -> None:
    """Add mail with flags, and mail that was never listed."""
    shutil.rmtree(folder / "cur")
    (folder / "cur").mkdir()
    text = MESSAGE.replace("\r", "")
    for number, flags in enumerate(FLAGS):
        name = f"170000000{number}.M{number}P1.host"
        file = folder / (f"cur/{name}:2,{flags}" if number < 4 else f"new/{name}")
        received = f"Received: from a by b; {formatdate(FIRST_ARRIVAL + 3600 * number)}\n"
        file.write_text(f"{received}X-Number: {number}\n{text}")
    owner = folder.stat()
    for path in (folder / "cur", *folder.glob("*/*")):
        os.chown(path, owner.st_uid, owner.st_gid)
        path.chmod(0o700 if path.is_dir() else 0o600)
    # Long ago, so that a change now is visible.
    for path in folder.glob("*/*"):
        os.utime(path, ns=(10**18, 10**18))


def _in_names(folder: Path) -> list[str]:
    """Return the flags of each message of a maildir, by number."""
    names = [path.name for part in ("cur", "new") for path in (folder / part).iterdir()]
    return [name.partition(":2,")[2] for name in sorted(names)]


@contextmanager
def of_dovecot(pki: Pki) -> Iterator[Mailbox]:
    with dovecot.running(pki) as server:
        folder = server.folder / "mail" / USER
        _fill(folder)
        yield Mailbox(
            "dovecot",
            dovecot.PERSONAS["good"].address,
            server.plain,
            server.tls,
            dovecot.PASSWORDS[USER],
            ("user", "apop", "plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256"),
            [folder],
            [],
            jobs=16,
            flags=lambda: _in_names(folder),
        )


@contextmanager
def of_courier(pki: Pki) -> Iterator[Mailbox]:
    with Courier.running(pki) as server:
        folder = server.root / "home/monitor/Maildir"
        _fill(folder)
        yield _in_chroot(server, [folder], 16, lambda: _in_names(folder))


# --- Cyrus -----------------------------------------------------------------------------------

_LAST_LOGIN = range(40, 44)
_CHECKSUM = range(156, 160)


def _last_login(name: str, was: File, is_now: File) -> bool:
    """Return whether a difference is the time of the last POP3 login, which Cyrus keeps.

    It is in the header of the index, whose checksum changes with it.
    """
    if not name.endswith("/cyrus.index") or len(was.content) != len(is_now.content):
        return False
    pairs = enumerate(zip(was.content, is_now.content, strict=True))
    changed = {at for at, (one, other) in pairs if one != other}
    same_else = was._replace(changed=0, content=b"") == is_now._replace(changed=0, content=b"")
    return same_else and changed <= {*_LAST_LOGIN, *_CHECKSUM}


@contextmanager
def of_cyrus(pki: Pki) -> Iterator[Mailbox]:
    """Its mail and indexes, and its other data about mailboxes: quotas, lists, seen states.

    One message is read first, so that one has a flag and two have none.
    """
    with Cyrus.running(pki) as server:
        client = poplib.POP3("127.0.0.1", server.plain, timeout=10)
        client.user(USER)
        client.pass_(PASSWORD)
        client.retr(1)
        client.quit()
        folders = [server.root / "var/spool/cyrus", server.root / "var/lib/cyrus"]

        def flags() -> list[str]:
            told = server.run("/usr/lib/cyrus/bin/mbexamine", f"user.{USER}")
            return re.findall(r"SYSTEMFLAGS: *(.*)", told)

        mailbox = _in_chroot(server, folders, 4, flags)
        yield mailbox._replace(left_out=["tls_sessions.db"], by_server=_last_login)


def _in_chroot(
    server: TlsServer, folders: Sequence[Path], jobs: int, flags: Callable[[], list[str]]
) -> Mailbox:
    return Mailbox(
        server.package.partition("-")[0],
        "127.0.0.1",
        server.plain,
        server.tls,
        PASSWORD,
        server.mechanisms,
        folders,
        [],
        jobs,
        flags,
    )


MAILBOXES = {"dovecot": of_dovecot, "courier": of_courier, "cyrus": of_cyrus}
