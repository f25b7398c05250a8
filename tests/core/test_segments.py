"""Segments: clusters of shoppers learned online by River, served to whoever folds, counted by nodes of the index."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river import cluster

from agents.clusters import kmeans
from streamer.campaign_settings import CampaignSettings
from streamer.campaigns import load
from streamer.core import encode
from streamer.core.campaigns.campaign import Audience
from streamer.core.candidates import segment
from streamer.core.events import Event, Line, group_key, item_key
from streamer.core.items.leads import leads_of
from streamer.core.learners import Learners
from streamer.core.models.example import Example
from streamer.core.names import NONE
from streamer.core.packed import AFFINITY, Affinity
from streamer.core.profile import Profile
from streamer.core.segment_settings import SegmentSettings
from streamer.core.segments.clusterer import placed
from streamer.core.segments.portrait import FEATURES_ID, NAMES, ONE, Portrait, numbers, portrait_of
from streamer.core.segments.served import CENTRES, NO_NODE, ServedSegments, encode_centres, nearest, nodes
from streamer.core.segments.trainer import STATE, SegmentTrainer
from streamer.core.settings import DAY_MS, HOUR_MS, MINUTE_MS, CoreSettings, PolicySettings
from streamer.core.vectors.step import Step
from tests.core.shop import ITEMS, RETRIEVAL
from tests.core.task_shop import T0, Shop, browsing, record, tick
from tests.core.test_schemas import valid

if TYPE_CHECKING:
    from collections.abc import Sequence

SMALL = SegmentSettings(learn_rate=1.0, count=3, first=30, step=0.05)
ON = CoreSettings(segments=SMALL)
BASE = (0,) * len(NAMES)


def portrait(x: Sequence[int]) -> Portrait:
    return Portrait(FEATURES_ID, np.array(x, "<i2").tobytes())


def three_kinds(count: int, seed: int = 1) -> list[Portrait]:
    """Shoppers around three places, a hundredth of the way between them apart."""
    rng = random.Random(seed)
    places = [(900, 0, 0), (0, 900, 0), (0, 0, 900)]
    return [
        portrait([v + rng.randint(-9, 9) for v in rng.choice(places)] + [0] * (len(NAMES) - 3)) for _ in range(count)
    ]


def taught(portraits: Sequence[Portrait], told: SegmentSettings = SMALL) -> SegmentTrainer:
    learner = SegmentTrainer(told, kmeans)
    assert all(learner.learn(one) for one in portraits)
    return learner


def served(learner: SegmentTrainer, told: SegmentSettings = SMALL) -> ServedSegments:
    """A worker's, as the topic's blocks make it."""
    found = ServedSegments(told)
    for key, block in learner.blocks().items():
        assert found.apply(key, block)
    return found


# -- what a shopper is


profiles = st.builds(
    Profile,
    st.integers(0, T0),
    st.integers(T0, T0 + DAY_MS),
    counts=st.tuples(*[st.integers(0, 10**6)] * 5),
    sessions=st.integers(1, 10**5),
    session_start_ms=st.integers(0, T0),
    session_events=st.integers(0, 10**6),
    categories=st.lists(st.builds(Affinity, st.integers(1, 2**32 - 1), st.integers(1, 2**62)), max_size=4).map(
        AFFINITY.packed
    ),
    price_weight=st.integers(0, 32),
    price_mean=st.floats(0, 40),
)


@given(st.none() | profiles, st.integers(0, 2 * T0))
def test_the_numbers_of_any_shopper_are_whole_and_about_one_in_size(profile: Profile | None, now_ms: int) -> None:
    """So that no feature drowns the others, and all fit a record that is read back."""
    found = numbers(profile, now_ms)
    assert len(found) == len(NAMES)
    assert all(type(value) is int for value in found)
    assert max(map(abs, found)) <= ONE
    made = portrait(found)
    read = Portrait.decode(made.encode())
    assert read == made
    assert read.numbers() == found


def test_of_who_was_never_seen_there_is_the_hour_and_the_day() -> None:
    """Noon is farther from midnight than the evening is; Saturday is no Friday; the rest is 0."""
    midnight = T0 - T0 % DAY_MS
    at = dict(zip(NAMES, numbers(None, midnight), strict=True))
    assert at["hour_midnight"] == ONE // 2
    assert numbers(None, midnight + 12 * HOUR_MS)[0] == -ONE // 2
    assert numbers(None, midnight + 6 * HOUR_MS)[1] == ONE // 2
    assert not any(numbers(None, midnight)[3:])
    saturday = 1_700_265_600_000  # 2023-11-18
    names = NAMES.index("weekend")
    assert [bool(numbers(None, saturday + days * DAY_MS)[names]) for days in (-1, 0, 1, 2)] == [
        False,
        True,
        True,
        False,
    ]


def test_shoppers_of_one_category_lie_in_one_corner_and_prices_apart() -> None:
    """The category of most interest decides."""

    def shopper(name: str, price: float = 0.0, *, weight: int = 0) -> Profile:
        rows = [Affinity(group_key(name), 100), Affinity(group_key("hats"), 50)]
        return Profile(0, 0, categories=AFFINITY.packed(rows), price_weight=weight, price_mean=price)

    assert numbers(shopper("shoes"), 0) == numbers(shopper("shoes"), 0) != numbers(shopper("phones"), 0)
    cheap, dear, unknown = (numbers(shopper("shoes", price, weight=w), 0)[3] for price, w in ((8, 5), (16, 5), (16, 0)))
    assert cheap == -dear == -ONE
    assert unknown == 0


def test_a_share_of_the_events_of_items_in_order_is_shown_to_the_clustering() -> None:
    """Drawn by the event; of what is out of order nothing, and nothing at all where there are no segments."""
    events = [
        Event("u", str(n), "t", "view", T0, n * 0x9E37_79B9_7F4A_7C15 % 2**64, (Line("a", item_key("a")),))
        for n in range(2000)
    ]
    half = [portrait_of(event, None, SegmentSettings(learn_rate=0.5)) for event in events]
    assert 900 < sum(one is not None for one in half) < 1100
    assert all(portrait_of(event, None, SegmentSettings()) is None for event in events)
    assert portrait_of(events[0], Profile(T0, T0 + 1), SMALL) is None
    assert portrait_of(Event("u", "s", "t", "search", T0, 1, query="a"), None, SMALL) is None


def test_what_is_no_portrait_is_not_read_as_one() -> None:
    """Nor is a portrait read as a record of another learner."""
    made = portrait(BASE).encode()
    assert Example.decode(made) is None
    assert Step.decode(made) is None
    assert Portrait.decode(Portrait(FEATURES_ID, b"\0\0").encode()) is None
    assert Portrait.decode(Portrait(FEATURES_ID, b"\xff\x7f" * len(NAMES)).encode()) is None
    assert Portrait.decode(b"") is None
    assert Portrait.decode(b"\x92\xa1x\x00") is None


# -- where centres begin, and how they move


def test_centres_begin_among_the_shoppers_and_each_kind_has_one() -> None:
    """The same shoppers in the same order give the same; fewer kinds than centres give fewer centres."""
    shoppers = [one.numbers() for one in three_kinds(60)]
    begun = placed(shoppers, 3)
    assert set(begun) <= set(shoppers)
    assert sorted(np.argmax(begun, axis=1).tolist()) == [0, 1, 2]
    assert placed(shoppers, 3) == begun
    assert placed([BASE] * 9, 3) == [BASE]


def test_the_clustering_is_rivers() -> None:
    """Centres are where River's model puts them: bit for bit, from the same beginning."""
    told = three_kinds(200)
    model = cluster.KMeans(n_clusters=3, halflife=SMALL.step)
    for number, centre in enumerate(placed([one.numbers() for one in told[: SMALL.first]], 3)):
        model.centers[number].update({feature: float(value) for feature, value in enumerate(centre)})
    for one in told:
        model.learn_one({feature: float(value) for feature, value in enumerate(one.numbers())})
    assert taught(told).centres().tolist() == [
        [model.centers[k][feature] for feature in range(len(NAMES))] for k in range(3)
    ]


def test_kinds_of_shoppers_become_segments_that_stay_what_they_are() -> None:
    """A thousand shoppers later each kind has its segment still, and nothing is published that has not moved."""
    learner = taught(three_kinds(100))
    worker = served(learner)
    centres = [[900 * (at == kind) for at in range(len(NAMES))] for kind in range(3)]

    def segments() -> list[int]:
        now = np.rint(learner.centres()).astype(np.int64)
        return [nearest(now, np.array(x, np.int64)) for x in centres]

    before = segments()
    assert sorted(before) == [0, 1, 2]
    assert len(worker) == 3
    for one in three_kinds(1000, seed=5):
        learner.learn(one)
    assert segments() == before
    assert learner.blocks()
    assert learner.blocks() == {}


def test_until_enough_shoppers_came_there_are_no_segments() -> None:
    """Nor with a share of 0, whatever the topic says."""
    few = taught(three_kinds(SMALL.first - 1))
    assert few.blocks() == {}
    assert served(few).segment(None, T0) == NONE
    assert served(few).node(None, T0) == NO_NODE
    off = served(taught(three_kinds(50)), SegmentSettings())
    assert (len(off), off.node(None, T0)) == (0, NO_NODE)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 120))
def test_a_learner_goes_on_from_its_row_as_if_there_had_been_no_end(cut: int) -> None:
    """Before and after the centres are placed: the same centres, figures and digest, bit for bit."""
    told = three_kinds(120)
    whole = taught(told)
    first = taught(told[:cut])
    second = SegmentTrainer(SMALL, kmeans)
    assert second.restore({key: row for key, row in first.rows().items() if row is not None}) == ""
    for one in told[cut:]:
        second.learn(one)
    assert second.digest() == whole.digest()
    assert second.metrics() == whole.metrics()
    assert second.blocks() == whole.blocks()


def test_what_was_kept_under_other_settings_or_is_damaged_begins_anew_and_says_so() -> None:
    """Nothing of it shows."""
    rows = {key: row for key, row in taught(three_kinds(50)).rows().items() if row is not None}
    row = msgspec.msgpack.decode(rows[STATE])
    nan = np.full(3 * len(NAMES), np.nan).tobytes()
    for kept, told in (
        (rows, replace(SMALL, count=4)),
        ({STATE: b"damaged"}, SMALL),
        ({STATE: msgspec.msgpack.encode([*row[:-1], b"\0" * 8])}, SMALL),
        ({STATE: msgspec.msgpack.encode([*row[:-1], nan])}, SMALL),
    ):
        learner = SegmentTrainer(told, kmeans)
        assert learner.restore(kept) != ""
        assert learner.digest() == SegmentTrainer(told, kmeans).digest()


@cache
def kept_row() -> bytes:
    row = taught(three_kinds(50)).rows()[STATE]
    assert row is not None
    return row


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_bytes_that_are_damaged_are_refused_or_used_and_never_raise(data: st.DataObject) -> None:
    """A row, a block and a record with a byte or two altered; whatever is taken can be learned from and served."""

    def damaged(whole: bytes) -> bytes:
        at = data.draw(st.lists(st.integers(0, len(whole) - 1), min_size=1, max_size=2))
        altered = bytearray(whole)
        for place in at:
            altered[place] = data.draw(st.integers(0, 255))
        return bytes(altered)

    learner = SegmentTrainer(SMALL, kmeans)
    learner.restore({STATE: damaged(kept_row())})
    read = Portrait.decode(damaged(portrait(BASE).encode()))
    if read is not None:
        assert learner.learn(read)
    assert np.isfinite(learner.centres()).all()
    worker = served(learner)
    block = encode_centres(np.zeros((2, len(NAMES)), np.int64), 7, 50)
    assert worker.apply(CENTRES, damaged(block)) == (not worker.problem)
    assert NONE <= worker.segment(None, T0) < max(len(worker), 1)


def test_portraits_of_another_list_of_features_are_counted_and_not_learned_from() -> None:
    """They are what an older worker sent."""
    learner = taught(three_kinds(40))
    centres = learner.centres().tolist()
    learner.learn(Portrait(FEATURES_ID ^ 1, b"\0" * 8))
    assert learner.centres().tolist() == centres
    assert learner.metrics()["segments/kmeans"]["refused"] == 1


def test_the_learners_have_segments_only_with_a_clustering() -> None:
    """Without one a portrait is a record of no known kind, and told as such."""
    sent = [one.encode() for one in three_kinds(40)]
    learners = Learners(ON, clusters=kmeans)
    assert all(learners.learn(one) for one in sent)
    assert CENTRES in learners.published()
    without = Learners(ON)
    assert not without.learn(sent[0])
    assert without.digests() == Learners(ON).digests()


# -- what is served


def test_a_block_that_cannot_be_used_leaves_no_segments() -> None:
    """Nor does a tombstone; what is no block of segments is passed over."""
    worker = served(taught(three_kinds(50)))
    good = encode_centres(np.zeros((2, len(NAMES)), np.int64), 7, 50)
    for bad in (b"", b"\xc1", good[:-1], msgspec.msgpack.encode([9, FEATURES_ID, 7, 50, b""]), None):
        assert worker.apply(CENTRES, good)
        assert len(worker) == 2
        assert worker.apply(CENTRES, bad) == (bad is None)
        assert bool(worker.problem) == (bad is not None)
        assert worker.segment(None, T0) == NONE
    assert worker.apply("segments/of another program", b"")


@given(
    st.lists(st.lists(st.integers(-ONE, ONE), min_size=5, max_size=5), min_size=1, max_size=9),
    st.lists(st.integers(-ONE, ONE), min_size=5, max_size=5),
)
def test_the_segment_is_that_of_the_nearest_centre_ties_to_the_smaller(centres: list[list[int]], x: list[int]) -> None:
    """Against the plain sums."""
    away = [sum((a - b) ** 2 for a, b in zip(centre, x, strict=True)) for centre in centres]
    assert nearest(np.array(centres, np.int64), np.array(x, np.int64)) == away.index(min(away))


def test_centres_that_begin_anew_are_counted_by_nodes_of_their_own() -> None:
    """What segment 0 took was another segment's."""
    assert set(nodes(1, 8)).isdisjoint(nodes(2, 8))
    assert len(set(nodes(1, 8))) == 8
    assert nodes(1, 4) == nodes(1, 8)[:4]


# -- through a task


SHOPS = ("shoes", "phones")


def told_apart() -> Shop:
    """Two kinds of shoppers, one of cheap shoes and one of dear phones, and segments learned of them."""
    rng = random.Random(3)
    shop, learners = Shop(ON), Learners(ON, clusters=kmeans)
    shop.views = replace(shop.views, segments=ServedSegments(SMALL))
    for n in range(300):
        kind = rng.randrange(2)
        user, name = f"{SHOPS[kind]}-{rng.randrange(10)}", f"{SHOPS[kind]}-item-{rng.randrange(6)}"
        words = {"category": SHOPS[kind], "price": (9.0, 900.0)[kind]}
        effects = shop.step([record(user, "view", T0 + n * MINUTE_MS, id=str(n), item=name, **words)])
        assert all(learners.learn(one.encode()) for one in effects.portraits)
        for key, block in learners.published().items():
            shop.views.segments.apply(key, block)
    shop.publish()
    return shop


@cache
def whole_shop() -> Shop:
    """Read-only."""
    return told_apart()


def segment_at(shop: Shop, user: str) -> int:
    (profile,) = shop.profiles.get_many([user])
    assert profile is not None
    return shop.views.segments.segment(profile, shop.total.now)


def test_kinds_of_shoppers_are_told_apart_by_a_task() -> None:
    """All of one kind are in one segment, those of the other in another."""
    shop = whole_shop()
    of_kind = [{segment_at(shop, user) for user in shop.profiles.rows if user.startswith(kind)} for kind in SHOPS]
    assert all(of_kind)
    assert of_kind[0].isdisjoint(of_kind[1])


def proposed(shop: Shop, node: int) -> list[str]:
    """What a shopper of whom nothing is known but the segment is offered."""
    from streamer.core.queries import Queries

    queries = Queries(RETRIEVAL)
    queries.add(None, shop.total.now, segment=node)
    made = segment.propose(queries.asked(shop.index), shop.index, RETRIEVAL)
    assert (np.diff(made.scores[0]) <= 0).all()
    assert 0.0 < made.scores[0].sum() <= 1.0
    return [shop.index.id_of(item) for item in made.item.tolist()]


def test_a_newcomer_is_offered_what_their_segment_takes_and_nothing_of_the_others() -> None:
    """After a single event of a kind."""
    shop = told_apart()
    shop.step([record("new", "view", shop.total.now + 1000, item="shoes-item-0", category="shoes", price=9.0)])
    (profile,) = shop.profiles.get_many(["new"])
    found = proposed(shop, shop.views.segments.node(profile, shop.total.now))
    assert len(found) > 3
    assert all(name.startswith("shoes") for name in found)


def test_who_has_no_segment_is_offered_nothing_by_it() -> None:
    """Before the first centres."""
    from streamer.core.queries import Queries

    shop = whole_shop()
    queries = Queries(RETRIEVAL)
    queries.add(None, shop.total.now)
    queries.add(None, shop.total.now, segment=1)  # of a node that nothing led to
    assert len(segment.propose(queries.asked(shop.index), shop.index, RETRIEVAL).item) == 0


def test_what_leads_to_an_item_counts_for_a_segment_if_there_is_one() -> None:
    """Out of order it counts for none."""
    event = Event("u", "1", "t", "cart", T0, 1, (Line("a", item_key("a")),))
    found = [(node, list(items)) for node, items, _ in leads_of(event, None, ITEMS, segment=77).pairs]
    assert (77, [item_key("a")]) in found
    assert all(node != 77 for node, _, _ in leads_of(event, Profile(T0, T0 + 1), ITEMS, segment=77).pairs)
    assert all(node != 0 for node, _, _ in leads_of(event, None, ITEMS).pairs)


def test_what_a_shopper_takes_counts_for_the_segment_they_were_in_before() -> None:
    """As they are asked about: it is the profile before the event, of a newcomer the context, that led there."""
    shop = told_apart()
    now = shop.total.now
    before = shop.views.segments.node(None, now + 1000)
    dear = record("new", "view", now + 1000, item="phones-item-0", category="phones", price=900.0)
    cheap = record("new", "view", now + 2000, item="phones-item-1", category="phones", price=900.0)
    for event in (dear, cheap):
        (touch,) = shop.step([event]).touches
        counted = {node for node, _ in touch.leads.counted} & set(nodes_of(shop))
        assert counted == {before}
        (profile,) = shop.profiles.get_many(["new"])
        before = shop.views.segments.node(profile, now + 2000)
    assert before != shop.views.segments.node(None, now + 1000)


def nodes_of(shop: Shop) -> Sequence[int]:
    return shop.views.segments.nodes


@settings(max_examples=10, deadline=None)
@given(st.sets(st.integers(1, 119), max_size=12))
def test_with_segments_too_nothing_hangs_on_where_a_batch_was_cut(cuts: set[int]) -> None:
    """Rows, candidates, decisions, item deltas and portraits, byte for byte."""
    assert cut_at(frozenset(cuts)) == cut_at(frozenset())


@cache
def cut_at(cuts: frozenset[int]) -> tuple[bytes, list[bytes]]:
    shop = Shop(ON, whole_shop().index)
    shop.views = replace(shop.views, segments=whole_shop().views.segments)
    portraits: list[bytes] = []
    records = browsing(120, users=12)
    edges = [0, *sorted(cuts), len(records)]
    for start, end in pairwise(edges):
        portraits += [one.encode() for one in shop.step(records[start:end]).portraits]
    assert len(portraits) > 50
    return shop.result(), portraits


# -- campaigns


OPEN = PolicySettings(per_hour=100, per_day=100, min_gap_ms=0, repeat_window_ms=0, score_threshold=0.0)


def with_campaign(name: str, audience: Audience | None = None) -> Shop:
    """The shop of two kinds, with a campaign on from now on."""
    (campaign,) = load(CampaignSettings(on=(name,)))
    if audience is not None:
        campaign = msgspec.structs.replace(campaign, audience=audience)
    known = whole_shop()
    made = Shop(replace(ON, policy=OPEN, campaigns=(campaign,)), known.index)
    made.views = replace(made.views, segments=known.views.segments)
    made.total.now = known.total.now
    return made


@pytest.mark.parametrize("meant", [True, False])
def test_a_campaign_for_segments_asks_of_them_and_of_nobody_else(meant: bool) -> None:
    """By the segment at the moment of the asking, the event included."""
    at = whole_shop().total.now + 1000
    view = record("ann", "view", at, item="shoes-item-1", category="shoes", price=9.0)
    alone = with_campaign("next")
    alone.step([view])
    mine = segment_at(alone, "ann")
    chosen = tuple([n for n in range(3) if (n == mine) == meant])
    made = with_campaign("next", Audience(segments=chosen))
    made.step([view])
    assert ("audience" in made.reasons()) != meant


def test_what_trends_in_a_segment_is_told_to_its_newcomers_a_day_later() -> None:
    """And only what shoppers alike took, which they had not seen."""
    made = with_campaign("segment-trending")
    at = made.total.now + 1000
    made.step([record("ann", "view", at, item="shoes-item-1", category="shoes", price=9.0)])
    made.step([tick(at + DAY_MS + MINUTE_MS)])
    (out,) = made.total.candidates
    assert out.candidate.campaign == "segment-trending"
    names = [item.id for item in out.candidate.items]
    assert names
    assert "shoes-item-1" not in names
    assert all(name.startswith("shoes") for name in names)


def test_a_decision_that_was_ranked_tells_the_segment_and_where_there_are_none_it_does_not() -> None:
    """As the schema has it."""
    view = record("ann", "view", whole_shop().total.now + 1000, item="shoes-item-1", category="shoes", price=9.0)
    made, plain = with_campaign("next"), with_campaign("next")
    plain.views = replace(plain.views, segments=ServedSegments())
    rows = []
    for shop in (made, plain):
        shop.step([view])
        (decision,) = shop.total.decisions
        assert decision.features
        rows.append(json.loads(encode.decision(decision)))
        assert valid("decision", rows[-1])
    assert rows[0]["g"] == segment_at(made, "ann")
    assert "g" not in rows[1]
