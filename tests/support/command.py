"""Run the plugin the way a monitoring system does, or inside the test process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, NamedTuple

from tests.support import stopwatch

COMMAND = Path(sys.executable).with_name("check_pop3_plus")

_INHERITED = ("PATH", "HOME", "COVERAGE_PROCESS_CONFIG")
"""The last one is set by `make coverage` alone."""

IN_PROCESS = "POP3_TESTS_IN_PROCESS"
"""Runs everything inside the test process; set by `make mutants` alone."""


class Run(NamedTuple):
    """What one run printed and how it ended."""

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
        """Label to raw value string: `{"time": "0.0431s;2;5;0;10"}`."""
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
) -> Run:
    """Run it with a small, known environment; one that hangs is killed and fails the test."""
    if IN_PROCESS in os.environ and stdin == subprocess.DEVNULL and "--sweep" not in args:
        return run_in_process(*args, env=env, cwd=cwd)
    start = time.monotonic()
    done = subprocess.run(
        [COMMAND, *args],
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
    """Run it inside the test process, which takes a tenth of the time; see there what is missing.

    pytest-timeout ends one that hangs.
    """
    from tests.support import command_in_process

    start = time.monotonic()
    words = [os.fspath(each) for each in args]
    code, out = command_in_process.run(words, _environment(env), cwd or ".")
    return Run(code, out, "", time.monotonic() - start)


def assert_failed(done: Run, code: int, kind: str, phase: str | None = None) -> None:
    """Assert the exit code, and the kind on the line below the status line."""
    in_phase = f", in phase {phase}" if phase else ""
    pattern = rf"kind: {kind}( \([a-z A-Z]+\))?{in_phase}"  # some kinds have an explanation
    assert done.code == code, done.out
    assert done.long, done.out
    assert re.fullmatch(pattern, done.long[0]), done.out


class Timed(NamedTuple):
    """What a run printed, and when."""

    done: Run
    """Its `seconds` are those until the process was gone."""
    line_seconds: float
    """Until the status line was there."""


def timed(*args: str, env: Mapping[str, str] | None = None, limit: int = 30) -> Timed:
    """Run it by the stopwatch; one that hangs is killed after `limit` seconds."""
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
