"""Through the journal once more, record by record: what should have become of each, and what was decided on it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from tests.faults import campaigns, plain
from tests.faults.coupons import REASONS, Account, in_cents
from tests.faults.load import DAY_MS, partition_of
from tests.faults.news import CATALOG, WAITING, Catalog, Watching
from tests.faults.plain import Said, Shopper, Standing
from tests.faults.slates import Impression, Responses
from tests.faults.timed import MOST_SHOPPERS, Timer, Timers, quiet_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.evidence import Evidence
    from tests.faults.plain import Rec

INPUTS: Final = ("preferences", "feedback", "ingress", "search", "browse", "purchase")
#: All that is read on the way.
READ: Final = (*INPUTS, CATALOG, "journal", "decisions", "push-candidates")
#: For so many batches changes may lie untold: the first of a task that was taken over or came back tells of none.
MOST_OWING: Final = 12
#: What a timer that asks for the first time waits for the end of.
CAPS: Final = {"min_gap", "hour_cap", "day_cap"}
RANKED_REASONS: Final = {
    "sent",
    "no_candidates",
    "bought",
    "out_of_stock",
    "repeat",
    "dismissed",
    "low_score",
    "outbid",
    "not_worth_it",
    *REASONS,
}


@dataclass(frozen=True, slots=True)
class Breach:
    """An invariant (its number in the design), where it broke first, and how."""

    invariant: int
    where: str
    what: str

    def __str__(self) -> str:
        return f"invariant {self.invariant} at {self.where}: {self.what}"


@dataclass
class Item:
    """What was seen of an item: event lines by kind, and the first and last time."""

    counts: Counter[str] = field(default_factory=Counter)
    first_ms: int = 0
    last_ms: int = 0


@dataclass
class Walked:
    """All that follows from input and journal. Places are ``topic:partition:offset``.

    ``erased``: by user, the stream times at which they asked to be forgotten, and with them the pushes they had.
    ``spent``: by partition and campaign, as ``Account.row``. ``watching`` and ``responses``: by partition.
    ``news``: all that was told, by campaign, shopper and its event's id.
    """

    fates: dict[str, str] = field(default_factory=dict)
    letters: dict[str, str] = field(default_factory=dict)
    applied: dict[str, Said] = field(default_factory=dict)
    shoppers: dict[str, Shopper] = field(default_factory=dict)
    timers: dict[str, Timers] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    erased: dict[str, list[int]] = field(default_factory=dict)
    fingerprints: set[int] = field(default_factory=set)
    positions: dict[tuple[str, int], int] = field(default_factory=dict)
    now: dict[int, int] = field(default_factory=dict)
    spent: dict[int, dict[str, list[int]]] = field(default_factory=dict)
    watching: dict[int, Watching] = field(default_factory=dict)
    responses: dict[int, Responses] = field(default_factory=dict)
    news: set[tuple[str, str, str]] = field(default_factory=set)
    breaches: list[Breach] = field(default_factory=list)


def walk(evidence: Evidence) -> Walked:
    """Follow every task's journal."""
    walked, catalog = Walked(), Catalog(evidence.records(CATALOG, 0))
    for partition in range(evidence.partitions):
        _Task(evidence, walked, partition, catalog).walk()
    return walked


class _Task:
    """One partition of the journal."""

    def __init__(self, evidence: Evidence, walked: Walked, partition: int, catalog: Catalog) -> None:
        self._evidence, self._walked, self._partition = evidence, walked, partition
        self._records = {topic: evidence.records(topic, partition) for topic in INPUTS}
        self._next = dict.fromkeys(INPUTS, 0)  # place in the list of the record to be folded next
        self._places = {topic: {rec.offset: n for n, rec in enumerate(recs)} for topic, recs in self._records.items()}
        self._decisions = _by_origin(evidence, partition)
        self._candidates: dict[str, dict[str, Any]] = {}
        for rec in evidence.records("push-candidates", partition):
            body = json.loads(rec.value or b"{}")
            self._candidates.setdefault(body.get("candidate_id", ""), body)
        self._account = Account(partition, evidence.partitions)
        self._catalog, self._watching = catalog, Watching(catalog)
        self._responses = Responses()
        self._now = self._position = 0  # of the stream and of the catalog
        self._owed, self._batches_owing = False, 0

    def walk(self) -> None:
        for entry in self._evidence.records("journal", self._partition):
            body = json.loads(entry.value or b"{}")
            for batch in body["batches"]:
                (self._position,) = batch["replicas"][CATALOG]
                fates = Counter(self._fold(rec) for rec in self._follow(batch["runs"], entry) if rec is not None)
                counts = {name: n for name, n in batch["counts"].items() if n}
                if fates != Counter(counts):
                    self._breach(3, entry.place, f"the batch {batch['runs']} counts {counts}, but it is {dict(fates)}")
                self._owe(batch["runs"], entry)
            if body["now"] != self._now:
                self._breach(1, entry.place, f"stream time is {body['now']}, but the input's is {self._now}")
        for topic, records in self._records.items():
            if (place := self._next[topic]) < len(records):
                self._breach(7, records[place].place, f"never folded, nor {len(records) - place - 1} after it")
            self._walked.positions[topic, self._partition] = records[place - 1].offset + 1 if place else 0
        self._walked.now[self._partition] = self._now
        self._walked.spent[self._partition] = self._account.row
        self._walked.watching[self._partition] = self._watching
        self._walked.responses[self._partition] = self._responses
        for user, origin, campaign, due_ms in self._decisions:
            what = f"decided on {origin} for {campaign} and {user}, due at {due_ms}, which triggers nothing"
            self._breach(5, f"decisions:{self._partition}", what)

    def _owe(self, runs: list[Any], entry: Rec) -> None:
        """A batch is over: changes that lay untold before it should have been told at its beginning."""
        told = any(topic == "tick" and until for topic, _, until in runs)
        self._batches_owing = self._batches_owing + 1 if self._owed and not told else 0
        if self._batches_owing == MOST_OWING:
            self._breach(7, entry.place, f"for {MOST_OWING} batches tells nobody of changes of the catalog")
        self._watching.settle(self._position)
        self._owed = self._watching.owes(self._position)

    def _follow(self, runs: list[Any], entry: Rec) -> Iterator[Rec | None]:
        """The records of the runs, None for a tick, which is done; says where they leave the log's order."""
        for topic, first, last in runs:
            if topic == "tick":
                if last > self._position:
                    what = f"tells of the catalog up to {last}, which is read up to {self._position}"
                    self._breach(7, entry.place, what)
                self._tick(first, last)
                yield None
                continue
            records, places = self._records[topic], self._places[topic]
            for offset in range(first, last + 1):
                place, where = places.get(offset), f"{topic}:{self._partition}:{offset}"
                if place is None:
                    self._breach(7, entry.place, f"journals {where}, which is no committed record")
                    continue
                if place != self._next[topic]:
                    way = "again" if place < self._next[topic] else "too early"
                    self._breach(7, entry.place, f"folds {where} {way}")
                self._next[topic] = place + 1
                yield records[place]

    def _fold(self, rec: Rec) -> str:
        fate = self._fate(rec)
        self._walked.fates[rec.place] = fate
        return fate

    def _fate(self, rec: Rec) -> str:
        walked, said = self._walked, plain.read(rec)
        if isinstance(said, str):
            walked.letters[rec.place] = said
            return "dead_letter"
        if not plain.belongs(rec, said, self._evidence.partitions):
            if rec.topic == "ingress":
                walked.letters[rec.place] = "misrouted"
                return "dead_letter"
            return "rekeyed"
        shopper = walked.shoppers.setdefault(said.user, Shopper())
        said = shopper.told(said)
        fate = shopper.judge(said)
        if fate == "applied":
            walked.applied[rec.place] = said
            self._apply(rec, said, shopper)
        return fate

    def _apply(self, rec: Rec, said: Said, shopper: Shopper) -> None:
        newest_ms = shopper.profile.last_ms if shopper.profile is not None else 0
        if said.type != "tombstone":
            if plain.KINDS[said.type] not in {"feedback", "preferences"}:  # these are read ahead of the others
                self._now = max(self._now, said.time)
            self._walked.fingerprints.add(said.fingerprint)
        before = list(shopper.profile.items) if shopper.profile is not None else []
        shopper.fold(said)
        timers = self._walked.timers.setdefault(said.user, Timers())
        if (said.preferences or {}).get("erase"):
            self._walked.erased.setdefault(said.user, []).append(self._now)
            timers.armed, timers.wake_ms = [], 0
            self._watching.forget(said.user)
            self._responses.forget(said.user)
        elif shopper.profile is not None and said.items:
            gone = [item for item in before if item not in shopper.profile.items]
            self._watching.hear(said, gone, shopper.profile, self._position)
        timers.hear(rec, said, overtaken=said.time < newest_ms and _bought_since(said, shopper))
        self._responses.hear(said)
        kind = plain.KINDS.get(said.type, "")
        for item in said.items:
            seen = self._walked.items.setdefault(item, Item(first_ms=said.time))
            seen.counts[kind] += 1
            seen.first_ms, seen.last_ms = min(seen.first_ms, said.time), max(seen.last_ms, said.time)
        if asked := [Timer(campaign, 0, rec, said, said.items) for campaign in campaigns.asking(said.type)]:
            self._occasion(asked, shopper, said.user, newest_ms)

    def _tick(self, time_ms: int, until: int) -> None:
        """What the catalog changed before an offset; then those whose time had come before, the earliest first."""
        walked, self._now = self._walked, max(self._now, time_ms)
        looked_at = [key for key in self._responses.due() if int(key[:15]) <= self._now]
        rows = sorted((*self._due(), *looked_at))
        for told in self._watching.sweep(until, self._now, self._position):
            walked.timers[told.user].tell(told, self._now)
            walked.news.add((told.campaign, told.user, f"{told.item}@{told.offset}"))
        for key in rows[:MOST_SHOPPERS]:
            user = key[16:]
            if key[15] == "~":
                self._responses.reached(user, self._now)
                continue
            shopper = walked.shoppers[user]
            fired = [self._still(timer) for timer in walked.timers[user].reached(self._now) if timer.asks(shopper.sent)]
            if fired and shopper.profile is not None:
                self._occasion(fired, shopper, user, 0)

    def _due(self) -> Iterator[str]:
        """The keys of table ``due`` that are of timers and reached."""
        partitions = self._evidence.partitions
        for user, timers in self._walked.timers.items():
            if 0 < timers.wake_ms <= self._now and partition_of(user.encode(), partitions) == self._partition:
                yield f"{timers.wake_ms:015d}/{user}"

    def _still(self, timer: Timer) -> Timer:
        """With what of its news is true still."""
        if timer.campaign not in WAITING:
            return timer
        left = timer.only(lambda item, cents: self._watching.holds(timer.campaign, item, cents, self._position))
        for item in set(timer.items).difference(left.items):
            self._watching.untold(timer.campaign, timer.said.user, item)
        return left

    def _occasion(self, asks: list[Timer], shopper: Shopper, user: str, newest_ms: int) -> None:
        """Hold the decisions on what is asked at once to the rules that can be asked plainly."""
        then = Shopper(shopper.profile, shopper.seen, shopper.standing, list(shopper.sent))
        refusals = [plain.refusal(then, ask.due_ms or ask.said.time, newest_ms, self._now) for ask in asks]
        for ask, refusal in zip(asks, refusals, strict=True):
            self._wait(ask, refusal, then, user)
        if refusals.count("") > 1:
            # One of them may be sent; the others have their turn when there is room again.
            then.sent.append((self._now, "", (), 0))
            for ask in (ask for ask, refusal in zip(asks, refusals, strict=True) if not refusal and ask.may_wait):
                self._arm(ask, plain.room(then, ask.due_ms, self._now), user, waited=True, asked_ms=self._now)
        reasons = [self._decided(ask, shopper, refusal) for ask, refusal in zip(asks, refusals, strict=True)]
        if reasons.count("sent") > 1 or ("outbid" in reasons and "sent" not in reasons):
            self._breach(4, asks[0].rec.place, f"asked at once, the decisions are {reasons}")

    def _wait(self, ask: Timer, refusal: str, then: Shopper, user: str) -> None:
        """What may be asked again later is armed."""
        if refusal == "quiet_hours":
            self._arm(ask, quiet_until(then.standing or Standing(), self._now), user, waited=not ask.may_wait)
        elif refusal in CAPS and ask.may_wait:
            self._arm(ask, plain.room(then, ask.due_ms, self._now), user, waited=True)

    def _arm(self, ask: Timer, until: int | None, user: str, *, waited: bool, asked_ms: int = 0) -> None:
        if until is not None and until > self._now:
            later = replace(ask, due_ms=until, waits=True, waited=waited, asked_ms=asked_ms)
            self._walked.timers[user].arm(later)

    def _decided(self, ask: Timer, shopper: Shopper, refusal: str) -> str:
        """The reason of the one decision on this."""
        rec = ask.rec
        place = f"{rec.topic}:{rec.offset}"
        found = self._decisions.pop((ask.said.user, place, ask.campaign, ask.due_ms), [])
        if len(found) != 1:
            what = f"{len(found)} decisions on one event for {ask.campaign}, due at {ask.due_ms}"
            self._breach(3, rec.place, what)
            return ""
        reason: str = found[0].get("r", "")
        if refusal and reason != refusal:
            self._breach(6, rec.place, f"decided {reason!r}, but {refusal!r} forbids it")
        elif not refusal and reason not in RANKED_REASONS:
            self._breach(4, rec.place, f"refused for {reason!r}, which does not hold")
        candidate = self._candidates.get(found[0].get("d", ""))
        for what in self._account.judge(ask.campaign, found[0], candidate, self._now):
            self._breach(6, rec.place, what)
        if reason == "sent":
            self._pushed(ask, shopper, found[0])
        return reason

    def _pushed(self, ask: Timer, shopper: Shopper, decision: dict[str, Any]) -> None:
        rec, said = ask.rec, ask.said
        identity = plain.candidate_id(said.user, said.source, said.id, decision["c"])
        candidate = self._candidates.get(identity)
        if candidate is None or decision.get("d") != identity:
            self._breach(4, rec.place, f"decided to send {decision.get('d')}, its candidate would be {identity}")
            return
        if plain.milliseconds(candidate["decided_at"]) != self._now:
            self._breach(4, rec.place, f"decided at {candidate['decided_at']}, but stream time is {self._now}")
        items = tuple(item["id"] for item in candidate["items"])
        had = shopper.profile.purchased if shopper.profile is not None else {}
        if bought := {item for item in items if item in had and not self._chosen_since(ask, item)}:
            self._breach(6, rec.place, f"pushes {sorted(bought)}, which {said.user} has bought")
        # News are no repetition of what was proposed, only of what was told.
        like = {ask.campaign} if ask.campaign in WAITING else {campaign for _, campaign, _, _ in shopper.sent}
        failed = shopper.standing.failed if shopper.standing is not None else []
        lately = [push for push in shopper.sent if push[0] > self._now - 7 * DAY_MS and push[3] not in failed]
        week = {item for _, by, shown, _ in lately if by in like for item in shown}
        if again := set(items) & week:
            self._breach(6, rec.place, f"pushes {sorted(again)} to {said.user} again within a week")
        entries = {item: self._catalog.entry(item, self._position) for item in items}
        if gone := [item for item, entry in entries.items() if entry is not None and not entry.in_stock]:
            self._breach(6, rec.place, f"pushes {gone} to {said.user}, of which there is none left")
        if ask.campaign in WAITING:
            told, was = candidate["template"]["vars"], dict(zip(ask.items, ask.prices, strict=True))
            if other := set(items) - set(ask.items):
                self._breach(5, rec.place, f"pushes {sorted(other)} to {said.user}, who was told of {ask.items}")
            entry = entries[items[0]]
            cents = in_cents(told["price"]), in_cents(told.get("price_was", ""))
            if entry is None or (entry.cents, was.get(items[0])) != (cents[0] if entry.cents else 0, cents[1]):
                self._breach(5, rec.place, f"tells of {items[0]} at {cents}, it is {entry} and was at {was}")
        shopper.sent.append((self._now, candidate["campaign"], items, int(identity[:8], 16)))
        self._responses.keep(said.user, Impression(identity, self._now, ask.campaign, items, decision))

    def _chosen_since(self, ask: Timer, item: str) -> bool:
        """Whether news may be told of what was bought: it was put into the cart, or wished for, once more."""
        row = self._watching.rows.get((item, ask.said.user))  # a purchase takes it out: what it tells came after
        return ask.campaign in WAITING and row is not None and bool({"cart", "wishlist"} & set(row.types))

    def _breach(self, invariant: int, where: str, what: str) -> None:
        self._walked.breaches.append(Breach(invariant, where, what))


def _bought_since(said: Said, shopper: Shopper) -> bool:
    """Whether an order of a later second was folded before."""
    purchased = shopper.profile.purchased if shopper.profile is not None else {}
    return any(last_s > said.time // 1000 for last_s, _, _ in purchased.values())


def _by_origin(evidence: Evidence, partition: int) -> dict[tuple[str, str, str, int], list[dict[str, Any]]]:
    """By shopper, by where what asked or armed lies, by campaign, and by when the timer was due (0: without one)."""
    found: dict[tuple[str, str, str, int], list[dict[str, Any]]] = {}
    for rec in evidence.records("decisions", partition):
        body = json.loads(rec.value or b"{}")
        at = ((rec.key or b"").decode(), body.get("o", rec.place), body.get("c", ""), body.get("t", 0))
        found.setdefault(at, []).append(body)
    return found
