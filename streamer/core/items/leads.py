"""What leads to items besides items: nodes, whose neighbours are the items that they led to.

A node is a row of the items' tables and topics that is no item: it has a key, sums and neighbours, and no id, so it is
never proposed and nobody's neighbour. There are as many nodes as items that were bought, and as many more as settings
allow. A node's popularity counts how often it led to something, in units of one view.

- What an item was bought with: the other lines of its orders, and what lay in the cart when it was put there. A basket
  is a set: all of it is related, whatever its order, however many sessions it took to fill. ``BASKETS`` counts them.
- What the searchers of a query chose: the first few items that were touched after it.
- What newcomers took, by the hour of the day, and at any hour.
- After how long an item is bought again, and the items of a category (``gaps.py``): there it leads to places in time.
- What the shoppers of a segment took (``segments/served.py``), if there are segments.

Events that are out of order lead to nothing: what lay in the cart then, or was searched for, is not remembered.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from streamer.core.events import EVENT_TYPES, key64
from streamer.core.items.gaps import GAPS, category_again, item_again, place_of
from streamer.core.items.state import ONE_VIEW
from streamer.core.packed import BOUGHT, RECENT
from streamer.core.profile import category_told, newest_items
from streamer.core.words import words_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.events import Event
    from streamer.core.profile import Profile
    from streamer.core.retrieval_settings import ItemSettings

BASKETS: Final = key64("node/baskets")
"""The node that counts baskets."""

NEWCOMERS: Final = key64("node/newcomers")
NEWCOMERS_BY_HOUR: Final = tuple(key64(f"node/newcomers/{hour}") for hour in range(24))
HOUR_MS: Final = 3_600_000

_BOUGHT: Final = key64("node/bought with")
_CHOICES: Final = 4
"""So many items are taken for what a search was for; the later the less."""
_BY_CHOICE: Final = tuple(round(256 * 0.7**n) for n in range(_CHOICES))


class Leads(NamedTuple):
    """``counted``: nodes that led to something, and how much that counts. ``pairs``: node, items, how much each counts.

    Amounts are in 1/256.
    """

    counted: list[tuple[int, int]]
    pairs: list[tuple[int, Sequence[int], int]]


NO_LEADS: Final = Leads([], [])


def bought_with(key: int) -> int:
    """The node of what an item, by key, was bought with."""
    return key ^ _BOUGHT


@lru_cache(maxsize=1 << 14)
def query_node(text: str, buckets: int) -> int:
    """The node of a query, the same for the same words in any order.

    Queries are put into so many buckets, which is what bounds their nodes; two in one bucket count as one.
    """
    return key64(f"node/query/{key64(' '.join(sorted(words_of(text)))) % buckets}")


def hour_of(time_ms: int) -> int:
    """The hour of the day, UTC."""
    return time_ms // HOUR_MS % 24


def leads_of(event: Event, profile: Profile | None, settings: ItemSettings, segment: int = 0) -> Leads:
    """What led to the items of an event of a shopper whose profile, before it, is ``profile``.

    ``segment``: the node of the shopper's segment, 0 for none.
    """
    weight = EVENT_TYPES[event.type].weight
    if not event.lines or weight <= 0.0 or (profile is not None and event.time < profile.last_ms):
        return NO_LEADS
    keys = list(dict.fromkeys([line.key for line in event.lines[: settings.basket_items]]))
    interest = round(weight * ONE_VIEW)
    leads = Leads([], [])
    if event.type in {"cart", "purchase"}:
        _basket(leads, keys, event, profile, settings)
    if event.type == "purchase" and profile is not None and profile.purchased:
        _again(leads, event, profile, settings)
    if profile is None or sum(profile.counts) < settings.newcomer_events:
        for node in (NEWCOMERS, NEWCOMERS_BY_HOUR[hour_of(event.time)]):
            _lead(leads, node, keys, interest)
    if segment:
        _lead(leads, segment, keys, interest)
    if profile is not None and profile.searches:
        search = profile.searches[-1]
        if event.time // 1000 - search.time_s <= settings.search_s:
            chosen = len(newest_items(profile, _CHOICES, search.time_s))
            if chosen < _CHOICES:
                node = query_node(search.text, settings.query_buckets)
                _lead(leads, node, keys, interest * _BY_CHOICE[chosen] >> 8)
    return leads


def _again(leads: Leads, event: Event, profile: Profile, settings: ItemSettings) -> None:
    """How long it took to buy each of an order's items again."""
    lines = {line.key: line for line in event.lines[: settings.basket_items]}
    for key, line in lines.items():
        if (at := BOUGHT.find(profile.purchased, key)) == -1:
            continue
        place = place_of(event.time // 1000 - BOUGHT.unpack_from(profile.purchased, at)[1])
        if place is None:
            continue
        leads.pairs.append((item_again(key), (GAPS[place],), ONE_VIEW))
        if category := category_told(line, profile):
            leads.pairs.append((category_again(category), (GAPS[place],), ONE_VIEW))


def _lead(leads: Leads, node: int, keys: Sequence[int], amount: int) -> None:
    leads.counted.append((node, amount))
    leads.pairs.append((node, keys, amount))


def _basket(leads: Leads, keys: list[int], event: Event, profile: Profile | None, settings: ItemSettings) -> None:
    """Relate an event's items to each other and to what is in the same basket, each pair both ways and once."""
    before: list[int] = []
    if profile is not None and event.type == "cart":
        before = [r.key for r in RECENT.rows(profile.items) if r.carts and not r.purchases]
        keys = [key for key in keys if key not in before]
    elif profile is not None:
        # An order whose lines are events of their own: what was bought a moment ago.
        since = event.time // 1000 - settings.basket_s
        tail = profile.purchased[-settings.basket_items * BOUGHT.size :]
        before = [b.key for b in BOUGHT.rows(tail) if b.time_s >= since and b.key not in keys]
    before = before[-settings.basket_items :]
    if not before and keys:
        leads.counted.append((BASKETS, ONE_VIEW))
    basket = before + keys
    for key in keys:
        node = bought_with(key)
        leads.counted.append((node, ONE_VIEW))
        leads.pairs.append((node, [other for other in basket if other != key], ONE_VIEW))
    leads.pairs.extend([(bought_with(other), keys, ONE_VIEW) for other in before])
