"""Campaigns: what may be said to a shopper, when, to whom, of which items, and how it is sent.

A campaign is data. Each is declared in a TOML file (``read.py`` tells the keys); the core is given those that are on
as ``CoreSettings.campaigns``. Lists are tuples in a fixed order, so that equal campaigns have equal bytes.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

Due = Literal["after", "silence", "rebuy", "price_drop", "back_in_stock"]
"""When a timer is due: a fixed time after its event, after a silence, when something is usually bought again, or when
the catalog says that what the shopper watches costs less, or can be had again.
"""

PRICE_DROP: Final = "price_drop"
BACK_IN_STOCK: Final = "back_in_stock"

Source = Literal["next", "discover", "trigger", "complements"]
"""Which list is drawn on: all that suits, what of it is new to the shopper, the campaign's own items, or what is bought
with these and new to the shopper.
"""


class Triggers(msgspec.Struct, frozen=True, gc=False):
    """When a campaign asks.

    ``on``: the event types that it reacts to. With ``due`` "after" and no time to wait it asks at once, with the event;
    otherwise the event arms a timer. ``restart``: a later event of ``on`` arms it anew, and its items are added to
    those before; otherwise the first one stands. ``cancel_on``: event types that take an armed timer back.
    ``drop_on``: those that take their items out of the timer's, which is taken back when none is left.

    ``due`` "silence": a timer fires when the shopper has been away for ``rhythm`` times the mean gap between their
    visits (``first_ms`` of who came only once). ``due`` "rebuy": when an item was bought ``rhythm`` times the mean time
    between the shopper's purchases of it ago (``first_ms`` after one purchase alone; 0: never then). Both within
    ``least_ms`` and ``most_ms``.

    ``best_within_ms``: a timer of any kind waits on, so long at most, for the hour of the day at which the shopper is
    most often there (``hours.py``).

    ``due`` "price_drop" and "back_in_stock": the events of ``on`` arm nothing; for ``within_ms`` from the last of them
    the shopper watches their items. A timer is armed, ``after_ms`` from then, by a change of the catalog: the item
    costs less by at least the share ``drop`` of its price then, or can be had again.
    """

    on: tuple[str, ...]
    after_ms: int = 0
    due: Due = "after"
    restart: bool = True
    cancel_on: tuple[str, ...] = ()
    drop_on: tuple[str, ...] = ()
    rhythm: float = 1.0
    least_ms: int = 0
    most_ms: int = 0
    first_ms: int = 0
    best_within_ms: int = 0
    within_ms: int = 14 * 86_400_000
    drop: float = 0.1

    @property
    def at_once(self) -> bool:
        """Whether it asks with its event, without a timer."""
        return self.due == "after" and not self.after_ms and not self.best_within_ms

    @property
    def watches(self) -> bool:
        """Whether it waits for news of what its events show interest in."""
        return self.due in {PRICE_DROP, BACK_IN_STOCK}


class Audience(msgspec.Struct, frozen=True, gc=False):
    """To whom: every condition that is set must hold as of the asking.

    ``tags``: at least one of them; ``without_tags``: none of them. ``categories``: an interest in at least one of
    them. ``churn_at_least``, ``churn_at_most``: bounds on the chance that the shopper stays away for longer than is
    their habit. ``purchases_at_least``, ``purchases_at_most``: of orders; ``visits_at_least``, ``visits_at_most``: a
    new shopper is one of a single visit. ``None`` at the top: no bound. ``segments``: in one of these.
    """

    tags: tuple[str, ...] = ()
    without_tags: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    churn_at_least: float = 0.0
    churn_at_most: float = 1.0
    purchases_at_least: int = 0
    purchases_at_most: int | None = None
    visits_at_least: int = 0
    visits_at_most: int | None = None
    segments: tuple[int, ...] = ()


class Listing(msgspec.Struct, frozen=True, gc=False):
    """Of which items: those of ``source``, and of them those proposed by one of ``generators`` (none named: by any),
    of one of ``categories`` (likewise), and, with ``liked`` categories above 0, of one of so many that the shopper
    likes best. ``again``: items that the shopper has bought may be offered.
    ``least_score``: the least probability worth a push, ``None`` for the policy's.
    """

    source: Source = "next"
    generators: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    liked: int = 0
    again: bool = False
    least_score: float | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing that was ranked is left out."""
        return self.source == "next" and not (self.generators or self.categories or self.liked)


class Message(msgspec.Struct, frozen=True, gc=False):
    """How it is said. ``template`` is the id of the message the notification service renders, ``variables`` what it is
    told of the first item (``words.VARIABLES``), ``fixed`` further variables as name and text. ``channels``: what it is
    written for, the best first. ``urgency`` is the channel's, ``normal`` or ``high``. ``expires_after_ms``: how long a
    candidate holds from its event, or from when its timer was due; 0 for the policy's.
    """

    template: str
    variables: tuple[str, ...] = ("title", "brand", "price")
    fixed: tuple[tuple[str, str], ...] = ()
    channels: tuple[str, ...] = ("push",)
    urgency: Literal["normal", "high"] = "normal"
    expires_after_ms: int = 0


class Caps(msgspec.Struct, frozen=True, gc=False):
    """How often, to one shopper, beside the policy's own caps: pushes of this campaign in any 24 hours and in any 7
    days (0: no cap of its own), and the gap between two of them.
    """

    per_day: int = 0
    per_week: int = 0
    min_gap_ms: int = 0


class Coupon(msgspec.Struct, frozen=True, gc=False):
    """What is given with a push. ``id`` is the shop's, which redeems it.

    Redeemed, it costs ``cents``, or ``percent`` of what is bought with it, ``most_cents`` at most. All that are sent
    cost ``budget_cents`` at most, and those of a day (UTC) ``day_cents`` (0: no such bound, but there is one of the
    two). Who is likelier than ``anyway_at_most`` to buy without it gets none.
    """

    id: str
    cents: int = 0
    percent: int = 0
    most_cents: int = 0
    budget_cents: int = 0
    day_cents: int = 0
    anyway_at_most: float = 0.25

    @property
    def may_cost(self) -> int:
        """Cents: the most that it can cost."""
        return self.cents or self.most_cents

    def costs(self, price_cents: int) -> int:
        """What it is expected to cost if that is bought, rounded up; of an unknown price (0) the most."""
        share = -(-price_cents * self.percent // 100)
        return min(share or self.may_cost, self.may_cost)

    def words(self) -> dict[str, str]:
        """What a message is told of it."""
        if not self.percent:
            return {"coupon": self.id, "discount": _money(self.cents)}
        return {"coupon": self.id, "discount": f"{self.percent}%", "discount_at_most": _money(self.most_cents)}


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


class Campaign(msgspec.Struct, frozen=True, gc=False):
    """One campaign. ``priority`` decides between asks of one occasion that are worth the same, the greater first.

    ``control_share``: so many of the shoppers, drawn by a hash, it leaves alone, to compare with.
    """

    name: str
    triggers: Triggers
    message: Message
    says: str = ""
    audience: Audience = Audience()
    listing: Listing = Listing()
    caps: Caps = Caps()
    coupon: Coupon | None = None
    priority: int = 0
    control_share: float = 0.0

    @property
    def of_segments(self) -> bool:
        """Whether it has nobody to ask, or nothing to show, where there are no segments."""
        return bool(self.audience.segments) or self.listing.generators == ("segment",)

    def channel(self, allowed: tuple[str, ...] | None) -> str | None:
        """The best channel among those the shopper chose (``None``: any), if there is one."""
        channels = self.message.channels
        if allowed is None:
            return channels[0]
        return next((channel for channel in channels if channel in allowed), None)


NEXT: Final = Campaign(
    name="next",
    says="the next item, after something of interest happened",
    triggers=Triggers(on=("view", "click", "wishlist", "search", "cart")),
    message=Message(template="next.v1", channels=("push", "in-app", "email", "sms")),
)
"""What is on by default; ``streamer/data/campaigns/next.toml`` says the same."""
