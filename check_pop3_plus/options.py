"""The one table of options: from argv, or a section of an INI file, to `Settings`.

Everything a user can get wrong is found here, before anything is opened, and said in one line.
"""

import argparse
import re
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import NoReturn

from check_pop3_plus import ini, values
from check_pop3_plus.failures import MEASURED, OURS, Kind
from check_pop3_plus.settings import (
    WAYS,
    Assertions,
    CommandFile,
    Expectation,
    Family,
    Grant,
    IcingaApi,
    JsonLines,
    Limits,
    Login,
    RangePair,
    SecretSource,
    Security,
    Settings,
    State,
    Subject,
    Sweep,
    Target,
    Thresholds,
    TlsPolicy,
    Verify,
)
from check_pop3_plus.text import clean
from check_pop3_plus.values import UsageError

PROGRAM = "check_pop3_plus"
DEFAULT_TIMEOUT = 10.0
LONG_RUN_TIMEOUT = 50.0
"""With further looks, a diagnosis or a sweep: Icinga and Nagios end a plugin after 60 s."""

_SENSITIVITIES = {"very-high": 0, "high": 2, "medium": 5, "low": 7, "very-low": 10}
"""How often to look again (contract, section 6)."""

DEFAULT_JOBS = 128

_EPILOG = """\
RANGE is the plugin guidelines' [@][start:][end]: alert outside of it, with @ inside;
~ is minus infinity. KIND is the name on the `kind:` line of a result that is not OK.

examples:
  check_pop3_plus -H pop.example.org                                      # up and answering
  check_pop3_plus -H pop.example.org -S -U monitor --password-file FILE   # can log in
  check_pop3_plus -H pop.example.org -S                                   # certificate verified
  check_pop3_plus -H pop.example.org -S -D 60                             # WARNING 60 days before

Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; also 3 for this help and for --version."""


class Asked(Exception):
    """Help or version was asked for; the text is the message."""


class _Parser(argparse.ArgumentParser):
    @cached_property
    def valued(self) -> frozenset[str]:
        """The flags that need a value."""
        return frozenset(
            flag
            for action in self._actions
            if action.nargs is None and not isinstance(action, argparse._CountAction)
            for flag in action.option_strings
        )

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{clean(message, 150)} (--help shows the options)")


class _Help(argparse.HelpFormatter):
    """The same look on every Python: `-H, --hostname NAME`, and a fixed width."""

    def __init__(self, prog: str) -> None:
        # Where the help of -D begins; longer options get a line of their own.
        super().__init__(prog, max_help_position=33, width=100)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        flags = ", ".join(action.option_strings)
        if action.nargs == 0:
            return flags
        if action.nargs == "?":
            return f"{flags}{action.metavar}"
        return f"{flags} {self._format_args(action, action.dest.upper())}"

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text

    def _format_usage(self, *_: object) -> str:
        return f"usage: {PROGRAM} -H NAME [options]\n\n"


class _Tell(argparse.Action):
    """--help and --version: raise what is to be printed, so that the exit code is 3."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        raise Asked(parser.format_help() if self.dest == "help" else str(self.const))


class _NotHere(argparse.Action):
    """An option of check_pop that makes no sense here, with the reason."""

    def __call__(self, *arguments: object) -> NoReturn:
        raise UsageError(f"{arguments[-1]} of check_pop is not supported: {self.const}")


def parser() -> _Parser:
    """Return the table of options."""
    from check_pop3_plus import __version__

    table = _Parser(
        prog=PROGRAM,
        description="Check a POP3 server: does it answer, how fast, can a user log in, is its\n"
        "certificate valid, and for how many days.",
        epilog=_EPILOG,
        formatter_class=_Help,
        add_help=False,
        allow_abbrev=False,
    )

    group = table.add_argument_group("target")
    add = group.add_argument
    add("-H", "--hostname", metavar="NAME", help="host name, IPv4 or IPv6 address; required")
    add("-p", "--port", metavar="N", help="default 110; 995 with -S")
    add("-4", "--use-ipv4", action="store_true", help="only IPv4")
    add("-6", "--use-ipv6", action="store_true", help="only IPv6")
    add(
        "--connect-to",
        metavar="ADDRESS",
        help="open the connection there; the certificate is still judged for the name",
    )
    add("--source-address", metavar="ADDRESS", help="connect from this local address")
    add(
        "--all-addresses",
        action="store_true",
        help="probe every address of the name, side by side; the worst decides; the login happens"
        " on the first that works",
    )
    add(
        "--min-addresses",
        metavar="N",
        help="with --all-addresses: N good ones are enough",
    )

    group = table.add_argument_group("TLS")
    add = group.add_argument
    add("-S", "--ssl", action="store_true", help="TLS from the first byte (port 995)")
    add("--starttls", action="store_true", help="STLS on the plain port; it must succeed")
    add(
        "--verify",
        metavar="MODE",
        type=values.one_of("--verify", [mode.value for mode in Verify]),
        default="full",
        help="what of the certificate must hold: full (chain and name, the default), chain, none",
    )
    add("--sni", metavar="NAME", help="send and verify this name in place of -H")
    add("--ca-file", metavar="FILE", help="trust these certificates (PEM), not the system's store")
    add("--ca-path", metavar="DIR", help="trust this hashed directory, not the system's store")
    add(
        "--tls-min",
        metavar="VERSION",
        type=values.one_of("--tls-min", ["1.1", "1.2", "1.3"]),
        default="1.2",
        help="oldest TLS version: 1.1, 1.2 (the default), 1.3",
    )
    add("--client-cert", metavar="FILE", help="client certificate (PEM) to show")
    add("--client-key", metavar="FILE", help="its key, where it is not in the same file")
    add(
        "--x509-strict",
        action="store_true",
        help="also demand what of RFC 5280 most clients do not mind",
    )

    group = table.add_argument_group("certificate")
    add = group.add_argument
    add(
        "-D",
        "--certificate",
        metavar="WARN[,CRIT]",
        help="alert when less is left: days (60), hours (12h), a share of the lifetime (33%%),"
        " or the smaller of two (30d/33%%); implies -S without --starttls",
    )
    add(
        "--pin",
        metavar="sha256:HASH",
        action="append",
        help="the certificate, or its public key, must have this hash (in hexadecimal or base64);"
        " repeatable, one must fit; else nothing is sent",
    )
    add(
        "--issuer",
        metavar="TEXT",
        help="who issued it, directly or not, must have TEXT in the name",
    )
    add(
        "--expect-cert-file",
        metavar="FILE",
        help="the certificate served must be the one in this file (PEM): was the server reloaded?",
    )
    add(
        "--min-key-bits",
        metavar="N",
        help="its key must be RSA of N bits, or as strong (EC 256 is like RSA 3072)",
    )
    add("--max-validity", metavar="DAYS", help="it must have been issued for DAYS at most")

    group = table.add_argument_group("login")
    add = group.add_argument
    add("-U", "--username", metavar="NAME", help="log in as this user")
    add("--password-file", metavar="FILE", help="first line of this file; mode 0600 or 0640")
    add("--password-env", metavar="NAME", help="from this environment variable")
    add("--password-command", metavar="CMD", help="first line that this command prints; no shell")
    add(
        "--auth",
        metavar="HOW",
        type=values.one_of("--auth", ["auto", *WAYS]),
        default="auto",
        help=f"how to log in: auto (the default: USER and PASS, else PLAIN, else LOGIN),"
        f" {', '.join(WAYS)}",
    )
    add(
        "--allow-insecure-login",
        action="store_true",
        help="send the password although the link is not fully verified TLS",
    )

    group = table.add_argument_group("OAuth token (with --auth xoauth2 or oauthbearer)")
    add = group.add_argument
    add(
        "--oauth-token-url",
        metavar="URL",
        help="fetch a token there, within -t but not in the response time; https alone, always"
        " verified",
    )
    add("--oauth-client-id", metavar="ID", help="the client (application) that asks")
    add(
        "--oauth-client-secret-file",
        metavar="FILE",
        help="its secret: first line of this file; mode 0600 or 0640",
    )
    add(
        "--oauth-refresh-token-file",
        metavar="FILE",
        help="ask with the refresh token in such a file, not with the client's own credentials",
    )
    add("--oauth-scope", metavar="SCOPE", help="what to ask for")
    add(
        "--oauth-ca-file",
        metavar="FILE",
        help="trust these certificates (PEM) for the URL, not the system's store",
    )

    group = table.add_argument_group("mailbox (after login)")
    add = group.add_argument
    add("--messages-warning", metavar="RANGE", help="number of messages")
    add("--messages-critical", metavar="RANGE", help="number of messages")
    add("--size-warning", metavar="RANGE", help="size in octets; K, M, G are powers of 1024")
    add("--size-critical", metavar="RANGE", help="size in octets; K, M, G are powers of 1024")

    group = table.add_argument_group("time")
    add = group.add_argument
    add("-w", "--warning", metavar="RANGE", help="response time in seconds")
    add("-c", "--critical", metavar="RANGE", help="response time in seconds")
    phases = ", ".join(phase.value for phase in MEASURED)
    add(
        "--phase-warning",
        metavar="PHASE=RANGE",
        action="append",
        help=f"time of one phase ({phases}); repeatable",
    )
    add("--phase-critical", metavar="PHASE=RANGE", action="append", help="the same; repeatable")
    add(
        "-t",
        "--timeout",
        metavar="N[:STATE]",
        help="seconds for one look, name look-up included; default 10;"
        " :STATE is short for --state timeout=STATE",
    )
    add(
        "--run-timeout",
        metavar="N",
        help="seconds for the whole run; default what -t says, or 50 with --diagnose,"
        " --sensitivity, --rechecks or --sweep",
    )

    group = table.add_argument_group("greeting")
    add = group.add_argument
    add(
        "-e",
        "--expect",
        metavar="TEXT",
        action="append",
        help="the greeting must contain it, else WARNING; repeatable",
    )
    add("-A", "--all", action="store_true", help="all of them, not any")

    group = table.add_argument_group("assertions")
    add = group.add_argument
    add(
        "--require-capa",
        metavar="LIST",
        help="the server must offer these, inside TLS: UIDL,SASL=PLAIN",
    )
    add(
        "--refuse-cleartext-login",
        action="store_true",
        help="the plain port must not offer or take a password before TLS; tried with a user that"
        " nobody has, on a connection of its own",
    )
    add(
        "--check-starttls-injection",
        action="store_true",
        help="a command sent behind STLS must not be answered inside TLS; on a connection of its"
        " own",
    )

    add(
        "--reject-legacy-tls",
        action="store_true",
        help="handshakes that offer only TLS 1.0 or 1.1 must fail; on connections of their own",
    )

    group = table.add_argument_group("judgement")
    add = group.add_argument
    add(
        "--state",
        metavar="KIND=STATE",
        action="append",
        help="what one kind of failure counts as: ok, warning, critical, unknown; repeatable",
    )
    add("-r", "--refuse", metavar="STATE", help="short for --state refused=STATE")
    add("-M", "--mismatch", metavar="STATE", help="short for --state expect=STATE")

    group = table.add_argument_group("failure")
    add = group.add_argument
    add(
        "--diagnose",
        metavar="[=LIST]",
        nargs="?",
        const="",
        help="find out why, within --run-timeout: what fits the failure, or these of"
        f" {', '.join(subject.value for subject in Subject)}",
    )
    add(
        "--sensitivity",
        metavar="HOW",
        type=values.one_of("--sensitivity", list(_SENSITIVITIES)),
        help="how soon a failure is believed: very-high (at once), high (after 2 further looks),"
        " medium (5), low (7), very-low (10)",
    )
    add("--rechecks", metavar="N", help="the same: after N further looks, 2 s apart")

    group = table.add_argument_group("sweep (many servers in one run)")
    add = group.add_argument
    add(
        "--sweep",
        metavar="FILE",
        help="check every [HOST!SERVICE] of this INI file, whose keys are the long options; what"
        " [DEFAULT] holds, and other options given here, count for all",
    )
    add("--jobs", metavar="N", help="so many at once; default 128")
    add(
        "--submit",
        metavar="TO",
        help="hand each result to icinga2:URL (its API), nagios:FILE (its command file), or"
        " jsonl:- (an object a line, in place of the text); the exit code is then about the sweep"
        " itself",
    )
    add("--icinga-user", metavar="NAME", help="user of the API")
    add(
        "--icinga-password-file",
        metavar="FILE",
        help="first line of this file; mode 0600 or 0640",
    )
    add(
        "--icinga-ca-file",
        metavar="FILE",
        help="trust these certificates (PEM) for the API, not the system's store",
    )

    group = table.add_argument_group("output and options")
    add = group.add_argument
    add(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="more lines; -vv with settings and chain; -vvv with the redacted dialogue",
    )
    add(
        "--extra-opts",
        metavar="=[SECTION][@FILE]",
        nargs="?",
        help="more options from an INI file; default section check_pop3_plus",
    )
    add("-V", "--version", action=_Tell, nargs=0, const=f"{PROGRAM} {__version__}", help="version")
    add("-h", "--help", action=_Tell, nargs=0, help="this help")

    for flags, nargs, reason in (
        (("-s", "--send"), "?", "the plugin speaks POP3 by itself"),
        (("-q", "--quit"), "?", "QUIT is sent by itself"),
        (("-E", "--escape"), 0, "there is no --send and no --quit to escape in"),
        (("-j", "--jail"), 0, "server text is always made harmless; it cannot be hidden"),
        (("-m", "--maxbytes"), "?", "limits on replies are built in"),
        (("-d", "--delay"), "?", "nothing is sent that a delay could stand before"),
    ):
        table.add_argument(
            *flags, action=_NotHere, nargs=nargs, const=reason, help=argparse.SUPPRESS
        )
    return table


def read(argv: Sequence[str]) -> Settings | Sweep:
    """Return what a command line means.

    Raises UsageError (or ProbeError of kind config, for an INI file), and Asked.
    """
    table = parser()
    words = _joined(table, _with_extra_options(list(argv)))
    chosen = _chosen(table, words)
    return _settings(chosen) if chosen.sweep is None else _sweep(chosen, words)


def parse(argv: Sequence[str], table: _Parser | None = None) -> Settings:
    """Return the settings of one check; `table` is the parser, where there is one already.

    Raises as `read` does.
    """
    table = table or parser()
    return _settings(_chosen(table, _joined(table, _with_extra_options(list(argv)))))


def _chosen(table: _Parser, words: list[str]) -> argparse.Namespace:
    chosen, rest = table.parse_known_args(words)
    if rest:
        raise UsageError(f"unknown argument {clean(rest[0], 60)} (--help shows the options)")
    return chosen


# --- the command line before argparse --------------------------------------------------------


def _with_extra_options(argv: list[str]) -> list[str]:
    """Return the options of the INI sections named in argv, then argv without `--extra-opts`.

    The order is monitoring-plugins': what stands on the command line comes last and wins.
    """
    from_files: list[str] = []
    kept: list[str] = []
    position = 0
    while position < len(argv):
        argument = argv[position]
        position += 1
        name, separator, locator = argument.partition("=")
        if name != "--extra-opts":
            kept.append(argument)
            continue
        if not separator and position < len(argv) and not argv[position].startswith("-"):
            locator = argv[position]
            position += 1
        from_files += _section_options(locator)
    return from_files + kept


def _section_options(locator: str) -> list[str]:
    name, _, path = locator.partition("@")
    path = path or ini.find()
    section = ini.read(path).get(name or PROGRAM)
    if section is None:
        raise UsageError(f"no section {clean(name or PROGRAM)} in {clean(path)}")
    return section_to_argv(section)


def section_to_argv(section: ini.Section) -> list[str]:
    """Return an INI section as options: an empty value is a flag, a one-letter key a short one."""
    options = []
    for key, value in section:
        flag = key if key.startswith("-") else f"-{key}" if len(key) == 1 else f"--{key}"
        if flag == "--extra-opts":
            raise UsageError("extra-opts cannot stand in an INI file")
        options.append(f"{flag}={value}" if value else flag)
    return options


def _joined(table: _Parser, argv: list[str]) -> list[str]:
    """Join each option with the value behind it, so that `-w -5:10` is not taken for two options.

    argparse takes what begins with a dash for an option, and with `-4` and `-6` in the table
    negative numbers too.
    """
    valued = table.valued
    # The value of these can only be joined already: the word behind is none of theirs.
    optional = {
        flag for action in table._actions if action.const == "" for flag in action.option_strings
    }
    joined: list[str] = []
    words = iter(argv)
    for word in words:
        if word in valued:
            value = next(words, None)
            if value is None:
                raise UsageError(f"{word} needs a value")
            word = f"{word}={value}"
        elif word in optional:
            word += "="
        flag, _, value = word.partition("=")
        # argparse takes `--` out of a value, too, and leaves none.
        if (value == "--" and flag in valued) or word.removesuffix("--") in valued:
            raise UsageError(f"{word.removesuffix('--').rstrip('=')} needs a value")
        joined.append(word)
    return joined


# --- a sweep ---------------------------------------------------------------------------------

_OF_SWEEPS = (
    "--sweep",
    "--jobs",
    "--submit",
    "--icinga-user",
    "--icinga-password-file",
    "--icinga-ca-file",
)


def _sweep(chosen: argparse.Namespace, words: list[str]) -> Sweep:
    own = (*_OF_SWEEPS, "--run-timeout")
    if chosen.hostname is not None:
        raise UsageError("--hostname and --sweep exclude each other: its file names the hosts")
    run_timeout = LONG_RUN_TIMEOUT
    if chosen.run_timeout:
        run_timeout = values.seconds(chosen.run_timeout, "--run-timeout")
    return Sweep(
        file=values.path(chosen.sweep, "--sweep") or "",
        common=tuple(word for word in words if word.partition("=")[0] not in own),
        jobs=values.whole_number(chosen.jobs, "--jobs") or DEFAULT_JOBS,
        run_timeout=run_timeout,
        receiver=_receiver(chosen),
        verbosity=min(chosen.verbose, 3),
    )


def _receiver(chosen: argparse.Namespace) -> IcingaApi | CommandFile | JsonLines | None:
    kind, _, where = (chosen.submit or "").partition(":")
    of_api = (chosen.icinga_user, chosen.icinga_password_file, chosen.icinga_ca_file)
    if kind != "icinga2" and any(value is not None for value in of_api):
        raise UsageError("the options --icinga-... need --submit icinga2:URL")
    if chosen.submit is None:
        return None
    if kind == "nagios" and where:
        return CommandFile(values.path(where, "--submit") or "")
    if kind == "jsonl" and where == "-":
        return JsonLines()
    if kind != "icinga2":
        raise UsageError(
            f"invalid --submit {clean(chosen.submit, 60)}: not icinga2:URL, nagios:FILE or jsonl:-"
        )
    endpoint = values.https_url(where, "--submit")
    if not chosen.icinga_user or not chosen.icinga_password_file:
        raise UsageError("--submit icinga2:URL needs --icinga-user and --icinga-password-file")
    if ":" in chosen.icinga_user:
        raise UsageError("invalid --icinga-user: a colon (RFC 7617 section 2)")
    return IcingaApi(
        endpoint,
        values.visible(chosen.icinga_user, "--icinga-user"),
        values.path(chosen.icinga_password_file, "--icinga-password-file") or "",
        values.path(chosen.icinga_ca_file, "--icinga-ca-file"),
    )


# --- from words to settings ------------------------------------------------------------------


def _settings(chosen: argparse.Namespace) -> Settings:
    for option in _OF_SWEEPS:
        if getattr(chosen, option.removeprefix("--").replace("-", "_")) is not None:
            raise UsageError(
                f"{option} stands on the command line alone"
                if option == "--sweep"
                else f"{option} needs --sweep on the command line"
            )
    security = _security(chosen)
    target = _target(chosen, security)
    states = _states(chosen)
    timeout = _timeout(chosen, states)
    verify = Verify(chosen.verify)
    limits = _limits(chosen, timeout)
    return Settings(
        target=target,
        tls=TlsPolicy(
            security=security,
            verify=verify,
            name=values.host(chosen.sni, "--sni") if chosen.sni is not None else target.hostname,
            minimum=chosen.tls_min,
            ca_file=values.path(chosen.ca_file, "--ca-file"),
            ca_path=values.path(chosen.ca_path, "--ca-path"),
            client_cert=values.path(chosen.client_cert, "--client-cert"),
            client_key=_client_key(chosen),
            strict=_strict(chosen, verify),
            pins=tuple(values.pin(word) for word in chosen.pin or ()),
        ),
        login=_login(chosen, security, verify),
        limits=limits,
        thresholds=_thresholds(chosen),
        expect=Expectation(tuple(chosen.expect or ()), chosen.all),
        assertions=_assertions(chosen, security),
        states=states,
        diagnosis=values.subjects(chosen.diagnose, "--diagnose")
        if chosen.diagnose is not None
        else None,
        verbosity=min(chosen.verbose, 3),
    )


def _security(chosen: argparse.Namespace) -> Security:
    if chosen.ssl and chosen.starttls:
        raise UsageError("-S and --starttls exclude each other: TLS from the first byte, or STLS")
    if chosen.starttls:
        return Security.STLS
    return Security.IMPLICIT if chosen.ssl or chosen.certificate is not None else Security.PLAIN


def _target(chosen: argparse.Namespace, security: Security) -> Target:
    if chosen.hostname is None:
        raise UsageError("-H/--hostname is required (--help shows the options)")
    if chosen.use_ipv4 and chosen.use_ipv6:
        raise UsageError("-4 and -6 exclude each other")
    family = Family.IPV4 if chosen.use_ipv4 else Family.IPV6 if chosen.use_ipv6 else Family.ANY
    hostname = values.host(chosen.hostname, "--hostname")
    connect_to = chosen.connect_to
    if connect_to is not None:
        connect_to = values.host(connect_to, "--connect-to")
    source = chosen.source_address
    if source is not None:
        source = values.host(source, "--source-address")
        if not values.is_numeric(source):
            raise UsageError(f"invalid --source-address {clean(source)}: not a numeric address")
        if family not in (Family.ANY, values.family_of(source)):
            raise UsageError(f"--source-address {clean(source)} is not of the family asked for")
        family = values.family_of(source)
    number = chosen.port
    if number is None:
        port = 995 if security is Security.IMPLICIT else 110
    elif re.fullmatch(r"[0-9]{1,5}", number) and 1 <= int(number) <= 65535:
        port = int(number)
    else:
        raise UsageError(f"invalid --port {clean(number, 60)}: not from 1 to 65535")
    where = connect_to or hostname
    if values.is_numeric(where) and family not in (Family.ANY, values.family_of(where)):
        raise UsageError(f"{clean(where)} is not an {_FAMILY_NAMES[family]} address")
    enough = values.whole_number(chosen.min_addresses, "--min-addresses")
    if enough is not None and not chosen.all_addresses:
        raise UsageError("--min-addresses needs --all-addresses")
    return Target(hostname, port, family, connect_to, source, chosen.all_addresses, enough)


_FAMILY_NAMES = {Family.IPV4: "IPv4", Family.IPV6: "IPv6"}


def _client_key(chosen: argparse.Namespace) -> str | None:
    if chosen.client_key is not None and chosen.client_cert is None:
        raise UsageError("--client-key needs --client-cert")
    return values.path(chosen.client_key, "--client-key")


def _strict(chosen: argparse.Namespace, verify: Verify) -> bool:
    if chosen.x509_strict and verify is Verify.NONE:
        raise UsageError("--x509-strict and --verify none exclude each other")
    strict: bool = chosen.x509_strict
    return strict


def _login(chosen: argparse.Namespace, security: Security, verify: Verify) -> Login | None:
    sources = (chosen.password_file, chosen.password_env, chosen.password_command)
    grant = _grant(chosen)
    given = sum(source is not None for source in (*sources, grant))
    if chosen.username is None:
        if given:
            raise UsageError("a password source needs -U/--username")
        if any((chosen.messages_warning, chosen.messages_critical)) or any(
            (chosen.size_warning, chosen.size_critical)
        ):
            raise UsageError("mailbox thresholds need a login: -U/--username")
        return None
    if given > 1:
        raise UsageError(
            "only one of --password-file, --password-env, --password-command, --oauth-token-url"
        )
    if chosen.auth == "external":
        if given:
            raise UsageError("--auth external takes no password: the client certificate proves it")
        if chosen.client_cert is None:
            raise UsageError("--auth external needs --client-cert")
    if "" in sources:
        raise UsageError("the source of the password is empty")
    if not chosen.username or re.search(r"[\x00-\x1f\x7f]", chosen.username):
        raise UsageError("invalid --username: empty, or with control characters")
    is_verified = security is not Security.PLAIN and verify is Verify.FULL
    if not is_verified and not chosen.allow_insecure_login:
        how = "without TLS" if security is Security.PLAIN else f"with --verify {verify.value}"
        raise UsageError(
            f"no password is sent {how}; use -S or --starttls with --verify full,"
            " or --allow-insecure-login"
        )
    source = SecretSource(*sources, grant)
    return Login(chosen.username, source, chosen.auth, chosen.allow_insecure_login)


def _grant(chosen: argparse.Namespace) -> Grant | None:
    url, client_id = chosen.oauth_token_url, chosen.oauth_client_id
    secret = values.path(chosen.oauth_client_secret_file, "--oauth-client-secret-file")
    refresh = values.path(chosen.oauth_refresh_token_file, "--oauth-refresh-token-file")
    scope, ca_file = chosen.oauth_scope, values.path(chosen.oauth_ca_file, "--oauth-ca-file")
    if url is None:
        if any(value is not None for value in (client_id, secret, refresh, scope, ca_file)):
            raise UsageError("the options --oauth-... need --oauth-token-url")
        return None
    endpoint = values.https_url(url, "--oauth-token-url")
    # Not implied: which of the two a server takes is for the user to know, as with every
    # mechanism that `auto` does not choose.
    if chosen.auth not in ("xoauth2", "oauthbearer"):
        raise UsageError("--oauth-token-url needs --auth xoauth2 or --auth oauthbearer")
    if client_id is None:
        raise UsageError("--oauth-token-url needs --oauth-client-id")
    if secret is None and refresh is None:
        raise UsageError(
            "--oauth-token-url needs --oauth-client-secret-file or --oauth-refresh-token-file"
        )
    client_id = values.visible(client_id, "--oauth-client-id")
    if scope is not None:
        scope = values.visible(scope, "--oauth-scope")
    return Grant(endpoint, client_id, secret, refresh, scope, ca_file)


def _assertions(chosen: argparse.Namespace, security: Security) -> Assertions:
    if security is Security.PLAIN:
        for option in _NEED_TLS:
            if getattr(chosen, option.removeprefix("--").replace("-", "_")):
                raise UsageError(f"{option} needs -S or --starttls")
    if chosen.reject_legacy_tls and chosen.tls_min == "1.1":
        raise UsageError("--reject-legacy-tls and --tls-min 1.1 exclude each other")
    if chosen.check_starttls_injection and security is not Security.STLS:
        raise UsageError("--check-starttls-injection needs --starttls")
    if chosen.refuse_cleartext_login:
        if security is Security.IMPLICIT:
            raise UsageError("--refuse-cleartext-login is about the plain port, not for -S")
        if security is Security.PLAIN and chosen.username is not None:
            raise UsageError("--refuse-cleartext-login and a cleartext login exclude each other")
    return Assertions(
        capabilities=values.capabilities(chosen.require_capa),
        refuses_cleartext=chosen.refuse_cleartext_login,
        resists_injection=chosen.check_starttls_injection,
        rejects_legacy_tls=chosen.reject_legacy_tls,
        issuer=values.filled(chosen.issuer, "--issuer"),
        deployed_file=values.path(chosen.expect_cert_file, "--expect-cert-file"),
        min_key_bits=values.whole_number(chosen.min_key_bits, "--min-key-bits"),
        max_validity=values.days(chosen.max_validity, "--max-validity"),
    )


_NEED_TLS = (
    "--x509-strict",
    "--pin",
    "--issuer",
    "--expect-cert-file",
    "--min-key-bits",
    "--max-validity",
    "--reject-legacy-tls",
)


def _states(chosen: argparse.Namespace) -> dict[str, State]:
    states: dict[str, State] = {}
    if chosen.refuse is not None:
        states[Kind.REFUSED.value] = values.state(chosen.refuse, "--refuse")
    if chosen.mismatch is not None:
        states[Kind.EXPECT.value] = values.state(chosen.mismatch, "--mismatch")
    for assignment in chosen.state or ():
        kind, separator, state = assignment.partition("=")
        if not separator:
            raise UsageError(f"invalid --state {clean(assignment, 60)}: not KIND=STATE")
        if kind not in {known.value for known in Kind} - {known.value for known in OURS}:
            raise UsageError(f"invalid --state: no kind of failure is called {clean(kind, 60)}")
        states[kind] = values.state(state, "--state")
    return states


def _timeout(chosen: argparse.Namespace, states: dict[str, State]) -> float:
    if chosen.timeout is None:
        return DEFAULT_TIMEOUT
    seconds, separator, state = chosen.timeout.partition(":")
    if separator:
        states.setdefault(Kind.TIMEOUT.value, values.state(state, "--timeout"))
    return values.seconds(seconds, "--timeout")


def _limits(chosen: argparse.Namespace, timeout: float) -> Limits:
    further = (chosen.diagnose, chosen.sensitivity, chosen.rechecks)
    if chosen.sensitivity is not None and chosen.rechecks is not None:
        raise UsageError("--sensitivity and --rechecks exclude each other")
    rechecks = values.rechecks(chosen.rechecks, "--rechecks")
    if rechecks is None:
        rechecks = _SENSITIVITIES.get(chosen.sensitivity, 0)
    if chosen.run_timeout is not None:
        run_timeout = values.seconds(chosen.run_timeout, "--run-timeout")
    elif any(option is not None for option in further):
        run_timeout = max(timeout, LONG_RUN_TIMEOUT)
    else:
        run_timeout = timeout
    return Limits(min(timeout, run_timeout), run_timeout, rechecks)


# --- thresholds ------------------------------------------------------------------------------


def _thresholds(chosen: argparse.Namespace) -> Thresholds:
    phases: dict[str, RangePair] = {}
    known = {phase.value for phase in MEASURED}
    for option, level in (("--phase-warning", "warning"), ("--phase-critical", "critical")):
        for assignment in getattr(chosen, f"phase_{level}") or ():
            phase, separator, spec = assignment.partition("=")
            if not separator or phase not in known:
                raise UsageError(f"invalid {option} {clean(assignment, 60)}: not PHASE=RANGE")
            pair = phases.get(phase, RangePair())
            phases[phase] = pair._replace(**{level: values.range_spec(spec, option)})
    warning, critical = values.certificate_limits(chosen.certificate)
    return Thresholds(
        time=_pair(chosen, "", values.range_spec),
        phases=phases,
        messages=_pair(chosen, "messages_", values.range_spec),
        size=_pair(chosen, "size_", values.size_range),
        certificate_warning=warning,
        certificate_critical=critical,
    )


def _pair(chosen: argparse.Namespace, prefix: str, check: Callable[[str, str], str]) -> RangePair:
    limits = []
    for level in ("warning", "critical"):
        spec = getattr(chosen, prefix + level)
        option = "--" + (prefix + level).replace("_", "-")
        limits.append(None if spec is None else check(spec, option))
    return RangePair(*limits)
