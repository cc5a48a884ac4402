"""Who is handed the results of a sweep, as each comes."""

from typing import Protocol

from check_pop3_plus.model.settings import CommandFile, IcingaApi, JsonLines
from check_pop3_plus.support import files
from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.sweep import summary
from check_pop3_plus.sweep.run import Outcome


class SubmitTarget(Protocol):
    def submit(self, outcome: Outcome) -> str | None:
        """Hand a result over; return why it was not taken, or None."""

    def close(self) -> None: ...


def submit_target(wanted: IcingaApi | CommandFile | JsonLines, deadline: Deadline) -> SubmitTarget:
    """Return the receiver that is wanted. Raises ProbeError (config) where it cannot be one."""
    match wanted:
        case IcingaApi():
            from check_pop3_plus.sweep import (
                icinga_target,  # for HTTP, which no other sweep pays for
            )

            return icinga_target.Api(wanted, deadline)
        case CommandFile():
            from check_pop3_plus.sweep import nagios_target

            return nagios_target.CommandPipe(wanted, deadline)
        case JsonLines():
            return _Lines()


class _Lines:
    """Standard output."""

    def submit(self, outcome: Outcome) -> str | None:
        written = files.write_output(summary.as_json(outcome) + "\n")
        return None if written else "standard output cannot be written"

    def close(self) -> None:
        """Leave it open: the summary is still to come."""
