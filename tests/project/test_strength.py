"""The mutation testing tool: its mutants, and what it leaves unchanged."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.strength import FOLDER, GROUPS, UNITS, WHOLE, source
from tests.strength.graft import graft
from tests.strength.operators import mutants
from tests.strength.table import Outcome, explained, table


def changes(source: str) -> list[str]:
    """Return the mutants of a line."""
    return [each.key.rpartition(" => ")[2] for each in mutants("m", source)]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("if a < b:\n    f()", ["if a <= b: f()", "if a >= b: f()", "pass"]),
        ("if a:\n    f()", ["if not a: f()", "pass"]),
        ("x = a and b", ["x = None", "x = a or b"]),
        ("x = not a", ["x = None", "x = a"]),
        ("x.y = a + b", ["pass", "x.y = a - b"]),
        ("x.y = 1", ["pass", "x.y = 2"]),
        ("x.y = True", ["pass", "x.y = False"]),
        ("x.y = b'a'", ["pass", "x.y = b'XXaXX'"]),
        ("x.y = f'a{b}'", ["pass", "x.y = f'XXaXX{b}'"]),
        ("x.y = a[1:2]", ["pass", "x.y = a[:2]", "x.y = a[1:]", "x.y = a[2:2]", "x.y = a[1:3]"]),
        ("x.y = min(a)", ["pass", "x.y = max(a)"]),
        ("x.y = a.strip()", ["pass", "x.y = a"]),
        ("x += a", ["x = a", "x -= a"]),
        ("raise error", ["pass"]),
        ("while a:\n    break", ["while not a: break", "continue"]),
        (
            "def f(a: int = 1) -> None:\n    return a",
            ["def f(a: int=2) -> None: return a", "return None"],
        ),
    ],
)
def test_mutants_of_a_line_are_the_usual_ones(source: str, expected: list[str]) -> None:
    """Each operator gives its mutants."""
    assert changes(source) == expected


@pytest.mark.parametrize(
    "source",
    [
        '"""A docstring."""',
        "x: int | None = None",
        "import a",
        "assert a < b",
        "if TYPE_CHECKING:\n    x = 1",
        "T = TypeVar('T')",
        "Steps = Generator[int, int, int]",
        "@lru_cache(maxsize=64)\ndef f() -> None:\n    pass",
        "x = 1 | None",
        "class C:\n    __slots__ = ('a',)",
    ],
)
def test_mutants_skip_code_without_effect(source: str) -> None:
    """Code that changes nothing at run time, or only speed, has no mutants."""
    assert [each for each in changes(source) if each != "x = None"] == []


def test_mutant_key_survives_changes_elsewhere() -> None:
    """The key is function and text; equal ones are numbered."""
    found = list(mutants("m", "class C:\n    def f(self):\n        g()\n        g()"))

    assert [each.key for each in found] == ["m.C.f: g() => pass", "m.C.f: g() => pass #2"]
    assert [each.lines for each in found] == [range(3, 4), range(4, 5)]


def test_mutant_key_of_long_line_shows_only_the_change() -> None:
    """Tables have lines of hundreds of characters."""
    numbers = ", ".join(str(number) for number in range(100, 180))
    found = [each.key for each in mutants("m", f"TABLE.x = ({numbers})")]

    assert len(found) == 81
    assert all(len(key) < 200 for key in found[1:])
    assert "139, 140, 141" in found[41]
    assert "139, 141, 141" in found[41]


def test_jump_covers_its_condition() -> None:
    """The compiler generates no line for the jump itself."""
    found = list(mutants("m", "def f():\n    while a:\n        if b:\n            break"))

    assert [each.lines for each in found] == [range(2, 3), range(3, 4), range(3, 4)]


def test_mutant_at_module_level_runs_every_test() -> None:
    """A constant is read when the module is loaded."""
    assert [each.lines for each in mutants("m", "X.y = 1\ndef f(a=1):\n    pass")] == [None] * 3


MODULE = """
from functools import lru_cache
from typing import NamedTuple
LIMIT = 1
TABLE = {}
def f(a=LIMIT):
    return a
TABLE["f"] = f
@lru_cache
def g():
    return LIMIT
class N(NamedTuple):
    n: int = LIMIT
def made(value):
    def inner():
        return value
    return inner
h = made(LIMIT)
class D:
    def __init__(self, add):
        self.first = 1
        self.add = add
    def __get__(self, *_):
        return self.add(self.first)
class C(Exception):
    word = "a"
    __hash__ = Exception.__hash__
    defaults = {"a": LIMIT}
    d = D(lambda value: value + LIMIT)
    def __init__(self):
        super().__init__("a")
    @property
    def p(self):
        return LIMIT
"""


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("check_pop3_plus.made_up")
    module.__file__ = "made_up.py"
    exec(compile(MODULE, "made_up.py", "exec"), vars(module))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def test_graft_replaces_imported_names(loaded: Any) -> None:
    """Functions, classes and constants that other modules have imported change, too."""
    f, g, h, made = loaded.f, loaded.g, loaded.h, loaded.C()
    assert (f(), g(), h()) == (1, 1, 1)

    changed = MODULE.replace("LIMIT = 1", "LIMIT = 2").replace('("a")', '("b")')
    graft(ast.parse(changed.replace('word = "a"', 'word = "b"')), loaded)

    assert (f(), g(), h(), loaded.LIMIT, made.p, made.word) == (2, 2, 2, 2, 2, "b")
    assert loaded.C().args == ("b",)
    assert loaded.C.defaults == {"a": 2}
    assert loaded.N() == (2,)
    assert list(loaded.TABLE.items()) == [("f", f)]
    assert (loaded.f, loaded.C) == (f, type(made))


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ("value + LIMIT", "value - LIMIT", 0),
        ("first = 1", "first = 2", 3),
        ("self.first = 1", "pass", AttributeError),
        ("return self.add", "return 9 + self.add", 11),
        ("LIMIT = 1", "LIMIT = 5", 6),
    ],
)
def test_graft_replaces_descriptors(
    old: str, new: str, found: int | type[Exception], loaded: Any
) -> None:
    """What an object in a class was made with changes, too."""
    graft(ast.parse(MODULE.replace(old, new)), loaded)

    if isinstance(found, int):
        assert loaded.C.d == found
    else:
        with pytest.raises(found):
            _ = loaded.C.d


def test_graft_replaces_special_methods(loaded: Any) -> None:
    """Without a hash objects cannot be in a set."""
    graft(ast.parse(MODULE.replace("= Exception.__hash__", "= None")), loaded)

    with pytest.raises(TypeError, match="unhashable"):
        hash(loaded.C())


def test_graft_removes_call_of_super(loaded: Any) -> None:
    """The mutant then has no closure."""
    graft(ast.parse(MODULE.replace('super().__init__("a")', "pass")), loaded)

    assert loaded.C().args == ()


def test_table_fails_below_the_required_score() -> None:
    """Four of five kills are enough per module; explained survivors still count."""
    killed = [Outcome(f"grammar: {number}", "grammar", True, False) for number in range(4)]
    survivor = Outcome("grammar: x", "grammar", False, False)

    text, is_enough = table([*killed, survivor], {"grammar: x"}, "1 test", 1)
    assert is_enough
    assert "| grammar | 5 | 4 | 0 | 1 | 1 | 80.0 % |" in text
    assert not table([*killed[:3], survivor], set(), "1 test", 1)[1]


def test_units_name_existing_modules_and_tests() -> None:
    """No name is stale."""
    for modules in GROUPS.values():
        assert all(source(module).exists() for module in modules)
    assert all(Path(f"{FOLDER}/tests/{name}").exists() for name in (*UNITS, *WHOLE))


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 writes tuples otherwise")
def test_explained_survivors_are_mutants() -> None:
    """An explanation is removed together with its code."""
    made = {
        each.key
        for modules in GROUPS.values()
        for module in modules
        for each in mutants(module, source(module).read_text(), explained())
    }

    assert explained()
    assert explained() <= made
