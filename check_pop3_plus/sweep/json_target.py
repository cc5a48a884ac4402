"""Print results as JSON lines: one object per service, the summary last."""

from check_pop3_plus.model.settings import JsonLines
from check_pop3_plus.support import files
from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.sweep import summary
from check_pop3_plus.sweep.run import Outcome


def open_target(_wanted: JsonLines, _deadline: Deadline) -> "StandardOutput":
    """Return the target; it has nothing to check."""
    return StandardOutput()


class StandardOutput:
    """Standard output, never retried."""

    def submit(self, outcome: Outcome) -> str | None:
        """Print a result. Return why it could not be printed, or None."""
        is_written = files.write_output(summary.as_json(outcome) + "\n")
        return None if is_written else "standard output cannot be written"

    def close(self) -> None:
        """Leave it open: the summary follows."""
