"""Off-policy estimates in the simulated shops: what was logged, what every choice would have earned, what really came.

Of each shop an engine is run that leaves things to chance, and engines of the policies that its log is asked about,
each in the same world. Every decision is written down with what would have come of each choice
(``load_tests/shop/rounds.py``); ``load_tests.off_policy_coverage`` draws logs from that. The engines run in this
process; with ``--kafka`` the first one runs as workers of its own on a broker, its topics are read by what ``streamer
ope`` reads them with, and judged.

    python -m load_tests.off_policy_shops              writes bench/off-policy/fashion.json and so on
    python -m load_tests.off_policy_shops --kafka      writes bench/off-policy/fashion-kafka.json and so on

"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from load_tests.harness import machine
from load_tests.shop import file
from load_tests.shop.direct import Direct
from load_tests.shop.engine import PORTS, engine
from load_tests.shop.rounds import Round, play_watched, play_watched_directly
from load_tests.shop.truth import COUNTED
from load_tests.shop.wire import BROKER, Wire
from load_tests.shop.world import World
from streamer.broker import EmbeddedBroker
from streamer.demo import free_ports
from streamer.ope import policies, topics
from streamer.ope.chances import Chances
from streamer.ope.decisions import join
from streamer.ope.items import join_items
from streamer.ope.judge import judge
from streamer.ope.log import LogError
from streamer.settings import flags, load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from load_tests.shop.file import Shop
    from streamer.ope.decisions import Reward, Told
    from streamer.ope.log import Log, Target

#: The shops are small, so much is learned of; one item a push, so that what each would do is known.
COMMON: Final = ("core.learning.learn_rate=0.5", "core.policy.slate_items=1", "core.policy.worth_by=score")
LEAST: Final = 0.2
"""The least worth of the policy that logs. Of what is worth less, a quarter is pushed all the same."""
LOGGING: Final = (
    "core.policy.score_threshold=0",
    f"core.policy.least_worth={LEAST}",
    "core.policy.try_share=0.25",
    "core.policy.holdout_share=0.2",
    "core.policy.explore_share=0.5",
)
OTHERS: Final = {
    "threshold": ("core.policy.try_share=0", "core.policy.holdout_share=0"),
    "send": ("core.policy.least_worth=0", "core.policy.holdout_share=0"),
    "best": ("core.policy.explore_share=0",),
}
"""What else is run, as changes of the logging policy: to push only what is worth the least, to push all, and never to
explore."""
RAN: Final = {
    ("push", f"threshold:{LEAST:g}"): "threshold",
    ("push", "always:send"): "send",
    ("item", "explore:0"): "best",
}
"""The run of a policy that estimates are made of."""
TARGETS: Final = {
    "push": (f"threshold:{LEAST:g}", "always:send", "always:hold"),
    "item": ("explore:0", "explore:1", "random"),
}
REWARDS: Final[dict[str, tuple[Reward, ...]]] = {
    "push": ("clicked", "converted", "spent"),
    "item": ("clicked",),
}
WINDOW_MS: Final = 86_400_000


class Ran(msgspec.Struct, frozen=True):
    """An engine's run: settings, rounds, what the shop counted, and of one through Kafka what ``streamer ope`` says, by
    choice and reward.
    """

    settings: tuple[str, ...]
    rounds: tuple[Round, ...]
    totals: dict[str, float]
    reports: dict[str, Any] = {}


class ShopRuns(msgspec.Struct, frozen=True):
    """A shop's runs by name, ``logging`` first."""

    shop: str
    seed: int
    days: int
    machine: dict[str, Any]
    seconds: float
    runs: dict[str, Ran]


def settings_of(name: str) -> tuple[str, ...]:
    """Of the run of that name."""
    return (*COMMON, *LOGGING, *OTHERS.get(name, ()))


def target_of(log: Log, name: str) -> Target:
    """A policy of ``TARGETS`` for a log."""
    kind, _, rest = name.partition(":")
    match kind:
        case "threshold":
            return policies.threshold(log, float(rest))
        case "explore":
            return policies.explore(log, float(rest))
        case "random":
            return policies.random(log)
    return policies.always(log, rest)


def reports(told: Told, chances: Chances) -> dict[str, Any]:
    """By choice and reward, what ``streamer ope`` says of a log and of the targets."""
    found: dict[str, Any] = {}
    for choice, rewards in REWARDS.items():
        for reward in rewards:
            how: dict[str, Any] = {"window_ms": WINDOW_MS, "chances": chances}
            try:
                joined = join(told, reward, **how) if choice == "push" else join_items(told, reward, **how)
            except LogError as error:
                found[f"{choice} {reward}"] = {"error": str(error)}
                continue
            targets = [target_of(joined.log, name) for name in TARGETS[choice]]
            found[f"{choice} {reward}"] = judge(joined.log, targets) | {"left_out": joined.left_out}
    return found


def run_directly(task: tuple[Shop, int, str]) -> Ran:
    """A run in this process."""
    shop, seed, name = task
    given = settings_of(name)
    whole = flags(("topics.partitions=1", "topics.item_partitions=1", *given))
    world = World(shop, seed, name)
    rounds = play_watched_directly(world, Direct(load(None, {}, whole)))
    return _ran(world, given, rounds)


async def run_on_kafka(shop: Shop, seed: int, broker: EmbeddedBroker, folder: Path) -> Ran:
    """The run that logs, as workers, and what its topics tell."""
    given, prefix = settings_of("logging"), f"{shop.name}-{seed}."
    world = World(shop, seed, "logging")
    async with engine(broker, prefix, given, folder, free_ports(PORTS)) as cluster:
        async with Wire(cluster.client, prefix, tend=cluster.supervisor.tend) as wire:
            rounds = await play_watched(world, wire)
        told = await topics.read(cluster.settings)
    found = reports(told, Chances.of(cluster.settings.core))
    return msgspec.structs.replace(_ran(world, given, rounds), reports=found)


def _ran(world: World, given: Sequence[str], rounds: list[Round]) -> Ran:
    sent = sum(each.row.r == "sent" for each in rounds)
    print(f"{world.shop.name} {world.truth.arm}: {len(rounds):,} rounds, {sent:,} sent", flush=True)
    return Ran(tuple(given), tuple(rounds), {name: world.truth.total(name) for name in COUNTED})


def main() -> None:
    """Run and write, a file a shop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shops", default="fashion,grocery,electronics", help="names or TOML files, by commas")
    parser.add_argument("--others", default=",".join(OTHERS), help="which other policies to run, by commas")
    parser.add_argument("--kafka", action="store_true", help="the run that logs alone, over Kafka")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, help="of simulated time, instead of the shop's")
    parser.add_argument("--shoppers", type=int, help="instead of the shop's")
    parser.add_argument("--out", type=Path, default=Path("bench/off-policy"), help="a folder")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    for source in given.shops.split(","):
        changes = {name: value for name in ("days", "shoppers") if (value := getattr(given, name))}
        shop = msgspec.structs.replace(file.read(source), **changes)
        began = time.monotonic()
        runs: dict[str, Ran] = {}
        if given.kafka:
            with tempfile.TemporaryDirectory(prefix="streamer-ope-") as folder, EmbeddedBroker(config=BROKER) as broker:
                runs["logging"] = asyncio.run(run_on_kafka(shop, given.seed, broker, Path(folder)))
        else:
            names = ("logging", *(name for name in given.others.split(",") if name))
            with ProcessPoolExecutor(given.processes) as workers:
                made = workers.map(run_directly, [(shop, given.seed, name) for name in names])
                runs = dict(zip(names, made, strict=True))
        seconds = round(time.monotonic() - began, 1)
        found = ShopRuns(shop.name, given.seed, shop.days, machine(), seconds, runs)
        given.out.mkdir(parents=True, exist_ok=True)
        path = given.out / f"{shop.name}{'-kafka' if given.kafka else ''}.json"
        path.write_bytes(msgspec.json.encode(found))
        print(f"{shop.name}: {seconds:.0f} s, written to {path}", flush=True)


if __name__ == "__main__":
    main()
