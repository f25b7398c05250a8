"""Vectors: what is taken up after what lies close; learning survives restarts, has bounds, and hangs on no cut."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.core import profile as profiles
from streamer.core.events import Event, Line, item_key, key64
from streamer.core.index import ItemIndex
from streamer.core.models.example import Example
from streamer.core.predictions.example import Outcome
from streamer.core.queries import Queries
from streamer.core.retrieval_settings import RetrievalSettings
from streamer.core.settings import ProfileSettings
from streamer.core.vector_settings import VectorSettings
from streamer.core.vectors.block import BLOCKS, block_of, decode_block, encode_block
from streamer.core.vectors.learner import OWN, OnlineVectors
from streamer.core.vectors.step import MOST_TAKEN, Step, step_of

if TYPE_CHECKING:
    from streamer.core.packed import Recent
    from streamer.core.profile import Profile

SMALL = VectorSettings(learn_rate=1.0, size=8, together=4, negatives=16, remembered=64, recents=4, kept=10_000)
T0 = 1_700_000_000_000


def key(name: object) -> int:
    return item_key(f"item-{name}")


def step(before: list[int], taken: list[int]) -> Step:
    return Step(np.array(before, "<u8").tobytes(), np.array(taken, "<u8").tobytes())


def two_kinds(count: int, seed: int = 1, items: int = 10) -> list[Step]:
    """Shoppers who keep to the one kind of items or to the other."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        kind = rng.choice("ab")
        chosen = [key(f"{kind}{rng.randrange(items)}") for _ in range(4)]
        found.append(step(chosen[:3], chosen[3:]))
    return found


def taught(steps: list[Step], settings: VectorSettings = SMALL) -> OnlineVectors:
    learner = OnlineVectors(settings)
    for one in steps:
        learner.learn(one)
    return learner


def vector(learner: OnlineVectors, name: object) -> np.ndarray:
    found = learner.vector(key(name))
    assert found is not None
    return found


def view(user: str, number: int, *items: object, kind: str = "view", time: int | None = None) -> Event:
    lines = tuple(Line(f"item-{item}", key(item)) for item in items)
    identity = f"{user}-{number}"
    return Event(user, identity, "test", kind, T0 + number * 1000 if time is None else time, key64(identity), lines)


# -- steps


def test_a_step_is_what_was_taken_up_and_what_before_it_newest_first():
    profile = None
    for number in range(6):
        profile = profiles.fold(profile, view("u", number, number), ProfileSettings())
    found = step_of(view("u", 9, "x", "y", "x"), profile, SMALL)
    assert found is not None
    assert found.keys() == ([key(n) for n in (5, 4, 3, 2)], [key("x"), key("y")])


def test_a_first_event_and_one_out_of_order_and_one_of_no_interest_teach_nothing():
    profile = profiles.fold(None, view("u", 5, 1), ProfileSettings())
    assert step_of(view("u", 1, 2), None, SMALL) is None
    assert step_of(view("u", 1, 2), profile, SMALL) is None
    assert step_of(view("u", 9, 2, kind="refund"), profile, SMALL) is None
    assert step_of(view("u", 9), profile, SMALL) is None
    assert step_of(view("u", 9, 2), profile, SMALL) is not None


def test_the_share_of_events_that_teach_is_as_set():
    profile = profiles.fold(None, view("u", 0, 1), ProfileSettings())
    taken = sum(step_of(view("u", n, 2), profile, replace(SMALL, learn_rate=0.25)) is not None for n in range(1, 4001))
    assert 850 < taken < 1150
    assert step_of(view("u", 1, 2), profile, replace(SMALL, learn_rate=0.0)) is None


def test_of_an_order_of_hundreds_of_lines_a_few_are_learned_from():
    profile = profiles.fold(None, view("u", 0, 1), ProfileSettings())
    found = step_of(view("u", 1, *range(2, 300)), profile, SMALL)
    assert found is not None
    assert len(found.keys()[1]) == MOST_TAKEN


def test_a_step_is_read_back_and_is_neither_an_example_nor_an_outcome():
    one = step([1, 2], [3])
    assert Step.decode(one.encode()) == one
    assert Example.decode(one.encode()) is None
    assert Outcome.decode(one.encode()) is None


@given(st.binary(max_size=64) | st.builds(lambda a, b: Step(a, b).encode(), st.binary(), st.binary()))
def test_bytes_that_are_no_step_are_told_so(value: bytes):
    found = Step.decode(value)
    if found is not None:
        before, taken = found.keys()
        assert before
        assert taken


# -- learning


def test_what_is_taken_up_after_each_other_comes_to_lie_close():
    learner = taught(two_kinds(3000))
    near, far = [], []
    for n in range(1, 10):
        one, like, unlike = vector(learner, "a0"), vector(learner, f"a{n}"), vector(learner, f"b{n}")
        near.append(float(one @ like))
        far.append(float(one @ unlike))
    assert min(near) > max(far)


def test_the_loss_is_told_before_a_step_is_learned_from_and_falls():
    assert taught(two_kinds(40)).loss > taught(two_kinds(4000)).loss + 0.3


@given(st.lists(st.integers(0, 300), max_size=4))
def test_a_learner_restored_wherever_goes_on_as_if_it_had_never_stopped(stops: list[int]):
    steps, learner, table = two_kinds(300, items=60), OnlineVectors(SMALL), dict[str, bytes]()
    for number, one in enumerate(steps):
        if number in stops:
            for name, row in learner.rows().items():
                table.pop(name, None) if row is None else table.__setitem__(name, row)
            learner = OnlineVectors(SMALL)
            assert not learner.restore(table)
        learner.learn(one)
    assert learner.digest() == taught(steps).digest()


def test_items_that_nobody_takes_up_any_more_are_forgotten_and_memory_is_bounded():
    settings = replace(SMALL, kept=120)
    rng, learner, table = random.Random(1), OnlineVectors(settings), dict[str, bytes]()
    for number in range(4000):
        low = number // 20
        learner.learn(step([key(low + rng.randrange(20)) for _ in range(3)], [key(low + rng.randrange(20))]))
        assert len(learner) <= settings.kept
        if number % 500 == 499:
            for name, row in learner.rows().items():
                table.pop(name, None) if row is None else table.__setitem__(name, row)
    assert learner.vector(key(0)) is None
    assert learner.vector(key(3999 // 20 + 5)) is not None
    assert sum(name.startswith(OWN) for name in table) <= settings.kept
    again = OnlineVectors(settings)
    assert not again.restore(table)
    assert again.digest() == learner.digest()


def test_vectors_of_another_size_are_learned_anew_and_their_rows_go():
    table = {name: row for name, row in taught(two_kinds(100)).rows().items() if row is not None}
    other = OnlineVectors(replace(SMALL, size=16))
    assert "size" in other.restore(table)
    gone = [name for name, row in other.rows().items() if row is None]
    assert set(gone) == {name for name in table if name.startswith(OWN)}
    assert other.restore({"trainer/vectors": b"\xff"})


def test_numbers_stay_finite_whatever_the_rate():
    learner = taught(two_kinds(2000), replace(SMALL, rate=10.0))
    assert all(np.isfinite(vector(learner, f"a{n}")).all() for n in range(10))


@pytest.mark.parametrize(
    "wrong", [{"learn_rate": 2.0}, {"size": 1}, {"rate": 0.0}, {"recents": 0}, {"together": 0}, {"kept": 10}]
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float]):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        VectorSettings(**wrong)  # type: ignore[arg-type]


# -- blocks and the index


def published(learner: OnlineVectors, index: ItemIndex, most: int = BLOCKS) -> int:
    blocks = learner.published(most)
    for name, block in blocks.items():
        index.vectors.apply(name, block)
    return len(blocks)


def known(index: ItemIndex, name: object) -> np.ndarray:
    index.vectors.settle()
    found: np.ndarray = index.vectors.vectors[index.dense(key(name))].astype(np.float32)
    return found


def test_what_is_published_bit_by_bit_is_in_the_end_what_was_learned():
    learner, index, blocks = taught(two_kinds(500)), ItemIndex(), 0
    while some := published(learner, index, most=3):
        assert some <= 3
        blocks += some
    assert blocks == len({block_of(key(f"{kind}{n}")) for kind in "ab" for n in range(10)})
    for n in range(10):
        np.testing.assert_allclose(known(index, f"a{n}"), vector(learner, f"a{n}"), rtol=1e-3, atol=1e-4)


def test_an_item_that_its_block_does_not_name_any_more_has_no_vector():
    index, keys = ItemIndex(), np.array(sorted([key(1), key(1) ^ (BLOCKS * 8)]), np.uint64)
    name = block_of(key(1))
    assert {block_of(int(one)) for one in keys} == {name}
    index.vectors.apply(name, encode_block(keys, np.ones((2, 4), np.float32)))
    index.vectors.settle()
    other = int(keys[keys != key(1)][0])
    assert index.vectors.length[index.dense(other)] > 0
    index.vectors.apply(name, encode_block(keys[keys == key(1)], np.ones((1, 4), np.float32)))
    index.vectors.settle()
    assert index.vectors.length[index.dense(other)] == 0
    assert index.vectors.length[index.dense(key(1))] > 0
    index.vectors.apply(name, None)
    index.vectors.settle()
    assert not index.vectors.length.any()


def test_a_damaged_block_is_refused_and_changes_nothing():
    index = ItemIndex()
    good = encode_block(np.array([key(1)], np.uint64), np.ones((1, 4), np.float32))
    index.vectors.apply("vec/001", good)
    for bad in (b"", b"\x02" + good[1:], good[:-1], good[:-2] + b"\xff\xff"):
        with pytest.raises(ValueError):  # noqa: PT011 - whatever it says, it is refused
            index.vectors.apply("vec/001", bad)
    index.vectors.settle()
    assert index.vectors.length[index.dense(key(1))] > 0
    assert decode_block(good)[0].tolist() == [key(1)]


def shoppers(count: int) -> list[Profile]:
    rng = random.Random(3)
    found = []
    for n in range(count):
        profile = None
        for number in range(rng.randint(1, 12)):
            item = f"{rng.choice('ab')}{rng.randrange(12)}"
            profile = profiles.fold(profile, view(f"u{n}", number, item), ProfileSettings())
        assert profile is not None
        found.append(profile)
    return found


def likenesses(index: ItemIndex, some: list[Profile], items: list[int]) -> np.ndarray:
    """Products and cosines [2, shoppers, items]."""
    queries = Queries(RetrievalSettings())
    for profile in some:
        queries.add(profile, T0 + 60_000)
    asked = queries.asked(index)
    query, item = np.repeat(np.arange(len(some)), len(items)), np.array(items * len(some), np.int64)
    return np.array(index.vectors.likeness(asked.factors, query, item)).reshape(2, len(some), len(items))


def test_how_well_an_item_fits_a_shopper_is_theirs_alone_and_as_the_plain_formula_has_it():
    learner, index = taught(two_kinds(600)), ItemIndex()
    for kind in "ab":
        for n in range(12):  # ten of a kind have a vector, two have none
            index.apply_catalog(f"item-{kind}{n}", msgspec.json.encode({"title": f"{kind} {n}"}))
    published(learner, index)
    some, items = shoppers(30), [index.dense(key(f"{kind}{n}")) for kind in "ab" for n in range(12)]
    together = likenesses(index, some, items)
    for n, profile in enumerate(some):
        assert np.array_equal(likenesses(index, [profile], items)[:, 0], together[:, n])
        weights = [(known(index, name_of(recent.key)), 0.75**place) for place, recent in enumerate(newest(profile))]
        weights = [(vector, weight) for vector, weight in weights if vector.any()]
        if weights:
            mean = sum(vector * weight for vector, weight in weights) / sum(weight for _, weight in weights)
            plain = [float(known(index, f"{kind}{item}") @ mean) for kind in "ab" for item in range(12)]
            np.testing.assert_allclose(together[0, n], plain, rtol=1e-4, atol=1e-4)
    without = [place for place, item in enumerate(items) if not index.vectors.length[item]]
    assert len(without) == 4
    assert not together[:, :, without].any()
    assert (np.abs(together[1]) <= 1.001).all()


def newest(profile: Profile) -> list[Recent]:
    return profile.recents()[::-1][:8]


NAMES = {key(f"{kind}{n}"): f"{kind}{n}" for kind in "ab" for n in range(12)}


def name_of(item: int) -> str:
    return NAMES[item]
