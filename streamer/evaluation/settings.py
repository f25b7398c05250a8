"""What an evaluation can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from streamer.core.settings import CoreSettings
from streamer.core.switches import unknown
from streamer.evaluation.baselines.registry import chosen
from streamer.evaluation.river import find

LIST_SIZE: Final = 20


@dataclass(frozen=True, slots=True)
class EvaluateSettings:
    """``every``: score each so-manieth group that could be. ``learn_every``: rank and learn from each so-manieth as
    well, 0 for the scored ones alone. ``baselines``: none, cheap, all, or names with commas between them.
    ``replicates``: how often the bootstrap draws users anew, 0 for no intervals. ``seed``: of these draws.
    ``model``: a classifier of River's in the champion's place, by name; empty for the champion.
    """

    every: int = 1
    learn_every: int = 0
    baselines: str = "all"
    core: CoreSettings = field(default_factory=CoreSettings)
    replicates: int = 0
    seed: int = 1
    model: str = ""

    def __post_init__(self) -> None:
        """Raise ValueError for what makes no sense."""
        if self.every < 1 or self.learn_every < 0 or self.replicates < 0:
            raise ValueError("every must be at least 1, learn_every and replicates at least 0")
        chosen(self.baselines)
        if self.model:
            find(self.model)
        if problems := unknown(self.core.retrieval):
            raise ValueError("\n".join(problems))
