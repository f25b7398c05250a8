"""The invariants on who watches what and how far that was told; part of the checker."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults import state
from tests.faults.walk import Breach

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.faults.evidence import Evidence
    from tests.faults.walk import Walked


def rows(evidence: Evidence, walked: Walked, partition: int) -> Iterator[Breach]:
    """1: table ``watch`` follows from events and from where the catalog stood, and so does how far it was told of."""
    watching = walked.watching[partition]
    due = watching.table
    found = {key: state.row(value) for key, value in evidence.table("user", partition, "watch").items()}
    for key in sorted(due.keys() | found.keys()):
        if found.get(key) != due.get(key):
            what = f"the row is {found.get(key)}, not {due.get(key)}"
            yield Breach(1, f"user-{partition} table watch key {key.decode()}", what)
    own = evidence.last_rows("changelog-user-tasks", partition).get(str(partition).encode())
    if own is not None:
        row = state.task_row(own)
        told = row.get("watched", 0), row.get("swept", 0), row.get("swept_after", "")
        if told != (len(due), *watching.swept):
            what = f"{told} are rows watched and changes told, not {(len(due), *watching.swept)}"
            yield Breach(1, f"changelog-user-tasks:{partition}", what)
