"""The shipped configuration of Icinga 2 keeps up with the options of the plugin."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from check_pop3_plus import options

TEMPLATES = Path(__file__).parent.parent / "icinga-templates"

OPTIONS = {
    action.option_strings[-1]: action
    for action in options.parser()._actions
    if action.help != argparse.SUPPRESS and action.dest not in ("help", "version")
}
"""By long name, without those of check_pop that are refused."""


def arguments() -> list[tuple[str, str]]:
    """Return option and value of each argument of the CheckCommand."""
    text = (TEMPLATES / "icinga2" / "check_pop3_plus.conf").read_text()
    block = re.search(r"^  arguments = \{\n(.*?)^  \}", text, re.MULTILINE | re.DOTALL)
    assert block
    return re.findall(
        r'^    "(--[\w-]+)[^"\n]*" = (.*?)(?=^    \S)', block[1] + "    .", re.MULTILINE | re.DOTALL
    )


def test_every_option_has_an_argument_and_no_more() -> None:
    """What the plugin has, Icinga can ask for, in the order of --help."""
    assert list(dict.fromkeys(option for option, _ in arguments())) == list(OPTIONS)


@pytest.mark.parametrize("option", OPTIONS)
def test_the_variable_has_the_name_of_the_option(option: str) -> None:
    """A flag asks its variable whether, any other option what."""
    variable = f'"$pop3_plus_{option[2:].replace("-", "_")}$"'
    value = dict(reversed(arguments()))[option].strip()

    match OPTIONS[option]:
        case argparse._StoreTrueAction():
            assert value == f"{{ set_if = {variable} }}"
        case argparse._CountAction():
            assert f"set_if = {variable}" in value
        case _:
            assert value == variable
