"""Faults of the broker, of the network to it, and of what lies in its topics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from tests.faults.checker import ROLES
from tests.faults.fault import ALL, Injected, first, over, sigkill
from tests.faults.meddle import send, truncate
from tests.faults.rig import READY_S

if TYPE_CHECKING:
    from random import Random

    from tests.faults.rig import Rig


def broker_restart(rig: Rig, random: Random) -> Injected:
    """The broker stops in order, stays away for a while, and comes back."""
    rig.site.broker.stop()
    rig.run(8 * random.random())
    rig.site.broker.start()
    return over("broker stopped and started", 1, *ALL)


def broker_kill(rig: Rig, random: Random) -> Injected:
    """The broker is killed."""
    rig.site.broker.kill()
    rig.run(4 * random.random())
    rig.site.broker.start()
    return over("broker killed and started", 1, *ALL)


def cut(rig: Rig, random: Random) -> Injected:
    """The network of one of two user workers is gone for longer than its session; then all it had said arrives."""
    other = rig.workers.add("user", 1, bootstrap=rig.site.proxied)
    rig.until("two workers ready", lambda: other.ready, READY_S)
    rig.run(1)
    since = time.monotonic()
    rig.site.proxy.cut()
    try:
        rig.recovered(("user",), since)
        rig.run(4 * random.random())
    finally:
        rig.site.proxy.heal()
    other.wanted = False
    rig.run(3)
    code = rig.workers.remove(other)
    return over(f"network of {other.name} cut, it ended with {code}", 1, "user")


def input_truncated(rig: Rig, random: Random) -> Injected:
    """What was committed is deleted from the input, and the worker killed: it must not miss it."""
    before = {
        (topic, p): random.randrange(offset) + 1
        for p in rig.follower.tasks("user")
        for topic, offset in rig.follower.applied("user", p).items()
        if offset > 1
    }
    rig.unreplayable = "input was deleted"
    truncate(rig.site.client, rig.prefix, before)
    worker = first(rig, "user")
    sigkill(rig, worker)
    return over(f"{len(before)} inputs truncated below the committed offset, {worker.name} killed", 2, "user")


def changelog_truncated(rig: Rig, random: Random) -> Injected:
    """A changelog begins above its first record, below what the local state stands at: the state must be kept."""
    worker = first(rig, random.choice(("user", "item")))
    code = rig.workers.end(worker)
    if code:
        raise AssertionError(f"{worker.name} was asked to stop and ended with {code}")
    table = ROLES[worker.role][1][0]
    before = {
        (f"changelog-{worker.role}-{table}", p): offset
        for p in rig.follower.tasks(worker.role)
        if (offset := rig.follower.last(f"changelog-{worker.role}-{table}", p)) > 1
    }
    begins = {tp: max(1, offset - random.randrange(20)) for tp, offset in before.items()}
    rig.unreplayable = "rows of changelogs were deleted"
    truncate(rig.site.client, rig.prefix, begins)
    worker.wanted = True
    return over(f"changelogs of {table} truncated below the stored position", 1, worker.role)


POISON: Final = (b"", b"\x00", b"\xff\xfe not msgpack", b"\x93\x01\x02", b"{}", b"\xc1" * 40, bytes(range(256)))


def poison(rig: Rig, random: Random) -> Injected:
    """Bytes that nobody can read, in the topics that only the system itself writes to, and in the catalog."""
    rows: list[tuple[str, int, bytes | None, bytes | None]] = []
    for bad in random.sample(POISON, 4):
        item = random.randrange(rig.settings.topics.item_partitions)
        rows += [
            ("item-updates", item, b"0", bad),
            ("examples", 0, b"0", bad),
            (
                "item-index",
                item,
                random.choice((b"", b"\xff\xfe", b"zz", f"{random.getrandbits(64):016x}".encode())),
                bad,
            ),
            ("model", 0, random.choice((b"", b"\xff", b"champion/", b"champion/nobody", b"metrics/champion")), bad),
            ("catalog", 0, random.choice((b"", b"\xff\xfe", b"item-1")), bad),
        ]
    send(rig.site.client, rig.prefix, rows)
    worker = first(rig, random.choice(ALL))
    sigkill(rig, worker)
    return over(f"{len(rows)} unreadable records in internal topics, {worker.name} killed", 2, *ALL)


def giant(rig: Rig, _: Random) -> Injected:
    """A record over the limit."""
    rig.publisher.also(rig.load.giants())
    return over("a record of 1.2 MB", 1, "user")
