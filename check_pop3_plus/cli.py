"""Wire up one run, and print."""

import sys
from collections.abc import Callable

from check_pop3_plus.check import run
from check_pop3_plus.check.verdict import Verdict
from check_pop3_plus.model.failures import ProbeError
from check_pop3_plus.model.settings import Secret, SecretSource, Settings, State, Sweep
from check_pop3_plus.options import parser
from check_pop3_plus.options.table import Asked
from check_pop3_plus.options.validators import UsageError
from check_pop3_plus.output.plugin_text import render
from check_pop3_plus.probe import password_source
from check_pop3_plus.support.deadline import Clock
from check_pop3_plus.support.files import emit


def main(
    argv: list[str], started: float, set_watchdog: Callable[[float], None] | None = None
) -> int:
    """Run the check, or the sweep, that `argv` describes and print its verdict.

    Return the exit code.

    `started` is the instant (`time.monotonic()`) from which every limit counts; `fasten` is told
    the one at which the run should be over.
    """
    try:
        settings = parser.read(argv)
        if isinstance(settings, Sweep):
            from check_pop3_plus.sweep import main as sweep_main

            if set_watchdog:
                set_watchdog(started + settings.run_timeout)
            return sweep_main.main(settings, started)
        secret, started = _asked_for(settings, started)
        if set_watchdog:
            set_watchdog(started + settings.limits.run_timeout)
        verdict = run.run_check(settings, started, secret)
    except Asked as asked:
        return emit(f"{asked}\n".replace("\n\n\n", "\n\n"), State.UNKNOWN)
    except ProbeError as error:
        # One line: who mistyped an option needs no long output.
        verdict = Verdict(State.UNKNOWN, f"{error.kind.value}: {error.message}")
    return emit(render(verdict), verdict.state)


def _asked_for(settings: Settings, started: float) -> tuple[Secret | None, float]:
    """Ask for the password where no source is given; the clock starts after the answer."""
    login = settings.login
    if login is None or not login.needs_secret or login.source != SecretSource():
        return None, started
    if not sys.stdin or not sys.stdin.isatty():
        raise UsageError(
            "no source of the password: --password-file, --password-env or --password-command"
        )
    return password_source.ask(login.username), Clock()
