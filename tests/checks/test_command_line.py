"""The installed command as a process: descriptors, signals, terminals, environment."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.pki.certificates import Pki
from tests.servers.scripted_server import PoliteServer, ScriptedServer, Step, expect, say, silence
from tests.support.command import (
    COMMAND,
    Run,
    run,
    run_broken_check,
    run_on_terminal,
    write_launcher,
)
from tests.support.faults import CANARY, assert_no_canary, check, flags, honest

GREETED = [say(b"+OK ready\r\n"), expect(b"QUIT"), say(b"+OK bye\r\n")]


def shell(script: str, *arguments: str, env: dict[str, str] | None = None) -> Run:
    """Run a shell script that calls the plugin as "$@"."""
    began = time.monotonic()
    done = subprocess.run(
        ["sh", "-c", script, "sh", str(COMMAND), *arguments],
        capture_output=True,
        timeout=30,
        check=False,
        env={"PATH": os.environ["PATH"], **(env or {})},
    )
    return Run(
        done.returncode, done.stdout.decode(), done.stderr.decode(), time.monotonic() - began
    )


# --- output ----------------------------------------------------------------------------------


def test_command_four_common_uses_give_expected_output(pki: Pki, tmp_path: Path) -> None:
    """Contract, section 2: each has exactly this output."""
    password = tmp_path / "password"
    password.write_text("s3cret")
    password.chmod(0o600)
    tls = ["-S", "--ca-file", str(pki.ca_file)]
    with (
        PoliteServer({}) as plain,
        PoliteServer({"monitor": "s3cret"}, tls=pki.server("good")) as secure,
    ):
        up = honest(run("-H", "127.0.0.1", "-p", str(plain.port)))
        target = ("-H", "127.0.0.1", "-p", str(secure.port), *tls)
        login = honest(run(*target, "-U", "monitor", "--password-file", password))
        verified = honest(run(*target))
        days = honest(run(*target, "-D", "60"))

    seconds, lap = r"\d\.\d{3} s", r"=\d\.\d{4}s;;;0"
    phases = f"time{lap};10 time_resolve{lap} time_connect{lap}"
    assert re.fullmatch(
        rf"POP3 OK - 127\.0\.0\.1:{plain.port} answered in {seconds} \| {phases}"
        rf" time_greeting{lap}\n",
        up.out,
    )
    secured = rf"POP3 OK - 127\.0\.0\.1:{secure.port} answered in {seconds}, TLSv1\.3, certificate"
    handshake = f"{phases} time_tls{lap} time_greeting{lap}"
    assert re.fullmatch(
        rf"{secured} valid for 364 days \(until [\d-]+\) \| {handshake} cert_days=364\.99\n",
        verified.out,
    )
    assert re.fullmatch(
        rf"{secured} valid for 364 days \(until [\d-]+\) \| {handshake} cert_days=364\.99;60:\n",
        days.out,
    )
    assert re.fullmatch(
        rf"{secured} valid for 364 days \(until [\d-]+\), user monitor logged in, 3 messages"
        rf" \| {handshake}"
        rf" time_capa{lap} time_login{lap} time_stat{lap} cert_days=364\.99"
        rf" messages=3;;;0 mailbox_size=1234B;;;0\n",
        login.out,
    )
    assert secure.sessions_without_quit == 0


def test_command_ipv6_address_is_shown_in_brackets() -> None:
    """An IPv6 address is accepted with and without brackets."""
    with ScriptedServer(GREETED, address="::1") as server:
        done = honest(run("-H", "[::1]", "-p", str(server.port), "-v"))

    assert done.line.startswith(f"POP3 OK - [::1]:{server.port} answered")
    assert not any(line.startswith("address: ") for line in done.long)


def test_source_address_must_be_local() -> None:
    """A local address is used; any other is a configuration error."""
    with ScriptedServer(GREETED) as server:
        good = check(server, "--source-address", "127.0.0.9")
        bad = check(server, "--source-address", "192.0.2.1")

    assert good.code == 0
    assert bad.line.startswith("POP3 UNKNOWN - config: cannot use source address 192.0.2.1: ")


@pytest.mark.threat("T24")
@pytest.mark.parametrize("option", ["-h", "--help", "-V", "--version"])
def test_help_and_version_exit_unknown(option: str) -> None:
    """The plugin guidelines demand exit code 3."""
    done = run(option)

    assert done.code == 3
    assert done.err == ""
    assert done.out.startswith(("usage: check_pop3_plus", "check_pop3_plus 0."))


def test_usage_error_is_one_line() -> None:
    """The state is UNKNOWN, and nothing is written to stderr."""
    done = honest(run("--port", "x"))

    assert done.code == 3
    assert done.out == "POP3 UNKNOWN - config: -H/--hostname is required; see --help\n"


@pytest.mark.threat("T8")
@pytest.mark.parametrize("verbosity", ["", "-v", "-vv", "-vvv"])
def test_secret_echoed_by_server_is_not_shown(verbosity: str, pki: Pki, tmp_path: Path) -> None:
    """Threat T8: a secret that the server echoes is masked at any verbosity."""
    evil = f"-ERR {CANARY} {CANARY.upper()} {CANARY.encode().hex()}\r\n".encode()
    steps = [
        say(f"+OK {CANARY}\r\n".encode()),
        expect(b"CAPA"),
        say(f"+OK\r\nUSER\r\n{CANARY}\r\n.\r\n".encode()),
        expect(b"USER"),
        say(f"+OK {CANARY}\r\n".encode()),
        expect(b"PASS"),
        say(evil),
        silence(),
    ]
    with ScriptedServer(steps, tls=pki.server("good")) as server:
        options = [verbosity] if verbosity else []
        done = check(server, *flags("tls", pki, login=True), *options, "-e", "x")

    assert done.code == 2
    assert_no_canary(done.out)


@pytest.mark.threat("T8")
@pytest.mark.parametrize(
    "steps",
    [
        [say(f"+OK\r\nSASL {CANARY} c4n4ry\r\n.\r\n".encode()), silence()],
        [
            say(b"+OK\r\nSASL XOAUTH2\r\n.\r\n"),
            expect(b"AUTH"),
            say(b"+ \r\n"),
            expect(b""),
            say(b"+ " + base64.b64encode(json.dumps({"status": CANARY}).encode()) + b"\r\n"),
            expect(b""),
            say(b"-ERR no\r\n"),
            silence(),
        ],
    ],
)
def test_secret_in_quoted_exchange_is_not_shown(steps: list[Step], pki: Pki) -> None:
    """A secret is masked in the list of mechanisms and in the reason of an OAuth error."""
    script = [say(b"+OK\r\n"), expect(b"CAPA"), *steps]
    with ScriptedServer(script, tls=pki.server("good")) as server:
        done = check(server, *flags("tls", pki, login=True), "--auth", "xoauth2", "-vvv")

    assert done.code == 2
    assert_no_canary(done.out)


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "C"}, {"LC_ALL": "de_DE.ISO-8859-1"}, {"PYTHONIOENCODING": "latin-1"}]
)
def test_output_in_any_locale_is_ascii(locale: dict[str, str]) -> None:
    """The output is ASCII, independent of the encoding of the terminal."""
    with ScriptedServer([say("-ERR größe\r\n".encode()), *GREETED[1:]]) as server:
        done = honest(run("-H", "127.0.0.1", "-p", str(server.port), env=locale))

    assert (
        "refuses service: gr??e" in done.line
        or "refuses service: gr???e" in done.line
        or ("refuses service: gr?" in done.line)
    )


# --- descriptors -----------------------------------------------------------------------------


@pytest.mark.threat("T24")
@pytest.mark.parametrize("redirection", [">&-", ">/dev/full", "<&- >&- 2>&-", ">&- 2>&-"], ids=repr)
def test_stdout_unwritable_exits_unknown(redirection: str) -> None:
    """Fault 64: exit code 3, no traceback, and no output is sent to the mail server."""
    with ScriptedServer(GREETED) as server:
        done = shell(f'"$@" {redirection}', "-H", "127.0.0.1", "-p", str(server.port))
        server.settle()

    assert (done.code, done.out, done.err) == (3, "", "")
    assert server.received == b"QUIT\r\n"


@pytest.mark.threat("T24")
def test_stdout_closed_pipe_exits_unknown() -> None:
    """Fault 64: the reader has closed the pipe."""
    with ScriptedServer(GREETED) as server:
        process = subprocess.Popen(
            [COMMAND, "-H", "127.0.0.1", "-p", str(server.port)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert process.stdout is not None
        process.stdout.close()
        _, err = process.communicate(timeout=20)

    assert (process.returncode, err) == (3, b"")


# --- signals ---------------------------------------------------------------------------------


@pytest.mark.threat("T24")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_signal_ends_run_with_status_line(number: signal.Signals) -> None:
    """Fault 65: the output names the phase and has the measured times."""
    with ScriptedServer([silence()]) as server:
        process = subprocess.Popen(
            [COMMAND, "-H", "127.0.0.1", "-p", str(server.port), "-t", "20"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        while not server.connections:
            time.sleep(0.01)
        time.sleep(0.2)
        process.send_signal(number)
        out, err = process.communicate(timeout=5)

    done = honest(Run(process.returncode, out.decode(), err.decode(), 0))
    stopped = r"POP3 UNKNOWN - stopped from outside after \d s during the greeting \(127.*\)"
    assert re.fullmatch(stopped, done.verdict), done.out
    assert "time_connect" in done.perfdata
    assert "kind: stopped, in phase greeting" in done.long


# --- the environment -------------------------------------------------------------------------


@pytest.mark.threat("T23")
def test_working_directory_modules_are_not_imported(tmp_path: Path, pki: Pki) -> None:
    """Threat T23: the package and its libraries come from their installed places only."""
    for name in ("ssl", "socket", "poplib", "argparse", "nagiosplugin", "cryptography", "typing"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('hijacked')")
    with ScriptedServer(GREETED, tls=pki.server("good")) as server:
        done = honest(
            run("-H", "127.0.0.1", "-p", str(server.port), *flags("tls", pki), cwd=tmp_path)
        )

    assert done.code == 0


@pytest.mark.threat("T22")
def test_environment_does_not_affect_tls(tmp_path: Path, pki: Pki) -> None:
    """Threat T22: neither key log nor trust store can be set by variables."""
    log = tmp_path / "keys"
    env = {"SSLKEYLOGFILE": str(log), "SSL_CERT_FILE": str(pki.ca_file)}
    with ScriptedServer(GREETED, tls=pki.server("good")) as server:
        target = ("-H", "127.0.0.1", "-p", str(server.port), "-S")
        trusted = honest(run(*target, "--ca-file", pki.ca_file, env=env))
        untrusted = honest(run(*target, env=env))

    assert trusted.code == 0
    assert untrusted.code == 2
    assert "untrusted" in untrusted.out
    assert not log.exists()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["--ca-file", "/nonexistent"], "cannot load CA file /nonexistent: No such file"),
        (["--ca-file", "/dev/null"], "cannot load CA file /dev/null: not of the right"),
        (["--ca-file", "{empty}"], "holds no certificate in PEM, or an invalid one"),
        (["--ca-file", "{garbage}"], "holds no certificate in PEM, or an invalid one"),
        (["--ca-path", "/nonexistent"], "cannot load CA directory"),
        (["--ca-path", "{garbage}"], "cannot load CA directory"),
        (["--client-cert", "/nonexistent"], "cannot load client certificate"),
        (["--client-cert", "{garbage}"], "cannot load client certificate"),
        (["--client-cert", "{encrypted}"], "cannot load client certificate"),
        (["--client-cert", "{cert}"], ": no certificate in it, or no private key in "),
        (["--client-cert", "{cert}", "--client-key", "{other}"], ": the key does not belong to it"),
    ],
)
def test_tls_files_unusable_are_config(
    files: list[str], message: str, tmp_path: Path, pki: Pki
) -> None:
    """Fault 63: a local failure, so UNKNOWN, and no connection is opened."""
    (tmp_path / "empty").touch()
    (tmp_path / "garbage").write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    (tmp_path / "encrypted").write_text(encrypted_key())
    paths = {name: str(tmp_path / name) for name in ("empty", "garbage", "encrypted")}
    paths |= {"cert": str(pki.client_cert), "other": str(pki.files("good")[1])}

    done = honest(
        run("-H", "127.0.0.1", "-p", "1", "-S", *(file.format(**paths) for file in files))
    )

    assert done.code == 3
    assert message in done.line
    assert "kind: config" in done.long


def encrypted_key() -> str:
    """Return a key with a pass phrase, for which OpenSSL would prompt on the terminal."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"pass"),
    )
    return pem.decode()


@pytest.mark.threat("T24")
def test_missing_module_is_named() -> None:
    """Fault 66: the message has the name of the missing library."""
    for module in ("nagiosplugin", "cryptography"):
        script = (
            f"import sys, time; sys.modules[{module!r}] = None\n"
            "from check_pop3_plus import start\n"
            "sys.exit(start.main(['-H', '127.0.0.1', '-S', '--issuer', 'x'], time.monotonic()))"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False
        )

        assert done.returncode == 3
        assert (
            done.stdout == f"POP3 UNKNOWN - config: missing Python module {module}\nkind: config\n"
        )
        assert done.stderr == ""


@pytest.mark.threat("T24")
@pytest.mark.parametrize("verbosity", [0, 3])
def test_internal_error_is_one_line_without_its_text(verbosity: int) -> None:
    """Fault 67: type and, with -vvv, place are shown; the text may quote a secret."""
    done = run_broken_check("-H", "x", *["-vvv"] * (verbosity // 3))

    assert done.returncode == 3
    assert done.stdout.startswith("POP3 UNKNOWN - bug: internal error (KeyError)\nkind: bug\n")
    assert ("trace: cli.py" in done.stdout) == (verbosity == 3)
    assert "s3cret" not in done.stdout
    assert done.stderr == ""


# --- the terminal ----------------------------------------------------------------------------


def test_prompt_on_terminal_is_not_timed(pki: Pki) -> None:
    """The prompt has no echo, is not on stdout, and its time does not count."""
    with PoliteServer({"monitor": "s3cret"}, tls=pki.server("good")) as server:
        arguments = ["-H", "127.0.0.1", "-p", str(server.port), *flags("tls", pki)]
        # Longer than -t: the time of typing does not count.
        code, shown = run_on_terminal(b"s3cret", 1.2, *arguments, "-U", "monitor", "-t", "1")

    assert code == 0, shown
    assert b"Password of monitor:" in shown
    assert b"user monitor logged in" in shown
    assert b"s3cret" not in shown


def test_no_terminal_needs_password_source(pki: Pki) -> None:
    """Under a scheduler no prompt is possible."""
    done = honest(run("-H", "127.0.0.1", *flags("tls", pki), "-U", "monitor"))

    assert done.line.startswith("POP3 UNKNOWN - config: no password given: use --password-file, ")


@pytest.mark.threat("T7")
def test_secret_is_not_in_process_list(pki: Pki, tmp_path: Path) -> None:
    """Threat T7: the arguments of the process do not contain the secret."""
    with ScriptedServer([silence()], tls=pki.server("good")) as server:
        arguments = ["-H", "127.0.0.1", "-p", str(server.port), *flags("tls", pki, login=True)]
        process = subprocess.Popen(
            [COMMAND, *arguments, "-t", "20"],
            env={"PATH": os.environ["PATH"], "CANARY": CANARY},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        while not server.connections:
            time.sleep(0.01)
        argv = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        process.terminate()
        out, err = process.communicate(timeout=5)

    assert CANARY.encode() not in argv + out + err


@pytest.mark.threat("T13")
def test_endless_reply_uses_bounded_memory() -> None:
    """Memory grows by at most 8 MB for any reply."""

    def peak(*steps: object) -> int:
        with ScriptedServer(steps) as server:  # type: ignore[arg-type]
            child = os.posix_spawn(
                COMMAND,
                [str(COMMAND), "-H", "127.0.0.1", "-p", str(server.port), "-e", "x", "--starttls"],
                {"PATH": os.environ["PATH"]},
                file_actions=[(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)],
            )
            return os.wait4(child, 0)[2].ru_maxrss

    from tests.servers.scripted_server import flood

    polite = peak(*GREETED)
    capa = [say(b"+OK\r\n"), expect(b"CAPA"), say(b"+OK\r\n")]
    for chunk in (b"x" * 65536, b"x\r\n" * 20000, b"\n" * 65536):
        assert peak(*capa, flood(chunk)) - polite < 8 * 1024
        assert peak(flood(chunk)) - polite < 8 * 1024


@pytest.mark.threat("T23")
def test_launcher_ignores_environment_and_directory(tmp_path: Path) -> None:
    """The launcher of docs/install.md ignores working directory, variables and user packages."""
    launcher = write_launcher(tmp_path)
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for module in ("argparse", "socket", "check_pop3_plus", "sitecustomize", "usercustomize"):
        (hostile / f"{module}.py").write_text("raise SystemExit(66)\n")
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(hostile), "PYTHONHOME": "/nowhere"}

    for command in ([launcher], [sys.executable, "-I", "-m", "check_pop3_plus"]):
        done = subprocess.run(
            [*command, "-H", "127.0.0.1", "-p", "1"],
            cwd=hostile,
            env=environment,
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (2, b"")
        assert done.stdout.startswith(b"POP3 CRITICAL - connection refused")
