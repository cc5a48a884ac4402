"""Talks aside: what is found out on a connection of its own, beside the check itself.

They tell an old server from a broken one, and try what the user wants to be impossible. No real
credential is used, and not one POP3 byte follows a handshake on old terms.
"""

from typing import TYPE_CHECKING

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.sanitised_text import Printable
from check_pop3_plus.model.settings import Security
from check_pop3_plus.net import legacy_client_hello
from check_pop3_plus.net.tls import legacy_context
from check_pop3_plus.pop3 import grammar
from check_pop3_plus.probe.connection import Connection, capabilities, read_greeting

if TYPE_CHECKING:
    import ssl


def agreed_on_legacy_terms(connection: Connection, modern: "ssl.SSLContext") -> Printable | None:
    """Shake hands on any terms and return what was agreed on, or None where it is modern.

    Raises ProbeError where the server does not shake hands at all.
    """
    _begin(connection)
    connection.start_tls(legacy_context())
    agreed = connection.session.tls
    if agreed is None or agreed.version is None:
        return None
    acceptable = {cipher["name"] for cipher in modern.get_ciphers()}
    is_recent = agreed.version.removeprefix("TLSv") >= connection.settings.tls.minimum
    if is_recent and agreed.cipher in acceptable:
        return None
    return Printable(f"{agreed.version} with {agreed.cipher}")


def agreed_on(connection: Connection, version: str) -> Printable:
    """Offer one version of TLS alone, on any other terms, and return the cipher agreed on.

    Raises ProbeError where there is no agreement.
    """
    _begin(connection)
    connection.start_tls(legacy_context(version))
    agreed = connection.session.tls
    return Printable(agreed.cipher if agreed and agreed.cipher else "an unknown cipher")


HUNG_UP = "hung up"


def goes_along(connection: Connection, version: str) -> str:
    """Offer nothing but one old version of TLS, and return the one that the server goes along with.

    "" where it refuses by an alert, `HUNG_UP` where it does so without a word, as Dovecot does:
    that may have other reasons, which `shakes_hands` can exclude.

    Raises ProbeError where nothing can be concluded.
    """
    _begin(connection)
    connection.is_usable = False  # not one byte of POP3 follows
    connection.stream.send(legacy_client_hello.client_hello(version, connection.settings.tls.name))
    data = b""
    while (said := legacy_client_hello.answer(data)) is None:
        try:
            received = connection.stream.receive()
        except ProbeError as error:
            if error.kind is Kind.CLOSED:
                return HUNG_UP
            raise
        if not received:
            return HUNG_UP
        data += received
    return said


def shakes_hands(connection: Connection, context: "ssl.SSLContext") -> None:
    """Shake hands on today's terms. Raises ProbeError where that fails."""
    _begin(connection)
    connection.start_tls(context)
    if connection.settings.tls.security is Security.IMPLICIT:
        read_greeting(connection)


def _begin(connection: Connection) -> None:
    """Go to where a handshake is due."""
    if connection.settings.tls.security is Security.STLS:
        read_greeting(connection)
        reply = connection.ask(grammar.command(b"STLS"))
        if not reply.ok:
            raise ProbeError(Kind.NO_STLS, Printable(f"refuses STLS: {connection.reason(reply)}"))


CLEARTEXT_USER = b"check_pop3_plus"
"""Nobody's name: no real credential is used to find out whether one would be taken."""


def try_cleartext(connection: Connection) -> Printable | None:
    """Try to give a password before TLS, and return how it was offered or taken, or None.

    A server that takes the name may still refuse the password for want of TLS, so a password
    that nobody has is sent, too. Raises ProbeError where the conversation breaks down.
    """
    from check_pop3_plus.pop3 import login

    read_greeting(connection)
    known = capabilities(connection)
    if known is not None and known.has("USER"):
        return Printable("offers USER before TLS")
    plain = [name for name in login.CLEARTEXT if known and name in login.sasl_mechanisms(known)]
    if plain:
        return Printable(f"offers {' '.join(plain)} before TLS")
    reply = connection.ask(grammar.command(b"USER", CLEARTEXT_USER))
    if not reply.ok:
        return None
    reply = connection.ask(grammar.command(b"PASS", CLEARTEXT_USER, Printable("***")))
    if not reply.ok and login.demands_tls(reply):
        return None
    return Printable("takes a password before TLS")


def try_injection(connection: Connection, context: "ssl.SSLContext") -> Printable | None:
    """Send a command behind STLS in one piece, and return what it led to inside TLS, or None.

    A server that answers it there takes what a machine in the middle sends for the client's own
    (CVE-2011-0411 and its like). One that hangs up, as Dovecot does, resists: the same upgrade
    without the command has just worked. Raises ProbeError where nothing can be concluded.
    """
    read_greeting(connection)
    both = grammar.command(b"STLS").wire + grammar.command(b"CAPA").wire
    reply = connection.ask(grammar.Command(both, Printable("STLS, CAPA")))
    if not reply.ok:
        return None
    connection.is_usable = False
    try:
        if connection.unsolicited():
            return None  # answered in clear, as if it had come before STLS: odd, but harmless
        connection.start_tls(context)
        connection.stream.send(grammar.command(b"QUIT").wire)
        first, second = connection.line(), connection.line()
    except ProbeError as error:
        # One answer to one command, or none, and then the end; or no handshake at all.
        if error.kind in (Kind.CLOSED, Kind.TLS):
            return None
        raise
    return connection.sanitise(
        b"answers a command from before TLS inside it: " + first + b" " + second
    )
