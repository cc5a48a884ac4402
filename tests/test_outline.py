"""What stands where in a certificate, whatever it is."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from check_pop3_plus import outline
from tests.certificates import Pki
from tests.corpus import ROOT
from tests.der import integer, sequence, tagged
from tests.parts import ec_key, name, public
from tests.test_certificate import der


def test_every_field_is_where_it_stands() -> None:
    """Fields of a certificate that was put together by hand."""
    fields = outline.outline(ROOT.leaf())

    assert (fields.version, fields.issuer, fields.subject) == (2, ROOT.name, name("localhost"))
    assert fields.key == public(ec_key())
    assert fields.key_kind == bytes.fromhex("2a8648ce3d0201")
    assert fields.algorithm == fields.outer_algorithm
    assert fields.extensions[outline.BASIC_CONSTRAINTS].critical
    assert not fields.extensions[outline.SUBJECT_KEY].critical
    assert outline.NETSCAPE_TYPE not in fields.extensions


@pytest.mark.parametrize(
    ("version", "number"), [(b"", 0), (tagged(0, integer(8)), 8), (tagged(0, integer(-1)), -1)]
)
def test_versions_are_as_they_are_written(version: bytes, number: int) -> None:
    """Version 1 is not written at all."""
    assert outline.outline(ROOT.leaf(version=version)).version == number


def test_the_nameless_is_the_same_but_for_the_names(pki: Pki) -> None:
    """Taking the names away twice changes nothing."""
    whole = der(pki, "good")
    nameless = outline.without_names(whole)
    fields, rest = outline.outline(whole), outline.outline(nameless)

    assert rest.subject == rest.issuer == sequence()
    assert rest == fields._replace(subject=sequence(), issuer=sequence())
    assert outline.without_names(nameless) == nameless


@given(st.binary(max_size=200))
def test_garbage_is_no_certificate(data: bytes) -> None:
    """A ValueError and nothing else."""
    with pytest.raises(ValueError, match=r"."):
        outline.outline(data)


def test_damage_is_a_value_error_at_most(pki: Pki) -> None:
    """Wherever a byte is changed or missing."""
    whole = der(pki, "good")
    for position in range(len(whole)):
        for byte in (b"\x00", b"\x30", b"\x80", b"\x84", b"\xff", b""):
            damaged = whole[:position] + byte + whole[position + 1 :]
            with contextlib.suppress(ValueError):
                assert outline.outline(damaged).key_kind is not None
