"""Thousands of unusual certificates, served live: the verdict is OpenSSL's."""

from __future__ import annotations

import random
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from check_pop3_plus.check.verdict import Verdict
from check_pop3_plus.output.plugin_text import render
from tests.pki import corpus_wild
from tests.pki.certificate_parts import validity
from tests.pki.corpus import FAMILIES, ROOT, Case
from tests.pki.der import UTC, tlv
from tests.pki.openssl_verdicts import Outcome, Stand, kind
from tests.support.command import run
from tests.support.faults import honest, kinds

JUDGING_SECONDS = 0.05
"""Longest judging of one certificate, with all that was sent besides it."""

REPETITIONS = 8
"""Judgings of which the fastest counts, so that a busy machine is no failure."""

ACCEPTED = Outcome()


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    """A server that shows one case after another."""
    stand = Stand(tmp_path, monkeypatch)
    with stand.server:
        yield stand


def sample(families: dict[str, list[Case]], each: int) -> list[Case]:
    """Return a few cases of each family, the same in every run."""
    source = random.Random(corpus_wild.SEED)
    return [
        case for cases in families.values() for case in source.sample(cases, min(each, len(cases)))
    ]


def all_cases() -> dict[str, list[Case]]:
    return {name: list(made()) for name, made in FAMILIES.items()}


# --- all of them -------------------------------------------------------------------------------


def what_is_wrong(case: Case, stand: Stand) -> Iterator[str]:
    """Yield how the verdict of the plugin differs from that of OpenSSL."""
    outcome = stand.show(case)
    verdict, seconds = stand.plugin(case, "-v")
    yield from other_verdict(outcome, verdict)
    for _ in range(REPETITIONS):
        if seconds >= JUDGING_SECONDS:
            seconds = min(seconds, stand.plugin(case, "-v")[1])
    if seconds >= JUDGING_SECONDS:
        yield f"judged in {seconds:.3f} s"
    if outcome.broken:
        return
    strict = stand.openssl(case, strict=True)
    assert strict is not None
    if outcome == ACCEPTED:
        notes = [line for line in verdict.lines if line.startswith("note: not-strict")]
        if bool(notes) == (strict == ACCEPTED):
            yield f"strictly {strict}, noted {notes}"
    # Where the strict mode changes nothing, a fifth of the cases is enough.
    if strict != outcome or len(case.sent[0]) % 5 == 0:
        yield from other_verdict(strict, stand.plugin(case, "--x509-strict")[0])


def other_verdict(outcome: Outcome, verdict: Verdict) -> Iterator[str]:
    if kind(verdict) != outcome.kind or verdict.state.value > 2:
        yield f"{outcome}, but {kind(verdict)}: {verdict.status}"
    text = render(verdict)
    if not all(" " <= each <= "~" or each == "\n" for each in text) or set("<>&\"'`$") & set(text):
        yield f"not fit to print: {text!r}"


@pytest.mark.threat("T16", "T25")
@pytest.mark.skipif(ssl.OPENSSL_VERSION_INFO >= (4,), reason="strict rules of its own")
@pytest.mark.parametrize("family", FAMILIES)
def test_corpus_verdict_equals_openssl(
    family: str, stand: Stand, capfd: pytest.CaptureFixture[str]
) -> None:
    """Accepted or rejected with OpenSSL's reason, in time and without output on standard error."""
    wrong = {
        case.name: found
        for case in FAMILIES[family]()
        if (found := list(what_is_wrong(case, stand)))
    }

    assert wrong == {}
    assert capfd.readouterr() == ("", "")


def test_corpus_has_every_family() -> None:
    """An empty family would pass every other test."""
    cases = all_cases()

    assert all(cases.values())
    assert sum(map(len, cases.values())) > 2900
    assert len(corpus_wild.vectors()) > 150


@pytest.mark.parametrize("family", ["plain", "keys", "signatures", "intermediates", "roots"])
def test_corpus_tls_1_1_rejects_weak_certificates(family: str, stand: Stand) -> None:
    """With --tls-min 1.1 OpenSSL runs at security level 0, so the plugin checks the strength."""
    wrong = {}
    for case in FAMILIES[family]():
        outcome = stand.show(case)
        verdict, _ = stand.plugin(case, "--tls-min", "1.1", "-v")
        if not outcome.broken and (verdict.state.value < 2) != (outcome == ACCEPTED):
            wrong[case.name] = f"{outcome}, but {verdict.state.name} {verdict.status}"

    assert wrong == {}


# OpenSSL 3.5 cannot decode other characters, but any digits.
_NO_DATE = tlv(UTC, b"991332000000Z")


@pytest.mark.parametrize(
    ("damaged", "options", "details"),
    [
        (validity(end=_NO_DATE), ("-D", "14"), "not after"),
        (validity(_NO_DATE), ("-D", "33%"), "not before"),
        (validity(_NO_DATE), ("--max-validity", "90"), "not before"),
    ],
    ids=["not after", "share of the lifetime", "lifetime"],
)
def test_unreadable_dates_are_a_warning_where_asked_for(
    damaged: bytes, options: tuple[str, str], details: str, stand: Stand
) -> None:
    """Fault 38: without verification OpenSSL reads no dates, and only some options need them."""
    stand.show(Case("dates", (ROOT.leaf(validity=damaged),)))
    case = Case("dates", (ROOT.leaf(validity=damaged),), verify="none")
    asked = run(*stand.arguments(case), *options)

    assert kind(stand.plugin(case)[0]) is None
    assert asked.out.startswith("POP3 WARNING - details of the certificate are unreadable: ")
    assert details in asked.out.partition("|")[0]
    assert kinds(asked) == ["certificate-unreadable"]


# --- a few of them -----------------------------------------------------------------------------


def is_same_openssl() -> bool:
    """Return whether the command is of the version that Python is linked with."""
    command = shutil.which("openssl")
    if command is None:
        return False
    said = subprocess.run([command, "version"], capture_output=True, text=True, check=True).stdout
    return said.split()[1] == ssl.OPENSSL_VERSION.split()[1]


@pytest.mark.skipif(not is_same_openssl(), reason="the openssl command is of another version")
@pytest.mark.parametrize("part", range(3))
def test_corpus_verdict_equals_s_client(part: int, stand: Stand) -> None:
    """The reference verdict can be reproduced with openssl s_client."""
    wrong = {}
    for case in sample(all_cases(), 4)[part::3]:
        stand.show(case)
        # A `*` for a part of a label is taken by it, and by no mail client.
        if case.name.startswith(("'p*", "'*p", "'pop*", "'pop.*", "'xn--*", "'local*")):
            continue
        for strict in (False, True):
            # It has no option to leave the subject's common name out.
            expected = stand.openssl(case, strict, common_name=True)
            said = stand.s_client(case, strict)
            assert expected is not None
            if (said.code, bool(said.broken)) != (expected.code, bool(expected.broken)):
                wrong[f"{case.name}, {strict}"] = (expected, said)

    assert wrong == {}


@pytest.mark.threat("T16")
@pytest.mark.parametrize(
    "family", ["changed_fields", "changed_bytes", "vectors_as_they_are", "vectors_reissued"]
)
def test_corpus_installed_command_prints_one_status_line(family: str, stand: Stand) -> None:
    """Nothing appears on standard error, even if warnings are errors."""
    for case in sample({family: list(FAMILIES[family]())}, 3):
        outcome = stand.show(case)
        done = honest(run(*stand.arguments(case), "-vvv", env={"PYTHONWARNINGS": "error"}))

        if outcome == ACCEPTED:
            assert kinds(done) == [], done.out
        else:
            assert (done.code, kinds(done)[0]) == (2, outcome.kind), done.out


@pytest.mark.threat("T16", "T17")
@pytest.mark.parametrize(
    ("family", "name", "code", "text"),
    [
        ("serials", "-2^159", 0, "certificate valid for 89 days"),
        ("serials", "2^700000", 0, "certificate valid for 89 days"),
        ("subjects", "markup in utf8", 0, "certificate valid for 89 days"),
        ("subjects", "latin-1 in ia5", 0, "certificate valid for 89 days"),
        ("subjects", "10000 small attributes", 0, "certificate valid for 89 days"),
        ("alternatives", "10000 names", 0, "certificate valid for 89 days"),
        ("alternatives", "10000 addresses", 0, "certificate valid for 89 days"),
        ("chains", "100 deep", 0, "certificate valid for 89 days"),
        ("chains", "200 copies", 0, "certificate valid for 89 days"),
        ("plain", "rsa 16384", 0, "certificate valid for 89 days"),
        ("dates", "not after 18 '99991231235959Z'", 0, "certificate valid for 29"),
        ("versions", "8, 6 extensions", 0, "certificate valid for 89 days"),
        ("keys", "dh x9.42, longest", 2, "server failed the TLS handshake: "),
        ("chains", "garbage alone", 2, "sent a certificate that cannot be decoded"),
        ("roots", "own, expired", 2, " - certificate "),
        ("alternatives", "common name alone", 2, "has no subject alternative name"),
    ],
)
def test_corpus_samples_by_the_installed_command(
    family: str, name: str, code: int, text: str, stand: Stand
) -> None:
    """Faults 30 to 39 and threats T16 and T17, as a monitoring system sees them."""
    [case] = [each for each in FAMILIES[family]() if each.name == name]
    stand.show(case)
    done = honest(run(*stand.arguments(case), "-vv"))

    assert done.code == code, done.out
    assert text in done.verdict
    assert "None" not in done.out
