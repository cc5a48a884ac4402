"""Local faults: UNKNOWN, one line, and the server receives nothing."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.pki.certificates import Pki
from tests.servers.scripted_server import PoliteServer, ScriptedServer, silence
from tests.support import claims
from tests.support.catalogue import FAULTS, MODES, WITH_TLS
from tests.support.command import COMMAND, Run, run
from tests.support.faults import BYE, GREETING, flags, honest, kinds

NOBODY = ("-H", "127.0.0.1", "-p", "1", "-S", "-U", "monitor")


def script(code: str, *arguments: str) -> Run:
    """Run the plugin in an interpreter after `code`."""
    run_it = (
        "import sys, time\n"
        f"{code}\n"
        "from check_pop3_plus import start\n"
        "sys.exit(start.main(sys.argv[1:], time.monotonic()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", run_it, *arguments], capture_output=True, text=True, check=False
    )
    return honest(Run(done.returncode, done.stdout, done.stderr, 0))


PASSWORD_FILES = ("missing", "lax mode", "symlink", "FIFO", "empty", "binary")


@pytest.mark.parametrize(
    "how",
    [pytest.param(how, marks=pytest.mark.fault(60, case=how)) for how in PASSWORD_FILES],
)
@pytest.mark.threat("T9")
def test_password_file_fault_is_config(how: str, tmp_path: Path) -> None:
    """The fault is reported, without the content of the file."""
    file = tmp_path / "password"
    if how == "FIFO":
        os.mkfifo(file, 0o600)
    elif how != "missing":
        file.write_bytes({"empty": b"", "binary": b"s3\0cret"}.get(how, b"s3cret"))
        file.chmod(0o644 if how == "lax mode" else 0o600)
    if how == "symlink":
        if os.geteuid():
            pytest.skip("only root can make a link of another user")
        link = tmp_path / "link"
        link.symlink_to(file)
        os.lchown(link, 12345, 12345)
        file = link

    done = honest(run(*NOBODY, "--password-file", file))

    assert done.code == 3
    assert "s3" not in done.out.replace(str(tmp_path), "")
    assert done.seconds < 3


@pytest.mark.threat("T18")
@pytest.mark.parametrize(
    ("arguments", "secret"),
    [
        pytest.param(("-U", "a\r\nDELE 1"), "x", marks=pytest.mark.fault(61, case="user")),
        pytest.param(("-U", "a"), "x\nDELE 1", marks=pytest.mark.fault(61, case="password")),
        pytest.param(("-U", "a"), "x\rDELE 1", marks=pytest.mark.fault(61, case="password")),
        pytest.param(("-H", ""), "x", marks=pytest.mark.fault(61, case="empty host")),
        pytest.param(("-H", "a." * 130), "x", marks=pytest.mark.fault(61, case="long host")),
        pytest.param(("-H", "a..b"), "x", marks=pytest.mark.fault(61, case="bad label")),
        pytest.param(("-H", "a\r\nb"), "x", marks=pytest.mark.fault(61, case="bad label")),
        pytest.param(("-H", "a" * 64), "x", marks=pytest.mark.fault(61, case="bad label")),
    ],
)
def test_arguments_invalid_are_refused(arguments: tuple[str, ...], secret: str, pki: Pki) -> None:
    """Before anything is connected to: the server receives no byte."""
    with PoliteServer({}, tls=pki.server("good")) as server:
        target = ("-H", "127.0.0.1", "-p", str(server.port), *flags("tls", pki))
        login = ("-U", "monitor", "--password-env", "SECRET")
        done = honest(run(*target, *login, *arguments, env={"SECRET": secret}))

    assert done.code == 3
    assert server.connections == 0


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("stra\u00dfe.example.test", marks=pytest.mark.fault(75, case="sharp s")),
        pytest.param(
            "\u03b2\u03cc\u03bb\u03bf\u03c2.test", marks=pytest.mark.fault(75, case="final sigma")
        ),
        pytest.param(
            "\u0dc1\u0dca\u200d\u0dbb\u0dd3.test", marks=pytest.mark.fault(75, case="joiner")
        ),
    ],
)
def test_host_name_ambiguous_in_idna_is_refused(name: str, pki: Pki) -> None:
    """Its two readings are two domains; the password would be sent to one of them."""
    with PoliteServer({"monitor": "s3cret"}, tls=pki.server("good")) as server:
        target = ("-H", name, "--connect-to", "127.0.0.1", "-p", str(server.port), "-S")
        login = ("-U", "monitor", "--password-env", "SECRET")
        done = honest(run(*target, *login, env={"SECRET": "s3cret"}))

    assert done.code == 3
    assert server.connections == 0


@pytest.mark.parametrize(
    "spec",
    [pytest.param(spec, marks=pytest.mark.fault(62, case=spec)) for spec in FAULTS[62].cases],
)
def test_range_invalid_is_refused(spec: str) -> None:
    """The option and its value are named."""
    done = honest(run("-H", "127.0.0.1", "-p", "1", "-w", spec))

    assert done.code == 3


@pytest.mark.parametrize(
    "file",
    [
        pytest.param("missing", marks=pytest.mark.fault(63, case="unreadable")),
        pytest.param("empty", marks=pytest.mark.fault(63, case="empty")),
    ],
)
def test_ca_file_invalid_is_config(file: str, tmp_path: Path) -> None:
    """The file and the reason are named; no connection is opened."""
    (tmp_path / "empty").touch()
    done = honest(run("-H", "127.0.0.1", "-p", "1", "-S", "--ca-file", tmp_path / file))

    assert kinds(done) == ["config"]


@pytest.mark.parametrize(
    ("name", "target"),
    [
        pytest.param("0123abcd.0", "gone", marks=pytest.mark.fault(76, case="dangling")),
        pytest.param("ca.pem", "", marks=pytest.mark.fault(76, case="not hashed")),
        pytest.param("", "", marks=pytest.mark.fault(76, case="empty")),
    ],
)
def test_ca_path_without_a_certificate_is_config(
    name: str, target: str, pki: Pki, tmp_path: Path
) -> None:
    """No server is called untrusted because of it; no connection is opened."""
    if name:
        (tmp_path / name).symlink_to(target or pki.ca_file)
    done = honest(run("-H", "127.0.0.1", "-p", "1", "-S", "--ca-path", tmp_path))

    assert kinds(done) == ["config"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGTERM, marks=pytest.mark.fault(65, case="SIGTERM")),
        pytest.param(signal.SIGINT, marks=pytest.mark.fault(65, case="SIGINT")),
    ],
)
@pytest.mark.threat("T24")
def test_signal_ends_check_at_once(number: signal.Signals, mode: str, pki: Pki) -> None:
    """The output is one line with the measured times: Icinga shows it."""
    tls = pki.server("good") if mode == "tls" else None
    with ScriptedServer([silence()], tls=tls) as server:
        target = ("-H", "localhost", "--connect-to", "127.0.0.1", "-p", str(server.port))
        process = subprocess.Popen(
            [COMMAND, *target, *flags(mode, pki), "-t", "20"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not server.connections:
            time.sleep(0.01)
        time.sleep(0.5 if mode == "tls" else 0.2)
        process.send_signal(number)
        out, err = process.communicate(timeout=5)

    done = honest(Run(process.returncode, out, err, 0))
    assert kinds(done) == ["stopped"]
    assert "time_connect" in done.perfdata


NO_READER = "from cryptography import x509; del x509.load_der_x509_certificate"
"""As in a version of the library that does not have what is used."""

NO_EVALUATION = "from nagiosplugin import Results; del Results.add"
"""The same, used only by the check itself."""


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(damage, marks=pytest.mark.fault(66, case=case))
        for case, damage in {
            "cryptography": "sys.modules['cryptography'] = None",
            "nagiosplugin": "sys.modules['nagiosplugin'] = None",
            "cryptography, too old": NO_READER,
            "nagiosplugin, too old": "import nagiosplugin; del nagiosplugin.Metric",
            "nagiosplugin, too old, found late": NO_EVALUATION,
        }.items()
    ],
)
@pytest.mark.threat("T24")
def test_library_missing_or_too_old_is_named(damage: str) -> None:
    """The message names the module; only names of certificates need cryptography."""
    done = script(damage, *("-H", "127.0.0.1", "-p", "1", "-S", "--issuer", "Root"))

    assert kinds(done) == ["config"]


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(
            "sys.modules['cryptography'] = None",
            marks=pytest.mark.fault(66, case="cryptography, not decisive"),
        ),
        pytest.param(
            NO_READER, marks=pytest.mark.fault(66, case="cryptography, too old, not decisive")
        ),
    ],
)
def test_library_missing_where_it_does_not_decide_is_a_note(damage: str, pki: Pki) -> None:
    """Trust, dates and keys need no library; with -v the long output says what is missing."""
    with PoliteServer({}, tls=pki.server("good")) as server:
        target = ("-H", "localhost", "--connect-to", "127.0.0.1", "-p", str(server.port))
        more = ("-D", "1", "--min-key-bits", "2048", "-v")
        done = script(damage, *target, *flags("tls", pki), *more)

    assert done.code == 0, done.out


@pytest.mark.fault(67)
@pytest.mark.threat("T8", "T24")
def test_bug_is_reported_without_its_text() -> None:
    """Type and place are shown; the text may contain a secret."""
    code = "from check_pop3_plus.check import run\nrun.run_check = lambda *_: {}['s3cret | \\n']"
    done = script(code, "-H", "127.0.0.1", "-vvv")

    assert kinds(done) == ["bug"]
    assert "s3cret" not in done.out


LONG_AGO = "clock = time.time\ntime.time = lambda: clock() - 25 * 365.25 * 86400"


@pytest.mark.parametrize("mode", WITH_TLS)
@pytest.mark.parametrize(
    "persona",
    [
        pytest.param("good", marks=pytest.mark.fault(68, case="accepted")),
        # OpenSSL asks the system's clock itself, which the test cannot change.
        pytest.param("future", marks=pytest.mark.fault(68, case="rejected")),
    ],
)
def test_clock_wrong_is_config(persona: str, mode: str, pki: Pki) -> None:
    """Certificate dates are not compared with it, even if OpenSSL accepted them."""
    served = pki.server(persona)
    with PoliteServer({}, **{mode: served}) as server:  # type: ignore[arg-type]
        target = ("-H", "localhost", "--connect-to", "127.0.0.1", "-p", str(server.port))
        done = script(LONG_AGO, *target, *flags(mode, pki), "-D", "90")

    assert done.code == 3
    assert kinds(done) == ["config"]


@pytest.mark.fault(64, case="closed")
@pytest.mark.threat("T24")
@pytest.mark.parametrize("redirection", [">&-", "<&- >&- 2>&-"])
def test_stdout_closed_exits_unknown(redirection: str) -> None:
    """Exit code 3 and no traceback; the output must not go to the mail server."""
    _assert_unwritable(redirection)


@pytest.mark.fault(64, case="full")
@pytest.mark.threat("T24")
def test_stdout_full_exits_unknown() -> None:
    """Exit code 3, and no traceback."""
    _assert_unwritable("> /dev/full")


@pytest.mark.fault(64, case="broken pipe")
@pytest.mark.threat("T24")
def test_stdout_broken_pipe_exits_unknown() -> None:
    """Exit code 3, and no traceback."""
    _assert_unwritable("", is_pipe=True)


def _assert_unwritable(redirection: str, is_pipe: bool = False) -> None:
    with ScriptedServer([GREETING, *BYE]) as server:
        command = [str(COMMAND), "-H", "127.0.0.1", "-p", str(server.port)]
        if is_pipe:
            reader, writer = os.pipe()
            os.close(reader)
            done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False)
            os.close(writer)
            out, err, code = b"", done.stderr, done.returncode
        else:
            shell = ["sh", "-c", f'exec "$@" {redirection}', "sh", *command]
            ran = subprocess.run(shell, capture_output=True, check=False)
            out, err, code = ran.stdout, ran.stderr, ran.returncode
        server.settle()

    assert (code, out, err) == (3, b"", b"")
    assert server.received == b"QUIT\r\n"
    claims.seen.append(Run(code, "", "", 0))


def _careless_parent() -> None:
    """Do in the child what a parent may leave behind: SIGCHLD ignored, signals blocked."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())


@pytest.mark.fault(78, case="SIGCHLD ignored")
def test_sigchld_ignored_by_parent_password_command_fails() -> None:
    """The exit code of the command counts; otherwise its output is sent as the password."""
    command = "sh -c 'echo usage: get-password USER; exit 1'"
    with PoliteServer({}) as server:
        target = ("-H", "127.0.0.1", "-p", str(server.port), "--allow-insecure-login")
        done = subprocess.run(
            [COMMAND, *target, "-U", "monitor", "--password-command", command],
            preexec_fn=_careless_parent,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )

    assert kinds(honest(Run(done.returncode, done.stdout, done.stderr, 0))) == ["config"]
    assert server.connections == 0


@pytest.mark.fault(78, case="signals blocked")
def test_signals_blocked_by_parent_still_stop_the_check() -> None:
    """SIGTERM ends the run, and so does the watchdog, whose SIGALRM is a signal as well."""
    with ScriptedServer([silence()]) as server:
        process = subprocess.Popen(
            [COMMAND, "-H", "127.0.0.1", "-p", str(server.port), "-t", "20"],
            preexec_fn=_careless_parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not server.connections:
            time.sleep(0.01)
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=5)

    assert kinds(honest(Run(process.returncode, out, err, 0))) == ["stopped"]


@pytest.mark.fault(103)
def test_ini_empty_value_never_swallows_the_next_key(tmp_path: Path) -> None:
    """Otherwise the check would expect the text --ssl, without TLS."""
    file = tmp_path / "plugins.ini"
    file.write_text("[check_pop3_plus]\nexpect =\nssl =\n")
    done = honest(run("-H", "127.0.0.1", "-p", "1", f"--extra-opts=@{file}"))

    assert done.code == 3


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(
            ("-w", "5", "-c", "2"), marks=pytest.mark.fault(104, case="critical below warning")
        ),
        pytest.param(("-w", "60", "-c", "14"), marks=pytest.mark.fault(104, case="days")),
        pytest.param(("-w", "14", "-c", "30"), marks=pytest.mark.fault(104, case="above timeout")),
    ],
)
def test_time_limits_wrong_together_are_named(limits: tuple[str, ...]) -> None:
    """A critical limit below the warning is refused; limits above the timeout are noted."""
    with PoliteServer({}) as server:
        done = honest(run("-H", "127.0.0.1", "-p", str(server.port), *limits, "-v"))

    assert done.code == (0 if "30" in limits else 3)
    assert bool(server.connections) is (done.code == 0)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\xef\xbb\xbfs3cret", marks=pytest.mark.fault(105, case="BOM")),
        pytest.param(b'"s3cret"\n', marks=pytest.mark.fault(105, case="quotes")),
        pytest.param(b"s3cret \r\n", marks=pytest.mark.fault(105, case="blank at the end")),
    ],
)
def test_password_file_edited_by_accident_is_named(content: bytes, tmp_path: Path) -> None:
    """The server only says that the password is wrong, and may lock the account."""
    file = tmp_path / "password"
    file.touch(0o600)
    file.write_bytes(content)
    with PoliteServer({"monitor": "s3cret"}) as server:
        target = ("-H", "127.0.0.1", "-p", str(server.port), "--allow-insecure-login")
        done = honest(run(*target, "-U", "monitor", "--password-file", file))

    assert "s3cret" not in done.out
    assert bool(server.connections) is (done.code == 2)
