"""The page to read first: what happens to a task's micro-batch of records, in order.

    ① parse ─▶ ② fold profile ─▶ ③ retrieve candidates ─▶ ④ features + model ─▶ ⑤ policy ─▶ ⑥ effects

The core does no I/O and reads no clock. It is given records, views of the task's tables and of the replicas, and the
stream time; it gives back ``Effects``: rows to write and records to send, which the shell (stage ⑥) commits in one
transaction. Rows never change, new ones are made of them; so an exception leaves nothing half done.

A batch is folded event by event, ranked at once, and decided event by event. Each decision sees the profile as of its
own event and all pushes decided before it, so that the result does not depend on where a batch was cut.

A tick, at which timers fire, begins a part of its own: all that came before it has been decided by then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.batch import fold_batch
from streamer.core.campaigns.budget import Budgets
from streamer.core.decide import Deciding, learn
from streamer.core.effects import Effects
from streamer.core.intake import read
from streamer.core.parts import over, parts
from streamer.core.policy.verdict import Policy
from streamer.core.rank import rank, retrieve
from streamer.core.zones import NO_ZONES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from streamer.core.record import Record
    from streamer.core.settings import CoreSettings
    from streamer.core.views import Views
    from streamer.core.zones import Zones


class Engine:
    """The five stages of one task. It holds settings alone: all that it knows is in the views."""

    def __init__(
        self, settings: CoreSettings, *, zones: Zones = NO_ZONES, clock: Callable[[], float] | None = None
    ) -> None:
        """``zones``: the time zones that have names. ``clock`` (seconds), if given, fills ``Effects.stage_seconds``; no
        decision depends on it.
        """
        self._settings = settings
        self._policy = Policy(settings.policy, settings.seed, settings.campaigns, zones, settings.experiments)
        self._clock = clock

    def step(self, records: Sequence[Record], views: Views, *, now: int, partition: int, partitions: int) -> Effects:
        """What a micro-batch asks for.

        ``now`` is the task's stream time before it, milliseconds: the largest event time it accepted, none of them
        counting beyond its record's Kafka timestamp. ``partition`` is the task's, of ``partitions`` of each input
        topic. A record that cannot be folded is a dead letter; what raises here is a fault of the program or of a view.
        """
        settings, effects = self._settings, Effects(now)
        lap = _Laps(self._clock, effects.stage_seconds)

        events = read(records, partition, partitions, settings.limits, effects)  # ①
        lap("parse")
        for part in parts(events):
            known = over(views, effects)
            batch = fold_batch(part, known, self._policy, settings, effects)  # ②
            lap("fold")
            ranked = None
            if len(batch.queries):  # numpy's calls cost as much for none as for ten
                pool = retrieve(batch.queries, known.items, settings.retrieval)  # ③
                lap("retrieve")
                ranked = rank(pool, known.items, known.model, known.challengers)  # ④
                lap("score")
            budgets = Budgets(known.spent, partition, partitions)
            deciding = Deciding(batch, ranked, known, self._policy, effects, uplift=settings.uplift, budgets=budgets)
            deciding.run()  # ⑤
            learn(batch, ranked, known, settings, effects)
            batch.store(effects)
            lap("decide")
        return effects


class _Laps:
    """Times the stages by somebody else's clock, if there is one."""

    def __init__(self, clock: Callable[[], float] | None, seconds: dict[str, float]) -> None:
        self._clock = clock
        self._seconds = seconds
        self._last = clock() if clock is not None else 0.0

    def __call__(self, stage: str) -> None:
        if self._clock is not None:
            now = self._clock()
            self._seconds[stage] = self._seconds.get(stage, 0.0) + now - self._last
            self._last = now
