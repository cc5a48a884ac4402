"""Run one sweep: read, check, submit, and print."""

import gc
import os
from contextlib import closing

from check_pop3_plus.model.settings import Sweep
from check_pop3_plus.model.stopped import Stopped
from check_pop3_plus.support import files
from check_pop3_plus.support.deadline import Clock, Deadline
from check_pop3_plus.sweep import services as sweep_services
from check_pop3_plus.sweep import summary, workers
from check_pop3_plus.sweep.known_secrets import KnownSecrets
from check_pop3_plus.sweep.run import Run, Workload
from check_pop3_plus.sweep.summary import Tally
from check_pop3_plus.sweep.targets import jsonl_target, submission
from check_pop3_plus.sweep.workers import Workers

_SUBMIT_SECONDS = 5.0
"""Reserved from the run timeout for the last results; at most a tenth of it."""


def run_sweep(wanted: Sweep, started: float) -> int:
    """Run the sweep, print its verdict, and return the exit code.

    Raises ProbeError (config) when the file or the submit target cannot be used.
    """
    services = sweep_services.read(wanted)
    # What is loaded stays: the collector need not look at thousands of sections again and again.
    gc.freeze()
    gc.enable()
    end = Deadline(started + wanted.run_timeout)
    checks_end = end
    target = None
    if wanted.submit_target:
        checks_end = Deadline(end.at - min(_SUBMIT_SECONDS, wanted.run_timeout / 10))
        target = submission.open_target(wanted.submit_target, end)
    secrets = KnownSecrets(services, checks_end)
    load = Workload(services, wanted, checks_end, secrets, target.senders if target else 0)
    shares = workers.shares_of(services, wanted)
    run = Run(load) if len(shares) == 1 else Workers(shares, load)
    tally = Tally(services, wanted)
    progress = _Progress(tally, os.isatty(1) and not isinstance(target, jsonl_target.Target))
    is_stopped = False
    try:
        with closing(run.outcomes()) as outcomes:
            for outcome in outcomes:
                # A shortage is no result at all.
                is_result = not outcome.verdict.shortage
                if target and is_result and (outcome.is_readable or target.takes_invalid):
                    target.submit(outcome)
                tally.add(outcome)
                progress.show()
        if target:
            target.wait(end)
            target.complete(len(services) - tally.done())
    except Stopped:
        is_stopped = True
    progress.clear()
    if target:
        tally.add_refused(target.finish())
    verdict = tally.verdict(Clock() - started, is_stopped, run.why_late, secrets.masker)
    if isinstance(target, jsonl_target.Target):
        return target.print_summary(verdict, tally)
    return files.emit(summary.as_text(verdict, tally), verdict.state)


class _Progress:
    """The number of finished services, on the last line of a terminal."""

    def __init__(self, tally: Tally, is_shown: bool) -> None:
        self._tally = tally
        self._is_shown = is_shown
        self._shown_at = 0.0

    def show(self) -> None:
        """Print the number, at most five times a second."""
        if self._is_shown and Clock() - self._shown_at > 0.2:
            self._shown_at = Clock()
            done, total = self._tally.done(), len(self._tally.services)
            files.write_output(f"\r{done} of {total} services done")

    def clear(self) -> None:
        if self._shown_at:
            files.write_output("\r\x1b[K")
