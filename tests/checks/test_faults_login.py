"""Faults from the login to QUIT, by the installed command, in every mode."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.pki.certificates import Pki
from tests.servers.scripted_server import (
    PoliteServer,
    ScriptedServer,
    Step,
    drop,
    expect,
    flood,
    pause,
    reset,
    say,
    silence,
)
from tests.support.catalogue import MODES, WITH_TLS
from tests.support.faults import (
    BYE,
    CANARY,
    GREETING,
    LOGGED_IN,
    Fault,
    check,
    claims_of,
    flags,
    kinds,
    params,
    served,
    upgraded,
)


def refusing(reply: bytes) -> list[Step]:
    return [expect(b"USER"), say(b"+OK\r\n"), expect(b"PASS"), say(reply + b"\r\n"), *BYE]


OVERLOADED = b"Maximum number of connections from user+IP exceeded (mail_max_userip_connections=1)"
LIMITED = b"Exceeded the login limit for a 15 minute period. Reduce the frequency of requests."

WORDS = [
    # tpop3d, VPOP3, Dovecot 2.4
    ("80 locked", b"it may be locked by another concurrent session.", "WARNING", "in-use"),
    ("80 locked by VPOP3", b"Mailbox Locked", "WARNING", "in-use"),
    ("80 connections", OVERLOADED, "WARNING", "in-use"),
    ("81", LIMITED, "WARNING", "login-delay"),  # Exchange Online
    # Courier; nginx, Exchange
    ("82 temporary", b"Temporary problem, please try again later", "WARNING", "temporary"),
    ("82 back end", b"internal server error", "CRITICAL", "backend"),
    ("82 back end of Exchange", b"Server Unavailable. 21", "CRITICAL", "backend"),
    ("84 command", b"invalid command", "CRITICAL", "no-mechanism"),
    ("85 locked", b"Account is locked", "CRITICAL", "locked-out"),
    ("85 locked by failures", b"Too many failed login attempts", "CRITICAL", "locked-out"),
    ("85 other", b"Mot de passe incorrect", "CRITICAL", "login-refused"),
]
"""What PASS is refused with, without a response code."""

LOGINS = [
    *(
        Fault(name, refusing(b"-ERR " + said), state, kind, said[:10].decode())
        for name, said, state, kind in WORDS
    ),
    Fault(
        "45",
        [expect(b"USER"), say(b"-ERR unknown user\r\n"), *BYE],
        "CRITICAL",
        "credentials",
        "unknown user",
    ),
    Fault("46 -ERR", refusing(b"-ERR"), "CRITICAL", "credentials", "login of monitor rejected"),
    Fault(
        "46 AUTH",
        refusing(b"-ERR [AUTH] no"),
        "CRITICAL",
        "credentials",
        "rejected: [AUTH] no",
    ),
    Fault("48", refusing(b"-ERR [IN-USE] locked"), "WARNING", "in-use", "[IN-USE] locked"),
    Fault("49", refusing(b"-ERR [LOGIN-DELAY] 300 s"), "WARNING", "login-delay"),
    Fault("50 TEMP", refusing(b"-ERR [SYS/TEMP] later"), "WARNING", "temporary"),
    Fault("50 PERM", refusing(b"-ERR [SYS/PERM] never"), "CRITICAL", "permanent"),
    Fault(
        "another SYS", refusing(b"-ERR [sys/disk] full"), "CRITICAL", "permanent", "[sys/disk] full"
    ),
    Fault(
        "50 TEMP to USER",
        [expect(b"USER"), say(b"-ERR [SYS/TEMP] later\r\n"), *BYE],
        "WARNING",
        "temporary",
        "login of monitor failed for now",
    ),
    Fault(
        "46 -ERR with a code in the text",
        refusing(b"-ERR Login failed [IN-USE]"),
        "CRITICAL",
        "credentials",
    ),
    Fault(
        "a question to USER",
        [expect(b"USER"), say(b"+ dXNlcg==\r\n"), silence()],
        "CRITICAL",
        "garbled",
        "no POP3 reply",
    ),
    Fault("a question to PASS", [*LOGGED_IN[:3], say(b"+\r\n"), silence()], "CRITICAL", "garbled"),
    Fault(
        "51 dropped at USER",
        [expect(b"USER"), drop()],
        "CRITICAL",
        "closed",
        "closed the connection",
    ),
    Fault("51 dropped", [*LOGGED_IN[:3], drop()], "CRITICAL", "closed", "closed the connection"),
    Fault("a reset at PASS", [*LOGGED_IN[:3], reset()], "CRITICAL", "closed"),
    Fault(
        "59 login", [*LOGGED_IN[:3], say(b"+OK"), drop()], "CRITICAL", "closed", "middle of a reply"
    ),
    Fault("garbled", [*LOGGED_IN[:3], say(b"+OKAY\r\n"), silence()], "CRITICAL", "garbled"),
    Fault("oversized", [*LOGGED_IN[:3], flood(b"x" * 4096)], "CRITICAL", "oversized"),
    Fault(
        "echo",
        refusing(b"-ERR password " + CANARY.encode() + b" is wrong"),
        "CRITICAL",
        "credentials",
        "password *** is wrong",
    ),
    Fault(
        "echo in upper case",
        refusing(b"-ERR denied: " + CANARY.upper().encode()),
        "CRITICAL",
        "credentials",
        "***",
    ),
    Fault("two replies", [expect(), say(b"+OK\r\n+OK\r\n"), silence()], "CRITICAL", "garbled"),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.threat("T21")
@pytest.mark.parametrize("fault", params(LOGINS))
def test_login_fault_is_reported(fault: Fault, mode: str, pki: Pki) -> None:
    """Faults 45 to 51; one login per run, for any reply (threat T21)."""
    with served(mode, pki, fault.steps, with_capa=True) as server:
        done = check(server, *flags(mode, pki, login=True), "-vvv")

    assert done.line.startswith(f"POP3 {fault.state} - ")
    assert kinds(done) == [fault.kind]
    assert fault.text in done.line
    assert server.connections == 1
    assert sum(line.startswith(b"PASS") for line in server.commands) <= 1
    if mode == "plain":
        assert ", cleartext login" in done.line
    else:
        assert CANARY.encode() not in server.received_in_clear


@pytest.mark.parametrize(
    "said",
    [
        b"-ERR [AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.",
        b"-ERR [AUTH] Cleartext authentication disallowed on non-secure (SSL/TLS) connections.",
    ],
)
@pytest.mark.fault(47, modes=["plain"])
def test_login_tls_demanded_is_cleartext_refused(said: bytes, pki: Pki) -> None:
    """Fault 47."""
    with ScriptedServer([GREETING, expect(b"USER"), say(said + b"\r\n"), *BYE]) as server:
        done = check(server, *flags("plain", pki, login=True), "--auth", "user")

    assert kinds(done) == ["cleartext-refused"]
    assert "try: use -S or --starttls" in done.out


@pytest.mark.parametrize(
    "said",
    [
        b"only valid after entering TLS mode",  # Zimbra
        b"A SSL/TLS-connection is required for authentication.",  # hMailServer
    ],
)
@pytest.mark.fault(83, modes=["plain"])
def test_login_words_about_tls_are_cleartext_refused(said: bytes, pki: Pki) -> None:
    """Fault 83: also without a response code."""
    with ScriptedServer(
        [GREETING, expect(b"USER"), say(b"-ERR " + said + b"\r\n"), *BYE]
    ) as server:
        done = check(server, *flags("plain", pki, login=True), "--auth", "user")

    assert kinds(done) == ["cleartext-refused"]
    assert not any(line.startswith(b"PASS") for line in server.commands)


def listing(mode: str, pki: Pki, tags: bytes, steps: list[Step]) -> ScriptedServer:
    """Return a server that answers CAPA, inside TLS where there is TLS, with `tags`."""
    listed = say(b"+OK\r\n" + tags + b".\r\n")
    if mode == "stls":
        return ScriptedServer([*upgraded(pki)[:-1], listed, *steps, *BYE])
    tls = pki.server("good") if mode == "tls" else None
    return ScriptedServer([GREETING, expect(b"CAPA"), listed, *steps, *BYE], tls=tls)


@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.parametrize("tags", [b"USER\r\nSTLS\r\n", b"SASL\r\nSTLS\r\n"])
@pytest.mark.fault(86)
@pytest.mark.threat("T21")
def test_login_tls_ended_by_a_proxy_is_cleartext_refused(mode: str, tags: bytes, pki: Pki) -> None:
    """Fault 86: the server behind the proxy wants TLS itself, as its capabilities show."""
    said = (
        b"-ERR [AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.\r\n"
    )
    login = [expect(b"USER"), say(said)] if tags.startswith(b"USER") else []
    with listing(mode, pki, tags, login) as server:
        done = check(server, *flags(mode, pki, login=True), "--auth", "auto", "--rechecks", "1")

    assert kinds(done) == ["cleartext-refused"]
    assert "TLS ends in front of the server, which wants TLS itself" in done.line
    assert "trust the proxy" in done.out
    assert server.connections == 1


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (say(b"+OK\r\nSASL\r\nSTLS\r\n.\r\n"), "cleartext-refused"),
        (say(b"+OK\r\nUSER\r\n.\r\n"), "credentials"),
        (say(b"-ERR\r\n"), "credentials"),
        (drop(), "credentials"),
    ],
    ids=["STLS", "no STLS", "no CAPA", "closed"],
)
def test_login_demand_for_tls_inside_tls_asks_for_capabilities(
    answer: Step, kind: str, pki: Pki
) -> None:
    """`--auth user` needs no CAPA; only such a refusal asks for it, and remains the verdict."""
    said = b"-ERR [AUTH] Plaintext authentication disallowed on non-secure connections.\r\n"
    steps = [expect(b"USER monitor"), say(said), expect(b"CAPA"), answer]
    with served("tls", pki, [*steps, *BYE], with_capa=False) as server:
        done = check(server, *flags("tls", pki, login=True), "--auth", "user")

    assert kinds(done) == [kind]
    assert done.long[1].endswith("in phase login")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(84, case="bare")
def test_login_bare_refusal_of_auth_is_no_mechanism(mode: str, pki: Pki) -> None:
    """Fault 84: before a secret was sent, it is the mechanism that the server refuses."""
    steps = [expect(b"AUTH CRAM-MD5"), say(b"-ERR\r\n")]
    with listing(mode, pki, b"SASL CRAM-MD5\r\n", steps) as server:
        done = check(server, *flags(mode, pki, login=True), "--auth", "cram-md5")

    assert kinds(done) == ["no-mechanism"]


@pytest.mark.threat("T21")
@pytest.mark.parametrize(
    "said", [b"Mailbox Locked", b"Temporary problem, please try again later", b"internal error"]
)
def test_login_refused_by_words_is_not_repeated(said: bytes, pki: Pki) -> None:
    """Threat T21: after a secret only a response code allows another login in the run."""
    with served("tls", pki, refusing(b"-ERR " + said), with_capa=True) as server:
        done = check(server, *flags("tls", pki, login=True), "--rechecks", "1", "--run-timeout=50")

    assert "a login that was not accepted is never repeated" in done.out
    assert server.connections == 1


def auth(name: bytes, *steps: Step) -> list[Step]:
    return [expect(b"AUTH " + name), *steps, *BYE]


QUESTION = say(b"+ \r\n")
CANCEL = [expect(b"*"), say(b"-ERR cancelled\r\n")]
TOKEN_ERROR = say(b"+ eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=\r\n")  # {"status":"invalid_token"}

EXCHANGES = [
    ("plain", Fault("fine", auth(b"PLAIN ", say(b"+OK\r\n")), "OK", None)),
    ("plain", Fault("no", auth(b"PLAIN ", say(b"-ERR [AUTH] no\r\n")), "CRITICAL", "credentials")),
    (
        "plain",
        Fault("asks twice", auth(b"PLAIN ", QUESTION, *CANCEL), "CRITICAL", "garbled", "cancelled"),
    ),
    (
        "cram-md5",
        Fault(
            "53 not base64",
            auth(b"CRAM-MD5", say(b"+ not!\r\n"), *CANCEL),
            "CRITICAL",
            "garbled",
            "base64",
        ),
    ),
    (
        "cram-md5",
        Fault(
            "53 not base64, hangs up",
            auth(b"CRAM-MD5", say(b"+ !\r\n"), expect(b"*"), drop()),
            "CRITICAL",
            "garbled",
            "base64",
        ),
    ),
    (
        "cram-md5",
        Fault(
            "53 over-long",
            auth(b"CRAM-MD5", flood(b"+ " + b"x" * 9998)),
            "CRITICAL",
            "garbled",
            "more than 12288 bytes",
        ),
    ),
    (
        "cram-md5",
        Fault(
            "an endless refusal",
            auth(b"CRAM-MD5", flood(b"-ERR " + b"x" * 9998)),
            "CRITICAL",
            "oversized",
        ),
    ),
    (
        "cram-md5",
        Fault(
            "an empty challenge",
            auth(b"CRAM-MD5", say(b"+\n"), *CANCEL),
            "CRITICAL",
            "garbled",
            "empty",
        ),
    ),
    (
        "cram-md5",
        Fault(
            "only pretended",
            auth(b"CRAM-MD5", say(b"-ERR I just pretended to implement CRAM-MD5\r\n")),
            "CRITICAL",
            "login-refused",
            "just pretended",
        ),
    ),
    ("cram-md5", Fault("dropped", [expect(b"AUTH"), drop()], "CRITICAL", "closed")),
    (
        "login",
        Fault(
            "53 endless",
            auth(b"LOGIN", QUESTION, expect(), QUESTION, expect(), QUESTION, *CANCEL),
            "CRITICAL",
            "garbled",
            "one more than this mechanism has",
        ),
    ),
    (
        "login",
        Fault(
            "53 not base64 but words",
            auth(b"LOGIN", say(b"+ Username:\r\n"), *CANCEL),
            "CRITICAL",
            "garbled",
            "base64",
        ),
    ),
    (
        "login",
        Fault("55 LOGIN", auth(b"LOGIN", say(b"+OK\r\n")), "CRITICAL", "garbled", "complete"),
    ),
    (
        "login",
        Fault(
            "a code in LOGIN",
            auth(b"LOGIN", QUESTION, expect(), QUESTION, expect(), say(b"-ERR [SYS/TEMP] x\r\n")),
            "WARNING",
            "temporary",
        ),
    ),
    (
        "login",
        Fault(
            "a drop in LOGIN",
            [*auth(b"LOGIN", QUESTION, expect(), drop())[:-2]],
            "CRITICAL",
            "closed",
        ),
    ),
    (
        "xoauth2",
        Fault(
            "fine", auth(b"XOAUTH2", QUESTION, expect(b"dXNlcj1tb"), say(b"+OK\r\n")), "OK", None
        ),
    ),
    (
        "xoauth2",
        Fault(
            "54 XOAUTH2",
            auth(b"XOAUTH2", QUESTION, expect(), TOKEN_ERROR, expect(b""), say(b"-ERR no\r\n")),
            "CRITICAL",
            "credentials",
            "token refused: invalid_token",
        ),
    ),
    (
        "xoauth2",
        Fault(
            "a token refused for now",
            auth(
                b"XOAUTH2", QUESTION, expect(), TOKEN_ERROR, expect(), say(b"-ERR [SYS/TEMP]\r\n")
            ),
            "WARNING",
            "temporary",
            "token refused: invalid_token - [SYS/TEMP]",
        ),
    ),
    (
        "xoauth2",
        Fault(
            "54 XOAUTH2 hangs up",
            [expect(b"AUTH"), QUESTION, expect(), TOKEN_ERROR, expect(), drop()],
            "CRITICAL",
            "credentials",
            "token refused: invalid_token",
        ),
    ),
    (
        "xoauth2",
        Fault(
            "a token refused, and a success",
            auth(b"XOAUTH2", QUESTION, expect(), TOKEN_ERROR, expect(), say(b"+OK\r\n")),
            "CRITICAL",
            "garbled",
            "complete",
        ),
    ),
    (
        "oauthbearer",
        Fault(
            "54 OAUTHBEARER",
            auth(b"OAUTHBEARER", TOKEN_ERROR, expect(b"AQ=="), say(b"-ERR no\r\n")),
            "CRITICAL",
            "credentials",
            "token refused: invalid_token",
        ),
    ),
    (
        "oauthbearer",
        Fault(
            "54 OAUTHBEARER unpadded",
            auth(
                b"OAUTHBEARER",
                say(b"+ eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0\r\n"),
                expect(b"AQ=="),
                say(b"-ERR Authentication failed\r\n"),
            ),
            "CRITICAL",
            "credentials",
            "token refused: invalid_token - Authentication failed",
        ),
    ),
    (
        "scram-sha-256",
        Fault(
            "no proof", auth(b"SCRAM-SHA-256 ", say(b"+OK\r\n")), "CRITICAL", "garbled", "complete"
        ),
    ),
    (
        "scram-sha-1",
        Fault(
            "an error",
            auth(b"SCRAM-SHA-1 ", say(b"+ ZT11bmtub3duLXVzZXI=\r\n"), expect(), say(b"-ERR\r\n")),
            "CRITICAL",
            "credentials",
            "login of monitor rejected: unknown-user",
        ),
    ),
    (
        "plain",
        Fault("dropped", [expect(b"AUTH"), drop()], "CRITICAL", "closed", "closed the connection"),
    ),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("how", "fault"),
    [
        pytest.param(how, fault, id=f"{how} {fault.name}", marks=claims_of(fault))
        for how, fault in EXCHANGES
    ],
)
def test_sasl_fault_is_reported(how: str, fault: Fault, mode: str, pki: Pki) -> None:
    """Faults 53 to 55, in SASL; no line of the output contains the secret."""
    stat = [expect(b"STAT"), say(b"+OK 2 320\r\n"), *BYE]
    steps = [*fault.steps[:-2], *stat] if fault.state == "OK" else fault.steps
    offered = say(f"+OK\r\nSASL {how.upper()}\r\n.\r\n".encode())
    if mode == "stls":
        server = ScriptedServer([*upgraded(pki)[:-1], offered, *steps])
    else:
        tls = pki.server("good") if mode == "tls" else None
        server = ScriptedServer([GREETING, expect(b"CAPA"), offered, *steps], tls=tls)
    with server:
        done = check(server, *flags(mode, pki, login=True), "--auth", how, "-vvv")

    assert done.line.startswith(f"POP3 {fault.state} - ")
    assert kinds(done) == ([fault.kind] if fault.kind else [])
    assert fault.text in done.line
    assert server.connections == 1
    assert server.surprises == []
    assert sum(line.startswith(b"AUTH") for line in server.commands) == 1
    if mode != "plain":
        assert b"AUTH" not in server.received_in_clear


MAILBOXES = [
    *(
        Fault(f"56 {name}", [say(said + b"\r\n"), *BYE], "CRITICAL", "mailbox", "malformed")
        for name, said in (
            ("nothing", b"+OK"),
            ("one number", b"+OK 7"),
            ("words", b"+OK seven 1"),
            ("negative", b"+OK -1 5"),
            ("500 digits", b"+OK " + b"9" * 500 + b" 1"),
        )
    ),
    Fault(
        "57 -ERR", [say(b"-ERR cannot\r\n"), *BYE], "CRITICAL", "mailbox", "cannot read the mailbox"
    ),
    Fault("a code to STAT", [say(b"-ERR [SYS/TEMP] x\r\n"), *BYE], "WARNING", "temporary"),
    Fault("dropped", [drop()], "CRITICAL", "closed"),
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fault", params(MAILBOXES))
def test_stat_fault_is_reported(fault: Fault, mode: str, pki: Pki) -> None:
    """Faults 56 and 57."""
    steps = [*LOGGED_IN, expect(b"STAT"), *fault.steps]
    with served(mode, pki, steps, with_capa=True) as server:
        done = check(server, *flags(mode, pki, login=True))

    assert done.line.startswith(f"POP3 {fault.state} - ")
    assert kinds(done) == [fault.kind]
    assert fault.text in done.line


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.fault(69)
@pytest.mark.parametrize("in_one_segment", [True, False])
def test_login_withdrawn_is_reported(mode: str, in_one_segment: bool, pki: Pki) -> None:
    """Fault 69: real Dovecot, when the mailbox cannot be opened."""
    withdrawn = b"-ERR [SYS/TEMP] Internal error occurred.\r\n"
    said = (
        [say(b"+OK Logged in.\r\n" + withdrawn)]
        if in_one_segment
        else [say(b"+OK Logged in.\r\n"), say(withdrawn)]
    )
    with served(mode, pki, [*LOGGED_IN[:3], *said, drop()], with_capa=True) as server:
        done = check(server, *flags(mode, pki, login=True))

    assert done.line.startswith("POP3 WARNING - server withdrew the login: ")
    assert "withdrew the login: [SYS/TEMP]" in done.line
    assert kinds(done) == ["temporary"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("goodbye", "is_noted"),
    [
        ([say(b"+OK bye\r\n")], False),
        pytest.param([say(b"-ERR no\r\n")], True, marks=pytest.mark.fault(58, case="-ERR")),
        ([drop()], True),
        pytest.param([reset()], True, marks=pytest.mark.fault(58, case="reset")),
        pytest.param([silence()], True, marks=pytest.mark.fault(58, case="silence")),
    ],
)
@pytest.mark.threat("T20")
@pytest.mark.fault(56, case="trailing text")
def test_quit_fault_is_a_note(mode: str, goodbye: list[Step], is_noted: bool, pki: Pki) -> None:
    """Fault 58: nothing was deleted, so it is only a note, and costs one second at most."""
    stat = [expect(b"STAT"), say(b"+OK 2 320 octets\r\n")]
    steps = [*LOGGED_IN, *stat, expect(b"QUIT"), *goodbye]
    with served(mode, pki, steps, with_capa=True) as server:
        done = check(server, *flags(mode, pki, login=True), "-v")

    assert done.code == 0, done.out
    assert any(line.startswith("note: goodbye") for line in done.long) == is_noted
    assert server.commands[-1] == b"QUIT"
    assert float(done.perfdata["time"].split("s")[0]) < 0.9
    assert done.seconds < 2
    assert done.perfdata["messages"] == "2;;;0"
    assert done.perfdata["mailbox_size"] == "320B;;;0"


@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.fault(52)
@pytest.mark.threat("T6")
def test_login_mechanism_not_offered_is_no_mechanism(mode: str, pki: Pki) -> None:
    """No other mechanism is tried, and the offered ones are named."""
    listed = say(b"+OK\r\nUSER\r\nSASL PLAIN LOGIN\r\n.\r\n")
    if mode == "stls":
        server = ScriptedServer([*upgraded(pki)[:-1], listed, *BYE])
    else:
        steps = [GREETING, expect(b"CAPA"), listed, *BYE]
        server = ScriptedServer(steps, tls=pki.server("good"))
    with server:
        done = check(server, *flags(mode, pki, login=True), "--auth", "xoauth2")

    assert kinds(done) == ["no-mechanism"]
    assert done.long[1].endswith(", in phase login")
    assert "time_login" not in done.perfdata  # nothing was sent
    assert not any(line.startswith((b"AUTH", b"USER", b"PASS")) for line in server.commands)


REFUSALS = [
    ("login", b"AUTH LOGIN", say(b"+OK\r\nUSER\r\nSASL PLAIN LOGIN\r\n.\r\n")),
    ("plain", b"AUTH PLAIN", say(b"+OK\r\nUSER\r\nSASL LOGIN PLAIN\r\n.\r\n")),
    ("auto", b"USER", say(b"+OK\r\nUSER\r\nSASL PLAIN LOGIN\r\n.\r\n")),
    ("auto", b"AUTH PLAIN", say(b"+OK\r\nSASL LOGIN PLAIN CRAM-MD5\r\n.\r\n")),
    ("auto", b"AUTH LOGIN", say(b"+OK\r\nSASL LOGIN CRAM-MD5\r\n.\r\n")),
    ("cram-md5", b"AUTH CRAM-MD5", say(b"+OK\r\nUSER\r\nSASL CRAM-MD5 PLAIN\r\n.\r\n")),
]


@pytest.mark.threat("T6", "T21")
@pytest.mark.parametrize(("how", "first", "listed"), REFUSALS)
def test_login_refused_is_not_repeated(how: str, first: bytes, listed: Step, pki: Pki) -> None:
    """Neither another mechanism nor the same one is tried."""
    question = [QUESTION, expect()] if first == b"AUTH LOGIN" else []
    if first == b"AUTH CRAM-MD5":
        question = [say(b"+ PDE4OTYuNjk3QHg+\r\n"), expect()]
    refused = [*question, say(b"-ERR Login failed\r\n")]
    steps = [GREETING, expect(b"CAPA"), listed, expect(first), *refused, *BYE]
    with ScriptedServer(steps, tls=pki.server("good")) as server:
        done = check(server, *flags("tls", pki, login=True), "--auth", how, "--rechecks", "1")

    assert kinds(done) == ["credentials"]
    tried = [line for line in server.commands if line.split()[0] in (b"USER", b"AUTH", b"APOP")]
    assert len(tried) == 1
    assert server.connections == 1
    assert server.surprises == []


@pytest.mark.fault(70, case="late rejection", modes=MODES)
def test_login_slow_rejection_is_credentials(pki: Pki) -> None:
    """Courier and others delay a rejection by 7 s; it is still a rejection."""
    steps = [*LOGGED_IN[:3], pause(7), say(b"-ERR Login failed.\r\n"), *BYE]
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        servers = {
            mode: stack.enter_context(served(mode, pki, steps, with_capa=True)) for mode in MODES
        }
        runs = list(
            pool.map(
                lambda mode: check(servers[mode], *flags(mode, pki, login=True), as_process=True),
                MODES,
            )
        )

    for done in runs:
        assert done.line.startswith("POP3 CRITICAL - ")
        assert kinds(done) == ["credentials"]
        assert done.seconds > 7


@pytest.mark.threat("T5")
@pytest.mark.parametrize(
    "secure", [("-S", "--verify", "none"), ("--starttls", "--verify", "chain")]
)
@pytest.mark.parametrize("password", [CANARY, "wrong"])
def test_login_unverified_link_needs_option(
    secure: tuple[str, ...], password: str, pki: Pki
) -> None:
    """Only --allow-insecure-login allows it, and line 1 says so, OK or not."""
    context = pki.server("good")
    tls = {"tls": context} if secure[0] == "-S" else {"stls": context}
    login = ("-U", "monitor", "--password-env", "CANARY", "--ca-file", str(pki.ca_file))
    with PoliteServer({"monitor": password}, **tls) as server:  # type: ignore[arg-type]
        refused = check(server, *secure, *login)
        assert server.connections == 0
        allowed = check(server, *secure, *login, "--allow-insecure-login")

    assert refused.code == 3
    assert "no password is sent" in refused.line
    assert allowed.code == (0 if password == CANARY else 2)
    assert ", unverified TLS login" in allowed.line
