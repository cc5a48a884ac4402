"""The lines of a diagnosis in the long output."""

from check_pop3_plus.diagnosis import section
from check_pop3_plus.diagnosis.findings import (
    Findings,
    LocalClock,
    Problem,
    ToolOutput,
    Version,
)
from check_pop3_plus.model.failures import Failure, Kind, Phase
from check_pop3_plus.model.report import Address, Session
from check_pop3_plus.model.sanitised_text import printable
from tests.pki.certificate_facts import NOW

PROBLEM = Problem(Phase.TLS, Kind.EXPIRED, None)


def test_lines_with_a_clock_show_the_local_time() -> None:
    """By a wrong clock a valid certificate has expired."""
    findings = Findings(PROBLEM, (LocalClock(NOW),))

    assert list(section.lines(findings)) == [
        "clock: the time of this machine is 2027-01-15 12:00 UTC"
    ]


def test_lines_of_versions_are_sorted_and_on_one_line() -> None:
    """Each TLS version is accepted, refused, silent, or not testable."""
    late, refused = (Failure(kind, None, printable("x")) for kind in (Kind.TIMEOUT, Kind.TLS))
    versions = (
        Version("1.3", printable("AES")),
        Version("1.2", failure=refused),
        Version("1.1", failure=late),
        Version("1.0"),
    )

    assert list(section.lines(Findings(PROBLEM, versions))) == [
        "versions: TLS 1.0 not supported by the local TLS library, 1.1 no answer, 1.2 refused,"
        " 1.3 accepted (AES)"
    ]


def test_lines_of_a_failed_tool_have_its_exit_code() -> None:
    """A killed program has no exit code; its output is shown."""
    target = printable("192.0.2.1")
    outputs = (ToolOutput("ping", target, 2), ToolOutput("mtr", target, None, (printable("x"),)))

    assert list(section.lines(Findings(PROBLEM, outputs))) == [
        "ping: exit code 2, target 192.0.2.1",
        "mtr: killed (too slow, or too much output), target 192.0.2.1",
        "mtr: x",
    ]


def test_lines_after_an_unaccepted_login_explain_the_missing_connections() -> None:
    """The reader must know why nothing was tested."""
    session = Session(Address("192.0.2.1", 110))
    session.login_began = True

    lines = list(section.lines(Findings(Problem(Phase.LOGIN, Kind.CREDENTIALS, session))))

    assert lines == ["connections: none opened after the login began"]
