"""Build TLS contexts, read the chain of a handshake, and translate OpenSSL's errors.

Every flag that decides a verdict is set here. Errors of OpenSSL are translated only here.
`ssl` is imported where it is needed: a plain check does not pay for it (about 20 ms).
"""

import os
import stat
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from check_pop3_plus.model.failures import CertificateRejected, Kind, ProbeError, config_error
from check_pop3_plus.model.settings import Security, TlsPolicy, Verify
from check_pop3_plus.support.files import check_secret_file

if TYPE_CHECKING:
    import ssl


def context(policy: TlsPolicy) -> "ssl.SSLContext":
    """Build the context that decides the verdict, every flag of it set here.

    So the verdict depends neither on the Python version (3.13 adds strict checks to its
    default), nor on the environment: SSL_CERT_FILE, SSL_CERT_DIR and SSLKEYLOGFILE have no
    effect on a context made this way.

    Services with equal policies share one context: loading the trusted certificates takes longer
    than a handshake.

    Raises ProbeError (config) for files that cannot be loaded.
    """
    return _context(policy.replace(security=Security.IMPLICIT, name="", pins=()))


@lru_cache(maxsize=64)
def _context(policy: TlsPolicy) -> "ssl.SSLContext":
    import ssl

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = policy.verify is Verify.FULL
    made.verify_mode = ssl.CERT_NONE if policy.verify is Verify.NONE else ssl.CERT_REQUIRED
    made.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST
    if policy.strict:
        made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.hostname_checks_common_name = False
    _allow_old_versions()
    made.minimum_version = _version(policy.minimum)
    made.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    # Level 2: RSA 2048, EC 224 and SHA-256 at least. TLS 1.1 signs its handshake with
    # MD5 and SHA-1, which only level 0 allows; `certificate` then checks the strength.
    made.set_ciphers("DEFAULT:@SECLEVEL=0" if policy.minimum == "1.1" else "DEFAULT:@SECLEVEL=2")
    if policy.verify is not Verify.NONE:
        _load_trust(made, policy)
    if policy.client_cert:
        _load_client_certificate(made, policy.client_cert, policy.client_key)
    return made


def legacy_context(only: str | None = None) -> "ssl.SSLContext":
    """Build a context that shakes hands with anything, or offers `only` one of the old versions.

    For a handshake only: nothing is sent over the connection.
    """
    import ssl

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    _allow_old_versions()
    made.minimum_version = _version(only or "1.0")
    if only:
        made.maximum_version = _version(only)
    made.set_ciphers("ALL:@SECLEVEL=0")
    made.options |= _OP_LEGACY_SERVER_CONNECT
    return made


_OP_LEGACY_SERVER_CONNECT = 0x4
"""Without it OpenSSL 3 refuses servers that do not know RFC 5746; `ssl` names it from 3.12 on."""


def can_offer(version: str) -> bool:
    """Return whether the TLS library here can offer an old version and nothing newer.

    It may have been built without it, or a policy of the system may disable it. The version in the
    ClientHello shows it (RFC 5246 section 7.4.1.2: type, length, version).
    """
    import ssl

    sent = ssl.MemoryBIO()
    try:
        legacy_context(version).wrap_bio(ssl.MemoryBIO(), sent).do_handshake()
    except ssl.SSLWantReadError:
        return sent.read()[9:11] == _version(version).to_bytes(2, "big")
    except (OSError, ValueError):
        pass
    return False


def _allow_old_versions() -> None:
    """Ignore the deprecation warnings for old versions, which are used on purpose.

    PYTHONWARNINGS would turn them into errors. Never undone: threads share the filters.
    """
    warnings.filterwarnings("ignore", r"ssl\.TLSVersion\.", DeprecationWarning)


def _version(number: str) -> "ssl.TLSVersion":
    """Return OpenSSL's constant for `1.0` to `1.3`: the version's two bytes on the wire."""
    import ssl

    return ssl.TLSVersion(0x0301 + int(number.removeprefix("1.")))


def _load_trust(made: "ssl.SSLContext", policy: TlsPolicy) -> None:
    if policy.ca_file or policy.ca_path:
        # Checked first: OpenSSL would wait for a writer on a FIFO.
        _require(policy.ca_file, stat.S_ISREG, "CA file")
        _require(policy.ca_path, stat.S_ISDIR, "CA directory")
        cafile, capath = policy.ca_file, policy.ca_path
    else:
        cafile, capath = _system_trust()
    try:
        made.load_verify_locations(cafile, capath)
    except OSError as error:
        raise config_error("cannot load CA file {}", cafile or capath, cause=error) from error


_WHOLE_STORE = 30
"""Hashed certificates that make a directory a store by itself: distributions trust over 100."""


def _system_trust() -> tuple[str | None, str | None]:
    """Return the system's CA file and directory, or only one of them if that is enough.

    A hashed directory is preferred: OpenSSL then reads the one certificate that it needs, not a
    bundle of 144 (20 to 34 ms). But a few hashed certificates only add to a bundle. The paths
    compiled into OpenSSL come first, not those of the environment; then where distributions
    keep them, for a Python that brings an OpenSSL of its own.
    """
    import ssl

    compiled = ssl.get_default_verify_paths()
    directories = (compiled.openssl_capath, "/etc/ssl/certs", "/etc/pki/tls/certs")
    hashed = {directory: _count_hashed(directory) for directory in directories}
    fullest = max(hashed, key=lambda directory: hashed[directory])
    if hashed[fullest] >= _WHOLE_STORE:
        return None, fullest
    files = (
        compiled.openssl_cafile,
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    )
    bundle = next((file for file in files if os.path.isfile(file)), None)
    if bundle is None and not hashed[fullest]:
        raise config_error("no system trust store found; name one by --ca-file")
    return bundle, fullest if hashed[fullest] else None


def _count_hashed(directory: str) -> int:
    try:
        with os.scandir(directory) as entries:
            return sum(len(entry.name) == 10 and entry.name.endswith(".0") for entry in entries)
    except OSError:
        return 0


def _load_client_certificate(made: "ssl.SSLContext", cert: str, key: str | None) -> None:
    _require(cert, stat.S_ISREG, "client certificate")
    _require(key, stat.S_ISREG, "client key")
    try:
        # A wrong passphrase: without one OpenSSL would prompt on the terminal.
        made.load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise _unusable(cert, key, error) from error
    check_secret_file(key or cert, "client key")


def _unusable(cert: str, key: str | None, error: Exception) -> ProbeError:
    """Return the reason for an unusable client certificate, more precise than OpenSSL's."""
    what = "cannot load client certificate {}"
    if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
        return config_error(what + ": the key does not belong to it", cert)
    if hasattr(error, "library"):
        hint = ": no certificate in it, or no private key in {} (--client-key)"
        return config_error(what + hint, cert, key or cert)
    return config_error(what, cert, cause=error)


def _require(path: str | None, is_kind: Callable[[int], bool], what: str) -> None:
    if path is None:
        return
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        raise config_error("cannot load {} {}", what, path, cause=error) from error
    if not is_kind(mode):
        raise config_error("cannot load {} {}: not of the right file type", what, path)


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


# By X509_V_ERR_* of OpenSSL: kind, message and the reason in it. All others mean that the chain is
# not trusted, for the reason that OpenSSL gives.
_IS = "certificate is {}"
_REJECTIONS = {
    9: (Kind.NOT_YET_VALID, _IS, "not yet valid"),
    10: (Kind.EXPIRED, "certificate {}", "has expired"),
    18: (Kind.UNTRUSTED, _IS, "self-signed"),
    19: (Kind.UNTRUSTED, "{}", "root certificate in the chain is not trusted"),
    20: (Kind.UNTRUSTED, "{}", "issuer is not trusted"),
    21: (Kind.UNTRUSTED, "{}", "issuer is not trusted"),
    62: (Kind.NAME, _IS, "for another name"),
    64: (Kind.NAME, _IS, "for another address"),
    66: (Kind.WEAK, "{}", "key of the certificate is too weak"),
    67: (Kind.WEAK, "{}", "key of an issuer is too weak"),
    68: (Kind.WEAK, "{}", "signature algorithm is too weak"),
}
# Errors of the strict mode alone.
_NOT_STRICT = frozenset((78, *range(80, 94)))


def rejected(error: "ssl.SSLCertVerificationError", tls: "ssl.SSLSocket") -> CertificateRejected:
    """Return why OpenSSL rejected the certificate, with the chain as sent."""
    code = error.verify_code
    if code in _NOT_STRICT:
        kind, template = Kind.NOT_STRICT, "certificate is against RFC 5280: {}"
        reason = error.verify_message
    else:
        unknown = (Kind.UNTRUSTED, "certificate refused: {}", error.verify_message)
        kind, template, reason = _REJECTIONS.get(code, unknown)
    chain = sent_chain(tls)
    return CertificateRejected(kind, chain, template, reason, verify_code=code)


# --- errors --------------------------------------------------------------------------------

_CLIENT_CERTIFICATE = "demands a client certificate that it accepts"

# OpenSSL's reasons for having no modern version or cipher in common.
_OLD_TLS = {
    "UNSUPPORTED_PROTOCOL",
    "PROTOCOL_VERSION",
    "INSUFFICIENT_SECURITY",
    "DH_KEY_TOO_SMALL",
    "LEGACY_SIGALG_DISALLOWED_OR_UNSUPPORTED",
    "UNSAFE_LEGACY_RENEGOTIATION_DISABLED",
    "VERSION_TOO_LOW",
    "WRONG_SSL_VERSION",
}
# Alerts of a server about a certificate are about the client certificate.
_CLIENT_CERTIFICATE_ALERTS = {
    "CERTIFICATE_REQUIRED",
    "BAD_CERTIFICATE",
    "UNSUPPORTED_CERTIFICATE",
    "CERTIFICATE_REVOKED",
    "CERTIFICATE_EXPIRED",
    "CERTIFICATE_UNKNOWN",
    "UNKNOWN_CA",
    "ACCESS_DENIED",
}


def translated(error: OSError, tls: "ssl.SSLSocket | None" = None) -> ProbeError:
    """Translate an `ssl.SSLError`; `tls` is the socket of a failed handshake."""
    reason = _alert(error)
    if is_eof(error):
        return ProbeError(Kind.CLOSED, "closed the connection")
    # TLS 1.2 has no alert of its own for a missing client certificate. But the server has shown
    # its own certificate by then, which it does not when no cipher fits.
    wants_ours = reason == "HANDSHAKE_FAILURE" and tls is not None and sent_chain(tls)
    if wants_ours or reason in _CLIENT_CERTIFICATE_ALERTS:
        return ProbeError(Kind.CLIENT_CERTIFICATE, _CLIENT_CERTIFICATE)
    if reason in _OLD_TLS:
        return ProbeError(Kind.OLD_TLS, "offers only old TLS or old ciphers")
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"):
        return ProbeError(Kind.TLS, "answers in plain text, TLS expected")
    if reason == "CERT_LENGTH_MISMATCH" or "] ASN1 lib" in str(error):  # which has no name here
        return ProbeError(Kind.TLS, "sent a certificate that cannot be decoded")
    named = reason.removeprefix("TLSV1_").replace("_", " ").lower() or "unknown reason"
    what = "failed the TLS handshake" if tls is not None else "sent broken TLS"
    return ProbeError(Kind.TLS, "{}: {}", what, named)


def _alert(error: OSError) -> str:
    """Return OpenSSL's reason without the prefix for the TLS version of the alert."""
    reason = getattr(error, "reason", None) or ""
    return str(reason).rpartition("_ALERT_")[2]


def is_eof(error: OSError) -> bool:
    return type(error).__name__ in ("SSLEOFError", "SSLZeroReturnError") or (
        getattr(error, "reason", None) == "UNEXPECTED_EOF_WHILE_READING"
    )


def is_want_read(error: OSError) -> bool:
    return type(error).__name__ in ("SSLWantReadError", "SSLWantWriteError")
