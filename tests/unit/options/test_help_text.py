"""The text of --help."""

import os

import pytest

from check_pop3_plus.options import help_text
from check_pop3_plus.options.table import BY_FLAG, ENTRIES, UNSUPPORTED


@pytest.mark.parametrize("width", [60, 80, 120])
def test_help_fits_the_width(width: int) -> None:
    """Entries are wrapped; the examples fit 80 columns."""
    lines = help_text.render(width).splitlines()

    assert max(map(len, lines)) <= max(width, 80)


def test_help_has_each_entry_once() -> None:
    """In full, and none of the unsupported options of check_pop."""
    text = " ".join(help_text.render(1000).split())

    for entry in ENTRIES:
        assert text.count(f"{help_text.invocation(entry)} {entry.help}") == 1
    for entry in UNSUPPORTED:
        assert entry.name not in text


def test_help_entries_are_one_line_and_unique_flags() -> None:
    """No two entries share a flag, and each text can be put into a form of the Director."""
    flags = [flag for entry in (*ENTRIES, *UNSUPPORTED) for flag in entry.flags.split()]

    assert len(flags) == len(set(flags)) == len(BY_FLAG)
    assert all(entry.help and "\n" not in entry.help for entry in ENTRIES)


def test_terminal_width_without_terminal_is_80(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a pipe; with a terminal it is that of the terminal."""

    def no_terminal(_: int) -> os.terminal_size:
        raise OSError

    monkeypatch.setattr(os, "get_terminal_size", no_terminal)
    assert help_text.terminal_width() == 80
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((132, 40)))
    assert help_text.terminal_width() == 132
