"""Run the installed command against servers with random faults, in every mode and with any option.

The number of a run is its seed: `python -m tests.soak.chaos NUMBER...` repeats it, and shows its
output.
"""

from __future__ import annotations

import base64
import random
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.pki.certificates import Pki
from tests.servers import tls_records
from tests.servers.scripted_server import Connection, Over, Server, drip, flood, reset
from tests.soak import Figure
from tests.soak.stalls import GONE_LATE, start_seconds
from tests.support.command import Run, Timed, timed
from tests.support.faults import CANARY, assert_no_canary, honest

RUNS = 2000
TOGETHER = 6
TRIES = 3
"""Of a run that ended late: with so many in parallel, the machine itself may have been slow."""

MODES = ("plain", "tls", "stls")
CERTIFICATES = (
    *("expired", "future", "wrongname", "untrusted", "chain", "nochain", "selfsigned", "cnonly"),
    *("many_names", "weak", "sha1", "negative_serial", "no_authority_key", "root_sent"),
)
MECHANISMS = ("auto", "user", "plain", "login", "cram-md5", "scram-sha-256", "xoauth2", "apop")
OPTIONS = (
    *("-v", "-vv", "-vvv", "-4", "--all-addresses", "--reject-legacy-tls", "-D=30,7", "-e=ready"),
    *("--require-capa=UIDL", "--x509-strict", "-w=0.001", "--state=closed=warning", "-r=ok"),
    *("--verify=chain", "--tls-min=1.3", "--messages-warning=0", "--phase-critical=connect=0"),
)

HOSTILE = (
    b"\x1b]0;x\x07",
    b"\0" * 9,
    b"| time=0s;;;; x=1",
    b"<script>alert(1)</script>",
    b"\xff\xfe\xc3\x28",
    "\u202e\u2028\u00e4".encode(),
    b"`id` $(id) \\n",
    b"A" * 3000,
    b"\r",
    b"\n",
    b"\r\nPOP3 OK - fine\r\n",
)
SECRETS = (CANARY.encode(), base64.b64encode(CANARY.encode()))
CODES = ("AUTH", "IN-USE", "LOGIN-DELAY", "SYS/TEMP", "SYS/PERM", "X", "")


class Mutation:
    """The random faults of one connection."""

    def __init__(self, seed: str, rate: float, knows_secret: bool) -> None:
        self.dice = random.Random(seed)
        self._rate = rate
        self._hostile = HOSTILE + (SECRETS if knows_secret else ())

    def strikes(self) -> bool:
        return self.dice.random() < self._rate

    def of_bytes(self, data: bytes) -> bytes:
        """Return a reply with one random change."""
        dice = self.dice
        at = dice.randrange(len(data) + 1)
        end = min(len(data), at + dice.randrange(1, 9))
        match dice.randrange(9):
            case 0:
                return data[:at] + dice.choice(self._hostile) + data[at:]
            case 1:
                return data[:at] + data[end:]
            case 2:
                return data[:end] + data[at:]
            case 3:
                return data[:at] + dice.randbytes(end - at) + data[end:]
            case 4:
                return data.replace(b"\r\n", dice.choice((b"\n", b"\r", b"", b"\r\r\n", b"\n\n")))
            case 5:
                return data.swapcase()
            case 6:
                return f"-ERR [{dice.choice(CODES)}] no\r\n".encode()
            case 7:
                return data * dice.randrange(2, 5)
            case _:
                return b"+OK " + dice.choice(self._hostile) + b"\r\n"

    def send(self, connection: Connection, data: bytes) -> None:
        """Send a reply as it is, or with a fault: changed, cut, late, repeated, or not at all."""
        if not self.strikes():
            connection.send(data)
            return
        dice = self.dice
        match dice.randrange(10):
            case 0:
                connection.drain()
                raise Over
            case 1:
                connection.drop()
            case 2:
                reset()(connection)
            case 3:
                flood(self.of_bytes(data) * 500)(connection)
            case 4:
                drip(self.of_bytes(data), 0.005)(connection)
            case 5:
                connection.wait(dice.choice((0.1, 0.3, 3)))
                connection.send(data)
            case 6:
                connection.send(data[: dice.randrange(len(data))])
                connection.drop()
            case _:
                connection.send(self.of_bytes(data))


class FaultyServer(Server):
    """A correct server with random faults."""

    def __init__(self, number: str, mode: str, pki: Pki, rate: float, knows_secret: bool) -> None:
        super().__init__()
        self._knows_secret = knows_secret
        self._number = number
        self._mode = mode
        self._pki = pki
        self._rate = rate
        dice = random.Random(number)
        self._certificate = dice.choice(CERTIFICATES) if dice.random() < 0.3 else "good"
        self._version = dice.choice(("1.2", "1.3"))
        self._breaks_tls = dice.random() < 0.15

    def play(self, connection: Connection, number: int) -> None:
        mutation = Mutation(f"{self._number}/{number}", self._rate, self._knows_secret)
        if self._mode == "tls":
            self._shake_hands(connection, mutation)
        mutation.send(connection, b"+OK ready <1.2@pop.example.test>\r\n")
        while True:
            self._answer(connection, mutation, connection.line())

    def _answer(self, connection: Connection, mutation: Mutation, line: bytes) -> None:
        word, _, rest = line.partition(b" ")
        match word.upper():
            case b"CAPA":
                tls = b"" if connection.in_tls else b"STLS\r\n"
                sasl = b"SASL PLAIN LOGIN CRAM-MD5 SCRAM-SHA-256 XOAUTH2\r\n"
                said = b"+OK\r\nUSER\r\nUIDL\r\nRESP-CODES\r\n" + tls + sasl + b".\r\n"
                mutation.send(connection, said)
            case b"STLS":
                mutation.send(connection, b"+OK begin\r\n")
                self._shake_hands(connection, mutation)
            case b"STAT":
                mutation.send(connection, b"+OK 3 120\r\n")
            case b"AUTH":
                self._authenticate(connection, mutation, rest.split())
            case b"QUIT":
                mutation.send(connection, b"+OK bye\r\n")
                raise Over
            case _:
                mutation.send(connection, b"+OK\r\n")

    def _authenticate(self, connection: Connection, mutation: Mutation, words: list[bytes]) -> None:
        questions = {b"LOGIN": [b"VXNlcm5hbWU6", b"UGFzc3dvcmQ6"], b"CRAM-MD5": [b"PDEuMkB4Pg=="]}
        asked = questions.get(words[0] if words else b"", [])
        if words[:1] == [b"SCRAM-SHA-256"] and len(words) == 2:
            nonce = re.search(rb"r=([^,]+)", base64.b64decode(words[1]))
            first = b"r=" + (nonce[1] if nonce else b"") + b"x,s=c2FsdA==,i=4096"
            asked = [base64.b64encode(first)]
        elif len(words) == 1 and not asked:
            asked = [b""]
        for question in asked:
            mutation.send(connection, b"+ " + question + b"\r\n")
            connection.line()
        mutation.send(connection, b"+OK\r\n")

    def _shake_hands(self, connection: Connection, mutation: Mutation) -> None:
        if self._breaks_tls and mutation.strikes():
            flight = tls_records.Flight(connection, self._pki, self._version).data
            connection.socket.sendall(mutation.of_bytes(flight))
            connection.wait(mutation.dice.choice((0, 0, 9)))
            raise Over
        connection.start_tls(self._pki.server(self._certificate))


class Case(NamedTuple):
    """One run: the options of the plugin, and its servers."""

    number: int
    services: tuple[tuple[str, tuple[str, ...]], ...]
    """Mode and options of each; more than one make a sweep."""
    limit: float
    """Seconds until the run must end."""
    run_options: tuple[str, ...]
    rate: float

    def run(self, pki: Pki, folder: Path) -> Timed:
        """Run it once."""
        with ExitStack() as stack:
            sections, words = [], [*self.run_options]
            for position, (mode, options) in enumerate(self.services):
                # A service without a password of its own cannot mask one.
                knows = "-U=monitor" in options
                server = FaultyServer(f"{self.number}.{position}", mode, pki, self.rate, knows)
                stack.enter_context(server)
                target = ("-H=localhost", f"--connect-to={server.address}", f"-p={server.port}")
                arguments = [*target, *options]
                sections.append((f"h{position}!{mode}", arguments))
            if len(sections) == 1:
                words += sections[0][1]
            else:
                file = folder / f"{self.number}.ini"
                file.write_text("".join(map(_section, sections)))
                words += ["--sweep", str(file)]
            return timed(*words, env={"CANARY": CANARY})


def _section(section: tuple[str, list[str]]) -> str:
    """Return a section of an INI file with these options."""
    name, arguments = section
    lines = []
    for argument in arguments:
        key, equals, value = argument.lstrip("-").partition("=")
        lines.append(f"{key} = {value}" if equals else f"{key} =")
    return "\n".join((f"[{name}]", *lines, ""))


def case(number: int, pki: Pki) -> Case:
    """Return the run of a number."""
    dice = random.Random(number)
    timeout = dice.choice((0.5, 1, 2))
    is_sweep = dice.random() < 0.12
    services = []
    for _ in range(dice.randrange(2, 9) if is_sweep else 1):
        mode = dice.choice(MODES)
        options = [*_flags(mode, pki, dice)]
        allowed = [each for each in OPTIONS if mode != "plain" or not _is_about_tls(each)]
        options += dice.sample(allowed, dice.choice((0, 0, 1, 2)))
        if dice.random() < 0.1 and mode == "stls":
            options.append(dice.choice(("--check-starttls-injection", "--refuse-cleartext-login")))
        options = [each for each in options if not (is_sweep and re.fullmatch("-v+", each))]
        if "-U=monitor" in options:
            options.append("--allow-insecure-login")
        services.append((mode, tuple(dict.fromkeys((*options, f"-t={timeout}")))))
    limit, run_options = timeout, []
    kind = dice.random()
    if is_sweep:
        limit = timeout + 1.5
        run_options += [f"--run-timeout={limit}", f"--jobs={dice.choice((1, 4, 128))}"]
    elif kind < 0.2:
        limit = timeout + dice.choice((0.5, 1.5))
        run_options += ["--diagnose", f"--run-timeout={limit}"]
    elif kind < 0.3:
        limit = timeout + dice.choice((1, 3))
        run_options += ["--rechecks=2", f"--run-timeout={limit}"]
    rate = dice.choice((0.1, 0.25, 0.5))
    return Case(number, tuple(services), limit, tuple(run_options), rate)


def _flags(mode: str, pki: Pki, dice: random.Random) -> Sequence[str]:
    found = [f"--ca-file={pki.ca_file}"] if mode != "plain" else []
    found += {"plain": [], "tls": ["-S"], "stls": ["--starttls"]}[mode]
    if dice.random() < 0.6:
        found += ["-U=monitor", "--password-env=CANARY", f"--auth={dice.choice(MECHANISMS)}"]
    return found


def _is_about_tls(option: str) -> bool:
    return option.startswith(("--reject", "-D", "--x509", "--verify", "--tls"))


class Result(NamedTuple):
    number: int
    done: Run
    late: float
    broken: str
    """Why the output is wrong, or empty."""


def evaluated(each: Case, shown: Timed, start: float) -> Result:
    """Check what must hold for every run."""
    done, late = shown.done, shown.done.seconds - start - each.limit
    broken = ""
    try:
        honest(done)
        assert_no_canary(done.out)
        others = [line for line in done.long if line.startswith("POP3 ")]
        assert not others, "a second status line"
    except AssertionError as error:
        broken = f"wrong output: {str(error)[:300] or done}"
    if "internal error" in done.out:
        broken = f"a bug: {done.out[:300]}"
    return Result(each.number, done, late, broken)


def run(share: float) -> list[Figure]:
    """Run the first `share` of the numbers."""
    numbers = range(round(RUNS * share))
    start = start_seconds()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pki = Pki(folder)
        for certificate in ("good", *CERTIFICATES):
            pki.server(certificate)  # before the threads start
        pki.only("1.2"), pki.only("1.3")

        def once(number: int) -> Result:
            each = case(number, pki)
            result = evaluated(each, each.run(pki, folder), start)
            if result.broken:
                print(f"  {number}: {result.broken}", flush=True)
            return result

        with ThreadPoolExecutor(TOGETHER) as pool:
            results = list(pool.map(once, numbers))
        again = 0
        for position, number in enumerate(numbers):
            for _ in range(TRIES - 1):
                if results[position].late > GONE_LATE and not results[position].broken:
                    again += 1
                    results[position] = once(number)
    return [figure(results, again)]


def figure(results: list[Result], again: int) -> Figure:
    late = [each for each in results if each.late > GONE_LATE]
    broken = [each for each in results if each.broken]
    for each in late:
        print(f"  {each.number}: {each.late * 1000:.0f} ms late", flush=True)
    codes = [sum(each.done.code == code for each in results) for code in range(4)]
    names = ("OK", "WARNING", "CRITICAL", "UNKNOWN")
    states = ", ".join(f"{count} {name}" for count, name in zip(codes, names, strict=True))
    return Figure(
        "the installed command against servers with random faults",
        len(results),
        f"{len(broken)} wrong or malformed outputs, {len(late)} later than"
        f" {GONE_LATE * 1000:.0f} ms ({again} measured again alone); {states}",
        len(broken) + len(late),
    )


def main(numbers: list[int]) -> None:
    """Repeat single runs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pki = Pki(folder)
        for number in numbers:
            each = case(number, pki)
            print(each)
            began = time.monotonic()
            shown = each.run(pki, folder)
            print(f"{time.monotonic() - began:.3f} s, exit code {shown.done.code}")
            print(shown.done.out, shown.done.err, evaluated(each, shown, 0)[2:], sep="\n")


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]])
