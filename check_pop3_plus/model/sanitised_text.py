"""Foreign bytes in, printable one-line text out.

Whatever a server, a certificate, the resolver or the operating system says is read by web
pages, terminals, notification shells and two performance-data parsers before a person sees it.
So all of it passes `Cleaner`, which knows nothing of where the text came from.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress


class Printable(str):
    """Visible ASCII on one line, safe for every reader named above. Only this module makes one."""

    __slots__ = ()


QUOTE_LIMIT = 100
"""Characters of foreign text in one quote (contract, section 3)."""

# Far more than a quote can show; bounds the work on a reply of 64 KiB.
_READ_LIMIT = 4096

SEED = 6
"""Characters by which the beginning of a secret is recognised: a server that quotes a command may
cut it short. A secret that is shorter cannot be masked; see `can_mask`."""

PIECE = 8
"""Characters by which any other piece of a secret is recognised."""

# Every piece has one window of this size that begins at a multiple of _STRIDE in the secret, so
# these are enough to look for.
_WINDOW, _STRIDE = 5, 4

# What servers say to everybody: masked, it would tell that the secret is the word left out. With
# what `cleaner` is told of user and host, such words are no reason to mask anything.
_ORDINARY = """
+OK -ERR POP3 POP3S pop3d server service ready Hello there. Welcome to the mail server
Dovecot (Debian) (Ubuntu) Courier Cyrus Microsoft Exchange Outlook Gmail Google Zimbra hMailServer
MDaemon CommuniGate Kerio Lotus Domino popa3d qpopper Qpopper mailutils Twisted Stalwart MailEnable
localhost localdomain imap pop mail mailbox maildrop maildir messages message octets password
passwords username user name login logins Logged in. logged out Logging out. Login: Password:
Username: User Name Authentication failed. authentication authenticated authorization unauthorized
authenticate credentials credential invalid incorrect unknown command disabled disallowed on
non-secure (SSL/TLS) connections. connection connections plaintext cleartext encryption encrypted
required secure certificate certificates permission denied access account locked already in use by
another session too many temporary temporarily internal error occurred. permanent failure refer to
server log for more information. unavailable try again later please wait logging bad rejected
refused accepted welcome goodbye Bye signing off shutting down. capability capabilities list
follows response mechanism mechanisms unsupported supported IMPLEMENTATION RESP-CODES
AUTH-RESP-CODE PIPELINING EXPIRE NEVER LOGIN-DELAY IN-USE SYS/TEMP SYS/PERM SASL STLS UIDL TOP CAPA
USER PASS APOP AUTH STAT QUIT PLAIN LOGIN CRAM-MD5 DIGEST-MD5 SCRAM-SHA-1 SCRAM-SHA-256 EXTERNAL
XOAUTH2 OAUTHBEARER NTLM GSSAPI Begin TLS negotiation now. does not offer its mechanisms: token
refused: invalid_token invalid_client invalid_grant invalid_request unauthorized_client
unsupported_grant_type invalid_scope Bearer secret client
""".lower()

# ECMA-48 control sequences and operating system commands: one `?` for each, not one for the
# escape byte and a tail of brackets and digits behind it.
_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)")
_UNPRINTABLE = re.compile(r"[^ -~]")

# `<` and `>` keep their look, because APOP greetings carry them. The rest is markup, quoting
# or expansion to a web page, a shell or Nagios' `printf %b`; `|` begins performance data.
_REPLACED = str.maketrans({"<": "(", ">": ")", "&": "+"} | dict.fromkeys("|\"'`$\\", "?"))

Sanitiser = Callable[[bytes | str], Printable]
"""Makes foreign text printable; see `cleaner`."""


def sanitise(foreign: bytes | str, limit: int = QUOTE_LIMIT) -> Printable:
    """Make foreign text printable: visible ASCII, one line, at most `limit` characters.

    Idempotent, and total: it takes any bytes and any string, lone surrogates included.
    """
    return _cut(_visible(foreign), limit)


def printable(template: str, *foreign: object) -> Printable:
    """Return our own text, with sanitised arguments in the places of its `{}`.

    An argument that is `Printable` already stays as it is, however long.
    """
    if not foreign:
        return Printable(template)
    shown = [
        each
        if isinstance(each, Printable)
        else sanitise(each if isinstance(each, bytes) else str(each))
        for each in foreign
    ]
    return Printable(template.format(*shown))


def can_mask(secret: bytes, public: Iterable[str] = ()) -> bool:
    """Return whether a mask would hide a secret; else the gap would tell what it is.

    That is so where it is short, or a word that everybody knows: `public` is what else of that
    kind there is, such as the names of the user and of the host.
    """
    return len(secret) >= SEED and _folded(secret) not in _known_to_all(public)


def cleaner(secrets: Iterable[bytes], public: Iterable[str] = ()) -> Sanitiser:
    """Return a `clean` that also masks `secrets`, as they are and as a server may encode them.

    Pieces of them, too, but for those that `public` text and ordinary words have in common with
    them; and no secret for which `can_mask` does not hold. Not proof against a server that wants
    to publish what it knows: it may say it backwards.

    Masked before cleaning, which may change the secret, and again after it, because cleaning
    may also make one: a server can send a control byte where the secret has a `?`. Always
    before cutting, so that no half of a secret is left at the edge.
    """
    public = tuple(public)
    maskable = [secret for secret in secrets if can_mask(secret, public)]
    known = {form for secret in maskable for form in _forms(secret)}
    # As cleaning leaves it, too, for text that was cleaned on its way here; what is not ASCII
    # leaves nothing behind by which it could be told from any other.
    cleaned = {_visible(form) for form in known}
    known |= {each.encode() for each in cleaned if len(each.replace("?", "")) >= SEED}
    # Case is ignored: some servers answer with the command line in upper case (Twisted does).
    # Latin-1 keeps every byte apart, so that a secret that is not ASCII is found too.
    forms = [form for form in map(_folded, known) if len(form) >= SEED]
    if not forms:
        return sanitise
    ordinary = _known_to_all(public)
    whole = "\n".join(forms)
    beginnings = {form[:SEED] for form in forms}
    windows = {
        form[at : at + _WINDOW]
        for form in forms
        for at in range(0, len(form) - _WINDOW + 1, _STRIDE)
    }

    def pieces(text: str) -> Iterator[tuple[int, int, bool]]:
        """Yield where pieces of a secret stand, and whether all the world has such a word.

        In order; they may overlap.
        """
        for start in range(len(text) - _WINDOW + 1):
            if text[start : start + _WINDOW] not in windows:
                continue
            for at in range(max(0, start - _STRIDE + 1), start + 1):
                piece = text[at : at + PIECE]
                if len(piece) == PIECE and piece in whole:
                    yield at, at + PIECE, piece in ordinary
            if text[start : start + SEED] in beginnings:
                longer = text[start : start + SEED + 1]
                beginning = longer if longer in whole else longer[:SEED]
                yield start, start + len(beginning), beginning in ordinary

    def mask(text: str) -> str:
        shown, position = "", 0
        for start, end in _joined(pieces(text.lower())):
            shown += text[position:start] + "***"
            position = end
        return shown + text[position:]

    def masked(foreign: bytes | str) -> Printable:
        octets = foreign if isinstance(foreign, bytes) else foreign.encode("utf-8", "replace")
        text = mask(octets[:_READ_LIMIT].decode("latin-1"))
        return _cut(mask(_visible(text.encode("latin-1"))), QUOTE_LIMIT)

    return masked


def _joined(pieces: Iterable[tuple[int, int, bool]]) -> Iterator[tuple[int, int]]:
    """Make one of pieces that touch each other, where more of it than ordinary words is secret."""
    begin, end, is_ordinary = 0, -1, True
    for start, stop, each_is in pieces:
        if start > end:
            if not is_ordinary:
                yield begin, end
            begin, end, is_ordinary = start, stop, each_is
        else:
            begin, end = min(begin, start), max(end, stop)
            is_ordinary = is_ordinary and each_is
    if not is_ordinary:
        yield begin, end


def _folded(octets: bytes) -> str:
    return octets.decode("latin-1").lower()


def _known_to_all(public: Iterable[str]) -> str:
    named = "\n".join(public).encode("utf-8", "surrogateescape")
    return _ORDINARY + _folded(named)


def _visible(foreign: bytes | str) -> str:
    if isinstance(foreign, bytes):
        foreign = foreign[:_READ_LIMIT].decode("utf-8", "replace")
    shown = _ESCAPE_SEQUENCE.sub("?", foreign[:_READ_LIMIT].rstrip("\r\n"))
    return _UNPRINTABLE.sub("?", shown).translate(_REPLACED).strip()


def _cut(text: str, limit: int) -> Printable:
    return Printable(text if len(text) <= limit else text[: limit - 3].rstrip() + "...")


# JSON as Go writes it.
_AS_GO = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"}


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
    in_json = "".join(c if c.isascii() else f"\\u{ord(c):04x}" for c in in_json)
    forms |= {in_json.encode(), in_json.replace("/", "\\/").encode()}
    forms.add("".join(_AS_GO.get(c, c) for c in in_json).encode())
    forms.add(text.encode("utf-16-le", "replace"))
    # Taken for what it is not, one way and the other.
    forms.add(secret.decode("latin-1").encode())
    with suppress(UnicodeEncodeError):
        forms.add(text.encode("latin-1"))
    forms.add(b"".join(b"=%02x" % byte for byte in secret))
    forms.add(re.sub(rb"[^!-<>-~ ]", lambda found: b"=%02x" % ord(found[0]), secret))
    in_html = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    forms.add(in_html.encode())
    forms.add(in_html.replace('"', "&quot;").replace("'", "&#39;").encode())
    forms.add(in_html.replace('"', "&quot;").replace("'", "&#x27;").encode())
    for shift in range(3):
        encoded = b64encode(bytes(shift) + secret)
        alone = encoded[(8 * shift + 5) // 6 : (shift + len(secret)) * 8 // 6]
        forms |= {alone, alone.translate(bytes.maketrans(b"+/", b"-_"))}
    return forms
