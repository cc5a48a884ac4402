"""What holds for every recorded output, and so for the whole catalogue of faults."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path

import pytest

RECORDED = sorted((Path(__file__).parents[1] / "checks" / "recorded").glob("*.txt"))

PLACE = re.compile(r"\([^()]+:(\d+|PORT)\b[^()]*\)")
"""`(HOST:PORT)`, also with addresses."""


def problems(file: Path) -> Iterator[list[str]]:
    """Yield the lines of each recorded output that is not OK."""
    lines = file.read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match("    POP3 (WARNING|CRITICAL|UNKNOWN) - ", line):
            yield [each[4:] for each in takewhile(lambda each: each[:4] == "    ", lines[number:])]


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_problem_line_has_the_reason_within_60_characters(file: Path) -> None:
    """The place is last: lists, mails and telephones cut the end."""
    for line, *_ in problems(file):
        reason = line.partition(" | ")[0].partition(" - ")[2]
        place = PLACE.search(reason)
        assert not re.match(r"\S+:(\d+|PORT)\b", reason), line
        assert place is None or place.start() >= 10, line
        assert len(re.findall("[A-Za-z]{2,}", line[:60])) >= 4, line


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: file.stem)
def test_problem_has_no_fact_twice(file: Path) -> None:
    """No line stands twice, and none repeats what line 1 has.

    A transcript and a diagnosis are shown as they went.
    """
    for head, *others in problems(file):
        status = head.partition(" | ")[0]
        shown = [line for line in others if not line.startswith(("transcript:", "diagnosis:"))]
        twice = [line for line, number in Counter(shown).items() if number > 1]
        assert not twice, (status, twice)
        for line in shown:
            fact = line.partition(": ")[2]
            assert len(fact) <= 12 or fact not in status, (status, line)
