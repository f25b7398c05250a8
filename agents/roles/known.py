"""What a user worker knows that others publish: items, sessions and models, record by record as their topics tell it.

A record that cannot be used is counted and passed over; it never stops a worker, whose model then ranks as its prior.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from streamer.core.index import ItemIndex
from streamer.core.models.model import ServedModel
from streamer.core.predictions.served import PREDICT, Served
from streamer.core.segments.served import SEGMENTS, ServedSegments
from streamer.core.uplift.model import UPLIFT, ServedUplift
from streamer.core.vectors.block import VECTOR

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    from agents.metrics import Metrics
    from streamer.core.settings import CoreSettings

    class Taker(Protocol):
        """Who serves what is learned elsewhere."""

        problem: str

        def apply(self, key: str, value: bytes | None) -> bool:
            """False for a block that is refused; ``problem`` says why."""


log = logging.getLogger(__name__)

#: Of the keys of topic ``model``, those of what the trainer tells of itself: nothing that is served.
_TOLD = "metrics/"


class Known:
    """Shared by all tasks of a worker."""

    def __init__(self, core: CoreSettings, metrics: Metrics) -> None:
        self._metrics = metrics
        self.items = ItemIndex(
            sessions=core.retrieval.sessions,
            content=core.retrieval.content,
            keep_changes=any(campaign.triggers.watches for campaign in core.campaigns),
        )
        self.model = ServedModel()
        self.foreseeing = Served()
        self.uplift = ServedUplift()
        self.segments = ServedSegments(core.segments)
        #: By topic, what applies one (key, value) of it.
        self.appliers: dict[str, Callable[[bytes | None, bytes | None], None]] = {
            "catalog": self._catalog,
            "item-index": self._index_row,
            "sessions": self._session,
            "model": self._block,
        }
        #: By topic, what is to know the offset of its next record.
        self.places = {"catalog": self.items.changes.at}
        #: By the beginning of a block's key, who takes it, and what it means that it was refused.
        self._takers: dict[str, tuple[Taker, str]] = {
            PREDICT: (self.foreseeing, "a predictor's block was refused, its priors serve: %s"),
            UPLIFT: (self.uplift, "a block of uplift was refused, its prior serves: %s"),
            SEGMENTS: (self.segments, "the block of segments was refused, there are none: %s"),
        }
        self._ranks: tuple[Taker, str] = (self.model, "a model block was refused, the priors rank: %s")
        self._catalog_problem = ""

    def _catalog(self, key: bytes | None, value: bytes | None) -> None:
        if key is None or not self.items.apply_catalog(key.decode(errors="replace"), value):
            self._metrics.replica_rejected("catalog")
            if key is not None and self.items.problem != self._catalog_problem:
                # Said once for each kind of problem: a whole catalog may have it.
                self._catalog_problem = self.items.problem
                log.error("the catalog's entry of %r was refused: %s", key[:256], self.items.problem)

    def _index_row(self, key: bytes | None, value: bytes | None) -> None:
        try:
            self.items.apply_row(int(key or b"", 16), value)
        except ValueError:  # msgspec's decode errors are among them
            self._metrics.replica_rejected("item-index")

    def _session(self, key: bytes | None, value: bytes | None) -> None:
        try:
            self.items.sessions.apply((key or b"").decode(), value)
        except ValueError:  # msgspec's decode errors are among them
            self._metrics.replica_rejected("sessions")

    def _block(self, key: bytes | None, value: bytes | None) -> None:
        name = (key or b"").decode(errors="replace")
        if name.startswith(_TOLD):
            return
        if name.startswith(VECTOR):
            self._vectors(key or b"", value)
            return
        taker, says = next((each for begin, each in self._takers.items() if name.startswith(begin)), self._ranks)
        if key is None or not taker.apply(name, value):
            self._metrics.replica_rejected("model")
            log.error(says, taker.problem)

    def _vectors(self, key: bytes, value: bytes | None) -> None:
        try:
            self.items.vectors.apply(key.decode(), value)
        except ValueError:  # text that is none is among them
            self._metrics.replica_rejected("model")
