"""Servers in a root of their own, because their packages exclude each other's.

`unpack-server` has put the files of a server and of all that it needs into a folder. Here they are
linked into a new root, and what the packages' scripts would do (users, folders) is done by hand.
Nothing is mounted. All processes live in a PID namespace that ends when we do.
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
from tests.servers.dovecot import PATIENCE, PORTS

UNPACKED = Path(__file__).parent.parent.parent / ".servers"

NAME = "pop.example.test"
PASSWORD = "s3cret pass"
MESSAGES = 3
MESSAGE = "From: a@example.test\r\nSubject: three of these\r\n\r\nbody\r\n.dot line\r\n"

# Of those that Debian gives to nobody: names and numbers hold only inside of the root.
DAEMON, MAIL = 61_000, 61_001

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


class Server(ABC):
    """A server that runs, as the user of the tests sees it."""

    package: ClassVar[str]
    """Also the name of its folder."""
    port_count: ClassVar[int]

    def __init__(self, root: Path, version: tuple[int, ...], ports: list[int]) -> None:
        self.root = root
        self.version = version
        self.ports = ports
        self.plain = ports[0]

    @abstractmethod
    def furnish(self, pki: Pki) -> None:
        """Write what it needs into its root."""

    @abstractmethod
    def script(self) -> str:
        """Return shell commands that start it in the background, logging to standard error."""

    def settle(self) -> None:  # noqa: B027  # most have nothing to do
        """Do what can only be done when it runs."""

    @abstractmethod
    def mailbox(self) -> dict[str, bytes]:
        """Every file of the mailbox of `monitor`, with its bytes."""

    @abstractmethod
    def messages(self) -> list[bytes]:
        """The messages in there, as they go over the wire."""

    def command(self, *words: object) -> str:
        """Return the shell command that runs these inside of the root."""
        return shlex.join(["chroot", str(self.root), *map(str, words)])

    def run(self, *words: object, stdin: str = "") -> str:
        """Run a command inside of the root, and return what it prints."""
        done = subprocess.run(
            ["chroot", self.root, *map(str, words)],
            input=stdin,
            stdout=subprocess.PIPE,
            text=True,
            env=_ENVIRONMENT,
            check=True,
        )
        return done.stdout

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
        """Every file below, with its bytes."""
        top = self.root / path
        return {str(p.relative_to(top)): p.read_bytes() for p in top.rglob("*") if p.is_file()}

    def log(self) -> str:
        """What the server has logged so far."""
        return (self.root / "log").read_text(errors="replace")

    def log_since(self, before: str, expected: str) -> str:
        """What was logged after `before`, once `expected` is in it: the log comes a bit late."""
        deadline = time.monotonic() + PATIENCE
        while expected not in (new := self.log()[len(before) :]):
            assert time.monotonic() < deadline, f"not in the log: {expected}\n{new}"
            time.sleep(0.02)
        return new

    @classmethod
    @contextmanager
    def running(cls, pki: Pki) -> Iterator[Self]:
        """Run one; gone, and its folder with it, when the block ends."""
        unpacked = _unpacked(cls.package)
        # Beside what was unpacked, because links do not lead into another file system.
        root = Path(tempfile.mkdtemp(prefix=f"{cls.package}.run.", dir=UNPACKED))
        try:
            _link(unpacked / "root", root)
            server = cls(root, _version(unpacked, cls.package), _free_ports(cls.port_count))
            server.furnish(pki)
            with _syslog(root), _started(server):
                server.settle()
                yield server
        finally:
            shutil.rmtree(root)


class TlsServer(Server):
    """One with much to choose from."""

    greeting: ClassVar[str]
    mechanisms: ClassVar[tuple[str, ...]]
    """All that it has of ours, by the names of `--auth`."""
    capabilities: ClassVar[str]
    """Some that it offers inside TLS, as `--require-capa` takes them."""
    rejection: ClassVar[str]
    """What is in its log once for every rejected login."""

    def __init__(self, root: Path, version: tuple[int, ...], ports: list[int]) -> None:
        super().__init__(root, version, ports)
        self.tls, self.strict = ports[1:3]
        """`strict` is a plain port that takes no password before TLS."""


def _unpacked(package: str) -> Path:
    """Where the files are, or a visible skip; where they were to be installed, a failure."""
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


def _version(unpacked: Path, package: str) -> tuple[int, ...]:
    """The upstream version, by the name of the package's file."""
    packages = (unpacked / "packages").read_text()
    found = re.search(rf"^{package}_(?:\d+%3a)?(\d+(?:\.\d+)*)", packages, re.M)
    assert found, packages
    return tuple(map(int, found[1].split(".")))


def _link(unpacked: Path, root: Path) -> None:
    """Copy what may be written to, and link the rest."""
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


def _free_ports(count: int) -> list[int]:
    """Return ports that nobody has: some of these servers do not say that they got none."""
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
    # The shell is process 1 of the namespace: when it has read the end of its input, because we
    # closed it or are dead, the kernel ends the others.
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
            while not _is_open(port):
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


def _is_open(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), PATIENCE):
            return True
    except ConnectionRefusedError:
        return False


@contextmanager
def _syslog(root: Path) -> Iterator[None]:
    """Add to the log what is sent to the root's /dev/log."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as submit_target:
        # The path of a checkout may be longer than an address of this family.
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
