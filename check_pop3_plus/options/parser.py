"""Read argv and sections of INI files into `Settings`; options cannot be abbreviated."""

import re
from collections import deque
from collections.abc import Iterable, Sequence

from check_pop3_plus.model.failures import FromFile, ProbeError, with_origin_of
from check_pop3_plus.model.sanitised_text import printable
from check_pop3_plus.model.settings import Settings, Sweep
from check_pop3_plus.options import ini, settings_builder, validators
from check_pop3_plus.options.table import BY_FLAG, PROGRAM, Entry, Given
from check_pop3_plus.options.validators import UsageError

_YES, _NO = ("true", "yes", "1"), ("false", "no", "0")
"""Values of a flag in an INI file."""


class HelpRequested(Exception):
    """`--help` or `--version` is given; the text to print is the message."""


def read(argv: Sequence[str], given: Given | None = None) -> Settings | Sweep:
    """Return the settings of the check or sweep that a command line describes.

    `given` receives the options, also those before an error. Raises UsageError (or ProbeError of
    kind config, for an INI file), and HelpRequested.
    """
    given = _read_command_line(argv, Given() if given is None else given)
    try:
        if "--sweep" not in given:
            return settings_builder.settings(given)
        from check_pop3_plus.options import sweep_builder

        return sweep_builder.sweep(given)
    except UsageError as error:
        raise with_origin(error, given) from None


def with_origin(error: UsageError, given: Given) -> ProbeError:
    """Return an error with the origin of the first of its options that stands in an INI file."""
    names = [BY_FLAG[flag].name for flag in error.options if flag in BY_FLAG]
    found = [given.last(name) for name in names]
    return error.at(next((value for value in found if isinstance(value, FromFile)), None))


def read_section(section: Iterable[tuple[str, str]]) -> Given:
    """Return the options of an INI section; a flag that is switched off has no values.

    Raises UsageError and HelpRequested.
    """
    reader = _Reader(Given())
    reader.read_lines(section)
    return Given({**reader.off, **reader.result()})


def _read_command_line(argv: Sequence[str], given: Given) -> Given:
    """Read the INI sections that `--extra-opts` names, then all other arguments.

    The order is that of monitoring-plugins: the command line comes last and wins.
    """
    reader = _Reader(given)
    others: list[str] = []
    arguments = deque(argv)
    while arguments:
        argument = arguments.popleft()
        name, separator, locator = argument.partition("=")
        if name != "--extra-opts":
            others.append(argument)
            continue
        if not separator and arguments and not arguments[0].startswith("-"):
            locator = arguments.popleft()
        reader.read_lines(_find_section(locator))
    reader.read_arguments(others)
    return reader.result()


def _find_section(locator: str) -> ini.Section:
    name, separator, path = locator.partition("@")
    if not separator and ("/" in name or name.endswith(".ini")):
        raise UsageError("--extra-opts {}: a file needs an @; use @{}", name, name)
    path = path or ini.find_default_file()
    sections = ini.read_sections(path)
    section = sections.get(name or PROGRAM)
    if section is None:
        from check_pop3_plus.options import mistakes

        near = mistakes.nearest(name or PROGRAM, sections)
        known = printable("; it has {}", ", ".join(f"[{each}]" for each in sections) or "none")
        raise UsageError("no section [{}] in {}{}", name or PROGRAM, path, near or known)
    return section


class _Reader:
    """Collects options. An unknown one is an error only at the end: `--help` after it works."""

    def __init__(self, given: Given) -> None:
        self._given = given
        self.off: dict[str, list[str]] = {}
        self._line: str | None = None
        """The value in the current line of an INI file."""
        self._unknown: tuple[str, str, str | None] | None = None
        """The first unknown argument, the flag before it, and the value in its line."""
        self._is_verbose = False
        """Whether -v is in the command line, before or after --version."""

    def result(self) -> Given:
        """Return all options. Raises UsageError if one was unknown."""
        if self._unknown:
            from check_pop3_plus.options import mistakes

            argument, previous, line = self._unknown
            has_host = "--hostname" in self._given
            raise UsageError("{}", mistakes.unknown_argument(argument, previous, has_host)).at(line)
        return self._given

    def read_arguments(self, argv: Iterable[str]) -> None:
        previous = ""
        arguments = deque(argv)
        self._is_verbose = any(re.match("-v|--verbose$", each) for each in arguments)
        while arguments:
            argument = arguments.popleft()
            first, rest = argument[:2], argument[2:]
            # With one dash in place of two it would be read as flags: `-verify` as -v -e rify.
            is_long = f"-{argument.partition('=')[0]}" in BY_FLAG
            short = None if is_long else BY_FLAG.get(first)
            if short and not short.value and rest[:1] not in ("", "="):
                arguments.extendleft((f"-{rest}", first))  # bundled flags, one after the other
                continue
            flag, separator, value = argument.partition("=")
            if flag not in BY_FLAG and short:
                flag, separator, value = first, "=", rest
            entry = BY_FLAG.get(flag)
            if entry is None:
                self._unknown = self._unknown or (argument, previous, self._line)
            elif separator:
                self._add(entry, flag, value)
            elif entry.value and not entry.is_optional and arguments:
                _check_not_option(flag, arguments[0])
                self._add(entry, flag, arguments.popleft())
            else:
                self._add(entry, flag, None)
            previous = flag

    def read_lines(self, section: Iterable[tuple[str, str]]) -> None:
        """Read the lines of an INI section: an empty value counts as none, one letter is short."""
        for key, value in section:
            self._line = value
            try:
                self._read_line(key, value)
            except UsageError as error:
                raise error.at(value) from None
        self._line = None

    def _read_line(self, key: str, value: str) -> None:
        flag = key if key.startswith("-") else f"-{key}" if len(key) == 1 else f"--{key}"
        if flag == "--extra-opts":
            raise UsageError("extra-opts is only allowed on the command line")
        entry = BY_FLAG.get(flag)
        is_flag = entry is not None and (not entry.value or entry.is_optional)
        has_path = entry is not None and entry.value in ("FILE", "DIR")
        if (
            re.search(r"\s[#;]", key)
            or (is_flag and value[:1] in ("#", ";"))
            or (has_path and re.search(r"\s[#;]", value))
        ):
            raise UsageError("a comment needs a line of its own")
        if entry is None and (name := re.match(r"(-*[\w-]+)(\s|\s*:)", key)):
            words = name[1].lstrip("-")
            if f"--{words}" in BY_FLAG:
                raise UsageError("no equals sign behind {}: write {} = VALUE", words, words)
        # The shell syntax of a command has quotes of its own.
        if entry and entry.value != "CMD" and re.fullmatch("\"[^\"]*\"|'[^']*'", value):
            raise UsageError("invalid {}: an INI file needs no quotes around a value", flag)
        if entry and is_flag and value.lower() in _NO:
            self._given.pop(entry.name, None)
            self.off[entry.name] = []
            return
        if entry:
            is_set = is_flag and value.lower() in _YES
            self._add(entry, flag, None if is_set else value or None)
        else:  # possibly bundled flags, or a short one with its value
            self.read_arguments([f"{flag}={value}" if value else flag])

    def _add(self, entry: Entry, flag: str, value: str | None) -> None:
        """Add an option; `value` is None where there is none."""
        if not entry.value and value is not None:
            message = "{} takes no value; in an INI file write just {}, or true or false"
            raise UsageError(message, flag, flag.lstrip("-"))
        if entry.unsupported:
            raise UsageError("{} of check_pop is not supported: " + entry.unsupported, flag)
        if value == "--" or (value is None and entry.value and not entry.is_optional):
            raise UsageError("{} needs a value", flag)
        if entry.name in ("--help", "--version"):
            raise HelpRequested(_help_or_version(entry.name, self._is_verbose))
        if entry.choices and (value or not entry.is_optional):
            validators.check_choice(value or "", entry.name, entry.choices)
        self._given.setdefault(entry.name, []).append(with_origin_of(self._line, value or ""))


def _check_not_option(flag: str, value: str) -> None:
    """Raise UsageError if the value of an option was forgotten, so that the next one follows."""
    if value in BY_FLAG and not value[1:].isdigit():  # `-w -4` is a range
        message = "{} needs a value, but the option {} follows"
        raise UsageError(message, flag, value)


def _help_or_version(name: str, is_verbose: bool) -> str:
    from check_pop3_plus.options import help_text

    if name == "--version":
        return help_text.version(is_verbose)
    return help_text.render(help_text.terminal_width())
