"""Everything that is learned from topic ``examples``: each record goes to the learner it is for.

    example ─▶ ranker    step ─▶ vectors    outcome ─▶ predictions    response ─▶ uplift    portrait ─▶ segments

The trainer role and ``replay --canonical`` learn through this one object; ``evaluate`` has no topic, and feeds the same
learners itself. To add a learner: a record that tells itself from the others by its tag, a class with the methods
called below, and its lines here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from streamer.core.examples import decoded
from streamer.core.models.example import Example
from streamer.core.models.model import CHALLENGER
from streamer.core.models.trainer import Trainer
from streamer.core.predictions.example import Outcome
from streamer.core.predictions.served import PREDICT
from streamer.core.predictions.trainer import PredictionTrainer
from streamer.core.segments.portrait import Portrait
from streamer.core.segments.trainer import SegmentTrainer
from streamer.core.uplift.model import UPLIFT
from streamer.core.uplift.response import Response
from streamer.core.uplift.trainer import UpliftTrainer
from streamer.core.vectors.learner import OnlineVectors
from streamer.core.vectors.step import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streamer.core.models.model import Floats
    from streamer.core.segments.clusterer import Begin
    from streamer.core.settings import CoreSettings


_tagged: Final = msgspec.msgpack.Decoder(Step | Response | Portrait).decode


def record_of(value: bytes) -> Example | Outcome | Step | Response | Portrait | None:
    """The record that the bytes are; ``None`` if they are of no kind that is known, or damaged.

    One decoding finds those with a tag, or sees at the first byte behind the head that there is none. The two oldest
    kinds begin with a number, and are tried one after the other.
    """
    found = decoded(_tagged, value)
    if found is not None:
        return found if found.sound() else None
    example = Example.decode(value)
    return example if example is not None else Outcome.decode(value)


class Learners:
    """The learners by what they learn: ``ranker``, ``predictions``, ``vectors``, ``uplift``, ``segments``.

    None looks at another.
    """

    def __init__(
        self,
        settings: CoreSettings,
        beside: Callable[[Example, Floats], None] | None = None,
        clusters: Begin | None = None,
    ) -> None:
        """``beside`` is shown each example of the ranker, once it is learned, and what was predicted of its rows.

        ``clusters`` makes a clustering of shoppers from its centres; without one a portrait is of no known kind.
        """
        self.ranker = Trainer(settings.learning, settings.ranking)
        self.predictions = PredictionTrainer(settings.predictions)
        self.vectors = OnlineVectors(settings.vectors)
        self.uplift = UpliftTrainer(settings.uplift)
        self.segments = SegmentTrainer(settings.segments, clusters)
        self._beside = beside

    def learn(self, value: bytes) -> bool:
        """Learn from a record of ``examples``. False if it is of no kind that is known: nothing has changed."""
        match record_of(value):
            case Example() as example:
                predicted = self.ranker.learn_one(example)
                if self._beside is not None:
                    self._beside(example, predicted)
            case Step() as step:
                self.vectors.learn(step)
            case Outcome() as outcome:
                self.predictions.learn_one(outcome)
            case Response() as response:
                self.uplift.learn_one(response)
            case Portrait() as portrait:
                return self.segments.learn(portrait)
            case None:
                return False
        return True

    def published(self) -> dict[str, bytes]:
        """The blocks that topic ``model`` has not had yet.

        To be asked before ``rows``: it is here that parameters which are not finite give way to those before.
        """
        blocks = self.ranker.blocks() | self.predictions.blocks()
        return blocks | self.vectors.published() | self.uplift.blocks() | self.segments.blocks()

    def rows(self) -> dict[str, bytes | None]:
        """What the trainer's table lacks of ``restore``'s blocks; ``None`` deletes one."""
        rows = {**self.ranker.state(), **self.predictions.state(), **self.vectors.rows(), **self.uplift.rows()}
        return rows | self.segments.rows()

    def restore(self, blocks: Mapping[str, bytes]) -> list[str]:
        """Go on from what the table holds. What could not be, in words: there it is begun anew."""
        told = {
            "the model begins anew from its priors": self.ranker.restore(blocks),
            "predictors begin anew from their priors": self.predictions.restore(blocks),
            "vectors begin anew": self.vectors.restore(blocks),
            "uplift begins anew from its prior": self.uplift.restore(blocks),
            "segments begin anew": self.segments.restore(blocks),
        }
        return [f"{what}: {problem}" for what, problem in told.items() if problem]

    def metrics(self) -> dict[str, dict[str, float]]:
        """Prequential figures, by the names that topic ``model`` has them under behind ``metrics/``."""
        return {
            "champion": self.ranker.metrics() | {"version": float(self.ranker.champion.version)},
            **{CHALLENGER + kind: figures for kind, figures in self.ranker.challengers().items()},
            **{PREDICT + name: figures for name, figures in self.predictions.metrics().items()},
            **{UPLIFT + name: figures for name, figures in self.uplift.metrics().items()},
            **self.segments.metrics(),
        }

    def importance(self) -> dict[str, dict[str, float]]:
        """What the features of each model weigh, by the names of ``metrics``; of those that have met anything."""
        found = {
            **self.ranker.importance(),
            **{PREDICT + name: figures for name, figures in self.predictions.importance().items()},
            **{UPLIFT + name: figures for name, figures in self.uplift.importance().items()},
        }
        return {name: figures for name, figures in found.items() if figures}

    def digests(self) -> dict[str, str]:
        """Of each learner: equal for equal records in equal order."""
        return {
            "model": self.ranker.digest(),
            "predictions": self.predictions.digest(),
            "vectors": self.vectors.digest(),
            "uplift": self.uplift.digest(),
            "segments": self.segments.digest(),
        }
