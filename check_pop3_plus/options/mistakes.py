"""Name a mistake in a command line, and the cure.

Loaded only where there is one. Nothing here decides what is a mistake.
"""

import re
from collections.abc import Iterable

from check_pop3_plus.model.sanitised_text import Printable, printable, sanitise
from check_pop3_plus.options.table import BY_FLAG

_LONG = tuple(
    flag for flag, entry in BY_FLAG.items() if flag.startswith("--") and not entry.unsupported
)

_DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe58\ufe63\uff0d"
"""What word processors and web pages make of a hyphen."""

_QUOTES = "\u2018\u2019\u201a\u201c\u201d\u201e\u00ab\u00bb"

_CURES = {
    flag: cure
    for flags, cure in {
        "--password --pass --passwd --pw --secret --token -a -P": (
            "no option takes a password, because the process list shows it; use --password-file,"
            " --password-env or --password-command"
        ),
        "--tls --use-tls --use-ssl --secure --pop3s": (
            "use -S (TLS from the first byte, port 995) or --starttls (port 110)"
        ),
        "--stls --start-tls": "use --starttls",
        "--ssl-version --tls-version --tls1.2 --tls1.3": "use --tls-min",
        "--insecure -k --no-verify --noverify --no-check-certificate": (
            "use --verify none, or better --ca-file"
        ),
        "-u -l --user --login --logname --account": "use -U or --username",
        "--host --server --address -I --ip-address --ip": "use -H or --hostname",
        "--retries --retry --attempts": "use --rechecks or --sensitivity",
        "--debug --trace": "use -vvv, or --diagnose for the cause of a failure",
        "--config --config-file -f --file": "use --extra-opts=@FILE",
        "--cert --cert-file": (
            "use --client-cert for a client certificate, -D for the expiry of the server"
            " certificate"
        ),
        "--key --key-file -K": "use --client-key",
        "-C --days --expiry --cert-days": "use -D or --certificate: -D 30,14",
        "--cafile --cacert --ca --ca-cert": "use --ca-file",
        "--capath": "use --ca-path",
        "--string": "use -e or --expect",
        "--usage -?": "use --help",
        "--format --output-format -o": "use --output",
        "--json": "use --output json",
        "--prometheus": "use --output prometheus",
    }.items()
    for flag in flags.split()
}
"""Options of other plugins and tools, without `-` inside where `nearest` would find them."""

MEANT = {
    **dict.fromkeys(("off", "false", "0", "disable", "disabled", "never"), "none"),
    **dict.fromkeys(("on", "true", "yes", "1", "strict", "required"), "full"),
}
"""What is meant by other values of an option."""

_TAKES_ONE = {
    "--certificate": "one value, WARN,CRIT with a comma and no blank: -D 30,14",
    "--diagnose": "its value joined by an equals sign: --diagnose=dns,tcp",
    "--warning": "one range; the critical one is -c",
    "--critical": "one range; the other one is -w",
    "--hostname": "one host name; to check several hosts use --sweep",
}


def nearest(value: str, known: Iterable[str]) -> Printable:
    """Return `; did you mean ...?` for a typing mistake, else an empty text."""
    import difflib

    def word(name: str) -> str:
        return name.lower().lstrip("-")  # the dashes are the same in all options

    by_word = {word(name): name for name in known}
    wanted = word(value)
    # One number is never meant for another.
    found = difflib.get_close_matches(wanted, by_word) if re.search("[^0-9.]", wanted) else ()
    return printable("; did you mean {}?", by_word[found[0]]) if found else printable("")


_DAYS = {"d": 1, "t": 1, "w": 7, "m": 30, "y": 365}
"""By the first letter of a unit, also of German Tage."""


def days_meant(spec: str) -> Printable:
    """Return `; did you mean ...?` for thresholds of -D as `30 days` or `2w,1w`, else nothing."""
    separated = re.sub(r"(?<=[0-9a-z%])[ ,;:-]+(?=[0-9])", ",", spec.lower())
    meant = re.sub(
        r"([0-9]{1,4})([dtwmy])[a-z]*",
        lambda found: f"{int(found[1]) * _DAYS[found[2]]}d",
        re.sub("[ ;:]", "", separated).strip(",-"),
    )
    meant = re.sub("(?<=[0-9])h[a-z]+", "h", meant)
    is_valid = re.fullmatch("[0-9]+[dh%]?(,[0-9]+[dh%]?)?", meant)
    return printable("; did you mean {}?", meant) if is_valid else printable("")


# --- arguments -------------------------------------------------------------------------------


def unknown_argument(argument: str, previous: str, has_host: bool) -> Printable:
    """Return the message about an argument that is not an option.

    It is shown only if it begins with a dash: any other might be a password. `previous` is the
    flag before it, and `has_host` tells whether -H is given.
    """
    if not argument:
        return printable("empty argument {} (an unset variable or macro?)", _after(previous))
    if argument[0] in _DASHES:
        return _typographic(argument)
    if argument[0] in _QUOTES:
        return printable("an argument begins with a typographic quote; type plain ones")
    if re.match(r"-\w*\s", argument):
        return printable("options and values need an argument each, not one in quotes together")
    if argument.startswith("-"):
        name = re.split(r"[=\s]", argument)[0]
        shown = sanitise(name, 60)
        if name.rstrip("-") == "":
            return printable("argument {} is not an option; see --help", shown)
        if "-" + name in BY_FLAG:
            return printable("unknown option {}; did you mean -{}?", shown, name)
        # Of `-Pvalue` only the letter is shown: the value may be a password.
        known = name if name in _CURES else name[:2]
        if known in _CURES:
            return printable("unknown option {}; {}", known, printable(_CURES[known]))
        return printable("unknown option {}{}", shown, nearest(name, _LONG) or "; see --help")
    return _positional(previous, has_host)


def _after(previous: str) -> Printable:
    return printable("after {}", previous) if previous else printable("at the beginning")


def _positional(previous: str, has_host: bool) -> Printable:
    entry = BY_FLAG.get(previous)
    hidden = printable("(not shown, might be a password)")
    if entry is None:
        cure = "see --help" if has_host else "a host name needs -H: -H NAME"
        return printable("unexpected argument {} {}; {}", _after(previous), hidden, cure)
    usual = "one value; put one with blanks in quotes" if entry.value else "no value"
    takes = printable(_TAKES_ONE.get(entry.name, usual))
    return printable(
        "unexpected argument after {} {}; {} takes {}", previous, hidden, previous, takes
    )


def _typographic(argument: str) -> Printable:
    """Return the message about an argument with a dash that is no hyphen."""
    import unicodedata

    dash, rest = argument[0], argument.lstrip(_DASHES + "-")
    name = re.split(r"[=\s]", rest)[0]
    flag = f"-{name}" if len(name) == 1 else f"--{name}"
    cure = printable("did you mean {}?", flag) if flag in BY_FLAG else "type it as a hyphen"
    kind = unicodedata.name(dash).lower()
    return printable(
        "an argument begins with a typographic dash (U+{}, {}); {}", f"{ord(dash):04X}", kind, cure
    )


# --- host names ------------------------------------------------------------------------------


_ONLY_NAME = "it is a URL; write only the host name"
_NO_HOST = "not a host name or address"

_NOT_A_HOST = (
    (r"(?i)^pop3?s://", _ONLY_NAME + "; for pop3s add -S"),
    (r"(?i)^[a-z][a-z0-9+.-]*://", _ONLY_NAME),
    (r"\$", "it contains a dollar sign"),
    (r"^[{%<].*[}%>]$|%[({]", "not a host name (unresolved macro?)"),
    ("@", "it contains @; write only the host name, the user name goes to -U"),
    (r"\S\s+\S|,", "it contains a blank or comma; give one host name"),
    ("[\"']", "it contains quotes"),
    ("/", "it contains a slash; write only the host name"),
    (r"^\[[^]]*$|^[^[]*\]", _NO_HOST + ": a bracket is missing"),
    (r"^(?:[^:]*|\[.*):([0-9]{1,5})$", _NO_HOST + " (use --port for the port): -p {}"),
    (":", "not an IPv6 address"),
    (r"\*", "not a host name; a wildcard cannot be connected to"),
    (r"^\.|\.\.|\.$", _NO_HOST + ": nothing between two dots"),
    (
        r"(?i)^(?:(?:0x[0-9a-f]*|[0-9]+)(?:\.|$))+$",
        _NO_HOST + ": an IPv4 address has four numbers from 0 to 255",
    ),
    ("[^.]{64}", _NO_HOST + ": more than 63 characters between two dots"),
    ("", _NO_HOST),
)
"""What is wrong with a host name that matches, and where it goes instead; the first one counts."""


def not_a_host(name: str) -> Printable:
    """Return what is wrong with a host name or address."""
    matches = ((re.search(pattern, name), template) for pattern, template in _NOT_A_HOST)
    return next(printable(template, *found.groups()) for found, template in matches if found)


def internationalised(name: str) -> Printable:
    """Return the message about a name that IDNA 2003 and IDNA 2008 read differently."""
    modern = ".".join(_a_label(label) for label in re.split("[.\u3002\uff0e\uff61]", name))
    try:
        # IDNA 2003 has no lower case for newer capitals, nor has Python from 3.14 on.
        old = name.lower().encode("idna").decode("ascii")
    except UnicodeError:
        old = ""
    either = printable(" or {}", sanitise(old, 60)) if old and old != modern else ""
    return printable(
        "its name depends on the IDNA version; write it as {}{}", sanitise(modern, 80), either
    )


def _a_label(label: str) -> str:
    """Return the ASCII form of a label by IDNA 2008 (RFC 5891), which maps no character."""
    import unicodedata

    lowered = unicodedata.normalize("NFC", unicodedata.normalize("NFKC", label).lower())
    return lowered if lowered.isascii() else "xn--" + lowered.encode("punycode").decode("ascii")
