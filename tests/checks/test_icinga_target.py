"""Results to the REST API of Icinga 2, here played by a server that is not always there."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from check_pop3_plus.check.run import Verdict
from check_pop3_plus.model.settings import HttpsEndpoint, IcingaApi, State
from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.sweep import icinga_target
from check_pop3_plus.sweep.run import Outcome, Service
from tests.pki.certificates import Pki
from tests.servers.icinga_api import Answer, Api, Cut, refused, taken
from tests.servers.scripted_server import PoliteServer, dead_port
from tests.servers.token_endpoint import http
from tests.support.command import Run, run

PASSWORD = "s3cret c4n4ry"


class Client:
    """Hands results to an API."""

    def __init__(self, pki: Pki, folder: Path) -> None:
        self.ca_file = str(pki.ca_file)
        self.secret = folder / "secret"
        self.secret.touch(mode=0o600)
        self.secret.write_text(f"{PASSWORD}\n")

    @contextmanager
    def api(self, port: int, path: str = "/") -> Iterator[icinga_target.Api]:
        endpoint = HttpsEndpoint("localhost", port, path)
        wanted = IcingaApi(endpoint, "sweep", str(self.secret), self.ca_file)
        with closing(icinga_target.Api(wanted, Deadline(time.monotonic() + 20))) as api:
            yield api

    def sweep(self, folder: Path, services: str, port: int, *arguments: str) -> Run:
        path = folder / "sweep.ini"
        path.write_text(f"[DEFAULT]\nhostname = 127.0.0.1\n{services}")
        return run(
            *("--sweep", str(path), "--submit", f"icinga2:https://localhost:{port}"),
            *("--icinga-user", "sweep", "--icinga-password-file", str(self.secret)),
            *("--icinga-ca-file", self.ca_file, *arguments),
        )


@pytest.fixture
def client(pki: Pki, tmp_path: Path) -> Client:
    return Client(pki, tmp_path)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(icinga_target, "PATIENCE_SECONDS", 0.5)


def outcome(number: int = 0) -> Outcome:
    verdict = Verdict(State.CRITICAL, "gone", ("time=1", "messages=2"), ("kind: closed",))
    return Outcome(Service(f"host!pop3 {number}", ()), verdict, began=1.25, ended=2.5)


def test_a_result(pki: Pki, client: Client) -> None:
    """What the API wants: the service by name, the output without the performance data."""
    with Api(tls=pki.server("good")) as server, client.api(server.port) as api:
        assert api.submit(outcome()) is None

    [head], [result] = server.heads, server.results
    login = base64.b64encode(f"sweep:{PASSWORD}".encode()).decode()
    assert head[0] == "POST /v1/actions/process-check-result HTTP/1.1"
    assert f"Authorization: Basic {login}" in head
    assert {"Accept: application/json", "Content-Type: application/json"} <= set(head)
    assert result.pop("check_source")
    assert result == {
        "type": "Service",
        "service": "host!pop3 0",
        "exit_status": 2,
        "plugin_output": "POP3 CRITICAL - gone\nkind: closed",
        "performance_data": ["time=1", "messages=2"],
        "execution_start": 1.25,
        "execution_end": 2.5,
    }


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/icinga/v1"])
def test_the_path_of_the_url(path: str, pki: Pki, client: Client) -> None:
    """With the version of the API or without, also behind a proxy's path."""
    with Api(tls=pki.server("good")) as server, client.api(server.port, path) as api:
        assert api.submit(outcome()) is None

    before = path.rstrip("/").removesuffix("/v1")
    assert server.heads[0][0] == f"POST {before}/v1/actions/process-check-result HTTP/1.1"


def test_one_connection_for_all(pki: Pki, client: Client) -> None:
    """A handshake a result would cost more than the checks."""
    with Api(tls=pki.server("good")) as server, client.api(server.port) as api:
        assert {api.submit(outcome(number)) for number in range(50)} == {None}

    assert server.connections == 1
    assert [result["service"] for result in server.results] == [
        f"host!pop3 {number}" for number in range(50)
    ]


def test_lost_connections(pki: Pki, client: Client) -> None:
    """Whatever is lost with one is sent again on the next."""
    cuts = (b"", b"HTTP/1.1 200 OK\r\nConte", taken({"service": "x"})[:-5])
    answers = [answer for cut in cuts for answer in (lambda _, cut=cut: Cut(cut), taken)]
    with Api(*answers, tls=pki.server("good")) as server, client.api(server.port) as api:
        assert {api.submit(outcome(number)) for number in range(5)} == {None}

    assert {result["service"] for result in server.results} == {
        f"host!pop3 {number}" for number in range(5)
    }


def test_a_reload(pki: Pki, client: Client) -> None:
    """While it lasts nobody listens, or somebody says that he is about to go."""
    shutting_down: list[Answer] = [lambda _: refused("503 Unavailable", error=503), taken]
    with dead_port() as port:
        pass
    servers: list[Api] = []

    def come_back() -> None:
        servers.append(Api(*shutting_down, tls=pki.server("good"), port=port))
        servers[0].__enter__()

    later = threading.Timer(1.0, come_back)
    later.start()
    with client.api(port) as api:
        assert api.submit(outcome()) is None
    later.join()
    servers[0].__exit__()
    assert len(servers[0].results) == 2


@pytest.mark.usefixtures("impatient")
def test_an_api_that_stays_away(client: Client) -> None:
    """Waited for once, not once a result."""
    with dead_port() as port, client.api(port) as api:
        began = time.monotonic()
        said = {api.submit(outcome(number)) for number in range(100)}

    assert said == {"connection refused"}
    assert time.monotonic() - began < 3


@pytest.mark.usefixtures("impatient")
def test_an_api_that_is_silent(pki: Pki, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer has its time, and all of them the time of the run."""
    monkeypatch.setattr(icinga_target, "REPLY_SECONDS", 0.3)
    with Api(lambda _: b"", tls=pki.server("good")) as server, client.api(server.port) as api:
        began = time.monotonic()
        said = {api.submit(outcome(number)) for number in range(10)}

    assert said == {"no answer"}
    assert time.monotonic() - began < 3


def test_an_unknown_service_stops_no_other(pki: Pki, client: Client) -> None:
    """It is named, and not sent again."""

    def some(result: dict[str, Any]) -> bytes:
        if result["service"].endswith("0"):
            return refused("404 Not Found", error=404, status="No objects found.")
        return taken(result)

    with Api(some, tls=pki.server("good")) as server, client.api(server.port) as api:
        assert api.submit(outcome(0)) == "HTTP 404: No objects found."
        assert api.submit(outcome(1)) is None

    assert len(server.results) == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (http(b'{"results":[{"code":409,"status":"Newer result."}]}'), "code 409: Newer result."),
        (http(b'{"results":[{"code":500,"status":7}]}', "500 Oops"), "HTTP 500"),
        (http(b'{"results":[]}'), "HTTP 200"),
        (http(b'{"error":404}', "404 Not Found"), "HTTP 404"),
        (http(b'{"results":[{"code":200}]}', "200 OK", "Connection: close"), None),
    ],
)
def test_other_answers(answer: bytes, reason: str | None, pki: Pki, client: Client) -> None:
    """Only what says so is a success."""
    with Api(lambda _: answer, tls=pki.server("good")) as server, client.api(server.port) as api:
        said = api.submit(outcome())

    assert said == reason


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("answer", [http(b"[]"), http(b"no json", "302 Found"), http(b"", "502 x")])
def test_somebody_else_answers(answer: bytes, pki: Pki, client: Client) -> None:
    """A proxy, while Icinga is away: it may come back, and redirects are not followed."""
    back_soon = Api(lambda _: answer, taken, tls=pki.server("good"))
    with back_soon as server, client.api(server.port) as api:
        assert api.submit(outcome()) is None
    with Api(lambda _: answer, tls=pki.server("good")) as server, client.api(server.port) as api:
        assert api.submit(outcome()) == f"HTTP {answer[9:12].decode()}"


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_wrong_credentials_are_not_tried_again(status: str, pki: Pki, client: Client) -> None:
    """They are wrong for all results; the password is not in what is said of it."""
    said = f"No: {PASSWORD} {base64.b64encode(f'sweep:{PASSWORD}'.encode()).decode()}"
    with (
        Api(lambda _: refused(status, status=said), tls=pki.server("good")) as server,
        client.api(server.port) as api,
    ):
        reasons = {api.submit(outcome(number)) for number in range(3)}

    assert reasons == {f"HTTP {status[:3]}: No: *** ***"}
    assert len(server.results) == 1


@pytest.mark.parametrize("certificate", ["expired", "wrongname", "untrusted"])
def test_the_api_is_verified(certificate: str, pki: Pki, client: Client) -> None:
    """Not one octet of the credentials goes to somebody else; nobody waits for him to change."""
    with Api(tls=pki.server(certificate)) as server, client.api(server.port) as api:
        began = time.monotonic()
        said = api.submit(outcome())

    assert said
    assert "certificate" in said or "trusted" in said
    assert server.results == []
    assert time.monotonic() - began < 2


def test_a_sweep(pki: Pki, client: Client, tmp_path: Path) -> None:
    """All results arrive; sections that are wrong are the sweep's problem, not the service's."""
    with PoliteServer({}) as pop3, dead_port() as dead, Api(tls=pki.server("good")) as server:
        services = f"[a!good]\nport = {pop3.port}\n[b!dead]\nport = {dead}\n[c!wrong]\nport = x\n"
        done = client.sweep(tmp_path, services, server.port)

    assert done.code == 3
    assert "1 OK, 1 CRITICAL, 1 UNKNOWN; 1 not readable: c!wrong; all submitted" in done.verdict
    assert {each["service"]: each["exit_status"] for each in server.results} == {
        "a!good": 0,
        "b!dead": 2,
    }


def test_what_could_not_be_handed_over_is_critical(client: Client, tmp_path: Path) -> None:
    """By name, with the reason, within the time for the run; the password is in no output."""
    with PoliteServer({}) as pop3, dead_port() as dead:
        services = f"[a!good]\nport = {pop3.port}\n[b!good]\nport = {pop3.port}\n"
        done = client.sweep(tmp_path, services, dead, "--run-timeout", "2", "-vvv")

    assert done.code == 2
    assert done.seconds < 3
    assert "2 OK; 2 not submitted: a!good, b!good" in done.verdict
    assert "critical: a!good: not submitted: connection refused" in done.long
    assert PASSWORD not in done.out


def test_a_password_file_that_cannot_be_used(client: Client, tmp_path: Path) -> None:
    """Said before anything is looked at."""
    client.secret.chmod(0o644)
    done = client.sweep(tmp_path, "[a!b]\n", 1)

    assert done.code == 3
    assert "config: password file of the API /" in done.line
    assert f"{client.secret.name} must be mode 0600" in done.line


@pytest.mark.parametrize("short", ["abc", "sweep"])
def test_submit_short_password_shows_only_the_status(short: str, pki: Pki, client: Client) -> None:
    """A short password cannot be masked in the API's text."""
    client.secret.write_text(f"{short}\n")
    said = "No service sweep!abc found"
    with (
        Api(
            lambda _: refused("404 Not Found", error=404, status=said), tls=pki.server("good")
        ) as server,
        client.api(server.port) as api,
    ):
        assert api.submit(outcome()) == "HTTP 404"
