"""The result of one service of a sweep."""

from check_pop3_plus.check.verdict import Verdict
from check_pop3_plus.model.record import Record
from check_pop3_plus.sweep.services import Service


class Outcome(Record):
    service: Service
    verdict: Verdict
    is_readable: bool = True
    """Whether its section is valid; otherwise the verdict names the error."""
    began: float = 0.0
    """Seconds since the epoch."""
    ended: float = 0.0
