"""The shipped configuration of Icinga 2 keeps up with the options of the plugin."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import pytest

from check_pop3_plus import options, sweep
from check_pop3_plus.settings import Sweep

TEMPLATES = Path(__file__).parent.parent / "icinga-templates"

OPTIONS = {
    action.option_strings[-1]: action
    for action in options.parser()._actions
    if action.help != argparse.SUPPRESS and action.dest not in ("help", "version")
}
"""By long name, without those of check_pop that are refused."""

OF_SWEEPS = {
    action.option_strings[-1]: OPTIONS.pop(action.option_strings[-1])
    for group in options.parser()._action_groups
    if str(group.title).startswith("sweep")
    for action in group._group_actions
}
"""They have a CheckCommand of their own."""


def arguments(file: str = "icinga2/check_pop3_plus.conf") -> list[tuple[str, str]]:
    """Return option and value of each argument of the CheckCommand."""
    text = (TEMPLATES / file).read_text()
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


def test_the_sweep_has_a_command_of_its_own() -> None:
    """What a sweep can be asked for, and how long it may take."""
    found = dict(arguments("sweep/check_pop3_plus_sweep.conf"))

    assert list(found) == [*OF_SWEEPS, "--run-timeout"]
    for option, value in found.items():
        assert f'"$pop3_plus_{option[2:].replace("-", "_")}$"' in value


def test_the_example_of_a_sweep_can_be_read() -> None:
    """Every section of the shipped file is one that the plugin takes."""
    path = TEMPLATES / "sweep" / "pop3-sweep.ini"
    wanted = options.read(["--sweep", str(path)])
    assert isinstance(wanted, Sweep)

    settings = [options.parse(service.words) for service in sweep.services(wanted)]

    assert [each.target.hostname for each in settings] == ["pop.example.org", "pop.example.net"]
