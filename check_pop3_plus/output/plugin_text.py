"""Render a verdict as the text of the plugin guidelines.

nagiosplugin's own rendering is not used, because it moves performance data to the last line, ranks
UNKNOWN first and sorts the labels.
"""

from itertools import accumulate

from check_pop3_plus.check.verdict import Figure, Verdict

OUTPUT_LIMIT = 4 * 1024
"""Bytes of the whole text."""

VERBOSE_OUTPUT_LIMIT = 16 * 1024
"""The same for a verbose verdict."""


def render(verdict: Verdict, with_perfdata: bool = True) -> str:
    """Return the plugin's output: performance data on line 1, the long output below it."""
    limit = VERBOSE_OUTPUT_LIMIT if verdict.is_verbose else OUTPUT_LIMIT
    head = verdict.line
    figures = verdict.figures if with_perfdata else ()
    # A check of a hundred addresses has more figures than there is space for.
    shown = list(accumulate(map(perfdata, figures), "{} {}".format, initial=" |"))
    fitting = [each for each in shown if len(head) + len(each) < limit // 2]
    if figures:
        head += fitting[-1]
    text = head + "\n"
    if len(fitting) < len(shown):
        text += f"more: {len(shown) - len(fitting)} figures left out\n"
    for line in verdict.long_output:
        if len(text) + len(line) + 1 > limit - 20:
            return text + "more: left out\n"
        text += line + "\n"
    return text


def perfdata(figure: Figure) -> str:
    """Return a figure as performance data: `time=0.0431s;2;5;0;10`.

    Seconds have four decimals, other fractions two; whole numbers have none.
    """
    value = str(figure.value)
    if isinstance(figure.value, float):
        value = f"{figure.value:.{4 if figure.unit == 's' else 2}f}"
    limits = (figure.warning, figure.critical, figure.min, figure.max)
    return ";".join((f"{figure.label}={value}{figure.unit}", *map(_limit, limits))).rstrip(";")


def _limit(limit: str | float | None) -> str:
    """Return a limit as short as possible: 10 for 10.0."""
    if limit is None:
        return ""
    is_whole = isinstance(limit, float) and limit.is_integer()
    return str(int(limit) if is_whole else limit)
