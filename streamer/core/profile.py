"""What is known of one shopper: a bounded row of integers, and how an event is folded into it.

A profile is a function of its own user's events alone, in the order they were folded: items, categories and brands are
64-bit keys of their names (``events.key64``), never a process's dense ids. Interest decays by half-lives
(``decay.py``) in integers; the one float pair, the price mean and variance, is made of ``+ - * /`` only.

An event older than the newest one applied is *out of order*: it still counts, and still moves the affinities and
the purchases, but neither the recent items, the session, the searches nor ``last_ms``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from streamer.core.decay import ERA_HALF_LIVES, decay, landmark_s
from streamer.core.decay import value as decayed_value
from streamer.core.events import EVENT_TYPES, key64

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.events import Event, Line
    from streamer.core.settings import ProfileSettings

WEIGHT_ONE: Final = 256
"""The fixed-point one of every interest in a profile: 256 is the interest that one view shows."""

VIEW, SEARCH, CART, PURCHASE, OTHER = range(5)
_COUNTED: Final = {"view": VIEW, "search": SEARCH, "cart": CART, "purchase": PURCHASE, "other": OTHER}
_EMPTY_KEY: Final = 0
_MAX_PRICE_CENTS: Final = 2**40
# floor(256 · log2(1 + m/256) + ½) in integers alone: the same on every machine.
_LOG2: Final = tuple((((256 + m) ** 512 >> 4096).bit_length()) // 2 for m in range(256))
# Shops have few categories and brands, and hashing one costs as much as the rest of a line.
_key64 = lru_cache(maxsize=1 << 14)(key64)
_FIXED: Final = {name: round(e.weight * WEIGHT_ONE) for name, e in EVENT_TYPES.items()}


class Recent(msgspec.Struct, array_like=True, gc=False):
    """An item of interest. ``weight``: the interest as of ``last_s`` (seconds), in 1/256 of a view; it decays since.

    ``category`` and ``brand`` are keys of their names, 0 if never told; ``price_cents`` is 0 if never told.
    """

    key: int
    last_s: int
    weight: int
    views: int = 0
    carts: int = 0
    purchases: int = 0
    category: int = 0
    brand: int = 0
    price_cents: int = 0


class Affinity(msgspec.Struct, array_like=True, gc=False):
    """Interest in a category or brand: a landmark sum of the profile's ``era``, in 1/256 of a view (``affinities``)."""

    key: int
    weight: int


class Search(msgspec.Struct, array_like=True, gc=False):
    """A search as typed, in lower case, single-spaced, and when (seconds)."""

    text: str
    time_s: int


class Bought(msgspec.Struct, array_like=True, gc=False):
    """An item bought, and when last (seconds)."""

    key: int
    time_s: int


class Profile(msgspec.Struct, array_like=True, gc=False):
    """A shopper. Times are milliseconds since the epoch unless the name ends in ``_s``.

    ``counts`` are events by kind: view, search, cart, purchase, other. ``items`` are unique by key, newest last.
    ``categories`` and ``brands`` are in order of first mention, ``era`` is the landmark era of their weights (-1: none
    yet). ``price_mean`` and ``price_var`` are of log2 of the price in cents, over about ``price_weight`` prices.
    ``sessions`` counts them all; ``session_start_ms`` and ``session_events`` are of the newest.
    """

    first_ms: int
    last_ms: int
    counts: list[int] = msgspec.field(default_factory=lambda: [0, 0, 0, 0, 0])
    sessions: int = 0
    session_start_ms: int = 0
    session_events: int = 0
    items: list[Recent] = []
    categories: list[Affinity] = []
    brands: list[Affinity] = []
    era: int = -1
    price_weight: int = 0
    price_mean: float = 0.0
    price_var: float = 0.0
    searches: list[Search] = []
    purchased: list[Bought] = []


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
    return round(cents) if 0.5 < cents < _MAX_PRICE_CENTS else 0


def affinities(sums: Sequence[Affinity], era: int, now_ms: int, settings: ProfileSettings) -> list[tuple[int, float]]:
    """(key, interest in views, decayed to ``now_ms``) of each, in the stored order."""
    half_life = settings.affinity_half_life_ms
    return [(a.key, decayed_value((era, a.weight, 0), now_ms, half_life) / WEIGHT_ONE) for a in sums]


def fold(profile: Profile | None, event: Event, settings: ProfileSettings) -> Profile:
    """The profile with the event in it: the same object, changed, or a new one for a new user.

    Feedback and preferences are no part of a profile: the policy keeps them.
    """
    kind = EVENT_TYPES[event.type].kind
    time = event.time
    if profile is None:
        profile = Profile(time, time)
    in_order = time >= profile.last_ms
    match kind:
        case "view" | "cart" | "purchase" | "other":
            _fold_lines(profile, event, kind, settings, in_order=in_order)
        case "search":
            if in_order:
                _fold_search(profile, event, settings)
        case "feedback" | "preference":
            return profile
    profile.counts[_COUNTED[kind]] += 1
    if in_order:
        if profile.sessions == 0 or time - profile.last_ms > settings.session_gap_ms:
            profile.sessions += 1
            profile.session_start_ms = time
            profile.session_events = 0
        profile.session_events += 1
        profile.last_ms = time
    elif time < profile.first_ms:
        profile.first_ms = time
    return profile


def _fold_lines(profile: Profile, event: Event, kind: str, settings: ProfileSettings, *, in_order: bool) -> None:
    lines = event.lines
    if not lines:
        return
    weight = _FIXED[event.type]
    amount = _landmark_amount(profile, event.time, settings)
    bought = kind == "purchase"
    for line in lines:
        category = _key64(line.category) if line.category else _EMPTY_KEY
        brand = _key64(line.brand) if line.brand else _EMPTY_KEY
        cents = price_cents(line.price)
        if in_order:
            item = _fold_item(profile, line, event.time, weight, settings)
            if kind == "view":
                item.views += 1
            elif kind == "cart":
                item.carts += 1
            elif bought:
                item.purchases += 1
            # A line that does not say (an order seldom does) leaves what an earlier one said.
            category = item.category = category or item.category
            brand = item.brand = brand or item.brand
            if cents:
                item.price_cents = cents
        if category and weight:
            _add_affinity(profile.categories, category, weight * amount, settings.affinities)
        if brand and weight:
            _add_affinity(profile.brands, brand, weight * amount, settings.affinities)
        if cents and weight > 0:
            _fold_price(profile, log2_cents(cents), settings.price_memory)
        if bought:
            _fold_purchase(profile, line.key, event.time // 1000, settings.purchased)
        elif event.type == "refund":
            profile.purchased = [b for b in profile.purchased if b.key != line.key]


def _landmark_amount(profile: Profile, time_ms: int, settings: ProfileSettings) -> int:
    """What one unit at that time weighs in the profile's era, which is moved on if the time is of a later one."""
    era, amount = landmark_s(time_ms // 1000, settings.affinity_half_life_ms)
    if era > profile.era:
        if profile.era >= 0:
            _age(profile.categories, era - profile.era)
            _age(profile.brands, era - profile.era)
        profile.era = era
    elif era < profile.era:
        amount >>= ERA_HALF_LIVES * (profile.era - era)
    return amount


def _age(sums: list[Affinity], eras: int) -> None:
    """Restate the sums in a later era, where each half-life back halves them."""
    for affinity in sums:
        affinity.weight >>= ERA_HALF_LIVES * eras
    sums[:] = [a for a in sums if a.weight > 0]


def _add_affinity(sums: list[Affinity], key: int, weight: int, limit: int) -> None:
    for affinity in sums:
        if affinity.key == key:
            affinity.weight += weight
            if affinity.weight <= 0:
                sums.remove(affinity)
            return
    if weight <= 0:
        return
    sums.append(Affinity(key, weight))
    if len(sums) > limit:
        # All weights are of one era, so that they compare without being decayed.
        sums.remove(min(sums, key=_smallest_affinity))


def _smallest_affinity(affinity: Affinity) -> tuple[int, int]:
    return affinity.weight, -affinity.key


def _fold_item(profile: Profile, line: Line, time_ms: int, weight: int, settings: ProfileSettings) -> Recent:
    """The item of the line, its interest brought up to now, moved to the newest end."""
    items, key, time_s = profile.items, line.key, time_ms // 1000
    for at in range(len(items) - 1, -1, -1):
        item = items[at]
        if item.key == key:
            kept = item.weight * decay((time_s - item.last_s) * 1000, settings.interest_half_life_ms)
            item.weight = max(0, int(kept + 0.5) + weight)
            item.last_s = time_s
            if at != len(items) - 1:
                items.append(items.pop(at))
            return item
    item = Recent(key, time_s, max(0, weight))
    items.append(item)
    if len(items) > settings.recent_items:
        del items[0]
    return item


def _fold_price(profile: Profile, log_price: float, memory: int) -> None:
    """Running mean and variance with a fading memory: Welford's recurrence, the weight capped."""
    weight = min(profile.price_weight, memory - 1) + 1
    delta = log_price - profile.price_mean
    profile.price_mean += delta / weight
    profile.price_var += (delta * (log_price - profile.price_mean) - profile.price_var) / weight
    profile.price_weight = weight


def _fold_purchase(profile: Profile, key: int, time_s: int, limit: int) -> None:
    newest = time_s
    for bought in profile.purchased:
        if bought.key == key:
            newest = max(newest, bought.time_s)
            profile.purchased.remove(bought)
            break
    profile.purchased.append(Bought(key, newest))
    if len(profile.purchased) > limit:
        del profile.purchased[0]


def _fold_search(profile: Profile, event: Event, settings: ProfileSettings) -> None:
    text = " ".join(event.query.lower().split())[: settings.search_chars]
    if not text:
        return
    profile.searches = [s for s in profile.searches if s.text != text]
    profile.searches.append(Search(text, event.time // 1000))
    if len(profile.searches) > settings.searches:
        del profile.searches[0]
