"""A sweep that submits its results to a real Icinga 2 and a real Nagios, with the shipped files."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest

from check_pop3_plus.check.verdict import Verdict
from check_pop3_plus.model.settings import HttpsEndpoint, RestApi, State, SubmitTarget
from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.services import Service
from check_pop3_plus.sweep.targets import submission
from check_pop3_plus.sweep.targets.submission import Target
from tests.pki.certificates import Pki
from tests.servers.icinga2 import AGENT, MASTER, TEMPLATES, Icinga, Node, dsl, private_icinga
from tests.servers.icinga_api import Api, Cut
from tests.servers.nagios import Nagios
from tests.servers.scripted_server import PoliteServer, dead_port
from tests.servers.token_endpoint import http
from tests.support.command import COMMAND
from tests.support.submission import refusals

pytestmark = pytest.mark.real

SHIPPED = TEMPLATES.parent / "sweep" / "check_pop3_plus_sweep.conf"

HOSTS = """
object Host "localhost" {
  check_command = "dummy"
  vars.pop3_sweep = true
}
object Host "pop.example.test" {
  check_command = "dummy"
  vars.pop3_swept = [ "good", "dead" ]
}
"""


@pytest.fixture(scope="session")
def icinga(tmp_path_factory: pytest.TempPathFactory) -> Icinga:
    return private_icinga(tmp_path_factory.mktemp("icinga2"))


def edited(port: str, password: str, freshness: str = "15m") -> str:
    """Return the shipped configuration with the edits it asks for; `port` is an expression."""
    shipped = SHIPPED.read_text()
    for old, new in (
        ('"EDIT"', f'"{password}"'),
        ('":5665"', f'":" + {port}'),
        ("check_interval = 15m", f"check_interval = {freshness}"),
        ("max_check_attempts = 2", "max_check_attempts = 1"),
    ):
        assert old in shipped
        shipped = shipped.replace(old, new)
    return shipped


def deploy(node: Node, password: str, sections: str) -> None:
    """Write the sweep's files to the paths of the shipped configuration."""
    (node.folder / "pop3-sweep.secret").touch(mode=0o600)
    (node.folder / "pop3-sweep.secret").write_text(password)
    (node.folder / "pop3-sweep.ini").write_text(f"[DEFAULT]\nhostname = 127.0.0.1\n{sections}")


def prepared(icinga: Icinga, sections: str, freshness: str = "15m") -> Node:
    """Return a node that runs a sweep."""
    password = secrets.token_hex()
    node = icinga.node(edited(str(icinga.ports[MASTER]), password, freshness) + HOSTS)
    deploy(node, password, sections)
    return node


def result(node: Node, service: str, output: str) -> dict[str, Any]:
    """Return the last result of a service, as soon as it contains this output."""

    def found() -> dict[str, Any] | None:
        last: dict[str, Any] | None = node._attributes("services", service)["last_check_result"]
        return last if last and output in last["output"] else None

    waited: Callable[[], dict[str, Any] | None] = found
    return node._wait_for(waited, f"{output} of {service}")


def test_icinga_receives_all_results(icinga: Icinga) -> None:
    """Each has state, text, performance data and its time; the sweep itself is OK."""
    with PoliteServer({}) as server, dead_port() as dead:
        sections = (
            f"[pop.example.test!good]\nport = {server.port}\n"
            f"[pop.example.test!dead]\nport = {dead}\n"
        )
        with prepared(icinga, sections) as node:
            began = time.time()
            own = node.check("localhost!pop3-sweep")
            good = result(node, "pop.example.test!good", "POP3 OK")
            failed = result(node, "pop.example.test!dead", "POP3 CRITICAL")

    assert own.state == 0
    assert "1 OK, 1 CRITICAL; all submitted" in own.line
    assert [each.partition("=")[0] for each in own.perfdata][:2] == ["time", "services"]
    assert good["state"] == 0
    assert not good["active"]
    assert began < good["execution_start"] <= good["execution_end"] < time.time()
    assert any(each.startswith("time_greeting=") for each in good["performance_data"])
    assert failed["state"] == 2
    assert failed["output"].splitlines()[0].startswith("POP3 CRITICAL - connection refused")
    assert "\nkind: refused" in failed["output"]


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("pop3_sweep", "false", "must be true or false, without quotes."),
        ("pop3_sweep", [MASTER], "must be true or false, without quotes."),
        ("pop3_swept", "pop3s", 'must be an array of names, such as [ "pop3s" ].'),
        ("pop3_swept", True, 'must be an array of names, such as [ "pop3s" ].'),
        ("pop3_swept", {"pop3s": {}}, 'must be an array of names, such as [ "pop3s" ].'),
        ("pop3_swept", [995], 'must be an array of names, such as [ "pop3s" ].'),
        ("pop3_swept", [""], 'must be an array of names, such as [ "pop3s" ].'),
    ],
)
def test_wrong_type_is_rejected(
    icinga: Icinga, variable: str, value: object, complaint: str
) -> None:
    """A text would be taken for true, or for no service: the error names host and variable."""
    host = f'object Host "h" {{ check_command = "dummy", vars.{variable} = {dsl(value)} }}'
    done = icinga.node(edited("5665", "x") + host).validate()

    assert done.returncode != 0
    assert f"vars.{variable} of host h {complaint}" in done.stdout


def test_unknown_service_is_critical(icinga: Icinga) -> None:
    """It is named; the API user cannot submit results of other services."""
    with PoliteServer({}) as server:
        port = f"port = {server.port}\n"
        sections = f"[x!y]\n{port}[localhost!pop3-sweep]\n{port}[pop.example.test!good]\n{port}"
        with prepared(icinga, sections) as node:
            own = node.check("localhost!pop3-sweep")
            good = result(node, "pop.example.test!good", "POP3 OK")

    assert own.state == 2
    assert ", 2 not submitted" in own.line
    assert "not submitted: HTTP 404: No objects found. (x!y, localhost!pop3-sweep)" in own.output
    assert good["state"] == 0


PASSIVE = """
object Host "swept" {
  check_command = "dummy"
  vars.names = []
  for (number in range(5000)) { vars.names += [ "pop3-" + number ] }
}
apply Service for (name in host.vars.names) {
  check_command = "passive"
  enable_active_checks = false
  max_check_attempts = 3
}
"""


def api_of(node: Node, port: int, ca_file: Path) -> Target:
    """Return the API of a node, or of a server before it, as a target."""
    secret = node.folder / "api.secret"
    secret.touch(mode=0o600)
    secret.write_text(node.password)
    api = RestApi(HttpsEndpoint(MASTER, port, "/"), "test", str(secret), str(ca_file))
    return submission.open_target(SubmitTarget("icinga2", api), Deadline(time.monotonic() + 20))


def outcomes(count: int, state: State = State.CRITICAL) -> list[Outcome]:
    """Return results of this many services."""
    now = time.time()
    verdict = Verdict(state, "judged")
    names = (f"swept!pop3-{number}" for number in range(count))
    return [Outcome(Service(name), verdict, began=now - 1, ended=now) for name in names]


def test_icinga_receives_5000_results_in_under_15_s(icinga: Icinga) -> None:
    """All of them arrive, over several connections: as fast as a sweep of one processor checks."""
    with icinga.node(PASSIVE) as node:
        target = api_of(node, icinga.ports[MASTER], node.folder / "DataDir/certs/ca.crt")
        began = time.monotonic()
        refused = set(refusals(target, *outcomes(5000)))
        seconds = time.monotonic() - began
        states = [each["attrs"]["state"] for each in node._request("objects/services")]

    assert refused == {None}
    assert seconds < 15
    assert states == [2] * 5000


def test_icinga_counts_a_result_with_a_lost_answer_once(icinga: Icinga, pki: Pki) -> None:
    """The copy is older than the result that Icinga has, and is dropped: one attempt, not two."""
    lost: list[str] = []

    def relay(result: dict[str, Any]) -> bytes:
        status = "200 OK"
        try:
            answer = json.dumps({"results": node._request("actions/process-check-result", result)})
        except HTTPError as error:  # Icinga 2.14 refuses an older result; 2.13 says nothing
            status, answer = f"{error.code} {error.reason}", error.read().decode()
        if len(lost) < 3:
            lost.append(result["service"])
            return Cut(b"")
        return http(answer.encode(), status)

    with icinga.node(PASSIVE) as node, Api(relay, tls=pki.server("good")) as server:
        good = api_of(node, icinga.ports[MASTER], node.folder / "DataDir/certs/ca.crt")
        refused = refusals(good, *outcomes(1, State.OK))
        refused += refusals(api_of(node, server.port, pki.ca_file), *outcomes(1))
        once = node.service("swept!pop3-0")
        refused += refusals(api_of(node, server.port, pki.ca_file), *outcomes(1))
        twice = node.service("swept!pop3-0")

    assert refused == [None] * 3
    assert lost == ["swept!pop3-0"] * 3
    assert (once["check_attempt"], once["state_type"]) == (1, 0)
    assert (twice["check_attempt"], twice["state_type"]) == (2, 0)


def test_dead_sweep_makes_services_unknown(icinga: Icinga) -> None:
    """If no result arrives, the passive service becomes UNKNOWN."""
    with prepared(icinga, "[pop.example.test!good]\nport = 1\n", freshness="3s") as node:
        node.check("localhost!pop3-sweep")
        result(node, "pop.example.test!good", "POP3 CRITICAL")
        stale = result(node, "pop.example.test!good", "no result from the sweep")

    assert stale["state"] == 3


IN_ZONE = """
object Host "node-{zone}" {{
  check_command = "dummy"
  vars.pop3_sweep = true
}}
object Host "pop-{zone}" {{
  check_command = "dummy"
  vars.pop3_swept = [ "pop3" ]
}}
"""

# Satellites connect by name; here only the plugin resolves it.
NAMED = """#!/bin/sh
exec unshare --mount sh -c 'mount --bind {hosts} /etc/hosts && exec "$@"' sh {command} "$@"
"""


def test_each_zone_sweeps_its_own(icinga: Icinga, tmp_path: Path) -> None:
    """A satellite sweeps servers that only it can reach, and the master has the results of both.

    The master has the configuration; each node has its file of services and its API password. The
    satellite detects that its sweep submits nothing any more.
    """
    hosts = tmp_path / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {AGENT}\n")
    plugin = tmp_path / "check_pop3_plus"
    plugin.write_text(NAMED.format(hosts=hosts, command=COMMAND))
    plugin.chmod(0o755)
    password = secrets.token_hex()
    port = f"{dsl(icinga.ports)}[NodeName]"
    zones = {
        "global-templates": edited(port, password, freshness="8s"),
        MASTER: IN_ZONE.format(zone=MASTER),
        AGENT: IN_ZONE.format(zone=AGENT),
    }
    satellite = icinga.node(name=AGENT, zones={}, plugins=tmp_path)
    master = icinga.node(zones=zones, plugins=tmp_path)
    with PoliteServer({}) as near, PoliteServer({}) as far, satellite, master:
        for node, zone, server in ((master, MASTER, near), (satellite, AGENT, far)):
            deploy(node, password, f"[pop-{zone}!pop3]\nport = {server.port}\n")
        satellite.wait_for_configuration(f"node-{AGENT}!pop3-sweep")
        for node, zone in ((master, MASTER), (satellite, AGENT)):
            node.check_until(f"node-{zone}!pop3-sweep", 0)
        sweeps = [result(master, f"node-{zone}!pop3-sweep", "1 OK") for zone in (MASTER, AGENT)]
        swept = [result(master, f"pop-{zone}!pop3", "POP3 OK") for zone in (MASTER, AGENT)]
        seen = (near.connections, far.connections)
        (satellite.folder / "pop3-sweep.ini").unlink()
        stale = result(master, f"pop-{AGENT}!pop3", "no result from the sweep")

    assert all("1 OK; all submitted" in own["output"] for own in sweeps)
    assert [own["check_source"] for own in sweeps] == [MASTER, AGENT]
    assert not any(each["active"] for each in swept)
    assert min(seen) >= 1
    assert stale["state"] == 3
    assert stale["check_source"] == AGENT


NAGIOS_OBJECTS = """
define command {
    command_name  alive
    command_line  /bin/true
}
define host {
    name                generic-host
    register            0
    check_command       alive
    max_check_attempts  1
}
define service {
    name                generic-service
    register            0
    check_interval      60
    retry_interval      60
    max_check_attempts  1
}
define host {
    use        generic-host
    host_name  localhost
}
define host {
    use        generic-host
    host_name  pop.example.org
}
"""


def test_nagios_receives_all_results(tmp_path: Path) -> None:
    """Status, long output and performance data arrive through the command file."""
    shipped = (SHIPPED.parent / "nagios.cfg").read_text()
    file = tmp_path / "pop3-sweep.ini"
    for old, new in (
        ("/etc/nagios/pop3-sweep.ini", str(file)),
        ("    max_check_attempts   2\n", "    max_check_attempts   1\n"),
        ("    max_check_attempts      2\n", "    max_check_attempts      1\n"),
    ):
        assert old in shipped
        shipped = shipped.replace(old, new)
    nagios = Nagios(tmp_path, NAGIOS_OBJECTS + shipped, f"command_file={tmp_path}/nagios.cmd")
    config = nagios._config.read_text()
    nagios._config.write_text(
        config.replace("check_external_commands=0", "check_external_commands=1")
    )
    with dead_port() as dead:
        file.write_text(f"[pop.example.org!pop3s]\nhostname = 127.0.0.1\nport = {dead}\n")
        with nagios:
            failed = nagios.wait_for_state("pop.example.org", "pop3s", 2)
            own = nagios.wait_for_state("localhost", "pop3-sweep", 0)

    # Nagios replaces every semicolon by a colon.
    assert "1 CRITICAL: all submitted" in own["plugin_output"]
    assert failed["plugin_output"].startswith("POP3 CRITICAL - connection refused")
    assert "kind: refused, in phase connect\\n" in failed["long_plugin_output"]
    assert failed["performance_data"].startswith("time_resolve=")
