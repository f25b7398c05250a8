"""The slates of a task as a stretch of events is decided: what was told joins, what is sent is added, in that order.

Events are folded first and decided after, but a purchase that follows a push must find it. So what is told is noted
down as events are folded (``Told``), and heard here in its place between the decisions.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from streamer.core.profile import category_told
from streamer.core.timers import slates_key
from streamer.core.uplift import slates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streamer.core.effects import Effects
    from streamer.core.events import Event
    from streamer.core.profile import Profile
    from streamer.core.uplift.response import Response
    from streamer.core.uplift.slates import Impression, Slates
    from streamer.core.uplift_settings import UpliftSettings
    from streamer.core.views import Rows

KEPT, UNKEPT, SETTLED = "kept", "unkept", "settled"
"""Impressions: that wait, that found no room to, and whose time was over."""
COUNTED: Final = (KEPT, UNKEPT, SETTLED, slates.JOINED, slates.LATE, slates.DUPLICATE, slates.ORPHAN)
"""All that ``Effects.slates_counts`` counts."""


class Told(msgspec.Struct, frozen=True, gc=False):
    """Something that a shopper's slates are to hear.

    ``what``: feedback on one of them, a purchase, a no to all pushes, the wish to be forgotten, or that a row of table
    ``due`` was reached: ``time_ms`` is the stream time then, and the event's otherwise. ``keys`` and
    ``categories`` are of the items bought.
    """

    what: Literal["feedback", "bought", "opted_out", "erased", "reached"]
    user: str
    time_ms: int
    event: Event | None = None
    keys: tuple[int, ...] = ()
    categories: tuple[int, ...] = ()


def purchase(event: Event, before: Profile | None, settings: UpliftSettings) -> Told:
    """What a purchase tells. Orders seldom name categories: then it is the one that the shopper's profile knows."""
    keys = tuple([line.key for line in event.lines])
    categories: dict[int, None] = {}
    if settings.attribution == "category":
        for line in event.lines:
            if category := category_told(line, before):
                categories[category] = None
    return Told("bought", event.user, event.time, keys=keys, categories=tuple(categories))


class Joining:
    """``rows``: by user, those looked at; ``dirty`` ones are to be written, and ``due`` too."""

    def __init__(self, told: Sequence[Told], table: Rows[Slates], settings: UpliftSettings) -> None:
        self.due: dict[str, bytes | None] = {}
        self.dirty: dict[str, None] = {}
        self.responses: list[Response] = []
        self.counts: Counter[str] = Counter()
        self._told, self._table, self._settings = told, table, settings
        self._heard = 0
        users = list(dict.fromkeys(each.user for each in told))
        self.rows: dict[str, Slates | None] = dict(zip(users, table.get_many(users), strict=True)) if users else {}

    def hear(self, until: int) -> None:
        """All that was told before place ``until`` and was not heard yet."""
        for told in self._told[self._heard : until]:
            self._hear(told)
        self._heard = max(self._heard, until)

    def keep(self, user: str, impression: Impression) -> None:
        """Have a push wait for its responses, if there is room for it."""
        if user not in self.rows:
            self.rows[user] = self._table.get_many([user])[0]
        before = self.rows[user]
        found, has_room = slates.kept(before, impression, self._settings)
        self.counts[KEPT if has_room else UNKEPT] += 1
        if has_room or before is not None:
            self._put(user, found)

    def store(self, effects: Effects) -> None:
        """Hand over the rows to write, the responses and the counts."""
        effects.slates |= {user: self.rows[user] for user in self.dirty}
        effects.due |= self.due
        effects.responses += self.responses
        effects.slates_counts.update(self.counts)

    def _hear(self, told: Told) -> None:
        user, settings, row = told.user, self._settings, self.rows[told.user]
        match told.what:
            case "feedback":
                assert told.event is not None
                row, became = slates.heard(row, told.event, settings)
                self.counts[became] += 1
            case "bought":
                row = slates.bought(row, told.time_ms, told.keys, told.categories, settings)
            case "opted_out":
                row = slates.opted_out(row, told.time_ms, settings)
            case "erased":
                row = None
            case "reached":
                if row is None or row.wake_ms > told.time_ms:
                    return
                row, over = slates.closed(row, told.time_ms, settings)
                self.responses += over
                self.counts[SETTLED] += len(over)
        self._put(user, row)

    def _put(self, user: str, row: Slates | None) -> None:
        before = self.rows[user]
        if row is before:
            return
        self.rows[user] = row
        self.dirty[user] = None
        was_ms, wake_ms = before.wake_ms if before is not None else 0, row.wake_ms if row is not None else 0
        if wake_ms == was_ms:
            return
        if was_ms:
            self.due[slates_key(was_ms, user)] = None  # it names the shopper
        if wake_ms:
            self.due[slates_key(wake_ms, user)] = b""
