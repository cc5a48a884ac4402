"""Password commands, run as real processes."""

import os
import shlex
import time
from pathlib import Path

import pytest

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.settings import SecretSource
from check_pop3_plus.probe import password_source
from check_pop3_plus.support.deadline import Clock, Deadline


def read(command: str) -> bytes:
    source = SecretSource(command=command)
    return password_source.read(source, Deadline(Clock() + 5)).reveal()


def refused(command: str) -> str:
    with pytest.raises(ProbeError) as caught:
        read(command)
    assert caught.value.kind is Kind.CONFIG
    assert "s3cret" not in caught.value.message
    return caught.value.message


def test_password_command_first_line_is_the_secret() -> None:
    """The command runs without a shell: shell syntax is an argument."""
    assert read(command="printf 's3cret pass\\nmore'") == b"s3cret pass"
    assert read(command="echo $HOME;x") == b"$HOME;x"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("false", "password command failed with exit code 1"),
        ("true", "output of the password command is empty"),
        ("/nonexistent", "password command cannot be run: /nonexistent: No such file or directory"),
        ("", "password command cannot be run: invalid command line (an open quotation mark?)"),
        (
            "'unbalanced",
            "password command cannot be run: invalid command line (an open quotation mark?)",
        ),
        ("printf %4097s x", "output of the password command is longer than 4096 bytes"),
    ],
)
def test_password_command_failure_is_config(command: str, reason: str) -> None:
    """A failed command is UNKNOWN, and its output is not shown."""
    assert refused(command=command) == reason


CURE = "; it runs without a shell: put pipes, redirections and variables into a script"


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("cat /nonexistent | head -1", "password command failed with exit code 1"),
        ("false && echo x", "password command failed with exit code 1"),
        ("false 2>/dev/null", "password command failed with exit code 1"),
        ("cat $HOME/none", "password command failed with exit code 1"),
        ("cat ~/none", "password command failed with exit code 1"),
        ("A=b printenv A", "password command cannot be run: No such file or directory"),
        ("true; echo x", "password command cannot be run: No such file or directory"),
        ("true > /dev/null", "output of the password command is empty"),
    ],
)
def test_password_command_meant_for_a_shell_names_the_cure(command: str, reason: str) -> None:
    """Only where it fails: an argument may look like this."""
    assert refused(command) == reason + CURE


@pytest.mark.parametrize("command", ["sh -c 'false | false'", "false a-b x=y", "false 'a b'"])
def test_password_command_that_fails_otherwise_has_no_cure(command: str) -> None:
    """A shell of its own is the cure."""
    assert CURE not in refused(command)


@pytest.mark.threat("T8")
def test_password_command_stderr_of_a_failure_is_dropped(capfd: pytest.CaptureFixture[str]) -> None:
    """It may quote the secret."""
    assert "exit code 3" in refused("sh -c 'echo s3cret >&2; exit 3'")
    assert capfd.readouterr() == ("", "")


def test_password_command_forbids_core_dumps() -> None:
    """Also those that the kernel pipes to a program; 0 would not apply to them."""
    assert read("sh -c 'ulimit -c; ulimit -Hc'")[:1] in (b"0", b"1")


def test_password_command_long_output_is_accepted() -> None:
    """The limit is that of files; output may arrive in pieces."""
    assert read(command="printf %4096s x") == b" " * 4095 + b"x"
    assert read(command="sh -c 'printf a; sleep 0.05; printf b'") == b"ab"


def test_password_command_stdin_is_empty_and_stderr_dropped() -> None:
    """Standard input is empty, and standard error is dropped."""
    assert read(command="sh -c 'cat; echo oops >&2; echo s3cret'") == b"s3cret"


def test_password_command_late_is_killed_with_children(tmp_path: Path) -> None:
    """At the deadline the command and its children are killed."""
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


def test_password_command_background_child_is_killed(tmp_path: Path) -> None:
    """A child that keeps the pipe open is killed when the command has ended."""
    pid = tmp_path / "pid"
    script = f"sleep 60 & echo $! > {pid}; echo secret; sleep 0.1"
    began = time.monotonic()

    assert read(command=f"sh -c {shlex.quote(script)}") == b"secret"
    assert time.monotonic() - began < 2
    with pytest.raises(ProcessLookupError):
        for _ in range(100):
            os.kill(int(pid.read_text()), 0)
            time.sleep(0.02)


def test_password_command_endless_output_is_refused() -> None:
    """Output is limited in size, and the command is killed."""
    began = time.monotonic()

    assert refused(command="yes") == "output of the password command is longer than 4096 bytes"
    assert time.monotonic() - began < 1
