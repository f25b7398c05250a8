"""Shoppers whose response to a push is known: persuadables, sure things, lost causes and sleeping dogs."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from streamer.core.packed import BOUGHT, RECENT, Bought, Recent
from streamer.core.policy.state import Sent, Standing
from streamer.core.profile import Profile
from streamer.core.settings import DAY_MS, HOUR_MS, MINUTE_MS
from streamer.core.uplift.features import FEATURES_ID, Moment, describe
from streamer.core.uplift.model import Forecast
from streamer.core.uplift.response import Response

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW: Final = 1_700_000_000_000


@dataclass(frozen=True)
class Kind:
    """The share of shoppers of a kind, how they respond, and what shows of it, in the mean."""

    share: float
    anyway: float
    pushed: float
    opt_out: float
    purchases: float
    carted: float
    views: float
    dismissals: float
    clicks: float


KINDS: Final = {
    "persuadable": Kind(0.2, 0.04, 0.20, 0.002, 1.0, 2.0, 20.0, 0.3, 2.0),
    "sure thing": Kind(0.2, 0.30, 0.31, 0.002, 8.0, 1.0, 30.0, 0.3, 1.5),
    "lost cause": Kind(0.45, 0.01, 0.012, 0.002, 0.1, 0.2, 6.0, 0.6, 0.2),
    "sleeping dog": Kind(0.15, 0.15, 0.06, 0.05, 4.0, 1.0, 25.0, 3.0, 0.3),
}


def _count(random: Random, mean: float) -> int:
    """Geometric with this mean: widely spread, so that no one number tells a kind."""
    count = 0
    while random.random() > 1.0 / (1.0 + mean):
        count += 1
    return count


def moment(random: Random, kind: Kind, **changes: float) -> Moment:
    """A shopper of a kind who may be pushed now."""
    views, carted, purchases = _count(random, kind.views), _count(random, kind.carted), _count(random, kind.purchases)
    seconds = NOW // 1000
    items = [Recent(n + 1, seconds - n, 256, 1, int(n < carted)) for n in range(min(views + carted, 30))]
    bought = [Bought(1000 + n, seconds - 86_400 * (n + 3), seconds - 86_400 * (n + 3), 1) for n in range(purchases)]
    profile = Profile(
        NOW - random.randrange(2, 200) * DAY_MS,
        NOW - random.randrange(600) * MINUTE_MS,
        (views, 0, carted, purchases, 0),
        1 + _count(random, 4.0),
        NOW - HOUR_MS,
        1 + _count(random, 5.0),
        RECENT.packed(items),
        purchased=BOUGHT.packed(bought),
    )
    dismissals = _count(random, kind.dismissals)
    standing = Standing(dismissals=dismissals, dismissed=dismissals, clicked=_count(random, kind.clicks))
    sent = tuple(Sent(NOW - (n + 1) * 9 * HOUR_MS, "next", ()) for n in range(_count(random, 1.0)))[::-1]
    told = {"score": random.uniform(0.02, 0.6), "churn": random.uniform(0.1, 0.9), "purchase": random.uniform(0.0, 0.2)}
    return Moment(
        profile,
        standing,
        sent,
        NOW,
        NOW + random.randrange(24) * HOUR_MS,
        "next",
        "push",
        item=random.randrange(1, 20),
        cents=random.randrange(100, 20_000),
        **(told | changes),
    )


def shoppers(seed: int, count: int) -> Iterator[tuple[str, Moment]]:
    """So many, by the shares of their kinds."""
    random = Random(seed)
    names, weights = list(KINDS), [kind.share for kind in KINDS.values()]
    for _ in range(count):
        name = random.choices(names, weights)[0]
        yield name, moment(random, KINDS[name])


def respond(
    random: Random, kind: Kind, row: bytes, *, held_back: float = 0.1, expected: Forecast | None = None
) -> Response:
    """Push, or hold back with that probability, and see what comes of it."""
    pushed = random.random() >= held_back
    clicked = pushed and random.random() < kind.clicks / 10
    return Response(
        FEATURES_ID,
        row,
        NOW,
        "next",
        pushed,
        1.0 - held_back,
        expected or Forecast(0.1, 0.1, 0.1, 0.1),
        random.random() < (kind.pushed if pushed else kind.anyway),
        opened=clicked,
        clicked=clicked,
        dismissed=False,
        opted_out=pushed and random.random() < kind.opt_out,
    )


def responses(seed: int, count: int, *, held_back: float = 0.1) -> Iterator[Response]:
    """What comes of pushing so many shoppers but for a share held back."""
    random = Random(seed + 1_000)
    for name, at in shoppers(seed, count):
        yield respond(random, KINDS[name], describe(at), held_back=held_back)
