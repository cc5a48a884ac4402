"""Fetch an access token: the OAuth 2 client-credentials and refresh-token grants (RFC 6749).

One request and its reply, on one connection whose TLS is always verified. No redirect is
followed, no proxy is asked, nothing is kept: not even a new refresh token, for the plugin writes
no file. Everything here fails as `config`: it is our side, not the mail server's. Knows no POP3.
"""

import re
from collections.abc import Iterable
from urllib.parse import urlencode

from check_pop3_plus.model.failures import DeadlineExceeded, Kind, ProbeError
from check_pop3_plus.model.sanitised_text import Printable, sanitise
from check_pop3_plus.model.settings import Grant, HttpsEndpoint, Secret
from check_pop3_plus.net import https
from check_pop3_plus.probe import password_source
from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.support.masking import Masker, can_mask

TOKEN_LIMIT = 8 * 1024
"""Octets; in base64 not much more fits into a line of AUTH (12,288 octets, RFC 5034 section 4)."""

_ERRORS = (
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
)
"""RFC 6749 section 5.2: what may be quoted where no secret can be masked."""


def fetch(grant: Grant, deadline: Deadline) -> tuple[Secret, ...]:
    """Return the access token, and behind it what it was got with: all of it is to be masked.

    Raises ProbeError (config) with the reason, never with a secret; also when the endpoint has
    not answered by the deadline, whatever it does.
    """
    form = {"client_id": grant.client_id.encode()}
    secrets = []
    if grant.client_secret_file is not None:
        secrets.append(password_source.read_file(grant.client_secret_file, "client secret file"))
        form["client_secret"] = secrets[-1].reveal()
    if grant.refresh_token_file is not None:
        secrets.append(password_source.read_file(grant.refresh_token_file, "refresh token file"))
        form["refresh_token"] = secrets[-1].reveal()
    form["grant_type"] = b"refresh_token" if "refresh_token" in form else b"client_credentials"
    if grant.scope is not None:
        form["scope"] = grant.scope.encode()
    where = f"token endpoint {sanitise(grant.endpoint.authority)}"
    try:
        link = https.Link(grant.endpoint, grant.ca_file)
        try:
            status, body = link.ask(request(grant.endpoint, form), deadline)
        finally:
            link.close()
        return token(status, body, secrets), *secrets
    except DeadlineExceeded as error:
        raise _failed(f"{where} did not answer in time") from error
    except ProbeError as error:
        raise _failed(f"{where}: {error.message}") from error


def request(endpoint: HttpsEndpoint, form: dict[str, bytes]) -> bytes:
    """Return the request (RFC 6749 section 4.4.2), the client's secret in its body.

    In the body and not in a header, because Microsoft and Google both document that form.
    """
    body = urlencode(form).encode()
    kind = "application/x-www-form-urlencoded"
    return https.post(endpoint, endpoint.path, body, f"Content-Type: {kind}", "Connection: close")


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
        told = [secret.reveal() for secret in secrets]
        if not all(map(can_mask, told)):
            known = reasons[0] if reasons[0] in _ERRORS else "***"
            raise _failed(f"{known}: ***" if reasons[1] else known)
        words = Masker(told).sanitise(
            ": ".join(each for each in reasons if isinstance(each, str) and each.strip())
        )
        if words:
            raise _failed(words)
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


def _failed(reason: str) -> ProbeError:
    return ProbeError(Kind.CONFIG, Printable(reason))
