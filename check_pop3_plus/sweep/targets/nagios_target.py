"""Submit results to Nagios as passive checks, by its command file (a FIFO).

https://assets.nagios.com/downloads/nagioscore/docs/nagioscore/4/en/extcommands.html
"""

import errno
import os
import select
import stat

from check_pop3_plus.model.failures import config_error
from check_pop3_plus.model.sanitised_text import printable
from check_pop3_plus.output.plugin_text import render
from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.targets import submission
from check_pop3_plus.sweep.targets.submission import NotDelivered

LINE_LIMIT = select.PIPE_BUF
"""Bytes that a pipe takes atomically if several processes write to it (4,096 on Linux)."""


class Target(submission.Target):
    """The command file; opened and written without blocking."""

    longest_pause = 0.1

    def __init__(self, path: str, deadline: Deadline) -> None:
        """Open the FIFO later. Raises ProbeError (config): there is none."""
        super().__init__(deadline)
        try:
            is_fifo = stat.S_ISFIFO(os.stat(path).st_mode)
        except OSError as error:
            raise config_error("cannot use command file {}", path, cause=error) from error
        if not is_fifo:
            raise config_error("cannot use command file {}: not a FIFO", path)
        self._path = path
        self._descriptor: int | None = None

    def send(self, outcome: Outcome, resends: int) -> str | None:
        """Write one command. Raises NotDelivered when the pipe does not take it."""
        if ";" in outcome.service.name:
            return "a command cannot have a ; in its names"
        try:
            self._write(_command(outcome))
        except OSError as error:
            self.close()
            if error.errno == errno.ENXIO:
                reason = printable("no process reads {}", self._path)
            elif error.errno == errno.EAGAIN:
                reason = printable("{} is full", self._path)
            else:
                reason = config_error("cannot write to {}", self._path, cause=error).message
            raise NotDelivered(reason) from error
        return None

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, line: bytes) -> None:
        """Write the whole line, or nothing where the pipe is full."""
        if self._descriptor is None:
            # Python opens every file so that no child process inherits it (PEP 446).
            self._descriptor = os.open(self._path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
            if not stat.S_ISFIFO(os.fstat(self._descriptor).st_mode):
                raise OSError(errno.EINVAL, "not a FIFO")
        os.write(self._descriptor, line)


def _command(outcome: Outcome) -> bytes:
    """Return the external command; `\\n` separates the lines of its long output."""
    service, verdict = outcome.service, outcome.verdict
    head = (
        f"[{outcome.ended:.0f}] PROCESS_SERVICE_CHECK_RESULT;{service.host};{service.description}"
        f";{verdict.state.value};"
    ).encode()
    first, *lines = render(verdict).encode().splitlines()
    command = head + first
    if len(command) >= LINE_LIMIT:  # figures of many addresses; half a number is another number
        return command[:LINE_LIMIT].rpartition(b" ")[0] + b"\n"
    for line in lines:
        longer = command + b"\\n" + line
        if len(longer) >= LINE_LIMIT:
            break
        command = longer
    return command + b"\n"
