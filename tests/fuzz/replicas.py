"""What workers read from topics of ours, spoilt: index rows, catalog, model blocks, item deltas, examples.

Nobody but the system writes them, but a wrong key, an old producer or a damaged segment must not stop a worker: such a
record is refused as documented and leaves things as they were, and one that is taken must be usable.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from streamer.core.events import item_key
from streamer.core.index import ItemIndex
from streamer.core.items.deltas import ItemDeltas
from streamer.core.items.fold import apply_block, apply_blocks, apply_deltas
from streamer.core.items.rows import index_row
from streamer.core.items.state import ItemState, item_partition, row_key
from streamer.core.learning_settings import LearningSettings
from streamer.core.models.example import Example
from streamer.core.models.model import CHAMPION, ServedModel
from streamer.core.models.registry import FEATURE_NAMES, prior_model
from streamer.core.models.trainer import LEARNER_BLOCK, Trainer
from streamer.core.retrieval_settings import ContentSettings
from streamer.core.settings import CoreSettings, PolicySettings
from tests.core.task_shop import ItemRows, Shop, browsing
from tests.fuzz import promises
from tests.fuzz.mutate import WORDS, dumps, spoil, spoil_bytes
from tests.fuzz.shapes import ITEMS, catalog_row
from tests.fuzz.tally import Broken, held

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from streamer.core.record import Record
    from tests.fuzz.tally import Tally

PER_DECODER: Final = 50
_SETTINGS: Final = CoreSettings(
    policy=PolicySettings(per_hour=10**6, per_day=10**6, min_gap_ms=0, repeat_window_ms=0, score_threshold=0.0),
    learning=LearningSettings(learn_rate=1.0),
)
_CHAMPION: Final = CHAMPION + _SETTINGS.learning.model
_X: Final = np.linspace(-1.0, 8.0, len(FEATURE_NAMES) * 5).reshape(len(FEATURE_NAMES), 5)


class Good:
    """A shop of some history, and what of it travelled: made once, and only read."""

    def __init__(self) -> None:
        self.records: list[Record] = browsing(160, 6, items=20)
        shop = Shop(_SETTINGS)
        self.rows: list[tuple[int, bytes]] = []
        rows = ItemRows()
        self.blocks: list[bytes] = []
        for start in range(0, 120, 40):
            shop.run(self.records[start : start + 40])
            self.blocks += shop.deltas.blocks(1).values()
            for key, state in apply_deltas(shop.deltas, rows, _SETTINGS.items).items():
                rows.states[row_key(key)] = state
                shop.index.apply_row(key, index_row(state, _SETTINGS.items))
            shop.deltas = ItemDeltas()
        self.states = rows.states
        self.rows = [(state.key, index_row(state, _SETTINGS.items)) for state in rows.states.values()]
        self.examples = [example.encode() for example in shop.total.examples]
        trainer = Trainer(_SETTINGS.learning)
        trainer.learn(shop.total.examples)
        self.trained = trainer.state()
        self.profiles = dict(shop.profiles.rows)


def round_of(rng: Random, tally: Tally, good: Good) -> None:
    """``PER_DECODER`` inputs of each."""
    shop = Shop(_SETTINGS)
    shop.profiles.rows.update(good.profiles)
    for key, row in good.rows:
        shop.index.apply_row(key, row)
    for _ in range(PER_DECODER):
        _index_row(rng, tally, shop.index, good)
        _catalog(rng, tally, shop.index)
        _model(rng, tally, shop.model, good)
        _block(rng, tally, good)
        _example(rng, tally, good)
    _trainer(rng, tally, good)
    _still_serves(tally, shop, good)


def _pack(rng: Random, tree: Any, good: bytes) -> bytes:
    try:
        value = msgspec.msgpack.encode(tree)
    except (OverflowError, ValueError, TypeError):  # numbers and strings that MessagePack cannot say
        value = good
    return spoil_bytes(rng, value, good) if rng.random() < 0.25 else value


def _spoilt(rng: Random, good: bytes) -> bytes:
    """MessagePack with a few things changed in its tree or its bytes."""
    tree = msgspec.msgpack.decode(good)
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        spoil(rng, tree, json_text=False)
    return _pack(rng, tree, good)


def _digest(index: ItemIndex) -> tuple[object, ...]:
    """All that an index knows, to compare."""
    arrays = (value.tobytes() for value in vars(index).values() if isinstance(value, np.ndarray))
    lists = (repr(getattr(index, name)) for name in ("_ids", "_titles", "_dense", "_catalog", "version"))
    names = (repr(group.names) for group in (index.categories, index.brands))
    told = repr([(n, [getattr(t, s) for s in t.__slots__]) for n, t in index._seen.items()])
    groups = [of_kind.items() for of_kind in index.tops._groups.values()]
    tops = repr([(n, sorted(t.members), t.floor, t.stale) for group in groups for n, t in group])
    content = index.embeddings.vectors.tobytes(), index.embeddings.held, repr(index.texts._pending)
    near = index._near._neighbours.tobytes(), index._near._amounts.tobytes(), repr(index._near._pending)
    return (*arrays, *lists, *names, *content, told, tops, *near, sorted(index.tops._trending.members))


def _index_row(rng: Random, tally: Tally, index: ItemIndex, good: Good) -> None:
    key, row = rng.choice(good.rows)
    if rng.random() < 0.1:
        key = rng.choice((-1, 0, 2**63, 2**64 - 1, 2**64, 10**30, item_key("item-x")))
    value = None if rng.random() < 0.05 else _spoilt(rng, row)
    before = _digest(index)
    try:
        index.apply_row(key, value)
    except ValueError:
        held("a refused row leaves the index as it was", _digest(index) == before, key, value)
        tally.outcomes["index row", "refused"] += 1
    else:
        tally.outcomes["index row", "taken"] += 1


def _catalog(rng: Random, tally: Tally, index: ItemIndex) -> None:
    item = rng.choice(ITEMS) if rng.random() < 0.8 else rng.choice(WORDS).encode(errors="replace").decode()
    if rng.random() < 0.01:
        item *= 5000
    tree = catalog_row(rng)
    for _ in range(rng.choice((0, 1, 1, 2, 4))):
        spoil(rng, tree)
    value = dumps(rng, tree)
    if rng.random() < 0.2:
        value = spoil_bytes(rng, value)
    before = _digest(index)
    taken = index.apply_catalog(item, None if rng.random() < 0.05 else value)
    held("a refused entry leaves the index as it was", taken or _digest(index) == before, item, value)
    tally.outcomes["catalog entry", "taken" if taken else "refused"] += 1


def _model(rng: Random, tally: Tally, served: ServedModel, good: Good) -> None:
    key = _CHAMPION if rng.random() < 0.9 else rng.choice((CHAMPION, "champion/river", "metrics/champion", "", "x"))
    value = None if rng.random() < 0.05 else _spoilt(rng, good.trained[_CHAMPION])
    before, version = served.predict_many(_X).tobytes(), served.version
    taken = served.apply(key, value)
    p = served.predict_many(_X)
    held("probabilities", bool(((p >= 0) & (p <= 1)).all()), value, p)
    held("a version", served.version >= 0, value)
    if not key.startswith(CHAMPION):
        held("what is no block changes nothing", taken and p.tobytes() == before and served.version == version, key)
    elif not taken:
        held("a refusal says why", served.problem, value)
        held("the priors rank then", p.tobytes() == prior_model().predict_many(_X).tobytes(), value)
    tally.outcomes["model block", "taken" if taken else "refused"] += 1


def _block(rng: Random, tally: Tally, good: Good) -> None:
    value = _spoilt(rng, rng.choice(good.blocks))
    rows = ItemRows()
    rows.states = {key: msgspec.msgpack.decode(msgspec.msgpack.encode(s), type=ItemState) for key, s in _few(rng, good)}
    before = msgspec.msgpack.encode(rows.states)
    try:
        touched = apply_block(value, rows, _SETTINGS.items)
    except ValueError:
        held("a refused block leaves the rows as they were", msgspec.msgpack.encode(rows.states) == before, value)
        tally.outcomes["item block", "refused"] += 1
    else:
        _publishes(touched, value)
        tally.outcomes["item block", "taken"] += 1
        return
    touched, refused = apply_blocks([good.blocks[0], value, good.blocks[1]], rows, _SETTINGS.items)
    held("one bad block among good ones is left out", refused == 1, value)
    _publishes(touched, value)


def _few(rng: Random, good: Good) -> Sequence[tuple[str, ItemState]]:
    return rng.sample(sorted(good.states.items()), 6)


def _publishes(touched: dict[int, ItemState], value: bytes) -> None:
    """What a block made of the rows can be written to the table and published; a replica takes it or refuses it."""
    index = ItemIndex(capacity=64, content=ContentSettings(vector_numbers=3))
    for key, state in touched.items():
        try:
            msgspec.msgpack.decode(msgspec.msgpack.encode(state), type=ItemState)
            row = index_row(state, _SETTINGS.items)
        except (ValueError, OverflowError, ArithmeticError, msgspec.MsgspecError) as error:
            raise Broken("a row that was taken can be published", repr(error), value) from error
        held("a partition", 0 <= item_partition(key, 4) < 4, key)
        with suppress(ValueError):
            index.apply_row(int(row_key(key), 16), row)


def _example(rng: Random, tally: Tally, good: Good) -> None:
    value = _spoilt(rng, rng.choice(good.examples))
    example = Example.decode(value)
    tally.outcomes["example", "refused" if example is None else "taken"] += 1
    if example is None:
        return
    trainer = Trainer(_SETTINGS.learning)
    try:
        trainer.predict(example)
        trainer.learn([example])
    except Exception as error:
        raise Broken("an example that was taken can be learned from", repr(error), value) from error
    held("the model stays finite", trainer.champion.is_finite(), value)
    metrics = trainer.metrics()
    held("the metrics stay finite", not np.isinf(list(metrics.values())).any(), value, metrics)


def _trainer(rng: Random, tally: Tally, good: Good) -> None:
    """The trainer's own rows, damaged on disk: it says so and begins anew, or goes on."""
    for block in (_CHAMPION, LEARNER_BLOCK):
        blocks = {**good.trained, block: _spoilt(rng, good.trained[block])}
        trainer = Trainer(_SETTINGS.learning)
        problem = trainer.restore(blocks)
        try:
            trainer.learn([example for each in good.examples[:3] if (example := Example.decode(each))])
            trainer.metrics()
            again = Trainer(_SETTINGS.learning)
            held("its state is read back", again.restore(trainer.state()) == "", block, blocks[block])
        except Broken:
            raise
        except Exception as error:
            raise Broken("a trainer that was restored learns", repr(error), block, blocks[block]) from error
        held("the model stays finite", trainer.champion.is_finite(), blocks[block])
        tally.outcomes["trainer row", "refused" if problem else "taken"] += 1


def _still_serves(tally: Tally, shop: Shop, good: Good) -> None:
    """Whatever was taken, shoppers are ranked for, and what is sent is as the schemas say."""
    effects = shop.step(good.records[120:])
    held("nobody is lost", effects.counts.total() == effects.counts["applied"] == 40, effects.counts)
    for out in effects.candidates:
        promises.candidate(out.candidate, schema=True)
    for decision in effects.decisions[:20]:
        promises.decision(decision, schema=True)
    tally.checks["shops served from spoilt replicas"] += 1
    tally.checks["candidates from spoilt replicas"] += len(effects.candidates)
