"""How much of what a push sells is sold besides, and not merely bought earlier.

Within the window of a response, a purchase that a push only brought forward looks like one that it made: the shopper
would have bought a few days later, and then does not. Of what promotions sell that is the largest part (Gupta, "Impact
of Sales Promotions on When, What, and How Much to Buy", JMR 25, 1988). It shows where no window of a day can: in how
often the shopper buys unasked.

Orders of their own are taken for a Poisson process, of a rate that is drawn from a gamma distribution (Ehrenberg's NBD,
"The Pattern of Consumer Purchases", Applied Statistics 8, 1959): before anything is known as if half an order had been
seen in a week. So whoever bought ``n`` times in ``t`` stays without an order for ``h`` more with probability
``((b + t) / (b + t + h)) ** (a + n)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from streamer.core.exactmath import exp2, log2_1p
from streamer.core.profile import PURCHASE

if TYPE_CHECKING:
    from streamer.core.policy.state import Standing
    from streamer.core.profile import Profile

_ORDERS: Final = 0.5
_MS: Final = 7 * 86_400_000


def sold_besides(profile: Profile, standing: Standing, now_ms: int, forward_ms: int) -> float:
    """The chance, in (0, 1], that a shopper would not buy unasked within ``forward_ms``. 1 if that is 0.

    Purchases that the notification service told to have come of pushes were not unasked.
    """
    orders = max(profile.counts[PURCHASE] - standing.converted, 0)
    seen_ms = max(now_ms - profile.first_ms, 0)
    return exp2(-(_ORDERS + orders) * log2_1p(forward_ms / (_MS + seen_ms)))
