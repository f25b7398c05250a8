"""Of which category is the next item they touch?

A row for each category the profile has an interest in; one of them may come true, or none (a category that is new to
the shopper). Where events tell no categories there is nothing to predict from.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from streamer.core.events import EVENT_TYPES, group_key
from streamer.core.exactmath import log2_1p
from streamer.core.packed import AFFINITY, RECENT
from streamer.core.predictions.predictor import NONE_OF_THEM, UNKNOWN, Feature, Predictor

if TYPE_CHECKING:
    from streamer.core.predictions.predictor import Heard, Moment, Rows

_NEWEST: Final = 8
_WEEK_MS: Final = 7 * 86_400_000
_FEATURES: Final = (
    Feature("share", "share of the shopper's interest", 1.0),
    Feature("newest", "1 for the newest item's category", 1.5),
    Feature("second", "1 for that of the item before", 0.3),
    Feature("place", "1 over the place of its newest item, 0 if there is none", 1.0),
    Feature("recent_share", "share of the eight newest items", 1.0),
    Feature("visit_share", "share of the items of this visit", 0.5),
    Feature("touched", "log2(1 + its remembered items) / 4", 0.2),
    Feature("carted", "1 if one of its items is carted and not bought", 0.1),
    Feature("faithful", "1 for the newest item's, by how often neighbours in the history agree", 1.0),
    Feature("wandering", "how seldom neighbours in the history agree", 0.0),
    Feature("visit_begins", "1 for the newest item's at the first event of a visit", 0.0),
)


def _rows(moment: Moment) -> Rows:
    p = moment.profile
    interests = AFFINITY.rows(p.categories)
    recents = p.recents()[::-1]
    known = [item.category for item in recents if item.category]
    keys = [interest.key for interest in interests]
    if known and known[0] not in keys:
        keys.append(known[0])
    if not keys:
        return (), []
    weights = {interest.key: max(interest.weight, 0) for interest in interests}
    total = sum(weights.values()) or 1
    start_s = p.session_start_ms // 1000
    here = [item.category for item in recents if item.last_s >= start_s and item.category]
    newest = known[:_NEWEST]
    agree = sum(a == b for a, b in pairwise(known)) / (len(known) - 1) if len(known) > 1 else 0.5
    carted = {item.category for item in recents if item.carts and not item.purchases}
    rows = []
    for key in keys:
        last = float(bool(known) and key == known[0])
        rows.append(
            [
                weights.get(key, 0) / total,
                last,
                float(len(known) > 1 and key == known[1]),
                1.0 / (1 + known.index(key)) if key in known else 0.0,
                newest.count(key) / max(len(newest), 1),
                here.count(key) / max(len(here), 1),
                log2_1p(float(known.count(key))) / 4,
                float(key in carted),
                last * agree,
                1.0 - agree,
                last * float(p.session_events == 1),
            ]
        )
    return tuple(keys), rows


def _waits(moment: Moment) -> int:  # noqa: ARG001 -- of all alike
    return _WEEK_MS


def _hears(heard: Heard) -> int | None:
    event = heard.event
    if not event.lines or EVENT_TYPES[event.type].weight <= 0:
        return None
    line = event.lines[0]
    category = group_key(line.category) if line.category else 0
    if not category and heard.before is not None and (at := RECENT.find(heard.before.items, line.key)) != -1:
        category = RECENT.unpack_from(heard.before.items, at)[6]
    if not category:
        return UNKNOWN
    return heard.keys.index(category) if category in heard.keys else NONE_OF_THEM


PREDICTOR: Final = Predictor(
    name="next_category",
    says="the next item the shopper touches is of this category",
    features=_FEATURES,
    bias=-3.0,
    rows=_rows,
    waits=_waits,
    hears=_hears,
    silence=UNKNOWN,
    once_a_visit=False,
    choices=True,
    rate=0.25,
)
