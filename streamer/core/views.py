"""What the core may read: the task's tables, the item index and the model, all as of now."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeVar

from streamer.core.predictions.served import Served
from streamer.core.segments.served import ServedSegments
from streamer.core.uplift.model import ServedUplift

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streamer.core.campaigns.budget import Spent
    from streamer.core.campaigns.watching import Watch
    from streamer.core.index import ItemIndex
    from streamer.core.models.model import Model
    from streamer.core.policy.state import PolicyState
    from streamer.core.predictions.pending import Slot
    from streamer.core.predictions.served import Foreseeing
    from streamer.core.profile import Profile
    from streamer.core.uplift.slates import Slates

V_co = TypeVar("V_co", covariant=True)


class Rows(Protocol[V_co]):
    """A table of the task."""

    def get_many(self, keys: Sequence[str]) -> Sequence[V_co | None]:
        """The rows of ``keys``, in that order, ``None`` for a row that is not there.

        A row is never changed, by the core or anybody else: what the core makes of it is another, which is the table's
        once the shell puts it there.
        """
        ...


class NoRows:
    """A table without rows."""

    def get_many(self, keys: Sequence[str]) -> Sequence[None]:
        """``None`` for each."""
        return [None] * len(keys)


class DueRows(Protocol):
    """The table of what is due when: keys are of ``timers.py``, so that their order is that of time."""

    def first(self, until_ms: int, limit: int) -> list[str]:
        """Of the keys of ``until_ms`` or earlier the first ``limit``, in order."""
        ...


class NothingDue:
    """A table of what is due without rows."""

    def first(self, until_ms: int, limit: int) -> list[str]:  # noqa: ARG002
        """Nothing."""
        return []


class WatchRows(Rows["Watch"], Protocol):
    """The table of who watches what: keys are of ``campaigns/watching.py``, so that their order is that of items.

    ``count``: of its rows. ``swept``: up to where changes have been told (``Swept.until``).
    """

    @property
    def count(self) -> int: ...  # noqa: D102
    @property
    def swept(self) -> tuple[int, str]: ...  # noqa: D102

    def between(self, spans: Sequence[tuple[str, str]], limit: int) -> list[tuple[int, str, Watch]]:
        """Of the rows between the keys of each span, the end left out, the first ``limit`` in the order of the spans
        and then of their keys: the place of the span, the key and the row.
        """
        ...


class NobodyWatches(NoRows):
    """A table of who watches what without rows."""

    count = 0
    swept = 0, ""

    def between(self, spans: Sequence[tuple[str, str]], limit: int) -> list[tuple[int, str, Watch]]:  # noqa: ARG002
        """Nothing."""
        return []


@dataclass(frozen=True, slots=True)
class Views:
    """The tables are by user, ``pending`` by slot, ``due`` by time, ``watch`` by item and user; ``spent`` is by
    campaign. The others are replicas: they stand still during a step. ``challengers``: by kind, models that rank in
    arms of experiments, beside ``model``, which ranks everywhere else.
    """

    profiles: Rows[Profile]
    seen: Rows[bytes]
    policy: Rows[PolicyState]
    items: ItemIndex
    model: Model
    pending: Rows[Slot] = field(default_factory=NoRows)
    foreseeing: Foreseeing = field(default_factory=Served)
    due: DueRows = field(default_factory=NothingDue)
    slates: Rows[Slates] = field(default_factory=NoRows)
    uplift: ServedUplift = field(default_factory=ServedUplift)
    spent: Mapping[str, Spent] = field(default_factory=dict)
    segments: ServedSegments = field(default_factory=ServedSegments)
    watch: WatchRows = field(default_factory=NobodyWatches)
    challengers: Mapping[str, Model] = field(default_factory=dict)

    def ranks(self, by: str) -> Model:
        """The model that ranks where ``PolicySettings.rank_by`` is this."""
        return self.challengers.get(by, self.model)
