"""What to try, by kind of failure and by phase.

A hint uses nothing but the kind, the phase and the message, which quotes the server; what the
findings of a diagnosis add is in
`diagnosis/likely_cause`.
"""

import re
from collections.abc import Mapping

from check_pop3_plus.model.failures import Kind, Phase
from check_pop3_plus.model.record import Record

_RENEW = (
    "renew the certificate (or install the renewed intermediate) and reload the server; if"
    " it was renewed already, the server was not reloaded"
)


class Hint(Record):
    """What an administrator can try after one kind of failure."""

    text: str = ""
    """For every phase; empty where there is no general advice."""
    by_phase: Mapping[Phase, str] = {}
    """For a phase, in place of `text`."""
    gloss: str = ""
    """An explanation of the kind, where its name is no plain English."""


HINTS = {
    Kind.UNRESOLVED: Hint("check the spelling of the host name and its DNS zone"),
    Kind.RESOLVER: Hint("check the name servers of this machine (resolv.conf)"),
    Kind.REFUSED: Hint("the service is not running, or a packet filter rejects the connection"),
    Kind.UNREACHABLE: Hint("check the route from this machine, and the packet filters along it"),
    Kind.TIMEOUT: Hint(
        "the server hangs or is overloaded; check its log",
        by_phase={
            Phase.CONNECT: "the host is down, or a packet filter drops the connection",
            Phase.GREETING: "the server hangs, or this port expects TLS from the first byte"
            " (try -S)",
            Phase.TLS: "the server hangs, or this is a plain-text port (try --starttls)",
            Phase.LOGIN: "the authentication back end of the server is slow or down",
        },
    ),
    Kind.PARTIAL: Hint(),
    Kind.CLOSED: Hint(
        "the server crashed, was restarted, or dropped the connection; check its log",
        by_phase={
            Phase.GREETING: "an access list, a connection limit, or a failing back end of the"
            " server",
            Phase.LOGIN: "the authentication back end of the server is slow or down",
            Phase.TLS: "a misconfigured TLS service, or an access list",
        },
    ),
    Kind.GARBLED: Hint(
        "a broken server, or a proxy or packet filter that changes the traffic",
        by_phase={
            Phase.GREETING: "another service on this port, or TLS from the first byte (try -S)",
        },
        gloss="unexpected protocol data",
    ),
    Kind.OVERSIZED: Hint(gloss="a reply exceeds its limit"),
    Kind.GREETING: Hint("the server is up but refuses service; check its log"),
    Kind.GREETING_TEMPORARY: Hint(
        "temporary, according to the server; check its log if it persists"
    ),
    Kind.EXPECT: Hint("the greeting changed: a different server, or an upgrade?"),
    Kind.TLS: Hint(
        by_phase={
            Phase.TLS: "check that this port expects TLS from the first byte (-S) or STLS"
            " (--starttls)",
        }
    ),
    Kind.OLD_TLS: Hint("enable TLS 1.2 or 1.3 on the server; --tls-min 1.1 if it cannot"),
    Kind.EXPIRED: Hint(_RENEW),
    Kind.NOT_YET_VALID: Hint(
        "check the clock of this machine; if it is right, the certificate was installed too early"
    ),
    Kind.NAME: Hint(
        "install a certificate that covers this name, or check the name in the certificate"
        " (-H, --sni)"
    ),
    Kind.UNTRUSTED: Hint(
        "configure the server to send its intermediate certificates; for a private CA or a"
        " self-signed certificate use --ca-file"
    ),
    Kind.WEAK: Hint("issue a new certificate with a longer key and a SHA-256 signature"),
    Kind.NOT_STRICT: Hint("reissue the certificates to conform to RFC 5280, or drop --x509-strict"),
    Kind.CLIENT_CERTIFICATE: Hint(
        "the server requires a client certificate that it accepts: --client-cert and --client-key"
    ),
    Kind.NO_STLS: Hint("TLS is off on this port: enable it on the server, or use -S on port 995"),
    Kind.INJECTED: Hint("possible man-in-the-middle (command injection), or a broken server"),
    Kind.NO_CAPABILITY: Hint("compare with the capabilities below: was a server setting lost?"),
    Kind.NO_MECHANISM: Hint("choose another mechanism with --auth"),
    Kind.CLEARTEXT_REFUSED: Hint("use -S or --starttls"),
    Kind.CREDENTIALS: Hint(
        "the server works but rejects the credentials (password, token or client certificate):"
        " wrong, changed or locked; repeated attempts may lock the account"
    ),
    Kind.LOCKED_OUT: Hint(
        "unlock the account on the server; pause this check until then, because each attempt may"
        " renew the lock"
    ),
    Kind.LOGIN_REFUSED: Hint(
        "the server does not say that the password is wrong: check its log for the reason"
    ),
    Kind.IN_USE: Hint("another session holds the mailbox; use a dedicated mailbox for monitoring"),
    Kind.LOGIN_DELAY: Hint("raise the check interval above the login delay of the server"),
    Kind.TEMPORARY: Hint(
        "not a wrong password: check the log of the server and its authentication back end"
    ),
    Kind.PERMANENT: Hint(
        "not a wrong password: check the log of the server and its authentication back end"
    ),
    Kind.BACKEND: Hint(
        "not a wrong password, and probably nobody can log in: check the log of the server and its"
        " authentication back end"
    ),
    Kind.MAILBOX: Hint("the login works; check the server log for the mailbox of this user"),
    Kind.GOODBYE: Hint(gloss="no reply to QUIT"),
    Kind.CERTIFICATE_UNREADABLE: Hint("inspect the certificate with openssl s_client"),
    Kind.CLEARTEXT_ACCEPTED: Hint("forbid cleartext logins on the server"),
    Kind.INJECTABLE: Hint(
        "update the server: it is vulnerable to STARTTLS command injection",
        gloss="accepts commands sent before TLS",
    ),
    Kind.LEGACY_TLS: Hint("disable TLS 1.0 and 1.1 on the server"),
    Kind.PIN: Hint(
        "if the certificate was renewed, pin the new hash below; if not, suspect interception"
    ),
    Kind.ISSUER: Hint("find out who replaced the certificate; compare with the issuer below"),
    Kind.NOT_DEPLOYED: Hint("reload the server to load the new certificate"),
    Kind.LONG_LIVED: Hint("issue a certificate with a shorter lifetime"),
    Kind.TOO_FEW: Hint("see below which addresses failed"),
    Kind.SLOW: Hint("see below which phase is slow"),
    Kind.EXPIRING: Hint(_RENEW),
    Kind.MESSAGES: Hint(),
    Kind.SIZE: Hint(),
    Kind.CONFIG: Hint(),
    Kind.BUG: Hint(),
    Kind.STOPPED: Hint(),
}
"""A row for each kind."""


_ABOUT_LOGIN = (Phase.LOGIN, Phase.STAT)

_BY_WORDS = (
    # choose_mechanism
    (
        r"its mechanisms:( (NTLM|GSSAPI|GSS-SPNEGO|KERBEROS_V4))+$",
        "the server offers only Windows or Kerberos logins, which are not supported here: enable"
        " PLAIN for this user, or check without a login",
    ),
    (
        r"its mechanisms:.* (XOAUTH2|OAUTHBEARER)\b"
        r"|basic auth\w* (is |has been )?(disabled|blocked)",
        "the server takes tokens instead of passwords: use --auth xoauth2 or oauthbearer",
    ),
    (
        "TLS ends in front of the server",
        "let the proxy pass TLS through, or have the server trust the proxy (Dovecot:"
        " login_trusted_networks)",
    ),
    # Google, Yahoo
    (
        r"\bapp(lication)?[- ](specific )?password",
        "create an app password for this user, and use it here",
    ),
    # hMailServer, MailEnable, Kerio
    (
        r"\b(full|complete) (e-?mail|user ?name|address)",
        "the user name must be the full address: -U user@domain",
    ),
    # Gmail, Zimbra, Exchange
    (
        r"\bPOP3?( access| service| protocol)?\b.*\b(disabled|(not|isn't) (enabled|allowed)|off)\b"
        r"|\b(not|isn't) (enabled|allowed) (for|to use) POP",
        "enable POP access for this mailbox on the server",
    ),
    # Dovecot, Courier, Exchange
    (
        r"\b(too many|maximum|limit|exceed\w*)\b.*\b(connections|sessions)\b",
        "a limit of connections is reached: raise it on the server (Dovecot:"
        " mail_max_userip_connections), or close other clients of this user",
    ),
)
"""What to try after a login, by the words of the server and of this plugin."""


def hint(kind: Kind, phase: Phase | None, message: str = "") -> str:
    """Return what to try, or an empty text."""
    if phase in _ABOUT_LOGIN:
        for pattern, text in _BY_WORDS:
            if re.search(pattern, message, re.I):
                return text
    row = HINTS[kind]
    return row.by_phase.get(phase, row.text) if phase else row.text
