"""Run the steps that fit a failed check within the time that is left.

All steps run side by side, in daemon threads, each with a limit of its own within the deadline; in
a sweep those that connect take turns. A step that is late is left behind and named. Loaded only
after a failure.
"""

import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext

from check_pop3_plus.diagnosis import plan
from check_pop3_plus.diagnosis.findings import Fact, Findings, LocalClock, Problem
from check_pop3_plus.diagnosis.plan import Step
from check_pop3_plus.diagnosis.steps import Surroundings
from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.report import Report
from check_pop3_plus.model.sanitised_text import Printable, printable
from check_pop3_plus.model.stopped import Stopped
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.support.deadline import Deadline, end_helper

_GRACE_SECONDS = 0.1
"""How long a step may take, after its limit, to record what it has found."""


def run(
    prerequisites: Prerequisites, report: Report, kinds: tuple[Kind, ...], deadline: Deadline
) -> Findings:
    """Return the facts that were found by the deadline; never raises."""
    problem = plan.problem_of(report, kinds)
    steps = plan.steps_for(prerequisites.settings, report, problem)
    surroundings = Surroundings(prerequisites, report, problem.session)
    diagnosis = _Diagnosis(surroundings, deadline, prerequisites.is_limited)
    if problem.kind in plan.ABOUT_DATES:
        diagnosis.facts.append(LocalClock(report.now))
    if not deadline.left():
        diagnosis.skip(steps, "no time left")
        return diagnosis.findings(problem)
    try:
        diagnosis.start(steps)
        diagnosis.wait()
    except Stopped:
        diagnosis.skip(diagnosis.pending(), "stopped from outside")
    finally:
        surroundings.programs.stop()
    return diagnosis.findings(problem)


class _Diagnosis:
    def __init__(self, surroundings: Surroundings, deadline: Deadline, is_limited: bool) -> None:
        self._surroundings = surroundings
        self._turn: AbstractContextManager[object]
        self._turn = threading.Lock() if is_limited else nullcontext()
        """Held by a step that connects, so that a sweep keeps to its `--jobs-per-address`."""
        self._deadline = deadline
        self.facts: list[Fact] = []
        self._skipped: list[tuple[Step, Printable]] = []
        self._threads: list[threading.Thread] = []
        self._pending: list[Step] = []

    def findings(self, problem: Problem) -> Findings:
        by_step = sorted(self._skipped, key=lambda each: plan.STEPS.index(each[0]))
        skipped = dict.fromkeys(text for _, text in by_step)
        return Findings(problem, tuple(self.facts), tuple(skipped))

    def start(self, steps: Iterable[Step]) -> None:
        """Start each step with each of its objects, in a thread of its own."""
        for step in steps:
            try:
                objects = step.objects(self._surroundings)
            except ProbeError as error:
                self.skip((step,), error.message)
                continue
            for each in objects:
                self._start(step, each)

    def _start(self, step: Step, each: object) -> None:
        thread = threading.Thread(target=self._do, args=(step, each), daemon=True)
        self._pending.append(step)
        try:
            thread.start()
        except RuntimeError:
            self._pending.remove(step)
            self.skip((step,), "no thread can be started")
        else:
            self._threads.append(thread)

    def wait(self) -> None:
        """Wait for all steps, and name those that are late."""
        for thread in self._threads:
            thread.join(self._deadline.left())
        self.skip(self.pending(), "not finished in time")

    def pending(self) -> tuple[Step, ...]:
        """Return the steps that are not finished.

        `Thread.is_alive` cannot be used: after a signal has interrupted `join`, a running thread
        may be reported as finished (bpo-45274).
        """
        return tuple(self._pending)

    def skip(self, steps: Iterable[Step], reason: str) -> None:
        """Record that steps are skipped or incomplete."""
        self._skipped += [(step, printable("{}: {}", step.name, reason)) for step in steps]

    def _do(self, step: Step, each: object) -> None:
        """Do a step with one object; no error in it changes the verdict."""
        try:
            with self._turn if step.connects else nullcontext():
                limit = Deadline(self._deadline.at - _GRACE_SECONDS).within(step.seconds)
                for fact in step.work(self._surroundings, each, limit):
                    self.facts.append(fact)
        except ProbeError as error:
            self.skip((step,), self._surroundings.sanitise(error.message))
        except BaseException as error:  # signals reach only the main thread
            self.skip((step,), f"internal error ({type(error).__name__})")
        finally:
            self._pending.remove(step)
            end_helper()
