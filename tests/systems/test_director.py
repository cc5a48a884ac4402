"""The basket in a real Icinga Director, deployed to a real Icinga 2, against a real Dovecot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.pki.certificates import Pki
from tests.servers import director
from tests.servers.director import Director
from tests.servers.dovecot import PASSWORDS, PERSONAS, Dovecot
from tests.servers.icinga2 import AGENT, MASTER, Icinga
from tests.support.director_basket import BASKET
from tests.support.option_list import OPTIONS

pytestmark = pytest.mark.real

OK, WARNING, CRITICAL, UNKNOWN = range(4)
NAME = "pop.example.test"
WRONG = "my wrong secret"

SET = ("POP3", "POP3 certificate", "POP3 login")
SERVICES = [
    *(f"{host}!{name}" for host in ("healthy", "troubled", "bare") for name in SET),
    *("healthy!all options", "healthy!low"),
    *("healthy!login at agent", "healthy!all options at agent"),
    *(f"pop.example.org!{name}" for name in SET),
]

_README = (BASKET.parent / "README.md").read_text()
README_HOST = _README.partition("<!-- host: begin -->\n```\n")[2].partition("```")[0]

OVERRIDES = "_override_servicevars"
"""The Director stores the variables of a service of a set, on one host, under this name."""


def secret(folder: Path, text: str) -> str:
    path = folder / f"{len(text)}.secret"
    path.touch(mode=0o600)
    path.write_text(text)
    return str(path)


def options(command: list[str]) -> list[str]:
    """Return each option of a command with its value: Icinga does not keep their order."""
    found: list[str] = []
    for word in command[1:]:
        if word.startswith("-"):
            found.append(word)
        else:
            found[-1] += f" {word}"
    return sorted(found)


def all_options() -> tuple[dict[str, object], list[str]]:
    """Return a value for every option, by variable, and the expected options."""
    variables: dict[str, object] = {}
    passed: list[str] = []
    for flag, entry in OPTIONS.items():
        value: object = f"a {flag[2:]}, 33%"
        words = [f"{flag} {value}"]
        if entry.is_counted:
            value, words = 3, ["-vvv"]
        elif not entry.value:
            value, words = True, [flag]
        elif entry.is_repeatable:
            value, words = ["one", "two"], [f"{flag} one", f"{flag} two"]
        elif entry.is_optional and flag != "--extra-opts":
            words = [f"{flag}={value}"]
        variables[f"pop3_plus_{flag[2:].replace('-', '_')}"] = value
        passed += words
    return variables, sorted(passed)


@pytest.fixture(scope="module")
def deployed(
    icinga: Icinga, dovecot: Dovecot, pki: Pki, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Director]:
    """Hosts and services from the basket, deployed to a master and an agent."""
    folder = tmp_path_factory.mktemp("secrets")

    def variables(persona: str, password: str) -> dict[str, object]:
        return {
            "pop3_plus_hostname": NAME,
            "pop3_plus_connect_to": PERSONAS[persona].address,
            "pop3_plus_port": dovecot.tls,
            "pop3_plus_ssl": True,
            "pop3_plus_ca_file": str(pki.ca_file),
            "pop3_plus_username": "monitor",
            "pop3_plus_password_file": secret(folder, password),
        }

    more = {
        "pop3_plus_all_addresses": True,
        "pop3_plus_expect": ["+OK"],
        "pop3_plus_messages_warning": "100",
        "pop3_plus_min_key_bits": 2048,
        "pop3_plus_warning": "9",
    }
    troubled = {
        "pop3_plus_certificate": "30d/33%,1d/1%",
        OVERRIDES: {"POP3": {"pop3_plus_verify": "chain"}},
    }
    with director.running(icinga) as made, icinga.node(director.ZONE, AGENT, zones={}):
        made.restore()
        for name, given in {
            "healthy": variables("good", PASSWORDS["monitor"]) | more,
            "troubled": variables("expiring", WRONG) | troubled,
            "bare": {},
        }.items():
            made.create("host", name, imports=["pop3-host"], address="127.0.0.1", vars=given)
            made.create("serviceset", "POP3", host=name, object_type="object", imports=["POP3"])
        values, _ = all_options()
        services: dict[str, dict[str, object]] = {
            "all options": {"check_command": "pop3_plus", "vars": values},
            "low": {"imports": ["pop3-availability", "pop3-sensitivity-low"]},
            "login at agent": {"imports": ["pop3-login"], "command_endpoint": AGENT},
            "all options at agent": {
                "check_command": "pop3_plus",
                "command_endpoint": AGENT,
                "vars": values,
            },
        }
        for name, properties in services.items():
            made.create("service", name, host="healthy", object_type="object", **properties)
        # The last command deploys.
        made.follow(README_HOST)
        made.wait_for_services(SERVICES)
        yield made


def test_service_set_of_healthy_server_is_ok(
    deployed: Director, dovecot: Dovecot, pki: Pki
) -> None:
    """Three services, each with only the options of the host that concern it."""
    results = {name: deployed.node.check(f"healthy!{name}") for name in SET}

    assert {name: result.state for name, result in results.items()} == dict.fromkeys(SET, OK)
    login = results["POP3 login"].command
    target = {
        *("--ca-file " + str(pki.ca_file), "--connect-to 127.0.0.1", f"--hostname {NAME}"),
        *(f"--port {dovecot.tls}", "--ssl"),
    }
    mine = {
        "POP3": {"--all-addresses", "--diagnose", "--expect +OK", "--warning 9"},
        "POP3 certificate": {
            *("--all-addresses", "--certificate 25%,10%", "--min-key-bits 2048"),
        },
        "POP3 login": {
            *("--messages-warning 100", "--username monitor", "--warning 9", "--timeout 20"),
            "--password-file " + login[login.index("--password-file") + 1],
        },
    }
    assert {name: set(options(result.command)) for name, result in results.items()} == {
        name: target | more for name, more in mine.items()
    }
    assert PASSWORDS["monitor"] not in str(results)


def test_failure_is_reported_by_one_service(deployed: Director) -> None:
    """The service that the failure concerns reports it, read back through the API."""
    results = {name: deployed.node.check(f"troubled!{name}") for name in SET}

    assert {name: result.state for name, result in results.items()} == {
        "POP3": OK,
        "POP3 certificate": WARNING,
        "POP3 login": CRITICAL,
    }
    assert "expires in 4 days" in results["POP3 certificate"].line
    assert "login of monitor rejected" in results["POP3 login"].line
    assert "\nkind: credentials" in results["POP3 login"].output
    assert WRONG not in str(results)
    # Set for one service of the set only.
    assert ["--verify" in result.command for result in results.values()] == [True, False, False]


def test_host_with_address_only_checks_availability(deployed: Director) -> None:
    """The address is the name; a login service without a user name is UNKNOWN."""
    availability, _, login = (deployed.node.check(f"bare!{name}") for name in SET)

    assert availability.command[1:] == ["--diagnose", "--hostname", "127.0.0.1"]
    assert login.state == UNKNOWN
    assert "invalid --username: empty" in login.line


def test_host_of_the_readme_has_the_service_set(deployed: Director) -> None:
    """It has the service set, with the variables of the README on the host."""
    assert deployed.node.service("pop.example.org!POP3 login")["check_command"] == "pop3_plus"
    [host] = deployed.node.objects("hosts", "pop.example.org")
    assert host["vars"] == {
        "pop3_plus_ssl": True,
        "pop3_plus_username": "monitor",
        "pop3_plus_password_file": "/etc/icinga2/pop3.secret",
    }


def test_services_have_documented_intervals_and_attempts(deployed: Director) -> None:
    """Availability every 5 minutes, login every 15 without retries, certificate every 6 hours."""
    found = {name: deployed.node.service(f"healthy!{name}") for name in (*SET, "low")}

    wanted = ("check_interval", "retry_interval", "max_check_attempts")
    assert {name: [service[it] for it in wanted] for name, service in found.items()} == {
        "POP3": [300, 30, 3],
        "POP3 certificate": [6 * 3600, 300, 3],
        "POP3 login": [900, 900, 1],
        "low": [300, 30, 8],
    }


def test_variable_becomes_its_option(deployed: Director) -> None:
    """Each variable becomes its option, as text, flag, number or list."""
    _, passed = all_options()

    result = deployed.node.check("healthy!all options")

    assert result.state == UNKNOWN
    assert options(result.command) == passed


def test_agent_receives_command_and_variables(deployed: Director) -> None:
    """It receives the command from the Director, and resolved variables."""
    _, passed = all_options()
    deployed.node.wait_for_agent()

    # The agent does not know the command until it has restarted.
    login = deployed.node.check_until("healthy!login at agent", OK)
    every = deployed.node.check("healthy!all options at agent")
    here = deployed.node.check("healthy!POP3 login")

    assert login.everything["check_source"] == AGENT
    assert here.everything["check_source"] == MASTER
    assert options(login.command) == options(here.command)
    assert options(every.command) == passed


def test_basket_restored_again_changes_nothing(deployed: Director) -> None:
    """A second restore of the basket makes no duplicates and touches no object."""
    before = {table: deployed.count(table) for table in deployed.tables()}
    deployed.restore()

    assert {table: deployed.count(table) for table in deployed.tables()} == before
    assert before["director_datafield"] == len(OPTIONS)
