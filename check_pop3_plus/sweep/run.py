"""Check many services in parallel, with a verdict for each. Prints nothing.

Each service runs the code of a single check, in a daemon thread: an executor would be joined at
exit and wait for the slowest. Checks that are late when the sweep's time is up are abandoned.
"""

import resource
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial

from check_pop3_plus.check import run
from check_pop3_plus.check.verdict import Verdict, of_error
from check_pop3_plus.model.failures import Kind, ProbeError, config_error, is_shortage
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.report import Address
from check_pop3_plus.model.sanitised_text import Sanitiser
from check_pop3_plus.model.settings import Secret, SecretSource, Settings, Sweep
from check_pop3_plus.probe import password_source
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.support.deadline import Clock, Deadline, end_helper, run_with_deadline
from check_pop3_plus.support.masking import Masker
from check_pop3_plus.support.places import Place, Places
from check_pop3_plus.sweep.services import Service, options_of, settings_of, values_of

_PACE_SECONDS = 0.02
"""Between two decisions to start more threads."""

_BUSY = 0.3
"""Share of the time in which the process used a CPU; less is left on a loaded machine."""

_CONNECTION = 2
"""Descriptors of one check: its connection, and a file or the resolver's socket."""

_NEEDED = {"--diagnose": 24, "--all-addresses": 8, "--password-command": 5}
"""Descriptors of a check with this option: the steps of a diagnosis run side by side, with pipes
to programs; a name with more addresses is tried again when fewer checks run."""

_OTHER_DESCRIPTORS = 32
"""File descriptors that the process needs for anything but checks and senders."""

_FILES_SECONDS = 5.0
"""How long the password files are read before the checks begin."""

_HOLD_SECONDS = 1.0
"""How long no thread is started after a shortage."""

_TRIES_ALONE = 3
"""How often a service is tried for which resources are short although no other check runs."""

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


class _Task:
    """A service in the queue."""

    __slots__ = (
        *("held", "is_admitted", "prerequisites"),
        *("service", "settings", "tries_alone", "waited_for"),
    )

    def __init__(self, service: Service) -> None:
        self.service = service
        self.settings: Settings | ProbeError | None = None
        """None until its section is parsed."""
        self.prerequisites: Prerequisites | None = None
        """Kept for another try: a password command runs once."""
        self.tries_alone = 0
        self.held: set[Place] = set()
        """Places of the running check."""
        self.is_admitted = False
        """Whether the running check has opened a connection."""
        self.waited_for: Place | None = None
        """The place that was full when it was last due."""


class _PlaceFull(Exception):
    """The addresses that a name turned out to have are busy; no connection was opened."""


class Run:
    """A running sweep: up to `jobs` threads take services from a queue and check them.

    `_waiting` holds the services to be done, `_ready` the next ones, with their sections parsed,
    `_parked` those whose address is busy, `_done` the outcomes that the main thread has not
    collected. The operations on a deque are atomic.

    No more than `jobs_per_address` checks are at one address at a time, whatever names it has, and
    one login of a user there. A name counts as an address of its own until a check has looked it
    up. The check itself then takes the addresses, all of them, before it opens a connection; if one
    is full, it waits, with the addresses known, and looks the name up again when it is due. A
    diagnosis opens more connections, only for a service that has failed.
    """

    def __init__(
        self, services: list[Service], wanted: Sweep, deadline: Deadline, senders: int = 0
    ) -> None:
        """Read password variables and files; no thread is started before `outcomes` is called.

        At most `jobs` checks run at a time, fewer where the limit on open files is lower; each of
        the `senders` of results needs a descriptor, too. No check starts after the deadline.
        """
        self._deadline = deadline
        each, others = _descriptors(services), _OTHER_DESCRIPTORS + senders
        jobs = min(wanted.jobs, len(services))
        allowed = _allowed(jobs * each + others)
        self._jobs = max(1, min(jobs, (allowed - others) // each))
        self._waiting = deque(map(_Task, services))
        self._ready: deque[_Task] = deque()
        self._parked: dict[Place, deque[_Task]] = {}
        self._places = Places(wanted.jobs_per_address)
        self._addresses: dict[str, frozenset[str]] = {}
        """The addresses of each name that was looked up."""
        self._lock = threading.Lock()
        self._done: deque[tuple[Outcome, Sanitiser]] = deque()
        self._left = len(services)
        self._threads = 0
        self._is_adding = False
        self._hold_until = 0.0
        """No thread is started before, because one could not be, or met a shortage."""
        self.shortage = ""
        """The last shortage, for the services that are not done because of it."""
        if self._jobs < jobs:
            self.shortage = f"{allowed} open files allow {self._jobs} parallel checks"
        self._secrets = _read_secrets(services, deadline)
        # The secrets of all sections are masked in every section.
        known = [each.reveal() for each in self._secrets.values() if isinstance(each, Secret)]
        self._masker = Masker(known)

    @property
    def why_late(self) -> str:
        """Why services are not done at the deadline, as far as that is known."""
        if self.shortage:
            return f"{self.shortage}; lower --jobs, or raise the limit (ulimit)"
        if any(self._parked.values()):
            return "others at the same address were busy; see --jobs-per-address"
        return ""

    def outcomes(self) -> Iterator[Outcome]:
        """Yield each outcome when it is there, until all services are done or the deadline passes.

        One whose verdict has a `shortage` is no result: the service is not done.
        """
        _load_while_there_is_memory()
        while True:
            while self._done:
                self._left -= 1
                yield self._masked(*self._done.popleft())
            if not self._left or not self._deadline.left():
                return
            self._start_adding()
            time.sleep(min(_ROUND_SECONDS, self._deadline.left()))

    def mask(self, text: str) -> str:
        """Mask all secrets that are known now: a password command may have printed more."""
        return self._masker.mask(text)

    def _masked(self, outcome: Outcome, sanitise: Sanitiser) -> Outcome:
        """Mask the secrets that were learnt elsewhere after a check began with `sanitise`."""
        if sanitise is self._masker.sanitise:
            return outcome
        return outcome.replace(verdict=outcome.verdict.masked(self.mask))

    def _start_adding(self) -> None:
        """Start a thread that starts the others, unless there is one or it has nothing to do."""
        if not self._is_adding and self._needs_threads() and Clock() >= self._hold_until:
            self._is_adding = True
            if not self._start(self._add_threads):
                self._is_adding = False

    def _needs_threads(self) -> bool:
        return bool(self._waiting or self._ready) and self._threads < self._jobs

    def _add_threads(self) -> None:
        """Start threads while services are queued and the process is mostly idle.

        Not all at once: busy threads contend for the GIL, and a sweep of fast servers then costs
        half as much again.
        """
        while self._needs_threads() and Clock() >= self._hold_until:
            for _ in range(min(max(1, self._threads), self._jobs - self._threads)):
                self._count_threads(1)
                if not self._start(self._work):
                    self._count_threads(-1)
                    break
            before = time.process_time() - _PACE_SECONDS
            while time.process_time() - before > _PACE_SECONDS * _BUSY and self._needs_threads():
                before = time.process_time()
                time.sleep(_PACE_SECONDS)
        self._is_adding = False

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
        """Check services until none is queued, the deadline passes, or resources are short.

        Then fewer threads are left, which need less, until more can be started again.
        """
        try:
            while self._deadline.left():
                task = self._next()
                if task is None:
                    return
                began, sanitise = time.time(), self._masker.sanitise
                try:
                    outcome = self._check(task)
                except _PlaceFull:
                    self._leave(task, is_put_back=True)
                    continue
                self._leave(task)
                if outcome.verdict.shortage and self._is_put_back(task, outcome.verdict):
                    return
                outcome = outcome.replace(began=began, ended=time.time())
                self._done.append((outcome, sanitise))
        finally:
            self._count_threads(-1)
            end_helper()

    def _next(self) -> _Task | None:
        """Return a service with its settings or their error; None when no service is queued.

        Read in batches: the CPU caches are cold after each wait for a server.
        """
        with self._lock:
            if not self._ready:
                try:
                    self._read_ahead()
                except MemoryError:
                    self._hold("no memory to read a section")
            while self._ready:
                task = self._ready.popleft()
                before, task.waited_for = task.waited_for, self._full_place(task)
                if task.waited_for is None:
                    return task
                self._parked.setdefault(task.waited_for, deque()).append(task)
                if before != task.waited_for:
                    self._wake(before)
            return None

    def _full_place(self, task: _Task) -> Place | None:
        """Take the places of a check as far as they are known; return one that is full instead."""
        if isinstance(task.settings, ProbeError) or task.settings is None:
            return None
        name = _name(task.settings)
        addresses = self._addresses.get(name, frozenset((name,)))
        return self._places.take(task.held, _places(task.settings, addresses))

    def _wake(self, place: Place | None) -> None:
        """Make the next service that waits for a place the first in the queue."""
        waiting = self._parked.get(place) if place is not None else None
        if waiting:
            self._ready.appendleft(waiting.popleft())

    def _leave(self, task: _Task, is_put_back: bool = False) -> None:
        """Give the places of a check to those who wait for them; it may be due again at once."""
        with self._lock:
            self._places.release(task.held)
            for place in task.held:
                self._wake(place)
            task.held, task.is_admitted = set(), False
            if is_put_back:
                self._ready.append(task)

    def _admit(self, task: _Task, settings: Settings, addresses: Iterable[Address]) -> None:
        """Take the places of a check at the addresses that its name turned out to have.

        A retry takes them in any case. Raises _PlaceFull.
        """
        found = frozenset(each.host for each in addresses)
        with self._lock:
            self._addresses[_name(settings)] = found
            if self._places.take(task.held, _places(settings, found), task.is_admitted):
                raise _PlaceFull
            task.is_admitted = True

    def _read_ahead(self) -> None:
        """Parse the sections of the next services."""
        for _ in range(min(_READ_AHEAD, len(self._waiting))):
            task = self._waiting[0]
            task.settings = task.settings or settings_of(task.service)
            self._ready.append(self._waiting.popleft())

    def _is_put_back(self, task: _Task, verdict: Verdict) -> bool:
        """Queue a service again that lacked resources; return whether it may be tried again.

        Not after a login began, and not when it failed although no other check ran.
        """
        with self._lock:
            task.tries_alone += self._threads == 1
        self._hold(verdict.shortage)
        if not verdict.is_repeatable or task.tries_alone >= _TRIES_ALONE:
            return False
        self._waiting.append(task)
        return True

    def _check(self, task: _Task) -> Outcome:
        """Check one service. A bug makes one service UNKNOWN, not the sweep.

        Raises _PlaceFull alone.
        """
        service, settings = task.service, task.settings
        assert settings is not None  # noqa: S101 - its section is parsed
        if isinstance(settings, ProbeError):
            return Outcome(service, of_error(settings), is_readable=False)
        try:
            if task.prerequisites is None:
                task.prerequisites = Prerequisites(
                    settings,
                    self._secret(settings),
                    self._masker,
                    partial(self._admit, task, settings),
                )
            return Outcome(service, run.run_check(settings, Clock(), task.prerequisites))
        except ProbeError as error:
            verdict = of_error(error)
        except (ImportError, OSError, MemoryError) as error:
            what = "missing Python module" if isinstance(error, ImportError) else "local error"
            failure = config_error("{}", what, cause=error)
            verdict = of_error(failure).replace(
                lines=("kind: config",),
                shortage=failure.message if is_shortage(error) else "",
                is_repeatable=settings.login is None,
            )
        except _PlaceFull:
            raise
        except BaseException as error:
            bug = ProbeError(Kind.BUG, "internal error ({})", type(error).__name__)
            verdict = of_error(bug).replace(lines=("kind: bug",))
        return Outcome(service, verdict)

    def _secret(self, settings: Settings) -> Secret | None:
        """Return the password of a variable or file; None if the check has to read it.

        Raises ProbeError (config) where there is none.
        """
        source = settings.login.source if settings.login else SecretSource()
        secret = self._secrets.get(source)
        if isinstance(secret, ProbeError):  # of any section
            raise secret.at(source.env or source.file)
        return secret


def _name(settings: Settings) -> str:
    return (settings.target.connect_to or settings.target.hostname).lower()


def _places(settings: Settings, addresses: frozenset[str]) -> frozenset[Place]:
    """Return the places of a check: its addresses, and its user at each of them."""
    if settings.login is None:
        return addresses
    user = settings.login.username.lower()
    return addresses | {(address, user) for address in addresses}


def _descriptors(services: list[Service]) -> int:
    """Return how many descriptors one check may need at a time."""
    return max((_CONNECTION, *(_NEEDED.get(option, 0) for option in options_of(services))))


def _allowed(wanted: int) -> int:
    """Return how many descriptors are allowed, after raising the soft limit as far as wanted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    infinite = resource.RLIM_INFINITY
    if soft == infinite or soft >= wanted:
        return wanted
    raised = wanted if hard == infinite else min(wanted, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def _load_while_there_is_memory() -> None:
    """Load cryptography before the threads start, where memory is limited.

    It aborts the process when it runs out of memory while it is loaded.
    """
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        from check_pop3_plus.certificate import reader

        with suppress(ImportError, MemoryError):  # reported by the checks that need it
            reader.prepare()


def _read_secrets(
    services: list[Service], deadline: Deadline
) -> dict[SecretSource, Secret | ProbeError]:
    """Read each password variable and file once, so that all are masked from the beginning.

    Reading a variable removes it. A file that takes too long is left to the check that needs it.
    """
    secrets: dict[SecretSource, Secret | ProbeError] = {}

    def read(source: SecretSource) -> None:
        try:
            secrets[source] = password_source.read(source, deadline)
        except ProbeError as error:
            secrets[source] = error

    def read_files() -> None:
        for file in values_of(services, "--password-file"):
            read(SecretSource(file=str(file)))

    for name in values_of(services, "--password-env"):
        read(SecretSource(env=str(name)))
    with suppress(ProbeError):
        run_with_deadline(read_files, deadline.within(_FILES_SECONDS))
    return dict(secrets)
