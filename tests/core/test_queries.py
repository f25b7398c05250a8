"""Queries: a copy of what a shopper was at the time."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.core.events import Event, Line, group_key, item_key
from streamer.core.packed import AFFINITY
from streamer.core.queries import Queries
from tests.core.shop import RETRIEVAL, START_MS, make_shop, shared_shop


def test_a_query_is_not_changed_by_what_happens_afterwards() -> None:
    """Folding goes on in the same objects."""
    shop = make_shop()
    index = shop.index()
    queries = shop.queries(["user 3"])
    before = queries.asked(index)
    line = Line("item 5", item_key("item 5"), category="category 1")
    shop.happen(Event("user 3", "x", "test", "cart", shop.now_ms + 1, 1, (line,)))
    after = queries.asked(index)
    assert before.recents.item.tolist() == after.recents.item.tolist()
    assert before.recents.carts.tolist() == after.recents.carts.tolist()
    assert before.categories.share.tolist() == after.categories.share.tolist()


def test_recents_come_newest_first_and_only_if_known() -> None:
    """Places count all items, known or not."""
    shop = shared_shop()
    profile = shop.profiles["user 1"]
    unknown = profile.recents()[-1].key
    index = shop.index()
    index.apply_row(unknown, None)
    asked = shop.queries(["user 1"]).asked(index)
    newest_first = [r.key for r in reversed(profile.recents())][1:]
    assert index.keys[asked.recents.item].tolist() == newest_first
    assert asked.recents.place.tolist() == list(range(1, len(newest_first) + 1))


def test_shares_of_interest_sum_to_one_and_name_what_the_index_knows() -> None:
    """For each shopper with any."""
    shop = shared_shop()
    index = shop.index()
    asked = shop.queries(sorted(shop.profiles)).asked(index)
    totals = np.bincount(asked.categories.query, weights=asked.categories.share)
    assert totals == pytest.approx(np.ones(len(shop.profiles)))
    favourite = max(AFFINITY.rows(shop.profiles["user 0"].categories), key=lambda a: a.weight)
    first = int(np.argmax(np.where(asked.categories.query == 0, asked.categories.share, 0.0)))
    assert index.category_name(group_key(index.categories.names[asked.categories.group[first]])) != ""
    assert index.categories.by_key[favourite.key] in asked.categories.group[asked.categories.query == 0]


def test_categories_that_events_never_told_come_from_the_catalog() -> None:
    """A shop whose events carry item ids alone."""
    shop = make_shop(users=1, events=0)
    shop.happen(Event("u", "1", "test", "view", START_MS, 1, (Line("bare", item_key("bare")),)))
    index = shop.index()
    assert index.apply_catalog("bare", b'{"category": "Lamps"}')
    asked = shop.queries(["u"]).asked(index)
    assert [index.categories.names[g] for g in asked.categories.group] == ["Lamps"]
    assert asked.categories.share.tolist() == [1.0]


def test_a_stranger_and_no_query_at_all_are_well_formed() -> None:
    """No recents, no affinities, nothing usual."""
    shop = shared_shop()
    index = shop.index()
    queries = Queries(RETRIEVAL)
    assert queries.asked(index).count == 0
    assert queries.add(None, START_MS) == 0
    asked = queries.asked(index)
    assert (asked.count, len(asked.recents.item), len(asked.categories.group)) == (1, 0, 0)
