"""Pushes that wait for their responses, in the plainest way: what is heard of each within its windows, and what is told
of it when the last is over.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from tests.faults import plain
from tests.faults.load import MINUTE_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.plain import Said

#: Short, so that responses come within a round.
WINDOWS_MS: Final = {
    "open": 20 * MINUTE_MS,
    "click": 30 * MINUTE_MS,
    "conversion": 40 * MINUTE_MS,
    "opt_out": 45 * MINUTE_MS,
}
GRACE_MS: Final = MINUTE_MS
WAIT_MS: Final = max(WINDOWS_MS.values()) + GRACE_MS
CLOSED_MS: Final = 60 * MINUTE_MS
MOST_OPEN: Final = 8
MOST_CLOSED: Final = 32
MOST_UNKEPT: Final = 16

#: What may be heard, by its bit in a row.
HEARD: Final = ("delivered", "opened", "clicked", "dismissed", "converted", "unsubscribed", "bought", "taken", "failed")
#: Which window each kind of feedback has; the others have that of ``open``.
OWN_WINDOW: Final = {"clicked": "click", "converted": "conversion", "unsubscribed": "opt_out"}


def settings() -> dict[str, int]:
    """What the engine is to be told of this."""
    windows = {f"core.uplift.{name}_window_ms": ms for name, ms in WINDOWS_MS.items()}
    return windows | {"core.uplift.grace_ms": GRACE_MS, "core.uplift.closed_ms": CLOSED_MS}


@dataclass(slots=True)
class Impression:
    """A push that was sent; ``decision`` is the record that says so."""

    id: str
    decided_ms: int
    campaign: str
    items: tuple[str, ...]
    decision: dict[str, Any]
    heard: set[str] = field(default_factory=set)

    @property
    def row(self) -> list[Any]:
        """As table ``slates`` has it, without what only the engine can know."""
        said, keys = self.decision, [plain.item_key(item) for item in self.items]
        bits = sum(1 << place for place, word in enumerate(HEARD) if word in self.heard)
        versions = said.get("m"), said.get("v")
        return [self.id, self.decided_ms, self.campaign, keys, True, 1.0, said.get("p", 1.0), *versions, bits]

    def within(self, time_ms: int, window: str) -> bool:
        """Whether something happened after it and within a window."""
        return self.decided_ms < time_ms <= self.decided_ms + WINDOWS_MS[window]

    @property
    def response(self) -> tuple[Any, ...]:
        """What topic ``examples`` is to be told when its time is over."""
        heard = self.heard
        opened = not heard.isdisjoint({"opened", "clicked"})
        said = ("bought" in heard, opened, "clicked" in heard, "dismissed" in heard)
        return (
            self.decided_ms,
            self.campaign,
            True,
            *said,
            "unsubscribed" in heard,
            "taken" in heard,
            "failed" not in heard,
        )


@dataclass(slots=True)
class Slates:
    """A shopper's: those that wait, and by the beginning of their ids those that do not, until when."""

    open: list[Impression] = field(default_factory=list)
    closed: list[tuple[bytes, int]] = field(default_factory=list)
    unkept: list[int] = field(default_factory=list)

    @property
    def wake_ms(self) -> int:
        """When to look at them next; 0: never."""
        if self.open:
            return self.open[0].decided_ms + WAIT_MS
        return self.closed[-1][1] if self.closed else 0

    @property
    def row(self) -> list[Any]:
        """As ``Impression.row``."""
        return [[each.row for each in self.open], [list(each) for each in self.closed], self.wake_ms, self.unkept]


@dataclass(slots=True)
class Responses:
    """All slates of a task, and what was told of those that are over."""

    of: dict[str, Slates] = field(default_factory=dict)
    told: list[tuple[Any, ...]] = field(default_factory=list)

    def keep(self, user: str, impression: Impression) -> None:
        """A push was sent."""
        slates = self.of.setdefault(user, Slates())
        if len(slates.open) < MOST_OPEN:
            slates.open.append(impression)
        else:
            slates.unkept = [*slates.unkept, impression.decided_ms][-MOST_UNKEPT:]

    def hear(self, said: Said) -> None:
        """An applied event."""
        slates = self.of.get(said.user, Slates())
        waiting = slates.open
        if said.type == "purchase":
            within = [each for each in waiting if each.within(said.time, "conversion")]
            for each in within:
                each.heard |= {"taken"} if set(each.items) & set(said.items) else set()
            for newest in within[-1:]:
                if not any(newest.decided_ms < at < said.time <= at + WINDOWS_MS["conversion"] for at in slates.unkept):
                    newest.heard.add("bought")
        elif said.type in plain.FEEDBACK:
            word = said.type.removeprefix("push_")
            window_ms = WINDOWS_MS[OWN_WINDOW.get(word, "open")]
            gone = word == "unsubscribed" and any(word in each.heard for each in waiting)
            for each in waiting:
                if not gone and each.id == said.candidate and -GRACE_MS <= said.time - each.decided_ms <= window_ms:
                    each.heard.add(word)
        elif (said.preferences or {}).get("consent") is False and not any("unsubscribed" in e.heard for e in waiting):
            within = [each for each in waiting if each.within(said.time, "opt_out")]
            for newest in within[-1:]:
                newest.heard.add("unsubscribed")

    def forget(self, user: str) -> None:
        """They asked to be forgotten: nothing is told of their pushes."""
        self.of.pop(user, None)

    def reached(self, user: str, now_ms: int) -> None:
        """A tick at which a shopper's slates are looked at."""
        slates = self.of[user]
        over = [each for each in slates.open if each.decided_ms + WAIT_MS <= now_ms]
        slates.open = [each for each in slates.open if each.decided_ms + WAIT_MS > now_ms]
        marks = [*slates.closed, *((bytes.fromhex(each.id)[:8], now_ms + CLOSED_MS) for each in over)]
        slates.closed = [(mark, until) for mark, until in marks if until > now_ms][-MOST_CLOSED:]
        left = [at for at in slates.unkept if at + WAIT_MS > now_ms]
        slates.unkept = left if slates.open else []
        self.told += [each.response for each in over]
        if not slates.wake_ms:
            del self.of[user]

    def due(self) -> Iterator[str]:
        """The keys of table ``due``."""
        return (f"{slates.wake_ms:015d}~{user}" for user, slates in self.of.items())
