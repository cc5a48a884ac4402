"""Run the property tests with hundreds of times as many examples as in `make test`."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Iterator
from importlib import import_module
from types import ModuleType
from typing import Any

from hypothesis import HealthCheck, given, settings

from tests.soak import Figure

EXAMPLES = {
    "test_output": 1_000,
    "test_grammar": 50_000,
    "test_text": 20_000,
    "test_ranges": 50_000,
}
"""Of each test, by module."""


def run(share: float) -> list[Figure]:
    """Run each property test; examples are the same in every run of one share."""
    return [
        _tried(test, max(1, int(examples * share)))
        for name, examples in EXAMPLES.items()
        for test in _property_tests(import_module(f"tests.properties.{name}"))
    ]


def _property_tests(module: ModuleType) -> Iterator[Any]:
    """Yield the tests of a module whose arguments all come from Hypothesis."""
    for name, test in vars(module).items():
        if name.startswith("test_") and hasattr(test, "hypothesis"):
            parameters = inspect.signature(test.hypothesis.inner_test).parameters
            if set(parameters) == set(test.hypothesis._given_kwargs):
                yield test


def _tried(test: Any, examples: int) -> Figure:
    what = test.__name__.removeprefix("test_").replace("_", " ")
    runs = 0

    def counted(**drawn: Any) -> None:
        nonlocal runs
        runs += 1
        test.hypothesis.inner_test(**drawn)

    repeated = settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )(given(**test.hypothesis._given_kwargs)(counted))
    try:
        repeated()
    except BaseException:
        traceback.print_exc()
        return Figure(what, runs, "a counter-example, see above", 1)
    return Figure(what, runs, "0 counter-examples")
