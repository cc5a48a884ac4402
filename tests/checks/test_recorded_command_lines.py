"""`--help`, `--version` and 500 command lines have the recorded output.

Each is run within the test process, against a closed port. The record has the command lines and
their results: for a usage error, the first line of the output. The generator is used only if there
is no record: for other command lines, delete the file and run `make record`.
"""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from check_pop3_plus import __version__
from check_pop3_plus.options.table import BY_FLAG, OF_SWEEPS, PROGRAM
from tests.support import command, command_in_process, recorded
from tests.support.option_list import OPTIONS
from tests.support.recorded import Entry

FILE = recorded.FOLDER / "command_lines.txt"
COUNT = 500
SEED = 20240501

TARGET = ["-H", "127.0.0.1", "-p", "1"]
SECRET = "not to be shown"
ENVIRONMENT = {
    "LC_ALL": "C.UTF-8",
    "PATH": os.environ["PATH"],
    "SECRET": SECRET,
    "MP_CONFIG_FILE": "options.ini",
}

# Of each kind of value some that are right and some that are wrong. No name that would have to be
# looked up, no address but of this machine, nothing that would be waited for.
HOSTS = ["127.0.0.1", "127.0.0.1", "127.0.0.1.", "[x]", "a b", "127.0.0.1:1", "", ".", "x" * 300]
RANGES = ["5", "10:", "@1:2", "~:3", "-5:10", ".5", "0:0", "@", "", "2:1", "x", "1e3", "1:2:3"]
PHASE_RANGES = ["tls=5", "connect=1:2", "capa=@~:1", "x=5", "tls", "tls=", "=5", "tls=x"]
FILES = ["secret", "missing", "", ".", "a\nb", "missing-\u00e9"]
STATES = ["ok", "warning", "WARN", "critical", "crit", "unknown", "fine", "", "0"]
TEXTS = ["x", "", " ", "a|b=1", "\x1b[31m", "$(id)", "\u00e9", "--", "x" * 300]
NUMBERS = ["1", "2048", "0", "-1", "x", "", "99999", "100000", "1.5"]
SECONDS = ["5", "0.5", "3600", "0", "3601", "-1", "x", ""]
MAIL = ["a@example.org", "a", "", "@x", "a@b c", "a b@x", "a\n@x", "\u00e9@x", "a@[192.0.2.1]"]
LEVELS = ("warning", "critical")
AGES = ["90s", "20m", "12h", "3d", "1h:2d", "3600", "@0:60", "1w", "5M", "x", "", "1.5h", "h"]
URLS = [
    "https://127.0.0.1:1/token",
    "http://127.0.0.1:1/token",
    "https://user:word@127.0.0.1:1/",
    "https://127.0.0.1:0/",
    "https://127.0.0.1:1/#x",
    "127.0.0.1",
    "",
]
VALUES = {
    "--hostname": HOSTS,
    "--port": ["1", "1", "01", "0", "65536", "-1", "pop3", "", "1 "],
    "--connect-to": HOSTS,
    "--source-address": ["127.0.0.1", "::1", "x", "", "127.0.0"],
    "--min-addresses": NUMBERS,
    "--verify": ["full", "chain", "none", "FULL", ""],
    "--sni": ["pop.example.org", "a b", "", "[::1]", "x" * 64],
    "--ca-file": FILES,
    "--ca-path": FILES,
    "--tls-min": ["1.1", "1.2", "1.3", "1.0", "TLSv1.2", ""],
    "--client-cert": FILES,
    "--client-key": FILES,
    "--certificate": [
        *("60", "60,14", "12h", "33%", "30d/33%", "30/33%,10/5%", "0"),
        *("14,60", "x", "", "101%", "60,", "1d/2d", "-1"),
    ],
    "--pin": ["sha256:" + "0" * 64, "sha256//" + "A" * 43 + "=", "sha256:00", "x", ""],
    "--issuer": TEXTS,
    "--expect-cert-file": FILES,
    "--min-key-bits": NUMBERS,
    "--cert-type": ["rsa", "ecdsa", "both", "dsa", ""],
    "--max-validity": ["90", "90d", "0", "x", "", "90h"],
    "--username": ["monitor", "", "a\nb", "\u00e9", "a b"],
    "--password-file": FILES,
    "--password-env": ["SECRET", "SECRET", "MISSING", "", "A=B"],
    "--auth": ["auto", "user", "apop", "plain", "cram-md5", "external", "xoauth2", "PLAIN", ""],
    "--oauth-token-url": URLS,
    "--oauth-client-id": ["id", "", "\u00e9", "a b"],
    "--oauth-client-secret-file": FILES,
    "--oauth-refresh-token-file": FILES,
    "--oauth-scope": ["https://example.org/.default", "", "\u00e9"],
    "--oauth-ca-file": FILES,
    "--messages-warning": RANGES,
    "--messages-critical": RANGES,
    "--size-warning": [*RANGES, "1K:2M", "1G", "1.5K", "1T", "K"],
    "--size-critical": [*RANGES, "1K:2M", "1G", "1.5K", "1T", "K"],
    **{f"--{which}-{level}": AGES for which in ("newest", "oldest") for level in LEVELS},
    "--round-trip-to": MAIL,
    "--round-trip-key-file": FILES,
    "--round-trip-id": ["a/b", "a b", "", "x" * 101],
    "--round-trip-wait": ["0", *SECONDS],
    **{f"--probe-age-{level}": AGES for level in LEVELS},
    **{f"--delivery-{level}": RANGES for level in LEVELS},
    "--smtp-host": HOSTS,
    "--smtp-port": ["1", "0", "x"],
    "--smtp-connect-to": HOSTS,
    "--smtp-ca-file": FILES,
    "--smtp-from": MAIL,
    "--smtp-helo": ["mx.example.org", "[192.0.2.1]", "a b", "", "[x]"],
    "--smtp-username": ["monitor", "", "a\nb"],
    "--smtp-password-file": FILES,
    "--smtp-password-env": ["SECRET", ""],
    "--smtp-auth": ["auto", "plain", "login", "xoauth2", "cram-md5", ""],
    "--warning": RANGES,
    "--critical": RANGES,
    "--phase-warning": PHASE_RANGES,
    "--phase-critical": PHASE_RANGES,
    "--timeout": [*SECONDS, "5:ok", "5:x", ":ok", "5:"],
    "--run-timeout": SECONDS,
    "--expect": TEXTS,
    "--require-capa": ["UIDL", "uidl,SASL=PLAIN", "", ",", "SASL=", "A B", "=X"],
    "--state": ["refused=ok", "refused=warn", "tls=critical", "refused", "x=ok", "=", "bug=ok"],
    "--refuse": STATES,
    "--mismatch": STATES,
    "--diagnose": ["x", "dns,", ",", "dns,x", "DNS"],
    "--sensitivity": ["very-high", "VERY-HIGH", "highest", ""],
    "--rechecks": ["0", "00", "-1", "101", "x", ""],
    "--sweep": ["missing", ""],
    "--jobs": NUMBERS,
    "--submit": ["jsonl:-", "nagios:missing", "icinga2:https://127.0.0.1:1/", "x", "jsonl:x", ""],
    "--icinga-user": ["root", "a:b", ""],
    "--icinga-password-file": FILES,
    "--icinga-ca-file": FILES,
}
FLAGS = [
    *("--use-ipv4", "--use-ipv6", "--all-addresses", "--ssl", "--starttls", "--x509-strict"),
    *("--allow-insecure-login", "--all", "--refuse-cleartext-login", "--reject-legacy-tls"),
    *("--round-trip-fetch-only", "--smtp-ssl", "--smtp-starttls"),
    *("--check-starttls-injection", "--verbose", "--verbose", "--verbose"),
]
OF_OTHERS = {
    option for option in VALUES if option.startswith(("--sweep", "--jobs", "--submit", "--icinga"))
} | {
    option
    for option in VALUES
    if option.startswith(("--oauth", "--round-trip", "--smtp", "--probe", "--delivery"))
}
"""Of little use alone: a command line with one of them is wrong, whatever else it has."""

WITHHELD = {
    "--password-command": "it would run a program",
    "--smtp-password-command": "the same",
    "--jobs-per-address": "it is read as --jobs is",
    "--workers": "it is read as --jobs is",
}

# What takes several options to be right.
TOGETHER = [
    ["-U", "monitor", "--password-env", "SECRET", "-S"],
    ["-U", "monitor", "--password-file=secret", "--starttls"],
    ["-U", "monitor", "--password-env=SECRET", "--allow-insecure-login"],
    [
        *("-S", "-U", "monitor", "--auth=xoauth2", "--oauth-token-url=https://127.0.0.1:1/token"),
        *("--oauth-client-id=id", "--oauth-client-secret-file=secret"),
    ],
    ["--all-addresses", "--min-addresses=1"],
    ["-S", "--pin=sha256:" + "0" * 64],
    ["-SvD60,14"],
]
ODD = [
    *("-", "--", "x", "--x", "--x=secret", "-x", "-4=x", "--ssl=yes", "--host", "--verb", "-V"),
    *("-s", "-sQUIT", "--send=x", "-q", "--quit", "-E", "--escape", "-j", "--jail", "-m", "-m1"),
    *("--maxbytes=1", "-d", "-d1", "--delay=1", "-M", "-Mwarn", "-rok", "-rx", "-t5", "-w"),
    *("-4v", "-Sv", "-SD60", "-vvv", "-vS4", "-46", "-vH", "-SA", "-vx", "-4e", "-4H127.0.0.1"),
    *("--extra-opts", "--extra-opts=none", "--extra-opts=@missing", "-h"),
]


class Line(NamedTuple):
    """A command line, and the lines of the file `options.ini` that it may read."""

    words: tuple[str, ...]
    ini: tuple[str, ...] = ()

    def __str__(self) -> str:
        ini = f"options.ini {json.dumps(self.ini)}\n" if self.ini else ""
        return f"{json.dumps(self.words)}\n{ini}"


def generated(seed: int, count: int) -> Iterator[Line]:
    """Yield distinct command lines: help and version, then random ones."""
    yield Line(("--help",))
    yield Line(("--version",))
    source = random.Random(seed)
    seen: set[Line] = set()
    while len(seen) < count:
        line = _any_line(source)
        if line not in seen:
            seen.add(line)
            yield line


def _any_line(source: random.Random) -> Line:
    words = list(TARGET)
    if source.random() < 0.08:
        words = list(source.choice(([], ["--sweep", "missing"])))
    words += source.choice(TOGETHER) if source.random() < 0.25 else []
    for _ in range(source.choice((0, 1, 1, 1, 2, 2, 3, 4))):
        words += _any_option(source)
    if source.random() < 0.8:
        return Line(tuple(words))
    section = source.choice(("check_pop3_plus", "other"))
    named = "" if section == "check_pop3_plus" else section
    locator = source.choice((f"--extra-opts={named}@options.ini", f"--extra-opts={named}"))
    lines = [f"[{section}]"]
    for _ in range(source.choice((1, 1, 2, 3))):
        lines.append(_any_key(source))
    return Line((*words, locator), tuple(lines))


def _any_option(source: random.Random) -> list[str]:
    kind = source.random()
    if kind < 0.15:
        return [source.choice(ODD)]
    if kind < 0.4:
        return [_spelled(source.choice(FLAGS), source)]
    option = _any_name(source)
    value = _any_value(option, source)
    flag = _spelled(option, source)
    if option == "--diagnose" or source.random() < 0.4:
        return [f"{flag}={value}"]
    if len(flag) == 2 and value and source.random() < 0.5:
        return [flag + value]
    return [flag, value]


def _any_key(source: random.Random) -> str:
    if source.random() < 0.1:
        return source.choice(("# a comment", "= x", "x = y", "extra-opts = x", "[open", "-w = 5"))
    if source.random() < 0.3:
        return source.choice(FLAGS).lstrip("-")
    option = _any_name(source)
    value = _any_value(option, source).replace("\n", " ")
    return f"{_spelled(option, source).lstrip('-')} = {value}"


def _any_name(source: random.Random) -> str:
    """Return an option that takes a value."""
    among = VALUES.keys() if source.random() < 0.1 else VALUES.keys() - OF_OTHERS
    return source.choice(sorted(among))


def _any_value(option: str, source: random.Random) -> str:
    """Return a value for an option; each list begins with the valid ones."""
    values = VALUES[option]
    return source.choice(values[: (len(values) + 1) // 2] if source.random() < 0.6 else values)


def _spelled(option: str, source: random.Random) -> str:
    """Return an option by one of its names."""
    return source.choice(BY_FLAG[option].flags.split())


# --- the record --------------------------------------------------------------------------------


def stored() -> dict[Line, Entry]:
    """Return the command lines of the record, and the result of each."""
    record: dict[Line, Entry] = {}
    for block in FILE.read_text().rstrip("\n").split("\n\n"):
        first, *rest = block.split("\n")
        ini = (
            rest.pop(0).removeprefix("options.ini ") if rest[0].startswith("options.ini") else "[]"
        )
        line = Line(tuple(json.loads(first)), tuple(json.loads(ini)))
        code = int(rest[0].removeprefix("exit "))
        record[line] = Entry(code, "\n".join(each[4:] for each in rest[1:]))
    return record


def outcome(line: Line, folder: Path) -> Entry:
    """Run the plugin with a command line."""
    secret = folder / "secret"
    secret.touch(mode=0o600)
    secret.write_text(SECRET)
    (folder / "options.ini").write_text("\n".join(line.ini))
    code, out = command_in_process.run(list(line.words), ENVIRONMENT, folder)
    if out.startswith("POP3 UNKNOWN - config: "):
        out = out.partition("\n")[0]
    out = out.replace(f"{PROGRAM} {__version__}", f"{PROGRAM} VERSION")
    # An empty line would end the entry.
    lines = recorded.normalised(out).rstrip("\n").split("\n")
    return Entry(code, "\n".join(lines))


@pytest.mark.skipif(command.IN_PROCESS in os.environ, reason="see recorded.is_recorded")
def test_recorded_command_lines_have_recorded_output(tmp_path: Path) -> None:
    """Each command line has the exit code and the output of the record."""
    is_recording = recorded.RECORD in os.environ
    is_new = is_recording and not FILE.exists()
    lines = list(generated(SEED, COUNT)) if is_new else list(stored())
    outcomes = {line: outcome(line, tmp_path) for line in lines}
    if is_recording:
        FILE.write_text("\n".join(f"{line}{entry}" for line, entry in outcomes.items()))
        return

    record = stored()
    changed = [
        f"{line}now {entry}recorded {record[line]}"
        for line, entry in outcomes.items()
        if entry != record[line]
    ]
    assert not changed, "\n".join([f"{len(changed)} differ; is that meant?", *changed])


def test_generator_has_values_for_all_options() -> None:
    """A new option needs values here."""
    options = OPTIONS.keys() | set(OF_SWEEPS)

    assert options - VALUES.keys() - set(FLAGS) - WITHHELD.keys() == {"--extra-opts"}
