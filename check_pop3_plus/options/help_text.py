"""The text of `--help`, wrapped at the width of the terminal."""

import os
import sys
import textwrap
from importlib.util import cache_from_source

from check_pop3_plus import __file__ as package
from check_pop3_plus import __version__
from check_pop3_plus.options.table import GROUPS, PROGRAM, Entry

WIDTH = 80
"""Columns if standard output is not a terminal."""

_COLUMN = 26
"""The column at which the help of an option begins; it begins a line below longer flags."""

_INTRODUCTION = f"""\
usage: {PROGRAM} -H NAME [options]

Check a POP3 server: availability, response time, login, and the validity and
remaining lifetime of its certificate.
"""

_CLOSING = """\
RANGE is that of the plugin guidelines, [@][start:][end]: alert outside of it,
with @ inside of it; ~ is minus infinity. KIND is the name on the `kind:` line
of a result that is not OK.

examples:
  up and answering:             check_pop3_plus -H pop.example.org
  login works:                  check_pop3_plus -H pop.example.org -S \\
                                  -U monitor --password-file FILE
  certificate verified:         check_pop3_plus -H pop.example.org -S
  WARNING 60 days before expiry: check_pop3_plus -H pop.example.org -S -D 60

Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; 3 for --help and --version."""


def terminal_width() -> int:
    """Return the columns of standard output if it is a terminal, else `WIDTH`."""
    try:
        return max(os.get_terminal_size(1).columns, 60)
    except OSError:
        return WIDTH


def render(width: int) -> str:
    """Return the whole text, its entries wrapped at `width` columns."""
    groups = (
        f"{title}:\n" + "".join(_entry(entry, width) for entry in entries)
        for title, entries in GROUPS.items()
    )
    return "\n".join((_INTRODUCTION, *groups, _CLOSING))


def version(is_verbose: bool) -> str:
    """Return the version, and with -v whether the package is compiled to bytecode."""
    shown = f"{PROGRAM} {__version__}"
    if not is_verbose:
        return shown
    place = os.path.dirname(package)
    modules = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(place)
        for name in names
        if name.endswith(".py")
    ]
    missing = sum(not os.path.exists(cache_from_source(each)) for each in modules)
    if not missing:
        return f"{shown}\nbytecode: complete"
    return (
        f"{shown}\nbytecode: missing for {missing} of {len(modules)} modules, so each run compiles"
        " them, which takes more than twice the CPU time; run as root:"
        f" {sys.executable} -m compileall -q {place}"
    )


def invocation(entry: Entry) -> str:
    """Return the names of an option and of its value: `-H, --hostname NAME`."""
    separator = " " if entry.value and not entry.is_optional else ""
    return ", ".join(entry.flags.split()) + separator + entry.value


def _entry(entry: Entry, width: int) -> str:
    flags = f"  {invocation(entry)}"
    lines = textwrap.wrap(entry.help, width - _COLUMN, break_on_hyphens=False)
    first = flags.ljust(_COLUMN) + lines.pop(0) if len(flags) <= _COLUMN - 2 else flags
    return "\n".join((first, *(" " * _COLUMN + line for line in lines))) + "\n"
