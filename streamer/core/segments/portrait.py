"""What a shopper is to the clustering: a few whole numbers of context and profile, and their record on ``examples``.

Of somebody who was never seen there is the context alone, the hour and the day, so that newcomers have a segment too.
Numbers are in units of 1/1024, so that distances between them are whole and the same on every machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from streamer.core.events import EVENT_TYPES
from streamer.core.examples import decoded, encode
from streamer.core.models.model import features_id
from streamer.core.packed import AFFINITY
from streamer.core.profile import CART, PURCHASE, SEARCH, VIEW, log2_cents
from streamer.core.sampling import PORTRAITS, share

if TYPE_CHECKING:
    from streamer.core.events import Event
    from streamer.core.profile import Profile
    from streamer.core.segment_settings import SegmentSettings

ONE: Final = 1024
NAMES: Final = (
    *("hour_midnight", "hour_six", "weekend", "price", "views", "searches", "carts", "purchases"),
    *("events", "returns", "visit_events", "category_1", "category_2", "category_3", "category_4"),
)
"""How near the hour (UTC) is to midnight and to six in the morning; whether it is Saturday or Sunday; the usual price;
shares of events; how many there were; how soon the shopper usually returns; events of the newest visit; and in which of
sixteen corners the category of most interest lies, by a hash of its name.
"""
FEATURES_ID: Final = features_id(("segments", *NAMES))
Numbers = tuple[int, ...]

_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_HALF: Final = ONE // 2
_SMOOTH: Final = 2
_USUAL_PRICE: Final = 12.0
"""log2 of cents: about 40 in the currency of the prices."""
_PRICE_OCTAVES: Final = 4.0
_BITS: Final = 4
_MOST: Final = 2 * ONE


def numbers(profile: Profile | None, now_ms: int) -> Numbers:
    """The numbers of a shopper at a time, in the order of ``NAMES``."""
    weekend = _HALF if now_ms // _DAY_MS % 7 in {2, 3} else 0  # the epoch began on a Thursday
    context = (_near(now_ms), _near(now_ms - 6 * _HOUR_MS), weekend)
    if profile is None:
        return context + _NOBODY
    counts = profile.counts
    events = sum(counts)
    price = 0
    if profile.price_weight:
        octaves = max(min((profile.price_mean - _USUAL_PRICE) / _PRICE_OCTAVES, 1.0), -1.0)
        price = int(octaves * ONE)
    returns = 0
    if profile.sessions > 1:
        gap_ms = max(profile.session_start_ms - profile.first_ms, 0) // (profile.sessions - 1)
        returns = ONE * _DAY_MS // (_DAY_MS + gap_ms)
    return (
        *context,
        price,
        *[counts[kind] * ONE // (events + _SMOOTH) for kind in (VIEW, SEARCH, CART, PURCHASE)],
        min(int(log2_cents(events + 1) * ONE) >> 3, ONE),
        returns,
        min(int(log2_cents(profile.session_events + 1) * ONE) >> 3, ONE),
        *_corner(profile),
    )


_NOBODY: Final = (0,) * (len(NAMES) - 3)


def _near(time_ms: int) -> int:
    """1/2 at midnight, -1/2 at noon, and evenly between."""
    return abs(time_ms % _DAY_MS * 2 // _HOUR_MS - 24) * _HALF // 12 - _HALF


def _corner(profile: Profile) -> Numbers:
    """Plus or minus 1/2 in each direction, 0 without a category."""
    interests = AFFINITY.rows(profile.categories)
    if not interests:
        return (0,) * _BITS
    key = min((-interest.weight, interest.key) for interest in interests)[1]
    return tuple([_HALF if key >> bit & 1 else -_HALF for bit in range(_BITS)])


class Portrait(msgspec.Struct, array_like=True, frozen=True, gc=False, tag="portrait/1"):
    """Numbers of a shopper, int16, little-endian; ``features`` names the list they are of. Nothing says who it was."""

    features: int
    x: bytes

    def numbers(self) -> Numbers:
        """As numbers."""
        return tuple(np.frombuffer(self.x, "<i2").tolist())

    def sound(self) -> bool:
        """Whether there are as many numbers as the list says, none beyond its bounds."""
        if len(self.x) % 2 or (self.features == FEATURES_ID and len(self.x) != 2 * len(NAMES)):
            return False
        return bool(np.abs(np.frombuffer(self.x, "<i2").astype(np.int64)).max(initial=0) <= _MOST)

    def encode(self) -> bytes:
        """Its bytes on topic ``examples``."""
        return encode(self)

    @staticmethod
    def decode(value: bytes) -> Portrait | None:
        """The portrait, or ``None`` if the bytes are none."""
        found = decoded(_decode, value)
        return found if found is not None and found.sound() else None


_decode: Final = msgspec.msgpack.Decoder(Portrait).decode


def portrait_of(event: Event, before: Profile | None, settings: SegmentSettings) -> Portrait | None:
    """What the clustering is shown of an event of a shopper whose profile was ``before``; ``None`` if nothing is."""
    if not settings.on or not event.lines or EVENT_TYPES[event.type].weight <= 0:
        return None
    if (before is not None and event.time < before.last_ms) or share(
        event.fingerprint, PORTRAITS
    ) >= settings.learn_rate:
        return None
    return Portrait(FEATURES_ID, np.array(numbers(before, event.time), "<i2").tobytes())
