"""Where a secret comes from: a file, the environment, a command, or a prompt.

A token that has to be fetched first is the business of `oauth`.

There is no way to give it as an argument: a process list, a stored check result and a log would
show it. Everything here fails as `config`: it is our side, not the server's.
"""

import os
import re
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from check_pop3_plus.model.failures import DeadlineExceeded, Kind, ProbeError
from check_pop3_plus.model.sanitised_text import Printable, sanitise
from check_pop3_plus.model.settings import Secret, SecretSource
from check_pop3_plus.support.deadline import Deadline

if TYPE_CHECKING:
    from subprocess import Popen

_POLL_SECONDS = 0.02
"""How often is looked whether the command has ended without closing its output."""

SECRET_LIMIT = 4096
"""Octets; a token of Microsoft 365 has about 2,000."""


def read(source: SecretSource, deadline: Deadline) -> Secret:
    """Return the secret: the first line of its source, of a variable the whole.

    Raises ProbeError (config), with the reason, never with the content.
    """
    if source.file is not None:
        return read_file(source.file, "password file")
    if source.env is not None:
        value, what = _take_variable(source.env), f"variable {sanitise(source.env)}"
        # A login with half of it would fail, and count against the account.
        if b"\n" in value.removesuffix(b"\n"):
            raise _refused(f"{what} has more than one line")
        return _checked(value, what)
    if source.command is not None:
        return _checked(_run(source.command, deadline), "output of the password command")
    raise ProbeError(Kind.CONFIG, Printable("no source of the password given"))


def read_file(path: str, what: str) -> Secret:
    """Return the first line of a file that holds a secret; `what` names it in messages.

    Raises ProbeError (config), also for a file that others can read or write.
    """
    return _checked(_read_file(path, what), f"{what} {sanitise(path)}")


def ask(username: str) -> Secret:
    """Ask on the terminal, without echo. Raises ProbeError (config) when nothing is entered."""
    import getpass

    try:
        entered = getpass.getpass(f"Password of {sanitise(username)}: ")
    except EOFError:
        entered = ""
    return _checked(entered.encode("utf-8", "surrogateescape"), "password entered")


def _checked(content: bytes, what: str) -> Secret:
    line = content.partition(b"\n")[0].removesuffix(b"\r")
    if not line:
        raise _refused(f"{what} is empty")
    if any(byte < 0x20 or byte == 0x7F for byte in line):
        raise _refused(f"{what} has control characters in its first line")
    return Secret(line)


def _read_file(path: str, what: str) -> bytes:
    """Read a file that only its owner, root and one group can read.

    Opened without waiting, judged by what was opened: a FIFO does not block, and nothing can be
    exchanged between the look and the opening. `root:nagios 0640` is how it is deployed.
    """
    where = f"{what} {sanitise(path)}"
    try:
        link = os.lstat(path)
        if stat.S_ISLNK(link.st_mode) and link.st_uid not in (0, os.geteuid()):
            raise _refused(f"{where} is a symbolic link of another user")
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    except (OSError, ValueError) as error:
        reason = sanitise(getattr(error, "strerror", None) or "invalid path")
        raise _refused(f"cannot open {where}: {reason}") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise _refused(f"{where} must be a regular file")
        if status.st_uid not in (0, os.geteuid()):
            raise _refused(f"{where} must belong to root or to the user of this check")
        if status.st_mode & (stat.S_IWGRP | stat.S_IRWXO):
            mode = f"{stat.S_IMODE(status.st_mode):04o}"
            raise _refused(f"{where} must be mode 0600, or 0640 for a group; it is {mode}")
        content = os.read(descriptor, SECRET_LIMIT + 1)
    except OSError as error:
        raise _refused(f"cannot read {where}: {sanitise(error.strerror or '')}") from error
    finally:
        os.close(descriptor)
    if len(content) > SECRET_LIMIT:
        raise _refused(f"{where} is longer than {SECRET_LIMIT} octets")
    return content


def _take_variable(name: str) -> bytes:
    """Return a variable's value and remove it, so that no child process inherits it."""
    value = os.environb.pop(os.fsencode(name), None)
    if value is None:
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):  # the password itself, perhaps
            raise _refused("the environment variable of --password-env is not set")
        raise _refused(f"environment variable {sanitise(name)} is not set")
    return value


def _run(command: str, deadline: Deadline) -> bytes:
    """Return what a command prints. No shell; killed with its children at the deadline."""
    import shlex
    import signal
    import subprocess

    try:
        arguments = shlex.split(command)
        if not arguments:
            raise ValueError
        process = subprocess.Popen(  # noqa: S603 - the administrator's own command, no shell
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = sanitise(getattr(error, "strerror", None) or "invalid command line")
        raise _refused(f"password command cannot be run: {reason}") from error
    try:
        output = _output(process, deadline)
        code = process.wait(deadline.remaining())
    except (DeadlineExceeded, subprocess.TimeoutExpired) as error:
        raise _refused("password command did not finish in time") from error
    finally:
        # Also when it has ended: a child that it left behind is not ours to keep.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if code != 0:
        raise _refused(f"password command failed with exit code {code}")
    return output


def _output(process: "Popen[bytes]", deadline: Deadline) -> bytes:
    """Read what a command prints, to its end; not with `communicate`, which has no limit.

    Nor to the end of the pipe: what the command has left running may keep that open.
    """
    import select

    assert process.stdout is not None  # noqa: S101 - it was started with a pipe
    output = b""
    with process.stdout as pipe:
        while True:
            has_ended = process.poll() is not None
            wait = 0.0 if has_ended else min(_POLL_SECONDS, deadline.remaining())
            if not select.select([pipe], [], [], wait)[0]:
                if has_ended:
                    break
                continue
            chunk = os.read(pipe.fileno(), SECRET_LIMIT)
            if not chunk:
                break
            output += chunk
            if len(output) > SECRET_LIMIT:
                what = "output of the password command"
                raise _refused(f"{what} is longer than {SECRET_LIMIT} octets")
    return output


def _refused(reason: str) -> ProbeError:
    return ProbeError(Kind.CONFIG, Printable(reason))
