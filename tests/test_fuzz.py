"""The fuzzer's targets, without the fuzzer: what it has kept, and what it begins with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import CORPUS, STAGE, TARGETS, from_script, to_script
from tests.good_dialogues import every

LARGEST_CORPUS = 300 * 1024
MOST_FILES = 600


@pytest.fixture(autouse=True)
def stage() -> Iterator[None]:
    with STAGE.set():
        yield


@pytest.mark.parametrize("target", TARGETS)
def test_what_the_fuzzer_has_kept_keeps_the_promise(target: str) -> None:
    """Each input once reached something that no other did."""
    kept = sorted((CORPUS / target).iterdir())

    assert kept
    for file in kept:
        TARGETS[target](file.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_what_the_fuzzer_begins_with_keeps_the_promise(target: str) -> None:
    """There are seeds for each target."""
    seeds = list(SEEDS[target]())

    assert len(seeds) >= 10
    for seed in seeds:
        TARGETS[target](seed)


def test_the_corpus_stays_small() -> None:
    """It is kept for what it reaches, not for its number."""
    files = [file for file in CORPUS.rglob("*") if file.is_file()]

    assert {file.parent.name for file in files} == set(TARGETS)
    assert sum(file.stat().st_size for file in files) <= LARGEST_CORPUS
    assert len(files) <= MOST_FILES


def test_a_script_is_read_as_it_was_written() -> None:
    """What the soak plays can be handed to the fuzzer."""
    for script in every():
        if not any(byte in turn.data for turn in script.turns for byte in range(0xFA, 0x100)):
            assert to_script(from_script(script)) == (script, False)
            assert to_script(from_script(script, is_verbose=True)) == (script, True)
