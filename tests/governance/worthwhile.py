"""Whether a push is worth sending, by the numbers that its own decision tells.

The numbers themselves are models' and are not worked out again: not the score, and not the worth. What a coupon's
shopper would do without it stands in no row, so that ``buys_anyway`` is not looked at, and ``no_gain`` only where the
worth is the gain. Of a shopper who is tired of pushes a higher score is asked, which is; that the next push also costs
more, where pushes are worth what they change, is part of the worth, and is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.governance.hashes import is_sampled, is_tried
from tests.governance.run import WEEK_MS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.governance.moment import Moment, Rule

_ROUNDING: Final = 1e-9


def low_score(moment: Moment) -> Iterator[str]:
    """Nothing that scores too low: for who is tired of pushes the threshold is greater, and by as much as the usual one
    at least, since of a campaign that asks for nothing a multiple would be nothing.
    """
    push, usual, dearer = moment.push, moment.rules.score_threshold, _price(moment)
    own = moment.rules.least_scores.get(push.campaign, usual)
    least = max(own * dearer, usual * (dearer - 1.0))
    items = push.candidate["items"] if push.candidate is not None else ()
    for score in [item["score"] for item in items if "score" in item] or [push.score]:
        if score < least * (1.0 - _ROUNDING):
            yield f"shows what scores {score}, of {push.user} it takes {least}"


def _price(moment: Moment) -> float:
    """By what factor a score has to be greater: each push dismissed since the last click, or ignored, makes it so."""
    shopper, rules = moment.shopper, moment.rules
    until_ms = moment.push.at_ms - rules.ignored_ms
    since_ms = max(shopper.engaged_ms, until_ms - WEEK_MS)
    ignored = [
        push
        for push in moment.before
        if since_ms < push.at_ms <= until_ms and not push.held_back and push.id not in shopper.failed
    ]
    tired = max(shopper.dismissals, len(ignored))
    return float(2.0 ** min(rules.fatigue_bits * tired, rules.fatigue_most_bits))


def not_worth_it(moment: Moment) -> Iterator[str]:
    """Nothing that is worth too little, but for a share, to find out; and that is sent that seldom."""
    push, rules = moment.push, moment.rules
    if rules.worth_by == "score" and push.worth != push.score:
        yield f"is compared by {push.worth}, its score is {push.score}"
    if rules.least_worth is None or push.worth >= rules.least_worth:
        return
    if not _tried(moment):
        yield f"is worth {push.worth}, the least is {rules.least_worth}"
    elif (chance := push.decision.get("p", 1)) > rules.try_share:
        yield f"is worth {push.worth} and tried, with the propensity {chance}"


def no_gain(moment: Moment) -> Iterator[str]:
    """No coupon that costs more than it brings, but for a share, to find out."""
    push, rules = moment.push, moment.rules
    given = push.campaign in rules.coupons and rules.worth_by == "uplift"
    if given and push.worth <= 0.0 and not _tried(moment):
        yield f"gives a coupon that gains {push.worth}"


def not_sampled(moment: Moment) -> Iterator[str]:
    """Nothing that an event led to which was not drawn."""
    push, rules = moment.push, moment.rules
    if push.mark is not None and not is_sampled(push.mark, rules.rank_rate, rules.seed):
        yield f"follows from {push.decision['o']}, which was not drawn"


def propensity(moment: Moment) -> Iterator[str]:
    """It is told how probable it was."""
    told = (moment.push.candidate or moment.push.decision).get("propensity", moment.push.decision.get("p", 1))
    if not 0 < told <= 1:
        yield f"has the propensity {told}"
    elif told != moment.push.decision.get("p", 1):
        yield f"has the propensity {told}, its decision {moment.push.decision.get('p', 1)}"


def _tried(moment: Moment) -> bool:
    """Whether it is one of the share that is sent to find out. Where nobody can tell, it may be."""
    push, rules = moment.push, moment.rules
    if push.timed and push.campaign in rules.in_turn:
        return True
    return push.mark is None or is_tried(push.mark, push.campaign, rules.try_share, rules.groups_seed)


CHECKS: Final[dict[str, Rule]] = {
    "low_score": low_score,
    "not_worth_it": not_worth_it,
    "no_gain": no_gain,
    "not_sampled": not_sampled,
    "propensity": propensity,
}
