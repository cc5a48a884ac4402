"""Certificates of other key types (--cert-type)."""

from __future__ import annotations

import hashlib
import re
import ssl

import pytest

from check_pop3_plus.model.failures import Kind
from tests.pki.certificates import Pki
from tests.servers.scripted_server import PoliteServer
from tests.support.catalogue import WITH_TLS
from tests.support.command import Run
from tests.support.faults import CANARY, check, flags, kinds

OLD = Kind.OLD_TLS.value


def server_with(mode: str, context: ssl.SSLContext) -> PoliteServer:
    tls, stls = (context, None) if mode == "tls" else (None, context)
    return PoliteServer({"monitor": CANARY}, tls=tls, stls=stls)


def certificates(pki: Pki, *names: str) -> ssl.SSLContext:
    """Return a context of its own with certificates of several key types."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    for name in names:
        context.load_cert_chain(*pki.files(name))
    return context


def first_pem(pki: Pki, name: str) -> str:
    end = "-----END CERTIFICATE-----"
    return pki.files(name)[0].read_text().partition(end)[0] + end


def days(done: Run) -> float:
    return float(done.perfdata["cert_days"].partition(";")[0])


@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.parametrize(
    ("names", "wanted", "kind", "text"),
    [
        (("good", "rsa"), "both", None, "certificate valid for 36"),
        (("rsa",), "rsa", None, "certificate valid for 36"),
        pytest.param(
            *(("good", "rsa_expired"), "both", "expired", "certificate expired 2 days ago, on"),
            marks=pytest.mark.fault(120, case="expired"),
        ),
        (("good", "rsa_expired"), "rsa", "expired", "certificate expired 2 days ago, on"),
        (("good", "rsa_expired"), "ecdsa", None, "certificate valid for 36"),
        pytest.param(
            *(("good",), "rsa", OLD, "server sends no RSA certificate with TLS 1.2: failed the"),
            marks=pytest.mark.fault(120, case="missing"),
        ),
        (("good",), "both", None, "certificate valid for 36"),
        (("good", "weak"), "both", "weak", "certificate too weak: RSA 1024 key (RSA)"),
    ],
)
def test_certificate_of_each_wanted_type_is_verified(
    names: tuple[str, ...], wanted: str, kind: str | None, text: str, mode: str, pki: Pki
) -> None:
    """The worse result decides, and the first to expire gives the days."""
    with server_with(mode, certificates(pki, *names)) as server:
        done = check(server, *flags(mode, pki, login=True), "--cert-type", wanted, "-v")

    assert kinds(done) == ([kind] if kind else [])
    assert text in done.line
    if kind == "expired":
        assert days(done) < 0
        assert f" UTC ({'RSA' if names[0] == 'good' else 'ECDSA'})" in done.line
    is_noted = any(
        line.startswith("note: old-tls: RSA key type: server sends") for line in done.long
    )
    assert is_noted == (names == ("good",) and wanted == "both")


@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.parametrize("wanted", ["ecdsa", "both"])
def test_handshakes_for_other_types_send_no_command(wanted: str, mode: str, pki: Pki) -> None:
    """Only the session logs in; its own certificate is evaluated once."""
    with server_with(mode, certificates(pki, "good", "rsa")) as server:
        done = check(server, *flags(mode, pki, login=True), "--cert-type", wanted)
        server.settle()

    assert done.code == 0, done.out
    assert server.logins == ["monitor"]
    session, *others = server.dialogues
    assert session[-1] == b"QUIT"
    assert others == [[b"STLS"] if mode == "stls" else []] * (2 if wanted == "both" else 1)


@pytest.mark.parametrize("mode", WITH_TLS)
def test_expiring_certificate_of_another_type_is_named(mode: str, pki: Pki) -> None:
    """Its dates are evaluated by the same thresholds."""
    with server_with(mode, certificates(pki, "good", "rsa_expiring")) as server:
        done = check(server, *flags(mode, pki), "-D", "30", "--cert-type", "both")

    assert (done.code, kinds(done)) == (1, ["expiring"])
    assert " UTC (RSA) (localhost:" in done.line
    assert 5 < days(done) < 6
    assert any(re.match("rsa certificate: .*, from 20", line) for line in done.long)


@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.parametrize(
    "wanted", [pytest.param("rsa", marks=pytest.mark.fault(120, case="TLS 1.3 only")), "both"]
)
def test_server_without_tls_1_2_is_old_tls_for_a_named_type(
    wanted: str, mode: str, pki: Pki
) -> None:
    """TLS 1.3 does not tie ciphers to key types."""
    with server_with(mode, pki.only("1.3")) as server:
        done = check(server, *flags(mode, pki), "--cert-type", wanted, "-v")

    assert kinds(done) == ([] if wanted == "both" else [OLD])
    noted = [line for line in done.long if "key type: server speaks no TLS 1.2" in line]
    assert len(noted) == (2 if wanted == "both" else 0)


def test_pins_must_cover_every_type(pki: Pki) -> None:
    """Otherwise a client that gets the other certificate would meet an unknown key."""
    ders = [ssl.PEM_cert_to_DER_cert(first_pem(pki, name)) for name in ("good", "rsa")]
    pins = [("--pin", "sha256:" + hashlib.sha256(der).hexdigest()) for der in ders]
    with server_with("tls", certificates(pki, "good", "rsa")) as server:
        one = check(server, *flags("tls", pki), *pins[0], "--cert-type", "both")
        both = check(server, *flags("tls", pki), *pins[0], *pins[1], "--cert-type", "both")

    assert kinds(one) == ["pin"]
    assert both.code == 0, both.out


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("-S", "--tls-min", "1.3"), "--cert-type and --tls-min 1.3 cannot be combined"),
        ((), "--cert-type needs -S or --starttls"),
    ],
)
def test_cert_type_without_tls_1_2_is_a_usage_error(options: tuple[str, ...], text: str) -> None:
    """Before anything is opened."""
    with PoliteServer({}) as server:
        done = check(server, *options, "--cert-type", "both")

    assert done.code == 3
    assert text in done.line
    assert server.connections == 0
