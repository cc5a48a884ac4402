"""Replace the code of a loaded module, including the objects that other modules have imported."""

import ast
import sys
from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any


def graft(tree: ast.Module, module: ModuleType) -> None:
    """Give a loaded module the code, defaults and constants of `tree`."""
    new = ModuleType(module.__name__)
    new.__file__ = module.__file__
    exec(compile(tree, str(module.__file__), "exec"), vars(new))

    def translated(value: Any) -> Any:
        """Return the same with the loaded functions and classes in place of the new ones."""
        match value:
            case FunctionType() | type() if value.__module__ == module.__name__:
                return vars(module).get(value.__name__, value)
            case dict():
                return {translated(key): translated(each) for key, each in value.items()}
            case tuple() | list() | set() | frozenset() if type(value).__module__ == "builtins":
                return type(value)(translated(each) for each in value)
        return value

    for name, value in vars(new).items():
        old = vars(module).get(name)
        if name.startswith("__") or old is value:
            continue
        if isinstance(value, type) and value.__module__ == module.__name__:
            _class(old, value, translated)
        elif _is_function(value) and value.__module__ == module.__name__:
            _function(old, value, translated)
        else:
            _constant(name, old, translated(value))


def _is_function(value: object) -> bool:
    return isinstance(value, FunctionType) or hasattr(value, "cache_clear")


def _function(old: Any, new: Any, translated: Callable[[Any], Any]) -> None:
    if hasattr(old, "cache_clear"):
        old.cache_clear()
        old, new = old.__wrapped__, new.__wrapped__
    old.__code__ = new.__code__
    old.__defaults__ = translated(new.__defaults__)
    old.__kwdefaults__ = translated(new.__kwdefaults__)
    # A function that another one made at import has its arguments in cells.
    for cell, other in zip(old.__closure__ or (), new.__closure__ or (), strict=True):
        cell.cell_contents = translated(other.cell_contents)


def _class(old: Any, new: Any, translated: Callable[[Any], Any]) -> None:
    for name, value in vars(new).items():
        if name.startswith("__annotate"):  # from Python 3.14 on a function; no mutant changes it
            continue
        before = vars(old).get(name)
        match value:
            case FunctionType() if len(value.__code__.co_freevars) != len(
                before.__code__.co_freevars  # a call of super() was added or removed
            ):
                setattr(old, name, FunctionType(value.__code__, before.__globals__, name))
            case FunctionType():
                _function(before, value, translated)
            case staticmethod() | classmethod():  # `__new__`, which has the defaults, is one
                _function(before.__func__, value.__func__, translated)
            case property(fget=FunctionType() as getter):
                _function(before.fget, getter, translated)
            case str() | bytes() | int() | float() | dict() | None:  # a dict: of defaults
                setattr(old, name, translated(value))
            case _ if type(value).__module__ == old.__module__:  # a descriptor of the module
                _descriptor(before, value, translated)


def _descriptor(old: Any, new: Any, translated: Callable[[Any], Any]) -> None:
    """Change the object itself, because the loaded functions ask for its loaded class."""
    before = dict(vars(old))
    vars(old).clear()
    vars(old).update(vars(new))
    for name, value in vars(new).items():
        if isinstance(value, FunctionType):
            _function(before[name], value, translated)
            vars(old)[name] = before[name]


def _constant(name: str, old: object, value: object) -> None:
    """Set a constant wherever it was imported."""
    for each in list(sys.modules.values()):
        if (
            each
            and each.__name__.startswith(("check_pop3_plus", "tests"))
            and (vars(each).get(name, each) is old)
        ):
            setattr(each, name, value)
