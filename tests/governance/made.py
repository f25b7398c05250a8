"""A small run made by hand: records, the journal that folds them, decisions and candidates, all in order."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any, Final

from tests.governance.hashes import arm_of
from tests.governance.rules import Experiment, Rules
from tests.governance.run import DAY_MS, HOUR_MS, Rec, Run

START_MS: Final = 1_761_000_000_000  # 2025-10-20T22:40:00Z
MINUTE_MS: Final = 60_000
RULES: Final = Rules(
    caps=((1, HOUR_MS), (3, DAY_MS)),
    campaign_caps={"next": ((2, DAY_MS),)},
    category_caps=((2, DAY_MS),),
    gap_ms=30 * MINUTE_MS,
    doublings=2,
    repeat_ms=7 * DAY_MS,
    dismissed_ms=30 * DAY_MS,
    again=frozenset({"again"}),
    singled_out=frozenset({"reminder"}),
    coupons={"five": (500, 1000, 1500), "share": (None, 0, 800)},
    priorities={"reminder": 30},
    expiry_ms=DAY_MS,
    at_once={"wishlist": frozenset({"next", "reminder"})},
    experiments=(Experiment("colour", {"red": 0.999, "blue": 0.001}),),
)
BLUE: Final = next(user for user in map("blue-{}".format, count()) if arm_of(user, RULES.experiments[0]) == "blue")
"""One of few: nearly everybody's arm is red."""


def rfc3339(time_ms: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)).isoformat(timespec="milliseconds")


class Made:
    """One partition. Each method says what comes next; ``at`` are milliseconds after ``start_ms``."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.run = Run(rules)
        self.start_ms = START_MS
        self._now = 0
        self._catalog = 0
        self._happened: dict[str, int] = {}
        self._asked = 0
        self.run.records["journal", 0] = []

    def _put(self, topic: str, key: str, body: Any, timestamp: int) -> Rec:
        records = self.run.records[topic, 0]
        value = None if body is None else json.dumps(body).encode()
        # Transaction markers take offsets, too.
        records.append(Rec(topic, 0, 2 * len(records), timestamp, key, value))
        return records[-1]

    def item(self, name: str, **entry: Any) -> None:
        """A catalog row, which every later batch has seen."""
        self._catalog = self._put("catalog", name, entry, 0).offset + 1

    def no_item(self, name: str) -> None:
        """It is taken out of the catalog."""
        self._catalog = self._put("catalog", name, None, 0).offset + 1

    def _journal(self, topic: str, first: int, last: int) -> None:
        batch = {"runs": [[topic, first, last]], "counts": {}, "replicas": {"catalog": [self._catalog]}}
        self._put("journal", "0", {"now": self._now, "batches": [batch]}, self._now)

    def event(
        self, at: int, kind: str, user: str = "u", topic: str = "browse", *, fast_ms: int = 0, **data: Any
    ) -> str:
        """An event, folded, of a device whose clock is so fast; gives its origin."""
        if kind in {"view", "wishlist"}:
            data = {"item": "looked-at"} | data
        kafka_ms = self.start_ms + at
        time_ms = kafka_ms + fast_ms
        identity = str(data.pop("id", self.next_id(topic)))
        body = {"id": identity, "source": "s", "type": kind, "subject": user, "time": rfc3339(time_ms), "data": data}
        rec = self._put(topic, user, body, kafka_ms)
        self._now = max(self._now, min(kafka_ms, time_ms))
        self._journal(topic, rec.offset, rec.offset)
        origin = f"{topic}:{rec.offset}"
        self._asked = self._happened[origin] = min(kafka_ms, time_ms)
        return origin

    def next_id(self, topic: str) -> str:
        """Of the topic's next event, if it is not told another one."""
        return f"e-{len(self.run.records[topic, 0])}-{topic}"

    def prefers(self, at: int, user: str = "u", **words: Any) -> None:
        self.event(at, "preferences", user, "preferences", preferences=words)

    def unsays(self, at: int, user: str = "u") -> None:
        """A record of preferences without a value."""
        rec = self._put("preferences", user, None, self.start_ms + at)
        self._journal("preferences", rec.offset, rec.offset)

    def tick(self, at: int) -> None:
        self._now = max(self._now, self.start_ms + at)
        self._journal("tick", self.start_ms + at, 0)

    def decide(self, origin: str, reason: str, user: str = "u", campaign: str = "next", **more: Any) -> None:
        self._asked = more.get("t") or self._happened.get(origin, self._now)
        arms = [f"{name}:{arm}" for name, arm in self._arms(user)]
        body = {"o": origin, "c": campaign, "r": reason, "m": 1, "v": "v", "x": arms} | more
        self._put("decisions", user, body, self._now)

    def candidate(
        self, identity: str, user: str = "u", campaign: str = "next", items: Any = ("a",), **more: Any
    ) -> None:
        body = {
            "candidate_id": identity,
            "dedupe_key": identity,
            "collapse_key": campaign,
            "user_id": user,
            "campaign": campaign,
            "channel": "push",
            "decided_at": rfc3339(self._now),
            "expires_at": rfc3339(self._asked + self.run.rules.expiry_ms),
            "propensity": 1.0,
            "experiments": [{"id": name, "arm": arm} for name, arm in self._arms(user)],
            "items": [item if isinstance(item, dict) else {"id": item} for item in items],
        }
        self._put("push-candidates", user, body | more, self._now)

    def _arms(self, user: str) -> list[tuple[str, str]]:
        return [(experiment.name, arm_of(user, experiment)) for experiment in self.run.rules.experiments]

    def rules(self, **changes: Any) -> None:
        """What is asked of everybody's pushes is changed."""
        self.run.rules = dataclasses.replace(self.run.rules, **changes)

    def red_rules(self, **changes: Any) -> None:
        """What is asked of pushes to nearly everybody is changed, but not to ``BLUE``."""
        red = dataclasses.replace(self.run.rules, **changes)
        self.rules(by_arms={("red",): red})

    def push(
        self,
        at: int,
        items: Any = ("a",),
        user: str = "u",
        campaign: str = "next",
        cents: int = 0,
        *,
        said: dict[str, Any] | None = None,
        fast_ms: int = 0,
        **more: Any,
    ) -> str:
        """An event, and the push decided on it, with a coupon of so many cents; gives the candidate's id. ``said``:
        what the decision says besides, ``more``: the candidate.
        """
        identity = f"c-{len(self.run.records['push-candidates', 0])}"
        told = ({"k": cents} if cents else {}) | (said or {})
        self.decide(self.event(at, "view", user, fast_ms=fast_ms), "sent", user, campaign, d=identity, **told)
        self.candidate(identity, user, campaign, items, **more)
        return identity
