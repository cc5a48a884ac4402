"""Recognisable secrets, encodings that a server may use, and the search for them in output.

The encodings are implemented independently of the plugin's masking.
"""

from __future__ import annotations

import base64
import html
import importlib
import json
import pickle
import ssl
import traceback
import urllib.parse
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from check_pop3_plus.check import run
from check_pop3_plus.model.settings import Secret
from check_pop3_plus.output.plugin_text import render
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.support.deadline import Clock
from tests.servers.scripted_server import (
    LOOPBACK,
    Connection,
    ScriptedServer,
    Server,
    Step,
    expect,
    say,
)
from tests.support import faults
from tests.support.faults import GREETING, Fault
from tests.support.settings_from import check_settings

USER = "monitor"

CANARIES = {
    "spaces and markup": b"c4n4ry pa$$<w>rd",
    "escaped by all": b"q'w\"e\\r/t+y&u=1%2|3~4?5#6",
    "not ASCII": "Zürcher Schlüsselwörter €".encode(),
    "Latin-1": b"gr\xfc\xdfe-vom-M\xf6nch-7",
    "one word": b"x9fQ2kLm",
    "of digits": b"8812749053310",
    "a token": b"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJtb25pdG9yIn0.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1g",
    "a long token": base64.b64encode(bytes(range(256)) * 5),
}
"""Each has characters that some encoding changes."""

SHORT = ("a", "3", "ok", "OK", "POP3", "user", "AUTH", "ready", "äö")
"""Secrets that are too short to be masked."""


def echoes(secret: bytes) -> dict[str, bytes]:
    """Return the possible echoes of a secret, by the name of the encoding."""
    text = secret.decode("utf-8", "surrogateescape")
    bearer = b"user=" + USER.encode() + b"\1auth=Bearer " + secret + b"\1\1"
    quoted = urllib.parse.quote_from_bytes(secret, safe="")
    in_json = json.dumps(secret.decode("utf-8", "replace"))[1:-1]
    found = {
        "plain": secret,
        "upper": secret.upper(),
        "command": b"unknown command: PASS " + secret + b" (what?)",
        **{f"base64 {n}": base64.b64encode(b"xyz"[:n] + secret) for n in range(3)},
        "base64 of PLAIN": base64.b64encode(b"\0" + USER.encode() + b"\0" + secret),
        "base64 of a token": base64.b64encode(bearer),
        "base64 of a URL": base64.urlsafe_b64encode(b"-" + secret),
        "base64 in upper case": base64.b64encode(secret).upper(),
        "hex": secret.hex().encode(),
        "HEX": secret.hex().upper().encode(),
        "hex with colons": secret.hex(":").encode(),
        "percent": quoted.encode(),
        "percent in lower case": quoted.lower().encode(),
        "form": urllib.parse.quote_plus(secret).encode(),
        "all percent": b"".join(b"%%%02X" % byte for byte in secret),
        "repr": repr(secret).encode(),
        "repr of text": repr(text).encode("utf-8", "surrogateescape"),
        "JSON": in_json.encode(),
        "JSON of PHP": in_json.replace("/", "\\/").encode(),
        "HTML": html.escape(text).encode("utf-8", "surrogateescape"),
        "twice": secret + b" " + secret,
        "far right": b"x" * 91 + secret,
    }
    return {name: said for name, said in found.items() if not set(b"\r\n") & set(said)}


def hits(secret: bytes, shown: str | bytes) -> list[str]:
    """Return the encodings of a whole secret that are in the output, in any letter case."""
    text = (shown if isinstance(shown, str) else shown.decode("latin-1")).lower()
    wanted = {form.lower() for form in _encodings(secret)}
    return sorted(form for form in wanted if form in text)


def _encodings(secret: bytes) -> Iterator[str]:
    """Yield a secret, plain and encoded, unchanged and sanitised."""
    text = secret.decode("utf-8", "replace")
    encodings = [
        secret.decode("latin-1"),
        text,
        repr(text)[1:-1],
        repr(secret)[2:-1],
        json.dumps(text)[1:-1],
        html.escape(text),
        urllib.parse.quote(secret),
        urllib.parse.quote_plus(secret),
        "".join(f"%{byte:02x}" for byte in secret),
        secret.hex(),
        secret.hex(":"),
    ]
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + secret).decode()
        # Without the first and last character, which may depend on the adjacent text.
        encodings.append(encoded[(8 * shift + 5) // 6 : (shift + len(secret)) * 8 // 6])
    harmless = str.maketrans("<>&", "()+") | dict.fromkeys(map(ord, "|\"'`$\\"), "?")
    for each in encodings:
        yield each
        sanitised = "".join(c if " " <= c <= "~" else "?" for c in each.translate(harmless))
        if len(sanitised.replace("?", "")) >= 6:
            yield sanitised[:97]  # a longer one is cut


def assert_hidden(secret: bytes, *shown: str | bytes) -> None:
    """Assert that a secret is in none of these, in any encoding."""
    for each in shown:
        assert not hits(secret, each), each


def of_exception(error: BaseException) -> str:
    """Return the text of an exception and its causes, with all their attributes."""
    found = []
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            found += [str(each), repr(each), repr(each.args), repr(each.__dict__)]
            found.append(pickle.dumps(each.args).decode("latin-1"))
            waiting += [each.__cause__, each.__context__]
    return "\n".join([*found, *traceback.format_exception(error)])


# --- servers that know the secret --------------------------------------------------------------

PLACES = (
    "greeting",
    "refused greeting",
    "no greeting",
    "capability",
    "mechanism",
    "refused user",
    "refused",
    "code",
    "temporary",
    "garbled",
    "accepted",
    "challenge",
    "reason",
    "cancelled",
    "stat",
    "malformed stat",
    "withdrawn",
    "goodbye",
)
"""The places in a session where a server sends free text."""

MECHANISMS = (
    *("user", "apop", "plain", "login", "cram-md5"),
    *("scram-sha-1", "scram-sha-256", "external", "xoauth2", "oauthbearer"),
)


def _encoded(text: bytes) -> bytes:
    return base64.b64encode(text)


class EchoingServer(Server):
    """Accepts any login, and sends `said` in one place of the session, or in all (`everywhere`)."""

    def __init__(
        self,
        said: bytes,
        place: str,
        tls: ssl.SSLContext | None = None,
        address: str = LOOPBACK,
    ) -> None:
        super().__init__(tls=tls, address=address)
        self._said = said
        self._place = place

    def _is(self, *places: str) -> bool:
        return self._place in places

    def _with(self, line: bytes, *places: str) -> bytes:
        is_here = self._is("everywhere", *places)
        return line + (b" " + self._said if is_here else b"") + b"\r\n"

    def play(self, connection: Connection, number: int) -> None:
        if self._is("no greeting"):
            connection.send(self._said + b"\r\n")
            return
        if self._is("refused greeting"):
            connection.send(b"-ERR " + self._said + b"\r\n")
        else:
            connection.send(self._with(b"+OK <1896.697170952@example.test> ready", "greeting"))
        while True:
            line = connection.line()
            word, _, argument = line.partition(b" ")
            match word.upper():
                case b"CAPA":
                    connection.send(self._capabilities())
                case b"USER":
                    word = b"-ERR who" if self._is("refused user") else b"+OK"
                    connection.send(self._with(word, "refused user"))
                case b"PASS" | b"APOP":
                    self._end(connection)
                case b"AUTH":
                    self._exchange(connection, argument)
                case b"STAT":
                    self._tell(connection)
                case b"QUIT":
                    connection.send(self._with(b"+OK bye", "goodbye"))
                    return
                case _:
                    connection.send(b"-ERR\r\n")

    def _capabilities(self) -> bytes:
        names = " ".join(name.upper() for name in MECHANISMS[2:]).encode()
        more = b" " + self._said if self._is("mechanism") else b""
        own = b"X-SAID " + self._said + b"\r\n" if self._is("capability", "everywhere") else b""
        return b"+OK\r\nUSER\r\nSASL " + names + more + b"\r\n" + own + b".\r\n"

    def _end(self, connection: Connection) -> None:
        """Send the final reply of a login."""
        if self._is("code"):
            connection.send(b"-ERR [" + self._said + b"] no\r\n")
        elif self._is("garbled"):
            connection.send(self._said + b"\r\n")
        elif self._is("temporary"):
            connection.send(b"-ERR [SYS/TEMP] " + self._said + b"\r\n")
        elif self._is("withdrawn"):
            connection.send(b"+OK in\r\n-ERR [SYS/TEMP] " + self._said + b"\r\n")
        elif self._is("accepted", "stat", "malformed stat", "goodbye"):
            connection.send(self._with(b"+OK Logged in.", "accepted"))
        else:
            connection.send(self._with(b"-ERR [AUTH] no", "refused", "cancelled"))

    def _exchange(self, connection: Connection, argument: bytes) -> None:
        name, _, initial = argument.partition(b" ")
        if self._is("challenge", "cancelled"):
            connection.send(b"+ " + (self._said if self._is("challenge") else b"!") + b"\r\n")
            connection.line()
            connection.send(self._with(b"-ERR", "challenge", "cancelled"))
            return
        questions = {
            b"LOGIN": [b"Username:", b"Password:"],
            b"CRAM-MD5": [b"<1896.697170952@example.test>"],
            b"XOAUTH2": [b""],
        }.get(name, [] if initial else [b""])
        for question in questions:
            connection.send(b"+ " + _encoded(question) + b"\r\n")
            connection.line()
        if self._is("reason", "everywhere") and name in (b"XOAUTH2", b"OAUTHBEARER"):
            said = {"status": "invalid_token", "error_description": self._said.decode("latin-1")}
            connection.send(b"+ " + _encoded(json.dumps(said).encode()) + b"\r\n")
            connection.line()
        elif self._is("reason", "everywhere") and name.startswith(b"SCRAM"):
            connection.send(b"+ " + _encoded(b"e=" + self._said.replace(b",", b"")) + b"\r\n")
            connection.line()
        self._end(connection)

    def _tell(self, connection: Connection) -> None:
        if self._is("malformed stat"):
            connection.send(b"+OK " + self._said + b"\r\n")
        elif self._is("stat"):
            connection.send(b"-ERR " + self._said + b"\r\n")
        else:
            connection.send(self._with(b"+OK 2 320", "accepted"))


def arguments(server: Server, how: str = "auto", *more: str) -> list[str]:
    """Return the options of a login by one mechanism, without TLS to save time."""
    return [
        *("-H", "localhost", "--connect-to", server.address, "-p", str(server.port), "-U", USER),
        *("--auth", how, "--allow-insecure-login", "-t", "3", *more),
    ]


def shown(argv: Sequence[str], secret: bytes) -> str:
    """Run one check in this process, and return its output."""
    settings = check_settings(list(argv))
    return render(run.run_check(settings, Clock(), Prerequisites(settings, Secret(secret))))


# --- the catalogue ---------------------------------------------------------------------------


class Row(NamedTuple):
    """One row of the catalogue as a whole plain-text session."""

    name: str
    how: str
    fault: Fault
    opening: str
    """What precedes its steps: nothing, a greeting, also capabilities, or also a login."""

    def server(self) -> ScriptedServer:
        offered = b"USER" if self.how == "auto" else b"SASL " + self.how.upper().encode()
        login = [expect(b"USER"), say(b"+OK\r\n"), expect(b"PASS"), say(b"+OK\r\n"), expect()]
        parts: dict[str, list[Step]] = {
            "greeting": [GREETING],
            "capabilities": [expect(b"CAPA"), say(b"+OK\r\n" + offered + b"\r\n.\r\n")],
            "login": login,
        }
        before: list[Step] = []
        for name, steps in parts.items():
            if self.opening:
                before += steps
            if name == self.opening:
                break
        return ScriptedServer([*before, *self.fault.steps])


_LISTS = {
    "GREETINGS": "",
    "TOLERATED": "",
    "CAPABILITIES": "greeting",
    "LOGINS": "capabilities",
    "EXCHANGES": "capabilities",
    "MAILBOXES": "login",
}
_HOMES = (
    "tests.checks.test_faults_greeting",
    "tests.checks.test_faults_stls",
    "tests.checks.test_faults_login",
)
"""The modules with the tables of the catalogue; the first one that has a list is used."""


OF_CATALOGUE = faults.CANARY.encode()
"""The secret of servers in the catalogue."""


def catalogue() -> list[Row]:
    """Return the rows that can be played in plain text, from the tables of the fault tests."""
    rows = []
    for title, opening in _LISTS.items():
        table = next(
            found
            for home in _HOMES
            if (found := getattr(importlib.import_module(home), title, None)) is not None
        )
        for each in table:
            how, fault = each if isinstance(each, tuple) and len(each) == 2 else ("auto", each)
            rows.append(Row(f"{title} {how} {fault.name}", how, fault, opening))
    return rows
