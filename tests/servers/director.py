"""A private Icinga Director with a private Icinga 2: independent of the machine's configuration."""

from __future__ import annotations

import itertools
import json
import os
import pwd
import secrets
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import pytest

from tests.servers.icinga2 import MASTER, Icinga, Node
from tests.support.director_basket import BASKET

PATH = f"{os.environ['PATH']}:/usr/sbin"
PROGRAMS = ("mariadbd", "mariadb", "mariadb-install-db", "php", "icingacli")
MODULES = Path("/usr/share/icingaweb2/modules")
NEEDED = ("incubator", "reactbundle", "director")

# The Director needs this in addition to the zone of a master.
ZONE = 'object Zone "director-global" { global = true }\n'
API_USER = """
object ApiUser "director" {{
  password = "{password}"
  permissions = [ "*" ]
}}
"""

WEB = """
[global]
config_backend = "ini"
[logging]
log = "file"
file = "{folder}/icingaweb2.log"
level = "ERROR"
"""
RESOURCES = """
[director_db]
type = "db"
db = "mysql"
host = "localhost"
dbname = "director"
username = "director"
password = "{password}"
charset = "utf8"
"""
KICKSTART = """
[config]
endpoint = "{endpoint}"
host = "127.0.0.1"
port = {port}
username = "director"
password = "{password}"
"""

SQL = """
CREATE DATABASE director CHARACTER SET utf8;
CREATE USER director@localhost IDENTIFIED BY '{password}';
GRANT ALL ON director.* TO director@localhost;
"""


class Director:
    """The Director's command line, its database, and the Icinga 2 that it configures."""

    def __init__(self, folder: Path, node: Node) -> None:
        self.node = node
        self._folder = folder

    def run(self, *arguments: str, stdin: IO[bytes] | None = None) -> str:
        """Run a command of the Director to its end, and return its output."""
        program = shutil.which("icingacli", path=PATH)
        assert program
        done = subprocess.run(
            [
                *("php", "-d", f"pdo_mysql.default_socket={self._folder}/socket"),
                *(program, "director", *arguments),
            ],
            stdin=stdin or subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={"PATH": PATH, "LC_ALL": "C.UTF-8", "ICINGAWEB_CONFIGDIR": f"{self._folder}/web"},
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def restore(self) -> None:
        """Restore the shipped basket, as an administrator does."""
        with BASKET.open("rb") as basket:
            self.run("basket", "restore", stdin=basket)

    def create(self, kind: str, name: str, **properties: object) -> None:
        self.run(kind, "create", name, "--json", json.dumps(properties))

    def count(self, table: str) -> int:
        """Return how many rows a table of the database has, without log entries of no change."""
        # Director 1.11 logs such an entry of the service set at each restore, in another order.
        where = (
            " WHERE NOT JSON_NORMALIZE(old_properties) <=> JSON_NORMALIZE(new_properties)"
            if table == "director_activity_log"
            else ""
        )
        return int(_query(self._folder, f"SELECT COUNT(*) FROM director.{table}{where}"))

    def tables(self) -> list[str]:
        return _query(self._folder, "SHOW TABLES FROM director").split()

    def follow(self, commands: str) -> None:
        """Run commands of the Director as in the README."""
        words = shlex.split(commands)
        starts = [at for at, word in enumerate(words) if word == "icingacli"]
        for start, end in itertools.pairwise([*starts, len(words)]):
            self.run(*words[start + 2 : end])

    def wait_for_services(self, names: Collection[str]) -> None:
        """Wait until Icinga has restarted with these services after a deployment."""
        deadline = time.monotonic() + 30
        while True:
            # During the restart nothing may be listening.
            with suppress(OSError):
                if set(names) <= set(self.node.services()):
                    return
            assert time.monotonic() < deadline, self.run("config", "deploymentstatus")
            time.sleep(0.1)


@contextmanager
def running(icinga: Icinga) -> Iterator[Director]:
    """Run a Director with an empty database, after its kickstart."""
    require()
    password = secrets.token_hex()
    # Not below pytest's directory: sockets need a short path.
    folder = Path(tempfile.mkdtemp(prefix="director-"))
    try:
        with _database(folder, password):
            _furnish(folder, password, icinga.ports[MASTER])
            objects = ZONE + API_USER.format(password=password)
            # Without the files for Icinga 2, which define the same command.
            with icinga.node(objects, zones={}) as node:
                director = Director(folder, node)
                director.run("migration", "run")
                director.run("kickstart", "run")
                yield director
    finally:
        shutil.rmtree(folder)


def require() -> None:
    """Skip the test if a program is missing, or fail it in CI."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]
    missing += [name for name in NEEDED if not (MODULES / name).is_dir()]
    if missing:
        message = (
            f"Icinga Director is missing: {', '.join(missing)}"
            " (make test-systems INSTALL=1, as root on Debian)"
        )
        if os.environ.get("CI") == "true" or os.environ.get("INSTALL") == "1":
            pytest.fail(message)
        pytest.skip(message)


@contextmanager
def _database(folder: Path, password: str) -> Iterator[None]:
    """Run a MariaDB on a Unix socket that only this user can access."""
    options = [
        "--no-defaults",
        f"--datadir={folder}/data",
        f"--user={pwd.getpwuid(os.geteuid()).pw_name}",
    ]
    _run("mariadb-install-db", *options, "--auth-root-authentication-method=normal")
    program = shutil.which("mariadbd", path=PATH)
    assert program
    log = folder / "mariadb.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                *(program, *options, "--skip-networking", "--innodb-flush-log-at-trx-commit=0"),
                *(f"--socket={folder}/socket", f"--pid-file={folder}/pid"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + 20
        while not (folder / "socket").exists():
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        _query(folder, SQL.format(password=password))
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _furnish(folder: Path, password: str, port: int) -> None:
    """Write the configuration of Icinga Web, of which the Director is a module."""
    web = folder / "web"
    (web / "enabledModules").mkdir(parents=True)
    (web / "modules" / "director").mkdir(parents=True)
    for name in NEEDED:
        (web / "enabledModules" / name).symlink_to(MODULES / name)
    (web / "config.ini").write_text(WEB.format(folder=folder))
    (web / "resources.ini").write_text(RESOURCES.format(password=password))
    (web / "modules" / "director" / "config.ini").write_text('[db]\nresource = "director_db"\n')
    (web / "modules" / "director" / "kickstart.ini").write_text(
        KICKSTART.format(endpoint=MASTER, port=port, password=password)
    )


def _query(folder: Path, sql: str) -> str:
    return _run(
        *("mariadb", "--no-defaults", f"--socket={folder}/socket", "--user=root"),
        *("--skip-column-names", f"--execute={sql}"),
    )


def _run(name: str, *arguments: str) -> str:
    program = shutil.which(name, path=PATH)
    assert program
    done = subprocess.run(
        [program, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout
