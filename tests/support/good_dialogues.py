"""Sessions that must be OK, including those of real servers, and invalid lines.

`soak.dialogues` and the seeds of `fuzz` change them.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64decode, b64encode
from collections.abc import Iterator
from functools import cache

from tests.pki.expected_verdicts import FIRST, SALT, SERVER_NONCE
from tests.support.faults import CANARY
from tests.support.in_process import NONCE, Scenario, Script, said

GREETINGS = (
    b"+OK ready\r\n",
    b"+OK\r\n",
    b"+OK POP3 server ready <1896.697170952@dbc.mtview.ca.us>\r\n",
    b"+OK ready\n",
    b"+OK \0\x1b[31m\xe4|x=1 <script>`id`\r\n",
)

LOGIN_METHODS = (
    *("auto", "user", "apop", "plain", "login", "cram-md5", "scram-sha-1", "scram-sha-256"),
    *("external", "xoauth2", "oauthbearer"),
)
SECURITIES = ("plain", "tls", "stls")

_DOVECOT = (b"CAPA", b"TOP", b"UIDL", b"RESP-CODES", b"PIPELINING", b"AUTH-RESP-CODE")


def listed(*lines: bytes) -> bytes:
    return b"".join(line + b"\r\n" for line in (b"+OK", *lines, b"."))


def question(text: bytes) -> bytes:
    return b"+ " + b64encode(text) + b"\r\n"


@cache
def signatures() -> dict[str, bytes]:
    """Return the final messages of SCRAM servers that know the password (RFC 5802 section 3)."""
    bare = b"n=monitor,r=" + NONCE
    message = bare + b"," + FIRST + b",c=biws,r=" + SERVER_NONCE
    found = {}
    for method, digest in (("scram-sha-1", "sha1"), ("scram-sha-256", "sha256")):
        salted = hashlib.pbkdf2_hmac(digest, CANARY.encode(), b64decode(SALT), 4096)
        key = hmac.digest(salted, b"Server Key", digest)
        found[method] = b64encode(hmac.digest(key, message, digest))
    return found


def _exchange(method: str) -> tuple[bytes, ...]:
    """Return the server's lines of a login."""
    ok = b"+OK Logged in.\r\n"
    match method:
        case "auto" | "user":
            return (b"+OK\r\n", ok)
        case "login":
            return (question(b"Username:"), question(b"Password:"), ok)
        case "cram-md5":
            return (question(b"<1896.697170952@postoffice.example.test>"), ok)
        case "scram-sha-1" | "scram-sha-256":
            return (question(FIRST), question(b"v=" + signatures()[method]), ok)
        case "xoauth2":
            return (b"+ \r\n", ok)
    return (ok,)


def transcript(
    scenario: Scenario,
    greeting: bytes = GREETINGS[2],
    before_tls: bytes = listed(*_DOVECOT, b"STLS"),
    capabilities: bytes | None = None,
    stat: bytes = b"+OK 2 320\r\n",
    goodbye: bytes = b"+OK Logging out.\r\n",
) -> Script:
    """Return a session that must be OK."""
    security, method = scenario
    if capabilities is None:
        offered = (
            b"SASL PLAIN"
            if method in (None, *LOGIN_METHODS[:3])
            else b"SASL " + method.upper().encode()
        )
        capabilities = listed(*_DOVECOT, b"USER", offered)
    turns = [greeting]
    if security == "stls":
        turns += [before_tls, b"+OK Begin TLS negotiation now.\r\n", b""]
    if security == "stls" or method not in (None, "user", "apop"):
        turns.append(capabilities)
    if method:
        turns += [*_exchange(method), stat]
    return Script(scenario, tuple(said(turn) for turn in (*turns, goodbye)))


def every() -> Iterator[Script]:
    """Yield a good session of each kind, and those of real servers."""
    for security in SECURITIES:
        for method in (None, *LOGIN_METHODS):
            yield transcript(Scenario(security, method))
        for greeting in GREETINGS:
            yield transcript(Scenario(security), greeting)
    yield transcript(Scenario("stls"), before_tls=b"-ERR\r\n", capabilities=b"-ERR what\r\n")
    yield transcript(Scenario("stls"), before_tls=b"+OK\r\n\r\nstls\r\n\xff\r\nsasl\r\n.\r\n")
    yield transcript(Scenario("tls", "auto"), capabilities=b"-ERR Unknown command\r\n")
    yield transcript(Scenario("tls", "auto"), stat=b"+OK 0 0 octets\r\n", goodbye=b"-ERR no\r\n")
    yield transcript(
        Scenario("tls", "plain"), capabilities=b"+OK\nsasl login plain\nEXPIRENEVER\n.\n"
    )
    yield from _of_real_servers()


def _of_real_servers() -> Iterator[Script]:
    """Yield sessions of Dovecot 2.3.19 (recorded), RFC 1939, Cyrus, Courier and Exchange.

    The last three are from their sources and recordings of other projects.
    """
    offered = b"SASL PLAIN LOGIN CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 EXTERNAL XOAUTH2 OAUTHBEARER"
    inside = listed(*_DOVECOT, b"USER", offered)
    dovecot = listed(*_DOVECOT, b"STLS", b"USER", offered)
    greeting = b"+OK mail <4620.1.6b05d45b.A6louifz20MOgI+3KXMb4Q==@vm>\r\n"
    for security, method in (("plain", "auto"), ("tls", "plain"), ("stls", "user"), ("stls", None)):
        scenario = Scenario(security, method)
        capabilities = dovecot if security == "plain" else inside
        yield transcript(scenario, greeting, dovecot, capabilities, b"+OK 3 183\r\n")
    dewey = b"+OK dewey POP3 server signing off (maildrop empty)\r\n"
    yield transcript(Scenario("plain", "apop"), goodbye=dewey)
    yield transcript(
        Scenario("tls", "auto"),
        b"+OK pop.example.test Cyrus POP3 3.6.1 server ready <17.1764@pop.example.test>\r\n",
        capabilities=b"+OK List of capabilities follows\r\nSASL PLAIN LOGIN\r\nEXPIRE NEVER\r\n"
        b"LOGIN-DELAY 0\r\nTOP\r\nUIDL\r\nPIPELINING\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nUSER\r\n"
        b"IMPLEMENTATION Cyrus POP3 3.6.1 server\r\n.\r\n",
        stat=b"+OK 0 0\r\n",
        goodbye=b"+OK\r\n",
    )
    yield transcript(
        Scenario("stls", "auto"),
        b"+OK Hello there.\r\n",
        b"+OK Here's what I can do:\r\nSTLS\r\nTOP\r\nUSER\r\nLOGIN-DELAY 10\r\nPIPELINING\r\n"
        b"UIDL\r\nIMPLEMENTATION Courier Mail Server\r\n.\r\n",
        listed(b"SASL LOGIN PLAIN", b"TOP", b"USER", b"LOGIN-DELAY 10", b"UIDL"),
        goodbye=b"+OK Bye-bye.\r\n",
    )
    yield transcript(
        Scenario("tls", "xoauth2"),
        b"+OK The Microsoft Exchange POP3 service is ready. [TABPADUAUABSADAA]\r\n",
        capabilities=listed(b"TOP", b"UIDL", b"SASL PLAIN XOAUTH2", b"USER"),
        stat=b"+OK 1 2048\r\n",
        goodbye=b"+OK Microsoft Exchange Server POP3 server signing off.\r\n",
    )


WRONG_LINES = (
    *(b"+", b"+NO", b"+okay", b"+OKAY", b"OK", b"-ERROR", b"", b" +OK", b"+O", b"+Ok", b"+ok hi"),
    *(b"* OK IMAP4rev1 ready", b"220 mx ESMTP", b"SSH-2.0-x", b"HTTP/1.1 400 Bad"),
    *(b"-ERR", b"-ERR go away", b"-ERR [SYS/TEMP] busy", b"-ERR [SYS/PERM] never", b"-ERR what"),
    *(b"-ERR [AUTH] no", b"-ERR [IN-USE] locked", b"-ERR [LOGIN-DELAY] 300 s", b"-ERR [sys/disk]"),
    b"-ERR [AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.",
    b"-ERR PASS " + CANARY.encode() + b" is wrong",
    b"-ERR " + CANARY.encode().hex().encode(),
    b"+OK " + b64encode(b"\0monitor\0" + CANARY.encode()),
    *(b"+ ", b"+ not!", b"+ dXNlcg==", b"+ !", b"+ eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0"),
    *(b"+ eyJzdGF0dXMiOiJpbnZhbGlkX3Rva2VuIn0=", b"+ ZT11bmtub3duLXVzZXI=", b"+ W10="),
    *(b"+ " + b"x" * 13000, b"+ " + b64encode(b"v=" + b64encode(bytes(20)))),
    *(b"-ERR [SYS/TEMP/LDAP] later", b"-ERR TLS required", b"-ERR no valid client certificate"),
    *(b"+OK 7", b"+OK seven 1", b"+OK -1 5", b"+OK " + b"9" * 500 + b" 1", b"+OK 1 1 1", b"+OK 9"),
    *(b".", b"..", b".x", b"STLS", b"SASL PLAIN", b"SASL", b"USER", b"stls", b"EXPIRENEVER"),
    *(b"\x15\x03\x01\x00\x02\x02\x0a", b"\x16\x03\x03\xff\xff", b"  _   _ ____", b"+OK curl"),
    *(b"+OK \0\x1b[31m\xff|x=1 <script>`id`", b"+OK ready", b"+OK", b"+OK again", b"+OK\tready"),
    *(b"+OK " + b"x" * 2100, b"x" * 13000, b"+ " + b"x" * 9998, b"-ERR " + b"x" * 2040),
)
"""Lines of the fault catalogue, without line ends; some of them are valid in one place."""
