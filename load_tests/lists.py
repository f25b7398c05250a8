"""What a ranked list costs in computing, by stage and by generator, in batches of 1, 16 and 64 lists.

The events of ``throughput``'s shop, or of a file, are folded by evaluation's engine; the lists are those of the last
shoppers, each as of its own moment. CPU time, not wall clock, and the least of several rounds in which the sizes take
turns. What it costs to take over a session's row is told apart from what the lists cost that ask.
"""

from __future__ import annotations

import time
from collections import deque
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from load_tests.harness import arguments, machine, write
from load_tests.shop.load import shop
from streamer.core import features
from streamer.core.candidates import pool as pools
from streamer.core.candidates.registry import GENERATORS
from streamer.core.models.registry import prior_model
from streamer.core.queries import Queries
from streamer.core.rank import Retrieved, rank, top
from streamer.core.settings import CoreSettings
from streamer.evaluation.engine import Engine
from streamer.readers.registry import open_events

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streamer.core.events import Event
    from streamer.core.profile import Profile

SIZES = (1, 16, 64)
SETTLE_EVERY = 64

Shopper = tuple["Profile", int, str]


def folded(events: Iterable[Event], keep: int) -> tuple[Engine, list[Shopper], dict[str, float]]:
    """The engine after all events, who came last and when, and CPU microseconds a group of events."""
    engine, last = Engine(CoreSettings()), deque[Shopper](maxlen=keep)
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


def stages(engine: Engine, shoppers: Sequence[Shopper], size: int) -> dict[str, float]:
    """CPU seconds of all lists in batches of ``size``: of retrieval, features and scoring, and of retrieval's parts."""
    index, settings, model, lap = engine.index, CoreSettings().retrieval, prior_model(), Laps()
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
    return lap.seconds


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--file", type=Path, help="of events; without it the seeded shop")
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--lists", type=int, default=1_024)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    events = open_events(given.file) if given.file else shop(given.events, seed=given.seed)
    engine, shoppers, fold = folded(islice(events, given.events), given.lists)
    best: dict[int, dict[str, float]] = {}
    for _ in range(given.rounds):
        for size in SIZES:
            found = stages(engine, shoppers, size)
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
