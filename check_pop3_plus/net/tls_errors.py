"""Read the chain of a handshake, and translate OpenSSL's errors.

Errors of OpenSSL are translated only here. `ssl` is not imported: a plain check does not pay for
it.
"""

import re

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.model.failures import (
    ISSUER_NOT_FOUND,
    Kind,
    ProbeError,
    config_error,
    no_memory,
)
from check_pop3_plus.model.report import TlsFacts
from check_pop3_plus.model.sanitised_text import printable
from check_pop3_plus.net import client_hello

if TYPE_CHECKING:
    import ssl

# --- chains -------------------------------------------------------------


def sent_chain(tls: "ssl.SSLSocket") -> tuple[bytes, ...]:
    """Return the chain as sent, in DER, the server certificate first.

    Also after a failed handshake, so that no second connection is needed to find the reason.
    """
    return _chain(tls, "get_unverified_chain")


def verified_path(tls: "ssl.SSLSocket") -> tuple[bytes, ...]:
    """Return the chain that OpenSSL has verified, in DER, the trust anchor last.

    Only after a successful handshake; empty without verification.
    """
    return _chain(tls, "get_verified_chain") if tls.context.verify_mode else ()


def _chain(tls: "ssl.SSLSocket", method: str) -> tuple[bytes, ...]:
    # Public from Python 3.13 on, methods of a private object before.
    if hasattr(tls, method):
        return tuple(getattr(tls, method)() or ())
    import _ssl

    certificates = getattr(tls._sslobj, method)() or ()  # type: ignore[attr-defined]
    return tuple(each.public_bytes(_ssl.ENCODING_DER) for each in certificates)


# By X509_V_ERR_* of OpenSSL: kind, message, the reason in it, and what to try where the hint of the
# kind does not fit. All others mean that the chain is not trusted, for the reason that OpenSSL
# gives.
_IS = "certificate is {}"
_REISSUE = "reissue the certificate, or have the certificate of its issuer corrected"
_TRUST_IT = "install a certificate of a CA, or trust this one with --ca-file"
_ADD_ROOT = "add the root certificate of the CA to the trust store (--ca-file)"
_REJECTIONS = {
    2: (Kind.UNTRUSTED, "{}", "root of the trusted intermediate is missing", _ADD_ROOT),
    9: (Kind.NOT_YET_VALID, _IS, "not yet valid", None),
    10: (Kind.EXPIRED, "certificate {}", "has expired", None),
    18: (Kind.UNTRUSTED, _IS, "self-signed", _TRUST_IT),
    19: (Kind.UNTRUSTED, "{}", "root certificate in the chain is not trusted", None),
    20: (Kind.UNTRUSTED, "{}", "issuer is not trusted", None),
    21: (Kind.UNTRUSTED, "{}", "issuer is not trusted", None),
    7: (Kind.UNTRUSTED, "{}", "bad signature", _REISSUE),
    62: (Kind.NAME, _IS, "for another name", None),
    64: (Kind.NAME, _IS, "for another address", None),
    66: (Kind.WEAK, "{}", "key of the certificate is too weak", None),
    67: (Kind.WEAK, "{}", "key of an issuer is too weak", None),
    68: (Kind.WEAK, "{}", "signature algorithm is too weak", None),
}
# Errors of the strict mode alone.
_NOT_STRICT = frozenset((78, *range(80, 94)))
_OUT_OF_MEMORY = 17


class CertificateRejected(ProbeError):
    """The server's certificate was rejected; no POP3 byte may follow."""

    def __init__(
        self, kind: Kind, tls: TlsFacts, template: str, *foreign: object, cure: str | None = None
    ) -> None:
        """Take the facts of the handshake; the first argument, if any, is the bare reason."""
        super().__init__(kind, template, *foreign, cure=cure)
        self.tls = tls
        self.verify_code = tls.verify_code or None
        self.reason = printable("{}", foreign[0]) if foreign else None


def rejected(error: "ssl.SSLCertVerificationError", tls: "ssl.SSLSocket") -> ProbeError:
    """Return why OpenSSL rejected the certificate, with the chain as sent and as built."""
    code = error.verify_code
    if code == _OUT_OF_MEMORY:
        return config_error("no memory to verify the certificate")
    if code in _NOT_STRICT:
        kind, template, cure = Kind.NOT_STRICT, "certificate violates RFC 5280: {}", None
        reason = error.verify_message
    else:
        unknown = (Kind.UNTRUSTED, "certificate refused: {}", error.verify_message, _REISSUE)
        kind, template, reason, cure = _REJECTIONS.get(code, unknown)
    # Those that OpenSSL has loaded: of a directory the ones of the names it needed.
    trusted = tls.context.get_ca_certs(binary_form=True) if code in ISSUER_NOT_FOUND else ()
    facts = TlsFacts(None, None, sent_chain(tls), verified_path(tls), False, code, tuple(trusted))
    return CertificateRejected(kind, facts, template, reason, cure=cure)


# --- errors --------------------------------------------------------------------------------

_TOO_OLD = frozenset(
    ("UNSUPPORTED_PROTOCOL", "PROTOCOL_VERSION", "VERSION_TOO_LOW", "WRONG_SSL_VERSION")
)
_OLDER = {"1.1": "only TLS 1.0 or older", "1.2": "only TLS 1.1 or older", "1.3": "no TLS 1.3"}
# What else is old, by OpenSSL's reason: message, and what to try where it is not a newer TLS.
_OLD_TLS = {
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED": (
        "has no secure renegotiation (RFC 5746)",
        "update the TLS library of the server: it lacks RFC 5746",
    ),
    "DH_KEY_TOO_SMALL": (
        "uses a Diffie-Hellman key that is too small",
        "give the server a Diffie-Hellman group of 2048 bits, or enable ECDHE",
    ),
    "INSUFFICIENT_SECURITY": (
        "shares no cipher that is strong enough",
        "compare the ciphers of the server with those that this machine allows (openssl ciphers)",
    ),
    "LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED": (
        "offers only old signature algorithms",
        "update the TLS library of the server: it signs handshakes with SHA-1 or MD5",
    ),
}
ABOUT_CLIENT_CERTIFICATE = frozenset(
    (
        "bad certificate",
        "unsupported certificate",
        "certificate revoked",
        "certificate expired",
        "certificate unknown",
        "unknown ca",
        "access denied",
        "handshake failure",  # TLS 1.2 has no alert of its own for a missing one
    )
)
"""Alerts after the certificate of the server, if it has requested one of the client."""

# What to try after an alert; it proves that the port speaks TLS.
_AFTER_ALERT = {
    "unrecognized name": "the server has no certificate for this name: check -H and --sni",
    # Dovecot 2.4 sends it when HAProxy puts a PROXY header in front of the handshake.
    "internal error": "an internal error of the server: check its log; behind a proxy, whether only"
    " one side uses the PROXY protocol",
    "no application protocol": "the server wants ALPN: another service behind this port?",
    "unknown psk identity": "the server wants pre-shared keys: check its TLS settings",
    "handshake failure": "no common TLS version or cipher, or the server is misconfigured",
}
_AFTER_OTHER_ALERT = "the server speaks TLS but refuses this handshake: check its log"


def translated(error: OSError, tls: "ssl.SSLSocket | None", name: bytes) -> ProbeError:
    """Translate an `ssl.SSLError`; `tls` is the socket of a failed handshake with `name`.

    After the certificate of the server the error of an alert has its name as `reason`.
    """
    reason = _reason(error)
    if is_eof(error):
        return ProbeError(Kind.CLOSED, "closed the connection")
    if short := no_memory(error):
        return short
    has_certificate = tls is None or bool(sent_chain(tls))
    if tls is not None and (why := _prevented_here(tls, name, reason)):
        return config_error("the local OpenSSL policy (openssl.cnf) allows no {}", why)
    if reason == "CERTIFICATE_REQUIRED" and has_certificate:
        return client_certificate_error()
    if reason in _TOO_OLD and tls is not None:
        return _too_old(tls)
    if reason in _OLD_TLS and tls is not None:
        message, cure = _OLD_TLS[reason]
        return ProbeError(Kind.OLD_TLS, message, cure=cure)
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"):
        return ProbeError(Kind.TLS, "answers in plain text, TLS expected")
    if reason == "CERT_LENGTH_MISMATCH" or "] ASN1 lib" in str(error):  # which has no name here
        return ProbeError(Kind.TLS, "sent a certificate that cannot be decoded")
    # OpenSSL names all errors of its own, but not all alerts: ech_required (121) has no name.
    is_unnamed = not reason and "[SSL] unknown error" in str(error)
    named = reason.replace("_", " ").lower() or f"unknown {'alert' if is_unnamed else 'reason'}"
    number = _alert(reason)
    if tls is not None:
        what = "failed the TLS handshake"
    else:
        what = "ended the TLS session" if number or is_unnamed else "sent broken TLS"
    if not number:
        known = _AFTER_OTHER_ALERT if is_unnamed else None
        return ProbeError(Kind.TLS, "{}: {}", what, named, cure=known)
    cure = _AFTER_ALERT.get(named, _AFTER_OTHER_ALERT)
    advice = {"unrecognized name": ": check --sni", "internal error": " of the server"}
    shown = f"{named}{advice.get(named, '')}"
    refused = ProbeError(Kind.TLS, "{}: {} (alert {})", what, shown, number, cure=cure)
    refused.reason = printable("{}", named) if has_certificate else None
    return refused


def client_certificate_error() -> ProbeError:
    return ProbeError(Kind.CLIENT_CERTIFICATE, "demands a client certificate that it accepts")


WRONG_VERSION = printable("wrong version")
"""The `reason` of an error where no common version was found."""


def _too_old(tls: "ssl.SSLSocket") -> ProbeError:
    minimum = f"1.{tls.context.minimum_version - 0x0301}"
    what = _OLDER.get(minimum, "only old TLS")
    cure = "enable TLS 1.3 on the server, or lower --tls-min" if minimum == "1.3" else None
    refused = ProbeError(Kind.OLD_TLS, "speaks {}; --tls-min is {}", what, minimum, cure=cure)
    refused.reason = WRONG_VERSION
    return refused


# What a server does for which nothing in a ClientHello is acceptable.
_NOTHING_ACCEPTABLE = ("HANDSHAKE_FAILURE", "INSUFFICIENT_SECURITY", "WRONG_SIGNATURE_TYPE")


def _prevented_here(tls: "ssl.SSLSocket", name: bytes, reason: str) -> str | None:
    """Return what the local policy does not allow, so that the handshake cannot succeed, or None.

    A system-wide policy may leave no version, cipher or group, so that no ClientHello is sent, or
    only some that servers do not have, which they refuse for the `reason`.
    """
    import ssl

    sent = ssl.MemoryBIO()
    try:
        tls.context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        return client_hello.lacking(sent.read()) if reason in _NOTHING_ACCEPTABLE else None
    except ssl.SSLError as error:
        return f"handshake: {_reason(error).replace('_', ' ').lower() or 'unknown reason'}"
    return None


# Alerts that `ssl.AlertDescription` lacks, by their names in OpenSSL (RFC 8446 section 6, IANA).
_OTHER_ALERTS = {
    "DECRYPTION_FAILED": 21,
    "NO_CERTIFICATE": 41,
    "EXPORT_RESTRICTION": 60,
    "INAPPROPRIATE_FALLBACK": 86,
    "MISSING_EXTENSION": 109,
    "CERTIFICATE_REQUIRED": 116,
    "NO_APPLICATION_PROTOCOL": 120,
}


def _alert(reason: str) -> int | None:
    """Return the number of an alert, or None for another reason."""
    import ssl

    known = getattr(ssl.AlertDescription, f"ALERT_DESCRIPTION_{reason}", None)
    return _OTHER_ALERTS.get(reason) if known is None else int(known)


_PREFIX = r"^(?:SSLV3|TLSV1|TLSV13)_(?:ALERT_)?"
_UNNAMED = r"\[SSL\] (?:tlsv1|tlsv13|sslv3) alert ([a-z ]+) \("


def _reason(error: OSError) -> str:
    """Return OpenSSL's reason, of an alert without the prefix for the version of TLS.

    Python has no names for newer reasons: they are read from the text.
    """
    reason = str(getattr(error, "reason", None) or "")
    unnamed = None if reason else re.match(_UNNAMED, str(error))
    return unnamed[1].upper().replace(" ", "_") if unnamed else re.sub(_PREFIX, "", reason)


def is_eof(error: OSError) -> bool:
    return type(error).__name__ in ("SSLEOFError", "SSLZeroReturnError") or (
        getattr(error, "reason", None) == "UNEXPECTED_EOF_WHILE_READING"
    )


def is_want_read(error: OSError) -> bool:
    return type(error).__name__ in ("SSLWantReadError", "SSLWantWriteError")
