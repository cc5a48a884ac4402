"""Settings of one check from a command line, as tests need them."""

from __future__ import annotations

from collections.abc import Sequence

from check_pop3_plus.model.settings import Settings
from check_pop3_plus.options import parser


def check_settings(argv: Sequence[str]) -> Settings:
    """Return the settings of one check. Raises what `parser.read` raises."""
    settings = parser.read(argv)
    assert isinstance(settings, Settings)
    return settings
