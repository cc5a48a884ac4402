"""Results to the one sentence of the status line.

State first, then the one thing to know, then where. The foreign text in it is clean already
(`Printable`); every sentence about a failure begins with the phase it happened in.
"""

from datetime import datetime, timedelta

import nagiosplugin
from nagiosplugin import Metric, Result, Results

from check_pop3_plus.failures import OURS, Failure, Kind, Phase
from check_pop3_plus.report import Attempt, CertificateFacts, Note, Report
from check_pop3_plus.settings import Security, Settings, Verify
from check_pop3_plus.text import Printable, clean
from check_pop3_plus.timing import days


class Summary(nagiosplugin.Summary):
    """Words the verdict; `report` is what the results were judged from."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        host = settings.target.hostname
        shown = f"[{host}]" if ":" in host else host
        self.where = Printable(f"{clean(shown)}:{settings.target.port}")
        self.report: Report | None = None

    def ok(self, results: Results) -> str:
        """Say that all is well, how fast, how secure, and how long the certificate lasts."""
        for result in results.results:
            if result.metric and isinstance(result.metric.value, Failure):
                # The user said so; it must not look like success all the same.
                return f"{self.sentence(result)} ({result.hint} counts as OK)"
        report = self.report
        if report is None or report.elapsed is None:
            return f"{self.where} was not looked at"
        attempt = report.attempts[-1]
        parts = [f"{self.where} answered in {report.elapsed:.3f} s"]
        if attempt.tls:
            parts.append(str(attempt.tls.version))
            parts += self._certificate(attempt, report.now)
        if attempt.logged_in_as is not None:
            parts.append(f"user {attempt.logged_in_as} logged in")
        if attempt.mailbox:
            parts.append(_count(attempt.mailbox.messages, "message"))
        failed = sum(1 for each in report.attempts if each.failure)
        if failed:
            parts.append(f"{failed} of {len(report.attempts)} addresses failed")
        return ", ".join(parts) + self._insecure()

    def problem(self, results: Results) -> str:
        """Say the worst finding first, and the others behind it."""
        findings = [result for result in results.results if result.state != nagiosplugin.Ok]
        first, *others = findings
        also = "".join(f"; {self.sentence(other)}" for other in others)
        return self.sentence(first) + self._insecure() + also

    def sentence(self, result: Result) -> str:
        """Return one finding in words."""
        assert result.metric is not None  # noqa: S101 - our contexts always give it
        value = result.metric.value
        if isinstance(value, Failure):
            return self._failure(value, Kind(result.hint))
        if isinstance(value, Note):
            return f"{self.where}: {value.text}"
        if isinstance(value, CertificateFacts):
            return self._dates(value, Kind(result.hint))
        if isinstance(value, bytes):
            said = self.report.attempts[-1].greeting_shown if self.report else ""
            return f"greeting: {self.where} does not say what is expected: {said}"
        if isinstance(value, frozenset):
            required = self.settings.assertions.capabilities
            missing = [
                tag if argument is None else f"{tag}={argument}"
                for tag, argument in required
                if (tag, argument) not in value
            ]
            return f"capa: {self.where} does not offer {clean(', '.join(missing))}"
        return self._number(result, result.metric)

    # --- failures -------------------------------------------------------------------------

    def _failure(self, failure: Failure, kind: Kind) -> str:
        if kind is Kind.STOPPED:
            doing = f" while in phase {failure.phase.value}" if failure.phase else ""
            return failure.message + doing
        if failure.kind in OURS:
            return f"{failure.kind.value}: {failure.message}"
        if kind is Kind.CONFIG:
            return self._implausible_clock()
        phase = f"{failure.phase.value}: " if failure.phase else ""
        return phase + self._predicate(failure)

    def _predicate(self, failure: Failure) -> str:
        kind = failure.kind
        limit = f"within {self.settings.limits.timeout:g} s"
        if kind is Kind.UNRESOLVED:
            return failure.message
        if kind is Kind.RESOLVER:
            late = failure.message.startswith("no answer")
            return f"{failure.message} {limit}" if late else failure.message
        if kind is Kind.TIMEOUT:
            where = self._addresses() if failure.phase is Phase.CONNECT else ""
            what = failure.message.removesuffix(" in time")
            return f"{what} from {self.where} {limit}{where}"
        if kind is Kind.REFUSED:
            return f"connection refused by {self.where}{self._addresses()}"
        if kind is Kind.UNREACHABLE:
            return f"{self.where} is unreachable: {failure.message}{self._addresses()}"
        leaf = self._leaf()
        if leaf and kind in (Kind.EXPIRED, Kind.NOT_YET_VALID):
            return self._dates(leaf, kind)
        if leaf and kind in (Kind.NAME, Kind.UNTRUSTED, Kind.WEAK):
            return f"certificate of {self.where} {self._rejected(failure, leaf)}"
        return f"{self.where} {failure.message}"

    def _rejected(self, failure: Failure, leaf: CertificateFacts) -> str:
        if failure.kind is Kind.NAME:
            if not leaf.names:
                return "has no subject alternative name (mail clients refuse it)"
            more = leaf.names_left_out
            names = ", ".join(leaf.names) + (f" and {more} more" if more else "")
            # A long list must not push out the name that was wanted.
            return f"is not for {clean(self.settings.tls.name, 60)} but for {clean(names, 80)}"
        if failure.kind is Kind.WEAK:
            chain = self.report.attempts[-1].certificates if self.report else ()
            weakness = next((facts.weakness for facts in chain if facts.weakness), None)
            return f"is too weak: {weakness or failure.message}"
        sent = len(self.report.attempts[-1].certificates) if self.report else 0
        if failure.message == "issuer is not trusted":
            missing = " (intermediate missing?)" if sent == 1 else ""
            served = _count(sent, "certificate")
            return f"is not trusted: unknown issuer; server sent {served}{missing}"
        return f"is not trusted: {failure.message.removeprefix('certificate is ')}"

    def _dates(self, leaf: CertificateFacts, kind: Kind) -> str:
        now = self.report.now if self.report else None
        whose = f"certificate of {self.where}"
        if kind is Kind.CONFIG:
            return self._implausible_clock()
        if kind is Kind.CERTIFICATE_UNREADABLE or not leaf.not_after or not now:
            return f"details of the {whose} are unreadable"
        if kind is Kind.NOT_YET_VALID and leaf.not_before and leaf.not_before > now:
            until = _span(leaf.not_before - now)
            return f"{whose} is not valid before {_date(leaf.not_before)}, in {until}"
        if leaf.not_after <= now:
            return f"{whose} expired {_span(now - leaf.not_after)} ago ({_date(leaf.not_after)})"
        if kind is Kind.EXPIRING:
            return f"{whose} expires in {_span(leaf.not_after - now)} ({_date(leaf.not_after)})"
        return f"{whose} is fine, but one of an issuer in the chain {_WRONG_DATE[kind]}"

    def _implausible_clock(self) -> str:
        now = _date(self.report.now) if self.report else "unknown"
        return f"local clock is implausible ({now}), certificate dates are not judged"

    # --- the rest -------------------------------------------------------------------------

    def _number(self, result: Result, metric: Metric) -> str:
        name, value = metric.name, metric.value
        ranges = result.context.ranges  # type: ignore[union-attr]
        is_critical = result.state == nagiosplugin.Critical
        limit = f"(limit {ranges.critical if is_critical else ranges.warning or ranges.critical})"
        if name == "time":
            return f"{self.where} answered in {value:.3f} s {limit}"
        if name == "messages":
            return f"mailbox on {self.where} has {_count(value, 'message')} {limit}"
        if name == "mailbox_size":
            return f"mailbox on {self.where} has {value} octets {limit}"
        return f"{name.removeprefix('time_')}: {self.where} took {value:.3f} s {limit}"

    def _certificate(self, attempt: Attempt, now: datetime) -> list[str]:
        parts = []
        leaf = attempt.certificates[0] if attempt.certificates else None
        if leaf and leaf.not_after:
            left = leaf.not_after - now
            if leaf.not_before and leaf.not_before > now:
                parts.append(f"certificate not valid before {_date(leaf.not_before)}")
            elif left > timedelta(0):
                parts.append(f"certificate valid for {_span(left)}")
            else:
                parts.append(f"certificate expired {_span(-left)} ago")
        if self.settings.tls.verify is Verify.NONE:
            parts.append("not verified")
        elif self.settings.tls.verify is Verify.CHAIN:
            parts.append("name not verified")
        return parts

    def _insecure(self) -> str:
        """Return the words for a secret that was sent without full verification."""
        report = self.report
        if not report or not any(attempt.login_began for attempt in report.attempts):
            return ""
        if self.settings.tls.security is Security.PLAIN:
            return " (cleartext login)"
        return "" if self.settings.tls.verify is Verify.FULL else " (unverified TLS login)"

    def _leaf(self) -> CertificateFacts | None:
        attempts = self.report.attempts if self.report else ()
        certificates = attempts[-1].certificates if attempts else ()
        return certificates[0] if certificates else None

    def _addresses(self) -> str:
        """Return the addresses, without the port that stands in the sentence already."""
        attempts = self.report.attempts if self.report else ()
        shown = [
            f"[{each.address.host}]" if each.address.is_ipv6 else each.address.host
            for each in attempts
        ]
        if shown == [self.where.rpartition(":")[0]]:
            return ""
        more = f" and {len(shown) - 3} more" if len(shown) > 3 else ""
        return f" ({', '.join(shown[:3])}{more})"


_WRONG_DATE = {Kind.EXPIRED: "expired", Kind.NOT_YET_VALID: "is not yet valid"}


def _span(span: timedelta) -> str:
    """Return a time span in whole days, or in hours where days would say too little."""
    if span < timedelta(days=2):
        return _count(int(days(span) * 24), "hour")
    return _count(int(days(span)), "day")


def _date(instant: datetime) -> str:
    return f"{instant:%Y-%m-%d %H:%M} UTC"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
