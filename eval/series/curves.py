"""Curves of a series as SVG, without a script: a measure over steps or epochs, with errors where there are any."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH, _HEIGHT = 300, 168
_LEFT, _RIGHT, _TOP, _BOTTOM = 42, 10, 26, 26
_TICKS: Final = 5
_LABEL: Final = 62
"""Pixels that a label under the axis wants."""
_STEPS: Final = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, kw_only=True, slots=True)
class Curve:
    """A measure of each of N files, in their order."""

    title: str
    values: Sequence[float]
    """(N,); NaN is left out."""
    errors: Sequence[float] = ()
    """(N,) standard errors, drawn as bars; none for none."""


def svg_of(curve: Curve, places: Sequence[float], names: Sequence[str], best: int, past: int | None) -> str:
    """Return a chart of `curve`; empty where nothing was measured.

    `places` (N,) are where the files stand from left to right, `names` what they are called; `best` is marked, and
    what lies from `past` on is tinted.
    """
    errors = [each if math.isfinite(each) else 0.0 for each in curve.errors] or [0.0] * len(curve.values)
    told = [number for number, value in enumerate(curve.values) if math.isfinite(value)]
    if not told:
        return ""
    ends = [curve.values[i] + sign * errors[i] for i in told for sign in (-1, 1)]
    ticks = _ticks(min(ends), max(ends))
    low, high = min(ticks[0], *ends), max(ticks[-1], *ends)

    def x(number: int) -> float:
        first, span = places[0], places[-1] - places[0]
        share = (places[number] - first) / span if span else 0.5
        return _LEFT + 8 + share * (_WIDTH - _LEFT - _RIGHT - 16)

    def y(value: float) -> float:
        return _TOP + (high - value) / (high - low) * (_HEIGHT - _TOP - _BOTTOM)

    parts = [f'<text class="title" x="0" y="12">{escape(curve.title)}</text>']
    if past is not None:
        left = (x(past - 1) + x(past)) / 2 if past else _LEFT
        parts.append(_rect("past", left, _TOP, _WIDTH - _RIGHT - left, _HEIGHT - _TOP - _BOTTOM))
    lines = "".join(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>' for t in ticks)
    parts.append(f'<g class="grid">{lines}</g>')
    parts += [f'<text x="{_LEFT - 6}" y="{y(t) + 4:.1f}" text-anchor="end">{t:.4g}</text>' for t in ticks]
    parts += [
        f'<text x="{x(i):.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(names[i])}</text>'
        for i in _with_label([x(i) for i in range(len(names))])
    ]
    path = " ".join(f"{'M' if n == 0 else 'L'}{x(i):.1f} {y(curve.values[i]):.1f}" for n, i in enumerate(told))
    bars = "".join(
        f'<line class="error" x1="{x(i):.1f}" x2="{x(i):.1f}" y1="{y(curve.values[i] - errors[i]):.1f}" '
        f'y2="{y(curve.values[i] + errors[i]):.1f}"/>'
        for i in told
        if errors[i]
    )
    parts.append(f'<g class="line shade6">{bars}<path d="{path}"/></g>')
    parts += [
        f'<circle class="point {"winner" if i == best else "shade6"}" cx="{x(i):.1f}" cy="{y(curve.values[i]):.1f}" '
        f'r="{5 if i == best else 3.5}"><title>{escape(names[i])}: {curve.values[i]:.4g}</title></circle>'
        for i in told
    ]
    label = escape(f"{curve.title} by file")
    size = f'width="{_WIDTH}" height="{_HEIGHT}" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
    return f'<svg role="img" aria-label="{label}" {size}>{"".join(parts)}</svg>'


def places_of(orders: Sequence[float]) -> list[float]:
    """Where files stand: by their steps or epochs, the end a usual gap behind the last; evenly where none tells one."""
    known = [order for order in orders if math.isfinite(order)]
    if len(set(known)) < 2 or len(set(known)) < len(known):
        return [float(number) for number in range(len(orders))]
    gap = (known[-1] - known[0]) / (len(known) - 1)
    behind = iter(range(1, len(orders) + 1))
    return [order if math.isfinite(order) else known[-1] + gap * next(behind) for order in orders]


def _rect(kind: str, left: float, top: float, width: float, height: float) -> str:
    return f'<rect class="{kind}" x="{left:.1f}" y="{top}" width="{width:.1f}" height="{height}"/>'


def _with_label(places: Sequence[float]) -> list[int]:
    """Which files have room for their name under the axis."""
    chosen: list[int] = []
    for number, place in enumerate(places):
        if not chosen or place - places[chosen[-1]] >= _LABEL:
            chosen.append(number)
    return chosen


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers from at most `low` to at least `high`."""
    span = high - low or abs(high) or 1.0
    rough = span / (_TICKS - 1)
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * each for each in _STEPS if unit * each >= rough * 0.999)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [number * step for number in range(first, max(last, first + 1) + 1)]
