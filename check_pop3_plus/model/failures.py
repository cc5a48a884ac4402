"""Phases of a check and kinds of failure: the shared vocabulary of all modules.

A failure is a phase (where it happened) and a kind (what went wrong). The state of each kind is
policy and stands in `check/default_states`; what to do about it stands in `messages/hints`.
"""

import errno
from enum import Enum

from check_pop3_plus.model.record import Record
from check_pop3_plus.model.sanitised_text import Printable, printable


class Phase(Enum):
    """A step of the session; the value is its perfdata suffix and its name in options."""

    __hash__ = object.__hash__  # that of Enum is ten times as slow, and hashes the name

    RESOLVE = "resolve"
    FAILED = "failed"
    """What addresses cost that failed before one worked; not a step, so no failure is in it."""
    CONNECT = "connect"
    TLS = "tls"
    GREETING = "greeting"
    CAPA = "capa"
    STLS = "stls"
    LOGIN = "login"
    STAT = "stat"
    TOP = "top"
    SMTP = "smtp"
    """Of a round trip; not part of `time`."""
    QUIT = "quit"


class Kind(Enum):
    """What can go wrong. Values are part of the interface: they may be added, never renamed."""

    __hash__ = object.__hash__

    UNRESOLVED = "unresolved"
    RESOLVER = "resolver"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    PARTIAL = "partial"
    CLOSED = "closed"
    GARBLED = "garbled"
    OVERSIZED = "oversized"
    GREETING = "greeting"
    GREETING_TEMPORARY = "greeting-temporary"
    EXPECT = "expect"
    TLS = "tls"
    OLD_TLS = "old-tls"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    NAME = "name"
    UNTRUSTED = "untrusted"
    WEAK = "weak"
    NOT_STRICT = "not-strict"
    CLIENT_CERTIFICATE = "client-certificate"
    NO_STLS = "no-stls"
    INJECTED = "injected"
    NO_CAPABILITY = "no-capability"
    NO_MECHANISM = "no-mechanism"
    CLEARTEXT_REFUSED = "cleartext-refused"
    CREDENTIALS = "credentials"
    LOCKED_OUT = "locked-out"
    LOGIN_REFUSED = "login-refused"
    IN_USE = "in-use"
    LOGIN_DELAY = "login-delay"
    TEMPORARY = "temporary"
    PERMANENT = "permanent"
    BACKEND = "backend"
    MAILBOX = "mailbox"
    GOODBYE = "goodbye"
    CERTIFICATE_UNREADABLE = "certificate-unreadable"
    CLEARTEXT_ACCEPTED = "cleartext-accepted"
    INJECTABLE = "injectable"
    LEGACY_TLS = "legacy-tls"
    PIN = "pin"
    ISSUER = "issuer"
    NOT_DEPLOYED = "not-deployed"
    LONG_LIVED = "long-lived"
    TOO_FEW = "too-few"
    NO_MESSAGE = "no-message"
    SUBMISSION = "submission"
    SUBMISSION_TEMPORARY = "submission-temporary"
    UNDELIVERED = "undelivered"
    NOT_DELETED = "not-deleted"
    # Thresholds that were crossed: they have a name to print, and no state of their own.
    SLOW = "slow"
    EXPIRING = "expiring"
    MESSAGES = "messages"
    SIZE = "size"
    STALE = "stale"
    UNFETCHED = "unfetched"
    DELAYED = "delayed"
    # Ours, not the server's: always UNKNOWN.
    CONFIG = "config"
    BUG = "bug"
    STOPPED = "stopped"


MEASURED = tuple(phase for phase in Phase if phase is not Phase.QUIT)
"""The phases in perfdata; QUIT is not evaluated and not part of `time`."""

LOCAL = frozenset((Kind.CONFIG, Kind.BUG, Kind.STOPPED))
"""Kinds that are about this plugin and its machine; always UNKNOWN."""


ADDRESS_BLOCKED = r"(ip|host|address)( [\w.:]+){0,3} (blocked|banned|black-?listed|block-?listed)"
"""Words of a server that refuses the address of this machine (fail2ban, cPanel, Plesk)."""

OAUTH_WANTED = (
    r"(use|requires?) (an? )?(x?oauth2?|modern auth\w*)"
    r"|(x?oauth2?|modern auth\w*)( is)? (required|only)"
)
"""Words of a server that takes tokens instead of passwords."""


class Origin(Record):
    """Where a value stands: a line of a file."""

    path: Printable
    line: int

    def __str__(self) -> str:
        return f"{self.path}, line {self.line}"


class Failure(Record):
    """Immutable record of a caught error."""

    kind: Kind
    phase: Phase | None
    message: Printable
    """A predicate about the server: `closed the connection`; a sentence where it is about us."""
    is_late: bool = False
    """Whether a deadline passed; the status line adds which one."""
    reason: Printable | None = None
    """The bare reason that `message` puts into a sentence, where messages need it."""
    verify_code: int | None = None
    """OpenSSL's X509_V_ERR_* of a rejected certificate."""
    cure: Printable | None = None
    """What to try, where the error tells more than its kind; empty: nothing in general."""
    is_shortage: bool = False
    """Whether this machine lacked descriptors, threads or memory; see `is_shortage`."""
    origin: Origin | None = None
    """Where the value stands that a message about our side is about."""
    is_sentence: bool = False
    """Whether `message` is a sentence though it is about the server: of a refused login."""


_SHORTAGE = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOBUFS)


def is_shortage(error: BaseException | None) -> bool:
    """Return whether an error, or a cause of it, is a lack of descriptors, threads or memory here.

    EAGAIN is that of fork(2); sockets with a timeout never raise it. The numbers of an SSLError are
    OpenSSL's own.
    """
    while error is not None:
        number = None if hasattr(error, "library") else getattr(error, "errno", None)
        if (
            isinstance(error, MemoryError)
            or (isinstance(error, OSError) and number in _SHORTAGE)
            or (isinstance(error, RuntimeError) and "start new thread" in str(error))
            # For most parts of OpenSSL 3 the module has no `reason`.
            or (hasattr(error, "library") and "malloc failure" in str(error).lower())
            or (isinstance(error, ImportError) and "failed to map" in str(error))
        ):
            return True
        error = error.__cause__
    return False


def no_memory(error: Exception) -> "ProbeError | None":
    """Return the error for a lack of memory in OpenSSL, or None."""
    is_openssl = hasattr(error, "library")
    return (
        config_error("not enough memory here for TLS")
        if is_openssl and is_shortage(error)
        else None
    )


class FromFile(str):
    """A value that stands in a file."""

    __slots__ = ("line", "path")

    path: str
    line: int

    @classmethod
    def at(cls, path: str, line: int, value: str) -> "FromFile":
        """Return a value that stands in this line of a file."""
        made = cls(value)
        made.path, made.line = path, line
        return made


def with_origin_of(source: str | None, value: str) -> str:
    """Return a value with the origin of another one, if that has one."""
    return FromFile.at(source.path, source.line, value) if isinstance(source, FromFile) else value


class ProbeError(Exception):
    """One attempt failed.

    The template is our own text; each `{}` in it stands for an argument, which may be untrusted
    and is sanitised here. No error is changed after it was raised: a new one is raised from it.

    ::

        ProbeError
            DeadlineExceeded      stops the loop over addresses
            CertificateRejected   starts the search for the reason (in net/tls_errors)
    """

    is_late = False
    is_sentence = False
    reason: Printable | None = None
    verify_code: int | None = None
    origin: Origin | None = None
    """Where the value stands in a file that the error is about."""

    def __init__(
        self, kind: Kind, template: str, *foreign: object, cure: str | None = None
    ) -> None:
        """Take our own text as `cure`: what to try in place of the hint of the kind.

        An error about our side has the origin of the first argument that has one.
        """
        self.kind = kind
        self.message = printable(template, *foreign)
        self.cure = None if cure is None else printable(cure)
        for value in foreign:
            self._take_origin(value)
        super().__init__(self.message_with_origin)

    @property
    def message_with_origin(self) -> Printable:
        """The message with the origin, for where it is not the end of the status line."""
        return Printable(f"{self.message} ({self.origin})" if self.origin else self.message)

    def at(self, value: str | None) -> "ProbeError":
        """Return a copy with the origin of the value that it is about, if that has one.

        A shortage is not about a value.
        """
        copy = type(self).__new__(type(self))
        vars(copy).update(vars(self))
        if not is_shortage(self):
            copy._take_origin(value)
        copy.args = (copy.message_with_origin,)
        return copy

    def _take_origin(self, value: object) -> None:
        if isinstance(value, FromFile) and self.kind is Kind.CONFIG and not self.origin:
            self.origin = Origin(printable("{}", value.path), value.line)

    def failure(self, phase: Phase | None = None) -> Failure:
        """Return the immutable record of the error, which was raised in `phase`."""
        return Failure(
            self.kind,
            phase,
            self.message,
            self.is_late,
            self.reason,
            self.verify_code,
            self.cure,
            is_shortage(self),
            self.origin,
            self.is_sentence,
        )


class DeadlineExceeded(ProbeError):
    """A deadline passed; the message does not say so, because `is_late` does."""

    is_late = True


ISSUER_NOT_FOUND = frozenset((18, 19, 20, 21))
"""X509_V_ERR_* of OpenSSL: a self-signed or unknown end of the chain."""


def config_error(template: str, *foreign: object, cause: Exception | None = None) -> ProbeError:
    """Return a failure on our side: UNKNOWN, independent of the server.

    The reason of `cause`, where one is given, is added: `cannot open a socket: Permission denied`.
    """
    if cause is None:
        return ProbeError(Kind.CONFIG, template, *foreign)
    reason = getattr(cause, "strerror", None) or type(cause).__name__
    return ProbeError(Kind.CONFIG, template + ": {}", *foreign, reason)
