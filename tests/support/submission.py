"""Submit outcomes to a target, as a sweep does."""

from __future__ import annotations

import time

from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.targets.submission import Target


def refusals(target: Target, *outcomes: Outcome) -> list[str | None]:
    """Submit these, finish, and return why each was not accepted; None if it was."""
    for each in outcomes:
        target.submit(each)
    target.wait(Deadline(time.monotonic() + 20))
    reasons = {id(outcome): reason for outcome, reason in target.finish()}
    return [reasons.get(id(each)) for each in outcomes]
