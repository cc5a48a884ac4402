"""Share a sweep among processes, because the threads of one use one processor at a time.

Each worker runs its share as a sweep of its own and sends what is finished through a pipe. It is
forked before this process starts a thread, and ends when this process does: it sees the end of a
second pipe, `life`. A worker that dies is not replaced, because a second login could lock an
account; its services are named.
"""

import os
import pickle
import select
import signal
import threading
from collections.abc import Generator, Iterator
from contextlib import suppress

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.check.verdict import Verdict
from check_pop3_plus.model.settings import State, Sweep
from check_pop3_plus.support import programs
from check_pop3_plus.support.deadline import Clock, Deadline, wait_until
from check_pop3_plus.support.files import write_all
from check_pop3_plus.sweep import limits
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.run import Run, Workload
from check_pop3_plus.sweep.services import Service, address_of

if TYPE_CHECKING:
    from typing import NoReturn

_MANY = 500
"""Services from which on more processes gain more than they cost."""

_MOST = 128
"""Workers; their number is sent as one byte."""

_GRACE_SECONDS = 0.2
"""How long after the deadline a worker may take to send what is finished."""

_END_SECONDS = 0.5
"""How long a worker may take to stop its programs, before it is killed."""

_SIZE = 4
"""Bytes of the length before each message."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class _Worker:
    """A worker as its parent sees it."""

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid = pid
        self.pipe = pipe
        self.buffer = b""
        self.left: dict[int, Service] = {}
        """The services without a result, by their position in the file."""
        self.why_late = ""

    def messages(self, data: bytes) -> Iterator[bytes]:
        """Yield the messages that are complete with this data."""
        self.buffer += data
        while len(self.buffer) >= (end := _SIZE + int.from_bytes(self.buffer[:_SIZE], "big")):
            message, self.buffer = self.buffer[_SIZE:end], self.buffer[end:]
            yield message

    def is_reaped(self) -> bool:
        """Return whether it has ended; not asked again after that."""
        return os.waitpid(self.pid, os.WNOHANG)[0] != 0


class Workers:
    """A running sweep in several processes; used as `Run`."""

    def __init__(self, shares: list[list[Service]], load: Workload) -> None:
        """Fork no process: `outcomes` does."""
        self._shares = shares
        self._load = load
        self._positions = {id(service): number for number, service in enumerate(load.services)}
        self._workers: dict[int, _Worker] = {}
        """By their pipes."""
        self._why_late: list[str] = []

    @property
    def why_late(self) -> str:
        """Why services are not done at the deadline, as far as that is known."""
        return next(filter(None, self._why_late), "")

    def outcomes(self) -> Generator[Outcome, None, None]:
        """Yield as `Run` does. Closing the iterator ends the workers."""
        # They inherit the raised limit; senders of results need descriptors here, too.
        load = self._load
        limits.parallel_checks(load.services, load.wanted.jobs, load.senders)
        limits.load_while_there_is_memory()
        _wait_for_threads()
        life, alive = os.pipe()
        try:
            self._fork(life, alive)
            if not self._workers:  # the limit of the system
                yield from self._run_here()
                return
            os.write(alive, bytes((len(self._workers),)) * len(self._workers))
            poll = select.poll()
            for pipe in self._workers:
                poll.register(pipe, select.POLLIN)
            while self._workers:
                ready = poll.poll(1000 * (load.deadline.left() + _GRACE_SECONDS))
                for pipe, _ in ready:
                    data = os.read(pipe, 1 << 16)
                    if data:
                        yield from self._received(self._workers[pipe], data)
                    else:
                        poll.unregister(pipe)
                        yield from self._ended(self._workers.pop(pipe))
                if not ready:
                    return
        finally:
            os.close(life)
            os.close(alive)
            self._end()

    def _run_here(self) -> Iterator[Outcome]:
        run = Run(self._load)
        yield from run.outcomes()
        self._why_late.append(run.why_late)

    def _fork(self, life: int, alive: int) -> None:
        """Fork a worker for each share, or fewer where processes or descriptors are short."""
        for number in range(len(self._shares)):
            with suppress(OSError):
                ours, theirs = os.pipe()
                # Until the worker has its own handlers, none of ours may run in it.
                before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
                try:
                    pid = os.fork()
                    if not pid:
                        self._work(number, life, theirs, (alive, ours, *self._workers))
                    self._workers[ours] = _Worker(pid, ours)
                finally:
                    signal.pthread_sigmask(signal.SIG_SETMASK, before)
                    os.close(theirs)
        for number, worker in enumerate(self._workers.values()):
            share = _merged(self._shares, number, len(self._workers))
            worker.left = {self._positions[id(service)]: service for service in share}

    def _received(self, worker: _Worker, data: bytes) -> Iterator[Outcome]:
        masker = self._load.secrets.masker
        for message in worker.messages(data):
            # Of our own process: nobody else writes to the pipe.
            done, learnt, worker.why_late = pickle.loads(message)  # noqa: S301
            masker.add(learnt)
            for position, verdict, *others in done:
                # Its worker masked all that were known at the beginning, but for names that are
                # not read yet.
                masked = verdict.masked if masker.learnt else verdict.with_masked_names
                yield Outcome(worker.left.pop(position), masked(masker), *others)

    def _ended(self, worker: _Worker) -> Iterator[Outcome]:
        """Yield a shortage for each service that a worker has left behind, unless it is late."""
        os.close(worker.pipe)
        self._why_late.append(worker.why_late)
        code = os.waitstatus_to_exitcode(os.waitpid(worker.pid, 0)[1])
        reason = f"its worker process failed with exit code {code}, use --workers 1"
        if code < 0:
            reason = f"its worker process was killed by signal {-code}, see the kernel log"
        for service in worker.left.values() if code else ():
            yield Outcome(service, Verdict(State.UNKNOWN, reason, shortage=reason))

    def _end(self) -> None:
        """End and reap all workers that are left."""
        limit = Deadline(Clock() + _END_SECONDS)
        for worker in self._workers.values():
            os.close(worker.pipe)
            self._why_late.append(worker.why_late)
        for worker in self._workers.values():
            if not wait_until(worker.is_reaped, limit):
                os.kill(worker.pid, signal.SIGKILL)
                os.waitpid(worker.pid, 0)
        self._workers = {}

    def _work(self, number: int, life: int, pipe: int, others: tuple[int, ...]) -> "NoReturn":
        """Do the work of a forked process, and end it; signals are for its parent."""
        code = 1
        try:
            for each in _SIGNALS:
                signal.signal(each, lambda *_: None)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            for descriptor in others:
                os.close(descriptor)
            count = os.read(life, 1)
            if count:
                self._run(number, count[0], life, pipe)
            code = 0
        finally:
            programs.stop_all()
            os._exit(code)

    def _run(self, number: int, count: int, life: int, pipe: int) -> None:
        """Run the share of one of `count` workers, until its parent ends."""
        share = _merged(self._shares, number, count)
        wanted = self._load.wanted
        jobs = wanted.jobs // count + (number < wanted.jobs % count)
        wanted = wanted.replace(jobs=max(1, jobs))
        run = Run(self._load.replace(services=share, wanted=wanted, senders=0))
        masker = self._load.secrets.masker
        sent: set[bytes] = set()
        end = select.poll()
        end.register(life, 0)  # its end alone
        for _ in run.rounds():
            done = [(self._positions[id(each.service)], *_facts(each)) for each in run.finished()]
            learnt = masker.learnt - sent
            sent |= learnt
            message = pickle.dumps((done, learnt, run.why_late), pickle.HIGHEST_PROTOCOL)
            if done or learnt or not self._load.deadline.left():
                write_all(pipe, len(message).to_bytes(_SIZE, "big") + message)
            if end.poll(0):
                return


def _facts(outcome: Outcome) -> tuple[object, ...]:
    """Return what an outcome has besides its service."""
    return outcome.verdict, outcome.is_readable, outcome.began, outcome.ended


def _wait_for_threads() -> None:
    """Wait until the thread that read files has ended: a process is forked without threads."""
    wait_until(lambda: threading.active_count() == 1, Deadline(Clock() + _GRACE_SECONDS))


def _merged(shares: list[list[Service]], number: int, count: int) -> list[Service]:
    """Return the share of one of `count` workers."""
    return [service for share in shares[number::count] for service in share]


def shares_of(services: list[Service], wanted: Sweep) -> list[list[Service]]:
    """Return the services of each worker: all of one address have the same one.

    Only their names are known; each worker counts the addresses behind them for itself.
    """
    number = wanted.workers
    if number is None:
        number = len(os.sched_getaffinity(0)) if len(services) >= _MANY else 1
    number = min(number, wanted.jobs, _MOST)
    if number == 1:
        return [services]
    shares: list[list[Service]] = [[] for _ in range(number)]
    homes: dict[str, list[Service]] = {}
    for service in services:
        name = address_of(service)
        if name not in homes:
            homes[name] = min(shares, key=len)
        homes[name].append(service)
    return [share for share in shares if share]
