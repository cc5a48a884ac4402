"""A private Exim that delivers into the maildir of a private Dovecot."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers.chroots import free_ports, is_open
from tests.servers.dovecot import PATIENCE, Dovecot

BINARY = shutil.which("exim4", path=os.environ.get("PATH", "") + ":/usr/sbin")

_CONFIGURATION = """
spool_directory = {folder}/spool
log_file_path = {folder}/%slog
pid_file_path = {folder}/pid
primary_hostname = mx.example.test
local_interfaces = 127.0.0.1
daemon_smtp_ports = {port}
deliver_drop_privilege = true
acl_smtp_rcpt = only_ours
begin acl
only_ours:
  accept domains = example.test
  deny
begin routers
ours:
  driver = accept
  transport = maildir
begin transports
maildir:
  driver = appendfile
  maildir_format
  directory = {maildir}
  create_directory = false
  directory_mode = 0777
  mode = 0666
  delivery_date_add
  envelope_to_add
  return_path_add
"""


@contextmanager
def running(dovecot: Dovecot, user: str) -> Iterator[int]:
    """Run Exim, and yield its port; mail for any address goes into the mailbox of `user`."""
    if BINARY is None or os.geteuid():
        pytest.skip("Exim is not installed (exim4-daemon-light), or this is not root")
    account = pwd.getpwnam("Debian-exim")
    maildir = dovecot.folder / "mail" / user
    for path in (maildir, *(maildir / part for part in ("cur", "new", "tmp"))):
        path.chmod(0o777)
    folder = Path(tempfile.mkdtemp(prefix="exim-"))
    try:
        folder.chmod(0o755)
        for part in ("spool", "."):
            (folder / part).mkdir(exist_ok=True)
            os.chown(folder / part, account.pw_uid, account.pw_gid)
        [port] = free_ports(1)
        file = folder / "exim.conf"
        file.write_text(_CONFIGURATION.format(folder=folder, port=port, maildir=maildir))
        with subprocess.Popen(
            [BINARY, "-C", str(file), "-bdf"], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            try:
                deadline = time.monotonic() + PATIENCE
                while not is_open(port):
                    assert process.poll() is None, process.stderr and process.stderr.read()
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
                yield port
            finally:
                process.kill()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
