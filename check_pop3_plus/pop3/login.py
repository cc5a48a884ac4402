"""Login methods and their selection. No I/O.

A login method is a generator: it yields `Command`s, is sent the `Reply` to each, and returns the
last reply; `session` sends them. USER/PASS and APOP are here, AUTH is in `auth`. Only this module
reveals the login's secret.
"""

import re
from collections.abc import Generator

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.sanitised_text import Sanitiser, printable
from check_pop3_plus.model.settings import POP3_METHODS, TOKEN_METHODS, Login, Secret, Target
from check_pop3_plus.pop3.auth import authenticate
from check_pop3_plus.pop3.grammar import Capabilities, Command, Reply, command
from check_pop3_plus.sasl.exchange import Identity
from check_pop3_plus.sasl.mechanisms import CLEARTEXT, MECHANISMS, acceptable

Steps = Generator[Command, Reply, Reply]
"""Yields commands, receives replies, and returns the reply that ended the login."""

# A message identifier (RFC 1939 section 7): a looser pattern would let a man in the middle choose
# the text to be digested (CVE-2007-1558).
_TIMESTAMP = re.compile(rb"<[!-;=?A-~]+@[!-;=?A-~]+>")

DEMANDS_TLS_ITSELF = "refuses logins: TLS ends in front of the server, which wants TLS itself"
"""A server behind a proxy that ends TLS still offers STLS."""


def begin(
    method: str, login: Login, secret: Secret | None, target: Target, greeting: bytes
) -> Steps:
    identity = Identity(
        username=login.username.encode("utf-8", "surrogateescape"),
        secret=secret.reveal() if secret else b"",
        hostname=target.hostname,
        port=target.port,
    )
    if method == "user":
        return user_pass(identity)
    if method == "apop":
        return apop(identity, greeting)
    name = method.upper()
    return authenticate(name, MECHANISMS[name], identity)


def names_said(login: Login, secret: Secret | None) -> tuple[bytes, ...]:
    """Return what a server may repeat of a login: user name, its parts, the secret."""
    name = login.username.encode("utf-8", "surrogateescape")
    return (name, *re.split(rb"[^\w-]|_", name), secret.reveal() if secret else b"")


def user_pass(identity: Identity) -> Steps:
    """Log in by USER and PASS (RFC 1939 section 7)."""
    reply = yield command(b"USER", identity.username).replace(before_secret=True)
    if not reply.ok:
        return reply
    return (yield command(b"PASS", identity.secret, shown=printable("***")))


def apop(identity: Identity, greeting: bytes) -> Steps:
    """Log in by APOP (RFC 1939 section 7): a digest of the greeting's timestamp and the password.

    Raises ProbeError (no-mechanism) when the greeting has no timestamp.
    """
    import hashlib

    timestamp = _TIMESTAMP.search(greeting)
    if not timestamp:
        raise ProbeError(Kind.NO_MECHANISM, "offers no APOP (no timestamp in the greeting)")
    digest = hashlib.md5(timestamp[0] + identity.secret, usedforsecurity=False).hexdigest()
    argument = identity.username + b" " + digest.encode()
    return (yield command(b"APOP", argument, shown=printable("***")))


def choose_mechanism(wanted: str, capabilities: Capabilities | None, is_encrypted: bool) -> str:
    """Return the login method to use, from the capabilities read after TLS.

    `auto` is USER/PASS if the list has USER or there is no list, else SASL PLAIN, else LOGIN.
    Raises ProbeError: cleartext-refused if the server demands TLS first or does not know
    of the TLS that a proxy ends, no-mechanism.
    """
    if wanted == "auto" and (capabilities is None or capabilities.has("USER")):
        return "user"
    if capabilities is None or wanted in POP3_METHODS:
        return wanted
    offered = sasl_mechanisms(capabilities)
    for name in acceptable(wanted):
        if name in offered:
            return name.lower()
    names = " ".join(offered)
    # Without TLS, Cyrus still offers the mechanisms that do not reveal the password.
    reveals_password = acceptable(wanted)[0] in CLEARTEXT
    if is_encrypted and demands_tls_itself(capabilities) and reveals_password:
        raise ProbeError(Kind.CLEARTEXT_REFUSED, DEMANDS_TLS_ITSELF)
    if not is_encrypted and capabilities.has("STLS") and (reveals_password or not offered):
        if not offered:
            raise ProbeError(Kind.CLEARTEXT_REFUSED, "offers no login before TLS")
        raise ProbeError(
            Kind.CLEARTEXT_REFUSED, "demands TLS before a login (offers only {} without)", names
        )
    missing = "USER, PLAIN or LOGIN" if wanted == "auto" else wanted.upper()
    # The list comes last, because a long message is cut at its end.
    raise ProbeError(
        Kind.NO_MECHANISM, "does not offer {}; its mechanisms: {}", missing, names or "none"
    )


def demands_tls_itself(capabilities: Capabilities) -> bool:
    """Return whether a list read inside TLS is of a server that does not know of that TLS.

    A server that takes tokens may have switched off passwords instead.
    """
    takes_tokens = any(name.lower() in TOKEN_METHODS for name in sasl_mechanisms(capabilities))
    return capabilities.has("STLS") and not takes_tokens


def sasl_mechanisms(capabilities: Capabilities) -> tuple[str, ...]:
    """Return the SASL mechanisms offered that have valid names (RFC 4422 section 3.1)."""
    offered = capabilities.tags.get("SASL", ())
    return tuple(name for name in offered if re.fullmatch(r"[A-Z0-9_-]{1,20}", name))


_REFUSALS = {
    Kind.CLEARTEXT_REFUSED: "demands TLS before a login",
    Kind.CLIENT_CERTIFICATE: "demands a client certificate",
    Kind.NO_MECHANISM: "does not know this login method",
    Kind.LOCKED_OUT: "user {0} is locked out",
    Kind.BACKEND: "server trouble during the login of {0}",
    Kind.LOGIN_REFUSED: "login of {0} refused",
    Kind.IN_USE: "mailbox of {0} is in use",
    Kind.LOGIN_DELAY: "user {0} logs in too often",
    Kind.TEMPORARY: "login of {0} failed for now",
    Kind.PERMANENT: "login of {0} failed",
    Kind.CREDENTIALS: "login of {0} rejected",
}
"""Predicates about the server, and sentences about the user."""


def refused(
    reply: Reply, username: str, kind: Kind, is_encrypted: bool, quoted: Sanitiser
) -> ProbeError:
    """Return the error for a refused login."""
    about_proxy = kind is Kind.CLEARTEXT_REFUSED and is_encrypted
    template = DEMANDS_TLS_ITSELF if about_proxy else _REFUSALS[kind]
    said = quoted(reply.text) if reply.text.strip(b" .-") else ""
    error = ProbeError(kind, template + ": {1}", username, said or printable("(no reason given)"))
    error.is_sentence = "{0}" in template
    return error
