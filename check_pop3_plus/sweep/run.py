"""Check many services in parallel, with a verdict for each. Prints nothing.

Each service runs the code of a single check, in a daemon thread: an executor would be joined at
exit and wait for the slowest. Checks that are late when the sweep's time is up are abandoned.
"""

import resource
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from check_pop3_plus.check import run
from check_pop3_plus.check.verdict import Verdict
from check_pop3_plus.model.failures import ProbeError, config_error
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.settings import Secret, SecretSource, Settings, State
from check_pop3_plus.probe import password_source
from check_pop3_plus.support.deadline import Clock, Deadline
from check_pop3_plus.support.masking import Masker
from check_pop3_plus.sweep.services import Service, password_variables, settings_of

_PACE_SECONDS = 0.02
"""Between two decisions to start more threads."""

_BUSY = 0.3
"""Share of the time in which the process used a CPU; less is left on a loaded machine."""

_OTHER_DESCRIPTORS = 64
"""File descriptors that the process needs for anything but the connections."""

_READ_AHEAD = 32
"""Sections parsed in one batch."""

_ROUND_SECONDS = 0.02
"""How long results are collected: each wake-up of the main thread contends for the GIL."""


class Outcome(Record):
    """The result of one service."""

    service: Service
    verdict: Verdict
    is_readable: bool = True
    """Whether its section is valid; otherwise the verdict names the error."""
    began: float = 0.0
    """Seconds since the epoch."""
    ended: float = 0.0


class Run:
    """A running sweep: up to `jobs` threads take services from a queue and check them.

    `_waiting` holds the services whose sections are not parsed yet, `_read` those with their
    settings or error, `_done` the outcomes that the main thread has not collected. Only `_next`
    needs a lock; the operations on a deque are atomic.
    """

    def __init__(self, services: list[Service], jobs: int, deadline: Deadline) -> None:
        """Read the password variables; no thread is started before `outcomes` is called.

        At most `jobs` checks run at a time, fewer where the limit on open files is lower. No
        check starts after the deadline.
        """
        self._deadline = deadline
        # A job needs one descriptor for its connection; the process needs a few others.
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self._jobs = max(1, min(jobs, len(services), descriptors - _OTHER_DESCRIPTORS))
        self._waiting = deque(services)
        self._read: deque[tuple[Service, Settings | ProbeError]] = deque()
        self._reading = threading.Lock()
        self._done: deque[Outcome] = deque()
        self._left = len(services)
        self._variables = _read_variables(services, deadline)
        # The secrets of all sections are masked in every section.
        known = [each.reveal() for each in self._variables.values() if isinstance(each, Secret)]
        self._masker = Masker(known)

    def outcomes(self) -> Iterator[Outcome]:
        """Yield each outcome when it is there, until all services are done or the deadline passes.

        Raises ProbeError (config) when no thread can be started.
        """
        _load_while_there_is_memory()
        try:
            threading.Thread(target=self._add_threads, daemon=True).start()
            threading.Thread(target=self._work, daemon=True).start()
        except RuntimeError as error:
            raise config_error("cannot start a thread", cause=error) from error
        while True:
            while self._done:
                self._left -= 1
                yield self._done.popleft()
            if not self._left or not self._deadline.left():
                return
            time.sleep(min(_ROUND_SECONDS, self._deadline.left()))

    def _add_threads(self) -> None:
        """Start more threads while services wait and the process is mostly idle.

        Not all at once: busy threads contend for the GIL, and a sweep of fast servers then costs
        half as much again.
        """
        threads = 1
        while (self._waiting or self._read) and threads < self._jobs:
            before = time.process_time()
            time.sleep(_PACE_SECONDS)
            if time.process_time() - before > _PACE_SECONDS * _BUSY:
                continue
            for _ in range(min(threads, self._jobs - threads)):
                try:
                    threading.Thread(target=self._work, daemon=True).start()
                except RuntimeError:  # the limit of the system
                    return
                threads += 1

    def _work(self) -> None:
        """Check services until none is left or the deadline passes."""
        while self._deadline.left():
            found = self._next()
            if found is None:
                return
            began = time.time()
            outcome = self._check(*found)
            self._done.append(outcome.replace(began=began, ended=time.time()))

    def _next(self) -> tuple[Service, Settings | ProbeError] | None:
        """Return a service and its settings or their error; None when no service is left.

        Read in batches: the CPU caches are cold after each wait for a server.
        """
        with self._reading:
            while not self._read and self._waiting:
                for _ in range(min(_READ_AHEAD, len(self._waiting))):
                    service = self._waiting.popleft()
                    self._read.append((service, settings_of(service)))
            return self._read.popleft() if self._read else None

    def _check(self, service: Service, settings: Settings | ProbeError) -> Outcome:
        """Check one service. Never raises: a bug makes one service UNKNOWN, not the sweep."""
        if isinstance(settings, ProbeError):
            verdict = Verdict(State.UNKNOWN, f"{settings.kind.value}: {settings.message}")
            return Outcome(service, verdict, is_readable=False)
        try:
            verdict = run.run_check(settings, Clock(), self._secret(settings), self._masker)
            return Outcome(service, verdict)
        except ProbeError as error:
            verdict = Verdict(State.UNKNOWN, f"{error.kind.value}: {error.message}")
        except (ImportError, OSError, MemoryError) as error:
            what = "missing Python module" if isinstance(error, ImportError) else "local error"
            message = config_error("{}", what, cause=error).message
            verdict = Verdict(State.UNKNOWN, f"config: {message}", lines=("kind: config",))
        except BaseException as error:
            bug = f"internal error ({type(error).__name__})"
            verdict = Verdict(State.UNKNOWN, f"bug: {bug}", lines=("kind: bug",))
        return Outcome(service, verdict)

    def _secret(self, settings: Settings) -> Secret | None:
        """Return the password of a variable. Raises ProbeError (config) where it has none."""
        name = settings.login.source.env if settings.login else None
        if name is None:
            return None
        secret = self._variables[name]
        if isinstance(secret, ProbeError):
            raise secret
        return secret


def _load_while_there_is_memory() -> None:
    """Load cryptography before the threads start, where memory is limited.

    It aborts the process when it runs out of memory while it is loaded.
    """
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        from check_pop3_plus.certificate import reader

        with suppress(ImportError, MemoryError):  # reported by the checks that need it
            reader.prepare()


def _read_variables(services: list[Service], deadline: Deadline) -> dict[str, Secret | ProbeError]:
    """Read each password variable once: reading removes it, and sections may share one."""
    secrets: dict[str, Secret | ProbeError] = {}
    for name in password_variables(services):
        try:
            secrets[name] = password_source.read(SecretSource(env=name), deadline)
        except ProbeError as error:
            secrets[name] = error
    return secrets
