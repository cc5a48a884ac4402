"""A faulty name server: each name selects another fault.

It listens on 127.0.0.1, by UDP and TCP, in a network namespace.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Sequence

A, CNAME = 1, 5
NXDOMAIN, SERVFAIL, REFUSED = 3, 2, 5
TRUNCATED = 0x0200

LATE_SECONDS = 6.0
MANY = 1000

Answer = Callable[[bytes], bytes | None]


def reply(
    query: bytes, records: Sequence[bytes] = (), code: int = 0, flags: int = 0, answered: int = -1
) -> bytes:
    """Return an answer that repeats the question of the query (RFC 1035 section 4.1)."""
    question = query[12 : query.index(b"\0", 12) + 5]
    count = len(records) if answered < 0 else answered
    counts = b"".join(number.to_bytes(2, "big") for number in (1, count, 0, 0))
    head = query[:2] + (0x8180 | flags | code).to_bytes(2, "big") + counts
    return head + question + b"".join(records)


def record(data: bytes, kind: int = A, name: bytes = b"\xc0\x0c") -> bytes:
    """Return a record about a name, by default the one of the question."""
    fields = kind.to_bytes(2, "big") + b"\0\1" + b"\0\0\0\1" + len(data).to_bytes(2, "big")
    return name + fields + data


def is_for_a(query: bytes) -> bool:
    end = query.index(b"\0", 12)
    return query[end + 1 : end + 3] == A.to_bytes(2, "big")


def here(query: bytes) -> bytes:
    """Answer correctly: 127.0.0.1, and no IPv6 address."""
    return reply(query, [record(b"\x7f\0\0\1")] if is_for_a(query) else [])


def wrong_number(query: bytes) -> bytes:
    return bytes((query[0] ^ 0x55, query[1])) + here(query)[2:]


def wrong_question(query: bytes) -> bytes:
    return here(query).replace(b"wrong-question", b"right-question", 1)


def late(query: bytes) -> bytes:
    time.sleep(LATE_SECONDS)
    return here(query)


def many(query: bytes) -> bytes:
    """Answer with a thousand dead addresses."""
    if not is_for_a(query):
        return reply(query)
    addresses = (b"\x7f\1" + number.to_bytes(2, "big") for number in range(1, MANY + 1))
    return reply(query, [record(address) for address in addresses])


def loop(query: bytes) -> bytes:
    """Answer with two CNAME records that refer to each other."""
    name = query[12 : query.index(b"\0", 12) + 1]
    other = b"\4pool" + name
    return reply(query, [record(other, CNAME), record(name, CNAME, other)])


ANSWERS: dict[str, Answer] = {
    "good": here,
    "nobody": lambda query: reply(query, code=NXDOMAIN),
    "no-address": reply,
    "fails": lambda query: reply(query, code=SERVFAIL),
    "refuses": lambda query: reply(query, code=REFUSED),
    "silent": lambda _: None,
    "late": late,
    "wrong-number": wrong_number,
    "wrong-question": wrong_question,
    "garbage": lambda query: query[:2] + b"\xff" * 40,
    "short": lambda query: query[:3],
    "cut": lambda query: here(query)[:-2],
    "many-promised": lambda query: reply(query, [record(b"\x7f\0\0\1")], answered=60_000),
    "loop": loop,
    "many": many,
    "long-address": lambda query: reply(query, [record(b"\x7f\0\0\1" * 40)]),
}
"""By the first label of the queried name."""

ONLY_CUT = ("truncated",)
"""Too long for UDP; there is no answer by TCP."""


def answer(query: bytes, by_tcp: bool) -> bytes | None:
    label = query[13 : 13 + query[12]].decode()
    if label in ONLY_CUT:
        return None if by_tcp else reply(query, flags=TRUNCATED)
    said = ANSWERS.get(label, here)(query)
    if said is not None and len(said) > 512 and not by_tcp:
        return reply(query, flags=TRUNCATED)
    return said


def serve(address: str = "127.0.0.1") -> None:
    """Answer until the process ends; print a line when ready."""
    by_udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    by_udp.bind((address, 53))
    by_tcp = socket.create_server((address, 53))
    threading.Thread(target=_serve_tcp, args=(by_tcp,), daemon=True).start()
    print("ready", flush=True)
    while True:
        query, client = by_udp.recvfrom(4096)
        threading.Thread(target=_answer_udp, args=(by_udp, query, client), daemon=True).start()


def _answer_udp(by_udp: socket.socket, query: bytes, client: tuple[str, int]) -> None:
    said = answer(query, by_tcp=False)
    if said is not None:
        by_udp.sendto(said, client)


def _serve_tcp(by_tcp: socket.socket) -> None:
    while True:
        connection, _ = by_tcp.accept()
        threading.Thread(target=_answer_tcp, args=(connection,), daemon=True).start()


def _answer_tcp(connection: socket.socket) -> None:
    with connection:
        # Both queries, for IPv4 and IPv6, use one connection.
        while length := connection.recv(2, socket.MSG_WAITALL):
            query = connection.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL)
            said = answer(query, by_tcp=True)
            if said is None:
                return
            connection.sendall(len(said).to_bytes(2, "big") + said)
