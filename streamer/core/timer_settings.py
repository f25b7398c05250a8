"""Settings of timers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TimerSettings:
    """How timers fire.

    ``fired_per_tick``: so many shoppers' timers are looked at in one tick at most; the others wait for the next, so
    that a whole shop's timers falling due at once does not hold up the events.
    ``items``: a timer remembers so many items of the events that armed it, the newest.
    ``told_per_tick``: of the catalog's changes so many items, and shoppers who watch them, are looked at in one tick at
    most, so that a sale of everything does not hold up the events either.
    """

    fired_per_tick: int = 256
    items: int = 16
    told_per_tick: int = 256

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be."""
        if self.fired_per_tick < 1 or self.items < 1 or self.told_per_tick < 1:
            raise ValueError("fired_per_tick, items and told_per_tick must be at least 1")
