"""Files that the user names, read without surprises."""

import os
import stat

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.sanitised_text import Printable, sanitise

SIZE_LIMIT = 1024 * 1024
"""Octets; far more than the options of a thousand services, or any chain of certificates."""


def read(path: str, what: str, limit: int = SIZE_LIMIT) -> bytes:
    """Return what a regular file holds; `what` it is goes into the message.

    Raises ProbeError (config): it cannot be read, is none, or is larger than `limit`.
    """
    try:
        # Without waiting: a FIFO must not hang the check.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise _refused(f"{what} {sanitise(path)} is not a regular file")
            with open(descriptor, "rb", closefd=False) as file:
                content = file.read(limit + 1)
        finally:
            os.close(descriptor)
    except (OSError, ValueError) as error:
        reason = sanitise(getattr(error, "strerror", None) or "invalid path")
        raise _refused(f"cannot read {what} {sanitise(path)}: {reason}") from error
    if len(content) > limit:
        raise _refused(f"{what} {sanitise(path)} is larger than {limit // 1024**2} MiB")
    return content


def _refused(message: str) -> ProbeError:
    return ProbeError(Kind.CONFIG, Printable(message))
