"""The queries of the Grafana dashboard, against an InfluxDB that a real Icinga 2 has filled.

All other programs are real: Dovecot, plugin, Icinga 2 with the shipped InfluxdbWriter, InfluxDB.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.pki.certificates import INTERMEDIATE_DAYS, Pki
from tests.servers.dovecot import MESSAGES, PASSWORDS, PERSONAS, Dovecot
from tests.servers.icinga2 import MASTER, Icinga, dsl
from tests.servers.influxdb import InfluxDB, Series, running
from tests.servers.scripted_server import dead_port

pytestmark = pytest.mark.real

GRAFANA = Path(__file__).parent.parent.parent / "icinga-templates" / "grafana"
DASHBOARD = json.loads((GRAFANA / "check_pop3_plus.json").read_text())
QUERIES = {
    (panel["title"], target["alias"]): target["query"]
    for panel in DASHBOARD["panels"]
    for target in panel["targets"]
}
VARIABLES = {it["name"]: it["query"] for it in DASHBOARD["templating"]["list"]}
ALL = ".*"

OK, WARNING, CRITICAL = range(3)
NAME = "pop.example.test"
GOOD, STLS, EXPIRING, INTERMEDIATE, DOWN = (
    f"{name}.example.test" for name in ("good", "stls", "expiring", "intermediate", "down")
)
# With all special characters of regular expressions and InfluxQL. (Icinga 2 stores a double quote
# with a backslash.)
LABEL = "Mail (50% off), a/b = 'x|y' [5+] \\d^*"
OTHER = "Other mail"


def ask(
    database: InfluxDB,
    query: str,
    host: str | Sequence[str] = ALL,
    service: str | Sequence[str] = ALL,
) -> list[Series]:
    """Query like Grafana: a selection becomes regular expressions, `All` becomes the one given."""
    now = int(time.time() * 1000)
    values = {
        "host": _chosen(host),
        "service": _chosen(service),
        "timeFilter": f"time >= {now - 600_000}ms and time <= {now}ms",
        "__interval": "1m",
    }
    return database.query(re.sub(r"\$(\w+)", lambda found: values[found[1]], query))


def _chosen(choice: str | Sequence[str]) -> str:
    if choice == ALL:
        return ALL
    escaped = (re.sub(r"[\\^$*+?.()|[\]{}/]", r"\\\g<0>", one) for one in choice)
    return f"({'|'.join(escaped)})"


@pytest.fixture(scope="module")
def database(
    icinga: Icinga, dovecot: Dovecot, pki: Pki, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[InfluxDB]:
    """A database with one result of every service, written by the shipped configuration."""
    secret = tmp_path_factory.mktemp("grafana") / "secret"
    secret.touch(mode=0o600)
    secret.write_text(PASSWORDS["monitor"])

    def entry(persona: str = "good", **more: object) -> dict[str, object]:
        return {
            "hostname": NAME,
            "connect_to": PERSONAS[persona].address,
            "port": dovecot.tls,
            "ssl": True,
            "ca_file": str(pki.ca_file),
            "warning": 8,
            "critical": 9,
            **more,
        }

    login = {"username": "monitor", "password_file": str(secret)}
    with dead_port() as port, running(tmp_path_factory.mktemp("influxdb")) as influxdb:
        hosts = {
            GOOD: {LABEL: entry(**login)},
            STLS: {LABEL: entry(**login, ssl=False, starttls=True, port=dovecot.plain)},
            EXPIRING: {LABEL: entry("expiring", certificate="30,1"), OTHER: entry()},
            INTERMEDIATE: {LABEL: entry("intermediate_expiring", certificate="30,1")},
            DOWN: {LABEL: entry(port=port)},
        }
        objects = "".join(
            f"""
            object Host "{name}" {{
              import "pop3-host"
              zone = "{MASTER}"
              vars.pop3 = {dsl(entries)}
            }}
            """
            for name, entries in hosts.items()
        )
        writer = (GRAFANA / "influxdb.conf").read_text()
        writer = writer.replace("port = 8086", f"port = {influxdb.port}, flush_interval = 1s")
        with icinga.node(objects + writer) as node:
            services = node.services()
            for service in services:
                node.act("reschedule-check", service, force=True)
            end = time.monotonic() + 40
            while len(states(influxdb)) < len(services):
                assert time.monotonic() < end, states(influxdb)
                time.sleep(0.1)
        yield influxdb


def states(database: InfluxDB) -> dict[tuple[str, str], int]:
    """Return the last state in each row of the state timeline."""
    found = ask(database, QUERIES["State", "$tag_hostname: $tag_service"])
    return {(it.tags["hostname"], it.tags["service"]): it.values[-1] for it in found}


def by_host(found: Sequence[Series]) -> Mapping[str, Any]:
    return {series.tags["hostname"]: series.values[-1] for series in found}


@pytest.mark.parametrize("of", QUERIES, ids=": ".join)
def test_every_query_returns_points(database: InfluxDB, of: tuple[str, str]) -> None:
    """InfluxDB accepts it and returns plausible values; these hosts have no such phase."""
    values = [value for series in ask(database, QUERIES[of]) for value in series.values]

    panel, alias = of
    assert bool(values) == (alias not in ("failed", "top", "smtp"))
    low, high = {
        "State": (OK, CRITICAL),
        "Days left": (INTERMEDIATE_DAYS - 1, 366),
        "Days left over time": (INTERMEDIATE_DAYS - 1, 366),
        "Response time": (8, 9) if alias in ("warning", "critical") else (0.0001, 5),
        "Response time by phase: $host": (0, 5),
        "Messages": (MESSAGES["monitor"],) * 2,
        "Mailbox size": (50, 1000),
    }[panel]
    assert all(low <= value <= high for value in values), values


@pytest.mark.parametrize("panel", ["Days left", "Days left over time"])
def test_days_left_shows_the_earliest_expiry(database: InfluxDB, panel: str) -> None:
    """For each host the certificate and the intermediate that expire first."""
    leaf = by_host(ask(database, QUERIES[panel, "$tag_hostname"]))
    intermediate = by_host(ask(database, QUERIES[panel, "$tag_hostname, intermediate"]))

    assert {host: round(days) for host, days in leaf.items()} == {
        GOOD: 365,
        STLS: 365,
        EXPIRING: 5,
        INTERMEDIATE: 365,
    }
    assert {host: round(days) for host, days in intermediate.items()} == {
        INTERMEDIATE: INTERMEDIATE_DAYS
    }


def test_timeline_has_a_row_per_service(database: InfluxDB) -> None:
    """Also for a service without measurements."""
    assert states(database) == {
        (GOOD, LABEL): OK,
        (GOOD, f"{LABEL} login"): OK,
        (GOOD, f"{LABEL} certificate"): OK,
        (STLS, LABEL): OK,
        (STLS, f"{LABEL} login"): OK,
        (STLS, f"{LABEL} certificate"): OK,
        (EXPIRING, LABEL): OK,
        (EXPIRING, f"{LABEL} certificate"): WARNING,
        (EXPIRING, OTHER): OK,
        (EXPIRING, f"{OTHER} certificate"): OK,
        (INTERMEDIATE, LABEL): OK,
        (INTERMEDIATE, f"{LABEL} certificate"): WARNING,
        (DOWN, LABEL): CRITICAL,
        (DOWN, f"{LABEL} certificate"): CRITICAL,
    }


def test_stacked_phases_stay_below_the_response_time(database: InfluxDB) -> None:
    """Only reached phases are shown; the rest of the time is the computer's own between them."""
    stack = {
        alias: found[0].values[-1]
        for (panel, alias), query in QUERIES.items()
        if panel.startswith("Response time by phase")
        and (found := ask(database, query, [GOOD], [f"{LABEL} login"]))
    }
    [whole] = ask(
        database,
        QUERIES["Response time", "$tag_hostname: $tag_service"],
        [GOOD],
        [f"{LABEL} login"],
    )

    assert list(stack) == ["resolve", "connect", "tls", "greeting", "capa", "login", "stat"]
    rounding = 0.0001 * len(stack)
    assert 0 < sum(stack.values()) <= whole.values[-1] + rounding


def test_variables_list_hosts_and_their_services(database: InfluxDB) -> None:
    """All hosts, and the services of the selected ones."""

    def offered(name: str, host: str | Sequence[str] = ALL) -> list[str]:
        [series] = ask(database, VARIABLES[name], host)
        return series.values

    assert offered("host") == sorted([GOOD, STLS, EXPIRING, INTERMEDIATE, DOWN])
    assert offered("service", [DOWN]) == [LABEL, f"{LABEL} certificate"]
    assert offered("service") == [
        LABEL,
        f"{LABEL} certificate",
        f"{LABEL} login",
        OTHER,
        f"{OTHER} certificate",
    ]


def test_selection_is_not_a_pattern(database: InfluxDB) -> None:
    """Special characters in names select nothing else."""
    query = QUERIES["State", "$tag_hostname: $tag_service"]
    found = ask(database, query, [GOOD, DOWN], [f"{LABEL} login", f"{LABEL} certificate"])

    assert {(series.tags["hostname"], series.tags["service"]) for series in found} == {
        (GOOD, f"{LABEL} login"),
        (GOOD, f"{LABEL} certificate"),
        (DOWN, f"{LABEL} certificate"),
    }
