"""The lines of a diagnosis in the long output; the text in the findings is sanitised."""

import re
from collections.abc import Iterator

from check_pop3_plus.diagnosis.findings import (
    Findings,
    Greeting,
    Handshake,
    LocalClock,
    Lookup,
    NameServer,
    TcpConnection,
    ToolOutput,
    Version,
)
from check_pop3_plus.messages.formats import count, date, reason
from check_pop3_plus.model.failures import Failure, Kind
from check_pop3_plus.model.report import named

_CAPABILITIES_LIMIT = 400

_PING_HEADER = re.compile(r"PING |--- .* ping statistics ---")
"""Lines that say no more than the name of the target."""


def lines(findings: Findings) -> Iterator[str]:
    """Yield the findings in the order of the phases, then the skipped steps."""
    parts = (_clock, _lookups, _name_servers, _connections, _greetings, _handshakes, _versions)
    for part in (*parts, _tools):
        yield from part(findings)
    session = findings.problem.session
    if session and session.has_open_login:
        yield "connections: none opened after the login began"
    yield from (f"skipped: {what}" for what in findings.skipped)


def _clock(findings: Findings) -> Iterator[str]:
    for fact in findings.of(LocalClock):
        yield f"clock: the time of this machine is {date(fact.now)}"


def _lookups(findings: Findings) -> Iterator[str]:
    for fact in sorted(findings.of(Lookup), key=lambda fact: fact.family):
        found = ", ".join(address.host for address in fact.addresses[:8])
        yield f"lookup {fact.family}: {found or _reason(fact.failure)}, after {fact.seconds:.3f} s"


def _name_servers(findings: Findings) -> Iterator[str]:
    for fact in sorted(findings.of(NameServer), key=lambda fact: fact.server):
        records = count(fact.records, "record")
        answer = f"{fact.code}, {records}" if fact.code else _reason(fact.failure)
        yield f"name server {fact.server}: {answer}, after {fact.seconds:.3f} s"


def _connections(findings: Findings) -> Iterator[str]:
    facts = findings.of(TcpConnection)
    facts.sort(key=lambda fact: (fact.address.host, fact.address.port))
    for fact in facts:
        outcome = _reason(fact.failure) if fact.failure else "OK"
        yield f"connect: {fact.address} {outcome}, after {fact.seconds:.3f} s"


def _greetings(findings: Findings) -> Iterator[str]:
    for fact in findings.of(Greeting):
        where = "inside TLS" if fact.is_in_tls else "plain text"
        yield f"{where}: {fact.address} {fact.greeting or _reason(fact.failure)}"
        if fact.capabilities is not None:
            offered = ", ".join(fact.capabilities)[:_CAPABILITIES_LIMIT]
            yield f"capabilities: {fact.address} {offered}"


def _handshakes(findings: Findings) -> Iterator[str]:
    for fact in findings.of(Handshake):
        leaf = fact.chain.leaf
        whose = f", certificate of {named(leaf.subject)}" if leaf else ""
        yield f"TLS: {fact.address} " + (
            f"speaks {fact.version}{whose}" if fact.version else _reason(fact.failure)
        )


def _versions(findings: Findings) -> Iterator[str]:
    facts = sorted(findings.of(Version), key=lambda fact: fact.number)
    if facts:
        results = ", ".join(f"{fact.number} {_result(fact)}" for fact in facts)
        yield f"versions: TLS {results}"


def _result(fact: Version) -> str:
    if fact.cipher:
        return f"accepted ({fact.cipher})"
    if fact.failure is None:
        return "not supported by the local TLS library"
    return "no answer" if fact.failure.kind is Kind.TIMEOUT else "refused"


def _tools(findings: Findings) -> Iterator[str]:
    for fact in findings.of(ToolOutput):
        if fact.code != 0:
            how = "killed (too slow, or too much output)"
            if fact.code is not None:
                how = f"exit code {fact.code}"
            yield f"{fact.name}: {how}, target {fact.target}"
        yield from (f"{fact.name}: {line}" for line in fact.lines if not _PING_HEADER.match(line))


def _reason(failure: Failure | None) -> str:
    return reason(failure) if failure else "nothing"
