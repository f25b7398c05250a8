"""Pushes to who is held back to compare with, and other arms than the shopper's."""

from __future__ import annotations

import dataclasses
from itertools import count, islice
from typing import TYPE_CHECKING, Final

from tests.governance import made
from tests.governance.hashes import arm_of, is_control, is_held_out
from tests.governance.made import BLUE
from tests.governance.run import HOUR_MS

if TYPE_CHECKING:
    from tests.governance.made import Made
    from tests.governance.planted.plant import Plants


def _holdout(run: Made) -> None:
    run.decide(run.event(0, "view"), "holdout", p=0.05)
    run.push(HOUR_MS, campaign="another")


def _control(run: Made) -> None:
    run.decide(run.event(0, "view"), "control")
    run.push(HOUR_MS)


def _holdout_that_is_told_later(run: Made) -> None:
    run.push(0, campaign="another")
    run.decide(run.event(HOUR_MS, "view"), "holdout", p=0.05)


def _control_that_is_told_later(run: Made) -> None:
    run.push(0)
    run.decide(run.event(HOUR_MS, "view"), "control")


def _another_arm(run: Made) -> None:
    run.decide(run.event(0, "view"), "low_score", e="e-1", x=["colour:red"])
    run.decide(run.event(1, "view"), "min_gap")
    run.decide(run.event(2, "view"), "low_score", e="e-2", x=["colour:blue"])


def _candidate_of_another_arm(run: Made) -> None:
    run.decide(run.event(0, "view"), "low_score", e="e-1", x=["colour:red"])
    run.push(1, experiments=[{"id": "colour", "arm": "blue"}])


def _arm_before_ranking(run: Made) -> None:
    run.push(0)
    origin = run.event(1, "cart", topic="purchase", item="a")
    run.tick(HOUR_MS)
    run.decide(origin, "min_gap", t=run.start_ms + HOUR_MS, x=["colour:blue"])


def _no_arm(run: Made) -> None:
    run.decide(run.event(0, "view"), "low_score", e="e-1", x=[])


def _no_arm_before_ranking(run: Made) -> None:
    run.decide(run.event(0, "view"), "min_gap", x=[])


def _no_arm_of_a_candidate(run: Made) -> None:
    run.push(0, experiments=[])


def _no_arm_of_what_others_tell(run: Made) -> None:
    """Also where nobody knows the experiments: a shopper is in one or is not."""
    run.run.rules = dataclasses.replace(run.run.rules, experiments=())
    run.decide(run.event(0, "view"), "low_score", e="e-1", x=[])
    run.decide(run.event(1, "view"), "low_score", e="e-2", x=["colour:red"])


def _no_such_arm(run: Made) -> None:
    run.decide(run.event(0, "view"), "low_score", e="e-1", x=["colour:green"])


def _no_such_experiment(run: Made) -> None:
    run.decide(run.event(0, "view"), "low_score", e="e-1", x=["colour:red", "size:small"])


_SHARE: Final = 0.001
_HELD: Final = next(user for user in map("held-{}".format, count()) if is_held_out(user, _SHARE, 1))
_CONTROL: Final = next(user for user in map("control-{}".format, count()) if is_control(user, "next", _SHARE, 1))
"""Two of few. Of 0.001 of the shoppers, to meet none among some is no wonder, nor one."""


def _drawn_holdout(run: Made) -> None:
    run.rules(holdout_share=_SHARE)
    run.push(0, user=_HELD)


def _held_out_but_not_drawn(run: Made) -> None:
    run.rules(holdout_share=_SHARE)
    run.decide(run.event(0, "view"), "holdout")


def _drawn_control(run: Made) -> None:
    run.rules(control_shares={"next": _SHARE})
    run.push(0, user=_CONTROL)


def _control_that_is_not_drawn(run: Made) -> None:
    run.rules(control_shares={"next": _SHARE, "another": 0.0})
    run.decide(run.event(0, "view"), "control")


def _nobody_held_out(run: Made) -> None:
    """Whoever draws them wrong, and whoever draws them anew just as wrong: of so many some would be."""
    seed = next(seed for seed in count() if not is_held_out(BLUE, 0.5, seed))
    run.rules(holdout_share=0.5, groups_seed=seed)
    lucky = (user for user in map("lucky-{}".format, count()) if not is_held_out(user, 0.5, seed))
    for n, user in enumerate(islice(lucky, 40)):
        run.push(n, user=user)


def _everybody_a_control(run: Made) -> None:
    run.rules(control_shares={"another": 0.1})
    unlucky = (user for user in map("unlucky-{}".format, count()) if is_control(user, "another", 0.1, 1))
    for n, user in enumerate(islice(unlucky, 15)):
        run.decide(run.event(n, "view", user), "control", user, "another")


def _everybody_in_an_arm(run: Made) -> None:
    blues = (user for user in map("blue-{}".format, count()) if arm_of(user, made.RULES.experiments[0]) == "blue")
    for n, user in enumerate(islice(blues, 1, 8)):
        run.decide(run.event(n, "view", user), "min_gap", user)


PLANTED: Final[Plants] = {
    "holdout": ("holdout", _holdout),
    "control": ("control", _control),
    "holdout told later": ("holdout", _holdout_that_is_told_later),
    "control told later": ("control", _control_that_is_told_later),
    "arm": ("arm", _another_arm),
    "arm of a candidate": ("arm", _candidate_of_another_arm),
    "arm before ranking": ("arm", _arm_before_ranking),
    "no arm": ("arm", _no_arm),
    "no arm before ranking": ("arm", _no_arm_before_ranking),
    "no arm of a candidate": ("arm", _no_arm_of_a_candidate),
    "no arm of what others tell": ("arm", _no_arm_of_what_others_tell),
    "no such arm": ("arm", _no_such_arm),
    "no such experiment": ("arm", _no_such_experiment),
    "drawn holdout": ("holdout", _drawn_holdout),
    "held out but not drawn": ("holdout", _held_out_but_not_drawn),
    "drawn control": ("control", _drawn_control),
    "a control that is not drawn": ("control", _control_that_is_not_drawn),
    "nobody held out": ("shares", _nobody_held_out),
    "everybody a control": ("shares", _everybody_a_control),
    "everybody in an arm": ("shares", _everybody_in_an_arm),
}
