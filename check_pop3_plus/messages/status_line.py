"""The sentences of the status line.

The reason comes first; the place is added once, behind all sentences.
"""

from collections.abc import Sequence

from check_pop3_plus.messages import certificates
from check_pop3_plus.messages.formats import age, count, date, listed, seconds
from check_pop3_plus.model.failures import LOCAL, Failure, Kind, Phase
from check_pop3_plus.model.report import (
    Chain,
    DeliveryFacts,
    MessageDates,
    Report,
    Session,
    first_to_end,
)
from check_pop3_plus.model.sanitised_text import printable, sanitise
from check_pop3_plus.model.settings import Security, Settings, Verify

_ADDRESSES_SHOWN = 3

_PLACE_LIMIT = 120
"""Characters of the place. It is never cut, so addresses are left out of a longer one."""

_AWAITED = {Phase.CONNECT: "connection", Phase.GREETING: "greeting"}
"""What is missing where a server is silent, if not an answer."""

_DURING = {
    Phase.RESOLVE: "the name lookup",
    Phase.CONNECT: "the connection attempt",
    Phase.TLS: "the TLS handshake",
    Phase.GREETING: "the greeting",
    Phase.LOGIN: "the login",
}
"""The phases in words; the others are named by their command."""

_IN_ANY_PHASE = (Kind.CLOSED, Kind.GARBLED, Kind.OVERSIZED)
"""Kinds whose reason does not imply the phase."""


class StatusLine:
    """Sentences about one report."""

    def __init__(self, settings: Settings, report: Report) -> None:
        self._settings = settings
        self._report = report
        host = settings.target.hostname
        self._where = printable("[{}]:{}" if ":" in host else "{}:{}", host, settings.target.port)

    # --- success ------------------------------------------------------------------------------

    def success(self, good: Sequence[Session]) -> str:
        """Return the response time, the security, the certificate's lifetime and the login."""
        report = self._report
        if report.elapsed is None:
            return f"{self._where} was not checked"
        parts = [f"{self._where} answered in {report.elapsed:.3f} s{self._addresses_used(good)}"]
        versions = {session.tls.version for session in good if session.tls}
        if versions:
            parts.append(" and ".join(sorted(str(version) for version in versions)))
            parts += self._certificate(good)
        for session in good:
            if session.logged_in_as is not None:
                parts.append(f"user {session.logged_in_as} logged in")
            if session.mailbox:
                parts.append(count(session.mailbox.messages, "message"))
            if session.dates and session.dates.newest is not None:
                parts.append(f"newest {age(max(0, int(report.clock - session.dates.newest)))} old")
        if report.delivery and report.delivery.seconds is not None:
            parts.append(f"probe delivered in {report.delivery.seconds:.1f} s")
        elif report.delivery and report.delivery.age is not None:
            parts.append(f"probe of {age(int(report.delivery.age))} ago delivered")
        return ", ".join(parts)

    def _addresses_used(self, good: Sequence[Session]) -> str:
        """Return which addresses an OK is about, unless it is the only one that was tried."""
        tried = len(self._report.sessions)
        if not self._settings.target.all_addresses:
            return f" ({tried - 1} of {tried} addresses failed)" if tried > 1 else ""
        if len(good) < tried:
            return f" on {len(good)} of {tried} addresses"
        return f" on {len(good)} addresses" if len(good) > 1 else ""

    def _certificate(self, good: Sequence[Session]) -> list[str]:
        """Return how long the certificate is valid; of several the one that expires first."""
        handshakes = [each for session in good for each in (session, *session.of_other_types)]
        leaf = first_to_end([each.chain.leaf for each in handshakes], lambda each: each)
        parts = [certificates.validity(leaf, self._report.now)] if leaf else []
        if self._settings.tls.verify is Verify.NONE:
            parts.append("not verified")
        elif self._settings.tls.verify is Verify.CHAIN:
            parts.append("name not verified")
        return parts

    def remarks(self) -> tuple[str, ...]:
        """Return a warning if a secret was sent without full verification, else nothing."""
        if not any(session.login_began for session in self._report.sessions):
            return ()
        if self._settings.tls.security is Security.PLAIN:
            return ("cleartext login",)
        return () if self._settings.tls.verify is Verify.FULL else ("unverified TLS login",)

    # --- failures and notes -------------------------------------------------------------------

    def failure(self, failure: Failure, session: Session | None, kind: Kind) -> str:
        """Return a sentence about a failure; `kind` is the one that it was evaluated as."""
        if kind is Kind.STOPPED:
            return failure.message + _during(failure)
        if failure.kind in LOCAL:
            return f"{failure.kind.value}: {failure.message}"
        if kind is Kind.CONFIG:
            return self._implausible_clock("certificate dates")
        late = f" within {self._settings.limits.timeout:g} s" if failure.is_late else ""
        match failure.kind:
            case Kind.TIMEOUT if failure.phase in _AWAITED:
                # "no answer" or "no complete answer"
                missing = failure.message.removesuffix("answer") + _AWAITED[failure.phase]
                return missing + (late or ": connection timed out")
            case Kind.TIMEOUT:
                return failure.message + late + _during(failure)
            case Kind.UNRESOLVED | Kind.RESOLVER | Kind.REFUSED:
                return failure.message + late
            case Kind.UNREACHABLE:
                return f"host unreachable: {failure.message}"
        if failure.is_sentence or failure.phase is Phase.SMTP:
            return failure.message
        if session and session.chain.leaf and failure.kind in certificates.REJECTIONS:
            name, now = self._settings.tls.name, self._report.now
            return certificates.rejection(failure, session.chain, name, now)
        what, colon, quote = failure.message.partition(": ")
        return f"server {what}{_phase_unless_implied(failure, what)}{colon}{quote}"

    def undelivered(self, delivery: DeliveryFacts) -> str:
        if delivery.age is None:
            return "probe has not arrived" if delivery.is_awaited else "no probe has arrived"
        newest = age(int(delivery.age))
        if delivery.is_awaited:
            return f"probe has not arrived, the newest in the mailbox is {newest} old"
        return f"newest probe in the mailbox is {newest} old"

    def greeting(self, session: Session) -> str:
        shown = session.greeting_shown or "(an empty line)"
        missing = self._settings.expect.missing_in(session.greeting or b"")
        return f"greeting does not contain {sanitise(', '.join(missing), 60)}: {shown}"

    def capabilities(self, offered: frozenset[tuple[str, str | None]]) -> str:
        missing = [
            tag if argument is None else f"{tag}={argument}"
            for tag, argument in self._settings.assertions.capabilities
            if (tag, argument) not in offered
        ]
        return f"capabilities lack {sanitise(', '.join(missing))}"

    # --- certificates -------------------------------------------------------------------------

    def chain(self, chain: Chain, kind: Kind, is_issuer: bool) -> str:
        """Return what is wrong with the dates of the leaf, or of an issuer if `is_issuer`."""
        leaf = chain.leaf
        assert leaf is not None  # noqa: S101 - without one there are no metrics of a chain
        if kind is Kind.CONFIG:
            return self._implausible_clock("certificate dates")
        if kind is Kind.CERTIFICATE_UNREADABLE:
            return certificates.unreadable(chain)
        issuer_facts = chain.first_issuer_to_end if is_issuer else None
        if issuer_facts:
            which = certificates.issuer(issuer_facts, chain)
            return certificates.dates(issuer_facts, which, kind, self._report.now)
        return certificates.dates(leaf, "certificate", kind, self._report.now)

    def _implausible_clock(self, what: str) -> str:
        now = date(self._report.now)
        return f"local clock is implausible ({now}), {what} are not evaluated"

    def dates(self, dates: MessageDates, kind: Kind) -> str:
        if kind is Kind.CONFIG:
            return self._implausible_clock("ages of messages")
        if not dates.read:
            return "mailbox is empty: there is no newest message"
        return f"no usable date in the headers of {count(dates.read, 'message')}"

    # --- numbers ------------------------------------------------------------------------------

    def too_few(self, good: int) -> str:
        tried, wanted = len(self._report.sessions), self._settings.target.min_addresses
        return f"{good} of {tried} addresses answered (limit {wanted})"

    def number(self, name: str, value: float, crossed: str | None) -> str:
        """Return that a metric is outside its range `crossed`."""
        match name:
            case "time":
                return f"answered in {seconds(value)} (limit {crossed} s){self._lost()}"
            case "time_failed":
                return (
                    f"addresses that failed took {seconds(value)} (limit {crossed} s){self._lost()}"
                )
            case "messages":
                return f"mailbox has {count(int(value), 'message')} (limit {crossed})"
            case "mailbox_size":
                return f"mailbox has {value} bytes (limit {crossed})"
            case "delivery":
                return f"probe took {value:.1f} s to arrive (limit {crossed} s)"
            case "newest_age" | "oldest_age":
                limit = age(int(crossed)) if crossed and crossed.isdigit() else f"{crossed} s"
                which = name.removesuffix("_age")
                return f"{which} message is {age(int(value))} old (limit {limit})"
        return f"{name.removeprefix('time_')} took {seconds(value)} (limit {crossed} s)"

    def _lost(self) -> str:
        """Return which addresses failed first, and what they cost."""
        lost = self._report.seconds().get(Phase.FAILED)
        if lost is None:
            return ""
        sessions = self._report.failed_before
        failed = [f"{each.address} {each.failure.kind.value}" for each in sessions if each.failure]
        return f", {seconds(lost)} of it lost on {listed(failed, 2)}"

    def at(self, sessions: Sequence[Session]) -> str:
        """Return the addresses that have a finding, which others do not have."""
        shown = listed(list(_hosts(sessions)), 2)
        return f" at {shown}" if shown else ""

    # --- the place ----------------------------------------------------------------------------

    def place(self, sessions: Sequence[Session]) -> str:
        """Return host, port and the addresses of the sessions."""
        hosts = _hosts(sessions)
        hosts.pop(self._where.rpartition(":")[0], None)  # an address that the user gave
        for number in range(min(len(hosts), _ADDRESSES_SHOWN), 0, -1):
            place = f"{self._where}: {listed(list(hosts), number)}"
            if len(place) <= _PLACE_LIMIT:
                return place
        return self._where


def _hosts(sessions: Sequence[Session]) -> dict[str, None]:
    """Return the addresses without their port, each once."""
    addresses = (each.address for each in sessions)
    return dict.fromkeys(f"[{each.host}]" if each.is_ipv6 else each.host for each in addresses)


def _during(failure: Failure) -> str:
    phase = failure.phase
    return f" during {_DURING.get(phase, phase.name)}" if phase else ""


def _phase_unless_implied(failure: Failure, what: str) -> str:
    """Return the phase in words, unless the reason `what` implies it."""
    phase = failure.phase
    is_broken_tls = failure.kind is Kind.TLS and phase is not Phase.TLS
    is_implied = (phase and phase.value in what) or "after the greeting" in what
    if is_implied or not (failure.kind in _IN_ANY_PHASE or is_broken_tls):
        return ""
    return "" if what.startswith("is not POP3") else _during(failure)
