"""Where a secret comes from."""

import os
import pickle
import shlex
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.settings import Secret, SecretSource
from check_pop3_plus.probe import password_source
from check_pop3_plus.support.deadline import Clock, Deadline


def read(file: str | None = None, env: str | None = None, command: str | None = None) -> bytes:
    source = SecretSource(file, env, command)
    return password_source.read(source, Deadline(Clock() + 5)).reveal()


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

    assert refused(file=str(file)) == (
        f"password file {file} must be mode 0600, or 0640 for a group; it is {mode:04o}"
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\ns3cret", "is empty"),
        (b"s3cret\0", "has control characters in its first line"),
        (b"s3\x1bcret", "has control characters in its first line"),
        (b"s3\x1fcret", "has control characters in its first line"),
        (b"s3cret\x7f", "has control characters in its first line"),
        (b"s3cret\rx", "has control characters in its first line"),
        (b"x" * 4097, "is longer than 4096 octets"),
    ],
)
def test_contents_that_are_refused(file: Path, content: bytes, reason: str) -> None:
    """Fault 60."""
    file.write_bytes(content)

    assert refused(file=str(file)) == f"password file {file} {reason}"


@pytest.mark.parametrize("content", [b" ~\x80\xff", b"x" * 4096])
def test_contents_that_pass(file: Path, content: bytes) -> None:
    """Blanks belong to it, and what is not ASCII; and a long token is one."""
    file.write_bytes(content)

    assert read(file=str(file)) == content


def test_a_file_that_cannot_be_read(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails is our side, with the system's words, if it has any."""
    for error, reason in (
        (OSError(5, "Input/output error"), "Input/output error"),
        (OSError(), ""),
    ):
        monkeypatch.setattr(os, "read", Mock(side_effect=error))
        assert refused(file=str(file)) == f"cannot read password file {file}: {reason}"


def test_no_descriptor_is_left_open(file: Path) -> None:
    """A sweep reads many files, good ones and bad ones."""
    before = os.listdir("/dev/fd")
    read(file=str(file))
    file.chmod(0o666)
    refused(file=str(file))

    assert len(os.listdir("/dev/fd")) == len(before)


@pytest.mark.threat("T9")
def test_only_regular_files(tmp_path: Path) -> None:
    """A FIFO does not hang, a device and a folder are refused."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo, 0o600)
    began = time.monotonic()

    for path in (str(fifo), "/dev/zero", str(tmp_path)):
        assert refused(file=path) == f"password file {path} must be a regular file"
    missing = tmp_path / "missing"
    assert refused(file=str(missing)) == (
        f"cannot open password file {missing}: No such file or directory"
    )
    assert refused(file="a\0b") == "cannot open password file a?b: invalid path"
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

    assert refused(file=str(link)) == f"password file {link} is a symbolic link of another user"
    os.chown(file, 12345, 12345)
    assert refused(file=str(file)) == (
        f"password file {file} must belong to root or to the user of this check"
    )


def test_files_and_links_of_root_are_anybody_s(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`root:nagios 0640` is how a password is deployed."""
    link = tmp_path / "link"
    link.symlink_to(file)
    owner = os.stat(file).st_uid
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    if owner == 0:
        assert read(file=str(link)) == b"s3cret pass"
    else:
        assert "of another user" in refused(file=str(link))


@pytest.mark.parametrize(("what", "reason"), [("link", "is a symbolic"), ("file", "must belong")])
def test_the_second_user_of_a_system_is_not_root(
    what: str, reason: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only number 0 is."""
    path = tmp_path / "link" if what == "link" else file
    if what == "link":
        path.symlink_to(file)
    real = os.lstat(path), os.stat(file)
    owned = [os.stat_result((*each[:4], 1, *each[5:])) for each in real]
    monkeypatch.setattr(os, "lstat", lambda _: owned[0])
    monkeypatch.setattr(os, "fstat", lambda _: owned[1])
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    assert reason in refused(file=str(path))


@pytest.mark.threat("T7")
def test_a_variable_is_taken_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No child process inherits it."""
    monkeypatch.setenv("CANARY", "s3cret")

    assert read(env="CANARY") == b"s3cret"
    assert "CANARY" not in os.environ
    assert refused(env="CANARY") == "environment variable CANARY is not set"
    monkeypatch.setenv("CANARY", "")
    assert refused(env="CANARY") == "variable CANARY is empty"


def test_a_variable_is_taken_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a secret would cost a login attempt; a line's end belongs to whatever wrote it."""
    for value in ("s3cret", "s3cret\n", "s3cret\r\n"):
        monkeypatch.setenv("CANARY", value)
        assert read(env="CANARY") == b"s3cret"
    for value in ("s3cret\nDELE 1", "s3cret\n\n", "\ns3cret"):
        monkeypatch.setenv("CANARY", value)
        assert refused(env="CANARY") == "variable CANARY has more than one line"


@pytest.mark.parametrize("name", ["", "a=b", "a\0b"])
def test_variables_that_cannot_be(name: str) -> None:
    """No traceback for a name that no variable can have, and no word of it: see `test_secrets`."""
    assert refused(env=name) == "the environment variable of --password-env is not set"


def test_no_source_at_all() -> None:
    """Said, and not taken for an empty password."""
    assert refused() == "no source of the password given"


def test_a_password_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is typed goes as it was typed, in whatever encoding the terminal has."""
    asked = Mock(return_value="s3\u00e9\udcff")
    monkeypatch.setattr("getpass.getpass", asked)

    assert password_source.ask("a|b").reveal() == b"s3\xc3\xa9\xff"
    asked.assert_called_once_with("Password of a?b: ")


@pytest.mark.parametrize("answer", [{"return_value": ""}, {"side_effect": EOFError}])
def test_a_password_that_is_not_entered(
    answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line end alone, or the end of the input."""
    monkeypatch.setattr("getpass.getpass", Mock(**answer))

    with pytest.raises(ProbeError) as caught:
        password_source.ask("monitor")
    assert (caught.value.kind, caught.value.message) == (
        Kind.CONFIG,
        "password entered is empty",
    )


def python(code: str) -> str:
    return f'{shlex.quote(sys.executable)} -c "{code}"'


def test_the_first_line_that_a_command_prints() -> None:
    """Without a shell: what looks like one is an argument."""
    assert read(command="printf 's3cret pass\\nmore'") == b"s3cret pass"
    assert read(command="echo $HOME;x") == b"$HOME;x"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("false", "password command failed with exit code 1"),
        ("true", "output of the password command is empty"),
        ("/nonexistent", "password command cannot be run: No such file or directory"),
        ("", "password command cannot be run: invalid command line"),
        ("'unbalanced", "password command cannot be run: invalid command line"),
        ("printf %4097s x", "output of the password command is longer than 4096 bytes"),
    ],
)
def test_commands_that_fail(command: str, reason: str) -> None:
    """Its failure is UNKNOWN, and nothing of what it printed is shown."""
    assert refused(command=command) == reason


def test_a_long_token_from_a_command() -> None:
    """As long as one from a file; it may come in pieces."""
    assert read(command="printf %4096s x") == b" " * 4095 + b"x"
    assert read(command="sh -c 'printf a; sleep 0.05; printf b'") == b"ab"


def test_a_command_reads_nothing_and_is_not_heard() -> None:
    """Its questions and complaints go nowhere: standard input is empty, and errors are dropped."""
    assert read(command="sh -c 'cat; echo oops >&2; echo s3cret'") == b"s3cret"


def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    """At the deadline, not at its own leisure."""
    began = time.monotonic()
    source = SecretSource(command=f"sh -c 'sleep 30 & echo $! > {tmp_path}/pid; wait'")

    with pytest.raises(ProbeError, match=r"^password command did not finish in time$"):
        password_source.read(source, Deadline(Clock() + 0.3))

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
    script = f"sleep 60 & echo $! > {pid}; echo secret; sleep 0.1"
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

    assert refused(command="yes") == "output of the password command is longer than 4096 bytes"
    assert time.monotonic() - began < 1


@pytest.mark.threat("T8")
def test_a_secret_shows_itself_to_nobody() -> None:
    """Not in a repr, a format, a pickle, or what holds it."""
    secret = Secret(b"s3cret")

    assert f"{secret} {secret!r} {[secret]} {vars}".count("s3cret") == 0
    with pytest.raises(TypeError):
        pickle.dumps(secret)
