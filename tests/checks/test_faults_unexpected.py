"""Data that nothing has asked for, anywhere between the greeting and the end of the session."""

import pytest

from check_pop3_plus.model.sanitised_text import open_ended
from tests.pki.certificates import Pki
from tests.servers.scripted_server import (
    ScriptedServer,
    Server,
    Step,
    drop,
    expect,
    pause,
    reset,
    say,
    silence,
    start_tls,
)
from tests.support.catalogue import MODES
from tests.support.faults import (
    BEFORE_TLS,
    BYE,
    CANARY,
    GREETING,
    IN_TLS,
    LOGGED_IN,
    check,
    flags,
    kinds,
    served,
)

LAST_WORDS = [b"-ERR [SYS/TEMP] shutting down", b"-ERR Bye", b"* BYE Server shutting down."]
STAT = [expect(b"STAT"), say(b"+OK 2 320\r\n")]


def cases(prefix: str = "") -> list[pytest.ParameterSet]:
    """Return each mode with and without a login; each claims its case of the catalogue."""
    found = []
    for mode in MODES:
        for login in (False, True):
            case = "login" if login else "required" if mode == "stls" else ""
            if prefix:
                case = f"{prefix} and login" if case else prefix
            mark = pytest.mark.fault(74, case=case)
            claims = not (prefix and mode == "stls" and not login)
            found.append(pytest.param(mode, login, marks=[mark] if claims else []))
    return found


@pytest.mark.parametrize(("mode", "login"), cases())
@pytest.mark.parametrize("wait", [0, 0.001, 0.005, 0.05])
@pytest.mark.parametrize("said", LAST_WORDS)
def test_last_words_after_greeting_are_garbled(
    said: bytes, wait: float, mode: str, login: bool, pki: Pki
) -> None:
    """The same result before and after the first command is sent; nothing is a reply to it."""
    steps = [GREETING, pause(wait), say(said + b"\r\n"), drop()]
    tls = pki.server("good") if mode == "tls" else None
    with ScriptedServer(steps, tls=tls) as server:
        assert_garbled(server, said, mode, login, pki)


@pytest.mark.parametrize(("mode", "login"), cases())
@pytest.mark.parametrize("said", [b"* BYE Server shutting down.\r\n", b"* BYE without an end"])
@pytest.mark.parametrize("end", [drop(), reset(), silence()], ids=["drop", "reset", "silence"])
def test_data_in_place_of_the_reply_to_quit_is_garbled(
    end: Step, said: bytes, mode: str, login: bool, pki: Pki
) -> None:
    """It is no late or missing reply, which is only noted."""
    steps = [*(LOGGED_IN + STAT if login else []), expect(b"QUIT"), say(said)]
    with served(mode, pki, [*steps, pause(0.02), end], with_capa=login) as server:
        assert_garbled(server, said.rstrip(), mode, login, pki)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("said", [b"-ERR [SYS/TEMP] shutting down", b"-ERR Bye"])
@pytest.mark.parametrize("end", [drop(), silence()], ids=["drop", "silence"])
def test_quit_refused_without_a_login_is_garbled(
    end: Step, said: bytes, mode: str, pki: Pki
) -> None:
    """After a login it is only noted."""
    steps = [expect(b"QUIT"), say(said + b"\r\n"), pause(0.02), end]
    with served(mode, pki, steps, with_capa=False) as server:
        assert_garbled(server, said, mode, False, pki)


@pytest.mark.parametrize(("mode", "login"), cases())
@pytest.mark.parametrize("said", LAST_WORDS)
def test_data_after_the_reply_to_quit_is_garbled(
    said: bytes, mode: str, login: bool, pki: Pki
) -> None:
    """What arrives together with the reply is seen; nothing is waited for."""
    steps = [*(LOGGED_IN + STAT if login else []), expect(b"QUIT")]
    bye = [say(b"+OK bye\r\n" + said + b"\r\n"), silence()]
    with served(mode, pki, [*steps, *bye], with_capa=login) as server:
        assert_garbled(server, said, mode, login, pki)


@pytest.mark.parametrize(("mode", "login"), cases("proxy"))
@pytest.mark.parametrize("wait", [0, 0.001, 0.02])
@pytest.mark.parametrize("said", [b"-ERR Unknown command.", b"-ERR Unknown command: PROXY"])
def test_reply_to_a_proxy_header_names_the_protocol(
    said: bytes, wait: float, mode: str, login: bool, pki: Pki
) -> None:
    """The server answers the header, and then each command: one reply late for the client."""
    listed = [expect(b"CAPA"), say(BEFORE_TLS if mode == "stls" else IN_TLS)]
    rest: list[Step] = BYE
    if mode == "stls":
        rest = [*listed, expect(b"STLS"), say(b"+OK\r\n"), start_tls(pki.server("good")), *BYE]
    elif login:
        rest = [*listed, *LOGGED_IN, *STAT, *BYE]
    steps = [GREETING, pause(wait), say(said + b"\r\n"), *rest]
    tls = pki.server("good") if mode == "tls" else None
    with ScriptedServer(steps, tls=tls) as server:
        assert_garbled(server, said, mode, login, pki)


def test_quit_refused_before_a_login_is_garbled() -> None:
    """The reply to something else was taken for the one to QUIT; a slow one is only noted."""
    with ScriptedServer([GREETING, expect(b"QUIT"), say(b"-ERR\r\n"), silence()]) as server:
        refused = check(server)
    with ScriptedServer([GREETING, expect(b"QUIT"), silence()]) as server:
        silent = check(server)

    assert (refused.code, kinds(refused)) == (1, ["garbled"])
    assert silent.code == 0


def assert_garbled(server: Server, said: bytes, mode: str, login: bool, pki: Pki) -> None:
    """Assert the state and the quotation, and that no password was sent to such a server."""
    done = check(server, *flags(mode, pki, login=login))
    assert done.code == (2 if login or mode == "stls" else 1), done.out
    assert kinds(done) == ["garbled"], done.out
    assert open_ended(said.decode()) in done.line
    if b"STAT" not in server.commands:
        assert CANARY.encode() not in server.received
