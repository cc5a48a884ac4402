"""Run the plugin like a monitoring system, or inside the test process."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

from tests.support import stopwatch

COMMAND = Path(sys.executable).with_name("check_pop3_plus")

_INHERITED = ("PATH", "HOME", "COVERAGE_PROCESS_CONFIG")
"""Only `make coverage` sets the last one."""

IN_PROCESS = "POP3_TESTS_IN_PROCESS"
"""Runs everything inside the test process; only `make mutants` sets it."""


class Run(NamedTuple):
    """The output and exit code of one run."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def line(self) -> str:
        """The status line."""
        return self.out.partition("\n")[0]

    @property
    def verdict(self) -> str:
        """The status line without its perfdata."""
        return self.line.partition(" | ")[0]

    @property
    def perfdata(self) -> dict[str, str]:
        """Map each label to its raw value: `{"time": "0.0431s;2;5;0;10"}`."""
        pairs = (item.partition("=") for item in self.line.partition(" | ")[2].split())
        return {label: value for label, _, value in pairs}

    @property
    def long(self) -> list[str]:
        """The lines after the first."""
        return self.out.splitlines()[1:]


def run(
    *args: str | os.PathLike[str],
    env: Mapping[str, str] | None = None,
    stdin: int | IO[bytes] = subprocess.DEVNULL,
    timeout: float = 30,
    cwd: str | os.PathLike[str] | None = None,
    command: Sequence[str | os.PathLike[str]] = (COMMAND,),
) -> Run:
    """Run the plugin with a small, fixed environment. A hanging run fails the test."""
    if IN_PROCESS in os.environ and stdin == subprocess.DEVNULL and "--sweep" not in args:
        return run_in_process(*args, env=env, cwd=cwd)
    start = time.monotonic()
    done = subprocess.run(
        [*command, *args],
        env=_environment(env),
        stdin=stdin,
        capture_output=True,
        timeout=timeout,
        cwd=cwd,
        check=False,
    )
    seconds = time.monotonic() - start
    # Not text=True: it would hide a carriage return, which must never be printed.
    return Run(done.returncode, done.stdout.decode(), done.stderr.decode(), seconds)


def run_in_process(
    *args: str | os.PathLike[str],
    env: Mapping[str, str] | None = None,
    cwd: str | os.PathLike[str] | None = None,
) -> Run:
    """Run the plugin inside the test process, in a tenth of the time; see `command_in_process`.

    pytest-timeout ends a hanging run.
    """
    from tests.support import command_in_process

    start = time.monotonic()
    words = [os.fspath(each) for each in args]
    code, out = command_in_process.run(words, _environment(env), cwd or ".")
    return Run(code, out, "", time.monotonic() - start)


def assert_failed(done: Run, code: int, kind: str, phase: str | None = None) -> None:
    """Assert the exit code, and the kind on one of the two lines below the status line."""
    in_phase = f", in phase {phase}" if phase else ""
    pattern = rf"kind: {kind}( \([^()]+\))?{in_phase}"  # most kinds have an explanation
    assert done.code == code, done.out
    assert any(re.fullmatch(pattern, line) for line in done.long[:2]), done.out


class Timed(NamedTuple):
    """The output of a run, and its times."""

    done: Run
    """Its `seconds` end with the process."""
    line_seconds: float
    """Seconds until the status line."""


def timed(*args: str, env: Mapping[str, str] | None = None, limit: int = 30) -> Timed:
    """Run the plugin and measure its time; it is killed after `limit` seconds."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record"
        done = subprocess.run(
            stopwatch.command(record, [str(COMMAND), *args], limit),
            env=_environment(env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        line, gone = stopwatch.read(record)
    return Timed(Run(done.returncode, done.stdout.decode(), done.stderr.decode(), gone), line)


def _environment(more: Mapping[str, str] | None) -> dict[str, str]:
    known = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**known, "LC_ALL": "C.UTF-8", **(more or {})}


def write_launcher(folder: Path) -> Path:
    """Return the launcher that docs/install.md shows, for the Python of the tests."""
    page = Path(__file__).parent.parent.parent / "docs" / "install.md"
    shown = re.search(r"(#!\S+ -I\n.*?)END\n", page.read_text(), re.DOTALL)
    assert shown
    launcher = folder / "check_pop3_plus"
    launcher.write_text(re.sub("#!.*? ", f"#!{sys.executable} ", shown[1]))
    launcher.chmod(0o755)
    return launcher


def run_on_terminal(typed: bytes, delay: float, *argv: str) -> tuple[int, bytes]:
    """Answer the prompt after `delay` seconds; return the exit code and what the terminal shows."""
    terminal, end = pty.openpty()
    # Not pty.fork: tests have threads, of which Python 3.15 warns then.
    command = ["setsid", "--ctty", str(COMMAND), *argv]
    with subprocess.Popen(command, stdin=end, stdout=end, stderr=end) as child:
        os.close(end)
        shown = b""
        while b"Password of " not in shown:
            shown += os.read(terminal, 4096)
        time.sleep(delay)
        os.write(terminal, typed + b"\n")
        with contextlib.suppress(OSError):  # Linux raises EIO if the other side is closed
            while chunk := os.read(terminal, 4096):
                shown += chunk
    os.close(terminal)
    return child.returncode, shown


def run_broken_check(*argv: str) -> subprocess.CompletedProcess[str]:
    """Run the plugin with a bug in the check; the text of the exception quotes a secret."""
    script = (
        "import sys, time\n"
        "from check_pop3_plus import start\n"
        "from check_pop3_plus.check import run\n"
        "def broken(*_): raise KeyError('s3cret | \\n')\n"
        "run.run_check = broken\n"
        "sys.exit(start.main(sys.argv[1:], time.monotonic()))"
    )
    command = [sys.executable, "-c", script, *argv]
    return subprocess.run(command, capture_output=True, text=True, check=False)
