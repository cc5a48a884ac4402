"""The shipped objects inside a real Nagios Core 4, against a real Dovecot, and through NRPE."""

from __future__ import annotations

import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.pki.certificates import Pki
from tests.servers.dovecot import PASSWORDS, PERSONAS, Dovecot
from tests.servers.nagios import SAMPLE, TEMPLATES, Nagios
from tests.servers.scripted_server import PoliteServer, dead_port
from tests.support.command import COMMAND

pytestmark = pytest.mark.real

OK, WARNING, CRITICAL, UNKNOWN = range(4)
NAME = "pop.example.org"

NRPE_TEMPLATE = TEMPLATES.parent / "nrpe" / "pop3.cfg"
NRPE = shutil.which("nrpe", path=f"{os.environ['PATH']}:/usr/sbin")
CHECK_NRPE = Path("/usr/lib/nagios/plugins/check_nrpe")
DEBIAN = Path("/etc/nagios4/objects")


def test_shipped_objects_are_valid(tmp_path: Path) -> None:
    """Nagios accepts them, with the example unchanged, without warnings."""
    said = Nagios(tmp_path, SAMPLE).validate()

    assert "Total Warnings: 0\nTotal Errors:   0\n" in said, said


def test_shipped_objects_do_not_conflict_with_debian(tmp_path: Path) -> None:
    """Debian's configuration uses none of their names."""
    names = ("commands", "contacts", "templates", "timeperiods")
    present = [path for name in names if (path := DEBIAN / f"{name}.cfg").exists()]
    more = "".join(f"cfg_file={path}\n" for path in present)
    said = Nagios(tmp_path, SAMPLE, more).validate()

    assert "Total Errors:   0\n" in said, said
    assert "already been defined" not in said
    assert len(present) in (0, len(names))


class Hosts:
    """Hosts like the one of the example, each with its own name and server."""

    def __init__(self, folder: Path, pki: Pki) -> None:
        self._folder = folder
        self._pki = pki
        self.text = ""

    def add(self, name: str, persona: str, port: int, password: str = PASSWORDS["monitor"]) -> None:
        secret = self._folder / f"{name}.secret"
        secret.touch(mode=0o600)
        secret.write_text(password)
        text = SAMPLE.replace(NAME, name)
        for shipped, ours in {
            f"address                {name}": f"address {PERSONAS[persona].address}",
            "_POP3                  -S\n": (
                f"_POP3 -S -p {port} --sni pop.example.test --ca-file {self._pki.ca_file}\n"
            ),
            "/etc/nagios4/pop3.secret": str(secret),
        }.items():
            assert shipped in text
            text = text.replace(shipped, ours)
        self.text += text


def test_checks_and_notifications_of_three_servers(
    tmp_path: Path, dovecot: Dovecot, pki: Pki
) -> None:
    """The right states, and one mail per state change to the right contact."""
    hosts = Hosts(tmp_path, pki)
    with dead_port() as port:
        hosts.add("good.example.org", "good", dovecot.tls)
        hosts.add("down.example.org", "good", port)
        hosts.add("bad.example.org", "expiring", dovecot.tls, "my wrong secret")
        with Nagios(tmp_path, hosts.text) as nagios:
            good = [
                nagios.wait_for_state("good.example.org", service, OK)
                for service in ("POP3", "POP3 login", "POP3 certificate")
            ]
            nagios.wait_for_state("down.example.org", "POP3", CRITICAL)
            nagios.wait_for_state("bad.example.org", "POP3", OK)
            login = nagios.wait_for_state("bad.example.org", "POP3 login", CRITICAL)
            certificate = nagios.wait_for_state("bad.example.org", "POP3 certificate", CRITICAL)
            # One immediately, two after delay and retries, and the escalation after 30 seconds to
            # two contacts.
            nagios.wait_for(lambda: len(nagios.mails()) >= 5, "five mails")
            time.sleep(6)
            mails = nagios.mails()

    assert "answered in" in good[0]["plugin_output"]
    perfdata = [status["performance_data"] for status in good]
    assert perfdata[0].startswith("time=")
    assert " messages=3;" in perfdata[1]
    assert re.search(r" cert_days=36\d\.\d\d;9\d\.\d+:;3\d\.\d+:", perfdata[2])
    assert "login of monitor rejected" in login["plugin_output"]
    assert "kind: credentials" in login["long_plugin_output"]
    assert "expires in 4 days" in certificate["plugin_output"]

    subjects = [mail["Subject"].partition(" - PROBLEM: ") for mail in mails]
    seen = sorted((mail["To"], what) for mail, (_, _, what) in zip(mails, subjects, strict=True))
    problem = "POP3{} on {}.example.org is CRITICAL"
    assert seen == [
        ("root@localhost", problem.format(*what))
        for what in (
            (" certificate", "bad"),
            (" login", "bad"),
            ("", "down"),
            ("", "down"),
            ("", "down"),
        )
    ]
    for mail, (reason, _, _) in zip(mails, subjects, strict=True):
        assert mail.get_content().startswith(f"{reason}\nservice: ")
        assert "comment by" not in mail.get_content()
    texts = {mail["Subject"].partition(": POP3 ")[2]: mail.get_content() for mail in mails}
    rejected = texts["login on bad.example.org is CRITICAL"]
    assert any(line.startswith("kind: credentials") for line in rejected.splitlines()[:9])
    assert "\ntranscript: C: PASS ***\n" in rejected
    assert "my wrong secret" not in f"{rejected}{login}"


def test_user_name_with_special_characters_arrives(tmp_path: Path) -> None:
    """From an INI file, as `docs/other-monitoring.md` says; in an argument they would be lost."""
    user = "o'brien $HOME;!a`b`|c&d"
    secret, options = tmp_path / "secret", tmp_path / "pop3.ini"
    secret.touch(mode=0o600)
    secret.write_text("s3cret\n")
    options.write_text(f"[customer]\nusername = {user}\npassword-file = {secret}\n")
    login = f"_POP3_LOGIN --allow-insecure-login --extra-opts=customer@{options}"
    with PoliteServer({user: "s3cret"}) as server:
        hosts = SAMPLE.replace(f"address                {NAME}", "address 127.0.0.1")
        hosts = hosts.replace("_POP3                  -S\n", f"_POP3 -p {server.port}\n")
        hosts = re.sub("_POP3_LOGIN  .*", lambda _: login, hosts)
        with Nagios(tmp_path, hosts) as nagios:
            status = nagios.wait_for_state(NAME, "POP3 login", OK)

    assert "answered in" in status["plugin_output"]
    assert any(f"USER {user}".encode() in each for each in server.dialogues), server.dialogues


# NRPE.


def limits() -> list[float]:
    """Return the limits of the shipped files from the inside out: plugin, NRPE, check_nrpe."""
    inner = NRPE_TEMPLATE.read_text()
    commands = (TEMPLATES / "pop3_commands.cfg").read_text()
    plugin = {float(limit) for limit in re.findall(r"--run-timeout (\d+)", inner)}
    assert len(plugin) == 1
    daemon = re.search(r"^command_timeout=(\d+)$", inner, re.MULTILINE)
    client = re.search(r"/check_nrpe .*-t (\d+)", commands)
    assert daemon
    assert client
    return [*plugin, float(daemon[1]), float(client[1])]


@contextmanager
def nrpe(folder: Path, port: int) -> Iterator[None]:
    """Run NRPE with the shipped file, changed only where the plugin and the server are."""
    if NRPE is None or not CHECK_NRPE.exists():
        asked_for = os.environ.get("CI") == "true" or os.environ.get("INSTALL") == "1"
        message = "NRPE is missing (make test-systems INSTALL=1, as root on Debian)"
        (pytest.fail if asked_for else pytest.skip)(message)
    shipped = NRPE_TEMPLATE.read_text()
    plugin = "/usr/lib/nagios/plugins/check_pop3_plus -H pop.example.org -S"
    assert plugin in shipped
    # NRPE refuses to run as root, and other users may be unable to read this checkout.
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
    appear = ["unshare", "--user", f"--map-user={user.pw_uid}", f"--map-group={user.pw_gid}"]
    config = folder / "nrpe.cfg"
    config.write_text(
        f"server_address=127.0.0.1\nserver_port={port}\npid_file={folder}/pid\n"
        f"nrpe_user={user.pw_uid}\nnrpe_group={user.pw_gid}\nallowed_hosts=127.0.0.1\n"
        + shipped.replace(plugin, str(folder / "plugin"))
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*(appear if os.geteuid() == 0 else []), NRPE, "-c", config, "-f"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        end = time.monotonic() + 10
        while True:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            assert time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.05)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_nrpe_time_limits_increase_outwards() -> None:
    """Each limit is longer than the one inside it; Nagios has 60 seconds."""
    assert [*limits(), 60] == sorted({*limits(), 60})


def test_silent_server_through_nrpe_shows_plugin_output(tmp_path: Path) -> None:
    """Not a timeout of NRPE."""
    command = re.search(r"(?<=/)check_nrpe .*", (TEMPLATES / "pop3_commands.cfg").read_text())
    assert command
    port = 20000 + os.getpid() % 10000
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        plugin = tmp_path / "plugin"
        plugin.write_text(
            f'#!/bin/sh\nexec {COMMAND} -H 127.0.0.1 -p {silent.getsockname()[1]} "$@"\n'
        )
        plugin.chmod(0o755)
        words = {"$HOSTADDRESS$": "127.0.0.1", "$ARG1$": "check_pop3"}
        asked = [words.get(word, word) for word in shlex.split(command[0])[1:]]
        with nrpe(tmp_path, port):
            began = time.monotonic()
            done = subprocess.run(
                [CHECK_NRPE, "-p", str(port), *asked],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            seconds = time.monotonic() - began

    assert done.returncode == CRITICAL, done.stdout
    assert done.stdout.startswith("POP3 CRITICAL - ")
    assert "\nkind: timeout, in phase greeting\n" in done.stdout
    assert seconds < limits()[0]
