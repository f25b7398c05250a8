"""Every predictor by one contract, and what is foreseen of a shopper when somebody asks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from streamer.core.campaigns.campaign import NEXT
from streamer.core.events import group_key
from streamer.core.learning_settings import LearningSettings
from streamer.core.policy.rule import Case
from streamer.core.policy.state import Standing
from streamer.core.predictions.predictor import Moment, Predictor
from streamer.core.predictions.registry import BY_NAME, PREDICTORS
from streamer.core.predictions.served import Foresight, Served
from streamer.core.profile import Profile, fold
from streamer.core.settings import MINUTE_MS, PolicySettings
from tests.core.foreseen import ALL, event
from tests.core.task_shop import T0, Shop, browsing

SPARSE = replace(ALL, learning=LearningSettings(learn_rate=0.0), policy=PolicySettings(rank_rate=0.0))


@pytest.fixture(scope="module")
def moments() -> list[Moment]:
    """Of a shop's shoppers, and of some strange ones."""
    shop = Shop(SPARSE).run(browsing(500, users=25, seed=5, step_ms=MINUTE_MS))
    profiles = [p for p in shop.profiles.get_many(sorted(shop.profiles.rows)) if p is not None]
    empty = Profile(T0, T0)
    return [Moment(p, p.last_ms, ALL.predictions, ALL.profile) for p in [*profiles, empty]]


@pytest.mark.parametrize("predictor", PREDICTORS, ids=lambda predictor: predictor.name)
def test_rows_are_finite_of_unit_size_and_survive_their_encoding(predictor: Predictor, moments: list[Moment]) -> None:
    for moment in moments:
        keys, rows = predictor.describe(moment)
        assert len(keys) == len(set(keys)) == len(rows)
        for row in rows:
            assert len(row) == len(predictor.names)
            assert all(abs(value) <= 8 for value in row)
        assert 0 < predictor.waits(moment) <= ALL.predictions.longest_wait_ms
        assert predictor.describe(moment) == (keys, rows)


@pytest.mark.parametrize("predictor", PREDICTORS, ids=lambda predictor: predictor.name)
def test_every_feature_tells_shoppers_apart(predictor: Predictor, moments: list[Moment]) -> None:
    """One that is the same for everybody is a bug or a waste."""
    rows = np.array([row for moment in moments for row in predictor.describe(moment)[1]])
    still = {name for name, column in zip(predictor.names, rows.T, strict=True) if (column == column[0]).all()}
    assert still <= {"always"}


def test_names_are_unique_and_words_are_there() -> None:
    assert len(BY_NAME) == len(PREDICTORS)
    for predictor in PREDICTORS:
        assert len(set(predictor.names)) == len(predictor.names)
        assert predictor.says


def test_a_rule_can_ask_what_is_predicted_and_the_answer_is_the_served_models() -> None:
    profile = fold(None, event("ann", "view", T0, "a", "shoes"), ALL.profile)
    foresight = Foresight(profile, T0, Served(), ALL)
    case = Case(NEXT, T0, T0, 0, 0.5, Standing(), (), foresight=foresight)
    assert case.foresight is not None
    assert 0.0 < case.foresight.chance("purchase") < 0.5
    assert 0.0 < case.foresight.chance("churn") < 1.0
    likeliest = case.foresight.likeliest("next_category")
    assert likeliest is not None
    assert likeliest[0] == group_key("shoes")
    with pytest.raises(KeyError):
        case.foresight.of("weather")


def test_what_is_foreseen_of_many_is_to_the_bit_what_is_foreseen_of_each() -> None:
    """However many, also where some were asked before, one twice, and some have no choices at all."""
    profiles: dict[str, Profile] = {}
    for n in range(400):
        kind = ("view", "cart", "purchase", "search")[n % 7 % 4]
        one = event(f"user-{n % 90}", kind, T0 + n * MINUTE_MS, f"item-{n % 13}", f"category-{n % 5}" if n % 3 else "")
        profiles[one.user] = fold(profiles.get(one.user), one, ALL.profile)
    now_ms, served = T0 + 500 * MINUTE_MS, Served()
    for name in BY_NAME:
        alone = [Foresight(profile, now_ms, served, ALL) for profile in profiles.values()]
        told = [each.of(name) for each in alone]
        together = [Foresight(profile, now_ms, served, ALL) for profile in profiles.values()]
        assert together[3].of(name) == told[3]
        Foresight.ask([*together, together[5]], name)
        assert [each._said[name] for each in together] == told
    Foresight.ask([], "churn")
