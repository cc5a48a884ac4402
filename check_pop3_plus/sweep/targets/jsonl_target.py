"""Print results as JSON lines: one object per service, the summary last."""

import json
import os
import select
import stat
from contextlib import suppress

from check_pop3_plus.check.verdict import Verdict
from check_pop3_plus.model.failures import config_error
from check_pop3_plus.model.settings import State
from check_pop3_plus.output import json_text
from check_pop3_plus.support.deadline import Clock, Deadline
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.services import Service
from check_pop3_plus.sweep.summary import Tally
from check_pop3_plus.sweep.targets import submission

_SUMMARY_SECONDS = 1.0
"""How long the summary may take after the run timeout; the watchdog waits longer."""


class Target(submission.Target):
    """Standard output, to which each line is written as a whole or not at all.

    The rest of a line would make the next one unreadable, too. It is removed where standard output
    is a file; otherwise no other line is written.
    """

    takes_invalid = True
    _is_torn = False

    def __init__(self, _location: str, deadline: Deadline) -> None:
        super().__init__(deadline)

    def send(self, outcome: Outcome, resends: int) -> str | None:
        return self._write(result_line(outcome), self._deadline)

    def print_summary(self, verdict: Verdict, tally: Tally) -> int:
        """Print the result of the sweep, and return the exit code: UNKNOWN if that fails."""
        text = summary_line(verdict, tally)
        refusal = self._write(text, Deadline(Clock() + _SUMMARY_SECONDS))
        return verdict.state.value if refusal is None else State.UNKNOWN.value

    def _write(self, text: str, deadline: Deadline) -> str | None:
        """Write one line. Return why it was not written, or None."""
        if self._is_torn:
            return "the line before it is incomplete"
        line = text.encode() + b"\n"
        poll = select.poll()
        poll.register(1, select.POLLOUT)
        written = 0
        try:
            while written < len(line):
                if not poll.poll(deadline.left() * 1000):
                    return "standard output is not read"
                with suppress(BlockingIOError):
                    # No more than a pipe takes without waiting.
                    written += os.write(1, line[written : written + select.PIPE_BUF])
        except OSError as error:
            return config_error("cannot write to standard output", cause=error).message
        finally:  # also when a signal ends the run
            self._is_torn = 0 < written < len(line) and not _remove(written)
        return None


def _remove(size: int) -> bool:
    """Remove the last bytes of standard output; return whether it is a file that ended there."""
    try:
        begin = os.lseek(1, 0, os.SEEK_CUR) - size
        status = os.fstat(1)
        is_end = stat.S_ISREG(status.st_mode) and status.st_size == begin + size
        if is_end:
            os.ftruncate(1, begin)
            os.lseek(1, begin, os.SEEK_SET)
    except OSError:
        return False
    return is_end


def result_line(outcome: Outcome) -> str:
    """Return the outcome of one service as an object on one line."""
    return json.dumps(
        {
            **_identity(outcome.service),
            **json_text.result(outcome.verdict),
            "readable": outcome.is_readable,
            "began": round(outcome.began, 3),
            "ended": round(outcome.ended, 3),
        }
    )


def summary_line(verdict: Verdict, tally: Tally) -> str:
    """Return the result of the sweep as an object on one line."""
    counts = {state.name: number for state, number in tally.counts.items()}
    summary = {"services": len(tally.services), "done": tally.done(), **counts}
    lists = {"not_done": tally.not_done, "not_submitted": tally.refused}
    named_with_reason = {
        name: [_identity(service) | {"reason": reason} for service, reason in found]
        for name, found in lists.items()
    }
    return json.dumps({"summary": summary, **json_text.common(verdict), **named_with_reason})


def _identity(service: Service) -> dict[str, str]:
    return {"host": service.host, "service": service.description}
