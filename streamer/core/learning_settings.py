"""Settings of what is learned from and how fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

KINDS: Final = ("logistic", "listwise", "ftrl", "fm")
"""The kinds of models of ours, by the names of ``models/registry.py``, which the settings need not import."""

_POSITIVE: Final = (
    *("learning_rate", "net_rate", "factor_rate", "bias_rate"),
    *("clip", "factors", "max_negatives", "challenger_every", "promotion_alpha", "promotion_horizon"),
)
_NOT_NEGATIVE: Final = (
    "learn_rate",
    "l1",
    "l2",
    "prior_strength",
    "metrics_memory",
    "collapse_share",
    "importance_every",
)
_MOST_FACTORS: Final = 64


@dataclass(frozen=True, slots=True)
class LearningSettings:
    """How the ranker learns.

    ``model``: what kind of model is the champion: ``logistic``, ``listwise`` (a small net that learns from whole
    lists), ``ftrl`` (logistic, learned by FTRL-Proximal) or ``fm`` (a factorization machine).
    ``learn_rate``: the share of events, drawn by a seeded hash, whose list is labelled. ``max_negatives``: of the rows
    of a list that were not taken up, so many are kept in its example. ``learning_rate``: AdaGrad's, or FTRL's alpha, of
    the weights; ``bias_rate``: the intercept's. ``net_rate``: Adam's, of a net. ``factors``: numbers in a vector of
    ``fm``, at most 64; ``factor_rate``: AdaGrad's, of these. ``l1``: how much the gradients of a weight of ``ftrl``
    must amount to before it leaves its prior. ``l2``: the pull of weights back to their priors. ``clip``: bound on a
    row's weighted residual, or on the norm of a list's gradient. ``prior_strength``: the sum of squared gradients the
    prior weights count for. ``metrics_memory``: about how many of the newest examples the prequential metrics tell of;
    0 for all. ``challenger_every``: River's challenger learns from each so-manieth example, which bounds what it costs.
    ``challengers``: kinds, beside the champion's, that learn from the same examples; one that is better on them is
    promoted. ``promotion_by``: better at what, the reciprocal ``rank`` of the first row taken up or the log ``loss`` of
    the list. ``promotion_alpha``: the chance that it was not, over all time; ``promotion_horizon``: a comparison that
    is undecided after so many examples begins anew. ``collapse_share``: nothing is learned while examples have less
    than this share of the content they usually have; 0 for never. ``importance_every``: what the features weigh is
    looked at in each so-manieth example, which bounds what that costs; 0 for never.
    """

    model: str = "listwise"
    learn_rate: float = 0.05
    max_negatives: int = 32
    learning_rate: float = 0.1
    net_rate: float = 0.003
    factors: int = 8
    factor_rate: float = 0.05
    bias_rate: float = 0.005
    l1: float = 0.0
    l2: float = 0.0
    clip: float = 8.0
    prior_strength: float = 10.0
    metrics_memory: int = 20_000
    challenger_every: int = 4
    challengers: tuple[str, ...] = ()
    promotion_by: Literal["rank", "loss"] = "rank"
    promotion_alpha: float = 0.01
    promotion_horizon: int = 20_000
    collapse_share: float = 0.25
    importance_every: int = 8

    def __post_init__(self) -> None:
        """Raise ValueError, with a line for each, for what cannot be used."""
        problems = []
        if self.model not in KINDS:
            problems.append(f"model: {self.model!r} is none of {', '.join(KINDS)}")
        problems += [
            f"challengers: {kind!r} is none of {', '.join(KINDS)}" for kind in self.challengers if kind not in KINDS
        ]
        if len({self.model, *self.challengers}) != 1 + len(self.challengers):
            problems.append("challengers: name each kind once, and not the champion's")
        problems += [
            f"{name} must be below 1, not {getattr(self, name)}"
            for name in ("promotion_alpha", "collapse_share")
            if getattr(self, name) >= 1
        ]
        # So written, NaN is refused too.
        problems += [
            f"{name} must be above 0, not {getattr(self, name)}" for name in _POSITIVE if not getattr(self, name) > 0
        ]
        problems += [
            f"{name} must be at least 0, not {getattr(self, name)}"
            for name in _NOT_NEGATIVE
            if not getattr(self, name) >= 0
        ]
        if self.factors > _MOST_FACTORS:
            problems.append(f"factors must be at most {_MOST_FACTORS}, not {self.factors}")
        if problems:
            raise ValueError("\n".join(problems))
