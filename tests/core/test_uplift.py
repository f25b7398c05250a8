"""What a push changes is learned from responses: whom to push, whom not, and what before anything was learned."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from random import Random
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from streamer.core.models.example import Example
from streamer.core.policy.state import Standing
from streamer.core.predictions.example import Outcome
from streamer.core.uplift.features import FEATURES, FEATURES_ID, NAMES, describe
from streamer.core.uplift.model import (
    CLICK,
    CONVERSION,
    OPT_OUT,
    SHAPES,
    UPLIFT,
    Forecast,
    ServedUplift,
    forecast,
    unpacked,
)
from streamer.core.uplift.response import Response
from streamer.core.uplift.trainer import LEARNER, UpliftTrainer
from streamer.core.uplift.worth import worth
from streamer.core.uplift_settings import UpliftSettings
from streamer.core.vectors.step import Step
from tests.core.persuasion import KINDS, NOW, moment, respond, responses, shoppers

if TYPE_CHECKING:
    from collections.abc import Iterable

SETTINGS = UpliftSettings(effect_variance=0.05)
"""Thousands of responses are learned from here, and clicks carry nothing: groups alone tell what a push changes."""
SEEDS = (1, 2, 3)
ENOUGH = 6000


def taught(examples: Iterable[Response], settings: UpliftSettings = SETTINGS) -> UpliftTrainer:
    trainer = UpliftTrainer(settings)
    for example in examples:
        trainer.learn_one(example)
    return trainer


@cache
def taught_by(seed: int) -> UpliftTrainer:
    return taught(responses(seed, ENOUGH, held_back=0.25))


def served(trainer: UpliftTrainer) -> ServedUplift:
    """What a worker serves that has the trainer's blocks."""
    model = ServedUplift()
    for key, block in UpliftTrainer.blocks(trainer).items():
        assert model.apply(key, block)
    for name, learner in trainer._models.items():
        assert model.apply(UPLIFT + name, learner.block())
    return model


def worths(trainer: UpliftTrainer, seed: int, settings: UpliftSettings = SETTINGS) -> dict[str, list[float]]:
    """What pushes to shoppers it has not met are worth, by what these are."""
    model = served(trainer)
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for kind, at in shoppers(seed + 50, 800):
        found[kind].append(worth(model.forecast(describe(at)), at.cents, settings))
    return found


# --- what is learned


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_six_thousand_responses_tell_persuadables_from_sure_things_lost_causes_and_sleeping_dogs(seed: int) -> None:
    """A quarter was held back; nothing a shopper shows tells the kind for sure."""
    mean = {kind: sum(found) / len(found) for kind, found in worths(taught_by(seed), seed).items()}
    assert mean["persuadable"] > mean["sure thing"] > mean["sleeping dog"]
    assert mean["persuadable"] > mean["lost cause"] > mean["sleeping dog"]
    assert mean["persuadable"] > 0.15
    assert mean["sleeping dog"] < 0 < mean["persuadable"] - mean["sleeping dog"] - 0.4


@pytest.mark.parametrize("seed", SEEDS)
def test_the_best_third_by_worth_gain_more_than_the_best_third_by_their_chance_to_buy(seed: int) -> None:
    """Who buys most is mostly who would have bought anyway."""
    model = served(taught_by(seed))
    told = [(KINDS[kind], model.forecast(describe(at)), at) for kind, at in shoppers(seed + 50, 1200)]

    def gained(rank: list[float]) -> float:
        best = sorted(range(len(told)), key=rank.__getitem__, reverse=True)[:400]
        return sum(told[n][0].pushed - told[n][0].anyway for n in best)

    by_worth = gained([worth(expected, at.cents, SETTINGS) for _, expected, at in told])
    assert by_worth > 1.2 * gained([expected.pushed for _, expected, _ in told])
    assert by_worth > 1.5 * sum(kind.pushed - kind.anyway for kind, _, _ in told) / 3


@pytest.mark.slow
def test_the_figures_say_that_it_is_of_use() -> None:
    """Prequentially: of models that had not seen the response."""
    figures = taught(responses(9, 3 * ENOUGH, held_back=0.3)).metrics()
    lift = figures["lift"]
    assert lift["qini"] > 0.002
    assert lift["uplift_top"] > lift["uplift"] + 0.01
    assert lift["uplift_error"] < 0.02
    for group in ("pushed", "held_back"):
        assert figures[group]["auc"] > 0.7
        assert figures[group]["calibration_error"] < 0.04
    assert figures["opt_out"]["auc"] > 0.7


def test_what_the_models_look_at_is_told_of_what_happens_anyway_and_of_what_a_push_changes() -> None:
    """And a trainer that is restored tells the same."""
    learned = taught(responses(9, 200, held_back=0.3))
    weighs = learned.importance()
    assert {name.startswith("conversion.push.") for name in weighs["conversion"]} == {True, False}
    assert max(weighs["conversion"].values()) > 0.0
    again = UpliftTrainer(SETTINGS)
    assert not again.restore(learned.rows())
    assert again.importance() == weighs


@pytest.mark.slow
def test_an_opt_out_that_costs_enough_makes_it_silent_to_those_who_would() -> None:
    """Both groups buy more if pushed; one of them leaves."""
    stays = replace(KINDS["persuadable"], opt_out=0.001, dismissals=0.1)
    leaves = replace(KINDS["persuadable"], opt_out=0.15, dismissals=4.0)
    random = Random(5)

    def happened() -> Iterable[Response]:
        for n in range(3000):
            kind = stays if n % 2 else leaves
            yield respond(random, kind, describe(moment(random, kind)))

    model = served(taught(happened()))

    def mean(kind: object, cost: float) -> float:
        settings = UpliftSettings(opt_out_cost=cost)
        met = Random(6)
        found = [moment(met, kind) for _ in range(200)]  # type: ignore[arg-type]
        return sum(worth(model.forecast(describe(at)), at.cents, settings) for at in found) / len(found)

    assert mean(leaves, 0.0) > 0
    assert mean(stays, 20.0) > 0
    assert mean(leaves, 20.0) < 0


def test_a_few_opt_outs_at_first_are_taken_for_chance_and_many_are_believed() -> None:
    """Three of the first hundred are hardly news: who took them at their word would fall silent for weeks."""
    kind = replace(KINDS["persuadable"], opt_out=0.0)

    def told(pushes: int) -> float:
        """What is foretold on average after so many pushes, of which three in a hundred were answered so."""
        random, trainer = Random(5), UpliftTrainer(SETTINGS)
        for n in range(pushes):
            one = respond(random, kind, describe(moment(random, kind)), held_back=0.0)
            trainer.learn_one(msgspec.structs.replace(one, opted_out=n % 33 == 16))
        model = served(trainer)
        met = [model.forecast(describe(moment(random, kind))).opt_out for _ in range(200)]
        return sum(met) / len(met)

    assert told(0) < told(100) < 0.02
    assert 0.02 < told(1000) < 0.04


def test_what_is_bought_anyway_is_no_reason_to_push() -> None:
    """Worth hangs on the difference alone."""
    sure, persuaded = Forecast(0.5, 0.5, 0.3, 0.0), Forecast(0.06, 0.01, 0.05, 0.0)
    assert worth(sure, 1000, SETTINGS) == 0.0
    assert worth(persuaded, 1000, SETTINGS) == pytest.approx(0.5)


def test_worth_is_value_less_opt_outs_less_cost_less_fatigue() -> None:
    """In the currency of the prices, as worked out by hand."""
    settings = UpliftSettings(conversion_value=2.0, margin=0.25, opt_out_cost=30.0, push_cost=0.05)
    expected = Forecast(0.3, 0.1, 0.2, 0.01)
    assert worth(expected, 4000, settings, fatigue=0.5) == pytest.approx(0.2 * (2 + 10) - 0.01 * 30 - 0.05 - 0.5)


# --- before anything was learned


def test_untaught_a_push_is_worth_more_than_nothing_and_the_more_the_higher_the_score() -> None:
    """To whom nothing was pushed so far: what the score decides today it decides still."""
    model = ServedUplift()
    for seed in range(20):
        random = Random(seed)
        for kind in KINDS.values():
            at = replace(moment(random, kind), standing=Standing(), sent=())
            told = [
                worth(model.forecast(describe(replace(at, score=score))), at.cents, SETTINGS)
                for score in (1e-4, 0.001, 0.02, 0.1, 0.3, 0.5)
            ]
            assert told[0] > 0
            assert told == sorted(told)


def test_untaught_a_push_to_who_dismissed_is_worth_less_and_to_who_clicked_more() -> None:
    """What a shopper did with pushes counts from its own offset on, before any model has heard of it."""
    model, at = ServedUplift(), moment(Random(4), KINDS["lost cause"], score=0.1)

    def value(standing: Standing) -> float:
        return worth(model.forecast(describe(replace(at, standing=standing))), at.cents, SETTINGS)

    clicked, ignored = Standing(delivered=6, clicked=3, opened=3), Standing(delivered=6)
    some, most = (Standing(delivered=6, dismissed=n, dismissals=n) for n in (2, 5))
    told = [value(standing) for standing in (clicked, ignored, some, most)]
    assert told == sorted(told, reverse=True)
    assert told[0] > 2 * told[1]
    assert told[2] < 0


def test_a_click_carries_nothing_to_who_buys_anyway() -> None:
    """Of two who click alike the one who would buy all the same is worth less."""
    at = replace(moment(Random(4), KINDS["lost cause"]), standing=Standing(), sent=())
    model = ServedUplift()
    seldom, often = (model.forecast(describe(replace(at, purchase=chance))) for chance in (0.01, 0.99))
    assert seldom.click == often.click
    assert seldom.pushed - seldom.anyway == pytest.approx(seldom.click * (1 - seldom.anyway) / (1 + np.exp(1.5)))
    assert often.anyway > seldom.anyway
    assert often.pushed - often.anyway < seldom.pushed - seldom.anyway


def test_who_is_persuaded_is_told_by_clicks_and_what_comes_of_them() -> None:
    """Nobody is held back, so that no groups could tell: some click and take it, others do not click."""
    random, trainer = Random(8), UpliftTrainer(SETTINGS)
    clicker = Standing(delivered=10, opened=4, clicked=4)
    for n in range(600):
        at = replace(moment(random, KINDS["lost cause"]), standing=clicker if n % 2 else Standing(delivered=10))
        clicked = random.random() < (0.4 if n % 2 else 0.02)
        taken = clicked and random.random() < 0.5
        one = msgspec.structs.replace(next(iter(responses(1, 1))), x=describe(at), pushed=True, chance=1.0)
        trainer.learn_one(msgspec.structs.replace(one, clicked=clicked, taken=taken, bought=taken, opted_out=False))
    model, at = served(trainer), moment(Random(9), KINDS["lost cause"])
    told = [model.forecast(describe(replace(at, standing=s))) for s in (clicker, Standing(delivered=10))]
    assert told[0].pushed - told[0].anyway > 0.07
    assert told[1].pushed - told[1].anyway < 0.03


# --- responses


def test_nothing_is_learned_of_clicks_and_opt_outs_from_those_held_back() -> None:
    """There was nothing to click on."""
    held = [each for each in responses(3, 400, held_back=0.9) if not each.pushed]
    trainer = taught(held)
    assert len(held) > 300
    assert trainer._models[OPT_OUT].block() == SHAPES[OPT_OUT].prior().block()
    assert not np.array_equal(trainer._models[CONVERSION].weights, SHAPES[CONVERSION].prior().weights)


def test_a_response_of_another_list_of_features_is_counted_and_leaves_no_trace() -> None:
    trainer, fresh = UpliftTrainer(SETTINGS), UpliftTrainer(SETTINGS)
    one = next(iter(responses(1, 1)))
    trainer.learn_one(msgspec.structs.replace(one, features=1))
    trainer.learn_one(msgspec.structs.replace(one, x=one.x[:-2]))
    assert trainer.refused == 2
    assert trainer.responses == 0
    assert trainer.blocks() == {}
    trainer.refused = 0
    assert trainer.digest() == fresh.digest()


def test_a_response_is_read_as_it_was_written_and_taken_for_nothing_else() -> None:
    """Topic ``examples`` carries four kinds of records."""
    for response in responses(2, 20):
        value = response.encode()
        assert Response.decode(value) == response
        assert Example.decode(value) is None
        assert Step.decode(value) is None
        assert Outcome.decode(value) is None
        assert len(value) < 512


@pytest.mark.parametrize(
    "changes",
    [
        {"chance": 0.0},
        {"chance": 1.5},
        {"chance": float("nan")},
        {"pushed": False, "chance": 1.0},
        {"x": b""},
        {"x": b"\x00"},
        {"x": np.full(len(FEATURES), np.inf, "<f2").tobytes()},
        {"expected": (0.1, 0.1, 0.1, float("nan"))},
    ],
)
def test_a_response_that_says_what_cannot_be_is_none(changes: dict[str, object]) -> None:
    one = next(iter(responses(1, 1)))
    assert Response.decode(msgspec.structs.replace(one, **changes).encode()) is None


def test_noise_is_no_response() -> None:
    random = Random(3)
    whole = next(iter(responses(1, 1))).encode()
    for _ in range(300):
        cut = bytearray(whole[: random.randrange(len(whole))])
        if cut:
            cut[random.randrange(len(cut))] = random.randrange(256)
        Response.decode(bytes(cut))
    assert Response.decode(b"") is None
    assert Response.decode(b"\x91" * 5000) is None


# --- state


def test_a_learner_restored_in_the_middle_is_the_one_that_went_on() -> None:
    """Also if only what changed was written each time, and whatever was published in between."""
    stream = list(responses(4, 600))
    through, mine = UpliftTrainer(SETTINGS), UpliftTrainer(SETTINGS)
    table: dict[str, bytes] = {}
    for at, each in enumerate(stream):
        through.learn_one(each)
        mine.learn_one(each)
        if at % 50 == 0:
            mine.blocks()
            table |= mine.rows()
        if at in (200, 450):
            mine = UpliftTrainer(SETTINGS)
            assert mine.restore(table) == ""
            for again in stream[at - at % 50 + 1 : at + 1]:
                mine.learn_one(again)
    assert mine.digest() == through.digest()
    assert mine.metrics()["pushed"] == through.metrics()["pushed"]
    assert mine.metrics()["lift"]["qini"] == through.metrics()["lift"]["qini"]


def test_damaged_rows_are_told_of_and_that_model_begins_at_its_prior() -> None:
    trainer = taught(responses(1, 50))
    rows = trainer.rows()
    for key, value in [
        (UPLIFT + CONVERSION, b"\x00"),
        (LEARNER + CONVERSION, rows[LEARNER + CONVERSION][:-8]),
        (LEARNER + CONVERSION, rows[LEARNER + CONVERSION][:-3]),
        (LEARNER + CONVERSION, b"\xff" * len(rows[LEARNER + CONVERSION])),
    ]:
        other = UpliftTrainer(SETTINGS)
        assert CONVERSION in other.restore(rows | {key: value})
        assert np.array_equal(other._models[CONVERSION].weights, SHAPES[CONVERSION].prior().weights)
        assert np.array_equal(other._models[OPT_OUT].weights, trainer._models[OPT_OUT].weights)
    assert "figures" in UpliftTrainer(SETTINGS).restore({f"{LEARNER}figures": b"\x90"})


def test_what_is_foretold_of_many_is_to_the_bit_what_is_foretold_of_each() -> None:
    """However many are asked of at once: a batch's cut must not show."""
    model = served(taught(responses(7, 300)))
    rows = [describe(at) for _, at in shoppers(12, 700)]
    alone = [model.forecast(row) for row in rows]
    assert len(set(alone)) > 600
    for size in (2, 9, 255, 257, 700):
        together = [model.forecasts(rows[first : first + size]) for first in range(0, len(rows), size)]
        assert [expected for some in together for expected in some] == alone
    assert model.forecasts([]) == []


def test_what_is_served_is_what_was_published_and_a_tombstone_or_a_bad_block_brings_the_prior_back() -> None:
    trainer, model, row = taught(responses(1, 200)), ServedUplift(), describe(next(shoppers(8, 1))[1])
    untaught = model.forecast(row)
    blocks = trainer.blocks()
    assert set(blocks) == {UPLIFT + name for name in SHAPES}
    assert trainer.blocks() == {}
    for key, block in blocks.items():
        assert model.apply(key, block)
    assert model.forecast(row) == forecast(tuple(trainer._models.values()), unpacked(row)) != untaught
    assert model.version(CONVERSION) == 1
    # A block of another model under this key would be of as many weights.
    assert not model.apply(UPLIFT + OPT_OUT, blocks[UPLIFT + "click"])
    assert "features" in model.problem
    assert not model.apply(UPLIFT + CONVERSION, b"\xc1")
    for name in ("click", "taken"):
        assert model.apply(UPLIFT + name, None)
    assert model.apply("champion/logistic", b"")
    assert model.apply(UPLIFT + "unknown", b"")
    assert model.forecast(row) == untaught


# --- features


def test_rows_are_finite_and_of_about_unit_size_and_name_each_feature_once() -> None:
    assert len(set(NAMES)) == len(NAMES)
    for _, at in shoppers(11, 300):
        row = unpacked(describe(at))
        assert len(row) == len(NAMES)
        assert (np.abs(row) <= 4.0).all()


def test_a_group_of_hours_a_channel_and_a_group_of_campaigns_are_one_each() -> None:
    at = next(shoppers(1, 1))[1]
    thursday = NOW - NOW % 86_400_000 - (NOW // 86_400_000 + 3) % 7 * 86_400_000 + 3 * 86_400_000

    def marked(**changes: object) -> set[str]:
        row = unpacked(describe(replace(at, **changes)))  # type: ignore[arg-type]  # fields by name
        groups = ("hour", "channel", "campaign", "weekend")
        return {name for name, value in zip(NAMES, row.tolist(), strict=True) if value and name.startswith(groups)}

    hour = 3_600_000
    assert {"hour_20"} < marked(local_ms=thursday + 23 * hour)
    assert {"hour_00", "weekend"} < marked(local_ms=thursday + 2 * 24 * hour + hour)
    assert {"channel_email"} < marked(channel="email")
    assert len(marked(local_ms=thursday, channel="push", campaign="a")) == 2


def test_features_look_at_nothing_that_came_after_the_moment() -> None:
    """A row is a function of the moment alone; two that differ in what comes next are one."""
    at = next(shoppers(1, 1))[1]
    assert describe(at) == describe(replace(at))
    assert Response.decode(next(iter(responses(1, 1))).encode()).x == describe(at)  # type: ignore[union-attr]


def test_features_have_an_identity_of_their_own() -> None:
    assert len({shape.prior().features for shape in SHAPES.values()} | {FEATURES_ID}) == len(SHAPES) + 1


# --- settings


@pytest.mark.parametrize(
    "wrong",
    [
        {"opt_out_cost": -1.0},
        {"margin": float("nan")},
        {"effect_variance": 0.0},
        {"click_window_ms": 0},
        {"open_slates": 17},
        {"memory": 1},
        {"metrics_memory": -1},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        UpliftSettings(**wrong)  # type: ignore[arg-type]


def test_a_push_that_reached_nobody_teaches_what_pushing_changes_and_nothing_of_answers() -> None:
    """Of those held back nobody knows whom a push would have reached."""
    (pushed,) = [each for each in responses(1, 40, held_back=0.25) if each.pushed and not each.clicked][:1]
    before = taught([])
    for reached, learned in ((True, {CONVERSION, CLICK, OPT_OUT}), (False, {CONVERSION})):
        after = taught([msgspec.structs.replace(pushed, reached=reached)])
        changed = {name for name in SHAPES if after._models[name].version > before._models[name].version}
        assert changed == learned
