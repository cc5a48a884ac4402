"""The shipped Grafana dashboard matches the plugin, the templates and Grafana's model."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from check_pop3_plus.check import figures
from check_pop3_plus.model.failures import MEASURED

TEMPLATES = Path(__file__).parent.parent.parent / "icinga-templates"
TEXT = (TEMPLATES / "grafana" / "check_pop3_plus.json").read_text()
DASHBOARD = json.loads(TEXT)
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"]}


def everything(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yield each key, by its path, with its value."""
    pairs: Iterable[tuple[object, object]] = ()
    if isinstance(value, dict):
        pairs = value.items()
    elif isinstance(value, list):
        pairs = enumerate(value)
    for key, found in pairs:
        yield f"{path}/{key}", found
        yield from everything(found, f"{path}/{key}")


def queries() -> list[str]:
    """Return the queries of panels and variables."""
    return [
        str(value)
        for path, value in everything(DASHBOARD)
        if path.endswith("/query") and value != "influxdb"
    ]


def test_every_metric_exists() -> None:
    """A query uses only metrics of the plugin, and its check command."""
    metrics = {name for query in queries() for name in re.findall(r"\"metric\" = '(.*?)'", query)}

    assert metrics
    assert metrics <= set(figures.LABELS)
    assert {"/".join(re.findall('FROM "(.*?)"', query)) for query in queries()} == {"pop3_plus"}
    command = (TEMPLATES / "icinga2" / "check_pop3_plus.conf").read_text()
    assert 'object CheckCommand "pop3_plus" {' in command


def test_phase_stack_has_every_phase() -> None:
    """In their order, each under its own name."""
    targets = PANELS["Response time by phase: $host"]["targets"]

    assert [target["alias"] for target in targets] == [phase.value for phase in MEASURED]
    for target in targets:
        assert f"\"metric\" = 'time_{target['alias']}'" in target["query"]


@pytest.mark.parametrize("panel", ["Days left", "Days left over time"])
def test_colours_change_at_the_default_thresholds(panel: str) -> None:
    """At the default thresholds of the certificate service, for a lifetime of 90 days."""
    template = (TEMPLATES / "icinga2" / "pop3_templates.conf").read_text()
    shares = re.findall(r'pop3_plus_certificate = "(\d+)%,(\d+)%"', template)[0]
    warning, critical = (90 * int(share) / 100 for share in shares)
    steps = PANELS[panel]["fieldConfig"]["defaults"]["thresholds"]["steps"]

    assert [step["value"] for step in steps] == [None, critical, warning]


def test_dashboard_file_is_normalised() -> None:
    """The file is sorted and indented, so that the next export shows only real changes."""
    assert json.dumps(DASHBOARD, indent=2, sort_keys=True) + "\n" == TEXT


def test_dashboard_is_independent_of_the_installation() -> None:
    """It works with any InfluxDB; a newer file replaces the older one."""
    sources = [value for path, value in everything(DASHBOARD) if path.endswith("/datasource")]

    assert DASHBOARD["id"] is None
    assert DASHBOARD["uid"] == "check-pop3-plus"
    assert {json.dumps(source) for source in sources} == {
        '{"type": "influxdb", "uid": "${datasource}"}'
    }
    assert len({panel["id"] for panel in PANELS.values()}) == len(DASHBOARD["panels"])


# Keys of Grafana that the model lacks.
UNKNOWN = "|".join(
    (
        r"/__requires\b.*",
        "/id",
        r"/panels/\d+/maxPerRow",
        r"/panels/\d+/.*/spanNulls",
        r"/templating/list/\d+/definition",
    )
)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="the model needs Python 3.11")
def test_dashboard_keys_are_in_the_model() -> None:
    """Nothing is lost in the model that Grafana Labs publishes."""
    # By name, because it is not installed on every Python version, and mypy would miss it.
    encoder, plugins, dashboard = (
        importlib.import_module(f"grafana_foundation_sdk.{name}")
        for name in ("cog.encoder", "cog.plugins", "models.dashboard")
    )
    plugins.register_default_plugins()
    parsed = dashboard.Dashboard.from_json(DASHBOARD)
    kept = dict(everything(json.loads(encoder.JSONEncoder().encode(parsed))))
    lost = {
        path
        for path, value in everything(DASHBOARD)
        if not isinstance(value, (dict, list)) and (path not in kept or kept[path] != value)
    }

    assert {path for path in lost if not re.fullmatch(UNKNOWN, path)} == set()
