"""Run sweeps in this process."""

from __future__ import annotations

from check_pop3_plus.model.settings import Sweep
from check_pop3_plus.support.deadline import Clock, Deadline
from check_pop3_plus.sweep import services
from check_pop3_plus.sweep.known_secrets import KnownSecrets
from check_pop3_plus.sweep.run import Run


def run_of(wanted: Sweep, seconds: float = 5.0) -> Run:
    """Return a sweep of its file that may take this long, not started yet."""
    found, deadline = services.read(wanted), Deadline(Clock() + seconds)
    return Run(found, wanted, deadline, KnownSecrets(found, deadline))
