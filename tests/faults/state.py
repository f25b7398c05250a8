"""The rows of tables and internal topics, as far as a plain fold can tell what they must hold.

A row is a version byte and a msgpack array. A profile's lists are little-endian rows packed into bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Final

import msgspec

from tests.faults import load, plain, timed
from tests.faults.walk import Breach

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.evidence import Evidence
    from tests.faults.plain import Rec, Shopper, Standing
    from tests.faults.timed import Timers
    from tests.faults.walk import Walked

RECENT: Final = struct.Struct("<QIIHHHIII")
BOUGHT: Final = struct.Struct("<QIIB")
SEEN_BYTES: Final = 12
NOTHING_SAID: Final = plain.Standing()
NO_TIMERS: Final = timed.Timers()


def row(value: bytes, *versions: int) -> Any:
    """The body of a row. Raises ``ValueError`` for a version (1 unless told) that this checker was not written for."""
    if value[0] not in (versions or (1,)):
        raise ValueError(f"a row of version {value[0]}: this checker reads {versions or (1,)}")
    return msgspec.msgpack.decode(value[1:])


def task_row(value: bytes | None) -> dict[str, Any]:
    """A task's own row: ``positions`` and ``now``."""
    found: dict[str, Any] = row(value) if value is not None else {"positions": {}, "now": 0}
    return found


def positions(evidence: Evidence, role: str, partition: int) -> dict[str, int]:
    """The next offset of each input, from the newest committed row of the task."""
    rows = evidence.last_rows(f"changelog-{role}-tasks", partition)
    found: dict[str, int] = task_row(rows.get(str(partition).encode()))["positions"]
    return found


def shoppers(evidence: Evidence, walked: Walked, partition: int) -> Iterator[Breach]:
    """1: the rows of a user task against the walk's shoppers of its partition."""
    here = {
        user: shopper
        for user, shopper in walked.shoppers.items()
        if load.partition_of(user.encode(), evidence.partitions) == partition
    }
    for table in ("profile", "seen", "policy"):
        rows = evidence.table("user", partition, table)
        for user in sorted(here.keys() | {key.decode() for key in rows}):
            value = rows.get(user.encode())
            shopper = here.get(user, plain.Shopper())
            if table == "policy":
                found, due = _policy(value, shopper, walked.timers.get(user, NO_TIMERS))
            else:
                found, due = (_profile if table == "profile" else _seen)(value, shopper)
            if found != due:
                field, is_, should = next(
                    (name, found.get(name), due.get(name)) for name in due | found if found.get(name) != due.get(name)
                )
                yield Breach(1, f"user-{partition} table {table} key {user}", f"{field} is {is_}, not {should}")


def due(evidence: Evidence, walked: Walked, partition: int) -> Iterator[Breach]:
    """1: table ``due`` has a row for each shopper with a timer, at their ``wake_ms``, and one for each with slates."""
    here = {
        f"{timers.wake_ms:015d}/{user}".encode()
        for user, timers in walked.timers.items()
        if timers.wake_ms and load.partition_of(user.encode(), evidence.partitions) == partition
    }
    here |= {key.encode() for key in walked.responses[partition].due()}
    rows = evidence.table("user", partition, "due")
    for key in sorted(here ^ rows.keys()):
        what = "should not be there" if key in rows else "is missing"
        yield Breach(1, f"user-{partition} table due key {key.decode()}", f"the row {what}")
    own = evidence.last_rows("changelog-user-tasks", partition).get(str(partition).encode())
    told, armed = task_row(own).get("timers", 0), _armed(evidence, partition)
    if told != armed:
        yield Breach(1, f"changelog-user-tasks:{partition}", f"{told} timers are said to be armed, of {armed}")


def _armed(evidence: Evidence, partition: int) -> int:
    return sum(len(row(value)[2]) for value in evidence.table("user", partition, "policy").values())


Told = tuple[dict[str, Any], dict[str, Any]]


def _profile(value: bytes | None, shopper: Shopper) -> Told:
    profile, due, found = shopper.profile, {}, {}
    if profile is not None:
        due = {
            "first_ms": profile.first_ms,
            "last_ms": profile.last_ms,
            "counts": list(profile.counts.values()),
            "sessions": profile.sessions,
            "session_start_ms": profile.session_start_ms,
            "session_events": profile.session_events,
            "items": [[plain.item_key(item), *rest] for item, rest in profile.items.items()],
            "searches": [list(search) for search in profile.searches.items()],
            "purchased": [[plain.item_key(item), *rest] for item, rest in profile.purchased.items()],
            "hours": [number for hour in profile.hours.items() for number in hour],
        }
    if value is not None:
        body = row(value, 4)
        found = dict(zip(("first_ms", "last_ms", "counts"), body, strict=False))
        found |= dict(zip(("sessions", "session_start_ms", "session_events"), body[3:6], strict=False))
        if len(body) > 14:
            found["items"] = [[r[0], r[1], *r[3:6]] for r in RECENT.iter_unpack(body[6])]
            found["searches"] = body[13]
            found["purchased"] = [list(r) for r in BOUGHT.iter_unpack(body[14])]
            found["hours"] = list(body[15])
    return found, due


def _seen(value: bytes | None, shopper: Shopper) -> Told:
    due = b"".join(mark.to_bytes(8, "little") + at.to_bytes(4, "little") for mark, at in shopper.seen)
    return {"seen": (value or b"").hex(" ", SEEN_BYTES)}, {"seen": due.hex(" ", SEEN_BYTES)}


def _policy(value: bytes | None, shopper: Shopper, timers: Timers) -> Told:
    due = _standing(shopper.standing or NOTHING_SAID)
    names = list(due)
    due["sent"] = [[at, campaign, [plain.item_key(item) for item in items]] for at, campaign, items, _ in shopper.sent]
    due |= {"armed": [timer.row for timer in timers.armed], "wake_ms": timers.wake_ms}
    if value is None:
        return _standing(NOTHING_SAID) | {"sent": [], "armed": [], "wake_ms": 0}, due
    standing, sent, armed, wake_ms = row(value)
    found = dict(zip(names, standing, strict=True))
    return found | {"sent": [push[:3] for push in sent], "armed": armed, "wake_ms": wake_ms}, due


def _standing(standing: Standing) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name in plain.WORDS:
        word, at = standing.words.get(name, (None, 0))
        if name == "channels" and word is not None:
            word = plain.spelled(word)
        elif name == "quiet_hours" and word is not None:
            word = [int(clock[:2]) * 60 + int(clock[3:]) for clock in word]
        fields |= {name: word, f"{name}_ms": at}
    fields |= {"unsubscribed_ms": standing.unsubscribed_ms, "erased_ms": standing.erased_ms}
    fields["dismissals"] = standing.dismissals
    for what in ("dismissed", "delivered", "opened", "clicked", "converted"):
        fields[what] = standing.taken.get(what, 0)
    return fields | {
        "engaged_ms": standing.engaged_ms,
        "dismissed_marks": standing.dismissed,
        "failed_marks": standing.failed,
        "answered_marks": standing.answered,
    }


def items(evidence: Evidence, walked: Walked) -> Iterator[Breach]:
    """1: the item tables count every applied line once; 2: what is published is what the table holds."""
    due = {f"{plain.item_key(name):016x}": (name, item) for name, item in walked.items.items()}
    counted: set[str] = set()
    for partition in range(evidence.item_partitions):
        published = evidence.last_rows("item-index", partition)
        for raw, value in sorted(evidence.table("item", partition, "items").items()):
            key, body = raw.decode(), row(value)
            counted.add(key)
            where = f"item-{partition} table items key {key}"
            if key not in due:
                if not body[1]:
                    continue  # a row that is no item: what an item was bought with, or a query's or newcomers' choices
                yield Breach(1, where, f"counts {body[2:6]} of an item that nobody touched")
                continue
            name, item = due[key]
            told = [name, *(item.counts[kind] for kind in ("view", "cart", "purchase", "other"))]
            if body[1:8] != [*told, item.first_ms, item.last_ms]:
                yield Breach(1, where, f"is {body[1:8]}, not {[*told, item.first_ms, item.last_ms]}")
            if (index := published.get(raw)) is None or msgspec.msgpack.decode(index)[1:5] != body[1:5]:
                yield Breach(2, where, "is not what item-index says")
    for key in sorted(due.keys() - counted):
        yield Breach(1, f"table items key {key}", f"{due[key][0]} was touched, but there is no row")


def example(rec: Rec) -> list[Any] | None:
    """The fields of a labelled example; None for a test's poison."""
    try:
        body = msgspec.msgpack.decode(rec.value or b"")
    except msgspec.DecodeError:
        return None
    return body if isinstance(body, list) and len(body) == 9 else None


def learned(evidence: Evidence) -> Iterator[Breach]:
    """9: the trainer has met each example once."""
    yield from met(evidence, "examples", "trainer/learner", 1, example)


def met(evidence: Evidence, what: str, row: str, at: int, which: Callable[[Rec], object]) -> Iterator[Breach]:
    """9: a row of the trainer counts, in its column ``at``, as many of topic ``examples``' records as are there."""
    due = sum(which(rec) is not None for rec in evidence.all("examples"))
    value = evidence.table("trainer", 0, "model_state").get(row.encode())
    counted = msgspec.msgpack.decode(value)[at] if value is not None else 0
    if counted != due:
        yield Breach(9, f"trainer-0 table model_state key {row}", f"met {counted} {what} of {due}")
