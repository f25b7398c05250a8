"""What the arms came to, with 95 % intervals: seeds drawn anew, and within each its shoppers, the same for all arms.

Arms live in the same world with the same draws, so what they differ by is resampled as differences: a seed in which
everybody buys much does not widen the interval of what pushes add.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from load_tests.shop.file import DAY_MS
from load_tests.shop.minds import faded
from load_tests.shop.truth import COUNTED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from load_tests.shop.file import Push
    from load_tests.shop.truth import Truth

    Floats = NDArray[np.float64]

ROUNDS: Final = 2000
LEVEL: Final = (2.5, 97.5)
_WEEK_MS: Final = 7 * DAY_MS

FIGURES: Final = {
    "pushes_a_day": "pushes a day",
    "click_rate": "clicks a push",
    "conversion_rate": "conversions a push (of those clicked)",
    "incremental": "orders that there would not have been, a day",
    "incremental_rate": "orders that there would not have been, a thousand pushes",
    "incremental_value": "margin that there would not have been, a day",
    "opt_outs": "opt-outs a day",
    "opt_out_rate": "opt-outs a thousand pushes",
    "dismissal_rate": "dismissals a push",
    "regret": "expected money below the best push or silence, a shopper and day",
}


def figures(sums: Floats, shopper_days: Floats, days: float) -> dict[str, Floats]:
    """Of sums [..., columns] of all that ``COUNTED`` names; ``days`` and ``shopper_days`` [...] they are of."""
    of = {name: sums[..., n] for n, name in enumerate(COUNTED)}
    extra, pushes = of["conversions"] - of["anyway"], of["pushes"]
    return {
        "pushes_a_day": pushes / days,
        "click_rate": _over(of["clicks"], pushes),
        "conversion_rate": _over(of["attributed"], pushes),
        "incremental": extra / days,
        "incremental_rate": 1000 * _over(extra, pushes),
        "incremental_value": (of["value"] - of["value_anyway"]) / days,
        "opt_outs": of["opt_outs"] / days,
        "opt_out_rate": 1000 * _over(of["opt_outs"], pushes),
        "dismissal_rate": _over(of["dismissals"], pushes),
        "regret": of["regret"] / shopper_days,
    }


def compare(runs: Mapping[str, Sequence[Truth]], *, rounds: int = ROUNDS) -> dict[str, Any]:
    """By arm its figures [value, low, high], and of the first arm against each other one the ``lift`` (its figure over
    the other's, less 1) and the ``difference``. ``runs``: by arm, a truth a seed, the seeds in the same order.
    """
    names = list(runs)
    tables = {arm: np.stack([_table(truth) for truth in truths]) for arm, truths in runs.items()}
    seeds, shoppers, _ = tables[names[0]].shape
    days = runs[names[0]][0].days_run
    rng = np.random.default_rng(1)
    drawn: dict[str, list[Floats]] = {arm: [] for arm in names}
    for _ in range(rounds):
        weights = np.zeros((seeds, shoppers))
        for seed in np.asarray(rng.integers(seeds, size=seeds)).tolist():
            weights[seed] += rng.multinomial(shoppers, np.full(shoppers, 1 / shoppers))
        for arm in names:
            drawn[arm].append(np.einsum("sm,smc->c", weights, tables[arm]))
    whole = float(seeds * days)
    shopper_days = np.asarray(whole * shoppers)
    real = {arm: figures(tables[arm].sum(axis=(0, 1)), shopper_days, whole) for arm in names}
    again = {arm: figures(np.stack(drawn[arm]), shopper_days, whole) for arm in names}
    found: dict[str, Any] = {"seeds": seeds, "shoppers": shoppers, "days": days, "arms": {}, "against": {}}
    found["at_stake"] = {arm: at_stake(truths) for arm, truths in runs.items()}
    found["at_stake_by_week"] = at_stake_by_week(runs)
    for arm in names:
        found["arms"][arm] = {name: _interval(real[arm][name], again[arm][name]) for name in FIGURES}
    first = names[0]
    for arm in names[1:]:
        found["against"][arm] = {
            name: _against((real[first][name], again[first][name]), (real[arm][name], again[arm][name]))
            for name in FIGURES
        }
    return found


def at_stake(truths: Sequence[Truth]) -> dict[str, float]:
    """Of a thousand pushes, the chances that they sell what would not be bought, lose an order, and are answered by an
    opt-out, in the mean: what is drawn is these and much noise.
    """
    return _chances([push for truth in truths for push in truth.pushes])


def tiredness(truths: Sequence[Truth], push: Push) -> float:
    """So many times as frequent are opt-outs, by their chances, as if these pushes had found nobody tired of others."""
    leave = fresh = 0.0
    for truth in truths:
        tired: dict[int, tuple[float, int]] = {}
        for told in truth.pushes:
            before, then_ms = tired.get(told["shopper"], (0.0, told["time_ms"]))
            left = faded(before, told["time_ms"] - then_ms, push)
            tired[told["shopper"]] = left + 1.0, max(then_ms, told["time_ms"])
            leave += told["leave"]
            fresh += told["leave"] * float(np.exp(-push.fatigue_annoyance * left))
    return round(leave / fresh, 3) if fresh else 1.0


def at_stake_by_week(runs: Mapping[str, Sequence[Truth]]) -> dict[str, list[dict[str, float]]]:
    """By arm and week the same, and how many ``pushes`` it is of: what was learned shows from one week to the next.

    Weeks of a seed begin with its first push, whichever arm sent it.
    """
    begins = [
        min((push["time_ms"] for truth in truths for push in truth.pushes), default=0)
        for truths in zip(*runs.values(), strict=True)
    ]
    weeks = -(-next(iter(runs.values()))[0].days_run // 7)
    found: dict[str, list[dict[str, float]]] = {}
    for arm, truths in runs.items():
        pushes: list[list[dict[str, Any]]] = [[] for _ in range(weeks)]
        for truth, begin in zip(truths, begins, strict=True):
            for push in truth.pushes:
                pushes[min((push["time_ms"] - begin) // _WEEK_MS, weeks - 1)].append(push)
        found[arm] = [{"pushes": len(week), **_chances(week)} for week in pushes]
    return found


def _chances(pushes: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    names = ("sells", "loses", "leave")
    return {name: round(1000 * sum(push[name] for push in pushes) / max(len(pushes), 1), 2) for name in names}


def curves(runs: Mapping[str, Sequence[Truth]]) -> dict[str, dict[str, list[float]]]:
    """By figure and arm, day by day, the mean over the seeds; what is counted is summed up to each day."""
    found: dict[str, dict[str, list[float]]] = {}
    for says, names, summed in (
        ("pushes a day", ("pushes",), False),
        ("clicks", ("clicks",), True),
        ("conversions of those clicked", ("attributed",), True),
        ("orders that there would not have been", ("conversions", "anyway"), True),
        ("opt-outs", ("opt_outs",), True),
        ("regret", ("regret",), True),
    ):
        found[says] = {}
        for arm, truths in runs.items():
            days = np.zeros(truths[0].days_run)
            for truth in truths:
                days += np.array(truth.by_day(names[0]))
                for less in names[1:]:
                    days -= np.array(truth.by_day(less))
            days /= len(truths)
            found[says][arm] = [round(float(v), 4) for v in (np.cumsum(days) if summed else days)]
    return found


def _against(one: tuple[Floats, Floats], other: tuple[Floats, Floats]) -> dict[str, list[float | None]]:
    """Of a figure and its redraws, in two arms."""
    return {
        "lift": _interval(_lift(one[0], other[0]), _lift(one[1], other[1])),
        "difference": _interval(one[0] - other[0], one[1] - other[1]),
    }


def _table(truth: Truth) -> Floats:
    return np.array([truth.by_shopper(name) for name in COUNTED]).T


def _over(a: Any, b: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.asarray(b) == 0, np.nan, np.asarray(a) / np.asarray(b))


def _lift(a: Floats, b: Floats) -> Any:
    # Of a figure that is not above 0 nothing is a multiple.
    return np.where(b > 0, _over(a, b) - 1, np.inf)


def _interval(value: Any, again: Floats) -> list[float | None]:
    ends = [float(value), *(float(np.nanpercentile(again, level, method="nearest")) for level in LEVEL)]
    return [round(end, 6) if np.isfinite(end) else None for end in ends]
