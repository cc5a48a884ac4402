"""Mask secrets in text from outside: of servers, certificates, the resolver and tools.

A secret of six or more characters is replaced by `***` wherever it appears whole, in any letter
case: plain, base64 (at any offset), percent-encoded, hexadecimal, escaped as in `repr` and JSON, or
as HTML. A shorter one cannot be masked, because the gap would reveal it; the caller then shows only
response codes. What the user typed is never masked.
"""

import re
from collections.abc import Iterable

from check_pop3_plus.model.sanitised_text import (
    QUOTE_LIMIT,
    Printable,
    Sanitiser,
    sanitise,
    shorten,
    visible,
)

MINIMUM = 6
"""Characters of the shortest secret that can be masked."""

_Forms = dict[str, tuple[str, ...]]
"""Encoded secrets in lower case by their first MINIMUM characters, the longest first."""


def can_mask(secret: bytes) -> bool:
    return len(secret) >= MINIMUM


class Masker:
    """The secrets of a run, or of all sections of a sweep, and the sanitiser that masks them."""

    def __init__(self, secrets: Iterable[bytes] = ()) -> None:
        self._secrets: set[bytes] = set()
        self._forms: _Forms = {}
        self.sanitise: Sanitiser = sanitise
        """Another function after each new secret, so that nothing cached with it is shown."""
        self.learnt: set[bytes] = set()
        """Those that were added since."""
        self.add(secrets)
        self.learnt.clear()

    def add(self, secrets: Iterable[bytes]) -> None:
        """Mask these from now on, also in sanitisers taken earlier; too short ones never."""
        new = {secret for secret in secrets if can_mask(secret)} - self._secrets
        if not new:
            return
        self._secrets |= new
        self.learnt |= new
        for secret in new:
            _add(self._forms, _encoded(secret))
        self.sanitise = _masking(self._forms)

    def mask(self, text: str) -> str:
        """Mask the secrets in printable text, which was made before they were known."""
        return _masked(text, self._forms)


def also_masking(known: Sanitiser, response: bytes) -> Sanitiser:
    """Return a sanitiser that also masks a SASL response, as it was sent and as a whole."""
    forms: _Forms = {}
    _add(forms, {response})
    return lambda foreign: known(_masked(_latin_1(foreign), forms).encode("latin-1"))


def _masking(forms: _Forms) -> Sanitiser:
    def masked(foreign: bytes | str) -> Printable:
        # Before sanitising, which may change the secret, and again after it, because sanitising
        # may also make one: from a control byte where the secret has a `?`. Cut at the end, so
        # that no half of a secret is left.
        text = _masked(_latin_1(foreign), forms)
        return shorten(_masked(visible(text.encode("latin-1")), forms), QUOTE_LIMIT)

    return masked


def _latin_1(foreign: bytes | str) -> str:
    """Return one character for each byte: a secret need not be text."""
    data = foreign if isinstance(foreign, bytes) else foreign.encode("utf-8", "replace")
    return data.decode("latin-1")


def _masked(text: str, forms: _Forms) -> str:
    """Replace all that is in `forms`; what overlaps or touches becomes one mask."""
    lowered = text.lower()
    spans: list[list[int]] = []
    for at in range(len(text)):
        found = forms.get(lowered[at : at + MINIMUM], ())
        length = next((len(form) for form in found if lowered.startswith(form, at)), 0)
        if length and spans and at <= spans[-1][1]:
            spans[-1][1] = max(spans[-1][1], at + length)
        elif length:
            spans.append([at, at + length])
    for begin, end in reversed(spans):
        text = text[:begin] + "***" + text[end:]
    return text


def _add(forms: _Forms, encoded: set[bytes]) -> None:
    # As names in certificates are written (RFC 4514 section 2.4).
    encoded |= {re.sub(rb'[\\"+,;<>]', rb"\\\g<0>", each) for each in encoded}
    # As sanitising leaves it, too, for text that was sanitised on its way here; not where only
    # question marks would be left of it.
    shown = (visible(each) for each in encoded)
    encoded |= {each.encode() for each in shown if len(each.replace("?", "")) >= MINIMUM}
    for form in {each.decode("latin-1").lower() for each in encoded if len(each) >= MINIMUM}:
        start = form[:MINIMUM]
        forms[start] = tuple(sorted({*forms.get(start, ()), form}, key=len, reverse=True))


# JSON as Go writes it.
_AS_GO = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


def _encoded(secret: bytes) -> set[bytes]:
    """Return the secret as a server may repeat it, ignoring letter case."""
    from base64 import b64encode
    from urllib.parse import quote_from_bytes

    text = secret.decode("utf-8", "replace")
    forms = {secret, text.upper().encode(), text.lower().encode()}
    # UTF-8 taken for Latin-1, and the reverse.
    forms.add(secret.decode("latin-1").encode())
    if max(text) <= "\xff":
        forms.add(text.encode("latin-1"))
    forms |= {secret.hex().encode(), secret.hex(":").encode()}
    forms |= {repr(secret)[2:-1].encode(), repr(text)[1:-1].encode()}
    percent = quote_from_bytes(secret, safe="")
    forms |= {percent.encode(), percent.replace("%20", "+").encode()}
    forms.add(quote_from_bytes(secret).encode())
    forms.add(b"".join(b"%%%02x" % byte for byte in secret))
    in_json = re.sub(r'[\\"]', r"\\\g<0>", text)
    forms |= {in_json.encode(), in_json.replace("/", "\\/").encode()}
    in_json = "".join(c if c.isascii() else f"\\u{ord(c):04x}" for c in in_json)
    forms |= {in_json.encode(), in_json.replace("/", "\\/").encode()}
    forms.add("".join(_AS_GO.get(c, c) for c in in_json).encode())
    in_html = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    forms.add(in_html.encode())
    in_html = in_html.replace('"', "&quot;")
    forms |= {in_html.replace("'", each).encode() for each in ("'", "&#39;", "&#x27;")}
    # In base64, what stands before the secret shifts it by 0, 1 or 2 bytes. Of each shift the part
    # that depends on the secret alone.
    for shift in range(3):
        encoded = b64encode(bytes(shift) + secret)
        alone = encoded[(8 * shift + 5) // 6 : (shift + len(secret)) * 8 // 6]
        forms |= {alone, alone.translate(bytes.maketrans(b"+/", b"-_"))}
    return forms
