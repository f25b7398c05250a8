"""Shoppers who do anything at random, and the engine's core in this process; what it decides lies as on its topics."""

from __future__ import annotations

import dataclasses
import json
import random
import types
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import msgspec

from streamer.campaign_settings import CampaignSettings
from streamer.campaigns import load
from streamer.core.campaigns.campaign import Audience, Campaign, Coupon, Message, Triggers
from streamer.core.encode import candidate as written_candidate
from streamer.core.encode import decision as written_decision
from streamer.core.items.deltas import ItemDeltas
from streamer.core.items.fold import apply_block
from streamer.core.items.rows import index_row
from streamer.core.items.state import row_key
from streamer.core.record import Record
from streamer.core.settings import CoreSettings, PolicySettings
from tests.core.task_shop import T0, ItemRows, Shop, record, tick
from tests.governance.made import MINUTE_MS
from tests.governance.of_settings import rules_of
from tests.governance.run import DAY_MS, HOUR_MS, Rec, Run

if TYPE_CHECKING:
    from streamer.core.effects import Effects
    from streamer.core.policy.experiments import Experiment

CAMPAIGNS: Final = (
    "next",
    "cart-reminder",
    "goes-with",
    "price-drop",
    "back-in-stock",
    "search-help",
    "buy-again",
    "win-back",
    "new-arrivals",
    "trending-now",
)
POLICY: Final[dict[str, Any]] = {
    "score_threshold": 0.0,
    "worth_by": "score",
    "least_worth": -1.0,
    "per_hour": 2,
    "per_week": 12,
    "category_per_day": 2,
    "min_gap_ms": 10 * MINUTE_MS,
    "repeat_window_ms": 2 * DAY_MS,
    "dismissal_doublings": 3,
    "slate_items": 2,
}
"""Few shoppers are pushed as often as allowed: most of the rules have something to refuse."""
OWN: Final = (
    Campaign(
        "regulars",
        Triggers(on=("list_view",)),
        Message("regulars.v1"),
        audience=Audience(tags=("returning", "buyer"), without_tags=("searcher",), visits_at_least=20),
    ),
    Campaign(
        "coupon",
        Triggers(on=("list_view",)),
        Message("coupon.v1"),
        coupon=Coupon("five", cents=500, day_cents=500, anyway_at_most=1.0),
    ),
)
"""Two that no other campaign outbids: they react to what no other does."""
_ITEMS: Final = 25
_USERS: Final = 12


def core_of(*, experiments: tuple[Experiment, ...] = (), **policy: Any) -> CoreSettings:
    """Settings of a core with the usual campaigns, of which two have control groups, and ``OWN``."""
    core = CoreSettings(policy=PolicySettings(**(POLICY | policy)), experiments=experiments)
    on = load(CampaignSettings(on=CAMPAIGNS), core)
    controlled = {"next": 0.2, "cart-reminder": 0.2}
    on = tuple(msgspec.structs.replace(each, control_share=controlled.get(each.name, 0.0)) for each in on)
    return dataclasses.replace(core, campaigns=(*on, *OWN))


class Site:
    """One task. What is to come is gathered until ``flush``, a micro-batch; ``run`` is what lies on the topics."""

    def __init__(self, core: CoreSettings) -> None:
        settings: Any = types.SimpleNamespace(core=core)
        self.shop, self.run = Shop(core), Run(rules_of(settings))
        self.run.records["journal", 0] = []
        self.pushed: list[tuple[str, str]] = []
        self._items = ItemRows()
        self._offsets: Counter[str] = Counter()
        self._batch: list[Record] = []

    def put(self, sent: Record) -> None:
        """A record of a shopper's."""
        rec = Record(sent.topic, 0, self._offsets[sent.topic], sent.timestamp, sent.key, sent.value)
        self._offsets[sent.topic] += 1
        self._batch.append(rec)
        self._lies(rec.topic, (rec.key or b"").decode(), rec.value, rec.timestamp)

    def tick(self, at_ms: int, *, tells: bool) -> None:
        """A batch that begins with a tick, which tells of the catalog's changes or does not."""
        self.flush()
        self._batch.append(tick(max(at_ms, self.shop.total.now), self.shop.index.changes.position if tells else 0))
        self.flush()

    def catalog(self, item: str, **said: Any) -> None:
        """A row of the catalog, known at once."""
        self.flush()
        self.shop.catalog(item, **said)
        self._lies("catalog", item, json.dumps(said).encode(), 0)

    def publish(self) -> None:
        """Have the engine know of items what events told so far."""
        shop = self.shop
        for block in shop.deltas.blocks(1).values():
            for key, state in apply_block(block, self._items, shop.settings.items).items():
                self._items.states[row_key(key)] = state
                shop.index.apply_row(key, index_row(state, shop.settings.items))
        shop.deltas = ItemDeltas()

    def flush(self) -> None:
        """Have the engine decide on what is there."""
        if not self._batch:
            return
        effects = self.shop.step(self._batch)
        runs = [
            [rec.topic, rec.timestamp if rec.topic == "tick" else rec.offset, 0 if rec.topic == "tick" else rec.offset]
            for rec in self._batch
        ]
        read_to = self.shop.index.changes.position
        batch = {"runs": runs, "counts": dict(effects.counts), "replicas": {"catalog": [read_to]}}
        self._lies("journal", "0", json.dumps({"now": effects.now, "batches": [batch]}).encode(), 0)
        self._write(effects)
        self._batch = []

    def _write(self, effects: Effects) -> None:
        for decision in effects.decisions:
            self._lies("decisions", decision.user, written_decision(decision), 0)
        for out in effects.candidates:
            candidate = out.candidate
            self._lies("push-candidates", candidate.user_id, written_candidate(candidate), 0)
            self.pushed.append((candidate.candidate_id, candidate.user_id))

    def _lies(self, topic: str, key: str, value: bytes | None, timestamp: int) -> None:
        records = self.run.records[topic, 0]
        records.append(Rec(topic, 0, len(records), timestamp, key, value))


class Crowd:
    """Shoppers who do anything, of all the kinds that a rule looks at. The same seed, the same doings."""

    def __init__(self, site: Site, seed: int) -> None:
        self._site, self._rng = site, random.Random(seed)
        self._now = T0
        self._count = 0
        for item in range(_ITEMS):
            # Some are in no catalog: of these events tell what there is to know.
            if item % 5:
                self._stocked(item, 10.0 + item, 5)

    def act(self, times: int, days: float) -> Run:
        """Let them do so many things in so many days; gives what lies on the topics then."""
        for _ in range(times):
            self._now += self._rng.randrange(1, int(2 * days * DAY_MS / times))
            self._do()
            if self._rng.random() < 0.15:
                self._site.flush()
                self._site.publish()
                self._site.tick(self._now, tells=self._rng.random() < 0.5)
        self._site.flush()
        return self._site.run

    def _do(self) -> None:
        rng, user = self._rng, f"u{self._rng.randrange(_USERS)}"
        drawn = rng.random()
        if drawn < 0.50:
            self._event(user, rng.choice(["view", "click", "cart", "wishlist", "list_view"]), **self._item())
        elif drawn < 0.55:
            self._event(user, "search", query=f"thing {rng.randrange(_ITEMS)}")
        elif drawn < 0.62:
            self._event(user, "purchase", **self._item())
        elif drawn < 0.67:
            self._event(user, rng.choice(["refund", "remove_from_cart", "checkout"]), **self._item())
        elif drawn < 0.84 and self._site.pushed:
            about, whose = rng.choice(self._site.pushed[-40:])
            answers = ["push_dismissed", "push_clicked", "push_opened", "push_failed", "push_dismissed"]
            self._event(whose if rng.random() < 0.95 else user, rng.choice(answers), candidate_id=about)
        elif drawn < 0.86:
            self._event(user, "push_unsubscribed", candidate_id="x")
        elif drawn < 0.93:
            self._event(user, "preferences", preferences=self._words())
        elif drawn < 0.94:
            self._site.put(Record("preferences", 0, 0, self._now, user.encode(), None))
        elif drawn < 0.98:
            self._stocked(5 * rng.randrange(_ITEMS // 5) + 1, round(rng.uniform(5, 30), 2), rng.choice([0, 5, 5]))

    def _event(self, user: str, kind: str, **data: Any) -> None:
        happened = self._now
        if self._rng.random() < 0.15:
            # Late, or by a clock that is fast.
            happened -= self._rng.choice([1000, MINUTE_MS, HOUR_MS, DAY_MS, 6 * DAY_MS, 9 * DAY_MS, -3 * MINUTE_MS])
        # One in a hundred has the id of one before.
        self._count += self._rng.random() < 0.99
        self._site.put(record(user, kind, happened, id=f"e{self._count}", timestamp=self._now, **data))

    def _item(self) -> dict[str, Any]:
        item = self._rng.randrange(_ITEMS)
        return {"item": f"i{item}", "category": f"c{item % 5}", "price": 10.0 + item}

    def _words(self) -> dict[str, Any]:
        rng = self._rng
        said: dict[str, Any] = {}
        if rng.random() < 0.6:
            said["consent"] = rng.random() < 0.85
        if rng.random() < 0.4:
            said["channels"] = rng.choice([["push"], ["email"], ["push", "sms"], [], ["In_App"]])
        if rng.random() < 0.3:
            said["quiet_hours"] = rng.choice([["22:00", "07:00"], ["00:00", "00:00"], ["12:00", "13:00"]])
        if rng.random() < 0.2:
            said["time_zone"] = rng.choice(["+05:30", "UTC", "-08:00"])
        if rng.random() < 0.05:
            said["erase"] = True
        return said

    def _stocked(self, item: int, price: float, stock: int) -> None:
        self._site.catalog(f"i{item}", title=f"Thing {item}", category=f"c{item % 5}", price=price, stock=stock)
