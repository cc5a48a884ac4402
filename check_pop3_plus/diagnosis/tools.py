"""Other programs that tell something of the network: ping, mtr or traceroute, dig.

Started without a shell, from folders that only the administrator can write to, with an
environment that holds nothing of ours. What they print is bounded; a program that is late, or
prints without end, is ended with its children.
"""

import os
import re
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from check_pop3_plus.model.failures import DeadlineExceeded, config_error
from check_pop3_plus.model.record import Record
from check_pop3_plus.support.deadline import Deadline, pause

if TYPE_CHECKING:
    from subprocess import Popen

FOLDERS = ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/local/sbin")
"""Not PATH: whoever sets it would choose what runs here, and the daemons of monitoring systems
often have one without the folders that mtr and traceroute are in."""

OUTPUT_LIMIT = 8 * 1024
"""Octets; a report of mtr over 30 hops has about 3,000."""

# An address (with the number of its interface), or a name that no program takes for an option.
_TARGET = re.compile(r"[0-9A-Fa-f:.]{2,45}(?:%[0-9]{1,9})?|[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")


class Output(Record):
    code: int | None
    """None where the program was ended."""
    data: bytes


def find(name: str) -> str | None:
    """Return the path of an installed program."""
    paths = (f"{folder}/{name}" for folder in FOLDERS)
    return next((path for path in paths if os.access(path, os.X_OK)), None)


def arguments(name: str, target: str, source: str | None = None) -> list[str]:
    """Return how a program is called for a target; `source` is the local address to use.

    Raises ValueError for what is neither an address nor a name: ours, `options` has checked it.
    """
    for value in (target, source):
        if value is not None and not _TARGET.fullmatch(value):
            raise ValueError("not a target")
    match name:
        case "ping":
            options = ["-n", "-q", "-c", "4", "-i", "0.3", "-w", "3"]
            return [*options, *(("-I", source) if source else ()), target]
        case "mtr":
            options = ["--no-dns", "--report", "--report-wide"]
            options += ["--report-cycles", "3", "--gracetime", "1"]
            return [*options, *(("--address", source) if source else ()), target]
        case "traceroute":
            options = ["-n", "-q", "1", "-w", "1", "-m", "20"]
            return [*options, *(("-s", source) if source else ()), target]
        case "dig":
            parts = ["+noall", "+comments", "+answer", "+authority", "+stats"]
            return ["+tries=1", "+time=2", *parts, "-q", target, "-t", "A"]
    raise ValueError(name)


class Tools:
    """Starts programs, from several threads, and can end all of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[Popen[bytes]] = set()
        self._is_over = False

    def run(self, path: str, options: Sequence[str], deadline: Deadline) -> Output:
        """Return what a program prints, on both of its outputs.

        Raises ProbeError (config) where it cannot be started.
        """
        process = self._start([path, *options])
        data, has_ended = b"", False
        try:
            data, is_complete = _read(process, deadline)
            has_ended = is_complete and _has_ended(process, deadline)
        finally:
            code = self._end(process)
        return Output(code if has_ended else None, data)

    def stop(self) -> None:
        """End every program that runs, and start no more."""
        with self._lock:
            self._is_over = True
            for process in self._running:
                _kill(process)

    def _start(self, command: list[str]) -> "Popen[bytes]":
        import subprocess

        with self._lock:
            if self._is_over:
                raise config_error("cannot start a program", cause=TimeoutError())
            try:
                process = subprocess.Popen(  # noqa: S603 - no shell, and a checked target
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    cwd="/",
                    env={"PATH": ":".join(FOLDERS), "LC_ALL": "C"},
                    start_new_session=True,
                )
            except OSError as error:
                raise config_error("cannot start a program", cause=error) from error
            self._running.add(process)
        return process

    def _end(self, process: "Popen[bytes]") -> int:
        with self._lock:
            self._running.discard(process)
            _kill(process)
        if process.stdout:
            process.stdout.close()
        return process.wait()


def _kill(process: "Popen[bytes]") -> None:
    """End a program with its children, also one that has ended already and left some behind.

    Before anybody has waited for it: until then its number cannot be another's.
    """
    import signal

    with suppress(OSError):  # none of them is left
        os.killpg(process.pid, signal.SIGKILL)


def _has_ended(process: "Popen[bytes]", deadline: Deadline) -> bool:
    """Return whether a program that prints no more ends in time; nobody waits for it by this."""
    how = os.WEXITED | os.WNOWAIT | os.WNOHANG
    while os.waitid(os.P_PID, process.pid, how) is None:
        if not deadline.left():
            return False
        pause(0.005)
    return True


def _read(process: "Popen[bytes]", deadline: Deadline) -> tuple[bytes, bool]:
    """Return what a program prints, and whether that is all of it."""
    import select

    assert process.stdout is not None  # noqa: S101 - it was started with a pipe
    data = b""
    descriptor = process.stdout.fileno()
    with suppress(DeadlineExceeded):
        while select.select([descriptor], [], [], deadline.remaining())[0]:
            chunk = os.read(descriptor, OUTPUT_LIMIT)
            if not chunk:
                return data, True
            data += chunk
            if len(data) > OUTPUT_LIMIT:
                break
    return data[:OUTPUT_LIMIT], False
