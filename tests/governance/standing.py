"""What a shopper allows, has, and has done, as of a place in the journal: written from the contract, sharing no code
with the engine.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tests.governance.events import category_of

if TYPE_CHECKING:
    from tests.governance.events import Event
    from tests.governance.push import Push
    from tests.governance.rules import Rules

WORDS: Final = ("consent", "channels", "quiet_hours", "time_zone")
_INTEREST: Final = frozenset({"view", "click", "wishlist", "cart"})
_CHOICE: Final = frozenset({"cart", "wishlist", "checkout"})
_ANSWERS: Final = 64
_REMEMBERED: Final = 256
_REMEMBERED_S: Final = 7 * 86_400
_FEW_ITEMS: Final = 32
"""The engine forgets what was done with items beyond so many."""
_DAY_MS: Final = 86_400_000


@dataclass
class Standing:
    """One shopper. ``said``: by word, what holds, and as of when.

    ``sent``: pushes so far, those held back too. ``bought``: by item, when last; ``dismissed``: by item, when the last
    push with it that was dismissed was sent; ``dismissals``: since the last click. ``wanted``: by item looked at,
    wished for or put into the cart, and not bought since, when last. ``erased_ms``: what is not newer is of one who is
    forgotten. ``waved``: candidates dismissed; ``failed``: those that never reached the shopper; ``engaged_ms``: when
    a push was last opened, clicked or acted upon, and ``answered``: of the newest, which was how. ``chosen``: by item,
    when it was last put into the cart, or on the wish list.

    ``first_ms``, ``newest_ms``: of what the shopper did, 0 for nothing; ``counts``: of it, by kind; ``visits``: of it,
    those that began. ``recent``: items by what was done with them, newest last, and of each the kinds. ``liked``:
    categories that something was told of. ``seen``: the newest events, to know one by that comes again.
    """

    said: dict[str, tuple[Any, int]] = field(default_factory=dict)
    unsubscribed_ms: int = 0
    erased_ms: int = 0
    sent: list[Push] = field(default_factory=list)
    bought: dict[str, int] = field(default_factory=dict)
    wanted: dict[str, int] = field(default_factory=dict)
    dismissed: dict[str, int] = field(default_factory=dict)
    dismissals: int = 0
    waved: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    engaged_ms: int = 0
    answered: deque[tuple[str, str]] = field(default_factory=lambda: deque(maxlen=_ANSWERS))
    chosen: dict[str, int] = field(default_factory=dict)
    first_ms: int = 0
    newest_ms: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    visits: int = 0
    recent: dict[str, set[str]] = field(default_factory=dict)
    liked: set[str] = field(default_factory=set)
    seen: deque[tuple[tuple[str, ...], int]] = field(default_factory=deque)

    # -- what is folded -------------------------------------------------------------------------------------------

    def folds(self, event: Event, rules: Rules) -> bool:
        """Whether an event counts, and if so, what it changes; but for the wish to be forgotten.

        One that came before does not, nor one that is much older than the newest or not newer than the wish to be
        forgotten. A no, and that something was bought, are never too old to be heard.
        """
        if event.ms <= self.erased_ms:
            if not event.says_no or self._came_before(event):
                return False
            if event.type == "push_unsubscribed":
                self.unsubscribes(event.ms)
            else:
                self.hears("consent", False, event.ms)
            return True
        late = event.ms < self.newest_ms - rules.lateness_ms and not event.never_late
        if late and event.type != "purchase":
            return False
        if self._came_before(event):
            return False
        if late:
            self._buys(event)
            return False
        if event.done:
            self._does(event, rules)
        else:
            self._answers(event)
        return True

    def _came_before(self, event: Event) -> bool:
        """Among the last 256 of seven days."""
        time_s = event.ms // 1000
        if any(again == event.again for again, _ in self.seen):
            return True
        if len(self.seen) >= _REMEMBERED:
            self.seen.popleft()
        while self.seen and self.seen[0][1] < time_s - _REMEMBERED_S:
            self.seen.popleft()
        self.seen.append((event.again, time_s))
        return False

    def _does(self, event: Event, rules: Rules) -> None:
        in_order = event.ms >= self.newest_ms
        self.counts[event.kind] += 1
        if in_order:
            self.visits += not self.newest_ms or event.ms - self.newest_ms > rules.session_gap_ms
            self.newest_ms = event.ms
            for item in event.items:
                self.recent[item] = self.recent.pop(item, set()) | {event.kind}
        self.first_ms = min(self.first_ms or event.ms, event.ms)
        self.liked |= {category for line in event.lines if (category := category_of(line))}
        if event.type in _CHOICE:
            self.chosen |= {item: max(event.ms, self.chosen.get(item, 0)) for item in event.items}
        if event.type in _INTEREST:
            self.wanted |= {item: max(event.ms, self.wanted.get(item, 0)) for item in event.items}
        elif event.type == "purchase":
            self._buys(event)
            for item in event.items:
                self.wanted.pop(item, None)
        elif event.type == "refund":
            for item in event.items:
                self.bought.pop(item, None)

    def _buys(self, event: Event) -> None:
        self.bought |= {item: max(event.ms, self.bought.get(item, 0)) for item in event.items}

    def _answers(self, event: Event) -> None:
        match event.type:
            case "push_dismissed":
                about = event.data["candidate_id"]
                self.dismissals += about not in self.waved
                self.waved.add(about)
                # Of a push to who was forgotten since, nobody knows any more what it showed.
                for push in self.sent:
                    if push.id == about:
                        self.dismissed |= {item: max(push.at_ms, self.dismissed.get(item, 0)) for item in push.items}
            case "push_failed":
                self.failed.add(event.data["candidate_id"])
            case "push_opened" | "push_clicked" | "push_converted":
                self._engages(event)
            case "push_unsubscribed":
                self.unsubscribes(event.ms)
            case "preferences":
                for word in WORDS:
                    self.hears(word, event.data["preferences"].get(word), event.ms)
            case _:
                pass

    def _engages(self, event: Event) -> None:
        """Once for a push, however often it is told. Of an id that cannot be a candidate's nobody keeps count."""
        about = event.data["candidate_id"]
        if (event.type, about) in self.answered:
            return
        if re.match("[0-9a-f]{8}", about):
            self.answered.append((event.type, about))
        self.engaged_ms = max(self.engaged_ms, event.ms)
        if event.type != "push_opened":
            self.dismissals = 0

    # -- what is allowed ------------------------------------------------------------------------------------------

    def hears(self, word: str, value: Any, time_ms: int) -> None:
        """A preference; an older word does not unsay a newer one, but that a no holds from where it is read on.

        Clocks may be wrong, and a push cannot be taken back: a yes counts if it is newer than the no, and the no is as
        new as the yes that it took back.
        """
        held, since_ms = self.said.get(word, (None, 0))
        if word == "consent" and value is False:
            self.said[word] = False, max(time_ms, since_ms)
        elif value is not None and (time_ms > since_ms or (time_ms == since_ms and held is not False)):
            self.said[word] = value, time_ms

    def unsubscribes(self, time_ms: int) -> None:
        """Taken back by a yes that is not older; of one that was said before it is the newer, whatever their times."""
        consent, since_ms = self.said.get("consent", (None, 0))
        beyond_ms = since_ms + 1 if consent and since_ms >= time_ms else 0
        self.unsubscribed_ms = max(self.unsubscribed_ms, time_ms, beyond_ms)

    def unsays(self, time_ms: int) -> None:
        """A record without a value: no preference of until then holds any more, but for a no. Who has no account any
        more does not ask for pushes.
        """
        older = [word for word in WORDS if self.said.get(word, (None, 0))[1] <= time_ms and not self._says_no(word)]
        self.said |= dict.fromkeys(older, (None, time_ms))

    def _says_no(self, word: str) -> bool:
        """No consent, or no channel."""
        held = self.word(word)
        return held is False or (word == "channels" and held == [])

    def word(self, word: str) -> Any:
        """What holds."""
        return self.said.get(word, (None, 0))[0]

    def erased(self, time_ms: int) -> Standing:
        """What is left of one who asked to be forgotten: a no, if there was one."""
        left = Standing(erased_ms=max(time_ms, self.erased_ms))
        if self.opted_out:
            left.said["consent"] = False, max(self.said.get("consent", (None, 0))[1], self.unsubscribed_ms)
        if self._says_no("channels"):
            left.said["channels"] = self.said["channels"]
        return left

    @property
    def opted_out(self) -> bool:
        """A no, or an opt-out that no later yes took back."""
        consent, since_ms = self.said.get("consent", (None, 0))
        if consent is False:
            return True
        return self.unsubscribed_ms > 0 and not (consent and since_ms >= self.unsubscribed_ms)

    def quiet(self, time_ms: int, usual: tuple[str, ...] = (), at_home: str = "UTC") -> bool:
        """Whether the shopper wants quiet then, by their own clock; by one that nobody can tell, always. ``usual``: the
        hours of who said nothing of them; ``at_home``: the zone of who named none.
        """
        hours = self.word("quiet_hours") or usual
        if not hours or hours[0] == hours[1]:
            return False
        zone = _zone(self.word("time_zone") or at_home)
        if zone is None:
            return True
        local = datetime.fromtimestamp(time_ms / 1000, UTC).astimezone(zone)
        minute = local.hour * 60 + local.minute
        start, end = (int(text[:2]) * 60 + int(text[3:]) for text in hours)
        return start <= minute < end if start < end else minute >= start or minute < end

    # -- what kind of shopper -------------------------------------------------------------------------------------

    def tags(self, now_ms: int) -> dict[str, bool]:
        """Whether each tag is the shopper's; without those that hang on prices and brands, or on what is forgotten."""
        last = list(self.recent.values())[-5:]
        abandoned = any("cart" in kinds and "purchase" not in kinds for kinds in last)
        of_items = {"cart-abandoner": abandoned} if len(self.recent) <= _FEW_ITEMS else {}
        views, searches, carts, purchases = (self.counts[kind] for kind in ("view", "search", "cart", "purchase"))
        return of_items | {
            "new": self.counts.total() <= 5,
            "returning": self.visits > 1 and now_ms - self.first_ms > _DAY_MS,
            "lapsed": now_ms - self.newest_ms > 30 * _DAY_MS,
            "buyer": purchases > 0,
            "window-shopper": not purchases and not carts and views >= 20,
            "searcher": searches >= 3 and searches * 3 >= views,
        }


def _zone(name: str | None) -> tzinfo | None:
    """A zone by its IANA name or as an offset; UTC where none was given."""
    if not name or name in {"UTC", "GMT", "Z"}:
        return UTC
    bare = name.removeprefix("UTC").removeprefix("GMT")
    if bare[:1] in {"+", "-"}:
        digits = bare[1:].replace(":", "")
        hours, minutes = (int(digits[:-2]), int(digits[-2:])) if len(digits) > 2 else (int(digits), 0)
        offset = timedelta(hours=hours, minutes=minutes)
        return timezone(-offset if bare[0] == "-" else offset)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return None
