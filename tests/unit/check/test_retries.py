"""Retries: when, how often, and the output about them."""

import pytest

from check_pop3_plus.check import retries
from check_pop3_plus.check.default_states import POLICIES
from check_pop3_plus.check.retries import Attempt
from check_pop3_plus.model.failures import Failure, Kind, Phase
from check_pop3_plus.model.report import Address, Report, Session
from check_pop3_plus.model.sanitised_text import Printable
from check_pop3_plus.model.settings import Limits, State
from tests.pki.certificate_facts import NOW


def attempt(
    *kinds: Kind,
    state: State = State.CRITICAL,
    deciding: tuple[Kind, ...] | None = None,
    login: Kind | None = None,
    may_log_in_again: bool = False,
) -> Attempt:
    """Return an attempt with these findings; `login`: the kind that its login failed with."""
    session = Session(Address("192.0.2.1", 110))
    if login:
        session.login_began = True
        session.may_log_in_again = may_log_in_again
        session.failure = Failure(login, Phase.LOGIN, Printable("x"))
    report = Report((session,), (session,), None, None, None, NOW.timestamp())
    return Attempt(
        state, "status", ("x",), "", (), kinds, kinds if deciding is None else deciding, report
    )


@pytest.mark.parametrize("kind", Kind)
def test_why_final_transient_kind_is_retried(kind: Kind) -> None:
    """Only the table decides where no login was tried."""
    assert (retries.why_final(attempt(kind)) is None) == POLICIES[kind].is_transient


@pytest.mark.parametrize("kind", Kind)
def test_why_final_failed_login_is_not_repeated(kind: Kind) -> None:
    """Not even with a transient kind: it may have been found in words that were misunderstood."""
    assert retries.why_final(attempt(kind, login=kind)) is not None


@pytest.mark.parametrize("kind", Kind)
def test_why_final_secret_not_the_reason_is_repeated(kind: Kind) -> None:
    """Only the table decides where a response code says so, or no secret was sent."""
    again = retries.why_final(attempt(kind, login=kind, may_log_in_again=True)) is None

    assert again == POLICIES[kind].is_transient


def test_why_final_accepted_login_is_repeated() -> None:
    """Successful logins lock no account."""
    seen = attempt(Kind.MAILBOX, login=Kind.MAILBOX)
    seen.report.sessions[0].logged_in_as = Printable("monitor")

    assert retries.why_final(seen) is None


def test_why_final_worst_findings_decide() -> None:
    """A certificate that expires soon does not prevent retries of a refused connection."""
    both = attempt(Kind.SLOW, Kind.EXPIRING, deciding=(Kind.SLOW,))

    assert retries.why_final(both) is None
    assert retries.why_final(attempt(Kind.SLOW, Kind.EXPIRING)) == (
        "expiring does not pass within seconds"
    )


GOOD = attempt(state=State.OK)
BAD = attempt(Kind.REFUSED)


@pytest.mark.parametrize(
    ("taken", "left", "why"),
    [
        ([BAD], 99, None),
        ([BAD, BAD], 99, None),
        ([BAD], 11.6, None),
        ([BAD, BAD, BAD], 99, ""),
        ([GOOD], 99, ""),
        ([BAD, GOOD], 99, ""),
        ([BAD], 11.4, "2 of 3 did not fit into --run-timeout (50 s)"),
        ([BAD, BAD], 0, "1 of 3 did not fit into --run-timeout (50 s)"),
        ([attempt(Kind.EXPIRED)], 99, "1 of 3 made: expired does not pass within seconds"),
        (
            [BAD, attempt(Kind.CREDENTIALS, login=Kind.CREDENTIALS)],
            99,
            "2 of 3 made: a login that was not accepted is never repeated",
        ),
    ],
)
def test_why_no_retry_names_the_reason(taken: list[Attempt], left: float, why: str | None) -> None:
    """None means that a retry is due; empty means that all attempts were made."""
    assert retries.why_no_retry(taken, Limits(10, 50, 2), left) == why


@pytest.mark.parametrize(
    ("taken", "rechecks", "texts"),
    [
        ([BAD], 0, []),
        ([GOOD], 2, []),
        ([BAD], 2, ["1 of 1 attempt failed"]),
        ([BAD, GOOD], 2, ["1 of 2 attempts failed"]),
        ([BAD, BAD, BAD], 2, ["3 of 3 attempts failed"]),
        ([BAD, attempt(Kind.STOPPED, state=State.UNKNOWN)], 2, ["1 of 1 attempt failed"]),
        ([attempt(Kind.CONFIG, state=State.UNKNOWN)], 2, []),
    ],
)
def test_remarks_count_the_failed_attempts(
    taken: list[Attempt], rechecks: int, texts: list[str]
) -> None:
    """Only with --rechecks, before those of the last attempt; a local failure does not count."""
    assert retries.remarks(taken, Limits(10, 50, rechecks)) == (*texts, "x")
