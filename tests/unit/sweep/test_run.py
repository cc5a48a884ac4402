"""The queue of a sweep: a service for which this machine lacks resources is tried again."""

import errno
import socket
import socketserver
import ssl
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from check_pop3_plus.check import run as check_run
from check_pop3_plus.check.verdict import Verdict
from check_pop3_plus.model.failures import Kind, ProbeError, config_error, is_shortage
from check_pop3_plus.model.report import Address
from check_pop3_plus.model.settings import Settings, State, Sweep, Target
from check_pop3_plus.net import resolve
from check_pop3_plus.probe.prerequisites import Prerequisites
from check_pop3_plus.support.deadline import Clock, Deadline
from check_pop3_plus.support.slots import Peer, Slots
from check_pop3_plus.sweep import limits
from check_pop3_plus.sweep import run as sweep_run
from check_pop3_plus.sweep.outcome import Outcome
from check_pop3_plus.sweep.services import Service
from tests.support.sweeps import run_of

LACKING = Verdict(State.UNKNOWN, "config: no descriptor", shortage="no descriptor")
FINE = Verdict(State.OK, "answered")


class Checks:
    """Checks with these verdicts, one after the other."""

    def __init__(self, *verdicts: Verdict | Exception) -> None:
        self._verdicts = list(verdicts)
        self.prerequisites: list[Prerequisites] = []

    def __call__(self, _: Settings, __: float, prerequisites: Prerequisites) -> Verdict:
        self.prerequisites.append(prerequisites)
        verdict = self._verdicts.pop(0)
        if isinstance(verdict, Exception):
            raise verdict
        return verdict


def swept(
    checks: Checks, folder: Path, patch: pytest.MonkeyPatch, text: str = "[a!b]\n"
) -> list[Outcome]:
    """Return the outcomes of a sweep with these checks."""
    patch.setattr(check_run, "run_check", checks)
    patch.setattr(sweep_run, "_HOLD_SECONDS", 0.01)
    file = folder / "sweep.ini"
    file.write_text(text)
    began = Clock()
    outcomes = list(run_of(Sweep(str(file), jobs=1)).outcomes())
    assert Clock() - began < 4.5, "ended at its deadline"
    return outcomes


def test_service_that_lacked_resources_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the same prerequisites: a password command runs once."""
    checks = Checks(LACKING, OSError(errno.EMFILE, "Too many open files"), FINE)

    [outcome] = swept(checks, tmp_path, monkeypatch)

    assert outcome.verdict is FINE
    assert len({id(each) for each in checks.prerequisites}) == 1


@pytest.mark.parametrize("error", [SystemError(), RuntimeError("can't allocate lock")])
def test_unexpected_error_where_memory_is_limited_is_a_shortage(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C functions that lack memory raise other errors than MemoryError."""
    monkeypatch.setattr(limits, "is_memory_limited", lambda: True)

    [outcome] = swept(Checks(error, FINE), tmp_path, monkeypatch)
    assert outcome.verdict is FINE

    [outcome] = swept(Checks(*[error] * 3), tmp_path, monkeypatch)
    assert outcome.verdict.shortage.startswith(f"bug: internal error ({type(error).__name__}); ")


@pytest.mark.parametrize("name", ["_check", "_pace"])
def test_thread_that_lacks_memory_loses_no_service(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its service is queued again, and another thread is started."""
    ordinary, lacks = getattr(sweep_run.Run, name), [MemoryError()] * 2

    def lacking(*arguments: object) -> object:
        if lacks:
            raise lacks.pop()
        return ordinary(*arguments)

    monkeypatch.setattr(sweep_run.Run, name, lacking)

    outcomes = swept(Checks(FINE, FINE, FINE), tmp_path, monkeypatch, "[a!b]\n[c!d]\n[e!f]\n")

    assert len(outcomes) == 3


def test_service_that_lacks_resources_alone_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be freed for it, and others wait."""
    checks = Checks(*[LACKING] * 5)

    [outcome] = swept(checks, tmp_path, monkeypatch)

    assert outcome.verdict.shortage == "no descriptor; lower --jobs, or raise the limit (ulimit)"
    assert len(checks.prerequisites) == 3


LOGIN = "[a!b]\nusername = u\npassword-command = x\nallow-insecure-login =\n"


@pytest.mark.parametrize("lack", [LACKING.replace(is_repeatable=False), MemoryError()])
def test_service_whose_login_may_have_begun_is_not_tried_again(
    lack: Verdict | Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second login could lock the account."""
    checks = Checks(lack, FINE)

    [outcome] = swept(checks, tmp_path, monkeypatch, LOGIN)

    assert outcome.verdict.shortage
    assert len(checks.prerequisites) == 1


@pytest.mark.parametrize("error", [RuntimeError("can't start new thread"), MemoryError()])
def test_thread_that_cannot_start_is_started_later(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The limit of the system may be reached for a moment only."""
    start, refused = threading.Thread.start, [None] * 3

    def limited(thread: threading.Thread) -> None:
        if refused:
            refused.pop()
            raise error
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)

    [outcome] = swept(Checks(FINE), tmp_path, monkeypatch)

    assert outcome.verdict is FINE
    assert refused == []


def test_sweep_loads_what_aborts_without_memory_before_its_first_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where memory is limited, threads would take what cryptography needs."""
    threads: list[int] = []
    before = threading.active_count()
    monkeypatch.setattr(
        limits, "load_while_there_is_memory", lambda: threads.append(threading.active_count())
    )
    swept(Checks(FINE), tmp_path, monkeypatch)

    assert threads == [before]


def test_outcomes_are_collected_every_20_ms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result should not wait for others, and each wake-up costs."""
    pauses: list[float] = []
    sleep = time.sleep

    def paused(seconds: float) -> None:
        if threading.current_thread() is threading.main_thread():
            pauses.append(seconds)
        sleep(seconds)

    monkeypatch.setattr(time, "sleep", paused)
    swept(Checks(FINE), tmp_path, monkeypatch)

    assert set(pauses) == {0.02}


def idle_run(folder: Path, text: str = "[a!b]\n") -> sweep_run.Run:
    """Return a sweep that is not started."""
    file = folder / "sweep.ini"
    file.write_text(text)
    return run_of(Sweep(str(file)))


def test_outcome_is_masked_where_a_secret_was_learnt_since(tmp_path: Path) -> None:
    """Its check could not know the password of another."""
    run = idle_run(tmp_path)
    outcome = Outcome(Service("a!b"), Verdict(State.OK, "said c4n4ry-secret"))
    run._done.append((outcome, run._masker.sanitise))
    assert list(run.finished()) == [outcome]
    run._done.append((outcome, run._masker.sanitise))
    run._masker.add([b"c4n4ry-secret"])

    [masked] = run.finished()

    assert masked.verdict.status == "said ***"
    assert masked.service is outcome.service


@pytest.mark.parametrize(
    ("is_started", "threads", "hold_until", "starts"),
    [(True, 0, 5.0, 1), (False, 0, 5.0, 2), (True, 1, 0.0, 0), (True, 0, 5.5, 0)],
    ids=["started", "refused", "enough", "held"],
)
def test_one_thread_starts_the_others(
    is_started: bool,
    threads: int,
    hold_until: float,
    starts: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Unless there are enough, or one could not be started a moment ago."""
    run, asked = idle_run(tmp_path), []

    def start(work: object) -> bool:
        asked.append(work)
        return is_started

    monkeypatch.setattr(sweep_run, "Clock", lambda: 5.0)
    monkeypatch.setattr(run, "_start", start)
    run._threads, run._hold_until = threads, hold_until
    run._start_adding()
    run._start_adding()

    assert asked == [run._add_threads] * starts


_IDLE_CPU = sweep_run._PACE_SECONDS * sweep_run._BUSY
"""Seconds of a CPU that an idle process uses between two decisions."""


@pytest.mark.parametrize(
    ("cpu", "is_refused", "taken", "steps"),
    [
        ((0, 0, 0), (), 0, "start pause start pause start start pause start start"),
        (
            (_IDLE_CPU, 1, 0, 0),
            (),
            0,
            "start pause start pause pause start start pause start start",
        ),
        ((0, 0, 0), (0, 0, 0, 1), 0, "start pause start pause start refused pause"),
        ((0, 0, 0), (0, 0, 1, 0), 0, "start pause start pause refused pause"),
        ((), (), 10, "start"),
    ],
    ids=["idle", "busy", "second refused", "first refused", "no service left"],
)
def test_threads_are_started_in_growing_numbers_while_the_process_is_idle(
    cpu: tuple[float, ...],
    is_refused: tuple[int, ...],
    taken: int,
    steps: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Six for ten services, with 20 ms before each decision; none after a refusal."""
    run = idle_run(tmp_path, "".join(f"[host{number}!x]\n" for number in range(10)))
    run._jobs, run._is_adding = 6, True
    made: list[str] = []
    used, using, refusals = [0.0], [*cpu], [*is_refused]

    def start(_: object) -> bool:
        if refusals and refusals.pop(0):
            made.append("refused")
            run._hold_until = 6.0
            return False
        made.append("start")
        for _ in range(taken):
            run._queue.next()
        return True

    def pause(seconds: float) -> None:
        assert seconds == 0.02
        made.append("pause")
        used[0] += using.pop(0)

    times = SimpleNamespace(process_time=lambda: used[0], sleep=pause)
    monkeypatch.setattr(sweep_run, "Clock", lambda: 5.0)
    monkeypatch.setattr(sweep_run, "time", times)
    monkeypatch.setattr(run, "_start", start)
    run._hold_until = 5.0
    run._add_threads()

    assert " ".join(made) == steps
    assert run._threads == made.count("start")
    assert not run._is_adding


def test_shortage_holds_threads_back_for_a_second_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more threads are wanted than there are services."""
    asked: list[tuple[int, int]] = []

    def parallel_checks(_: object, jobs: int, senders: int) -> tuple[int, str]:
        asked.append((jobs, senders))
        return jobs, ""

    monkeypatch.setattr(limits, "parallel_checks", parallel_checks)
    file = tmp_path / "sweep.ini"
    file.write_text("[a!b]\n[c!d]\n")
    run = run_of(Sweep(str(file), jobs=9))
    run_of(Sweep(str(file), jobs=1))
    assert asked == [(2, 0), (1, 0)]
    assert run.why_late == ""

    def limited(thread: threading.Thread) -> None:
        assert thread.daemon
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", limited)
    assert not run._start(lambda: None)

    assert 0.9 < run._hold_until - Clock() <= 1.0
    assert run.why_late == "cannot start a thread; lower --jobs, or raise the limit (ulimit)"


def caused(error: Exception) -> ProbeError:
    try:
        raise config_error("cannot read a file") from error
    except ProbeError as raised:
        return raised


def ssl_error(text: str) -> ssl.SSLError:
    """Return an error as OpenSSL's: of most parts of OpenSSL 3 without a reason."""
    error = ssl.SSLError(1, text)
    error.library = "EVP"
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(errno.EMFILE, "x"), True),
        (OSError(errno.ENFILE, "x"), True),
        (BlockingIOError(errno.EAGAIN, "x"), True),
        (MemoryError(), True),
        (RuntimeError("can't start new thread"), True),
        (RuntimeError("other"), False),
        (OSError(errno.ENOENT, "x"), False),
        (ssl_error("[EVP] malloc failure (_ssl.c:3098)"), True),
        (ssl_error("[SSL] no protocols available"), False),
        (ImportError("libz.so.1: failed to map segment from shared object"), True),
        (ImportError("cannot import name x"), False),
        (socket.gaierror(socket.EAI_AGAIN, "x"), False),
    ],
)
def test_shortage_is_known_by_its_cause(error: Exception, expected: bool) -> None:
    """Also where the error was translated."""
    assert is_shortage(error) is expected
    assert caused(error).failure().is_shortage is expected


def test_look_up_without_descriptors_is_config(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the fault of the resolver."""

    def broken(_: str, __: Target, flags: int) -> None:
        raise socket.gaierror if flags else OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(resolve, "_addresses", broken)
    with pytest.raises(ProbeError) as caught:
        resolve.look_up(Target("pop.example", 110), Deadline(Clock() + 1))
    assert caught.value.kind is Kind.CONFIG
    assert caught.value.message == "cannot resolve pop.example: Too many open files"


# --- one address -------------------------------------------------------------------------------


class Crowd(socketserver.ThreadingTCPServer):
    """A server that greets late, and counts the connections and the logins at a time."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("", 0), Visitor)
        self.lock = threading.Lock()
        self.now: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.port: int = self.server_address[1]
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def count(self, what: str, change: int) -> None:
        with self.lock:
            self.now[what] += change
            self.most[what] = max(self.most[what], self.now[what])


class Visitor(socketserver.StreamRequestHandler):
    server: Crowd

    def handle(self) -> None:
        user = ""
        self.server.count("connections", 1)
        with suppress(ConnectionError):
            time.sleep(0.05)
            self.wfile.write(b"+OK ready\r\n")
            for line in self.rfile:
                if line.startswith(b"USER "):
                    user = line.split()[1].decode()
                    self.server.count(user, 1)
                    time.sleep(0.05)
                # Before the answer: after QUIT the next check may come at once.
                if line.startswith(b"QUIT"):
                    break
                self.wfile.write(b"+OK 0 0\r\n" if not line.startswith(b"CAPA") else b"-ERR\r\n")
        self.server.count("connections", -1)
        if user:
            self.server.count(user, -1)
        with suppress(ConnectionError):
            self.wfile.write(b"+OK\r\n")


@pytest.fixture
def crowd() -> Iterator[Crowd]:
    server = Crowd()
    yield server
    server.shutdown()
    server.server_close()


ONE_NAME = ["hostname = 127.0.0.1"]
MANY_NAMES = ["connect-to = name{0}.example"]


@pytest.mark.parametrize("keys", [ONE_NAME, MANY_NAMES], ids=["one name", "many names"])
@pytest.mark.parametrize("limit", [1, 3])
def test_address_has_no_more_checks_than_allowed_and_no_fewer(
    keys: list[str], limit: int, tmp_path: Path, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where several names have the address, which is known only after the look-up."""
    address = (Address("127.0.0.1", crowd.port),)
    monkeypatch.setattr(resolve, "look_up", lambda *_: address)
    lines = [f"[h{n}!x]\n" + "\n".join(keys).format(n) for n in range(12)]

    outcomes = run_file(tmp_path, "\n".join(lines), jobs=12, jobs_per_address=limit)

    assert [each.verdict.state for each in outcomes] == [State.OK] * 12
    assert crowd.most["connections"] == limit


def test_address_has_no_more_connections_during_a_diagnosis(tmp_path: Path, crowd: Crowd) -> None:
    """Its steps, of which the connections, the greeting and four TLS versions connect, take turns.

    The server may notice the end of a connection after the beginning of the next.
    """
    default = f"[DEFAULT]\nhostname = 127.0.0.1\nport = {crowd.port}\nssl\ndiagnose\n"

    outcomes = run_file(tmp_path, default + "[a!x]\n[b!x]\n[c!x]\n", jobs_per_address=1)

    assert [each.verdict.state for each in outcomes] == [State.CRITICAL] * 3
    for outcome in outcomes:
        assert "likely cause: the server speaks plain text" in "\n".join(
            outcome.verdict.long_output
        )
    assert crowd.most["connections"] <= 2


def run_file(folder: Path, text: str, **wanted: int) -> list[Outcome]:
    file = folder / "sweep.ini"
    file.write_text(text)
    sweep = Sweep(str(file), **wanted)  # type: ignore[arg-type]
    return list(run_of(sweep, 20).outcomes())


def test_after_the_deadline_no_thread_is_started(tmp_path: Path, crowd: Crowd) -> None:
    """What starts threads ends as well, although services are left."""
    file = tmp_path / "sweep.ini"
    file.write_text(f"[DEFAULT]\nport = {crowd.port}\n[a!x]\nhostname = 127.0.0.1\n")
    before = threading.active_count()
    run = run_of(Sweep(str(file), jobs=8), 0)

    assert list(run.outcomes()) == []
    run._add_threads()

    assert threading.active_count() == before


def test_user_has_one_login_at_a_time(
    tmp_path: Path, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mailbox is locked by its session (RFC 1939 section 8); other users go on."""
    monkeypatch.setenv("CANARY", "s3cret")
    default = "hostname = 127.0.0.1\npassword-env = CANARY\nallow-insecure-login =\nauth = user"
    users = ("anna", "bert") * 4
    sections = [f"[h{number}!x]\nusername = {user}" for number, user in enumerate(users)]
    text = "\n".join([f"[DEFAULT]\nport = {crowd.port}", default, *sections])

    outcomes = run_file(tmp_path, text, jobs=24, jobs_per_address=9)

    assert [each.verdict.state for each in outcomes] == [State.OK] * 8
    assert {user: crowd.most[user] for user in ("anna", "bert")} == {"anna": 1, "bert": 1}
    assert crowd.most["connections"] == 2


def test_service_waits_for_its_address_and_others_pass(
    tmp_path: Path, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A busy address stands in the way of no other; at the deadline its services are named."""
    crowded = [f"[h{n}!x]\nhostname = 127.0.0.1\nport = {crowd.port}" for n in range(60)]
    other = f"[other!x]\nhostname = 127.0.0.2\nport = {crowd.port}"
    file = tmp_path / "sweep.ini"
    file.write_text("\n".join([*crowded, other, ""]))
    run = run_of(Sweep(str(file), jobs=8, jobs_per_address=1), 2)

    done = [outcome.service.name for outcome in run.outcomes()]

    assert "other!x" in done[:4]
    assert len(done) < 50
    assert run.why_late == "others at the same address were busy; see --jobs-per-address"


def test_slots_taken_by_force_are_given_back() -> None:
    """A retry exceeds the limit rather than being given up."""
    slots, first, second = Slots(1), set[Peer](), set[Peer]()

    assert slots.take(first, {"a", ("a", "u")}) is None
    assert slots.take(second, {"b", "a"}) == "a"
    assert second == set()
    assert slots.take(second, {"b", "a"}, may_exceed=True) is None
    slots.release(first)
    assert slots.take(set(), {("a", "u")}) is None
    assert slots.take(set(), {"a"}) == "a"
    slots.release(second)
    assert slots.take(set(), {"a", "b"}) is None
