"""Settings of the segments that shoppers are put into."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_MOST: Final = 64


@dataclass(frozen=True, slots=True)
class SegmentSettings:
    """How shoppers are put into segments, which are learned by clustering.

    ``learn_rate``: the share of events, drawn by a seeded hash, whose shopper is shown to the clustering; 0 for no
    segments at all. ``count``: so many segments, 64 at most. ``step``: so much of the way to a shopper that falls into
    a segment its centre moves; the smaller, the longer a segment stays what it is. ``first``: so many shoppers are
    waited for before centres are placed among them.
    """

    learn_rate: float = 0.0
    count: int = 8
    step: float = 0.005
    first: int = 512

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be."""
        if not 0.0 <= self.learn_rate <= 1.0:
            raise ValueError(f"learn_rate is a share, from 0 to 1, not {self.learn_rate}")
        if not 2 <= self.count <= _MOST:
            raise ValueError(f"count of segments must be from 2 to {_MOST}, not {self.count}")
        if not 0.0 < self.step < 1.0:
            raise ValueError(f"step must lie between 0 and 1, not {self.step}")
        if not self.count <= self.first <= 1 << 14:
            raise ValueError(f"first must be from count, which is {self.count}, to {1 << 14}, not {self.first}")

    @property
    def on(self) -> bool:
        """Whether there are segments."""
        return self.learn_rate > 0.0
