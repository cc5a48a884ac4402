"""Where a secret comes from."""

import os
import pickle
import shlex
import sys
import time
from pathlib import Path

import pytest

from check_pop3_plus import credentials
from check_pop3_plus.failures import Kind, ProbeError
from check_pop3_plus.settings import Secret, SecretSource
from check_pop3_plus.timing import Clock, Deadline


def read(file: str | None = None, env: str | None = None, command: str | None = None) -> bytes:
    source = SecretSource(file, env, command)
    return credentials.read(source, Deadline(Clock() + 5)).reveal()


def refused(**source: str) -> str:
    with pytest.raises(ProbeError) as caught:
        read(**source)
    assert caught.value.kind is Kind.CONFIG
    assert "s3cret" not in caught.value.message
    return caught.value.message


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_bytes(b"s3cret pass\nsecond line\n")
    path.chmod(0o600)
    return path


def test_the_first_line_of_a_file(file: Path) -> None:
    """What follows may be a comment."""
    assert read(file=str(file)) == b"s3cret pass"


@pytest.mark.parametrize("content", [b"x", b"x\n", b"x\r\n"])
def test_line_ends_do_not_belong_to_it(file: Path, content: bytes) -> None:
    """Written by any editor."""
    file.write_bytes(content)

    assert read(file=str(file)) == b"x"


@pytest.mark.threat("T9")
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440, 0o700, 0o750])
def test_modes_that_pass(file: Path, mode: int) -> None:
    """Threat T9: owner, and one group that may read."""
    file.chmod(mode)

    assert read(file=str(file)) == b"s3cret pass"


@pytest.mark.threat("T9")
@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o620, 0o660, 0o666, 0o777, 0o622])
def test_modes_that_are_refused(file: Path, mode: int) -> None:
    """Threat T9: nothing for others, no write for the group."""
    file.chmod(mode)

    assert f"it is {mode:04o}" in refused(file=str(file))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\ns3cret", "is empty"),
        (b"s3cret\0", "control characters"),
        (b"s3\x1bcret", "control characters"),
        (b"s3cret\rx", "control characters"),
        (b"s3cret" * 1000, "longer than 4096"),
    ],
)
def test_contents_that_are_refused(file: Path, content: bytes, reason: str) -> None:
    """Fault 60."""
    file.write_bytes(content)

    assert reason in refused(file=str(file))


@pytest.mark.threat("T9")
def test_only_regular_files(tmp_path: Path) -> None:
    """A FIFO does not hang, a device and a folder are refused."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    began = time.monotonic()

    assert "regular file" in refused(file=str(fifo))
    assert "regular file" in refused(file="/dev/zero")
    assert "regular file" in refused(file=str(tmp_path))
    assert "No such file" in refused(file=str(tmp_path / "missing"))
    assert "invalid path" in refused(file="a\0b")
    assert time.monotonic() - began < 0.5


def test_a_link_of_ones_own_is_followed(file: Path, tmp_path: Path) -> None:
    """How secret stores deploy files."""
    link = tmp_path / "link"
    link.symlink_to(file)

    assert read(file=str(link)) == b"s3cret pass"


@pytest.mark.threat("T9")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_files_and_links_of_others_are_refused(file: Path, tmp_path: Path) -> None:
    """Who owns it decides what is in it."""
    link = tmp_path / "link"
    link.symlink_to(file)
    os.lchown(link, 12345, 12345)

    assert "symbolic link of another user" in refused(file=str(link))
    os.chown(file, 12345, 12345)
    assert "must belong to root" in refused(file=str(file))


@pytest.mark.threat("T7")
def test_a_variable_is_taken_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No child process inherits it."""
    monkeypatch.setenv("CANARY", "s3cret")

    assert read(env="CANARY") == b"s3cret"
    assert "CANARY" not in os.environ
    assert "is not set" in refused(env="CANARY")


def test_a_variable_is_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a secret would cost a login attempt; a line's end belongs to whatever wrote it."""
    for value in ("s3cret", "s3cret\n", "s3cret\r\n"):
        monkeypatch.setenv("CANARY", value)
        assert read(env="CANARY") == b"s3cret"
    for value in ("s3cret\nDELE 1", "s3cret\n\n", "\ns3cret"):
        monkeypatch.setenv("CANARY", value)
        assert "more than one line" in refused(env="CANARY")


@pytest.mark.parametrize("name", ["", "a=b", "a\0b"])
def test_variables_that_cannot_be(name: str) -> None:
    """No traceback for a name that no variable can have."""
    assert "is not set" in refused(env=name)


def python(code: str) -> str:
    return f'{shlex.quote(sys.executable)} -c "{code}"'


def test_the_first_line_that_a_command_prints() -> None:
    """Without a shell: what looks like one is an argument."""
    assert read(command="printf 's3cret pass\\nmore'") == b"s3cret pass"
    assert read(command="echo $HOME;x") == b"$HOME;x"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("false", "exit code 1"),
        ("true", "is empty"),
        ("/nonexistent", "cannot be run: No such file"),
        ("", "cannot be run"),
        ("'unbalanced", "cannot be run"),
        (python("print('s3cret' * 1000)"), "longer than 4096"),
    ],
)
def test_commands_that_fail(command: str, reason: str) -> None:
    """Its failure is UNKNOWN, and nothing of what it printed is shown."""
    assert reason in refused(command=command)


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    """At the deadline, not at its own leisure."""
    began = time.monotonic()
    source = SecretSource(command=f"sh -c 'sleep 30 & echo $! > {tmp_path}/pid; wait'")

    with pytest.raises(ProbeError, match="did not finish in time"):
        credentials.read(source, Deadline(Clock() + 0.3))

    assert time.monotonic() - began < 2
    child = int((tmp_path / "pid").read_text())
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text():
            break
        time.sleep(0.02)
    else:
        pytest.fail("the command's child is still running")


def test_what_a_command_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    """It has printed its line and ended; its child, which holds the pipe, is ended with it."""
    pid = tmp_path / "pid"
    script = f"sleep 60 & echo $! > {pid}; echo secret"
    began = time.monotonic()

    assert read(command=f"sh -c {shlex.quote(script)}") == b"secret"
    assert time.monotonic() - began < 2
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.kill(int(pid.read_text()), 0)
            time.sleep(0.02)


def test_a_command_that_never_stops_printing_is_bounded() -> None:
    """Nobody's memory is filled by it, and nobody waits for its end."""
    began = time.monotonic()

    assert "longer than 4096" in refused(command="yes")
    assert time.monotonic() - began < 1


@pytest.mark.threat("T8")
def test_a_secret_shows_itself_to_nobody() -> None:
    """Not in a repr, a format, a pickle, or what holds it."""
    secret = Secret(b"s3cret")

    assert f"{secret} {secret!r} {[secret]} {vars}".count("s3cret") == 0
    with pytest.raises(TypeError):
        pickle.dumps(secret)
