"""The catalogue of faults and threats is complete: tests prove every row."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from check_pop3_plus.check.default_states import POLICIES
from check_pop3_plus.model.failures import Kind
from tests.support import claims
from tests.support.catalogue import FAULTS, MODES, THREATS, Outcome
from tests.support.command import Run

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def claimed(request: pytest.FixtureRequest) -> list[tuple[str, ...]]:
    """Return the claims of all tests, whichever run now."""
    items = request.session.items
    option = request.config.getoption
    is_part = option("markexpr") or option("keyword") or {*claims.files()} - {i.path for i in items}
    if not is_part:
        return list(claims.rows(items))
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.claims"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return [
        tuple(line.split("\t"))
        for line in done.stdout.splitlines()
        if line.startswith(("fault", "threat"))
    ]


def test_every_fault_has_a_test_in_every_mode(claimed: list[tuple[str, ...]]) -> None:
    """Every case of every fault, in every mode where it can occur."""
    have = {(int(row[1]), row[3], row[2]) for row in claimed if row[0] == "fault"}
    want = {
        (number, case, mode)
        for number, row in FAULTS.items()
        for case in row.cases
        for mode in row.modes_of(case) or ("-",)
    }

    assert sorted(want - have) == []
    assert have <= want


def test_every_threat_has_enough_tests(claimed: list[tuple[str, ...]]) -> None:
    """At least as many as the catalogue asks for."""
    have = Counter(row[1] for row in claimed if row[0] == "threat")

    assert {name: have[name] for name, each in THREATS.items() if have[name] < each.at_least} == {}


def test_catalogue_states_are_default_states() -> None:
    """The state that a row expects of a kind is the default state of that kind."""
    # A crossed threshold gives the state, or the age of the newest probe.
    of_thresholds = {kind for kind, policy in POLICIES.items() if policy.state is None}
    of_thresholds.add(Kind.UNDELIVERED)
    states = {
        (outcome.kind, outcome.state)
        for row in FAULTS.values()
        for outcome in row.cases.values()
        if outcome.kind
    }

    assert sorted(FAULTS) == [*range(1, 115), 120]
    assert list(THREATS) == [f"T{number}" for number in range(1, 29)]
    for name, state in states:
        kind = Kind(name)
        known = {POLICIES[kind].state, POLICIES[kind].note_state}
        assert kind in of_thresholds or state in {each.name for each in known if each}, name


def marked(*arguments: object, mode: str | None = None, **options: object) -> Any:
    mark = pytest.mark.fault(*arguments, **options).mark
    return SimpleNamespace(
        nodeid="test",
        callspec=SimpleNamespace(params={"mode": mode} if mode else {}),
        iter_markers=lambda name: [mark] if name == "fault" else [],
    )


def test_claims_of_unknown_faults_are_errors() -> None:
    """A wrong number, a wrong case, or a missing mode."""
    for wrong in (marked(71), marked(7), marked(7, case="melted", mode="tls"), marked(6)):
        with pytest.raises(pytest.UsageError, match="fault"):
            list(claims.of_faults(wrong))
    assert [each.mode for each in claims.of_faults(marked(6, mode="tls"))] == ["tls"]
    assert [each.mode for each in claims.of_faults(marked(6, modes=MODES))] == list(MODES)
    assert list(claims.of_faults(marked(26, mode="tls"))) == []


SILENT = "POP3 CRITICAL - no greeting within 1 s (x:110)\nkind: timeout\n"


@pytest.mark.parametrize(
    ("code", "out"),
    [
        (1, SILENT),
        (2, SILENT.replace("timeout", "closed")),
        (2, SILENT.replace("no greeting", "no answer")),
        (2, SILENT.partition("\n")[0]),
    ],
    ids=["state", "kind", "words", "no kind"],
)
def test_claims_not_shown_by_any_run_fail(
    code: int, out: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another state, another kind or another text than in the row is a failure."""
    item = marked(6, mode="tls")
    monkeypatch.setattr(claims, "seen", [Run(2, SILENT, "", 0)])
    claims.check(item)
    monkeypatch.setattr(claims, "seen", [Run(code, out, "", 0)])
    with pytest.raises(AssertionError, match="no run shows fault 6"):
        claims.check(item)
    monkeypatch.setattr(claims, "seen", [])
    with pytest.raises(AssertionError, match="no run shows fault 6"):
        claims.check(item)


def test_outcome_ok_has_no_kind() -> None:
    """Otherwise a warning would pass as OK."""
    fine = Outcome("OK", None, "answered")

    assert fine.is_shown_by(0, "POP3 OK - x answered\n", [])
    assert not fine.is_shown_by(0, "POP3 OK - x answered\n", ["garbled"])
