"""INI files as monitoring-plugins read them: `[section]`, `key = value`, keys may repeat.

No interpolation (`33%` stands as it is), no continuation lines; `#` and `;` begin a comment
line. The standard library's reader has no repeated keys.
"""

import os
from collections.abc import Iterator

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.sanitised_text import Printable, sanitise
from check_pop3_plus.support import files

Section = list[tuple[str, str]]


class Part(Record):
    """A section as it stands in a file; several may have one name."""

    name: str
    options: Section
    errors: list[ProbeError]
    """Lines that are none."""


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


def find() -> str:
    """Return the default file: MP_CONFIG_FILE, NAGIOS_CONFIG_PATH, then `SEARCH_PATH`.

    Raises ProbeError (config) when there is none.
    """
    named = os.environ.get("MP_CONFIG_FILE")
    if named:
        return named
    folders = os.environ.get("NAGIOS_CONFIG_PATH", "").split(":")
    candidates = [f"{folder}/{name}" for folder in folders if folder for name in _FILE_NAMES]
    for path in (*candidates, *SEARCH_PATH):
        if os.path.isfile(path):
            return path
    raise ProbeError(Kind.CONFIG, Printable("no file for --extra-opts found; name one by @FILE"))


def read(path: str) -> dict[str, Section]:
    """Return the sections of a file, in order. Raises ProbeError (config)."""
    return parse(files.read_file(path, "options file").decode("utf-8", "surrogateescape"), path)


def parse(content: str, path: str) -> dict[str, Section]:
    """Return the sections of a text. Raises ProbeError (config) with the line that is wrong."""
    sections: dict[str, Section] = {}
    for part in parts(content, path):
        if part.errors:
            raise part.errors[0]
        sections.setdefault(part.name, []).extend(part.options)
    return sections


def parts(content: str, path: str) -> Iterator[Part]:
    """Yield each section of a text, with what is wrong in it.

    Raises ProbeError (config) for what stands before the first, and so is in none.
    """
    part: Part | None = None
    for number, line in enumerate(content.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        key, _, value = stripped.partition("=")
        if stripped[0] == "[":
            if part:
                yield part
            part = Part(stripped[1:].removesuffix("]").strip(), [], [])
            if stripped[-1] != "]":
                part.errors.append(_wrong(path, number))
        elif part is None:
            raise _wrong(path, number)
        elif key:
            part.options.append((key.strip(), value.strip()))
        else:
            part.errors.append(_wrong(path, number))
    if part:
        yield part


def _wrong(path: str, number: int) -> ProbeError:
    message = f"{sanitise(path)}, line {number}: neither [section] nor key = value"
    return ProbeError(Kind.CONFIG, Printable(message))
