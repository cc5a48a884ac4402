"""Run the check within the test process: quicker than a process, for `mutants` alone.

What a process has of its own (signals, descriptors, its end) is not there, nor are sweeps.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from unittest import mock

from check_pop3_plus import cli, start
from check_pop3_plus.model.settings import State


@contextmanager
def _surroundings(environment: Mapping[str, str], folder: str | os.PathLike[str]) -> Iterator[None]:
    before, where = dict(os.environ), os.getcwd()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(where)
        os.environ.clear()
        os.environ.update(before)


def run(
    arguments: list[str], environment: Mapping[str, str], folder: str | os.PathLike[str]
) -> tuple[int, str]:
    """Return exit code and output, as of a process that was just started."""
    for name, module in sys.modules.items():
        if name.startswith("check_pop3_plus."):
            for each in vars(module).values():
                if hasattr(each, "cache_clear"):
                    each.cache_clear()
    printed: list[str] = []

    def emit(text: str, state: State) -> int:
        printed.append(text.encode("ascii", "replace").decode())
        return state.value

    with (
        _surroundings(environment, folder),
        mock.patch.object(cli, "emit", emit),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        code = start.main(arguments, time.monotonic())
    return code, "".join(printed)
