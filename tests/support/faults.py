"""Helpers of the fault tests, and assertions for every run."""

import base64
import re
import ssl
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

import pytest

from check_pop3_plus.model.sanitised_text import sanitise
from tests.pki.certificates import Pki
from tests.servers.scripted_server import ScriptedServer, Server, Step, expect, say, start_tls
from tests.support import claims, output_parsers
from tests.support.catalogue import FAULTS
from tests.support.command import Run, run, run_in_process

CANARY = "c4n4ry pa$$<w>rd"
"""The password of every login; it must not appear in any output."""

STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")

GREETING = say(b"+OK ready\r\n")
BEFORE_TLS = b"+OK\r\nUSER\r\nSTLS\r\nSASL PLAIN\r\n.\r\n"
IN_TLS = b"+OK\r\nUSER\r\nRESP-CODES\r\n.\r\n"

# name=value with a unit, and thresholds as Icinga 2 and Nagios read them: fixed point only.
_PERFDATA = re.compile(
    r"[a-z0-9_]+=-?\d+(?:\.\d+)?[sB]?(?:;[@~:.\d-]*){0,2}(?:;-?\d+(?:\.\d+)?)?(?:;\d+(?:\.\d+)?)?"
)
_STOP_BEFORE_COMMA = re.compile(
    r"(?<!\.\.)[.,;:!](, \d+ of \d+ attempt|, (cleartext|unverified TLS) login|; port 995"
    r"|, \S+ treated as OK|, at [A-Z]+( [A-Z]+)? on )"
)
"""The punctuation of a quote, followed by ours."""

LABELS = (
    "time",
    *("time_resolve", "time_failed", "time_connect", "time_tls", "time_greeting"),
    *("time_capa", "time_stls", "time_login", "time_stat", "time_top", "time_smtp"),
    "cert_days",
    "chain_days",
    "messages",
    *("mailbox_size", "newest_age", "oldest_age"),
    *("delivery", "probes_pending", "probes_lost"),
    # of a sweep
    *("services", "ok", "warning", "critical", "unknown", "not_done", "not_submitted"),
)


BYE = [expect(b"QUIT"), say(b"+OK bye\r\n")]
LOGGED_IN = [expect(b"USER"), say(b"+OK\r\n"), expect(b"PASS"), say(b"+OK Logged in.\r\n")]
OFFERED = [GREETING, expect(b"CAPA"), say(b"+OK\r\nUSER\r\nSTLS\r\n.\r\n"), expect(b"STLS")]


class Fault(NamedTuple):
    """A server fault, and the expected result."""

    name: str
    """Begins with number and case of the catalogue, if it has a row there."""
    steps: Sequence[Step]
    """After the greeting in the modes `plain` and `tls`, after the second CAPA in `stls`."""
    state: str
    kind: str | None
    text: str = ""
    """Text that line 1 must contain."""


def params(faults: Sequence[Fault]) -> list[pytest.ParameterSet]:
    """Return test parameters that claim the catalogue rows in the names of the faults."""
    return [pytest.param(fault, id=fault.name, marks=claims_of(fault)) for fault in faults]


def claims_of(fault: Fault) -> list[pytest.MarkDecorator]:
    """Return the mark that claims the catalogue row in a fault's name, if there is one."""
    number, _, face = fault.name.partition(" ")
    if not number.isdigit():
        return []
    fitting = [case for case in FAULTS[int(number)].cases if face.startswith(case)]
    return [pytest.mark.fault(int(number), case=max(fitting, key=len))]


def honest(done: Run, has_secret: bool = True) -> Run:
    """Assert what holds for every run, and return it.

    Without a secret, similar text comes from the server and is allowed.
    """
    claims.seen.append(done)
    assert done.err == "", done.err
    assert done.code in range(4)
    head, _, perfdata = done.line.partition(" | ")
    assert head.startswith(f"POP3 {STATES[done.code]} - "), done.out
    assert len(head) <= 200
    assert not _STOP_BEFORE_COMMA.search(head), head
    assert done.out.count("|") == (1 if perfdata else 0), done.out
    assert all(" " <= character <= "~" or character == "\n" for character in done.out)
    assert not set("<>&\"'`$\\") & set(done.out), done.out
    assert len(done.out) <= 16 * 1024
    words = perfdata.split()
    assert all(_PERFDATA.fullmatch(word) for word in words), perfdata
    labels = [word.partition("=")[0] for word in words]
    assert labels == sorted(labels, key=_position)
    assert all(re.match(r"[a-z0-9 ]+: ", line) for line in done.long), done.out
    if has_secret:
        assert_no_canary(done.out)
    output_parsers.assert_read_alike(done.code, done.out)
    return done


def _position(label: str) -> int:
    """Return the position of a label; those of single addresses are last."""
    of_one_address = re.fullmatch(r"(time|cert_days)_[0-9a-f]+(_[0-9a-f]*)+", label)
    return len(LABELS) if of_one_address else LABELS.index(label)


def assert_no_canary(text: str) -> None:
    """Assert that the whole password appears in no form; parts of it are not masked."""
    secret = CANARY.encode()
    forms = (
        CANARY,
        sanitise(CANARY),
        secret.hex(),
        quote(CANARY, safe=""),
        base64.b64encode(secret).decode()[:21],  # what depends on the password alone
        base64.b64encode(b"\0monitor\0" + secret).decode()[12:33],
    )
    lowered = text.lower()
    for form in forms:
        assert form.lower() not in lowered


def kinds(done: Run) -> list[str]:
    """Return the kinds of failure that a result names."""
    return [re.split("[ ,]", line)[1] for line in done.long if line.startswith("kind: ")]


def flags(mode: str, pki: Pki, login: bool = False) -> list[str]:
    """Return the options that a mode needs against a test server."""
    options = {
        "plain": [],
        "tls": ["-S", "--ca-file", str(pki.ca_file)],
        "stls": ["--starttls", "--ca-file", str(pki.ca_file)],
    }[mode]
    if login:
        options += ["-U", "monitor", "--password-env", "CANARY"]
        if mode == "plain":
            options.append("--allow-insecure-login")
    return options


def check(server: Server, *arguments: str, as_process: bool = False) -> Run:
    """Run the plugin against a server, and assert what holds for every run.

    Plain sessions run the installed command, so that every table of faults covers standard error
    and the exit of a process. Sessions with TLS run inside the test process, because a process
    spends most of its time with the import of TLS libraries. `as_process` forces a process.
    """
    with_tls = {"-S", "--starttls"} & set(arguments)
    target = ("-H", "localhost", "--connect-to", server.address, "-p", str(server.port))
    runner = run_in_process if with_tls and not as_process else run
    return honest(runner(*target, *arguments, env={"CANARY": CANARY}))


def upgraded(pki: Pki, *steps: Step) -> list[Step]:
    """Return the steps of a valid STLS session, and `steps` after the CAPA inside TLS."""
    return [
        GREETING,
        expect(b"CAPA"),
        say(BEFORE_TLS),
        expect(b"STLS"),
        say(b"+OK begin\r\n"),
        start_tls(pki.server("good")),
        expect(b"CAPA"),
        say(IN_TLS),
        *steps,
    ]


def serving_tls(mode: str, context: ssl.SSLContext) -> ScriptedServer:
    """Return a server without a fault but those of its certificate or its handshake."""
    if mode == "tls":
        return ScriptedServer([GREETING, *BYE], tls=context)
    steps = [*OFFERED, say(b"+OK\r\n"), start_tls(context), expect(b"CAPA"), say(IN_TLS)]
    return ScriptedServer([*steps, *BYE])


def served(mode: str, pki: Pki, steps: Sequence[Step], with_capa: bool) -> ScriptedServer:
    """Return a server that plays `steps` after the connection has been set up as in `mode`."""
    if mode == "stls":
        return ScriptedServer(upgraded(pki, *steps))
    asked = [expect(b"CAPA"), say(IN_TLS)] if with_capa else []
    tls = pki.server("good") if mode == "tls" else None
    return ScriptedServer([GREETING, *asked, *steps], tls=tls)
