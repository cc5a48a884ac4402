"""Plot lines on two logarithmic axes as SVG, without a library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10
from typing import NamedTuple

_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 220, 40, 48
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7f7f7f", "#56b4e9")


class Line(NamedTuple):
    name: str
    points: Sequence[tuple[float, float]]
    """Number of services, and CPU seconds per check."""
    is_bold: bool
    is_ours: bool


def svg(lines: Sequence[Line], title: str) -> str:
    """Return the plot: services on the x axis, milliseconds on the y axis."""
    x_values = [x for line in lines for x, _ in line.points]
    y_values = [y * 1000 for line in lines for _, y in line.points]
    right = max(1, ceil(log10(max(x_values))))
    low, high = floor(log10(min(y_values))), ceil(log10(max(y_values)))

    def across(x: float) -> float:
        return _LEFT + log10(x) / right * (_WIDTH - _LEFT - _RIGHT)

    def up(y: float) -> float:
        return _HEIGHT - _BOTTOM - (log10(y) - low) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="22" font-size="14">{escape(title)}</text>',
    ]
    edge = _WIDTH - _RIGHT
    for power in range(low, high + 1):
        y = up(10**power)
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{edge}" stroke="#dddddd"/>')
        parts.append(
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{10**power:g} ms</text>'
        )
    for power in range(right + 1):
        x = across(10**power)
        parts.append(f'<path d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}" stroke="#dddddd"/>')
        label = f"{10**power:,}"
        parts.append(
            f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{label}</text>'
        )
    middle = (_LEFT + edge) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 10}" text-anchor="middle">services</text>')
    # Labels are at the ends of their lines, moved apart if these are close.
    last = 0.0
    ordered = sorted(enumerate(lines), key=lambda pair: -pair[1].points[-1][1])
    for number, line in ordered:
        colour = _COLOURS[number % len(_COLOURS)]
        places = [(across(x), up(y * 1000)) for x, y in line.points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        dashes = "" if line.is_ours else ' stroke-dasharray="5 4"'
        width = 2.5 if line.is_bold else 1.5
        parts.append(
            f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dashes}/>'
        )
        last = max(places[-1][1], last + 15)
        parts.append(
            f'<text x="{edge + 8}" y="{last + 4:.1f}" fill="{colour}">{escape(line.name)}</text>'
        )
    parts.append("</svg>")
    return "\n".join(parts) + "\n"
