"""Run the plugin inside the test process: faster than a process of its own.

Signals, descriptors, standard error and the end of the process are not covered, nor are sweeps:
tests of these run the installed command. A run leaves environment, working directory, warning
filters and caches of the process as a new process finds them.
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
def _surroundings(
    environment: Mapping[str, str], directory: str | os.PathLike[str]
) -> Iterator[None]:
    before, where = dict(os.environ), os.getcwd()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    try:
        yield
    finally:
        os.chdir(where)
        os.environ.clear()
        os.environ.update(before)


def _clear_caches() -> None:
    for name, module in list(sys.modules.items()):
        if name.startswith("check_pop3_plus."):
            for each in vars(module).values():
                if hasattr(each, "cache_clear"):
                    each.cache_clear()


def run(
    arguments: list[str], environment: Mapping[str, str], directory: str | os.PathLike[str]
) -> tuple[int, str]:
    """Return exit code and output, as of a process that was just started."""
    _clear_caches()
    printed: list[str] = []

    def emit(text: str, state: State) -> int:
        printed.append(text.encode("ascii", "replace").decode())
        return state.value

    with (
        _surroundings(environment, directory),
        mock.patch.object(cli, "emit", emit),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        code = start.main(arguments, time.monotonic())
    return code, "".join(printed)
