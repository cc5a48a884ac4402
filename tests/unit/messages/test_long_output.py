"""The long output: the chart of times."""

import pytest

from check_pop3_plus.messages import long_output
from check_pop3_plus.model.failures import Phase
from check_pop3_plus.model.report import Address, Lap, Report, Session
from tests.pki.certificate_facts import NOW


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
