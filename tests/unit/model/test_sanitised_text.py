"""Foreign bytes in, printable one-line text out."""

import base64
import html
import json
import urllib.parse
from itertools import groupby

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from check_pop3_plus.model.sanitised_text import (
    PIECE,
    QUOTE_LIMIT,
    _forms,
    can_mask,
    cleaner,
    sanitise,
)

FORBIDDEN = set("|<>&\"'`$\\")

foreign = st.one_of(st.binary(max_size=300), st.text(max_size=300))


@pytest.mark.threat("T10")
@given(foreign)
def test_only_harmless_visible_ascii_passes(text: bytes | str) -> None:
    """Every reader of the output may take the result as it is."""
    cleaned = sanitise(text)

    assert all(" " <= character <= "~" for character in cleaned)
    assert not FORBIDDEN & set(cleaned)
    assert len(cleaned) <= QUOTE_LIMIT


@given(foreign)
def test_cleaning_twice_changes_nothing(text: bytes | str) -> None:
    """Text that passes two rooms looks the same as text that passes one."""
    assert sanitise(sanitise(text)) == sanitise(text)


@pytest.mark.threat("T10")
def test_every_code_point_is_harmless() -> None:
    """All of Unicode, lone surrogates included, one by one."""
    for first in range(0, 0x110000, 64):
        text = "".join(map(chr, range(first, first + 64)))
        assert all(" " <= character <= "~" for character in sanitise(text))
        assert not FORBIDDEN & set(sanitise(text))


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"+OK ready\r\n", "+OK ready"),
        (b"+OK <1896.697170952@dbc.mtview.ca.us>", "+OK (1896.697170952@dbc.mtview.ca.us)"),
        (b"a|time=0s;;;; ", "a?time=0s;;;;"),
        (b"\x1b[31mred\x1b[0m", "?red?"),
        (b"\x1b]0;title\x07text", "?text"),
        ("Zürich", "Z?rich"),
        (b"a\tb\0c\r\nd", "a?b?c??d"),
        ("a\u2028b\u202ec", "a?b?c"),
        (b"`id` $HOME \\n", "?id? ?HOME ?n"),
        (b"x" * 101, "x" * 97 + "..."),
        (b"x" * 100, "x" * 100),
        (b"x" * 96 + b" " + b"y" * 9, "x" * 96 + "..."),
        (b"", ""),
        (b"  MAX X&Y X\r\n", "MAX X+Y X"),
        (b"\r\n\n", ""),
    ],
)
def test_what_becomes_of_text(said: bytes | str, shown: str) -> None:
    """Look is kept where it does no harm; `?` stands for the rest."""
    assert sanitise(said) == shown


@pytest.mark.parametrize("kind", [str, bytes])
def test_no_more_is_read_than_could_be_shown(kind: type) -> None:
    """4,096 characters: whatever a reply of 64 KiB holds behind them is no work."""
    within, beyond = " " * 4095 + "x", " " * 4096 + "x"
    if kind is bytes:
        assert (sanitise(within.encode()), sanitise(beyond.encode())) == ("x", "")
    else:
        assert (sanitise(within), sanitise(beyond)) == ("x", "")


SECRET = b"s3cret pa$$ w<rd"


@pytest.mark.threat("T8")
@pytest.mark.parametrize(
    "said",
    [
        SECRET,
        SECRET.upper(),
        b"PASS " + SECRET + b" is wrong",
        base64.b64encode(SECRET),
        base64.b64encode(b"\0monitor\0" + SECRET),
        base64.b64encode(b"x\0monitor\0" + SECRET + b"\n"),
        base64.b64encode(b"xy\0monitor\0" + SECRET),
        SECRET.hex().encode(),
        SECRET.hex().upper().encode(),
        urllib.parse.quote_from_bytes(SECRET).encode(),
        urllib.parse.quote_plus(SECRET).encode(),
        repr(SECRET).encode(),
        b"x" * 90 + SECRET,
        b"unknown command: PASS " + SECRET[:10],
        b"unknown command: AUTH PLAIN " + base64.b64encode(b"\0monitor\0" + SECRET)[:24],
        base64.urlsafe_b64encode(b"\0monitor\0" + SECRET),
        SECRET.hex(":").encode(),
        html.escape(SECRET.decode()).encode(),
        urllib.parse.quote_from_bytes(SECRET, safe="").encode(),
    ],
)
def test_a_secret_is_masked_however_a_server_echoes_it(said: bytes) -> None:
    """No form of the secret passes, whole or cut."""
    shown = cleaner([SECRET])(said)

    for form in (
        sanitise(SECRET),
        SECRET.hex(),
        sanitise(SECRET)[:8],
        base64.b64encode(SECRET).decode()[:16],
    ):
        assert form.lower() not in shown.lower()
    assert "***" in shown


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("a/b c?d é", "a/b%20c%3Fd%20%C3%A9"),
        ('say "é" \\ no', json.dumps('say "é" \\ no')),
        ("it's <b>", html.escape("it's <b>")),
        ("it's <b>", "it&#39;s &lt;b&gt;"),
    ],
)
def test_escapes_of_other_worlds(secret: str, said: str) -> None:
    """JSON, HTML and addresses: what a server is written in."""
    assert cleaner([secret.encode()])(said).strip("?") == "***"


@given(st.binary(min_size=6, max_size=40), st.binary(max_size=20), st.integers(6, 40))
def test_no_beginning_of_a_secret_passes(secret: bytes, around: bytes, length: int) -> None:
    """A server that quotes a command may cut it anywhere."""
    assume(can_mask(secret[:length]))  # or it is a word that everybody uses
    around = around.replace(b"\x1b", b"")  # an escape sequence may take the mask along
    said = around + b" " + secret[:length] + b" " + around

    shown = cleaner([secret])(said)

    assert "***" in shown or len(sanitise(around + b" " + secret)) >= QUOTE_LIMIT - 3


def test_a_secret_that_cleaning_would_make_is_masked() -> None:
    """A server that sends a control byte where the secret has a `?` gains nothing."""
    assert cleaner([b"what?now"])(b"what\x01now") == "***"


@given(
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=9, max_size=60),
    st.integers(0, 59),
    st.integers(PIECE, 20),
)
def test_no_piece_of_a_secret_passes(secret: str, start: int, length: int) -> None:
    """Not even where a server begins in the middle."""
    piece = secret[start : start + length]

    shown = cleaner([secret.encode()])(f"({piece})")

    if can_mask(secret.encode()) and len(piece) >= PIECE and can_mask(piece.encode()):
        assert "***" in shown
        assert sanitise(piece)[:PIECE] not in shown


@pytest.mark.parametrize("secret", ["a", "ok", "pop3", "Failed", "Authentication", "MONITOR"])
def test_a_secret_that_a_gap_would_tell_is_not_masked(secret: str) -> None:
    """Short, or a word that everybody expects there: `*** failed` says which it is."""
    public = ("monitor", "pop.example.org")

    assert not can_mask(secret.encode(), public)
    said = "+OK POP3 ready, monitor: Authentication failed at pop.example.org"
    assert cleaner([secret.encode()], public)(said) == sanitise(said)


@pytest.mark.parametrize(
    ("secret", "said", "shown"),
    [
        ("monitor1", "unknown user monitor", "unknown user monitor"),
        ("monitor1", "not MONITOR1", "not ***"),
        ("my-password-1", "invalid password", "invalid password"),
        ("my-password-1", "my-password-1?", "***?"),
        ("Authentication!7", "Authentication failed", "Authentication failed"),
        ("Authentication!7", "for Authentication!7", "for ***"),
    ],
)
def test_what_a_secret_shares_with_public_words_stays(secret: str, said: str, shown: str) -> None:
    """Else it would be known by which words the server cannot say."""
    assert cleaner([secret.encode()], ("monitor",))(said) == shown


def test_a_server_in_another_script_stays_readable() -> None:
    """Its letters become question marks, as those of the secret do; that tells nothing."""
    secret = "пароль на сервере"

    shown = cleaner([secret.encode()])

    assert shown("ошибка авторизации") == sanitise("ошибка авторизации")
    assert shown(secret) == "***"


AWKWARD = "a&<>\"'\\ +/\xe9~?"


def in_base64(secret: bytes, shift: int) -> bytes:
    """Return what is the same of an encoded text, whatever stands around the secret in it."""
    texts = [
        base64.b64encode(before * shift + secret + after * 3)
        for before in (b"\0", b"\xff")
        for after in (b"\0", b"\xff")
    ]
    same = [len(set(column)) == 1 for column in zip(*texts, strict=True)]
    runs = [list(run) for is_same, run in groupby(range(len(same)), same.__getitem__) if is_same]
    longest = max(runs, key=len)
    return texts[0][longest[0] : longest[-1] + 1]


def test_a_secret_is_known_in_all_these_forms_and_no_others() -> None:
    """As other programs write them: the standard library's ways of escaping."""
    secret = AWKWARD.encode()
    in_bytes = [in_base64(secret, shift) for shift in range(3)]

    in_json = json.dumps(AWKWARD)[1:-1]
    by_go = in_json.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")

    assert _forms(secret) == {
        secret,
        secret.hex().encode(),
        secret.hex(":").encode(),
        b"a&<>\"\\'\\\\ +/\\xc3\\xa9~?",
        urllib.parse.quote(AWKWARD).encode(),
        urllib.parse.quote(AWKWARD, safe="").encode(),
        urllib.parse.quote_plus(AWKWARD).encode(),
        b"%61%26%3c%3e%22%27%5c%20%2b%2f%c3%a9%7e%3f",
        in_json.encode(),
        in_json.replace("/", "\\/").encode(),
        by_go.encode(),
        AWKWARD.encode("utf-16-le"),
        AWKWARD.encode("latin-1"),
        secret.decode("latin-1").encode(),
        b"=61=26=3c=3e=22=27=5c=20=2b=2f=c3=a9=7e=3f",
        b"a&<>\"'\\ +/=c3=a9~?",
        html.escape(AWKWARD, quote=False).encode(),
        html.escape(AWKWARD).encode(),
        html.escape(AWKWARD).replace("&#x27;", "&#39;").encode(),
        *in_bytes,
        *(each.translate(bytes.maketrans(b"+/", b"-_")) for each in in_bytes),
    }


@pytest.mark.parametrize("length", range(3, 12))
def test_base64_of_a_secret_at_any_place(length: int) -> None:
    """Three shifts, each as long as it depends on nothing but the secret."""
    secret = bytes(range(0xF0, 0xF0 + length))

    for shift in range(3):
        known = in_base64(secret, shift)
        assert known in _forms(secret)


@pytest.mark.parametrize(
    ("secrets", "said", "shown"),
    [
        ([b"s3cret"], b"a s3cret b S3CRET c", "a *** b *** c"),
        ([b"s3cret"], b"s3cretly", "***ly"),
        ([b"s3cret-long"], b"cut: s3cret-l, and", "cut: ***, and"),
        ([b"s3cret-long"], b"s3cret is no beginning", "*** is no beginning"),
        ([b"s3cret-long"], b"s3cret- is", "*** is"),
        ([b"s3cret-long"], b"xx3cret-lox", "xx***x"),
        ([b"s3cret-long"], b"x3cret-lx", "x3cret-lx"),
        ([b"s3cret-very-long-indeed"], b"a very-lon b y-long-i c ndeed d", "a *** b *** c ndeed d"),
        ([b"s3cret-very-long-indeed"], b"-indeed-", "-indeed-"),
        ([b"s3cret-very-long-indeed"], b"g-indeed-", "***-"),
        ([b"s3cret-long"], b"s3cre is too short", "s3cre is too short"),
        ([b"abc", b"abcdefgh"], b"abcdefgh abc", "*** abc"),
        ([b"s3cret-1", b"s3cret-22"], b"s3cret-22 s3cret-1", "*** ***"),
        ([b"s3cret-1", b"s3cret-22"], b"s3cret-22s3cret-1", "***"),
        (["p\xe4ssw\xf6rd".encode()], "p\xe4ssw\xf6rd", "***"),
        (["p\xe4ssw\xf6rd".encode()], "p\xe4ssw\xf6rd".encode(), "***"),
        ([b"s3cret"], "\ud800 s3cret", "? ***"),
        ([b"", b"s3cret"], b"a s3cret", "a ***"),
    ],
)
def test_what_is_left_of_a_text(secrets: list[bytes], said: bytes | str, shown: str) -> None:
    """Stars for the secret, and only for it."""
    assert cleaner(secrets)(said) == shown


def test_what_servers_say_to_everybody_is_no_secret() -> None:
    """In any case of letters, and not by what stands around it in the list of such words."""
    assert not can_mask(b"Microsoft")
    assert not can_mask(b"CAPABILITY")
    assert can_mask(b"Microsoft1")


def test_an_empty_secret_masks_nothing() -> None:
    """It stands everywhere."""
    assert cleaner([b""]) is sanitise


def test_without_secrets_nothing_is_masked() -> None:
    """A check without a login pays nothing for masking."""
    assert cleaner([]) is sanitise


def test_a_secret_is_known_as_cleaning_has_left_it() -> None:
    """Also where six of its characters are all that is left to know it by."""
    assert cleaner([b"abc|def"])("abc?def") == "***"


def test_a_public_name_may_be_no_text_at_all() -> None:
    """A user name from the command line holds whatever octets the shell has passed."""
    assert can_mask(b"s3cret-1", ("\udcff",))
