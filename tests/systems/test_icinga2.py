"""The shipped CheckCommand inside a real Icinga 2."""

from __future__ import annotations

import json

import pytest

from tests.certificates import Pki
from tests.command import COMMAND
from tests.icinga2 import Icinga, Result, icinga2, private_icinga
from tests.network import closed_port
from tests.pop3_server import PoliteServer

SECRET = "c$n@ry pässword"


@pytest.fixture(scope="session")
def icinga(tmp_path_factory: pytest.TempPathFactory) -> Icinga:
    return private_icinga(tmp_path_factory.mktemp("icinga2"))


def configured(host: str = "", service: str = "") -> str:
    """One host, `pop`, and one service, `pop3`, with these lines in them."""
    return f"""
    object Host "pop" {{
      check_command = "dummy"
      address = "127.0.0.1"
      zone = "localhost"
      {host}
    }}
    object Service "pop3" {{
      host_name = "pop"
      check_command = "pop3_plus"
      zone = "localhost"
      {service}
    }}
    """


def checked(icinga: Icinga, host: str = "", service: str = "") -> Result:
    with icinga.node(configured(host, service)) as node:
        return node.check("pop!pop3")
