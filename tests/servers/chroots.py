"""Servers in separate root directories, because their packages conflict.

`unpack-server` has unpacked a server and its dependencies into a directory. This module links the
files into a new root, and does what the packages' scripts would do (users, directories). Nothing is
mounted. All processes live in a PID namespace that ends with the tests.
"""

from __future__ import annotations

import os
import random
import re
import shlex
import shutil
import socket
import stat
import subprocess
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import ClassVar

import pytest
from typing_extensions import Self

from tests.pki.certificates import Pki
from tests.servers.dovecot import PATIENCE, PORTS, LoggingServer

UNPACKED = Path(__file__).parent.parent.parent / os.environ.get("SERVERS", ".servers")

NAME = "pop.example.test"
PASSWORD = "s3cret pass"
MESSAGES = 3
MESSAGE = "From: a@example.test\r\nSubject: three of these\r\n\r\nbody\r\n.dot line\r\n"

# Not assigned by Debian; names and numbers are valid only inside the root.
DAEMON, MAIL = 61_000, 61_001

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


class Server(LoggingServer, ABC):
    """A running server."""

    package: ClassVar[str]
    """Also the name of its directory."""
    port_count: ClassVar[int]

    def __init__(self, root: Path, ports: list[int]) -> None:
        self.root = root
        self.ports = ports
        self.plain = ports[0]

    @abstractmethod
    def furnish(self, pki: Pki) -> None:
        """Write its configuration, users and mail into its root."""

    @abstractmethod
    def script(self) -> str:
        """Return shell commands that start it in the background, logging to standard error."""

    def settle(self) -> None:  # most have nothing to do
        """Do what requires the running server."""

    @abstractmethod
    def mailbox(self) -> dict[str, bytes]:
        """Every file of the mailbox of `monitor`, with its contents."""

    @abstractmethod
    def messages(self) -> list[bytes]:
        """The messages of that mailbox, as sent by POP3."""

    def command(self, *words: object) -> str:
        """Return the shell command that runs this in the root."""
        return shlex.join(["chroot", str(self.root), *map(str, words)])

    def run(self, *words: object, stdin: str = "") -> str:
        """Run a command in the root, and return its output."""
        done = subprocess.run(
            ["chroot", self.root, *map(str, words)],
            input=stdin,
            stdout=subprocess.PIPE,
            text=True,
            env=_ENVIRONMENT,
            check=True,
        )
        return done.stdout

    def version(self, package: str) -> tuple[int, ...]:
        """Return the upstream version from the file name of an unpacked package."""
        packages = (UNPACKED / self.package / "packages").read_text()
        found = re.search(rf"^{package}_(?:\d+%3a)?(\d+(?:\.\d+)*)", packages, re.M)
        assert found, packages
        return tuple(map(int, found[1].split(".")))

    def write(self, path: str, text: str | bytes, owner: int = 0, mode: int = 0o644) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode() if isinstance(text, str) else text)
        self.own(path, owner, mode)

    def folder(self, path: str, owner: int = 0, mode: int = 0o755) -> None:
        (self.root / path).mkdir(parents=True, exist_ok=True)
        self.own(path, owner, mode)

    def own(self, path: str, owner: int, mode: int) -> None:
        os.chown(self.root / path, owner, owner)
        (self.root / path).chmod(mode)

    def files(self, path: str) -> dict[str, bytes]:
        """Every file below a path, with its contents."""
        top = self.root / path
        return {str(p.relative_to(top)): p.read_bytes() for p in top.rglob("*") if p.is_file()}

    def log(self) -> str:
        """The log of the server so far."""
        return (self.root / "log").read_text(errors="replace")

    @classmethod
    @contextmanager
    def running(cls, pki: Pki) -> Iterator[Self]:
        """Run a server for the time of the context, then remove its root."""
        unpacked = _unpacked(cls.package)
        # Beside the unpacked files, because hard links cannot cross file systems.
        root = Path(tempfile.mkdtemp(prefix=f"{cls.package}.run.", dir=UNPACKED))
        try:
            _link(unpacked / "root", root)
            server = cls(root, free_ports(cls.port_count))
            server.furnish(pki)
            with _syslog(root), _started(server):
                server.settle()
                yield server
        finally:
            shutil.rmtree(root)


class TlsServer(Server):
    """A server with TLS and several login methods."""

    greeting: ClassVar[str]
    mechanisms: ClassVar[tuple[str, ...]]
    """The login methods that it supports, by their names for `--auth`."""
    capabilities: ClassVar[str]
    """Some capabilities inside TLS, in the syntax of `--require-capa`."""
    rejection: ClassVar[str]
    """The text that it logs once for each rejected login."""

    def __init__(self, root: Path, ports: list[int]) -> None:
        super().__init__(root, ports)
        self.tls, self.strict = ports[1:3]
        """`strict` is a plain-text port that refuses passwords before TLS."""


def _unpacked(package: str) -> Path:
    """Return the unpacked files. Skip the test if they are missing, or fail it in CI."""
    folder = UNPACKED / package
    problem = ""
    if not folder.is_dir():
        problem = "is not unpacked (make test-systems INSTALL=1, as root on Debian)"
    elif os.geteuid():
        problem = "needs root"
    else:
        done = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, check=False)
        if done.returncode:
            problem = f"needs a PID namespace: {done.stderr.strip()}"
    if problem:
        asked_for = os.environ.get("CI") == "true" or os.environ.get("INSTALL") == "1"
        (pytest.fail if asked_for else pytest.skip)(f"{package} {problem}")
    return folder


def _link(unpacked: Path, root: Path) -> None:
    """Copy writable files, and link the rest."""
    root.chmod(0o755)
    subprocess.run(["cp", "-al", unpacked / "usr", root], check=True)
    others = [path for path in unpacked.iterdir() if path.name != "usr"]
    subprocess.run(["cp", "-a", *others, root], check=True)
    for name, mode in (("dev", 0o755), ("run", 0o755), ("tmp", 0o1777)):
        (root / name).mkdir(exist_ok=True)
        (root / name).chmod(mode)
    for name in ("null", "urandom"):
        os.mknod(root / "dev" / name, stat.S_IFCHR, os.stat(f"/dev/{name}").st_rdev)
        (root / "dev" / name).chmod(0o666)


def free_ports(count: int) -> list[int]:
    """Return unused ports: some of these servers do not report that a port is in use."""
    ports: list[int] = []
    for port in random.sample(PORTS, len(PORTS)):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            ports.append(port)
        if len(ports) == count:
            break
    return ports


_UNSHARE = ["unshare", "--pid", "--fork", "--kill-child"]


@contextmanager
def _started(server: Server) -> Iterator[None]:
    # The shell is process 1 of the namespace: when it reads the end of its input, because the test
    # has closed it or died, it exits, and the kernel kills the other processes.
    script = f"{server.script()}\nread -r _"
    with (server.root / "log").open("ab") as log:
        process = subprocess.Popen(
            [*_UNSHARE, "sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=_ENVIRONMENT,
            cwd="/",
        )
    assert process.stdin
    try:
        deadline = time.monotonic() + PATIENCE
        for port in server.ports:
            while not is_open(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{server.package} does not start\n{server.log()}")
                time.sleep(0.02)
        yield
    finally:
        process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
        process.kill()
        process.wait()


def is_open(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE):
            return True
    except ConnectionRefusedError:
        return False


@contextmanager
def _syslog(root: Path) -> Iterator[None]:
    """Append messages sent to /dev/log of the root to the log."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as submit_target:
        # The path of a checkout may be too long for a Unix socket address.
        folder = os.open(root / "dev", os.O_RDONLY)
        submit_target.bind(f"/proc/self/fd/{folder}/log")
        os.close(folder)
        (root / "dev" / "log").chmod(0o666)

        def copy() -> None:
            with (root / "log").open("ab", buffering=0) as log:
                while line := submit_target.recv(8192):
                    log.write(line.rstrip(b"\0\n") + b"\n")

        thread = threading.Thread(target=copy)
        thread.start()
        try:
            yield
        finally:
            submit_target.shutdown(socket.SHUT_RDWR)
            thread.join()
