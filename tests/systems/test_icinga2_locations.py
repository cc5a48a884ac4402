"""Several locations and their consensus, in Icinga 2."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from tests.pki.certificates import Pki
from tests.servers.dovecot import PERSONAS, Dovecot
from tests.servers.icinga2 import AGENT, MASTER, Icinga, Node, Result, dsl
from tests.support.command import COMMAND

pytestmark = pytest.mark.real

OK, WARNING, CRITICAL, UNKNOWN = range(4)
STATES = {"o": OK, "w": WARNING, "c": CRITICAL, "u": UNKNOWN}
WORDS = ["OK", "WARNING", "CRITICAL", "UNKNOWN"]

# Endpoints that never run: the tests submit their results through the API.
PLACES = ["a", "b", "c"]
ZONES = "\n".join(
    f'object Endpoint "{name}" {{ }}\n'
    f'object Zone "{name}" {{ endpoints = [ "{name}" ], parent = "{MASTER}" }}'
    for name in PLACES
)


def host(**entry: object) -> str:
    """Return the host `pop` with this entry of vars.pop3, and the user to notify."""
    return f"""
    object User "op" {{ email = "op@example.test" }}
    object Host "pop" {{
      import "pop3-host"
      address = "127.0.0.1"
      zone = "{MASTER}"
      vars.pop3["Mailbox"] = {dsl(entry | {"users": ["op"]})}
    }}
    """


def heard(node: Node, place: str, state: int, **more: object) -> None:
    """Submit a result of a location."""
    node.act(
        "process-check-result",
        f"pop!Mailbox at {place}",
        exit_status=state,
        plugin_output=f"POP3 {WORDS[state]} - said at {place}",
        **more,
    )


def consensus(icinga: Icinga, said: str, **entry: object) -> Result:
    """Return the consensus after each location had the state of its letter, or no result."""
    places = PLACES[: len(said)]
    entry = {"locations": places, "sensitivity": "very-high"} | entry
    with icinga.node(ZONES + host(**entry)) as node:
        for place, letter in zip(places, said, strict=True):
            if letter != "-":
                heard(node, place, STATES[letter])
        return node.check("pop!Mailbox")


@pytest.mark.parametrize(
    ("said", "needed", "state"),
    [
        ("ooo", None, OK),
        ("coo", None, OK),
        ("cco", None, CRITICAL),
        ("ccc", 3, CRITICAL),
        ("cco", 3, OK),
        ("coo", 1, CRITICAL),
        ("wwo", None, WARNING),
        ("cwo", None, WARNING),
        ("woo", None, OK),
        ("ccu", None, CRITICAL),
        ("cuo", None, OK),
        ("uuo", None, UNKNOWN),
        ("cuu", None, UNKNOWN),
        ("uuu", None, UNKNOWN),
        ("oo-", None, OK),
        ("cc-", None, CRITICAL),
        ("co", None, OK),
        ("cc", None, CRITICAL),
    ],
)
def test_consensus_needs_a_majority_or_the_given_number(
    icinga: Icinga, said: str, needed: int | None, state: int
) -> None:
    """More than half of the locations, or as many as configured."""
    entry = {} if needed is None else {"consensus": needed}
    result = consensus(icinga, said, **entry)

    assert result.state == state, result.output
    assert result.line.startswith(f"POP3 {WORDS[state]} - ")
    for place, letter in zip(PLACES, said, strict=False):
        if letter != "-":
            word = WORDS[STATES[letter]]
            assert f"\n{place}: {word}: POP3 {word} - said at {place}" in result.output


def test_consensus_shows_majority_and_perfdata(icinga: Icinga) -> None:
    """The status line is that of the majority."""
    result = consensus(icinga, "occ")

    assert result.output == (
        "POP3 CRITICAL - 2 of 3 locations: said at b \n"
        "a: OK: POP3 OK - said at a\n"
        "b: CRITICAL: POP3 CRITICAL - said at b\n"
        "c: CRITICAL: POP3 CRITICAL - said at c"
    )
    assert result.perfdata == [
        "locations_ok=1;;;0;3",
        "locations_warning=0;;;0;3",
        "locations_critical=2;;1;0;3",
        "locations_unknown=0;;;0;3",
    ]


def test_consensus_before_first_results_is_no_alert(icinga: Icinga) -> None:
    """A new check does not alert."""
    result = consensus(icinga, "c--")

    assert result.state == OK
    assert "waiting for the first results of 2 locations" in result.line


def test_consensus_ignores_old_results(icinga: Icinga) -> None:
    """A location without a recent result has no vote."""
    long_ago = time.time() - 3600
    with icinga.node(ZONES + host(locations=PLACES, sensitivity="very-high", consensus=2)) as node:
        for place in PLACES[:2]:
            heard(node, place, CRITICAL, execution_start=long_ago, execution_end=long_ago)
        heard(node, "c", OK)
        result = node.check("pop!Mailbox")

    assert result.state == UNKNOWN
    assert "only 1 of 3 locations can tell, 2 have to agree" in result.line
    assert "\na: UNKNOWN: no news for 60 minutes; last: POP3 CRITICAL" in result.output


def test_location_votes_after_its_retries(icinga: Icinga) -> None:
    """Only hard states count."""
    with icinga.node(ZONES + host(locations=PLACES[:2], sensitivity="high")) as node:
        for place in PLACES[:2]:
            heard(node, place, OK)
        states = []
        for _ in range(3):
            for place in PLACES[:2]:
                heard(node, place, CRITICAL)
            states.append(node.check("pop!Mailbox"))

    assert [result.state for result in states] == [OK, OK, CRITICAL]
    assert "\na: OK: (looking again) POP3 CRITICAL - said at a" in states[0].output


def test_only_consensus_sends_mail(icinga: Icinga) -> None:
    """One mail for all locations, none for a minority."""
    with icinga.node(ZONES + host(locations=PLACES, sensitivity="very-high")) as node:
        for place, state in zip(PLACES, (CRITICAL, OK, OK), strict=True):
            heard(node, place, state)
        assert node.check("pop!Mailbox").state == OK
        time.sleep(6)
        assert node.mails() == []
        heard(node, "b", CRITICAL)
        assert node.check("pop!Mailbox").state == CRITICAL
        [mail] = node.wait_for_mails(1)
        time.sleep(6)
        assert len(node.mails()) == 1

    assert mail["Subject"].endswith(" - PROBLEM: Mailbox on pop is CRITICAL")
    assert "c: OK: POP3 OK - said at c" in mail.get_content()


def test_satellite_receives_files_checks_and_votes(
    icinga: Icinga, dovecot: Dovecot, pki: Pki, tmp_path: Path
) -> None:
    """A satellite starts without any files."""
    # While this file exists, the satellite connects to another server.
    elsewhere = tmp_path / "elsewhere"
    plugin = tmp_path / "check_pop3_plus"
    plugin.write_text(
        "#!/bin/sh\n"
        f'[ ! -e {elsewhere} ] || set -- "$@" --connect-to {PERSONAS["expired"].address}\n'
        f'exec {COMMAND} "$@"\n'
    )
    plugin.chmod(0o755)
    entry = {
        "hostname": "pop.example.test",
        "connect_to": PERSONAS["good"].address,
        "port": dovecot.tls,
        "ssl": True,
        "ca_file": str(pki.ca_file),
        "sensitivity": "very-high",
        "locations": [MASTER, AGENT],
    }
    with contextlib.ExitStack() as nodes:
        nodes.enter_context(icinga.node(name=AGENT, zones={}, plugins=tmp_path))
        master = nodes.enter_context(icinga.node(zones={MASTER: host(**entry)}))
        master.wait_for_agent()
        # UNKNOWN (no such command) until the satellite has its configuration.
        master.check_until(f"pop!Mailbox at {AGENT}", OK)
        master.check_until(f"pop!Mailbox at {MASTER}", OK)
        assert master.check("pop!Mailbox").line.startswith("POP3 OK - all 2 locations agree")

        elsewhere.touch()
        failed = master.check(f"pop!Mailbox at {AGENT}")
        outvoted = master.check("pop!Mailbox")
        master.change(f"pop!Mailbox at {MASTER}", **{"vars.pop3_plus_connect_to": "127.0.0.3"})
        master.check(f"pop!Mailbox at {MASTER}")
        agreed = master.check("pop!Mailbox")
        [mail] = master.wait_for_mails(1)

    assert failed.state == CRITICAL
    assert failed.everything["check_source"] == AGENT
    assert outvoted.state == OK
    assert f"\n{AGENT}: CRITICAL: POP3 CRITICAL - certificate " in outvoted.output
    assert agreed.state == CRITICAL
    assert "2 of 2 locations: certificate expired " in agreed.line
    assert mail["Subject"].endswith(" - PROBLEM: Mailbox on pop is CRITICAL")
