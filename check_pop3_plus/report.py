"""What was seen: plain records, no behaviour, no opinions.

`None` means "not seen", never "bad". A record has no field called `is_ok`.
"""

from datetime import datetime
from typing import NamedTuple

from check_pop3_plus.failures import Failure, Kind
from check_pop3_plus.text import Printable
from check_pop3_plus.timing import Lap, Timeline


class Address(NamedTuple):
    """One address of the server, numeric."""

    host: str
    port: int
    is_ipv6: bool = False
    zone: int = 0
    """Index of the interface that a link-local IPv6 address is reached by."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.is_ipv6 else f"{self.host}:{self.port}"


class CertificateFacts(NamedTuple):
    """One certificate, as far as it could be read."""

    not_before: datetime | None
    not_after: datetime | None
    subject: Printable | None = None
    issuer: Printable | None = None
    names: tuple[Printable, ...] = ()
    names_left_out: int = 0
    serial: Printable | None = None
    fingerprint: Printable | None = None
    weakness: Printable | None = None
    unreadable: tuple[Printable, ...] = ()
    """The attributes that could not be read."""


class TlsFacts(NamedTuple):
    """A TLS handshake: what was agreed on, and the chain as the server sent it."""

    version: str | None
    cipher: str | None
    chain: tuple[bytes, ...]
    """DER, the server's own certificate first."""
    verified: bool
    """Whether chain and name were both verified."""


class MailboxFacts(NamedTuple):
    messages: int
    octets: int


class Note(NamedTuple):
    """Something worth saying that did not end the attempt."""

    kind: Kind
    text: Printable


class Attempt:
    """One address, one conversation; filled in by `session`, read-only afterwards.

    The one record that changes, so that what was learnt survives a failure half-way.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.timeline = Timeline()
        self.ended: float | None = None
        """Instant of the last judged reply."""
        self.greeting: bytes | None = None
        """As received, for what depends on its octets; `greeting_shown` is for people."""
        self.greeting_shown = Printable("")
        self.capabilities: tuple[Printable, ...] | None = None
        """For people; the tags that were offered stand in `offered`."""
        self.offered: frozenset[tuple[str, str | None]] | None = None
        """Tags alone and with each argument, in the last list; STLS also where it was used."""
        self.tls: TlsFacts | None = None
        self.certificates: tuple[CertificateFacts, ...] = ()
        """As sent, the server's own first."""
        self.mailbox: MailboxFacts | None = None
        self.login_began = False
        self.logged_in_as: Printable | None = None
        self.dialogue: list[Printable] = []
        self.notes: list[Note] = []
        self.failure: Failure | None = None


class Report(NamedTuple):
    """Everything one look has seen."""

    attempts: tuple[Attempt, ...]
    """In the order tried; the last one is the one that worked, if any did."""
    resolve: Lap | None
    failure: Failure | None
    """Why the look as a whole failed."""
    elapsed: float | None
    """Seconds from the name look-up to the last judged reply."""
    now: datetime
    """The local clock when the look ended; certificate dates are judged by it."""

    def laps(self) -> list[Lap]:
        """Return the look-up and the laps of the attempt that the report is about."""
        laps = [self.resolve] if self.resolve else []
        return laps + (self.attempts[-1].timeline.laps if self.attempts else [])
