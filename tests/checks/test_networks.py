"""Checks in failing networks: packets lost or rejected, connections cut, hostile name servers.

In a network namespace, by nftables and test servers. Where many faults fit into one network they
are the services of one sweep and run in parallel.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.pki.certificates import Pki
from tests.servers import name_server
from tests.servers.network import POLITE_SERVER, Network, network, within
from tests.support.faults import CANARY, honest, kinds

SERVER = "192.0.2.50"
HERE = f"ip addr add {SERVER}/32 dev lo"
LATE = 3.0


@pytest.fixture
def net(tmp_path: Path) -> Network:
    return network(tmp_path)


def polite(pki: Pki, certificate: str = "good", beside: str = "") -> str:
    """Return a polite server with TLS on port 995 of every address, as code."""
    cert, key = pki.files(certificate)
    return f"""
import ssl, time
from tests.servers.scripted_server import PoliteServer
{beside}
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain({str(cert)!r}, {str(key)!r})
with PoliteServer({{"monitor": {CANARY!r}}}, port=995, address="0.0.0.0", tls=tls):
    print("ready")
    time.sleep(60)
"""


def login(pki: Pki, folder: Path) -> list[str]:
    """Return the options of a login on that server."""
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(CANARY)
    words = f"-H localhost --connect-to {SERVER} -S --ca-file {pki.ca_file} -U monitor"
    return [*words.split(), "--password-file", str(password)]


def swept(net: Network, sections: str, *options: str, server: str = "") -> dict[str, Any]:
    """Return the JSON object of each service in a sweep of these sections, by host."""
    file = net.folder / "sweep.ini"
    file.write_text(sections)
    done = net.run("--sweep", str(file), "--submit", "jsonl:-", *options, server=server)
    assert done.err == ""
    *results, _ = [json.loads(line) for line in done.out.splitlines()]
    return {each["host"]: each for each in results}


def kind(result: dict[str, Any]) -> str:
    lines = result["long_output"].splitlines()
    [found] = [line for line in lines if line.startswith("kind: ")]
    return re.split("[ ,]", found)[1]


# --- packets ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["inc mod 10 == 3", "inc mod 5 == 3", "random mod 100 < 30"])
def test_check_with_lost_packets_waits_for_retransmission(
    rule: str, net: Network, pki: Pki
) -> None:
    """With one packet in ten, one in five, or 30 % at random lost, TCP retransmits in time."""
    net.set_up(HERE)
    net.filter(f"in tcp dport 995 numgen {rule} drop", f"in tcp sport 995 numgen {rule} drop")
    done = honest(net.run(*login(pki, net.folder), "-t", "12", server=polite(pki)))

    if "random" in rule and done.code:  # the fifth copy may be lost as well
        assert kinds(done) == ["timeout"]
        assert within(done, 12, LATE)
    else:
        assert done.code == 0, done.out
        assert ", user monitor logged in" in done.line


CUTS = {
    "no SYN arrives": (["in tcp dport 995 tcp flags syn drop"], "timeout", "connect"),
    "no SYN is answered": (
        ["in tcp sport 995 tcp flags & (syn | ack) == syn | ack drop"],
        "timeout",
        "connect",
    ),
    "nothing of the server but the connection": (
        ["in tcp sport 995 meta length > 90 drop"],
        "timeout",
        "tls",
    ),
    "nothing of ours but the connection": (
        ["in tcp dport 995 meta length > 90 drop"],
        "timeout",
        "tls",
    ),
    "the server after some octets": (["in tcp sport 995 quota over 600 bytes drop"], "timeout", ""),
    "ours are refused by a firewall, later": (
        ["out tcp dport 995 meta length > 90 reject with icmp admin-prohibited"],
        "timeout",
        "tls",
    ),
    "a reset in place of a connection": (
        ["in tcp dport 995 reject with tcp reset"],
        "refused",
        "connect",
    ),
    "a reset in the handshake": (
        ["in tcp dport 995 meta length > 90 reject with tcp reset"],
        "closed",
        "tls",
    ),
    "a reset later": (["in tcp dport 995 quota over 1100 bytes reject with tcp reset"], "", ""),
}


@pytest.mark.parametrize("cut", CUTS)
def test_check_of_a_cut_connection_fails_in_its_phase(cut: str, net: Network, pki: Pki) -> None:
    """The failure names the phase in which the connection is cut, within the timeout."""
    rules, expected, phase = CUTS[cut]
    net.set_up(HERE)
    net.filter(*rules)
    done = honest(net.run(*login(pki, net.folder), "-t", "3", server=polite(pki)))

    assert done.code == 2, done.out
    [found] = kinds(done)
    assert found == expected or (not expected and found in ("closed", "tls"))
    assert re.search(rf"^kind: {found}.*, in phase {phase or '[a-z]+'}$", done.out, re.M)
    if expected == "timeout":
        assert within(done, 3, LATE), done.seconds
    else:
        assert done.seconds < 3 + LATE


REJECTIONS = {
    "192.0.2.11": ("icmp net-unreachable", "unreachable", "network is unreachable"),
    "192.0.2.12": ("icmp host-unreachable", "unreachable", "no route to host"),
    "192.0.2.13": ("icmp prot-unreachable", "unreachable", "protocol not available"),
    "192.0.2.14": ("icmp port-unreachable", "refused", "connection refused"),
    "192.0.2.15": ("icmp net-prohibited", "unreachable", "network is unreachable"),
    "192.0.2.16": ("icmp host-prohibited", "unreachable", "no route to host"),
    "192.0.2.17": ("icmp admin-prohibited", "unreachable", "no route to host"),
    "192.0.2.18": ("tcp reset", "refused", "connection refused"),
    "2001:db8::11": ("icmpv6 no-route", "unreachable", "network is unreachable"),
    "2001:db8::12": ("icmpv6 admin-prohibited", "unreachable", "permission denied"),
    "2001:db8::13": ("icmpv6 addr-unreachable", "unreachable", "no route to host"),
    "2001:db8::14": ("icmpv6 port-unreachable", "refused", "connection refused"),
    "2001:db8::15": ("tcp reset", "refused", "connection refused"),
}


def test_check_of_rejected_connections_reports_the_icmp_reason(net: Network) -> None:
    """An ICMP error or a reset ends the check at once, with its own kind."""
    for address, (answer, _, _) in REJECTIONS.items():
        family, mask = ("ip6", "/128 nodad") if ":" in address else ("ip", "/32")
        net.set_up(f"ip addr add dev lo {address}{mask}")
        net.filter(f"in {family} daddr {address} tcp dport 110 reject with {answer}")
    sections = "".join(f"[{address}!x]\ntimeout = 10\n" for address in REJECTIONS)
    results = swept(net, sections)

    assert set(results) == set(REJECTIONS)
    for address, (answer, expected, words) in REJECTIONS.items():
        result = results[address]
        assert (result["state"], kind(result)) == ("CRITICAL", expected), (answer, result)
        assert words in (result["output"] + result["long_output"]).lower(), (answer, result)
        assert result["ended"] - result["began"] < 8, answer


def test_check_with_ipv6_rejected_uses_ipv4_at_once(net: Network) -> None:
    """A rejected address costs no time: the next one has all that is left."""
    net.filter("out ip6 daddr 2001:db8::1 reject with icmpv6 admin-prohibited")
    net.add_host("half.example.test", "2001:db8::1", "127.0.0.1")
    done = honest(net.run("-H", "half.example.test", "-t", "14", "-v", server=POLITE_SERVER))

    assert done.code == 0, done.out
    assert "1 of 2 addresses failed" in done.line
    assert any("2001:db8::1]:110 unreachable" in line for line in done.long)
    assert done.seconds < 6  # half of the time would be 7


@pytest.mark.parametrize(
    ("address", "commands", "words"),
    [
        ("192.0.2.1", ["ip link set lo down"], "unreachable"),
        ("192.0.2.1", ["ip route replace blackhole 192.0.2.0/24"], "invalid argument"),
        ("192.0.2.1", ["ip route replace prohibit 192.0.2.0/24"], "permission denied"),
        ("192.0.2.1", ["ip route replace unreachable 192.0.2.0/24"], "no route to host"),
        ("::1", ["echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6"], "cannot assign|unreachable"),
    ],
)
def test_check_without_a_network_is_unreachable(
    address: str, commands: list[str], words: str, net: Network
) -> None:
    """The interface is down, or a route rejects the packets."""
    net.set_up(*commands)
    done = honest(net.run("-H", address, "-t", "10"))

    assert (done.code, kinds(done)) == (2, ["unreachable"])
    assert any(word in done.out.lower() for word in words.split("|")), done.out
    assert done.seconds < 8


def test_check_without_loopback_times_out(net: Network) -> None:
    """The address stays, and packets to it are dropped."""
    net.set_up("ip link set lo down")
    done = honest(net.run("-H", "127.0.0.1", "-t", "1"))

    assert (done.code, kinds(done)) == (2, ["timeout"])
    assert within(done, 1, LATE)


# --- the size of packets ---------------------------------------------------------------------

ROUTER_WITH_SMALL_MTU = f"""
import socket, struct, threading
def report():
    seen = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
    seen.bind(("lo", 0x0800))
    icmp = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    while True:
        packet = seen.recv(70000)
        if len(packet) > 1280 and packet[12:16] == socket.inet_aton({SERVER!r}):
            message = struct.pack("!BBHHH", 3, 4, 0, 0, 1280) + packet[:28]
            total = sum(struct.unpack("!18H", message))
            total = (total & 0xFFFF) + (total >> 16)
            checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
            icmp.sendto(message[:2] + struct.pack("!H", checksum) + message[4:], ({SERVER!r}, 0))
threading.Thread(target=report, daemon=True).start()
"""
"""A router before a link with a small MTU: "fragmentation needed" (RFC 792, 1191)."""


@pytest.mark.parametrize("has_icmp", [False, True])
def test_check_over_a_small_mtu_depends_on_icmp(has_icmp: bool, net: Network, pki: Pki) -> None:
    """Without ICMP a large certificate is lost (path MTU black hole); with ICMP the check works."""
    net.set_up(HERE, "ip link set lo mtu 1500 gso_max_segs 1 gso_max_size 1500")
    net.filter("in tcp sport 995 meta length > 1280 drop")
    server = polite(pki, "many_names", ROUTER_WITH_SMALL_MTU if has_icmp else "")
    limit = "15" if has_icmp else "3"
    done = honest(net.run(*login(pki, net.folder), "-t", limit, server=server))

    if has_icmp:
        assert done.code == 0, done.out
    else:
        assert kinds(done) == ["timeout"]
        assert done.line.startswith("POP3 CRITICAL - no ")
        assert within(done, 3, LATE), done.seconds


# --- distance --------------------------------------------------------------------------------

FAR_AWAY = """
import contextlib, socket, threading, time
def carry(source, target):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            time.sleep(0.1)
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
def far():
    listener = socket.create_server(("0.0.0.0", 1995))
    while True:
        near, _ = listener.accept()
        there = socket.create_connection(("127.0.0.1", 995))
        for ends in ((near, there), (there, near)):
            threading.Thread(target=carry, args=ends, daemon=True).start()
threading.Thread(target=far, daemon=True).start()
"""


def test_check_of_a_distant_server_is_slow_in_each_phase(net: Network, pki: Pki) -> None:
    """Thresholds report a slow network; each phase shows its part of the time."""
    net.set_up(HERE)
    words = [*login(pki, net.folder), "-p", "1995", "-w", "0.5", "-t", "10"]
    done = honest(net.run(*words, server=polite(pki, beside=FAR_AWAY)))

    assert (done.code, kinds(done)) == (1, ["slow"])
    for label in ("time_tls", "time_capa", "time_login", "time_stat"):
        assert float(done.perfdata[label].partition("s")[0]) >= 0.2, label


# --- name servers ----------------------------------------------------------------------------

NAME_SERVER = "from tests.servers.name_server import serve; serve()"
BOTH = f"""
from tests.servers.scripted_server import PoliteServer
with PoliteServer({{}}, port=110):
    {NAME_SERVER}
"""

LIES = {
    "good": ("OK", "", "answered"),
    "nobody": ("CRITICAL", "unresolved", "name unknown"),
    "no-address": ("CRITICAL", "unresolved", "without address"),
    "fails": ("CRITICAL", "resolver", "lookup failed"),
    "refuses": ("CRITICAL", "resolver", "lookup failed"),
    "silent": ("CRITICAL", "resolver", "name lookup"),
    "late": ("CRITICAL", "resolver", "name lookup"),
    "wrong-number": ("CRITICAL", "resolver", "name lookup"),
    "wrong-question": ("CRITICAL", "resolver", "name lookup"),
    "garbage": ("CRITICAL", "resolver", "name lookup"),
    "short": ("CRITICAL", "resolver", "name lookup"),
    "cut": ("CRITICAL", "resolver", "name lookup"),
    "loop": ("CRITICAL", None, "name"),
    "many-promised": (None, None, ""),
    "long-address": ("CRITICAL", None, ""),
    "truncated": ("CRITICAL", "resolver", "name lookup"),
    "many": ("CRITICAL", "refused", "and 29 more"),
}


@pytest.mark.threat("T15")
def test_lookup_with_hostile_answers_ends_in_time(net: Network) -> None:
    """A late, wrong or malformed answer counts as none; each lookup ends within its timeout."""
    assert set(LIES) == {*name_server.ANSWERS, *name_server.ONLY_CUT}
    net.resolve_by("127.0.0.1", options="timeout:5 attempts:1")
    sections = "".join(f"[{name}.example.test!x]\ntimeout = 3\n" for name in LIES)
    results = swept(net, sections, server=BOTH)

    for name, (state, expected, words) in LIES.items():
        result = results[f"{name}.example.test"]
        assert state is None or result["state"] == state, (name, result)
        assert not expected or kind(result) == expected, (name, result)
        assert words in result["output"], (name, result)
        assert result["ended"] - result["began"] < 3 + LATE, name


@pytest.mark.threat("T15")
def test_check_of_a_thousand_addresses_is_unknown(net: Network) -> None:
    """More addresses than the limit are UNKNOWN; no subset is chosen silently."""
    net.resolve_by("127.0.0.1")
    done = honest(
        net.run("-H", "many.example.test", "--all-addresses", "-t", "10", server=NAME_SERVER)
    )

    assert done.verdict == "POP3 UNKNOWN - config: 1000 addresses are more than 128 at a time"


@pytest.mark.threat("T15")
def test_lookup_with_a_silent_first_name_server_uses_the_second(net: Network) -> None:
    """The time until the resolver asks the second server is part of time_resolve."""
    net.resolve_by("192.0.2.1", "127.0.0.1")
    done = honest(net.run("-H", "good.example.test", "-t", "12", server=BOTH))

    assert done.code == 0, done.out
    assert float(done.perfdata["time_resolve"].partition("s")[0]) > 0.9


@pytest.mark.threat("T15")
def test_lookup_with_a_missing_first_name_server_uses_the_second_at_once(net: Network) -> None:
    """A refused query is not silence: the resolver asks the second server at once."""
    net.resolve_by("127.0.0.9", "127.0.0.1", options="timeout:5 attempts:1")
    done = honest(net.run("-H", "good.example.test", "-t", "12", server=BOTH))

    assert done.code == 0, done.out
    assert float(done.perfdata["time_resolve"].partition("s")[0]) < 4


@pytest.mark.threat("T15")
def test_lookup_with_silent_name_servers_ends_at_the_timeout(net: Network) -> None:
    """The lookup ends at the timeout, however long the resolver would continue."""
    net.resolve_by("192.0.2.1", "192.0.2.2", "2001:db8::1", options="timeout:5 attempts:3")
    done = honest(net.run("-H", "good.example.test", "-t", "1"))

    assert done.verdict == (
        "POP3 CRITICAL - no answer to the name lookup within 1 s (good.example.test:110)"
    )
    assert within(done, 1, LATE), done.seconds
