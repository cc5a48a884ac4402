"""Run a command from a separate process, and measure when it printed and when it ended.

So a server in the test process does not delay the measurement, and no shell or namespace around
the command is included. It runs as a script, and imports nothing of the project.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def command(record: Path, words: Sequence[str], limit: int = 30) -> list[str]:
    """Return the command that runs `words`, and writes the times for `read`.

    They are killed after `limit` seconds.
    """
    return [sys.executable, "-S", __file__, str(record), str(limit), *words]


def read(record: Path) -> tuple[float, float]:
    """Return the seconds until the first line and until the end of the process."""
    line, gone = json.loads(record.read_text())
    return line, gone


def main(record: str, limit: str, words: list[str]) -> int:
    began = time.monotonic()
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    signal.signal(signal.SIGALRM, lambda *_: process.kill())
    signal.alarm(int(limit))
    said = os.read(process.stdout.fileno(), 65536)
    line = time.monotonic() - began
    code = process.wait()
    gone = time.monotonic() - began
    # Not until the end of the pipe: a remaining child process may keep it open.
    os.set_blocking(process.stdout.fileno(), False)
    said += process.stdout.read() or b""
    sys.stdout.buffer.write(said)
    Path(record).write_text(json.dumps([line, gone]))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
