"""Secrets in text from outside."""

import base64
import html
import json
import urllib.parse
from itertools import groupby

import pytest

from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.support.masking import Masker, _encoded, also_masking, can_mask

SECRET = b"s3cret pa$$ w<rd"
AWKWARD = "a&<>\"'\\ +/\xe9~?"


def masked(secret: bytes | str, said: bytes | str) -> str:
    secret = secret if isinstance(secret, bytes) else secret.encode()
    return Masker([secret]).sanitise(said)


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
        base64.urlsafe_b64encode(b"\0monitor\0" + SECRET),
        base64.b64encode(SECRET).upper(),
        SECRET.hex().encode(),
        SECRET.hex().upper().encode(),
        SECRET.hex(":").encode(),
        urllib.parse.quote_from_bytes(SECRET).encode(),
        urllib.parse.quote_from_bytes(SECRET, safe="").encode(),
        urllib.parse.quote_plus(SECRET).encode(),
        repr(SECRET).encode(),
        html.escape(SECRET.decode()).encode(),
        b"x" * 90 + SECRET,
        b" " * 4090 + SECRET,
    ],
)
def test_masker_replaces_secret_in_every_encoding(said: bytes) -> None:
    """Whole, and before the text is cut."""
    shown = masked(SECRET, said)

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
        ('say "é" \\ no', json.dumps('say "é" \\ no', ensure_ascii=False)),
        ("it's <b>", html.escape("it's <b>")),
        ("it's <b>", "it&#39;s &lt;b&gt;"),
        ('it\'s "so"', repr('it\'s "so"')),
        ("Zürich", "ZÜRICH"),
        ("ZÜRICH", "zürich"),
        ("a<b>c+d", "a\\<b\\>c\\+d"),
    ],
)
def test_masker_replaces_escaped_secret(secret: str, said: str) -> None:
    """JSON, HTML, URLs and Python."""
    assert masked(secret, said).strip("?") == "***"


def in_base64(secret: bytes, shift: int) -> bytes:
    """Return the part of an encoded text that depends on the secret alone."""
    texts = [
        base64.b64encode(before * shift + secret + after * 3)
        for before in (b"\0", b"\xff")
        for after in (b"\0", b"\xff")
    ]
    same = [len(set(column)) == 1 for column in zip(*texts, strict=True)]
    runs = [list(run) for is_same, run in groupby(range(len(same)), same.__getitem__) if is_same]
    longest = max(runs, key=len)
    return texts[0][longest[0] : longest[-1] + 1]


def test_encoded_forms_are_those_of_the_standard_library() -> None:
    """These forms, and no others."""
    secret = AWKWARD.encode()
    in_bytes = [in_base64(secret, shift) for shift in range(3)]
    in_json = json.dumps(AWKWARD)[1:-1]
    in_unicode = json.dumps(AWKWARD, ensure_ascii=False)[1:-1]

    assert _encoded(secret) == {
        secret,
        AWKWARD.upper().encode(),
        AWKWARD.lower().encode(),
        AWKWARD.encode("latin-1"),
        secret.decode("latin-1").encode(),
        secret.hex().encode(),
        secret.hex(":").encode(),
        repr(secret)[2:-1].encode(),
        repr(AWKWARD)[1:-1].encode(),
        urllib.parse.quote(AWKWARD).encode(),
        urllib.parse.quote(AWKWARD, safe="").encode(),
        urllib.parse.quote_plus(AWKWARD).encode(),
        b"%61%26%3c%3e%22%27%5c%20%2b%2f%c3%a9%7e%3f",
        in_json.encode(),
        in_json.replace("/", "\\/").encode(),
        in_unicode.encode(),
        in_unicode.replace("/", "\\/").encode(),
        in_json.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e").encode(),
        html.escape(AWKWARD, quote=False).encode(),
        html.escape(AWKWARD).encode(),
        html.escape(AWKWARD).replace("&#x27;", "&#39;").encode(),
        html.escape(AWKWARD).replace("&#x27;", "'").encode(),
        *in_bytes,
        *(each.translate(bytes.maketrans(b"+/", b"-_")) for each in in_bytes),
    }


def test_encoded_in_latin_1_up_to_its_last_character() -> None:
    """A server that knows no UTF-8 repeats a secret as it is in Latin-1, if it is."""
    assert b"pass\xff" in _encoded("pass\xff".encode())
    assert not any(b"pass\xff" in each for each in _encoded("pass\xff\u0100".encode()))


@pytest.mark.parametrize("length", range(6, 14))
def test_encoded_base64_has_all_three_shifts(length: int) -> None:
    """Each as long as it depends on the secret alone."""
    secret = bytes(range(0xF0 - length, 0xF0))

    for shift in range(3):
        assert in_base64(secret, shift) in _encoded(secret)


def test_masker_secret_made_by_sanitising_is_replaced() -> None:
    """A server that sends a control byte where the secret has a `?` gains nothing."""
    assert masked(b"what?now", b"what\x01now") == "***"
    assert masked(b"abc|def", "abc?def") == "***"


@pytest.mark.parametrize("secret", [b"", b"a", b"short"])
def test_masker_short_secret_is_not_masked(secret: bytes) -> None:
    """The gap would tell it; callers show only response codes."""
    assert not can_mask(secret)
    assert masked(secret, "a short text") == "a short text"
    assert can_mask(b"shorts")


@pytest.mark.parametrize(
    ("secrets", "said", "shown"),
    [
        ([b"s3cret"], b"a s3cret b S3CRET c", "a *** b *** c"),
        ([b"s3cret"], b"s3cretly", "***ly"),
        ([b"s3cret-long"], b"cut: s3cret-l, and", "cut: s3cret-l, and"),
        ([b"s3cret", b"s3cret-longer"], b"s3cret-longer s3cret", "*** ***"),
        ([b"abcdef", b"defghi"], b"(abcdefghi)", "(***)"),
        ([b"abcdefghi", b"cdefgh"], b"(abcdefghi)", "(***)"),
        ([b"s3cret-1", b"s3cret-22"], b"s3cret-22 s3cret-1", "*** ***"),
        ([b"s3cret-1", b"s3cret-22"], b"s3cret-22s3cret-1", "***"),
        (["p\xe4ssw\xf6rd".encode()], "p\xe4ssw\xf6rd", "***"),
        (["p\xe4ssw\xf6rd".encode()], "p\xe4ssw\xf6rd".encode(), "***"),
        (["\xffpassword".encode()], b"\xffpassword", "***"),
        ([b"s3cret"], "\ud800 s3cret", "? ***"),
        ([b"", b"s3cret"], b"a s3cret", "a ***"),
        ([b"monitor"], b"no user Monitor", "no user ***"),
    ],
)
def test_masker_replaces_whole_secrets_only(
    secrets: list[bytes], said: bytes | str, shown: str
) -> None:
    """What overlaps or touches becomes one mask; a part of a secret is no secret."""
    assert Masker(secrets).sanitise(said) == shown


def test_masker_text_in_another_script_stays_readable() -> None:
    """Its letters become question marks, as those of the secret do; that tells nothing."""
    secret = "пароль на сервере"

    assert masked(secret, "ошибка авторизации") == sanitise("ошибка авторизации")
    assert masked(secret, secret) == "***"
    assert masked("пароль", "ошибка").strip("?") == ""


def test_masker_without_secrets_is_sanitise() -> None:
    """A check without a login pays nothing for masking."""
    assert Masker().sanitise is sanitise
    assert Masker([b"", b"short"]).sanitise is sanitise


def test_masker_added_secret_is_masked_by_earlier_sanitisers() -> None:
    """In a sweep one section learns its secret while another one runs."""
    masker = Masker([b"s3cret-1"])
    earlier = masker.sanitise
    masker.add([b"s3cret-2", b"no"])

    assert earlier("s3cret-1 s3cret-2") == "*** ***"
    assert masker.sanitise is not earlier
    later = masker.sanitise
    for known in (b"s3cret-1", b"s3cret-2"):
        masker.add([known])
        assert masker.sanitise is later


def test_masker_learnt_are_the_secrets_added_since() -> None:
    """A worker of a sweep passes on these alone, each once."""
    masker = Masker([b"s3cret-1"])
    assert masker.learnt == set()

    for added in ([b"s3cret-1", b"short"], [b"s3cret-2"], [b"s3cret-3"]):
        masker.add(added)

    assert masker.learnt == {b"s3cret-2", b"s3cret-3"}
    assert masker.mask("of s3cret-2") == "of ***"


def test_also_masking_replaces_the_whole_response() -> None:
    """As it was sent, in any letter case, together with what is masked already."""
    both = also_masking(Masker([SECRET]).sanitise, b"bW9uaXRvcjpwcm9vZg==")

    assert both(b"no bW9uaXRvcjpwcm9vZg== of " + SECRET) == "no *** of ***"
    assert both("BW9UAXRVCJPWCM9VZG==!") == "***!"
    assert both(b"x" * 90 + b"bW9uaXRvcjpwcm9vZg==") == "x" * 90 + "***"
    assert both(b"bW9uaXRv") == "bW9uaXRv"
