"""A strict reader of scripts: do the bytes of this server deserve OK?

The second opinion for `in_process`. It is written from RFC 1939, 2449, 2595 and 5034 and from the
table of faults, and shares no line with the plugin.
"""

from __future__ import annotations

import base64
import binascii
import re

from tests.support.in_process import NONCE, Chunk, Script

SALT = b"QSXCR+Q6sek8bf92"
SERVER_NONCE = NONCE + b"3rfcNHYJY1ZVvWVs7j"
FIRST = b"r=" + SERVER_NONCE + b",s=" + SALT + b",i=4096"
"""What a SCRAM server says first; all of it goes into the signature that it has to give."""


class _Not(Exception):
    """OK is not deserved."""


class _Arguable(Exception):
    """Neither answer would be wrong."""


def deserves_ok(script: Script, signatures: dict[str, bytes]) -> bool | None:
    """Return whether OK is deserved, or None where one may think so or otherwise.

    `signatures` are the proofs of a SCRAM server, by the name of the mechanism.
    """
    try:
        _hold(script, signatures)
    except _Not:
        return False
    except _Arguable:
        return None
    return True


def _hold(script: Script, signatures: dict[str, bytes]) -> None:
    security, method = script.scenario
    offered = None
    wire = _Wire(script)
    greeting = wire.status()
    if not greeting.startswith(b"+OK") or wire.has_more():
        raise _Not
    if security == "stls":
        offered = _capabilities(wire)
        if offered is not None and not _has(offered, "STLS"):
            raise _Not
        _positive(wire)
        if wire.has_more() or wire.coming or wire.is_over:
            raise _Not
        wire.ask()  # the handshake
    known = None
    if security == "stls" or method not in (None, "user", "apop"):
        known = _capabilities(wire)
    if security == "stls" and known is None:
        # A refusal of service, if it was no lack of CAPA.
        if offered is not None or wire.refused.startswith(b"-ERR [SYS"):
            raise _Not
        if wire.is_over:
            raise _Arguable
    if method:
        _log_in(wire, _chosen(method, known), greeting, signatures)
        _positive(wire, is_stat=True)
        wire.refused = b""
    _end(wire, has_login=method is not None)


def _end(wire: _Wire, has_login: bool) -> None:
    """Demand that nothing but the reply to QUIT follows; it may be missing."""
    if wire.has_more():
        raise _Not
    wire.ask()
    statuses = (b"+OK", b"-ERR") if has_login else (b"+OK",)
    while b"\n" not in wire.here and wire.coming:
        wire.here += wire.coming.pop(0).data
    line, end, wire.here = wire.here.partition(b"\n")
    if len(line) > 2048:
        raise _Arguable
    if not end:
        if not any(status[: len(line)] == line[: len(status)] for status in statuses):
            raise _Not
        if wire.refused:
            raise _Arguable
        return
    status = b"|".join(map(re.escape, statuses))
    if not re.fullmatch(rb"(?:" + status + rb")(?:[ \t].*)?", line.removesuffix(b"\r"), re.S):
        raise _Not
    if wire.has_more():
        raise _Not
    if wire.coming:
        raise _Arguable  # what comes later is not waited for


class _Wire:
    """What the client has got, and what is on its way."""

    def __init__(self, script: Script) -> None:
        self._turns = list(script.turns)
        self.here = b""
        self.coming: list[Chunk] = []
        self.refused = b""
        """The status line of the last CAPA, if it was refused and no login followed."""
        self.is_over = False
        self.ask()

    def ask(self) -> None:
        if self._turns and not self.is_over:
            turn = self._turns.pop(0)
            self.coming += turn.chunks
            self.is_over = turn.end != ""

    def has_more(self) -> bool:
        while self.coming and not self.coming[0].is_late:
            self.here += self.coming.pop(0).data
        return self.here != b""

    def line(self, limit: int = 2048) -> bytes:
        while b"\n" not in self.here:
            if not self.coming:
                raise _Not
            self.here += self.coming.pop(0).data
        line, _, self.here = self.here.partition(b"\n")
        if len(line) > limit:
            raise _Not
        return line[:-1] if line[-1:] == b"\r" else line

    def status(self) -> bytes:
        line = self.line()
        if line[:3] == b"+OK" and line[3:4] in (b"", b" ", b"\t"):
            return line
        if line[:4] == b"-ERR" and line[4:5] in (b"", b" ", b"\t"):
            return line
        raise _Not


def _positive(wire: _Wire, is_stat: bool = False) -> None:
    """Say something, and demand a good answer to it alone."""
    if wire.has_more():
        raise _Not
    wire.ask()
    line = wire.status()
    if not line.startswith(b"+OK"):
        raise _Not
    if is_stat:
        _, *words = line.replace(b"\t", b" ").split(b" ")
        numbers = [word for word in words if word][:2]
        if len(numbers) < 2 or not all(re.fullmatch(rb"[0-9]+", each) for each in numbers):
            raise _Not
        if max(map(len, numbers)) > 18:  # which no mailbox has
            raise _Arguable if max(map(len, numbers)) < 100 else _Not


def _capabilities(wire: _Wire) -> list[bytes] | None:
    if wire.has_more():
        raise _Not
    wire.ask()
    status = wire.status()
    if status.startswith(b"-ERR"):
        wire.refused = status
        return None
    wire.refused = b""
    lines: list[bytes] = []
    octets = 0
    while (line := wire.line()) != b".":
        octets += len(line) + 2
        lines.append(line[1:] if line[:1] == b"." else line)
        if len(lines) > 500 or octets > 65536:
            raise _Not
    if lines and re.fullmatch(rb"(?:\+OK|-ERR)(?:[ \t].*)?", lines[0], re.S):
        raise _Arguable  # or the list has a status line of its own: the one before was for a header
    return lines


def _words(line: bytes, blanks: bytes) -> list[str]:
    return [
        word.decode("latin-1").upper()
        for word in re.split(b"[" + blanks + b"]+", line)
        if word.isascii() and word
    ]


def _has(lines: list[bytes], tag: str, argument: str | None = None) -> bool:
    """Return whether a list has a tag. Whether a control character is a blank is arguable."""
    found = []
    for blanks in (b" \t", b"\x00-\x20"):
        listed = [_words(line, blanks) for line in lines]
        found.append(
            any(each[:1] == [tag] and (argument is None or argument in each[1:]) for each in listed)
        )
    if found[0] != found[1]:
        raise _Arguable
    return found[0]


def _chosen(method: str, known: list[bytes] | None) -> str:
    if method in ("user", "apop"):
        return method
    if method != "auto":
        if known is not None and not _has(known, "SASL", method.upper()):
            raise _Not
        return method
    if known is None or _has(known, "USER"):
        return "user"
    for method in ("plain", "login"):
        if _has(known, "SASL", method.upper()):
            return method
    raise _Not


def _log_in(wire: _Wire, method: str, greeting: bytes, signatures: dict[str, bytes]) -> None:
    if method == "apop" and not re.search(rb"<[!-;=?A-~]+@[!-;=?A-~]+>", greeting):
        raise _Not
    if method in ("user", "apop"):
        for _ in range(2 if method == "user" else 1):
            _positive(wire)
        return
    asked = 0
    while True:
        if wire.has_more():
            raise _Not
        wire.ask()
        line = wire.line(12288)
        if line == b"+" or line[:2] == b"+ ":
            _judge(method, asked, _decoded(line[2:].strip()), signatures)
            asked += 1
        elif line == b"+OK" or line[:4] in (b"+OK ", b"+OK\t"):
            break
        else:
            raise _Not
    if asked != _CHALLENGES.get(method, 0):
        raise _Not


_CHALLENGES = {"login": 2, "cram-md5": 1, "xoauth2": 1, "scram-sha-1": 2, "scram-sha-256": 2}
"""How often the server has to ask; 0 where what the client says first is all."""


def _judge(method: str, asked: int, challenge: bytes, signatures: dict[str, bytes]) -> None:
    """Demand that a challenge is one of this mechanism, at this place."""
    if asked >= _CHALLENGES.get(method, 0):
        raise _Not
    if method == "cram-md5" and not challenge:
        raise _Not
    if method == "xoauth2" and challenge:
        raise _Not
    if method.startswith("scram"):
        due = (FIRST, b"v=" + signatures.get(method, b""))[asked]
        if asked and challenge.startswith(due + b","):
            raise _Arguable  # extensions, which are to be ignored
        if challenge != due:
            raise _Not


def _decoded(text: bytes) -> bytes:
    if not re.fullmatch(rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", text):
        raise _Not
    try:
        return base64.b64decode(text)
    except binascii.Error as error:
        raise _Not from error
