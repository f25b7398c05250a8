"""Changing evidence, to see whether the checker notices."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.faults.evidence import Evidence, Store
    from tests.faults.plain import Rec


def doctored(evidence: Evidence) -> Evidence:
    """A copy whose lists and tables may be changed; the records themselves cannot."""
    topics = {name: {p: list(records) for p, records in parts.items()} for name, parts in evidence.topics.items()}
    stores = copy.deepcopy(evidence.stores)
    return replace(
        evidence,
        topics=topics,
        stores=stores,
        offsets=dict(evidence.offsets),
        rss=dict(evidence.rss),
        shadow=copy.deepcopy(evidence.shadow),
    )


def change(evidence: Evidence, rec: Rec, **fields: Any) -> None:
    """Put another record in the place of one."""
    records = evidence.topics[rec.topic][rec.partition]
    records[records.index(rec)] = replace(rec, **fields)


def change_json(evidence: Evidence, rec: Rec, edit: Callable[[dict[str, Any]], None]) -> None:
    body = json.loads(rec.value or b"{}")
    edit(body)
    change(evidence, rec, value=json.dumps(body).encode())


def drop(evidence: Evidence, rec: Rec) -> None:
    evidence.topics[rec.topic][rec.partition].remove(rec)


def again(evidence: Evidence, rec: Rec) -> None:
    """The record once more, at the end of its partition."""
    records = evidence.topics[rec.topic][rec.partition]
    records.append(replace(rec, offset=records[-1].offset + 1))


def middle(evidence: Evidence, topic: str, wanted: Callable[[Rec], bool] = lambda _: True) -> Rec:
    found = [rec for rec in evidence.all(topic) if wanted(rec)]
    return found[len(found) // 2]


def newest(evidence: Evidence, role: str, partition: int = 0) -> Store:
    store = evidence.newest(role, partition)
    assert store is not None
    return store


def busy_row(rows: dict[bytes, bytes]) -> bytes:
    """The key of the longest row."""
    return max(rows, key=lambda key: len(rows[key]))
