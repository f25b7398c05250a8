"""Segments: clusters of shoppers learned online by River, and what of them is served to whoever folds."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import msgspec
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from river import cluster

from agents.clusters import kmeans
from streamer.core.learners import Learners
from streamer.core.names import NONE
from streamer.core.segment_settings import SegmentSettings
from streamer.core.segments.clusterer import placed
from streamer.core.segments.portrait import FEATURES_ID, NAMES, ONE, Portrait
from streamer.core.segments.served import CENTRES, NO_NODE, encode_centres, nearest, nodes
from streamer.core.segments.trainer import STATE, SegmentTrainer
from tests.core.segmented import BASE, ON, SMALL, portrait, served, taught, three_kinds
from tests.core.task_shop import T0

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


@settings(max_examples=25)
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


@settings(max_examples=60)
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
