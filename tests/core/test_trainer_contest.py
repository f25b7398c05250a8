"""The trainer with challengers: who is served, what is published under which version, and what is held off."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import msgspec
import numpy as np
import pytest

from streamer.core.features import FEATURES
from streamer.core.learning_settings import LearningSettings
from streamer.core.models.example import build_example
from streamer.core.models.model import ServedModel, decode_block
from streamer.core.models.registry import FEATURES_ID, decode
from streamer.core.models.trainer import CONTEST_BLOCK, Trainer

F = len(FEATURES)


def examples(count: int, seed: int = 2):
    """Lists of which the product of the first two features decides what is taken up: pairs tell, single ones do not."""
    rng = np.random.default_rng(seed)
    found = []
    for n in range(count):
        x = np.zeros((F, 25))
        x[:6] = rng.uniform(-1, 1, (6, 25))
        labels = np.zeros(25, np.bool_)
        labels[np.argmax(x[0] * x[1])] = True
        p = np.full(25, 0.0625)
        made = build_example(x, labels, p, n * 7919, time_ms=n, features_id=FEATURES_ID, model_version=0)
        assert made is not None
        found.append(made)
    return found


def trainer(**changes):
    given: dict[str, Any] = {
        "model": "logistic",
        "challengers": ("fm", "ftrl"),
        "factor_rate": 0.3,
        "prior_strength": 1.0,
    }
    return Trainer(LearningSettings(**(given | changes)))


STREAM = examples(1500)


def promoted():
    """A trainer whose challenger was, and after how many examples."""
    learned = trainer()
    for at, example in enumerate(STREAM):
        learned.learn_one(example)
        learned.blocks()
        if learned.contest.promotions:
            return learned, at + 1
    raise AssertionError("nobody was promoted")


@pytest.mark.parametrize("by", ["rank", "loss"])
def test_a_challenger_that_is_better_at_either_is_promoted(by):
    learned = trainer(promotion_by=by)
    learned.learn(STREAM)
    assert learned.contest.champion == "fm"


def test_a_challenger_that_is_better_on_the_stream_is_promoted_and_published():
    learned, _ = promoted()
    assert learned.contest.champion == "fm"
    learned.learn_one(STREAM[0])
    ((key, block),) = learned.blocks().items()
    assert key == "champion/fm"
    assert decode_block(block).kind == "fm"


def test_without_challengers_the_champion_is_that_of_the_settings():
    alone, beside = trainer(challengers=()), trainer()
    for each in (alone, beside):
        each.learn(STREAM[:50])
    assert alone.champion.block() == beside.champion.block()
    assert alone.challengers() == {}
    assert set(beside.challengers()) == {"fm", "ftrl"}


def test_versions_go_on_from_kind_to_kind_one_a_publication():
    learned, versions = trainer(), []
    for at in range(0, 1500, 20):
        learned.learn(STREAM[at : at + 20])
        versions += [decode_block(block).version for block in learned.blocks().values()]
    assert learned.contest.promotions == 1
    assert versions == list(range(1, 76))


def test_a_promotion_is_published_though_the_new_champion_learned_nothing_since():
    _, at = promoted()
    again = trainer()
    again.learn(STREAM[: at - 1])
    again.blocks()
    again.learn(STREAM[at - 1 : at])
    assert list(again.blocks()) == ["champion/fm"]
    assert again.blocks() == {}


def test_the_replica_serves_the_newest_champion_in_whatever_order_it_reads_the_kinds():
    """A compacted topic keeps one block of each kind, and a replica that catches up may read them in any order."""
    learned = trainer()
    last: dict[str, bytes] = {}
    for at in range(0, 1500, 20):
        learned.learn(STREAM[at : at + 20])
        last |= learned.blocks()
    assert set(last) == {"champion/logistic", "champion/fm"}
    for order in permutations(last.items()):
        served = ServedModel()
        for key, block in order:
            assert served.apply(key, block)
        assert served.version == learned.champion.version
        assert served.predict_many(STREAM[0].features()) == pytest.approx(learned.predict(STREAM[0]), abs=2**-20)
        assert served.apply("champion/logistic", None)
        assert served.version == learned.champion.version
        served.apply("champion/fm", None)
        assert served.version == 0


def test_a_challenger_that_ranks_in_an_arm_is_published_beside_the_champion_until_it_is_promoted():
    """In whatever order its blocks and the champion's are read in the end."""
    learned = Trainer(
        LearningSettings(model="logistic", challengers=("fm", "ftrl"), factor_rate=0.3, prior_strength=1.0),
        frozenset({"fm"}),
    )
    learned.learn(STREAM[:20])
    first = learned.blocks()
    assert set(first) == {"champion/logistic", "challenger/fm"}
    assert {decode_block(block).version for block in first.values()} == {1}
    served = ServedModel()
    for key, block in first.items():
        assert served.apply(key, block)
    x, fm = STREAM[0].features(), decode("champion/fm", first["challenger/fm"])
    assert served.challengers["fm"].predict_many(x).tolist() == fm.predict_many(x).tolist()
    assert served.predict_many(x).tolist() != fm.predict_many(x).tolist()
    assert not served.apply("challenger/fm", b"damaged")
    assert served.challengers == {}
    last = dict(first)
    for at in range(20, 1500, 20):
        learned.learn(STREAM[at : at + 20])
        last |= learned.blocks()
    assert learned.contest.champion == "fm"
    for order in permutations(last.items()):
        served = ServedModel()
        for key, block in order:
            assert served.apply(key, block)
        assert served.challengers == {}


@pytest.mark.slow
@pytest.mark.parametrize("cut", [1, 7, 400])
def test_how_examples_are_batched_leaves_no_trace_but_in_versions(cut):
    whole, parts = trainer(), trainer()
    whole.learn(STREAM[:1000])
    for at in range(0, 1000, cut):
        parts.learn(STREAM[at : min(at + cut, 1000)])
    assert whole.contest.promotions == 1
    assert parts.state() == whole.state()
    assert parts.digest() == whole.digest()


def test_a_restored_trainer_goes_on_as_the_one_that_never_stopped():
    """Restored before and after the promotion, with all of its challengers and what is known of them."""
    _, at = promoted()
    lasting, restored = trainer(), trainer()
    for start, end in ((0, at - 10), (at - 10, at + 30), (at + 30, at + 60)):
        lasting.learn(STREAM[start:end])
        lasting.blocks()
        restored.learn(STREAM[start:end])
        restored.blocks()
        anew = trainer()
        assert anew.restore(restored.state()) == ""
        restored = anew
        assert restored.contest.champion == lasting.contest.champion
        assert restored.state() == lasting.state()
        assert restored.digest() == lasting.digest()
    assert lasting.contest.champion == "fm"


def test_a_promoted_challenger_that_the_settings_then_name_goes_on_with_what_it_learned():
    learned, _ = promoted()
    chosen = trainer(model="fm", challengers=("logistic",))
    assert chosen.restore(learned.state()) == ""
    assert chosen.predict(STREAM[3]).tolist() == learned.predict(STREAM[3]).tolist()
    back = trainer(challengers=())
    assert back.restore(learned.state()) == ""
    assert back.contest.champion == "logistic"
    assert back.champion.version == learned.champion.version
    back.learn(STREAM[:1])
    assert decode_block(back.blocks()["champion/logistic"]).version == learned.champion.version + 1


def test_a_challenger_that_is_new_begins_untaught_beside_a_champion_that_goes_on():
    old = trainer(challengers=())
    old.learn(STREAM[:30])
    new = trainer()
    assert new.restore(old.state()) == ""
    assert new.champion.block() == old.champion.block()
    new.learn(STREAM[:5])


@pytest.mark.parametrize("key", [CONTEST_BLOCK, "challenger/fm", "challenger/fm/learner"])
def test_damage_to_a_challenger_or_the_contest_is_told_and_the_champion_goes_on(key):
    learned = trainer()
    learned.learn(STREAM[:60])
    again = trainer()
    assert again.restore({**learned.state(), key: b"\xc1nonsense"})
    assert again.predict(STREAM[3]).tolist() == learned.predict(STREAM[3]).tolist()
    again.learn(STREAM[60:70])


def test_parameters_that_are_not_finite_are_never_published_and_the_last_good_ones_come_back():
    learned = trainer()
    learned.learn(STREAM[:20])
    good = learned.blocks()["champion/logistic"]
    learned.learn(STREAM[20:21])
    champion = learned.champion
    getattr(champion, "weights")[:] = np.nan  # noqa: B009 - the protocol does not know them
    assert learned.blocks() == {}
    assert learned.champion.is_finite()
    assert decode_block(learned.champion.block()).weights == decode_block(good).weights
    assert learned.metrics()["rollbacks"] == 1
    learned.learn(STREAM[21:30])
    assert decode_block(learned.blocks()["champion/logistic"]).version > decode_block(good).version


def emptied(example):
    return msgspec.structs.replace(example, x=bytes(len(example.x)))


def test_while_the_input_has_collapsed_nothing_is_learned_or_published():
    """The features of all candidates are 0, as when the item index is gone; then they are back."""
    learned = trainer()
    learned.learn(STREAM[:400])
    learned.blocks()
    learned.learn([emptied(example) for example in STREAM[400:450]])
    learned.blocks()
    assert learned.collapsed
    held, kept = learned.held, learned.champion.block()
    learned.learn([emptied(example) for example in STREAM[450:900]])
    assert learned.held == held + 450
    assert learned.champion.block() == kept
    assert learned.blocks() == {}
    assert learned.metrics()["held"] == learned.held
    learned.learn(STREAM[900:1000])
    assert not learned.collapsed
    assert learned.blocks()


def test_what_is_held_off_is_remembered_across_a_restart():
    learned, again = trainer(), trainer()
    learned.learn(STREAM[:400])
    learned.learn([emptied(example) for example in STREAM[400:500]])
    assert again.restore(learned.state()) == ""
    for each in (learned, again):
        each.learn([emptied(example) for example in STREAM[500:520]])
    assert again.held == learned.held > 0
    assert again.state() == learned.state()
