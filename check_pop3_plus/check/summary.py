"""The nagiosplugin Summary: selects and orders the sentences of the status line."""

import nagiosplugin
from nagiosplugin import Metric, Result, Results

from check_pop3_plus.check.certificate_contexts import ASSERTIONS
from check_pop3_plus.check.contexts import ranges
from check_pop3_plus.messages.hints import wrong_port
from check_pop3_plus.messages.status_line import StatusLine
from check_pop3_plus.model.failures import LOCAL, Failure, Kind, Origin, Phase
from check_pop3_plus.model.report import (
    Address,
    Chain,
    DeliveryFacts,
    MessageDates,
    Note,
    Observation,
    Report,
    Session,
)
from check_pop3_plus.model.sanitised_text import joined, open_ended
from check_pop3_plus.model.settings import Settings

_ABOUT_ADDRESSES = (Kind.REFUSED, Kind.UNREACHABLE, Kind.TIMEOUT)
"""Failures to connect: the status line names all addresses that were tried."""


class Summary(nagiosplugin.Summary):
    """The status line of one attempt; the sentences are made by `messages/status_line`."""

    def __init__(self, settings: Settings, report: Report) -> None:
        self._settings = settings
        self._report = report
        self._sentences = StatusLine(settings, report)

    def ok(self, results: Results) -> str:
        for result in _tolerated(results):
            return f"{open_ended(self._sentence(result))}, {result.hint} treated as OK"
        return self._sentences.success(
            [session for session in self._report.evaluated if session.failure is None]
        )

    def problem(self, results: Results) -> str:
        """Return the findings, the worst first; `results` are sorted."""
        places: dict[str, list[Session]] = {}
        for each in _findings(results):
            places.setdefault(self._sentence(each), []).extend(self._sessions(each))
        if not self._differ(results):
            return joined("; ", places)
        at = self._sentences.at
        return "; ".join(open_ended(text) + at(found) for text, found in places.items())

    def remarks(self) -> tuple[str, ...]:
        """Return what is said behind every status."""
        return self._sentences.remarks()

    def place(self, results: Results) -> str | Origin:
        """Return where a failure is: at a server, or in a file of options; else nothing."""
        findings = _findings(results) or _tolerated(results)
        if any(_is_remote(each) for each in findings):
            sessions = [session for each in findings for session in self._sessions(each)]
            # Where they differ, each sentence has its own.
            return self._sentences.place([] if self._differ(results) else sessions)
        facts = map(_fact, findings)
        return next(
            (each.origin for each in facts if isinstance(each, Failure) and each.origin), ""
        )

    def _differ(self, results: Results) -> bool:
        """Return whether several addresses have different findings."""
        found: dict[str, set[Address]] = {}
        for each in _findings(results):
            where = {session.address for session in self._sessions(each)}
            found.setdefault(self._sentence(each), set()).update(where)
        return self._settings.target.all_addresses and len(set(map(frozenset, found.values()))) > 1

    def _sentence(self, result: Result) -> str:
        """Return the sentence of a finding, with the key type of another certificate."""
        fact, sentence = _fact(result), self._about(result)
        if result.metric is None or not isinstance(fact, (Failure, Chain)):
            return sentence
        session = result.metric.value.session
        is_named = isinstance(fact, Failure) and fact.kind is Kind.OLD_TLS
        is_other = session and session.cert_type and not is_named
        return f"{sentence} ({session.cert_type.upper()})" if is_other else sentence

    def _about(self, result: Result) -> str:
        metric = result.metric
        assert metric is not None  # noqa: S101 - our contexts always set it
        sentences = self._sentences
        match _fact(result):
            case Failure() as failure:
                sentence = sentences.failure(failure, metric.value.session, Kind(result.hint))
                port = wrong_port(failure, self._settings)
                return f"{open_ended(sentence)}; {port}" if port else sentence
            case Note() as note:
                return note.text
            case Chain() as chain:
                return self._about_chain(chain, Kind(result.hint), metric.name)
            case MessageDates() as dates:
                return sentences.dates(dates, Kind(result.hint))
            case DeliveryFacts() as delivery:
                return sentences.undelivered(delivery)
            case bytes():
                return sentences.greeting(metric.value.session)
            case frozenset() as offered:
                return sentences.capabilities(offered)
            case _:
                return self._about_number(result, metric)

    def _about_chain(self, chain: Chain, kind: Kind, metric_name: str) -> str:
        for each in ASSERTIONS:
            if (each.metric, each.kind) == (metric_name, kind) and chain.leaf:
                return each.sentence(chain.leaf, each.value(self._settings), self._report)
        return self._sentences.chain(chain, kind, metric_name == "chain")

    def _about_number(self, result: Result, metric: Metric) -> str:
        if metric.name == "addresses":
            return self._sentences.too_few(metric.value)
        limits = ranges(metric.context, self._settings)
        is_critical = result.state == nagiosplugin.Critical
        crossed = limits.critical if is_critical else limits.warning or limits.critical
        return self._sentences.number(metric.name, metric.value, crossed)

    def _sessions(self, result: Result) -> list[Session]:
        """Return the sessions whose addresses belong to the place of a finding."""
        fact = _fact(result)
        if fact is None or result.metric is None:
            return []
        session = result.metric.value.session
        if self._settings.target.all_addresses:
            return [session] if session else []
        if isinstance(fact, Failure) and fact.phase is Phase.CONNECT:
            return list(self._report.sessions) if fact.kind in _ABOUT_ADDRESSES else []
        return []


def _fact(result: Result) -> object:
    """Return the fact that a result is about, or None where it is a number."""
    value = result.metric.value if result.metric else None
    return value.fact if isinstance(value, Observation) else None


def _findings(results: Results) -> list[Result]:
    return [result for result in results.results if result.state != nagiosplugin.Ok]


def _tolerated(results: Results) -> list[Result]:
    """Return the failures that `--state` makes OK: they must not appear as success.

    Where enough other addresses work, the kind is `partial`, and that is success.
    """
    return [
        result
        for result in results.results
        if result.hint
        and isinstance(fact := _fact(result), Failure)
        and result.hint == fact.kind.value
    ]


def _is_remote(result: Result) -> bool:
    """Return whether a finding is about the server, not about our own machine."""
    fact = _fact(result)
    return not (isinstance(fact, Failure) and fact.kind in LOCAL - {Kind.STOPPED})
