"""State and output of hand-made reports: no network, no clock."""

import datetime as dt
from typing import Any

import pytest

from check_pop3_plus.check import run
from check_pop3_plus.check.default_states import POLICIES
from check_pop3_plus.check.verdict import Verdict
from check_pop3_plus.model.failures import Failure, Kind, Phase
from check_pop3_plus.model.report import (
    Address,
    CertificateFacts,
    Chain,
    Lap,
    Note,
    Report,
    Session,
    TlsFacts,
)
from check_pop3_plus.model.sanitised_text import Printable
from check_pop3_plus.model.settings import State
from check_pop3_plus.output.plugin_text import perfdata, render
from check_pop3_plus.probe import addresses
from tests.pki.certificate_facts import NOW, dates
from tests.support.settings_from import check_settings


def verdict(
    monkeypatch: pytest.MonkeyPatch,
    argv: str = "",
    *,
    failure: Failure | None = None,
    certificate: CertificateFacts | None = None,
    issuers: tuple[CertificateFacts, ...] = (),
    now: dt.datetime = NOW,
    elapsed: float | None = 0.0431,
    notes: tuple[Note, ...] = (),
    **attributes: Any,
) -> Verdict:
    """Return the verdict on a report with these facts."""
    session = Session(Address("192.0.2.1", 995))
    session.timeline.laps.append(Lap(Phase.CONNECT, 0.01, ok=True))
    session.failure = failure
    session.notes.extend(notes)
    if certificate:
        session.chain = Chain((certificate, *issuers), 0, (certificate, *issuers))
        session.tls = TlsFacts("TLSv1.3", "AES", (b"",), (), verified=True)
    for name, value in attributes.items():
        setattr(session, name, value)
    resolve = Lap(Phase.RESOLVE, 0.00012, ok=True)
    report = Report((session,), (session,), resolve, None, elapsed, now.timestamp())
    monkeypatch.setattr(addresses, "probe_addresses", lambda *_: report)
    settings = check_settings(["-H", "pop.example.org", "-S", *argv.split()])
    return run.run_check(settings, 0)


def test_run_check_success_prints_the_line_of_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    """The status line is that of the contract, section 3."""
    result = verdict(monkeypatch, "-w 2 -c 5 -D 60,14", certificate=dates(-30, 63.416))

    assert render(result) == (
        "POP3 OK - pop.example.org:995 answered in 0.043 s, TLSv1.3, certificate valid for 63 days"
        " (until 2027-03-19) | time=0.0431s;2;5;0;10 time_resolve=0.0001s;;;0"
        " time_connect=0.0100s;;;0 cert_days=63.41;60:;14:\n"
    )


def test_run_check_expiring_certificate_reports_days_and_date(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Contract, section 3."""
    result = verdict(monkeypatch, "-D 60", certificate=dates(-30, 13.5))

    assert result.state is State.WARNING
    assert result.status == ("certificate expires in 13 days, on 2027-01-29 00:00 UTC")
    assert result.suffix == " (pop.example.org:995)"


def failed(kind: Kind, phase: Phase | None = Phase.TLS, message: str = "did it") -> Failure:
    return Failure(kind, phase, Printable(message))


@pytest.mark.parametrize(
    "kind",
    [kind for kind in Kind if POLICIES[kind].state],
)
def test_run_check_every_kind_has_a_state_and_a_sentence(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user can change every state, except those of local kinds."""
    result = verdict(monkeypatch, failure=failed(kind))

    assert "pop.example.org" in result.suffix or "did it" in result.status
    if result.state is not State.OK:
        assert any(line.startswith(f"kind: {kind.value}") for line in result.long_output[:2])
    if kind not in (Kind.CONFIG, Kind.BUG, Kind.STOPPED):
        for state in State:
            argv = f"--state {kind.value}={state.name.lower()}"
            result = verdict(monkeypatch, argv, failure=failed(kind))
            assert result.state is state
            # In every state the failure is named.
            assert "did it" in result.status or "pop.example.org" in result.status
            assert ("treated as OK" in result.status) == (state is State.OK)


@pytest.mark.parametrize("kind", [Kind.EXPIRED, Kind.NOT_YET_VALID])
def test_run_check_implausible_clock_does_not_evaluate_dates(
    kind: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 68: rows 30 to 32 do not apply."""
    long_ago = dt.datetime(2001, 1, 1, tzinfo=dt.timezone.utc)

    rejected = verdict(
        monkeypatch, "-D 60", failure=failed(kind), certificate=dates(0, 90), now=long_ago
    )
    accepted = verdict(monkeypatch, "-D 60", certificate=dates(0, 90), now=long_ago)

    for result in (rejected, accepted):
        assert result.state is State.UNKNOWN
        assert result.status.startswith("local clock is implausible (2001-01-01 00:00 UTC)")
        assert result.long_output[0].startswith("kind: config")


def test_run_check_implausible_clock_keeps_other_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """CRITICAL is worse than UNKNOWN."""
    long_ago = dt.datetime(2001, 1, 1, tzinfo=dt.timezone.utc)

    result = verdict(
        monkeypatch, failure=failed(Kind.CREDENTIALS), certificate=dates(0, 9), now=long_ago
    )

    assert result.state is State.CRITICAL


def test_run_check_notes_are_printed_with_verbose_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """The output of an OK is one line."""
    notes = (Note(Kind.GOODBYE, Printable("no answer")),)

    assert verdict(monkeypatch, notes=notes).lines == ()
    assert "note: goodbye: no answer" in verdict(monkeypatch, "-v", notes=notes).lines


def test_run_check_figures_not_measured_are_absent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A figure without a value is left out, neither 0 nor U."""
    result = verdict(monkeypatch, failure=failed(Kind.REFUSED, Phase.CONNECT), elapsed=None)

    assert tuple(map(perfdata, result.figures)) == (
        "time_resolve=0.0001s;;;0",
        "time_connect=0.0100s;;;0",
    )
