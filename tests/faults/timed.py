"""Timers in the plainest way: of a campaign that waits after a cart event, of those that wait for news, and of whatever
waits for quiet hours to end, or for room under the caps.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from tests.faults import news, plain
from tests.faults.load import MINUTE_MS
from tests.faults.plain import Rec, Said

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.news import News
    from tests.faults.plain import Standing

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
    """One timer: its campaign, when it is due, the event that armed it and where that lies.

    ``prices``: what the items cost before, of a timer that news armed. Its event is one of the shopper's own only by
    its ``mark``. ``waited``: for room under the caps, which it does once. ``asked_ms``: when it competed with others.
    """

    campaign: str
    due_ms: int
    rec: Rec
    said: Said
    items: tuple[str, ...]
    waits: bool = False
    prices: tuple[int, ...] = ()
    mark: int = 0
    waited: bool = False
    asked_ms: int = 0

    @property
    def may_wait(self) -> bool:
        """Whether it is of a timer that may wait for room."""
        return self.due_ms > 0 and not self.waited

    def asks(self, sent: list[tuple[int, str, tuple[str, ...], int]]) -> bool:
        """Whether it asks, after what was sent: if it competed, another's push has to have been sent then."""
        by = {campaign for at, campaign, _, _ in sent if at == self.asked_ms}
        return not self.asked_ms or (bool(by) and self.campaign not in by)

    @property
    def row(self) -> list[Any]:
        """As table ``policy`` has it."""
        rec, said = self.rec, self.said
        place = [rec.topic, rec.partition, rec.offset]
        event = [said.time, said.id, said.source, said.type, *place, self.mark or said.fingerprint]
        keys = [plain.item_key(item) for item in self.items]
        return [self.campaign, self.due_ms, *event, keys, "", self.waits, list(self.prices), self.waited, self.asked_ms]

    def only(self, wanted: Callable[[str, int], bool]) -> Timer:
        """Of news, with those items alone."""
        left = [pair for pair in zip(self.items, self.prices, strict=True) if wanted(*pair)]
        return replace(self, items=tuple(item for item, _ in left), prices=tuple(cents for _, cents in left))

    def bought(self, said: Said) -> Timer | None:
        """What a purchase leaves of it, if it is not older than what armed it."""
        if self.said.time > said.time:
            return self
        if self.campaign == BASKET:
            return None
        if self.campaign not in news.WAITING or not self.items:
            return self
        left = self.only(lambda item, _: item not in said.items)
        return left if left.items else None


@dataclass(slots=True)
class Timers:
    """A shopper's: in the order in which they are due. ``wake_ms``: the time of their row in table ``due``, 0: none."""

    armed: list[Timer] = field(default_factory=list)
    wake_ms: int = 0

    def hear(self, rec: Rec, said: Said, *, overtaken: bool) -> None:
        """An applied event: what it takes back, and, if no later order came first, what it arms."""
        if said.type == "purchase":
            self.keep([left for timer in self.armed if (left := timer.bought(said)) is not None])
        elif said.type == "cart" and not overtaken:
            before = next((timer for timer in self.armed if timer.campaign == BASKET), None)
            here = dict.fromkeys(said.items)
            if before is not None and before.said.time > said.time:
                older = [item for item in here if item not in before.items]
                self.arm(replace(before, items=(*older, *before.items)[-MOST_ITEMS:]))
            else:
                earlier = [item for item in (before.items if before is not None else ()) if item not in here]
                items = (*earlier, *here)[-MOST_ITEMS:]
                self.arm(Timer(BASKET, said.time + AFTER_MS, rec, said, items))

    def tell(self, told: News, now_ms: int) -> None:
        """News for the shopper: one timer for all of a campaign's."""
        campaign = news.WAITING[told.campaign]
        before = next((timer for timer in self.armed if timer.campaign == told.campaign), None)
        pairs = [*zip(before.items, before.prices, strict=True)] if before is not None else []
        pairs = [*(pair for pair in pairs if pair[0] != told.item), (told.item, told.cents)][-MOST_ITEMS:]
        identity = f"{told.item}@{told.offset}"
        self.arm(
            Timer(
                told.campaign,
                now_ms + campaign.after_ms,
                Rec(news.CATALOG, 0, told.offset, now_ms, told.item.encode(), None),
                Said(told.user, campaign.due, now_ms, identity, news.CATALOG, (told.item,)),
                tuple(item for item, _ in pairs),
                prices=tuple(cents for _, cents in pairs),
                mark=plain.item_key(f"{identity}\n{told.user}"),
            )
        )

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
