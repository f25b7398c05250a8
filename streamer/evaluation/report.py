"""What an evaluation found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from streamer.evaluation.outcomes import Outcomes  # noqa: TC001 - msgspec reads the annotation

if TYPE_CHECKING:
    from collections.abc import Mapping


class ListReport(msgspec.Struct, frozen=True, kw_only=True):
    """What one kind of list was worth. ``groups`` are the lists judged.

    ``beyond``: novelty, coverage, gini and diversity by ranking, ``streamer`` the engine's. ``intervals``: of the
    metrics by ranking, [low, high]; ``lead``: by how much the engine is above each baseline, [by, low, high]; empty
    without a bootstrap.
    """

    groups: int
    targets: int
    metrics: dict[str, float]
    baselines: dict[str, dict[str, float]]
    beyond: dict[str, dict[str, float]]
    intervals: dict[str, dict[str, tuple[float, float]]]
    lead: dict[str, dict[str, tuple[float, float, float]]]


class Report(ListReport, frozen=True, kw_only=True):
    """Of the list ``next``; ``discover`` has the same of the other. ``events`` are groups of one user and time.

    ``ranker``: log loss, AUC and calibration; ``retrieval``: the pool and what each family gave; ``curve``: hr@20 and
    mrr@20 by stretches of the run, by ranking; ``predictions``: of the shoppers' behaviour, prequential figures by
    predictor, null where there is nothing to tell; ``importance``: by model what its features weigh, the heaviest
    first; ``stages``: what each cost; ``baseline_ms``: mean ms of a list. What nobody can say of ``ranker`` is null.
    """

    events: int
    discover: ListReport
    missing: dict[str, str]
    events_per_second: float
    list_ms: dict[str, float]
    rss_mb: float
    digest: str
    ranker: dict[str, Any]
    retrieval: dict[str, Any]
    curve: dict[str, dict[str, list[float]]]
    stages: dict[str, dict[str, float]]
    baseline_ms: dict[str, float]
    model: str
    predictions: dict[str, dict[str, float | None]]
    importance: dict[str, dict[str, float]]
    outcomes: dict[str, Outcomes] | None = None


def ranked(told: Mapping[str, Any]) -> str:
    """How good ``Report.ranker`` says its probabilities are, in words, or why nobody can say."""
    if told["logloss"] is None:
        return "no list had anything to learn from"
    auc = "all rows came out alike, so no AUC" if told["auc"] is None else f"AUC {told['auc']:.4f}"
    return f"log loss {told['logloss']:.4f}, {auc}, calibration error {told['calibration_error']:.5f}"


def predicted(told: Mapping[str, Any]) -> str:
    """How well one of ``Report.predictions`` did, in words, or why nobody can say."""
    if not told["outcomes"]:
        return "nothing in this log to predict"
    outcomes = f"{told['outcomes']:,.0f} outcomes, {told['rate']:.3f} came true"
    if told["auc"] is None:
        return f"{outcomes}: as all came out alike, there is nothing to tell apart, and no AUC"
    first = f", the likeliest came true {told['first']:.3f}" if "first" in told else ""
    return (
        f"AUC {told['auc']:.4f}, log loss {told['logloss']:.4f}, calibration error {told['calibration_error']:.4f}; "
        f"{outcomes}{first}"
    )
