"""Wire up one sweep, and print."""

import gc
import os

from check_pop3_plus.model.settings import JsonLines, Sweep
from check_pop3_plus.model.stopped import Stopped
from check_pop3_plus.output.plugin_text import render
from check_pop3_plus.support import files
from check_pop3_plus.support.deadline import Clock, Deadline
from check_pop3_plus.sweep import run as sweep_run
from check_pop3_plus.sweep import summary, targets
from check_pop3_plus.sweep.summary import Tally

_SUBMIT_SECONDS = 5.0
"""Kept, of the time for the whole run, for handing over the last results; a tenth at most."""


def main(wanted: Sweep, started: float) -> int:
    """Run the sweep, print its verdict, and return the exit code.

    Raises ProbeError (config) where it cannot even begin.
    """
    gc.enable()
    services = sweep_run.services(wanted)
    end = Deadline(started + wanted.run_timeout)
    looks_end = end
    submit_target = None
    if wanted.submit_target:
        looks_end = Deadline(end.at - min(_SUBMIT_SECONDS, wanted.run_timeout / 10))
        submit_target = targets.submit_target(wanted.submit_target, end)
    run = sweep_run.Run(services, wanted.jobs, looks_end)
    tally = Tally(services, wanted)
    is_json = isinstance(wanted.submit_target, JsonLines)
    progress = _Progress(tally, is_shown=os.isatty(1) and not is_json)
    is_stopped = False
    try:
        for outcome in run.outcomes():
            # What is wrong with a section is the sweep's to say, or two would be called.
            is_handed_over = submit_target and (outcome.is_readable or is_json)
            tally.add(
                outcome, submit_target.submit(outcome) if submit_target and is_handed_over else None
            )
            progress.show()
    except Stopped:
        is_stopped = True
    progress.clear()
    if submit_target:
        submit_target.close()
    verdict = tally.verdict(Clock() - started, is_stopped)
    text = summary.summary_as_json(verdict, tally) + "\n" if is_json else render(verdict)
    return files.emit(text, verdict.state)


class _Progress:
    """How far the sweep is, on the last line of a terminal."""

    def __init__(self, tally: Tally, is_shown: bool) -> None:
        self._tally = tally
        self._is_shown = is_shown
        self._shown_at = 0.0

    def show(self) -> None:
        """Say how many are done, a few times a second."""
        if self._is_shown and Clock() - self._shown_at > 0.2:
            self._shown_at = Clock()
            done, total = self._tally.done(), len(self._tally.services)
            files.write_output(f"\r{done} of {total} services done")

    def clear(self) -> None:
        if self._is_shown and self._shown_at:
            files.write_output("\r\x1b[K")
