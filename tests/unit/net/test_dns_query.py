"""DNS queries to a name server, and the reading of its answers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_pop3_plus.net import dns_query
from check_pop3_plus.net.dns_query import Answer


def test_query_has_header_name_type_and_class() -> None:
    """RFC 1035 section 4.1, with recursion desired."""
    assert dns_query.query("pop.example.test.", dns_query.AAAA, 0x1234) == (
        b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
        b"\x03pop\x07example\x04test\x00\x00\x1c\x00\x01"
    )


@pytest.mark.parametrize(
    ("flags", "records", "answer"),
    [
        (b"\x81\x80", 2, Answer("NOERROR", 2)),
        (b"\x81\x83", 0, Answer("NXDOMAIN", 0)),
        (b"\x81\x82", 0, Answer("SERVFAIL", 0)),
        (b"\x81\x85", 0, Answer("REFUSED", 0)),
        (b"\x81\x8b", 0, Answer("code 11", 0)),
        (b"\x01\x00", 0, None),  # a question
    ],
)
def test_parse_returns_code_and_number_of_records(
    flags: bytes, records: int, answer: Answer | None
) -> None:
    """The records themselves are not read."""
    reply = b"\x12\x34" + flags + b"\x00\x01" + records.to_bytes(2, "big") + bytes(4)

    assert dns_query.parse(reply, 0x1234) == answer
    assert dns_query.parse(reply, 0x4321) is None
    assert dns_query.parse(reply[:11], 0x1234) is None


@given(st.binary(max_size=64), st.integers(0, 65535))
def test_parse_any_bytes_does_not_raise(reply: bytes, number: int) -> None:
    """An answer that is malformed is None."""
    dns_query.parse(reply, number)


def test_servers_returns_at_most_three() -> None:
    """The limit is that of the C library; other lines are ignored."""
    text = b"""# nameserver 192.0.2.1
search example.test
nameserver 192.0.2.53
  nameserver\t2001:db8::53%eth0 # comment
nameserver fe80::1%2
nameserver 192.0.2.54
nameserver name.example.test
"""

    assert dns_query.servers(text) == ("192.0.2.53", "2001:db8::53%eth0", "fe80::1%2")
    assert dns_query.servers(b"\xff\x00") == ()
