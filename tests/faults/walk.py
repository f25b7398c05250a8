"""Through the journal once more, record by record: what should have become of each, and what was decided on it."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.faults import plain
from tests.faults.load import DAY_MS
from tests.faults.plain import TRIGGERS, Said, Shopper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.evidence import Evidence
    from tests.faults.plain import Rec

INPUTS: Final = ("preferences", "feedback", "ingress", "search", "browse", "purchase")
RANKED_REASONS: Final = {"sent", "no_candidates", "bought", "out_of_stock", "repeat", "low_score"}


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
    """

    fates: dict[str, str] = field(default_factory=dict)
    letters: dict[str, str] = field(default_factory=dict)
    applied: dict[str, Said] = field(default_factory=dict)
    shoppers: dict[str, Shopper] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    erased: dict[str, list[int]] = field(default_factory=dict)
    fingerprints: set[int] = field(default_factory=set)
    positions: dict[tuple[str, int], int] = field(default_factory=dict)
    now: dict[int, int] = field(default_factory=dict)
    breaches: list[Breach] = field(default_factory=list)


def walk(evidence: Evidence) -> Walked:
    """Follow every task's journal."""
    walked = Walked()
    for partition in range(evidence.partitions):
        _Task(evidence, walked, partition).walk()
    return walked


class _Task:
    """One partition of the journal."""

    def __init__(self, evidence: Evidence, walked: Walked, partition: int) -> None:
        self._evidence, self._walked, self._partition = evidence, walked, partition
        self._records = {topic: evidence.records(topic, partition) for topic in INPUTS}
        self._next = dict.fromkeys(INPUTS, 0)  # place in the list of the record to be folded next
        self._places = {topic: {rec.offset: n for n, rec in enumerate(recs)} for topic, recs in self._records.items()}
        self._decisions = _by_origin(evidence, partition)
        self._candidates: dict[str, dict[str, Any]] = {}
        for rec in evidence.records("push-candidates", partition):
            body = json.loads(rec.value or b"{}")
            self._candidates.setdefault(body.get("candidate_id", ""), body)
        self._now = 0

    def walk(self) -> None:
        for entry in self._evidence.records("journal", self._partition):
            body = json.loads(entry.value or b"{}")
            for batch in body["batches"]:
                fates = Counter(self._fold(rec) for rec in self._follow(batch["runs"], entry))
                counts = {name: n for name, n in batch["counts"].items() if n}
                if fates != Counter(counts):
                    self._breach(3, entry.place, f"the batch {batch['runs']} counts {counts}, but it is {dict(fates)}")
            if body["now"] != self._now:
                self._breach(1, entry.place, f"stream time is {body['now']}, but the input's is {self._now}")
        for topic, records in self._records.items():
            if (place := self._next[topic]) < len(records):
                self._breach(7, records[place].place, f"never folded, nor {len(records) - place - 1} after it")
            self._walked.positions[topic, self._partition] = records[place - 1].offset + 1 if place else 0
        self._walked.now[self._partition] = self._now
        for origin in self._decisions:
            self._breach(5, f"decisions:{self._partition}", f"decided on {origin}, which triggers nothing")

    def _follow(self, runs: list[Any], entry: Rec) -> Iterator[Rec]:
        """The records of the runs; says where they leave the log's order."""
        for topic, first, last in runs:
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
        fate = shopper.judge(said)
        if fate == "applied":
            walked.applied[rec.place] = said
            self._apply(rec, said, shopper)
        return fate

    def _apply(self, rec: Rec, said: Said, shopper: Shopper) -> None:
        newest_ms = shopper.profile.last_ms if shopper.profile is not None else 0
        if said.type != "tombstone":
            self._now = max(self._now, said.time)
            self._walked.fingerprints.add(said.fingerprint)
        shopper.fold(said)
        if (said.preferences or {}).get("erase"):
            self._walked.erased.setdefault(said.user, []).append(self._now)
        kind = plain.KINDS.get(said.type, "")
        for item in said.items:
            seen = self._walked.items.setdefault(item, Item(first_ms=said.time))
            seen.counts[kind] += 1
            seen.first_ms, seen.last_ms = min(seen.first_ms, said.time), max(seen.last_ms, said.time)
        if said.type in TRIGGERS:
            self._decided(rec, said, shopper, newest_ms)

    def _decided(self, rec: Rec, said: Said, shopper: Shopper, newest_ms: int) -> None:
        """Hold the one decision on this event to the rules that can be asked plainly."""
        found = self._decisions.pop(f"{rec.topic}:{rec.offset}", [])
        if len(found) != 1:
            self._breach(3, rec.place, f"{len(found)} decisions on one event")
            return
        reason, refusal = found[0].get("r"), plain.refusal(shopper, said, newest_ms, self._now)
        if refusal and reason != refusal:
            self._breach(6, rec.place, f"decided {reason!r}, but {refusal!r} forbids it")
        elif not refusal and reason not in RANKED_REASONS:
            self._breach(4, rec.place, f"refused for {reason!r}, which does not hold")
        if reason == "sent":
            self._pushed(rec, said, shopper, found[0])

    def _pushed(self, rec: Rec, said: Said, shopper: Shopper, decision: dict[str, Any]) -> None:
        identity = plain.candidate_id(said.user, said.source, said.id, decision["c"])
        candidate = self._candidates.get(identity)
        if candidate is None or decision.get("d") != identity:
            self._breach(4, rec.place, f"decided to send {decision.get('d')}, its candidate would be {identity}")
            return
        if plain.milliseconds(candidate["decided_at"]) != self._now:
            self._breach(4, rec.place, f"decided at {candidate['decided_at']}, but stream time is {self._now}")
        items = tuple(item["id"] for item in candidate["items"])
        had = shopper.profile.purchased if shopper.profile is not None else {}
        if bought := set(items) & set(had):
            self._breach(6, rec.place, f"pushes {sorted(bought)}, which {said.user} has bought")
        week = {item for at, _, sent in shopper.sent if at > self._now - 7 * DAY_MS for item in sent}
        if again := set(items) & week:
            self._breach(6, rec.place, f"pushes {sorted(again)} to {said.user} again within a week")
        shopper.sent.append((self._now, candidate["campaign"], items))

    def _breach(self, invariant: int, where: str, what: str) -> None:
        self._walked.breaches.append(Breach(invariant, where, what))


def _by_origin(evidence: Evidence, partition: int) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for rec in evidence.records("decisions", partition):
        body = json.loads(rec.value or b"{}")
        found.setdefault(body.get("o", rec.place), []).append(body)
    return found
