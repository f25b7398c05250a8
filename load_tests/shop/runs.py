"""Runs of a simulated shop against engines with given settings: through Kafka, or in this process; each is kept.

A run that was finished is read from its truth and not run again, so an experiment that was stopped goes on. A truth is
of its shop, seed, arm, settings and way of running, all of which its file's name is made from; of which core
it was made is in it (``made_by``), and is told in the report.
"""

from __future__ import annotations

import asyncio
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from load_tests.shop.direct import Direct
from load_tests.shop.engine import PORTS, engine
from load_tests.shop.play import play, play_directly
from load_tests.shop.truth import Truth
from load_tests.shop.wire import Wire
from load_tests.shop.world import World
from streamer.core import decide
from streamer.demo import free_ports
from streamer.settings import flags, load

if TYPE_CHECKING:
    from load_tests.shop.file import Shop
    from streamer.broker import EmbeddedBroker

CORE: Final = Path(decide.__file__).parent
Settings = tuple[str, ...]
ONE_TASK: Final = {"topics.partitions": 1, "topics.item_partitions": 1}


class Way(Protocol):
    """How a run is made."""

    name: str

    async def run(self, shop: Shop, seed: int, arms: dict[str, Settings]) -> dict[str, Truth]:
        """A run of each arm, in the same world."""
        ...


class InProcess:
    """One after the other, each an engine in this process."""

    name = "in-process"

    async def run(self, shop: Shop, seed: int, arms: dict[str, Settings]) -> dict[str, Truth]:
        """As ``Way.run``."""
        made = {arm: load(None, {}, ONE_TASK | flags(given)) for arm, given in arms.items()}
        return {arm: play_directly(World(shop, seed, arm), Direct(settings)) for arm, settings in made.items()}


class OnKafka:
    """Side by side, each with workers and a topic prefix of its own."""

    name = "kafka"

    def __init__(self, broker: EmbeddedBroker, folder: Path) -> None:
        self._broker, self._folder, self._runs = broker, folder, 0

    async def run(self, shop: Shop, seed: int, arms: dict[str, Settings]) -> dict[str, Truth]:
        """As ``Way.run``."""
        port = free_ports(PORTS * len(arms))
        runs = [self._one(shop, seed, arm, given, port + PORTS * n) for n, (arm, given) in enumerate(arms.items())]
        return dict(zip(arms, await asyncio.gather(*runs), strict=True))

    async def _one(self, shop: Shop, seed: int, arm: str, given: Settings, port: int) -> Truth:
        self._runs += 1
        prefix = f"{shop.name}-{seed}-{arm}-{self._runs}."
        async with (
            engine(self._broker, prefix, given, self._folder / prefix, port) as cluster,
            Wire(cluster.client, prefix, tend=cluster.supervisor.tend) as wire,
        ):
            return await play(World(shop, seed, arm), wire)


class Kept:
    """Runs of a shop that are made once."""

    def __init__(self, way: Way, shop: Shop, folder: Path) -> None:
        """``folder``: of the truths."""
        self._way, self._shop, self._folder = way, shop, folder
        self.found = 0

    async def run(self, seed: int, arms: dict[str, Settings]) -> dict[str, Truth]:
        """A truth of each arm, those that are there already as they are."""
        paths = {arm: self._path(seed, arm, given) for arm, given in arms.items()}
        lacking = {arm: given for arm, given in arms.items() if not paths[arm].exists()}
        self.found += len(arms) - len(lacking)
        if lacking:
            for arm, truth in (await self._way.run(self._shop, seed, lacking)).items():
                truth.made_by = core_digest()
                truth.write(paths[arm])
        # Also what was just run is read, so that it makes no difference whether it was.
        return {arm: Truth.read(path) for arm, path in paths.items()}

    def _path(self, seed: int, arm: str, given: Settings) -> Path:
        what = msgspec.json.encode([self._way.name, self._shop, sorted(given)])
        return self._folder / f"{self._shop.name}-{seed}-{arm}-{blake2b(what, digest_size=4).hexdigest()}.json"


def core_digest() -> str:
    """Of the sources of the core: what decides."""
    digest = blake2b(digest_size=4)
    for path in sorted(CORE.rglob("*.py")):
        digest.update(path.relative_to(CORE).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
