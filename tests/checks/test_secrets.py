"""No secret is shown, written or passed on, whatever server and user do.

The full product is in `tests/soak/secrets.py`.
"""

from __future__ import annotations

import base64
import gc
import inspect
import json
import os
import pickle
import re
import shlex
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from types import CodeType, FrameType, FunctionType

import pytest

from check_pop3_plus import start
from check_pop3_plus.check import retries
from check_pop3_plus.model.failures import ProbeError
from check_pop3_plus.model.sanitised_text import Printable
from check_pop3_plus.model.settings import Secret
from check_pop3_plus.pop3.grammar import command
from check_pop3_plus.sasl.exchange import Identity
from check_pop3_plus.support.deadline import end_helper
from tests.pki import certificate_parts
from tests.pki.certificates import Pki
from tests.servers.icinga_api import Api, refused
from tests.servers.scripted_server import PoliteServer, ScriptedServer, drop, expect, say, silence
from tests.servers.token_endpoint import TokenEndpoint, granted
from tests.support import secret_search
from tests.support.command import COMMAND, Run, run, run_on_terminal
from tests.support.secret_search import (
    CANARIES,
    USER,
    EchoingServer,
    arguments,
    assert_hidden,
    echoes,
    shown,
)

SECRET = CANARIES["spaces and markup"]


def rotating() -> Iterator[bytes]:
    return cycle(CANARIES.values())


# --- servers that know it --------------------------------------------------------------------


@pytest.mark.threat("T8")
@pytest.mark.parametrize("place", secret_search.PLACES)
def test_secret_in_any_reply_and_encoding_is_masked(place: str) -> None:
    """Threat T8: with the whole transcript shown."""
    names = list(echoes(SECRET))
    for name, secret in zip(names, rotating(), strict=False):
        said = echoes(secret).get(name)
        # A number where a number is expected is one, such as the number of messages.
        if said is None or (secret.isdigit() and place == "malformed stat"):
            continue
        with EchoingServer(said, place) as server:
            out = shown(arguments(server, "auto", "-vvv"), secret)

        assert_hidden(secret, out)


@pytest.mark.threat("T8", "T26")
@pytest.mark.parametrize("how", secret_search.MECHANISMS)
def test_secret_of_any_mechanism_is_not_shown(how: str) -> None:
    """Threats T8 and T26: command lines are shown as `***`, proofs included."""
    places = ("everywhere", "challenge", "reason", "cancelled", "garbled", "accepted")
    for place, (name, secret) in zip(places, cycle(CANARIES.items()), strict=False):
        if how.startswith("scram") and name == "Latin-1":  # is no text, as SCRAM wants it
            secret = SECRET
        said = base64.b64encode(secret) if place == "challenge" else secret
        with EchoingServer(said, place) as server:
            argv = arguments(server, how, "-vvv")
            if how == "external":
                argv += ["--client-cert", "/dev/null"]
            out = shown(argv, secret)
            server.settle()
            wires = [line for line in server.commands if line.split(b" ")[0] not in _PUBLIC]

        if how != "external":  # no secret is sent, so none is known
            assert_hidden(secret, out)
        for line in wires:
            for word in line.split(b" "):
                if len(word) >= 8 and word.upper() not in _NAMES:
                    assert word.decode("latin-1").lower() not in out.lower()


_PUBLIC = (b"CAPA", b"USER", b"STAT", b"QUIT")
_NAMES = tuple(name.upper().encode() for name in secret_search.MECHANISMS)


@pytest.mark.threat("T8")
@pytest.mark.parametrize("row", secret_search.catalogue(), ids=lambda row: row.name)
def test_secret_in_any_catalogued_fault_is_not_shown(row: secret_search.Row) -> None:
    """Threat T8, with each fault of the catalogue."""
    with row.server() as server:
        out = shown(arguments(server, row.how, "-vvv"), secret_search.OF_CATALOGUE)

    assert_hidden(secret_search.OF_CATALOGUE, out)
    assert out.startswith("POP3 ")


def test_secret_is_masked_in_the_greeting_of_a_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may repeat in the second attempt what it received in the first."""
    monkeypatch.setattr(retries, "PAUSE_SECONDS", 0)
    first = [say(b"+OK hello\r\n"), expect(), say(b"+OK\r\n"), expect()]
    first += [say(b"-ERR [SYS/TEMP] later\r\n"), drop()]
    with ScriptedServer(scripts=[first, [say(b"-ERR " + SECRET + b"\r\n"), drop()]]) as server:
        out = shown(arguments(server, "user", "-vvv", "--rechecks", "1"), SECRET)

    assert server.connections == 2
    assert "refuses service: ***" in out
    assert_hidden(SECRET, out)


@pytest.mark.parametrize("form", ["plain", "base64 1", "HEX", "percent"])
def test_secret_in_certificate_is_masked(form: str, tmp_path: Path) -> None:
    """Subject and names of a certificate are untrusted text, too."""
    said = echoes(SECRET)[form]
    key = certificate_parts.ec_key(1)
    root = certificate_parts.root("canary root", certificate_parts.ec_key(2))
    leaf = root.leaf(key, subject=certificate_parts.name(said), key=certificate_parts.public(key))
    with PoliteServer({USER: SECRET.decode()}, tls=_context(leaf, key, tmp_path)) as server:
        (tmp_path / "root.pem").write_text(ssl.DER_cert_to_PEM_cert(root.certificate))
        trusted = ["-S", "--ca-file", str(tmp_path / "root.pem")]
        good = shown([*arguments(server, "user", "-vvv"), *trusted], SECRET)
        bad = shown([*arguments(server, "user", "-vvv"), "-S"], SECRET)

    assert good.startswith("POP3 OK - "), good
    assert re.search(r"CN=.?.?\*\*\*", good)
    assert_hidden(SECRET, good, bad)


def _context(der: bytes, key: certificate_parts.Key, folder: Path) -> ssl.SSLContext:
    (folder / "leaf.pem").write_bytes(
        ssl.DER_cert_to_PEM_cert(der).encode() + certificate_parts.in_pem(key)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "leaf.pem")
    return context


# --- secrets that are too short to be masked -------------------------------------------------


def calm(out: str) -> str:
    """Return an output without what differs from run to run."""
    return re.sub(r"\d+\.\d+|(?<=:)\d+|(?<= -p )\d+", "N", out)


NOTE = (
    "note: password shorter than 6 characters: of the server replies after the login only"
    " response codes are shown\n"
)


@pytest.mark.parametrize("place", secret_search.PLACES)
def test_output_does_not_depend_on_a_short_secret(place: str) -> None:
    """After the login began only response codes are shown, and the long output says so."""
    after_login = place not in ("greeting", "refused greeting", "no greeting", "capability")
    outputs = set()
    for secret in secret_search.SHORT:
        echo = after_login and place != "mechanism"
        said = f"PASS {secret} is not it".encode() if echo else b"ok monitor ready"
        with EchoingServer(said, place) as server:
            outputs.add(calm(shown(arguments(server, "auto", "-vvv"), secret.encode())))

    [only] = outputs
    assert only.startswith("POP3 ")
    assert (NOTE in only) == (place not in ("refused greeting", "no greeting"))


def test_short_secret_leaves_the_output_readable() -> None:
    """State, kind, response code and user are still shown."""
    with EchoingServer(b"for monitor", "refused") as server:
        out = shown(arguments(server, "user", "-vvv"), b"pw")

    assert re.match(r"POP3 CRITICAL - login of monitor rejected: \[AUTH\] \*\*\*, ", out)
    assert "transcript: C: USER monitor\n" in out
    assert "transcript: S: -ERR [AUTH] ***\n" in out
    assert NOTE in out


@pytest.mark.parametrize("secret", [b"monitor", b"localhost"])
def test_secret_equal_to_a_name_masks_only_the_server_s_text(secret: bytes) -> None:
    """What the user typed is not masked."""
    with EchoingServer(b"for monitor at localhost", "refused") as server:
        out = shown(arguments(server, "user", "-vvv"), secret)

    assert re.match(r"POP3 CRITICAL - login of monitor rejected: \[AUTH\] no for ", out)
    assert "transcript: C: USER monitor\n" in out
    theirs = b"for monitor at localhost".replace(secret, b"***").decode()
    assert f"transcript: S: -ERR [AUTH] no {theirs}\n" in out
    assert NOTE not in out


# --- our own mistakes ------------------------------------------------------------------------


def _functions(folder: str) -> Iterator[tuple[object, str, FunctionType]]:
    """Yield the functions of the loaded modules of a folder, and of their classes, with holders."""
    for module in list(sys.modules.values()):
        if not module.__name__.startswith(folder):
            continue
        for holder in [module, *(each for _, each in inspect.getmembers(module, inspect.isclass))]:
            if getattr(holder, "__module__", module.__name__) != module.__name__:
                continue
            for name, found in list(vars(holder).items()):
                if inspect.isfunction(found) and found.__module__ == module.__name__:
                    yield holder, name, found


def _called(work: Callable[[], object]) -> set[CodeType]:
    """Return the code that runs, in any thread."""
    found: set[CodeType] = set()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            found.add(frame.f_code)

    end_helper()  # one that runs already would not be seen
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return found


FOLDERS = (
    *("certificate", "check", "cli", "diagnosis", "messages", "model", "net", "options", "output"),
    *("pop3", "probe", "support"),
)
"""Those with functions that a check with a login calls, accepted or rejected."""


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # who crashes may not come to close
@pytest.mark.parametrize("folder", FOLDERS)
def test_secret_in_exception_of_any_function_is_not_shown(
    folder: str, pki: Pki, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Fault 67: an exception with the secret in its text, in each function that a check calls."""
    tried: set[CodeType] = set()
    for password, state in ((SECRET.decode(), "OK"), ("another", "CRITICAL")):
        with PoliteServer({USER: password}, tls=pki.server("good")) as server:
            argv = [*("-H", "localhost", "--connect-to", server.address, "-p", str(server.port))]
            argv += ["-S", "--ca-file", str(pki.ca_file), "-U", USER, "--password-env", "CANARY"]
            argv += ["-vvv", "-t", "1", "--diagnose=tls"]

            def check(argv: list[str] = argv) -> int:
                monkeypatch.setenv("CANARY", SECRET.decode())
                return start.main(argv, time.monotonic())

            called = _called(check)
            assert capfd.readouterr().out.startswith(f"POP3 {state}")
            for holder, name, found in _functions(f"check_pop3_plus.{folder}"):
                if found.__code__ not in called - tried or (name != "__init__" and "__" in name):
                    continue
                tried.add(found.__code__)

                def crash(*_: object, **__: object) -> object:
                    raise RuntimeError(f"PASS {SECRET.decode()}", SECRET)

                with monkeypatch.context() as patched:
                    patched.setattr(holder, name, crash)
                    for other in list(sys.modules.values()):
                        is_ours = getattr(other, "__name__", "").startswith("check_pop3_plus.")
                        if is_ours and getattr(other, name, None) is found:
                            patched.setattr(other, name, crash)
                    code = check()
                out, err = capfd.readouterr()
                assert code in range(4), (name, out)
                assert out.startswith("POP3 "), (name, out)
                assert_hidden(SECRET, out, err)
    gc.collect()  # here, and not in the middle of another test
    assert tried


def test_exceptions_do_not_contain_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither text, arguments, pickle nor cause has it."""
    raised: list[ProbeError] = []
    made = ProbeError.__init__

    def noted(self: ProbeError, *arguments: object) -> None:
        made(self, *arguments)  # type: ignore[arg-type]
        raised.append(self)

    monkeypatch.setattr(ProbeError, "__init__", noted)
    for how in secret_search.MECHANISMS:
        if how != "external":
            for place in ("refused", "garbled", "challenge", "reason", "cancelled", "withdrawn"):
                with EchoingServer(SECRET, place) as server:
                    shown(arguments(server, how), SECRET)
    with EchoingServer(b"", "refused") as server:
        not_utf_8 = CANARIES["Latin-1"]
        shown(arguments(server, "scram-sha-256"), not_utf_8)

    assert len(raised) > 40
    for error in raised:
        assert_hidden(SECRET, secret_search.of_exception(error))
        assert_hidden(not_utf_8, secret_search.of_exception(error))


def test_objects_with_secret_do_not_print_it() -> None:
    """Debuggers, logs and tracebacks print local variables."""
    identity = Identity(b"monitor", SECRET, "localhost", 110)
    holders = (Secret(SECRET), identity, command(b"PASS", SECRET, Printable("***")))
    for holder in holders:
        assert_hidden(SECRET, repr(holder), str(holder), f"{holder}")
    with pytest.raises(TypeError):
        pickle.dumps(holders[0])


def test_usage_error_does_not_quote_a_possible_password() -> None:
    """A password as an argument is visible in the process list, but not in the output."""
    text = SECRET.decode()
    base = ("-H", "localhost", "-S")
    for words in (
        ("--password", text),
        (f"--password={text}",),
        (f"--oauth-client-secret={text}",),
        (f"-P{text}",),
        (text,),
        ("-U", USER, text),
        ("-U", USER, "--password-env", text),
        ("--oauth-token-url", f"https://user:{text}@localhost/"),
        (f"--password {text} = 1",),
    ):
        done = run(*base, *words)
        assert done.code == 3
        assert_hidden(SECRET, done.out, done.err)


def test_sweep_section_error_does_not_quote_a_possible_password(tmp_path: Path) -> None:
    """A password may be in the INI file by mistake."""
    text = SECRET.decode()
    (tmp_path / "sweep.ini").write_text(
        f"[DEFAULT]\nhostname = localhost\n[a!b]\npassword = {text}\n"
        f"[a!c]\nusername = me\nclient-secret={text}\n[a!d]\npassword {text} = 1\n"
    )
    for submit_target in ((), ("--submit", "jsonl:-")):
        done = run("--sweep", str(tmp_path / "sweep.ini"), *submit_target, "-vvv")
        assert done.code == 3
        assert "no option takes a password" in done.out
        assert_hidden(SECRET, done.out, done.err)


# --- sources ---------------------------------------------------------------------------------

# Says who it is, what it was given, and what it inherits; then gives the password.
_CHILD = """
import os, sys
with open(sys.argv[1], "ab") as file:
    for name in ("cmdline", "environ"):
        file.write(open(f"/proc/self/{name}", "rb").read())
sys.stdout.buffer.write(open(sys.argv[2], "rb").read())
"""


def secret_file(folder: Path, name: str, content: bytes = SECRET) -> Path:
    path = folder / name
    path.touch(mode=0o600)
    path.write_bytes(content + b"\n")
    return path


def login(server: EchoingServer, *more: str) -> list[str]:
    return arguments(server, "user", "-vvv", "-t", "8", *more)


SOURCES = ("file", "environment", "command")


@pytest.mark.threat("T7")
@pytest.mark.parametrize("source", SOURCES)
def test_secret_of_any_source_is_not_passed_on(source: str, tmp_path: Path) -> None:
    """Threat T7: it is in no output, argument, file or environment of a child."""
    seen = tmp_path / "seen"
    child = shlex.join([sys.executable, "-c", _CHILD, str(seen), str(secret_file(tmp_path, "pw"))])
    chosen = {
        "file": ["--password-file", str(tmp_path / "pw")],
        "environment": ["--password-env", "CANARY"],
        "command": ["--password-command", child],
    }[source]
    work = tmp_path / "work"
    work.mkdir()
    with EchoingServer(SECRET, "refused") as server:
        done = run(
            *login(server, *chosen, "--diagnose"),
            env={"CANARY": SECRET.decode()} if source == "environment" else {},
            cwd=work,
        )
        assert b"PASS " + SECRET in server.commands

    assert "login of monitor rejected: [AUTH] no ***" in done.out
    assert_hidden(SECRET, done.out, done.err)
    assert list(work.iterdir()) == []
    if source == "command":
        assert_hidden(SECRET, seen.read_bytes())


def test_sweep_child_inherits_no_password_variable(tmp_path: Path) -> None:
    """All variables are removed from the environment before the first command starts."""
    seen, file = tmp_path / "seen", secret_file(tmp_path, "other", b"something else")
    (tmp_path / "child.py").write_text(_CHILD)
    child = shlex.join([sys.executable, str(tmp_path / "child.py"), str(seen), str(file)])
    with (
        EchoingServer(SECRET, "refused") as server,
        EchoingServer(b"something else", "refused") as other,
    ):
        (tmp_path / "sweep.ini").write_text(
            f"[DEFAULT]\nusername = {USER}\nauth = user\nconnect-to = {server.address}\n"
            f"allow-insecure-login =\n[localhost!command]\nport = {other.port}\n"
            f"password-command = {child}\n[localhost!variable]\nport = {server.port}\n"
            "password-env = CANARY\n"
        )
        done = run("--sweep", str(tmp_path / "sweep.ini"), "-v", env={"CANARY": SECRET.decode()})
        assert b"PASS " + SECRET in server.commands
        assert b"PASS something else" in other.commands

    assert done.code == 2
    assert b"child.py" in seen.read_bytes()
    assert_hidden(SECRET, done.out, done.err, seen.read_bytes())


def test_diagnosis_tools_inherit_no_secret(monkeypatch: pytest.MonkeyPatch, pki: Pki) -> None:
    """ping, mtr, traceroute and dig get it neither in the environment nor as an argument."""
    started: list[tuple[str, str]] = []
    original = subprocess.Popen

    def noted(words: list[str], **how: object) -> subprocess.Popen[bytes]:
        started.append((words[0], repr(words) + repr(how.get("env"))))
        assert how.get("env") is not None
        return original(["true"], stdout=subprocess.PIPE)

    monkeypatch.setattr("check_pop3_plus.diagnosis.tools.find", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "Popen", noted)
    monkeypatch.setenv("CANARY", SECRET.decode())
    with ScriptedServer([silence()]) as server:
        argv = [*arguments(server, "user", "--diagnose=dns,ping,trace"), "-t", "0.3"]
        argv[argv.index("--connect-to") + 1] = "localhost"
        out = shown([*argv, "--run-timeout", "4"], SECRET)

    assert {path for path, _ in started} == {"/usr/bin/ping", "/usr/bin/mtr", "/usr/bin/dig"}
    assert_hidden(SECRET, out, *(words for _, words in started))


def test_prompt_does_not_echo_the_password(tmp_path: Path) -> None:
    """The password appears neither on the terminal nor in the output."""
    with EchoingServer(SECRET, "refused") as server:
        _, shown = run_on_terminal(SECRET, 0.1, *login(server))  # until echo is off
        assert b"PASS " + SECRET in server.commands

    assert b"login of monitor rejected: [AUTH] no ***" in shown
    assert_hidden(SECRET, shown)


def test_signal_during_login_shows_no_secret(tmp_path: Path) -> None:
    """Fault 65: neither the process list nor the output has it."""
    steps = [say(b"+OK " + SECRET + b"\r\n"), expect(), say(b"+OK\r\n"), expect(b"PASS"), silence()]
    with ScriptedServer(steps) as server:
        process = subprocess.Popen(
            [COMMAND, *arguments(server, "user", "-vvv", "-t", "20"), "--password-env", "CANARY"],
            env={**os.environ, "CANARY": SECRET.decode()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        while not any(line.startswith(b"PASS") for line in server.commands):
            time.sleep(0.01)
        listed = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=10)

    assert process.returncode == 3
    assert b"stopped from outside after 0 s during the login" in out
    assert_hidden(SECRET, out, err, listed)


def test_token_secrets_are_all_masked(pki: Pki, tmp_path: Path) -> None:
    """The client secret and the refresh token are masked like the access token."""
    secrets = {
        "client": CANARIES["escaped by all"],
        "refresh": CANARIES["spaces and markup"],
        "access": CANARIES["a token"],
    }
    for form in ("plain", "base64 2", "percent", "JSON", "hex"):
        said = b" ".join(echoes(each)[form][:30] for each in secrets.values())
        with (
            TokenEndpoint(granted(secrets["access"].decode()), tls=pki.server("good")) as endpoint,
            EchoingServer(said, "everywhere", tls=pki.server("good")) as server,
        ):
            done = run(
                *("-H", "localhost", "--connect-to", server.address, "-p", str(server.port)),
                *("-S", "--ca-file", str(pki.ca_file), "-U", USER, "--auth", "xoauth2", "-vvv"),
                *("--oauth-token-url", endpoint.url, "--oauth-client-id", "me"),
                *("--oauth-ca-file", str(pki.ca_file)),
                "--oauth-client-secret-file",
                str(secret_file(tmp_path, "client", secrets["client"])),
                "--oauth-refresh-token-file",
                str(secret_file(tmp_path, "refresh", secrets["refresh"])),
            )

        assert "token refused: invalid_token" in done.out
        for each in secrets.values():
            assert_hidden(each, done.out, done.err)


def test_encrypted_client_key_is_refused_without_prompt(pki: Pki, tmp_path: Path) -> None:
    """There is no option for a passphrase."""
    key = tmp_path / "key.pem"
    key.touch(mode=0o600)
    key.write_bytes(certificate_parts.in_pem(certificate_parts.ec_key(), SECRET))
    with PoliteServer({}, tls=pki.server("good")) as server:
        process = run(
            *("-H", "localhost", "--connect-to", server.address, "-p", str(server.port), "-S"),
            *("--client-cert", str(pki.client_cert), "--client-key", str(key), "-vvv"),
        )

    assert process.code == 3
    assert "cannot load client certificate" in process.line
    assert_hidden(SECRET, process.out, process.err)


# --- results that are handed on --------------------------------------------------------------


def sweep_of(folder: Path, server: EchoingServer) -> Path:
    file = folder / "sweep.ini"
    secret_file(folder, "pw")
    file.write_text(
        f"[DEFAULT]\nusername = {USER}\nauth = user\nconnect-to = {server.address}\n"
        f"port = {server.port}\nallow-insecure-login =\npassword-file = {folder / 'pw'}\n-v =\n"
        "-v =\n-v =\n[localhost!one]\n[localhost!two]\n"
    )
    return file


def submitted(folder: Path, server: EchoingServer, *arguments: str) -> Run:
    return run("--sweep", str(sweep_of(folder, server)), *arguments)


def test_sweep_output_shows_no_secret(tmp_path: Path) -> None:
    """Neither the text nor the JSON lines have it."""
    with EchoingServer(SECRET, "refused") as server:
        text = submitted(tmp_path, server, "-vvv")
        lines = submitted(tmp_path, server, "--submit", "jsonl:-")

    assert "login of monitor rejected: [AUTH] no ***" in text.out
    assert "-ERR [AUTH] no ***" in lines.out
    for done in (text, lines):
        assert_hidden(SECRET, done.out, done.err)
    for line in lines.out.splitlines():
        assert_hidden(SECRET, repr(json.loads(line)))


def test_icinga_results_show_no_secret(pki: Pki, tmp_path: Path) -> None:
    """Both servers repeat the passwords of the mailbox and of the API."""
    other = CANARIES["escaped by all"]
    login = base64.b64encode(b"sweep:" + other).decode()
    says = f"no {other.decode()} {login} Basic {login}"
    with (
        Api(lambda _: refused("500 No", error=500, status=says), tls=pki.server("good")) as api,
        EchoingServer(SECRET, "refused") as server,
    ):
        done = submitted(
            tmp_path,
            server,
            *("--submit", f"icinga2:https://localhost:{api.port}", "--icinga-user", "sweep"),
            *("--icinga-password-file", str(secret_file(tmp_path, "api", other))),
            *("--icinga-ca-file", str(pki.ca_file), "-vvv"),
        )

    assert len(api.results) == 2
    assert "HTTP 500: no ***" in done.out
    for secret in (SECRET, other):
        assert_hidden(secret, done.out, done.err, json.dumps(api.results), repr(api.results))


def test_nagios_command_file_shows_no_secret(tmp_path: Path) -> None:
    """Results are masked before they are written."""
    fifo = tmp_path / "nagios.cmd"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    with EchoingServer(SECRET, "refused") as server:
        done = submitted(tmp_path, server, "--submit", f"nagios:{fifo}")
    commands = os.read(reader, 65536)
    os.close(reader)

    assert commands.count(b"PROCESS_SERVICE_CHECK_RESULT;localhost;") == 2
    assert b"[AUTH] no ***" in commands
    assert_hidden(SECRET, commands, done.out, done.err)
