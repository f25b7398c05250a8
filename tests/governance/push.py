"""A push that was sent, or would have been, had its shopper not been held back to compare with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.governance.events import milliseconds

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.governance.run import Rec


@dataclass(frozen=True)
class Push:
    """``rec``: its candidate, or the decision that held it back. ``at_ms``, ``until_ms``: the stream time at which it
    was decided, at the earliest and at the latest: of what a timer asked for and nobody was sent, no row tells at which
    tick, so that it is ``placed`` there only if there was no other. ``asked_ms``: when its event happened, or its timer
    was due; None where the event cannot be read. ``newest_ms``: of what the shopper had done before its event.
    ``mark``: the bits that its event is drawn by.
    """

    rec: Rec
    decision: Mapping[str, Any]
    candidate: Mapping[str, Any] | None
    items: tuple[str, ...]
    categories: frozenset[str]
    at_ms: int
    until_ms: int
    placed: bool = True
    asked_ms: int | None = None
    newest_ms: int = 0
    mark: int | None = None

    @property
    def id(self) -> str:
        """The candidate's."""
        return str(self.decision.get("d", ""))

    @property
    def user(self) -> str:
        """Whose it is."""
        return self.rec.key

    @property
    def campaign(self) -> str:
        """Whose it is to say."""
        return str(self.decision.get("c", ""))

    @property
    def held_back(self) -> bool:
        """Whether nobody got it."""
        return self.candidate is None

    @property
    def timed(self) -> bool:
        """Whether a timer asked."""
        return bool(self.decision.get("t"))

    @property
    def score(self) -> float:
        """Of its first item."""
        return float(self.decision.get("s", 0.0))

    @property
    def worth(self) -> float:
        """By which it is compared."""
        return float(self.decision.get("w", self.score))

    @property
    def trigger(self) -> Mapping[str, Any]:
        """What set it off, as the candidate says."""
        return (self.candidate or {}).get("trigger") or {}

    @property
    def expires_ms(self) -> int:
        """When it is out of date."""
        assert self.candidate is not None
        return milliseconds(self.candidate["expires_at"])
