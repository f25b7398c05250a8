"""However often something happens, a row has an end: one shopper who never stops, one item that everybody looks at."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec
import pytest

from streamer.core.items.fold import apply_block
from streamer.core.settings import CoreSettings
from tests.core.task_shop import T0, ItemRows, Shop, record

if TYPE_CHECKING:
    from streamer.core.record import Record

STRETCH = 5_000
"""Events in each of the stretches that are compared."""
STEP_MS = 60_000


def busy(stretch: int, users: int, items: int) -> list[Record]:
    """Events of every kind, by few users or on few items, always of new ids, categories, brands and queries."""
    rng = random.Random(stretch)
    found = []
    for n in range(stretch * STRETCH, (stretch + 1) * STRETCH):
        kind = rng.choice(("view", "cart", "purchase", "search", "push_dismissed", "preferences", "refund"))
        user = f"user-{rng.randrange(users)}"
        data: dict[str, object] = {"item": f"item-{n % items}", "category": f"category-{n}", "brand": f"brand-{n}"}
        if kind == "search":
            data = {"query": f"query {n}"}
        elif kind == "push_dismissed":
            data = {"candidate_id": f"candidate-{n}"}
        elif kind == "preferences":
            data = {"preferences": {"consent": True}}
        found.append(record(user, kind, T0 + n * STEP_MS, id=str(n), offset=n, **data))
    return found


@pytest.mark.slow
def test_the_rows_of_a_shopper_who_never_stops_do_not_grow_without_end():
    shop = Shop(CoreSettings())
    sizes = []
    for stretch in range(3):
        records = busy(stretch, users=1, items=10**9)
        shop.run(records, cuts=range(0, STRETCH, 100))
        rows = [table.rows["user-0"] for table in (shop.profiles, shop.seen, shop.policy)]
        sizes.append([len(row) for row in rows])
    assert shop.total.counts["applied"] == 3 * STRETCH
    first, *later = sizes
    # Full after the first stretch; numbers in it may take a byte or two more.
    assert all(now <= then + 64 for each in later for now, then in zip(each, first, strict=True))
    assert sum(first) < 32 * 1024


@pytest.mark.slow
@pytest.mark.parametrize("users", [1, 10**9])
def test_the_row_of_an_item_that_everybody_looks_at_does_not_grow_without_end(users):
    settings = CoreSettings()
    shop, rows, sizes = Shop(settings), ItemRows(), []
    for stretch in range(3):
        rng = random.Random(stretch)
        records = []
        for n in range(stretch * STRETCH, (stretch + 1) * STRETCH):
            # Each time together with another item that nobody else looks at.
            user, item = f"user-{rng.randrange(users)}", "hot" if n % 2 else f"item-{n}"
            records.append(record(user, "view", T0 + n * STEP_MS, id=str(n), offset=n, item=item, category="shoes"))
        shop.run(records, cuts=range(0, STRETCH, 100))
        for block in shop.deltas.blocks(1).values():
            for state in apply_block(block, rows, settings.items).values():
                rows.states[f"{state.key:016x}"] = state
        shop.deltas = type(shop.deltas)()
        sizes.append(max(len(msgspec.msgpack.encode(state)) for state in rows.states.values()))
    assert sizes[2] <= sizes[0] + 64
    assert sizes[2] < 16 * 1024
