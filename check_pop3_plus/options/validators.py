"""Words to checked values: hosts, numbers, ranges, states. One clear line for each that is wrong.

Knows no option table and no argparse; an option's name is only a word for the message.
"""

import re
from collections.abc import Callable

from check_pop3_plus.model.failures import Kind, ProbeError
from check_pop3_plus.model.sanitised_text import sanitise
from check_pop3_plus.model.settings import Family, HttpsEndpoint, Remaining, State, Subject

LONGEST_TIMEOUT = 3600.0

MOST_RECHECKS = 100
"""Looking again takes two seconds at least: no run is long enough for more."""


_STATES = {
    "ok": State.OK,
    "warning": State.WARNING,
    "warn": State.WARNING,
    "critical": State.CRITICAL,
    "crit": State.CRITICAL,
    "unknown": State.UNKNOWN,
}


class UsageError(ProbeError):
    """The user's mistake, in one line."""

    def __init__(self, template: str, *foreign: object) -> None:
        super().__init__(Kind.CONFIG, template, *foreign)


def shown(word: str) -> str:
    """Return what was given as it can be shown; where it is nothing, that is said."""
    return sanitise(word, 60) or "(nothing)"


def one_of(option: str, words: list[str]) -> Callable[[str], str]:
    """Return a check that says in our own words what argparse words differently by version."""

    def check(word: str) -> str:
        if word not in words:
            raise UsageError(f"invalid {option} {shown(word)}: not {', '.join(words)}")
        return word

    return check


_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


def host(value: str, option: str) -> str:
    """Return a host name in its ASCII form, or an address, without brackets or a final dot."""
    if value.startswith("[") and value.endswith("]"):
        value = value[1:-1]
        if ":" not in value:
            raise UsageError(f"invalid {option}: brackets are for IPv6 addresses")
    if is_numeric(value):
        return value
    if not value.isascii():
        try:
            value = value.encode("idna").decode("ascii")
        except UnicodeError as error:
            raise UsageError(f"invalid {option}: not an internationalised host name") from error
    name = value.removesuffix(".")
    if not name:
        raise UsageError(f"invalid {option}: empty")
    if len(name) > 253:
        raise UsageError(f"invalid {option}: longer than 253 characters")
    if not all(_LABEL.fullmatch(label) for label in name.split(".")):
        hint = " (the port goes to --port)" if re.search(r":[0-9]+$", name) else ""
        raise UsageError(f"invalid {option} {shown(name)}: not a host name or address{hint}")
    return name


def is_numeric(host: str) -> bool:
    import socket

    address, percent, zone = host.partition("%")
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, address)
        except (OSError, ValueError):
            continue
        if not percent:
            return True
        return family == socket.AF_INET6 and bool(re.fullmatch(r"[A-Za-z0-9_.-]{1,15}", zone))
    return False


def family_of(address: str) -> Family:
    return Family.IPV6 if ":" in address else Family.IPV4


def path(value: str | None, option: str) -> str | None:
    if value is not None and (not value or "\0" in value):
        raise UsageError(f"invalid {option}: not a path")
    return value


_URL = re.compile(
    r"https://(?P<host>\[[0-9A-Fa-f:.]+\]|[^/?:\[\]]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>[/?][!-~]*)?",
    re.I,
)


def https_url(url: str, option: str) -> HttpsEndpoint:
    """Check the URL of a token endpoint (RFC 6749 section 3.2).

    It is not shown when it is wrong: a password or another secret may stand in it.
    """
    if not url.lower().startswith("https://"):
        raise UsageError(f"invalid {option}: not https://, which alone keeps a secret")
    if re.search("^[^/?#]*@", url[8:]):
        raise UsageError(f"invalid {option}: no user and no password may stand in it")
    if "#" in url:
        raise UsageError(f"invalid {option}: no fragment (#) may stand in it")
    matched = _URL.fullmatch(url)
    if not matched:
        raise UsageError(f"invalid {option}: not https://HOST[:PORT]/PATH")
    port = int(matched["port"] or 443)
    if not 1 <= port <= 65535:
        raise UsageError(f"invalid {option}: port not from 1 to 65535")
    path = matched["path"] or "/"
    return HttpsEndpoint(host(matched["host"], option), port, "/" * (path[0] == "?") + path)


def visible(word: str, option: str) -> str:
    """Check a client's identifier or a scope (RFC 6749 appendix A)."""
    if not re.fullmatch("[ -~]+", word):
        raise UsageError(f"invalid {option}: empty, or not in visible ASCII")
    return word


def state(word: str, option: str) -> State:
    state = _STATES.get(word.lower())
    if state is None:
        raise UsageError(f"invalid {option} {shown(word)}: not ok, warning, critical or unknown")
    return state


def seconds(word: str, option: str) -> float:
    seconds = float(word) if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,6})?", word) else 0.0
    if not 0 < seconds <= LONGEST_TIMEOUT:
        raise UsageError(f"invalid {option} {shown(word)}: not a number of seconds up to 3600")
    return seconds


def whole_number(word: str | None, option: str) -> int | None:
    """Return a number from 1 to 99999, or None where none is given."""
    if word is None:
        return None
    if not re.fullmatch(r"[0-9]{1,5}", word) or int(word) < 1:
        raise UsageError(f"invalid {option} {shown(word)}: not a whole number from 1 to 99999")
    return int(word)


def rechecks(word: str | None, option: str) -> int | None:
    """Return how often to look again: 0 to `MOST_RECHECKS`, or None where nothing is given."""
    if word is None:
        return None
    if not re.fullmatch(r"[0-9]{1,3}", word) or int(word) > MOST_RECHECKS:
        raise UsageError(
            f"invalid {option} {shown(word)}: not a whole number from 0 to {MOST_RECHECKS}"
        )
    return int(word)


def subjects(word: str, option: str) -> frozenset[Subject]:
    """Return what a list like `dns,ping` names; nothing where nothing is named."""
    known = {subject.value: subject for subject in Subject}
    names = word.split(",") if word else []
    for name in names:
        if name not in known:
            raise UsageError(f"invalid {option} {shown(word)}: not some of {','.join(known)}")
    return frozenset(known[name] for name in names)


def days(word: str | None, option: str) -> float | None:
    """Return a number of days, `90` or `90d`, or None where none is given."""
    if word is None:
        return None
    matched = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)d?", word)
    if not matched or not float(matched[1]):
        raise UsageError(f"invalid {option} {shown(word)}: not a number of days")
    return float(matched[1])


def filled(text: str | None, option: str) -> str | None:
    if text is not None and not text.strip():
        raise UsageError(f"invalid {option}: empty")
    return text


def pin(word: str) -> str:
    """Return a SHA-256 in hexadecimal, from `sha256:` and hexadecimal (with colons or not) or
    base64, or from curl's `sha256//` and base64."""
    import binascii

    is_curls = word.startswith("sha256//")
    value = word.removeprefix("sha256//" if is_curls else "sha256:")
    digits = value.replace(":", "")
    if value != word:
        if re.fullmatch(r"[0-9A-Fa-f]{64}", digits):
            return digits.lower()
        if re.fullmatch(r"[A-Za-z0-9+/]{43}=", value):
            return binascii.a2b_base64(value).hex()
    raise UsageError(
        f"invalid --pin {shown(word)}: not sha256: and 64 hexadecimal digits, or base64"
    )


def capabilities(spec: str | None) -> tuple[tuple[str, str | None], ...]:
    """Return the tags of a list such as `UIDL,SASL=PLAIN`, and the argument where one is named."""
    wanted = []
    for item in (spec or "").upper().split(",") if spec is not None else ():
        matched = re.fullmatch(r"([!-+\--<>-~]+)(?:=([!-+\--~]+))?", item)
        if not matched:
            raise UsageError(f"invalid --require-capa {shown(spec or '')}: not TAG[=ARGUMENT],...")
        wanted.append((matched[1], matched[2]))
    return tuple(wanted)


# Fifteen digits are exact in a float, too, by which some compare.
_NUMBER = r"-?(?:[0-9]{1,15}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})"
_RANGE = re.compile(rf"@?(?:(?P<start>~|{_NUMBER})?:)?(?P<end>{_NUMBER})?")


def range_spec(spec: str, option: str) -> str:
    """Check a range of the plugin guidelines: `[@][start:][end]`, start not above end."""
    matched = _RANGE.fullmatch(spec)
    if not matched or spec in ("", "@"):
        raise UsageError(f"invalid range for {option}: {shown(spec)}")
    start, end = matched["start"], matched["end"]
    if end is not None and start != "~" and float(start or 0) > float(end):
        raise UsageError(f"invalid range for {option}: {shown(spec)} (start above end)")
    return spec


_SUFFIXED = re.compile(r"([0-9.]+)([KMG])", re.I)
_FACTORS = {"K": 1024, "M": 1024**2, "G": 1024**3}


def size_range(spec: str, option: str) -> str:
    """Check a range of sizes, and turn K, M and G into octets."""

    def octets(matched: re.Match[str]) -> str:
        try:
            return str(int(float(matched[1]) * _FACTORS[matched[2].upper()]))
        except ValueError as error:
            raise UsageError(f"invalid range for {option}: {shown(spec)}") from error

    return range_spec(_SUFFIXED.sub(octets, spec), option)


def certificate_limits(spec: str | None) -> tuple[Remaining | None, Remaining | None]:
    if spec is None:
        return None, None
    warning, separator, critical = spec.partition(",")
    warn = _remaining(warning, spec)
    if not separator:
        return warn, None
    crit = _remaining(critical, spec)
    for above, below in ((crit.days, warn.days), (crit.share, warn.share)):
        if above is not None and below is not None and above > below:
            raise UsageError(f"invalid --certificate {shown(spec)}: CRIT above WARN")
    return warn, crit


def _remaining(word: str, spec: str) -> Remaining:
    days = share = None
    for part in word.split("/"):
        matched = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)([dh%]?)", part)
        if not matched or (share if matched[2] == "%" else days) is not None:
            raise UsageError(
                f"invalid --certificate {shown(spec)}: not WARN[,CRIT] as 60, 60d, 12h, 33%"
                " or 30d/33%"
            )
        amount = float(matched[1])
        if matched[2] == "%":
            share = amount / 100
        else:
            days = amount / 24 if matched[2] == "h" else amount
    if share is not None and share > 1:
        raise UsageError(f"invalid --certificate {shown(spec)}: more than 100%")
    return Remaining(days, share)
