"""The checker has nothing to say of the engine itself, whatever shoppers do; but it has of an engine with a rule less.

So it neither cries wolf nor is it blind, and both are seen in runs that nobody made up for it.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

from streamer.core.policy import verdict
from streamer.core.policy.experiments import Arm, Experiment
from tests.governance.checker import check
from tests.governance.made import MINUTE_MS
from tests.governance.random_run import Crowd, Site, core_of
from tests.governance.test_planted import ENGINE, PLANTED

BOLDER: Final = (("per_day", 9), ("per_hour", 5), ("min_gap_ms", 0), ("expiry_ms", 120 * MINUTE_MS))
CAREFUL: Final = (("score_threshold", 0.02), ("fatigue_bits", 0.5), ("require_consent", True), ("per_hour", 1))
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
    "out_of_order": {"per_hour": 9, "per_day": 20, "per_week": 0, "min_gap_ms": 0, "least_worth": -1.0},
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
