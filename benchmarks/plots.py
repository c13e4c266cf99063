"""Plots as SVG, written by hand: bars and curves, no library. They know nothing of what they show."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Bar", "BarGroup", "Curve", "bars", "curves"]

WIDTH = 860
LEFT = 190
"""Room for the names."""
RIGHT = 90
ROW = 20
COLOURS = ("#2563a8", "#c2602b", "#3c8a4e", "#8a5aa8", "#b0892c", "#4a9aa5", "#a84a63", "#6b7280", "#1f2937", "#94a3b8")
LIMIT_COLOUR = "#c9ccd1"


@dataclass(frozen=True)
class Bar:
    """One value with its range."""

    name: str
    value: float
    low: float
    high: float
    is_limit: bool = False


@dataclass(frozen=True)
class BarGroup:
    """Bars that belong together."""

    name: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Curve:
    """Values side by side, joined by a line."""

    name: str
    values: Sequence[float]
    is_limit: bool = False


def _document(width: float, height: float, title: str, parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" font-family="sans-serif" font-size="12" fill="#1f2328" role="img">'
    )
    background = f'<rect width="{width:g}" height="{height:g}" fill="#ffffff"/>'
    return "\n".join([head, f"<title>{escape(title)}</title>", background, *parts, "</svg>", ""])


def _text(x: float, y: float, text: str, *, anchor: str = "start", bold: bool = False, size: int = 12) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}"{weight}>{escape(text)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str = "#d8dbe0") -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def short(value: float) -> str:
    """A number in a few characters."""
    if value >= 1e6:
        return f"{value / 1e6:.3g}M"
    if value >= 1e4:
        return f"{value / 1e3:.0f}k"
    return f"{value / 1e3:.2g}k" if value >= 1e3 else f"{value:.3g}"


# --- bars -------------------------------------------------------------------------------------------------------


def bars(title: str, unit: str, groups: Sequence[BarGroup]) -> str:
    """Horizontal bars in groups, from zero, each with its value and its range; a limit is grey."""
    highest = max((bar.high for group in groups for bar in group.bars), default=1.0) or 1.0
    scale = (WIDTH - LEFT - RIGHT) / highest
    parts = [_text(12, 24, f"{title} ({unit})", bold=True, size=14)]
    y = 44.0
    for group in groups:
        parts.append(_text(12, y + 14, group.name, bold=True))
        for bar in group.bars:
            parts += _bar(bar, y, scale)
            y += ROW
        y += 10
    return _document(WIDTH, y + 6, title, parts)


def _bar(bar: Bar, y: float, scale: float) -> list[str]:
    middle = y + ROW / 2
    colour = LIMIT_COLOUR if bar.is_limit else COLOURS[0] if bar.name.startswith("mcpc") else COLOURS[1]
    width = max(bar.value * scale, 1)
    return [
        _text(LEFT - 8, middle + 4, bar.name, anchor="end"),
        f'<rect x="{LEFT}" y="{y + 3:.1f}" width="{width:.1f}" height="{ROW - 6}" fill="{colour}"/>',
        _line(LEFT + bar.low * scale, middle, LEFT + bar.high * scale, middle, "#1f2328"),
        _text(LEFT + bar.high * scale + 6, middle + 4, short(bar.value)),
    ]


# --- curves -----------------------------------------------------------------------------------------------------

PLOT = (70.0, 44.0, 600.0, 380.0)
"""Left, top, right and bottom of the field of a plot of curves."""


class _Axis:
    """From values to heights, by logarithms."""

    def __init__(self, values: Sequence[float]) -> None:
        logs = [math.log10(max(value, 1e-9)) for value in values] or [0.0]
        self._first = math.floor(min(logs))
        self._last = max(math.ceil(max(logs)), self._first + 1)

    def at(self, value: float) -> float:
        _, top, _, bottom = PLOT
        part = (math.log10(max(value, 1e-9)) - self._first) / (self._last - self._first)
        return bottom - part * (bottom - top)

    @property
    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self._first, self._last + 1)]


def curves(title: str, x_name: str, y_name: str, labels: Sequence[str], drawn: Sequence[Curve]) -> str:
    """Lines over a logarithmic height; `labels` are the names of the values side by side."""
    left, _, right, bottom = PLOT
    heights = _Axis([value for curve in drawn for value in curve.values])
    step = (right - left) / max(len(labels) - 1, 1)
    places = [left + index * step for index in range(len(labels))]
    parts = [_text(12, 20, title, bold=True, size=14), *_frame(labels, places, heights, x_name, y_name)]
    for index, curve in enumerate(drawn):
        parts += _curve(curve, index, places, heights)
    return _document(WIDTH, max(bottom, PLOT[1] + len(drawn) * 18) + 50, title, parts)


def _frame(labels: Sequence[str], places: Sequence[float], heights: _Axis, x_name: str, y_name: str) -> list[str]:
    left, top, right, bottom = PLOT
    parts = [_text((left + right) / 2, bottom + 38, x_name, anchor="middle"), _text(12, top - 8, y_name)]
    for tick in heights.ticks:
        y = heights.at(tick)
        parts += [_line(left, y, right, y), _text(left - 6, y + 4, short(tick), anchor="end")]
    for x, name in zip(places, labels, strict=True):
        parts += [_line(x, top, x, bottom), _text(x, bottom + 18, name, anchor="middle")]
    return parts


def _curve(curve: Curve, index: int, places: Sequence[float], heights: _Axis) -> list[str]:
    colour = COLOURS[index % len(COLOURS)]
    dashes = ' stroke-dasharray="5 4"' if curve.is_limit else ""
    points = " ".join(f"{x:.1f},{heights.at(value):.1f}" for x, value in zip(places, curve.values, strict=False))
    y = PLOT[1] + 10 + index * 18
    key = f'<line x1="{PLOT[2] + 20}" y1="{y - 4}" x2="{PLOT[2] + 38}" y2="{y - 4}"'
    return [
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>',
        f'{key} stroke="{colour}" stroke-width="3"{dashes}/>',
        _text(PLOT[2] + 44, y, curve.name),
    ]
