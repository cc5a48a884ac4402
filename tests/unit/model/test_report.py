"""The timeline of phases, and the seconds of a report."""

import pytest

from check_pop3_plus.model import report
from check_pop3_plus.model.failures import Failure, Kind, Phase, ProbeError
from check_pop3_plus.model.report import Address, Lap, Report, Session, Timeline
from check_pop3_plus.model.sanitised_text import Printable, printable


def test_timeline_failed_phase_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timeline keeps the phase that failed, and its time."""
    instants = iter((100.0, 103.0))
    monkeypatch.setattr(report, "Clock", lambda: next(instants))
    timeline = Timeline()

    with pytest.raises(ProbeError), timeline.phase(Phase.TLS):
        raise ProbeError(Kind.TLS, Printable("no"))

    assert timeline.failed is Phase.TLS
    assert timeline.laps == [Lap(Phase.TLS, 3.0, ok=False)]


def test_phases_that_come_twice_are_added_up() -> None:
    """`time_capa` adds up every CAPA (contract, section 3)."""
    session = Session(Address("192.0.2.1", 110))
    phases = ((Phase.CAPA, 1), (Phase.TLS, 2), (Phase.CAPA, 3), (Phase.QUIT, 4))
    session.timeline.laps += [Lap(phase, seconds, ok=True) for phase, seconds in phases]

    measured = Report((session,), (session,), None, None, None, 0.0).seconds()
    assert list(measured.items()) == [(Phase.TLS, 2), (Phase.CAPA, 4)]


def tried(began: float | None, ended: float | None, kind: Kind | None = None) -> Session:
    session = Session(Address("192.0.2.1", 110))
    session.began, session.ended = began, ended
    session.failure = Failure(kind, Phase.CONNECT, printable("failed")) if kind else None
    return session


LATE, REFUSED = tried(10.0, None, Kind.TIMEOUT), tried(12.5, None, Kind.REFUSED)
UNTRIED = tried(None, None, Kind.TIMEOUT)
WORKED, REJECTED = tried(12.75, 13.0), tried(12.75, 13.0, Kind.GREETING)


@pytest.mark.parametrize(
    ("sessions", "evaluated", "seconds"),
    [
        ((WORKED,), (WORKED,), None),
        ((LATE, REFUSED, WORKED), (WORKED,), 2.75),
        ((REFUSED, WORKED), (WORKED,), 0.25),
        ((LATE, REJECTED), (REJECTED,), 2.75),
        ((UNTRIED, LATE, WORKED), (WORKED,), 2.75),
        ((UNTRIED, WORKED), (WORKED,), None),
        ((WORKED, tried(12.8, None, Kind.TIMEOUT)), (WORKED,), None),
        ((LATE, REFUSED), (REFUSED,), None),
        ((LATE, WORKED), (LATE, WORKED), None),
        ((), (), None),
    ],
    ids=[
        *("one address", "two failed", "one refused", "the last failed later", "one untried"),
        *("only untried", "failed afterwards", "all failed", "all addresses", "no address"),
    ],
)
def test_report_seconds_lost_end_where_the_evaluated_session_begins(
    sessions: tuple[Session, ...], evaluated: tuple[Session, ...], seconds: float | None
) -> None:
    """Addresses cost time only if they failed before another one answered."""
    report = Report(sessions, evaluated, Lap(Phase.RESOLVE, 0.5, True), None, None, 0.0)

    assert report.seconds().get(Phase.FAILED) == seconds
    assert report.seconds()[Phase.RESOLVE] == 0.5


@pytest.mark.parametrize(
    ("name", "text"), [(None, "(unreadable)"), ("", "(empty)"), ("CN=x", "CN=x")]
)
def test_named_without_a_name_says_why(name: str | None, text: str) -> None:
    """A name that cannot be read differs from an empty one."""
    assert report.named(name) == text
