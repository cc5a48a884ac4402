"""What the plugin may say to a mail server, judged by what servers have recorded.

Not by the plugin's own table: this is the other side of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

ALONE = (b"CAPA", b"STLS", b"STAT", b"QUIT")
WITH_ARGUMENT = (b"USER", b"PASS", b"APOP", b"AUTH")
LOGINS = (b"PASS", b"APOP", b"AUTH")
"""Each is an attempt, as a server counts them."""

_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")


def forbidden(commands: Iterable[bytes]) -> list[bytes]:
    """Return of one connection's lines those that may not be sent.

    What is read as lines may be the plugin's handshake, or its request to a token endpoint where a
    script plays one: then it is no POP3 from there on.
    """
    found = []
    is_exchange = False
    for number, line in enumerate(commands):
        verb, blank, argument = line.partition(b" ")
        if line.startswith(b"\x16\x03") or (number == 0 and line.startswith(b"POST /")):
            break
        if verb in ALONE and not blank:
            is_exchange = False
        elif verb in WITH_ARGUMENT and argument:
            is_exchange = verb == b"AUTH"
        elif not (is_exchange and (line == b"*" or _BASE64.fullmatch(line))):
            found.append(line)
    return found


def logins(commands: Sequence[bytes]) -> int:
    """Return how often a login was tried."""
    return sum(line.partition(b" ")[0] in LOGINS for line in commands)
