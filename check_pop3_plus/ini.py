"""INI files as monitoring-plugins read them: `[section]`, `key = value`, keys may repeat.

No interpolation (`33%` stands as it is), no continuation lines; `#` and `;` begin a comment
line. The standard library's reader has no repeated keys.
"""

import os

from check_pop3_plus import files
from check_pop3_plus.failures import Kind, ProbeError
from check_pop3_plus.text import Printable, clean

Section = list[tuple[str, str]]

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
    return parse(files.read(path, "options file").decode("utf-8", "surrogateescape"), path)


def parse(content: str, path: str) -> dict[str, Section]:
    """Return the sections of a text. Raises ProbeError (config) with the line that is wrong."""
    sections: dict[str, Section] = {}
    section: Section | None = None
    for number, line in enumerate(content.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped[0] in "#;":
            continue
        if stripped.startswith("[") and stripped.endswith("]"):
            section = sections.setdefault(stripped[1:-1].strip(), [])
            continue
        key, _, value = stripped.partition("=")
        if section is None or not key.strip():
            where = f"{clean(path)}, line {number}"
            raise ProbeError(Kind.CONFIG, Printable(f"{where}: neither [section] nor key = value"))
        section.append((key.strip(), value.strip()))
    return sections
