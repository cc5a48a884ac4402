"""Run mutation tests: count the mutants that the tests kill, and name the survivors.

Each mutant runs in its own process, forked from one that has loaded everything, with the tests that
run the changed lines, until one fails. The plugin runs inside that process, so tests that need the
installed command do not count: the real score is a little higher.

`make mutants` runs all and writes `mutants.md`; `AGAIN=1` runs only the survivors of the last run
and new mutants. `MODULES='grammar scram'` selects modules, `SAMPLE=0.1` a tenth, and
`TESTS=tests/unit/pop3/test_grammar.py` these tests; the last three write no table.
"""

import argparse
import ast
import gc
import importlib
import json
import os
import pickle
import random
import resource
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import coverage
import hypothesis
import pytest
from _pytest.runner import runtestprotocol

from tests.strength import FOLDER, GROUPS, MODULES, PACKAGE, UNITS, WHOLE, source
from tests.strength.graft import graft
from tests.strength.operators import Mutant, mutants
from tests.strength.table import Outcome, explained, table

SLOWEST_SECONDS = 3
"""Slower tests are not used: most of them wait for a time limit."""

HANGING_SECONDS = 30
"""Plus ten times the usual time: a test that takes longer hangs."""

WHOLE_CHECKS = 30
"""Tests of a whole check that run on one mutant, chosen at random with a fixed seed. A mutant that
survives these survives the others, too."""

TABLE = Path(__file__).with_name("mutants.md")

LAST = FOLDER / ".mutants"
"""The outcomes of the last run, for `--again`; not kept under version control."""


class Known(NamedTuple):
    """What a run without a mutant shows of each test that is used."""

    seconds: dict[int, float]
    runners: dict[str, dict[int, set[int]]]
    """By module and line, the tests that run it."""


class Measurement:
    """A pytest plugin that runs the tests its own way."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.chosen = chosen
        self.outcomes: list[Outcome] = []
        self.note = ""
        lines = LAST.read_text().splitlines() if chosen.again and LAST.exists() else []
        self.before = {each.key: each for each in (Outcome(*json.loads(line)) for line in lines)}
        if not chosen.again:
            LAST.unlink(missing_ok=True)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        modules = {
            name: importlib.import_module(f"{PACKAGE}.{MODULES[name]}")
            for name in self.chosen.modules
        }
        sources = {name: Path(str(module.__file__)).read_text() for name, module in modules.items()}
        self.items = [item for item in session.items if not item.get_closest_marker("real")]
        self._prepare_certificates()
        for name, module in modules.items():
            graft(ast.parse(sources[name]), module)  # a graft of the same code must change nothing
        known = self._without_mutants(sources)
        self.note = f"{len(known.seconds)} tests"
        print(self.note, flush=True)
        gc.collect()
        gc.freeze()  # pages that no collection touches are not copied for each child
        drawn = random.Random(1)
        self._try(
            (
                mutant
                for name in modules
                for mutant in mutants(name, sources[name])
                if drawn.random() < self.chosen.sample and not self._is_known(mutant)
            ),
            known,
        )
        return True

    def _is_known(self, mutant: Mutant) -> bool:
        """Return whether it was killed in the last run: tests are assumed not to get weaker."""
        last = self.before.get(mutant.key)
        if last is None or not last.killed:
            return False
        self._write(last)
        return True

    def _write(self, outcome: Outcome) -> None:
        """Write an outcome immediately, so that a run can be interrupted."""
        self.outcomes.append(outcome)
        with LAST.open("a") as file:
            print(json.dumps(outcome), file=file)

    def _prepare_certificates(self) -> None:
        """Make them once instead of in each process."""
        from tests import conftest
        from tests.pki.certificates import Pki

        pki = Pki(Path(tempfile.mkdtemp()))
        for name in ("good", "expired", "future", "wrongname", "untrusted", "chain", "weak"):
            pki.server(name)
        vars(conftest)["Pki"] = lambda _: pki

    def _without_mutants(self, sources: dict[str, str]) -> Known:
        """Run all tests as every mutant will run them; those that fail here are not used."""
        jobs = self.chosen.jobs
        parts = [range(start, len(self.items), jobs) for start in range(jobs)]
        pipes = [self._forked_to_watch(part, list(sources)) for part in parts]
        known = Known({}, {name: defaultdict(set) for name in sources})
        for reader, child in pipes:
            with os.fdopen(reader, "rb") as pipe:
                seconds, lines = pickle.load(pipe)
            os.waitpid(child, 0)
            known.seconds.update(seconds)
            for name, line, index in lines:
                known.runners[name][line].add(index)
        failing = [item.nodeid for n, item in enumerate(self.items) if n not in known.seconds]
        print(f"not used, as they are slow or need a process: {len(failing)}")
        if self.chosen.verbose:
            print(*failing, sep="\n")
        return known

    def _forked_to_watch(self, indices: range, names: list[str]) -> tuple[int, int]:
        reader, writer = os.pipe()
        child = os.fork()
        if child:
            os.close(writer)
            return reader, child
        self._settle_in()
        files = {name: str(source(name)) for name in names}
        seconds: dict[int, float] = {}
        with tempfile.NamedTemporaryFile() as config:
            watch = coverage.Coverage(
                data_file=None, config_file=config.name, include=list(files.values())
            )
            watch.start()
            for index in indices:
                watch.switch_context(str(index))
                began = time.monotonic()
                passed = self._passes(index)
                taken = time.monotonic() - began
                if passed and taken <= SLOWEST_SECONDS:
                    seconds[index] = taken
            watch.stop()
        data = watch.get_data()
        lines = [
            (name, line, int(context))
            for name, file in files.items()
            for line, contexts in data.contexts_by_lineno(file).items()
            for context in contexts
            if context and int(context) in seconds
        ]
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump((seconds, lines), pipe)
        os._exit(0)

    def _settle_in(self) -> None:
        """Silence and limit a child process."""
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
        factory: Any = self.items[0].config
        factory._tmp_path_factory._basetemp = Path(tempfile.mkdtemp())

    def _passes(self, index: int) -> bool:
        item = self.items[index]
        reports = runtestprotocol(item, log=False, nextitem=None)
        return all(not report.failed for report in reports)

    def _try(self, tried: Iterator[Mutant], known: Known) -> None:
        killers: defaultdict[str, Counter[int]] = defaultdict(Counter)
        running: dict[int, tuple[Mutant, int]] = {}
        following = next(tried, None)
        while following or running:
            while following and len(running) < self.chosen.jobs:
                mutant, following = following, next(tried, None)
                tests = self._tests(mutant, known, killers[mutant.function])
                reader, child = self._forked_to_try(mutant, tests, known)
                running[child] = (mutant, reader)
            child, status = os.wait()
            mutant, reader = running.pop(child)
            with os.fdopen(reader, "rb") as pipe:
                said = pipe.read()
            hung = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
            killed = hung or status != 0
            if said:
                killers[mutant.function][int(said)] += 1
            self._write(Outcome(mutant.key, mutant.function.split(".")[0], killed, hung))
            if not killed or self.chosen.verbose:
                by = self.items[int(said)].nodeid if said else "hangs" if hung else ""
                where = f"line {mutant.lines.start}" if mutant.lines else "outside"
                mark = "killed" if killed else "SURVIVED"
                print(f"{mark} {where} {mutant.key} {by}", flush=True)

    def _tests(self, mutant: Mutant, known: Known, killers: Counter[int]) -> list[int]:
        """Return tests that may kill it: first those that killed similar ones, then the fastest."""
        runners = known.runners[mutant.function.split(".")[0]]
        running = {index for line in mutant.lines or () for index in runners.get(line, ())}
        if not running:  # it runs at import
            running = {index for line in runners for index in runners[line]}
        if mutant.lines is None:  # a test may read a constant without running a line
            name = mutant.function.split(".")[0]
            running |= {
                index for index in known.seconds if self._file(index).endswith(f"test_{name}.py")
            }
        found = sorted(running)
        units = [index for index in found if self._file(index) not in WHOLE]
        whole = [index for index in found if self._file(index) in WHOLE]
        few = random.Random(1).sample(whole, min(len(whole), WHOLE_CHECKS))
        likely = [index for index, _ in killers.most_common(20) if index in found]
        rest = [*sorted(units, key=known.seconds.__getitem__), *few]
        return list(dict.fromkeys((*likely, *rest)))

    def _file(self, index: int) -> str:
        return self.items[index].path.relative_to(FOLDER / "tests").as_posix()

    def _forked_to_try(self, mutant: Mutant, tests: list[int], known: Known) -> tuple[int, int]:
        reader, writer = os.pipe()
        child = os.fork()
        if child:
            os.close(writer)
            return reader, child
        self._settle_in()
        name = mutant.function.split(".")[0]
        try:
            graft(mutant.tree, sys.modules[f"{PACKAGE}.{MODULES[name]}"])
        except Exception:  # not even loaded
            os._exit(1)
        for index in tests:
            signal.alarm(int(HANGING_SECONDS + 10 * known.seconds[index]))
            if not self._passes(index) and not self._passes(
                index
            ):  # a flaky failure does not count
                os.write(writer, str(index).encode())
                os._exit(1)
        os._exit(0)


def main() -> int:
    names = [name for modules in GROUPS.values() for name in modules]
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--modules", nargs="*", default=names, choices=names, metavar="MODULE")
    parser.add_argument("--sample", type=float, default=1, help="this part of the mutants")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--again", action="store_true", help="only what survived the last run")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("tests", nargs="*", help="files of tests; default: all")
    chosen = parser.parse_args()
    os.environ["POP3_TESTS_IN_PROCESS"] = "1"
    os.environ.pop("CI", None)
    hypothesis.settings.register_profile(
        "mutants", derandomize=True, max_examples=20, deadline=None
    )
    hypothesis.settings.load_profile("mutants")
    began = time.monotonic()
    measurement = Measurement(chosen)
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder  # for each child, too
        os.chmod(folder, 0o755)  # some tests take the rights of another user
        pytest.main(
            [
                *("-q", "-s", "-p", "no:xdist", "-p", "no:cacheprovider"),
                *("-o", "addopts=", "--assert=plain", "--ignore=tests/systems"),
                *(chosen.tests or [f"tests/{name}" for name in (*UNITS, *WHOLE)]),
            ],
            plugins=[measurement],
        )
    tempfile.tempdir = None
    minutes = (time.monotonic() - began) / 60
    text, is_enough = table(measurement.outcomes, explained(), f"{measurement.note}", minutes)
    print(text)
    if chosen.modules == names and not chosen.tests and chosen.sample == 1:
        TABLE.write_text(text)
    return 0 if is_enough else 1


if __name__ == "__main__":
    sys.exit(main())
