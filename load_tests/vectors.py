"""What the items' vectors cost and bring: learned, stored and used in several ways, on the same lists.

Lists and steps are kept in one replay (``kept.py``; ``--kept FOLDER`` saves them for the next time). Then, for each way
to try, vectors are learned in the order of the log, the two features made of them as of each list, and the listwise net
learned anew: what the lists are worth is paired with the first way's. ``alone``: all items that have a vector ranked
by their product with the shopper's, every so-manieth list; ``would_add``: targets that no family proposed among the
best 40. Times are CPU time of this process.

    python -m load_tests.vectors FILE --every 60 --kept FOLDER --try off --try learn_rate=1 --try rate=0.1,negatives=512
    python -m load_tests.vectors FILE --kept FOLDER --try store=float32 --try store=float16 --try store=int8
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from load_tests.harness import arguments, fixed_loop_s, machine, write
from load_tests.kept import ROW, Lists, Places, keep
from streamer.core.models.trainer import Trainer
from streamer.core.queries import Recents
from streamer.core.sampling import STEPS, share
from streamer.core.settings import CoreSettings
from streamer.core.vectors.index import VectorIndex
from streamer.core.vectors.learner import BY_PLACE, OnlineVectors
from streamer.core.vectors.step import Step
from streamer.evaluation.settings import EvaluateSettings
from streamer.readers.registry import open_events

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from streamer.core.vector_settings import VectorSettings

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

LIST_SIZE, PROPOSED = 20, 40
STORES = ("float32", "float16", "int8")


class Items:
    """Dense numbers of item keys, given at first sight."""

    def __init__(self) -> None:
        self.number: dict[int, int] = {}

    def mention(self, keys: Sequence[int]) -> Ints:
        """As ``ItemIndex`` gives them."""
        number = self.number
        return np.array([number.setdefault(key, len(number)) for key in keys], np.int64)


class Stored(VectorIndex):
    """Vectors kept in another number format than float16; int8 with a scale a vector."""

    def __init__(self, items: Items, store: str) -> None:
        super().__init__(items.mention)
        self.scale = np.ones(0, np.float32)
        self._store = store

    def put(self, keys: NDArray[np.uint64], vectors: NDArray[np.floating[Any]]) -> Ints:
        """As ``VectorIndex.put``."""
        at = super().put(keys, vectors)
        if len(self.scale) < len(self.length):
            kept, codes = self.scale, self._codes
            self.scale = np.ones(len(self.length), np.float32)
            self._codes = np.zeros((len(self.length), vectors.shape[1]), self._store)
            if len(kept):
                self.scale[: len(kept)], self._codes[: len(kept)] = kept, codes
        if self._store == "int8":
            self.scale[at] = np.maximum(np.abs(vectors).max(axis=1), 1e-9) / 127.0
            vectors = np.rint(vectors / self.scale[at][:, None])
        self._codes[at] = vectors.astype(self._store)
        return at

    _codes = np.zeros((0, 0), np.int8)

    def bytes_an_item(self) -> int:
        """Of its vector, its length and its scale."""
        width = self._codes.shape[1] if len(self.scale) else 0
        return width * np.dtype(self._store).itemsize + 4 + (4 if self._store == "int8" else 0)

    def _many(self, items: Ints) -> tuple[Floats, Floats]:
        at = np.where(items < len(self.length), items, -1)
        length = self.length.take(at, mode="wrap").astype(np.float64)
        vectors = self._codes.take(at, axis=0, mode="wrap").astype(np.float64)
        if self._store == "int8":
            vectors *= self.scale.take(at, mode="wrap").astype(np.float64)[:, None]
        return length, np.where(length[:, None] > 0.0, vectors, 0.0)


class Learned:
    """Vectors that are learned as the lists go by, and what is spent on it."""

    def __init__(self, lists: Lists, settings: VectorSettings, store: str) -> None:
        self._lists, self._settings = lists, settings
        self.learner, self.items = OnlineVectors(settings), Items()
        self.index = VectorIndex(self.items.mention) if store == "float16" else Stored(self.items, store)
        self.done = self.learned = 0
        self.step_s = self.likeness_s = 0.0
        self.pools: list[tuple[Recents, Ints]] = []

    def until(self, steps: int) -> None:
        """Learn all that came before a list."""
        lists, rate = self._lists, self._settings.learn_rate
        given = []
        for at in range(self.done, steps):
            if rate >= 1.0 or share(int(lists.taken[at]) + at, STEPS) < rate:
                before = lists.before[at]
                given.append(Step(before[before > 0].tobytes(), lists.taken[at].tobytes()))
        self.done, self.learned = max(self.done, steps), self.learned + len(given)
        began = time.process_time()
        for step in given:
            self.learner.learn(step)
        self.step_s += time.process_time() - began
        self.index.put(*self.learner.changed())

    def recents(self, n: int, query: int = 0) -> Recents:
        """The newest items of a list's shopper."""
        keys = self._lists.recents[n]
        item = self.items.mention(keys[keys > 0].tolist())
        place, nothing = np.arange(len(item)), np.zeros(len(item))
        return Recents(np.full(len(item), query), item, place, place, nothing, nothing, nothing, nothing, nothing)

    def fill(self, n: int, x: Floats) -> None:
        """The features of list ``n``."""
        recents = self.recents(n)
        items = self.items.mention(self._lists.key[self._lists.rows(n)].tolist())
        query = np.zeros(len(items), np.int64)
        began = time.process_time()
        product, cosine = self.index.likeness(self.index.shoppers(1, recents), query, items)
        self.likeness_s += time.process_time() - began
        x[ROW["vectors"]] = np.clip(product * 0.125, -2.0, 4.0)
        x[ROW["vectors_cosine"]] = np.clip(cosine, -1.0, 1.0)

    def shopper(self, n: int) -> NDArray[np.float32] | None:
        """The vector of list ``n``'s shopper, of any length."""
        known = [self.learner.vector(key) for key in self._lists.recents[n].tolist() if key]
        weighted = [weight * v for weight, v in zip(BY_PLACE, known, strict=False) if v is not None]
        return np.sum(weighted, axis=0) if weighted else None

    def alone(self, n: int) -> list[tuple[bool, bool]]:
        """Of each target of list ``n``: whether the best 20 of all items have it, and the best 40 but no family."""
        lists = self._lists
        asked = slice(int(lists.asked[n]), int(lists.asked[n + 1]))
        size, shopper = len(self.items.number), self.shopper(n)
        if shopper is None or not self.index.vectors.shape[1]:
            return [(False, False)] * (asked.stop - asked.start)
        score = self.index.vectors[:size].astype(np.float32) @ shopper
        score[self.index.length[:size] == 0.0] = -np.inf
        best = np.argpartition(-score, min(PROPOSED, size - 1))[:PROPOSED]
        place = {at: n for n, at in enumerate(best[np.argsort(-score[best])].tolist())}
        targets = zip(lists.target[asked].tolist(), lists.row[asked].tolist(), strict=True)
        places = [(place.get(self.items.number.get(key, -1), PROPOSED), row) for key, row in targets]
        return [(at < LIST_SIZE, at < PROPOSED and row < 0) for at, row in places]


def ranked(lists: Lists, learned: Learned | None, alone_every: int) -> tuple[Places, dict[str, Any]]:
    """One pass over the lists: features, scores, learning."""
    places, trainer = Places(lists), Trainer(CoreSettings().learning)
    alone: list[tuple[bool, bool]] = []
    for n in range(len(lists)):
        x = lists.features(n)
        x[[ROW["vectors"], ROW["vectors_cosine"]]] = 0.0
        if learned is not None:
            learned.until(int(lists.steps[n]))
            learned.fill(n, x)
            if alone_every and n % alone_every == 0:
                alone += learned.alone(n)
        p = trainer.champion.predict_many(x)
        places.add(n, p)
        example = lists.example(n, x, p)
        if example is not None:
            trainer.learn_one(example)
    told: dict[str, Any] = places.figures()
    if learned is not None:
        told |= {
            "alone_hr@20": round(sum(hit for hit, _ in alone) / max(len(alone), 1), 4),
            "alone_would_add": round(sum(adds for _, adds in alone) / max(len(alone), 1), 4),
            "steps": learned.learned,
            "us_a_step": round(1e6 * learned.step_s / max(learned.learned, 1), 1),
            "us_a_list": round(1e6 * learned.likeness_s / len(lists), 1),
            "items": len(learned.learner),
        }
        if isinstance(learned.index, Stored):
            told["bytes_an_item"] = learned.index.bytes_an_item()
    return places, told


def batches(lists: Lists, learned: Learned, size: int) -> float:
    """CPU microseconds a list of the two features, of the last lists in batches of ``size``."""
    last = range(max(0, len(lists) - 512), len(lists))
    spent = 0.0
    for start in range(last.start, last.stop - size + 1, size):
        chosen = range(start, start + size)
        parts = [learned.recents(n, at) for at, n in enumerate(chosen)]
        columns = [np.concatenate(each) for each in zip(*(vars_of(part) for part in parts), strict=True)]
        keys = [lists.key[lists.rows(n)].tolist() for n in chosen]
        items = learned.items.mention([key for each in keys for key in each])
        query = np.repeat(np.arange(size), [len(each) for each in keys])
        began = time.process_time()
        learned.index.likeness(learned.index.shoppers(size, Recents(*columns)), query, items)
        spent += time.process_time() - began
    return round(1e6 * spent / (len(last) // size * size), 1)


def vars_of(recents: Recents) -> list[Any]:
    """Its columns, in order."""
    return [getattr(recents, name) for name in Recents.__dataclass_fields__]


def way(text: str) -> tuple[VectorSettings | None, str]:
    """Settings and store of ``NAME=VALUE,…``; ``off`` for no vectors, ``default`` for the settings as they are."""
    settings, store = CoreSettings().vectors, "float16"
    if text == "off":
        return None, store
    for pair in text.split(",") if text != "default" else ():
        name, value = pair.split("=")
        if name == "store":
            if value not in STORES:
                raise ValueError(f"store is one of {', '.join(STORES)}, not {value}")
            store = value
        else:
            settings = replace(settings, **{name: type(getattr(settings, name))(value)})
    return settings, store


def of_lists(about: str) -> argparse.ArgumentParser:
    """The options of a test on kept lists."""
    parser = arguments(about)
    parser.add_argument("file", type=Path, help="events, in any format that `streamer evaluate` reads")
    parser.add_argument("--every", type=int, default=12, help="judge each so-manieth list")
    parser.add_argument("--events", type=int, help="of the file, at most so many")
    parser.add_argument("--kept", type=Path, help="a folder to keep the lists in")
    return parser


def compared(ways: Sequence[str], tried: Callable[[str], tuple[Places, dict[str, Any]]]) -> dict[str, Any]:
    """What is told of each way, and what it is better by than the first."""
    first: Places | None = None
    found: dict[str, Any] = {}
    for name in ways:
        places, found[name] = tried(name)
        if first is None:
            first = places
        else:
            found[name]["above_the_first"] = places.above(first)
        print(name, found[name], flush=True)
    return found


def lists_of(given: Any) -> Lists:
    """Those kept in the folder, or those of the file, which are then kept."""
    if given.kept and (given.kept / "x.npy").exists():
        return Lists.load(given.kept)
    core = CoreSettings()
    core = replace(core, vectors=replace(core.vectors, learn_rate=1.0))
    lists = keep(islice(open_events(given.file), given.events), EvaluateSettings(given.every, 0, "none", core))
    if given.kept:
        lists.save(given.kept)
    return lists


def main() -> None:
    """Measure and report."""
    parser = of_lists(__doc__ or "")
    parser.add_argument("--try", dest="ways", action="append", default=[], help="NAME=VALUE,… | default | off")
    parser.add_argument("--alone-every", type=int, default=10, help="0 for never")
    given = parser.parse_args()
    lists = lists_of(given)

    def tried(text: str) -> tuple[Places, dict[str, Any]]:
        settings, store = way(text)
        learned = None if settings is None else Learned(lists, settings, store)
        places, told = ranked(lists, learned, given.alone_every)
        if learned is not None:
            told["us_a_list_in_batches_of_16"] = batches(lists, learned, 16)
        return places, told

    found = compared(given.ways or ["off", "default"], tried)
    write({"lists": len(lists), "ways": found, "fixed_loop_s": fixed_loop_s(), **machine()}, given.json)


if __name__ == "__main__":
    main()
