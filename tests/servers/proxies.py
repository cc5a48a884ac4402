"""Private proxies in front of a real Dovecot: nginx, HAProxy and perdition.

Each proxy has its own configuration and directory. A listener for each situation has a name, and
its own port on loopback.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NoReturn

import pytest

from tests.pki.certificates import Pki
from tests.servers.chroots import free_ports, is_open
from tests.servers.dovecot import PATIENCE, PERSONAS, PROXIED, Dovecot

Ports = Mapping[str, int]
"""The port of each listener, by its name."""

_PATH = f"{os.environ['PATH']}:/usr/sbin"

_NGINX_MODULE = Path("/usr/lib/nginx/modules/ngx_mail_module.so")
_NGINX = """
load_module {module};
daemon off;
pid {folder}/pid;
error_log {folder}/log info;
events {{
}}
mail {{
  proxy_pass_error_message on;
  ssl_certificate {certificate};
  ssl_certificate_key {key};
  ssl_client_certificate {ca_file};
{servers}
}}
"""

# The answer of the authentication server, whether TLS comes first, and more settings.
_NGINX_LISTENERS = {
    "tls": ("good", True, ""),
    "stls": ("good", False, "starttls on;"),
    "starttls-only": ("good", False, "starttls only;"),
    "client-certificate": ("good", True, "ssl_verify_client on;"),
    "client-certificate-stls": ("good", False, "starttls on; ssl_verify_client on;"),
    # The default protocols of nginx before 1.23 end at TLS 1.2.
    "client-certificate-1.3": ("good", True, "ssl_verify_client on; ssl_protocols TLSv1.3;"),
    "client-certificate-stls-1.3": (
        "good",
        False,
        "starttls on; ssl_verify_client on; ssl_protocols TLSv1.3;",
    ),
    # The default: the words of the server behind are replaced by "internal server error".
    "no-error-message": ("good", True, "proxy_pass_error_message off;"),
    "dead": ("dead", True, ""),
    "rejects": ("rejects", True, ""),
    "rate-limit": ("rate-limit", True, ""),
    "error": ("error", True, ""),
    "hangs": ("hangs", True, "auth_http_timeout 1s;"),
    "no-answer": ("", True, ""),
}

_HAPROXY = """
defaults
  mode tcp
  timeout connect 3s
  timeout client 30s
  timeout server 30s
"""

# The options of its port, the server behind, and the options for it.
_HAPROXY_LISTENERS = {
    "plain": ("", "plain", ""),
    "tls": ("", "tls", ""),
    "ends-tls": ("ssl crt {pem}", "plain", ""),
    "ends-tls-strict": ("ssl crt {pem}", "strict", ""),
    "send-proxy": ("", "plain", "send-proxy"),
    "send-proxy-v2": ("", "plain", "send-proxy-v2"),
    "send-proxy-ends-tls": ("ssl crt {pem}", "plain", "send-proxy"),
    "send-proxy-tls": ("", "tls", "send-proxy"),
    "proxied": ("", "proxied", "send-proxy"),
    "proxied-tls": ("", "proxied-tls", "send-proxy-v2"),
    "no-proxy": ("", "proxied", ""),
    "no-proxy-tls": ("", "proxied-tls", ""),
    "accept-proxy": ("accept-proxy", "plain", ""),
    "accept-proxy-tls": ("accept-proxy ssl crt {pem}", "plain", ""),
    "dead": ("", "dead", ""),
    "dead-ends-tls": ("ssl crt {pem}", "dead", ""),
}


@contextmanager
def nginx(pki: Pki, dovecot: Dovecot) -> Iterator[Ports]:
    """Run nginx's mail proxy, and the authentication server that it asks."""
    program = _program("nginx")
    if not _NGINX_MODULE.exists():
        _is_missing("libnginx-mod-mail")
    ports = _ports(_NGINX_LISTENERS)
    certificate, key = pki.files("good")
    with _folder() as folder, _dead_port() as dead, _authentication(dovecot.plain, dead) as asked:
        servers = (
            f"  server {{ listen 127.0.0.1:{ports[name]}{' ssl' if tls else ''};"
            " protocol pop3;"
            f" auth_http 127.0.0.1:{asked if answer else dead}/{answer}; {settings} }}"
            for name, (answer, tls, settings) in _NGINX_LISTENERS.items()
        )
        configuration = folder / "nginx.conf"
        configuration.write_text(
            _NGINX.format(
                module=_NGINX_MODULE,
                folder=folder,
                certificate=certificate,
                key=key,
                ca_file=pki.ca_file,
                servers="\n".join(servers),
            )
        )
        log = folder / "log"
        with _started(ports.values(), log, program, "-c", configuration, "-e", log):
            yield ports


@contextmanager
def haproxy(pki: Pki, dovecot: Dovecot, proxied: Dovecot) -> Iterator[Ports]:
    """Run HAProxy; `proxied` is a Dovecot that expects the PROXY protocol."""
    program = _program("haproxy")
    ports = _ports(_HAPROXY_LISTENERS)
    with _folder() as folder, _dead_port() as dead:
        servers = {
            "plain": f"127.0.0.1:{dovecot.plain}",
            "tls": f"127.0.0.1:{dovecot.tls}",
            "strict": f"{PERSONAS['tls-required'].address}:{dovecot.plain}",
            "proxied": f"{PROXIED}:{proxied.plain}",
            "proxied-tls": f"{PROXIED}:{proxied.tls}",
            "dead": f"127.0.0.1:{dead}",
        }
        pem = folder / "pem"
        pem.touch(mode=0o600)
        pem.write_bytes(b"".join(path.read_bytes() for path in pki.files("good")))
        configuration = folder / "haproxy.cfg"
        configuration.write_text(
            _HAPROXY
            + "".join(
                f"listen {name}\n"
                f"  bind 127.0.0.1:{ports[name]} {options.format(pem=pem)}\n"
                f"  server one {servers[server]} {more}\n"
                for name, (options, server, more) in _HAPROXY_LISTENERS.items()
            )
        )
        with _started(ports.values(), folder / "log", program, "-db", "-f", configuration):
            yield ports


@contextmanager
def perdition(pki: Pki, dovecot: Dovecot) -> Iterator[Ports]:
    """Run one perdition in front of Dovecot and one in front of nothing, each with STLS."""
    program = _program("perdition")
    ports = _ports(("good", "dead"))
    certificate, key = pki.files("good")
    user = pwd.getpwuid(os.geteuid()).pw_name
    with _folder() as folder, _dead_port() as dead:

        def command(name: str, server: int) -> tuple[str | Path, ...]:
            return (
                *(program, "--no_daemon", "--config_file", "/dev/null", "--pid_file", ""),
                *("--username", user, "--protocol", "POP3"),
                *("--bind_address", f"127.0.0.1:{ports[name]}", "--no_lookup"),
                *("--map_library", "", "--outgoing_server", f"127.0.0.1:{server}"),
                *("--ssl_mode", "tls_listen"),
                *("--ssl_cert_file", certificate, "--ssl_key_file", key),
            )

        log = folder / "log"
        with (
            _started([ports["good"]], log, *command("good", dovecot.plain)),
            _started([ports["dead"]], log, *command("dead", dead)),
        ):
            yield ports


def _program(name: str) -> str:
    """Return the path of a program. Skip the test if it is missing, or fail it in CI."""
    found = shutil.which(name, path=_PATH)
    return found or _is_missing(name)


def _is_missing(package: str) -> NoReturn:
    asked_for = os.environ.get("CI") == "true" or os.environ.get("INSTALL") == "1"
    message = f"{package} is not installed (make test-systems INSTALL=1, as root on Debian)"
    (pytest.fail if asked_for else pytest.skip)(message)


def _ports(names: Iterable[str]) -> dict[str, int]:
    names = list(names)
    return dict(zip(names, free_ports(len(names)), strict=True))


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="proxy-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def _dead_port() -> Iterator[int]:
    """Reserve a port that refuses connections: it is bound, but nothing listens."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


@contextmanager
def _started(ports: Iterable[int], log: Path, *command: str | Path) -> Iterator[None]:
    """Run a program until the context ends; it and its children are killed by its process group."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + PATIENCE
        for port in ports:
            while not is_open(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"{command[0]} does not start\n{log.read_text()}")
                time.sleep(0.02)
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def _authentication(server: int, dead: int) -> Iterator[int]:
    """Answer the questions of nginx about a login, by path (ngx_mail_auth_http_module)."""
    ended = threading.Event()
    answers = {
        "/good": {"Auth-Status": "OK", "Auth-Server": "127.0.0.1", "Auth-Port": str(server)},
        "/dead": {"Auth-Status": "OK", "Auth-Server": "127.0.0.1", "Auth-Port": str(dead)},
        "/rejects": {"Auth-Status": "Authentication credentials invalid"},
        # Mailu's words.
        "/rate-limit": {"Auth-Status": "Temporary authentication failure (rate-limit)"},
    }

    class Handler(BaseHTTPRequestHandler):
        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Keep standard error clean."""

        def do_GET(self) -> None:
            if self.path == "/hangs":
                ended.wait()
                return
            answer = answers.get(self.path)
            self.send_response(200 if answer else 500)
            for name, value in (answer or {}).items():
                self.send_header(name, value)
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield http.server_port
        finally:
            ended.set()
            http.shutdown()
            thread.join()
