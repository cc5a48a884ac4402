"""Why OpenSSL rejected a chain, with the certificate that it is about.

`test_faults_chains` compares the codes with OpenSSL's.
"""

from __future__ import annotations

import pytest

from check_pop3_plus.certificate.reader import read_chain
from check_pop3_plus.model.sanitised_text import sanitise
from tests.pki import der
from tests.pki.certificate_parts import (
    ANY_PURPOSE,
    AUTHORITY_KEY,
    BASIC,
    CLIENT,
    NAME_LIMITS,
    PURPOSES,
    SERVER,
    UNKNOWN,
    Authority,
    basic,
    dns,
    ec_key,
    extension,
    name,
    of_authority,
    purposes,
    root,
    usage,
)

ROOT, KEY, OTHER_KEY = root("Root", ec_key(50)), ec_key(51), ec_key(52)
REKEYED = root("Root", ec_key(53)).certificate

DEPTH, PURPOSE, CRITICAL, PERMITTED, EXCLUDED = 25, 26, 34, 47, 48
INVALID_CA, NO_SIGNING, INVALID_CA_SINCE_3 = 24, 32, 79
SIGNATURE, NO_ISSUER = 7, 20
NOT_FOR_SERVERS = "not meant for servers (extended key usage)"
UNFIT = "not meant for servers (key usage)"
GARBAGE = b"\x30"
LIMITS = extension(NAME_LIMITS, der.sequence(der.tagged(0, der.sequence(dns("other.test")))))
ODD = extension(UNKNOWN, b"\5\0", critical=True)


def rejected(
    code: int,
    *path: bytes,
    sent: tuple[bytes, ...] | None = None,
    trusted: tuple[bytes, ...] = (),
) -> tuple[str | None, str | None]:
    """Return text and cure for a path that OpenSSL has built, all of it sent by the server."""
    chain = read_chain(path if sent is None else sent, path, sanitise, code, trusted)
    return chain.rejection, chain.cure


def leaf(**changes: bytes) -> tuple[bytes, ...]:
    return ROOT.leaf(extensions=ROOT.extensions(**changes)), ROOT.certificate


def issuer(**changes: bytes) -> Authority:
    return ROOT.below("Inter", KEY, extensions=of_authority(KEY, ROOT.key, **changes))


def below(*issuers: Authority) -> tuple[bytes, ...]:
    """Return a good server certificate with the last of the issuers first."""
    return (
        issuers[-1].leaf(),
        *(each.certificate for each in reversed(issuers)),
        ROOT.certificate,
    )


@pytest.mark.parametrize(
    ("extensions", "text"),
    [
        ({"purposes": purposes(CLIENT)}, NOT_FOR_SERVERS),
        ({"purposes": purposes(ANY_PURPOSE)}, NOT_FOR_SERVERS),
        ({"purposes": purposes(CLIENT, SERVER)}, None),
        ({"purposes": purposes("1.3.6.1.4.1.311.10.3.3")}, None),
        ({"purposes": purposes("2.16.840.1.113730.4.1")}, None),
        ({"purposes": b""}, None),
        ({"usage": usage(0)}, None),
        ({"usage": usage(2)}, None),
        ({"usage": usage(4)}, None),
        ({"usage": b""}, None),
        ({"usage": usage(1, 3, 5, 6, 7, 8)}, UNFIT),
        (
            {"usage": usage(5), "basic": basic(ca=True)},
            "a CA certificate is used as server certificate",
        ),
        ({"usage": usage(5), "basic": b""}, UNFIT),
        ({"purposes": extension(PURPOSES, b"garbage")}, None),
    ],
)
def test_purpose_of_server_certificate_is_explained(
    extensions: dict[str, bytes], text: str | None
) -> None:
    """RFC 5280 sections 4.2.1.3 and 4.2.1.12; what cannot be read explains nothing."""
    assert rejected(PURPOSE, *leaf(**extensions)) == (text, None)
    assert rejected(CRITICAL, *leaf(**extensions)) == (None, None)


@pytest.mark.parametrize(
    ("codes", "extensions", "text"),
    [
        (
            (PURPOSE,),
            {"purposes": purposes(CLIENT)},
            "may not issue for servers (extended key usage)",
        ),
        ((CRITICAL,), {"more": ODD}, "has an unknown critical extension"),
        ((PERMITTED,), {"more": LIMITS}, "does not permit its name (name constraints)"),
        ((EXCLUDED,), {"more": LIMITS}, "excludes its name (name constraints)"),
        *(
            ((INVALID_CA, NO_SIGNING, INVALID_CA_SINCE_3), extensions, text)
            for extensions, text in (
                ({"basic": b""}, "is no CA certificate"),
                ({"basic": basic()}, "is no CA certificate"),
                ({"basic": basic(depth=3)}, "is no CA certificate"),
                (
                    {"basic": extension(BASIC, der.sequence(der.tlv(der.BOOLEAN, b"\0")))},
                    "is no CA certificate",
                ),
                ({"usage": usage(0, 1, 2, 3, 4, 6, 7, 8)}, "may not sign certificates (key usage)"),
            )
        ),
    ],
)
def test_issuer_that_is_unfit_is_named(
    codes: tuple[int, ...], extensions: dict[str, bytes], text: str
) -> None:
    """The first one above the server certificate; a fit one is not named, nor without its code."""
    unfit, fit = issuer(**extensions), issuer()
    deeper = unfit.below("Deeper", OTHER_KEY)
    for code in codes:
        assert rejected(code, *below(unfit)) == (f"issuer CN=Inter {text}", None)
        assert rejected(code, *below(unfit, deeper)) == (f"issuer CN=Inter {text}", None)
        assert rejected(code, *below(fit)) == (None, None)
    assert rejected(9, *below(unfit)) == (None, None)


def test_unknown_critical_extension_of_server_certificate_needs_no_name() -> None:
    """The sentence begins with the certificate."""
    text = "it has an unknown critical extension"

    assert rejected(CRITICAL, *leaf(more=ODD)) == (text, None)


def test_issuer_without_key_usage_may_sign() -> None:
    """A CA without the extension is allowed every use; the next one is to blame."""
    free = issuer(usage=b"")
    unfit = free.below("Deeper", OTHER_KEY, extensions=of_authority(OTHER_KEY, KEY, usage=usage(6)))

    assert rejected(NO_SIGNING, *below(free)) == (None, None)
    assert rejected(NO_SIGNING, *below(unfit)[:2], free.certificate, ROOT.certificate) == (
        "issuer CN=Deeper may not sign certificates (key usage)",
        None,
    )


@pytest.mark.parametrize(
    ("depth", "number", "text"),
    [
        (0, 1, None),
        (0, 2, "issuer CN=Inter allows no CA below it (path length)"),
        (1, 2, None),
        (1, 3, "issuer CN=Inter allows no more than 1 CA below it (path length)"),
        (None, 3, None),
    ],
)
def test_path_length_names_the_issuer_that_limits_it(
    depth: int | None, number: int, text: str | None
) -> None:
    """RFC 5280 section 4.2.1.9: it counts the CAs below, without the server certificate."""
    top = issuer(basic=basic(ca=True, depth=depth))
    issuers = [top, top.below("A", OTHER_KEY), top.below("B", OTHER_KEY)][:number]

    assert rejected(DEPTH, *below(*issuers)) == (text, None)


@pytest.mark.parametrize(
    ("subject", "shown"),
    [(name(b"B\xfccher", tag=der.IA5), "(unreadable)"), (der.sequence(), "(empty)")],
)
def test_issuer_without_a_readable_name_is_called_so(subject: bytes, shown: str) -> None:
    """It is never called `None`."""
    extensions = of_authority(KEY, ROOT.key, purposes=purposes(CLIENT))
    unfit = ROOT.below("Inter", KEY, subject=subject, extensions=extensions)

    assert rejected(PURPOSE, *below(unfit))[0] == (
        f"issuer {shown} may not issue for servers (extended key usage)"
    )


REPLACE = "put the certificate that the CA uses now into the trust store (--ca-file)"
SEND = "configure the server to send the intermediate certificate that has issued its own"
ANOTHER_KEY = "the trusted CA CN=Root has another key"
SERIAL = der.tagged(2, b"\1", primitive=True)


@pytest.mark.parametrize("code", [18, 19, 20, 21])
@pytest.mark.parametrize(
    ("changes", "trusted", "text"),
    [
        ({}, REKEYED, ANOTHER_KEY),
        ({"authority_key": b""}, REKEYED, ANOTHER_KEY),
        ({"authority_key": extension(AUTHORITY_KEY, der.sequence(SERIAL))}, REKEYED, ANOTHER_KEY),
        (
            {},
            root("Root", ROOT.key, serial=der.integer(9)).certificate,
            "the trusted CA CN=Root has another serial number",
        ),
        (
            {"authority_key": b""},
            root("Root", ROOT.key, extensions=()).certificate,
            ANOTHER_KEY,
        ),
        ({}, root("Other", OTHER_KEY).certificate, None),
        ({}, GARBAGE + ROOT.name, None),
        ({"authority_key": extension(AUTHORITY_KEY, b"garbage")}, REKEYED, None),
    ],
)
def test_trusted_ca_of_the_same_name_is_named(
    changes: dict[str, bytes], trusted: bytes, text: str | None, code: int
) -> None:
    """The CA in the trust store is an older or a newer one."""
    alone = leaf(**changes)[:1]

    assert rejected(code, *alone, trusted=(trusted,)) == (text, REPLACE if text else None)
    assert rejected(PURPOSE, *alone, trusted=(trusted,)) == (None, None)


@pytest.mark.parametrize(
    ("others", "text"),
    [
        ((ROOT.below("Inter", OTHER_KEY).certificate,), "key"),
        ((GARBAGE, ROOT.certificate, ROOT.below("Inter", OTHER_KEY).certificate), "key"),
        ((ROOT.below("Inter", KEY, serial=der.integer(9)).certificate,), "serial number"),
        ((ROOT.certificate,), None),
    ],
)
def test_issuer_that_was_sent_but_did_not_issue_is_named(
    others: tuple[bytes, ...], text: str | None
) -> None:
    """The server sends an intermediate certificate of the same name."""
    own = issuer().leaf()
    found = f"issuer CN=Inter was sent with another {text}", SEND

    assert rejected(NO_ISSUER, own, sent=(own, *others)) == (found if text else (None, None))


def test_self_signed_certificate_in_the_path_did_not_fail_to_issue_itself() -> None:
    """The end of the path has its own name as issuer, and was sent."""
    assert rejected(19, *leaf()) == (None, None)


def test_own_certificate_as_ca_file_is_explained() -> None:
    """OpenSSL trusts only what an issuer in the file has signed."""
    own = leaf()[0]

    assert rejected(NO_ISSUER, own, trusted=(own,)) == (
        "--ca-file holds the certificate of the server, not that of its issuer CN=Root",
        "put the certificates of the CA into the CA file, up to its root; to accept this"
        " certificate alone use --verify none with --pin",
    )


@pytest.mark.parametrize(
    ("path", "sent", "text"),
    [
        ((*leaf()[:1], REKEYED), 1, ANOTHER_KEY),
        ((*below(issuer())[:2], REKEYED), 2, ANOTHER_KEY),
        ((*leaf()[:1], REKEYED), 2, None),
        (leaf(), 1, None),
        ((), 0, None),
    ],
)
def test_bad_signature_by_a_trusted_ca_of_another_key_is_explained(
    path: tuple[bytes, ...], sent: int, text: str | None
) -> None:
    """Where both name the same key, or the server has sent both, the signature is broken."""
    found = text, REPLACE if text else None

    assert rejected(SIGNATURE, *path, sent=path[:sent]) == found


@pytest.mark.parametrize("code", [DEPTH, PURPOSE, CRITICAL, PERMITTED, SIGNATURE, NO_ISSUER])
def test_unreadable_certificates_explain_nothing(code: int) -> None:
    """OpenSSL may read what is not read here."""
    assert rejected(code, GARBAGE, GARBAGE + b"x", sent=(GARBAGE,)) == (
        ("the trusted CA (unreadable) has another key", REPLACE)
        if code == SIGNATURE
        else (None, None)
    )
