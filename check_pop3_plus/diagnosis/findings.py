"""The facts that a diagnosis found: records without evaluation. `None` means "not observed"."""

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.model.failures import Failure, Kind, Phase
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.report import Address, Chain, Session
from check_pop3_plus.model.sanitised_text import Printable

if TYPE_CHECKING:
    from datetime import datetime


class Problem(Record):
    """The failure that a diagnosis explains."""

    phase: Phase | None
    """None where the session succeeded: a threshold was crossed, or an assertion failed."""
    kind: Kind | None
    session: Session | None
    """The session that failed; None where the name was not resolved."""


class Lookup(Record):
    """A lookup of the name by the system's resolver, for one address family."""

    family: str
    seconds: float
    addresses: tuple[Address, ...] = ()
    failure: Failure | None = None


class NameServer(Record):
    """A query for the name to one name server of this machine."""

    server: Printable
    seconds: float
    code: str | None = None
    """NOERROR, NXDOMAIN and so on."""
    records: int = 0
    """The number of records in its answer."""
    failure: Failure | None = None


class TcpConnection(Record):
    """A TCP connection, or why it failed."""

    address: Address
    seconds: float
    failure: Failure | None = None


class Greeting(Record):
    """What a port answers in plain text, or inside TLS where the check got that far."""

    address: Address
    greeting: Printable | None = None
    """The greeting line, if it was POP3."""
    capabilities: tuple[Printable, ...] | None = None
    failure: Failure | None = None
    seconds: float = 0.0
    """From the connection attempt to the greeting line, or to the failure."""
    is_in_tls: bool = False


class Handshake(Record):
    """A TLS handshake from the first byte, with an unverified certificate."""

    address: Address
    version: Printable | None = None
    chain: Chain = Chain()
    failure: Failure | None = None


class Version(Record):
    """A handshake that offers a single TLS version."""

    number: str
    cipher: Printable | None = None
    failure: Failure | None = None
    """None, with no cipher either, where the local TLS library cannot offer the version."""


class ToolOutput(Record):
    """The output of an external program."""

    name: str
    target: Printable
    code: int | None = None
    """None where the program was killed: it was late or printed too much."""
    lines: tuple[Printable, ...] = ()


class LocalClock(Record):
    """The time of this machine, for failures that depend on certificate dates."""

    now: "datetime"


Fact = (
    LocalClock | Lookup | NameServer | TcpConnection | Greeting | Handshake | Version | ToolOutput
)

if TYPE_CHECKING:
    from typing import TypeVar

    _F = TypeVar("_F", bound=Fact)


class Findings(Record):
    problem: Problem
    facts: tuple[Fact, ...] = ()
    """In the order of their arrival."""
    skipped: tuple[Printable, ...] = ()
    """The steps that were skipped or are incomplete, with the reason, in the order of `STEPS`."""

    def of(self, kind: "type[_F]") -> "list[_F]":
        """Return the facts of one type."""
        return [fact for fact in self.facts if isinstance(fact, kind)]
