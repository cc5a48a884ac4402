"""A private Nagios Core 4 with the shipped objects: independent of the machine's configuration."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import TypeVar

import pytest
from typing_extensions import Self

from tests.support.command import COMMAND

TEMPLATES = Path(__file__).parent.parent.parent / "icinga-templates" / "nagios"
SAMPLE = (TEMPLATES / "pop3_hosts.cfg.example").read_text()
PROGRAM = shutil.which("nagios4", path=f"{os.environ['PATH']}:/usr/sbin")

# A minute of Nagios is a second here, so that the shipped intervals can stay unchanged.
CONFIG = """
log_file={folder}/nagios.log
cfg_dir={templates}
cfg_file={folder}/hosts.cfg
{more}
query_socket={folder}/nagios.qh
resource_file={folder}/resource.cfg
object_cache_file={folder}/objects.cache
precached_object_file={folder}/objects.precache
status_file={folder}/status.dat
status_update_interval=1
nagios_user={user}
nagios_group={user}
check_external_commands=0
lock_file={folder}/nagios.pid
temp_file={folder}/nagios.tmp
temp_path={folder}/tmp
check_result_path={folder}/results
check_result_reaper_frequency=1
retain_state_information=0
log_rotation_method=n
use_syslog=0
interval_length=1
service_inter_check_delay_method=n
check_workers=4
illegal_macro_output_chars=`~$&|'"<>
"""

# Replaces the mail system: each mail becomes a file.
SENDMAIL = """#!/bin/sh
cat >"{folder}/mail/.$$"
mv "{folder}/mail/.$$" "{folder}/mail/$(date +%s%N).$$"
"""

T = TypeVar("T")


class Nagios:
    """One Nagios, which runs inside the context."""

    def __init__(self, folder: Path, hosts: str, more: str = "") -> None:
        if PROGRAM is None:
            asked_for = os.environ.get("CI") == "true" or os.environ.get("INSTALL") == "1"
            message = "Nagios is missing (make test-systems INSTALL=1, as root on Debian)"
            (pytest.fail if asked_for else pytest.skip)(message)
        self._folder = folder
        for name in ("tmp", "results", "mail", "bin"):
            (folder / name).mkdir()
        sendmail = folder / "bin" / "sendmail"
        sendmail.write_text(SENDMAIL.format(folder=folder))
        sendmail.chmod(0o755)
        (folder / "hosts.cfg").write_text(hosts)
        (folder / "resource.cfg").write_text(f"$USER1$={COMMAND.parent}\n")
        self._config = folder / "nagios.cfg"
        user = pwd.getpwuid(os.geteuid()).pw_name
        self._config.write_text(
            CONFIG.format(folder=folder, templates=TEMPLATES, more=more, user=user)
        )

    def validate(self) -> str:
        """Return the output of `nagios -v`."""
        assert PROGRAM
        return subprocess.run(
            [PROGRAM, "-v", self._config],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        ).stdout

    def __enter__(self) -> Self:
        assert PROGRAM
        with (self._folder / "stdout").open("wb") as log:
            self._process = subprocess.Popen(
                [PROGRAM, self._config],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PATH": f"{self._folder}/bin:{os.environ['PATH']}"},
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def service(self, host: str, description: str) -> Mapping[str, str]:
        """Return a service from status.dat, or nothing before Nagios has written it."""
        with suppress(OSError):
            for block in (self._folder / "status.dat").read_text().split("\n\n"):
                lines = (line.strip().partition("=") for line in block.splitlines())
                values = {name: value for name, equals, value in lines if equals}
                if (values.get("host_name"), values.get("service_description")) == (
                    host,
                    description,
                ) and "servicestatus {" in block:
                    return values
        return {}

    def wait_for_state(self, host: str, description: str, state: int) -> Mapping[str, str]:
        """Wait until a service has been checked and has this hard state."""

        def found() -> Mapping[str, str] | None:
            status = self.service(host, description)
            wanted = {"has_been_checked": "1", "current_state": f"{state}", "state_type": "1"}
            return status if wanted.items() <= status.items() else None

        return self.wait_for(found, f"state {state} of {host}!{description}")

    def mails(self) -> list[EmailMessage]:
        """Return the mails sent so far, oldest first."""
        parser = BytesParser(policy=policy.default)
        paths = sorted(path for path in (self._folder / "mail").iterdir() if path.name[0] != ".")
        return [parser.parsebytes(path.read_bytes()) for path in paths]

    def wait_for(self, condition: Callable[[], T | None], what: str) -> T:
        end = time.monotonic() + 60
        while not (value := condition()):
            if time.monotonic() > end or self._process.poll() is not None:
                names = ("stdout", "nagios.log", "status.dat")
                files = [self._folder / name for name in names]
                said = "\n".join(path.read_text() for path in files if path.exists())
                raise AssertionError(f"waited for {what}\n{said}")
            time.sleep(0.1)
        return value
