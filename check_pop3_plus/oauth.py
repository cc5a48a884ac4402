"""Fetch an access token: the OAuth 2 client-credentials and refresh-token grants (RFC 6749).

One request and its reply, on one connection whose TLS is always verified. No redirect is
followed, no proxy is asked, nothing is kept: not even a new refresh token, for the plugin writes
no file. Everything here fails as `config`: it is our side, not the mail server's. Knows no POP3.
"""

import io
import re
from collections.abc import Iterable
from urllib.parse import urlencode

from check_pop3_plus import __version__, credentials, text, tls, transport
from check_pop3_plus.failures import DeadlineExceeded, Kind, ProbeError
from check_pop3_plus.settings import Grant, Secret, Security, Target, TlsPolicy, TokenEndpoint
from check_pop3_plus.text import Printable, clean
from check_pop3_plus.timing import Deadline
from check_pop3_plus.transport import Stream

REPLY_LIMIT = 64 * 1024
"""Octets of the whole reply, head and body; real ones have about 3,000."""

TOKEN_LIMIT = 8 * 1024
"""Octets; in base64 not much more fits into a line of AUTH (12,288 octets, RFC 5034 section 4)."""

_SEND_SIZE = 16 * 1024  # one TLS record: with more, one call could take the time that is left twice


def fetch(grant: Grant, deadline: Deadline) -> tuple[Secret, ...]:
    """Return the access token, and behind it what it was got with: all of it is to be masked.

    Raises ProbeError (config) with the reason, never with a secret; also when the endpoint has
    not answered by the deadline, whatever it does.
    """
    form = {"client_id": grant.client_id.encode()}
    secrets = []
    if grant.client_secret_file is not None:
        secrets.append(credentials.read_file(grant.client_secret_file, "client secret file"))
        form["client_secret"] = secrets[-1].reveal()
    if grant.refresh_token_file is not None:
        secrets.append(credentials.read_file(grant.refresh_token_file, "refresh token file"))
        form["refresh_token"] = secrets[-1].reveal()
    form["grant_type"] = b"refresh_token" if "refresh_token" in form else b"client_credentials"
    if grant.scope is not None:
        form["scope"] = grant.scope.encode()
    where = f"token endpoint {clean(grant.endpoint.authority)}"
    try:
        status, body = _exchange(grant, request(grant.endpoint, form), deadline)
        return token(status, body, secrets), *secrets
    except DeadlineExceeded as error:
        raise _failed(f"{where} did not answer in time") from error
    except ProbeError as error:
        raise _failed(f"{where}: {error.message}") from error


def request(endpoint: TokenEndpoint, form: dict[str, bytes]) -> bytes:
    """Return the request (RFC 6749 section 4.4.2), the client's secret in its body.

    In the body and not in a header, because Microsoft and Google both document that form.
    """
    body = urlencode(form).encode()
    head = (
        f"POST {endpoint.path} HTTP/1.1\r\n"
        f"Host: {endpoint.authority}\r\n"
        f"User-Agent: check_pop3_plus/{__version__}\r\n"
        "Accept: application/json\r\n"
        "Accept-Encoding: identity\r\n"
        "Content-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n"
        "\r\n"
    )
    return head.encode() + body


def token(status: int, body: bytes, secrets: Iterable[Secret]) -> Secret:
    """Return the token that a reply gives (RFC 6749 section 5).

    Raises ProbeError (config): in the words of the endpoint where it says `error`, with what
    `secrets` were sent to it masked.
    """
    import json

    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    said = said if isinstance(said, dict) else {}
    reasons = [said.get(key) for key in ("error", "error_description")]
    if isinstance(reasons[0], str):
        masked = text.cleaner(secret.reveal() for secret in secrets)
        raise _failed(masked(": ".join(reason for reason in reasons if isinstance(reason, str))))
    if status != 200:
        note = "; redirects are not followed" if 300 <= status < 400 else ""
        raise _failed(f"answered HTTP {status}{note}")
    value = said.get("access_token")
    if not isinstance(value, str):
        raise _failed("answered without an access_token in JSON")
    if not re.fullmatch("[!-~]+", value):  # RFC 6750 section 2.1 has even fewer characters
        raise _failed("gave a token that is empty or not in visible ASCII")
    if len(value) > TOKEN_LIMIT:
        raise _failed(f"gave a token longer than {TOKEN_LIMIT} octets")
    kind = said.get("token_type", "Bearer")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise _failed("gave a token that is not of type Bearer")
    return Secret(value.encode())


# --- the connection --------------------------------------------------------------------------


def _exchange(grant: Grant, data: bytes, deadline: Deadline) -> tuple[int, bytes]:
    """Send a request; return status and body of its reply."""
    endpoint = grant.endpoint
    policy = TlsPolicy(Security.IMPLICIT, name=endpoint.host, ca_file=grant.ca_file)
    context = tls.context(policy)
    stream = _connected(endpoint, deadline)
    try:
        stream.start_tls(context, policy.name)
        for start in range(0, len(data), _SEND_SIZE):
            stream.send(data[start : start + _SEND_SIZE])
        return _reply(stream)
    finally:
        stream.close()


def _connected(endpoint: TokenEndpoint, deadline: Deadline) -> Stream:
    """Connect to the first address that lets us; each has an equal share of what is left."""
    addresses = transport.resolve(Target(endpoint.host, endpoint.port), deadline)
    tried = addresses[: transport.ADDRESS_LIMIT]
    failure = ProbeError(Kind.UNRESOLVED, Printable("has no address"))
    for position, address in enumerate(tried):
        try:
            stream = transport.connect(address, None, deadline.share(len(tried) - position))
        except ProbeError as error:
            failure = error
        else:
            stream.deadline = deadline
            return stream
    raise failure


def _reply(stream: Stream) -> tuple[int, bytes]:
    import http.client

    response = http.client.HTTPResponse(_Wire(stream), method="POST")  # type: ignore[arg-type]
    body = b""
    try:
        response.begin()
        # By pieces: a length that the endpoint makes up is not a size to set aside memory for.
        while piece := response.read(REPLY_LIMIT):
            body += piece
    except http.client.RemoteDisconnected as error:
        raise _failed("closed the connection without an answer") from error
    except (http.client.HTTPException, ValueError) as error:
        raise _failed("answered something that is not HTTP") from error
    return response.status, body


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
                raise _failed(f"answered more than {REPLY_LIMIT} octets")
        data, self._pending = self._pending[: len(buffer)], self._pending[len(buffer) :]
        buffer[: len(data)] = data
        return len(data)


def _failed(reason: str) -> ProbeError:
    return ProbeError(Kind.CONFIG, Printable(reason))
