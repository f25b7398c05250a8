"""What is asked: may this campaign push, now? And what events teach."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from streamer.core.events import key64
from streamer.core.names import NONE

if TYPE_CHECKING:
    from streamer.core.events import Event
    from streamer.core.policy.experiments import Terms
    from streamer.core.policy.rule import Case

NOT_RANKED: Final = -1


class Ask(msgspec.Struct, gc=False):
    """May this campaign push, on this event, or as its timer is due?

    ``event`` is the one that asks, or that armed the timer: then it says no more than who, when and where. ``keys``:
    the items that the campaign is about, ``prices`` what they cost before, in cents (``Armed.prices``). ``due_ms``:
    when the timer was due (0: there is none), ``timer`` its name. ``occasion`` is the same for asks that compete.
    ``refusal`` is the cheap rule that says no before any push of this batch, if one does. ``query`` is its place among
    the queries, or ``NOT_RANKED``. ``told``: so much of what the batch has for shoppers' slates was told before it.
    ``segment``: the shopper's, where it is ranked; ``NONE`` without one. ``terms``: what the shopper is decided by.
    ``may_wait``: it is of a timer that has not waited yet for room under the caps, and may.
    """

    event: Event
    case: Case
    terms: Terms
    keys: tuple[int, ...] = ()
    due_ms: int = 0
    timer: str = ""
    occasion: int = 0
    refusal: str | None = None
    query: int = NOT_RANKED
    told: int = 0
    segment: int = NONE
    prices: tuple[int, ...] = ()
    may_wait: bool = False

    @property
    def mark(self) -> int:
        """What its draws are made of. Two campaigns of one event draw for themselves, and so do timers that it arms in
        turn.
        """
        name = self.case.campaign.name
        return self.event.fingerprint ^ key64(f"{name}\n{self.timer}" if self.timer else name)

    def price_before(self, key: int) -> int:
        """What an item cost before, in cents; 0 if that is not what the campaign is about."""
        return dict(zip(self.keys, self.prices, strict=False)).get(key, 0)


class Lesson(msgspec.Struct, gc=False):
    """An event that labels the list ranked from the state just before it."""

    event: Event
    query: int
