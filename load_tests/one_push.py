"""What a push is said to change, in worlds where that is known.

Everybody looks at something four times a day, of three in ten all pushes are held back, and each push, by itself, adds
a purchase within two hours with the chance ``--adds``, to what they buy anyway. Half of the shoppers buy often and take
pushes as they come; the others buy seldom and, with ``--reacts``, dismiss every second push and opt out after one in a
hundred, so that they get fewer of them. Of the share ``--unreached`` of all shoppers, who buy seldom too, every push
fails, as ``push_failed`` tells.

``groups``: by what the pushed buy more than those held back, a response, each weighted by the chance to be in its
group. ``foretold``: by what the model foretold of them, each before it was learned. ``anyway``: what those held back
buy. All in purchases a push; ``adds`` is what it should be.

    python -m load_tests.one_push --adds 0.05            and --adds 0 --reacts, or --adds 0 --unreached 0.3
"""

from __future__ import annotations

import heapq
import json
from random import Random
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from load_tests.harness import arguments, machine, write
from load_tests.shop.action import Row, rfc3339
from load_tests.shop.direct import Direct
from load_tests.shop.file import DAY_MS, HOUR_MS, MINUTE_MS
from load_tests.shop.goods import item_id
from load_tests.shop.people import user_id
from load_tests.shop.runs import ONE_TASK
from streamer.settings import flags, load

if TYPE_CHECKING:
    from load_tests.shop.world import Push

START_MS: Final = 1_761_004_800_000  # 2025-10-21T00:00:00Z
STEP_MS: Final = 30 * MINUTE_MS
HOURS: Final = (8, 12, 16, 20)
ITEMS: Final = 40
HELD: Final = ("core.policy.holdout_share=0.3", "core.policy.worth_by=score", "core.policy.score_threshold=0")
"""Nothing but caps and groups decides who is pushed."""


class Habit(NamedTuple):
    """A shopper's: orders a day, and the chances that a push is dismissed, and answered by an opt-out."""

    orders: float
    dismisses: float = 0.0
    leaves: float = 0.0


class World:
    """The shoppers' doings, in order of time; what pushes bring about is added as they come."""

    def __init__(
        self, shoppers: int, days: int, adds: float, seed: int, *, reacts: bool, unreached: float = 0.0
    ) -> None:
        self._rng, self._adds, self._coming, self._count = Random(seed), adds, list[tuple[int, int, Row]](), 0
        seldom = Habit(0.05, 0.5, 0.01) if reacts else Habit(0.05)
        self._habits = [Habit(0.3, 0.03 if reacts else 0.0) if n % 2 else seldom for n in range(shoppers)]
        self._unreached = {n for n in range(shoppers) if unreached and self._rng.random() < unreached}
        for n in self._unreached:
            self._habits[n] = Habit(0.05)
        for shopper, habit in enumerate(self._habits):
            for day in range(days):
                morning = START_MS + day * DAY_MS
                for hour in HOURS:
                    self._do(shopper, "view", morning + hour * HOUR_MS + self._rng.randrange(HOUR_MS))
                if self._rng.random() < habit.orders:
                    self._do(shopper, "purchase", morning + self._rng.randrange(DAY_MS))

    def until(self, time_ms: int) -> list[Row]:
        """What happens before then and was not told yet."""
        told = []
        while self._coming and self._coming[0][0] < time_ms:
            told.append(heapq.heappop(self._coming)[2])
        return told

    def react(self, push: Push, now_ms: int) -> None:
        """What a push brings about, from ``now_ms`` on."""
        habit, soon = self._habits[push.shopper], now_ms + MINUTE_MS
        if push.shopper in self._unreached:
            self._do(push.shopper, "push_failed", soon, candidate_id=push.id)
            return
        if self._rng.random() < self._adds:
            self._do(push.shopper, "purchase", now_ms + self._rng.randrange(MINUTE_MS, HOUR_MS))
        drawn = self._rng.random()
        if drawn < habit.leaves:
            self._do(push.shopper, "push_unsubscribed", soon, candidate_id=push.id)
        elif drawn < habit.leaves + habit.dismisses:
            self._do(push.shopper, "push_dismissed", soon, candidate_id=push.id)

    def _do(self, shopper: int, kind: str, time_ms: int, **data: Any) -> None:
        self._count += 1
        user = user_id(shopper)
        if not data:
            data = {"items": [{"id": item_id(self._rng.randrange(ITEMS)), "category": "things", "price": 9.0}]}
        body = {
            "specversion": "1.0",
            "id": f"e-{self._count}",
            "source": "one-push",
            "type": kind,
            "subject": user,
            "time": rfc3339(time_ms),
            "data": data,
        }
        topic = {"view": "browse", "purchase": "purchase"}.get(kind, "feedback")
        row = Row(topic, user.encode(), json.dumps(body).encode(), time_ms)
        heapq.heappush(self._coming, (time_ms, self._count, row))


def run(world: World, days: int, settings: list[str]) -> dict[str, float]:
    """A world's figures."""
    engine = Direct(load(None, {}, ONE_TASK | flags([*HELD, *settings])))
    for now_ms in range(START_MS + STEP_MS, START_MS + (days + 3) * DAY_MS, STEP_MS):
        for push in engine.exchange(world.until(now_ms)):
            world.react(push, now_ms)
    told = engine.learners.uplift.metrics()
    lift = told["lift"]
    return {
        "responses": lift["responses"],
        "anyway": told["held_back"]["rate"],
        "groups": lift["uplift"],
        "foretold": lift["uplift_foretold"],
    }


def main() -> None:
    """A world a seed, and their mean."""
    parser = arguments(__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--adds", type=float, default=0.05, help="purchases that a push adds, in the mean")
    parser.add_argument("--reacts", action="store_true", help="half of the shoppers dismiss pushes and opt out")
    parser.add_argument("--unreached", type=float, default=0.0, help="the share of shoppers of whom every push fails")
    parser.add_argument("--shoppers", type=int, default=200)
    parser.add_argument("--days", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    found = [
        run(
            World(given.shoppers, given.days, given.adds, seed, reacts=given.reacts, unreached=given.unreached),
            given.days,
            given.set,
        )
        for seed in range(given.seed, given.seed + given.seeds)
    ]
    mean = {name: round(float(np.mean([each[name] for each in found])), 4) for name in found[0]}
    write(
        {
            "machine": machine(),
            "adds": given.adds,
            "reacts": given.reacts,
            "unreached": given.unreached,
            "seeds": found,
            "mean": mean,
        },
        given.json,
    )


if __name__ == "__main__":
    main()
