"""Find out why: a failed report, and the time that is left, into findings.

Nothing here judges, and nothing here needs a secret. All steps run side by side, in daemon
threads, each with a limit of its own within the deadline; what is late is left behind and named.
Once a login has begun, no further connection is opened: a server that counts failures must not
see more of us. Loaded only after a failure.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from functools import partial

from check_pop3_plus.certificate import reader
from check_pop3_plus.diagnosis import tools
from check_pop3_plus.diagnosis.findings import (
    Fact,
    Findings,
    Greeting,
    Handshake,
    Lookup,
    Matter,
    NameServer,
    TcpConnection,
    Tool,
    Version,
)
from check_pop3_plus.model import sanitised_text
from check_pop3_plus.model.failures import Failure, Kind, Phase, ProbeError
from check_pop3_plus.model.report import Address, Report, Session
from check_pop3_plus.model.sanitised_text import Printable
from check_pop3_plus.model.settings import Family, Security, Settings, Subject
from check_pop3_plus.model.stopped import Stopped
from check_pop3_plus.net import dns_query, legacy_client_hello, resolve, tls, transport
from check_pop3_plus.net.transport import Stream
from check_pop3_plus.options.validators import is_numeric
from check_pop3_plus.probe import side_probes
from check_pop3_plus.probe.connection import Connection, capabilities, quit_session, read_greeting
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.support import files
from check_pop3_plus.support.deadline import Clock, Deadline

VERSIONS = ("1.0", "1.1", "1.2", "1.3")

LINES_LIMIT = 24
"""Lines kept of what a program prints."""

_GRACE_SECONDS = 0.1
"""How long a step may take, after its limit, to write down what it has found."""

RESOLV_CONF = "/etc/resolv.conf"


class Step(Enum):
    """One thing to find out; the value names it where it is skipped."""

    LOOKUPS = "look-up of each family"
    NAME_SERVERS = "name servers"
    DIG = "dig"
    CONNECTIONS = "connections to each address"
    OTHER_PORTS = "other ports of POP3"
    GREETING = "plain text on this port"
    HANDSHAKE = "TLS on this port"
    VERSIONS = "versions of TLS"
    PING = "ping"
    TRACE = "mtr or traceroute"


SUBJECTS = {
    Subject.DNS: (Step.LOOKUPS, Step.NAME_SERVERS, Step.DIG),
    Subject.TCP: (Step.CONNECTIONS, Step.OTHER_PORTS),
    Subject.TLS: (Step.HANDSHAKE, Step.VERSIONS),
    Subject.DIALOG: (Step.GREETING,),
    Subject.PING: (Step.PING,),
    Subject.TRACE: (Step.TRACE,),
}
"""What the words of `--diagnose=LIST` stand for."""

_ON_THE_WAY = (Step.LOOKUPS, Step.CONNECTIONS, Step.OTHER_PORTS, Step.PING)

STEPS: dict[tuple[Phase | None, Kind | None], tuple[Step, ...]] = {
    (Phase.RESOLVE, None): SUBJECTS[Subject.DNS],
    (Phase.CONNECT, None): (*_ON_THE_WAY, Step.TRACE),
    (Phase.CONNECT, Kind.REFUSED): _ON_THE_WAY,
    (Phase.TLS, None): (Step.CONNECTIONS, Step.OTHER_PORTS, Step.GREETING, Step.VERSIONS),
    (Phase.TLS, Kind.NAME): (Step.LOOKUPS, Step.VERSIONS),
    (Phase.TLS, Kind.TIMEOUT): (Step.OTHER_PORTS, Step.GREETING, Step.VERSIONS, Step.PING),
    (Phase.GREETING, None): (
        *(Step.CONNECTIONS, Step.OTHER_PORTS),
        *(Step.GREETING, Step.HANDSHAKE),
    ),
    (Phase.GREETING, Kind.TIMEOUT): (Step.OTHER_PORTS, Step.HANDSHAKE, Step.PING),
    (Phase.CAPA, None): (Step.OTHER_PORTS, Step.GREETING),
    (Phase.STLS, None): (Step.OTHER_PORTS, Step.GREETING),
    (None, Kind.SLOW): (Step.LOOKUPS, Step.NAME_SERVERS, Step.CONNECTIONS, Step.PING),
}
"""What fits a failure, by phase and kind; a kind of None stands for all others of the phase."""

# The certificate has been seen, and so has what is wrong with it.
_SEEN = (Kind.EXPIRED, Kind.NOT_YET_VALID, Kind.UNTRUSTED, Kind.WEAK, Kind.PIN, Kind.NOT_STRICT)
_ABOUT_TERMS = (Kind.OLD_TLS, Kind.CLIENT_CERTIFICATE)
STEPS |= {(Phase.TLS, kind): (Step.VERSIONS,) for kind in (*_SEEN, *_ABOUT_TERMS)}

SECONDS = {
    Step.LOOKUPS: 6.0,  # the system's library asks a second time after 5
    Step.NAME_SERVERS: 2.0,
    Step.DIG: 4.0,
    Step.CONNECTIONS: 4.0,  # a lost SYN is sent again after 1 and 3
    Step.OTHER_PORTS: 4.0,
    Step.GREETING: 4.0,
    Step.HANDSHAKE: 4.0,
    Step.VERSIONS: 4.0,
    Step.PING: 5.0,
    Step.TRACE: 12.0,
}
"""Longest time of each step, where there is so much."""

_WITHOUT_SERVER = SUBJECTS[Subject.DNS]
"""Steps that send nothing to the server itself."""


def matter(report: Report, kinds: tuple[Kind, ...]) -> Matter:
    """Return what is to be explained: the first of the failures that the verdict is about."""
    if report.failure:
        return Matter(report.failure.phase, report.failure.kind, None)
    for session in report.evaluated:
        if session.failure:
            return Matter(session.failure.phase, session.failure.kind, session)
    sessions = report.evaluated[-1:]
    return Matter(None, kinds[0] if kinds else None, sessions[0] if sessions else None)


def plan(settings: Settings, report: Report, kinds: tuple[Kind, ...]) -> tuple[Step, ...]:
    """Return the steps that fit the failure, or those that the user has picked."""
    about = matter(report, kinds)
    phase, kind, session = about.phase, about.kind, about.session
    picked = settings.diagnosis or frozenset()
    steps = [step for subject in Subject if subject in picked for step in SUBJECTS[subject]]
    if not picked:
        steps = list(STEPS.get((phase, kind)) or STEPS.get((phase, None)) or ())
    left_out: set[Step] = set()
    if is_numeric(settings.target.connect_to or settings.target.hostname):
        left_out |= {*SUBJECTS[Subject.DNS]}
    if session is None or any(each.has_open_login for each in report.sessions):
        left_out |= {*Step} - {*_WITHOUT_SERVER}
    if settings.tls.security is Security.IMPLICIT and phase is not Phase.TLS:
        left_out |= {Step.HANDSHAKE, Step.GREETING}  # TLS it is
    if settings.tls.security is Security.PLAIN:
        left_out.add(Step.VERSIONS)
    return tuple(step for step in steps if step not in left_out)


def run(
    prerequisites: Prerequisites, report: Report, kinds: tuple[Kind, ...], deadline: Deadline
) -> Findings:
    """Return what could be found out by the deadline; never raises."""
    steps = plan(prerequisites.settings, report, kinds)
    diagnosis = _Diagnosis(prerequisites, report, matter(report, kinds), deadline)
    if not deadline.left():
        diagnosis.skip(steps, "no time left")
        return diagnosis.findings()
    try:
        diagnosis.start(steps)
        diagnosis.wait()
    except Stopped:
        diagnosis.skip(diagnosis.pending(), "stopped from outside")
    finally:
        diagnosis.stop()
    return diagnosis.findings()


class _Diagnosis:
    """A diagnosis while it goes on."""

    def __init__(
        self, prerequisites: Prerequisites, report: Report, about: Matter, deadline: Deadline
    ) -> None:
        self.prerequisites = prerequisites
        self.settings = prerequisites.settings
        self.report = report
        self.about = about
        self.address = about.session.address if about.session else None
        self.deadline = deadline
        self.tools = tools.Tools()
        self._facts: list[Fact] = []
        self._skipped: list[Printable] = []
        self._streams: list[Stream] = []
        self._threads: list[threading.Thread] = []
        self._pending: list[Step] = []

    def findings(self) -> Findings:
        return Findings(self.about, tuple(self._facts), tuple(dict.fromkeys(self._skipped)))

    def start(self, steps: tuple[Step, ...]) -> None:
        for step in steps:
            for work in self._works(step):
                thread = threading.Thread(target=self._do, args=(step, work), daemon=True)
                self._pending.append(step)
                try:
                    thread.start()
                except RuntimeError:
                    self._pending.remove(step)
                    self.skip((step,), "no thread can be started")
                else:
                    self._threads.append(thread)

    def wait(self) -> None:
        """Wait for all of them, and name those that are late."""
        for thread in self._threads:
            thread.join(self.deadline.left())
        self.skip(self.pending(), "not finished in time")

    def stop(self) -> None:
        """End what still goes on: programs, and calls of OpenSSL that a server keeps busy."""
        self.tools.stop()
        for stream in self._streams:
            stream.abort()

    def pending(self) -> tuple[Step, ...]:
        # Not by asking the threads: one that a signal has interrupted the waiting for says
        # that it has ended (bpo-45274).
        return tuple(self._pending)

    def skip(self, steps: Iterable[Step], reason: str) -> None:
        self._skipped += [Printable(f"{step.value}: {reason}") for step in steps]

    def _do(self, step: Step, work: Callable[[Deadline], object]) -> None:
        """Do one piece of work; whatever goes wrong in it, the verdict stands."""
        try:
            work(Deadline(self.deadline.at - _GRACE_SECONDS).within(SECONDS[step]))
        except ProbeError as error:
            self.skip((step,), self.prerequisites.sanitise(error.message))
        except BaseException as error:  # signals are the main thread's
            self.skip((step,), f"internal error ({type(error).__name__})")
        finally:
            self._pending.remove(step)

    def _works(self, step: Step) -> Iterator[Callable[[Deadline], object]]:
        """Yield the pieces of work that a step consists of: they run side by side, too."""
        match step:
            case Step.LOOKUPS:
                yield from (partial(self._look_up, each) for each in (Family.IPV4, Family.IPV6))
            case Step.NAME_SERVERS:
                yield from (partial(self._ask, server) for server in self._name_servers())
            case Step.CONNECTIONS:
                addresses = self.report.addresses[: transport.ADDRESS_LIMIT]
                yield from (partial(self._connect, address) for address in addresses)
            case Step.OTHER_PORTS:
                ports = {110, 995} - {self.settings.target.port}
                yield from (partial(self._try_port, port) for port in sorted(ports))
            case Step.GREETING if self.address:
                yield partial(self._listen, self.address)
            case Step.HANDSHAKE if self.address:
                yield partial(self._shake_hands, self.address)
            case Step.VERSIONS:
                yield from (partial(self._offer, version) for version in VERSIONS)
            case Step.PING:
                yield partial(self._run_tool, step, ("ping",))
            case Step.TRACE:
                yield partial(self._run_tool, step, ("mtr", "traceroute"))
            case Step.DIG:
                yield partial(self._run_tool, step, ("dig",))

    # --- names ----------------------------------------------------------------------------

    def _look_up(self, family: Family, limit: Deadline) -> None:
        name = {Family.IPV4: "IPv4", Family.IPV6: "IPv6"}[family]
        began = Clock()
        try:
            found = resolve.look_up(self.settings.target.replace(family=family), limit)
        except ProbeError as error:
            self._facts.append(Lookup(name, Clock() - began, (), error.failure()))
        else:
            self._facts.append(Lookup(name, Clock() - began, found))

    def _name_servers(self) -> tuple[str, ...]:
        try:
            return dns_query.servers(files.read_file(RESOLV_CONF, "resolver configuration"))
        except ProbeError as error:
            self.skip((Step.NAME_SERVERS,), error.message)
            return ()

    def _ask(self, server: str, limit: Deadline) -> None:
        target = self.settings.target
        kind = dns_query.AAAA if target.family is Family.IPV6 else dns_query.A
        number = int.from_bytes(os.urandom(2), "big")
        query = dns_query.query(target.connect_to or target.hostname, kind, number)
        shown, began = sanitised_text.sanitise(server), Clock()
        try:
            answer = dns_query.parse(transport.ask_name_server(server, query, limit), number)
            if answer is None:
                raise ProbeError(Kind.GARBLED, Printable("sent no DNS answer"))
        except ProbeError as error:
            self._facts.append(NameServer(shown, Clock() - began, failure=error.failure()))
        else:
            self._facts.append(NameServer(shown, Clock() - began, answer.code, answer.records))

    # --- ports ----------------------------------------------------------------------------

    def _connect(self, address: Address, limit: Deadline) -> Failure | None:
        began = Clock()
        failure = None
        try:
            transport.connect(address, self.settings.target.source_address, limit).close()
        except ProbeError as error:
            failure = error.failure()
        self._facts.append(TcpConnection(address, Clock() - began, failure))
        return failure

    def _try_port(self, port: int, limit: Deadline) -> None:
        """Find out whether POP3 is there, on a port that is meant for it."""
        assert self.address is not None  # noqa: S101 - else it is not planned
        address = self.address.replace(port=port)
        if self._connect(address, limit) is None:
            (self._shake_hands if port == 995 else self._listen)(address, limit)

    @contextmanager
    def _talk(self, address: Address, limit: Deadline) -> Iterator[Connection]:
        stream = transport.connect(address, self.settings.target.source_address, limit)
        self._streams.append(stream)
        connection = Connection(
            stream, self.settings, Session(address), self.prerequisites.sanitise
        )
        try:
            yield connection
        finally:
            if connection.is_usable:
                quit_session(connection)
            stream.close()

    def _listen(self, address: Address, limit: Deadline) -> None:
        """Read a greeting in plain text, and ask for capabilities."""
        said = offered = failure = None
        try:
            with self._talk(address, limit) as connection:
                read_greeting(connection)
                said = connection.session.greeting_shown
                capabilities(connection)
                offered = connection.session.capabilities
        except ProbeError as error:
            failure = error.failure()
        self._facts.append(Greeting(address, said, offered, failure))

    def _shake_hands(self, address: Address, limit: Deadline) -> None:
        """Try TLS from the first byte, on any terms. No POP3 byte follows."""
        version, chain, failure = None, None, None
        try:
            with self._talk(address, limit) as connection:
                connection.start_tls(tls.legacy_context())
                facts = connection.session.tls
                if facts:
                    version = Printable(facts.version or "TLS")
                    chain = reader.read_chain(facts.sent, (), self.prerequisites.sanitise)
        except ProbeError as error:
            failure = error.failure()
        fact = Handshake(address, version, failure=failure)
        self._facts.append(fact.replace(chain=chain) if chain else fact)

    def _offer(self, version: str, limit: Deadline) -> None:
        assert self.address is not None  # noqa: S101 - else it is not planned
        if version in legacy_client_hello.LEGACY_VERSIONS and not tls.can_offer(version):
            self._facts.append(Version(version))
            return
        try:
            with self._talk(self.address, limit) as connection:
                self._facts.append(Version(version, side_probes.agreed_on(connection, version)))
        except ProbeError as error:
            self._facts.append(Version(version, failure=error.failure()))

    # --- other programs -------------------------------------------------------------------

    def _run_tool(self, step: Step, names: tuple[str, ...], limit: Deadline) -> None:
        name, path = next(((name, path) for name in names if (path := tools.find(name))), ("", ""))
        if not path:
            self.skip((step,), "not installed")
            return
        target = self.settings.target
        if step is Step.DIG:
            where = target.connect_to or target.hostname
        else:
            assert self.address is not None  # noqa: S101 - else it is not planned
            zone = f"%{self.address.zone}" if self.address.zone else ""
            where = self.address.host + zone
        options = tools.arguments(name, where, target.source_address)
        output = self.tools.run_tool(path, options, limit)
        # mtr draws its tree with a sign that would become a question mark.
        raw = output.data.replace(b"|", b" ").splitlines()
        lines = [self.prerequisites.sanitise(line) for line in raw]
        shown = tuple(line for line in lines if line)[:LINES_LIMIT]
        self._facts.append(Tool(name, sanitised_text.sanitise(where), output.code, shown))
