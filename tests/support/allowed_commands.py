"""The commands that the plugin may send, checked against the records of the test servers.

This list is independent of the plugin's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

ALONE = (b"CAPA", b"STLS", b"STAT", b"QUIT")
WITH_ARGUMENT = (b"USER", b"PASS", b"APOP", b"AUTH", b"TOP")
LOGINS = (b"PASS", b"APOP", b"AUTH")
"""Each is a login attempt for the server."""

_HEADER_ONLY = re.compile(rb"TOP [1-9]\d* 0")
"""No line of a message's body is read."""

_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")


_DELETE = re.compile(rb"DELE [1-9]\d*")
"""Of own probes; the servers of the tests see to it that no other message is deleted."""


def forbidden(commands: Iterable[bytes], may_delete: bool = False) -> list[bytes]:
    """Return the lines of one connection that may not be sent.

    Lines may also be part of a TLS handshake or of a token request to a scripted server; from
    there on they are not POP3.
    """
    found = []
    is_exchange = False
    for number, line in enumerate(commands):
        verb, blank, argument = line.partition(b" ")
        if line.startswith(b"\x16\x03") or (number == 0 and line.startswith(b"POST /")):
            break
        if (verb in ALONE and not blank) or (may_delete and _DELETE.fullmatch(line)):
            is_exchange = False
        elif verb == b"TOP" and not _HEADER_ONLY.fullmatch(line):
            found.append(line)
        elif verb in WITH_ARGUMENT and argument:
            is_exchange = verb == b"AUTH"
        elif not (is_exchange and (line == b"*" or _BASE64.fullmatch(line))):
            found.append(line)
    return found


def logins(commands: Sequence[bytes]) -> int:
    """Return the number of login attempts."""
    return sum(line.partition(b" ")[0] in LOGINS for line in commands)
