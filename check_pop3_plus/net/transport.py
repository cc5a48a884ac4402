"""Connect to an address, and send and receive on the connection, with or without TLS.

The only module that opens sockets and sets their timeouts. It knows no POP3. Errors of the
operating system are translated here, once.
"""

import errno
import select
import socket
from contextlib import suppress

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.model.failures import (
    DeadlineExceeded,
    Kind,
    ProbeError,
    config_error,
    is_shortage,
)
from check_pop3_plus.model.report import Address, TlsFacts
from check_pop3_plus.model.settings import Target
from check_pop3_plus.net import resolve
from check_pop3_plus.net.tls_errors import (
    is_eof,
    is_want_read,
    rejected,
    sent_chain,
    translated,
    verified_path,
)
from check_pop3_plus.support.deadline import Deadline

if TYPE_CHECKING:  # a plain check does not pay for `ssl` (about 20 ms)
    import ssl

ADDRESS_LIMIT = 32
"""Addresses tried per host name: with more, none would have time to resend a lost packet."""

_RECEIVE_SIZE = 16 * 1024  # one TLS record


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
            raise network_error(error) from error
        raise config_error("cannot open a socket", cause=error) from error
    try:
        if source:
            _bind(sock, source)
        sock.settimeout(deadline.remaining())
        where = (address.host, address.port)
        sock.connect((*where, 0, address.zone) if address.is_ipv6 else where)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        sock.close()
        raise network_error(error) from error
    except BaseException:
        sock.close()
        raise
    return Stream(sock, deadline)


def connect_to_first(target: Target, deadline: Deadline) -> "Stream":
    """Open a connection to the first address of a target that accepts, with the whole deadline.

    Each address gets an equal share of the time left. Raises what `look_up` raises, and the error
    of the last address.
    """
    found = resolve.look_up(target, deadline)[:ADDRESS_LIMIT]
    failure = ProbeError(Kind.UNRESOLVED, "has no address")
    for position, address in enumerate(found):
        try:
            stream = connect(address, None, deadline.share(len(found) - position))
        except ProbeError as error:
            failure = error
        else:
            stream.arm(deadline)
            return stream
    raise failure


def _bind(sock: socket.socket, source: str) -> None:
    resolve.check_zone(source)
    try:
        sock.bind((source, 0))
    except OSError as error:
        raise config_error("cannot use source address {}", source, cause=error) from error


NAME_SERVER_PORT = 53
_DATAGRAM_SIZE = 4096


def ask_name_server(server: str, query: bytes, deadline: Deadline) -> bytes:
    """Send one datagram to a name server and return the one that it answers with.

    Raises ProbeError as `connect` does: refused where nothing listens there.
    """
    try:
        found = socket.getaddrinfo(
            server, NAME_SERVER_PORT, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST
        )
        family, kind, protocol, _, where = found[0]
        with socket.socket(family, kind, protocol) as sock:
            sock.settimeout(deadline.remaining())
            sock.connect(where)  # so that only this server's answer is received
            sock.send(query)
            sock.settimeout(deadline.remaining())
            return sock.recv(_DATAGRAM_SIZE)
    except OSError as error:
        raise network_error(error) from error


class Stream:
    """A connected socket whose every call is bounded by a deadline."""

    def __init__(self, sock: socket.socket, deadline: Deadline) -> None:
        self.sock = sock
        """For `https` alone: each call on it may take what is left when `arm` is called."""
        self.deadline = deadline
        self.encrypted = False

    def arm(self, deadline: Deadline) -> None:
        """Set another deadline. Raises DeadlineExceeded."""
        self.deadline = deadline
        self.sock.settimeout(deadline.remaining())

    def send(self, data: bytes) -> None:
        """Send all of `data`. Raises ProbeError (closed) and DeadlineExceeded."""
        try:
            self.sock.settimeout(self.deadline.remaining())
            self.sock.sendall(data)
        except OSError as error:
            raise network_error(error) from error

    def receive(self) -> bytes:
        """Return what arrives next, at most 16 KiB; b"" means that the peer closed.

        Raises ProbeError (closed when reset, client-certificate, tls) and DeadlineExceeded.
        """
        try:
            self.sock.settimeout(self.deadline.remaining())
            return self.sock.recv(_RECEIVE_SIZE)
        except OSError as error:
            raise network_error(error) from error

    def arrived(self) -> bytes:
        """Return what has already arrived, without waiting: usually nothing.

        Raises ProbeError (client-certificate, tls). A closed connection is left for the next call
        to detect.
        """
        if not self._is_readable():
            return b""
        try:
            self.sock.settimeout(0)
            return self.sock.recv(_RECEIVE_SIZE)
        except OSError as error:
            if not hasattr(error, "library") or is_want_read(error) or is_eof(error):
                return b""
            raise network_error(error) from error

    def _is_readable(self) -> bool:
        """Return whether there is something to read; asking costs less than an error of TLS."""
        if self.encrypted and self.sock.pending():  # type: ignore[attr-defined]
            return True
        waiting = select.poll()
        waiting.register(self.sock, select.POLLIN)
        return bool(waiting.poll(0))

    def start_tls(self, context: "ssl.SSLContext", name: str) -> TlsFacts:
        """Do the handshake, sending `name` as SNI and, where the context says so, verifying it.

        Raises CertificateRejected, with the chain as sent in its `tls`; ProbeError (tls,
        old-tls, closed, client-certificate); DeadlineExceeded.
        """
        import ssl

        try:
            self.sock.settimeout(self.deadline.remaining())
            # As bytes: a str would load the idna codec; `options` has converted it to A-labels.
            tls = context.wrap_socket(
                self.sock, server_hostname=name.encode("ascii"), do_handshake_on_connect=False
            )
        except OSError as error:
            raise network_error(error) from error
        self.sock = tls
        try:
            tls.settimeout(self.deadline.remaining())
            tls.do_handshake()
        except ssl.SSLCertVerificationError as error:
            raise rejected(error, tls) from error
        except OSError as error:
            raise network_error(error, tls, name) from error
        self.encrypted = True
        cipher = tls.cipher()
        return TlsFacts(
            version=tls.version(),
            cipher=cipher[0] if cipher else None,
            sent=sent_chain(tls),
            path=verified_path(tls),
            verified=context.check_hostname,
        )

    def abort(self) -> None:
        """End whatever call another thread is in."""
        with suppress(OSError):
            # Past the method of ssl, which is not made for two threads.
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close at once, without waiting for a TLS close_notify."""
        self.sock.close()


# --- errors of the operating system ---------------------------------------------------------

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


def network_error(error: OSError, tls: "ssl.SSLSocket | None" = None, name: str = "") -> ProbeError:
    """Translate an error of a socket; `tls` is the socket of a failed handshake with `name`."""
    if isinstance(error, TimeoutError) and error.errno != errno.ETIMEDOUT:
        return DeadlineExceeded(Kind.TIMEOUT, "no answer")
    if hasattr(error, "library"):  # an ssl.SSLError; OpenSSL's numbers are no errno
        return translated(error, tls, name.encode("ascii"))
    if is_shortage(error):
        return config_error("local error", cause=error)
    if error.errno == errno.ECONNREFUSED:
        return ProbeError(Kind.REFUSED, "connection refused")
    if error.errno == errno.ETIMEDOUT:
        return ProbeError(Kind.TIMEOUT, "no answer")
    if error.errno in _CLOSED:
        return ProbeError(Kind.CLOSED, "reset the connection")
    if error.errno in _UNREACHABLE:
        return ProbeError(Kind.UNREACHABLE, "{}", (error.strerror or "unreachable").lower())
    return config_error("local error", cause=error)
