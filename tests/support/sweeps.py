"""Files of sweeps, and sweeps in this process or another one."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from check_pop3_plus.model.settings import Sweep
from check_pop3_plus.support.deadline import Clock, Deadline
from check_pop3_plus.sweep import services
from check_pop3_plus.sweep.known_secrets import KnownSecrets
from check_pop3_plus.sweep.run import Run, Workload
from tests.support import command


def workload_of(wanted: Sweep, seconds: float = 5.0) -> Workload:
    """Return what a sweep of its file has to do within this time."""
    found, deadline = services.read(wanted), Deadline(Clock() + seconds)
    return Workload(found, wanted, deadline, KnownSecrets(found, deadline), 0)


def run_of(wanted: Sweep, seconds: float = 5.0) -> Run:
    """Return a sweep of its file that may take this long, not started yet."""
    return Run(workload_of(wanted, seconds))


class File:
    """Writes the INI file of a sweep."""

    def __init__(self, folder: Path, default: str = "") -> None:
        self.path = folder / "sweep.ini"
        self._text = f"[DEFAULT]\nhostname = 127.0.0.1\n{default}\n"

    def add(self, name: str, *keys: str, port: int | None = None) -> None:
        lines = [f"[{name}]", *keys, *([f"port = {port}"] if port else [])]
        self._text += "\n".join(lines) + "\n"

    def write(self) -> None:
        self.path.write_text(self._text)

    def run(
        self, *arguments: str, env: dict[str, str] | None = None, timeout: float = 30
    ) -> command.Run:
        self.write()
        # All servers of these tests have one address.
        many = ("--jobs-per-address", "1000", *arguments)
        return command.run("--sweep", str(self.path), *many, env=env, timeout=timeout)

    def results(self, *arguments: str, env: dict[str, str] | None = None) -> Results:
        return Results(self.run("--submit", "jsonl:-", *arguments, env=env))


class Results:
    """The JSON output of a sweep."""

    def __init__(self, done: command.Run) -> None:
        self.run = done
        *results, self.summary = [json.loads(line) for line in done.out.splitlines()]
        self.by_name = {f"{each['host']}!{each['service']}": each for each in results}
        assert len(self.by_name) == len(results)
        assert done.err == ""

    def __getitem__(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.by_name[name]
        return found

    @property
    def states(self) -> dict[str, str]:
        return {name: each["state"] for name, each in self.by_name.items()}


@contextmanager
def dead_end() -> Iterator[int]:
    """Return a silent port, which accepts connections only by its backlog."""
    with socket.create_server(("", 0), backlog=4096) as listener:
        yield listener.getsockname()[1]
