"""Read the facts of certificates, each when it is first asked for.

A certificate comes from the server and may be hostile: any attribute may be unreadable, so each is
guarded separately, and nothing is read that a server can make slow. All but the distinguished names
is read from DER; for those the `cryptography` library is loaded, which costs a run more than all
the rest. It may raise almost any exception (even `TypeError`, measured over 1,236 fuzzed
certificates). OpenSSL alone decides whether a certificate is trusted, as it does for mail clients.
"""

import re
import sys
import warnings
from collections.abc import Callable
from functools import lru_cache
from itertools import islice

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.certificate import rejection_reasons, rfc5280_rules, strength
from check_pop3_plus.certificate.der import (
    ALTERNATIVE_NAMES,
    Fields,
    Value,
    date,
    first,
    integer,
    parse,
    values,
)
from check_pop3_plus.certificate.rejection_reasons import Link
from check_pop3_plus.model.failures import ISSUER_NOT_FOUND
from check_pop3_plus.model.report import CertificateFacts, Chain
from check_pop3_plus.model.sanitised_text import Printable, Sanitiser, printable, sanitise
from check_pop3_plus.model.stopped import Stopped, library_fault

if TYPE_CHECKING:
    from typing import Any

    from cryptography import x509

NAMES_LIMIT = 5
"""Alternative names kept; a certificate may carry thousands."""

_NAMES_READ = 12_000
"""Alternative names read. There may be 50,000, but then they are too short for host names."""

CHAIN_LIMIT = 10
"""Certificates read of those sent: real servers send four at most. A verified chain is read as a
whole: OpenSSL has a limit of its own (100), and no weakness may be missed."""

_NAME_BYTES = 16 * 1024
"""Longest distinguished name that is read. One of 90 KiB takes 60 ms."""

_PEM = rb"-----BEGIN (?:X509 )?CERTIFICATE-----(.*?)-----END "

_DNS_NAME, _IP_ADDRESS = 0x82, 0x87
_OTHERS = {0x81: "e-mail", 0x86: "URI", 0xA4: "directory name", _IP_ADDRESS: "malformed address"}
"""Alternative names that name no host (RFC 5280 section 4.2.1.6)."""


def prepare() -> None:
    """Import the library (about 50 ms).

    It warns of unusual certificates. The warnings are ignored, so that PYTHONWARNINGS cannot turn
    them into errors, which would change the verdict. Never undone: threads share the filters.

    Raises ImportError when the library is missing or too old, and MemoryError.
    """
    if "cryptography.x509" not in sys.modules:
        _require_memory()
    from cryptography import x509  # noqa: F401
    from cryptography.x509 import load_der_x509_certificate  # noqa: F401  (too old without it)

    warnings.simplefilter("ignore", UserWarning)  # the library's own category is one


_LIBRARY_SIZE = 32 * 1024 * 1024
"""Bytes of memory that loading the library takes, generously."""


def _require_memory() -> None:
    """Raise MemoryError if there is too little for the library, which would end the process."""
    import resource

    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    import mmap

    try:
        mmap.mmap(-1, _LIBRARY_SIZE).close()
    except OSError as error:
        raise MemoryError from error


# X509_V_ERR_* of a path whose end is not in the trust store, or is no root.
_NOT_ANCHORED = ISSUER_NOT_FOUND | {2}


# In a sweep many services have one server, and most servers have one of a few issuers.
@lru_cache(maxsize=64)
def read_chain(
    sent: tuple[bytes, ...],
    built: tuple[bytes, ...],
    sanitise: Sanitiser,
    verify_code: int = 0,
    trusted: tuple[bytes, ...] = (),
) -> Chain:
    """Return the facts of the certificates as sent, at most `CHAIN_LIMIT`, and their path.

    `built` is the path that OpenSSL has found, also one that it then rejected with `verify_code`;
    empty where there is none: then the path is what the names in the certificates say. `trusted`
    are CAs of the trust store that may explain the rejection.
    """
    verified = () if verify_code else built
    anchor = verified[-1] if verified else None
    known = {der: _read(der, sanitise, anchor) for der in {*sent[:CHAIN_LIMIT], *built}}
    as_sent = [known[der] for der in sent[:CHAIN_LIMIT]]
    path = [known[der] for der in built] or _linked(as_sent)
    namesakes = [
        _read(der, sanitise)
        for der in trusted
        if der in sent or (path and path[-1].fields and path[-1].fields.issuer in der)
    ]
    rejection, cure = rejection_reasons.reason(verify_code, path, as_sent, namesakes)
    return Chain(
        sent=tuple(each.facts for each in as_sent),
        left_out=max(0, len(sent) - CHAIN_LIMIT),
        path=tuple(each.facts for each in path),
        is_verified=bool(verified),
        is_anchored=bool(built) and verify_code not in _NOT_ANCHORED,
        defects=rfc5280_rules.defects([known[der].fields for der in verified]),
        rejection=rejection,
        cure=cure,
    )


def read(der: bytes, sanitise: Sanitiser) -> CertificateFacts:
    """Return the facts of one certificate; unreadable ones are None and named."""
    return _read(der, sanitise).facts


def read_pem(pem: bytes, sanitise: Sanitiser) -> tuple[CertificateFacts, ...]:
    """Return the facts of each certificate in a PEM file.

    Raises ValueError if there is no certificate, or a broken one.
    """
    from base64 import b64decode

    found = [b64decode(each) for each in re.findall(_PEM, pem, re.DOTALL)]
    if not found:
        raise ValueError("no certificate")
    for der in found:
        parse(der)  # it may be broken
    return tuple(read(der, sanitise) for der in found)


def _linked(sent: list[Link]) -> list[Link]:
    """Return the chain from the first certificate as far as the issuers were sent."""
    path = sent[:1]
    while path and (last := path[-1].fields) and last.issuer != last.subject:
        issuers = (
            each
            for each in sent
            if each.fields and each.fields.subject == last.issuer and each not in path
        )
        issuer = next(issuers, None)
        if issuer is None:
            break
        path.append(issuer)
    return path


@lru_cache(maxsize=256)
def _read(der: bytes, sanitise: Sanitiser, anchor: bytes | None = None) -> Link:
    try:
        fields = parse(der)
    except ValueError:
        nothing = (printable("certificate"),)
        return Link(CertificateFacts(None, None, fingerprint=_sha256(der), unreadable=nothing))
    is_root = fields.subject == fields.issuer if anchor is None else der == anchor
    return Link(_LazyFacts(der, sanitise, is_root, fields), fields)


class _Fact:
    """A fact that is read when it is first asked for; None if it is unreadable."""

    def __init__(self, read: "Callable[[Any], object]", attribute: str | None) -> None:
        self._read = read
        self.attribute = attribute

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name

    def __get__(self, facts: "Any", _: type) -> object:
        value = None
        try:
            value = self._read(facts)
        except Stopped:
            raise
        except BaseException as error:  # a panic of the library, written in Rust, is no Exception
            library = library_fault(error)
            why = printable(" ({})", library) if library else ""
            facts.failed[self._name] = printable("{}{}", self.attribute, why)
        # Found there from now on. Another thread that reads it at the same time gets the same.
        facts.__dict__[self._name] = value
        return value


def _fact(read: "Callable[[Any], object]", attribute: str | None = None) -> "Any":
    """Return a `_Fact`, which type checkers take for its value.

    One without the name of an attribute is made of others, and cannot be unreadable itself.
    """
    return _Fact(read, attribute)


class _LazyFacts(CertificateFacts):
    """The facts of a certificate whose fields could be located."""

    def __init__(
        self, der: bytes, sanitise: Sanitiser, is_root: bool, fields: Fields | None = None
    ) -> None:
        known = {"fields": fields} if fields else {}
        self.__dict__.update(der=der, sanitise=sanitise, is_root=is_root, failed={}, **known)

    def __reduce__(self) -> "tuple[Any, ...]":
        """Return what a worker of a sweep sends; its parent has the names `masked`."""
        return _LazyFacts, (vars(self)["der"], sanitise, vars(self)["is_root"])

    def masked(self, mask: Sanitiser) -> CertificateFacts:
        return _LazyFacts(vars(self)["der"], mask, vars(self)["is_root"])

    def __eq__(self, other: object) -> bool:
        return type(other) is _LazyFacts and vars(other)["der"] == vars(self)["der"]

    def __hash__(self) -> int:
        return hash(vars(self)["der"])

    fields = _fact(lambda each: parse(each.der))
    # OpenSSL accepts characters that their type does not allow, as `*` in a PrintableString. The
    # library then reads neither name.
    _loaded = _fact(lambda each: _load(each.der), "subject and issuer")
    not_before = _fact(lambda each: date(each.fields.validity, 0), "not before")
    not_after = _fact(lambda each: date(each.fields.validity, 1), "not after")
    _subject = _fact(lambda each: _name(each._loaded, "subject", each.fields.subject), "subject")
    _issuer = _fact(lambda each: _name(each._loaded, "issuer", each.fields.issuer), "issuer")
    _names = _fact(lambda each: _names(each.fields), "names")
    _key = _fact(lambda each: strength.key(each.fields), "key")
    weakness = _fact(
        lambda each: strength.weakness(each._key, each.fields, each.is_root), "strength"
    )
    serial = _fact(lambda each: each.sanitise(f"{integer(each.fields.serial):X}"))
    subject = _fact(lambda each: each.sanitise(each._subject[0]) if each._subject else None)
    issuer = _fact(lambda each: each.sanitise(each._issuer[0]) if each._issuer else None)
    issuer_names = _fact(lambda each: each._issuer or ())
    names = _fact(lambda each: tuple(map(each.sanitise, (each._names or ())[:NAMES_LIMIT])))
    names_left_out = _fact(lambda each: max(0, len(each._names or ()) - NAMES_LIMIT))
    other_names = _fact(lambda each: _other_names(each.fields))
    fingerprint = _fact(lambda each: _sha256(each.der))
    public_key = _fact(lambda each: _sha256(each.fields.key))
    key = _fact(lambda each: each._key[0] if each._key else None)
    key_bits = _fact(lambda each: each._key[1] if each._key else None)
    is_self_issued = _fact(lambda each: each.fields.subject == each.fields.issuer)
    unreadable = _fact(lambda each: each.find_unreadable())

    def find_unreadable(self) -> tuple[Printable, ...]:
        """Read every attribute; return the names of those that are unreadable."""
        facts = vars(_LazyFacts).items()
        names = [name for name, fact in facts if isinstance(fact, _Fact) and fact.attribute]
        for name in names:
            getattr(self, name)
        failed: dict[str, Printable] = vars(self)["failed"]
        return tuple(failed[name] for name in names if name in failed)


def _load(der: bytes) -> "x509.Certificate":
    prepare()
    from cryptography import x509

    return x509.load_der_x509_certificate(der)


def _names(fields: Fields) -> list[bytes | str]:
    """Return the host names, then the addresses, of the subject alternative name.

    Not by the library: it reads all or nothing, and one malformed name must not hide the others.
    """
    from ipaddress import ip_address

    listed = _alternatives(fields)
    hosts = [each.content for each in listed if each.tag == _DNS_NAME]
    addresses = [each.content for each in listed if each.tag == _IP_ADDRESS]
    shown = [str(ip_address(each)) for each in addresses[:NAMES_LIMIT] if len(each) in (4, 16)]
    return [*hosts, *shown, *addresses[NAMES_LIMIT:]]


def _other_names(fields: Fields) -> tuple[str, ...]:
    """Return the kinds of the alternative names that name no host, in words of ours."""
    others = (each for each in _alternatives(fields) if not _names_host(each))
    return tuple(dict.fromkeys(_OTHERS.get(each.tag, "another kind of name") for each in others))


def _names_host(each: Value) -> bool:
    return each.tag == _DNS_NAME or (each.tag == _IP_ADDRESS and len(each.content) in (4, 16))


def _alternatives(fields: Fields) -> list[Value]:
    """Return the values of the subject alternative name."""
    extension = fields.extensions.get(ALTERNATIVE_NAMES)
    every = values(first(extension.content).content) if extension else iter(())
    return list(islice(every, _NAMES_READ))


def _name(certificate: "x509.Certificate | None", which: str, der: bytes) -> tuple[str, ...] | None:
    """Return a name as a whole, and its parts without the escapes that the whole needs.

    Raises ValueError for one that is too long, and any exception of the library.
    """
    if certificate is None:
        return None
    if len(der) > _NAME_BYTES:
        raise ValueError
    name = getattr(certificate, which)
    return (name.rfc4514_string(), *(str(attribute.value) for attribute in name))


def _sha256(data: bytes) -> Printable:
    from hashlib import sha256

    return printable(sha256(data).hexdigest())
