"""What a diagnosis has seen: plain records, no opinions. `None` means "not seen"."""

from typing import TypeAlias, TypeVar

from check_pop3_plus.model.failures import Failure, Kind, Phase
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.report import Address, Chain, Session
from check_pop3_plus.model.sanitised_text import Printable


class Problem(Record):
    """The failure that a diagnosis explains."""

    phase: Phase | None
    """None where nothing broke down: a threshold was crossed, or something noticed."""
    kind: Kind | None
    session: Session | None
    """The one that failed; None where the name was not even resolved."""


class Lookup(Record):
    """The name looked up by the system, for one family alone."""

    family: str
    seconds: float
    addresses: tuple[Address, ...] = ()
    failure: Failure | None = None


class NameServer(Record):
    """One name server of this machine, asked for the name directly."""

    server: Printable
    seconds: float
    code: str | None = None
    """NOERROR, NXDOMAIN and so on."""
    records: int = 0
    """How many are in its answer."""
    failure: Failure | None = None


class TcpConnection(Record):
    """A TCP connection, or why there is none."""

    address: Address
    seconds: float
    failure: Failure | None = None


class Greeting(Record):
    """What a port says in plain text."""

    address: Address
    said: Printable | None = None
    """The line, if it was POP3."""
    capabilities: tuple[Printable, ...] | None = None
    failure: Failure | None = None


class Handshake(Record):
    """Whether a port speaks TLS from the first byte, whatever its certificate is worth."""

    address: Address
    version: Printable | None = None
    chain: Chain = Chain()
    failure: Failure | None = None


class Version(Record):
    """A handshake that offers one version of TLS alone."""

    number: str
    cipher: Printable | None = None
    failure: Failure | None = None
    """None, with no cipher either, where the TLS library here cannot offer it."""


class ToolOutput(Record):
    """What another program printed."""

    name: str
    target: Printable
    code: int | None = None
    """None where it was ended because it took too long, or printed too much."""
    lines: tuple[Printable, ...] = ()


Fact: TypeAlias = Lookup | NameServer | TcpConnection | Greeting | Handshake | Version | ToolOutput

_F = TypeVar("_F", bound=Fact)


class Findings(Record):
    problem: Problem
    facts: tuple[Fact, ...] = ()
    """In the order that they came."""
    skipped: tuple[Printable, ...] = ()
    """What was not found out, with the reason."""

    def of(self, kind: type[_F]) -> list[_F]:
        return [fact for fact in self.facts if isinstance(fact, kind)]
