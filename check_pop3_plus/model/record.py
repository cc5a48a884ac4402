"""The base of all records: named fields, compared by value, not to be changed.

Neither NamedTuple nor dataclass, because of what a run pays to create the classes: 0.19 ms for each
NamedTuple and 10 ms for the import of `dataclasses`, against 0.02 ms for a class here (measured
with Python 3.11; there are about sixty). Type checkers treat a record as a frozen dataclass, and
refuse a change.
"""

from check_pop3_plus import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from typing_extensions import dataclass_transform

    _R = TypeVar("_R", bound="Record")
else:

    def dataclass_transform(**_):
        return lambda cls: cls


MANY = 32
"""Records of a class from which on it has a constructor of its own: that is ten times as fast, but
compiling it costs as much as 20 records, and a single check makes a few of each class."""


@dataclass_transform(frozen_default=True, eq_default=True)
class Record:
    """A record. Its fields are the annotations of the class, its defaults the values there."""

    _fields: tuple[str, ...] = ()
    _field_names: frozenset[str] = frozenset()
    _defaults: "dict[str, Any]" = {}  # noqa: RUF012 - replaced in each subclass, never changed

    _made = 0

    def __init_subclass__(cls) -> None:
        cls._fields = tuple(cls.__annotations__)
        cls._field_names = frozenset(cls._fields)
        cls._defaults = {name: vars(cls)[name] for name in cls._fields if name in vars(cls)}

    def __init__(self, *values: "Any", **named: "Any") -> None:
        """Raises TypeError for a field that is missing, unknown or given twice."""
        cls = type(self)
        cls._made += 1
        if cls._made == MANY:
            cls.__init__ = _constructor(cls)  # type: ignore[method-assign]
        fields = self.__dict__
        fields.update(self._defaults, **named)
        if len(values) > len(self._fields) or named.keys() & self._fields[: len(values)]:
            raise TypeError(f"{cls.__name__}: too many values")
        fields.update(zip(self._fields, values, strict=False))
        if fields.keys() != self._field_names:
            wrong = ", ".join(sorted(fields.keys() ^ self._field_names))
            raise TypeError(f"{cls.__name__}: {wrong} is missing or unknown")

    def replace(self: "_R", **changes: "Any") -> "_R":
        """Return a copy with some fields changed."""
        return type(self)(**{**self.__dict__, **changes})

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other.__dict__ == self.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *(self.__dict__[name] for name in self._fields)))

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={self.__dict__[name]!r}" for name in self._fields)
        return f"{type(self).__name__}({shown})"


def _constructor(cls: type[Record]) -> "Callable[..., None]":
    """Return an `__init__` with the fields of a class as its parameters, as a dataclass has it."""
    defaults = {f"_{name}": value for name, value in cls._defaults.items()}
    parameters = (f"{name}=_{name}" if f"_{name}" in defaults else name for name in cls._fields)
    body = "; ".join(f"self.{name} = {name}" for name in cls._fields)
    exec(f"def __init__(self, {', '.join(parameters)}): {body}", defaults)  # noqa: S102 - names of ours
    made: Callable[..., None] = defaults["__init__"]
    return made
