"""The thread that an attempt runs in."""

import threading
from collections.abc import Iterable

import pytest

from check_pop3_plus.model.report import Address
from check_pop3_plus.model.settings import Security, Settings, Target, TlsPolicy, Verify
from check_pop3_plus.probe.addresses import probe_addresses
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.support.deadline import Clock, Deadline


@pytest.mark.parametrize("security", Security)
def test_attempt_of_sweep_with_tls_alone_has_another_thread(security: Security) -> None:
    """Plain calls end at the timeout of the socket; one of OpenSSL may not."""
    seen = []

    def admit(_: Iterable[Address]) -> None:
        seen.append(threading.get_ident())

    settings = Settings(Target("127.0.0.1", 1), TlsPolicy(security, Verify.NONE))
    report = probe_addresses(Prerequisites(settings, admit=admit), Deadline(Clock() + 30))
    assert len(report.sessions) == len(seen) == 1
    assert (seen == [threading.get_ident()]) == (security is Security.PLAIN)
