"""Predictions that wait for their outcome, and how a task comes to know it: without timers, bounded, and for any cut.

An outcome may be silence: nothing is bought, nobody returns. Whoever looks only when the shopper comes again never
learns of those who did not. So what waits is kept by *slot* (the shopper's hash, a row of table ``pending`` each), and
a slot is looked at in three cases: its shopper does something; another one of the same slot would begin to wait; or an
event anywhere in the task points at it by its fingerprint, as one in four does, at each slot sooner or later. Whoever
looks settles what the stream time has overtaken. *When* an outcome is found hangs on who looks; *what* it is does not:
it follows from the shopper's own events and the end of the waiting alone.

A slot holds one waiting prediction of each predictor; who finds it taken is not sampled, which says nothing of their
outcome. So rows are bounded by ``slots``, and all of this is a function of the events in the order they were folded.
"""

from __future__ import annotations

from functools import lru_cache
from struct import pack
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from streamer.core.events import key64
from streamer.core.predictions.predictor import UNKNOWN, Heard, Moment
from streamer.core.predictions.registry import BY_NAME, PREDICTORS
from streamer.core.sampling import BEGINS, RESERVOIR, draw, share

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streamer.core.events import Event
    from streamer.core.predictions.predictor import Predictor
    from streamer.core.profile import Profile
    from streamer.core.settings import CoreSettings


class Open(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A prediction without its outcome. Times are milliseconds.

    ``owner`` is ``key64`` of the shopper, ``fingerprint`` of the event of the moment, ``made_ms`` its time.
    ``features``: the list that ``x``, float16 [rows, F], little-endian, belongs to; ``keys`` are the rows'.
    ``last_ms``: the shopper's newest event of the moment's visit, from which on silence counts; ``wait_ms``: how long.
    ``moments``: the visit's moments so far; ``over``: the visit is. ``outcome``: ``None`` until one is heard.
    """

    predictor: str
    features: int
    owner: int
    fingerprint: int
    made_ms: int
    last_ms: int
    wait_ms: int
    keys: tuple[int, ...]
    x: bytes
    moments: int = 1
    over: bool = False
    outcome: int | None = None


class Slot(msgspec.Struct, array_like=True, frozen=True):
    """The row of table ``pending``: one waiting prediction a predictor at most."""

    opens: tuple[Open, ...] = ()


_EMPTY: Final = Slot()
_POINTS: Final = 4
"""One event in so many points at a slot, by what is left of its fingerprint, which is a hash already."""
AT_ANY_EVENT: Final = [(place, p) for place, p in enumerate(PREDICTORS) if not p.once_a_visit]
Settled = tuple[Open, int]
"""A prediction and its outcome: the place of the row that came true, or ``NONE_OF_THEM``."""


# A hash costs a microsecond, and shoppers come in bursts.
_owner = lru_cache(maxsize=1 << 14)(key64)


def keys_of(events: Iterable[tuple[str, int]], slots: int) -> list[str]:
    """The rows that folding (user, fingerprint) looks at: the shopper's own, and the one the event points at."""
    found: dict[int, None] = {}
    for user, fingerprint in events:
        found[_owner(user) % slots] = None
        if not fingerprint % _POINTS:
            found[fingerprint // _POINTS % slots] = None
    return [str(slot) for slot in found]


class Pending:
    """The slots of a task as a stretch of events is folded. ``rows`` by key; ``dirty`` ones are to be written."""

    def __init__(self, rows: Mapping[str, Slot | None], settings: CoreSettings) -> None:
        self.rows = dict(rows)
        self.dirty: dict[str, None] = {}
        self._settings = settings

    def see(self, event: Event, before: Profile | None, after: Profile, now_ms: int) -> list[Settled]:
        """Hear of an event that was folded; what is settled by it, or by the stream time ``now_ms`` (its own included).

        An event older than its shopper's newest tells of nothing.
        """
        if before is not None and event.time < before.last_ms:
            return []
        settled: list[Settled] = []
        slots, owner = self._settings.predictions.slots, _owner(event.user)
        own = owner % slots
        slot = self.rows.get(str(own)) or _EMPTY
        drawn = self._drawn(event, after)
        # Most events are of somebody of whom nothing waits, and of whom nothing is to begin.
        if drawn or (slot.opens and any(each.owner == owner for each in slot.opens)):
            opens = [self._heard(each, event, before, after) if each.owner == owner else each for each in slot.opens]
            opens = _left(opens, now_ms, settled)
            taken = [each.predictor for each in opens]
            begun = [self._taken(p, event, after, owner) for p in drawn if p.name not in taken]
            self._put(str(own), slot, opens + [each for each in begun if each is not None])
        if not event.fingerprint % _POINTS:
            pointed = str(event.fingerprint // _POINTS % slots)
            if other := self.rows.get(pointed):
                self._put(pointed, other, _left(other.opens, now_ms, settled))
        return settled

    def overtaken(self, now_ms: int) -> list[Settled]:
        """All that the stream time has overtaken and nobody has come by, for who sees a stream end."""
        settled: list[Settled] = []
        for key in sorted(self.rows):
            if slot := self.rows[key]:
                self._put(key, slot, _left(slot.opens, now_ms, settled))
        return settled

    def forget(self, user: str) -> None:
        """Drop what waits of a shopper."""
        owner = _owner(user)
        own = str(owner % self._settings.predictions.slots)
        if slot := self.rows.get(own):
            self._put(own, slot, [each for each in slot.opens if each.owner != owner])

    def _put(self, key: str, slot: Slot, opens: list[Open]) -> None:
        now = tuple(opens)
        if now != slot.opens:
            self.rows[key] = Slot(now) if now else None
            self.dirty[key] = None

    def _heard(self, waiting: Open, event: Event, before: Profile | None, after: Profile) -> Open:
        predictor = BY_NAME.get(waiting.predictor)
        if predictor is None:
            return waiting
        new_visit = before is None or after.sessions != before.sessions
        if waiting.outcome is None:
            in_time = event.time - waiting.last_ms <= waiting.wait_ms
            heard = predictor.hears(Heard(event, before, new_visit, in_time, waiting.keys))
            if heard is not None:
                waiting = replace(waiting, outcome=heard)
        if waiting.over:
            return waiting
        if new_visit:
            return replace(waiting, over=True)
        if not predictor.once_a_visit:
            return waiting
        # One moment of the visit, each with the same chance: reservoir sampling (Vitter, ACM TOMS 11, 1985).
        moments = waiting.moments + 1
        if share(event.fingerprint, RESERVOIR) * moments < 1.0:
            taken = self._taken(predictor, event, after, waiting.owner)
            if taken is not None:
                return replace(taken, moments=moments)
        return replace(waiting, moments=moments, last_ms=event.time)

    def _drawn(self, event: Event, after: Profile) -> list[Predictor]:
        """The predictors that this event is to be a moment of, if there is room."""
        rate, seed = self._settings.predictions.learn_rate, 1_000 * self._settings.seed
        asked = enumerate(PREDICTORS) if after.session_events == 1 else AT_ANY_EVENT
        return [p for place, p in asked if draw(event.fingerprint, BEGINS + place + seed) < rate * p.rate]

    def _taken(self, predictor: Predictor, event: Event, after: Profile, owner: int) -> Open | None:
        moment = Moment(after, event.time, self._settings.predictions, self._settings.profile)
        keys, rows = predictor.describe(moment)
        if not keys:
            return None
        flat = [value for row in rows for value in row]
        return Open(
            predictor.name,
            predictor.features_id,
            owner,
            event.fingerprint,
            event.time,
            event.time,
            predictor.waits(moment),
            keys,
            pack(f"<{len(flat)}e", *flat),
        )


def _left(opens: Iterable[Open], now_ms: int, settled: list[Settled]) -> list[Open]:
    """Those that go on waiting. What is known goes to ``settled``, what never will be is dropped."""
    left = []
    for each in opens:
        predictor = BY_NAME.get(each.predictor)
        if predictor is None:
            continue
        known = each.outcome is not None and not predictor.once_a_visit
        if not known and now_ms - each.last_ms <= each.wait_ms:
            left.append(each)
            continue
        outcome = predictor.silence if each.outcome is None else each.outcome
        if outcome != UNKNOWN:
            settled.append((each, outcome))
    return left
