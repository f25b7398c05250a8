"""The experiment's report as one page: curves and intervals, no script, nothing to fetch."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from load_tests.shop.compare import FIGURES
from streamer.evaluation.page import document
from streamer.evaluation.svg import Bar, Line, bars, lines, table

if TYPE_CHECKING:
    from collections.abc import Mapping


def page(report: Mapping[str, Any]) -> str:
    """Of what ``experiment`` found."""
    parts = [f"<h1>Policies in simulated shops</h1><p>{escape(report['volume'])}</p>"]
    for shop, found in report["shops"].items():
        parts += _shop(shop, found, report["arms"])
    return document("Policies in simulated shops", parts)


def _shop(shop: str, found: Mapping[str, Any], says: Mapping[str, str]) -> list[str]:
    colours = {arm: f"s{n}" for n, arm in enumerate(found["arms"])}
    parts = [
        (
            f"<h2>{escape(shop)}</h2><p>{found['seeds']} seeds, {found['shoppers']} shoppers, {found['days']} days; "
            f"means over the seeds, 95 % intervals over seeds and shoppers. "
            f"{escape('; '.join(f'{arm}: {text}' for arm, text in says.items()))}.</p>"
        )
    ]
    for title, by_arm in found["curves"].items():
        drawn = [
            Line(arm, [(day + 1.0, value) for day, value in enumerate(values)], colours[arm])
            for arm, values in by_arm.items()
        ]
        parts += [f"<h3>{escape(title)}</h3>", lines(drawn, x_says="day", y_says=title, height=240)]
    for name, title in FIGURES.items():
        rows = [
            Bar(arm, row[name][0] or 0.0, _told(row[name]), colours[arm], _ends(row[name]))
            for arm, row in found["arms"].items()
        ]
        parts += [f"<h3>{escape(title)}</h3>", bars(rows, says=title)]
    parts += ["<h3>What a thousand pushes had at stake, week by week</h3>", _by_week(found["at_stake_by_week"])]
    header = [f"against {arm}" for arm in found["against"]]
    cells = {title: [_lift(against[name]) for against in found["against"].values()] for name, title in FIGURES.items()}
    return [*parts, f"<h3>{escape(next(iter(found['arms'])))} against the others</h3>", table(header, cells)]


def _by_week(weeks: Mapping[str, list[Mapping[str, float]]]) -> str:
    """Chances: to sell what would not have been bought, to lose an order, and of an opt-out."""
    header = [f"week {n + 1}" for n in range(len(next(iter(weeks.values()))))]
    cells = {
        f"{arm}: sold, lost, opted out": [f"{w['sells']:.1f}, {w['loses']:.1f}, {w['leave']:.1f}" for w in told]
        for arm, told in weeks.items()
    }
    return table(header, cells)


def _ends(interval: list[float | None]) -> tuple[float, float] | None:
    _, low, high = interval
    return None if low is None or high is None else (low, high)


def _told(interval: list[float | None]) -> str:
    return "-" if interval[0] is None else f"{interval[0]:.4g}"


def _lift(against: Mapping[str, list[float | None]]) -> str:
    """The lift in per cent with its interval; the difference where there is no lift to speak of."""
    lift, difference = against["lift"], against["difference"]
    if None not in lift:
        value, low, high = (100 * (end or 0.0) for end in lift)
        return f"{value:+.0f} % [{low:+.0f}, {high:+.0f}]"
    value, low, high = ((end or 0.0) for end in difference)
    return f"{value:+.3g} [{low:+.3g}, {high:+.3g}]"
