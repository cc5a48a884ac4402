"""Two parsers of plugin output, like those of the two monitoring systems.

They follow their source code; `test_output_parsers.py` tests them with the cases of their suites:

- Icinga 2: `PluginUtility::ParseCheckOutput` and `SplitPerfdata`, `PerfdataValue::Parse`.
- Nagios Core: `parse_check_output`; its external commands; `illegal_macro_output_chars`. It passes
  performance data on as text, so the grammar of the plugin guidelines applies.
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import NamedTuple

STATES = ("OK", "WARNING", "CRITICAL", "UNKNOWN")

ILLEGAL_IN_MACROS = "`~$&|'\"<>"
"""The characters that Nagios removes from the text for a command (default of nagios.cfg)."""


class Metric(NamedTuple):
    """A parsed metric in base units, with thresholds if they are numbers."""

    label: str
    value: float
    unit: str = ""
    warn: float | None = None
    crit: float | None = None
    min: float | None = None
    max: float | None = None


class Reading(NamedTuple):
    """The parts of a plugin's output."""

    text: str
    long: str
    perfdata: str


# --- Icinga 2 ------------------------------------------------------------------------------------


def icinga(output: str) -> Reading:
    """Parse like Icinga 2: any line with a `=` after a pipe may end in performance data."""
    text, perfdata = [], []
    for line in re.split(r"[\r\n]", output):
        before, pipe, behind = line.partition("|")
        if pipe and "=" in behind:
            text.append(before)
            perfdata.append(behind)
        else:
            text.append(line)
    first, _, rest = "\n".join(text).lstrip("\n").partition("\n")
    return Reading(first, rest, " ".join(perfdata).strip())


def icinga_metrics(perfdata: str) -> list[Metric]:
    """Return the metrics of performance data. Raises ValueError if Icinga rejects one."""
    return [icinga_metric(word) for word in icinga_words(perfdata)]


def icinga_words(perfdata: str) -> list[str]:
    """Split like Icinga 2: up to the first `=`, and from there to the next blank."""
    words, begin, prefix = [], 0, ""
    while (equals := perfdata.find("=", begin)) >= 0:
        label = _unquoted(perfdata[begin:equals].strip())
        blank = perfdata.find(" ", equals)
        end = len(perfdata) if blank < 0 else blank
        is_multi = "::" in label
        if prefix and not is_multi:
            label = f"{prefix}::{label}"
        quoted = f"'{label}'" if " " in label else label
        words.append(f"{quoted}={perfdata[equals + 1 : end]}")
        if is_multi:
            prefix = label.rpartition("::")[0]
        begin = end + 1
    return words


def icinga_metric(word: str) -> Metric:
    """Parse one metric. Raises ValueError if it is invalid."""
    label, equals, behind = word.rpartition("=")
    value = behind.partition(" ")[0]
    if not equals or "," in value or not value:
        raise ValueError(word)
    tokens = value.split(";")
    amount = re.match(r"(.*[0-9.])?(.*)", tokens[0], re.DOTALL)
    assert amount is not None
    number, unit = (amount[1], amount[2]) if amount[1] else (tokens[0], "")
    factor, name = _units().get(unit) or _UNITS_OF_ANY_CASE.get(unit.lower()) or (1.0, "")
    limits = [_icinga_limit(token, factor) for token in [*tokens[1:], *[""] * 4][:4]]
    return Metric(_unquoted(label), _number(number) * factor, "c" if unit == "c" else name, *limits)


def _icinga_limit(token: str, factor: float) -> float | None:
    """Parse a threshold; ranges are ignored."""
    if token in ("", "U") or re.search(r"[^-+0-9.eE]", token):
        return None
    return _number(token) * factor


def _unquoted(label: str) -> str:
    is_quoted = len(label) > 2 and label[0] == label[-1] == "'"
    return label[1:-1] if is_quoted else label


def _number(text: str) -> float:
    if not re.fullmatch(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?", text):
        raise ValueError(text)
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


_UNITS_OF_ANY_CASE = {
    "ns": (1e-9, "seconds"),
    "us": (1e-6, "seconds"),
    "ms": (1e-3, "seconds"),
    "s": (1.0, "seconds"),
    "m": (60.0, "seconds"),
    "h": (3600.0, "seconds"),
    "d": (86400.0, "seconds"),
    "ng": (1e-9, "grams"),
    "ug": (1e-6, "grams"),
    "mg": (1e-3, "grams"),
    "g": (1.0, "grams"),
    "kg": (1e3, "grams"),
    "t": (1e6, "grams"),
    "ml": (1e-3, "liters"),
    "l": (1.0, "liters"),
    "hl": (100.0, "liters"),
    "packets": (1.0, "packets"),
    "lm": (1.0, "lumens"),
    "dbm": (1.0, "decibel-milliwatts"),
    "f": (1.0, "degrees-fahrenheit"),
    "k": (1.0, "degrees-kelvin"),
}


@cache
def _units() -> dict[str, tuple[float, str]]:
    """Return the units, which are case-sensitive where `m` and `M` differ."""
    units = {"%": (1.0, "percent"), "c": (1.0, ""), "C": (1.0, "degrees-celsius"), "": (1.0, "")}
    greater = {letter: power for power, letters in enumerate("kgtpezy") for letter in letters}
    powers = {"k": 1, "m": 2, **{letter: power + 2 for letter, power in greater.items() if power}}
    for base, name in (("b", "bits"), ("B", "bytes")):
        units[base] = (1.0, name)
        for letter, power in powers.items():
            for prefix in (letter, letter.upper()):
                units[prefix + base] = (1000.0**power, name)
                units[prefix + "i" + base] = units[prefix + "I" + base] = (1024.0**power, name)
    electric = {"n": -3, "N": -3, "u": -2, "U": -2, "m": -1, "": 0, "k": 1, "K": 1, "M": 2}
    for letter, power in powers.items():
        if power > 2:
            electric |= {letter: power, letter.upper(): power}
    for prefix, power in electric.items():
        factor = 1000.0**power
        for base, name in (("a", "amperes"), ("o", "ohms"), ("v", "volts"), ("w", "watts")):
            units[prefix + base] = units[prefix + base.upper()] = (factor, name)
        for suffix, seconds in (("s", 1), ("m", 60), ("h", 3600)):
            for each in (suffix, suffix.upper()):
                for base in "aA":
                    units[prefix + base + each] = (factor * seconds, "ampere-seconds")
                for base in "wW":
                    units[prefix + base + each] = (factor * seconds / 3600, "watt-hours")
    return units


# --- Nagios Core ---------------------------------------------------------------------------------


def nagios(output: str, is_escaped: bool = False) -> Reading:
    """Parse like Nagios Core: line 1 and the long output may each have a pipe, and everything after
    the second one is performance data. `is_escaped` is for an external command."""
    if is_escaped:
        output = re.sub(r"\\([\\n])", lambda found: {"n": "\n"}.get(found[1], "\\"), output)
    first, _, rest = output.partition("\n")
    text, _, perfdata = first.partition("|")
    long, _, more = rest.partition("|")
    lines = (line for line in more.split("\n") if line)
    further = "".join(line if line.startswith(" ") else f" {line}" for line in lines)
    return Reading(text.strip().replace(";", ":"), long, (perfdata + further).strip(" \n\r\t"))


class Command(NamedTuple):
    """An external command, PROCESS_SERVICE_CHECK_RESULT."""

    time: int
    host: str
    service: str
    code: int
    output: str


def nagios_command(line: str) -> Command:
    """Parse a line of the command file. Raises ValueError if it is no service result."""
    found = re.fullmatch(
        r"\[(\d+)\] PROCESS_SERVICE_CHECK_RESULT;([^;\n]+);([^;\n]+);(\d+);([^\n]*)", line
    )
    if not found:
        raise ValueError(line)
    return Command(int(found[1]), found[2], found[3], int(found[4]), found[5])


def in_macros(text: str) -> str:
    """Return the text that Nagios passes to a command."""
    return "".join(character for character in text if character not in ILLEGAL_IN_MACROS)


_BY_THE_GUIDELINES = re.compile(
    r"(?P<label>'(?:[^'=]|'')+'|[^\s'=]+)=(?P<value>-?[0-9]+(?:\.[0-9]+)?)(?P<unit>s|us|ms|%|"
    r"[KMGT]?B|c|)(?:;(?P<warn>[^;\s]*))?(?:;(?P<crit>[^;\s]*))?"
    r"(?:;(?P<min>-?[0-9.]*))?(?:;(?P<max>-?[0-9.]*))?(?:\s+|$)"
)


def guidelines_metrics(perfdata: str) -> list[Metric]:
    """Parse metrics by the grammar of the plugin guidelines. Raises ValueError."""
    metrics, position = [], 0
    while position < len(perfdata):
        found = _BY_THE_GUIDELINES.match(perfdata, position)
        if not found:
            raise ValueError(perfdata[position:])
        limits = [_plain(found[name]) for name in ("warn", "crit", "min", "max")]
        label = found["label"].strip("'").replace("''", "'")
        metrics.append(Metric(label, float(found["value"]), found["unit"], *limits))
        position = found.end()
    return metrics


def _plain(limit: str | None) -> float | None:
    """Return a threshold that is a number; ranges have another grammar."""
    return (
        float(limit) if limit and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?|-?\.[0-9]+", limit) else None
    )


# --- both ----------------------------------------------------------------------------------------

_NAMES = {"s": "seconds", "B": "bytes", "": ""}


def assert_read_alike(code: int, output: str, name: str = "POP3") -> list[Metric]:
    """Assert that both systems parse an output alike, and return the metrics.

    That is: the same status, the same texts, and only the metrics of line 1.
    """
    first, _, rest = output.partition("\n")
    head, pipe, meant = first.partition(" | ")
    by_icinga, by_nagios = icinga(output), nagios(output)
    assert by_icinga.perfdata == by_nagios.perfdata == meant.strip(), output
    assert by_icinga.text.strip() == head, output
    assert by_nagios.text == head.replace(";", ":"), output
    assert by_icinga.long.strip("\n") == by_nagios.long.strip("\n") == rest.strip("\n"), output
    if output.startswith(f"{name} "):
        assert head.startswith(f"{name} {STATES[code]} - "), output
    assert not set(in_macros(output)) ^ set(output) - set("|~"), output
    metrics = guidelines_metrics(by_nagios.perfdata)
    in_icinga = icinga_metrics(by_icinga.perfdata)
    assert [metric._replace(unit=_NAMES[metric.unit]) for metric in metrics] == in_icinga, output
    assert len({metric.label for metric in metrics}) == len(metrics), output
    assert bool(pipe) == bool(metrics), output
    return metrics
