"""The baseline without an engine: the most popular item to everyone, as often and at the times another arm pushes.

It keeps to consent, opt-outs and quiet hours, as any shop must; it knows nothing else of the shopper. Those go first
who had the fewest pushes so far, so that everyone gets about the same.
"""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING, Final

from load_tests.shop.draws import draws
from load_tests.shop.file import DAY_MS
from load_tests.shop.world import Push

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from load_tests.shop.action import Action
    from load_tests.shop.world import World

WINDOW_MS: Final = 7 * DAY_MS
WEIGHTS: Final = {"view": 1, "cart": 4, "purchase": 10}


class Broadcast:
    """``times_ms``: when to push, in order; one push each."""

    def __init__(self, world: World, times_ms: Iterable[int]) -> None:
        self._world = world
        self._times = deque(sorted(times_ms))
        self._had: Counter[int] = Counter()
        self._seen: deque[tuple[int, int, int]] = deque()
        self._popular: Counter[int] = Counter()

    def saw(self, actions: Iterable[Action]) -> None:
        """What happened in the step."""
        for action in actions:
            for item in action.items:
                weight = WEIGHTS.get(action.type, 0)
                self._seen.append((action.time_ms, item, weight))
                self._popular[item] += weight

    def pushes(self) -> Iterator[Push]:
        """Those of the step that has just been."""
        world = self._world
        while self._times and self._times[0] < world.now_ms:
            time_ms = self._times.popleft()
            while self._seen and self._seen[0][0] < time_ms - WINDOW_MS:
                _, item, weight = self._seen.popleft()
                self._popular[item] -= weight
            top = self._best(time_ms)
            rng = draws(world.shop.seed, world.seed, "broadcast", time_ms, len(self._times))
            open_ = [n for n in range(len(world.people)) if world.reachable(n) and not _quiet(world, n, time_ms)]
            if top is None or not open_:
                continue
            shopper = min(open_, key=lambda n: (self._had[n], rng.random()))
            self._had[shopper] += 1
            yield Push(f"broadcast-{shopper}-{self._had[shopper]}", shopper, (top,), time_ms, "broadcast")

    def _best(self, time_ms: int) -> int | None:
        there = self._world.goods.to_be_had(time_ms)
        ranked = sorted(self._popular.items(), key=lambda entry: (-entry[1], entry[0]))
        return next((item for item, _ in ranked if there[item]), None)


def _quiet(world: World, shopper: int, time_ms: int) -> bool:
    hours = world.people.quiet[shopper]
    if hours is None:
        return False
    hour, (start, end) = world.people.local(shopper, time_ms).hour, hours
    start %= 24
    return start <= hour < end if start < end else hour >= start or hour < end
