"""Untrusted bytes become one printable line."""

import pytest

from check_pop3_plus.model.sanitised_text import Printable, joined, open_ended, printable, sanitise


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"+OK ready\r\n", "+OK ready"),
        (b"+OK <1896.697170952@dbc.mtview.ca.us>", "+OK (1896.697170952@dbc.mtview.ca.us)"),
        (b"a|time=0s;;;; ", "a?time=0s;;;;"),
        (b"\x1b[31mred\x1b[0m", "?red?"),
        (b"\x1b]0;title\x07text", "?text"),
        ("Zürich", "Z?rich"),
        (b"a\tb\0c\r\nd", "a?b?c??d"),
        ("a\u2028b\u202ec", "a?b?c"),
        (b"`id` $HOME \\n", "?id? ?HOME ?n"),
        (b"x" * 101, "x" * 97 + "..."),
        (b"x" * 100, "x" * 100),
        (b"x" * 96 + b" " + b"y" * 9, "x" * 96 + "..."),
        (b"", ""),
        (b"  MAX X&Y X\r\n", "MAX X+Y X"),
        (b"\r\n\n", ""),
    ],
)
def test_sanitise_replaces_what_is_harmful(said: bytes | str, shown: str) -> None:
    """Harmless characters are kept; `?` stands for the rest."""
    assert sanitise(said) == shown


@pytest.mark.parametrize("kind", [str, bytes])
def test_sanitise_reads_4096_characters_at_most(kind: type) -> None:
    """What follows in a reply of 64 KiB costs no time."""
    within, beyond = " " * 4095 + "x", " " * 4096 + "x"
    if kind is bytes:
        assert (sanitise(within.encode()), sanitise(beyond.encode())) == ("x", "")
    else:
        assert (sanitise(within), sanitise(beyond)) == ("x", "")


def test_printable_sanitises_each_argument() -> None:
    """What is printable already stays as it is, however long; braces in it mean nothing."""
    long = Printable("x" * 200)

    assert printable("a {} b {} c {}", "{}|", long, 3) == f"a {{}}? b {long} c 3"
    assert printable("{ no template }") == "{ no template }"
    assert printable("{}", b"\xff{0}") == "?{0}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("at X", "at X"),
        ("[AUTH] Authentication failed.", "[AUTH] Authentication failed"),
        ("Login failed!", "Login failed"),
        ("it is 5 p.m.;", "it is 5 p.m"),
        ("cut off...", "cut off..."),
        ("unknown user?", "unknown user?"),
        ("no stop", "no stop"),
        ("", ""),
    ],
)
def test_open_ended_drops_the_final_stop_of_a_quote(text: str, expected: str) -> None:
    """What stands for cut or unprintable characters is kept."""
    assert open_ended(text) == expected
    assert isinstance(open_ended(printable("{}", text)), Printable)


def test_joined_keeps_the_stop_of_the_last_text() -> None:
    """No punctuation of ours follows the last text."""
    assert joined("; ", ["one.", "two!", "three."]) == "one; two; three."
    assert joined("; ", ["one."]) == "one."
