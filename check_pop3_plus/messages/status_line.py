"""The sentences of the status line.

The reason comes first, then the place. A sentence about a failure begins with its phase.
"""

from collections.abc import Sequence

from check_pop3_plus.messages import certificates
from check_pop3_plus.messages.formats import count, date, named, span
from check_pop3_plus.model.failures import LOCAL, Failure, Kind, Phase
from check_pop3_plus.model.report import Chain, Note, Report, Session
from check_pop3_plus.model.sanitised_text import printable, sanitise
from check_pop3_plus.model.settings import Security, Settings, Verify

_ADDRESSES_SHOWN = 3


class StatusLine:
    """Sentences about one report."""

    def __init__(self, settings: Settings, report: Report) -> None:
        self._settings = settings
        self._report = report
        host = settings.target.hostname
        self._where = printable("[{}]:{}" if ":" in host else "{}:{}", host, settings.target.port)
        self._whose = f"certificate of {self._where}"

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
        return ", ".join(parts) + self.insecure()

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
        leaves = [session.chain.leaf for session in good if session.chain.leaf]
        dated = [(leaf.not_after, leaf) for leaf in leaves if leaf.not_after]
        parts = []
        if dated:
            first = min(dated, key=lambda pair: pair[0])[1]
            parts.append(certificates.validity(first, self._report.now))
        if self._settings.tls.verify is Verify.NONE:
            parts.append("not verified")
        elif self._settings.tls.verify is Verify.CHAIN:
            parts.append("name not verified")
        return parts

    def insecure(self) -> str:
        """Return a warning if a secret was sent without full verification, else nothing."""
        if not any(session.login_began for session in self._report.sessions):
            return ""
        if self._settings.tls.security is Security.PLAIN:
            return " (cleartext login)"
        return "" if self._settings.tls.verify is Verify.FULL else " (unverified TLS login)"

    # --- failures and notes -------------------------------------------------------------------

    def failure(self, failure: Failure, session: Session | None, kind: Kind) -> str:
        """Return a sentence about a failure; `kind` is the one that it was evaluated as."""
        if kind is Kind.STOPPED:
            doing = f" while in phase {failure.phase.value}" if failure.phase else ""
            return failure.message + doing
        if failure.kind in LOCAL:
            return f"{failure.kind.value}: {failure.message}"
        if kind is Kind.CONFIG:
            return self._implausible_clock()
        phase = f"{failure.phase.value}: " if failure.phase else ""
        return phase + self._predicate(failure, session)

    def _predicate(self, failure: Failure, session: Session | None) -> str:
        late = f" within {self._settings.limits.timeout:g} s" if failure.is_late else ""
        match failure.kind:
            case Kind.UNRESOLVED | Kind.RESOLVER:
                return failure.message + late
            case Kind.TIMEOUT:
                return f"{failure.message} from {self._where}{late}"
            case Kind.REFUSED:
                return f"connection refused by {self._where}"
            case Kind.UNREACHABLE:
                return f"{self._where} is unreachable: {failure.message}"
        if session and session.chain.leaf and failure.kind in certificates.REJECTIONS:
            name, now = self._settings.tls.name, self._report.now
            return certificates.rejection(failure, session.chain, name, self._whose, now)
        return f"{self._where} {failure.message}"

    def note(self, note: Note) -> str:
        return f"{self._where}: {note.text}"

    def greeting(self, session: Session) -> str:
        """Return that the greeting lacks an expected text."""
        shown = session.greeting_shown or "(an empty line)"
        wanted = sanitise(", ".join(self._settings.expect.texts), 60)
        return f"greeting: {self._where} does not say {wanted} but {shown}"

    def capabilities(self, offered: frozenset[tuple[str, str | None]]) -> str:
        """Return which required capabilities are missing."""
        missing = [
            tag if argument is None else f"{tag}={argument}"
            for tag, argument in self._settings.assertions.capabilities
            if (tag, argument) not in offered
        ]
        return f"capa: {self._where} does not offer {sanitise(', '.join(missing))}"

    # --- certificates -------------------------------------------------------------------------

    def chain(self, chain: Chain, kind: Kind, is_issuer: bool) -> str:
        """Return what is wrong with a certificate; `is_issuer`: not with the leaf."""
        leaf, wanted, whose = chain.leaf, self._settings.assertions, self._whose
        assert leaf is not None  # noqa: S101 - without one there are no metrics of a chain
        match kind:
            case Kind.CONFIG:
                return self._implausible_clock()
            case Kind.ISSUER:
                issuer = sanitise(wanted.issuer or "")
                return f"{whose} is from {named(leaf.issuer)}, not from {issuer}"
            case Kind.WEAK:
                wish = f"RSA {wanted.min_key_bits} or as strong"
                return f"key of the {whose} is too short: {named(leaf.key)}, not {wish}"
            case Kind.LONG_LIVED if leaf.not_before and leaf.not_after:
                lifetime = span(leaf.not_after - leaf.not_before)
                return f"{whose} was issued for {lifetime}, longer than {wanted.max_validity:g}"
            case Kind.NOT_DEPLOYED:
                return certificates.outdated(leaf, self._report.deployed, whose)
        issuer_facts = chain.first_issuer_to_end if is_issuer else None
        if issuer_facts:
            which = certificates.issuer(issuer_facts, whose)
            return certificates.dates(issuer_facts, which, kind, self._report.now)
        return certificates.dates(leaf, whose, kind, self._report.now)

    def _implausible_clock(self) -> str:
        now = date(self._report.now)
        return f"local clock is implausible ({now}), certificate dates are not evaluated"

    # --- numbers ------------------------------------------------------------------------------

    def too_few(self, good: int) -> str:
        """Return that too few addresses work."""
        tried, wanted = len(self._report.sessions), self._settings.target.min_addresses
        return f"{good} of {tried} addresses of {self._where} answered, {wanted} wanted"

    def number(self, name: str, value: float, crossed: str | None) -> str:
        """Return that a metric is outside its range `crossed`."""
        limit = f"(limit {crossed})"
        if name == "time":
            return f"{self._where} answered in {value:.3f} s {limit}{self._lost()}"
        if name == "time_failed":
            return f"addresses that failed took {value:.3f} s {limit}{self._lost()}"
        if name == "messages":
            return f"mailbox on {self._where} has {count(int(value), 'message')} {limit}"
        if name == "mailbox_size":
            return f"mailbox on {self._where} has {value} bytes {limit}"
        return f"{name.removeprefix('time_')}: {self._where} took {value:.3f} s {limit}"

    def _lost(self) -> str:
        """Return which addresses failed first, and what they cost."""
        report = self._report
        if Phase.FAILED not in report.seconds():
            return ""
        failed = [
            f"{each.address} {each.failure.kind.value}"
            for each in report.failed_before
            if each.failure
        ]
        more = f" and {len(failed) - 2} more" if len(failed) > 2 else ""
        lost = report.seconds()[Phase.FAILED]
        return f", {lost:.3f} s of it lost on {', '.join(failed[:2])}{more}"

    # --- addresses ----------------------------------------------------------------------------

    def at(self, sessions: Sequence[Session]) -> str:
        """Return the addresses of the sessions in parentheses, without the port.

        Nothing where the user gave the address itself.
        """
        shown = [
            f"[{each.address.host}]" if each.address.is_ipv6 else each.address.host
            for each in sessions
        ]
        if not shown or shown == [self._where.rpartition(":")[0]]:
            return ""
        left_out = len(shown) - _ADDRESSES_SHOWN
        more = f" and {left_out} more" if left_out > 0 else ""
        return f" ({', '.join(shown[:_ADDRESSES_SHOWN])}{more})"
