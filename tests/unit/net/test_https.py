"""HTTPS connections: when they become usable, and that a failed or late one is closed."""

import ssl
import threading

import pytest

from check_pop3_plus import __version__
from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.settings import HttpsEndpoint
from check_pop3_plus.net import https, transport
from check_pop3_plus.net.tls_errors import CertificateRejected
from check_pop3_plus.support.deadline import Clock, Deadline
from tests.pki.certificates import Pki
from tests.servers.scripted_server import (
    Connection,
    ScriptedServer,
    Step,
    drip,
    drop,
    hears_hello,
    pause,
    say,
    silence,
)
from tests.servers.token_endpoint import http

SECRET = {"Authorization": "s3cret"}


def link_to(server: ScriptedServer, pki: Pki) -> https.Link:
    return https.Link(HttpsEndpoint("localhost", server.port, "/"), str(pki.ca_file))


def post(link: https.Link, seconds: float = 5) -> tuple[int, bytes]:
    return link.post("/", b"", SECRET, Deadline(Clock() + seconds))


def read_request(connection: Connection) -> None:
    while connection.line():
        pass


def test_connection_has_no_socket_before_its_handshake_is_complete(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be sent without a socket, whatever `http.client` does."""
    seen = []
    with ScriptedServer([silence()], tls=pki.server("good")) as server:
        link = link_to(server, pki)
        connection = link._connection

        def start_tls(stream: transport.Stream, *_: object) -> None:
            seen.append(connection.sock)
            raise ProbeError(Kind.TLS, "failed the TLS handshake")

        monkeypatch.setattr(transport.Stream, "start_tls", start_tls)
        with pytest.raises(ProbeError, match="failed the TLS handshake"):
            post(link)

    assert seen == [None]
    assert (connection.sock, connection._stream) == (None, None)


def test_rejected_certificate_receives_no_request(pki: Pki) -> None:
    """Neither the failed connection nor the next one carries a credential."""
    with ScriptedServer([silence()], tls=pki.server("expired")) as server:
        link = link_to(server, pki)
        for _ in range(2):
            with pytest.raises(CertificateRejected):
                post(link)
        server.settle()

    assert server.connections == 2
    assert server.received_in_tls == b""


FAILURES: dict[str, tuple[bool, list[Step], str]] = {
    "no HTTP": (
        *(True, [read_request, say(b"SSH-2.0-x\r\n"), silence()]),
        "answered something that is not HTTP",
    ),
    "closed": (True, [read_request, drop()], "closed the connection without an answer"),
    "no record of TLS": (
        *(True, [read_request, lambda connection: connection.socket.sendall(bytes(99))]),
        # OpenSSL 3.5 of Debian 13 has no reason of its own for it.
        "sent broken TLS: record layer failure"
        if ssl.OPENSSL_VERSION_INFO >= (3, 2)
        else "answers in plain text, TLS expected",
    ),
    "no TLS": (
        *(False, [hears_hello, say(b"SSH-2.0-x\r\n"), silence()]),
        "answers in plain text, TLS expected",
    ),
    "handshake that drips": (
        *(False, [hears_hello, drip(b"\x16\x03\x03\x20\x00" + bytes(99), 0.05)]),
        "no answer",
    ),
    "reply that drips": (True, [read_request, drip(http(bytes(99)), 0.05)], "no answer"),
}


@pytest.mark.parametrize(("is_tls", "steps", "message"), FAILURES.values(), ids=FAILURES)
def test_failed_connection_is_closed_and_not_used_again(
    is_tls: bool, steps: list[Step], message: str, pki: Pki
) -> None:
    """Also a late one, by the thread that is still in a call."""
    with ScriptedServer(steps, tls=pki.server("good") if is_tls else None) as server:
        link = link_to(server, pki)
        connection = link._connection
        with pytest.raises(ProbeError) as raised:
            post(link, 1)
        server.settle()

        assert raised.value.message == message
        assert not server._open
        assert (connection.sock, connection._stream) == (None, None)
        assert link._connection is not connection


def test_connection_whose_reply_is_complete_too_late_is_closed(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that read it must close it: the caller has given up."""
    release = threading.Event()
    monkeypatch.setattr(https, "read_reply", lambda _: (200, bytes(release.wait(5))))
    with ScriptedServer([silence()], tls=pki.server("good")) as server:
        link = link_to(server, pki)
        monkeypatch.setattr(link._connection, "abort", lambda: None)
        with pytest.raises(ProbeError, match=r"^no answer$"):
            post(link, 0.5)
        release.set()
        server.settle()

        assert not server._open


@pytest.mark.parametrize(("field", "connections"), [("X: y", 1), ("Connection: close", 2)])
def test_connection_is_kept_with_a_new_deadline_until_one_side_closes(
    field: str, connections: int, pki: Pki
) -> None:
    """The deadline of the request before has passed."""
    answer = http(b"{}", "200 OK", field)
    steps = [read_request, say(answer), read_request, pause(1), say(answer), silence()]
    scripts = [steps, steps[2:]]
    with ScriptedServer(scripts=scripts, tls=pki.server("good")) as server:
        link = link_to(server, pki)
        assert post(link, 0.9) == (200, b"{}")
        assert post(link) == (200, b"{}")
        link.close()
        server.settle()

        assert not server._open
        assert server.connections == connections
    sent = server.received.splitlines()
    assert sent[0] == b"POST / HTTP/1.1"
    assert f"User-Agent: check_pop3_plus/{__version__}".encode() in sent
    assert b"Accept: application/json" in sent
    assert b"Authorization: s3cret" in sent


def test_link_with_an_unreadable_ca_file_is_a_config_error() -> None:
    """Before anything is sent."""
    with pytest.raises(ProbeError, match=r"^cannot load CA file /nonexistent: No such file"):
        https.Link(HttpsEndpoint("localhost", 1, "/"), "/nonexistent")


@pytest.mark.parametrize("is_larger", [False, True])
def test_reply_has_a_largest_size(is_larger: bool, pki: Pki) -> None:
    """A body of this size is read."""
    body = bytes(https.BODY_LIMIT + is_larger)
    steps = [read_request, say(http(body)), silence()]
    with ScriptedServer(steps, tls=pki.server("good")) as server:
        link = link_to(server, pki)
        if is_larger:
            with pytest.raises(ProbeError, match=r"^answered more than 65536 bytes$"):
                post(link)
        else:
            assert post(link) == (200, body)
        link.close()
