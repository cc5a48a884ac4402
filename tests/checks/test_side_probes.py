"""Assertions, tested on separate connections against bad servers."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_pop3_plus.model.failures import ProbeError
from check_pop3_plus.net import client_hello, tls
from tests.pki.certificates import Pki
from tests.servers.scripted_server import (
    Connection,
    PoliteServer,
    ScriptedServer,
    Step,
    drip,
    drop,
    expect,
    pause,
    reset,
    say,
    silence,
    start_tls,
)
from tests.support.command import Run
from tests.support.faults import CANARY, GREETING, check, flags, kinds, upgraded

BYE = [expect(b"QUIT"), say(b"+OK bye\r\n")]
MAIN = [GREETING, *BYE]


# --- --refuse-cleartext-login ------------------------------------------------------------------


def list_of(*tags: str) -> list[Step]:
    lines = ("+OK", *tags, ".", "")
    return [GREETING, expect(b"CAPA"), say("\r\n".join(lines).encode())]


USER, PASS = expect(b"USER check_pop3_plus"), expect(b"PASS check_pop3_plus")
NO_LIST = [GREETING, expect(b"CAPA"), say(b"-ERR what\r\n")]

CLEARTEXT: list[tuple[str, Sequence[Step], str | None]] = [
    ("offers USER", [*list_of("USER", "STLS"), *BYE], "offers USER before TLS"),
    ("offers PLAIN", [*list_of("SASL PLAIN XOAUTH2"), *BYE], "offers PLAIN before TLS"),
    ("offers both", [*list_of("sasl login plain"), *BYE], "offers PLAIN LOGIN before TLS"),
    ("refuses USER", [*list_of("STLS"), USER, say(b"-ERR no\r\n"), *BYE], None),
    (
        "refuses PASS for want of TLS",
        [*list_of("STLS"), USER, say(b"+OK\r\n"), PASS, say(b"-ERR [AUTH] TLS required\r\n"), *BYE],
        None,
    ),
    (
        "judges the password",
        [*list_of("STLS"), USER, say(b"+OK\r\n"), PASS, say(b"-ERR [AUTH] wrong\r\n"), *BYE],
        "takes a password before TLS",
    ),
    (
        "takes anything",
        [*NO_LIST, USER, say(b"+OK\r\n"), PASS, say(b"+OK\r\n"), *BYE],
        "takes a password before TLS",
    ),
    *(
        (
            words.decode(),
            [*list_of("STLS"), USER, say(b"+OK\r\n"), PASS, say(b"-ERR " + words + b"\r\n"), *BYE],
            "takes a password before TLS",
        )
        for words in (
            b"[AUTH] Invalid login or insecure password",
            b"[AUTH] Login failed. Please use an app password or ssl certificate",
            b"[AUTH] Authentication failed, use the password of your TLS account",
            b"[SYS/TEMP] try again",
        )
    ),
    *(
        (
            words.decode(),
            [*list_of("STLS"), USER, say(b"+OK\r\n"), PASS, say(b"-ERR " + words + b"\r\n"), *BYE],
            None,
        )
        for words in (
            b"[SYS/PERM] TLS required for login",
            b"Command is not valid in this state.",
            b"[AUTH] Must issue STLS first",
        )
    ),
    ("only challenges", [*list_of("SASL CRAM-MD5", "STLS"), USER, say(b"-ERR\r\n"), *BYE], None),
]


@pytest.mark.parametrize(
    ("steps", "finding"), [pytest.param(*case[1:], id=case[0]) for case in CLEARTEXT]
)
def test_cleartext_login_accepted_is_found(steps: Sequence[Step], finding: str | None) -> None:
    """By the capability list or, with a non-existent user, by a login."""
    with ScriptedServer(scripts=[MAIN, steps]) as server:
        done = check(server, "--refuse-cleartext-login=try")

    assert done.code == (2 if finding else 0), done.out
    assert kinds(done) == (["cleartext-accepted"] if finding else [])
    assert (finding or "") in done.verdict
    assert server.commands[-1] == b"QUIT"


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        ([*list_of("STLS"), *BYE], None),
        ([*list_of("SASL CRAM-MD5", "STLS"), *BYE], None),
        ([*list_of("USER", "STLS"), *BYE], "cleartext-accepted"),
        ([*list_of("SASL PLAIN"), *BYE], "cleartext-accepted"),
        ([*NO_LIST, *BYE], "no-capability"),
    ],
)
def test_cleartext_login_is_not_tried_unasked(steps: Sequence[Step], kind: str | None) -> None:
    """A failed login counts for fail2ban, so without `=try` only the capability list decides."""
    with ScriptedServer(scripts=[MAIN, steps]) as server:
        done = check(server, "--refuse-cleartext-login")

    assert kinds(done) == ([kind] if kind else []), done.out
    assert done.code == (2 if kind else 0)
    assert b"PASS" not in server.received_in_clear
    assert b"USER" not in server.received_in_clear
    assert kind != "no-capability" or "use --refuse-cleartext-login=try" in done.verdict


def test_cleartext_probe_uses_no_real_credentials(pki: Pki) -> None:
    """The user and password of the probe do not exist."""
    main = upgraded(
        pki,
        *(expect(b"USER monitor"), say(b"+OK\r\n"), expect(b"PASS"), say(b"+OK\r\n")),
        *(expect(b"STAT"), say(b"+OK 0 0\r\n"), *BYE),
    )
    second = [*NO_LIST, USER, say(b"+OK\r\n"), PASS, say(b"-ERR [AUTH] wrong\r\n"), *BYE]
    with ScriptedServer(scripts=[main, second]) as server:
        done = check(server, *flags("stls", pki, login=True), "--refuse-cleartext-login=try")

    assert kinds(done) == ["cleartext-accepted"]
    assert b"monitor" not in server.received_in_clear
    assert CANARY.encode() not in server.received_in_clear


BROKEN: list[tuple[str, Sequence[Step], str]] = [
    ("closed", [drop()], "closed"),
    ("reset", [pause(0.05), reset()], "closed"),
    ("in the middle", [*list_of("STLS"), USER, drop()], "closed"),
    ("silent", [silence()], "timeout"),
    ("garbled", [say(b"220 mx\r\n")], "garbled"),
    ("refused", [say(b"-ERR too many connections\r\n"), *BYE], "greeting-temporary"),
]


@pytest.mark.parametrize(
    ("steps", "kind"), [pytest.param(*case[1:], id=case[0]) for case in BROKEN]
)
def test_assertion_not_testable_is_a_failure(steps: Sequence[Step], kind: str) -> None:
    """A session that fails proves nothing, and the output says so."""
    with ScriptedServer(scripts=[MAIN, steps]) as server:
        done = check(server, "--refuse-cleartext-login=try", "-t", "1")

    assert done.code == 2, done.out
    assert kinds(done) == [kind]
    assert "an assertion (cleartext-accepted) could not be tried: " in done.verdict


# --- --check-starttls-injection ----------------------------------------------------------------


def injected(pki: Pki, *inside: Step) -> list[Step]:
    """Accept STLS, drop the data after it, and continue in TLS."""
    return [
        GREETING,
        expect(b"STLS"),
        expect(b"CAPA"),
        say(b"+OK\r\n"),
        start_tls(pki.server("good")),
        *inside,
    ]


INJECTION = [
    ("forgets it", [expect(b"QUIT"), say(b"+OK bye\r\n")], None),
    ("hangs up inside", [drop()], None),
    (
        "answers it",
        [say(b"+OK\r\nUSER\r\n.\r\n"), *BYE],
        "executes a command sent before TLS",
    ),
    (
        "answers it late",
        [expect(b"QUIT"), say(b"+OK\r\nUSER\r\n.\r\n+OK bye\r\n")],
        "executes a command sent before TLS",
    ),
]


@pytest.mark.parametrize(
    ("inside", "finding"), [pytest.param(*case[1:], id=case[0]) for case in INJECTION]
)
def test_injection_answered_inside_tls_is_found(
    inside: Sequence[Step], finding: str | None, pki: Pki
) -> None:
    """CVE-2011-0411 and similar: the server executes commands of a man in the middle."""
    with ScriptedServer(scripts=[upgraded(pki, *BYE), injected(pki, *inside)]) as server:
        done = check(server, *flags("stls", pki), "--check-starttls-injection")

    assert done.code == (2 if finding else 0), done.out
    assert kinds(done) == (["injectable"] if finding else [])
    assert (finding or "") in done.verdict


RESISTING = [
    ("refuses STLS", [GREETING, expect(b"STLS"), say(b"-ERR no\r\n"), *BYE]),
    ("hangs up", [GREETING, expect(b"STLS"), say(b"+OK\r\n"), drop()]),
    (
        "answers in clear",
        [GREETING, expect(b"STLS"), expect(b"CAPA"), say(b"+OK\r\n+OK\r\n.\r\n"), silence()],
    ),
]


@pytest.mark.parametrize("steps", [pytest.param(case[1], id=case[0]) for case in RESISTING])
def test_injection_not_answered_is_ok(steps: Sequence[Step], pki: Pki) -> None:
    """Everything but an answer inside TLS is safe."""
    with ScriptedServer(scripts=[upgraded(pki, *BYE), steps]) as server:
        done = check(server, *flags("stls", pki), "--check-starttls-injection")

    assert done.code == 0, done.out


def test_injection_silence_is_a_failure(pki: Pki) -> None:
    """The server may still answer the command that it should have dropped."""
    scripts = [upgraded(pki, *BYE), injected(pki, silence())]
    with ScriptedServer(scripts=scripts) as server:
        done = check(server, *flags("stls", pki), "--check-starttls-injection", "-t", "1")

    assert (done.code, kinds(done)) == (2, ["timeout"])
    assert "an assertion (injectable) could not be tried: " in done.verdict


def test_injection_assertion_without_stls_is_refused() -> None:
    """Nothing can be injected on the TLS port."""
    with PoliteServer({}) as server:
        done = check(server, "-S", "--check-starttls-injection")

    assert done.code == 3
    assert "--check-starttls-injection needs --starttls" in done.line


# --- --reject-legacy-tls -----------------------------------------------------------------------


def on_tls_port(pki: Pki, *others: Sequence[Step]) -> Run:
    """Serve a good session first, then these; the last one for all further connections."""
    main = [start_tls(pki.server("good")), *MAIN]
    with ScriptedServer(scripts=[main, *others]) as server:
        done = check(server, *flags("tls", pki), "--reject-legacy-tls", "-t", "2")
    assert b"CAPA" not in server.received
    return done


def hears_hello(connection: Connection) -> None:
    """Receive the ClientHello."""
    connection.socket.recv(4096)


def record(kind: int, body: str) -> Step:
    """Send one record of TLS."""
    octets = bytes.fromhex(body)
    return say(bytes([kind, 3, 1]) + len(octets).to_bytes(2, "big") + octets)


ALERT = record(21, "0228")  # fatal, handshake failure


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_legacy_tls_one_version_is_named(version: str, pki: Pki) -> None:
    """Only the accepted version is named."""
    good, old = [start_tls(pki.server("good"))], [start_tls(pki.old_tls(version))]
    done = on_tls_port(pki, *([old, good] if version == "1.0" else [good, old]))

    assert (done.code, kinds(done)) == (2, ["legacy-tls"])
    assert done.verdict.partition(" - ")[2].startswith(f"server still accepts TLS {version} (")


@pytest.mark.parametrize(
    "hello",
    [
        pytest.param(record(22, "020000260302" + 64 * "0"), id="ServerHello"),
        pytest.param(record(22, "020000260302"), id="its first octets"),
        pytest.param(drip(b"\x16\x03\x02\x00\x2a\x02\x00\x00\x26\x03\x02", 0.01), id="dripped"),
    ],
)
def test_legacy_tls_server_hello_is_enough(hello: Step, pki: Pki) -> None:
    """The ServerHello counts, even if OpenSSL here could not complete the handshake."""
    done = on_tls_port(pki, [hears_hello, hello, silence()])

    assert (done.code, kinds(done)) == (2, ["legacy-tls"])
    assert done.verdict.partition(" - ")[2].startswith("server still accepts TLS 1.1 (")


def test_legacy_tls_warning_alert_is_skipped(pki: Pki) -> None:
    """Some servers warn about an unknown name, then continue."""
    hello = [record(21, "0170"), record(22, "020000260301")]

    assert kinds(on_tls_port(pki, [hears_hello, *hello, silence()])) == ["legacy-tls"]


def test_legacy_tls_fatal_alert_is_a_refusal(pki: Pki) -> None:
    """A good server sends it."""
    assert on_tls_port(pki, [hears_hello, ALERT, drop()]).code == 0


@pytest.mark.parametrize("end", [drop, reset])
def test_legacy_tls_closed_connection_is_a_refusal(end: Callable[[], Step], pki: Pki) -> None:
    """Dovecot closes it; a modern handshake must succeed right after it."""
    modern = [start_tls(pki.server("good")), *MAIN]
    hang_up = [hears_hello, end()]

    assert on_tls_port(pki, hang_up, modern, hang_up, modern).code == 0


@pytest.mark.parametrize("end", [drop, reset])
def test_legacy_tls_closing_every_connection_is_a_failure(
    end: Callable[[], Step], pki: Pki
) -> None:
    """A connection limit, for instance, must not give a false OK."""
    done = on_tls_port(pki, [pause(0.05), end()])

    assert (done.code, kinds(done)) == (2, ["closed"])
    assert "an assertion (legacy-tls) could not be tried: " in done.verdict


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(say(b"-ERR [IN-USE] too many connections\r\n"), id="plain text"),
        pytest.param(say(b"+OK"), id="short plain text"),
        pytest.param(record(22, "020000260303" + 64 * "0"), id="TLS 1.2"),
        pytest.param(record(22, "0e000000"), id="another message"),
        pytest.param(record(22, ""), id="empty"),
        pytest.param(record(23, "00000000"), id="data"),
    ],
)
def test_legacy_tls_invalid_answer_is_a_failure(answer: Step, pki: Pki) -> None:
    """It is neither accepted nor refused."""
    done = on_tls_port(pki, [hears_hello, answer, silence()])

    assert (done.code, kinds(done)) == (2, ["tls"])
    assert "could not be tried: answers no handshake with legacy TLS" in done.verdict


def test_legacy_tls_silence_is_a_failure(pki: Pki) -> None:
    """Silence must not give a false OK."""
    done = on_tls_port(pki, [silence()])

    assert (done.code, kinds(done)) == (2, ["timeout"])
    assert "an assertion (legacy-tls) could not be tried: " in done.verdict


def test_legacy_tls_refused_stls_is_a_failure(pki: Pki) -> None:
    """A refused STLS is not a refused handshake."""
    second = [GREETING, expect(b"STLS"), say(b"-ERR not now\r\n"), *BYE]
    with ScriptedServer(scripts=[upgraded(pki, *BYE), second]) as server:
        done = check(server, *flags("stls", pki), "--reject-legacy-tls")

    assert (done.code, kinds(done)) == (2, ["no-stls"])
    assert "refuses STLS: not now" in done.verdict


@pytest.mark.parametrize("version", client_hello.LEGACY_VERSIONS)
@pytest.mark.parametrize("name", ["pop.example.test", "192.0.2.1", "2001:db8::1"])
def test_client_hello_is_accepted_by_openssl(version: str, name: str, pki: Pki) -> None:
    """A real TLS stack answers it with a ServerHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = pki.old_tls(version).wrap_bio(incoming, outgoing, server_side=True)
    incoming.write(client_hello.legacy(version, name))
    with pytest.raises(ssl.SSLWantReadError):
        server.do_handshake()

    assert client_hello.answer(outgoing.read()) == f"TLS {version}"
    assert client_hello.legacy(version, name) != client_hello.legacy(version, name)


@given(st.binary(max_size=80))
def test_client_hello_any_answer_is_classified(data: bytes) -> None:
    """A version, a refusal, "need more", or a ProbeError."""
    with suppress(ProbeError):
        assert client_hello.answer(data) in (None, "", "SSL 3.0", "TLS 1.0", "TLS 1.1")


@pytest.mark.parametrize("length", [5, 6, 12, 18])
def test_client_hello_answer_other_protocol_is_tls_failure(length: int) -> None:
    """The version of a record begins with 3 (RFC 2246 section 6.2.1), that of a warning, too."""
    data = b"\x15\x43\x01\0\2\1\x70\x16\x03\x01\0\6\2\0\0\x26\x03\x01"

    with pytest.raises(ProbeError, match="answers no handshake"):
        client_hello.answer(data[:length])


@pytest.mark.parametrize("version", client_hello.LEGACY_VERSIONS)
def test_agreed_on_returns_the_cipher(version: str) -> None:
    """For the diagnosis, which names the cipher."""
    assert tls.can_offer(version)


# --- --require-capa ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "missing"),
    [
        ("USER", None),
        ("user,resp-codes", None),
        ("SASL=PLAIN", None),
        ("SASL", None),
        ("STLS,USER", None),
        ("SASL=SCRAM-SHA-256", "SASL=SCRAM-SHA-256"),
        ("UIDL,TOP", "UIDL, TOP"),
    ],
)
def test_required_capability_missing_is_found(wanted: str, missing: str | None, pki: Pki) -> None:
    """In the list inside TLS; STLS counts as offered if it was used."""
    steps = upgraded(pki, *BYE)
    steps[-3] = say(b"+OK\r\nUSER\r\nRESP-CODES\r\nSASL PLAIN LOGIN\r\n.\r\n")
    with ScriptedServer(steps) as server:
        done = check(server, *flags("stls", pki), "--require-capa", wanted)

    assert done.code == (2 if missing else 0), done.out
    if missing:
        assert kinds(done) == ["no-capability"]
        assert f" - capabilities lack {missing} (" in done.verdict


def test_required_capability_without_list_is_missing() -> None:
    """If CAPA is refused, every required capability is missing."""
    with ScriptedServer([*NO_LIST, *BYE]) as server:
        done = check(server, "--require-capa", "UIDL")

    assert kinds(done) == ["no-capability"]
