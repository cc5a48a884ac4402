"""The default state of each kind of failure, and which kinds are retried.

The messages are made in `summary`.
"""

from functools import cache

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


_FINAL, _RETRIED = Policy(CRITICAL), Policy(CRITICAL, is_transient=True)

_GROUPS = (
    # Network and server trouble, a restart or overload: often gone after two seconds.
    (_RETRIED, "unresolved resolver refused unreachable timeout too-few closed tls"),
    (Policy(OK, is_transient=True), "partial goodbye"),
    # May come from one of several back ends behind the same name.
    (_RETRIED, "oversized greeting greeting-temporary"),
    (Policy(CRITICAL, WARNING, is_transient=True), "garbled"),
    (Policy(WARNING, is_transient=True), "expect"),
    # Certificates and server configuration. Where one of several back ends is misconfigured, a
    # retry that meets another one must not hide it.
    (_FINAL, "expired not-yet-valid name untrusted weak client-certificate pin issuer"),
    (_FINAL, "not-deployed long-lived no-stls no-capability no-mechanism cleartext-refused"),
    (_FINAL, "cleartext-accepted legacy-tls"),
    (Policy(CRITICAL, OK), "not-strict"),
    (Policy(CRITICAL, OK), "old-tls"),  # a note where --cert-type both finds one type only
    (Policy(WARNING), "certificate-unreadable"),
    # Signs of an attack, or of a vulnerability.
    (_FINAL, "injected injectable"),
    # A rejected login is never repeated: three of them lock an account. A login before the delay
    # has passed may restart the delay.
    (_FINAL, "credentials locked-out login-refused permanent"),
    (Policy(WARNING), "login-delay"),
    # Repeated only where the secret was not the reason (RFC 2449 section 8.1.1, RFC 3206 section
    # 4): `Session.may_log_in_again`.
    (_RETRIED, "backend"),
    (Policy(WARNING, is_transient=True), "in-use temporary"),
    # The mailbox could not be opened after a login that was accepted.
    (_RETRIED, "mailbox"),
    (Policy(WARNING), "no-message"),
    # The round trip. Another attempt would send another probe.
    (_FINAL, "submission undelivered"),
    (Policy(WARNING), "submission-temporary not-deleted"),
    # Thresholds. A mailbox does not empty itself, and each attempt is a login.
    (Policy(None, is_transient=True), "slow"),
    (Policy(None), "expiring messages size stale unfetched delayed"),
    # Local.
    (Policy(UNKNOWN), "config bug stopped"),
)
POLICIES = {Kind(name): policy for policy, names in _GROUPS for name in names.split()}
"""The policy of each kind; groups share one, because a record for each would cost every run."""

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
    return report.clock >= _released()


@cache
def _released() -> float:
    from datetime import datetime  # only certificates need it (about 1.5 ms)

    return datetime.fromisoformat(f"{RELEASED}T00:00+00:00").timestamp()
