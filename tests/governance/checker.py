"""Counts what a run did against the rules of governance, from its topics alone, sharing no code with the engine.

The journal says in which order each task folded its records, so that "after the opt-out" is a fact. The decisions of a
task lie in the order in which they were made: each is found at the record that it names, or at a tick if it says when
its timer was due. What is sent is then held to everything that is known of the shopper at that place.
"""

from __future__ import annotations

import json
import re
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from tests.governance.groups import groups_of
from tests.governance.occasions import Asked, occasions, too_many, wrongly_outbid
from tests.governance.run import DAY_MS
from tests.governance.standing import WORDS, Standing

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.governance.groups import Groups
    from tests.governance.run import Rec, Run

RULES: Final = (
    "consent",
    "channel",
    "quiet_hours",
    "cap",
    "campaign_cap",
    "category_cap",
    "min_gap",
    "bought",
    "dismissed",
    "repeat",
    "budget",
    "out_of_stock",
    "expired",
    "holdout",
    "control",
    "arm",
    "two_pushes",
    "outbid",
    "collapse_key",
    "duplicate",
    "propensity",
    "reason",
    "unmatched",
    "out_of_place",
    "clock",
    "news",
)
"""``budget``: a coupon costs another sum than it should, or makes all, or those of a day, cost more than they may.
``arm``: a decision or a candidate tells another arm of an experiment than its shopper's, or none;
``two_pushes``: more than one of what competed was sent or held back; ``outbid``: by nothing, or by what was worth less;
``collapse_key``: a push would replace another campaign's on the device; ``unmatched``: a decision to send without its
candidate, or the other way; ``out_of_place``: a decision on nothing that the journal folds then; ``clock``: decided at
another time than the task's stream time; ``news``: a push says of the catalog what it has not said, or to who never
wanted the item."""

TICK: Final = "tick"


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that was broken, where, and how."""

    rule: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule} at {self.where}: {self.what}"


@dataclass
class Verdict:
    """``violations`` in the order found; ``decisions`` and ``pushes`` looked at, and the decisions' ``reasons``.

    ``spent``: cents of coupons, of all tasks, by campaign and day since 1970 (None: in all).
    """

    violations: list[Violation] = field(default_factory=list)
    decisions: int = 0
    pushes: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    spent: Counter[tuple[str, int | None]] = field(default_factory=Counter)

    @property
    def counts(self) -> dict[str, int]:
        """By rule, those that were broken."""
        return dict(Counter(violation.rule for violation in self.violations))


def check(run: Run) -> Verdict:
    """Everything that was done against the rules."""
    verdict, groups = Verdict(), groups_of(run)
    for partition in run.partitions():
        _Task(run, partition, verdict, groups).walk()
    return verdict


class _Task:
    """One partition of the journal."""

    def __init__(self, run: Run, partition: int, verdict: Verdict, groups: Groups) -> None:
        self._run, self._partition, self._verdict, self._rules = run, partition, verdict, run.rules
        self._groups = groups
        self._people: dict[str, Standing] = {}
        self._now = 0
        self._decisions = deque(run.of("decisions", partition))
        self._candidates: dict[str, tuple[Rec, dict[str, Any]]] = {}
        self._shown: dict[str, tuple[tuple[str, ...], int]] = {}
        self._catalog = deque(run.of("catalog", 0))
        self._goods: dict[str, dict[str, Any]] = {}
        self._said: dict[str, list[dict[str, Any]]] = {}
        self._read = self._read_at_last = 0
        self._ticks: Counter[int] = Counter()
        self._gone: set[str] = set()

    def walk(self) -> None:
        self._take_candidates()
        records = {(rec.topic, rec.offset): rec for rec in self._all_inputs()}
        entries = self._run.of("journal", self._partition)
        batches = [batch for entry in entries for batch in json.loads(entry.value or b"{}")["batches"]]
        self._read_at_last = max(map(_catalog_read, batches), default=0)
        self._ticks = Counter(run[1] for batch in batches for run in batch["runs"] if run[0] == TICK)
        self._compare()
        for batch in batches:
            self._follow_catalog(_catalog_read(batch))
            for topic, first, last in batch["runs"]:
                if topic == TICK:
                    self._now = max(self._now, first)
                    self._decided_at_tick()
                    continue
                for offset in range(first, last + 1):
                    if (rec := records.get((topic, offset))) is not None:
                        self._fold(rec)
        for rec in self._decisions:
            self._broke("out_of_place", rec.place, f"decides on {json.loads(rec.value or b'{}').get('o')}")
        for identity, (rec, _) in self._candidates.items():
            self._broke("unmatched", rec.place, f"candidate {identity} was not decided to be sent")

    # -- the order ------------------------------------------------------------------------------------------------

    def _all_inputs(self) -> Iterable[Rec]:
        for (topic, partition), records in self._run.records.items():
            if partition == self._partition and topic not in {"catalog", "journal", "decisions", "push-candidates"}:
                yield from records

    def _take_candidates(self) -> None:
        keys: set[str] = set()
        for rec in self._run.of("push-candidates", self._partition):
            body = json.loads(rec.value or b"{}")
            identity, dedupe = body["candidate_id"], body["dedupe_key"]
            if identity in self._candidates or dedupe in keys:
                self._broke("duplicate", rec.place, f"candidate {identity}, dedupe key {dedupe}, came before")
            keys.add(dedupe)
            self._candidates.setdefault(identity, (rec, body))
            self._shown[identity] = tuple(item["id"] for item in body["items"]), _milliseconds(body["decided_at"])

    def _follow_catalog(self, end: int) -> None:
        """The catalog up to where the task's copy of it was."""
        self._read = max(self._read, end)
        while self._catalog and self._catalog[0].offset < end:
            rec = self._catalog.popleft()
            if rec.value is None:
                self._goods.pop(rec.key, None)
                self._gone.add(rec.key)
            else:
                self._goods[rec.key] = json.loads(rec.value)
                self._said.setdefault(rec.key, []).append(self._goods[rec.key])
                self._gone.discard(rec.key)

    def _compare(self) -> None:
        """Of what competed the best was sent, and nothing else."""
        for together in occasions(map(self._asked, self._decisions)):
            for asked in too_many(together, self._ticks):
                self._broke("two_pushes", asked.rec.place, f"{asked.reason}, as another one of {asked.rec.key} was")
            for asked, how in wrongly_outbid(together, self._rules.priorities):
                self._broke("outbid", asked.rec.place, how)

    def _asked(self, rec: Rec) -> Asked:
        body = json.loads(rec.value or b"{}")
        found = self._candidates.get(body.get("d", "")) if body.get("r") == "sent" else None
        return Asked(rec, body, _milliseconds(found[1]["decided_at"]) if found else 0)

    def _comes_later(self, decision: dict[str, Any]) -> bool:
        """Whether a push was decided at a later tick, though its timer was due before.

        So it is with a timer that an event out of order armed for a time that was over, and with news of the catalog,
        be the tick that tells them of the same stream time.
        """
        if (sent := self._candidates.get(decision.get("d", ""))) is None:
            return False
        candidate = sent[1]
        decided_ms, trigger = _milliseconds(candidate["decided_at"]), candidate.get("trigger", {})
        if decided_ms > self._now and decided_ms in self._ticks:
            return True
        return trigger.get("topic") == "catalog" and bool(self._read <= trigger["offset"] < self._read_at_last)

    def _decided_at_tick(self) -> None:
        while self._decisions:
            body = json.loads(self._decisions[0].value or b"{}")
            if not body.get("t") or body["t"] > self._now or self._comes_later(body):
                return
            self._decided(self._decisions.popleft(), body)

    def _fold(self, rec: Rec) -> None:
        body = _event(rec)
        if body is not None:
            self._take(rec, body)
        elif rec.value is None and rec.topic in {"preferences", "ingress"} and rec.key:
            self._people.setdefault(rec.key, Standing()).unsays(rec.timestamp)
        origin = f"{rec.topic}:{rec.offset}"
        while self._decisions:
            decision = json.loads(self._decisions[0].value or b"{}")
            if decision.get("o") != origin or decision.get("t"):
                return
            self._decided(self._decisions.popleft(), decision)

    def _take(self, rec: Rec, body: dict[str, Any]) -> None:
        shopper = self._people.setdefault(body["subject"], Standing())
        if self._again(shopper, body):
            return
        if body["ms"] > shopper.erased_ms:
            # A device whose clock is fast does not make it later than it was when it said so.
            self._now = max(self._now, min(body["ms"], rec.timestamp))
            self._apply(shopper, body)
        elif _says_no(body):
            # All else that is not newer than the wish to be forgotten is forgotten with the rest.
            shopper.hears("consent", False, body["ms"])

    @staticmethod
    def _again(shopper: Standing, body: dict[str, Any]) -> bool:
        identity = body.get("source", ""), body.get("id", "")
        again = identity[1] != "" and identity in shopper.seen
        shopper.seen.add(identity)
        return again

    def _apply(self, shopper: Standing, body: dict[str, Any]) -> None:
        data, time_ms = body["data"], body["ms"]
        match body["type"]:
            case "view" | "click" | "wishlist" | "cart":
                shopper.wanted |= set(_items(data))
            case "purchase":
                shopper.bought |= set(_items(data))
                shopper.wanted -= set(_items(data))
            case "push_dismissed":
                shopper.dismissals += data["candidate_id"] not in shopper.waved
                shopper.waved.add(data["candidate_id"])
                shown, pushed_ms = self._shown.get(data["candidate_id"], ((), 0))
                shopper.dismissed |= {item: max(pushed_ms, shopper.dismissed.get(item, 0)) for item in shown}
            case "push_failed":
                shopper.failed_ms |= (
                    {self._shown[data["candidate_id"]][1]} if data["candidate_id"] in self._shown else set()
                )
            case "push_clicked" | "push_converted":
                shopper.dismissals = 0
            case "push_unsubscribed":
                shopper.unsubscribes(time_ms)
            case "preferences":
                for word in WORDS:
                    shopper.hears(word, data["preferences"].get(word), time_ms)
                if data["preferences"].get("erase"):
                    self._people[body["subject"]] = shopper.erased(time_ms)
            case _:
                pass

    # -- what was decided -----------------------------------------------------------------------------------------

    def _decided(self, rec: Rec, body: dict[str, Any]) -> None:
        self._verdict.decisions += 1
        user, campaign, reason = rec.key, body.get("c", ""), body.get("r", "")
        self._verdict.reasons[reason] += 1
        if not reason:
            self._broke("reason", rec.place, "says no reason")
        if not 0 < body.get("p", 1) <= 1:
            self._broke("propensity", rec.place, f"has the propensity {body.get('p')}")
        self._in_arms(rec, body.get("x", []))
        if reason != "sent":
            return
        found = self._candidates.pop(body.get("d", ""), None)
        if found is None or found[1]["user_id"] != user or found[1]["campaign"] != campaign:
            self._broke("unmatched", rec.place, f"was decided to be sent, but there is no candidate {body.get('d')}")
            return
        self._verdict.pushes += 1
        self._gave(rec, campaign, body.get("k", 0), _milliseconds(found[1]["decided_at"]))
        self._sent(*found)

    def _in_arms(self, rec: Rec, told: list[str]) -> None:
        for what in self._groups.amiss(rec.key, told, self._rules.experiments):
            self._broke("arm", rec.place, what)

    def _gave(self, rec: Rec, campaign: str, cents: int, decided_ms: int) -> None:
        """A push with a coupon that may cost so much; 0 for one without."""
        if campaign not in self._rules.coupons:
            if cents:
                self._broke("budget", rec.place, f"gives a coupon of {cents} cents, {campaign} has none")
            return
        price, of_day, in_all = self._rules.coupons[campaign]
        if cents <= 0 or (price is not None and cents != price):
            self._broke("budget", rec.place, f"gives a coupon of {cents} cents, which costs {price}")
        spent = self._verdict.spent
        for day, most in ((decided_ms // DAY_MS, of_day), (None, in_all)):
            spent[campaign, day] += cents
            if most and spent[campaign, day] > most:
                when = "in all" if day is None else f"on day {day}"
                self._broke("budget", rec.place, f"{campaign} gives {spent[campaign, day]} cents {when}, of {most}")

    def _sent(self, rec: Rec, candidate: dict[str, Any]) -> None:
        user, campaign = candidate["user_id"], candidate["campaign"]
        shopper = self._people.setdefault(user, Standing())
        decided_ms, items = _milliseconds(candidate["decided_at"]), tuple(item["id"] for item in candidate["items"])
        categories = frozenset(c for item in items if (c := _category(self._goods.get(item, {}))))
        if decided_ms != self._now:
            self._broke("clock", rec.place, f"decided at {candidate['decided_at']}, stream time was {self._now}")
        if not 0 < candidate["propensity"] <= 1:
            self._broke("propensity", rec.place, f"has the propensity {candidate['propensity']}")
        if candidate.get("collapse_key") != campaign:
            self._broke("collapse_key", rec.place, f"of {campaign} would replace {candidate.get('collapse_key')!r}")
        self._in_arms(rec, [f"{one['id']}:{one['arm']}" for one in candidate["experiments"]])
        if _milliseconds(candidate["expires_at"]) <= decided_ms:
            self._broke("expired", rec.place, f"expired at {candidate['expires_at']}")
        if user in self._groups.held:
            self._broke("holdout", rec.place, f"goes to {user}, who is held out")
        if (user, campaign) in self._groups.controls:
            self._broke("control", rec.place, f"goes to {user}, who is a control of {campaign}")
        shopper.sent.append((decided_ms, campaign, items, categories))
        self._allowed(rec, candidate["channel"], shopper)
        self._not_too_often(rec, shopper)
        self._fit_to_show(rec, items, campaign, shopper)
        if (trigger := candidate.get("trigger", {})).get("topic") == "catalog":
            self._is_news(rec, trigger, candidate, shopper)

    def _allowed(self, rec: Rec, channel: str, shopper: Standing) -> None:
        now_ms = shopper.sent[-1][0]
        if shopper.opted_out:
            self._broke("consent", rec.place, f"goes to {rec.key}, who opted out")
        elif self._rules.must_consent and not shopper.word("consent"):
            self._broke("consent", rec.place, f"goes to {rec.key}, who never said yes")
        channels = shopper.word("channels")
        if channels is not None and channel not in {re.sub("[ _]", "-", name.strip().lower()) for name in channels}:
            self._broke("channel", rec.place, f"goes by {channel}, {rec.key} takes {channels}")
        if shopper.quiet(now_ms, self._rules.quiet_hours, self._rules.time_zone):
            hours, zone = shopper.word("quiet_hours"), shopper.word("time_zone")
            self._broke("quiet_hours", rec.place, f"at {now_ms}, quiet are {hours} in {zone}")

    def _not_too_often(self, rec: Rec, shopper: Standing) -> None:
        """The windows that end with the newest push."""
        now_ms, campaign, _, categories = shopper.sent[-1]
        rules = self._rules
        for most, window_ms in rules.caps:
            if (count := _within(shopper, now_ms - window_ms)) > most:
                self._broke("cap", rec.place, f"is the push {count} to {rec.key} within {window_ms} ms, of {most}")
        for most, window_ms in rules.campaign_caps.get(campaign, ()):
            count = _within(shopper, now_ms - window_ms, campaign=campaign)
            if count > most:
                self._broke("campaign_cap", rec.place, f"is the push {count} of {campaign} within {window_ms} ms")
        for most, window_ms in rules.category_caps:
            for category in sorted(categories):
                if (count := _within(shopper, now_ms - window_ms, category=category)) > most:
                    self._broke("category_cap", rec.place, f"is the push {count} of {category} within {window_ms} ms")
        gap_ms = rules.gap_ms << min(shopper.dismissals, rules.doublings)
        if len(shopper.sent) > 1 and (gone_ms := now_ms - shopper.sent[-2][0]) < gap_ms:
            self._broke("min_gap", rec.place, f"comes {gone_ms} ms after the last one, the gap is {gap_ms}")

    def _fit_to_show(self, rec: Rec, items: tuple[str, ...], campaign: str, shopper: Standing) -> None:
        now_ms, rules = shopper.sent[-1][0], self._rules
        for item in items:
            if item in shopper.bought and campaign not in rules.again:
                self._broke("bought", rec.place, f"shows {item}, which {rec.key} has bought")
            if now_ms - shopper.dismissed.get(item, now_ms - rules.dismissed_ms) < rules.dismissed_ms:
                self._broke("dismissed", rec.place, f"shows {item}, which {rec.key} dismissed")
            if item in self._gone or self._goods.get(item, {}).get("stock", 1) == 0:
                self._broke("out_of_stock", rec.place, f"shows {item}, which cannot be had")
        # What the shopper's own acts or news singled out is not less so for another campaign's having shown it.
        any_counts = campaign not in rules.singled_out
        before = [push for push in shopper.sent[:-1] if any_counts or push[1] == campaign]
        before = [push for push in before if push[0] not in shopper.failed_ms]
        lately = [shown for time_ms, _, shown, _ in before if time_ms > now_ms - rules.repeat_ms]
        if shown_again := set(items) & set().union(*lately):
            self._broke("repeat", rec.place, f"shows {sorted(shown_again)} again")

    def _is_news(self, rec: Rec, trigger: dict[str, Any], candidate: dict[str, Any], shopper: Standing) -> None:
        """It follows from what the catalog has said by now, of what the shopper wanted."""
        items = [item["id"] for item in candidate["items"]]
        if unwanted := set(items) - shopper.wanted:
            self._broke("news", rec.place, f"tells of {sorted(unwanted)}, which {rec.key} did not look at")
        if trigger["offset"] >= self._read:
            self._broke("news", rec.place, f"follows from catalog:{trigger['offset']}, read up to {self._read}")
        *before, now = self._said.get(items[0]) or [{}]
        if trigger["type"] == "price_drop":
            told = candidate["template"]["vars"]
            was, price = float(told["price_was"]), float(told["price"])
            most = max((entry.get("price", 0) for entry in before), default=0)
            if price != now.get("price") or not price < was <= most:
                self._broke("news", rec.place, f"says {was} is now {price}; the catalog said {most}, then {now}")
        elif trigger["type"] != "back_in_stock" or all(entry.get("stock", 1) for entry in before):
            self._broke("news", rec.place, f"says {items[0]} is back, which was never gone")

    def _broke(self, rule: str, where: str, what: str) -> None:
        assert rule in RULES
        self._verdict.violations.append(Violation(rule, where, what))


def _within(shopper: Standing, after_ms: int, *, campaign: str = "", category: str = "") -> int:
    """Pushes after then, of the campaign or with an item of the category if one is given."""
    return sum(
        time_ms > after_ms and campaign in {"", name} and (not category or category in categories)
        for time_ms, name, _, categories in shopper.sent
    )


def _event(rec: Rec) -> dict[str, Any] | None:
    """The event of a record with its time as ``ms``; None of what is none."""
    try:
        body = json.loads(rec.value or b"")
        body["ms"] = body["time"] if isinstance(body["time"], int) else _milliseconds(body["time"])
        return body if body["subject"] and isinstance(body.setdefault("data", {}), dict) and body["type"] else None
    except (ValueError, KeyError, TypeError):
        return None


def _says_no(body: dict[str, Any]) -> bool:
    said = body["data"].get("preferences") if body["type"] == "preferences" else None
    return body["type"] == "push_unsubscribed" or (said is not None and said.get("consent") is False)


def _items(data: dict[str, Any]) -> list[str]:
    lines = data.get("items") or ([{"id": data["item"]}] if data.get("item") else [])
    return [line["id"] for line in lines]


def _category(entry: dict[str, Any]) -> str:
    return str(entry.get("category") or next(iter(entry.get("categories") or ()), ""))


def _milliseconds(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * 1000)


def _catalog_read(batch: dict[str, Any]) -> int:
    """Up to where the task's copy of the catalog was read as it decided a batch."""
    positions = batch.get("replicas", {}).get("catalog")
    if not positions:
        return 0
    return int(positions[0] if isinstance(positions, list) else positions.get("0", 0))
