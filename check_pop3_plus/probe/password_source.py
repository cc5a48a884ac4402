"""Where a secret comes from: a file, the environment, a command, or a prompt.

A token that has to be fetched first is the business of `oauth`.

There is no way to give it as an argument: a process list, a stored check result and a log would
show it. Everything here fails as `config`: it is our side, not the server's.
"""

import os
import re

from check_pop3_plus.model.failures import Kind, ProbeError, config_error
from check_pop3_plus.model.sanitised_text import Printable, sanitise
from check_pop3_plus.model.settings import Secret, SecretSource
from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.support.files import SECRET_LIMIT, read_secret_file
from check_pop3_plus.support.programs import run_program


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
    return _checked(read_secret_file(path, what), f"{what} {sanitise(path)}")


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

    try:
        arguments = shlex.split(command)
    except ValueError:
        arguments = []
    if not arguments or "\0" in command:
        raise _refused("password command cannot be run: invalid command line")
    try:
        output = run_program(arguments, deadline, SECRET_LIMIT)
    except ProbeError as error:
        reason = getattr(error.__cause__, "strerror", None)
        raise config_error("password command cannot be run: {}", reason) from error
    if output.is_oversized:
        raise _refused(f"output of the password command is longer than {SECRET_LIMIT} octets")
    if output.code is None:
        raise _refused("password command did not finish in time")
    if output.code != 0:
        raise _refused(f"password command failed with exit code {output.code}")
    return output.data


def _refused(reason: str) -> ProbeError:
    return ProbeError(Kind.CONFIG, Printable(reason))
