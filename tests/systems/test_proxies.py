"""The installed command against real proxies in front of a real Dovecot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pki.certificates import Pki
from tests.servers import proxies
from tests.servers.dovecot import Dovecot, running
from tests.servers.proxies import Ports
from tests.support.command import Run, assert_failed
from tests.systems.conftest import Check, Login

pytestmark = pytest.mark.real

PASSWORD = "not the password"


@pytest.fixture(scope="module")
def nginx(pki: Pki, dovecot: Dovecot) -> Iterator[Ports]:
    with proxies.nginx(pki, dovecot) as ports:
        yield ports


@pytest.fixture(scope="module")
def haproxy(pki: Pki, dovecot: Dovecot) -> Iterator[Ports]:
    with (
        running(pki, "proxy-protocol") as proxied,
        proxies.haproxy(pki, dovecot, proxied) as ports,
    ):
        yield ports


@pytest.fixture(scope="module")
def perdition(pki: Pki, dovecot: Dovecot) -> Iterator[Ports]:
    with proxies.perdition(pki, dovecot) as ports:
        yield ports


def assert_logged_in(done: Run) -> None:
    assert done.code == 0, done.out
    assert ", user monitor logged in, 3 messages" in done.verdict


# nginx.


@pytest.mark.parametrize(
    ("listener", "tls"), [("tls", "-S"), ("stls", "--starttls"), ("starttls-only", "--starttls")]
)
def test_nginx_login_is_ok(
    check: Check, login: Login, nginx: Ports, listener: str, tls: str
) -> None:
    """Dovecot behind nginx logs the user in."""
    assert_logged_in(check(nginx[listener], tls, *login()))


def test_nginx_starttls_only_refuses_login_before_tls(
    check: Check, login: Login, nginx: Ports
) -> None:
    """It lists no login method before TLS; the password is not sent."""
    done = check(nginx["starttls-only"], *login(), "--allow-insecure-login")

    assert_failed(done, 2, "cleartext-refused", "login")
    assert check(nginx["starttls-only"], "--refuse-cleartext-login").code == 0


@pytest.mark.parametrize("with_login", [False, True], ids=["", "login"])
@pytest.mark.parametrize(
    ("listener", "tls", "phase"),
    [
        ("client-certificate", "-S", "greeting"),
        ("client-certificate-1.3", "-S", "greeting"),
        ("client-certificate-stls", "--starttls", "capa"),
        ("client-certificate-stls-1.3", "--starttls", "capa"),
    ],
)
def test_nginx_client_certificate_demanded_is_critical(
    check: Check, login: Login, nginx: Ports, pki: Pki,
    listener: str, tls: str, phase: str, with_login: bool,
) -> None:  # fmt: skip
    """Faults 71, 73: with no certificate or an untrusted one, nginx completes the handshake."""
    wrong, key = pki.files("untrusted")
    args = (tls, *(login() if with_login else ()))

    without = check(nginx[listener], *args)
    untrusted = check(nginx[listener], *args, "--client-cert", str(wrong), "--client-key", str(key))

    assert_failed(without, 2, "client-certificate", phase)
    assert "No required SSL certificate" in without.verdict
    assert_failed(untrusted, 2, "client-certificate", phase)
    assert "SSL certificate error" in untrusted.verdict


@pytest.mark.parametrize(
    ("listener", "tls"), [("client-certificate", "-S"), ("client-certificate-stls", "--starttls")]
)
def test_nginx_client_certificate_given_is_ok(
    check: Check, login: Login, nginx: Ports, pki: Pki, listener: str, tls: str
) -> None:
    """The certificate that nginx demands."""
    mine = ("--client-cert", str(pki.client_cert), "--client-key", str(pki.client_key))

    assert check(nginx[listener], tls, *mine).code == 0
    assert_logged_in(check(nginx[listener], tls, *mine, *login()))


@pytest.mark.parametrize("listener", ["dead", "error", "hangs", "no-answer"])
def test_nginx_internal_error_is_backend(
    check: Check, login: Login, nginx: Ports, listener: str
) -> None:
    """Fault 82: Dovecot is down, or the authentication server fails, hangs or is down."""
    done = check(nginx[listener], "-S", *login())

    assert_failed(done, 2, "backend", "login")
    assert "internal server error" in done.verdict


def test_nginx_hides_rejection_as_internal_error(check: Check, login: Login, nginx: Ports) -> None:
    """Without `proxy_pass_error_message` Dovecot's rejection reads like a dead Dovecot."""
    done = check(nginx["no-error-message"], "-S", *login(password=PASSWORD))

    assert_failed(done, 2, "backend", "login")
    assert "internal server error" in done.verdict


def test_nginx_rejected_login_is_credentials(check: Check, login: Login, nginx: Ports) -> None:
    """In the words of the authentication server, and in those of Dovecot."""
    by_nginx = check(nginx["rejects"], "-S", *login())
    by_dovecot = check(nginx["tls"], "-S", *login(password=PASSWORD))

    assert_failed(by_nginx, 2, "credentials", "login")
    assert "Authentication credentials invalid" in by_nginx.verdict
    assert_failed(by_dovecot, 2, "credentials", "login")
    assert "[AUTH] Authentication failed." in by_dovecot.verdict


def test_nginx_rate_limit_is_warning(check: Check, login: Login, nginx: Ports) -> None:
    """Fault 81: Mailu's words."""
    done = check(nginx["rate-limit"], "-S", *login())

    assert_failed(done, 1, "login-delay", "login")
    assert "Temporary authentication failure (rate-limit)" in done.verdict


# HAProxy.


@pytest.mark.parametrize(
    ("listener", "tls"),
    [
        ("plain", "--starttls"),
        ("tls", "-S"),
        ("ends-tls", "-S"),
        ("proxied", "--starttls"),
        ("proxied-tls", "-S"),
    ],
)
def test_haproxy_login_is_ok(
    check: Check, login: Login, haproxy: Ports, listener: str, tls: str
) -> None:
    """TLS ends at Dovecot or at HAProxy, with and without the PROXY protocol."""
    assert_logged_in(check(haproxy[listener], tls, *login()))


@pytest.mark.parametrize(
    ("listener", "tls"),
    [("send-proxy", ()), ("send-proxy-v2", ()), ("send-proxy-ends-tls", ("-S",))],
)
def test_haproxy_unexpected_proxy_header_is_garbled(
    check: Check, login: Login, haproxy: Ports, listener: str, tls: tuple[str, ...]
) -> None:
    """Fault 74: Dovecot takes the header for a command, and answers it after its greeting."""
    args = (*login(), *(() if tls else ("--allow-insecure-login",)))

    without_login = check(haproxy[listener], *tls)
    with_login = check(haproxy[listener], *tls, *args)

    assert_failed(without_login, 1, "garbled")
    assert with_login.code == 2, with_login.out
    for done in (without_login, with_login):
        assert done.long[1].startswith("kind: garbled"), done.out
        assert "-ERR Unknown command." in done.verdict
        assert "PROXY protocol" in done.verdict


@pytest.mark.parametrize("listener", ["send-proxy", "send-proxy-v2"])
def test_haproxy_unexpected_proxy_header_before_stls_is_critical(
    check: Check, haproxy: Ports, listener: str
) -> None:
    """Fault 74: STLS was asked for."""
    done = check(haproxy[listener], "--starttls")

    assert done.code == 2, done.out
    assert done.long[1].startswith("kind: garbled"), done.out
    assert "PROXY protocol" in done.verdict


@pytest.mark.parametrize(
    ("listener", "tls", "phase"),
    [
        ("no-proxy", (), "greeting"),
        ("no-proxy", ("--starttls",), "greeting"),
        ("no-proxy-tls", ("-S",), "tls"),
        ("accept-proxy-tls", ("-S",), "tls"),
        ("send-proxy-tls", ("-S",), "tls"),
    ],
)
def test_haproxy_proxy_protocol_on_one_side_is_closed(
    check: Check, haproxy: Ports, listener: str, tls: tuple[str, ...], phase: str
) -> None:
    """A PROXY header is expected and not sent, or sent in front of TLS: the hint names it.

    Dovecot 2.4 answers a header in front of TLS with an alert.
    """
    done = check(haproxy[listener], *tls)

    is_alert = "alert 80" in done.verdict and listener == "send-proxy-tls"
    assert_failed(done, 2, "tls" if is_alert else "closed", phase)
    assert "PROXY protocol" in done.out


@pytest.mark.parametrize("tls", [(), ("--starttls",)])
def test_haproxy_waiting_for_proxy_header_is_the_likely_cause(
    check: Check, haproxy: Ports, tls: tuple[str, ...]
) -> None:
    """HAProxy waits for the header, the plugin for the greeting; a ClientHello ends the wait."""
    done = check(haproxy["accept-proxy"], *tls, "-t", "2", "--diagnose")

    assert_failed(done, 2, "timeout", "greeting")
    causes = [line for line in done.long if line.startswith("likely cause: ")]
    assert "does it expect a PROXY protocol header (HAProxy accept-proxy" in causes[0]


def test_haproxy_tls_waiting_for_proxy_header_is_the_likely_cause(
    check: Check, haproxy: Ports
) -> None:
    """HAProxy closes the connection at the ClientHello, whatever its version."""
    done = check(haproxy["accept-proxy-tls"], "-S", "--diagnose")

    causes = [line for line in done.long if line.startswith("likely cause: ")]
    assert "or the port expects a PROXY protocol header (HAProxy accept-proxy" in causes[0]


@pytest.mark.parametrize(
    ("listener", "tls", "phase"),
    [("dead", (), "greeting"), ("dead", ("-S",), "tls"), ("dead-ends-tls", ("-S",), "greeting")],
)
def test_haproxy_dead_back_end_is_closed(
    check: Check, login: Login, haproxy: Ports, listener: str, tls: tuple[str, ...], phase: str
) -> None:
    """HAProxy accepts the connection before it knows that nothing is behind it."""
    assert_failed(check(haproxy[listener], *tls), 2, "closed", phase)


@pytest.mark.parametrize("method", ["auto", "user", "plain"])
def test_haproxy_in_front_of_server_that_demands_tls_is_cleartext_refused(
    check: Check, login: Login, haproxy: Ports, method: str
) -> None:
    """Fault 86: TLS ends at HAProxy, and Dovecot wants TLS itself."""
    done = check(haproxy["ends-tls-strict"], "-S", *login(), "--auth", method)

    assert_failed(done, 2, "cleartext-refused", "login")
    assert "TLS ends in front of the server" in done.out
    assert "proxy" in done.out


def test_haproxy_in_front_of_server_that_demands_tls_is_ok_without_login(
    check: Check, haproxy: Ports
) -> None:
    """The greeting arrives, and no password is at stake."""
    assert check(haproxy["ends-tls-strict"], "-S").code == 0


# perdition.


def test_perdition_login_is_ok(check: Check, login: Login, perdition: Ports) -> None:
    """Dovecot behind perdition logs the user in."""
    assert check(perdition["good"]).code == 0
    assert_logged_in(check(perdition["good"], "--starttls", *login()))


def test_perdition_rejected_login_is_credentials(
    check: Check, login: Login, perdition: Ports
) -> None:
    """perdition replaces the words of Dovecot by its own."""
    done = check(perdition["good"], "--starttls", *login(password=PASSWORD))

    assert_failed(done, 2, "credentials", "login")


def test_perdition_dead_back_end_is_backend(check: Check, login: Login, perdition: Ports) -> None:
    """Fault 82: only a login reaches the server behind."""
    done = check(perdition["dead"], "--starttls", *login())

    assert_failed(done, 2, "backend", "login")
    assert "Could not connect to server" in done.verdict
    assert check(perdition["dead"], "--starttls").code == 0
