"""The trainer: examples in, in log order; a model that others may serve out. Pure, and the same for any batching.

Every example is first predicted, the prediction is scored, and only then is it learned from (prequential), so that the
metrics are honest: they are of a model that had not seen the example. Challengers of ours take the same examples, and
may be promoted (``contest``); nothing is learned while the input has collapsed (``guard``).
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
import numpy as np

from streamer.core.models import logistic
from streamer.core.models.contest import Contest, ContestState
from streamer.core.models.guard import Guard, GuardState
from streamer.core.models.importance import Importance
from streamer.core.models.metrics import BinaryMetrics, MetricsState
from streamer.core.models.model import CHALLENGER, CHAMPION, ModelRefused, decode_block
from streamer.core.models.registry import MODELS, learner

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamer.core.learning_settings import LearningSettings
    from streamer.core.models.example import Example
    from streamer.core.models.model import Floats, Learner

CHAMPION_BLOCK: Final = CHAMPION + logistic.KIND
LEARNER_BLOCK: Final = "trainer/learner"
"""Of the trainer's own table only: accumulators, metrics and counters."""
CONTEST_BLOCK: Final = "trainer/contest"
# Of the trainer's own table: a challenger's block is under CHALLENGER and its kind, and, after another slash, what it
# leaves out.
IMPORTANCE_BLOCK: Final = "trainer/importance/"
"""Of the trainer's own table: what the features of a kind weigh."""


class LearnerRow(msgspec.Struct, array_like=True):
    """What the champion's published block leaves out. ``squares``: the ``memory()`` of its learning, float64."""

    squares: bytes
    examples: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    rows: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    refused: Annotated[int, msgspec.Meta(ge=0, le=2**53)]
    champion: MetricsState
    served: MetricsState


class ChallengerRow(msgspec.Struct, array_like=True):
    """What a challenger's block leaves out: the ``memory()`` of its learning, float64, and its figures."""

    memory: bytes
    figures: MetricsState


class ContestRow(msgspec.Struct, array_like=True):
    """Who is served and why, the input's memory, and how many examples were held off."""

    contest: ContestState
    guard: GuardState
    held: Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class Trainer:
    """Learns the champion, of the kind that the settings name or that was promoted since, and its challengers.

    ``champion`` is the live model: it may be served from at once (as ``evaluate`` does) or through ``blocks()``.
    ``version`` goes up by one with the first example after a publication. ``refused`` counts examples of another
    feature list and steps that would not have been finite; ``held`` those not learned from as the input has collapsed,
    which ``collapsed`` tells. None of these leaves a trace in the parameters. ``restored`` counts how often the
    champion had parameters that were not finite, and was put back to those last published.
    """

    def __init__(self, settings: LearningSettings, arms: frozenset[str] = frozenset()) -> None:
        """``arms``: kinds that rank in arms of experiments, and are published while they are challengers."""
        self._settings, self._arms = settings, arms
        self.contest, self._guard = Contest(settings), Guard(settings.collapse_share)
        self._models: dict[str, Learner] = {kind: learner(kind, settings) for kind in self.contest.kinds}
        self._figures = {kind: BinaryMetrics(settings.metrics_memory) for kind in self.contest.kinds}
        memory = -(-settings.metrics_memory // max(settings.importance_every, 1))
        self._importance = {kind: Importance(model.names, memory) for kind, model in self._models.items()}
        self.examples = self.rows = self.refused = self.held = self.restored = 0
        self.collapsed = False
        self._served = BinaryMetrics(settings.metrics_memory)
        self._touched = False
        self._good = (self.champion.block(), self.champion.memory())

    @property
    def champion(self) -> Learner:
        """The model that is served."""
        return self._models[self.contest.champion]

    @property
    def block_key(self) -> str:
        """What it is published under."""
        return CHAMPION + self.contest.champion

    def predict(self, example: Example) -> Floats:
        """What the champion says now of the example's rows [m]; NaN of those of another feature list."""
        if not self._fits(example):
            return np.full(example.rows(), np.nan)
        return self.champion.predict_proba_many(example.features())

    def _fits(self, example: Example) -> bool:
        names = self.champion.names
        return example.features_id == self.champion.features and len(example.x) == 2 * len(names) * example.rows()

    def learn(self, examples: Sequence[Example]) -> None:
        """Predict, score and learn, example by example."""
        for example in examples:
            self.learn_one(example)

    def learn_one(self, example: Example) -> Floats:
        """Predict, score and learn from one example. Returns what was predicted [m], NaN if it is refused."""
        champion = self.champion
        if not self._fits(example):
            self.refused += 1
            return np.full(example.rows(), np.nan)
        x, y, w = example.features(), example.outcomes(), example.sampling_weights()
        if not (np.isfinite(x).all() and np.isfinite(w).all()):
            self.refused += 1
            return np.full(example.rows(), np.nan)
        p = champion.predict_proba_many(x)
        self._figures[self.contest.champion].update(y, p, w)
        self._served.update(y, example.served(), w)
        self.examples += 1
        self.rows += len(y)
        self.collapsed = self._guard.collapsed(x, y)
        if self.collapsed:
            self.held += 1
            return p
        every = self._settings.importance_every
        if every and self.examples % every == 0:
            for kind, importance in self._importance.items():
                importance.update(self._models[kind].contributions_many(x), w)
        loss = self.contest.measure.loss
        losses = {self.contest.champion: loss(y, p, w)}
        for kind in self.contest.rivals():
            theirs = self._models[kind].predict_proba_many(x)
            losses[kind] = loss(y, theirs, w)
            self._figures[kind].update(y, theirs, w)
            self._models[kind].learn_many(x, y, w, theirs)
        if not champion.learn_many(x, y, w, p):
            self.refused += 1
        else:
            self._touch()
        if self.contest.judge(losses):
            # Versions go on from kind to kind; a challenger has none.
            self.champion.version, champion.version = champion.version, 0
            self._good = (self.champion.block(), self.champion.memory())
            self._touch()
        return p

    def _touch(self) -> None:
        """There is something to publish."""
        if not self._touched:
            self._touched = True
            self.champion.version += 1

    def blocks(self) -> dict[str, bytes]:
        """What topic ``model`` has not had yet; nothing if nothing was learned since the last call.

        Parameters that are not finite are not published: the champion goes back to those that were published last.
        """
        if not self._touched:
            return {}
        self._touched = False
        champion = self.champion
        if not champion.is_finite():
            self.restored += 1
            version = champion.version
            kept: Any = MODELS[self.contest.champion].from_block(self._good[0], champion.names)
            champion.remember(kept, self._good[1])
            champion.version = version
            return {}
        self._good = (champion.block(), champion.memory())
        return {self.block_key: self._good[0], **self._challenging()}

    def _challenging(self) -> dict[str, bytes]:
        """The blocks of challengers that rank in arms, under the version of the champion beside them."""
        found = {}
        for kind in self.contest.rivals():
            model = self._models[kind]
            if kind in self._arms and model.is_finite():
                model.version = self.champion.version
                found[CHALLENGER + kind] = model.block()
                model.version = 0
        return found

    def state(self) -> dict[str, bytes]:
        """Everything ``restore`` needs, for the trainer's table."""
        encode = msgspec.msgpack.encode
        row = LearnerRow(
            _bytes(self.champion),
            self.examples,
            self.rows,
            self.refused,
            self._figures[self.contest.champion].state(),
            self._served.state(),
        )
        kept = {self.block_key: self.champion.block(), LEARNER_BLOCK: encode(row)}
        for kind in self.contest.rivals():
            model = self._models[kind]
            kept[CHALLENGER + kind] = model.block()
            kept[f"{CHALLENGER}{kind}/learner"] = encode(ChallengerRow(_bytes(model), self._figures[kind].state()))
        for kind, importance in self._importance.items():
            kept[IMPORTANCE_BLOCK + kind] = importance.state()
        kept[CONTEST_BLOCK] = encode(ContestRow(self.contest.state(), self._guard.state, self.held))
        return kept

    def restore(self, blocks: Mapping[str, bytes]) -> str:
        """Go on from what ``state`` gave. Says why if it could not, and then begins at the priors.

        Versions only ever go up: one that could not be restored in full is still counted on from.
        """
        last, problem = self._restore_contest(blocks)
        # A table that was another kind's: its versions go on, nothing else.
        others = [_version(blocks[key]) for key in blocks if key.startswith(CHAMPION)]
        for kind in self.contest.rivals():
            if told := self._restore_rival(kind, blocks, last):
                problem = problem or f"{kind}: {told}"
        champion = self.champion
        newest = max(champion.version, *others, 0)
        told = self._restore_champion(blocks, last)
        champion.version = newest
        self._good = (champion.block(), champion.memory())
        if not (told or problem):
            for kind, importance in self._importance.items():
                importance.restore(blocks.get(IMPORTANCE_BLOCK + kind))
        return told or problem

    def _restore_contest(self, blocks: Mapping[str, bytes]) -> tuple[str, str]:
        """The champion when the state was taken, and a problem."""
        if CONTEST_BLOCK not in blocks:
            return self.contest.champion, ""
        try:
            row = msgspec.msgpack.decode(blocks[CONTEST_BLOCK], type=ContestRow)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return self.contest.champion, str(error)
        self.contest.restore(row.contest)
        self.held = row.held
        if row.guard.is_sound():
            self._guard = Guard(self._settings.collapse_share, row.guard)
        return row.contest.champion, ""

    def _restore_champion(self, blocks: Mapping[str, bytes], last: str) -> str:
        kind = self.contest.champion
        if kind != last:  # the settings name another; it may have been a challenger
            return self._restore_rival(kind, blocks, last)
        if self.block_key not in blocks or LEARNER_BLOCK not in blocks:
            return ""
        try:
            kept = self._kept(kind, blocks[self.block_key])
            row = msgspec.msgpack.decode(blocks[LEARNER_BLOCK], type=LearnerRow)
        except (ModelRefused, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return str(error)
        if told := self._remember(kind, kept, row.squares):
            return told
        self.examples, self.rows, self.refused = row.examples, row.rows, row.refused
        self._figures[kind].restore(row.champion)
        self._served.restore(row.served)
        self._touched = False
        return ""

    def _restore_rival(self, kind: str, blocks: Mapping[str, bytes], last: str) -> str:
        """Of one that is no champion, or was none. What is wrong; its comparison goes on only if all is well."""
        told = ""
        try:
            if kind == last:  # it was the champion, and the settings made another one that
                row = msgspec.msgpack.decode(blocks[LEARNER_BLOCK], type=LearnerRow)
                kept, memory, figures = self._kept(kind, blocks[CHAMPION + kind]), row.squares, row.champion
            else:
                theirs = msgspec.msgpack.decode(blocks[f"{CHALLENGER}{kind}/learner"], type=ChallengerRow)
                kept, memory, figures = self._kept(kind, blocks[CHALLENGER + kind]), theirs.memory, theirs.figures
            told = self._remember(kind, kept, memory)
        except KeyError:  # it is new
            figures = None
        except (ModelRefused, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            figures, told = None, str(error)
        if figures is None or told:
            self.contest.forget(kind)
            return told
        self._models[kind].version = 0
        self._figures[kind].restore(figures)
        return ""

    def _kept(self, kind: str, block: bytes) -> Any:
        return MODELS[kind].from_block(block, self._models[kind].names)

    def _remember(self, kind: str, kept: Any, memory: bytes) -> str:
        numbers = np.frombuffer(memory if len(memory) % 8 == 0 else b"", dtype="<f8")
        fits = self._models[kind].remember(kept, numbers)
        return "" if fits else "the learner's accumulators are not those of this feature list"

    def metrics(self) -> dict[str, float]:
        """Prequential figures: of the champion when it met each example, and (``served_``) of what was served then."""
        contest = self.contest
        return {
            **self._measures(contest.champion),
            "served_logloss": self._served.logloss(),
            "served_auc": self._served.auc(),
            "examples": float(self.examples),
            "refused": float(self.refused),
            "held": float(self.held),
            "promotions": float(contest.promotions),
            "rollbacks": float(contest.rollbacks + self.restored),
            "drifts": float(contest.drifts),
        }

    def challengers(self) -> dict[str, dict[str, float]]:
        """By kind, its prequential figures on the same examples, and ``gain``: what it is better by a list, so far."""
        comparisons = self.contest.comparisons
        return {kind: {**self._measures(kind), "gain": comparisons[kind].mean()} for kind in self.contest.rivals()}

    def importance(self) -> dict[str, dict[str, float]]:
        """What features weigh (``models.importance``): of the ``champion``, and of each challenger by its kind."""
        champion = self._importance[self.contest.champion].figures()
        rivals = {CHALLENGER + kind: self._importance[kind].figures() for kind in self.contest.rivals()}
        return {"champion": champion, **rivals}

    def _measures(self, kind: str) -> dict[str, float]:
        figures = self._figures[kind]
        return {
            "logloss": figures.logloss(),
            "auc": figures.auc(),
            "calibration_error": figures.calibration_error(),
        }

    def digest(self) -> str:
        """BLAKE2b-128 of the parameters and the counters: equal for equal examples in equal order.

        On any machine for all kinds but the listwise net, whose last bits are those of its processor's BLAS.
        """
        digest = blake2b(self.champion.block() + _bytes(self.champion), digest_size=16)
        for kind in self.contest.rivals():
            digest.update(self._models[kind].block() + _bytes(self._models[kind]))
        digest.update(f"{self.examples}:{self.rows}:{self.refused}".encode())
        return digest.hexdigest()


def _bytes(model: Learner) -> bytes:
    return model.memory().astype("<f8").tobytes()


def _version(block: bytes) -> int:
    try:
        return decode_block(block).version
    except ModelRefused:
        return 0
