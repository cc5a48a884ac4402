"""The test helpers: servers, certificates and `run`."""

from __future__ import annotations

import socket
import ssl
import time
import warnings
from collections.abc import Callable

import pytest
from cryptography import x509

from tests.pki.certificates import INTERMEDIATE_DAYS, MANY_NAMES, Pki
from tests.servers.scripted_server import (
    PoliteServer,
    ScriptedServer,
    Server,
    Step,
    dead_port,
    drain,
    drip,
    drop,
    expect,
    flood,
    pause,
    reset,
    say,
    silence,
    start_tls,
)
from tests.support.command import Run


def connect(server: Server) -> socket.socket:
    client = socket.create_connection((server.address, server.port), timeout=5)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def read_all(client: socket.socket) -> bytes:
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


def ask(client: socket.socket, line: bytes) -> bytes:
    client.sendall(line + b"\r\n")
    return client.recv(65536)


def client_context(pki: Pki) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(pki.ca_file))
    context.hostname_checks_common_name = False
    return context


def encrypt(client: socket.socket, context: ssl.SSLContext, name: str) -> ssl.SSLSocket:
    return context.wrap_socket(client, server_hostname=name)


def verdict(pki: Pki, server_context: ssl.SSLContext, name: str = "pop.example.test") -> str:
    """Return OpenSSL's error for the certificate, or "" if it is valid."""
    with ScriptedServer([say(b"+OK\r\n")], tls=server_context) as server, connect(server) as client:
        try:
            with encrypt(client, client_context(pki), name) as secured:
                assert read_all(secured) == b"+OK\r\n"
                return ""
        except ssl.SSLCertVerificationError as error:
            return error.verify_message


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_script_is_played_and_recorded(address: str) -> None:
    """Steps are played in order, on both families, and every byte and line is recorded."""
    steps = [say(b"+OK hi\r\n"), expect(b"USER"), say(b"+OK\r\n"), expect(b"PASS"), drop()]
    with ScriptedServer(steps, address=address) as server:
        with connect(server) as client:
            assert client.recv(100) == b"+OK hi\r\n"
            assert ask(client, b"user me") == b"+OK\r\n"
            client.sendall(b"STAT\r\n")
            assert read_all(client) == b""
        server.settle()

    assert server.commands == [b"user me", b"STAT"]
    assert server.surprises == ["b'STAT' where b'PASS' was expected"]
    assert server.received == server.received_in_clear == b"user me\r\nSTAT\r\n"
    assert server.received_in_tls == b""
    assert server.connections == 1


def test_each_connection_has_its_script_and_the_last_is_repeated() -> None:
    """Connection N plays script N; later ones play the last."""
    with ScriptedServer(scripts=[[say(b"one")], [say(b"two")]]) as server:
        heard = []
        for _ in range(3):
            with connect(server) as client:
                heard.append(client.recv(100))

    assert heard == [b"one", b"two", b"two"]
    assert server.connections == 3


def test_data_after_the_last_step_is_recorded() -> None:
    """A server whose script has ended reads until the client closes."""
    with ScriptedServer([say(b"+OK\r\n")]) as server, connect(server) as client:
        assert read_all(client) == b"+OK\r\n"
        client.sendall(b"QUIT\r\n")
        client.close()
        server.settle()

    assert server.commands == [b"QUIT"]


def test_data_after_the_last_step_is_recorded_in_tls(pki: Pki) -> None:
    """The same in TLS, after close_notify was sent."""
    with ScriptedServer([say(b"+OK\r\n")], tls=pki.server("good")) as server:
        with encrypt(connect(server), client_context(pki), "localhost") as client:
            assert client.recv(100) == b"+OK\r\n"
            client.sendall(b"QUIT\r\n")
        server.settle()

    assert server.commands == [b"QUIT"]


def test_drip_pauses_after_every_byte() -> None:
    """A gap follows every byte."""
    start = time.monotonic()
    with ScriptedServer([drip(b"+OK\r\n", 0.02)]) as server, connect(server) as client:
        assert read_all(client) == b"+OK\r\n"

    assert time.monotonic() - start >= 0.1


def test_reset_sends_rst() -> None:
    """The client sees RST, not the end of the stream."""
    with ScriptedServer([pause(0.05), reset()]) as server:
        client = connect(server)
        with client, pytest.raises(ConnectionResetError):
            client.recv(1)


def test_script_continues_after_drain() -> None:
    """The client's FIN ends `drain`, not the script."""
    with ScriptedServer([drain(), say(b"bye")]) as server, connect(server) as client:
        client.sendall(b"one\ntwo\r\n")
        client.shutdown(socket.SHUT_WR)

        assert read_all(client) == b"bye"
        assert server.commands == [b"one", b"two"]


def test_flood_is_counted() -> None:
    """What was sent before the client left is counted."""
    with ScriptedServer([flood(b"x" * 1000)]) as server:
        with connect(server) as client:
            assert client.recv(1)
        server.settle()

    assert server.flooded >= 1000


def test_start_tls_keeps_clear_and_encrypted_apart(pki: Pki) -> None:
    """A test can tell what was sent in the clear from what was not."""
    steps = [say(b"+OK\r\n"), expect(b"STLS"), say(b"+OK\r\n"), start_tls(pki.server("good"))]
    with ScriptedServer([*steps, expect(b"QUIT"), say(b"+OK\r\n")]) as server:
        client = connect(server)
        client.recv(100)
        ask(client, b"STLS")
        with encrypt(client, client_context(pki), "::1") as secured:
            assert ask(secured, b"QUIT") == b"+OK\r\n"
            assert secured.recv(1) == b""
        server.settle()

    assert server.received_in_clear == b"STLS\r\n"
    assert server.received_in_tls == b"QUIT\r\n"
    assert not server.surprises
    assert not server.tls_errors


def test_data_before_the_handshake_is_recorded_as_surprise(pki: Pki) -> None:
    """Data that a client sends between STLS and the handshake is recorded."""
    with ScriptedServer([expect(b"STLS"), start_tls(pki.server("good"))]) as server:
        with connect(server) as client:
            client.sendall(b"STLS\r\nUSER me\r\n")
        server.settle()

    assert server.surprises == [r"before the handshake: b'USER me\r\n'"]
    assert len(server.tls_errors) == 1


def test_a_failed_handshake_is_recorded_and_nothing_is_sent_after_it(pki: Pki) -> None:
    """After a failed handshake the script does not go on."""
    with ScriptedServer([say(b"+OK\r\n")], tls=pki.server("good")) as server:
        with connect(server) as client:
            client.sendall(b"this is not TLS\r\n")
            assert b"+OK" not in read_all(client)
        server.settle()

    assert isinstance(server.tls_errors[0], ssl.SSLError)
    assert server.received == b""


@pytest.mark.parametrize(
    "step",
    [pause(60), drip(b"x" * 60, 1), silence(), flood(b"x" * 65536), drain(), expect()],
    ids=["pause", "drip", "silence", "flood", "drain", "expect"],
)
def test_context_exit_ends_every_step(step: Step) -> None:
    """No step outlives the context."""
    with ScriptedServer([say(b"+OK\r\n"), step]) as server:
        client = connect(server)
        client.recv(5)
        time.sleep(0.05)  # the step has begun
        start = time.monotonic()
    with client:
        assert time.monotonic() - start < 0.5
    with pytest.raises(ConnectionRefusedError):
        connect(server)


def test_context_exit_ends_a_handshake(pki: Pki) -> None:
    """A handshake does not outlive the context either, and ending it is no TLS error."""
    with ScriptedServer(tls=pki.server("good")) as server:
        client = connect(server)
        time.sleep(0.05)
        start = time.monotonic()
    with client:
        assert time.monotonic() - start < 0.5
    assert not server.tls_errors


def test_dead_port_refuses() -> None:
    """A dead port refuses connections as long as it is reserved."""
    with dead_port() as port, pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))


def test_polite_server_counts_logins_and_sessions() -> None:
    """RFC 1939 from greeting to QUIT; rejected logins are counted, too."""
    with (
        PoliteServer({"me": "secret word"}, messages=2, octets=99) as server,
        connect(server) as client,
    ):
        assert client.recv(100).startswith(b"+OK")
        assert b"\r\nSTLS\r\n" not in ask(client, b"CAPA")
        assert ask(client, b"STAT").startswith(b"-ERR")
        assert ask(client, b"PASS early").startswith(b"-ERR")
        assert ask(client, b"USER me") == b"+OK\r\n"
        assert ask(client, b"PASS wrong") == b"-ERR [AUTH] Authentication failed.\r\n"
        assert ask(client, b"USER nobody") == b"+OK\r\n"
        assert ask(client, b"PASS wrong") == b"-ERR [AUTH] Authentication failed.\r\n"
        assert ask(client, b"USER me") == b"+OK\r\n"
        assert ask(client, b"PASS secret word") == b"+OK Logged in\r\n"
        assert ask(client, b"STAT") == b"+OK 2 99\r\n"
        assert ask(client, b"UIDL") == b"+OK\r\n1 uid1\r\n2 uid2\r\n.\r\n"
        assert ask(client, b"NOOP") == b"+OK\r\n"
        assert ask(client, b"STLS").startswith(b"-ERR")
        assert server.sessions_without_quit == 1
        assert ask(client, b"quit") == b"+OK Bye\r\n"
        assert client.recv(1) == b""

    assert server.logins == ["me", "nobody", "me"]
    assert (server.sessions, server.sessions_without_quit) == (1, 0)


def test_polite_server_offers_stls_until_it_is_done(pki: Pki) -> None:
    """RFC 2595: STLS is offered once, and the state from before it is discarded."""
    with PoliteServer({"me": "x"}, stls=pki.server("chain")) as server:
        client = connect(server)
        client.recv(100)
        assert b"\r\nSTLS\r\n" in ask(client, b"CAPA")
        assert ask(client, b"USER me") == b"+OK\r\n"
        ask(client, b"STLS")
        with encrypt(client, client_context(pki), "127.0.0.1") as secured:
            assert b"\r\nSTLS\r\n" not in ask(secured, b"CAPA")
            assert ask(secured, b"PASS x").startswith(b"-ERR")
            ask(secured, b"QUIT")

    assert server.logins == []


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("good", ""),
        ("chain", ""),
        ("wildcard", ""),
        ("many_names", ""),
        ("negative_serial", ""),
        ("intermediate_expiring", ""),
        ("expired", "certificate has expired"),
        ("future", "certificate is not yet valid"),
        ("wrongname", "Hostname mismatch"),
        ("cnonly", "Hostname mismatch"),
        ("untrusted", "unable to get local issuer certificate"),
        ("nochain", "unable to get local issuer certificate"),
        ("selfsigned", "self-signed certificate"),
        ("weak", "EE certificate key too weak"),
        ("sha1", "CA signature digest algorithm too weak"),
    ],
)
def test_certificates_have_the_named_defects(pki: Pki, name: str, said: str) -> None:
    """OpenSSL accepts the valid ones and reports the defect of each invalid one."""
    heard = verdict(pki, pki.server(name))

    # OpenSSL 1.1.1 writes "self signed".
    assert heard.replace("self signed", "self-signed").startswith(said)
    assert bool(heard) == bool(said)


def load(pki: Pki, name: str) -> list[x509.Certificate]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about the negative serial number
        return x509.load_pem_x509_certificates(pki.files(name)[0].read_bytes())


def test_unusual_certificates_have_their_properties(pki: Pki) -> None:
    """They have the defects that OpenSSL accepts: serial number, names, dates, chain."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert load(pki, "negative_serial")[0].serial_number < 0
    (leaf,) = load(pki, "many_names")
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert len(list(names)) == MANY_NAMES
    leaf, intermediate = load(pki, "intermediate_expiring")
    assert (leaf.not_valid_after_utc - intermediate.not_valid_after_utc).days in (
        365 - INTERMEDIATE_DAYS,
        364 - INTERMEDIATE_DAYS,
    )
    assert len(load(pki, "nochain")) == 1
    assert len(load(pki, "chain")) == 2


def test_expiring_has_the_days_and_the_lifetime(pki: Pki) -> None:
    """Start and end of the validity can be set."""
    pki.expiring(13.5, lifetime=30)
    (leaf,) = load(pki, "expiring-13.5-30")

    lifetime = leaf.not_valid_after_utc - leaf.not_valid_before_utc
    assert lifetime.total_seconds() == pytest.approx(30 * 86400, abs=2)
    assert not verdict(pki, pki.expiring(13.5, lifetime=30))


def test_contexts_are_cached_by_their_changes(pki: Pki) -> None:
    """The same request gives the same context, another one another."""
    assert pki.server("good") is pki.server("good")
    assert pki.only("1.2") is not pki.server("good")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_tls_version_limit_is_kept(pki: Pki, version: str) -> None:
    """No other TLS version is negotiated."""
    with (
        ScriptedServer(tls=pki.only(version)) as server,
        encrypt(connect(server), client_context(pki), "localhost") as client,
    ):
        assert client.version() == f"TLSv{version}"


@pytest.mark.parametrize(("version", "name"), [("1.0", "TLSv1"), ("1.1", "TLSv1.1")])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_tls_version_needs_a_permissive_client(pki: Pki, version: str, name: str) -> None:
    """A client with default settings refuses it; one that allows it connects."""
    context = client_context(pki)
    with ScriptedServer(tls=pki.old_tls(version)) as server:
        with pytest.raises(ssl.SSLError), connect(server) as client:
            encrypt(client, context, "localhost")
        context.set_ciphers("ALL:@SECLEVEL=0")
        context.minimum_version = ssl.TLSVersion.TLSv1
        with encrypt(connect(server), context, "localhost") as client:
            assert client.version() == name


@pytest.mark.parametrize("tls12_only", [False, True])
def test_client_certificate_is_demanded(pki: Pki, tls12_only: bool) -> None:
    """The session fails without one and works with one, in TLS 1.2 and 1.3."""
    context = client_context(pki)
    demanding = pki.demanding_client_certificate(tls12_only)
    with ScriptedServer([say(b"+OK\r\n")], tls=demanding) as server:
        # In TLS 1.3 the client sees the alert only when it reads.
        with (
            pytest.raises(ssl.SSLError),
            connect(server) as client,
            encrypt(client, context, "localhost") as secured,
        ):
            secured.recv(1)
        server.settle()
        assert len(server.tls_errors) == 1
        context.load_cert_chain(pki.client_cert, pki.client_key)
        with encrypt(connect(server), context, "localhost") as client:
            assert read_all(client) == b"+OK\r\n"


def test_run_is_the_installed_command(run: Callable[..., Run]) -> None:
    """`run` starts the command beside this interpreter."""
    done = run("--version")

    assert done.code == 3
    assert done.err == ""
    assert done.line.startswith("check_pop3_plus")


def test_run_splits_what_was_printed() -> None:
    """Status line, perfdata and long output are split, also if the output is empty."""
    done = Run(1, "POP3 OK - a | time=0.1s;2;5 cert_days=3\nmore\nlines\n", "", 0.1)

    assert done.verdict == "POP3 OK - a"
    assert done.perfdata == {"time": "0.1s;2;5", "cert_days": "3"}
    assert done.long == ["more", "lines"]
    assert Run(3, "", "", 0.1).perfdata == {}
