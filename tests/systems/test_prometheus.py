"""A real Prometheus scrapes a real node_exporter, which reads the metrics file of a sweep."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, build_opener

import pytest

from tests.servers.scripted_server import PoliteServer, dead_port
from tests.support.command import run

PROMETHEUS = shutil.which("prometheus")
NODE_EXPORTER = shutil.which("prometheus-node-exporter")
RULES = Path(__file__).parents[2] / "icinga-templates/prometheus/check_pop3_plus.rules.yml"
PATIENCE = 40.0

CONFIG = """
global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: [{rules}]
scrape_configs:
  - job_name: node
    static_configs:
      - targets: ["127.0.0.1:{port}"]
"""


class Prometheus:
    """A running Prometheus."""

    def __init__(self, port: int) -> None:
        self._api = f"http://127.0.0.1:{port}/api/v1"
        # A proxy from the environment would be used even for 127.0.0.1.
        self._http = build_opener(ProxyHandler({}))

    def ask(self, what: str) -> Any:
        with self._http.open(f"{self._api}/{what}", timeout=5) as reply:
            return json.load(reply)["data"]

    def values(self, expression: str) -> dict[str, float]:
        """Return the value of each series, by its labels target, service and sweep."""
        found = self.ask("query?" + urlencode({"query": expression}))["result"]
        names = ("target", "service", "sweep")
        return {
            " ".join(each["metric"][name] for name in names if name in each["metric"]): float(
                each["value"][1]
            )
            for each in found
        }

    def wait_for(self, expression: str) -> dict[str, float]:
        """Return the values of an expression as soon as it has some."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                if found := self.values(expression):
                    return found
            except (URLError, ConnectionError):
                pass
            time.sleep(0.2)
        raise AssertionError(f"nothing for {expression} within {PATIENCE:g} s")


@contextmanager
def process(*command: str | Path | None) -> Iterator[None]:
    with subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as running:
        try:
            yield
        finally:
            running.terminate()


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Prometheus]:
    """A Prometheus with our rules; its node_exporter reads the directory `metrics`."""
    if not (PROMETHEUS and NODE_EXPORTER):
        asked_for = os.environ.get("CI") == "true" or os.environ.get("INSTALL") == "1"
        message = "Prometheus is missing (make test-systems INSTALL=1, as root on Debian)"
        (pytest.fail if asked_for else pytest.skip)(message)
    (tmp_path / "metrics").mkdir()
    with dead_port() as exporter, dead_port() as port:
        pass
    config = tmp_path / "prometheus.yml"
    config.write_text(CONFIG.format(rules=RULES, port=exporter))
    with ExitStack() as stack:
        stack.enter_context(
            process(
                NODE_EXPORTER,
                "--collector.disable-defaults",
                "--collector.textfile",
                f"--collector.textfile.directory={tmp_path / 'metrics'}",
                f"--web.listen-address=127.0.0.1:{exporter}",
            )
        )
        stack.enter_context(
            process(
                PROMETHEUS,
                f"--config.file={config}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            )
        )
        yield Prometheus(port)


def test_metrics_of_a_sweep_reach_prometheus_and_raise_alerts(
    prometheus: Prometheus, tmp_path: Path
) -> None:
    """All series arrive with our labels, without an error of the collector; the rules fire."""
    ini, file = tmp_path / "sweep.ini", tmp_path / "metrics" / "pop3.prom"
    with PoliteServer({}) as server, dead_port() as dead:
        ini.write_text(
            "[DEFAULT]\nhostname = 127.0.0.1\n"
            f"[good!pop3]\nport = {server.port}\n[dead!pop3]\nport = {dead}\n"
        )
        done = run("--sweep", str(ini), "--submit", f"prometheus:{file}")
    assert done.code == 0, done.out

    assert prometheus.wait_for('pop3_state{state="critical"} == 1') == {"dead pop3": 1}
    assert prometheus.values("pop3_probe_success") == {"good pop3": 1, "dead pop3": 0}
    assert prometheus.values('pop3_failure_info{kind="refused"}') == {"dead pop3": 1}
    assert prometheus.values("pop3_probe_duration_seconds").keys() >= {"good pop3"}
    assert prometheus.values("pop3_sweep_not_done_services") == {str(file): 0}
    assert list(prometheus.values("node_textfile_scrape_error").values()) == [0]
    sent = set(re.findall(r"^(pop3_\w+)", file.read_text(), re.M))
    stored = prometheus.ask("label/__name__/values")
    assert sent <= set(stored)
    assert prometheus.wait_for('ALERTS{alertname="Pop3Critical", alertstate="firing"}') == {
        "dead pop3": 1
    }
    assert prometheus.values('ALERTS{alertname="Pop3SweepNotRunning"}') == {}

    # A sweep that no longer runs leaves its file behind.
    old = re.sub(
        r"^(pop3_sweep_last_run_timestamp_seconds\{.*\}) .*",
        rf"\1 {time.time() - 1000:.0f}",
        file.read_text(),
        flags=re.M,
    )
    (tmp_path / "metrics" / "new").write_text(old)
    os.replace(tmp_path / "metrics" / "new", file)
    fired = prometheus.wait_for('ALERTS{alertname="Pop3SweepNotRunning", alertstate="firing"}')
    assert fired == {str(file): 1}


def test_alert_rules_are_loaded_by_prometheus(prometheus: Prometheus) -> None:
    """Each of them, and healthy."""
    prometheus.wait_for("up")
    [group] = prometheus.ask("rules")["groups"]

    assert [rule["name"] for rule in group["rules"]] == re.findall(
        r"alert: (\w+)", RULES.read_text()
    )
    assert all(rule["health"] in ("ok", "unknown") for rule in group["rules"])
