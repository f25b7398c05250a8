"""Settings of what is predicted of a shopper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_DAY_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True)
class PredictionSettings:
    """How behaviour is predicted, and how that is learned.

    ``learn_rate``: the share of visits (a quarter as much of events, for what the next event settles), drawn by a
    seeded hash, that a prediction is made of to be learned from; 0 learns nothing and keeps nothing. ``slots``: so many
    shoppers of a task at most have predictions waiting for their outcome.
    ``patience``: a shopper who stays away for this many times their mean gap between visits does not return within
    their own rhythm; ``first_rhythm_ms``: the mean gap of who has come only once; ``longest_wait_ms``: no outcome is
    waited for any longer.
    ``learning_rate``: AdaGrad's; ``prior_strength``: the sum of squared gradients the prior weights count for;
    ``clip``: bound on a row's residual. ``metrics_memory``: about how many of the newest outcomes the figures tell
    of; 0 for all.
    """

    learn_rate: float = 0.1
    slots: int = 2048
    patience: float = 2.0
    first_rhythm_ms: int = 7 * _DAY_MS
    longest_wait_ms: int = 60 * _DAY_MS
    learning_rate: float = 0.1
    prior_strength: float = 5.0
    clip: float = 8.0
    metrics_memory: int = 20_000

    def __post_init__(self) -> None:
        """Raise ValueError for what cannot be."""
        if not 0.0 <= self.learn_rate <= 1.0:
            raise ValueError(f"learn_rate is a share, from 0 to 1, not {self.learn_rate}")
        if self.slots < 1 or self.patience <= 0 or min(self.first_rhythm_ms, self.longest_wait_ms) < 1:
            raise ValueError("slots, patience and waits must be above 0")
