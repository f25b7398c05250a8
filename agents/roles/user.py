"""The user role: events in; profiles, candidates, decisions, examples and item deltas out."""

from __future__ import annotations

import logging
import time
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import msgspec

from agents import zones
from agents.due import DueTable, OneDue
from agents.replicas import Replicas
from agents.role import NEVER, TaskRow
from agents.roles.known import Known
from agents.task import TASKS_TABLE
from agents.watching import WatchTable
from state.codecs import RawCodec, StructCodec
from state.errors import StateError
from state.table import Table, TableSpec
from streamer.core import encode
from streamer.core.campaigns.budget import NOTHING, Budgets
from streamer.core.campaigns.watching import Watch
from streamer.core.effects import DeadLetter, Effects
from streamer.core.engine import Engine
from streamer.core.items.deltas import ItemDeltas
from streamer.core.items.rows import tells_all
from streamer.core.partition import partition_of
from streamer.core.policy.state import PolicyState
from streamer.core.predictions.pending import Slot
from streamer.core.profile import Profile
from streamer.core.profile_old import PROFILES_BEFORE
from streamer.core.record import TICK, changes_of, tick
from streamer.core.sessions.rows import session_key, session_keys, session_row
from streamer.core.timers import is_of_slates, read_due_key
from streamer.core.units import of_shoppers
from streamer.core.uplift.slates import Slates
from streamer.core.views import NothingDue, Views

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from agents.metrics import Metrics
    from agents.role import TaskContext
    from streamer.core.record import Record
    from streamer.core.settings import CoreSettings

log = logging.getLogger(__name__)


class UserRole:
    """Composes the engine, its replicas and its tables."""

    name = "user"
    inputs = ("preferences", "feedback", "ingress", "search", "browse", "purchase")
    first = frozenset({"preferences", "feedback"})
    journaled = True
    tables: tuple[TableSpec[Any], ...] = (
        TableSpec("profile", StructCodec(Profile, 4, PROFILES_BEFORE), immutable=True),
        TableSpec("seen", RawCodec(), immutable=True),
        TableSpec("policy", StructCodec(PolicyState), immutable=True),
        TableSpec("pending", StructCodec(Slot), immutable=True),
        TableSpec("due", RawCodec(), cached=False),
        TableSpec("slates", StructCodec(Slates), immutable=True),
        TableSpec("watch", StructCodec(Watch), immutable=True),
        TableSpec(TASKS_TABLE, StructCodec(TaskRow)),
    )

    def __init__(
        self,
        core: CoreSettings,
        *,
        topic: Callable[[str], str],
        client: Mapping[str, Any],
        metrics: Metrics,
        fail: Callable[[str, BaseException], None],
        item_partitions: int,
        commit_interval_s: float,
    ) -> None:
        self.core, self.item_partitions, self.commit_interval_s = core, item_partitions, commit_interval_s
        self.units = of_shoppers(core)
        self.known = Known(core, metrics)
        self._replicas = Replicas(
            self.known.appliers,
            places=self.known.places,
            topic=topic,
            client=client,
            metrics=metrics,
            fail=fail,
            tells_all={"item-index": tells_all},
        )

    def replicas(self) -> Replicas:
        """Catalog, item index, sessions and model."""
        return self._replicas

    def open(self, context: TaskContext) -> UserWork:
        """One engine a task."""
        return UserWork(self, context)


class UserWork:
    """The user role's work on one task."""

    def __init__(self, role: UserRole, context: TaskContext) -> None:
        self._context, self._role = context, role
        self._engine = Engine(role.core, zones=zones.load(), clock=time.perf_counter)
        store = context.store
        self._profiles: Table[Profile] = store.table("profile")
        self._seen: Table[bytes] = store.table("seen")
        self._policy: Table[PolicyState] = store.table("policy")
        self._pending: Table[Slot] = store.table("pending")
        self._slates: Table[Slates] = store.table("slates")
        self._due = DueTable(store.table("due"), context.row.due_ms)
        self._watch = WatchTable(store.table("watch"), context)
        self.reached = 0
        self._views = Views(
            profiles=self._profiles,
            seen=self._seen,
            policy=self._policy,
            items=role.known.items,
            model=role.known.model,
            pending=self._pending,
            foreseeing=role.known.foreseeing,
            due=self._due,
            slates=self._slates,
            uplift=role.known.uplift,
            segments=role.known.segments,
            watch=self._watch,
            challengers=role.known.model.challengers,
        )
        self._deltas = ItemDeltas()
        self._touched: dict[str, None] = {}
        self._erased: dict[str, None] = {}
        self._giving = [campaign for campaign in role.core.campaigns if campaign.coupon is not None]
        self._tell_budgets()

    @property
    def due_ms(self) -> int:
        """When a shopper is next to be looked at, ``NEVER`` without timers."""
        return self._due.first_ms

    @property
    def changes(self) -> int:
        """Up to where the catalog has changes that those who watch the items are to be told of; 0: it has none."""
        row, changes = self._context.row, self._role.known.items.changes
        return changes.position if row.watched and changes.newest >= row.swept else 0

    def process(self, records: Sequence[Record]) -> Mapping[str, int]:
        """One micro-batch through the engine; its effects into tables and outbox."""
        self.reached = 0
        try:
            effects = self._step(records)
        except StateError:
            # The tables cannot be read: no event is to blame, and none may be lost for it.
            raise
        except Exception:
            # The core is pure and rows never change, so nothing of the failed attempt stands. Find the record that
            # cannot be folded, and go on with the others.
            log.exception("a micro-batch of %d records failed; folding them one at a time", len(records))
            counts: Counter[str] = Counter()
            for record in records:
                counts += self._one(record) if record.topic != TICK else self._one_by_one(record)
            return counts
        self._apply(effects)
        return effects.counts

    def _one(self, record: Record) -> Counter[str]:
        try:
            effects = self._step([record])
        except StateError:
            raise
        except Exception as exc:
            log.exception("record %s:%d:%d cannot be folded", record.topic, record.partition, record.offset)
            effects = Effects(now=self._context.row.now)
            effects.dead_letters.append(DeadLetter(record, "handler_error", type(exc).__name__))
            effects.counts["dead_letter"] += 1
        self._apply(effects)
        return effects.counts

    def _one_by_one(self, whole: Record) -> Counter[str]:
        """A tick, one shopper after the other. Timers that raise are dropped, or they would be due for ever; so are
        changes that cannot be told.
        """
        context, counts = self._context, Counter[str]()
        until_ms = max(context.row.now, whole.offset)
        if changes := changes_of(whole):
            try:
                effects = self._step([whole], replace(self._views, due=NothingDue()))
            except StateError:
                raise
            except Exception as exc:
                log.exception("changes of the catalog before offset %d cannot be told, and are not", changes)
                effects = Effects(now=until_ms, watching=(context.row.watched, changes, ""))
                effects.dead_letters.append(DeadLetter(whole, "handler_error", type(exc).__name__))
            self._apply(effects)
        at = tick(context.partition, whole.offset)
        for key in self._due.first(until_ms, self._role.core.timers.fired_per_tick):
            due_ms, user = read_due_key(key)
            try:
                effects = self._step([at], replace(self._views, due=OneDue(key)))
            except StateError:
                raise
            except Exception as exc:
                log.exception("what is due for a shopper at %d raises, and is dropped", due_ms)
                effects = Effects(now=until_ms)
                effects.due[key] = None
                if is_of_slates(key):
                    effects.slates[user] = None
                elif (state := self._policy.get(user)) is not None:
                    effects.policy[user] = msgspec.structs.replace(state, armed=(), wake_ms=0)
                record = msgspec.structs.replace(at, key=user.encode())
                effects.dead_letters.append(DeadLetter(record, "handler_error", type(exc).__name__))
            self._apply(effects)
            counts += effects.counts
        return counts

    def _step(self, records: Sequence[Record], views: Views | None = None) -> Effects:
        context = self._context
        now, partition, partitions = context.row.now, context.partition, context.partitions
        views = views or self._views
        if context.row.spent:
            views = replace(views, spent=context.row.spent)
        return self._engine.step(records, views, now=now, partition=partition, partitions=partitions)

    def _apply(self, effects: Effects) -> None:
        context = self._context
        context.row.now = effects.now
        if effects.spent:
            context.row.spent = {**context.row.spent, **effects.spent}
        if effects.due or self._due.first_ms != NEVER:
            self._apply_timers(effects)
        self._profiles.write(effects.profiles)
        self._seen.write(effects.seen)
        self._policy.write(effects.policy)
        self._pending.write(effects.pending)
        self._slates.write(effects.slates)
        self._apply_watch(effects)
        self._send(effects)
        add, settings = self._deltas.add, self._role.core.items
        for touch in effects.touches:
            add(touch.event, touch.before, settings, touch.leads)
            self._touched[touch.event.user] = None
        self._erased.update(dict.fromkeys(effects.erased))
        context.metrics.effects(effects)

    def _tell_budgets(self) -> None:
        """The task's part of each budget, of which a new day of the stream's time may have made more."""
        context = self._context
        budgets = Budgets(context.row.spent, context.partition, context.partitions)
        for campaign in self._giving:
            spent, left = context.row.spent.get(campaign.name, NOTHING), budgets.left(campaign, context.row.now)
            context.metrics.coupons(context.partition, campaign.name, spent.cents, left)

    def _apply_timers(self, effects: Effects) -> None:
        """Table ``due``, and how many timers there are; ``policy`` is yet to be written."""
        row = self._context.row
        before = self._policy.get_many(list(effects.policy))
        row.timers += sum(len(state.armed) for state in effects.policy.values() if state is not None)
        row.timers -= sum(len(state.armed) for state in before if state is not None)
        self.reached += sum(value is None for value in effects.due.values())
        if effects.due:
            self._due.write(effects.due)
        row.due_ms = self._due.first_ms

    def _apply_watch(self, effects: Effects) -> None:
        """Table ``watch``, and up to where changes have been told: with none to tell, as far as the catalog is read."""
        if effects.watching is not None:
            told = effects.watching[1:] != self._watch.swept
            self._watch.write(effects.watch, *effects.watching)
            self.reached += told * len(effects.watch)
        if (changes := self._role.known.items.changes).kept and changes.newest < self._watch.swept[0]:
            self._watch.catch_up(changes.position)

    def _send(self, effects: Effects) -> None:
        context, partition = self._context, self._context.partition
        add, topic = context.outbox.add, context.topic
        for out in effects.candidates:
            headers = (("produced_at", out.produced_at),) if out.produced_at else ()
            candidate = out.candidate
            add(topic("push-candidates"), partition, candidate.user_id.encode(), encode.candidate(candidate), headers)
        decisions = topic("decisions")
        for decision in effects.decisions:
            add(decisions, partition, decision.user.encode(), encode.decision(decision))
        for example in effects.examples:
            add(topic("examples"), 0, str(partition).encode(), example.encode())
        for outcome in effects.outcomes:
            add(topic("examples"), 0, str(partition).encode(), outcome.encode())
        for response in effects.responses:
            add(topic("examples"), 0, str(partition).encode(), response.encode())
        for step in effects.steps:
            add(topic("examples"), 0, str(partition).encode(), step.encode())
        for portrait in effects.portraits:
            add(topic("examples"), 0, str(partition).encode(), portrait.encode())
        for letter in effects.dead_letters:
            key, value, letter_headers = encode.dead_letter(letter)
            add(topic("dead-letters"), partition, key, value, letter_headers)
        for record, user in effects.rekeyed:
            origin = (("rekeyed_from", f"{record.topic}:{record.partition}:{record.offset}".encode()),)
            add(
                topic("ingress"),
                partition_of(user, context.partitions),
                user.encode(),
                record.value,
                (*record.headers, *origin),
                timestamp=record.timestamp,
            )

    def before_commit(self) -> None:
        """Item deltas of the interval, one block an item partition; the sessions that grew or are erased; and what is
        left of budgets.
        """
        context = self._context
        for partition, block in self._deltas.blocks(self._role.item_partitions).items():
            context.outbox.add(context.topic("item-updates"), partition, str(context.partition).encode(), block)
        self._deltas = ItemDeltas()
        self._send_sessions()
        self._tell_budgets()

    def _send_sessions(self) -> None:
        context, settings = self._context, self._role.core.retrieval.sessions
        add, topic, partition = context.outbox.add, context.topic("sessions"), self._context.partition
        for user in self._erased:
            for key in session_keys(user, settings):
                add(topic, partition, key.encode(), None)
        users = list(self._touched)
        for user, profile in zip(users, self._profiles.get_many(users), strict=True):
            row = None if profile is None else session_row(profile, settings)
            if profile is not None and row is not None:
                add(topic, partition, session_key(user, profile.sessions, settings).encode(), row)
        self._touched.clear()
        self._erased.clear()
