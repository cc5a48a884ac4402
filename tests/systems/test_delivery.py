"""Round trips through a real Postfix into a real Dovecot."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest

from check_pop3_plus.delivery import mailbox, probe_message
from check_pop3_plus.model.settings import RoundTrip, Secret, Smtp, Target
from tests.pki.certificates import Pki
from tests.servers import mail_system
from tests.servers.chroots import MAIL, NAME, PASSWORD
from tests.servers.dovecot import token
from tests.servers.mail_system import FOREIGN, MAILDIR, MailSystem
from tests.servers.scripted_server import dead_port
from tests.servers.token_endpoint import TokenEndpoint, granted
from tests.soak import roundtrip
from tests.support import fake_clock, faults
from tests.support.command import COMMAND, run

pytestmark = pytest.mark.real

Options = Callable[..., list[str]]

IDENTIFIER = "monitor/pop"


@pytest.fixture
def options(pki: Pki, tmp_path: Path) -> Options:
    """Return the options of a round trip; by default through port 25 without a login."""
    files = {"key": os.urandom(32).hex(), "password": PASSWORD}
    for name, content in files.items():
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(content + "\n")

    def made(system: MailSystem, *more: str, port: int = 0) -> list[str]:
        return [
            *("-H", NAME, "--connect-to", "127.0.0.1", "-S", "-p", str(system.tls)),
            *("--ca-file", str(pki.ca_file), "-U", "monitor"),
            *("--password-file", str(tmp_path / "password")),
            *("--round-trip-to", mail_system.ADDRESS, "--smtp-from", mail_system.SENDER),
            *("--round-trip-key-file", str(tmp_path / "key"), "--smtp-host", NAME),
            *("--round-trip-id", IDENTIFIER),
            *("--smtp-connect-to", "127.0.0.1", "--smtp-port", str(port or system.smtp), *more),
        ]

    return made


@pytest.fixture
def system(pki: Pki) -> Iterator[MailSystem]:
    with MailSystem.running(pki) as system:
        yield system


def aged_probe(folder: Path, age: float) -> bytes:
    """Return a probe that was sent `age` seconds ago, as it is in a mailbox."""
    smtp = Smtp(Target(NAME, 25), mail_system.SENDER)
    trip = RoundTrip(mail_system.ADDRESS, "", IDENTIFIER, smtp)
    key = Secret((folder / "key").read_bytes().split()[0])
    content = probe_message.compose(trip, key, time.time() - age)[1]
    return content.replace(b"\r\n", b"\n")


def settled(system: MailSystem, count: int) -> None:
    """Wait until the mailbox has so many messages."""
    deadline = time.monotonic() + 20
    while len(system.messages()) < count:
        assert time.monotonic() < deadline, system.log()
        time.sleep(0.05)


KINDS = [MailSystem, mail_system.WithVirtual, mail_system.WithExim]


@pytest.mark.parametrize("kind", KINDS)
def test_round_trip_keeps_one_probe_and_the_one_in_transit(
    kind: type[MailSystem], pki: Pki, options: Options
) -> None:
    """Threat T19: other mail stays as it is, byte for byte, with its flags."""
    with kind.running(pki) as system:
        before = system.foreign()
        assert len(before) == FOREIGN
        first = faults.honest(run(*options(system)))
        assert first.code == 0, first.out + system.log()
        assert "probe delivered in " in first.line
        for _ in range(5):
            settled(system, FOREIGN + 1)
            done = faults.honest(run(*options(system)))
            assert done.code == 0, done.out
            assert done.perfdata["messages"] == f"{FOREIGN};;;0"
            assert done.perfdata["probes_pending"] == "1;;;0"
            settled(system, FOREIGN + 2)

        assert len(system.messages()) == FOREIGN + 2
        assert system.foreign() == before


HASTY = ("--run-timeout", "7")
"""Time for one look at the mailbox after the submission."""


@pytest.mark.parametrize(
    ("kind", "expected", "logged", "queued"),
    [
        (mail_system.Deferred, "undelivered", "deferred transport", 1),
        (mail_system.Stopped, "undelivered", "cleanup", 1),
        (mail_system.Greylisting, "submission-temporary", "Greylisted", 0),
        (mail_system.Losing, "undelivered", "discard: header", 0),
        (mail_system.OverQuota, "undelivered", "552 5.2.2", 0),
        (mail_system.OverQuotaForNow, "undelivered", "452 4.2.2", 1),
        (mail_system.RefusedByQuota, "submission", "552 5.2.2", 0),
        (mail_system.SpamFolder, "undelivered", "stored mail into mailbox 'Junk'", 0),
    ],
)
def test_mail_that_does_not_arrive_is_reported_and_bounces_nowhere(
    kind: type[MailSystem],
    expected: str,
    logged: str,
    queued: int,
    pki: Pki,
    options: Options,
    tmp_path: Path,
) -> None:
    """WARNING if no probe was there, since it may be the first run; then CRITICAL."""
    with kind.running(pki) as system:
        before = system.foreign()
        first = faults.honest(run(*options(system, *HASTY)))
        system.log_since("", logged)
        assert len(system.queued()) == queued
        old = aged_probe(tmp_path, 7200)
        system.put(old)
        second = faults.honest(run(*options(system, *HASTY)))

        assert system.foreign() == before
        assert [text for text in system.messages() if text not in before.values()] == [old]
        assert "non-delivery notification" not in system.log()
        in_junk = [path for path in (system.root / MAILDIR).glob(".Junk/[cn]*/*") if path.is_file()]
        assert bool(in_junk) is (kind is mail_system.SpamFolder)

    assert faults.kinds(first) == faults.kinds(second) == [expected], first.out + second.out
    by_kind = {"undelivered": [1, 2], "submission": [2, 2], "submission-temporary": [1, 1]}
    assert [first.code, second.code] == by_kind[expected]


def test_lost_mail_is_waited_for_and_counted(pki: Pki, options: Options) -> None:
    """Until 38 s after the submission."""
    with mail_system.Losing.running(pki) as system:
        done = faults.honest(run(*options(system), timeout=70))

    assert done.code == 1
    assert done.line.startswith("POP3 WARNING - probe has not arrived")
    assert done.perfdata["probes_lost"] == "1;;;0"
    assert done.seconds > 38


def test_slow_mail_is_delayed(pki: Pki, options: Options) -> None:
    """Postfix waits before the second delivery; the run waits longer."""
    limits = ("--round-trip-wait", "18", "--delivery-warning", "5", "--delivery-critical", "60")
    with mail_system.Slow.running(pki) as system:
        first, second = (faults.honest(run(*options(system, *limits), timeout=60)) for _ in "12")

    assert first.code == 0, first.out
    assert faults.kinds(second) == ["delayed"], second.out
    assert second.code == 1
    assert 5 < float(second.perfdata["delivery"].partition("s")[0]) < 19


def test_mail_delivered_twice_leaves_one_probe(pki: Pki, options: Options) -> None:
    """The copies are deleted with the original."""
    with mail_system.Duplicating.running(pki) as system:
        before = system.foreign()
        for number in range(4):
            done = faults.honest(run(*options(system)))
            assert done.code == 0, done.out
            assert done.perfdata["messages"] == f"{FOREIGN};;;0"
            settled(system, FOREIGN + 2 + (number > 0))

        assert len(system.messages()) == FOREIGN + 3
        assert system.foreign() == before


def test_forged_probe_is_foreign_mail(system: MailSystem, options: Options, tmp_path: Path) -> None:
    """Threat T19: of another key, by the same way; neither counted nor deleted."""
    key = tmp_path / "key"
    own = key.read_text()
    key.write_text(os.urandom(32).hex())
    forged = aged_probe(tmp_path, 60).replace(b"Subject: ", b"X-Number: 9\nSubject: forged ")
    key.write_text(own)
    system.send(forged)
    settled(system, FOREIGN + 1)

    first = faults.honest(run(*options(system)))
    before = system.foreign()
    assert len(before) == FOREIGN + 1
    for _ in range(2):
        settled(system, FOREIGN + 2)
        done = faults.honest(run(*options(system)))
        assert done.code == 0, done.out
        assert done.perfdata["messages"] == f"{FOREIGN + 1};;;0"

    assert "probe delivered in " in first.line
    assert system.foreign() == before


def test_key_is_changed_without_an_alarm(
    system: MailSystem, options: Options, tmp_path: Path
) -> None:
    """The old key, on the second line, verifies the probes under way; then it can be removed."""
    key = tmp_path / "key"
    old, new = key.read_text(), f"{os.urandom(32).hex()}\n"
    run(*options(system))
    for lines in (old, new + old, new + old, new):
        key.write_text(lines)
        settled(system, FOREIGN + 1)
        done = faults.honest(run(*options(system)))
        assert done.code == 0, done.out
        assert done.perfdata["probes_pending"] == "1;;;0"
        assert done.perfdata["messages"] == f"{FOREIGN};;;0"


def test_two_monitors_share_a_mailbox(system: MailSystem, options: Options) -> None:
    """Their identifiers differ: neither deletes a probe of the other, at the same time too."""
    before = system.foreign()
    monitors = [options(system, "--round-trip-id", name) for name in ("a", "b")]
    for each in monitors:
        assert run(*each).code == 0
    for _ in range(5):
        time.sleep(1)
        with ThreadPoolExecutor() as pool:
            for done in pool.map(lambda each: faults.honest(run(*each)), monitors):
                assert done.code == 0, done.out
                assert done.perfdata["probes_pending"] == "1;;;0"
        settled(system, FOREIGN + 4)

    assert len(system.messages()) == FOREIGN + 4
    assert system.foreign() == before


@pytest.mark.parametrize("clock", ["+7200", "-7200"])
def test_wrong_clock_of_the_monitor_raises_no_alarm(
    clock: str, system: MailSystem, options: Options
) -> None:
    """Nor does its correction: a probe seems two hours old then, or to come from the future."""
    for environment in ({}, fake_clock.showing(clock), {}, fake_clock.showing(clock)):
        done = faults.honest(run(*options(system), env=environment, command=fake_clock.AWAKE))
        assert done.code == 0, done.out
        if "delivery" in done.perfdata:
            assert float(done.perfdata["delivery"].partition("s")[0]) < 20
    assert len(system.foreign()) == FOREIGN


MANY = 100_000


def test_large_mailbox_does_not_hide_the_probes(system: MailSystem, options: Options) -> None:
    """The probes are found among 100,000 other messages, within the time limit of an attempt."""
    first = system.root / MAILDIR / "cur" / "1600000000.M0P1.host,S=30,W=32:2,S"
    for number in range(MANY):
        if number % 50_000 == 0:  # file systems limit the links to one file
            first = first.with_name(f"{1_600_000_000 + number}.M0P1.host,S=30,W=32:2,S")
            system.write(f"{MAILDIR}/cur/{first.name}", "From: a@example.test\n\nX-Filler", MAIL)
        else:
            link = first.with_name(f"{1_600_000_000 + number}.M0P1.host,S=30,W=32:2,S")
            link.hardlink_to(first)
    for _ in range(3):
        done = faults.honest(run(*options(system, "-t", "40"), timeout=60))
        assert done.code == 0, done.out
        time.sleep(1)

    assert done.perfdata["messages"] == f"{MANY + FOREIGN};;;0"
    assert done.perfdata["probes_pending"] == "1;;;0"
    assert len(system.messages()) == MANY + FOREIGN + 2


# --- outages -----------------------------------------------------------------------------------


def test_outage_of_pop3_sends_no_mail(system: MailSystem, options: Options) -> None:
    """Down or hanging; after the recovery one probe is sent, and waited for if need be."""
    before = system.foreign()
    for number in range(10):
        is_down = number < 6
        if number == 6:
            hung = system.processes("dovecot", "pop3-login", "pop3")
            assert hung
            for process in hung:
                os.kill(process, signal.SIGSTOP)
        with dead_port() if is_down else nullcontext(system.tls) as port:
            done = faults.honest(run(*options(system, "-t", "3", "-p", str(port))))
        assert faults.kinds(done) == ["refused" if is_down else "timeout"], done.out
    assert ": client=" not in system.log()
    for process in hung:
        os.kill(process, signal.SIGCONT)

    for _ in range(2):
        done = faults.honest(run(*options(system)))
        assert done.code == 0, done.out
    assert system.log().count(": client=") == 2
    assert system.foreign() == before


def test_outage_of_delivery_ends_with_one_probe(pki: Pki, options: Options) -> None:
    """All queued probes arrive at once: nothing is sent until they are deleted."""
    count = mailbox.OWN_LIMIT + 5
    with mail_system.Deferred.running(pki) as system:
        before = system.foreign()
        for _ in range(count):
            run(*options(system, "--run-timeout", "4"))
        assert len(system.queued()) == count
        system.repair()
        settled(system, FOREIGN + count)

        done = faults.honest(run(*options(system)))
        assert faults.kinds(done) == ["not-deleted"], done.out
        assert f"{count} own probes in the mailbox" in done.line
        assert len(system.messages()) == FOREIGN + 1
        done = faults.honest(run(*options(system)))
        assert done.code == 0, done.out
        settled(system, FOREIGN + 2)
        assert system.foreign() == before


# --- submission --------------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["--smtp-starttls", "--smtp-ssl"])
def test_submission_port_takes_a_login_in_tls(
    link: str, system: MailSystem, options: Options, tmp_path: Path
) -> None:
    """Both ports refuse mail without a login."""
    port = system.submission if link == "--smtp-starttls" else system.smtps
    secret = ("--smtp-username", "monitor", "--smtp-password-file", str(tmp_path / "password"))

    refused = faults.honest(run(*options(system, link, port=port)))
    done = faults.honest(run(*options(system, link, *secret, port=port)))

    assert faults.kinds(refused) == ["submission"], refused.out
    assert done.code == 0, done.out + system.log()


@pytest.mark.parametrize("how", ["xoauth2", "oauthbearer"])
@pytest.mark.parametrize("is_shared", [False, True])
def test_submission_port_takes_a_token_that_was_fetched(
    how: str, is_shared: bool, pki: Pki, options: Options, tmp_path: Path
) -> None:
    """From a token endpoint, once, for SMTP alone or for both servers."""
    secret = tmp_path / "secret"
    secret.touch(mode=0o600)
    secret.write_text("of the client")
    with (
        mail_system.WithTokens.running(pki) as system,
        TokenEndpoint(granted(token("monitor")), tls=pki.server("good")) as endpoint,
    ):
        chosen = options(
            *(system, "--smtp-starttls", "--smtp-username", "monitor", "--smtp-auth", how),
            *("--oauth-token-url", endpoint.url, "--oauth-client-id", "a client"),
            *("--oauth-client-secret-file", str(secret), "--oauth-ca-file", str(pki.ca_file)),
            port=system.submission,
        )
        if is_shared:
            at = chosen.index("--password-file")
            chosen[at : at + 2] = ["--auth", how]
        done = faults.honest(run(*chosen))
        log = system.log()

    assert done.code == 0, done.out + log
    assert f"sasl_method={how.upper()}, sasl_username=monitor" in log
    assert len(endpoint.requests) == 1


def test_round_trips_change_no_other_mail(tmp_path: Path) -> None:
    """Threat T19: two monitors and new mail; `make soak PARTS=roundtrip` runs a thousand."""
    figure = roundtrip.measure("", 12, tmp_path)

    assert figure.defects == 0, figure.result
    assert figure.result.endswith("0 changes in 114 other messages, byte for byte")


def test_run_killed_at_any_moment_leaves_other_mail_unchanged(
    system: MailSystem, options: Options
) -> None:
    """Threat T19: the next complete run is back to the kept probe and the one in transit."""
    before = system.foreign()
    assert run(*options(system)).code == 0
    for number in range(20):
        process = subprocess.Popen(
            [COMMAND, *options(system, "--round-trip-wait", "1")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        time.sleep(0.25 + number * 0.04)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert system.foreign() == before
    time.sleep(2)
    assert run(*options(system)).code == 0
    settled(system, FOREIGN + 2)

    assert len(system.messages()) == FOREIGN + 2
    assert system.foreign() == before
