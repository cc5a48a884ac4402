"""Measure the CPU cost of checks, compared with a minimal interpreter and with other tools.

`make bench` runs it. It installs the project into a temporary directory, starts a Dovecot for
single runs and a thousand targets for sweeps (`targets`), and measures every contender once per
round. Each ratio compares runs of the same round, so that other load on the machine affects both.
CPU time is user and system time of the whole process as the kernel accounts it. Instructions are
those that valgrind counts. Peers that are not installed are listed as missing.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import re
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
from benchmarks.targets import Targets, address
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

PROBES_AT_ONCE = 16
SECONDS = 5
"""How many probes the exporter is asked for at once, and for how long in a round."""

KINDS = {
    "plain": "plain",
    "rsa": "TLS, RSA, distinct certificates",
    "ec": "TLS, EC, distinct certificates",
    "shared": "TLS, RSA, one certificate for all",
}
"""Sweeps: all certificates are below an intermediate that the servers send."""

_DIALOGUE = """
    prober: tcp
    timeout: 5s
    tcp:
      preferred_ip_protocol: ip4
      query_response: [expect: '^[+]OK', send: QUIT, expect: '^[+]OK']
"""

# For wrk: a probe of the next target each time. Anything but a success is counted.
_PROBES = """
local threads, at, failed = {{}}, 0, 0
function setup(thread) table.insert(threads, thread) end
function init() probes = 0; bad = 0 end
function request()
  probes = probes + 1
  local host = {host}
  return wrk.format("GET", "/probe?module={module}&target=" .. host .. ":{port}")
end
function response(_, _, body)
  if not body:find("probe_success 1") then bad = bad + 1 end
end
function done(summary)
  print("probes " .. summary.requests .. " microseconds " .. summary.duration
    .. " failed " .. threads[1]:get("bad"))
end
"""

# The minimum for Python: the rest of the cost of a sweep is the plugin's.
_BARE_LOOP = """
import socket, ssl, sys
port, hosts, ca_file = int(sys.argv[1]), open(sys.argv[2]).read().split(), sys.argv[3:]
tls = ssl.create_default_context(cafile=ca_file[0]) if ca_file else None
for host in hosts:
    link = socket.create_connection((host, port), 5)
    if tls:
        link = tls.wrap_socket(link, server_hostname=host)
    link.recv(512), link.sendall(b"QUIT\\r\\n"), link.recv(512), link.close()
"""

# Installed as docs/install.md recommends for fast start-up.
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


class Bench:
    """The measured installation and servers."""

    def __init__(
        self, folder: Path, server: dovecot.Dovecot, pki: Pki, targets: dict[str, Targets]
    ) -> None:
        self.folder = folder
        self.targets = targets
        self.server = server
        self.ca_file = str(pki.ca_file)
        self.python, self.program = _installed(folder)

    def port(self, mode: str) -> int:
        return self.server.tls if mode == "tls" else self.server.plain

    def options(self, mode: str) -> list[str]:
        tls = ["-S", "-D", "10", "--ca-file", self.ca_file] if mode == "tls" else []
        return ["-H", HOST, "-p", str(self.port(mode)), *tls]

    def hosts(self, kind: str, number: int) -> list[str]:
        """Return the addresses of the targets, one after the other, over and over."""
        return [address(0 if kind == "shared" else each % SERVICES) for each in range(number)]

    def target(self, kind: str) -> tuple[int, list[str]]:
        """Return the port of a kind of targets, and its CA file if it has one."""
        targets = self.targets["ec" if kind == "ec" else "rsa"]
        return (targets.port + 1, []) if kind == "plain" else (targets.port, [targets.ca_file])

    def file(self, kind: str, number: int, *more: str) -> str:
        """Write a sweep's file, and return its path."""
        port, ca_file = self.target(kind)
        keys = ["[DEFAULT]", f"port = {port}", "timeout = 5"]
        keys += ["ssl =", "certificate = 10", f"ca-file = {ca_file[0]}"] if ca_file else []
        for each, host in enumerate(self.hosts(kind, number)):
            keys += [f"[host{each}!pop3]", f"hostname = {host}"]
        path = self.folder / f"{kind}{number}.ini"
        path.write_text("\n".join([*keys, *more, ""]))
        return str(path)

    def single(self, mode: str) -> Cost:
        return cost(self.program, *self.options(mode))

    def floor(self, mode: str) -> Cost:
        return cost(self.python, "-I", "-c", TLS_FLOOR if mode == "tls" else PLAIN_FLOOR)

    def bare_loop(self, kind: str) -> float:
        """Return the CPU seconds of one session without evaluation, in one thread."""
        port, ca_file = self.target(kind)
        hosts = self.folder / "hosts"
        hosts.write_text("\n".join(self.hosts(kind, SERVICES)))
        return cost(self.python, "-I", "-c", _BARE_LOOP, str(port), str(hosts), *ca_file).cpu

    def sweep_command(self, kind: str, number: int, *more: str, jobs: int = 128) -> list[str]:
        # Without the limit for one address, which protects real servers.
        limits = ("--run-timeout", "300", "--jobs", str(jobs), "--jobs-per-address", str(jobs))
        return [self.program, *limits, "--sweep", self.file(kind, number, *more)]

    def sweep(self, kind: str, number: int) -> Cost:
        return cost(*self.sweep_command(kind, number))


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
def exporter(bench: Bench) -> Iterator[Callable[[str], Cost] | None]:
    """Prometheus' blackbox exporter: one process, asked by wrk, which is not counted."""
    program, client = map(shutil.which, ("prometheus-blackbox-exporter", "wrk"))
    if program is None or client is None:
        yield None
        return
    config = bench.folder / "blackbox.yml"
    modules = "modules:\n"
    for kind in KINDS:
        ca_file = "".join(bench.target(kind)[1])
        tls = f"      tls: true\n      tls_config: {{ ca_file: {ca_file} }}\n" if ca_file else ""
        modules += f"  {kind}:{_DIALOGUE}{tls}"
    config.write_text(modules)
    where = f"{HOST}:{EXPORTER_PORT}"
    process = subprocess.Popen(
        [program, f"--config.file={config}", f"--web.listen-address={where}", "--log.level=error"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def used() -> float:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def probed(kind: str) -> Cost:
        """Return what one probe costs, and takes, with several at a time."""
        number = "0" if kind == "shared" else f"(probes % {SERVICES})"
        host = f'"127.1." .. math.floor(({number} + 1) / 256) .. "." .. ({number} + 1) % 256'
        script = bench.folder / f"{kind}.lua"
        port = bench.target(kind)[0]
        script.write_text(_PROBES.format(host=host, module=kind, port=port))
        options = (f"-c{PROBES_AT_ONCE}", f"-d{SECONDS}s", f"-s{script}")
        before = used()
        done = subprocess.run(
            [client, "-t1", *options, f"http://{where}/"],
            capture_output=True,
            check=True,
            text=True,
        )
        found = re.search(r"probes (\d+) microseconds (\d+) failed (\d+)", done.stdout)
        assert found is not None, done.stdout
        assert found[3] == "0", done.stdout
        return Cost((used() - before) / int(found[1]), int(found[2]) / 1e6 / int(found[1]))

    try:
        while True:
            assert process.poll() is None, config.read_text()
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
    for mode, name, limit in (("plain", "plain", 1.0), ("tls", "TLS, verified, `-D`", 0.8)):
        bench.single(mode), bench.floor(mode)
        pairs = [(bench.single(mode), bench.floor(mode)) for _ in range(rounds)]
        ours, theirs = ([each.cpu for each in side] for side in zip(*pairs, strict=True))
        lines.append(str(Row(name, ours, theirs, limit)))
        most, target = memory(bench.program, *bench.options(mode)), 23 if mode == "tls" else 15
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
    """CPU seconds of one check, by peer and kind of targets."""


_TARGETS = {
    ("blackbox exporter", "plain"): 0.5,
    ("blackbox exporter", "rsa"): 1.3,
    ("blackbox exporter", "ec"): 1.3,
    ("a bare loop", "rsa"): 1.5,
    ("a bare loop", "ec"): 1.5,
}


def sweeps(bench: Bench, rounds: int) -> Sweeps:
    """Compare a sweep with its peers, check by check, start-up included."""
    head = "| ours | peer | ratio | spread | target |\n| --- | --- | --- | --- | --- | --- |"
    lines = [f"| a sweep of {SERVICES:,}, CPU ms per check {head}"]
    ours: dict[str, list[Cost]] = {kind: [] for kind in KINDS}
    theirs: dict[tuple[str, str], list[Cost]] = {}
    with exporter(bench) as probed:
        for turn in range(rounds + 1):
            for kind, of_kind in ours.items():
                swept = bench.sweep(kind, SERVICES)
                taken = {"a bare loop": Cost(bench.bare_loop(kind) / SERVICES, 0)}
                if probed:
                    taken["blackbox exporter"] = probed(kind)
                if not turn:  # the first one fills caches
                    continue
                of_kind.append(Cost(swept.cpu / SERVICES, swept.elapsed / SERVICES))
                for name, used in taken.items():
                    theirs.setdefault((name, kind), []).append(used)
    for (name, kind), costs in theirs.items():
        mine, other = ([each.cpu for each in side] for side in (ours[kind], costs))
        target = _TARGETS.get((name, kind))
        lines.append(str(Row(f"{KINDS[kind]}, beside {name}", mine, other, target)))
    if plugin := check_pop(bench, "tls"):
        lines.append(f"| `check_pop -S -D`, for comparison | {plugin() * 1000:.2f} | | | | |")
    most = memory(*bench.sweep_command("rsa", SERVICES))
    lines.append(f"| {KINDS['rsa']}: peak memory in MiB | {most:.1f} | | | | 120 |")
    lines += ["", f"| elapsed ms per check, on {os.cpu_count()} processors {head}"]
    for (name, kind), costs in theirs.items():
        if name == "blackbox exporter":
            mine, other = ([each.elapsed for each in side] for side in (ours[kind], costs))
            lines.append(str(Row(f"{KINDS[kind]}, beside {name}", mine, other, 1.0)))
    if ("blackbox exporter", "plain") not in theirs:
        lines.append("| blackbox exporter or wrk: not installed | | | | | |")
    tools = {
        which: statistics.median(each.cpu for each in used)
        for which, used in theirs.items()
        if which[1] in ("plain", "rsa")
    }
    return Sweeps(lines, tools)


def instructions(*command: str) -> int:
    """Return how many instructions a command takes; 0 without valgrind."""
    if not shutil.which("valgrind"):
        return 0
    counting = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *command)
    done = subprocess.run(counting, capture_output=True, check=False)
    found = re.search(rb"Collected : (\d+)", done.stderr)
    return int(found[1]) if found else 0


def counted(bench: Bench) -> list[str]:
    """Return the instructions of single runs, and of one more check in a sweep, in millions."""
    lines = ["| millions of instructions | ours | floor | ratio |", "| --- | --- | --- | --- |"]
    for mode, floor in (("plain", PLAIN_FLOOR), ("tls", TLS_FLOOR)):
        mine = instructions(bench.program, *bench.options(mode)) / 1e6
        other = instructions(bench.python, "-I", "-c", floor) / 1e6
        if not other:
            return ["valgrind is not installed: no instruction counts"]
        lines.append(f"| a single run, {mode} | {mine:.0f} | {other:.0f} | {mine / other:.2f} |")
    for kind in KINDS:
        few, many = (instructions(*bench.sweep_command(kind, number)) for number in (50, 150))
        lines.append(f"| one more check, {KINDS[kind]} | {(many - few) / 1e8:.2f} | | |")
    return lines


def by_number(bench: Bench, numbers: Sequence[int], rounds: int) -> dict[str, list[float]]:
    """Return the CPU seconds of one check, by mode, for sweeps of this many services."""
    return {
        mode: [
            statistics.median(bench.sweep(mode, number).cpu / number for _ in range(rounds))
            for number in numbers
        ]
        for mode in ("plain", "rsa")
    }


def with_dead_servers(bench: Bench) -> str:
    """Return how long 20,000 services take, 10 % of them silent."""
    dead, jobs = 2000, 512
    with socket.create_server(("", 0), backlog=4096) as silent:
        port = f"port = {silent.getsockname()[1]}"
        sections = [
            line
            for each in range(dead)
            for line in (f"[dead{each}!pop3]", f"hostname = {address(30_000 + each)}", port)
        ]
        command = bench.sweep_command("plain", 20_000 - dead, *sections, jobs=jobs)
        mixed = cost(*command)
        most = memory(*command)
    return (
        f"20,000 plain services, {dead:,} of them silent, with `-t 5` and `--jobs {jobs}`:"
        f" {mixed.elapsed:.1f} s (the silent ones alone need {dead * 5 / jobs:.1f} s),"
        f" {mixed.cpu / 20:.2f} ms CPU per check, {most:.0f} MiB in the largest process"
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
    names = {"plain": "plain", "rsa": "TLS"}
    lines = [
        Line(f"sweep, {names[mode]}", list(zip(numbers, used, strict=True)), mode == "rsa", True)
        for mode, used in measured.items()
    ]
    for (name, mode), used in of_peers.items():
        flat = [(numbers[0], used), (numbers[-1], used)]
        lines.append(Line(f"{name}, {names[mode]}", flat, mode == "rsa", False))
    table = [
        f"| services | {' | '.join(f'{number:,}' for number in numbers)} |",
        f"| --- |{' --- |' * len(numbers)}",
    ]
    for mode, costs in measured.items():
        cells = " | ".join(f"{each * 1000:.2f}" for each in costs)
        table.append(f"| {names[mode]}, CPU per check in ms | {cells} |")
    return svg(lines, f"CPU per check, by number of services ({time.strftime('%Y-%m-%d')})"), table


PARTS = ("single", "counted", "sweeps", "plot", "dead")
"""What can be measured by itself: all of it takes about half an hour on an idle machine."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="rounds; default 9")
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="only these are printed")
    chosen = parser.parse_args()
    wanted = chosen.parts or PARTS
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.chmod(0o755)
        pki = Pki(folder)
        server = stack.enter_context(dovecot.running(pki))
        kinds = {kind: Targets(folder, kind, SERVICES) for kind in ("rsa", "ec")}
        for each in kinds.values():
            stack.enter_context(each.served())
        bench = Bench(folder, server, pki, kinds)
        text = ""
        for part in measured(bench, wanted, chosen.rounds):
            text += "\n".join(part) + "\n\n"
            print(*part, "", sep="\n", flush=True)
        if not chosen.parts:
            (HERE / "table.md").write_text(text.rstrip() + "\n")


def measured(bench: Bench, wanted: Sequence[str], rounds: int) -> Iterator[list[str]]:
    """Yield the lines of each wanted part, when it is measured."""
    yield [machine()]
    if "single" in wanted:
        yield single_runs(bench, 2 * rounds)
    if "counted" in wanted:
        yield counted(bench)
    of_peers: dict[tuple[str, str], float] = {}
    if "sweeps" in wanted:
        lines, of_peers = sweeps(bench, rounds)
        yield lines
    if "plot" in wanted:
        numbers = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
        picture, table = plot(bench, of_peers, numbers, min(3, rounds))
        (HERE / "cpu.svg").write_text(picture)
        yield table
    if "dead" in wanted:
        yield [with_dead_servers(bench)]


if __name__ == "__main__":
    main()
