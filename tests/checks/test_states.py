"""Options that change the state: expected greetings, thresholds, states of kinds."""

import pytest

from tests.pki.certificates import Pki
from tests.servers.scripted_server import ScriptedServer, expect, pause, say
from tests.support.faults import BYE, GREETING, LOGGED_IN, check, flags, kinds, served


@pytest.mark.parametrize(
    ("options", "state"),
    [
        (["-e", "ready"], 0),
        (["-e", "Dovecot"], 1),
        (["-e", "Dovecot", "-e", "ready"], 0),
        (["-e", "Dovecot", "-e", "ready", "-A"], 1),
        (["-e", "+OK", "-e", "ready", "--all"], 0),
        (["-e", "Dovecot", "-M", "crit"], 2),
        (["-e", "Dovecot", "--state", "expect=ok"], 0),
    ],
)
def test_expect_missing_text_is_warning(options: list[str], state: int) -> None:
    """As in check_pop."""
    with ScriptedServer([GREETING, *BYE]) as server:
        done = check(server, *options)

    assert done.code == state, done.out
    assert kinds(done) == (["expect"] if state else [])


@pytest.mark.parametrize(
    ("options", "state", "perfdata"),
    [
        (["-w", "5", "-c", "9"], 0, ";5;9;0;10"),
        (["-w", "0.05", "-c", "9"], 1, ";0.05;9;0;10"),
        (["-w", "0.01", "-c", "0.05"], 2, ";0.01;0.05;0;10"),
        (["-c", "@0:9"], 2, ";;@0:9;0;10"),
        (["-w", "-5:9", "-t", "7"], 0, ";-5:9;;0;7"),
    ],
)
def test_response_time_crossing_a_range_alerts(
    options: list[str], state: int, perfdata: str
) -> None:
    """Performance data have the thresholds, crossed or not."""
    with ScriptedServer([pause(0.1), GREETING, *BYE]) as server:
        done = check(server, *options)

    assert done.code == state, done.out
    assert done.perfdata["time"].partition("s")[2] == perfdata
    assert kinds(done) == (["slow"] if state else [])


def test_phase_threshold_crossed_names_the_phase() -> None:
    """Only the crossed threshold is reported."""
    with ScriptedServer([pause(0.1), GREETING, *BYE]) as server:
        done = check(server, "--phase-warning", "greeting=0.05", "--phase-critical=connect=5")

    assert done.line.startswith("POP3 WARNING - greeting took ")
    assert done.long[0] == "try: check the load and the log of the server"
    assert "(limit 0.05 s)" in done.line
    assert done.perfdata["time_greeting"].endswith("s;0.05;;0")
    assert done.perfdata["time_connect"].endswith("s;;5;0")


def test_slow_hint_is_about_the_phase_whose_limit_was_exceeded() -> None:
    """It is about neither the longest phase nor the load of the server."""
    with ScriptedServer([pause(0.1), GREETING, *BYE]) as server:
        done = check(server, "--phase-warning", "connect=0.000001")

    assert done.line.startswith("POP3 WARNING - connect took 0.00")
    assert done.long[0].startswith("try: so short a time depends on the load of this machine")


@pytest.mark.parametrize(
    ("options", "state", "kind"),
    [
        (["--messages-warning", "1"], 1, "messages"),
        (["--messages-critical", "@2"], 2, "messages"),
        (["--messages-warning", "5"], 0, None),
        (["--size-warning", "1K"], 0, None),
        (["--size-critical", "0.25K"], 2, "size"),
    ],
)
def test_mailbox_threshold_crossed_alerts(
    options: list[str], state: int, kind: str | None, pki: Pki
) -> None:
    """The numbers come from STAT after the login."""
    steps = [*LOGGED_IN, expect(b"STAT"), say(b"+OK 2 320\r\n"), *BYE]
    with served("tls", pki, steps, with_capa=True) as server:
        done = check(server, *flags("tls", pki, login=True), *options)

    assert done.code == state, done.out
    assert kinds(done) == ([kind] if kind else [])


def test_state_option_changes_the_state_of_a_kind() -> None:
    """`--state`, for a failure."""
    with ScriptedServer([say(b"-ERR no\r\n"), *BYE]) as server:
        as_warning = check(server, "--state", "greeting=warning")
        as_ok = check(server, "--state", "greeting=ok")

    assert as_warning.line.startswith("POP3 WARNING - server ")
    assert as_ok.code == 0


def test_worst_finding_is_the_state() -> None:
    """The other findings follow it."""
    with ScriptedServer([pause(0.1), GREETING, *BYE]) as server:
        done = check(server, "-e", "Dovecot", "-c", "0.01")

    assert done.line.startswith("POP3 CRITICAL - answered in ")
    assert kinds(done) == ["slow", "expect"]
    assert "greeting does not contain Dovecot: +OK ready" in done.line
