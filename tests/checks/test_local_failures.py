"""Local failures, for a single run and a sweep: closed descriptors, full disks, missing modules.

If the plugin needs the failed resource, the result is UNKNOWN in one line; else it is unchanged.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.pki.certificates import Pki
from tests.servers.network import require_owner_of_root, unshare_mounts
from tests.servers.scripted_server import PoliteServer, ScriptedServer, dead_port, say, silence
from tests.support import fake_clock
from tests.support.command import COMMAND, Run, write_launcher
from tests.support.faults import CANARY, honest, kinds

pytestmark = pytest.mark.threat("T24")

ROOT = Path(__file__).parent.parent.parent
PYTHON = COMMAND.read_text().partition("\n")[0].removeprefix("#!").split()


class Pair(NamedTuple):
    """A single run, and a sweep."""

    one: Run
    sweep: Run


class Machine:
    """Servers, and commands that check one of them, with TLS and login, or all in a sweep."""

    def __init__(self, pki: Pki, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.pki = pki
        users = {"monitor": CANARY}
        self.tls = stack.enter_context(PoliteServer(users, tls=pki.server("good")))
        self.plain = stack.enter_context(PoliteServer({}))
        dead = stack.enter_context(dead_port())
        password = folder / "password"
        password.touch(mode=0o600)
        password.write_text(f"{CANARY}\n")
        keys = {"ca-file": pki.ca_file, "username": "monitor", "password-file": password}
        login = [f"{key} = {value}" for key, value in keys.items()]
        file = folder / "sweep.ini"
        sections = (
            *("[DEFAULT]", "hostname = 127.0.0.1", "timeout = 15"),
            *("[a!login]", "ssl =", f"port = {self.tls.port}", *login),
            *("[b!plain]", f"port = {self.plain.port}"),
            *("[c!dead]", f"port = {dead}"),
        )
        file.write_text("\n".join(sections) + "\n")
        target = f"-H 127.0.0.1 -p {self.tls.port} -S -t 15"
        self.one = [*target.split(), *(f"--{key}={value}" for key, value in keys.items())]
        self.sweep = ["--sweep", str(file), "--run-timeout", "20"]

    def run(
        self,
        arguments: Sequence[str],
        script: str = 'exec "$@"',
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
        command: Sequence[str] = (str(COMMAND),),
    ) -> Run:
        """Run the plugin as "$@" of a shell script, with only `env` in its environment."""
        began = time.monotonic()
        done = subprocess.run(
            [*prefix, "/bin/sh", "-c", script, "sh", *command, *arguments],
            env={"PATH": os.environ["PATH"]} if env is None else env,
            cwd=self.folder,
            capture_output=True,
            timeout=30,
            check=False,
        )
        seconds = time.monotonic() - began
        return Run(done.returncode, done.stdout.decode(), done.stderr.decode(), seconds)

    def both(
        self,
        script: str = 'exec "$@"',
        env: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> Pair:
        """Run a single check and a sweep in parallel."""
        with ThreadPoolExecutor(2) as pool:
            runs = pool.map(
                lambda arguments: self.run(arguments, script, env, prefix), (self.one, self.sweep)
            )
            return Pair(*runs)


@pytest.fixture(scope="module")
def machine(pki: Pki, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    with ExitStack() as stack:
        yield Machine(pki, tmp_path_factory.mktemp("machine"), stack)


def assert_unaffected(pair: Pair) -> None:
    """Assert that the results are the usual ones."""
    one, sweep = honest(pair.one), honest(pair.sweep)
    assert one.code == 0, one.out
    assert ", user monitor logged in, 3 messages | " in one.line
    assert sweep.code == 2, sweep.out
    assert " - connection refused (c!dead); 3 services in " in sweep.verdict
    assert ": 2 OK, 1 CRITICAL | " in sweep.line


# --- descriptors -----------------------------------------------------------------------------


@pytest.mark.parametrize("redirection", ["<&-", "2>&-", "<&- 2>&-", "2>/dev/full"])
def test_descriptors_closed_do_not_change_the_result(redirection: str, machine: Machine) -> None:
    """Neither standard input nor standard error is used."""
    assert_unaffected(machine.both(f'exec "$@" {redirection}'))


@pytest.mark.parametrize("options", [[], ["--submit", "jsonl:-"]])
@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", "<&- >&- 2>&-"])
def test_sweep_output_unwritable_exits_3(
    redirection: str, options: list[str], machine: Machine
) -> None:
    """Fault 64: exit code 3, and no message anywhere."""
    done = machine.run([*machine.sweep, *options], f'exec "$@" {redirection}')

    assert (done.code, done.out, done.err) == (3, "", "")


@pytest.mark.parametrize("options", [[], ["--submit", "jsonl:-"]])
def test_sweep_with_broken_pipe_exits_3(options: list[str], machine: Machine) -> None:
    """Fault 64: SIGPIPE does not end the process."""
    process = subprocess.Popen(
        [COMMAND, *machine.sweep, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=20)

    assert (process.returncode, err) == (3, b"")


@pytest.mark.parametrize("number", range(3, 13))
def test_descriptor_limit_too_low_is_unknown(number: int, machine: Machine) -> None:
    """Too few descriptors are a local error, in one line."""
    pair = machine.both(f'ulimit -n {number}; exec "$@"')

    for done in pair:
        if is_able_to_start(machine, f"ulimit -n {number}"):
            assert_local_failure_or_ok(honest(done))


@pytest.mark.parametrize("megabytes", [24, 32, 40, 48, 56, 64, 80, 112, 160, 240])
def test_memory_limit_leaves_one_line_or_no_output(megabytes: int, machine: Machine) -> None:
    """If the interpreter can start, the run ends with a status line.

    In a sweep OpenSSL or cryptography may abort the process for lack of memory, and Python 3.14
    itself where it can just start: then there is no output, but never half a line.
    """
    limit = f"ulimit -v {megabytes * 1024}"
    if not is_able_to_start(machine, limit):
        assert megabytes <= 32
        return
    one, sweep = machine.both(f'{limit}; exec "$@"')
    for done, least, seconds in ((one, 32, 22), (sweep, 112, 28)):
        is_ended_by_library = done.code in (-signal.SIGABRT, -signal.SIGSEGV) and megabytes <= least
        assert (is_ended_by_library and done.out == "") or honest(done)
        assert done.seconds < seconds


def is_able_to_start(machine: Machine, limit: str) -> bool:
    """Return whether the interpreter reaches the first line of the plugin."""
    code = "import check_pop3_plus.start"
    done = machine.run(["-c", code], f'{limit}; exec "$@"', command=PYTHON)
    return done.code == 0


def assert_local_failure_or_ok(done: Run) -> None:
    """Assert that a local failure is reported neither as a server failure nor as a bug."""
    is_about_the_dead = "CRITICAL - connection refused (c!dead)" in done.verdict
    assert done.code in (0, 3) or is_about_the_dead, done.out
    assert " bug: " not in done.out, done.out


def limited_threads(number: int) -> list[str]:
    """Return the prefix of a command that limits its number of processes and threads."""
    prefix = ["prlimit", f"--nproc={number}:{number}"]
    if os.geteuid() == 0:  # root has no such limit
        user = str(61_000 + os.getpid() % 4000)
        reads = "+dac_read_search,+dac_override"
        prefix += ["setpriv", "--reuid", user, "--regid", user, "--clear-groups"]
        prefix += [f"--inh-caps={reads}", f"--ambient-caps={reads}"]
    return prefix


def test_thread_limit_reached_is_unknown(machine: Machine) -> None:
    """An attempt needs a thread; if none can start, that is a local error."""
    (machine.folder / "password").chmod(0o600)
    one = machine.run(machine.one, prefix=limited_threads(1))

    assert honest(one).verdict.startswith("POP3 UNKNOWN - config: cannot start a thread: ")


# --- a shortage in a sweep ---------------------------------------------------------------------


class Services:
    """A sweep of two services, submitted to a FIFO in place of Nagios."""

    def __init__(self, machine: Machine, folder: Path, *keys: str) -> None:
        self._machine = machine
        self._file, self._fifo = folder / "sweep.ini", folder / "nagios.cmd"
        os.mkfifo(self._fifo)
        lines = ["[DEFAULT]", "hostname = 127.0.0.1", f"port = {machine.plain.port}"]
        self._file.write_text("\n".join([*lines, "[a!x]", *keys, "[b!y]", ""]))

    def run(self, *arguments: str, **options: Any) -> tuple[Run, bytes]:
        """Return the run and what was submitted."""
        reader = os.open(self._fifo, os.O_RDONLY | os.O_NONBLOCK)
        words = ["--sweep", str(self._file), "--submit", f"nagios:{self._fifo}", *arguments]
        done = self._machine.run(words, **options)
        try:
            return honest(done), os.read(reader, 65536)
        except BlockingIOError:
            return honest(done), b""
        finally:
            os.close(reader)


@pytest.mark.fault(100, case="threads")
def test_sweep_without_threads_submits_nothing(machine: Machine, tmp_path: Path) -> None:
    """Each service is named as not done, with the reason."""
    services = Services(machine, tmp_path)
    done, submitted = services.run("--run-timeout", "3", prefix=limited_threads(1))

    assert (done.code, submitted) == (3, b"")


@pytest.mark.skipif(os.geteuid() != 0, reason="the limit counts all processes of a user")
def test_sweep_with_few_threads_does_all_services(machine: Machine, tmp_path: Path) -> None:
    """Threads are started as far as possible; each service is done by one of them."""
    file = tmp_path / "sweep.ini"
    sections = [f"[h{number}!x]\nport = {machine.plain.port}\n" for number in range(100)]
    file.write_text("[DEFAULT]\nhostname = 127.0.0.1\n" + "".join(sections))
    done = machine.run(["--sweep", str(file)], prefix=limited_threads(8))

    assert ": 100 OK | " in honest(done).line


@pytest.mark.fault(100, case="descriptors")
def test_sweep_without_descriptors_does_not_submit_the_service(
    machine: Machine, tmp_path: Path
) -> None:
    """A connection fits into the limit, the pipes to a password command do not."""
    services = Services(machine, tmp_path, *login_by("echo"))
    done, submitted = services.run("--run-timeout", "9", script='ulimit -n 7; exec "$@"')

    assert done.code == 3
    assert b";b;y;0;" in submitted
    assert b";a;x;" not in submitted
    assert done.seconds < 8, "a lack that stays is not waited for until the end"


def login_by(command: str) -> list[str]:
    return ["username = u", "allow-insecure-login =", f"password-command = {command}"]


def test_sweep_with_diagnoses_fits_into_few_descriptors(machine: Machine, tmp_path: Path) -> None:
    """Where the limit allows fewer checks at a time, fewer run, and none lacks a descriptor."""
    file = tmp_path / "sweep.ini"
    with dead_port() as dead:
        lines = [f"[h{number}!x]\nport = {dead}\ndiagnose = tcp,tls" for number in range(40)]
        file.write_text("[DEFAULT]\nhostname = 127.0.0.1\n" + "\n".join(lines))
        done = machine.run(["--sweep", str(file), "-vv"], 'ulimit -n 256; exec "$@"')

    assert ": 40 CRITICAL | " in done.line
    assert "Too many open files" not in done.out


OUT_OF_MEMORY = """
from check_pop3_plus.check import run
def broken(*_): raise MemoryError
run.run_check = broken
from check_pop3_plus import start
start.run()
"""


@pytest.mark.fault(100, case="memory")
def test_sweep_without_memory_submits_nothing(machine: Machine, tmp_path: Path) -> None:
    """Played by a check that raises MemoryError: a real one may end in OpenSSL."""
    services = Services(machine, tmp_path)
    command = [*PYTHON, "-c", OUT_OF_MEMORY]
    done, submitted = services.run("--run-timeout", "12", command=command)

    assert (done.code, submitted) == (3, b"")


# --- signals ---------------------------------------------------------------------------------

HOOKED = """
import os, sys
event, detail, number = sys.argv.pop(1), sys.argv.pop(1), int(sys.argv.pop(1))
def hook(name, details):
    if name == event and (not detail or detail in map(str, details)):
        os.kill(os.getpid(), number)
from check_pop3_plus import start
sys.addaudithook(hook)
start.run()
"""

MOMENTS = {
    "before any import": ("import", "check_pop3_plus.cli"),
    "in an import of ours": ("import", "check_pop3_plus.options.validators"),
    "in an import of the judge": ("import", "nagiosplugin"),
    "in an import of TLS": ("import", "ssl"),
    "in an import of certificates": ("import", "check_pop3_plus.certificate.reader"),
    "before the password is read": ("open", "{folder}/password"),
    "in a look-up": ("socket.getaddrinfo", ""),
    "in connect": ("socket.connect", ""),
}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("moment", MOMENTS)
def test_signal_at_any_moment_ends_the_run(moment: str, number: int, machine: Machine) -> None:
    """Fault 65: during an import as well as during a call."""
    event, detail = MOMENTS[moment]
    detail = detail.format(folder=machine.folder)
    command = [*PYTHON, "-c", HOOKED, event, detail, str(int(number))]
    one = honest(machine.run(machine.one, command=command))

    assert one.code == 3
    assert re.match(r"POP3 UNKNOWN - stopped from outside after \d s", one.verdict)
    assert kinds(one) == ["stopped"]


@pytest.mark.parametrize("moment", ["in an import of ours", "in a look-up", "in connect"])
def test_signal_to_sweep_names_unfinished_services(moment: str, machine: Machine) -> None:
    """The output names the unfinished services."""
    event, detail = MOMENTS[moment]
    command = [*PYTHON, "-c", HOOKED, event, detail, str(int(signal.SIGTERM))]
    done = honest(machine.run(machine.sweep, command=command))

    assert done.code in (2, 3)
    assert done.verdict.split(" - ")[1].startswith("stopped from outside")


def test_sigpipe_default_action_does_not_end_the_run(machine: Machine) -> None:
    """Python ignores SIGPIPE, so a lost connection is an ordinary error."""
    event, detail = MOMENTS["in connect"]
    command = [*PYTHON, "-c", HOOKED, event, detail, str(int(signal.SIGPIPE))]

    assert honest(machine.run(machine.one, command=command)).code == 0


STOPPED_IN = r"POP3 UNKNOWN - stopped from outside after \d s during "


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_during_handshake_ends_the_run(number: int, machine: Machine) -> None:
    """The main thread waits interruptibly for the thread of the handshake."""
    with ScriptedServer([silence()]) as server:
        process = start("-H", "127.0.0.1", "-p", str(server.port), "-S", "-t", "20")
        while not server.connections:
            time.sleep(0.01)
        time.sleep(0.05)
        done = stopped(process, number)

    assert re.fullmatch(STOPPED_IN + r"the TLS handshake \(\S+\)", done.verdict)


def test_signal_during_login_names_the_phase(machine: Machine) -> None:
    """The output names the phase and not the password."""
    steps = [say(b"+OK\r\n"), silence()]
    with ScriptedServer(steps, tls=machine.pki.server("good")) as server:
        process = start(*machine.one, "-p", str(server.port), "-t", "20")
        while not server.received:
            time.sleep(0.01)
        done = stopped(process, signal.SIGTERM)

    assert re.fullmatch(STOPPED_IN + r"CAPA \(\S+\)", done.verdict)


def test_signal_during_submit_ends_the_run(machine: Machine, tmp_path: Path) -> None:
    """An API that does not answer does not delay the end."""
    with ScriptedServer([silence()]) as api:
        words = ["--submit", f"icinga2:https://127.0.0.1:{api.port}", "--icinga-user", "x"]
        words += ["--icinga-password-file", str(machine.folder / "password")]
        process = start(*machine.sweep, *words)
        while not api.connections:
            time.sleep(0.01)
        done = stopped(process, signal.SIGTERM)

    assert done.verdict.startswith("POP3 UNKNOWN - stopped from outside; not submitted: the swee")


def start(*arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def stopped(process: subprocess.Popen[bytes], number: int) -> Run:
    began = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=5)
    assert time.monotonic() - began < 2
    done = honest(Run(process.returncode, out.decode(), err.decode(), 0))
    assert done.code == 3
    return done


# --- the environment -------------------------------------------------------------------------

ENVIRONMENTS: dict[str, dict[str, str]] = {
    "nothing": {},
    "C": {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
    "latin-1": {"LC_ALL": "de_DE.ISO-8859-1", "PYTHONIOENCODING": "latin-1:strict"},
    "no locale at all": {"LC_ALL": "x" * 300, "LANG": "no/where", "TZ": ":/nowhere"},
    "two octets a letter": {"PYTHONIOENCODING": "utf-16"},
    "warnings are errors": {"PYTHONWARNINGS": "error", "PYTHONDEVMODE": "1"},
    "memory is watched": {"PYTHONMALLOC": "debug", "PYTHONFAULTHANDLER": "1"},
    "no assertions": {"PYTHONOPTIMIZE": "2", "PYTHONINSPECT": "1", "PYTHONSTARTUP": "/nowhere"},
    "TLS is steered": {
        "SSLKEYLOGFILE": "{folder}/keys",
        "SSL_CERT_FILE": "/dev/null",
        "SSL_CERT_DIR": "/nowhere",
    },
    "a broken OPENSSL_CONF": {"OPENSSL_CONF": "{folder}/broken.cnf"},
    "an OPENSSL_CONF that is not there": {"OPENSSL_CONF": "/nowhere", "OPENSSL_MODULES": "/"},
    "dead proxies": dict.fromkeys(
        ("https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:9"
    ),
    "no home": {"HOME": "/nowhere", "TMPDIR": "/nowhere", "XDG_CONFIG_HOME": "/proc/1"},
    "a home that is none": {"HOME": "{folder}/broken.cnf", "PATH": ""},
    "no descriptions of terminals": {"TERM": "\x1b[31m", "COLUMNS": "-1", "LINES": "x"},
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environment_variables_do_not_change_the_result(name: str, machine: Machine) -> None:
    """Only variables named by an option are read."""
    (machine.folder / "broken.cnf").write_text("openssl_conf = [[[\n\x00= broken\n[")
    env = {key: value.format(folder=machine.folder) for key, value in ENVIRONMENTS[name].items()}

    assert_unaffected(machine.both(env=env))
    assert not (machine.folder / "keys").exists()


@pytest.mark.parametrize(
    "env",
    [
        {"PYTHONIOENCODING": "nonsense"},
        {"PYTHONUTF8": "7"},
        {"PYTHONHASHSEED": "x"},
        {"PYTHONMALLOC": "nonsense"},
        {"PYTHONVERBOSE": "1", "PYTHONWARNINGS": "nonsense"},
    ],
    ids=str,
)
def test_launcher_ignores_python_variables(
    env: dict[str, str], machine: Machine, tmp_path: Path
) -> None:
    """The launcher of docs/install.md ignores variables that end Python before it starts."""
    launcher = write_launcher(tmp_path)
    done = honest(machine.run(machine.one, env=env, command=[str(launcher)]))
    assert done.code == 0


# --- modules ---------------------------------------------------------------------------------

BROKEN_MODULES = {
    "raise ModuleNotFoundError('x | y', name='elsewhere')": (
        "config",
        "missing Python module elsewhere",
    ),
    "raise ImportError('x | y', name='elsewhere')": (
        "config",
        "Python module elsewhere is too old or broken: update it",
    ),
    "raise OSError(28, 'x')": ("config", "local error: x"),
    "raise MemoryError": ("config", "local error: MemoryError"),
    "raise AttributeError('half an installation')": ("bug", "internal error (AttributeError)"),
    "raise SystemExit(0)": ("bug", "internal error (SystemExit)"),
    "class PanicException(BaseException): pass\nraise PanicException": (
        "bug",
        "internal error (PanicException)",
    ),
    "x = (": ("bug", "internal error (SyntaxError)"),
    "": ("config", "Python module nagiosplugin is too old or broken: update it"),
}


@pytest.mark.parametrize("code", BROKEN_MODULES)
def test_broken_dependency_is_one_unknown_line(code: str, machine: Machine, tmp_path: Path) -> None:
    """Fault 66: if an import fails in any way, the result is UNKNOWN in one line."""
    (tmp_path / "nagiosplugin.py").write_text(code)
    one, sweep = machine.both(env={"PYTHONPATH": str(tmp_path)})
    kind, reason = BROKEN_MODULES[code]

    for done in (one, sweep):
        assert honest(done).out == f"POP3 UNKNOWN - {kind}: {reason}\nkind: {kind}\n"


@pytest.mark.parametrize("code", ["raise SystemExit(0)", "raise RuntimeError", "x = ("])
def test_broken_tls_dependency_fails_only_tls_sections(
    code: str, machine: Machine, tmp_path: Path
) -> None:
    """The other sections of a sweep are checked."""
    (tmp_path / "ssl.py").write_text(code)
    one, sweep = machine.both(env={"PYTHONPATH": str(tmp_path)})

    assert honest(one).verdict.startswith("POP3 UNKNOWN - bug: internal error (")
    assert honest(sweep).verdict.endswith(": 1 OK, 1 CRITICAL, 1 UNKNOWN")


# --- files and directories -------------------------------------------------------------------

PLACES = {
    "the working directory is gone": 'mkdir {tmp}/$$; cd {tmp}/$$; rmdir {tmp}/$$; exec "$@"',
    "a working directory that cannot be read": 'mkdir {tmp}/$$; cd {tmp}/$$; chmod 0 .; exec "$@"',
    "files cannot grow": 'ulimit -f 0; exec "$@"',
}


@pytest.mark.parametrize("place", PLACES)
def test_working_directory_does_not_change_the_result(
    place: str, machine: Machine, tmp_path: Path
) -> None:
    """Only files named by options are read, and none is written."""
    assert_unaffected(machine.both(PLACES[place].format(tmp=tmp_path)))


MOUNTS = {
    "no /proc": "mount -t tmpfs none /proc",
    "no /dev": "mount -t tmpfs none /dev",
    "/tmp is full": "mount -t tmpfs -o size=64k none /tmp",
    "/tmp cannot be written": "mount -t tmpfs none /tmp",
    "no resolv.conf, no hosts": (
        "for file in resolv.conf hosts nsswitch.conf; do"
        " [ ! -e /etc/$file ] || mount --bind /dev/null /etc/$file; done"
    ),
    "no store of certificates": "mount -t tmpfs none /etc/ssl",
}


FILL = {
    "/tmp is full": "dd if=/dev/zero of=/tmp/full 2>/dev/null || true",
    "/tmp cannot be written": "mount -o remount,ro /tmp",
}


@pytest.mark.parametrize("mount", MOUNTS)
def test_missing_system_files_do_not_change_the_result(
    mount: str, machine: Machine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A bare chroot or a full disk does not matter."""
    require_owner_of_root()
    base = tmp_path_factory.getbasetemp().resolve()
    # Files that the run needs stay visible below the covered /tmp.
    needed = {base, ROOT.resolve(), Path(sys.prefix).resolve()}
    covered = sorted(path for path in needed if path.is_relative_to("/tmp"))
    steps = ["set -e", "mount --rbind /tmp /mnt", MOUNTS[mount]]
    if "/tmp" in MOUNTS[mount]:
        for path in covered:
            kept = shlex.quote(str("/mnt" / path.relative_to("/tmp")))
            steps += [
                f"mkdir -p {shlex.quote(str(path))}",
                f"mount --bind {kept} {shlex.quote(str(path))}",
            ]
    steps += [f"cd {shlex.quote(str(base))}", FILL.get(mount, ":"), 'exec "$@"']
    assert_unaffected(machine.both("; ".join(steps), prefix=unshare_mounts()))


# --- the clock -------------------------------------------------------------------------------


def both_at(date: str, machine: Machine) -> Pair:
    """Run a single check and a sweep at that time."""
    env = fake_clock.showing(f"@{date}")
    return Pair(
        machine.run(machine.one, env=env),
        machine.run(machine.sweep, env=env, command=fake_clock.AWAKE),
    )


@pytest.mark.parametrize("date", ["1970-01-02 00:00:00", "2026-11-20 00:00:00"])
def test_clock_before_release_is_config_error(date: str, machine: Machine) -> None:
    """Fault 68: certificate dates cannot be evaluated then; the rest is checked."""
    one, sweep = both_at(date, machine)

    assert honest(one).code == 3
    assert "config" in kinds(one)
    assert " clock " in one.out
    assert ": 1 OK, 1 CRITICAL, 1 UNKNOWN | " in honest(sweep).line


@pytest.mark.parametrize(
    "date", ["2038-01-20 03:14:08", "2100-02-28 23:59:59", "2106-02-08 06:28:15"]
)
def test_clock_far_ahead_reports_expired_certificates(date: str, machine: Machine) -> None:
    """Every client with such a clock rejects them; nothing overflows."""
    one, sweep = both_at(date, machine)

    assert honest(one).code == 2
    assert kinds(one) == ["expired"]
    assert float(one.perfdata["cert_days"].partition(";")[0]) < -3000
    assert ": 1 OK, 2 CRITICAL | " in honest(sweep).line
    assert one.seconds < 5


# --- the watchdog ----------------------------------------------------------------------------

STUCK = """
import threading
from check_pop3_plus import start
from check_pop3_plus.probe import addresses
addresses.probe_addresses = lambda *_: threading.Event().wait()
start.run()
"""


def test_watchdog_ends_a_blocked_process(machine: Machine) -> None:
    """An endless wait ends five seconds after the run timeout."""
    command = [*PYTHON, "-c", STUCK]
    done = honest(machine.run([*machine.one, "-t", "1"], command=command))

    assert done.out == "POP3 UNKNOWN - bug: not over in time\nkind: bug\n"
    assert done.code == 3
    assert 6 <= done.seconds < 12


@pytest.mark.parametrize(
    ("options", "earliest", "latest"), [([], 6, 15), (["--submit", "jsonl:-"], 1, 6)]
)
def test_sweep_output_blocked_ends(
    options: list[str], earliest: float, latest: float, machine: Machine
) -> None:
    """A full pipe without a reader blocks text until the watchdog, JSON until the run timeout."""
    words = [*machine.sweep[:2], *options, "--run-timeout", "1"]
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    filled = os.write(writing, b"x" * 1024 * 1024)  # as much as fits
    os.set_blocking(writing, True)
    began = time.monotonic()
    process = subprocess.Popen([COMMAND, *words], stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    try:
        _, err = process.communicate(timeout=25)
        taken = time.monotonic() - began
    finally:
        os.close(reading)

    assert filled
    assert (process.returncode, err) == (3, b"")
    assert earliest <= taken < latest
