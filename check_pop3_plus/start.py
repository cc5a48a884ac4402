"""The entry point: reads the clock before all imports, and handles every uncaught error.

In every case one status line is printed and the exit code is from 0 to 3.
"""

import time

STARTED = time.monotonic()  # before all other imports, because their time counts, too

import contextlib  # noqa: E402
import gc  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Callable  # noqa: E402

from check_pop3_plus import TYPE_CHECKING  # noqa: E402
from check_pop3_plus.model.stopped import Stopped, uncaught  # noqa: E402
from check_pop3_plus.support import openssl_environment  # noqa: E402

if TYPE_CHECKING:
    from typing import NoReturn

_STACK_SIZE = 1024 * 1024
"""Bytes; OpenSSL needs a tenth of it."""

_WATCHDOG_SECONDS = 5.0
"""Seconds after the run timeout: a run on a slow machine has ended by then. With a run
timeout of 50 s this is before the 60 s after which a monitoring system kills the process."""


def run() -> "NoReturn":
    """Run the installed command."""
    # A single run ends before garbage matters, and collections during the imports cost 2 to 5 ms.
    # A sweep enables the collector again.
    gc.disable()
    openssl_environment.remove()
    _secure_descriptors()
    code = 3
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, _stop)
        # Both are inherited. With SIGCHLD ignored the exit code of a program reads as 0.
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        # Also with PYTHONWARNINGS=error a warning must not become an exception.
        warnings.simplefilter("ignore")
        # Each attempt has a thread; eight megabytes would exceed a memory limit.
        threading.stack_size(_STACK_SIZE)
        code = main(sys.argv[1:], STARTED, _set_watchdog)
    finally:
        # Not sys.exit: a resolver thread may be blocked in the C library, and nothing is left to
        # clean up or to flush.
        _stop_programs()
        os._exit(code)


def main(
    argv: list[str], started: float, set_watchdog: Callable[[float], None] | None = None
) -> int:
    """Return the exit code of one run; raises only on a second signal.

    `set_watchdog` is called with the instant (`time.monotonic()`) of the run timeout.
    """
    try:
        from check_pop3_plus import cli

        return cli.main(argv, started, set_watchdog)
    except Stopped:  # by a signal outside of the attempt
        seconds = time.monotonic() - started
        return _print_final_line(f"stopped from outside after {seconds:.0f} s", "stopped")
    except BaseException as error:  # SystemExit, or a panic in Rust, is not an Exception
        kind, message = uncaught(error)
        is_traced = kind == "bug" and any(argument.startswith("-vvv") for argument in argv)
        return _print_final_line(f"{kind}: {message}", kind, _trace(error) if is_traced else "")


def _set_watchdog(at: float) -> None:
    """Start the watchdog, which ends the process shortly after `at` even if it is blocked.

    Some waits cannot be limited: a new thread without memory to start, a full pipe of standard
    output, a slow disk.
    """
    signal.signal(signal.SIGALRM, _end_process)
    signal.setitimer(signal.ITIMER_REAL, max(at - time.monotonic(), 0) + _WATCHDOG_SECONDS)


def _end_process(*_: object) -> "NoReturn":
    os.set_blocking(1, False)
    _print_final_line("bug: not over in time", "bug")
    _stop_programs()
    os._exit(3)


def _stop_programs() -> None:
    """Kill the password commands and tools that threads have not waited for."""
    programs = sys.modules.get("check_pop3_plus.support.programs")
    if programs and hasattr(programs, "stop_all"):  # not where a signal ended its import
        programs.stop_all()


def _stop(*_: object) -> None:
    # The first signal ends the run; the rest takes milliseconds.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise Stopped


def _print_final_line(message: str, kind: str, trace: str = "") -> int:
    """Print a status line, without another module of the package if it fails.

    Returns the exit code.
    """
    shown = "".join(char if " " <= char <= "~" and char != "|" else "?" for char in message)
    line = f"POP3 UNKNOWN - {shown[:150]}\nkind: {kind}\n{trace}"
    with contextlib.suppress(BaseException):
        cli = sys.modules["check_pop3_plus.cli"]
        line = cli.render_error(shown[:150], kind, f"kind: {kind}\n{trace}")
    with contextlib.suppress(OSError):
        os.write(1, line.encode("ascii", "replace"))
    return 3


def _trace(error: BaseException) -> str:
    """Return the stack of an internal error without its text, which may quote a secret."""
    import traceback

    # `<lambda>` without its brackets, which web pages would take for markup.
    frames = [
        (os.path.basename(frame.filename).strip("<>"), frame.lineno, frame.name.strip("<>"))
        for frame in traceback.extract_tb(error.__traceback__)
    ]
    return "".join(f"trace: {file}, line {line}, {name}\n" for file, line, name in frames)


def _secure_descriptors() -> None:
    """Open descriptors 0 to 2 where they are closed, and send stderr to /dev/null.

    Otherwise the next socket would get the number of a closed one, and the output would be sent to
    the mail server. A closed standard output is replaced by one that cannot be written, so that the
    exit code is 3. Libraries in C and Rust write to stderr past the filters of Python.
    """
    with contextlib.suppress(OSError):  # no /dev/null, as in a bare chroot
        for descriptor in (0, 1, 2):
            try:
                os.fstat(descriptor)
            except OSError:
                os.open(os.devnull, os.O_RDONLY)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)
