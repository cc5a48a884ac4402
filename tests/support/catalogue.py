"""The catalogue of faults and threats: what may go wrong, and the output that is then required.

It is data. A test claims a row by `@pytest.mark.fault(7, case="reset")`, a threat by
`@pytest.mark.threat("T3")`. `tests/support/claims.py` holds a test to what it claims, and
`tests/project/test_catalogue.py` sees to it that nothing is left unclaimed.
"""

from __future__ import annotations

import re
from typing import NamedTuple

MODES = ("plain", "tls", "stls")
WITH_TLS = ("tls", "stls")
BEFORE_TLS = ("plain", "stls")
ANY: tuple[str, ...] = ()
"""For local faults, which occur before there is a connection."""


class Outcome(NamedTuple):
    """The required result of a run."""

    state: str
    kind: str | None
    says: str
    """A regular expression for line 1."""
    long: str = ""
    """A regular expression for a line of the long output."""
    modes: tuple[str, ...] | None = None
    """In place of those of the row."""

    def is_shown_by(self, code: int, out: str, kinds: list[str]) -> bool:
        """Return whether a run has this result."""
        if code != ("OK", "WARNING", "CRITICAL", "UNKNOWN").index(self.state):
            return False
        if (self.kind not in kinds) if self.kind else bool(kinds):
            return False
        line, *long = out.split("\n")
        return bool(re.search(self.says, line)) and (
            not self.long or any(re.search(self.long, each) for each in long)
        )


class Row(NamedTuple):
    """A fault; each of its cases has its own outcome."""

    fault: str
    cases: dict[str, Outcome]
    modes: tuple[str, ...] = MODES

    def modes_of(self, case: str) -> tuple[str, ...]:
        modes = self.cases[case].modes
        return self.modes if modes is None else modes


class Threat(NamedTuple):
    """An event that must never happen."""

    description: str
    at_least: int = 1
    """The number of tests that it needs."""


def ok(says: str, long: str = "", modes: tuple[str, ...] | None = None) -> Outcome:
    return Outcome("OK", None, says, long, modes)


def warning(kind: str, says: str, long: str = "", modes: tuple[str, ...] | None = None) -> Outcome:
    return Outcome("WARNING", kind, says, long, modes)


def critical(kind: str, says: str, long: str = "", modes: tuple[str, ...] | None = None) -> Outcome:
    return Outcome("CRITICAL", kind, says, long, modes)


def unknown(kind: str | None, says: str, long: str = "") -> Outcome:
    return Outcome("UNKNOWN", kind, says, long)


UNEXPECTED = r"unexpected data after the greeting: \+OK again"
ANSWERED = r" answered in \d+\.\d{3} s"

FAULTS = {
    1: Row(
        "the host name does not exist",
        {"": critical("unresolved", r" - host name unknown")},
    ),
    2: Row(
        "the resolver does not answer before the deadline",
        {"": critical("resolver", r" - no answer to the name lookup within \S+ s")},
    ),
    3: Row(
        "every address refuses the connection",
        {"": critical("refused", r" - connection refused \(\S+:\d+: \S+, \S+\)")},
    ),
    4: Row(
        "packets are lost",
        {"": critical("timeout", r" - no connection within \S+ s \(\S+:\d+")},
    ),
    5: Row(
        "the first address fails, the second works",
        {"": ok(r"\(1 of 2 addresses failed\)", r"^note: partial: 1 of 2 addresses")},
    ),
    6: Row(
        "the server accepts the connection and sends nothing",
        {"": critical("timeout", r" - no greeting within \S+ s \(\S+:\d+\)")},
    ),
    7: Row(
        "the server closes the connection at once",
        {
            "closed": critical("closed", "closed the connection before the greeting"),
            # In TLS some versions of Python do not tell the two apart.
            "reset": critical("closed", "(reset|closed) the connection before the greeting"),
        },
    ),
    8: Row(
        "the greeting is of another protocol",
        {
            name: critical("garbled", f" - server is not POP3, looks like {name}")
            for name in ("IMAP", "SMTP", "SSH", "HTTP")
        },
    ),
    9: Row(
        "TLS from the first byte on the plain port",
        {
            "binary": critical("garbled", " - server is not POP3, looks like TLS"),
            "silence": critical("timeout", r" - no greeting within", r"try: .* TLS .*\(try -S[ )]"),
        },
        BEFORE_TLS,
    ),
    10: Row(
        "plain text on the TLS port",
        {
            "": critical(
                "tls", " - server answers in plain text, TLS expected", r"try: .*\(.*--starttls\)"
            )
        },
        ("tls",),
    ),
    11: Row("the greeting is -ERR", {"": critical("greeting", r"refuses service: \w")}),
    12: Row(
        "the greeting is -ERR [SYS/TEMP]",
        {"": critical("greeting-temporary", r"refuses service: \[SYS/TEMP\] \w")},
    ),
    13: Row(
        "the greeting is -ERR [SYS/PERM]",
        {"": critical("greeting", r"refuses service: \[SYS/PERM\] \w")},
    ),
    14: Row(
        "the status indicator is malformed: +, +NO, +okay, +ok",
        {
            "malformed": critical("garbled", "server sent a malformed greeting: "),
            "lower case": warning("garbled", "greeting in lower case"),
        },
    ),
    15: Row(
        "the greeting ends in LF alone",
        {"": ok(ANSWERED, r"^protocol warning: lines end in LF alone$")},
    ),
    16: Row(
        "a greeting that is too long",
        {
            "long": critical(
                "oversized", r"server sent a line too long \(limit 2048\) during the greeting"
            ),
            "endless": critical(
                "oversized", r"server sent a line too long \(limit 2048\) during the greeting"
            ),
        },
    ),
    17: Row(
        "a greeting with NUL, ESC, 8-bit, a pipe and HTML",
        {
            "": ok(
                ANSWERED,
                r"^(greeting|transcript: S): \+OK [ !#%(-\[\]-_a-{}]*\?[ !#%(-\[\]-_a-{}]*$",
            )
        },
    ),
    18: Row(
        "a greeting that arrives byte by byte",
        {
            "deadline": critical("timeout", " - no complete greeting within"),
            "in time": ok(ANSWERED),
        },
    ),
    19: Row(
        "unsolicited lines after the greeting",
        {
            "": warning("garbled", UNEXPECTED, modes=("plain", "tls")),
            "login": critical("garbled", UNEXPECTED),
            "required": critical("garbled", UNEXPECTED, modes=("stls",)),
        },
    ),
    20: Row(
        "a banner before the greeting",
        {"": critical("garbled", "server sent a malformed greeting: ")},
    ),
    21: Row("CAPA is refused", {"": ok(ANSWERED)}),
    22: Row(
        "an unusual list of capabilities",
        {
            "empty": ok(
                ANSWERED, "^protocol warning: the capability list is empty$", ("tls", "plain")
            ),
            "blank line": ok(ANSWERED, "^protocol warning: the capability list has a blank line$"),
            "8-bit": ok(
                ANSWERED, "^protocol warning: the capability list has bytes that are not ASCII$"
            ),
            "twice": ok(ANSWERED, "^protocol warning: the capability list has a tag twice$"),
            "lower case": ok(
                ANSWERED, "^protocol warning: the capability list has a tag in lower case$"
            ),
            "LF": ok(ANSWERED, "^protocol warning: lines end in LF alone$"),
        },
    ),
    23: Row(
        "a list of capabilities without its end",
        {"": critical("timeout", r" - no complete answer within \S+ s during CAPA")},
    ),
    24: Row(
        "an endless list of capabilities",
        {
            "many lines": critical(
                "oversized", r"sent a reply too long \(limit 64 KiB or 500 lines\) during CAPA"
            ),
            "one line": critical("oversized", r"sent a line too long \(limit 2048\) during CAPA"),
        },
    ),
    25: Row(
        "the server closes the connection at CAPA",
        {
            "at once": critical(
                "closed", "server closed the connection without a reply during CAPA"
            ),
            "half": critical(
                "closed", "closed the connection in the middle of a reply during CAPA"
            ),
        },
    ),
    26: Row(
        "STLS is not among the capabilities",
        {"": critical("no-stls", " - server does not offer STLS")},
        ("stls",),
    ),
    27: Row(
        "STLS is refused",
        {
            "-ERR": critical("no-stls", r" - server refuses STLS: \w"),
            "PERM": critical("no-stls", r" - server refuses STLS: \[SYS/PERM\] \w"),
        },
        ("stls",),
    ),
    28: Row(
        "the server accepts STLS and does no handshake",
        {
            "EOF": critical("tls", " - server accepted STLS and then closed the connection"),
            "reset": critical("tls", " - server accepted STLS and then reset the connection"),
            "plain text": critical("tls", " - server answers in plain text, TLS expected"),
            "silence": critical("timeout", r" - no answer within \S+ s during the TLS handshake"),
        },
        ("stls",),
    ),
    29: Row(
        "plain data after the reply to STLS",
        {
            case: critical(
                "injected", r" - server sent plain data after the STLS reply \(injection\?\)"
            )
            for case in ("full line", "half line", "binary", "64 KiB")
        },
        ("stls",),
    ),
    30: Row(
        "the certificate has expired or is not yet valid",
        {
            "expired": critical(
                "expired", r" - certificate expired 2 days ago, on 20\d\d-\d\d-\d\d \d\d:\d\d UTC"
            ),
            "future": critical(
                "not-yet-valid", r" - certificate is not valid before 20\d\d-\d\d-\d\d"
            ),
        },
        WITH_TLS,
    ),
    31: Row(
        "the certificate expires soon",
        {
            "warning": warning("expiring", r" - certificate expires in \d+ \w+, on 20"),
            "critical": critical("expiring", r" - certificate expires in \d+ \w+, on 20"),
        },
        WITH_TLS,
    ),
    32: Row(
        "an intermediate expires before the certificate",
        {
            "warning": warning("expiring", r" - issuer .* of the certificate expires in "),
            "critical": critical("expiring", r" - issuer .* of the certificate expires in "),
        },
        WITH_TLS,
    ),
    33: Row(
        "the certificate is for another host",
        {
            "name": critical("name", r" - certificate is not for localhost but for \w"),
            "address": critical("name", r" - certificate is not for 127\.0\.0\.1 but for \w"),
        },
        WITH_TLS,
    ),
    34: Row(
        "the certificate was not issued by a trusted CA",
        {
            "self-signed": critical("untrusted", " - certificate not trusted: self-signed"),
            "unknown issuer": critical(
                "untrusted", "certificate not trusted: issuer .* unknown, server sent"
            ),
            "missing intermediate": critical(
                "untrusted", r"issuer .* unknown, server sent 1 certificate \("
            ),
        },
        WITH_TLS,
    ),
    35: Row(
        "only the common name matches",
        {"": critical("name", r"has no subject alternative name \(mail clients refuse it\)")},
        WITH_TLS,
    ),
    36: Row(
        "weak keys and signatures",
        {
            "RSA-1024": critical("weak", "certificate too weak: RSA 1024 key"),
            "SHA-1": critical("weak", "certificate too weak: SHA1 signature"),
            "MD5": critical("weak", "certificate too weak: MD5 signature"),
            "RSA-1024 intermediate": critical("weak", "issuer CN=Weak CA of the .* RSA 1024 key"),
            "SHA-1 intermediate": critical("weak", "issuer CN=SHA-1 CA of the .* SHA1 signature"),
            "SHA-1 root": ok("certificate valid for"),
        },
        WITH_TLS,
    ),
    37: Row(
        "violations that only strict clients reject",
        {
            "no AKI": ok(
                ANSWERED, "^note: not-strict: .* certificate has no authority key identifier$"
            ),
            "CA not critical": ok(
                ANSWERED, "^note: not-strict: .* basic constraints that are not critical$"
            ),
        },
        WITH_TLS,
    ),
    38: Row(
        "a fact that was asked for is unreadable, and TLS works",
        {
            "issuer": warning("certificate-unreadable", r" are unreadable: subject and issuer \("),
        },
        WITH_TLS,
    ),
    39: Row(
        "unusual details in a certificate",
        {
            "negative serial": ok("certificate valid for", r"^certificate: .* serial -"),
            "bad DN": ok("certificate valid for", r"^certificate: unreadable: subject"),
        },
        WITH_TLS,
    ),
    40: Row(
        "old TLS only",
        {
            "TLS 1.0": critical("old-tls", "speaks only TLS 1.1 or older"),
            "TLS 1.1": critical("old-tls", "speaks only TLS 1.1 or older"),
            "old ciphers": critical("old-tls", "Diffie-Hellman key that is too small"),
        },
        WITH_TLS,
    ),
    41: Row(
        "the server requires a client certificate",
        {
            "TLS 1.2": critical("client-certificate", "demands a client certificate"),
            "TLS 1.3": critical("client-certificate", "demands a client certificate"),
        },
        WITH_TLS,
    ),
    42: Row(
        "the handshake fails",
        {
            "alert 40": critical("tls", " - server failed the TLS handshake: .*handshake failure"),
            "alert 80": critical("tls", " - server failed the TLS handshake: internal error"),
            "alert 112": critical("tls", " - server failed the TLS handshake: unrecognized name"),
            "garbage": critical(
                "tls", " - server failed the TLS handshake: |answers in plain text"
            ),
            "EOF": critical(
                "closed", "closed the connection during the TLS handshake", modes=("tls",)
            ),
            "reset": critical(
                "closed", "reset the connection during the TLS handshake", modes=("tls",)
            ),
        },
        WITH_TLS,
    ),
    43: Row(
        "the handshake stalls",
        {"": critical("timeout", r" - no answer within \S+ s during the TLS handshake")},
        WITH_TLS,
    ),
    44: Row(
        "the server closes the connection after the handshake",
        {"": critical("closed", " - server closed the connection before the greeting")},
        ("tls",),
    ),
    45: Row("USER is refused", {"": critical("credentials", r" - login of monitor rejected: \w")}),
    46: Row(
        "PASS is refused",
        {
            "-ERR": critical("credentials", " - login of monitor rejected: "),
            "AUTH": critical("credentials", r" - login of monitor rejected: \[AUTH\] \w"),
        },
    ),
    47: Row(
        "the server requires TLS before a login",
        {
            "": critical(
                "cleartext-refused",
                " - server demands TLS before a login",
                "^try: use -S or --starttls",
            )
        },
        ("plain",),
    ),
    48: Row(
        "[IN-USE]",
        {"": warning("in-use", " - mailbox of monitor is in use: ")},
    ),
    49: Row(
        "[LOGIN-DELAY]",
        {"": warning("login-delay", " - user monitor logs in too often: .*300 s")},
    ),
    50: Row(
        "[SYS/TEMP] and [SYS/PERM]",
        {
            "TEMP": warning("temporary", r" - login of monitor failed for now: \["),
            "PERM": critical("permanent", r" - login of monitor failed: \[SYS/PERM\]"),
        },
    ),
    51: Row(
        "no answer to PASS",
        {
            "dropped": critical("closed", "closed the connection without a reply during the login"),
            "silence": critical("timeout", r" - no answer within \S+ s during the login"),
        },
    ),
    52: Row(
        "the wanted mechanism is not offered",
        {"": critical("no-mechanism", "does not offer XOAUTH2; its mechanisms: PLAIN LOGIN")},
        WITH_TLS,
    ),
    53: Row(
        "a malformed SASL exchange",
        {
            "not base64": critical(
                "garbled", "challenge during the login: .*base64; exchange cancelled"
            ),
            "over-long": critical(
                "garbled", "challenge during the login: more than 12288 bytes; given up"
            ),
            "endless": critical("garbled", "one more than this mechanism has; exchange cancelled"),
        },
    ),
    54: Row(
        "the server rejects a token",
        {
            "XOAUTH2": critical("credentials", "token refused: invalid_token"),
            "OAUTHBEARER": critical("credentials", "token refused: invalid_token"),
        },
    ),
    55: Row(
        "+OK in the middle of an exchange",
        {"": critical("garbled", "before the exchange was complete")},
    ),
    56: Row(
        "a malformed answer to STAT",
        {
            **{
                case: critical("mailbox", " - server sent a malformed STAT reply: ")
                for case in ("nothing", "one number", "words", "negative", "500 digits")
            },
            "trailing text": ok(", 2 messages"),
        },
    ),
    57: Row("STAT is refused", {"": critical("mailbox", " - server cannot read the mailbox: ")}),
    58: Row(
        "QUIT is refused or not answered",
        {
            "-ERR": ok(ANSWERED, r"^note: goodbye: QUIT was refused \(nothing was deleted\)"),
            "silence": ok(ANSWERED, r"^note: goodbye: QUIT was not acknowledged \(nothing was"),
            "reset": ok(ANSWERED, r"^note: goodbye: QUIT was not acknowledged \(nothing was"),
        },
    ),
    59: Row(
        "a reply is truncated",
        {"": critical("closed", "closed the connection in the middle of a reply")},
    ),
    60: Row(
        "a password file that is unsafe or unusable",
        {
            "missing": unknown("config", "password file .*: No such file"),
            "lax mode": unknown(
                "config", "password file .* must be mode 0600, or 0640 .*; it is 0644: chmod 640 /"
            ),
            "symlink": unknown("config", "password file .* is a symbolic link of another user"),
            "FIFO": unknown("config", "password file .* must be a regular file"),
            "empty": unknown("config", "password file .* is empty"),
            "binary": unknown("config", "password file .*control characters"),
        },
        ANY,
    ),
    61: Row(
        "invalid arguments",
        {
            "user": unknown(None, "config: invalid --username"),
            "password": unknown(
                "config", "config: variable .* has (control characters|more than one line)"
            ),
            "empty host": unknown(None, "config: invalid --hostname: empty"),
            "long host": unknown(None, "config: invalid --hostname: longer than 253 characters"),
            "bad label": unknown(
                None, "config: invalid --hostname .*: (not a host name|it contains a blank)"
            ),
        },
        ANY,
    ),
    62: Row(
        "invalid ranges",
        {
            spec: unknown(None, f"config: invalid range for --warning: {spec}")
            for spec in ("20:10", "a", "1:2:3", "nan")
        },
        ANY,
    ),
    63: Row(
        "an unusable CA file",
        {
            "unreadable": unknown("config", "cannot load CA file .*: No such file"),
            "empty": unknown("config", "CA file .* holds no certificate in PEM"),
        },
        ANY,
    ),
    64: Row(
        "standard output cannot be written",
        {case: unknown(None, "^$") for case in ("closed", "full", "broken pipe")},
        ANY,
    ),
    65: Row(
        "a signal",
        {
            case: unknown("stopped", r" - stopped from outside after \d+ s during the greeting")
            for case in ("SIGTERM", "SIGINT")
        },
    ),
    66: Row(
        "a library is missing, or too old",
        {
            name: unknown("config", f"config: missing Python module {name}$")
            for name in ("cryptography", "nagiosplugin")
        }
        | {
            case: unknown(
                "config", f"config: Python module {name} is too old or broken: update it$"
            )
            for case, name in {
                "cryptography, too old": "cryptography",
                "nagiosplugin, too old": "nagiosplugin",
                "nagiosplugin, too old, found late": "nagiosplugin",
            }.items()
        }
        | {
            "cryptography, not decisive": ok(
                "certificate valid for",
                r"subject and issuer \(missing Python module cryptography\)",
            ),
            "cryptography, too old, not decisive": ok(
                "certificate valid for",
                r"subject and issuer \(Python module cryptography is too old or broken",
            ),
        },
        ANY,
    ),
    67: Row("a bug", {"": unknown("bug", r"bug: internal error \(\w+\)", "^trace: ")}, ANY),
    68: Row(
        "the clock is earlier than the release of this version",
        {
            "accepted": unknown("config", r"local clock is implausible \(2001-.*not evaluated"),
            "rejected": unknown("config", r"local clock is implausible \(2001-.*not evaluated"),
        },
        WITH_TLS,
    ),
    69: Row(
        "the server withdraws a login at once",
        {"": warning("temporary", r" - server withdrew the login: \[SYS/TEMP\] \w")},
    ),
    70: Row(
        "deviations of real servers",
        {
            "bare greeting": ok(ANSWERED),
            "odd capabilities": ok("user monitor logged in"),
            "late rejection": critical("credentials", " - login of monitor rejected: "),
        },
    ),
    71: Row(
        "CAPA is refused inside TLS, as nginx does without a client certificate",
        {
            "certificate": critical(
                "client-certificate", "refuses service inside TLS: No required SSL certificate"
            ),
            "temporary": critical(
                "greeting-temporary", r"refuses service inside TLS: \[SYS/TEMP\] too many"
            ),
            "permanent": critical("greeting", r"refuses service inside TLS: \[SYS/PERM\] closed"),
            "other": critical("greeting", "refuses service inside TLS: go away"),
        },
        ("stls",),
    ),
    72: Row(
        "the same without a CAPA, right after the handshake",
        {
            "certificate": critical(
                "client-certificate", "refuses service inside TLS: No required SSL certificate"
            ),
            "temporary": critical(
                "greeting-temporary", r"refuses service inside TLS: \[SYS/TEMP\] too many"
            ),
            "permanent": critical("greeting", r"refuses service inside TLS: \[SYS/PERM\] closed"),
            "other": critical("greeting", "refuses service inside TLS: go away"),
        },
        ("stls",),
    ),
    73: Row(
        "the greeting inside TLS demands a client certificate",
        {
            "": critical(
                "client-certificate", "refuses service: No required SSL certificate", modes=("tls",)
            )
        },
        ("tls",),
    ),
    74: Row(
        "data that nothing has asked for, anywhere after the greeting",
        {
            "": warning(
                "garbled", "unexpected data after the greeting: [-*] ?[EB]", modes=("plain", "tls")
            ),
            "login": critical("garbled", "unexpected data after the greeting: [-*]"),
            "required": critical(
                "garbled", "unexpected data after the greeting: [-*]", modes=("stls",)
            ),
            "proxy": warning(
                "garbled",
                r"unexpected data after the greeting: -ERR .* \(PROXY protocol\?\)",
                modes=("plain", "tls"),
            ),
            "proxy and login": critical(
                "garbled", r"unexpected data after the greeting: -ERR .* \(PROXY protocol\?\)"
            ),
        },
    ),
    75: Row(
        "a host name that depends on the IDNA version",
        {
            case: unknown(None, r"config: invalid --hostname .*; write it as xn--\S+")
            for case in ("sharp s", "final sigma", "joiner")
        },
        ANY,
    ),
    76: Row(
        "a trust store without a usable certificate",
        {
            "dangling": unknown("config", r"no usable CA certificate in .*: its hashed names .1"),
            **{
                case: unknown("config", f"no usable CA certificate in .*: it {why}")
                for case, why in (("not hashed", "has no hashed names"), ("empty", "is empty"))
            },
        },
        ANY,
    ),
    77: Row(
        "the OpenSSL policy of the system prevents the handshake",
        {
            case: unknown("config", rf"the local OpenSSL policy \(openssl.cnf\) allows no {what}")
            for case, what in (
                ("no group", "handshake: no suitable groups"),
                ("rare group", r"common key exchange group \(Groups\)"),
                ("CCM", r"common cipher of TLS 1.3 \(Ciphersuites\)"),
                # OpenSSL 3.5 has it at a lower security level only.
                ("CCM_8", r"(common cipher of TLS 1.3 \(Ciphersuites\)|handshake: no ciphers)"),
                ("signatures", r"RSA signature \(SignatureAlgorithms\)"),
            )
        },
        WITH_TLS,
    ),
    78: Row(
        "the parent ignores SIGCHLD and blocks signals",
        {
            "SIGCHLD ignored": unknown("config", "password command failed with exit code 1"),
            "signals blocked": unknown("stopped", r"stopped from outside after \d+ s"),
        },
        ANY,
    ),
    79: Row(
        "a broken installation",
        {
            case: unknown(
                "config", r"config: installation is broken: \w+Error in [a-z_.3]+; install"
            )
            for case in (
                *("package missing", "module missing", "part missing"),
                *("import", "truncated", "zeros"),
            )
        },
        ANY,
    ),
    80: Row(
        "the mailbox is in use, or too many are connected, by the words of the server",
        {
            case: warning("in-use", "mailbox of monitor is in use: ")
            for case in ("locked", "connections")
        },
    ),
    81: Row(
        "too many logins, by the words of the server",
        {"": warning("login-delay", "user monitor logs in too often: ")},
    ),
    82: Row(
        "trouble of the server, by its words",
        {
            "temporary": warning("temporary", "login of monitor failed for now: "),
            "back end": critical("backend", "server trouble during the login of monitor: "),
        },
    ),
    83: Row(
        "the server requires TLS before a login, by its words",
        {"": critical("cleartext-refused", "demands TLS before a login", "^try: use -S or")},
        ("plain",),
    ),
    84: Row(
        "the server does not know the login method",
        {
            case: critical("no-mechanism", "does not know this login method: ")
            for case in ("command", "bare")
        },
    ),
    85: Row(
        "the account is locked, or the login is refused for a reason that is not known here",
        {
            "locked": critical("locked-out", "user monitor is locked out: "),
            "other": critical("login-refused", "login of monitor refused: "),
        },
    ),
    86: Row(
        "TLS ends in front of a server that wants TLS itself",
        {"": critical("cleartext-refused", "TLS ends in front of the server, which wants TLS")},
        WITH_TLS,
    ),
    87: Row(
        "a certificate that must not be used like this",
        {
            "purpose": critical("untrusted", "not meant for servers .extended key usage"),
            "any purpose": critical("untrusted", "not meant for servers .extended key usage"),
            "purpose of issuer": critical("untrusted", "issuer CN=Inter may not issue for servers"),
            "key usage": critical("untrusted", "not meant for servers .key usage"),
            "key usage of issuer": critical("untrusted", "issuer CN=Inter may not sign"),
            "CA certificate": critical("untrusted", "a CA certificate is used as server"),
            "self-signed CA certificate": critical("untrusted", "a CA certificate is used as"),
            "critical extension": critical("untrusted", "it has an unknown critical extension"),
            "critical extension of issuer": critical("untrusted", "issuer CN=Inter has an unknown"),
            "names permitted": critical("untrusted", "does not permit its name .name constr"),
            "names excluded": critical("untrusted", "excludes its name .name constraints"),
            "path length": critical("untrusted", "issuer CN=Inter allows no CA below it"),
            "path length of two": critical(
                "untrusted", "CN=Inter allows no more than 1 CA below it"
            ),
            "no CA": critical("untrusted", "issuer CN=Inter is no CA certificate"),
            "no CA at all": critical("untrusted", "issuer CN=Inter is no CA certificate"),
        },
        WITH_TLS,
    ),
    88: Row(
        "the issuer of that name has another key",
        {
            **{
                each: critical("untrusted", "the trusted CA CN=Root has another key")
                for each in (
                    *("another key", "another key without identifier"),
                    *("another key, root sent", "another key of the root"),
                )
            },
            "another key, intermediate sent": critical(
                "untrusted", "issuer CN=Inter was sent with another key"
            ),
        },
        WITH_TLS,
    ),
    89: Row(
        "an issuer is too weak",
        {
            "weak root": critical("weak", "issuer CN=Weak Root .in the local trust store"),
        },
        WITH_TLS,
    ),
    90: Row(
        "the local trust store is out of date or incomplete",
        {
            **{
                each: critical("expired", "issuer CN=.* .in the local trust store. of .* expired")
                for each in ("old root", "old root sent", "old intermediate")
            },
            **{
                each: critical("untrusted", "CN=Inter is trusted here, but its root is missing")
                for each in ("root missing", "root missing, intermediate sent")
            },
            **{
                each: critical("untrusted", "--ca-file holds the certificate of the server, not")
                for each in ("own certificate", "own certificate, intermediate sent")
            },
        },
        WITH_TLS,
    ),
    91: Row(
        "old TLS, each in its own words",
        {
            "--tls-min": critical("old-tls", "speaks no TLS 1.3; --tls-min is 1.3"),
            "RFC 5746": critical("old-tls", "has no secure renegotiation .RFC 5746"),
            "DH key": critical("old-tls", "uses a Diffie-Hellman key that is too small"),
            "alert 71": critical("old-tls", "shares no cipher that is strong enough"),
            "no common cipher": critical(
                "old-tls", "shares no cipher with this check, only TLSv1.2 with ", "^try: .*ECDHE"
            ),
        },
        WITH_TLS,
    ),
    92: Row(
        "alerts before a certificate was requested",
        {
            **{
                f"alert {number}": critical("tls", rf"{name} \(alert {number}\)")
                for number, name in ((42, "bad certificate"), (46, "certificate unknown"))
            },
            **{
                f"alert {number}": critical("tls", rf"{name} \(alert {number}\)")
                for number, name in ((48, "unknown ca"), (49, "access denied"))
            },
            "alert 115": critical("tls", r"unknown psk identity \(alert 115\)"),
            "alert 120": critical("tls", r"no application protocol \(alert 120\)"),
        },
        WITH_TLS,
    ),
    93: Row(
        "large packets of the handshake are lost",
        {
            "dropped": critical(
                "timeout",
                r" - no answer within \S+ s during the TLS handshake",
                "^likely cause: .* a device drops a large ClientHello",
            ),
            "reset": critical(
                "closed",
                " - server reset the connection during the TLS handshake",
                "^likely cause: .* a device drops a large ClientHello",
                modes=("tls",),  # after STLS a reset is row 28
            ),
            "path MTU": critical(
                "timeout",
                r" - no answer within \S+ s during the TLS handshake",
                r"^likely cause: .* large packets are lost \(path MTU\)",
            ),
        },
        WITH_TLS,
    ),
    94: Row(
        "a packet filter rejects the connection by ICMP, and ping answers",
        {
            "": critical(
                "unreachable",
                " - host unreachable: ",
                "^likely cause: a packet filter rejects connections to port"
                r" \d+: the host answers ping$",
            )
        },
    ),
    95: Row(
        "the greeting comes late, as of a server whose authentication process is stopped",
        {
            "slow": critical(
                "timeout",
                r" - no (greeting|answer) within \S+ s",
                r"^likely cause: the server (greets, but only after \d\.\d s"
                r"|speaks plain text on port \d+)",
                modes=("plain", "tls"),
            ),
            "stopped": critical(
                "timeout",
                r" - no greeting within \S+ s",
                "^likely cause: .* is the authentication process stopped",
            ),
        },
    ),
    96: Row(
        "an address fails, and another answers later than the limit of the response time",
        {
            "": warning(
                "slow",
                r" - answered in \S+ s \(limit \S+ s\), \S+ s of it lost on \S+ timeout",
                "^try: repair the address that fails",
            )
        },
    ),
    97: Row(
        "the server delays logins after failed ones",
        {
            "": critical(
                "timeout",
                r" - no answer within \S+ s during the login",
                "^try: .* delays logins after failed ones .*; allow for it with -t 20",
            )
        },
    ),
    98: Row(
        "port 995 without -S",
        {
            "": critical(
                "timeout",
                r" - no greeting within \S+ s; port 995 expects TLS: use -S",
                modes=BEFORE_TLS,
            )
        },
    ),
    99: Row(
        "the limit of -D is above a third of the lifetime",
        {
            state: outcome(
                "expiring",
                " - certificate expires in 50 days",
                r"^try: the limit of \d+ days \(-D\) is above a third of the lifetime",
            )
            for state, outcome in (("warning", warning), ("critical", critical))
        },
        WITH_TLS,
    ),
    100: Row(
        "a sweep runs out of descriptors, threads or memory",
        {
            "descriptors": unknown(
                None,
                r" - not done: password command .*: Too many open files; lower --jobs, or raise the"
                r" limit .* \(a!x\); 2 services in .*: 1 OK, 1 not done; ",
            ),
            "threads": unknown(
                None,
                r" - not done within 3 s: cannot start a thread; lower --jobs, or raise the limit"
                r" \(ulimit\) \(a!x, b!y\); .* s: 2 not done; all sub",
            ),
            "memory": unknown(
                None,
                r" - not done: local error: MemoryError; .* \(a!x, b!y\); .*: 2 not done; all sub",
            ),
        },
        ANY,
    ),
    101: Row(
        "the answer of the API is lost, and the result sent again",
        {"": ok(": 1 OK; all submitted ")},
        ANY,
    ),
    102: Row(
        "a JSON line is written in part",
        {
            "": Outcome(
                "CRITICAL",
                None,
                '"not_submitted": .."host": "a", "service": "b", "reason": "cannot write to'
                " standard output: File too large",
            )
        },
        ANY,
    ),
    103: Row(
        "an empty value of an option in an INI file",
        {"": unknown(None, r"config: --expect needs a value \(/.*, line 2\)")},
        ANY,
    ),
    104: Row(
        "thresholds of the response time that are wrong together",
        {
            "critical below warning": unknown(
                None, "config: --critical 2 is below --warning 5; did you mean --warning 2 --cri"
            ),
            "days": unknown(None, "config: --critical 14 .*; .*meant as days"),
            "above timeout": ok("answered in", r"^note: -w 14, -c 30 can never alert: .* 10 s"),
        },
        ANY,
    ),
    105: Row(
        "a password file that looks edited by accident",
        {
            "BOM": unknown("config", r"password file .* begins with a byte order mark \(BOM\)"),
            "quotes": critical(
                "credentials", "", "^note: .* begins and ends with a quotation mark"
            ),
            "blank at the end": critical("credentials", "", "^note: .* ends with a blank"),
        },
        ANY,
    ),
    106: Row(
        "the newest message is too old: no mail arrives",
        {
            "warning": warning("stale", r" - newest message is 2 h \S+ \S+ old \(limit 1 h\)"),
            "critical": critical("stale", r" - newest message is 2 h .* \(limit 1 h 30 min\)"),
        },
    ),
    107: Row(
        "the oldest message is too old: no mail is fetched",
        {"": warning("unfetched", r" - oldest message is 3 d .* old \(limit 2 d\)")},
    ),
    108: Row(
        "there is no message that has an age",
        {
            "empty, newest": warning("no-message", " - mailbox is empty: there is no newest"),
            "empty, oldest": ok(ANSWERED),
            "undated": warning("no-message", " - no usable date in the headers of 3 messages"),
            "some undated": ok(ANSWERED, "^note: 2 of 3 messages read without a usable date"),
        },
    ),
    109: Row(
        "the server has no TOP",
        {
            "CAPA": critical("no-capability", " - server does not offer TOP, needed"),
            "-ERR": critical("no-capability", " - server refuses TOP: unknown command"),
            "system": critical("mailbox", r" - server cannot read a message: \[SYS/PERM\] I/O"),
            "message gone": ok(ANSWERED),
        },
    ),
    110: Row(
        "the mailbox of a round trip has probes",
        {
            "recent": ok(r", probe of 5 min \d+ s ago delivered", "^probes: 2 found of "),
            "first run": ok(r", probe delivered in \d+\.\d s", "^probes: waited for the one of"),
            "not our own": ok(r", 6 messages, probe of", "^probes: 1 found of "),
            "old key": ok(r", probe of", "^probes: 4 found of "),
            "many messages": ok(r", probe of 5 min \d+ s ago", "^probes: .* not looked at"),
        },
    ),
    111: Row(
        "a probe does not arrive: lost, in a queue, in the spam folder, over quota, forwarded",
        {
            "never any": warning("undelivered", " - probe has not arrived"),
            "late": warning("undelivered", " - probe has not arrived, the newest .* 20 min"),
            "no more": critical("undelivered", " - probe has not arrived, the newest .* 2 h"),
        },
    ),
    112: Row(
        "the SMTP server takes no probe",
        {
            "refused": critical("submission", r" - submission failed: 55[04] .*, at .* on \S+:\d+"),
            "greylisted": warning("submission-temporary", " - submission refused for now: 45"),
            "no connection": critical("submission", "submission failed: connection refused on "),
            "TLS": critical("submission", "submission failed: .* at the TLS handshake on "),
        },
    ),
    113: Row(
        "own probes are not deleted",
        {
            "DELE": warning("not-deleted", " - server refuses to delete own probes: no"),
            "QUIT": warning("not-deleted", " - QUIT was refused: disk full .own probes may "),
            "EOF": warning("not-deleted", " - QUIT was not acknowledged .own probes may"),
            "silence": warning("not-deleted", " - QUIT was not acknowledged .own probes may"),
            "too many": warning("not-deleted", " - 51 own probes in the mailbox .limit 50.: none"),
        },
    ),
    114: Row(
        "a probe takes too long", {"": warning("delayed", r" - probe took \d+\.\d s to arrive .li")}
    ),
    120: Row(
        "a certificate of another key type",
        {
            "expired": critical("expired", r" - certificate expired 2 days ago, on .* UTC \(RSA\)"),
            "missing": critical("old-tls", "sends no RSA certificate with TLS 1.2: ", "^try: give"),
            "TLS 1.3 only": critical("old-tls", "speaks no TLS 1.2", "^try: enable TLS 1.2"),
        },
        WITH_TLS,
    ),
}


THREATS = {
    "T1": Threat("STLS is stripped, and credentials are sent in clear", 3),
    "T2": Threat("a response is injected after the reply to STLS", 5),
    "T3": Threat("capabilities from before TLS are used inside TLS"),
    "T4": Threat("a man in the middle with a bad certificate receives a POP3 command", 8),
    "T5": Threat("a login over a link that is not verified, without the option for it", 8),
    "T6": Threat("a second or weaker mechanism after a failure", 4),
    "T7": Threat("the password in a process list or in an example", 7),
    "T8": Threat("the password in any output", 150),
    "T9": Threat("a password file that others can change or read", 16),
    "T10": Threat("untrusted text becomes a line, a metric or a macro", 4),
    "T11": Threat("untrusted text becomes markup or a terminal command", 3),
    "T12": Threat("untrusted text becomes performance data or a status", 2),
    "T13": Threat("an endless reply exhausts memory or time", 20),
    "T14": Threat("a stalled or slow server delays the check past the deadline", 40),
    "T15": Threat(
        "a failing name server or many failing addresses delay the check past the deadline", 7
    ),
    "T16": Threat("an unusual certificate causes a crash", 10),
    "T17": Threat("a huge certificate or chain exhausts memory or time", 3),
    "T18": Threat("a line break in an argument becomes a command", 4),
    "T19": Threat(
        "a message other than an own probe is changed, or more of it is shown than its age", 20
    ),
    "T20": Threat("the mailbox stays locked", 4),
    "T21": Threat("the account is locked by repeated logins, or mail is sent without end", 4),
    "T22": Threat("the environment changes the TLS policy", 1),
    "T23": Threat("modules from the working directory are imported", 1),
    "T24": Threat("an exit code outside 0 to 3, or a wrong one", 150),
    "T25": Threat("the verdict depends on the version of Python or OpenSSL", 2),
    "T26": Threat("verbose output shows secrets", 2),
    "T27": Threat("another service is taken for POP3", 4),
    "T28": Threat("a dependency breaks the check: at import, or by another version", 2),
}
