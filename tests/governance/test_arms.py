"""What is asked of a push follows from the arms that its shopper is drawn into."""

from __future__ import annotations

import dataclasses
from itertools import count
from typing import Any, Final

from tests.governance import made
from tests.governance.checker import check
from tests.governance.hashes import arm_of
from tests.governance.made import Made
from tests.governance.rules import Experiment, Rules
from tests.governance.run import DAY_MS, HOUR_MS

OFTEN: Final = Experiment("often", {"as-now": 0.5, "bolder": 0.5})
CAREFUL: Final = Experiment("careful", {"no": 0.5, "yes": 0.5}, "salt")


def _rules(**of_arms: dict[str, Any]) -> Rules:
    """By the names of the two arms with "_" between them."""
    base = dataclasses.replace(made.RULES, experiments=(OFTEN, CAREFUL))
    by_arms = {tuple(name.split("_")): dataclasses.replace(base, **changes) for name, changes in of_arms.items()}
    return dataclasses.replace(base, by_arms=by_arms)


def _user(often: str, careful: str) -> str:
    users = map("user-{}".format, count())
    return next(user for user in users if (arm_of(user, OFTEN), arm_of(user, CAREFUL)) == (often, careful))


def test_an_arm_that_allows_more_is_no_violation_and_is_one_for_the_others():
    """Two pushes in an hour."""
    for arm, counts in (("bolder", {}), ("as-now", {"cap": 1, "min_gap": 1})):
        run = Made(_rules(bolder_no={"caps": ((5, HOUR_MS),), "gap_ms": 0}))
        for n in range(2):
            run.push(n, [f"i{n}"], _user(arm, "no"))
        assert check(run.run).counts == counts


def test_an_arm_that_asks_for_more_is_held_to_it():
    """A yes, and one push a day; of both experiments."""
    for arms, counts in (
        (("bolder", "yes"), {"consent": 2, "cap": 1}),
        (("as-now", "yes"), {}),
        (("bolder", "no"), {}),
    ):
        run = Made(_rules(bolder_yes={"caps": ((1, DAY_MS),), "must_consent": True}))
        for n in range(2):
            run.push(n * 3 * HOUR_MS, [f"i{n}"], _user(*arms))
        assert check(run.run).counts == counts


def test_a_shopper_is_in_the_arm_that_is_drawn_whatever_is_told():
    """One of two is told to be in the other's."""
    run = Made(_rules())
    arms = ["often:bolder", "careful:no"]
    for often in ("bolder", "as-now"):
        user = _user(often, "no")
        run.decide(run.event(0, "view", user), "min_gap", user, x=arms)
    assert check(run.run).counts == {"arm": 1}
