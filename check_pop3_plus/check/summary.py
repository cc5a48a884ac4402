"""Results to the one sentence of the status line.

State first, then the one thing to know, then where. The foreign text in it is clean already
(`Printable`); every sentence about a failure begins with the phase it happened in.
"""

from typing import TYPE_CHECKING

import nagiosplugin
from nagiosplugin import Metric, Result, Results

from check_pop3_plus.messages import certificates
from check_pop3_plus.messages.certificates import count, date
from check_pop3_plus.model.failures import LOCAL, Failure, Kind, Phase
from check_pop3_plus.model.report import Chain, Note, Observation, Report, Session
from check_pop3_plus.model.sanitised_text import Printable, sanitise
from check_pop3_plus.model.settings import Security, Settings, Verify

if TYPE_CHECKING:
    from datetime import datetime

_ABOUT_ADDRESSES = (Kind.REFUSED, Kind.UNREACHABLE, Kind.TIMEOUT)
"""Failures to connect: they name all addresses that were tried."""


class Summary(nagiosplugin.Summary):
    """Words the verdict; `report` is what the results were judged from."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        host = settings.target.hostname
        shown = f"[{host}]" if ":" in host else host
        self.where = Printable(f"{sanitise(shown)}:{settings.target.port}")
        self.whose = f"certificate of {self.where}"
        self.report: Report | None = None

    def ok(self, results: Results) -> str:
        """Say that all is well, how fast, how secure, and how long the certificate lasts."""
        for result in results.results:
            fact = _fact(result)
            # That enough other addresses work is success; that the user calls a failure OK is
            # not, and must not look like it.
            if isinstance(fact, Failure) and result.hint == fact.kind.value:
                return f"{self.sentence(result)} ({result.hint} counts as OK)"
        report = self.report
        if report is None or report.elapsed is None:
            return f"{self.where} was not looked at"
        good = [session for session in report.evaluated if session.failure is None]
        parts = [f"{self.where} answered in {report.elapsed:.3f} s{self._on_how_many(good)}"]
        versions = {session.tls.version for session in good if session.tls}
        if versions:
            parts.append(" and ".join(sorted(str(version) for version in versions)))
            parts += self._certificate(good, report)
        for session in good:
            if session.logged_in_as is not None:
                parts.append(f"user {session.logged_in_as} logged in")
            if session.mailbox:
                parts.append(count(session.mailbox.messages, "message"))
        return ", ".join(parts) + self._insecure()

    def problem(self, results: Results) -> str:
        """Say the worst finding first, and the others behind it."""
        findings = [result for result in results.results if result.state != nagiosplugin.Ok]
        said: dict[str, list[Session]] = {}
        for result in findings:
            sessions = said.setdefault(self.sentence(result), [])
            sessions += self._concerned(result)
        first, *others = (sentence + self._at(sessions) for sentence, sessions in said.items())
        return first + self._insecure() + "".join(f"; {other}" for other in others)

    def sentence(self, result: Result) -> str:
        """Return one finding in words."""
        assert result.metric is not None  # noqa: S101 - our contexts always give it
        match _fact(result):
            case Failure() as failure:
                return self._failure(failure, result.metric.value.session, Kind(result.hint))
            case Note() as note:
                return f"{self.where}: {note.text}"
            case Chain() as chain:
                return self._about_chain(chain, result.metric.name, Kind(result.hint))
            case bytes():
                said = result.metric.value.session.greeting_shown or "(an empty line)"
                wanted = sanitise(", ".join(self.settings.expect.texts), 60)
                return f"greeting: {self.where} does not say {wanted} but {said}"
            case frozenset() as offered:
                missing = [
                    tag if argument is None else f"{tag}={argument}"
                    for tag, argument in self.settings.assertions.capabilities
                    if (tag, argument) not in offered
                ]
                return f"capa: {self.where} does not offer {sanitise(', '.join(missing))}"
            case _:
                return self._number(result, result.metric)

    # --- failures -------------------------------------------------------------------------

    def _failure(self, failure: Failure, session: Session | None, kind: Kind) -> str:
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
        limit = f"within {self.settings.limits.timeout:g} s"
        match failure.kind:
            case Kind.UNRESOLVED:
                return failure.message
            case Kind.RESOLVER:
                late = failure.message.startswith("no answer")
                return f"{failure.message} {limit}" if late else failure.message
            case Kind.TIMEOUT:
                return f"{failure.message.removesuffix(' in time')} from {self.where} {limit}"
            case Kind.REFUSED:
                return f"connection refused by {self.where}"
            case Kind.UNREACHABLE:
                return f"{self.where} is unreachable: {failure.message}"
            case _:
                if session and session.chain.leaf and failure.kind in certificates.REJECTIONS:
                    name = self.settings.tls.name
                    chain, now = session.chain, self._now()
                    return certificates.rejection(failure, chain, name, self.whose, now)
                return f"{self.where} {failure.message}"

    def _implausible_clock(self) -> str:
        return f"local clock is implausible ({date(self._now())}), certificate dates are not judged"

    # --- certificates ---------------------------------------------------------------------

    def _about_chain(self, chain: Chain, evaluated: str, kind: Kind) -> str:
        leaf, now, wanted = chain.leaf, self._now(), self.settings.assertions
        assert leaf is not None and self.report is not None  # noqa: S101, PT018 - it was judged
        match kind:
            case Kind.CONFIG:
                return self._implausible_clock()
            case Kind.ISSUER:
                found = certificates.named(leaf.issuer)
                return f"{self.whose} is from {found}, not from {sanitise(wanted.issuer or '')}"
            case Kind.WEAK:
                wish = f"RSA {wanted.min_key_bits} or as strong"
                key = certificates.named(leaf.key)
                return f"key of the {self.whose} is too short: {key}, not {wish}"
            case Kind.LONG_LIVED if leaf.not_before and leaf.not_after:
                lifetime = certificates.span(leaf.not_after - leaf.not_before)
                return (
                    f"{self.whose} was issued for {lifetime}, longer than {wanted.max_validity:g}"
                )
            case Kind.NOT_DEPLOYED:
                return certificates.outdated(leaf, self.report.deployed, self.whose)
        issuer = chain.first_issuer_to_end
        if evaluated == "chain" and issuer:
            which = certificates.issuer(issuer, self.whose)
            return certificates.dates(issuer, which, kind, now)
        return certificates.dates(leaf, self.whose, kind, now)

    def _certificate(self, good: list[Session], report: Report) -> list[str]:
        """Say how long the certificate lasts; of several addresses the one that ends first."""
        leaves = [session.chain.leaf for session in good if session.chain.leaf]
        dated = [(leaf.not_after, leaf) for leaf in leaves if leaf.not_after]
        parts = []
        if dated:
            first = min(dated, key=lambda pair: pair[0])[1]
            parts.append(certificates.validity(first, report.now))
        if self.settings.tls.verify is Verify.NONE:
            parts.append("not verified")
        elif self.settings.tls.verify is Verify.CHAIN:
            parts.append("name not verified")
        return parts

    # --- the rest -------------------------------------------------------------------------

    def _number(self, result: Result, metric: Metric) -> str:
        name, value = metric.name, metric.value
        if name == "addresses":
            of = len(self.report.sessions) if self.report else 0
            wanted = self.settings.target.min_addresses
            return f"{value} of {of} addresses of {self.where} answered, {wanted} wanted"
        ranges = result.context.ranges  # type: ignore[union-attr]
        is_critical = result.state == nagiosplugin.Critical
        limit = f"(limit {ranges.critical if is_critical else ranges.warning or ranges.critical})"
        if name == "time":
            return f"{self.where} answered in {value:.3f} s {limit}"
        if name == "messages":
            return f"mailbox on {self.where} has {count(value, 'message')} {limit}"
        if name == "mailbox_size":
            return f"mailbox on {self.where} has {value} octets {limit}"
        return f"{name.removeprefix('time_')}: {self.where} took {value:.3f} s {limit}"

    def _insecure(self) -> str:
        """Return the words for a secret that was sent without full verification."""
        report = self.report
        if not report or not any(session.login_began for session in report.sessions):
            return ""
        if self.settings.tls.security is Security.PLAIN:
            return " (cleartext login)"
        return "" if self.settings.tls.verify is Verify.FULL else " (unverified TLS login)"

    def _on_how_many(self, good: list[Session]) -> str:
        """Say of how many addresses an OK speaks, where that is not plain."""
        sessions = self.report.sessions if self.report else ()
        if not self.settings.target.all_addresses:
            failed = len(sessions) - 1
            return f" ({failed} of {len(sessions)} addresses failed)" if failed else ""
        if len(good) < len(sessions):
            return f" on {len(good)} of {len(sessions)} addresses"
        return f" on {len(good)} addresses" if len(good) > 1 else " on its only address"

    def _concerned(self, result: Result) -> list[Session]:
        """Return the attempts whose addresses stand behind a sentence."""
        fact = _fact(result)
        if fact is None or self.report is None or result.metric is None:
            return []
        session = result.metric.value.session
        if self.settings.target.all_addresses:
            return [session] if session else []
        if isinstance(fact, Failure) and fact.phase is Phase.CONNECT:
            return list(self.report.sessions) if fact.kind in _ABOUT_ADDRESSES else []
        return []

    def _at(self, sessions: list[Session]) -> str:
        """Return the addresses, without the port that stands in the sentence already."""
        shown = [
            f"[{each.address.host}]" if each.address.is_ipv6 else each.address.host
            for each in sessions
        ]
        if not shown or shown == [self.where.rpartition(":")[0]]:
            return ""
        more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
        return f" ({', '.join(shown[:3])}{more})"

    def _now(self) -> "datetime":
        assert self.report is not None  # noqa: S101 - there is something to say of it
        return self.report.now


def _fact(result: Result) -> object:
    """Return the fact that a result is about, or None where it is a number."""
    value = result.metric.value if result.metric else None
    return value.fact if isinstance(value, Observation) else None
