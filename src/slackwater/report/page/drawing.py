"""Pictures as SVG: small, sharp on paper, and coloured by the style sheet, so that they follow light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final

import numpy as np
import pandas as pd

__all__ = ["Axis", "Plot", "moments", "months", "nice_ticks", "rows_plot"]

_WIDTH: Final = 520.0
_TOP, _BOTTOM, _RIGHT, _LEFT = 30.0, 46.0, 16.0, 62.0
_LETTER: Final = 7.5  # width of a letter of a tick, on a phone


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One axis: its title with the unit, its range, and its ticks as (place, label).

    `log` needs a positive range. Ticks that are not given are round numbers.
    """

    title: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]] = ()
    log: bool = False

    def fraction(self, value: float) -> float:
        """Return where a value lies along the axis, 0 at its low end and 1 at its high end."""
        low, high, at = (math.log(x) if self.log else x for x in (self.low, self.high, value))
        return (at - low) / (high - low) if high > low else 0.5

    @classmethod
    def around(cls, title: str, *values: Any, include: Iterable[float] = (), room: float = 0.05) -> Axis:
        """Return an axis that holds all finite values; without any it runs from 0 to 1."""
        parts = [np.ravel(np.asarray(each, dtype=np.float64)) for each in (*values, list(include))]
        found = np.concatenate(parts)
        found = found[np.isfinite(found)]
        if not found.size:
            return cls(title=title, low=0.0, high=1.0)
        low, high = float(found.min()), float(found.max())
        span = (high - low) or abs(high) or 1.0
        return cls(title=title, low=low - room * span, high=high + room * span)


@dataclass
class Plot:
    """A picture under construction: marks in the order in which they are drawn.

    Parameters
    ----------
    label
        What the picture is, for those who do not see it.
    x, y
        The axes; the titles carry the units.
    synthetic
        Whether the market was simulated; the picture then carries the word SYNTHETIC.
    height
        In pixels, beside a width of 520.
    left
        Room for the labels of the vertical axis, pixels.
    """

    label: str
    x: Axis
    y: Axis
    synthetic: bool
    height: float = 320.0
    left: float = _LEFT
    marks: list[str] = field(default_factory=list)
    legend: list[tuple[str, str, str]] = field(default_factory=list)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Return the pixel of a point."""
        across = self.left + self.x.fraction(x) * (_WIDTH - self.left - _RIGHT)
        return across, self.height - _BOTTOM - self.y.fraction(y) * (self.height - _TOP - _BOTTOM)

    def line(self, x: Any, y: Any, *, kind: str, name: str = "", steps: bool = False) -> None:
        """Draw a line through the finite points; `steps` keeps each value until the next point."""
        points = [self.at(a, b) for a, b in zip(x, y, strict=True) if math.isfinite(a) and math.isfinite(b)]
        if not points:
            return
        path = f"M{points[0][0]:.1f} {points[0][1]:.1f}"
        path += "".join(f"H{a:.1f}V{b:.1f}" if steps else f"L{a:.1f} {b:.1f}" for a, b in points[1:])
        self.marks.append(f'<path class="line {kind}" d="{path}"/>')
        if name:
            self.legend.append((kind, "line", name))

    def band(self, x: Any, low: Any, high: Any, *, kind: str) -> None:
        """Fill between two lines."""
        rows = [each for each in zip(x, low, high, strict=True) if all(map(math.isfinite, each))]
        points = [self.at(a, b) for a, b, _ in rows] + [self.at(a, c) for a, _, c in reversed(rows)]
        if points:
            self.marks.append(
                f'<polygon class="band {kind}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}"/>'
            )

    def points(self, x: Any, y: Any, *, kind: str, shape: str = "circle", name: str = "", size: float = 4.0) -> None:
        """Draw one mark per point: ``circle``, ``up``, ``down`` (triangles), ``square`` or ``cross``."""
        for a, b in zip(x, y, strict=True):
            if math.isfinite(a) and math.isfinite(b):
                self.marks.append(_mark(*self.at(a, b), kind, shape, size))
        if name:
            self.legend.append((kind, shape, name))

    def bar(self, x0: float, x1: float, y0: float, y1: float, *, kind: str) -> None:
        """Fill a rectangle between two corners."""
        (a, b), (c, d) = self.at(x0, y0), self.at(x1, y1)
        self.marks.append(
            f'<rect class="bar {kind}" x="{min(a, c):.1f}" y="{min(b, d):.1f}" '
            f'width="{abs(c - a):.1f}" height="{abs(d - b):.1f}"/>'
        )

    def rule(self, *, x: float | None = None, y: float | None = None, kind: str = "zero", name: str = "") -> None:
        """Draw a line across the whole picture at a value of one axis."""
        if x is not None and self.x.low <= x <= self.x.high:
            (a, b), (_, d) = self.at(x, self.y.low), self.at(x, self.y.high)
            self.marks.append(f'<path class="rule {kind}" d="M{a:.1f} {b:.1f}V{d:.1f}"/>')
        if y is not None and self.y.low <= y <= self.y.high:
            (a, b), (c, _) = self.at(self.x.low, y), self.at(self.x.high, y)
            self.marks.append(f'<path class="rule {kind}" d="M{a:.1f} {b:.1f}H{c:.1f}"/>')
        if name:
            self.legend.append((kind, "line", name))

    def text(self, x: float, y: float, words: str, *, anchor: str = "start") -> None:
        """Write words beside a point."""
        a, b = self.at(x, y)
        self.marks.append(
            f'<text class="said" x="{a:.1f}" y="{b + 4:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
        )

    def svg(self) -> str:
        """Return the picture."""
        rows = -(-len(self.legend) // 2)
        whole = self.height + 18.0 * rows
        parts = [
            f'<svg viewBox="0 0 {_WIDTH:.0f} {whole:.0f}" role="img" aria-label="{escape(self.label, quote=True)}">',
            *self._grid(),
            *self.marks,
            *self._legend(),
        ]
        if self.synthetic:
            parts.append(f'<text class="synthetic" x="{_WIDTH - _RIGHT:.0f}" y="18" text-anchor="end">SYNTHETIC</text>')
        return "".join([*parts, "</svg>"])

    def _grid(self) -> Iterable[str]:
        bottom = self.height - _BOTTOM
        for place, label in self.x.ticks or nice_ticks(self.x):
            a, _ = self.at(place, self.y.low)
            yield f'<path class="grid" d="M{a:.1f} {_TOP:.0f}V{bottom:.1f}"/>'
            inside = min(a, _WIDTH - 0.5 * _LETTER * len(label))  # a label at the edge would be cut off
            at = f'x="{inside:.1f}" y="{bottom + 16:.1f}" text-anchor="middle"'
            yield f'<text class="tick" {at}>{escape(label)}</text>'
        for place, label in self.y.ticks or nice_ticks(self.y):
            _, b = self.at(self.x.low, place)
            yield f'<path class="grid" d="M{self.left:.1f} {b:.1f}H{_WIDTH - _RIGHT:.1f}"/>'
            yield f'<text class="tick" x="{self.left - 7:.1f}" y="{b + 4:.1f}" text-anchor="end">{escape(label)}</text>'
        across = f'x="{_WIDTH - _RIGHT:.0f}" y="{bottom + 36:.1f}" text-anchor="end"'
        yield f'<text class="axis" {across}>{escape(self.x.title)}</text>'
        yield f'<text class="axis" x="4" y="18">{escape(self.y.title)}</text>'

    def _legend(self) -> Iterable[str]:
        for place, (kind, shape, name) in enumerate(self.legend):
            a, b = self.left + (place % 2) * 0.5 * (_WIDTH - self.left), self.height + 8.0 + 18.0 * (place // 2)
            if shape == "line":
                yield f'<path class="line {kind}" d="M{a:.1f} {b:.1f}h18"/>'
            else:
                yield _mark(a + 9.0, b, kind, shape, 4.5)
            yield f'<text class="tick" x="{a + 25:.1f}" y="{b + 4:.1f}">{escape(name)}</text>'


def rows_plot(
    labels: Sequence[str], x: Axis, *, label: str, synthetic: bool, left: float = 150.0, row: float = 21.0
) -> Plot:
    """Return an empty plot of one labelled row per name: the first at the height 0, the next at -1, and so on."""
    names = [(float(-i), name) for i, name in enumerate(labels)]
    y = Axis(title="", low=-len(labels) + 0.5, high=0.5, ticks=names or [(0.0, "")])
    height = _TOP + _BOTTOM + 14.0 + row * max(len(labels), 2)
    return Plot(label=label, x=x, y=y, synthetic=synthetic, height=height, left=left)


def _mark(a: float, b: float, kind: str, shape: str, size: float) -> str:
    if shape == "circle":
        return f'<circle class="mark {kind}" cx="{a:.1f}" cy="{b:.1f}" r="{size:g}"/>'
    if shape == "square":
        corner = f'x="{a - size:.1f}" y="{b - size:.1f}"'
        return f'<rect class="mark {kind}" {corner} width="{2 * size:g}" height="{2 * size:g}"/>'
    if shape == "cross":
        long = 2.0 * size
        stroke = f"M{a - size:.1f} {b - size:.1f}l{long:g} {long:g}m0 {-long:g}l{-long:g} {long:g}"
        return f'<path class="line {kind}" d="{stroke}"/>'
    sign = -1.0 if shape == "up" else 1.0
    outline = f"M{a:.1f} {b + sign * size:.1f}l{size:g} {-sign * 1.8 * size:.1f}h{-2 * size:g}z"
    return f'<path class="mark {kind}" d="{outline}"/>'


def nice_ticks(axis: Axis, count: int = 5) -> list[tuple[float, str]]:
    """Return round numbers along an axis, with their labels.

    Examples
    --------
    >>> [label for _, label in nice_ticks(Axis(title="R", low=-1.1, high=1.2))]
    ['-1', '-0.5', '0', '0.5', '1']
    """
    if axis.log:
        powers = range(math.floor(math.log10(axis.low)), math.ceil(math.log10(axis.high)) + 1)
        found = [
            10.0**power for power in powers if axis.low <= 10.0**power * 1.0001 and 10.0**power <= axis.high * 1.0001
        ]
        return [(place, f"{place:,.0f}" if place >= 1.0 else f"{place:g}") for place in found]
    span = axis.high - axis.low
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw)) if raw > 0.0 else 1.0
    step = next(power * each for each in (1.0, 2.0, 2.5, 5.0, 10.0) if power * each >= raw * 0.999)
    first = math.ceil(axis.low / step - 1e-9)
    places = [step * i for i in range(first, math.floor(axis.high / step + 1e-9) + 1)]
    return [(place, f"{place:,.6g}" if abs(place) > 1e-12 * step else "0") for place in places]


def months(times: Sequence[float], most: int = 6) -> list[tuple[float, str]]:
    """Return the beginnings of months within some times (seconds since 1970), at most about so many."""
    first, last = (pd.Timestamp(each, unit="s", tz="UTC") for each in (min(times), max(times)))
    starts = pd.date_range(first.normalize().replace(day=1), last, freq="MS")
    starts = starts[starts >= first]
    if len(starts) < 2:
        days = pd.date_range(first, last, periods=4)
        return [(each.timestamp(), f"{each:%d %b %Y}") for each in days]
    kept = starts[:: -(-len(starts) // most)]
    return [(each.timestamp(), f"{each:%b %Y}") for each in kept]


def moments(times: Sequence[float], most: int = 5) -> list[tuple[float, str]]:
    """Return round times of the day within some times (seconds since 1970) of a few days; months of a longer span.

    Examples
    --------
    >>> [label for _, label in moments([1_713_430_000.0, 1_713_480_000.0])]
    ['18 Apr 09:00', '18 Apr 12:00', '18 Apr 15:00', '18 Apr 18:00', '18 Apr 21:00']
    """
    first, last = (pd.Timestamp(each, unit="s", tz="UTC") for each in (min(times), max(times)))
    for step in ("5min", "15min", "30min", "1h", "2h", "3h", "6h", "12h", "1D"):
        # The last label needs room before the edge.
        found = pd.date_range(first.ceil(step), last - 0.06 * (last - first), freq=step)
        if len(found) <= most:
            return [(each.timestamp(), f"{each:%d %b %H:%M}") for each in found]
    return months(times)
