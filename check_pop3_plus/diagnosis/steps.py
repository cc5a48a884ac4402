"""What each step of a diagnosis does: facts about names, ports and routes.

A function takes what a step is done with: an address, a family, a server. It yields its facts as
it finds them and raises ProbeError when it can find none. No step evaluates its facts or needs a
secret.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.certificate import reader
from check_pop3_plus.diagnosis import tools
from check_pop3_plus.diagnosis.findings import (
    Fact,
    Greeting,
    Handshake,
    Lookup,
    NameServer,
    TcpConnection,
    ToolOutput,
    Version,
)
from check_pop3_plus.model import sanitised_text
from check_pop3_plus.model.failures import Failure, Kind, Phase, ProbeError, config_error
from check_pop3_plus.model.report import Address, Chain, Report, Session
from check_pop3_plus.model.sanitised_text import printable
from check_pop3_plus.model.settings import Family, Security
from check_pop3_plus.net import client_hello, dns_query, resolve, tls, transport
from check_pop3_plus.probe import side_probes
from check_pop3_plus.probe.connection import Connection, read_capabilities, read_greeting
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.support import files
from check_pop3_plus.support.deadline import Clock, Deadline
from check_pop3_plus.support.programs import Programs

if TYPE_CHECKING:
    import ssl
    from typing import TypeVar

    _T = TypeVar("_T")

VERSIONS = ("1.0", "1.1", "1.2", "1.3")

LINES_LIMIT = 24
"""Lines kept of what a program prints."""

RESOLV_CONF = "/etc/resolv.conf"

FAMILIES = {"IPv4": Family.IPV4, "IPv6": Family.IPV6}


class Surroundings:
    """What the steps share: the failed check, and the programs that end with the diagnosis."""

    def __init__(
        self, prerequisites: Prerequisites, report: Report, session: Session | None
    ) -> None:
        self.prerequisites = prerequisites
        self.sanitise = prerequisites.sanitise
        self.target = prerequisites.settings.target
        self.name = self.target.connect_to or self.target.hostname
        self.addresses = report.addresses
        self.programs = Programs()
        self._session = session

    @property
    def address(self) -> Address:
        """The address that failed."""
        assert self._session is not None  # noqa: S101 - `plan` asks for no such step without it
        return self._session.address

    @property
    def context(self) -> "ssl.SSLContext | None":
        """The verifying context, where the session has failed inside TLS from the first byte."""
        session, prerequisites = self._session, self.prerequisites
        is_implicit = prerequisites.settings.tls.security is Security.IMPLICIT
        is_inside = session and session.tls and session.timeline.failed is not Phase.TLS
        return prerequisites.context if is_implicit and is_inside else None

    def probe(
        self, address: Address, limit: Deadline, work: Callable[[Connection], object]
    ) -> tuple[Session, Failure | None]:
        """Do `work` on a separate connection; return its session, and the failure if it failed."""
        sessions = [Session(address)]

        def record(connection: Connection) -> None:
            sessions.append(connection.session)
            work(connection)

        where = (address, self.prerequisites, limit)
        _, failure, _ = _tried(lambda: side_probes.on_separate_connection(*where, record))
        return sessions[-1], failure


def _tried(work: "Callable[[], _T]") -> "tuple[_T | None, Failure | None, float]":
    """Return what work returned, or the failure that it ended with, and the seconds it took."""
    began = Clock()
    try:
        return work(), None, Clock() - began
    except ProbeError as error:
        return None, error.failure(), Clock() - began


# --- names -----------------------------------------------------------------------------------


def look_up(around: Surroundings, family: str, limit: Deadline) -> Iterator[Fact]:
    """Resolve the name by the system."""
    target = around.target.replace(family=FAMILIES[family])
    found, failure, seconds = _tried(lambda: resolve.look_up(target, limit))
    yield Lookup(family, seconds, found or (), failure)


def name_servers() -> Sequence[str]:
    """Return the name servers of this machine. Raises ProbeError (config)."""
    return dns_query.servers(files.read_file(RESOLV_CONF, "resolver configuration"))


def query(around: Surroundings, server: str, limit: Deadline) -> Iterator[Fact]:
    kind = dns_query.AAAA if around.target.family is Family.IPV6 else dns_query.A
    number = int.from_bytes(os.urandom(2), "big")
    question = dns_query.query(around.name, kind, number)

    def ask() -> dns_query.Answer:
        answer = dns_query.parse(transport.ask_name_server(server, question, limit), number)
        if answer is None:
            raise ProbeError(Kind.GARBLED, "sent no DNS answer")
        return answer

    answer, failure, seconds = _tried(ask)
    code, records = (answer.code, answer.records) if answer else (None, 0)
    yield NameServer(sanitised_text.sanitise(server), seconds, code, records, failure)


# --- ports -----------------------------------------------------------------------------------


def connect(around: Surroundings, address: Address, limit: Deadline) -> Iterator[TcpConnection]:
    source = around.target.source_address
    _, failure, seconds = _tried(lambda: transport.connect(address, source, limit).close())
    yield TcpConnection(address, seconds, failure)


def try_port(around: Surroundings, address: Address, limit: Deadline) -> Iterator[Fact]:
    """Try POP3 on a standard port that the check does not use."""
    for fact in connect(around, address, limit):
        yield fact
        if fact.failure is None:
            yield from (shake_hands if address.port == 995 else greet)(around, address, limit)


def greet(around: Surroundings, address: Address, limit: Deadline) -> Iterator[Fact]:
    """Read greeting and capabilities.

    In plain text, unless the check has completed its handshake with this port before.
    """
    context = around.context if address == around.address else None
    greeting, seconds, began = None, 0.0, Clock()

    def work(connection: Connection) -> None:
        nonlocal greeting, seconds
        if context:
            connection.start_tls(context)
        read_greeting(connection)
        greeting, seconds = connection.session.greeting_shown, Clock() - began
        read_capabilities(connection)

    session, failure = around.probe(address, limit, work)
    seconds = seconds or Clock() - began
    yield Greeting(address, greeting, session.capabilities, failure, seconds, bool(context))


def shake_hands(around: Surroundings, address: Address, limit: Deadline) -> Iterator[Fact]:
    """Accept any version, cipher and certificate. No POP3 byte follows."""
    session, failure = around.probe(
        address, limit, lambda connection: connection.start_tls(tls.legacy_context())
    )
    version, chain, facts = None, Chain(), session.tls
    if facts and failure is None:
        version = printable("{}", facts.version or "TLS")
        chain = reader.read_chain(facts.sent, (), around.sanitise)
    yield Handshake(address, version, chain, failure)


def offer(around: Surroundings, version: str, limit: Deadline) -> Iterator[Fact]:
    """Offer a single TLS version."""
    if version in client_hello.LEGACY_VERSIONS and not tls.can_offer(version):
        yield Version(version)
        return
    agree = partial(side_probes.agreed_on, version=version)
    where = (around.address, around.prerequisites, limit)
    cipher, failure, _ = _tried(lambda: side_probes.on_separate_connection(*where, agree))
    yield Version(version, cipher, failure)


# --- programs --------------------------------------------------------------------------------


def run_program(around: Surroundings, names: tuple[str, ...], limit: Deadline) -> Iterator[Fact]:
    """Run the first of these tools that is installed."""
    name, path = next(((name, path) for name in names if (path := tools.find(name))), ("", ""))
    if not path:
        raise config_error("not installed")
    tool = tools.TOOLS[name]
    if tool.is_about_name:
        target = around.name
    else:
        zone = around.address.zone
        target = around.address.host + (f"%{zone}" if zone else "")
    command = [path, *tool.arguments(target, around.target.source_address)]
    output = tools.run_tool(around.programs, command, limit)
    # mtr draws its tree with a character that sanitising would replace by a question mark.
    raw = output.data.replace(b"|", b" ").splitlines()
    lines = [line for each in raw if (line := around.sanitise(each))]
    yield ToolOutput(name, sanitised_text.sanitise(target), output.code, tuple(lines[:LINES_LIMIT]))
