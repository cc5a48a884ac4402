"""The seeds of the fuzzer: an input of each kind that occurs in the other tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice

from check_pop3_plus.net import dns_query
from tests.fuzz.targets import SCENARIOS, from_script
from tests.pki.corpus import FAMILIES
from tests.pki.expected_verdicts import FIRST
from tests.support.faults import CANARY
from tests.support.good_dialogues import WRONG_LINES, every, signatures, transcript
from tests.support.in_process import Scenario, Script, said

_OF_A_FAMILY = 8
_LARGEST = 1200
"""Return a chain as bytes."""


def conversation() -> Iterator[bytes]:
    for script in every():
        yield from_script(script)
    for scenario in (Scenario("plain"), Scenario("stls", "auto"), Scenario("tls", "login")):
        turns = transcript(scenario).turns
        for place in range(len(turns)):
            for line in WRONG_LINES[:: len(SCENARIOS) // 4]:
                changed = (*turns[:place], said(line + b"\r\n"), *turns[place + 1 :])
                yield from_script(Script(scenario, changed), is_verbose=True)
            for end in ("eof", "stall", "reset"):
                yield from_script(Script(scenario, (*turns[:place], said(b"+OK", end))))


def certificates() -> Iterator[bytes]:
    for name, family in FAMILIES.items():
        if name in ("plain", "keys", "hosts"):  # long keys, slow to generate
            continue
        small = (case for case in family() if sum(map(len, case.sent)) <= _LARGEST)
        for number, case in enumerate(islice(small, _OF_A_FAMILY)):
            yield bytes([number]) + b"".join(case.sent)


def ini() -> Iterator[bytes]:
    extra_opts = (
        b"[check_pop3_plus]\nhostname = pop.example.org\nssl\ncertificate = 30d/33%,7d\n",
        b"[check_pop3_plus]\nH=a\nw=-5:10\nc=~:20\nexpect=a\nexpect = b\n# c\n; d\nall=\n",
        b"[a]\n-H = x\n[check_pop3_plus]\r\n hostname= [2001:db8::1] \r\n-6\r\n",
        b"[check_pop3_plus]\nhostname=a\nusername=m\npassword-file=/f\nstarttls=\nauth=plain\n",
        b"no section\n",
        b"[check_pop3_plus\n=x\n",
        b"[check_pop3_plus]\nextra-opts=@x\n",
        b"[check_pop3_plus]\nhelp\n",
        b"[check_pop3_plus]\nhostname=\xff\xc3\xa4.example\nstate = expect=ok\n",
        b"[check_pop3_plus]\nhostname=a\nphase-warning=login=2\nsize-critical=1.5G\ntimeout=5:ok\n",
    )
    yield from (b"\0" + each for each in extra_opts)
    sweeps = (
        b"[DEFAULT]\ntimeout=5\n[a.example!pop3]\n[b.example!pop3]\nssl\ncertificate=30\n",
        b"[a!x]\n[a!x]\n[b]\n[!c]\n[d!]\n[e!f;g]\nhostname=h\n",
        b"[a!b]\nwarning=nan\n[c!d]\nsweep=x\n[e!f]\nversion\n=\n",
        b"[a!b|c=1]\n[a!\xc3\xa4]\n[a!\xff]\nport=0\n[DEFAULT]\n=x\n",
        b"",
    )
    yield from (b"\1" + each for each in sweeps)


_COMMANDS = (
    "-H pop.example.org",
    "-H pop.example.org -S -U monitor --password-file FILE",
    "-H pop.example.org -S -D 60",
    "-H [2001:db8::1] -p 1100 -6 -t 5:warning -w -5:10 -c=@10:20",
    "-H a --connect-to 192.0.2.1 --source-address 192.0.2.9 --all-addresses --min-addresses 2",
    "-H a --starttls --sni b --verify chain --tls-min 1.1 --ca-file f --x509-strict -vvv",
    "-H a -S -D 30d/33%,7d/10% --min-key-bits 2048 --max-validity 398d --issuer X",
    "-H a --starttls -U m --password-env P --auth scram-sha-256 --state in-use=critical",
    "-H a -S -U m --auth external --client-cert c --client-key k",
    "-H a -U m --password-command p --allow-insecure-login --messages-warning 10",
    "-H a -S -U m --password-env P --size-critical 2G --size-warning .5K:1.5M",
    "-H a -S -U m --auth xoauth2 --oauth-token-url https://t.example/x?y --oauth-client-id i"
    " --oauth-client-secret-file s --oauth-scope o",
    "-H a -e ready -e x -A -M crit -r warn --phase-warning tls=1 --phase-critical login=~:3",
    "-H a --diagnose --sensitivity high --run-timeout 40",
    "-H a --diagnose=dns,tcp --rechecks 2",
    "-H a --require-capa UIDL,SASL=PLAIN --refuse-cleartext-login",
    "-H a --starttls --check-starttls-injection --reject-legacy-tls --expect-cert-file f",
    "-H a -S --pin sha256:" + "0a" * 32 + " --pin sha256//" + "A" * 43 + "=",
    "--sweep f --jobs 9 --submit icinga2:https://u.example:5665/v1 --icinga-user u"
    " --icinga-password-file p",
    "--sweep f --submit nagios:/x -v -t 3",
    "--sweep f --submit jsonl:-",
    "--extra-opts",
    "--extra-opts=@f -w",
    "-h",
    "-V",
    "-s x -q y",
    "-H fa\xdf.de --hostname=a..b -p 99999 -w 20:10 -c nan -t 0 -- x",
)


def argv() -> Iterator[bytes]:
    for command in _COMMANDS:
        yield "\0".join(command.split(" ")).encode()
        for word in command.split(" "):
            if word.startswith("--"):
                yield f"-H\0a\0{word}".encode()


def sasl() -> Iterator[bytes]:
    for number in range(9):
        yield bytes([number])
        yield bytes([number]) + b"\n\n\n"
        for first in (FIRST, b"r=x,s=,i=0", b"e=other-error", b"<1@a>", b'{"status":"401"}', b"["):
            for second in (*signatures().values(), b"e=no"):
                yield bytes([number]) + first + b"\nv=" + second


def https_reply() -> Iterator[bytes]:
    bodies: tuple[object, ...] = (
        {"access_token": "x" * 40, "token_type": "Bearer", "expires_in": 3599},
        {"error": "invalid_client", "error_description": f"no {CANARY}"},
        {"results": [{"code": 200, "status": "Successfully processed check result"}]},
        {"results": [{"code": 404, "status": "no such object"}]},
        {"error": 503, "status": "shutting down"},
        [],
    )
    for status in (b"200 OK", b"401 No", b"302 Found", b"503 Later"):
        for body in bodies:
            content = json.dumps(body).encode()
            head = b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json\r\n"
            yield head + b"Content-Length: %d\r\n\r\n" % len(content) + content
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    yield chunked + b"3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nX: y\r\n\r\n"
    yield chunked + b"\xffffffffff\r\nx"
    yield b"HTTP/1.0 200\r\n\r\n"
    yield b"HTTP/1.1 100 Continue\r\n\r\n" + b"HTTP/1.1 200 OK\r\n\r\n{}"
    yield b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\nA: b\r\n c\r\n\r\n\xff{}"
    yield b"+OK POP3\r\n"


def name_server() -> Iterator[bytes]:
    for kind in (dns_query.A, dns_query.AAAA):
        asked = dns_query.query("pop.example.org", kind, 0x1234)
        yield asked
        for code in (0, 2, 3, 15):
            yield asked[:2] + bytes([0x81, 0x80 | code, 0, 1, 0, 2]) + asked[8:]
    yield b"nameserver 192.0.2.1\nnameserver fe80::1%eth0\n nameserver  ::1 # x\nsearch a\n"


def server_hello() -> Iterator[bytes]:
    for version in (0, 1, 2, 3):
        message = b"\x02\0\0\x26\x03" + bytes([version]) + bytes(32) + b"\0\0\x2f\0"
        yield b"\x16\x03" + bytes([version]) + len(message).to_bytes(2, "big") + message
    yield b"\x15\x03\x01\0\2\2\x46"
    yield b"\x15\x03\x01\0\2\1\x70\x15\x03\x01\0\2\2\x28"
    yield b"\x15\x03\x01\0\2\1\x70\x16\x03\x01\0\6\2\0\0\x26\x03\x01"
    yield b"\x16\x03\x01\0\4\x0b\0\0\0"
    yield b"HTTP/1.1 400 Bad\r\n"
    yield b"+OK\r\n"


SEEDS: dict[str, Callable[[], Iterator[bytes]]] = {
    each.__name__: each
    for each in (
        *(conversation, certificates, ini, argv),
        *(sasl, https_reply, name_server, server_hello),
    )
}
