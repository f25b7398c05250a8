"""An engine for a simulated shop in this very process: the roles' own work over tables in memory, no Kafka between.

What the user role sends goes to the item role and to the learners, and what those publish comes back, once a step. So
a run is the same to the bit each time, and policies can be studied one after the other. What is judged is judged
through Kafka all the same (``wire.py``): here nothing is late, lost or restarted.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from agents.clusters import kmeans
from agents.metrics import Metrics
from agents.outbox import Outbox
from agents.role import TaskContext, TaskRow
from agents.roles.item import ItemRole
from agents.worker import make_user_role
from load_tests.shop.wire import Logged, read_push
from state.memory import open_store
from state.store import TaskIdentity
from streamer.core.learners import Learners
from streamer.core.record import Record, tick

if TYPE_CHECKING:
    from collections.abc import Sequence

    from load_tests.shop.action import Row
    from load_tests.shop.world import Push
    from streamer.core.policy.state import Standing
    from streamer.core.profile import Profile
    from streamer.core.uplift.slates import Impression
    from streamer.settings import Settings

BATCH: Final = 16
"""Records folded at a time: a few minutes of a shop's life, so that timers are not late by more."""


def _fail(what: str, error: BaseException) -> None:
    raise RuntimeError(what) from error


class Direct:
    """One task of each role. ``learners`` are there to be asked for their figures.

    ``times``: of the records folded, by topic, partition and offset.
    """

    def __init__(self, settings: Settings) -> None:
        core = settings.core
        self._user = make_user_role(settings, Metrics(role="user"), _fail)
        self._context, self._work = _opened(self._user)
        self._items, self._item_work = _opened(ItemRole(core, commit_interval_s=1.0))
        self.learners = Learners(core, clusters=kmeans)
        self.times: dict[tuple[str, int, int], int] = {}
        self._offsets: dict[str, int] = {}
        self._decisions: list[Logged] = []
        self._decided = self._cataloged = 0

    def exchange(self, rows: Sequence[Row]) -> list[Push]:
        """Fold the rows in their order, let everybody have what was sent, and give what was pushed."""
        records = []
        for row in rows:
            if row.topic == "catalog":
                self._user.known.appliers["catalog"](row.key, row.value)
                self._cataloged += 1
                self._user.known.places["catalog"](self._cataloged)
                continue
            offset = self._offsets[row.topic] = self._offsets.get(row.topic, -1) + 1
            self.times[row.topic, 0, offset] = row.timestamp_ms
            records.append(Record(row.topic, 0, offset, row.timestamp_ms, row.key, row.value, ()))
        for first in range(0, len(records), BATCH):
            self._fold(records[first : first + BATCH])
        while self._ticks:
            self._fold([])
        return self._sent(_staged(self._context, self._work))

    def decisions(self) -> list[Logged]:
        """Those since it was asked last, in their order."""
        found, self._decisions = self._decisions, []
        return found

    def impression(self, user: str, candidate_id: str) -> Impression | None:
        """A push as it was decided, while it waits for its response; ``None`` if it does not."""
        slates = self._context.store.table("slates").get(user)
        return next((one for one in slates.open if one.id.hex() == candidate_id), None) if slates is not None else None

    def shopper(self, user: str) -> tuple[Profile, Standing]:
        """What the engine knows of somebody who was pushed something. Raises KeyError of nobody it knows."""
        profile = self._context.store.table("profile").get(user)
        state = self._context.store.table("policy").get(user)
        if profile is None or state is None:
            raise KeyError(user)
        return profile, state.standing

    def _fold(self, records: list[Record]) -> None:
        first = [tick(0, self._context.row.now, self._work.changes)] if self._ticks else []
        self._work.process([*first, *records])

    @property
    def _ticks(self) -> bool:
        """Whether timers are due, or the catalog has changes that somebody is to be told of."""
        return bool(self._work.due_ms <= self._context.row.now or self._work.changes > 0)

    def _sent(self, sent: Outbox) -> list[Push]:
        pushes: list[Push] = []
        for (topic, _), rows in sent:
            for key, value, *_ in rows:
                if topic == "push-candidates":
                    pushes.append(read_push(json.loads(value or b"")))
                elif topic == "decisions":
                    self._decisions.append(Logged((key or b"").decode(), 0, self._decided, value or b""))
                    self._decided += 1
                elif topic == "examples":
                    self.learners.learn(value or b"")
                elif topic == "item-updates":
                    self._item_work.process([Record(topic, 0, 0, 0, key, value)])
                elif topic == "sessions":
                    self._user.known.appliers[topic](key, value)
        for (topic, _), rows in _staged(self._items, self._item_work):
            for key, value, *_ in rows if topic == "item-index" else ():
                self._user.known.appliers[topic](key, value)
        for name, block in self.learners.published().items():
            self._user.known.appliers["model"](name.encode(), block)
        return sorted(pushes, key=lambda push: (push.decided_ms, push.id))


def _opened(role: Any) -> tuple[TaskContext, Any]:
    store = open_store(role.tables, TaskIdentity(role.name, 0, 1))
    context = TaskContext(0, 1, store, Outbox(), TaskRow({}), lambda name: name, Metrics(role=role.name), None)
    return context, role.open(context)


def _staged(context: TaskContext, work: Any) -> Outbox:
    work.before_commit()
    context.store.take_changes()
    sent = context.outbox.take()
    context.store.committed({})
    return sent
