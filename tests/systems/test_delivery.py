"""Round trips through a real Postfix into a real Dovecot."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pki.certificates import Pki
from tests.servers import exim, mail_system
from tests.servers.chroots import NAME, PASSWORD
from tests.servers.dovecot import PASSWORDS, Dovecot, check_at
from tests.servers.mail_system import FOREIGN, MailSystem
from tests.support import faults
from tests.support.command import COMMAND, Run, run

pytestmark = pytest.mark.real

Options = Callable[..., list[str]]


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
            *("--smtp-connect-to", "127.0.0.1", "--smtp-port", str(port or system.smtp), *more),
        ]

    return made


@pytest.fixture
def system(pki: Pki) -> Iterator[MailSystem]:
    with MailSystem.running(pki) as system:
        yield system


def settled(system: MailSystem, count: int) -> None:
    """Wait until the mailbox has so many messages."""
    deadline = time.monotonic() + 20
    while len(system.messages()) < count:
        assert time.monotonic() < deadline, system.log()
        time.sleep(0.05)


@pytest.mark.parametrize("kind", [MailSystem, mail_system.WithVirtual])
def test_round_trip_keeps_one_probe_and_the_one_in_transit(
    kind: type[MailSystem], pki: Pki, options: Options
) -> None:
    """Threat T19: other mail stays as it is, byte for byte, with its flags."""
    with kind.running(pki) as system:
        before = system.foreign()
        assert len(before) == FOREIGN
        first = faults.honest(run(*options(system)))
        assert first.code == 0, first.out + system.log()
        assert "probe delivered in 3." in first.line
        for _ in range(5):
            settled(system, FOREIGN + 1)
            done = faults.honest(run(*options(system)))
            assert done.code == 0, done.out
            assert done.perfdata["messages"] == f"{FOREIGN};;;0"
            assert done.perfdata["probes_pending"] == "1;;;0"
            settled(system, FOREIGN + 2)

        assert len(system.messages()) == FOREIGN + 2
        assert system.foreign() == before


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (mail_system.Deferred, "undelivered"),
        (mail_system.Stopped, "undelivered"),
        (mail_system.Greylisting, "submission-temporary"),
    ],
)
def test_mail_that_does_not_arrive_is_a_warning_at_first(
    kind: type[MailSystem], expected: str, pki: Pki, options: Options
) -> None:
    """Nothing has arrived before: the first run never raises an alarm."""
    with kind.running(pki) as system:
        done = faults.honest(run(*options(system), timeout=70))

    assert faults.kinds(done) == [expected], done.out + system_log(done)
    assert done.code == 1


def system_log(done: Run) -> str:
    return f" after {done.seconds:.0f} s"


def test_round_trip_through_exim_keeps_one_probe(
    dovecot: Dovecot, pki: Pki, tmp_path: Path
) -> None:
    """Its delivery adds fields above those of the probe."""
    key, password = tmp_path / "key", tmp_path / "password"
    for file, content in ((key, os.urandom(32).hex()), (password, PASSWORDS["empty"])):
        file.touch(mode=0o600)
        file.write_text(content)
    with exim.running(dovecot, "empty") as port:
        for text in ("probe delivered in 3.", "probe of ", "probe of "):
            done = check_at(
                *(dovecot, pki, "good", "-U", "empty", "--password-file", str(password)),
                *("--round-trip-to", mail_system.ADDRESS, "--smtp-from", mail_system.SENDER),
                *("--round-trip-key-file", str(key), "--smtp-host", "127.0.0.1"),
                *("--smtp-port", str(port)),
            )
            assert done.code == 0, done.out
            assert text in done.line
            assert done.perfdata["messages"] == "0;;;0"
            time.sleep(1)
    found = [text for text in dovecot.mailbox("empty").values() if b"X-Check-Pop3-Plus" in text]
    assert len(found) == 2
    assert all(b"Delivery-date: " in text for text in found)


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
