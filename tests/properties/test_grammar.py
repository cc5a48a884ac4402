"""The grammar of POP3 replies with any bytes: whole, in pieces, or with a tail."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.report import Address, Session
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.net.transport import Stream
from check_pop3_plus.pop3 import grammar
from check_pop3_plus.probe.connection import Connection
from check_pop3_plus.support.deadline import Deadline
from tests.support.settings_from import check_settings

SETTINGS = check_settings(["-H", "pop.example.test"])

# Mostly elements of replies, so that many examples are valid.
replies = st.lists(
    st.sampled_from([b"+OK", b"-ERR", b"+", b" ", b"\t", b"\r", b"\n", b"\r\n", b".", b"[", b"]"])
    | st.binary(max_size=6)
    | st.just(b"x" * 1500),
    max_size=12,
).map(b"".join)
text_of_line = st.binary(max_size=30).map(lambda each: each.translate(None, b"\r\n"))


def pieces(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    """Return data cut at `cuts`, each counted from the one before."""
    made, start = [], 0
    for cut in cuts:
        made.append(data[start : start + cut])
        start += cut
    return [piece for piece in (*made, data[start:]) if piece]


cut_lists = st.lists(st.integers(1, 9), max_size=20)


def every_way(data: bytes, cuts: Sequence[int]) -> Iterator[list[bytes]]:
    """Yield data whole, byte by byte, and cut at `cuts`."""
    yield [data] if data else []
    yield [bytes([byte]) for byte in data]
    yield pieces(data, cuts)


class ChunkStream:
    """A stream that gives chunks, then ends."""

    encrypted = False
    deadline = Deadline(0)

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self.chunks = list(chunks)

    def receive(self) -> bytes:
        return self.chunks.pop(0) if self.chunks else b""

    def arrived(self) -> bytes:
        return b""


def read_outcome(chunks: Sequence[bytes], has_body: bool, is_auth: bool) -> tuple[object, ...]:
    """Return the reply read from chunks with its side effects, or the error."""
    session = Session(Address("127.0.0.1", 110))
    stream = ChunkStream(chunks)
    connection = Connection(cast("Stream", stream), SETTINGS, session, sanitise)
    try:
        reply = connection.read_reply(has_body, is_auth)
    except ProbeError as error:
        return error.kind, error.message
    # Data after the reply belongs to the next one.
    rest = connection._lines.pending + b"".join(stream.chunks)
    return (
        reply,
        rest,
        tuple(session.transcript),
        tuple(session.protocol_warnings),
        connection.is_usable,
    )


@given(replies, cut_lists, st.booleans(), st.booleans())
def test_reply_in_any_pieces_is_the_same(
    data: bytes, cuts: list[int], has_body: bool, is_auth: bool
) -> None:
    """Any bytes give the same reply and rest, or the same error."""
    outcomes = [read_outcome(chunks, has_body, is_auth) for chunks in every_way(data, cuts)]

    assert outcomes[0] == outcomes[1] == outcomes[2]


@given(replies, cut_lists)
def test_line_buffer_any_pieces_give_same_lines(data: bytes, cuts: list[int]) -> None:
    """The rest is kept, and a line over the limit is an error."""
    *expected, rest = data.split(b"\n")
    for chunks in every_way(data, cuts):
        buffer, lines, is_too_long = grammar.LineBuffer(), [], False
        try:
            for chunk in chunks:
                buffer.feed(chunk)
                while (line := buffer.next_line()) is not None:
                    lines.append(line)
        except ProbeError as error:
            is_too_long = error.kind is Kind.OVERSIZED
        short = [len(each) <= grammar.LINE_LIMIT for each in (*expected, rest)]
        assert is_too_long == (not all(short))
        whole = expected if all(short) else expected[: short.index(False)]
        assert lines == [line.removesuffix(b"\r") for line in whole]
        if not is_too_long:
            assert buffer.pending == rest


@given(
    st.sampled_from([b"+OK", b"+OK ", b"+OK some text", b"+OK\t1"]),
    st.lists(text_of_line, max_size=12),
    st.sampled_from([b"\r\n", b"\n"]),
    replies,
    cut_lists,
)
def test_body_stuffed_is_read_back(
    status: bytes, lines: list[bytes], end: bytes, tail: bytes, cuts: list[int]
) -> None:
    """Byte-stuffing (RFC 1939 section 3) is undone, and the tail belongs to the next reply."""
    stuffed = [b"." + line if line.startswith(b".") else line for line in lines]
    data = end.join([status, *stuffed, b".", b""])
    for chunks in every_way(data, cuts):
        reply, rest, *_ = read_outcome([*chunks, *([tail] if tail else [])], True, False)
        assert isinstance(reply, grammar.Reply)
        assert reply.ok
        assert reply.body == tuple(lines)
        assert rest == tail


@given(replies | st.binary(max_size=40))
def test_parse_status_agrees_with_second_implementation(line: bytes) -> None:
    """RFC 1939 section 3, implemented a second time without a pattern."""
    line = line.translate(None, b"\n")
    status = line[:3] if line[:3] == b"+OK" else line[:4]
    is_status = status in (b"+OK", b"-ERR") and line[len(status) : len(status) + 1] in (
        b"",
        b" ",
        b"\t",
    )

    reply = grammar.parse_status(line)

    assert (reply is not None) == is_status
    if reply:
        assert reply.ok == (status == b"+OK")
        assert reply.text == line[len(status) :].lstrip(b" \t")
        assert reply.challenge is None
        if reply.code is not None:
            assert reply.text.upper().startswith(b"[" + reply.code.encode())
            assert b"]" in reply.text


@given(replies | st.binary(max_size=40))
def test_parsers_any_bytes_are_read_or_refused(data: bytes) -> None:
    """The grammar raises no exception but ProbeError."""
    lines = tuple(data.split(b"\n"))
    known = grammar.parse_capabilities(lines)
    grammar.protocol_warnings(lines)
    grammar.guess_protocol(data)
    grammar.parse_challenge(data)
    numbers = grammar.parse_stat(data)

    assert all(tag and tag == tag.upper() for tag in known.tags)
    assert all(known.has(tag) for tag, _ in known.offered())
    if numbers is not None:
        assert [int(status) for status in data.split()[:2]] == list(numbers)


tags = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", min_size=1, max_size=12)


@given(
    st.lists(st.tuples(tags, st.lists(tags, max_size=4)), max_size=10),
    st.lists(st.sampled_from([str.upper, str.lower, str.title]), min_size=1),
    st.sampled_from([" ", "  ", "\t"]),
)
def test_parse_capabilities_reads_back_any_list(
    listed: list[tuple[str, list[str]]], letters: list[object], blank: str
) -> None:
    """Letter case, kind of blanks and empty lines have no influence."""
    lines = []
    for number, (tag, arguments) in enumerate(listed):
        change = cast("type[str]", letters[number % len(letters)])
        lines += [change(blank.join([tag, *arguments])).encode(), b"", b" "]

    known = grammar.parse_capabilities(tuple(lines))

    for tag, _ in listed:
        together = [each for name, arguments in listed if name == tag for each in arguments]
        assert known.tags[tag] == tuple(together)
    assert set(known.tags) == {tag for tag, _ in listed}


@given(st.integers(0, 10**18 - 1), st.integers(0, 10**18 - 1), st.binary(max_size=20))
def test_parse_stat_reads_back_any_numbers(messages: int, size: int, more: bytes) -> None:
    """Any text may follow the two numbers."""
    text = b"%d %d" % (messages, size)

    assert grammar.parse_stat(text) == (messages, size)
    assert grammar.parse_stat(text + b" " + more) == (messages, size)


def test_line_buffer_byte_by_byte_takes_linear_time() -> None:
    """The search for the line end does not start again with each byte."""
    buffer = grammar.LineBuffer()
    began = time.process_time()
    for _ in range(400):
        for _ in range(1000):
            buffer.feed(b"x")
            assert buffer.next_line() is None
        buffer.feed(b"\n")
        assert buffer.next_line() == b"x" * 1000

    assert time.process_time() - began < 5
