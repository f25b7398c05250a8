"""Pushes that wait for their responses: the rows of table ``slates``, and how feedback and purchases join them.

A push that was sent, or held back to compare with, is kept as it was decided, an *impression*: its items, the features
of the moment, what was expected and how probable it was to be sent. What the shopper does within its windows is noted
on it, by event time. When the last window is over it becomes a ``Response``, whatever happened and however early: if
those who bought were told of at once and the others at the end, whoever learns would see too many yeses among the
young, or take for a no what is a yes tomorrow (Chapelle, "Modeling delayed feedback in display advertising", KDD
2014). The price is that what is learned is a window old.

Both groups are measured alike: a purchase is one that the shop's own events tell of, never one that a notification
service claims for a push, as nobody makes such claims for pushes that were not sent (Johnson, Lewis, Nubbemeyer,
"Ghost ads", Journal of Marketing Research 54, 2017). A purchase counts for the newest impression in whose window it
falls, pushed or held back: were it to count for all that are open, what a day's pushes change together would be told
of each of them.

Rows change in the order of events and decisions alone. A row never changes, others are made of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from streamer.core.uplift.response import Response

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from streamer.core.events import Event
    from streamer.core.uplift_settings import UpliftSettings

MAX_BYTES: Final = 4096
MAX_ITEMS: Final = 20
_MARK_BYTES: Final = 8
_MOST_CLOSED: Final = 32
_MOST_UNKEPT: Final = 16
_ROOM: Final = MAX_BYTES - 9 * _MOST_UNKEPT - 3
"""What is left for impressions when there are as many times of those that found no room."""

DELIVERED, OPENED, CLICKED, DISMISSED, CONVERTED, OPTED_OUT, BOUGHT, TAKEN, FAILED = (1 << n for n in range(9))
_SAYS: Final = {
    "push_delivered": DELIVERED,
    "push_opened": OPENED,
    "push_clicked": CLICKED,
    "push_dismissed": DISMISSED,
    "push_converted": CONVERTED,
    "push_failed": FAILED,
    "push_unsubscribed": OPTED_OUT,
}
JOINED, LATE, DUPLICATE, ORPHAN = "joined", "late", "duplicate", "orphan"
"""What may become of feedback: it told something new of an impression that waits; its window or its time was over;
it told what was known; or nothing of this id was sent to this shopper, or it is forgotten."""


class Impression(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A push as it was decided. Times are milliseconds.

    ``id`` is the candidate's, 16 bytes. ``items`` are keys, ``categories`` group keys of theirs. ``features`` names the
    list that ``x``, float16 [F], belongs to. ``pushed``: it was sent; otherwise it was held back, and ``chance`` was
    the probability to be sent. ``propensity`` is that of the first item. ``expected`` is the forecast. ``heard``: what
    came of it so far, in bits; ``BOUGHT`` is by the attribution, ``TAKEN`` of an item that was shown; ``FAILED``: it
    never reached the shopper.
    """

    id: bytes
    decided_ms: int
    campaign: str
    items: tuple[int, ...]
    categories: tuple[int, ...]
    features: int
    x: bytes
    pushed: bool
    chance: float
    propensity: float
    expected: tuple[float, float, float, float]
    model_version: int
    policy_version: str
    heard: int = 0


class Closed(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An impression whose time is over: the first bytes of its id, and until when it is remembered."""

    mark: bytes
    until_ms: int


class Slates(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """The row of a shopper: impressions that wait and those that do not any more, oldest first.

    ``wake_ms``: when the row is to be looked at, which table ``due`` knows too; 0 for never. ``unkept_ms``: when
    impressions were made that found no room, oldest first.
    """

    open: tuple[Impression, ...] = ()
    closed: tuple[Closed, ...] = ()
    wake_ms: int = 0
    unkept_ms: tuple[int, ...] = ()


_encode: Final = msgspec.msgpack.Encoder().encode
_NONE: Final = Slates()


def kept(slates: Slates | None, impression: Impression, settings: UpliftSettings) -> tuple[Slates, bool]:
    """With one impression more, and whether it is kept: if there is no room for it, its time alone is.

    What waits is never given up for what is new: who finds no room is not learned from, and takes to itself what is
    bought from then on, or that would be said to come of an older one.
    """
    before = slates or _NONE
    unkept_ms = (*before.unkept_ms, impression.decided_ms)[-_MOST_UNKEPT:] if before.open else ()
    without = replace(before, unkept_ms=unkept_ms)
    if len(before.open) >= settings.open_slates:
        return without, False
    if len(impression.items) > MAX_ITEMS:
        items, categories = impression.items[:MAX_ITEMS], impression.categories[:MAX_ITEMS]
        impression = replace(impression, items=items, categories=categories)
    after = replace(before, open=(*before.open, impression))
    return (_awake(after, settings), True) if len(_encode(after)) <= _ROOM else (without, False)


def heard(slates: Slates | None, event: Event, settings: UpliftSettings) -> tuple[Slates | None, str]:
    """With a feedback event joined to its impression, and what became of it."""
    before, mark = slates or _NONE, _mark(event.candidate_id)
    said = _SAYS[event.type]
    for impression in before.open:
        if impression.id.hex() == event.candidate_id:
            if not impression.pushed or event.time < impression.decided_ms - settings.grace_ms:
                return slates, ORPHAN  # nobody was sent it, or not yet
            if event.time > impression.decided_ms + _window_ms(said, settings):
                return slates, LATE
            if impression.heard & said or (said == OPTED_OUT and any(each.heard & said for each in before.open)):
                return slates, DUPLICATE  # nobody opts out twice
            return _noted(before, said, impression.__eq__), JOINED
    if any(closed.mark == mark for closed in before.closed):
        return slates, LATE
    return slates, ORPHAN


def bought(
    slates: Slates | None, time_ms: int, keys: Collection[int], categories: Collection[int], settings: UpliftSettings
) -> Slates | None:
    """With a purchase noted on the newest impression in whose window it falls and which it is attributed to; and on
    every one that showed what was bought, that it was taken.
    """
    if slates is None:
        return None

    def within(impression: Impression) -> bool:
        return impression.decided_ms < time_ms <= impression.decided_ms + settings.conversion_window_ms

    def shown(impression: Impression) -> bool:
        return within(impression) and any(key in keys for key in impression.items)

    def converts(impression: Impression) -> bool:
        if settings.attribution == "any":
            return within(impression)
        if shown(impression):
            return True
        alike = any(category in categories for category in impression.categories)
        return settings.attribution == "category" and alike and within(impression)

    newest = next((each for each in reversed(slates.open) if converts(each)), None)
    noted, window_ms = _noted(slates, TAKEN, shown), settings.conversion_window_ms
    if newest is None or any(newest.decided_ms < at < time_ms <= at + window_ms for at in slates.unkept_ms):
        return noted
    return _noted(noted, BOUGHT, lambda each: each.id == newest.id)


def opted_out(slates: Slates | None, time_ms: int, settings: UpliftSettings) -> Slates | None:
    """With a no to all pushes, said in the preferences, noted on the newest push in whose window it falls; unless
    feedback told of it already.
    """
    if slates is None or any(each.heard & OPTED_OUT for each in slates.open):
        return slates
    window_ms = settings.opt_out_window_ms
    pushed = [each for each in slates.open if each.pushed]
    within = [each for each in pushed if each.decided_ms < time_ms <= each.decided_ms + window_ms]
    return _noted(slates, OPTED_OUT, within[-1].__eq__) if within else slates


def closed(slates: Slates, now_ms: int, settings: UpliftSettings) -> tuple[Slates | None, list[Response]]:
    """What is left as of a stream time, and the responses of the impressions whose time is over."""
    over = [each for each in slates.open if each.decided_ms + settings.window_ms <= now_ms]
    waiting = tuple([each for each in slates.open if each.decided_ms + settings.window_ms > now_ms])
    marks = [Closed(each.id[:_MARK_BYTES], now_ms + settings.closed_ms) for each in over if each.pushed]
    known = tuple([each for each in (*slates.closed, *marks) if each.until_ms > now_ms])[-_MOST_CLOSED:]
    unkept_ms = tuple([at_ms for at_ms in slates.unkept_ms if at_ms + settings.window_ms > now_ms]) if waiting else ()
    left = _awake(Slates(waiting, known, unkept_ms=unkept_ms), settings) if waiting or known else None
    return left, [_response(each) for each in over]


def _response(impression: Impression) -> Response:
    said = impression.heard
    return Response(
        impression.features,
        impression.x,
        impression.decided_ms,
        impression.campaign,
        impression.pushed,
        impression.chance,
        impression.expected,
        bought=bool(said & BOUGHT),
        # Who clicks has opened, whether or not that was told.
        opened=bool(said & (OPENED | CLICKED)),
        clicked=bool(said & CLICKED),
        dismissed=bool(said & DISMISSED),
        opted_out=bool(said & OPTED_OUT),
        taken=bool(said & TAKEN),
        reached=not said & FAILED,
    )


def _awake(slates: Slates, settings: UpliftSettings) -> Slates:
    first_over_ms = slates.open[0].decided_ms + settings.window_ms if slates.open else 0
    wake_ms = first_over_ms or slates.closed[-1].until_ms
    return replace(slates, wake_ms=wake_ms)


def _noted(slates: Slates, said: int, of: Callable[[Impression], bool]) -> Slates:
    marked: Sequence[Impression] = [
        replace(each, heard=each.heard | said) if not each.heard & said and of(each) else each for each in slates.open
    ]
    now = tuple(marked)
    return slates if now == slates.open else replace(slates, open=now)


def _window_ms(said: int, settings: UpliftSettings) -> int:
    if said == OPTED_OUT:
        return settings.opt_out_window_ms
    if said == CONVERTED:
        return settings.conversion_window_ms
    return settings.click_window_ms if said == CLICKED else settings.open_window_ms


def _mark(candidate_id: str) -> bytes:
    try:
        return bytes.fromhex(candidate_id)[:_MARK_BYTES]
    except ValueError:
        return b""
