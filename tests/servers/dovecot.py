"""A private Dovecot, 2.3 or 2.4, with its own configuration and ports, and many servers by address.

Every persona listens on its own loopback address, on the same two ports. Settings that Dovecot
supports only for a whole instance make a variant.
"""

from __future__ import annotations

import base64
import grp
import hmac
import json
import os
import pwd
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.pki.certificates import Pki
from tests.servers.dovecot_settings import (
    CONFIGURATION,
    LOGGED_BY_2_4,
    MECHANISMS,
    OAUTH2,
    OPENSSL,
    USERS,
    VARIANTS,
    in_syntax_of,
)
from tests.support import command
from tests.support.command import Run

HOST = "pop.example.test"

BINARY = shutil.which("dovecot", path=os.environ.get("PATH", "") + ":/usr/sbin")

ROOT = os.environ.get("DOVECOT_ROOT")
"""A root directory, made by `unpack-server`, whose Dovecot runs in place of the installed one."""

# In a mount namespace, which ends with the server. All paths mean the same inside the root.
_ENTER = """
for place in dev proc "$2"; do
    mkdir -p "$1/$place" && mount --rbind "/$place" "$1/$place" || exit
done
for file in etc/passwd etc/group; do
    touch "$1/$file" && mount --bind "/$file" "$1/$file" || exit
done
exec chroot "$1" /usr/sbin/dovecot "${@:3}"
"""

PASSWORDS = {
    "monitor": "s3cret pass",
    "empty": "empty",
    "many": "many",
    "broken": "br0ken one",
}
MESSAGES = {"monitor": 3, "empty": 0, "many": 1000}
"""The mailbox of `broken` cannot be opened: there is a file in its place."""

# Below the ephemeral ports of the kernel, so that only another server can use them.
PORTS = range(10_000, 32_000)
START_TRIES = 5
PATIENCE = 10.0


class Persona(NamedTuple):
    """One of the servers: its address, certificate and settings."""

    address: str
    certificate: str = "good"
    settings: str = ""
    alternative: str | None = None
    """A second certificate, of another key type."""


PERSONAS = {
    "good": Persona("127.0.0.1"),
    "expiring": Persona("127.0.0.2", "expiring-5-90"),
    "expired": Persona("127.0.0.3", "expired"),
    "wrongname": Persona("127.0.0.4", "wrongname"),
    "untrusted": Persona("127.0.0.5", "untrusted"),
    "nochain": Persona("127.0.0.6", "nochain"),
    "selfsigned": Persona("127.0.0.7", "selfsigned"),
    "tls-required": Persona("127.0.0.8", settings="ssl = required\ndisable_plaintext_auth = yes"),
    "no-tls": Persona("127.0.0.9", settings="ssl = no"),
    "tls13": Persona("127.0.0.10", settings="ssl_min_protocol = TLSv1.3"),
    "future": Persona("127.0.0.11", "future"),
    "chain": Persona("127.0.0.12", "chain"),
    "intermediate_expiring": Persona("127.0.0.13", "intermediate_expiring"),
    "root_sent": Persona("127.0.0.14", "root_sent"),
    "wrong_order": Persona("127.0.0.15", "wrong_order"),
    "extra_expired": Persona("127.0.0.16", "extra_expired"),
    "ca_not_critical": Persona("127.0.0.17", "ca_not_critical"),
    "legacy-tls": Persona(
        "127.0.0.18",
        settings="ssl_min_protocol = TLSv1\nssl_cipher_list = ALL:!aNULL:@SECLEVEL=0",
    ),
    "two-certificates": Persona("127.0.0.19", alternative="rsa"),
    "expired-rsa": Persona("127.0.0.20", alternative="rsa_expired"),
}

PROXIED = "127.0.1.1"
"""The address of the listeners of the variant `proxy-protocol`."""

TOKEN_KEY = b"only for tokens of these tests!!"


def token(user: str, lifetime: float = 3600) -> str:
    """Return a JSON web token (RFC 7519) for `user`."""

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    now = int(time.time())
    claims = {
        "iss": "https://issuer.example.test",
        "sub": user,
        "email": user,
        "iat": now - 10,
        "exp": now + int(lifetime),
    }
    header = b'{"alg":"HS256","typ":"JWT"}'
    signed = f"{part(header)}.{part(json.dumps(claims).encode())}"
    return f"{signed}.{part(hmac.digest(TOKEN_KEY, signed.encode(), 'sha256'))}"


class LoggingServer:
    """A server whose log is read."""

    def log(self) -> str:
        """The log of the server so far."""
        raise NotImplementedError

    def log_since(self, before: str, expected: str) -> str:
        """The log after `before`, as soon as it contains `expected`: logging is delayed."""
        deadline = time.monotonic() + PATIENCE
        while expected not in (new := self.log()[len(before) :]):
            assert time.monotonic() < deadline, f"not in the log: {expected}\n{new}"
            time.sleep(0.02)
        return new


@dataclass(frozen=True)
class Dovecot(LoggingServer):
    """A running instance."""

    folder: Path
    plain: int
    tls: int

    def mailbox(self, user: str) -> dict[str, bytes]:
        """Every file below the user's mailbox, with its contents."""
        top = self.folder / "mail" / user
        return {str(p.relative_to(top)): p.read_bytes() for p in top.rglob("*") if p.is_file()}

    def log(self) -> str:
        """The log of the server so far, in the words of Dovecot 2.3."""
        log = (self.folder / "log").read_text()
        for new, old in LOGGED_BY_2_4.items():
            log = log.replace(new, old)
        return log


@pytest.fixture(scope="session")
def dovecot(pki: Pki) -> Iterator[Dovecot]:
    """The instance that most tests share."""
    with running(pki) as server:
        yield server


@contextmanager
def running(pki: Pki, variant: str = "") -> Iterator[Dovecot]:
    """Run an instance for the time of the context, then remove its directory."""
    if ROOT and os.geteuid():
        pytest.skip("Dovecot in a root directory of its own needs root")
    if (BINARY is None) if ROOT is None else not Path(ROOT, "usr/sbin/dovecot").exists():
        # With CI=true a missing server is a failure.
        asked_for = os.environ.get("CI") == "true" or os.environ.get("INSTALL") == "1"
        (pytest.fail if asked_for else pytest.skip)("Dovecot is not installed (dovecot-pop3d)")
    # Not below pytest's directory: other users have no access there, and sockets need a short path.
    folder = Path(tempfile.mkdtemp(prefix="dovecot-"))
    try:
        _furnish(folder, variant)
        server, process = _start(folder, pki, variant)
        try:
            yield server
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder)


def _command(*args: object) -> list[str]:
    """Return the command line of Dovecot."""
    program = (
        ("unshare", "--mount", "bash", "-c", _ENTER, "bash", ROOT, tempfile.gettempdir().strip("/"))
        if ROOT
        else (BINARY,)
    )
    return [str(word) for word in (*program, *args)]


@cache
def version() -> tuple[int, ...]:
    """Return the version of the Dovecot that the tests start."""
    printed = subprocess.run(_command("--version"), stdout=subprocess.PIPE, text=True, check=True)
    found = re.match(r"(\d+)\.(\d+)", printed.stdout)
    assert found, printed
    return tuple(map(int, found.groups()))


def _account() -> pwd.struct_passwd:
    """Return an existing unprivileged account if run as root, else the current one."""
    if os.geteuid():
        return pwd.getpwuid(os.geteuid())
    try:
        return pwd.getpwnam("dovecot")
    except KeyError:
        return pwd.getpwnam("nobody")


def _furnish(folder: Path, variant: str) -> None:
    """Write users, mail and OpenSSL's limits."""
    folder.chmod(0o711)
    users = (f"{user}:{{PLAIN}}{password}::::::\n" for user, password in PASSWORDS.items())
    (folder / "passwd").write_text("".join(users))
    (folder / "oauth2").write_text(OAUTH2.format(folder=folder))
    keys = folder / "keys" / "default" / "HS256"
    keys.mkdir(parents=True)
    (keys / "default").write_bytes(base64.b64encode(TOKEN_KEY))
    mail = folder / "mail"
    mail.mkdir()
    (mail / "broken").write_text("not a folder\n")
    for user, count in MESSAGES.items():
        for part in ("cur", "new", "tmp"):
            (mail / user / part).mkdir(parents=True)
        for number in range(1, count + 1):
            # In `cur`, because the first session would move it there.
            (mail / user / "cur" / f"1700000000.M{number}P1.host:2,").write_text(
                f"From: a@example.test\nSubject: message {number}\n\nbody\n.dot line\n"
            )
    if variant.startswith("tls-"):
        version = {"tls-1.0": "TLSv1", "tls-1.1": "TLSv1.1"}[variant]
        (folder / "openssl.cnf").write_text(OPENSSL.format(version=version))
    if not os.geteuid():
        account = _account()
        for path in (folder / "passwd", folder / "oauth2", mail, *mail.rglob("*")):
            os.chown(path, account.pw_uid, account.pw_gid)


def _configuration(folder: Path, pki: Pki, variant: str, plain: int, tls: int) -> str:
    pki.expiring(5, 90)
    account = _account()
    certificate, key = pki.files("good")
    text = (CONFIGURATION + USERS).format(
        folder=folder,
        mechanisms=MECHANISMS,
        addresses=", ".join(persona.address for persona in PERSONAS.values()),
        user=account.pw_name,
        group=grp.getgrgid(account.pw_gid).gr_name,
        uid=account.pw_uid,
        gid=account.pw_gid,
        certificate=certificate,
        key=key,
        plain=plain,
        tls=tls,
    )
    text += VARIANTS[variant].format(
        folder=folder, ca_file=pki.ca_file, plain=plain, tls=tls, proxied=PROXIED
    )
    for persona in PERSONAS.values():
        certificate, key = pki.files(persona.certificate)
        settings = persona.settings
        if persona.alternative:
            other, other_key = pki.files(persona.alternative)
            settings += f"ssl_alt_cert = <{other}\nssl_alt_key = <{other_key}"
        text += (
            f"local {persona.address} {{\n"
            f"ssl_cert = <{certificate}\nssl_key = <{key}\n{settings}\n}}\n"
        )
    return in_syntax_of(version(), text)


def _start(folder: Path, pki: Pki, variant: str) -> tuple[Dovecot, subprocess.Popen[str]]:
    configuration = folder / "dovecot.conf"
    complaint = ""
    for _ in range(START_TRIES):
        plain, tls = random.sample(PORTS, 2)
        configuration.write_text(_configuration(folder, pki, variant, plain, tls))
        process = subprocess.Popen(
            _command("-F", "-c", configuration),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        if _is_up(process, plain, folder.name):
            return Dovecot(folder, plain, tls), process
        complaint = _stop(process)
    log = folder / "log"
    raise RuntimeError(f"{complaint}\n{log.read_text() if log.exists() else ''}")


def _stop(process: subprocess.Popen[str]) -> str:
    """End it with its children. Not by SIGTERM, for which Dovecot needs 6 s."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # The children hold the same pipe: it ends when all of them have ended.
    printed, _ = process.communicate(timeout=PATIENCE)
    return printed


def _is_up(process: subprocess.Popen[str], port: int, greeting: str) -> bool:
    """Whether it sends its greeting: every port is open before the first process serves one.

    An open port is no proof: Dovecot may have opened it before it failed, or it may belong to
    another program.
    """
    deadline = time.monotonic() + PATIENCE
    address = (PERSONAS["good"].address, port)
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(address, PATIENCE) as connection:
            # The timestamp of APOP follows.
            if connection.recv(1024).startswith(f"+OK {greeting} <".encode()):
                return True
        time.sleep(0.02)
    return False


def check_at(server: Dovecot, pki: Pki, persona: str, *args: str, tls: bool = True) -> Run:
    """Check one persona, on its TLS port or its plain-text port."""
    done = command.run(
        *("-H", HOST, "--connect-to", PERSONAS[persona].address),
        *("--ca-file", pki.ca_file),
        *(("-S", "-p", str(server.tls)) if tls else ("-p", str(server.plain))),
        *args,
    )
    assert done.err == ""
    return done
