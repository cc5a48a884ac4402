"""The sentences of the status line, put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.support.in_process import Scenario, Script, Stage, said


@pytest.fixture
def stage() -> Iterator[Stage]:
    with Stage().set() as stage:
        yield stage


@pytest.mark.parametrize(
    ("greeting", "options", "expected"),
    [
        (
            b"+OK Ready.\r\n",
            # What is missing, not what was wanted.
            [
                "-A",
                "-e",
                "Dovecot",
                "-e",
                "Ready",
                "--require-capa",
                "TOP",
                "--state",
                "no-capability=warning",
            ],
            "greeting does not contain Dovecot: +OK Ready; capabilities lack TOP (",
        ),
        (
            b"-ERR Go away.\r\n",
            ("--state", "greeting=ok"),
            "POP3 OK - server refuses service: Go away, greeting treated as OK (",
        ),
        (
            b"Welcome!\r\n",
            ("-p", "995"),
            "sent a malformed greeting: Welcome; port 995 expects TLS: use -S (",
        ),
        (b"-ERR Go away.\r\n", (), "refuses service: Go away. ("),
    ],
)
def test_quote_has_no_stop_before_punctuation_of_ours(
    greeting: bytes, options: Sequence[str], expected: str, stage: Stage
) -> None:
    """Before the place it stands as the server sent it."""
    script = Script(Scenario(), (said(greeting), said(b"+OK\r\nUIDL\r\n.\r\n"), said(b"+OK\r\n")))

    assert expected in stage.play(script, *options).run.line
