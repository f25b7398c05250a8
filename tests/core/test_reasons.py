"""Explanations: reasons that add up to the score, in words a shop could print."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

from streamer.core.features import FEATURES, ROW
from streamer.core.learning_settings import LearningSettings
from streamer.core.models.registry import FEATURE_NAMES, MODELS, PRIOR_BIAS, prior_model
from streamer.core.models.trainer import Trainer
from streamer.core.policy.registry import SENT
from streamer.core.rank import Ranked, contributions, rank_queries, top
from streamer.core.reasons import FALLBACK, Explanation, explain, log_odds, reasons
from streamer.core.settings import DAY_MS, CoreSettings, PolicySettings
from tests.core.shop import shared_shop
from tests.core.task_shop import T0, Shop, browsing, record
from tests.core.test_trainer import examples

if TYPE_CHECKING:
    from streamer.core.index import ItemIndex
    from streamer.core.models.model import Learner

QUIET = CoreSettings(policy=PolicySettings(score_threshold=0.0), learning=LearningSettings(learn_rate=0.0))


@cache
def taught(kind: str) -> Learner:
    """A model of a kind that has learned from some lists. Read-only."""
    trainer = Trainer(replace(LearningSettings(), model=kind))
    for example in examples(60):
        trainer.learn_one(example)
    return trainer.champion


def lists(kind: str) -> tuple[Ranked, ItemIndex, Learner, int]:
    shop, model = shared_shop(), taught(kind)
    users = sorted(shop.profiles)
    index = shop.index()
    return rank_queries(shop.queries(users), index, model), index, model, len(users)


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_reasons_and_the_rest_sum_to_the_log_odds_of_the_score_for_every_kind_of_model(kind: str) -> None:
    """As told with a candidate, and each reason has what its features add."""
    ranked, index, model, users = lists(kind)
    for q in range(users):
        for row in top(ranked, q, 5).tolist():
            found = explain(ranked, row, q, index, model)
            p = float(ranked.p[row])
            assert sum(found.parts()) == pytest.approx(np.log(p / (1 - p)), abs=1e-5)
            assert len(found.parts()) == len(found.words()) + 1
            everything = explain(ranked, row, q, index, model, count=99)
            added = dict(contributions(ranked, row, model))
            told = sum(part for _, part in everything.reasons)
            assert told <= sum(part for part in added.values() if part > 0) + 1e-9
            assert [part for _, part in found.reasons] == sorted([part for _, part in everything.reasons])[::-1][:3]


@pytest.mark.parametrize("kind", sorted(MODELS))
def test_contributions_and_what_a_row_without_features_has_are_the_log_odds(kind: str) -> None:
    """They are the model's own parts: with its intercept, that of the piece it is in, they are its score."""
    rng, model = np.random.default_rng(4), taught(kind)
    for _ in range(20):
        row = rng.uniform(0, 1, len(FEATURES))

        def odds(x: np.ndarray) -> float:
            (p,) = model.predict_proba_many(x[:, None])
            return float(np.log(p / (1 - p)))

        parts = float(model.contributions(row).sum())
        if kind == "listwise":
            # A net of rectifiers is linear around the row: towards 0 it loses in proportion.
            assert odds(row) - odds(row * (1 - 1e-6)) == pytest.approx(parts * 1e-6, rel=1e-2, abs=1e-9)
        else:
            assert odds(row) - odds(np.zeros(len(FEATURES))) == pytest.approx(parts, abs=1e-8)
        assert not model.contributions(np.zeros(len(FEATURES))).any()


def test_features_that_say_the_same_are_one_reason_with_what_they_add_together() -> None:
    ranked, index, model, users = lists("logistic")
    seen = 0
    for q in range(users):
        for row in top(ranked, q, 5).tolist():
            found = dict(explain(ranked, row, q, index, model, count=99).reasons)
            parts = dict(contributions(ranked, row, model))
            own = sum(parts[f.name] for f in FEATURES if f.says == "you looked at it {times}")
            phrase = [said for said in found if said.startswith("you looked at it ")]
            if phrase:
                assert found[phrase[0]] == pytest.approx(own)
                seen += 1
    assert seen


def told(*events: tuple[str, str], index: ItemIndex) -> list[Explanation]:
    """What is said to somebody who did this, of the best ten."""
    shop = Shop(QUIET, index)
    times = range(T0 + 8 * DAY_MS, T0 + 9 * DAY_MS, 60_000)
    shop.run([record("ann", kind, at, item=item, id=str(at)) for (kind, item), at in zip(events, times, strict=False)])
    profile = shop.profiles.get_many(["ann"])[0]
    assert profile is not None
    from streamer.core.queries import Queries

    queries = Queries(QUIET.retrieval)
    queries.add(profile, profile.last_ms + 1000)
    ranked = rank_queries(queries, index, prior_model())
    return [explain(ranked, row, 0, index, prior_model(), count=99) for row in top(ranked, 0, 20).tolist()]


@pytest.fixture(scope="module")
def index() -> ItemIndex:
    shop = Shop(QUIET).run(browsing(500, users=20, seed=1, step_ms=5_000))
    shop.publish()
    return shop.index


def test_words_name_what_was_looked_at_and_how_often(index: ItemIndex) -> None:
    said = {words for found in told(("view", "item-1"), ("view", "item-2"), ("view", "item-1"), index=index)
            for words in found.words()}  # fmt: skip
    assert "you looked at it twice" in said
    assert "you looked at it once" in said
    assert "you looked at Thing 1 twice" in said
    assert any(words.startswith("often viewed with Thing ") for words in said)
    assert all("{" not in words and not words.endswith(" ") for words in said)


def test_nobody_is_told_that_an_item_is_like_itself(index: ItemIndex) -> None:
    shop_like = ("much like", "often viewed with", "what others looked at after", "you looked at Thing")
    for found in told(("view", "item-1"), index=index)[:1]:
        assert not [words for words in found.words() if words.startswith(shop_like)]


def test_without_a_reason_there_is_still_a_word_and_the_sum_holds() -> None:
    bare = Explanation((), -2.0, -2.0)
    assert bare.words() == [FALLBACK]
    assert bare.parts() == [0.0, -2.0]
    assert log_odds(0.5) == 0.0
    assert np.isfinite([log_odds(0.0), log_odds(1.0)]).all()


def test_a_candidate_carries_its_reasons_with_what_they_add(index: ItemIndex) -> None:
    shop = Shop(QUIET, index).run(browsing(100, users=9, seed=4))
    assert SENT in shop.reasons()
    for out in shop.total.candidates:
        candidate = out.candidate
        assert len(candidate.contributions) == len(candidate.reasons) + 1
        assert sum(candidate.contributions) == pytest.approx(log_odds(candidate.score), abs=1e-5)
        assert list(candidate.contributions[:-1]) == sorted(candidate.contributions[:-1], reverse=True)


def test_every_template_names_only_fields_that_are_filled(index: ItemIndex) -> None:
    """Each is filled for somebody, or empty; none raises."""
    shop = shared_shop()
    users = sorted(shop.profiles)
    index, model = shop.index(), prior_model()
    ranked = rank_queries(shop.queries(users), index, model)
    for q in range(len(users)):
        for row in top(ranked, q, 8).tolist():
            assert all(reasons(ranked, row, q, index, model, count=99))
    assert len(FEATURE_NAMES) == len(ROW)
    assert PRIOR_BIAS < 0
