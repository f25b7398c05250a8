"""The engine, over a small shop: every record has one end, and where a batch is cut cannot be seen."""

from __future__ import annotations

import gc
import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.core.encode import CANDIDATE_BYTES
from streamer.core.encode import candidate as encode_candidate
from streamer.core.events import group_key
from streamer.core.learning_settings import LearningSettings
from streamer.core.partition import partition_of
from streamer.core.policy.registry import REASONS, SENT
from streamer.core.record import Record
from streamer.core.settings import DAY_MS, HOUR_MS, MINUTE_MS, CoreSettings, PolicySettings
from tests.core.task_shop import T0, Shop, browsing, record
from tests.examples import examples

if TYPE_CHECKING:
    from streamer.core.index import ItemIndex

SETTINGS = CoreSettings(policy=PolicySettings(score_threshold=0.0), learning=LearningSettings(learn_rate=0.5))
UNTAUGHT = replace(SETTINGS, learning=LearningSettings(learn_rate=0.0))
WEEK_LATER = T0 + 8 * DAY_MS


@pytest.fixture(scope="module")
def index() -> ItemIndex:
    """What the shop sold in a week before."""
    shop = Shop(SETTINGS).run(browsing(600, users=40, seed=1))
    shop.publish()
    return shop.index


@pytest.fixture
def shop(index: ItemIndex) -> Shop:
    return Shop(SETTINGS, index)


def view(user: str, time: int, item: str = "item-1", **more: object) -> Record:
    return record(user, "view", time, item=item, **more)


def mixed(seed: int, count: int = 60) -> list[Record]:
    """Few users, a hard stream: bursts of triggers, duplicates, late and misplaced ones, opt-outs, erasures."""
    rng = random.Random(seed)
    records: list[Record] = []
    time = T0
    for n in range(count):
        user = f"user-{rng.randrange(4)}"
        time += rng.choice([0, 1000, 5 * MINUTE_MS, 20 * MINUTE_MS, HOUR_MS])
        item = f"item-{rng.randrange(12)}"
        match rng.randrange(20):
            case 0:
                records.append(rng.choice(records) if records else view(user, time))
            case 1:
                records.append(view(user, time - rng.choice([HOUR_MS, 2 * DAY_MS]), item, id=str(n), timestamp=time))
            case 2:
                records.append(view(user, time - 9 * DAY_MS, item, id=str(n), timestamp=time))
            case 3:
                preferences = {"consent": rng.random() < 0.7, "channels": rng.choice([["push"], ["email"], []])}
                records.append(record(user, "preferences", time, id=str(n), preferences=preferences))
            case 4:
                kind = rng.choice(["push_clicked", "push_dismissed", "push_unsubscribed", "push_opened"])
                records.append(record(user, kind, time, id=str(n), candidate_id="c"))
            case 5:
                erase = rng.random() < 0.5
                records.append(record(user, "preferences", time, id=str(n), preferences={"erase": erase}))
            case 6:
                records.append(Record("preferences", 0, n, time, user.encode(), None))
            case 7:
                records.append(Record("browse", 0, n, time, b"user-1", rng.choice([b"", b"{", b"[]", b"\xff"])))
            case 8:
                records.append(view(user, time, item, id=str(n), key=rng.choice([None, b"another"])))
            case 9:
                records.append(record(user, "search", time, id=str(n), query="thing"))
            case 10:
                records.append(record(user, "purchase", time, id=str(n), items=[{"id": item}, {"id": "item-0"}]))
            case _:
                kind = rng.choice(["view", "view", "cart"])
                words = {"category": "category-1", "brand": "brand-1", "price": 9.5}
                records.append(record(user, kind, time, id=str(n), item=item, **words))
    return records


# --- one result, whatever the cut


@settings(max_examples=examples(25))
@given(st.integers(0, 10**6), st.lists(st.integers(1, 59), max_size=12))
def test_where_a_batch_is_cut_cannot_be_seen(index: ItemIndex, seed: int, cuts: list[int]) -> None:
    records = mixed(seed)
    whole = Shop(SETTINGS, index).run(records).result()
    assert Shop(SETTINGS, index).run(records, cuts).result() == whole
    assert Shop(SETTINGS, index).run(records, range(1, len(records))).result() == whole


def test_the_hard_stream_reaches_every_end_and_most_reasons(index: ItemIndex) -> None:
    """Otherwise the test above would prove little."""
    ends, reasons, examples = set(), set(), 0
    for seed in range(30):
        shop = Shop(SETTINGS, index).run(mixed(seed))
        ends |= set(shop.total.counts)
        reasons |= set(shop.reasons())
        examples += len(shop.total.examples)
    assert ends == {"applied", "duplicate", "late", "rekeyed", "dead_letter"}
    assert {SENT, "consent", "channel", "out_of_order", "min_gap", "hour_cap"} <= reasons
    assert examples > 100


@pytest.mark.parametrize("seed", range(10))
def test_every_record_ends_in_exactly_one_place(index: ItemIndex, seed: int) -> None:
    records = mixed(seed)
    shop = Shop(SETTINGS, index)
    for start in range(0, len(records), 7):
        batch = records[start : start + 7]
        effects = shop.step(batch)
        assert sum(effects.counts.values()) == len(batch)
        assert len(effects.rekeyed) == effects.counts["rekeyed"]
        assert len(effects.dead_letters) == effects.counts["dead_letter"]


def test_a_shop_on_the_whole_is_the_same_cut_or_not(index: ItemIndex) -> None:
    records = browsing(400, users=15, seed=3)
    one_by_one = Shop(SETTINGS, index).run(records, range(1, len(records)))
    whole = Shop(SETTINGS, index).run(records)
    assert one_by_one.result() == whole.result()
    assert whole.total.candidates


# --- stage 1: where records belong


def test_a_batch_is_gone_once_it_is_done(index: ItemIndex) -> None:
    """No cycle may keep its arrays, megabytes each, until the collector comes by: workers have it come seldom."""
    shop = Shop(SETTINGS, index)
    shop.run(mixed(1))
    gc.collect()
    gc.disable()
    try:
        for seed in range(2, 12):
            shop.step(mixed(seed))
        assert shop.total.candidates
        assert shop.total.dead_letters
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_record_under_another_key_or_on_another_partition_is_re_keyed_and_not_folded(index: ItemIndex) -> None:
    here, there = (next(f"u{n}" for n in range(100) if partition_of(f"u{n}", 4) == p) for p in (2, 3))
    shop = Shop(SETTINGS, index, partition=2, partitions=4)
    records = [
        view(here, T0),
        view(here, T0 + 1, key=None),
        view(there, T0 + 2),
        view(there, T0 + 3, key=here.encode()),
    ]
    shop.run(records)
    assert [(r.offset, user) for r, user in shop.total.rekeyed] == [(1, here), (2, there), (3, there)]
    assert set(shop.profiles.rows) == set(shop.seen.rows) == {here}
    assert shop.total.now == T0


def test_what_is_still_misplaced_on_ingress_is_a_dead_letter(shop: Shop) -> None:
    shop.run([view("a", T0, topic="ingress"), view("b", T0, topic="ingress", key=b"c")])
    assert shop.total.counts == {"applied": 1, "dead_letter": 1}
    assert [letter.reason for letter in shop.total.dead_letters] == ["misrouted"]


def test_poison_is_a_dead_letter_and_the_rest_goes_on(shop: Shop) -> None:
    poison = Record("browse", 0, 5, T0, b"u", b"\x00{{{")
    shop.run([view("u", T0), poison, view("u", T0 + 1)])
    assert shop.total.counts == {"applied": 2, "dead_letter": 1}
    assert shop.total.dead_letters[0].record is poison


def test_an_event_whose_folding_raises_is_a_dead_letter_and_leaves_no_trace(shop: Shop, index: ItemIndex) -> None:
    """The row of what a user did is cut off: hers alone is not folded."""
    shop.seen.rows["w"] = msgspec.msgpack.encode(b"cut off")
    good = [view("u", T0), view("u", T0 + 1, "item-2"), record("v", "cart", T0 + 2, item="item-3")]
    shop.run([good[0], view("w", T0), good[1], good[2], view("w", T0 + 9)])
    assert [letter.reason for letter in shop.total.dead_letters] == ["handler_error"] * 2
    assert shop.total.counts == {"applied": 3, "dead_letter": 2}
    assert shop.profiles.rows == Shop(SETTINGS, index).run(good).profiles.rows
    assert shop.total.now == T0 + 2


# --- stage 2: duplicates, late, order


def test_a_duplicate_changes_nothing(shop: Shop) -> None:
    shop.run([view("u", T0)])
    before = dict(shop.profiles.rows)
    shop.run([view("u", T0), view("u", T0)])
    assert shop.profiles.rows == before
    assert shop.total.counts == {"applied": 1, "duplicate": 2}
    assert len(shop.total.decisions) == 1


def test_late_is_per_user_and_out_of_order_is_not_late(shop: Shop) -> None:
    records = [
        view("u", WEEK_LATER, id="newest"),
        view("u", WEEK_LATER - 7 * DAY_MS, id="at the edge", timestamp=WEEK_LATER),
        view("u", WEEK_LATER - 7 * DAY_MS - 1, id="beyond", timestamp=WEEK_LATER),
        view("v", WEEK_LATER - 30 * DAY_MS, id="another's", timestamp=WEEK_LATER),
    ]
    shop.run(records)
    assert shop.total.counts == {"applied": 3, "late": 1}
    assert shop.reasons()[1] == "out_of_order"
    assert shop.reasons()[2] == "expired"
    assert shop.total.now == WEEK_LATER


def test_a_no_is_never_too_late_to_be_heard(shop: Shop) -> None:
    old = WEEK_LATER - 30 * DAY_MS
    shop.run(
        [
            view("u", WEEK_LATER, "item-1"),
            view("v", WEEK_LATER, "item-1"),
            record("u", "push_unsubscribed", old, candidate_id="c", timestamp=WEEK_LATER),
            record("v", "preferences", old, preferences={"consent": False}, timestamp=WEEK_LATER),
            view("u", WEEK_LATER + HOUR_MS),
            view("v", WEEK_LATER + HOUR_MS),
        ]
    )
    assert shop.reasons()[2:] == ["consent", "consent"]


def test_stream_time_is_the_largest_accepted_time(shop: Shop) -> None:
    shop.run([view("u", T0 + 5), view("v", T0), view("u", T0 + 5)])
    assert shop.total.now == T0 + 5
    shop.run([Record("browse", 0, 0, T0 + HOUR_MS, b"u", b"{}")])
    assert shop.total.now == T0 + 5


# --- stage 5: the policy


def test_of_several_triggers_in_one_batch_the_first_is_sent_and_the_second_refused(index: ItemIndex) -> None:
    shop = Shop(UNTAUGHT, index)
    shop.run([view("u", T0), view("u", T0 + 1000, "item-2"), record("u", "cart", T0 + 2000, item="item-2")])
    assert shop.reasons() == [SENT, "min_gap", "min_gap"]
    assert shop.total.ranked == 3


def test_most_refusals_cost_no_ranking_once_the_push_is_stored(index: ItemIndex) -> None:
    shop = Shop(UNTAUGHT, index)
    shop.run([view("u", T0), view("u", T0 + 1000), view("u", T0 + 2000)], cuts=(1, 2))
    assert shop.reasons() == [SENT, "min_gap", "min_gap"]
    assert shop.total.ranked == 1


def test_caps_hold_over_a_day_of_views(shop: Shop) -> None:
    shop.run(
        [view("u", T0 + n * 10 * MINUTE_MS, f"item-{n % 30}", id=str(n)) for n in range(6 * 36)], range(3, 200, 11)
    )
    sent = [int(decision.origin.rpartition(":")[2]) for decision in shop.total.decisions if decision.reason == SENT]
    assert len(sent) >= 5
    for window, cap in ((HOUR_MS, 1), (DAY_MS, 4)):
        assert all(sum(0 <= t - start < window for t in sent) <= cap for start in sent)


def test_no_push_after_an_opt_out_in_the_same_batch_and_again_after_a_yes(shop: Shop) -> None:
    def prefers(time: int, *, consent: bool) -> Record:
        return record("u", "preferences", time, preferences={"consent": consent})

    shop.run(
        [
            prefers(T0, consent=False),
            view("u", T0 + 1),
            prefers(T0 + 2, consent=True),
            view("u", T0 + 3),
        ]
    )
    assert shop.reasons() == ["consent", SENT]


def test_a_tombstone_unsays_the_preferences(shop: Shop) -> None:
    tombstone = Record("preferences", 0, 9, T0 + 10, b"u", None)
    shop.run([record("u", "preferences", T0, preferences={"channels": ["fax"]}), view("u", T0 + 5)])
    shop.run([tombstone, view("u", T0 + 20)])
    assert shop.reasons() == ["channel", SENT]
    assert shop.total.counts == {"applied": 4}
    late_word = record("u", "preferences", T0 + 5, preferences={"channels": ["email"]})
    other = Shop(SETTINGS, shop.index).run([tombstone, late_word, view("u", T0 + 20)])
    assert [out.candidate.channel for out in other.total.candidates] == ["push"]


@pytest.mark.parametrize("no", [{"consent": False}, {"channels": []}])
def test_a_tombstone_does_not_unsay_a_no(shop: Shop, no: dict[str, Any]) -> None:
    """It is what a deleted account leaves behind, and nobody asks for pushes with that."""
    tombstone = Record("preferences", 0, 9, T0 + 10, b"u", None)
    shop.run([record("u", "preferences", T0, preferences=no), tombstone, view("u", T0 + 20)])
    assert shop.reasons() == ["channel" if "channels" in no else "consent"]
    erase = record("v", "preferences", T0 + 10, preferences={"erase": True})
    shop.run([record("v", "preferences", T0, preferences=no), erase, view("v", T0 + 20)])
    assert shop.reasons()[1:] == ["channel" if "channels" in no else "consent"]


@pytest.mark.parametrize("no", [{"erase": True, "consent": False}, {"channels": []}, {"consent": False}])
def test_a_no_from_before_an_erasure_that_is_read_after_it_holds(shop: Shop, no: dict[str, Any]) -> None:
    """Also one that was said along with an erasure of its own, which is none any more."""
    shop.run([view("u", T0), record("u", "preferences", T0 + 10, preferences={"erase": True})])
    shop.run([record("u", "preferences", T0 + 5, preferences=no, id="late"), view("u", T0 + HOUR_MS)])
    assert shop.reasons()[1:] == ["channel" if "channels" in no else "consent"]
    assert "u" in shop.profiles.rows


def test_an_order_that_is_read_too_late_still_says_what_the_shopper_has(shop: Shop) -> None:
    """It moves nothing else of the profile, and counts once."""
    first, later = view("u", T0), view("u", T0 + 20 * DAY_MS)
    shop.run([first, later])
    (before,) = shop.profiles.get_many(["u"])
    late = record("u", "purchase", T0 + DAY_MS, items=[{"id": "item-3"}])
    shop.run([late, late])
    (after,) = shop.profiles.get_many(["u"])
    assert before is not None
    assert after is not None
    assert shop.total.counts == {"applied": 2, "late": 2}
    assert [(bought.time_s, bought.orders) for bought in after.bought()] == [((T0 + DAY_MS) // 1000, 1)]
    assert msgspec.structs.replace(after, purchased=before.purchased) == before


def test_an_erased_user_is_forgotten_and_older_input_is_dropped(shop: Shop) -> None:
    shop.run([view("u", T0), view("v", T0), record("u", "preferences", T0 + 10, preferences={"erase": True})])
    assert set(shop.profiles.rows) == set(shop.seen.rows) == {"v"}
    shop.run([view("u", T0 + 10, id="again"), view("u", T0)])
    assert shop.total.counts == {"applied": 3, "late": 2}
    assert set(shop.profiles.rows) == {"v"}
    shop.run([view("u", T0 + HOUR_MS)])
    assert set(shop.profiles.rows) == {"u", "v"}


def test_a_no_said_along_with_an_erasure_outlives_it(shop: Shop) -> None:
    wish = {"erase": True, "consent": False}
    shop.run([view("u", T0), record("u", "preferences", T0 + 10, preferences=wish), view("u", T0 + 3 * HOUR_MS)])
    assert shop.reasons() == [SENT, "consent"]


@pytest.mark.parametrize("how", ["preferences", "push_unsubscribed"])
def test_a_no_of_before_an_erasure_is_heard_and_nothing_else_of_then(shop: Shop, how: str) -> None:
    """What else the record says is forgotten; a yes of then is late."""
    shop.run([view("u", T0), record("u", "preferences", T0 + 10, preferences={"erase": True})])
    wish = {"consent": False, "channels": ["email"]}
    said = {"preferences": wish} if how == "preferences" else {"candidate_id": "f" * 32}
    yes = record("u", "preferences", T0 + 6, preferences={"consent": True})
    shop.run([record("u", how, T0 + 5, **said), yes, view("u", T0 + 3 * HOUR_MS)])
    assert shop.reasons() == [SENT, "consent"]
    assert shop.total.counts == {"applied": 4, "late": 1}
    (state,) = shop.policy.get_many(["u"])
    assert state is not None
    assert state.standing.channels is None


def test_what_was_bought_or_pushed_is_not_pushed(shop: Shop, index: ItemIndex) -> None:
    first = shop.run([view("u", T0)]).total.candidates[0].candidate
    pushed = {item.id for item in first.items}
    shop.run([view("u", T0 + 2 * HOUR_MS)])
    second = shop.total.candidates[1].candidate
    assert pushed.isdisjoint(item.id for item in second.items)
    bought = [{"id": item.id} for item in first.items]
    other = Shop(SETTINGS, index).run([record("w", "purchase", T0 - 1, items=bought), view("w", T0)])
    assert pushed.isdisjoint(item.id for item in other.total.candidates[0].candidate.items)


def test_a_share_of_triggers_is_ranked_and_the_rest_says_so(index: ItemIndex) -> None:
    some = replace(SETTINGS, policy=replace(SETTINGS.policy, rank_rate=0.1))
    shop = Shop(some, index).run([view(f"u{n}", T0 + n) for n in range(1000)])
    assert set(shop.reasons()) == {SENT, "not_sampled"}
    assert 60 <= shop.reasons().count(SENT) <= 140
    assert shop.total.ranked == shop.reasons().count(SENT) + len(shop.total.examples)


def test_the_threshold_silences(index: ItemIndex) -> None:
    strict = replace(SETTINGS, policy=replace(SETTINGS.policy, score_threshold=1.1))
    assert Shop(strict, index).run([view("u", T0)]).reasons() == ["low_score"]


def test_an_empty_shop_has_nothing_to_offer() -> None:
    shop = Shop(SETTINGS).run([record("u", "search", T0, query="thing")])
    assert shop.reasons() == ["no_candidates"]


def test_a_candidate_is_explained_and_points_back_to_its_trigger(shop: Shop) -> None:
    shop.run([view("u", T0, offset=77, produced_at=0)])
    out = json.loads(encode_candidate(shop.total.candidates[0].candidate))
    assert out["trigger"] == {"type": "view", "event_id": f"view-{T0}", "topic": "browse", "partition": 0, "offset": 77}
    assert 1 <= len(out["items"]) <= 3
    scores = [item["score"] for item in out["items"]]
    assert scores == sorted(scores, reverse=True)
    assert out["reasons"]
    assert all(isinstance(words, str) and words for words in out["reasons"])
    assert set(out["template"]["vars"]) == {"title", "brand", "price"}
    assert out["template"]["vars"]["title"]
    assert out["model_version"] == shop.model.version


def test_a_push_of_many_items_with_long_ids_is_as_long_as_a_payload_and_decided_as_sent() -> None:
    """What a decision says was shown is what the candidate shows."""
    many = replace(UNTAUGHT, policy=replace(UNTAUGHT.policy, slate_items=20))
    items = [f"{n:02}" + "i" * 250 for n in range(30)]
    viewed = [record(f"u{n % 3}", "view", T0 + n * 60_000, id=f"v{n}", item=items[n % 30]) for n in range(90)]
    shop = Shop(many).run(viewed)
    shop.publish()
    later = Shop(many, shop.index).run([record("ann", "view", WEEK_LATER, id="now", item=items[0])])
    sent, told = later.total.candidates[0].candidate, later.total.decisions[0]
    assert 3 < len(sent.items) < 20
    assert tuple([item.id for item in sent.items]) == told.items
    assert len(encode_candidate(sent)) <= CANDIDATE_BYTES


def test_every_decision_has_a_known_reason_a_propensity_and_versions(index: ItemIndex) -> None:
    for seed in range(5):
        for decision in Shop(SETTINGS, index).run(mixed(seed)).total.decisions:
            assert decision.reason in REASONS
            assert 0 < decision.propensity <= 1
            assert decision.policy_version
            assert decision.model_version == 0
            if decision.reason == SENT:
                assert decision.candidate_id
                assert decision.items
                assert decision.features


def test_a_candidate_carries_the_time_it_was_produced_at(shop: Shop) -> None:
    trigger = msgspec.structs.replace(view("u", T0), headers=(("produced_at", b"123"),))
    shop.run([trigger])
    assert shop.total.candidates[0].produced_at == b"123"


# --- learning


def test_examples_are_made_of_known_users_events_in_order(index: ItemIndex) -> None:
    eager = replace(SETTINGS, learning=LearningSettings(learn_rate=1.0))
    shop = Shop(eager, index)
    shop.run([view("u", T0), view("u", T0 + 1000, "item-0"), view("u", T0 - 1000, "item-0")])
    shop.run([record("u", "remove_from_cart", T0 + 2000, item="item-0"), record("u", "search", T0 + 3000, query="x")])
    assert [example.time_ms for example in shop.total.examples] == [T0 + 1000]
    assert sum(shop.total.examples[0].labels) == 1


def test_the_sample_of_examples_is_of_the_rate_and_of_the_seed(index: ItemIndex) -> None:
    records = browsing(800, users=20, seed=5)

    def learned(seed: int) -> set[int]:
        some = replace(SETTINGS, seed=seed, learning=LearningSettings(learn_rate=0.2))
        return {example.fingerprint for example in Shop(some, index).run(records).total.examples}

    one, again, other = learned(1), learned(1), learned(2)
    assert again == one != other
    assert 40 <= len(one) <= 200


# --- views stand still


def test_a_step_leaves_the_index_and_the_model_as_they_were(shop: Shop) -> None:
    version = shop.index.version
    keys = shop.index.keys.tobytes()
    shop.run(browsing(100, users=5))
    assert (shop.index.version, shop.index.keys.tobytes()) == (version, keys)


def test_stage_seconds_come_from_the_clock_that_was_given(index: ItemIndex) -> None:
    from streamer.core.engine import Engine

    ticks = iter(range(100))
    shop = Shop(SETTINGS, index)
    shop.engine = Engine(SETTINGS, clock=lambda: float(next(ticks)))
    assert shop.step([view("u", T0)]).stage_seconds == dict.fromkeys(
        ["parse", "fold", "retrieve", "score", "decide"], 1.0
    )


def test_the_category_names_of_the_index_are_those_of_the_profiles_keys(index: ItemIndex) -> None:
    assert index.category_name(group_key("category-1")) == "category-1"
