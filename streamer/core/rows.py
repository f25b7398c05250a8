"""Reading rows that carry a version: what is common to all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable


class Versioned(Protocol):
    """A row that says which version it is of."""

    @property
    def version(self) -> int:
        """The first of its fields."""
        ...


R = TypeVar("R", bound=Versioned)


def read(decode: Callable[[bytes], R], row: bytes, version: int, what: str) -> R:
    """What ``decode`` makes of a row, if it is of the version that this program knows. ``what`` names it in messages.

    Raises ``ValueError``; ``msgspec.DecodeError``, which ``decode`` raises if the bytes are no such row, is one.
    """
    try:
        read = decode(row)
    except RecursionError:
        raise ValueError(f"{what} nested too deeply") from None
    if read.version != version:
        raise ValueError(f"{what} of version {read.version}, this program reads {version}")
    return read
