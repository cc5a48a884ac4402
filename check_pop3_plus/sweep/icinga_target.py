"""Submit results to Icinga 2 as passive checks, by its REST API (`process-check-result`).

One connection serves all results. A lost connection is reopened and the result sent again;
Icinga may then process a result twice, which has no effect.
"""

import json
import os
from base64 import b64encode

from check_pop3_plus.model.failures import CertificateRejected, ProbeError
from check_pop3_plus.model.settings import IcingaApi
from check_pop3_plus.net import https
from check_pop3_plus.output.plugin_text import perfdata, render
from check_pop3_plus.probe import password_source
from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.support.masking import Masker, can_mask
from check_pop3_plus.sweep.delivery import NotDelivered, RetryingTarget
from check_pop3_plus.sweep.run import Outcome

REPLY_SECONDS = 4.0
"""Time limit of one answer: several fit into the patience of `delivery`."""

_SHUTTING_DOWN = 503


def open_target(wanted: IcingaApi, deadline: Deadline) -> "Api":
    """Return the target, not connected yet.

    Raises ProbeError (config) when its password file or CA file cannot be read.
    """
    return Api(wanted, deadline)


class Api(RetryingTarget):
    """A connection to the API, kept while results are submitted."""

    def __init__(self, api: IcingaApi, deadline: Deadline) -> None:
        super().__init__(deadline)
        secret = password_source.read_file(api.password_file, "password file of the API")
        login = b":".join((api.username.encode(), secret.reveal()))
        self._sanitise = Masker((secret.reveal(), b64encode(login))).sanitise
        self._may_quote = can_mask(secret.reveal())
        base = api.endpoint.path.rstrip("/").removesuffix("/v1")
        self._path = f"{base}/v1/actions/process-check-result"
        self._fields = {
            "Authorization": f"Basic {b64encode(login).decode()}",
            "Content-Type": "application/json",
        }
        self._link = https.Link(api.endpoint, api.ca_file)

    def send(self, outcome: Outcome) -> str | None:
        """Send one request. Return why the API refused the result, or None."""
        limit = self._deadline.within(REPLY_SECONDS)
        try:
            status, body = self._link.post(self._path, _result(outcome), self._fields, limit)
        except ProbeError as error:
            raise NotDelivered(error.message, isinstance(error, CertificateRejected)) from error
        answer = _json_object(body)
        if answer is None or status == _SHUTTING_DOWN:  # also a truncated answer
            raise NotDelivered(f"HTTP {status}")
        refusal = self._refusal(status, answer)
        if refusal is not None and status in (401, 403):  # the same for every result
            raise NotDelivered(refusal, is_final=True)
        return refusal

    def close(self) -> None:
        self._link.close()

    def _refusal(self, status: int, answer: dict[str, object]) -> str | None:
        """Return why the API refused a result, or None where it accepted the result."""
        match answer.get("results"):
            case [dict() as result, *_]:
                pass
            case _:
                result = answer
        code, text = result.get("code"), result.get("status")
        if status == code == 200:
            return None
        reason = f"HTTP {status}" if code in (None, status) else f"code {code}"
        if isinstance(text, str) and self._may_quote:
            reason += f": {self._sanitise(text)}"
        return reason


def _result(outcome: Outcome) -> bytes:
    """Return the body of a request for `process-check-result`."""
    verdict = outcome.verdict
    result = {
        "type": "Service",
        "service": outcome.service.name,
        "exit_status": verdict.state.value,
        "plugin_output": render(verdict, with_perfdata=False).rstrip("\n"),
        "performance_data": [perfdata(figure) for figure in verdict.figures],
        "check_source": os.uname().nodename,
        "execution_start": outcome.began,
        "execution_end": outcome.ended,
    }
    return json.dumps(result).encode()


def _json_object(body: bytes) -> dict[str, object] | None:
    """Return the JSON object in an answer, or None where there is none."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, dict) else None
