"""What each kind of failure counts as, and which may pass: the tables of policy, and the context
that knows them.

A Result's `hint` is the kind's stable name, or None where there is nothing to say; the words
are `summary`'s.
"""

from typing import TYPE_CHECKING

import nagiosplugin
from nagiosplugin import Metric, Resource, Result

from check_pop3_plus import RELEASED
from check_pop3_plus.model.failures import Kind
from check_pop3_plus.model.report import Report
from check_pop3_plus.model.settings import Settings, State

if TYPE_CHECKING:
    from datetime import datetime

FAILURE_STATES = {
    Kind.UNRESOLVED: State.CRITICAL,
    Kind.RESOLVER: State.CRITICAL,
    Kind.REFUSED: State.CRITICAL,
    Kind.UNREACHABLE: State.CRITICAL,
    Kind.TIMEOUT: State.CRITICAL,
    Kind.PARTIAL: State.OK,
    Kind.CLOSED: State.CRITICAL,
    Kind.GARBLED: State.CRITICAL,
    Kind.OVERSIZED: State.CRITICAL,
    Kind.GREETING: State.CRITICAL,
    Kind.GREETING_TEMPORARY: State.CRITICAL,
    Kind.EXPECT: State.WARNING,
    Kind.TLS: State.CRITICAL,
    Kind.OLD_TLS: State.CRITICAL,
    Kind.EXPIRED: State.CRITICAL,
    Kind.NOT_YET_VALID: State.CRITICAL,
    Kind.NAME: State.CRITICAL,
    Kind.UNTRUSTED: State.CRITICAL,
    Kind.WEAK: State.CRITICAL,
    Kind.NOT_STRICT: State.CRITICAL,
    Kind.CLIENT_CERTIFICATE: State.CRITICAL,
    Kind.NO_STLS: State.CRITICAL,
    Kind.INJECTED: State.CRITICAL,
    Kind.NO_CAPABILITY: State.CRITICAL,
    Kind.NO_MECHANISM: State.CRITICAL,
    Kind.CLEARTEXT_REFUSED: State.CRITICAL,
    Kind.CREDENTIALS: State.CRITICAL,
    Kind.IN_USE: State.WARNING,
    Kind.LOGIN_DELAY: State.WARNING,
    Kind.TEMPORARY: State.WARNING,
    Kind.PERMANENT: State.CRITICAL,
    Kind.MAILBOX: State.CRITICAL,
    Kind.GOODBYE: State.OK,
    Kind.CERTIFICATE_UNREADABLE: State.WARNING,
    Kind.CLEARTEXT_ACCEPTED: State.CRITICAL,
    Kind.INJECTABLE: State.CRITICAL,
    Kind.LEGACY_TLS: State.CRITICAL,
    Kind.PIN: State.CRITICAL,
    Kind.ISSUER: State.CRITICAL,
    Kind.NOT_DEPLOYED: State.CRITICAL,
    Kind.LONG_LIVED: State.CRITICAL,
    Kind.TOO_FEW: State.CRITICAL,
    Kind.CONFIG: State.UNKNOWN,
    Kind.BUG: State.UNKNOWN,
    Kind.STOPPED: State.UNKNOWN,
}
"""What a kind counts as when it ended the look (contract, section 4)."""

NOTE_STATES = FAILURE_STATES | {Kind.GARBLED: State.WARNING, Kind.NOT_STRICT: State.OK}
"""What a kind counts as when the look went on: `+ok` or lines nobody asked for; what only
`--x509-strict` would have refused."""

PASSING = frozenset(
    (
        # The network, a restart, too much to do at once: what a second look is made for.
        Kind.UNRESOLVED,
        Kind.RESOLVER,
        Kind.REFUSED,
        Kind.UNREACHABLE,
        Kind.TIMEOUT,
        Kind.PARTIAL,
        Kind.TOO_FEW,
        Kind.CLOSED,
        Kind.TLS,
        Kind.SLOW,
        Kind.GOODBYE,
        # What another back end behind the same name would not have said.
        Kind.GARBLED,
        Kind.OVERSIZED,
        Kind.GREETING,
        Kind.GREETING_TEMPORARY,
        Kind.EXPECT,
        # The password was right, says the server (RFC 2449 section 8.1.1, RFC 3206 section 4).
        Kind.IN_USE,
        Kind.TEMPORARY,
        Kind.MAILBOX,
    )
)
"""Kinds that may be gone two seconds later: worth another look before they are believed."""

LASTING = frozenset(
    (
        # Certificates, and what a server is set up to do. Where one of several back ends is set
        # up wrong, a look that meets another must not hide it.
        Kind.OLD_TLS,
        Kind.EXPIRED,
        Kind.NOT_YET_VALID,
        Kind.NAME,
        Kind.UNTRUSTED,
        Kind.WEAK,
        Kind.NOT_STRICT,
        Kind.CLIENT_CERTIFICATE,
        Kind.CERTIFICATE_UNREADABLE,
        Kind.EXPIRING,
        Kind.PIN,
        Kind.ISSUER,
        Kind.NOT_DEPLOYED,
        Kind.LONG_LIVED,
        Kind.NO_STLS,
        Kind.NO_CAPABILITY,
        Kind.NO_MECHANISM,
        Kind.CLEARTEXT_REFUSED,
        Kind.CLEARTEXT_ACCEPTED,
        Kind.LEGACY_TLS,
        # Signs of an attack, or of a hole for one.
        Kind.INJECTED,
        Kind.INJECTABLE,
        # A rejected login is never repeated: three of them lock an account. A login too soon
        # may begin the delay anew.
        Kind.CREDENTIALS,
        Kind.LOGIN_DELAY,
        Kind.PERMANENT,
        # A mailbox does not empty itself, and each look is a login.
        Kind.MESSAGES,
        Kind.SIZE,
        # Ours.
        Kind.CONFIG,
        Kind.BUG,
        Kind.STOPPED,
    )
)
"""Kinds that are believed at once."""

SAID_WITH_THE_RIGHT_PASSWORD = frozenset((Kind.IN_USE, Kind.TEMPORARY))
"""After these alone a login that was not accepted may be tried again in the next look. After
silence it may not: a server may take longer to reject a login than we wait (one takes 7 s)."""

ABOUT_DATES = (Kind.EXPIRED, Kind.NOT_YET_VALID)

_SERVICE_STATES = {
    State.OK: nagiosplugin.Ok,
    State.WARNING: nagiosplugin.Warn,
    State.CRITICAL: nagiosplugin.Critical,
    State.UNKNOWN: nagiosplugin.Unknown,
}


class KindContext(nagiosplugin.Context):
    """A context that knows what the user said kinds count as."""

    def __init__(self, name: str, settings: Settings) -> None:
        super().__init__(name)
        self.settings = settings

    def result(self, kind: Kind, metric: Metric, default: State | None = None) -> Result:
        state = self.settings.states.get(kind.value, default or FAILURE_STATES[kind])
        return Result(_SERVICE_STATES[state], kind.value, metric)

    def fine(self, metric: Metric) -> Result:
        return Result(nagiosplugin.Ok, None, metric)


def is_clock_plausible(now: "datetime") -> bool:
    """Return whether the local clock is not before the day this version was released."""
    from datetime import datetime, timezone

    return now >= datetime.fromisoformat(RELEASED).replace(tzinfo=timezone.utc)


def report_of(resource: Resource) -> Report:
    """Return what the resource has seen; it is asked only after its probe."""
    report: Report = resource.report  # type: ignore[attr-defined]
    return report
