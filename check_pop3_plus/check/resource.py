"""The nagiosplugin Resource: performs the probe and turns its report into metrics."""

import re
from collections.abc import Iterator

import nagiosplugin
from nagiosplugin import Metric

from check_pop3_plus.check.certificate_contexts import ASSERTIONS
from check_pop3_plus.model.report import Chain, DeliveryFacts, Observation, Report, Session
from check_pop3_plus.model.settings import Settings
from check_pop3_plus.probe import addresses
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.support.deadline import Deadline


class Pop3(nagiosplugin.Resource):
    """One attempt at a POP3 service."""

    name = "POP3"

    def __init__(self, prerequisites: Prerequisites, deadline: Deadline) -> None:
        self._prerequisites = prerequisites
        self._deadline = deadline
        self.report: Report | None = None
        self.settings = prerequisites.settings
        self._metrics: list[Metric] = []

    def attempt(self) -> Report:
        return addresses.probe_addresses(self._prerequisites, self._deadline)

    def take(self, report: Report) -> None:
        """Take the report of an attempt, completed where a round trip has gone on."""
        self.report = report
        self._metrics = list(_metrics(report, self.settings))

    def probe(self) -> list[Metric]:
        """Return the metrics of the attempt."""
        return self._metrics


def _metrics(report: Report, settings: Settings) -> Iterator[Metric]:
    if report.failure:
        yield Metric("failure", Observation(None, report.failure))
    for session in report.with_certificates:
        if session.failure:
            yield Metric("failure", Observation(session, session.failure))
    if settings.target.min_addresses is not None and report.sessions and not report.failure:
        yield Metric("addresses", sum(each.failure is None for each in report.sessions))
    if report.elapsed is not None:
        yield Metric("time", report.elapsed, "s", min=0, max=settings.limits.timeout)
    for phase, taken in report.seconds().items():
        yield Metric(f"time_{phase.value}", taken, "s", min=0)
    yield from _days_left(report)
    for session in report.evaluated:
        yield from _of_session(session, settings, has_failed=bool(report.failure))
        yield from _ages(session, report)
    if report.delivery:
        yield from _of_delivery(report.delivery)
    if settings.target.all_addresses:
        for session in report.evaluated:
            yield from _of_address(session)


def _days_left(report: Report) -> Iterator[Metric]:
    """Yield the certificates that expire first among all addresses."""
    for name, session in zip(("cert_days", "chain_days"), report.first_to_end(), strict=True):
        if session:
            yield Metric(name, Observation(session, session.chain))


def _of_session(session: Session, settings: Settings, has_failed: bool) -> Iterator[Metric]:
    wanted = settings.assertions
    for each in (session, *session.of_other_types):
        yield from _of_chain(Observation(each, each.chain), settings)
    if session.mailbox:
        yield Metric("messages", session.mailbox.messages, min=0)
        yield Metric("mailbox_size", session.mailbox.octets, "B", min=0)
    if session.greeting is not None and settings.expect.texts:
        yield Metric("greeting", Observation(session, session.greeting))
    if wanted.capabilities and session.failure is None and not has_failed:
        yield Metric("capabilities", Observation(session, session.offered or frozenset()))
    for note in session.notes:
        yield Metric("note", Observation(session, note))


def _of_chain(chain: Observation, settings: Settings) -> Iterator[Metric]:
    if not isinstance(chain.fact, Chain) or not chain.fact.leaf:
        return
    yield Metric("certificate", chain)
    if chain.fact.first_issuer_to_end:
        yield Metric("chain", chain)
    for assertion in ASSERTIONS:
        if assertion.value(settings) is not None:
            yield Metric(assertion.metric, chain)


def _of_delivery(delivery: DeliveryFacts) -> Iterator[Metric]:
    if delivery.failure:
        yield Metric("failure", Observation(None, delivery.failure))
    if delivery.is_judged:
        yield Metric("undelivered", Observation(None, delivery))
    if delivery.seconds is not None:
        yield Metric("delivery", delivery.seconds, "s", min=0)
    if delivery.is_sent:
        is_open = delivery.seconds is None
        yield Metric("probes_pending", int(is_open and not delivery.is_awaited), min=0)
        yield Metric("probes_lost", int(is_open and delivery.is_awaited), min=0)


def _ages(session: Session, report: Report) -> Iterator[Metric]:
    """Yield the ages of the newest and the oldest message; 0 if their clock is ahead."""
    if session.dates is None:
        return
    yield Metric("dates", Observation(session, session.dates))
    for name, arrived in (("newest", session.dates.newest), ("oldest", session.dates.oldest)):
        if arrived is not None:
            yield Metric(f"{name}_age", max(0, int(report.clock - arrived)), "s", min=0)


def _of_address(session: Session) -> Iterator[Metric]:
    label = re.sub("[^a-z0-9]", "_", session.address.host.lower())
    if session.ended and session.began:
        taken = session.ended - session.began
        yield Metric(f"time_{label}", taken, "s", min=0, context="time_of_address")
    if session.chain.leaf:
        yield Metric(f"cert_days_{label}", Observation(session, session.chain), context="cert_days")
