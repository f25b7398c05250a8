"""Would a cache of slates pay? How often one could be used again, and what a slate that is used again is worth.

A slate follows from the shopper's profile, the rows of the items in it and of those beside them, the sessions of others
that hold them, and the model. The same shopper's next slate never finds all this as it was: the event that asks for it
is in the profile. So what could hit is a slate of anybody with the same newest items, in that order. Every event asks
for one, as it does live. Told are the shares for which (``known``) one was made before, (``unmoved``) nothing happened
since to any of these items: no event named one, and no session that holds one grew; (``unlearned``) nor did the model
learn. Worth: in the first ``--ranked`` events the lists of ``streamer evaluate`` are made, and where one was made
before for the same newest items, the newest such is judged by the same targets as the list made for the shopper,
paired, 95 % by bootstrap over shoppers.
"""

from __future__ import annotations

from array import array
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from load_tests.harness import arguments, fixed_loop_s, machine, write
from streamer.core.events import EVENT_TYPES
from streamer.core.profile import newest_items
from streamer.core.rank import top
from streamer.core.settings import CoreSettings
from streamer.evaluation.bootstrap import Draws
from streamer.evaluation.engine import Engine
from streamer.evaluation.judge import Asked, metrics
from streamer.evaluation.stages import Stages
from streamer.readers.registry import open_events

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamer.core.events import Event

KEYS = (1, 2, 4, 8)
"""Slates of equal newest items, so many of them."""
LIST_SIZE = 20


class Cache:
    """Slates by the newest items. All are kept: what would be thrown out for want of room is not asked."""

    def __init__(self, newest: int) -> None:
        self.newest = newest
        self.known = self.unmoved = self.unlearned = 0
        self._made: dict[tuple[int, ...], tuple[int, int]] = {}
        self._slates: dict[tuple[int, ...], list[int]] = {}
        self.asked = Asked()
        self.again, self.fresh = array("B"), array("B")

    def ask(self, newest: list[int], now: int, moved: int, learned: int) -> None:
        """A slate is asked for now, the count of events; ``moved``: when its items last did. It is then kept."""
        key = tuple(newest[: self.newest])
        made, model = self._made.get(key, (0, 0))
        if made:
            # Who asks has just moved the items: by themselves, which they did for the slate that is kept as well.
            self.known += 1
            self.unmoved += made >= moved
            self.unlearned += made >= moved and model == learned
        self._made[key] = (now, learned)

    def swap(self, newest: list[int], slate: list[int]) -> list[int] | None:
        """Keep a slate, and give the one that was."""
        key = tuple(newest[: self.newest])
        before = self._slates.get(key)
        self._slates[key] = slate
        return before

    def judge(self, user: int, again: list[int], fresh: list[int], targets: list[int]) -> None:
        """Both lists by what came next."""
        self.asked.add(user, [False] * len(targets))
        for places, slate in ((self.again, again), (self.fresh, fresh)):
            place = {key: n for n, key in enumerate(slate, 1)}
            places.extend(place.get(target, 0) for target in targets)

    def figures(self, lists: int) -> dict[str, Any]:
        """Shares of all that was asked, and what was judged."""
        shares = {name: round(getattr(self, name) / max(lists, 1), 4) for name in ("known", "unmoved", "unlearned")}
        if not self.asked.lists:
            return shares
        lost = Draws(self.asked, {"again": self.again, "fresh": self.fresh}, 500).difference("again", "fresh")
        return shares | {
            "judged": self.asked.lists,
            "fresh": {name: metrics(self.asked, self.fresh)[name] for name in ("hr@20", "mrr@20")},
            "again_above_fresh": {name: lost[name] for name in ("hr@20", "mrr@20")},
        }


def run(events: Iterable[Event], rank_until: int, learn_every: int) -> dict[str, Any]:
    """One pass."""
    engine, stages = Engine(CoreSettings()), Stages()
    caches = [Cache(newest) for newest in KEYS]
    moved: dict[int, int] = {}
    numbers: dict[str, int] = {}
    lists = learned = seen = count = 0
    behaviour = (e for e in events if EVENT_TYPES[e.type].kind not in {"feedback", "preference"})
    for (now_ms, user), group in groupby(behaviour, key=lambda e: (e.time, e.user)):
        together = list(group)
        seen += len(together)
        targets = list(dict.fromkeys([line.key for event in together for line in event.lines]))
        before: list[int] = []
        if engine.knows(user):
            before = newest_items(engine.profile(user), max(KEYS), 0)[::-1]
        if targets and before:
            lists += 1
            learned += lists % learn_every == 0
            if seen <= rank_until:
                engine.settle()
                ranked = engine.rank(user, now_ms, stages)
                slate = ranked.keys[top(ranked, 0, LIST_SIZE)].tolist()
                if lists % learn_every == 0:
                    engine.learn(ranked, together)
                for cache in caches:
                    again = cache.swap(before, slate)
                    if again is not None:
                        cache.judge(numbers.setdefault(user, len(numbers)), again, slate, targets)
        engine.fold(user, together)
        newest = newest_items(engine.profile(user), max(KEYS), 0)[::-1]
        if targets and newest:
            count += 1
            for cache in caches:
                since = max(moved.get(key, 0) for key in newest[: cache.newest])
                cache.ask(newest, count, since, learned)
            # The items' counts and neighbours have moved with this event, and the session that holds them has grown.
            moved |= dict.fromkeys([*targets, *before, *newest], count)
    return {"asked": count, "lists": lists} | {f"newest {c.newest}": c.figures(count) for c in caches}


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("file", type=Path, help="events, in any format that `streamer evaluate` reads")
    parser.add_argument("--events", type=int, help="of the file, at most so many")
    parser.add_argument("--ranked", type=int, default=20_000, help="rank lists among the first so many events")
    parser.add_argument("--learn-every", type=int, default=20, help="learn from each so-manieth list")
    given = parser.parse_args()
    found = run(islice(open_events(given.file), given.events), given.ranked, given.learn_every)
    write(found | {"fixed_loop_s": fixed_loop_s(), **machine()}, given.json)


if __name__ == "__main__":
    main()
