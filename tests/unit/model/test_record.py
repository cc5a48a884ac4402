"""Records: fields, defaults, comparison."""

from __future__ import annotations

import pytest

from check_pop3_plus.model.record import Record


class Point(Record):
    x: int
    y: int = 2


def test_record_takes_values_by_position_and_by_name() -> None:
    """Fields come in the order of the annotations; a default stands in for a missing one."""
    point = Point(1)

    assert (point.x, point.y) == (1, 2)
    assert Point(1, y=3) == Point(y=3, x=1)
    assert repr(point) == "Point(x=1, y=2)"


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


def test_record_assignment_raises() -> None:
    """A record cannot be changed."""
    with pytest.raises(AttributeError, match="cannot be changed"):
        Point(1).x = 2  # type: ignore[misc]


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
