"""Demonstrate the installed command against test servers, or against another server.

`make demo` runs it; the variables HOST, LOGIN and PASSWORD_FILE select a server and a login.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import tempfile
from pathlib import Path

from tests.pki.certificates import Pki
from tests.servers.scripted_server import PoliteServer, dead_port
from tests.support.command import run

STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")

ANSWERING = "up and answering"
LOGIN = "this user can log in"
CERTIFICATE = "certificate verified, on the TLS port"
EXPIRY = "the same, and good for 60 days more"


def show(what: str, *args: str, state: str | None = None, folder: Path | None = None) -> bool:
    """Run the plugin and print everything. Return whether it ended in `state`."""
    print(f"# {what}" + (f": {state}" if state else ""))
    print(f"$ {shlex.join(['check_pop3_plus', *args])}", flush=True)
    done = run(*args, cwd=folder)
    print(done.out + done.err, end="")
    ended = STATES[done.code] if 0 <= done.code < len(STATES) else "no state of a plugin"
    print(f"exit code {done.code} ({ended})\n", flush=True)
    return state in (None, ended)


def against_own_servers(folder: Path) -> bool:
    """Show every kind of result. Return whether all were the announced ones."""
    pki = Pki(folder)
    good = pki.server("good")
    for name, secret in (("password", "correct horse"), ("wrong-password", "battery staple")):
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(f"{secret}\n")
    users = {"monitor": "correct horse"}
    with (
        PoliteServer(users, stls=good) as plain,
        PoliteServer(users, tls=good) as tls,
        PoliteServer(users, tls=pki.expiring(13.5)) as expiring,
        dead_port() as dead,
    ):

        def shown(what: str, state: str, port: int, *args: str) -> bool:
            # -4 because these servers have no IPv6 address, while `localhost` may have one.
            target = ("-H", "localhost", "-p", str(port), "-4")
            return show(what, *target, *args, state=state, folder=folder)

        with_tls = ("-S", "--ca-file", "ca.pem")
        monitor = ("-U", "monitor", "--password-file")
        return all(
            [
                shown(ANSWERING, "OK", plain.port),
                shown(LOGIN, "OK", tls.port, *with_tls, *monitor, "password"),
                shown(CERTIFICATE, "OK", tls.port, *with_tls),
                shown(EXPIRY, "OK", tls.port, *with_tls, "-D", "60"),
                shown(
                    "the same login, TLS begun on the plain port by STLS",
                    "OK",
                    plain.port,
                    *("--starttls", "--ca-file", "ca.pem", *monitor, "password"),
                ),
                shown(
                    "a certificate about to expire",
                    "WARNING",
                    expiring.port,
                    *(*with_tls, "-D", "60"),
                ),
                shown(
                    "a rejected login",
                    "CRITICAL",
                    tls.port,
                    *(*with_tls, *monitor, "wrong-password"),
                ),
                shown("nobody listens", "CRITICAL", dead),
            ]
        )


def against(host: str, login: str | None, password_file: str | None) -> None:
    """Show the four common uses; any result is accepted."""
    show(ANSWERING, "-H", host)
    if login and password_file:
        show(LOGIN, "-H", host, "-S", "-U", login, "--password-file", password_file)
    else:
        print(f"# {LOGIN}: skipped, it needs LOGIN and PASSWORD_FILE\n")
    show(CERTIFICATE, "-H", host, "-S")
    show(EXPIRY, "-H", host, "-S", "-D", "60")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.demo", allow_abbrev=False)
    parser.add_argument("--host", default=os.environ.get("HOST"))
    parser.add_argument("--login", default=os.environ.get("LOGIN"))
    parser.add_argument("--password-file", default=os.environ.get("PASSWORD_FILE"))
    options = parser.parse_args()
    if options.host:
        against(options.host, options.login, options.password_file)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        return 0 if against_own_servers(Path(folder)) else 1


if __name__ == "__main__":
    sys.exit(main())
