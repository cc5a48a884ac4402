"""Find the kind of a refusal in the words of a server that sends no response code. No I/O."""

import re
from collections.abc import Iterable

from check_pop3_plus.model.failures import Kind
from check_pop3_plus.pop3.grammar import Reply

_READ = 512
"""Bytes of a reply that are searched for its reason: the longest line of RFC 2449 section 4."""

# A host name may contain any of the words below: tls.example.test.
_NAMES = re.compile(rb"\b[a-z]+://\S+|\S+@\S+|\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}\b", re.I)

_CERTIFICATE = re.compile(
    rb"\b(certificate|cert)s?\b.*\b(required?|errors?|invalid|valid)\b"
    rb"|\b(required?|errors?|invalid|valid)\b.*\b(certificate|cert)s?\b",
    re.I | re.S,
)


def service_kind(reply: Reply, names: Iterable[str] = ()) -> Kind:
    """Return the kind of a refusal to serve anybody: a greeting, or CAPA inside TLS.

    A response code of the family SYS wins (RFC 3206). nginx's mail proxy refuses a session without
    a client certificate by `No required SSL certificate` and `The SSL certificate error`.
    """
    if f"{reply.code}/".startswith("SYS/TEMP/"):  # codes are hierarchical
        return Kind.GREETING_TEMPORARY
    if is_of_system(reply):
        return Kind.GREETING
    demands = _CERTIFICATE.search(blanked(reply.text, names))
    return Kind.CLIENT_CERTIFICATE if demands else Kind.GREETING


def is_of_system(reply: Reply) -> bool:
    """Return whether a response code says that the system has a problem (RFC 3206 section 4)."""
    return f"{reply.code}/".startswith("SYS/")


def blanked(text: bytes, names: Iterable[str] = ()) -> bytes:
    """Return the part of a text that is searched, without `names`, host names and URLs."""
    text = _NAMES.sub(b" ", text[:_READ])
    for name in filter(None, names):
        text = re.sub(rb"(?<!\w)" + re.escape(name.encode()) + rb"(?!\w)", b" ", text, flags=re.I)
    return text
