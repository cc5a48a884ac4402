"""The grammar: each case whole, byte by byte, and with a tail."""

from collections.abc import Iterator

import pytest

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.sanitised_text import Printable
from check_pop3_plus.pop3.grammar import (
    AUTH_LINE_LIMIT,
    BODY_LIMIT,
    BODY_LINES_LIMIT,
    LINE_LIMIT,
    TOTAL_LIMIT,
    BodyReader,
    LineBuffer,
    Reply,
    command,
    delete,
    guess_protocol,
    only_code,
    parse_capabilities,
    parse_challenge,
    parse_stat,
    parse_status,
    protocol_warnings,
)


def lines_of(chunks: Iterator[bytes]) -> list[bytes]:
    buffer = LineBuffer()
    lines = []
    for chunk in chunks:
        buffer.feed(chunk)
        while (line := buffer.next_line()) is not None:
            lines.append(line)
    return lines


def test_line_buffer_bare_lf_ends_line() -> None:
    """Fault 15: some servers send it."""
    assert lines_of(iter([b"+OK a\n+OK b\r\n"])) == [b"+OK a", b"+OK b"]


def test_line_buffer_bare_lf_is_flagged() -> None:
    """The flag is about the last line; it is not set before there is one."""
    buffer = LineBuffer()
    seen = [buffer.is_bare]
    buffer.feed(b"+OK a\n+OK b\r\n\n\r\n")
    for _ in range(4):
        buffer.next_line()
        seen.append(buffer.is_bare)

    assert seen == [False, True, False, True, False]


def test_line_buffer_after_slow_line_finds_next_line() -> None:
    """The search for a line end starts again with each line."""
    assert lines_of(iter([b"+OK a", b"b\n\nc\n", b"", b"d\n"])) == [b"+OK ab", b"", b"c", b"d"]
    assert lines_of(iter([b"\nx\n"])) == [b"", b"x"]
    assert lines_of(iter([b"\n" + b"x" * LINE_LIMIT + b"\n"])) == [b"", b"x" * LINE_LIMIT]


def test_line_buffer_pending_is_the_incomplete_line() -> None:
    """The bytes behind the last line, unchanged."""
    buffer = LineBuffer()
    buffer.feed(b"+OK\r\n+O")

    assert buffer.pending == b"+OK\r\n+O"
    assert buffer.next_line() == b"+OK"
    assert buffer.next_line() is None
    assert buffer.pending == b"+O"


def test_limits_are_those_of_the_rfcs() -> None:
    """RFC 2449 and RFC 5034, and values that no real server reaches."""
    assert (LINE_LIMIT, AUTH_LINE_LIMIT) == (2048, 12_288)
    assert (BODY_LIMIT, BODY_LINES_LIMIT, TOTAL_LIMIT) == (65_536, 500, 1_048_576)


@pytest.mark.threat("T13")
@pytest.mark.parametrize("tail", [b"", b"\n"])
def test_line_buffer_line_over_limit_is_oversized(tail: bytes) -> None:
    """An endless line is refused before its end."""
    buffer = LineBuffer()
    buffer.feed(b"x" * (LINE_LIMIT + 1) + tail)

    with pytest.raises(ProbeError) as caught:
        buffer.next_line()
    assert caught.value.kind is Kind.OVERSIZED
    assert caught.value.message == "sent a line too long (limit 2048)"


def test_line_buffer_line_at_limit_is_accepted() -> None:
    """The limit itself is allowed."""
    assert lines_of(iter([b"x" * LINE_LIMIT + b"\n"])) == [b"x" * LINE_LIMIT]


@pytest.mark.threat("T13")
def test_line_buffer_total_over_limit_is_oversized() -> None:
    """Many short lines are limited, too."""
    buffer = LineBuffer()
    buffer.feed(bytes(TOTAL_LIMIT))

    with pytest.raises(ProbeError) as caught:
        buffer.feed(b"x")
    assert caught.value.kind is Kind.OVERSIZED
    assert caught.value.message == "sends without end (limit 1 MiB)"


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"+OK", Reply(True, b"")),
        (b"+OK ", Reply(True, b"")),
        (b"+OK ready", Reply(True, b"ready")),
        (b"+OK\tready", Reply(True, b"ready")),
        (b"-ERR", Reply(False, b"")),
        (b"-ERR [AUTH] no", Reply(False, b"[AUTH] no", "AUTH")),
        (b"-ERR [sys/temp] no", Reply(False, b"[sys/temp] no", "SYS/TEMP")),
        (b"-ERR [LOGIN-DELAY 300] no", Reply(False, b"[LOGIN-DELAY 300] no", "LOGIN-DELAY")),
        (b"-ERR no [AUTH]", Reply(False, b"no [AUTH]")),
        (b"-ERR [AUTH]", Reply(False, b"[AUTH]", "AUTH")),
        (b"-ERR [AUTH]no", Reply(False, b"[AUTH]no", "AUTH")),
        (b"-ERR [AUTH no", Reply(False, b"[AUTH no")),
        (b"-ERR [ AUTH] no", Reply(False, b"[ AUTH] no")),
        (b"-ERR []", Reply(False, b"[]")),
        (b"-ERR [" + b"A" * 65 + b"]", Reply(False, b"[" + b"A" * 65 + b"]", "A" * 64)),
        (b"+OK [IN-USE] fine", Reply(True, b"[IN-USE] fine", "IN-USE")),
        (b"+ +OK", None),
        (b"+OK \xff\0", Reply(True, b"\xff\0")),
        (b"+", None),
        (b"+ ", None),
        (b"+ dGVzdA==", None),
        (b"+OK: fine", None),
        (b"-err", None),
        (b"+NO", None),
        (b"+OKAY", None),
        (b"+okay", None),
        (b"+ok ready", None),
        (b"-ERROR", None),
        (b" +OK", None),
        (b"", None),
        (b"OK", None),
    ],
)
def test_parse_status_follows_rfc_1939(line: bytes, reply: Reply | None) -> None:
    """RFC 1939 section 3: `+OK` or `-ERR`, upper case, to a blank or the end."""
    assert parse_status(line) == reply


def test_body_ends_at_dot_and_is_unstuffed() -> None:
    """RFC 1939 section 3: byte-stuffing."""
    body = BodyReader()

    assert [body.add(line) for line in (b"USER", b"..x", b"", b".")] == [False, False, False, True]
    assert body.lines == [b"USER", b".x", b""]


@pytest.mark.threat("T13")
@pytest.mark.parametrize(("line", "times"), [(b"", BODY_LINES_LIMIT), (b"x" * 254, 256)])
def test_body_over_limit_is_oversized(line: bytes, times: int) -> None:
    """Fault 24: limited in lines and bytes, line ends included; the limit itself is allowed."""
    body = BodyReader()
    for _ in range(times):
        assert not body.add(line)

    with pytest.raises(ProbeError) as caught:
        body.add(line)
    assert caught.value.kind is Kind.OVERSIZED
    assert caught.value.message == "sent a reply too long (limit 64 KiB or 500 lines)"


@pytest.mark.parametrize(
    ("line", "challenge"),
    [
        (b"+", b""),
        (b"+ ", b""),
        (b"+ dGVzdA==", b"dGVzdA=="),
        (b"+  dGVzdA== ", b"dGVzdA=="),
        (b"+dGVzdA==", None),
        (b"+ abcd", b"abcd"),
        (b"+  abcd ", b"abcd"),
        (b"+abcd", None),
        (b"++", None),
        (b"-", None),
        (b"+OK", None),
        (b"-ERR", None),
        (b"", None),
    ],
)
def test_parse_challenge_follows_rfc_5034(line: bytes, challenge: bytes | None) -> None:
    """RFC 5034 section 4: a plus, a blank, base64; `+OK` and `-ERR` are not challenges."""
    expected = None if challenge is None else Reply(False, b"", challenge=challenge)

    assert parse_challenge(line) == expected
    assert (parse_status(line) is not None) == (line in (b"+OK", b"-ERR"))


def test_parse_capabilities_tolerates_deviations() -> None:
    """Faults 22 and 70: real servers send all of this."""
    listed = parse_capabilities(
        (
            b"user",
            b"",
            b"SASL PLAIN login",
            b"SASL",
            b"EXPIRENEVER",
            b"\xff\xfe",
            b"SASL X",
            b"STLS",
        )
    )

    assert listed.tags["SASL"] == ("PLAIN", "LOGIN", "X")
    assert listed.has("USER")
    assert listed.has("STLS")
    assert not listed.has("EXPIRE")
    assert set(listed.tags) == {"USER", "SASL", "EXPIRENEVER", "\ufffd\ufffd", "STLS"}


def test_offered_has_tags_and_arguments() -> None:
    """`SASL` and `SASL=PLAIN` can each be required."""
    listed = parse_capabilities((b"USER", b"SASL PLAIN LOGIN"))

    assert listed.offered() == {
        *(("USER", None), ("SASL", None), ("SASL", "PLAIN"), ("SASL", "LOGIN"))
    }


def test_protocol_warnings_one_per_kind() -> None:
    """A normal list gives no warning."""
    assert protocol_warnings((b"USER", b"SASL PLAIN LOGIN")) == []
    assert protocol_warnings(()) == ["is empty"]
    assert protocol_warnings((b"", b" ")) == ["is empty"]
    assert protocol_warnings((b"USER", b" ", b"TOP")) == ["has a blank line"]
    assert protocol_warnings((b"USER", b"sasl X")) == ["has a tag in lower case"]
    assert protocol_warnings((b"SASL X", b"SASL y")) == ["has a tag twice"]
    assert protocol_warnings((b"USER", b"X \x80")) == ["has bytes that are not ASCII"]
    assert protocol_warnings((b"", b"user", b"USER", b"\xff")) == [
        "has a blank line",
        "has bytes that are not ASCII",
        "has a tag twice",
        "has a tag in lower case",
    ]


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        (b"2 320", (2, 320)),
        (b"0 0", (0, 0)),
        (b"2 320 octets", (2, 320)),
        (b"2  320", (2, 320)),
        (b"", None),
        (b"7", None),
        (b"seven 1", None),
        (b"-1 5", None),
        (b"1 -5", None),
        (b"9" * 500 + b" 1", None),
        (b"1 2x", None),
        ("\u0661 \u0662".encode(), None),
    ],
)
def test_parse_stat_accepts_two_numbers(text: bytes, numbers: tuple[int, int] | None) -> None:
    """Fault 56."""
    assert parse_stat(text) == numbers


def test_delete_shows_the_number() -> None:
    """The transcript shows which probe was deleted."""
    assert (delete(7).wire, delete(7).shown) == (b"DELE 7\r\n", "DELE 7")


def test_command_secret_is_redacted() -> None:
    """The text to show never contains the secret."""
    built = command(b"PASS", b"s3cret", shown=Printable("***"))

    assert built.wire == b"PASS s3cret\r\n"
    assert built.shown == "PASS ***"
    assert not built.is_auth


def test_command_repr_has_no_secret() -> None:
    """The repr has only the text to show."""
    assert repr(command(b"PASS", b"s3cret", shown=Printable("***"))) == "Command(PASS ***)"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"+OK", "+OK"),
        (b"+OK ", "+OK"),
        (b"+OK \x0b", "+OK"),
        (b"+OK s3cret", "+OK ***"),
        (b"-ERR [AUTH] s3cret", "-ERR [AUTH] ***"),
        (b"-err\t[in-use]", "-err?[in-use]"),
        (b"-ERR [SYS/TEMP]s3cret", "-ERR [SYS/TEMP]***"),
        (b"-ERR [SYS/PERM] x", "-ERR [SYS/PERM] ***"),
        (b"-ERR [LOGIN-DELAY] x", "-ERR [LOGIN-DELAY] ***"),
        (b"-ERR [S3CRET] x", "-ERR ***"),
        (b"[AUTH] s3cret", "[AUTH] ***"),
        (b"+ s3cret", "+ ***"),
        (b"+OKs3cret", "***"),
        (b"s3cret +OK", "***"),
        (b"  ", ""),
        (b"", ""),
        ("s3cret", "***"),
        ("+OK s3cr\xe9t", "+OK ***"),
    ],
)
def test_only_code_masks_the_text(line: bytes | str, shown: str) -> None:
    """A short secret could be anywhere in a reply."""
    assert only_code(line) == shown


def test_command_without_argument_is_the_verb() -> None:
    """Only the verb and the line end are sent, and the verb is shown."""
    built = command(b"STAT")

    assert (built.wire, built.shown) == (b"STAT\r\n", "STAT")


def test_command_argument_is_sanitised_when_shown() -> None:
    """It may be a user name, and a web page shows it."""
    assert command(b"USER", b"a<b").shown == "USER a(b"


@pytest.mark.parametrize(
    "verb", [b"CAPA", b"STLS", b"USER", b"PASS", b"APOP", b"AUTH", b"STAT", b"QUIT"]
)
def test_command_allowed_verb_is_built(verb: bytes) -> None:
    """None of the eight commands changes a mailbox."""
    assert command(verb).wire == verb + b"\r\n"


def test_command_other_verb_raises_value_error() -> None:
    """Another command is a bug of ours."""
    with pytest.raises(ValueError, match=r"^b'DELE' is not a command of this plugin$"):
        command(b"DELE", b"1")


@pytest.mark.threat("T18")
@pytest.mark.parametrize("argument", [b"a\r\nDELE 1", b"a\n", b"a\0b"])
def test_command_line_break_in_argument_raises_value_error(argument: bytes) -> None:
    """Threat 18: an argument cannot add a second command."""
    with pytest.raises(ValueError, match=r"^line break or NUL in a command argument$"):
        command(b"USER", argument)


@pytest.mark.threat("T27")
@pytest.mark.parametrize(
    ("greeting", "guess"),
    [
        (b"* OK IMAP4rev1", "IMAP"),
        (b"220 mx.example.test ESMTP Postfix", "SMTP"),
        (b"220 FTP server ready", "SMTP or FTP"),
        (b"SSH-2.0-OpenSSH_9.2", "SSH"),
        (b"200 news.example.test ready", "NNTP"),
        (b"201 no posting", "NNTP"),
        (b"202 x", None),
        (b"RFB 003.008", "VNC"),
        (b"J\0\0\0", "MySQL"),
        (b"J\0\0\0x", None),
        (b"HTTP/1.1 400 Bad Request", "HTTP"),
        (b"\x15\x03\x01\x00\x02\x02", "TLS"),
        (b"\x16\x03\x03", "TLS"),
        (b"\x00\x00\x15\x03", "TLS"),
        (b"220 mx esmtp", "SMTP"),
        (b"220-welcome to mail", "SMTP"),
        (b"220 x exim", "SMTP"),
        (b"* bye", "IMAP"),
        (b"* PREAUTH", "IMAP"),
        (b"<!doctype html>", "HTTP"),
        (b"<HTML>", "HTTP"),
        (b"http/1.0 200", "HTTP"),
        (b"421 Service not available", "SMTP or FTP"),
        (b"550 Access denied", "SMTP or FTP"),
        (b"<?xml version=x?><stream:stream", "XMPP"),
        (b"220welcome", None),
        (b"ssh-2.0", None),
        (b"+OK 220 mx ESMTP", None),
        (b"hello", None),
    ],
)
def test_guess_protocol_recognises_other_protocols(greeting: bytes, guess: str | None) -> None:
    """Fault 8, threat 27."""
    assert guess_protocol(greeting) == guess
