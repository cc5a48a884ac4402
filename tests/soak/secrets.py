"""Search the output for secrets: every encoding, in every reply, with every login method.

`tests/checks/test_secrets.py` runs a sample.
"""

from __future__ import annotations

import base64
import random
import re
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from typing import TypeVar

from tests.soak import Figure
from tests.support import secret_search
from tests.support.command import run as run_command
from tests.support.secret_search import CANARIES, MECHANISMS, PLACES, EchoingServer

_T = TypeVar("_T")

_VERBOSITIES = ((), ("-v",), ("-vv",), ("-vvv",))
_IN_SASL = ("everywhere", "refused", "garbled", "accepted", "challenge", "reason", "cancelled")


def run(share: float) -> list[Figure]:
    return [_echoes(share), _faults(share), _short(share)]


def _part(cases: Iterable[_T], share: float) -> list[_T]:
    """Return a random sample, the same in every run."""
    every = list(cases)
    return random.Random(8).sample(every, max(1, round(len(every) * share)))


def _all(work: Callable[[_T], list[str]], cases: Sequence[_T]) -> list[str]:
    with ProcessPoolExecutor() as processes:
        found = [each for one in processes.map(work, cases, chunksize=16) for each in one]
    for each in found[:20]:
        print(f"  {each}", flush=True)
    return found


# --- servers that know the secret --------------------------------------------------------------

_Echo = tuple[str, str, str, str]
"""Canary, encoding, place and login method, by name."""


def _echoes(share: float) -> Figure:
    forms = sorted({form for secret in CANARIES.values() for form in secret_search.echoes(secret)})
    sasl = [how for how in MECHANISMS if how not in ("user", "apop", "external")]
    cases = [
        *product(CANARIES, forms, PLACES, ("auto", "apop")),
        *product(CANARIES, forms, _IN_SASL, sasl),
    ]
    chosen = _part(filter(_makes_sense, cases), share)
    hits = _all(_echoed, chosen)
    return Figure(
        f"echoes of a secret: {len(forms)} encodings, {len(PLACES)} places,"
        f" {len(sasl) + 2} login methods, {len(CANARIES)} secrets",
        len(chosen),
        f"{len(hits)} secrets shown",
        len(hits),
    )


def _makes_sense(case: _Echo) -> bool:
    name, form, place, how = case
    secret = CANARIES[name]
    is_number = secret.isdigit() and place == "malformed stat"  # the number of messages
    is_no_text = how.startswith("scram") and name == "Latin-1"  # SCRAM does not send it
    return form in secret_search.echoes(secret) and not is_number and not is_no_text


def _echoed(case: _Echo) -> list[str]:
    name, form, place, how = case
    secret = CANARIES[name]
    said = secret_search.echoes(secret)[form]
    if place == "challenge":
        said = base64.b64encode(said)
    # Each case uses one verbosity; all of them occur.
    verbosity = _VERBOSITIES[sum(map(len, case)) % 4]
    with EchoingServer(said, place) as server:
        out = secret_search.shown(secret_search.arguments(server, how, *verbosity), secret)
    return [f"{case}: {hit}" for hit in secret_search.hits(secret, out)]


# --- the catalogue, whole processes ----------------------------------------------------------

_DIAGNOSES = ((), ("--diagnose=dns,tcp,tls,dialog",))


def _faults(share: float) -> Figure:
    rows = range(len(secret_search.catalogue()))
    chosen = _part(product(rows, _VERBOSITIES, _DIAGNOSES), share)
    hits = _all(_failed, chosen)
    return Figure(
        f"{len(rows)} faults of the catalogue, without -v to -vvv, with and without a diagnosis",
        len(chosen),
        f"{len(hits)} secrets shown",
        len(hits),
    )


def _failed(case: tuple[int, tuple[str, ...], tuple[str, ...]]) -> list[str]:
    number, verbosity, diagnosis = case
    row = secret_search.catalogue()[number]
    with row.server() as server:
        argv = secret_search.arguments(
            server, row.how, *verbosity, *diagnosis, "--run-timeout", "8"
        )
        done = run_command(
            *argv, "--password-env", "CANARY", env={"CANARY": secret_search.OF_CATALOGUE.decode()}
        )
    hits = secret_search.hits(secret_search.OF_CATALOGUE, done.out + done.err)
    if done.err or done.code not in range(4):
        hits.append(f"exit code {done.code}, {done.err}")
    return [f"{row.name} {verbosity} {diagnosis}: {hit}" for hit in hits]


# --- secrets that are too short to be masked -------------------------------------------------

_SENTENCES = ("PASS {} is not it", "{}", "for monitor {}: failed", "{0} {0}")


def _short(share: float) -> Figure:
    """Count the outputs that are not the same for all short secrets."""
    after_login = [place for place in PLACES if place not in _BEFORE]
    methods = ("auto", "plain", "login", "cram-md5")
    cases = product(_SENTENCES, after_login, methods, range(4))
    chosen = _part((case for case in cases if case[:2] not in _AMBIGUOUS), share)
    secrets = secret_search.SHORT
    differing = _all(_depends, chosen)
    return Figure(
        f"servers that repeat one of {len(secrets)} short secrets",
        len(chosen) * len(secrets),
        f"{len(differing)} outputs that depend on the secret",
        len(differing),
    )


_AMBIGUOUS = {("{}", "code"), ("{0} {0}", "malformed stat")}
"""`[AUTH]` is a response code and `3 3` a STAT reply, even if it equals the password."""

_BEFORE = ("greeting", "refused greeting", "no greeting", "capability", "mechanism")
"""Places before the login, where everything is quoted regardless of the secret."""


def _depends(case: tuple[str, str, str, int]) -> list[str]:
    sentence, place, how, verbosity = case
    outputs = {}
    for secret in secret_search.SHORT:
        said = sentence.format(secret).encode()
        if place == "challenge":  # only some secrets are valid base64
            said = base64.b64encode(said)
        with EchoingServer(said, place) as server:
            argv = secret_search.arguments(server, how, *_VERBOSITIES[verbosity])
            out = secret_search.shown(argv, secret.encode())
        outputs[re.sub(r"\d+\.\d+|(?<=:)\d+|(?<= -p )\d+", "N", out)] = secret
    more = len(outputs) - 1
    return [f"{case}: differs for {sorted(outputs.values())}"] * more
