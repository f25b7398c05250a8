"""Will they stay away for longer than is their habit?

A shopper's rhythm is the mean gap between their visits; who lets ``patience`` times that pass has not returned within
it. If visits came at random at a shopper's own rate (a Poisson process) the risk at the default patience of 2 would be
e^-2, 13 %, for everybody: what lies above is more than chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamer.core.exactmath import log2_1p
from streamer.core.predictions.predictor import NONE_OF_THEM, YES_OR_NO, Feature, Predictor
from streamer.core.profile import CART, PURCHASE

if TYPE_CHECKING:
    from streamer.core.predictions.predictor import Heard, Moment, Rows
    from streamer.core.profile import Profile

_DAY_MS: Final = 86_400_000.0
_FEATURES: Final = (
    Feature("no_rhythm", "1 if it is the first visit", 1.0),
    Feature("visits", "log2(visits) / 4", -0.5),
    Feature("gap_days", "log2(1 + days between visits) / 4", 0.0),
    Feature("tenure", "log2(1 + days since the first event) / 8", 0.0),
    Feature("visit_events", "log2(1 + events of the visit) / 4", -0.2),
    Feature("visit_size", "log2(1 + events a visit) / 4", 0.0),
    Feature("livelier", "log2 of this visit's events over those of a visit / 4", 0.0),
    Feature("buyer", "log2(1 + purchases) / 4", -0.3),
    Feature("bought_now", "1 if something was bought in this visit", 0.0),
    Feature("in_cart", "log2(1 + remembered items carted and not bought) / 2", -0.2),
    Feature("carts", "log2(1 + carts) / 4", 0.0),
    Feature("range", "log2(1 + remembered items) / 4", -0.1),
)


def _gap_ms(profile: Profile) -> float:
    """The mean gap between the visits' beginnings; 0 if there was but one."""
    gaps = profile.sessions - 1
    return max(profile.session_start_ms - profile.first_ms, 0) / gaps if gaps > 0 else 0.0


def _rows(moment: Moment) -> Rows:
    p = moment.profile
    start_s = p.session_start_ms // 1000
    visits = max(p.sessions, 1)
    size = sum(p.counts) / visits
    recents = p.recents()
    carted = sum(item.carts > 0 and not item.purchases for item in recents)
    return YES_OR_NO, [
        [
            float(p.sessions < 2),
            log2_1p(visits - 1.0) / 4,
            log2_1p(_gap_ms(p) / _DAY_MS) / 4,
            log2_1p(max(moment.now_ms - p.first_ms, 0) / _DAY_MS) / 8,
            log2_1p(float(p.session_events)) / 4,
            log2_1p(size) / 4,
            (log2_1p(float(p.session_events)) - log2_1p(size)) / 4,
            log2_1p(float(p.counts[PURCHASE])) / 4,
            float(any(bought.time_s >= start_s for bought in p.bought())),
            log2_1p(float(carted)) / 2,
            log2_1p(float(p.counts[CART])) / 4,
            log2_1p(float(len(recents))) / 4,
        ]
    ]


def _waits(moment: Moment) -> int:
    settings = moment.settings
    gap = _gap_ms(moment.profile) or settings.first_rhythm_ms
    wait = max(settings.patience * gap, 2.0 * moment.profiles.session_gap_ms)
    return int(min(wait, settings.longest_wait_ms))


def _hears(heard: Heard) -> int | None:
    return NONE_OF_THEM if heard.new_visit and heard.in_time else None


PREDICTOR: Final = Predictor(
    name="churn",
    says="the shopper does not return within their own rhythm",
    features=_FEATURES,
    bias=-1.5,
    rows=_rows,
    waits=_waits,
    hears=_hears,
    silence=0,
    once_a_visit=True,
)
