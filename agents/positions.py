"""Whether a task may go on from its own row: what the group says, where its inputs end, and the settings of then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streamer.core.units import changed

if TYPE_CHECKING:
    from collections.abc import Mapping


class PositionsDisagreeError(RuntimeError):
    """The task's own row and the group's committed offsets name different positions."""


class UnitsChangedError(RuntimeError):
    """A setting was changed that the task's rows cannot be read without."""


def check_units(task: str, written: Mapping[str, int], given: Mapping[str, int]) -> None:
    """Raise ``UnitsChangedError`` unless the units of the settings are those that the rows were written with."""
    if told := changed(written, given):
        raise UnitsChangedError(
            f"task {task}: {told}. Its rows would be misread. "
            "Put the setting back, or begin anew under another topics.prefix."
        )


def check_group(task: str, ours: Mapping[str, int], committed: Mapping[str, int], *, known: bool) -> None:
    """Raise ``PositionsDisagreeError`` where the group's offset is not the row's. ``known``: there is a row."""
    for topic, offset in committed.items():
        mine = ours.get(topic)
        if mine != offset and (known or offset > 0):
            raise PositionsDisagreeError(
                f"task {task}: the consumer group stands at {topic}:{offset}, the task's own row at {mine}. "
                "One of them was reset or lost. To go on from the task's row, which belongs to the tables, delete the "
                "group's offsets; to fold again from the group's offsets, the tables and their changelogs must be "
                "deleted too."
            )


def check_end(task: str, topic: str, position: int, end: int) -> None:
    """Raise ``PositionsDisagreeError`` where a position lies beyond its input's end."""
    if position > end:
        raise PositionsDisagreeError(
            f"task {task}: it has folded {topic} up to {position}, and the topic ends at {end}. "
            "The topic was made anew, or has lost its tail: what is written to it now would be passed over up to "
            "there. Bring the topic back, or begin anew under another topics.prefix."
        )
