"""The probe: a message that only this plugin can have written.

One header field has a MAC over the identifier of the round trip, To, From, Date and Message-ID.
Only a message in which it verifies is counted, and only such a message is ever deleted. The MAC
needs the key of the round trip, never the secret of the login, because every relay sees the probe.
"""

import hmac
import re
from collections.abc import Iterable, Sequence
from email.utils import formatdate
from secrets import token_hex

from check_pop3_plus.model.failures import config_error
from check_pop3_plus.model.record import Record
from check_pop3_plus.model.settings import RoundTrip, Secret
from check_pop3_plus.pop3 import message
from check_pop3_plus.support.files import read_secret_file

FIELD = "X-Check-Pop3-Plus-Probe"

KEY_BYTES = 32
"""Least length of a key: that of the digest (RFC 2104 section 3)."""

_LEAST_VARIETY = 8
"""Different bytes in a key; 32 random hexadecimal digits have fewer once in millions of keys."""

_VALUE = re.compile(rb"v=1; id=([!-~]+); mac=([0-9a-f]{64})")

_COVERED = (b"to", b"from", b"date", b"message-id")


class Probe(Record):
    """A probe of this round trip."""

    message_id: str
    sent: float
    """Seconds since the epoch, by the clock of the monitor."""


def read_keys(path: str) -> tuple[Secret, ...]:
    """Return the key, and the older one that only verifies, if the file has a second line.

    Raises ProbeError (config).
    """
    what = "round trip key file"
    lines = [line.rstrip(b"\r") for line in read_secret_file(path, what).rstrip().split(b"\n")]
    if len(lines) > 2:
        raise config_error("{} {} has more than two lines", what, path)
    for number, line in enumerate(lines, 1):
        if len(line) < KEY_BYTES or len(set(line)) < _LEAST_VARIETY:
            reason = "is shorter than" if len(line) < KEY_BYTES else "does not look like"
            raise config_error(
                "{} {}, line {}, " + reason + " {} random bytes: openssl rand -hex 32",
                *(what, path, number, KEY_BYTES),
            )
    return tuple(map(Secret, lines))


def compose(trip: RoundTrip, key: Secret, now: float) -> tuple[Probe, bytes]:
    """Return a new probe, and its message with CRLF at the ends of lines."""
    assert trip.smtp is not None  # noqa: S101 - there is something to send by
    domain = trip.smtp.sender.rpartition("@")[2]
    message_id = f"<{int(now)}.{token_hex(12)}.probe@{domain}>"
    fields = {
        "From": trip.smtp.sender,
        "To": trip.recipient,
        "Date": formatdate(now),
        "Message-ID": message_id,
        "Subject": "Round trip probe of check_pop3_plus",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=us-ascii",
    }
    covered = [fields[name].encode() for name in ("To", "From", "Date", "Message-ID")]
    fields[FIELD] = f"v=1; id={trip.id}; mac={_mac(key, trip.id.encode(), covered)}"
    lines = [f"{name}: {value}" for name, value in fields.items()]
    lines += ["", "A probe of a monitoring system, which deletes it itself.", ""]
    return Probe(message_id, float(int(now))), "\r\n".join(lines).encode("ascii")


def recognise(lines: Iterable[bytes], trip: RoundTrip, keys: Sequence[Secret]) -> Probe | None:
    """Return the probe of this round trip that a header is of, or None.

    Each field that the MAC covers must be there once.
    """
    values: dict[bytes, list[bytes]] = {}
    for name, value in message.fields(lines):
        values.setdefault(name, []).append(b" ".join(value.split()))
    matched = [_VALUE.fullmatch(each) for each in values.get(FIELD.lower().encode(), ())]
    covered = [values.get(name, []) for name in _COVERED]
    if len(matched) != 1 or not matched[0] or any(len(each) != 1 for each in covered):
        return None
    identifier, mac = matched[0].groups()
    once = [each[0] for each in covered]
    known = [_mac(key, identifier, once).encode() for key in keys]
    is_own = identifier == trip.id.encode() and once[0] == trip.recipient.encode()
    if not is_own or not any(hmac.compare_digest(mac, each) for each in known):
        return None
    sent = message.parse_date(once[2])
    return None if sent is None else Probe(once[3].decode("latin-1"), sent)


def _mac(key: Secret, identifier: bytes, covered: Sequence[bytes]) -> str:
    return hmac.new(key.reveal(), b"\n".join((identifier, *covered)), "sha256").hexdigest()
