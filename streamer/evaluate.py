"""How well the engine ranks, on a log and without a broker: the front of ``streamer.evaluation``, which says how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from streamer.evaluation.report import Report
from streamer.evaluation.run import evaluate
from streamer.evaluation.settings import EvaluateSettings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streamer.core.events import Event
    from streamer.core.settings import CoreSettings

__all__ = ["EvaluateSettings", "Report", "evaluate", "evaluate_events"]


def evaluate_events(
    events: Iterable[Event], core: CoreSettings, *, every: int = 1, learn_every: int = 0, baselines: str = "all"
) -> dict[str, Any]:
    """``evaluate`` for callers that hold events: the report as its JSON has it."""
    report = evaluate(events, EvaluateSettings(every, learn_every, baselines, core))
    return dict(msgspec.to_builtins(report))
