"""Run the check or sweep of a command line and print the result."""

import sys
from collections.abc import Callable

from check_pop3_plus.check import run
from check_pop3_plus.check.verdict import Verdict
from check_pop3_plus.model.failures import ProbeError
from check_pop3_plus.model.settings import Secret, SecretSource, Settings, State, Sweep
from check_pop3_plus.options import parser
from check_pop3_plus.options.validators import UsageError
from check_pop3_plus.output.plugin_text import render
from check_pop3_plus.probe import password_source
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.support.deadline import Clock
from check_pop3_plus.support.files import emit


def main(
    argv: list[str], started: float, set_watchdog: Callable[[float], None] | None = None
) -> int:
    """Run the check or sweep that `argv` describes, print its verdict and return the exit code.

    All limits count from `started` (`time.monotonic()`); `set_watchdog` is called with the instant
    of the run timeout.
    """
    try:
        settings = parser.read(argv)
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
        verdict = Verdict(State.UNKNOWN, f"{error.kind.value}: {error.message}")
    return emit(render(verdict), verdict.state)


def _prompt_for_password(settings: Settings, started: float) -> tuple[Secret | None, float]:
    """Prompt for the password if no source is given; return it and the instant after the prompt."""
    login = settings.login
    if login is None or not login.needs_secret or login.source != SecretSource():
        return None, started
    if not sys.stdin or not sys.stdin.isatty():
        raise UsageError(
            "no password given: use --password-file, --password-env or --password-command"
        )
    return password_source.prompt(login.username), Clock()
