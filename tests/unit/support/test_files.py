"""Files that the user names, and standard output."""

import errno
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.settings import State
from check_pop3_plus.support import files


def refused(path: Path | str, limit: int = files.SIZE_LIMIT) -> str:
    with pytest.raises(ProbeError) as caught:
        files.read_file(str(path), "options file", limit)
    assert caught.value.kind is Kind.CONFIG
    return caught.value.message


def test_read_file_returns_content_up_to_the_limit(tmp_path: Path) -> None:
    """The limit itself is allowed."""
    path = tmp_path / "file"
    path.write_bytes(b"x" * 1024**2)

    assert files.read_file(str(path), "options file") == b"x" * 1024**2
    path.write_bytes(b"x" * (1024**2 + 1))
    assert refused(path) == f"options file {path} is larger than 1 MiB"
    assert refused(path, 3 * 1024**2 // 4) == f"options file {path} is larger than 0 MiB"


def test_read_file_that_is_not_regular_is_refused_at_once(tmp_path: Path) -> None:
    """A FIFO does not hang."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    began = time.monotonic()

    for path in (fifo, tmp_path, "/dev/zero"):
        assert refused(path) == f"options file {path} is not a regular file"
    assert time.monotonic() - began < 0.5


def test_read_file_error_names_the_reason(tmp_path: Path) -> None:
    """The path is sanitised; a null byte has no text of the system."""
    path = tmp_path / "missing"

    assert refused(path) == f"cannot read options file {path}: No such file or directory"
    assert refused("~/ini").endswith("No such file or directory; give the whole path from / on")
    assert refused("a\0b") == "cannot read options file a?b: invalid path"


def test_read_secret_file_without_a_path_is_not_shown() -> None:
    """The password in place of the name of its file must not reach the monitoring system."""
    with pytest.raises(ProbeError) as caught:
        files.read_secret_file("hunter2", "password file")

    assert caught.value.message == (
        "password file does not exist (not shown, might be the secret itself);"
        " give the whole path from / on"
    )


def test_read_secret_file_returns_content(tmp_path: Path) -> None:
    """All of its rules: see `tests/unit/probe/test_password_source.py`."""
    path = tmp_path / "secret"
    path.write_bytes(b"s3cret\n")
    path.chmod(0o600)

    assert files.read_secret_file(str(path), "password file") == b"s3cret\n"
    path.chmod(0o644)
    with pytest.raises(ProbeError, match="must be mode 0600") as caught:
        files.read_secret_file(str(path), "password file")
    assert caught.value.kind is Kind.CONFIG


def test_read_secret_file_has_a_limit(tmp_path: Path) -> None:
    """A token of Microsoft 365 has about 2,000 bytes."""
    path = tmp_path / "secret"
    path.touch(mode=0o600)
    path.write_bytes(b"x" * 4096)

    assert files.read_secret_file(str(path), "password file") == b"x" * 4096
    path.write_bytes(b"x" * 4097)
    with pytest.raises(ProbeError, match=f"^password file {path} is longer than 4096 bytes$"):
        files.read_secret_file(str(path), "password file")


def test_replace_file_shows_nobody_a_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has mode 0644 whatever the umask is, and what an interrupted run has left is removed."""
    path, write = tmp_path / "pop3.prom", os.write
    path.write_bytes(b"before")
    left = Path(f"{path}.{os.getpid()}")
    left.write_bytes(b"interrupted")
    seen: list[bytes] = []

    def write_slowly(descriptor: int, data: bytes) -> int:
        seen.append(path.read_bytes())
        return write(descriptor, data[:2])

    monkeypatch.setattr(os, "write", write_slowly)
    umask = os.umask(0o077)
    try:
        files.replace_file(str(path), b"after")
    finally:
        os.umask(umask)

    assert (path.read_bytes(), seen) == (b"after", [b"before"] * 3)
    assert (path.stat().st_mode & 0o777, list(tmp_path.iterdir())) == (0o644, [path])


def test_replace_file_that_fails_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk costs nothing but the new content."""
    path, descriptors = tmp_path / "pop3.prom", os.listdir("/proc/self/fd")
    path.write_bytes(b"before")
    monkeypatch.setattr(os, "write", Mock(side_effect=OSError(errno.ENOSPC, "full")))

    with pytest.raises(OSError, match="full"):
        files.replace_file(str(path), b"after")

    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"before", [path])
    assert os.listdir("/proc/self/fd") == descriptors


# --- who else can read or replace a file -------------------------------------------------------

NOBODY = 65534


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory below /tmp, which is sticky, that every user may enter."""
    if os.geteuid():
        pytest.skip("only root can give a file to another user")
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)
        yield Path(directory)


def secret_in(directory: Path) -> Path:
    directory.mkdir(exist_ok=True)
    path = directory / "secret"
    path.write_bytes(b"s3cret\n")
    path.chmod(0o600)
    return path


def secret_refused(path: Path) -> str:
    with pytest.raises(ProbeError) as caught:
        files.read_secret_file(str(path), "password file")
    assert caught.value.kind is Kind.CONFIG
    with pytest.raises(ProbeError) as again:
        files.check_secret_file(str(path), "password file")
    assert again.value.message == caught.value.message
    return caught.value.message


EVERYONE = "everyone can write to its directory {0} and replace it; chmod o-w {0}"
ANOTHER_USER = "its directory {0} belongs to another user, who can replace it; chown root {0}"


@pytest.mark.parametrize(
    ("mode", "owner", "entry_owner", "reason"),
    [
        (0o755, 0, 0, ""),
        (0o775, 0, 0, ""),  # noted, not refused
        (0o777, 0, 0, EVERYONE),
        (0o1777, 0, 0, ""),
        (0o1777, 0, NOBODY, EVERYONE),
        (0o755, NOBODY, 0, ANOTHER_USER),
        (0o1777, NOBODY, 0, ANOTHER_USER),
    ],
)
def test_secret_file_directory_decides_who_can_replace_it(
    place: Path, mode: int, owner: int, entry_owner: int, reason: str
) -> None:
    """Every directory on the way counts; the sticky bit protects entries of root and our own."""
    shared = place / "shared"
    path = secret_in(shared)
    deep = secret_in(shared / "own")
    for each in (path, deep.parent):
        os.chown(each, entry_owner, 0)
    os.chown(shared, owner, 0)
    shared.chmod(mode)

    if reason:
        assert secret_refused(deep) == f"password file {deep}: {reason.format(shared)}"
    else:
        assert files.read_secret_file(str(path), "password file") == b"s3cret\n"
        assert files.read_secret_file(str(deep), "password file") == b"s3cret\n"
    expected = str(shared) if mode in (0o775, 0o777) else None
    assert files.group_writable_directory(str(deep)) == expected


@contextmanager
def as_user(user: int, group: int) -> Iterator[None]:
    """Have only the rights of this user and group inside the context."""
    groups = os.getgroups()
    os.setgroups([group])
    os.seteuid(user)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setgroups(groups)


def kubernetes_volume(volume: Path, mode: int, group: int) -> Path:
    """Return a key of a mounted secret: secret -> ..data/secret, ..data -> ..2026; it is sticky."""
    volume.mkdir()
    (volume / "secret").symlink_to("..data/secret")
    (volume / "..data").symlink_to("..2026")
    file = secret_in(volume / "..2026")
    (volume / "..2026").chmod(0o755)
    file.chmod(mode)
    for each in (volume, volume / "..2026", file):
        os.chown(each, 0, group)
    volume.chmod(0o1777)
    return volume / "secret"


def test_secret_file_of_a_container_is_read_through_its_links(place: Path) -> None:
    """Kubernetes, with `defaultMode: 0440` and an `fsGroup`; its default mode 0644 is refused."""
    group = 2000
    path = kubernetes_volume(place / "volume", 0o440, group)
    with as_user(NOBODY, group):
        assert files.read_secret_file(str(path), "password file") == b"s3cret\n"

    os.lchown(path.parent / "..data", NOBODY, 0)
    assert f"everyone can write to its directory {path.parent}" in secret_refused(path)
    lax = kubernetes_volume(place / "lax", 0o644, 0)
    assert "must be mode 0600, or 0640 for a group; it is 0644" in secret_refused(lax)


def test_secret_file_of_systemd_is_read(place: Path) -> None:
    """LoadCredential: a directory of mode 0500 and a file of 0400, of the user of the service."""
    path = secret_in(place / "credentials")
    for each, mode in ((path, 0o400), (path.parent, 0o500)):
        os.chown(each, NOBODY, 0)
        each.chmod(mode)

    with as_user(NOBODY, NOBODY):
        assert files.read_secret_file(str(path), "password file") == b"s3cret\n"
    with as_user(NOBODY - 1, NOBODY):
        assert "Permission denied" in secret_refused(path)


@pytest.mark.parametrize(("mode", "reason"), [(0o400, ""), (0o444, "must be mode 0600")])
def test_secret_file_of_docker_needs_a_mode(place: Path, mode: int, reason: str) -> None:
    """A secret in /run/secrets has mode 0444 unless the service asks for another."""
    path = secret_in(place / "secrets")
    os.chown(path, NOBODY, 0)
    path.chmod(mode)

    with as_user(NOBODY, NOBODY):
        if reason:
            assert reason in secret_refused(path)
        else:
            assert files.read_secret_file(str(path), "password file") == b"s3cret\n"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("chown", "must belong to root or to the user of this check: chown root {0}"),
        ("chmod 644", "must be mode 0600, or 0640 for a group; it is 0644: chmod 640 {0}"),
        ("chmod 602", "must be mode 0600, or 0640 for a group; it is 0602: chmod 600 {0}"),
        ("chmod 620", "must be mode 0600, or 0640 for a group; it is 0620: chmod 600 {0}"),
        ("mkdir", "must be a regular file"),
        ("link", "is a symbolic link of another user"),
    ],
)
def test_secret_file_that_others_can_change_is_refused(
    place: Path, change: str, reason: str
) -> None:
    """The message names the command that corrects it."""
    path = secret_in(place / "etc")
    match change.split():
        case ["chown"]:
            os.chown(path, NOBODY, 0)
        case ["chmod", mode]:
            path.chmod(int(mode, 8))
        case ["mkdir"]:
            path = path.parent
        case _:
            path = place / "link"
            path.symlink_to("etc/secret")
            os.lchown(path, NOBODY, 0)

    assert secret_refused(path) == f"password file {path} {reason.format(path)}"


@pytest.mark.parametrize(("links", "is_found"), [(40, True), (41, False)])
def test_directories_are_followed_over_as_many_links_as_the_kernel_does(
    place: Path, links: int, is_found: bool
) -> None:
    """Behind more, nothing can be opened."""
    path = secret_in(place / "shared")
    path.parent.chmod(0o775)
    for number in range(links):
        target = f"link{number - 1}" if number else str(path)
        (place / f"link{number}").symlink_to(target)

    found = files.group_writable_directory(str(place / f"link{links - 1}"))
    assert found == (str(path.parent) if is_found else None)


@pytest.mark.parametrize("path", ["shared/secret", "./shared//secret", "own/../shared/secret"])
def test_directories_of_a_relative_path_are_found(
    place: Path, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are named as they are, without dots."""
    secret_in(place / "shared").parent.chmod(0o775)
    (place / "own").mkdir()
    monkeypatch.chdir(place)

    assert files.group_writable_directory(path) == str(place / "shared")


def test_permission_denied_of_a_relative_path_names_numbers_without_names(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container has users that no database knows."""
    secret_in(place / "closed").parent.chmod(0o700)
    monkeypatch.chdir(place)
    group = os.getegid()
    os.setegid(54321)
    try:
        with as_user(12345, 54321):
            message = refused("closed/secret")
    finally:
        os.setegid(group)

    assert message.endswith(
        "Permission denied (running as 12345); chgrp 54321 ./closed; chmod 750 ./closed"
    )


def test_secret_file_link_through_an_unsafe_directory_is_refused(place: Path) -> None:
    """A safe link does not help where its target can be replaced; a loop of links ends."""
    unsafe = secret_in(place / "unsafe")
    unsafe.parent.chmod(0o777)
    (place / "link").symlink_to("unsafe/../unsafe/secret")
    (place / "loop").symlink_to("loop")

    assert "everyone can write" in secret_refused(place / "link")
    assert "Too many levels of symbolic links" in secret_refused(place / "loop")


@pytest.mark.parametrize("is_directory", [False, True])
def test_permission_denied_names_user_and_cure(place: Path, is_directory: bool) -> None:
    """The command cures what is closed: the file, or a directory on the way to it."""
    path = secret_in(place / "etc")
    os.chmod(path.parent, 0o700 if is_directory else 0o755)
    saved = os.getegid()
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        message = refused(path)
        with pytest.raises(ProbeError) as caught:
            files.read_secret_file(str(path), "password file")
        assert caught.value.message[-60:] == message[-60:]
    finally:
        os.seteuid(0)
        os.setegid(saved)

    closed, mode = (path.parent, 750) if is_directory else (path, 640)
    assert "Permission denied (running as nobody)" in message
    assert message.endswith(f"chgrp nogroup {closed}; chmod {mode} {closed}")


@pytest.mark.parametrize("line", ["password-command = x", "  --password-command=x", "port = 1"])
@pytest.mark.parametrize(
    ("mode", "owner", "reason"),
    [
        (0o644, 0, ""),
        (0o664, 0, "writable by other users: chmod go-w"),
        (0o646, 0, "writable by other users: chmod go-w"),
        (0o644, NOBODY, "must belong to root or to the user of this check"),
    ],
)
def test_options_file_that_starts_commands_is_ours(
    place: Path, line: str, mode: int, owner: int, reason: str
) -> None:
    """Who can write it can run commands as the user of this check; it may be read by all."""
    path = place / "plugins.ini"
    path.write_text(f"[a]\nssl\n{line}\n")
    os.chown(path, owner, 0)
    path.chmod(mode)

    if reason and "command" in line:
        with pytest.raises(ProbeError, match=f"^options file {path} .*{reason}.* {path}$"):
            files.read_file(str(path), "options file", has_options=True)
    else:
        assert b"ssl" in files.read_file(str(path), "options file", has_options=True)
    assert b"ssl" in files.read_file(str(path), "options file")


def test_options_file_that_starts_commands_is_ours_on_its_whole_way(place: Path) -> None:
    """Who can replace a link or a directory decides which file is read."""
    path = place / "open" / "plugins.ini"
    path.parent.mkdir()
    path.write_text("[a]\npassword-command = x\n")
    foreign = place / "link.ini"
    foreign.symlink_to(path)
    os.chown(foreign, NOBODY, 0, follow_symlinks=False)

    with pytest.raises(ProbeError, match="link"):
        files.read_file(str(foreign), "options file", has_options=True)
    path.parent.chmod(0o777)
    with pytest.raises(ProbeError, match="everyone can write to its directory"):
        files.read_file(str(path), "options file", has_options=True)


def test_read_file_closes_the_file(tmp_path: Path) -> None:
    """A sweep reads many."""
    path = tmp_path / "file"
    path.write_bytes(b"x")
    before = os.listdir("/proc/self/fd")

    files.read_file(str(path), "options file")

    assert os.listdir("/proc/self/fd") == before


def test_emit_unwritable_output_is_unknown(capfd: pytest.CaptureFixture[str]) -> None:
    """Text is written as ASCII; an OK that could not be written is reported as UNKNOWN."""
    assert files.emit("fine: \u00e9\n", State.OK) == 0
    assert capfd.readouterr().out == "fine: ?\n"
    saved = os.dup(1)
    os.close(1)
    try:
        assert files.emit("fine\n", State.OK) == 3
        assert not files.write_output("fine\n")
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def test_read_file_takes_no_terminal_and_leaves_no_descriptor_to_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A terminal that is named as a file must not become the controlling one."""
    path, found, open_ = tmp_path / "file", [], os.open
    path.write_text("x")

    def opened(name: str, flags: int) -> int:
        descriptor = open_(name, flags)
        found.append((flags, os.get_inheritable(descriptor)))
        return descriptor

    monkeypatch.setattr(os, "open", opened)

    files.read_file(str(path), "options file")

    [(flags, is_inheritable)] = found
    assert flags & os.O_NOCTTY
    assert not is_inheritable
