"""Who is served: the champion, until a challenger is known to be better, or until one that was promoted fails.

A challenger is promoted by the test of ``promotion``. The model it was promoted over goes on learning and is a
challenger from then on; should the champion's loss rise (ADWIN) while that former champion has lately been the better
of the two, it is served again: a rollback, which asks for less evidence, since what it goes back to has proven itself.
After each change comparisons begin anew, in a round that may be fooled less often.
"""

from __future__ import annotations

from math import isfinite, sqrt
from typing import TYPE_CHECKING, Final

import msgspec

from streamer.core.models.adwin import Adwin, Bucket
from streamer.core.models.promotion import MEASURES, Comparison, ComparisonState, Count

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from streamer.core.learning_settings import LearningSettings

_FADE: Final = 1.0 / 128.0
_LATELY: Final = 64
"""Examples before the recent gains tell anything."""
_SURE: Final = 2.0
"""Standard errors by which the former champion must lately have been better."""


class ContestState(msgspec.Struct, array_like=True):
    """All that a contest remembers. ``configured``: the settings' champion then; ``former``: the one served before.

    ``recent`` are the examples since the champion changed, the fading mean of what the former one was better by a list,
    and the fading mean of its square; ``by``: the measure of all this.
    """

    configured: str
    champion: str
    former: str = ""
    promotions: Count = 0
    rollbacks: Count = 0
    drifts: Count = 0
    comparisons: dict[str, ComparisonState] = {}
    buckets: list[Bucket] = []
    seen: Count = 0
    recent: tuple[int, float, float] = (0, 0.0, 0.0)
    by: str = "rank"


class Contest:
    """``champion`` is the kind that is to be served; counters tell how that came about."""

    def __init__(self, settings: LearningSettings) -> None:
        self._settings, self.measure = settings, MEASURES[settings.promotion_by]
        self.kinds = tuple(dict.fromkeys((settings.model, *settings.challengers)))
        self.champion, self.former = settings.model, ""
        self.promotions = self.rollbacks = self.drifts = 0
        self._adwin = Adwin()
        self._recent = (0, 0.0, 0.0)
        self.comparisons: dict[str, Comparison] = {}
        self._begin({})

    def rivals(self) -> Iterable[str]:
        """All kinds but the champion."""
        return (kind for kind in self.kinds if kind != self.champion)

    def _begin(self, known: Mapping[str, ComparisonState]) -> None:
        """Compare the champion with each rival, from what is known of it."""
        rivals = list(self.rivals())
        alpha, horizon = self._settings.promotion_alpha / max(len(rivals), 1), self._settings.promotion_horizon
        self.comparisons = {kind: Comparison(alpha, horizon, self.measure.bound, known.get(kind)) for kind in rivals}

    def judge(self, losses: Mapping[str, float]) -> bool:
        """Take each kind's loss on one list, before any learned from it. Whether the champion changed."""
        own = losses[self.champion]
        proven = [kind for kind, comparison in self.comparisons.items() if comparison.add(own - losses[kind])]
        if self.former:
            count, mean, square = self._recent
            apart = own - losses[self.former]
            bound = self.measure.bound
            gain = max(-bound, min(bound, apart)) if isfinite(apart) else 0.0
            weight = max(_FADE, 1.0 / (count + 1))
            self._recent = (count + 1, mean + weight * (gain - mean), square + weight * (gain * gain - square))
        if self._adwin.add(own / self.measure.whole) > 0.0:
            self.drifts += 1
            if self.former and self._was_better():
                self.rollbacks += 1
                self._serve(self.former, former="")
                return True
        if proven:
            self.promotions += 1
            best = max(proven, key=lambda kind: self.comparisons[kind].lower())
            self._serve(best, former=self.champion)
            return True
        return False

    def _was_better(self) -> bool:
        """Whether the former champion has lately been."""
        count, mean, square = self._recent
        spread = max(square - mean * mean, 0.0)
        return count >= _LATELY and mean > _SURE * sqrt(spread * _FADE / (2.0 - _FADE))

    def _serve(self, kind: str, *, former: str) -> None:
        rounds = max((c.state.rounds for c in self.comparisons.values()), default=0) + 1
        self.champion, self.former = kind, former
        self._adwin, self._recent = Adwin(), (0, 0.0, 0.0)
        self._begin({each: ComparisonState(rounds=rounds) for each in self.kinds})

    def forget(self, kind: str) -> None:
        """A rival began anew: so does its comparison, in a further round."""
        if kind in self.comparisons:
            comparison = self.comparisons[kind]
            comparison.state = ComparisonState(rounds=comparison.state.rounds + 1)

    def state(self) -> ContestState:
        """Everything, for ``restore``."""
        return ContestState(
            self._settings.model,
            self.champion,
            self.former,
            self.promotions,
            self.rollbacks,
            self.drifts,
            {kind: comparison.state for kind, comparison in self.comparisons.items()},
            list(self._adwin.buckets),
            self._adwin.seen,
            self._recent,
            self._settings.promotion_by,
        )

    def restore(self, state: ContestState) -> None:
        """Go on from what ``state`` gave, so far as the settings still speak of the same kinds.

        A champion that the settings name anew is the champion: whoever changes them knows why.
        """
        self.promotions, self.rollbacks, self.drifts = state.promotions, state.rollbacks, state.drifts
        adwin = Adwin(buckets=[*state.buckets], seen=state.seen)
        sums = [*state.recent, *(n for c in state.comparisons.values() for n in (c.total, c.variance))]
        if state.configured != self._settings.model or state.champion not in self.kinds:
            return
        self.champion = state.champion
        if state.by != self._settings.promotion_by or not (
            adwin.sound()
            and all(isfinite(number) for number in sums)
            and all(c.variance >= 0.0 and c.rounds >= 1 for c in state.comparisons.values())
        ):
            self._begin({})
            return
        self.former = state.former if state.former in self.kinds else ""
        self._adwin, self._recent = adwin, state.recent
        self._begin(state.comparisons)
