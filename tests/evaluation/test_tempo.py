"""A log at another tempo (``load_tests/tempo.py``): the same lists, judged target by target."""

from __future__ import annotations

from itertools import pairwise

import pytest

from load_tests.tempo import METRICS, above, at_tempo
from streamer.core.settings import CoreSettings
from streamer.evaluation.run import evaluate
from streamer.evaluation.settings import EvaluateSettings
from tests.evaluation.shop import shop

SETTINGS = EvaluateSettings(baselines="none", core=CoreSettings())


def run(tempo):
    return evaluate(at_tempo(shop(), tempo), SETTINGS, outcomes=True)


def test_only_the_times_are_others():
    for tempo in (4.0, 0.25):
        slow = list(at_tempo(shop(), tempo))
        assert [(e.user, e.id, e.fingerprint, e.lines) for e in slow] == [
            (e.user, e.id, e.fingerprint, e.lines) for e in shop()
        ]
        gaps = [[later.time - one.time for one, later in pairwise(events)] for events in (slow, shop())]
        assert gaps[0] == pytest.approx([gap / tempo for gap in gaps[1]], abs=1)
        assert slow[0].time == shop()[0].time


def test_at_its_own_tempo_a_log_is_worth_what_it_is_worth_and_slower_something_else():
    """And the differences are those of the figures."""
    own, slow = run(1.0), run(1.0 / 1024)
    nothing = above(own, own, 20)
    assert nothing == {kind: dict.fromkeys(METRICS, (0.0, 0.0, 0.0)) for kind in ("next", "discover")}
    for kind, (one, other) in {"next": (slow, own), "discover": (slow.discover, own.discover)}.items():
        for metric, (by, low, high) in above(slow, own, 20)[kind].items():
            assert by == pytest.approx(one.metrics[metric] - other.metrics[metric], abs=2e-6)
            assert low <= by <= high
    assert slow.digest != own.digest


def test_a_tempo_at_which_moments_fall_together_is_refused():
    alone = shop(users=1)
    fast, own = (evaluate(at_tempo(alone, tempo), SETTINGS, outcomes=True) for tempo in (1e9, 1.0))
    with pytest.raises(ValueError, match="fall together"):
        above(fast, own, 20)
