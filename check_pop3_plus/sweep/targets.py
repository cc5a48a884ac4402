"""The registry of submit targets: where the results of a sweep go, as each comes.

A target is a file with a function `open_target(wanted, deadline)` and a row here, by the type of
its settings. It is loaded only when it is used: only Icinga needs HTTP.
"""

from typing import Protocol

from check_pop3_plus.model.settings import CommandFile, IcingaApi, JsonLines
from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.sweep.run import Outcome


class SubmitTarget(Protocol):
    """A receiver of results."""

    def submit(self, outcome: Outcome) -> str | None:
        """Submit a result. Return why it was not accepted, or None."""

    def close(self) -> None:
        """Release the connection or file."""


def submit_target(wanted: IcingaApi | CommandFile | JsonLines, deadline: Deadline) -> SubmitTarget:
    """Return the wanted target. Raises ProbeError (config) when it cannot be used."""
    match wanted:
        case IcingaApi():
            from check_pop3_plus.sweep import icinga_target

            return icinga_target.open_target(wanted, deadline)
        case CommandFile():
            from check_pop3_plus.sweep import nagios_target

            return nagios_target.open_target(wanted, deadline)
        case JsonLines():
            from check_pop3_plus.sweep import json_target

            return json_target.open_target(wanted, deadline)
