"""How many examples a costly property is tried on: all of them in the whole suite, a quarter in the fast one."""

from __future__ import annotations

from hypothesis import settings

WHOLE = "whole"
"""The profile of ``make test``, and of single files."""
FAST = "fast"
"""The profile of ``make check``: ``pytest --hypothesis-profile=fast``."""


def examples(count: int) -> int:
    """``count``, or a quarter of it (two at least) under the fast profile."""
    return max(2, count // 4) if settings.get_current_profile_name() == FAST else count
