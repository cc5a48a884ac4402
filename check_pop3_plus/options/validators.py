"""Check single values: hosts, numbers, ranges, states.

Each function takes the value and the name of its option, which is needed for the message only, and
raises UsageError. Patterns are compiled when first used: most runs need few of them.
"""

import re
from collections.abc import Callable, Mapping, Sequence

from check_pop3_plus.model.failures import FromFile, Kind, ProbeError
from check_pop3_plus.model.sanitised_text import Printable, printable, sanitise
from check_pop3_plus.model.settings import Family, HttpsEndpoint, Remaining, State, Subject


class UsageError(ProbeError):
    """A mistake in the options. The message names the option, the value and the cure."""

    def __init__(self, template: str, *foreign: object) -> None:
        super().__init__(Kind.CONFIG, template, *foreign)
        words = [each.partition(" ")[0] for each in foreign if type(each) is str]
        self.options = [each for each in words if each.startswith("-")]
        """The options among the arguments: those that it is about."""


def invalid(option: str, value: str, reason: str, *foreign: object) -> UsageError:
    """Return the error for an invalid value; `foreign` fills the `{}` of `reason`."""
    return UsageError("invalid {} {}: " + reason + _of_ini(value), option, shown(value), *foreign)


def no_password(username: str) -> ProbeError:
    """Return the error for a login without a source of its password."""
    message = "no password given: use --password-file, --password-env or --password-command"
    return UsageError(message).at(username)


_EMPTY = "empty (an unset variable or macro?)"

_MACRO = r"\$\w[\w.:]*\$"
"""A macro of Icinga or Nagios that nobody has replaced."""


def _of_ini(value: str) -> str:
    """Return what is often wrong with a value, above all in an INI file, apart from its meaning."""
    if "$" in value:
        return " (unresolved macro?)"
    if value != value.strip():
        return "; it begins or ends with a blank"
    if re.search(r"\s--?[A-Za-z]", value):
        return "; another option in the same argument?"
    if re.search(r"(^|\s)[#;]", value):
        return "; in an INI file a comment needs a line of its own"
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'":
        return "; an INI file needs no quotes"
    return ""


def shown(value: str) -> Printable:
    """Return a value as a message can show it."""
    return sanitise(value, 60) or printable("(empty)")


def check_choice(value: str, option: str, choices: Sequence[str]) -> None:
    """Raise UsageError if a value is not one of `choices`."""
    if value not in choices:
        from check_pop3_plus.options import mistakes

        known = printable(", ".join(choices))
        meant = mistakes.MEANT.get(value.lower())
        near = mistakes.nearest(meant if meant and meant in choices else value, choices)
        raise invalid(option, value, "must be one of {}{}", known, near)


# --- texts and numbers -----------------------------------------------------------------------


def _is_number(text: str, digits: int) -> bool:
    """Return whether a text is one to `digits` ASCII digits."""
    return text.isascii() and text.isdigit() and len(text) <= digits


def _is_decimal(text: str) -> bool:
    """Return whether a text is a number with at most six digits before and after the point."""
    whole, point, fraction = text.partition(".")
    return _is_number(whole, 6) and (not point or _is_number(fraction, 6))


def _text(
    is_valid: Callable[[str], object], reason: str = _EMPTY, may_be_macro: bool = True
) -> Callable[[str, str], str]:
    """Return a validator for texts; one that is not valid is not shown."""

    def check(value: str, option: str) -> str:
        if not may_be_macro and re.search(_MACRO, value):
            raise UsageError("invalid {}: contains an unresolved macro", option)
        if not is_valid(value):
            raise UsageError("invalid {}: " + reason, option)
        return value

    return check


def _number(low: int, high: int, reason: str) -> Callable[[str, str], int]:
    """Return a validator for numbers in ASCII digits from `low` to `high`."""

    def check(value: str, option: str) -> int:
        if not _is_number(value, len(str(high))) or not low <= int(value) <= high:
            raise invalid(option, value, f"{reason} from {low} to {high}")
        return int(value)

    return check


_IN_SECONDS = {"ms": 0.001, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}


def _without_unit(value: str) -> str:
    """Return what a duration with a unit is in seconds, as advice, or nothing."""
    matched = re.fullmatch(rf"({_NUMBER}) ?({'|'.join(_IN_SECONDS)})", value)
    seconds = float(matched[1]) * _IN_SECONDS[matched[2]] if matched else 0
    return f"; did you mean {seconds:g}?" if seconds > 0 else ""


def _with_unit(value: str, units: Mapping[str, int]) -> str:
    """Return what a number with a longer unit (`10 MB`, `1week`) is, as advice, or nothing."""
    matched = re.fullmatch(r"([0-9]{1,6}) ?([A-Za-z])[A-Za-z]*", value)
    if not matched:
        return ""
    number, unit = int(matched[1]), matched[2]
    if unit.lower() == "w":
        number, unit = number * 7, "d"
    unit = next((each for each in (unit, unit.lower()) if each in units), "")
    return f"; did you mean {number}{unit}?" if unit else ""


def _decimal(most: float, reason: str, unit: str = "") -> Callable[[str, str], float]:
    """Return a validator for numbers above 0 and up to `most`, with or without the unit."""

    def check(value: str, option: str) -> float:
        number = value.removesuffix(unit)
        if not _is_decimal(number) or not 0 < float(number) <= most:
            raise invalid(option, value, reason + ("" if unit else _without_unit(value)))
        return float(number)

    return check


not_empty = _text(bool)
filled = _text(str.strip, "empty")
visible = _text(
    lambda text: text and text.isascii() and text.isprintable(),
    "must be visible ASCII and not empty",
)
"""A client's identifier or a scope (RFC 6749 appendix A)."""
path = _text(lambda text: text and "\0" not in text, "empty, or not a path", may_be_macro=False)
username = _text(
    lambda text: text and not any(char < " " or char == "\x7f" for char in text),
    "empty, or with control characters",  # they would end a command
    may_be_macro=False,
)
_port = _number(1, 65535, "must be a number")


def port(value: str, option: str) -> int:
    """Return the number of a port; a long word is not shown, as -p is a password elsewhere."""
    if re.fullmatch("(?i)pop3s?", value):
        number = printable("995" if value[4:] else "110")
        raise invalid(option, value, "must be a number; did you mean {}?", number)
    if re.fullmatch(r"(?!\d*$)[^\s$]{6,}", value) and not isinstance(value, FromFile):
        message = "invalid {} (not shown, might be a password): must be a number from 1 to 65535"
        raise UsageError(message, option)
    return _port(value, option)


whole_number = _number(1, 99999, "must be a whole number")
rechecks = _number(0, 100, "must be a whole number")
"""A retry takes at least two seconds: no run is long enough for more."""
seconds = _decimal(3600, "must be a number of seconds, above 0 and at most 3600")
days = _decimal(float("inf"), "must be a number of days above 0", "d")


def seconds_or_none(value: str, option: str) -> float:
    """Return a number of seconds, 0 included."""
    return 0.0 if value == "0" else seconds(value, option)


def identifier(value: str, option: str) -> str:
    """Return an identifier of visible ASCII, as it stands in a header field."""
    if not re.fullmatch(r"[A-Za-z0-9._:@/+-]{1,100}", value):
        raise invalid(option, value, "must be 1 to 100 letters, digits or . _ : @ / + -")
    return value


# --- hosts and addresses ---------------------------------------------------------------------

_LABEL_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")


def _is_label(label: str) -> bool:
    """Return whether a label of a host name is valid (RFC 1123 section 2.1; `_` is common)."""
    if not label or len(label) > 63 or not _LABEL_CHARACTERS.issuperset(label):
        return False
    return label[0] != "-" and label[-1] != "-"


_IDNA_DEVIATIONS = frozenset("\u00df\u1e9e\u03c2\u200c\u200d")
"""Sharp s in both cases, final sigma, and the joiners: IDNA 2003, which Python has, maps them to
other letters or to nothing; IDNA 2008 keeps them, and has another domain (UTS 46, section 7)."""


def host(value: str, option: str) -> str:
    """Return a host name in its ASCII form, or an address, without brackets or a final dot."""
    if value != value.strip() and value.strip():
        raise UsageError("invalid {} {}: it begins or ends with a blank", option, shown(value))
    if value.startswith("[") and value.endswith("]"):
        value = value[1:-1]
        if ":" not in value:
            raise UsageError("invalid {}: brackets are only for IPv6 addresses", option)
    if is_numeric(value):
        return value
    if not value.isascii():
        value = _ascii_form(value, option)
    name = value.removesuffix(".")
    if not name:
        raise UsageError("invalid {}: " + _EMPTY, option)
    if len(name) > 253:
        raise UsageError("invalid {}: longer than 253 characters", option)
    # To the C library a name of numbers is a short form of an address: `127.1`, `0`, `0x7f.1`.
    looks_numeric = re.fullmatch(r"(?i)((0x[0-9a-f]*|[0-9]+)(\.|$))+", name)
    if looks_numeric or not all(map(_is_label, name.split("."))):
        from check_pop3_plus.options import mistakes

        # Before an @ there may be a password.
        shown_name = "..." + name[name.rindex("@") :] if "@" in name else value
        raise invalid(option, shown_name, "{}", mistakes.not_a_host(name))
    return name


def _ascii_form(name: str, option: str) -> str:
    """Return an internationalised name in ASCII, where all versions of IDNA agree on it."""
    import stringprep
    import unicodedata

    if any(unicodedata.category(char) in ("Pi", "Pf", "Ps", "Pe") for char in name):
        raise invalid(option, name, "it contains typographic quotes or brackets")
    hidden = [char for char in name if unicodedata.category(char) in ("Cf", "Zs")]
    if hidden and not _IDNA_DEVIATIONS.issuperset(hidden):
        reason = "it contains an invisible character ({})"
        raise invalid(option, name, reason, f"U+{ord(hidden[0]):04X}")
    if any(
        char in _IDNA_DEVIATIONS or stringprep.in_table_a1(char)  # unknown to IDNA 2003
        for char in name + unicodedata.normalize("NFKC", name)
    ):
        from check_pop3_plus.options import mistakes

        raise invalid(option, name, "{}", mistakes.internationalised(name))
    try:
        return name.encode("idna").decode("ascii")
    except UnicodeError as error:
        reason = "not a valid internationalised host name; write it as xn--..."
        raise invalid(option, name, reason) from error


def is_numeric(host: str) -> bool:
    """Return whether a host is an IPv4 or IPv6 address, perhaps with a zone (RFC 4007)."""
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


def address(value: str, option: str) -> str:
    """Return a numeric address."""
    value = host(value, option)
    if not is_numeric(value):
        raise invalid(option, value, "not a numeric address")
    return value


_ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]"


def mail_address(value: str, option: str) -> str:
    """Return a mail address: the common part of RFC 5321 section 4.1.2, in ASCII."""
    local, at, domain = value.rpartition("@")
    if not at or not re.fullmatch(_ATOM + "{1,64}", local) or len(value) > 254:
        raise invalid(option, value, "must be user@domain in ASCII")
    return f"{local}@{host(domain, option)}"


def helo(value: str, option: str) -> str:
    """Return the argument of EHLO: a host name or an address literal."""
    is_literal = re.fullmatch(r"\[(IPv6:)?[0-9A-Fa-f:.]+\]", value)
    return value if is_literal else host(value, option)


_URL = (
    r"(?i)https://(?P<host>\[[0-9A-Fa-f:.]+\]|[^/?:\[\]]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>[/?][!-~]*)?"
)


def https_url(url: str, option: str) -> HttpsEndpoint:
    """Check the URL of a token endpoint (RFC 6749 section 3.2), or of an API.

    It is not shown when it is wrong: it may contain a password or another secret.
    """
    if not url.lower().startswith("https://"):
        raise UsageError("invalid {}: must begin with https://", option)
    if re.search("^[^/?#]*@", url[8:]):
        raise UsageError("invalid {}: must not contain user or password", option)
    if "#" in url:
        raise UsageError("invalid {}: must not contain a fragment (#)", option)
    matched = re.fullmatch(_URL, url)
    if not matched:
        raise UsageError("invalid {}: must be https://HOST[:PORT]/PATH", option)
    number = port(matched["port"] or "443", f"{option} port")
    where = matched["path"] or "/"
    return HttpsEndpoint(host(matched["host"], option), number, "/" * (where[0] == "?") + where)


# --- what one option alone takes -------------------------------------------------------------

_STATES = {state.name.lower(): state for state in State}
_STATES |= {"warn": State.WARNING, "crit": State.CRITICAL}


def state(value: str, option: str) -> State:
    """Return the state that a value names, in any letter case."""
    state = _STATES.get(value.lower())
    if state is None:
        raise invalid(option, value, "must be ok, warning, critical or unknown")
    return state


def subjects(value: str, option: str) -> frozenset[Subject]:
    """Return the topics that a list such as `dns,ping` names; empty for an empty value."""
    known = {subject.value: subject for subject in Subject}
    names = value.split(",") if value else []
    if not known.keys() >= set(names):
        raise invalid(option, value, "must be a list of {}", printable(",".join(known)))
    return frozenset(known[name] for name in names)


def pin(value: str) -> str:
    """Return a SHA-256 hash in hexadecimal.

    Accepts `sha256:` with hexadecimal digits (colons allowed) or base64, and curl's `sha256//`.
    """
    import binascii

    matched = re.fullmatch("sha256(?::|//)(.*)", value)
    text = matched[1] if matched else ""
    digits = text.replace(":", "")
    if re.fullmatch("[0-9A-Fa-f]{64}", digits):
        return digits.lower()
    if re.fullmatch("[A-Za-z0-9+/]{43}=", text):
        return binascii.a2b_base64(text).hex()
    raise invalid("--pin", value, "must be sha256: and 64 hexadecimal digits, or base64")


def capabilities(spec: str, option: str) -> tuple[tuple[str, str | None], ...]:
    """Return the tags of a list such as `UIDL,SASL=PLAIN`, and the argument where one is named."""
    wanted = []
    for item in spec.upper().split(","):
        matched = re.fullmatch(r"([!-+\--<>-~]+)(?:=([!-+\--~]+))?", item)
        if not matched:
            commas = printable("; separate several by commas" if " " in spec else "")
            raise invalid(option, spec, "must be TAG[=ARGUMENT],...{}", commas)
        wanted.append((matched[1], matched[2]))
    return tuple(wanted)


# Fifteen digits are exact in a float, too, by which some compare.
_NUMBER = r"-?(?:[0-9]{1,15}(?:\.[0-9]{1,9})?|\.[0-9]{1,9})"
_RANGE = rf"@?(?!\Z)(?:(?P<start>~|{_NUMBER})?:)?(?P<end>{_NUMBER})?"


def _range(form: str, units: Mapping[str, int]) -> Callable[[str, str], str]:
    """Return a validator for ranges of the plugin guidelines, `[@][start:][end]`.

    It returns them without the units. Start must not be above end.
    """

    def check(spec: str, option: str) -> str:
        plain = spec
        if units:
            plain = re.sub(
                f"(?<![0-9.])({_NUMBER})([{''.join(units)}])",
                lambda found: str(int(float(found[1]) * units[found[2]])),
                spec,
            )
        matched = re.fullmatch(_RANGE, plain)
        if not matched:
            advice = form + (_with_unit(spec, units) if units else _without_unit(spec))
            if re.fullmatch(f"{_NUMBER} ?[,; ] ?{_NUMBER}", spec):
                advice += "; WARN and CRIT are two options"
            advice += "; did you mean {}?" if re.fullmatch(f"{_NUMBER}-{_NUMBER}", spec) else ""
            advice += _of_ini(spec)
            template = "invalid range for {}: {}; must be as " + advice
            raise UsageError(template, option, shown(spec), spec.replace("-", ":"))
        start, end = matched["start"], matched["end"]
        if end is not None and start != "~" and float(start or 0) > float(end):
            raise UsageError("invalid range for {}: {} (start above end)", option, shown(spec))
        return plain

    return check


_SIZES = {"K": 1024, "M": 1024**2, "G": 1024**3}
_SIZES |= {unit.lower(): factor for unit, factor in _SIZES.items()}

range_spec = _range("5, 0.5 or 2:5", {})
size_range = _range("5M, 500K or 1K:2G", _SIZES)
age_range = _range("90s, 20m, 12h or 3d", {"s": 1, "m": 60, "h": 3600, "d": 86400})


def upper_limit(spec: str | None) -> float | None:
    """Return N of a checked range that is only an upper limit: `N`, `0:N` or `~:N`."""
    matched = re.fullmatch(r"(?:(?:0|~)?:)?([0-9.]+)", spec or "")
    return float(matched[1]) if matched else None


def certificate_limits(spec: str, option: str) -> tuple[Remaining, Remaining | None]:
    """Return the thresholds WARN and CRIT of `WARN[,CRIT]`."""
    warning, separator, critical = spec.partition(",")
    warn = _remaining(warning, spec, option)
    if not separator:
        return warn, None
    crit = _remaining(critical, spec, option)
    for above, below in ((crit.days, warn.days), (crit.share, warn.share)):
        if above is not None and below is not None and above > below:
            reason = "CRIT ({}) must not be larger than WARN ({}); did you mean {},{}?"
            raise invalid(option, spec, reason, critical, warning, critical, warning)
    return warn, crit


_REMAINING = {"": ("days", 1), "d": ("days", 1), "h": ("days", 24), "%": ("share", 100)}
"""By unit, the field of `Remaining` and how many of the unit are one there."""


def _remaining(text: str, spec: str, option: str) -> Remaining:
    limits: dict[str, float] = {}
    for part in text.split("/"):
        unit = part[-1:] if part[-1:] in _REMAINING else ""
        number = part.removesuffix(unit)
        field, divisor = _REMAINING[unit]
        if not _is_decimal(number) or field in limits:
            from check_pop3_plus.options import mistakes

            reason = "must be WARN[,CRIT], each as 60, 60d, 12h, 33% or 30d/33%{}"
            raise invalid(option, spec, reason, mistakes.days_meant(spec))
        limits[field] = float(number) / divisor
    if limits.get("share", 0) > 1:
        raise invalid(option, spec, "must not be more than 100%")
    return Remaining(**limits)
