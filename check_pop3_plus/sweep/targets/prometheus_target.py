"""Write results as metrics, to a file of the textfile collector of node_exporter.

The file is replaced as a whole, and its temporary name does not end in `.prom`: the collector
never reads half of it.
"""

import os
import time
from itertools import chain

from check_pop3_plus.model.failures import config_error
from check_pop3_plus.options.validators import invalid
from check_pop3_plus.output import prometheus_text
from check_pop3_plus.support import files
from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.targets import submission


class Target(submission.Target):
    """The metrics of all services, written when the sweep is complete.

    After a signal the old file stays: without the missing services their alerts would end.
    """

    takes_invalid = True

    def __init__(self, path: str, deadline: Deadline) -> None:
        """Raises ProbeError (config): nobody reads the file, or it cannot be written."""
        super().__init__(deadline)
        if not path.endswith(".prom"):
            reason = "must end in .prom: node_exporter reads no other file"
            raise invalid("--submit", f"prometheus:{path}", reason)
        directory = os.path.dirname(path) or "."
        if not os.access(directory, os.W_OK | os.X_OK, effective_ids=True):
            raise config_error("cannot write to directory {} of --submit", directory)
        self._path = path
        self._found: dict[tuple[str, str], Outcome] = {}
        """By the labels, because node_exporter refuses a file with duplicate series."""
        self._refusal: str | None = "the sweep ended first"

    def send(self, outcome: Outcome, resends: int) -> str | None:
        """Keep a result; of several with one name the one of a valid section."""
        key = outcome.service.host, outcome.service.description
        if outcome.is_readable or key not in self._found:
            self._found[key] = outcome
        return None

    def complete(self, missing: int) -> None:
        own = {"sweep": self._path}
        samples = chain(
            *(
                prometheus_text.samples(outcome.verdict, target, service)
                for (target, service), outcome in self._found.items()
            ),
            (
                ("pop3_sweep_last_run_timestamp_seconds", own, time.time()),
                ("pop3_sweep_not_done_services", own, missing),
            ),
        )
        try:
            files.replace_file(self._path, prometheus_text.exposition(samples).encode())
        except OSError as error:
            self._refusal = config_error("cannot write {}", self._path, cause=error).message
        else:
            self._refusal = None

    def finish(self) -> list[tuple[Outcome, str]]:
        late = super().finish()
        if self._refusal is None:
            return late
        return late + [(outcome, self._refusal) for outcome in self._found.values()]
