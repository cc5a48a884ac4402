"""The options of the plugin, for tests and templates that must cover all of them."""

from __future__ import annotations

from check_pop3_plus.options.table import BY_FLAG, ENTRIES, OF_SWEEPS

OPTIONS = {
    entry.name: entry
    for entry in ENTRIES
    if entry.name not in OF_SWEEPS and entry.name not in ("--help", "--version", "--output")
}
"""The options of a single check in a monitoring system, which reads no other format, by long name;
without those of check_pop that are refused."""

FLAGS = {flag for flag, entry in BY_FLAG.items() if not entry.unsupported}
VALUED = {flag for flag in FLAGS if BY_FLAG[flag].value and not BY_FLAG[flag].is_optional}
"""Flags that need a value."""
