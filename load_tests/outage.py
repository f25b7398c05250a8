"""A broker stopped or frozen for half a minute under load, and what ``at_least_once`` sends twice as workers die.

The load is open loop: what should have been sent while the broker was away is sent as soon as it is back. Caught up is
the first moment at which everything that was due by then has been committed. Then the same shop once more in the other
guarantee, its user workers killed again and again: each candidate that comes twice has the id it had before.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import orjson

from agents import faults
from load_tests.harness import Cluster, arguments, cluster, fixed_loop_s, journal_totals, machine, write
from load_tests.shop.load import shop
from load_tests.throughput import LEARN_RATE, RANK_RATE
from streamer.publish import publish

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WARM: Final = 30_000
CALM_S: Final = 5.0
#: For so long workers die, each four milliseconds after so many transactions' candidates were sent.
DYING_S: Final = 40.0
DEATH: Final = "after-candidate-send:20:kill@4"

#: What can be measured: how the broker is away, and what is sent twice with which guarantee.
AWAY: Final = ("stopped", "frozen")
DOUBLED: Final = ("exactly_once", "at_least_once")

#: A producer that gives up on a record is no open loop: it waits for the broker as long as it takes.
PATIENT: Final = {"request_timeout_ms": 300_000, "max_batch_size": 1 << 20}


async def under_load(
    made: Cluster, rate: float, seconds: float, seed: int, deed: Callable[[], Awaitable[None]]
) -> tuple[int, float]:
    """Warm up, then do the deed under load, and wait until everything is processed.

    How many events there were, and when (ms) the first of the load was due.
    """
    events = list(shop(WARM + int(rate * seconds), seed=seed))
    prefix = made.settings.topics.prefix
    await publish(events[:WARM], made.client, prefix=prefix, rate=0)
    await made.drained()
    began = time.time() * 1000
    sending = asyncio.create_task(publish(events[WARM:], made.client | PATIENT, prefix=prefix, rate=rate))
    tending = asyncio.create_task(tend(made))
    await asyncio.sleep(CALM_S)
    await deed()
    await sending
    tending.cancel()
    await made.drained()
    return len(events), began


async def tend(made: Cluster) -> None:
    """Restart what dies, for ever."""
    while True:
        made.supervisor.tend()
        await asyncio.sleep(0.05)


async def outage(made: Cluster, rate: float, away_s: float, seed: int, *, frozen: bool) -> dict[str, Any]:
    """Stop the broker for ``away_s`` and see how soon after its return the system is where it would have been.

    ``frozen``: by SIGSTOP, so that its connections stay and nothing answers.
    """
    gone: list[float] = []
    back: list[float] = []

    async def deed() -> None:
        gone.append(time.time() * 1000)
        if frozen:
            assert made.broker.pid is not None
            os.kill(made.broker.pid, signal.SIGSTOP)
            await asyncio.sleep(away_s)
            os.kill(made.broker.pid, signal.SIGCONT)
        else:
            await asyncio.to_thread(made.broker.stop)
            await asyncio.sleep(away_s)
            await asyncio.to_thread(made.broker.start)
        back.append(time.time() * 1000)

    events, began = await under_load(made, rate, CALM_S + away_s + 60, seed, deed)
    journal = await made.records("journal")
    totals, _ = journal_totals(journal)
    # A row of the journal is written when its commit is: how many events were due by then and not committed.
    behind, committed = [], 0
    for record in sorted(journal, key=lambda r: r.timestamp):
        committed += journal_totals([record])[0]["applied"]
        behind.append((record.timestamp, WARM + rate * (record.timestamp - began) / 1000 - committed))
    usual = max(left for at, left in behind if gone[0] - 2000 < at < gone[0])
    caught_up = next((at for at, left in behind if at > back[0] and left <= usual), float("nan"))
    return {
        "rate": rate,
        "without_a_broker_s": round((back[0] - gone[0]) / 1000, 1),
        "events_behind_usually": round(usual),
        "events_behind_when_it_was_back": round(rate * (back[0] - gone[0]) / 1000),
        "caught_up_after_s": round((caught_up - back[0]) / 1000, 1),
        "events": {"published": events, **totals},
        "restarts": sum(child.restarts for child in made.supervisor.children),
        **await doubled(made),
    }


async def doubled(made: Cluster) -> dict[str, int]:
    """Candidates, those that came more than once, and how many of the copies differ in what they say of the push."""
    seen: dict[str, list[dict[str, Any]]] = {}
    for record in await made.records("push-candidates"):
        candidate = orjson.loads(record.value)
        seen.setdefault(candidate["candidate_id"], []).append(candidate)
    triggers = Counter(
        (c["user_id"], c["trigger"]["event_id"], c["campaign"]) for copies in seen.values() for c in copies[:1]
    )
    return {
        "candidates": len(seen),
        "sent_again_under_the_same_id": sum(len(copies) - 1 for copies in seen.values()),
        "sent_again_under_another_id": sum(count - 1 for count in triggers.values()),
    }


async def killed(made: Cluster, rate: float, seed: int) -> dict[str, Any]:
    """Have the user workers die again and again, shortly after candidates of theirs are with the producer."""

    async def deed() -> None:
        os.environ |= {faults.VARIABLE: DEATH, faults.SWITCH: faults.SWITCHED_ON}
        for child in made.supervisor.children:
            if child.role == "user" and child.process is not None:
                child.process.send_signal(signal.SIGKILL)
        await asyncio.sleep(DYING_S)
        for variable in (faults.VARIABLE, faults.SWITCH):
            del os.environ[variable]

    events, _ = await under_load(made, rate, CALM_S + DYING_S, seed, deed)
    totals, _ = journal_totals(await made.records("journal"))
    kills = sum(child.restarts for child in made.supervisor.children)
    return {"kills": kills, "events": {"published": events, **totals}, **await doubled(made)}


def main() -> None:
    """Measure and report."""
    parser = arguments(__doc__ or "")
    parser.add_argument("--rate", type=float, default=2_000, help="events a second")
    parser.add_argument("--away", type=float, default=30, help="seconds without a broker")
    parser.add_argument("--parts", nargs="+", choices=(*AWAY, *DOUBLED), default=(*AWAY, *DOUBLED))
    given = parser.parse_args()
    # What this process's own clients say of a broker that is away is no news.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    overrides = [f"core.policy.rank_rate={RANK_RATE}", f"core.learning.learn_rate={LEARN_RATE}", *given.set]
    figures: dict[str, Any] = {}
    for part in given.parts:
        guarantee = part if part in DOUBLED else DOUBLED[0]
        processes = 2 if part in DOUBLED else given.processes
        with cluster([*overrides, f"runtime.guarantee={guarantee}"], processes=processes) as made:
            made.start()
            if part in DOUBLED:
                figures[part] = asyncio.run(killed(made, given.rate, given.seed))
            else:
                frozen = part == "frozen"
                figures[part] = asyncio.run(outage(made, given.rate, given.away, given.seed, frozen=frozen))
    figures["settings"] = {"overrides": overrides, "seed": given.seed, "fixed_loop_s": fixed_loop_s(), **machine()}
    write(figures, given.json)


if __name__ == "__main__":
    main()
