"""Campaigns: what may be said to a shopper, on which occasion, by which channel."""

from __future__ import annotations

from typing import Final

import msgspec

from streamer.core.events import EVENT_TYPES


class Campaign(msgspec.Struct, frozen=True, gc=False):
    """``triggers`` are the event types it reacts to, ``channels`` what it is written for, the best first.

    ``template`` is the id of the message the notification service renders; ``priority`` is ``normal`` or ``high``.
    """

    name: str
    template: str
    triggers: frozenset[str]
    channels: tuple[str, ...] = ("push",)
    priority: str = "normal"

    def channel(self, allowed: tuple[str, ...] | None) -> str | None:
        """The best channel among those the shopper chose (``None``: any), if there is one."""
        if allowed is None:
            return self.channels[0]
        return next((channel for channel in self.channels if channel in allowed), None)


NEXT_ITEM: Final = Campaign(
    name="next",
    template="next.v1",
    triggers=frozenset(name for name, event_type in EVENT_TYPES.items() if event_type.triggers),
    channels=("push", "in-app", "email", "sms"),
)

CAMPAIGNS: Final[tuple[Campaign, ...]] = (NEXT_ITEM,)
