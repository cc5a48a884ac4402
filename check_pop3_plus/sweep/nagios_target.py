"""Hands results to Nagios as passive checks, by its command file (a FIFO).

https://assets.nagios.com/downloads/nagioscore/docs/nagioscore/4/en/extcommands.html
"""

import errno
import os
import select
import stat
import time

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.sanitised_text import Printable, sanitise
from check_pop3_plus.model.settings import CommandFile
from check_pop3_plus.output.plugin_text import render
from check_pop3_plus.support.deadline import Clock, Deadline
from check_pop3_plus.sweep.run import Outcome

PATIENCE_SECONDS = 10.0
"""How long nobody may read: Nagios restarts within seconds."""

LINE_LIMIT = select.PIPE_BUF
"""Octets that a pipe takes as one piece, whoever else writes to it (4,096 on Linux)."""

_PAUSE_SECONDS = 0.1


class CommandPipe:
    """The command file, as long as results are written to it; never waited for without limit."""

    def __init__(self, file: CommandFile, deadline: Deadline) -> None:
        """Raises ProbeError (config) where the file is none, or no FIFO."""
        self._path = file.path
        self._deadline = deadline
        self._descriptor: int | None = None
        self._taken: float | None = None
        self._given_up: str | None = None
        try:
            is_fifo = stat.S_ISFIFO(os.stat(file.path).st_mode)
        except OSError as error:
            raise self._wrong(sanitise(error.strerror or "")) from error
        if not is_fifo:
            raise self._wrong("not a FIFO")

    def submit(self, outcome: Outcome) -> str | None:
        """Hand a result over; return why it was not taken, or None."""
        if ";" in outcome.service.name:
            return "a command cannot have a ; in its names"
        line = _command(outcome)
        if self._taken is None:
            self._taken = Clock()
        while self._given_up is None:
            try:
                self._write(line)
            except OSError as error:
                self.close()
                if error.errno == errno.ENXIO:
                    reason = f"nobody reads {sanitise(self._path)}"
                elif error.errno == errno.EAGAIN:
                    reason = f"{sanitise(self._path)} is full"
                else:
                    reason = (
                        f"cannot write to {sanitise(self._path)}: {sanitise(error.strerror or '')}"
                    )
            else:
                self._taken = Clock()
                return None
            if Clock() - self._taken > PATIENCE_SECONDS or not self._deadline.left():
                self._given_up = reason
            else:
                time.sleep(min(_PAUSE_SECONDS, self._deadline.left()))
        return self._given_up

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, line: bytes) -> None:
        """Write a line, all of it or, where there is no room, nothing."""
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
            self._descriptor = os.open(self._path, flags)
            if not stat.S_ISFIFO(os.fstat(self._descriptor).st_mode):
                raise OSError(errno.EINVAL, "not a FIFO")
        os.write(self._descriptor, line)

    def _wrong(self, reason: str) -> ProbeError:
        message = f"cannot use command file {sanitise(self._path)}: {reason}"
        return ProbeError(Kind.CONFIG, Printable(message))


def _command(outcome: Outcome) -> bytes:
    """Return the external command; its long output has `\\n` for the end of a line."""
    service, verdict = outcome.service, outcome.verdict
    head = (
        f"[{outcome.ended:.0f}] PROCESS_SERVICE_CHECK_RESULT;{service.host};{service.description}"
        f";{verdict.state.value};"
    ).encode()
    first, *lines = render(verdict).rstrip("\n").split("\n")
    command = head + first.encode("ascii", "replace")
    if len(command) >= LINE_LIMIT:  # the figures of a hundred addresses; half of one is another
        return command[: LINE_LIMIT - 1].rpartition(b" ")[0] + b"\n"
    for line in lines:
        longer = command + b"\\n" + line.encode("ascii", "replace")
        if len(longer) >= LINE_LIMIT:
            break
        command = longer
    return command + b"\n"
