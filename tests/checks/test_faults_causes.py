"""Faults whose cause is found by a diagnosis, by lost time or by the options of the check."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.pki.certificates import Pki
from tests.servers.network import Network, network
from tests.servers.scripted_server import (
    PoliteServer,
    ScriptedServer,
    expect,
    pause,
    say,
    silence,
)
from tests.support.catalogue import BEFORE_TLS, MODES, WITH_TLS
from tests.support.command import Run
from tests.support.faults import GREETING, check, flags, honest, kinds, served

HOST = "127.0.0.50"
PORTS = {"plain": 110, "tls": 995, "stls": 110}


@pytest.fixture
def net(tmp_path: Path) -> Network:
    return network(tmp_path)


SERVERS = """
import ssl, time
from contextlib import ExitStack
from tests.servers.scripted_server import PoliteServer, ScriptedServer, silence
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain({certificate!r}, {key!r})
with ExitStack() as servers:
    for server in {servers}:
        servers.enter_context(server)
    print("ready")
    time.sleep(60)
"""


def serve(pki: Pki, servers: str, certificate: str = "good") -> str:
    """Return the code of a program with these servers; `context` is that of TLS."""
    file, key = pki.files(certificate)
    return SERVERS.format(certificate=str(file), key=str(key), servers=servers)


POLITE = (
    f"PoliteServer({{}}, port=110, address={HOST!r}, stls=context),"
    f" PoliteServer({{}}, port=995, address={HOST!r}, tls=context)"
)


def diagnosed(net: Network, mode: str, pki: Pki, server: str, topics: str = "") -> Run:
    """Return the result of a check with a diagnosis of these topics."""
    target = ("-H", "localhost", "--connect-to", HOST, "-t", "2", "--run-timeout", "12")
    picked = f"--diagnose={topics}" if topics else "--diagnose"
    return honest(net.run(*flags(mode, pki), *target, picked, server=server))


_DROPPED = pytest.mark.fault(93, case="dropped")
_RESET = pytest.mark.fault(93, case="reset")


# Packets of a ClientHello of TLS 1.0 and 1.1 are smaller than 250 bytes; that of TLS 1.3 alone is
# smaller than 400, that of all versions larger.
@pytest.mark.parametrize(
    ("mode", "size", "verdict"),
    [
        pytest.param("tls", 250, "drop", marks=_DROPPED),
        pytest.param("stls", 250, "drop", marks=_DROPPED),
        pytest.param("tls", 400, "drop", marks=_DROPPED),
        pytest.param("tls", 250, "reject with tcp reset", marks=_RESET),
    ],
)
def test_large_client_hello_lost_is_the_likely_cause(
    mode: str, size: int, verdict: str, net: Network, pki: Pki
) -> None:
    """A device drops or rejects ClientHellos above a size; the server answers smaller ones."""
    net.filter(f"in tcp dport {PORTS[mode]} meta length > {size} {verdict}")
    done = diagnosed(net, mode, pki, serve(pki, POLITE))

    assert kinds(done) == ["timeout" if verdict == "drop" else "closed"]


@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.fault(93, case="path MTU")
def test_large_certificate_lost_is_the_likely_cause(mode: str, net: Network, pki: Pki) -> None:
    """The certificate does not fit into the path MTU, and no ICMP error arrives; alerts fit."""
    net.set_up("ip link set lo mtu 1500 gso_max_segs 1 gso_max_size 1500")
    net.filter(f"in tcp sport {PORTS[mode]} meta length > 1280 drop")
    done = diagnosed(net, mode, pki, serve(pki, POLITE, "many_names"))

    assert kinds(done) == ["timeout"]


@pytest.mark.skipif(not shutil.which("ping"), reason="iputils-ping is not installed")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(94)
def test_rejection_by_icmp_with_a_ping_answer_is_a_packet_filter(
    mode: str, net: Network, pki: Pki
) -> None:
    """A router rejects TCP by "administratively prohibited" and lets ping pass."""
    net.filter(f"in ip daddr {HOST} meta l4proto tcp reject with icmp admin-prohibited")
    done = diagnosed(net, mode, pki, "")

    assert kinds(done) == ["unreachable"]


@pytest.mark.parametrize("mode", ["plain", "tls"])
@pytest.mark.fault(95, case="slow")
def test_late_greeting_is_found_by_the_retry_in_plain_text(mode: str, pki: Pki) -> None:
    """The diagnosis waits longer for the greeting than the check, and not only in TLS."""
    with ScriptedServer([pause(1.5), GREETING, expect(), say(b"-ERR\r\n"), silence()]) as server:
        done = check(server, *flags(mode, pki), "-t", "1", "--diagnose")

    assert kinds(done) == ["timeout"]


def test_late_greeting_inside_tls_is_found_by_the_retry_inside_tls(pki: Pki) -> None:
    """In plain text such a port never greets."""
    steps = [pause(1.5), GREETING, expect(), say(b"-ERR\r\n"), silence()]
    with ScriptedServer(steps, tls=pki.server("good")) as server:
        done = check(server, *flags("tls", pki), "-t", "1", "--diagnose")

    assert kinds(done) == ["timeout"]
    assert "likely cause: the server greets, but only after 1." in done.out
    assert any(line.startswith("diagnosis: inside TLS: ") for line in done.long)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(95, case="stopped")
def test_handshake_without_a_greeting_suggests_the_authentication_process(
    mode: str, net: Network, pki: Pki
) -> None:
    """As a Dovecot with a stopped authentication process: handshakes succeed, greetings do not."""
    stopped = (
        f"ScriptedServer([silence()], port=110, address={HOST!r}),"
        f" ScriptedServer([silence()], port=995, address={HOST!r}, tls=context)"
    )
    done = diagnosed(net, mode, pki, serve(pki, stopped))

    assert kinds(done) == ["timeout"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(96)
def test_slow_check_names_the_address_that_cost_time(mode: str, net: Network, pki: Pki) -> None:
    """The time that the dead address cost is part of `time`, and a phase of its own."""
    net.add_host("pop.example.test", "2001:db8::1", HOST)
    net.set_up("ip addr add 2001:db8::1/128 dev lo nodad")
    net.filter("in ip6 daddr 2001:db8::1 drop")
    options = [*flags(mode, pki), "--verify", "none"] if mode != "plain" else []
    done = honest(
        net.run(
            *("-H", "pop.example.test", "-t", "4", "-w", "1", "-c", "3.5", *options),
            server=serve(pki, POLITE),
        )
    )

    assert kinds(done) == ["slow"]
    seconds = {
        label: float(value.partition("s")[0])
        for label, value in done.perfdata.items()
        if label.startswith("time")
    }
    assert 1 < seconds["time_failed"] < seconds["time"]
    phases = sum(seconds.values()) - seconds["time"]
    assert phases == pytest.approx(seconds["time"], abs=0.2)
    assert "[2001:db8::1]" in done.verdict


@pytest.mark.parametrize("mode", MODES)
def test_check_without_a_failed_address_has_no_lost_time(mode: str, net: Network, pki: Pki) -> None:
    """The label is absent where no address failed."""
    options = [*flags(mode, pki), "-H", "localhost", "--connect-to", HOST]
    done = honest(net.run(*options, server=serve(pki, POLITE)))

    assert done.code == 0, done.out
    assert "time_failed" not in done.perfdata


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(97)
def test_late_login_hint_names_the_delay_after_failed_logins(mode: str, pki: Pki) -> None:
    """The server answers PASS later than the timeout."""
    steps = [expect(b"USER"), say(b"+OK\r\n"), expect(b"PASS"), silence()]
    with served(mode, pki, steps, with_capa=True) as server:
        done = check(server, *flags(mode, pki, login=True), "-t", "1")

    assert kinds(done) == ["timeout"]


@pytest.mark.parametrize("mode", BEFORE_TLS)
@pytest.mark.fault(98)
def test_silent_port_995_suggests_ssl_on_line_1(mode: str, net: Network, pki: Pki) -> None:
    """A TLS server waits for a ClientHello, and the check for a greeting."""
    options = [*flags(mode, pki), "-H", "localhost", "--connect-to", HOST, "-p", "995", "-t", "3"]
    done = honest(net.run(*options, server=serve(pki, POLITE)))

    assert kinds(done) == ["timeout"]
    assert ("use -S in place of --starttls" in done.verdict) == (mode == "stls")


@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.parametrize(
    ("limits", "state"),
    [
        pytest.param("60", 1, marks=pytest.mark.fault(99, case="warning")),
        pytest.param("70,60", 2, marks=pytest.mark.fault(99, case="critical")),
    ],
)
def test_early_limit_of_a_short_lived_certificate_is_named(
    limits: str, state: int, mode: str, pki: Pki
) -> None:
    """A certificate of 90 days with 50 left is not due for renewal."""
    context = pki.expiring(50.5)
    tls, stls = (context, None) if mode == "tls" else (None, context)
    with PoliteServer({}, tls=tls, stls=stls) as server:
        done = check(server, *flags(mode, pki), "-D", limits)

    assert done.code == state, done.out
    assert "renew the certificate (" not in done.out
