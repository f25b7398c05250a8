"""What is known of one shopper: a bounded row of integers, and how an event is folded into it.

A profile is a function of its own user's events alone, in the order they were folded: items, categories and brands are
keys of their names (``events.item_key``, ``events.group_key``), never a process's dense ids. Interest decays by
half-lives (``decay.py``) in integers; the one float pair, the price mean and variance, is made of ``+ - * /`` only.
A profile never changes: folding gives a new one. So whoever holds one may keep it, and nothing is ever copied.

An event older than the newest one applied is *out of order*: it still counts, and still moves the affinities and
the purchases, but neither the recent items, the session, the searches, the hours nor ``last_ms``.
"""

from __future__ import annotations

from struct import Struct, unpack
from typing import TYPE_CHECKING, Final

import msgspec

from streamer.core.decay import ERA_HALF_LIVES, decay, landmark_s
from streamer.core.decay import value as decayed_value
from streamer.core.events import EVENT_TYPES, group_key
from streamer.core.hours import HOUR_MS, with_visit
from streamer.core.packed import AFFINITY, BOUGHT, MAX8, MAX16, MAX32, MAX63, RECENT, Affinity, Bought, Recent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.events import Event, Line
    from streamer.core.settings import ProfileSettings

WEIGHT_ONE: Final = 256
"""The fixed-point one of every interest in a profile: 256 is the interest that one view shows."""

VIEW, SEARCH, CART, PURCHASE, OTHER = range(5)
_COUNTED: Final = {"view": VIEW, "search": SEARCH, "cart": CART, "purchase": PURCHASE, "other": OTHER}
_MAX_PRICE_CENTS: Final = 2**32
# floor(256 · log2(1 + m/256) + ½) in integers alone: the same on every machine.
_LOG2: Final = tuple((((256 + m) ** 512 >> 4096).bit_length()) // 2 for m in range(256))
_FIXED: Final = {name: round(e.weight * WEIGHT_ONE) for name, e in EVENT_TYPES.items()}
_RECENT_SIZE: Final = RECENT.size
_find_recent, _pack_recent, _unpack_recent = RECENT.find, RECENT.pack, RECENT.unpack_from
_AFFINITY_SIZE: Final = AFFINITY.size
_find_affinity, _pack_affinity, _unpack_affinity = AFFINITY.find, AFFINITY.pack, AFFINITY.unpack_from
_KEY_AND_TIME: Final = Struct(f"<QI{RECENT.size - 12}x")


class Search(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A search as typed, in lower case, single-spaced, and when (seconds)."""

    text: str
    time_s: int


class Profile(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A shopper. Times are milliseconds since the epoch unless the name ends in ``_s``.

    ``counts`` are events by kind: view, search, cart, purchase, other. ``sessions`` counts them all;
    ``session_start_ms`` and ``session_events`` are of the newest. ``items`` are rows of ``packed.RECENT``, newest last;
    ``categories`` and ``brands`` rows of ``packed.AFFINITY`` in order of first mention, ``era`` is the landmark era of
    their weights (-1: none yet); ``purchased`` rows of ``packed.BOUGHT``. ``price_mean`` and ``price_var`` are of log2
    of the price in cents, over about ``price_weight`` prices. ``hours``: when they are there (``hours.py``), each hour
    counted once.
    """

    first_ms: int
    last_ms: int
    counts: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    sessions: int = 0
    session_start_ms: int = 0
    session_events: int = 0
    items: bytes = b""
    categories: bytes = b""
    brands: bytes = b""
    era: int = -1
    price_weight: int = 0
    price_mean: float = 0.0
    price_var: float = 0.0
    searches: tuple[Search, ...] = ()
    purchased: bytes = b""
    hours: bytes = b""

    def recents(self) -> list[Recent]:
        """The recent items, newest last."""
        return RECENT.rows(self.items)

    def bought(self) -> list[Bought]:
        """The items bought, newest last."""
        return BOUGHT.rows(self.purchased)


_Interests = tuple[bytes, bytes, bytes, int, int, float, float, bytes]
"""The part of a profile that an event's lines change: ``items`` to ``price_var``, and ``purchased``."""


def log2_cents(cents: int) -> float:
    """log2 of a positive number of cents to within 1/128, exact arithmetic; 0.0 for none."""
    if cents <= 0:
        return 0.0
    e = cents.bit_length() - 1
    mantissa = (cents >> (e - 8) if e > 8 else cents << (8 - e)) & 255
    return e + _LOG2[mantissa] / 256


def price_cents(price: float) -> int:
    """A price in cents, rounded half to even; 0 for one that is unknown (NaN), not positive or absurd."""
    cents = price * 100
    return round(cents) if 0.5 < cents < _MAX_PRICE_CENTS - 1 else 0


def affinities(packed: bytes, era: int, now_ms: int, settings: ProfileSettings) -> list[tuple[int, float]]:
    """(key, interest in views, decayed to ``now_ms``) of each, in the stored order."""
    half_life = settings.affinity_half_life_ms
    return [(a.key, decayed_value((era, a.weight, 0), now_ms, half_life) / WEIGHT_ONE) for a in AFFINITY.rows(packed)]


def newest_items(profile: Profile, count: int, since_s: int) -> list[int]:
    """The keys of the newest ``count`` items, those touched before ``since_s`` left out, newest last."""
    tail = profile.items[-count * _RECENT_SIZE :]
    return [key for key, last_s in _KEY_AND_TIME.iter_unpack(tail) if last_s >= since_s]


def category_told(line: Line, profile: Profile | None) -> int:
    """``group_key`` of the category of a line's item: as the line tells, or as the shopper's profile knows; else 0."""
    if line.category:
        return group_key(line.category)
    at = -1 if profile is None else RECENT.find(profile.items, line.key)
    return 0 if profile is None or at == -1 else int(_unpack_recent(profile.items, at)[6])


def fold(profile: Profile | None, event: Event, settings: ProfileSettings) -> Profile:
    """The profile with the event in it. Feedback and preferences are no part of a profile: the policy keeps them."""
    kind = EVENT_TYPES[event.type].kind
    time = event.time
    p = Profile(time, time) if profile is None else profile
    if kind in {"feedback", "preference"}:
        return p
    in_order = time >= p.last_ms
    if event.lines:
        items, categories, brands, era, price_weight, price_mean, price_var, purchased = _fold_lines(
            p, event, settings, in_order=in_order
        )
    else:
        items, categories, brands, era, purchased = p.items, p.categories, p.brands, p.era, p.purchased
        price_weight, price_mean, price_var = p.price_weight, p.price_mean, p.price_var
    searches = _fold_search(p.searches, event, settings) if kind == "search" and in_order else p.searches

    counted = _COUNTED[kind]
    counts = (*p.counts[:counted], p.counts[counted] + 1, *p.counts[counted + 1 :])
    first, last, sessions, start, in_session = p.first_ms, p.last_ms, p.sessions, p.session_start_ms, p.session_events
    hours = p.hours
    if in_order:
        if sessions == 0 or time // HOUR_MS != last // HOUR_MS:
            hours = with_visit(hours, time, settings.hour_visits)
        if sessions == 0 or time - last > settings.session_gap_ms:
            sessions, start, in_session = sessions + 1, time, 0
        in_session += 1
        last = time
    elif time < first:
        first = time
    return Profile(
        first,
        last,
        counts,  # type: ignore[arg-type] # five of them still
        sessions,
        start,
        in_session,
        items,
        categories,
        brands,
        era,
        price_weight,
        price_mean,
        price_var,
        searches,
        purchased,
        hours,
    )


def with_purchases(profile: Profile, event: Event, settings: ProfileSettings) -> Profile:
    """The profile with an order's lines among what was bought, where there is room, and nothing else of it."""
    purchased = profile.purchased
    for line in event.lines:
        if len(purchased) < settings.purchased * BOUGHT.size or BOUGHT.find(purchased, line.key) != -1:
            purchased = _fold_purchase(purchased, line.key, event.time // 1000, settings.purchased)
    return msgspec.structs.replace(profile, purchased=purchased)


def _fold_lines(p: Profile, event: Event, settings: ProfileSettings, *, in_order: bool) -> _Interests:
    items, categories, brands, purchased = p.items, p.categories, p.brands, p.purchased
    price = p.price_weight, p.price_mean, p.price_var
    kind = EVENT_TYPES[event.type].kind
    weight = _FIXED[event.type]
    time_s = event.time // 1000
    era, amount = landmark_s(time_s, settings.affinity_half_life_ms)
    if era > p.era:
        if p.era >= 0:
            categories, brands = _aged(categories, era - p.era), _aged(brands, era - p.era)
    elif era < p.era:
        amount >>= ERA_HALF_LIVES * (p.era - era)
        era = p.era
    interest = weight * amount
    for line in event.lines:
        category = group_key(line.category) if line.category else 0
        brand = group_key(line.brand) if line.brand else 0
        cents = price_cents(line.price)
        if in_order:
            items, category, brand = _fold_item(items, line.key, time_s, kind, weight, category, brand, cents, settings)
        if interest:
            if category:
                categories = _add_affinity(categories, category, interest, settings.affinities)
            if brand:
                brands = _add_affinity(brands, brand, interest, settings.affinities)
        if cents and weight > 0:
            price = _fold_price(*price, log2_cents(cents), settings.price_memory)
        if kind == "purchase":
            purchased = _fold_purchase(purchased, line.key, time_s, settings.purchased)
        elif event.type == "refund":
            purchased = _without(purchased, line.key)
    return items, categories, brands, era, *price, purchased


def _fold_item(  # noqa: PLR0917 -- called for every line of every event, where keywords would cost a tenth
    items: bytes,
    key: int,
    time_s: int,
    kind: str,
    weight: int,
    category: int,
    brand: int,
    cents: int,
    settings: ProfileSettings,
) -> tuple[bytes, int, int]:
    """The items with one touched: its interest brought up to now, at the newest end; and its category and brand.

    What the event does not tell (an order seldom names a category) is as an earlier one told.
    """
    at = _find_recent(items, key)
    if at == -1:
        views = carts = purchases = interest = 0
        if len(items) >= settings.recent_items * _RECENT_SIZE:
            if weight < WEIGHT_ONE:
                return items, category, brand  # what was merely listed, or given back, takes no other's place
            items = items[_RECENT_SIZE:]
    else:
        _, last_s, interest, views, carts, purchases, told_category, told_brand, told_cents = _unpack_recent(items, at)
        category, brand, cents = category or told_category, brand or told_brand, cents or told_cents
        if last_s != time_s:
            interest = int(interest * decay((time_s - last_s) * 1000, settings.interest_half_life_ms) + 0.5)
        items = items[:at] + items[at + _RECENT_SIZE :]
    if kind == "view":
        views = min(views + 1, MAX16)
    elif kind == "cart":
        carts = min(carts + 1, MAX16)
    elif kind == "purchase":
        purchases = min(purchases + 1, MAX16)
    interest = min(max(interest + weight, 0), MAX32)
    row = _pack_recent(key, time_s, interest, views, carts, purchases, category, brand, cents)
    return items + row, category, brand


def _aged(packed: bytes, eras: int) -> bytes:
    """The sums restated in a later era, where each half-life back halves them."""
    aged = [Affinity(key, weight >> ERA_HALF_LIVES * eras) for key, weight in AFFINITY.rows(packed)]
    return AFFINITY.packed(a for a in aged if a.weight > 0)


def _add_affinity(packed: bytes, key: int, amount: int, limit: int) -> bytes:
    at = _find_affinity(packed, key)
    if at != -1:
        total = min(_unpack_affinity(packed, at)[1] + amount, MAX63)
        row = _pack_affinity(key, total) if total > 0 else b""
        return packed[:at] + row + packed[at + _AFFINITY_SIZE :]
    if amount <= 0:
        return packed
    packed += _pack_affinity(key, min(amount, MAX63))
    if len(packed) > limit * _AFFINITY_SIZE:
        at = _weakest(packed) * _AFFINITY_SIZE
        packed = packed[:at] + packed[at + _AFFINITY_SIZE :]
    return packed


def _weakest(packed: bytes) -> int:
    """The place of the smallest weight, ties to the greater key.

    All weights are of one era, so that they compare without being decayed.
    """
    numbers = unpack(f"<{'Iq' * (len(packed) // _AFFINITY_SIZE)}", packed)
    weights = numbers[1::2]
    least = min(weights)
    if weights.count(least) == 1:
        return weights.index(least)
    return max((n for n, weight in enumerate(weights) if weight == least), key=numbers[::2].__getitem__)


def _fold_price(weight: int, mean: float, variance: float, log_price: float, memory: int) -> tuple[int, float, float]:
    """Running mean and variance with a fading memory: Welford's recurrence, the weight capped."""
    weight = min(weight, memory - 1) + 1
    delta = log_price - mean
    mean += delta / weight
    return weight, mean, variance + (delta * (log_price - mean) - variance) / weight


def _without(purchased: bytes, key: int) -> bytes:
    at = BOUGHT.find(purchased, key)
    return purchased if at == -1 else purchased[:at] + purchased[at + BOUGHT.size :]


def _fold_purchase(purchased: bytes, key: int, time_s: int, limit: int) -> bytes:
    """The purchases with one more. What is bought again and again is kept longest: when there are too many, the oldest
    of those bought once goes, and the oldest if all were bought again.
    """
    at = BOUGHT.find(purchased, key)
    first_s, orders = time_s, 1
    if at != -1:
        _, last_s, first_s, orders = BOUGHT.unpack_from(purchased, at)
        if time_s != last_s:  # lines of one order are one purchase
            orders = min(orders + 1, MAX8)
        first_s, time_s = min(first_s, time_s), max(last_s, time_s)
        purchased = purchased[:at] + purchased[at + BOUGHT.size :]
    while len(purchased) >= limit * BOUGHT.size:
        # The last byte of a row is its count.
        at = max(purchased[BOUGHT.size - 1 :: BOUGHT.size].find(1), 0) * BOUGHT.size
        purchased = purchased[:at] + purchased[at + BOUGHT.size :]
    return purchased + BOUGHT.pack(key, time_s, first_s, orders)


def _fold_search(searches: Sequence[Search], event: Event, settings: ProfileSettings) -> tuple[Search, ...]:
    text = " ".join(event.query.lower().split())[: settings.search_chars]
    if not text:
        return tuple(searches)
    kept = [s for s in searches if s.text != text]
    return (*kept, Search(text, event.time // 1000))[-settings.searches :]
