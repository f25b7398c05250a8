"""What all records of topic ``examples`` share: msgpack, and a tag by which each tells itself from the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

encode: Final = msgspec.msgpack.Encoder().encode


def decoded(decode: Callable[[bytes], T], value: bytes) -> T | None:
    """What ``decode`` makes of the bytes, or ``None`` if they are of another kind or none at all."""
    try:
        return decode(value)
    except (ValueError, RecursionError):  # msgspec's decode errors are among them, and text that is none
        return None
