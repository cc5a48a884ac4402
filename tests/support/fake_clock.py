"""Run the plugin with a wrong clock, by libfaketime."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.command import COMMAND

_PYTHON = COMMAND.read_text().partition("\n")[0].removeprefix("#!").split()

_LIBRARY = next(iter(sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))), None)

# libfaketime computes the sleep time from an instant that may have passed meanwhile.
_SCRIPT = """
import select, time
time.sleep = lambda seconds: select.select([], [], [], seconds)
from check_pop3_plus import start
start.run()
"""

AWAKE = [*_PYTHON, "-c", _SCRIPT]
"""The plugin, which sleeps as long as it says under a wrong clock, too."""


def showing(clock: str) -> dict[str, str]:
    """Return the environment that sets all clocks of the process, including OpenSSL's.

    `clock` is `@` and a date, or a number of seconds with its sign.
    """
    if _LIBRARY is None:
        if os.environ.get("CI") == "true":
            pytest.fail("libfaketime is missing")
        pytest.skip("libfaketime is missing")
    return {
        "LD_PRELOAD": str(_LIBRARY),
        "FAKETIME": clock,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
