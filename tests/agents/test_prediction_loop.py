"""The loop of the predictors: outcomes of a user task, through the trainer's table and topic, to whoever serves."""

from __future__ import annotations

import msgspec

from agents.metrics import Metrics
from agents.worker import make_user_role
from state.memory import MemoryDisk
from streamer.core.prediction_settings import PredictionSettings
from streamer.core.predictions.registry import BY_NAME
from streamer.core.predictions.served import PREDICT
from streamer.core.predictions.trainer import PredictionTrainer
from streamer.core.record import Record
from streamer.core.settings import MINUTE_MS, CoreSettings
from streamer.inspect import foretold, readable
from streamer.settings import Settings
from tests.agents.trainer_task import committed, opened
from tests.core.task_shop import Shop, browsing

ALL = CoreSettings(predictions=PredictionSettings(learn_rate=1.0))


def shop() -> Shop:
    return Shop(ALL).run(browsing(400, users=20, step_ms=4 * MINUTE_MS))


def records(outcomes) -> list[Record]:
    return [Record("examples", 0, n, 0, b"0", outcome.encode()) for n, outcome in enumerate(outcomes)]


def test_outcomes_come_back_as_parameters_that_predict_otherwise_than_the_priors_and_outlive_a_restart():
    told = shop().total.outcomes
    assert len(told) > 100
    half = len(told) // 2
    disk = MemoryDisk()
    context, work = opened(disk, ALL)
    assert work.process(records(told[:half])) == {"applied": half}
    committed(context, work)
    context.store.close()
    context, work = opened(disk, ALL)
    work.process(records(told[half:]))
    published = committed(context, work)

    whole = PredictionTrainer(ALL.predictions)
    for outcome in told:
        whole.learn_one(outcome)
    role = make_user_role(Settings(), Metrics(role="user"), lambda *_: None)
    for key, value in published.items():
        role.known.appliers["model"](key.encode(), value)
    for name in {outcome.predictor for outcome in told[half:]}:
        x = next(outcome for outcome in told if outcome.predictor == name).x_many()
        features = BY_NAME[name].features_id
        served = role.known.foreseeing.probabilities(name, features, x)
        assert served.tolist() == whole.probabilities(name, features, x).tolist()
        assert served.tolist() != PredictionTrainer(ALL.predictions).probabilities(name, features, x).tolist()
        measures = msgspec.json.decode(published[f"metrics/{PREDICT}{name}"])
        assert measures["outcomes"] == sum(outcome.predictor == name for outcome in told)


def test_a_block_and_a_shopper_are_shown_to_people():
    task = shop()
    trainer = PredictionTrainer(ALL.predictions)
    for outcome in task.total.outcomes:
        trainer.learn_one(outcome)
    role = make_user_role(Settings(), Metrics(role="user"), lambda *_: None)
    for key, block in trainer.blocks().items():
        role.known.appliers["model"](key.encode(), block)
        shown = readable(key, block)
        assert shown["version"] == 1
        assert len(shown["weights"]) == len(BY_NAME[key.removeprefix(PREDICT)].names)
    (profile,) = task.profiles.get_many(["user-3"])
    assert profile is not None
    told = foretold(profile, role.known.foreseeing, ALL, {})
    assert set(told) == set(BY_NAME)
    assert 0.0 < told["purchase"] < 1.0
    assert list(told["next_category"].values()) == sorted(told["next_category"].values(), reverse=True)
