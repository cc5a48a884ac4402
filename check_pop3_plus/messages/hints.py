"""What to try, by kind of failure and by phase."""

from collections.abc import Mapping

from check_pop3_plus.model.failures import Kind, Phase
from check_pop3_plus.model.record import Record

_RENEW = (
    "renew the certificate (or fetch the new one of its issuer) and reload the server; if that is"
    " done already, the reload was missed"
)


class Hint(Record):
    """What an administrator can try after one kind of failure."""

    text: str = ""
    """For every phase; empty where there is no general advice."""
    by_phase: Mapping[Phase, str] = {}
    """For a phase, in place of `text`."""


HINTS = {
    Kind.UNRESOLVED: Hint("check the spelling of the name, and the zone it is in"),
    Kind.RESOLVER: Hint("check the name servers of this machine (resolv.conf)"),
    Kind.REFUSED: Hint("nothing listens on this port, or a packet filter rejects it"),
    Kind.UNREACHABLE: Hint("check the route from this machine, and packet filters on the way"),
    Kind.TIMEOUT: Hint(
        by_phase={
            Phase.CONNECT: "the host is down, or a packet filter drops the connection",
            Phase.GREETING: "the service hangs, or this port expects TLS from the first"
            " byte (try -S)",
            Phase.TLS: "the service hangs, or speaks plain text and waits (try --starttls)",
            Phase.LOGIN: "the authentication back end of the server is slow or down",
        }
    ),
    Kind.PARTIAL: Hint(),
    Kind.CLOSED: Hint(
        by_phase={
            Phase.GREETING: "too many connections, an access list, or a failing back end",
            Phase.TLS: "a TLS service that is set up wrong, or an access list",
        }
    ),
    Kind.GARBLED: Hint(
        by_phase={
            Phase.GREETING: "another service on this port, or TLS from the first byte (try -S)",
        }
    ),
    Kind.OVERSIZED: Hint(),
    Kind.GREETING: Hint("see the log of the server for why it serves nobody"),
    Kind.GREETING_TEMPORARY: Hint("the server says that this passes; see its log if it lasts"),
    Kind.EXPECT: Hint("another server than you think, or a new version of it"),
    Kind.TLS: Hint(
        by_phase={
            Phase.TLS: "check that this port expects TLS from the first byte (-S)"
            " or STLS (--starttls)",
        }
    ),
    Kind.OLD_TLS: Hint("enable TLS 1.2 or 1.3 on the server; --tls-min 1.1 if it cannot"),
    Kind.EXPIRED: Hint(_RENEW),
    Kind.NOT_YET_VALID: Hint("check the clocks of this machine and of the one that issued it"),
    Kind.NAME: Hint(
        "install a certificate for this name, or name the service as it does (-H, --sni)"
    ),
    Kind.UNTRUSTED: Hint(
        "send the intermediate certificates with it; a private issuer,"
        " or one that is its own, is trusted by --ca-file"
    ),
    Kind.WEAK: Hint("issue a new certificate, with a longer key and signed with SHA-256"),
    Kind.NOT_STRICT: Hint("issue the certificates anew by RFC 5280, or leave out --x509-strict"),
    Kind.CLIENT_CERTIFICATE: Hint("give one by --client-cert and --client-key"),
    Kind.NO_STLS: Hint("enable TLS on the server, or use -S on port 995"),
    Kind.INJECTED: Hint("somebody on the way may change the traffic, or the server is broken"),
    Kind.NO_CAPABILITY: Hint("compare with the capabilities below; a setting was lost?"),
    Kind.NO_MECHANISM: Hint("choose another mechanism by --auth"),
    Kind.CLEARTEXT_REFUSED: Hint("use -S or --starttls"),
    Kind.CREDENTIALS: Hint(
        "check user name and password (or token, or client certificate);"
        " repeated tries may lock the account"
    ),
    Kind.IN_USE: Hint("another session holds the mailbox; use a mailbox for monitoring alone"),
    Kind.LOGIN_DELAY: Hint("raise the check interval above the login delay of the server"),
    Kind.TEMPORARY: Hint("not the credentials: see the log of the server for its back end"),
    Kind.PERMANENT: Hint("not the credentials: see the log of the server for its back end"),
    Kind.MAILBOX: Hint("see the log of the server for the mailbox of this user"),
    Kind.GOODBYE: Hint(),
    Kind.CERTIFICATE_UNREADABLE: Hint("see the certificate by openssl s_client"),
    Kind.CLEARTEXT_ACCEPTED: Hint("forbid cleartext logins on the server"),
    Kind.INJECTABLE: Hint("update the server: it keeps what was sent before TLS"),
    Kind.LEGACY_TLS: Hint("switch TLS 1.0 and 1.1 off on the server"),
    Kind.PIN: Hint("if it was renewed, pin the sha256 below; if not, somebody is in between"),
    Kind.ISSUER: Hint("find out who replaced the certificate; compare with the issuer below"),
    Kind.NOT_DEPLOYED: Hint("reload the server, so that it reads the new certificate"),
    Kind.LONG_LIVED: Hint("issue a certificate for a shorter time"),
    Kind.TOO_FEW: Hint("see the addresses below for those that failed"),
    Kind.SLOW: Hint("see below which phase is slow"),
    Kind.EXPIRING: Hint(_RENEW),
    Kind.MESSAGES: Hint(),
    Kind.SIZE: Hint(),
    Kind.CONFIG: Hint(),
    Kind.BUG: Hint(),
    Kind.STOPPED: Hint(),
}
"""A row for each kind."""


def hint(kind: Kind, phase: Phase | None) -> str:
    """Return what to try, or an empty text."""
    row = HINTS[kind]
    return row.by_phase.get(phase, row.text) if phase else row.text
