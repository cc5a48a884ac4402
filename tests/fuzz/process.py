"""Fuzz one target in a process that libFuzzer ends with its report."""

from __future__ import annotations

import importlib
import sys


def main() -> None:
    # Not a test dependency: it has wheels only for some Python versions on Linux.
    atheris = importlib.import_module("atheris")
    target, *arguments = sys.argv[1:]
    with atheris.instrument_imports(include=["check_pop3_plus"]):
        targets = importlib.import_module("tests.fuzz.targets")
    # libFuzzer restarts itself with a shell and these arguments to merge a corpus.
    own = f"{sys.executable} -m {__spec__.name} {target}"
    atheris.Setup([own, *arguments], targets.TARGETS[target])
    with targets.STAGE.set():
        atheris.Fuzz()


if __name__ == "__main__":
    main()
