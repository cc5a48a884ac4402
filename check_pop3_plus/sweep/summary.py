"""What a sweep says: its first line, a line for each service that is not well, a JSON object."""

import json
from collections.abc import Iterable

from check_pop3_plus.check.verdict import SEVERITY, Figure, Verdict
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.settings import State, Sweep
from check_pop3_plus.output.plugin_text import perfdata, render
from check_pop3_plus.sweep.run import Outcome, Service

_NAMES = 3
"""Services named on the first line."""

_NAME_LIMIT = 60


class Tally:
    """What has come of a sweep so far."""

    def __init__(self, services: list[Service], wanted: Sweep) -> None:
        self.services = services
        self.wanted = wanted
        self.counts = dict.fromkeys(State, 0)
        self._done: dict[int, State] = {}
        self._lines: list[tuple[State, str, str]] = []
        """State, name and what there is to say, of each service that is not well."""
        self._unread: list[str] = []
        self._not_submitted: list[str] = []

    def add(self, outcome: Outcome, refusal: str | None = None) -> None:
        """Count an outcome; `refusal` says why it was not taken where it was to be handed to."""
        state, name = outcome.verdict.state, named(outcome.service)
        self._done[id(outcome.service)] = state
        self.counts[state] += 1
        if not outcome.is_readable:
            self._unread.append(name)
        elif refusal is not None:
            self._not_submitted.append(name)
            self._lines.append((State.CRITICAL, name, f"not submitted: {refusal}"))
        is_own = self.wanted.submit_target is None or not outcome.is_readable
        if (is_own and state is not State.OK) or self.wanted.verbosity:
            self._lines.append((state, name, outcome.verdict.status))

    def done(self) -> int:
        return len(self._done)

    def verdict(self, seconds: float, is_stopped: bool = False) -> Verdict:
        """Return the result of the sweep as a whole."""
        missing = [each for each in self.services if id(each) not in self._done]
        why = "stopped" if is_stopped else f"not done within {self.wanted.run_timeout:g} s"
        lines = self._lines + [(State.UNKNOWN, named(each), why) for each in missing]
        lines.sort(key=lambda line: SEVERITY.index(line[0]), reverse=True)
        state = self._state(bool(missing))
        counted = [f"{count} {each.name}" for each, count in self.counts.items() if count]
        total = len(self.services)
        status = f"{total} service{'s' * (total != 1)} in {seconds:.1f} s"
        if is_stopped:
            status = f"stopped from outside: {status}"
        status += ": " + ", ".join(counted or ["none done"])
        if missing:
            status += f"; {len(missing)} not done: {_some(named(each) for each in missing)}"
        if self._unread:
            status += f"; {len(self._unread)} not readable: {_some(self._unread)}"
        status += self._of_receiver() if self.wanted.submit_target else _worst(lines)
        return Verdict(
            state,
            status,
            self._figures(seconds, len(missing)),
            tuple(f"{state.name.lower()}: {name}: {said}" for state, name, said in lines),
            is_verbose=True,
        )

    def _state(self, are_missing: bool) -> State:
        """Return the worst; where others are handed the results, that of the sweep itself."""
        states = {State.UNKNOWN} if are_missing or self._unread else {State.OK}
        if self._not_submitted:
            states.add(State.CRITICAL)
        if self.wanted.submit_target is None:
            states |= {state for state, count in self.counts.items() if count}
        return max(states, key=SEVERITY.index)

    def _of_receiver(self) -> str:
        failed = self._not_submitted
        return f"; {len(failed)} not submitted: {_some(failed)}" if failed else "; all submitted"

    def _figures(self, seconds: float, missing: int) -> tuple[Figure, ...]:
        counts = {"services": len(self.services)}
        counts |= {state.name.lower(): count for state, count in self.counts.items()}
        counts["not_done"] = missing
        if self.wanted.submit_target:
            counts["not_submitted"] = len(self._not_submitted)
        return (
            Figure("time", seconds, "s", min=0, max=self.wanted.run_timeout),
            *(
                Figure(label, count, min=0, max=len(self.services))
                for label, count in counts.items()
            ),
        )


def named(service: Service) -> str:
    return sanitise(service.name, _NAME_LIMIT) or "(empty)"


def _some(names: Iterable[str]) -> str:
    shown = list(names)
    more = f" and {len(shown) - _NAMES} more" if len(shown) > _NAMES else ""
    return ", ".join(shown[:_NAMES]) + more


def _worst(lines: list[tuple[State, str, str]]) -> str:
    """Name the worst; where it is a single one, say what is wrong with it."""
    worst = [line for line in lines if line[0] is lines[0][0] and line[0] is not State.OK]
    if not worst:
        return ""
    if len(worst) > 1:
        return f"; worst: {_some(name for _, name, _ in worst)}"
    return f"; worst: {worst[0][1]}: {worst[0][2]}"


def as_json(outcome: Outcome) -> str:
    """Return the outcome of one service as an object on one line."""
    service = {"host": outcome.service.host, "service": outcome.service.description}
    return json.dumps(
        {
            **service,
            **_rendered(outcome.verdict),
            "readable": outcome.is_readable,
            "began": round(outcome.began, 3),
            "ended": round(outcome.ended, 3),
        }
    )


def summary_as_json(verdict: Verdict, tally: Tally) -> str:
    """Return the result of the sweep as an object on one line."""
    counts = {state.name: count for state, count in tally.counts.items()}
    summary = {"services": len(tally.services), "done": tally.done(), **counts}
    return json.dumps({"summary": summary, **_rendered(verdict)})


def _rendered(verdict: Verdict) -> dict[str, object]:
    head, _, long = render(verdict, with_perfdata=False).partition("\n")
    return {
        "state": verdict.state.name,
        "exit_code": verdict.state.value,
        "output": head,
        "long_output": long,
        "perfdata": [perfdata(figure) for figure in verdict.figures],
    }
