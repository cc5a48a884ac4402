"""Sanitising and masking: all of Unicode, all bytes, all encodings of a secret."""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from check_pop3_plus.model.sanitised_text import QUOTE_LIMIT, sanitise
from check_pop3_plus.support.masking import MINIMUM, Masker

LIKE = {"<": "(", ">": ")", "&": "+", **dict.fromkeys("|\"'`$\\", "?")}
foreign = st.one_of(st.binary(max_size=300), st.text(max_size=300))


def shown(character: str) -> str:
    """Return the replacement of one character, by the contract and not by the code."""
    return LIKE.get(character, character) if " " <= character <= "~" else "?"


harmless = {shown(chr(code)) for code in range(128)}


@pytest.mark.threat("T10")
def test_sanitise_each_code_point_gives_its_one_character() -> None:
    """All 1,114,112 of them, lone surrogates included, between letters."""
    for first in range(0, 0x110000, 64):
        block = [chr(code) for code in range(first, first + 64)]
        cleaned = sanitise("a" + "".join(block) + "z")
        assert cleaned == "a" + "".join(map(shown, block)) + "z", hex(first)
        assert sanitise(cleaned) == cleaned


@pytest.mark.threat("T10")
def test_sanitise_each_pair_of_bytes_is_harmless() -> None:
    """All 65,536, valid UTF-8 or not."""
    for pair in product(range(256), repeat=2):
        cleaned = sanitise(b"a" + bytes(pair) + b"z")
        assert set(cleaned) <= harmless | {"a", "z"}
        assert 2 <= len(cleaned) <= 4
        assert cleaned[0] == "a"


@given(foreign, st.integers(4, 300))
def test_sanitise_limit_is_kept(text: bytes | str, limit: int) -> None:
    """A cut text ends with dots, and a text that fits is unchanged."""
    cleaned, uncut = sanitise(text, limit), sanitise(text, 10_000)

    assert set(cleaned) <= harmless
    assert len(cleaned) <= limit
    assert sanitise(cleaned, limit) == cleaned
    assert cleaned == uncut if len(uncut) <= limit else cleaned.endswith("...")


@given(st.integers(1, 200_000), st.sampled_from([b"x", b"\x1b", b"\xff", b"\x1b]", b"\x1b[0;"]))
def test_sanitise_long_text_costs_no_time(length: int, filling: bytes) -> None:
    """Only as much is read as can be shown."""
    assert len(sanitise(filling * length)) <= QUOTE_LIMIT


secrets = st.binary(min_size=MINIMUM, max_size=40)


def in_base64(before: bytes, alphabet: bytes = b"+/") -> Callable[[bytes], tuple[bytes, bytes]]:
    def form(secret: bytes) -> tuple[bytes, bytes]:
        encoded = base64.b64encode(before + secret, alphabet)
        first, behind = -(-8 * len(before) // 6), 8 * len(before + secret) // 6
        return encoded, encoded[first:behind]

    return form


def whole(encode: Callable[[bytes], bytes]) -> Callable[[bytes], tuple[bytes, bytes]]:
    return lambda secret: (encode(secret), encode(secret))


# How a server may come to write a secret, by the standard library: the text, and what of it
# comes of the secret alone.
FORMS = {
    "as it is": whole(bytes),
    "hexadecimal": whole(lambda secret: secret.hex().encode()),
    "with colons": whole(lambda secret: secret.hex(":").encode()),
    "repr": whole(lambda secret: repr(secret)[2:-1].encode()),
    "in an address": whole(lambda secret: urllib.parse.quote_from_bytes(secret).encode()),
    "quoted": whole(lambda secret: urllib.parse.quote_from_bytes(secret, safe="").encode()),
    "base64": in_base64(b""),
    "PLAIN": in_base64(b"\0monitor\0"),
    "PLAIN as another": in_base64(b"x\0monitor\0"),
    "PLAIN as yet another": in_base64(b"xy\0monitor\0"),
    "base64 for addresses": in_base64(b"\0monitor\0", b"-_"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.threat("T8")
@given(secret=secrets, around=st.text("xyzXYZ ", max_size=20), is_upper=st.booleans())
@settings(max_examples=25)
def test_masker_secret_in_any_encoding_is_masked(
    form: str, secret: bytes, around: str, is_upper: bool
) -> None:
    """The secret is masked within any text, also in upper case."""
    written, own = FORMS[form](secret)
    shown_form = sanitise(own.decode("latin-1")).lower()
    # What is nothing but question marks cannot be told from anything else.
    assume(len(shown_form) >= MINIMUM and set(shown_form) - set("?()+. "))
    said = b"%s %s %s" % (
        around.encode(),
        written.upper() if is_upper else written,
        around.encode(),
    )

    cleaned = Masker([secret]).sanitise(said)

    assert "***" in cleaned
    assert shown_form not in cleaned.lower()
    assert sanitise(cleaned) == cleaned


@given(st.lists(secrets, max_size=3), st.text("xyz \t\n|<", max_size=200))
def test_masker_text_without_secret_is_unchanged(known: list[bytes], text: str) -> None:
    """Only secrets are replaced."""
    own = [form(secret)[1].decode("latin-1") for secret in known for form in FORMS.values()]
    assume(not any(set(sanitise(each).lower()) <= set("xyz ?()+") for each in own))

    assert Masker(known).sanitise(text) == sanitise(text)


@given(st.lists(secrets, min_size=1, max_size=3), foreign)
def test_masker_result_is_sanitised(known: list[bytes], text: bytes | str) -> None:
    """Harmless, bounded, and the same when it is done twice."""
    clean_of = Masker(known).sanitise
    cleaned = clean_of(text)

    assert len(cleaned) <= QUOTE_LIMIT
    assert set(cleaned) <= harmless
    assert sanitise(cleaned) == cleaned
