"""The services of a sweep that are to be checked, in an order that crowds no address.

No more than `jobs_per_address` checks are at one address at a time, whatever names it has, and one
login of a user there. A name counts as an address of its own until a check has looked it up. The
check itself then takes the addresses, all of them, before it opens a connection; if one is full, it
waits, with the addresses known, and looks the name up again when it is due. Its diagnosis belongs
to it, and opens one connection after another.
"""

import threading
from collections import deque
from collections.abc import Iterable, Iterator

from check_pop3_plus.model.failures import ProbeError
from check_pop3_plus.model.report import Address
from check_pop3_plus.model.settings import Settings
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.support.slots import Peer, Slots
from check_pop3_plus.sweep.services import Builder, Service

_READ_AHEAD = 32
"""Sections parsed in one batch."""

_SPREAD = 64
"""Services of one pass through the file; smaller sweeps keep its order."""


class AddressBusy(Exception):
    """An address that a name turned out to have has no slot free; no connection was opened."""


class Task:
    """A service in the queue."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.settings: Settings | ProbeError | None = None
        """None until its section is parsed."""
        self.prerequisites: Prerequisites | None = None
        """Kept for another try: a password command runs once."""
        self.tries_alone = 0
        self.held: set[Peer] = set()
        """The peers that the running check has a slot of."""
        self.is_admitted = False
        """Whether the running check has opened a connection."""
        self.waited_for: Peer | None = None
        """The peer that was busy when it was last due."""


class TaskQueue:
    """`_waiting` holds the services to be done, `_ready` the next ones, with their sections parsed,
    and `_parked` those whose address is busy.
    """

    def __init__(self, services: list[Service], jobs_per_address: int) -> None:
        self._waiting = deque(map(Task, _spread(services)))
        self._ready: deque[Task] = deque()
        self._parked: dict[Peer, deque[Task]] = {}
        self._builder = Builder()
        self._slots = Slots(jobs_per_address)
        self._addresses: dict[str, frozenset[str]] = {}
        """The addresses of each name that was looked up."""
        self._lock = threading.Lock()

    def is_waiting(self) -> bool:
        """Return whether a service is due; its address may turn out to be busy."""
        return bool(self._waiting or self._ready)

    def is_parked(self) -> bool:
        """Return whether a service waits because its address is busy."""
        return any(self._parked.values())

    def next(self) -> Task | None:
        """Return a service with its settings or their error; None when none is due.

        Read in batches: the CPU caches are cold after each wait for a server.

        Raises MemoryError where a section cannot be read; it stays in the queue.
        """
        with self._lock:
            if not self._ready:
                self._read_ahead()
            while self._ready:
                task = self._ready.popleft()
                before, task.waited_for = task.waited_for, self._take_known(task)
                if task.waited_for is None:
                    return task
                self._parked.setdefault(task.waited_for, deque()).append(task)
                if before != task.waited_for:
                    self._wake(before)
            return None

    def leave(self, task: Task) -> None:
        """Give the slots of a check to those who wait for them."""
        with self._lock:
            self._leave(task)

    def put_back(self, task: Task, is_due: bool) -> None:
        """Queue a service again, to be done at once where it `is_due`, otherwise as the last."""
        with self._lock:
            self._leave(task)
            (self._ready if is_due else self._waiting).append(task)

    def admit(self, task: Task, settings: Settings, addresses: Iterable[Address]) -> None:
        """Take the slots of a check at the addresses that its name turned out to have.

        A retry takes them in any case. Raises AddressBusy.
        """
        found = frozenset(each.host for each in addresses)
        with self._lock:
            self._addresses[name_of(settings)] = found
            if self._slots.take(task.held, _peers(settings, found), task.is_admitted):
                raise AddressBusy
            task.is_admitted = True

    def _read_ahead(self) -> None:
        """Parse the sections of the next services."""
        for _ in range(min(_READ_AHEAD, len(self._waiting))):
            task = self._waiting[0]
            task.settings = task.settings or self._builder.settings_of(task.service)
            self._ready.append(self._waiting.popleft())

    def _take_known(self, task: Task) -> Peer | None:
        """Take the slots of a check at the addresses that are known; return a busy peer instead."""
        if isinstance(task.settings, ProbeError) or task.settings is None:
            return None
        name = name_of(task.settings)
        addresses = self._addresses.get(name, frozenset((name,)))
        return self._slots.take(task.held, _peers(task.settings, addresses))

    def _leave(self, task: Task) -> None:
        self._slots.release(task.held)
        for peer in task.held:
            self._wake(peer)
        task.held, task.is_admitted = set(), False

    def _wake(self, peer: Peer | None) -> None:
        """Make the next service that waits for a slot of a peer the first in the queue."""
        waiting = self._parked.get(peer) if peer is not None else None
        if waiting:
            self._ready.appendleft(waiting.popleft())


def _spread(services: list[Service]) -> Iterator[Service]:
    """Yield all services of a large sweep, each time going through the whole file.

    Servers that are down often stand together; they would be waited for with nothing else to do.
    """
    step = max(1, len(services) // _SPREAD)
    for first in range(step):
        yield from services[first::step]


def name_of(settings: Settings) -> str:
    """Return the name or address that a check connects to."""
    return (settings.target.connect_to or settings.target.hostname).lower()


def _peers(settings: Settings, addresses: frozenset[str]) -> frozenset[Peer]:
    """Return the peers of a check: its addresses, and its user at each of them."""
    if settings.login is None:
        return addresses
    user = settings.login.username.lower()
    return addresses | {(address, user) for address in addresses}
