"""Measure how late the plugin ends if servers, networks and programs stall or flood it.

The limit of `-t` counts from the first line of the plugin's own code. The start-up time of the
interpreter is measured separately and subtracted; the figures name it.
"""

from __future__ import annotations

import base64
import os
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from check_pop3_plus.diagnosis.tools import TOOLS
from tests.pki.certificates import Pki
from tests.servers import tls_records
from tests.servers.network import SILENT_NAME_SERVER, network, unshared
from tests.servers.scripted_server import (
    Connection,
    ScriptedServer,
    Server,
    Step,
    drip,
    drip_records,
    expect,
    flood,
    hears_hello,
    pause,
    reset,
    say,
    silence,
    start_tls,
)
from tests.servers.token_endpoint import TokenEndpoint
from tests.soak import Figure
from tests.support.command import COMMAND, Timed, timed
from tests.support.faults import BEFORE_TLS, CANARY, GREETING, IN_TLS, flags, honest

LIMITS = (1, 2, 5)
"""Seconds for `-t`."""
MODES = ("plain", "tls", "stls")

LINE_LATE, GONE_LATE = 0.1, 0.25
"""Seconds: the limits for the status line, and for the end of the process."""

TOGETHER = 3
"""Parallel runs of those that only wait."""
TRIES = 3
"""Of a run beyond a limit, because the machine may have been busy."""


class Stage:
    """What a point needs: certificates, a directory, a method to run the plugin."""

    def __init__(self, pki: Pki, folder: Path, limit: float) -> None:
        self.pki = pki
        self.folder = folder
        self.limit = limit

    def check(self, mode: str, server: Server, *arguments: str, login: bool = True) -> Timed:
        """Run the plugin against a server, and measure its time."""
        target = ("-H", "localhost", "--connect-to", server.address, "-p", str(server.port))
        return self.run(*target, *flags(mode, self.pki, login), *arguments)

    def run(self, *arguments: str) -> Timed:
        return timed(*arguments, "-t", str(self.limit), env={"CANARY": CANARY})

    def file(self, name: str, content: str) -> str:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(content)
        return str(path)


class Point(NamedTuple):
    """A point at which something stalls."""

    modes: Sequence[str]
    play: Callable[[Stage, str], Timed]
    is_busy: bool = False
    """Whether it keeps a processor busy, and has to be measured alone."""


POINTS: dict[str, Point] = {}


def point(
    name: str, modes: Sequence[str] = MODES, is_busy: bool = False
) -> Callable[[Callable[[Stage, str], Timed]], None]:
    """Register a function in `POINTS`."""

    def enter(play: Callable[[Stage, str], Timed]) -> None:
        POINTS[name] = Point(modes, play, is_busy)

    return enter


# --- the session -----------------------------------------------------------------------------

USER = [expect(b"USER"), say(b"+OK\r\n")]
LOGIN = [*USER, expect(b"PASS"), say(b"+OK\r\n")]
CAPA_GREETED = [GREETING, expect(b"CAPA")]
UNTIL_STLS = [*CAPA_GREETED, say(BEFORE_TLS), expect(b"STLS"), say(b"+OK begin\r\n")]
SLOWLY = drip(b"+OK " + b"x" * 1000, 0.02)
LINES = flood(b"X-UNKNOWN a b c\r\n" * 1000)

SAID: dict[str, tuple[Step, ...]] = {
    "before the greeting": (silence(),),
    "within the greeting": (say(b"+OK rea"), silence()),
    "greeting drips": (SLOWLY,),
    "after CAPA": (*CAPA_GREETED, silence()),
    "within CAPA": (*CAPA_GREETED, say(b"+OK\r\nUSER\r\nSTLS\r\n"), silence()),
    "CAPA drips": (*CAPA_GREETED, drip(b"+OK\r\n" + b"X-A\r\n" * 400, 0.02)),
}
"""Before the login; with STLS, before TLS."""

ASKED: dict[str, tuple[Step, ...]] = {
    "after USER": (expect(b"USER"), silence()),
    "after PASS": (*USER, expect(b"PASS"), silence()),
    "PASS drips": (*USER, expect(b"PASS"), SLOWLY),
    "after STAT": (*LOGIN, expect(b"STAT"), silence()),
    "within STAT": (*LOGIN, expect(b"STAT"), say(b"+OK 12 3"), silence()),
    "after QUIT": (*LOGIN, expect(b"STAT"), say(b"+OK 1 2\r\n"), expect(b"QUIT"), silence()),
}
"""After the CAPA that a login needs; with TLS, inside it."""


def register_sessions() -> None:
    for name, steps in SAID.items():

        def play(stage: Stage, mode: str, steps: tuple[Step, ...] = steps) -> Timed:
            tls = stage.pki.server("good") if mode == "tls" else None
            with ScriptedServer(steps, tls=tls) as server:
                return stage.check(mode, server)

        point(name)(play)
    for name, steps in ASKED.items():

        def ask(stage: Stage, mode: str, steps: tuple[Step, ...] = steps) -> Timed:
            with ready(stage, mode, *steps) as server:
                return stage.check(mode, server)

        point(name)(ask)


def ready(stage: Stage, mode: str, *steps: Step, offered: bytes = IN_TLS) -> ScriptedServer:
    """Return a server that plays `steps` after the last CAPA."""
    script = [*CAPA_GREETED, say(offered), *steps]
    if mode == "stls":
        script = [*UNTIL_STLS, start_tls(stage.pki.server("good")), *script[1:]]
    tls = stage.pki.server("good") if mode == "tls" else None
    return ScriptedServer(script, tls=tls)


register_sessions()


@point("flood of valid CAPA lines", is_busy=True)
def _(stage: Stage, mode: str) -> Timed:
    tls = stage.pki.server("good") if mode == "tls" else None
    with ScriptedServer([*CAPA_GREETED, say(b"+OK\r\n"), LINES], tls=tls) as server:
        return stage.check(mode, server)


@point("after the CAPA inside TLS", ("stls",))
def _(stage: Stage, mode: str) -> Timed:
    script = [*UNTIL_STLS, start_tls(stage.pki.server("good")), expect(b"CAPA"), silence()]
    with ScriptedServer(script) as server:
        return stage.check(mode, server)


@point("after STLS", ("stls",))
def _(stage: Stage, mode: str) -> Timed:
    with ScriptedServer([*UNTIL_STLS[:-1], silence()]) as server:
        return stage.check(mode, server)


@point("after the challenge of AUTH")
def _(stage: Stage, mode: str) -> Timed:
    offered = b"+OK\r\nSASL LOGIN\r\n.\r\n"
    steps = (expect(b"AUTH"), say(b"+ VXNlcm5hbWU6\r\n"), expect(), silence())
    with ready(stage, mode, *steps, offered=offered) as server:
        return stage.check(mode, server, "--auth", "login")


def scram(iterations: int) -> Step:
    """Send a challenge with this many iterations."""

    def step(connection: Connection) -> None:
        said = connection.line().split()[-1]
        nonce = re.search(rb"r=([^,]+)", base64.b64decode(said))
        assert nonce
        salt = base64.b64encode(b"salt")
        first = b"r=%bmore,s=%b,i=%d" % (nonce[1], salt, iterations)
        connection.send(b"+ " + base64.b64encode(first) + b"\r\n")

    return step


@point("after the last response of SCRAM, with the most iterations", is_busy=True)
def _(stage: Stage, mode: str) -> Timed:
    offered = b"+OK\r\nSASL SCRAM-SHA-256\r\n.\r\n"
    steps = (scram(600_000), expect(), silence())
    with ready(stage, mode, *steps, offered=offered) as server:
        return stage.check(mode, server, "--auth", "scram-sha-256")


@point("never reads a token of 4,000 bytes")
def _(stage: Stage, mode: str) -> Timed:
    token = stage.file("token", "x" * 4000)
    offered = b"+OK\r\nSASL XOAUTH2\r\n.\r\n"
    steps = (expect(b"AUTH"), say(b"+ \r\n"), pause(60))
    with ready(stage, mode, *steps, offered=offered) as server:
        arguments = [*flags(mode, stage.pki), "-U", "monitor", "--allow-insecure-login"]
        arguments += ["--auth", "xoauth2", "--password-file", token]
        target = ("-H", "localhost", "--connect-to", server.address, "-p", str(server.port))
        return stage.run(*target, *arguments)


# --- TLS -------------------------------------------------------------------------------------


def handshake(name: str, *play: Callable[[Pki], Step], is_busy: bool = False) -> None:
    """Register a point at the start of a handshake."""

    def run(stage: Stage, mode: str) -> Timed:
        before = UNTIL_STLS if mode == "stls" else ()
        with ScriptedServer([*before, *(each(stage.pki) for each in play)]) as server:
            return stage.check(mode, server)

    point(name, ("tls", "stls"), is_busy)(run)


def cut(version: str, records: int, count: int) -> Callable[[Pki], Step]:
    """Send this many records of a real server's flight, `count` bytes of the next, then stall."""

    def made(pki: Pki) -> Step:
        def step(connection: Connection) -> None:
            found = tls_records.Flight(connection, pki, version).records()
            connection.socket.sendall(b"".join(found[:records]) + found[records][:count])
            silence()(connection)

        return step

    return made


def dripping(version: str) -> Callable[[Pki], Step]:
    def made(pki: Pki) -> Step:
        def step(connection: Connection) -> None:
            data = tls_records.Flight(connection, pki, version).data
            for _ in range(5):  # longer than the longest limit
                drip(data, 0.01)(connection)

        return step

    return made


HELLO_REQUESTS = flood(tls_records.record(tls_records.HELLO_REQUEST) * 1000)


def endless_certificate_request(pki: Pki) -> Step:
    """Send a list of CA names of 16 MiB, the maximum length of a handshake message."""

    def step(connection: Connection) -> None:
        found = tls_records.Flight(connection, pki, "1.2").records()
        connection.socket.sendall(b"".join(found[:-1]))
        name = b"\0\x10" + b"0\x0e" + b"n" * 14
        head = b"\x0d\xff\xff\xff" + b"\1\x40" + b"\0\2\4\3" + b"\xff\xff"
        connection.socket.sendall(tls_records.record(head))
        flood(tls_records.record(name * 800))(connection)

    return step


handshake("before the ServerHello", lambda _: silence())
handshake("within the record of the ServerHello", cut("1.3", 0, 40))
handshake("after the ServerHello", cut("1.3", 1, 0))
handshake("within the certificate", cut("1.2", 1, 200))
handshake("the handshake drips", dripping("1.3"))
handshake("the handshake of TLS 1.2 drips", dripping("1.2"))
handshake("flood of HelloRequest", lambda _: hears_hello, lambda _: HELLO_REQUESTS, is_busy=True)
handshake("endless CertificateRequest", endless_certificate_request, is_busy=True)
handshake("another handshake after the first", tls_records.request_renegotiation)
handshake("flood of tickets", lambda pki: tls_records.flood_of("tickets", pki), is_busy=True)
handshake("flood of KeyUpdate", lambda pki: tls_records.flood_of("key updates", pki), is_busy=True)
handshake(
    "flood of empty records", lambda pki: tls_records.flood_of("empty records", pki), is_busy=True
)


@point("records drip", ("tls", "stls"))
def _(stage: Stage, mode: str) -> Timed:
    steps = (drip_records(b"+OK\r\n" + b"X-A\r\n" * 100, 0.02),)
    tls = stage.pki.server("good")
    script = [*CAPA_GREETED, *steps]
    if mode == "stls":
        script = [*UNTIL_STLS, start_tls(tls), *script[1:]]
    with ScriptedServer(script, tls=tls if mode == "tls" else None) as server:
        return stage.check(mode, server)


# --- side probes -----------------------------------------------------------------------------

SIDE_PROBES: dict[str, tuple[Step, ...]] = {
    "is silent": (silence(),),
    "drips": (hears_hello, drip(b"\x16\x03\x03\x20\x00" + b"x" * 999, 0.02)),
    "floods": (hears_hello, HELLO_REQUESTS),
}


def register_side_probes() -> None:
    for name, steps in SIDE_PROBES.items():
        is_busy = name == "floods"

        def explained(stage: Stage, mode: str, steps: tuple[Step, ...] = steps) -> Timed:
            with ScriptedServer(scripts=[[hears_hello, reset()], steps]) as server:
                return stage.check(mode, server)

        def tried(stage: Stage, mode: str, steps: tuple[Step, ...] = steps) -> Timed:
            tls = start_tls(stage.pki.server("good"))
            good = [tls, GREETING, expect(b"QUIT"), say(b"+OK\r\n")]
            with ScriptedServer(scripts=[good, steps]) as server:
                return stage.check(mode, server, "--reject-legacy-tls", login=False)

        point(f"the handshake that explains a failure {name}", ("tls",), is_busy)(explained)
        point(f"the connection of an assertion {name}", ("tls",), is_busy)(tried)


register_side_probes()


# --- the client side -------------------------------------------------------------------------


@point("the password command hangs")
def _(stage: Stage, mode: str) -> Timed:
    words = [*flags(mode, stage.pki), "-U", "monitor", "--allow-insecure-login"]
    with ScriptedServer([silence()]) as server:
        target = ("-H", "localhost", "-p", str(server.port))
        return stage.run(*target, *words, "--password-command", "sh -c 'trap : TERM; sleep 60'")


def token(name: str, *steps: Step, before_tls: bool = False, is_busy: bool = False) -> None:
    """Register a point at which the token endpoint stalls."""

    def run(stage: Stage, mode: str) -> Timed:
        tls = stage.pki.server("good")
        endpoint: Server = ScriptedServer(steps) if before_tls else TokenEndpoint(*steps, tls=tls)
        with endpoint, ScriptedServer([silence()]) as server:
            words = [*flags(mode, stage.pki), "-U", "monitor", "--allow-insecure-login"]
            words += ["--auth", "xoauth2", "--oauth-client-id", "id"]
            words += ["--oauth-token-url", f"https://localhost:{endpoint.port}/token"]
            words += ["--oauth-client-secret-file", stage.file("secret", CANARY)]
            words += ["--oauth-ca-file", str(stage.pki.ca_file)]
            return stage.run("-H", "localhost", "-p", str(server.port), *words)

    point(f"the token endpoint {name}", ("tls",), is_busy)(run)


HEAD = b"HTTP/1.1 200 OK\r\n"
token("makes no handshake", silence(), before_tls=True)
token("floods the handshake", hears_hello, HELLO_REQUESTS, before_tls=True, is_busy=True)
token("is silent", silence())
token("drips its head", say(HEAD), drip(b"X-A: b\r\n" * 80, 0.02))
token("drips its body", say(HEAD + b"Content-Length: 9999\r\n\r\n"), drip(b"x" * 999, 0.02))
token("floods with 100 Continue", flood(b"HTTP/1.1 100 Continue\r\n\r\n" * 500), is_busy=True)


@point("the token endpoint floods with tickets", ("tls",), is_busy=True)
def _(stage: Stage, mode: str) -> Timed:
    steps = [tls_records.flood_of("tickets", stage.pki)]
    with ScriptedServer(steps) as endpoint, ScriptedServer([silence()]) as server:
        words = [*flags(mode, stage.pki), "-U", "monitor", "--auth", "xoauth2"]
        words += ["--oauth-client-id", "id", "--oauth-ca-file", str(stage.pki.ca_file)]
        words += ["--oauth-token-url", f"https://localhost:{endpoint.port}/token"]
        words += ["--oauth-client-secret-file", stage.file("secret", CANARY)]
        return stage.run("-H", "localhost", "-p", str(server.port), *words)


# --- the run as a whole ----------------------------------------------------------------------


@point("no attempt succeeds")
def _(stage: Stage, mode: str) -> Timed:
    """`--run-timeout` ends the last attempt."""
    with ScriptedServer([silence()]) as server:
        words = ("--rechecks", "9", "--run-timeout", str(stage.limit))
        target = ("-H", "localhost", "-p", str(server.port))
        return timed(*target, *flags(mode, stage.pki), *words, "-t", str(stage.limit))


@point("the programs of the diagnosis hang", ("plain",))
def _(stage: Stage, mode: str) -> Timed:
    """A mount namespace replaces the programs."""
    program = Path(stage.file("program", "#!/bin/sh\ntrap : TERM\nsleep 60 &\nwait\n"))
    program.chmod(0o755)
    script = "mount -t tmpfs none /usr/local/bin\n"
    for name in TOOLS:
        script += (
            f"if [ -e /usr/bin/{name} ]; then mount --bind {program} /usr/bin/{name};"
            f" else cp {program} /usr/local/bin/{name}; fi\n"
        )
    with ScriptedServer([silence()]) as server:
        words = ["-H", "localhost", "-p", str(server.port), "-t", str(stage.limit / 2)]
        words += ["--run-timeout", str(stage.limit), "--diagnose=ping,trace,dns"]
        return unshared(stage.folder, script, words)


@point("the name server is silent", ("plain",))
def _(stage: Stage, mode: str) -> Timed:
    net = network(stage.folder)
    return net.timed("-H", "slow.example.test", "-t", str(stage.limit), server=SILENT_NAME_SERVER)


@point("no SYN is answered", ("plain", "tls"))
def _(stage: Stage, mode: str) -> Timed:
    net = network(stage.folder)
    return net.timed("-H", "192.0.2.1", *flags(mode, stage.pki), "-t", str(stage.limit))


@point("none of twenty addresses answers", ("plain", "tls"))
def _(stage: Stage, mode: str) -> Timed:
    net = network(stage.folder)
    net.add_host("dead.example.test", *(f"192.0.2.{number}" for number in range(1, 21)))
    words = ("-H", "dead.example.test", *flags(mode, stage.pki))
    return net.timed(*words, "-t", str(stage.limit))


def sweep(name: str, *steps: Step, is_busy: bool = False) -> None:
    """Register a point at which the API for the results stalls."""

    def run(stage: Stage, mode: str) -> Timed:
        with ScriptedServer(steps) as api, ScriptedServer([silence()]) as server:
            file = stage.file("sweep.ini", f"[a!b]\nhostname = 127.0.0.1\nport = {server.port}\n")
            words = ["--sweep", file, "--submit", f"icinga2:https://localhost:{api.port}"]
            words += ["--icinga-user", "x", "--icinga-ca-file", str(stage.pki.ca_file)]
            words += ["--icinga-password-file", stage.file("secret", CANARY)]
            limit = stage.limit
            return timed(*words, "-t", str(limit / 2), "--run-timeout", str(limit))

    point(f"in a sweep, the API {name}", ("plain",), is_busy)(run)


sweep("is silent", silence())
sweep("floods the handshake", hears_hello, HELLO_REQUESTS, is_busy=True)


# --- running them ----------------------------------------------------------------------------


class Measured(NamedTuple):
    what: str
    limit: float
    line_late: float
    gone_late: float
    tries: int
    load: float

    @property
    def is_late(self) -> bool:
        return self.line_late > LINE_LATE or self.gone_late > GONE_LATE

    def __str__(self) -> str:
        line, gone = self.line_late * 1000, self.gone_late * 1000
        return (
            f"{self.what}, -t {self.limit:g}: line {line:+.0f} ms, gone {gone:+.0f} ms"
            f" (try {self.tries}, load {self.load:.1f})"
        )


def start_seconds(runs: int = 9) -> float:
    """Return the median start-up time of the interpreter, until the first line of the plugin."""
    shebang = COMMAND.read_text().partition("\n")[0].removeprefix("#!").split()
    code = "from check_pop3_plus import start; print(start.STARTED)"
    found = []
    for _ in range(runs):
        began = time.monotonic()
        done = subprocess.run([*shebang, "-c", code], capture_output=True, check=True)
        found.append(float(done.stdout) - began)
    return statistics.median(found)


class Wanted(NamedTuple):
    """One point, in one mode, with one limit."""

    name: str
    mode: str
    limit: float

    @property
    def is_busy(self) -> bool:
        return POINTS[self.name].is_busy

    def measure(self, pki: Pki, start: float, number: int = 1) -> Measured:
        """Run the plugin against this point; `number` counts repeated runs."""
        with tempfile.TemporaryDirectory() as folder:
            shown = POINTS[self.name].play(Stage(pki, Path(folder), self.limit), self.mode)
        is_sweep = self.name.startswith("in a sweep")  # its metrics have other labels
        assert is_sweep or honest(shown.done)
        line, gone = (
            seconds - start - self.limit for seconds in (shown.line_seconds, shown.done.seconds)
        )
        what = f"{self.name} ({self.mode})"
        return Measured(what, self.limit, line, gone, number, os.getloadavg()[0])


def run(share: float) -> list[Figure]:
    """Measure every point in every mode with every limit, or a share of these."""
    every = [
        Wanted(name, mode, limit)
        for limit in LIMITS
        for name, each in POINTS.items()
        for mode in each.modes
    ]
    every = every[:: max(1, round(1 / share))]
    waiting = [each for each in every if not each.is_busy]
    busy = [each for each in every if each.is_busy]
    start = start_seconds()
    again = 0
    with tempfile.TemporaryDirectory() as folder:
        pki = Pki(Path(folder))
        pki.files("good")  # before the threads start
        with ThreadPoolExecutor(TOGETHER) as pool:
            measured = list(pool.map(lambda each: each.measure(pki, start), waiting))
        measured += [each.measure(pki, start) for each in busy]
        for position, wanted in enumerate((*waiting, *busy)):
            for number in range(2, TRIES + 1):
                if measured[position].is_late:
                    print(f"  late: {measured[position]}", flush=True)
                    again += 1
                    measured[position] = wanted.measure(pki, start, number)
    late = [each for each in measured if each.is_late]
    for each in late:
        print(f"  LATE: {each}", flush=True)
    return [figure(measured, late, again, start)]


def figure(measured: list[Measured], late: list[Measured], again: int, start: float) -> Figure:
    line = max(each.line_late for each in measured) * 1000
    gone = max(each.gone_late for each in measured) * 1000
    load = max(each.load for each in measured)
    return Figure(
        f"stalls: {len({each.what for each in measured})} points and modes, -t 1, 2 and 5",
        len(measured),
        f"status line at most {line:.0f} ms late, process gone at most {gone:.0f} ms late"
        f" ({start * 1000:.0f} ms to start the interpreter not counted; {again} measured again"
        f" alone; load up to {load:.1f}); {len(late)} beyond the limits",
        len(late),
    )
