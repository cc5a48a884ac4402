"""Read files that the user names, without surprises, and write to standard output."""

import os
import stat

from check_pop3_plus.model.failures import config_error
from check_pop3_plus.model.settings import State

SIZE_LIMIT = 1024 * 1024
"""Bytes; far more than the options of a thousand services, or any chain of certificates."""

SECRET_LIMIT = 4096
"""Bytes; a token of Microsoft 365 has about 2,000."""


def read_file(path: str, what: str, limit: int = SIZE_LIMIT) -> bytes:
    """Return the content of a regular file of at most `limit` bytes; `what` names it in messages.

    Raises ProbeError (config): it cannot be read, is not a regular file, or is larger.
    """
    try:
        descriptor = _open(path)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise config_error("{} {} is not a regular file", what, path)
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(limit + 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        raise config_error("cannot read {} {}: {}", what, path, _reason(error)) from error
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
        link = os.lstat(path)
        if stat.S_ISLNK(link.st_mode) and link.st_uid not in (0, os.geteuid()):
            raise config_error("{} {} is a symbolic link of another user", what, path)
        descriptor = _open(path)
    except (OSError, ValueError) as error:
        raise config_error("cannot open {} {}: {}", what, path, _reason(error)) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise config_error("{} {} must be a regular file", what, path)
        if status.st_uid not in (0, os.geteuid()):
            raise config_error("{} {} must belong to root or to the user of this check", what, path)
        if status.st_mode & (stat.S_IWGRP | stat.S_IRWXO):
            mode = f"{stat.S_IMODE(status.st_mode):04o}"
            raise config_error(
                "{} {} must be mode 0600, or 0640 for a group; it is {}", what, path, mode
            )
        content = os.read(descriptor, SECRET_LIMIT + 1)
    except OSError as error:
        reason = error.strerror or ""
        raise config_error("cannot read {} {}: {}", what, path, reason) from error
    finally:
        os.close(descriptor)
    if len(content) > SECRET_LIMIT:
        raise config_error("{} {} is longer than {} bytes", what, path, SECRET_LIMIT)
    return content


def _open(path: str) -> int:
    """Open a file without waiting: a FIFO must not hang the check."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or "invalid path"  # ValueError: a null byte in it


def emit(text: str, state: State) -> int:
    """Write the text, and return the exit code: UNKNOWN when it cannot be written."""
    return state.value if write_output(text) else State.UNKNOWN.value


def write_output(text: str) -> bool:
    """Write to standard output and return whether that worked.

    Past Python's buffers: they are flushed at exit, where a broken pipe would become a message on
    standard error and exit code 120.
    """
    data = text.encode("ascii", "replace")
    try:
        while data:
            data = data[os.write(1, data) :]
    except OSError:
        return False
    return True
