"""Render a verdict as JSON, by the schema `docs/schema-1.json`.

Fields may be added to version 1; none is renamed or removed.
"""

import json

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.check.verdict import Figure, Verdict
from check_pop3_plus.model.report import CertificateFacts
from check_pop3_plus.output import plugin_text

if TYPE_CHECKING:
    from datetime import datetime

SCHEMA = 1


def render(verdict: Verdict) -> str:
    """Return the result of a check as one object on one line."""
    return json.dumps(result(verdict)) + "\n"


def result(verdict: Verdict) -> dict[str, object]:
    return {
        **common(verdict),
        "target": {"host": verdict.host, "port": verdict.port, "service": verdict.service},
        "kinds": list(verdict.kinds),
        "phase": verdict.phase,
        "addresses": [each.__dict__ for each in verdict.addresses],
        "certificate": _certificate(verdict.certificate),
        "intermediate": _certificate(verdict.intermediate),
        "attempts": [{"state": state.name, "status": text} for state, text in verdict.attempts],
    }


def common(verdict: Verdict) -> dict[str, object]:
    """Return what a check and a sweep have in common."""
    long = plugin_text.render(verdict, with_perfdata=False).partition("\n")[2]
    return {
        "schema": SCHEMA,
        "state": verdict.state.name,
        "exit_code": verdict.state.value,
        "output": verdict.line,
        "long_output": long,
        "perfdata": list(map(plugin_text.perfdata, verdict.figures)),
        "figures": {each.label: _figure(each) for each in verdict.figures},
    }


def _figure(figure: Figure) -> dict[str, object]:
    fields = {name: value for name, value in figure.__dict__.items() if name != "label"}
    return fields | {"value": round(figure.value, 4)}


def _certificate(facts: CertificateFacts | None) -> dict[str, object] | None:
    if facts is None:
        return None
    return {
        "subject": facts.subject,
        "issuer": facts.issuer,
        "names": list(facts.names),
        "sha256": facts.fingerprint,
        "not_before": _date(facts.not_before),
        "not_after": _date(facts.not_after),
    }


def _date(instant: "datetime | None") -> str | None:
    return f"{instant:%Y-%m-%dT%H:%M:%SZ}" if instant else None
