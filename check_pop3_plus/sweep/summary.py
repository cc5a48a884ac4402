"""The result of a sweep: status line, a line per service that is not OK, and JSON objects."""

import json
import re
from collections.abc import Callable, Iterable

from check_pop3_plus.check.verdict import SEVERITY, Figure, Verdict
from check_pop3_plus.messages.formats import count, listed
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.sanitised_text import sanitise, shorten
from check_pop3_plus.model.settings import State, Sweep
from check_pop3_plus.output import json_text
from check_pop3_plus.output.plugin_text import VERBOSE_OUTPUT_LIMIT, render
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.services import Service

_NAMES = 3
"""Services named behind one reason on the first line."""

_NAME_LIMIT = 60
_REASON_LIMIT = 80

_PLACED = re.compile(r"(.*)( \(.*, (line [0-9]+)\))")
"""A reason with its place in a file, which is not cut off."""

_LABELS = ("likely cause", "try", "kind")
"""The lines of a check that the sweep shows with its status."""

Reason = tuple[Service, str]
"""A service, and what is wrong with it."""

Group = tuple[str, list[Service]]
"""What is wrong with several services."""


class Line(Record):
    """A line of the long output."""

    state: State
    service: Service
    status: str
    suffix: str
    """Failed attempts, an insecure login, and the place where it is not in the name."""
    advice: tuple[str, ...] = ()
    """Cause, hint and kind of each finding."""


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
        self._invalid: set[int] = set()
        """The positions of the services whose section is invalid."""
        self._shortages: dict[int, str] = {}
        """What was short for a service, by its identity."""
        self.refused: list[Reason] = []
        """The services whose results the submit target did not accept, and why."""
        self.not_done: list[Reason] = []
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
            self._invalid.add(self._position(service))
        is_own = self.wanted.submit_target is None or not outcome.is_readable
        if (is_own and state is not State.OK) or self.wanted.verbosity:
            lines = [each for each in outcome.verdict.lines if each.partition(":")[0] in _LABELS]
            status, suffix = _status(service, outcome.verdict)
            self._lines.append(Line(state, service, status, suffix, tuple(lines)))

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
        late = "not done" if is_stopped else late
        late += f": {why_late}" if why_late else ""
        own = {each: f"not done: {what}" for each, what in self._shortages.items()}
        self.not_done = [(each, own.get(id(each), late)) for each in missing]
        lines = sorted(
            (self._masked(line, mask) for line in self._lines),
            key=lambda line: (-SEVERITY.index(line.state), self._position(line.service)),
        )
        groups = (_grouped(self.not_submitted), self._worst(lines), _grouped(self.not_done))
        shown = [_shortened(*each) for of_reason in groups for each in of_reason]
        shown = ["stopped from outside", *shown] if is_stopped else shown
        counted = [f"{number} {each.name}" for each, number in self.counts.items() if number]
        counted += [f"{len(missing)} not done"] if missing else []
        counted += [f"{len(self.refused)} not submitted"] if self.refused else []
        total = f"{count(len(self.services), 'service')} in {seconds:.1f} s: {', '.join(counted)}"
        total += "; all submitted" if self.wanted.submit_target and not self.refused else ""
        verdict = Verdict(
            self._state(bool(missing), is_stopped),
            "; ".join(shown) or total,
            self._figures(seconds, len(missing)),
            suffix=f"; {total}" if shown else "",
            is_verbose=True,
        )
        return verdict.replace(lines=_long_output(lines, verdict.line))

    def _state(self, are_missing: bool, is_stopped: bool) -> State:
        """Return the worst state, or the state of the sweep itself where results are submitted."""
        states = {State.UNKNOWN} if are_missing or self._invalid else {State.OK}
        if self.refused:  # after a signal this is no failure of the receiver
            states.add(State.UNKNOWN if is_stopped else State.CRITICAL)
        if self.wanted.submit_target is None:
            states |= {state for state, number in self.counts.items() if number}
        return max(states, key=SEVERITY.index)

    @property
    def not_submitted(self) -> list[Reason]:
        return [(service, f"not submitted: {reason}") for service, reason in self.refused]

    def _worst(self, lines: list[Line]) -> list[Group]:
        """Return the worst services, unless their results are submitted, then invalid sections."""
        worst = lines[0].state if lines and self.wanted.submit_target is None else State.OK
        found: dict[bool, list[Reason]] = {True: [], False: []}
        for line in lines:
            is_worst = line.state is worst and worst is not State.OK
            if is_worst or self._position(line.service) in self._invalid:
                found[is_worst].append((line.service, line.status))
        return [*_grouped(found[True]), *_grouped(found[False])]

    @staticmethod
    def _masked(line: Line, mask: Callable[[str], str]) -> Line:
        return line.replace(
            status=mask(line.status),
            suffix=mask(line.suffix),
            advice=tuple(map(mask, line.advice)),
        )

    def _figures(self, seconds: float, missing: int) -> tuple[Figure, ...]:
        """Return the time, the number of services, and the other counts that are not 0."""
        counts = {state.name.lower(): number for state, number in self.counts.items()}
        counts |= {"not_done": missing, "not_submitted": len(self.refused)}
        total = len(self.services)
        return (
            Figure("time", seconds, "s", min=0, max=self.wanted.run_timeout),
            Figure("services", total, min=0, max=total),
            *(
                Figure(label, number, min=0, max=total)
                for label, number in counts.items()
                if number
            ),
        )


def _status(service: Service, verdict: Verdict) -> tuple[str, str]:
    """Return the status of a service, with a place in a file, and its suffix.

    The place of the server is left out where the name of the service has the host.
    """
    if placed := _PLACED.fullmatch(verdict.suffix):
        return verdict.status + placed[2], ""
    others, _, place = verdict.suffix.rpartition(" (")
    is_named = place.startswith(f"{service.host}:")
    return verdict.status, others if is_named else verdict.suffix


def _long_output(lines: list[Line], head: str) -> tuple[str, ...]:
    """Return a line for each service, without a status that `head` has.

    Where there is no space for all of them, the hints and places are left out.
    """
    for labels in (_LABELS, ("kind",)):
        found = []
        for line in lines:
            advice = [each for each in line.advice if each.partition(":")[0] in labels]
            said = "" if advice and line.status in head else f": {line.status}"
            said += line.suffix if labels is _LABELS else ""
            said = re.sub("^, ", ": ", said)
            said = "; ".join((said, *advice)) if said[:1] == ":" else f"{said}: {'; '.join(advice)}"
            found.append(f"{line.state.name.lower()}: {named(line.service)}{said}")
        if sum(map(len, found)) + len(found) < VERBOSE_OUTPUT_LIMIT - 1024:  # for line 1
            break
    return tuple(found)


def _grouped(services: Iterable[Reason]) -> list[Group]:
    """Return each reason with its services, the one of most services first."""
    found: dict[str, list[Service]] = {}
    for service, reason in services:
        found.setdefault(reason, []).append(service)
    return sorted(found.items(), key=lambda each: -len(each[1]))


def _shortened(reason: str, services: list[Service]) -> str:
    """Return a reason, the first of its services, and how many more there are."""
    first = [named(each) for each in services[:_NAMES]]
    names = listed(first, _NAMES, len(services[_NAMES:]))
    matched = _PLACED.fullmatch(reason)
    text, place, line = matched.groups() if matched else (reason, "", "")
    if len(place) > _REASON_LIMIT // 2:  # the long output has it, and the user has named the file
        place = f" ({line})"
    return f"{shorten(text, _REASON_LIMIT)}{place} ({names})"


def named(service: Service) -> str:
    """Return the name of a service, cut to 60 characters."""
    return sanitise(service.name, _NAME_LIMIT) or "(empty)"


def as_text(verdict: Verdict, tally: Tally) -> str:
    """Return the plugin's output, with all services that have no result or whose is not submitted.

    Those that line 1 does not name are named in addition to the limited output: nothing else
    reports them.
    """
    head, _, rest = render(verdict).partition("\n")
    named_in_full = [
        (state, f"{reason} ({', '.join(map(named, services))})")
        for state, found in (
            (verdict.state.name.lower(), tally.not_submitted),
            ("unknown", tally.not_done),
        )
        for reason, services in _grouped(found)
    ]
    more = [f"{state}: {text}" for state, text in named_in_full if text not in verdict.line]
    return "\n".join((head, *more, rest))


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
