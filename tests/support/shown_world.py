"""Servers behind the commands of the documents, in a network of their own.

`python -m tests.support.shown_world` reads a JSON list of steps `[SCENARIO, COMMAND, INPUT]` and
prints a JSON list of outputs. `tests.support.documents` starts it in namespaces of its own, in
which `/etc` is a folder with test files, pop.example.org is 192.0.2.25, and ports 110 and 995 are
free.
"""

from __future__ import annotations

import datetime
import json
import os
import shlex
import ssl
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import trustme

from tests.servers.scripted_server import (
    PoliteServer,
    ScriptedServer,
    Server,
    drain,
    expect,
    pause,
    say,
    silence,
    start_tls,
)
from tests.support.command import COMMAND

NAME = "pop.example.org"
HERE = "192.0.2.25"
POOL = ("192.0.2.1", "192.0.2.2")
USERS = {"monitor": "correct horse"}
HOSTS = f"""\
127.0.0.1 localhost
{HERE} {NAME}
{HERE} mail.example.org
{HERE} pop7.example.org
{POOL[0]} pool.example.org
{POOL[1]} pool.example.org
"""
SWEEP = """\
# Applies to all sections.
[DEFAULT]
ssl =
certificate = 25%,10%

[pop.example.org!POP3]

[pop.example.org!POP3 login]
username = monitor
password-file = /etc/nagios/pop3.secret
timeout = 20

[pop7.example.org!POP3]
port = 1995
"""

OPTIONS = """\
[pop.example.org]
hostname = pop.example.org
ssl =
certificate = 25%,10%
"""

SETUP = f"""
set -e
ip link set lo up
for address in {HERE} {" ".join(POOL)}; do ip addr add $address/32 dev lo; done
mount --bind {{folder}} /etc
exec {{again}}
"""


class Certificates:
    """An example CA and its server certificates."""

    def __init__(self) -> None:
        self.root = trustme.CA(organization_name="Example", organization_unit_name="Example CA")
        self._issuing = trustme.CA(self.root, 8, "Example", "Example Issuing CA")

    def server(
        self, left: float, name: str = NAME, sends_issuer: bool = True, direct: bool = True
    ) -> ssl.SSLContext:
        """Return a certificate of 90 days with `left` of them; more than 90: not valid yet."""
        now = datetime.datetime.now(datetime.timezone.utc)
        leaf = (self.root if direct else self._issuing).issue_cert(
            *(name, "pool.example.org"),
            common_name=name,
            organization_name="Example",
            organization_unit_name="Mail",
            not_before=now - datetime.timedelta(days=90 - left),
            not_after=now + datetime.timedelta(days=left),
        )
        sent = leaf.cert_chain_pems if sends_issuer else leaf.cert_chain_pems[:1]
        self.last = b"".join(each.bytes() for each in sent)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with trustme.Blob(leaf.private_key_pem.bytes() + self.last).tempfile() as file:
            context.load_cert_chain(file)
        return context


def prepare(folder: Path) -> None:
    """Fill the folder that is `/etc` for the commands."""
    for name in ("nagios", "check_pop3_plus", "ssl/certs"):
        (folder / name).mkdir(parents=True)
    (folder / "hosts").write_text(HOSTS)
    (folder / "host.conf").write_text("multi on\n")
    (folder / "resolv.conf").write_text("nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    (folder / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files dns\n")
    users = (("root", 0), ("nagios", 2000), ("nobody", 65534))
    (folder / "passwd").write_text("".join(f"{name}:x:{i}:{i}::/:/bin/sh\n" for name, i in users))
    (folder / "group").write_text("".join(f"{name}:x:{i}:\n" for name, i in users))
    for name in ("ld.so.cache", "ssl/openssl.cnf"):
        if (there := Path("/etc") / name).exists():
            (folder / name).write_bytes(there.read_bytes())
    secret = folder / "nagios/pop3.secret"
    secret.touch(mode=0o600)
    secret.write_text(USERS["monitor"] + "\n")
    (folder / "nagios/pop3.ini").write_text(OPTIONS)
    (folder / "check_pop3_plus/pop3-sweep.ini").write_text(SWEEP)


class World:
    """The certificates, and a context manager for each scenario."""

    def __init__(self) -> None:
        self.certificates = Certificates()
        trusted = self.certificates.root.cert_pem.bytes()
        Path("/etc/ssl/certs/ca-certificates.crt").write_bytes(trusted)
        self.good = self.certificates.server(63.4)
        self.expiring = self.certificates.server(13.9)
        Path("/etc/ssl/example-ca.pem").write_bytes(trusted)
        Path("/etc/ssl/renewed.pem").write_bytes(self.certificates.last)

    def polite(self, tls: ssl.SSLContext, address: str = HERE, **how: Any) -> list[Server]:
        how = {"users": USERS, "messages": 12, "octets": 34567, "address": address, **how}
        return [PoliteServer(tls=tls, port=995, **how), PoliteServer(stls=tls, port=110, **how)]

    def servers(self, scenario: str) -> list[Server]:
        """Return the servers of a scenario, which are not started yet."""
        made = self.certificates
        ready = say(b"+OK POP3 ready\r\n")
        one: dict[str, Callable[[], list[Server]]] = {
            "good": lambda: self.polite(self.good),
            "rejected": lambda: self.polite(self.good, users={}),
            "expiring": lambda: self.polite(self.expiring),
            "expired": lambda: self.polite(made.server(-2.5)),
            "not yet valid": lambda: self.polite(made.server(93.5)),
            "old tls": lambda: self.polite(_speaking_old_tls(made.server(63.4))),
            "injectable": lambda: [_injectable(self.good)],
            "slow": lambda: [_scripted(110, pause(1.2), ready, expect(b"QUIT"), say(b"+OK\r\n"))],
            "other name": lambda: self.polite(made.server(63.4, "mail.example.net")),
            "no intermediate": lambda: self.polite(
                made.server(63.4, sends_issuer=False, direct=False)
            ),
            "refused": list,
            "silent": lambda: [_scripted(110, silence()), _scripted(995, silence())],
            "filtered": lambda: [PoliteServer(USERS, tls=self.good, port=995, address=HERE)],
            "imap": lambda: [_scripted(110, say(b"* OK IMAP4rev1 ready\r\n"), drain())],
            "no tls": lambda: [PoliteServer(USERS, port=110, address=HERE)],
            "no goodbye": lambda: [_scripted(110, ready, expect(b"QUIT"), silence())],
            "pool": lambda: [
                *self.polite(self.good, POOL[0]),
                *self.polite(made.server(4.9), POOL[1]),
            ],
            "half a pool": lambda: self.polite(self.good, POOL[0]),
        }
        return one[scenario]()

    @contextmanager
    def scenario(self, name: str) -> Any:
        with ExitStack() as stack:
            if name == "filtered":
                _nft(
                    "add table inet shown",
                    "add chain inet shown in { type filter hook input priority 0; }",
                    "add rule inet shown in tcp dport 110 drop",
                )
                stack.callback(_nft, "delete table inet shown")
            for server in self.servers(name):
                stack.enter_context(server)
            yield


def _scripted(port: int, *steps: Any) -> Server:
    return ScriptedServer(steps, port=port, address=HERE)


def _speaking_old_tls(context: ssl.SSLContext) -> ssl.SSLContext:
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    return context


def _injectable(tls: ssl.SSLContext) -> Server:
    """Return a server that executes inside TLS what was sent together with STLS."""
    offer = (
        *(say(b"+OK POP3 ready\r\n"), expect(b"CAPA"), say(b"+OK\r\nUSER\r\nSTLS\r\n.\r\n")),
        *(expect(b"STLS"), say(b"+OK\r\n")),
    )
    listed = say(b"+OK\r\nUSER\r\n.\r\n")
    good = (*offer, start_tls(tls), expect(b"CAPA"), listed, expect(b"QUIT"), say(b"+OK\r\n"))
    bad = (offer[0], *offer[3:4], expect(b"CAPA"), *offer[4:], start_tls(tls), listed, drain())
    return ScriptedServer(scripts=[good, bad], port=110, address=HERE)


def _nft(*rules: str) -> None:
    for rule in rules:
        subprocess.run(["nft", rule], check=True)


def run(command: str, typed: str = "") -> str:
    """Return the output of a command; `typed` comes line by line, as by hand."""
    words = [
        str(COMMAND) if word.rpartition("/")[2] == COMMAND.name else word
        for word in shlex.split(command)
    ]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    with subprocess.Popen(
        words,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdin
        for line in typed.splitlines(keepends=True):
            time.sleep(0.3)
            process.stdin.write(line.encode())
            process.stdin.flush()
        return process.communicate(timeout=60)[0].decode()


def main() -> None:
    world = World()
    outputs, open_name, stack = [], None, ExitStack()
    for scenario, command, typed in json.load(sys.stdin):
        if scenario != open_name:
            stack.close()
            stack.enter_context(world.scenario(scenario))
            open_name = scenario
        outputs.append(run(command, typed))
    stack.close()
    json.dump(outputs, sys.stdout)


if __name__ == "__main__":
    main()
