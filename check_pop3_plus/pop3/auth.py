"""The AUTH command (RFC 5034): a SASL exchange in the lines of POP3. No I/O."""

from base64 import b64encode
from collections.abc import Generator
from contextlib import suppress

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.sanitised_text import printable
from check_pop3_plus.pop3.grammar import COMMAND_LIMIT, Command, Reply, command
from check_pop3_plus.sasl.exchange import Exchange, Identity, Malformed, Mechanism, Refused

_CANCEL = Command(b"*\r\n", printable("*"))


def authenticate(
    name: str, mechanism: Mechanism, identity: Identity
) -> Generator[Command, Reply, Reply]:
    """Run a mechanism inside AUTH (RFC 5034 section 4) and return the reply that ended it.

    Raises ProbeError (garbled), after `*` if the exchange must be cancelled.
    """
    exchange = Exchange(mechanism, identity)
    reply = yield _opening(name, exchange)
    while reply.challenge is not None:
        try:
            response = exchange.answer(reply.challenge)
        except Refused as refused:
            return (yield from _end_refused(name, refused))
        except Malformed as error:
            with suppress(ProbeError):
                yield _CANCEL
            message = "sent a malformed challenge: {}; exchange cancelled"
            raise ProbeError(Kind.GARBLED, message, error) from error
        reply = yield _line(response, exchange.is_before_secret)
    if reply.ok and not exchange.is_complete():
        raise _too_early(name)
    return reply


def _opening(name: str, exchange: Exchange) -> Command:
    """Return the command, with the initial response if it stays within `COMMAND_LIMIT`."""
    initial = exchange.initial(COMMAND_LIMIT - len(f"AUTH {name} \r\n"))
    opening = command(b"AUTH", name.encode())
    if initial is not None:
        opening = command(b"AUTH", name.encode() + b" " + initial, printable("{} ***", name))
    return opening.replace(is_auth=True, before_secret=exchange.is_before_secret)


def _line(response: bytes, before_secret: bool = False) -> Command:
    return Command(response + b"\r\n", printable("***"), is_auth=True, before_secret=before_secret)


def _end_refused(name: str, refused: Refused) -> Generator[Command, Reply, Reply]:
    """Let the server end an exchange that it refuses; return its reply with the reason.

    The reason is known even if the server then closes the connection or does not answer.
    """
    try:
        reply = yield _line(b64encode(refused.answer))
    except ProbeError:
        return Reply(False, refused.reason)
    if reply.challenge is not None:
        with suppress(ProbeError):
            yield _CANCEL
    if reply.ok:
        raise _too_early(name)
    text = b" - " + reply.text if reply.text else b""
    return reply.replace(text=refused.reason + text, challenge=None)


def _too_early(name: str) -> ProbeError:
    return ProbeError(Kind.GARBLED, "accepted {} before the exchange was complete", name)
