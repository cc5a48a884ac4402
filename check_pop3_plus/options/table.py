"""The table of options. Parser, `--help`, documents and Director basket are made from it."""

from collections.abc import Callable, Mapping, Sequence

from check_pop3_plus import TYPE_CHECKING
from check_pop3_plus.model.failures import MEASURED
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.settings import (
    LOGIN_METHODS,
    TOKEN_METHODS,
    Subject,
    Sweep,
    Verify,
)

PROGRAM = "check_pop3_plus"

SENSITIVITIES = {"very-high": 0, "high": 2, "medium": 5, "low": 7, "very-low": 10}
"""Retries before a failure is reported (contract, section 6)."""


class Entry(Record):
    flags: str
    """All names, separated by spaces; the last one is the long name."""
    value: str = ""
    """Name of the value in `--help`; empty for a flag."""
    help: str = ""
    """One unwrapped line, complete in itself; empty for `unsupported`."""
    choices: tuple[str, ...] = ()
    is_repeatable: bool = False
    is_optional: bool = False
    """Whether the value may be omitted; if given, it is joined by `=`."""
    is_counted: bool = False
    needs: str = ""
    """Flags joined by ` or `: without one of them the option is an error."""
    idle_without: str = ""
    """As `needs`, but without one of them the option has no effect: site-wide defaults may have it."""
    unsupported: str = ""
    """The reason for which an option of check_pop is refused."""

    @property
    def name(self) -> str:
        """The long name."""
        return self.flags.rpartition(" ")[2]


FORMATS = {
    "plugin": "the default",
    "json": "schema in docs/schema-1.json",
    "prometheus": "metrics",
}
"""The values of `--output`; `output/NAME_text` renders the result."""

SUBMIT_FORMS = {
    "icinga2:URL": "to icinga2:URL (API)",
    "nagios:FILE": "nagios:FILE (command file)",
    "prometheus:FILE": "write it as metrics to prometheus:FILE (of the textfile collector of"
    " node_exporter; FILE ends in .prom)",
    "jsonl:-": "or print it as JSON (jsonl:-, one object per line)",
}
"""The values of `--submit`, in the words of its help; `sweep/targets/NAME_target` submits."""

_METHODS = ", ".join(LOGIN_METHODS)
_FORMATS = ", ".join(f"{name} ({what})" for name, what in FORMATS.items())
_SUBMIT = ", ".join(SUBMIT_FORMS.values())
_PHASES = ", ".join(phase.value for phase in MEASURED)
_SUBJECTS = ", ".join(subject.value for subject in Subject)

_AGE = "seconds, or with a unit: 90s, 20m, 12h, 3d; read by TOP"

OF_TLS, _TRIP = "-S or --starttls", "--round-trip-to"

_MAILBOX = "mailbox thresholds (after login)"
_SWEEP = "sweep (many services in one run)"

# fmt: off
GROUPS: dict[str, tuple[Entry, ...]] = {
    "server and addresses": (
        Entry("-H --hostname", "NAME", "host name, IPv4 or IPv6 address; required"),
        Entry("-p --port", "N", "TCP port; default 110, or 995 with -S"),
        Entry("-4 --use-ipv4", "", "use only the IPv4 addresses of the host"),
        Entry("-6 --use-ipv6", "", "use only the IPv6 addresses of the host"),
        Entry("--connect-to", "ADDRESS", "connect to this address instead of that of -H; the certificate is still verified for the name of -H or --sni"),
        Entry("--source-address", "ADDRESS", "connect from this address of this machine"),
        Entry("--all-addresses", "", "check every address of the host in parallel; the worst result counts; the login uses the first address that works"),
        Entry("--min-addresses", "N", "with --all-addresses: OK if at least N addresses work", needs="--all-addresses"),
    ),
    "TLS and trusted CAs": (
        Entry("-S --ssl", "", "TLS from the first byte (port 995)"),
        Entry("--starttls", "", "upgrade to TLS by STLS on the plain-text port (110); it must succeed"),
        Entry("--verify", "MODE", "how to verify the certificate: full (chain and name, the default), chain, none", choices=tuple(mode.value for mode in Verify), idle_without=OF_TLS),
        Entry("--sni", "NAME", "send this name as SNI and verify it, in place of -H", idle_without=OF_TLS),
        Entry("--ca-file", "FILE", "trust the CA certificates in this file (PEM) instead of the system trust store", idle_without=OF_TLS),
        Entry("--ca-path", "DIR", "trust the CA certificates in this hashed directory instead of the system trust store", idle_without=OF_TLS),
        Entry("--tls-min", "VERSION", "minimum TLS version: 1.1, 1.2 (the default), 1.3", choices=("1.1", "1.2", "1.3"), idle_without=OF_TLS),
        Entry("--client-cert", "FILE", "log in to TLS with the client certificate in this file (PEM)", idle_without=OF_TLS),
        Entry("--client-key", "FILE", "file with the private key of the client certificate (PEM), if that of --client-cert does not have it", needs="--client-cert"),
        Entry("--x509-strict", "", "also enforce RFC 5280 rules that most clients ignore", needs=OF_TLS),
    ),
    "certificate requirements": (
        Entry("-D --certificate", "WARN[,CRIT]", "alert when the certificate expires in less than this: days (60), hours (12h), a share of its lifetime (33%), or the smaller of two (30d/33%); implies -S unless --starttls is given"),
        Entry("--pin", "sha256:HASH", "SHA-256 hash that the certificate or its public key must have, in hexadecimal or base64; nothing is sent to another server; repeatable, one must match", is_repeatable=True, needs=OF_TLS),
        Entry("--issuer", "TEXT", "the name of some issuer in the certificate chain must contain TEXT", needs=OF_TLS),
        Entry("--expect-cert-file", "FILE", "the server must send the certificate in this file (PEM); finds a server that was not reloaded", needs=OF_TLS),
        Entry("--min-key-bits", "N", "minimum strength of the certificate key in RSA bits (EC 256 counts as RSA 3072)", needs=OF_TLS),
        Entry("--max-validity", "DAYS", "maximum lifetime of the certificate in days", needs=OF_TLS),
        Entry("--cert-type", "TYPE", "also check the certificate of this key type: rsa, ecdsa, or both as far as the server has them; each with TLS 1.2 on a separate connection", choices=("rsa", "ecdsa", "both"), needs=OF_TLS),
    ),
    "login and password": (
        Entry("-U --username", "NAME", "log in as this user; without it there is no login"),
        Entry("--password-file", "FILE", "read the password of -U from the first line of this file; mode 0600 or 0640"),
        Entry("--password-env", "NAME", "read the password of -U from this environment variable"),
        Entry("--password-command", "CMD", "read the password of -U from the first line that this command prints; no shell"),
        Entry("--auth", "HOW", f"login method: auto (the default: USER and PASS, else PLAIN, else LOGIN), {_METHODS}", choices=("auto", *LOGIN_METHODS), idle_without="-U"),
        Entry("--allow-insecure-login", "", "allow sending the password without verified TLS", idle_without="-U"),
    ),
    "OAuth token (with --auth xoauth2 or oauthbearer)": (
        Entry("--oauth-token-url", "URL", "fetch the OAuth token from this URL, within -t but not counted as response time; HTTPS only, always verified"),
        Entry("--oauth-client-id", "ID", "client (application) ID for the request of an OAuth token"),
        Entry("--oauth-client-secret-file", "FILE", "read the OAuth client secret from the first line of this file; mode 0600 or 0640"),
        Entry("--oauth-refresh-token-file", "FILE", "read an OAuth refresh token from the first line of this file and use it instead of the client credentials; mode 0600 or 0640"),
        Entry("--oauth-scope", "SCOPE", "scope of the request of an OAuth token"),
        Entry("--oauth-ca-file", "FILE", "trust the CA certificates in this file (PEM) for --oauth-token-url instead of the system trust store"),
    ),
    _MAILBOX: (
        Entry("--messages-warning", "RANGE", "WARNING if the number of messages is outside RANGE (100, or 1:100)"),
        Entry("--messages-critical", "RANGE", "CRITICAL if the number of messages is outside RANGE (100, or 1:100)"),
        Entry("--size-warning", "RANGE", "WARNING if the mailbox size in bytes is outside RANGE (500M, or 1K:2G); K, M, G are powers of 1024"),
        Entry("--size-critical", "RANGE", "CRITICAL if the mailbox size in bytes is outside RANGE (500M, or 1K:2G); K, M, G are powers of 1024"),
        Entry("--newest-warning", "AGE", f"WARNING if the newest message is older than AGE, so that no mail arrives ({_AGE})"),
        Entry("--newest-critical", "AGE", f"CRITICAL if the newest message is older than AGE ({_AGE})"),
        Entry("--oldest-warning", "AGE", f"WARNING if the oldest message is older than AGE, so that no mail is fetched ({_AGE})"),
        Entry("--oldest-critical", "AGE", f"CRITICAL if the oldest message is older than AGE ({_AGE})"),
    ),
    "round trip: send a message, find it in the mailbox": (
        Entry("--round-trip-to", "ADDRESS", "send a probe to this address in each run, and alert if none arrives in the mailbox of -U; own probes are deleted but the newest"),
        Entry("--round-trip-key-file", "FILE", "sign the probes of a round trip with the key in the first line of this file, at least 32 random bytes; a key in a second line only verifies; mode 0600 or 0640", needs=_TRIP),
        Entry("--round-trip-id", "ID", "identifier of the probes of this round trip; others are not touched; default: host name of this machine, and -H", needs=_TRIP),
        Entry("--round-trip-wait", "N", "wait up to N seconds for the round-trip probe of this run; default 0: the next run judges it, unless the newest is too old", needs=_TRIP),
        Entry("--round-trip-fetch-only", "", "send no round-trip probe: something else sends them, signed with the same key", needs=_TRIP),
        Entry("--probe-age-warning", "AGE", "WARNING if the newest round-trip probe is older than AGE and that of this run does not arrive; default 15m", needs=_TRIP),
        Entry("--probe-age-critical", "AGE", "CRITICAL if the newest round-trip probe is older than AGE and that of this run does not arrive; default 30m", needs=_TRIP),
        Entry("--delivery-warning", "RANGE", "WARNING if a probe that --round-trip-wait waited for took a time in seconds outside RANGE", needs=_TRIP),
        Entry("--delivery-critical", "RANGE", "CRITICAL if a probe that --round-trip-wait waited for took a time in seconds outside RANGE", needs=_TRIP),
        Entry("--smtp-host", "NAME", "SMTP server that takes the probes of a round trip", needs=_TRIP),
        Entry("--smtp-port", "N", "SMTP port of --smtp-host; default 25, 465 with --smtp-ssl, 587 with --smtp-starttls", needs=_TRIP),
        Entry("--smtp-ssl", "", "SMTP with TLS from the first byte (port 465)", needs=_TRIP),
        Entry("--smtp-starttls", "", "upgrade SMTP to TLS by STARTTLS; it must succeed", needs=_TRIP),
        Entry("--smtp-connect-to", "ADDRESS", "connect to this address for SMTP; the certificate is still verified for --smtp-host", needs=_TRIP),
        Entry("--smtp-ca-file", "FILE", "trust the CA certificates in this file (PEM) for SMTP; default as for POP3", needs=_TRIP),
        Entry("--smtp-from", "ADDRESS", "sender of the probes of a round trip, also in the envelope: bounces go there", needs=_TRIP),
        Entry("--smtp-helo", "NAME", "name of this machine in EHLO; default: the address of this machine as [192.0.2.1]", needs=_TRIP),
        Entry("--smtp-username", "NAME", "log in to the SMTP server as this user", needs=_TRIP),
        Entry("--smtp-password-file", "FILE", "read the SMTP password from the first line of this file; mode 0600 or 0640", needs=_TRIP),
        Entry("--smtp-password-env", "NAME", "read the SMTP password from this environment variable", needs=_TRIP),
        Entry("--smtp-password-command", "CMD", "read the SMTP password from the first line that this command prints; no shell", needs=_TRIP),
        Entry("--smtp-auth", "HOW", "SMTP login method: auto (the default: PLAIN, else LOGIN), plain, login, xoauth2, oauthbearer; xoauth2 and oauthbearer may use --oauth-...", choices=("auto", "plain", "login", *TOKEN_METHODS), idle_without=_TRIP),
    ),
    "response time and timeouts": (
        Entry("-w --warning", "RANGE", "WARNING if the response time in seconds is outside RANGE (2, or 0.1:2)"),
        Entry("-c --critical", "RANGE", "CRITICAL if the response time in seconds is outside RANGE (2, or 0.1:2)"),
        Entry("--phase-warning", "PHASE=RANGE", f"WARNING if the time of one phase in seconds is outside RANGE (connect=1); phases: {_PHASES}; repeatable", is_repeatable=True),
        Entry("--phase-critical", "PHASE=RANGE", f"CRITICAL if the time of one phase in seconds is outside RANGE (connect=1); phases: {_PHASES}; repeatable", is_repeatable=True),
        Entry("-t --timeout", "N[:STATE]", "timeout per attempt in seconds, DNS lookup included; default 10; :STATE is short for --state timeout=STATE"),
        Entry("--run-timeout", "N", "timeout of the whole run in seconds; default as -t, or 50 with --diagnose, --sensitivity, --rechecks, --round-trip-to or --sweep"),
    ),
    "text of the greeting": (
        Entry("-e --expect", "TEXT", "text that the greeting must contain, else WARNING; repeatable, one must match", is_repeatable=True),
        Entry("-A --all", "", "the greeting must contain every --expect text, not just one", idle_without="-e"),
    ),
    "what the server must and must not do": (
        Entry("--require-capa", "LIST", "capabilities that the server must offer, inside TLS if it is used: UIDL,SASL=PLAIN"),
        Entry("--refuse-cleartext-login", "[=try]", "the plain-text port must not offer a login by password before TLS, or, with =try, not accept one of a non-existent user either; on a separate connection", choices=("try",), is_optional=True),
        Entry("--check-starttls-injection", "", "a command sent together with STLS must not be answered inside TLS; tested on a separate connection", needs="--starttls"),
        Entry("--reject-legacy-tls", "", "the server must reject handshakes that offer only TLS 1.0 or 1.1; tested on separate connections", needs=OF_TLS),
    ),
    "state of each kind of failure": (
        Entry("--state", "KIND=STATE", "state of one kind of failure, by the name that a result has behind kind: (refused=warning); states: ok, warning, critical, unknown; repeatable", is_repeatable=True),
        Entry("-r --refuse", "STATE", "state when the connection is refused; short for --state refused=STATE"),
        Entry("-M --mismatch", "STATE", "state when the greeting lacks the --expect text; short for --state expect=STATE", idle_without="-e"),
    ),
    "retries and diagnostics": (
        Entry("--diagnose", "[=LIST]", f"on failure, run diagnostics within --run-timeout (default: those that fit the failure), or only those of LIST: {_SUBJECTS}", is_optional=True),
        Entry("--sensitivity", "HOW", "retries before a failure is reported: very-high (none), high (2), medium (5), low (7), very-low (10), 2 s apart", choices=tuple(SENSITIVITIES)),
        Entry("--rechecks", "N", "retries before a failure is reported, 2 s apart (0 to 100)"),
    ),
    _SWEEP: (
        Entry("--sweep", "FILE", "check every service [HOST!SERVICE] of this INI file; its keys are the long options; the section DEFAULT and other options on the command line apply to all services"),
        Entry("--jobs", "N", f"parallel checks of a sweep (default {Sweep.jobs})"),
        Entry("--jobs-per-address", "N", f"parallel checks of a sweep at one address (default {Sweep.jobs_per_address}), and one login of each user there, so that the sweep does not cause the refusals that it reports"),
        Entry("--workers", "N", "processes that share the checks of a sweep and --jobs (default 1; from 500 services on one per processor); the services of one host name have the same one"),
        Entry("--submit", "TO", f"submit each result of a sweep {_SUBMIT}; the exit code then reports the sweep itself"),
        Entry("--icinga-user", "NAME", "user of the Icinga 2 API for --submit icinga2:URL"),
        Entry("--icinga-password-file", "FILE", "read the password of the Icinga 2 API from the first line of this file; mode 0600 or 0640"),
        Entry("--icinga-ca-file", "FILE", "trust the CA certificates in this file (PEM) for the Icinga 2 API instead of the system trust store"),
    ),
    "output and INI files": (
        Entry("-v --verbose", "", "print more lines; -vv adds settings and certificate chain, -vvv the transcript with secrets masked", is_counted=True),
        Entry("--output", "FORMAT", f"format of the result of a single check: {_FORMATS}", choices=tuple(FORMATS)),
        Entry("--extra-opts", "=[SECTION][@FILE]", "read more options from an INI file; default section check_pop3_plus", is_optional=True),
        Entry("-V --version", "", "show the version"),
        Entry("-h --help", "", "show this help"),
    ),
}
"""The options in the order of `--help`, which shows those of `COMMON` first."""

COMMON = (
    *("--hostname", "--port", "--ssl", "--starttls", "--certificate", "--username"),
    *("--password-file", "--warning", "--critical", "--timeout", "--verbose", "--help"),
)

UNSUPPORTED = (
    Entry("-s --send", "TEXT", is_optional=True, unsupported="the plugin sends its own POP3 commands"),
    Entry("-q --quit", "TEXT", is_optional=True, unsupported="QUIT is always sent"),
    Entry("-E --escape", unsupported="there is no --send or --quit string to escape"),
    Entry("-j --jail", unsupported="server text is always sanitised and cannot be hidden"),
    Entry("-m --maxbytes", "N", is_optional=True, unsupported="the limits on replies are fixed"),
    Entry("-d --delay", "N", is_optional=True, unsupported="use --rechecks or -t instead; there is nothing to delay"),
)
# fmt: on
"""Options of check_pop that have no use here."""

ENTRIES = tuple(entry for entries in GROUPS.values() for entry in entries)

BY_FLAG = {flag: entry for entry in (*ENTRIES, *UNSUPPORTED) for flag in entry.flags.split()}

OF_MAILBOX, OF_SWEEPS = (
    tuple(entry.name for entry in GROUPS[group]) for group in (_MAILBOX, _SWEEP)
)
"""The long names of the options of two groups; the second ones are used by `--sweep` alone."""


if TYPE_CHECKING:
    from typing import TypeVar

    _T = TypeVar("_T")


class Given(dict[str, list[str]]):
    """The values of each given option by its long name, in order; "" for each use of a flag."""

    def last(self, option: str) -> str | None:
        """Return the last value of an option, which overrides the others; None if it is not given."""
        values = self.get(option)
        return values[-1] if values else None

    def checked(self, option: str, check: "Callable[[str, str], _T]") -> "_T | None":
        """Return the validated last value of an option; None if it is not given."""
        return self.needed(option, check) if option in self else None

    def needed(self, option: str, check: "Callable[[str, str], _T]") -> "_T":
        """Return the validated last value of an option that is given."""
        return check(self[option][-1], option)

    def selected(self, choices: "Mapping[str, _T]", default: "_T") -> "_T":
        """Return what the first of several flags selects that is given."""
        return next((choices[option] for option in choices if option in self), default)


def merge(*layers: Mapping[str, Sequence[str]]) -> Given:
    """Return the options of all layers: a later one overrides single values and adds to lists.

    An option without values is one that a layer switches off.
    """
    merged = Given()
    for layer in layers:
        for option, values in layer.items():
            merged.setdefault(option, []).extend(values)
            if not values:
                del merged[option]
    return merged
