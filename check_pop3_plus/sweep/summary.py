"""The result of a sweep: the status line, and a line per service that is not OK."""

from collections.abc import Iterable, Sequence

from check_pop3_plus.check.verdict import SEVERITY, STATUS_LIMIT, Figure, Verdict
from check_pop3_plus.messages.formats import count
from check_pop3_plus.model.failures import Origin
from check_pop3_plus.model.sanitised_text import joined, sanitise, shorten
from check_pop3_plus.model.settings import State, Sweep
from check_pop3_plus.output.plugin_text import VERBOSE_OUTPUT_LIMIT, render
from check_pop3_plus.support.masking import Masker
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.services import Service

_NAME_LIMIT = 60
_HEAD = len("POP3 CRITICAL - ")

_FORMS = (
    *((3, limit) for limit in range(160, 79, -10)),
    *((2, 80), *((1, limit) for limit in range(80, 39, -10))),
)
"""Services named behind each reason on line 1, and the characters of the reason: the first form
that fits. With fewer than the last it would not be understood."""

_MOST_REASONS = 20
"""More do not fit in any form."""

Reason = tuple[str, str, str]
"""What is wrong, where a wrong value stands, and the kind of failure; the last two may be empty."""

Group = tuple[Reason, list[Service]]
"""What is wrong with several services."""


class Tally:
    """The results of a sweep so far. Their order is that of the file, not of their arrival."""

    def __init__(self, services: list[Service], wanted: Sweep) -> None:
        self.services = services
        self.wanted = wanted
        self.counts = dict.fromkeys(State, 0)
        self._positions = {id(service): number for number, service in enumerate(services)}
        self._done: set[int] = set()
        """The positions of the finished services."""
        self._shown: list[Outcome] = []
        """Those with a line in the long output."""
        self._shortages: dict[int, str] = {}
        """What was short for a service, by its identity."""
        self.refused: list[tuple[Service, str]] = []
        """The services whose results the submit target did not accept, and why."""
        self.not_done: list[tuple[Service, str]] = []
        """The services without a result, and why; known after `verdict`."""

    def add(self, outcome: Outcome) -> None:
        """Count an outcome; one of a shortage is none, and its service is not done."""
        verdict = outcome.verdict
        if verdict.shortage:
            self._shortages[id(outcome.service)] = verdict.shortage
            return
        self._done.add(self._position(outcome.service))
        self.counts[verdict.state] += 1
        is_own = self.wanted.submit_target is None or not outcome.is_readable
        if (is_own and verdict.state is not State.OK) or self.wanted.verbosity:
            # Without the large parts, which are not shown.
            verdict = verdict.replace(
                figures=(), lines=(), addresses=(), certificate=None, intermediate=None, attempts=()
            )
            self._shown.append(outcome.replace(verdict=verdict))

    def add_refused(self, refused: list[tuple[Outcome, str]]) -> None:
        """Count the outcomes that the submit target did not accept, with the reason of each.

        One of them may not have been added: a signal ended its submission.
        """
        self._done.update(self._position(outcome.service) for outcome, _ in refused)
        self.refused += [(outcome.service, reason) for outcome, reason in refused]
        self.refused.sort(key=lambda each: self._position(each[0]))

    def done(self) -> int:
        return len(self._done)

    def _position(self, service: Service) -> int:
        return self._positions[id(service)]

    def verdict(
        self,
        seconds: float,
        is_stopped: bool = False,
        why_late: str = "",
        masker: Masker | None = None,
    ) -> Verdict:
        """Return the result of the whole sweep.

        `why_late` may explain a missing result; `masker` has the secrets learnt since.
        """
        missing = [each for each in self.services if self._position(each) not in self._done]
        late = f"not done within {self.wanted.run_timeout:g} s"
        late = "not done" if is_stopped else late
        late += f": {why_late}" if why_late else ""
        own = {each: f"not done: {what}" for each, what in self._shortages.items()}
        self.not_done = [(each, own.get(id(each), late)) for each in missing]
        shown = sorted(
            (each.replace(verdict=each.verdict.masked(masker or Masker())) for each in self._shown),
            key=lambda each: (-SEVERITY.index(each.verdict.state), self._position(each.service)),
        )
        counts = {state.name: number for state, number in self.counts.items()}
        counts |= {"not done": len(missing), "not submitted": len(self.refused)}
        counted = ", ".join(f"{number} {what}" for what, number in counts.items() if number)
        total = f"{count(len(self.services), 'service')} in {seconds:.1f} s: {counted}"
        total += "; all submitted" if self.wanted.submit_target and not self.refused else ""
        begin = "stopped from outside; " if is_stopped else ""
        choices = [
            [*self.not_submitted(), *self._worst(shown, is_by_kind), *self.without_result()]
            for is_by_kind in (False, True)
        ]
        reasons = _fitting(choices, STATUS_LIMIT - _HEAD - len(f"{begin}; {total}"))
        status = begin + "; ".join((*reasons, total))
        return Verdict(
            self._state(bool(missing), is_stopped),
            status,
            self._figures(seconds, counts),
            self._long_output(shown, status),
            is_verbose=True,
        )

    def _state(self, are_missing: bool, is_stopped: bool) -> State:
        """Return the worst state, or the state of the sweep itself where results are submitted."""
        are_invalid = not all(each.is_readable for each in self._shown)
        states = {State.UNKNOWN} if are_missing or are_invalid else {State.OK}
        if self.refused:  # after a signal this is no failure of the receiver
            states.add(State.UNKNOWN if is_stopped else State.CRITICAL)
        if self.wanted.submit_target is None:
            states |= {state for state, number in self.counts.items() if number}
        return max(states, key=SEVERITY.index)

    def not_submitted(self) -> list[Group]:
        return _grouped((each, (f"not submitted: {why}", "", "")) for each, why in self.refused)

    def without_result(self) -> list[Group]:
        return _grouped((each, (why, "", "")) for each, why in self.not_done)

    def _worst(self, shown: list[Outcome], is_by_kind: bool) -> list[Group]:
        """Return the worst services, unless their results are submitted, then invalid sections."""
        worst = shown[0].verdict.state if shown and self.wanted.submit_target is None else State.OK
        found: dict[bool, list[tuple[Service, Reason]]] = {True: [], False: []}
        for each in shown:
            verdict = each.verdict
            is_worst = verdict.state is worst and worst is not State.OK
            if is_worst or not each.is_readable:
                reason = verdict.status, self._source(verdict), next(iter(verdict.kinds), "")
                found[is_worst].append((each.service, reason))
        return [*_grouped(found[True], is_by_kind), *_grouped(found[False], is_by_kind)]

    def _source(self, verdict: Verdict) -> str:
        """Return where a wrong value stands, or nothing; the file is named if it is another one."""
        place = verdict.place
        if not isinstance(place, Origin):
            return ""
        return f"line {place.line}" if place.path == sanitise(self.wanted.file) else str(place)

    def _long_output(self, shown: list[Outcome], head: str) -> tuple[str, ...]:
        """Return a line for each service, with the hints that no line above has.

        Where there is no space for all of them, the hints and places are left out.
        """
        said: set[str] = set()
        lines = tuple(self._line(each, head, said) for each in shown)
        if sum(map(len, lines)) + len(lines) < VERBOSE_OUTPUT_LIMIT - 1024:  # for line 1
            return lines
        return tuple(self._line(each, head, said, is_brief=True) for each in shown)

    def _line(self, outcome: Outcome, head: str, said: set[str], is_brief: bool = False) -> str:
        """Return the line of a service, without the status if line 1 has it.

        Its server is named unless the name of the service begins with it.
        """
        service, verdict = outcome.service, outcome.verdict
        is_plain = is_brief or verdict.host == service.host
        place = self._source(verdict) or ("" if is_plain else verdict.place)
        is_known = verdict.advice and f"{verdict.status} (" in head
        texts = () if is_known else (verdict.status,)
        remarks = () if is_brief else verdict.remarks
        parts = [joined(", ", (*texts, *remarks))] if texts or remarks else []
        for each in verdict.advice:
            parts += [hint for hint in each.hints if not is_brief and hint not in said]
            parts.append(each.kind)
            said.update(each.hints)
        name = f"{named(service)} ({place})" if place else named(service)
        return f"{verdict.state.name.lower()}: {name}: {joined('; ', parts)}"

    def _figures(self, seconds: float, counts: dict[str, int]) -> tuple[Figure, ...]:
        """Return the time, the number of services, and the other counts that are not 0."""
        total = len(self.services)
        found = {"services": total} | {what: number for what, number in counts.items() if number}
        return (
            Figure("time", seconds, "s", min=0, max=self.wanted.run_timeout),
            *(
                Figure(what.lower().replace(" ", "_"), number, min=0, max=total)
                for what, number in found.items()
            ),
        )


def _grouped(found: Iterable[tuple[Service, Reason]], is_by_kind: bool = False) -> list[Group]:
    """Return each reason with its services, the one of most services first.

    By kind, those of a kind are one: a slow network has another number for each service.
    """
    groups: dict[object, Group] = {}
    for service, reason in found:
        text, _, kind = reason
        key = kind or text if is_by_kind else reason
        first, services = groups.setdefault(key, (reason, []))
        services.append(service)
        if first != reason:
            groups[key] = (first[0], f"kind {kind}", kind), services
    return sorted(groups.values(), key=lambda each: -len(each[1]))


def _fitting(choices: Sequence[list[Group]], space: int) -> list[str]:
    """Return the reasons with some services of each, of the first choice that fits."""
    for groups in choices:
        for names, limit in _FORMS if len(groups) <= _MOST_REASONS else ():
            texts = [_described(each, names, limit) for each in groups]
            if len("; ".join(texts)) <= space:
                return texts
    return _first(choices[-1], space)


def _first(groups: list[Group], space: int) -> list[str]:
    """Return the first reasons that fit, at least one, and the number of the other services."""
    shown: list[str] = []
    left = sum(len(services) for _, services in groups)
    for group in groups:
        others = left - len(group[1])
        rest = [f"and {count(others, 'more service')}"] if others else []
        available = space - len("; ".join((*shown, "", *rest)))
        texts = [_described(group, names, limit) for names, limit in _FORMS if names == 1]
        fitting = [text for text in texts if len(text) <= available]
        if not fitting and shown:
            break
        shown += (fitting or texts[-1:])[:1]
        left = others
    return [*shown, f"and {count(left, 'more service')}"] if left else shown


def _described(group: Group, names: int, limit: int) -> str:
    """Return a reason, cut to a limit, and its first services.

    The number of services comes before their names: it tells a fault from an outage.
    """
    (text, source, _), services = group
    shown = ", ".join(map(named, services[:names]))
    if len(services) > names:
        source += f"{', ' if source else ''}{len(services)} services"
        shown += ", ..."
    end = f" ({source}: {shown})" if source else f" ({shown})"
    return shorten(text, limit) + end


def named(service: Service) -> str:
    """Return the name of a service, cut to 60 characters."""
    return sanitise(service.name, _NAME_LIMIT) or "(empty)"


def as_text(verdict: Verdict, tally: Tally) -> str:
    """Return the plugin's output, with all services that have no result or whose is not submitted.

    Those that line 1 does not name are named in addition to the limited output: nothing else
    reports them.
    """
    head, _, rest = render(verdict).partition("\n")
    all_named = [
        (state, f"{reason} ({', '.join(map(named, services))})")
        for state, groups in (
            (verdict.state.name.lower(), tally.not_submitted()),
            ("unknown", tally.without_result()),
        )
        for (reason, *_), services in groups
    ]
    more = [f"{state}: {text}" for state, text in all_named if text not in verdict.line]
    return "\n".join((head, *more, rest))
