"""Submit results to the REST API of Icinga 2, replaced by a test server that also fails."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from check_pop3_plus.check.verdict import Figure, Verdict
from check_pop3_plus.model.settings import HttpsEndpoint, RestApi, State
from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.services import Service
from check_pop3_plus.sweep.targets import icinga2_target, submission
from tests.pki.certificates import Pki
from tests.servers.icinga_api import Answer, Api, Cut, refused, taken
from tests.servers.scripted_server import PoliteServer, dead_port
from tests.servers.token_endpoint import http
from tests.support import claims
from tests.support.command import Run, run
from tests.support.submission import refusals

PASSWORD = "s3cret c4n4ry"


class Client:
    """Submits results to a test API."""

    def __init__(self, pki: Pki, folder: Path) -> None:
        self.ca_file = str(pki.ca_file)
        self.secret = folder / "secret"
        self.secret.touch(mode=0o600)
        self.secret.write_text(f"{PASSWORD}\n")

    @contextmanager
    def api(self, port: int, path: str = "/") -> Iterator[icinga2_target.Target]:
        endpoint = HttpsEndpoint("localhost", port, path)
        wanted = RestApi(endpoint, "sweep", str(self.secret), self.ca_file)
        yield icinga2_target.Target(wanted, Deadline(time.monotonic() + 20))

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
    monkeypatch.setattr(submission, "PATIENCE_SECONDS", 0.5)


def outcome(number: int = 0) -> Outcome:
    verdict = Verdict(
        State.CRITICAL, "gone", (Figure("time", 1), Figure("messages", 2)), ("kind: closed",)
    )
    return Outcome(Service(f"host!pop3 {number}", ()), verdict, began=1.25, ended=2.5)


def test_submit_sends_service_state_and_output_without_perfdata(pki: Pki, client: Client) -> None:
    """The request names the service and separates the output from the performance data."""
    with Api(tls=pki.server("good")) as server, client.api(server.port) as api:
        assert refusals(api, outcome()) == [None]

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


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/icinga/v1", "/X"])
def test_submit_completes_the_path_of_the_url(path: str, pki: Pki, client: Client) -> None:
    """The URL may contain the API version, and the path of a proxy."""
    with Api(tls=pki.server("good")) as server, client.api(server.port, path) as api:
        assert refusals(api, outcome()) == [None]

    before = path.rstrip("/").removesuffix("/v1")
    assert server.heads[0][0] == f"POST {before}/v1/actions/process-check-result HTTP/1.1"


def test_submit_of_many_results_uses_few_connections(pki: Pki, client: Client) -> None:
    """A TLS handshake per result would cost more than the checks."""

    def late(result: dict[str, Any]) -> bytes:
        time.sleep(0.005)
        return taken(result)

    with Api(late, tls=pki.server("good")) as server, client.api(server.port) as api:
        assert set(refusals(api, *map(outcome, range(200)))) == {None}

    assert 8 < server.connections <= 16
    assert {result["service"] for result in server.results} == {
        f"host!pop3 {number}" for number in range(200)
    }


def test_submit_of_1000_results_at_20_ms_latency_takes_under_5_s(pki: Pki, client: Client) -> None:
    """Several requests wait for their answers at a time."""

    def late(result: dict[str, Any]) -> bytes:
        time.sleep(0.02)
        return taken(result)

    with Api(late, tls=pki.server("good")) as server, client.api(server.port) as api:
        began = time.monotonic()
        assert set(refusals(api, *map(outcome, range(1000)))) == {None}
        seconds = time.monotonic() - began

    assert seconds < 5
    assert len({result["service"] for result in server.results}) == 1000


def test_submit_without_threads_sends_in_the_calling_thread(
    pki: Pki, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the limit on threads is reached, the main thread sends the results."""
    sending: set[str] = set()

    def no_thread(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    def send(_: object, outcome: Outcome, resends: int) -> None:
        assert resends == 0
        sending.add(f"{threading.current_thread().name} {outcome.service.name}")

    monkeypatch.setattr(icinga2_target.Target, "send", send)
    with client.api(1) as api, monkeypatch.context() as limited:
        limited.setattr(threading.Thread, "start", no_thread)
        assert refusals(api, outcome(0), outcome(1)) == [None, None]

    assert sending == {f"MainThread host!pop3 {number}" for number in range(2)}


@pytest.mark.parametrize("lost", [1, 2])
def test_submit_again_claims_an_earlier_start(lost: int, pki: Pki, client: Client) -> None:
    """Icinga drops a result that is older than the one it has; a newer version answers 409."""
    newer = {"results": [{"code": 409, "status": "Newer check result already present."}]}
    dropped = http(json.dumps(newer).encode(), "409 Conflict")
    answers: list[Answer] = [*[lambda _: Cut(b"")] * lost, lambda _: dropped]
    with Api(*answers, tls=pki.server("good")) as server, client.api(server.port) as api:
        assert refusals(api, outcome()) == [None]

    assert [each["execution_start"] for each in server.results] == pytest.approx(
        [1.25, 1.249, 1.248][: lost + 1], abs=1e-6
    )
    assert {each["execution_end"] for each in server.results} == {2.5}


@pytest.mark.fault(101)
def test_sweep_with_a_lost_answer_submits_all(pki: Pki, client: Client, tmp_path: Path) -> None:
    """Icinga has the result: its second copy, which it drops, is accepted as well."""
    dropped = http(b'{"results":[{"code":409,"status":"Newer check result already present."}]}')
    answers: list[Answer] = [lambda _: Cut(b""), lambda _: dropped]
    with PoliteServer({}) as pop3, Api(*answers, tls=pki.server("good")) as server:
        done = client.sweep(tmp_path, f"[a!good]\nport = {pop3.port}\n", server.port)

    claims.seen.append(done)
    assert done.code == 0
    first, second = (each["execution_start"] for each in server.results)
    assert first - second == pytest.approx(0.001, abs=1e-5)


def test_submit_after_a_long_silence_waits_for_a_restart(
    pki: Pki, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The patience begins with the first failure, not with the last result."""
    monkeypatch.setattr(submission, "PATIENCE_SECONDS", 0.3)
    answers: list[Answer] = [taken, lambda _: Cut(b""), taken]
    with Api(*answers, tls=pki.server("good")) as server, client.api(server.port) as api:
        api.submit(outcome(0))
        time.sleep(0.6)
        assert refusals(api, outcome(1)) == [None]

    assert len(server.results) == 3


def test_submit_on_a_lost_connection_sends_again(pki: Pki, client: Client) -> None:
    """A result without a complete answer is sent again on a new connection."""
    cuts = (b"", b"HTTP/1.1 200 OK\r\nConte", taken({"service": "x"})[:-5])
    answers = [answer for cut in cuts for answer in (lambda _, cut=cut: Cut(cut), taken)]
    with Api(*answers, tls=pki.server("good")) as server, client.api(server.port) as api:
        assert set(refusals(api, *map(outcome, range(5)))) == {None}

    assert {result["service"] for result in server.results} == {
        f"host!pop3 {number}" for number in range(5)
    }


def test_submit_during_a_reload_is_retried(pki: Pki, client: Client) -> None:
    """During a reload the API refuses connections, or answers with status 503."""
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
        assert refusals(api, outcome()) == [None]
    later.join()
    servers[0].__exit__()
    assert len(servers[0].results) == 2


@pytest.mark.usefixtures("impatient")
def test_submit_to_a_dead_api_waits_only_once(client: Client) -> None:
    """All results together wait once for an API that is down."""
    with dead_port() as port, client.api(port) as api:
        began = time.monotonic()
        reasons = set(refusals(api, *map(outcome, range(100))))

    assert reasons == {"connection refused"}
    assert time.monotonic() - began < 3


@pytest.mark.usefixtures("impatient")
def test_submit_to_a_silent_api_times_out(
    pki: Pki, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each answer has a time limit, and all of them the limit of the run."""
    monkeypatch.setattr(icinga2_target, "REPLY_SECONDS", 0.3)
    with Api(lambda _: b"", tls=pki.server("good")) as server, client.api(server.port) as api:
        began = time.monotonic()
        reasons = set(refusals(api, *map(outcome, range(10))))

    assert reasons == {"no answer"}
    assert time.monotonic() - began < 3


def test_submit_of_an_unknown_service_is_refused_without_retry(pki: Pki, client: Client) -> None:
    """The refusal is reported, and later results are still submitted."""

    def some(result: dict[str, Any]) -> bytes:
        if result["service"].endswith("0"):
            return refused("404 Not Found", error=404, status="No objects found.")
        return taken(result)

    with Api(some, tls=pki.server("good")) as server, client.api(server.port) as api:
        assert refusals(api, outcome(0), outcome(1)) == ["HTTP 404: No objects found.", None]

    assert len(server.results) == 2


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (http(b'{"results":[{"code":409,"status":"Newer result."}]}'), "code 409: Newer result."),
        (http(b'{"results":[{"code":500,"status":7}]}', "500 Oops"), "HTTP 500"),
        (http(b'{"results":[{"code":200,"status":"Fine."}]}', "500 Oops"), "HTTP 500: Fine."),
        (http(b'{"results":[{"code":"|\\n;"}]}'), "HTTP 200"),
        (http(b'{"results":[]}'), "HTTP 200"),
        (http(b'{"error":404}', "404 Not Found"), "HTTP 404"),
        (http(b'{"results":[{"code":200}]}', "200 OK", "Connection: close"), None),
    ],
)
def test_submit_accepts_code_200_only(
    answer: bytes, reason: str | None, pki: Pki, client: Client
) -> None:
    """A result is accepted only when status and code are 200."""
    with Api(lambda _: answer, tls=pki.server("good")) as server, client.api(server.port) as api:
        [refusal] = refusals(api, outcome())

    assert refusal == reason


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("answer", [http(b"[]"), http(b"no json", "302 Found"), http(b"", "502 x")])
def test_submit_behind_a_proxy_error_is_retried(answer: bytes, pki: Pki, client: Client) -> None:
    """A proxy may answer while Icinga restarts; redirects are not followed."""
    back_soon = Api(lambda _: answer, taken, tls=pki.server("good"))
    with back_soon as server, client.api(server.port) as api:
        assert refusals(api, outcome()) == [None]
    with Api(lambda _: answer, tls=pki.server("good")) as server, client.api(server.port) as api:
        assert refusals(api, outcome()) == [f"HTTP {answer[9:12].decode()}"]


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
def test_submit_with_wrong_credentials_is_not_retried(
    status: str, pki: Pki, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong credentials fail for all results; the reason does not contain the password."""
    monkeypatch.setattr(icinga2_target.Target, "senders", 1)
    status_text = f"No: {PASSWORD} {base64.b64encode(f'sweep:{PASSWORD}'.encode()).decode()}"
    with (
        Api(lambda _: refused(status, status=status_text), tls=pki.server("good")) as server,
        client.api(server.port) as api,
    ):
        reasons = set(refusals(api, *map(outcome, range(3))))

    assert reasons == {f"HTTP {status[:3]}: No: *** ***"}
    assert len(server.results) == 1


def test_submit_with_a_bug_refuses_one_result(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread goes on; the text of the exception is not shown, as it may contain a secret."""

    def send(_: object, outcome: Outcome, resends: int) -> None:
        if outcome.service.name.endswith("0"):
            raise ZeroDivisionError(PASSWORD)

    monkeypatch.setattr(icinga2_target.Target, "send", send)
    with client.api(1) as api:
        assert refusals(api, outcome(0), outcome(1)) == [
            "internal error (ZeroDivisionError)",
            None,
        ]


@pytest.mark.parametrize("certificate", ["expired", "wrongname", "untrusted"])
def test_submit_to_an_unverified_api_sends_no_credentials(
    certificate: str, pki: Pki, client: Client
) -> None:
    """No credentials are sent to an unverified server, and there is no retry."""
    with Api(tls=pki.server(certificate)) as server, client.api(server.port) as api:
        began = time.monotonic()
        [refusal] = refusals(api, outcome())

    assert refusal
    assert "certificate" in refusal or "trusted" in refusal
    assert server.results == []
    assert time.monotonic() - began < 2


def test_sweep_submits_all_results_of_valid_sections(
    pki: Pki, client: Client, tmp_path: Path
) -> None:
    """All results arrive; an invalid section makes the sweep UNKNOWN, not the service."""
    with PoliteServer({}) as pop3, dead_port() as dead, Api(tls=pki.server("good")) as server:
        services = f"[a!good]\nport = {pop3.port}\n[b!dead]\nport = {dead}\n[c!wrong]\nport = x\n"
        done = client.sweep(tmp_path, services, server.port)

    assert done.code == 3
    assert " (line 8: c!wrong); 3 services in " in done.verdict
    assert "1 OK, 1 CRITICAL, 1 UNKNOWN; all submitted" in done.verdict
    assert {each["service"]: each["exit_status"] for each in server.results} == {
        "a!good": 0,
        "b!dead": 2,
    }


def test_sweep_with_unsubmitted_results_is_critical(client: Client, tmp_path: Path) -> None:
    """The services are named with the reason, within the run timeout, without the password."""
    with PoliteServer({}) as pop3, dead_port() as dead:
        services = f"[a!good]\nport = {pop3.port}\n[b!good]\nport = {pop3.port}\n"
        done = client.sweep(tmp_path, services, dead, "--run-timeout", "2", "-vvv")

    assert done.code == 2
    assert done.seconds < 3
    assert " - not submitted: connection refused (a!good, b!good); 2 serv" in done.verdict
    assert PASSWORD not in done.out


def test_sweep_with_an_unsafe_password_file_is_refused(client: Client, tmp_path: Path) -> None:
    """The file is checked before the first service."""
    client.secret.chmod(0o644)
    done = client.sweep(tmp_path, "[a!b]\n", 1)

    assert done.code == 3
    assert "config: password file of the API /" in done.line
    assert f"{client.secret.name} must be mode 0600" in done.line


@pytest.mark.parametrize("short", ["abc", "sweep"])
def test_submit_short_password_shows_only_the_status(short: str, pki: Pki, client: Client) -> None:
    """A short password cannot be masked in the API's text."""
    client.secret.write_text(f"{short}\n")
    status_text = "No service sweep!abc found"
    with (
        Api(
            lambda _: refused("404 Not Found", error=404, status=status_text),
            tls=pki.server("good"),
        ) as server,
        client.api(server.port) as api,
    ):
        assert refusals(api, outcome()) == ["HTTP 404"]
