"""Fuzz each target for some time, and keep the inputs that reach new code.

`make fuzz SECONDS=600 TARGETS='ini argv'` needs the extra `fuzz`; `python -m tests.fuzz --repeat
TARGET FILE...` repeats a failure without it.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha1
from pathlib import Path

from tests.fuzz.seeds import SEEDS
from tests.fuzz.targets import CORPUS, STAGE, TARGETS

LONGEST_INPUT = 16 * 1024
MEMORY_MIB = 2048
UNIT_SECONDS = 20

CRASHES = Path(__file__).with_name("crashes")


def fuzz(target: str, seconds: int) -> bool:
    """Return whether a target has passed; add inputs that reach new code to the corpus."""
    CRASHES.mkdir(exist_ok=True)
    kept = CORPUS / target
    kept.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as found:
        for seed in SEEDS[target]():
            Path(found, sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)
        done = _fuzzer(target, f"-max_total_time={seconds}", "-print_final_stats=1", found, kept)
        said = done.stdout.splitlines()
        if done.returncode:
            _say_how_to_repeat(target, said)
            return False
        before = len(list(kept.iterdir()))
        _fuzzer(target, "-merge=1", "-use_counters=0", kept, found)
    runs = next((line.split()[-1] for line in said if "number_of_executed_units" in line), "?")
    print(f"{target}: {runs} runs, {len(list(kept.iterdir())) - before} new inputs", flush=True)
    return True


def _fuzzer(target: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "tests.fuzz.process", target, f"-max_len={LONGEST_INPUT}"),
            *(f"-rss_limit_mb={MEMORY_MIB}", f"-timeout={UNIT_SECONDS}"),
            *(f"-artifact_prefix={CRASHES}/{target}-", *arguments),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def _say_how_to_repeat(target: str, said: list[str]) -> None:
    began = next((n for n, line in enumerate(said) if "Uncaught" in line), len(said) - 40)
    print("\n".join(said[max(0, began) :]))
    print(f"{target}: FAILED; to repeat it:")
    for line in said:
        if "Test unit written to" in line:
            file = line.rpartition(" ")[2]
            print(f"  {sys.executable} -m tests.fuzz --repeat {target} {file}", flush=True)


def repeat(target: str, files: list[str]) -> None:
    """Repeat single inputs without a fuzzer; a failure raises its exception."""
    with STAGE.set():
        for file in files:
            print(f"{target}: {file}", flush=True)
            TARGETS[target](Path(file).read_bytes())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=60, help="for each target; default 60")
    parser.add_argument("--repeat", action="store_true", help="repeat inputs: TARGET FILE...")
    parser.add_argument("words", nargs="*", metavar="TARGET", help=f"any of {', '.join(TARGETS)}")
    chosen = parser.parse_args()
    if chosen.repeat:
        repeat(chosen.words[0], chosen.words[1:])
        return 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = pool.map(lambda target: fuzz(target, chosen.seconds), chosen.words or TARGETS)
        return 0 if all(list(outcomes)) else 1


if __name__ == "__main__":
    sys.exit(main())
