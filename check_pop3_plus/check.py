"""One settings in, one verdict out. Prints nothing, so that a run and a sweep can share it.

nagiosplugin judges; the text is composed here, because its own printing moves perfdata to the
last line, ranks UNKNOWN first and sorts the labels.
"""

from typing import NamedTuple

import nagiosplugin

from check_pop3_plus import details
from check_pop3_plus.contexts import contexts
from check_pop3_plus.failures import MEASURED
from check_pop3_plus.resource import Pop3
from check_pop3_plus.settings import Secret, Settings, State
from check_pop3_plus.summary import Summary
from check_pop3_plus.timing import Deadline

STATUS_LIMIT = 200
"""Characters of line 1 before the perfdata (contract, section 3)."""

_OUTPUT_LIMIT = 4 * 1024
_VERBOSE_OUTPUT_LIMIT = 16 * 1024

SEVERITY = (State.OK, State.UNKNOWN, State.WARNING, State.CRITICAL)
"""Worst last (contract, section 4); the guidelines' numbers would put UNKNOWN last."""

_LABELS = (
    "time",
    *(f"time_{phase.value}" for phase in MEASURED),
    "cert_days",
    "chain_days",
    "messages",
    "mailbox_size",
)


class Verdict(NamedTuple):
    """The result of a check, ready to print."""

    state: State
    status: str
    """Without name and state."""
    perfdata: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    limit: int = _OUTPUT_LIMIT
    """Octets of the whole text."""

    def text(self) -> str:
        """Return the plugin's output: perfdata on line 1, the long output behind it."""
        head = f"POP3 {self.state.name} - {self.status}"
        if len(head) > STATUS_LIMIT:
            head = head[: STATUS_LIMIT - 3].rstrip() + "..."
        if self.perfdata:
            head += " | " + " ".join(self.perfdata)
        text = head + "\n"
        for line in self.lines:
            if len(text) + len(line) + 1 > self.limit - 20:
                return text + "more: left out\n"
            text += line + "\n"
        return text


def run(settings: Settings, deadline: Deadline, secret: Secret | None = None) -> Verdict:
    """Take one look and judge it."""
    resource = Pop3(settings, deadline, secret)
    summary = Summary(settings)
    check = nagiosplugin.Check(resource, *contexts(settings), summary)
    check()
    summary.report = resource.report
    results = nagiosplugin.Results(*sorted(check.results.results, key=_severity, reverse=True))
    state = _state(results[0]) if len(results) else State.UNKNOWN
    is_problem = state is not State.OK
    kinds = [str(result.hint) for result in results.results if _state(result) is not State.OK]
    return Verdict(
        state,
        summary.problem(results) if is_problem else summary.ok(results),
        tuple(sorted(check.perfdata, key=_position)),
        tuple(details.lines(settings, resource.report, kinds, is_problem)),
        _VERBOSE_OUTPUT_LIMIT if settings.verbosity >= 2 else _OUTPUT_LIMIT,
    )


def _state(result: nagiosplugin.Result) -> State:
    return State(int(result.state))


def _severity(result: nagiosplugin.Result) -> int:
    return SEVERITY.index(_state(result))


def _position(perfdata: str) -> int:
    """Return where a label stands; those of single addresses come last."""
    label = perfdata.partition("=")[0]
    return _LABELS.index(label) if label in _LABELS else len(_LABELS)
