"""The result of a sweep: status line, a line per service that is not OK, and JSON objects."""

import json
from collections.abc import Callable

from check_pop3_plus.check.verdict import SEVERITY, Figure, Verdict
from check_pop3_plus.messages.formats import count
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.settings import State, Sweep
from check_pop3_plus.output import json_text
from check_pop3_plus.output.plugin_text import render
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.services import Service

_NAMES = 3
"""Services named on the first line."""

_NAME_LIMIT = 60

Line = tuple[State, Service, str]
"""A line of the long output: state, service and message."""


class Tally:
    """The results of a sweep so far. Their order is that of the file, not of their arrival."""

    def __init__(self, services: list[Service], wanted: Sweep) -> None:
        self.services = services
        self.wanted = wanted
        self.counts = dict.fromkeys(State, 0)
        self._positions = {id(service): number for number, service in enumerate(services)}
        self._done: set[int] = set()
        """The positions of the finished services."""
        self._lines: list[Line] = []
        """A line for each service that is not OK."""
        self._invalid: list[Service] = []
        self._shortages: dict[int, str] = {}
        """What was short for a service, by its identity."""
        self.refused: list[tuple[Service, str]] = []
        """The services whose results the submit target did not accept, and why."""
        self.not_done: list[tuple[Service, str]] = []
        """The services without a result, and why; known after `verdict`."""

    def add(self, outcome: Outcome) -> None:
        """Count an outcome; one of a shortage is none, and its service is not done."""
        if outcome.verdict.shortage:
            self._shortages[id(outcome.service)] = outcome.verdict.shortage
            return
        state, service = outcome.verdict.state, outcome.service
        self._done.add(self._position(service))
        self.counts[state] += 1
        if not outcome.is_readable:
            self._invalid.append(service)
        is_own = self.wanted.submit_target is None or not outcome.is_readable
        if (is_own and state is not State.OK) or self.wanted.verbosity:
            self._lines.append((state, service, outcome.verdict.status))

    def add_refused(self, refused: list[tuple[Outcome, str]]) -> None:
        """Count the outcomes that the submit target did not accept, with the reason of each.

        One of them may not have been added: a signal ended its submission.
        """
        self._done.update(self._position(outcome.service) for outcome, _ in refused)
        self.refused += [(outcome.service, reason) for outcome, reason in refused]
        self.refused.sort(key=lambda each: self._position(each[0]))

    def done(self) -> int:
        """Return the number of finished services."""
        return len(self._done)

    def _position(self, service: Service) -> int:
        return self._positions[id(service)]

    def verdict(
        self,
        seconds: float,
        is_stopped: bool = False,
        why_late: str = "",
        mask: Callable[[str], str] = str,
    ) -> Verdict:
        """Return the result of the whole sweep.

        `why_late` may explain a missing result; `mask` masks the secrets learnt since.
        """
        missing = [each for each in self.services if self._position(each) not in self._done]
        late = f"not done within {self.wanted.run_timeout:g} s"
        late = "not done, stopped from outside" if is_stopped else late
        late += f" ({why_late})" if why_late else ""
        own = {each: f"not done ({what})" for each, what in self._shortages.items()}
        self.not_done = [(each, own.get(id(each), late)) for each in missing]
        lines = sorted(
            ((state, service, mask(text)) for state, service, text in self._lines),
            key=lambda line: (-SEVERITY.index(line[0]), self._position(line[1])),
        )
        state = self._state(bool(missing), is_stopped)
        counted = [f"{number} {each.name}" for each, number in self.counts.items() if number]
        status = f"{count(len(self.services), 'service')} in {seconds:.1f} s"
        if is_stopped:
            status = f"stopped from outside: {status}"
        status += ": " + ", ".join(counted or ["none done"])
        if missing:
            why = f" ({why_late})" if why_late else ""
            status += f"; {len(missing)} not done{why}: {self._some(missing)}"
        if self._invalid:
            invalid = count(len(self._invalid), "invalid section")
            status += f"; {invalid}: {self._some(self._invalid)}"
        status += self._submission() if self.wanted.submit_target else self._worst(lines)
        return Verdict(
            state,
            status,
            self._figures(seconds, len(missing)),
            tuple(f"{state.name.lower()}: {named(each)}: {text}" for state, each, text in lines),
            is_verbose=True,
        )

    def _state(self, are_missing: bool, is_stopped: bool) -> State:
        """Return the worst state, or the state of the sweep itself where results are submitted."""
        states = {State.UNKNOWN} if are_missing or self._invalid else {State.OK}
        if self.refused:  # after a signal this is no failure of the receiver
            states.add(State.UNKNOWN if is_stopped else State.CRITICAL)
        if self.wanted.submit_target is None:
            states |= {state for state, number in self.counts.items() if number}
        return max(states, key=SEVERITY.index)

    def _submission(self) -> str:
        if not self.refused:
            return "; all submitted"
        failed = [service for service, _ in self.refused]
        return f"; {len(failed)} not submitted: {self._some(failed)}"

    def _worst(self, lines: list[Line]) -> str:
        """Return the names of the worst services; of a single one also its message."""
        worst = [line for line in lines if line[0] is lines[0][0] and line[0] is not State.OK]
        if not worst:
            return ""
        if len(worst) > 1:
            return f"; worst: {self._some([service for _, service, _ in worst])}"
        return f"; worst: {named(worst[0][1])}: {worst[0][2]}"

    def _some(self, services: list[Service]) -> str:
        """Return the names of the first services of the file, and how many more there are."""
        more = f" and {len(services) - _NAMES} more" if len(services) > _NAMES else ""
        first = sorted(services, key=self._position)[:_NAMES]
        return ", ".join(map(named, first)) + more

    def _figures(self, seconds: float, missing: int) -> tuple[Figure, ...]:
        counts = {"services": len(self.services)}
        counts |= {state.name.lower(): number for state, number in self.counts.items()}
        counts["not_done"] = missing
        if self.wanted.submit_target:
            counts["not_submitted"] = len(self.refused)
        return (
            Figure("time", seconds, "s", min=0, max=self.wanted.run_timeout),
            *(
                Figure(label, number, min=0, max=len(self.services))
                for label, number in counts.items()
            ),
        )


def named(service: Service) -> str:
    """Return the name of a service, cut to 60 characters."""
    return sanitise(service.name, _NAME_LIMIT) or "(empty)"


def as_text(verdict: Verdict, tally: Tally) -> str:
    """Return the plugin's output, with all services that have no result or whose is not submitted.

    They are named in addition to the limited output: nothing else reports them.
    """
    head, _, rest = render(verdict).partition("\n")
    refused = [(service, f"not submitted: {reason}") for service, reason in tally.refused]
    return "\n".join(
        (
            head,
            *_grouped(verdict.state.name.lower(), refused),
            *_grouped("unknown", tally.not_done),
            rest,
        )
    )


def _grouped(state: str, services: list[tuple[Service, str]]) -> list[str]:
    """Return one line per reason, which names all its services."""
    names: dict[str, list[str]] = {}
    for service, reason in services:
        names.setdefault(reason, []).append(named(service))
    return [f"{state}: {reason}: {', '.join(found)}" for reason, found in names.items()]


def as_json(outcome: Outcome) -> str:
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


def summary_as_json(verdict: Verdict, tally: Tally) -> str:
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
