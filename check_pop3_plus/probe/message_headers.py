"""Read the headers of messages by TOP, for their age (RFC 1939 section 7).

TOP does not mark a message as read, and `TOP n 0` transfers no line of its body. Nothing of a
message is shown but its age. Loaded only where a header is read.
"""

import re
import time
from collections.abc import Sequence

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.report import MailboxFacts, MessageDates
from check_pop3_plus.pop3 import grammar, message, refusals
from check_pop3_plus.probe.connection import Connection

AT_EACH_END = 3
"""Messages read: servers number by arrival, some the other way round, and neighbours may swap."""


def require_top(known: grammar.Capabilities | None) -> None:
    """Raise ProbeError (no-capability) if the capabilities are known and lack TOP."""
    if known is not None and not known.has("TOP"):
        raise ProbeError(Kind.NO_CAPABILITY, "does not offer TOP, needed to read headers")


def at_ends(count: int) -> list[int]:
    """Return the numbers of the first and the last messages of `count`."""
    numbers = range(1, count + 1)
    return sorted({*numbers[:AT_EACH_END], *numbers[-AT_EACH_END:]})


def read_dates(
    connection: Connection, mailbox: MailboxFacts, known: grammar.Capabilities | None
) -> MessageDates:
    """Return when the newest and the oldest message arrived, by those at both ends of the mailbox.

    Raises ProbeError: no-capability, mailbox; what `Connection.request` raises.
    """
    require_top(known)
    headers = (read_header(connection, number) for number in at_ends(mailbox.messages))
    return dates_of([message.arrival(lines, time.time()) for lines in headers if lines is not None])


def dates_of(arrivals: Sequence[float | None]) -> MessageDates:
    """Return the latest and the earliest time at which messages arrived."""
    dated = [each for each in arrivals if each is not None]
    return MessageDates(
        len(arrivals),
        len(arrivals) - len(dated),
        max(dated, default=None),
        min(dated, default=None),
    )


_IS_GONE = rb"(?i)\b(?:no (?:such )?message|not found|deleted|expunged|removed|gone)\b"


def read_header(connection: Connection, number: int) -> tuple[bytes, ...] | None:
    """Return the lines of a header, or None if another session has removed the message.

    Raises ProbeError: no-capability, mailbox; what `Connection.request` raises.
    """
    reply = connection.request(grammar.command(b"TOP", b"%d 0" % number))
    if reply.ok:
        return connection.read_headers()
    if refusals.is_of_system(reply):
        raise ProbeError(Kind.MAILBOX, "cannot read a message: {}", connection.reason(reply))
    if is_gone(reply) or connection.has_read_mail:
        return None
    raise ProbeError(Kind.NO_CAPABILITY, "refuses TOP: {}", connection.reason(reply))


def is_gone(reply: grammar.Reply) -> bool:
    """Return whether a refusal says that there is no such message."""
    return bool(re.search(_IS_GONE, reply.text))
