"""A private Icinga 2 with the shipped CheckCommand: nothing of the machine's own is read."""

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
import urllib.parse
import urllib.request
from pathlib import Path
from typing import IO, Any, NamedTuple

import pytest
from typing_extensions import Self

from tests.command import COMMAND

TEMPLATES = Path(__file__).parent.parent / "icinga-templates" / "icinga2"
PROGRAM = shutil.which("icinga2", path=f"{os.environ['PATH']}:/usr/sbin")

MASTER = "localhost"  # the name in the certificate of its API too
AGENT = "agent"

CONFIG = """
const NodeName = "{name}"
const PluginDir = "{plugins}"
include <itl>
include <plugins>
include "{templates}/*.conf"
object Endpoint "{master}" {{ }}
object Endpoint "{agent}" {{ host = "127.0.0.1", port = {agent_port} }}
object Zone "{master}" {{ endpoints = [ "{master}" ] }}
object Zone "{agent}" {{ endpoints = [ "{agent}" ], parent = "{master}" }}
object CheckerComponent "checker" {{ }}
object ApiListener "api" {{ bind_host = "127.0.0.1", bind_port = {port}, accept_commands = true }}
object ApiUser "test" {{
  password = "{password}"
  permissions = [ "objects/query/*", "actions/reschedule-check" ]
}}
"""


class Result(NamedTuple):
    """What Icinga made of one run of the plugin."""

    state: int
    output: str
    perfdata: list[str]
    command: list[str]
    everything: str

    @property
    def line(self) -> str:
        return self.output.partition("\n")[0]


class Icinga:
    """A certificate authority, and the nodes that trust it: a master, an agent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {MASTER: _free_port(), AGENT: _free_port()}
        self.password = secrets.token_hex()
        self._pki("new-ca")
        for name in self.ports:
            files = [f"--{what}={self.certificate(name, what)}" for what in ("key", "csr", "cert")]
            self._pki("new-cert", f"--cn={name}", *files[:2])
            self._pki("sign-csr", *files[1:])

    @property
    def ca_file(self) -> Path:
        return self.folder / "ca" / "ca.crt"

    def certificate(self, name: str, what: str) -> Path:
        return self.folder / f"{name}.{what}"

    def node(self, objects: str = "", name: str = MASTER) -> Node:
        """Return a node, not yet started, with these hosts and services."""
        return Node(self, name, objects)

    def _pki(self, *arguments: str) -> None:
        icinga2("pki", *arguments, f"-DDataDir={self.folder}").check_returncode()


class Node:
    """One Icinga 2 process, running inside the context."""

    def __init__(self, icinga: Icinga, name: str, objects: str) -> None:
        self._icinga = icinga
        self._name = name
        self.folder = icinga.folder / secrets.token_hex(4)
        folders = {
            constant: self.folder / constant
            for constant in ("DataDir", "CacheDir", "LogDir", "SpoolDir", "InitRunDir", "ZonesDir")
        }
        certificates = folders["DataDir"] / "certs"
        for folder in (*folders.values(), certificates):
            folder.mkdir(parents=True)
        shutil.copy(icinga.ca_file, certificates)
        shutil.copy(icinga.certificate(name, "key"), certificates)
        shutil.copy(icinga.certificate(name, "cert"), certificates / f"{name}.crt")
        config = self.folder / "icinga2.conf"
        config.write_text(
            CONFIG.format(
                name=name,
                plugins=COMMAND.parent,
                templates=TEMPLATES,
                master=MASTER,
                agent=AGENT,
                agent_port=icinga.ports[AGENT],
                port=icinga.ports[name],
                password=icinga.password,
            )
            + objects
        )
        self._arguments = [
            "daemon",
            f"--config={config}",
            f"-DConfigDir={self.folder}",
            f"-DRunAsUser={pwd.getpwuid(os.geteuid()).pw_name}",
            f"-DRunAsGroup={grp.getgrgid(os.getegid()).gr_name}",
            *(f"-D{constant}={folder}" for constant, folder in folders.items()),
        ]
        self._log = self.folder / "log"

    def validate(self) -> subprocess.CompletedProcess[str]:
        return icinga2(*self._arguments, "--validate")

    def __enter__(self) -> Self:
        assert PROGRAM
        with self._log.open("wb") as log:
            # A session of its own: Icinga is three processes, all to be ended.
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
            self._kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._kill()

    def check(self, service: str) -> Result:
        """Run the check of `host!service` now, and return its result."""
        asked = time.time()
        path = f"services/{urllib.parse.quote(service, safe='')}"

        def result() -> Any:
            found = self._attributes(path)["last_check_result"]
            return found if found and found["schedule_start"] >= asked else None

        self._request(
            "actions/reschedule-check", {"type": "Service", "service": service, "force": True}
        )
        found = self._wait_for(result, f"a result of {service}")
        return Result(
            state=int(found["state"]),
            output=found["output"],
            perfdata=found["performance_data"],
            command=found["command"],
            everything=json.dumps(found),
        )

    def wait_for_agent(self) -> None:
        self._wait_for(lambda: self._attributes(f"endpoints/{AGENT}")["connected"], "the agent")

    def _answers(self) -> bool:
        assert self._process.poll() is None, self._log.read_text()
        try:
            self._request("objects/zones")
        except OSError:
            return False
        return True

    def _attributes(self, path: str) -> dict[str, Any]:
        results = self._request(f"objects/{path}")
        attributes: dict[str, Any] = results[0]["attrs"]
        return attributes

    def _request(self, path: str, body: object = None) -> list[dict[str, Any]]:
        request = urllib.request.Request(
            f"https://{MASTER}:{self._icinga.ports[self._name]}/v1/{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/json",
                "Authorization": "Basic "
                + base64.b64encode(f"test:{self._icinga.password}".encode()).decode(),
            },
        )
        context = ssl.create_default_context(cafile=self._icinga.ca_file)
        context.check_hostname = self._name == MASTER
        answer: IO[bytes]
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            results: list[dict[str, Any]] = json.load(answer)["results"]
            return results

    def _wait_for(self, condition: Any, what: str, seconds: float = 20) -> Any:
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, f"waited for {what}\n{self._log.read_text()}"
            time.sleep(0.05)
        return value

    def _kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def icinga2(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run an Icinga 2 command to its end; output and log come together."""
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


def private_icinga(folder: Path) -> Icinga:
    """Return an Icinga 2, or skip visibly; where it was to be installed, its absence fails."""
    if PROGRAM is None:
        message = "Icinga 2 is not installed (make test-systems INSTALL=1, as root on Debian)"
        if os.environ.get("CI") == "true" or os.environ.get("INSTALL") == "1":
            pytest.fail(message)
        pytest.skip(message)
    return Icinga(folder)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port
