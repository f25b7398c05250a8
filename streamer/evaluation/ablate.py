"""What each family is worth: the run once more without it, and the difference on the very same targets.

A family is a generator and the group of features of its name, or a group of features that no generator stands for.
Every run learns a model of its own from the start: what others can make up for is not credited to the family.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from streamer.core.candidates.registry import GENERATORS
from streamer.core.features import FEATURES
from streamer.evaluation.outcomes import Outcomes, compare
from streamer.evaluation.run import evaluate
from streamer.evaluation.series import OURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from streamer.core.events import Event
    from streamer.evaluation.bootstrap import Difference
    from streamer.evaluation.settings import EvaluateSettings


class Ablation(msgspec.Struct, frozen=True):
    """What is lost without a family: [by, low, high] by metric, for each kind of list; and the median list without."""

    next: dict[str, Difference]
    discover: dict[str, Difference]
    list_ms: float
    digest: str


def families() -> list[str]:
    """The names of all families: those of generators, then those of feature groups without one."""
    return list(dict.fromkeys([*(g.name for g in GENERATORS), *(f.group for f in FEATURES)]))


def without(settings: EvaluateSettings, family: str) -> EvaluateSettings:
    """The settings with a family switched off, without baselines. Raises ValueError if there is no such family."""
    if family not in families():
        raise ValueError(f"no family {family!r}: there are {', '.join(families())}")
    retrieval = settings.core.retrieval
    if family in {generator.name for generator in GENERATORS}:
        retrieval = replace(retrieval, without=(*retrieval.without, family))
    if family in {feature.group for feature in FEATURES}:
        retrieval = replace(retrieval, without_features=(*retrieval.without_features, family))
    return replace(settings, core=replace(settings.core, retrieval=retrieval), baselines="none")


def ablate(
    events: Callable[[], Iterable[Event]],
    settings: EvaluateSettings,
    full: dict[str, Outcomes],
    names: Sequence[str],
    progress: Callable[[int], None] | None = None,
) -> dict[str, Ablation]:
    """Run once without each of the families ``names`` and compare with the outcomes of the ``full`` run.

    ``events`` gives the same events at every call. Raises ValueError for a family there is not.
    """
    runs = {name: without(settings, name) for name in names}
    found = {}
    for name, one in runs.items():
        report = evaluate(events(), replace(one, replicates=0), progress, outcomes=True)
        assert report.outcomes is not None
        lost = {
            kind: compare(full[kind], report.outcomes[kind], OURS, settings.replicates, settings.seed) for kind in full
        }
        found[name] = Ablation(lost["next"], lost["discover"], report.list_ms["p50"], report.digest)
    return found
