"""Turn untrusted bytes into one printable line.

Text from a server, a certificate, the resolver or the operating system is read by web pages,
terminals, notification scripts and two parsers of performance data before a person sees it. So all
of it passes `sanitise`, wherever it comes from.
"""

import re
from collections.abc import Callable, Iterable

from check_pop3_plus import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypeVar

    _Text = TypeVar("_Text", bound=str)


class Printable(str):
    """Visible ASCII on one line, safe for every reader named above.

    Constructed in this module and in `failures` alone.
    """

    __slots__ = ()


QUOTE_LIMIT = 100
"""Characters of untrusted text in one quote."""

# Far more than a quote can show; bounds the work on a reply of 64 KiB.
_READ_LIMIT = 4096

# ECMA-48 control sequences and operating system commands: one `?` for each, not one for the
# escape byte and a tail of brackets and digits behind it.
_ESCAPE_SEQUENCE = r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
_UNPRINTABLE = r"[^ -~]"

# `<` and `>` are replaced by similar characters, because APOP greetings have them. The rest is
# markup, quoting or expansion to a web page, a shell or Nagios' `printf %b`; `|` begins
# performance data.
_REPLACED = str.maketrans({"<": "(", ">": ")", "&": "+"} | dict.fromkeys("|\"'`$\\", "?"))


Sanitiser = Callable[[bytes | str], Printable]
"""Makes untrusted text printable; see `support.masking` for one that masks secrets, too."""


def sanitise(foreign: bytes | str, limit: int = QUOTE_LIMIT) -> Printable:
    """Make untrusted text printable: visible ASCII, one line, at most `limit` characters.

    Accepts any bytes and any string, lone surrogates included. Idempotent.
    """
    return shorten(visible(foreign), limit)


def printable(template: str, *foreign: object) -> Printable:
    """Return our own text, with sanitised arguments in the places of its `{}`.

    An argument that is `Printable` already stays as it is, however long; so does an int.
    """
    if not foreign:
        return Printable(template)
    shown = [
        each
        if isinstance(each, (Printable, int))
        else sanitise(each if isinstance(each, bytes) else str(each))
        for each in foreign
    ]
    return Printable(template.format(*shown))


def visible(foreign: bytes | str) -> str:
    """Return untrusted text as visible ASCII on one line, of any length up to 4096 characters."""
    if isinstance(foreign, bytes):
        foreign = foreign[:_READ_LIMIT].decode("utf-8", "replace")
    shown = foreign[:_READ_LIMIT].rstrip("\r\n")
    if not (shown.isascii() and shown.isprintable()):
        shown = re.sub(_UNPRINTABLE, "?", re.sub(_ESCAPE_SEQUENCE, "?", shown))
    return shown.translate(_REPLACED).strip()


def open_ended(text: "_Text") -> "_Text":
    """Return a text without the full stop of a quote at its end, for our own text to follow."""
    return text if text.endswith("...") else type(text)(text.rstrip(".,;:!"))


def joined(mark: str, texts: Iterable[str]) -> str:
    """Return texts joined by our own punctuation, which replaces the full stop of a quote."""
    *before, last = texts
    return mark.join((*map(open_ended, before), last))


def shorten(text: str, limit: int) -> Printable:
    """Return text of `visible`, cut to `limit` characters."""
    return Printable(text if len(text) <= limit else text[: limit - 3].rstrip() + "...")
