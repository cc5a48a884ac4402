"""Load a library without the modules that it imports and a run does not use.

For nagiosplugin these were a fifth of the instructions of a plain check: its command line, log and
state files need them, the classes of which a plugin is made do not.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType

from check_pop3_plus import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any


@contextmanager
def deferred(*names: str) -> Iterator[None]:
    """Let what is imported meanwhile load the modules of these names only when it uses them."""
    stand_ins = [_StandIn(name) for name in names if name not in sys.modules]
    sys.modules.update({each.__name__: each for each in stand_ins})
    try:
        yield
    finally:
        for each in stand_ins:
            _remove(each)


class _StandIn(ModuleType):
    """Loads the module of its name when an attribute is read.

    It has no methods, which would hide functions of the module.
    """

    def __getattr__(self, attribute: str) -> "Any":
        # A module that logs calls getLogger when it is imported.
        if (self.__name__, attribute) == ("logging", "getLogger"):
            return partial(_Logger, self)
        return getattr(_loaded(self), attribute)


class _Logger:
    """Creates the logger of its name when an attribute is read."""

    def __init__(self, logging: _StandIn, name: str | None = None) -> None:
        self._logging = logging
        self._name = name

    def __getattr__(self, attribute: str) -> "Any":
        return getattr(_loaded(self._logging).getLogger(self._name), attribute)


def _loaded(stand_in: _StandIn) -> ModuleType:
    _remove(stand_in)
    __import__(stand_in.__name__)
    return sys.modules[stand_in.__name__]


def _remove(stand_in: _StandIn) -> None:
    if sys.modules.get(stand_in.__name__) is stand_in:
        del sys.modules[stand_in.__name__]
