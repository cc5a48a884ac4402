"""The installed command against a real Dovecot."""

from __future__ import annotations

import poplib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tests.pki.certificates import Pki
from tests.servers.dovecot import HOST, PASSWORDS, PERSONAS, Dovecot, check_at, running, token
from tests.servers.network import run_with_hosts
from tests.support.command import Run, assert_failed

pytestmark = pytest.mark.real

Check = Callable[..., Run]
Login = Callable[..., tuple[str, ...]]

S = r"\d+\.\d{4}s"
"""A time in perfdata."""
PHASE = rf"{S};;;0"
CONNECTED = rf"time={S};;;0;10 time_resolve={PHASE} time_connect={PHASE}"
CERT_DAYS = r"cert_days=364\.\d\d"
MAILBOX = r"messages=3;;;0 mailbox_size=183B;;;0"


@pytest.fixture
def check(dovecot: Dovecot, pki: Pki) -> Check:
    """Check a persona of the shared instance; `tls=False` selects its plain-text port."""

    def run(persona: str, *args: str, tls: bool = True) -> Run:
        return check_at(dovecot, pki, persona, *args, tls=tls)

    return run


@pytest.fixture
def login(tmp_path: Path) -> Login:
    """The options of a login."""

    def options(user: str = "monitor", password: str | None = None) -> tuple[str, ...]:
        secret = tmp_path / user
        secret.touch(mode=0o600)
        secret.write_text((PASSWORDS[user] if password is None else password) + "\n")
        return ("-U", user, "--password-file", str(secret))

    return options


def assert_line(done: Run, code: int, pattern: str) -> None:
    """The whole status line, perfdata included."""
    assert re.fullmatch(pattern, done.line), done.out
    assert done.code == code


def ends(pki: Pki, certificate: str) -> datetime:
    pem = pki.files(certificate)[0].read_bytes()
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc


def days_left(pki: Pki, certificate: str) -> float:
    return (ends(pki, certificate) - datetime.now(timezone.utc)).total_seconds() / 86400


@contextmanager
def session(server: Dovecot, user: str) -> Iterator[None]:
    """Another session with this mailbox."""
    other = poplib.POP3(PERSONAS["good"].address, server.plain, timeout=10)
    try:
        other.user(user)
        other.pass_(PASSWORDS[user])
        yield
    finally:
        other.quit()


# The four common uses.


def test_plain_server_is_ok(check: Check, dovecot: Dovecot) -> None:
    """Use 1: the server answers."""
    assert_line(
        check("good", tls=False),
        0,
        rf"POP3 OK - {HOST}:{dovecot.plain} answered in \d\.\d{{3}} s"
        rf" \| {CONNECTED} time_greeting={PHASE}",
    )


def test_user_can_log_in(check: Check, login: Login, dovecot: Dovecot) -> None:
    """Use 2, with a space in the password."""
    assert_line(
        check("good", *login()),
        0,
        rf"POP3 OK - {HOST}:{dovecot.tls} answered in \d\.\d{{3}} s, TLSv1\.3,"
        r" certificate valid for 364 days \(until [\d-]+\), user monitor logged in, 3 messages"
        rf" \| {CONNECTED} time_tls={PHASE} time_greeting={PHASE} time_capa={PHASE}"
        rf" time_login={PHASE} time_stat={PHASE} {CERT_DAYS} {MAILBOX}",
    )


@pytest.mark.parametrize("persona", ["good", "tls13"])
def test_verified_certificate_is_ok(check: Check, dovecot: Dovecot, persona: str) -> None:
    """Use 3: the certificate is verified."""
    assert_line(
        check(persona),
        0,
        rf"POP3 OK - {HOST}:{dovecot.tls} answered in \d\.\d{{3}} s, TLSv1\.3,"
        r" certificate valid for 364 days \(until [\d-]+\)"
        rf" \| {CONNECTED} time_tls={PHASE} time_greeting={PHASE} {CERT_DAYS}",
    )


def test_certificate_below_warning_is_warning(check: Check, dovecot: Dovecot, pki: Pki) -> None:
    """Use 4: WARNING below the first threshold."""
    done = check("expiring", "-D", "60")

    assert_line(
        done,
        1,
        r"POP3 WARNING - certificate expires in 4 days"
        rf", on {ends(pki, 'expiring-5-90'):%Y-%m-%d %H:%M} UTC \({HOST}:{dovecot.tls}\)"
        rf" \| {CONNECTED} time_tls={PHASE} time_greeting={PHASE} cert_days=4\.9\d;60:",
    )
    assert_failed(done, 1, "expiring")


# Certificates.


def test_certificate_below_critical_is_critical(check: Check) -> None:
    """The second threshold is critical, with and without verification."""
    for verify in ("full", "none"):
        done = check("expiring", "-D", "60,10", "--verify", verify)

        assert_failed(done, 2, "expiring")
        assert re.fullmatch(r"4\.9\d;60:;10:", done.perfdata["cert_days"])


@pytest.mark.parametrize(
    ("persona", "kind", "words"),
    [
        ("expired", "expired", r"certificate expired 2 days ago, on {ends:%Y-%m-%d %H:%M} UTC"),
        (
            "future",
            "not-yet-valid",
            r"certificate is not valid before \d{{4}}-[\d-]+ [\d:]+ UTC, .*",
        ),
        ("wrongname", "name", r"certificate is not for {host} but for other\.example\.test"),
        (
            "untrusted",
            "untrusted",
            r"certificate not trusted: issuer .* unknown, server sent 1 certificate",
        ),
        (
            "nochain",
            "untrusted",
            r"certificate not trusted: issuer .* unknown, server sent 1 certificate",
        ),
        ("selfsigned", "untrusted", r"certificate not trusted: self-signed"),
    ],
)
def test_bad_certificate_is_critical_without_login(
    check: Check, login: Login, dovecot: Dovecot, pki: Pki, persona: str, kind: str, words: str
) -> None:
    """Faults 30, 33, 34: the kind and the dates are shown, and no login is tried."""
    before = dovecot.log()
    expected = words.format(host=HOST, ends=ends(pki, persona))

    done = check(persona, *login())

    assert_line(
        done,
        2,
        rf"POP3 CRITICAL - {expected} \({HOST}:{dovecot.tls}\)"
        rf" \| time_resolve={PHASE} time_connect={PHASE} time_tls={PHASE} cert_days=-?\d+\.\d\d",
    )
    assert_failed(done, 2, kind, "tls")
    where = done.line if persona == "expired" else done.out
    assert f"{ends(pki, persona):%Y-%m-%d %H:%M} UTC" in where
    assert float(done.perfdata["cert_days"]) == pytest.approx(days_left(pki, persona), abs=0.02)
    log = dovecot.log_since(before, f"lip={PERSONAS[persona].address}")
    assert "Login:" not in log
    assert "user=<monitor>" not in log


@pytest.mark.parametrize("persona", ["untrusted", "nochain", "selfsigned", "wrongname"])
def test_unverified_certificate_has_dates(check: Check, persona: str) -> None:
    """-D works without verification, and the status line says that nothing was verified."""
    done = check(persona, "-D", "60,10", "--verify", "none")

    assert done.code == 0
    assert done.verdict.endswith(", not verified")
    assert re.fullmatch(r"364\.\d\d;60:;10:", done.perfdata["cert_days"])


def test_unverified_expired_certificate(check: Check, pki: Pki) -> None:
    """Without verification, dates are evaluated only with -D."""
    evaluated = check("expired", "-D", "60,10", "--verify", "none")
    assert_failed(evaluated, 2, "expired")
    assert f"expired 2 days ago, on {ends(pki, 'expired'):%Y-%m-%d %H:%M} UTC" in evaluated.verdict
    assert re.fullmatch(r"-2\.\d\d;60:;10:", evaluated.perfdata["cert_days"])

    ignored = check("expired", "--verify", "none")
    assert (ignored.code, ignored.verdict.endswith(", not verified")) == (0, True)


def test_verify_chain_ignores_the_name(check: Check) -> None:
    """`--verify chain` skips only the name."""
    assert check("wrongname", "--verify", "chain").code == 0
    assert_failed(check("untrusted", "--verify", "chain"), 2, "untrusted", "tls")


def test_sni_replaces_the_verified_name(check: Check) -> None:
    """`--sni` names the expected certificate."""
    assert check("wrongname", "--sni", "other.example.test").code == 0
    assert_failed(check("good", "--sni", "other.example.test"), 2, "name", "tls")


# TLS.


def test_stls_with_login_is_ok(check: Check, login: Login, dovecot: Dovecot) -> None:
    """STLS on the plain-text port, then a login."""
    assert_line(
        check("good", "--starttls", *login(), tls=False),
        0,
        rf"POP3 OK - {HOST}:{dovecot.plain} answered in \d\.\d{{3}} s, TLSv1\.3,"
        r" certificate valid for 364 days \(until [\d-]+\), user monitor logged in, 3 messages"
        rf" \| {CONNECTED} time_tls={PHASE} time_greeting={PHASE} time_capa={PHASE}"
        rf" time_stls={PHASE} time_login={PHASE} time_stat={PHASE} {CERT_DAYS} {MAILBOX}",
    )


def test_stls_not_offered_is_critical(check: Check, login: Login, dovecot: Dovecot) -> None:
    """Fault 26: there is no fallback to plain text."""
    before = dovecot.log()

    done = check("no-tls", "--starttls", *login(), tls=False)

    assert done.verdict == f"POP3 CRITICAL - server does not offer STLS ({HOST}:{dovecot.plain})"
    assert_failed(done, 2, "no-stls", "stls")
    log = dovecot.log_since(before, f"lip={PERSONAS['no-tls'].address}")
    assert "Aborted login by logging out (no auth attempts" in log


def test_handshake_closed_by_server_is_critical(check: Check) -> None:
    """Fault 42: the server closes the connection in the handshake."""
    assert_failed(check("no-tls"), 2, "closed", "tls")


def test_stls_certificate_is_evaluated_like_on_the_tls_port(check: Check, login: Login) -> None:
    """The same states and kinds."""
    done = check("expired", "--starttls", *login(), tls=False)

    assert_failed(done, 2, "expired", "tls")
    assert float(done.perfdata["cert_days"]) == pytest.approx(-2, abs=0.02)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_old_tls_version_is_refused_unless_allowed(pki: Pki, version: str) -> None:
    """Fault 40: nothing newer than TLS 1.0 or 1.1; only the latter can be allowed."""
    spoken = {"1.0": "TLSv1", "1.1": r"TLSv1\.1"}[version]
    with running(pki, f"tls-{version}") as server:
        for tls, how in ((True, ()), (False, ("--starttls",))):
            refused = check_at(server, pki, "good", *how, tls=tls)
            allowed = check_at(server, pki, "good", *how, "--tls-min", "1.1", tls=tls)

            # Dovecot 2.4 sends an alert about the version, and 2.3 closes the connection.
            assert re.match(
                rf"POP3 CRITICAL - server (offers only {spoken} |speaks only TLS 1\.1 or older;)",
                refused.verdict,
            ), refused.out
            assert_failed(refused, 2, "old-tls", "tls")
            if version == "1.0":
                assert_failed(allowed, 2, "old-tls", "tls")
            else:
                assert allowed.code == 0, allowed.out
                assert re.search(r" answered in \d\.\d{3} s, TLSv1\.1, ", allowed.verdict)


def test_tls_min_above_server_version_is_critical(pki: Pki) -> None:
    """A server with TLS 1.1 at most does not meet `--tls-min 1.3` either."""
    with running(pki, "tls-1.1") as server:
        assert_failed(check_at(server, pki, "good", "--tls-min", "1.3"), 2, "old-tls", "tls")


def test_client_certificate_required_is_critical_without_one(pki: Pki, login: Login) -> None:
    """Fault 41: Dovecot requires it only at login, in the text of the reply."""
    mine = ("--client-cert", str(pki.client_cert), "--client-key", str(pki.client_key))
    with running(pki, "client-certificate") as server:
        without = check_at(server, pki, "good", *login())
        given = check_at(server, pki, "good", *login(), *mine)
        no_login = check_at(server, pki, "good")

    assert_failed(without, 2, "client-certificate", "login")
    assert without.verdict.startswith(
        "POP3 CRITICAL - server demands a client certificate: [AUTH] "
    )
    assert given.code == 0, given.out
    assert ", user monitor logged in, " in given.verdict
    assert no_login.code == 0, no_login.out


# Logins.


def test_wrong_password_is_tried_once(check: Check, login: Login, dovecot: Dovecot) -> None:
    """Fault 46: the server's text is shown, and there is one login."""
    before = dovecot.log()

    done = check("good", *login("monitor", "wr0ng one"))

    assert done.verdict == (
        "POP3 CRITICAL - login of monitor rejected: [AUTH] Authentication failed."
        f" ({HOST}:{dovecot.tls})"
    )
    assert_failed(done, 2, "credentials", "login")
    assert "messages" not in done.perfdata
    assert dovecot.log_since(before, "1 attempts").count("Password mismatch") == 1


def test_unknown_user_is_kind_credentials(check: Check, tmp_path: Path) -> None:
    """Dovecot does not distinguish it from a wrong password."""
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("x\n")

    done = check("good", "-U", "nobody", "--password-file", str(secret))

    assert_failed(done, 2, "credentials", "login")


@pytest.mark.parametrize("how", ["auto", "user"])
def test_cleartext_login_refused_by_server_is_critical(
    check: Check, login: Login, how: str
) -> None:
    """Fault 47: refused by the capabilities or by the reply."""
    insecure = ("--allow-insecure-login", "--auth", how)

    done = check("tls-required", *login(), *insecure, tls=False)

    assert_failed(done, 2, "cleartext-refused", "login")
    assert "TLS" in done.verdict


@pytest.mark.threat("T5")
def test_cleartext_login_needs_an_option(check: Check, login: Login) -> None:
    """Threat T5: `--allow-insecure-login`, and the status line says so."""
    refused = check("good", *login(), tls=False)
    assert (refused.code, refused.line[:15]) == (3, "POP3 UNKNOWN - ")
    assert refused.perfdata == {}  # no connection was made

    allowed = check("good", *login(), "--allow-insecure-login", tls=False)
    assert allowed.code == 0, allowed.out
    assert "cleartext" in allowed.verdict


def test_login_after_stls_is_possible(check: Check, login: Login) -> None:
    """If cleartext is refused, the capabilities after STLS count."""
    done = check("tls-required", "--starttls", *login(), tls=False)

    assert done.code == 0, done.out
    assert ", user monitor logged in, 3 messages" in done.verdict


def test_connection_limit_is_kind_in_use(pki: Pki, login: Login) -> None:
    """Fault 48: the server's limit per user is reached."""
    with running(pki, "one-connection") as server, session(server, "monitor"):
        done = check_at(server, pki, "good", *login())
        other = check_at(server, pki, "good", *login("empty"))

    # The code depends on the patch level of Dovecot 2.3, and 2.4 sends none; the text is the same.
    said = re.search(r"(\[SYS/TEMP\] )?(\[IN-USE\] )?Maximum number of connections", done.verdict)
    assert said, done.out
    assert_failed(done, 1, "temporary" if said[1] else "in-use", "login")
    assert other.code == 0, other.out


def test_locked_mailbox_is_kind_in_use(pki: Pki, login: Login) -> None:
    """Fault 48: after the 10 s for which Dovecot waits for the lock."""
    with running(pki, "lock") as server, session(server, "monitor"):
        done = check_at(server, pki, "good", *login(), "-t", "20")

    assert_failed(done, 1, "in-use", "login")
    assert "[IN-USE] Mailbox is locked" in done.verdict


def test_broken_mailbox_after_login_is_critical(
    check: Check, login: Login, dovecot: Dovecot
) -> None:
    """Fault 69: `+OK Logged in.`, then an unsolicited error."""
    done = check("good", *login("broken"))

    assert re.match(
        r"POP3 WARNING - server withdrew the login:"
        r" \[SYS/TEMP\] Internal error occurred\.",
        done.verdict,
    ), done.out
    assert done.code == 1
    assert re.match(r"kind: temporary \(.*\), in phase ", done.long[1])
    assert "transcript: S: +OK Logged in." in done.long

    changed = check("good", *login("broken"), "--state", "temporary=critical")
    assert changed.code == 2


# The mailbox.


def test_empty_mailbox_reports_zero_messages(check: Check, login: Login) -> None:
    """An empty mailbox has metrics, too."""
    done = check("good", *login("empty"), "--messages-warning", "1:")

    assert_failed(done, 1, "messages")
    assert done.perfdata["messages"] == "0;1:;;0"
    assert done.perfdata["mailbox_size"] == "0B;;;0"


def test_messages_above_thresholds_change_the_state(
    check: Check, login: Login, dovecot: Dovecot
) -> None:
    """Warning, critical, and neither."""
    limits = ("--messages-warning", "500", "--messages-critical", "1000")

    done = check("good", *login("many"), *limits)
    assert done.verdict == (
        f"POP3 WARNING - mailbox has 1000 messages (limit 500) ({HOST}:{dovecot.tls})"
    )
    assert_failed(done, 1, "messages")
    assert done.perfdata["messages"] == "1000;500;1000;0"

    assert_failed(check("good", *login("many"), *limits[:2], limits[2], "999"), 2, "messages")
    assert check("good", *login("many"), "--messages-critical", "1000").code == 0


def test_mailbox_size_above_thresholds_changes_the_state(check: Check, login: Login) -> None:
    """K is 1024."""
    many = check("good", *login("many"), "--size-warning", "1K", "--size-critical", "1M")

    assert_failed(many, 1, "size")
    assert re.fullmatch(r"\d+B;1024;1048576;0", many.perfdata["mailbox_size"])


@pytest.mark.threat("T19")
def test_login_does_not_change_the_mailbox(check: Check, login: Login, dovecot: Dovecot) -> None:
    """Threat T19: byte for byte; indexes, too, once Dovecot has written them."""

    def settled() -> dict[str, bytes]:
        found, last = dovecot.mailbox("many"), None
        while found != last:  # Dovecot may write its index after the session has ended
            time.sleep(0.3)
            found, last = dovecot.mailbox("many"), found
        return found

    def messages(found: dict[str, bytes]) -> dict[str, bytes]:
        return {name: content for name, content in found.items() if name.startswith("cur/")}

    check("good", *login("many"))
    states = [{}, settled()]
    while states[-2] != states[-1]:  # or in a later session
        assert len(states) < 6, "each login changes the index"
        for args, tls in (((), True), (("--starttls",), False)):
            assert check("good", *login("many"), *args, tls=tls).code == 0
        states.append(settled())

    assert len(messages(states[1])) == 1000
    assert all(messages(each) == messages(states[1]) for each in states[2:])


@pytest.mark.threat("T20")
def test_session_ends_with_quit(check: Check, login: Login, dovecot: Dovecot) -> None:
    """Threat T20: with and without login, also after a rejection."""
    before = dovecot.log()
    check("good")
    check("good", *login())
    check("good", *login("many"), "--messages-critical", "1")
    check("good", "--starttls", *login(), tls=False)
    check("good", *login("monitor", "wrong"))

    log = dovecot.log_since(before, "1 attempts")

    assert log.count("Disconnected: Logged out ") == 3
    assert log.count("Aborted login by logging out (") == 2
    assert "Connection closed" not in log


# Mechanisms.

PASSWORD_MECHANISMS = ("user", "apop", "plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256")


@pytest.mark.parametrize("how", PASSWORD_MECHANISMS)
@pytest.mark.parametrize("tls", [True, False])
def test_mechanism_with_correct_password_logs_in(
    check: Check, login: Login, dovecot: Dovecot, how: str, tls: bool
) -> None:
    """On the TLS port, and after STLS."""
    before = dovecot.log()

    done = check("good", *(() if tls else ("--starttls",)), *login(), "--auth", how, tls=tls)

    assert done.code == 0, done.out
    assert ", user monitor logged in, 3 messages" in done.verdict
    method = {"user": "PLAIN"}.get(how, how.upper())
    assert f"method={method}," in dovecot.log_since(before, "Login:")


@pytest.mark.parametrize("how", PASSWORD_MECHANISMS)
def test_mechanism_with_wrong_password_is_tried_once(
    check: Check, login: Login, dovecot: Dovecot, how: str
) -> None:
    """It is rejected once, and no other mechanism is tried."""
    before = dovecot.log()

    done = check("good", *login("monitor", "wrong"), "--auth", how)

    assert_failed(done, 2, "credentials", "login")
    assert "1 attempts" in dovecot.log_since(before, "attempts in")


@pytest.mark.parametrize("how", ["xoauth2", "oauthbearer"])
def test_token_valid_logs_in_and_expired_is_rejected(check: Check, login: Login, how: str) -> None:
    """Dovecot accepts a valid token, and rejects an expired one with a reason (fault 54)."""
    good = check("good", *login("monitor", token("monitor")), "--auth", how)
    old = check("good", *login("monitor", token("monitor", -60)), "--auth", how)
    other = check("good", *login("monitor", token("empty")), "--auth", how)

    assert good.code == 0, good.out
    for refused in (old, other):
        assert_failed(refused, 2, "credentials", "login")
    # For the token of another user Dovecot 2.4 sends no reason.
    assert "token refused: " in old.verdict


def test_sasl_external_uses_client_certificate(pki: Pki) -> None:
    """No password is needed."""
    mine = ("--client-cert", str(pki.client_cert), "--client-key", str(pki.client_key))
    with running(pki, "client-certificate") as server:
        done = check_at(server, pki, "good", "-U", "monitor", "--auth", "external", *mine)

    assert done.code == 0, done.out
    assert ", user monitor logged in, " in done.verdict


def test_mechanism_not_offered_is_not_tried(check: Check, login: Login) -> None:
    """Fault 52: the output names what is offered."""
    done = check("tls-required", *login(), "--auth", "plain", "--allow-insecure-login", tls=False)

    assert_failed(done, 2, "cleartext-refused", "login")


# Assertions.


def test_required_capabilities_are_those_inside_tls(check: Check) -> None:
    """The list after STLS counts: the plain-text port of this persona offers no USER."""
    assert (
        check("tls-required", "--starttls", "--require-capa", "STLS,UIDL,USER", tls=False).code == 0
    )
    done = check("good", "--require-capa", "UIDL,XYZZY,SASL=GSSAPI")

    assert_failed(done, 2, "no-capability")
    assert "capabilities lack XYZZY, SASL=GSSAPI" in done.verdict


def test_accepted_cleartext_login_fails_the_assertion(check: Check) -> None:
    """Dovecot accepts them unless configured otherwise."""
    assert check("tls-required", "--refuse-cleartext-login", tls=False).code == 0
    done = check("good", "--refuse-cleartext-login", tls=False)

    assert_failed(done, 2, "cleartext-accepted")
    assert "offers USER before TLS" in done.verdict


def test_dovecot_passes_the_injection_test(check: Check) -> None:
    """Dovecot drops what was pipelined after STLS (CVE-2021-33515 is fixed)."""
    assert check("good", "--starttls", "--check-starttls-injection", tls=False).code == 0


# Intermediate certificates, and certificate assertions.


def pin_of(pki: Pki, name: str) -> str:
    der = x509.load_pem_x509_certificate(pki.files(name)[0].read_bytes())
    return f"sha256:{der.fingerprint(hashes.SHA256()).hex()}"


def test_intermediate_near_expiry_is_reported(check: Check, dovecot: Dovecot) -> None:
    """Fault 32: the intermediate is named."""
    done = check("intermediate_expiring", "-D", "60,2")

    assert_line(
        done,
        1,
        r"POP3 WARNING - issuer CN=Odd CA of the certificate expires in"
        rf" 2 days, on \d{{4}}-\d\d-\d\d \d\d:\d\d UTC \({HOST}:{dovecot.tls}\)"
        rf" \| {CONNECTED} time_tls={PHASE} time_greeting={PHASE} {CERT_DAYS};60:;2:"
        r" chain_days=2\.9\d;60:;2:",
    )
    assert_failed(done, 1, "expiring")


@pytest.mark.parametrize(
    ("persona", "remark"),
    [
        ("chain", None),
        ("root_sent", "chain: root certificate 2 ("),
        ("wrong_order", "chain: wrong order, expected 0, 2, 1"),
        ("extra_expired", "chain: certificate 2 ("),
    ],
)
def test_chain_oddities_are_notes_only(check: Check, persona: str, remark: str | None) -> None:
    """Shown with -v, without effect on the state."""
    done = check(persona, "-v", "-D", "60,14")

    assert done.code == 0, done.out
    remarks = [line for line in done.long if line.startswith("chain: ")]
    assert bool(remarks) == bool(remark)
    assert any(line.startswith(remark or "") for line in remarks) == bool(remark)


def test_certificate_not_strict_is_noted_or_refused(check: Check) -> None:
    """Fault 37: a note without `--x509-strict`, CRITICAL with it."""
    assert check("ca_not_critical").code == 0
    assert_failed(check("ca_not_critical", "--x509-strict"), 2, "not-strict", "tls")
    assert check("chain", "--x509-strict").code == 0


def test_certificate_assertions_met_are_ok_and_violated_critical(
    check: Check, pki: Pki, login: Login
) -> None:
    """The good certificate meets all of them; each other persona violates one."""
    deployed = str(pki.files("good")[0])
    said = (
        *("--pin", pin_of(pki, "good"), "--issuer", "trustme", "--expect-cert-file", deployed),
        *("--min-key-bits", "3072", "--max-validity", "398"),
    )
    assert check("good", *login(), *said).code == 0
    assert_failed(check("chain", *login(), "--pin", pin_of(pki, "good")), 2, "pin", "tls")
    assert_failed(check("chain", "--expect-cert-file", deployed), 2, "not-deployed")
    assert_failed(check("chain", "--issuer", "Nobody"), 2, "issuer")
    assert_failed(check("good", "--min-key-bits", "4096"), 2, "weak")
    assert_failed(check("good", "--max-validity", "90"), 2, "long-lived")


@pytest.mark.parametrize("how", [(), ("--starttls",)], ids=["tls", "stls"])
def test_expired_rsa_certificate_behind_a_good_one_is_found_by_its_type(
    check: Check, login: Login, how: tuple[str, ...]
) -> None:
    """Dovecot sends its ECDSA certificate to clients that accept both (ssl_alt_cert)."""
    assert check("expired-rsa", *login(), *how, tls=not how).code == 0
    assert check("expired-rsa", "--cert-type", "ecdsa", *how, tls=not how).code == 0
    for wanted in ("rsa", "both"):
        done = check("expired-rsa", *login(), "--cert-type", wanted, *how, tls=not how)
        assert_failed(done, 2, "expired", "tls")
        assert re.search(r" - certificate expired 2 days ago, on \S+ \S+ UTC \(RSA\)", done.verdict)
        assert done.perfdata["cert_days"].startswith("-2")
    assert check("two-certificates", *login(), "--cert-type", "both", *how, tls=not how).code == 0
    assert_failed(check("good", "--cert-type", "rsa", *how, tls=not how), 2, "old-tls", "tls")
    assert check("good", "--cert-type", "both", *how, tls=not how).code == 0


@pytest.mark.parametrize("how", ["tls", "stls"])
def test_reject_legacy_tls_reports_tls_1_0(check: Check, how: str) -> None:
    """Dovecot closes the connection, or accepts TLS 1.0 if configured."""
    options = ("--reject-legacy-tls", *(["--starttls"] if how == "stls" else []))

    assert check("good", *options, tls=how == "tls").code == 0
    done = check("legacy-tls", *options, tls=how == "tls")
    assert_failed(done, 2, "legacy-tls")
    assert done.verdict.startswith("POP3 CRITICAL - server still accepts TLS 1.0 and TLS 1.1 (")


# Several addresses.


@pytest.fixture
def pool(dovecot: Dovecot, pki: Pki, tmp_path: Path, login: Login) -> Check:
    """Check a name that has the addresses of these personas, with a login."""

    def run(personas: Sequence[str], *args: str) -> Run:
        addresses = [PERSONAS[persona].address for persona in personas]
        done = run_with_hosts(
            tmp_path,
            {HOST: addresses},
            *("-H", HOST, "-S", "-p", str(dovecot.tls), "--ca-file", str(pki.ca_file)),
            *("--all-addresses", *login(), *args),
        )
        assert done.err == ""
        return done

    return run


def test_all_addresses_ok_logs_in_once(pool: Check, dovecot: Dovecot) -> None:
    """Three nodes, one login."""
    before = dovecot.log()
    done = pool(["good", "chain", "root_sent"])

    assert done.code == 0, done.out
    assert re.search(
        r" s on 3 addresses, TLSv1\.3, certificate valid for 364 days \(until [\d-]+\),"
        r" user monitor logged in, 3 messages$",
        done.verdict,
    )
    assert {f"time_127_0_0_{number}" for number in (1, 12, 14)} < done.perfdata.keys()
    assert dovecot.log_since(before, "Login: ").count("Login: user=<monitor>") == 1


def test_one_node_with_old_certificate_is_reported(pool: Check, dovecot: Dovecot) -> None:
    """The other nodes do not hide it."""
    done = pool(["good", "expired", "chain"])

    assert_failed(done, 2, "expired", "tls")
    assert "certificate expired 2 days ago" in done.verdict
    assert done.verdict.endswith(f": {PERSONAS['expired'].address})")
    assert done.perfdata["cert_days"].startswith("-2.")
    assert "messages" in done.perfdata


def test_min_addresses_tolerates_one_failed_node(pool: Check) -> None:
    """One of three may fail."""
    done = pool(["good", "no-tls", "chain"], "--min-addresses", "2")

    assert done.code == 0, done.out
    assert " s on 2 of 3 addresses, " in done.verdict
