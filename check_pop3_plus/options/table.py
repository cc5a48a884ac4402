"""The one table of options. Parser, `--help`, README and Director basket are made from it."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from check_pop3_plus.model.failures import MEASURED
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.settings import LOGIN_METHODS, Subject, Verify

PROGRAM = "check_pop3_plus"
DEFAULT_JOBS = 128

SENSITIVITIES = {"very-high": 0, "high": 2, "medium": 5, "low": 7, "very-low": 10}
"""Retries before a failure is reported (contract, section 6)."""


class Entry(Record):
    """An option."""

    flags: str
    """All names, separated by spaces; the last one is the long name."""
    value: str = ""
    """Name of the value in `--help`; empty for a flag."""
    help: str = ""
    """One unwrapped line that can be read without its neighbours; empty for `unsupported`."""
    choices: tuple[str, ...] = ()
    is_repeatable: bool = False
    is_optional: bool = False
    """Whether the value may be missing; where it is given, it is joined by `=`."""
    is_counted: bool = False
    is_file: bool = False
    """Whether the value is the path of a file or directory."""
    needs_tls: bool = False
    of_sweep: bool = False
    """Whether only `--sweep` uses it."""
    unsupported: str = ""
    """Why an option of check_pop is refused."""

    @property
    def name(self) -> str:
        """The long name."""
        return self.flags.rpartition(" ")[2]


_PHASES = ", ".join(phase.value for phase in MEASURED)

GROUPS: dict[str, tuple[Entry, ...]] = {
    "target": (
        Entry("-H --hostname", "NAME", "host name, IPv4 or IPv6 address; required"),
        Entry("-p --port", "N", "default 110; 995 with -S"),
        Entry("-4 --use-ipv4", help="only IPv4"),
        Entry("-6 --use-ipv6", help="only IPv6"),
        Entry(
            "--connect-to",
            "ADDRESS",
            "open the connection there; the certificate is still judged for the name",
        ),
        Entry("--source-address", "ADDRESS", "connect from this local address"),
        Entry(
            "--all-addresses",
            help="probe every address of the name, side by side; the worst decides; the login happens on the first that works",
        ),
        Entry("--min-addresses", "N", "with --all-addresses: N good ones are enough"),
    ),
    "TLS": (
        Entry("-S --ssl", help="TLS from the first byte (port 995)"),
        Entry("--starttls", help="STLS on the plain port; it must succeed"),
        Entry(
            "--verify",
            "MODE",
            "what of the certificate must hold: full (chain and name, the default), chain, none",
            choices=tuple(mode.value for mode in Verify),
        ),
        Entry("--sni", "NAME", "send and verify this name in place of -H"),
        Entry(
            "--ca-file",
            "FILE",
            "trust these certificates (PEM), not the system's store",
            is_file=True,
        ),
        Entry(
            "--ca-path", "DIR", "trust this hashed directory, not the system's store", is_file=True
        ),
        Entry(
            "--tls-min",
            "VERSION",
            "oldest TLS version: 1.1, 1.2 (the default), 1.3",
            choices=("1.1", "1.2", "1.3"),
        ),
        Entry("--client-cert", "FILE", "client certificate (PEM) to show", is_file=True),
        Entry("--client-key", "FILE", "its key, where it is not in the same file", is_file=True),
        Entry(
            "--x509-strict",
            help="also demand what of RFC 5280 most clients do not mind",
            needs_tls=True,
        ),
    ),
    "certificate": (
        Entry(
            "-D --certificate",
            "WARN[,CRIT]",
            "alert when less is left: days (60), hours (12h), a share of the lifetime (33%), or the smaller of two (30d/33%); implies -S without --starttls",
        ),
        Entry(
            "--pin",
            "sha256:HASH",
            "the certificate, or its public key, must have this hash (in hexadecimal or base64); repeatable, one must fit; else nothing is sent",
            is_repeatable=True,
            needs_tls=True,
        ),
        Entry(
            "--issuer",
            "TEXT",
            "who issued it, directly or not, must have TEXT in the name",
            needs_tls=True,
        ),
        Entry(
            "--expect-cert-file",
            "FILE",
            "the certificate served must be the one in this file (PEM): was the server reloaded?",
            is_file=True,
            needs_tls=True,
        ),
        Entry(
            "--min-key-bits",
            "N",
            "its key must be RSA of N bits, or as strong (EC 256 is like RSA 3072)",
            needs_tls=True,
        ),
        Entry(
            "--max-validity", "DAYS", "it must have been issued for DAYS at most", needs_tls=True
        ),
    ),
    "login": (
        Entry("-U --username", "NAME", "log in as this user"),
        Entry(
            "--password-file", "FILE", "first line of this file; mode 0600 or 0640", is_file=True
        ),
        Entry("--password-env", "NAME", "from this environment variable"),
        Entry("--password-command", "CMD", "first line that this command prints; no shell"),
        Entry(
            "--auth",
            "HOW",
            "how to log in: auto (the default: USER and PASS, else PLAIN, else LOGIN), "
            + ", ".join(LOGIN_METHODS),
            choices=("auto", *LOGIN_METHODS),
        ),
        Entry(
            "--allow-insecure-login",
            help="send the password although the link is not fully verified TLS",
        ),
    ),
    "OAuth token (with --auth xoauth2 or oauthbearer)": (
        Entry(
            "--oauth-token-url",
            "URL",
            "fetch a token there, within -t but not in the response time; https alone, always verified",
        ),
        Entry("--oauth-client-id", "ID", "the client (application) that asks"),
        Entry(
            "--oauth-client-secret-file",
            "FILE",
            "its secret: first line of this file; mode 0600 or 0640",
            is_file=True,
        ),
        Entry(
            "--oauth-refresh-token-file",
            "FILE",
            "ask with the refresh token in such a file, not with the client's own credentials",
            is_file=True,
        ),
        Entry("--oauth-scope", "SCOPE", "what to ask for"),
        Entry(
            "--oauth-ca-file",
            "FILE",
            "trust these certificates (PEM) for the URL, not the system's store",
            is_file=True,
        ),
    ),
    "mailbox (after login)": (
        Entry("--messages-warning", "RANGE", "number of messages"),
        Entry("--messages-critical", "RANGE", "number of messages"),
        Entry("--size-warning", "RANGE", "size in octets; K, M, G are powers of 1024"),
        Entry("--size-critical", "RANGE", "size in octets; K, M, G are powers of 1024"),
    ),
    "time": (
        Entry("-w --warning", "RANGE", "response time in seconds"),
        Entry("-c --critical", "RANGE", "response time in seconds"),
        Entry(
            "--phase-warning",
            "PHASE=RANGE",
            f"time of one phase ({_PHASES}); repeatable",
            is_repeatable=True,
        ),
        Entry("--phase-critical", "PHASE=RANGE", "the same; repeatable", is_repeatable=True),
        Entry(
            "-t --timeout",
            "N[:STATE]",
            "seconds for one look, name look-up included; default 10; :STATE is short for --state timeout=STATE",
        ),
        Entry(
            "--run-timeout",
            "N",
            "seconds for the whole run; default what -t says, or 50 with --diagnose, --sensitivity, --rechecks or --sweep",
        ),
    ),
    "greeting": (
        Entry(
            "-e --expect",
            "TEXT",
            "the greeting must contain it, else WARNING; repeatable",
            is_repeatable=True,
        ),
        Entry("-A --all", help="all of them, not any"),
    ),
    "assertions": (
        Entry("--require-capa", "LIST", "the server must offer these, inside TLS: UIDL,SASL=PLAIN"),
        Entry(
            "--refuse-cleartext-login",
            help="the plain port must not offer or take a password before TLS; tried with a user that nobody has, on a connection of its own",
        ),
        Entry(
            "--check-starttls-injection",
            help="a command sent behind STLS must not be answered inside TLS; on a connection of its own",
        ),
        Entry(
            "--reject-legacy-tls",
            help="handshakes that offer only TLS 1.0 or 1.1 must fail; on connections of their own",
            needs_tls=True,
        ),
    ),
    "judgement": (
        Entry(
            "--state",
            "KIND=STATE",
            "what one kind of failure counts as: ok, warning, critical, unknown; repeatable",
            is_repeatable=True,
        ),
        Entry("-r --refuse", "STATE", "short for --state refused=STATE"),
        Entry("-M --mismatch", "STATE", "short for --state expect=STATE"),
    ),
    "failure": (
        Entry(
            "--diagnose",
            "[=LIST]",
            "find out why, within --run-timeout: what fits the failure, or these of "
            + ", ".join(subject.value for subject in Subject),
            is_optional=True,
        ),
        Entry(
            "--sensitivity",
            "HOW",
            "how soon a failure is believed: very-high (at once), high (after 2 further looks), medium (5), low (7), very-low (10)",
            choices=tuple(SENSITIVITIES),
        ),
        Entry("--rechecks", "N", "the same: after N further looks, 2 s apart"),
    ),
    "sweep (many servers in one run)": (
        Entry(
            "--sweep",
            "FILE",
            "check every [HOST!SERVICE] of this INI file, whose keys are the long options; what [DEFAULT] holds, and other options given here, count for all",
            is_file=True,
            of_sweep=True,
        ),
        Entry("--jobs", "N", "so many at once; default 128", of_sweep=True),
        Entry(
            "--submit",
            "TO",
            "hand each result to icinga2:URL (its API), nagios:FILE (its command file), or jsonl:- (an object a line, in place of the text); the exit code is then about the sweep itself",
            of_sweep=True,
        ),
        Entry("--icinga-user", "NAME", "user of the API", of_sweep=True),
        Entry(
            "--icinga-password-file",
            "FILE",
            "first line of this file; mode 0600 or 0640",
            is_file=True,
            of_sweep=True,
        ),
        Entry(
            "--icinga-ca-file",
            "FILE",
            "trust these certificates (PEM) for the API, not the system's store",
            is_file=True,
            of_sweep=True,
        ),
    ),
    "output and options": (
        Entry(
            "-v --verbose",
            help="more lines; -vv with settings and chain; -vvv with the redacted dialogue",
            is_counted=True,
        ),
        Entry(
            "--extra-opts",
            "=[SECTION][@FILE]",
            "more options from an INI file; default section check_pop3_plus",
            is_optional=True,
        ),
        Entry("-V --version", help="version"),
        Entry("-h --help", help="this help"),
    ),
}
"""What `--help` shows, in its order."""

UNSUPPORTED = (
    Entry("-s --send", "TEXT", is_optional=True, unsupported="the plugin speaks POP3 by itself"),
    Entry("-q --quit", "TEXT", is_optional=True, unsupported="QUIT is sent by itself"),
    Entry("-E --escape", unsupported="there is no --send and no --quit to escape in"),
    Entry("-j --jail", unsupported="server text is always made harmless; it cannot be hidden"),
    Entry("-m --maxbytes", "N", is_optional=True, unsupported="limits on replies are built in"),
    Entry(
        "-d --delay",
        "N",
        is_optional=True,
        unsupported="nothing is sent that a delay could stand before",
    ),
)
"""Options of check_pop that make no sense here."""

ENTRIES = tuple(entry for entries in GROUPS.values() for entry in entries)

BY_FLAG = {flag: entry for entry in (*ENTRIES, *UNSUPPORTED) for flag in entry.flags.split()}

OF_SWEEPS = tuple(entry.name for entry in ENTRIES if entry.of_sweep)

NEED_TLS = tuple(entry.name for entry in ENTRIES if entry.needs_tls)

_T = TypeVar("_T")


class Given(dict[str, list[str]]):
    """The values of each given option, by its long name, in order; "" for each use of a flag."""

    def last(self, option: str) -> str | None:
        """Return the value that counts of an option with one value; None where it is not given."""
        values = self.get(option)
        return values[-1] if values else None

    def checked(self, option: str, check: Callable[[str, str], _T]) -> _T | None:
        """Return what a validator makes of the last value; None where the option is not given."""
        values = self.get(option)
        return check(values[-1], option) if values else None


def merge(*layers: Mapping[str, Sequence[str]]) -> Given:
    """Return the options of all layers: a later one overrides single values and adds to lists."""
    merged = Given()
    for layer in layers:
        for option, values in layer.items():
            merged.setdefault(option, []).extend(values)
    return merged
