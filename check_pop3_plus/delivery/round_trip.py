"""The round trip: judge the probe of an earlier run, then send one, and wait for it if need be.

The mailbox is the only state. A run that finds a recent probe of its own needs no waiting: the one
that it sends is judged by the next run. Otherwise it waits for its own, so that neither the first
run nor the one after a downtime raises an alarm.
"""

import time
from collections.abc import Iterator
from functools import partial

from check_pop3_plus.delivery import probe_message
from check_pop3_plus.delivery.mailbox import look_through
from check_pop3_plus.delivery.submission import submit
from check_pop3_plus.model.failures import Failure, Kind, Phase, ProbeError
from check_pop3_plus.model.report import DeliveryFacts, MailboxFacts, Report, Session, Timeline
from check_pop3_plus.model.sanitised_text import Printable, printable
from check_pop3_plus.model.settings import RoundTrip, Secret
from check_pop3_plus.net.smtp import Mail
from check_pop3_plus.pop3 import grammar
from check_pop3_plus.probe import addresses, password_source
from check_pop3_plus.probe.connection import Connection
from check_pop3_plus.probe.prerequisites import MailboxWork, Prerequisites
from check_pop3_plus.support.deadline import Clock, Deadline, pause

WAITS = (3.0, 8.0, 18.0, 38.0)
"""Seconds after the submission at which the mailbox is looked at: four logins at most."""

_LEAST_SESSION = 2.0
"""Seconds that a session needs, so that one is begun."""


class RoundTripWork(MailboxWork):
    def __init__(self, trip: RoundTrip, prerequisites: Prerequisites, end: Deadline) -> None:
        self._trip = trip
        self._prerequisites = prerequisites
        self.end = end
        self._keys: tuple[Secret, ...] = ()
        self._smtp_secret: Secret | None = None
        self._awaited: str | None = None

    def prepare(self, deadline: Deadline) -> None:
        """Read the keys, and the secret of the SMTP login. Raises ProbeError (config)."""
        self._keys = probe_message.read_keys(self._trip.key_file)
        known, secrets = self._prerequisites, list(self._keys)
        login = self._trip.smtp.login if self._trip.smtp else None
        own = known.settings.login
        if login and login.source.grant and own and own.source.grant:
            self._smtp_secret = known.secret
        elif login and login.source.grant:
            from check_pop3_plus.probe import oauth_token  # it loads HTTP

            self._smtp_secret, *others = oauth_token.fetch_token(login.source.grant, deadline)
            secrets += (self._smtp_secret, *others)
        elif login:
            self._smtp_secret = password_source.read(login.source, deadline)
            secrets.append(self._smtp_secret)
        known.masker.add([each.reveal() for each in secrets])

    def look_through(
        self, connection: Connection, mailbox: MailboxFacts, known: grammar.Capabilities | None
    ) -> None:
        """Find the probes in the mailbox, and delete all but the newest."""
        recognise = partial(probe_message.recognise, trip=self._trip, keys=self._keys)
        look_through(connection, mailbox, known, recognise, self._awaited, self.end)

    def complete(self, report: Report) -> Report:
        """Return the report of a session with the facts of the round trip: send, and wait."""
        session = next((each for each in report.evaluated if each.probes), None)
        if session is None or session.probes is None or session.failure or report.failure:
            return report
        facts = DeliveryFacts(report.clock, session.probes.newest)
        if self._trip.smtp is None or self._prerequisites.settings.target.all_addresses:
            return report.replace(delivery=facts.replace(is_judged=True))
        if any(note.kind is Kind.NOT_DELETED for note in session.notes):
            return report.replace(delivery=facts)
        probe, content = probe_message.compose(self._trip, self._keys[0], time.time())
        timeline = Timeline()
        mail = Mail(self._trip.smtp.sender, self._trip.recipient, content)
        failure: Failure | None = None
        try:
            with timeline.phase(Phase.SMTP):
                limit = self.end.within(self._prerequisites.settings.limits.timeout)
                secret, masker = self._smtp_secret, self._prerequisites.masker
                submit(self._trip.smtp, mail, secret, masker, limit)
        except ProbeError as error:
            failure = error.failure(Phase.SMTP)
        facts = facts.replace(smtp=timeline.laps[0], failure=failure, is_sent=failure is None)
        if failure is None:
            facts = self._wait(facts, session, probe.message_id)
        return report.replace(delivery=facts)

    def _wait(self, facts: DeliveryFacts, session: Session, message_id: str) -> DeliveryFacts:
        """Look for the probe of this run by fresh sessions, if the newest one is too old."""
        age = facts.age
        is_stale = age is None or age > self._trip.probe_age_warning
        longest = max(self._trip.wait, WAITS[-1] if is_stale else 0.0)
        facts = facts.replace(is_judged=True)
        if not longest:
            return facts
        sent, self._awaited = Clock(), message_id
        last_login = session.began or sent
        delay = _login_delay(session)
        note: Printable | None = None
        for at in _instants(longest):
            due = max(sent + at, last_login + delay)
            if due > sent + longest + delay or due + _LEAST_SESSION > self.end.at:
                why = "LOGIN-DELAY of the server" if delay > at else "--run-timeout"
                note = printable("not waited longer for the probe, because of {}", why)
                break
            pause(max(0.0, due - Clock()))
            last_login = Clock()
            deadline = self.end.within(self._prerequisites.settings.limits.timeout)
            later = addresses.probe_addresses(self._prerequisites, deadline)
            found = next((each for each in later.evaluated if each.probes), None)
            if found and found.probes and found.probes.has_awaited:
                old = "older than --probe-age-warning" if facts.newest else "not there"
                note = printable("waited for the one of this run: an earlier one was " + old)
                return facts.replace(
                    seconds=Clock() - sent, is_awaited=True, note=note if is_stale else None
                )
            if any(each.has_open_login for each in later.sessions):
                note = printable("not waited longer for the probe: a further login was refused")
                break
        return facts.replace(is_awaited=note is None, note=note)


def _instants(longest: float) -> Iterator[float]:
    earlier = [each for each in WAITS if each < longest]
    yield from earlier[: len(WAITS) - 1]
    yield longest


def _login_delay(session: Session) -> float:
    """Return the least seconds between two logins, by the capabilities (RFC 2449 section 6.5)."""
    delays = [
        int(argument)
        for tag, argument in session.offered or ()
        if tag == "LOGIN-DELAY" and argument and argument.isdigit()
    ]
    return float(max(delays, default=0))
