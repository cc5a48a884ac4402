"""The result of a check or of a sweep, before it is rendered."""

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.messages.hints import Advice
from check_pop3_plus.model.failures import Kind, Origin, ProbeError, is_shortage
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.report import CertificateFacts
from check_pop3_plus.model.sanitised_text import open_ended, printable, sanitise, shorten
from check_pop3_plus.model.settings import State
from check_pop3_plus.model.stopped import uncaught

if TYPE_CHECKING:
    from check_pop3_plus.support.masking import Masker

STATUS_LIMIT = 200
"""Characters of line 1 before the performance data (contract, section 3)."""

SEVERITY = (State.OK, State.UNKNOWN, State.WARNING, State.CRITICAL)
"""Worst last (contract, section 4); the guidelines' numbers would put UNKNOWN last."""


class Figure(Record):
    """One measured number, with its thresholds."""

    label: str
    value: float
    unit: str = ""
    """`s`, `B` or nothing, as in performance data."""
    warning: str | None = None
    """A range of the plugin guidelines."""
    critical: str | None = None
    min: float | None = None
    max: float | None = None


class AddressResult(Record):
    """The outcome of one address; each field is a field of the JSON output."""

    address: str
    port: int
    kind: str | None
    """Of its failure; None if it works."""
    phase: str | None
    reason: str | None
    seconds: float | None


class Verdict(Record):
    """The result that all formats of `output` are made from."""

    state: State
    status: str
    """Without service and state."""
    figures: tuple[Figure, ...] = ()
    lines: tuple[str, ...] = ()
    """The long output behind `advice`."""
    advice: tuple[Advice, ...] = ()
    """What to do about each finding, worst first."""
    is_verbose: bool = False
    """Whether the long output may take more space, because the user asked for details."""
    remarks: tuple[str, ...] = ()
    """Failed attempts and an insecure login; behind the status."""
    place: str | Origin = ""
    """Of a problem: host, port and addresses, or the line of a file with a wrong value."""
    shortage: str = ""
    """What this machine lacked, so that the check tells nothing about the service; or empty."""
    is_repeatable: bool = True
    """Whether the check may be made again, because no login began."""

    kinds: tuple[str, ...] = ()
    """Of all findings, worst first."""
    phase: str | None = None
    """The one that failed."""
    host: str = ""
    """Host and port of the options."""
    port: int | None = None
    service: str = ""
    """Protocol and security: `pop3s`."""
    addresses: tuple[AddressResult, ...] = ()
    certificate: CertificateFacts | None = None
    """The server certificate; of several addresses the one that expires first."""
    intermediate: CertificateFacts | None = None
    """The intermediate certificate that expires first."""
    attempts: tuple[tuple[State, str], ...] = ()
    """State and status of each attempt."""

    @property
    def line(self) -> str:
        """Line 1 without performance data."""
        status = open_ended(self.status) if self.remarks else self.status
        line = f"POP3 {self.state.name} - {status}"
        return shorten(line, STATUS_LIMIT - len(self.suffix)) + self.suffix

    @property
    def suffix(self) -> str:
        """The end of line 1, which is never cut off."""
        place = f" ({self.place})" if self.place else ""
        return "".join(f", {each}" for each in self.remarks) + place

    @property
    def long_output(self) -> tuple[str, ...]:
        """The lines below line 1."""
        of_findings = (line for each in self.advice for line in (*each.hints, each.kind))
        return (*of_findings, *self.lines)

    def masked(self, masker: "Masker") -> "Verdict":
        """Return it with all secrets masked that are known now, in what may repeat a server."""
        mask = masker.mask
        return self.replace(
            status=mask(self.status),
            remarks=tuple(map(mask, self.remarks)),
            place=mask(self.place) if isinstance(self.place, str) else self.place,
            lines=tuple(map(mask, self.lines)),
            advice=tuple(
                Advice(mask(each.kind), tuple(map(mask, each.hints))) for each in self.advice
            ),
            addresses=tuple(
                each.replace(reason=each.reason and mask(each.reason)) for each in self.addresses
            ),
            attempts=tuple((state, mask(status)) for state, status in self.attempts),
        ).with_masked_names(masker)

    def with_masked_names(self, masker: "Masker") -> "Verdict":
        """Return it with the secrets masked in the names in certificates alone."""
        if self.certificate is None:
            return self
        second = self.intermediate
        return self.replace(
            certificate=self.certificate.masked(masker.sanitise),
            intermediate=second and second.masked(masker.sanitise),
        )


def of_error(error: BaseException) -> Verdict:
    """Return the verdict on an error that is about us: UNKNOWN."""
    if isinstance(error, ProbeError):
        kind = error.kind.value
        status = f"{kind}: {error.message}"
        return Verdict(State.UNKNOWN, status, place=error.origin or "", kinds=(kind,))
    kind, message = uncaught(error)
    return Verdict(
        State.UNKNOWN,
        printable("{}: {}", kind, message),
        advice=(Advice(f"kind: {kind}"),),
        shortage=sanitise(message) if kind == Kind.CONFIG.value and is_shortage(error) else "",
        kinds=(kind,),
    )
