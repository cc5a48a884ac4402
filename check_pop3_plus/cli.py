"""Wire up one run, and print."""

import sys
from collections.abc import Callable

from check_pop3_plus import check, credentials, options
from check_pop3_plus.check import Verdict
from check_pop3_plus.failures import ProbeError
from check_pop3_plus.output import emit
from check_pop3_plus.settings import Secret, SecretSource, Settings, State, Sweep
from check_pop3_plus.table import Asked
from check_pop3_plus.timing import Clock
from check_pop3_plus.values import UsageError


def main(argv: list[str], started: float, fasten: Callable[[float], None] | None = None) -> int:
    """Run the check, or the sweep, that `argv` describes and print its verdict.

    Return the exit code.

    `started` is the instant (`time.monotonic()`) from which every limit counts; `fasten` is told
    the one at which the run should be over.
    """
    try:
        settings = options.read(argv)
        if isinstance(settings, Sweep):
            from check_pop3_plus import sweep_cli

            if fasten:
                fasten(started + settings.run_timeout)
            return sweep_cli.main(settings, started)
        secret, started = _asked_for(settings, started)
        if fasten:
            fasten(started + settings.limits.run_timeout)
        verdict = check.run(settings, started, secret)
    except Asked as asked:
        return emit(f"{asked}\n".replace("\n\n\n", "\n\n"), State.UNKNOWN)
    except ProbeError as error:
        # One line: who mistyped an option needs no long output.
        verdict = Verdict(State.UNKNOWN, f"{error.kind.value}: {error.message}")
    return emit(verdict.text(), verdict.state)


def _asked_for(settings: Settings, started: float) -> tuple[Secret | None, float]:
    """Ask for the password where no source is given; the clock starts after the answer."""
    login = settings.login
    if login is None or not login.needs_secret or login.source != SecretSource():
        return None, started
    if not sys.stdin or not sys.stdin.isatty():
        raise UsageError(
            "no source of the password: --password-file, --password-env or --password-command"
        )
    return credentials.ask(login.username), Clock()
