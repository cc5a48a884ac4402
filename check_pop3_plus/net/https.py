"""Send HTTPS requests, one after another on one connection whose TLS is always verified.

No redirect is followed, and no proxy is used. Each request ends by its deadline, whatever the
endpoint does, and each reply is limited.
"""

import io
from contextlib import suppress
from functools import partial

from check_pop3_plus import __version__
from check_pop3_plus.model.failures import Kind, ProbeError, config_error
from check_pop3_plus.model.settings import HttpsEndpoint, Security, Target, TlsPolicy
from check_pop3_plus.net import resolve, tls, transport
from check_pop3_plus.net.transport import Stream
from check_pop3_plus.support.deadline import Deadline, run_with_deadline

REPLY_LIMIT = 64 * 1024
"""Bytes of one reply, head and body; real ones have about 3,000."""

_SEND_SIZE = 16 * 1024  # one TLS record: with more, one call could take twice the remaining time


def post(endpoint: HttpsEndpoint, path: str, body: bytes, *fields: str) -> bytes:
    """Return a request with additional header fields."""
    head = (
        f"POST {path} HTTP/1.1",
        f"Host: {endpoint.authority}",
        f"User-Agent: check_pop3_plus/{__version__}",
        "Accept: application/json",
        "Accept-Encoding: identity",
        *fields,
        f"Content-Length: {len(body)}",
        "",
        "",
    )
    return "\r\n".join(head).encode() + body


class Link:
    """A connection to an endpoint, opened when needed, and kept until one side closes it."""

    def __init__(self, endpoint: HttpsEndpoint, ca_file: str | None) -> None:
        """Raises ProbeError (config) for a CA file that cannot be loaded."""
        self._endpoint = endpoint
        self._policy = TlsPolicy(Security.IMPLICIT, name=endpoint.host, ca_file=ca_file)
        self._context = tls.context(self._policy)
        self._stream: Stream | None = None

    def ask(self, data: bytes, deadline: Deadline) -> tuple[int, bytes]:
        """Send a request; return status and body of its reply.

        In a thread, which is abandoned when it is late: an endpoint can keep OpenSSL busy inside
        one call (by a flood of HelloRequest or NewSessionTicket), which neither a socket timeout
        nor a signal ends.

        Raises ProbeError; the next request then opens a new connection.
        """
        try:
            return run_with_deadline(partial(self._ask, data, deadline), deadline)
        except BaseException:
            stream, self._stream = self._stream, None
            if stream:
                stream.abort()
            raise

    def _ask(self, data: bytes, deadline: Deadline) -> tuple[int, bytes]:
        stream = self._stream or self._connected(deadline)
        try:
            stream.deadline = deadline
            for start in range(0, len(data), _SEND_SIZE):
                stream.send(data[start : start + _SEND_SIZE])
            status, body, is_last = _reply(stream)
        except BaseException:
            stream.close()
            raise
        if is_last:
            self.close()
        return status, body

    def close(self) -> None:
        if self._stream:
            self._stream.close()
            self._stream = None

    def _connected(self, deadline: Deadline) -> Stream:
        """Connect to the first address that accepts; each gets an equal share of the time left."""
        target = Target(self._endpoint.host, self._endpoint.port)
        tried = resolve.look_up(target, deadline)[: transport.ADDRESS_LIMIT]
        failure = ProbeError(Kind.UNRESOLVED, "has no address")
        for position, address in enumerate(tried):
            try:
                stream = transport.connect(address, None, deadline.share(len(tried) - position))
            except ProbeError as error:
                failure = error
            else:
                return self._secured(stream, deadline)
        raise failure

    def _secured(self, stream: Stream, deadline: Deadline) -> Stream:
        stream.deadline = deadline
        self._stream = stream  # from now on it can be aborted
        try:
            stream.start_tls(self._context, self._policy.name)
        except BaseException:
            stream.close()
            raise
        return stream


def _reply(stream: Stream) -> tuple[int, bytes, bool]:
    """Return status and body of a reply, and whether no other will follow on this connection."""
    import http.client

    response = http.client.HTTPResponse(_Wire(stream), method="POST")  # type: ignore[arg-type]
    body = b""
    try:
        response.begin()
        # In pieces: no memory is allocated for a length that the endpoint claims.
        while piece := response.read(REPLY_LIMIT):
            body += piece
    except http.client.RemoteDisconnected as error:
        raise ProbeError(Kind.CLOSED, "closed the connection without an answer") from error
    except (http.client.HTTPException, ValueError) as error:
        raise config_error("answered something that is not HTTP") from error
    finally:
        # Otherwise the garbage collector does, perhaps after it has closed the stream below, and
        # prints a warning on standard error.
        with suppress(ValueError):
            response.close()
    return response.status, body, response.will_close


class _Wire(io.RawIOBase):
    """A stream as `http.client` reads it: each read within the deadline, all within the limit."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._pending = b""
        self._left = REPLY_LIMIT

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._pending:
            self._pending = self._stream.receive()
            self._left -= len(self._pending)
            if self._left < 0:
                raise config_error("answered more than {} octets", REPLY_LIMIT)
        data, self._pending = self._pending[: len(buffer)], self._pending[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)
