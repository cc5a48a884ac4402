"""From argv, or a section of an INI file, to `Settings`: the words before and around argparse."""

import argparse
import re
from collections import deque
from collections.abc import Sequence

from check_pop3_plus.model.sanitised_text import Printable, sanitise
from check_pop3_plus.model.settings import (
    Settings,
    Sweep,
)
from check_pop3_plus.options import ini, settings_builder
from check_pop3_plus.options.table import PROGRAM, Parser, parser
from check_pop3_plus.options.validators import UsageError


def read(argv: Sequence[str]) -> Settings | Sweep:
    """Return what a command line means.

    Raises UsageError (or ProbeError of kind config, for an INI file), and Asked.
    """
    table = parser()
    words = _joined(table, _with_extra_options(list(argv)))
    chosen = _chosen(table, words)
    return (
        settings_builder.settings(chosen)
        if chosen.sweep is None
        else settings_builder.sweep(chosen, words)
    )


def parse(argv: Sequence[str], table: Parser | None = None) -> Settings:
    """Return the settings of one check; `table` is the parser, where there is one already.

    Raises as `read` does.
    """
    table = table or parser()
    return settings_builder.settings(
        _chosen(table, _joined(table, _with_extra_options(list(argv))))
    )


def _chosen(table: Parser, words: list[str]) -> argparse.Namespace:
    chosen, rest = table.parse_known_args(words)
    if rest:
        raise UsageError(f"unknown argument {_named(rest[0], words)} (--help shows the options)")
    return chosen


def _named(word: str, words: list[str]) -> Printable:
    """Return what may be shown of a word that is no option: it may be meant for a password."""
    name = re.split(r"[=\s]", word)[0]
    if word.startswith("-"):
        return sanitise(name, 60)
    before = words[: words.index(word)] if word in words else []
    which = f"after {sanitise(before[-1].partition('=')[0], 60)}" if before else "at the beginning"
    return Printable(f"{which}, not shown here: it may be a secret")


# --- the command line before argparse --------------------------------------------------------


def _with_extra_options(argv: list[str]) -> list[str]:
    """Return the options of the INI sections named in argv, then argv without `--extra-opts`.

    The order is monitoring-plugins': what stands on the command line comes last and wins.
    """
    from_files: list[str] = []
    kept: list[str] = []
    position = 0
    while position < len(argv):
        argument = argv[position]
        position += 1
        name, separator, locator = argument.partition("=")
        if name != "--extra-opts":
            kept.append(argument)
            continue
        if not separator and position < len(argv) and not argv[position].startswith("-"):
            locator = argv[position]
            position += 1
        from_files += _section_options(locator)
    return from_files + kept


def _section_options(locator: str) -> list[str]:
    name, _, path = locator.partition("@")
    path = path or ini.find()
    section = ini.read(path).get(name or PROGRAM)
    if section is None:
        raise UsageError(f"no section {sanitise(name or PROGRAM)} in {sanitise(path)}")
    return section_to_argv(section)


def section_to_argv(section: ini.Section) -> list[str]:
    """Return an INI section as options: an empty value is a flag, a one-letter key a short one."""
    options = []
    for key, value in section:
        flag = key if key.startswith("-") else f"-{key}" if len(key) == 1 else f"--{key}"
        if flag == "--extra-opts":
            raise UsageError("extra-opts cannot stand in an INI file")
        options.append(f"{flag}={value}" if value else flag)
    return options


def _joined(table: Parser, argv: list[str]) -> list[str]:
    """Join each option with the value behind it, so that `-w -5:10` is not taken for two options.

    argparse takes what begins with a dash for an option, and with `-4` and `-6` in the table
    negative numbers too. What it makes of `-4H=--` depends on the Python version.
    """
    valued = table.valued
    # The value of these can only be joined already: the word behind is none of theirs.
    optional = {
        flag for action in table._actions if action.const == "" for flag in action.option_strings
    }
    joined: list[str] = []
    words = deque(argv)
    while words:
        word = words.popleft()
        if word[:2] in table.bare and word[2:3] not in ("", "="):
            words.extendleft((f"-{word[2:]}", word[:2]))  # what is bundled, one after the other
            continue
        if word in valued:
            value = words.popleft() if words else None
            if value is None:
                raise UsageError(f"{word} needs a value")
            word = f"{word}={value}"
        elif word in optional:
            word += "="
        flag, separator, value = word.partition("=")
        if separator and flag in table.bare:
            name = flag.lstrip("-")
            raise UsageError(
                f"{flag} takes no value; in a file it is a line {sanitise(name)} alone"
            )
        # argparse takes `--` out of a value, too, and leaves none.
        takes_one = flag in valued or flag in optional
        if (value == "--" and takes_one) or word.removesuffix("--") in valued:
            raise UsageError(f"{word.removesuffix('--').rstrip('=')} needs a value")
        joined.append(word)
    return joined
