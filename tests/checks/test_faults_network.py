"""Faults of names and networks, by the installed command, in a separate network namespace."""

from pathlib import Path

import pytest

from tests.pki.certificates import Pki
from tests.servers.network import SILENT_NAME_SERVER, Network, network
from tests.support.catalogue import MODES
from tests.support.command import Run
from tests.support.faults import flags, honest, kinds

# It says of every name that there is none.
NAME_SERVER = """
import socket
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
print("ready")
while True:
    query, client = server.recvfrom(512)
    server.sendto(query[:2] + bytes([0x81, 0x83]) + query[4:6] + bytes(6) + query[12:], client)
"""

# On the port of the mode, with a certificate where it needs one.
POP3_SERVER = """
import ssl, time
from tests.servers.scripted_server import PoliteServer
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain({certificate!r}, {key!r})
contexts = {{"tls": {{"tls": context}}, "stls": {{"stls": context}}}}.get({mode!r}, {{}})
with PoliteServer({{}}, port={port}, **contexts):
    print("ready")
    time.sleep(60)
"""


@pytest.fixture
def net(tmp_path: Path) -> Network:
    return network(tmp_path)


def run(net: Network, mode: str, pki: Pki, *arguments: str, server: str = "") -> Run:
    return honest(net.run(*flags(mode, pki), *arguments, server=server))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(1)
def test_resolve_unknown_name_is_unresolved(mode: str, net: Network, pki: Pki) -> None:
    """The name server denies it, and no connection is opened."""
    done = run(net, mode, pki, "-H", "mail.example.test", server=NAME_SERVER)

    assert kinds(done) == ["unresolved"]
    assert "time_connect" not in done.perfdata


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(2)
def test_resolve_silent_name_server_times_out(mode: str, net: Network, pki: Pki) -> None:
    """The deadline limits this phase, too."""
    done = run(net, mode, pki, "-H", "mail.example.test", "-t", "1", server=SILENT_NAME_SERVER)

    assert kinds(done) == ["resolver"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(3)
def test_connect_all_addresses_refuse_names_them(mode: str, net: Network, pki: Pki) -> None:
    """All addresses tried are named."""
    net.add_host("refused.example.test", "127.0.0.2", "2001:db8::99")
    done = run(net, mode, pki, "-H", "refused.example.test")

    assert kinds(done) == ["refused"]
    assert "127.0.0.2" in done.verdict
    assert "[2001:db8::99]" in done.verdict


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(4)
def test_connect_dropped_packets_time_out(mode: str, net: Network, pki: Pki) -> None:
    """The address and the timeout are named."""
    done = run(net, mode, pki, "-H", "192.0.2.1", "-t", "1")

    assert kinds(done) == ["timeout"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(5)
def test_connect_first_address_dead_tries_second(mode: str, net: Network, pki: Pki) -> None:
    """Clients do the same; the OK mentions it."""
    net.add_host("pop.example.test", "2001:db8::1", "127.0.0.1")
    # Without this it would depend on neighbour discovery whether it is unreachable or silent.
    net.set_up("ip addr add 2001:db8::1/128 dev lo nodad")
    net.filter("in ip6 daddr 2001:db8::1 drop")
    certificate, key = pki.files("good")
    server = POP3_SERVER.format(
        certificate=str(certificate), key=str(key), mode=mode, port=995 if mode == "tls" else 110
    )
    done = run(net, mode, pki, "-H", "pop.example.test", "-t", "3", "-v", server=server)

    assert done.code == 0, done.out
