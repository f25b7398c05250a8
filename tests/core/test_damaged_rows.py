"""Rows of topics and tables of ours that decode and yet are damaged: refused, and nothing is left half done.

Each was found by fuzzing; before, it ended the process that read it, and every one that came after.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from streamer.core.catalog import is_item_id, read_entry
from streamer.core.events import item_key
from streamer.core.index import ItemIndex
from streamer.core.items.blocks import BLOCK_VERSION as BLOCK_OF_ITEMS
from streamer.core.items.blocks import LineColumns, PairColumns, Told
from streamer.core.items.fold import apply_block
from streamer.core.items.rows import index_row
from streamer.core.items.state import ItemState
from streamer.core.learning_settings import LearningSettings
from streamer.core.models.example import Example
from streamer.core.models.model import BLOCK_VERSION, ServedModel
from streamer.core.models.registry import FEATURE_NAMES, FEATURES_ID
from streamer.core.models.trainer import CHAMPION_BLOCK, LEARNER_BLOCK, LearnerRow, Trainer
from streamer.core.retrieval_settings import ItemSettings
from tests.core.task_shop import ItemRows

pack = msgspec.msgpack.encode
DEEP = b"\x91" * 100_000 + b"\xc0"
"""An array in an array in an array …"""

KEY = item_key("item-1")
ROW: list[Any] = [
    1,
    "item-1",
    3,
    1,
    0,
    9,
    ["shoes", "acme", ""],
    950,
    1.0,
    2.0,
    -10.0,
    b"\x01" + b"\0" * 7,
    b"\0\0\x80?",
]
FIELDS = ("version", "item", "views", "carts", "purchases", "first_s", "words", "price", "trend", "popularity", "level")


def row(**fields: Any) -> bytes:
    """An index row of item-1."""
    return pack([fields.get(name, value) for name, value in zip((*FIELDS, "near", "amounts"), ROW, strict=True)])


def nested(encoded: bytes) -> bytes:
    """One element more, nested more deeply than any decoder follows."""
    return bytes([encoded[0] + 1]) + encoded[1:] + DEEP


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (-1, row(item="")),
        (2**64, row(item="")),
        (KEY + 1, row()),
        (KEY, row(item="item-" + "4" * 4000)),
        (KEY, row(views=-20)),
        (KEY, row(price=-1)),
        (KEY, row(trend=math.nan)),
        (KEY, row(popularity=math.inf)),
        (KEY, row(level=math.inf)),
        (KEY, nested(row())),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_damaged_index_row_is_refused_and_the_index_stays_as_it_was(key: int, value: bytes) -> None:
    """Not half mentioned either."""
    index = ItemIndex(capacity=8)
    with pytest.raises(ValueError, match=r"\w"):
        index.apply_row(key, value)
    assert (len(index), index.version) == (0, 0)
    assert not index.keys.any()
    index.apply_row(KEY, row())
    assert index.id_of(index.dense(KEY)) == "item-1"


def test_an_amount_that_is_no_number_makes_no_neighbour() -> None:
    """Nor does an infinite or a negative one; the others stay."""
    amounts = np.array([math.nan, 2.0, math.inf, -1.0], "<f4").tobytes()
    index = ItemIndex(capacity=16)
    index.apply_row(KEY, row(near=np.arange(11, 15, dtype="<u8").tobytes(), amounts=amounts))
    ids, found = index.neighbours(np.array([index.dense(KEY)]))
    assert [int(index.keys[near]) for near in ids[0] if near >= 0] == [12]
    assert found[0].tolist() == [2.0] + [0.0] * (len(found[0]) - 1)


@pytest.mark.parametrize("item", ["", "i" * 257, "ü" * 129, "\x01" * 43, b"item-\xff".decode(errors="replace")])
def test_a_catalog_entry_whose_id_no_candidate_can_carry_is_refused(item: str) -> None:
    """Ids are never cut, so a push about it would be larger than a push may be."""
    index = ItemIndex(capacity=8)
    assert not is_item_id(item)
    assert not index.apply_catalog(item, b"{}")
    assert len(index) == 0
    assert index.apply_catalog("i" * 256, b"{}")


def test_texts_of_the_catalog_are_cut_as_those_of_events_are() -> None:
    """Every worker holds all of them in memory."""
    entry = read_entry(pack_json(title="t" * 999, categories=["c" * 999], brand="b" * 999))
    assert entry is not None
    assert (len(entry.title), len(entry.category), len(entry.brand)) == (128, 128, 128)


def pack_json(**fields: Any) -> bytes:
    """JSON."""
    return msgspec.json.encode(fields)


@pytest.mark.parametrize(
    "told",
    [{"key": -1}, {"words_ms": -1}, {"price_cents": 2**64 - 1}],
    ids=repr,
)
def test_a_block_that_tells_what_cannot_be_is_refused(told: dict[str, Any]) -> None:
    """It would be in a row for good."""
    sent = msgspec.structs.replace(Told(1, "item-1", ("", "", ""), 0, 0, 0), **told)
    with pytest.raises(msgspec.ValidationError):
        apply_block(pack([BLOCK_OF_ITEMS, [sent], [], []]), ItemRows(), ItemSettings())


@pytest.mark.parametrize(
    "sums",
    [{"counts": -1}, {"counts": 2**53 + 1}, {"first_ms": -1}, {"trends": 2**62 + 1}, {"interests": -(2**62) - 1}],
    ids=repr,
)
def test_a_block_of_impossible_sums_is_refused(sums: dict[str, int]) -> None:
    """Added up twice they would be more than a row can hold."""
    one = np.array([1], np.int64)
    good = LineColumns(np.array([KEY], np.uint64), np.ones((4, 1), np.int64), one, one, one, one)
    columns = replace(good, **{n: np.full_like(getattr(good, n), value) for n, value in sums.items()}).packed()
    with pytest.raises(ValueError, match="out of range"):
        apply_block(pack([BLOCK_OF_ITEMS, [], [(5, 5, columns)], []]), ItemRows(), ItemSettings())
    apply_block(pack([BLOCK_OF_ITEMS, [], [(5, 5, good.packed())], []]), ItemRows(), ItemSettings())
    with pytest.raises(ValueError, match="fit together"):
        apply_block(pack([BLOCK_OF_ITEMS, [], [(5, 5, good.packed()[:-1])], []]), ItemRows(), ItemSettings())
    with pytest.raises(msgspec.ValidationError):
        apply_block(pack([BLOCK_OF_ITEMS, [], [(2**63, 5, good.packed())], []]), ItemRows(), ItemSettings())


def test_a_block_of_impossible_amounts_or_nesting_is_refused() -> None:
    """Sums of 64-bit integers would wrap around."""
    one, two = np.array([1], np.uint64), np.array([2], np.uint64)
    for amount in (-1, 2**62 + 1):
        columns = PairColumns(one, two, np.array([amount], np.int64)).packed()
        with pytest.raises(ValueError, match="out of range"):
            apply_block(pack([BLOCK_OF_ITEMS, [], [], [(5, columns)]]), ItemRows(), ItemSettings())
    with pytest.raises(ValueError, match="too deeply"):
        apply_block(nested(pack([BLOCK_OF_ITEMS, [], [], []])), ItemRows(), ItemSettings())


def test_sums_end_where_64_bits_do() -> None:
    """An item that everybody looks at stays within its row."""
    state = ItemState(KEY, "item-1")
    for _ in range(3):
        state.count(1, 0, 0, 0, 1, 1, (7, 2**61), (7, 2**61))
        state.relate(7, {2: 2**61})
    assert (state.trend, state.popularity, state.pairs) == ((7, 2**62, 0), (7, 2**62, 0), {2: 2**62})
    assert msgspec.msgpack.decode(pack(state), type=ItemState) == state
    index_row(state, ItemSettings())


def block(**fields: Any) -> bytes:
    """A model block."""
    good = {
        "format": BLOCK_VERSION, "kind": "logistic", "version": 3, "features": FEATURES_ID, "bias": -5.0,
        "weights": np.zeros(len(FEATURE_NAMES)).tobytes(),
    }  # fmt: skip
    return pack(list({**good, **fields}.values()))


@pytest.mark.parametrize(
    "value",
    [
        block().replace(b"logistic", b"logist\xa4c"),
        block(version=-1),
        block(weights=np.full(len(FEATURE_NAMES), 1e308).tobytes()),
        block(bias=1e300),
        nested(block()),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_damaged_model_is_refused_and_the_priors_rank(value: bytes) -> None:
    """Whatever is wrong with it."""
    served = ServedModel()
    assert served.apply(CHAMPION_BLOCK, block())
    assert served.version == 3
    assert not served.apply(CHAMPION_BLOCK, value)
    assert (served.version, bool(served.problem)) == (0, True)


def example(**fields: Any) -> bytes:
    """An example of two rows."""
    ones = np.ones(2, "<f4").tobytes()
    good = {
        "version": 1, "fingerprint": 5, "time_ms": 6, "features_id": FEATURES_ID, "model_version": 0,
        "x": np.ones(2 * len(FEATURE_NAMES), "<f2").tobytes(), "labels": b"\1\0", "weights": ones, "p": ones,
    }  # fmt: skip
    return pack(list({**good, **fields}.values()))


@pytest.mark.parametrize(
    "fields",
    [
        {"labels": b"\2\0"},
        {"weights": np.array([math.nan, 1], "<f4").tobytes()},
        {"weights": np.array([-1, 1], "<f4").tobytes()},
        {"p": np.array([math.inf, 1], "<f4").tobytes()},
        {"x": np.full(2 * len(FEATURE_NAMES), math.inf, "<f2").tobytes()},
    ],
    ids=repr,
)
def test_a_damaged_example_is_none(fields: dict[str, Any]) -> None:
    """So that nobody has to ask again."""
    assert Example.decode(example()) is not None
    assert Example.decode(example(**fields)) is None
    assert Example.decode(nested(example())) is None


def test_an_example_of_another_list_of_features_is_counted_and_not_learned_from() -> None:
    """As there are after an upgrade that adds a feature: predicting for it raised, and the trainer could not go on."""
    trainer = Trainer(LearningSettings())
    for value in (
        example(features_id=1, x=np.ones(2 * 3, "<f2").tobytes()),
        example(x=np.ones(2 * 3, "<f2").tobytes()),
    ):
        older = Example.decode(value)
        assert older is not None
        assert np.isnan(trainer.predict(older)).tolist() == [True, True]
        trainer.learn([older])
    assert (trainer.refused, trainer.examples) == (2, 0)


@pytest.mark.parametrize("damage", ["counts", "squares", "metrics", "nesting"])
def test_a_trainer_whose_row_is_damaged_still_learns(damage: str) -> None:
    """From its priors if need be; its next state is sound."""
    trainer = Trainer(LearningSettings())
    good = Example.decode(example())
    assert good is not None
    trainer.learn([good])
    blocks = trainer.state()
    kept = msgspec.msgpack.decode(blocks[LEARNER_BLOCK], type=LearnerRow)
    if damage == "counts":
        blocks[LEARNER_BLOCK] = pack(msgspec.structs.replace(kept, examples=2**64 - 1))
    elif damage == "squares":
        blocks[LEARNER_BLOCK] = pack(msgspec.structs.replace(kept, squares=(-np.ones(len(FEATURE_NAMES))).tobytes()))
    elif damage == "metrics":
        sums = np.ones(len(kept.champion.positive) // 8)
        sums[0] = -400.0
        kept.champion.positive = sums.tobytes()
        blocks[LEARNER_BLOCK] = pack(kept)
    else:
        blocks[LEARNER_BLOCK] = nested(blocks[LEARNER_BLOCK])
    again = Trainer(LearningSettings())
    assert bool(again.restore(blocks)) == (damage != "metrics")
    again.learn([good])
    assert again.champion.is_finite()
    assert Trainer(LearningSettings()).restore(again.state()) == ""
    assert not any(math.isinf(figure) for figure in again.metrics().values())
