"""Fetch a token: request, reply, failures of the endpoint, masking and deadline."""

import base64
import json
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import client
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_pop3_plus import __version__
from check_pop3_plus.model import sanitised_text
from check_pop3_plus.model.failures import ProbeError
from check_pop3_plus.model.settings import Secret
from check_pop3_plus.probe import oauth_token
from tests.pki.certificates import Pki
from tests.servers import token_endpoint
from tests.servers.dovecot import PERSONAS, Dovecot
from tests.servers.dovecot import token as jwt
from tests.servers.network import SILENT_NAME_SERVER, Network, network, within
from tests.servers.scripted_server import (
    ScriptedServer,
    Step,
    dead_port,
    drip,
    drop,
    expect,
    flood,
    pause,
    say,
    silence,
)
from tests.servers.token_endpoint import TokenEndpoint, granted, http, refused
from tests.support import http_replies
from tests.support.command import COMMAND, Run, run
from tests.support.faults import CANARY, check, honest, kinds

TOKEN = "t0ken.c4n4ry"
REFRESH = "r3fresh.c4n4ry+/="
SECRETS = {"client secret": CANARY, "refresh token": REFRESH, "access token": TOKEN}

LATE = 1.0
LIMIT = 0.8

# --- what is made of the answer --------------------------------------------------------------


def answered(body: bytes, status: int = 200) -> str:
    """Return the token that an answer gives, or what is wrong with it in brackets."""
    try:
        return oauth_token.parse_token(status, body, [Secret(b"s3cret")]).reveal().decode()
    except ProbeError as error:
        return f"[{error.message}]"


NO_TOKEN = "[answered without an access_token in JSON]"
ODD_TOKEN = "[gave a token that is empty or not in visible ASCII]"


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b'{"access_token":"abc"}', "abc"),
        (b'\n{"access_token":"a.b-c_d~e+f/g=", "token_type":"bearer","x":[]}\n', "a.b-c_d~e+f/g="),
        (b'\xef\xbb\xbf{"access_token":"abc","token_type":"BEARER","expires_in":"1"}', "abc"),
        (b'{"access_token":"%s"}' % (b"x" * 8192), "x" * 8192),
        (b'{"access_token":"%s"}' % (b"x" * 8193), "[gave a token longer than 8192 bytes]"),
        (b'{"access_token":""}', ODD_TOKEN),
        (b'{"access_token":"a\\nb"}', ODD_TOKEN),
        (b'{"access_token":"a b"}', ODD_TOKEN),
        (b'{"access_token":"a\\u007f"}', ODD_TOKEN),
        (b'{"access_token":"a\\u0001auth=b"}', ODD_TOKEN),
        (b'{"access_token":"\\u00e4"}', ODD_TOKEN),
        (b'{"access_token":"\\ud800"}', ODD_TOKEN),
        (b'{"access_token":null}', NO_TOKEN),
        (b'{"access_token":["abc"]}', NO_TOKEN),
        (b'{"id_token":"abc"}', NO_TOKEN),
        (b'["access_token","abc"]', NO_TOKEN),
        (b"", NO_TOKEN),
        (b"<html>", NO_TOKEN),
        (b'{"access_token":"abc"', NO_TOKEN),
        (b"\xff\xfe\xfd", NO_TOKEN),
        (b"[" * 60_000, NO_TOKEN),
        (b"1" * 60_000, NO_TOKEN),
        (
            b'{"access_token":"abc","token_type":"mac"}',
            "[gave a token that is not of type Bearer]",
        ),
        (b'{"access_token":"abc","token_type":1}', "[gave a token that is not of type Bearer]"),
        # Some say 200 to everything.
        (b'{"error":"bad_verification_code"}', "[bad_verification_code]"),
    ],
)
def test_parse_token_reply_200_returns_token_or_reason(body: bytes, outcome: str) -> None:
    """A token is accepted only in the form of RFC 6749 section 5.1."""
    assert answered(body) == outcome


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (400, b'{"error":"invalid_grant"}', "[invalid_grant]"),
        (401, b'{"error":"x","error_description":"a\\nb|c"}', "[x: a?b?c]"),
        (400, b'{"error":"x","error_description":"for s3cret"}', "[x: for ***]"),
        (400, b'{"error":"s3cret"}', "[***]"),
        (400, b'{"error":"x","error_description":["y"]}', "[x]"),
        (400, b'{"error":{"message":"x"}}', "[answered HTTP 400]"),
        (400, b'{"error":""}', "[answered HTTP 400]"),
        (400, b'{"error":" ","error_description":"y"}', "[y]"),
        (400, b'{"access_token":"abc"}', "[answered HTTP 400]"),
        (201, b'{"access_token":"abc"}', "[answered HTTP 201]"),
        (500, b"<h1>s3cret</h1>", "[answered HTTP 500]"),
        (302, b"", "[answered HTTP 302; redirects are not followed]"),
        (307, b'{"access_token":"abc"}', "[answered HTTP 307; redirects are not followed]"),
    ],
)  # fmt: skip
def test_parse_token_error_reply_quotes_error_or_status(
    status: int, body: bytes, outcome: str
) -> None:
    """An error reply is quoted sanitised (RFC 6749 section 5.2); without an error the status is."""
    assert answered(body, status) == outcome


@pytest.mark.parametrize("short", [b"abc", b"error"])
@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ({"error": "invalid_client"}, "[invalid_client]"),
        ({"error": "invalid_client", "error_description": "Failed: abc"}, "[invalid_client: ***]"),
        ({"error": "abc"}, "[***]"),
        ({"error": "client", "error_description": "abc"}, "[***: ***]"),
    ],
)
def test_parse_token_short_secret_quotes_only_standard_errors(
    said: dict[str, str], shown: str, short: bytes
) -> None:
    """A short secret cannot be masked."""
    with pytest.raises(ProbeError) as caught:
        oauth_token.parse_token(
            400, json.dumps(said).encode(), [Secret(b"a good one"), Secret(short)]
        )

    assert f"[{caught.value.message}]" == shown


def test_parse_token_long_error_is_cut() -> None:
    """Microsoft's errors have several lines; the number at the beginning is kept."""
    said = {"error": "invalid_client", "error_description": "AADSTS7000215: Invalid. " + "x" * 2000}

    outcome = answered(json.dumps(said).encode(), 401)

    assert outcome.startswith("[invalid_client: AADSTS7000215: Invalid. xxx")
    assert len(outcome) == sanitised_text.QUOTE_LIMIT + 2


LONG = b"x" * 40_000
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "body"),
    [
        (http(b"hello"), b"hello"),
        (http(LONG), LONG),
        (http(b"hello") + b"more", b"hello"),
        (b"HTTP/1.1 200 OK\n\nuntil the end", b"until the end"),
        (b"HTTP/1.0 200\r\n\r\n", b""),
        (CHUNKED + b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n", b"hello"),
        (CHUNKED + b"9c40\r\n" + LONG + b"\r\n0\r\nX: y\r\n\r\n", LONG),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + http(b"hello"), b"hello"),
    ],
)
def test_read_reply_any_framing_returns_body(sent: bytes, body: bytes) -> None:
    """A body has a length, comes in chunks or ends with the connection."""
    assert http_replies.read(sent) == (200, body)
    assert http_replies.read(*(sent[at : at + 777] for at in range(0, len(sent), 777))) == (
        200,
        body,
    )


@given(
    st.sampled_from([b"", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: ", CHUNKED]),
    st.lists(st.binary(min_size=1), max_size=5),
)
def test_read_reply_any_bytes_returns_or_raises_probe_error(
    begin: bytes, pieces: list[bytes]
) -> None:
    """No input causes another exception or an endless loop."""
    with suppress(ProbeError):
        http_replies.read(begin, *pieces)


@pytest.mark.parametrize("length", [b"9" * 15, b"9" * 30, b"9" * 5000, b"-1", b"-5", b"x"])
def test_read_reply_false_length_allocates_nothing(length: bytes) -> None:
    """No memory is allocated for a claimed length."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: " + length
    assert http_replies.read(head + b"\r\n\r\nx") == (200, b"x")
    with pytest.raises(ProbeError, match="not HTTP"):
        http_replies.read(CHUNKED + length + b"\r\nx")


# --- end to end ------------------------------------------------------------------------------


Options = Callable[..., list[str]]


@pytest.fixture
def options(pki: Pki, tmp_path: Path) -> Options:
    """The options of a login with a token from an endpoint, by one of the grants."""

    def file(name: str, content: str) -> str:
        path = tmp_path / name
        path.touch(mode=0o600)
        path.write_text(content + "\n")
        return str(path)

    def build(
        url: str, how: str = "xoauth2", grant: str = "client_credentials", trust: bool = True
    ) -> list[str]:
        chosen = ["-S", "--ca-file", str(pki.ca_file), "-U", "monitor", "--auth", how]
        chosen += ["--oauth-token-url", url, "--oauth-client-id", "an id"]
        if grant != "public client":
            chosen += ["--oauth-client-secret-file", file("secret", CANARY)]
        if grant != "client_credentials":
            chosen += ["--oauth-refresh-token-file", file("refresh", REFRESH)]
        if trust:
            chosen += ["--oauth-ca-file", str(pki.ca_file)]
        return chosen

    return build


def assert_no_secret(done: Run) -> None:
    """Assert that none of the three appears in any form."""
    shown = done.out.lower()
    for secret in SECRETS.values():
        for form in (
            secret,
            secret.encode().hex(),
            base64.b64encode(secret.encode()).decode()[:12],
            token_endpoint.urlencoded(secret),
        ):
            assert form.lower() not in shown
    assert "c4n4ry" not in shown


def assert_failed(done: Run, endpoint: TokenEndpoint | ScriptedServer, reason: str) -> None:
    """UNKNOWN, of kind config, in one line that names the endpoint and the reason."""
    where = f"token endpoint localhost:{endpoint.port}"
    assert done.verdict == f"POP3 UNKNOWN - config: {where}{reason}"
    assert (done.code, kinds(done), done.perfdata) == (3, ["config"], {})
    assert_no_secret(done)


def mailbox(*exchange: Step) -> list[Step]:
    return [
        *(say(b"+OK\r\n"), expect(b"CAPA"), say(b"+OK\r\nSASL XOAUTH2 OAUTHBEARER\r\n.\r\n")),
        *exchange,
        *(expect(b"STAT"), say(b"+OK 3 120\r\n"), expect(b"QUIT"), say(b"+OK\r\n")),
    ]


EXCHANGES = {
    "xoauth2": [expect(b"AUTH XOAUTH2"), say(b"+ \r\n"), expect(), say(b"+OK\r\n")],
    "oauthbearer": [expect(b"AUTH OAUTHBEARER"), say(b"+OK\r\n")],
}

CREDENTIALS = {"client_id": "an id", "client_secret": CANARY}
FORMS = {
    "client_credentials": CREDENTIALS | {"grant_type": "client_credentials"},
    "refresh_token": CREDENTIALS | {"grant_type": "refresh_token", "refresh_token": REFRESH},
    "public client": {
        "client_id": "an id",
        "grant_type": "refresh_token",
        "refresh_token": REFRESH,
    },
}


@pytest.mark.parametrize("grant", FORMS)
@pytest.mark.parametrize("how", ["xoauth2", "oauthbearer"])
def test_login_with_token_sends_one_request(
    how: str, grant: str, pki: Pki, options: Options
) -> None:
    """Both grants work, also for a public client; there is one request and one login."""
    with (
        TokenEndpoint(granted(TOKEN), tls=pki.server("good")) as endpoint,
        ScriptedServer(mailbox(*EXCHANGES[how]), tls=pki.server("good")) as server,
    ):
        done = check(server, *options(endpoint.url, how, grant), "--oauth-scope", "a b", "-vvv")

    assert done.code == 0, done.out
    assert ", user monitor logged in, 3 messages" in done.verdict
    (asked,) = endpoint.requests
    assert asked.form == {**FORMS[grant], "scope": "a b"}
    assert asked.line == "POST /tenant/oauth2/v2.0/token HTTP/1.1"
    assert asked.headers == {
        "host": f"localhost:{endpoint.port}",
        "user-agent": f"check_pop3_plus/{__version__}",
        "accept": "application/json",
        "accept-encoding": "identity",
        "content-type": "application/x-www-form-urlencoded",
        "content-length": asked.headers["content-length"],
        "connection": "close",
    }
    response = server.commands[-3].split()[-1]
    assert f"\1auth=Bearer {TOKEN}\1\1".encode() in base64.b64decode(response)
    assert_no_secret(done)
    with_what = "client credentials" if "client_c" in grant else "a refresh token"
    assert any(
        line.startswith(f"token: from localhost:{endpoint.port} with {with_what}, trust ")
        for line in done.long
    )


def test_login_with_long_token_waits_for_challenge(pki: Pki, options: Options) -> None:
    """A token that exceeds the AUTH line is sent after the server's challenge."""
    long = "t0ken" * 500
    with (
        TokenEndpoint(granted(long), tls=pki.server("good")) as endpoint,
        ScriptedServer(mailbox(*EXCHANGES["xoauth2"]), tls=pki.server("good")) as server,
    ):
        done = check(server, *options(endpoint.url))

    assert done.code == 0, done.out
    assert f"Bearer {long}\1\1".encode() in base64.b64decode(server.commands[2])
    assert server.surprises == []


def test_token_request_is_not_part_of_time(pki: Pki, options: Options) -> None:
    """Performance data is about the mail server only."""
    with (
        TokenEndpoint(pause(1.0), granted(TOKEN), tls=pki.server("good")) as endpoint,
        ScriptedServer(mailbox(*EXCHANGES["xoauth2"]), tls=pki.server("good")) as server,
    ):
        done = check(server, *options(endpoint.url))

    assert done.code == 0, done.out
    assert done.seconds > 1.0
    assert float(done.perfdata["time"].partition("s")[0]) < 1.0


@pytest.mark.real
@pytest.mark.parametrize("grant", FORMS)
@pytest.mark.parametrize("how", ["xoauth2", "oauthbearer"])
def test_dovecot_valid_token_logs_in(
    how: str, grant: str, pki: Pki, options: Options, dovecot: Dovecot
) -> None:
    """Dovecot verifies signature, issuer, time and user."""
    with TokenEndpoint(granted(jwt("monitor")), tls=pki.server("good")) as endpoint:
        done = honest(
            run(
                *("-H", "pop.example.test", "--connect-to", PERSONAS["good"].address),
                *("-p", str(dovecot.tls), *options(endpoint.url, how, grant)),
            )
        )

    assert done.code == 0, done.out
    assert ", user monitor logged in, 3 messages" in done.verdict


@pytest.mark.real
def test_dovecot_token_of_another_user_is_credentials(
    pki: Pki, options: Options, dovecot: Dovecot
) -> None:
    """A token that the mail server rejects is a login failure."""
    with TokenEndpoint(granted(jwt("empty")), tls=pki.server("good")) as endpoint:
        done = honest(
            run(
                *("-H", "pop.example.test", "--connect-to", PERSONAS["good"].address),
                *("-p", str(dovecot.tls), *options(endpoint.url), "-vvv"),
            )
        )

    assert done.line.startswith("POP3 CRITICAL - login of monitor rejected: ")
    assert kinds(done) == ["credentials"]


# --- endpoints that fail ---------------------------------------------------------------------

ECHO = f"{CANARY} {CANARY.upper()} {CANARY.encode().hex()} {token_endpoint.urlencoded(CANARY)}"
HEAD = b"HTTP/1.1 200 OK\r\n"

FAILURES: dict[str, tuple[list[Step], str]] = {
    "invalid_client": (
        [refused("invalid_client", "AADSTS7000215: Invalid client secret.", "401 Unauthorized")],
        ": invalid_client: AADSTS7000215: Invalid client secret.",
    ),
    "echo": ([refused("invalid_client", ECHO)], ": invalid_client: *** *** *** ***"),
    "markup": (
        [refused("<b>", "a|b=1\r\n`id`$(id)\x1b[31m")],
        ": (b): a?b=1???id??(id)?",
    ),
    "500": ([say(http(b"oops", "500 Oops"))], ": answered HTTP 500"),
    "redirect": (
        [say(http(b"", "302 Found", "Location: https://localhost/elsewhere"))],
        ": answered HTTP 302; redirects are not followed",
    ),
    "not JSON": ([say(http(b"<html>"))], ": answered without an access_token in JSON"),
    "bad token": (
        [granted("a\nb")],
        ": gave a token that is empty or not in visible ASCII",
    ),
    "not HTTP": ([say(b"SSH-2.0-x\r\n")], ": answered something that is not HTTP"),
    "closed": ([drop()], ": closed the connection without an answer"),
    "huge body": ([say(http(b"x" * 100_000))], ": answered more than 65536 bytes"),
    "endless body": (
        [say(HEAD + b"\r\n"), flood(b"x" * 4096)],
        ": answered more than 65536 bytes",
    ),
    "endless chunks": (
        [say(CHUNKED), flood(b"200\r\n" + b"x" * 512 + b"\r\n")],
        ": answered more than 65536 bytes",
    ),
    "endless fields": (
        [say(HEAD), flood(b"X: " + b"y" * 9000 + b"\r\n")],
        ": answered something that is not HTTP",
    ),
    "many fields": ([say(HEAD), flood(b"X: y\r\n")], ": answered something that is not HTTP"),
    "endless line": (
        [flood(b"HTTP/1.1 200 " + b"x" * 4096)],
        ": answered something that is not HTTP",
    ),
}


@pytest.fixture
def mail() -> Iterator[ScriptedServer]:
    """A mail server that no test connects to."""
    with ScriptedServer([silence()]) as server:
        yield server
        assert server.connections == 0


@pytest.mark.parametrize("failure", FAILURES)
def test_token_endpoint_failure_is_config(
    failure: str, pki: Pki, options: Options, mail: ScriptedServer
) -> None:
    """A failed token request is UNKNOWN, with endpoint and reason, before any connection."""
    steps, reason = FAILURES[failure]
    with TokenEndpoint(*steps, tls=pki.server("good")) as endpoint:
        done = check(mail, *options(endpoint.url, grant="refresh_token"), "-vvv")
        assert len(endpoint.requests) == 1

    assert_failed(done, endpoint, reason)


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        ("untrusted", "issuer is not trusted"),
        ("selfsigned", "certificate is self-signed"),
        ("wrongname", "certificate is for another name"),
        ("expired", "certificate has expired"),
        ("future", "certificate is not yet valid"),
        ("weak", "key of the certificate is too weak"),
    ],
)
def test_token_endpoint_unverified_receives_nothing(
    certificate: str, reason: str, pki: Pki, options: Options, mail: ScriptedServer
) -> None:
    """`--verify` applies to the mail server only."""
    relaxed = ("--verify", "none", "--allow-insecure-login")
    with TokenEndpoint(granted(TOKEN), tls=pki.server(certificate)) as endpoint:
        done = check(mail, *options(endpoint.url), *relaxed)

    assert_failed(done, endpoint, f": {reason}")
    assert (endpoint.requests, endpoint.received) == ([], b"")


def test_token_endpoint_without_ca_file_uses_system_trust(
    pki: Pki, options: Options, mail: ScriptedServer, tmp_path: Path
) -> None:
    """Neither --ca-file nor the environment applies to the token endpoint."""
    env = {
        "SSL_CERT_FILE": str(pki.ca_file),
        "SSLKEYLOGFILE": str(tmp_path / "keys"),
        "CURL_CA_BUNDLE": str(pki.ca_file),
    }
    with TokenEndpoint(granted(TOKEN), tls=pki.server("good")) as endpoint:
        done = honest(run("-H", "localhost", *options(endpoint.url, trust=False), env=env))

    assert ": root certificate in the chain is not trusted" in done.verdict or (
        ": issuer is not trusted" in done.verdict
    )
    assert endpoint.received == b""
    assert not (tmp_path / "keys").exists()


def test_token_request_ignores_proxy_variables(pki: Pki, options: Options) -> None:
    """The environment of a monitoring system is rarely meant for its checks."""
    with (
        dead_port() as dead,
        TokenEndpoint(granted(TOKEN), tls=pki.server("good")) as endpoint,
        ScriptedServer(mailbox(*EXCHANGES["xoauth2"]), tls=pki.server("good")) as server,
    ):
        proxy = f"http://127.0.0.1:{dead}"
        done = honest(
            run(
                *("-H", "localhost", "--connect-to", server.address, "-p", str(server.port)),
                *options(endpoint.url),
                env={"https_proxy": proxy, "HTTPS_PROXY": proxy, "ALL_PROXY": proxy},
            )
        )

    assert done.code == 0, done.out


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ([expect(), say(http(b"", "400 Bad Request"))], ": answers in plain text, TLS expected"),
        ([drop()], ": closed the connection"),
    ],
)
def test_token_endpoint_without_tls_receives_no_request(
    steps: list[Step], reason: str, options: Options, mail: ScriptedServer
) -> None:
    """No byte of a secret is sent without TLS."""
    with ScriptedServer(steps) as endpoint:
        done = check(mail, *options(f"https://localhost:{endpoint.port}/"))

    assert_failed(done, endpoint, reason)
    assert b"POST" not in endpoint.received


def test_token_endpoint_old_tls_is_refused(
    pki: Pki, options: Options, mail: ScriptedServer
) -> None:
    """The endpoint needs TLS 1.2, regardless of --tls-min."""
    with TokenEndpoint(granted(TOKEN), tls=pki.old_tls("1.1")) as endpoint:
        done = check(mail, *options(endpoint.url), "--tls-min", "1.1")

    assert_failed(done, endpoint, ": speaks only TLS 1.1 or older; --tls-min is 1.2")


def test_token_endpoint_refusing_connections_is_config(
    options: Options, mail: ScriptedServer
) -> None:
    """Every address of the endpoint refuses the connection."""
    with dead_port() as port:
        done = check(mail, *options(f"https://localhost:{port}/token"))

    assert done.verdict == (
        f"POP3 UNKNOWN - config: token endpoint localhost:{port}: connection refused"
    )


def test_secret_file_of_token_with_wrong_mode_is_config(
    options: Options, mail: ScriptedServer, tmp_path: Path
) -> None:
    """The rules of --password-file apply, and the message names the file."""
    arguments = options("https://localhost:1/token", grant="refresh_token")
    (tmp_path / "refresh").chmod(0o644)
    refresh = check(mail, *arguments)
    (tmp_path / "secret").unlink()
    secret = check(mail, *arguments)

    assert refresh.verdict.startswith("POP3 UNKNOWN - config: refresh token file /")
    assert "refresh must be mode 0600, or 0640 for a group; it is 0644: chmod" in refresh.verdict
    assert secret.verdict.startswith("POP3 UNKNOWN - config: cannot open client secret file /")


def test_oauth_ca_file_missing_is_config(options: Options, mail: ScriptedServer) -> None:
    """The message names the file and the endpoint."""
    done = check(
        mail, *options("https://localhost:1/", trust=False), "--oauth-ca-file", "/nonexistent"
    )

    assert done.verdict == (
        "POP3 UNKNOWN - config: token endpoint localhost:1: cannot load CA file /nonexistent:"
        " No such file or directory"
    )


@pytest.mark.threat("T8")
def test_token_repeated_by_mail_server_is_masked(pki: Pki, options: Options) -> None:
    """Threat T8: neither the token nor the secrets it was requested with appear in the output."""
    known = " ".join(SECRETS.values())
    encoded = base64.b64encode(f"user=monitor\1auth=Bearer {TOKEN}\1\1".encode()).decode()
    reason = base64.b64encode(json.dumps({"status": known}).encode())
    steps = [
        *(say(f"+OK {known}\r\n".encode()), expect(b"CAPA")),
        *(say(f"+OK\r\nSASL XOAUTH2 {known}\r\n.\r\n".encode()), expect(b"AUTH")),
        *(say(b"+ " + reason + b"\r\n"), expect()),
        *(say(f"-ERR {known} {encoded} {TOKEN.encode().hex()}\r\n".encode()), silence()),
    ]
    with (
        TokenEndpoint(granted(TOKEN), tls=pki.server("good")) as endpoint,
        ScriptedServer(steps, tls=pki.server("good")) as server,
    ):
        done = check(server, *options(endpoint.url, grant="refresh_token"), "-vvv")

    assert done.code == 2, done.out
    assert_no_secret(done)


# --- one deadline ----------------------------------------------------------------------------

FIELDS = b"".join(b"X-%d: y\r\n" % number for number in range(90))

STALLS: dict[str, list[Step]] = {
    "no answer": [silence()],
    "status line drips": [drip(HEAD * 20, 0.05)],
    "head stalls": [say(HEAD + b"Content-"), silence()],
    "head drips": [say(HEAD), drip(FIELDS, 0.05)],
    "body stalls": [say(http(b"x" * 99)[:-9]), silence()],
    "body drips": [say(HEAD + b"\r\n"), drip(b"x" * 500, 0.05)],
    "chunks drip": [say(CHUNKED), drip(b"1\r\nx\r\n" * 100, 0.05)],
    "endless 100": [flood(b"HTTP/1.1 100 Continue\r\n\r\n")],
    "only 100": [say(b"HTTP/1.1 100 Continue\r\n\r\n"), silence()],
}


@pytest.mark.parametrize("stall", STALLS)
def test_token_reply_stalled_ends_at_deadline(
    stall: str, pki: Pki, options: Options, mail: ScriptedServer
) -> None:
    """Threat T14: one deadline covers the whole request, however slowly the endpoint sends.

    Newer Pythons, such as 3.14.10, give up after 100 interim responses.
    """
    with TokenEndpoint(*STALLS[stall], tls=pki.server("good")) as endpoint:
        done = check(mail, *options(endpoint.url), "-t", str(LIMIT))

    is_limited = stall == "endless 100" and hasattr(client, "_MAXINTERIMRESPONSES")
    not_http = ": answered something that is not HTTP"
    assert_failed(done, endpoint, not_http if is_limited else " did not answer in time")
    assert within(done, LIMIT, LATE) or is_limited, done.seconds


@pytest.mark.parametrize(
    "steps", [[silence()], [expect(), drip(b"\x16\x03\x03\x20\x00" + b"x" * 99, 0.05)]]
)
def test_token_handshake_stalled_ends_at_deadline(
    steps: list[Step], options: Options, mail: ScriptedServer
) -> None:
    """An incomplete TLS record that arrives slowly ends at the deadline, too."""
    with ScriptedServer(steps) as endpoint:
        done = check(mail, *options(f"https://localhost:{endpoint.port}/"), "-t", str(LIMIT))

    assert_failed(done, endpoint, " did not answer in time")
    assert within(done, LIMIT, LATE), done.seconds


@pytest.fixture
def net(tmp_path: Path) -> Network:
    return network(tmp_path)


@pytest.mark.parametrize(
    ("host", "server"), [("dead.example.test", ""), ("slow.example.test", SILENT_NAME_SERVER)]
)
def test_token_network_without_answer_ends_at_deadline(
    host: str, server: str, net: Network, options: Options
) -> None:
    """Unreachable addresses and a silent name server end at the deadline."""
    net.add_host("dead.example.test", *(f"192.0.2.{number}" for number in range(1, 6)))

    arguments = options(f"https://{host}/token")
    done = honest(net.run("-H", "127.0.0.1", *arguments, "-t", "1", server=server))

    assert done.verdict == (f"POP3 UNKNOWN - config: token endpoint {host} did not answer in time")
    assert within(done, 1, LATE), done.seconds


def test_token_endpoint_unknown_name_is_config(net: Network, options: Options) -> None:
    """A host name that cannot be resolved is named."""
    arguments = options("https://nobody.example.test/token")
    done = honest(net.run("-H", "127.0.0.1", *arguments, "-t", "5"))

    assert done.verdict.startswith(
        "POP3 UNKNOWN - config: token endpoint nobody.example.test: name lookup failed: "
    )


def test_token_endpoint_dead_first_address_leaves_time_for_second(
    net: Network, options: Options
) -> None:
    """A dead address uses only its share of the time."""
    net.add_host("half.example.test", "2001:db8::1", "127.0.0.1")

    arguments = options("https://half.example.test/token")
    done = honest(net.run("-H", "127.0.0.1", *arguments, "-t", "2"))

    assert done.verdict == (
        "POP3 UNKNOWN - config: token endpoint half.example.test: connection refused"
    )
    assert done.seconds < 2


def test_token_request_signal_ends_check(pki: Pki, options: Options) -> None:
    """Fault 65: SIGTERM ends a check that waits for the token endpoint."""
    with TokenEndpoint(silence(), tls=pki.server("good")) as endpoint:
        process = subprocess.Popen(
            [COMMAND, "-H", "localhost", *options(endpoint.url), "-t", "20"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        while not endpoint.requests:
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=5)

    done = honest(Run(process.returncode, out.decode(), err.decode(), 0))
    assert done.verdict == "POP3 UNKNOWN - stopped from outside after 0 s (localhost:995)"
