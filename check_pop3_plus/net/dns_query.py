"""Build DNS queries and read the answers of name servers (RFC 1035), without I/O.

Host names are resolved by the system, as for any client. This module only finds out which of the
system's name servers fails when that fails.
"""

import re

from check_pop3_plus.model.record import Record

A, AAAA = 1, 28

_CODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}

SERVERS_LIMIT = 3
"""Name servers used, as by the C library (MAXNS in resolv.h)."""


class Answer(Record):
    code: str
    """NOERROR, NXDOMAIN and so on."""
    records: int
    """Number of records."""


def query(name: str, kind: int, number: int) -> bytes:
    """Return a query for records of one type, recursion desired (section 4.1)."""
    labels = [label.encode("ascii") for label in name.rstrip(".").split(".")]
    wire = b"".join(bytes([len(label)]) + label for label in labels) + b"\0"
    counts = (1, 0, 0, 0)
    header = b"".join(part.to_bytes(2, "big") for part in (number, 0x0100, *counts))
    return header + wire + kind.to_bytes(2, "big") + (1).to_bytes(2, "big")


def parse(reply: bytes, number: int) -> Answer | None:
    """Return the content of an answer, or None if it is not an answer to that query."""
    if len(reply) < 12 or reply[:2] != number.to_bytes(2, "big") or not reply[2] & 0x80:
        return None
    code = reply[3] & 0x0F
    return Answer(_CODES.get(code, f"code {code}"), int.from_bytes(reply[6:8], "big"))


def servers(resolv_conf: bytes) -> tuple[str, ...]:
    """Return the addresses of the name servers that a resolv.conf names."""
    text = resolv_conf.decode("ascii", "replace")
    found = re.findall(r"^[ \t]*nameserver[ \t]+([0-9A-Fa-f:.]+(?:%\w+)?)", text, re.MULTILINE)
    return tuple(found[:SERVERS_LIMIT])
