"""A private InfluxDB 1: its own configuration, directory, port and data."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import pytest

PROGRAM = shutil.which("influxd", path=f"{os.environ['PATH']}:/usr/sbin")
DATABASE = "icinga2"
PATIENCE = 20.0

CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
[http]
  bind-address = "127.0.0.1:0"
  log-enabled = false
[monitor]
  store-enabled = false
"""


class Series(NamedTuple):
    """One series of points in the result of a query."""

    tags: dict[str, str]
    columns: list[str]
    points: list[list[Any]]

    @property
    def values(self) -> list[Any]:
        """The values of each point, without the time."""
        return [point[1] for point in self.points]


class InfluxDB:
    """A running instance with one empty database."""

    def __init__(self, port: int) -> None:
        self.port = port
        # A proxy from the environment would be used even for 127.0.0.1.
        self._http = build_opener(ProxyHandler({}))
        self.query(f"CREATE DATABASE {DATABASE}")

    def query(self, text: str) -> list[Series]:
        """Return the result of a query. An invalid query fails the test."""
        url = f"http://127.0.0.1:{self.port}/query?{urlencode({'db': DATABASE, 'epoch': 'ms'})}"
        with self._http.open(url, urlencode({"q": text}).encode(), timeout=10) as answer:
            [result] = json.load(answer)["results"]
        assert "error" not in result, f"{text}: {result['error']}"
        return [
            Series(found.get("tags", {}), found["columns"], found["values"])
            for found in result.get("series", [])
        ]


@contextmanager
def running(folder: Path) -> Iterator[InfluxDB]:
    """Run an instance. Skip the test if InfluxDB is missing, or fail it in CI."""
    if PROGRAM is None:
        asked_for = os.environ.get("CI") == "true" or os.environ.get("INSTALL") == "1"
        message = "InfluxDB is missing (make test-systems INSTALL=1, as root on Debian)"
        (pytest.fail if asked_for else pytest.skip)(message)
    config, log = folder / "influxdb.conf", folder / "log"
    config.write_text(CONFIG.format(folder=folder))
    with log.open("wb") as output:
        process = subprocess.Popen(
            [PROGRAM, "-config", config],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield InfluxDB(_port(process, log))
    finally:
        process.kill()
        process.wait()


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """Return the port that the kernel has chosen."""
    end = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < end:
        if found := re.search(r'"Listening on HTTP" .*addr=127\.0\.0\.1:(\d+)', log.read_text()):
            return int(found[1])
        time.sleep(0.02)
    raise AssertionError(log.read_text())
