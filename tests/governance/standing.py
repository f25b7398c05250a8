"""What a shopper allows, and has, as of a place in the journal: written from the contract, sharing no code with the
engine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

WORDS: Final = ("consent", "channels", "quiet_hours", "time_zone")


@dataclass
class Standing:
    """One shopper. ``said``: by word, what holds, and as of when.

    ``sent``: pushes so far: (time, campaign, items, categories). ``bought``: items; ``dismissed``: by item, when the
    last push with it that was dismissed was sent; ``dismissals``: since the last click. ``wanted``: items looked at,
    wished for or put into the cart, and not bought since. ``erased_ms``: what is not newer is of one who is forgotten.
    ``waved``: candidates dismissed; ``failed_ms``: when pushes were decided that never reached the shopper.
    """

    said: dict[str, tuple[Any, int]] = field(default_factory=dict)
    unsubscribed_ms: int = 0
    erased_ms: int = 0
    sent: list[tuple[int, str, tuple[str, ...], frozenset[str]]] = field(default_factory=list)
    bought: set[str] = field(default_factory=set)
    wanted: set[str] = field(default_factory=set)
    dismissed: dict[str, int] = field(default_factory=dict)
    dismissals: int = 0
    waved: set[str] = field(default_factory=set)
    failed_ms: set[int] = field(default_factory=set)
    seen: set[tuple[str, str]] = field(default_factory=set)

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
        """A record without a value: no preference of until then holds any more, an opt-out does."""
        older = [word for word in WORDS if self.said.get(word, (None, 0))[1] <= time_ms]
        self.said |= dict.fromkeys(older, (None, time_ms))

    def word(self, word: str) -> Any:
        """What holds."""
        return self.said.get(word, (None, 0))[0]

    def erased(self, time_ms: int) -> Standing:
        """What is left of one who asked to be forgotten: a no, if there was one."""
        left = Standing(erased_ms=max(time_ms, self.erased_ms), seen=self.seen)
        if self.opted_out:
            left.said["consent"] = False, max(self.said.get("consent", (None, 0))[1], self.unsubscribed_ms)
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
