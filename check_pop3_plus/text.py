"""Foreign bytes in, printable one-line text out.

Whatever a server, a certificate, the resolver or the operating system says is read by web
pages, terminals, notification shells and two performance-data parsers before a person sees it.
So all of it passes `Cleaner`, which knows nothing of where the text came from.
"""

import re
from collections.abc import Callable, Iterable
from typing import NewType

Printable = NewType("Printable", str)
"""Visible ASCII on one line, safe for every reader named above. Only this module makes one."""

QUOTE_LIMIT = 100
"""Characters of foreign text in one quote (contract, section 3)."""

# Far more than a quote can show; bounds the work on a reply of 64 KiB.
_READ_LIMIT = 4096

SEED = 6
"""Characters by which a secret is recognised: a server that quotes a command may cut it short."""

# ECMA-48 control sequences and operating system commands: one `?` for each, not one for the
# escape byte and a tail of brackets and digits behind it.
_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_UNPRINTABLE = re.compile(r"[^ -~]")

# `<` and `>` keep their look, because APOP greetings carry them. The rest is markup, quoting
# or expansion to a web page, a shell or Nagios' `printf %b`; `|` begins performance data.
_REPLACED = str.maketrans({"<": "(", ">": ")", "&": "+"} | dict.fromkeys("|\"'`$\\", "?"))

Cleaner = Callable[[bytes | str], Printable]
"""Makes foreign text printable; see `cleaner`."""


def clean(foreign: bytes | str, limit: int = QUOTE_LIMIT) -> Printable:
    """Make foreign text printable: visible ASCII, one line, at most `limit` characters.

    Idempotent, and total: it takes any bytes and any string, lone surrogates included.
    """
    return _cut(_visible(foreign), limit)


def cleaner(secrets: Iterable[bytes]) -> Cleaner:
    """Return a `clean` that also masks `secrets`, as they are and as a server may encode them.

    Masked before cleaning, which may change the secret, and again after it, because cleaning
    may also make one: a server can send a control byte where the secret has a `?`. Always
    before cutting, so that no half of a secret is left at the edge.
    """
    known = {form for secret in secrets for form in _forms(secret)}
    # As cleaning leaves it, too, for text that was cleaned on its way here.
    known |= {clean(form).encode() for form in known}
    # Case is ignored: some servers answer with the command line in upper case (Twisted does).
    # Latin-1 keeps every byte apart, so that a secret that is not ASCII is found too.
    forms = [form.decode("latin-1").lower() for form in known - {b""}]
    if not forms:
        return clean
    seeds: dict[str, list[str]] = {}
    for form in forms:
        seeds.setdefault(form[:SEED], []).append(form)
    longest_first = sorted(seeds, key=len, reverse=True)
    beginning = re.compile("|".join(re.escape(seed) for seed in longest_first))

    def mask(text: str) -> str:
        folded, shown, position = text.lower(), "", 0
        while found := beginning.search(folded, position):
            start = found.start()
            length = max(_in_common(folded[start:], form) for form in seeds[found[0]])
            shown += text[position:start] + "***"
            position = start + length
        return shown + text[position:]

    def masked(foreign: bytes | str) -> Printable:
        octets = foreign if isinstance(foreign, bytes) else foreign.encode("utf-8", "replace")
        return _cut(mask(_visible(mask(octets.decode("latin-1")))), QUOTE_LIMIT)

    return masked


def _in_common(text: str, form: str) -> int:
    """Return for how long both are the same."""
    pairs = zip(text, form, strict=False)
    return next(
        (n for n, (one, other) in enumerate(pairs) if one != other), min(len(text), len(form))
    )


def _visible(foreign: bytes | str) -> str:
    if isinstance(foreign, bytes):
        foreign = foreign[:_READ_LIMIT].decode("utf-8", "replace")
    shown = _ESCAPE_SEQUENCE.sub("?", foreign[:_READ_LIMIT].rstrip("\r\n"))
    return _UNPRINTABLE.sub("?", shown).translate(_REPLACED).strip()


def _cut(text: str, limit: int) -> Printable:
    return Printable(text if len(text) <= limit else text[: limit - 3].rstrip() + "...")


def _forms(secret: bytes) -> set[bytes]:
    """Return the secret as a server may echo it: plain, hexadecimal, escaped, base64.

    In base64 what stands before the secret shifts it by 0, 1 or 2 bytes; of each shift the part
    that depends on the secret alone is what a longer encoded text contains.
    """
    from base64 import b64encode
    from urllib.parse import quote_from_bytes

    forms = {secret, secret.hex().encode(), secret.hex(":").encode(), repr(secret)[2:-1].encode()}
    percent = quote_from_bytes(secret, safe="")
    forms |= {percent.encode(), percent.replace("%20", "+").encode()}
    forms.add(quote_from_bytes(secret).encode())
    forms.add(b"".join(b"%%%02x" % byte for byte in secret))
    text = secret.decode("utf-8", "replace")
    in_json = text.replace("\\", "\\\\").replace('"', '\\"')
    forms.add("".join(c if c.isascii() else f"\\u{ord(c):04x}" for c in in_json).encode())
    in_html = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    forms.add(in_html.encode())
    forms.add(in_html.replace('"', "&quot;").replace("'", "&#39;").encode())
    forms.add(in_html.replace('"', "&quot;").replace("'", "&#x27;").encode())
    for shift in range(3):
        encoded = b64encode(bytes(shift) + secret)
        alone = encoded[(8 * shift + 5) // 6 : (shift + len(secret)) * 8 // 6]
        # A few characters of base64 mean nothing and would mask half of every other text.
        if len(alone) >= 4:
            forms |= {alone, alone.translate(bytes.maketrans(b"+/", b"-_"))}
    return forms
