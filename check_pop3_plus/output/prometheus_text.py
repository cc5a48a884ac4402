"""Render verdicts in the text format of Prometheus, for the textfile collector of node_exporter.

https://prometheus.io/docs/instrumenting/exposition_formats/ - without timestamps, which that
collector refuses. Label values come from the options or are words of ours, never from a server.
"""

from collections.abc import Iterable, Iterator, Mapping

from check_pop3_plus.check.verdict import Verdict
from check_pop3_plus.model.failures import MEASURED
from check_pop3_plus.model.settings import State

_HELP = {
    "pop3_probe_success": "Whether the state is OK or WARNING (1), or CRITICAL or UNKNOWN (0).",
    "pop3_state": "The state of the check: 1 for one of the four, 0 for the others.",
    "pop3_failure_info": "The kinds of failure of a check that is not OK.",
    "pop3_probe_duration_seconds": "Response time, from the DNS lookup to the last reply.",
    "pop3_phase_duration_seconds": "Time of each phase of the check.",
    "pop3_certificate_not_after_timestamp_seconds": "When the server certificate expires.",
    "pop3_chain_not_after_timestamp_seconds": "When the first intermediate certificate expires.",
    "pop3_mailbox_messages": "Messages in the mailbox.",
    "pop3_mailbox_size_bytes": "Size of the mailbox.",
    "pop3_mailbox_newest_age_seconds": "Age of the newest message.",
    "pop3_mailbox_oldest_age_seconds": "Age of the oldest message.",
    "pop3_delivery_duration_seconds": "Time from the submission of a probe to its arrival.",
    "pop3_sweep_last_run_timestamp_seconds": "When the sweep ended.",
    "pop3_sweep_not_done_services": "Services of the sweep without a result.",
}
"""The metrics in the order of the output; all of them are gauges."""

_FIGURES = {
    "time": ("pop3_probe_duration_seconds", {}),
    **{
        f"time_{phase.value}": ("pop3_phase_duration_seconds", {"phase": phase.value})
        for phase in MEASURED
    },
    "messages": ("pop3_mailbox_messages", {}),
    "mailbox_size": ("pop3_mailbox_size_bytes", {}),
    "newest_age": ("pop3_mailbox_newest_age_seconds", {}),
    "oldest_age": ("pop3_mailbox_oldest_age_seconds", {}),
    "delivery": ("pop3_delivery_duration_seconds", {}),
}
"""Metric and label of each figure; dates are exported as instants, not as days."""

Labels = Mapping[str, str]
Sample = tuple[str, Labels, float]
"""Metric, labels and value."""


def render(verdict: Verdict) -> str:
    """Return the metrics of one check, and its status line as a comment."""
    host = f"[{verdict.host}]" if ":" in verdict.host else verdict.host
    target = f"{host}:{verdict.port}" if verdict.port else host
    return f"# {verdict.line}\n" + exposition(samples(verdict, target, verdict.service))


def samples(verdict: Verdict, target: str, service: str) -> Iterator[Sample]:
    labels = {"target": target, "service": service}
    yield "pop3_probe_success", labels, verdict.state in (State.OK, State.WARNING)
    for state in State:
        yield "pop3_state", {**labels, "state": state.name.lower()}, verdict.state is state
    for kind in verdict.kinds:
        yield "pop3_failure_info", {**labels, "kind": kind}, 1
    for figure in verdict.figures:
        if figure.label in _FIGURES:
            name, label = _FIGURES[figure.label]
            yield name, {**labels, **label}, figure.value
    for name, facts in (("certificate", verdict.certificate), ("chain", verdict.intermediate)):
        if facts and facts.not_after:
            yield f"pop3_{name}_not_after_timestamp_seconds", labels, facts.not_after.timestamp()


def exposition(found: Iterable[Sample]) -> str:
    """Return samples as text: those of a metric stand together, below its HELP and TYPE."""
    lines: dict[str, list[str]] = {name: [] for name in _HELP}
    for name, labels, value in found:
        shown = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        number = f"{float(value):.4f}".rstrip("0").rstrip(".")
        lines[name].append(f"{name}{{{shown}}} {number}\n")
    return "".join(
        f"# HELP {name} {_HELP[name]}\n# TYPE {name} gauge\n{''.join(of_name)}"
        for name, of_name in lines.items()
        if of_name
    )


def _escaped(value: str) -> str:
    value = value.encode("utf-8", "replace").decode()
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
