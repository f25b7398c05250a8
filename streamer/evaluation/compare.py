"""Comparing a run with an earlier one, target by target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from streamer.evaluation.outcomes import Outcomes, compare
from streamer.evaluation.series import OURS

if TYPE_CHECKING:
    from pathlib import Path

    from streamer.evaluation.bootstrap import Difference


class _Kept(msgspec.Struct):
    outcomes: dict[str, Outcomes] | None = None


def read_outcomes(path: Path) -> dict[str, Outcomes]:
    """The outcomes in a report. Raises ValueError if it is no report or was written without them."""
    try:
        kept = msgspec.json.decode(path.read_bytes(), type=_Kept).outcomes
    except msgspec.DecodeError as error:
        raise ValueError(f"{path}: no report of streamer evaluate ({error})") from None
    if kept is None:
        raise ValueError(f"{path}: a report without outcomes; write it with --json and --outcomes")
    return kept


def against(
    ours: dict[str, Outcomes], theirs: dict[str, Outcomes], replicates: int
) -> dict[str, dict[str, Difference]]:
    """By how much the engine of our run is above the engine of theirs, by kind of list and metric.

    Raises ValueError if they did not judge the same lists.
    """
    return {kind: compare(one, theirs[kind], OURS, replicates) for kind, one in ours.items() if kind in theirs}
