"""Read files that the user names, without surprises, and write to standard output."""

import errno
import os
import re
import stat
from collections import deque
from collections.abc import Iterator
from contextlib import suppress

from check_pop3_plus.model.failures import config_error
from check_pop3_plus.model.sanitised_text import Printable, printable
from check_pop3_plus.model.settings import State

SIZE_LIMIT = 1024 * 1024
"""Bytes; far more than the options of a thousand services, or any chain of certificates."""

SECRET_LIMIT = 4096
"""Bytes; a token of Microsoft 365 has about 2,000."""


_WHOLE_PATH = "; give the whole path from / on"


def read_file(path: str, what: str, limit: int = SIZE_LIMIT, has_options: bool = False) -> bytes:
    """Return the content of a regular file of at most `limit` bytes; `what` names it in messages.

    If it `has_options` that start a command, nobody else may be able to write it.

    Raises ProbeError (config): it cannot be read, is not a regular file, or is larger.
    """
    try:
        descriptor = _open(path)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise config_error("{} {} is not a regular file", what, path)
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(limit + 1)
            if has_options:
                _check_commands(status, content, path, what)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise config_error("cannot read {} {}: {}", what, path, _reason(error, path)) from error
    if len(content) > limit:
        raise config_error("{} {} is larger than {} MiB", what, path, limit // 1024**2)
    return content


def read_secret_file(path: str, what: str) -> bytes:
    """Return the content of a file that only its owner, root and one group can read.

    At most SECRET_LIMIT bytes. The opened file is checked, so that it cannot be exchanged between
    check and use. `root:nagios 0640` is how such a file is deployed.

    Raises ProbeError (config).
    """
    try:
        _check_link(path, what)
        descriptor = _open(path)
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError) and "/" not in path:
            hidden = "{} does not exist (not shown, might be the secret itself)"
            raise config_error(hidden + _WHOLE_PATH, what) from error
        raise config_error("cannot open {} {}: {}", what, path, _reason(error, path)) from error
    try:
        _check_secrecy(os.fstat(descriptor), path, what)
        _check_directories(path, what)
        content = os.read(descriptor, SECRET_LIMIT + 1)
    except OSError as error:
        reason = error.strerror or ""
        raise config_error("cannot read {} {}: {}", what, path, reason) from error
    finally:
        os.close(descriptor)
    if len(content) > SECRET_LIMIT:
        raise config_error("{} {} is longer than {} bytes", what, path, SECRET_LIMIT)
    return content


def check_secret_file(path: str, what: str) -> None:
    """Check a file that a library opens itself, as `read_secret_file` does.

    Raises ProbeError (config).
    """
    try:
        _check_link(path, what)
        _check_secrecy(os.stat(path), path, what)
        _check_directories(path, what)
    except (OSError, ValueError) as error:
        raise config_error("cannot open {} {}: {}", what, path, _reason(error, path)) from error


# --- who else can read or replace a file -------------------------------------------------------


def _check_link(path: str, what: str) -> None:
    link = os.lstat(path)
    if stat.S_ISLNK(link.st_mode) and link.st_uid not in (0, os.geteuid()):
        raise config_error("{} {} is a symbolic link of another user", what, path)


def _check_secrecy(status: os.stat_result, path: str, what: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise config_error("{} {} must be a regular file", what, path)
    _check_owner(status, path, what)
    if status.st_mode & (stat.S_IWGRP | stat.S_IRWXO):
        mode = f"{stat.S_IMODE(status.st_mode):04o}"
        raise config_error(
            "{} {} must be mode 0600, or 0640 for a group; it is {}: chmod {} {}",
            *(what, path, mode, 640 if status.st_mode & stat.S_IRGRP else 600, path),
        )


def _check_owner(status: os.stat_result, path: str, what: str) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise config_error(
            "{} {} must belong to root or to the user of this check: chown root {}",
            *(what, path, path),
        )


def _check_directories(path: str, what: str) -> None:
    """Refuse a file that another user can replace, because of a directory on the way to it."""
    for directory, status, entry in _directories(path):
        where = (what, path, directory)
        if status.st_uid not in (0, os.geteuid()):
            message = "{} {}: its directory {} belongs to another user, who can replace it"
            raise config_error(message + "; chown root {}", *where, directory)
        # In a sticky directory, as /tmp, an entry is replaced by its owner only.
        is_safe = status.st_mode & stat.S_ISVTX and entry.st_uid in (0, os.geteuid())
        if status.st_mode & stat.S_IWOTH and not is_safe:
            message = "{} {}: everyone can write to its directory {} and replace it"
            raise config_error(message + "; chmod o-w {}", *where, directory)


def group_writable_directory(path: str) -> str | None:
    """Return the first directory on the way to a file whose group can replace the file."""
    try:
        for directory, status, _ in _directories(path):
            if status.st_mode & stat.S_IWGRP and not status.st_mode & stat.S_ISVTX:
                return directory
    except (OSError, ValueError):
        pass
    return None


_MOST_LINKS = 40
"""As the kernel follows (path_resolution(7))."""


def _directories(path: str) -> Iterator[tuple[str, os.stat_result, os.stat_result]]:
    """Yield each directory on the way to a file, its status, and that of its entry on the way.

    Links are followed, because whoever can replace one decides what is read: the secrets of
    containers are reached by links to links. Raises OSError.
    """
    links = 0
    # Not normalised: behind a link `..` is the directory above its target.
    here, left = "/" if path.startswith("/") else os.getcwd(), deque(path.split("/"))
    while left:
        name = left.popleft()
        if name in ("", "."):
            continue
        if name == "..":
            here = os.path.dirname(here)
            continue
        entry_path = os.path.join(here, name)
        entry = os.lstat(entry_path)
        yield here, os.stat(here), entry
        if not stat.S_ISLNK(entry.st_mode):
            here = entry_path
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = os.readlink(entry_path)
        here = "/" if target.startswith("/") else here
        left.extendleft(reversed(target.split("/")))


_STARTS_COMMANDS = rb"(?m)^[ \t]*(?:--)?password-command[ \t]*="


def _check_commands(status: os.stat_result, content: bytes, path: str, what: str) -> None:
    """Refuse options that start a command if another user could have written them."""
    if not re.search(_STARTS_COMMANDS, content):
        return
    _check_link(path, what)
    _check_directories(path, what)
    _check_owner(status, path, what)
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise config_error(
            "{} {} has a password-command and is writable by other users: chmod go-w {}",
            *(what, path, path),
        )


def _open(path: str) -> int:
    """Open a file without waiting: a FIFO must not hang the check."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)


def _reason(error: Exception, path: str) -> Printable:
    """Return why a file cannot be opened, and the cure where permissions are missing."""
    if not isinstance(error, PermissionError):
        # ValueError: a null byte in the path.
        is_missing = isinstance(error, FileNotFoundError) and not path.startswith("/")
        hint = _WHOLE_PATH if is_missing else ""
        return printable("{}" + hint, getattr(error, "strerror", None) or "invalid path")
    user, group = _names()
    closed = _closed_directory(path)
    cure, at = ("750", closed) if closed else ("640", path)
    return printable(
        "Permission denied (running as {}); chgrp {} {}; chmod {} {}",
        *(user, group, at, cure, at),
    )


def _closed_directory(path: str) -> str | None:
    """Return the directory on the way to a file that this user may not enter."""
    here = "/" if path.startswith("/") else "."
    for name in path.split("/")[:-1]:
        here = os.path.join(here, name)
        if not os.access(here, os.X_OK, effective_ids=True):
            return here
    return None


def _names() -> tuple[str, str]:
    """Return the names of the user and the group of this process."""
    import grp
    import pwd

    user, group = os.geteuid(), os.getegid()
    with suppress(KeyError):
        return pwd.getpwuid(user).pw_name, grp.getgrgid(group).gr_name
    return str(user), str(group)


def replace_file(path: str, data: bytes) -> None:
    """Replace a file by one that everybody may read: nobody sees a part of it. Raises OSError."""
    temporary = f"{path}.{os.getpid()}"
    with suppress(FileNotFoundError):
        os.unlink(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW)
    try:
        try:
            os.fchmod(descriptor, 0o644)
            write_all(descriptor, data)
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except BaseException:  # also a signal
        os.unlink(temporary)
        raise


def emit(text: str, state: State) -> int:
    """Write the text, and return the exit code: UNKNOWN when it cannot be written."""
    return state.value if write_output(text) else State.UNKNOWN.value


def write_output(text: str) -> bool:
    """Write to standard output and return whether that worked.

    Past Python's buffers: they are flushed at exit, where a broken pipe would become a message on
    standard error and exit code 120.
    """
    try:
        write_all(1, text.encode("ascii", "replace"))
    except OSError:
        return False
    return True


def write_all(descriptor: int, data: bytes) -> None:
    """Write to a descriptor that takes a part of the data at a time. Raises OSError."""
    while data:
        data = data[os.write(descriptor, data) :]
