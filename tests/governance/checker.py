"""Counts what a run did against the rules of governance, from its topics alone, sharing no code with the engine.

The journal says in which order each task folded its records, so that "after the opt-out" is a fact. The decisions of a
task lie in the order in which they were made: each is found at the record that it names, or at a tick if it says when
its timer was due. What is sent, and what would have been but is held back to compare with, is then asked every rule
(``CHECKS``), with everything that is known of the shopper at that place.
"""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from tests.governance import allowed, compared, often, shares, shown, timely, worthwhile
from tests.governance.complete import missing, surplus
from tests.governance.events import milliseconds, read
from tests.governance.goods import Goods, agreed_categories
from tests.governance.groups import groups_of
from tests.governance.hashes import named
from tests.governance.journal import Journal, origin_of
from tests.governance.moment import Moment
from tests.governance.money import budget
from tests.governance.occasions import WINS, Asked, occasions, too_many, wrongly_outbid
from tests.governance.push import Push
from tests.governance.standing import Standing
from tests.governance.verdict import RULES, Verdict

if TYPE_CHECKING:
    from tests.governance.events import Event
    from tests.governance.groups import Groups
    from tests.governance.moment import Rule
    from tests.governance.run import Rec, Run

__all__ = ["CHECKS", "RULES", "check"]

CHECKS: Final[dict[str, Rule]] = {
    **allowed.CHECKS,
    **often.CHECKS,
    **shown.CHECKS,
    **worthwhile.CHECKS,
    **timely.CHECKS,
    **compared.CHECKS,
}
"""By name, each rule of a single push. The others are of several decisions, or of a decision and its candidate."""


def check(run: Run) -> Verdict:
    """Everything that was done against the rules."""
    verdict, groups, categories = Verdict(), groups_of(run), agreed_categories(run)
    for partition in run.partitions():
        _Task(run, partition, verdict, groups, Goods(run, categories)).walk()
    for what in shares.amiss(run):
        verdict.broke("shares", "decisions", what)
    return verdict


class _Task:
    """One partition of the journal."""

    def __init__(self, run: Run, partition: int, verdict: Verdict, groups: Groups, goods: Goods) -> None:
        self._run, self._partition, self._verdict, self._rules = run, partition, verdict, run.rules
        self._groups, self._goods = groups, goods
        self._journal = Journal(run, partition)
        self._people: dict[str, Standing] = {}
        self._now = self._place = 0
        self._decisions = deque(run.of("decisions", partition))
        self._candidates: dict[str, tuple[Rec, dict[str, Any]]] = {}
        self._folded: dict[str, Event | None] = {}

    def walk(self) -> None:
        self._take_candidates()
        self._compare()
        for place, step in enumerate(self._journal.steps):
            self._place = place
            self._goods.follow(step.read)
            if step.rec is not None:
                self._fold(step.rec)
            else:
                self._now = max(self._now, step.tick_ms)
                self._decided_at_tick()
        for rec in self._decisions:
            self._verdict.broke("out_of_place", rec.place, f"decides on {_body(rec).get('o')}")
        for identity, (rec, _) in self._candidates.items():
            self._verdict.broke("unmatched", rec.place, f"candidate {identity} was not decided to be sent")

    def _take_candidates(self) -> None:
        keys: set[str] = set()
        for rec in self._run.of("push-candidates", self._partition):
            body = _body(rec)
            identity, dedupe = body["candidate_id"], body["dedupe_key"]
            if identity in self._candidates or dedupe in keys:
                self._verdict.broke("duplicate", rec.place, f"candidate {identity}, dedupe key {dedupe}, came before")
            keys.add(dedupe)
            self._candidates.setdefault(identity, (rec, body))

    def _compare(self) -> None:
        """Of what competed the best was sent, and nothing else."""
        for together in occasions(map(self._asked, self._decisions)):
            for asked in too_many(together, self._journal.ticks):
                what = f"{asked.reason}, as another one of {asked.rec.key} was"
                self._verdict.broke("two_pushes", asked.rec.place, what)
            for asked, how in wrongly_outbid(together, self._rules.priorities):
                self._verdict.broke("outbid", asked.rec.place, how)

    def _asked(self, rec: Rec) -> Asked:
        body = _body(rec)
        return Asked(rec, body, self._sent_ms(body))

    def _sent_ms(self, decision: dict[str, Any]) -> int:
        """When a push was decided; 0 of a decision that sent none."""
        found = self._candidates.get(decision.get("d", "")) if decision.get("r") == "sent" else None
        return milliseconds(found[1]["decided_at"]) if found else 0

    # -- the order ------------------------------------------------------------------------------------------------

    def _decided_at_tick(self) -> None:
        while self._decisions:
            body = _body(self._decisions[0])
            if not body.get("t") or body["t"] > self._now or self._comes_later(body):
                return
            rec = self._decisions.popleft()
            self._decided(rec, body, self._folded.get(body.get("o", "")))

    def _comes_later(self, decision: dict[str, Any]) -> bool:
        """Whether a timer asked at a later tick, though it was due before: it was not armed yet.

        So it is with one that an event out of order armed for a time that was over, and with news of the catalog, be
        the tick that tells them of the same stream time.
        """
        topic, _, offset = str(decision.get("o", "")).partition(":")
        if topic != "catalog" and decision.get("o") not in self._folded:
            return True
        decided_ms = self._sent_ms(decision)
        if decided_ms > self._now and decided_ms in self._journal.ticks:
            return True
        return topic == "catalog" and self._goods.read <= int(offset) < self._journal.read_at_last

    def _fold(self, rec: Rec) -> None:
        """A record, and what was decided with it."""
        event = read(rec)
        shopper = self._people.setdefault(rec.key, Standing())
        newest_ms, counts = shopper.newest_ms, False
        if event is not None:
            counts = self._take(shopper, event)
        elif rec.value is None and rec.topic in {"preferences", "ingress"} and rec.key:
            shopper.unsays(rec.timestamp)
        origin = origin_of(rec)
        self._folded[origin] = event
        decided: list[str] = []
        while self._decisions:
            body = _body(self._decisions[0])
            if body.get("o") != origin or body.get("t"):
                break
            decided.append(body.get("c", ""))
            self._decided(self._decisions.popleft(), body, event, newest_ms)
        for what in missing(event, decided, self._rules, counts=counts):
            self._verdict.broke("missing", rec.place, what)
        for what in surplus(event, decided, self._rules, counts=counts):
            self._verdict.broke("surplus", rec.place, what)

    def _take(self, shopper: Standing, event: Event) -> bool:
        """Whether an event counts; what it changes is changed then."""
        erases = event.ms > shopper.erased_ms and bool((event.data.get("preferences") or {}).get("erase"))
        if not shopper.folds(event, self._rules):
            return False
        if event.done:
            # What is said about pushes is read ahead of everything else: it does not tell the time.
            self._now = max(self._now, event.ms)
        self._goods.hear(event, self._now)
        if erases:
            self._people[event.user] = shopper.erased(event.ms)
        return True

    # -- what was decided -----------------------------------------------------------------------------------------

    def _decided(self, rec: Rec, body: dict[str, Any], event: Event | None, newest_ms: int = 0) -> None:
        """``event``: the one that asked, or that armed the timer."""
        verdict, reason = self._verdict, body.get("r", "")
        verdict.decisions += 1
        verdict.reasons[reason] += 1
        if not reason:
            verdict.broke("reason", rec.place, "says no reason")
        if not 0 < body.get("p", 1) <= 1:
            verdict.broke("propensity", rec.place, f"has the propensity {body.get('p')}")
        self._in_arms(rec, body.get("x", []))
        if reason not in WINS:
            return
        found = None
        if reason == "sent":
            found = self._candidates.pop(body.get("d", ""), None)
            if found is None or found[1]["user_id"] != rec.key or found[1]["campaign"] != body.get("c", ""):
                what = f"was decided to be sent, but there is no candidate {body.get('d')}"
                verdict.broke("unmatched", rec.place, what)
                return
            verdict.pushes += 1
            self._in_arms(found[0], [f"{one['id']}:{one['arm']}" for one in found[1]["experiments"]])
        self._ended(self._push(rec, body, found, event, newest_ms))

    def _in_arms(self, rec: Rec, told: list[str]) -> None:
        for what in self._groups.amiss(rec.key, told):
            self._verdict.broke("arm", rec.place, what)

    def _push(
        self,
        rec: Rec,
        body: dict[str, Any],
        found: tuple[Rec, dict[str, Any]] | None,
        event: Event | None,
        newest_ms: int,
    ) -> Push:
        if found is not None:
            rec, candidate = found
            at_ms = until_ms = milliseconds(candidate["decided_at"])
            items, placed = tuple(item["id"] for item in candidate["items"]), True
        else:
            candidate, items, at_ms = None, tuple(body.get("i", ())), self._now
            until_ms, placed = self._held_back_until(body)
        of_catalog = str(body.get("o", "")).startswith("catalog:")
        event_ms = event.ms if event is not None else None
        mark = event.mark if event is not None else None
        return Push(
            rec,
            body,
            candidate,
            items,
            frozenset(c for item in items if (c := self._goods.category(item, self._now))),
            at_ms,
            until_ms,
            placed,
            asked_ms=body.get("t") or event_ms,
            newest_ms=newest_ms,
            # News are drawn by their name and the shopper's.
            mark=named(f"{body['e']}\n{rec.key}") if of_catalog and body.get("e") else mark,
        )

    def _held_back_until(self, body: dict[str, Any]) -> tuple[int, bool]:
        """Until when a push was held back, at the latest, and whether it was so at this very place. What a timer asked
        for may have been decided at any tick before what was decided next.
        """
        if not body.get("t"):
            return self._now, True
        after, by_ms = "", 0
        for rec in self._decisions:
            following = _body(rec)
            after, by_ms = "" if following.get("t") else following.get("o", ""), self._sent_ms(following)
            if after or by_ms:
                break
        last, until_ms = self._journal.last_tick(self._place, after, 0 if after else by_ms)
        return max(until_ms, self._now), last == self._place

    def _ended(self, push: Push) -> None:
        """A push that was sent, or held back: it is asked every rule, and counts from then on."""
        shopper = self._people.setdefault(push.user, Standing())
        shopper.sent.append(push)
        rules = self._groups.rules_of(push.user)
        moment = Moment(push, shopper, rules, self._goods, self._groups, self._now)
        for name, rule in CHECKS.items() if push.placed else often.CHECKS.items():
            for what in rule(moment):
                self._verdict.broke(name, push.rec.place, what)
        for what in budget(push, rules, self._verdict.spent):
            self._verdict.broke("budget", push.rec.place, what)


def _body(rec: Rec) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(rec.value or b"{}")
    return body
