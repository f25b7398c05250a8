"""A run of the simulated shop in which workers are killed, and what the checker makes of it."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import random
import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agents.topic_admin import create_topics
from load_tests.harness import Cluster
from load_tests.shop.engine import FAST
from load_tests.shop.play import play
from load_tests.shop.wire import BROKER, Wire
from load_tests.shop.world import World
from streamer.broker import EmbeddedBroker
from streamer.demo import ROLES, free_ports
from streamer.settings import flags, load
from tests.governance.checker import check
from tests.governance.of_settings import rules_of
from tests.governance.run import fetch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from load_tests.shop.file import Shop
    from load_tests.shop.truth import Truth
    from tests.governance.run import Run
    from tests.governance.verdict import Verdict

WORKERS: Final = 2
PREFIX: Final = "governed."


@dataclasses.dataclass
class Outcome:
    """A run, what the checker found in it, what really happened, and how often a worker was killed."""

    run: Run
    verdict: Verdict
    truth: Truth
    kills: int


class Killer:
    """Tends the workers, and kills one in the middle of every so-manieth step."""

    def __init__(self, cluster: Cluster, every: int, seed: int) -> None:
        self._cluster, self._every, self._rng = cluster, every, random.Random(seed)
        self._step = 0
        self._killed_in = 0
        self.kills = 0

    def stepped(self, _world: World) -> None:
        """A step was passed."""
        self._step += 1

    def tend(self) -> None:
        """While the engine is waited for: what was published is being folded just now."""
        children = [child for child in self._cluster.supervisor.children if child.process is not None]
        if self._step % self._every == self._every - 1 and self._killed_in != self._step and children:
            self._killed_in = self._step
            # Mostly those that decide.
            victim = self._rng.choice([*children, *(child for child in children if child.role == "user")])
            if victim.process is not None and victim.process.poll() is None:
                os.kill(victim.process.pid, signal.SIGKILL)
                self.kills += 1
        self._cluster.supervisor.tend()


def governed(shop: Shop, seed: int, *, every: int, given: Sequence[str] = ()) -> Outcome:
    """Run the shop with a kill in every so-manieth step, and check it. Raises what the engine or the wire raise."""
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamer-governed-")))
        broker = stack.enter_context(EmbeddedBroker(config=BROKER))
        own = {"kafka.bootstrap": broker.bootstrap, "topics.prefix": PREFIX, "runtime.data_dir": str(scratch)}
        made = load(None, {}, own | flags(FAST) | {"topics.partitions": "2"} | flags(given))
        web = dataclasses.replace(made.web, port=free_ports(len(ROLES) - 1 + WORKERS))
        made = dataclasses.replace(made, web=web)
        asyncio.run(create_topics(made.kafka.client_kwargs(), made.topics))
        cluster = Cluster(broker, made, WORKERS)
        stack.callback(cluster.supervisor.stop)
        cluster.start()
        killer = Killer(cluster, every, seed)
        truth = asyncio.run(_played(World(shop, seed, "governed"), cluster, killer))
        run = fetch(cluster.client, PREFIX, rules_of(made))
        return Outcome(run, check(run), truth, killer.kills)


async def _played(world: World, cluster: Cluster, killer: Killer) -> Truth:
    async with Wire(cluster.client, PREFIX, tend=killer.tend) as wire:
        return await play(world, wire, progress=killer.stepped)
