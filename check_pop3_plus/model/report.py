"""What was seen: plain records, no behaviour, no opinions.

`None` means "not seen", never "bad". A record has no field called `is_ok`.
"""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from check_pop3_plus.model.failures import Failure, Kind, Phase, ProbeError
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.sanitised_text import Printable

if TYPE_CHECKING:  # only where there is a certificate (about 1.5 ms)
    from datetime import datetime


Clock = time.monotonic


class Lap(Record):
    phase: Phase
    seconds: float
    ok: bool


def seconds_by_phase(laps: Iterable[Lap]) -> dict[Phase, float]:
    """Return the seconds of each phase that was reached; a phase that came twice is added up."""
    seconds: dict[Phase, float] = {}
    for lap in laps:
        seconds[lap.phase] = seconds.get(lap.phase, 0.0) + lap.seconds
    return seconds


class Timeline:
    """Records the phases of a session."""

    def __init__(self) -> None:
        self.laps: list[Lap] = []
        self.current: Phase | None = None
        self.failed: Phase | None = None
        """The phase that the first ProbeError ended."""

    def phase(self, phase: Phase) -> "_Passing":
        """Return a context that times a phase; a phase that fails is recorded, too."""
        return _Passing(self, phase)


class _Passing:
    """A phase that goes on inside the context."""

    def __init__(self, timeline: Timeline, phase: Phase) -> None:
        self._timeline = timeline
        self._phase = phase
        self._began = 0.0

    def __enter__(self) -> None:
        self._timeline.current = self._phase
        self._began = Clock()

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        ok = error is None
        self._timeline.laps.append(Lap(self._phase, Clock() - self._began, ok))
        if isinstance(error, ProbeError):
            self._timeline.failed = self._timeline.failed or self._phase
        # Kept when a signal passes: who reads it asks where the run was stopped.
        if ok:
            self._timeline.current = None


class Address(Record):
    """One address of the server, numeric."""

    host: str
    port: int
    is_ipv6: bool = False
    zone: int = 0
    """Index of the interface that a link-local IPv6 address is reached by."""

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if self.is_ipv6 else f"{self.host}:{self.port}"


class CertificateFacts(Record):
    """One certificate, as far as it could be read."""

    not_before: "datetime | None"
    not_after: "datetime | None"
    subject: Printable | None = None
    issuer: Printable | None = None
    names: tuple[Printable, ...] = ()
    names_left_out: int = 0
    serial: Printable | None = None
    fingerprint: Printable | None = None
    """SHA-256 of the certificate, in hexadecimal."""
    public_key: Printable | None = None
    """SHA-256 of the public key (SubjectPublicKeyInfo), in hexadecimal."""
    key: Printable | None = None
    """For people: `RSA 2048`."""
    key_bits: int | None = None
    """Bits of an RSA key, or of the RSA key that would be as strong."""
    weakness: Printable | None = None
    is_self_issued: bool = False
    """Whether it names itself as its issuer, as roots do."""
    issuer_names: tuple[str, ...] = ()
    """The issuer's name and its parts as they are, for comparing only; `issuer` is for people."""
    unreadable: tuple[Printable, ...] = ()
    """The attributes that could not be read."""


class Chain(Record):
    """The certificates of one handshake."""

    sent: tuple[CertificateFacts, ...] = ()
    """In the server's order, its own first."""
    left_out: int = 0
    """How many more were sent than are read."""
    path: tuple[CertificateFacts, ...] = ()
    """From the server's own to the trust anchor where the chain was verified; else as far as
    the certificates that were sent name each other as issuer."""
    is_verified: bool = False
    defects: tuple[Printable, ...] = ()
    """What of the path is against RFC 5280, though it was verified."""

    @property
    def leaf(self) -> CertificateFacts | None:
        """The server's own certificate."""
        return self.sent[0] if self.sent else None

    @property
    def first_issuer_to_end(self) -> CertificateFacts | None:
        """Of those that the server's own certificate depends on, the one that ends first."""
        return _first_to_end(self.path[1:])

    @property
    def first_intermediate_to_end(self) -> CertificateFacts | None:
        """The same without the root, which is not the server's to renew."""
        return _first_to_end(each for each in self.path[1:] if not each.is_self_issued)


def _first_to_end(certificates: Iterable[CertificateFacts]) -> CertificateFacts | None:
    dated = [(each.not_after, each) for each in certificates if each.not_after]
    return min(dated, key=lambda pair: pair[0])[1] if dated else None


class TlsFacts(Record):
    """A TLS handshake: what was agreed on, and the chain as the server sent it."""

    version: str | None
    cipher: str | None
    sent: tuple[bytes, ...]
    """DER, the server's own certificate first."""
    path: tuple[bytes, ...]
    """DER, from the server's own to the trust anchor; empty where nothing was verified."""
    verified: bool
    """Whether chain and name were both verified."""


class MailboxFacts(Record):
    messages: int
    octets: int


class Note(Record):
    """Something worth saying that did not end the attempt."""

    kind: Kind
    text: Printable
    is_failure: bool = False
    """Whether something else ended by it: a talk aside."""


class Session:
    """One address, one conversation; filled in by `session`, read-only afterwards.

    The one record that changes, so that what was learnt survives a failure half-way.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.timeline = Timeline()
        self.began: float | None = None
        """Instant of the connection's first packet."""
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
        self.chain = Chain()
        self.mailbox: MailboxFacts | None = None
        self.login_began = False
        self.logged_in_as: Printable | None = None
        self.replies_hidden = False
        """Whether replies to the login are shown by response code only: the secret is too short
        to be masked."""
        self.transcript: list[Printable] = []
        self.notes: list[Note] = []
        self.protocol_warnings: list[Printable] = []
        """What is against the protocol and does no harm."""
        self.failure: Failure | None = None
        self.is_over = False
        """Whether it has come to an end, good or bad, by the deadline."""

    @property
    def has_open_login(self) -> bool:
        """Whether a login began that the server has not accepted."""
        return self.login_began and self.logged_in_as is None


class Observation(Record):
    """One fact that can be judged, and the attempt that it comes from, if it is from one."""

    session: Session | None
    fact: Failure | Note | Chain | bytes | frozenset[tuple[str, str | None]]


class Report(Record):
    """Everything one look has seen."""

    sessions: tuple[Session, ...]
    """In the order tried. Where one address is enough, the last one is the one that worked, or
    the one that came furthest."""
    evaluated: tuple[Session, ...]
    """Those that the verdict is about: the last one, or all of them where all are wanted."""
    resolve: Lap | None
    failure: Failure | None
    """Why the look as a whole failed."""
    elapsed: float | None
    """Seconds from the name look-up to the last judged reply."""
    clock: float
    """Seconds of the epoch when the look ended, by the local clock."""
    deployed: tuple[CertificateFacts, ...] = ()
    """Those in the file that the server's own must be in."""
    addresses: tuple[Address, ...] = ()
    """All that the name has, those that were not tried included."""

    @property
    def now(self) -> "datetime":
        """What certificate dates are judged by."""
        from datetime import datetime, timezone

        return datetime.fromtimestamp(self.clock, timezone.utc)

    def seconds(self) -> dict[Phase, float]:
        """Return the seconds of each phase that was reached; of several addresses the slowest."""
        seconds = {Phase.RESOLVE: self.resolve.seconds} if self.resolve else {}
        for session in self.evaluated:
            for phase, taken in seconds_by_phase(session.timeline.laps).items():
                seconds[phase] = max(taken, seconds.get(phase, 0.0))
        return seconds
