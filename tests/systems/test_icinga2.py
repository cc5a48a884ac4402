"""The shipped CheckCommand inside a real Icinga 2."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping

import pytest

from tests.pki.certificates import Pki
from tests.servers.icinga2 import AGENT, MASTER, Icinga, Result, dsl
from tests.servers.scripted_server import PoliteServer
from tests.support.command import COMMAND

pytestmark = pytest.mark.real

OK, WARNING, CRITICAL = range(3)
NAME = "pop.example.test"
SECRET = "c$nary pässword"

everywhere = pytest.mark.parametrize("endpoint", [MASTER, AGENT])
"""Both must be tested: the master resolves the variables of an agent by other rules."""


def objects(endpoint: str, host: Mapping[str, object], service: Mapping[str, object]) -> str:
    """Return the host `pop` and its service `pop3`, with these custom variables."""
    return f"""
    object Host "pop" {{
      check_command = "dummy"
      address = "127.0.0.1"
      {variables(host)}
    }}
    object Service "pop3" {{
      host_name = "pop"
      zone = "{MASTER}"
      command_endpoint = "{endpoint}"
      check_command = "pop3_plus"
      {variables({f"pop3_plus_{name}": value for name, value in service.items()})}
    }}
    """


def variables(values: Mapping[str, object]) -> str:
    return "\n".join(f"vars.{name} = {dsl(value)}" for name, value in values.items())


def checked(
    icinga: Icinga,
    endpoint: str = MASTER,
    host: Mapping[str, object] | None = None,
    **service: object,
) -> Result:
    """Check the service once; `service` has its variables without `pop3_plus_`."""
    with contextlib.ExitStack() as nodes:
        if endpoint == AGENT:
            nodes.enter_context(icinga.node(name=AGENT))
        master = nodes.enter_context(icinga.node(objects(endpoint, host or {}, service)))
        if endpoint == AGENT:
            master.wait_for_agent()
        return master.check("pop!pop3")


@everywhere
def test_answering_server_is_ok(icinga: Icinga, endpoint: str) -> None:
    """Only variables that are set become arguments."""
    with PoliteServer({}) as server:
        result = checked(icinga, endpoint, port=server.port)

    assert result.state == OK
    assert result.line.startswith(f"POP3 OK - 127.0.0.1:{server.port} answered in ")
    assert result.command[1:] == ["--hostname", "127.0.0.1", "--port", str(server.port)]


def test_certificate_near_expiry_is_warning(icinga: Icinga, pki: Pki) -> None:
    """The long output arrives, too."""
    with PoliteServer({}, tls=pki.expiring(13.5)) as server:
        result = checked(icinga, port=server.port, certificate="30,7", ca_file=str(pki.ca_file))

    assert result.state == WARNING
    assert "expires in 13 days" in result.line
    assert "\nkind: expiring" in result.output


def test_dead_port_is_critical(icinga: Icinga) -> None:
    """Nothing listens."""
    with PoliteServer({}) as server:
        pass

    result = checked(icinga, port=server.port)

    assert result.state == CRITICAL
    assert "connection refused" in result.line


@everywhere
def test_password_in_environment_is_not_stored(icinga: Icinga, pki: Pki, endpoint: str) -> None:
    """The login works, and no object of Icinga shows the password."""
    with PoliteServer({"monitor": SECRET}, tls=pki.server("good")) as server:
        result = checked(
            icinga,
            endpoint,
            port=server.port,
            ssl=True,
            ca_file=str(pki.ca_file),
            username="monitor",
            password=SECRET.replace("$", "$$"),
            verbose=3,
        )

    assert result.state == OK, result.output
    assert server.logins == ["monitor"]
    assert "-vvv" in result.command
    assert "PASS ***" in result.output
    assert "nary" not in str(result.everything)


def test_connect_to_separates_name_and_address(icinga: Icinga, pki: Pki) -> None:
    """The certificate is verified for the name, which need not resolve."""
    with PoliteServer({}, tls=pki.server("good")) as server:
        result = checked(
            icinga,
            hostname=NAME,
            connect_to="$host.address$",
            port=server.port,
            ssl=True,
            ca_file=str(pki.ca_file),
        )

    assert result.state == OK, result.output
    assert NAME in result.line


def test_perfdata_is_parsed_by_icinga(icinga: Icinga, pki: Pki) -> None:
    """Every value, and every threshold that is a plain number."""
    with PoliteServer({"monitor": "x"}, messages=7, octets=4096, tls=pki.server("good")) as server:
        result = checked(
            icinga,
            port=server.port,
            ca_file=str(pki.ca_file),
            certificate="60,14",
            username="monitor",
            password="x",
            warning="-5:9",
            critical=9,
            messages_warning=100,
            size_critical="1M",
        )
    parsed = [
        json.loads(icinga.run("console", "--eval", f'parse_performance_data("{word}")'))
        for word in result.perfdata
    ]
    seen = {metric["label"]: metric for metric in parsed}

    assert result.state == OK, result.output
    assert list(seen) == [
        *("time", "time_resolve", "time_connect", "time_tls", "time_greeting", "time_capa"),
        *("time_login", "time_stat", "cert_days", "messages", "mailbox_size"),
    ]
    for word, metric in zip(result.perfdata, parsed, strict=True):
        printed = word.partition("=")[2].partition(";")[0]
        assert metric["value"] == float(printed.rstrip("sB"))
        assert metric["unit"] == {"s": "seconds", "B": "bytes"}.get(printed[-1], "")
    assert seen["time"].items() >= {"crit": 9, "min": 0, "max": 10}.items()
    assert seen["messages"].items() >= {"value": 7, "warn": 100}.items()
    assert seen["mailbox_size"].items() >= {"value": 4096, "crit": 2**20}.items()


POP = {"pop_port": 1110, "pop_timeout": 7, "pop_all": True, "pop_expect": ["POP3", "ready"]}
SPOP = {"spop_port": 1995, "spop_certificate_age": "30,7", "spop_ipv4": True}


@everywhere
@pytest.mark.parametrize(
    ("host", "service", "passed"),
    [
        pytest.param(
            POP | SPOP,
            {},
            "--all --expect POP3 --expect ready --hostname 127.0.0.1 --port 1110 --timeout 7",
            id="pop",
        ),
        pytest.param(
            POP | SPOP,
            {"ssl": True},
            "--certificate 30,7 --hostname 127.0.0.1 --port 1995 --ssl --use-ipv4",
            id="spop",
        ),
        pytest.param(
            {"pop_ssl": True, "pop_port": 1995, "spop_port": 2995},
            {"ssl": True},
            "--hostname 127.0.0.1 --port 1995 --ssl",
            id="pop with TLS",
        ),
        pytest.param(
            POP | {"pop_address": "127.0.0.2"},
            {
                "all": False,
                "expect": "+OK",
                "state": ["expect=ok", "refused=ok"],
                "warning": "-5:9",
            },
            "--expect +OK --hostname 127.0.0.2 --port 1110 --state expect=ok --state refused=ok"
            " --timeout 7 --warning -5:9",
            id="own first",
        ),
        pytest.param(
            {},
            {"port": 1, "diagnose": True, "rechecks": 0},
            "--diagnose --hostname 127.0.0.1 --port 1 --rechecks 0",
            id="diagnose",
        ),
        pytest.param(
            {},
            {"port": 1, "diagnose": "dns,tls", "sensitivity": "very-high"},
            "--diagnose=dns,tls --hostname 127.0.0.1 --port 1 --sensitivity very-high",
            id="diagnose a list",
        ),
    ],
)
def test_variables_fall_back_to_the_template_library(
    icinga: Icinga, endpoint: str, host: dict[str, object], service: dict[str, object], passed: str
) -> None:
    """Those of `pop3_plus`, else of `pop` and `spop`."""
    result = checked(icinga, endpoint, host, **service)

    command, *options = " ".join(result.command).split(" --")
    assert command == str(COMMAND)
    assert sorted(options) == f" {passed}".split(" --")[1:]
