"""INI files as monitoring-plugins read them: `[section]`, `key = value`, keys may repeat.

No interpolation (`33%` stands as it is), no continuation lines; `#` and `;` begin a comment
line. The standard library's reader has no repeated keys.
"""

import os
import stat

from check_pop3_plus.failures import Kind, ProbeError
from check_pop3_plus.text import Printable, clean

SIZE_LIMIT = 1024 * 1024
"""Octets; far more than a thousand services need."""

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
    try:
        # Without waiting: a FIFO must not hang the check.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, encoding="utf-8", errors="surrogateescape") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ProbeError(Kind.CONFIG, Printable(f"{clean(path)} is not a regular file"))
            content = file.read(SIZE_LIMIT + 1)
    except (OSError, ValueError) as error:
        reason = clean(getattr(error, "strerror", None) or "invalid path")
        raise ProbeError(Kind.CONFIG, Printable(f"cannot read {clean(path)}: {reason}")) from error
    if len(content) > SIZE_LIMIT:
        raise ProbeError(Kind.CONFIG, Printable(f"{clean(path)} is larger than 1 MiB"))
    return parse(content, path)


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
