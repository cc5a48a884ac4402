"""Measure the evaluation of unusual certificates, from the last byte received to the result.

Prints medians and maxima by family of the corpus, in CPU milliseconds; the fastest of several runs
with each certificate counts. Run it by `python -m benchmarks.certificates [FAMILY]`.
"""

import os
import ssl
import statistics
import sys
import tempfile
from pathlib import Path

import pytest

from tests.pki import corpus_wild  # noqa: F401 - its families
from tests.pki.corpus import FAMILIES
from tests.pki.openssl_verdicts import Stand

RUNS = 3


def main(families: list[str]) -> None:
    version = sys.version.split()[0]
    print(f"Python {version}, {ssl.OPENSSL_VERSION}, {os.cpu_count()} processors, best of {RUNS}")
    print(f"{'family':<22}{'cases':>6}{'median':>9}{'maximum':>9}   slowest")
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        stand = Stand(Path(folder), patch)
        with stand.server:
            for family in families or FAMILIES:
                measured = []
                for case in FAMILIES[family]():
                    stand.show(case)
                    seconds = min(stand.plugin(case, "-v")[1] for _ in range(RUNS))
                    measured.append((max(0.0, seconds * 1000), case.name))
                slowest, name = max(measured)
                median = statistics.median(each for each, _ in measured)
                print(f"{family:<22}{len(measured):>6}{median:>9.2f}{slowest:>9.2f}   {name}")


if __name__ == "__main__":
    main(sys.argv[1:])
