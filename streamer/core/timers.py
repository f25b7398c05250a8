"""When a shopper is next to be looked at: keys of table ``due``.

A shopper has one live row at most, at ``PolicyState.wake_ms``; the timers themselves are in ``PolicyState.armed``. A
row is written only when a timer is due earlier than any before it; one that turns out to be too early when it is
reached is replaced by one at the time that is due now. So a timer that is moved with every event, as a cart's, writes
no rows.

Pushes that wait for their responses have a row of their own, at ``Slates.wake_ms``. Its key is another one even where
time and shopper are the same: who takes one away must not take the other.
"""

from __future__ import annotations

from typing import Final

_DIGITS: Final = 15
_TIMERS: Final = "/"
_SLATES: Final = "~"


def due_key(due_ms: int, user: str) -> str:
    """The key of a shopper's row: in the order of time, then of user. No other of that time is less than one of ""."""
    return f"{due_ms:0{_DIGITS}d}{_TIMERS}{user}"


def slates_key(due_ms: int, user: str) -> str:
    """The key of the row for pushes that wait for their responses."""
    return f"{due_ms:0{_DIGITS}d}{_SLATES}{user}"


def is_of_slates(key: str) -> bool:
    """Whether a key is ``slates_key``'s."""
    return key[_DIGITS] == _SLATES


def read_due_key(key: str) -> tuple[int, str]:
    """The time and the user of a key of either kind. Raises ValueError for what is none."""
    digits = key[:_DIGITS]
    if key[_DIGITS : _DIGITS + 1] not in (_TIMERS, _SLATES) or not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{key!r} is no key of what is due")
    return int(digits), key[_DIGITS + 1 :]
