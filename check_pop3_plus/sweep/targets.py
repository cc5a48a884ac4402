"""The registry of submit targets: where the results of a sweep go as soon as each is there.

A target is a module with a function `open_target(wanted, deadline)` and a row here. It is loaded
only when it is used: only Icinga needs HTTP.
"""

from importlib import import_module
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


_MODULES = {IcingaApi: "icinga_target", CommandFile: "nagios_target", JsonLines: "json_target"}
"""The module of each target, by the type of its settings."""


def submit_target(wanted: IcingaApi | CommandFile | JsonLines, deadline: Deadline) -> SubmitTarget:
    """Return the wanted target. Raises ProbeError (config) when it cannot be used."""
    module = import_module(f"check_pop3_plus.sweep.{_MODULES[type(wanted)]}")
    target: SubmitTarget = module.open_target(wanted, deadline)
    return target
