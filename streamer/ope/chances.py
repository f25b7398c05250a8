"""What the logging policy left to chance, by the settings it had, and whether a log can have been made under them.

A decision's own propensity (``p``) is that of its first item, times ``core.policy.try_share`` if it was sent only to
find out. It has nothing of the holdout and of control groups, since these are drawn once for each shopper. So how
probable a push was takes the settings, and ``p`` tells whether they are those of the log.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import isclose
from typing import TYPE_CHECKING, Final

from streamer.core.policy.experiments import Splits
from streamer.core.policy.groups import controls, held_out
from streamer.core.policy.verdict import policy_version
from streamer.ope.decisions import CONTROL, HOLDOUT, LOW_SCORE, NO_GAIN, NOT_WORTH_IT, OVER_BUDGET, SENT
from streamer.ope.log import LogError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from streamer.core.settings import CoreSettings, PolicySettings
    from streamer.ope.decisions import Decided

_ALIKE: Final = 1e-9
_NAMED: Final = 3
_GIVE: Final = (
    "give the settings that the log was made under (core.policy.holdout_share, least_worth, try_share, worth_by and "
    "explore_share, campaigns, experiments)"
)


@dataclass(frozen=True, slots=True)
class Chances:
    """What the logging policy left to chance: the settings it had, without which a log cannot be weighed.

    ``terms`` has the settings that a shopper is decided by, as the arms of experiments change them; ``control``: by
    campaign, the share of shoppers that its control group holds back; ``coupons``: the campaigns that give some.
    ``version`` of the policy these settings make, "" if it is not known.
    """

    terms: Splits
    control: Mapping[str, float]
    coupons: AbstractSet[str] = frozenset()
    version: str = ""

    @classmethod
    def of(cls, core: CoreSettings, zones: str | None = None) -> Chances:
        """As the settings say; ``zones``: the version of the zone database, on which that of the policy hangs."""
        return cls(
            Splits(core.policy, core.experiments),
            {each.name: each.control_share for each in core.campaigns},
            {each.name for each in core.campaigns if each.coupon is not None},
            "" if zones is None else policy_version(core.policy, core.campaigns, zones, core.experiments),
        )

    def policy(self, user: str) -> PolicySettings:
        """What ``user`` is decided by."""
        return self.terms.of(user).settings

    def send(self, user: str, row: Decided) -> float:
        """How probable it was that what ``row`` decided on is sent, or would be if the budget had room for it."""
        if row.r == LOW_SCORE or self._unpriced(user, row):
            return 0.0
        policy = self.policy(user)
        passed = (1 - policy.holdout_share) * (1 - self.control.get(row.c, 0.0))
        return passed * (policy.try_share if self._doubtful(user, row) else 1.0)

    def meant(self, user: str, row: Decided) -> bool:
        """Whether only the budget kept ``row`` from being sent: groups are asked after it, so its reason tells none."""
        policy, share = self.policy(user), self.control.get(row.c, 0.0)
        return row.r == OVER_BUDGET and not (
            controls(user, row.c, share, policy.groups_seed) or held_out(user, policy.holdout_share, policy.groups_seed)
        )

    def untold(self, user: str, row: Decided) -> bool:
        """Whether nothing tells if it was tried, whatever became of it."""
        by_score = row.c in self.coupons and self.policy(user).worth_by == "score"
        return by_score and row.r != LOW_SCORE and self._tried(user, row) is None

    def check(self, rows: Sequence[tuple[str, Decided]]) -> None:
        """Raises ``LogError`` if these settings would not have decided so; rows are those of rounds, by user."""
        wrong = [(row, why) for user, row in rows if (why := self._contradiction(user, row))]
        if wrong:
            row, why = wrong[0]
            raise LogError(
                f"{len(wrong):,} of {len(rows):,} decisions are not what these settings would do; the first is "
                f"{row.d or row.o} of campaign {row.c}, which {why}: {_GIVE}"
            )

    def notes(self, rows: Sequence[Decided]) -> tuple[str, ...]:
        """What cannot be checked, as decisions were made under another version of the policy."""
        others = Counter(row.v for row in rows if row.v != self.version)
        if not self.version or not others:
            return ()
        named = ", ".join(version or "none" for version, _ in others.most_common(_NAMED))
        more = ", …" if len(others) > _NAMED else ""
        note = (
            f"{others.total():,} of {len(rows):,} decisions have another policy version ({named}{more}) than these "
            f"settings make here ({self.version}): some setting of the policy, a campaign, an experiment or the zone "
            "database differs; that as many shoppers were held back then as these settings say is not checked"
        )
        return (note,)

    def _tried(self, user: str, row: Decided) -> float | None:
        """``p`` over that of the first item, ``None`` where exploration may have drawn it and what else is not logged:
        ``try_share`` if it was tried, else 1.
        """
        if row.a:
            drawn = next((p for item, _, p in row.a if item == row.i[0]), 0.0) if row.i else 0.0
            return row.p / drawn if drawn else 0.0
        return None if self.policy(user).explore_share else row.p

    def _doubtful(self, user: str, row: Decided) -> bool:
        """Whether it is one of those of which only ``try_share`` is sent."""
        policy = self.policy(user)
        if row.worth < policy.least_worth or row.r == NO_GAIN:
            return True
        if row.c not in self.coupons:
            return False
        if policy.worth_by == "uplift":
            return row.worth <= 0.0
        # A coupon's gain is not logged where pushes are compared by their scores.
        tried = self._tried(user, row)
        return tried is not None and not _same(tried, 1.0)

    def _unpriced(self, user: str, row: Decided) -> bool:
        """Whether a coupon was refused because nobody knows what it costs, tried or not."""
        if row.r != NO_GAIN:
            return False
        policy, tried = self.policy(user), self._tried(user, row)
        gains = policy.worth_by == "uplift" and row.worth > 0.0 and row.worth >= policy.least_worth
        return gains or (tried is not None and _same(tried, policy.try_share))

    def _contradiction(self, user: str, row: Decided) -> str:
        """What these settings would not have done, "" if there is nothing."""
        policy = self.policy(user)
        if row.c not in self.control:
            return "is not among the campaigns"
        held = {CONTROL: self.control[row.c], HOLDOUT: policy.holdout_share}.get(row.r, 1.0)
        coupon = row.c in self.coupons or row.r not in {NO_GAIN, OVER_BUDGET}
        enough = row.r == NOT_WORTH_IT and (row.worth >= policy.least_worth or policy.try_share == 1)
        if not held or not coupon or enough or (row.r == SENT and not self.send(user, row)):
            return f"says {row.r}, which could not be"
        tried, due = self._tried(user, row), self._due(user, row)
        if tried is None:
            return f"has propensity {row.p:.6g}, above {max(due):.6g}" if row.p > max(due) * (1 + _ALIKE) else ""
        if not any(_same(tried, each) for each in due):
            drawn = f", {tried:.6g} times that of its item" if row.a else ""
            return f"says {row.r} with propensity {row.p:.6g}{drawn}, where {max(due):.6g} is due"
        return ""

    def _due(self, user: str, row: Decided) -> tuple[float, ...]:
        """What ``_tried`` may be: not tried is what was refused for its worth, tried all else of little worth."""
        share = self.policy(user).try_share
        if row.r in {LOW_SCORE, NOT_WORTH_IT}:
            return (1.0,)
        if row.r == NO_GAIN:
            return 1.0, share
        return (share,) if self._doubtful(user, row) else (1.0,)


def _same(one: float, other: float) -> bool:
    return isclose(one, other, rel_tol=_ALIKE)
