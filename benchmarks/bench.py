"""Measure the CPU cost of checks, compared with a minimal interpreter and with other tools.

`make bench` runs it. It installs the project into a temporary directory, starts a Dovecot, and
measures every contender once per round. Each ratio compares runs of the same round, so that other
load on the machine affects both. CPU time is user and system time of the whole process as the
kernel accounts it. Peers that are not installed are listed as missing.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.client
import os
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.plot import Line, svg
from tests.pki.certificates import Pki
from tests.servers import dovecot

HERE = Path(__file__).parent
PROJECT = HERE.parent
PLUGINS = "/usr/lib/nagios/plugins:/usr/lib64/nagios/plugins"
HOST = "127.0.0.1"

PLAIN_FLOOR = "import argparse, socket, nagiosplugin"
TLS_FLOOR = f"{PLAIN_FLOOR}, ssl, cryptography.x509"

SERVICES = 1000
"""The size of the sweep that is compared with others."""

OTHERS = 200
"""Runs or probes of a peer per round; its cost per check does not depend on their number."""

EXPORTER_PORT = 29115

_EXPORTER = """
modules:
  plain:
    prober: tcp
    timeout: 5s
    tcp: &dialogue
      preferred_ip_protocol: ip4
      query_response:
        - expect: "^\\\\+OK"
        - send: "QUIT"
        - expect: "^\\\\+OK"
  tls:
    prober: tcp
    timeout: 5s
    tcp:
      <<: *dialogue
      tls: true
      tls_config: {{ ca_file: {ca_file}, server_name: {host} }}
"""

# The minimum for Python: the rest of the cost of a sweep is the plugin's.
_BARE_LOOP = """
import socket, ssl, sys
host, port, number, ca_file = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
tls = ssl.create_default_context(cafile=ca_file[0]) if ca_file else None
for _ in range(number):
    link = socket.create_connection((host, port), 5)
    if tls:
        link = tls.wrap_socket(link, server_hostname=host)
    link.recv(512), link.sendall(b"QUIT\\r\\n"), link.recv(512), link.close()
"""

# Installed as the README recommends for fast start-up.
_LAUNCHER = """#!{python} -I
from check_pop3_plus.start import run
run()
"""


class Cost(NamedTuple):
    """The cost of one process."""

    cpu: float
    elapsed: float


def cost(*command: str) -> Cost:
    """Run a command to its end; it must not fail as a program (plugins exit with 0 to 3)."""
    began = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    elapsed = time.monotonic() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    assert 0 <= process.returncode <= 3, command
    return Cost(used.ru_utime + used.ru_stime, elapsed)


def memory(*command: str) -> float:
    """Return the peak memory of a command in MiB.

    A small process starts it, because a new process has the size of its parent at first.
    """
    script = (
        "import os, sys; null = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)];"
        "pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=null);"
        "print(os.wait4(pid, 0)[2].ru_maxrss)"
    )
    small = [sys.executable, "-I", "-S", "-c", script, *command]
    return int(subprocess.run(small, capture_output=True, check=True).stdout) / 1024


class Row(NamedTuple):
    """A row of the table: a contender and its peer, by round."""

    name: str
    ours: list[float]
    theirs: list[float]
    limit: float | None = None

    def __str__(self) -> str:
        ratios = [mine / other for mine, other in zip(self.ours, self.theirs, strict=True)]
        limit = "" if self.limit is None else f"{self.limit:.2f}"
        mine, other = (statistics.median(each) * 1000 for each in (self.ours, self.theirs))
        return (
            f"| {self.name} | {mine:.2f} | {other:.2f} | {statistics.median(ratios):.2f} |"
            f" {min(ratios):.2f} to {max(ratios):.2f} | {limit} |"
        )


SWEEP = ("--jobs-per-address", "128", "--run-timeout", "300", "--sweep")
"""All servers have one address here; a real sweep opens four connections to it at a time."""


class Bench:
    """The measured installation and servers."""

    def __init__(self, folder: Path, server: dovecot.Dovecot, pki: Pki) -> None:
        self.folder = folder
        self.server = server
        self.ca_file = str(pki.ca_file)
        self.python, self.program = _installed(folder)

    def port(self, mode: str) -> int:
        return self.server.tls if mode == "tls" else self.server.plain

    def options(self, mode: str) -> list[str]:
        tls = ["-S", "-D", "10", "--ca-file", self.ca_file] if mode == "tls" else []
        return ["-H", HOST, "-p", str(self.port(mode)), *tls]

    def file(self, mode: str, number: int, *more: str) -> str:
        """Write a sweep's file, and return its path."""
        keys = [f"hostname = {HOST}", f"port = {self.port(mode)}", "timeout = 5"]
        if mode == "tls":
            keys += ["ssl =", "certificate = 10", f"ca-file = {self.ca_file}"]
        sections = [f"[host{each}!pop3]" for each in range(number)]
        path = self.folder / f"{mode}{number}.ini"
        path.write_text("\n".join(["[DEFAULT]", *keys, *sections, *more, ""]))
        return str(path)

    def single(self, mode: str) -> Cost:
        return cost(self.program, *self.options(mode))

    def floor(self, mode: str) -> Cost:
        return cost(self.python, "-I", "-c", TLS_FLOOR if mode == "tls" else PLAIN_FLOOR)

    def bare_loop(self, mode: str) -> float:
        """Return the CPU seconds of one session without evaluation, in one thread."""
        command = [self.python, "-I", "-c", _BARE_LOOP, HOST, str(self.port(mode)), str(SERVICES)]
        return cost(*command, *([self.ca_file] if mode == "tls" else [])).cpu / SERVICES

    def sweep(self, mode: str, number: int) -> Cost:
        return cost(self.program, *SWEEP, self.file(mode, number))


def _installed(folder: Path) -> tuple[str, str]:
    """Install the project as a user does: an editable one costs 10 ms more at every start."""
    place = folder / "installed"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    python = place / "bin" / "python"
    # A copy, because the build leaves directories behind.
    source = folder / "source"
    left_out = shutil.ignore_patterns(".*", "tests", "*.egg-info", "build")
    shutil.copytree(PROJECT, source, ignore=left_out)
    pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    subprocess.run([*pip, "--require-hashes", "-r", PROJECT / "requirements.txt"], check=True)
    built_here = ("--no-index", "--no-deps", "--no-build-isolation")
    subprocess.run([*pip, *built_here, source], check=True)
    launcher = folder / "check_pop3_plus"
    launcher.write_text(_LAUNCHER.format(python=python))
    launcher.chmod(0o755)
    return str(python), str(launcher)


# --- peers -----------------------------------------------------------------------------------

Peer = Callable[[], float]
"""Returns the CPU seconds of one check."""


def check_pop(bench: Bench, mode: str) -> Peer | None:
    """The C plugin: one process per check."""
    program = shutil.which("check_pop", path=PLUGINS)
    if program is None:
        return None
    tls = ["-S", "-D", "10"] if mode == "tls" else []
    command = [program, "-H", HOST, "-p", str(bench.port(mode)), *tls]

    def one() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        for _ in range(OTHERS):
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return used / OTHERS

    return one


@contextlib.contextmanager
def exporter(bench: Bench) -> Iterator[Callable[[str], float] | None]:
    """Prometheus' blackbox exporter: one process, queried over HTTP; the client is not counted."""
    program = shutil.which("prometheus-blackbox-exporter")
    if program is None:
        yield None
        return
    config = bench.folder / "blackbox.yml"
    config.write_text(_EXPORTER.format(ca_file=bench.ca_file, host=HOST))
    listen = f"--web.listen-address={HOST}:{EXPORTER_PORT}"
    process = subprocess.Popen(
        [program, f"--config.file={config}", listen, "--log.level=error"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def used() -> float:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def probed(mode: str) -> float:
        link = http.client.HTTPConnection(HOST, EXPORTER_PORT)
        before = used()
        for _ in range(OTHERS):
            link.request("GET", f"/probe?module={mode}&target={HOST}:{bench.port(mode)}")
            assert b"probe_success 1" in link.getresponse().read()
        link.close()
        return (used() - before) / OTHERS

    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection((HOST, EXPORTER_PORT)):
                break
            time.sleep(0.1)
        yield probed
    finally:
        process.terminate()
        process.wait()


def check_ssl_cert(bench: Bench) -> Peer | None:
    """The shell script, for TLS only."""
    program = shutil.which("check_ssl_cert", path=PLUGINS)
    if program is None or shutil.which("host") is None:
        return None
    command = [program, "-H", HOST, "-p", str(bench.server.tls), "-P", "pop3s", "--ignore-sct"]
    return lambda: cost(*command, "-r", bench.ca_file).cpu


# --- measurements ----------------------------------------------------------------------------


def single_runs(bench: Bench, rounds: int) -> list[str]:
    """Compare a single run with its floor."""
    lines = [
        "| a single run, CPU in ms | check | floor | ratio | spread | target |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for mode, name, limit in (("plain", "plain", 1.35), ("tls", "TLS, verified, `-D`", 1.25)):
        bench.single(mode), bench.floor(mode)
        pairs = [(bench.single(mode), bench.floor(mode)) for _ in range(rounds)]
        ours, theirs = ([each.cpu for each in side] for side in zip(*pairs, strict=True))
        lines.append(str(Row(name, ours, theirs, limit)))
        most, target = memory(bench.program, *bench.options(mode)), 34 if mode == "tls" else 20
        lines.append(f"| {name}: peak memory in MiB | {most:.1f} | | | | {target} |")
    for name, other in (
        ("`check_pop`, plain", check_pop(bench, "plain")),
        ("`check_pop -S -D`", check_pop(bench, "tls")),
        ("`check_ssl_cert`", check_ssl_cert(bench)),
    ):
        taken = "not installed"
        if other:
            taken = f"{statistics.median(other() for _ in range(3)) * 1000:.2f}"
        lines.append(f"| {name}, for comparison | {taken} | | | | |")
    return lines


class Sweeps(NamedTuple):
    lines: list[str]
    of_peers: dict[tuple[str, str], float]
    """CPU seconds of one check, by peer and mode."""


def sweeps(bench: Bench, rounds: int) -> Sweeps:
    """Compare a sweep with its peers, check by check."""
    lines = [
        f"| a sweep of {SERVICES:,}, CPU ms per check | sweep | peer | ratio | spread | target |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    limits = {
        ("check_pop", "plain"): 0.5,
        ("check_pop", "tls"): 0.4,
        ("blackbox exporter", "plain"): 1.2,
        ("blackbox exporter", "tls"): 1.2,
    }
    ours: dict[str, list[float]] = {"plain": [], "tls": []}
    theirs: dict[tuple[str, str], list[float]] = {}
    with exporter(bench) as probed:
        peers: dict[tuple[str, str], Peer] = {}
        for mode in ours:
            if plugin := check_pop(bench, mode):
                peers["check_pop", mode] = plugin
            if probed:
                peers["blackbox exporter", mode] = functools.partial(probed, mode)
            peers["a bare loop", mode] = functools.partial(bench.bare_loop, mode)
        for turn in range(rounds + 1):
            for mode, used in ours.items():
                swept = bench.sweep(mode, SERVICES)
                used += [swept.cpu / SERVICES] * (turn > 0)  # the first one fills caches
            for which, peer in peers.items():
                taken = peer()
                theirs.setdefault(which, []).extend([taken] * (turn > 0))
    for (name, mode), taken_by_peer in theirs.items():
        shown = f"{'TLS' if mode == 'tls' else 'plain'}, beside {name}"
        lines.append(str(Row(shown, ours[mode], taken_by_peer, limits.get((name, mode)))))
    missing = sorted({name for name, _ in limits} - {name for name, _ in theirs})
    lines += [f"| {name}: not installed | | | | | |" for name in missing]
    most = memory(bench.program, *SWEEP, bench.file("tls", SERVICES))
    lines.append(f"| TLS: peak memory in MiB | {most:.1f} | | | | 80 |")
    tools = {which: statistics.median(theirs[which]) for which in limits if which in theirs}
    return Sweeps(lines, tools)


def by_number(bench: Bench, numbers: Sequence[int], rounds: int) -> dict[str, list[float]]:
    """Return the CPU seconds of one check, by mode, for sweeps of this many services."""
    return {
        mode: [
            statistics.median(bench.sweep(mode, number).cpu / number for _ in range(rounds))
            for number in numbers
        ]
        for mode in ("plain", "tls")
    }


def with_dead_servers(bench: Bench) -> str:
    """Return how much longer a sweep takes with a hundred silent servers."""
    with socket.create_server((HOST, 0), backlog=256) as silent:
        dead = [f"[dead{each}!pop3]" for each in range(100)]
        keys = ["ssl =", f"ca-file = {bench.ca_file}"]
        port = f"port = {silent.getsockname()[1]}"
        sections = [line for name in dead for line in (name, *keys, port)]
        living = cost(bench.program, *SWEEP, bench.file("tls", 900))
        mixed = cost(bench.program, *SWEEP, bench.file("tls", 900, *sections))
    return (
        f"900 healthy servers take {living.elapsed:.1f} s; with 100 dead ones among them and `-t 5`"
        f" {mixed.elapsed:.1f} s"
    )


def machine() -> str:
    model, kernel = "unknown processor", platform.release().partition("-")[0]
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
    return (
        f"{time.strftime('%Y-%m-%d')}, {model}, {os.cpu_count()} processors, load"
        f" {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, Linux {kernel}"
    )


def plot(
    bench: Bench, of_peers: dict[tuple[str, str], float], numbers: Sequence[int], rounds: int
) -> tuple[str, list[str]]:
    """Return the plot of cost by number of services, and its table."""
    measured = by_number(bench, numbers, rounds)
    names = {"plain": "plain", "tls": "TLS"}
    lines = [
        Line(f"sweep, {names[mode]}", list(zip(numbers, used, strict=True)), mode == "tls", True)
        for mode, used in measured.items()
    ]
    for (name, mode), used in of_peers.items():
        flat = [(numbers[0], used), (numbers[-1], used)]
        lines.append(Line(f"{name}, {names[mode]}", flat, mode == "tls", False))
    table = [
        f"| services | {' | '.join(f'{number:,}' for number in numbers)} |",
        f"| --- |{' --- |' * len(numbers)}",
    ]
    for mode, costs in measured.items():
        cells = " | ".join(f"{each * 1000:.2f}" for each in costs)
        table.append(f"| {names[mode]}, CPU per check in ms | {cells} |")
    return svg(lines, f"CPU per check, by number of services ({time.strftime('%Y-%m-%d')})"), table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="rounds; default 9")
    parser.add_argument("--quick", action="store_true", help="no plot, and no dead servers")
    chosen = parser.parse_args()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        pki = Pki(folder)
        server = stack.enter_context(dovecot.running(pki))
        bench = Bench(folder, server, pki)
        parts = [[machine()], single_runs(bench, 2 * chosen.rounds)]
        swept = sweeps(bench, chosen.rounds)
        parts.append(swept.lines)
        if not chosen.quick:
            numbers = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
            picture, table = plot(bench, swept.of_peers, numbers, min(3, chosen.rounds))
            (HERE / "cpu.svg").write_text(picture)
            parts += [table, [with_dead_servers(bench)]]
        text = "\n\n".join("\n".join(part) for part in parts) + "\n"
        print(text)
        if not chosen.quick:
            (HERE / "table.md").write_text(text)


if __name__ == "__main__":
    main()
