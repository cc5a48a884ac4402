"""Read argv, and sections of INI files, into `Settings`. No option may be abbreviated."""

import re
from collections import deque
from collections.abc import Iterable, Sequence

from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.settings import Settings, Sweep
from check_pop3_plus.options import ini, settings_builder, validators
from check_pop3_plus.options.table import BY_FLAG, PROGRAM, Entry, Given
from check_pop3_plus.options.validators import UsageError


class Asked(Exception):
    """Help or version was asked for; the text is the message."""


def read(argv: Sequence[str]) -> Settings | Sweep:
    """Return the settings of the check or sweep that a command line describes.

    Raises UsageError (or ProbeError of kind config, for an INI file), and Asked.
    """
    given = _read_command_line(argv)
    if "--sweep" in given:
        return settings_builder.sweep(given)
    return settings_builder.settings(given)


def parse(argv: Sequence[str]) -> Settings:
    """Return the settings of one check. Raises as `read` does; a sweep is a UsageError."""
    return settings_builder.settings(_read_command_line(argv))


def read_section(section: Iterable[tuple[str, str]]) -> Given:
    """Return the options of an INI section. Raises UsageError and Asked."""
    reader = _Reader()
    reader.read_lines(section)
    return reader.result()


def _read_command_line(argv: Sequence[str]) -> Given:
    """Read the INI sections that `--extra-opts` names, then all other words.

    The order is that of monitoring-plugins: the command line comes last and wins.
    """
    reader = _Reader()
    kept: list[str] = []
    words = deque(argv)
    while words:
        word = words.popleft()
        name, separator, locator = word.partition("=")
        if name != "--extra-opts":
            kept.append(word)
            continue
        if not separator and words and not words[0].startswith("-"):
            locator = words.popleft()
        reader.read_lines(_find_section(locator))
    reader.read_words(kept)
    return reader.result()


def _find_section(locator: str) -> ini.Section:
    name, _, path = locator.partition("@")
    path = path or ini.find_default_file()
    section = ini.read_sections(path).get(name or PROGRAM)
    if section is None:
        raise UsageError("no section {} in {}", name or PROGRAM, path)
    return section


class _Reader:
    """Collects options. An unknown one is an error in the end: `--help` behind it is answered."""

    def __init__(self) -> None:
        self._given = Given()
        self._unknown: UsageError | None = None

    def result(self) -> Given:
        """Return all options. Raises UsageError if one was unknown."""
        if self._unknown:
            raise self._unknown
        return self._given

    def read_words(self, argv: Iterable[str]) -> None:
        """Read the words of a command line."""
        previous = ""
        words = deque(argv)
        while words:
            word = words.popleft()
            short = BY_FLAG.get(word[:2])
            if short and not short.value and word[2:3] not in ("", "="):
                words.extendleft((f"-{word[2:]}", word[:2]))  # bundled flags, one after the other
                continue
            flag, separator, value = word.partition("=")
            if flag not in BY_FLAG and short:
                flag, separator, value = word[:2], "=", word[2:]
            entry = BY_FLAG.get(flag)
            if entry is None:
                self._unknown = self._unknown or _unknown(word, previous)
            elif separator:
                self._add(entry, flag, value)
            elif entry.value and not entry.is_optional and words:
                self._add(entry, flag, words.popleft())
            else:
                self._add(entry, flag, None)
            previous = flag

    def read_lines(self, section: Iterable[tuple[str, str]]) -> None:
        """Read the lines of an INI section: an empty value is none, a one-letter key is short."""
        for key, value in section:
            flag = key if key.startswith("-") else f"-{key}" if len(key) == 1 else f"--{key}"
            if flag == "--extra-opts":
                raise UsageError("extra-opts is only allowed on the command line")
            entry = BY_FLAG.get(flag)
            if entry:
                self._add(entry, flag, value or None)
            else:  # perhaps bundled flags, or a short one with its value
                self.read_words([f"{flag}={value}" if value else flag])

    def _add(self, entry: Entry, flag: str, value: str | None) -> None:
        """Add an option; `value` is None where there is none."""
        if not entry.value and value is not None:
            message = "{} takes no value; in an INI file write just {}"
            raise UsageError(message, flag, flag.lstrip("-"))
        if entry.unsupported:
            raise UsageError("{} of check_pop is not supported: " + entry.unsupported, flag)
        if value == "--" or (value is None and entry.value and not entry.is_optional):
            raise UsageError("{} needs a value", flag)
        if entry.name in ("--help", "--version"):
            raise Asked(_told(entry.name))
        if entry.choices:
            validators.choice(value or "", entry.name, entry.choices)
        self._given.setdefault(entry.name, []).append(value or "")


def _told(name: str) -> str:
    if name == "--version":
        from check_pop3_plus import __version__

        return f"{PROGRAM} {__version__}"
    from check_pop3_plus.options import help_text

    return help_text.render(help_text.terminal_width())


def _unknown(word: str, previous: str) -> UsageError:
    """Return the error for a word that is no option.

    It is shown only if it begins with a dash: any other may be meant for a password.
    """
    ending = "; see --help"
    if word.startswith("-"):
        name = sanitise(re.split(r"[=\s]", word)[0], 60)
        cure = validators.nearest(name, [flag for flag in BY_FLAG if flag.startswith("--")])
        return UsageError("unknown argument {}{}" + ending, name, cure)
    where = sanitise(f"after {previous}", 66) if previous else "at the beginning"
    return UsageError("unknown argument {} (not shown, might be a password)" + ending, where)
