"""Report to metrics: the nagiosplugin Resource that performs the probe."""

from collections.abc import Iterator

import nagiosplugin

from check_pop3_plus import probe
from check_pop3_plus.failures import MEASURED
from check_pop3_plus.report import Report
from check_pop3_plus.settings import Secret, Settings
from check_pop3_plus.timing import Deadline, seconds_by_phase


class Pop3(nagiosplugin.Resource):
    """A POP3 service, looked at once."""

    name = "POP3"

    def __init__(self, settings: Settings, deadline: Deadline, secret: Secret | None) -> None:
        self._settings = settings
        self._deadline = deadline
        self._secret = secret
        self.report: Report | None = None

    def probe(self) -> list[nagiosplugin.Metric]:
        """Take the look and return what of it can be judged."""
        self.report = probe.run(self._settings, self._deadline, self._secret)
        return list(_metrics(self.report, self._settings))


def _metrics(report: Report, settings: Settings) -> Iterator[nagiosplugin.Metric]:
    if report.failure:
        yield nagiosplugin.Metric("failure", report.failure)
    if report.elapsed is not None:
        yield nagiosplugin.Metric(
            "time", report.elapsed, "s", min=0, max=_whole(settings.limits.timeout)
        )
    seconds = seconds_by_phase(report.laps())
    for phase in MEASURED:
        if phase in seconds:
            yield nagiosplugin.Metric(f"time_{phase.value}", seconds[phase], "s", min=0)
    if not report.attempts:
        return
    attempt = report.attempts[-1]
    if attempt.certificates:
        yield nagiosplugin.Metric("certificate", attempt.certificates[0])
    if attempt.mailbox:
        yield nagiosplugin.Metric("messages", attempt.mailbox.messages, min=0)
        yield nagiosplugin.Metric("mailbox_size", attempt.mailbox.octets, "B", min=0)
    if attempt.greeting is not None:
        yield nagiosplugin.Metric("greeting", attempt.greeting)
    if settings.assertions.capabilities and report.failure is None:
        yield nagiosplugin.Metric("capabilities", attempt.offered or frozenset())
    for note in attempt.notes:
        yield nagiosplugin.Metric("note", note)


def _whole(number: float) -> float:
    """Return 10 for 10.0, so that perfdata has no needless zeros."""
    return int(number) if number == int(number) else number
