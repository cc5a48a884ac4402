"""Chains that OpenSSL rejects, each for another reason, with the local trust store of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tests.pki import der
from tests.pki.certificate_parts import (
    CLIENT,
    NAME_LIMITS,
    UNKNOWN,
    Authority,
    basic,
    dns,
    ec_key,
    extension,
    of_authority,
    purposes,
    root,
    rsa_key,
    usage,
    validity,
)
from tests.pki.certificates import HAND_KEY


class BadChain(NamedTuple):
    """What a server sends, and what the client trusts."""

    sent: tuple[bytes, ...]
    trusted: tuple[bytes, ...]


_ROOT = root("Root", ec_key(50))
_KEY, _OTHER_KEY = ec_key(51), ec_key(52)
_REKEYED = root("Root", ec_key(53))
_EXPIRED = validity(-9, -2)
_CRITICAL = extension(UNKNOWN, b"\5\0", critical=True)
_SIGNS, _ENCIPHERS, _ISSUES, _REVOKES = 0, 2, 5, 6


def _leaf(**changes: bytes) -> BadChain:
    """A server certificate with changed extensions."""
    extensions = _ROOT.extensions(HAND_KEY, **changes)
    return BadChain((_ROOT.leaf(HAND_KEY, extensions=extensions),), (_ROOT.certificate,))


def _issuer(**changes: bytes) -> Authority:
    return _ROOT.below("Inter", _KEY, extensions=of_authority(_KEY, _ROOT.key, **changes))


def _below(*issuers: Authority) -> BadChain:
    """A good server certificate below the last of the issuers."""
    sent = (each.certificate for each in reversed(issuers))
    return BadChain((issuers[-1].leaf(HAND_KEY), *sent), (_ROOT.certificate,))


def _limited(tag: int, name: str) -> BadChain:
    """Below an issuer for some names only (RFC 5280 section 4.2.1.10)."""
    names = der.tagged(tag, der.sequence(dns(name)))
    return _below(_issuer(limits=extension(NAME_LIMITS, der.sequence(names), critical=True)))


def _too_deep() -> BadChain:
    issuer = _issuer(basic=basic(ca=True, depth=0))
    return _below(issuer, issuer.below("Deep", _OTHER_KEY))


def _too_deep_by_two() -> BadChain:
    """The second issuer allows as many CAs as there are below it, the first one less."""
    keys = ec_key(55), _OTHER_KEY
    issuer = _issuer(basic=basic(ca=True, depth=1))
    middle = issuer.below(
        "Middle", keys[0], extensions=of_authority(keys[0], _KEY, basic=basic(ca=True, depth=1))
    )
    return _below(issuer, middle, middle.below("Deep", keys[1]))


def _sent_with_another_key() -> BadChain:
    issuer, rekeyed = _ROOT.below("Inter", _KEY), _ROOT.below("Inter", _OTHER_KEY)
    return BadChain((issuer.leaf(HAND_KEY), rekeyed.certificate), (_ROOT.certificate,))


def _trusting(*trusted: bytes, issuer: Authority = _ROOT, is_sent: bool = False) -> BadChain:
    sent = (issuer.certificate,) if is_sent else ()
    return BadChain((issuer.leaf(HAND_KEY), *sent), trusted)


def _trusting_itself(issuer: Authority, is_sent: bool = False) -> BadChain:
    return _trusting(issuer.certificate, issuer=issuer, is_sent=is_sent)


def _trusting_the_server(chain: BadChain) -> BadChain:
    return BadChain(chain.sent, chain.sent[:1])


def _self_signed_authority() -> BadChain:
    own = root("localhost", HAND_KEY).certificate
    return BadChain((own,), (own,))


def _old_intermediate() -> BadChain:
    issuer = _ROOT.below("Inter", _KEY, validity=_EXPIRED)
    return _trusting(_ROOT.certificate, issuer.certificate, issuer=issuer)


def _old_root() -> Authority:
    return root("Old Root", ec_key(54), validity=_EXPIRED)


CHAINS: dict[str, Callable[[], BadChain]] = {
    "purpose": lambda: _leaf(purposes=purposes(CLIENT)),
    "any purpose": lambda: _leaf(purposes=purposes("2.5.29.37.0")),
    "purpose of issuer": lambda: _below(_issuer(purposes=purposes(CLIENT))),
    "key usage": lambda: _leaf(usage=usage(1)),
    "key usage of issuer": lambda: _below(_issuer(usage=usage(_REVOKES))),
    "CA certificate": lambda: _leaf(basic=basic(ca=True), usage=usage(_ISSUES)),
    "self-signed CA certificate": _self_signed_authority,
    "critical extension": lambda: _leaf(more=_CRITICAL),
    "critical extension of issuer": lambda: _below(_issuer(more=_CRITICAL)),
    "names permitted": lambda: _limited(0, "other.test"),
    "names excluded": lambda: _limited(1, "localhost"),
    "path length": _too_deep,
    "path length of two": _too_deep_by_two,
    "no CA": lambda: _below(_issuer(basic=basic())),
    "no CA at all": lambda: _below(_issuer(basic=b"", usage=usage(_SIGNS, _ENCIPHERS))),
    "another key": lambda: _trusting(_REKEYED.certificate),
    "another key without identifier": lambda: BadChain(
        _leaf(authority_key=b"").sent, (_REKEYED.certificate,)
    ),
    "another key, root sent": lambda: _trusting(_REKEYED.certificate, is_sent=True),
    "another key of the root": lambda: BadChain(_below(_issuer()).sent, (_REKEYED.certificate,)),
    "another key, intermediate sent": _sent_with_another_key,
    "weak root": lambda: _trusting_itself(root("Weak Root", rsa_key(1024))),
    "old root": lambda: _trusting_itself(_old_root()),
    "old root sent": lambda: _trusting_itself(_old_root(), is_sent=True),
    "old intermediate": _old_intermediate,
    "own certificate": lambda: _trusting_the_server(_leaf()),
    "own certificate, intermediate sent": lambda: _trusting_the_server(_below(_issuer())),
    "root missing": lambda: _trusting_itself(_issuer()),
    "root missing, intermediate sent": lambda: _trusting_itself(_issuer(), is_sent=True),
}
"""Each is made when it is used, because the dates are those of the day."""
