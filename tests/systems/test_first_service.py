"""The first services of the README inside a real Icinga 2 and a real Nagios, against Dovecot."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.pki.certificates import Pki
from tests.servers.dovecot import Dovecot
from tests.servers.icinga2 import MASTER, Icinga
from tests.servers.nagios import Nagios
from tests.support.documents import PROJECT

pytestmark = pytest.mark.real


def snippet(system: str) -> str:
    """Return the service that the README shows for a monitoring system."""
    readme = (PROJECT / "README.md").read_text()
    found = re.search(rf"<!-- service: {system} -->\n```\n(.*?)```", readme, re.DOTALL)
    assert found
    return found[1]


def test_icinga_service_of_the_readme_checks(icinga: Icinga, dovecot: Dovecot, pki: Pki) -> None:
    """A host with this variable gets the service, which checks with the options shown."""
    host = f"""
    object Host "pop.example.org" {{
      check_command = "dummy"
      zone = "{MASTER}"
      address = "127.0.0.1"
      vars.pop3_server = true
      vars.pop3_plus_port = {dovecot.tls}
      vars.pop3_plus_ca_file = "{pki.ca_file}"
    }}
    """
    node = icinga.node(host + snippet("icinga2"))
    with node:
        assert node.services() == ["pop.example.org!pop3"]
        result = node.check("pop.example.org!pop3")

    assert result.output.startswith("POP3 OK - 127.0.0.1")
    assert result.command[1:] == [
        *("--ca-file", str(pki.ca_file), "--certificate", "25%,10%"),
        *("--hostname", "127.0.0.1", "--port", str(dovecot.tls), "--ssl"),
    ]


def test_nagios_service_of_the_readme_checks(tmp_path: Path, dovecot: Dovecot, pki: Pki) -> None:
    """It needs only a template of a service, as in the sample configuration."""
    template = """
    define service {
        name generic-service
        register 0
        check_period pop3-always
        check_interval 1
        retry_interval 1
        max_check_attempts 1
        contact_groups pop3-admins
    }
    define host {
        use pop3-host
        host_name pop.example.org
        address 127.0.0.1
    }
    """
    more = f" -p {dovecot.tls} --ca-file {pki.ca_file}"
    text = snippet("nagios").replace("-D 25%,10%", "-D 25%,10%" + more)
    with Nagios(tmp_path, template + text) as nagios:
        status = nagios.wait_for_state("pop.example.org", "POP3", 0)

    assert status["plugin_output"].startswith("POP3 OK - 127.0.0.1")
    assert "cert_days=" in status["performance_data"]
