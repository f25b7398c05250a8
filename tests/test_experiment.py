"""What the experiment reports, on runs whose truth is known beforehand."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
import pytest

from load_tests.experiment import Experiment
from load_tests.shop import arms, file
from load_tests.shop.compare import FIGURES, at_stake_by_week, compare, curves, tiredness
from load_tests.shop.direct import Direct
from load_tests.shop.file import DAY_MS
from load_tests.shop.play import play_directly
from load_tests.shop.report import page
from load_tests.shop.runs import ONE_TASK, Kept, core_digest
from load_tests.shop.truth import Truth
from load_tests.shop.world import World
from streamer.settings import flags, load

if TYPE_CHECKING:
    from pathlib import Path

SHOPPERS, DAYS = 60, 4


def lived(seed: int, arm: str, *, click: float, extra: float, pushes: int = 2) -> Truth:
    """Every shopper is pushed to ``pushes`` times a day, and clicks with a known chance."""
    rng = np.random.default_rng(seed)
    truth = Truth("made", seed, arm, DAYS, ("persuadable",) * SHOPPERS)
    for shopper in range(SHOPPERS):
        for day in range(DAYS):
            clicks, anyway = rng.binomial(pushes, click), rng.binomial(1, 0.3)
            more = rng.binomial(1, extra)
            truth.add(shopper, day, pushes=pushes, clicks=clicks, anyway=anyway, conversions=anyway + more, regret=0.5)
    return truth


def runs() -> dict[str, list[Truth]]:
    return {
        "good": [lived(seed, "good", click=0.4, extra=0.10) for seed in range(5)],
        "poor": [lived(seed, "poor", click=0.2, extra=0.02) for seed in range(5)],
    }


def test_intervals_hold_what_is_true_and_tell_the_arms_apart():
    """Twice the clicks, five times the orders that there would not have been."""
    found = compare(runs(), rounds=500)
    good, against = found["arms"]["good"], found["against"]["poor"]
    assert good["click_rate"][1] < 0.4 < good["click_rate"][2]
    assert good["incremental"][1] < 0.10 * SHOPPERS < good["incremental"][2]
    assert against["click_rate"]["lift"][1] > 0.5
    assert against["click_rate"]["lift"][1] < 1.0 < against["click_rate"]["lift"][2]
    assert against["incremental"]["difference"][1] > 0
    assert against["pushes_a_day"]["lift"] == [0, 0, 0]
    assert good["regret"] == [0.5, 0.5, 0.5]


def test_an_arm_against_itself_is_no_better():
    """The same truths: no difference at all, however they are drawn."""
    same = runs()["good"]
    against = compare({"one": same, "other": same}, rounds=200)["against"]["other"]
    assert all(both["difference"][0] == 0 for name, both in against.items() if both["difference"][0] is not None)
    assert against["click_rate"]["lift"] == [0, 0, 0]


def test_of_what_never_happened_no_multiple_is_told():
    """Nobody opts out in either arm; and none of the poor arm's orders is extra."""
    never = [lived(seed, "never", click=0.2, extra=0.0) for seed in range(3)]
    against = compare({"good": runs()["good"][:3], "never": never}, rounds=100)["against"]["never"]
    assert against["opt_outs"]["lift"][0] is None
    assert against["incremental"]["lift"][0] is None
    assert against["incremental"]["difference"][1] > 0


def test_what_was_at_stake_is_told_week_by_week_from_the_first_push_of_either_arm():
    """A learner asks less of shoppers in the second week; the weeks of each seed are its own."""

    def pushed(seed: int, *days: int, leave: float) -> Truth:
        truth = Truth("made", seed, "any", 10, ("persuadable",))
        times = [seed * 1000 * DAY_MS + day * DAY_MS for day in days]
        truth.pushes = [
            {"time_ms": at, "sells": 0.02, "loses": 0.0, "leave": leave / (1 + n)} for n, at in enumerate(times)
        ]
        return truth

    found = at_stake_by_week(
        {
            "learns": [pushed(1, 0, 7, leave=0.01), pushed(2, 3, 12, leave=0.02)],
            "begins_later": [pushed(1, 6, 8, leave=0.01), pushed(2, 4, leave=0.01)],
        }
    )
    assert [week["pushes"] for week in found["learns"]] == [2, 2]
    assert [week["leave"] for week in found["learns"]] == [15.0, 7.5]
    assert [week["pushes"] for week in found["begins_later"]] == [2, 1]
    assert found["begins_later"][0]["sells"] == 20.0


def test_tiredness_is_told_by_what_is_left_of_each_shopper_s_earlier_pushes():
    """Two days halve it in this shop: the second push of one shopper finds half of the first; nobody else is tired."""
    push = file.read("fashion").push
    assert push.fatigue_half_life_days == 2.0
    truth = Truth("made", 1, "any", 10, ("persuadable", "persuadable"))
    factor = math.exp(push.fatigue_annoyance / 2)
    pushes = [(0, 0, 0.01), (1, 0, 0.01), (0, 2 * DAY_MS, 0.01 * factor)]
    truth.pushes = [{"shopper": who, "time_ms": at, "leave": leave} for who, at, leave in pushes]
    assert tiredness([truth], push) == pytest.approx((2 + factor) / 3, abs=1e-3)
    assert tiredness([truth, truth], push) == tiredness([truth], push)
    assert tiredness([Truth("made", 1, "silent", 10, ("persuadable",))], push) == 1.0


def test_a_week_without_a_push_has_nothing_at_stake():
    """Not even an error."""
    found = at_stake_by_week({"silent": [Truth("made", 1, "silent", 10, ("persuadable",))]})
    assert found["silent"] == [{"pushes": 0, "sells": 0.0, "loses": 0.0, "leave": 0.0}] * 2


def test_the_page_has_a_curve_and_an_interval_of_each_arm_and_fetches_nothing():
    """Self-contained."""
    made = runs()
    found = compare(made, rounds=50) | {"curves": curves(made)}
    text = page({"volume": "equal", "arms": {"good": "a good one", "poor": "a poor one"}, "shops": {"made": found}})
    assert text.count("<svg") == len(found["curves"]) + len(FIGURES)
    assert "http" not in text
    assert "<script" not in text
    assert found["curves"]["clicks"]["good"][-1] == pytest.approx(np.mean([t.total("clicks") for t in made["good"]]))


@pytest.mark.parametrize("begin", [0.0, 0.05, 0.7])
@pytest.mark.parametrize(("volume", "least", "most"), [(300.0, 0.2, 0.35), (1000.0, 0.0, 0.01), (5000.0, 0.0, 0.01)])
async def test_the_volume_is_matched_by_a_least_score(volume: float, least: float, most: float, begin: float):
    """Pushes fall from 1,000 at 0 to none at 1; what nothing can reach is left at the lowest score, or near it."""
    asked: list[float] = []

    async def pushes(score: float) -> float:
        asked.append(score)
        return float(1000 * (1 - score**0.5) ** 1.6)

    score, seen = await arms.matched(volume, pushes, tries=6, begin=begin)
    assert least <= score <= most
    assert asked[0] == begin
    assert len(asked) <= 6
    assert seen == await pushes(score)
    assert abs(seen - volume) <= 0.05 * volume or volume == 5000.0


def test_the_shipped_arms_are_three_and_the_first_sets_the_volume():
    """The whole policy against a threshold and a broadcast."""
    shipped = arms.read()
    assert list(shipped.arms) == ["whole", "threshold", "popular"]
    assert shipped.arms["threshold"].volume_by
    assert shipped.arms["popular"].broadcast


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[arms.a]\nsays = "alone"\n', "fewer than two"),
        ('[arms.a]\nsays = "a"\nbroadcast = true\n[arms.b]\nsays = "b"\n', "sets the volume"),
        ('[arms.a]\nsays = "a"\n[arms.b]\nsay = "b"\n', "say"),
    ],
)
def test_arms_that_cannot_be_compared_are_refused(tmp_path: Path, text: str, says: str):
    """With the reason."""
    (tmp_path / "arms.toml").write_text(text)
    with pytest.raises(ValueError, match=says):
        arms.read(tmp_path / "arms.toml")


class Way:
    """Makes truths, and counts how many."""

    name = "counted"

    def __init__(self) -> None:
        self.made: list[str] = []

    async def run(self, shop: object, seed: int, arms: dict[str, tuple[str, ...]]) -> dict[str, Truth]:
        self.made += arms
        return {arm: lived(seed, arm, click=0.3, extra=0.1) for arm in arms}


class ByScore:
    """A seed's first arm pushes so often, and another the less, the higher its least score is."""

    name = "by-score"
    first: Final = {1: 9, 2: 4, 3: 6}

    def __init__(self) -> None:
        self.asked: dict[int, list[float]] = {}

    async def run(self, shop: object, seed: int, arms: dict[str, tuple[str, ...]]) -> dict[str, Truth]:
        found = {}
        for arm, given in arms.items():
            scores = [float(one.removeprefix("least=")) for one in given if one.startswith("least=")]
            pushes = round(10 * (1 - scores[0])) if scores else self.first[seed]
            self.asked.setdefault(seed, []).extend(scores)
            found[arm] = lived(seed, arm, click=0.3, extra=0.1, pushes=pushes)
        return found


async def test_each_world_has_its_own_least_score_at_which_an_arm_pushes_as_often_as_the_first(tmp_path: Path):
    """However often the first one does there; the search begins where it ended in the world before."""
    way = ByScore()
    made = arms.Arms({"first": arms.Arm("sets"), "other": arms.Arm("follows", volume_by="least")})
    runs, volumes = await Experiment(file.read("fashion"), made, Kept(way, file.read("fashion"), tmp_path)).run(
        [1, 2, 3], tries=6
    )
    pushes = {arm: [truth.total("pushes") for truth in truths] for arm, truths in runs.items()}
    assert pushes["other"] == pushes["first"] == [SHOPPERS * DAYS * often for often in ByScore.first.values()]
    assert [told["pushes"] for told in volumes["other"]] == pushes["other"]
    assert [told["seed"] for told in volumes["other"]] == [1, 2, 3]
    asked = list(way.asked.values())
    assert [scores[0] for scores in asked[1:]] == [told["score"] for told in volumes["other"][:2]]


async def test_what_was_run_is_kept_and_not_run_again_unless_it_would_differ(tmp_path: Path):
    """An experiment that was stopped goes on: by shop, seed, arm, settings and way."""
    shop, given = file.read("fashion"), {"one": ("core.seed=1",), "other": ()}
    way = Way()
    first = await Kept(way, shop, tmp_path).run(1, given)
    assert way.made == ["one", "other"]
    again = Kept(way, shop, tmp_path)
    assert await again.run(1, given) == first
    assert (again.found, len(way.made)) == (2, 2)
    assert first["one"].days == lived(1, "one", click=0.3, extra=0.1).days
    assert first["one"].made_by == core_digest()
    await again.run(1, given | {"one": ("core.seed=2",)})
    await again.run(2, given)
    await Kept(way, msgspec.structs.replace(shop, days=4), tmp_path).run(1, given)
    assert way.made[2:] == ["one", "one", "other", "one", "other"]


def test_a_run_in_this_process_pushes_and_learns_and_is_the_same_each_time():
    """A small shop for two days: shoppers answer, and what they answer is learned from."""
    shop = msgspec.structs.replace(file.read("fashion"), days=2, shoppers=40)

    def run() -> tuple[Truth, dict[str, str]]:
        engine = Direct(load(None, {}, ONE_TASK | flags(["core.policy.holdout_share=0.2"])))
        return play_directly(World(shop, 3), engine), engine.learners.digests()

    truth, learned = run()
    assert truth.total("pushes") > 10
    assert learned["uplift"] != Direct(load(None, {}, ONE_TASK)).learners.digests()["uplift"]
    again, learned_again = run()
    assert again.pushes == truth.pushes
    assert learned_again == learned
