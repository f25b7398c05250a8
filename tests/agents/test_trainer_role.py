"""The trainer role across restarts of its process."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
import orjson

from agents.metrics import Metrics
from agents.roles.known import Known
from state.memory import MemoryDisk
from streamer.core.learning_settings import LearningSettings
from streamer.core.models.example import Example, build_example
from streamer.core.models.registry import FEATURE_NAMES, FEATURES_ID
from streamer.core.policy.experiments import Arm, Experiment
from streamer.core.record import Record
from streamer.core.settings import CoreSettings
from tests.agents.trainer_task import committed as everything_committed
from tests.agents.trainer_task import opened


def records(count: int, first: int = 0):
    """Lists in which the item of the largest first feature is taken up."""
    found = []
    for number in range(first, first + count):
        x = np.random.default_rng(number).uniform(0, 1, (len(FEATURE_NAMES), 20))
        labels = x[0] == x[0].max()
        example = build_example(
            x, labels, np.full(20, 0.1), number, time_ms=0, features_id=FEATURES_ID, model_version=0
        )
        assert example is not None
        found.append(Record("examples", 0, number, 0, b"0", example.encode()))
    return found


def committed(context, work):
    """What a commit publishes of the champion. (The challenger may fall back to its last snapshot.)"""
    return {key.encode(): value for key, value in everything_committed(context, work).items() if "champion" in key}


def test_a_restarted_trainer_goes_on_where_the_last_commit_left_it():
    disk = MemoryDisk()
    context, work = opened(disk)
    work.process(records(30))
    committed(context, work)
    context.store.close()
    context, work = opened(disk)
    work.process(records(30, first=30))
    after_restart = committed(context, work)

    context, work = opened(MemoryDisk())
    work.process(records(30))
    committed(context, work)
    work.process(records(30, first=30))
    without = committed(context, work)

    assert any(key.startswith(b"champion/") for key in without)
    assert after_restart == without


def test_what_features_weigh_is_published_when_it_has_changed_and_survives_a_restart():
    """Each eighth example is looked at: the next two change nothing."""
    disk = MemoryDisk()
    context, work = opened(disk)

    def told():
        work.before_commit()
        context.store.take_changes()
        context.store.committed({})
        rows = [row for _, some in context.outbox.take() for row in some]
        return [orjson.loads(value) for key, value, *_ in rows if key == b"importance/champion"]

    work.process(records(8))
    (weighs,) = told()
    assert set(weighs) == set(FEATURE_NAMES)
    assert list(weighs.values()) == sorted(weighs.values(), reverse=True)
    work.process(records(2, first=8))
    assert told() == []
    context.store.close()
    context, work = opened(disk)
    assert told() == [weighs]
    work.process(records(6, first=10))
    assert told() not in ([], [weighs])


def with_challengers():
    return CoreSettings(learning=LearningSettings(model="logistic", challengers=("ftrl", "fm")))


def test_challengers_of_ours_survive_a_restart_and_are_reported():
    disk = MemoryDisk()
    context, work = opened(disk, with_challengers())
    work.process(records(30))
    committed(context, work)
    context.store.close()
    context, work = opened(disk, with_challengers())
    work.process(records(30, first=30))
    after_restart = committed(context, work)
    kept = dict(context.store.table("model_state").scan_rows())

    other, without = opened(MemoryDisk(), with_challengers())
    without.process(records(30))
    committed(other, without)
    without.process(records(30, first=30))
    assert committed(other, without) == after_restart
    theirs = dict(other.store.table("model_state").scan_rows())
    ours = {b"challenger/ftrl", b"challenger/fm", b"challenger/fm/learner", b"trainer/contest"}
    assert ours <= set(kept)
    assert {key: kept[key] for key in ours} == {key: theirs[key] for key in ours}
    told = context.metrics.registry.get_sample_value
    for kind in ("ftrl", "fm"):
        labels = {"role": "trainer", "model": f"challenger/{kind}"}
        assert told("streamer_model_gain", labels) != 0
        assert told("streamer_model_logloss", labels) > 0


def test_a_collapse_of_the_input_is_logged_counted_and_over_when_it_is_over(caplog):
    context, work = opened(MemoryDisk())
    work.process(records(300))
    good = committed(context, work)
    empty = [record_of(Example.decode(record.value)) for record in records(100, first=300)]
    work.process(empty[:60])
    committed(context, work)
    work.process(empty[60:])
    assert committed(context, work).keys() <= {b"metrics/champion"}
    assert any(key.startswith(b"champion/") for key in good)
    assert "nothing is learned or published" in caplog.text
    assert context.metrics.registry.get_sample_value("streamer_model_held", CHAMPION) >= 40
    work.process(records(100, first=400))
    assert "learning goes on" in caplog.text
    assert any(key.startswith(b"champion/") for key in committed(context, work))


def test_parameters_that_are_not_finite_are_not_stored_either(caplog):
    disk = MemoryDisk()
    context, work = opened(disk)
    work.process(records(10))
    committed(context, work)
    work.process(records(1, first=10))
    champion: Any = work._learners.ranker.champion
    champion.bias = math.nan
    assert not any(key.startswith(b"champion/") for key in committed(context, work))
    assert "not finite" in caplog.text
    context.store.close()
    caplog.clear()
    context, work = opened(disk)
    assert "begins anew" not in caplog.text
    assert work._learners.ranker.champion.is_finite()
    assert work._learners.ranker.examples == 11


CHAMPION = {"role": "trainer", "model": "champion"}


def record_of(example):
    """As the example was, with features of 0."""
    assert example is not None
    emptied = msgspec.structs.replace(example, x=bytes(len(example.x)))
    return Record("examples", 0, example.fingerprint, 0, b"0", emptied.encode())


def test_a_challenger_that_ranks_an_arm_gets_from_the_trainer_to_the_workers():
    """By topic `model`, beside the champion, under a key of its own."""
    order = Experiment("order", (Arm("one", 0.5), Arm("two", 0.5, (("rank_by", "ftrl"),))))
    core = CoreSettings(learning=LearningSettings(challengers=("ftrl",)), experiments=(order,))
    context, work = opened(MemoryDisk(), core)
    work.process(records(30))
    told = everything_committed(context, work)
    known = Known(core, Metrics(role="user"))
    for key in ("champion/listwise", "challenger/ftrl"):
        known.appliers["model"](key.encode(), told[key])
    assert set(known.model.challengers) == {"ftrl"}
    x = np.random.default_rng(1).uniform(0, 1, (len(FEATURE_NAMES), 20))
    assert known.model.challengers["ftrl"].predict_many(x).tolist() != known.model.predict_many(x).tolist()
    assert known.model.challengers["ftrl"].version == known.model.version > 0
