"""Read a secret from a file, the environment, a command, or a prompt.

`oauth_token` fetches tokens. A secret cannot be given as an argument: the process list, stored
check results and logs would show it. Every failure is `config`, because it is local.
"""

import codecs
import os
import re
from collections.abc import Iterator
from contextlib import suppress

from check_pop3_plus.model.failures import ProbeError, config_error
from check_pop3_plus.model.sanitised_text import Printable, printable, sanitise
from check_pop3_plus.model.settings import Secret, SecretSource
from check_pop3_plus.support.deadline import Deadline
from check_pop3_plus.support.files import SECRET_LIMIT, group_writable_directory, read_secret_file
from check_pop3_plus.support.programs import Programs


def read(source: SecretSource, deadline: Deadline) -> Secret:
    """Return the secret: the first line of a file or output, or the value of a variable.

    Raises ProbeError (config), with the reason, never with the content.
    """
    forbid_core_dumps()
    if source.file is not None:
        return read_file(source.file, "password file")
    try:
        if source.env is not None:
            return _read_variable(source.env)
        if source.command is not None:
            output = _run(source.command, deadline)
            return _checked(output, printable("output of the password command"))
    except ProbeError as error:
        raise error.at(source.env or source.command) from error
    raise config_error("no source of the password given")


def forbid_core_dumps() -> None:
    """Keep the secret out of core dumps.

    The limit is 1 and not 0: then the kernel does not start the program of a `core_pattern` that
    begins with a pipe either (fs/coredump.c), to which 0 does not apply.
    """
    import resource

    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0 if hard == 0 else 1, hard))


def read_file(path: str, what: str) -> Secret:
    """Return the first line of a file that holds a secret; `what` names it in messages.

    Raises ProbeError (config), also for a file that others can read or write.
    """
    content = read_secret_file(path, what)
    try:
        return _checked(content, printable("{} {}", what, path))
    except ProbeError as error:
        raise error.at(path) from error


def remarks(source: SecretSource, secret: bytes, username: str) -> Iterator[Printable]:
    """Yield what is odd about user and password, which the server will reject without a reason."""
    if username != username.strip():
        yield printable("the user name begins or ends with a blank, which is sent with it")
    if source.command and _needs_shell(_arguments(source.command)):
        yield printable("the password command has the syntax of a shell" + _NO_SHELL)
    if source.grant:
        return
    what = printable("password file {}", source.file) if source.file else printable("password")
    is_quoted = secret[:1] in (b'"', b"'") and secret[:1] == secret[-1:] and len(secret) > 1
    for is_odd, how in (
        (is_quoted, "begins and ends with a quotation mark"),
        (secret[:1].isspace(), "begins with a blank"),
        (secret[-1:].isspace(), "ends with a blank"),
        (re.match(_NAMED, secret), "begins with a name, as in password="),
        (username and secret.startswith(f"{username}:".encode()), "begins with the user name"),
    ):
        if is_odd:
            yield printable("the {} " + how + ", which is sent with it", what)
    directory = group_writable_directory(source.file) if source.file else None
    if directory:
        yield printable("the {} can be replaced by the group of directory {}", what, directory)


def prompt(username: str) -> Secret:
    """Prompt on the terminal, without echo. Raises ProbeError (config) if nothing is entered."""
    import getpass

    forbid_core_dumps()
    try:
        entered = getpass.getpass(f"Password of {sanitise(username)}: ")
    except EOFError:
        entered = ""
    return _checked(entered.encode("utf-8", "surrogateescape"), printable("password entered"))


def _checked(content: bytes, what: Printable) -> Secret:
    line = content.partition(b"\n")[0].removesuffix(b"\r")
    if line.startswith((codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise config_error("{} begins with a byte order mark (BOM); save it as UTF-8 without", what)
    if not line:
        raise config_error("{} is empty", what)
    if any(byte < 0x20 or byte == 0x7F for byte in line):
        raise config_error("{} has control characters in its first line", what)
    return Secret(line)


def _read_variable(name: str) -> Secret:
    """Return the value of a variable and remove it, so that no child process inherits it."""
    value, what = os.environb.pop(os.fsencode(name), None), printable("variable {}", name)
    if value is None:
        if not re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", name):  # possibly the password itself
            raise config_error(
                "--password-env needs the name of an environment variable, not its value"
            )
        raise config_error("environment variable {} is not set", name)
    # A login with only the first line would fail, and could lock the account.
    if b"\n" in value.removesuffix(b"\n"):
        raise config_error("{} has more than one line", what)
    return _checked(value, what)


def _run(command: str, deadline: Deadline) -> bytes:
    """Return the output of a command; no shell, killed with its children at the deadline."""
    arguments = _arguments(command)
    if not arguments or "\0" in command:
        raise config_error(
            "password command cannot be run: invalid command line (an open quotation mark?)"
        )
    cure = _NO_SHELL if _needs_shell(arguments) else ""
    try:
        output = Programs().run(arguments, deadline, SECRET_LIMIT)
    except ProbeError as error:
        reason = getattr(error.__cause__, "strerror", None)
        # A word without a path may be the password itself.
        program = printable("{}: ", arguments[0]) if "/" in arguments[0] else ""
        message = "password command cannot be run: {}{}" + cure
        raise config_error(message, program, reason) from error
    if output.is_oversized:
        raise config_error("output of the password command is longer than {} bytes", SECRET_LIMIT)
    if output.code is None:
        raise config_error("password command did not finish in time")
    if output.code < 0:
        raise config_error("password command was killed by signal {}", -output.code)
    if output.code != 0:
        raise config_error("password command failed with exit code {}" + cure, output.code)
    if cure and not output.data:
        raise config_error("output of the password command is empty" + cure)
    return output.data


def _arguments(command: str) -> list[str]:
    """Return the words of a command, or none if a quotation mark is missing."""
    import shlex

    try:
        return shlex.split(command)
    except ValueError:
        return []


_NAMED = rb"(?i)(export\s+)?\w*(pass|password|passwd|secret|token)\s*="
"""A file for another program: `password=...` of the INI files of other plugins."""

_NO_SHELL = "; it runs without a shell: put pipes, redirections and variables into a script"

_SHELL_SYNTAX = r"[|&;`]|\d?[<>]|\$[\w({]|~/|.*[;`]$"
"""Beginning of an argument that only a shell understands."""


def _needs_shell(arguments: list[str]) -> bool:
    """Return whether a command was meant for a shell; quoted for a shell of its own is fine."""
    if "-c" in arguments:
        return False
    return bool(re.match(r"\w+=", arguments[0])) or any(
        re.match(_SHELL_SYNTAX, argument) for argument in arguments
    )
