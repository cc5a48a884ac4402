"""The grammar: each case whole, byte by byte, and with a tail."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@given(st.lists(st.binary(max_size=40).map(lambda line: line.replace(b"\n", b"")), max_size=8))
def test_lines_do_not_depend_on_how_they_arrive(lines: list[bytes]) -> None:
    """Whole, byte by byte, or with a tail: the same lines."""
    data = b"".join(line + b"\r\n" for line in lines)

    assert lines_of(iter([data])) == lines
    assert lines_of(bytes([byte]) for byte in data) == lines
    assert lines_of(iter([data, b"tail"])) == lines


def test_a_line_may_end_in_lf_alone() -> None:
    """Fault 15: seen in the wild, tolerated."""
    assert lines_of(iter([b"+OK a\n+OK b\r\n"])) == [b"+OK a", b"+OK b"]


def test_that_a_line_ends_in_lf_alone_is_seen() -> None:
    """Of the last one; before there is any, nothing is odd."""
    buffer = LineBuffer()
    seen = [buffer.is_bare]
    buffer.feed(b"+OK a\n+OK b\r\n\n\r\n")
    for _ in range(4):
        buffer.next_line()
        seen.append(buffer.is_bare)

    assert seen == [False, True, False, True, False]


def test_a_line_that_dripped_hides_none_behind_it() -> None:
    """The search for an end begins anew with each line."""
    assert lines_of(iter([b"+OK a", b"b\n\nc\n", b"", b"d\n"])) == [b"+OK ab", b"", b"c", b"d"]
    assert lines_of(iter([b"\nx\n"])) == [b"", b"x"]
    assert lines_of(iter([b"\n" + b"x" * LINE_LIMIT + b"\n"])) == [b"", b"x" * LINE_LIMIT]


def test_what_is_pending_is_no_line_yet() -> None:
    """Octets behind the last line, as they came."""
    buffer = LineBuffer()
    buffer.feed(b"+OK\r\n+O")

    assert buffer.pending == b"+OK\r\n+O"
    assert buffer.next_line() == b"+OK"
    assert buffer.next_line() is None
    assert buffer.pending == b"+O"


def test_the_limits_are_those_of_the_documents() -> None:
    """RFC 2449 and 5034, and what no real server comes near."""
    assert (LINE_LIMIT, AUTH_LINE_LIMIT) == (2048, 12_288)
    assert (BODY_LIMIT, BODY_LINES_LIMIT, TOTAL_LIMIT) == (65_536, 500, 1_048_576)


@pytest.mark.threat("T13")
@pytest.mark.parametrize("tail", [b"", b"\n"])
def test_a_line_over_the_limit_is_refused_at_once(tail: bytes) -> None:
    """Nobody waits for the end of an endless line."""
    buffer = LineBuffer()
    buffer.feed(b"x" * (LINE_LIMIT + 1) + tail)

    with pytest.raises(ProbeError) as caught:
        buffer.next_line()
    assert caught.value.kind is Kind.OVERSIZED
    assert caught.value.message == "sent a line too long (limit 2048)"


def test_a_line_at_the_limit_passes() -> None:
    """The limit itself is allowed."""
    assert lines_of(iter([b"x" * LINE_LIMIT + b"\n"])) == [b"x" * LINE_LIMIT]


@pytest.mark.threat("T13")
def test_a_conversation_has_a_limit_in_all() -> None:
    """A flood of short lines ends, too."""
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
def test_status_lines(line: bytes, reply: Reply | None) -> None:
    """RFC 1939 section 3: `+OK` and `-ERR`, upper case, to a blank or the end."""
    assert parse_status(line) == reply


def test_a_body_ends_at_the_dot_and_is_unstuffed() -> None:
    """RFC 1939 section 3: byte-stuffing."""
    body = BodyReader()

    assert [body.add(line) for line in (b"USER", b"..x", b"", b".")] == [False, False, False, True]
    assert body.lines == [b"USER", b".x", b""]


@pytest.mark.threat("T13")
@pytest.mark.parametrize(("line", "times"), [(b"", BODY_LINES_LIMIT), (b"x" * 254, 256)])
def test_an_endless_body_is_refused(line: bytes, times: int) -> None:
    """Fault 24: by lines and by octets, line ends included; the limit itself is allowed."""
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
def test_challenge_lines(line: bytes, challenge: bytes | None) -> None:
    """RFC 5034 section 4: a plus, a blank, base64; `+OK` and `-ERR` are no questions."""
    expected = None if challenge is None else Reply(False, b"", challenge=challenge)

    assert parse_challenge(line) == expected
    assert (parse_status(line) is not None) == (line in (b"+OK", b"-ERR"))


def test_capabilities_are_read_with_tolerance() -> None:
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


def test_what_is_offered_is_each_tag_and_each_argument() -> None:
    """`SASL=PLAIN` is asked for as one thing, `SASL` as another."""
    listed = parse_capabilities((b"USER", b"SASL PLAIN LOGIN"))

    assert listed.offered() == {
        *(("USER", None), ("SASL", None), ("SASL", "PLAIN"), ("SASL", "LOGIN"))
    }


def test_what_a_capability_list_has_that_is_odd() -> None:
    """Said once for each kind, and nothing of an ordinary one."""
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
def test_stat_replies(text: bytes, numbers: tuple[int, int] | None) -> None:
    """Fault 56."""
    assert parse_stat(text) == numbers


def test_a_command_is_redacted_at_birth() -> None:
    """No transcript can leak what it was never given."""
    built = command(b"PASS", b"s3cret", shown=Printable("***"))

    assert built.wire == b"PASS s3cret\r\n"
    assert built.shown == "PASS ***"
    assert not built.is_auth


def test_a_command_shows_itself_without_its_secret() -> None:
    """Also to who prints it by mistake."""
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
def test_where_a_secret_cannot_be_found_only_codes_are_shown(line: bytes | str, shown: str) -> None:
    """A short secret may stand anywhere in what a server says."""
    assert only_code(line) == shown


def test_a_command_without_an_argument() -> None:
    """Nothing is between the verb and the line's end, and all of it is shown."""
    built = command(b"STAT")

    assert (built.wire, built.shown) == (b"STAT\r\n", "STAT")


def test_an_argument_is_shown_harmlessly() -> None:
    """It may be the user's own name, and a web page reads it."""
    assert command(b"USER", b"a<b").shown == "USER a(b"


@pytest.mark.parametrize(
    "verb", [b"CAPA", b"STLS", b"USER", b"PASS", b"APOP", b"AUTH", b"STAT", b"QUIT"]
)
def test_what_a_check_may_say(verb: bytes) -> None:
    """Eight commands, none of which changes a mailbox."""
    assert command(verb).wire == verb + b"\r\n"


def test_what_a_check_may_not_say() -> None:
    """A mistake of ours, and named so."""
    with pytest.raises(ValueError, match=r"^b'DELE' is not a command of this plugin$"):
        command(b"DELE", b"1")


@pytest.mark.threat("T18")
@pytest.mark.parametrize("argument", [b"a\r\nDELE 1", b"a\n", b"a\0b"])
def test_no_command_can_hold_a_second_one(argument: bytes) -> None:
    """Threat 18."""
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
        (b"220welcome", None),
        (b"ssh-2.0", None),
        (b"+OK 220 mx ESMTP", None),
        (b"hello", None),
    ],
)
def test_foreign_greetings_are_recognised(greeting: bytes, guess: str | None) -> None:
    """Fault 8, threat 27."""
    assert guess_protocol(greeting) == guess
