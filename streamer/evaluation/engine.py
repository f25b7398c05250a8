"""The engine as evaluation runs it: the parts of the core that learn and rank, wired for one process.

All parts are the live ones: ``profile.fold``, ``ItemDeltas`` to ``ItemIndex``, ``Queries`` to ``rank``,
``build_example`` to ``Trainer``. There is no policy and there are no topics.
"""

from __future__ import annotations

from hashlib import blake2b
from math import isfinite
from typing import TYPE_CHECKING

import msgspec

from agents.clusters import kmeans
from streamer.core import profile as profiles
from streamer.core.events import EVENT_TYPES
from streamer.core.index import ItemIndex
from streamer.core.items.deltas import ItemDeltas, touched_before
from streamer.core.items.fold import apply_deltas
from streamer.core.items.leads import leads_of
from streamer.core.models.example import build_example, label
from streamer.core.models.registry import FEATURES_ID
from streamer.core.models.trainer import Trainer
from streamer.core.policy.diversity import diversify
from streamer.core.predictions.example import outcome_of
from streamer.core.predictions.pending import Pending
from streamer.core.predictions.served import PREDICT
from streamer.core.predictions.trainer import PredictionTrainer
from streamer.core.queries import Queries
from streamer.core.rank import rank, retrieve
from streamer.core.segments.portrait import portrait_of
from streamer.core.segments.served import ServedSegments
from streamer.core.segments.trainer import SegmentTrainer
from streamer.core.sessions.rows import session_key, session_row
from streamer.core.vectors.learner import OnlineVectors
from streamer.core.vectors.step import step_of
from streamer.evaluation.river import RiverTrainer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from streamer.core.events import Event
    from streamer.core.items.state import ItemState
    from streamer.core.profile import Profile
    from streamer.core.rank import Ranked
    from streamer.core.settings import CoreSettings
    from streamer.evaluation.stages import Stages


class _Items:
    """The table of items, in memory."""

    def __init__(self) -> None:
        self.rows: dict[str, ItemState] = {}

    def get_many(self, keys: Sequence[str]) -> list[ItemState | None]:
        get = self.rows.get
        return [get(key) for key in keys]


class Engine:
    """Profiles, items, model. ``index`` and ``trainer`` are there to be read."""

    def __init__(self, settings: CoreSettings, model: str = "") -> None:
        """``model``: a classifier of River's in the champion's place, by name."""
        self._settings = settings
        self._profiles: dict[str, Profile] = {}
        self._items = _Items()
        self._deltas = ItemDeltas()
        self._encode = msgspec.msgpack.Encoder().encode
        self.index = ItemIndex(sessions=settings.retrieval.sessions, content=settings.retrieval.content)
        self._touched: dict[str, None] = {}
        self.predictions = PredictionTrainer(settings.predictions)
        self.vectors = OnlineVectors(settings.vectors)
        self.segments = SegmentTrainer(settings.segments, kmeans)
        self._served = ServedSegments(settings.segments)
        self._pending, self._now = Pending({}, settings), 0
        self.trainer: Trainer | RiverTrainer = RiverTrainer(model) if model else Trainer(settings.learning)

    def knows(self, user: str) -> bool:
        """Whether the user has an earlier event."""
        return user in self._profiles

    def profile(self, user: str) -> Profile:
        """The profile of a user who is known."""
        return self._profiles[user]

    def rank(self, user: str, now_ms: int, stages: Stages) -> Ranked:
        """The pool of one user, scored, from everything folded so far; of one never seen, what suits anybody.

        ``stages`` are told what each took.
        """
        began = stages.clock()
        queries, profile = Queries(self._settings.retrieval), self._profiles.get(user)
        queries.add(profile, now_ms, user=user, segment=self._served.node(profile, now_ms))
        retrieved = retrieve(queries, self.index, self._settings.retrieval)
        began = stages.took("retrieve", began)
        model = stages.watch(self.trainer.champion)
        ranked = rank(retrieved, self.index, model)
        stages.took("features", began, beside=model.seconds)
        stages.add("score", model.seconds)
        return ranked

    def listed(
        self, ranked: Ranked, order: Callable[[Ranked, int, int], NDArray[np.int64]], count: int
    ) -> NDArray[np.int64]:
        """The rows to list, in the policy's diversity: ``order`` is ``top`` or ``discover``."""
        policy = self._settings.policy
        if not (policy.diversity_bits or policy.category_cap):
            return order(ranked, 0, count)
        rows = order(ranked, 0, max(policy.pool_items, count))
        items, p = ranked.items.take(rows), ranked.p.take(rows)
        bits, cap = policy.diversity_bits, policy.category_cap
        return rows.take(diversify(items, p, self.index, count, bits=bits, cap=cap))

    def settle(self) -> None:
        """Bring what was folded into the item index, so that it can be ranked."""
        if len(self._deltas):
            rows = self._items.rows
            for key, state in apply_deltas(self._deltas, self._items, self._settings.items).items():
                rows[f"{key:016x}"] = state
                self.index.apply_state(state)
            self._deltas = ItemDeltas()
        self.index.vectors.put(*self.vectors.changed())
        for name, block in self.segments.blocks().items():
            self._served.apply(name, block)
        sessions = self._settings.retrieval.sessions
        for user in self._touched:
            profile = self._profiles[user]
            row = session_row(profile, sessions)
            if row is not None:
                self.index.sessions.apply(session_key(user, profile.sessions, sessions), row)
        self._touched.clear()

    def labels(self, ranked: Ranked, events: Sequence[Event]) -> NDArray[np.bool_]:
        """Which rows the events that followed took up."""
        taken = {line.key: None for event in events if EVENT_TYPES[event.type].weight > 0 for line in event.lines}
        return label(ranked.items, [self.index.dense(key) for key in taken])

    def learn(self, ranked: Ranked, events: Sequence[Event]) -> None:
        """Label the list by the events that followed and learn from it, as the trainer does."""
        learning = self._settings.learning
        example = build_example(
            ranked.x,
            self.labels(ranked, events),
            ranked.p,
            events[0].fingerprint,
            time_ms=events[0].time,
            features_id=FEATURES_ID,
            model_version=self.trainer.champion.version,
            max_negatives=learning.max_negatives,
            seed=self._settings.seed,
        )
        if example is not None:
            self.trainer.learn([example])

    def fold(self, user: str, events: Sequence[Event]) -> None:
        """Fold a group into its user's profile and the items' news."""
        profile = self._profiles.get(user)
        learns = self._settings.predictions.learn_rate > 0.0
        for event in events:
            near = touched_before(profile, event.time, self._settings.items)
            leads = leads_of(event, profile, self._settings.items, self._served.node(profile, event.time))
            self._deltas.add(event, near, self._settings.items, leads)
            before, profile = profile, profiles.fold(profile, event, self._settings.profile)
            self._now = max(self._now, event.time)
            if (step := step_of(event, before, self._settings.vectors)) is not None:
                self.vectors.learn(step)
            if (portrait := portrait_of(event, before, self._settings.segments)) is not None:
                self.segments.learn(portrait)
            if learns:
                for waited, told in self._pending.see(event, before, profile, self._now):
                    self.predictions.learn_one(outcome_of(waited, told, self.predictions))
        if profile is not None:
            self._profiles[user] = profile
            self._touched[user] = None

    def foretold(self) -> dict[str, dict[str, float | None]]:
        """How well each predictor did, each outcome scored before it was learned from; ``None`` is what nobody can say.

        That is all of it without an outcome, and the AUC if outcomes never differed.

        For the end of a stream: what its time has overtaken is settled first.
        """
        for waited, told in self._pending.overtaken(self._now):
            self.predictions.learn_one(outcome_of(waited, told, self.predictions))
        return {
            name: {key: round(value, 6) if isfinite(value) else None for key, value in measures.items()}
            for name, measures in self.predictions.metrics().items()
        }

    def importance(self) -> dict[str, dict[str, float]]:
        """What features weigh (``models.importance``), by model, of those that have learned."""
        predictors = {PREDICT + name: weighs for name, weighs in self.predictions.importance().items()}
        return {name: weighs for name, weighs in (self.trainer.importance() | predictors).items() if weighs}

    def digest(self, ranks: bytes) -> str:
        """BLAKE2b-128 of the state of users, items and model, and of ``ranks``."""
        self.settle()
        digest = blake2b(ranks, digest_size=16)
        for user in sorted(self._profiles):
            digest.update(user.encode() + b"\n" + self._encode(self._profiles[user]))
        for key in sorted(self._items.rows):
            digest.update(self._encode(self._items.rows[key]))
        digest.update(self.trainer.digest().encode() + self.vectors.digest().encode())
        if len(self._served):
            digest.update(self.segments.digest().encode())
        return digest.hexdigest()
