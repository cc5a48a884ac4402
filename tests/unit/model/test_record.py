"""Records: fields, defaults, comparison."""

from __future__ import annotations

import pytest

from check_pop3_plus.model.record import MANY, Record


class Point(Record):
    x: int
    y: int = 2


def test_record_takes_values_by_position_and_by_name() -> None:
    """Fields come in the order of the annotations; a default stands in for a missing one."""
    point = Point(1)

    assert (point.x, point.y) == (1, 2)
    assert Point(1, y=3) == Point(y=3, x=1)
    assert repr(point) == "Point(x=1, y=2)"


def test_record_of_which_many_are_made_is_as_before() -> None:
    """From then on a class has a constructor of its own, with the same fields and defaults."""

    class Word(Record):
        text: str
        parts: tuple[str, ...] = ()
        cls: int = 0

    words = [Word("a", cls=1) for _ in range(MANY + 1)]

    assert set(words) == {Word(text="a", parts=(), cls=1)}
    assert words[-1].replace(parts=("b",)) == Word("a", ("b",), 1)
    for values, named in (
        ((), {}),
        (("a", (), 0, 0), {}),
        (("a",), {"text": "a"}),
        (("a",), {"z": 1}),
    ):
        with pytest.raises(TypeError):
            Word(*values, **named)


def test_record_equal_values_have_equal_hashes() -> None:
    """Records serve as keys; another class with the same values is another record."""

    class Pair(Record):
        x: int
        y: int

    assert hash(Point(1)) == hash(Point(1, 2)) == hash(Point(y=2, x=1))
    assert Point(1) != Pair(1, 2)


def test_record_replace_returns_changed_copy() -> None:
    """The record itself stays as it is."""
    point = Point(1)

    assert point.replace(y=5) == Point(1, 5)
    assert point.y == 2


@pytest.mark.parametrize(
    ("values", "named", "reason"),
    [
        ((), {}, "x is missing"),
        ((1, 2, 3), {}, "too many values"),
        ((1,), {"x": 1}, "too many values"),
        ((1,), {"z": 1}, "z is missing or unknown"),
    ],
)
def test_record_wrong_fields_raise(
    values: tuple[int, ...], named: dict[str, int], reason: str
) -> None:
    """A missing, unknown or repeated field is a mistake of ours, and named."""
    with pytest.raises(TypeError, match=f"Point: {reason}"):
        Point(*values, **named)
