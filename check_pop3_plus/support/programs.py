"""Run other programs: without a shell, bounded in time and output, with no child left behind."""

import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.model.failures import DeadlineExceeded, config_error
from check_pop3_plus.model.record import Record
from check_pop3_plus.support import openssl_environment
from check_pop3_plus.support.deadline import POLL_SECONDS, Clock, Deadline, pause, wait_until

if TYPE_CHECKING:
    from subprocess import Popen


class Output(Record):
    """What a program printed, and how it ended."""

    code: int | None
    """The exit code, negative for a signal; None when the program was killed: it was late or
    printed too much."""
    data: bytes
    """At most as many bytes as the limit."""
    is_oversized: bool = False
    """Whether the program was killed because it printed more than the limit."""


_running: dict["Popen[bytes]", "Programs"] = {}
"""All running programs of the process, and who runs them."""

_starting: list[None] = []
"""An element for each program that is being started."""

_STOP_SECONDS = 0.2
"""How long `stop_all` waits for a program that is being started."""


def stop_all() -> None:
    """Kill every running program of the process, which ends: its threads are not waited for.

    Without a lock: it may be called by a signal handler.
    """
    wait_until(lambda: not _starting, Deadline(Clock() + _STOP_SECONDS))
    for process in list(_running):
        _kill(process)


class Programs:
    """Runs programs, also from several threads, and can kill all of them from another one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_stopped = False

    def run(
        self,
        command: Sequence[str],
        deadline: Deadline,
        limit: int,
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        merge_stderr: bool = False,
    ) -> Output:
        """Run `command` until it ends, the deadline passes or it prints more than `limit` bytes.

        Its standard input is empty. Standard error is dropped, unless `merge_stderr` adds it to
        the output. Without `env` it inherits the environment. It gets a session of its own;
        whatever is left of that session when it has ended is killed.

        Raises ProbeError (config) when the program cannot be started.
        """
        process = self._start(command, env, cwd, merge_stderr)
        try:
            data, is_complete = _read(process, deadline, limit)
        finally:
            code = self._end(process)
        return Output(code if is_complete else None, data[:limit], len(data) > limit)

    def stop(self) -> None:
        """Kill every running program, and start no more."""
        with self._lock:
            self._is_stopped = True
            for process in [each for each, owner in list(_running.items()) if owner is self]:
                _kill(process)

    def _start(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None,
        cwd: str | None,
        merge_stderr: bool,
    ) -> "Popen[bytes]":
        import subprocess

        with self._lock:
            if self._is_stopped:
                raise config_error("cannot start a program", cause=TimeoutError())
            _starting.append(None)
            try:
                process = subprocess.Popen(  # noqa: S603 - no shell
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT if merge_stderr else subprocess.DEVNULL,
                    cwd=cwd,
                    env=openssl_environment.restored() if env is None else env,
                    start_new_session=True,
                )
            except (OSError, ValueError) as error:  # ValueError: a null byte in an argument
                raise config_error("cannot start a program", cause=error) from error
            else:
                _running[process] = self
            finally:
                _starting.pop()
        return process

    def _end(self, process: "Popen[bytes]") -> int:
        with self._lock:
            _running.pop(process, None)
            _kill(process)
        if process.stdout:
            process.stdout.close()
        return process.wait()


def _kill(process: "Popen[bytes]") -> None:
    """Kill a program and its children, also when it has ended and left children behind.

    Before the process is waited for: until then the system gives its number to no other process.
    """
    import signal

    with suppress(OSError):  # none of them is left
        os.killpg(process.pid, signal.SIGKILL)


def _has_ended(process: "Popen[bytes]") -> bool:
    """Return whether a program has ended, without waiting for it: see `_kill`."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _read(process: "Popen[bytes]", deadline: Deadline, limit: int) -> tuple[bytes, bool]:
    """Return what a program prints, and whether it ended by itself within time and limit.

    With one byte more than `limit` when it printed too much. Reading ends with the program, not
    with the pipe: what the program has left running may keep the pipe open.
    """
    import select

    assert process.stdout is not None  # noqa: S101 - it was started with a pipe
    descriptor = process.stdout.fileno()
    poll = select.poll()  # not `select.select`, which takes no descriptor above 1023
    poll.register(descriptor, select.POLLIN)
    data, is_open = b"", True
    with suppress(DeadlineExceeded):
        while True:
            has_ended = _has_ended(process)
            seconds = 0.0 if has_ended else min(POLL_SECONDS, deadline.remaining())
            if not is_open:
                if has_ended:
                    return data, True
                pause(seconds)
            elif poll.poll(seconds * 1000):
                chunk = os.read(descriptor, limit)
                is_open = bool(chunk)
                data += chunk
                if len(data) > limit:
                    break
            elif has_ended:
                return data, True
    return data, False
