"""What topic ``sessions`` carries: of each shopper's newest few sessions, the items touched, in order.

A session is read off the profile, so nothing of its own is kept for it: the recent items touched since the session
began. The row is written again as the session grows; the last one holds all of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import numpy as np

from streamer.core.events import key64
from streamer.core.packed import MAX32, RECENT
from streamer.core.retrieval_settings import LONGEST_SESSION
from streamer.core.rows import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streamer.core.profile import Profile
    from streamer.core.retrieval_settings import SessionSettings

SESSION_ROW_VERSION: Final = 1
_LEAST: Final = 2
"""A session of one item says nothing of what goes with what."""

Seconds = Annotated[int, msgspec.Meta(ge=0, le=MAX32)]


class SessionRow(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A session, oldest item first. ``last_s``: of the newest event. ``keys``: of the items, little-endian uint64.

    ``steps``: one byte an item, the number of moments before its own at which other items were touched last. Items of
    one moment, such as an order's lines, have one step: there is no order among them. 255 stands for what is more.
    """

    version: int
    last_s: Seconds
    keys: bytes
    steps: bytes


_ENCODE: Final = msgspec.msgpack.Encoder().encode
_DECODE: Final = msgspec.msgpack.Decoder(SessionRow).decode


def session_row(profile: Profile, settings: SessionSettings) -> bytes | None:
    """The row of a profile's newest session; ``None`` if it has fewer than two items."""
    rows = np.frombuffer(profile.items, RECENT.dtype)[-settings.items :]
    times = rows["last_s"]
    since = profile.session_start_ms // 1000
    if len(rows) < _LEAST or times[-_LEAST] < since:
        return None
    keys = rows["key"]
    if times[0] < since:
        kept = times >= since
        keys, times = keys[kept], times[kept]
    steps = np.zeros(len(times), np.int64)
    np.cumsum(times[1:] != times[:-1], out=steps[1:])
    return _ENCODE(
        SessionRow(
            SESSION_ROW_VERSION,
            int(times[-1]),
            keys.astype("<u8").tobytes(),
            np.minimum(steps, 255).astype(np.uint8).tobytes(),
        )
    )


def session_key(user: str, sessions: int, settings: SessionSettings) -> str:
    """The key of the row of a shopper's session, the ``sessions``-th: the newest few take turns."""
    return f"{sessions % settings.per_user}/{user}"


def session_keys(user: str, settings: SessionSettings) -> Iterator[str]:
    """All keys that rows of a shopper may have."""
    return (f"{turn}/{user}" for turn in range(settings.per_user))


def decode(row: bytes) -> SessionRow:
    """The session in a row's bytes.

    Raises ``msgspec.DecodeError`` if they are no row, ``ValueError`` if they are of an unknown version or do not fit
    together.
    """
    session = read(_DECODE, row, SESSION_ROW_VERSION, "a session row")
    if not 0 < len(session.steps) <= LONGEST_SESSION or len(session.keys) != 8 * len(session.steps):
        raise ValueError("keys and steps of a session do not match")
    return session


def owner_of(key: str) -> int:
    """64 bits that name the shopper whose row has this key."""
    return owner_key(key.partition("/")[2])


def owner_key(user: str) -> int:
    """64 bits that name a shopper among sessions; never 0, which is nobody."""
    return key64(user) or 1
