"""The manual page and the bash completion, made from the table of options."""

from __future__ import annotations

import textwrap

from check_pop3_plus import RELEASED, __version__
from check_pop3_plus.model.failures import LOCAL, MEASURED, Kind
from check_pop3_plus.model.settings import State, Subject
from check_pop3_plus.options.help_text import invocation
from check_pop3_plus.options.ini import SEARCH_PATH
from check_pop3_plus.options.table import ENTRIES, GROUPS, PROGRAM, SUBMIT_FORMS
from tests.support import kinds_page
from tests.support.documents import PROJECT

PAGE = PROJECT / "docs" / f"{PROGRAM}.1"
COMPLETION = PROJECT / "docs" / f"{PROGRAM}.bash"

# --- manual page (man(7)) ----------------------------------------------------------------------

_ROFF = {"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"}

_SECTIONS = {
    "DESCRIPTION": """\
Checks a POP3 server and prints one line with its state and performance data, as Nagios and Icinga
read them. It connects, with TLS if wanted, reads the greeting, logs in if a user is given, and
ends the session. No message is read, marked or deleted; a round trip deletes the mails that it has
sent itself.

TLS is verified: an untrusted or expired certificate, or one for another name, is CRITICAL.
No option takes a password; it is read from a file, the environment or a command.""",
    "THRESHOLDS": """\
RANGE is that of the plugin guidelines, [@][start:][end]: alert outside of it, with @ inside of
it; ~ is minus infinity. The ends are included.""",
    "KINDS OF FAILURE": """\
Each result that is not OK names its kind. --state changes the state of a kind. Retried are, by
--sensitivity and --rechecks, only failures that may be gone within seconds.""",
}

_EXAMPLES = (
    ("Up and answering:", "-H pop.example.org"),
    ("The certificate is valid, on port 995:", "-H pop.example.org -S"),
    ("A quarter of its lifetime is left:", "-H pop.example.org -S -D 25%,10%"),
    (
        "This user can log in:",
        "-H pop.example.org -S -t 20 -U monitor --password-file /etc/nagios/pop3.secret",
    ),
)

_EXIT = ("0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. --help and --version end with 3.",)


def page() -> str:
    """Return the manual page."""
    parts = [
        f'.TH {PROGRAM.upper()} 1 "{RELEASED}" "{PROGRAM} {__version__}" "Monitoring plugins"',
        *(".SH NAME", f"{_roff(PROGRAM)} \\- check a POP3 server for Nagios and Icinga"),
        *(".SH SYNOPSIS", f".B {_roff(PROGRAM)}", "\\-H \\fINAME\\fR [\\fIoptions\\fR]", ".br"),
        *(f".B {_roff(PROGRAM)}", "\\-\\-sweep \\fIFILE\\fR [\\fIoptions\\fR]"),
        *_section("DESCRIPTION"),
        ".SH OPTIONS",
    ]
    for title, entries in GROUPS.items():
        parts.append(f'.SS "{_roff(title[:1].upper() + title[1:])}"')
        for entry in entries:
            parts += [".TP", f".B {_roff(invocation(entry))}", *_prose(entry.help)]
    parts += [*_section("THRESHOLDS"), *_section("KINDS OF FAILURE")]
    for each in kinds_page.sections(kinds_page.PAGE.read_text()):
        meaning = each.meaning.replace("`", "")
        parts += [".TP", f".B {each.kind.value.replace('-', chr(92) + '-')}"]
        parts += _prose(f"{meaning} {kinds_page.state(each.kind).replace('`', '')}.")
    parts += [".SH EXIT STATUS", *_prose(_EXIT[0]), ".SH EXAMPLES"]
    for number, (what, arguments) in enumerate(_EXAMPLES):
        parts += [
            *([".PP"] if number else []),
            _roff(what),
            ".PP",
            ".nf",
            ".RS",
            _roff(f"{PROGRAM} {arguments}"),
        ]
        parts += [".RE", ".fi"]
    parts += [".SH FILES", *_prose("The first of these is the default file of --extra-opts:")]
    for path in SEARCH_PATH:
        parts += [".br", f".I {_roff(path)}"]
    parts += [
        ".SH ENVIRONMENT",
        *_prose(
            "MP_CONFIG_FILE names the default file of --extra-opts, NAGIOS_CONFIG_PATH the"
            " directories that are searched for it first."
        ),
        ".SH SEE ALSO",
        ".BR openssl\\-s_client (1ssl),",
        ".BR systemd.exec (5)",
    ]
    return "\n".join(parts) + "\n"


def _section(title: str) -> list[str]:
    first, *others = (_prose(part.replace("\n", " ")) for part in _SECTIONS[title].split("\n\n"))
    return [f".SH {title}", *first, *(line for part in others for line in (".PP", *part))]


def _prose(text: str) -> list[str]:
    return [_roff(line) for line in textwrap.wrap(text, 70, break_on_hyphens=False)]


def _roff(text: str) -> str:
    escaped = "".join(_ROFF.get(character, character) for character in text)
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


# --- bash completion ---------------------------------------------------------------------------

_STATES = " ".join(state.name.lower() for state in State)


def _with_states(separator: str) -> str:
    states = _STATES.replace(" ", f" ${{value%%{separator}*}}{separator}")
    return f'[[ $value == *{separator}* ]] && values="${{value%%{separator}*}}{separator}{states}"'


_KINDS = " ".join(f"{kind.value}=" for kind in Kind if kind not in LOCAL)
_PHASES = " ".join(f"{phase.value}=" for phase in MEASURED)
_SUBJECTS = " ".join(subject.value for subject in Subject)

_SUBMIT_TARGETS = " ".join(SUBMIT_FORMS).replace("URL", "https://").replace("FILE", "")

_VALUES = {
    "FILE": "action=-f",
    "DIR": "action=-d",
    "CMD": "action=-c",
    "STATE": f"values='{_STATES}'",
    "KIND=STATE": f"values='{_KINDS}'\n            {_with_states('=')}",
    "PHASE=RANGE": f"values='{_PHASES}'",
    "N[:STATE]": _with_states(":"),
    "TO": f"values='{_SUBMIT_TARGETS}'",
    "[=LIST]": f"values='{_SUBJECTS}' lead=${{value%\"${{value##*,}}\"}}",
}
"""What completes a value, by its name in `--help`."""

_SCRIPT = """\
# bash completion for PROGRAM; made by `make generated`.
_PROGRAM() {
    # Bash takes words apart at = and :, so they are read from the line.
    local line=${COMP_LINE:0:COMP_POINT} joined='' values='' action='' lead='' cut=''
    local word=${line##*[[:space:]]}
    line=${line%"$word"}
    line=${line%"${line##*[![:space:]]}"}
    local option=${line##*[[:space:]]} value=$word
    if [[ $word == --*=* ]]; then
        option=${word%%=*} value=${word#*=} joined==
    fi
    case $option$joined in
CASES
        *)
            [[ $joined ]] || values='FLAGS'
            ;;
    esac
    COMPREPLY=()
    if [[ $action ]]; then
        mapfile -t COMPREPLY < <(compgen "$action" -- "$value")
        compopt -o filenames 2>/dev/null
    elif [[ $values ]]; then
        mapfile -t COMPREPLY < <(compgen -P "$lead" -W "$values" -- "${value#"$lead"}")
    fi
    [[ $joined ]] && COMPREPLY=("${COMPREPLY[@]/#/$option=}")
    # A reply replaces only what follows the last = or : at which bash separates words.
    local breaks=${COMP_WORDBREAKS//[!=:]/}
    [[ $breaks && $word == *["$breaks"]* ]] && cut=${word%"${word##*["$breaks"]}"}
    COMPREPLY=("${COMPREPLY[@]#"$cut"}")
    [[ ${COMPREPLY[0]} == *[=:/] ]] && compopt -o nospace 2>/dev/null
    return 0
}
complete -F _PROGRAM PROGRAM
"""


def completion() -> str:
    """Return the script that completes the command in bash."""
    cases: dict[str, list[str]] = {}
    for entry in (entry for entry in ENTRIES if entry.value):
        values = f"values='{' '.join(entry.choices)}'" if entry.choices else ""
        flags = (
            [f"{entry.name}="] if entry.is_optional else [*entry.flags.split(), f"{entry.name}="]
        )
        cases.setdefault(values or _VALUES.get(entry.value, ":"), []).extend(flags)
    blocks = (
        f"        {'|'.join(flags)})\n            {values}\n            ;;"
        for values, flags in cases.items()
    )
    names = " ".join(entry.name for entry in ENTRIES)
    script = _SCRIPT.replace("PROGRAM", PROGRAM).replace("FLAGS", names)
    return script.replace("CASES", "\n".join(blocks))
