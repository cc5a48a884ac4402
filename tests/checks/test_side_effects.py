"""A check changes nothing: no mail, no lasting lock, no account, no file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from check_pop3_plus.check import retries
from check_pop3_plus.model.report import Address
from check_pop3_plus.net import resolve
from check_pop3_plus.pop3 import grammar
from tests.pki.certificates import Pki
from tests.servers.scripted_server import PoliteServer, Server, dead_port
from tests.support import allowed_commands, secret_search
from tests.support.command import COMMAND
from tests.support.package import PACKAGE, modules, source
from tests.support.secret_search import MECHANISMS, PLACES, USER, EchoingServer, arguments, shown

SECRET = secret_search.CANARIES["spaces and markup"]

# --- commands --------------------------------------------------------------------------------

ELSEWHERE = (
    *(
        b"DELE",
        b"RETR",
        b"LIST",
        b"UIDL",
        b"RSET",
        b"NOOP",
        b"LAST",
        b"XTND",
        b"AUTH PLAIN",
    ),
    *(b"UTF8", b"LANG", b"XTOKEN", b"quit", b"Capa", b"", b"QUIT ", b"CAPA\r\nDELE", b"\nSTAT"),
)


@pytest.mark.threat("T19")
@pytest.mark.parametrize("verb", ELSEWHERE)
def test_command_not_in_allow_list_is_refused(verb: bytes) -> None:
    """Threat T19: only commands of the list can be made."""
    for argument in (None, b"1", b"1 0"):
        with pytest.raises(ValueError, match="not a command of this plugin"):
            grammar.command(verb, argument)


@pytest.mark.threat("T19")
def test_allow_list_has_only_commands_in_use() -> None:
    """Threat T19: no command that deletes mail or reads a body, and none that is unused."""
    assert set(allowed_commands.ALONE + allowed_commands.WITH_ARGUMENT) == grammar.VERBS


@pytest.mark.threat("T19")
@pytest.mark.parametrize(
    ("pattern", "allowed"),
    [
        # Not by the allow-list: base64 inside AUTH, and two allowed commands in one packet.
        (r"\bCommand\(", {"pop3.grammar", "pop3.auth", "probe.side_probes"}),
        (r"\bgrammar\.delete\(", {"delivery.mailbox"}),
        (r"stream\.send\(", {"probe.connection", "probe.side_probes"}),
        (r"\b(?:sock|socket|_socket|tls|_tls)\.(?:send|sendall|write)\(", {"net.transport"}),
    ],
)
def test_commands_are_made_and_sent_in_few_modules(pattern: str, allowed: set[str]) -> None:
    """Threat T19: few modules can send anything to a server."""
    found = {module for module in modules() if re.search(pattern, source(module).read_text())}

    assert found <= allowed


def test_forbidden_command_is_detected() -> None:
    """The check over all tests finds a forbidden command."""
    good = [b"CAPA", b"STLS", b"AUTH LOGIN", b"dXNlcg==", b"", b"*", b"STAT", b"TOP 12 0", b"QUIT"]
    assert allowed_commands.forbidden(good) == []
    for bad in (
        "DELE 1",
        "RETR 1",
        "TOP 1 1",
        "TOP 1",
        "LIST",
        "UIDL",
        "RSET",
        "NOOP",
        "quit",
        "STAT 1",
    ):
        assert allowed_commands.forbidden([b"USER x", bad.encode()]) == [bad.encode()]
    assert allowed_commands.forbidden([b"AUTH PLAIN x", b"STAT", b"dXNlcg=="]) == [b"dXNlcg=="]


SURVIVED = [place for place in PLACES if place not in ("no greeting", "garbled")]
"""Places after which the session can continue, because client and server agree on the next turn."""


@pytest.mark.threat("T20", "T21")
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("how", ["auto", *MECHANISMS])
def test_session_after_login_ends_with_quit(how: str, place: str) -> None:
    """Threats T20 and T21: nothing stays locked, and a login is tried once."""
    with EchoingServer(b"hello", place) as server:
        argv = arguments(server, how)
        if how == "external":
            argv += ["--client-cert", "/dev/null"]
        shown(argv, SECRET)
        server.settle()

    [transcript] = server.dialogues
    assert transcript.count(b"QUIT") == (place in SURVIVED)
    assert place not in SURVIVED or transcript[-1] == b"QUIT"
    assert allowed_commands.logins(transcript) == (
        place not in ("refused greeting", "no greeting")
    ) or (place == "refused user" and how in ("auto", "user"))


MANY = {
    "once": [],
    "looks": ["--rechecks", "3"],
    "all addresses": ["--all-addresses"],
    "diagnosis": ["--diagnose"],
    "all of it": ["--all-addresses", "--rechecks", "2", "--diagnose=dns,tcp,tls,dialog"],
}


@pytest.mark.threat("T21")
@pytest.mark.parametrize("place", ["refused", "challenge", "accepted", "reason", "garbled"])
@pytest.mark.parametrize("options", MANY.values(), ids=list(MANY))
def test_rejected_login_is_tried_once_per_run(
    options: list[str], place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threat T21: retries, addresses and a diagnosis try no second login."""
    monkeypatch.setattr(retries, "PAUSE_SECONDS", 0)
    with EchoingServer(b"no", place, address="0.0.0.0") as server:
        found = tuple(Address(f"127.0.0.{number}", server.port) for number in range(1, 6))
        monkeypatch.setattr(resolve, "look_up", lambda *_: found)
        argv = arguments(server, "login", *options, "-t", "2", "--run-timeout", "6")
        shown(argv, SECRET)
        server.settle()

    assert sum(map(allowed_commands.logins, server.dialogues)) == 1
    if place != "garbled":
        assert all(transcript[-1:] == [b"QUIT"] for transcript in server.dialogues)


@pytest.mark.parametrize("place", ["temporary", "withdrawn", "stat"])
def test_login_is_retried_only_after_temporary_failure(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `[SYS/TEMP]` or an accepted login, once per attempt."""
    monkeypatch.setattr(retries, "PAUSE_SECONDS", 0)
    with EchoingServer(b"later", place) as server:
        shown(arguments(server, "user", "--rechecks", "2"), SECRET)
        server.settle()

    assert [allowed_commands.logins(transcript) for transcript in server.dialogues] == [1, 1, 1]


@pytest.mark.threat("T21")
def test_rejected_login_is_tried_once_per_sweep_section(tmp_path: Path) -> None:
    """Threat T21: also with retries; QUIT ends each session."""
    (tmp_path / "pw").touch(mode=0o600)
    (tmp_path / "pw").write_text("wrong\n")
    names = [f"[localhost!{number}]\n" for number in range(20)]
    with PoliteServer({USER: "right"}) as server:
        (tmp_path / "sweep.ini").write_text(
            f"[DEFAULT]\nusername = {USER}\npassword-file = {tmp_path / 'pw'}\nrechecks = 1\n"
            f"connect-to = {server.address}\nport = {server.port}\nallow-insecure-login =\n"
            + "".join(names)
        )
        done = subprocess.run(
            [COMMAND, "--sweep", tmp_path / "sweep.ini"], capture_output=True, check=False
        )
        server.settle()

    assert done.returncode == 2
    assert len(server.logins) == 20
    assert server.sessions_without_quit == 0


# --- files, programs, connections ------------------------------------------------------------

# Reports audit events on descriptor 9; the command runs as usual.
_AUDITED = """
import os, sys
def hook(event, arguments):
    if event.partition(".")[0] in ("open", "os", "shutil", "tempfile", "subprocess", "socket"):
        os.write(9, (repr((event, tuple(map(repr, arguments)))) + chr(10)).encode())
sys.argv = sys.argv[1:]
from check_pop3_plus.start import run
sys.addaudithook(hook)
run()
"""
_QUIET = (
    *(
        "os.listdir",
        "os.scandir",
        "os.putenv",
        "os.unsetenv",
        "socket.__new__",
        "socket.getaddrinfo",
    ),
    *("socket.gethostname", "os.walk", "os.killpg"),
)
"""Events that affect only the process and its children."""


# The byte-code cache has its own test; only TLS libraries could write the key log.
_ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "SSLKEYLOGFILE": "keys"}


class Trace(NamedTuple):
    """The side effects of one run."""

    code: int
    out: str
    writes: set[str]
    """Files opened for writing, and other changes of the file system."""
    programs: set[str]
    ports: set[int]
    """Addresses of connections."""


Tracer = Callable[..., Trace]


def audited(folder: Path, *argv: str) -> Trace:
    """Run with an audit hook, which sees what Python does."""
    with (folder / "events").open("w+b") as events:

        def attach() -> None:
            os.dup2(events.fileno(), 9)

        done = subprocess.run(
            [sys.executable, "-c", _AUDITED, "check_pop3_plus", *argv],
            stdout=subprocess.PIPE,
            env=_ENVIRONMENT,
            preexec_fn=attach,
            pass_fds=(9,),
            check=False,
            timeout=60,
        )
        events.seek(0)
        lines = events.read().decode().splitlines()
    writes, programs, ports = set(), set(), set()
    for line in lines:
        event, words = eval(line)  # written by the hook above
        if event == "open":
            path, _, flags = map(eval, words)
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND):
                writes.add(str(path))
        elif event == "subprocess.Popen":
            programs.add(eval(words[0]))
        elif event == "socket.connect":
            ports.add(eval(words[1])[1])
        elif event not in _QUIET and not event.startswith(("os.posix_spawn", "os.fork", "os.exec")):
            writes.add(line)
    return Trace(done.returncode, done.stdout.decode(), writes, programs, ports)


_CHANGES = re.compile(
    r"(?:open|openat|openat2|creat)\(.*\"(?P<path>[^\"]*)\".*"
    r"(?:O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND)"
    r"|(?:^|\s)(?P<call>(?:mkdir|rmdir|unlink|rename|link|symlink|chmod|fchmodat|chown|lchown|fchownat|mknod"
    r"|truncate|utime|setxattr|mount|swapon)\w*)\("
)


def straced(folder: Path, *argv: str) -> Trace:
    """Run under strace, which also sees C libraries and child processes."""
    file = folder / "calls"
    done = subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=%file,connect", "-o", file, COMMAND, *argv],
        stdout=subprocess.PIPE,
        env=_ENVIRONMENT,
        check=False,
        timeout=60,
    )
    calls = file.read_text(errors="replace")
    writes = {
        found["path"] or found["call"]
        for line in calls.splitlines()
        if (found := _CHANGES.search(line))
    }
    programs = set(re.findall(r'execve\("([^"]+)"', calls)) - {str(COMMAND)}
    ports = set(map(int, re.findall(r"sin6?_port=htons\((\d+)\)", calls)))
    return Trace(done.returncode, done.stdout.decode(), writes, programs, ports)


@pytest.fixture(params=[audited, straced], ids=["audit hook", "strace"])
def trace(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Tracer]:
    if request.param is straced and shutil.which("strace") is None:
        asked_for = os.environ.get("CI") == "true" or os.environ.get("INSTALL") == "1"
        (pytest.fail if asked_for else pytest.skip)("strace is not installed")
    before = sorted(tmp_path.iterdir())

    def run(*argv: str) -> Trace:
        return request.param(tmp_path, *argv)  # type: ignore[no-any-return]

    yield run
    made = {path.name for path in tmp_path.iterdir()} - {path.name for path in before}
    assert made <= {"events", "calls", "pw", "sweep.ini", "nagios.cmd"}


NOTHING = {os.devnull}
"""In place of standard error."""


def target(server: Server, pki: Pki, folder: Path) -> list[str]:
    (folder / "pw").touch(mode=0o600)
    (folder / "pw").write_text("s3cret pass\n")
    return [
        *("-H", "localhost", "--connect-to", server.address, "-p", str(server.port), "-S"),
        *("--ca-file", str(pki.ca_file), "-U", USER, "--password-file", str(folder / "pw")),
    ]


def test_login_writes_no_file(trace: Tracer, pki: Pki, tmp_path: Path) -> None:
    """Only standard output, one connection and no program; also with SSLKEYLOGFILE."""
    with PoliteServer({USER: "s3cret pass"}, tls=pki.server("good")) as server:
        done = trace(*target(server, pki, tmp_path), "-D", "60", "-vvv")

    assert done.code == 0, done.out
    assert (done.writes, done.programs, done.ports) == (NOTHING, set(), {server.port})


def test_diagnosis_writes_no_file(trace: Tracer, pki: Pki, tmp_path: Path) -> None:
    """It only runs its tools, connects to the POP3 ports and queries name servers."""
    with PoliteServer({}, tls=pki.server("expired")) as server:
        done = trace(*target(server, pki, tmp_path), "--diagnose=dns,tcp,tls,dialog,ping", "-vvv")

    assert done.code == 2, done.out
    assert "diagnosis: " in done.out
    assert done.writes == NOTHING
    assert {path.rpartition("/")[2] for path in done.programs} <= {"ping", "dig"}
    assert done.ports <= {server.port, 110, 995, 53, 1025, 0}


@pytest.mark.parametrize("submit_target", ["", "jsonl:-", "nagios:"])
def test_sweep_writes_only_the_command_file(
    submit_target: str, trace: Tracer, pki: Pki, tmp_path: Path
) -> None:
    """The file of `--submit` is the only one."""
    fifo = tmp_path / "nagios.cmd"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    with PoliteServer({USER: "s3cret pass"}, tls=pki.server("good")) as server, dead_port() as dead:
        target(server, pki, tmp_path)
        (tmp_path / "sweep.ini").write_text(
            f"[DEFAULT]\nssl =\nca-file = {pki.ca_file}\nusername = {USER}\nport = {server.port}\n"
            f"connect-to = {server.address}\npassword-file = {tmp_path / 'pw'}\n"
            f"[localhost!good]\n[localhost!dead]\nport = {dead}\n"
        )
        submit = (
            [f"--submit={submit_target}{fifo if submit_target == 'nagios:' else ''}"]
            if submit_target
            else []
        )
        done = trace("--sweep", str(tmp_path / "sweep.ini"), *submit)
    os.close(reader)

    assert done.code == (0 if submit_target else 2), done.out
    assert done.writes == (NOTHING | {str(fifo)} if submit_target == "nagios:" else NOTHING)
    assert done.programs == set()
    assert done.ports == {server.port, dead}


def test_byte_code_cache_is_the_only_file_and_not_needed(tmp_path: Path) -> None:
    """The first run of an uncompiled installation writes byte code, like any Python program;
    a user without write permission runs without it."""
    package = tmp_path / "check_pop3_plus"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))

    def files() -> set[Path]:
        return {path.relative_to(package) for path in package.rglob("*") if path.is_file()}

    def check() -> int:
        code = "from check_pop3_plus.start import run; run()"
        with PoliteServer({}) as server:
            argv = ["-H", server.address, "-p", str(server.port)]
            environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
            environment.pop("PYTHONDONTWRITEBYTECODE", None)
            done = subprocess.run(
                [sys.executable, "-c", code, *argv],
                env=environment,
                capture_output=True,
                check=False,
                cwd=tmp_path,
            )
        return done.returncode

    shipped = files()
    folders = [package, *(path.parent for path in package.glob("*/__init__.py"))]
    # A file in its place, because root may write to read-only directories.
    for folder in folders:
        (folder / "__pycache__").write_text("")
    assert check() == 0
    for folder in folders:
        (folder / "__pycache__").unlink()
    assert files() == shipped
    assert check() == 0
    compiled = files()
    assert {path.parts[-2] for path in compiled - shipped} == {"__pycache__"}
    assert check() == 0
    assert files() == compiled
