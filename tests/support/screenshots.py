"""Take the pictures of the README: `make screenshots`, as root on Debian.

All programs are real: Dovecot, the plugin, Icinga 2 with the shipped files, Icinga DB, Icinga Web 2
and a browser. They run in their own namespaces, with reserved names and addresses, free ports and
no access to other networks, and end with them.
"""

from __future__ import annotations

import base64
import datetime
import json
import os
import pwd
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import trustme

from tests.servers.icinga2 import MASTER, Icinga, Node, dsl

IMAGES = Path(__file__).parent.parent.parent / "images"
INSIDE = "SCREENSHOTS_INSIDE"
SEARCH = "/usr/sbin:/usr/bin:/sbin:/bin"
WEB = "127.0.0.1:8080"
SECRET = "correct horse"

# Name, address, and whether it sends its intermediate certificate.
SERVERS = {"pop.example.org": ("192.0.2.25", True), "mail.example.org": ("192.0.2.26", False)}

PROGRAMS = (
    *("dovecot", "icinga2", "icingadb", "icingacli", "mariadbd", "redis-server", "chromium"),
    *("pngquant", "optipng", "unshare", "ip"),
)

# File name, host, service, and the visible part of the page.
PICTURES = (
    ("icinga-ok", "pop.example.org", "Customer mail login", 868),
    ("icinga-critical", "mail.example.org", "Customer mail", 936),
)

SETUP = """
ip link set lo up
{addresses}
mount --bind {folder}/hosts /etc/hosts
mount --bind {folder}/icinga2 /etc/icinga2
hostname monitor.example.org
exec {again}
"""

DOVECOT = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = pop3
listen = {addresses}
default_internal_user = {user}
default_login_user = {user}
default_internal_group = {user}
first_valid_uid = 1
mail_location = maildir:{folder}/mail/%u
ssl = yes
service anvil {{
  chroot =
}}
service stats {{
  chroot =
}}
service pop3-login {{
  chroot =
}}
passdb {{
  driver = passwd-file
  args = {folder}/passwd
}}
userdb {{
  driver = static
  args = uid={user} gid={user} home={folder}/mail/%u
}}
"""
DOVECOT_SERVER = """
local {address} {{
  ssl_cert = <{folder}/{name}.pem
  ssl_key = <{folder}/{name}.key
}}
"""

ICINGADB = """
database: {{host: 127.0.0.1, port: 3306, database: icingadb, user: icingadb, password: icingadb}}
redis: {{host: 127.0.0.1, port: 6380}}
logging: {{output: console}}
"""
OBJECTS = """
object IcingaDB "icingadb" {{ host = "127.0.0.1", port = 6380 }}
object User "icingaadmin" {{ }}
{hosts}
"""
HOST = """
object Host "{name}" {{
  import "pop3-host"
  zone = "{zone}"
  address = "{address}"
  vars.pop3["Customer mail"] = {check}
}}
"""

ICINGAWEB = {
    "config.ini": """
[global]
show_stacktraces = "1"
config_resource = "icingaweb"
[logging]
log = "file"
file = "{folder}/icingaweb2.log"
level = "ERROR"
""",
    "resources.ini": """
[icingadb]
type = "db"
db = "mysql"
host = "127.0.0.1"
port = "3306"
dbname = "icingadb"
username = "icingadb"
password = "icingadb"
charset = "utf8mb4"
[icingaweb]
type = "db"
db = "mysql"
host = "127.0.0.1"
port = "3306"
dbname = "icingaweb"
username = "icingadb"
password = "icingadb"
charset = "utf8mb4"
""",
    "authentication.ini": '[autologin]\nbackend = "external"\n',
    "roles.ini": '[Administrators]\nusers = "icingaadmin"\npermissions = "*"\n',
    "modules/icingadb/config.ini": '[icingadb]\nresource = "icingadb"\n[redis]\ntls = "0"\n',
    "modules/icingadb/redis.ini": '[redis1]\nhost = "127.0.0.1"\nport = "6380"\n',
}
SQL = """
CREATE DATABASE icingadb CHARACTER SET utf8mb4;
CREATE DATABASE icingaweb CHARACTER SET utf8mb4;
CREATE USER icingadb@'127.0.0.1' IDENTIFIED BY 'icingadb';
GRANT ALL ON icingadb.* TO icingadb@'127.0.0.1';
GRANT ALL ON icingaweb.* TO icingadb@'127.0.0.1';
USE icingadb;
SOURCE /usr/share/icingadb/schema/mysql/schema.sql;
USE icingaweb;
SOURCE /usr/share/icingaweb2/schema/mysql.schema.sql;
"""


def main() -> int:
    images = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    images.mkdir(exist_ok=True)
    missing = [name for name in PROGRAMS if not shutil.which(name, path=SEARCH)]
    if missing or os.geteuid():
        print(f"needs root (make screenshots INSTALL=1, on Debian); missing: {missing}")
        return 1
    if os.environ.get(INSIDE):
        take(Path(os.environ[INSIDE]), images)
        return 0
    with tempfile.TemporaryDirectory(prefix="screenshots-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "icinga2").mkdir()
        hosts = (f"{address} {server}\n" for server, (address, _) in SERVERS.items())
        (folder / "hosts").write_text("127.0.0.1 localhost\n" + "".join(hosts))
        addresses = (f"ip addr add {address}/32 dev lo" for address, _ in SERVERS.values())
        script = SETUP.format(
            folder=folder,
            addresses="\n".join(addresses),
            again=shlex.join(
                [sys.executable, "-m", "tests.support.screenshots", str(images.resolve())]
            ),
        )
        # With a PID namespace, in which no process outlives the first one.
        unshare = ["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "--kill-child"]
        return subprocess.run(
            [*unshare, "--mount-proc", "sh", "-ec", script],
            env={"PATH": SEARCH, "LC_ALL": "C.UTF-8", INSIDE: name},
            stdin=subprocess.DEVNULL,
            check=False,
        ).returncode


def take(folder: Path, images: Path) -> None:
    """Start everything, run all checks, and take the pictures."""
    serve_mail(folder)
    start_database(folder)
    start(folder, "redis", "redis-server", "--port", "6380", "--bind", "127.0.0.1", "--save", "")
    wait("Redis", lambda: quiet("redis-cli", "-p", "6380", "ping"))
    (folder / "icinga").mkdir()
    with Icinga(folder / "icinga").node(objects()) as node:
        (folder / "icingadb.yml").write_text(ICINGADB.format())
        start(folder, "icingadb", "icingadb", "-c", folder / "icingadb.yml")
        start_web(folder)
        for service in node.services():
            node.check(service)
        wait("Icinga DB", lambda: synchronized(folder, node))
        shoot(folder, images)


def serve_mail(folder: Path) -> None:
    """Start Dovecot on both addresses, with certificates of an example CA."""
    root = trustme.CA(organization_name="Example", organization_unit_name="Example Root CA")
    issuer = trustme.CA(root, 8, "Example", "Example Issuing CA")
    (folder / "icinga2" / "ca.pem").write_bytes(root.cert_pem.bytes())
    secret = folder / "icinga2" / "pop3.secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET)
    mail = folder / "dovecot"
    user = pwd.getpwnam("dovecot").pw_name
    for part in ("cur", "new", "tmp"):
        (mail / "mail" / "monitor" / part).mkdir(parents=True)
    for number in range(12):
        message = mail / "mail" / "monitor" / "cur" / f"1700000000.M{number}P1.example:2,"
        message.write_text("From: a@example.org\nSubject: example\n\n" + "example\n" * 200)
    (mail / "passwd").write_text(f"monitor:{{PLAIN}}{SECRET}::::::\n")
    text = DOVECOT.format(
        folder=mail, user=user, addresses=", ".join(address for address, _ in SERVERS.values())
    )
    now = datetime.datetime.now(datetime.timezone.utc)
    for name, (address, good) in SERVERS.items():
        leaf = (root if good else issuer).issue_cert(
            name,
            common_name=name,
            organization_name="Example",
            organization_unit_name="Mail",
            not_before=now - datetime.timedelta(days=26.5),
            not_after=now + datetime.timedelta(days=63.5),
        )
        (mail / f"{name}.pem").write_bytes(leaf.cert_chain_pems[0].bytes())
        (mail / f"{name}.key").write_bytes(leaf.private_key_pem.bytes())
        text += DOVECOT_SERVER.format(address=address, folder=mail, name=name)
    (mail / "dovecot.conf").write_text(text)
    for path in (mail, *mail.rglob("*")):
        shutil.chown(path, user, user)
    start(folder, "dovecot", "dovecot", "-F", "-c", mail / "dovecot.conf")


def start_database(folder: Path) -> None:
    data = folder / "mysql"
    data.mkdir()
    shutil.chown(data, "nobody")
    subprocess.run(
        [
            *("mariadb-install-db", "--no-defaults", "--user=nobody", f"--datadir={data}"),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
        ],
        check=True,
        capture_output=True,
    )
    socket = data / "socket"
    start(
        *(folder, "mariadb", "mariadbd", "--no-defaults", "--user=nobody", f"--datadir={data}"),
        *(f"--socket={socket}", "--bind-address=127.0.0.1", f"--pid-file={data}/pid"),
    )
    client = ["mariadb", "--no-defaults", "-S", str(socket), "-uroot"]
    wait("MariaDB", lambda: quiet(*client, "-e", "SELECT 1"))
    subprocess.run(client, input=SQL, text=True, check=True)


def objects() -> str:
    """Return the two hosts, as in the README of the templates."""
    hosts = ""
    for name, (address, good) in SERVERS.items():
        check: dict[str, object] = {
            "hostname": name,
            "ssl": True,
            "ca_file": "/etc/icinga2/ca.pem",
            "sensitivity": "very-high",
            "warning": 2,
            "critical": 5,
            "diagnose": True,
            "users": ["icingaadmin"],
        }
        if good:
            check |= {"username": "monitor", "password_file": "/etc/icinga2/pop3.secret"}
        hosts += HOST.format(name=name, zone=MASTER, address=address, check=dsl(check))
    return OBJECTS.format(hosts=hosts)


def start_web(folder: Path) -> None:
    web = folder / "icingaweb2"
    for name, text in ICINGAWEB.items():
        path = web / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.format(folder=folder))
    (web / "enabledModules").mkdir()
    (web / "enabledModules" / "icingadb").symlink_to("/usr/share/icingaweb2/modules/icingadb")
    start(
        *(folder, "web", "icingacli", "web", "serve", f"--listen={WEB}"),
        environment={"ICINGAWEB_CONFIGDIR": str(web), "REMOTE_USER": "icingaadmin"},
    )
    wait("Icinga Web 2", lambda: bool(urlopen(f"http://{WEB}/icingadb/services").read()))


def synchronized(folder: Path, node: Node) -> bool:
    """Return whether the database has a state for each service."""
    socket = folder / "mysql" / "socket"
    sql = "SELECT COUNT(*) FROM icingadb.service_state WHERE is_reachable IS NOT NULL"
    found = subprocess.run(
        ["mariadb", "--no-defaults", "-S", socket, "-uroot", "-N", "-e", sql],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(found.stdout) == len(node.services())


class Browser:
    """A headless Chromium, controlled through two pipes (--remote-debugging-pipe)."""

    def __init__(self, folder: Path) -> None:
        pipes = folder / "to-browser", folder / "from-browser"
        for pipe in pipes:
            os.mkfifo(pipe)
        options = (
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
            *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
            *(f"--user-data-dir={folder}/browser", "--hide-scrollbars", "--remote-debugging-pipe"),
        )
        redirected = 'to=$1 from=$2; shift 2; exec chromium "$@" 3<"$to" 4>"$from"'
        start(folder, "chromium", "sh", "-c", redirected, "sh", *pipes, *options)
        self._to, self._from = pipes[0].open("wb"), pipes[1].open("rb")
        self._calls = 0
        self._session: dict[str, str] = {}
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        session = self._call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = {"sessionId": session["sessionId"]}

    def shoot(self, url: str, width: int, height: int) -> bytes:
        """Return a picture of a page of Icinga Web 2, with all of the plugin's output unfolded."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)
        self._call("Page.navigate", url=url)
        wait("the page", lambda: bool(self._evaluate("!!document.querySelector('.plugin-output')")))
        time.sleep(2)  # the layout of Icinga Web 2 is still changing
        unfold = "[id^=check-output] + .collapsible-control"
        self._evaluate(f"document.querySelector('{unfold}')?.click()")
        time.sleep(2)
        return base64.b64decode(self._call("Page.captureScreenshot")["data"])

    def _evaluate(self, script: str) -> object:
        return self._call("Runtime.evaluate", expression=script)["result"].get("value")

    def _call(self, method: str, **parameters: object) -> dict[str, Any]:
        self._calls += 1
        call = {"id": self._calls, "method": method, "params": parameters, **self._session}
        self._to.write(json.dumps(call).encode() + b"\0")
        self._to.flush()
        while True:
            answer = b"".join(iter(lambda: self._from.read(1), b"\0"))
            message = json.loads(answer)
            if message.get("id") == self._calls:
                assert "result" in message, message
                result: dict[str, Any] = message["result"]
                return result


def shoot(folder: Path, images: Path) -> None:
    browser = Browser(folder)
    for name, server, service, height in PICTURES:
        url = f"http://{WEB}/icingadb/service?name={quote(service)}&host.name={quote(server)}"
        image = images / f"{name}.png"
        image.write_bytes(browser.shoot(url, 1000, height))
        subprocess.run(["pngquant", "--force", "--ext", ".png", image], check=True)
        subprocess.run(["optipng", "-quiet", image], check=True)
        print(f"{image}: {image.stat().st_size // 1024} KiB")


def start(
    folder: Path, name: str, *command: str | Path, environment: dict[str, str] | None = None
) -> None:
    """Start a background process, and keep its output."""
    with (folder / f"{name}.out").open("wb") as output:
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | (environment or {}),
            cwd=folder,
        )


def quiet(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def wait(what: str, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while True:
        try:
            if condition():
                return
        except OSError:
            pass
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
