"""Send HTTPS requests, one after another on one connection whose TLS is always verified.

No redirect is followed, and no proxy is used. Each request ends by its deadline. The body of a
reply has at most 64 KiB; `http.client` limits its head to 100 fields of 64 KiB each. The module is
loaded only where it is needed: a plain check does not pay for `http`.
"""

import http.client
from collections.abc import Mapping
from functools import partial

from check_pop3_plus import __version__
from check_pop3_plus.model.failures import Kind, ProbeError, config_error
from check_pop3_plus.model.settings import HttpsEndpoint, Security, Target, TlsPolicy
from check_pop3_plus.net import tls, transport
from check_pop3_plus.support.deadline import Deadline, run_with_deadline

BODY_LIMIT = 64 << 10
"""Bytes of the body of one reply; real ones have about 3,000."""

_FIELDS = {"User-Agent": f"check_pop3_plus/{__version__}", "Accept": "application/json"}


class Link:
    """A connection to an endpoint, opened when needed, and kept until one side closes it."""

    def __init__(self, endpoint: HttpsEndpoint, ca_file: str | None) -> None:
        """Raises ProbeError (config) for a CA file that cannot be loaded."""
        policy = TlsPolicy(Security.IMPLICIT, name=endpoint.host, ca_file=ca_file)
        self._new_connection = partial(_Connection, endpoint, policy)
        self._connection = self._new_connection()

    def post(
        self, path: str, body: bytes, fields: Mapping[str, str], deadline: Deadline
    ) -> tuple[int, bytes]:
        """Send a request with additional header fields; return status and body of its reply.

        In a thread, which is abandoned when it is late: an endpoint can keep OpenSSL busy inside
        one call (by a flood of HelloRequest or NewSessionTicket), which neither a socket timeout
        nor a signal ends.

        Raises ProbeError; the next request then opens a new connection.
        """
        connection = self._connection
        connection.deadline = deadline
        try:
            return run_with_deadline(partial(connection.post, path, body, fields), deadline)
        except BaseException:
            self._connection = self._new_connection()
            connection.abort()
            raise

    def close(self) -> None:
        self._connection.close()


class _Connection(http.client.HTTPSConnection):
    """A connection that this package opens, so that address, deadline and errors are its own.

    `http.client` sends on `sock`, which is set after the handshake.
    """

    deadline: Deadline
    """Of the current request."""

    def __init__(self, endpoint: HttpsEndpoint, policy: TlsPolicy) -> None:
        super().__init__(endpoint.host, endpoint.port, context=tls.context(policy))
        self._policy = policy
        self._stream: transport.Stream | None = None

    def connect(self) -> None:
        """Connect, with a complete handshake."""
        target = Target(self.host, self.port)
        self._stream = stream = transport.connect_to_first(target, self.deadline)
        stream.start_tls(tls.context(self._policy), self._policy.name)
        self.sock = stream.sock

    def post(self, path: str, body: bytes, fields: Mapping[str, str]) -> tuple[int, bytes]:
        """Send a request and read its reply. Raises ProbeError."""
        try:
            if self._stream:
                self._stream.arm(self.deadline)
            self.request("POST", path, body, {**_FIELDS, **fields})
            reply = read_reply(self)
            self.deadline.remaining()  # after a late reply the connection must be closed here
            return reply
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise transport.network_error(error) from error
            raise

    def abort(self) -> None:
        """End whatever call another thread is in."""
        if stream := self._stream:
            stream.abort()

    def close(self) -> None:
        super().close()
        if self._stream:
            self._stream.close()
            self._stream = None


def read_reply(connection: http.client.HTTPConnection) -> tuple[int, bytes]:
    """Return status and body of the reply to the request. Raises ProbeError and OSError."""
    body = b""
    try:
        with connection.getresponse() as response:
            # In pieces: no memory is allocated for a length that the endpoint claims.
            while piece := response.read(BODY_LIMIT):
                body += piece
                if len(body) > BODY_LIMIT:
                    raise config_error("answered more than {} bytes", BODY_LIMIT)
        return response.status, body
    except http.client.RemoteDisconnected as error:
        raise ProbeError(Kind.CLOSED, "closed the connection without an answer") from error
    except (http.client.HTTPException, ValueError) as error:
        raise config_error("answered something that is not HTTP") from error
