"""The long output: the evidence, the chart of times."""

import pytest

from check_pop3_plus.messages import long_output
from check_pop3_plus.model.failures import Failure, Kind, Phase
from check_pop3_plus.model.report import Address, Chain, Lap, Report, Session
from check_pop3_plus.model.sanitised_text import printable
from tests.pki.certificate_facts import NOW, dates
from tests.support.settings_from import check_settings


@pytest.mark.parametrize(
    ("laps", "lines"),
    [
        ((), []),
        (
            ((Phase.CONNECT, 0.01), (Phase.TLS, 0.04), (Phase.GREETING, 10.0), (Phase.QUIT, 9.0)),
            [
                "time: connect   0.010 s #",
                "time: tls       0.040 s #",
                f"time: greeting 10.000 s {'#' * 40}",
            ],
        ),
        (
            ((Phase.CONNECT, 0.25), (Phase.CAPA, 0.25), (Phase.CAPA, 0.25)),
            [f"time: connect  0.250 s {'#' * 20}", f"time: capa     0.500 s {'#' * 40}"],
        ),
        (((Phase.CONNECT, 0.0),), ["time: connect  0.000 s #"]),
    ],
)
def test_chart_has_a_bar_for_each_phase_that_was_reached(
    laps: tuple[tuple[Phase, float], ...], lines: list[str]
) -> None:
    """The longest phase has the longest bar; QUIT has none."""
    session = Session(Address("192.0.2.1", 110))
    session.timeline.laps += [Lap(phase, seconds, ok=True) for phase, seconds in laps]
    report = Report((session,), (session,), None, None, None, NOW.timestamp())

    assert list(long_output.chart(report)) == lines


@pytest.mark.parametrize(
    ("is_about_certificate", "labels"),
    [(True, ["certificate", "issuer", "valid"]), (False, ["transcript"])],
)
def test_evidence_is_the_certificate_or_the_commands(
    is_about_certificate: bool, labels: list[str]
) -> None:
    """What does not bear on the finding is left out."""
    session = Session(Address("192.0.2.1", 110))
    leaf = dates(-30, 3)
    session.chain = Chain((leaf,), path=(leaf,))
    session.transcript.append(printable("S: +OK ready"))
    session.failure = Failure(Kind.NAME, Phase.TLS, printable("has another name"))
    report = Report((session,), (session,), None, None, None, NOW.timestamp())
    settings = check_settings(["-H", "pop.example.org", "-S"])

    evidence = long_output.Evidence(
        settings, report, (), "POP3 CRITICAL", is_about_certificate, False, None, str
    )

    assert [line.partition(":")[0] for line in evidence.lines()] == labels
