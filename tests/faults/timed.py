"""Timers in the plainest way: a campaign that waits after a cart event, and whatever waits for quiet hours to end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.faults import plain
from tests.faults.load import MINUTE_MS

if TYPE_CHECKING:
    from tests.faults.plain import Rec, Said, Standing

BASKET: Final = "basket"
AFTER_MS: Final = 30 * MINUTE_MS
MOST_ITEMS: Final = 16
#: Shoppers that one tick looks at, at most.
MOST_SHOPPERS: Final = 256

DECLARED: Final = """
says = "what lies in the cart"
[triggers]
on = ["cart"]
after = "30m"
cancel_on = ["purchase"]
[message]
template = "basket.v1"
channels = ["push", "in-app", "email", "sms"]
"""


@dataclass(frozen=True, slots=True)
class Timer:
    """One timer: its campaign, when it is due, the event that armed it and where that lies."""

    campaign: str
    due_ms: int
    rec: Rec
    said: Said
    items: tuple[str, ...]
    waits: bool = False

    @property
    def row(self) -> list[Any]:
        """As table ``policy`` has it."""
        rec, said = self.rec, self.said
        place = [rec.topic, rec.partition, rec.offset]
        event = [said.time, said.id, said.source, said.type, *place, said.fingerprint]
        keys = [plain.item_key(item) for item in self.items]
        # Last is what they cost before, of timers that the catalog's changes arm.
        return [self.campaign, self.due_ms, *event, keys, "", self.waits, []]


@dataclass(slots=True)
class Timers:
    """A shopper's: in the order in which they are due. ``wake_ms``: the time of their row in table ``due``, 0: none."""

    armed: list[Timer] = field(default_factory=list)
    wake_ms: int = 0

    def hear(self, rec: Rec, said: Said) -> None:
        """An applied event: what it takes back, and what it arms."""
        if said.type == "purchase":
            self.keep(t for t in self.armed if t.campaign != BASKET or t.said.time > said.time)
        elif said.type == "cart":
            before = next((timer for timer in self.armed if timer.campaign == BASKET), None)
            if before is None or before.said.time <= said.time:
                here = dict.fromkeys(said.items)
                earlier = [item for item in (before.items if before is not None else ()) if item not in here]
                items = (*earlier, *here)[-MOST_ITEMS:]
                self.arm(Timer(BASKET, said.time + AFTER_MS, rec, said, items))

    def arm(self, timer: Timer) -> None:
        """One more, in place of its campaign's."""
        self.keep([*(other for other in self.armed if other.campaign != timer.campaign), timer])

    def keep(self, timers: Any) -> None:
        """These from now on. A row is written only for what is due earlier than anything before."""
        kept = sorted(timers, key=lambda timer: (timer.due_ms, timer.campaign))
        if kept == self.armed:
            return
        self.armed = kept
        if kept and not 0 < self.wake_ms <= kept[0].due_ms:
            self.wake_ms = kept[0].due_ms

    def reached(self, now_ms: int) -> list[Timer]:
        """The row is reached: those that are due, which are armed no more."""
        due = [timer for timer in self.armed if timer.due_ms <= now_ms]
        left = [timer for timer in self.armed if timer.due_ms > now_ms]
        self.armed, self.wake_ms = [], 0
        self.keep(left)
        return due


def quiet_until(standing: Standing, now_ms: int) -> int | None:
    """The first whole minute at which it is quiet no more; None if that does not come within two days."""
    first = now_ms - now_ms % MINUTE_MS
    minutes = range(first, first + 2 * 24 * 60 * MINUTE_MS, MINUTE_MS)
    return next((at for at in minutes if not plain.quiet(standing, at)), None)
