"""Reading secrets from files, variables and the terminal."""

import os
import pickle
import resource
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from check_pop3_plus.model.failures import FromFile, Kind, ProbeError
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


def test_file_first_line_is_the_secret(file: Path) -> None:
    """Further lines of a password file are ignored."""
    assert read(file=str(file)) == b"s3cret pass"


@pytest.mark.parametrize("content", [b"x", b"x\n", b"x\r\n"])
def test_file_line_ending_is_stripped(file: Path, content: bytes) -> None:
    """LF and CRLF do not belong to the secret."""
    file.write_bytes(content)

    assert read(file=str(file)) == b"x"


@pytest.mark.threat("T9")
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o640, 0o440, 0o700, 0o750])
def test_file_mode_for_owner_and_group_is_accepted(file: Path, mode: int) -> None:
    """Threat T9: the owner and one group may read the file."""
    file.chmod(mode)

    assert read(file=str(file)) == b"s3cret pass"


@pytest.mark.threat("T9")
@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o601, 0o620, 0o660, 0o666, 0o777, 0o622])
def test_file_mode_too_open_is_refused(file: Path, mode: int) -> None:
    """Threat T9: no access for others, no write access for the group."""
    file.chmod(mode)

    assert refused(file=str(file)) == (
        f"password file {file} must be mode 0600, or 0640 for a group; it is {mode:04o}:"
        f" chmod {640 if mode & 0o40 else 600} {file}"
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
        (b"x" * 4097, "is longer than 4096 bytes"),
        *(
            (mark + b"x", "begins with a byte order mark (BOM); save it as UTF-8 without")
            for mark in (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")
        ),
    ],
)
def test_file_unusable_content_is_refused(file: Path, content: bytes, reason: str) -> None:
    """Fault 60: the message names the file and the reason."""
    file.write_bytes(content)

    assert refused(file=str(file)) == f"password file {file} {reason}"


@pytest.mark.parametrize("content", [b" ~\x80\xff", b"x" * 4096])
def test_file_unusual_content_is_accepted(file: Path, content: bytes) -> None:
    """Blanks, non-ASCII bytes and long tokens are valid secrets."""
    file.write_bytes(content)

    assert read(file=str(file)) == content


def test_file_read_error_is_config(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read error is local; the message has the reason of the system, if there is one."""
    for error, reason in (
        (OSError(5, "Input/output error"), "Input/output error"),
        (OSError(), ""),
    ):
        monkeypatch.setattr(os, "read", Mock(side_effect=error))
        assert refused(file=str(file)) == f"cannot read password file {file}: {reason}"


def test_file_descriptor_is_closed(file: Path) -> None:
    """No descriptor is left open, whether the file is accepted or refused."""
    before = os.listdir("/dev/fd")
    read(file=str(file))
    file.chmod(0o666)
    refused(file=str(file))

    assert len(os.listdir("/dev/fd")) == len(before)


@pytest.mark.threat("T9")
def test_file_not_regular_is_refused(tmp_path: Path) -> None:
    """A FIFO does not block; devices and directories are refused."""
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


def test_file_own_symlink_is_followed(file: Path, tmp_path: Path) -> None:
    """Secret stores deploy files as symbolic links."""
    link = tmp_path / "link"
    link.symlink_to(file)

    assert read(file=str(link)) == b"s3cret pass"


@pytest.mark.threat("T9")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_file_of_another_user_is_refused(file: Path, tmp_path: Path) -> None:
    """The owner of a file or link controls its content."""
    link = tmp_path / "link"
    link.symlink_to(file)
    os.lchown(link, 12345, 12345)

    assert refused(file=str(link)) == f"password file {link} is a symbolic link of another user"
    os.chown(file, 12345, 12345)
    assert refused(file=str(file)) == (
        f"password file {file} must belong to root or to the user of this check: chown root {file}"
    )


def test_file_of_root_is_accepted(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`root:nagios 0640` is how a password file is deployed."""
    link = tmp_path / "link"
    link.symlink_to(file)
    owner = os.stat(file).st_uid
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    if owner == 0:
        assert read(file=str(link)) == b"s3cret pass"
    else:
        assert "of another user" in refused(file=str(link))


@pytest.mark.parametrize(("what", "reason"), [("link", "is a symbolic"), ("file", "must belong")])
def test_file_of_uid_one_is_refused(
    what: str, reason: str, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only user ID 0 is root."""
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
def test_variable_is_removed_from_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No child process inherits it."""
    monkeypatch.setenv("CANARY", "s3cret")

    assert read(env="CANARY") == b"s3cret"
    assert "CANARY" not in os.environ
    assert refused(env="CANARY") == "environment variable CANARY is not set"
    monkeypatch.setenv("CANARY", "")
    assert refused(env="CANARY") == "variable CANARY is empty"


def test_variable_with_two_lines_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the first line would be a wrong password; one final line end is stripped."""
    for value in ("s3cret", "s3cret\n", "s3cret\r\n"):
        monkeypatch.setenv("CANARY", value)
        assert read(env="CANARY") == b"s3cret"
    for value in ("s3cret\nDELE 1", "s3cret\n\n", "\ns3cret"):
        monkeypatch.setenv("CANARY", value)
        assert refused(env="CANARY") == "variable CANARY has more than one line"


@pytest.mark.parametrize("name", ["", "a=b", "a\0b"])
def test_variable_impossible_name_is_refused(name: str) -> None:
    """An impossible name, possibly the password itself, is not shown."""
    assert (
        refused(env=name)
        == "--password-env needs the name of an environment variable, not its value"
    )


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("echo a\0b", "cannot be run: invalid command line (an open quotation mark?)"),
        ("false -c 'one;'", "failed with exit code 1"),
        ("sh -c 'kill -9 $$'", "was killed by signal 9"),
        (
            "false | two",
            "failed with exit code 1; it runs without a shell: put pipes, redirections and"
            " variables into a script",
        ),
    ],
)
def test_command_that_fails_was_perhaps_meant_for_a_shell(command: str, reason: str) -> None:
    """One that starts a shell of its own was not."""
    assert refused(command=command) == f"password command {reason}"


def test_no_source_is_refused() -> None:
    """A missing source is not an empty password."""
    assert refused() == "no source of the password given"


@pytest.mark.parametrize("option", ["env", "command"])
def test_error_has_the_place_of_the_value(option: str) -> None:
    """An administrator finds the line of the INI file."""
    with pytest.raises(ProbeError) as caught:
        read(**{option: FromFile.at("sweep.ini", 7, "/missing/command")})

    assert caught.value.message_with_origin.endswith(" (sweep.ini, line 7)")


@pytest.mark.parametrize(("hard", "soft"), [(0, 0), (1, 1), (-1, 1)])
def test_core_dumps_are_limited(hard: int, soft: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A limit above the hard one would be refused, and none set."""
    limits: list[tuple[int, tuple[int, int]]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (5, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda *given: limits.append(given))
    monkeypatch.setenv("CANARY", "s3cret")
    monkeypatch.setattr("getpass.getpass", Mock(return_value="s3cret"))
    read(env="CANARY")
    password_source.prompt("monitor")

    assert limits == [(resource.RLIMIT_CORE, (soft, hard))] * 2


QUOTED = "begins and ends with a quotation mark, which is sent with it"
BLANK = "with a blank, which is sent with it"
NAMED = "begins with a name, as in password=, which is sent with it"


@pytest.mark.parametrize(
    ("secret", "odd"),
    [
        *((secret, [QUOTED]) for secret in (b'"s3cret"', b"'s3cret'", b"''")),
        *((secret, []) for secret in (b"'s3cret", b"s3cret'", b"'s3cret\"", b"'", b"s3 cret")),
        *((secret, []) for secret in (b"s3crets", b"x")),
        (b" s3cret", [f"begins {BLANK}"]),
        (b"s3cret\t", [f"ends {BLANK}"]),
        (b" s3cret ", [f"begins {BLANK}", f"ends {BLANK}"]),
        *((f"{name}=x".encode(), [NAMED]) for name in ("password", "export POP_PASS", "Secret ")),
        (b"password", []),
    ],
)
def test_remarks_name_what_a_server_rejects_without_a_reason(
    secret: bytes, odd: list[str], file: Path
) -> None:
    """It is sent as it is, because it may be meant; a token is not typed by anybody."""

    def remarked(**source: Any) -> list[str]:
        return list(password_source.remarks(SecretSource(**source), secret, "monitor"))

    assert remarked(env="CANARY") == [f"the password {each}" for each in odd]
    assert remarked(file=str(file)) == [f"the password file {file} {each}" for each in odd]
    assert remarked(grant=Mock()) == []


def test_remarks_name_odd_user_and_command() -> None:
    """A user name is compared byte by byte; without a shell `$(...)` is what echo prints."""
    source = SecretSource(command="echo $(cat f) | head")

    assert list(password_source.remarks(source, b"monitor:x", "monitor")) == [
        "the password command has the syntax of a shell; it runs without a shell: put pipes,"
        " redirections and variables into a script",
        "the password begins with the user name, which is sent with it",
    ]
    assert list(password_source.remarks(SecretSource(env="X"), b"x", "monitor ")) == [
        "the user name begins or ends with a blank, which is sent with it"
    ]


def test_remarks_name_a_directory_that_the_group_can_write(file: Path) -> None:
    """Its members can put another file in the place of a safe one."""
    file.parent.chmod(0o770)

    assert list(password_source.remarks(SecretSource(file=str(file)), b"s3cret", "monitor")) == [
        f"the password file {file} can be replaced by the group of directory {file.parent}"
    ]


def test_prompt_names_user_and_keeps_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entered bytes are used unchanged, in any encoding of the terminal."""
    getpass = Mock(return_value="s3\u00e9\udcff")
    monkeypatch.setattr("getpass.getpass", getpass)

    assert password_source.prompt("a|b").reveal() == b"s3\xc3\xa9\xff"
    getpass.assert_called_once_with("Password of a?b: ")


@pytest.mark.parametrize("answer", [{"return_value": ""}, {"side_effect": EOFError}])
def test_prompt_nothing_entered_is_refused(
    answer: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty line and the end of input are refused."""
    monkeypatch.setattr("getpass.getpass", Mock(**answer))

    with pytest.raises(ProbeError) as caught:
        password_source.prompt("monitor")
    assert (caught.value.kind, caught.value.message) == (
        Kind.CONFIG,
        "password entered is empty",
    )


@pytest.mark.threat("T8")
def test_secret_is_not_shown_or_pickled() -> None:
    """A secret does not appear in a repr, a format, a pickle or its container."""
    secret = Secret(b"s3cret")

    assert f"{secret} {secret!r} {[secret]} {vars}".count("s3cret") == 0
    with pytest.raises(TypeError):
        pickle.dumps(secret)
