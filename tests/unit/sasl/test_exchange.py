"""One exchange in base64, as a protocol runs it."""

import base64

import pytest

from check_pop3_plus.pop3.grammar import AUTH_LINE_LIMIT
from check_pop3_plus.sasl.exchange import Exchange, Identity, Malformed, decoded
from check_pop3_plus.sasl.mechanisms import MECHANISMS

USER = Identity(b"user", b"pencil", "server.example.com", 995)


def test_identity_repr_has_no_secret() -> None:
    """The repr has neither name nor secret."""
    assert repr(USER) == "Identity(***)"


def test_initial_response_waits_where_a_protocol_has_no_space_for_it() -> None:
    """IMAP without SASL-IR (RFC 4959) sends it after the first challenge."""
    exchange = Exchange(MECHANISMS["PLAIN"], USER)

    assert exchange.initial(0) is None
    assert not exchange.is_complete()
    assert exchange.answer(b"") == base64.b64encode(b"\0user\0pencil")
    assert exchange.is_complete()


@pytest.mark.parametrize(
    "data", [b"", b"a", b"ab", b"abc", b"\0\xff", b'{"a":1}', b"x" * (AUTH_LINE_LIMIT // 4 * 3)]
)
def test_decoded_accepts_base64(data: bytes) -> None:
    """RFC 4648 section 4, up to the limit of RFC 5034 section 4."""
    assert decoded(base64.b64encode(data)) == data


@pytest.mark.parametrize("cut", [b"eyJhIjoxfQ", b"eyJhIjoxf", b"YWI", b"YWJjZA"])
def test_decoded_without_padding_is_malformed(cut: bytes) -> None:
    """RFC 4648 section 3.2."""
    with pytest.raises(Malformed):
        decoded(cut)
