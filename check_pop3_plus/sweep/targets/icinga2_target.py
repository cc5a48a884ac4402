"""Submit results to Icinga 2 as passive checks, by its REST API (`process-check-result`).

A few connections serve all results: with one, 1,000 results would wait 1,000 times for an answer.
A result whose answer is lost is sent again on a new connection, as an older one: Icinga drops it
if it has the first, and no attempt (`max_check_attempts`) is counted twice.
"""

import json
import os
from base64 import b64encode
from collections import deque
from functools import partial

from check_pop3_plus.model.failures import ProbeError
from check_pop3_plus.model.foreign_json import json_object
from check_pop3_plus.model.settings import RestApi
from check_pop3_plus.net import https
from check_pop3_plus.net.tls_errors import CertificateRejected
from check_pop3_plus.output.plugin_text import perfdata, render
from check_pop3_plus.probe import password_source
from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.support.masking import Masker, can_mask
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.targets import submission
from check_pop3_plus.sweep.targets.submission import NotDelivered

REPLY_SECONDS = 4.0
"""Time limit of one answer: several fit into the patience of `submission`."""

_SHUTTING_DOWN = 503

_NEWER_PRESENT = 409
"""Of Icinga 2.14 and newer: it dropped the result, because it has a newer one of the service.
Icinga 2.13 answers 200."""

_STEP_SECONDS = 0.001
"""How much earlier than the try before a result claims to have begun."""


class Target(submission.Target):
    """Connections to the API, kept while results are submitted."""

    senders = 16

    def __init__(self, api: RestApi, deadline: Deadline) -> None:
        """Connect later. Raises ProbeError (config): its password or CA file cannot be read."""
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
        self._new_link = partial(https.Link, api.endpoint, api.ca_file)
        self._idle = deque([self._new_link()])
        """The connections that no thread uses."""

    def send(self, outcome: Outcome, resends: int) -> str | None:
        limit = self._deadline.within(REPLY_SECONDS)
        result = _result(outcome.replace(began=outcome.began - resends * _STEP_SECONDS))
        link = self._idle.pop() if self._idle else self._new_link()
        try:
            status, body = link.post(self._path, result, self._fields, limit)
        except ProbeError as error:
            raise NotDelivered(error.message, isinstance(error, CertificateRejected)) from error
        finally:
            self._idle.append(link)
        answer = json_object(body)
        if answer is None or status == _SHUTTING_DOWN:  # also a truncated answer
            raise NotDelivered(f"HTTP {status}")
        refusal = self._refusal(status, answer, resends > 0)
        if refusal is not None and status in (401, 403):  # the same for every result
            raise NotDelivered(refusal, is_final=True)
        return refusal

    def close(self) -> None:
        for link in list(self._idle):
            link.close()

    def _refusal(self, status: int, answer: dict[str, object], is_resent: bool) -> str | None:
        """Return why the API refused a result, or None where it accepted the result."""
        match answer.get("results"):
            case [dict() as result, *_]:
                pass
            case _:
                result = answer
        code, text = result.get("code"), result.get("status")
        if status == code == 200:
            return None
        if is_resent and _NEWER_PRESENT in (status, code):  # a try before has arrived
            return None
        reason = f"HTTP {status}"
        if status == 200 and isinstance(code, (int, float)):
            reason = f"code {code}"
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
        "plugin_output": render(verdict, with_perfdata=False).removesuffix("\n"),
        "performance_data": [perfdata(figure) for figure in verdict.figures],
        "check_source": os.uname().nodename,
        "execution_start": outcome.began,
        "execution_end": outcome.ended,
    }
    return json.dumps(result).encode()
