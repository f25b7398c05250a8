"""When a shopper is next to be looked at: keys of table ``due``.

A shopper has one live row at most, at ``PolicyState.wake_ms``; the timers themselves are in ``PolicyState.armed``. A
row is written only when a timer is due earlier than any before it; one that turns out to be too early when it is
reached is replaced by one at the time that is due now. So a timer that is moved with every event, as a cart's, writes
no rows.
"""

from __future__ import annotations

from typing import Final

_DIGITS: Final = 15


def due_key(due_ms: int, user: str) -> str:
    """The key of a row: in the order of time, then of user."""
    return f"{due_ms:0{_DIGITS}d}/{user}"


def read_due_key(key: str) -> tuple[int, str]:
    """The time and the user of a key. Raises ValueError for what is none."""
    digits = key[:_DIGITS]
    if key[_DIGITS : _DIGITS + 1] != "/" or not (digits.isascii() and digits.isdigit()):
        raise ValueError(f"{key!r} is no key of what is due")
    return int(digits), key[_DIGITS + 1 :]
