"""A violation planted against each rule is counted, and nothing else; and each rule of the engine has one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from streamer.core.policy import registry
from tests.governance.checker import RULES, check
from tests.governance.planted import allowed, compared, decided, money, often, shown, timely, worthwhile
from tests.governance.planted.clean import clean

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.governance.made import Made
    from tests.governance.planted.plant import Plants

SUBJECTS: Final = (allowed, compared, decided, money, often, shown, timely, worthwhile)
PLANTED: Final[Plants] = {name: plant for subject in SUBJECTS for name, plant in subject.PLANTED.items()}

ENGINE: Final = {
    "consent": "opt-out",
    "channel": "channel",
    "out_of_order": "overtaken",
    "expired": "expired",
    "audience": "for buyers",
    "quiet_hours": "quiet hours",
    "min_gap": "gap",
    "hour_cap": "hour",
    "day_cap": "day",
    "week_cap": "week",
    "campaign_cap": "campaign",
    "not_sampled": "not sampled",
    "bought": "bought",
    "out_of_stock": "out of stock",
    "repeat": "repeat",
    "dismissed": "dismissed",
    "category_day_cap": "category",
    "low_score": "low score",
    "no_gain": "a coupon that gains nothing",
    "not_worth_it": "not worth it",
    "over_budget": "all coupons",
    "holdout": "drawn holdout",
    "control": "drawn control",
}
"""By the engine's own name of a rule, what is planted against it."""

NOT_SEEN: Final = {
    "buys_anyway": "it is about a forecast, of what the shopper does without the coupon, which stands in no topic",
}
"""The engine's rules that no topic tells enough of to count what breaks them, and why."""


@pytest.mark.parametrize(("rule", "plant"), PLANTED.values(), ids=PLANTED)
def test_a_planted_violation_is_counted_and_nothing_else(rule: str, plant: Callable[[Made], None]):
    """One of each rule, in an otherwise clean run."""
    run = clean()
    plant(run)
    assert check(run.run).counts == {rule: 1}


def test_every_rule_of_the_checker_has_a_planted_violation():
    """None of them is there in vain."""
    assert {rule for rule, _ in PLANTED.values()} == set(RULES)


def test_every_rule_of_the_engine_has_a_planted_violation():
    """Also one that is new, or it is said why there can be none."""
    assert ENGINE.keys() | NOT_SEEN.keys() == {rule.name for rule in registry.RULES}
    assert not ENGINE.keys() & NOT_SEEN.keys()
    assert PLANTED.keys() >= set(ENGINE.values())


def test_nothing_is_planted_twice_under_one_name():
    """Or the first would not be counted."""
    assert len(PLANTED) == sum(len(subject.PLANTED) for subject in SUBJECTS)
