"""Check many services in parallel, with a verdict for each. Prints nothing.

Each service runs the code of a single check, in a daemon thread: an executor would be joined at
exit and wait for the slowest. Checks that are late when the sweep's time is up are abandoned.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from functools import partial

from check_pop3_plus.check import run
from check_pop3_plus.check.verdict import Verdict, of_error
from check_pop3_plus.model.failures import ProbeError
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.sanitised_text import Sanitiser
from check_pop3_plus.model.settings import Sweep
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.support.deadline import Clock, Deadline, end_helper
from check_pop3_plus.sweep import limits
from check_pop3_plus.sweep.known_secrets import KnownSecrets
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.services import Service
from check_pop3_plus.sweep.task_queue import AddressBusy, Task, TaskQueue

_PACE_SECONDS = 0.02
"""Between two decisions to start more threads."""

_BUSY = 0.3
"""Share of the time in which the process used a CPU; less is left on a loaded machine."""

_HOLD_SECONDS = 1.0
"""How long no thread is started after a shortage."""

_TRIES_ALONE = 3
"""How often a service is tried for which resources are short although no other check runs."""

CURE = "; lower --jobs, or raise the limit (ulimit)"
"""Of a shortage."""

_ROUND_SECONDS = 0.02
"""How long results are collected: each wake-up of the main thread contends for the GIL."""


class Workload(Record):
    """What a sweep, or one of its worker processes, has to do."""

    services: list[Service]
    wanted: Sweep
    deadline: Deadline
    """No check starts after it."""
    secrets: KnownSecrets
    senders: int
    """Threads that submit results; each needs a descriptor."""


class Run:
    """A running sweep: up to `jobs` threads take services from a queue and check them.

    `_done` holds the outcomes that the main thread has not collected; the operations on a deque are
    atomic.
    """

    def __init__(self, load: Workload) -> None:
        """Start no thread: `outcomes` does.

        At most `jobs` checks run at a time, fewer where the limit on open files is lower.
        """
        services, wanted = load.services, load.wanted
        self._deadline = load.deadline
        self._secrets = load.secrets
        self._masker = load.secrets.masker
        self._queue = TaskQueue(services, wanted.jobs_per_address)
        self._lock = threading.Lock()
        self._done: deque[tuple[Outcome, Sanitiser]] = deque()
        self._left = len(services)
        self._threads = 0
        self._is_adding = False
        self._hold_until = 0.0
        """No thread is started before, because one could not be, or met a shortage."""
        self._jobs, self.shortage = limits.parallel_checks(
            services, min(wanted.jobs, len(services)), load.senders
        )
        """The last shortage, for the services that are not done because of it."""

    @property
    def why_late(self) -> str:
        """Why services are not done at the deadline, as far as that is known."""
        if self.shortage:
            return self.shortage + CURE
        if self._queue.is_parked():
            return "others at the same address were busy; see --jobs-per-address"
        return ""

    def outcomes(self) -> Generator[Outcome, None, None]:
        """Yield each outcome when it is there, until all services are done or the deadline passes.

        One whose verdict has a `shortage` is no result: the service is not done.
        """
        for _ in self.rounds():
            yield from self.finished()

    def finished(self) -> Iterator[Outcome]:
        """Yield the outcomes that are there, with all secrets masked that are known now."""
        while self._done:
            self._left -= 1
            yield self._masked(*self._done.popleft())

    def rounds(self) -> Iterator[None]:
        """Yield when there may be outcomes, until all are `finished` or the deadline passes."""
        limits.load_while_there_is_memory()
        while True:
            yield
            if not self._left or not self._deadline.left():
                return
            self._start_adding()
            time.sleep(min(_ROUND_SECONDS, self._deadline.left()))

    def _masked(self, outcome: Outcome, sanitise: Sanitiser) -> Outcome:
        """Mask the secrets that were learnt elsewhere after a check began with `sanitise`."""
        if sanitise is self._masker.sanitise:
            return outcome
        return outcome.replace(verdict=outcome.verdict.masked(self._masker))

    def _start_adding(self) -> None:
        """Start a thread that starts the others, unless there is one or it has nothing to do."""
        if not self._is_adding and self._needs_threads() and Clock() >= self._hold_until:
            self._is_adding = True
            if not self._start(self._add_threads):
                self._is_adding = False

    def _needs_threads(self) -> bool:
        is_due = self._queue.is_waiting() and self._deadline.left() > 0
        return is_due and self._threads < self._jobs

    def _add_threads(self) -> None:
        """Start threads while services are queued and the process is mostly idle.

        Not all at once: busy threads contend for the GIL, and a sweep of fast servers then costs
        half as much again.
        """
        try:
            while self._needs_threads() and Clock() >= self._hold_until:
                for _ in range(min(max(1, self._threads), self._jobs - self._threads)):
                    self._count_threads(1)
                    if not self._start(self._work):
                        self._count_threads(-1)
                        break
                self._pace()
        except MemoryError:
            self._hold("no memory to start a thread")
        finally:
            self._is_adding = False

    def _pace(self) -> None:
        """Wait until the process is mostly idle."""
        before = time.process_time() - _PACE_SECONDS
        while time.process_time() - before > _PACE_SECONDS * _BUSY and self._needs_threads():
            before = time.process_time()
            time.sleep(_PACE_SECONDS)

    def _count_threads(self, change: int) -> None:
        with self._lock:
            self._threads += change

    def _start(self, work: Callable[[], None]) -> bool:
        """Start a thread, and return whether that was possible."""
        try:
            threading.Thread(target=work, daemon=True).start()
        except (RuntimeError, MemoryError):
            self._hold("cannot start a thread")
            return False
        return True

    def _hold(self, shortage: str) -> None:
        self.shortage = shortage
        self._hold_until = Clock() + _HOLD_SECONDS

    def _work(self) -> None:
        """Check services until none is due, the deadline passes, or resources are short.

        Then fewer threads are left, which need less, until more can be started again.
        """
        task: Task | None = None
        try:
            while self._deadline.left():
                task = None
                task = self._queue.next()
                if task is None:
                    return
                began, sanitise = time.time(), self._masker.sanitise
                try:
                    verdict = self._check(task)
                except AddressBusy:
                    self._queue.put_back(task, is_due=True)
                    continue
                if verdict.shortage:
                    if self._may_try_again(task, verdict):
                        self._queue.put_back(task, is_due=False)
                        return
                    verdict = verdict.replace(shortage=verdict.shortage + CURE)
                self._queue.leave(task)
                is_readable = not isinstance(task.settings, ProbeError)
                outcome = Outcome(task.service, verdict, is_readable, began, time.time())
                self._done.append((outcome, sanitise))
        except MemoryError:
            self._hold("no memory for a service")
            if task:  # not done, whatever it lacked memory for
                self._queue.put_back(task, is_due=False)
        finally:
            self._count_threads(-1)
            end_helper()

    def _may_try_again(self, task: Task, verdict: Verdict) -> bool:
        """Return whether a service that lacked resources may be checked again.

        Not after a login began, and not when it failed although no other check ran.
        """
        with self._lock:
            task.tries_alone += self._threads == 1
        self._hold(verdict.shortage)
        return verdict.is_repeatable and task.tries_alone < _TRIES_ALONE

    def _check(self, task: Task) -> Verdict:
        """Check one service. A bug makes one service UNKNOWN, not the sweep.

        Raises AddressBusy alone.
        """
        settings = task.settings
        assert settings is not None  # noqa: S101 - its section is parsed
        if isinstance(settings, ProbeError):
            return of_error(settings)
        try:
            if task.prerequisites is None:
                task.prerequisites = Prerequisites(
                    settings,
                    self._secrets.secret_of(settings),
                    self._masker,
                    partial(self._queue.admit, task, settings),
                )
            return run.run_check(settings, Clock(), task.prerequisites)
        except AddressBusy:
            raise
        except BaseException as error:
            verdict = of_error(error).replace(is_repeatable=settings.login is None)
            # A C function that lacks memory may raise SystemError, RuntimeError, anything.
            if limits.is_memory_limited():
                verdict = verdict.replace(shortage=verdict.shortage or verdict.status)
            return verdict
