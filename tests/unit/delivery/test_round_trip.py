"""A round trip by a clock of its own: when the mailbox is looked through, and what is concluded."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from check_pop3_plus.delivery import probe_message, round_trip
from check_pop3_plus.model.failures import Kind
from check_pop3_plus.model.report import (
    Address,
    DeliveryFacts,
    Note,
    ProbeFacts,
    Report,
    Session,
)
from check_pop3_plus.model.sanitised_text import printable
from check_pop3_plus.model.settings import (
    Grant,
    HttpsEndpoint,
    Limits,
    Login,
    RoundTrip,
    Secret,
    SecretSource,
    Settings,
    Smtp,
    Target,
)
from check_pop3_plus.net.smtp import Mail
from check_pop3_plus.pop3.message import fields
from check_pop3_plus.probe import addresses, oauth_token
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.support.deadline import Deadline

NOW = 1_000_000.0
KEYS = (b"0123456789abcdef" * 2, b"fedcba9876543210" * 2)
TARGET = Target("pop.example.test", 995)
GRANT = Grant(HttpsEndpoint("login.example.test", 443, "/"), "id")


def session(
    age: float | None = None, has_awaited: bool = False, login_delay: int | None = None
) -> Session:
    """Return a successful session a second ago whose newest probe is of this age."""
    made = Session(Address("192.0.2.1", 995))
    made.began = NOW - 1
    made.logged_in_as = printable("user")
    newest = None if age is None else NOW - age
    made.probes = ProbeFacts(found=1, newest=newest, has_awaited=has_awaited)
    if login_delay is not None:
        made.offered = frozenset({("LOGIN-DELAY", None), ("LOGIN-DELAY", str(login_delay))})
    return made


def report(*sessions: Session) -> Report:
    return Report(sessions, sessions[-1:], None, None, 0.1, NOW)


class World:
    """Time, the mail sent, and what each further login finds."""

    def __init__(self) -> None:
        self.now = NOW
        self.mail: list[Mail] = []
        self.logins: list[float] = []
        self.arrives_at: float | None = None
        self.refused: Report | None = None

    def pause(self, seconds: float) -> None:
        self.now += seconds

    def submit(self, _: Smtp, mail: Mail, *_others: object) -> None:
        self.mail.append(mail)

    def probe_addresses(self, *_: object) -> Report:
        self.logins.append(self.now - NOW)
        has_arrived = self.arrives_at is not None and self.now - NOW >= self.arrives_at
        return self.refused or report(session(has_awaited=has_arrived))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    monkeypatch.setattr(round_trip, "Clock", lambda: made.now)
    monkeypatch.setattr(round_trip, "pause", made.pause)
    monkeypatch.setattr(round_trip, "submit", made.submit)
    monkeypatch.setattr(addresses, "probe_addresses", made.probe_addresses)
    return made


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    file = tmp_path / "key"
    file.touch(mode=0o600)
    file.write_bytes(b"\n".join(KEYS) + b"\n")
    return str(file)


Complete = Callable[..., DeliveryFacts]


@pytest.fixture
def complete(world: World, key_file: str) -> Complete:
    """Return what a round trip concludes from a session."""

    def run(first: Session, wait: float = 0.0, end: float = 1000.0) -> DeliveryFacts:
        smtp = Smtp(Target("mx.example.test", 25), "from@example.test")
        trip = RoundTrip("to@example.test", key_file, "id", smtp, wait)
        known = Prerequisites(Settings(TARGET, limits=Limits(10, 1000)))
        work = round_trip.RoundTripWork(trip, known, Deadline(NOW + end))
        work.prepare(Deadline(NOW))
        delivery = work.complete(report(first)).delivery
        assert delivery is not None
        return delivery

    return run


# --- when the mailbox is looked through ----------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "wait", "logins"),
    [
        (300, 0, []),
        (900, 0, []),
        (901, 0, [3, 8, 18, 38]),
        (None, 0, [3, 8, 18, 38]),
        (300, 2, [2]),
        (300, 8, [3, 8]),
        (300, 50, [3, 8, 18, 50]),
        (901, 50, [3, 8, 18, 50]),
        (901, 2, [3, 8, 18, 38]),
    ],
)
def test_probe_is_waited_for_by_four_logins_at_most(
    age: float | None, wait: float, logins: list[float], complete: Complete, world: World
) -> None:
    """Where the newest one is too old, or the options say so."""
    facts = complete(session(age), wait)

    assert world.logins == logins
    assert len(world.mail) == 1
    assert (facts.is_sent, facts.is_judged) == (True, True)
    assert (facts.is_awaited, facts.seconds, facts.note) == (bool(logins), None, None)


@pytest.mark.parametrize(
    ("age", "note"),
    [
        (None, "waited for the one of this run: an earlier one was not there"),
        (1000, "waited for the one of this run: an earlier one was older than --probe-age-warning"),
        (10, None),
    ],
)
def test_probe_that_arrives_ends_the_wait(
    age: float | None, note: str | None, complete: Complete, world: World
) -> None:
    """The time is that of our own clock, from the submission to the login."""
    world.arrives_at = 4
    facts = complete(session(age), wait=20)

    assert world.logins == [3, 8]
    assert (facts.seconds, facts.is_awaited, facts.note) == (8.0, True, note)


@pytest.mark.parametrize(
    ("delay", "wait", "logins"),
    [
        (5, 8, [4, 9]),  # a second has passed since the first login
        (4, 3, [3]),
        (20, 3, [19]),
        (0, 8, [3, 8]),
    ],
)
def test_further_logins_keep_the_login_delay(
    delay: int, wait: float, logins: list[float], complete: Complete, world: World
) -> None:
    """RFC 2449 section 6.5: from one login to the next."""
    facts = complete(session(10, login_delay=delay), wait)

    assert world.logins == logins
    assert facts.is_awaited


@pytest.mark.parametrize(
    ("delay", "wait", "end", "logins", "why"),
    [
        (None, 3, 5, [3], None),
        (None, 3, 4.9, [], "--run-timeout"),
        (None, 8, 9, [3], "--run-timeout"),
        (3, 3, 4.9, [], "--run-timeout"),
        (300, 3, 60, [], "LOGIN-DELAY of the server"),
        (5, 8, 5.9, [], "LOGIN-DELAY of the server"),
    ],
)
def test_wait_that_does_not_fit_is_noted(
    delay: int | None,
    wait: float,
    end: float,
    logins: list[float],
    why: str | None,
    complete: Complete,
    world: World,
) -> None:
    """A session needs two seconds. What was not waited for is not lost."""
    facts = complete(session(10, login_delay=delay), wait, end)

    assert world.logins == logins
    assert facts.note == (why and f"not waited longer for the probe, because of {why}")
    assert facts.is_awaited is (why is None)


def test_login_delay_of_several_is_the_longest(complete: Complete, world: World) -> None:
    """RFC 2449 has one, and `USER` behind one that is not that of each user."""
    first = session(10)
    first.offered = frozenset({("LOGIN-DELAY", each) for each in ("5", "7", "USER", None)})
    complete(first, wait=3)

    assert world.logins == [6]


def test_refused_further_login_ends_the_wait(complete: Complete, world: World) -> None:
    """On any address: another one could lock the account."""
    refused = session()
    refused.login_began, refused.logged_in_as, refused.probes = True, None, None
    world.refused = report(refused, session())
    facts = complete(session(10), wait=20)

    assert world.logins == [3]
    assert facts.note == "not waited longer for the probe: a further login was refused"
    assert not facts.is_awaited


# --- what is sent, and what is not ---------------------------------------------------------------


def test_probe_is_signed_by_the_first_key(complete: Complete, world: World) -> None:
    """The second one is an older key, which only verifies."""
    complete(session(10))
    lines = world.mail[0].content.split(b"\r\n")
    trip = RoundTrip("to@example.test", "", "id")

    assert probe_message.recognise(lines, trip, [Secret(KEYS[0])])
    assert not probe_message.recognise(lines, trip, [Secret(KEYS[1])])
    assert dict(fields(lines))[b"to"] == b"to@example.test"


def test_mailbox_that_is_not_emptied_gets_no_probe(complete: Complete, world: World) -> None:
    """The age of the newest one is not judged, since none is sent."""
    first = session(9000)
    first.notes.append(Note(Kind.NOT_DELETED, printable("x")))
    facts = complete(first)

    assert (facts.is_judged, facts.is_sent, facts.newest) == (False, False, NOW - 9000)
    assert world.mail == []


def test_round_trip_that_only_fetches_is_judged(world: World, key_file: str) -> None:
    """By the age of the newest probe, which another program has sent."""
    trip = RoundTrip("to@example.test", key_file, "id")
    work = round_trip.RoundTripWork(trip, Prerequisites(Settings(TARGET)), Deadline(NOW))
    work.prepare(Deadline(NOW))
    delivery = work.complete(report(session(50))).delivery

    assert delivery is not None
    assert (delivery.age, delivery.is_judged, delivery.is_sent) == (50.0, True, False)
    assert world.mail == []


# --- secrets -------------------------------------------------------------------------------------


def prepared(
    key_file: str, source: SecretSource, own: Login | None = None, secret: Secret | None = None
) -> tuple[Secret | None, Prerequisites]:
    """Return the secret of the SMTP login."""
    smtp = Smtp(Target("mx.example.test", 25), "from@example.test", login=Login("smtp", source))
    trip = RoundTrip("to@example.test", key_file, "id", smtp)
    known = Prerequisites(Settings(TARGET, login=own), secret)
    work = round_trip.RoundTripWork(trip, known, Deadline(NOW))
    work.prepare(Deadline(time.monotonic() + 5))
    return work._smtp_secret, known


def test_password_and_keys_are_masked(key_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In what both servers say."""
    monkeypatch.setenv("SMTP_PASSWORD", "canary")
    secret, known = prepared(key_file, SecretSource(env="SMTP_PASSWORD"))

    assert secret is not None
    assert secret.reveal() == b"canary"
    assert known.sanitise(b"canary " + b" ".join(KEYS)) == "*** *** ***"


def test_token_of_the_smtp_login_is_fetched(key_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The secrets by which it was requested are masked, too."""
    fetched = Secret(b"token-1"), Secret(b"client-secret")
    monkeypatch.setattr(oauth_token, "fetch_token", lambda *_: fetched)
    password = Login("user", SecretSource(file="x"))
    secret, known = prepared(key_file, SecretSource(grant=GRANT), password)

    assert secret is fetched[0]
    assert known.sanitise(b"token-1, client-secret, " + KEYS[0]) == "***, ***, ***"


def test_token_of_the_pop3_login_serves_for_both(key_file: str) -> None:
    """One request of a token for each run."""
    own = Login("user", SecretSource(grant=GRANT), "xoauth2")
    token = Secret(b"token-1")

    assert prepared(key_file, SecretSource(grant=GRANT), own, token)[0] is token
