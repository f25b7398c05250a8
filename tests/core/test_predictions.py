"""What is predicted of shoppers: every predictor by one contract, outcomes as worked out by hand, for any cut."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.campaigns.campaign import NEXT
from streamer.core.events import Event, Line, group_key, item_key
from streamer.core.learning_settings import LearningSettings
from streamer.core.policy.rule import Case
from streamer.core.policy.state import Standing
from streamer.core.prediction_settings import PredictionSettings
from streamer.core.predictions import pending as module
from streamer.core.predictions.example import Outcome, outcome_of
from streamer.core.predictions.pending import Open, Pending, Settled, Slot
from streamer.core.predictions.predictor import NONE_OF_THEM, Moment, Predictor
from streamer.core.predictions.registry import BY_NAME, PREDICTORS
from streamer.core.predictions.served import PREDICT, Foresight, Served
from streamer.core.predictions.trainer import PredictionTrainer
from streamer.core.profile import Profile, fold
from streamer.core.settings import DAY_MS, HOUR_MS, MINUTE_MS, CoreSettings, PolicySettings
from tests.core.task_shop import T0, Shop, browsing, record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamer.core.record import Record

ALL = CoreSettings(predictions=PredictionSettings(learn_rate=1.0, slots=8))
SPARSE = replace(ALL, learning=LearningSettings(learn_rate=0.0), policy=PolicySettings(rank_rate=0.0))


def event(user: str, kind: str, time: int, item: str = "", category: str = "") -> Event:
    lines = (Line(item, item_key(item), category=category),) if item else ()
    return Event(user, f"{user}{time}{kind}", "t", kind, time, item_key(f"{user}{time}{kind}"), lines, query="shoes")


@pytest.fixture(autouse=True)
def _every_event_is_a_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Predictors that take only a part of the rate take all of it, so that outcomes can be worked out by hand."""
    everybody = tuple(replace(predictor, rate=1.0) for predictor in PREDICTORS)
    monkeypatch.setattr(module, "PREDICTORS", everybody)
    monkeypatch.setattr(module, "AT_ANY_EVENT", [(n, p) for n, p in enumerate(everybody) if not p.once_a_visit])


class World:
    """Shoppers, their profiles and what waits."""

    def __init__(self, core: CoreSettings = ALL) -> None:
        self.core, self.pending = core, Pending({}, core)
        self.profiles: dict[str, Profile] = {}
        self.now = 0
        self.settled: list[Settled] = []

    def see(self, *events: Event) -> World:
        for one in events:
            before = self.profiles.get(one.user)
            after = self.profiles[one.user] = fold(before, one, self.core.profile)
            self.now = max(self.now, one.time)
            self.settled += self.pending.see(one, before, after, self.now)
        return self

    def told(self, name: str) -> list[tuple[int, int]]:
        """When each prediction was made, and what came of it."""
        return [(waited.made_ms - T0, outcome) for waited, outcome in self.settled if waited.predictor == name]


def passers_by(since: int, until: int, step: int = MINUTE_MS) -> Iterable[Event]:
    """One-time shoppers who keep the stream's time going, and point at slots."""
    return [event(f"passer {n}", "search", n) for n in range(since, until, step)]


# --- outcomes by hand


def test_a_purchase_before_the_visits_end_is_a_yes_and_silence_a_no_even_if_the_shopper_never_comes_again() -> None:
    world = World().see(
        event("buyer", "view", T0, "a"),
        event("looker", "view", T0, "a"),
        event("buyer", "purchase", T0 + MINUTE_MS, "a"),
        *passers_by(T0 + 2 * MINUTE_MS, T0 + HOUR_MS),
    )
    mine = [(w.made_ms - T0, o) for w, o in world.settled if w.predictor == "purchase" and w.fingerprint in
            {event("buyer", "view", T0).fingerprint, event("looker", "view", T0).fingerprint}]  # fmt: skip
    # The buyer's second moment may have replaced the first: then it is no, as nothing was bought after it.
    assert (0, NONE_OF_THEM) in mine
    assert all(outcome == NONE_OF_THEM or made == 0 for made, outcome in mine)


def test_a_purchase_in_the_next_visit_is_not_one_in_this() -> None:
    world = World().see(event("ann", "view", T0, "a"), event("ann", "purchase", T0 + HOUR_MS, "a"))
    assert world.told("purchase") == [(0, NONE_OF_THEM)]


def test_what_is_known_early_is_told_no_earlier_than_what_takes_long() -> None:
    """The yes waits for the end of the visit as the no does, or the young model would see yes only."""
    world = World().see(event("ann", "view", T0, "a"), event("ann", "purchase", T0 + MINUTE_MS, "a"))
    assert world.told("purchase") == []
    world.see(event("ann", "view", T0 + 2 * HOUR_MS, "a"))
    assert len(world.told("purchase")) == 1


def visits(*days: float) -> list[Event]:
    return [event("ann", "view", T0 + int(day * DAY_MS), "a") for day in days]


def test_who_returns_within_their_rhythm_has_not_churned_and_who_does_not_has() -> None:
    # By the third visit her rhythm is a day, and twice that is waited for.
    world = World().see(*visits(0, 1, 2, 3.9, 30))
    told = dict(world.told("churn"))
    assert told[0] == NONE_OF_THEM
    late = dict(World().see(*visits(0, 30, 31)).told("churn"))
    assert late[0] == 0
    gone = World().see(*visits(0), *passers_by(T0 + 15 * DAY_MS, T0 + 15 * DAY_MS + 200 * MINUTE_MS))
    assert (0, 0) in gone.told("churn")


def test_the_next_item_tells_the_category_and_a_new_one_is_none_of_them() -> None:
    world = World().see(
        event("ann", "view", T0, "a", "shoes"),
        event("ann", "view", T0 + 1000, "b", "hats"),
        event("ann", "view", T0 + 2000, "c", "shoes"),
        event("ann", "view", T0 + 3000, "b"),
        event("ann", "view", T0 + 4000, "unknown"),
    )
    outcomes = [(w.keys[o] if o >= 0 else o) for w, o in world.settled if w.predictor == "next_category"]
    # The last event's category nobody knows, so that its outcome is dropped.
    assert outcomes == [NONE_OF_THEM, group_key("shoes"), group_key("hats")]


def test_one_moment_of_a_visit_is_taken_each_with_the_same_chance() -> None:
    taken = [0] * 4
    for n in range(2000):
        user = f"user {n}"
        world = World().see(*[event(user, "view", T0 + k * 1000, "a") for k in range(4)])
        world.see(event(user, "view", T0 + DAY_MS, "a"))
        ((made, _),) = world.told("purchase")
        taken[made // 1000] += 1
    assert all(abs(count - 500) < 90 for count in taken)


def test_an_erased_shoppers_predictions_are_gone_and_nobody_elses() -> None:
    world = World(replace(ALL, predictions=replace(ALL.predictions, slots=1)))
    world.see(event("ann", "view", T0, "a", "shoes"))
    world.pending.forget("bob")
    assert world.pending.rows["0"] is not None
    world.pending.forget("ann")
    assert world.pending.rows["0"] is None


def test_what_waits_is_bounded_by_the_slots() -> None:
    world = World()
    for n in range(3000):
        world.see(event(f"user {n}", "view", T0 + n, f"item {n % 5}", f"category {n % 3}"))
    rows = [row for row in world.pending.rows.values() if row is not None]
    assert len(rows) <= ALL.predictions.slots
    assert all(len(row.opens) <= len(PREDICTORS) for row in rows)


def test_whoever_never_comes_again_is_settled_by_somebody_of_another_slot() -> None:
    """One other shopper is enough: their events point at all slots in turn."""
    world = World(replace(ALL, predictions=replace(ALL.predictions, slots=64)))
    world.see(*[event(f"user {n}", "view", T0 + n, "a") for n in range(50)])
    waiting = {w.owner for row in world.pending.rows.values() if row for w in row.opens if w.predictor == "purchase"}
    world.see(*[event("other", "search", T0 + HOUR_MS + n) for n in range(4000)])
    settled = {waited.owner for waited, outcome in world.settled if waited.predictor == "purchase" and outcome < 0}
    assert len(waiting) > 20
    assert waiting <= settled


def test_at_a_streams_end_what_time_has_overtaken_is_settled_and_nothing_else() -> None:
    world = World()
    world.see(event("ann", "view", T0, "a"), event("bob", "view", T0 + HOUR_MS, "a"))
    told = [(waited.predictor, waited.made_ms) for waited, _ in world.pending.overtaken(T0 + HOUR_MS + 1)]
    told += [(waited.predictor, waited.made_ms) for waited, _ in world.settled]
    assert told == [("purchase", T0)]
    assert world.pending.overtaken(T0 + HOUR_MS + 1) == []


def test_everything_that_waits_is_settled_once_its_time_is_over_and_never_twice() -> None:
    world = World()
    for n in range(40):
        world.see(event(f"user {n}", "view", T0 + n, "a", "shoes"))
    begun = {(w.predictor, w.fingerprint) for row in world.pending.rows.values() if row for w in row.opens}
    world.see(*passers_by(T0 + 30 * DAY_MS, T0 + 30 * DAY_MS + 400 * MINUTE_MS))
    told = [(w.predictor, w.fingerprint) for w, _ in world.settled]
    assert len(told) == len(set(told))
    # Of what nobody tells a category of, nothing is learned.
    assert {(name, mark) for name, mark in begun if name != "next_category"} <= set(told)


# --- contract


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


# --- in the engine


def result(shop: Shop) -> list[Any]:
    return [sorted(shop.pending.rows.items()), [outcome.encode() for outcome in shop.total.outcomes], shop.result()]


def hard(seed: int) -> list[Record]:
    """Few shoppers, long and short silences, orders, categories told and not, an erasure now and then."""
    rng = random.Random(seed)
    records, time = [], T0
    for n in range(60):
        user = f"user-{rng.randrange(4)}"
        time += rng.choice([1000, 5 * MINUTE_MS, 40 * MINUTE_MS, 3 * DAY_MS, 20 * DAY_MS])
        back = rng.choice([0, 0, 0, HOUR_MS])
        words = {"category": f"category-{rng.randrange(3)}"} if rng.random() < 0.7 else {}
        kind = rng.choice(["view", "view", "view", "cart", "purchase", "search", "preferences"])
        data: dict[str, Any] = {"item": f"item-{rng.randrange(9)}", **words}
        if kind == "search":
            data = {"query": "thing"}
        elif kind == "preferences":
            data = {"preferences": {"erase": rng.random() < 0.3}}
        records.append(record(user, kind, time - back, id=str(n), timestamp=time, **data))
    return records


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 59), max_size=12))
def test_where_a_batch_is_cut_cannot_be_seen_in_what_waits_or_what_was_learned(seed: int, cuts: list[int]) -> None:
    records = hard(seed)
    whole = result(Shop(ALL).run(records))
    assert result(Shop(ALL).run(records, cuts)) == whole
    assert result(Shop(ALL).run(records, range(1, len(records)))) == whole


def test_the_hard_stream_has_every_outcome() -> None:
    """Otherwise the test above would prove little."""
    found = set()
    for seed in range(30):
        for outcome in Shop(ALL).run(hard(seed)).total.outcomes:
            found.add((outcome.predictor, outcome.outcome >= 0))
    assert found == {(predictor.name, yes) for predictor in PREDICTORS for yes in (True, False)}


def test_with_a_rate_of_zero_nothing_is_kept() -> None:
    shop = Shop(replace(ALL, predictions=PredictionSettings(learn_rate=0.0))).run(hard(1))
    assert not shop.pending.rows
    assert not shop.total.outcomes


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


# --- learning


def outcomes(count: int = 400, seed: int = 3) -> list[Outcome]:
    """Of shoppers who buy if they have put something into the cart in this visit, as a rule."""
    rng = random.Random(seed)
    purchase = BY_NAME["purchase"]
    found = []
    trainer = PredictionTrainer(ALL.predictions)
    for n in range(count):
        carts = rng.random() < 0.3
        profile = fold(None, event("ann", "cart" if carts else "view", T0 + n, "a", "shoes"), ALL.profile)
        keys, rows = purchase.describe(Moment(profile, T0 + n, ALL.predictions, ALL.profile))
        x = np.array(rows, "<f2").tobytes()
        waited = Open("purchase", purchase.features_id, 1, n, T0 + n, T0 + n, HOUR_MS, keys, x)
        yes = rng.random() < (0.6 if carts else 0.02)
        found.append(outcome_of(waited, 0 if yes else NONE_OF_THEM, trainer))
    return found


def test_it_learns_what_there_is_to_learn_and_is_calibrated() -> None:
    trainer = PredictionTrainer(replace(ALL.predictions, metrics_memory=500))
    for example in outcomes(4000):
        trainer.learn_one(example)
    told = trainer.metrics()["purchase"]
    assert told["auc"] > 0.85
    assert told["calibration_error"] < 0.05
    assert told["outcomes"] == 4000
    assert told["rate"] == pytest.approx(0.3 * 0.6 + 0.7 * 0.02, abs=0.05)


def test_what_tells_buyers_from_others_weighs_most() -> None:
    trainer = PredictionTrainer(ALL.predictions)
    for example in outcomes(1000):
        trainer.learn_one(example)
    weighs = trainer.importance()["purchase"]
    assert next(iter(weighs)) in {"in_cart", "carted_now", "newest_in_cart", "cart_rate"}
    assert trainer.importance()["churn"] == {}


def test_outcomes_are_scored_before_they_are_learned_from() -> None:
    trainer = PredictionTrainer(ALL.predictions)
    (first,) = outcomes(1)
    trainer.learn_one(first)
    said = first.served()[0]
    loss = -np.log(said if first.outcome == 0 else 1 - said)
    assert trainer.metrics()["purchase"]["logloss"] == pytest.approx(loss, abs=1e-6)


@pytest.mark.parametrize("cut", [1, 150, 399])
def test_a_trainer_goes_on_from_its_state_and_its_blocks_are_served(cut: int) -> None:
    shown = outcomes()
    whole, first = PredictionTrainer(ALL.predictions), PredictionTrainer(ALL.predictions)
    for example in shown:
        whole.learn_one(Outcome.decode(example.encode()) or pytest.fail("is not read"))
    for example in shown[:cut]:
        first.learn_one(example)
    again = PredictionTrainer(ALL.predictions)
    assert again.restore(first.state()) == ""
    for example in shown[cut:]:
        again.learn_one(example)
    assert again.digest() == whole.digest()
    assert again.metrics()["purchase"]["auc"] == whole.metrics()["purchase"]["auc"]
    assert again.importance() == whole.importance()

    served = Served()
    blocks = whole.blocks()
    assert set(blocks) == {PREDICT + "purchase"}
    assert all(served.apply(key, block) for key, block in blocks.items())
    assert whole.blocks() == {}
    x = shown[0].x_many()
    features = BY_NAME["purchase"].features_id
    assert served.probabilities("purchase", features, x) == whole.probabilities("purchase", features, x)
    assert served.version("purchase") == 1


@pytest.mark.parametrize("name", list(BY_NAME))
def test_a_block_of_another_predictor_or_damaged_brings_the_priors_back(name: str) -> None:
    trainer = PredictionTrainer(ALL.predictions)
    for example in outcomes(50):
        trainer.learn_one(example)
    block = trainer.state()[PREDICT + "purchase"]
    served, fresh = Served(), Served()
    if name != "purchase":
        assert not served.apply(PREDICT + name, block)
        assert served.problem
    assert not served.apply(PREDICT + name, block[:-3])
    assert not served.apply(PREDICT + name, b"")
    x = np.ones((len(BY_NAME[name].names), 1))
    features = BY_NAME[name].features_id
    assert served.probabilities(name, features, x) == fresh.probabilities(name, features, x)
    assert served.apply(PREDICT + "weather", b"")
    assert served.apply("champion/logistic", b"")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80))
def test_what_is_no_outcome_is_not_read_as_one(noise: bytes) -> None:
    found = Outcome.decode(noise)
    assert found is None or found.version == 1


def test_an_outcome_with_a_byte_damaged_is_refused_or_leaves_a_finite_model() -> None:
    (whole,) = outcomes(1)
    for at in range(len(whole.encode())):
        damaged = bytearray(whole.encode())
        damaged[at] ^= 0xFF
        trainer = PredictionTrainer(ALL.predictions)
        if (read := Outcome.decode(bytes(damaged))) is not None:
            trainer.learn_one(read)
        assert np.isfinite(trainer.probabilities("purchase", BY_NAME["purchase"].features_id, whole.x_many())).all()


def test_a_row_of_the_table_survives_its_encoding() -> None:
    shop = Shop(ALL).run(hard(4))
    rows = shop.pending.get_many(sorted(shop.pending.rows))
    assert rows
    assert all(isinstance(row, Slot) and row.opens for row in rows)


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
