"""``streamer replay --canonical``: item index and model from their inputs, one record after the other, in log order.

The item role adds up what comes within a second before it writes, and how many user workers there are shows in how the
inputs are cut into records. Sums of integers do not mind. Two things do: neighbours, once an item has had so many that
the weakest were cut off; and the version of the model, which counts publications. So all else is compared with what the
live roles hold, and these two are left out.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from aiokafka import TopicPartition

from agents.clients import partitions_of, reader
from agents.clusters import kmeans
from agents.roles.item import ItemRole
from agents.roles.trainer import TrainerRole
from agents.topic_admin import TopicError, describe, problems
from agents.topics import BY_NAME
from state.codecs import StructCodec
from state.rocks import RocksMemory, open_store
from state.store import TaskIdentity, digest_rows
from streamer.core.items.fold import apply_block
from streamer.core.items.state import ItemState, row_key
from streamer.core.learners import Learners
from streamer.core.units import changed, of_items
from streamer.replay.errors import ReplayRefused
from streamer.replay.held import Held, held
from streamer.replay.log import Log
from streamer.replay.target import shadow_path

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from aiokafka import AIOKafkaConsumer

    from state.store import TaskStore
    from streamer.core.settings import CoreSettings
    from streamer.settings import Settings

BLOCKS_A_COMMIT = 500

_ITEM = StructCodec(ItemState)

Rows = dict[bytes, bytes]


@dataclass(slots=True)
class Rebuilt:
    """What came of it.

    ``digests``: of ``items`` and ``model``, the same for the same topics. ``compared``: what live roles hold too.
    ``parted``: what those hold otherwise; ``apart``: what could not be compared, and why.
    """

    directory: str
    records: int = 0
    items: int = 0
    examples: int = 0
    unreadable: int = 0
    digests: dict[str, str] = field(default_factory=dict)
    compared: dict[str, int] = field(default_factory=dict)
    parted: list[str] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def shown(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def canonical_row(row: bytes) -> bytes:
    """The one spelling of an item's row, whatever order its neighbours came in."""
    return _spelled(_ITEM.decode(row))


def promised_row(row: bytes, *, pruned: bool) -> bytes:
    """What of an item's row does not depend on where its input was cut: without neighbours if those were pruned."""
    state = _ITEM.decode(row)
    if pruned:
        state.pairs, state.older_pairs, state.pair_era = {}, {}, 0
    return _spelled(state)


def _spelled(state: ItemState) -> bytes:
    state.pairs, state.older_pairs = dict(sorted(state.pairs.items())), dict(sorted(state.older_pairs.items()))
    return _ITEM.encode(state)


class Items:
    """The item table, folded block by block. ``pruned``: keys whose neighbours may have been cut off."""

    def __init__(self, store: TaskStore, settings: CoreSettings) -> None:
        self._table, self._settings = store.table("items"), settings.items
        self.pruned: set[str] = set()
        self.unreadable = 0

    def fold(self, block: bytes | None) -> None:
        """Add one record of ``item-updates``; one that cannot be read is counted."""
        try:
            touched = apply_block(block or b"", self._table, self._settings)
        except ValueError:  # msgspec's decode errors are among them
            self.unreadable += 1
            return
        self._table.put_many((row_key(key), state) for key, state in touched.items())
        cut = self._settings.neighbours_pruned_to
        # Just as many as pruning leaves: it may have happened.
        self.pruned |= {row_key(key) for key, state in touched.items() if len(state.pairs | state.older_pairs) == cut}


async def rebuild(settings: Settings, into: str, tell: Callable[[int, int], None], *, replace: bool) -> Rebuilt:
    """Fold ``item-updates`` and ``examples`` from their beginnings to their ends into a shadow's tables.

    Raises ``ReplayRefused`` if either does not begin at its beginning any more, or the shadow is there already.
    """
    started = time.monotonic()
    names = ("item-updates", "examples")
    states = await describe(settings.kafka.client_kwargs(), settings.topics, topics=[BY_NAME[name] for name in names])
    if found := problems(states, settings.topics):
        raise TopicError("; ".join(found))
    directory = shadow_path(settings, f"{into}.canonical")
    if replace:
        shutil.rmtree(directory, ignore_errors=True)
    elif directory.exists():
        raise ReplayRefused(f"{directory} holds a shadow of that name: --replace deletes it, --into names another")
    report = Rebuilt(str(directory))
    async with reader(settings.kafka.client_kwargs()) as consumer:
        partitions = await partitions_of(consumer, [settings.topics.physical(name) for name in names])
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        for state in states:
            _begins_at_the_beginning(begins, state.topic, state.configs.get("retention.ms"))
        whole = _Progress(sum(ends.values()), tell)
        await _Rebuild(settings, consumer, directory, report, whole).run(ends)
    report.seconds = round(time.monotonic() - started, 3)
    return report


def _begins_at_the_beginning(begins: Mapping[TopicPartition, int], topic: str, retention_ms: str | None) -> None:
    for place, begin in begins.items():
        if place.topic == topic and begin:
            raise ReplayRefused(
                f"{topic}:{place.partition} begins at offset {begin}, not at 0: what was added up before is not there "
                f"any more. The topic is kept for its retention.ms, now {retention_ms}"
            )


class _Progress:
    """Offsets passed, of all."""

    def __init__(self, of: int, tell: Callable[[int, int], None]) -> None:
        self._done, self._of, self._tell = 0, of, tell

    def add(self, offsets: int) -> None:
        """So many more."""
        self._done += offsets
        self._tell(self._done, self._of)


class _Rebuild:
    def __init__(
        self, settings: Settings, consumer: AIOKafkaConsumer, directory: Path, report: Rebuilt, progress: _Progress
    ) -> None:
        self._settings, self._consumer, self._directory = settings, consumer, directory
        self._report, self._progress = report, progress
        self._memory = RocksMemory(settings.state)

    async def run(self, ends: Mapping[TopicPartition, int]) -> None:
        report, topics = self._report, self._settings.topics
        digest = blake2b(digest_size=16)
        for partition in range(topics.item_partitions):
            place = TopicPartition(topics.physical("item-updates"), partition)
            live = await held(self._settings, "item", "items", "item-updates", partition)
            if told := changed(live.units, of_items(self._settings.core)):
                raise ReplayRefused(f"task item-{partition}: {told}. Under another value its input would be misread")
            rows = await self._items(place, ends[place], live)
            report.items += len(rows)
            digest.update(_digest(rows))
        report.digests["items"] = digest.hexdigest()
        place = TopicPartition(topics.physical("examples"), 0)
        await self._model(place, ends[place], await held(self._settings, "trainer", "model_state", "examples", 0))

    async def _items(self, place: TopicPartition, end: int, live: Held) -> Rows:
        topics = self._settings.topics
        identity = TaskIdentity("item", place.partition, topics.item_partitions, topics.prefix)
        path = self._directory / f"item-{place.partition}"
        path.parent.mkdir(parents=True, exist_ok=True)
        store = open_store(path, ItemRole.tables, identity, self._settings.state, self._memory)

        def rows() -> Rows:
            return {key: row for table, key, row in store.committed_rows() if table == "items"}

        try:
            compared = False
            items, log = Items(store, self._settings.core), Log(self._consumer, place, 0)
            for stop in (live.at, max(live.at, end)):
                async for values in self._stretches(log, stop):
                    for value in values:
                        items.fold(value)
                    store.take_changes()
                    store.committed({})
                if stop == live.at and not compared:
                    compared = True
                    self._compare_items(rows(), live, items.pruned, place)
            self._report.unreadable += items.unreadable
            return rows()
        finally:
            store.close()

    def _compare_items(self, mine: Rows, live: Held, pruned: set[str], place: TopicPartition) -> None:
        if live.rows is None:
            self._report.apart.append(
                f"the item role committed whenever its task {place.partition} was read: not compared"
            )
            return
        for key in sorted(mine.keys() | live.rows.keys()):
            ours, theirs = (
                promised_row(table[key], pruned=key.decode() in pruned) if key in table else b""
                for table in (mine, live.rows)
            )
            if ours != theirs:
                self._report.parted.append(
                    f"item {key.decode()} is not what the item role holds at {place.topic}:{place.partition}:{live.at}"
                )
                return
        self._report.compared["item rows"] = self._report.compared.get("item rows", 0) + len(mine)

    async def _model(self, place: TopicPartition, end: int, live: Held) -> None:
        settings, report = self._settings, self._report
        identity = TaskIdentity("trainer", 0, 1, settings.topics.prefix)
        store = open_store(self._directory / "trainer", TrainerRole.tables, identity, settings.state, self._memory)
        learners, log, compared = Learners(settings.core, clusters=kmeans), Log(self._consumer, place, 0), False
        table = store.table("model_state")
        try:
            for stop in (live.at, max(live.at, end)):
                async for values in self._stretches(log, stop):
                    report.unreadable += sum([not learners.learn(value or b"") for value in values])
                    table.write(learners.rows())
                    store.take_changes()
                    store.committed({})
                if stop == live.at and not compared:
                    compared = True
                    self._compare_model(learners, live, place)
        finally:
            store.close()
        report.examples = learners.ranker.examples
        report.digests |= learners.digests()

    def _compare_model(self, ours: Learners, live: Held, place: TopicPartition) -> None:
        if live.rows is None:
            self._report.apart.append("the trainer committed whenever it was read: not compared")
            return
        theirs = Learners(self._settings.core, clusters=kmeans)
        problem = "; ".join(theirs.restore({key.decode(): row for key, row in live.rows.items()}))
        theirs.ranker.champion.version = ours.ranker.champion.version
        if problem or theirs.digests() != ours.digests():
            self._report.parted.append(
                f"the model is not what the trainer holds at {place.topic}:0:{live.at}{problem and ': '}{problem}"
            )
        else:
            self._report.compared["examples"] = ours.ranker.examples

    async def _stretches(self, log: Log, end: int) -> AsyncIterator[list[bytes | None]]:
        """The values of a log below ``end``, some at a time."""
        passed = log.position
        while some := await log.until(end):
            for at in range(0, len(some), BLOCKS_A_COMMIT):
                yield [record.value for record in some[at : at + BLOCKS_A_COMMIT]]
            self._report.records += len(some)
            self._progress.add(log.position - passed)
            passed = log.position


def _digest(rows: Rows) -> bytes:
    return digest_rows(("items", key, canonical_row(rows[key])) for key in sorted(rows)).encode()
