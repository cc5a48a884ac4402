"""The text of --help."""

import os
import re

import pytest

from check_pop3_plus.options import help_text
from check_pop3_plus.options.table import BY_FLAG, COMMON, ENTRIES, UNSUPPORTED


@pytest.mark.parametrize("width", [38, 60, 80, 120])
def test_help_fits_the_width(width: int) -> None:
    """All of it is wrapped; only a word may be longer than a narrow line."""
    lines = help_text.render(width).splitlines()

    assert all(len(line) <= width or " " not in line.strip() for line in lines)
    assert max(map(len, lines)) > width - 10


def test_help_shows_common_options_first() -> None:
    """What the four common uses need stands on the first screen of 40 lines, before the rest."""
    first = "\n".join(help_text.render(80).splitlines()[:40])

    assert [name for name in COMMON if f"{name} " not in first.partition("server and")[0]] == []


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


def test_help_entry_is_complete_in_itself() -> None:
    """The Director shows each alone: none refers to its neighbour."""
    for entry in ENTRIES:
        assert not re.search(r"\b(the last two|above|below|same as)\b", entry.help), entry


def test_terminal_width_is_that_of_argparse(monkeypatch: pytest.MonkeyPatch) -> None:
    """COLUMNS first, then the terminal, then 80, as in a pipe."""

    def no_terminal(_: int) -> os.terminal_size:
        raise OSError

    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(os, "get_terminal_size", no_terminal)
    assert help_text.terminal_width() == 80
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((132, 40)))
    assert help_text.terminal_width() == 132
    monkeypatch.setenv("COLUMNS", "38")
    assert help_text.terminal_width() == 38
