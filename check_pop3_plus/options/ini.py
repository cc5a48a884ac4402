"""Read INI files as monitoring-plugins do: `[section]`, `key = value`, keys may repeat.

No interpolation (a percent sign has no special meaning), no continuation lines; `#` and `;` begin a
comment line. The reader of the standard library does not support repeated keys.
"""

import os
from collections.abc import Iterator

from check_pop3_plus.model.failures import FromFile, ProbeError, config_error
from check_pop3_plus.model.record import Record
from check_pop3_plus.support import files

Section = list[tuple[str, str]]


class Part(Record):
    """One occurrence of a section in a file; several may have the same name."""

    name: FromFile
    options: Section
    errors: list[ProbeError]
    """One for each line that is invalid."""


SEARCH_PATH = (
    "/usr/local/etc/monitoring-plugins/monitoring-plugins.ini",
    "/usr/local/etc/monitoring-plugins.ini",
    "/etc/monitoring-plugins/monitoring-plugins.ini",
    "/etc/monitoring-plugins.ini",
    "/etc/nagios/plugins.ini",
    "/usr/local/nagios/etc/plugins.ini",
    "/usr/local/etc/nagios/plugins.ini",
    "/etc/opt/nagios/plugins.ini",
    "/etc/nagios-plugins.ini",
    "/usr/local/etc/nagios-plugins.ini",
    "/etc/opt/nagios-plugins.ini",
)
"""Where monitoring-plugins look for `--extra-opts` (its lib/parse_ini.c)."""

_FILE_NAMES = ("monitoring-plugins.ini", "plugins.ini", "nagios-plugins.ini")


def find_default_file() -> str:
    """Return the default file: MP_CONFIG_FILE, NAGIOS_CONFIG_PATH, then `SEARCH_PATH`.

    Raises ProbeError (config) when there is none.
    """
    named = os.environ.get("MP_CONFIG_FILE")
    if named:
        return named
    directories = os.environ.get("NAGIOS_CONFIG_PATH", "").split(":")
    candidates = [f"{each}/{name}" for each in directories if each for name in _FILE_NAMES]
    for path in (*candidates, *SEARCH_PATH):
        if os.path.isfile(path):
            return path
    raise config_error(
        "--extra-opts: no default INI file found (searched {}, ...); use SECTION@FILE",
        SEARCH_PATH[0],
    )


def read_sections(path: str) -> dict[str, Section]:
    """Return the sections of a file, in order; those of one name are one.

    Raises ProbeError (config), also for an invalid line.
    """
    sections: dict[str, Section] = {}
    for part in read_parts(path, "options file"):
        if part.errors:
            raise part.errors[0]
        sections.setdefault(part.name, []).extend(part.options)
    return sections


def read_parts(path: str, what: str, limit: int = files.SIZE_LIMIT) -> Iterator[Part]:
    """Return what `parts` does. Raises ProbeError (config) also for a file that cannot be read."""
    content = files.read_file(path, what, limit, has_options=True)
    return parts(content.decode("utf-8", "surrogateescape"), path)


def parts(content: str, path: str) -> Iterator[Part]:
    """Yield each section of a text, with its errors.

    Raises ProbeError (config) for a line before the first section.
    """
    part: Part | None = None
    # An editor of Windows may put a byte order mark at the beginning.
    for number, line in enumerate(content.removeprefix("\ufeff").split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        if stripped[0] == "[":
            if part:
                yield part
            name = stripped[1:].removesuffix("]").strip()
            part = Part(FromFile.at(path, number, name), [], [])
        mistake = _mistake(stripped, part is not None)
        if mistake:
            error = config_error(mistake).at(FromFile.at(path, number, stripped))
            if part is None:
                raise error
            part.errors.append(error)
        elif part and stripped[0] != "[":
            key, _, value = stripped.partition("=")
            part.options.append((key.strip(), FromFile.at(path, number, value.strip())))
    if part:
        yield part


def _mistake(line: str, is_in_section: bool) -> str:
    """Return why a line is neither a section header nor an option; empty if it is one."""
    if "\0" in line:
        return "a NUL byte; save the file as text in UTF-8"
    if "\r" in line:
        return "lines end in CR alone; save the file with line ends of Unix (LF)"
    if line[0] == "[":
        if line[-1] == "]":
            return "" if line[1:-1].strip() else "section header without a name"
        comment = "; a comment needs a line of its own" if "]" in line else ""
        return "section header does not end with ]" + comment
    if line[0] != "=" and is_in_section:
        return ""
    is_option = line[0] != "=" and "=" in line
    return "option before the first [section]" if is_option else "neither [section] nor key = value"
