"""HTTPS connections: when their stream becomes usable."""

import pytest

from check_pop3_plus.model.failures import CertificateRejected, Kind, ProbeError
from check_pop3_plus.model.settings import HttpsEndpoint
from check_pop3_plus.net import https, transport
from check_pop3_plus.support.deadline import Clock, Deadline
from tests.pki.certificates import Pki
from tests.servers.scripted_server import ScriptedServer, silence

SECRET = {"Authorization": "s3cret"}


def test_connection_has_no_stream_before_its_handshake_is_complete(
    pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be sent by a stream that no one has, whatever `http.client` does."""
    seen = []
    with ScriptedServer([silence()], tls=pki.server("good")) as server:
        link = https.Link(HttpsEndpoint("localhost", server.port, "/"), str(pki.ca_file))
        connection = link._connection

        def start_tls(stream: transport.Stream, *_: object) -> None:
            seen.append((connection.sock, connection._stream))
            raise ProbeError(Kind.TLS, "failed the TLS handshake")

        monkeypatch.setattr(transport.Stream, "start_tls", start_tls)
        with pytest.raises(ProbeError, match="failed the TLS handshake"):
            link.post("/", b"", SECRET, Deadline(Clock() + 5))

    assert seen == [(None, None)]
    assert (connection.sock, connection._stream) == (None, None)


def test_rejected_certificate_receives_no_request(pki: Pki) -> None:
    """Neither the failed connection nor the next one carries a credential."""
    with ScriptedServer([silence()], tls=pki.server("expired")) as server:
        link = https.Link(HttpsEndpoint("localhost", server.port, "/"), str(pki.ca_file))
        for _ in range(2):
            with pytest.raises(CertificateRejected):
                link.post("/", b"", SECRET, Deadline(Clock() + 5))
        server.settle()

    assert server.connections == 2
    assert server.received_in_tls == b""
