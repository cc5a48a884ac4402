"""What a diagnosis has found, line by line. The foreign text in it is clean already."""

from collections.abc import Iterator

from check_pop3_plus.diagnosis.findings import (
    Findings,
    Greeting,
    Handshake,
    Lookup,
    NameServer,
    TcpConnection,
    ToolOutput,
    Version,
)
from check_pop3_plus.messages.formats import count, named
from check_pop3_plus.model.failures import Failure, Kind

_CAPABILITIES_LIMIT = 400


def lines(findings: Findings) -> Iterator[str]:
    """Yield what was found, in the order of the phases, and what was not found out."""
    for part in (_lookups, _name_servers, _connections, _greetings, _handshakes, _versions, _tools):
        yield from part(findings)
    session = findings.problem.session
    if session and session.has_open_login:
        yield "connections: none was opened after the login had begun"
    yield from (f"skipped: {what}" for what in findings.skipped)


def _lookups(findings: Findings) -> Iterator[str]:
    for fact in sorted(findings.of(Lookup), key=lambda fact: fact.family):
        found = ", ".join(address.host for address in fact.addresses[:8])
        what = found or (fact.failure.message if fact.failure else "nothing")
        yield f"look-up {fact.family}: {what}, after {fact.seconds:.3f} s"


def _name_servers(findings: Findings) -> Iterator[str]:
    for fact in sorted(findings.of(NameServer), key=lambda fact: fact.server):
        records = count(fact.records, "record")
        said = f"{fact.code}, {records}" if fact.code else _reason(fact.failure)
        yield f"name server {fact.server}: {said}, after {fact.seconds:.3f} s"


def _connections(findings: Findings) -> Iterator[str]:
    for fact in sorted(
        findings.of(TcpConnection), key=lambda fact: (fact.address.host, fact.address.port)
    ):
        said = _reason(fact.failure) if fact.failure else "works"
        yield f"connect: {fact.address} {said}, after {fact.seconds:.3f} s"


def _greetings(findings: Findings) -> Iterator[str]:
    for fact in findings.of(Greeting):
        yield f"plain text: {fact.address} {fact.said or _reason(fact.failure)}"
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
    words = [f"{fact.number} {_agreement(fact)}" for fact in facts]
    if words:
        yield f"versions: TLS {', '.join(words)}"


def _agreement(fact: Version) -> str:
    if fact.cipher:
        return f"accepted ({fact.cipher})"
    if fact.failure is None:
        return "cannot be offered from here"
    return "no answer" if fact.failure.kind is Kind.TIMEOUT else "refused"


def _tools(findings: Findings) -> Iterator[str]:
    for fact in findings.of(ToolOutput):
        if fact.code != 0:
            how = "was cut off" if fact.code is None else f"ended with exit code {fact.code}"
            yield f"{fact.name}: {how}, for {fact.target}"
        yield from (f"{fact.name}: {line}" for line in fact.lines)


def _reason(failure: Failure | None) -> str:
    return failure.message if failure else "nothing"
