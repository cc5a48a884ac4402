"""One way in per class, and the choice among them. No I/O.

A mechanism is a generator: it yields `Command`s, is sent the `Reply` to each, and returns when
the server has accepted; the session carries them. A new mechanism is one class or function here
and one row in `MECHANISMS`. This is the only room that reveals a secret.
"""

import re
from collections.abc import Callable, Generator

from check_pop3_plus.failures import Kind, ProbeError
from check_pop3_plus.pop3 import Capabilities, Command, Reply, command
from check_pop3_plus.settings import Secret
from check_pop3_plus.text import Cleaner, Printable

Steps = Generator[Command, Reply, Reply]
"""Commands out, replies in; returns the reply that ended the login."""

Mechanism = Callable[[str, Secret], Steps]


def user_pass(username: str, secret: Secret) -> Steps:
    """USER and PASS (RFC 1939 section 7)."""
    reply = yield command(b"USER", username.encode("utf-8", "surrogateescape"))
    if not reply.ok:
        return reply
    return (yield command(b"PASS", secret.reveal(), shown=Printable("***")))


MECHANISMS: dict[str, Mechanism] = {
    "user": user_pass,
}
"""By the name that `--auth` takes."""


def choose(wanted: str, capabilities: Capabilities | None, is_encrypted: bool) -> Mechanism:
    """Return the one mechanism to try, from the capabilities read after TLS.

    `auto` is USER/PASS where the list has USER or there is no list. Raises ProbeError:
    cleartext-refused where the server wants TLS first, no-mechanism where nothing fits.
    """
    if wanted != "auto":
        return MECHANISMS[wanted]
    if capabilities is None or capabilities.has("USER"):
        return MECHANISMS["user"]
    if not is_encrypted and capabilities.has("STLS"):
        raise ProbeError(
            Kind.CLEARTEXT_REFUSED, Printable("demands TLS before a login (USER is not offered)")
        )
    offered = Printable(" ".join(sasl_mechanisms(capabilities)) or "none")
    raise ProbeError(Kind.NO_MECHANISM, Printable(f"offers no USER/PASS login; SASL: {offered}"))


def sasl_mechanisms(capabilities: Capabilities) -> tuple[str, ...]:
    """Return the SASL mechanisms offered, as far as they are names of mechanisms (RFC 4422)."""
    offered = capabilities.tags.get("SASL", ())
    return tuple(name for name in offered if re.fullmatch(r"[A-Z0-9_-]{1,20}", name))


_BY_CODE = (
    ("IN-USE", Kind.IN_USE),
    ("LOGIN-DELAY", Kind.LOGIN_DELAY),
    ("SYS/TEMP", Kind.TEMPORARY),
    ("SYS/PERM", Kind.PERMANENT),
)

# What servers say when they want TLS first: Dovecot 2.3 and 2.4, Cyrus, Courier, and words
# that any other would use for it.
_WANTS_TLS = re.compile(
    rb"(plain|clear)[- ]?text|(non|not|in)[- ]?secure|under a layer|(tls|ssl|stls|encryption)"
    rb" (is )?(required|needed)|(requires?|use|need|must) [a-z ]*(tls|ssl|stls|encrypt)",
    re.I,
)
_WANTS_CERTIFICATE = re.compile(rb"(ssl|tls|client)[- ]cert|valid certificate", re.I)


def rejection(reply: Reply, is_encrypted: bool) -> Kind:
    """Return the kind of a refused login, by the server's own words (RFC 2449 section 8, 3206).

    Without a response code a refusal is about the credentials: that is what a bare `-ERR` to
    PASS means in RFC 1939.
    """
    kind = kind_of_code(reply.code)
    if kind is not None:
        return kind
    if not is_encrypted and _WANTS_TLS.search(reply.text):
        return Kind.CLEARTEXT_REFUSED
    if _WANTS_CERTIFICATE.search(reply.text):
        return Kind.CLIENT_CERTIFICATE
    return Kind.CREDENTIALS


def kind_of_code(code: str | None) -> Kind | None:
    """Return what a response code says, or None; codes are hierarchical (RFC 2449 section 8)."""
    for prefix, kind in _BY_CODE:
        if code is not None and (code == prefix or code.startswith(prefix + "/")):
            return kind
    return None


def described(reply: Reply, username: str, kind: Kind, clean: Cleaner) -> Printable:
    """Return the refusal as a sentence about the server."""
    user = clean(username)
    what = {
        Kind.CLEARTEXT_REFUSED: "demands TLS before a login",
        Kind.CLIENT_CERTIFICATE: "demands a client certificate",
        Kind.IN_USE: f"says that the mailbox of user {user} is in use",
        Kind.LOGIN_DELAY: f"says that user {user} logs in too often",
        Kind.TEMPORARY: f"cannot log in user {user} for now",
        Kind.PERMANENT: f"cannot log in user {user}",
    }.get(kind, f"rejected user {user}")
    return Printable(f"{what}: {clean(reply.text) or '(no reason given)'}")
