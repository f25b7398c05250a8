"""Lists that are kept and ranked again (``load_tests``) are worth what the evaluation finds them worth."""

from __future__ import annotations

from dataclasses import replace

import pytest

from load_tests.families import Without
from load_tests.kept import Lists, keep
from load_tests.vectors import Learned, ranked
from streamer.core.settings import CoreSettings
from streamer.evaluation.ablate import without
from streamer.evaluation.run import evaluate
from streamer.evaluation.settings import EvaluateSettings
from tests.evaluation.shop import shop

CORE = CoreSettings()
SETTINGS = EvaluateSettings(baselines="none", core=replace(CORE, vectors=replace(CORE.vectors, learn_rate=1.0)))
NO_VECTORS = replace(SETTINGS, core=replace(CORE, vectors=replace(CORE.vectors, learn_rate=0.0)))


@pytest.fixture(scope="module", name="lists")
def _lists() -> Lists:
    return keep(shop(), SETTINGS)


def found(report):
    return {
        **{name: report.metrics[name] for name in ("hr@20", "mrr@20", "hr@20_new")},
        **{f"discover_{name}": report.discover.metrics[name] for name in ("hr@20", "mrr@20")},
    }


def test_ranked_again_with_vectors_they_give_what_the_run_gives(lists):
    _, told = ranked(lists, Learned(lists, SETTINGS.core.vectors, "float16"), 0)
    expected = found(evaluate(shop(), SETTINGS))
    assert {name: told[name] for name in expected} == pytest.approx(expected, abs=1e-4)
    assert expected["mrr@20"] > 0.0
    assert told["steps"] == lists.steps[-1] > len(lists) / 2


# What goes first in a list may be another item without ``recent`` or ``trending``, so that other rows not taken up are
# drawn: a list or two of the 91 then come out otherwise.
@pytest.mark.parametrize(("family", "near"), [("recent", 0.02), ("trending", 0.02), ("sessions", 1e-3), ("item", 1e-3)])
def test_a_family_left_out_is_left_out_as_in_an_ablation(lists, family, near):
    again = Without(lists, family)
    for n in range(len(lists)):
        again.list(n, lists.features(n))
    expected = found(evaluate(shop(), without(NO_VECTORS, family)))
    assert again.places.figures() == pytest.approx(expected, abs=near)


def test_what_is_saved_is_read_as_it_was(lists, tmp_path):
    lists.save(tmp_path)
    again = Lists.load(tmp_path)
    assert all((values == vars(lists)[name]).all() for name, values in vars(again).items())
    assert len(again) == len(lists) > 100
