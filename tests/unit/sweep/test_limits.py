"""What a sweep does about the limits of the machine."""

import resource

import pytest

from check_pop3_plus.certificate import reader
from check_pop3_plus.sweep import limits


@pytest.mark.parametrize(("limit", "calls"), [(resource.RLIM_INFINITY, 0), (1 << 30, 1)])
def test_cryptography_is_loaded_first_where_memory_is_limited(
    limit: int, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It aborts the process when memory runs out while it is loaded."""
    loaded: list[None] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    monkeypatch.setattr(reader, "prepare", lambda: loaded.append(None))

    limits.load_while_there_is_memory()

    assert len(loaded) == calls
