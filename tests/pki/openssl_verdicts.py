"""Verdicts of OpenSSL and of the plugin on a case of the corpus, from the same live server.

The contexts here are made of the flags that the README documents, and not by the plugin.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import ssl
import subprocess
import time
from functools import cache, lru_cache
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from check_pop3_plus.certificate import reader
from check_pop3_plus.check import run
from check_pop3_plus.check.verdict import Verdict
from check_pop3_plus.model.settings import Settings
from tests.pki.corpus import Case
from tests.servers.scripted_server import LOOPBACK, Connection, Over, Server
from tests.support.settings_from import check_settings

# Where nothing is said here, X509_V_ERR means that the chain is not trusted.
_KINDS = {
    9: "not-yet-valid",
    10: "expired",
    62: "name",
    64: "name",
    66: "weak",
    67: "weak",
    68: "weak",
    78: "not-strict",
    **dict.fromkeys(range(80, 94), "not-strict"),
}


class Outcome(NamedTuple):
    """How OpenSSL's side of a handshake ended."""

    code: int = 0
    """X509_V_ERR; 0 where it does not refuse the certificate."""
    broken: str = ""
    """Why the handshake failed nevertheless: no certificate was sent, or its key is unknown."""

    @property
    def is_accepted(self) -> bool:
        return not self.code and not self.broken

    @property
    def kind(self) -> str | None:
        """The kind that the plugin must report."""
        if self.code:
            return _KINDS.get(self.code, "untrusted")
        if "EOF" in self.broken:
            return "closed"
        return "tls" if self.broken else None


class Showcase(Server):
    """Serves one case after another."""

    def __init__(self) -> None:
        super().__init__()
        self.context: ssl.SSLContext | None = None
        self.sent: tuple[bytes, ...] = ()

    def play(self, connection: Connection, number: int) -> None:
        if self.context is None:
            connection.receive()
            connection.send(server_hello(self.sent))
            connection.finish()
            raise Over
        connection.start_tls(self.context)
        connection.send(b"+OK ready\r\n")
        connection.line()
        connection.send(b"+OK\r\n")


def server_hello(sent: tuple[bytes, ...]) -> bytes:
    """Return what a TLS 1.2 server sends up to and with its certificates, valid or not.

    RFC 5246 section 7.4; RFC 5746 section 3.6 for the one extension, which OpenSSL insists on.
    """
    hello = b"\3\3" + bytes(range(32)) + b"\0" + b"\xc0\x2b\0" + b"\0\5\xff\1\0\1\0"
    listed = b"".join(len(each).to_bytes(3, "big") + each for each in sent)
    certificates = len(listed).to_bytes(3, "big") + listed
    data = b"".join(
        bytes((kind,)) + len(body).to_bytes(3, "big") + body
        for kind, body in ((2, hello), (11, certificates))
    )
    pieces = (data[start : start + 16384] for start in range(0, len(data), 16384))
    return b"".join(b"\x16\3\3" + len(each).to_bytes(2, "big") + each for each in pieces)


class Stand:
    """Where the cases are shown: one server for all, and files for keys and roots."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.server = Showcase()
        self._judging_began = 0.0
        read_chain = reader.read_chain

        def timed(*arguments: object) -> object:
            self._judging_began = time.process_time()
            return read_chain(*arguments)

        monkeypatch.setattr(reader, "read_chain", timed)

    def show(self, case: Case) -> Outcome:
        """Serve the case from now on, and return what OpenSSL says of it.

        Where OpenSSL would not send the chain, or not finish the handshake, the handshake is served
        up to the certificates only.
        """
        self.server.sent, self.server.context = case.sent, self._context(case)
        outcome = self.openssl(case)
        if outcome is None:
            self.server.context = None
            outcome = self.openssl(case)
        assert outcome is not None
        return outcome

    def _context(self, case: Case) -> ssl.SSLContext | None:
        if case.key is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT:@SECLEVEL=0")
        file = self.folder / "served.pem"
        key = case.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes("".join(map(ssl.DER_cert_to_PEM_cert, case.sent)).encode() + key)
        try:
            context.load_cert_chain(file)
        except ssl.SSLError:
            return None
        return context

    def trusted(self, case: Case) -> Path:
        """Return a file with what the case trusts."""
        name = hashlib.sha256(b"".join(case.trusted)).hexdigest()
        file = self.folder / f"{name[:16]}.pem"
        if not file.exists():
            file.write_text("".join(map(ssl.DER_cert_to_PEM_cert, case.trusted)))
        return file

    def openssl(
        self, case: Case, strict: bool = False, common_name: bool = False
    ) -> Outcome | None:
        """Shake hands in memory, and return how it ended; None where the server broke down."""
        ours, theirs = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = documented(self.trusted(case), case.verify, strict, common_name)
        client = context.wrap_bio(theirs, ours, server_hostname=case.host)
        server = self.server.context and self.server.context.wrap_bio(ours, theirs, True)
        while True:
            try:
                client.do_handshake()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLCertVerificationError as error:
                return Outcome(code=error.verify_code)
            except ssl.SSLError as error:
                return Outcome(broken=error.reason or str(error))
            else:
                return Outcome()
            try:
                if server:
                    server.do_handshake()
                else:
                    theirs.write(server_hello(case.sent))
                    theirs.write_eof()
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                return None

    def s_client(self, case: Case, strict: bool = False) -> Outcome:
        """Verify the served certificate by `openssl s_client`, as the README shows it."""
        name = "-verify_ip" if _is_address(case.host) else "-verify_hostname"
        done = subprocess.run(
            [
                *("openssl", "s_client", "-connect", f"{LOOPBACK}:{self.server.port}"),
                *("-CAfile", self.trusted(case), "-no-CApath", "-no-CAstore", "-trusted_first"),
                *("-cipher", "DEFAULT:@SECLEVEL=2", "-auth_level", "2", "-purpose", "sslserver"),
                *("-verify_return_error", "-servername", case.host),
                *((name, case.host) if case.verify == "full" else ()),
                *(("-x509_strict",) if strict else ()),
            ],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=False,
        )
        said = (done.stdout + done.stderr).decode("ascii", "replace")
        refused = re.search(r"verify error:num=(\d+)", said)
        if refused:
            return Outcome(code=int(refused[1]))
        is_broken = done.returncode or "Verify return code: 0 (ok)" not in said
        return Outcome(broken=said[-200:] if is_broken else "")

    def plugin(self, case: Case, *more: str) -> tuple[Verdict, float]:
        """Return the verdict, and the seconds of judging, from the last byte on the wire on.

        CPU seconds: elapsed time would depend on the load of the machine.
        """
        self._judging_began = float("inf")
        settings = _settings(*self.arguments(case), *more)
        verdict = run.run_check(settings, time.monotonic())
        return verdict, time.process_time() - self._judging_began

    def arguments(self, case: Case) -> tuple[str, ...]:
        """Return the plugin's arguments for the case that is shown."""
        target = ("-H", case.host, "--connect-to", LOOPBACK, "-p", str(self.server.port))
        return (
            *target,
            "-S",
            "--ca-file",
            str(self.trusted(case)),
            "--verify",
            case.verify,
            "-t",
            "30",
        )


@lru_cache(maxsize=16)
def documented(trusted: Path, verify: str, strict: bool, common_name: bool) -> ssl.SSLContext:
    """Return a context with the flags of the README, and nothing of the plugin's.

    With `common_name` one of them is left out: where no other name is there, the subject's counts.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # purpose: a TLS server's certificate
    made.check_hostname = verify == "full"
    made.verify_flags = ssl.VERIFY_X509_TRUSTED_FIRST
    if strict:
        made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.hostname_checks_common_name = common_name
    made.set_ciphers("DEFAULT:@SECLEVEL=2")
    made.load_verify_locations(trusted)
    return made


@cache
def _settings(*arguments: str) -> Settings:
    return check_settings(arguments)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def kind(verdict: Verdict) -> str | None:
    """Return the kind of the worst finding, or None where there is none."""
    found = [line for line in verdict.long_output if line.startswith("kind: ")]
    return re.split("[ ,]", found[0])[1] if found else None
