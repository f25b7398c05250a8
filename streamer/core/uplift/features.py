"""What is known of a shopper, a push and its occasion, as a row of numbers of about unit size.

Four priors a feature, in log-odds per unit: ``main`` of what shoppers buy anyway, ``push`` of what a push changes about
it beyond what a click carries (``model.py``), ``click`` and ``leave`` of a click and of an opt-out. They are what is
known of pushes in general before anything was learned of this shop: the likelier a thing is to be taken up the
likelier is the click; who clicked does so again; who dismisses will rather leave, and sooner the more pushes there are.
Those of ``leave`` decide for weeks, as a push in a hundred is answered by an opt-out: they are near to what
``load_tests/priors.py`` fits to simulated shops, but for the level, which lets an untaught push be worth something, and
for how much a shopper comes and buys, which is about half of it or nothing.

Hours and campaigns are groups of which one is 1. A campaign's group follows from its name, so that campaigns may come
and go and the model stays; two that share a group share what is learned of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import pack
from typing import TYPE_CHECKING, Final

from streamer.core.events import key64
from streamer.core.exactmath import LOG2_E, log2, log2_1p
from streamer.core.models.model import features_id
from streamer.core.packed import RECENT
from streamer.core.profile import CART, PURCHASE, log2_cents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.policy.state import Sent, Standing
    from streamer.core.profile import Profile

_MINUTE_MS: Final = 60_000.0
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 86_400_000
_WEEK_MS: Final = 7 * _DAY_MS
_SMOOTH: Final = 20
_USUAL: Final = 0.1
_PUSHES: Final = 10.0
_LEAST: Final = 2.0**-20
CAMPAIGNS: Final = 16
_HOURS: Final = 4
CHANNELS: Final = ("in-app", "email", "sms")
"""A push has none of these."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One number of a row, and its priors."""

    name: str
    unit: str
    main: float = 0.0
    push: float = 0.0
    click: float = 0.0
    leave: float = 0.0


FEATURES: Final = (
    Feature("always", "1", -3.5, click=-2.5, leave=-6.5),
    Feature("score", "log-odds of the score of the first item / 4", 0.5, click=0.5, leave=-0.1),
    Feature("churn", "log-odds of not returning / 4", leave=0.15),
    Feature("purchase", "log-odds of a purchase in this visit / 4", 0.5, leave=-0.3),
    Feature("visits", "log2(visits) / 4", leave=0.15),
    Feature("visit_events", "log2(1 + events of the visit) / 4", leave=0.15),
    Feature("gap_days", "log2(1 + days between visits) / 4"),
    Feature("tenure", "log2(1 + days since the first event) / 8"),
    Feature("away", "log2(1 + minutes since the newest event) / 16", leave=-0.1),
    Feature("buyer", "log2(1 + purchases) / 4", 0.5),
    Feature("purchase_rate", "purchases over 20 more than the events", 2.0),
    Feature("bought_lately", "1 over one more than the days since bought, 0 if never", leave=0.1),
    Feature("cart_rate", "carts over 20 more than the events", 0.5, leave=-0.5),
    Feature("in_cart", "log2(1 + remembered items carted and not bought) / 2", 0.5, leave=0.15),
    Feature("shown_in_cart", "1 if the first item is carted and not bought", click=0.5, leave=-0.2),
    Feature("shown_seen", "log2(1 + views of the first item by the shopper) / 2", click=0.3, leave=-0.15),
    Feature("searched", "1 if there was a search in the newest visit"),
    Feature("price", "log2 of the first item's price in cents / 16, 0 if unknown"),
    Feature("dearer", "log2 of that price over the shopper's usual one / 2"),
    Feature("pushes_day", "log2(1 + pushes in the last 24 hours) / 2", click=-0.3, leave=0.4),
    Feature("pushes_week", "log2(1 + pushes in the last 7 days) / 4", click=-0.8, leave=0.9),
    Feature(
        "since_push", "1 over one more than the hours since the last push, 0 if there was none", click=-0.3, leave=0.25
    ),
    Feature("dismissals", "log2(1 + dismissals since the last click) / 2", click=-0.5, leave=0.4),
    Feature(
        "dismissed",
        "log-odds to dismiss, by the pushes so far, less one in ten's / 2",
        push=-0.2,
        click=-0.5,
        leave=1.3,
    ),
    Feature("clicked", "log-odds to click, by the pushes so far, less one in ten's / 2", click=2.0, leave=-0.7),
    Feature("opened", "log-odds to open, by the pushes so far, less one in ten's / 2"),
    Feature("consent", "1 if the shopper asked for pushes"),
    Feature("weekend", "1 on Saturdays and Sundays, where the shopper is"),
    *(Feature(f"hour_{first:02d}", f"1 from {first}:00 on, for {_HOURS} hours") for first in range(0, 24, _HOURS)),
    *(Feature(f"channel_{channel}", "1 if it goes this way") for channel in CHANNELS),
    *(Feature(f"campaign_{group:02d}", "1 for campaigns of this group") for group in range(CAMPAIGNS)),
)
NAMES: Final = tuple(feature.name for feature in FEATURES)
FEATURES_ID: Final = features_id(("uplift", *NAMES))

_HOUR_AT: Final = NAMES.index("hour_00")
_CHANNEL_AT: Final = {channel: NAMES.index(f"channel_{channel}") for channel in CHANNELS}
_CAMPAIGN_AT: Final = NAMES.index("campaign_00")


@dataclass(frozen=True, slots=True)
class Moment:
    """A push that may be sent, as of the moment of asking.

    ``now_ms``: the stream time; ``local_ms``: the same, by the shopper's clock. ``score`` of the first item, ``item``
    its key, ``cents`` its price, 0 if unknown. ``churn`` and ``purchase``: what is predicted of the shopper.
    ``sent``: pushes so far, oldest first, those held back for comparison among them.
    """

    profile: Profile
    standing: Standing
    sent: Sequence[Sent]
    now_ms: int
    local_ms: int
    campaign: str
    channel: str
    score: float
    item: int
    cents: int
    churn: float
    purchase: float


def campaign_group(name: str) -> int:
    """The group of a campaign."""
    return key64(name) % CAMPAIGNS


def describe(moment: Moment) -> bytes:
    """The row of a moment: float16 [F], little-endian, as it is kept, sent, served and learned from."""
    row = [*_of_shopper(moment), *_of_item(moment), *_of_pushes(moment)]
    row += [0.0] * (len(FEATURES) - len(row))
    # 1970 began on a Thursday.
    row[_HOUR_AT - 1] = float((moment.local_ms // _DAY_MS + 3) % 7 >= 5)
    row[_HOUR_AT + moment.local_ms % _DAY_MS // _HOUR_MS // _HOURS] = 1.0
    if (at := _CHANNEL_AT.get(moment.channel)) is not None:
        row[at] = 1.0
    row[_CAMPAIGN_AT + campaign_group(moment.campaign)] = 1.0
    return pack(f"<{len(row)}e", *row)


def _of_shopper(moment: Moment) -> list[float]:
    p, now_ms = moment.profile, moment.now_ms
    visits = max(p.sessions, 1)
    gap_ms = max(p.session_start_ms - p.first_ms, 0) / (visits - 1) if visits > 1 else 0.0
    events = sum(p.counts) + _SMOOTH
    last_bought_s = max((bought.time_s for bought in p.bought()), default=0)
    return [
        1.0,
        _log_odds(moment.score) / 4,
        _log_odds(moment.churn) / 4,
        _log_odds(moment.purchase) / 4,
        log2(float(visits)) / 4,
        log2_1p(float(p.session_events)) / 4,
        log2_1p(gap_ms / _DAY_MS) / 4,
        log2_1p(max(now_ms - p.first_ms, 0) / _DAY_MS) / 8,
        log2_1p(max(now_ms - p.last_ms, 0) / _MINUTE_MS) / 16,
        log2_1p(float(p.counts[PURCHASE])) / 4,
        p.counts[PURCHASE] / events,
        1.0 / (1.0 + max(now_ms - last_bought_s * 1000, 0) / _DAY_MS) if last_bought_s else 0.0,
        p.counts[CART] / events,
    ]


def _of_item(moment: Moment) -> list[float]:
    p = moment.profile
    in_cart = sum(item.carts > 0 and not item.purchases for item in p.recents())
    carts = views = purchases = 0
    if (at := RECENT.find(p.items, moment.item)) != -1:
        _, _, _, views, carts, purchases, *_ = RECENT.unpack_from(p.items, at)
    price = log2_cents(moment.cents)
    dearer = min(max(price - p.price_mean, -4.0), 4.0) / 2 if moment.cents and p.price_weight else 0.0
    return [
        log2_1p(float(in_cart)) / 2,
        float(carts > 0 and not purchases),
        log2_1p(float(views)) / 2,
        float(bool(p.searches) and p.searches[-1].time_s * 1000 >= p.session_start_ms // 1000 * 1000),
        price / 16,
        dearer,
    ]


def _of_pushes(moment: Moment) -> list[float]:
    standing, sent, now_ms = moment.standing, moment.sent, moment.now_ms
    # Not every notification service tells of each push that it delivered.
    shown = max(standing.delivered, standing.dismissed + max(standing.clicked, standing.opened))
    return [
        log2_1p(float(sum(push.time_ms > now_ms - _DAY_MS for push in sent))) / 2,
        log2_1p(float(sum(push.time_ms > now_ms - _WEEK_MS for push in sent))) / 4,
        1.0 / (1.0 + max(now_ms - sent[-1].time_ms, 0) / _HOUR_MS) if sent else 0.0,
        log2_1p(float(standing.dismissals)) / 2,
        _habit(standing.dismissed, shown),
        _habit(standing.clicked, shown),
        _habit(standing.opened, shown),
        float(standing.consent is True),
    ]


def _habit(count: int, shown: int) -> float:
    """0 of whom nothing is known: as if ``_PUSHES`` had been taken as is usual."""
    rate = (count + _USUAL * _PUSHES) / (max(shown, count) + _PUSHES)
    return (_log_odds(rate) - _log_odds(_USUAL)) / 2


def _log_odds(p: float) -> float:
    held = min(max(p, _LEAST), 1.0 - _LEAST)
    return (log2(held) - log2(1.0 - held)) / LOG2_E
