"""POP3 grammar: lines, replies, capabilities, commands (RFC 1939, 2449, 3206). No I/O.

The readers follow h11: they take bytes, and return a complete item, `None` for "need more", or
raise an error. Text stays bytes; every limit has its reason beside it.
"""

import re

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.sanitised_text import Printable, printable, sanitise

LINE_LIMIT = 2048
"""Bytes of one line. RFC 2449 section 4 allows 512; poplib and real servers go to 2,048."""

AUTH_LINE_LIMIT = 12 * 1024
"""Bytes of one challenge: RFC 5034 section 4 allows 12,288."""

BODY_LIMIT = 64 * 1024
"""Bytes of one multi-line reply. Real capability lists stay under 1 KiB."""

MESSAGE_LIMIT = 64 * 1024
"""Bytes read of the headers of one message; what follows is skipped."""

BODY_LINES_LIMIT = 500
"""Lines of one multi-line reply: a body of empty lines would otherwise use too much memory."""

TOTAL_LIMIT = 1024 * 1024
"""Bytes received in one session, or for one message: far more than any legitimate one."""

COMMAND_LIMIT = 255
"""Bytes of a command line (RFC 5034 section 4): a longer initial response waits for `+`."""

VERBS = frozenset((b"CAPA", b"STLS", b"USER", b"PASS", b"APOP", b"AUTH", b"STAT", b"TOP", b"QUIT"))
"""The only commands ever sent. TOP, for the age of messages, does not mark them as read; no DELE
or RETR: a check is read-only."""


class Command(Record):
    """Wire bytes and the text to show for them, redacted on creation."""

    wire: bytes
    shown: Printable
    is_auth: bool = False
    """Whether the reply may be a challenge (RFC 5034)."""
    before_secret: bool = False
    """Whether the login has not sent its secret yet, nor a proof of it."""

    def __repr__(self) -> str:
        return f"Command({self.shown})"


class Reply(Record):
    """A status line, and the lines of the body if the command has one."""

    ok: bool
    text: bytes
    """The text after the status indicator, response code included."""
    code: str | None = None
    """Response code (RFC 2449 section 8), upper case, without brackets: `SYS/TEMP`."""
    body: tuple[bytes, ...] = ()
    challenge: bytes | None = None
    """Base64, if the line is not a status but a challenge (RFC 5034 section 4)."""


class Capabilities(Record):
    """A capability list (RFC 2449 section 5). Dropped, and read again, after TLS."""

    tags: dict[str, tuple[str, ...]]
    """Tag to arguments, both upper case."""

    def has(self, tag: str) -> bool:
        return tag in self.tags

    def offered(self) -> frozenset[tuple[str, str | None]]:
        """Return each tag alone, and with each of its arguments."""
        with_arguments = {
            (tag, argument) for tag, arguments in self.tags.items() for argument in arguments
        }
        return frozenset(with_arguments | {(tag, None) for tag in self.tags})


class LineBuffer:
    """Splits received bytes into lines."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._received = 0
        # Where the search for a line end continues: a line may arrive byte by byte.
        self._searched = 0
        self.is_bare = False
        """Whether the last line ended in LF alone."""

    def feed(self, data: bytes) -> None:
        """Add received bytes. Raises ProbeError (oversized) past `TOTAL_LIMIT`."""
        self._received += len(data)
        if self._received > TOTAL_LIMIT:
            raise ProbeError(Kind.OVERSIZED, "sends without end (limit 1 MiB)")
        self._data += data

    def next_line(self, limit: int = LINE_LIMIT) -> bytes | None:
        """Return one line without its end (CRLF, or LF alone), or None for "need more".

        Raises ProbeError (oversized) as soon as the line is longer than `limit` bytes.
        """
        end = self._data.find(b"\n", self._searched)
        if (len(self._data) if end < 0 else end) > limit:
            raise ProbeError(Kind.OVERSIZED, "sent a line too long (limit {})", limit)
        if end < 0:
            self._searched = len(self._data)
            return None
        line = bytes(self._data[:end])
        del self._data[: end + 1]
        self._searched = 0
        self.is_bare = not line.endswith(b"\r")
        return line.removesuffix(b"\r")

    def begin_message(self) -> None:
        """Restart the count of bytes received: each message has a limit of its own."""
        self._received = len(self._data)

    @property
    def pending(self) -> bytes:
        """The bytes of the incomplete next line, or of lines not read yet."""
        return bytes(self._data)


class BodyReader:
    """Collects the lines of one multi-line reply up to the final dot (RFC 1939 section 3)."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self._bytes = 0

    def add(self, line: bytes) -> bool:
        """Add one line; return whether the reply is complete.

        Raises ProbeError (oversized) past `BODY_LIMIT` bytes or `BODY_LINES_LIMIT` lines.
        """
        if line == b".":
            return True
        self._bytes += len(line) + 2
        if self._bytes > BODY_LIMIT or len(self.lines) >= BODY_LINES_LIMIT:
            raise ProbeError(
                Kind.OVERSIZED,
                "sent a reply too long (limit 64 KiB or {} lines)",
                BODY_LINES_LIMIT,
            )
        self.lines.append(line[1:] if line.startswith(b".") else line)
        return False


# Patterns are compiled when first used: most runs need only the first.
_STATUS = rb"(?s)(\+OK|-ERR)(?:[ \t]+(.*))?"
# RFC 2449 section 8: at the start of the text; servers also send it without announcing it.
_RESPONSE_CODE = rb"\[([A-Za-z0-9/_.\-]{1,64})[^\]]{0,200}\]"


def parse_status(line: bytes) -> Reply | None:
    """Parse a status line; None if it is not one.

    The indicator is upper case (RFC 1939 section 3) and ends at a blank or the end of the line:
    `+OKAY` is not a reply.
    """
    matched = re.fullmatch(_STATUS, line)
    if not matched:
        return None
    text = matched[2] or b""
    code = re.match(_RESPONSE_CODE, text) if text.startswith(b"[") else None
    return Reply(matched[1] == b"+OK", text, code[1].decode().upper() if code else None)


def parse_challenge(line: bytes) -> Reply | None:
    """Parse a challenge inside AUTH (RFC 5034 section 4); None if the line is not one."""
    if line == b"+":
        return Reply(False, b"", challenge=b"")
    return Reply(False, b"", challenge=line[2:].strip()) if line.startswith(b"+ ") else None


def parse_capabilities(lines: tuple[bytes, ...]) -> Capabilities:
    """Parse a capability list; blank lines, duplicates, lower case and 8-bit bytes are tolerated.

    The arguments of a repeated tag are joined.
    """
    tags: dict[str, tuple[str, ...]] = {}
    for line in lines:
        tag, *arguments = line.decode("ascii", "replace").upper().split() or [""]
        if tag:
            tags[tag] = tags.get(tag, ()) + tuple(arguments)
    return Capabilities(tags)


def protocol_warnings(lines: tuple[bytes, ...]) -> list[str]:
    """Return the tolerated deviations of a capability list from RFC 2449, as predicates."""
    items = [line.split() for line in lines]
    tags = [item[0].upper() for item in items if item]
    found = (
        (not tags, "is empty"),
        (bool(tags) and [] in items, "has a blank line"),
        (any(not line.isascii() for line in lines), "has bytes that are not ASCII"),
        (len(tags) > len(set(tags)), "has a tag twice"),
        (any(item and item[0] != item[0].upper() for item in items), "has a tag in lower case"),
    )
    return [predicate for is_true, predicate in found if is_true]


_STAT = rb"(?s)(\d{1,18})[ \t]+(\d{1,18})(?:[ \t].*)?"


def parse_stat(text: bytes) -> tuple[int, int] | None:
    """Return the messages and bytes in a STAT reply (RFC 1939 section 5), or None.

    Text after the two numbers is allowed. Eighteen digits are enough for any mailbox.
    """
    matched = re.fullmatch(_STAT, text)
    return (int(matched[1]), int(matched[2])) if matched else None


def command(verb: bytes, argument: bytes | None = None, shown: Printable | None = None) -> Command:
    """Build one command line; `shown` replaces the argument in the transcript.

    Raises ValueError for a verb that is not in the allow-list, and for a line break or NUL in the
    argument: those are bugs of the plugin, not faults of the server.
    """
    if verb not in VERBS:
        raise ValueError(f"{verb!r} is not a command of this plugin")
    if argument is None:
        return Command(verb + b"\r\n", printable("{}", verb))
    if re.search(rb"[\r\n\0]", argument):
        raise ValueError("line break or NUL in a command argument")
    visible = sanitise(argument) if shown is None else shown
    return Command(verb + b" " + argument + b"\r\n", printable("{} {}", verb, visible))


def delete(number: int) -> Command:
    """Build DELE, which `command` refuses: only `delivery/mailbox` deletes, and only own probes."""
    return Command(b"DELE %d\r\n" % number, printable("DELE {}", number))


_CODES = rb"\[(?:AUTH|IN-USE|LOGIN-DELAY|SYS/TEMP|SYS/PERM)\]"
_STATUS_AND_CODE = rb"(?i)(?:(?:\+OK|-ERR|\+)(?=[ \t]|$)[ \t]*)?(?:" + _CODES + rb")?[ \t]*"


def only_code(foreign: bytes | str) -> Printable:
    """Return only the status and the response code of a line, or of its text; mask the rest.

    A sanitiser for secrets that are too short to be masked.
    """
    line = foreign if isinstance(foreign, bytes) else foreign.encode("ascii", "replace")
    matched = re.match(_STATUS_AND_CODE, line)
    shown = matched[0] if matched else b""
    return sanitise(shown + b"***" if line[len(shown) :].strip() else shown)


_OTHER_PROTOCOLS = (
    (rb"(?i)\* (OK|PREAUTH|BYE)", "IMAP"),
    (rb"(?is)220[ -].*(SMTP|mail|postfix|exim)", "SMTP"),
    (rb"20[01] ", "NNTP"),
    (rb"(220|[45][0-9]{2})[ -]", "SMTP or FTP"),
    (rb"SSH-", "SSH"),
    (rb"RFB [0-9]{3}", "VNC"),
    (rb".\x00\x00\x00\Z", "MySQL"),
    (rb"<(\?xml|stream)", "XMPP"),
    (rb"(?i)HTTP/|<!DOCTYPE|<html", "HTTP"),
    (rb"\x00{0,2}[\x16\x15]", "TLS"),
)


def guess_protocol(greeting: bytes) -> str | None:
    """Return the protocol that a greeting other than POP3 seems to belong to, or None."""
    return next((name for pattern, name in _OTHER_PROTOCOLS if re.match(pattern, greeting)), None)
