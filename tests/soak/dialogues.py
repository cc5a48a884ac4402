"""Run mutated sessions in process: server replies are changed at random, and the result is checked.

The strict parser in `tests.pki.expected_verdicts` decides which of them must be OK. The number of a
session is its seed: `python -m tests.soak.dialogues NUMBER...` repeats single sessions and shows
them.
"""

from __future__ import annotations

import random
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from tests.pki.expected_verdicts import deserves_ok
from tests.soak import Figure
from tests.support.good_dialogues import WRONG_LINES, every, signatures
from tests.support.in_process import (
    Chunk,
    Hang,
    Played,
    Script,
    Stage,
    Turn,
    keep_the_promise,
    patience,
)

COUNT = 100_000

_SHOWN = 5
"""Defects of one type that are printed."""


class _Turn:
    """A turn that can be changed."""

    def __init__(self, data: bytes, end: str = "") -> None:
        self.data = data
        self.end = end

    @property
    def lines(self) -> list[bytes]:
        """The lines with their line ends."""
        parts = self.data.split(b"\n")
        return [part + b"\n" for part in parts[:-1]] + [parts[-1]] * (parts[-1] != b"")

    @lines.setter
    def lines(self, lines: list[bytes]) -> None:
        self.data = b"".join(lines)


_Change = Callable[[random.Random, list[_Turn]], None]


@cache
def _good() -> tuple[Script, ...]:
    return tuple(every())


# --- changes -----------------------------------------------------------------------------------


def _one(source: random.Random, turns: list[_Turn]) -> _Turn:
    return source.choice([turn for turn in turns if turn.data] or turns)


def _somewhere(source: random.Random, data: bytes) -> tuple[int, int]:
    """Return the start and end of a random piece; short pieces are more likely."""
    start = source.randint(0, len(data))
    return start, min(len(data), start + source.choice((1, 1, 2, 4, 8, 64)))


def _drop(source: random.Random, turns: list[_Turn]) -> None:
    turn = _one(source, turns)
    start, end = _somewhere(source, turn.data)
    turn.data = turn.data[:start] + turn.data[end:]


def _duplicate(source: random.Random, turns: list[_Turn]) -> None:
    turn = _one(source, turns)
    start, end = _somewhere(source, turn.data)
    turn.data = turn.data[:end] + turn.data[start:]


def _swap(source: random.Random, turns: list[_Turn]) -> None:
    turn = _one(source, turns)
    start, end = _somewhere(source, turn.data)
    further = min(len(turn.data), end + source.randint(1, 8))
    data = turn.data
    turn.data = data[:start] + data[end:further] + data[start:end] + data[further:]


def _cut(source: random.Random, turns: list[_Turn]) -> None:
    turn = _one(source, turns)
    turn.data = turn.data[: source.randint(0, len(turn.data))]
    turn.end = source.choice(("", "eof", "reset", "stall"))


def _insert(source: random.Random, turns: list[_Turn]) -> None:
    turn = _one(source, turns)
    place = source.randint(0, len(turn.data))
    new = source.choice(
        (
            source.randbytes(source.choice((1, 2, 8, 100))),
            *(
                b"\n",
                b"\r\n",
                b"\r",
                b".\r\n",
                b"+",
                b"+ ",
                b" ",
                b"\t",
                b"\0",
                b"+OK\r\n",
                b"\xff",
            ),
        )
    )
    turn.data = turn.data[:place] + new + turn.data[place:]


def _flip(source: random.Random, turns: list[_Turn]) -> None:
    turn = _one(source, turns)
    data = bytearray(turn.data)
    for _ in range(source.choice((1, 1, 1, 3, 10)) if data else 0):
        data[source.randrange(len(data))] ^= 1 << source.randrange(8)
    turn.data = bytes(data)


def _drop_line(source: random.Random, turns: list[_Turn]) -> None:
    turn = _one(source, turns)
    lines = turn.lines
    if lines:
        del lines[source.randrange(len(lines))]
    turn.lines = lines


def _duplicate_line(source: random.Random, turns: list[_Turn]) -> None:
    turn = _one(source, turns)
    lines = turn.lines
    if lines:
        place = source.randrange(len(lines))
        lines[place:place] = [lines[place]] * source.choice((1, 1, 2, 600))
    turn.lines = lines


def _shuffle_lines(source: random.Random, turns: list[_Turn]) -> None:
    turn = _one(source, turns)
    lines = turn.lines
    source.shuffle(lines)
    turn.lines = lines


def _replace_line(source: random.Random, turns: list[_Turn]) -> None:
    turn = _one(source, turns)
    lines = turn.lines or [b""]
    end = source.choice((b"\r\n", b"\r\n", b"\n", b""))
    lines[source.randrange(len(lines))] = source.choice(WRONG_LINES) + end
    turn.lines = lines


def _replace_turn(source: random.Random, turns: list[_Turn]) -> None:
    _one(source, turns).data = source.choice(WRONG_LINES) + b"\r\n"


def _replace_by_good(source: random.Random, turns: list[_Turn]) -> None:
    """Replace a turn by one of another valid session."""
    _one(source, turns).data = source.choice(source.choice(_good()).turns).data


def _drop_turn(source: random.Random, turns: list[_Turn]) -> None:
    del turns[source.randrange(len(turns))]


def _duplicate_turn(source: random.Random, turns: list[_Turn]) -> None:
    place = source.randrange(len(turns))
    turns.insert(place, _Turn(turns[place].data, turns[place].end))


def _shuffle_turns(source: random.Random, turns: list[_Turn]) -> None:
    one, other = source.randrange(len(turns)), source.randrange(len(turns))
    turns[one], turns[other] = turns[other], turns[one]


def _glue_turns(source: random.Random, turns: list[_Turn]) -> None:
    """Send the next turn together with this one."""
    place = source.randrange(len(turns))
    if place + 1 < len(turns):
        turns[place].data += turns[place + 1].data
        if source.random() < 0.5:
            del turns[place + 1]


def _glue_tail(source: random.Random, turns: list[_Turn]) -> None:
    turn = _one(source, turns)
    line = source.choice(WRONG_LINES)
    turn.data += source.choice(
        (line + b"\r\n", line[: source.randint(0, 8)], b"x", b"\x16\x03\x01")
    )


def _stop(source: random.Random, turns: list[_Turn]) -> None:
    source.choice(turns).end = source.choice(("eof", "eof", "reset", "stall"))


def _lengthen(source: random.Random, turns: list[_Turn]) -> None:
    """Make a line longer, just below or above a limit."""
    turn = _one(source, turns)
    lines = turn.lines or [b"\r\n"]
    place = source.randrange(len(lines))
    line = lines[place].rstrip(b"\r\n")
    length = source.choice((300, 513, 2047, 2048, 2049, 3000, 12288, 12289, 66_000, 1_100_000))
    lines[place] = line + b" " + b"x" * max(0, length - len(line) - 1) + b"\r\n"
    turn.lines = lines


# Changes without effect on the meaning.


def _bare_lf(source: random.Random, turns: list[_Turn]) -> None:
    for turn in turns:
        turn.data = turn.data.replace(b"\r\n", b"\n")


def _more_text(source: random.Random, turns: list[_Turn]) -> None:
    """Add text after a status, which clients ignore."""
    turn = _one(source, turns)
    lines = turn.lines
    if lines and lines[0].startswith(b"+OK"):
        text = bytes(byte for byte in source.randbytes(20) if byte not in b"\r\n")
        lines[0] = lines[0].rstrip(b"\r\n") + b" " + text + b"\r\n"
    turn.lines = lines


def _odd_capabilities(source: random.Random, turns: list[_Turn]) -> None:
    for turn in turns:
        lines = turn.lines
        if len(lines) > 1 and lines[-1] == b".\r\n":
            lines[1:-1] = [line.lower() for line in lines[1:-1]]
            odd = source.choice(
                (b"\r\n", b"\xff\xfe\r\n", b"EXPIRENEVER\r\n", b"SASL\r\n", b"..\r\n")
            )
            lines.insert(source.randint(1, len(lines) - 1), odd)
            turn.lines = lines


_CHANGES: tuple[tuple[_Change, int], ...] = (
    *((change, 3) for change in (_drop, _duplicate, _swap, _cut, _insert, _flip)),
    *((change, 3) for change in (_drop_line, _duplicate_line, _replace_line, _replace_turn)),
    *((change, 2) for change in (_shuffle_lines, _drop_turn, _duplicate_turn, _shuffle_turns)),
    *((change, 3) for change in (_replace_by_good, _glue_turns, _glue_tail, _stop)),
    *((change, 2) for change in (_lengthen, _bare_lf, _more_text, _odd_capabilities)),
)


def mutated(number: int, good: Script | None = None) -> tuple[Script, tuple[str, ...]]:
    """Return the session of that number, and further options for the plugin.

    It is made of a good session that the number selects, unless one is given.
    """
    source = random.Random(number)
    good = good or source.choice(_good())
    turns = [_Turn(turn.data, turn.end) for turn in good.turns]
    changes, weights = zip(*_CHANGES, strict=True)
    for change in source.choices(changes, weights, k=source.choice((0, 1, 1, 1, 1, 2, 2, 3, 5))):
        if turns:
            change(source, turns)
    split = source.choice((0, 0, 1, 3))
    script = Script(good.scenario, tuple(_in_pieces(source, turn, split) for turn in turns))
    return script, source.choice(((), ("-vvv",)))


def _in_pieces(source: random.Random, turn: _Turn, count: int) -> Turn:
    """Split a turn into pieces; later ones may arrive only once the client waits for them."""
    places = sorted(source.randint(0, len(turn.data)) for _ in range(count))
    edges = [0, *places, len(turn.data)]
    pieces = [turn.data[one:other] for one, other in pairwise(edges)]
    chunks = [Chunk(piece, source.random() < 0.5) for piece in pieces if piece]
    return Turn(tuple(chunks), turn.end)


# --- the run -----------------------------------------------------------------------------------


class Outcome(NamedTuple):
    """The result of one session."""

    is_deserved: bool | None
    """Whether it must be OK; None if both results are acceptable."""
    played: Played | None
    defect: str = ""
    """`uncaught exception`, `hang`, `broken invariant`, `false OK` or `false alarm`."""
    details: str = ""


def play(stage: Stage, number: int, good: Script | None = None) -> Outcome:
    """Play one session as `mutated` makes it, and compare the result with the expected one."""
    script, options = mutated(number, good)
    is_deserved = deserves_ok(script, signatures())
    try:
        with patience():
            played = stage.play(script, *options)
    except Hang:
        return Outcome(is_deserved, None, "hang", traceback.format_exc())
    except Exception:
        return Outcome(is_deserved, None, "uncaught exception", traceback.format_exc())
    try:
        keep_the_promise(played, script.scenario)
    except AssertionError:
        return Outcome(is_deserved, played, "broken invariant", traceback.format_exc())
    if played.is_ok and is_deserved is False:
        return Outcome(is_deserved, played, "false OK")
    if not played.is_ok and is_deserved:
        return Outcome(is_deserved, played, "false alarm")
    return Outcome(is_deserved, played)


def run(share: float) -> list[Figure]:
    """Play the first `share` of the sessions, and print defects as they happen."""
    count = max(1, round(COUNT * share))
    defects: Counter[str] = Counter()
    deserved: Counter[bool | None] = Counter()
    with Stage().set() as stage:
        for number in range(count):
            outcome = play(stage, number)
            deserved[outcome.is_deserved] += 1
            if outcome.defect:
                defects[outcome.defect] += 1
                if defects[outcome.defect] <= _SHOWN:
                    show(number, outcome)
    result = (
        f"{defects['uncaught exception']} uncaught exceptions, {defects['hang']} hangs,"
        f" {defects['false OK']} false OK, {defects['false alarm']} false alarms,"
        f" {defects['broken invariant']} broken invariants"
        f" ({deserved[True]:,} expected OK, {deserved[False]:,} expected a failure,"
        f" {deserved[None]:,} either)"
    )
    return [Figure("mutated sessions in process", count, result, sum(defects.values()))]


def show(number: int, outcome: Outcome) -> None:
    script, options = mutated(number)
    print(f"session {number}: {outcome.defect or 'no defect'}; OK expected: {outcome.is_deserved}")
    print(f"  {' '.join((*script.scenario.arguments(), *options))}")
    for turn in script.turns:
        pieces = " | ".join(
            repr(chunk.data)[1:][:300] + (" (late)" if chunk.is_late else "")
            for chunk in turn.chunks
        )
        print(f"  S: {pieces} {turn.end}")
    if outcome.played:
        print(f"  {outcome.played.run.out}")
    print(outcome.details, flush=True)


def main() -> int:
    with Stage().set() as stage:
        outcomes = {int(word): play(stage, int(word)) for word in sys.argv[1:]}
    for number, outcome in outcomes.items():
        show(number, outcome)
    return 1 if any(outcome.defect for outcome in outcomes.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
