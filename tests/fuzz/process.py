"""One process that fuzzes one target: libFuzzer ends it, and reports what it has found."""

from __future__ import annotations

import importlib
import sys


def main() -> None:
    # Not a test dependency: it has wheels for some Pythons on Linux alone.
    atheris = importlib.import_module("atheris")
    target, *arguments = sys.argv[1:]
    with atheris.instrument_imports(include=["check_pop3_plus"]):
        targets = importlib.import_module("tests.fuzz.targets")
    # libFuzzer begins itself anew to merge, by a shell and these words.
    own = f"{sys.executable} -m {__spec__.name} {target}"
    atheris.Setup([own, *arguments], targets.TARGETS[target])
    with targets.STAGE.set():
        atheris.Fuzz()


if __name__ == "__main__":
    main()
