"""Settings of what is learned from and how fast."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LearningSettings:
    """How the ranker learns.

    ``model``: what kind of model is the champion, ``logistic`` or ``listwise``. ``learn_rate``: the share of events,
    drawn by a seeded hash, whose list is labelled. ``max_negatives``: of the rows of a list that were not taken up,
    so many are kept in its example. ``learning_rate``: AdaGrad's, of the weights; ``bias_rate``: the intercept's.
    ``l2``: the pull of weights back to their priors. ``clip``: bound on a row's weighted residual, or on the norm of
    a list's gradient. ``net_rate``: Adam's, of a net. ``prior_strength``: the sum of squared gradients the prior
    weights count for. ``metrics_memory``: about how many of the newest examples the prequential metrics tell of; 0
    for all. ``challenger_every``: the challenger learns from each so-manieth example, which bounds what it costs.
    """

    model: str = "logistic"
    learn_rate: float = 0.05
    max_negatives: int = 32
    learning_rate: float = 0.1
    net_rate: float = 0.003
    bias_rate: float = 0.005
    l2: float = 0.0
    clip: float = 8.0
    prior_strength: float = 10.0
    metrics_memory: int = 20_000
    challenger_every: int = 4
