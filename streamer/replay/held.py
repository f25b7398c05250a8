"""What the item role or the trainer holds, and how far into its input: read from its changelogs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from agents.role import TaskRow
from agents.topics import changelog
from state.codecs import StructCodec
from streamer.inspect import last_rows

if TYPE_CHECKING:
    from streamer.settings import Settings

_TASK: Final = StructCodec(TaskRow)

#: A role commits once a second at most, and its changelogs are read one after the other.
ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Held:
    """The rows of a table as of input offset ``at``; ``None`` if commits came in between whenever it was read.

    ``units``: as in ``TaskRow``.
    """

    at: int
    rows: dict[bytes, bytes] | None
    units: dict[str, int] = field(default_factory=dict)


async def held(settings: Settings, role: str, table: str, topic: str, partition: int) -> Held:
    """Of one task of a role, whose input is ``topic``. Without a commit so far it holds nothing, as of offset 0."""
    client, physical = settings.kafka.client_kwargs(), settings.topics.physical

    async def task() -> TaskRow:
        rows = await last_rows(client, physical(changelog(role, "tasks")), partition)
        row = rows.get(str(partition).encode())
        return TaskRow({}) if row is None else _TASK.decode(row)

    row = await task()
    for _ in range(ATTEMPTS):
        rows = await last_rows(client, physical(changelog(role, table)), partition)
        after = await task()
        if (at := row.positions.get(topic, 0)) == after.positions.get(topic, 0):
            return Held(at, rows, row.units)
        row = after
    return Held(row.positions.get(topic, 0), None, row.units)
