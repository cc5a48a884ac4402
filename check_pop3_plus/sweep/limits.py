"""What this machine allows a sweep: open files and memory."""

import resource
from contextlib import suppress

from check_pop3_plus.sweep.services import Service, values_in

_CONNECTION = 2
"""Descriptors of one check: its connection, and a file or the resolver's socket."""

_NEEDED = {"--diagnose": 24, "--all-addresses": 8, "--password-command": 5}
"""Descriptors of a check with this option: the steps of a diagnosis run side by side, with pipes
to programs; a name with more addresses is tried again when fewer checks run."""

_OTHER_DESCRIPTORS = 32
"""File descriptors that the process needs for anything but checks and senders."""


def parallel_checks(services: list[Service], jobs: int, senders: int) -> tuple[int, str]:
    """Return how many checks may run at a time, and why that is less than `jobs`, if it is.

    Each of the `senders` of results needs a descriptor, too.
    """
    each = max((_CONNECTION, *(_NEEDED.get(option, 0) for option in values_in(services))))
    others = _OTHER_DESCRIPTORS + senders
    allowed = _allowed(jobs * each + others)
    possible = max(1, min(jobs, (allowed - others) // each))
    shortage = f"{allowed} open files allow {possible} parallel checks" if possible < jobs else ""
    return possible, shortage


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


def is_memory_limited() -> bool:
    """Return whether the process may run out of memory before the machine does."""
    return resource.getrlimit(resource.RLIMIT_AS)[0] != resource.RLIM_INFINITY


def load_while_there_is_memory() -> None:
    """Load cryptography before the threads start, where memory is limited.

    It aborts the process when it runs out of memory while it is loaded.
    """
    if is_memory_limited():
        from check_pop3_plus.certificate import reader

        with suppress(ImportError, MemoryError):  # reported by the checks that need it
            reader.prepare()
