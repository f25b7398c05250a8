"""Plots as SVG text: lines, bars and dots with intervals, which is all that a report needs.

Colours are classes that the page's style sheet fills in; every mark has a ``<title>``, which browsers show as a tip.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from math import floor, log10
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

WIDTH: Final = 720
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 150, 12, 42
_ROW: Final = 24
_LABEL: Final = 150


@dataclass(frozen=True, slots=True)
class Line:
    """A curve: points (x, y) by rising x. ``css``: its class, s0 … s7 or ``faint``."""

    name: str
    points: Sequence[tuple[float, float]]
    css: str
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """A row: its value, what is written beside it, and an interval if there is one."""

    name: str
    value: float
    says: str
    css: str = "s0"
    interval: tuple[float, float] | None = field(default=None)


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round numbers within [low, high]."""
    span = high - low
    if span <= 0:
        return [low]
    step = 10.0 ** floor(log10(span / count))
    step *= next(times for times in (1, 2, 5, 10) if span / (step * times) <= count + 0.5)
    first = -(-low // step) * step
    return [round(first + n * step, 10) for n in range(int((high - first) / step + 1e-9) + 1)]


def lines(
    curves: Iterable[Line], *, x_says: str, y_says: str, height: int = 300, log: bool = False, low: float | None = None
) -> str:
    """Curves over common axes, each named at its end. ``log``: both axes are; points not above 0 are then left out."""
    drawn = [(c, [p for p in c.points if not log or (p[0] > 0 and p[1] > 0)]) for c in curves]
    drawn = [(c, points) for c, points in drawn if points]
    if not drawn:
        return _empty()
    scale: Callable[[float], float] = log10 if log else float
    xs = [scale(x) for _, points in drawn for x, _ in points]
    ys = [scale(y) for _, points in drawn for _, y in points]
    x_low, x_high = min(xs), max(xs)
    y_low, y_high = min(ys) if low is None else low, max(ys)
    y_high += 0.05 * (y_high - y_low) or 1e-9
    x_high += (x_high == x_low) * 1.0
    inner, tall = WIDTH - _LEFT - _RIGHT, height - _TOP - _BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        across, up = (scale(x) - x_low) / (x_high - x_low), (scale(y) - y_low) / (y_high - y_low)
        return _LEFT + inner * across, _TOP + tall * (1 - up)

    out = []
    marks = _powers if log else ticks
    for value in marks(y_low, y_high):
        _, y = at(10.0**x_low if log else x_low, 10.0**value if log else value)
        out.append(f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + inner}" y1="{y:.1f}" y2="{y:.1f}"/>')
        out.append(f'<text class="tick" x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_number(value, log)}</text>')
    for value in marks(x_low, x_high):
        x, _ = at(10.0**value if log else value, 10.0**y_low if log else y_low)
        out.append(
            f'<text class="tick" x="{x:.1f}" y="{height - _BOTTOM + 16}" text-anchor="middle">'
            f"{_number(value, log)}</text>"
        )
    taken: list[float] = []
    for curve, points in sorted(drawn, key=lambda pair: at(*pair[1][-1])[1]):
        places = [at(*point) for point in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        out.append(f'<polyline class="line {curve.css}" points="{path}"><title>{escape(curve.name)}</title></polyline>')
        if curve.dots:
            out += [
                f'<circle class="dot {curve.css}" cx="{x:.1f}" cy="{y:.1f}" r="3.5">'
                f"<title>{px:.4g}, {py:.4g}</title></circle>"
                for (x, y), (px, py) in zip(places, points, strict=True)
            ]
        x, y = places[-1]
        y = max(y, taken[-1] + 14) if taken else y
        taken.append(y)
        out.append(f'<text class="name {curve.css}" x="{x + 8:.1f}" y="{y + 4:.1f}">{escape(curve.name)}</text>')
    out.append(
        f'<text class="says" x="{_LEFT + inner / 2}" y="{height - 6}" text-anchor="middle">{escape(x_says)}</text>'
    )
    out.append(f'<text class="says" x="14" y="{_TOP + tall / 2}" transform="rotate(-90 14 {_TOP + tall / 2})" '
               f'text-anchor="middle">{escape(y_says)}</text>')  # fmt: skip
    return _svg(height, out, f"{y_says} over {x_says}")


def bars(rows: Sequence[Bar], *, says: str) -> str:
    """Rows of bars from 0 to either side, or dots with whiskers where there are intervals."""
    if not rows:
        return _empty()
    values = [v for row in rows for v in (row.value, *(row.interval or ()), 0.0)]
    low, high = min(values), max(values)
    high += (high == low) * 1.0
    inner = WIDTH - _LABEL - 150
    height = _ROW * len(rows) + 30

    def at(value: float) -> float:
        place: float = _LABEL + inner * (value - low) / (high - low)
        return place

    out = [
        f'<line class="grid" x1="{at(t):.1f}" x2="{at(t):.1f}" y1="4" y2="{height - 26}"/>'
        f'<text class="tick" x="{at(t):.1f}" y="{height - 12}" text-anchor="middle">{_number(t, log=False)}</text>'
        for t in ticks(low, high)
    ]
    for n, row in enumerate(rows):
        y = _ROW * n + 4
        tip = f"<title>{escape(row.name)}: {escape(row.says)}</title>"
        out.append(f'<text class="row" x="{_LABEL - 8}" y="{y + 15}" text-anchor="end">{escape(row.name)}</text>')
        end = max(row.value, 0.0)
        if row.interval is None:
            left, right = sorted((at(0.0), at(row.value)))
            wide = max(right - left, 1.0)
            out.append(
                f'<rect class="bar {row.css}" x="{left:.1f}" y="{y + 4}" width="{wide:.1f}" height="15">{tip}</rect>'
            )
        else:
            one, two = row.interval
            end = max(two, end)
            out.append(
                f'<line class="whisker {row.css}" x1="{at(one):.1f}" x2="{at(two):.1f}" y1="{y + 11}" y2="{y + 11}"/>'
            )
            out.append(f'<circle class="dot {row.css}" cx="{at(row.value):.1f}" cy="{y + 11}" r="4.5">{tip}</circle>')
        out.append(f'<text class="value" x="{at(end) + 8:.1f}" y="{y + 15}">{escape(row.says)}</text>')
    return _svg(height, out, says)


def table(header: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    """The figures themselves, as an HTML table."""
    head = "".join(f"<th>{escape(name)}</th>" for name in ("", *header))
    body = "".join(
        f"<tr><th>{escape(name)}</th>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
        for name, cells in rows.items()
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _svg(height: int, parts: Iterable[str], says: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(says, quote=True)}">'
        + "".join(parts)
        + "</svg>"
    )


def _empty() -> str:
    return "<p>Nothing to show.</p>"


def _powers(low: float, high: float) -> list[float]:
    return [float(power) for power in range(-(-int(low * 100) // 100), int(high) + 1) if low <= power <= high] or [low]


def _number(value: float, log: bool) -> str:  # noqa: FBT001 - a private helper's switch
    if log:
        return f"{10.0**value:g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:g}"
