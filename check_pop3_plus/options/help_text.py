"""The text of `--help`, wrapped at the width of the terminal."""

import os
import shutil
import sys
import textwrap
from importlib.util import cache_from_source

from check_pop3_plus import __file__ as package
from check_pop3_plus import __version__
from check_pop3_plus.options.table import BY_FLAG, COMMON, GROUPS, PROGRAM, Entry

WIDTH = 80
"""Columns if standard output is not a terminal."""

_COLUMN = 26
"""The column at which the help of an option begins; it begins a line below longer flags."""

_NARROW = 60
"""Columns below which the help of an option always begins a line below its flags."""

_INDENT = 6

_EXAMPLES = (
    ("up and answering", ""),
    ("login works", " -S -U monitor --password-file FILE"),
    ("certificate verified", " -S"),
    (
        "WARNING at a quarter of the lifetime of the certificate, CRITICAL at a tenth",
        " -S -D 25%,10%",
    ),
)

_CLOSING = (
    "RANGE is that of the plugin guidelines, [@][start:][end]: alert outside of it, with @ inside"
    " of it; ~ is minus infinity.",
    "Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; 3 for --help and --version.",
)


def terminal_width() -> int:
    """Return the columns as argparse does: COLUMNS, those of the terminal, or else `WIDTH`."""
    return shutil.get_terminal_size((WIDTH, 24)).columns


def render(width: int) -> str:
    """Return the whole text, wrapped at `width` columns."""
    common = {"common options": [BY_FLAG[name] for name in COMMON]}
    others = {
        title: [entry for entry in entries if entry.name not in COMMON]
        for title, entries in GROUPS.items()
    }
    examples = "".join(
        f"{_wrapped(f'{purpose}:', width, 2)}\n"
        f"{_wrapped(f'{PROGRAM} -H pop.example.org{options}', width, 4)}\n"
        for purpose, options in _EXAMPLES
    )
    parts = (
        _wrapped(f"usage: {PROGRAM} -H NAME [options]", width),
        _wrapped(
            "Check a POP3 server: availability, response time, login, and the validity and"
            " remaining lifetime of its certificate.",
            width,
        ),
        *(
            f"{_wrapped(f'{title}:', width)}\n{''.join(_entry(each, width) for each in entries)}"
            for title, entries in (common | others).items()
            if entries
        ),
        f"examples:\n{examples}",
        *(_wrapped(text, width) for text in _CLOSING),
    )
    return "\n\n".join(part.rstrip("\n") for part in parts)


def version(is_verbose: bool) -> str:
    """Return the version, and with -v whether the package is compiled to bytecode."""
    shown = f"{PROGRAM} {__version__}"
    if not is_verbose:
        return shown
    installed = os.path.dirname(package)
    modules = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(installed)
        for name in names
        if name.endswith(".py")
    ]
    missing = sum(not os.path.exists(cache_from_source(each)) for each in modules)
    if not missing:
        return f"{shown}\nbytecode: complete"
    return (
        f"{shown}\nbytecode: missing for {missing} of {len(modules)} modules, so each run compiles"
        " them, which takes more than twice the CPU time; run as root:"
        f" {sys.executable} -m compileall -q {installed}"
    )


def invocation(entry: Entry) -> str:
    """Return the names of an option and of its value: `-H, --hostname NAME`."""
    separator = " " if entry.value and not entry.is_optional else ""
    return ", ".join(entry.flags.split()) + separator + entry.value


def _entry(entry: Entry, width: int) -> str:
    flags = f"  {invocation(entry)}"
    if width < _NARROW:
        return f"{_wrapped(flags, width)}\n{_wrapped(entry.help, width, _INDENT)}\n"
    text = _wrapped(entry.help, width, _COLUMN)
    if len(flags) <= _COLUMN - 2:
        return f"{flags}{text[len(flags) :]}\n"
    return f"{flags}\n{text}\n"


def _wrapped(text: str, width: int, indent: int = 0) -> str:
    margin = " " * indent
    return textwrap.fill(
        text,
        max(width, indent + 10),
        initial_indent=margin,
        subsequent_indent=margin,
        break_on_hyphens=False,
        break_long_words=False,
    )
