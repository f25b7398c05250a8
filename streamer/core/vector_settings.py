"""Settings of the items' vectors, which are learned from what is taken up after what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VectorSettings:
    """How vectors are learned. The workers take those that the trainer publishes, whatever these say.

    ``learn_rate``: the share of events of items, drawn by a seeded hash, that vectors are learned from; 0 for none.
    ``size``: numbers a vector. ``recents``: a shopper is the mean of the vectors of so many of the newest items, the
    newer the more one counts. ``rate``: AdaGrad's. ``together``: so many steps are taken at once, each against the
    others' items and ``negatives`` more, drawn from the last ``remembered`` that were taken up. ``kept``: items with a
    vector, at most; those that were not learned from for longest are forgotten. ``published``: so many
    blocks of vectors a commit at most, of 1,024; what is left waits for the next.
    """

    learn_rate: float = 0.5
    size: int = 32
    recents: int = 8
    rate: float = 0.2
    together: int = 16
    negatives: int = 256
    remembered: int = 2048
    kept: int = 1 << 18
    published: int = 16

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be."""
        if not 0.0 <= self.learn_rate <= 1.0:
            raise ValueError(f"learn_rate is a share, from 0 to 1, not {self.learn_rate}")
        if not 2 <= self.size <= 256:
            raise ValueError(f"size of a vector must be from 2 to 256, not {self.size}")
        if not 0.0 < self.rate <= 10.0:
            raise ValueError(f"rate must be above 0 and at most 10, not {self.rate}")
        if not 1 <= self.recents <= 32:
            raise ValueError(f"recents must be from 1 to 32, not {self.recents}")
        if min(self.together, self.negatives, self.remembered, self.published) < 1:
            raise ValueError("together, negatives, remembered and published must be at least 1")
        if self.kept < (least := self.together * (self.recents + 1) + self.negatives):
            raise ValueError(f"kept must be at least {least}, as so many are learned from at once, not {self.kept}")
