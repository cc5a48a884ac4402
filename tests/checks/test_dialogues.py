"""A small share of the long run with mutated sessions, and checks that it finds defects."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from check_pop3_plus.model.failures import ProbeError
from check_pop3_plus.pop3 import grammar
from check_pop3_plus.pop3.grammar import Reply
from check_pop3_plus.probe import connection, session
from check_pop3_plus.sasl.exchange import Exchange
from tests.pki.expected_verdicts import deserves_ok
from tests.soak import dialogues
from tests.support import in_process
from tests.support.good_dialogues import every, signatures, transcript
from tests.support.in_process import Chunk, Scenario, Script, Stage, Turn, keep_the_promise, said

SHARE = 500
FOR_PLANTED = 1000
"""Mutations of one good session that a planted defect is looked for in."""


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage().set() as stage:
        yield stage


def test_mutated_sessions_have_no_defect(capsys: pytest.CaptureFixture[str]) -> None:
    """No exception, no hang, no false OK, no false alarm, for any replies of the server."""
    (figure,) = dialogues.run(SHARE / dialogues.COUNT)

    assert figure.runs == SHARE
    assert figure.defects == 0, capsys.readouterr().out


def test_mutated_session_is_reproducible_by_number() -> None:
    """A failure can be repeated."""
    first = [dialogues.mutated(number) for number in range(200)]

    assert [dialogues.mutated(number) for number in range(200)] == first
    assert len({repr(each) for each in first}) > 150


def test_good_sessions_are_ok(stage: Stage) -> None:
    """The plugin and the strict reader agree about unchanged sessions."""
    for script in every():
        played = stage.play(script, "-vvv")

        keep_the_promise(played, script.scenario)
        assert played.is_ok, played.run.out
        assert deserves_ok(script, signatures()) is True


# --- the strict reader -------------------------------------------------------------------------

LOGIN = Scenario("plain", "user")
LIST = b"+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n"


def spoken(security: str, method: str | None, *turns: bytes | Turn) -> Script:
    made = tuple(turn if isinstance(turn, Turn) else said(turn) for turn in turns)
    return Script(Scenario(security, method), made)


def late(first: bytes, behind: bytes) -> Turn:
    return Turn((Chunk(first), Chunk(behind, is_late=True)))


OK, IN, STAT = b"+OK\r\n", b"+OK in\r\n", b"+OK 2 320\r\n"


@pytest.mark.parametrize(
    ("script", "is_deserved"),
    [
        (spoken("plain", None, OK), True),
        (spoken("plain", None, b"+OK ready\n"), True),
        (spoken("plain", None, said(OK, "eof")), True),
        (spoken("plain", None, late(b"+O", b"K\r\n")), True),
        (spoken("plain", None), False),
        (spoken("plain", None, b"+OK"), False),
        (spoken("plain", None, b"+OKAY\r\n"), False),
        (spoken("plain", None, b"+ok\r\n"), False),
        (spoken("plain", None, b"-ERR\r\n"), False),
        (spoken("plain", None, b"+OK" + b" " * 2048 + b"\r\n"), False),
        (spoken("plain", None, OK + OK), False),
        (spoken("plain", None, late(OK, OK)), True),
        (spoken("plain", "user", OK, OK, IN, STAT), True),
        (spoken("plain", "user", late(OK, OK), OK, IN, STAT), False),
        (spoken("plain", "user", OK, OK, IN, b"+OK 2\r\n"), False),
        (spoken("plain", "user", OK, OK, IN, b"+OK 2 x\r\n"), False),
        (spoken("plain", "user", OK, OK, IN, b"+OK 2 320 octets\r\n"), True),
        (spoken("plain", "user", OK, OK, IN, b"+OK 2 " + b"3" * 30 + b"\r\n"), None),
        (spoken("plain", "user", OK, OK, IN + b"-ERR [SYS/TEMP]\r\n", STAT), False),
        (spoken("plain", "user", OK, b"-ERR\r\n", IN, STAT), False),
        (spoken("plain", "user", OK, said(OK, "stall"), IN, STAT), False),
        (spoken("plain", "apop", OK, IN, STAT), False),
        (spoken("plain", "apop", b"+OK <1@a>\r\n", IN, STAT), True),
        (spoken("plain", "auto", OK, LIST, OK, IN, STAT), True),
        (spoken("plain", "auto", OK, b"-ERR\r\n", OK, IN, STAT), True),
        (spoken("plain", "auto", OK, b"+OK\r\nSASL PLAIN\r\n.\r\n", IN, STAT), True),
        (spoken("plain", "auto", OK, b"+OK\r\nSASL X\r\n.\r\n", IN, STAT), False),
        (spoken("plain", "auto", OK, b"+OK\r\nUSER\x0b\r\n.\r\n", OK, IN, STAT), None),
        (spoken("plain", "auto", OK, b"+OK\r\nUSER\r\n", OK, IN, STAT), False),
        (spoken("plain", "plain", OK, LIST, IN, STAT), True),
        (spoken("plain", "plain", OK, LIST, b"+ \r\n", IN, STAT), False),
        (spoken("plain", "login", OK, b"-ERR\r\n", b"+ \r\n", b"+\r\n", IN, STAT), True),
        (spoken("plain", "login", OK, b"-ERR\r\n", b"+ \r\n", IN, STAT), False),
        (spoken("plain", "login", OK, b"-ERR\r\n", b"+ x\r\n", b"+\r\n", IN, STAT), False),
        (spoken("plain", "cram-md5", OK, b"-ERR\r\n", b"+ \r\n", IN, STAT), False),
        (spoken("plain", "cram-md5", OK, b"-ERR\r\n", b"+ PDE+\r\n", IN, STAT), True),
        (spoken("plain", "xoauth2", OK, b"-ERR\r\n", b"+ e30=\r\n", IN, STAT), False),
        (spoken("plain", "scram-sha-1", OK, b"-ERR\r\n", IN, STAT), False),
        (spoken("stls", None, OK, b"-ERR\r\n", OK, b"", LIST), True),
        (spoken("stls", None, OK, b"+OK\r\nstls\r\n.\r\n", OK, b"", LIST), True),
        (spoken("stls", None, OK, LIST, OK, b"", LIST), False),
        (spoken("stls", None, OK, b"-ERR\r\n", b"-ERR\r\n", b"", LIST), False),
        (spoken("stls", None, OK, b"-ERR\r\n", b"+OK\r\nx", b"", LIST), False),
        (spoken("stls", None, OK, b"-ERR\r\n", late(OK, b"x"), b"", LIST), False),
        (spoken("stls", None, OK, b"-ERR\r\n", said(OK, "eof"), b"", LIST), False),
        (spoken("stls", None, OK, b"-ERR\r\n", OK, b"x", LIST), False),
    ],
    ids=repr,
)
def test_strict_reader_agrees_with_plugin(
    script: Script, is_deserved: bool | None, stage: Stage
) -> None:
    """By the RFCs and the fault catalogue."""
    assert deserves_ok(script, signatures()) is is_deserved
    if is_deserved is not None:
        assert stage.play(script).is_ok == is_deserved


def test_strict_reader_checks_scram_signature() -> None:
    """RFC 5802 section 3: the server must know the password."""
    good = transcript(Scenario("tls", "scram-sha-256"))
    (*before, signature, ok, stat, goodbye) = good.turns
    other = said(signature.data.replace(b"+ d", b"+ e", 1))
    changed = good._replace(turns=(*before, other, ok, stat, goodbye))

    assert other != signature
    assert deserves_ok(good, signatures()) is True
    assert deserves_ok(changed, signatures()) is False


# --- planted defects ---------------------------------------------------------------------------


def _tolerant_status(line: bytes) -> Reply | None:
    return Reply(line[:1] == b"+", line[3:]) if line[:1] in (b"+", b"-") else None


def _sends_dele(connection: connection.Connection) -> None:
    connection.stream.send(b"DELE 1\r\n")


def _reads_on(connection: connection.Connection, **_: object) -> bytes:
    while True:
        with suppress(ProbeError):
            connection.stream.receive()


PLANTED: list[tuple[object, str, object, str | None, str]] = [
    (grammar, "parse_status", _tolerant_status, None, "false OK"),
    (grammar, "parse_stat", lambda *_: (0, 0), "user", "false OK"),
    (connection.Connection, "unsolicited", lambda *_: False, None, "false OK"),
    (Exchange, "is_complete", lambda *_: True, "login", "false OK"),
    (grammar.Capabilities, "has", lambda *_: True, "auto", "false OK"),
    (grammar, "parse_stat", lambda *_: None, "user", "false alarm"),
    (connection, "add_note", lambda *_: 1 / 0, None, "uncaught exception"),
    (session, "_require_verified_link", _sends_dele, "user", "broken invariant"),
    (connection.Connection, "read_line", _reads_on, None, "hang"),
]
"""What is replaced, and by what; the login method of a session that shows the defect."""


@pytest.mark.parametrize(
    ("place", "name", "wrong", "method", "defect"), PLANTED, ids=[each[1] for each in PLANTED]
)
def test_planted_defect_is_found(
    place: Any,
    name: str,
    wrong: Any,
    method: str | None,
    defect: str,
    stage: Stage,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Otherwise a run without findings would prove nothing."""
    monkeypatch.setattr(place, name, wrong)
    good = transcript(Scenario("plain", method))

    played = (dialogues.play(stage, number, good) for number in range(FOR_PLANTED))
    assert any(each.defect == defect for each in played)


def test_endless_computation_is_a_hang(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also if nothing is read."""

    def for_ever(_text: bytes) -> None:
        while True:
            pass

    monkeypatch.setattr(in_process, "PATIENCE_SECONDS", 0.1)
    monkeypatch.setattr(grammar, "parse_status", for_ever)

    assert dialogues.play(stage, 0).defect == "hang"
