"""The default state of each kind of failure, and which kinds are retried.

The messages are made in `summary`.
"""

import nagiosplugin

from check_pop3_plus import RELEASED
from check_pop3_plus.model.failures import Kind
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.report import Report
from check_pop3_plus.model.settings import State

OK, WARNING, CRITICAL, UNKNOWN = State.OK, State.WARNING, State.CRITICAL, State.UNKNOWN


class Policy(Record):
    """How one kind of failure is evaluated."""

    state: State | None
    """Where it ended the attempt (contract, section 4); None where a threshold gives the state."""
    note_state: State | None = None
    """Where the attempt continued; None means the same state."""
    is_transient: bool = False
    """Whether it may be gone two seconds later, so that the attempt is repeated."""


POLICIES = {
    # Network and server trouble, a restart or overload: often gone after two seconds.
    Kind.UNRESOLVED: Policy(CRITICAL, is_transient=True),
    Kind.RESOLVER: Policy(CRITICAL, is_transient=True),
    Kind.REFUSED: Policy(CRITICAL, is_transient=True),
    Kind.UNREACHABLE: Policy(CRITICAL, is_transient=True),
    Kind.TIMEOUT: Policy(CRITICAL, is_transient=True),
    Kind.PARTIAL: Policy(OK, is_transient=True),
    Kind.TOO_FEW: Policy(CRITICAL, is_transient=True),
    Kind.CLOSED: Policy(CRITICAL, is_transient=True),
    Kind.TLS: Policy(CRITICAL, is_transient=True),
    Kind.GOODBYE: Policy(OK, is_transient=True),
    # May come from one of several back ends behind the same name.
    Kind.GARBLED: Policy(CRITICAL, WARNING, is_transient=True),
    Kind.OVERSIZED: Policy(CRITICAL, is_transient=True),
    Kind.GREETING: Policy(CRITICAL, is_transient=True),
    Kind.GREETING_TEMPORARY: Policy(CRITICAL, is_transient=True),
    Kind.EXPECT: Policy(WARNING, is_transient=True),
    # Certificates and server configuration. Where one of several back ends is misconfigured, a
    # retry that meets another one must not hide it.
    Kind.OLD_TLS: Policy(CRITICAL, OK),  # a note where --cert-type both finds one type only
    Kind.EXPIRED: Policy(CRITICAL),
    Kind.NOT_YET_VALID: Policy(CRITICAL),
    Kind.NAME: Policy(CRITICAL),
    Kind.UNTRUSTED: Policy(CRITICAL),
    Kind.WEAK: Policy(CRITICAL),
    Kind.NOT_STRICT: Policy(CRITICAL, OK),
    Kind.CLIENT_CERTIFICATE: Policy(CRITICAL),
    Kind.CERTIFICATE_UNREADABLE: Policy(WARNING),
    Kind.PIN: Policy(CRITICAL),
    Kind.ISSUER: Policy(CRITICAL),
    Kind.NOT_DEPLOYED: Policy(CRITICAL),
    Kind.LONG_LIVED: Policy(CRITICAL),
    Kind.NO_STLS: Policy(CRITICAL),
    Kind.NO_CAPABILITY: Policy(CRITICAL),
    Kind.NO_MECHANISM: Policy(CRITICAL),
    Kind.CLEARTEXT_REFUSED: Policy(CRITICAL),
    Kind.CLEARTEXT_ACCEPTED: Policy(CRITICAL),
    Kind.LEGACY_TLS: Policy(CRITICAL),
    # Signs of an attack, or of a vulnerability.
    Kind.INJECTED: Policy(CRITICAL),
    Kind.INJECTABLE: Policy(CRITICAL),
    # A rejected login is never repeated: three of them lock an account. A login before the delay
    # has passed may restart the delay.
    Kind.CREDENTIALS: Policy(CRITICAL),
    Kind.LOCKED_OUT: Policy(CRITICAL),
    Kind.LOGIN_REFUSED: Policy(CRITICAL),
    Kind.LOGIN_DELAY: Policy(WARNING),
    Kind.PERMANENT: Policy(CRITICAL),
    # Repeated only where the secret was not the reason (RFC 2449 section 8.1.1, RFC 3206 section
    # 4): `Session.may_log_in_again`.
    Kind.BACKEND: Policy(CRITICAL, is_transient=True),
    Kind.IN_USE: Policy(WARNING, is_transient=True),
    Kind.TEMPORARY: Policy(WARNING, is_transient=True),
    # The mailbox could not be opened after a login that was accepted.
    Kind.MAILBOX: Policy(CRITICAL, is_transient=True),
    Kind.NO_MESSAGE: Policy(WARNING),
    # The round trip. Another attempt would send another probe.
    Kind.SUBMISSION: Policy(CRITICAL),
    Kind.SUBMISSION_TEMPORARY: Policy(WARNING),
    Kind.UNDELIVERED: Policy(CRITICAL),
    Kind.NOT_DELETED: Policy(WARNING),
    # Thresholds. A mailbox does not empty itself, and each attempt is a login.
    Kind.SLOW: Policy(None, is_transient=True),
    Kind.EXPIRING: Policy(None),
    Kind.MESSAGES: Policy(None),
    Kind.SIZE: Policy(None),
    Kind.STALE: Policy(None),
    Kind.UNFETCHED: Policy(None),
    Kind.DELAYED: Policy(None),
    # Local.
    Kind.CONFIG: Policy(UNKNOWN),
    Kind.BUG: Policy(UNKNOWN),
    Kind.STOPPED: Policy(UNKNOWN),
}
"""A row for each kind."""

ABOUT_DATES = (Kind.EXPIRED, Kind.NOT_YET_VALID)

SERVICE_STATES = {
    State.OK: nagiosplugin.Ok,
    State.WARNING: nagiosplugin.Warn,
    State.CRITICAL: nagiosplugin.Critical,
    State.UNKNOWN: nagiosplugin.Unknown,
}

Finding = tuple[Kind, State | None]
"""What is wrong with a fact, and its state where a threshold or the table of notes gives it."""


def has_plausible_clock(report: Report) -> bool:
    """Return whether the local clock is not before the day this version was released."""
    return report.now.isoformat() >= RELEASED
