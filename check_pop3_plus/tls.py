"""The TLS policy, and what the TLS library says about a handshake.

Every flag that decides a verdict is set here. Errors of OpenSSL are translated here, once.
`ssl` is imported where it is needed: a plain check does not pay for it (about 20 ms).
"""

import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING

from check_pop3_plus.failures import CertificateRejected, Kind, ProbeError, config_error
from check_pop3_plus.settings import TlsPolicy, Verify
from check_pop3_plus.text import Printable, clean

if TYPE_CHECKING:
    import ssl


def context(policy: TlsPolicy) -> "ssl.SSLContext":
    """Build the context that decides the verdict, every flag of it set here.

    So the verdict depends neither on the Python version (3.13 adds strict checks to its
    default), nor on the environment: SSL_CERT_FILE, SSL_CERT_DIR and SSLKEYLOGFILE have no
    effect on a context made this way.

    Raises ProbeError (config) for files that cannot be loaded.
    """
    import ssl

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = policy.verify is Verify.FULL
    made.verify_mode = ssl.CERT_NONE if policy.verify is Verify.NONE else ssl.CERT_REQUIRED
    made.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST
    made.hostname_checks_common_name = False
    made.minimum_version = getattr(ssl.TLSVersion, f"TLSv{policy.minimum}".replace(".", "_"))
    made.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    # Level 2: RSA 2048, EC 224 and SHA-256 at least. TLS 1.1 signs its handshake with
    # MD5 and SHA-1, which only level 0 lets through; `certificate` then looks at the strength.
    made.set_ciphers("DEFAULT:@SECLEVEL=0" if policy.minimum == "1.1" else "DEFAULT:@SECLEVEL=2")
    if policy.verify is not Verify.NONE:
        _load_trust(made, policy)
    if policy.client_cert:
        _load_client_certificate(made, policy.client_cert, policy.client_key)
    return made


def legacy_context() -> "ssl.SSLContext":
    """Build a context that shakes hands with anything, to tell an old server from a broken one.

    For a handshake only: not one byte is sent over what it agrees on.
    """
    import ssl

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.minimum_version = ssl.TLSVersion.TLSv1
    made.set_ciphers("ALL:@SECLEVEL=0")
    return made


def _load_trust(made: "ssl.SSLContext", policy: TlsPolicy) -> None:
    if policy.ca_file or policy.ca_path:
        # Looked at first: OpenSSL would wait for a writer on a FIFO.
        _require(policy.ca_file, stat.S_ISREG, "CA file")
        _require(policy.ca_path, stat.S_ISDIR, "CA directory")
        cafile, capath = policy.ca_file, policy.ca_path
    else:
        cafile, capath = _system_trust()
    try:
        made.load_verify_locations(cafile, capath)
    except OSError as error:
        raise config_error(f"cannot load CA file {clean(cafile or capath or '')}", error) from error


def _system_trust() -> tuple[str | None, str | None]:
    """Return the system's CA file and directory, the one or the other.

    A hashed directory is preferred: OpenSSL then reads the one certificate that it needs, in
    place of a bundle of 144 (20 to 34 ms). The paths compiled into OpenSSL come first, not
    those of the environment; then where distributions keep them, for a Python that brings
    an OpenSSL of its own.
    """
    import ssl

    compiled = ssl.get_default_verify_paths()
    for directory in (compiled.openssl_capath, "/etc/ssl/certs", "/etc/pki/tls/certs"):
        if _is_hashed(directory):
            return None, directory
    for file in (
        compiled.openssl_cafile,
        "/etc/ssl/certs/ca-certificates.crt",
        "/etc/pki/tls/certs/ca-bundle.crt",
        "/etc/ssl/ca-bundle.pem",
        "/etc/ssl/cert.pem",
    ):
        if os.path.isfile(file):
            return file, None
    raise ProbeError(Kind.CONFIG, Printable("no system trust store found; name one by --ca-file"))


def _is_hashed(directory: str) -> bool:
    try:
        with os.scandir(directory) as entries:
            return any(len(entry.name) == 10 and entry.name.endswith(".0") for entry in entries)
    except OSError:
        return False


def _load_client_certificate(made: "ssl.SSLContext", cert: str, key: str | None) -> None:
    _require(cert, stat.S_ISREG, "client certificate")
    _require(key, stat.S_ISREG, "client key")
    try:
        # A pass phrase that is given, and wrong: OpenSSL would ask for one on the terminal.
        made.load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise config_error(f"cannot load client certificate {clean(cert)}", error) from error


def _require(path: str | None, is_kind: Callable[[int], bool], what: str) -> None:
    if path is None:
        return
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        raise config_error(f"cannot load {what} {clean(path)}", error) from error
    if not is_kind(mode):
        raise ProbeError(
            Kind.CONFIG, Printable(f"cannot load {what} {clean(path)}: not of the right file type")
        )


# --- what the TLS library knows -------------------------------------------------------------


def chain(tls: "ssl.SSLSocket") -> tuple[bytes, ...]:
    """Return the chain as sent, in DER, the server's own certificate first.

    Public from Python 3.13 on, a method of a private object before; both also work on a socket
    whose handshake was refused, so no second connection is needed to say why.
    """
    if hasattr(tls, "get_unverified_chain"):
        return tuple(tls.get_unverified_chain() or ())
    import _ssl

    private = tls._sslobj  # type: ignore[attr-defined]
    sent = private.get_unverified_chain() or ()
    return tuple(certificate.public_bytes(_ssl.ENCODING_DER) for certificate in sent)


# X509_V_ERR_* of OpenSSL; whatever is not named here means that the chain is not trusted.
_REJECTIONS = {
    9: (Kind.NOT_YET_VALID, "certificate is not yet valid"),
    10: (Kind.EXPIRED, "certificate has expired"),
    18: (Kind.UNTRUSTED, "certificate is self-signed"),
    19: (Kind.UNTRUSTED, "root certificate in the chain is not trusted"),
    20: (Kind.UNTRUSTED, "issuer is not trusted"),
    21: (Kind.UNTRUSTED, "issuer is not trusted"),
    62: (Kind.NAME, "certificate is for another name"),
    64: (Kind.NAME, "certificate is for another address"),
    66: (Kind.WEAK, "key of the certificate is too weak"),
    67: (Kind.WEAK, "key of an issuer is too weak"),
    68: (Kind.WEAK, "signature algorithm is too weak"),
}


def rejected(error: "ssl.SSLCertVerificationError", tls: "ssl.SSLSocket") -> CertificateRejected:
    known = _REJECTIONS.get(error.verify_code)
    kind, message = known or (Kind.UNTRUSTED, f"certificate refused: {error.verify_message}")
    return CertificateRejected(kind, clean(message), chain(tls))


# --- errors --------------------------------------------------------------------------------

_CLIENT_CERTIFICATE = Printable("demands a client certificate that it accepts")

# OpenSSL's reasons that mean: nothing modern enough in common.
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
# Alerts about a certificate that come from the server are about ours.
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
    """Return what an `ssl.SSLError` says about the server; `tls` is where a handshake failed."""
    reason = _alert(error)
    if is_eof(error):
        return ProbeError(Kind.CLOSED, Printable("closed the connection"))
    # TLS 1.2 has no alert of its own for a missing client certificate. But the server has shown
    # its own certificate by then, which it does not when no cipher fits.
    wants_ours = reason == "HANDSHAKE_FAILURE" and tls is not None and chain(tls)
    if wants_ours or reason in _CLIENT_CERTIFICATE_ALERTS:
        return ProbeError(Kind.CLIENT_CERTIFICATE, _CLIENT_CERTIFICATE)
    if reason in _OLD_TLS:
        return ProbeError(Kind.OLD_TLS, Printable("offers only old TLS or old ciphers"))
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"):
        return ProbeError(Kind.TLS, Printable("speaks plain text where TLS is due"))
    named = clean(reason.replace("_", " ").lower() or "unknown reason")
    return ProbeError(Kind.TLS, Printable(f"failed the TLS handshake: {named}"))


def _alert(error: OSError) -> str:
    """Return OpenSSL's reason without the prefix that says which TLS version named the alert."""
    reason = getattr(error, "reason", None) or ""
    return str(reason).rpartition("_ALERT_")[2]


def is_eof(error: OSError) -> bool:
    return type(error).__name__ in ("SSLEOFError", "SSLZeroReturnError") or (
        getattr(error, "reason", None) == "UNEXPECTED_EOF_WHILE_READING"
    )


def is_want_read(error: OSError) -> bool:
    return type(error).__name__ in ("SSLWantReadError", "SSLWantWriteError")
