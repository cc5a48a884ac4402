"""Encode and decode DER, valid or invalid, without the rules of X.509."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

BOOLEAN, INTEGER, BITS, OCTETS, NULL, OID = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
UTF8, PRINTABLE, TELETEX, IA5, UTC, GENERALIZED = 0x0C, 0x13, 0x14, 0x16, 0x17, 0x18
VISIBLE, UNIVERSAL, BMP, SEQUENCE, SET = 0x1A, 0x1C, 0x1E, 0x30, 0x31


def tlv(tag: int, *contents: bytes) -> bytes:
    """Return a value with its tag and length."""
    content = b"".join(contents)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def sequence(*contents: bytes) -> bytes:
    return tlv(SEQUENCE, *contents)


def integer(number: int) -> bytes:
    size = (number + (number < 0)).bit_length() // 8 + 1  # one bit more than it has: the sign
    return tlv(INTEGER, number.to_bytes(size, "big", signed=True))


def oid(dotted: str) -> bytes:
    first, second, *rest = (int(number) for number in dotted.split("."))
    content = bytearray()
    for number in (40 * first + second, *rest):
        septets = [number & 0x7F]
        while number := number >> 7:
            septets.append(0x80 | number & 0x7F)
        content += bytes(reversed(septets))
    return tlv(OID, bytes(content))


def bits(data: bytes, unused: int = 0) -> bytes:
    return tlv(BITS, bytes((unused,)) + data)


def tagged(number: int, *contents: bytes, primitive: bool = False) -> bytes:
    """Return a context-specific value."""
    return tlv((0x80 if primitive else 0xA0) | number, *contents)


class Node(NamedTuple):
    """One value with the values inside it, so that it can be changed and encoded again."""

    tag: int
    content: bytes
    children: tuple[Node, ...] = ()
    raw: bytes = b""
    """As it was read, lengths included; empty where something below was changed."""

    def encoded(self) -> bytes:
        if self.raw or not self.children:
            return self.raw or tlv(self.tag, self.content)
        return tlv(self.tag, *(child.encoded() for child in self.children))

    def places(self) -> Iterator[tuple[int, ...]]:
        """Yield the way to each value below this one, by positions."""
        for position, child in enumerate(self.children):
            yield (position,)
            for place in child.places():
                yield (position, *place)

    def at(self, place: tuple[int, ...]) -> Node:
        return self.children[place[0]].at(place[1:]) if place else self

    def changed(self, place: tuple[int, ...], *new: Node) -> Node:
        """Return a copy with others, or none, in place of a value."""
        position, *deeper = place
        child = self.children[position]
        put = (child.changed(tuple(deeper), *new),) if deeper else new
        children = (*self.children[:position], *put, *self.children[position + 1 :])
        return self._replace(children=children, content=b"", raw=b"")


def parse(data: bytes) -> Node:
    """Return the first value in `data`. Raises ValueError where there is none."""
    return _read(data)[0]


def _read(data: bytes) -> tuple[Node, bytes]:
    if len(data) < 2 or data[0] & 0x1F == 0x1F:
        raise ValueError("no value")
    start, size = 2, data[1]
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[2:start], "big")
    content, rest = data[start : start + size], data[start + size :]
    if len(content) < size:
        raise ValueError("cut short")
    raw = data[: start + size]
    return Node(data[0], content, _children(data[0], content), raw), rest


def _children(tag: int, content: bytes) -> tuple[Node, ...]:
    """Return the values in a value, also in an OCTET STRING, as in extensions."""
    found = []
    if not tag & 0x20 and tag != OCTETS:
        return ()
    try:
        while content:
            child, content = _read(content)
            found.append(child)
    except ValueError:
        return ()
    return tuple(found)
