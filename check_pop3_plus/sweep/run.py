"""Many services of one file, a verdict each, side by side. Prints nothing.

Each goes through the code of a single check, in a thread: an executor would be joined at exit,
and so would wait for the slowest. What is late when the sweep's time is up is left behind.
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
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.settings import Secret, SecretSource, Settings, State, Sweep
from check_pop3_plus.options import ini
from check_pop3_plus.options import parser as options_parser
from check_pop3_plus.options.table import Asked, parser
from check_pop3_plus.options.validators import UsageError
from check_pop3_plus.probe import password_source
from check_pop3_plus.support import files
from check_pop3_plus.support.deadline import Clock, Deadline
from check_pop3_plus.support.masking import Masker

FILE_LIMIT = 16 * 1024 * 1024
"""Octets; 10,000 services have about 2 MiB."""

COMMON = "DEFAULT"
"""The section whose options come first in all others."""

_PACE_SECONDS = 0.02
_BUSY = 0.3
"""Share of the time for which a processor was used; on a loaded machine one thread gets less."""
_OTHER_DESCRIPTORS = 64
_READ_AHEAD = 32
_ROUND_SECONDS = 0.02
"""How long results are left to gather: who is woken for each has to fight for the interpreter."""


class Service(Record):
    """One section: a service to look at."""

    name: str
    """As in the file: `host!service`."""
    words: tuple[str, ...]
    """Its options, as on a command line."""
    error: ProbeError | None = None
    """What is wrong with the section itself."""

    @property
    def host(self) -> str:
        return self.name.partition("!")[0]

    @property
    def description(self) -> str:
        """What the monitoring system calls the service on that host."""
        return self.name.partition("!")[2]


class Outcome(Record):
    """What came of one service."""

    service: Service
    verdict: Verdict
    is_readable: bool = True
    """Whether its section made sense; else the verdict says what is wrong with it."""
    began: float = 0.0
    """Seconds of the epoch."""
    ended: float = 0.0


def services(wanted: Sweep) -> list[Service]:
    """Return the services of the file, in its order.

    Raises ProbeError (config) when it cannot be read, or holds none.
    """
    data = files.read_file(wanted.file, "sweep file", FILE_LIMIT)
    content = data.decode("utf-8", "surrogateescape")
    found: list[ini.Part] = []
    common: list[str] = []
    for part in ini.parts(content, wanted.file):
        if part.name != COMMON:
            found.append(part)
        elif part.errors:
            raise part.errors[0]
        else:
            common += options_parser.section_to_argv(part.options)
    if not found:
        raise UsageError(f"no section [HOST!SERVICE] in {sanitise(wanted.file)}")
    seen: set[str] = set()
    return [_service(part, common, wanted.common, seen) for part in found]


def _service(
    part: ini.Part, common: list[str], commanded: tuple[str, ...], seen: set[str]
) -> Service:
    name = part.name
    host, _, description = name.partition("!")
    words = [f"--hostname={host}", *common]
    try:
        if part.errors:
            raise part.errors[0]
        if not host or not description or not name.isprintable():
            raise UsageError("the section is not called [HOST!SERVICE]")
        if name in seen:
            raise UsageError("the file has several sections of this name")
        seen.add(name)
        words += options_parser.section_to_argv(part.options)
    except ProbeError as error:
        return Service(name if name.isprintable() else sanitise(name), (), error)
    return Service(name, (*words, *commanded))


class Run:
    """One sweep while it goes on."""

    def __init__(self, services: list[Service], jobs: int, deadline: Deadline) -> None:
        self._deadline = deadline
        self._table = parser()
        # Each has a connection; a few descriptors are for all.
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
        """Yield what comes of the services, as it comes, until all are done or the time is up.

        Raises ProbeError (config) when no thread can be started.
        """
        _load_while_there_is_memory()
        try:
            threading.Thread(target=self._hire, daemon=True).start()
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

    def _hire(self) -> None:
        """Start threads as long as there is more to do than those there are keep up with.

        Not all at once: threads that are all busy fight for the interpreter, and a sweep of fast
        servers then costs half as much again. There are too few while the process mostly waits.
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
                except RuntimeError:  # as many as the system lets us have
                    return
                threads += 1

    def _work(self) -> None:
        while self._deadline.left():
            found = self._next()
            if found is None:
                return
            began = time.time()
            outcome = self._looked_at(*found)
            self._done.append(outcome.replace(began=began, ended=time.time()))

    def _next(self) -> tuple[Service, Settings | ProbeError] | None:
        """Return a service and its settings, or what is wrong with them; None where none is left.

        Read a few at a time: what one alone takes is mostly to fill the caches of the processor,
        which are cold after each wait for a server.
        """
        with self._reading:
            while not self._read and self._waiting:
                for _ in range(min(_READ_AHEAD, len(self._waiting))):
                    service = self._waiting.popleft()
                    self._read.append((service, self._settings(service)))
            return self._read.popleft() if self._read else None

    def _looked_at(self, service: Service, settings: Settings | ProbeError) -> Outcome:
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
        except BaseException as error:  # one section's bug is one section's UNKNOWN
            bug = f"internal error ({type(error).__name__})"
            verdict = Verdict(State.UNKNOWN, f"bug: {bug}", lines=("kind: bug",))
        return Outcome(service, verdict)

    def _settings(self, service: Service) -> Settings | ProbeError:
        if service.error:
            return service.error
        try:
            return options_parser.parse(service.words, self._table)
        except Asked:
            return UsageError("--help and --version are for the command line")
        except ProbeError as error:
            return error

    def _secret(self, settings: Settings) -> Secret | None:
        name = settings.login.source.env if settings.login else None
        if name is None:
            return None
        secret = self._variables[name]
        if isinstance(secret, ProbeError):
            raise secret
        return secret


def _load_while_there_is_memory() -> None:
    """Load the library that would end the process for want of it, before threads compete."""
    if resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY:
        from check_pop3_plus.certificate import reader

        with suppress(ImportError, MemoryError):  # those who need it will say so
            reader.prepare()


def _read_variables(services: list[Service], deadline: Deadline) -> dict[str, Secret | ProbeError]:
    """Take the secrets that are in the environment, each once: several sections may share one."""
    option = "--password-env="
    words = {word for service in services for word in service.words if word.startswith(option)}
    secrets: dict[str, Secret | ProbeError] = {}
    for word in words:
        name = word.removeprefix(option)
        try:
            secrets[name] = password_source.read(SecretSource(env=name), deadline)
        except ProbeError as error:
            secrets[name] = error
    return secrets
