"""Checks of all addresses of a name, in parallel and in process, with a replaced resolver."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from check_pop3_plus.certificate import reader
from check_pop3_plus.check import run
from check_pop3_plus.check.verdict import Figure, Verdict
from check_pop3_plus.model.report import Address
from check_pop3_plus.model.settings import State
from check_pop3_plus.model.stopped import Stopped
from check_pop3_plus.net import resolve
from check_pop3_plus.output.plugin_text import perfdata as perfdata_text
from check_pop3_plus.output.plugin_text import render
from check_pop3_plus.probe import addresses
from tests.pki.certificates import Pki
from tests.servers.scripted_server import (
    PoliteServer,
    ScriptedServer,
    Server,
    dead_port,
    expect,
    say,
    silence,
)
from tests.support.faults import CANARY
from tests.support.settings_from import check_settings

USERS = {"monitor": CANARY}
WHERE = "pop.example.test:995"

_S = TypeVar("_S", bound=Server)


class Pool:
    """The addresses that the name has, one server each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, pki: Pki, folder: Path) -> None:
        self._stack = ExitStack()
        self._addresses: list[Address] = []
        self._pki = pki
        self._secret = folder / "secret"
        self._secret.touch(mode=0o600)
        self._secret.write_text(f"{CANARY}\n")
        monkeypatch.setattr(resolve, "look_up", lambda *_: tuple(self._addresses))

    def add(self, server: _S) -> _S:
        self._stack.enter_context(server)
        self._addresses.append(Address(server.address, server.port))
        return server

    def polite(self, number: int, certificate: str = "good") -> PoliteServer:
        return self.add(
            PoliteServer(USERS, tls=self._pki.server(certificate), address=f"127.0.0.{number}")
        )

    def dead(self, number: int) -> None:
        port = self._stack.enter_context(dead_port(f"127.0.0.{number}"))
        self._addresses.append(Address(f"127.0.0.{number}", port))

    def silent(self, number: int) -> None:
        self.add(ScriptedServer([silence()], address=f"127.0.0.{number}"))

    def attempt(self, argv: str = "--all-addresses", login: bool = False) -> Verdict:
        """Check the pool, and return the verdict."""
        words = f"-H pop.example.test -S --ca-file {self._pki.ca_file} {argv}"
        if login:
            words += f" -U monitor --password-file {self._secret}"
        settings = check_settings(words.split())
        return run.run_check(settings, time.monotonic())

    def close(self) -> None:
        self._stack.close()


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch, pki: Pki, tmp_path: Path) -> Iterator[Pool]:
    pool = Pool(monkeypatch, pki, tmp_path)
    try:
        yield pool
    finally:
        pool.close()


@contextmanager
def faster_than(seconds: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def perfdata(verdict: Verdict) -> dict[str, str]:
    return {
        label: value
        for label, _, value in (perfdata_text(each).partition("=") for each in verdict.figures)
    }


def kinds(verdict: Verdict) -> list[str]:
    return [re.split("[ ,]", line)[1] for line in verdict.long_output if line.startswith("kind: ")]


def test_all_addresses_good_is_ok(pool: Pool) -> None:
    """One line, and perfdata of each address behind the total."""
    for number in (1, 2, 3):
        pool.polite(number)
    verdict = pool.attempt()

    assert verdict.state is State.OK
    assert verdict.long_output == ()
    assert verdict.status.startswith(f"{WHERE} answered in 0.")
    assert " s on 3 addresses, TLSv1.3, certificate valid for 364 days (until 20" in verdict.status
    labels = list(perfdata(verdict))
    assert labels[:6] == [
        *("time", "time_resolve", "time_connect", "time_tls", "time_greeting", "cert_days")
    ]
    assert labels[6:] == [
        *(f"cert_days_127_0_0_{number}" for number in (1, 2, 3)),
        *(f"time_127_0_0_{number}" for number in (1, 2, 3)),
    ]
    slowest = max(float(perfdata(verdict)[label].partition("s")[0]) for label in labels[9:])
    assert float(perfdata(verdict)["time"].partition("s")[0]) >= slowest


def test_single_address_is_mentioned(pool: Pool) -> None:
    """A pool that has only one address should be noticed."""
    pool.polite(1)

    assert ", " in pool.attempt().status


def test_one_dead_address_is_named(pool: Pool) -> None:
    """The worst address decides the state; the others have their lines."""
    pool.polite(1)
    pool.dead(2)
    verdict = pool.attempt()

    assert verdict.state is State.CRITICAL
    assert verdict.status + verdict.suffix == f"connection refused ({WHERE}: 127.0.0.2)"
    lines = [line for line in verdict.lines if line.startswith("address: ")]
    assert lines[0].startswith("address: 127.0.0.1:")
    assert " OK in 0." in lines[0]
    assert ", certificate until 20" in lines[0]
    assert lines[1].endswith(" refused, in phase connect")
    assert "time_127_0_0_2" not in perfdata(verdict)


def test_same_failure_everywhere_is_reported_once(pool: Pool) -> None:
    """A line has only 200 characters."""
    for number in range(1, 7):
        pool.dead(number)

    verdict = pool.attempt()

    assert verdict.status == "connection refused"
    assert verdict.suffix == f" ({WHERE}: 127.0.0.1, 127.0.0.2, 127.0.0.3 and 3 more)"


def test_expired_certificate_of_one_address_is_found(pool: Pool, pki: Pki) -> None:
    """A common mistake: the certificate was renewed on two of three servers."""
    pki.expiring(5, 90)
    pool.polite(1)
    pool.polite(2, "expiring-5-90")
    pool.polite(3)
    verdict = pool.attempt("--all-addresses -D 30,7")

    assert verdict.state is State.CRITICAL
    assert verdict.status.startswith("certificate expires in 4 days, on 20")
    assert verdict.suffix == f" ({WHERE}: 127.0.0.2)"
    assert perfdata(verdict)["cert_days"].startswith("4.9")
    assert perfdata(verdict)["cert_days_127_0_0_2"].startswith("4.9")
    assert perfdata(verdict)["cert_days_127_0_0_3"].startswith("364.")
    assert any(line.startswith("about: 127.0.0.2:") for line in verdict.lines)


def test_untrusted_address_gets_no_password(pool: Pool) -> None:
    """Another address logs in, once."""
    servers = [pool.polite(1, "expired"), pool.polite(2), pool.polite(3)]
    verdict = pool.attempt(login=True)

    assert kinds(verdict) == ["expired"]
    assert servers[0].received_in_tls == b""
    assert sum(len(server.logins) for server in servers) == 1
    assert perfdata(verdict)["messages"] == "3;;;0"


@pytest.mark.threat("T21")
def test_rejected_login_is_not_repeated_on_another_address(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threat T21: one login per run, for any number of addresses."""
    servers = [pool.polite(number) for number in (1, 2, 3, 4)]
    for server in servers:
        server.users = {"monitor": "another"}
    verdict = pool.attempt(login=True)

    assert kinds(verdict) == ["credentials"]
    assert sum(len(server.logins) for server in servers) == 1


def test_min_addresses_reached_is_ok(pool: Pool) -> None:
    """`--min-addresses`: a pool may lose a server."""
    pool.polite(1)
    pool.dead(2)
    pool.polite(3)
    enough = pool.attempt("--all-addresses --min-addresses 2")
    noted = pool.attempt("--all-addresses --min-addresses 2 -v")
    warned = pool.attempt("--all-addresses --min-addresses 2 --state partial=warning")

    assert enough.state is State.OK
    assert " s on 2 of 3 addresses, " in enough.status
    assert enough.long_output == ()
    assert any(" refused, in phase connect" in line for line in noted.long_output)
    assert any(line.startswith("tls: TLSv1.3") for line in noted.long_output)
    assert (warned.state, kinds(warned)) == (State.WARNING, ["partial"])
    assert warned.status.endswith("connection refused")
    assert warned.suffix == f" ({WHERE}: 127.0.0.2)"


def test_min_addresses_reached_with_rejected_login_is_critical(pool: Pool) -> None:
    """Only one address has tried the login."""
    for number in (1, 2, 3):
        pool.polite(number).users = {}

    assert kinds(pool.attempt("--all-addresses --min-addresses 1", login=True)) == ["credentials"]


def test_min_addresses_reached_when_stopped_is_unknown(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stopped check is not complete."""
    pool.polite(1)

    def stopped(*_: object) -> None:
        raise Stopped

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "join", stopped)
        verdict = pool.attempt("--all-addresses --min-addresses 1")

    assert kinds(verdict) == ["stopped"]


def test_min_addresses_not_reached_is_too_few(pool: Pool) -> None:
    """Two of three should be good, and one is."""
    pool.dead(1)
    pool.polite(2)
    pool.dead(3)
    verdict = pool.attempt("--all-addresses --min-addresses 2")

    assert verdict.state is State.CRITICAL
    assert kinds(verdict) == ["refused", "too-few"]
    assert verdict.status.endswith("; 1 of 3 addresses answered (limit 2)")


def test_min_addresses_more_than_in_dns_is_too_few(pool: Pool) -> None:
    """All addresses work, but the zone has lost one."""
    pool.polite(1)
    verdict = pool.attempt("--all-addresses --min-addresses 2")

    assert (verdict.state, kinds(verdict)) == (State.CRITICAL, ["too-few"])
    assert verdict.status == "1 of 1 addresses answered (limit 2)"


def test_min_addresses_reached_with_expiring_certificate_is_reported(pool: Pool, pki: Pki) -> None:
    """Enough good addresses do not hide an expiring certificate."""
    pki.expiring(5, 90)
    pool.polite(1)
    pool.polite(2, "expiring-5-90")

    assert kinds(pool.attempt("--all-addresses --min-addresses 1 -D 30")) == ["expiring"]


def test_silent_addresses_take_one_timeout(pool: Pool) -> None:
    """In parallel, eight take no longer than one."""
    pool.polite(1)
    for number in range(2, 10):
        pool.silent(number)
    with faster_than(2.0):
        verdict = pool.attempt("--all-addresses -t 1")

    assert verdict.status.startswith("no answer within 1 s during the TLS handshake")
    assert verdict.suffix.startswith(f" ({WHERE}: 127.0.0.2, ")
    assert verdict.suffix.endswith(" and 5 more)")


def test_response_time_is_of_the_slowest_address(pool: Pool) -> None:
    """The last reply counts; for a phase, the slowest address."""
    pool.polite(1)
    pool.polite(2)
    verdict = pool.attempt("--all-addresses -w 0.000001 --phase-warning tls=0.000001")

    assert verdict.state is State.WARNING
    assert kinds(verdict) == ["slow"]


def test_assertions_are_tested_on_each_address(pool: Pool, pki: Pki) -> None:
    """A server that still accepts old TLS is found."""
    pool.polite(1)
    pool.add(PoliteServer(USERS, tls=pki.speaking_everything(), address="127.0.0.2"))
    verdict = pool.attempt("--all-addresses --reject-legacy-tls")

    assert kinds(verdict) == ["legacy-tls"]
    assert verdict.status == "server still accepts TLS 1.0 and TLS 1.1"
    assert verdict.suffix == f" ({WHERE}: 127.0.0.2)"


def test_capabilities_are_required_of_each_address(pool: Pool, pki: Pki) -> None:
    """The address is named, not only the host name."""
    pool.polite(1)
    steps = [say(b"+OK\r\n"), lambda connection: connection.line() and None]
    pool.add(
        ScriptedServer(
            [*steps, say(b"+OK\r\nUSER\r\n.\r\n")], tls=pki.server("good"), address="127.0.0.2"
        )
    )
    verdict = pool.attempt("--all-addresses --require-capa UIDL")

    assert verdict.status + verdict.suffix == f"capabilities lack UIDL ({WHERE}: 127.0.0.2)"


def test_bug_in_a_thread_is_raised(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends the run like one in the main thread."""
    pool.polite(1)
    pool.polite(2)

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(addresses, "run_session", broken)

    with pytest.raises(ZeroDivisionError):
        pool.attempt()


def test_too_many_addresses_is_config(pool: Pool) -> None:
    """UNKNOWN with the number, not an OK about some of them."""
    for _ in range(129):
        pool._addresses.append(Address("127.0.0.1", 1))
    verdict = pool.attempt()

    assert (verdict.state, kinds(verdict)) == (State.UNKNOWN, ["config"])
    assert verdict.status == "config: 129 addresses are more than 128 at a time"


@pytest.mark.parametrize(("count", "noted"), [(32, False), (33, True)])
def test_addresses_that_are_never_tried_are_noted(pool: Pool, count: int, noted: bool) -> None:
    """Otherwise a name with more addresses would seem to have been tried as a whole."""
    pool._addresses += [Address("127.0.0.1", 1)] * count
    verdict = pool.attempt("-t 10")

    note = f"note: of {count} addresses only the first 32 are tried"
    assert (verdict.state, kinds(verdict)) == (State.CRITICAL, ["refused"])
    assert (note in verdict.lines) is noted


def test_address_without_mechanism_leaves_login_to_next(pool: Pool, pki: Pki) -> None:
    """The next address logs in; an address without a login is not OK."""
    steps = [say(b"+OK\r\n"), expect(b"CAPA"), say(b"+OK\r\nSASL GSSAPI\r\n.\r\n")]
    pool.add(ScriptedServer(steps, tls=pki.server("good"), address="127.0.0.1"))
    second = pool.polite(2)
    verdict = pool.attempt("-v", login=True)

    assert verdict.state is State.OK
    assert ", user monitor logged in" in verdict.status
    assert second.logins == ["monitor"]


def test_certificates_slow_to_read_are_limited_by_deadline(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read within the deadline of the attempt."""
    pool.polite(1)
    monkeypatch.setattr(reader, "read_chain", lambda *_: time.sleep(5))
    with faster_than(2.0):
        verdict = pool.attempt("--all-addresses -t 1")

    assert kinds(verdict) == ["timeout"]


def test_perfdata_of_hundred_addresses_is_limited() -> None:
    """Contract, section 3: 4 KiB in all; the output says what is left out."""
    figures = tuple(Figure(f"time_192_0_2_{n}", 0.0431, "s", min=0) for n in range(200))
    text = render(Verdict(State.OK, "fine", figures, ("line: x",)))
    first, more, *_ = text.splitlines()

    assert len(text) < 4096
    assert first.startswith("POP3 OK - fine | time_192_0_2_0=0.0431s;;;0 time_192_0_2_1=")
    left_out = 200 - first.count("=")
    assert more == f"more: {left_out} figures left out"


def test_all_addresses_with_different_findings_names_the_address_of_each(pool: Pool) -> None:
    """The administrator sees which server to examine."""
    pool.dead(1)
    pool.polite(2, "expired")
    pool.polite(3)
    pool.dead(4)
    verdict = pool.attempt()

    refused, expired = verdict.status.split("; ")
    assert refused == "connection refused at 127.0.0.1, 127.0.0.4"
    assert re.fullmatch(r"certificate expired 2 days ago, on \S+ \S+ UTC at 127.0.0.2", expired)
    assert verdict.suffix == f" ({WHERE})"


def test_all_addresses_with_the_same_findings_names_them_once(pool: Pool) -> None:
    """The place has the addresses."""
    for number in (1, 2, 3):
        pool.dead(number)
    verdict = pool.attempt()

    assert verdict.status == "connection refused"
    assert verdict.suffix == f" ({WHERE}: 127.0.0.1, 127.0.0.2, 127.0.0.3)"
