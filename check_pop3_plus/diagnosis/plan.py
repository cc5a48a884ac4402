"""Which steps fit which failure: one table of steps, and one of failures.

A new step is a row in STEPS and, unless it is only for `--diagnose=TOPIC`, a place in FITTING.
Once a login has begun, no step connects to the server: a server that counts failures must not
see more connections.
"""

from collections.abc import Callable, Iterable, Iterator
from enum import Enum

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.diagnosis import steps
from check_pop3_plus.diagnosis.findings import Fact, Problem
from check_pop3_plus.diagnosis.steps import Surroundings
from check_pop3_plus.messages.certificates import REJECTIONS
from check_pop3_plus.model.failures import Kind, Phase
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.report import Report
from check_pop3_plus.model.settings import Security, Settings, Subject
from check_pop3_plus.net import transport
from check_pop3_plus.options.validators import is_numeric
from check_pop3_plus.support.deadline import Deadline

if TYPE_CHECKING:
    from typing import Any


class Need(Enum):
    """A requirement of a step."""

    NAME = "a host name, not a numeric address"
    SERVER = "an address, and no login that has begun and not succeeded"
    TLS = "a check that uses TLS"
    OPEN_QUESTION = "a port that has not spoken TLS yet"


class Step(Record):
    name: str
    """As printed where it is skipped."""
    topic: Subject
    """Its name in `--diagnose=LIST`."""
    seconds: float
    """Time limit."""
    needs: tuple[Need, ...]
    work: "Callable[[Surroundings, Any, Deadline], Iterator[Fact]]"
    objects: "Callable[[Surroundings], Iterable[Any]]" = lambda around: (around.address,)
    """What it is done with, one beside the other."""

    @property
    def connects(self) -> bool:
        """Whether its pieces connect to the server."""
        return self.topic in (Subject.TCP, Subject.TLS, Subject.DIALOG)


# The resolver of the system asks a second time after 5 s; a lost SYN is sent again after 1 and 3.
# fmt: off
LOOKUPS = Step("lookup of each address family", Subject.DNS, 6.0, (Need.NAME,), steps.look_up, lambda _: steps.FAMILIES)
NAME_SERVERS = Step("name servers", Subject.DNS, 2.0, (Need.NAME,), steps.query, lambda _: steps.name_servers())
DIG = Step("dig", Subject.DNS, 4.0, (Need.NAME,), steps.run_program, lambda _: [("dig",)])
CONNECTIONS = Step("connections to each address", Subject.TCP, 4.0, (Need.SERVER,), steps.connect, lambda around: around.addresses[: transport.ADDRESS_LIMIT])
OTHER_PORTS = Step("other POP3 ports", Subject.TCP, 4.0, (Need.SERVER,), steps.try_port, lambda around: [around.address.replace(port=port) for port in (110, 995) if port != around.target.port])
HANDSHAKE = Step("TLS on this port", Subject.TLS, 4.0, (Need.SERVER, Need.OPEN_QUESTION), steps.shake_hands)
VERSIONS = Step("TLS versions", Subject.TLS, 4.0, (Need.SERVER, Need.TLS), steps.offer, lambda _: steps.VERSIONS)
GREETING = Step("greeting of this port", Subject.DIALOG, 4.0, (Need.SERVER,), steps.greet)
PING = Step("ping", Subject.PING, 5.0, (Need.SERVER,), steps.run_program, lambda _: [("ping",)])
TRACE = Step("mtr or traceroute", Subject.TRACE, 12.0, (Need.SERVER,), steps.run_program, lambda _: [("mtr", "traceroute")])
# fmt: on

STEPS = (
    *(LOOKUPS, NAME_SERVERS, DIG, CONNECTIONS, OTHER_PORTS, HANDSHAKE, VERSIONS, GREETING),
    *(PING, TRACE),
)
"""In the order of `Subject`."""

_ROUTE = (LOOKUPS, CONNECTIONS, OTHER_PORTS, PING)

FITTING: dict[tuple[Phase | None, Kind | None], tuple[Step, ...]] = {
    (Phase.RESOLVE, None): (LOOKUPS, NAME_SERVERS, DIG),
    (Phase.CONNECT, None): (*_ROUTE, TRACE),
    (Phase.CONNECT, Kind.REFUSED): _ROUTE,
    (Phase.TLS, None): (CONNECTIONS, OTHER_PORTS, GREETING, VERSIONS),
    # The certificate has been read and explained.
    **{(Phase.TLS, kind): (VERSIONS,) for kind in REJECTIONS},
    (Phase.TLS, Kind.NAME): (LOOKUPS, VERSIONS),
    (Phase.TLS, Kind.TIMEOUT): (OTHER_PORTS, GREETING, VERSIONS, PING),
    (Phase.TLS, Kind.OLD_TLS): (VERSIONS,),
    (Phase.TLS, Kind.CLIENT_CERTIFICATE): (VERSIONS,),
    (Phase.GREETING, None): (CONNECTIONS, OTHER_PORTS, GREETING, HANDSHAKE),
    (Phase.GREETING, Kind.TIMEOUT): (OTHER_PORTS, GREETING, HANDSHAKE, PING),
    (Phase.CAPA, None): (OTHER_PORTS, GREETING),
    (Phase.STLS, None): (OTHER_PORTS, GREETING),
    (None, Kind.SLOW): (LOOKUPS, NAME_SERVERS, CONNECTIONS, PING),
}
"""By phase and kind of the failure; a kind of None stands for all others of the phase."""

ABOUT_DATES = frozenset((Kind.EXPIRED, Kind.NOT_YET_VALID, Kind.EXPIRING))
"""Kinds that may come from the wrong clock."""


def problem_of(report: Report, kinds: tuple[Kind, ...]) -> Problem:
    """Return the problem to explain: the first failure that the verdict is about."""
    if report.failure:
        return Problem(report.failure.phase, report.failure.kind, None)
    for session in report.evaluated:
        if session.failure:
            return Problem(session.failure.phase, session.failure.kind, session)
    sessions = report.evaluated[-1:]
    return Problem(None, kinds[0] if kinds else None, sessions[0] if sessions else None)


def steps_for(settings: Settings, report: Report, problem: Problem) -> tuple[Step, ...]:
    """Return the steps that fit the failure, or those that the user picked."""
    picked = settings.diagnosis or frozenset()
    if picked:
        wanted = [step for step in STEPS if step.topic in picked]
    else:
        phase, kind = problem.phase, problem.kind
        wanted = list(FITTING.get((phase, kind)) or FITTING.get((phase, None)) or ())
    met = _met_needs(settings, report, problem)
    return tuple(step for step in wanted if met.issuperset(step.needs))


def _met_needs(settings: Settings, report: Report, problem: Problem) -> set[Need]:
    security = settings.tls.security
    has_open_login = any(session.has_open_login for session in report.sessions)
    is_met = {
        Need.NAME: not is_numeric(settings.target.connect_to or settings.target.hostname),
        Need.SERVER: problem.session is not None and not has_open_login,
        Need.TLS: security is not Security.PLAIN,
        Need.OPEN_QUESTION: security is not Security.IMPLICIT or problem.phase is Phase.TLS,
    }
    return {need for need, fits in is_met.items() if fits}
