"""Predictions that wait: their outcomes as worked out by hand, what is kept meanwhile, for any cut into batches."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.events import group_key
from streamer.core.prediction_settings import PredictionSettings
from streamer.core.predictions import pending as module
from streamer.core.predictions.pending import Pending, Settled, Slot
from streamer.core.predictions.predictor import NONE_OF_THEM
from streamer.core.predictions.registry import PREDICTORS
from streamer.core.profile import Profile, fold
from streamer.core.settings import DAY_MS, HOUR_MS, MINUTE_MS, CoreSettings
from tests.core.foreseen import ALL, event
from tests.core.task_shop import T0, Shop, record
from tests.examples import examples

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamer.core.events import Event
    from streamer.core.record import Record


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


@settings(max_examples=examples(25))
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


def test_a_row_of_the_table_survives_its_encoding() -> None:
    shop = Shop(ALL).run(hard(4))
    rows = shop.pending.get_many(sorted(shop.pending.rows))
    assert rows
    assert all(isinstance(row, Slot) and row.opens for row in rows)
