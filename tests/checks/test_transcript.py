"""The transcript of `-vvv`: commands and reply lines, with secrets masked."""

from __future__ import annotations

import re

import pytest

from tests.pki.certificates import Pki
from tests.servers.scripted_server import PoliteServer, ScriptedServer, expect, say
from tests.support.faults import CANARY, check, flags

BY_PASSWORD = """\
S: +OK POP3 ready
C: CAPA
S: +OK
S: USER
S: UIDL
S: RESP-CODES
S: AUTH-RESP-CODE
S: PIPELINING
S: STLS
S: IMPLEMENTATION PoliteServer
S: .
C: STLS
S: +OK Begin TLS negotiation now
TLS: TLSv1.3 *
C: CAPA
S: +OK
S: USER
S: UIDL
S: RESP-CODES
S: AUTH-RESP-CODE
S: PIPELINING
S: IMPLEMENTATION PoliteServer
S: .
C: USER monitor
S: +OK
C: PASS ***
S: +OK Logged in
C: STAT
S: +OK 3 1234
C: QUIT
S: +OK Bye"""

BY_TOKEN = """\
TLS: TLSv1.3 *
S: +OK ready
C: CAPA
S: +OK
S: SASL XOAUTH2
S: .
C: AUTH XOAUTH2
S: +
C: ***
S: +OK in
C: STAT
S: +OK 2 320
C: QUIT
S: +OK bye"""


def transcript(out: str) -> str:
    lines = [
        line.removeprefix("transcript: ") for line in out.splitlines() if "transcript: " in line
    ]
    return re.sub(r"(TLS: TLSv1\.3) \w+", r"\1 *", "\n".join(lines))


@pytest.mark.threat("T26")
def test_transcript_password_login_masks_password(pki: Pki) -> None:
    """STLS, USER and PASS, line by line; no mail is requested, so none can be shown."""
    with PoliteServer({"monitor": CANARY}, stls=pki.server("good")) as server:
        done = check(server, *flags("stls", pki, login=True), "-vvv")

    assert done.code == 0, done.out
    assert transcript(done.out) == BY_PASSWORD


@pytest.mark.threat("T26")
def test_transcript_auth_masks_responses(pki: Pki) -> None:
    """AUTH: every response to a challenge is secret."""
    auth = [expect(b"AUTH XOAUTH2"), say(b"+ \r\n"), expect(), say(b"+OK in\r\n")]
    steps = [
        say(b"+OK ready\r\n"),
        *(expect(b"CAPA"), say(b"+OK\r\nSASL XOAUTH2\r\n.\r\n")),
        *auth,
        *(expect(b"STAT"), say(b"+OK 2 320\r\n"), expect(b"QUIT"), say(b"+OK bye\r\n")),
    ]
    with ScriptedServer(steps, tls=pki.server("good")) as server:
        done = check(server, *flags("tls", pki, login=True), "--auth", "xoauth2", "-vvv")

    assert done.code == 0, done.out
    assert transcript(done.out) == BY_TOKEN


@pytest.mark.threat("T26")
@pytest.mark.parametrize("verbosity", ["-v", "-vv"])
def test_transcript_of_ok_needs_vvv(verbosity: str, pki: Pki) -> None:
    """-v and -vv do not show it."""
    with PoliteServer({"monitor": CANARY}, tls=pki.server("good")) as server:
        done = check(server, *flags("tls", pki, login=True), verbosity)

    assert done.code == 0, done.out
    assert transcript(done.out) == ""
