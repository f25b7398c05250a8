"""``streamer verify``: two runs of the same records, such as the live one and its shadow; are they the same?"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec

from agents.clients import read_topic
from agents.roles.user import UserRole
from state.errors import StateLocked
from state.rocks import RocksMemory, open_store
from state.store import TaskIdentity
from streamer.replay.compare import Difference, Rows, Task, Window, first_difference, first_row, in_both, sent
from streamer.replay.errors import ReplayRefused
from streamer.replay.live import live
from streamer.replay.target import CANDIDATES, shadow_path

if TYPE_CHECKING:
    from streamer.settings import Settings

LIVE: Final = "live"
TABLES: Final = ("profile", "policy", "seen", "pending", "due", "slates", "watch")


@dataclass(slots=True)
class Verdict:
    """``first``: where the runs part, the earliest of each task; ``apart``: tables that cannot be compared, and why."""

    candidates: int = 0
    rows: int = 0
    first: list[Difference] = field(default_factory=list)
    apart: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether everything was compared and is the same."""
        return not self.first and not self.apart

    def shown(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"equal": self.equal, **asdict(self)}


async def verify(settings: Settings, a: str, b: str) -> Verdict:
    """Compare the runs called ``a`` and ``b``: ``live``, or the name of a shadow. Raises ``ReplayRefused``."""
    if LIVE in (a, b) and a == b:
        raise ReplayRefused("a run is always like itself: name two")
    runs = {name: await _shadow(settings, name) for name in (a, b) if name != LIVE}
    if LIVE in (a, b):
        windows = [task.window for task in next(iter(runs.values()))]
        runs[LIVE] = await live(settings, windows)
        await _candidates(settings, CANDIDATES, runs[LIVE])
    return compare_runs(runs[a], runs[b], (a, b))


def compare_runs(a: list[Task], b: list[Task], names: tuple[str, str]) -> Verdict:
    """Task by task, candidates where both windows reach, tables where both ends are the same."""
    verdict = Verdict()
    for partition, (mine, theirs) in enumerate(zip(a, b, strict=True)):
        ours = [in_both(run.candidates, mine.window, theirs.window) for run in (mine, theirs)]
        verdict.candidates += max(len(ours[0]), len(ours[1]))
        if found := first_difference(ours[0], ours[1], names):
            verdict.first.append(found)
        if why := mine.unknown or theirs.unknown:
            verdict.apart.append(f"the tables of task {partition} cannot be compared: {why}")
            continue
        if mine.window.end != theirs.window.end:
            verdict.apart.append(
                f"the tables of task {partition} cannot be compared: {names[0]} has folded to {mine.window.end}, "
                f"{names[1]} to {theirs.window.end}"
            )
            continue
        for table in TABLES:
            verdict.rows += len(mine.tables[table].keys() | theirs.tables[table].keys())
            if found := first_row(f"{table}, task {partition}, key", mine.tables[table], theirs.tables[table]):
                verdict.first.append(found)
    return verdict


async def _candidates(settings: Settings, name: str, tasks: list[Task]) -> None:
    for record in await read_topic(settings.kafka.client_kwargs(), settings.topics.physical(name)):
        tasks[record.partition].candidates.append(sent(record.value))


async def _shadow(settings: Settings, name: str) -> list[Task]:
    tasks = []
    memory = RocksMemory(settings.state)
    for partition in range(settings.topics.partitions):
        path = shadow_path(settings, name) / str(partition)
        if not path.exists():
            raise ReplayRefused(f"there is no shadow {name!r} at {path}: `streamer replay --into {name}` makes it")
        identity = TaskIdentity("user", partition, settings.topics.partitions, settings.topics.prefix)
        try:
            store = open_store(path, UserRole.tables, identity, settings.state, memory)
        except StateLocked as error:
            raise ReplayRefused(f"a replay still works on shadow {name!r}: {error}") from error
        try:
            raw = store.meta("window")
            if raw is None:
                raise ReplayRefused(f"the replay that was to fill {path} did not come to its first commit")
            tables: dict[str, Rows] = {table: {} for table in TABLES}
            for table, key, row in store.committed_rows():
                if table in tables:
                    tables[table][key] = row
        finally:
            store.close()
        tasks.append(Task(msgspec.json.decode(raw, type=Window), tables))
    await _candidates(settings, f"{CANDIDATES}.{name}", tasks)
    return tasks
