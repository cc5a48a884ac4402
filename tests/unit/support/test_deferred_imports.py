"""Unit tests of modules that are loaded only when they are used."""

import importlib
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from check_pop3_plus.support.deferred_imports import deferred


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A library that imports a module, and uses it in a function."""
    (tmp_path / "rarely_used.py").write_text("def load():\n    return 'loaded'\n")
    (tmp_path / "a_library.py").write_text(
        "import rarely_used\nimport logging\nlog = logging.getLogger(__name__)\n"
        "def use():\n    return rarely_used.load()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "a_library"
    for name in ("a_library", "rarely_used"):
        sys.modules.pop(name, None)


def test_deferred_module_is_loaded_at_its_first_use(library: str) -> None:
    """The library finds the functions of the module, also one with a common name."""
    with deferred("rarely_used"):
        module = importlib.import_module(library)
    before = "rarely_used" in sys.modules

    assert (before, module.use(), "rarely_used" in sys.modules) == (False, "loaded", True)
    assert module.use() == "loaded"


def test_deferred_module_that_is_used_during_the_import_is_loaded(library: str) -> None:
    """Names taken from the module are its own."""
    with deferred("rarely_used"):
        function = __import__("rarely_used", fromlist=["load"]).load
        replaced = sys.modules["rarely_used"]

    assert function() == "loaded"
    assert sys.modules["rarely_used"] is replaced
    assert replaced.__file__


def test_deferred_module_that_is_loaded_already_stays(library: str) -> None:
    """There is nothing to save."""
    module = importlib.import_module("rarely_used")
    with deferred("rarely_used"):
        assert sys.modules["rarely_used"] is module
    assert sys.modules["rarely_used"] is module


@pytest.mark.parametrize("name", ["a.library", None])
def test_deferred_logger_is_the_real_one(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the library logs arrives where the program has asked for it."""
    monkeypatch.delitem(sys.modules, "logging")
    with deferred("logging"):
        stand_in = sys.modules["logging"]
        logger = stand_in.getLogger(name) if name else stand_in.getLogger()
        assert sys.modules["logging"] is stand_in
    monkeypatch.setitem(sys.modules, "logging", logging)

    assert isinstance(stand_in, ModuleType)
    assert logger.info == logging.getLogger(name).info
