"""Private Icinga 2 nodes with the shipped files: independent of the machine's configuration."""

from __future__ import annotations

import base64
import grp
import json
import os
import pwd
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote
from urllib.request import HTTPSHandler, ProxyHandler, build_opener

import pytest
from typing_extensions import Self

from tests.support.command import COMMAND

TEMPLATES = Path(__file__).parent.parent.parent / "icinga-templates" / "icinga2"
PROGRAM = shutil.which("icinga2", path=f"{os.environ['PATH']}:/usr/sbin")

MASTER = "localhost"  # its certificate is also used for HTTPS
AGENT = "agent"

CONFIG = """
const NodeName = "{name}"
const PluginDir = "{plugins}"
include <itl>
include <plugins>
const Pop3Sendmail = "{folder}/sendmail"
{include}
object Endpoint "{master}" {{ {own_address} }}
object Endpoint "{agent}" {{ host = "127.0.0.1", port = {agent_port} }}
object Zone "{master}" {{ endpoints = [ "{master}" ] }}
object Zone "{agent}" {{ endpoints = [ "{agent}" ], parent = "{master}" }}
object Zone "global-templates" {{ global = true }}
object CheckerComponent "checker" {{ }}
object NotificationComponent "notification" {{ }}
object ApiListener "api" {{
  bind_host = "127.0.0.1"
  bind_port = {port}
  accept_commands = true
  accept_config = {accept_config}
}}
object ApiUser "test" {{
  password = "{password}"
  permissions = [ "objects/query/*", "objects/modify/*", "actions/*" ]
}}
"""

# Replaces the mail system: each mail becomes a file.
SENDMAIL = """#!/bin/sh
umask 077
cat >"{folder}/mail/.$$"
mv "{folder}/mail/.$$" "{folder}/mail/$(date +%s%N).$$"
"""

T = TypeVar("T")


class Result(NamedTuple):
    """The check result of one run of the plugin in Icinga."""

    state: int
    output: str
    perfdata: list[str]
    command: list[str]
    everything: dict[str, Any]

    @property
    def line(self) -> str:
        return self.output.partition("\n")[0]


class Icinga:
    """A certificate authority for a master and an agent, and their addresses."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.password = secrets.token_hex()
        self.ports = {MASTER: _free_port(), AGENT: _free_port()}
        self._options = _private(folder)
        self.run("pki", "new-ca")
        for name in self.ports:
            key, request, certificate = (
                f"--{what}={folder / name}.{what}" for what in ("key", "csr", "cert")
            )
            self.run("pki", "new-cert", f"--cn={name}", key, request)
            self.run("pki", "sign-csr", request, certificate)

    def run(self, *arguments: str) -> str:
        """Run an icinga2 command to its end, and return its output."""
        done = _icinga2(*arguments, *self._options)
        assert done.returncode == 0, done.stdout
        return done.stdout

    def node(
        self,
        objects: str = "",
        name: str = MASTER,
        *,
        zones: Mapping[str, str] | None = None,
        plugins: Path = COMMAND.parent,
    ) -> Node:
        """Return a node, not yet running, with these hosts and services.

        With `zones` the shipped files and the objects of each zone are in zones.d of the master;
        the other nodes receive them from it.
        """
        folder = self.folder / secrets.token_hex(4)
        options = _private(folder)
        certificates = folder / "DataDir" / "certs"
        certificates.mkdir()
        shutil.copy(self.folder / "DataDir" / "ca" / "ca.crt", certificates)
        shutil.copy(self.folder / f"{name}.key", certificates)
        shutil.copy(self.folder / f"{name}.cert", certificates / f"{name}.crt")
        sendmail = folder / "sendmail"
        sendmail.write_text(SENDMAIL.format(folder=folder))
        sendmail.chmod(0o755)
        (folder / "mail").mkdir()
        if zones and name == MASTER:
            shutil.copytree(TEMPLATES, folder / "ZonesDir" / "global-templates" / "pop3")
            for zone, text in zones.items():
                (folder / "ZonesDir" / zone).mkdir(exist_ok=True)
                (folder / "ZonesDir" / zone / "hosts.conf").write_text(text)
        config = folder / "icinga2.conf"
        config.write_text(
            CONFIG.format(
                name=name,
                plugins=plugins,
                folder=folder,
                include="" if zones is not None else f'include_recursive "{TEMPLATES}"',
                accept_config=json.dumps(zones is not None),
                master=MASTER,
                # Not used by Icinga itself, but by the Director.
                own_address=f'host = "127.0.0.1", port = {self.ports[name]}'
                if name == MASTER
                else "",
                agent=AGENT,
                agent_port=self.ports[AGENT],
                port=self.ports[name],
                password=self.password,
            )
            + objects
        )
        return Node(self, name, folder, ["daemon", f"--config={config}", *options])


class Node:
    """One Icinga 2, which runs inside the context."""

    def __init__(self, icinga: Icinga, name: str, folder: Path, arguments: list[str]) -> None:
        self.folder = folder
        self.password = icinga.password
        self._url = f"https://{MASTER}:{icinga.ports[name]}/v1"
        tls = ssl.create_default_context(cafile=folder / "DataDir/certs/ca.crt")
        # Python 3.13 is strict by default, and certificates of Icinga's own CA lack extensions.
        tls.verify_flags &= ~ssl.VERIFY_X509_STRICT
        tls.check_hostname = name == MASTER
        user = base64.b64encode(f"test:{icinga.password}".encode()).decode()
        # A proxy from the environment would be used even for localhost.
        self._http = build_opener(ProxyHandler({}), HTTPSHandler(context=tls))
        self._http.addheaders = [("Accept", "application/json"), ("Authorization", f"Basic {user}")]
        self._log = folder / "log"
        self._arguments = arguments

    def validate(self) -> subprocess.CompletedProcess[str]:
        return _icinga2(*self._arguments, "--validate")

    def __enter__(self) -> Self:
        assert PROGRAM
        with self._log.open("wb") as log:
            # Several processes, in their own session, so that all of them can be killed.
            self._process = subprocess.Popen(
                [PROGRAM, *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait_for(self._answers, "the API")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def check(self, service: str) -> Result:
        """Run the check of `host!service` now, and return its result."""
        asked = time.time()
        self.act("reschedule-check", service, force=True)
        # Icinga ignores the request while a check is running.
        return self.next_result(
            service, asked, lambda: self.act("reschedule-check", service, force=True)
        )

    def next_result(
        self, service: str, since: float, remind: Callable[[], None] | None = None
    ) -> Result:
        """Return the first result of a check that was due at `since` or later."""
        reminder = time.monotonic() + 3

        def result() -> dict[str, Any] | None:
            nonlocal reminder
            last: dict[str, Any] | None = self.service(service)["last_check_result"]
            if last and last["schedule_start"] >= since:
                return last
            if remind and time.monotonic() > reminder:
                reminder += 3
                remind()
            return None

        found = self._wait_for(result, f"a result of {service}")
        return Result(
            state=int(found["state"]),
            output=found["output"],
            perfdata=found["performance_data"],
            command=found["command"],
            everything=found,
        )

    def check_until(self, service: str, state: int) -> Result:
        """Run the check of `host!service` until it has this state."""
        return self._wait_for(
            lambda: result if (result := self.check(service)).state == state else None,
            f"state {state} of {service}",
            60,
        )

    def act(self, action: str, service: str, **parameters: object) -> None:
        self._request(f"actions/{action}", {"type": "Service", "service": service, **parameters})

    def service(self, name: str) -> dict[str, Any]:
        """Return the attributes of `host!service`."""
        return self._attributes("services", name)

    def objects(self, kind: str, name: str) -> list[dict[str, Any]]:
        return [found["attrs"] for found in self._request(f"objects/{kind}/{quote(name)}")]

    def services(self) -> list[str]:
        return sorted(found["name"] for found in self._request("objects/services"))

    def change(self, service: str, **attributes: object) -> None:
        """Change attributes of a running service through the API."""
        self._request(f"objects/services/{quote(service)}", {"attrs": attributes})

    def mails(self) -> list[EmailMessage]:
        """Return the mails sent so far, oldest first."""
        parser = BytesParser(policy=policy.default)
        paths = sorted(path for path in (self.folder / "mail").iterdir() if path.name[0] != ".")
        return [parser.parsebytes(path.read_bytes()) for path in paths]

    def wait_for_mails(self, count: int, seconds: float = 20) -> list[EmailMessage]:
        """Wait until this many mails were sent in total."""
        return self._wait_for(
            lambda: mails if len(mails := self.mails()) >= count else None,
            f"{count} mails",
            seconds,
        )

    def wait_for_agent(self) -> None:
        self._wait_for(lambda: self._attributes("endpoints", AGENT)["connected"], "the agent")

    def wait_for_configuration(self, service: str) -> None:
        """Wait until a node that receives its configuration from another one has a service."""

        def knows() -> bool:
            with suppress(OSError):  # it reloads
                return service in self.services()
            return False

        self._wait_for(knows, f"the configuration of {service}", 60)

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        try:
            self._request("objects/zones")
        except OSError:
            return False
        return True

    def _attributes(self, kind: str, name: str) -> dict[str, Any]:
        [found] = self._request(f"objects/{kind}/{quote(name)}")
        attributes: dict[str, Any] = found["attrs"]
        return attributes

    def _request(self, path: str, body: object = None) -> list[dict[str, Any]]:
        data = None if body is None else json.dumps(body).encode()
        with self._http.open(f"{self._url}/{path}", data, timeout=10) as answer:
            results: list[dict[str, Any]] = json.load(answer)["results"]
        return results

    def _wait_for(self, condition: Callable[[], T | None], what: str, seconds: float = 20) -> T:
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, f"waited for {what}\n{self._log.read_text()}"
            time.sleep(0.05)
        return value


def dsl(value: object) -> str:
    """Return a value in the syntax of Icinga's configuration language."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{dsl(key)} = {dsl(it)}" for key, it in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def private_icinga(folder: Path) -> Icinga:
    """Return an Icinga 2. Skip the test if it is missing, or fail it in CI."""
    if PROGRAM is None:
        message = "Icinga 2 is missing (make test-systems INSTALL=1, as root on Debian)"
        if os.environ.get("CI") == "true" or os.environ.get("INSTALL") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return Icinga(folder)


def _private(folder: Path) -> list[str]:
    """Create the directories of one Icinga 2, and return the options that select them."""
    options = [
        f"-DConfigDir={folder}",
        f"-DRunAsUser={pwd.getpwuid(os.geteuid()).pw_name}",
        f"-DRunAsGroup={grp.getgrgid(os.getegid()).gr_name}",
    ]
    for constant in ("DataDir", "CacheDir", "LogDir", "SpoolDir", "InitRunDir", "ZonesDir"):
        (folder / constant).mkdir(parents=True)
        options.append(f"-D{constant}={folder / constant}")
    return options


def _icinga2(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert PROGRAM
    return subprocess.run(
        [PROGRAM, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def _free_port() -> int:
    """Return a port below the ephemeral ports, so that no other test's server uses it."""
    while True:
        port = 20000 + secrets.randbelow(10000)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
