"""Run the plugin against a scripted server: one process, no sockets, no threads, no waiting.

The network is replaced at `transport`, the time at `Clock`; everything else is the plugin's own.
`keep_the_promise` asserts the rules that hold for any server.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from types import FrameType
from typing import Any, NamedTuple, TypeVar
from unittest.mock import patch

from check_pop3_plus.check import run as check_run
from check_pop3_plus.model.failures import DeadlineExceeded, Kind, ProbeError
from check_pop3_plus.model.report import Address, TlsFacts
from check_pop3_plus.model.sanitised_text import Printable
from check_pop3_plus.model.settings import Secret, Settings
from check_pop3_plus.net import resolve, transport
from check_pop3_plus.output.plugin_text import render
from check_pop3_plus.probe import addresses, prerequisites, session
from check_pop3_plus.sasl import mechanisms, scram
from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.support.masking import Masker
from tests.pki.corpus import ROOT
from tests.support.command import Run
from tests.support.faults import CANARY, honest
from tests.support.settings_from import check_settings

NONCE = b"client+nonce"
"""The client nonce in every SCRAM, so that a script can contain the answer."""

_RECEIVE_SIZE = 16 * 1024
RECEIVE_SECONDS = 0.00001
PATIENCE_SECONDS = 10.0
"""CPU time; a session that needs more hangs."""

_USELESS_READS = 50
"""Reads past the end of a connection that count as a hang."""

_T = TypeVar("_T")


class Hang(Exception):
    """A session that does not end."""


class Scenario(NamedTuple):
    """The options of the plugin."""

    security: str = "plain"
    """`plain`, `tls` from the first byte, or `stls`."""
    method: str | None = None
    """The value of `--auth`; None without a login."""

    def arguments(self) -> list[str]:
        words = {"plain": [], "tls": ["-S"], "stls": ["--starttls"]}[self.security]
        if self.method:
            words += ["-U", "monitor", "--auth", self.method]
            if self.method == "external":
                words += ["--client-cert", "client.pem"]
            else:
                words += ["--password-env", "CANARY"]
            if self.security == "plain":
                words.append("--allow-insecure-login")
        return ["-H", "pop.example.test", *words]


class Chunk(NamedTuple):
    """Bytes that arrive together."""

    data: bytes
    is_late: bool = False
    """Whether they arrive only when the plugin waits for them."""


class Turn(NamedTuple):
    """The actions of the server until the next line or TLS handshake of the client."""

    chunks: tuple[Chunk, ...]
    end: str = ""
    """How the connection ends: `eof`, `reset` or `stall`; empty if the client is next."""

    @property
    def data(self) -> bytes:
        return b"".join(chunk.data for chunk in self.chunks)


def said(data: bytes, end: str = "") -> Turn:
    """Return a turn in one piece."""
    return Turn((Chunk(data),) if data else (), end)


class Script(NamedTuple):
    scenario: Scenario
    turns: tuple[Turn, ...]
    """The first begins with the connection, or behind the handshake where TLS comes first."""


class ScriptedClock:
    """The time of a session, which passes only while the plugin waits."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class ScriptedStream:
    """A `transport.Stream` whose server is a script."""

    def __init__(
        self, script: Script, clock: ScriptedClock, deadline: Deadline, tls: TlsFacts
    ) -> None:
        self.deadline = deadline
        self.encrypted = False
        self.sent: list[tuple[bytes, bool]] = []
        """Each line, and whether it was encrypted."""
        self._clock = clock
        self._tls = tls
        self._turns = iter(script.turns)
        self._arriving: list[Chunk] = []
        self._end = ""
        self._useless = 0
        if script.scenario.security != "tls":
            self._go_on()

    def send(self, data: bytes) -> None:
        self._wait()
        if self._end == "reset" and not self._arriving:
            raise ProbeError(Kind.CLOSED, Printable("reset the connection"))
        self.sent.append((data, self.encrypted))
        self._go_on()

    def receive(self) -> bytes:
        self._useless += not self._arriving
        if self._useless > _USELESS_READS:
            raise Hang("it reads on behind the end")
        self._wait()
        if self._arriving:
            return self._taken()
        if self._end == "eof":
            return b""
        if self._end == "reset":
            raise ProbeError(Kind.CLOSED, Printable("reset the connection"))
        raise self._too_late()

    def arrived(self) -> bytes:
        return self._taken() if self._arriving and not self._arriving[0].is_late else b""

    def start_tls(self, context: object, name: str) -> TlsFacts:
        self._wait()
        assert not self.encrypted
        if self._arriving:
            raise ProbeError(Kind.TLS, Printable("answers in plain text, TLS expected"))
        if self._end in ("eof", "reset"):
            raise ProbeError(Kind.CLOSED, Printable("closed the connection"))
        if self._end:
            raise self._too_late()
        self.encrypted = True
        self._go_on()
        return self._tls

    def abort(self) -> None: ...

    def close(self) -> None: ...

    def _go_on(self) -> None:
        turn = None if self._end else next(self._turns, None)
        if turn:
            self._arriving += turn.chunks
            self._end = turn.end

    def _taken(self) -> bytes:
        data = self._arriving.pop(0).data
        if len(data) > _RECEIVE_SIZE:
            self._arriving.insert(0, Chunk(data[_RECEIVE_SIZE:]))
        return data[:_RECEIVE_SIZE]

    def _wait(self) -> None:
        self.deadline.remaining()
        self._clock.now += RECEIVE_SECONDS

    def _too_late(self) -> DeadlineExceeded:
        self._clock.now = self.deadline.at
        return DeadlineExceeded(Kind.TIMEOUT, Printable("no answer in time"))


class _Prerequisites(prerequisites.Prerequisites):
    """Prepared: no file is read, and no trusted certificate loaded."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, Secret(CANARY.encode()))
        if settings.login and settings.login.needs_secret:
            self.masker = Masker((CANARY.encode(),))
        self.context: Any = object() if settings.tls.security.value != "plain" else None

    def prepare(self, deadline: Deadline) -> None: ...


@cache
def _prepared(*arguments: str) -> _Prerequisites:
    return _Prerequisites(check_settings(arguments))


class Played(NamedTuple):
    """The result of a session."""

    run: Run
    sent: tuple[tuple[bytes, bool], ...]

    @property
    def is_ok(self) -> bool:
        return self.run.code == 0


@cache
def certificates() -> TlsFacts:
    """Return the facts of a good handshake."""
    sent = (ROOT.leaf(),)
    path = (*sent, ROOT.certificate)
    return TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", sent, path, verified=True)


class Stage:
    """Plays scripts, one after another."""

    def __init__(self) -> None:
        self._clock = ScriptedClock()
        self._script = Script(Scenario(), ())
        self._tls = certificates()
        self._streams: list[ScriptedStream] = []
        self._prerequisites: _Prerequisites | None = None

    def play(self, script: Script, *options: str) -> Played:
        """Run the plugin against a script and return the result.

        Raises Hang, and every exception that the plugin does not catch.
        """
        return self._run(_prepared(*script.scenario.arguments(), *options), script)

    def attempt(self, settings: Settings, script: Script, tls: TlsFacts | None = None) -> Played:
        """The same with any settings, and any certificates."""
        return self._run(_Prerequisites(settings), script, tls)

    def _run(
        self, prerequisites: _Prerequisites, script: Script, tls: TlsFacts | None = None
    ) -> Played:
        self._prerequisites, self._script, self._tls = prerequisites, script, tls or certificates()
        self._streams = []
        verdict = check_run.run_check(prerequisites.settings, self._clock.now)
        run = Run(verdict.state.value, render(verdict), "", 0.0)
        return Played(run, tuple(line for stream in self._streams for line in stream.sent))

    def _connect(self, address: Address, source: str | None, deadline: Deadline) -> ScriptedStream:
        if self._streams:  # a side probe, which has no script
            raise ProbeError(Kind.REFUSED, Printable("connection refused"))
        self._streams.append(ScriptedStream(self._script, self._clock, deadline, self._tls))
        return self._streams[0]

    @contextmanager
    def set(self) -> Iterator[Stage]:
        """Replace the network and the time inside the context."""
        own = [each for name, each in sys.modules.items() if name.startswith("check_pop3_plus.")]
        address = (Address("192.0.2.1", 995),)
        scrams = {
            f"SCRAM-{name}": lambda identity, digest=digest: scram.exchange_messages(
                digest, identity, NONCE
            )
            for name, digest in (("SHA-1", "sha1"), ("SHA-256", "sha256"))
        }
        with ExitStack() as stack:
            for module in own:
                if hasattr(module, "Clock"):
                    stack.enter_context(patch.object(module, "Clock", self._clock))
            for module in (addresses, session):
                stack.enter_context(patch.object(module, "run_with_deadline", _at_once))
            stack.enter_context(patch.object(resolve, "look_up", lambda *_: address))
            stack.enter_context(patch.object(transport, "connect", self._connect))
            stack.enter_context(
                patch.object(check_run, "Prerequisites", lambda *_: self._prerequisites)
            )
            stack.enter_context(patch.dict(mechanisms.MECHANISMS, scrams))
            yield self


def _at_once(work: Callable[[], _T], deadline: Deadline) -> _T:
    return work()


@contextmanager
def patience() -> Iterator[None]:
    """Raise Hang after too much CPU time.

    No code here waits, and a busy machine must not count as a hang. (pytest uses the other timer.)
    """

    def abandon(_number: int, _frame: FrameType | None) -> None:
        raise Hang(f"more than {PATIENCE_SECONDS:g} s")

    before = signal.signal(signal.SIGVTALRM, abandon)
    signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


_SECRET = (b"PASS ", b"AUTH ", b"APOP ")
_VERBS = (b"CAPA\r\n", b"STLS\r\n", b"STAT\r\n", b"QUIT\r\n", b"USER monitor\r\n", *_SECRET)


def keep_the_promise(played: Played, scenario: Scenario) -> None:
    """Assert the rules that hold for any server."""
    honest(played.run, has_secret=scenario.method not in (None, "external"))
    in_exchange = False
    began = 0
    for line, is_encrypted in played.sent:
        assert line.endswith(b"\r\n"), line
        assert b"\n" not in line[:-2], line
        is_command = line.startswith(_VERBS)
        assert is_command or in_exchange, line
        if line.startswith(_SECRET) or (in_exchange and not is_command):
            assert is_encrypted or scenario.security == "plain", "a secret in clear"
        began += line.startswith(_SECRET)
        in_exchange = line.startswith(b"AUTH ") or (in_exchange and not is_command)
    assert began <= 1, "a second login"
    assert scenario.method or not began, "a login that nobody asked for"
