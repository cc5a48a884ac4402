"""Assertions on connections of their own: what a server must not do, played by bad servers."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from check_pop3_plus import options, tls
from check_pop3_plus.check import run as check_run
from check_pop3_plus.timing import Clock
from tests.certificates import Pki
from tests.command import Run
from tests.faults import CANARY, GREETING, check, flags, kinds, upgraded
from tests.pop3_server import (
    PoliteServer,
    ScriptedServer,
    Step,
    drop,
    expect,
    pause,
    reset,
    say,
    silence,
    start_tls,
)

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
    ("only challenges", [*list_of("SASL CRAM-MD5", "STLS"), USER, say(b"-ERR\r\n"), *BYE], None),
]


@pytest.mark.parametrize(
    ("steps", "finding"), [pytest.param(*case[1:], id=case[0]) for case in CLEARTEXT]
)
def test_passwords_before_tls(steps: Sequence[Step], finding: str | None) -> None:
    """By its list or, with a user that nobody has, by its deeds."""
    with ScriptedServer(scripts=[MAIN, steps]) as server:
        done = check(server, "--refuse-cleartext-login")

    assert done.code == (2 if finding else 0), done.out
    assert kinds(done) == (["cleartext-accepted"] if finding else [])
    assert (finding or "") in done.verdict
    assert server.commands[-1] == b"QUIT"


def test_the_password_of_the_login_is_not_the_one_that_is_tried(pki: Pki) -> None:
    """No real credential is used for it."""
    main = upgraded(
        pki,
        *(expect(b"USER monitor"), say(b"+OK\r\n"), expect(b"PASS"), say(b"+OK\r\n")),
        *(expect(b"STAT"), say(b"+OK 0 0\r\n"), *BYE),
    )
    aside = [*NO_LIST, USER, say(b"+OK\r\n"), PASS, say(b"-ERR [AUTH] wrong\r\n"), *BYE]
    with ScriptedServer(scripts=[main, aside]) as server:
        done = check(server, *flags("stls", pki, login=True), "--refuse-cleartext-login")

    assert kinds(done) == ["cleartext-accepted"]
    assert b"monitor" not in server.received_in_clear
    assert CANARY.encode() not in server.received_in_clear


BROKEN: list[tuple[str, Sequence[Step], str]] = [
    ("closed", [drop()], "closed"),
    ("reset", [pause(0.05), reset()], "closed"),
    ("in the middle", [*list_of("STLS"), USER, drop()], "closed"),
    ("silent", [silence()], "timeout"),
    ("garbled", [say(b"220 mx\r\n")], "garbled"),
    ("refused", [say(b"-ERR too many connections\r\n"), *BYE], "greeting"),
]


@pytest.mark.parametrize(
    ("steps", "kind"), [pytest.param(*case[1:], id=case[0]) for case in BROKEN]
)
def test_what_cannot_be_tried_is_no_ok(steps: Sequence[Step], kind: str) -> None:
    """A conversation that breaks down proves nothing, and that is said."""
    with ScriptedServer(scripts=[MAIN, steps]) as server:
        done = check(server, "--refuse-cleartext-login", "-t", "1")

    assert done.code == 2, done.out
    assert kinds(done) == [kind]
    assert "an assertion (cleartext-accepted) could not be tried: " in done.verdict


# --- --check-starttls-injection ----------------------------------------------------------------


def injected(pki: Pki, *inside: Step) -> list[Step]:
    """Take STLS, forget what came behind it, and go on in TLS."""
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
        "answers a command from before TLS inside it",
    ),
    (
        "answers it late",
        [expect(b"QUIT"), say(b"+OK\r\nUSER\r\n.\r\n+OK bye\r\n")],
        "answers a command from before TLS inside it",
    ),
]


@pytest.mark.parametrize(
    ("inside", "finding"), [pytest.param(*case[1:], id=case[0]) for case in INJECTION]
)
def test_a_command_behind_stls(inside: Sequence[Step], finding: str | None, pki: Pki) -> None:
    """CVE-2011-0411 and its like: what a machine in the middle sends is taken for the client's."""
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
def test_servers_that_resist(steps: Sequence[Step], pki: Pki) -> None:
    """Anything but an answer inside TLS."""
    with ScriptedServer(scripts=[upgraded(pki, *BYE), steps]) as server:
        done = check(server, *flags("stls", pki), "--check-starttls-injection")

    assert done.code == 0, done.out


def test_a_silence_inside_tls_proves_nothing(pki: Pki) -> None:
    """It may be about to answer the command that it should have forgotten."""
    scripts = [upgraded(pki, *BYE), injected(pki, silence())]
    with ScriptedServer(scripts=scripts) as server:
        done = check(server, *flags("stls", pki), "--check-starttls-injection", "-t", "1")

    assert (done.code, kinds(done)) == (2, ["timeout"])
    assert "an assertion (injectable) could not be tried: " in done.verdict


def test_it_needs_stls() -> None:
    """On the TLS port there is nothing to be injected."""
    with PoliteServer({}) as server:
        done = check(server, "-S", "--check-starttls-injection")

    assert done.code == 3
    assert "--check-starttls-injection needs --starttls" in done.line


# --- --reject-legacy-tls -----------------------------------------------------------------------


def on_tls_port(pki: Pki, *asides: Sequence[Step]) -> Run:
    main = [start_tls(pki.server("good")), *MAIN]
    with ScriptedServer(scripts=[main, *asides]) as server:
        done = check(server, *flags("tls", pki), "--reject-legacy-tls", "-t", "2")
    assert b"CAPA" not in server.received
    return done


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_one_old_version(version: str, pki: Pki) -> None:
    """Only the one that is accepted is named."""
    good, old = [start_tls(pki.server("good"))], [start_tls(pki.old_tls(version))]
    done = on_tls_port(pki, *([old, good] if version == "1.0" else [good, old]))

    assert (done.code, kinds(done)) == (2, ["legacy-tls"])
    assert done.verdict.endswith(f": still accepts TLS {version}")


@pytest.mark.parametrize("end", [drop, reset])
def test_hanging_up_is_a_refusal(end: type, pki: Pki) -> None:
    """Dovecot does it; a handshake on today's terms has just worked."""
    assert on_tls_port(pki, [pause(0.05), end()]).code == 0


def test_a_certificate_shown_is_acceptance(pki: Pki) -> None:
    """Though the handshake fails: it is our library that refuses the rest, not the server."""
    demanding = pki.demanding_legacy_client_certificate()
    done = on_tls_port(pki, [start_tls(demanding)])

    assert kinds(done) == ["legacy-tls"], done.out


def test_a_silent_server_proves_nothing(pki: Pki) -> None:
    """Never a false OK."""
    done = on_tls_port(pki, [silence()])

    assert (done.code, kinds(done)) == (2, ["timeout"])
    assert "an assertion (legacy-tls) could not be tried: " in done.verdict


def test_stls_must_be_taken_for_it(pki: Pki) -> None:
    """A refused STLS is no refused handshake."""
    aside = [GREETING, expect(b"STLS"), say(b"-ERR not now\r\n"), *BYE]
    with ScriptedServer(scripts=[upgraded(pki, *BYE), aside]) as server:
        done = check(server, *flags("stls", pki), "--reject-legacy-tls")

    assert (done.code, kinds(done)) == (2, ["no-stls"])
    assert "refuses STLS: not now" in done.verdict


def test_no_byte_follows_a_handshake_on_old_terms(pki: Pki) -> None:
    """Not even QUIT."""
    steps = [GREETING, expect(b"STLS"), say(b"+OK\r\n"), start_tls(pki.speaking_everything())]
    with ScriptedServer(scripts=[upgraded(pki, *BYE), [*steps, expect()]]) as server:
        done = check(server, *flags("stls", pki), "--reject-legacy-tls")

    assert kinds(done) == ["legacy-tls"]
    assert server.received_in_tls == b"CAPA\r\nQUIT\r\n"


@pytest.mark.parametrize("version", tls.LEGACY_VERSIONS)
def test_what_this_library_can_offer(version: str) -> None:
    """Here it can; the greeting that it would send shows so."""
    assert tls.can_offer(version)


def test_a_library_that_cannot_offer_it(monkeypatch: pytest.MonkeyPatch, pki: Pki) -> None:
    """UNKNOWN, never a false OK: with today's contexts in place of the old ones."""
    modern = tls.context(options.parse(["-H", "localhost", "-S", "--verify", "none"]).tls)
    monkeypatch.setattr(tls, "legacy_context", lambda _=None: modern)
    with PoliteServer({}, tls=pki.server("good")) as server:
        argv = f"-H 127.0.0.1 -p {server.port} -S --ca-file {pki.ca_file} --reject-legacy-tls"
        verdict = check_run(options.parse(argv.split()), Clock())

    assert verdict.state.name == "UNKNOWN"
    assert verdict.lines[0] == "kind: config"
    assert "TLS 1.0 cannot be offered by the TLS library of this machine" in verdict.status


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
def test_required_capabilities(wanted: str, missing: str | None, pki: Pki) -> None:
    """Judged on the list inside TLS; STLS counts as offered where it was used."""
    steps = upgraded(pki, *BYE)
    steps[-3] = say(b"+OK\r\nUSER\r\nRESP-CODES\r\nSASL PLAIN LOGIN\r\n.\r\n")
    with ScriptedServer(steps) as server:
        done = check(server, *flags("stls", pki), "--require-capa", wanted)

    assert done.code == (2 if missing else 0), done.out
    if missing:
        assert kinds(done) == ["no-capability"]
        assert done.verdict.endswith(f" does not offer {missing}")


def test_a_server_without_a_list_offers_nothing() -> None:
    """CAPA refused: what is required is missing."""
    with ScriptedServer([*NO_LIST, *BYE]) as server:
        done = check(server, "--require-capa", "UIDL")

    assert kinds(done) == ["no-capability"]
