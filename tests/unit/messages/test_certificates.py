"""Sentences about certificates and chains."""

import pytest

from check_pop3_plus.messages import certificates
from check_pop3_plus.model.failures import Failure, Kind, Phase
from check_pop3_plus.model.report import CertificateFacts, Chain
from check_pop3_plus.model.sanitised_text import Printable, printable
from tests.pki.certificate_facts import NOW, dates

HOST = "pop.example.org"


def certificate(
    subject: str, issuer: str, before: float = -30, after: float = 60
) -> CertificateFacts:
    return dates(before, after).replace(
        subject=printable("CN={}", subject),
        issuer=printable("CN={}", issuer),
        is_self_issued=subject == issuer,
    )


LEAF = certificate("leaf", "sub")
SUB = certificate("sub", "root")
ROOT = certificate("root", "root")


def rejected(
    kind: Kind,
    *sent: CertificateFacts,
    reason: Printable | None = None,
    verify_code: int | None = None,
) -> str:
    failure = Failure(
        kind, Phase.TLS, printable("certificate is bad"), reason=reason, verify_code=verify_code
    )
    return certificates.rejection(failure, Chain(sent, 0, sent), HOST, NOW)


def test_rejection_without_a_readable_chain_says_refused() -> None:
    """There may be nothing to quote."""
    assert rejected(Kind.UNTRUSTED) == "certificate refused"


@pytest.mark.parametrize(
    ("kind", "sent", "sentence"),
    [
        (
            Kind.EXPIRED,
            (certificate("leaf", "sub", -90, -2),),
            "certificate expired 2 days ago, on 2027-01-13 12:00 UTC",
        ),
        (
            Kind.EXPIRED,
            (LEAF, certificate("sub", "root", -90, -2)),
            "issuer CN=sub of the certificate expired 2 days ago, on 2027-01-13 12:00 UTC",
        ),
        (Kind.EXPIRED, (LEAF,), "certificate is valid, but an intermediate in the chain expired"),
        (
            Kind.NOT_YET_VALID,
            (certificate("leaf", "sub", 3, 90),),
            "certificate is not valid before 2027-01-18 12:00 UTC, in 3 days",
        ),
    ],
)
def test_rejection_by_date_names_the_certificate(
    kind: Kind, sent: tuple[CertificateFacts, ...], sentence: str
) -> None:
    """The server certificate and its issuers are renewed by different people."""
    assert rejected(kind, *sent) == sentence


@pytest.mark.parametrize(
    ("weak", "is_sent", "cure"),
    [
        (1, True, "intermediate certificate"),
        (1, False, "use a CA with a longer key"),
        (0, True, ""),
    ],
)
def test_cure_of_a_weak_chain_is_about_the_weak_certificate(
    weak: int, is_sent: bool, cure: str
) -> None:
    """A new server certificate does not strengthen its issuer."""
    path = [LEAF, SUB, ROOT]
    path[weak] = path[weak].replace(weakness=printable("SHA1 signature"))
    chain = Chain((path[0], *([path[1]] if is_sent else [])), 0, tuple(path), is_anchored=True)

    found = certificates.cure(Failure(Kind.WEAK, Phase.TLS, printable("x")), chain, NOW)

    assert cure in found if found else cure == ""


def test_rejection_by_name_quotes_two_names() -> None:
    """A long list must not displace the expected name."""
    names = tuple(printable("{}.example.org", letter) for letter in "abc")

    assert rejected(Kind.NAME, LEAF.replace(names=names)) == (
        f"certificate is not for {HOST} but for a.example.org, b.example.org and 1 more"
    )


@pytest.mark.parametrize(
    ("others", "lack"),
    [
        ((), "no subject alternative name"),
        (("e-mail", "URI"), "no DNS name in its subject alternative name, only e-mail, URI"),
        (None, "a malformed subject alternative name"),
    ],
)
def test_rejection_without_host_names_says_what_there_is(
    others: tuple[str, ...] | None, lack: str
) -> None:
    """A certificate for e-mail has alternative names, and needs others."""
    assert rejected(Kind.NAME, LEAF.replace(other_names=others)) == (
        f"certificate has {lack} (mail clients refuse it)"
    )


def test_rejection_of_an_address_among_dns_names_says_so() -> None:
    """OpenSSL compares an address with addresses only (RFC 6125 section 6.2.1)."""
    assert rejected(Kind.NAME, LEAF.replace(names=(printable(HOST),))) == (
        f"certificate is not for {HOST} but for {HOST} (as a DNS name)"
    )


@pytest.mark.parametrize(("sent", "issuer"), [((LEAF,), "CN=sub"), ((LEAF, SUB), "CN=root")])
def test_rejection_of_an_unknown_issuer_counts_the_chain(
    sent: tuple[CertificateFacts, ...], issuer: str
) -> None:
    """The issuer of the last certificate of the chain is the one that is missing."""
    served = f"{len(sent)} certificate" + ("s" if len(sent) > 1 else "")

    assert rejected(Kind.UNTRUSTED, *sent, verify_code=20) == (
        f"certificate not trusted: issuer {issuer} unknown, server sent {served}"
    )


def test_description_omits_what_line_1_has() -> None:
    """Of two dates on one instant line 1 has both."""
    facts = dates(-1, -1).replace(issuer=printable("CN=sub"))

    assert list(certificates.description(facts, "on 2027-01-14 12:00 UTC")) == [
        "certificate: CN=x",
        "issuer: CN=sub",
    ]


def remarks(
    *sent: CertificateFacts,
    path: tuple[CertificateFacts, ...] = (),
    verify_code: int | None = None,
) -> list[str]:
    failure = None
    if verify_code:
        failure = Failure(Kind.UNTRUSTED, Phase.TLS, printable("x"), verify_code=verify_code)
    chain = Chain(sent, 0, path or sent, is_verified=failure is None)
    return list(certificates.remarks(chain, NOW, failure))


@pytest.mark.parametrize(
    ("sent", "verify_code", "line"),
    [
        ((LEAF, SUB), 2, "chain: issuer CN=root was not sent and is not trusted"),
        ((LEAF, SUB, ROOT), 19, "chain: root certificate 2 (CN=root) is not trusted"),
        ((LEAF, SUB, ROOT), None, "chain: root certificate 2 (CN=root) is unnecessary"),
        ((LEAF, SUB, SUB), None, "chain: certificate 2 was sent before"),
    ],
)
def test_remarks_name_the_certificate_that_is_wrong(
    sent: tuple[CertificateFacts, ...], verify_code: int | None, line: str
) -> None:
    """The issuer that is missing, or the root that is not trusted, is named."""
    assert remarks(*sent, verify_code=verify_code) == [line]


def test_remarks_of_a_verified_chain_name_the_intermediate_not_sent() -> None:
    """Other clients may lack an intermediate that this machine has."""
    assert remarks(LEAF, path=(LEAF, SUB, ROOT)) == [
        "chain: intermediate CN=sub was not sent, other clients may lack it"
    ]


def test_remarks_of_a_wrong_order_name_the_right_one() -> None:
    """TLS 1.2 demands the order (RFC 5246 section 7.4.2)."""
    assert remarks(LEAF, ROOT, SUB, path=(LEAF, SUB, ROOT))[0] == (
        "chain: wrong order, expected 0, 2, 1"
    )
