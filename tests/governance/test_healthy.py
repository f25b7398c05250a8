"""The checker has nothing to say of the engine itself, whatever shoppers do; but it has of an engine with a rule less.

So it neither cries wolf nor is it blind, and both are seen in runs that nobody made up for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from streamer.core.decide import Deciding
from streamer.core.policy import candidate, fatigue, holdout, verdict
from streamer.core.policy.experiments import Arm, Experiment
from streamer.core.policy.groups import held_out
from tests.governance.checker import check
from tests.governance.made import MINUTE_MS
from tests.governance.random_run import Crowd, Site, core_of
from tests.governance.test_planted import ENGINE, PLANTED

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamer.core.policy.proposal import Proposal

BOLDER: Final = (("per_day", 9), ("per_hour", 5), ("min_gap_ms", 0), ("expiry_ms", 120 * MINUTE_MS))
CAREFUL: Final = (("score_threshold", 0.02), ("fatigue_bits", 0.5), ("require_consent", True), ("per_week", 3))
EXPERIMENTS: Final = (
    Experiment("often", (Arm("as-now", 0.5), Arm("bolder", 0.5, BOLDER))),
    Experiment("fussy", (Arm("as-now", 0.7), Arm("careful", 0.3, CAREFUL)), "salt"),
)
SETTINGS: Final[dict[str, dict[str, Any]]] = {
    "few pushes": {},
    "arms": {"experiments": EXPERIMENTS, "holdout_share": 0.1},
    "tired": {"score_threshold": 0.02, "fatigue_bits": 0.25, "holdout_share": 0.3},
    "worth": {"worth_by": "uplift", "least_worth": 0.0, "try_share": 0.3},
    "often": {"rank_rate": 0.5, "per_hour": 9, "per_day": 20, "per_week": 0, "min_gap_ms": 0, "repeat_window_ms": 0},
}
STRICT: Final[dict[str, Any]] = {
    "score_threshold": 0.02,
    "fatigue_bits": 0.25,
    "least_worth": 0.03,
    "holdout_share": 0.2,
    "rank_rate": 0.8,
}
"""With these nearly every rule has something to refuse; with those below the others have, too."""
OF_ONE: Final[dict[str, dict[str, Any]]] = {
    "out_of_order": {
        "per_hour": 9,
        "per_day": 20,
        "per_week": 0,
        "min_gap_ms": 0,
        "least_worth": -1.0,
        "rank_rate": 1.0,
    },
    "min_gap": {"min_gap_ms": 120 * MINUTE_MS, "per_hour": 9},
    "hour_cap": {"per_hour": 1, "min_gap_ms": 0, "per_day": 20, "per_week": 0, "category_per_day": 0},
    "no_gain": {"worth_by": "uplift", "least_worth": -1e9},
    "over_budget": {"try_share": 1.0},
}


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_the_engine_breaks_no_rule(settings: dict[str, Any]):
    """Whatever shoppers do, in whatever order it comes."""
    found = check(Crowd(Site(core_of(**settings)), 1).act(2000, 20.0))
    assert not found.violations, "\n".join(map(str, found.violations[:20]))
    assert found.pushes > 100


@pytest.mark.slow
@pytest.mark.parametrize("rule", ENGINE)
def test_an_engine_with_a_rule_less_is_found_out(rule: str, monkeypatch: pytest.MonkeyPatch):
    """By that rule, and by no other."""
    monkeypatch.setattr(verdict, "_CHEAP", tuple(asked for asked in verdict._CHEAP if asked[0] != rule))
    for name in ("ITEM_RULES", "FINAL_RULES"):
        monkeypatch.setattr(verdict, name, tuple(asked for asked in getattr(verdict, name) if asked.name != rule))
    found = check(Crowd(Site(core_of(**(STRICT | OF_ONE.get(rule, {})))), 1).act(1200, 12.0))
    assert found.counts.keys() == {PLANTED[ENGINE[rule]][0]}


def _ghosts_do_not_count(patch: pytest.MonkeyPatch) -> None:
    remember = Deciding._remember

    def unless_held_back(deciding: Deciding, proposal: Proposal, *, ghost: bool) -> None:
        if not ghost:
            remember(deciding, proposal, ghost=ghost)

    patch.setattr(Deciding, "_remember", unless_held_back)


def _nobody_is_tired(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(fatigue, "price", lambda _case, _settings: 1.0)


def _everything_holds_for_longer(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(candidate, "expiry_ms", lambda _case, settings: 2 * settings.expiry_ms)


def _another_holdout(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(holdout, "held_out", lambda user, part, seed: held_out(user, part, seed + 1))


def _everybody_in_the_first_arm(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Experiment, "arm", lambda experiment, _user: experiment.arms[0])


ERRORS: Final[dict[Callable[[pytest.MonkeyPatch], None], set[str]]] = {
    _ghosts_do_not_count: {"cap", "min_gap", "repeat", "campaign_cap", "category_cap"},
    _nobody_is_tired: {"low_score"},
    _everything_holds_for_longer: {"expiry"},
    _another_holdout: {"holdout"},
    _everybody_in_the_first_arm: {"arm"},
}


@pytest.mark.slow
@pytest.mark.parametrize("error", ERRORS, ids=lambda error: error.__name__.strip("_"))
def test_an_engine_that_errs_in_another_way_is_found_out(
    error: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
):
    """Where it is not a rule that is missing, but what the rule looks at."""
    error(monkeypatch)
    found = check(
        Crowd(Site(core_of(experiments=EXPERIMENTS, holdout_share=0.2, score_threshold=0.02)), 1).act(1200, 12.0)
    )
    assert ERRORS[error] & found.counts.keys()
