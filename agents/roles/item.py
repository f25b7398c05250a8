"""The item role: item deltas in; counters, popularity and neighbours in a table, index rows out."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from agents.role import NEVER, TaskRow
from agents.task import TASKS_TABLE
from state.codecs import StructCodec
from state.table import TableSpec
from streamer.core.items.fold import apply_blocks
from streamer.core.items.rows import index_row
from streamer.core.items.state import ItemState, row_key
from streamer.core.units import of_items

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from agents.role import TaskContext
    from streamer.core.record import Record
    from streamer.core.settings import CoreSettings

log = logging.getLogger(__name__)


class ItemRole:
    """Folds what all user tasks saw of an item."""

    name = "item"
    inputs = ("item-updates",)
    first: frozenset[str] = frozenset()
    journaled = False
    tables: tuple[TableSpec[Any], ...] = (
        TableSpec("items", StructCodec(ItemState), immutable=True),
        TableSpec(TASKS_TABLE, StructCodec(TaskRow)),
    )

    def __init__(self, core: CoreSettings, *, commit_interval_s: float) -> None:
        self.core, self.commit_interval_s = core, commit_interval_s
        self.units = of_items(core)

    def replicas(self) -> None:
        """None are read."""

    def open(self, context: TaskContext) -> ItemWork:
        """Work on one item task."""
        return ItemWork(self, context)


class ItemWork:
    """Collects the blocks of an interval and folds them together: an item touched by many blocks is written once."""

    due_ms = NEVER
    changes = 0
    reached = 0

    def __init__(self, role: ItemRole, context: TaskContext) -> None:
        self._role, self._context = role, context
        self._blocks: list[bytes] = []

    def process(self, records: Sequence[Record]) -> Mapping[str, int]:
        """Keep the blocks, in log order, until the commit."""
        self._blocks += [record.value for record in records if record.value is not None]
        return {"applied": len(records)}

    def before_commit(self) -> None:
        """Fold the interval's blocks and publish a row for every item touched."""
        context, settings = self._context, self._role.core.retrieval.items
        table, topic = context.store.table("items"), context.topic("item-index")
        touched, refused = apply_blocks(self._blocks, table, settings)
        if refused:
            log.error("%d item-update blocks could not be read and were left out", refused)
        self._blocks = []
        table.put_many((row_key(key), state) for key, state in touched.items())
        for key, state in touched.items():
            context.outbox.add(topic, context.partition, row_key(key).encode(), index_row(state, settings))
        context.metrics.items_folded(len(touched))
