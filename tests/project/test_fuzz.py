"""The targets of the fuzzer, without the fuzzer: its corpus and its seeds."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from check_pop3_plus.sweep import summary
from tests.fuzz import __main__ as runner
from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import CORPUS, STAGE, TARGETS, from_script, to_script
from tests.support.good_dialogues import every

LARGEST_CORPUS = 300 * 1024
MOST_FILES = 600


@pytest.fixture(autouse=True)
def stage() -> Iterator[None]:
    with STAGE.set():
        yield


@pytest.mark.parametrize("target", TARGETS)
def test_corpus_inputs_pass(target: str) -> None:
    """Each input of the corpus, which once reached new code, passes."""
    kept = sorted((CORPUS / target).iterdir())

    assert kept
    for file in kept:
        TARGETS[target](file.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_pass(target: str) -> None:
    """Each target has seeds."""
    seeds = list(SEEDS[target]())

    assert len(seeds) >= 10
    for seed in seeds:
        TARGETS[target](seed)


def test_corpus_is_limited() -> None:
    """The corpus stays small."""
    files = [file for file in CORPUS.rglob("*") if file.is_file()]

    assert {file.parent.name for file in files} == set(TARGETS)
    assert sum(file.stat().st_size for file in files) <= LARGEST_CORPUS
    assert len(files) <= MOST_FILES


def test_failure_names_the_command_to_repeat_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One command repeats it without a fuzzer."""
    file = tmp_path / "ini-crash-1"
    file.write_bytes(b"\1[a!b]\n")
    said = ["NEW cov: 9", " === Uncaught Python exception: ===", f"Test unit written to {file}"]
    fuzzer = subprocess.CompletedProcess([], 77, "\n".join(said))
    monkeypatch.setattr(runner, "_fuzzer", lambda *_: fuzzer)

    assert not runner.fuzz("ini", 1)
    shown = capsys.readouterr().out
    assert f"-m tests.fuzz --repeat ini {file}" in shown
    assert "NEW cov" not in shown

    monkeypatch.setattr(summary.Tally, "add", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        runner.repeat("ini", [str(file)])


def test_script_survives_encoding() -> None:
    """The fuzzer can read scripts of the soak runs."""
    for script in every():
        if not any(byte in turn.data for turn in script.turns for byte in range(0xFA, 0x100)):
            assert to_script(from_script(script)) == (script, False)
            assert to_script(from_script(script, is_verbose=True)) == (script, True)
