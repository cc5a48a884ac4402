"""Hands results to Icinga 2 as passive checks, by its REST API (`process-check-result`).

One after another on one connection. A lost one is opened again and the result sent again: to get
it twice does no harm.
"""

import json
import os
import time
from base64 import b64encode

from check_pop3_plus.model.failures import CertificateRejected, ProbeError
from check_pop3_plus.model.settings import IcingaApi
from check_pop3_plus.net import https
from check_pop3_plus.output.plugin_text import perfdata, render
from check_pop3_plus.probe import password_source
from check_pop3_plus.support.deadline import Clock, Deadline
from check_pop3_plus.support.masking import Masker, can_mask
from check_pop3_plus.sweep.run import Outcome

PATIENCE_SECONDS = 10.0
"""How long the API may fail: a reload of a large configuration takes a few seconds."""

REPLY_SECONDS = 4.0
"""Of one answer: within the patience there is time for another try on a new connection."""

_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 2.0

_SHUTTING_DOWN = 503


class Api:
    """A connection to the API, as long as results are handed to it."""

    def __init__(self, api: IcingaApi, deadline: Deadline) -> None:
        """Raises ProbeError (config) for files that cannot be read."""
        secret = password_source.read_file(api.password_file, "password file of the API")
        login = b":".join((api.username.encode(), secret.reveal()))
        self._sanitise = Masker((secret.reveal(), b64encode(login))).sanitise
        self._may_quote = can_mask(secret.reveal())
        base = api.endpoint.path.rstrip("/").removesuffix("/v1")
        self._path = f"{base}/v1/actions/process-check-result"
        self._fields = (
            f"Authorization: Basic {b64encode(login).decode()}",
            "Content-Type: application/json",
        )
        self._endpoint = api.endpoint
        self._deadline = deadline
        self._link = https.Link(api.endpoint, api.ca_file)
        self._answered: float | None = None
        self._given_up: str | None = None

    def submit(self, outcome: Outcome) -> str | None:
        """Hand a result over; return why it was not taken, or None."""
        pause = _FIRST_PAUSE_SECONDS
        request = self._request(outcome)
        if self._answered is None:
            self._answered = Clock()
        while self._given_up is None:
            try:
                limit = self._deadline.within(REPLY_SECONDS)
                status, body = self._link.ask(request, limit)
            except CertificateRejected as error:
                self._given_up = error.message
                break
            except ProbeError as error:
                reason: str = error.message
            else:
                said = _said(body)
                if said is not None and status != _SHUTTING_DOWN:
                    self._answered = Clock()
                    return self._refusal(status, said)
                reason = f"HTTP {status}"  # or what is left of an answer that was cut
            late = Clock() - self._answered > PATIENCE_SECONDS
            if late or self._deadline.left() <= pause:
                self._given_up = reason
            else:
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        return self._given_up

    def close(self) -> None:
        self._link.close()

    def _request(self, outcome: Outcome) -> bytes:
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
        return https.post(self._endpoint, self._path, json.dumps(result).encode(), *self._fields)

    def _refusal(self, status: int, said: dict[str, object]) -> str | None:
        """Return why the API does not take a result, or None where it does."""
        match said.get("results"):
            case [dict() as result, *_]:
                pass
            case _:
                result = said
        code, words = result.get("code"), result.get("status")
        if status == code == 200:
            return None
        reason = f"HTTP {status}" if code in (None, status) else f"code {code}"
        if isinstance(words, str) and self._may_quote:
            reason += f": {self._sanitise(words)}"
        if status in (401, 403):  # of no result will it think otherwise
            self._given_up = reason
        return reason


def _said(body: bytes) -> dict[str, object] | None:
    """Return the object that an answer is, or None where it is none."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None
