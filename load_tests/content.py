"""What it brings that a catalog has vectors: a simulated shop, with what they are told of and with what they are not.

In a simulated shop (``load_tests/shop``) shoppers go by a taste that has a few hidden factors an item, of which the
catalog names the category only. Here its entries bring along what a model of pictures might make of an item: the
factors mixed into many numbers, with noise. The shop's own visits, without pushes, go through evaluation's engine, and
each way is judged on the same lists: all, what is new to the shopper (``discover``), and of that what has fewer than
``fresh_views`` views (``little seen``: HR@20 of ``discover``, and the share that any family proposed). Differences are
paired, 95 % by bootstrap over shoppers.
"""

from __future__ import annotations

import argparse
import json
from array import array
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np

from load_tests.harness import machine, write
from load_tests.shop import file
from load_tests.shop.draws import arrays
from load_tests.shop.goods import item_id
from load_tests.shop.world import World
from streamer.core.events import EVENT_TYPES, Event, item_key
from streamer.core.parse import Limits, parse
from streamer.core.rank import discover
from streamer.core.record import Record
from streamer.core.settings import CoreSettings
from streamer.evaluation.bootstrap import Draws
from streamer.evaluation.judge import Asked, metrics
from streamer.evaluation.outcomes import compare
from streamer.evaluation.run import Run
from streamer.evaluation.series import OURS
from streamer.evaluation.settings import LIST_SIZE, EvaluateSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streamer.core.rank import Ranked
    from streamer.evaluation.baselines.base import Shopper

WAYS: Final = {
    "neither": ("text", "embedding"),
    "text": ("embedding",),
    "vectors": ("text",),
    "both": (),
}
"""By name: what is left out of candidates and features. The first is what the others are compared with."""

Happening = tuple[str, bytes] | list[Event]
"""An entry of the catalog, or the events of one shopper at one time."""


def happenings(shop: file.Shop, seed: int, numbers: int, noise: float) -> list[Happening]:
    """All that the shop tells, in the order of its times."""
    world = World(shop, seed)
    rng = arrays(shop.seed, "pictures")
    factors = world.goods.vectors.shape[1]
    pictures = world.goods.vectors @ rng.normal(size=(factors, numbers)) / np.sqrt(factors)
    pictures = np.round(pictures + noise * rng.normal(size=pictures.shape), 4)
    vectors = {item_id(n): picture.tolist() for n, picture in enumerate(pictures)}
    found: list[Happening] = []
    while not world.over:
        for (is_entry, key, time_ms), rows in groupby(
            world.step(), lambda r: (r.topic == "catalog", r.key, r.timestamp_ms)
        ):
            together = list(rows)
            if is_entry:
                item = key.decode()
                found += [
                    (item, json.dumps({**json.loads(row.value), "vector": vectors[item]}).encode()) for row in together
                ]
                continue
            events = [
                parse(Record(row.topic, 0, n, time_ms, key, row.value), Limits()) for n, row in enumerate(together)
            ]
            found.append([e for e in events if isinstance(e, Event) and EVENT_TYPES[e.type].kind != "preference"])
    return found


class Judged(Run):
    """A run that tells little seen targets apart."""

    def __init__(self, settings: EvaluateSettings) -> None:
        super().__init__(settings)
        self.asked, self.places, self.proposed = Asked(), array("B"), 0
        self._views = settings.core.retrieval.fresh_views

    def tell(self, item: str, value: bytes) -> None:
        """Take over an entry of the catalog."""
        if not self.engine.index.apply_catalog(item, value):
            raise ValueError(self.engine.index.problem)
        # Lists may name what nobody has seen.
        self._numbers.setdefault(item_key(item), len(self._numbers))

    def _judge(self, ranked: Ranked, events: Sequence[Event], shopper: Shopper, targets: list[int]) -> None:
        index, keys = self.engine.index, list(dict.fromkeys([line.key for event in events for line in event.lines]))
        rows = self.engine.listed(ranked, discover, LIST_SIZE)
        place = {key: n for n, key in enumerate(ranked.keys.take(rows).tolist(), 1)}
        pool = set(ranked.keys.tolist())
        new = [key for key, target in zip(keys, targets, strict=True) if target not in shopper.history]
        few = [key for key in new if index.views[index.dense(key)] < self._views]
        self.asked.add(shopper.number, [True] * len(few))
        self.places.extend([place.get(key, 0) for key in few])
        self.proposed += sum(key in pool for key in few)
        super()._judge(ranked, events, shopper, targets)


def judged(told: Iterator[Happening], settings: EvaluateSettings) -> Judged:
    """One way's run."""
    run = Judged(settings)
    for happening in told:
        if isinstance(happening, tuple):
            run.tell(*happening)
        elif happening:
            run.group(happening[0].user, happening[0].time, happening)
    return run


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--shop", default="fashion", help="a name or a TOML file")
    parser.add_argument("--items", type=int, help="instead of the shop's")
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--numbers", type=int, default=128, help="of a vector")
    parser.add_argument("--noise", type=float, default=0.5, help="standard deviation, beside mixed factors of about 1")
    parser.add_argument("--every", type=int, default=4, help="judge each so-manieth list")
    parser.add_argument("--replicates", type=int, default=500)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    shop = msgspec.structs.replace(file.read(given.shop), days=given.days)
    goods = msgspec.structs.replace(shop.catalog, items=given.items or shop.catalog.items)
    shop = msgspec.structs.replace(shop, catalog=goods)
    told = happenings(shop, given.seed, given.numbers, given.noise)
    runs, found = dict[str, Judged](), dict[str, Any]()
    for name, without in WAYS.items():
        core = CoreSettings()
        content = replace(core.retrieval.content, text_words=16, vector_numbers=given.numbers)
        retrieval = replace(core.retrieval, content=content, without=without, without_features=without)
        settings = EvaluateSettings(given.every, 0, "none", replace(core, retrieval=retrieval))
        run = runs[name] = judged(iter(told), settings)
        found[name] = _figures(run)
        if name != "neither":
            found[name]["above_neither"] = _above(run, runs["neither"], given.replicates)
        print(name, found[name], flush=True)
    targets = {"targets": runs["both"].next.asked.targets, "little_seen": runs["both"].asked.targets}
    write({"shop": shop.name, "ways": found, **targets, **machine()}, given.json)


def _figures(run: Judged) -> dict[str, Any]:
    return {
        "hr@20": run.next.figures(0, 1)["metrics"]["hr@20"],
        "discover_hr@20": run.discover.figures(0, 1)["metrics"]["hr@20"],
        "little_seen_hr@20": metrics(run.asked, run.places)["hr@20"],
        "little_seen_proposed": round(run.proposed / max(run.asked.targets, 1), 4),
    }


def _above(run: Judged, other: Judged, replicates: int) -> dict[str, Any]:
    draws = Draws(run.asked, {"one": run.places, "two": other.places}, replicates)
    found: dict[str, Any] = {"little_seen_hr@20": draws.difference("one", "two")["hr@20"]}
    for kind, (one, two) in {"": (run.next, other.next), "discover_": (run.discover, other.discover)}.items():
        found[f"{kind}hr@20"] = compare(one.outcomes(), two.outcomes(), OURS, replicates, 1)["hr@20"]
    return found


if __name__ == "__main__":
    main()
