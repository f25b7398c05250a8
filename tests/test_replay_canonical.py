"""The item index rebuilt in log order is the same for however many user workers wrote the log."""

from __future__ import annotations

from hashlib import blake2b
from random import Random
from typing import TYPE_CHECKING

import pytest

from agents.roles.item import ItemRole
from state.memory import open_store
from state.store import TaskIdentity, TaskStore
from streamer.core.events import Event, Line, item_key
from streamer.core.items.deltas import ItemDeltas, touched_before
from streamer.core.items.fold import apply_blocks
from streamer.core.items.leads import leads_of
from streamer.core.items.state import ItemState, row_key
from streamer.core.profile import fold
from streamer.core.settings import CoreSettings
from streamer.replay.canonical import Items, canonical_row, promised_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from streamer.core.profile import Profile

TASKS = 4
SETTINGS = CoreSettings()
START_MS = 1_570_000_000_000


def events(items: int, count: int = 1500) -> list[list[Event]]:
    """Of each user task, its events in order: busy hours forty days apart, so that sums change their eras."""
    random = Random(items)
    made: list[list[Event]] = [[] for _ in range(TASKS)]
    for n in range(count):
        user, name = random.randrange(40), f"item {int(items * random.random() ** 2)}"
        line = Line(name, item_key(name), price=float(1 + n % 9), category=f"c{n % 5}", brand="b", title=f"{name} {n}")
        kind = random.choice(["view", "view", "cart", "purchase"])
        at = START_MS + n // 400 * 40 * 86_400_000 + n % 400 * 10_000
        made[user % TASKS].append(Event(f"user {user}", str(n), "test", kind, at, n, (line,)))
    return made


def log_of(tasks: Sequence[Sequence[Event]], workers: int) -> list[bytes]:
    """The blocks of one item partition, as so many workers would have written them: where a task's commits are cut, and
    how those of different tasks follow each other, depends on who else is in the process.
    """
    random = Random(workers)
    blocks: list[list[bytes]] = []
    for task in tasks:
        profiles: dict[str, Profile] = {}
        deltas, mine = ItemDeltas(), list[bytes]()
        for event in task:
            profile = profiles.get(event.user)
            before, leads = (
                touched_before(profile, event.time, SETTINGS.items),
                leads_of(event, profile, SETTINGS.items),
            )
            deltas.add(event, before, SETTINGS.items, leads)
            profiles[event.user] = fold(profile, event, SETTINGS.profile)
            if random.random() < workers / 20:
                mine += deltas.blocks(1).values()
                deltas = ItemDeltas()
        blocks.append([*mine, *deltas.blocks(1).values()])
    log: list[bytes] = []
    while any(blocks):
        log.append(random.choice([task for task in blocks if task]).pop(0))
    return log


def fresh() -> TaskStore:
    return open_store(ItemRole.tables, TaskIdentity("item", 0, 1))


def rows(store: TaskStore) -> dict[bytes, bytes]:
    return {key: row for table, key, row in store.committed_rows() if table == "items"}


def committed(store: TaskStore) -> None:
    store.take_changes()
    store.committed({})


def canonical(log: Iterable[bytes | None]) -> tuple[dict[bytes, bytes], Items]:
    store = fresh()
    items = Items(store, SETTINGS)
    for block in log:
        items.fold(block)
    committed(store)
    return rows(store), items


def as_the_item_role(log: Sequence[bytes], seed: int) -> dict[bytes, bytes]:
    """Several blocks at a time, as many as came within its commit interval."""
    store, random, at = fresh(), Random(seed), 0
    table = store.table("items")
    while at < len(log):
        end = at + random.randrange(1, 40)
        touched, refused = apply_blocks(log[at:end], table, SETTINGS.items)
        assert not refused
        table.put_many((row_key(key), state) for key, state in touched.items())
        committed(store)
        at = end
    return rows(store)


def digest(found: dict[bytes, bytes]) -> str:
    return blake2b(b"".join(key + canonical_row(found[key]) for key in sorted(found))).hexdigest()


def test_one_two_or_four_workers_write_logs_of_one_canonical_index() -> None:
    tasks = events(items=30)
    found = {workers: canonical(log_of(tasks, workers)) for workers in (1, 2, 4)}
    assert len({len(log_of(tasks, workers)) for workers in (1, 2, 4)}) == 3
    assert not any(items.pruned for _, items in found.values())
    assert len({digest(table) for table, _ in found.values()}) == 1
    items = [ItemRole.tables[0].codec.decode(found[1][0][row_key(item_key(f"item {n}")).encode()]) for n in range(30)]
    assert all(len(item.neighbours()) > 10 for item in items)
    assert len(found[1][0]) > len(items)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_item_role_holds_the_canonical_rows_but_for_neighbours_once_some_were_cut_off(seed: int) -> None:
    log = log_of(events(items=200, count=4000), 2)
    table, items = canonical(log)
    role = as_the_item_role(log, seed)
    assert table.keys() == role.keys()
    assert items.pruned
    whole = [key for key in table if key.decode() not in items.pruned]
    assert len(whole) > 50
    for key in table:
        pruned = key.decode() in items.pruned
        assert promised_row(table[key], pruned=pruned) == promised_row(role[key], pruned=pruned)
    assert any(canonical_row(table[key]) != canonical_row(role[key]) for key in table)


def test_what_is_no_block_is_counted_and_left_out() -> None:
    log = log_of(events(items=10, count=50), 1)
    table, items = canonical([b"no block", *log, None])
    assert items.unreadable == 2
    assert digest(table) == digest(canonical(log)[0])


def test_a_row_is_spelt_alike_whatever_order_its_neighbours_came_in() -> None:
    codec = ItemRole.tables[0].codec
    one, other = ItemState(1, pairs={5: 1, 3: 2}), ItemState(1, pairs={3: 2, 5: 1})
    assert codec.encode(one) != codec.encode(other)
    assert canonical_row(codec.encode(one)) == canonical_row(codec.encode(other))
