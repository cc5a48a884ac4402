"""A private network for a single command, with its own name servers, hosts and dead addresses.

It uses namespaces of the command's process tree (unshare of util-linux; root is not needed if the
kernel allows user namespaces), so nothing outside is changed.
"""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.support import stopwatch
from tests.support.command import COMMAND, Run, Timed

LOOPBACK = "ip link set lo up"

# 192.0.2.0/24 and 2001:db8::/64 are routed to the loopback device, which has only the address
# 2001:db8::99: a SYN to the others is lost. The resolver prefers IPv6 (RFC 6724).
_PROLOGUE = """
set -e
ip link set lo up
ip route add 192.0.2.0/24 dev lo
ip addr add 2001:db8::99/64 dev lo nodad
ip route add 2001:db8::/64 dev lo
mount --bind {folder}/resolv.conf /etc/resolv.conf
mount --bind {folder}/hosts /etc/hosts
"""


class Network:
    """A network that has only `hosts` and a name server on 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:5 attempts:2\n")
        (folder / "hosts").write_text("127.0.0.1 localhost\n")
        self._setup = ""

    def set_up(self, *commands: str) -> None:
        """Add shell commands that run first, as root of the network."""
        self._setup += "".join(f"{command}\n" for command in commands)

    def filter(self, *rules: str) -> None:
        """Add nftables rules: `in` or `out`, then the rule in nftables syntax.

        Packets to this host pass both chains.
        """
        if "nft" not in self._setup:
            _require_namespace("--net", command="nft add table inet filter")
            self.set_up("nft add table inet filter")
            for chain, hook in (("in", "input"), ("out", "output")):
                made = f"{{ type filter hook {hook} priority 0; }}"
                self.set_up(f"nft add chain inet filter {chain} '{made}'")
        self.set_up(*(f"nft add rule inet filter {shlex.quote(rule)}" for rule in rules))

    def resolve_by(self, *servers: str, options: str = "timeout:1 attempts:1") -> None:
        lines = [*(f"nameserver {server}" for server in servers), f"options {options}", ""]
        (self.folder / "resolv.conf").write_text("\n".join(lines))

    def add_host(self, name: str, *addresses: str) -> None:
        with (self.folder / "hosts").open("a") as hosts:
            hosts.writelines(f"{address} {name}\n" for address in addresses)

    def run(self, *arguments: str, server: str = "", timeout: float = 30) -> Run:
        """Run the plugin; `server` is Python code that runs in parallel and is killed with it.

        The server must print a line when it is ready.
        """
        return self.timed(*arguments, server=server, timeout=timeout).done

    def timed(self, *arguments: str, server: str = "", timeout: float = 30) -> Timed:
        """Run the plugin like `run`, and measure its time."""
        if any(re.search("secret|password-file", each) for each in arguments):
            require_owner_of_root()
        script = _PROLOGUE.format(folder=self.folder) + self._setup
        if server:
            script += (
                f"{shlex.join([sys.executable, '-u', '-c', server])} > {self.folder}/ready &\n"
                f"server=$!\n"
                f"trap 'kill '$server EXIT\n"
                # If the server cannot start, `set -e` ends the script.
                f"while [ ! -s {self.folder}/ready ]; do kill -0 $server; sleep 0.02; done\n"
            )
        return _timed(_unshare("--net"), script, self.folder, arguments, timeout)


def run_with_hosts(folder: Path, hosts: Mapping[str, Sequence[str]], *arguments: str) -> Run:
    """Run the plugin with these addresses for names, and an otherwise unchanged system.

    Skips the test if that is not possible, or fails it in CI.
    """
    _require_namespace()
    file = folder / "hosts"
    lines = (f"{address} {name}" for name, addresses in hosts.items() for address in addresses)
    file.write_text("\n".join(("127.0.0.1 localhost", *lines, "")))
    script = f"mount --bind {file} /etc/hosts && exec {shlex.join([str(COMMAND), *arguments])}"
    return _run([*_unshare(), "sh", "-c", script], timeout=30)


def unshare_mounts(*namespaces: str) -> list[str]:
    """Return the prefix that runs a command in its own namespaces, or skip the test."""
    _require_namespace(*namespaces, command=LOOPBACK if "--net" in namespaces else "true")
    return _unshare(*namespaces)


def unshared(folder: Path, script: str, arguments: Sequence[str]) -> Timed:
    """Run the plugin in its own mount namespace after a script, and measure its time."""
    _require_namespace()
    return _timed(_unshare(), f"set -e\n{script}", folder, arguments)


def _timed(
    unshare: Sequence[str], script: str, folder: Path, arguments: Sequence[str], timeout: float = 30
) -> Timed:
    record = folder / "record"
    script += shlex.join(stopwatch.command(record, [str(COMMAND), *arguments]))
    done = _run([*unshare, "sh", "-c", script], timeout)
    line, gone = stopwatch.read(record)
    return Timed(done._replace(seconds=gone), line)


def _run(command: list[str], timeout: float) -> Run:
    done = subprocess.run(
        command,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=timeout,
        check=False,
        env={"PATH": f"{os.environ['PATH']}:/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"},
    )
    return Run(done.returncode, done.stdout.decode(), done.stderr.decode(), 0.0)


def _unshare(*namespaces: str) -> list[str]:
    # Root needs no user namespace, and cannot create one in a chroot.
    as_root = ["--map-root-user"] if os.geteuid() else []
    return ["unshare", *as_root, "--mount", *namespaces]


def _require_namespace(*namespaces: str, command: str = "true") -> None:
    done = _run(["env", *_unshare(*namespaces), *command.split()], timeout=30)
    if done.code:
        end = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        end(f"cannot make a namespace: {done.err.strip()}")


def require_owner_of_root() -> None:
    """Skip a test with a file for secrets: in a user namespace / belongs to nobody."""
    if os.geteuid():
        pytest.skip("only root can use a file for secrets in a namespace")


def network(folder: Path) -> Network:
    """Return a network, or skip the test; in CI fail instead."""
    _require_namespace("--net", command=LOOPBACK)
    return Network(folder)


SILENT_NAME_SERVER = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
print("ready")
while True:
    server.recv(512)
"""

POLITE_SERVER = """
import time
from tests.servers.scripted_server import PoliteServer
with PoliteServer({}, port=110):
    print("ready")
    time.sleep(60)
"""


def within(done: Run, limit: float, late: float) -> bool:
    """Return whether a run ended at its limit, and at most `late` seconds after it."""
    return limit - 0.1 <= done.seconds <= limit + late
