"""What a policy rule is, and what it may look at.

A rule says no or nothing. Cheap rules look at the case alone and are asked twice: before retrieval, to skip the work,
and again in event order when the decision is taken. The first asking sees no more pushes than the second, so a cheap
rule must never refuse less for a push more. Item rules are asked of each ranked item.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from streamer.core.zones import NO_ZONES, Zones

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.campaigns.campaign import Campaign
    from streamer.core.policy.proposal import Proposal
    from streamer.core.policy.state import Sent, Standing
    from streamer.core.predictions.served import Foresight
    from streamer.core.profile import Profile
    from streamer.core.settings import PolicySettings


class Case(msgspec.Struct, gc=False):
    """One event and one campaign that reacts to it, as of that event.

    ``time_ms`` is the event's, ``now_ms`` the stream time after it, ``newest_ms`` the time of the user's newest event
    before it (0: none). ``draw`` is the event's seeded draw from [0, 1). ``sent`` is what was sent until the moment of
    asking: before this batch at first, and then also in it. ``bought`` are keys of items bought until the event.
    ``foresight`` is what is predicted of the shopper as of the event: ``case.foresight.chance("churn")``. ``member``:
    whether the shopper is of the campaign's audience. ``profile`` is theirs. ``price``: what tiredness makes of a
    threshold, a factor (``fatigue.py``), as of what was sent until the decision. ``zones`` tell local time.

    Of a timer ``time_ms`` is when it was due, and ``newest_ms`` 0.
    """

    campaign: Campaign
    time_ms: int
    now_ms: int
    newest_ms: int
    draw: float
    standing: Standing
    sent: tuple[Sent, ...]
    bought: frozenset[int] = frozenset()
    foresight: Foresight | None = None
    member: bool = True
    price: float = 1.0
    zones: Zones = NO_ZONES
    profile: Profile | None = None


class Offer(msgspec.Struct, frozen=True, gc=False):
    """A ranked item: its key, its score (a probability), whether it can be had, and ``group_key`` of its category (0:
    none is known).
    """

    key: int
    score: float
    in_stock: bool
    category: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """``name`` is the reason in the decision; ``says`` completes "no push, as …"."""

    name: str
    says: str


@dataclass(frozen=True, slots=True)
class CheapRule(Rule):
    """``refuses`` is pure, and final: a push more never turns its no into a yes.

    ``until``, if given, tells when to ask anew (stream time, ms; ``None``: never): what it refuses waits for a timer.
    Such a rule comes before all that look at what was sent: of an event that asks, timers must not depend on that
    (``batch.py``).

    ``room``, of a cap on all pushes: the first moment (stream time, ms) at which it refuses no more, if nothing is sent
    until then, not before now; ``None``: there is none. A timer that asks for the first time waits for it.
    """

    refuses: Callable[[Case, PolicySettings], bool]
    until: Callable[[Case, PolicySettings], int | None] | None = None
    room: Callable[[Case, PolicySettings], int | None] | None = None


@dataclass(frozen=True, slots=True)
class ItemRule(Rule):
    """``refuses`` is pure, and of one item of the case."""

    refuses: Callable[[Offer, Case, PolicySettings], bool]


@dataclass(frozen=True, slots=True)
class FinalRule(Rule):
    """``refuses`` is pure, and of the one push that would be sent; the next best of its occasion is asked then.

    ``ghost``: what it refuses is held back to compare with. It counts as a push for all rules, and ends its occasion.
    """

    refuses: Callable[[Proposal, PolicySettings], bool]
    ghost: bool = False
