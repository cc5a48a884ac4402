"""Fetch an access token: the OAuth 2 client-credentials and refresh-token grants (RFC 6749).

One request and its reply, on one connection whose TLS is always verified. Redirects and proxies
are not supported. Nothing is stored, not even a new refresh token, because the plugin writes no
file. Every failure is `config`, because the mail server is not involved.
"""

import re
from collections.abc import Iterable
from urllib.parse import urlencode

from check_pop3_plus.model.failures import DeadlineExceeded, ProbeError, config_error
from check_pop3_plus.model.foreign_json import json_object
from check_pop3_plus.model.settings import Grant, Secret
from check_pop3_plus.net import https
from check_pop3_plus.probe import password_source
from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.support.masking import Masker, can_mask

TOKEN_LIMIT = 8 * 1024
"""Bytes; base64 of not much more fits into a line of AUTH (12,288 bytes, RFC 5034 section 4)."""

_HEADER = {"Content-Type": "application/x-www-form-urlencoded", "Connection": "close"}

_ERRORS = (
    "invalid_request",
    "invalid_client",
    "invalid_grant",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
)
"""RFC 6749 section 5.2: error codes that may be quoted even if the secrets cannot be masked."""


def fetch_token(grant: Grant, deadline: Deadline) -> tuple[Secret, ...]:
    """Return the access token and the secrets used to request it, all to be masked.

    The client's secret is in the body of the request, not in a header, as Microsoft and Google
    document it (RFC 6749 section 2.3.1).

    Raises ProbeError (config) with the reason, never with a secret; also when the endpoint has
    not answered by the deadline.
    """
    form = {"client_id": grant.client_id.encode()}
    secrets = []
    for key, path in (
        ("client_secret", grant.client_secret_file),
        ("refresh_token", grant.refresh_token_file),
    ):
        if path is not None:
            what = key.replace("_", " ") + " file"
            secrets.append(password_source.read_file(path, what))
            form[key] = secrets[-1].reveal()
    form["grant_type"] = b"refresh_token" if "refresh_token" in form else b"client_credentials"
    if grant.scope is not None:
        form["scope"] = grant.scope.encode()
    authority = grant.endpoint.authority
    try:
        link = https.Link(grant.endpoint, grant.ca_file)
        try:
            status, body = link.post(
                grant.endpoint.path, urlencode(form).encode(), _HEADER, deadline
            )
        finally:
            link.close()
        return parse_token(status, body, secrets), *secrets
    except DeadlineExceeded as error:
        raise config_error("token endpoint {} did not answer in time", authority) from error
    except ProbeError as error:
        raise config_error("token endpoint {}: {}", authority, error.message_with_origin) from error


def parse_token(status: int, body: bytes, secrets: Iterable[Secret]) -> Secret:
    """Return the token in a reply (RFC 6749 section 5).

    `secrets`, which were sent to the endpoint, are masked. Raises ProbeError (config), with the
    `error` of the reply if it has one.
    """
    fields = json_object(body) or {}
    reasons = [fields.get(key) for key in ("error", "error_description")]
    if isinstance(reasons[0], str):
        revealed = [secret.reveal() for secret in secrets]
        if not all(map(can_mask, revealed)):
            known = reasons[0] if reasons[0] in _ERRORS else "***"
            raise config_error("{}: ***" if reasons[1] else "{}", known)
        reason = Masker(revealed).sanitise(
            ": ".join(each for each in reasons if isinstance(each, str) and each.strip())
        )
        if reason:
            raise config_error("{}", reason)
    if status != 200:
        note = "; redirects are not followed" if 300 <= status < 400 else ""
        raise config_error("answered HTTP {}" + note, status)
    value = fields.get("access_token")
    if not isinstance(value, str):
        raise config_error("answered without an access_token in JSON")
    if not re.fullmatch("[!-~]+", value):  # RFC 6750 section 2.1 has even fewer characters
        raise config_error("gave a token that is empty or not in visible ASCII")
    if len(value) > TOKEN_LIMIT:
        raise config_error("gave a token longer than {} bytes", TOKEN_LIMIT)
    kind = fields.get("token_type", "Bearer")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        raise config_error("gave a token that is not of type Bearer")
    return Secret(value.encode())
