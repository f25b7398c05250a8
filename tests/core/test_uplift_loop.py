"""From a push to what it taught: sent or held back, responded to, settled by a timer, learned, served, decided by."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from random import Random
from typing import TYPE_CHECKING

import msgspec
import pytest

from streamer.core.campaigns.campaign import NEXT
from streamer.core.learners import Learners
from streamer.core.settings import DAY_MS, HOUR_MS, MINUTE_MS, CoreSettings, PolicySettings
from streamer.core.timers import read_due_key
from streamer.core.uplift.model import SHAPES, UPLIFT
from streamer.core.uplift_settings import UpliftSettings
from tests.core.task_shop import T0, Shop, browsing, record, tick

if TYPE_CHECKING:
    from streamer.core.record import Record

POLICY = PolicySettings(score_threshold=0.0, per_hour=9, per_day=9, min_gap_ms=1, repeat_window_ms=1, try_share=0.0)
SETTINGS = CoreSettings(policy=POLICY)
WINDOW = SETTINGS.uplift.window_ms
START = T0 + 30 * DAY_MS


@cache
def start() -> Shop:
    shop = Shop(SETTINGS).run(browsing(600, users=40, step_ms=1000))
    shop.publish()
    return shop


def shop(settings: CoreSettings = SETTINGS) -> Shop:
    return Shop(settings, start().index)


def view(user: str = "ann", time: int = START, item: str = "item-1") -> Record:
    return record(user, "view", time, item=item, category="category-1", price=9.0)


def feedback(kind: str, of: Shop, time: int, user: str = "ann") -> Record:
    return record(user, kind, time, candidate_id=of.total.decisions[-1].candidate_id)


def settled(of: Shop, now: int) -> Shop:
    """Ticks as a task makes them, as long as something is due."""
    while any(read_due_key(key)[0] <= now for key in of.due.keys):
        of.run([tick(now)])
    return of


def held_back(part: float) -> CoreSettings:
    return replace(SETTINGS, campaigns=(msgspec.structs.replace(NEXT, control_share=part),))


def test_a_push_waits_until_its_last_window_is_over_and_becomes_a_response() -> None:
    world = shop().run([view()])
    assert world.reasons() == ["sent"]
    world.run(
        [feedback("push_clicked", world, START + 1000), record("ann", "purchase", START + HOUR_MS, item="item-2")]
    )
    settled(world, START + WINDOW - 1)
    assert world.total.responses == []
    settled(world, START + WINDOW)
    (response,) = world.total.responses
    assert (response.pushed, response.clicked, response.bought, response.opted_out) == (True, True, True, False)
    assert response.chance == 1.0
    assert world.total.slates_counts == {"kept": 1, "joined": 1, "settled": 1}


def test_what_is_held_back_is_measured_alike() -> None:
    """A campaign's control group: nothing is sent, and the purchase is seen all the same."""
    for part, pushed in ((0.0, True), (1.0 - 1e-9, False)):
        world = shop(held_back(part)).run([view(), record("ann", "purchase", START + 1000, item="item-2")])
        assert len(world.total.candidates) == pushed
        (response,) = settled(world, START + WINDOW).total.responses
        assert (response.pushed, response.bought) == (pushed, True)
        assert response.chance == pytest.approx(1.0 - part)


def test_a_row_of_features_is_that_of_the_decision_whatever_came_after() -> None:
    """What was learned from had been known when it was decided: nothing leaks."""
    after = [
        record("ann", "purchase", START + 1, item="item-1"),
        record("ann", "cart", START + 2, item="item-3"),
        record("ann", "push_dismissed", START + 3, candidate_id="f" * 32),
    ]
    alone, busy = shop().run([view()]), shop().run([view(), *after])
    settled(alone, START + WINDOW)
    settled(busy, START + WINDOW)
    assert alone.total.responses[0].x == busy.total.responses[0].x
    assert alone.total.responses[0].expected == busy.total.responses[0].expected
    assert (alone.total.responses[0].bought, busy.total.responses[0].bought) == (False, True)


def test_an_opt_out_is_told_whether_said_to_the_notification_or_in_the_preferences() -> None:
    for said in ("feedback", "preferences"):
        world = shop().run([view()])
        if said == "feedback":
            world.run([feedback("push_unsubscribed", world, START + 1000)])
        else:
            world.run([record("ann", "preferences", START + 1000, preferences={"consent": False})])
        assert settled(world, START + WINDOW).total.responses[0].opted_out


def test_of_an_erased_shopper_nothing_waits_and_nothing_is_learned() -> None:
    erase = record("ann", "preferences", START + 1000, preferences={"erase": True})
    for cuts in ((), (1,)):
        world = shop().run([view(), erase], cuts)
        assert world.slates.rows == {}
        assert settled(world, START + 30 * DAY_MS).total.responses == []
        assert world.due.keys == set()


def test_worth_and_reasons_stand_in_the_decision_and_untaught_it_sends_as_the_score_does() -> None:
    """Whether it goes by uplift or by the score: up to each shopper's first push, which may then have been in vain."""
    by_score = replace(SETTINGS, policy=replace(POLICY, worth_by="score"))
    stream = browsing(300, users=30, seed=3, step_ms=MINUTE_MS)
    ours, theirs = shop().run(stream), shop(by_score).run(stream)

    def first(world: Shop) -> dict[str, list[str]]:
        reasons: dict[str, list[str]] = {}
        for decision in world.total.decisions:
            if "sent" not in reasons.setdefault(decision.user, []):
                reasons[decision.user].append(decision.reason)
        return reasons

    assert first(ours) == first(theirs)
    sent = [decision for decision in ours.total.decisions if decision.reason == "sent"]
    assert len(sent) > 100
    assert all(decision.worth is not None and decision.worth > 0 for decision in sent)


def taught(kind: str) -> dict[str, bytes]:
    """Blocks of a learner to which pushes of this shop's did good, or harm."""
    from tests.core.persuasion import KINDS, respond

    random, learners = Random(4), Learners(SETTINGS)
    world = shop().run([view(f"user-{n}", START + n, f"item-{n % 9}") for n in range(40)])
    rows = [each.x for each in settled(world, START + DAY_MS + WINDOW).total.responses]
    for n in range(1500):
        learners.learn(respond(random, KINDS[kind], rows[n % len(rows)], held_back=0.4).encode())
    return {key: block for key, block in learners.published().items() if key.startswith(UPLIFT)}


@cache
def taught_once(kind: str) -> dict[str, bytes]:
    return taught(kind)


def serving(kind: str, settings: CoreSettings = SETTINGS) -> Shop:
    world = shop(settings)
    for key, block in taught_once(kind).items():
        assert world.uplift.apply(key, block)
    return world


@pytest.mark.slow
def test_what_was_learned_decides_persuadables_are_sent_and_sleeping_dogs_let_lie() -> None:
    assert set(taught_once("persuadable")) == {UPLIFT + name for name in SHAPES}
    assert serving("persuadable").run([view()]).reasons() == ["sent"]
    assert serving("sleeping dog").run([view()]).reasons() == ["not_worth_it"]


def test_what_is_not_worth_it_is_neither_a_push_nor_held_back() -> None:
    """It binds no cap, and nothing waits for its responses."""
    world = serving("sleeping dog").run([view()])
    assert world.slates.rows == {}
    assert world.policy.get_many(["ann"])[0] is None or not world.policy.get_many(["ann"])[0].sent  # type: ignore[union-attr]


def test_a_few_that_are_not_worth_it_are_sent_to_find_out_with_their_probability() -> None:
    trying = replace(SETTINGS, policy=replace(POLICY, try_share=0.25))
    world = serving("sleeping dog", trying).run([view(f"user-{n}", START + n) for n in range(400)])
    sent = [decision for decision in world.total.decisions if decision.reason == "sent"]
    assert 70 < len(sent) < 130
    assert {decision.propensity for decision in sent} == {0.25}
    assert set(world.reasons()) == {"sent", "not_worth_it"}


def test_a_worker_decides_alike_whatever_the_cut_when_it_values_by_what_was_learned() -> None:
    settings = replace(held_back(0.3), policy=replace(POLICY, try_share=0.2, holdout_share=0.1))
    random, stream = Random(2), []
    for n in range(250):
        user, time = f"user-{random.randrange(12)}", START + n * 20 * MINUTE_MS
        kind = random.choice(["view", "cart", "purchase", "view", "view", "tick"])
        if kind == "tick":
            stream.append(tick(time))
        else:
            stream.append(record(user, kind, time, id=str(n), item=f"item-{n % 20}", category="category-2", price=5.0))
    whole = serving("persuadable", settings).run(stream)
    assert min(whole.total.slates_counts[what] for what in ("kept", "settled")) > 20
    assert {response.pushed for response in whole.total.responses} == {True, False}
    for cuts in (range(1, len(stream)), range(7, len(stream), 13)):
        again = serving("persuadable", settings).run(stream, cuts)
        assert again.result() == whole.result()
        assert again.due.keys == whole.due.keys


def test_without_slates_nothing_waits_and_nothing_is_learned() -> None:
    world = shop(replace(SETTINGS, uplift=UpliftSettings(open_slates=0))).run([view()])
    assert world.reasons() == ["sent"]
    assert world.slates.rows == {}
    assert world.due.keys == set()


def test_learners_learn_a_response_and_go_on_from_their_table() -> None:
    from tests.core.persuasion import responses

    stream = [each.encode() for each in responses(3, 120, held_back=0.3)]
    through = Learners(SETTINGS)
    table: dict[str, bytes] = {}
    for value in stream[:60]:
        assert through.learn(value)
    assert set(through.published()) >= {UPLIFT + name for name in SHAPES}
    table |= {key: row for key, row in through.rows().items() if row is not None}
    other = Learners(SETTINGS)
    assert other.restore(table) == []
    for value in stream[60:]:
        through.learn(value)
        other.learn(value)
    assert other.digests()["uplift"] == through.digests()["uplift"] != Learners(SETTINGS).digests()["uplift"]
    assert through.metrics()["uplift/lift"]["responses"] == 120.0
