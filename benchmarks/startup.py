"""What a single run costs beside the imports that no plugin of its kind can do without.

Prints medians of interleaved runs, in CPU time of the whole process, and their ratio. Run it as
`python -m benchmarks.startup` in the project's virtual environment; a server is started by itself.
"""

import contextlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.certificates import Pki
from tests.pop3_server import PoliteServer

RUNS = 20

PLAIN_FLOOR = "import argparse, socket, nagiosplugin"
TLS_FLOOR = f"{PLAIN_FLOOR}, ssl, cryptography.x509"


def cpu_seconds(*command: str) -> float:
    """Return user and system time of one run, as the kernel accounts it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compared(name: str, command: list[str], floor: str) -> str:
    """Return one row of the table: a command beside its floor, run in turn."""
    floor_command = [sys.executable, "-I", "-c", floor]
    ours, theirs = [], []
    for _ in range(RUNS + 1):
        ours.append(cpu_seconds(*command))
        theirs.append(cpu_seconds(*floor_command))
    # The first of each warms the file cache.
    ratios = sorted(mine / other for mine, other in zip(ours[1:], theirs[1:], strict=True))
    return (
        f"{name:<22}{statistics.median(ours[1:]) * 1000:>9.1f}"
        f"{statistics.median(theirs[1:]) * 1000:>9.1f}{statistics.median(ratios):>8.2f}"
        f"   {ratios[0]:.2f} to {ratios[-1]:.2f}"
    )


def main() -> None:
    program = str(Path(sys.executable).with_name("check_pop3_plus"))
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        pki = Pki(folder)
        plain = stack.enter_context(PoliteServer({}))
        tls = stack.enter_context(PoliteServer({}, tls=pki.server("good")))
        print(f"Python {sys.version.split()[0]}, {os.cpu_count()} processors, {RUNS} runs each")
        print(f"{'CPU in ms, medians':<22}{'check':>9}{'floor':>9}{'ratio':>8}   spread")
        target = [program, "-H", "127.0.0.1", "-p"]
        print(compared("plain", [*target, str(plain.port)], PLAIN_FLOOR))
        options = ["-S", "-D", "10", "--ca-file", str(pki.ca_file)]
        print(compared("TLS, verified, -D", [*target, str(tls.port), *options], TLS_FLOOR))


if __name__ == "__main__":
    main()
