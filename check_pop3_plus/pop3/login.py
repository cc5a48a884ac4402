"""The ways in, and the choice among them. No I/O.

A way in is a generator: it yields `Command`s, is sent the `Reply` to each, and returns the last
reply; the session carries them. USER/PASS and APOP are here, SASL in `sasl` and `mechanisms`.
This is the only room that reveals a secret.
"""

import re
from collections.abc import Generator

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.sanitised_text import Printable, Sanitiser, sanitise
from check_pop3_plus.model.settings import POP3_METHODS, Login, Secret, Target
from check_pop3_plus.pop3.grammar import Capabilities, Command, Reply, command
from check_pop3_plus.pop3.sasl_exchange import Identity, exchange
from check_pop3_plus.pop3.sasl_mechanisms import MECHANISMS

Steps = Generator[Command, Reply, Reply]
"""Commands out, replies in; returns the reply that ended the login."""

SASL = {name.lower(): name for name in MECHANISMS}

# A message identifier (RFC 1939 section 7): anything looser lets a machine in the middle choose
# the text whose digest it wants (CVE-2007-1558).
_TIMESTAMP = re.compile(rb"<[!-;=?A-~]+@[!-;=?A-~]+>")


CLEARTEXT = ("PLAIN", "LOGIN")
"""SASL mechanisms that send the password as it is."""


def begin(
    method: str, login: Login, secret: Secret | None, target: Target, greeting: bytes
) -> Steps:
    """Return the steps of one way in. Raises ProbeError (no-mechanism)."""
    identity = Identity(
        username=login.username.encode("utf-8", "surrogateescape"),
        secret=secret.reveal() if secret else b"",
        hostname=target.hostname,
        port=target.port,
        greeting=greeting,
    )
    if method == "user":
        return user_pass(identity)
    if method == "apop":
        return apop(identity)
    name = SASL[method]
    return exchange(name, MECHANISMS[name], identity)


def user_pass(identity: Identity) -> Steps:
    """USER and PASS (RFC 1939 section 7)."""
    reply = yield command(b"USER", identity.username)
    if not reply.ok:
        return reply
    return (yield command(b"PASS", identity.secret, shown=Printable("***")))


def apop(identity: Identity) -> Steps:
    """APOP (RFC 1939 section 7): a digest of the greeting's timestamp and the password."""
    import hashlib

    timestamp = _TIMESTAMP.search(identity.greeting)
    if not timestamp:
        raise ProbeError(
            Kind.NO_MECHANISM, Printable("offers no APOP (no timestamp in the greeting)")
        )
    digest = hashlib.md5(timestamp[0] + identity.secret, usedforsecurity=False).hexdigest()
    argument = identity.username + b" " + digest.encode()
    return (yield command(b"APOP", argument, shown=Printable("***")))


def choose_mechanism(wanted: str, capabilities: Capabilities | None, is_encrypted: bool) -> str:
    """Return the one way to try, from the capabilities read after TLS.

    `auto` is USER/PASS where the list has USER or there is no list, else SASL PLAIN, else LOGIN;
    nothing else, because servers advertise the others for users who have no such secret.
    Raises ProbeError: cleartext-refused where the server wants TLS first, no-mechanism.
    """
    if wanted == "auto":
        if capabilities is None or capabilities.has("USER"):
            return "user"
        acceptable: tuple[str, ...] = tuple(name.lower() for name in CLEARTEXT)
    elif capabilities is None or wanted in POP3_METHODS:
        return wanted
    else:
        acceptable = (wanted,)
    offered = sasl_mechanisms(capabilities)
    for method in acceptable:
        if SASL[method] in offered:
            return method
    # Cyrus keeps the mechanisms that do not show the password.
    shows_password = wanted == "auto" or SASL[wanted] in CLEARTEXT
    if not is_encrypted and capabilities.has("STLS") and (shows_password or not offered):
        message = f"demands TLS before a login (offers only {' '.join(offered)} without)"
        if not offered:
            message = "offers no login before TLS"
        raise ProbeError(Kind.CLEARTEXT_REFUSED, Printable(message))
    wish = "USER, PLAIN or LOGIN" if wanted == "auto" else SASL[wanted]
    # A long list must not push out the name that was wanted.
    message = f"does not offer {wish}; its mechanisms: {' '.join(offered) or 'none'}"
    raise ProbeError(Kind.NO_MECHANISM, Printable(message))


def sasl_mechanisms(capabilities: Capabilities) -> tuple[str, ...]:
    """Return the SASL mechanisms offered, as far as they are names of mechanisms (RFC 4422)."""
    offered = capabilities.tags.get("SASL", ())
    return tuple(name for name in offered if re.fullmatch(r"[A-Z0-9_-]{1,20}", name))


_BY_CODE = (
    ("IN-USE", Kind.IN_USE),
    ("LOGIN-DELAY", Kind.LOGIN_DELAY),
    ("SYS/TEMP", Kind.TEMPORARY),
    ("SYS", Kind.PERMANENT),  # whatever it is: the system's fault, not the credentials' (RFC 3206)
)

# What servers say when they want TLS first: Dovecot 2.3 and 2.4, Cyrus, Courier, Exchange, and
# words that any other would use for it. Not the mere mention of TLS, which a judgement of the
# password may have, too.
_DEMANDS_TLS = re.compile(
    rb"(plain|clear)[- ]?text.{0,60}(disallow|disable|forbid|refuse|prohibit|not (allow|permit))"
    rb"|(dis|not )allowed.{0,60}(non[- ]secure|until (ssl|tls))|under a layer"
    rb"|not valid in this state"
    rb"|(tls|ssl|encryption|encrypted|secured? connection) (is |are )?(required|needed|mandatory)"
    rb"|(requires?|needs?|must (use|be|have|issue)|use|enable) (an? |the )?"
    rb"(start ?tls|stls|tls|ssl|encrypt|secured? )",
    re.I,
)
_READ = 512
"""Octets of a reply that are read for their meaning (RFC 2449 section 4: no reply is longer)."""

# What servers say of a maildrop that another session holds (RFC 1939 section 7: "unable to lock
# maildrop"), as they did before there was [IN-USE]: qpopper, UW, hMailServer. Not what they
# say of an account, or of a mailbox that somebody has closed.
_HOLDS_MAILDROP = re.compile(
    rb"(unable to|cannot|can't|could not|couldn't|failed to) (lock (the |your )?(maildrop|mailbox)"
    rb"|(get|obtain|acquire) (a |the )?(exclusive )?lock)|\block busy\b"
    rb"|\b(maildrop|mailbox) (is )?((already |currently )?in use\b|(already|currently) locked\b"
    rb"|locked by (an)?other)",
    re.I,
)

_WANTS_CERTIFICATE = re.compile(rb"(ssl|tls|client)[- ]cert|valid(ate)? certificate", re.I)


def rejection(reply: Reply, is_encrypted: bool) -> Kind:
    """Return the kind of a refused login, by the server's own words (RFC 2449 section 8, 3206).

    Without a response code a refusal is about the credentials, unless its words are about the lock
    of the maildrop: those are what `-ERR` to PASS means in RFC 1939.
    """
    kind = kind_of_code(reply.code)
    if kind is not None:
        return kind
    if not is_encrypted and demands_tls(reply):
        return Kind.CLEARTEXT_REFUSED
    if _WANTS_CERTIFICATE.search(reply.text[:_READ]):
        return Kind.CLIENT_CERTIFICATE
    if reply.code is None and _HOLDS_MAILDROP.search(reply.text[:_READ]):
        return Kind.IN_USE
    return Kind.CREDENTIALS


def demands_tls(reply: Reply) -> bool:
    """Return whether a refusal is for want of TLS, by the server's words."""
    return bool(_DEMANDS_TLS.search(reply.text[:_READ]))


def kind_of_code(code: str | None) -> Kind | None:
    """Return what a response code says, or None; codes are hierarchical (RFC 2449 section 8)."""
    for prefix, kind in _BY_CODE:
        if code is not None and (code == prefix or code.startswith(prefix + "/")):
            return kind
    return None


def described(reply: Reply, username: str, kind: Kind, quoted: Sanitiser) -> Printable:
    """Return the refusal as a sentence about the server."""
    user = sanitise(username)
    what = {
        Kind.CLEARTEXT_REFUSED: "demands TLS before a login",
        Kind.CLIENT_CERTIFICATE: "demands a client certificate",
        Kind.IN_USE: f"says that the mailbox of user {user} is in use",
        Kind.LOGIN_DELAY: f"says that user {user} logs in too often",
        Kind.TEMPORARY: f"cannot log in user {user} for now",
        Kind.PERMANENT: f"cannot log in user {user}",
    }.get(kind, f"rejected user {user}")
    return Printable(f"{what}: {quoted(reply.text) or '(no reason given)'}")
