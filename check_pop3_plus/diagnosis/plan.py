"""Which steps fit which failure: one table of steps, and one of failures.

A new step is a row in STEPS and, unless it is only for `--diagnose=TOPIC`, a place in FITTING.
Once a login has begun, no step connects to the server: a server that counts failures must not
see more connections.
"""

from collections.abc import Callable, Iterable
from enum import Enum

from check_pop3_plus.diagnosis import steps
from check_pop3_plus.diagnosis.findings import Problem
from check_pop3_plus.diagnosis.steps import Surroundings, Work
from check_pop3_plus.messages.certificates import REJECTIONS
from check_pop3_plus.model.failures import Kind, Phase
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.report import Report
from check_pop3_plus.model.settings import Security, Settings, Subject
from check_pop3_plus.options.validators import is_numeric


class Need(Enum):
    """A requirement of a step."""

    NAME = "a host name, not a numeric address"
    SERVER = "an address, and no login that has begun and not succeeded"
    TLS = "a check that uses TLS"
    OPEN_QUESTION = "a port that has not spoken TLS yet"


class Step(Record):
    """One step of a diagnosis."""

    name: str
    """As printed where it is skipped."""
    topic: Subject
    """Its name in `--diagnose=LIST`."""
    seconds: float
    """Time limit."""
    needs: tuple[Need, ...]
    work: Callable[[Surroundings], Iterable[Work]]

    @property
    def connects(self) -> bool:
        """Whether its pieces connect to the server."""
        return self.topic in (Subject.TCP, Subject.TLS, Subject.DIALOG)


LOOKUPS = Step(
    "lookup of each address family",
    Subject.DNS,
    6.0,  # the system's resolver asks a second time after 5
    (Need.NAME,),
    steps.lookups,
)
NAME_SERVERS = Step("name servers", Subject.DNS, 2.0, (Need.NAME,), steps.name_servers)
DIG = Step("dig", Subject.DNS, 4.0, (Need.NAME,), steps.program("dig"))
CONNECTIONS = Step(
    "connections to each address",
    Subject.TCP,
    4.0,  # a lost SYN is sent again after 1 and 3
    (Need.SERVER,),
    steps.connections,
)
OTHER_PORTS = Step("other POP3 ports", Subject.TCP, 4.0, (Need.SERVER,), steps.other_ports)
HANDSHAKE = Step(
    "TLS on this port", Subject.TLS, 4.0, (Need.SERVER, Need.OPEN_QUESTION), steps.handshake
)
VERSIONS = Step("TLS versions", Subject.TLS, 4.0, (Need.SERVER, Need.TLS), steps.tls_versions)
GREETING = Step("greeting of this port", Subject.DIALOG, 4.0, (Need.SERVER,), steps.greeting)
PING = Step("ping", Subject.PING, 5.0, (Need.SERVER,), steps.program("ping"))
TRACE = Step(
    "mtr or traceroute", Subject.TRACE, 12.0, (Need.SERVER,), steps.program("mtr", "traceroute")
)

STEPS = (
    *(LOOKUPS, NAME_SERVERS, DIG),
    *(CONNECTIONS, OTHER_PORTS),
    *(HANDSHAKE, VERSIONS),
    *(GREETING, PING, TRACE),
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
