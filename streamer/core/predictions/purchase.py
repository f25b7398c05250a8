"""Will they buy something before this visit ends?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamer.core.events import EVENT_TYPES
from streamer.core.exactmath import log2_1p
from streamer.core.predictions.predictor import NONE_OF_THEM, YES_OR_NO, Feature, Predictor
from streamer.core.profile import CART, PURCHASE, log2_cents

if TYPE_CHECKING:
    from streamer.core.predictions.predictor import Heard, Moment, Rows

_MINUTE_MS: Final = 60_000.0
_DAY_S: Final = 86_400.0
_SMOOTH: Final = 20
_FEATURES: Final = (
    Feature("visit_events", "log2(1 + events of the visit) / 4", 0.2),
    Feature("visit_minutes", "log2(1 + minutes of the visit) / 4", 0.0),
    Feature("in_cart", "log2(1 + remembered items carted and not bought) / 2", 0.5),
    Feature("carted_now", "the same, of those touched in this visit", 1.5),
    Feature("newest_in_cart", "1 if the newest item is carted and not bought", 0.5),
    Feature("newest_again", "log2(1 + views of the newest item) / 2", 0.1),
    Feature("bought_now", "1 if something was bought in this visit", 0.0),
    Feature("buyer", "log2(1 + purchases) / 4", 0.5),
    Feature("purchase_rate", "purchases over 20 more than the events", 2.0),
    Feature("cart_rate", "carts over 20 more than the events", 1.0),
    Feature("bought_lately", "1 over one more than the days since bought, 0 if never", 0.0),
    Feature("focus", "share of the visit's items in the newest item's category", 0.0),
    Feature("searched", "1 if there was a search in this visit", 0.0),
    Feature("returning", "1 if it is not the first visit", 0.1),
    Feature("dearer", "log2 of the newest item's price over the usual price / 2", 0.0),
)


def _rows(moment: Moment) -> Rows:
    p, now_s = moment.profile, moment.now_ms // 1000
    start_s = p.session_start_ms // 1000
    recents = p.recents()
    here = [item for item in recents if item.last_s >= start_s]
    carted = [item for item in recents if item.carts and not item.purchases]
    newest = recents[-1] if recents else None
    last_bought = max((bought.time_s for bought in p.bought()), default=0)
    events = sum(p.counts) + _SMOOTH
    alike = 0.0
    if newest is not None and newest.category:
        alike = sum(item.category == newest.category for item in here) / max(len(here), 1)
    dearer = 0.0
    if newest is not None and newest.price_cents and p.price_weight:
        dearer = min(max(log2_cents(newest.price_cents) - p.price_mean, -4.0), 4.0) / 2
    return YES_OR_NO, [
        [
            log2_1p(float(p.session_events)) / 4,
            log2_1p(max(moment.now_ms - p.session_start_ms, 0) / _MINUTE_MS) / 4,
            log2_1p(float(len(carted))) / 2,
            log2_1p(float(sum(item.last_s >= start_s for item in carted))) / 2,
            float(newest is not None and newest.carts > 0 and not newest.purchases),
            log2_1p(float(newest.views)) / 2 if newest is not None else 0.0,
            float(last_bought >= start_s > 0),
            log2_1p(float(p.counts[PURCHASE])) / 4,
            p.counts[PURCHASE] / events,
            p.counts[CART] / events,
            1.0 / (1.0 + max(now_s - last_bought, 0) / _DAY_S) if last_bought else 0.0,
            alike,
            float(bool(p.searches) and p.searches[-1].time_s >= start_s),
            float(p.sessions > 1),
            dearer,
        ]
    ]


def _waits(moment: Moment) -> int:
    return moment.profiles.session_gap_ms


def _hears(heard: Heard) -> int | None:
    return 0 if EVENT_TYPES[heard.event.type].kind == "purchase" and not heard.new_visit else None


PREDICTOR: Final = Predictor(
    name="purchase",
    says="the shopper buys something before this visit ends",
    features=_FEATURES,
    bias=-4.0,
    rows=_rows,
    waits=_waits,
    hears=_hears,
    silence=NONE_OF_THEM,
    once_a_visit=True,
)
