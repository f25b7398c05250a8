"""What a ranked list costs in computing, by stage and by generator, in batches of 1, 16 and 64 lists.

The events of ``throughput``'s shop, or of a file, are folded by evaluation's engine; the lists are those of the last
shoppers, each as of its own moment. CPU time, not wall clock, and the least of several rounds in which the sizes take
turns. What it costs to take over a session's row is told apart from what the lists cost that ask. With ``--words`` or
``--numbers`` a catalog tells titles or vectors, drawn for each item, and names items that nobody has seen.
"""

from __future__ import annotations

import json
import time
from collections import deque
from dataclasses import replace
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from load_tests.harness import arguments, machine, write
from load_tests.shop.load import shop
from streamer.core import features
from streamer.core.candidates import pool as pools
from streamer.core.candidates.registry import GENERATORS
from streamer.core.models.registry import prior_model
from streamer.core.queries import Queries
from streamer.core.rank import Retrieved, rank, top
from streamer.core.retrieval_settings import ContentSettings
from streamer.evaluation.engine import Engine
from streamer.readers.registry import open_events
from streamer.settings import flags, load

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streamer.core.events import Event
    from streamer.core.index import ItemIndex
    from streamer.core.profile import Profile
    from streamer.core.retrieval_settings import RetrievalSettings
    from streamer.core.settings import CoreSettings

SIZES = (1, 16, 64)
SETTLE_EVERY = 64
UNSEEN = 512
"""Items that only the catalog names."""
WORDS = 2_000
"""Of all titles, the n-th in one of n."""
TITLE = 10

Shopper = tuple["Profile", int, str]


def folded(
    events: Iterable[Event], keep: int, settings: CoreSettings
) -> tuple[Engine, list[Shopper], dict[str, float]]:
    """The engine after all events, who came last and when, and CPU microseconds a group of events."""
    engine, last = Engine(settings), deque[Shopper](maxlen=keep)
    began = time.process_time()
    spent = {"settle": 0.0, "sessions": 0.0}
    groups = 0
    for (now_ms, user), group in groupby(events, key=lambda event: (event.time, event.user)):
        groups += 1
        engine.fold(user, list(group))
        last.append((engine.profile(user), now_ms, user))
        if groups % SETTLE_EVERY == 0:
            at = time.process_time()
            engine.settle()
            settled = time.process_time()
            len(engine.index.sessions)
            spent["settle"] += settled - at
            spent["sessions"] += time.process_time() - settled
    engine.settle()
    spent["all"] = time.process_time() - began
    return engine, list(last), {name: round(1e6 * seconds / groups, 1) for name, seconds in spent.items()}


def describe(index: ItemIndex, numbers: int, seed: int) -> None:
    """A catalog of titles, and of vectors of so many ``numbers``: of all items there are, and of some that are new."""
    draw = np.random.default_rng(seed)
    often = 1.0 / np.arange(1.0, WORDS + 1.0)
    often /= often.sum()
    known = [item for item in map(index.id_of, range(len(index))) if item]
    for item in [*known, *(f"unseen-{n}" for n in range(UNSEEN))]:
        title = " ".join(f"word{n}" for n in draw.choice(WORDS, TITLE, p=often).tolist())
        entry = {"title": title, "vector": draw.normal(size=numbers).round(3).tolist()}
        if not index.apply_catalog(item, json.dumps(entry).encode()):
            raise ValueError(index.problem)


class Laps:
    """CPU seconds by what they were spent on."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.process_time()

    def start(self) -> None:
        """From here on."""
        self._last = time.process_time()

    def __call__(self, name: str) -> None:
        """What was since the last lap was this."""
        now = time.process_time()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now


def stages(engine: Engine, shoppers: Sequence[Shopper], size: int, settings: RetrievalSettings) -> dict[str, float]:
    """CPU seconds of all lists in batches of ``size``: of retrieval, features and scoring, and of retrieval's parts."""
    index, model, lap = engine.index, prior_model(), Laps()
    for start in range(0, len(shoppers), size):
        batch = shoppers[start : start + size]
        queries = Queries(settings)
        for profile, now_ms, user in batch:
            queries.add(profile, now_ms, user=user)
        lap.start()
        asked = queries.asked(index)
        lap("retrieve: profiles to arrays")
        pool = pools.retrieve(asked, index, settings)
        lap("retrieve: candidates")
        ranked = rank(Retrieved(queries, asked, pool), index, model)
        lap("features and score")
        for query in range(len(batch)):
            top(ranked, query, 20)
        lap("order")
        features.compute(pool, asked, index, settings)
        lap("(features)")
        for generator in GENERATORS:
            generator.propose(asked, index, settings)
            lap(f"({generator.name})")
        recents = asked.recents
        if asked.tastes is not None:
            index.texts.tastes(asked.count, recents)
            lap("(text: shoppers)")
            index.texts.likeness(asked.tastes, pool.query, pool.item)
            lap("(text: features)")
        if asked.directions is not None:
            index.embeddings.directions(asked.count, recents)
            lap("(embedding: shoppers)")
            index.embeddings.likeness(asked.directions, pool.query, pool.item)
            lap("(embedding: features)")
    return lap.seconds


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--file", type=Path, help="of events; without it the seeded shop")
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--lists", type=int, default=1_024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--words", type=int, default=0, help="of an item, by which the likeness of titles goes")
    parser.add_argument("--numbers", type=int, default=0, help="of the vectors that the catalog has")
    given = parser.parse_args()
    core = load(None, {}, flags(given.set)).core
    retrieval = replace(core.retrieval, content=ContentSettings(given.words, given.numbers))
    events = open_events(given.file) if given.file else shop(given.events, seed=given.seed)
    engine, shoppers, fold = folded(islice(events, given.events), given.lists, replace(core, retrieval=retrieval))
    if given.words or given.numbers:
        describe(engine.index, given.numbers, given.seed)
    best: dict[int, dict[str, float]] = {}
    for _ in range(given.rounds):
        for size in SIZES:
            found = stages(engine, shoppers, size, retrieval)
            before = best.get(size, found)
            best[size] = {name: min(seconds, before[name]) for name, seconds in found.items()}
    figures: dict[str, Any] = {
        "fold_us_per_group": fold,
        "us_per_list": {
            f"batches of {size}": {name: round(1e6 * seconds / len(shoppers), 1) for name, seconds in found.items()}
            | {"all": round(1e6 * sum(s for name, s in found.items() if name[0] != "(") / len(shoppers), 1)}
            for size, found in best.items()
        },
        "settings": {"lists": len(shoppers), "events": given.events, "file": given.file and given.file.name}
        | machine(),
    }
    write(figures, given.json)


if __name__ == "__main__":
    main()
