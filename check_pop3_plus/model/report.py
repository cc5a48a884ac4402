"""The facts of an attempt: plain records, without evaluation.

`None` means "not known", never "bad". A record has no field called `is_ok`.
"""

import time
from collections.abc import Callable, Iterable

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.model.failures import MEASURED, Failure, Kind, Phase, ProbeError
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.sanitised_text import Printable, Sanitiser, printable

if TYPE_CHECKING:  # loaded only for certificates (about 1.5 ms)
    from datetime import datetime, timedelta
    from typing import Any, TypeVar

    _T = TypeVar("_T")


Clock = time.monotonic


class Lap(Record):
    phase: Phase
    seconds: float
    ok: bool


_OF_COMMANDS = (Phase.CAPA, Phase.STLS, Phase.LOGIN, Phase.STAT, Phase.TOP)


class Timeline:
    """Records the phases of a session."""

    def __init__(self) -> None:
        self.laps: list[Lap] = []
        self.current: Phase | None = None
        self.failed: Phase | None = None
        """The phase that the first ProbeError ended."""
        self.commands = 0
        """Number of commands sent."""

    def phase(self, phase: Phase) -> "_Passing":
        """Return a context that times a phase; a phase that fails is recorded, too.

        A phase of commands is not recorded if it ended before it sent one.
        """
        return _Passing(self, phase)


class _Passing:
    """The context of a phase."""

    def __init__(self, timeline: Timeline, phase: Phase) -> None:
        self._timeline = timeline
        self._phase = phase
        self._began = 0.0
        self._commands = 0

    def __enter__(self) -> None:
        self._timeline.current = self._phase
        self._commands = self._timeline.commands
        self._began = Clock()

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        ok = error is None
        if self._phase not in _OF_COMMANDS or self._timeline.commands > self._commands:
            self._timeline.laps.append(Lap(self._phase, Clock() - self._began, ok))
        if isinstance(error, ProbeError):
            self._timeline.failed = self._timeline.failed or self._phase
        # Kept after an error or a signal: it is reported where the run was stopped.
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
    """The readable facts of one certificate."""

    not_before: "datetime | None"
    not_after: "datetime | None"
    subject: Printable | None = None
    issuer: Printable | None = None
    names: tuple[Printable, ...] = ()
    names_left_out: int = 0
    other_names: tuple[str, ...] | None = ()
    """The kinds of alternative names that name no host; None where they are unreadable."""
    serial: Printable | None = None
    fingerprint: Printable | None = None
    """SHA-256 of the certificate, in hexadecimal."""
    public_key: Printable | None = None
    """SHA-256 of the public key (SubjectPublicKeyInfo), in hexadecimal."""
    key: Printable | None = None
    """As text: `RSA 2048`."""
    key_bits: int | None = None
    """Bits of an RSA key, or of an RSA key of the same strength."""
    weakness: Printable | None = None
    is_self_issued: bool = False
    """Whether issuer and subject are the same, as in root certificates."""
    issuer_names: tuple[str, ...] = ()
    """The issuer's name and its parts, not sanitised, for comparing only; `issuer` is shown."""
    unreadable: tuple[Printable, ...] = ()
    """The attributes that could not be read."""

    @property
    def lifetime(self) -> "timedelta | None":
        """The time for which it was issued; None where a date is unreadable."""
        return self.not_after - self.not_before if self.not_after and self.not_before else None

    def days_left(self, clock: float) -> float | None:
        """Return the days from `clock`, in seconds since the epoch, until it expires.

        Negative if it has expired; None if the date is unreadable.
        """
        return (self.not_after.timestamp() - clock) / 86400 if self.not_after else None

    def masked(self, mask: Sanitiser) -> "CertificateFacts":
        """Return the same facts, with `mask` applied to the names."""
        return self.replace(
            subject=self.subject and mask(self.subject),
            issuer=self.issuer and mask(self.issuer),
            names=tuple(map(mask, self.names)),
        )


def named(name: str | None) -> str:
    """Return a name or another text of a certificate, also where it could not be read."""
    return "(unreadable)" if name is None else name or "(empty)"


class Chain(Record):
    """The certificates of one handshake."""

    sent: tuple[CertificateFacts, ...] = ()
    """In the order sent, the server certificate first."""
    left_out: int = 0
    """Number of certificates sent beyond those that are read."""
    path: tuple[CertificateFacts, ...] = ()
    """From the server certificate to the trust anchor if the chain was verified; otherwise as far
    as the certificates sent name each other as issuer."""
    is_verified: bool = False
    is_anchored: bool = False
    """Whether the path ends in the local trust store, also if it was rejected."""
    defects: tuple[Printable, ...] = ()
    """Violations of RFC 5280 in a verified chain."""
    rejection: Printable | None = None
    """Why OpenSSL rejected it, where the certificates tell more than its error."""
    cure: Printable | None = None
    """What to try, where that tells more than the kind of the failure."""

    @property
    def leaf(self) -> CertificateFacts | None:
        """The server certificate."""
        return self.sent[0] if self.sent else None

    def is_in_store(self, facts: CertificateFacts) -> bool:
        """Return whether a certificate of the path comes from the local trust store."""
        return facts not in self.sent or (self.is_anchored and facts == self.path[-1])

    @property
    def first_issuer_to_end(self) -> CertificateFacts | None:
        """The CA certificate of the chain that expires first."""
        return first_to_end(self.path[1:], lambda each: each)

    @property
    def first_intermediate_to_end(self) -> CertificateFacts | None:
        """The same without the root, which the server's administrator cannot renew."""
        issuers = [each for each in self.path[1:] if not each.is_self_issued]
        return first_to_end(issuers, lambda each: each)


def first_to_end(
    owners: "Iterable[_T]", certificate: "Callable[[_T], CertificateFacts | None]"
) -> "_T | None":
    """Return the owner of the certificate that expires first, of those with a readable date."""
    first, end = None, None
    for owner in owners:
        facts = certificate(owner)
        if facts and facts.not_after and (end is None or facts.not_after < end):
            first, end = owner, facts.not_after
    return first


class TlsFacts(Record):
    """A TLS handshake: the negotiated parameters, and the chain as sent."""

    version: str | None
    cipher: str | None
    sent: tuple[bytes, ...]
    """DER, the server certificate first."""
    path: tuple[bytes, ...]
    """DER, from the server certificate to the trust anchor, or as far as OpenSSL found issuers if
    it was rejected; empty without verification."""
    verified: bool
    """Whether chain and name were both verified."""
    verify_code: int = 0
    """OpenSSL's X509_V_ERR_* if it has rejected the path."""
    trusted: tuple[bytes, ...] = ()
    """DER of CAs in the trust store, where the issuer of a rejected path was not found."""


class MailboxFacts(Record):
    """The reply to STAT (RFC 1939 section 5): number of messages, their bytes."""

    messages: int
    octets: int


class MessageDates(Record):
    """When messages arrived, by their headers."""

    read: int
    """Number of messages whose headers were read."""
    undated: int = 0
    """Number of those that have no usable date."""
    newest: float | None = None
    """Seconds since the epoch, as `oldest`; None where no message has a usable date."""
    oldest: float | None = None


class ProbeFacts(Record):
    """The own probes in a mailbox."""

    found: int
    newest: float | None = None
    """When the newest was sent, in seconds since the epoch."""
    accepted: float | None = None
    """When a server received it, by that server's clock."""
    has_awaited: bool = False
    bounces: int = 0
    left_out: int = 0
    """Number of messages that were not read."""


class DeliveryFacts(Record):
    """A round trip."""

    clock: float
    """Seconds since the epoch when the mailbox was looked through."""
    newest: float | None = None
    """When the newest probe found then was sent."""
    smtp: Lap | None = None
    failure: Failure | None = None
    """Why no probe was submitted."""
    is_sent: bool = False
    is_judged: bool = False
    """Whether the age of the newest probe is evaluated: not if none could be sent."""
    is_awaited: bool = False
    seconds: float | None = None
    """From the submission of the probe of this run to the session that found it."""
    note: Printable | None = None

    @property
    def age(self) -> float | None:
        """Seconds since the newest probe found was sent."""
        return None if self.newest is None else max(0.0, self.clock - self.newest)


class Note(Record):
    """A fact to report that did not end the session."""

    kind: Kind
    text: Printable
    is_failure: bool = False
    """Whether it ended a side probe."""
    is_shortage: bool = False
    """Whether that was a lack of resources of this machine."""


class Session:
    """The facts of one session with one address; filled in by `probe`, read-only afterwards.

    Unlike the other records it can be changed, so that the facts before a failure are kept.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.timeline = Timeline()
        self.began: float | None = None
        """Instant of the connection's first packet, as all instants by `Clock`."""
        self.ended: float | None = None
        """Instant of the last evaluated reply."""
        self.greeting: bytes | None = None
        """As received, for APOP and comparisons; `greeting_shown` is shown."""
        self.greeting_shown = printable("")
        self.capabilities: tuple[Printable, ...] | None = None
        """The lines, to be shown; `offered` has the tags."""
        self.offered: frozenset[tuple[str, str | None]] | None = None
        """Tags alone and with each argument, in the last list; STLS also if it was used."""
        self.tls: TlsFacts | None = None
        self.cert_type: str | None = None
        """The key type of the only certificates offered, in a session that is only a handshake."""
        self.of_other_types: list[Session] = []
        """Sessions with one `cert_type` each, whose certificate is another one than this."""
        self.chain = Chain()
        self.mailbox: MailboxFacts | None = None
        self.dates: MessageDates | None = None
        """None unless the age of messages is wanted."""
        self.probes: ProbeFacts | None = None
        """None unless a round trip is wanted."""
        self.login_began = False
        self.may_log_in_again = False
        """Whether the login failed, but not by its secret: none was sent, or a response code says
        so. One without an answer may not be repeated: a server may take 7 s to reject one."""
        self.logged_in_as: Printable | None = None
        self.replies_hidden = False
        """Whether replies to the login are shown by response code only: the secret is too short
        to be masked."""
        self.transcript: list[Printable] = []
        self.notes: list[Note] = []
        self.protocol_warnings: list[Printable] = []
        """Tolerated deviations from the protocol."""
        self.failure: Failure | None = None
        self.is_over = False
        """Whether it ended by the deadline, with or without a failure."""

    @property
    def has_open_login(self) -> bool:
        """Whether a login began that the server has not accepted."""
        return self.login_began and self.logged_in_as is None


class Observation(Record):
    """One fact to evaluate, and the session that it comes from, if any."""

    session: Session | None
    fact: "Any"
    """A Failure, Note, Chain, MessageDates or DeliveryFacts; the greeting, as bytes; or the
    capabilities offered, as a frozenset."""


class Report(Record):
    """All facts of one attempt."""

    sessions: tuple[Session, ...]
    """In the order tried. If one address is enough, the last one is the one that worked, or the
    one that reached the most phases."""
    evaluated: tuple[Session, ...]
    """Those that the result is about: the last one, or all of them with --all-addresses."""
    resolve: Lap | None
    failure: Failure | None
    """Why the attempt failed, if not because of a session."""
    elapsed: float | None
    """Seconds from the DNS lookup to the last evaluated reply."""
    clock: float
    """Seconds since the epoch when the attempt ended, by the local clock."""
    deployed: tuple[CertificateFacts, ...] = ()
    """The certificates of the file that must contain the server certificate."""
    addresses: tuple[Address, ...] = ()
    """All addresses of the name, including those that were not tried."""
    notes: tuple[Printable, ...] = ()
    """Remarks on this machine's files and the secret."""
    delivery: DeliveryFacts | None = None

    @property
    def now(self) -> "datetime":
        """The time that certificate dates are compared with (UTC)."""
        from datetime import datetime, timezone

        return datetime.fromtimestamp(self.clock, timezone.utc)

    @property
    def with_certificates(self) -> list[Session]:
        """The evaluated sessions, and those with the certificates of other key types."""
        return [each for session in self.evaluated for each in (session, *session.of_other_types)]

    @property
    def failed_before(self) -> list[Session]:
        """The sessions that failed before another one got an answer, so that they cost time."""
        last = self.evaluated[-1] if self.evaluated else None
        if last is None or last.ended is None or len(self.evaluated) == len(self.sessions):
            return []
        began = last.began or 0.0
        return [
            each for each in self.sessions if each.failure and each.began and each.began < began
        ]

    @property
    def shortage(self) -> Printable | None:
        """What this machine lacked, so that the report tells too little about the server."""
        failures = [self.failure, *(session.failure for session in self.sessions)]
        notes = [note for session in self.sessions for note in session.notes]
        found = [each.message for each in failures if each and each.is_shortage]
        return next(iter(found + [note.text for note in notes if note.is_shortage]), None)

    def first_to_end(self) -> "tuple[Session | None, Session | None]":
        """Return the sessions whose server certificate and whose intermediate expire first."""
        sessions = self.with_certificates
        return (
            first_to_end(sessions, lambda each: each.chain.leaf),
            first_to_end(sessions, lambda each: each.chain.first_intermediate_to_end),
        )

    def seconds(self) -> dict[Phase, float]:
        """Return the seconds of each measured phase that was reached, in order.

        Those of a repeated phase are added up; of several addresses the slowest counts.
        """
        seconds = {Phase.RESOLVE: self.resolve.seconds} if self.resolve else {}
        if self.failed_before:
            began = [each.began for each in (*self.failed_before, *self.evaluated) if each.began]
            seconds[Phase.FAILED] = max(began) - min(began)
        for session in self.evaluated:
            spent: dict[Phase, float] = {}
            for lap in session.timeline.laps:
                spent[lap.phase] = spent.get(lap.phase, 0.0) + lap.seconds
            for phase, taken in spent.items():
                seconds[phase] = max(taken, seconds.get(phase, 0.0))
        if self.delivery and self.delivery.smtp:
            seconds[Phase.SMTP] = self.delivery.smtp.seconds
        return {phase: seconds[phase] for phase in MEASURED if phase in seconds}
