"""The one table of options: their names, groups and help.

What the words behind them mean is checked in `values` and `choices`.
"""

import argparse
from functools import cached_property
from typing import NoReturn

from check_pop3_plus.model.failures import MEASURED
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.settings import (
    LOGIN_METHODS,
    Subject,
    Verify,
)
from check_pop3_plus.options import validators
from check_pop3_plus.options.validators import UsageError

PROGRAM = "check_pop3_plus"
DEFAULT_JOBS = 128

SENSITIVITIES = {"very-high": 0, "high": 2, "medium": 5, "low": 7, "very-low": 10}
"""How often to look again (contract, section 6)."""

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


class Parser(argparse.ArgumentParser):
    @cached_property
    def valued(self) -> frozenset[str]:
        """The flags that need a value."""
        return frozenset(
            flag
            for action in self._actions
            if action.nargs is None and not isinstance(action, argparse._CountAction)
            for flag in action.option_strings
        )

    @cached_property
    def bare(self) -> frozenset[str]:
        """The flags that take no value."""
        return frozenset(
            flag for action in self._actions if action.nargs == 0 for flag in action.option_strings
        )

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{sanitise(message, 150)} (--help shows the options)")


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


def parser() -> Parser:
    """Return the table of options."""
    from check_pop3_plus import __version__

    table = Parser(
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
        type=validators.one_of("--verify", [mode.value for mode in Verify]),
        default="full",
        help="what of the certificate must hold: full (chain and name, the default), chain, none",
    )
    add("--sni", metavar="NAME", help="send and verify this name in place of -H")
    add("--ca-file", metavar="FILE", help="trust these certificates (PEM), not the system's store")
    add("--ca-path", metavar="DIR", help="trust this hashed directory, not the system's store")
    add(
        "--tls-min",
        metavar="VERSION",
        type=validators.one_of("--tls-min", ["1.1", "1.2", "1.3"]),
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
        type=validators.one_of("--auth", ["auto", *LOGIN_METHODS]),
        default="auto",
        help=f"how to log in: auto (the default: USER and PASS, else PLAIN, else LOGIN),"
        f" {', '.join(LOGIN_METHODS)}",
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
        type=validators.one_of("--sensitivity", list(SENSITIVITIES)),
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
