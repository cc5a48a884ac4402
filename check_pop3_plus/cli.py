"""Run the check or sweep of a command line and print the result."""

import sys
from collections.abc import Callable

from check_pop3_plus.check import run
from check_pop3_plus.check.verdict import Verdict, of_error
from check_pop3_plus.model.failures import ProbeError
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.settings import Secret, Settings, State, Sweep
from check_pop3_plus.options import parser, validators
from check_pop3_plus.options.table import Given
from check_pop3_plus.output import plugin_text
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.support.deadline import Clock
from check_pop3_plus.support.files import emit

_render: Callable[[Verdict], str] = plugin_text.render
"""Renders a verdict in the output format of this run, as far as the options are read."""


def main(
    argv: list[str], started: float, set_watchdog: Callable[[float], None] | None = None
) -> int:
    """Run the check or sweep that `argv` describes, print its verdict and return the exit code.

    All limits count from `started` (`time.monotonic()`); `set_watchdog` is called with the instant
    of the run timeout.
    """
    given = Given()
    try:
        settings = _read(argv, given)
        if isinstance(settings, Sweep):
            from check_pop3_plus.sweep import main as sweep_main

            if set_watchdog:
                set_watchdog(started + settings.run_timeout)
            return sweep_main.run_sweep(settings, started)
        secret, started = _prompt_for_password(settings, started)
        if set_watchdog:
            set_watchdog(started + settings.limits.run_timeout)
        verdict = run.run_check(settings, started, Prerequisites(settings, secret))
    except parser.HelpRequested as text:
        return emit(f"{text}\n", State.UNKNOWN)
    except ProbeError as error:
        # One line: a usage error needs no long output.
        verdict = of_error(error).replace(host=sanitise(given.last("--hostname") or ""))
    return emit(_render(verdict), verdict.state)


def _read(argv: list[str], given: Given) -> Settings | Sweep:
    """Read the options, and the output format also where one of them is wrong."""
    global _render
    _render = plugin_text.render
    try:
        return parser.read(argv, given)
    finally:
        if name := given.last("--output"):
            from importlib import import_module

            _render = import_module(f"check_pop3_plus.output.{name}_text").render


def render_error(message: str, kind: str, lines: str) -> str:
    """Return the output of a run that an error ended outside of a check."""
    return _render(Verdict(State.UNKNOWN, message, lines=tuple(lines.splitlines()), kinds=(kind,)))


def _prompt_for_password(settings: Settings, started: float) -> tuple[Secret | None, float]:
    """Prompt for the password if no source is given; return it and the instant after the prompt."""
    login = settings.login
    if login is None or not login.lacks_source:
        return None, started
    if not sys.stdin or not sys.stdin.isatty():
        raise validators.no_password(login.username)
    from check_pop3_plus.probe import password_source

    return password_source.prompt(login.username), Clock()
