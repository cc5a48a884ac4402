"""Who is handed the results of a sweep, as each comes."""

from typing import Protocol

from check_pop3_plus import output, sweep_words
from check_pop3_plus.settings import CommandFile, IcingaApi, JsonLines
from check_pop3_plus.sweep import Outcome
from check_pop3_plus.timing import Deadline


class Receiver(Protocol):
    def submit(self, outcome: Outcome) -> str | None:
        """Hand a result over; return why it was not taken, or None."""

    def close(self) -> None: ...


def receiver(wanted: IcingaApi | CommandFile | JsonLines, deadline: Deadline) -> Receiver:
    """Return the receiver that is wanted. Raises ProbeError (config) where it cannot be one."""
    match wanted:
        case IcingaApi():
            from check_pop3_plus import icinga  # for HTTP, which no other sweep pays for

            return icinga.Api(wanted, deadline)
        case CommandFile():
            from check_pop3_plus import nagios

            return nagios.CommandPipe(wanted, deadline)
        case JsonLines():
            return _Lines()


class _Lines:
    """Standard output."""

    def submit(self, outcome: Outcome) -> str | None:
        written = output.write(sweep_words.as_json(outcome) + "\n")
        return None if written else "standard output cannot be written"

    def close(self) -> None:
        """Leave it open: the summary is still to come."""
