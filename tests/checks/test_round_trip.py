"""The round trip: a probe sent by SMTP, and found in the mailbox."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from check_pop3_plus.delivery import mailbox, probe_message, round_trip
from check_pop3_plus.model.settings import RoundTrip, Secret, Smtp, Target
from tests.pki.certificates import Pki
from tests.servers.mailbox_server import MailboxServer
from tests.servers.scripted_server import ScriptedServer, Step, dead_port, drop, expect, say
from tests.servers.smtp_server import SmtpServer
from tests.support import faults
from tests.support.catalogue import MODES
from tests.support.command import Run, run_in_process
from tests.support.faults import CANARY, GREETING, LOGGED_IN, flags, kinds

SENDER, RECIPIENT = "probe@example.test", "monitor@example.test"
KEY, OLD_KEY = os.urandom(32).hex(), os.urandom(32).hex()
ID = "monitor/pop.example.test"
FOREIGN = (
    b"From: a@example.test\nDate: Fri, 27 Nov 2026 09:55:06 +0000\nSubject: c4n4ry of mail\n\nx\n"
)

Play = Callable[..., Run]


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The instants of waiting in tenths of seconds."""
    monkeypatch.setattr(round_trip, "WAITS", (0.1, 0.3, 0.6, 0.9))
    monkeypatch.setattr(round_trip, "_LEAST_SESSION", 0.5)


def probe(age: float, key: str = KEY, identifier: str = ID, sender: str = SENDER) -> bytes:
    """Return a probe that arrived `age` seconds ago, as it is in the mailbox."""
    smtp = Smtp(Target("mx.example.test", 25), sender)
    trip = RoundTrip(RECIPIENT, "", identifier, smtp)
    then = time.time() - age
    content = probe_message.compose(trip, Secret(key.encode()), then)[1]
    return f"Received: by b; {formatdate(then)}\n".encode() + content.replace(b"\r\n", b"\n")


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    key = tmp_path / "key"
    key.touch(mode=0o600)
    key.write_text(f"{KEY}\n{OLD_KEY}\n")
    return [
        *("--round-trip-to", RECIPIENT, "--round-trip-key-file", str(key), "--round-trip-id", ID),
        *("--smtp-host", "localhost", "--smtp-from", SENDER, "--smtp-connect-to", "127.0.0.1"),
    ]


@pytest.fixture
def play(options: list[str], pki: Pki) -> Play:
    """Run a check, and assert what holds for every round trip."""

    def run(server: MailboxServer, smtp: SmtpServer | int, mode: str, *more: str) -> Run:
        foreign = [each for each in server.messages if FIELD not in each]
        port = smtp if isinstance(smtp, int) else smtp.port
        done = faults.honest(
            run_in_process(
                *("-H", "localhost", "--connect-to", server.address, "-p", str(server.port)),
                *(*flags(mode, pki, login=True), *options, "--smtp-port", str(port), "-vvv", *more),
                env={"CANARY": CANARY, "SMTP": f"{CANARY} too"},
            )
        )
        assert [each for each in server.messages if FIELD not in each] == foreign
        assert all(FIELD in each for each in server.deleted)
        for secret in ("c4n4ry of mail", KEY, OLD_KEY, KEY[:20]):
            assert secret not in done.out
        if not isinstance(smtp, int):
            assert len(smtp.mail) <= 1
        return done

    return run


FIELD = probe_message.FIELD.encode()


def serving(mode: str, pki: Pki, messages: list[bytes] = [], **quirks: Any) -> MailboxServer:  # noqa: B006
    good = pki.server("good")
    return MailboxServer(
        messages,
        tls=good if mode == "tls" else None,
        stls=good if mode == "stls" else None,
        **quirks,
    )


# --- the order of a run ------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(110, case="recent")
@pytest.mark.threat("T19", "T21")
def test_recent_probe_is_ok_and_replaced(mode: str, pki: Pki, play: Play) -> None:
    """All own probes but the newest are deleted, one is sent, and nothing is waited for."""
    old, newest = probe(700), probe(310)
    with serving(mode, pki, [old, FOREIGN, newest]) as server, SmtpServer(server.deliver) as smtp:
        done = play(server, smtp, mode)

    assert server.deleted == [old]
    assert server.messages[:2] == [FOREIGN, newest]
    assert len(smtp.mail) == 1
    assert len(server.logins) == 1
    assert done.perfdata["messages"] == "1;;;0"
    assert done.perfdata["probes_pending"] == "1;;;0"
    assert "delivery" not in done.perfdata
    assert "rcpt to:<monitor@example.test> notify=never" in [
        each.decode().lower() for each in smtp.commands
    ]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(110, case="first run")
def test_first_run_waits_for_its_own_probe(mode: str, pki: Pki, play: Play) -> None:
    """So that neither the first run nor one after a downtime raises an alarm."""
    for messages in ([FOREIGN], [probe(3 * 86400)]):
        with serving(mode, pki, messages) as server, SmtpServer(server.deliver) as smtp:
            done = play(server, smtp, mode)

        assert done.code == 0, done.out
        assert 0.1 <= float(done.perfdata["delivery"].partition("s")[0]) < 5
        assert len(server.logins) == 2


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(111, case="never any")
@pytest.mark.fault(111, case="no more")
@pytest.mark.threat("T21")
def test_probe_that_does_not_arrive_is_undelivered(mode: str, pki: Pki, play: Play) -> None:
    """WARNING without an earlier probe, CRITICAL with an old one; never more than five logins."""
    for messages in ([FOREIGN], [FOREIGN, probe(7200)]):
        with serving(mode, pki, messages) as server, SmtpServer() as smtp:
            done = play(server, smtp, mode)

        assert kinds(done) == ["undelivered"]
        assert done.perfdata["probes_lost"] == "1;;;0"
        assert len(server.logins) == 5


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(111, case="late")
def test_old_probe_within_the_critical_age_is_a_warning(mode: str, pki: Pki, play: Play) -> None:
    """Fault 111: 15 and 30 minutes by default."""
    with serving(mode, pki, [probe(1200)]) as server, SmtpServer() as smtp:
        assert play(server, smtp, mode).code == 1

    with serving(mode, pki, [probe(1200)]) as server, SmtpServer() as smtp:
        done = play(server, smtp, mode, "--probe-age-warning", "1h", "--probe-age-critical=2h")
    assert done.code == 0, done.out


# --- submission --------------------------------------------------------------------------------

REFUSALS = {
    "greeting": (b"554 5.7.0 no service\r\n", "submission"),
    "EHLO": (b"550 go away\r\n", "submission"),
    "MAIL": (b"550 5.7.1 sender rejected\r\n", "submission"),
    "RCPT": (b"450 4.2.0 greylisted, try again\r\n", "submission-temporary"),
    "DATA": (b"452 4.3.1 out of space\r\n", "submission-temporary"),
    "message": (b"554 5.7.1 spam\r\n", "submission"),
}


STEPS = {"greeting": "the greeting", "MAIL": "MAIL FROM", "RCPT": "RCPT TO", "message": "DATA"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "verb",
    [
        pytest.param(each, marks=pytest.mark.fault(112, case=case))
        for each, case in (
            *(("greeting", "refused"), ("EHLO", "refused"), ("MAIL", "refused")),
            *(("RCPT", "greylisted"), ("DATA", "greylisted"), ("message", "refused")),
        )
    ],
)
def test_submission_refused_is_by_the_first_digit(
    verb: str, mode: str, pki: Pki, play: Play
) -> None:
    """4xx is temporary, and its verdict is not that of the mailbox."""
    reply, kind = REFUSALS[verb]
    with serving(mode, pki) as server, SmtpServer(replies={verb: reply}) as smtp:
        done = play(server, smtp, mode)

    assert kinds(done) == [kind]
    assert f": {reply.decode().strip()}, at {STEPS.get(verb, verb)} on localhost:" in done.line
    assert len(server.logins) == 1
    assert smtp.commands[:1] in ([], [b"ehlo [127.0.0.1]"])


@pytest.mark.parametrize(
    "replies",
    [
        {"greeting": b""},
        {"EHLO": None},
        {"RCPT": b"\x00\xff\r\n"},
        {"MAIL": b"250-" + b"x" * 9000 + b"\r\n"},
        {"RCPT": b"250-x\r\n" * 60_000},
        {"message": b""},
    ],
    ids=["closed", "silent", "garbled", "long", "endless", "closed at the end"],
)
@pytest.mark.threat("T13", "T14")
def test_submission_at_a_hostile_server_is_submission(
    replies: dict[str, bytes | None], pki: Pki, play: Play
) -> None:
    """It ends in time, and the step is named."""
    with serving("plain", pki) as server, SmtpServer(replies=replies) as smtp:
        done = play(server, smtp, "plain", "-t", "2")

    assert kinds(done) == ["submission"]
    assert done.seconds < 6
    assert "submission failed: " in done.line
    is_late = replies == {"EHLO": None}
    assert ("no answer in time, at EHLO" in done.line) is is_late
    assert (" in time, at " in done.line) is is_late


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(112, case="no connection")
def test_submission_without_a_connection_is_critical(mode: str, pki: Pki, play: Play) -> None:
    """Fault 112: nothing listens."""
    with serving(mode, pki) as server, dead_port() as port:
        done = play(server, port, mode)

    assert kinds(done) == ["submission"]
    assert f"submission failed: connection refused on localhost:{port}" in done.line


LOGIN = ("--smtp-username", "sender", "--smtp-password-env", "SMTP")


@pytest.mark.parametrize("how", ["auto", "plain", "login", "xoauth2"])
@pytest.mark.parametrize("link", ["--smtp-ssl", "--smtp-starttls"])
@pytest.mark.threat("T8")
def test_submission_with_tls_logs_in(how: str, link: str, pki: Pki, play: Play) -> None:
    """The password is sent inside verified TLS, and is in no output when it is echoed."""
    good = pki.server("good")
    tls = {"tls": good} if link == "--smtp-ssl" else {"starttls": good}
    more = (link, *LOGIN, "--smtp-auth", how, "--smtp-ca-file", str(pki.ca_file))
    for password, expected in ((f"{CANARY} too", []), ("other", ["submission"])):
        with (
            serving("plain", pki, [probe(60)]) as server,
            SmtpServer(server.deliver, users={"sender": password}, **tls) as smtp,  # type: ignore[arg-type]
        ):
            done = play(server, smtp, "plain", *more)

        assert kinds(done) == expected, done.out
        assert smtp.logins == [b"sender"]
        assert (", at AUTH" in done.line) is bool(expected)
        assert expected or smtp.commands[-1].lower() == b"quit"


@pytest.mark.parametrize(
    ("how", "challenge", "reason"),
    [
        ("plain", b"eyJ9", "one more than this mechanism has"),
        ("login", b"Username:", "one more than this mechanism has"),
        ("xoauth2", b"A", "not base64"),
    ],
)
def test_submission_login_without_end_is_a_failure(
    how: str, challenge: bytes, reason: str, pki: Pki, play: Play
) -> None:
    """A challenge that the mechanism has no response to, in base64 or not."""
    more = ("--smtp-ssl", *LOGIN, "--smtp-auth", how, "--smtp-ca-file", str(pki.ca_file))
    with (
        serving("plain", pki, [probe(60)]) as server,
        SmtpServer(
            replies={"AUTH": b"334 " + challenge + b"\r\n"},
            users={"sender": CANARY},
            tls=pki.server("good"),
        ) as smtp,
    ):
        done = play(server, smtp, "plain", *more)

    assert kinds(done) == ["submission"]
    assert f"submission failed: server sent a malformed challenge: {reason}" in done.line


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("certificate", ["expired", "wrongname", "untrusted"])
@pytest.mark.fault(112, case="TLS")
@pytest.mark.threat("T4")
def test_submission_with_a_bad_certificate_sends_nothing(
    certificate: str, mode: str, pki: Pki, play: Play
) -> None:
    """Fault 112: no SMTP command follows the rejection."""
    context = pki.server(certificate)
    with serving(mode, pki, [probe(60)]) as server, SmtpServer(tls=context) as smtp:
        done = play(server, smtp, mode, "--smtp-ssl", "--smtp-ca-file", str(pki.ca_file), *LOGIN)

    assert kinds(done) == ["submission"]
    assert smtp.commands == []


@pytest.mark.threat("T1")
def test_submission_without_starttls_offered_sends_nothing(pki: Pki, play: Play) -> None:
    """There is no fallback to plain text."""
    with serving("plain", pki) as server, SmtpServer() as smtp:
        done = play(server, smtp, "plain", "--smtp-starttls", *LOGIN)

    assert kinds(done) == ["submission"]
    assert "does not offer STARTTLS" in done.line
    assert [each.split()[0].lower() for each in smtp.commands] == [b"ehlo"]


# --- deletion ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "quirk",
    [
        pytest.param(
            {"quit_reply": b"-ERR disk full\r\n"}, marks=pytest.mark.fault(113, case="QUIT")
        ),
        pytest.param({"quit_reply": b""}, marks=pytest.mark.fault(113, case="EOF")),
        pytest.param({"quit_reply": None}, marks=pytest.mark.fault(113, case="silence")),
        pytest.param({"delete_reply": b"-ERR no\r\n"}, marks=pytest.mark.fault(113, case="DELE")),
    ],
    ids=["QUIT", "EOF", "silence", "DELE"],
)
@pytest.mark.threat("T19")
def test_deletion_not_confirmed_is_not_deleted(
    quirk: dict[str, Any], mode: str, pki: Pki, play: Play
) -> None:
    """The age of the newest probe is not judged, since none is sent."""
    messages = [probe(9000), FOREIGN, probe(8000)]
    with serving(mode, pki, messages, **quirk) as server, SmtpServer(server.deliver) as smtp:
        done = play(server, smtp, mode, "--run-timeout", "3")

    assert kinds(done) == ["not-deleted"]
    assert smtp.mail == []
    assert server.messages == messages


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(113, case="too many")
def test_too_many_probes_are_deleted_and_none_is_sent(mode: str, pki: Pki, play: Play) -> None:
    """Fault 113: something keeps the mailbox from being emptied, or the probes are doubled."""
    messages = [probe(200 + number) for number in range(mailbox.OWN_LIMIT + 1)]
    with serving(mode, pki, messages) as server, SmtpServer(server.deliver) as smtp:
        done = play(server, smtp, mode)

    assert kinds(done) == ["not-deleted"]
    assert smtp.mail == []
    assert server.messages == [messages[0]]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(110, case="not our own")
@pytest.mark.threat("T19")
def test_probe_that_does_not_verify_is_foreign(mode: str, pki: Pki, play: Play) -> None:
    """Of another monitor, of another key, changed, doubled: never counted, never deleted."""
    good = probe(100)
    foreign = [
        probe(60, identifier="other/pop.example.test"),
        probe(60, key=os.urandom(32).hex()),
        probe(60, sender="other@example.test").replace(b"other@", b"probe@"),
        good.replace(b"Date: ", b"Date: Thu, 01 Jan 2026 00:00:00 -0000\nDate: "),
        good.replace(b"mac=", b"mac=0"),
        good.replace(FIELD, b"X-Other") + FIELD + b": in the body\n",
    ]
    with serving(mode, pki, [*foreign, good]) as server, SmtpServer(server.deliver) as smtp:
        done = play(server, smtp, mode)

    assert server.deleted == []
    assert done.perfdata["messages"] == "6;;;0"


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(110, case="old key")
def test_probe_of_the_old_key_and_a_double_are_own(mode: str, pki: Pki, play: Play) -> None:
    """The key in the second line verifies only; a mail server may deliver twice."""
    old, newest = probe(400, key=OLD_KEY), probe(200)
    double = b"X-Copy: 2\n" + newest
    folded = newest.replace(b"; mac", b";\n\tmac")
    with serving(mode, pki, [old, newest, double, folded]) as server, SmtpServer() as smtp:
        done = play(server, smtp, mode)

    assert done.code == 0, done.out
    assert len(server.messages) == 1
    assert len(server.deleted) == 3
    assert KEY.encode() not in smtp.mail[0]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(110, case="many messages")
@pytest.mark.parametrize("is_descending", [False, True])
def test_large_mailbox_is_searched_from_its_newest_message(
    is_descending: bool, mode: str, pki: Pki, play: Play
) -> None:
    """In a bounded number of messages, whatever the order of their numbers."""
    messages = [*[FOREIGN] * 100_000, probe(310)]
    with (
        serving(mode, pki, messages, is_descending=is_descending) as server,
        SmtpServer(server.deliver) as smtp,
    ):
        done = play(server, smtp, mode)

    assert done.code == 0, done.out
    assert sum(each.startswith(b"TOP ") for each in server.commands) == mailbox.SCAN_LIMIT
    assert "probes: 99901 messages not looked at, the oldest" in done.long


# --- waiting, and never sending ------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(114)
def test_slow_delivery_is_delayed(mode: str, pki: Pki, play: Play) -> None:
    """Fault 114: waited for in every run, by our own clock."""
    more = ("--round-trip-wait", "1", "--delivery-warning", "0.01", "--delivery-critical", "9")
    with serving(mode, pki, [probe(60)]) as server, SmtpServer(server.deliver) as smtp:
        done = play(server, smtp, mode, *more)

    assert kinds(done) == ["delayed"]
    assert done.code == 1


@pytest.mark.parametrize(
    ("quirk", "why"),
    [
        ({"capabilities": ["LOGIN-DELAY 300"]}, "because of LOGIN-DELAY of the server"),
        (
            {"login_replies": [b"+OK\r\n", b"-ERR [LOGIN-DELAY] x\r\n"]},
            "a further login was refused",
        ),
    ],
)
@pytest.mark.threat("T21")
def test_waiting_that_the_server_does_not_allow_is_noted(
    quirk: dict[str, Any], why: str, pki: Pki, play: Play
) -> None:
    """A refused further login never changes the verdict, and none follows it."""
    with serving("plain", pki, [probe(60)], **quirk) as server, SmtpServer(server.deliver) as smtp:
        done = play(server, smtp, "plain", "--round-trip-wait", "1")

    assert done.code == 0, done.out
    assert any(why in line for line in done.long)
    assert len(server.logins) <= 2


@pytest.mark.parametrize(
    "more", [("--all-addresses",), ("--round-trip-fetch-only",), ("--state", "not-deleted=ok")]
)
@pytest.mark.threat("T19")
def test_run_that_must_not_send_sends_nothing(
    more: tuple[str, ...], pki: Pki, options: list[str], play: Play
) -> None:
    """With all addresses, or where another program sends; with 51 probes whatever the state is."""
    many = 51 if more[0] == "--state" else 2
    if more == ("--round-trip-fetch-only",):
        at = options.index("--smtp-host")
        del options[at:]
    messages = [probe(60 + number) for number in range(many)]
    with serving("plain", pki, messages) as server, SmtpServer(server.deliver) as smtp:
        if "--round-trip-fetch-only" in more:
            done = faults.honest(
                run_in_process(
                    *("-H", "localhost", "--connect-to", server.address, "-p", str(server.port)),
                    *(*flags("plain", pki, login=True), *options, *more),
                    env={"CANARY": CANARY},
                )
            )
        else:
            done = play(server, smtp, "plain", *more)

    assert done.code == 0, done.out
    assert smtp.connections == 0
    assert len(server.messages) == 1


@pytest.mark.parametrize("login", [b"-ERR [AUTH] no\r\n", b"-ERR [SYS/TEMP] later\r\n"])
@pytest.mark.threat("T19", "T21")
def test_failed_session_sends_no_mail(login: bytes, pki: Pki, play: Play) -> None:
    """An outage of POP3, however long, fills no mailbox and no queue."""
    replies = [login] * 9
    more = ("--rechecks", "1", "--run-timeout", "6", "--diagnose")
    with serving("plain", pki, login_replies=replies) as server, SmtpServer() as smtp:
        done = play(server, smtp, "plain", *more)

    assert done.code != 0
    assert smtp.connections == 0


WEEKEND = 48 * 12
"""Runs in two days, one every five minutes."""

_OPEN = [GREETING, expect(b"CAPA"), say(b"+OK\r\nUSER\r\nTOP\r\n.\r\n")]
_AT_STAT = [*_OPEN, *LOGGED_IN, expect(b"STAT")]

OUTAGES: list[list[Step]] = [
    [],
    [say(b"-ERR [SYS/TEMP] down\r\n")],
    [drop()],
    [*_OPEN, *LOGGED_IN[:3], say(b"-ERR [AUTH] no\r\n")],
    [*_AT_STAT, say(b"-ERR [SYS/TEMP] no mailbox\r\n")],
    [*_AT_STAT, drop()],
    [*_AT_STAT, say(b"+OK 1 90\r\n"), expect(b"TOP"), drop()],
]
"""What the server does until it fails; at first nothing listens."""


@pytest.mark.threat("T19", "T21")
def test_weekend_of_pop3_outage_sends_no_mail(pki: Pki, options: list[str], play: Play) -> None:
    """No connection, no login, no mailbox: nothing is sent; after the recovery one probe."""

    with serving("plain", pki, [probe(2 * 86400)]) as server, SmtpServer(server.deliver) as smtp:
        for steps in OUTAGES:
            with ScriptedServer(steps) if steps else dead_port() as broken:
                port = broken if isinstance(broken, int) else broken.port
                for _ in range(WEEKEND // len(OUTAGES) + 1):
                    done = run_in_process(
                        *("-H", "localhost", "--connect-to", "127.0.0.1", "-p", str(port)),
                        *(*flags("plain", pki, login=True), *options),
                        *("--smtp-port", str(smtp.port)),
                        env={"CANARY": CANARY},
                    )
                    assert len(kinds(done)) == 1, done.out
        assert smtp.connections == 0
        done = play(server, smtp, "plain")

    assert done.code == 0, done.out
    assert len(smtp.mail) == 1
    assert "waited for the one of this run" in done.out
