"""Names to addresses, addresses to streams, streams to TLS.

The only room that touches sockets, and the only one that arms their time limits. It knows no
POP3. Errors of the operating system and of OpenSSL are translated here, once.
"""

import errno
import os
import socket
import stat
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from check_pop3_plus.failures import CertificateRejected, DeadlineExceeded, Kind, ProbeError
from check_pop3_plus.report import Address, TlsFacts
from check_pop3_plus.settings import Family, Target, TlsPolicy, Verify
from check_pop3_plus.text import Printable, clean
from check_pop3_plus.timing import Deadline

if TYPE_CHECKING:  # a plain check does not pay for `ssl` (about 20 ms)
    import ssl

ADDRESS_LIMIT = 32
"""Addresses tried of one name: with more, none would get time for one lost packet."""

_RECEIVE_SIZE = 16 * 1024  # one TLS record

_FAMILIES = {
    Family.ANY: socket.AF_UNSPEC,
    Family.IPV4: socket.AF_INET,
    Family.IPV6: socket.AF_INET6,
}

# What getaddrinfo says when the name has no (such) address; anything else is the resolver's fault.
_NO_SUCH_NAME = {
    getattr(socket, name)
    for name in ("EAI_NONAME", "EAI_NODATA", "EAI_ADDRFAMILY")
    if hasattr(socket, name)
}


def resolve(target: Target, deadline: Deadline) -> tuple[Address, ...]:
    """Return the addresses to try, in the system's order (RFC 6724), without duplicates.

    Raises ProbeError: unresolved (the name does not exist, or not in this family) or resolver
    (the name server fails, or is silent until the deadline).
    """
    host = target.connect_to or target.hostname
    try:
        return _addresses(host, target, socket.AI_NUMERICHOST)
    except socket.gaierror:
        pass  # a name, not an address: this may take long
    outcome: list[tuple[Address, ...] | socket.gaierror | OSError] = []

    def look_up() -> None:
        try:
            outcome.append(_addresses(host, target, 0))
        except OSError as error:
            outcome.append(error)

    # A daemon thread, never an executor: no signal interrupts getaddrinfo, and executors are
    # joined at exit (measured: process gone 5 s late).
    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(deadline.remaining())
    shown = clean(host)
    if not outcome:
        raise DeadlineExceeded(Kind.RESOLVER, Printable(f"no answer while resolving {shown}"))
    result = outcome[0]
    if isinstance(result, tuple):
        return result
    if isinstance(result, socket.gaierror) and result.errno in _NO_SUCH_NAME:
        family = "" if target.family is Family.ANY else f"{target.family.value} "
        raise ProbeError(
            Kind.UNRESOLVED,
            Printable(f"cannot resolve {shown}: name unknown or no {family}address"),
        )
    reason = clean(result.strerror or "unknown error")
    raise ProbeError(Kind.RESOLVER, Printable(f"cannot resolve {shown}: {reason}"))


def _addresses(host: str, target: Target, flags: int) -> tuple[Address, ...]:
    # As bytes: a str would load the idna codec, and `options` has made A-labels of it already.
    found = socket.getaddrinfo(
        host.encode("ascii"),
        target.port,
        _FAMILIES[target.family],
        socket.SOCK_STREAM,
        socket.IPPROTO_TCP,
        flags,
    )
    addresses = []
    for family, _, _, _, (numeric, port, *rest) in found:
        zone = rest[1] if rest else 0
        addresses.append(Address(str(numeric), int(port), family == socket.AF_INET6, zone))
    return tuple(dict.fromkeys(addresses))


def connect(address: Address, source: str | None, deadline: Deadline) -> "Stream":
    """Open a TCP connection to one address.

    Raises ProbeError: refused, unreachable, closed, or config (no descriptor, cannot bind), and
    DeadlineExceeded.
    """
    family = socket.AF_INET6 if address.is_ipv6 else socket.AF_INET
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        if error.errno == errno.EAFNOSUPPORT:
            raise _translated(error) from error
        raise _ours("cannot open a socket", error) from error
    try:
        if source:
            _bind(sock, source)
        sock.settimeout(deadline.remaining())
        where = (address.host, address.port)
        sock.connect((*where, 0, address.zone) if address.is_ipv6 else where)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        sock.close()
        raise _translated(error) from error
    except BaseException:
        sock.close()
        raise
    return Stream(sock, deadline)


def _bind(sock: socket.socket, source: str) -> None:
    try:
        sock.bind((source, 0))
    except OSError as error:
        raise _ours(f"cannot use source address {clean(source)}", error) from error


class Stream:
    """A connected socket with its deadline: no call can forget it."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self._sock = sock
        self.deadline = deadline
        self.encrypted = False

    def send(self, data: bytes) -> None:
        """Send all of `data`. Raises ProbeError (closed) and DeadlineExceeded."""
        try:
            self._sock.settimeout(self.deadline.remaining())
            self._sock.sendall(data)
        except OSError as error:
            raise _translated(error) from error

    def receive(self) -> bytes:
        """Return what arrives next, at most 16 KiB; nothing means that the peer closed.

        Raises ProbeError (closed when reset, client-certificate, tls) and DeadlineExceeded.
        """
        try:
            self._sock.settimeout(self.deadline.remaining())
            return self._sock.recv(_RECEIVE_SIZE)
        except OSError as error:
            raise _translated(error) from error

    def arrived(self) -> bytes:
        """Return what has arrived already, without waiting: usually nothing.

        Raises ProbeError (client-certificate, tls). That a peer has hung up is left for the
        next call to find.
        """
        try:
            self._sock.settimeout(0)
            return self._sock.recv(_RECEIVE_SIZE)
        except OSError as error:
            if not hasattr(error, "library") or _is_want_read(error) or _is_eof(error):
                return b""
            raise _translated(error) from error

    def start_tls(self, context: "ssl.SSLContext", name: str) -> TlsFacts:
        """Shake hands, sending `name` as SNI and, where the context says so, verifying it.

        Raises CertificateRejected, with the chain as sent in its `chain`; ProbeError (tls,
        old-tls, closed, client-certificate); DeadlineExceeded.
        """
        import ssl

        try:
            self._sock.settimeout(self.deadline.remaining())
            tls = context.wrap_socket(
                self._sock, server_hostname=name, do_handshake_on_connect=False
            )
        except OSError as error:
            raise _translated(error) from error
        self._sock = tls
        try:
            tls.settimeout(self.deadline.remaining())
            tls.do_handshake()
        except ssl.SSLCertVerificationError as error:
            raise _rejected(error, tls) from error
        except OSError as error:
            translated = _translated(error)
            # TLS 1.2 has no alert of its own for a missing client certificate. But the server
            # has shown its own certificate by then, which it does not when no cipher fits.
            if translated.kind is Kind.TLS and _alert(error) == "HANDSHAKE_FAILURE" and _chain(tls):
                translated.kind = Kind.CLIENT_CERTIFICATE
                translated.message = _CLIENT_CERTIFICATE
            raise translated from error
        self.encrypted = True
        cipher = tls.cipher()
        return TlsFacts(
            version=tls.version(),
            cipher=cipher[0] if cipher else None,
            chain=_chain(tls),
            verified=context.check_hostname,
        )

    def close(self) -> None:
        """Close at once; a TLS close reply is not waited for."""
        self._sock.close()


# --- TLS policy -----------------------------------------------------------------------------


def tls_context(policy: TlsPolicy) -> "ssl.SSLContext":
    """Build the context that decides the verdict, every flag of it set here.

    So the verdict depends neither on the Python version (3.13 adds strict checks to its
    default), nor on the environment: SSL_CERT_FILE, SSL_CERT_DIR and SSLKEYLOGFILE have no
    effect on a context made this way.

    Raises ProbeError (config) for files that cannot be loaded.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = policy.verify is Verify.FULL
    context.verify_mode = ssl.CERT_NONE if policy.verify is Verify.NONE else ssl.CERT_REQUIRED
    context.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST
    context.hostname_checks_common_name = False
    context.minimum_version = getattr(ssl.TLSVersion, f"TLSv{policy.minimum}".replace(".", "_"))
    context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    # Level 2: RSA 2048, EC 224 and SHA-256 at least. TLS 1.1 signs its handshake with
    # MD5 and SHA-1, which only level 0 lets through; `certificate` then looks at the strength.
    context.set_ciphers("DEFAULT:@SECLEVEL=0" if policy.minimum == "1.1" else "DEFAULT:@SECLEVEL=2")
    if policy.verify is not Verify.NONE:
        _load_trust(context, policy)
    if policy.client_cert:
        _load_client_certificate(context, policy.client_cert, policy.client_key)
    return context


def legacy_context() -> "ssl.SSLContext":
    """Build a context that shakes hands with anything, to tell an old server from a broken one.

    For a handshake only: not one byte is sent over what it agrees on.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def _load_trust(context: "ssl.SSLContext", policy: TlsPolicy) -> None:
    if policy.ca_file or policy.ca_path:
        # Looked at first: OpenSSL would wait for a writer on a FIFO.
        _require(policy.ca_file, stat.S_ISREG, "CA file")
        _require(policy.ca_path, stat.S_ISDIR, "CA directory")
        cafile, capath = policy.ca_file, policy.ca_path
    else:
        cafile, capath = _system_trust()
    try:
        context.load_verify_locations(cafile, capath)
    except OSError as error:
        raise _ours(f"cannot load CA file {clean(cafile or capath or '')}", error) from error


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


def _load_client_certificate(context: "ssl.SSLContext", cert: str, key: str | None) -> None:
    _require(cert, stat.S_ISREG, "client certificate")
    _require(key, stat.S_ISREG, "client key")
    try:
        # A pass phrase that is given, and wrong: OpenSSL would ask for one on the terminal.
        context.load_cert_chain(cert, key, password=lambda: "")
    except (OSError, ValueError) as error:
        raise _ours(f"cannot load client certificate {clean(cert)}", error) from error


def _require(path: str | None, is_kind: Callable[[int], bool], what: str) -> None:
    if path is None:
        return
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError) as error:
        raise _ours(f"cannot load {what} {clean(path)}", error) from error
    if not is_kind(mode):
        raise ProbeError(
            Kind.CONFIG, Printable(f"cannot load {what} {clean(path)}: not of the right file type")
        )


# --- what the TLS library knows -------------------------------------------------------------


def _chain(tls: "ssl.SSLSocket") -> tuple[bytes, ...]:
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


def _rejected(error: "ssl.SSLCertVerificationError", tls: "ssl.SSLSocket") -> CertificateRejected:
    known = _REJECTIONS.get(error.verify_code)
    kind, message = known or (Kind.UNTRUSTED, f"certificate refused: {error.verify_message}")
    return CertificateRejected(kind, clean(message), _chain(tls))


# --- errors of the operating system and of OpenSSL ------------------------------------------

_CLIENT_CERTIFICATE = Printable("demands a client certificate that it accepts")

_UNREACHABLE = {
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.ENETDOWN,
    errno.EHOSTDOWN,
    errno.EACCES,  # a `prohibit` route
    errno.EPERM,  # a local packet filter
    errno.EINVAL,  # a `blackhole` route
    errno.EADDRNOTAVAIL,
    errno.EAFNOSUPPORT,  # IPv6 switched off in the kernel
    errno.ENOPROTOOPT,
    errno.EPROTO,
}
_CLOSED = {errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED, errno.ENOTCONN, errno.ESHUTDOWN}

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


def _alert(error: OSError) -> str:
    """Return OpenSSL's reason without the prefix that says which TLS version named the alert."""
    reason = getattr(error, "reason", None) or ""
    return str(reason).rpartition("_ALERT_")[2]


def _translated(error: OSError) -> ProbeError:
    if isinstance(error, TimeoutError) and error.errno != errno.ETIMEDOUT:
        return DeadlineExceeded(Kind.TIMEOUT, Printable("no answer in time"))
    if hasattr(error, "library"):  # an ssl.SSLError; OpenSSL's numbers are no errno
        return _translated_tls(error)
    if error.errno == errno.ECONNREFUSED:
        return ProbeError(Kind.REFUSED, Printable("connection refused"))
    if error.errno == errno.ETIMEDOUT:
        return ProbeError(Kind.TIMEOUT, Printable("no answer (the system gave up)"))
    if error.errno in _CLOSED:
        return ProbeError(Kind.CLOSED, Printable("reset the connection"))
    if error.errno in _UNREACHABLE:
        reason = clean(error.strerror or "unreachable").lower()
        return ProbeError(Kind.UNREACHABLE, Printable(reason))
    return _ours("local error", error)


def _translated_tls(error: OSError) -> ProbeError:
    reason = _alert(error)
    if _is_eof(error):
        return ProbeError(Kind.CLOSED, Printable("closed the connection"))
    if reason in _OLD_TLS:
        return ProbeError(Kind.OLD_TLS, Printable("offers only old TLS or old ciphers"))
    if reason in _CLIENT_CERTIFICATE_ALERTS:
        return ProbeError(Kind.CLIENT_CERTIFICATE, _CLIENT_CERTIFICATE)
    if reason in ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"):
        return ProbeError(Kind.TLS, Printable("speaks plain text where TLS is due"))
    named = clean(reason.replace("_", " ").lower() or "unknown reason")
    return ProbeError(Kind.TLS, Printable(f"failed the TLS handshake: {named}"))


def _is_eof(error: OSError) -> bool:
    return type(error).__name__ in ("SSLEOFError", "SSLZeroReturnError") or (
        getattr(error, "reason", None) == "UNEXPECTED_EOF_WHILE_READING"
    )


def _is_want_read(error: OSError) -> bool:
    return type(error).__name__ in ("SSLWantReadError", "SSLWantWriteError")


def _ours(what: str, error: Exception) -> ProbeError:
    """Return a failure of our own machine: UNKNOWN, whatever the server is like."""
    reason = clean(getattr(error, "strerror", None) or type(error).__name__)
    return ProbeError(Kind.CONFIG, Printable(f"{what}: {reason}"))
